//! `assay rules`: unit tests of rules, and rules over a recorded run. What was typed, doing it, and how it is printed.

use crate::cli::OneRun;
use crate::commands::print;
use crate::fail::Failure;
use catalogue::exit_codes;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use validate::rules::{Backtest, Fired, RulesError, Tested};
use validate::{profile, review, rules};

/// `assay rules`.
#[derive(Debug, Args)]
pub struct Rules {
    /// What to do
    #[command(subcommand)]
    pub command: RulesCommand,
}

/// The rules' commands.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Run unit tests of rules: series in promtool's notation, expected states at given times
    ///
    /// Exit codes: 0 all expectations came true, 22 one did not, 64 a file is wrong, 66 there is no such file.
    Test {
        /// Files of tests, such as those of profiles/rules
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Machine-readable result
        #[arg(long)]
        json: bool,
    },
    /// Run the rules over a recorded run's samples and compare with what was recorded
    ///
    /// Exit codes: 0; 22 when the run's own rules no longer fire as recorded (with --profile a difference is what was
    /// asked for); 66 there is no such run or profile.
    Backtest {
        /// The run
        #[command(flatten)]
        run: OneRun,
        /// Rules of this profile instead of the run's own
        #[arg(long, value_name = "NAME|FILE")]
        profile: Option<String>,
    },
}

impl From<RulesError> for Failure {
    fn from(error: RulesError) -> Self {
        match error {
            RulesError::Wrong(error) => error.into(),
            RulesError::Read { .. } => Self::new(exit_codes::NOT_FOUND, error.to_string()),
        }
    }
}

pub(crate) fn run(command: &RulesCommand) -> Result<u8, Failure> {
    match command {
        RulesCommand::Test { files, json } => test(files, *json),
        RulesCommand::Backtest { run, profile } => backtest(run, profile.as_deref()),
    }
}

fn test(files: &[PathBuf], json: bool) -> Result<u8, Failure> {
    let mut all_well = true;
    let mut rows = Vec::new();
    for file in files {
        let tested = rules::test_file(file)?;
        all_well &= tested.failed.is_empty();
        if json {
            rows.push(row(file, &tested));
            continue;
        }
        let (tests, expectations) = (tested.tests.len(), tested.expectations);
        if tested.failed.is_empty() {
            print(&format!("{}: ok, {tests} tests, {expectations} expectations\n", file.display()));
            continue;
        }
        let failed = tested.failed.len();
        print(&format!("{}: FAILED, {failed} of {expectations} expectations\n", file.display()));
        for failed in &tested.failed {
            print(&format!("  {}:{}: {}: {}\n", file.display(), failed.line, failed.test, failed.what));
        }
    }
    if json {
        print(&format!("{}\n", serde_json::Value::Array(rows)));
    }
    Ok(if all_well { exit_codes::COMPLETE_GO } else { exit_codes::DISAGREES })
}

fn row(file: &std::path::Path, tested: &Tested) -> serde_json::Value {
    let failed: Vec<serde_json::Value> = tested
        .failed
        .iter()
        .map(|failed| serde_json::json!({ "test": failed.test, "line": failed.line, "what": failed.what }))
        .collect();
    serde_json::json!({
        "file": file.display().to_string(),
        "tests": tested.tests,
        "covered": tested.covered,
        "expectations": tested.expectations,
        "failed": failed,
    })
}

fn backtest(run: &OneRun, name: Option<&str>) -> Result<u8, Failure> {
    let dir = review::find(&run.logs.logs, &run.run)?;
    let other = name.map(profile::load).transpose()?;
    let found = rules::backtest(&dir, other.as_ref()).map_err(review::ReviewError::from)?;
    print(&shown(&found, other.is_some()));
    let as_recorded = other.is_some() || found.agrees();
    Ok(if as_recorded { exit_codes::COMPLETE_GO } else { exit_codes::DISAGREES })
}

fn shown(found: &Backtest, other: bool) -> String {
    let samples: Vec<String> = found.samples.iter().map(|(phase, n)| format!("{phase} {n}")).collect();
    let mut out = format!("rules of {} over the samples: {}\n", found.profile, samples.join(", "));
    for fired in &found.fired {
        out.push_str(&line(fired, found.tolerance_s));
    }
    out.push_str(match (found.fired.is_empty(), found.agrees(), other) {
        (true, ..) => "no rule fires, and none did\n",
        (_, true, _) => "as recorded\n",
        (_, false, true) => "other than recorded\n",
        (_, false, false) => {
            "the samples no longer give what was recorded: `assay verify` names files that were changed\n"
        }
    });
    out
}

fn line(fired: &Fired, tolerance_s: f64) -> String {
    let at = |t: Option<f64>| t.map_or("not fired".to_owned(), |t| format!("{t:.1} s"));
    let mark = if fired.agrees(tolerance_s) { " " } else { "!" };
    let action = if fired.aborts { "abort" } else { "warn" };
    format!(
        "{mark} {:<5} {:<16} {action:<5}  now {:<12} recorded {:<12} {}\n",
        fired.phase,
        fired.rule,
        at(fired.now_s),
        at(fired.recorded_s),
        fired.text
    )
}
