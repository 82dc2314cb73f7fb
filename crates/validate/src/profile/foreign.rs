//! Checks of what a profile says about a runner of another make: `[runner.mapping]` and `[runner.not_applicable]`. Names are held against
//! the catalogue. Here too: bringing a mapping's short forms into their full form.

use super::ProfileError;
use super::check::{Document, join, kind, nearest};
use crate::logwatch::LevelRules;
use crate::mapping::{EXTRA_FIELDS, LogNames};
use catalogue::{CRITERIA, Class, KPIS, METRICS, Metric, MetricKind, RULES, RuleId, Unit};
use toml::{Table, Value};

/// Evidence that a runner may lack.
pub(super) const EVIDENCE: [(&str, &str); 6] = [
    ("journal", "a journal of its trades"),
    ("alerts", "alerting of its own"),
    ("alert_store", "a table of its alert deliveries"),
    ("metrics", "an exposition endpoint"),
    ("exit_reasons", "a reason for each exit"),
    ("dashboard", "a dashboard of its own"),
];

/// KPIs that the supervisor measures itself: no runner lacks them.
const SUPERVISED: std::ops::RangeInclusive<u8> = 21..=24;

/// Rules over what the supervisor sees itself: no runner lacks the signal.
const SUPERVISED_RULES: [RuleId; 5] = [RuleId::A1, RuleId::A5, RuleId::A6, RuleId::A8, RuleId::A9];

/// Everything that can be declared not applicable.
pub(super) fn waivable() -> Vec<&'static str> {
    let kpis = KPIS.iter().filter(|kpi| !SUPERVISED.contains(&kpi.number)).map(|kpi| kpi.field);
    let criteria = CRITERIA.iter().filter(|c| c.id.class() != Class::Critical).map(|c| c.id.as_str());
    let rules = RULES.iter().filter(|rule| !SUPERVISED_RULES.contains(&rule.id)).map(|rule| rule.id.as_str());
    let evidence = EVIDENCE.iter().map(|(name, _)| *name);
    evidence
        .chain(kpis)
        .chain(METRICS.iter().map(|metric| metric.name))
        .chain(criteria)
        .chain(rules)
        .collect()
}

/// KPI fields that a mapping may name.
pub(super) fn kpi_fields() -> Vec<&'static str> {
    KPIS.iter().map(|kpi| kpi.field).chain(EXTRA_FIELDS).collect()
}

/// `[runner.not_applicable]`: known names, each with a reason, nothing that cannot be lacking.
pub(super) fn reasons(doc: &Document, given: &Table, path: &str) -> Result<(), ProfileError> {
    for (key, value) in given {
        let at = join(path, key);
        if let Some((what, help)) = never_waived(key) {
            return Err(doc.at_key(&at, what, "not allowed".to_owned(), help.to_owned()));
        }
        if !waivable().contains(&key.as_str()) {
            return Err(unknown(doc, &at, key, "nothing that a runner can lack", &waivable()));
        }
        if value.as_str().is_none_or(|reason| reason.trim().is_empty()) {
            let help = format!("write {key} = \"the reason why the runner cannot have it\"");
            let what = format!("`{at}` needs a reason as text");
            return Err(doc.at_value(&at, what, "no reason".to_owned(), help));
        }
    }
    Ok(())
}

fn never_waived(key: &str) -> Option<(String, &'static str)> {
    let help = match key {
        "C1" => "declare `venue_books` when the runner does not say which books are live",
        "C2" | "C3" => "declare the single KPI fields that the runner cannot have",
        "C4" => "declare `alerts`: then Assay's own dispatcher is judged",
        "C5" | "C6" => "declare the single metrics that the runner cannot have",
        _ if KPIS.iter().any(|kpi| kpi.field == key && SUPERVISED.contains(&kpi.number)) => {
            "the supervisor measures it itself, whatever the runner has"
        }
        _ if SUPERVISED_RULES.iter().any(|rule| rule.as_str() == key) => {
            "the supervisor sees its signal itself, whatever the runner has"
        }
        _ => return None,
    };
    let whole = if key.starts_with('C') { " whole" } else { "" };
    Some((format!("{key} is never waived{whole}"), help))
}

fn unknown(doc: &Document, at: &str, key: &str, what: &str, known: &[&str]) -> ProfileError {
    let near = nearest(key, known).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let help = format!("{near}`assay catalogue` lists the names");
    doc.at_key(at, format!("`{key}` is {what}"), "unknown name".to_owned(), help)
}

/// `[runner.mapping]`.
pub(super) fn mapping(doc: &Document, given: &Table, path: &str) -> Result<(), ProfileError> {
    for (key, value) in given {
        let at = join(path, key);
        let Some(table) = value.as_table() else {
            let what = format!("`{at}` is {}, it must be a table", kind(value));
            return Err(doc.at_value(&at, what, "wrong type".to_owned(), format!("write [{at}]")));
        };
        match key.as_str() {
            "metrics" => each(table, |name, value| metric(doc, &join(&at, name), name, value))?,
            "kpi" => each(table, |name, value| kpi(doc, &join(&at, name), name, value))?,
            "log" => log(doc, table, &at)?,
            _ => return Err(only(doc, &at, key, &["metrics", "kpi", "log"])),
        }
    }
    Ok(())
}

fn each(table: &Table, check: impl Fn(&str, &Value) -> Result<(), ProfileError>) -> Result<(), ProfileError> {
    table.iter().try_for_each(|(name, value)| check(name, value))
}

fn only(doc: &Document, at: &str, key: &str, known: &[&str]) -> ProfileError {
    let near = nearest(key, known).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let help = format!("{near}there are {}", known.join(", "));
    doc.at_key(at, format!("unknown key `{key}`"), "unknown key".to_owned(), help)
}

/// Keys of a metric's source.
pub(super) const METRIC_KEYS: [&str; 5] = ["name", "where", "labels", "set", "scale"];
/// Keys of a KPI's source.
pub(super) const KPI_KEYS: [&str; 3] = ["field", "scale", "keys"];
/// Keys of the log's mapping.
pub(super) const LOG_KEYS: [&str; 7] =
    ["level", "json_level", "error", "warning", "critical", "position_limit", "emergency_stop"];

const METRIC_HELP: &str =
    "write \"their_name\", { name = \"their_name\", scale = 0.001 }, or a list of such, which are added up";

fn metric(doc: &Document, at: &str, name: &str, value: &Value) -> Result<(), ProfileError> {
    let Some(metric) = catalogue::metric(name) else {
        let known: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        return Err(unknown(doc, at, name, "no metric of the catalogue", &known));
    };
    let wrong = |what: String| {
        doc.at_value(at, format!("`{name}`: {what}"), "here".to_owned(), METRIC_HELP.to_owned())
    };
    let sources = match value {
        Value::Array(list) if !list.is_empty() => list.as_slice(),
        other => std::slice::from_ref(other),
    };
    for source in sources {
        match source {
            Value::String(text) if is_name(text) => {}
            Value::String(text) => return Err(wrong(format!("{text:?} is no name of a metric"))),
            Value::Table(table) => metric_source(table, metric).map_err(wrong)?,
            other => return Err(wrong(format!("{} names no series", kind(other)))),
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    !text.is_empty() && text.bytes().all(ok) && !text.as_bytes()[0].is_ascii_digit()
}

fn metric_source(table: &Table, metric: &Metric) -> Result<(), String> {
    known_keys(table, &METRIC_KEYS)?;
    match table.get("name") {
        Some(Value::String(text)) if is_name(text) => {}
        Some(Value::String(text)) => return Err(format!("{text:?} is no name of a metric")),
        _ => return Err("`name` is missing: which series of the runner's page?".to_owned()),
    }
    for part in ["where", "labels", "set"] {
        let texts = |table: &Table| table.values().all(Value::is_str);
        match table.get(part) {
            None => {}
            Some(Value::Table(labels)) if texts(labels) && part != "where" => {
                labels.keys().try_for_each(|label| known_label(label, metric))?;
            }
            Some(_) => return Err(format!("`{part}` must be a table of texts")),
        }
    }
    let unitless = matches!(metric.unit, Unit::Count | Unit::Info);
    scale(table, unitless, metric.kind != MetricKind::Gauge)
}

fn known_keys(table: &Table, known: &[&str]) -> Result<(), String> {
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let near =
                nearest(key, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            Err(format!("unknown key `{key}`, there are {}{near}", known.join(", ")))
        }
    }
}

fn known_label(label: &str, metric: &Metric) -> Result<(), String> {
    if metric.labels.contains(&label) {
        return Ok(());
    }
    let there = if metric.labels.is_empty() { "none".to_owned() } else { metric.labels.join(", ") };
    Err(format!("`{label}` is no label of it, there are {there}"))
}

fn scale(table: &Table, unitless: bool, rises: bool) -> Result<(), String> {
    let scale = match table.get("scale") {
        None => return Ok(()),
        Some(Value::Float(scale)) => *scale,
        Some(Value::Integer(scale)) => *scale as f64,
        Some(other) => return Err(format!("`scale` is {}, it must be a number", kind(other))),
    };
    match () {
        () if !scale.is_finite() || scale == 0.0 => Err(format!("`scale` is {scale}, which scales nothing")),
        () if unitless && scale != 1.0 => Err("it is a number of things: it has no unit to scale".to_owned()),
        () if rises && scale < 0.0 => Err("a negative `scale` would turn it round".to_owned()),
        () => Ok(()),
    }
}

fn kpi(doc: &Document, at: &str, name: &str, value: &Value) -> Result<(), ProfileError> {
    if !kpi_fields().contains(&name) {
        return Err(unknown(doc, at, name, "no field of the KPI file", &kpi_fields()));
    }
    let help = "write \"their.field\", or { field = \"their.field\", scale = 1000 }";
    let wrong =
        |what: String| doc.at_value(at, format!("`{name}`: {what}"), "here".to_owned(), help.to_owned());
    match value {
        Value::String(field) if !field.trim().is_empty() => Ok(()),
        Value::Table(table) => kpi_source(table, name).map_err(wrong),
        other => Err(wrong(format!("{} names no field", kind(other)))),
    }
}

fn kpi_source(table: &Table, name: &str) -> Result<(), String> {
    known_keys(table, &KPI_KEYS)?;
    if table.get("field").and_then(Value::as_str).is_none_or(|field| field.trim().is_empty()) {
        return Err("`field` is missing: which field of the runner's file?".to_owned());
    }
    match table.get("keys") {
        None => {}
        Some(Value::Table(keys)) if keys.values().all(is_text_or_texts) => {}
        Some(_) => return Err("`keys` must be a table of texts or lists of texts".to_owned()),
    }
    let counted = ["wins", "losses", "open_positions", "exit_reasons", "error_lines", "funnel"];
    let unit = catalogue::kpi(name).map(|kpi| kpi.unit);
    scale(table, matches!(unit, Some(Unit::Count | Unit::Map)) || counted.contains(&name), false)
}

fn is_text_or_texts(value: &Value) -> bool {
    value.is_str() || value.as_array().is_some_and(|list| list.iter().all(Value::is_str))
}

fn log(doc: &Document, table: &Table, path: &str) -> Result<(), ProfileError> {
    for (key, value) in table {
        let at = join(path, key);
        if !LOG_KEYS.contains(&key.as_str()) {
            return Err(only(doc, &at, key, &LOG_KEYS));
        }
        let fits = match key.as_str() {
            "level" | "json_level" => value.as_str().is_some_and(|text| !text.trim().is_empty()),
            _ => value.as_array().is_some_and(|list| list.iter().all(Value::is_str)),
        };
        if !fits {
            let must = if key.ends_with("level") { "text" } else { "a list of texts" };
            let what = format!("`{at}` is {}, it must be {must}", kind(value));
            let help = "write error = [\"E\", \"SEVERE\"]".to_owned();
            return Err(doc.at_value(&at, what, "wrong type".to_owned(), help));
        }
        if key == "level" {
            let names = LogNames { level: value.as_str().map(str::to_owned), ..LogNames::default() };
            if let Err(why) = LevelRules::new(&names) {
                let first =
                    why.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
                let help = "put the level into a group: level = '^\\S+ (?P<level>[A-Z])/'".to_owned();
                let what = format!("`{at}` is no usable regular expression: {first}");
                return Err(doc.at_value(&at, what, "here".to_owned(), help));
            }
        }
    }
    Ok(())
}

/// Brings the short forms of a document's mapping into the full form, so that what extends it replaces an entry whole.
pub(super) fn expand(document: &mut Table) {
    let mapping = document.get_mut("runner").and_then(|runner| runner.get_mut("mapping"));
    let Some(mapping) = mapping.and_then(Value::as_table_mut) else { return };
    if let Some(metrics) = mapping.get_mut("metrics").and_then(Value::as_table_mut) {
        for (_, value) in metrics.iter_mut() {
            let sources = match std::mem::replace(value, Value::Boolean(false)) {
                Value::Array(list) => list,
                other => vec![other],
            };
            *value = Value::Array(sources.into_iter().map(full_metric).collect());
        }
    }
    if let Some(fields) = mapping.get_mut("kpi").and_then(Value::as_table_mut) {
        for (_, value) in fields.iter_mut() {
            *value = full_kpi(std::mem::replace(value, Value::Boolean(false)));
        }
    }
}

/// Gives an effective profile's mapping its empty parts.
pub(super) fn complete(merged: &mut Table) {
    let Some(runner) = merged.get_mut("runner").and_then(Value::as_table_mut) else { return };
    let mapping = runner.entry("mapping").or_insert_with(empty);
    let Some(mapping) = mapping.as_table_mut() else { return };
    for part in ["metrics", "kpi", "log"] {
        mapping.entry(part).or_insert_with(empty);
    }
    if let Some(log) = mapping.get_mut("log").and_then(Value::as_table_mut) {
        for key in LOG_KEYS.iter().filter(|key| !key.ends_with("level")) {
            log.entry(*key).or_insert_with(|| Value::Array(Vec::new()));
        }
    }
}

fn empty() -> Value {
    Value::Table(Table::new())
}

fn full_metric(source: Value) -> Value {
    let mut table = match source {
        Value::String(name) => Table::from_iter([("name".to_owned(), Value::String(name))]),
        Value::Table(table) => table,
        other => return other,
    };
    for part in ["where", "labels", "set"] {
        table.entry(part).or_insert_with(empty);
    }
    full_scale(&mut table);
    Value::Table(table)
}

fn full_kpi(source: Value) -> Value {
    let mut table = match source {
        Value::String(field) => Table::from_iter([("field".to_owned(), Value::String(field))]),
        Value::Table(table) => table,
        other => return other,
    };
    let keys = table.entry("keys").or_insert_with(empty);
    for (_, names) in keys.as_table_mut().into_iter().flat_map(Table::iter_mut) {
        if names.is_str() {
            *names = Value::Array(vec![names.clone()]);
        }
    }
    full_scale(&mut table);
    Value::Table(table)
}

fn full_scale(table: &mut Table) {
    let scale = table.entry("scale").or_insert(Value::Float(1.0));
    if let Value::Integer(n) = scale {
        *scale = Value::Float(*n as f64);
    }
}

/// What is both mapped and declared not applicable: its name.
pub(super) fn contradiction(profile: &super::Profile) -> Option<&String> {
    let mapping = &profile.runner.mapping;
    let declared = |name: &&String| profile.runner.not_applicable.contains_key(*name);
    mapping.metrics.keys().chain(mapping.kpi.keys()).find(declared)
}
