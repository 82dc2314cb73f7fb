//! Recording: counters, gauges and histograms of the catalogue, without locks once a handle is held. Encoding lives in
//! `encode`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use catalogue::{COMMON_LABELS, METRICS, Metric, MetricKind};

use crate::Format;

/// Values of the common labels that every `arb_topn_*` metric carries; `strategy` is always `topn_arb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// `env`, such as `paper`.
    pub env: String,
    /// `universe`: `top10`, `top20`, `top50`, `top100` or `topN`.
    pub universe: String,
}

/// Why a metric could not be had: a mistake of the caller's against the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Not in the catalogue.
    #[error("metric `{0}` is not in the catalogue, add it there first")]
    UnknownMetric(String),
    /// Asked for as another type.
    #[error("metric `{name}` is a {is}, ask for that instead of a {asked}")]
    WrongKind {
        /// The metric.
        name: String,
        /// Its type.
        is: &'static str,
        /// The type that was asked for.
        asked: &'static str,
    },
    /// Not the labels of the catalogue.
    #[error("metric `{name}` has the labels {expected:?}, give these instead of {given:?}")]
    WrongLabels {
        /// The metric.
        name: String,
        /// Labels of the catalogue, without the common ones.
        expected: Vec<&'static str>,
        /// What was given.
        given: Vec<String>,
    },
}

/// A counter. Clones share the value.
#[derive(Debug, Clone)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds 1.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`; exact up to 2^53.
    pub fn add(&self, n: u64) {
        update(&self.0, |v| v + n as f64);
    }

    /// Mirrors a total that is kept elsewhere. Never goes backwards: a smaller total, or one that is no number, is ignored.
    pub fn set_total(&self, total: f64) {
        if total.is_finite() {
            update(&self.0, |v| v.max(total));
        }
    }

    /// The value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// The bits of a gauge without a value: a NaN that no arithmetic produces.
const UNSET: u64 = 0x7ff8_dead_0000_0001;

/// A gauge. Clones share the value. Before the first [`Gauge::set`] it has no series: a value is never made up.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Takes the series away until the next [`Gauge::set`], for measures that have become unknown.
    pub fn clear(&self) {
        self.0.store(UNSET, Ordering::Relaxed);
    }

    /// The value, `None` while there is none.
    pub fn get(&self) -> Option<f64> {
        match self.0.load(Ordering::Relaxed) {
            UNSET => None,
            bits => Some(f64::from_bits(bits)),
        }
    }
}

/// A histogram. Clones share the buckets; observing takes no lock.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: &'static [f64],
    /// One more than `bounds`: the last holds what lies above all of them.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets { bounds, counts, sum: AtomicU64::new(0f64.to_bits()) }))
    }

    /// Counts an observation in the bucket whose upper edge is the first that is not below it. A NaN lands in `+Inf` and
    /// makes the sum NaN, as in other clients: it stays visible.
    pub fn observe(&self, value: f64) {
        let bucket = if value.is_nan() {
            self.0.bounds.len()
        } else {
            self.0.bounds.partition_point(|edge| *edge < value)
        };
        if let Some(count) = self.0.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        update(&self.0.sum, |v| v + value);
    }

    /// The buckets as they are now. Its `count` is the sum of the buckets, so the two always agree.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut running = 0;
        let cumulative: Vec<u64> = self
            .0
            .counts
            .iter()
            .map(|c| {
                running += c.load(Ordering::Relaxed);
                running
            })
            .collect();
        HistogramSnapshot {
            bounds: self.0.bounds.to_vec(),
            cumulative,
            sum: f64::from_bits(self.0.sum.load(Ordering::Relaxed)),
            count: running,
        }
    }
}

/// The state of a histogram at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSnapshot {
    /// Upper bucket edges, `+Inf` not included.
    pub bounds: Vec<f64>,
    /// Cumulative counts, one per edge and a last one for `+Inf`.
    pub cumulative: Vec<u64>,
    /// Sum of all observations.
    pub sum: f64,
    /// Number of observations.
    pub count: u64,
}

impl HistogramSnapshot {
    /// The `q` quantile (0 to 1) by linear interpolation inside its bucket, the rule of PromQL's `histogram_quantile`; the
    /// lowest bucket begins at 0. `None` without observations or with a `q` outside 0 to 1. A quantile above the highest edge
    /// reads as that edge: then it is a lower bound.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = q * self.count as f64;
        let bucket = self.cumulative.iter().position(|c| *c as f64 >= rank && *c > 0)?;
        let Some(&upper) = self.bounds.get(bucket) else { return self.bounds.last().copied() };
        let (lower, below) = match bucket.checked_sub(1) {
            Some(previous) => (*self.bounds.get(previous)?, *self.cumulative.get(previous)?),
            None if upper <= 0.0 => return Some(upper),
            None => (0.0, 0),
        };
        let inside = self.cumulative.get(bucket)?.saturating_sub(below);
        if inside == 0 {
            return Some(upper);
        }
        Some(lower + (upper - lower) * ((rank - below as f64) / inside as f64).clamp(0.0, 1.0))
    }

    /// What was observed after `earlier`. `None` when the edges differ or a bucket went backwards (a restart).
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        if self.bounds != earlier.bounds || self.cumulative.len() != earlier.cumulative.len() {
            return None;
        }
        let cumulative: Option<Vec<u64>> = self
            .cumulative
            .iter()
            .zip(&earlier.cumulative)
            .map(|(now, then)| now.checked_sub(*then))
            .collect();
        Some(Self {
            bounds: self.bounds.clone(),
            cumulative: cumulative?,
            sum: self.sum - earlier.sum,
            count: self.count.checked_sub(earlier.count)?,
        })
    }
}

fn update(cell: &AtomicU64, change: impl Fn(f64) -> f64) {
    // Always `Some`, so this cannot fail.
    let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
        Some(change(f64::from_bits(bits)).to_bits())
    });
}

/// One series' storage.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// Index of the metric in `METRICS`, and the values of its labels in the catalogue's order.
type Key = (usize, Vec<String>);

/// All series of a process. Clones share them. It accepts what the catalogue declares and nothing else.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    common: Common,
    cells: Mutex<BTreeMap<Key, Cell>>,
}

impl Registry {
    /// An empty registry that knows the catalogue's metrics.
    pub fn new(common: Common) -> Self {
        Self(Arc::new(Inner { common, cells: Mutex::default() }))
    }

    /// The counter of a name and labels (in any order, without the common ones), at 0 when it is new.
    ///
    /// # Errors
    /// Anything that is not in the catalogue like this.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Result<Counter, RegistryError> {
        match self.cell(name, labels, MetricKind::Counter)? {
            Cell::Counter(c) => Ok(c),
            other => Err(wrong_kind(name, &other, MetricKind::Counter)),
        }
    }

    /// The gauge of a name and labels (in any order, without the common ones), without a value when it is new.
    ///
    /// # Errors
    /// Anything that is not in the catalogue like this.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Result<Gauge, RegistryError> {
        match self.cell(name, labels, MetricKind::Gauge)? {
            Cell::Gauge(g) => Ok(g),
            other => Err(wrong_kind(name, &other, MetricKind::Gauge)),
        }
    }

    /// The histogram of a name and labels (in any order, without the common ones), empty when it is new. Its bucket edges
    /// are the catalogue's.
    ///
    /// # Errors
    /// Anything that is not in the catalogue like this.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Result<Histogram, RegistryError> {
        match self.cell(name, labels, MetricKind::Histogram)? {
            Cell::Histogram(h) => Ok(h),
            other => Err(wrong_kind(name, &other, MetricKind::Histogram)),
        }
    }

    /// All series with a value, metrics in the catalogue's order, series by label values.
    pub fn encode(&self, format: Format) -> String {
        crate::encode::encode(self, format)
    }

    /// The format for an `Accept` header, see [`Format::negotiate`].
    pub fn negotiate(accept: Option<&str>) -> Format {
        Format::negotiate(accept)
    }

    fn cell(&self, name: &str, labels: &[(&str, &str)], asked: MetricKind) -> Result<Cell, RegistryError> {
        let (index, metric) = METRICS
            .iter()
            .enumerate()
            .find(|(_, m)| m.name == name)
            .ok_or_else(|| RegistryError::UnknownMetric(name.to_owned()))?;
        if metric.kind != asked {
            return Err(RegistryError::WrongKind {
                name: name.to_owned(),
                is: metric.kind.as_str(),
                asked: asked.as_str(),
            });
        }
        let values = label_values(metric, labels)?;
        let mut cells = self.cells();
        let cell = cells.entry((index, values)).or_insert_with(|| match metric.kind {
            MetricKind::Counter => Cell::Counter(Counter(Arc::new(AtomicU64::new(0f64.to_bits())))),
            MetricKind::Gauge => Cell::Gauge(Gauge(Arc::new(AtomicU64::new(UNSET)))),
            MetricKind::Histogram => Cell::Histogram(Histogram::new(metric.buckets)),
        });
        Ok(cell.clone())
    }

    fn cells(&self) -> MutexGuard<'_, BTreeMap<Key, Cell>> {
        // The map is never left half changed, so a panic elsewhere does not spoil it.
        self.0.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each metric that has series, with label names and values in order of exposition.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&'static Metric, &[(&'static str, &str)], &Cell)) {
        let cells = self.cells().clone();
        let common = [self.0.common.env.as_str(), self.0.common.universe.as_str(), "topn_arb"];
        for ((index, values), cell) in &cells {
            let Some(metric) = METRICS.get(*index) else { continue };
            let mut labels: Vec<(&'static str, &str)> = Vec::new();
            if metric.common_labels {
                labels.extend(COMMON_LABELS.into_iter().zip(common));
            }
            labels.extend(metric.labels.iter().copied().zip(values.iter().map(String::as_str)));
            visit(metric, &labels, cell);
        }
    }
}

fn label_values(metric: &Metric, given: &[(&str, &str)]) -> Result<Vec<String>, RegistryError> {
    let found: Option<Vec<String>> = metric
        .labels
        .iter()
        .map(|l| given.iter().find(|(name, _)| name == l).map(|(_, value)| (*value).to_owned()))
        .collect();
    match found {
        Some(values) if given.len() == metric.labels.len() => Ok(values),
        _ => Err(RegistryError::WrongLabels {
            name: metric.name.to_owned(),
            expected: metric.labels.to_vec(),
            given: given.iter().map(|(name, _)| (*name).to_owned()).collect(),
        }),
    }
}

fn wrong_kind(name: &str, is: &Cell, asked: MetricKind) -> RegistryError {
    let is = match is {
        Cell::Counter(_) => MetricKind::Counter,
        Cell::Gauge(_) => MetricKind::Gauge,
        Cell::Histogram(_) => MetricKind::Histogram,
    };
    RegistryError::WrongKind { name: name.to_owned(), is: is.as_str(), asked: asked.as_str() }
}
