//! [`Core`]: one ordered log of inputs in, effects out. This file holds the state, the clock of timers and the replay loop;
//! what happens inside stands in `session/`.

use crate::asset_index::AssetIndex;
use crate::broker::{Broker, Order};
use crate::config::{Config, ConfigError};
use crate::edge::Quote;
use crate::funnel::Counts;
use crate::guards::{Guards, Thresholds};
use crate::ledger::Ledger;
use crate::legs::Position;
use crate::level::Level;
use crate::liquidity::LiquidityModel;
use crate::market_state::{Fx, Health, SymbolBook, Trust, VenueClock, VenueHealth};
use crate::models::Models;
use crate::percentiles::Spreads;
use crate::probe::{Probe, Stage};
use crate::recover::Cuts;
use crate::score::Parts;
use crate::shadow::Shadows;
use crate::view::View;
use crate::volatility::Range;
use journal::record::{Direction, FORMAT, Terms};
use journal::{Body, Entry};
use market::{Asset, FxRate, HaltWhy, Member, Money, NANOS_PER_SEC, Side, Timestamp, Venue};
use recording::{ConnId, Input, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use venues::{Candle, LevelBuffer};

/// What the core asks of the shell.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every effect is a record; a box would allocate for each"
)]
pub enum Effect {
    /// A journal record to write.
    Record(Entry),
    /// A snapshot to fetch; the answer carries the epoch.
    RequestSnapshot {
        /// Venue.
        venue: Venue,
        /// Symbol.
        asset: Asset,
        /// Epoch of the request.
        epoch: u32,
    },
    /// A refresh has changed the members: books to follow, with their candles, and books to drop.
    Watch {
        /// Who joined.
        joined: Vec<Member>,
        /// Who left.
        left: Vec<Member>,
    },
    /// Subscribe to the same once more: codes of the venue stay silent.
    Resubscribe {
        /// Venue.
        venue: Venue,
    },
    /// After [`Input::Shutdown`] or [`Input::KillSwitch`]: everything is closed or reported as open.
    Finished,
    /// The emergency stop latched and everything is closed or reported as open: exit code 3.
    EmergencyExit,
}

/// Why a session could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log does not begin with a session.
    #[error("the first input must be a session, or one that goes on")]
    NotASession,
    /// The state of a session that goes on is no JSON of the expected form, or not that of its journal.
    #[error("the recovered state cannot be used: {0}")]
    State(String),
    /// The configuration is no JSON of the expected form.
    #[error("the session's configuration cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A key is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Why the session is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    Shutdown,
    Kill,
    Emergency,
}

/// A member of the universe with everything that belongs to it.
#[derive(Debug)]
pub(crate) struct Symbol {
    pub member: Member,
    /// False once it left the universe: no entries.
    pub active: bool,
    /// Its books are followed.
    pub watched: bool,
    /// What each venue says of its market.
    pub halted: [Option<HaltWhy>; 2],
    /// How long its books were trusted, while they are followed.
    pub trust: Option<Trust>,
    /// When it became a member.
    pub joined: Timestamp,
    pub books: [SymbolBook; 2],
    pub levels: [Level; 2],
    pub seeded: bool,
    pub candles: [Vec<Candle>; 2],
    pub deposited: [bool; 2],
    pub last_entry: Option<Timestamp>,
    pub funnel: Counts,
    /// Where gap, level and edge stood.
    pub spreads: Spreads,
    /// Coin below a lot that closed positions left, per venue: the next exit takes it along.
    pub residue: [market::Quantity; 2],
    /// Transfers in a row that could not be made, and when the next may be tried.
    pub transfers_failed: u32,
    pub transfer_after: Option<Timestamp>,
    /// The last edge per direction, for the view.
    pub edges: [Option<f64>; 2],
    /// The mids of the last minute per venue.
    pub range: [Range; 2],
    /// The displayed quote per direction when it was last looked at.
    pub quotes: [Option<Quote>; 2],
    /// The parts of the route score per direction, while there is an intent.
    pub score: [Option<Parts>; 2],
    /// A blocked intent per direction lasts: the edge has stayed above the threshold and the block has held.
    pub blocked: [bool; 2],
    /// Shadow positions under way.
    pub shadows: u32,
    /// Gaps and edges per direction since the last record of them.
    pub minute: [crate::gaps::Minute; 2],
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub venue: Venue,
    pub up: bool,
    pub last_life: Timestamp,
    pub last_frame: Timestamp,
    /// Everything that the venue sent here up to this instant, on our clock, has been taken.
    pub shown: Timestamp,
    pub stale: bool,
    /// When it came up.
    pub since: Timestamp,
    /// The latest venue time that came since the last full second, and that of the second before.
    pub newest: Option<Timestamp>,
    pub newest_before: Option<Timestamp>,
    /// When the venue's time moved last, and whether it stands still.
    pub moved: Timestamp,
    pub stopped: bool,
}

/// The results since the day boundary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Results {
    pub day: i64,
    pub daily_net: Money,
    pub venue_daily: [Money; 2],
    pub net: Money,
    pub peak: Money,
    pub drawdown: Money,
    pub loss_streak: u32,
    #[serde(with = "crate::recover::rows")]
    pub route_streaks: BTreeMap<(Asset, Direction), u32>,
}

/// The pure core of the engine.
#[derive(Debug)]
pub struct Core {
    pub(crate) config: Config,
    pub(crate) run_id: Arc<str>,
    pub(crate) now: Timestamp,
    pub(crate) input_seq: u64,
    pub(crate) journal_seq: u64,
    pub(crate) next_second: Timestamp,
    pub(crate) next_minute: Timestamp,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) by_asset: BTreeMap<Asset, usize>,
    /// The same, for the path of a frame.
    pub(crate) index: AssetIndex,
    /// The members by rank: places in `symbols`.
    pub(crate) members: Vec<usize>,
    pub(crate) universe_set: bool,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    pub(crate) lost_conns: [u32; 2],
    pub(crate) health: [VenueHealth; 2],
    pub(crate) health_now: [Health; 2],
    pub(crate) storm: [bool; 2],
    /// The earliest `retry_at` of a book.
    pub(crate) next_retry: Option<Timestamp>,
    /// When a venue with silent codes is subscribed to again, and how often that was done.
    pub(crate) again: [(Option<Timestamp>, u32); 2],
    pub(crate) clocks: [VenueClock; 2],
    pub(crate) fx: Fx,
    pub(crate) fx_candles: Vec<Candle>,
    pub(crate) fx_evaluated: Option<FxRate>,
    /// Members whose KRW has not been deposited yet.
    pub(crate) krw_due: u32,
    pub(crate) broker: Broker,
    /// Orders of before a restart: they wait for the first Live book.
    pub(crate) returning: Vec<Order>,
    /// The pattern of every book's memory.
    pub(crate) liquidity: Box<dyn LiquidityModel>,
    /// Four taker fees, basis points.
    pub(crate) round_trip_fees_bps: f64,
    pub(crate) ledger: Ledger,
    pub(crate) positions: Vec<Position>,
    pub(crate) last_position: u64,
    pub(crate) last_transfer: u64,
    pub(crate) at_limit: bool,
    pub(crate) guards: Guards,
    /// What is left of the request budget per venue, percent.
    pub(crate) budget_pct: [Option<f64>; 2],
    /// Live books per venue and members at the last full second.
    pub(crate) live: ([u32; 2], u32),
    pub(crate) shadows: Shadows,
    pub(crate) results: Results,
    pub(crate) funnel: Counts,
    pub(crate) alerts: u64,
    /// What alerts that are no guard's look at.
    pub(crate) watch: crate::session::Watch,
    pub(crate) stop: Option<(Stop, Timestamp)>,
    pub(crate) emergency: bool,
    pub(crate) ended: bool,
    pub(crate) view: View,
    pub(crate) out: Vec<Effect>,
    // Reused from frame to frame.
    pub(crate) levels: LevelBuffer,
    pub(crate) due: Vec<Order>,
    pub(crate) probe: Option<Box<dyn Probe>>,
}

impl Core {
    /// Starts a session: the first record of a log.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        seq: u64,
        at: Timestamp,
        session: &Input,
        out: &mut Vec<Effect>,
    ) -> Result<Self, StartError> {
        Self::start_with(seq, at, session, Models::of, out)
    }

    /// As [`Self::start`], with models of the caller instead of the venues' own ([`Models::of`]), for a session that
    /// begins and for one that goes on.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start_with(
        seq: u64,
        at: Timestamp,
        session: &Input,
        models: impl FnOnce(&Config) -> Models,
        out: &mut Vec<Effect>,
    ) -> Result<Self, StartError> {
        let (run_id, config) = match session {
            Input::Session { run_id, config } | Input::Resume { run_id, config, after_seq: 0, .. } => {
                (run_id, config)
            }
            Input::Resume { .. } => return Self::come_back(seq, at, session, models, out),
            _ => return Err(StartError::NotASession),
        };
        let text = config.clone();
        let config: Config = serde_json::from_str(config)?;
        config.check()?;
        let models = models(&config);
        let mut core = Self::new(seq, at, run_id, config, models);
        let terms = Terms {
            capital_usd: core.config.capital_usd,
            upbit_fee_centibps: core.config.fees_centibps.upbit,
            binance_fee_centibps: core.config.fees_centibps.binance,
            take_profit_bps: core.config.take_profit_bps,
            time_limit_ms: core.config.time_limit_ms,
            day_offset_s: Some(core.config.day_offset.seconds()),
            withdrawal: core.withdrawal_terms(),
            guards: Some(Box::new(core.guard_terms())),
        };
        core.record(Body::Start {
            format: FORMAT,
            run_id: run_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            terms,
            config: text,
        });
        core.publish_view();
        core.commit(out);
        Ok(core)
    }

    pub(crate) fn new(seq: u64, at: Timestamp, run_id: &str, config: Config, models: Models) -> Self {
        let round_trip_fees_bps = models.round_trip_fees_bps();
        let Models { fees, latency, liquidity, rejection } = models;
        let second = at.0.div_euclid(NANOS_PER_SEC) + 1;
        let minute = second.div_euclid(60) + 1;
        let day = config.day_of(at);
        Self {
            run_id: run_id.into(),
            now: at,
            input_seq: seq,
            journal_seq: 0,
            next_second: Timestamp::from_secs(second),
            next_minute: Timestamp::from_secs(minute * 60),
            symbols: Vec::new(),
            by_asset: BTreeMap::new(),
            index: AssetIndex::default(),
            members: Vec::new(),
            universe_set: false,
            conns: BTreeMap::new(),
            lost_conns: [0; 2],
            health: [VenueHealth::new(config.health.clone()), VenueHealth::new(config.health.clone())],
            health_now: [Health::Healthy; 2],
            storm: [false; 2],
            next_retry: None,
            again: [(None, 0); 2],
            clocks: [VenueClock::default(); 2],
            fx: Fx::new(config.fx.clone(), at),
            fx_candles: Vec::new(),
            fx_evaluated: None,
            krw_due: 0,
            broker: Broker::with(fees, latency, rejection),
            returning: Vec::new(),
            liquidity,
            round_trip_fees_bps,
            ledger: Ledger::new(),
            positions: Vec::with_capacity(config.max_positions as usize + 1),
            last_position: 0,
            last_transfer: 0,
            at_limit: false,
            guards: Guards::new(Thresholds::new(&config)),
            budget_pct: [None; 2],
            live: ([0; 2], 0),
            shadows: Shadows::new(&config),
            results: Results { day, ..Results::default() },
            funnel: Counts::default(),
            alerts: 0,
            watch: crate::session::Watch::default(),
            stop: None,
            emergency: false,
            ended: false,
            view: View::default(),
            out: Vec::with_capacity(64),
            levels: LevelBuffer::new(),
            due: Vec::with_capacity(16),
            probe: None,
            config,
        }
    }

    /// The effective configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Counters and gauges.
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// The paper accounts.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Ages of the Live books of `venue` in seconds, since the newest message by the venue's time (skew corrected): for
    /// metrics, nothing decides by them.
    pub fn book_ages(&self, venue: Venue) -> impl Iterator<Item = f64> + '_ {
        let one_way = self.one_way_ns(venue);
        let clock = &self.clocks[venue.index()];
        let live =
            self.symbols.iter().map(move |symbol| &symbol.books[venue.index()]).filter(|book| book.is_live());
        live.filter_map(move |book| {
            Some(self.now.secs_since(clock.corrected(book.venue_time?, one_way, self.now)))
        })
    }

    /// Price levels that all books hold now: for metrics.
    pub fn levels_held(&self) -> u64 {
        let books = self.symbols.iter().flat_map(|symbol| &symbol.books);
        books.map(|book| (book.book.depth(Side::Bid) + book.book.depth(Side::Ask)) as u64).sum()
    }

    /// When the core wants to be woken if nothing arrives: hand in a [`Input::Tick`] at that instant.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.ended {
            return None;
        }
        let mut next = self.next_second;
        let mut take = |at: Option<Timestamp>| {
            if let Some(at) = at {
                next = next.min(at);
            }
        };
        take(self.broker.next_deadline());
        take(self.guards.next_deadline());
        take(self.ledger.next_arrival());
        for position in &self.positions {
            take(position.next_deadline(&self.config));
        }
        take(self.shadows.next_deadline());
        take(self.next_retry);
        take(self.stop.map(|(_, since)| self.stop_deadline(since)));
        Some(next)
    }

    /// Takes the next input. Timers that are due fire first; a time that goes backwards is clamped and counted. A session
    /// that goes on after a kill takes this one's place: nothing of this one is left but what its journal said.
    pub fn apply(&mut self, seq: u64, at: Timestamp, input: &Input, out: &mut Vec<Effect>) {
        self.input_seq = seq;
        if matches!(input, Input::Resume { .. }) {
            match Self::start(seq, at, input, out) {
                Ok(core) => {
                    let probe = self.probe.take();
                    *self = core;
                    self.probe = probe;
                }
                Err(e) => {
                    self.trouble(format!("the session does not go on: {e}"));
                    self.commit(out);
                }
            }
            return;
        }
        if at < self.now {
            self.view.clamped += 1;
        }
        let at = at.max(self.now);
        while let Some(deadline) = self.next_deadline().filter(|deadline| *deadline <= at) {
            self.now = self.now.max(deadline);
            self.view.iterations += 1;
            self.mark(Stage::Decide);
            self.fire(at);
        }
        self.now = at;
        self.view.iterations += 1;
        if !self.ended {
            self.roll_day();
            self.handle(input);
        }
        self.commit(out);
        self.input_done();
    }

    /// Marks the last record of the input and hands everything out.
    pub(crate) fn commit(&mut self, out: &mut Vec<Effect>) {
        let last = self.out.iter_mut().rev().find_map(|effect| match effect {
            Effect::Record(entry) => Some(entry),
            _ => None,
        });
        if let Some(entry) = last {
            entry.commit = true;
        }
        out.append(&mut self.out);
    }
}

/// Why a log could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It is empty.
    #[error("the log is empty; record a session first")]
    Empty,
    /// Its session does not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Replays a log: the same loop as live. Every journal record goes to `sink`; the core is returned for its view.
///
/// # Errors
/// [`ReplayError`].
pub fn replay(records: impl Iterator<Item = Record>, sink: impl FnMut(Entry)) -> Result<Core, ReplayError> {
    replay_with(records, &Cuts::none(), sink)
}

/// Replays a log with restarts in it: what was lost with a kill is left out.
///
/// # Errors
/// [`ReplayError`].
pub fn replay_with(
    records: impl Iterator<Item = Record>,
    cuts: &Cuts,
    mut sink: impl FnMut(Entry),
) -> Result<Core, ReplayError> {
    let mut records = records;
    let mut out = Vec::new();
    let first = records.next().ok_or(ReplayError::Empty)?;
    let mut core = Core::start(first.seq, first.at, &first.input, &mut out)?;
    drain(&mut out, cuts, &mut sink);
    for record in records {
        core.apply(record.seq, record.at, &record.input, &mut out);
        drain(&mut out, cuts, &mut sink);
    }
    Ok(core)
}

fn drain(out: &mut Vec<Effect>, cuts: &Cuts, sink: &mut impl FnMut(Entry)) {
    for effect in out.drain(..) {
        if let Effect::Record(entry) = effect
            && cuts.keeps(&entry)
        {
            sink(entry);
        }
    }
}
