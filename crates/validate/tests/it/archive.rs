//! Run folders read back: what was removed, doubled or forged in them is said, and never judged as if it were there.

use gate::evidence::{EvidenceClass, Found, RoundTripProof};
use gate::{Decision, Simple};
use std::path::Path;
use validate::archive::{FORMAT, Machine, Metadata, RunDir, load_evidence, names};
use validate::{archive, pipeline, profile, review};

pub(super) const SMOKE: &str =
    r#"{"start":{"phase":"smoke","label":"smoke_10s","runner_id":"r1.smoke","planned_s":10.0,"at":"x"}}"#;
pub(super) const MAIN: &str =
    r#"{"start":{"phase":"main","label":"full_60s","runner_id":"r1.main","planned_s":60.0,"at":"x"}}"#;
const PROOF: &str = r#"{"proof":{"proof":"planted"}}"#;

pub(super) fn end(phase: &str) -> String {
    format!(
        r#"{{"end":{{"phase":"{phase}","end":{{"ran_s":60.2,"exit_code":0,"signal":null,"stop_sent_s":null,"abort":null,"later_causes":[],"interrupted":null,"killed_by_us":false,"leftovers":[]}},"log":{{"counters":{{"lines":1,"errors":0,"warnings":0,"criticals":0,"dlq":0,"error_slots":0,"position_limit":0,"emergency_stop":0,"suspects":0}},"blocks":[],"top_errors":[],"dropped_bytes":0}},"remote":["192.0.2.7"],"identity":null}}}}"#
    )
}

fn metadata() -> Metadata {
    let loaded = profile::load("rehearsal").unwrap();
    Metadata {
        format: FORMAT,
        run_id: "r1".to_owned(),
        started_at: "2026-01-02T03:04:05Z".to_owned(),
        version: "0.1.0".to_owned(),
        mode: "full".to_owned(),
        settings: profile::settings(&loaded),
        profile_hash: loaded.hash,
        profile: loaded.profile,
        endpoints: vec!["http://127.0.0.1:1".to_owned(); 4],
        class: EvidenceClass::Rehearsal { why: "a local exchange".to_owned() },
        machine: Machine { os: "Linux".to_owned(), cores: Some(2), memory_bytes: None },
        prices: None,
        rerun: None,
    }
}

pub(super) fn folder(root: &Path, records: &[&str]) -> RunDir {
    let dir = RunDir::create(root, "rehearsal", "r1").unwrap();
    dir.write_json(names::METADATA, &metadata()).unwrap();
    for name in [names::SAMPLES, names::RULES, names::PANELS, names::ALERTS] {
        dir.write(name, b"").unwrap();
    }
    dir.write(names::PHASES, (records.join("\n") + "\n").as_bytes()).unwrap();
    dir
}

#[test]
fn without_an_end_record_the_log_is_absent() {
    let root = tempfile::tempdir().unwrap();
    let dir = folder(root.path(), &[SMOKE, &end("smoke"), MAIN]);
    let (_, evidence) = load_evidence(&dir).unwrap();
    let main = evidence.main.unwrap();
    assert!(matches!(&main.log, Found::No(why) if why.contains("no end record")));
    assert!(matches!(evidence.smoke.unwrap().log, Found::Yes(_)));
}

#[test]
fn a_main_run_needs_a_smoke_that_passed() {
    let root = tempfile::tempdir().unwrap();
    let dir = folder(root.path(), &[MAIN, &end("main")]);
    let failed = load_evidence(&dir).unwrap().1.smoke_failed.unwrap();
    assert!(failed[0].contains("no smoke before it"), "{failed:?}");
    let other = tempfile::tempdir().unwrap();
    let dir = folder(other.path(), &[SMOKE, &end("smoke"), PROOF, MAIN, &end("main")]);
    let (_, evidence) = load_evidence(&dir).unwrap();
    assert!(
        matches!(&evidence.round_trip_proof, RoundTripProof::None { why } if why.contains("no planted phase")),
        "{:?}",
        evidence.round_trip_proof
    );
    let failed = evidence.smoke_failed.unwrap().join("; ");
    assert!(failed.contains("no round trip was completed"), "{failed}");
}

#[test]
fn a_failed_smoke_is_named_first_and_rejudged_alike() {
    let root = tempfile::tempdir().unwrap();
    let record = r#"{"smoke_failed":{"reasons":["books were Live for 40 %","no pair was ever evaluated"]}}"#;
    let dir = folder(root.path(), &[SMOKE, &end("smoke"), record]);
    let analysis = pipeline::conclude(&dir).unwrap();
    assert_eq!((analysis.decision, analysis.exit_code()), (Decision::NoGo, 31));
    assert!(analysis.reasons[0].starts_with("the smoke failed: books were Live for 40 %"));
    let report = std::fs::read_to_string(dir.path(names::REPORT_MD)).unwrap();
    assert!(report.contains("the smoke failed: books were Live for 40 %"), "{report}");
    let junit = std::fs::read_to_string(dir.path(names::JUNIT)).unwrap();
    assert_eq!(junit.matches("<testcase ").count(), 16);
    assert_eq!(review::rejudge(&dir).unwrap().differences, Vec::<String>::new());
    dir.write(names::PHASES, format!("{SMOKE}\n{}\n", end("smoke")).as_bytes()).unwrap();
    let differences = review::rejudge(&dir).unwrap().differences.join("\n");
    assert!(differences.contains("smoke: recorded books were Live for 40 %"), "{differences}");
}

#[test]
fn damage_is_an_interruption() {
    let second = MAIN.to_owned();
    let end_of_main = end("main");
    for (records, remove, expected) in [
        (vec![SMOKE, &end_of_main], None, "main has an end record and no start record"),
        (vec![SMOKE, MAIN, &second], None, "2 start records of main"),
        (vec![SMOKE, "{\"what\":1}", MAIN], None, "phases.jsonl line 2"),
        (vec![SMOKE, MAIN], Some(names::RULES), "rules.jsonl"),
        (vec![SMOKE, MAIN], Some(names::SAMPLES), "samples.jsonl"),
        (vec![SMOKE, MAIN], Some(names::PANELS), "panels.jsonl"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let dir = folder(root.path(), &records);
        if let Some(name) = remove {
            std::fs::remove_file(dir.path(name)).unwrap();
        }
        let why = load_evidence(&dir).unwrap().1.interrupted.unwrap();
        assert!(why.starts_with("damaged evidence: ") && why.contains(expected), "{why}");
    }
}

#[test]
fn the_class_follows_from_the_market_and_not_from_its_label() {
    let root = tempfile::tempdir().unwrap();
    let dir = folder(root.path(), &[SMOKE, &end("smoke"), MAIN, &end("main")]);
    let mut forged = metadata();
    forged.class = EvidenceClass::Record;
    dir.write_json(names::METADATA, &forged).unwrap();
    let (_, evidence) = load_evidence(&dir).unwrap();
    assert!(matches!(&evidence.class, EvidenceClass::Rehearsal { why } if why.contains("127.0.0.1")));
    forged.class = EvidenceClass::Declared { why: "said so".to_owned() };
    dir.write_json(names::METADATA, &forged).unwrap();
    let (_, evidence) = load_evidence(&dir).unwrap();
    assert!(matches!(&evidence.class, EvidenceClass::Rehearsal { .. }), "{:?}", evidence.class);
    forged.settings.start_grace_s = 55.0;
    dir.write_json(names::METADATA, &forged).unwrap();
    let why = load_evidence(&dir).unwrap().1.interrupted.unwrap();
    assert!(why.contains("settings.start_grace_s"), "{why}");
    forged.format = FORMAT + 1;
    dir.write_json(names::METADATA, &forged).unwrap();
    assert!(load_evidence(&dir).unwrap_err().to_string().contains("this version reads up to"));
}

#[test]
fn a_forged_decision_reads_as_no_go() {
    let root = tempfile::tempdir().unwrap();
    let dir = folder(root.path(), &[SMOKE, &end("smoke"), MAIN, &end("main")]);
    let mut analysis = pipeline::conclude(&dir).unwrap();
    assert!(analysis.criteria.iter().any(|c| c.outcome.simple() != Simple::Pass));
    analysis.decision = Decision::CompleteGo;
    dir.write_json(names::ANALYSIS, &analysis).unwrap();
    let unsealed = archive::list_runs(root.path());
    assert_eq!(unsealed[0].headline, "NO-GO (no manifest seals the decision)");
    archive::write_manifest(&dir, "r1").unwrap();
    let runs = archive::list_runs(root.path());
    assert!(runs[0].headline.starts_with("NO-GO (the recorded decision"), "{}", runs[0].headline);
    assert!(review::render(&dir, validate::report::Lang::En, false).is_err());
    let text = review::rejudge(&dir).unwrap().differences.join("\n");
    assert!(text.contains("decision: recorded REHEARSAL: would be COMPLETE GO"), "{text}");
    std::fs::remove_file(dir.path(names::ANALYSIS)).unwrap();
    assert!(archive::list_runs(root.path())[0].headline.starts_with("NO-GO (no decision"));
}
