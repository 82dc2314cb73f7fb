//! Every name that several parts of Assay share, each defined once: KPIs, criteria, watch rules, metrics, panels, alert
//! rules, exit codes and the fixed words of logs and journals.
//!
//! Lives here: static data, its lookups, and its rendering for `assay catalogue`, Prometheus rules and Grafana dashboards among it. Does not live here: any evaluation. The
//! gate judges criteria, the validator watches rules and evaluates panels, the runner exposes metrics, the dispatcher routes
//! alerts; all of them take names, units, labels, bucket edges and thresholds from this crate.

pub mod alert;
pub mod criterion;
pub mod grafana;
pub mod kpi;
pub mod metric;
pub mod panel;
mod panels;
pub mod prometheus;
pub mod render;
pub mod rule;
mod unit;
mod words;

pub use alert::{ALERT_RULES, AlertRule, Severity, alert_rule};
pub use criterion::{CRITERIA, Class, Criterion, CriterionId, Headline, criterion};
pub use kpi::{KPIS, Kpi, KpiGroup, Source, kpi};
pub use metric::{
    Appears, COMMON_LABELS, DELIVERY_BUCKETS, Exporter, LATENCY_BUCKETS, METRICS, Metric, MetricKind, metric,
};
pub use panel::{Basis, Colour, Colours, Dashboard, Panel, PanelQuery, panel};
pub use panels::PANELS;
pub use rule::{RULES, Rule, RuleId, rule};
pub use unit::Unit;
pub use words::{
    EXIT_REASONS, FUNNEL_STAGES, GUARD_TYPES, LOG_EMERGENCY_STOP, LOG_ITERATION, LOG_POSITION_LIMIT,
    LOOP_STAGES, TRADE_TYPES, UNWIND, exit_codes,
};
