//! The JSON Schemas in `schemas/` are those of the types, and what real runs leave behind keeps them: the tests that have a run hand it to
//! [`folder_keeps_them`]. After a type of an artefact has changed,
//! `ASSAY_WRITE_SCHEMAS=1 cargo test -p e2e --test e2e schemas::` writes the files anew.

use crate::harness::{RunFolder, assay, copy};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Made by another test, from another source.
const PROFILE: &str = "profile.schema.json";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

fn file_name(of: &str) -> String {
    format!("{of}.schema.json")
}

#[test]
fn the_files_are_what_the_types_say() {
    let write = std::env::var_os("ASSAY_WRITE_SCHEMAS").is_some();
    let mut names = BTreeSet::from([PROFILE.to_owned()]);
    for (name, schema) in validate::schemas::all() {
        let path = folder().join(file_name(name));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if write {
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "schemas/{name}.schema.json is not what the types say; see the head of this file"
        );
        names.insert(file_name(name));
    }
    let there = std::fs::read_dir(folder()).unwrap();
    let there: BTreeSet<String> =
        there.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.insert("README.md".to_owned());
    assert_eq!(there, names, "a schema of nothing");
    let list = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for name in names.iter().filter(|name| name.ends_with(".json")) {
        assert!(list.contains(&format!("| `{name}` |")), "schemas/README.md does not list {name}");
    }
}

/// The schemas as they lie in the repository.
pub struct Schemas {
    compiled: boon::Schemas,
    by_name: BTreeMap<String, boon::SchemaIndex>,
}

impl Schemas {
    /// Reads and compiles them all.
    pub fn load() -> Self {
        let mut compiled = boon::Schemas::new();
        let mut by_name = BTreeMap::new();
        for (name, _) in validate::schemas::all() {
            let mut compiler = boon::Compiler::new();
            let text = std::fs::read_to_string(folder().join(file_name(name))).unwrap();
            // A location that is nowhere: a schema that points out of itself cannot be compiled.
            let place = format!("assay:/{name}");
            compiler.add_resource(&place, serde_json::from_str(&text).unwrap()).unwrap();
            let index = compiler.compile(&place, &mut compiled).unwrap_or_else(|e| panic!("{name}: {e:#}"));
            by_name.insert(name.to_owned(), index);
        }
        Self { compiled, by_name }
    }

    fn check(&self, name: &str, value: &Value) -> Result<(), String> {
        self.compiled.validate(value, self.by_name[name]).map_err(|error| format!("{name}: {error:#}"))
    }

    /// Asserts that a text is JSON that keeps a schema.
    #[track_caller]
    pub fn keeps(&self, name: &str, text: &str) -> Value {
        let value = serde_json::from_str(text).unwrap();
        let result = self.check(name, &value);
        assert!(result.is_ok(), "{}", result.unwrap_err());
        value
    }

    /// Asserts that a file keeps its schema and states its format, and that its schema is no empty word.
    #[track_caller]
    fn file(&self, name: &str, text: &str) {
        let mut value = self.keeps(name, text);
        assert!(value["format"].as_u64().is_some_and(|format| format >= 1), "{name} states no format");
        value.as_object_mut().unwrap().remove("format");
        assert!(self.check(name, &value).is_err(), "{name} without a format keeps its schema");
    }

    /// Asserts that every line keeps its schema, and that its schema is no empty word.
    #[track_caller]
    fn lines(&self, name: &str, text: &str) {
        text.lines().for_each(|line| drop(self.keeps(name, line)));
        assert!(self.check(name, &serde_json::json!({ "odd": 1 })).is_err(), "{name} allows anything");
    }
}

/// Asserts that every artefact of a run folder keeps its schema, and that none is without one.
#[track_caller]
pub fn folder_keeps_them(run: &RunFolder) {
    let schemas = Schemas::load();
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(&run.0).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let name = match file.as_str() {
            "preflight_main.json" => "preflight",
            // Our runner's settings, as it understood them: its own affair, read by no program.
            _ if file.ends_with("_kpi_config.json") => continue,
            _ if file.ends_with("_kpi.json") => "kpi_file",
            _ if file.ends_with(".json") => file.trim_end_matches(".json"),
            _ if file.ends_with(".jsonl") => {
                let name = file.trim_end_matches(".jsonl");
                schemas.lines(name, &run.text(&file));
                seen.insert(name.to_owned());
                continue;
            }
            _ => continue,
        };
        assert!(schemas.by_name.contains_key(name), "{file} has no schema");
        schemas.file(name, &run.text(&file));
        seen.insert(name.to_owned());
    }
    for name in ["metadata", "preflight", "phases", "samples", "rules", "monitor_summary", "analysis_result"]
    {
        assert!(seen.contains(name), "the run has no {name}: {seen:?}");
    }
    journals(&schemas, &run.path("journal"));
}

/// The journals of our own engine's phases; a foreign runner has none.
fn journals(schemas: &Schemas, dir: &Path) {
    for phase in std::fs::read_dir(dir).into_iter().flatten() {
        let Ok(text) = std::fs::read_to_string(phase.unwrap().path().join("journal.log")) else { continue };
        let mut records = text.lines().map(|line| schemas.keeps("journal", &line[9..]));
        let mut first = records.next().unwrap();
        assert!(first["body"]["start"]["format"].as_u64().is_some_and(|format| format >= 1), "{first}");
        assert!(records.count() > 20);
        first["body"]["start"].as_object_mut().unwrap().remove("format");
        assert!(schemas.check("journal", &first).is_err(), "a start without a format keeps the schema");
    }
}

/// Asserts that what is made of a finished run by hand keeps its schema too: its artefacts judged as a stranger's, and what was left open
/// attested.
pub fn what_people_do_keeps_them(run: &RunFolder, dir: &Path) {
    let schemas = Schemas::load();
    let (foreign, out) = (dir.join("foreign"), dir.join("foreign-out"));
    std::fs::create_dir(&foreign).unwrap();
    for file in ["full_6s_kpi.json", "full_6s_console.log"] {
        std::fs::copy(run.path(file), foreign.join(file)).unwrap();
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    assay(["analyze", &text(&foreign), "--out", &text(&out)]);
    let analyzed = RunFolder(out);
    schemas.file("inputs", &analyzed.text("inputs.json"));
    schemas.file("analysis_result", &analyzed.text("analysis_result.json"));

    // A run that no panel was asked in: C6 is open.
    let open = dir.join("open");
    copy(&run.0, &open);
    std::fs::write(open.join("panels.jsonl"), "").unwrap();
    let open = validate::archive::RunDir(open);
    validate::pipeline::conclude(&open).unwrap();
    validate::archive::write_manifest(&open, &text(Path::new(run.0.file_name().unwrap()))).unwrap();
    let shot = dir.join("shot.png");
    std::fs::write(&shot, b"what the dashboard showed").unwrap();
    assay(["attest", &text(&open.0), "C6", "pass", "--by", "Kim", "--evidence", &text(&shot)]);
    let attested = RunFolder(open.0);
    assert_eq!(attested.text("attestations.jsonl").lines().count(), 1);
    folder_keeps_them(&attested);
}
