//! The one place that holds the market, the connections and what they are subscribed to, and that hands each changed book
//! to its subscribers: encoded once per spelling, only when somebody listens.

mod play;

use crate::control::{Fault, Faults};
use crate::limits::Limits;
use crate::model::{Changes, Model, STEP};
use crate::tape::Tape;
use crate::{Format, binance_wire, orderbook_frame};
use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt as _;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Messages that a client may be behind before it is disconnected, as a venue does with slow readers.
const BACKLOG: usize = 16_384;

/// A recording goes on in steps of this.
const PLAY_STEP: std::time::Duration = std::time::Duration::from_millis(5);

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

struct Connection {
    out: mpsc::Sender<Message>,
    subscriptions: Subscriptions,
    // Dropping it ends the connection's task, and with it the TCP connection.
    _alive: oneshot::Sender<()>,
}

/// The receiving end of a new connection.
pub struct Outbox {
    /// The connection's number.
    pub id: u64,
    messages: mpsc::Receiver<Message>,
    closed: oneshot::Receiver<()>,
}

/// Everything that changes.
pub struct World {
    /// The market.
    pub model: Model,
    /// Request budgets.
    pub limits: Limits,
    /// Faults in force.
    pub faults: Faults,
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
    ending: bool,
    /// A recording instead of the model's market.
    pub tape: Option<Tape>,
    play_from: Option<Instant>,
}

/// The world behind its lock, and the clock.
pub struct Shared {
    world: Mutex<World>,
    started: Instant,
    start_ms: i64,
    /// The time of a recording that is played, in ms since 1970.
    tape_ms: AtomicI64,
}

impl Shared {
    /// A world around `model`; `start_ms` since 1970.
    #[cfg(test)]
    pub fn new(model: Model, start_ms: i64) -> Arc<Self> {
        Self::with(model, start_ms, None)
    }

    /// A world that plays a recording; `model` lists its markets, `start_ms` is the recording's own time.
    pub fn with(model: Model, start_ms: i64, tape: Option<Tape>) -> Arc<Self> {
        let symbols = model.symbols().len();
        let codes = |f: fn(&crate::model::listing::Listing) -> Option<&String>| {
            let named = model.symbols().iter().enumerate();
            named.filter_map(|(i, s)| f(&s.listing).map(|c| (c.clone(), i))).collect::<BTreeMap<_, _>>()
        };
        let (upbit_codes, binance_codes) = (codes(|l| l.upbit.as_ref()), codes(|l| l.binance.as_ref()));
        let world = World {
            model,
            limits: Limits::new(),
            faults: Faults::default(),
            frames: 0,
            changes: Changes::default(),
            connections: BTreeMap::new(),
            next_id: 0,
            upbit: vec![Vec::new(); symbols],
            binance: vec![Vec::new(); symbols],
            upbit_codes,
            binance_codes,
            due: 0,
            ending: false,
            tape,
            play_from: None,
        };
        let tape_ms = AtomicI64::new(if world.tape.is_some() { start_ms } else { i64::MIN });
        Arc::new(Self { world: Mutex::new(world), started: Instant::now(), start_ms, tape_ms })
    }

    /// The world, locked. Never held across an await.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Venue time in ms since 1970: the wall clock at the start plus the monotonic clock since.
    pub fn now_ms(&self) -> i64 {
        match self.tape_ms.load(Relaxed) {
            i64::MIN => self.start_ms + self.started.elapsed().as_millis() as i64,
            taped => taped,
        }
    }

    async fn play(&self) {
        let mut timer = tokio::time::interval(PLAY_STEP);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            timer.tick().await;
            let now_ms = self.lock().play(Instant::now());
            if let Some(now_ms) = now_ms {
                self.tape_ms.store(now_ms, Relaxed);
            }
        }
    }

    /// Time since the start.
    pub fn uptime(&self) -> std::time::Duration {
        self.started.elapsed()
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
            let due = self.started.elapsed().as_millis() as u64 / STEP.as_millis() as u64;
            let now_ms = self.now_ms();
            let mut world = self.lock();
            // Virtual time follows the real one; after a pause of the process the steps are made up.
            while world.due < due {
                world.due += 1;
                world.step(now_ms);
            }
        }
    }
}

impl World {
    fn step(&mut self, now_ms: i64) {
        let faults = self.faults.all(Instant::now());
        let frozen = faults.contains(&Fault::Freeze);
        let silent = faults.contains(&Fault::Silent);
        let mut changes = std::mem::take(&mut self.changes);
        self.model.step(frozen, &mut changes);
        let mut slow = Vec::new();
        for &index in changes.upbit.iter().filter(|_| !silent) {
            self.publish_upbit(index, now_ms, &mut slow);
        }
        for &index in changes.tops.iter().filter(|_| !silent) {
            self.publish_binance(index, now_ms, |v| v == BinanceView::Top, &mut slow);
        }
        for &index in &changes.binance {
            let lost = silent || faults.contains(&Fault::DropDiffs);
            let fast = |v| match v {
                BinanceView::Diff => !lost,
                BinanceView::Partial { slow, .. } => !slow && !silent,
                BinanceView::Top => false,
            };
            self.publish_binance(index, now_ms, fast, &mut slow);
            if faults.contains(&Fault::DuplicateDiffs) {
                self.publish_binance(index, now_ms, |v| v == BinanceView::Diff && !lost, &mut slow);
            }
            let symbol = self.model.symbol_mut(index);
            symbol.published_id = symbol.update_id;
            symbol.pending.clear();
        }
        if self.due.is_multiple_of(20) && !frozen && !silent {
            for index in 0..self.binance.len() {
                let once = |v| matches!(v, BinanceView::Partial { slow: true, .. });
                self.publish_binance(index, now_ms, once, &mut slow);
            }
        }
        self.changes = changes;
        for id in slow {
            tracing::warn!(connection = id, "a client reads too slowly and is disconnected");
            self.disconnect(id);
        }
    }

    fn publish_upbit(&mut self, index: usize, now_ms: i64, slow: &mut Vec<u64>) {
        let mut last: Option<(UpbitView, Message)> = None;
        for (view, id) in &self.upbit[index] {
            if last.as_ref().is_none_or(|(v, _)| v != view) {
                last = Some((*view, upbit_message(&self.model, index, *view, now_ms, "REALTIME")));
            }
            if let (Some((_, message)), Some(c)) = (&last, self.connections.get(id)) {
                self.frames += 1;
                if c.out.try_send(message.clone()).is_err() {
                    slow.push(*id);
                }
            }
        }
    }

    fn publish_binance(
        &mut self,
        index: usize,
        now_ms: i64,
        wanted: impl Fn(BinanceView) -> bool,
        slow: &mut Vec<u64>,
    ) {
        let mut last: Option<(BinanceView, bool, Message)> = None;
        for (view, combined, id) in &self.binance[index] {
            if !wanted(*view) {
                continue;
            }
            if last.as_ref().is_none_or(|(v, c, _)| v != view || c != combined) {
                last =
                    Some((*view, *combined, binance_message(&self.model, index, *view, *combined, now_ms)));
            }
            if let (Some((.., message)), Some(c)) = (&last, self.connections.get(id)) {
                self.frames += 1;
                if c.out.try_send(message.clone()).is_err() {
                    slow.push(*id);
                }
            }
        }
    }

    /// The symbol of an Upbit code.
    pub fn upbit_symbol(&self, code: &str) -> Option<usize> {
        self.upbit_codes.get(code).copied()
    }

    /// The symbol of a Binance code in upper case.
    pub fn binance_symbol(&self, code: &str) -> Option<usize> {
        self.binance_codes.get(code).copied()
    }

    /// Enters a connection. `None` when a cut or the end of the servers came while it was being made.
    pub fn connect(&mut self, subscriptions: Subscriptions) -> Option<Outbox> {
        if self.ending || self.faults.active(Fault::Cut, Instant::now()) {
            return None;
        }
        let (out, messages) = mpsc::channel(BACKLOG);
        let (alive, closed) = oneshot::channel();
        self.next_id += 1;
        let id = self.next_id;
        self.connections.insert(id, Connection { out, subscriptions, _alive: alive });
        self.route();
        Some(Outbox { id, messages, closed })
    }

    /// Ends a connection.
    pub fn disconnect(&mut self, id: u64) {
        if self.connections.remove(&id).is_some() {
            self.route();
        }
    }

    /// Tells every Binance connection that the server will shut down.
    pub fn announce_shutdown(&mut self, now_ms: i64) {
        let binance = |c: &Connection| match c.subscriptions {
            Subscriptions::Binance { combined, .. } => Some(combined),
            Subscriptions::Upbit(_) => None,
        };
        let told: Vec<_> = self.connections.iter().filter_map(|(id, c)| Some((*id, binance(c)?))).collect();
        for (id, combined) in told {
            let event = format!(r#"{{"e":"serverShutdown","E":{now_ms}}}"#);
            let text = if combined { binance_wire::envelope("!serverShutdown", &event) } else { event };
            self.send(id, Message::Text(text.into()));
        }
    }

    /// Ends all connections and takes no new ones.
    pub fn end(&mut self) {
        self.ending = true;
        self.disconnect_all();
    }

    /// Ends all connections.
    pub fn disconnect_all(&mut self) {
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

    /// Sends one message to one connection.
    pub fn send(&mut self, id: u64, message: Message) {
        if let Some(connection) = self.connections.get(&id)
            && connection.out.try_send(message).is_err()
        {
            self.disconnect(id);
        }
    }

    /// The whole book as a first frame.
    pub fn send_upbit_snapshot(&mut self, id: u64, index: usize, view: UpbitView, now_ms: i64) {
        if self.tape.is_some() {
            return self.send_taped_snapshot(id, index, view);
        }
        let message = upbit_message(&self.model, index, view, now_ms, "SNAPSHOT");
        self.frames += 1;
        self.send(id, message);
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

fn upbit_message(model: &Model, index: usize, view: UpbitView, now_ms: i64, stream: &str) -> Message {
    let symbol = &model.symbols()[index];
    let code = symbol.listing.upbit.as_deref().unwrap_or_default();
    let [bids, asks] = &symbol.upbit;
    let frame = orderbook_frame(view.format, code, now_ms, bids.rungs(), asks.rungs(), view.depth, stream);
    Message::Binary(Bytes::from(frame))
}

fn binance_message(model: &Model, index: usize, view: BinanceView, combined: bool, now_ms: i64) -> Message {
    let symbol = &model.symbols()[index];
    let data = match view {
        BinanceView::Diff => binance_wire::depth_update(symbol, now_ms),
        BinanceView::Top => binance_wire::book_ticker(symbol, false),
        BinanceView::Partial { depth, .. } => binance_wire::book(symbol, depth),
    };
    if !combined {
        return Message::Text(data.into());
    }
    let code = symbol.listing.binance.as_deref().unwrap_or_default().to_ascii_lowercase();
    Message::Text(binance_wire::envelope(&format!("{code}@{}", view.name()), &data).into())
}

/// What a venue does with a connection beside passing on books.
pub trait Dialogue {
    /// A text arrived at `now`; `Err` closes the connection.
    fn text(&mut self, text: &str, now: Instant) -> Result<(), Closed>;
    /// A ping or pong arrived.
    fn alive(&mut self, pong: bool, now: Instant);
    /// Called once a second: what to send; `Err` closes the connection.
    fn second(&mut self, now: Instant) -> Result<Option<Message>, Closed>;
}

/// The server closes the connection.
#[derive(Clone, Copy, Debug)]
pub struct Closed;

/// Serves a connection until either side ends it.
pub async fn serve_socket(shared: Arc<Shared>, socket: WebSocket, outbox: Outbox, dialogue: impl Dialogue) {
    let Outbox { id, messages, closed } = outbox;
    tokio::select! {
        () = converse(socket, messages, dialogue) => {}
        _ = closed => {}
    }
    shared.lock().disconnect(id);
}

async fn converse(mut socket: WebSocket, mut messages: mpsc::Receiver<Message>, mut dialogue: impl Dialogue) {
    let mut batch = Vec::with_capacity(256);
    let mut seconds = tokio::time::interval(std::time::Duration::from_secs(1));
    loop {
        tokio::select! {
            count = messages.recv_many(&mut batch, 256) => {
                if count == 0 {
                    return;
                }
                // One flush for all that is waiting: the system call is the cost.
                for message in batch.drain(..) {
                    if socket.feed(message).await.is_err() {
                        return;
                    }
                }
                if socket.flush().await.is_err() {
                    return;
                }
            }
            received = socket.recv() => {
                let verdict = match received {
                    Some(Ok(Message::Text(text))) => dialogue.text(&text, Instant::now()),
                    Some(Ok(Message::Binary(bytes))) => dialogue.text(&String::from_utf8_lossy(&bytes), Instant::now()),
                    Some(Ok(Message::Ping(_))) => { dialogue.alive(false, Instant::now()); Ok(()) }
                    Some(Ok(Message::Pong(_))) => { dialogue.alive(true, Instant::now()); Ok(()) }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Closed),
                };
                if verdict.is_err() {
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                }
            }
            _ = seconds.tick() => match dialogue.second(Instant::now()) {
                Ok(None) => {}
                Ok(Some(message)) => if socket.send(message).await.is_err() { return },
                Err(Closed) => {
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                }
            }
        }
    }
}
