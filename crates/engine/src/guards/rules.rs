//! Every rule with its unit, and the thresholds that a configuration gives them.

use super::Verdict;
use crate::config::Config;
use market::SCALE;
use std::collections::BTreeMap;

/// A rule: its type, name, and what it means when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Position in [`ALL`].
    pub index: usize,
    /// `exchange`, `route`, `symbol`, `global`, `cross_exchange`.
    pub guard_type: &'static str,
    /// The name, unique over all types.
    pub name: &'static str,
    /// What it means.
    pub verdict: Verdict,
    /// True when the condition is "above".
    pub above: bool,
}

const fn rule(index: usize, guard_type: &'static str, name: &'static str, verdict: Verdict) -> Rule {
    Rule { index, guard_type, name, verdict, above: true }
}

const fn below(index: usize, guard_type: &'static str, name: &'static str, verdict: Verdict) -> Rule {
    Rule { index, guard_type, name, verdict, above: false }
}

/// A venue is alive and no book moves: seconds between its last change and its last sign of life.
pub const FROZEN: Rule = rule(0, "exchange", "health_frozen", Verdict::Block);
/// A venue sent no frame: seconds.
pub const DOWN_SILENT: Rule = rule(1, "exchange", "health_down_silent", Verdict::Block);
/// One-way latency, milliseconds.
pub const DOWN_LATENCY: Rule = rule(2, "exchange", "health_down_latency", Verdict::Block);
/// Failed requests, percent.
pub const DOWN_ERRORS: Rule = rule(3, "exchange", "health_down_errors", Verdict::Block);
/// One-way latency, milliseconds.
pub const DEGRADED_LATENCY: Rule = rule(4, "exchange", "health_degraded_latency", Verdict::Degrade);
/// Failed requests, percent.
pub const DEGRADED_ERRORS: Rule = rule(5, "exchange", "health_degraded_errors", Verdict::Degrade);
/// Message rate, percent of the baseline.
pub const DEGRADED_RATE: Rule = below(6, "exchange", "health_degraded_rate", Verdict::Degrade);
/// Result of a venue's legs since the day boundary, USD.
pub const VENUE_DAILY_LOSS: Rule = below(7, "exchange", "venue_daily_loss", Verdict::Block);
/// What is left of a venue's request budget, percent.
pub const BUDGET: Rule = below(8, "exchange", "request_budget", Verdict::Degrade);
/// Gap of a route, basis points: beyond the limit it is bad data.
pub const GROSS_GAP: Rule = rule(9, "route", "gross_gap", Verdict::Block);
/// Score of an intent, 0 to 100 (`crate::score`); 100 without an intent.
pub const ROUTE_SCORE: Rule = below(10, "route", "route_score", Verdict::Block);
/// Losses in a row on a route, against one less than the number that starts the cooldown.
pub const ROUTE_STREAK: Rule = rule(11, "route", "route_loss_streak", Verdict::Cooldown);
/// Exposure of a symbol with the next leg, percent of the capital.
pub const EXPOSURE_DEGRADE: Rule = rule(12, "symbol", "exposure_degrade", Verdict::Degrade);
/// Exposure of a symbol with the next leg, percent of the capital.
pub const EXPOSURE_BLOCK: Rule = rule(13, "symbol", "exposure_block", Verdict::Block);
/// Highest over lowest mid of the last minute, percent, the larger one of both venues.
pub const VOLATILITY: Rule = rule(14, "symbol", "volatility", Verdict::Degrade);
/// Net since the day boundary, USD.
pub const DAILY_LOSS: Rule = below(15, "global", "daily_loss", Verdict::Block);
/// Total exposure with the next leg, percent of the capital.
pub const TOTAL_EXPOSURE: Rule = rule(16, "global", "total_exposure", Verdict::Block);
/// Net since the day boundary, USD, at the emergency stop. It latches: it has no end.
pub const EMERGENCY: Rule = below(17, "global", "emergency_stop", Verdict::Block);
/// Age of the FX book, milliseconds.
pub const FX_STALE: Rule = rule(18, "cross_exchange", "fx_stale", Verdict::Block);
/// The rate, KRW.
pub const FX_LOW: Rule = below(19, "cross_exchange", "fx_low", Verdict::Block);
/// The rate, KRW.
pub const FX_HIGH: Rule = rule(20, "cross_exchange", "fx_high", Verdict::Block);
/// Largest change within a minute, percent.
pub const FX_JUMP: Rule = rule(21, "cross_exchange", "fx_jump", Verdict::Block);
/// Share of the open positions in one direction.
pub const BIAS: Rule = rule(22, "cross_exchange", "directional_bias", Verdict::Block);
/// Share of a symbol's coin that lies on the venue where the route would buy more of it, less the share on the other.
pub const IMBALANCE: Rule = rule(23, "cross_exchange", "inventory_imbalance", Verdict::Block);
/// Losses in a row over all routes, against one less than the number that starts the cooldown.
pub const CROSS_STREAK: Rule = rule(24, "cross_exchange", "cross_loss_streak", Verdict::Cooldown);
/// Figures of the type's rules in this scope that could not be computed.
pub const EXCHANGE_ERROR: Rule = rule(25, "exchange", "exchange_guard_error", Verdict::Block);
/// As [`EXCHANGE_ERROR`].
pub const ROUTE_ERROR: Rule = rule(26, "route", "route_guard_error", Verdict::Block);
/// As [`EXCHANGE_ERROR`].
pub const SYMBOL_ERROR: Rule = rule(27, "symbol", "symbol_guard_error", Verdict::Block);
/// As [`EXCHANGE_ERROR`].
pub const GLOBAL_ERROR: Rule = rule(28, "global", "global_guard_error", Verdict::Block);
/// As [`EXCHANGE_ERROR`].
pub const CROSS_ERROR: Rule = rule(29, "cross_exchange", "cross_exchange_guard_error", Verdict::Block);

/// All, in the order of the funnel.
pub const ALL: [Rule; 30] = [
    FROZEN,
    DOWN_SILENT,
    DOWN_LATENCY,
    DOWN_ERRORS,
    DEGRADED_LATENCY,
    DEGRADED_ERRORS,
    DEGRADED_RATE,
    VENUE_DAILY_LOSS,
    BUDGET,
    GROSS_GAP,
    ROUTE_SCORE,
    ROUTE_STREAK,
    EXPOSURE_DEGRADE,
    EXPOSURE_BLOCK,
    VOLATILITY,
    DAILY_LOSS,
    TOTAL_EXPOSURE,
    EMERGENCY,
    FX_STALE,
    FX_LOW,
    FX_HIGH,
    FX_JUMP,
    BIAS,
    IMBALANCE,
    CROSS_STREAK,
    EXCHANGE_ERROR,
    ROUTE_ERROR,
    SYMBOL_ERROR,
    GLOBAL_ERROR,
    CROSS_ERROR,
];

/// The rule that a figure of `guard_type` starts when it cannot be computed. An unknown type has none of its own and
/// blocks everything.
pub(super) fn error_rule(guard_type: &str) -> Rule {
    match guard_type {
        "exchange" => EXCHANGE_ERROR,
        "route" => ROUTE_ERROR,
        "symbol" => SYMBOL_ERROR,
        "cross_exchange" => CROSS_ERROR,
        _ => GLOBAL_ERROR,
    }
}

/// The threshold of every rule, in the order of [`ALL`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds([f64; ALL.len()]);

impl Thresholds {
    /// What `config` says.
    pub fn new(config: &Config) -> Self {
        let mut thresholds = [0.0; ALL.len()];
        let (health, fx) = (&config.health, &config.fx);
        let usd = |money: market::Money| -money.to_f64();
        let pairs = [
            (FROZEN, health.frozen_ms as f64 / 1e3),
            (DOWN_SILENT, health.silent_ms as f64 / 1e3),
            (DOWN_LATENCY, health.down_latency_ms),
            (DOWN_ERRORS, health.down_errors_pct),
            (DEGRADED_LATENCY, health.degraded_latency_ms),
            (DEGRADED_ERRORS, health.degraded_errors_pct),
            (DEGRADED_RATE, health.degraded_rate_pct),
            (VENUE_DAILY_LOSS, usd(config.venue_daily_loss_usd)),
            (BUDGET, config.budget_degrade_pct),
            (GROSS_GAP, config.gross_gap_max_bps),
            (ROUTE_SCORE, config.route_score_min),
            (ROUTE_STREAK, f64::from(config.loss_streak_route.saturating_sub(1))),
            (EXPOSURE_DEGRADE, config.symbol_degrade_pct),
            (EXPOSURE_BLOCK, config.symbol_block_pct),
            (VOLATILITY, config.volatility_pct),
            (DAILY_LOSS, usd(config.daily_loss_usd)),
            (TOTAL_EXPOSURE, config.total_exposure_pct),
            // "At or below": one unit above the limit, so that "below" holds exactly.
            (EMERGENCY, (1 - config.emergency_loss_usd.0) as f64 / SCALE as f64),
            (FX_STALE, fx.max_age_ms as f64),
            (FX_LOW, fx.low),
            (FX_HIGH, fx.high),
            (FX_JUMP, fx.jump_pct_per_min),
            (BIAS, config.bias),
            (IMBALANCE, config.imbalance_block_at()),
            (CROSS_STREAK, f64::from(config.loss_streak_cross.saturating_sub(1))),
        ];
        for (rule, threshold) in pairs {
            thresholds[rule.index] = threshold;
        }
        Self(thresholds)
    }

    /// The threshold of `rule`.
    pub fn of(&self, rule: Rule) -> f64 {
        self.0[rule.index]
    }

    /// By name, as the journal states them.
    pub fn by_name(&self) -> BTreeMap<String, f64> {
        ALL.iter().map(|rule| (rule.name.to_owned(), self.of(*rule))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, Thresholds};
    use crate::config::Config;

    #[test]
    fn every_rule_stands_where_its_index_says_and_has_a_name_of_its_own() {
        let thresholds = Thresholds::new(&Config::default());
        for (i, rule) in ALL.iter().enumerate() {
            assert_eq!(rule.index, i, "{}", rule.name);
            assert!(thresholds.of(*rule).is_finite());
            assert!(catalogue::GUARD_TYPES.contains(&rule.guard_type));
        }
        assert_eq!(thresholds.by_name().len(), ALL.len());
    }
}
