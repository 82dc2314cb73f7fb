//! `cargo xtask campaign NAME`: the long versions of tests whose short ones run in CI. A campaign is a test of the workspace that
//! reads how long it shall be from an environment variable; this table says which, and what a long run is.

use crate::{Failure, cargo, root};
use std::process::Command;

/// A long test.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// What is typed.
    pub name: &'static str,
    /// Package that holds the test.
    pub package: &'static str,
    /// Test binary: `it` or `e2e`.
    pub binary: &'static str,
    /// The tests to run, as the test binary filters them.
    pub filter: &'static str,
    /// The variable that says how long, and its value in a campaign.
    pub length: (&'static str, &'static str),
    /// One line of help.
    pub about: &'static str,
}

/// Every campaign.
pub const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "alerts-load",
        package: "alerts",
        binary: "it",
        filter: "load::",
        length: ("ASSAY_ALERTS", "200000"),
        about: "alerts in virtual time through notifiers of 10 to 100 ms that fail once in ten: none lost, memory bounded",
    },
    Campaign {
        name: "kills",
        package: "e2e",
        binary: "e2e",
        filter: "kills_",
        length: ("ASSAY_KILLS", "200"),
        about: "kill -9 at random moments of a replay and of a live session that goes on: nothing reported is lost or doubled",
    },
    Campaign {
        name: "recovery",
        package: "e2e",
        binary: "e2e",
        filter: "recovery::",
        length: ("ASSAY_SESSIONS", "100"),
        about: "sessions in virtual time whose journal is cut at every commit, or killed again and again",
    },
    Campaign {
        name: "builds",
        package: "e2e",
        binary: "e2e",
        filter: "restarts::other_builds",
        length: ("ASSAY_BUILDS", "dev"),
        about: "one input log through the release build and those of other profiles gives one journal",
    },
    Campaign {
        name: "sessions",
        package: "gate",
        binary: "it",
        filter: "sessions::random",
        length: ("ASSAY_SESSIONS", "10000"),
        about: "random sessions of the engine, added up by the judge to the last unit",
    },
    Campaign {
        name: "faults",
        package: "e2e",
        binary: "e2e",
        filter: "faults_at_random::",
        length: ("ASSAY_FAULT_SEEDS", "1000"),
        about: "every fault of the venues at random, 100 symbols, 10 min of virtual time a seed: every Live book equals the server's",
    },
    Campaign {
        name: "fuzz",
        package: "venues",
        binary: "it",
        filter: "differential::fuzz",
        length: ("ASSAY_FUZZ_SECONDS", "600"),
        about: "every parser of the venues on mutated frames, seconds for each; ASSAY_FUZZ_SEED draws other cases",
    },
    Campaign {
        name: "fuzz-recording",
        package: "recording",
        binary: "it",
        filter: "fuzz::",
        length: ("ASSAY_FUZZ_SECONDS", "600"),
        about: "the reader of recordings on mutated files; ASSAY_FUZZ_SEED draws other cases",
    },
    Campaign {
        name: "alerts-chaos",
        package: "alerts",
        binary: "it",
        filter: "chaos::none_is_lost",
        length: ("ASSAY_CHAOS_ALERTS", "50000"),
        about: "alerts while the dispatcher and a real PostgreSQL are killed and restarted: none lost; ASSAY_CHAOS_SEED draws another day",
    },
    Campaign {
        name: "alerts-mixed",
        package: "alerts",
        binary: "it",
        filter: "chaos::all_faults",
        length: ("ASSAY_CHAOS_MIXED", "10000"),
        about: "alerts while the process, a real PostgreSQL, its disk and a notifier fail in turns: none lost; needs the right to mount",
    },
    Campaign {
        name: "alerts-outages",
        package: "alerts",
        binary: "it",
        filter: "outages::",
        length: ("ASSAY_SCHEDULES", "100000"),
        about: "random schedules of failures, kills and a store that goes away, in virtual time: every alert is accounted for",
    },
];

/// Runs a campaign in the release profile; `length` replaces its usual length.
///
/// # Errors
/// An unknown name (with those that exist), or a test that failed.
pub fn run(name: &str, length: Option<&str>) -> Result<(), Failure> {
    let Some(campaign) = CAMPAIGNS.iter().find(|campaign| campaign.name == name) else {
        return Err(Failure::new(format!("there is no campaign {name}; there are:\n{}", list())));
    };
    let (variable, usual) = campaign.length;
    let length = length.unwrap_or(usual);
    let args = ["test", "--release", "--locked", "-p", campaign.package, "--test", campaign.binary, "--"];
    println!("=== {name}: {variable}={length} cargo {} {} --nocapture", args.join(" "), campaign.filter);
    let status = Command::new(cargo())
        .args(args)
        .args([campaign.filter, "--nocapture"])
        .env(variable, length)
        .current_dir(root())
        .status()
        .map_err(|e| {
            Failure::new(format!("cannot start cargo ({e}); install a Rust toolchain from rustup.rs"))
        })?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("campaign {name} failed ({status})"))) }
}

/// The campaigns with their help, one a line.
pub fn list() -> String {
    let line = |c: &Campaign| format!("  {:<12} {} ({}={})", c.name, c.about, c.length.0, c.length.1);
    CAMPAIGNS.iter().map(line).collect::<Vec<_>>().join("\n")
}
