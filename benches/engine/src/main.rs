//! The engine's speed and memory beside hftbacktest, barter-data and NautilusTrader; `benches/README.md` says what is compared.

mod capture;
mod digest;
mod feed;
mod memory;
mod peers;
mod rounds;
mod scale;
mod service;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some("replay-capture") => capture::run(7, 5),
        Some("service") => service::run(7),
        Some("scale") => scale::run(7, true),
        Some("scale-time") => scale::run(15, false),
        Some("scale-run") => scale::child(&args[1..]),
        Some("memory") => memory::run(6),
        Some("digest") => {
            digest::run();
            Ok(true)
        }
        _ => Err("say replay-capture, service, scale, memory or digest".to_owned()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(text) => {
            eprintln!("bench-engine: {text}");
            ExitCode::from(2)
        }
    }
}
