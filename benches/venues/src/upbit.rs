//! Upbit's frames, bytes to applied book: ours, and serde_json into `f64` with a sorted book.

use crate::feed::{Random, read};
use crate::rounds::{Bars, Side as Timed, timed};
use market::{Book, Side};
use serde::Deserialize;
use std::collections::BTreeMap;
use venues::LevelBuffer;
use venues::upbit::sequencer::{Outcome, Sequencer};
use venues::upbit::wire::{self, Message};

/// How a feed spells its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Default,
    Simple,
}

#[derive(Deserialize)]
struct LongUnit {
    ask_price: f64,
    bid_price: f64,
    ask_size: f64,
    bid_size: f64,
}

#[derive(Deserialize)]
struct Long<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    code: &'a str,
    timestamp: u64,
    orderbook_units: Vec<LongUnit>,
}

#[derive(Deserialize)]
struct ShortUnit {
    ap: f64,
    bp: f64,
    #[serde(rename = "as")]
    az: f64,
    bs: f64,
}

#[derive(Deserialize)]
struct Short<'a> {
    ty: &'a str,
    cd: &'a str,
    tms: u64,
    obu: Vec<ShortUnit>,
}

#[derive(Default)]
struct PlainBook {
    newest: u64,
    bids: Vec<(f64, f64)>,
    asks: Vec<(f64, f64)>,
}

impl PlainBook {
    fn replace(&mut self, time: u64, units: impl Iterator<Item = [f64; 4]>) {
        if time < self.newest {
            return;
        }
        self.newest = time;
        self.bids.clear();
        self.asks.clear();
        for [ap, bp, az, bz] in units {
            if ap > 0.0 && az > 0.0 {
                self.asks.push((ap, az));
            }
            if bp > 0.0 && bz > 0.0 {
                self.bids.push((bp, bz));
            }
        }
        self.bids.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        self.asks.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    }
}

/// The sum of the touches, in units of the quote.
fn plain(frames: &[Vec<u8>], format: Format) -> f64 {
    let mut books: BTreeMap<String, PlainBook> = BTreeMap::new();
    let mut seen = 0.0;
    for frame in frames {
        let book = match format {
            Format::Default => {
                let Ok(frame) = serde_json::from_slice::<Long<'_>>(frame) else { continue };
                std::hint::black_box(frame.kind);
                let book = entry(&mut books, frame.code);
                let unit = |u: &LongUnit| [u.ask_price, u.bid_price, u.ask_size, u.bid_size];
                book.replace(frame.timestamp, frame.orderbook_units.iter().map(unit));
                book
            }
            Format::Simple => {
                let Ok(frame) = serde_json::from_slice::<Short<'_>>(frame) else { continue };
                std::hint::black_box(frame.ty);
                let book = entry(&mut books, frame.cd);
                book.replace(frame.tms, frame.obu.iter().map(|u| [u.ap, u.bp, u.az, u.bs]));
                book
            }
        };
        seen += book.bids.last().map_or(0.0, |l| l.0) + book.asks.last().map_or(0.0, |l| l.0);
    }
    seen
}

fn entry<'a, T: Default>(books: &'a mut BTreeMap<String, T>, code: &str) -> &'a mut T {
    if !books.contains_key(code) {
        books.insert(code.to_owned(), T::default());
    }
    books.entry(code.to_owned()).or_default()
}

fn ours(frames: &[Vec<u8>]) -> f64 {
    let mut books: BTreeMap<String, (Sequencer, Book)> = BTreeMap::new();
    let mut levels = LevelBuffer::new();
    let mut seen = 0.0;
    for frame in frames {
        let Ok(Message::Orderbook(frame)) = wire::parse(frame, &mut levels) else { continue };
        let (sequencer, book) = entry(&mut books, frame.code);
        if sequencer.on_frame(frame.at, &levels, book) != Outcome::Ignored {
            let best = |side| book.best(side).map_or(0.0, |level| level.price.to_f64());
            seen += best(Side::Bid) + best(Side::Ask);
        }
    }
    seen
}

/// The orderbook frames of the real capture, byte for byte.
fn capture() -> Result<Vec<Vec<u8>>, String> {
    let text =
        String::from_utf8(read("upbit/upbit_ws_SIMPLE_20210417_part1.jsonl")?).map_err(|e| e.to_string())?;
    let raw = |line: &str| -> Option<Vec<u8>> {
        let (_, raw) = line.split_once("\"raw\":")?;
        Some(raw.strip_suffix('}')?.as_bytes().to_vec())
    };
    let orderbook = |frame: &Vec<u8>| frame.starts_with(b"{\"ty\":\"orderbook\"");
    Ok(text.lines().filter_map(raw).filter(orderbook).collect())
}

/// Frames of 30 units in the spelling of the golden frames: DEFAULT writes prices from 1e7 on and sizes below 1e-3 with an
/// exponent (Java's `Double.toString`), SIMPLE the sizes only.
fn thirty(format: Format) -> Vec<Vec<u8>> {
    let mut random = Random::new(11);
    let mut frames = Vec::new();
    for n in 0..400u64 {
        let mid = 116_538 + random.below(20);
        let mut units = Vec::new();
        for step in 0..30 {
            let price = |thousands: u64| match format {
                Format::Default => {
                    let digits = thousands.to_string();
                    format!("{}.{}E8", &digits[..1], digits[1..].trim_end_matches('0'))
                }
                Format::Simple => format!("{thousands}000"),
            };
            let size = |random: &mut Random| {
                let most = if random.below(6) == 0 { 99_999 } else { 300_000_000 };
                let units = 1 + random.below(most);
                if units >= 100_000 {
                    return format!("{}.{:08}", units / 100_000_000, units % 100_000_000);
                }
                let digits = units.to_string();
                let exponent = 9 - digits.len();
                let rest = digits[1..].trim_end_matches('0');
                format!("{}.{}E-{exponent}", &digits[..1], if rest.is_empty() { "0" } else { rest })
            };
            let (ap, bp) = (price(mid + 1 + step), price(mid - step));
            let (az, bz) = (size(&mut random), size(&mut random));
            units.push(match format {
                Format::Default => {
                    format!("{{\"ask_price\":{ap},\"bid_price\":{bp},\"ask_size\":{az},\"bid_size\":{bz}}}")
                }
                Format::Simple => format!("{{\"ap\":{ap},\"bp\":{bp},\"as\":{az},\"bs\":{bz}}}"),
            });
        }
        let (time, units) = (1_790_134_742_106 + n, units.join(","));
        frames.push(match format {
            Format::Default => format!(
                "{{\"type\":\"orderbook\",\"code\":\"KRW-BTC\",\"timestamp\":{time},\"total_ask_size\":2.51469375,\
                 \"total_bid_size\":1.63815297,\"orderbook_units\":[{units}],\"stream_type\":\"REALTIME\",\"level\":0}}"
            ),
            Format::Simple => format!(
                "{{\"ty\":\"orderbook\",\"cd\":\"KRW-BTC\",\"tms\":{time},\"tas\":0.48514983,\"tbs\":2.2403413,\
                 \"obu\":[{units}],\"st\":\"REALTIME\",\"lv\":0}}"
            ),
        });
    }
    frames.into_iter().map(String::into_bytes).collect()
}

/// Measures all feeds.
///
/// # Errors
/// The capture cannot be read, or the two sides see different touches.
pub fn run(rounds: usize, bars: &mut Bars) -> Result<(), String> {
    for (name, format, frames) in [
        ("upbit capture, SIMPLE, 15 units", Format::Simple, capture()?),
        ("upbit, DEFAULT, 30 units", Format::Default, thirty(Format::Default)),
        ("upbit, SIMPLE, 30 units", Format::Simple, thirty(Format::Simple)),
    ] {
        let (mut mine, mut theirs) = (Timed::new("ours"), Timed::new("serde_json into f64, sorted book"));
        let repeats = 20_000 / frames.len().max(1);
        let count = (frames.len() * repeats) as f64;
        for _ in 0..rounds {
            let (took, ours) = timed(|| (0..repeats).map(|_| ours(&frames)).sum::<f64>());
            mine.rounds.push(took / count);
            let (took, plain) = timed(|| (0..repeats).map(|_| plain(&frames, format)).sum::<f64>());
            theirs.rounds.push(took / count);
            if (ours - plain).abs() > 1e-9 * plain {
                return Err(format!("{name}: the touches differ: {ours} and {plain}"));
            }
        }
        let bytes = frames.iter().map(Vec::len).sum::<usize>() / frames.len().max(1);
        println!("{name}: {} frames of {bytes} bytes", frames.len());
        for side in [&mine, &theirs] {
            println!(
                "  {:<44} {:8.0} ns a frame, ours {:5.2} times as fast",
                side.name,
                side.median(),
                mine.gain_over(side)
            );
        }
        bars.at_least("ours over the plain path", mine.gain_over(&theirs), 3.0);
    }
    Ok(())
}
