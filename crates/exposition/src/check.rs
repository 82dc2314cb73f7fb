//! OpenMetrics' rules about the samples of a family: special labels, values that a type allows, grouping, timestamps,
//! histograms. <https://prometheus.io/docs/specs/om/open_metrics_spec/>, "Metric types" and "Overall structure". Each sample is
//! looked at once, in its order.

use std::collections::HashSet;

use crate::cursor::{Fault, Label, clip, fault, number};
use crate::page::Kind;
use crate::scan::{Row, label};
use crate::text::write_labels;

/// The family that is being read.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Labels of the metric that is being read, as one key.
    group: Vec<u8>,
    key: Vec<u8>,
    /// Metrics of the family that were read.
    done: HashSet<Vec<u8>>,
    /// Timestamp of the last sample of this metric.
    last: Option<Option<i128>>,
    /// Histograms: the point that is being read.
    point: Option<HistogramPoint>,
}

impl Checks {
    /// Checks one sample more.
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        family: &str,
        suffix: &str,
        row: &Row<'_>,
        labels: &[Label<'_>],
    ) -> Result<(), Fault> {
        if let Err(what) = value_rules(kind, family, suffix, row, labels) {
            return fault(row.at, what);
        }
        let special = match (kind, suffix) {
            (Kind::Histogram | Kind::GaugeHistogram, "_bucket") => Some("le"),
            (Kind::Summary, "") => Some("quantile"),
            (Kind::StateSet, _) => Some(family),
            _ => None,
        };
        self.key.clear();
        write_labels(&mut self.key, labels, special);
        let nanos = row.stamp.map(|s| s.nanos);
        if self.last.is_none() || self.key != self.group {
            self.close_point()?;
            // Which labels of an info are the metric's and which are the information cannot be told: they may alternate.
            if !self.done.insert(self.key.clone()) && kind != Kind::Info {
                return fault(row.at, "the samples of a label set may not be torn apart");
            }
            self.group.clone_from(&self.key);
        } else {
            self.timestamps(nanos, row.at)?;
        }
        if self.last.is_some_and(|last| last != nanos) {
            self.close_point()?;
        }
        self.last = Some(nanos);
        if matches!(kind, Kind::Histogram | Kind::GaugeHistogram) && !row.is_repeated {
            let point = self.point.get_or_insert_with(|| HistogramPoint::new(kind, row.at));
            if let Err(what) = point.add(suffix, row.value, labels) {
                return fault(row.at, what);
            }
        }
        Ok(())
    }

    /// Inside a label set timestamps stand everywhere or nowhere and do not go backwards.
    fn timestamps(&self, nanos: Option<i128>, at: usize) -> Result<(), Fault> {
        match (self.last.flatten(), nanos) {
            (Some(last), Some(now)) if now < last => fault(at, "timestamps went backwards"),
            (Some(_), None) | (None, Some(_)) => {
                fault(at, "timestamps stand on some samples of a label set only")
            }
            _ => Ok(()),
        }
    }

    fn close_point(&mut self) -> Result<(), Fault> {
        match self.point.take() {
            Some(point) => point.finish().or_else(|what| fault(point.at, what)),
            None => Ok(()),
        }
    }

    /// The family is complete.
    pub(crate) fn finish(mut self) -> Result<(), Fault> {
        self.close_point()
    }
}

fn value_rules(
    kind: Kind,
    family: &str,
    suffix: &str,
    row: &Row<'_>,
    labels: &[Label<'_>],
) -> Result<(), String> {
    let v = row.value;
    match (kind, suffix) {
        (Kind::Histogram | Kind::GaugeHistogram, "_bucket") => {
            let le = label(labels, "le").ok_or("a bucket needs the label `le`")?;
            edge(le).ok_or_else(|| format!("`{}` is not a bucket edge", clip(le)))?;
        }
        (Kind::Summary, "") => {
            let quantile =
                label(labels, "quantile").ok_or("a quantile's sample needs the label `quantile`")?;
            if !number(quantile).is_some_and(|q| (0.0..=1.0).contains(&q)) {
                return Err(format!("`{}` is not a quantile from 0 to 1", clip(quantile)));
            }
            if v < 0.0 {
                return Err("a quantile may not be negative".to_owned());
            }
        }
        (Kind::StateSet, _) => {
            label(labels, family)
                .ok_or_else(|| format!("a state set's sample needs the label `{}`", clip(family)))?;
            if v != 0.0 && v != 1.0 {
                return Err("a state is 0 or 1".to_owned());
            }
        }
        (Kind::Info, _) if v != 1.0 => return Err("an info's value is 1".to_owned()),
        (_, "_created") if kind != Kind::Unknown && !v.is_finite() => {
            return Err(format!("`{}` is a time and must be finite", clip(&row.name)));
        }
        _ => {}
    }
    let whole = matches!(suffix, "_bucket" | "_count" | "_gcount");
    let rising = match kind {
        Kind::Counter => suffix == "_total",
        Kind::Histogram | Kind::Summary => matches!(suffix, "_bucket" | "_count" | "_sum"),
        Kind::GaugeHistogram => whole,
        _ => return Ok(()),
    };
    if rising && v < 0.0 {
        return Err(format!("`{}` may not be negative", clip(&row.name)));
    }
    if (rising || suffix == "_gsum") && v.is_nan() {
        return Err(format!("`{}` may not be NaN", clip(&row.name)));
    }
    if whole && v.fract() != 0.0 {
        return Err(format!("`{}` must be a whole number", clip(&row.name)));
    }
    Ok(())
}

/// A bucket edge: a number, infinities only in their canonical spelling.
fn edge(le: &str) -> Option<f64> {
    number(le).filter(|e| !e.is_nan() && (e.is_finite() || le == "+Inf" || le == "-Inf"))
}

/// One point of a histogram: the samples of a label set and time.
#[derive(Debug)]
struct HistogramPoint {
    kind: Kind,
    /// Edge and count of the last bucket.
    last: Option<(f64, f64)>,
    count: Option<f64>,
    sum: Option<f64>,
    has_negative_edge: bool,
    /// The byte of the page where its first sample begins.
    at: usize,
}

impl HistogramPoint {
    fn new(kind: Kind, at: usize) -> Self {
        Self { kind, last: None, count: None, sum: None, has_negative_edge: false, at }
    }

    fn add(&mut self, suffix: &str, value: f64, labels: &[Label<'_>]) -> Result<(), &'static str> {
        match suffix {
            "_bucket" => {
                let Some(le) = label(labels, "le").and_then(edge) else { return Ok(()) };
                self.has_negative_edge |= le < 0.0;
                if self.last.is_some_and(|(edge, _)| le <= edge) {
                    return Err("bucket edges must rise");
                }
                if self.last.is_some_and(|(_, below)| value < below) {
                    return Err("bucket counts must not fall");
                }
                self.last = Some((le, value));
            }
            "_count" | "_gcount" => self.count = Some(value),
            "_sum" | "_gsum" => self.sum = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), &'static str> {
        let Some((_, total)) = self.last.filter(|(edge, _)| *edge == f64::INFINITY) else {
            return Err("the bucket `+Inf` of this histogram is missing");
        };
        if self.count.is_some_and(|c| c != total) {
            return Err("the count of this histogram differs from its bucket `+Inf`");
        }
        if self.sum.is_some() != self.count.is_some() {
            return Err("a sum and a count come together");
        }
        if self.kind == Kind::Histogram && self.has_negative_edge && self.sum.is_some() {
            return Err("a histogram with negative edges has no sum");
        }
        if !self.has_negative_edge && self.sum.is_some_and(|s| s < 0.0) {
            return Err("a histogram without negative edges has no negative sum");
        }
        Ok(())
    }
}
