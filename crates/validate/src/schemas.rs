//! JSON Schemas (draft 2020-12) of every JSON artefact, made from the types that are written and read. The files are in `schemas/` of
//! the repository; an end-to-end test compares them with this, and real run folders with them. Not here: the schema of the profile
//! language (`profile::schema`), which is made from the tables of its check.
//!
//! A `.jsonl` artefact's schema is that of one line, and the number in `metadata.json` is the version of all lines of its folder. The
//! schema of the journal is that of the JSON behind the checksum of each line; its first record states the version. A schema describes
//! what this version writes: of the formats before it, `archive` knows how to read them.

use crate::archive::{self, Metadata, PhaseRecord, Tagged};
use catalogue::{KPIS, Source, Unit};
use gate::evidence::{Attested, PanelCheck, RuleEvent, Sample};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// Every schema, by the name of its file without `.schema.json`.
pub fn all() -> Vec<(&'static str, Schema)> {
    let format = archive::FORMAT;
    let mut all = vec![
        ("metadata", file::<Metadata>(format)),
        ("preflight", file::<crate::preflight::Report>(format)),
        ("phases", of::<PhaseRecord>()),
        ("samples", of::<Tagged<Sample>>()),
        ("panels", of::<PanelCheck>()),
        ("grafana", of::<crate::grafana::Exchange>()),
        ("rules", of::<Tagged<RuleEvent>>()),
        ("monitor_summary", file::<crate::pipeline::MonitorSummary>(format)),
        ("alerts", of::<archive::AlertLine>()),
        ("analysis_result", file::<gate::Analysis>(gate::judge::FORMAT)),
        ("attestations", file::<Attested>(format)),
        ("manifest", file::<archive::Manifest>(format)),
        ("inputs", file::<crate::analyze::Inputs>(format)),
        ("kpi_file", kpi_file()),
        ("journal", of::<journal::Entry>()),
    ];
    for (name, schema) in &mut all {
        schema.insert("title".to_owned(), (*name).into());
    }
    all
}

/// As it is written: a field that is always there is required.
fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// [`of`] something that states its format: of this format and no other.
fn file<T: JsonSchema>(format: u32) -> Schema {
    let mut schema = of::<T>();
    if let Some(stated) = schema.pointer_mut("/properties/format").and_then(Value::as_object_mut) {
        stated.insert("const".to_owned(), format.into());
    }
    schema
}

/// The runner's KPI file, from the catalogue: every field that a runner measures, `null` only with its reason beside it. What a runner
/// adds of its own is allowed.
fn kpi_file() -> Schema {
    let mut properties = Map::new();
    properties.insert("format".into(), json!({ "type": "integer", "minimum": 1 }));
    properties.insert("run_id".into(), json!({ "type": "string" }));
    properties.insert(
        "complete".into(),
        json!({ "type": "boolean", "description": "Written by an orderly end only." }),
    );
    let mut required: Vec<Value> = ["format", "run_id", "complete"].map(Value::from).into();
    let mut reasons = Vec::new();
    let mut field = |name: &str, kind: &str, about: &str| {
        let mut value = json!({ "type": [kind, "null"], "description": about });
        if kind == "object" {
            value["additionalProperties"] = json!({ "type": "number" });
        }
        properties.insert(name.to_owned(), value);
        let why = json!({ "type": "string", "pattern": "^(undefined|absent)\\b" });
        properties.insert(format!("{name}_reason"), why);
        required.push(name.into());
        reasons.push(json!({
            "if": { "properties": { name: { "type": "null" } }, "required": [name] },
            "then": { "required": [format!("{name}_reason")] }
        }));
    };
    for kpi in KPIS.iter().filter(|kpi| matches!(kpi.source, Source::Runner) || kpi.field == "error_rate_pct")
    {
        let kind = match kpi.unit {
            Unit::Map => "object",
            Unit::Count => "integer",
            _ => "number",
        };
        field(kpi.field, kind, &format!("KPI {}: {}", kpi.number, kpi.title));
    }
    for (name, kind, about) in BESIDE {
        field(name, kind, about);
    }
    let mut schema = Schema::default();
    let object = schema.ensure_object();
    object.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    object.insert(
        "description".into(),
        "A runner's KPI file. A field without a value is null, with its reason beside it.".into(),
    );
    object.insert("type".into(), "object".into());
    object.insert("properties".into(), properties.into());
    object.insert("required".into(), required.into());
    object.insert("allOf".into(), reasons.into());
    schema
}

/// What the contract asks for beside the KPIs.
const BESIDE: [(&str, &str, &str); 9] = [
    ("cpu_seconds", "number", "Own CPU seconds"),
    ("peak_rss_bytes", "integer", "Own peak of resident memory"),
    ("wins", "integer", "Round trips with net > 0"),
    ("losses", "integer", "Round trips with net <= 0"),
    ("exit_reasons", "object", "Round trips by exit reason"),
    ("paper_capital_usd", "number", "Paper capital"),
    ("open_positions", "integer", "Open positions"),
    ("funnel", "object", "Passages by stage"),
    ("stop_reason", "string", "Why it ended"),
];
