//! Input logs made in virtual time: a market of the local exchange, in the venues' own frames, as a recorder would have
//! written it. No socket, no clock: what takes ten days live takes a minute here, and the same seed gives the same bytes.
//!
//! What lives here: [`VirtualMarket`], which turns a model's books into inputs and hands them to a [`Sink`]; the sinks;
//! [`write_log`], which is `assay exchange --write-log`. What does not: the market (`exchange`), decisions (`engine`).
//!
//! A synthetic market moves in its own steps of 50 ms. Real price paths leap: every two seconds a third of the symbols is
//! quoted on both venues (so each every six), all of them at each common five-minute instant, and the symbol of a planted
//! gap four times a second, from two seconds before it opens until ten after it has closed. No venue is silent for more than 2 s.

use engine::{Config, Core, Effect, StartError};
use exchange::model::listing::Kind;
use exchange::model::paths::INSTANT_MINUTES;
use exchange::model::{Changes, Model};
use exchange::{
    ExchangeError, Format, MarketKind, PlantedGap, Prices, binance_wire, orderbook_frame, upbit_wire,
};
use journal::Entry;
use market::{Asset, Instrument, Member, Money, Price, Quantity, TickRule, Timestamp, Venue};
use recording::file::{FileError, Writer};
use recording::{Input, Record};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The venues' time at virtual zero of a synthetic market, ms since 1970.
pub const START_MS: i64 = 1_790_000_000_000;
/// Frames reach us this long after the venue sent them.
const TRAVEL: Duration = Duration::from_millis(3);
const UPBIT: u16 = 0;
const BINANCE: u16 = 1;
/// Candles per market, as a runner asks for them.
const CANDLES: usize = 200;
/// Between two leaps along price paths.
const SLOT: Duration = Duration::from_secs(2);
/// Each symbol has its turn every so many leaps.
const TURNS: u128 = 3;
/// Between two quotes of a symbol around a gap planted in it. No shorter: with 50 messages in 10 s a venue's message rate
/// would count for its health, and the end of the stretch would look like an outage.
const DENSE: Duration = Duration::from_millis(250);
const INSTANT_MS: i64 = INSTANT_MINUTES * 60_000;
const DENSE_BEFORE: Duration = Duration::from_secs(2);
const DENSE_AFTER: Duration = Duration::from_secs(10);
/// How long a log's writer asks a core which snapshots it wants: a market without faults wants none later.
const SETTLED: Duration = Duration::from_secs(60);
/// Positions get so long to close after the shutdown.
const CLOSING: Duration = Duration::from_secs(10);

/// A snapshot that the core asks for.
pub type Wanted = (Asset, u32);

/// Why no log was made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// No market.
    #[error(transparent)]
    Market(#[from] ExchangeError),
    /// The engine refuses the session.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The log cannot be written.
    #[error("{0}; choose a file that is not there yet, in a folder with room")]
    File(#[from] FileError),
    /// The prices end before the log does.
    #[error(
        "the price paths go on for {have_s} s from there, which is less than the {want_s} s asked for; ask for less"
    )]
    TooLong {
        /// What the paths hold, seconds.
        have_s: u64,
        /// What was asked for, seconds.
        want_s: u64,
    },
}

/// Where inputs go. It answers with the snapshots that the engine asks for then.
pub trait Sink {
    /// Takes the next record.
    ///
    /// # Errors
    /// [`GenerateError`].
    fn take(&mut self, record: Record) -> Result<Vec<Wanted>, GenerateError>;
}

/// An engine session in memory, with the journal that it makes.
#[derive(Debug, Default)]
pub struct InMemory {
    core: Option<Core>,
    /// The journal's records.
    pub entries: Vec<Entry>,
    /// What the engine wants of its subscriptions, oldest first: changes of the universe, and the same once more.
    pub streams: Vec<Effect>,
}

impl InMemory {
    /// The core, once the session has begun.
    pub const fn core(&self) -> Option<&Core> {
        self.core.as_ref()
    }
}

impl Sink for InMemory {
    fn take(&mut self, record: Record) -> Result<Vec<Wanted>, GenerateError> {
        let mut effects = Vec::new();
        match &mut self.core {
            Some(core) => core.apply(record.seq, record.at, &record.input, &mut effects),
            None => self.core = Some(Core::start(record.seq, record.at, &record.input, &mut effects)?),
        }
        let mut wanted = Vec::new();
        for effect in effects {
            match effect {
                Effect::Record(entry) => self.entries.push(entry),
                Effect::RequestSnapshot { asset, epoch, .. } => wanted.push((asset, epoch)),
                effect @ (Effect::Watch { .. } | Effect::Resubscribe { .. }) => self.streams.push(effect),
                Effect::Finished | Effect::EmergencyExit => {}
            }
        }
        Ok(wanted)
    }
}

/// An input log. A core runs along until every book is up, so that the answers carry the epochs it will ask with.
#[derive(Debug)]
struct Log {
    writer: Writer,
    session: Option<InMemory>,
    until: Option<Timestamp>,
    records: u64,
}

impl Sink for Log {
    fn take(&mut self, record: Record) -> Result<Vec<Wanted>, GenerateError> {
        self.writer.push(&record)?;
        self.records += 1;
        let until = *self.until.get_or_insert(record.at.plus(SETTLED));
        if record.at > until {
            self.session = None;
        }
        let Some(session) = &mut self.session else { return Ok(Vec::new()) };
        session.entries.clear();
        // A log in virtual time has all books from the start.
        session.streams.clear();
        session.take(record)
    }
}

/// A market in virtual time.
#[derive(Debug)]
pub struct VirtualMarket<S> {
    model: Model,
    sink: S,
    start_ms: i64,
    depth: usize,
    seq: u64,
    wanted: Vec<Wanted>,
    by_asset: BTreeMap<Asset, usize>,
    fx: usize,
    changes: Changes,
    /// Which symbol is quoted often, from when until when.
    dense: Vec<(usize, Duration, Duration)>,
}

impl<S: Sink> VirtualMarket<S> {
    /// A session on a synthetic market.
    ///
    /// # Errors
    /// [`GenerateError`].
    pub fn synthetic(
        symbols: usize,
        kind: MarketKind,
        seed: u64,
        planted: &[PlantedGap],
        run_id: &str,
        config: &Config,
        sink: S,
    ) -> Result<Self, GenerateError> {
        let model = Model::new(symbols, kind, seed, START_MS, planted)?;
        Self::open(model, START_MS, 15, planted, run_id, config, sink)
    }

    /// A session on real price paths, at the paths' own time. Frames carry five levels a side.
    ///
    /// # Errors
    /// [`GenerateError`].
    pub fn walking(
        prices: &Prices,
        seed: u64,
        planted: &[PlantedGap],
        run_id: &str,
        config: &Config,
        sink: S,
    ) -> Result<Self, GenerateError> {
        let start_ms = prices.start_ms();
        let paths = Arc::clone(&prices.paths);
        let model = Model::walking(paths, Some(start_ms), seed, start_ms, planted)?;
        Self::open(model, start_ms, 5, planted, run_id, config, sink)
    }

    fn open(
        model: Model,
        start_ms: i64,
        depth: usize,
        planted: &[PlantedGap],
        run_id: &str,
        config: &Config,
        sink: S,
    ) -> Result<Self, GenerateError> {
        let members = model.symbols().iter().enumerate().filter(|(_, symbol)| symbol.listing.is_member());
        let by_asset: BTreeMap<Asset, usize> = members.map(|(i, symbol)| (symbol.listing.asset, i)).collect();
        let fx = model.symbols().iter().position(|symbol| symbol.listing.kind == Kind::Fx);
        let dense = planted
            .iter()
            .map(|gap| {
                // The first member's, where none is named.
                let index = gap.asset.and_then(|asset| by_asset.get(&asset).copied()).unwrap_or(0);
                (index, gap.at.saturating_sub(DENSE_BEFORE), gap.at + gap.lasts + DENSE_AFTER)
            })
            .collect();
        let mut this = Self {
            model,
            sink,
            start_ms,
            depth,
            seq: 0,
            wanted: Vec::new(),
            by_asset,
            // Every market of the exchange lists it.
            fx: fx.unwrap_or_default(),
            changes: Changes::default(),
            dense,
        };
        let config = serde_json::to_string(config).map_err(StartError::from)?;
        this.feed(Input::Session { run_id: run_id.to_owned(), config })?;
        this.first_inputs()?;
        Ok(this)
    }

    /// The model.
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Where the inputs go.
    pub const fn sink(&self) -> &S {
        &self.sink
    }

    /// The sink, to change it.
    pub const fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// The process behind the sink was killed and another one goes on with this input: what was asked for is forgotten, and
    /// everything that a start brings comes again.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn go_on(&mut self, resume: Input) -> Result<(), GenerateError> {
        self.wanted.clear();
        self.feed(resume)?;
        self.first_inputs()
    }

    /// The sink, at the end.
    pub fn into_sink(self) -> S {
        self.sink
    }

    fn venue_ms(&self) -> i64 {
        self.start_ms + self.model.elapsed().as_millis() as i64
    }

    /// Hands in an input at this instant.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn feed(&mut self, input: Input) -> Result<(), GenerateError> {
        self.seq += 1;
        let mut at = Timestamp::from_millis(self.venue_ms());
        if self.seq > 1 {
            at = at.plus(TRAVEL);
        }
        self.wanted.extend(self.sink.take(Record { seq: self.seq, at, input })?);
        Ok(())
    }

    /// What a runner's start brings: universe, connections, health, first books, candles.
    fn first_inputs(&mut self) -> Result<(), GenerateError> {
        let indices: Vec<usize> = self.by_asset.values().copied().collect();
        let members: Vec<Member> = indices.iter().map(|i| member(&self.model, *i)).collect();
        self.feed(Input::Universe { asked: members.len() as u32, members })?;
        self.feed(Input::ConnUp { conn: UPBIT, venue: Venue::Upbit })?;
        self.feed(Input::ConnUp { conn: BINANCE, venue: Venue::Binance })?;
        for venue in Venue::ALL {
            self.feed(Input::Health { venue, rtt_us: 6_000, ok: true })?;
        }
        for index in std::iter::once(self.fx).chain(indices) {
            self.upbit_frame(index, "SNAPSHOT")?;
            let asset = self.model.symbols()[index].listing.asset;
            self.feed(Input::Candles { venue: Venue::Upbit, asset, payload: self.upbit_candles(index) })?;
            if index != self.fx {
                let payload = self.binance_candles(index);
                self.feed(Input::Candles { venue: Venue::Binance, asset, payload })?;
            }
        }
        Ok(())
    }

    fn upbit_candles(&self, index: usize) -> bytes::Bytes {
        let symbol = &self.model.symbols()[index];
        let (code, rate) = (symbol.listing.upbit.as_deref().unwrap_or_default(), self.model.fx_mid());
        let rows = self.model.upbit_candles(index, CANDLES);
        let rows: Vec<String> = rows.iter().map(|c| upbit_wire::candle(symbol, code, c, rate)).collect();
        format!("[{}]", rows.join(",")).into()
    }

    fn binance_candles(&self, index: usize) -> bytes::Bytes {
        let symbol = &self.model.symbols()[index];
        let rows = self.model.binance_candles(index, CANDLES);
        // Binance's candles come oldest first.
        let rows: Vec<String> = rows.iter().rev().map(|c| binance_wire::kline(symbol, c)).collect();
        format!("[{}]", rows.join(",")).into()
    }

    fn upbit_frame(&mut self, index: usize, stream: &str) -> Result<(), GenerateError> {
        let now_ms = self.venue_ms();
        let symbol = &self.model.symbols()[index];
        let Some(code) = symbol.listing.upbit.as_deref() else { return Ok(()) };
        let [bids, asks] = &symbol.upbit;
        let frame =
            orderbook_frame(Format::Default, code, now_ms, bids.rungs(), asks.rungs(), self.depth, stream);
        self.feed(Input::Frame { conn: UPBIT, payload: frame.into() })
    }

    /// One step of 50 ms.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn step(&mut self) -> Result<(), GenerateError> {
        self.answer()?;
        let mut changes = std::mem::take(&mut self.changes);
        self.model.step(&mut changes);
        self.publish(changes)?;
        if self.model.elapsed().as_millis().is_multiple_of(1_000) {
            self.feed(Input::Tick)?;
        }
        Ok(())
    }

    /// One leap along price paths.
    fn leap(&mut self) -> Result<(), GenerateError> {
        self.answer()?;
        let now = self.model.elapsed();
        let to = self.next_leap(now);
        let is_slot = to.as_millis().is_multiple_of(SLOT.as_millis());
        let at_ms = self.start_ms + to.as_millis() as i64;
        let everyone = at_ms % INSTANT_MS == 0;
        let turn = to.as_millis() / SLOT.as_millis();
        let has_turn = |index: usize| {
            everyone
                || (is_slot && index as u128 % TURNS == turn % TURNS)
                || self.dense.iter().any(|(of, from, until)| *of == index && *from <= to && to < *until)
        };
        let listed = self.by_asset.values().copied().chain([self.fx]);
        let mut which: Vec<usize> = listed.filter(|index| has_turn(*index)).collect();
        // The rate first: what is valued at an instant is valued at the instant's rate.
        which.sort_by_key(|index| *index != self.fx);
        let mut changes = std::mem::take(&mut self.changes);
        self.model.leap(to, &which, &mut changes);
        self.publish(changes)
    }

    /// The next slot, common instant, or step of a dense stretch.
    fn next_leap(&self, now: Duration) -> Duration {
        let slot = SLOT * (now.as_millis() / SLOT.as_millis() + 1) as u32;
        let until_instant = INSTANT_MS - (self.start_ms + now.as_millis() as i64).rem_euclid(INSTANT_MS);
        let instant = now + Duration::from_millis(until_instant as u64);
        let steps = self.dense.iter().filter_map(|(_, from, until)| {
            let step = if now < *from { *from } else { now + DENSE };
            (step < *until).then_some(step)
        });
        steps.chain([slot, instant]).min().unwrap_or(slot)
    }

    fn answer(&mut self) -> Result<(), GenerateError> {
        for (asset, epoch) in std::mem::take(&mut self.wanted) {
            let payload = binance_wire::book(&self.model.symbols()[self.by_asset[&asset]], 500).into();
            self.feed(Input::Snapshot { venue: Venue::Binance, asset, epoch, payload })?;
        }
        Ok(())
    }

    fn publish(&mut self, changes: Changes) -> Result<(), GenerateError> {
        let now_ms = self.venue_ms();
        for &index in &changes.upbit {
            // Whether a symbol is one that a runner would have subscribed to.
            if matches!(self.model.symbols()[index].listing.kind, Kind::Member | Kind::Fx) {
                self.upbit_frame(index, "REALTIME")?;
            }
        }
        for &index in &changes.binance {
            if self.model.symbols()[index].listing.is_member() {
                let diff = binance_wire::depth_update(&self.model.symbols()[index], now_ms);
                let payload = binance_wire::envelope("x@depth@100ms", &diff).into();
                self.feed(Input::Frame { conn: BINANCE, payload })?;
            }
            let symbol = self.model.symbol_mut(index);
            symbol.published_id = symbol.update_id;
            symbol.pending.clear();
        }
        self.changes = changes;
        Ok(())
    }

    /// Runs until virtual time `until`, calling `seen` after each step or leap.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn run(&mut self, until: Duration, mut seen: impl FnMut(&Self)) -> Result<(), GenerateError> {
        let walks = self.model.source().is_some();
        while self.model.elapsed() < until {
            if walks {
                self.leap()?;
            } else {
                self.step()?;
            }
            seen(self);
        }
        Ok(())
    }

    /// The orderly end: no entries from now on, and time to close.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn end(&mut self) -> Result<(), GenerateError> {
        self.feed(Input::Shutdown)?;
        let until = self.model.elapsed() + CLOSING;
        self.run(until, |_| {})
    }
}

/// A symbol as a member of the universe.
pub fn member(model: &Model, index: usize) -> Member {
    let listing = &model.symbols()[index].listing;
    let instrument = |venue, code: &Option<String>| Instrument {
        venue,
        asset: listing.asset,
        code: code.clone().unwrap_or_default(),
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

/// What log to make.
#[derive(Debug)]
pub struct Plan {
    /// Real price paths; a synthetic market when left out.
    pub prices: Option<Prices>,
    /// Symbols of a synthetic market.
    pub symbols: usize,
    /// The kind of a synthetic market.
    pub kind: MarketKind,
    /// The seed.
    pub seed: u64,
    /// Gaps on top.
    pub planted: Vec<PlantedGap>,
    /// How long; all of the price paths, or ten minutes, when left out.
    pub lasts: Option<Duration>,
    /// The engine's configuration.
    pub config: Config,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Inputs.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Virtual time.
    pub lasts: Duration,
}

/// Writes an input log that `assay replay` takes.
///
/// # Errors
/// [`GenerateError`].
pub fn write_log(plan: &Plan, path: &Path) -> Result<Written, GenerateError> {
    let Plan { seed, planted, config, .. } = plan;
    let lasts = lasts(plan)?;
    // What is wrong with the plan is said before a file stands there.
    config.check().map_err(StartError::from)?;
    let run_id = format!("generated-{}-{seed}", plan.prices.as_ref().map_or(plan.kind.name(), |_| "prices"));
    let log = |writer| Log { writer, session: Some(InMemory::default()), until: None, records: 0 };
    let mut virtual_market = match &plan.prices {
        Some(prices) => {
            prices.check()?;
            let sink = log(Writer::create(path)?);
            VirtualMarket::walking(prices, *seed, planted, &run_id, config, sink)?
        }
        None => {
            Model::new(plan.symbols, plan.kind, *seed, START_MS, planted)?;
            let sink = log(Writer::create(path)?);
            VirtualMarket::synthetic(plan.symbols, plan.kind, *seed, planted, &run_id, config, sink)?
        }
    };
    virtual_market.run(lasts, |_| {})?;
    virtual_market.end()?;
    let mut sink = virtual_market.into_sink();
    sink.writer.sync()?;
    Ok(Written { records: sink.records, bytes: sink.writer.written(), lasts })
}

fn lasts(plan: &Plan) -> Result<Duration, GenerateError> {
    let Some(prices) = &plan.prices else { return Ok(plan.lasts.unwrap_or(Duration::from_secs(600))) };
    let have = Duration::from_millis(u64::try_from(prices.paths.last_ms() - prices.start_ms()).unwrap_or(0));
    match plan.lasts {
        Some(want) if want > have => {
            Err(GenerateError::TooLong { have_s: have.as_secs(), want_s: want.as_secs() })
        }
        Some(want) => Ok(want),
        None => Ok(have),
    }
}
