//! OpenMetrics' rules about a whole family: special labels, values that a type allows, grouping, timestamps, histograms.
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>, "Metric types" and "Overall structure".

use std::collections::BTreeSet;

use crate::line::{clip, number};
use crate::page::{Kind, Sample};

/// The index of the offending sample, and what is wrong.
type Fault = (usize, String);

/// Checks a complete family.
pub(crate) fn family(name: &str, kind: Kind, samples: &[Sample]) -> Result<(), Fault> {
    for (i, sample) in samples.iter().enumerate() {
        value_rules(name, kind, sample).map_err(|what| (i, what))?;
    }
    let mut done: BTreeSet<Vec<(String, String)>> = BTreeSet::new();
    let mut start = 0;
    while start < samples.len() {
        let key = group(name, kind, &samples[start]);
        let end = samples[start..]
            .iter()
            .position(|s| group(name, kind, s) != key)
            .map_or(samples.len(), |offset| start + offset);
        timestamps(&samples[start..end]).map_err(|(i, what)| (start + i, what))?;
        if matches!(kind, Kind::Histogram | Kind::GaugeHistogram) {
            histograms(kind, &samples[start..end]).map_err(|(i, what)| (start + i, what))?;
        }
        if !done.insert(key) {
            return Err((start, "the samples of a label set may not be torn apart".to_owned()));
        }
        start = end;
    }
    Ok(())
}

/// The labels that tell metrics of a family apart.
fn group(name: &str, kind: Kind, sample: &Sample) -> Vec<(String, String)> {
    let special = match kind {
        Kind::Histogram | Kind::GaugeHistogram => "le",
        Kind::Summary => "quantile",
        Kind::StateSet => name,
        _ => return sample.labels.clone(),
    };
    sample.labels.iter().filter(|(n, _)| n != special).cloned().collect()
}

fn value_rules(name: &str, kind: Kind, sample: &Sample) -> Result<(), String> {
    let suffix = sample.name.strip_prefix(name).unwrap_or_default();
    let v = sample.value;
    match (kind, suffix) {
        (Kind::Histogram | Kind::GaugeHistogram, "_bucket") => {
            let le = sample.label("le").ok_or("a bucket needs the label `le`")?;
            edge(le).ok_or_else(|| format!("`{}` is not a bucket edge", clip(le)))?;
        }
        (Kind::Summary, "") => {
            let quantile =
                sample.label("quantile").ok_or("a quantile's sample needs the label `quantile`")?;
            if !number(quantile).is_some_and(|q| (0.0..=1.0).contains(&q)) {
                return Err(format!("`{}` is not a quantile from 0 to 1", clip(quantile)));
            }
            if v < 0.0 {
                return Err("a quantile may not be negative".to_owned());
            }
        }
        (Kind::StateSet, _) => {
            sample.label(name).ok_or_else(|| format!("a state set's sample needs the label `{name}`"))?;
            if v != 0.0 && v != 1.0 {
                return Err("a state is 0 or 1".to_owned());
            }
        }
        (Kind::Info, _) if v != 1.0 => return Err("an info's value is 1".to_owned()),
        _ => {}
    }
    let whole = matches!(suffix, "_bucket" | "_count" | "_gcount");
    let rising = match kind {
        Kind::Counter => suffix == "_total",
        Kind::Histogram | Kind::Summary => matches!(suffix, "_bucket" | "_count" | "_sum"),
        Kind::GaugeHistogram => whole,
        _ => return Ok(()),
    };
    if rising && (v.is_nan() || v < 0.0) {
        return Err(format!("`{}` may be neither negative nor NaN", sample.name));
    }
    if whole && v.fract() != 0.0 {
        return Err(format!("`{}` must be a whole number", sample.name));
    }
    Ok(())
}

/// A bucket edge: a number, infinity only as `+Inf`.
fn edge(le: &str) -> Option<f64> {
    number(le).filter(|e| !e.is_nan() && (e.is_finite() || le == "+Inf"))
}

/// Inside a label set timestamps stand everywhere or nowhere and do not go backwards.
fn timestamps(samples: &[Sample]) -> Result<(), Fault> {
    for (i, pair) in samples.windows(2).enumerate() {
        match (pair[0].timestamp, pair[1].timestamp) {
            (Some(a), Some(b)) if b < a => return Err((i + 1, "timestamps went backwards".to_owned())),
            (Some(_), None) | (None, Some(_)) => {
                return Err((i + 1, "timestamps stand on some samples of a label set only".to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks each point (run of samples with one timestamp) of a histogram.
fn histograms(kind: Kind, samples: &[Sample]) -> Result<(), Fault> {
    let mut start = 0;
    while start < samples.len() {
        let at = samples[start].timestamp;
        let end = samples[start..]
            .iter()
            .position(|s| s.timestamp != at)
            .map_or(samples.len(), |offset| start + offset);
        point(kind, &samples[start..end]).map_err(|what| (start, what))?;
        start = end;
    }
    Ok(())
}

fn point(kind: Kind, samples: &[Sample]) -> Result<(), String> {
    let mut last: Option<(f64, f64)> = None;
    let (mut count, mut sum, mut negative) = (None, false, false);
    for s in samples {
        if let Some(le) = s.label("le").filter(|_| s.name.ends_with("_bucket")).and_then(edge) {
            negative |= le < 0.0;
            if last.is_some_and(|(edge, _)| le <= edge) {
                return Err("bucket edges must rise".to_owned());
            }
            if last.is_some_and(|(_, below)| s.value < below) {
                return Err("bucket counts must not fall".to_owned());
            }
            last = Some((le, s.value));
        } else if s.name.ends_with("count") {
            count = Some(s.value);
        } else if s.name.ends_with("sum") {
            sum = true;
        }
    }
    let Some((_, total)) = last.filter(|(edge, _)| edge.is_infinite()) else {
        return Err("the bucket `+Inf` is missing".to_owned());
    };
    if count.is_some_and(|c| c != total) {
        return Err("the count differs from the bucket `+Inf`".to_owned());
    }
    if sum != count.is_some() {
        return Err("a sum and a count come together".to_owned());
    }
    if kind == Kind::Histogram && negative && sum {
        return Err("a histogram with negative edges has no sum".to_owned());
    }
    Ok(())
}
