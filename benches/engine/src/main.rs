//! The engine's speed and memory beside hftbacktest, barter-data and NautilusTrader; `benches/README.md` says what is compared.

mod capture;
mod digest;
mod feed;
mod peers;
mod rounds;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some("digest") => {
            digest::run();
            Ok(true)
        }
        Some("replay-capture") => capture::run(7, 5),
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
