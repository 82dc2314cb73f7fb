//! What a user's profile may change and stay of record: runner, mapping, notifiers, stores, ports and folders, or a
//! stricter rule. Everything else is a difference and makes it `custom`.

use super::{Span, rules};
use toml::Value;

/// Keys that may change: a whole key, or a table with a dot at its end.
const FREE: [&str; 21] = [
    "name",
    "about",
    "next_stage",
    "notifiers",
    "alerts.",
    "stores.",
    "console.",
    "dashboard.",
    "runner.command",
    "runner.metrics_addr",
    "runner.metrics_url",
    "runner.stop_signal",
    "runner.stop_grace",
    "runner.own_contract",
    "runner.progress",
    "runner.not_applicable.",
    "runner.mapping.",
    "runner.config.env",
    "runner.config.iteration_log_ms",
    "watch.interim_every",
    "limits.log_cap_bytes",
];

/// Keys that are stricter when smaller.
const SMALLER: [&str; 9] = [
    "measure.memory_skip",
    "measure.memory_min",
    "measure.cpu_cores",
    "watch.poll",
    "watch.scrape_timeout",
    "watch.start_grace",
    "watch.overrun_grace",
    "panels.core_every",
    "panels.alerting_every",
];

/// Keys that are stricter when larger.
const LARGER: [&str; 6] = [
    "smoke.duration",
    "main.duration",
    "limits.min_free_bytes",
    "watch.handled_after",
    "runner.config.recording_cap_mb",
    "smoke.topn",
];

/// What makes any profile `custom`: another pace.
pub(super) fn pace(scale: f64) -> Option<String> {
    (scale != 1.0).then(|| format!("time_scale is {scale}: every duration is divided by it"))
}

/// One sentence for each difference that is not allowed.
pub(super) fn differences(base: &toml::Table, effective: &toml::Table) -> Vec<String> {
    let own =
        effective.get("runner").and_then(|r| r.get("own_contract")).and_then(Value::as_bool) != Some(false);
    let mut found = Vec::new();
    walk("", base, effective, &mut |path, before, after| {
        // The configuration of a foreign runner is the runner's, as its command line is.
        let free = FREE.iter().any(|key| path == *key || (key.ends_with('.') && path.starts_with(key)))
            || (!own && path.starts_with("runner.config."));
        let rule = path.starts_with("rules.") && rules::stricter(path, before, after, base);
        if path == "time_scale" {
            found.extend(after.and_then(magnitude).and_then(pace));
        } else if !free && !rule && !stricter(path, before, after) {
            found.push(sentence(path, before, after));
        }
    });
    found
}

/// Is told each path whose values differ, with both.
type See<'a> = &'a mut dyn FnMut(&str, Option<&Value>, Option<&Value>);

fn walk(above: &str, a: &toml::Table, b: &toml::Table, see: See<'_>) {
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort();
    keys.dedup();
    let empty = toml::Table::new();
    for key in keys {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        match (a.get(key), b.get(key)) {
            (Some(Value::Table(x)), Some(Value::Table(y))) => walk(&path, x, y, see),
            (Some(Value::Table(x)), None) => walk(&path, x, &empty, see),
            (None, Some(Value::Table(y))) => walk(&path, &empty, y, see),
            (x, y) if x != y => see(&path, x, y),
            _ => {}
        }
    }
}

fn stricter(path: &str, before: Option<&Value>, after: Option<&Value>) -> bool {
    let (Some(before), Some(after)) = (before.and_then(magnitude), after.and_then(magnitude)) else {
        return false;
    };
    if SMALLER.contains(&path) { after <= before } else { LARGER.contains(&path) && after >= before }
}

fn magnitude(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse::<Span>().ok().map(Span::secs),
        Value::Integer(n) => Some(*n as f64),
        Value::Float(x) => Some(*x),
        _ => None,
    }
}

fn sentence(path: &str, before: Option<&Value>, after: Option<&Value>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("{path} is {after} instead of {before}"),
        (None, Some(after)) => format!("{path} = {after} is added"),
        (Some(before), None) => format!("{path} = {before} is left out"),
        (None, None) => path.to_owned(),
    }
}
