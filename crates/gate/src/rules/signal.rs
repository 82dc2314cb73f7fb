//! Reading a signal from the samples, one after the other. Everything countable becomes a vector of totals that never falls,
//! whatever resets the runner's counters saw, so that a window is the difference of two of them. What is not there is said.

use super::spec::Signal;
use crate::evidence::{Found, OsSample, Sample, Settings};
use crate::memory::MemoryGrowth;
use crate::scrape::{Histogram, count, sum, sum_by};
use crate::value::figure;

/// A value, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A value to compare, and the figure in words.
    Is(f64, String),
    /// Measured, and nothing happened that could violate.
    NoEvent(String),
    /// No sample: freezes.
    Missing(String),
}

/// What one sample says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// Totals so far, resets taken out.
    pub totals: Vec<f64>,
    /// The value as it stands: a gauge, a count so far, a share so far.
    pub stands: Value,
    /// The value since the last sample.
    pub step: Value,
    /// Events so far.
    pub events: f64,
    /// True when a counter was reset, or its buckets changed.
    pub reset: bool,
    /// True when its buckets changed: earlier totals cannot be compared with these.
    pub reshaped: bool,
}

/// A signal's memory.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    signal: Signal,
    /// Raw counters of the last sample that had them.
    last: Option<Vec<f64>>,
    totals: Vec<f64>,
    edges: Vec<f64>,
    peak: Option<f64>,
    capital: Option<f64>,
    growth: Option<MemoryGrowth>,
    /// Seconds of memory readings that a slope needs.
    least_s: f64,
}

/// What a sample holds of a signal, before anything is remembered.
enum Raw {
    Gauge(f64, String),
    Counters(Vec<f64>),
}

impl Reader {
    /// `span_s` is the rule's window, which a slope must cover.
    pub(super) fn new(signal: Signal, settings: &Settings, span_s: Option<f64>) -> Self {
        Self {
            signal,
            last: None,
            totals: Vec::new(),
            edges: Vec::new(),
            // Our own runner's PnL begins at 0; where another's begins is seen with its first sample.
            peak: settings.has_journal.then_some(0.0),
            capital: None,
            growth: signal.is_slope().then(|| MemoryGrowth::new(settings)),
            least_s: span_s.map_or(settings.memory_min_s, |span| span.max(settings.memory_min_s)),
        }
    }

    /// Reads a sample.
    ///
    /// # Errors
    /// Why there is no value in it.
    pub(super) fn read(&mut self, sample: &Sample, settings: &Settings) -> Result<Reading, String> {
        if self.signal.is_slope() {
            return self.slope(sample);
        }
        match self.raw(sample, settings)? {
            Raw::Gauge(value, what) => Ok(self.gauge(value, what)),
            Raw::Counters(now) => self.counters(&now, settings),
        }
    }

    fn gauge(&mut self, value: f64, what: String) -> Reading {
        self.totals.resize(2, 0.0);
        self.totals[0] += value;
        self.totals[1] += 1.0;
        let stands = Value::Is(value, what);
        Reading {
            totals: self.totals.clone(),
            step: stands.clone(),
            stands,
            events: self.totals[1],
            reset: false,
            reshaped: false,
        }
    }

    fn counters(&mut self, now: &[f64], settings: &Settings) -> Result<Reading, String> {
        let before = self.last.replace(now.to_vec());
        let same = before.as_ref().is_none_or(|before| before.len() == now.len());
        let reshaped = !same || (before.is_none() && !self.totals.is_empty());
        // Winners are a rate times the closes: rounding may let them fall a little, the closes not.
        let from = usize::from(self.signal == Signal::WinRatePct);
        let fell = |before: &Vec<f64>| before.iter().zip(now).skip(from).any(|(was, is)| is < was);
        let reset = reshaped || before.as_ref().is_some_and(fell);
        let earlier = self.totals.clone();
        self.totals = match &before {
            None => now.to_vec(),
            // What came since the restart is known, what came before it and after the last sample is not.
            Some(_) if reset && !reshaped => earlier.iter().zip(now).map(|(total, is)| total + is).collect(),
            Some(_) if reset => now.to_vec(),
            Some(before) => earlier
                .iter()
                .zip(now.iter().zip(before))
                .map(|(total, (is, was))| total + (is - was))
                .collect(),
        };
        let step = match &before {
            None => Value::Missing(format!("no {} since the last sample", self.words())),
            Some(_) if reset => Value::Missing(format!("the counter of {} was reset", self.words())),
            Some(_) => match self.between(&earlier, &self.totals, settings) {
                Value::NoEvent(_) if self.is_histogram() => {
                    Value::Missing(format!("no {} since the last sample", self.words()))
                }
                value => value,
            },
        };
        let stands = match self.signal {
            Signal::WinRatePct | Signal::AlertSuccessRatePct => {
                self.between(&vec![0.0; self.totals.len()], &self.totals, settings)
            }
            _ if self.is_histogram()
                || self.signal == Signal::CpuPct
                || self.signal == Signal::ErrorRatePct =>
            {
                step.clone()
            }
            _ => Value::Is(self.totals[0], self.counted(self.totals[0])),
        };
        let step = if matches!(self.signal, Signal::WinRatePct | Signal::AlertSuccessRatePct) && !reset {
            stands.clone()
        } else {
            step
        };
        let events = self.events(&vec![0.0; self.totals.len()], &self.totals);
        Ok(Reading { totals: self.totals.clone(), stands, step, events, reset, reshaped })
    }

    const fn is_histogram(&self) -> bool {
        matches!(self.signal, Signal::LoopLatencyP95Ms | Signal::LoopLatencyP99Ms | Signal::LoopLatencyAvgMs)
    }

    /// Events between two totals.
    pub(super) fn events(&self, before: &[f64], after: &[f64]) -> f64 {
        let of = |i: usize| after.get(i).zip(before.get(i)).map_or(0.0, |(a, b)| a - b);
        match self.signal {
            Signal::WinRatePct | Signal::AlertSuccessRatePct => of(1),
            _ if self.is_histogram() => of(self.edges.len().saturating_sub(1)),
            _ => of(0),
        }
    }

    /// The value over the span between two totals.
    pub(super) fn between(&self, before: &[f64], after: &[f64], settings: &Settings) -> Value {
        let d: Vec<f64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
        let (Some(first), second) = (d.first().copied(), d.get(1).copied()) else {
            return Value::Missing("no totals".to_owned());
        };
        match (self.signal, second) {
            (Signal::WinRatePct, Some(all)) => share(first, all, "win rate", "no closed trades"),
            (Signal::AlertSuccessRatePct, Some(all)) => {
                share(first, all, "alert success rate", "no alert delivered or failed")
            }
            (Signal::CpuPct, Some(seconds)) if seconds > 0.0 => {
                let percent = first / seconds / settings.cpu_cores * 100.0;
                Value::Is(percent, format!("CPU {} %", figure(percent)))
            }
            (Signal::ErrorRatePct, Some(seconds)) if seconds > 0.0 => {
                let percent = (first / (seconds * 10.0) * 100.0).min(100.0);
                Value::Is(percent, format!("error rate {} %", figure(percent)))
            }
            (Signal::CpuPct | Signal::ErrorRatePct, _) => Value::Missing("no time has passed".to_owned()),
            (Signal::GuardTriggersPerH, Some(seconds)) if seconds > 0.0 => {
                let rate = first * settings.hour_s / seconds;
                Value::Is(rate, format!("{} guard triggers per hour", figure(rate)))
            }
            _ if self.is_histogram() => self.latency(&d),
            _ if self.is_gauge() => match second {
                Some(samples) if samples > 0.0 => {
                    let mean = first / samples;
                    Value::Is(mean, format!("mean {} {}", self.signal, figure(mean)))
                }
                _ => Value::Missing("no sample".to_owned()),
            },
            _ => Value::Is(first, self.counted(first)),
        }
    }

    fn latency(&self, d: &[f64]) -> Value {
        let buckets: Vec<(f64, f64)> = self.edges.iter().copied().zip(d.iter().copied()).collect();
        let sum = d.get(self.edges.len()).copied().filter(|sum| sum.is_finite());
        let h = Histogram { buckets, sum };
        let (name, found) = match self.signal {
            Signal::LoopLatencyP95Ms => ("p95", self.quantile(&h, 0.95)),
            Signal::LoopLatencyP99Ms => ("p99", self.quantile(&h, 0.99)),
            _ => ("mean", h.mean().map(|mean| (mean, mean))),
        };
        match found {
            None => Value::NoEvent("no loop latency".to_owned()),
            Some((value, shown)) => {
                Value::Is(value * 1e3, format!("loop latency {name} {} ms", figure(shown * 1e3)))
            }
        }
    }

    /// The quantile to compare and the one to show: beyond the last finite edge it is above everything, and shown as that edge.
    fn quantile(&self, h: &Histogram, q: f64) -> Option<(f64, f64)> {
        let shown = h.quantile(q)?;
        let last = self.edges.iter().copied().rfind(|edge| edge.is_finite());
        let beyond = match last {
            Some(last) => h.quantile_above(q, last)?,
            None => true,
        };
        Some((if beyond { f64::INFINITY } else { shown }, shown))
    }

    const fn is_gauge(&self) -> bool {
        matches!(
            self.signal,
            Signal::MemoryMb
                | Signal::OpenFiles
                | Signal::Threads
                | Signal::PnlFallPct
                | Signal::PnlUsd
                | Signal::ExposureUsd
                | Signal::ActivePositions
                | Signal::BooksLivePct
                | Signal::NotifierAvailability
                | Signal::AlertQueueDepth
                | Signal::AlertOldestPendingS
        )
    }

    /// What the signal counts or measures, in words.
    fn words(&self) -> &'static str {
        match self.signal {
            Signal::LoopLatencyP95Ms | Signal::LoopLatencyP99Ms | Signal::LoopLatencyAvgMs => "loop latency",
            Signal::CpuPct => "CPU reading",
            signal => signal.as_str(),
        }
    }

    fn counted(&self, value: f64) -> String {
        match self.signal {
            Signal::RoundTrips => format!("{} round trips", figure(value)),
            Signal::AlertDlq => format!("alert_dlq_total = {}", figure(value)),
            signal => format!("{signal} = {}", figure(value)),
        }
    }

    fn slope(&mut self, sample: &Sample) -> Result<Reading, String> {
        let os = os(sample)?;
        if os.pss_bytes == 0 {
            return Err("no memory reading in the sample".to_owned());
        }
        let percent = self.signal == Signal::MemoryGrowthPctPerH;
        let least = self.least_s;
        let growth = self.growth.as_mut().ok_or("no memory reading in the sample")?;
        growth.push(sample.t, os.pss_bytes as f64);
        let stands = match growth.figure(least) {
            Err(why) => Value::NoEvent(why),
            Ok(found) if !found.pct_per_h.is_finite() => Value::Missing("the slope is no number".to_owned()),
            Ok(found) => {
                let mib = found.bytes_per_h / 1_048_576.0;
                let what = format!("memory growth {} %/h, {} MiB/h", figure(found.pct_per_h), figure(mib));
                Value::Is(if percent { found.pct_per_h } else { mib }, what)
            }
        };
        Ok(Reading {
            totals: Vec::new(),
            step: stands.clone(),
            stands,
            events: 0.0,
            reset: false,
            reshaped: false,
        })
    }

    fn raw(&mut self, sample: &Sample, settings: &Settings) -> Result<Raw, String> {
        let log = sample.log;
        Ok(match self.signal {
            Signal::Progress | Signal::Scrapes => return Err("a sign of life has no value".to_owned()),
            Signal::MemoryGrowthPctPerH | Signal::MemoryGrowthMibPerH => {
                return Err("a slope is no single value".to_owned());
            }
            Signal::CpuPct => {
                let cpu = os(sample)?.cpu_seconds;
                if !cpu.is_finite() {
                    return Err("no CPU reading in the sample".to_owned());
                }
                Raw::Counters(vec![cpu, sample.t])
            }
            Signal::ErrorRatePct => Raw::Counters(vec![log.error_slots as f64, sample.t]),
            Signal::LogErrors => Raw::Counters(vec![log.errors as f64]),
            Signal::LogWarnings => Raw::Counters(vec![log.warnings as f64]),
            Signal::LogCriticals => Raw::Counters(vec![log.criticals as f64]),
            Signal::MemoryMb => named("memory_mb", os(sample)?.pss_bytes as f64 / 1e6),
            Signal::OpenFiles => named("open_files", f64::from(os(sample)?.fds)),
            Signal::Threads => named("threads", f64::from(os(sample)?.threads)),
            Signal::GuardTriggersPerH => Raw::Counters(vec![self.counter(sample)?, sample.t]),
            Signal::WinRatePct => closes(sample)?,
            Signal::AlertSuccessRatePct => {
                let (sent, failed) =
                    (total(sample, "alert_sent_total")?, total(sample, "alert_failed_total")?);
                Raw::Counters(vec![sent, sent + failed])
            }
            Signal::NotifierAvailability => availability(sample, settings)?,
            Signal::BooksLivePct => books(sample)?,
            Signal::PnlFallPct => self.fall(sample)?,
            Signal::LoopLatencyP95Ms | Signal::LoopLatencyP99Ms | Signal::LoopLatencyAvgMs => {
                let h = Histogram::read(scrape(sample)?, "loop_latency_seconds")
                    .ok_or("loop_latency_seconds has no sample")?;
                let edges: Vec<f64> = h.buckets.iter().map(|(edge, _)| *edge).collect();
                if edges != self.edges {
                    self.last = None;
                    self.edges = edges;
                }
                let mut counts: Vec<f64> = h.buckets.iter().map(|(_, count)| *count).collect();
                counts.extend(h.sum);
                Raw::Counters(counts)
            }
            Signal::RoundTrips
            | Signal::PositionLimitHits
            | Signal::LoopErrors
            | Signal::VenueResyncs
            | Signal::VenueReconnects
            | Signal::VenueHttpErrors
            | Signal::AlertDlq => Raw::Counters(vec![self.counter(sample)?]),
            Signal::PnlUsd
            | Signal::ExposureUsd
            | Signal::ActivePositions
            | Signal::AlertQueueDepth
            | Signal::AlertOldestPendingS => named(self.signal.as_str(), self.counter(sample)?),
        })
    }

    fn counter(&self, sample: &Sample) -> Result<f64, String> {
        total(sample, self.signal.metric().ok_or("the signal is no metric")?)
    }

    fn fall(&mut self, sample: &Sample) -> Result<Raw, String> {
        let pnl = total(sample, "arb_topn_pnl_usd")?;
        let named = sample.kpi.get("paper_capital_usd").copied();
        self.capital = named.filter(|usd| usd.is_finite() && *usd > 0.0).or(self.capital);
        let peak = self.peak.map_or(pnl, |peak| peak.max(pnl));
        self.peak = Some(peak);
        let capital = self.capital.ok_or("the KPI file has named no paper_capital_usd yet")?;
        let percent = (peak - pnl) / capital * 100.0;
        let what =
            format!("PnL {} % of paper capital below its peak of {} USD", figure(percent), figure(peak));
        Ok(Raw::Gauge(percent, what))
    }
}

fn share(part: f64, all: f64, name: &str, none: &str) -> Value {
    if all <= 0.0 {
        return Value::NoEvent(none.to_owned());
    }
    let percent = part / all * 100.0;
    Value::Is(percent, format!("{name} {} % of {}", figure(percent), figure(all)))
}

fn named(name: &str, value: f64) -> Raw {
    Raw::Gauge(value, format!("{name} = {}", figure(value)))
}

fn os(sample: &Sample) -> Result<&OsSample, String> {
    match &sample.os {
        Found::Yes(os) => Ok(os),
        Found::No(_) => Err("the operating system's figures have no sample".to_owned()),
    }
}

fn scrape(sample: &Sample) -> Result<&crate::evidence::Scrape, String> {
    sample.scrape.get().ok_or_else(|| "the scrape failed".to_owned())
}

fn total(sample: &Sample, metric: &str) -> Result<f64, String> {
    count(scrape(sample)?, metric).ok_or_else(|| format!("{metric} has no sample"))
}

/// Winners and closes, without the `shutdown` closes where the exit reasons are counted.
fn closes(sample: &Sample) -> Result<Raw, String> {
    let scrape = scrape(sample)?;
    let reasons = sum_by(scrape, "arb_topn_exit_reasons_total", "reason");
    let closed = if reasons.is_empty() {
        total(sample, "arb_topn_round_trips_total")?
    } else {
        total(sample, "arb_topn_exit_reasons_total")? - reasons.get("shutdown").copied().unwrap_or(0.0)
    };
    // The rate has no series before the first close.
    if closed <= 0.0 {
        return Ok(Raw::Counters(vec![0.0, 0.0]));
    }
    let rate = sum(scrape, "arb_topn_win_rate", &[]).ok_or("arb_topn_win_rate has no sample")?;
    Ok(Raw::Counters(vec![rate / 100.0 * closed, closed]))
}

/// The worst required notifier. One that is at 0 is told even when another has no sample.
fn availability(sample: &Sample, settings: &Settings) -> Result<Raw, String> {
    const METRIC: &str = "notifier_available";
    let scrape = scrape(sample)?;
    let known = sum_by(scrape, METRIC, "notifier");
    let required: Vec<String> = if settings.notifiers.is_empty() {
        known.keys().cloned().collect()
    } else {
        settings.notifiers.clone()
    };
    let worst = required
        .iter()
        .filter_map(|name| known.get(name).map(|value| (*value, name)))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let missing = required.iter().find(|name| !known.contains_key(*name));
    match (worst, missing) {
        (Some((value, name)), None) => {
            Ok(Raw::Gauge(value, format!("{METRIC} of {name} = {}", figure(value))))
        }
        (Some((value, name)), Some(_)) if value <= 0.0 => {
            Ok(Raw::Gauge(value, format!("{METRIC} of {name} = {}", figure(value))))
        }
        (_, Some(name)) => Err(format!("{METRIC} of {name} has no sample")),
        (None, None) => Err(format!("{METRIC} has no sample")),
    }
}

/// Live books among all, of the worse venue.
fn books(sample: &Sample) -> Result<Raw, String> {
    let scrape = scrape(sample)?;
    let all = sum_by(scrape, "venue_books", "venue");
    let worst = all
        .iter()
        .filter(|(_, books)| **books > 0.0)
        .filter_map(|(venue, books)| {
            let live = sum(scrape, "venue_books", &[("venue", venue), ("state", "live")])?;
            Some((live / books * 100.0, venue))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let (percent, venue) = worst.ok_or("venue_books has no sample")?;
    Ok(Raw::Gauge(percent, format!("{} % of the books of {venue} live", figure(percent))))
}
