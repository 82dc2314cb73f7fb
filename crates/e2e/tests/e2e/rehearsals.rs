//! The real thing: our engine against a local market, whole, and three ways in which it must not come out well.

use crate::archive::edit;
use crate::harness::{
    Done, RunFolder, Scratch, assay, copy, finish, free_port, http, kill, processes, seat, start, wait_for,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

/// Until the main run's process is there: preflight, smoke, and perhaps the planted proof come first.
const TO_MAIN: Duration = Duration::from_secs(90);

struct Rehearsal {
    dir: Scratch,
    child: Child,
}

impl Rehearsal {
    fn start(market: &str) -> Self {
        let dir = Scratch::new();
        let logs = dir.path().join("logs").to_string_lossy().into_owned();
        let child = start(["rehearse", "--market", market, "--logs", &logs], dir.path());
        Self { dir, child }
    }

    fn logs(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    /// Pid of the main run's runner: not its guardian, whose command line holds the runner's.
    fn runner(&mut self) -> i32 {
        let logs = self.logs().to_string_lossy().into_owned();
        wait_for("the main run", TO_MAIN, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                let said = std::fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default();
                panic!("ended before its main run with {status}:\n{said}");
            }
            let found = processes(&[&logs, ".main"]);
            found.into_iter().find(|(_, words)| words.get(1).is_some_and(|w| w == "run")).map(|(pid, _)| pid)
        })
    }

    fn end(self) -> (Done, RunFolder, Scratch) {
        let logs = self.logs();
        let done = finish(self.child, self.dir.path());
        let left = processes(&[&logs.to_string_lossy()]);
        assert!(left.is_empty(), "left behind: {left:?}");
        (done, RunFolder::only(&logs), self.dir)
    }
}

#[test]
fn edge_is_a_go_that_can_be_replayed() {
    let seat = seat(3);
    let (done, run, dir) = Rehearsal::start("edge").end();
    drop(seat);
    // What the market paid within this minute is the market's: a rule that warns, or a criterion of the strategy left open,
    // caps it at CONDITIONAL GO.
    let better = done.stdout.contains("would be COMPLETE GO") || done.stderr.contains("would be COMPLETE GO");
    if !better {
        done.exits(0).says("would be CONDITIONAL GO");
    }
    done.exits(0);
    run.judged("H6", "pass");
    for id in ["C1", "C2", "C3", "C4", "C5", "C6"] {
        run.judged(id, "pass");
    }
    crate::schemas::folder_keeps_them(&run);
    let folder = run.0.to_string_lossy().into_owned();
    assay(["rejudge", &folder]).exits(0);
    assay(["verify", &folder]).exits(0);

    // The input log reproduces the journal byte for byte.
    let input = run.path("journal/main/input.rec").to_string_lossy().into_owned();
    let journal = run.path("journal/main/journal.log").to_string_lossy().into_owned();
    assay(["replay", &input, "--expect", &journal]).exits(0);
    let damaged = dir.path().join("damaged.log");
    let mut text = std::fs::read_to_string(&journal).unwrap();
    let cut = text.trim_end().rfind('\n').unwrap();
    text.truncate(cut + 1);
    std::fs::write(&damaged, text).unwrap();
    let differs = assay(["replay", &input, "--expect", &damaged.to_string_lossy()]);
    assert_ne!(differs.code, Some(0), "{}", differs.stdout);

    // A figure changed by hand no longer agrees with the journal.
    let changed = dir.path().join("changed");
    copy(&run.0, &changed);
    edit(&changed.join("full_60s_kpi.json"), "net_pnl_usd", |v| v + 10.0);
    assay(["rejudge", &changed.to_string_lossy()]).exits(22).says("net_pnl_usd").says("C2");

    // An alert that the runner raised and that stands in no row of the store is lost; one whose delivery was open is not delivered.
    let alerts = run.text("alerts.jsonl");
    for (from, to, said) in [("", "", "raised and never stored"), ("SENT", "RETRY", "still open at the end")]
    {
        let changed = dir.path().join(format!("alerts{to}"));
        copy(&run.0, &changed);
        let mut lines: Vec<String> = alerts.lines().map(str::to_owned).collect();
        let drill = |line: &String| line.contains(".main-s1\"");
        assert!(lines.iter().filter(|line| drill(line)).count() >= 2, "{alerts}");
        if to.is_empty() {
            lines.retain(|line| !drill(line));
        } else {
            let row = lines.iter_mut().rfind(|line| drill(line) && line.contains(from)).unwrap();
            *row = row.replace(from, to);
        }
        std::fs::write(changed.join("alerts.jsonl"), lines.join("\n") + "\n").unwrap();
        assay(["rejudge", &changed.to_string_lossy()]).exits(22).says("C4").says(said);
    }
}

#[test]
fn calm_is_system_ok_and_strategy_not_proven() {
    let seat = seat(3);
    let (done, run, _dir) = Rehearsal::start("calm").end();
    drop(seat);
    done.exits(0).says("STRATEGY NOT PROVEN");
    run.judged("H6", "fail");
    let analysis = run.json("analysis_result.json");
    assert!(
        analysis["strategy"]["sentence"].as_str().unwrap().starts_with("STRATEGY not proven"),
        "{}",
        analysis["strategy"]
    );
    assert_eq!(analysis["system"]["state"], "ok", "{}", analysis["system"]);
    let diagnosis = analysis["diagnosis"].to_string();
    assert!(diagnosis.contains("no opportunity"), "{diagnosis}");
    assert!(run.text("report.md").contains("no opportunity"));
    let summary = run.json("monitor_summary.json");
    assert_eq!(summary["round_trip_proof"]["proof"], "planted", "{summary}");
}

#[test]
fn a_market_cut_for_half_of_main_fails_c1() {
    let seat = seat(3);
    let mut rehearsal = Rehearsal::start("edge");
    rehearsal.runner();
    let stderr = std::fs::read_to_string(rehearsal.dir.path().join("stderr")).unwrap();
    let control: SocketAddr = stderr
        .lines()
        .find_map(|line| line.split_once("control http://"))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|addr| addr.parse().ok())
        .unwrap_or_else(|| panic!("no control address in\n{stderr}"));
    // The start grace is 10 s of the 60; then 30 s without a market.
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(http("POST", control, "/cut").unwrap().0, 200);
    std::thread::sleep(Duration::from_secs(30));
    assert_eq!(http("POST", control, "/restore").unwrap().0, 200);
    let (done, run, _dir) = rehearsal.end();
    drop(seat);
    done.exits(20).says("NO-GO").says("C1");
    let c1 = run.judged("C1", "fail").to_string();
    assert!(c1.contains("Live"), "{c1}");
}

#[test]
fn a_runner_killed_from_outside_is_a1() {
    let seat = seat(3);
    let mut rehearsal = Rehearsal::start("edge");
    let pid = rehearsal.runner();
    std::thread::sleep(Duration::from_secs(5));
    kill(pid);
    let (done, run, _dir) = rehearsal.end();
    drop(seat);
    done.exits(21).says("A1").says("NO-GO");
    assert_eq!(run.abort_cause("main").as_deref(), Some("A1"));
    let report = run.text("report.md");
    assert!(report.contains("signal 9"), "{report}");
    // What it wrote until then is whole lines.
    let kpi = run.json("full_60s_kpi.json");
    assert_eq!(kpi["complete"], false);
}

/// Serves whatever the true page says, from a process that is not the runner.
fn relay(target: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let (status, body) = http("GET", target, "/metrics").unwrap_or((502, Vec::new()));
                let kind = "Content-Type: text/plain; version=0.0.4";
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\n{kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(&body);
            });
        }
    });
    own
}

fn relayed_profile(dir: &Path, runner: u16, relay: SocketAddr) -> PathBuf {
    let path = dir.join("relayed.toml");
    let text = format!(
        "extends = \"rehearsal\"\nname = \"relayed\"\n[runner]\nmetrics_addr = \"127.0.0.1:{runner}\"\n\
         metrics_url = \"http://{relay}/metrics\"\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn metrics_served_by_another_process_fail_c5() {
    let seat = seat(3);
    let dir = Scratch::new();
    let port = free_port();
    let relay = relay(SocketAddr::from(([127, 0, 0, 1], port)));
    let profile = relayed_profile(dir.path(), port, relay).to_string_lossy().into_owned();
    let logs = dir.path().join("logs");
    let done = assay(["validate", "--profile", &profile, "--logs", &logs.to_string_lossy()]);
    drop(seat);
    done.exits(20).says("NO-GO").says("C5");
    let run = RunFolder::only(&logs);
    let c5 = run.judged("C5", "fail").to_string();
    assert!(c5.contains(&format!("pid {}", std::process::id())), "{c5}");
}
