//! Evaluating the catalogue's panels over the samples of the running phase.

use catalogue::{Basis, Colour, Panel, PanelQuery};
use gate::evidence::Scrape;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Quantiles come from the bucket increases of this many seconds.
const QUANTILE_RANGE_S: f64 = 300.0;

/// What a figure is measured against, to be coloured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Paper capital in USD; `None` until the KPI file has told it.
    pub capital_usd: Option<f64>,
    /// The profile's CPU cores, which 100 % means.
    pub cpu_cores: f64,
}

/// The worst colour of a panel's coloured values; `None` without thresholds, values or a capital that they need.
pub fn colour(panel: &Panel, values: &[f64], scale: Scale) -> Option<String> {
    let colours = panel.thresholds.as_ref()?;
    let factor = match colours.basis {
        Basis::Value if panel.required_metrics.contains(&"process_cpu_usage_percent") => {
            1.0 / scale.cpu_cores
        }
        Basis::Value => 1.0,
        Basis::PercentOfPaperCapital => 100.0 / scale.capital_usd?,
    };
    let worst = values.iter().filter_map(|value| colours.colour(value * factor)).max()?;
    Some(
        match worst {
            Colour::Green => "green",
            Colour::Yellow => "yellow",
            Colour::Red => "red",
        }
        .to_owned(),
    )
}

/// True when a runner exposes the metric from its start: then its absence is a fault.
pub(crate) fn is_from_start(name: &str) -> bool {
    catalogue::metric(name).is_some_and(|metric| metric.appears == catalogue::Appears::FromStart)
}

/// The answer of one panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PanelAnswer {
    /// Panel id.
    pub id: String,
    /// `core` or `alerting`.
    pub dashboard: String,
    /// Title, English.
    pub title: String,
    /// Title, Korean.
    pub title_ko: String,
    /// Unit.
    pub unit: String,
    /// Values by series.
    pub values: BTreeMap<String, f64>,
    /// Colour, when the panel has thresholds.
    pub colour: Option<String>,
    /// True when there is data, or the counter that says "no event yet" is 0.
    pub has_data: bool,
    /// Why there is none.
    pub problem: Option<String>,
}

/// The samples that the panels are evaluated over: time in seconds since the phase's start, newest last.
#[derive(Debug, Default)]
pub struct Window {
    samples: VecDeque<(f64, Scrape)>,
    /// Length of an "hour".
    hour_s: f64,
    /// Paper capital for shares of it; from the KPI file, `None` until that has been read.
    capital_usd: Option<f64>,
    /// The profile's CPU cores, which 100 % means.
    cpu_cores: f64,
}

impl Window {
    /// An empty window.
    pub fn new(hour_s: f64, cpu_cores: f64) -> Self {
        Self { samples: VecDeque::new(), hour_s, capital_usd: None, cpu_cores }
    }

    /// Adds a scrape, forgets what is older than an hour (and five minutes, the longest range of a panel).
    pub fn push(&mut self, t: f64, scrape: Scrape, capital_usd: Option<f64>) {
        self.capital_usd = capital_usd.or(self.capital_usd);
        self.samples.push_back((t, scrape));
        let keep = self.hour_s.max(300.0) + 60.0;
        while self.samples.front().is_some_and(|(first, _)| *first < t - keep) {
            self.samples.pop_front();
        }
    }

    const fn scale(&self) -> Scale {
        Scale { capital_usd: self.capital_usd, cpu_cores: self.cpu_cores }
    }

    /// The newest scrape.
    pub fn latest(&self) -> Option<&(f64, Scrape)> {
        self.samples.back()
    }

    /// Evaluates a panel.
    pub fn evaluate(&self, panel: &Panel) -> PanelAnswer {
        let mut values = BTreeMap::new();
        let mut coloured = Vec::new();
        for (i, query) in panel.queries.iter().enumerate() {
            for (series, value) in self.query(query) {
                if panel.thresholds.as_ref().is_some_and(|colours| colours.query == i) {
                    coloured.push(value);
                }
                values.insert(
                    if panel.queries.len() > 1 { format!("{} {series}", i + 1) } else { series },
                    value,
                );
            }
        }
        values.retain(|_, value| value.is_finite());
        // "No event": the counter is at 0, or the panel's histograms are there and took nothing within their range.
        let none_yet = panel.counter_when_empty.is_some_and(|counter| {
            self.total(counter) == Some(0.0) || panel.queries.iter().all(|query| self.no_event(query))
        });
        // Half a panel is no panel: a metric that is there from the start must be there.
        let lacking = self.lacking(panel);
        let has_data = (!values.is_empty() || none_yet) && lacking.is_none();
        let problem = (!has_data).then(|| match (self.latest(), lacking) {
            (None, _) => "no scrape yet".to_owned(),
            (Some(_), Some(metric)) => format!("no series answered {metric}"),
            (Some(_), None) => format!(
                "no series answered {}",
                panel.queries.first().map_or_else(String::new, PanelQuery::promql)
            ),
        });
        PanelAnswer {
            id: panel.id.to_owned(),
            dashboard: format!("{:?}", panel.dashboard).to_lowercase(),
            title: panel.title.to_owned(),
            title_ko: panel.title_ko.to_owned(),
            unit: panel.unit.as_str().to_owned(),
            colour: colour(panel, &coloured, self.scale()),
            values,
            has_data,
            problem,
        }
    }

    /// A metric of the panel that a runner exposes from its start, and that the newest scrape has no series of.
    fn lacking(&self, panel: &Panel) -> Option<&'static str> {
        let (_, latest) = self.latest()?;
        let shown = |name: &str| {
            of(latest, name).next().is_some() || of(latest, &format!("{name}_bucket")).next().is_some()
        };
        panel.required_metrics.iter().copied().find(|name| is_from_start(name) && !shown(name))
    }

    fn query(&self, query: &PanelQuery) -> Vec<(String, f64)> {
        let Some((now, latest)) = self.latest() else { return Vec::new() };
        match *query {
            PanelQuery::Latest { metric, labels } => of(latest, metric)
                .filter(|(name, _)| labels.iter().all(|(k, v)| label(name, k).as_deref().unwrap_or("") == *v))
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            PanelQuery::SumLatest { metric } => {
                self.total(metric).map(|value| (metric.to_owned(), value)).into_iter().collect()
            }
            PanelQuery::SumBy { metric, label: by } => sums(latest, metric, Some(by)).into_iter().collect(),
            PanelQuery::RatePerSecond { metric, by } => self.rate(metric, by, *now, 60.0, 1.0),
            PanelQuery::RatePerMinute { metric, by } => self.rate(metric, by, *now, 60.0, 60.0),
            PanelQuery::IncreasePerHour { metric, by } => self.increase(metric, by, *now, self.hour_s),
            PanelQuery::Quantile { metric, q } => self
                .quantile(metric, q, *now, QUANTILE_RANGE_S)
                .map(|value| (metric.to_owned(), value))
                .into_iter()
                .collect(),
            PanelQuery::Ratio { num, den } => {
                let below: Option<f64> = den.iter().map(|metric| self.total(metric)).sum();
                match (self.total(num), below) {
                    (Some(above), Some(below)) if below > 0.0 => vec![(num.to_owned(), above / below)],
                    _ => Vec::new(),
                }
            }
        }
    }

    /// The counter's sum. Round trips that the end of the run closed decide nothing: a win rate leaves them out.
    fn total(&self, metric: &str) -> Option<f64> {
        let (_, latest) = self.latest()?;
        let sum = of(latest, metric)
            .map(|(_, value)| value)
            .fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))?;
        let by_shutdown: f64 = if metric == "arb_topn_round_trips_total" {
            // A reason that is not there did not occur.
            gate::scrape::sum(latest, "arb_topn_exit_reasons_total", &[("reason", "shutdown")]).unwrap_or(0.0)
        } else {
            0.0
        };
        Some(sum - by_shutdown)
    }

    /// Oldest sample within the range before `now`; the two must be apart.
    fn base(&self, now: f64, range: f64) -> Option<&(f64, Scrape)> {
        self.samples.iter().find(|(t, _)| *t >= now - range).filter(|(t, _)| *t < now)
    }

    /// True when a quantile has no value because nothing happened in its range: the histogram is there and its count was
    /// measured not to have moved.
    fn no_event(&self, query: &PanelQuery) -> bool {
        let PanelQuery::Quantile { metric, .. } = *query else { return false };
        let Some((now, _)) = self.latest() else { return false };
        let count = self.increase(&format!("{metric}_count"), None, *now, QUANTILE_RANGE_S);
        !count.is_empty() && count.iter().all(|(_, value)| *value == 0.0)
    }

    fn increase(&self, metric: &str, by: Option<&str>, now: f64, range: f64) -> Vec<(String, f64)> {
        let (Some((_, then)), Some((_, latest))) = (self.base(now, range), self.latest()) else {
            return Vec::new();
        };
        let before = sums(then, metric, by);
        sums(latest, metric, by)
            .into_iter()
            // A series that was not there yet began at 0; one that went backwards was reset.
            .map(|(key, value)| {
                let base = before.get(&key).copied().unwrap_or(0.0);
                (key, if value >= base { value - base } else { value })
            })
            .collect()
    }

    fn rate(&self, metric: &str, by: Option<&str>, now: f64, range: f64, per: f64) -> Vec<(String, f64)> {
        let Some((then, _)) = self.base(now, range) else { return Vec::new() };
        let span = now - then;
        self.increase(metric, by, now, range)
            .into_iter()
            .map(|(key, value)| (key, value / span * per))
            .collect()
    }

    fn quantile(&self, metric: &str, q: f64, now: f64, range: f64) -> Option<f64> {
        let bucket = format!("{metric}_bucket");
        let mut counts: Vec<(f64, f64)> = self
            .increase(&bucket, Some("le"), now, range)
            .into_iter()
            .filter_map(|(le, count)| Some((le.replace("+Inf", "inf").parse().ok()?, count)))
            .collect();
        counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = counts.last()?.1;
        if total <= 0.0 {
            return None;
        }
        let rank = q * total;
        let i = counts.iter().position(|(_, count)| *count >= rank)?;
        let (upper, count) = counts[i];
        let (lower, below) = if i == 0 { (0.0, 0.0) } else { counts[i - 1] };
        if upper.is_infinite() {
            return Some(lower);
        }
        Some(if count > below { lower + (upper - lower) * (rank - below) / (count - below) } else { upper })
    }
}

/// The series of a metric.
fn of<'a>(scrape: &'a Scrape, metric: &str) -> impl Iterator<Item = (&'a str, f64)> {
    let metric = metric.to_owned();
    scrape
        .series
        .range(metric.clone()..)
        .take_while({
            let metric = metric.clone();
            move |(name, _)| name.starts_with(&metric)
        })
        .filter(move |(name, _)| {
            let rest = &name[metric.len()..];
            rest.is_empty() || rest.starts_with('{')
        })
        .map(|(name, value)| (name.as_str(), *value))
}

fn sums(scrape: &Scrape, metric: &str, by: Option<&str>) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for (name, value) in of(scrape, metric) {
        let key = by.map_or_else(|| metric.to_owned(), |by| label(name, by).unwrap_or_default());
        *sums.entry(key).or_insert(0.0) += value;
    }
    sums
}

/// A label's value in a canonical series name.
pub fn label(series: &str, wanted: &str) -> Option<String> {
    let mut rest = series.split_once('{')?.1;
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (i, '"') => break i,
                (_, c) => value.push(c),
            }
        };
        if name == wanted {
            return Some(value);
        }
        rest = after[end + 1..].strip_prefix(',')?;
    }
}
