//! The rule language: a signal, a comparison, a window, an action. How a profile spells it is the profile's affair; how a
//! signal is read is in `signal`, how a window is evaluated in `window`.

use crate::value::figure;
use catalogue::RuleId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a rule: `A1` to `B4`, or what a user's profile calls it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RuleName(String);

impl RuleName {
    /// A user's rule.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The shipped rule of this name; `None` for a user's.
    pub fn shipped(&self) -> Option<RuleId> {
        self.0.parse().ok()
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<RuleId> for RuleName {
    fn from(id: RuleId) -> Self {
        Self(id.as_str().to_owned())
    }
}

impl PartialEq<RuleId> for RuleName {
    fn eq(&self, id: &RuleId) -> bool {
        self.0 == id.as_str()
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a rule looks at. The name ends in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Advances of the declared progress signal; its silence while the process lives is a hang.
    Progress,
    /// Successful scrapes; their absence is blindness.
    Scrapes,
    /// 95th percentile of the loop's latency.
    LoopLatencyP95Ms,
    /// 99th percentile of the loop's latency.
    LoopLatencyP99Ms,
    /// Mean of the loop's latency.
    LoopLatencyAvgMs,
    /// CPU of the runner's group by the operating system, in percent of the profile's `cpu_cores`.
    CpuPct,
    /// What is proven of the figure of H3: the lower end of its slope's 99.99 % confidence interval.
    MemoryGrowthPctPerH,
    /// The same slope in MiB.
    MemoryGrowthMibPerH,
    /// PSS of the runner's group, MB of 10^6 bytes.
    MemoryMb,
    /// Open files of the group.
    OpenFiles,
    /// Threads of the group.
    Threads,
    /// Fall of the PnL below its peak, in percent of the paper capital.
    PnlFallPct,
    /// PnL against holding.
    PnlUsd,
    /// Notional of open positions.
    ExposureUsd,
    /// Open positions.
    ActivePositions,
    /// Winners among the closed round trips, `shutdown` closes left out. Its events are those closes.
    WinRatePct,
    /// Completed round trips.
    RoundTrips,
    /// Guard triggers.
    GuardTriggersPerH,
    /// Entries held back by the position limit.
    PositionLimitHits,
    /// Iterations that ended in an error.
    LoopErrors,
    /// Books that had to be synchronised again.
    VenueResyncs,
    /// Connections opened again.
    VenueReconnects,
    /// Requests to the venues that failed.
    VenueHttpErrors,
    /// Books that are Live among all, of the worse venue.
    BooksLivePct,
    /// Dead letters.
    AlertDlq,
    /// Sent among sent and failed deliveries. Its events are those deliveries.
    AlertSuccessRatePct,
    /// Availability of the worst required notifier, 0 to 1.
    NotifierAvailability,
    /// Deliveries waiting.
    AlertQueueDepth,
    /// Age of the oldest waiting delivery.
    AlertOldestPendingS,
    /// 100 ms slots with an ERROR line among all slots.
    ErrorRatePct,
    /// ERROR lines.
    LogErrors,
    /// WARNING lines.
    LogWarnings,
    /// CRITICAL lines.
    LogCriticals,
}

/// The unit of a signal and of its thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalUnit {
    /// A plain number.
    Count,
    /// Per hour of the profile.
    PerHour,
    /// Percent.
    Percent,
    /// Percent per hour of the profile.
    PercentPerHour,
    /// MiB (2^20 bytes) per hour of the profile.
    MibPerHour,
    /// MB of 10^6 bytes.
    Megabytes,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// US dollars.
    Usd,
    /// 0 to 1.
    Ratio,
}

impl SignalUnit {
    /// As written behind a threshold; empty for plain numbers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count | Self::Ratio => "",
            Self::PerHour => "/h",
            Self::Percent => "%",
            Self::PercentPerHour => "%/h",
            Self::MibPerHour => "MiB/h",
            Self::Megabytes => "MB",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Usd => "USD",
        }
    }
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 33] = [
        Self::Progress,
        Self::Scrapes,
        Self::LoopLatencyP95Ms,
        Self::LoopLatencyP99Ms,
        Self::LoopLatencyAvgMs,
        Self::CpuPct,
        Self::MemoryGrowthPctPerH,
        Self::MemoryGrowthMibPerH,
        Self::MemoryMb,
        Self::OpenFiles,
        Self::Threads,
        Self::PnlFallPct,
        Self::PnlUsd,
        Self::ExposureUsd,
        Self::ActivePositions,
        Self::WinRatePct,
        Self::RoundTrips,
        Self::GuardTriggersPerH,
        Self::PositionLimitHits,
        Self::LoopErrors,
        Self::VenueResyncs,
        Self::VenueReconnects,
        Self::VenueHttpErrors,
        Self::BooksLivePct,
        Self::AlertDlq,
        Self::AlertSuccessRatePct,
        Self::NotifierAvailability,
        Self::AlertQueueDepth,
        Self::AlertOldestPendingS,
        Self::ErrorRatePct,
        Self::LogErrors,
        Self::LogWarnings,
        Self::LogCriticals,
    ];

    /// As written in a profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Progress => "progress",
            Self::Scrapes => "scrapes",
            Self::LoopLatencyP95Ms => "loop_latency_p95_ms",
            Self::LoopLatencyP99Ms => "loop_latency_p99_ms",
            Self::LoopLatencyAvgMs => "loop_latency_avg_ms",
            Self::CpuPct => "cpu_pct",
            Self::MemoryGrowthPctPerH => "memory_growth_pct_per_h",
            Self::MemoryGrowthMibPerH => "memory_growth_mib_per_h",
            Self::MemoryMb => "memory_mb",
            Self::OpenFiles => "open_files",
            Self::Threads => "threads",
            Self::PnlFallPct => "pnl_fall_pct",
            Self::PnlUsd => "pnl_usd",
            Self::ExposureUsd => "exposure_usd",
            Self::ActivePositions => "active_positions",
            Self::WinRatePct => "win_rate_pct",
            Self::RoundTrips => "round_trips",
            Self::GuardTriggersPerH => "guard_triggers_per_h",
            Self::PositionLimitHits => "position_limit_hits",
            Self::LoopErrors => "loop_errors",
            Self::VenueResyncs => "venue_resyncs",
            Self::VenueReconnects => "venue_reconnects",
            Self::VenueHttpErrors => "venue_http_errors",
            Self::BooksLivePct => "books_live_pct",
            Self::AlertDlq => "alert_dlq",
            Self::AlertSuccessRatePct => "alert_success_rate_pct",
            Self::NotifierAvailability => "notifier_availability",
            Self::AlertQueueDepth => "alert_queue_depth",
            Self::AlertOldestPendingS => "alert_oldest_pending_s",
            Self::ErrorRatePct => "error_rate_pct",
            Self::LogErrors => "log_errors",
            Self::LogWarnings => "log_warnings",
            Self::LogCriticals => "log_criticals",
        }
    }

    /// Its unit.
    pub const fn unit(self) -> SignalUnit {
        match self {
            Self::LoopLatencyP95Ms | Self::LoopLatencyP99Ms | Self::LoopLatencyAvgMs => {
                SignalUnit::Milliseconds
            }
            Self::CpuPct
            | Self::PnlFallPct
            | Self::WinRatePct
            | Self::BooksLivePct
            | Self::AlertSuccessRatePct
            | Self::ErrorRatePct => SignalUnit::Percent,
            Self::MemoryGrowthPctPerH => SignalUnit::PercentPerHour,
            Self::MemoryGrowthMibPerH => SignalUnit::MibPerHour,
            Self::MemoryMb => SignalUnit::Megabytes,
            Self::PnlUsd | Self::ExposureUsd => SignalUnit::Usd,
            Self::GuardTriggersPerH => SignalUnit::PerHour,
            Self::NotifierAvailability => SignalUnit::Ratio,
            Self::AlertOldestPendingS => SignalUnit::Seconds,
            Self::Progress
            | Self::Scrapes
            | Self::OpenFiles
            | Self::Threads
            | Self::ActivePositions
            | Self::RoundTrips
            | Self::PositionLimitHits
            | Self::LoopErrors
            | Self::VenueResyncs
            | Self::VenueReconnects
            | Self::VenueHttpErrors
            | Self::AlertDlq
            | Self::AlertQueueDepth
            | Self::LogErrors
            | Self::LogWarnings
            | Self::LogCriticals => SignalUnit::Count,
        }
    }

    /// The metric that it is read from, where it is one.
    pub const fn metric(self) -> Option<&'static str> {
        Some(match self {
            Self::LoopLatencyP95Ms | Self::LoopLatencyP99Ms | Self::LoopLatencyAvgMs => {
                "loop_latency_seconds"
            }
            Self::PnlFallPct | Self::PnlUsd => "arb_topn_pnl_usd",
            Self::ExposureUsd => "arb_topn_exposure_usd",
            Self::ActivePositions => "arb_topn_active_positions",
            Self::WinRatePct => "arb_topn_win_rate",
            Self::RoundTrips => "arb_topn_round_trips_total",
            Self::GuardTriggersPerH => "arb_topn_guard_triggers_total",
            Self::PositionLimitHits => "arb_topn_position_limit_hits_total",
            Self::LoopErrors => "arb_topn_loop_errors_total",
            Self::VenueResyncs => "venue_resyncs_total",
            Self::VenueReconnects => "venue_reconnects_total",
            Self::VenueHttpErrors => "venue_http_errors_total",
            Self::BooksLivePct => "venue_books",
            Self::AlertDlq => "alert_dlq_total",
            Self::AlertSuccessRatePct => "alert_sent_total",
            Self::NotifierAvailability => "notifier_available",
            Self::AlertQueueDepth => "alert_queue_depth",
            Self::AlertOldestPendingS => "alert_oldest_pending_seconds",
            _ => return None,
        })
    }

    /// True for what only a runner with alerting of its own has.
    pub const fn needs_alerts(self) -> bool {
        matches!(
            self,
            Self::AlertDlq
                | Self::AlertSuccessRatePct
                | Self::NotifierAvailability
                | Self::AlertQueueDepth
                | Self::AlertOldestPendingS
        )
    }

    /// True for the two signals whose silence is looked at: `at_most = 0`, with `for`.
    pub const fn is_sign_of_life(self) -> bool {
        matches!(self, Self::Progress | Self::Scrapes)
    }

    /// True for the slope of memory, which has a window of its own.
    pub const fn is_slope(self) -> bool {
        matches!(self, Self::MemoryGrowthPctPerH | Self::MemoryGrowthMibPerH)
    }

    /// True for rates, which need a window to be one.
    pub const fn is_rate(self) -> bool {
        matches!(self, Self::GuardTriggersPerH)
    }

    /// True when it counts events, so that a least number of them can be asked for.
    pub const fn has_events(self) -> bool {
        matches!(
            self,
            Self::LoopLatencyP95Ms
                | Self::LoopLatencyP99Ms
                | Self::LoopLatencyAvgMs
                | Self::WinRatePct
                | Self::RoundTrips
                | Self::GuardTriggersPerH
                | Self::PositionLimitHits
                | Self::LoopErrors
                | Self::VenueResyncs
                | Self::VenueReconnects
                | Self::VenueHttpErrors
                | Self::AlertDlq
                | Self::AlertSuccessRatePct
                | Self::LogErrors
                | Self::LogWarnings
                | Self::LogCriticals
        )
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// When a value violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Greater.
    Above,
    /// Less.
    Below,
    /// Greater or equal.
    AtLeast,
    /// Less or equal.
    AtMost,
}

impl Comparison {
    /// All, in the order of messages.
    pub const ALL: [Self; 4] = [Self::Above, Self::Below, Self::AtLeast, Self::AtMost];

    /// As written in a profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
            Self::AtLeast => "at_least",
            Self::AtMost => "at_most",
        }
    }

    /// As written in a sentence.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::Below => "<",
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
        }
    }

    /// True when `value` violates.
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::Below => value < threshold,
            Self::AtLeast => value >= threshold,
            Self::AtMost => value <= threshold,
        }
    }
}

/// A signal compared with a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Signal.
    pub signal: Signal,
    /// Comparison.
    pub comparison: Comparison,
    /// Threshold in the signal's unit.
    pub threshold: f64,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.signal.unit().as_str();
        let space = if unit.is_empty() { "" } else { " " };
        write!(f, "{} {} {}{space}{unit}", self.signal, self.comparison.sign(), figure(self.threshold))
    }
}

/// The window word with its span in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// The newest sample alone.
    AtOnce,
    /// Every sample of the span violates.
    For(f64),
    /// The aggregate over the span; a part of it once it has enough events.
    Within(f64),
    /// The aggregate over the span, only when the whole of it is there.
    Over(f64),
}

impl Window {
    /// Its word; `at once` has none in a profile.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AtOnce => "at once",
            Self::For(_) => "for",
            Self::Within(_) => "within",
            Self::Over(_) => "over",
        }
    }

    /// Its span in seconds; `None` for at once.
    pub const fn span_s(self) -> Option<f64> {
        match self {
            Self::AtOnce => None,
            Self::For(span) | Self::Within(span) | Self::Over(span) => Some(span),
        }
    }

    /// The same word over another span.
    pub const fn with_span(self, span_s: f64) -> Self {
        match self {
            Self::AtOnce => Self::AtOnce,
            Self::For(_) => Self::For(span_s),
            Self::Within(_) => Self::Within(span_s),
            Self::Over(_) => Self::Over(span_s),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.span_s() {
            None => f.write_str("at once"),
            Some(span) => write!(f, "{} {} s", self.word(), figure(span)),
        }
    }
}

/// What a firing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Ends the run (priority 1).
    Abort,
    /// Is recorded and caps the decision (priority 2).
    Warn,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Name.
    pub name: RuleName,
    /// What violates.
    pub when: Condition,
    /// What must hold as well.
    pub and: Option<Condition>,
    /// Over which window.
    pub window: Window,
    /// Least events: of a part of the span for `within`, of what is looked at otherwise.
    pub min_events: Option<f64>,
    /// Seconds after the phase's start that are left out; absent: the watch's start grace for signs of life, else none.
    pub grace_s: Option<f64>,
    /// What it does.
    pub action: Action,
}

impl RuleSpec {
    /// Its conditions.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        std::iter::once(&self.when).chain(&self.and)
    }

    /// True when a firing ends the run.
    pub fn aborts(&self) -> bool {
        self.action == Action::Abort
    }

    /// The same rule with every span times `factor`.
    pub fn scaled(&self, factor: f64) -> Self {
        Self {
            window: self.window.span_s().map_or(self.window, |span| self.window.with_span(span * factor)),
            grace_s: self.grace_s.map(|grace| grace * factor),
            ..self.clone()
        }
    }
}

impl fmt::Display for RuleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.when)?;
        if let Some(and) = &self.and {
            write!(f, " and {and}")?;
        }
        if let Some(events) = self.min_events {
            write!(f, " with >= {} events", figure(events))?;
        }
        write!(f, " {}", self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::Signal;

    #[test]
    fn signals_are_written_the_same_everywhere() {
        for signal in Signal::ALL {
            assert_eq!(serde_json::to_value(signal).unwrap(), signal.as_str());
            let found = Signal::ALL.iter().filter(|other| other.as_str() == signal.as_str()).count();
            assert_eq!(found, 1, "{signal}");
            if let Some(metric) = signal.metric() {
                assert!(catalogue::metric(metric).is_some(), "{metric}");
            }
        }
    }
}
