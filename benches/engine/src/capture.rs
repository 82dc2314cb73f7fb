//! `replay-capture`: the real captures of Binance as parsed events, level updates per second, ours beside the peers'.
//!
//! Ours is what the engine does with a parsed diff, without its parser: the sequencer's rules, `market::Book`, the touch after
//! each frame, and the far levels dropped once a second of venue time. It is exact (prices 64 bit, quantities 128 bit, both at
//! 1e-8); hftbacktest's book and its rows hold `f64`.

use crate::peers::{barter, hft};
use crate::rounds::{Bars, Side, timed};
use flate2::read::GzDecoder;
use market::{Book, Level, Timestamp};
use std::io::Read as _;
use std::path::PathBuf;
use venues::LevelBuffer;
use venues::binance::sequencer::{Kind, Outcome, Sequencer};
use venues::binance::wire::{self, DepthDiff, Message, Snapshot};

/// A parsed diff.
pub struct Diff {
    /// The venue's time.
    pub at: Timestamp,
    /// First, last and previous id.
    pub ids: (u64, u64, Option<u64>),
    /// The levels as sent.
    pub levels: LevelBuffer,
}

/// A capture: its snapshot and the diffs that follow it.
pub struct Capture {
    /// `spot` or `usdm`.
    pub name: &'static str,
    /// Which rules.
    pub kind: Kind,
    /// Price step, for those who need one.
    pub tick: f64,
    /// Quantity step.
    pub lot: f64,
    /// The snapshot's id.
    pub snapshot_id: u64,
    /// The snapshot's levels.
    pub snapshot: LevelBuffer,
    /// From the first one that the snapshot does not contain.
    pub diffs: Vec<Diff>,
    /// Level updates, the snapshot's included.
    pub updates: u64,
    /// The diffs' JSON without its envelope, for parsers.
    pub texts: Vec<String>,
}

/// `ASSAY_TEST_DATA`, or the folder beside the repository.
pub fn data() -> PathBuf {
    std::env::var_os("ASSAY_TEST_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    )
}

fn load(name: &'static str, kind: Kind, tick: f64, lot: f64) -> Result<Capture, String> {
    let path = data().join(format!("binance/hftbacktest/{name}_btcusdt_20240808.gz"));
    let said = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = std::fs::File::open(&path).map_err(said)?;
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).map_err(said)?;
    let mut capture = Capture {
        name,
        kind,
        tick,
        lot,
        snapshot_id: 0,
        snapshot: LevelBuffer::new(),
        diffs: Vec::new(),
        updates: 0,
        texts: Vec::new(),
    };
    let mut levels = LevelBuffer::new();
    let mut all = Vec::new();
    for line in text.lines() {
        let Some((_, json)) = line.split_once(' ') else { continue };
        if json.contains("\"lastUpdateId\"") {
            let body = match json.split_once("\"data\":") {
                Some((_, data)) => data.strip_suffix('}').unwrap_or(data),
                None => json,
            };
            let snapshot: Snapshot =
                wire::parse_snapshot(body.as_bytes(), &mut levels).map_err(|e| format!("{name}: {e}"))?;
            capture.snapshot_id = snapshot.last_update_id;
            capture.snapshot = levels.clone();
        } else if json.contains("@depth") {
            let parsed = wire::parse(json.as_bytes(), &mut levels).map_err(|e| format!("{name}: {e}"))?;
            if let Message::Depth(diff) = parsed {
                let ids = (diff.first_id, diff.last_id, diff.prev_id);
                let data = json.split_once("\"data\":").map_or(json, |(_, data)| &data[..data.len() - 1]);
                all.push((Diff { at: diff.at, ids, levels: levels.clone() }, data.to_owned()));
            }
        }
    }
    for (diff, text) in all {
        if diff.ids.1 > capture.snapshot_id {
            capture.diffs.push(diff);
            capture.texts.push(text);
        }
    }
    let size = |levels: &LevelBuffer| (levels.bids.len() + levels.asks.len()) as u64;
    capture.updates = size(&capture.snapshot) + capture.diffs.iter().map(|d| size(&d.levels)).sum::<u64>();
    Ok(capture)
}

/// Both captures.
///
/// # Errors
/// The text of what is missing.
pub fn captures() -> Result<Vec<Capture>, String> {
    Ok(vec![load("spot", Kind::Spot, 0.01, 0.00001)?, load("usdm", Kind::UsdM, 0.1, 0.001)?])
}

/// Our book over the whole capture; the final touch.
pub fn ours(capture: &Capture, keep: usize) -> [Option<Level>; 2] {
    let mut sequencer = Sequencer::new(capture.kind);
    let mut book = Book::new();
    sequencer.on_snapshot(Snapshot { last_update_id: capture.snapshot_id }, &capture.snapshot, &mut book);
    let (mut second, mut seen) = (0, 0i64);
    for diff in &capture.diffs {
        let (first_id, last_id, prev_id) = diff.ids;
        let outcome = sequencer.on_diff(
            &DepthDiff { symbol: "BTCUSDT", at: diff.at, first_id, last_id, prev_id },
            &diff.levels,
            &mut book,
        );
        assert_eq!(outcome, Outcome::Applied, "the capture has no gap");
        seen ^= book.mid().map_or(0, |mid| mid.0);
        let now = diff.at.0.div_euclid(1_000_000_000);
        if now != second {
            second = now;
            if book.depth(market::Side::Bid).max(book.depth(market::Side::Ask)) > keep * 2 {
                book.prune(keep);
            }
        }
    }
    std::hint::black_box(seen);
    [book.best(market::Side::Bid), book.best(market::Side::Ask)]
}

/// Runs the comparison; false when a bar is missed.
///
/// # Errors
/// The captures cannot be read.
pub fn run(rounds: usize, repeats: usize) -> Result<bool, String> {
    let mut bars = Bars::default();
    let keep = engine::Config::default().book_levels as usize;
    for capture in captures()? {
        let (n, frames) = (capture.updates as f64 * repeats as f64, capture.diffs.len());
        println!(
            "{}: {} level updates in {frames} frames, {repeats} times over in each of {rounds} rounds",
            capture.name, capture.updates
        );
        let hft_rows = hft::rows(&capture);
        let barter_events = barter::events(&capture);
        #[cfg(feature = "nautilus")]
        let nautilus_data = crate::peers::nautilus::data(&capture);
        let mut mine = Side::new("Assay, sequencer and book, touch per frame");
        let mut whole = Side::new("Assay, the same without dropping far levels");
        let mut depth = Side::new("hftbacktest, hash-map depth alone");
        let mut replay = Side::new("hftbacktest, replay (local and exchange side)");
        let mut barter = Side::new("barter-data, OrderBook, sequencer, mid per frame");
        #[cfg(feature = "nautilus")]
        let mut nautilus = Side::new("NautilusTrader, backtest engine, book per frame");
        for _ in 0..rounds {
            let (s, touch) = timed(|| (0..repeats).map(|_| ours(&capture, keep)).last());
            mine.rounds.push(n / s / 1e6);
            let (s, _) = timed(|| (0..repeats).map(|_| ours(&capture, usize::MAX / 4)).last());
            whole.rounds.push(n / s / 1e6);
            let (s, theirs) = timed(|| (0..repeats).map(|_| hft::depth(&capture, &hft_rows)).last());
            depth.rounds.push(n / s / 1e6);
            agree(touch, theirs)?;
            let mut seconds = 0.0;
            for _ in 0..repeats {
                let mut prepared = hft::replay(&capture, &hft_rows);
                seconds += timed(|| hft::run(&mut prepared)).0;
            }
            replay.rounds.push(n / seconds / 1e6);
            let (s, _) = timed(|| barter::book(&capture, &barter_events));
            barter.rounds.push(capture.updates as f64 / s / 1e6);
            #[cfg(feature = "nautilus")]
            {
                let (s, updates) = crate::peers::nautilus::backtest(&capture, &nautilus_data);
                nautilus.rounds.push(updates as f64 / s / 1e6);
            }
        }
        let mut sides = vec![&mine, &whole, &depth, &replay, &barter];
        #[cfg(feature = "nautilus")]
        sides.push(&nautilus);
        for side in &sides {
            println!(
                "  {:<52} {:8.2} M updates/s  (spread {:4.0} %), ours {:5.2} times",
                side.name,
                side.median(),
                side.spread_pct(),
                mine.median() / side.median()
            );
        }
        bars.hold("ours against hftbacktest's replay", mine.median() / replay.median(), 1.0, true);
        #[cfg(feature = "nautilus")]
        bars.hold("ours against NautilusTrader", mine.median() / nautilus.median(), 4.0, true);
    }
    #[cfg(not(feature = "nautilus"))]
    println!("NautilusTrader: not built; add --features nautilus");
    Ok(bars.all_met())
}

/// Both books end at the same touch.
fn agree(ours: Option<[Option<Level>; 2]>, theirs: Option<[f64; 2]>) -> Result<(), String> {
    let (Some([Some(bid), Some(ask)]), Some(theirs)) = (ours, theirs) else {
        return Err("a book is empty at the end".to_owned());
    };
    let ours = [bid.price.to_f64(), ask.price.to_f64()];
    let same = ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-6);
    if same { Ok(()) } else { Err(format!("the books end apart: {ours:?} and {theirs:?}")) }
}
