//! Every metric a runner exposes, by its name in the text format 0.0.4 (counters end in `_total`). Recording and encoding
//! live in the exposition and the runner.

use serde::{Deserialize, Serialize};

use crate::Unit;

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Only rises, restarts at 0.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Cumulative buckets, sum and count.
    Histogram,
}

impl MetricKind {
    /// As in a `# TYPE` line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// From when on a metric has a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Appears {
    /// From the first answer of the endpoint (counters at 0): its absence is a fault.
    FromStart,
    /// With the first event or measurement: a value is never made up before.
    WithFirstEvent,
}

/// Who exposes a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exporter {
    /// The runner's `/metrics`.
    Runner,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metric {
    /// Name as exposed in text 0.0.4; of a histogram without `_bucket`, `_sum`, `_count`.
    pub name: &'static str,
    /// Type.
    pub kind: MetricKind,
    /// Unit of the value.
    pub unit: Unit,
    /// Help text.
    pub help: &'static str,
    /// Labels besides the common ones.
    pub labels: &'static [&'static str],
    /// Upper bucket edges of a histogram, `+Inf` not included; empty otherwise.
    pub buckets: &'static [f64],
    /// True when [`COMMON_LABELS`] are added.
    pub common_labels: bool,
    /// From when on it has a series.
    pub appears: Appears,
    /// Who exposes it.
    pub exporter: Exporter,
}

/// The metric of a name.
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|m| m.name == name)
}

/// Labels of every `arb_topn_*` metric.
pub const COMMON_LABELS: [&str; 3] = ["env", "universe", "strategy"];

/// Edges of loop latencies in seconds: 1, 2, 5 us to 1 s, with an edge at each threshold (50, 80, 100 ms).
pub const LATENCY_BUCKETS: [f64; 20] = [
    1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.08, 0.1, 0.2,
    0.5, 1.0,
];

/// Edges of delivery latencies in seconds, with one at the 3 s aid and some beyond the retries' end.
pub const DELIVERY_BUCKETS: [f64; 15] =
    [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Edges of book ages in seconds, up to the 60 s after which a stream counts as stale.
pub const BOOK_AGE_BUCKETS: [f64; 13] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0];

use Appears::{FromStart, WithFirstEvent};
use MetricKind::{Counter, Gauge, Histogram};

/// All metrics.
pub static METRICS: &[Metric] = &[
    m(
        "assay_run_info",
        Gauge,
        Unit::Info,
        "Always 1; the labels name the run.",
        &["run_id", "version", "data_source", "evidence"],
    ),
    h(
        "loop_latency_seconds",
        "Service time of an event, queueing before it included, from readable socket to decision made.",
        &[],
        &LATENCY_BUCKETS,
    ),
    h("loop_stage_seconds", "Service time of an event by stage.", &["stage"], &LATENCY_BUCKETS),
    m("component_bytes", Gauge, Unit::Bytes, "Memory held by a component of the runner.", &["component"]),
    // The process.
    m(
        "process_cpu_usage_percent",
        Gauge,
        Unit::Percent,
        "CPU use since the last reading, in percent of one core.",
        &[],
    ),
    m("process_memory_usage_mb", Gauge, Unit::Megabytes, "Resident memory in MB of 10^6 bytes.", &[]),
    m("process_cpu_seconds_total", Counter, Unit::Seconds, "User and system CPU time.", &[]),
    m("process_resident_memory_bytes", Gauge, Unit::Bytes, "Resident memory.", &[]),
    m("process_open_fds", Gauge, Unit::Count, "Open file descriptors.", &[]),
    m("process_threads", Gauge, Unit::Count, "Threads of the process.", &[]),
    m(
        "process_start_time_seconds",
        Gauge,
        Unit::UnixSeconds,
        "Start of the process since the Unix epoch.",
        &[],
    ),
    // Trading.
    arb("arb_topn_pnl_usd", Gauge, Unit::Usd, "Total PnL against holding.", &[]),
    arb("arb_topn_equity_usd", Gauge, Unit::Usd, "Equity at marks.", &[]),
    arb("arb_topn_drawdown_usd", Gauge, Unit::Usd, "Fall of the PnL from its peak, 0 at the peak.", &[]),
    late(arb(
        "arb_topn_win_rate",
        Gauge,
        Unit::Percent,
        "Winners among the closed round trips in percent, 0 to 100; absent before the first close.",
        &[],
    )),
    arb(
        "arb_topn_trades_total",
        Counter,
        Unit::Count,
        "Trades with both legs filled, by entry and exit.",
        &["trade_type"],
    ),
    arb("arb_topn_round_trips_total", Counter, Unit::Count, "Completed round trips.", &[]),
    arb("arb_topn_exit_reasons_total", Counter, Unit::Count, "Completed round trips by reason.", &["reason"]),
    arb("arb_topn_active_positions", Gauge, Unit::Count, "Open positions.", &[]),
    arb("arb_topn_exposure_usd", Gauge, Unit::Usd, "Notional of open positions.", &[]),
    late(arb(
        "arb_topn_inventory_imbalance",
        Gauge,
        Unit::Ratio,
        "Largest inventory imbalance |a - b| / (a + b) of a symbol, 0 to 1.",
        &[],
    )),
    arb(
        "arb_topn_guard_triggers_total",
        Counter,
        Unit::Count,
        "Transitions of a guard into a block or degrade.",
        &["guard_type", "reason"],
    ),
    arb("arb_topn_guard_blocked_seconds_total", Counter, Unit::Seconds, "Time under a guard's block.", &[]),
    arb(
        "arb_topn_position_limit_hits_total",
        Counter,
        Unit::Count,
        "Entries held back by the position limit.",
        &[],
    ),
    arb("arb_topn_emergency_stops_total", Counter, Unit::Count, "Emergency stops.", &[]),
    arb("arb_topn_funnel_total", Counter, Unit::Count, "Passages of a stage of the funnel.", &["stage"]),
    late(arb("arb_topn_alerts_total", Counter, Unit::Count, "Alerts raised.", &["severity", "source"])),
    arb(
        "arb_topn_loop_iterations_total",
        Counter,
        Unit::Count,
        "Iterations of the core; its 1 s timer moves it even in silence. The progress signal.",
        &[],
    ),
    arb("arb_topn_loop_errors_total", Counter, Unit::Count, "Iterations that ended in an error.", &[]),
    late(arb("arb_topn_fx_rate", Gauge, Unit::Rate, "Rate of exchange in use.", &["pair"])),
    late(arb(
        "arb_topn_fx_age_seconds",
        Gauge,
        Unit::Seconds,
        "Age of the rate of exchange in use.",
        &["pair"],
    )),
    late(arb(
        "arb_topn_premium_bps",
        Gauge,
        Unit::Bps,
        "Premium over the universe, by quantile; per symbol up to Top 100.",
        &["quantile", "symbol"],
    )),
    late(arb(
        "arb_topn_edge_bps",
        Gauge,
        Unit::Bps,
        "Edge after costs over the universe, by quantile; per symbol up to Top 100.",
        &["quantile", "symbol"],
    )),
    late(arb(
        "arb_topn_book_trusted_ratio",
        Gauge,
        Unit::Ratio,
        "Share of its time for which both books of a member were trusted, 0 to 1; per symbol up to Top 100.",
        &["symbol"],
    )),
    // Venues.
    m("venue_messages_total", Counter, Unit::Count, "Messages received.", &["venue", "kind"]),
    m(
        "venue_resyncs_total",
        Counter,
        Unit::Count,
        "Books that had to be synchronised again.",
        &["venue", "kind"],
    ),
    m(
        "venue_reconnects_total",
        Counter,
        Unit::Count,
        "Connections opened again after a loss.",
        &["venue", "kind"],
    ),
    m(
        "venue_quote_mismatches_total",
        Counter,
        Unit::Count,
        "Books that differed from the venue's own best quotes for so long that they started over.",
        &["venue"],
    ),
    m(
        "venue_silent_codes",
        Gauge,
        Unit::Count,
        "Codes that were subscribed to and have sent nothing.",
        &["venue"],
    ),
    m("venue_http_requests_total", Counter, Unit::Count, "HTTP requests sent.", &["venue", "kind"]),
    m("venue_http_errors_total", Counter, Unit::Count, "HTTP requests that failed.", &["venue", "kind"]),
    h("venue_book_age_seconds", "Age of a book when it is used.", &["venue"], &BOOK_AGE_BUCKETS),
    m("venue_books", Gauge, Unit::Count, "Books by state.", &["venue", "state"]),
    m(
        "venue_book_seconds_total",
        Counter,
        Unit::Seconds,
        "Time of all followed books by condition: trusted, or why not.",
        &["venue", "state"],
    ),
    m(
        "venue_request_budget_ratio",
        Gauge,
        Unit::Ratio,
        "Share of the request budget that is left.",
        &["venue", "group"],
    ),
    // Alerting.
    m("alert_raised_total", Counter, Unit::Count, "Alerts raised.", &["severity"]),
    m("alert_sent_total", Counter, Unit::Count, "Deliveries acknowledged by a notifier.", &["notifier"]),
    m(
        "alert_failed_total",
        Counter,
        Unit::Count,
        "Deliveries that ended FAILED or DLQ.",
        &["notifier", "reason"],
    ),
    m("alert_retry_total", Counter, Unit::Count, "Attempts after the first of a delivery.", &["notifier"]),
    m("alert_dlq_total", Counter, Unit::Count, "Deliveries that ended in the dead letters.", &["notifier"]),
    m(
        "alert_fallback_total",
        Counter,
        Unit::Count,
        "Deliveries taken over by the next notifier.",
        &["notifier"],
    ),
    m("alert_throttled_total", Counter, Unit::Count, "Alerts that were throttled.", &[]),
    late(m(
        "alert_by_rule_total",
        Counter,
        Unit::Count,
        "Alerts by rule and outcome.",
        &["rule_id", "outcome"],
    )),
    h(
        "alert_delivery_latency_seconds",
        "Time of a delivery from raised to acknowledged.",
        &["notifier"],
        &DELIVERY_BUCKETS,
    ),
    m(
        "notifier_available",
        Gauge,
        Unit::Ratio,
        "1 = last probe or send worked, 0.5 = failing or half-open, 0 = circuit open.",
        &["notifier"],
    ),
    m("alert_queue_depth", Gauge, Unit::Count, "Deliveries waiting.", &[]),
    m(
        "alert_oldest_pending_seconds",
        Gauge,
        Unit::Seconds,
        "Age of the oldest waiting delivery, 0 when none waits.",
        &[],
    ),
];

const fn m(
    name: &'static str,
    kind: MetricKind,
    unit: Unit,
    help: &'static str,
    labels: &'static [&'static str],
) -> Metric {
    Metric {
        name,
        kind,
        unit,
        help,
        labels,
        buckets: &[],
        common_labels: false,
        appears: FromStart,
        exporter: Exporter::Runner,
    }
}

const fn arb(
    name: &'static str,
    kind: MetricKind,
    unit: Unit,
    help: &'static str,
    labels: &'static [&'static str],
) -> Metric {
    Metric { common_labels: true, ..m(name, kind, unit, help, labels) }
}

const fn h(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    buckets: &'static [f64],
) -> Metric {
    Metric { buckets, ..m(name, Histogram, Unit::Seconds, help, labels) }
}

const fn late(metric: Metric) -> Metric {
    Metric { appears: WithFirstEvent, ..metric }
}
