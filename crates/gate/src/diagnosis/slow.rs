//! Why the loop is slow and why memory grows: stages, symbols, gaps, the machine; the curve and the components.

use super::answer;
use crate::evidence::{Found, PhaseEvidence};
use crate::judge::{Analysis, Diagnosis};
use crate::scrape::{Histogram, sum_by};
use crate::value::{Outcome, figure};
use catalogue::CriterionId;
use journal::Body;
use std::collections::BTreeMap;

fn failed(analysis: &Analysis, id: CriterionId) -> bool {
    let aborted =
        analysis.aborted.as_ref().is_some_and(|a| a.cause == if id == CriterionId::H1 { "A4" } else { "A6" });
    aborted || analysis.criteria.iter().any(|c| c.id == id && c.outcome == Outcome::Fail)
}

pub(super) fn latency(phase: &PhaseEvidence, analysis: &Analysis) -> Option<Diagnosis> {
    if !failed(analysis, CriterionId::H1) {
        return None;
    }
    let mut lines = Vec::new();
    let mut slowest: Option<(f64, &str)> = None;
    if let Found::Yes(last) = &phase.final_scrape {
        for stage in catalogue::LOOP_STAGES {
            let mut only = crate::evidence::Scrape::default();
            let wanted = format!("stage=\"{stage}\"");
            only.series.extend(
                last.scrape
                    .series
                    .iter()
                    .filter(|(name, _)| name.starts_with("loop_stage_seconds") && name.contains(&wanted))
                    .map(|(name, value)| (name.clone(), *value)),
            );
            if let Some(p99) = Histogram::read(&only, "loop_stage_seconds").and_then(|h| h.quantile(0.99)) {
                lines.push(format!("stage {stage}: p99 {} ms", figure(p99 * 1e3)));
                if slowest.is_none_or(|(worst, _)| p99 > worst) {
                    slowest = Some((p99, stage));
                }
            }
        }
    }
    for window in &analysis.series.latency {
        if let Some(p99) = window.p99_ms {
            lines.push(format!("{:.0} to {:.0} s: p99 {} ms", window.from_s, window.to_s, figure(p99)));
        }
    }
    lines.extend(by_symbol(phase));
    lines.extend(gaps(phase));
    lines.extend(late_polls(phase));
    let finding = slowest.map_or("the stages are not exposed; see the windows".to_owned(), |(p99, stage)| {
        format!("the slowest stage is {stage} with a p99 of {} ms", figure(p99 * 1e3))
    });
    answer("Why is the loop slow?", finding, lines)
}

/// The symbols that were worked on most, by the journal's funnel.
fn by_symbol(phase: &PhaseEvidence) -> Vec<String> {
    let mut updates: BTreeMap<String, u64> = BTreeMap::new();
    for entry in phase.journal.get().into_iter().flatten() {
        if let Body::Funnel { asset: Some(asset), counts } = &entry.body
            && let Some(n) = counts.get("updates")
        {
            *updates.entry(asset.to_string()).or_insert(0) += n;
        }
    }
    let mut busiest: Vec<(u64, String)> = updates.into_iter().map(|(symbol, n)| (n, symbol)).collect();
    busiest.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    busiest.into_iter().take(5).map(|(n, symbol)| format!("symbol {symbol}: {n} updates")).collect()
}

/// The longest silences between the lines that show progress.
fn gaps(phase: &PhaseEvidence) -> Vec<String> {
    match &phase.iteration_gaps {
        Found::Yes(gaps) => gaps
            .iter()
            .take(5)
            .map(|gap| {
                let seconds = figure(gap.seconds);
                format!(
                    "{seconds} s between Iteration [{}] ({}) and Iteration [{}]",
                    gap.from, gap.at, gap.to
                )
            })
            .collect(),
        Found::No(why) => vec![format!("gaps between Iteration lines: {why}")],
    }
}

/// What else the machine did: when our own polls came late, it was busy or asleep, whatever the runner did.
fn late_polls(phase: &PhaseEvidence) -> Option<String> {
    let mut spans: Vec<f64> = phase.samples.windows(2).map(|w| w[1].t - w[0].t).collect();
    spans.sort_by(f64::total_cmp);
    let (usual, longest) = (*spans.get(spans.len() / 2)?, *spans.last()?);
    let text =
        format!("the supervisor's polls came every {} s, once after {} s", figure(usual), figure(longest));
    let busy = if longest > 1.5 * usual { ": the machine was busy with something else then" } else { "" };
    Some(format!("{text}{busy}"))
}

/// What to look with next: for our own runner, for an interpreter, for anything else.
const PROFILERS: &str = "a heap profiler is next: heaptrack or bytehound for native code, memray for Python, async-profiler for a JVM, \
                         --heap-prof for Node";

pub(super) fn memory(phase: &PhaseEvidence, analysis: &Analysis) -> Option<Diagnosis> {
    if !failed(analysis, CriterionId::H3) {
        return None;
    }
    let readings: Vec<BTreeMap<String, f64>> = phase
        .samples
        .iter()
        .filter_map(|s| s.scrape.get())
        .map(|s| sum_by(s, "component_bytes", "component"))
        .filter(|map| !map.is_empty())
        .collect();
    // A component that was not exposed before has no growth that could be told.
    let mut grown: Vec<(f64, &str)> = match (readings.first(), readings.last()) {
        (Some(first), Some(last)) => {
            last.iter().filter_map(|(name, bytes)| Some((bytes - first.get(name)?, name.as_str()))).collect()
        }
        _ => Vec::new(),
    };
    grown.sort_by(|a, b| b.0.total_cmp(&a.0));
    let rate = analysis
        .series
        .memory_growth_pct_per_h
        .map_or("an unknown rate".to_owned(), |g| format!("{} %/h", figure(g)));
    let finding = match grown.first().filter(|g| g.0 > 0.0) {
        Some((bytes, name)) => {
            format!("memory grew at {rate}; {name} grew most, by {} MB; {PROFILERS}", figure(bytes / 1e6))
        }
        None => format!("memory grew at {rate}, in no component that is exposed; {PROFILERS}"),
    };
    let mut lines = curve(&analysis.series.memory_mb);
    lines.extend(grown.iter().map(|(bytes, name)| format!("{name}: {} MB more", figure(bytes / 1e6))));
    answer("Why does memory grow?", finding, lines)
}

/// The curve at up to nine instants.
fn curve(points: &[(f64, f64)]) -> Vec<String> {
    let last = points.len().saturating_sub(1);
    let mut at: Vec<usize> = (0..=8).map(|i| last * i / 8).collect();
    at.dedup();
    let told: Vec<String> = at
        .into_iter()
        .filter_map(|i| points.get(i))
        .map(|(t, mb)| format!("{t:.0} s {} MB", figure((mb * 10.0).round() / 10.0)))
        .collect();
    if told.is_empty() { Vec::new() } else { vec![format!("memory: {}", told.join(", "))] }
}
