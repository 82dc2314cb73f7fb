//! A runner's market side in virtual time: two connections, snapshots, health samples and candles, asked of the local exchange
//! without a socket and handed to a core. It waits, gives up and comes back as the shell does; the shell itself is met by the
//! tests with sockets.

use assay::generate::{self, InMemory, Sink as _};
use bytes::Bytes;
use engine::{Config, Core, Effect};
use exchange::model::Model;
use exchange::{Heard, MarketKind, PlantedGap, Virtual};
use journal::{Body, Entry};
use market::{Asset, Member, Timestamp, Venue};
use recording::{Input, LeftOut, Record};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use venues::binance::limits::{Budget, Group, depth_weight};

const TRAVEL: Duration = Duration::from_millis(3);
const SNAPSHOT_DEPTH: u16 = 500;
/// A runner's client waits no longer for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 4;
/// Larger messages end the connection.
const MAX_MESSAGE: usize = 16 << 20;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A connection as the shell keeps it.
struct Conn {
    socket: Option<u64>,
    retry_at: Duration,
    attempt: u32,
    opened: Duration,
    heard: Duration,
    probed: bool,
    keep_alive: Duration,
}

/// The client with its core and its exchange.
pub struct Client {
    pub exchange: Virtual,
    sink: InMemory,
    conns: [Conn; 2],
    members: Vec<usize>,
    /// Members whose streams were given up at a refresh.
    gone: BTreeSet<Asset>,
    seq: u64,
    asked: VecDeque<(Asset, u32)>,
    answers: Vec<(Duration, Input)>,
    under_way: BTreeMap<Asset, u32>,
    budget: Budget,
    candles: VecDeque<(Venue, Asset)>,
    depth: usize,
    /// How many frames each connection has brought.
    pub frames: [u64; 2],
    heard: Vec<Heard>,
}

impl Client {
    /// A session on a synthetic market; `depth` units of each Upbit book are subscribed to.
    pub fn start(
        symbols: usize,
        kind: MarketKind,
        seed: u64,
        planted: &[PlantedGap],
        depth: usize,
        config: &Config,
    ) -> Self {
        let model = Model::new(symbols, kind, seed, generate::START_MS, planted).unwrap();
        let members: Vec<usize> = (0..symbols).collect();
        let listed: Vec<Member> = members.iter().map(|i| generate::member(&model, *i)).collect();
        let conn = |_| Conn {
            socket: None,
            retry_at: Duration::ZERO,
            attempt: 0,
            opened: Duration::ZERO,
            heard: Duration::ZERO,
            probed: false,
            keep_alive: Duration::ZERO,
        };
        let mut client = Self {
            exchange: Virtual::new(model, generate::START_MS),
            sink: InMemory::default(),
            conns: Venue::ALL.map(conn),
            members,
            gone: BTreeSet::new(),
            seq: 0,
            asked: VecDeque::new(),
            answers: Vec::new(),
            under_way: BTreeMap::new(),
            budget: Budget::new(),
            candles: VecDeque::new(),
            depth,
            frames: [0; 2],
            heard: Vec::new(),
        };
        let config = serde_json::to_string(config).unwrap();
        client.feed(Input::Session { run_id: format!("faults-{seed}"), config });
        client.feed(Input::Universe { asked: symbols as u32, members: listed });
        client
    }

    /// Candles of every market are asked for as the budgets allow, so that levels are known and trading can begin.
    pub fn seed_levels(&mut self) {
        self.candles.push_back((Venue::Upbit, Asset::USDT));
        for index in self.members.clone() {
            let asset = self.exchange.look(|model| model.symbols()[index].listing.asset);
            self.candles.extend(Venue::ALL.map(|venue| (venue, asset)));
        }
    }

    pub fn core(&self) -> &Core {
        self.sink.core().unwrap()
    }

    pub fn entries(&self) -> &[Entry] {
        &self.sink.entries
    }

    /// Forgets the journal so far.
    pub fn forget(&mut self) {
        self.sink.entries.clear();
    }

    pub fn now(&self) -> Duration {
        self.exchange.elapsed()
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.exchange.now_ms()).plus(TRAVEL)
    }

    fn feed(&mut self, input: Input) {
        self.seq += 1;
        let record = Record { seq: self.seq, at: self.at(), input };
        for (asset, epoch) in self.sink.take(record).unwrap() {
            // One that waits for its turn for the same symbol is of an older epoch.
            self.asked.retain(|(of, _)| *of != asset);
            self.asked.push_back((asset, epoch));
        }
        for effect in std::mem::take(&mut self.sink.streams) {
            self.change_streams(effect);
        }
    }

    /// What the core wants of its subscriptions, on connections that are up; others ask for the newest set when they are made.
    fn change_streams(&mut self, effect: Effect) {
        let of = |members: &[Member]| -> Vec<Asset> { members.iter().map(|m| m.asset).collect() };
        match effect {
            Effect::Resubscribe { venue } => {
                if let Some(id) = self.conns[venue.index()].socket {
                    self.subscribe(venue, id);
                }
            }
            Effect::Watch { joined, left } => {
                let (joined, left) = (of(&joined), of(&left));
                self.gone.retain(|asset| !joined.contains(asset));
                self.gone.extend(&left);
                if let Some(id) = self.conns[Venue::Upbit.index()].socket {
                    self.subscribe(Venue::Upbit, id);
                }
                if let Some(id) = self.conns[Venue::Binance.index()].socket {
                    for (method, assets) in [("UNSUBSCRIBE", left), ("SUBSCRIBE", joined)] {
                        let streams: Vec<String> = assets
                            .iter()
                            .map(|a| format!("{}usdt@depth@100ms", a.as_str().to_ascii_lowercase()))
                            .collect();
                        let ask = serde_json::json!({ "method": method, "params": streams, "id": 2 });
                        self.exchange.say(id, &ask.to_string());
                    }
                }
            }
            _ => {}
        }
    }

    /// A refresh of the universe: the members that `keep` names, of those that the session began with.
    pub fn refresh(&mut self, keep: impl Fn(Asset) -> bool) {
        let listed = self.exchange.look(|model| {
            let all = self.members.iter().map(|i| generate::member(model, *i));
            all.filter(|member| keep(member.asset)).collect::<Vec<_>>()
        });
        self.feed(Input::Universe { asked: self.members.len() as u32, members: listed });
    }

    /// A ranking as the shell hands it over, of the members that `keep` names; who leaves is the core's decision.
    pub fn rank(&mut self, keep: impl Fn(Asset) -> bool) {
        let all: Vec<Member> =
            self.exchange.look(|model| self.members.iter().map(|i| generate::member(model, *i)).collect());
        let (ranked, out): (Vec<Member>, Vec<Member>) = all.into_iter().partition(|m| keep(m.asset));
        let why = "under a test's filter".to_owned();
        let out = out.iter().map(|m| LeftOut { asset: m.asset, fits: false, why: why.clone() }).collect();
        self.feed(Input::Refresh { asked: self.members.len() as u32, ranked, out });
    }

    /// Lets virtual time pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.now() + time;
        while self.now() < until {
            self.step();
        }
    }

    /// Runs until it is so; panics after `within`.
    pub fn run_until(
        &mut self,
        what: &str,
        within: Duration,
        mut is_so: impl FnMut(&Self) -> bool,
    ) -> Duration {
        let started = self.now();
        while !is_so(self) {
            assert!(self.now() < started + within, "{what}: not within {within:?}\n{}", self.last_notes());
            self.step();
        }
        self.now() - started
    }

    fn step(&mut self) {
        self.exchange.step();
        let now = self.now();
        for venue in Venue::ALL {
            self.look_after(venue, now);
        }
        self.send_requests(now);
        if now.as_millis().is_multiple_of(1_000) {
            self.ask_candles();
            self.feed(Input::Tick);
        }
        if now.as_millis().is_multiple_of(5_000) {
            self.measure(now);
        }
        let (due, later) = std::mem::take(&mut self.answers).into_iter().partition(|(at, _)| *at <= now);
        self.answers = later;
        let due: Vec<(Duration, Input)> = due;
        for (_, input) in due {
            if let Input::Snapshot { asset, .. } | Input::SnapshotFailed { asset, .. } = &input {
                self.under_way.remove(asset);
            }
            self.feed(input);
        }
    }

    fn look_after(&mut self, venue: Venue, now: Duration) {
        let v = venue.index();
        let Some(id) = self.conns[v].socket else {
            if now >= self.conns[v].retry_at {
                self.connect(venue, now);
            }
            return;
        };
        let mut heard = std::mem::take(&mut self.heard);
        heard.clear();
        self.exchange.hear(id, &mut heard);
        for event in heard.drain(..) {
            if self.conns[v].socket.is_none() {
                break;
            }
            if !matches!(event, Heard::Closed(_)) {
                (self.conns[v].heard, self.conns[v].probed) = (now, false);
            }
            match event {
                Heard::Frame(payload) => self.frame(venue, payload, now),
                Heard::Ping | Heard::Pong => self.feed(Input::Alive { conn: v as u16 }),
                Heard::Closed(reason) => self.down(venue, reason, now, false),
            }
        }
        self.heard = heard;
        self.keep_alive(venue, now);
    }

    fn frame(&mut self, venue: Venue, payload: Bytes, now: Duration) {
        if payload.len() > MAX_MESSAGE {
            self.down(venue, "a message is too long".to_owned(), now, false);
            return;
        }
        self.frames[venue.index()] += 1;
        let goodbye = payload.len() < 256 && payload.windows(14).any(|w| w == b"serverShutdown");
        self.feed(Input::Frame { conn: venue.index() as u16, payload });
        if goodbye {
            self.down(venue, "the venue announced a shutdown".to_owned(), now, true);
        }
    }

    fn connect(&mut self, venue: Venue, now: Duration) {
        let v = venue.index();
        let streams = if venue == Venue::Upbit { String::new() } else { self.streams().join("/") };
        let id = match self.exchange.connect(venue, &streams) {
            Ok(id) => id,
            Err(reply) => {
                self.down(venue, format!("cannot connect: status {}", reply.status), now, false);
                return;
            }
        };
        if venue == Venue::Upbit {
            self.subscribe(venue, id);
        }
        let conn = &mut self.conns[v];
        (conn.socket, conn.opened, conn.heard) = (Some(id), now, now);
        (conn.probed, conn.keep_alive) = (false, now + ms(10_000));
        self.feed(Input::ConnUp { conn: v as u16, venue });
    }

    fn codes(&self, venue: Venue) -> Vec<String> {
        self.exchange.look(|model| {
            let listed = self.members.iter().map(|i| &model.symbols()[*i].listing);
            let listed = listed.filter(|l| !self.gone.contains(&l.asset));
            listed
                .map(|l| {
                    if venue == Venue::Upbit { &l.upbit } else { &l.binance }.clone().unwrap_or_default()
                })
                .collect()
        })
    }

    fn streams(&self) -> Vec<String> {
        let codes = self.codes(Venue::Binance);
        codes.into_iter().map(|code| format!("{}@depth@100ms", code.to_ascii_lowercase())).collect()
    }

    fn subscribe(&mut self, venue: Venue, id: u64) {
        let ask = if venue == Venue::Upbit {
            let mut codes = self.codes(venue);
            codes.push("KRW-USDT".to_owned());
            let codes: Vec<String> = codes.into_iter().map(|code| format!("{code}.{}", self.depth)).collect();
            serde_json::json!([
                { "ticket": "t" }, { "type": "orderbook", "codes": codes }, { "format": "DEFAULT" }
            ])
        } else {
            serde_json::json!({ "method": "SUBSCRIBE", "params": self.streams(), "id": 1 })
        };
        self.exchange.say(id, &ask.to_string());
    }

    /// As the shell: doubling from 250 ms to 10 s, from the start again after 10 s of life.
    fn down(&mut self, venue: Venue, reason: String, now: Duration, at_once: bool) {
        let conn = &mut self.conns[venue.index()];
        if let Some(id) = conn.socket.take() {
            self.exchange.close(id);
        }
        if now - conn.opened >= ms(10_000) {
            conn.attempt = 0;
        }
        let wait = if at_once { Duration::ZERO } else { ms(250 << conn.attempt.min(6)).min(ms(10_000)) };
        conn.attempt += 1;
        conn.retry_at = now + wait;
        self.feed(Input::ConnDown { conn: venue.index() as u16, venue, reason });
    }

    fn keep_alive(&mut self, venue: Venue, now: Duration) {
        let conn = &mut self.conns[venue.index()];
        let Some(id) = conn.socket else { return };
        if venue == Venue::Upbit && now >= conn.keep_alive {
            conn.keep_alive = now + ms(10_000);
            self.exchange.say(id, "PING");
        }
        let conn = &mut self.conns[venue.index()];
        let silence = ms(if venue == Venue::Upbit { 15_000 } else { 10_000 });
        let quiet = now - conn.heard;
        if quiet >= silence {
            self.down(venue, "silent".to_owned(), now, false);
        } else if quiet >= ms(5_000) && !conn.probed {
            conn.probed = true;
            self.exchange.ping(id);
        }
    }

    fn send_requests(&mut self, now: Duration) {
        while self.under_way.len() < AT_ONCE {
            let Some((asset, epoch)) = self.asked.pop_front() else { return };
            let at = self.at();
            let venue = Venue::Binance;
            let failed = |status, wait: Duration| Input::SnapshotFailed {
                venue,
                asset,
                epoch,
                status,
                retry_after_ms: wait.as_millis() as u32,
            };
            if let Err(until) = self.budget.try_take(Group::Weight, depth_weight(SNAPSHOT_DEPTH), at, 0.8) {
                let wait = Duration::from_nanos(u64::try_from(until.since(at)).unwrap_or(0));
                self.answers.push((now, failed(429, wait)));
                continue;
            }
            let code = format!("{asset}USDT");
            let query = [("symbol", code.as_str()), ("limit", "500")];
            let reply = self.exchange.get(venue, "/api/v3/depth", &query);
            let wait = reply.header("retry-after").and_then(|s| s.parse().ok()).unwrap_or(1);
            let wait = Duration::from_secs(wait);
            if matches!(reply.status, 418 | 429) {
                self.budget.punished(at.plus(wait));
            }
            let (due, input) = if reply.delay > TIMEOUT {
                (now + TIMEOUT, failed(0, ms(1_000)))
            } else if reply.status == 200 {
                let payload = Bytes::from(reply.body);
                (now + reply.delay, Input::Snapshot { venue, asset, epoch, payload })
            } else {
                (now + reply.delay, failed(reply.status, wait))
            };
            self.under_way.insert(asset, epoch);
            self.answers.push((due + ms(50), input));
        }
    }

    fn measure(&mut self, now: Duration) {
        for venue in Venue::ALL {
            let reply = match venue {
                Venue::Upbit => {
                    self.exchange.get(venue, "/v1/orderbook/instruments", &[("markets", "KRW-USDT")])
                }
                Venue::Binance => self.exchange.get(venue, "/api/v3/time", &[]),
            };
            let rtt = (reply.delay + ms(6)).min(TIMEOUT);
            let ok = reply.status == 200 && rtt < TIMEOUT;
            let rtt_us = rtt.as_micros() as u32;
            self.answers.push((now + rtt, Input::Health { venue, rtt_us, ok }));
        }
    }

    fn ask_candles(&mut self) {
        for _ in 0..16 {
            let Some((venue, asset)) = self.candles.pop_front() else { return };
            let (krw, usdt) = (format!("KRW-{asset}"), format!("{asset}USDT"));
            let reply = match venue {
                Venue::Upbit => self.exchange.get(
                    venue,
                    "/v1/candles/minutes/1",
                    &[("market", krw.as_str()), ("count", "200")],
                ),
                Venue::Binance => self.exchange.get(
                    venue,
                    "/api/v3/klines",
                    &[("symbol", usdt.as_str()), ("interval", "1m"), ("limit", "200")],
                ),
            };
            assert_eq!(reply.status, 200, "{venue} {asset}: {}", reply.body);
            self.feed(Input::Candles { venue, asset, payload: reply.body.into() });
        }
    }

    /// How many books of the members are Live at `venue`.
    pub fn live(&self, venue: Venue) -> usize {
        let assets = self.assets();
        assets.into_iter().filter(|asset| self.core().book_state(*asset, venue) == Some("live")).count()
    }

    pub fn assets(&self) -> Vec<Asset> {
        self.exchange.look(|model| self.members.iter().map(|i| model.symbols()[*i].listing.asset).collect())
    }

    /// Runs until every book of every member is Live.
    pub fn come_up(&mut self) {
        let all = self.members.len();
        self.run_until("every book is live", ms(120_000), |c| Venue::ALL.iter().all(|v| c.live(*v) == all));
    }

    /// Lets the market stand until everything that is under way has arrived, and compares every Live book with the server's, level by
    /// level. Answers how many were compared.
    pub fn compare(&mut self) -> usize {
        self.exchange.restore();
        self.exchange.inject(exchange::Injection::of(exchange::Fault::Freeze)).unwrap();
        self.run(ms(5_000));
        let mut compared = 0;
        for index in self.members.clone() {
            for venue in Venue::ALL {
                let (asset, truth) = self.exchange.look(|model| {
                    let symbol = &model.symbols()[index];
                    let book = if venue == Venue::Upbit { &symbol.upbit } else { &symbol.binance };
                    let keep = if venue == Venue::Upbit { self.depth } else { usize::MAX };
                    let side = |i: usize| -> Vec<(i64, i128)> {
                        book[i].rungs().iter().take(keep).map(|r| (r.price, r.size.into())).collect()
                    };
                    (symbol.listing.asset, [side(0), side(1)])
                });
                let Some(levels) = self.core().levels(asset, venue) else { continue };
                compared += 1;
                let ours =
                    levels.map(|side| side.iter().map(|l| (l.price.0, l.quantity.0)).collect::<Vec<_>>());
                assert!(ours == truth, "{asset} on {venue} differs:\nours   {ours:?}\nserver {truth:?}");
            }
        }
        self.exchange.restore();
        compared
    }

    /// The texts of notes, latest last, as far as they are kept.
    pub fn notes(&self) -> Vec<&str> {
        self.entries()
            .iter()
            .filter_map(|entry| match &entry.body {
                Body::Note { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    pub fn last_notes(&self) -> String {
        let notes = self.notes();
        let conns = self.conns.each_ref().map(|c| (c.socket, c.retry_at, c.attempt, c.opened, c.heard));
        let work = (&self.asked, &self.under_way, self.answers.len(), self.budget.blocked_until(self.at()));
        let tail = notes[notes.len().saturating_sub(20)..].join("\n");
        format!("at {:?}: connections {conns:?}\nrequests {work:?}\n{tail}", self.now())
    }
}
