//! What a panel is: queries, thresholds, colours. A query is one of a small closed set, so that the console's evaluator over samples and the
//! Grafana dashboards mean the same. The panels themselves stand in `panels`, their
//! evaluation lives in the validator.

use serde::{Deserialize, Serialize};

use crate::{PANELS, Unit};

/// A dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dashboard {
    /// Trading, risk and performance.
    Core,
    /// Alerting.
    Alerting,
}

impl Dashboard {
    /// Both dashboards.
    pub const ALL: [Self; 2] = [Self::Core, Self::Alerting];

    /// Uid in Grafana.
    pub const fn uid(self) -> &'static str {
        match self {
            Self::Core => "d77-topn-core",
            Self::Alerting => "d77-alerting",
        }
    }

    /// Slug in Grafana: the address is `/d/<uid>/<slug>`.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Core => "topn-arbitrage-core",
            Self::Alerting => "alerting-overview",
        }
    }
}

/// A label and the value it must have.
pub type LabelIs = (&'static str, &'static str);

/// What a panel asks. Without `by`, series are summed over all labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PanelQuery {
    /// The latest value of every series with these labels, each series for itself.
    Latest {
        /// Metric name.
        metric: &'static str,
        /// Labels the series must have.
        labels: &'static [LabelIs],
    },
    /// The sum of the latest values of all series.
    SumLatest {
        /// Metric name.
        metric: &'static str,
    },
    /// The sum of the latest values per value of a label.
    SumBy {
        /// Metric name.
        metric: &'static str,
        /// Label to keep.
        label: &'static str,
    },
    /// Increase per second over the last minute.
    RatePerSecond {
        /// Counter name.
        metric: &'static str,
        /// Label to keep.
        by: Option<&'static str>,
    },
    /// Increase per minute over the last minute.
    RatePerMinute {
        /// Counter name.
        metric: &'static str,
        /// Label to keep.
        by: Option<&'static str>,
    },
    /// Increase over the last hour (as long as the profile's hour is).
    IncreasePerHour {
        /// Counter name.
        metric: &'static str,
        /// Label to keep.
        by: Option<&'static str>,
    },
    /// A quantile from the bucket increases of the last 5 minutes, over all series.
    Quantile {
        /// Histogram name, without `_bucket`.
        metric: &'static str,
        /// 0 to 1.
        q: f64,
    },
    /// Sum of the latest values of `num` / sum of those of all `den`, 0 to 1. No data while the denominator is 0.
    Ratio {
        /// Metric above the line.
        num: &'static str,
        /// Metrics below the line, added up.
        den: &'static [&'static str],
    },
}

impl PanelQuery {
    /// The catalogue names of all metrics it reads, in order, without repetition.
    pub fn metrics(&self) -> Vec<&'static str> {
        match *self {
            Self::Latest { metric, .. }
            | Self::SumLatest { metric }
            | Self::SumBy { metric, .. }
            | Self::RatePerSecond { metric, .. }
            | Self::RatePerMinute { metric, .. }
            | Self::IncreasePerHour { metric, .. }
            | Self::Quantile { metric, .. } => vec![metric],
            Self::Ratio { num, den } => {
                let mut all = vec![num];
                for &d in den {
                    if !all.contains(&d) {
                        all.push(d);
                    }
                }
                all
            }
        }
    }

    /// The same question in PromQL.
    pub fn promql(&self) -> String {
        match *self {
            Self::Latest { metric, labels: [] } => metric.to_owned(),
            Self::Latest { metric, labels } => {
                let selectors: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
                format!("{metric}{{{}}}", selectors.join(","))
            }
            Self::SumLatest { metric } => format!("sum({metric})"),
            Self::SumBy { metric, label } => format!("sum by ({label}) ({metric})"),
            Self::RatePerSecond { metric, by } => format!("{} (rate({metric}[1m]))", sum(by)),
            Self::RatePerMinute { metric, by } => format!("{} (rate({metric}[1m])) * 60", sum(by)),
            Self::IncreasePerHour { metric, by } => format!("{} (increase({metric}[1h]))", sum(by)),
            Self::Quantile { metric, q } => {
                format!("histogram_quantile({q}, sum by (le) (rate({metric}_bucket[5m])))")
            }
            Self::Ratio { num, den } => {
                let below: Vec<String> = den.iter().map(|d| format!("sum({d})")).collect();
                format!("sum({num}) / ({})", below.join(" + "))
            }
        }
    }
}

fn sum(by: Option<&str>) -> String {
    by.map_or_else(|| "sum".to_owned(), |label| format!("sum by ({label})"))
}

/// Colour of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    /// As it should be.
    Green,
    /// Worth a look.
    Yellow,
    /// Bad.
    Red,
}

/// Which figure the thresholds of a panel are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The value of the query itself, in the panel's unit.
    Value,
    /// The value of the query in percent of the run's paper capital.
    PercentOfPaperCapital,
}

/// Thresholds of a panel. When a query gives several series, the worst colour counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Colours {
    /// Words for green.
    pub green: &'static str,
    /// Words for yellow; empty when there is no yellow.
    pub yellow: &'static str,
    /// Words for red.
    pub red: &'static str,
    /// True when large values are bad.
    pub higher_is_worse: bool,
    /// Where yellow begins. Equal to `red_at` when there is no yellow.
    pub yellow_at: f64,
    /// True when `yellow_at` itself is yellow.
    pub yellow_inclusive: bool,
    /// Where red begins.
    pub red_at: f64,
    /// True when `red_at` itself is red.
    pub red_inclusive: bool,
    /// Index into the panel's queries: the one that is coloured.
    pub query: usize,
    /// Which figure is compared.
    pub basis: Basis,
}

impl Colours {
    /// The colour of a value that is already on the [`Basis`] of these thresholds; `None` for NaN, which is no value.
    pub fn colour(&self, value: f64) -> Option<Colour> {
        if value.is_nan() {
            return None;
        }
        let beyond = |limit: f64, inclusive: bool| {
            let worse = if self.higher_is_worse { value > limit } else { value < limit };
            worse || (inclusive && value == limit)
        };
        if beyond(self.red_at, self.red_inclusive) {
            return Some(Colour::Red);
        }
        let has_yellow = self.yellow_at != self.red_at;
        Some(if has_yellow && beyond(self.yellow_at, self.yellow_inclusive) {
            Colour::Yellow
        } else {
            Colour::Green
        })
    }
}

/// One panel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Panel {
    /// Stable id.
    pub id: &'static str,
    /// Dashboard it stands on.
    pub dashboard: Dashboard,
    /// English title.
    pub title: &'static str,
    /// Korean title.
    pub title_ko: &'static str,
    /// Unit of what the queries give.
    pub unit: Unit,
    /// Queries, drawn together.
    pub queries: &'static [PanelQuery],
    /// Thresholds, where there are any.
    pub thresholds: Option<Colours>,
    /// The counter whose sum of 0 makes "no event yet" data.
    pub counter_when_empty: Option<&'static str>,
    /// Every metric the queries read. A panel is left out only when one of these is declared not applicable.
    pub required_metrics: &'static [&'static str],
}

/// The panel of an id.
pub fn panel(id: &str) -> Option<&'static Panel> {
    PANELS.iter().find(|p| p.id == id)
}
