//! `memory`: the core at Top 100 over seven hours of virtual time, the first of which fills its windows: slope of the
//! resident memory over the other six, and the greatest proportional share (PSS).
//!
//! It is this process that is measured: the core, the synthetic market that feeds it, and the frames in between. What the runner
//! has around the core (sockets, writer, recorder, alert store) is not in it; the journal's records are dropped as they come. Best quotes
//! come beside the diffs, as a runner subscribes to them, so that the cross-check of every book is at work. The market keeps no more
//! of its own candles than the first hour brings: what grows after that is the product's.

use crate::feed::{Live, Options, Watch};
use crate::rounds::Bars;
use exchange::MarketKind;

const SYMBOLS: usize = 100;
/// Seconds of market between readings.
const EVERY: u32 = 300;
/// The market's own candles per symbol and venue: full within the first hour, which is not measured.
const CANDLES_KEPT: usize = 50;

struct Drop;

impl Watch for Drop {}

/// PSS and RSS of this process in KiB.
fn memory() -> Result<(u64, u64), String> {
    let path = "/proc/self/smaps_rollup";
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    field("Pss:").zip(field("Rss:")).ok_or_else(|| format!("{path} has no Pss"))
}

/// MiB per hour by least squares, of readings that lie [`EVERY`] seconds apart.
fn slope(readings: &[f64]) -> f64 {
    let n = readings.len() as f64;
    let (mx, my) = ((n - 1.0) / 2.0, readings.iter().sum::<f64>() / n);
    let (mut above, mut below) = (0.0, 0.0);
    for (i, y) in readings.iter().enumerate() {
        let dx = i as f64 - mx;
        above += dx * (y - my);
        below += dx * dx;
    }
    above / below * 3_600.0 / f64::from(EVERY)
}

/// Runs it.
///
/// # Errors
/// `/proc` cannot be read.
pub fn run(hours: u32) -> Result<bool, String> {
    let options =
        Options { kind: MarketKind::Edge, symbols: SYMBOLS, copies: 0, seed: 8, candles: 200, quotes: true };
    let mut live = Live::start(&options, &mut Drop);
    live.keep_candles(CANDLES_KEPT);
    let (mut rss, mut pss_max) = (Vec::new(), 0u64);
    for reading in 1..=(1 + hours) * 3_600 / EVERY {
        live.run(EVERY, &mut Drop);
        let (pss, resident) = memory()?;
        pss_max = pss_max.max(pss);
        let warm = reading * EVERY >= 3_600;
        if warm {
            rss.push(resident as f64 / 1024.0);
        }
        if (reading * EVERY).is_multiple_of(3_600) {
            println!(
                "  hour {}: RSS {:.1} MiB, PSS {:.1} MiB, {} inputs ({} best quotes), books Live {:?}, {} round trips",
                reading * EVERY / 3_600,
                resident as f64 / 1024.0,
                pss as f64 / 1024.0,
                live.inputs,
                live.quotes_fed,
                live.core().view().venues.each_ref().map(|venue| venue.books[1]),
                live.core().view().round_trips
            );
        }
    }
    let mut bars = Bars::default();
    let trades = live.core().view().round_trips as f64 / f64::from(1 + hours);
    bars.hold("round trips per hour: a session that stands still proves little", trades, 1_000.0, true);
    let quotes = live.quotes_fed as f64 / f64::from(1 + hours);
    bars.hold("best quotes per hour: the cross-check is at work", quotes, 100_000.0, true);
    let books = live.core().view().venues.iter().map(|venue| venue.books[1]).sum::<u32>();
    bars.hold("books Live at the end", f64::from(books), 2.0 * SYMBOLS as f64, true);
    bars.hold("mismatches with the best quotes", live.core().view().venues[1].mismatches as f64, 0.0, false);
    bars.hold("slope of RSS after the first hour, MiB/h", slope(&rss), 1.0, false);
    bars.hold("greatest PSS, MB", pss_max as f64 * 1024.0 / 1e6, 80.0, false);
    Ok(bars.all_met())
}
