//! The worked examples: a bot with names of its own, and a script with a KPI file only, each validated by a profile alone; and the
//! same bot broken, which its own names must not hide.

use crate::harness::{ASSAY, Done, RunFolder, Scratch, assay, nobody_left, seat};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    std::fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// False, and said, where there is no Python.
pub fn has_python(test: &str) -> bool {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = found.is_ok_and(|status| status.success());
    if !there {
        eprintln!("SKIPPED: {test}: python3 is not there");
    }
    there
}

/// `assay validate` with the interpreter itself on the path: a version manager's shim is a shell script that takes its time.
pub fn validate(profile: &Path, logs: &Path) -> Done {
    let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let python = asked.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
    let mut path: Vec<PathBuf> = Path::new(&python).parent().map(Path::to_owned).into_iter().collect();
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    Command::new(ASSAY)
        .args(["validate", "--profile", &profile.to_string_lossy(), "--logs", &logs.to_string_lossy()])
        .env("PATH", std::env::join_paths(path).unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap()
        .into()
}

/// One validation in a folder of its own.
struct Validation {
    dir: Scratch,
    done: Done,
}

impl Validation {
    fn of(profile: &Path, dir: Scratch) -> Self {
        // The figures of a small bot are small: two of them side by side are enough.
        let _seat = seat(3);
        let done = validate(profile, &dir.path().join("logs"));
        Self { dir, done }
    }

    fn run(&self) -> RunFolder {
        RunFolder::only(&self.dir.path().join("logs"))
    }

    /// What holds of every finished run: the artefacts alone give the verdict again, and nobody is left.
    fn agrees(&self) {
        let run = self.run();
        let folder = run.0.to_string_lossy().into_owned();
        assay(["rejudge", &folder]).exits(0).says("the artefacts alone give the recorded verdict");
        assay(["verify", &folder]).exits(0);
        nobody_left(run.0.file_name().unwrap().to_str().unwrap());
        run.is_tidy();
    }
}

/// The bot with one thing broken: the example's profile, another command.
fn broken(defect: &str, more: &str) -> Validation {
    let dir = Scratch::new();
    let words: Vec<String> = ["python3"]
        .into_iter()
        .map(str::to_owned)
        .chain([
            root().join("crates/e2e/tests/data/any_runner/broken_bot.py").to_string_lossy().into_owned(),
            root().join("examples/python-bot/bot.py").to_string_lossy().into_owned(),
            defect.to_owned(),
        ])
        .chain(
            [
                ("--seconds", "{duration_s}"),
                ("--out", "{kpi_path}"),
                ("--listen", "{metrics_addr}"),
                ("--session", "{runner_id}"),
            ]
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value.to_owned()]),
        )
        .collect();
    let text = format!(
        "extends = {:?}\nname = \"broken\"\n[runner]\ncommand = {words:?}\n{more}",
        root().join("examples/python-bot/profile.toml")
    );
    let profile = dir.path().join("broken.toml");
    std::fs::write(&profile, text).unwrap();
    Validation::of(&profile, dir)
}

#[test]
fn the_python_bot_is_a_capped_go_with_12_of_16_judged() {
    if !has_python("the_python_bot") {
        return;
    }
    let validation = Validation::of(&root().join("examples/python-bot/profile.toml"), Scratch::new());
    validation.done.exits(12).says("would be CONDITIONAL GO").says("12 of 16 judged");
    validation.done.says("this run cannot end better than CONDITIONAL GO");
    let run = validation.run();
    for id in ["C1", "C2", "C3", "C4", "C5", "C6", "H1", "H2", "H6"] {
        run.judged(id, "pass");
    }
    for id in ["H4", "H5", "M2", "M4"] {
        let record = run.judged(id, "inconclusive").to_string();
        assert!(record.contains("declared not applicable"), "{record}");
    }
    // In 16 s the growth of a fresh interpreter is what it is: judged, whichever way.
    assert!(!run.criterion("H3").1.to_string().contains("declared not applicable"));
    // The folder holds what the bot wrote; Assay's names stand in the samples and the analysis.
    assert!(run.text("full_16s_metrics_final.prom").contains("pybot_ticks_total "));
    assert!(run.json("full_16s_kpi.json")["deals"]["closed"].is_number());
    let samples = run.text("samples.jsonl");
    assert!(samples.contains("arb_topn_loop_iterations_total") && !samples.contains("pybot_"), "names");
    assert_eq!(
        run.json("metadata.json")["profile"]["runner"]["mapping"]["kpi"]["wins"]["field"],
        "deals.won"
    );
    assert!(run.text("report.md").contains("loop_latency_seconds = pybot_tick_ms x 0.001"));
    validation.agrees();
}

#[test]
fn a_script_with_a_kpi_file_only_is_not_proven() {
    let validation = Validation::of(&root().join("examples/shell-script/profile.toml"), Scratch::new());
    validation.done.exits(20).says("NO-GO (not proven)");
    // Said before the time is spent: before the first phase.
    let said = "this run cannot end better than NO-GO (not proven): C5 because the runner offers no metrics";
    let before = validation.done.stderr.split("[2/7]").next().unwrap_or_default();
    let flat: Vec<&str> = before.split_whitespace().collect();
    assert!(flat.join(" ").contains(said), "{before}");
    let run = validation.run();
    for id in ["C1", "C2", "C3", "C4", "H2"] {
        run.judged(id, "pass");
    }
    for id in ["C5", "C6", "H1", "H6"] {
        run.judged(id, "inconclusive");
    }
    let preflight = run.json("preflight.json").to_string();
    assert!(preflight.contains("cannot end better than NO-GO"), "{preflight}");
    validation.agrees();
}

#[test]
fn a_crash_of_a_foreign_bot_is_a1() {
    if !has_python("a_crash_of_a_foreign_bot") {
        return;
    }
    let validation = broken("crash", "");
    validation.done.exits(21).says("NO-GO").says("A1");
    let run = validation.run();
    run.judged("C3", "fail");
    let errors = run.text("full_16s_error.log");
    assert!(errors.contains("RuntimeError: the feed sent a price of 0"), "{errors}");
    validation.agrees();
}

#[test]
fn a_hang_is_seen_by_the_mapped_progress_signal() {
    if !has_python("a_hang") {
        return;
    }
    let validation = broken("hang", "");
    validation.done.exits(21).says("A8");
    assert_eq!(validation.run().abort_cause("main").as_deref(), Some("A8"));
    validation.agrees();
}

#[test]
fn cpu_seconds_that_a_mapped_file_makes_up_fail_c2() {
    if !has_python("cpu_seconds") {
        return;
    }
    let validation = broken("cpu-lie", "");
    validation.done.exits(20).says("NO-GO");
    let c2 = validation.run().judged("C2", "fail").to_string();
    assert!(c2.contains("cpu_usage_pct"), "{c2}");
    validation.agrees();
}

#[test]
fn errors_in_the_bots_own_format_are_counted() {
    if !has_python("errors") {
        return;
    }
    // It says nothing of them in its file: the log does.
    let validation = broken("errors", "");
    validation.done.exits(20).says("NO-GO");
    let run = validation.run();
    let errors = run.text("full_16s_error.log");
    assert!(errors.contains("E| feed: order 25 is refused"), "{errors}");
    let c2 = run.judged("C2", "fail").to_string();
    assert!(c2.contains("error_rate_pct") && c2.contains("ERROR lines"), "{c2}");
    validation.agrees();
}

#[test]
fn a_mapping_that_points_nowhere_is_an_absence_and_no_pass() {
    if !has_python("a_mapping_that_points_nowhere") {
        return;
    }
    let validation = broken(
        "none",
        "[runner.mapping.metrics]\nloop_latency_seconds = \"pybot_tock_ms\"\n\
        [runner.mapping.kpi]\nnet_pnl_usd = \"pnl.gone\"\n",
    );
    validation.done.exits(31).says("the KPI file lacks 1 of 20 fields: net_pnl_usd");
    validation.agrees();
}

#[test]
fn init_makes_a_profile_of_a_running_bot() {
    if !has_python("init") {
        return;
    }
    let dir = Scratch::new();
    let port = crate::harness::free_port();
    let (result, log) = (dir.path().join("result.json"), dir.path().join("bot.log"));
    let mut bot = Command::new("python3")
        .arg(root().join("examples/python-bot/bot.py"))
        .args(["--seconds", "60", "--session", "s1", "--linger", "0"])
        .args(["--listen", &format!("127.0.0.1:{port}"), "--out", &result.to_string_lossy()])
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    crate::harness::wait_for("the bot's result", std::time::Duration::from_secs(20), || {
        result.exists().then_some(())
    });
    let profile = dir.path().join("mine.toml");
    let done: Done = Command::new(ASSAY)
        .args(["init", "--pid", &bot.id().to_string()])
        .args(["--metrics-url", &format!("http://127.0.0.1:{port}/metrics")])
        .args(["--kpi", &result.to_string_lossy(), "--log", &log.to_string_lossy()])
        .args(["--out", &profile.to_string_lossy()])
        .output()
        .unwrap()
        .into();
    bot.kill().unwrap();
    bot.wait().unwrap();
    done.exits(0);
    assay(["profile", "check", &profile.to_string_lossy()]).exits(0).says("is a valid profile (of record)");
    let text = std::fs::read_to_string(&profile).unwrap();
    for line in [
        "loop_latency_seconds = { name = \"pybot_tick_ms\", scale = 0.001 }",
        "arb_topn_loop_iterations_total = \"pybot_ticks_total\"",
        "win_rate_pct = { field = \"deals.hit_ratio\", scale = 100.0 }",
        "# guard_triggers = \"why not\"",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assay(["init", "--command", "bot", "--out", &profile.to_string_lossy()]).exits(64).is_one_paragraph();
}
