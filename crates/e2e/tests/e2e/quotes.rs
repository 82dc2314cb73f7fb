//! The comparison of books with the venue's own best quotes on real captures: it never doubts a book that is right, and finds one
//! that a lost change has made wrong.

use engine::market_state::SymbolBook;
use engine::{Config, Models};
use flate2::read::MultiGzDecoder;
use market::{Timestamp, Venue};
use std::io::Read;
use std::path::PathBuf;
use venues::LevelBuffer;
use venues::binance::wire::{self, Message};

const LIMIT_NS: i64 = 3_000_000_000;

/// A spot capture: the local time and the frame, snapshot inside.
fn capture() -> Option<Vec<(Timestamp, String)>> {
    let root = match std::env::var_os("ASSAY_TEST_DATA") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let path = root.join("binance/hftbacktest/spot_btcusdt_20240808.gz");
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("SKIPPED: no test data at {} (set ASSAY_TEST_DATA)", path.display());
        return None;
    };
    let mut text = String::new();
    MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    let frames = text.lines().filter_map(|line| line.split_once(' '));
    Some(frames.map(|(at, frame)| (Timestamp(at.parse().unwrap()), frame.to_owned())).collect())
}

/// Plays it; from the diff with this number among those that reach the touch on, changes at the best bid's price of then are
/// lost, so that it stays where it was. Gives the instants at which the book was doubted, or found crossed, and that of the loss.
fn play(frames: &[(Timestamp, String)], lose: Option<usize>) -> (Vec<Timestamp>, Option<Timestamp>, usize) {
    let mut stuck = None;
    let mut book = SymbolBook::new(Venue::Binance, Models::of(&Config::default()).liquidity.fresh());
    let mut levels = LevelBuffer::new();
    let (mut doubted, mut lost, mut at_touch, mut quotes) = (Vec::new(), None, 0, 0);
    for (now, frame) in frames {
        match wire::parse(frame.as_bytes(), &mut levels).unwrap() {
            Message::Depth(diff) => {
                let best = book.book.best(market::Side::Bid).map(|level| level.price);
                let touches = levels.bids.iter().any(|level| Some(level.price) == best);
                at_touch += usize::from(touches && book.is_live());
                if touches && book.is_live() && Some(at_touch) == lose {
                    (stuck, lost) = (best, Some(*now));
                }
                levels.bids.retain(|level| Some(level.price) != stuck);
                if book.on_diff(&diff, &levels).resync {
                    doubted.push(*now);
                    break;
                }
                book.compare_quotes(*now);
            }
            Message::BookTicker(quote) => {
                quotes += 1;
                book.on_quote(&quote, *now);
            }
            Message::PartialDepth(_) => {
                let snapshot = wire::parse_snapshot(frame.as_bytes(), &mut levels).unwrap();
                book.on_snapshot(snapshot, &levels);
            }
            _ => {}
        }
        if book.disagrees(*now, LIMIT_NS).is_some() {
            doubted.push(*now);
        }
    }
    (doubted, lost, quotes)
}

#[test]
fn the_quotes_of_a_real_capture_never_doubt_a_book_that_is_right() {
    let Some(frames) = capture() else { return };
    let (doubted, _, quotes) = play(&frames, None);
    assert!(quotes > 1_000, "{quotes}");
    assert!(doubted.is_empty(), "{} times", doubted.len());
}

#[test]
fn the_quotes_of_a_real_capture_find_a_lost_change() {
    let Some(frames) = capture() else { return };
    let mut found = 0;
    for lose in [5, 50, 150, 300, 500, 700] {
        let (doubted, lost, _) = play(&frames, Some(lose));
        let lost = lost.unwrap_or_else(|| panic!("there is no diff {lose} that reaches the touch"));
        // While the market trades above the price, nothing of it shows.
        if let Some(first) = doubted.first() {
            println!("changes lost from the {lose}th on: doubted after {:.1} s", first.secs_since(lost));
            found += 1;
        }
    }
    assert!(found >= 3, "{found} of 6");
}
