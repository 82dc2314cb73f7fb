//! `scale`: what an event costs at 1 000 symbols against 10, at the same traffic per symbol: each of ten symbols' frames come
//! under one name, or under a hundred.
//!
//! Instructions are counted by `valgrind --tool=callgrind` of this program in a process of its own, inside the call of
//! `Core::apply` only and after the start, so that neither start-up nor the making of frames is in them: callgrind gives the same
//! count whatever else the machine does, and the hardware's counters are not to be had on every virtual machine. Time is
//! measured without it.

use crate::feed::{self, Options};
use crate::rounds::{Bars, Side, timed};
use engine::{Core, Effect};
use exchange::MarketKind;
use recording::Record;
use std::process::Command;

const FEW: usize = 10;
const MANY: usize = 1_000;

/// Half an hour of candles seeds the levels; more would only lengthen the start under callgrind.
const CANDLES: usize = 35;
/// The market's symbols; names multiply them.
const MODEL: usize = 10;

fn log(n: usize, kind: MarketKind, seconds: u32) -> (Vec<Record>, usize) {
    let options =
        Options { kind, symbols: MODEL, copies: n / MODEL, seed: 33, candles: CANDLES, quotes: false };
    feed::record(&options, seconds)
}

fn kind_of(name: &str) -> MarketKind {
    if name == "edge" { MarketKind::Edge } else { MarketKind::Calm }
}

/// What callgrind counts.
#[inline(never)]
fn counted_apply(core: &mut Core, record: &Record, out: &mut Vec<Effect>) {
    core.apply(record.seq, record.at, &record.input, out);
}

/// A core after the start.
fn warmed(log: &[Record], warm: usize) -> (Core, Vec<Effect>) {
    let mut out = Vec::with_capacity(4_096);
    let first = &log[0];
    let mut core =
        Core::start(first.seq, first.at, &first.input, &mut out).unwrap_or_else(|e| panic!("the core: {e}"));
    for record in &log[1..warm] {
        out.clear();
        core.apply(record.seq, record.at, &record.input, &mut out);
    }
    (core, out)
}

/// The rest of the log.
fn play(core: &mut Core, out: &mut Vec<Effect>, rest: &[Record]) {
    for record in rest {
        out.clear();
        counted_apply(core, record, out);
    }
}

/// The child that callgrind watches.
///
/// # Errors
/// Arguments that are none.
pub fn child(args: &[String]) -> Result<bool, String> {
    let [n, kind, seconds] = args else { return Err("scale-run N MARKET SECONDS".to_owned()) };
    let number = |text: &String| text.parse::<usize>().map_err(|e| format!("{text}: {e}"));
    let (log, warm) = log(number(n)?, kind_of(kind), number(seconds)? as u32);
    // No look at the clock here: the kernel's page with its clock is not there under valgrind.
    let (mut core, mut out) = warmed(&log, warm);
    play(&mut core, &mut out, &log[warm..]);
    println!("events {}", log.len() - warm);
    Ok(true)
}

/// Instructions and events of one child.
fn instructions(n: usize, kind: MarketKind, seconds: u32) -> Result<(u64, u64), String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*counted_apply*", "--callgrind-out-file=/dev/null"])
        .arg(me)
        .args(["scale-run", &n.to_string(), kind.name(), &seconds.to_string()])
        .output()
        .map_err(|e| format!("valgrind cannot be started ({e}); install the package valgrind"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let after = |text: &str, mark: &str| {
        let rest = text.split(mark).nth(1)?;
        rest.split_whitespace().find_map(|word| word.parse::<u64>().ok())
    };
    match (after(&err, "Collected :"), after(&out, "events ")) {
        (Some(count), Some(events)) if count > 0 => Ok((count, events)),
        _ => Err(format!("callgrind counted nothing: {err}")),
    }
}

/// Runs the comparison.
///
/// # Errors
/// Valgrind is missing or counts nothing.
pub fn run(rounds: usize, count: bool) -> Result<bool, String> {
    let mut bars = Bars::default();
    for kind in [MarketKind::Calm, MarketKind::Edge] {
        println!("{} market, the same traffic per symbol:", kind.name());
        // So many seconds that both have enough events; per-second work is inside.
        if count {
            let (few, many) = (instructions(FEW, kind, 20)?, instructions(MANY, kind, 1)?);
            let each = |(count, events): (u64, u64)| count as f64 / events as f64;
            for (n, counted) in [(FEW, few), (MANY, many)] {
                println!(
                    "  N = {n:>5}: {:8.0} instructions per event over {} events",
                    each(counted),
                    counted.1
                );
            }
            bars.hold("instructions per event, 1 000 against 10", each(many) / each(few), 1.05, false);
        }
        let (small, large) = (log(FEW, kind, 120), log(MANY, kind, 3));
        let mut times = [Side::new("few"), Side::new("many")];
        for _ in 0..rounds {
            for (side, (log, warm)) in times.iter_mut().zip([&small, &large]) {
                let (mut core, mut out) = warmed(log, *warm);
                let (seconds, ()) = timed(|| play(&mut core, &mut out, &log[*warm..]));
                side.rounds.push(seconds / (log.len() - warm) as f64 * 1e9);
            }
        }
        for (n, side) in [FEW, MANY].into_iter().zip(&times) {
            println!("  N = {n:>5}: {:8.0} ns per event (spread {:.0} %)", side.median(), side.spread_pct());
        }
        bars.hold("time per event, 1 000 against 10", times[1].median() / times[0].median(), 2.0, false);
    }
    Ok(bars.all_met())
}
