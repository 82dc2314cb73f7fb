//! A JSON Schema of the profile language, for editors: from the tables and built-in profiles that the checks use, so that it says
//! what they say. What concerns several keys at once, or a runner's own configuration, only the check knows.

use super::check::{CHOICES, PLACEHOLDERS, WORDS, join};
use super::{ProfileError, Span, foreign, load, rules};
use catalogue::METRICS;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A duration.
const SPAN: &str = "^\\s*[0-9]+\\s*(ms|s|min|h)\\s*$";

/// The schema as indented JSON with a line feed at its end.
///
/// # Errors
/// [`ProfileError`] when a built-in profile cannot be read.
pub fn schema() -> Result<String, ProfileError> {
    let mut notes = BTreeMap::new();
    // The profile of record speaks last: it explains every key it has.
    for name in load::builtin_names().iter().rev() {
        notes.extend(comments(load::source_of(name).unwrap_or_default()));
    }
    let mut root = object(&load::schema()?, "", &notes);
    let mut extends = Map::new();
    extends.insert("type".to_owned(), json!("string"));
    let names = load::builtin_names().join(", ");
    let about = format!("The profile that this one rests on: {names}, or the path of a file beside it.");
    extends.insert("description".to_owned(), json!(about));
    if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("extends".to_owned(), Value::Object(extends));
    }
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".to_owned(), json!("Assay profile"));
    root.insert("$defs".to_owned(), definitions());
    root.insert("required".to_owned(), json!(["extends"]));
    let mut text = serde_json::to_string_pretty(&Value::Object(root)).unwrap_or_default();
    text.push('\n');
    Ok(text)
}

fn object(table: &toml::Table, above: &str, notes: &BTreeMap<String, String>) -> Map<String, Value> {
    let mut properties = Map::new();
    for (key, value) in table {
        let path = join(above, key);
        let mut schema = match (path.as_str(), value) {
            ("runner.not_applicable", _) => not_applicable(),
            ("runner.mapping", _) => mapping(),
            ("rules", _) => rule_table(),
            ("alerts.routes", _) => fields(json!({"type": "object", "additionalProperties": texts()})),
            ("alerts.throttle_s", _) => {
                fields(json!({"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}))
            }
            (_, toml::Value::Table(inner)) => object(inner, &path, notes),
            _ => leaf(&path, value),
        };
        // A foreign runner's configuration is its own affair.
        if path == "runner.config" {
            schema.insert("additionalProperties".to_owned(), json!(true));
        }
        let mut about = notes.get(&path).cloned().unwrap_or_default();
        if path == "runner.command" {
            for (name, what) in PLACEHOLDERS {
                // Writing to a String cannot fail.
                let _ = write!(about, " {{{name}}}: {what}.");
            }
        }
        if !about.is_empty() {
            schema.insert("description".to_owned(), json!(about));
        }
        properties.insert(key.clone(), Value::Object(schema));
    }
    closed(properties)
}

/// An object with these keys and no others.
fn closed(properties: Map<String, Value>) -> Map<String, Value> {
    fields(json!({"type": "object", "properties": properties, "additionalProperties": false}))
}

fn fields(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn leaf(path: &str, value: &toml::Value) -> Map<String, Value> {
    if let Some((_, words)) = CHOICES.iter().chain(&WORDS).find(|(key, _)| *key == path) {
        return fields(json!({"enum": words}));
    }
    fields(match value {
        toml::Value::String(text) if text.parse::<Span>().is_ok() => {
            json!({"type": "string", "pattern": SPAN, "examples": [text]})
        }
        toml::Value::String(text) => json!({"type": "string", "examples": [text]}),
        toml::Value::Integer(n) => json!({"type": "integer", "minimum": 0, "examples": [n]}),
        toml::Value::Float(_) if path == "time_scale" => json!({"type": "number", "minimum": 1}),
        toml::Value::Float(x) => json!({"type": "number", "examples": [x]}),
        toml::Value::Boolean(_) => json!({"type": "boolean"}),
        toml::Value::Array(_) => texts(),
        _ => json!({}),
    })
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

/// Any rule, a user's own too: which signals and units go together only the check knows.
fn rule_table() -> Map<String, Value> {
    let signals: Vec<&str> = gate::rules::Signal::ALL.iter().map(|signal| signal.as_str()).collect();
    let parts = rules::KEYS.into_iter().map(|key| {
        let schema = match key {
            "signal" => json!({"enum": signals}),
            "and" => json!({"type": "object"}),
            "for" | "within" | "over" | "grace" => json!({"type": "string", "pattern": SPAN}),
            "min_events" => json!({"type": "integer", "minimum": 0}),
            "action" => json!({"enum": ["abort", "warn"]}),
            _ => json!({"type": ["string", "number"]}),
        };
        (key.to_owned(), schema)
    });
    fields(json!({"type": "object", "additionalProperties": closed(parts.collect())}))
}

/// What many keys share.
fn definitions() -> Value {
    let reason =
        json!({"type": "string", "minLength": 1, "description": "The reason why the runner cannot have it."});
    json!({"reason": reason, "kpi": kpi_source(), "texts": {"type": "object", "additionalProperties": {"type": "string"}}})
}

fn shared(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn not_applicable() -> Map<String, Value> {
    closed(foreign::waivable().into_iter().map(|name| (name.to_owned(), shared("reason"))).collect())
}

fn kpi_source() -> Value {
    let keys = json!({
        "type": "object",
        "additionalProperties": {"anyOf": [{"type": "string"}, texts()]},
        "description": "Of a map: Assay's key, and the runner's keys for it.",
    });
    let parts = foreign::KPI_KEYS.into_iter().map(|key| {
        let schema = match key {
            "field" => json!({"type": "string"}),
            "scale" => json!({"type": "number"}),
            _ => keys.clone(),
        };
        (key.to_owned(), schema)
    });
    let mut full = closed(parts.collect());
    full.insert("required".to_owned(), json!(["field"]));
    json!({"anyOf": [{"type": "string"}, full]})
}

fn mapping() -> Map<String, Value> {
    let metrics = METRICS.iter().map(|metric| (metric.name.to_owned(), metric_source(metric))).collect();
    let kpi = foreign::kpi_fields().into_iter().map(|name| (name.to_owned(), shared("kpi"))).collect();
    let log = foreign::LOG_KEYS.into_iter().map(|key| {
        let schema = if key.ends_with("level") { json!({"type": "string"}) } else { texts() };
        (key.to_owned(), schema)
    });
    let log = closed(log.collect());
    fields(json!({
        "type": "object",
        "properties": {"metrics": closed(metrics), "kpi": closed(kpi), "log": log},
        "additionalProperties": false,
    }))
}

fn metric_source(metric: &catalogue::Metric) -> Value {
    let labels: Map<String, Value> =
        metric.labels.iter().map(|label| ((*label).to_owned(), json!({"type": "string"}))).collect();
    let parts = foreign::METRIC_KEYS.into_iter().map(|key| {
        let schema = match key {
            "name" => json!({"type": "string"}),
            "scale" => json!({"type": "number"}),
            "where" => shared("texts"),
            _ => Value::Object(closed(labels.clone())),
        };
        (key.to_owned(), schema)
    });
    let mut full = closed(parts.collect());
    full.insert("required".to_owned(), json!(["name"]));
    let items = json!({"anyOf": [{"type": "string"}, full]});
    let unit = metric.unit.as_str();
    let unit = if unit.is_empty() { String::new() } else { format!(" [{unit}]") };
    json!({
        "type": ["string", "object", "array"],
        "items": items,
        "minItems": 1,
        "properties": full["properties"],
        "additionalProperties": false,
        "required": ["name"],
        "description": format!("{}{unit} ({})", metric.help, metric.kind.as_str()),
    })
}

/// What the comments of a profile's text say of its keys: the lines above a key, or behind its value.
fn comments(text: &str) -> BTreeMap<String, String> {
    let (mut notes, mut table, mut block) = (BTreeMap::new(), String::new(), Vec::<String>::new());
    for line in text.lines() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            block.push(comment.trim().trim_matches('-').to_owned());
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name.to_owned();
            note(&mut notes, table.clone(), &block.join(" "));
        } else if let Some((key, value)) = line.split_once(" = ") {
            // No value of a built-in profile holds this.
            let behind = value.split_once(" # ").map(|(_, comment)| comment.trim().to_owned());
            note(&mut notes, join(&table, key), &behind.unwrap_or_else(|| block.join(" ")));
        }
        block.clear();
    }
    notes
}

fn note(notes: &mut BTreeMap<String, String>, path: String, text: &str) {
    if !text.trim().is_empty() {
        notes.insert(path, text.trim().to_owned());
    }
}
