//! Flat against movement: the runner's own figure stands still while an independent reading of the same measure moves.
//!
//! What stands still on both sides is a flat engine and convicts nobody. A standard `process_*` metric is of one process: of a
//! group of several it is not the same measure, and is left out.

use super::{Said, Sight, scrapes};
use crate::evidence::{Origin, OsSample, Sample, Scrape};
use crate::scrape::sum;
use crate::value::figure;

/// Readings needed before standing still says anything.
const LEAST: usize = 20;

/// A figure of the runner's own beside one or more independent readings of it at the same instants.
struct Pair {
    name: &'static str,
    field: &'static str,
    /// Movement below this is noise: 1 MB, 2 points.
    floor: f64,
    /// The runner's figure, and each reading beside it: all of them must have moved.
    rows: Vec<(f64, Vec<f64>)>,
    /// Whose readings stand beside it.
    whose: &'static str,
}

pub(super) fn flat(sight: &Sight<'_>) -> Said {
    let pairs = if sight.phase.samples.iter().any(|s| s.os.get().is_some()) {
        supervised(sight)
    } else {
        beside_metrics(sight)
    };
    let (mut looked, mut wrong, mut fields) = (Vec::new(), Vec::new(), Vec::new());
    for pair in pairs.iter().filter(|p| p.rows.len() >= LEAST) {
        let (text, convicted) = pair.judge();
        if convicted {
            wrong.push(text);
            fields.push(pair.field);
        } else {
            looked.push(text);
        }
    }
    // What nobody else measured is said, whatever else was found.
    let unmeasured = sight.evidence.origin == Origin::Elsewhere;
    let stood = if unmeasured { standing(sight, &fields) } else { Vec::new() };
    if !wrong.is_empty() {
        wrong.extend(stood);
        return Said::Violated(wrong.join("; "), fields.join(", "));
    }
    if looked.is_empty() {
        let why =
            "fewer than 20 samples of the runner's own CPU or memory figure beside an independent reading";
        return Said::Off([vec![why.to_owned()], stood].concat().join("; "));
    }
    looked.extend(stood);
    Said::Clean(looked.join("; "))
}

impl Pair {
    fn judge(&self) -> (String, bool) {
        let (from, to) = self.longest_stand();
        let stood = to - from;
        // A figure may be renewed less often than it is polled: standing still counts when it lasts for half of the run.
        let still = stood >= LEAST && stood * 2 >= self.rows.len();
        let rows = if still { &self.rows[from..to] } else { &self.rows[..] };
        let readings = rows.first().map(|r| r.1.len()).unwrap_or_default();
        let moved: Vec<(f64, f64)> = (0..readings)
            .map(|i| spread(&rows.iter().filter_map(|row| row.1.get(i).copied()).collect::<Vec<_>>()))
            .collect();
        let least = moved.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((least, _)) = least else { return (format!("{}: no reading beside it", self.name), false) };
        let real = moved.iter().all(|(moved, size)| *moved > self.floor && *moved > 0.05 * size);
        let own = if still { format!("stood at {}", figure(rows[0].0)) } else { "moved".to_owned() };
        let text = format!(
            "{}: the runner's own figure {own} over {} samples, {} moved by {}",
            self.name,
            rows.len(),
            self.whose,
            figure(least)
        );
        (text, still && real)
    }

    /// The longest stretch over which the runner's figure is the same.
    fn longest_stand(&self) -> (usize, usize) {
        let (mut best, mut from) = ((0, 0), 0);
        for i in 0..self.rows.len() {
            if self.rows[i].0 != self.rows[from].0 {
                from = i;
            }
            if i + 1 - from > best.1 - best.0 {
                best = (from, i + 1);
            }
        }
        best
    }
}

/// How far the middle 80 % of the readings reach, and their size: one spike between two polls is no movement.
fn spread(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = sorted.len().saturating_sub(1) as f64;
        sorted.get((share * last).round() as usize).copied()
    };
    match (at(0.1), at(0.9), sorted.last()) {
        (Some(low), Some(high), Some(most)) => (high - low, most.abs()),
        _ => (0.0, 0.0),
    }
}

fn resident_mb(scrape: &Scrape) -> Option<f64> {
    sum(scrape, "process_memory_usage_mb", &[])
        .or_else(|| sum(scrape, "process_resident_memory_bytes", &[]).map(|bytes| bytes / 1e6))
}

/// Samples with a new version of the KPI file: a file that was not rewritten is one reading.
fn versions(sight: &Sight<'_>) -> Vec<usize> {
    let samples = &sight.phase.samples;
    (0..samples.len())
        .filter(|i| match i.checked_sub(1).and_then(|before| samples.get(before)) {
            Some(before) => before.kpi_rewrites != samples[*i].kpi_rewrites,
            None => true,
        })
        .collect()
}

/// CPU percent since the sample before, and since the start.
fn cpu(samples: &[Sample], i: usize, os: &OsSample, cores: f64) -> Option<(f64, f64)> {
    let now = samples.get(i)?;
    let before = samples[..i].iter().rev().find_map(|s| s.os.get().map(|os| (s.t, os.cpu_seconds)))?;
    let since = (os.cpu_seconds - before.1) / (now.t - before.0) / cores * 100.0;
    let mean = os.cpu_seconds / now.t / cores * 100.0;
    (since.is_finite() && mean.is_finite()).then_some((since, mean))
}

/// The supervisor's readings beside the runner's: its metrics and its KPI file.
fn supervised(sight: &Sight<'_>) -> Vec<Pair> {
    let cores = sight.evidence.settings.cpu_cores;
    let samples = &sight.phase.samples;
    let whose = "the supervisor's";
    let pair = |name, field, floor| Pair { name, field, floor, rows: Vec::new(), whose };
    let mut memory = pair("memory", "memory_usage_mb", 1.0);
    let mut load = pair("CPU", "cpu_usage_pct", 2.0);
    let mut file_memory = pair("memory in the KPI file", "memory_usage_mb", 1.0);
    let mut file_load = pair("CPU in the KPI file", "cpu_usage_pct", 2.0);
    let several = samples.iter().filter_map(|s| s.os.get()).any(|os| os.processes > 1);
    for (i, sample) in samples.iter().enumerate() {
        let (Some(os), Some(scrape)) = (sample.os.get(), sample.scrape.get()) else { continue };
        if several {
            break;
        }
        if let Some(own) = resident_mb(scrape) {
            memory.rows.push((own, vec![os.rss_bytes as f64 / 1e6]));
        }
        if let Some((own, (since, _))) =
            sum(scrape, "process_cpu_usage_percent", &[]).zip(cpu(samples, i, os, cores))
        {
            load.rows.push((own, vec![since]));
        }
    }
    for i in versions(sight) {
        let sample = &samples[i];
        let Some(os) = sample.os.get() else { continue };
        let own = sample.kpi.get("memory_usage_mb").or_else(|| sample.kpi.get("peak_rss_bytes"));
        if let Some(own) = own {
            // A peak only rises: it moves when the resident size has moved beyond it.
            file_memory.rows.push((*own, vec![os.peak_rss_bytes as f64 / 1e6]));
        }
        if let Some((own, (since, mean))) =
            sample.kpi.get("cpu_usage_pct").copied().zip(cpu(samples, i, os, cores))
        {
            // Whether it is meant since the start or since the last version is the runner's choice: both must have moved.
            file_load.rows.push((own, vec![since, mean]));
        }
    }
    vec![memory, load, file_memory, file_load]
}

/// Without a supervisor, the process's own exposition is the independent reading: the operating system counts there.
fn beside_metrics(sight: &Sight<'_>) -> Vec<Pair> {
    let cores = sight.evidence.settings.cpu_cores;
    let whose = "its metrics";
    let pair = |name, field, floor| Pair { name, field, floor, rows: Vec::new(), whose };
    let mut memory = pair("memory in the KPI file", "memory_usage_mb", 1.0);
    let mut load = pair("CPU in the KPI file", "cpu_usage_pct", 2.0);
    let seen = scrapes(sight.phase);
    let mut peak = 0.0f64;
    let mut next = 0;
    for i in versions(sight) {
        let sample = &sight.phase.samples[i];
        while let Some((_, scrape)) = seen.get(next).filter(|(t, _)| *t <= sample.t) {
            peak = peak.max(resident_mb(scrape).unwrap_or(peak));
            next += 1;
        }
        let own = sample.kpi.get("memory_usage_mb").or_else(|| sample.kpi.get("peak_rss_bytes"));
        if let Some(own) = own.filter(|_| peak > 0.0) {
            memory.rows.push((*own, vec![peak]));
        }
        let used = |at: usize| {
            let (t, scrape) = seen.get(at)?;
            Some((*t, sum(scrape, "process_cpu_seconds_total", &[])?))
        };
        // Without instants there is no rate.
        let since = next.checked_sub(2).filter(|_| sample.wall_ms > 0).and_then(|before| {
            let ((t0, a), (t1, b)) = (used(before)?, used(before + 1)?);
            Some((b - a) / (t1 - t0) / cores * 100.0).filter(|x| x.is_finite())
        });
        if let Some((own, since)) = sample.kpi.get("cpu_usage_pct").zip(since) {
            load.rows.push((*own, vec![since]));
        }
    }
    vec![memory, load]
}

/// Figures that stood still over the versions of the KPI file with nothing beside them: shown, and no conviction.
fn standing(sight: &Sight<'_>, convicted: &[&str]) -> Vec<String> {
    let at = versions(sight);
    [("cpu_usage_pct", "CPU"), ("memory_usage_mb", "memory")]
        .into_iter()
        .filter(|(field, _)| !convicted.contains(field))
        .filter_map(|(field, name)| {
            let own: Vec<f64> =
                at.iter().filter_map(|i| sight.phase.samples[*i].kpi.get(field).copied()).collect();
            let first = own.first()?;
            (own.len() >= 2 && own.iter().all(|v| v == first)).then(|| {
                format!(
                    "{name} stood at {} in {} versions of the KPI file, and nobody but the runner measured it",
                    figure(*first),
                    own.len()
                )
            })
        })
        .collect()
}
