//! The synthetic market of the local exchange, in virtual time, as the frames that a runner would have received: recorded
//! once ([`record`]) so that every side is fed the same bytes, or generated on the way ([`Live`]) for hours of it.
//!
//! [`Options::copies`] multiplies a market: each symbol's frames appear under so many names of equal length, so that sessions
//! of 10 and of 1 000 symbols have exactly the same traffic per symbol.

use engine::{Config, Core, Effect};
use exchange::model::listing::Kind;
use exchange::model::{Changes, Model};
use exchange::{Format, MarketKind, binance_wire, orderbook_frame, upbit_wire};
use market::{Asset, Instrument, Member, Money, Price, Quantity, TickRule, Timestamp, Venue};
use recording::{Input, Record};
use std::collections::BTreeMap;
use std::time::Duration;

/// Virtual time zero, ms since 1970.
pub const START_MS: i64 = 1_790_000_000_000;
/// Frames reach us this long after the venue sent them.
const TRAVEL: Duration = Duration::from_millis(3);
/// The connection of Upbit's frames.
pub const UPBIT: u16 = 0;
/// The connection of Binance's frames.
pub const BINANCE: u16 = 1;
/// No session loses so much.
const NEVER: Money = Money::from_int(1_000_000_000);
/// Units of an Upbit frame, as the runner subscribes to them.
const UNITS: usize = 15;

/// Which market.
#[derive(Debug, Clone)]
pub struct Options {
    /// With edges to trade, or without.
    pub kind: MarketKind,
    /// Symbols of the model.
    pub symbols: usize,
    /// Names per symbol; 0 keeps the model's own tickers, anything else gives names of one length.
    pub copies: usize,
    /// Seed of the model.
    pub seed: u64,
    /// Candles per symbol and venue at the start.
    pub candles: usize,
    /// Binance's best quotes beside its diffs, as a runner subscribes to them.
    pub quotes: bool,
}

/// A model and the core that it feeds.
pub struct Live {
    model: Model,
    core: Core,
    seq: u64,
    copies: usize,
    candles: usize,
    quotes: bool,
    wanted: Vec<(Asset, u32)>,
    /// Name, index in the model, copy.
    by_asset: BTreeMap<Asset, (usize, usize)>,
    effects: Vec<Effect>,
    /// Inputs so far.
    pub inputs: u64,
    /// Of those, best quotes.
    pub quotes_fed: u64,
    /// Journal records so far.
    pub records: u64,
}

/// What sees every input and every record; the measuring part.
pub trait Watch {
    /// Applies the input to the core; must call `core.apply`.
    fn apply(&mut self, core: &mut Core, seq: u64, at: Timestamp, input: Input, out: &mut Vec<Effect>) {
        core.apply(seq, at, &input, out);
    }

    /// A record of the journal.
    fn entry(&mut self, _entry: &journal::Entry) {}
}

/// Keeps every input.
#[derive(Default)]
pub struct Keep {
    /// In order.
    pub records: Vec<Record>,
}

impl Watch for Keep {
    fn apply(&mut self, core: &mut Core, seq: u64, at: Timestamp, input: Input, out: &mut Vec<Effect>) {
        core.apply(seq, at, &input, out);
        self.records.push(Record { seq, at, input });
    }
}

/// The configuration of all sessions here: the defaults, with the pauses and limits of a rehearsal, so that something happens.
pub fn config(topn: usize) -> Config {
    Config {
        topn: u32::try_from(topn).unwrap_or(u32::MAX),
        time_limit_ms: 5_000,
        entry_pause_ms: 1_000,
        cooldown_route_ms: 5_000,
        cooldown_cross_ms: 15_000,
        // A venue's legs lose what the other's win: with the daily limits of a real session hours of market would soon stand still.
        venue_daily_loss_usd: NEVER,
        daily_loss_usd: NEVER,
        emergency_loss_usd: NEVER,
        ..Config::default()
    }
}

/// The first record of a session.
pub fn session(options: &Options) -> Record {
    let config = serde_json::to_string(&config(options.symbols * options.copies.max(1))).unwrap_or_default();
    let input = Input::Session { run_id: format!("bench-{}", options.seed), config };
    Record { seq: 1, at: Timestamp::from_millis(START_MS), input }
}

impl Live {
    /// Starts model and core and brings connections, candles and first books up.
    ///
    /// # Panics
    /// When the exchange or the core refuses its settings: a bench cannot go on then.
    pub fn start(options: &Options, watch: &mut impl Watch) -> Self {
        let model = Model::new(options.symbols, options.kind, options.seed, START_MS, &[])
            .unwrap_or_else(|e| panic!("the model: {e}"));
        let first = session(options);
        let mut effects = Vec::new();
        let core = Core::start(first.seq, first.at, &first.input, &mut effects)
            .unwrap_or_else(|e| panic!("the core: {e}"));
        let members = model.symbols().iter().enumerate().filter(|(_, symbol)| symbol.listing.is_member());
        let mut by_asset = BTreeMap::new();
        for (i, symbol) in members {
            for copy in 0..options.copies.max(1) {
                by_asset.insert(name_of(symbol.listing.asset, i, copy, options.copies), (i, copy));
            }
        }
        let mut this = Self {
            model,
            core,
            seq: 1,
            copies: options.copies,
            candles: options.candles,
            quotes: options.quotes,
            wanted: Vec::new(),
            by_asset,
            effects,
            inputs: 1,
            quotes_fed: 0,
            records: 0,
        };
        this.drain(watch);
        this.open(watch);
        this
    }

    /// The core.
    pub const fn core(&self) -> &Core {
        &self.core
    }

    /// Virtual time as the core sees it.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms()).plus(TRAVEL)
    }

    fn now_ms(&self) -> i64 {
        START_MS + i64::try_from(self.model.elapsed().as_millis()).unwrap_or(i64::MAX - START_MS)
    }

    fn drain(&mut self, watch: &mut impl Watch) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Record(entry) => {
                    self.records += 1;
                    watch.entry(&entry);
                }
                Effect::RequestSnapshot { asset, epoch, .. } => self.wanted.push((asset, epoch)),
                _ => {}
            }
        }
    }

    fn feed(&mut self, input: Input, watch: &mut impl Watch) {
        self.seq += 1;
        self.inputs += 1;
        let now = self.now();
        watch.apply(&mut self.core, self.seq, now, input, &mut self.effects);
        if !self.effects.is_empty() {
            self.drain(watch);
        }
    }

    fn open(&mut self, watch: &mut impl Watch) {
        let members: Vec<Member> =
            self.by_asset.iter().map(|(asset, (i, _))| member(&self.model, *i, *asset)).collect();
        let asked = u32::try_from(members.len()).unwrap_or(u32::MAX);
        self.feed(Input::Universe { asked, members }, watch);
        self.feed(Input::ConnUp { conn: UPBIT, venue: Venue::Upbit }, watch);
        self.feed(Input::ConnUp { conn: BINANCE, venue: Venue::Binance }, watch);
        for venue in Venue::ALL {
            self.feed(Input::Health { venue, rtt_us: 6_000, ok: true }, watch);
        }
        let fx = self.model.symbols().iter().position(|s| s.listing.kind == Kind::Fx);
        let all: Vec<(Asset, usize)> = self.by_asset.iter().map(|(asset, (i, _))| (*asset, *i)).collect();
        for (asset, index) in fx.map(|i| (Asset::USDT, i)).into_iter().chain(all) {
            self.candles(asset, index, watch);
        }
        for index in 0..self.model.symbols().len() {
            if self.subscribed(index) {
                self.upbit_frames(index, "SNAPSHOT", watch);
            }
        }
    }

    fn candles(&mut self, asset: Asset, index: usize, watch: &mut impl Watch) {
        let symbol = &self.model.symbols()[index];
        let (code, rate) = (symbol.listing.upbit.clone().unwrap_or_default(), self.model.fx_mid());
        let rows = self.model.upbit_candles(index, self.candles);
        let rows: Vec<String> = rows.iter().map(|c| upbit_wire::candle(symbol, &code, c, rate)).collect();
        let upbit = format!("[{}]", rows.join(",")).into();
        // Binance's candles come oldest first.
        let rows = self.model.binance_candles(index, self.candles);
        let rows: Vec<String> = rows.iter().rev().map(|c| binance_wire::kline(symbol, c)).collect();
        let binance = format!("[{}]", rows.join(",")).into();
        self.feed(Input::Candles { venue: Venue::Upbit, asset, payload: upbit }, watch);
        if asset != Asset::USDT {
            self.feed(Input::Candles { venue: Venue::Binance, asset, payload: binance }, watch);
        }
    }

    /// Whether a symbol is one that we would have subscribed to.
    fn subscribed(&self, index: usize) -> bool {
        matches!(self.model.symbols()[index].listing.kind, Kind::Member | Kind::Fx)
    }

    fn upbit_frames(&mut self, index: usize, stream: &str, watch: &mut impl Watch) {
        let (asset, fx) = (self.model.symbols()[index].listing.asset, !self.is_member(index));
        for copy in 0..if fx { 1 } else { self.copies.max(1) } {
            let symbol = &self.model.symbols()[index];
            let name = if fx { asset } else { name_of(asset, index, copy, self.copies) };
            let [bids, asks] = &symbol.upbit;
            let (code, now) = (format!("KRW-{name}"), self.now_ms());
            let frame =
                orderbook_frame(Format::Default, &code, now, bids.rungs(), asks.rungs(), UNITS, stream);
            self.feed(Input::Frame { conn: UPBIT, payload: frame.into() }, watch);
        }
    }

    fn is_member(&self, index: usize) -> bool {
        self.model.symbols()[index].listing.is_member()
    }

    fn binance_frames(&mut self, index: usize, watch: &mut impl Watch) {
        let diff = binance_wire::depth_update(&self.model.symbols()[index], self.now_ms());
        let asset = self.model.symbols()[index].listing.asset;
        for copy in 0..self.copies.max(1) {
            let name = name_of(asset, index, copy, self.copies);
            let named = if self.copies == 0 {
                diff.clone()
            } else {
                diff.replacen(&format!("\"{asset}USDT\""), &format!("\"{name}USDT\""), 1)
            };
            let payload = binance_wire::envelope("x@depth@100ms", &named).into();
            self.feed(Input::Frame { conn: BINANCE, payload }, watch);
        }
    }

    fn quote(&mut self, index: usize, watch: &mut impl Watch) {
        let quote = binance_wire::book_ticker(&self.model.symbols()[index], false);
        let asset = self.model.symbols()[index].listing.asset;
        for copy in 0..self.copies.max(1) {
            let name = name_of(asset, index, copy, self.copies);
            let named = if self.copies == 0 {
                quote.clone()
            } else {
                quote.replacen(&format!("\"{asset}USDT\""), &format!("\"{name}USDT\""), 1)
            };
            self.quotes_fed += 1;
            let payload = binance_wire::envelope("x@bookTicker", &named).into();
            self.feed(Input::Frame { conn: BINANCE, payload }, watch);
        }
    }

    /// The model keeps so many candles of its own instead of a day of them.
    pub fn keep_candles(&mut self, count: usize) {
        self.model.keep_candles(count);
    }

    /// 50 ms of market.
    pub fn step(&mut self, watch: &mut impl Watch) {
        for (asset, epoch) in std::mem::take(&mut self.wanted) {
            if let Some((i, _)) = self.by_asset.get(&asset) {
                let payload = binance_wire::book(&self.model.symbols()[*i], 500).into();
                self.feed(Input::Snapshot { venue: Venue::Binance, asset, epoch, payload }, watch);
            }
        }
        let mut changes = Changes::default();
        self.model.step(&mut changes);
        for index in changes.upbit {
            if self.subscribed(index) {
                self.upbit_frames(index, "REALTIME", watch);
            }
        }
        for index in std::mem::take(&mut changes.tops) {
            if self.quotes && self.is_member(index) {
                self.quote(index, watch);
            }
        }
        for index in changes.binance {
            if self.is_member(index) {
                self.binance_frames(index, watch);
            }
            let symbol = self.model.symbol_mut(index);
            symbol.published_id = symbol.update_id;
            symbol.pending.clear();
        }
        if self.model.elapsed().as_millis().is_multiple_of(1_000) {
            self.feed(Input::Tick, watch);
        }
        // A measured round trip and a pong every ten seconds, as the shell brings them.
        if self.model.elapsed().as_millis().is_multiple_of(10_000) {
            for (venue, conn) in [(Venue::Upbit, UPBIT), (Venue::Binance, BINANCE)] {
                self.feed(Input::Health { venue, rtt_us: 6_000, ok: true }, watch);
                self.feed(Input::Alive { conn }, watch);
            }
        }
    }

    /// So many seconds of market.
    pub fn run(&mut self, seconds: u32, watch: &mut impl Watch) {
        for _ in 0..seconds * 20 {
            self.step(watch);
        }
    }
}

/// A session of so many seconds as the log that a runner would have written, and how many records bring it up.
pub fn record(options: &Options, seconds: u32) -> (Vec<Record>, usize) {
    let mut keep = Keep { records: vec![session(options)] };
    let mut live = Live::start(options, &mut keep);
    // Snapshots arrive with the first steps.
    live.run(2, &mut keep);
    let warm = keep.records.len();
    live.run(seconds, &mut keep);
    (keep.records, warm)
}

/// The name of a copy.
fn name_of(asset: Asset, index: usize, copy: usize, copies: usize) -> Asset {
    if copies == 0 {
        return asset;
    }
    let name = format!("X{:05}", copy * 1_000 + index);
    Asset::new(&name).unwrap_or(asset)
}

fn member(model: &Model, index: usize, asset: Asset) -> Member {
    let listing = &model.symbols()[index].listing;
    let instrument = |venue: Venue| {
        let upbit = venue == Venue::Upbit;
        let lot = Quantity(if upbit { 1 } else { listing.lot.into() });
        Instrument {
            venue,
            asset,
            code: if upbit { format!("KRW-{asset}") } else { format!("{asset}USDT") },
            tick: if upbit { TickRule::KrwBands } else { TickRule::Fixed(Price(listing.tick)) },
            lot,
            min_quantity: lot,
            max_quantity: Quantity::ZERO,
            min_notional: Money::from_int(if upbit { 5_000 } else { 5 }),
        }
    };
    Member {
        asset,
        upbit: instrument(Venue::Upbit),
        binance: instrument(Venue::Binance),
        turnover_usdt: Money::from_int(2_000_000),
    }
}
