//! Wrong input: one paragraph with what, where and what to do next, the documented exit code, nothing half-written.

use crate::harness::{Fake, assay, free_port, no_leftover_files};
use std::net::TcpListener;

#[test]
fn a_logs_folder_that_cannot_be_made() {
    let fake = Fake::new("plain");
    let profile = fake.profile().to_string_lossy().into_owned();
    let file = fake.dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    for logs in [file.join("logs").to_string_lossy().into_owned(), "/proc/no-such-folder".to_owned()] {
        let done = assay(["validate", "--profile", &profile, "--logs", &logs]);
        done.exits(30).is_one_paragraph().says(&logs).says("--logs");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "in the way");
    no_leftover_files(fake.dir.path());
    fake.nobody_left();
}

#[test]
fn a_taken_metrics_port_names_its_holder() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap().to_string();
    let fake = Fake::new("plain").set("runner.metrics_addr", &format!("\"{addr}\""));
    let done = fake.validate();
    done.exits(30).says(&addr).says(&format!("pid {}", std::process::id()));
    let steps = fake.run().text("preflight.json");
    assert!(steps.contains(&addr) && steps.contains("which is free"), "{steps}");
    assert!(!fake.run().path("smoke_3s_console.log").exists(), "a runner was started");
    fake.nobody_left();
}

#[test]
fn an_unknown_key_is_shown_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.toml");
    std::fs::write(&path, "extends = \"d77-4\"\nname = \"mine\"\n\n[watch]\n  pol = \"5 s\"\n").unwrap();
    let profile = path.to_string_lossy().into_owned();
    let logs = dir.path().join("logs");
    let done = assay(["validate", "--profile", &profile, "--logs", &logs.to_string_lossy()]);
    done.exits(64).says("mine.toml:5:3").says("pol").says("poll");
    assert!(!done.stderr.contains("panicked"));
    assert!(!logs.exists(), "nothing is made before the profile is right");
    assay(["validate", "--profile", "d77-5", "--logs", &logs.to_string_lossy()]).exits(66).says("d77-4");
}

#[test]
fn an_exchange_that_nobody_serves() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = dir.path().join("runner.toml");
    let text = format!(
        "journal_dir = {:?}\n[endpoints]\nupbit_rest = \"http://127.0.0.1:{port}\"\nupbit_ws = \"ws://127.0.0.1:{port}/websocket/v1\"\n\
         binance_rest = \"http://127.0.0.1:{port}\"\nbinance_ws = \"ws://127.0.0.1:{port}\"\n",
        dir.path().join("journal").to_string_lossy()
    );
    std::fs::write(&config, text).unwrap();
    let kpi = dir.path().join("kpi.json");
    let done = assay([
        "run",
        "--data-source",
        "local",
        "--run-duration-seconds",
        "5",
        "--metrics-addr",
        "127.0.0.1:0",
        "--config",
        &config.to_string_lossy(),
        "--kpi-output-path",
        &kpi.to_string_lossy(),
    ]);
    done.exits(70).says(&format!("127.0.0.1:{port}"));
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    no_leftover_files(dir.path());
    // On error paths the KPI file is whole too, and does not claim to be complete.
    if let Ok(text) = std::fs::read_to_string(&kpi) {
        let kpi: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(kpi["complete"], false);
    }
}

#[test]
fn a_run_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().to_string_lossy().into_owned();
    for command in ["report", "rejudge", "verify"] {
        let done = assay([command, "NOPE", "--logs", &logs]);
        done.exits(66).is_one_paragraph().says("NOPE").says("assay runs list");
    }
    assay(["runs", "list", "--logs", &logs]).exits(0).says("no runs");
    assay(["replay", "/no/such/input.rec"]).exits(66).is_one_paragraph().says("/no/such/input.rec");
    no_leftover_files(dir.path());
}

#[test]
fn wrong_usage_is_64() {
    assay(["validate"]).exits(64);
    assay(["no-such-command"]).exits(64);
    assay(["--version"]).exits(0);
}
