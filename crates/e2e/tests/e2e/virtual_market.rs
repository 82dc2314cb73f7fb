//! The engine against the synthetic market in virtual time: the exchange's own frames through the engine's own parser, no
//! socket, no clock. What takes a minute live takes a fraction of a second here, so that seeds can be counted in dozens.

use engine::recover::State;
use engine::{Config, Core, Effect};
use exchange::model::listing::Kind;
use exchange::model::{Changes, Model};
use exchange::{Format, MarketKind, PlantedGap, binance_wire, orderbook_frame, upbit_wire};
use journal::record::{Body, Direction, ExitReason};
use journal::{Entry, file};
use market::{Asset, Instrument, Member, Money, Price, Quantity, TickRule, Timestamp, Venue};
use recording::{Input, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const START_MS: i64 = 1_790_000_000_000;
/// Frames reach us this long after the venue sent them.
const TRAVEL: Duration = Duration::from_millis(3);
const UPBIT: u16 = 0;
const BINANCE: u16 = 1;
/// Steps (of 50 ms) in which the level is seeded and every book comes up.
const WARM_UP: u32 = 20;

pub struct Session {
    model: Model,
    pub core: Core,
    pub seq: u64,
    pub entries: Vec<Entry>,
    /// The input log.
    pub log: Vec<Record>,
    /// What a recovery from the journal gives.
    pub recovered: State,
    /// Called after every input.
    pub looks: fn(&Self, &mut BTreeSet<&'static str>),
    /// What it saw.
    pub seen: BTreeSet<&'static str>,
    wanted: Vec<(Asset, u32)>,
    by_asset: BTreeMap<Asset, usize>,
}

/// The rehearsal's engine settings.
fn config(topn: usize) -> Config {
    Config {
        topn: topn as u32,
        time_limit_ms: 5_000,
        entry_pause_ms: 1_000,
        cooldown_route_ms: 5_000,
        cooldown_cross_ms: 15_000,
        ..Config::default()
    }
}

impl Session {
    pub fn start(kind: MarketKind, seed: u64, topn: usize, planted: &[PlantedGap]) -> Self {
        let model = Model::new(topn, kind, seed, START_MS, planted).unwrap();
        let session = Input::Session {
            run_id: format!("virtual-{seed}"),
            config: serde_json::to_string(&config(topn)).unwrap(),
        };
        let mut effects = Vec::new();
        let at = Timestamp::from_millis(START_MS);
        let core = Core::start(1, at, &session, &mut effects).unwrap();
        let members = model.symbols().iter().enumerate().filter(|(_, symbol)| symbol.listing.is_member());
        let by_asset: BTreeMap<Asset, usize> = members.map(|(i, symbol)| (symbol.listing.asset, i)).collect();
        let mut this = Self {
            model,
            core,
            seq: 1,
            entries: Vec::new(),
            log: vec![Record { seq: 1, at, input: session }],
            recovered: State::new(),
            looks: |_, _| {},
            seen: BTreeSet::new(),
            wanted: Vec::new(),
            by_asset,
        };
        this.take(effects);
        this.open();
        this
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(START_MS + self.model.elapsed().as_millis() as i64).plus(TRAVEL)
    }

    pub fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Record(entry) => {
                    self.recovered.fold(&entry).unwrap();
                    self.entries.push(entry);
                }
                Effect::RequestSnapshot { asset, epoch, .. } => self.wanted.push((asset, epoch)),
                Effect::Finished | Effect::EmergencyExit => {}
            }
        }
    }

    pub fn feed(&mut self, input: &Input) {
        self.seq += 1;
        let mut effects = Vec::new();
        self.core.apply(self.seq, self.now(), input, &mut effects);
        self.log.push(Record { seq: self.seq, at: self.now(), input: input.clone() });
        self.take(effects);
        let (looks, mut seen) = (self.looks, std::mem::take(&mut self.seen));
        looks(self, &mut seen);
        self.seen = seen;
    }

    /// What a session begins with, and one that goes on.
    pub fn open(&mut self) {
        let members: Vec<Member> = self.by_asset.values().map(|i| member(&self.model, *i)).collect();
        self.feed(&Input::Universe { asked: members.len() as u32, members });
        self.feed(&Input::ConnUp { conn: UPBIT, venue: Venue::Upbit });
        self.feed(&Input::ConnUp { conn: BINANCE, venue: Venue::Binance });
        for venue in Venue::ALL {
            self.feed(&Input::Health { venue, rtt_us: 6_000, ok: true });
        }
        let fx = self.model.symbols().iter().position(|symbol| symbol.listing.kind == Kind::Fx).unwrap();
        for index in std::iter::once(fx).chain(self.by_asset.values().copied().collect::<Vec<_>>()) {
            self.upbit_frame(index, "SNAPSHOT");
            let symbol = &self.model.symbols()[index];
            let (asset, code) = (symbol.listing.asset, symbol.listing.upbit.clone().unwrap());
            let rate = self.model.fx_mid();
            let rows = self.model.upbit_candles(index, 200);
            let rows: Vec<String> = rows.iter().map(|c| upbit_wire::candle(symbol, &code, c, rate)).collect();
            let payload = format!("[{}]", rows.join(",")).into();
            self.feed(&Input::Candles { venue: Venue::Upbit, asset, payload });
            if index != fx {
                let symbol = &self.model.symbols()[index];
                // Binance's candles come oldest first.
                let rows = self.model.binance_candles(index, 200);
                let rows: Vec<String> = rows.iter().rev().map(|c| binance_wire::kline(symbol, c)).collect();
                let payload = format!("[{}]", rows.join(",")).into();
                self.feed(&Input::Candles { venue: Venue::Binance, asset, payload });
            }
        }
    }

    fn upbit_frame(&mut self, index: usize, stream: &str) {
        let symbol = &self.model.symbols()[index];
        let Some(code) = symbol.listing.upbit.as_deref() else { return };
        let now_ms = START_MS + self.model.elapsed().as_millis() as i64;
        let [bids, asks] = &symbol.upbit;
        let frame = orderbook_frame(Format::Default, code, now_ms, bids.rungs(), asks.rungs(), 15, stream);
        self.feed(&Input::Frame { conn: UPBIT, payload: frame.into() });
    }

    /// Whether a symbol is one that we would have subscribed to.
    fn subscribed(&self, index: usize) -> bool {
        matches!(self.model.symbols()[index].listing.kind, Kind::Member | Kind::Fx)
    }

    pub fn step(&mut self) {
        for (asset, epoch) in std::mem::take(&mut self.wanted) {
            let payload = binance_wire::book(&self.model.symbols()[self.by_asset[&asset]], 500).into();
            self.feed(&Input::Snapshot { venue: Venue::Binance, asset, epoch, payload });
        }
        let mut changes = Changes::default();
        self.model.step(false, &mut changes);
        for index in changes.upbit {
            if self.subscribed(index) {
                self.upbit_frame(index, "REALTIME");
            }
        }
        for index in changes.binance {
            if self.model.symbols()[index].listing.is_member() {
                let now_ms = START_MS + self.model.elapsed().as_millis() as i64;
                let diff = binance_wire::depth_update(&self.model.symbols()[index], now_ms);
                let payload = binance_wire::envelope("x@depth@100ms", &diff).into();
                self.feed(&Input::Frame { conn: BINANCE, payload });
            }
            let symbol = self.model.symbol_mut(index);
            symbol.published_id = symbol.update_id;
            symbol.pending.clear();
        }
        if self.model.elapsed().as_millis().is_multiple_of(1_000) {
            self.feed(&Input::Tick);
        }
    }

    /// Runs for so long and ends in order.
    pub fn run(mut self, seconds: u32) -> Vec<Entry> {
        self.go(seconds);
        self.entries
    }

    /// As [`Self::run`], keeping everything.
    pub fn go(&mut self, seconds: u32) {
        for _ in 0..WARM_UP + seconds * 20 {
            self.step();
        }
        self.feed(&Input::Shutdown);
        for _ in 0..200 {
            self.step();
        }
    }

    /// A new process: what was asked for is forgotten.
    pub fn forget_requests(&mut self) {
        self.wanted.clear();
    }
}

fn member(model: &Model, index: usize) -> Member {
    let listing = &model.symbols()[index].listing;
    let instrument = |venue, code: &Option<String>| Instrument {
        venue,
        asset: listing.asset,
        code: code.clone().unwrap(),
        tick: if venue == Venue::Upbit { TickRule::KrwBands } else { TickRule::Fixed(Price(listing.tick)) },
        lot: Quantity(if venue == Venue::Upbit { 1 } else { listing.lot.into() }),
        min_quantity: Quantity(if venue == Venue::Upbit { 1 } else { listing.lot.into() }),
        max_quantity: Quantity::ZERO,
        min_notional: Money::from_int(if venue == Venue::Upbit { 5_000 } else { 5 }),
    };
    Member {
        asset: listing.asset,
        upbit: instrument(Venue::Upbit, &listing.upbit),
        binance: instrument(Venue::Binance, &listing.binance),
        turnover_usdt: Money::from_int(2_000_000),
    }
}

fn closes(entries: &[Entry]) -> Vec<(Asset, Direction, ExitReason, Money)> {
    entries
        .iter()
        .filter_map(|entry| match entry.body {
            Body::Closed { asset, direction, reason, net_usd, .. } => {
                Some((asset, direction, reason, net_usd))
            }
            _ => None,
        })
        .collect()
}

/// How often the engine looked, and how often it sent orders.
fn looked_and_sent(entries: &[Entry]) -> (u64, usize) {
    let looked = entries.iter().filter_map(|entry| match &entry.body {
        Body::Funnel { asset: None, counts } => counts.get("evaluated"),
        _ => None,
    });
    (looked.sum(), entries.iter().filter(|entry| matches!(entry.body, Body::Order { .. })).count())
}

#[test]
fn a_market_without_edge_never_trades() {
    for seed in 0..20 {
        let entries = Session::start(MarketKind::Calm, seed, 30, &[]).run(60);
        let (looked, sent) = looked_and_sent(&entries);
        assert!(
            looked > 10_000,
            "seed {seed}: only {looked} evaluations: the market never reached the engine"
        );
        assert_eq!(sent, 0, "seed {seed}: orders on a market that offers nothing");
    }
}

#[test]
fn a_planted_gap_is_traded_with_a_profit_in_both_directions() {
    for (bps, direction) in [(80.0, Direction::BuyBinance), (-80.0, Direction::BuyUpbit)] {
        let gap = PlantedGap { asset: None, bps, at: Duration::from_secs(6), lasts: Duration::from_secs(3) };
        let entries = Session::start(MarketKind::Calm, 3, 20, std::slice::from_ref(&gap)).run(20);
        let closed = closes(&entries);
        assert!(!closed.is_empty(), "{bps} bps: never traded");
        for (asset, went, reason, net) in closed {
            assert_eq!((went, reason), (direction, ExitReason::TakeProfit), "{asset} at {bps} bps");
            assert!(net > Money::ZERO, "{asset} at {bps} bps: {net} USD");
        }
    }
}

#[test]
fn an_edge_market_is_traded_and_every_kind_of_exit_occurs() {
    let mut reasons = BTreeSet::new();
    for seed in 0..5 {
        let entries = Session::start(MarketKind::Edge, seed, 50, &[]).run(60);
        let closed = closes(&entries);
        let by_market = closed.iter().filter(|close| close.2 != ExitReason::Shutdown).count();
        assert!(by_market >= 10, "seed {seed}: {by_market} round trips");
        reasons.extend(closed.into_iter().map(|close| close.2));
    }
    for reason in
        [ExitReason::TakeProfit, ExitReason::StopLoss, ExitReason::TimeLimit, ExitReason::SpreadReversal]
    {
        assert!(reasons.contains(&reason), "{reason:?} never occurred in {reasons:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_journal() {
    let journal = || {
        let mut bytes = Vec::new();
        for entry in Session::start(MarketKind::Edge, 11, 30, &[]).run(20) {
            file::encode(&entry, &mut bytes);
        }
        bytes
    };
    assert_eq!(journal(), journal());
}

/// The judge's own accounting over the engine's journals: the two share no code beyond the exact numbers.
#[test]
fn the_judge_adds_up_to_the_same() {
    for seed in 0..5 {
        let entries = Session::start(MarketKind::Edge, 100 + seed, 50, &[]).run(60);
        let accounts = gate::account(&entries).unwrap();
        assert!(accounts.problems.is_empty(), "seed {seed}: {:?}", accounts.problems);
    }
}
