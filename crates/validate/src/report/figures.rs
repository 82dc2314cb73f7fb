//! Curves and tables of the judged phase: exit reasons, funnel, alerts, latency, memory, CPU, log, crash blocks.

use super::Report;
use super::charts::{Chart, Threshold, clock};
use super::model::{Block, Cell, Table, Tone};
use super::said::said;
use super::words::{Lang, Words, fill, name};
use catalogue::{EXIT_REASONS, FUNNEL_STAGES};
use gate::Value;
use gate::evidence::{Found, LogCounters, PhaseEvidence};
use gate::judge::LatencyWindow;
use gate::value::figure;
use std::collections::BTreeMap;

/// H3: 10 % per hour, but never less than 8 MiB per hour (validation.md 6).
const GROWTH_PCT: f64 = 10.0;
const GROWTH_MIB: f64 = 8.0;
/// H2: mean CPU, percent; A5: CPU that aborts.
const CPU_H2: f64 = 70.0;
const CPU_A5: f64 = 80.0;
/// H1 and A4: p99 in milliseconds.
const P99_H1: f64 = 80.0;
const P99_A4: f64 = 100.0;

/// Why figures that come from the journal or the KPI file are not there.
pub(super) fn why_unknown(phase: &PhaseEvidence, w: &Words) -> String {
    let missing = |why: &String, other: Option<&String>| match other {
        Some(other) => format!("{}; {}", said(why, w), said(other, w)),
        None => said(why, w),
    };
    match (&phase.journal, &phase.kpi_file) {
        (Found::No(journal), Found::No(file)) => missing(journal, Some(file)),
        (Found::No(why), _) | (_, Found::No(why)) => missing(why, None),
        _ => w.no_source.to_owned(),
    }
}

fn kpi<'a>(report: &Report<'a>, field: &str) -> Option<&'a Value> {
    report.analysis.kpis.iter().find(|kpi| kpi.field == field).map(|kpi| &kpi.value)
}

/// Rows of name, figure and share of the largest figure.
fn bars(items: &[(&str, f64)], lang: Lang) -> Vec<Vec<Cell>> {
    let most = items.iter().map(|(_, n)| *n).fold(0.0, f64::max);
    items
        .iter()
        .map(|(key, n)| {
            let share = if most > 0.0 { n / most } else { 0.0 };
            vec![Cell::Named(name(key, lang), (*key).to_owned()), Cell::Bar(figure(*n), share)]
        })
        .collect()
}

/// The entries of a map in the order of the fixed words, the others behind them by name.
fn in_order<'a>(map: &'a BTreeMap<String, f64>, order: &[&str]) -> Vec<(&'a str, f64)> {
    let place = |key: &str| {
        let head = key.split(':').next().unwrap_or(key);
        (order.iter().position(|word| *word == head).unwrap_or(order.len()), key.contains(':'))
    };
    let mut items: Vec<(&str, f64)> = map.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    items.sort_by_key(|(key, _)| place(key));
    items
}

/// The fixed words that a map does not name: said, not shown as zero.
fn not_seen(map: &BTreeMap<String, f64>, order: &[&str], lang: Lang) -> Option<Block> {
    let missing: Vec<String> =
        order.iter().filter(|word| !map.contains_key(**word)).map(|word| name(word, lang)).collect();
    (!missing.is_empty()).then(|| Block::Text(fill(lang.words().not_seen, &[&missing.join(", ")])))
}

pub(super) fn exits(report: &Report<'_>, lang: Lang) -> Vec<Block> {
    let w = lang.words();
    let Some(phase) = report.phase() else { return vec![Block::Text(w.nothing_ran.to_owned())] };
    let reasons = &report.analysis.series.exit_reasons;
    if reasons.is_empty() {
        // Only a measured zero says that nothing was closed.
        let none = kpi(report, "round_trips_completed").and_then(Value::number) == Some(0.0);
        let text =
            if none { w.exits_none.to_owned() } else { fill(w.exits_unknown, &[&why_unknown(phase, w)]) };
        return vec![Block::Text(text)];
    }
    let rows = bars(&in_order(reasons, &EXIT_REASONS), lang);
    let mut blocks = vec![Block::Table(Table {
        caption: w.exit_reasons.to_owned(),
        head: vec![w.col_reason, w.col_count],
        rows,
    })];
    blocks.extend(not_seen(reasons, &EXIT_REASONS, lang));
    blocks
}

pub(super) fn funnel(report: &Report<'_>, lang: Lang) -> Vec<Block> {
    let w = lang.words();
    let Some(phase) = report.phase() else { return vec![Block::Text(w.nothing_ran.to_owned())] };
    let mut blocks = Vec::new();
    let stages: BTreeMap<String, f64> =
        report.analysis.series.funnel.iter().map(|(stage, n)| (stage.clone(), *n as f64)).collect();
    if stages.is_empty() {
        blocks.push(Block::Text(fill(w.funnel_none, &[&why_unknown(phase, w)])));
    } else {
        blocks.push(Block::Text(w.funnel_note.to_owned()));
        let rows = bars(&in_order(&stages, &FUNNEL_STAGES), lang);
        blocks.push(Block::Table(Table {
            caption: w.funnel.to_owned(),
            head: vec![w.col_stage, w.col_count],
            rows,
        }));
        blocks.push(Block::Text(w.funnel_units.to_owned()));
        if stages.keys().any(|stage| stage.starts_with("blocked:")) {
            blocks.push(Block::Text(w.funnel_several.to_owned()));
        }
        blocks.extend(not_seen(&stages, &FUNNEL_STAGES, lang));
    }
    blocks.extend(super::spreads::blocks(&report.analysis.series, w));
    blocks.push(Block::Sub(w.guards.to_owned(), None));
    let guards: Vec<(&str, f64)> =
        report.analysis.series.guards.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    if guards.is_empty() {
        blocks.push(Block::Text(match kpi(report, "guard_triggers_by_type") {
            Some(Value::Map(_)) => w.guards_none.to_owned(),
            Some(other) => fill(w.guards_unknown, &[&said(&other.to_string(), w)]),
            None => fill(w.guards_unknown, &[w.kpi_missing]),
        }));
    } else {
        let head = vec![w.col_guard, w.col_count];
        blocks.push(Block::Table(Table { caption: w.guards.to_owned(), head, rows: bars(&guards, lang) }));
    }
    blocks
}

pub(super) fn alerts(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let Some(phase) = report.phase() else { return vec![Block::Text(w.nothing_ran.to_owned())] };
    if let Found::No(why) = &phase.alerts {
        return vec![Block::Text(fill(w.alerts_unknown, &[&said(why, w)]))];
    }
    let rules = &report.analysis.series.alerts_by_rule;
    if rules.is_empty() {
        return vec![Block::Text(w.alerts_none.to_owned())];
    }
    let most = rules.values().copied().max().unwrap_or(1).max(1) as f64;
    let rows = rules
        .iter()
        .map(|(rule, n)| vec![Cell::Code(rule.clone()), Cell::Bar(n.to_string(), *n as f64 / most)])
        .collect();
    vec![Block::Table(Table { caption: w.alerts.to_owned(), head: vec![w.col_rule, w.col_count], rows })]
}

pub(super) fn latency(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let windows = &report.analysis.series.latency;
    if windows.is_empty() {
        return vec![Block::Text(w.latency_none.to_owned())];
    }
    let ms = |value: Option<f64>| {
        value.map_or_else(
            || Cell::Text(w.no_observation.to_owned()),
            |v| Cell::Number(figure((v * 1e3).round() / 1e3)),
        )
    };
    let rows = windows
        .iter()
        .map(|part: &LatencyWindow| {
            vec![
                Cell::Text(format!("{} - {}", clock(part.from_s), clock(part.to_s))),
                Cell::Number(figure(part.count)),
                ms(part.p50_ms),
                ms(part.p95_ms),
                ms(part.p99_ms),
            ]
        })
        .collect();
    let head = vec![w.col_part, w.col_observations, "p50 (ms)", "p95 (ms)", "p99 (ms)"];
    let end = windows.iter().map(|part| part.to_s).fold(0.0, f64::max);
    let points: Vec<(f64, f64)> =
        windows.iter().filter_map(|part| Some(((part.from_s + part.to_s) / 2.0, part.p99_ms?))).collect();
    let width = windows.iter().map(|part| part.to_s - part.from_s).fold(0.0, f64::max);
    let mut blocks = vec![
        Block::Text(w.latency_note.to_owned()),
        Block::Table(Table { caption: w.latency.to_owned(), head, rows }),
    ];
    if !points.is_empty() {
        blocks.push(Block::Chart(Chart {
            id: "chart-latency",
            title: format!("{} p99", w.latency),
            axis: "ms".to_owned(),
            points,
            gap_s: width * 1.5,
            thresholds: vec![level(w.p99_h1, P99_H1, end, false), level(w.p99_a4, P99_A4, end, true)],
            end_s: end,
            tabled: true,
        }));
    }
    blocks
}

/// One decimal: a reading for people beside a curve.
fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

const fn level(label: &'static str, value: f64, end: f64, hard: bool) -> Threshold {
    Threshold { label, from: (0.0, value), to: (end, value), hard }
}

/// The end of the time axis: what was planned, or what was really there.
fn end_of(report: &Report<'_>, points: &[(f64, f64)]) -> f64 {
    let planned = report.phase().map_or(0.0, |phase| phase.planned_s);
    points.last().map_or(planned, |last| last.0.max(planned))
}

pub(super) fn memory(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let series = &report.analysis.series;
    if series.memory_mb.is_empty() {
        return vec![Block::Text(w.memory_none.to_owned())];
    }
    let plain = series.memory_plain_pct.map_or_else(|| w.not_stated.to_owned(), |v| figure(tenth(v)));
    let growth = series.memory_growth_pct_per_h.map_or_else(
        || w.growth_unknown.to_owned(),
        |growth| fill(w.memory_growth, &[&figure(tenth(growth)), &plain]),
    );
    let settings = &report.evidence.settings;
    let end = end_of(report, &series.memory_mb);
    let limit = growth_limit(
        &series.memory_mb,
        settings.memory_skip_s,
        settings.memory_window_s,
        settings.hour_s,
        end,
    );
    let mut blocks = vec![Block::Text(growth)];
    let thresholds = match limit {
        Some((from, to)) => vec![Threshold { label: w.memory_limit, from, to, hard: true }],
        None => {
            blocks.push(Block::Text(w.memory_no_limit.to_owned()));
            Vec::new()
        }
    };
    blocks.push(Block::Chart(Chart {
        id: "chart-memory",
        title: w.memory.to_owned(),
        axis: w.memory_axis.to_owned(),
        points: series.memory_mb.clone(),
        gap_s: settings.poll_s * 3.0,
        thresholds,
        end_s: end,
        tabled: false,
    }));
    blocks
}

/// Where H3's limit runs: from the median of the first window after the settling time, rising by the larger of 10 % and 8 MiB
/// per hour.
fn growth_limit(
    points: &[(f64, f64)],
    skip_s: f64,
    window_s: f64,
    hour_s: f64,
    end: f64,
) -> Option<((f64, f64), (f64, f64))> {
    let mut first: Vec<f64> =
        points.iter().filter(|(t, _)| *t >= skip_s && *t < skip_s + window_s).map(|p| p.1).collect();
    first.sort_by(f64::total_cmp);
    let base = *first.get(first.len() / 2)?;
    let per_hour = (base * GROWTH_PCT / 100.0).max(GROWTH_MIB * 1_048_576.0 / 1e6);
    let to = base + per_hour * (end - skip_s) / hour_s;
    (end > skip_s && to.is_finite()).then_some(((skip_s, base), (end, to)))
}

pub(super) fn cpu(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let series = &report.analysis.series;
    if series.cpu_pct.is_empty() {
        return vec![Block::Text(w.cpu_none.to_owned())];
    }
    let settings = &report.evidence.settings;
    let end = end_of(report, &series.cpu_pct);
    vec![Block::Chart(Chart {
        id: "chart-cpu",
        title: w.cpu.to_owned(),
        axis: fill(w.cpu_axis, &[&figure(settings.cpu_cores)]),
        points: series.cpu_pct.clone(),
        gap_s: settings.poll_s * 3.0,
        thresholds: vec![level(w.cpu_h2, CPU_H2, end, false), level(w.cpu_a5, CPU_A5, end, true)],
        end_s: end,
        tabled: false,
    })]
}

pub(super) fn log(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let Some(phase) = report.phase() else { return vec![Block::Text(w.nothing_ran.to_owned())] };
    let (Some(facts), Some(totals)) = (phase.log.get(), &report.analysis.series.log) else {
        return match phase.samples.last() {
            Some(sample) => vec![Block::Text(w.log_unknown.to_owned()), counters(&sample.log, None, w)],
            None => vec![Block::Text(w.log_never.to_owned())],
        };
    };
    let mut blocks =
        vec![counters(totals, Some(facts.dropped_bytes), w), Block::Sub(w.top_errors.to_owned(), None)];
    let errors = &report.analysis.series.top_errors;
    if errors.is_empty() {
        blocks.push(Block::Text(w.top_errors_none.to_owned()));
    } else {
        let rows = errors
            .iter()
            .map(|(line, n)| vec![Cell::Number(n.to_string()), Cell::Code(line.clone())])
            .collect();
        blocks.push(Block::Table(Table {
            caption: w.top_errors.to_owned(),
            head: vec![w.col_count, w.col_line],
            rows,
        }));
    }
    blocks
}

fn counters(log: &LogCounters, dropped: Option<u64>, w: &'static Words) -> Block {
    let rows = [
        (w.log_lines, log.lines),
        (w.log_criticals, log.criticals),
        (w.log_errors, log.errors),
        (w.log_warnings, log.warnings),
        (w.log_dlq, log.dlq),
        (w.log_slots, log.error_slots),
        (w.log_position, log.position_limit),
        (w.log_emergency, log.emergency_stop),
        (w.log_suspects, log.suspects),
    ]
    .into_iter()
    .chain(dropped.map(|bytes| (w.log_dropped, bytes)))
    .map(|(what, n)| vec![Cell::Text(what.to_owned()), Cell::Number(n.to_string())])
    .collect();
    Block::Table(Table { caption: w.log.to_owned(), head: vec![w.col_what, w.col_count], rows })
}

pub(super) fn crashes(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let mut blocks = Vec::new();
    let phases = [(w.phase_smoke, &report.evidence.smoke), (w.phase_main, &report.evidence.main)];
    for (phase_name, phase) in &phases {
        for block in phase.iter().filter_map(|phase| phase.log.get()).flat_map(|log| &log.blocks) {
            let (tone, kind) = match block.kind.as_str() {
                "handled" => (Tone::Quiet, w.handled),
                "worker_died" => (Tone::Bad, w.worker_died),
                "crash" => (Tone::Bad, w.crash_kind),
                other => (Tone::Warn, other),
            };
            let head = fill(w.crash_head, &[phase_name, kind, &block.language, &figure(tenth(block.at_s))]);
            blocks.push(Block::Sub(head, Some((tone, kind.to_owned()))));
            blocks.push(Block::Verbatim { caption: w.crash_kind.to_owned(), text: block.text.clone() });
            if !block.before.is_empty() {
                blocks.push(Block::Verbatim {
                    caption: w.crash_before.to_owned(),
                    text: block.before.join("\n"),
                });
            }
        }
    }
    let lost = phases.iter().any(|(_, phase)| phase.as_ref().is_some_and(|phase| phase.end.is_none()));
    if lost {
        blocks.push(Block::Text(w.crashes_unknown.to_owned()));
    } else if report.phase().is_none() {
        blocks.push(Block::Text(w.nothing_ran.to_owned()));
    } else if blocks.is_empty() {
        blocks.push(Block::Text(w.crashes_none.to_owned()));
    }
    blocks
}
