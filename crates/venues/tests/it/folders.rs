//! Every capture that lies in the folders of the test data, whatever it is called: found by listing, told spot from futures by
//! its frames. What each is expected to give stands beside it, or follows from the venue's own best quotes in it.

use super::data::{lines, list, read};
use market::{Book, Level, Price, Quantity, Side};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use venues::LevelBuffer;
use venues::binance::sequencer::{Kind, Outcome, Sequencer, Why};
use venues::binance::wire::{self, BookTicker, Message};

/// Something that was received.
enum Event {
    Frame(String),
    /// A REST snapshot of a symbol.
    Snapshot(String, String),
}

/// A capture, in the order of its arrival, with the local time in seconds.
type Capture = Vec<(f64, Event)>;

/// Lines of `<recv_ns> <json>`, snapshots inside.
fn one_symbol(bytes: &[u8]) -> Capture {
    let mut levels = LevelBuffer::new();
    let mut symbol = String::new();
    let split = lines(bytes).map(|line| line.split_once(' ').unwrap());
    let mut capture = Vec::new();
    for (at, frame) in split {
        let at = at.parse::<f64>().unwrap() / 1e9;
        let event = match wire::parse(frame.as_bytes(), &mut levels).unwrap() {
            Message::PartialDepth(_) => Event::Snapshot(String::new(), frame.to_owned()),
            Message::Depth(diff) => {
                symbol = diff.symbol.to_owned();
                Event::Frame(frame.to_owned())
            }
            _ => Event::Frame(frame.to_owned()),
        };
        capture.push((at, event));
    }
    for (_, event) in &mut capture {
        if let Event::Snapshot(of, _) = event {
            of.clone_from(&symbol);
        }
    }
    capture
}

/// `<seconds>: <json>` below the address, and `<address> -> <seconds>: <json>` for the snapshots.
fn several_symbols(stream: &[u8], rest: &[u8]) -> Capture {
    let frames = lines(stream).skip(1).map(|line| {
        let (at, frame) = line.split_once(": ").unwrap();
        (at.parse().unwrap(), Event::Frame(frame.to_owned()))
    });
    let snapshots = lines(rest).filter_map(|line| line.split_once(" -> ")).map(|(request, answer)| {
        let symbol = request.split("symbol=").nth(1).unwrap().split('&').next().unwrap();
        let (at, body) = answer.split_once(": ").unwrap();
        (at.parse().unwrap(), Event::Snapshot(symbol.to_owned(), body.to_owned()))
    });
    let mut capture: Capture = frames.chain(snapshots).collect();
    capture.sort_by(|a, b| a.0.total_cmp(&b.0));
    capture
}

/// USD-M diffs name the one before.
fn kind_of(capture: &Capture) -> Kind {
    let mut levels = LevelBuffer::new();
    for (_, event) in capture {
        if let Event::Frame(frame) = event
            && let Message::Depth(diff) = wire::parse(frame.as_bytes(), &mut levels).unwrap()
        {
            return if diff.prev_id.is_some() { Kind::UsdM } else { Kind::Spot };
        }
    }
    panic!("no diff in it");
}

#[derive(Clone, Copy)]
struct Quote {
    id: u64,
    touch: [Option<Level>; 2],
}

impl Quote {
    fn of(ticker: &BookTicker<'_>) -> Self {
        let side = |level: Level| (!level.quantity.is_zero()).then_some(level);
        Self { id: ticker.update_id, touch: [side(ticker.bid), side(ticker.ask)] }
    }
}

struct Symbol {
    sequencer: Sequencer,
    book: Book,
    quotes: VecDeque<Quote>,
    current: Option<Quote>,
    synced: bool,
    gaps: u64,
    checks: u64,
    mismatches: u64,
}

impl Symbol {
    fn new(kind: Kind, quotes: VecDeque<Quote>) -> Self {
        let sequencer = Sequencer::new(kind);
        let book = Book::new();
        Self { sequencer, book, quotes, current: None, synced: false, gaps: 0, checks: 0, mismatches: 0 }
    }

    /// The touch must be the newest quote with an id up to the book's.
    fn check(&mut self) {
        let Some(last) = self.sequencer.last_id() else { return };
        while let Some(quote) = self.quotes.front().filter(|quote| quote.id <= last) {
            self.current = Some(*quote);
            self.quotes.pop_front();
        }
        let Some(quote) = self.current else { return };
        self.checks += 1;
        let shown = [Side::Bid, Side::Ask].map(|side| self.book.best(side));
        self.mismatches += u64::from(shown != quote.touch);
    }
}

/// Plays a capture; every frame through both readers.
fn play(capture: &Capture) -> BTreeMap<String, Symbol> {
    let kind = kind_of(capture);
    let mut levels = LevelBuffer::new();
    let mut again = LevelBuffer::new();
    let mut quotes: BTreeMap<String, Vec<Quote>> = BTreeMap::new();
    for (_, event) in capture {
        let Event::Frame(frame) = event else { continue };
        let message = wire::parse(frame.as_bytes(), &mut levels).unwrap();
        assert_eq!(message, wire::parse_with_serde(frame.as_bytes(), &mut again).unwrap());
        assert!(levels.bids == again.bids && levels.asks == again.asks, "{frame}");
        if let Message::BookTicker(ticker) = message {
            quotes.entry(ticker.symbol.to_owned()).or_default().push(Quote::of(&ticker));
        }
    }
    let mut symbols: BTreeMap<String, Symbol> = BTreeMap::new();
    let mut of = |name: &str, symbols: &mut BTreeMap<String, Symbol>| {
        if !symbols.contains_key(name) {
            let mut quotes = quotes.remove(name).unwrap_or_default();
            quotes.sort_by_key(|quote| quote.id);
            symbols.insert(name.to_owned(), Symbol::new(kind, quotes.into()));
        }
    };
    for (_, event) in capture {
        match event {
            Event::Snapshot(name, body) => {
                let snapshot = wire::parse_snapshot(body.as_bytes(), &mut levels).unwrap();
                of(name, &mut symbols);
                let s = symbols.get_mut(name).unwrap();
                assert_eq!(
                    s.sequencer.on_snapshot(snapshot, &levels, &mut s.book),
                    Outcome::Synced,
                    "{name}"
                );
                s.synced = true;
                s.check();
            }
            Event::Frame(frame) => {
                let Message::Depth(diff) = wire::parse(frame.as_bytes(), &mut levels).unwrap() else {
                    continue;
                };
                of(diff.symbol, &mut symbols);
                let s = symbols.get_mut(diff.symbol).unwrap();
                match s.sequencer.on_diff(&diff, &levels, &mut s.book) {
                    Outcome::Applied => s.check(),
                    Outcome::NeedSnapshot(Why::Start) | Outcome::Buffered | Outcome::Ignored => {}
                    _ => s.gaps += 1,
                }
            }
        }
    }
    symbols
}

fn level_of(value: &Value) -> Option<Level> {
    let text = |i: usize| value[i].as_str().unwrap();
    Some(Level { price: Price::parse(text(0)).unwrap(), quantity: Quantity::parse(text(1)).unwrap() })
}

#[test]
fn every_capture_of_one_symbol_gives_what_is_expected_of_it() {
    let files = list("binance/hftbacktest", ".gz");
    let expected = read("binance/hftbacktest/EXPECTED.json");
    let expected: Value = expected.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    for file in &files {
        let name = file.rsplit('/').next().unwrap().trim_end_matches(".gz");
        let symbols = play(&one_symbol(&read(file).unwrap()));
        assert_eq!(symbols.len(), 1, "{file}");
        let (_, s) = symbols.into_iter().next().unwrap();
        assert!(s.synced && s.sequencer.is_live(), "{file}");
        let want = &expected[name];
        assert_eq!(s.gaps, want["sequence_breaks"].as_u64().unwrap_or(0), "{file}");
        assert_eq!(s.mismatches, want["mismatches"].as_u64().unwrap_or(0), "{file}: {} checks", s.checks);
        if !want.is_null() {
            assert!(s.checks >= want["book_vs_bookTicker_checks"].as_u64().unwrap(), "{file}");
            assert_eq!(s.sequencer.last_id(), want["last_u"].as_u64(), "{file}");
            assert_eq!(s.book.best(Side::Bid), level_of(&want["final_best_bid"]), "{file}");
            assert_eq!(s.book.best(Side::Ask), level_of(&want["final_best_ask"]), "{file}");
            assert_eq!(s.book.depth(Side::Bid) as u64, want["levels_bid"].as_u64().unwrap(), "{file}");
            assert_eq!(s.book.depth(Side::Ask) as u64, want["levels_ask"].as_u64().unwrap(), "{file}");
        }
        eprintln!("{file}: {} checks against the venue's best quotes", s.checks);
    }
}

#[test]
fn every_capture_of_several_symbols_syncs_all_of_them_without_a_gap() {
    for file in list("binance/cryptofeed", "_ws.txt") {
        let snapshots = file.replace("_ws.txt", "_depth_snapshots_rest.txt");
        let capture = several_symbols(&read(&file).unwrap(), &read(&snapshots).unwrap());
        let asked: std::collections::BTreeSet<&str> = capture
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Snapshot(of, _) => Some(of.as_str()),
                Event::Frame(_) => None,
            })
            .collect();
        let symbols = play(&capture);
        assert!(!asked.is_empty() && asked.iter().all(|name| symbols.contains_key(*name)), "{file}");
        for (name, s) in &symbols {
            assert!(s.synced && s.sequencer.is_live(), "{file}: {name}");
            assert_eq!((s.gaps, s.mismatches), (0, 0), "{file}: {name}, {} checks", s.checks);
            assert!(!s.book.is_crossed() && s.book.best(Side::Bid).is_some(), "{file}: {name}");
            eprintln!("{file}: {name}: {} checks against the venue's best quotes", s.checks);
        }
    }
}

#[test]
fn every_frame_of_upbit_parses_alone_and_in_lists() {
    use venues::upbit::wire::{Message, parse, parse_each, parse_with_serde};
    let (mut levels, mut again) = (LevelBuffer::new(), LevelBuffer::new());
    for file in list("upbit", ".jsonl") {
        let bytes = read(&file).unwrap();
        let mut books = 0;
        for line in lines(&bytes) {
            // The exact bytes: going through a value would change how numbers are spelled.
            let at = line.find("\"raw\":").unwrap() + 6;
            let raw = line[at..].strip_suffix('}').unwrap();
            let message = parse(raw.as_bytes(), &mut levels).unwrap();
            assert_eq!(message, parse_with_serde(raw.as_bytes(), &mut again).unwrap(), "{file}");
            assert!(levels.bids == again.bids && levels.asks == again.asks, "{file}: {raw}");
            books += u64::from(matches!(message, Message::Orderbook(_)));
            for n in 1..=3 {
                let text = format!("[{}]", vec![raw; n].join(","));
                let mut seen = 0;
                parse_each(text.as_bytes(), &mut again, |each, its| {
                    assert_eq!(each, message, "{file}");
                    assert!(its.bids == levels.bids && its.asks == levels.asks, "{file}: {raw}");
                    seen += 1;
                })
                .unwrap();
                assert_eq!(seen, n);
            }
        }
        assert!(books > 0, "{file}: no book in it");
    }
}
