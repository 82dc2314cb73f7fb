//! Looking things up in a scrape: sums over series, labels, histograms and their quantiles. What is not there is `None`.

use crate::evidence::Scrape;
use std::collections::BTreeMap;

/// Splits a canonical series name into its metric and its labels.
pub fn parse_series(series: &str) -> (&str, Vec<(String, String)>) {
    let Some((name, rest)) = series.split_once('{') else { return (series, Vec::new()) };
    let mut labels = Vec::new();
    let mut chars = rest.chars();
    loop {
        let label: String = chars.by_ref().take_while(|c| *c != '=').collect();
        let label = label.trim_start_matches(',').trim();
        if label.is_empty() || label == "}" || chars.next() != Some('"') {
            return (name, labels);
        }
        let mut value = String::new();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => value.push('\n'),
                    Some(other) => value.push(other),
                    None => break,
                },
                other => value.push(other),
            }
        }
        labels.push((label.to_owned(), value));
    }
}

fn of<'a>(scrape: &'a Scrape, metric: &'a str) -> impl Iterator<Item = (&'a str, f64)> + 'a {
    scrape
        .series
        .range(metric.to_owned()..)
        .take_while(move |(name, _)| name.starts_with(metric))
        .filter(move |(name, _)| matches!(name.as_bytes().get(metric.len()), None | Some(b'{')))
        .map(|(name, value)| (name.as_str(), *value))
}

/// The sum over all series of `metric` that carry `labels`. `None` when there is no such series or one is not finite.
pub fn sum(scrape: &Scrape, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut total = None;
    for (series, value) in of(scrape, metric) {
        let (_, has) = parse_series(series);
        if labels.iter().all(|(k, v)| has.iter().any(|(name, text)| name == k && text == v)) {
            if !value.is_finite() {
                return None;
            }
            total = Some(total.unwrap_or(0.0) + value);
        }
    }
    total
}

/// Sums by the value of one label. Empty when there is no such series; values that are not finite are left out.
pub fn sum_by(scrape: &Scrape, metric: &str, label: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for (series, value) in of(scrape, metric) {
        let (_, has) = parse_series(series);
        if let Some((_, text)) = has.into_iter().find(|(name, _)| name == label)
            && value.is_finite()
        {
            *sums.entry(text).or_insert(0.0) += value;
        }
    }
    sums
}

/// As [`sum`]; a metric whose series appear with their first event counts as 0 when it has none.
pub fn count(scrape: &Scrape, metric: &str) -> Option<f64> {
    if of(scrape, metric).next().is_none() {
        let late = catalogue::metric(metric).is_some_and(|m| m.appears == catalogue::Appears::WithFirstEvent);
        return late.then_some(0.0);
    }
    sum(scrape, metric, &[])
}

/// A histogram: cumulative counts by upper edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// `(le, cumulative count)`, edges ascending, the last is infinite.
    pub buckets: Vec<(f64, f64)>,
    /// `_sum`, when exposed.
    pub sum: Option<f64>,
}

impl Histogram {
    /// Reads `metric`, summed over all labels but `le`. `None` when it has no buckets, no `+Inf`, or anything in it is not
    /// finite.
    pub fn read(scrape: &Scrape, metric: &str) -> Option<Self> {
        let bucket = format!("{metric}_bucket");
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (series, value) in of(scrape, &bucket) {
            let (_, labels) = parse_series(series);
            let edge: f64 = labels.iter().find(|(name, _)| name == "le")?.1.parse().ok()?;
            if !value.is_finite() || edge.is_nan() {
                return None;
            }
            match buckets.iter_mut().find(|(e, _)| *e == edge) {
                Some((_, count)) => *count += value,
                None => buckets.push((edge, value)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ascending = buckets.windows(2).all(|w| w[0].1 <= w[1].1);
        if !ascending || !buckets.last()?.0.is_infinite() {
            return None;
        }
        Some(Self { buckets, sum: sum(scrape, &format!("{metric}_sum"), &[]) })
    }

    /// What came since `earlier`. `None` after a counter reset or a change of edges.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        if self.buckets.len() != earlier.buckets.len() {
            return None;
        }
        let mut buckets = Vec::with_capacity(self.buckets.len());
        for ((edge, now), (before_edge, before)) in self.buckets.iter().zip(&earlier.buckets) {
            if edge != before_edge || now < before {
                return None;
            }
            buckets.push((*edge, now - before));
        }
        let sum = self.sum.zip(earlier.sum).map(|(now, before)| now - before);
        buckets.windows(2).all(|w| w[0].1 <= w[1].1).then_some(Self { buckets, sum })
    }

    /// Number of observations.
    pub fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// Mean, `None` without observations or `_sum`.
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        self.sum.filter(|_| count > 0.0).map(|sum| sum / count)
    }

    /// The quantile by linear interpolation inside its bucket, as Prometheus's `histogram_quantile` does; beyond the last
    /// finite edge, that edge. `None` without observations.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.count();
        if total <= 0.0 {
            return None;
        }
        let rank = q * total;
        let (mut edge_before, mut count_before) = (0.0, 0.0);
        for (edge, count) in &self.buckets {
            if *count >= rank && *count > count_before {
                return Some(if edge.is_infinite() {
                    edge_before
                } else {
                    edge_before
                        + (edge - edge_before)
                            * ((rank - count_before) / (count - count_before)).clamp(0.0, 1.0)
                });
            }
            if edge.is_finite() {
                edge_before = *edge;
            }
            count_before = *count;
        }
        None
    }

    /// The quantile with the edges of its bucket, `(lower edge, quantile, upper edge)`. `None` without observations.
    pub fn quantile_bucket(&self, q: f64) -> Option<(f64, f64, f64)> {
        let value = self.quantile(q)?;
        let rank = q * self.count();
        let mut lower = 0.0;
        for (edge, count) in &self.buckets {
            if *count >= rank && *count > 0.0 {
                return Some((lower, value, *edge));
            }
            lower = *edge;
        }
        None
    }

    /// True when the quantile lies above `edge`, which should be a bucket's edge. `None` without observations.
    pub fn quantile_above(&self, q: f64, edge: f64) -> Option<bool> {
        let total = self.count();
        if total <= 0.0 {
            return None;
        }
        let below = self.buckets.iter().filter(|(e, _)| *e <= edge).map(|(_, count)| *count).next_back()?;
        Some(below < q * total)
    }
}

/// The index of the bucket that holds `value`, for edges ascending.
pub fn bucket_of(edges: &[f64], value: f64) -> usize {
    edges.iter().position(|edge| value <= *edge).unwrap_or(edges.len())
}

/// True when both values lie in the same or in neighbouring buckets.
pub fn near(edges: &[f64], a: f64, b: f64) -> bool {
    bucket_of(edges, a).abs_diff(bucket_of(edges, b)) <= 1
}
