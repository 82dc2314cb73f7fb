//! Where gap, level and edge of a symbol stood: what the funnel's records carry, so that "why did it not trade" has an
//! answer. How they are taken lives in the engine.

use serde::{Deserialize, Serialize};

/// Percentiles of a figure in basis points. The percentiles are within half a basis point where the figure is within
/// +-128, within 4 where it is within +-1152; `max` is exact to 0.01.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    /// A tenth of the evaluations lay at or below.
    pub p10: f64,
    /// Half of them.
    pub p50: f64,
    /// Nine tenths.
    pub p90: f64,
    /// The largest.
    pub max: f64,
}

/// A direction's figures over the evaluations of a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Evaluations with a gap: two Live books that hold the size, and a rate.
    pub evaluations: u64,
    /// Executable gap; `None` without an evaluation.
    pub gap_bps: Option<Percentiles>,
    /// The level that enters the edge, the opposite direction's; `None` while there was none.
    pub level_bps: Option<Percentiles>,
    /// Edge after four fees and reserve; `None` while there was no level.
    pub edge_bps: Option<Percentiles>,
}
