//! Real captures through wire, sequencer and book: the oracle.

use super::data::{lines, read};
use market::{Book, Level, Price, Quantity, Side};
use serde_json::Value;
use std::collections::BTreeMap;
use venues::LevelBuffer;
use venues::binance::sequencer::{Kind, Outcome, Sequencer, Why};
use venues::binance::wire::{self, Message};

#[derive(Clone)]
struct Quote {
    id: u64,
    bid: Level,
    ask: Level,
}

/// What a replay counted.
#[derive(Default)]
struct Replay {
    applied: u64,
    gaps: u64,
    checks: u64,
    mismatches: u64,
    first_applied: Option<(u64, u64)>,
    snapshot_id: u64,
    book: Book,
    last_id: u64,
}

/// Replays a capture of one symbol. After every applied diff the touch must equal the newest best quote with an id up
/// to the diff's; quotes and diffs are ordered by id, not by arrival, because the two streams overtake each other.
fn replay(bytes: &[u8], kind: Kind) -> Replay {
    let mut levels = LevelBuffer::new();
    let frames: Vec<&[u8]> = lines(bytes).map(|line| line.split_once(' ').unwrap().1.as_bytes()).collect();
    let mut quotes = Vec::new();
    for frame in &frames {
        if let Message::BookTicker(t) = wire::parse(frame, &mut levels).unwrap() {
            quotes.push(Quote { id: t.update_id, bid: t.bid, ask: t.ask });
        }
    }
    let mut result = Replay::default();
    let mut sequencer = Sequencer::new(kind);
    let mut book = Book::new();
    let mut waiting: Vec<(u64, u64)> = Vec::new();
    for frame in frames {
        match wire::parse(frame, &mut levels).unwrap() {
            Message::Depth(diff) => match sequencer.on_diff(&diff, &levels, &mut book) {
                Outcome::Applied => {
                    result.applied += 1;
                    check(&mut result, &quotes, &book, diff.last_id);
                }
                Outcome::NeedSnapshot(Why::Start) | Outcome::Buffered => {
                    waiting.push((diff.first_id, diff.last_id));
                }
                Outcome::NeedSnapshot(_) => result.gaps += 1,
                Outcome::Ignored | Outcome::Synced => panic!("a diff was {diff:?}"),
            },
            Message::PartialDepth(_) => {
                let snapshot = wire::parse_snapshot(frame, &mut levels).unwrap();
                result.snapshot_id = snapshot.last_update_id;
                assert_eq!(sequencer.on_snapshot(snapshot, &levels, &mut book), Outcome::Synced);
                let kept = |last: u64| match kind {
                    Kind::Spot => last > snapshot.last_update_id,
                    Kind::UsdM => last >= snapshot.last_update_id,
                };
                waiting.retain(|(_, last)| kept(*last));
                result.applied += waiting.len() as u64;
                result.first_applied = waiting.first().copied();
                check(&mut result, &quotes, &book, sequencer.last_id().unwrap());
            }
            _ => {}
        }
    }
    result.last_id = sequencer.last_id().unwrap();
    result.book = book;
    result
}

fn check(result: &mut Replay, quotes: &[Quote], book: &Book, id: u64) {
    let at = quotes.partition_point(|quote| quote.id <= id);
    let quote = &quotes[at - 1];
    result.checks += 1;
    if book.best(Side::Bid) != Some(quote.bid) || book.best(Side::Ask) != Some(quote.ask) {
        result.mismatches += 1;
    }
}

fn level_of(value: &Value) -> Level {
    Level {
        price: Price::parse(value[0].as_str().unwrap()).unwrap(),
        quantity: Quantity::parse(value[1].as_str().unwrap()).unwrap(),
    }
}

fn oracle(name: &str, kind: Kind, buffered: u64) {
    let (Some(bytes), Some(expected)) =
        (read(&format!("binance/hftbacktest/{name}.gz")), read("binance/hftbacktest/EXPECTED.json"))
    else {
        return;
    };
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let expected = &expected[name];
    let number = |key: &str| expected[key].as_u64().unwrap();
    let got = replay(&bytes, kind);
    assert_eq!(got.snapshot_id, number("snapshot_lastUpdateId"));
    assert_eq!(got.first_applied, Some((number("first_applied_U"), number("first_applied_u"))));
    assert_eq!(got.applied, number("depth_events_applied"));
    assert_eq!(got.gaps, number("sequence_breaks"));
    assert_eq!(got.last_id, number("last_u"));
    assert_eq!(got.book.best(Side::Bid), Some(level_of(&expected["final_best_bid"])));
    assert_eq!(got.book.best(Side::Ask), Some(level_of(&expected["final_best_ask"])));
    assert_eq!(got.book.depth(Side::Bid) as u64, number("levels_bid"));
    assert_eq!(got.book.depth(Side::Ask) as u64, number("levels_ask"));
    // Checked after the snapshot with what was buffered, and after every diff since. The oracle left out the first three
    // applied diffs of either capture; we check those as well.
    assert_eq!(got.checks, got.applied - buffered + 1);
    assert_eq!(got.applied - 3, number("book_vs_bookTicker_checks"));
    assert!(got.checks >= number("book_vs_bookTicker_checks"));
    assert_eq!(got.mismatches, number("mismatches"));
}

#[test]
fn spot_capture_gives_the_expected_book() {
    oracle("spot_btcusdt_20240808", Kind::Spot, 1);
}

#[test]
fn usdm_capture_gives_the_expected_book() {
    oracle("usdm_btcusdt_20240808", Kind::UsdM, 2);
}

#[derive(Default)]
struct Symbol {
    sequencer: Option<Sequencer>,
    book: Book,
    synced: bool,
    applied: u64,
    gaps: u64,
}

/// Four symbols at once: diffs and snapshots merged by arrival.
fn four_symbols(prefix: &str, kind: Kind) {
    let (Some(stream), Some(rest)) = (
        read(&format!("binance/cryptofeed/{prefix}_ws.txt")),
        read(&format!("binance/cryptofeed/{prefix}_depth_snapshots_rest.txt")),
    ) else {
        return;
    };
    let mut events: Vec<(f64, Option<String>, String)> = Vec::new();
    for line in lines(&stream).skip(1) {
        let (at, frame) = line.split_once(": ").unwrap();
        events.push((at.parse().unwrap(), None, frame.to_owned()));
    }
    for line in lines(&rest) {
        let Some((request, answer)) = line.split_once(" -> ") else { continue };
        let symbol = request.split("symbol=").nth(1).unwrap().split('&').next().unwrap();
        let (at, body) = answer.split_once(": ").unwrap();
        events.push((at.parse().unwrap(), Some(symbol.to_owned()), body.to_owned()));
    }
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut symbols: BTreeMap<String, Symbol> = BTreeMap::new();
    let mut levels = LevelBuffer::new();
    for (_, snapshot_of, body) in &events {
        if let Some(name) = snapshot_of {
            let snapshot = wire::parse_snapshot(body.as_bytes(), &mut levels).unwrap();
            let s = symbols.entry(name.clone()).or_default();
            let sequencer = s.sequencer.get_or_insert_with(|| Sequencer::new(kind));
            let outcome = sequencer.on_snapshot(snapshot, &levels, &mut s.book);
            assert_eq!(outcome, Outcome::Synced, "{name}");
            s.synced = true;
        } else if let Message::Depth(diff) = wire::parse(body.as_bytes(), &mut levels).unwrap() {
            let s = symbols.entry(diff.symbol.to_owned()).or_default();
            let sequencer = s.sequencer.get_or_insert_with(|| Sequencer::new(kind));
            match sequencer.on_diff(&diff, &levels, &mut s.book) {
                Outcome::Applied => s.applied += 1,
                Outcome::NeedSnapshot(Why::Start) | Outcome::Buffered | Outcome::Ignored => {}
                other => {
                    eprintln!("{} {other:?}", diff.symbol);
                    s.gaps += 1;
                }
            }
        }
    }
    assert_eq!(symbols.len(), 4);
    for (name, s) in &symbols {
        assert!(s.synced && s.sequencer.as_ref().unwrap().is_live(), "{name}");
        assert_eq!(s.gaps, 0, "{name}");
        assert!(s.applied > 0 && !s.book.is_crossed() && s.book.depth(Side::Bid) > 0, "{name}");
    }
}

#[test]
fn four_spot_symbols_sync_without_gaps() {
    four_symbols("spot_20211012", Kind::Spot);
}

#[test]
fn four_usdm_symbols_sync_without_gaps() {
    four_symbols("usdm_20210722", Kind::UsdM);
}

/// The exact bytes of `"raw":{..}`: going through a value would change how numbers are spelled.
fn raw_of(line: &str) -> &str {
    let at = line.find("\"raw\":").unwrap() + 6;
    line[at..].strip_suffix('}').unwrap()
}

#[test]
fn every_frame_of_the_upbit_capture_parses() {
    use venues::upbit::sequencer::{Outcome, Sequencer};
    use venues::upbit::wire::{Message, base_of, parse};
    let Some(bytes) = read("upbit/upbit_ws_SIMPLE_20210417_part1.jsonl") else { return };
    let mut levels = LevelBuffer::new();
    let mut books: BTreeMap<String, (Sequencer, Book)> = BTreeMap::new();
    let (mut frames, mut orderbooks) = (0, 0);
    for line in lines(&bytes) {
        frames += 1;
        match parse(raw_of(line).as_bytes(), &mut levels).unwrap() {
            Message::Orderbook(frame) => {
                orderbooks += 1;
                assert!(base_of(frame.code).is_some());
                assert!(levels.bids.len() <= 15 && !levels.asks.is_empty());
                let (sequencer, book) = books.entry(frame.code.to_owned()).or_default();
                assert_eq!(sequencer.on_frame(frame.at, &levels, book), Outcome::Applied);
                assert_eq!(book.best(Side::Bid), levels.bids.first().copied());
                assert_eq!(book.best(Side::Ask), levels.asks.first().copied());
            }
            Message::Other => assert!(levels.bids.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(frames, 225);
    assert!(orderbooks > 50, "{orderbooks}");
}

#[test]
fn golden_upbit_frames_parse_exactly() {
    use venues::upbit::wire::{Message, parse};
    let Some(bytes) = read("upbit/golden_frames.jsonl") else { return };
    let mut levels = LevelBuffer::new();
    let mut kinds = Vec::new();
    for line in lines(&bytes) {
        let frame = raw_of(line);
        let kind = match parse(frame.as_bytes(), &mut levels).unwrap() {
            Message::Orderbook(book) => {
                assert_eq!(book.code, "KRW-BTC");
                assert!(book.snapshot);
                format!("{} {} {}", levels.bids.len(), levels.bids[0].price, levels.bids[0].quantity)
            }
            Message::Status => "status".to_owned(),
            Message::Error { name, message } => {
                assert!(message.starts_with("티켓이"));
                name.into_owned()
            }
            Message::Other => "other".to_owned(),
        };
        kinds.push(kind);
    }
    assert_eq!(
        kinds,
        [
            "15 49090000 0.00059027",
            "other",
            "other",
            "2 116538000 0.08120946",
            "2 116534000 0.00079276",
            "status",
            "NO_TICKET"
        ]
    );
}
