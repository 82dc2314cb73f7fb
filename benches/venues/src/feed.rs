//! What is measured on: the real captures, and a synthetic market of the size of a busy spot symbol.

use flate2::read::MultiGzDecoder;
use market::{Book, Level, Price, Quantity, Side};
use std::io::Read as _;
use std::path::PathBuf;
use venues::LevelBuffer;
use venues::binance::sequencer::{Kind, Sequencer};
use venues::binance::wire;

/// A symbol before the first measured frame: what its snapshot says.
#[derive(Debug, Clone)]
pub struct Start {
    /// Upper case.
    pub symbol: String,
    /// Id of the snapshot.
    pub id: u64,
    /// Its levels.
    pub levels: LevelBuffer,
}

/// Depth diffs as they came, after the snapshots.
#[derive(Debug)]
pub struct Feed {
    /// What is printed.
    pub name: &'static str,
    /// Which rules hold.
    pub kind: Kind,
    /// Price step: hftbacktest's structures need one.
    pub tick: f64,
    /// The symbols with their snapshots.
    pub starts: Vec<Start>,
    /// Frames of depth diffs, in the combined envelope, from the first that is applied on.
    pub frames: Vec<Vec<u8>>,
    /// Levels in all frames.
    pub levels: usize,
}

/// A file of the test data: `ASSAY_TEST_DATA`, or the folder beside the repository.
pub fn read(relative: &str) -> Result<Vec<u8>, String> {
    let root = std::env::var_os("ASSAY_TEST_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let path = root.join(relative);
    let said = |e: std::io::Error| format!("{}: {e}; set ASSAY_TEST_DATA", path.display());
    let bytes = std::fs::read(&path).map_err(said)?;
    if !relative.ends_with(".gz") {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).map_err(said)?;
    Ok(plain)
}

/// Keeps the frames that a sequencer applies after the snapshots, so that every side does the same work.
fn feed(
    name: &'static str,
    kind: Kind,
    tick: f64,
    starts: Vec<Start>,
    all: Vec<Vec<u8>>,
) -> Result<Feed, String> {
    let mut states: Vec<(Sequencer, Book)> = Vec::new();
    for start in &starts {
        let (mut sequencer, mut book) = (Sequencer::new(kind), Book::new());
        let snapshot = wire::Snapshot { last_update_id: start.id };
        sequencer.on_snapshot(snapshot, &start.levels, &mut book);
        states.push((sequencer, book));
    }
    let mut result = Feed { name, kind, tick, starts, frames: Vec::new(), levels: 0 };
    let mut levels = LevelBuffer::new();
    for frame in all {
        let message = wire::parse(&frame, &mut levels).map_err(|e| format!("{name}: {e}"))?;
        let wire::Message::Depth(diff) = message else { continue };
        let at = result.starts.iter().position(|start| start.symbol == diff.symbol);
        let Some((sequencer, book)) = at.and_then(|at| states.get_mut(at)) else { continue };
        if sequencer.on_diff(&diff, &levels, book) == venues::binance::sequencer::Outcome::Applied {
            result.levels += levels.bids.len() + levels.asks.len();
            result.frames.push(frame);
        }
    }
    Ok(result)
}

/// One symbol, `<recv_ns> <json>` a line, the snapshot among them.
fn hftbacktest(file: &str, name: &'static str, kind: Kind, tick: f64) -> Result<Feed, String> {
    let text = String::from_utf8(read(file)?).map_err(|e| e.to_string())?;
    let (mut starts, mut frames, mut levels) = (Vec::new(), Vec::new(), LevelBuffer::new());
    for (_, json) in text.lines().filter_map(|line| line.split_once(' ')) {
        if json.starts_with("{\"lastUpdateId\"") {
            let snapshot =
                wire::parse_snapshot(json.as_bytes(), &mut levels).map_err(|e| format!("{name}: {e}"))?;
            let id = snapshot.last_update_id;
            starts.push(Start { symbol: "BTCUSDT".to_owned(), id, levels: levels.clone() });
        } else if json.contains("\"depthUpdate\"") {
            frames.push(json.as_bytes().to_vec());
        }
    }
    feed(name, kind, tick, starts, frames)
}

/// Four symbols, `<recv>: <json>` a line, the snapshots in a file of their own.
fn cryptofeed(prefix: &str, name: &'static str, kind: Kind) -> Result<Feed, String> {
    let file = |end: &str| -> Result<String, String> {
        String::from_utf8(read(&format!("binance/cryptofeed/{prefix}_{end}"))?).map_err(|e| e.to_string())
    };
    let mut levels = LevelBuffer::new();
    let mut starts = Vec::new();
    for line in file("depth_snapshots_rest.txt")?.lines() {
        let Some((request, answer)) = line.split_once(" -> ") else { continue };
        let symbol = request.split("symbol=").nth(1).and_then(|rest| rest.split('&').next());
        let (Some(symbol), Some((_, body))) = (symbol, answer.split_once(": ")) else { continue };
        let snapshot =
            wire::parse_snapshot(body.as_bytes(), &mut levels).map_err(|e| format!("{name}: {e}"))?;
        let id = snapshot.last_update_id;
        starts.push(Start { symbol: symbol.to_owned(), id, levels: levels.clone() });
    }
    let stream = file("ws.txt")?;
    let frames = stream
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(_, json)| json.contains("\"depthUpdate\""))
        .map(|(_, json)| json.as_bytes().to_vec());
    feed(name, kind, 0.0001, starts, frames.collect())
}

/// The real captures.
///
/// # Errors
/// What cannot be read.
pub fn captures() -> Result<Vec<Feed>, String> {
    let hft = |name: &str| format!("binance/hftbacktest/{name}_btcusdt_20240808.gz");
    Ok(vec![
        hftbacktest(&hft("spot"), "spot_btcusdt", Kind::Spot, 0.01)?,
        hftbacktest(&hft("usdm"), "usdm_btcusdt", Kind::UsdM, 0.1)?,
        cryptofeed("spot_20211012", "spot_4_symbols", Kind::Spot)?,
        cryptofeed("usdm_20210722", "usdm_4_symbols", Kind::UsdM)?,
    ])
}

/// A generator of pseudo-random numbers (xorshift64*, Vigna 2016): the same figures in every run.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed that is not zero.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `n`.
    pub const fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// Diffs of 40 levels (1.4 KB) near the touch of a book of 1 000 levels a side: half of them change a level, a quarter remove
/// one, a quarter add one.
///
/// # Errors
/// Never in practice: what is built here is read back by our own parser.
pub fn synthetic() -> Result<Feed, String> {
    const CENT: i64 = 1_000_000;
    let mut random = Random::new(7);
    let mid = 6_173_700i64;
    let place = |side: Side, step: i64| match side {
        Side::Bid => mid - 1 - step,
        Side::Ask => mid + 1 + step,
    };
    let mut levels = LevelBuffer::new();
    for step in 0..1_000 {
        let level =
            |side| Level { price: Price(place(side, 2 * step) * CENT), quantity: Quantity(150_000_000) };
        levels.bids.push(level(Side::Bid));
        levels.asks.push(level(Side::Ask));
    }
    let start = Start { symbol: "BTCUSDT".to_owned(), id: 50_093_239_218, levels };
    let mut id = start.id;
    let mut frames = Vec::new();
    for n in 0..2_000 {
        let mut side_text = |side: Side| {
            let mut steps: Vec<i64> = Vec::new();
            while steps.len() < 20 {
                let step = random.below(200) as i64;
                if !steps.contains(&step) {
                    steps.push(step);
                }
            }
            steps.sort_unstable();
            let mut rows = Vec::new();
            for step in steps {
                // Even steps stand in the book at first; odd ones come and go.
                let gone = random.below(4) == 0;
                let quantity = if gone { 0 } else { 1 + random.below(400_000) };
                let price = place(side, step);
                rows.push(format!(
                    "[\"{}.{:02}000000\",\"{}.{:05}000\"]",
                    price / 100,
                    price % 100,
                    quantity / 100_000,
                    quantity % 100_000
                ));
            }
            rows.join(",")
        };
        let (bids, asks) = (side_text(Side::Bid), side_text(Side::Ask));
        let (first, last) = (id + 1, id + 16);
        id = last;
        let time = 1_723_161_255_208u64 + n * 100;
        frames.push(
            format!(
                "{{\"stream\":\"btcusdt@depth@100ms\",\"data\":{{\"e\":\"depthUpdate\",\"E\":{time},\
                 \"s\":\"BTCUSDT\",\"U\":{first},\"u\":{last},\"b\":[{bids}],\"a\":[{asks}]}}}}"
            )
            .into_bytes(),
        );
    }
    feed("synthetic_40_levels", Kind::Spot, 0.01, vec![start], frames)
}
