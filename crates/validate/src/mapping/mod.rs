//! What a runner of another make calls things: its metrics, its KPI fields, its log levels, under Assay's names.
//!
//! A mapping is applied when something is read, never to what is stored: the page, the KPI file and the log lie in the run folder as
//! the runner wrote them, and the mapping stands in `metadata.json`, so that a rejudge maps once more. [`metrics`] and [`kpi`]
//! apply, `crate::logwatch` reads levels by [`LogNames`], `crate::profile` checks what a person wrote.

mod kpi;
mod metrics;

pub use kpi::EXTRA_FIELDS;
pub(crate) use kpi::lookup;
pub use metrics::Mapped;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole mapping; empty for a runner that keeps Assay's names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Assay's metric: the series that it is made of. Series that fall on the same labels are added up.
    pub metrics: BTreeMap<String, Vec<MetricSource>>,
    /// Assay's KPI field: the field of the runner's file.
    pub kpi: BTreeMap<String, KpiSource>,
    /// How the runner writes its log.
    pub log: LogNames,
}

/// A series of the runner's page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSource {
    /// Its name as on the page; of a histogram without `_bucket`, `_sum`, `_count`.
    pub name: String,
    /// Only series that carry these labels with these values.
    #[serde(rename = "where")]
    pub only: BTreeMap<String, String>,
    /// Assay's label: the runner's label whose value it takes. All other labels are summed over.
    pub labels: BTreeMap<String, String>,
    /// Assay's label: a fixed text.
    pub set: BTreeMap<String, String>,
    /// The runner's unit in Assay's: 0.001 for milliseconds where seconds belong.
    pub scale: f64,
}

/// A field of the runner's KPI file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KpiSource {
    /// Its name; `stats.trades.closed` is a field of nested objects.
    pub field: String,
    /// The runner's unit in Assay's.
    pub scale: f64,
    /// Of a map: Assay's key, and the runner's keys for it, which are added up. Keys that are not named here stay.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// How the runner writes levels and the fixed phrases.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogNames {
    /// A regular expression whose group `level` (or first group) is the level of a line.
    pub level: Option<String>,
    /// Of JSON lines: the field that holds the level, `a.b` in nested objects.
    pub json_level: Option<String>,
    /// Its names of ERROR.
    pub error: Vec<String>,
    /// Its names of WARNING.
    pub warning: Vec<String>,
    /// Its names of CRITICAL.
    pub critical: Vec<String>,
    /// Its words for `Position limit`.
    pub position_limit: Vec<String>,
    /// Its words for `Emergency stop`.
    pub emergency_stop: Vec<String>,
}

impl Mapping {
    /// True when nothing is renamed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// One line for each renamed thing, for a report: `loop_latency_seconds = bot_tick_ms x 0.001`.
    pub fn lines(&self) -> Vec<String> {
        let scaled = |scale: f64| if scale == 1.0 { String::new() } else { format!(" x {scale}") };
        let mut lines = Vec::new();
        for (metric, sources) in &self.metrics {
            let text: Vec<String> =
                sources.iter().map(|source| source.line() + &scaled(source.scale)).collect();
            lines.push(format!("{metric} = {}", text.join(" + ")));
        }
        for (field, source) in &self.kpi {
            lines.push(format!("{field} = {}{}", source.field, scaled(source.scale)));
        }
        let log = &self.log;
        lines.extend(log.level.as_ref().map(|pattern| format!("log level = {pattern}")));
        lines.extend(log.json_level.as_ref().map(|field| format!("log level = JSON {field}")));
        for (name, words) in [
            ("ERROR", &log.error),
            ("WARNING", &log.warning),
            ("CRITICAL", &log.critical),
            ("Position limit", &log.position_limit),
            ("Emergency stop", &log.emergency_stop),
        ] {
            if !words.is_empty() {
                lines.push(format!("log {name} = {}", words.join(", ")));
            }
        }
        lines
    }
}

impl MetricSource {
    /// A series taken as it is.
    pub fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            only: BTreeMap::new(),
            labels: BTreeMap::new(),
            set: BTreeMap::new(),
            scale: 1.0,
        }
    }

    fn line(&self) -> String {
        let only: Vec<String> = self.only.iter().map(|(label, value)| format!("{label}={value}")).collect();
        if only.is_empty() { self.name.clone() } else { format!("{}{{{}}}", self.name, only.join(",")) }
    }
}

/// A value in another unit. A scale that is one over a whole number divides, so that 50 ms are the very 0.05 s of an edge.
fn scaled(value: f64, scale: f64) -> f64 {
    let inverse = 1.0 / scale;
    if inverse.abs() >= 1.0 && (inverse - inverse.round()).abs() < 1e-9 * inverse.abs() {
        value / inverse.round()
    } else {
        value * scale
    }
}
