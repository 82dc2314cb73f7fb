//! Killing the orchestrator: nothing survives it, and the run folder never reads as anything better than NO-GO.

use crate::harness::{Fake, assay, kill, processes, seat, wait_for};
use std::time::Duration;

#[test]
fn kill_9_of_the_orchestrator_leaves_nobody() {
    let _seat = seat(1);
    // By then a daemon lives outside the runner's session.
    let fake =
        Fake::new("grandchild-early").arg("--break-after-seconds", "1").set("main.duration", "\"60 s\"");
    let mut child = fake.start();
    wait_for("the daemon of the main run", Duration::from_secs(40), || {
        let found = processes(&[&fake.tag, "--daemon", ".main"]);
        found.iter().any(|(_, words)| words.last().is_some_and(|w| w == "--daemon")).then_some(())
    });
    assert!(!processes(&[&fake.seed.to_string(), "exchange"]).is_empty(), "the market is a process too");
    kill(child.id() as i32);
    wait_for("every descendant to be gone", Duration::from_secs(2), || {
        let left = processes(&[&fake.tag]).len() + processes(&[&fake.seed.to_string()]).len();
        (left == 0).then_some(())
    });
    child.wait().unwrap();
    let logs = fake.logs().to_string_lossy().into_owned();
    let run = fake.run();
    let id = run.0.file_name().unwrap().to_string_lossy().into_owned();
    let list = assay(["runs", "list", "--logs", &logs]);
    list.exits(0);
    let line =
        list.stdout.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{}", list.stdout));
    assert!(line.contains("NO-GO"), "{line}");
}

#[test]
fn ctrl_c_ends_in_order() {
    let _seat = seat(1);
    let fake = Fake::new("plain").set("main.duration", "\"60 s\"");
    let child = fake.start();
    wait_for("the main run", Duration::from_secs(40), || {
        (!processes(&[&fake.tag, ".main"]).is_empty()).then_some(())
    });
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let done = crate::harness::finish(child, fake.dir.path());
    done.exits(130).says("NO-GO");
    let run = fake.run();
    assert!(run.json("analysis_result.json")["interrupted"].is_string());
    assert!(run.text("report.md").contains("interrupted"));
    fake.nobody_left();
}
