//! `assay doctor`: is this machine fit for a run, and, where the venues can be reached, do they still speak as this version
//! expects? Nothing is started and nothing is changed; no key is read, for there is none, and nothing but public market data is
//! asked for.
//!
//! [`machine`] looks at the machine and the configuration, [`live`] asks the venues (or a local exchange), [`assumptions`] is the
//! table of what is expected of their answers. What a run itself demands is `preflight`'s business.

mod assumptions;
mod binance;
mod live;
mod machine;

pub use live::{Places, live};
pub use machine::{Setting, machine};

use serde::Serialize;
use std::fmt::Write as _;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// As it should be.
    Ok,
    /// It could not be looked at, or does not apply.
    Skip,
    /// It works, with something to know.
    Warn,
    /// It will not work.
    Fail,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK  ",
            Self::Skip => "SKIP",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable id, such as `open_files` or `binance_depth_update`.
    pub id: String,
    /// How it came out.
    pub state: State,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// What to do, when something is to be done.
    pub next_step: Option<String>,
    /// The section of the protocol facts that an assumption stands in.
    pub section: Option<String>,
}

impl Check {
    fn new(id: &str, state: State, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            state,
            expected: expected.into(),
            found: found.into(),
            next_step: None,
            section: None,
        }
    }

    fn then(mut self, next_step: impl Into<String>) -> Self {
        self.next_step = Some(next_step.into());
        self
    }

    /// A check of somebody else's making: a file that was read, or why not.
    pub fn of_file(id: &str, what: &str, read: Result<String, String>) -> Self {
        match read {
            Ok(found) => Self::new(id, State::Ok, what, found),
            Err(error) => {
                Self::new(id, State::Fail, what, error).then("correct what is named, then try again")
            }
        }
    }
}

/// What the checks say together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Format version.
    pub format: u32,
    /// Of this machine and its configuration.
    pub machine: Vec<Check>,
    /// Of the venues' protocols; empty when none was asked.
    pub venues: Vec<Check>,
    /// What asking cost; `None` when no venue was asked.
    pub cost: Option<Cost>,
}

/// What a doctor's visit took from the budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Cost {
    /// Requests to Upbit.
    pub upbit_requests: u32,
    /// Weight at Binance, of 6 000 a minute.
    pub binance_weight: u32,
    /// WebSocket connects, both venues.
    pub connects: u32,
}

impl Diagnosis {
    /// The worst of the machine's checks.
    pub fn machine_state(&self) -> State {
        self.machine.iter().map(|check| check.state).max().unwrap_or(State::Ok)
    }

    /// The worst of the venues' checks.
    pub fn venues_state(&self) -> State {
        self.venues.iter().map(|check| check.state).max().unwrap_or(State::Ok)
    }

    /// The exit code: 0 without a failure, 30 when this machine fails, 22 when a venue speaks otherwise than expected.
    pub fn exit_code(&self) -> u8 {
        if self.machine_state() == State::Fail {
            catalogue::exit_codes::PREFLIGHT
        } else if self.venues_state() == State::Fail {
            catalogue::exit_codes::DISAGREES
        } else {
            catalogue::exit_codes::COMPLETE_GO
        }
    }

    /// As a terminal shows it.
    pub fn text(&self) -> String {
        let mut text = String::from("This machine\n");
        for check in &self.machine {
            line(&mut text, check);
        }
        if !self.venues.is_empty() {
            text.push_str("\nThe venues' protocols\n");
            for check in &self.venues {
                line(&mut text, check);
            }
        }
        if let Some(cost) = self.cost {
            let _ = writeln!(
                text,
                "\nThis took {} requests of Upbit, a weight of {} at Binance (6 000 a minute are allowed), {} connects.",
                cost.upbit_requests, cost.binance_weight, cost.connects
            );
        }
        let all = || self.machine.iter().chain(&self.venues);
        let count = |state: State| all().filter(|check| check.state == state).count();
        let _ = writeln!(
            text,
            "\n{} OK, {} WARN, {} FAIL, {} SKIP",
            count(State::Ok),
            count(State::Warn),
            count(State::Fail),
            count(State::Skip)
        );
        text
    }
}

fn line(text: &mut String, check: &Check) {
    let _ = writeln!(text, "{} {:<28} {}", check.state.word(), check.id, check.found);
    if check.state >= State::Warn {
        let _ = writeln!(text, "     expected: {}", check.expected);
        if let Some(section) = &check.section {
            let _ = writeln!(text, "     see: {section}");
        }
    }
    if let Some(next) = &check.next_step {
        let _ = writeln!(text, "     next: {next}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_names_the_side_that_fails() {
        let check = |state| Check::new("x", state, "this", "that");
        let of = |machine, venues| Diagnosis {
            format: 1,
            machine: vec![check(State::Ok), check(machine)],
            venues: vec![check(State::Skip), check(venues)],
            cost: None,
        };
        assert_eq!(of(State::Warn, State::Warn).exit_code(), 0);
        assert_eq!(of(State::Ok, State::Fail).exit_code(), 22);
        assert_eq!(of(State::Fail, State::Fail).exit_code(), 30);
        let text = of(State::Ok, State::Fail).text();
        assert!(text.contains("FAIL x") && text.contains("expected: this"), "{text}");
    }
}
