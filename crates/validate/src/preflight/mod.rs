//! Preflight: is this machine ready for the run? Each check is a typed step: what it found, what it changed, how long it
//! took, what to do next.
//!
//! [`lock`] is the run lock, [`holder`] ends who holds it, [`alike`] lists who merely looks like a runner, [`venue`] asks the venues,
//! [`stack`] the stores (through [`docker`] where they are containers), [`notifiers`] the notifiers, [`dashboard`] C6's source, [`machine`]
//! looks at disk, ports and the runner.

mod alike;
mod dashboard;
mod docker;
pub mod holder;
mod lock;
mod machine;
mod notifiers;
mod stack;
mod venue;

pub use lock::{Holder, LockError, RunLock, running};
pub(crate) use machine::{port, try_store};
pub use stack::{Place, Stack};

use crate::profile::Profile;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

/// What preflight looks at.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The effective profile.
    pub profile: &'a Profile,
    /// The folder of all run folders.
    pub logs_root: &'a Path,
    /// This run's folder.
    pub run_dir: &'a Path,
    /// The venues' addresses; `None` when no venue is to be asked.
    pub endpoints: Option<venues::Endpoints>,
    /// This executable.
    pub program: &'a Path,
    /// This run's id.
    pub run_id: &'a str,
    /// 1, or 3 for the check before the main run.
    pub phase_no: u8,
    /// Where our own console listens already; `None` when it does not.
    pub console: Option<SocketAddr>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// Is told where the stores were found up.
    pub stack: &'a Stack,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// In order.
    Ok,
    /// Not in order; the run does not start when the check is required.
    Failed,
    /// Does not apply to this profile.
    Skipped,
    /// In order, with something to know.
    Warning,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Stable id, such as `port_metrics`.
    pub id: String,
    /// For the screen.
    pub title: String,
    /// Whether a failure forbids the run.
    pub required: bool,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, one sentence.
    pub found: String,
    /// What the check changed, when it changed something.
    pub changed: Option<String>,
    /// What to do, when something is to be done.
    pub next_step: Option<String>,
    /// How long it took, milliseconds.
    pub ms: u64,
}

impl Step {
    /// True when the run must not start.
    pub const fn is_fatal(&self) -> bool {
        self.required && matches!(self.outcome, Outcome::Failed)
    }
}

/// `preflight.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Format version.
    pub format: u32,
    /// The checks, in order.
    pub steps: Vec<Step>,
    /// The stores that were found up, in words: kind, server, version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Used>,
}

/// The stores that a run uses, in words that are the same in every language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// The alert store.
    pub alerts: String,
    /// The state store.
    pub state: String,
    /// `host:port` where the alert store's container was published, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts_address: Option<String>,
}

impl Report {
    /// Of the checks, and of where the stores were found up.
    pub fn new(profile: &Profile, steps: Vec<Step>, stack: &Stack) -> Self {
        let said = |choice: &crate::profile::StoreChoice, place: Option<&Place>| {
            place.map_or_else(|| choice.said(), |place| place.said.clone())
        };
        let (alerts, state) = (&profile.stores.alerts, &profile.stores.state);
        let used = Used {
            alerts: said(alerts, stack.alerts()),
            state: said(state, stack.state()),
            alerts_address: stack.alerts().and_then(|place| place.address.clone()),
        };
        Self { format: crate::archive::FORMAT, steps, stack: Some(used) }
    }
}

/// What a check hands back.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) outcome: Outcome,
    pub(crate) found: String,
    pub(crate) changed: Option<String>,
    pub(crate) next_step: Option<String>,
}

impl Finding {
    fn ok(found: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ok, found: found.into(), changed: None, next_step: None }
    }

    fn skipped(found: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, ..Self::ok(found) }
    }

    fn failed(found: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, next_step: Some(next_step.into()), ..Self::ok(found) }
    }

    fn warning(found: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warning, ..Self::failed(found, next_step) }
    }
}

type Check = fn(&Context<'_>) -> Finding;

/// Id, title, required, check; in this order.
const CHECKS: [(&str, &str, bool, Check); 13] = [
    ("previous_runner", "previous run", true, lock::previous),
    ("run_folder", "run folder and disk", true, machine::run_folder),
    ("alert_store", "alert store", true, stack::alert_store),
    ("state_store", "state store", true, stack::state_store),
    ("state_reset", "state reset", true, stack::state_reset),
    ("port_metrics", "metrics port", true, machine::metrics_port),
    ("port_console", "console port", true, machine::console_port),
    ("venues", "venues", true, venue::check),
    ("runner", "runner", true, machine::runner),
    ("notifiers", "notifiers", true, notifiers::notifiers),
    ("dashboard", "dashboard", true, dashboard::check),
    ("outlook", "best decision", false, outlook),
    ("look_alikes", "similar processes", false, alike::look_alikes),
];

/// Whether the profile itself keeps the run from a GO, or from the best one: said before the time is spent.
fn outlook(context: &Context<'_>) -> Finding {
    match crate::profile::outlook(context.profile).sentence() {
        None => Finding::ok("the profile declares nothing that keeps a criterion from passing"),
        Some(sentence) => Finding::warning(
            sentence,
            "give the runner what it lacks (runner.not_applicable), or go on for what the run shows",
        ),
    }
}

/// Runs every check; a failed one does not keep the next from being made.
pub fn run(context: &Context<'_>) -> Vec<Step> {
    CHECKS
        .iter()
        .map(|(id, title, required, check)| {
            let start = Instant::now();
            let finding = check(context);
            Step {
                id: (*id).to_owned(),
                title: (*title).to_owned(),
                required: *required,
                outcome: finding.outcome,
                found: finding.found,
                changed: finding.changed,
                next_step: finding.next_step,
                ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            }
        })
        .collect()
}

/// Columns of the table: it fits a terminal of 80.
const WIDTH: usize = 79;

/// The steps as a table for screen and log.
pub fn table(steps: &[Step]) -> String {
    let titles: Vec<String> =
        steps.iter().map(|step| format!("{}{}", step.title, if step.required { "" } else { " *" })).collect();
    let width = titles.iter().map(|title| title.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (step, title) in steps.iter().zip(&titles) {
        let head = format!("  {:<7}  {title:<width$}  {:>5} ms  ", step.outcome.word(), step.ms);
        let indent = head.chars().count();
        wrapped(&mut out, &head, indent, &step.found);
        for (what, text) in [("changed", &step.changed), ("next", &step.next_step)] {
            if let Some(text) = text {
                wrapped(&mut out, &" ".repeat(indent), indent, &format!("{what}: {text}"));
            }
        }
    }
    if steps.iter().any(|step| !step.required) {
        out.push_str("  * optional: never forbids a run\n");
    }
    out
}

/// Text behind a head, broken at spaces; further lines stand under the first.
fn wrapped(out: &mut String, head: &str, indent: usize, text: &str) {
    out.push_str(head);
    let mut column = indent;
    for (i, word) in text.split_whitespace().enumerate() {
        let width = word.chars().count();
        if i > 0 && column + 1 + width > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if i > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_a_terminal_and_says_what_to_do() {
        let step = |title: &str, required, outcome, next: Option<&str>| Step {
            id: "x".to_owned(),
            title: title.to_owned(),
            required,
            outcome,
            found:
                "127.0.0.1:9100 is taken by node_exporter (process 4711), which serves its metrics there too"
                    .to_owned(),
            changed: None,
            next_step: next.map(str::to_owned),
            ms: 12,
        };
        let text = table(&[
            step(
                "metrics port",
                true,
                Outcome::Failed,
                Some("set runner.metrics_addr to 127.0.0.1:9101, which is free"),
            ),
            step("similar processes", false, Outcome::Ok, None),
        ]);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.starts_with("  FAILED   metrics port "), "{text}");
        assert!(
            text.contains("next: set") && text.contains("similar processes *") && text.contains("* optional")
        );
    }
}
