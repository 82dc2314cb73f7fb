//! The JSON Schema of the profile language is stored in the repository, for editors that fetch it from there.

use serde_json::Value;
use validate::profile::schema;

#[test]
fn the_stored_schema_is_the_one_that_the_program_prints() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/profile.schema.json");
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == schema().unwrap(),
        "{} is out of date: write `assay profile schema` to it",
        path.display()
    );
}

#[test]
fn the_schema_knows_what_the_check_knows() {
    let schema: Value = serde_json::from_str(&schema().unwrap()).unwrap();
    let at = |path: &str| {
        let found = path.split('.').fold(&schema, |value, key| &value["properties"][key]);
        assert!(!found.is_null(), "{path}");
        found.clone()
    };
    assert_eq!(at("watch")["additionalProperties"], false);
    assert!(at("watch.poll")["pattern"].is_string() && at("watch.poll")["description"].is_string());
    assert_eq!(at("main.topn")["type"], "integer");
    assert_eq!(at("time_scale")["minimum"], 1);
    assert_eq!(at("runner.progress")["enum"][0], "metric");
    assert_eq!(at("runner.config")["additionalProperties"], true);
    assert!(at("runner.command")["description"].as_str().unwrap().contains("{kpi_path}"));
    assert_eq!(at("runner.mapping.log.error")["type"], "array");
    at("runner.not_applicable.journal");
    at("runner.mapping.metrics.loop_latency_seconds");
    at("runner.mapping.kpi.win_rate_pct");
    let waivers = at("runner.not_applicable");
    assert!(waivers["properties"]["C5"].is_null() && waivers["properties"]["cpu_usage_pct"].is_null());
}
