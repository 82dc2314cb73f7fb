//! What differs between a recorded and a recomputed judgement, by name: `rejudge` shows it.

use crate::judge::{Analysis, PlausibilityFinding};
use crate::value::{CrossCheck, Value};
use catalogue::{CRITERIA, KPIS};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// What differs between a recorded and a recomputed judgement: KPI fields, criteria, the decision. Empty: they agree.
pub fn differences(recorded: &Analysis, recomputed: &Analysis) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: String, a: String, b: String| {
        if a != b {
            found.push(format!("{what}: recorded {a}, recomputed {b}"));
        }
    };
    differ("run id".into(), recorded.run_id.clone(), recomputed.run_id.clone());
    differ("evidence class".into(), format!("{:?}", recorded.class), format!("{:?}", recomputed.class));
    for kpi in &KPIS {
        let measured =
            |a: &Analysis| a.kpis.iter().find(|k| k.field == kpi.field).and_then(|k| k.value.number());
        // A number that was written and read back may differ in its last bit, and in no more.
        let same = measured(recorded)
            .zip(measured(recomputed))
            .is_some_and(|(a, b)| (a - b).abs() <= 1e-12 * a.abs());
        let text = |a: &Analysis| {
            a.kpis.iter().find(|k| k.field == kpi.field).map_or("missing".to_owned(), |k| match &k.value {
                Value::Measured(_) if same => "the same".to_owned(),
                Value::Measured(value) => format!("{value:?}"),
                other => other.to_string(),
            } + &match &k.cross_check {
                CrossCheck::Agreed { figure } => format!(" (cross-check {figure})"),
                CrossCheck::Disagreed { theirs, .. } => format!(" (cross-check disagrees: {theirs})"),
                CrossCheck::NotAvailable { why } => format!(" (no cross-check: {why})"),
            })
        };
        differ(kpi.field.to_owned(), text(recorded), text(recomputed));
    }
    for criterion in &CRITERIA {
        let text = |a: &Analysis| {
            a.criteria.iter().find(|c| c.id == criterion.id).map_or("missing".to_owned(), |c| {
                let note = c.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
                let attested = if c.attested.is_some() { "; attested" } else { "" };
                format!("{:?} ({}; threshold {}{note}{attested})", c.outcome.simple(), c.value, c.threshold)
            })
        };
        differ(criterion.id.to_string(), text(recorded), text(recomputed));
    }
    let lists = |a: &Analysis| (a.kpis.len(), a.criteria.len());
    differ(
        "number of KPIs and criteria".into(),
        format!("{:?}", lists(recorded)),
        format!("{:?}", lists(recomputed)),
    );
    let missing = |a: &[String], b: &[String]| {
        let only: Vec<&str> = a.iter().filter(|cap| !b.contains(cap)).map(String::as_str).collect();
        if only.is_empty() { "nothing more".to_owned() } else { only.join("; ") }
    };
    differ(
        "caps".into(),
        missing(&recorded.capped, &recomputed.capped),
        missing(&recomputed.capped, &recorded.capped),
    );
    let abort = |a: &Analysis| a.aborted.as_ref().map_or("none".to_owned(), |abort| abort.cause.clone());
    differ("abort".into(), abort(recorded), abort(recomputed));
    let interrupted = |a: &Analysis| a.interrupted.clone().unwrap_or_else(|| "no".to_owned());
    differ("interrupted".into(), interrupted(recorded), interrupted(recomputed));
    let smoke = |a: &Analysis| a.smoke_failed.as_ref().map_or("passed".to_owned(), |why| why.join("; "));
    differ("smoke".into(), smoke(recorded), smoke(recomputed));
    for (recorded, recomputed) in recorded.plausibility.iter().zip(&recomputed.plausibility) {
        let text = |f: &PlausibilityFinding| format!("{}: {:?} {}", f.rule, f.status, f.figures);
        differ("plausibility".into(), text(recorded), text(recomputed));
    }
    let rules = |a: &Analysis| a.plausibility.len().to_string();
    differ("number of plausibility rules".into(), rules(recorded), rules(recomputed));
    differ("SYSTEM".into(), recorded.system.sentence.clone(), recomputed.system.sentence.clone());
    differ("STRATEGY".into(), recorded.strategy.sentence.clone(), recomputed.strategy.sentence.clone());
    differ("reasons".into(), recorded.reasons.join("; "), recomputed.reasons.join("; "));
    differ("judged".into(), recorded.judged.clone(), recomputed.judged.clone());
    let mut parts = Vec::new();
    for (what, a, b) in [
        ("diagnosis", json(&recorded.diagnosis), json(&recomputed.diagnosis)),
        ("curves and tables", json(&recorded.series), json(&recomputed.series)),
    ] {
        let same = a.as_ref().zip(b.as_ref()).is_some_and(|(a, b)| alike(a, b));
        if !same {
            // Too much for a line: the parts that differ are named.
            parts.push(format!("{what}: the recorded and the recomputed ones differ{}", differing(a, b)));
        }
    }
    differ("decision".into(), recorded.headline(), recomputed.headline());
    found.extend(parts);
    found
}

fn json(part: &impl serde::Serialize) -> Option<Json> {
    serde_json::to_value(part).ok()
}

/// ` (in loop_latency, pss)`: the fields of two objects that are not alike; nothing for what has none.
fn differing(a: Option<Json>, b: Option<Json>) -> String {
    let (Some(Json::Object(a)), Some(Json::Object(b))) = (a, b) else { return String::new() };
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differs = |key: &&String| match (a.get(*key), b.get(*key)) {
        (Some(a), Some(b)) => !alike(a, b),
        _ => true,
    };
    let names: Vec<&str> = keys.into_iter().filter(differs).map(String::as_str).collect();
    if names.is_empty() { String::new() } else { format!(" (in {})", names.join(", ")) }
}

/// Equal but for the last bit of a number, which writing and reading back may change.
fn alike(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= 1e-12 * a.abs())
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        _ => a == b,
    }
}
