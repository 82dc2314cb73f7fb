//! Cheap counters and gauges of the core for metrics and progress lines. Nothing decides by them.

use crate::funnel::Counts;
use crate::market_state::CONDITIONS;
use market::{Asset, Money};

/// A venue's figures.
#[derive(Debug, Clone, Default)]
pub struct VenueView {
    /// Frames so far.
    pub messages: u64,
    /// Books that had to start over.
    pub resyncs: u64,
    /// Connections opened again.
    pub reconnects: u64,
    /// Books that differed from the venue's own best quotes for so long that they started over.
    pub mismatches: u64,
    /// Codes that were asked for and have sent nothing.
    pub silent: u32,
    /// Books `syncing`, `live`, `stale`, `broken`.
    pub books: [u32; 4],
    /// Time of all followed books by condition (`BookCondition::ALL`), nanoseconds; updated each second.
    pub book_ns: [i64; CONDITIONS],
    /// `healthy`, `degraded`, `down`, `frozen`.
    pub health: &'static str,
    /// What is left of the request budget, 1 = all; `None` before it was measured.
    pub budget: Option<f64>,
}

/// Names of [`VenueView::books`].
pub const BOOK_STATES: [&str; 4] = ["syncing", "live", "stale", "broken"];
/// The quantiles of [`View::premium_bps`] and [`View::edge_bps`].
pub const QUANTILES: [f64; 3] = [0.05, 0.5, 0.95];

/// Symbols that [`View::symbols`] holds at most.
pub const MAX_SYMBOLS: usize = 100;

/// The core's figures.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Inputs and timers handled.
    pub iterations: u64,
    /// Messages that could not be read, and refused internal steps.
    pub errors: u64,
    /// Inputs whose time went backwards and was clamped.
    pub clamped: u64,
    /// Per venue.
    pub venues: [VenueView; 2],
    /// KRW per USDT.
    pub fx_rate: Option<f64>,
    /// Age of the book behind the rate, milliseconds; before the first book, since the start.
    pub fx_age_ms: i64,
    /// Positions open or being opened or closed.
    pub open_positions: u32,
    /// Exposure, USD.
    pub exposure_usd: Money,
    /// What trading made, at marks, USD; `None` before it could be valued.
    pub pnl_usd: Option<Money>,
    /// The part of `pnl_usd` that the rate's moves made of changed KRW holdings, USD.
    pub fx_effect_usd: Option<Money>,
    /// Withdrawal fees of transfers so far, USD; inside `pnl_usd`.
    pub transfer_cost_usd: Money,
    /// Closed round trips and unwinds, net, USD.
    pub net_usd: Money,
    /// Paper capital plus `pnl_usd`.
    pub equity_usd: Option<Money>,
    /// Largest fall of the result from its peak, USD.
    pub drawdown_usd: Money,
    /// Upbit's mid over Binance's at the rate, minus 1, at [`QUANTILES`] over the universe; updated each second.
    pub premium_bps: [Option<f64>; 3],
    /// The better edge of each symbol, at [`QUANTILES`]; updated each second.
    pub edge_bps: [Option<f64>; 3],
    /// Premium and better edge of each member with two Live books, in rank order, of at most [`MAX_SYMBOLS`]: a label per
    /// symbol must stay bounded. Updated each second.
    pub symbols: Vec<(Asset, Option<f64>, Option<f64>)>,
    /// For what share of its time both books of each of those members were trusted, 0 to 1.
    pub trust: Vec<(Asset, Option<f64>)>,
    /// Largest inventory imbalance of a symbol, `|a - b| / (a + b)`.
    pub inventory_imbalance: f64,
    /// Guard triggers.
    pub guard_triggers: u64,
    /// Entries opened and round trips closed.
    pub entries: u64,
    /// Round trips closed.
    pub round_trips: u64,
    /// Entries that never became a position because a leg was undone.
    pub unwinds: u64,
    /// The funnel in total since the start.
    pub funnel: Counts,
}
