//! What judging costs and what watching costs.
//!
//! `bench-gate rejudge`: a run folder of 24 h, a sample every 10 s, 20 000 round trips in its journal, is written and judged again
//! from its files alone, as `assay rejudge` does. `bench-gate watch [--assay PATH] [--seconds N]`: CPU time of a whole
//! `assay validate` that watches a runner with 2 000 series at a 10 s poll. `bench-gate serve ADDR` is that runner.

mod day;
#[allow(dead_code, reason = "the tests of `gate` use more of it")]
#[path = "../../../crates/gate/tests/it/fixture.rs"]
mod fixture;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["rejudge"] => day::run(),
        ["watch", options @ ..] => watch::run(options),
        ["serve", addr] => watch::serve(addr),
        _ => Err("usage: bench-gate rejudge | watch [--assay PATH] [--seconds N]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("bench-gate: {what}");
            ExitCode::FAILURE
        }
    }
}
