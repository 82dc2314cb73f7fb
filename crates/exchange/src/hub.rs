//! The one place that holds the market, the connections and what they are subscribed to, and that hands each changed book
//! to its subscribers: encoded once per spelling, only when somebody listens. Faults take hold of everything on its way.

mod play;

use crate::Format;
use crate::faults::stream::{Class, Line, Treatment};
use crate::faults::{Fault, Faults, Injection, Script};
use crate::frames::{binance_message, binance_shutdown, binance_stray, upbit_message, upbit_stray};
use crate::limits::Limits;
use crate::model::{Changes, Model, STEP};
use crate::socket::Ending;
use crate::tape::Tape;
use axum::extract::ws::Message;
use market::Venue;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Messages that a client may be behind before it is disconnected, as a venue does with slow readers.
const BACKLOG: usize = 16_384;
/// After the announcement of a shutdown the venue closes.
const NOTICE: Duration = Duration::from_secs(10);
/// A recording goes on in steps of this.
const PLAY_STEP: Duration = Duration::from_millis(5);
/// No recording is played.
const NO_TAPE: i64 = i64::MIN;

/// How a subscriber wants an Upbit book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpbitView {
    /// Units per side.
    pub depth: usize,
    /// Spelling.
    pub format: Format,
}

/// A Binance stream of one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BinanceView {
    /// `@depth@100ms`.
    Diff,
    /// `@bookTicker`.
    Top,
    /// `@depth5|10|20@100ms`, and once a second without the suffix.
    Partial {
        /// Levels per side.
        depth: usize,
        /// Once a second.
        slow: bool,
    },
}

impl BinanceView {
    /// Reads the part behind the symbol.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "depth@100ms" => Self::Diff,
            "bookTicker" => Self::Top,
            "depth5" | "depth10" | "depth20" => Self::Partial { depth: text[5..].parse().ok()?, slow: true },
            "depth5@100ms" | "depth10@100ms" | "depth20@100ms" => {
                Self::Partial { depth: text.get(5..)?.strip_suffix("@100ms")?.parse().ok()?, slow: false }
            }
            _ => return None,
        })
    }

    /// The part behind the symbol.
    pub fn name(self) -> String {
        match self {
            Self::Diff => "depth@100ms".to_owned(),
            Self::Top => "bookTicker".to_owned(),
            Self::Partial { depth, slow: true } => format!("depth{depth}"),
            Self::Partial { depth, slow: false } => format!("depth{depth}@100ms"),
        }
    }

    const fn class(self) -> Class {
        match self {
            Self::Diff => Class::Diff,
            Self::Top => Class::Top,
            Self::Partial { .. } => Class::Whole,
        }
    }
}

/// What a connection listens to.
#[derive(Clone, Debug)]
pub enum Subscriptions {
    /// Upbit: symbol and view.
    Upbit(Vec<(usize, UpbitView)>),
    /// Binance: symbol and view; with the envelope or raw.
    Binance {
        /// Symbol and view.
        streams: Vec<(usize, BinanceView)>,
        /// Combined streams carry an envelope.
        combined: bool,
    },
}

impl Subscriptions {
    const fn venue(&self) -> Venue {
        match self {
            Self::Upbit(_) => Venue::Upbit,
            Self::Binance { .. } => Venue::Binance,
        }
    }
}

/// A symbol's stream on a connection.
type Key = (usize, Class);
/// Of messages that belong to no stream.
const NO_STREAM: Key = (usize::MAX, Class::Top);

struct Connection {
    out: mpsc::Sender<Message>,
    subscriptions: Subscriptions,
    line: Line<Key, Message>,
    // Dropping it ends the connection's task, and with it the TCP connection.
    end: oneshot::Sender<Ending>,
}

/// The receiving end of a new connection.
#[derive(Debug)]
pub struct Outbox {
    /// The connection's number.
    pub id: u64,
    /// What goes out.
    pub messages: mpsc::Receiver<Message>,
    /// Told when, and how, the server ends it.
    pub closed: oneshot::Receiver<Ending>,
}

/// Everything that changes.
pub struct World {
    /// The market.
    pub model: Model,
    /// Request budgets.
    pub limits: Limits,
    /// Faults in force.
    pub faults: Faults,
    /// Faults to come.
    pub script: Script,
    /// Messages per second to reach, beyond what the market brings by itself.
    pub load: f64,
    /// Data frames handed to connections.
    pub frames: u64,
    changes: Changes,
    connections: BTreeMap<u64, Connection>,
    next_id: u64,
    upbit: Vec<Vec<(UpbitView, u64)>>,
    binance: Vec<Vec<(BinanceView, bool, u64)>>,
    upbit_codes: BTreeMap<String, usize>,
    binance_codes: BTreeMap<String, usize>,
    due: u64,
    /// Connections that are told to go, and when they are closed.
    leaving: Vec<(Duration, u64)>,
    out: Vec<Message>,
    slow: Vec<u64>,
    /// Messages that the load owes, and the symbol whose turn it is.
    owed: (f64, usize),
    ending: bool,
    /// A recording instead of the model's market.
    pub tape: Option<Tape>,
    play_from: Option<Duration>,
}

/// The world behind its lock, and the clock.
pub struct Shared {
    world: Mutex<World>,
    started: Instant,
    start_ms: i64,
    /// Virtual time, ms; the machine's clock when left out.
    virtual_ms: Option<AtomicU64>,
    /// The time of a recording that is played, in ms since 1970.
    tape_ms: AtomicI64,
}

impl Shared {
    /// A world around `model` by the machine's clock; `start_ms` since 1970.
    pub fn new(model: Model, start_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            world: World::new(model),
            started: Instant::now(),
            start_ms,
            virtual_ms: None,
            tape_ms: AtomicI64::new(NO_TAPE),
        })
    }

    /// A world that plays a recording; `model` lists its markets.
    pub fn playing(model: Model, tape: Tape) -> Arc<Self> {
        let start_ms = tape.began().as_millis();
        let shared = Self::new(model, start_ms);
        shared.tape_ms.store(start_ms, Ordering::Relaxed);
        shared.lock().tape = Some(tape);
        shared
    }

    /// A world in virtual time.
    pub fn in_virtual_time(model: Model, start_ms: i64) -> Arc<Self> {
        let virtual_ms = Some(AtomicU64::new(0));
        let tape_ms = AtomicI64::new(NO_TAPE);
        Arc::new(Self { world: World::new(model), started: Instant::now(), start_ms, virtual_ms, tape_ms })
    }

    /// The world, locked. Never held across an await.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        match &self.virtual_ms {
            None => self.started.elapsed(),
            Some(ms) => Duration::from_millis(ms.load(Ordering::Relaxed)),
        }
    }

    /// Now, for what counts in instants.
    pub fn now(&self) -> Instant {
        self.started + self.uptime()
    }

    /// Venue time in ms since 1970: the wall clock at the start plus the monotonic clock since.
    pub fn now_ms(&self) -> i64 {
        match self.tape_ms.load(Ordering::Relaxed) {
            NO_TAPE => self.start_ms + self.uptime().as_millis() as i64,
            taped => taped,
        }
    }

    /// The time as `venue` sees it: its clock may be wrong.
    pub fn venue_ms(&self, world: &World, venue: Venue) -> i64 {
        self.now_ms() + world.faults.skew_ms(venue, self.uptime())
    }

    /// Does the venue read nothing of a connection now?
    pub fn is_deaf(&self, id: u64) -> bool {
        self.lock().is_deaf(id, self.uptime())
    }

    /// Begins a fault now.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn inject(&self, injection: Injection) -> Result<(), String> {
        self.lock().inject(injection, self.uptime(), self.now_ms())
    }

    /// Runs the market until the task is aborted.
    pub async fn run(self: Arc<Self>) {
        if self.lock().tape.is_some() {
            return self.play().await;
        }
        let mut timer = tokio::time::interval(STEP);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            timer.tick().await;
            let due = self.uptime().as_millis() as u64 / STEP.as_millis() as u64;
            let (now, now_ms) = (self.uptime(), self.now_ms());
            let mut world = self.lock();
            // Virtual time follows the real one; after a pause of the process the steps are made up.
            while world.due < due {
                world.step(now, now_ms);
            }
        }
    }

    async fn play(&self) {
        let mut timer = tokio::time::interval(PLAY_STEP);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            timer.tick().await;
            let (now, now_ms) = (self.uptime(), self.now_ms());
            let at_ms = self.lock().play(now, now_ms);
            if let Some(at_ms) = at_ms {
                self.tape_ms.store(at_ms, Ordering::Relaxed);
            }
        }
    }

    /// Lets virtual time go on by a step.
    pub fn step(&self) {
        if let Some(ms) = &self.virtual_ms {
            ms.fetch_add(STEP.as_millis() as u64, Ordering::Relaxed);
        }
        let (now, now_ms) = (self.uptime(), self.now_ms());
        self.lock().step(now, now_ms);
    }
}

impl World {
    fn new(model: Model) -> Mutex<Self> {
        let symbols = model.symbols().len();
        let codes = |f: fn(&crate::model::listing::Listing) -> Option<&String>| {
            let named = model.symbols().iter().enumerate();
            named.filter_map(|(i, s)| f(&s.listing).map(|c| (c.clone(), i))).collect::<BTreeMap<_, _>>()
        };
        let (upbit_codes, binance_codes) = (codes(|l| l.upbit.as_ref()), codes(|l| l.binance.as_ref()));
        Mutex::new(Self {
            model,
            limits: Limits::new(),
            faults: Faults::default(),
            script: Script::default(),
            load: 0.0,
            frames: 0,
            changes: Changes::default(),
            connections: BTreeMap::new(),
            next_id: 0,
            upbit: vec![Vec::new(); symbols],
            binance: vec![Vec::new(); symbols],
            upbit_codes,
            binance_codes,
            due: 0,
            leaving: Vec::new(),
            out: Vec::new(),
            slow: Vec::new(),
            owed: (0.0, 0),
            ending: false,
            tape: None,
            play_from: None,
        })
    }

    fn step(&mut self, now: Duration, now_ms: i64) {
        self.due += 1;
        self.follow(now, now_ms);
        let before = self.frames;
        let mut changes = std::mem::take(&mut self.changes);
        self.model.step(&mut changes);
        self.publish(&changes, now, now_ms);
        if self.due.is_multiple_of(20) {
            for index in 0..self.binance.len() {
                let once = |v| matches!(v, BinanceView::Partial { slow: true, .. });
                if !self.model.symbols()[index].held().still[1] {
                    self.publish_binance(index, now, now_ms, once);
                }
            }
        }
        self.churn(&mut changes, before, now, now_ms);
        self.changes = changes;
        self.send_late(now);
        for id in std::mem::take(&mut self.slow) {
            tracing::warn!(connection = id, "a client reads too slowly and is disconnected");
            self.disconnect(id);
        }
    }

    /// What the script and the faults in force do to the market and to connections.
    fn follow(&mut self, now: Duration, now_ms: i64) {
        while let Some(next) = self.script.due(now) {
            if let Err(what) = self.inject(next.injection.clone(), now, now_ms) {
                // Targets are looked up at the start, so this is a market that has changed since.
                tracing::error!("{}", self.script.wrong(&next, what));
            }
        }
        self.faults.expire(now);
        self.faults.shape(&mut self.model);
        let gone: Vec<u64> = self.leaving.iter().filter(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        self.leaving.retain(|(at, _)| *at > now);
        self.end_all(&gone, Ending::Close { code: 1001, reason: "shutdown" });
    }

    fn publish(&mut self, changes: &Changes, now: Duration, now_ms: i64) {
        for &index in &changes.upbit {
            self.publish_upbit(index, now, now_ms);
        }
        for &index in &changes.tops {
            self.publish_binance(index, now, now_ms, |v| v == BinanceView::Top);
        }
        for &index in &changes.binance {
            let fast = |v| matches!(v, BinanceView::Diff | BinanceView::Partial { slow: false, .. });
            self.publish_binance(index, now, now_ms, fast);
            let symbol = self.model.symbol_mut(index);
            symbol.published_id = symbol.update_id;
            symbol.pending.clear();
        }
    }

    /// Load: sizes change until as many messages went out in this step as were asked for.
    fn churn(&mut self, changes: &mut Changes, before: u64, now: Duration, now_ms: i64) {
        if self.load <= 0.0 || self.connections.is_empty() {
            return;
        }
        self.owed.0 += self.load * STEP.as_secs_f64() - (self.frames - before) as f64;
        // A quiet second is not made up for by a flood.
        self.owed.0 = self.owed.0.min(self.load);
        let symbols = self.model.symbols().len();
        for _ in 0..symbols * 1_000 {
            if self.owed.0 < 1.0 {
                return;
            }
            self.owed.1 = (self.owed.1 + 1) % symbols;
            if self.upbit[self.owed.1].is_empty() && self.binance[self.owed.1].is_empty() {
                continue;
            }
            changes.upbit.clear();
            changes.binance.clear();
            changes.tops.clear();
            let before = self.frames;
            self.model.churn(self.owed.1, changes);
            self.publish(changes, now, now_ms);
            self.owed.0 -= (self.frames - before) as f64;
        }
    }

    fn send_late(&mut self, now: Duration) {
        for (id, connection) in &mut self.connections {
            if connection.line.is_empty() {
                continue;
            }
            connection.line.due(now, &mut self.out);
            for message in self.out.drain(..) {
                self.frames += 1;
                if connection.out.try_send(message).is_err() {
                    self.slow.push(*id);
                }
            }
        }
    }

    fn publish_upbit(&mut self, index: usize, now: Duration, now_ms: i64) {
        if self.upbit[index].is_empty() {
            return;
        }
        let how = self.faults.message(Venue::Upbit, index, Class::Whole, now);
        let listeners = std::mem::take(&mut self.upbit[index]);
        let mut last: Option<(UpbitView, Message)> = None;
        for (view, id) in &listeners {
            let message = match &last {
                Some((of, message)) if of == view => message.clone(),
                _ => upbit_message(&self.model, index, *view, now_ms, "REALTIME", &how),
            };
            last = Some((*view, message.clone()));
            let stray = how.stray.then(|| upbit_stray(view.format, now_ms));
            self.deliver(*id, (index, Class::Whole), message, stray, &how, now);
        }
        self.upbit[index] = listeners;
    }

    fn publish_binance(
        &mut self,
        index: usize,
        now: Duration,
        now_ms: i64,
        wanted: impl Fn(BinanceView) -> bool,
    ) {
        if !self.binance[index].iter().any(|(view, ..)| wanted(*view)) {
            return;
        }
        let listeners = std::mem::take(&mut self.binance[index]);
        let mut last: Option<(BinanceView, bool, Treatment, Message)> = None;
        for (view, combined, id) in listeners.iter().filter(|(view, ..)| wanted(*view)) {
            // Listeners stand in the order of their views: a fault meets a message once, whoever listens.
            let (how, message) = match &last {
                Some((of, with, how, message)) if of == view && with == combined => (*how, message.clone()),
                other => {
                    let how = match other {
                        Some((of, _, how, _)) if of == view => *how,
                        _ => self.faults.message(Venue::Binance, index, view.class(), now),
                    };
                    (how, binance_message(&self.model, index, *view, *combined, now_ms, &how))
                }
            };
            last = Some((*view, *combined, how, message.clone()));
            let stray = how.stray.then(|| binance_stray(*combined, now_ms));
            self.deliver(*id, (index, view.class()), message, stray, &how, now);
        }
        self.binance[index] = listeners;
    }

    fn deliver(
        &mut self,
        id: u64,
        key: Key,
        message: Message,
        stray: Option<Message>,
        how: &Treatment,
        now: Duration,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if how.is_plain() && connection.line.is_empty() {
            self.out.push(message);
        } else {
            connection.line.push(now, key, message, how, &mut self.out);
        }
        self.out.extend(stray);
        for message in self.out.drain(..) {
            self.frames += 1;
            if connection.out.try_send(message).is_err() {
                self.slow.push(id);
            }
        }
    }

    /// The symbol of an Upbit code.
    pub fn upbit_symbol(&self, code: &str) -> Option<usize> {
        self.known(self.upbit_codes.get(code).copied(), Venue::Upbit)
    }

    /// The symbol of a Binance code in upper case.
    pub fn binance_symbol(&self, code: &str) -> Option<usize> {
        self.known(self.binance_codes.get(code).copied(), Venue::Binance)
    }

    fn known(&self, index: Option<usize>, venue: Venue) -> Option<usize> {
        let v = venue.index();
        index.filter(|i| {
            let held = self.model.symbols()[*i].held();
            !held.delisted[v] && !held.unknown[v]
        })
    }

    /// Begins a fault: the one way in, of script and control API.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn inject(&mut self, injection: Injection, now: Duration, now_ms: i64) -> Result<(), String> {
        let kind = injection.kind;
        let meant = |c: &Connection| injection.meets(c.subscriptions.venue());
        let ids: Vec<u64> = self.connections.iter().filter(|(_, c)| meant(c)).map(|(id, _)| *id).collect();
        self.faults.begin(injection, &self.model, now)?;
        self.faults.shape(&mut self.model);
        let ending = match kind {
            Fault::Cut => Ending::Drop,
            Fault::Close => Ending::Close { code: 1000, reason: "" },
            Fault::DayClose => Ending::Close { code: 1008, reason: "24 hours" },
            Fault::Reset => Ending::Reset,
            Fault::HalfOpen => Ending::HalfOpen,
            Fault::ServerShutdown => {
                self.faults.count(kind, ids.len() as u64);
                self.announce(&ids, now, now_ms);
                self.leaving.extend(ids.into_iter().map(|id| (now + NOTICE, id)));
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.faults.count(kind, ids.len() as u64);
        self.end_all(&ids, ending);
        Ok(())
    }

    /// Ends all faults at once.
    pub fn restore(&mut self) {
        self.faults.clear();
        self.faults.shape(&mut self.model);
    }

    fn announce(&mut self, ids: &[u64], now: Duration, now_ms: i64) {
        for id in ids {
            let combined = match self.subscriptions(*id) {
                Some(Subscriptions::Binance { combined, .. }) => *combined,
                _ => continue,
            };
            self.send(*id, binance_shutdown(combined, now_ms), now);
        }
    }

    fn end_all(&mut self, ids: &[u64], ending: Ending) {
        for id in ids {
            if let Some(connection) = self.connections.remove(id) {
                // It may have ended by itself.
                let _ = connection.end.send(ending);
            }
        }
        if !ids.is_empty() {
            self.route();
        }
    }

    /// Enters a connection. `None` when a cut or the end of the servers came while it was being made.
    pub fn connect(&mut self, subscriptions: Subscriptions, now: Duration) -> Option<Outbox> {
        let venue = subscriptions.venue();
        if self.ending || self.faults.holds(Fault::Cut, venue, None, now) {
            return None;
        }
        let (out, messages) = mpsc::channel(BACKLOG);
        let (end, closed) = oneshot::channel();
        self.next_id += 1;
        let id = self.next_id;
        self.connections.insert(id, Connection { out, subscriptions, line: Line::default(), end });
        self.route();
        Some(Outbox { id, messages, closed })
    }

    /// Ends a connection.
    pub fn disconnect(&mut self, id: u64) {
        if self.connections.remove(&id).is_some() {
            self.route();
        }
    }

    /// Ends all connections and takes no new ones.
    pub fn end(&mut self) {
        self.ending = true;
        self.connections.clear();
        self.route();
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// What a connection listens to.
    pub fn subscriptions(&self, id: u64) -> Option<&Subscriptions> {
        self.connections.get(&id).map(|c| &c.subscriptions)
    }

    /// Replaces what a connection listens to.
    pub fn subscribe(&mut self, id: u64, subscriptions: Subscriptions) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.subscriptions = subscriptions;
            self.route();
        }
    }

    /// Sends one message that is no book to one connection.
    pub fn send(&mut self, id: u64, message: Message, now: Duration) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let delay = self.faults.delay(connection.subscriptions.venue(), now);
        connection.line.behind(now, NO_STREAM, message, delay, &mut self.out);
        if self.out.drain(..).any(|message| connection.out.try_send(message).is_err()) {
            self.disconnect(id);
        }
    }

    /// Does the venue read nothing of a connection now? It leaves pings unanswered, or its answers would overtake what is late.
    pub fn is_deaf(&self, id: u64, now: Duration) -> bool {
        self.connections.get(&id).is_some_and(|connection| {
            let venue = connection.subscriptions.venue();
            connection.line.is_late()
                || !self.faults.delay(venue, now).is_zero()
                || self.faults.holds(Fault::PingUnanswered, venue, None, now)
        })
    }

    /// The whole book as a first frame.
    pub fn send_upbit_snapshot(
        &mut self,
        id: u64,
        index: usize,
        view: UpbitView,
        now: Duration,
        now_ms: i64,
    ) {
        let how = self.faults.message(Venue::Upbit, index, Class::Whole, now);
        if self.tape.is_some() {
            return self.send_taped_snapshot(id, index, view, &how, now);
        }
        let message = upbit_message(&self.model, index, view, now_ms, "SNAPSHOT", &how);
        self.deliver(id, (index, Class::Whole), message, None, &how, now);
    }

    fn route(&mut self) {
        self.upbit.iter_mut().for_each(Vec::clear);
        self.binance.iter_mut().for_each(Vec::clear);
        for (id, connection) in &self.connections {
            match &connection.subscriptions {
                Subscriptions::Upbit(views) => {
                    for (index, view) in views {
                        self.upbit[*index].push((*view, *id));
                    }
                }
                Subscriptions::Binance { streams, combined } => {
                    for (index, view) in streams {
                        self.binance[*index].push((*view, *combined, *id));
                    }
                }
            }
        }
        self.upbit.iter_mut().for_each(|r| r.sort_unstable());
        self.binance.iter_mut().for_each(|r| r.sort_unstable());
    }
}
