//! What guards look at, as records carry it: the figures behind every rule, and the thresholds that they are held against.
//!
//! A figure that could not be computed is `None`, stands in [`GuardFigures::unknown`], and blocks. From these figures, the
//! trades and the balances alone every trigger can be judged again; the figure that a trigger states is not needed for it.
//! What does not live here: the transitions ([`crate::record::GuardEvent`]).

use crate::record::Direction;
use market::{Asset, Money, Price};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The thresholds of the guards, and what else their figures follow from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GuardTerms {
    /// Threshold by rule, in the unit of the rule's figure.
    pub thresholds: BTreeMap<String, f64>,
    /// Length of a cooldown by rule, milliseconds.
    pub cooldowns_ms: BTreeMap<String, i64>,
    /// Size of a leg, USD: an exposure counts the next one.
    pub leg_usd: Money,
    /// Open positions from which the directional bias is looked at.
    pub bias_min_open: u32,
    /// Entry at or above this edge, basis points.
    pub min_edge_bps: f64,
    /// Reserve taken off every edge, basis points.
    pub reserve_bps: f64,
    /// The edge at which the edge room of a route score is full, basis points.
    pub score_full_edge_bps: f64,
    /// Seconds to add to UTC for the day of the daily limits.
    pub day_offset_s: i64,
}

/// The figures that guards look at, at one instant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GuardFigures {
    /// Upbit's, then Binance's.
    pub venues: [VenueFigures; 2],
    /// Age of the FX book, milliseconds; before the first book, since the start.
    pub fx_age_ms: i64,
    /// Largest change of the rate within the last minute, percent.
    pub fx_jump_pct: Option<f64>,
    /// Losses in a row over all routes.
    pub loss_streak: u32,
    /// Losses in a row by route (`ETH:buy_upbit`); routes without are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub route_streaks: BTreeMap<String, u32>,
    /// Symbols with a position, with a figure beyond half of its threshold, or in the scope of a transition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<SymbolFigures>,
    /// Figures that could not be computed: `rule scope`. They block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Blocked intents since the start that got no shadow position, because as many as allowed were under way.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shadows_left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A venue's figures.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VenueFigures {
    /// One-way latency, milliseconds.
    pub latency_ms: Option<f64>,
    /// Failed requests, percent.
    pub errors_pct: Option<f64>,
    /// Message rate, percent of the baseline.
    pub rate_pct: Option<f64>,
    /// Since the last frame, seconds.
    pub silent_s: Option<f64>,
    /// Between the last change of a book and the last sign of life, seconds.
    pub frozen_s: Option<f64>,
    /// What is left of the request budget, percent; `None` before it was measured.
    pub budget_pct: Option<f64>,
    /// Result of the venue's legs since the day boundary, USD.
    pub daily_net_usd: Money,
}

/// A symbol's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SymbolFigures {
    /// Asset.
    pub asset: Asset,
    /// Exposure of its positions, without the next leg, USD.
    pub exposure_usd: Option<Money>,
    /// Lowest and highest mid of the last minute on Upbit (KRW) and Binance (USDT); `None` before the first.
    pub range: [Option<MidRange>; 2],
    /// Coin on Upbit less coin on Binance over their sum, -1 to 1.
    pub imbalance: Option<f64>,
    /// Both directions, where the books give a quote.
    pub routes: Vec<RouteFigures>,
}

/// The mids of a book over the last minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MidRange {
    /// The lowest.
    pub low: Price,
    /// The highest.
    pub high: Price,
}

/// A route's figures when its gap was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouteFigures {
    /// Direction.
    pub direction: Direction,
    /// What buying the intended size costs, USD.
    pub buy_usd: Money,
    /// What selling it brings, USD.
    pub sell_usd: Money,
    /// Level of the opposite direction, basis points; `None` while there is none.
    pub opposite_level_bps: Option<f64>,
    /// The score's parts, each 0 to 1: edge room, venue health, fee room, inventory. `None` without an intent.
    pub score_parts: Option<[f64; 4]>,
}
