//! A page's samples under Assay's names.

use super::{Mapping, MetricSource, scaled};
use catalogue::MetricKind;

/// A sample under Assay's names.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapped {
    /// The catalogue's name, with `_bucket`, `_sum`, `_count` of a histogram.
    pub name: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// The value in the catalogue's unit.
    pub value: f64,
}

/// Suffixes of a histogram's series.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

impl Mapping {
    /// True when a metric of this name on the page is not what the catalogue means by it, because the profile takes that from elsewhere.
    pub fn replaces(&self, name: &str) -> bool {
        let base = |name: &str| self.metrics.contains_key(name);
        base(name) || PARTS.iter().any(|part| name.strip_suffix(part).is_some_and(base))
    }

    /// What a sample of the page is under Assay's names; nothing when the mapping does not name it.
    pub fn sample<'a>(&self, name: &str, label: impl Fn(&str) -> Option<&'a str>, value: f64) -> Vec<Mapped> {
        let mut found = Vec::new();
        for (metric, sources) in &self.metrics {
            let histogram = catalogue::metric(metric).is_some_and(|m| m.kind == MetricKind::Histogram);
            for source in sources {
                let Some(part) = part(name, &source.name, histogram) else { continue };
                let has = |(name, text): (&String, &String)| label(name) == Some(text);
                if source.only.iter().all(has) {
                    found.push(source.apply(metric, part, &label, value));
                }
            }
        }
        found
    }
}

/// `""`, or the part of a histogram; `None` for another series.
fn part(name: &str, source: &str, histogram: bool) -> Option<&'static str> {
    let rest = name.strip_prefix(source)?;
    if histogram { PARTS.into_iter().find(|part| *part == rest) } else { rest.is_empty().then_some("") }
}

impl MetricSource {
    fn apply<'a>(
        &self,
        metric: &str,
        part: &str,
        label: impl Fn(&str) -> Option<&'a str>,
        value: f64,
    ) -> Mapped {
        let of = |wanted: &str| label(wanted).map(str::to_owned);
        let mut out: Vec<(String, String)> = self
            .labels
            .iter()
            .filter_map(|(ours, theirs)| Some((ours.clone(), of(theirs)?)))
            .chain(self.set.iter().map(|(label, text)| (label.clone(), text.clone())))
            .collect();
        if part == "_bucket" {
            out.extend(of("le").map(|edge| ("le".to_owned(), self.edge(&edge))));
        }
        // Buckets and counts are numbers of observations: they have no unit.
        let value = if matches!(part, "_bucket" | "_count") { value } else { scaled(value, self.scale) };
        Mapped { name: format!("{metric}{part}"), labels: out, value }
    }

    /// A bucket's edge in Assay's unit; one that is no number stays, for the reader to reject.
    fn edge(&self, text: &str) -> String {
        match text.parse::<f64>() {
            Ok(edge) if edge.is_finite() => scaled(edge, self.scale).to_string(),
            _ => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    fn of<'a>(labels: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
        move |wanted| labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
    }

    #[test]
    fn a_histogram_is_scaled_at_its_edges_and_its_sum() {
        let source = MetricSource { scale: 0.001, ..MetricSource::plain("bot_tick_ms") };
        let mapping = Mapping {
            metrics: BTreeMap::from([("loop_latency_seconds".to_owned(), vec![source])]),
            ..Mapping::default()
        };
        let bucket = &mapping.sample("bot_tick_ms_bucket", of(&[("le", "50"), ("loop", "a")]), 7.0)[0];
        assert_eq!((bucket.name.as_str(), bucket.value), ("loop_latency_seconds_bucket", 7.0));
        assert_eq!(bucket.labels, pairs(&[("le", "0.05")]), "other labels are summed over");
        assert_eq!(mapping.sample("bot_tick_ms_bucket", of(&[("le", "+Inf")]), 7.0)[0].labels[0].1, "+Inf");
        assert_eq!(mapping.sample("bot_tick_ms_sum", of(&[]), 250.0)[0].value, 0.25);
        assert_eq!(mapping.sample("bot_tick_ms_count", of(&[]), 7.0)[0].value, 7.0);
        assert!(
            mapping.sample("bot_tick_ms", of(&[]), 7.0).is_empty()
                && mapping.sample("bot_tick_ms_max", of(&[]), 7.0).is_empty()
        );
        assert!(
            mapping.replaces("loop_latency_seconds_bucket") && !mapping.replaces("loop_stage_seconds_bucket")
        );
    }

    #[test]
    fn labels_are_selected_renamed_and_set() {
        let source = MetricSource {
            only: BTreeMap::from([("up".to_owned(), "yes".to_owned())]),
            labels: BTreeMap::from([("venue".to_owned(), "feed".to_owned())]),
            set: BTreeMap::from([("state".to_owned(), "live".to_owned())]),
            ..MetricSource::plain("feeds")
        };
        let mapping = Mapping {
            metrics: BTreeMap::from([("venue_books".to_owned(), vec![source])]),
            ..Mapping::default()
        };
        let found = mapping.sample("feeds", of(&[("feed", "kraken"), ("up", "yes")]), 3.0);
        assert_eq!(found[0].labels, pairs(&[("venue", "kraken"), ("state", "live")]));
        assert!(mapping.sample("feeds", of(&[("feed", "kraken"), ("up", "no")]), 3.0).is_empty());
    }
}
