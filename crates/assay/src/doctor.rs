//! `assay doctor`: what `validate::doctor` finds, on the screen or as JSON, with its exit code.

use crate::cli::Doctor;
use crate::commands::print;
use crate::fail::Failure;
use catalogue::exit_codes;
use std::time::Duration;
use validate::doctor::{Check, Diagnosis, Places, Setting, live, machine};

pub(crate) fn doctor(args: &Doctor) -> Result<u8, Failure> {
    let mut checks = machine(Setting { profile: &args.profile, logs: &args.logs.logs });
    if let Some(path) = &args.config {
        let read = runner::load_config(Some(path)).map_err(|e| e.to_string()).and_then(|config| {
            config.engine.check().map_err(|e| e.to_string())?;
            Ok(format!("{} can be read", path.display()))
        });
        checks.push(Check::of_file("configuration", "a runner's configuration that can be read", read));
    }
    let mut diagnosis = Diagnosis { format: 1, machine: checks, venues: Vec::new(), cost: None };
    if args.live {
        let places = places(&args.endpoints)?;
        let asked = live(&places, Duration::from_secs(args.listen));
        let (venues, cost) = asked.map_err(|e| Failure::new(exit_codes::PREFLIGHT, e))?;
        (diagnosis.venues, diagnosis.cost) = (venues, Some(cost));
    }
    if args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&diagnosis).unwrap_or_default()));
    } else {
        print(&diagnosis.text());
    }
    Ok(diagnosis.exit_code())
}

fn places(given: &[String]) -> Result<Places, Failure> {
    let is_base = |url: &String| url.starts_with("http://") || url.starts_with("https://");
    match given {
        [] => Ok(Places::real()),
        [upbit, binance] if is_base(upbit) && is_base(binance) => Ok(Places::of(upbit, binance)),
        _ => Err(Failure::new(
            exit_codes::USAGE,
            "--endpoints takes two base addresses, Upbit's and Binance's, such as http://127.0.0.1:8101,http://127.0.0.1:8102",
        )),
    }
}
