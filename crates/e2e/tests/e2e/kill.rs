//! Killing the orchestrator: nothing survives it, and the run folder never reads as anything better than NO-GO.

use crate::harness::{Done, Fake, RunFolder, assay, finish, kill, processes, run_folders, seat, wait_for};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Short, but with every phase and a rule or two.
fn short(plan: &str) -> Fake {
    Fake::new(plan)
        .set("smoke.duration", "\"2 s\"")
        .set("main.duration", "\"6 s\"")
        .arg("--break-after-seconds", "1")
}

/// The word of a folder in `runs list`.
fn listed(fake: &Fake, run: &RunFolder) -> String {
    let list = assay(["runs", "list", "--logs", &fake.logs().to_string_lossy()]);
    let id = id_of(run);
    let line = list.exits(0).stdout.lines().find(|line| line.contains(&id)).map(str::to_owned);
    line.unwrap_or_else(|| panic!("{id} is not in {}", list.stdout))
}

fn id_of(run: &RunFolder) -> String {
    run.0.file_name().unwrap().to_string_lossy().into_owned()
}

fn has(dir: &Path, name: &str, words: &str) -> bool {
    std::fs::read_to_string(dir.join(name)).is_ok_and(|text| text.lines().any(|line| line.contains(words)))
}

/// Kills the orchestrator as soon as its folder looks like this, and sees that nobody is left. False when it had ended before.
fn killed_when(fake: &Fake, when: impl Fn(&Path) -> bool) -> bool {
    let mut child = fake.start();
    let until = Instant::now() + Duration::from_secs(60);
    while !run_folders(&fake.logs()).first().is_some_and(|dir| when(dir)) {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(Instant::now() < until, "the phase never came");
        std::thread::sleep(Duration::from_millis(2));
    }
    kill(child.id() as i32);
    child.wait().unwrap();
    everybody_gone(fake);
    true
}

fn everybody_gone(fake: &Fake) {
    wait_for("every descendant to be gone", Duration::from_secs(5), || {
        let left = processes(&[&fake.tag]).len() + processes(&[&fake.seed.to_string()]).len();
        (left == 0).then_some(())
    });
}

fn resume(fake: &Fake, run: &RunFolder) -> Done {
    assay(["validate", "--resume", &id_of(run), "--logs", &fake.logs().to_string_lossy()])
}

/// Killed before the main run: phases 1 to 3 are repeated under new runner ids, and the run ends as it would have.
#[test]
fn killed_in_phases_1_to_3_it_is_repeated() {
    let _seat = seat(1);
    for (phase, when) in [
        ("preflight", &(|dir: &Path| dir.join("metadata.json").exists()) as &dyn Fn(&Path) -> bool),
        ("smoke", &|dir| has(dir, "phases.jsonl", "\"smoke\"")),
        ("preflight again", &|dir| has(dir, "phases.jsonl", "\"proof\"")),
    ] {
        let fake = short("plain");
        assert!(killed_when(&fake, when), "{phase}");
        let run = fake.run();
        assert!(listed(&fake, &run).contains("NO-GO (no decision on record)"), "{phase}");
        let id = id_of(&run);
        let logs = fake.logs().to_string_lossy().into_owned();
        assay(["rejudge", &id, "--logs", &logs]).exits(66);
        assay(["report", &id, "--logs", &logs]).exits(66);
        assay(["runs", "show", &id, "--logs", &logs]).exits(0).says("NO-GO").says("--resume");
        resume(&fake, &run).exits(12);
        let phases = run.text("phases.jsonl");
        assert!(
            phases.contains(&format!("{id}.smoke.2")) && phases.contains(&format!("{id}.main")),
            "{phases}"
        );
        assay(["rejudge", &id, "--logs", &logs]).exits(0);
        assay(["verify", &id, "--logs", &logs]).exits(0);
        resume(&fake, &run).exits(64).says("has its verdict");
        fake.nobody_left();
    }
}

/// Killed in the main run: judged, NO-GO, whatever the KPI file says; and there is no second main run.
#[test]
fn killed_in_phase_4_it_is_interrupted() {
    let _seat = seat(1);
    let fake = short("grandchild-early");
    assert!(killed_when(&fake, |dir| has(dir, "samples.jsonl", "\"main\"")));
    let run = fake.run();
    assert!(listed(&fake, &run).contains("NO-GO"));
    resume(&fake, &run).exits(130).says("NO-GO").says("interrupted");
    assert!(listed(&fake, &run).contains("NO-GO (interrupted)"));
    assay(["rejudge", &id_of(&run), "--logs", &fake.logs().to_string_lossy()]).exits(0);
    // A forged end of the story: another attempt after a main run.
    let phases = run.text("phases.jsonl") + "{\"resumed\":{\"attempt\":2,\"at\":\"x\"}}\n";
    std::fs::write(run.path("phases.jsonl"), phases).unwrap();
    assay(["rejudge", &id_of(&run), "--logs", &fake.logs().to_string_lossy()])
        .exits(22)
        .says("resumed after");
}

/// Killed in phases 5 to 7: they are repeated from the folder, with the same verdict.
#[test]
fn killed_in_phases_5_to_7_the_verdict_is_the_same() {
    let _seat = seat(1);
    for (phase, when) in [
        (
            "collect",
            &(|dir: &Path| has(dir, "phases.jsonl", "\"phase\":\"main\",\"end\"")) as &dyn Fn(&Path) -> bool,
        ),
        ("analyse", &|dir| dir.join("monitor_summary.json").exists()),
        ("report", &|dir| dir.join("analysis_result.json").exists()),
    ] {
        for (plan, code) in [("plain", 12), ("crash", 21)] {
            let fake = short(plan);
            if !killed_when(&fake, when) {
                continue;
            }
            let run = fake.run();
            if run.path("manifest.json").exists() {
                // It was faster than we: the verdict stands.
                resume(&fake, &run).exits(64);
            } else {
                assert_eq!(resume(&fake, &run).code, Some(code), "{phase} {plan}");
            }
            assay(["rejudge", &id_of(&run), "--logs", &fake.logs().to_string_lossy()]).exits(0);
            run.is_tidy();
        }
    }
}

/// The planted proof has a market and a runner of its own; only the engine plays it.
#[test]
fn killed_in_the_planted_proof_nobody_is_left() {
    let _seat = seat(3);
    let fake = Fake::new("plain");
    let logs = fake.logs();
    let seed = fake.seed.to_string();
    let args = ["rehearse", "--market", "calm", "--seed", &seed, "--logs"].map(str::to_owned);
    let args = args.into_iter().chain([logs.to_string_lossy().into_owned()]);
    let mut child = crate::harness::start(args, fake.dir.path());
    wait_for("the planted proof", Duration::from_secs(60), || {
        let dir = run_folders(&logs).into_iter().next()?;
        has(&dir, "phases.jsonl", "\"planted\"").then_some(())
    });
    kill(child.id() as i32);
    child.wait().unwrap();
    let word = logs.to_string_lossy().into_owned();
    wait_for("every descendant to be gone", Duration::from_secs(5), || {
        (processes(&[&word]).is_empty() && processes(&[&seed]).is_empty()).then_some(())
    });
    assert!(listed(&fake, &fake.run()).contains("NO-GO"));
}

/// What a run that was killed at this moment may read as once it is resumed.
fn may_be(run: &RunFolder, whole: i32) -> Vec<i32> {
    let phases = std::fs::read_to_string(run.path("phases.jsonl")).unwrap_or_default();
    let main = phases.contains("\"phase\":\"main\",\"label\"");
    let ended = phases.contains("\"phase\":\"main\",\"end\"");
    if run.path("manifest.json").exists() {
        vec![64]
    } else if main && !ended {
        vec![130]
    } else {
        vec![whole]
    }
}

/// At random instants: the verdict afterwards is the same or worse, never better, and nobody survives.
#[test]
fn killed_at_30_random_instants_it_never_gets_better() {
    let _seat = seat(4);
    let seed = std::env::var("ASSAY_TEST_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()) ^ jiff::Timestamp::now().as_nanosecond() as u64);
    eprintln!("seed {seed} (ASSAY_TEST_SEED repeats it)");
    let next = AtomicUsize::new(0);
    let one = |i: usize| {
        let random = splitmix(seed.wrapping_add(i as u64));
        // A daemon outside the runner's session; a healthy runner; one that crashes in the main run, and one in the smoke.
        let (fake, whole) = match i % 4 {
            0 => (short("grandchild").arg("--break-in", "smoke"), 12),
            1 => (short("plain"), 12),
            2 => (short("crash"), 21),
            _ => (short("crash").arg("--break-in", "smoke"), 31),
        };
        let mut child = fake.start();
        std::thread::sleep(Duration::from_millis(random % 12_000));
        if child.try_wait().unwrap().is_some() {
            return;
        }
        kill(child.id() as i32);
        child.wait().unwrap();
        everybody_gone(&fake);
        let Some(dir) = run_folders(&fake.logs()).into_iter().next() else { return };
        let run = RunFolder(dir);
        if !run.path("metadata.json").exists() {
            return;
        }
        let before = listed(&fake, &run);
        if whole != 12 || !run.path("analysis_result.json").exists() {
            assert!(before.contains("NO-GO"), "{i}: {before}");
        }
        let allowed = may_be(&run, whole);
        let done = resume(&fake, &run);
        assert!(
            done.code.is_some_and(|code| allowed.contains(&code)),
            "{i}: {allowed:?}, not {:?}\n{}",
            done.code,
            done.stderr
        );
        let after = listed(&fake, &run);
        assert_eq!(after.contains("would be"), whole == 12 && allowed != [130], "{i}: {after}");
        assay(["rejudge", &id_of(&run), "--logs", &fake.logs().to_string_lossy()]).exits(0);
        fake.nobody_left();
    };
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= 30 {
                        return;
                    }
                    one(i);
                }
            });
        }
    });
}

fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn wait_for_main(fake: &Fake) {
    wait_for("the main run", Duration::from_secs(40), || {
        let dir = run_folders(&fake.logs()).into_iter().next()?;
        has(&dir, "samples.jsonl", "\"main\"").then_some(())
    });
}

#[test]
fn stop_ends_in_order_and_sigterm_is_143() {
    let _seat = seat(1);
    let fake = short("plain").set("main.duration", "\"60 s\"");
    let logs = fake.logs().to_string_lossy().into_owned();
    assay(["stop", "--logs", &logs]).exits(66);
    let child = fake.start();
    wait_for_main(&fake);
    assay(["stop", "another", "--logs", &logs]).exits(66).says("is not alive");
    assay(["runs", "prune", "--keep", "0", "--yes", "--logs", &logs]).exits(0).says("it is running");
    assay(["stop", &id_of(&fake.run()), "--logs", &logs])
        .exits(0)
        .says("ended in order")
        .says("NO-GO (interrupted)");
    finish(child, fake.dir.path()).exits(130);
    fake.nobody_left();

    let fake = short("plain").set("main.duration", "\"60 s\"");
    let child = fake.start();
    wait_for_main(&fake);
    signal(child.id(), rustix::process::Signal::TERM);
    finish(child, fake.dir.path()).exits(143).says("NO-GO");
    fake.nobody_left();
}

#[test]
fn a_second_ctrl_c_kills() {
    let _seat = seat(1);
    // It ignores SIGTERM from its hang on, and would be given a minute.
    let fake = short("hang")
        .set("main.duration", "\"60 s\"")
        .set("runner.stop_grace", "\"60 s\"")
        .set("rules.A8.for", "\"50 s\"");
    let child = fake.start();
    wait_for_main(&fake);
    std::thread::sleep(Duration::from_millis(1_500));
    signal(child.id(), rustix::process::Signal::INT);
    let run = fake.run();
    wait_for("the first to be heard", Duration::from_secs(5), || {
        has(&run.0, "monitor.log", "asked to end in order").then_some(())
    });
    signal(child.id(), rustix::process::Signal::INT);
    finish(child, fake.dir.path()).exits(130).says("NO-GO");
    assert!(run.text("monitor.log").contains("a second time"));
    fake.nobody_left();
}

/// The second run waits for nobody: it ends the first, for which that is an interruption.
#[test]
fn take_over_ends_the_living_run() {
    let _seat = seat(1);
    let fake = short("plain").set("main.duration", "\"60 s\"");
    let logs = fake.logs().to_string_lossy().into_owned();
    let profile = fake.profile().to_string_lossy().into_owned();
    let child = fake.start();
    wait_for_main(&fake);
    let first = fake.run();
    assay(["validate", "--profile", &profile, "--logs", &logs])
        .exits(30)
        .says(&id_of(&first))
        .says("--take-over");
    let smoke_only =
        ["validate", "--profile", &profile, "--logs", &logs, "--take-over", "--mode", "smoke-only"];
    assay(smoke_only).exits(0).says("taken over").says("SMOKE PASSED, NO VERDICT");
    finish(child, fake.dir.path()).exits(130);
    assert!(listed(&fake, &first).contains("NO-GO (interrupted)"));
    fake.nobody_left();
}

/// SIGSTOP of the runner, of its guardian, of the supervisor itself; and the guardian killed: interruptions, each by name.
#[test]
fn whoever_is_stopped_interrupts_the_run() {
    let _seat = seat(3);
    use rustix::process::Signal;
    std::thread::scope(|scope| {
        for (who, words) in [
            ("runner", "was stopped by a signal"),
            ("guardian", "the guardian process was stopped"),
            ("supervisor", "the supervisor stood still"),
            ("dead guardian", "the guardian process was killed"),
        ] {
            scope.spawn(move || {
                let fake = short("plain").set("main.duration", "\"9 s\"");
                let child = fake.start();
                wait_for_main(&fake);
                let pid_of = |guardian: bool| {
                    let found = processes(&[&fake.tag, ".main"]);
                    let is = |words: &Vec<String>| words.iter().any(|word| word == "guardian") == guardian;
                    found.into_iter().find(|(_, words)| is(words)).map(|(pid, _)| pid as u32).unwrap()
                };
                match who {
                    "runner" => {
                        let pid = pid_of(false);
                        signal(pid, Signal::STOP);
                        std::thread::sleep(Duration::from_millis(600));
                        signal(pid, Signal::CONT);
                    }
                    "guardian" => signal(pid_of(true), Signal::STOP),
                    "supervisor" => {
                        signal(child.id(), Signal::STOP);
                        std::thread::sleep(Duration::from_millis(5_500));
                        signal(child.id(), Signal::CONT);
                    }
                    _ => kill(pid_of(true) as i32),
                }
                finish(child, fake.dir.path()).exits(130).says("NO-GO");
                let why = fake.run().json("analysis_result.json")["interrupted"].to_string();
                assert!(why.contains(words), "{who}: {why}");
                fake.nobody_left();
            });
        }
    });
}

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
