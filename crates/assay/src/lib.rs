//! The one binary as a library, so that the end-to-end tests can have a thin copy of it.
//!
//! [`cli`] is what was typed; `commands` does it (`supervising` what runs, `runs` the archive); [`generate`] makes input logs in virtual time; `fail` turns errors into sentences with a next step and an exit code.

pub mod cli;
mod commands;
pub mod dlq;
mod doctor;
mod explaining;
mod fail;
pub mod generate;
mod judging;
pub mod rules;
mod runs;
mod supervising;

use clap::Parser;
use std::process::ExitCode;

/// Reads the arguments, does it, gives the exit code.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args();
    // The guardian is not for people: it is recognised before anything else can write to its inherited streams.
    if arguments.nth(1).as_deref() == Some("guardian") {
        let words: Vec<String> = arguments.collect();
        validate::supervise::guardian::main(&words);
        return ExitCode::SUCCESS;
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            let usage = e.use_stderr();
            return if usage { ExitCode::from(catalogue::exit_codes::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match commands::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("{}", failure.text());
            ExitCode::from(failure.code)
        }
    }
}
