//! The JSON Schemas in `schemas/` are those of the types, and the artefacts of a real run keep them. After a type of an artefact has
//! changed: `ASSAY_WRITE_SCHEMAS=1 cargo test -p e2e --test e2e schemas::` writes the files anew.

use crate::harness::Fake;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

#[test]
fn the_files_are_what_the_types_say() {
    let write = std::env::var_os("ASSAY_WRITE_SCHEMAS").is_some();
    let mut names = BTreeSet::new();
    for (name, schema) in validate::schemas::all() {
        let path = folder().join(format!("{name}.schema.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if write {
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "schemas/{name}.schema.json is not what the types say; see the head of this file"
        );
        names.insert(format!("{name}.schema.json"));
    }
    let there = std::fs::read_dir(folder()).unwrap();
    let there: BTreeSet<String> =
        there.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, names, "a schema of nothing");
}

/// The schemas as they lie in the repository.
struct Schemas(BTreeMap<&'static str, jsonschema::Validator>);

impl Schemas {
    fn load() -> Self {
        let of = |name: &str| {
            let text = std::fs::read_to_string(folder().join(format!("{name}.schema.json"))).unwrap();
            jsonschema::draft202012::new(&serde_json::from_str(&text).unwrap()).unwrap()
        };
        Self(validate::schemas::all().into_iter().map(|(name, _)| (name, of(name))).collect())
    }

    fn problems(&self, name: &str, value: &Value) -> Vec<String> {
        let errors = self.0[name].iter_errors(value);
        errors.map(|error| format!("{name}, {}: {error}", error.instance_path())).collect()
    }

    fn keeps(&self, name: &str, text: &str) {
        let value = serde_json::from_str(text).unwrap();
        let problems = self.problems(name, &value);
        assert!(problems.is_empty(), "{problems:#?}");
    }
}

#[test]
fn the_artefacts_of_a_run_keep_their_schemas_and_state_their_format() {
    let fake = Fake::new("plain");
    fake.validate().exits(12);
    let run = fake.run();
    let schemas = Schemas::load();
    let files = [
        ("metadata", "metadata.json"),
        ("preflight", "preflight.json"),
        ("preflight", "preflight_main.json"),
        ("monitor_summary", "monitor_summary.json"),
        ("analysis_result", "analysis_result.json"),
        ("manifest", "manifest.json"),
        ("kpi_file", "full_6s_kpi.json"),
    ];
    for (schema, file) in files {
        let text = run.text(file);
        schemas.keeps(schema, &text);
        let mut value: Value = serde_json::from_str(&text).unwrap();
        assert!(value["format"].as_u64().is_some_and(|format| format >= 1), "{file} states no format");
        value.as_object_mut().unwrap().remove("format");
        assert!(!schemas.problems(schema, &value).is_empty(), "{file} without a format keeps its schema");
    }
    for name in ["phases", "samples", "panels", "rules", "alerts"] {
        let text = run.text(&format!("{name}.jsonl"));
        assert!(text.lines().count() > 0, "{name}.jsonl is empty");
        text.lines().for_each(|line| schemas.keeps(name, line));
        assert!(
            !schemas.problems(name, &serde_json::json!({ "odd": 1 })).is_empty(),
            "{name} allows anything"
        );
    }
}

#[test]
fn the_records_of_a_journal_keep_their_schema() {
    let schemas = Schemas::load();
    let entries = crate::virtual_market::journal_of_a_session();
    assert!(entries.len() > 20, "{} records", entries.len());
    for entry in &entries {
        schemas.keeps("journal", &serde_json::to_string(entry).unwrap());
    }
    let mut first = serde_json::to_value(&entries[0]).unwrap();
    assert!(first["body"]["start"]["format"].as_u64().is_some_and(|format| format >= 1), "{first}");
    first["body"]["start"]["odd"] = 1.into();
    assert!(!schemas.problems("journal", &first).is_empty(), "an unknown field keeps the schema");
}
