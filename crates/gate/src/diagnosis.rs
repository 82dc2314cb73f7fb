//! The five questions that an operator asks next, answered from evidence.

use crate::evidence::{Evidence, Found, PhaseEvidence};
use crate::judge::{Analysis, Diagnosis};
use crate::kpis::artefact;
use crate::scrape::{Histogram, sum_by};
use crate::value::{Outcome, figure};
use catalogue::CriterionId;
use std::collections::BTreeMap;

/// Answers what there is to answer. Nothing is said about what went well.
pub(crate) fn diagnose(evidence: &Evidence, analysis: &Analysis) -> Vec<Diagnosis> {
    let Some(phase) = evidence.main.as_ref().or(evidence.smoke.as_ref()) else { return Vec::new() };
    [
        crash(phase),
        no_round_trips(analysis),
        dead_letters(phase),
        latency(phase, analysis),
        memory(phase, analysis),
    ]
    .into_iter()
    .flatten()
    .map(|mut found| {
        found.command = format!("assay validate --profile {}", evidence.settings.profile);
        found
    })
    .collect()
}

fn answer(question: &str, finding: String, evidence: Vec<String>) -> Option<Diagnosis> {
    Some(Diagnosis { question: question.to_owned(), finding, evidence, command: String::new() })
}

fn crash(phase: &PhaseEvidence) -> Option<Diagnosis> {
    let log = phase.log.get();
    let block = log.into_iter().flat_map(|log| &log.blocks).find(|b| b.kind != "handled");
    let end = phase.end.as_ref();
    let odd = end
        .filter(|e| e.stop_sent_s.is_none() && (e.signal.is_some() || e.exit_code.is_some_and(|c| c != 0)));
    let Some(block) = block else {
        let end = odd?;
        let status = match (end.exit_code, end.signal) {
            (_, Some(signal)) => format!("signal {signal}"),
            (Some(code), None) => format!("exit code {code}"),
            (None, None) => "an unknown status".to_owned(),
        };
        let mut lines: Vec<String> = log
            .into_iter()
            .flat_map(|log| &log.top_errors)
            .map(|(line, n)| format!("{n} x {line}"))
            .collect();
        lines.push(format!("read the end of {}", artefact(phase, "console.log")));
        return answer("Why did it crash?", format!("it ended with {status} and left no crash block"), lines);
    };
    let text = block.text.to_lowercase();
    let parts: [(&str, &[&str]); 3] = [
        (
            "the database: see that it answers and that the credentials are right",
            &["postgres", "sqlite", "redis", "psycopg", "database"],
        ),
        (
            "a venue's API: see its status, the proxy and the request budget",
            &["upbit", "binance", "websocket", "http", "tls"],
        ),
        (
            "the configuration: check the keys that the block names",
            &["config", "keyerror", "toml", "yaml", "environment variable"],
        ),
    ];
    let part = parts
        .iter()
        .find(|(_, words)| words.iter().any(|word| text.contains(word)))
        .map_or("the engine itself: fix the place that the block names", |(part, _)| *part);
    let mut lines = block.before.clone();
    lines.extend(block.text.lines().map(str::to_owned));
    answer(
        "Why did it crash?",
        format!(
            "a {} {} at {} s; at fault is probably {part}",
            block.language,
            block.kind,
            figure(block.at_s)
        ),
        lines,
    )
}

fn no_round_trips(analysis: &Analysis) -> Option<Diagnosis> {
    let number = |field: &str| analysis.kpis.iter().find(|k| k.field == field).and_then(|k| k.value.number());
    let h6 = analysis.criteria.iter().find(|c| c.id == CriterionId::H6)?;
    let trips = number("round_trips_completed");
    if h6.outcome == Outcome::Pass || (trips.is_none() && analysis.series.funnel.is_empty()) {
        return None;
    }
    let funnel = &analysis.series.funnel;
    let at = |stage: &str| funnel.get(stage).copied().unwrap_or(0);
    let blocked = funnel
        .iter()
        .filter(|(s, _)| *s == "blocked" || s.starts_with("blocked:"))
        .map(|(_, n)| n)
        .sum::<u64>();
    // An exit count that is absent is not a count of none.
    let never_exited = number("entry_trades").filter(|n| *n > 0.0 && number("exit_trades") == Some(0.0));
    let finding = if let Some(entries) = never_exited {
        format!("never exited: {} entries and no exit; look at the exit rules", figure(entries))
    } else if let Some(trips) = trips.filter(|n| *n > 0.0) {
        format!("few: {} round trips; {}", figure(trips), narrowest(funnel))
    } else if funnel.is_empty() {
        "the runner reports no funnel: it cannot be said where the opportunities ended".to_owned()
    } else if at("updates") == 0 && at("evaluated") == 0 {
        "no data: no book update reached the engine; see venue health and connections".to_owned()
    } else if at("evaluated") == 0 {
        "no universe or no Live pair: books were updated and no pair was ever evaluated".to_owned()
    } else if at("above_threshold") == 0 {
        format!(
            "no opportunity: {} pairs were evaluated on live data, {} had a gross edge, {} a net edge, and none reached the \
             threshold; this is an answer about the market, no reason to lower the threshold",
            at("evaluated"),
            at("gross_positive"),
            at("net_positive")
        )
    } else if at("sent") == 0 {
        format!(
            "guards: {} opportunities were above the threshold, {blocked} were blocked and none was sent",
            at("above_threshold")
        )
    } else if at("filled") == 0 {
        format!("failed fills: {} orders sent, {} rejected, none filled", at("sent"), at("rejected"))
    } else {
        format!("never exited: {} fills and no completed round trip; look at the exit rules", at("filled"))
    };
    let lines = funnel.iter().map(|(stage, n)| format!("{stage}: {n}")).collect();
    answer("Why are there no round trips?", finding, lines)
}

/// The stage at which most of what came in was lost.
fn narrowest(funnel: &BTreeMap<String, u64>) -> String {
    let stages = ["evaluated", "gross_positive", "net_positive", "above_threshold", "sent", "filled"];
    let counted: Vec<(&str, u64)> = stages.iter().filter_map(|s| funnel.get(*s).map(|n| (*s, *n))).collect();
    counted
        .windows(2)
        .filter(|w| w[0].1 > 0)
        .min_by(|a, b| (a[1].1 as f64 / a[0].1 as f64).total_cmp(&(b[1].1 as f64 / b[0].1 as f64)))
        .map_or("the funnel is empty".to_owned(), |w| {
            format!("most were lost between {} ({}) and {} ({})", w[0].0, w[0].1, w[1].0, w[1].1)
        })
}

fn dead_letters(phase: &PhaseEvidence) -> Option<Diagnosis> {
    let Found::Yes(rows) = &phase.alerts else { return None };
    let mut by: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for row in rows.deliveries.iter().filter(|d| d.status == "DLQ") {
        *by.entry((&row.notifier, row.last_error.as_deref().unwrap_or("no error recorded"))).or_insert(0) +=
            1;
    }
    if by.is_empty() {
        return None;
    }
    let total: u64 = by.values().sum();
    let lines = by.iter().map(|((notifier, error), n)| format!("{n} x {notifier}: {error}")).collect();
    let finding = format!(
        "{total} deliveries ended in the dead letters: SELECT * FROM alert_deliveries WHERE status='DLQ'"
    );
    answer("Why are there dead letters?", finding, lines)
}

fn failed(analysis: &Analysis, id: CriterionId) -> bool {
    let aborted =
        analysis.aborted.as_ref().is_some_and(|a| a.cause == if id == CriterionId::H1 { "A4" } else { "A6" });
    aborted || analysis.criteria.iter().any(|c| c.id == id && c.outcome == Outcome::Fail)
}

fn latency(phase: &PhaseEvidence, analysis: &Analysis) -> Option<Diagnosis> {
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
    let finding = slowest.map_or("the stages are not exposed; see the windows".to_owned(), |(p99, stage)| {
        format!("the slowest stage is {stage} with a p99 of {} ms", figure(p99 * 1e3))
    });
    answer("Why is the loop slow?", finding, lines)
}

fn memory(phase: &PhaseEvidence, analysis: &Analysis) -> Option<Diagnosis> {
    if !failed(analysis, CriterionId::H3) {
        return None;
    }
    let components: Vec<BTreeMap<String, f64>> = phase
        .samples
        .iter()
        .filter_map(|s| s.scrape.get())
        .map(|s| sum_by(s, "component_bytes", "component"))
        .filter(|map| !map.is_empty())
        .collect();
    let mut grown: Vec<(f64, String)> = match (components.first(), components.last()) {
        (Some(first), Some(last)) => last
            .iter()
            .map(|(name, bytes)| (bytes - first.get(name).copied().unwrap_or(0.0), name.clone()))
            .collect(),
        _ => Vec::new(),
    };
    grown.sort_by(|a, b| b.0.total_cmp(&a.0));
    let rate = analysis
        .series
        .memory_growth_pct_per_h
        .map_or("an unknown rate".to_owned(), |g| format!("{} %/h", figure(g)));
    let finding = match grown.first().filter(|g| g.0 > 0.0) {
        Some((bytes, name)) => {
            format!("memory grew at {rate}; {name} grew most, by {} MB", figure(bytes / 1e6))
        }
        None => format!("memory grew at {rate}, in no component that is exposed; use heaptrack or bytehound"),
    };
    let lines = grown.iter().map(|(bytes, name)| format!("{name}: {} MB", figure(bytes / 1e6))).collect();
    answer("Why does memory grow?", finding, lines)
}
