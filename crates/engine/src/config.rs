//! The engine's configuration: every constant of the simulation by name. The defaults are engine.md 12.
//!
//! What does not live here: which symbols are chosen ([`crate::universe`]) and how the shell connects (`runner`).

use market::{Asset, Money, Quantity, Venue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a day begins, for daily limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DayOffset {
    /// 00:00 UTC.
    #[default]
    Utc,
    /// 00:00 in Seoul, which is 15:00 UTC.
    Kst,
}

impl DayOffset {
    /// Seconds to add to UTC.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Utc => 0,
            Self::Kst => 9 * 3600,
        }
    }
}

/// What is done about a symbol's inventory that has gathered on one venue, beyond `rebalance_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rebalance {
    /// Coin is moved to the other venue, with the fee and the delay of a withdrawal.
    #[default]
    Transfer,
    /// Entries that would worsen it are blocked from `rebalance_at` on instead of from `imbalance` on.
    Block,
    /// Nothing; the guard at `imbalance` stays.
    Off,
}

/// Where the latency of an order comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LatencySource {
    /// `latency_us`, each time the same.
    #[default]
    Constant,
    /// Half of a round trip drawn from those measured to the venue; `latency_us` until one was.
    Measured,
}

/// A figure per venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerVenue<T> {
    /// Upbit.
    pub upbit: T,
    /// Binance.
    pub binance: T,
}

impl<T: Copy> PerVenue<T> {
    /// The figure of `venue`.
    pub const fn of(&self, venue: Venue) -> T {
        match venue {
            Venue::Upbit => self.upbit,
            Venue::Binance => self.binance,
        }
    }
}

/// Limits of the FX rate (KRW per USDT).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FxLimits {
    /// A rate whose book is older than this blocks entries, milliseconds.
    pub max_age_ms: i64,
    /// A rate below this blocks, KRW.
    pub low: f64,
    /// A rate above this blocks, KRW.
    pub high: f64,
    /// A change within a minute beyond this blocks, percent.
    pub jump_pct_per_min: f64,
    /// Window of the size-weighted mid, milliseconds.
    pub window_ms: i64,
    /// A move of at least this since the last evaluation re-evaluates every symbol, basis points.
    pub reevaluate_bps: f64,
}

impl Default for FxLimits {
    fn default() -> Self {
        Self {
            max_age_ms: 60_000,
            low: 1_000.0,
            high: 2_000.0,
            jump_pct_per_min: 3.0,
            window_ms: 10_000,
            reevaluate_bps: 1.0,
        }
    }
}

/// Thresholds of venue health (engine.md 4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthLimits {
    /// One-way latency (half the median of the last five round trips) above this is degraded, milliseconds.
    pub degraded_latency_ms: f64,
    /// One-way latency above this is down, milliseconds.
    pub down_latency_ms: f64,
    /// Share of failed requests above this is degraded, percent.
    pub degraded_errors_pct: f64,
    /// Share of failed requests above this is down, percent.
    pub down_errors_pct: f64,
    /// Requests looked back on for the share of failures.
    pub error_window: u32,
    /// With fewer requests than this the share of failures says nothing.
    pub error_min_samples: u32,
    /// A message rate below this share of the baseline is degraded, percent.
    pub degraded_rate_pct: f64,
    /// The baseline must hold at least this many messages per 10 s, otherwise chance alone would pass the threshold.
    pub rate_min_messages: u32,
    /// No frame for this long is down, milliseconds.
    pub silent_ms: i64,
    /// A sign of life this long after the last change of any book is frozen, milliseconds.
    pub frozen_ms: i64,
    /// A connection without a message for this long is stale, milliseconds.
    pub conn_stale_ms: i64,
    /// More reconnects of a venue than this within 60 s are a storm.
    pub reconnect_storm: u32,
}

impl Default for HealthLimits {
    fn default() -> Self {
        Self {
            degraded_latency_ms: 100.0,
            down_latency_ms: 500.0,
            degraded_errors_pct: 1.0,
            down_errors_pct: 5.0,
            error_window: 100,
            error_min_samples: 20,
            degraded_rate_pct: 50.0,
            rate_min_messages: 50,
            silent_ms: 3_000,
            frozen_ms: 10_000,
            conn_stale_ms: 60_000,
            reconnect_storm: 5,
        }
    }
}

/// How the streams behind the books are watched and repaired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedLimits {
    /// A Binance book whose touch differs from the venue's best quotes for this long starts over, milliseconds; 0 turns the
    /// comparison off.
    pub cross_check_ms: i64,
    /// A code that has sent nothing this long after it was subscribed to is silent, milliseconds.
    pub silent_ms: i64,
    /// Frames whose venue time has not moved for this long are stale, milliseconds.
    pub time_stopped_ms: i64,
    /// First wait after a snapshot that failed or did not fit, milliseconds; it doubles with each further one.
    pub retry_ms: i64,
    /// Longest such wait, milliseconds. A wait that the venue names is kept whatever its length.
    pub retry_max_ms: i64,
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self {
            cross_check_ms: 3_000,
            silent_ms: 15_000,
            time_stopped_ms: 10_000,
            retry_ms: 1_000,
            retry_max_ms: 30_000,
        }
    }
}

/// The engine's configuration. Unknown keys are errors; missing ones take the documented default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Symbols asked for.
    pub topn: u32,
    /// Paper capital for all percent rules, USD.
    pub capital_usd: Money,
    /// Size of a leg, USD.
    pub leg_usd: Money,
    /// Starting coin per member and venue, in legs; each venue starts with the same worth of cash.
    pub inventory_legs: u32,
    /// Entry at or above this edge, basis points.
    pub min_edge_bps: f64,
    /// Reserve taken off every edge, basis points.
    pub reserve_bps: f64,
    /// Taker fees in hundredths of a basis point: Upbit in KRW, Binance in the received asset.
    pub fees_centibps: PerVenue<u32>,
    /// One-way latency of orders and of market data, microseconds.
    pub latency_us: PerVenue<u32>,
    /// `constant` takes `latency_us` for each order, `measured` draws from the round trips measured to the venue.
    pub latency: LatencySource,
    /// Take profit: net of the whole round trip, share of the leg's value in basis points.
    pub take_profit_bps: u32,
    /// Stop loss: fall of the exit-side touch gap since entry, basis points.
    pub stop_loss_bps: f64,
    /// Spread reversal: the touch gap is this far on the other side of its level, basis points.
    pub reversal_bps: f64,
    /// Longest life of a position, milliseconds.
    pub time_limit_ms: i64,
    /// Pacing: time between two entries of a symbol, milliseconds.
    pub entry_pause_ms: i64,
    /// Pacing: open positions per symbol.
    pub max_positions_per_symbol: u32,
    /// Pacing: open positions in total (`Position limit`).
    pub max_positions: u32,
    /// Exposure of a symbol beyond this share of the capital halves entries, percent.
    pub symbol_degrade_pct: f64,
    /// Exposure of a symbol beyond this share of the capital blocks it, percent.
    pub symbol_block_pct: f64,
    /// Highest over lowest mid of a symbol within a minute beyond this halves entries, percent.
    pub volatility_pct: f64,
    /// Total exposure beyond this share of the capital blocks, percent.
    pub total_exposure_pct: f64,
    /// A realised loss since the day boundary beyond this stops entries, USD.
    pub daily_loss_usd: Money,
    /// A realised loss since the day boundary of this or more is the emergency stop, USD.
    pub emergency_loss_usd: Money,
    /// A loss of one venue's legs since the day boundary beyond this blocks, USD.
    pub venue_daily_loss_usd: Money,
    /// Cooldown of a route (asset and direction) after its loss streak, milliseconds.
    pub cooldown_route_ms: i64,
    /// Cooldown of everything after the loss streak across routes, milliseconds.
    pub cooldown_cross_ms: i64,
    /// Losses in a row on one route that start its cooldown.
    pub loss_streak_route: u32,
    /// Losses in a row over all routes that start the common cooldown.
    pub loss_streak_cross: u32,
    /// A gap beyond this is bad data, basis points.
    pub gross_gap_max_bps: f64,
    /// An intent whose route scores less is blocked, 0 to 100 ([`crate::score`]); 0 blocks none.
    pub route_score_min: f64,
    /// The edge at which the edge room of a route score is full, basis points.
    pub score_full_edge_bps: f64,
    /// Less of a venue's request budget than this halves entries, percent.
    pub budget_degrade_pct: f64,
    /// Share of open positions in one direction beyond which that direction is blocked.
    pub bias: f64,
    /// Open positions from which the bias is looked at.
    pub bias_min_open: u32,
    /// Inventory imbalance of a symbol, `(a - b) / (a + b)`, beyond which the worsening direction is blocked.
    pub imbalance: f64,
    /// What is done about an imbalance beyond `rebalance_at`.
    pub rebalance: Rebalance,
    /// Inventory imbalance of a symbol, in coin, beyond which `rebalance` acts, 0 to 1. For a transfer what open positions hold
    /// is left out: closing them brings it back for nothing.
    pub rebalance_at: f64,
    /// A transfer takes this long, milliseconds: confirmations and the venue's own checks.
    pub transfer_delay_ms: i64,
    /// Withdrawal fee of an asset that `withdrawal_fees` does not list, USD in coin.
    pub withdrawal_fee_usd: Money,
    /// Withdrawal fees in coin by the venue that it leaves: an operator copies them from the venues' fee pages.
    pub withdrawal_fees: BTreeMap<Asset, PerVenue<Quantity>>,
    /// Shadow positions of blocked intents under way at once; further intents get none and are counted. 0 turns them off.
    pub shadow_max: u32,
    /// Window of the level, milliseconds.
    pub level_window_ms: i64,
    /// The newest part of the window that the level leaves out, milliseconds.
    pub level_exclude_ms: i64,
    /// Data that a level needs, milliseconds.
    pub level_min_ms: i64,
    /// A missing leg is completed within this time, milliseconds.
    pub complete_ms: i64,
    /// A missing leg is completed within this distance of the decided price, basis points.
    pub complete_bps: u32,
    /// Attempts to unwind an unmatched leg before it is an orphan.
    pub unwind_attempts: u32,
    /// Pause before an order that was refused is tried again, milliseconds.
    pub retry_ms: i64,
    /// Time to close everything at a shutdown or kill before the rest is reported as open, milliseconds.
    pub close_within_ms: i64,
    /// Members that a refresh of the universe may change at most, percent of those asked for, rounded down: below 10 asked for
    /// the default changes none.
    pub universe_change_pct: u32,
    /// Levels kept per side of a Binance book.
    pub book_levels: u32,
    /// FX limits.
    pub fx: FxLimits,
    /// Venue health thresholds.
    pub health: HealthLimits,
    /// The streams behind the books.
    pub feed: FeedLimits,
    /// Thresholds of alerts that are no guard's.
    pub alerts: crate::AlertLimits,
    /// Where a day begins.
    pub day_offset: DayOffset,
    /// Seed of drawn latencies (`latency = "measured"`). The constant model draws nothing.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topn: 10,
            capital_usd: Money::from_int(10_000),
            leg_usd: Money::from_int(200),
            inventory_legs: 5,
            min_edge_bps: 5.0,
            reserve_bps: 3.0,
            fees_centibps: PerVenue { upbit: 500, binance: 1_000 },
            latency_us: PerVenue { upbit: 60_000, binance: 90_000 },
            latency: LatencySource::Constant,
            take_profit_bps: 25,
            stop_loss_bps: 20.0,
            reversal_bps: 10.0,
            time_limit_ms: 180_000,
            entry_pause_ms: 60_000,
            max_positions_per_symbol: 3,
            max_positions: 10,
            symbol_degrade_pct: 10.0,
            symbol_block_pct: 20.0,
            volatility_pct: 10.0,
            total_exposure_pct: 100.0,
            daily_loss_usd: Money::from_int(300),
            emergency_loss_usd: Money::from_int(800),
            venue_daily_loss_usd: Money::from_int(200),
            cooldown_route_ms: 300_000,
            cooldown_cross_ms: 900_000,
            loss_streak_route: 3,
            loss_streak_cross: 5,
            gross_gap_max_bps: 500.0,
            route_score_min: 50.0,
            score_full_edge_bps: 10.0,
            budget_degrade_pct: 20.0,
            bias: 0.7,
            bias_min_open: 3,
            imbalance: 0.5,
            rebalance: Rebalance::Transfer,
            rebalance_at: 0.3,
            transfer_delay_ms: 600_000,
            withdrawal_fee_usd: Money::from_int(5),
            withdrawal_fees: BTreeMap::new(),
            shadow_max: 32,
            level_window_ms: 1_800_000,
            level_exclude_ms: 30_000,
            level_min_ms: 600_000,
            complete_ms: 1_000,
            complete_bps: 20,
            unwind_attempts: 3,
            retry_ms: 250,
            close_within_ms: 5_000,
            universe_change_pct: 10,
            book_levels: 500,
            fx: FxLimits::default(),
            health: HealthLimits::default(),
            alerts: crate::AlertLimits::default(),
            feed: FeedLimits::default(),
            day_offset: DayOffset::Utc,
            seed: 0,
        }
    }
}

impl Config {
    /// Four taker fees, basis points: what a round trip pays on its legs.
    pub fn round_trip_fees_bps(&self) -> f64 {
        (f64::from(self.fees_centibps.upbit) + f64::from(self.fees_centibps.binance)) * 2.0 / 100.0
    }

    /// The inventory imbalance beyond which the worsening side is blocked.
    pub fn imbalance_block_at(&self) -> f64 {
        match self.rebalance {
            Rebalance::Block => self.rebalance_at.min(self.imbalance),
            Rebalance::Transfer | Rebalance::Off => self.imbalance,
        }
    }

    /// Checks that the numbers make sense together.
    ///
    /// # Errors
    /// The name of the first key that is out of range, with what it must be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            ("capital_usd", self.capital_usd.0 > 0),
            ("leg_usd", self.leg_usd.0 > 0),
            ("emergency_loss_usd", self.emergency_loss_usd.0 > 0),
            ("daily_loss_usd", self.daily_loss_usd.0 > 0),
            ("venue_daily_loss_usd", self.venue_daily_loss_usd.0 > 0),
            ("topn", self.topn > 0),
            ("inventory_legs", self.inventory_legs > 0),
            ("time_limit_ms", self.time_limit_ms > 0),
            ("loss_streak_route", self.loss_streak_route > 0),
            ("loss_streak_cross", self.loss_streak_cross > 0),
            ("level_window_ms", self.level_window_ms >= 1_000),
            ("book_levels", self.book_levels > 0),
            ("retry_ms", self.retry_ms > 0),
            ("fx.window_ms", self.fx.window_ms > 0),
            ("feed.silent_ms", self.feed.silent_ms > 0),
            ("feed.time_stopped_ms", self.feed.time_stopped_ms > 0),
            ("feed.retry_ms", self.feed.retry_ms > 0),
            ("score_full_edge_bps", self.score_full_edge_bps > 0.0),
        ];
        for (key, ok) in positive {
            if !ok {
                return Err(ConfigError { key, must: "be positive" });
            }
        }
        if self.fees_centibps.upbit >= 1_000_000 || self.fees_centibps.binance >= 1_000_000 {
            return Err(ConfigError { key: "fees_centibps", must: "be below 1 000 000, which is 100 %" });
        }
        if self.level_min_ms > self.level_window_ms || self.level_min_ms < 0 || self.level_exclude_ms < 0 {
            return Err(ConfigError {
                key: "level_min_ms",
                must: "be at most level_window_ms and not negative",
            });
        }
        if self.feed.retry_max_ms < self.feed.retry_ms {
            return Err(ConfigError { key: "feed.retry_max_ms", must: "be at least feed.retry_ms" });
        }
        self.check_times()?;
        self.check_figures()?;
        if !(self.rebalance_at > 0.0 && self.rebalance_at <= 1.0) {
            return Err(ConfigError { key: "rebalance_at", must: "be above 0 and at most 1" });
        }
        if self.universe_change_pct > 100 {
            return Err(ConfigError { key: "universe_change_pct", must: "be at most 100" });
        }
        let fees = self.withdrawal_fees.values().flat_map(|fees| [fees.upbit, fees.binance]);
        if self.withdrawal_fee_usd.is_negative() || fees.into_iter().any(Quantity::is_negative) {
            return Err(ConfigError { key: "withdrawal_fees", must: "not be negative" });
        }
        Ok(())
    }

    /// Times are between nothing and a week, windows up to a day: what is longer is a mistake of the unit.
    fn check_times(&self) -> Result<(), ConfigError> {
        const DAY: i64 = 86_400_000;
        let times = [
            ("time_limit_ms", self.time_limit_ms),
            ("entry_pause_ms", self.entry_pause_ms),
            ("cooldown_route_ms", self.cooldown_route_ms),
            ("cooldown_cross_ms", self.cooldown_cross_ms),
            ("transfer_delay_ms", self.transfer_delay_ms),
            ("complete_ms", self.complete_ms),
            ("retry_ms", self.retry_ms),
            ("close_within_ms", self.close_within_ms),
            ("fx.max_age_ms", self.fx.max_age_ms),
            ("health.silent_ms", self.health.silent_ms),
            ("health.frozen_ms", self.health.frozen_ms),
            ("health.conn_stale_ms", self.health.conn_stale_ms),
            ("feed.cross_check_ms", self.feed.cross_check_ms),
            ("feed.silent_ms", self.feed.silent_ms),
            ("feed.time_stopped_ms", self.feed.time_stopped_ms),
            ("feed.retry_ms", self.feed.retry_ms),
            ("feed.retry_max_ms", self.feed.retry_max_ms),
        ];
        if let Some((key, _)) = times.into_iter().find(|(_, ms)| !(0..=7 * DAY).contains(ms)) {
            return Err(ConfigError { key, must: "lie between 0 and 604 800 000, a week in milliseconds" });
        }
        let windows = [
            ("level_window_ms", self.level_window_ms),
            ("level_exclude_ms", self.level_exclude_ms),
            ("level_min_ms", self.level_min_ms),
            ("fx.window_ms", self.fx.window_ms),
        ];
        if let Some((key, _)) = windows.into_iter().find(|(_, ms)| !(0..=DAY).contains(ms)) {
            return Err(ConfigError { key, must: "lie between 0 and 86 400 000, a day in milliseconds" });
        }
        Ok(())
    }

    /// Figures are numbers, shares are shares, and counts are such that a session fits into memory.
    fn check_figures(&self) -> Result<(), ConfigError> {
        if let Some(key) = self.alerts.wrong() {
            return Err(ConfigError { key, must: "be a number above zero" });
        }
        let finite = [("min_edge_bps", self.min_edge_bps), ("reserve_bps", self.reserve_bps)];
        if let Some((key, _)) = finite.into_iter().find(|(_, value)| !value.is_finite()) {
            return Err(ConfigError { key, must: "be a finite number" });
        }
        let (fx, health) = (&self.fx, &self.health);
        let not_negative = [
            ("stop_loss_bps", self.stop_loss_bps),
            ("reversal_bps", self.reversal_bps),
            ("gross_gap_max_bps", self.gross_gap_max_bps),
            ("score_full_edge_bps", self.score_full_edge_bps),
            // Above 100 every intent is blocked, and lives on as a shadow only.
            ("route_score_min", self.route_score_min),
            ("symbol_degrade_pct", self.symbol_degrade_pct),
            ("symbol_block_pct", self.symbol_block_pct),
            ("volatility_pct", self.volatility_pct),
            ("total_exposure_pct", self.total_exposure_pct),
            ("fx.low", fx.low),
            ("fx.high", fx.high),
            ("fx.jump_pct_per_min", fx.jump_pct_per_min),
            ("fx.reevaluate_bps", fx.reevaluate_bps),
            ("health.degraded_latency_ms", health.degraded_latency_ms),
            ("health.down_latency_ms", health.down_latency_ms),
        ];
        if let Some((key, _)) = not_negative.into_iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
            return Err(ConfigError { key, must: "be a number, and not negative" });
        }
        let percents = [
            ("budget_degrade_pct", self.budget_degrade_pct),
            ("health.degraded_errors_pct", health.degraded_errors_pct),
            ("health.down_errors_pct", health.down_errors_pct),
            ("health.degraded_rate_pct", health.degraded_rate_pct),
        ];
        if let Some((key, _)) = percents.into_iter().find(|(_, v)| !(0.0..=100.0).contains(v)) {
            return Err(ConfigError { key, must: "lie between 0 and 100" });
        }
        let shares = [("bias", self.bias), ("imbalance", self.imbalance)];
        if let Some((key, _)) = shares.into_iter().find(|(_, v)| !(0.0..=1.0).contains(v)) {
            return Err(ConfigError { key, must: "lie between 0 and 1" });
        }
        let counts = [
            ("topn", self.topn),
            ("max_positions", self.max_positions),
            ("max_positions_per_symbol", self.max_positions_per_symbol),
            ("shadow_max", self.shadow_max),
            ("book_levels", self.book_levels),
            ("health.error_window", health.error_window),
        ];
        match counts.into_iter().find(|(_, n)| *n > 100_000) {
            Some((key, _)) => Err(ConfigError { key, must: "be at most 100 000" }),
            None => Ok(()),
        }
    }
}

/// A key that is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("configuration key {key} must {must}")]
pub struct ConfigError {
    /// The key.
    pub key: &'static str,
    /// What it must be.
    pub must: &'static str,
}
