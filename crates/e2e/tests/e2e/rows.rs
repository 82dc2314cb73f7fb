//! One test per planted defect, and as many healthy runners that must not be convicted.

use crate::harness::{Done, Fake};

/// A healthy runner in a rehearsal: a GO of some kind, never more than that.
fn healthy(fake: &Fake) -> Done {
    let done = fake.validate();
    done.exits(12).says("would be CONDITIONAL GO");
    let run = fake.run();
    for id in ["C1", "C2", "C3", "C4", "C5", "C6", "H1", "H2", "H4", "H5"] {
        run.judged(id, "pass");
    }
    assert_eq!(run.abort_cause("main"), None);
    let report = run.text("report.md");
    assert!(report.contains("REHEARSAL"), "{report}");
    run.is_tidy();
    fake.nobody_left();
    done
}

/// A runner that a rule stops in the main run.
fn aborted(fake: &Fake, cause: &str, words: &str) {
    let done = fake.validate();
    done.exits(21).says("NO-GO").says(cause);
    let run = fake.run();
    assert_eq!(run.abort_cause("smoke"), None);
    assert_eq!(run.abort_cause("main").as_deref(), Some(cause), "{}", run.text("monitor_summary.json"));
    let analysis = run.json("analysis_result.json");
    assert_eq!(analysis["aborted"]["cause"], cause);
    let report = run.text("report.md");
    assert!(
        report.contains("NO-GO") && report.contains(cause) && report.contains(words),
        "{words:?} is not in\n{report}"
    );
    run.is_tidy();
    fake.nobody_left();
}

#[test]
fn a_plain_runner_is_a_rehearsal_go() {
    healthy(&Fake::new("plain"));
}

#[test]
fn a_runner_without_alerting_is_judged_on_our_own_drill() {
    let fake = Fake::new("plain").without_alerts();
    fake.validate().exits(12).says("would be CONDITIONAL GO");
    let run = fake.run();
    run.judged("C4", "pass");
    assert!(run.text("report.md").contains("judged on Assay's own dispatcher"), "{}", run.text("report.md"));
    assert!(run.text("alerts.jsonl").contains("DRILL"));
    fake.nobody_left();
}

#[test]
fn a_handled_traceback_and_quoted_ones_are_no_crash() {
    let fake = Fake::new("handled");
    healthy(&fake);
    assert!(fake.run().text("full_6s_console.log").contains("Traceback (most recent call last):"));
}

#[test]
fn a_slow_start_and_a_missed_scrape_are_forgiven() {
    healthy(&Fake::new("slow-start"));
}

#[test]
fn a_runner_that_wants_sigint_gets_it() {
    // It never ends by itself: what ends it in order is the signal at the end of the overrun grace.
    healthy(
        &Fake::new("sigint").set("runner.stop_signal", "\"SIGINT\"").set("watch.overrun_grace", "\"1 s\""),
    );
}

#[test]
fn a_crash_is_a1() {
    let fake = Fake::new("crash");
    aborted(&fake, "A1", "panicked at");
    let run = fake.run();
    run.judged("C3", "fail");
    let errors = run.text("full_6s_error.log");
    assert!(errors.contains("order book of KRW-XRP is crossed"), "{errors}");
}

#[test]
fn an_early_exit_with_0_is_a1() {
    aborted(&Fake::new("exit-early"), "A1", "exited with code 0");
}

#[test]
fn a_crash_in_the_smoke_starts_no_main_run() {
    let fake = Fake::new("crash").arg("--break-in", "smoke").arg("--break-after-seconds", "1");
    fake.validate().exits(31).says("A1");
    let run = fake.run();
    assert_eq!(run.abort_cause("smoke").as_deref(), Some("A1"));
    assert!(!run.path("full_6s_console.log").exists());
    assert!(run.text("report.md").contains("NO-GO"));
    fake.nobody_left();
}

#[test]
fn a_hang_is_a8() {
    let fake = Fake::new("hang");
    aborted(&fake, "A8", "loop iterations");
    // It got SIGABRT first, so that it leaves a trace, and ignores SIGTERM.
    assert_eq!(fake.run().json("analysis_result.json")["aborted"]["cause"], "A8");
    let summary = fake.run().json("monitor_summary.json");
    let main = summary["phases"].as_array().unwrap().iter().find(|p| p["phase"] == "main").unwrap().clone();
    assert_eq!(main["end"]["signal"], 6, "{main}");
}

#[test]
fn a_dead_letter_is_a2() {
    let fake = Fake::new("dlq");
    aborted(&fake, "A2", "alert_dlq_total");
    fake.run().judged("C4", "fail");
}

#[test]
fn a_blind_main_run_is_a9() {
    aborted(&Fake::new("no-metrics"), "A9", "no successful scrape");
}

#[test]
fn a_blind_smoke_fails_and_names_a9() {
    let fake = Fake::new("no-metrics").arg("--break-in", "smoke").set("smoke.duration", "\"6 s\"");
    fake.validate().exits(31).says("A9");
    let run = fake.run();
    assert_eq!(run.abort_cause("smoke").as_deref(), Some("A9"));
    assert!(!run.path("full_6s_console.log").exists());
    fake.nobody_left();
}

#[test]
fn a_daemon_that_keeps_the_pipe_is_ended_and_reported() {
    let fake = Fake::new("grandchild");
    fake.validate().exits(12);
    let run = fake.run();
    let summary = run.json("monitor_summary.json");
    let main = summary["phases"].as_array().unwrap().iter().find(|p| p["phase"] == "main").unwrap().clone();
    let leftovers = main["end"]["leftovers"].as_array().unwrap();
    assert!(leftovers.iter().any(|l| l.as_str().unwrap().contains("fake-runner")), "{main}");
    let report = run.text("report.md");
    assert!(report.contains("fake-runner") && report.to_lowercase().contains("left"), "{report}");
    fake.nobody_left();
}

#[test]
fn a_missing_kpi_file_fails_c2() {
    let fake = Fake::new("no-kpi");
    fake.validate().exits(20).says("NO-GO");
    let run = fake.run();
    let c2 = run.judged("C2", "fail").to_string();
    assert!(c2.contains("full_6s_kpi.json"), "{c2}");
    assert!(run.text("report.md").contains("full_6s_kpi.json"));
    fake.nobody_left();
}

#[test]
fn a_truncated_kpi_file_fails_c2() {
    let fake = Fake::new("half-kpi");
    fake.validate().exits(20).says("NO-GO");
    let run = fake.run();
    let c2 = run.judged("C2", "fail").to_string();
    assert!(c2.contains("full_6s_kpi.json") && c2.contains("not whole JSON"), "{c2}");
    run.is_tidy();
    fake.nobody_left();
}

#[test]
fn cpu_seconds_that_are_not_true_fail_c2() {
    let fake = Fake::new("cpu-lie");
    fake.validate().exits(20);
    let c2 = fake.run().judged("C2", "fail").to_string();
    assert!(c2.contains("cpu_usage_pct"), "{c2}");
    fake.nobody_left();
}
