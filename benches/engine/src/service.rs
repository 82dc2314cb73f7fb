//! `service`: time from a frame's bytes to the decision at Top 50 in steady load, the sojourn of bursts of 50 frames, and
//! frames per second in replay through the whole engine, its journal encoded as `assay replay` does.
//!
//! Both venues' frames, as the local exchange writes them, recorded once; every round plays the same bytes into a new core.
//! barter-data takes the Binance half (from text to its book; no level, edge, guard or second venue behind it).

use crate::feed::{self, BINANCE, Options};
use crate::peers::barter;
use crate::rounds::{Bars, Side, quantile, timed};
use engine::{Core, Effect};
use exchange::MarketKind;
use recording::{Input, Record};
use std::collections::BTreeMap;
use std::time::Instant;

const SYMBOLS: usize = 50;
const BURST: usize = 50;

fn core(log: &[Record], out: &mut Vec<Effect>) -> Core {
    let first = &log[0];
    Core::start(first.seq, first.at, &first.input, out).unwrap_or_else(|e| panic!("the core: {e}"))
}

/// Nanoseconds per frame after `warm`, by connection, and of whatever fell on a second.
fn frame_times(log: &[Record], warm: usize) -> [Vec<u64>; 2] {
    let mut out = Vec::with_capacity(1_024);
    let mut core = core(log, &mut out);
    let mut times = [Vec::with_capacity(log.len()), Vec::with_capacity(log.len())];
    for (i, record) in log.iter().enumerate().skip(1) {
        out.clear();
        let begun = Instant::now();
        core.apply(record.seq, record.at, &record.input, &mut out);
        let took = begun.elapsed().as_nanos() as u64;
        if let (Input::Frame { conn, .. }, true) = (&record.input, i >= warm) {
            times[usize::from(*conn) % 2].push(took);
        }
    }
    times
}

/// Nanoseconds from the burst's arrival to each of its decisions.
fn sojourns(log: &[Record], warm: usize) -> Vec<u64> {
    let mut out = Vec::with_capacity(1_024);
    let mut core = core(log, &mut out);
    let (mut times, mut in_burst, mut begun) = (Vec::new(), 0, Instant::now());
    for (i, record) in log.iter().enumerate().skip(1) {
        out.clear();
        let frame = matches!(record.input, Input::Frame { .. }) && i >= warm;
        if frame && in_burst == 0 {
            begun = Instant::now();
        }
        core.apply(record.seq, record.at, &record.input, &mut out);
        if frame {
            times.push(begun.elapsed().as_nanos() as u64);
            in_burst = (in_burst + 1) % BURST;
        }
    }
    times
}

/// The whole log, with the journal encoded.
fn replay(log: &[Record]) -> u64 {
    let (mut bytes, mut length) = (Vec::new(), 0u64);
    let sink = |entry: journal::Entry| {
        bytes.clear();
        journal::file::encode(&entry, &mut bytes);
        length += bytes.len() as u64;
    };
    engine::replay(log.iter().cloned(), sink).unwrap_or_else(|e| panic!("the core: {e}"));
    length
}

/// barter-data on the Binance frames after `warm`.
fn barter_times(log: &[Record], warm: usize) -> Vec<u64> {
    let mut books = BTreeMap::new();
    let mut times = Vec::new();
    for record in &log[warm..] {
        let Input::Frame { conn: BINANCE, payload } = &record.input else { continue };
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let text = text.split_once("\"data\":").map_or(text, |(_, data)| &data[..data.len() - 1]);
        let symbol = text.split("\"s\":\"").nth(1).and_then(|s| s.split('"').next()).unwrap_or_default();
        let book = books.entry(symbol.to_owned()).or_default();
        let begun = Instant::now();
        barter::frame(text, book);
        times.push(begun.elapsed().as_nanos() as u64);
    }
    times
}

/// Prints the figures. There is no bar on them but the order of things: p99 below a millisecond.
///
/// # Errors
/// Never; the signature is that of the other measures.
pub fn run(rounds: usize) -> Result<bool, String> {
    let options = Options {
        kind: MarketKind::Edge,
        symbols: SYMBOLS,
        copies: 0,
        seed: 21,
        candles: 200,
        quotes: false,
    };
    let (log, warm) = feed::record(&options, 60);
    let frames = log[warm..].iter().filter(|r| matches!(r.input, Input::Frame { .. })).count();
    println!("{SYMBOLS} symbols, {frames} frames of one minute of market, {rounds} rounds");
    let clock = median_clock_ns();
    println!("  (a look at the clock costs {clock} ns; one is inside each figure per frame)");
    let names = ["Upbit", "Binance", "all"];
    let mut ours: Vec<[Side; 2]> = names.iter().map(|n| [Side::new(*n), Side::new(*n)]).collect();
    let mut theirs = [Side::new("p50"), Side::new("p99")];
    let mut burst = [Side::new("p50"), Side::new("p99"), Side::new("last of 50, p50")];
    let mut speed = Side::new("frames/s");
    for _ in 0..rounds {
        let [upbit, binance] = frame_times(&log, warm);
        let all = [&upbit[..], &binance[..]].concat();
        for (sides, times) in ours.iter_mut().zip([upbit, binance, all]) {
            push(sides, times);
        }
        push(&mut theirs, barter_times(&log, warm));
        let sojourns = sojourns(&log, warm);
        let mut last: Vec<u64> = sojourns.iter().skip(BURST - 1).step_by(BURST).copied().collect();
        last.sort_unstable();
        burst[2].rounds.push(quantile(&last, 0.5) as f64 / 1e3);
        push(&mut burst[..2], sojourns);
        let (seconds, _) = timed(|| replay(&log));
        let total = log.iter().filter(|r| matches!(r.input, Input::Frame { .. })).count();
        speed.rounds.push(total as f64 / seconds);
    }
    for [p50, p99] in &ours {
        println!(
            "  service time, {:<8} p50 {:7.2} us (spread {:3.0} %), p99 {:7.2} us (spread {:3.0} %)",
            p50.name,
            p50.median(),
            p50.spread_pct(),
            p99.median(),
            p99.spread_pct()
        );
    }
    println!(
        "  barter-data, Binance to its book   p50 {:7.2} us (spread {:3.0} %), p99 {:7.2} us; ours to the decision {:.2} and {:.2} times as long",
        theirs[0].median(),
        theirs[0].spread_pct(),
        theirs[1].median(),
        ours[1][0].median() / theirs[0].median(),
        ours[1][1].median() / theirs[1].median()
    );
    println!(
        "  burst of {BURST} frames: sojourn p50 {:.1} us, p99 {:.1} us, the last one {:.1} us",
        burst[0].median(),
        burst[1].median(),
        burst[2].median()
    );
    println!(
        "  replay through the whole engine: {:.0} frames/s (spread {:.0} %)",
        speed.median(),
        speed.spread_pct()
    );
    let mut bars = Bars::default();
    bars.hold("service time p99, us", ours[2][1].median(), 1_000.0, false);
    Ok(bars.all_met())
}

/// Adds p50 and p99 in microseconds.
fn push(sides: &mut [Side], mut times: Vec<u64>) {
    times.sort_unstable();
    for (side, q) in sides.iter_mut().zip([0.5, 0.99]) {
        side.rounds.push(quantile(&times, q) as f64 / 1e3);
    }
}

fn median_clock_ns() -> u64 {
    let mut gaps: Vec<u64> = (0..10_001).map(|_| Instant::now().elapsed().as_nanos() as u64).collect();
    gaps.sort_unstable();
    gaps[gaps.len() / 2]
}
