//! The five questions that an operator asks next, answered from evidence; each answer ends with the command to run after the repair.
//!
//! Here: crashes and dead letters. Missing round trips are in `trips`, latency and memory in `slow`. Nothing is said about what went well.

mod slow;
mod trips;

use crate::evidence::{CrashBlock, Evidence, Found, PhaseEvidence};
use crate::judge::{Analysis, Diagnosis};
use crate::kpis::{artefact, runner_deliveries};
use crate::value::{counted, figure};
use std::collections::BTreeMap;

/// Answers what there is to answer.
pub(crate) fn diagnose(evidence: &Evidence, analysis: &Analysis) -> Vec<Diagnosis> {
    let Some(phase) = evidence.main.as_ref().or(evidence.smoke.as_ref()) else { return Vec::new() };
    [
        crash(phase),
        trips::no_round_trips(phase, analysis),
        dead_letters(phase, analysis),
        slow::latency(phase, analysis),
        slow::memory(phase, analysis),
    ]
    .into_iter()
    .flatten()
    .map(|mut found| {
        found.command = evidence.rerun.clone();
        found
    })
    .collect()
}

fn answer(question: &str, finding: String, evidence: Vec<String>) -> Option<Diagnosis> {
    Some(Diagnosis { question: question.to_owned(), finding, evidence, command: String::new() })
}

/// The part at fault by the words of a block, and what to do about it.
const PARTS: [(&str, &[&str]); 4] = [
    (
        "the database: see that it answers and that the credentials are right",
        &["postgres", "sqlite", "redis", "psycopg", "sqlalchemy", "asyncpg", "database", "sqlx"],
    ),
    (
        "a venue's API: see its status, the proxy and the request budget",
        &[
            "upbit",
            "binance",
            "websocket",
            "aiohttp",
            "requests.exceptions",
            "urllib",
            "http error",
            "httperror",
            "status code",
            "ssl",
            "tls",
            "certificate",
            "too many requests",
            "connectionreset",
        ],
    ),
    (
        "the configuration: check the keys that the block names",
        &["config", "keyerror", "toml", "yaml", "environment variable", "missing field", "no such file"],
    ),
    (
        "memory: see the memory curve and the machine's limits",
        &["memoryerror", "out of memory", "outofmemory", "bad_alloc"],
    ),
];

fn crash(phase: &PhaseEvidence) -> Option<Diagnosis> {
    let question = "Why did it crash?";
    let log = phase.log.get();
    let block = log.into_iter().flat_map(|log| &log.blocks).find(|b| b.kind != "handled");
    let end = phase.end.as_ref();
    if let Some(block) = block {
        let more = log.into_iter().flat_map(|log| &log.blocks).filter(|b| b.kind != "handled").count() - 1;
        let more = match more {
            0 => String::new(),
            n => format!(" (and {})", counted(n as f64, "block more", "blocks more")),
        };
        let finding = format!(
            "a {} {} at {} s{more}; at fault is probably {}",
            block.language,
            block.kind,
            figure(block.at_s),
            at_fault(block)
        );
        let mut lines = block.before.clone();
        lines.extend(block.text.lines().map(str::to_owned));
        return answer(question, finding, lines);
    }
    let mut lines: Vec<String> =
        log.into_iter().flat_map(|log| &log.top_errors).map(|(line, n)| format!("{n} x {line}")).collect();
    lines.push(format!("read the end of {}", artefact(phase, "console.log")));
    let end = end?;
    if let Some(hang) = end.abort.iter().chain(&end.later_causes).find(|a| a.cause == "A8") {
        let finding = format!(
            "it hung at {} s ({}) and left no trace when it was ended; look for a lock or a call without a deadline",
            figure(hang.at_s),
            hang.text
        );
        return answer(question, finding, lines);
    }
    if end.stop_sent_s.is_some() || (end.signal.is_none() && end.exit_code.is_some_and(|c| c == 0)) {
        return None;
    }
    let status = match (end.exit_code, end.signal) {
        (_, Some(9)) => "signal 9 (the machine's memory limit sends it too: see its kernel log)".to_owned(),
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(code), None) => format!("exit code {code}"),
        (None, None) => "an unknown status".to_owned(),
    };
    answer(question, format!("it ended with {status} and left no crash block"), lines)
}

/// What a block says itself weighs more than the frames on the way there.
fn at_fault(block: &CrashBlock) -> &'static str {
    let text = block.text.to_lowercase();
    let said: String =
        text.lines().filter(|line| !line.starts_with([' ', '\t'])).collect::<Vec<_>>().join("\n");
    let part_of = |text: &str| {
        PARTS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word))).map(|(part, _)| *part)
    };
    part_of(&said)
        .or_else(|| part_of(&text))
        .unwrap_or("the engine itself: fix the place that the block names")
}

fn dead_letters(phase: &PhaseEvidence, analysis: &Analysis) -> Option<Diagnosis> {
    let question = "Why are there dead letters?";
    let Found::Yes(rows) = &phase.alerts else { return None };
    let dead: Vec<_> = runner_deliveries(rows).into_iter().filter(|d| d.status == "DLQ").collect();
    if dead.is_empty() {
        let counted_dlq = analysis.kpis.iter().find(|k| k.number == 28).and_then(|k| k.value.number());
        let n = counted_dlq.filter(|n| *n > 0.0)?;
        let finding = format!(
            "alert_dlq_total is {} and the delivery table has no such row: look at the runner's own store",
            figure(n)
        );
        return answer(question, finding, Vec::new());
    }
    let mut by: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for row in &dead {
        *by.entry((&row.notifier, row.last_error.as_deref().unwrap_or("no error recorded"))).or_insert(0) +=
            1;
    }
    let mut lines: Vec<String> =
        by.iter().map(|((notifier, error), n)| format!("{n} x {notifier}: {error}")).collect();
    lines.extend(dead.iter().take(10).map(|row| {
        let rule =
            rows.alerts.iter().find(|a| a.alert_id == row.alert_id).map_or("?", |a| a.rule_id.as_str());
        format!(
            "{} ({rule}) through {} after {}",
            row.alert_id,
            row.notifier,
            counted(f64::from(row.attempt), "attempt", "attempts")
        )
    }));
    let finding = format!(
        "{} ended in the dead letters: SELECT * FROM alert_deliveries WHERE status='DLQ'",
        counted(dead.len() as f64, "delivery", "deliveries")
    );
    answer(question, finding, lines)
}
