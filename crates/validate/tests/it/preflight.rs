//! Preflight against this machine: every check gives a sentence, a failure says what to do.

use std::path::Path;
use validate::preflight::{Context, Outcome, RunLock, Step, run, table};
use validate::profile::{Profile, load};

fn steps(profile: &Profile, dir: &Path, program: &Path) -> Vec<Step> {
    let run_dir = dir.join("run");
    let _lock = RunLock::take(dir, "127.0.0.1:0", "test-run").unwrap();
    run(&Context {
        profile,
        logs_root: dir,
        run_dir: &run_dir,
        endpoints: None,
        program,
        run_id: "test-run",
        phase_no: 1,
        console: None,
    })
}

fn step<'a>(steps: &'a [Step], id: &str) -> &'a Step {
    steps.iter().find(|step| step.id == id).unwrap()
}

/// A runner that knows every option of our contract.
fn program(dir: &Path, help: &str) -> std::path::PathBuf {
    let path = dir.join("assay-under-test");
    std::fs::write(&path, format!("#!/bin/sh\necho '{help}'\n")).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}

const HELP: &str =
    "--data-source --topn-size <N> --run-duration-seconds --kpi-output-path --metrics-addr --run-id --config";

#[test]
fn a_ready_machine_passes() {
    let dir = tempfile::tempdir().unwrap();
    let profile = load("rehearsal").unwrap().profile;
    let steps = steps(&profile, dir.path(), &program(dir.path(), HELP));
    for step in &steps {
        assert!(!step.is_fatal(), "{step:?}");
        assert!(!step.found.is_empty());
    }
    assert_eq!(steps.len(), 11);
    assert_eq!(step(&steps, "venues").outcome, Outcome::Skipped);
    assert!(step(&steps, "runner").found.contains("knows the 7 options"), "{:?}", step(&steps, "runner"));
    let text = table(&steps);
    assert_eq!(text.lines().filter(|line| line.contains(" ms  ")).count(), 11, "{text}");
    // It leaves nothing behind.
    assert_eq!(std::fs::read_dir(dir.path().join("run")).unwrap().count(), 0);
    assert!(!dir.path().join("assay.lock").exists());
    let json = serde_json::to_string(&steps).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Step>>(&json).unwrap(), steps);
}

#[test]
fn what_is_wrong_is_named_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut profile = load("rehearsal").unwrap().profile;
    profile.limits.min_free_bytes = u64::MAX;
    profile.runner.metrics_addr = taken.local_addr().unwrap().to_string();
    let steps = steps(&profile, dir.path(), &program(dir.path(), "--data-source"));
    for (id, part) in [
        ("run_folder", "are demanded"),
        ("port_metrics", "is held by pid"),
        ("runner", "does not know --topn-size"),
    ] {
        let step = step(&steps, id);
        assert!(step.is_fatal() && step.found.contains(part) && step.next_step.is_some(), "{step:?}");
    }
}

#[test]
fn a_missing_program_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let profile = load("rehearsal").unwrap().profile;
    let steps = steps(&profile, dir.path(), Path::new("/nowhere/assay"));
    assert!(step(&steps, "runner").found.contains("/nowhere/assay is not there"));
}

#[test]
fn venues_that_do_not_answer_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = load("rehearsal").unwrap();
    venues::install_crypto();
    // Nobody listens where a listener was just closed.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let steps = run(&Context {
        profile: &loaded.profile,
        logs_root: dir.path(),
        run_dir: dir.path(),
        endpoints: Some(venues::Endpoints::local(free, free)),
        program: Path::new("/nowhere/assay"),
        run_id: "x",
        phase_no: 1,
        console: Some(free),
    });
    let found = step(&steps, "venues");
    assert!(found.is_fatal() && found.found.contains("no answer from"), "{found:?}");
    assert!(step(&steps, "previous_runner").is_fatal(), "there is no lock");
    assert_eq!(step(&steps, "port_console").outcome, Outcome::Ok);
}
