//! From a frame's bytes to the applied book, beside the plain path, barter-data and hftbacktest; `benches/README.md` says what is
//! compared. Exit code 1 when a bar is missed, 2 when something cannot be read or the sides disagree.
//!
//! `bench-venues [--rounds N]`: interleaved rounds, the middle one counts.

mod depth;
mod feed;
mod rounds;
mod sides;
mod upbit;

use crate::feed::Feed;
use crate::rounds::{Bars, Side, timed};
use crate::sides::{Barter, Ours, Plain};
use std::process::ExitCode;

/// How much faster than the plain path ours must be.
const BAR: f64 = 3.0;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rounds = match args.as_slice() {
        [] => Ok(15),
        [flag, n] if flag == "--rounds" => n.parse().map_err(|_| format!("{n} is no number of rounds")),
        _ => Err("say nothing, or --rounds N".to_owned()),
    };
    match rounds.and_then(run) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => {
            println!("{missed} bars missed");
            ExitCode::from(1)
        }
        Err(text) => {
            eprintln!("bench-venues: {text}");
            ExitCode::from(2)
        }
    }
}

fn run(rounds: usize) -> Result<usize, String> {
    let mut bars = Bars::default();
    let mut feeds = feed::captures()?;
    feeds.push(feed::synthetic()?);
    for feed in &feeds {
        binance(feed, rounds, &mut bars)?;
    }
    upbit::run(rounds, &mut bars)?;
    for feed in feeds.iter().filter(|feed| feed.starts.len() == 1) {
        depth::run(feed, rounds, &mut bars);
    }
    Ok(bars.missed())
}

fn binance(feed: &Feed, rounds: usize, bars: &mut Bars) -> Result<(), String> {
    let frames = feed.frames.len();
    let bytes: usize = feed.frames.iter().map(Vec::len).sum();
    println!(
        "{}: {frames} diffs of {} bytes and {:.1} levels",
        feed.name,
        bytes / frames,
        feed.levels as f64 / frames as f64
    );
    let events = Barter::events(feed);
    let (ours, plain, barter) = (Ours::new(feed), Plain::new(feed), Barter::new(feed));
    let mut sides = [
        Side::new("ours: wire, sequencer, book"),
        Side::new("plain: serde_json borrowed, i64, sorted Vec"),
        Side::new("barter-data: its parser and book"),
    ];
    // Short captures several times over, each time from the snapshots.
    let repeats = (20_000 / frames).max(1);
    let count = (frames * repeats) as f64;
    let mut accepted = 0;
    for _ in 0..rounds {
        let mut took = [0.0; 3];
        for _ in 0..repeats {
            let (mut ours, mut plain, mut barter) = (ours.clone(), plain.clone(), barter.clone());
            let (ns, seen) = timed(|| ours.run(&feed.frames));
            took[0] += ns;
            let (ns, theirs) = timed(|| plain.run(&feed.frames));
            took[1] += ns;
            if seen != theirs || ours.books() != plain.books() {
                return Err(format!("{}: our books and those of the plain path differ", feed.name));
            }
            let (ns, n) = timed(|| barter.run(&events));
            took[2] += ns;
            accepted = n;
        }
        for (side, took) in sides.iter_mut().zip(took) {
            side.rounds.push(took / count);
        }
    }
    let [mine, plain, barter] = &sides;
    for side in &sides {
        println!(
            "  {:<44} {:8.0} ns a frame, ours {:5.2} times as fast",
            side.name,
            side.median(),
            mine.gain_over(side)
        );
    }
    if accepted < frames {
        println!("  ({} accepted {accepted} of {frames} frames)", barter.name);
    }
    bars.at_least("ours over the plain path", mine.gain_over(plain), BAR);
    Ok(())
}
