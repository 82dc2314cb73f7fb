//! `cargo xtask`: chores of the repository.

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use xtask::{campaign, licences, steps};

/// Chores of the repository
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that must hold: format, lints, tests, licences; CI runs this and nothing else
    Test,
    /// Licences and duplicate versions of every crate that we build
    Licences,
    /// The short measurements of benches/, in release builds; CI does not run them
    Bench,
    /// The long version of a test whose short one runs in CI; without a name, the list of them
    Campaign {
        /// Which
        name: Option<String>,
        /// How long, in the campaign's own unit
        #[arg(long)]
        length: Option<String>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Test => steps::test(),
        Command::Bench => steps::bench(),
        Command::Campaign { name: Some(name), length } => campaign::run(&name, length.as_deref()),
        Command::Campaign { name: None, .. } => {
            println!("{}", campaign::list());
            Ok(())
        }
        Command::Licences => licences::check().map(|summary| println!("{summary}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::from(failure.code)
        }
    }
}
