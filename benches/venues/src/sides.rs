//! Bytes to applied book, three ways: ours, the plain path, barter-data. Each reads the touch after every frame.

use crate::feed::{Feed, Start};
use barter_data::books::{Level as BarterLevel, OrderBook};
use barter_data::exchange::binance::book::BinanceLevel;
use barter_data::exchange::binance::futures::l2::BinanceFuturesOrderBookL2Update;
use barter_data::exchange::binance::spot::l2::BinanceSpotOrderBookL2Update;
use barter_data::subscription::book::OrderBookEvent;
use market::{Book, Level, Side};
use rust_decimal::Decimal;
use serde::Deserialize;
use venues::LevelBuffer;
use venues::binance::sequencer::{Kind, Outcome, Sequencer};
use venues::binance::wire::{self, Message, Snapshot};

/// Ours: the product's parser, sequencer and book.
#[derive(Clone)]
pub struct Ours {
    symbols: Vec<(String, Sequencer, Book)>,
    levels: LevelBuffer,
}

impl Ours {
    /// After the snapshots.
    pub fn new(feed: &Feed) -> Self {
        let start = |start: &Start| {
            let (mut sequencer, mut book) = (Sequencer::new(feed.kind), Book::new());
            sequencer.on_snapshot(Snapshot { last_update_id: start.id }, &start.levels, &mut book);
            (start.symbol.clone(), sequencer, book)
        };
        Self { symbols: feed.starts.iter().map(start).collect(), levels: LevelBuffer::new() }
    }

    /// Every frame; the sum of all touches seen.
    pub fn run(&mut self, frames: &[Vec<u8>]) -> i64 {
        let mut seen = 0i64;
        for frame in frames {
            let Ok(Message::Depth(diff)) = wire::parse(frame, &mut self.levels) else { continue };
            let found = self.symbols.iter_mut().find(|(symbol, ..)| symbol == diff.symbol);
            let Some((_, sequencer, book)) = found else { continue };
            if sequencer.on_diff(&diff, &self.levels, book) == Outcome::Applied {
                seen = seen.wrapping_add(touch(book.best(Side::Bid), book.best(Side::Ask)));
            }
        }
        seen
    }

    /// The levels of all books, best first.
    pub fn books(&self) -> Vec<[Vec<(i64, i64)>; 2]> {
        let pair = |level: Level| (level.price.0, level.quantity.0 as i64);
        let side = |book: &Book, side| book.iter(side).map(pair).collect();
        self.symbols.iter().map(|(_, _, book)| [side(book, Side::Bid), side(book, Side::Ask)]).collect()
    }
}

fn touch(bid: Option<Level>, ask: Option<Level>) -> i64 {
    bid.map_or(0, |l| l.price.0).wrapping_add(ask.map_or(0, |l| l.price.0))
}

/// The plain path: serde_json with borrowed strings, numbers as `i64` at 1e-8, one sorted vector a side with the best last.
#[derive(Clone)]
pub struct Plain {
    kind: Kind,
    symbols: Vec<PlainSymbol>,
}

#[derive(Clone)]
struct PlainSymbol {
    name: String,
    last_id: u64,
    first: bool,
    /// Bids with their price, asks with its negative: the best is the last.
    sides: [Vec<(i64, i64)>; 2],
}

#[derive(Deserialize)]
struct Combined<'a> {
    #[serde(borrow)]
    data: Diff<'a>,
}

#[derive(Deserialize)]
struct Diff<'a> {
    #[serde(rename = "E")]
    time: u64,
    #[serde(rename = "s")]
    symbol: &'a str,
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    #[serde(rename = "pu")]
    previous: Option<u64>,
    #[serde(borrow, rename = "b")]
    bids: Vec<(&'a str, &'a str)>,
    #[serde(borrow, rename = "a")]
    asks: Vec<(&'a str, &'a str)>,
}

/// A decimal at 1e-8, digit by digit.
fn scaled(text: &str) -> Option<i64> {
    let (mut value, mut places, mut point) = (0i64, 0, false);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
                places += i32::from(point);
            }
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    let shift = u32::try_from(8 - places).ok()?;
    value.checked_mul(10i64.pow(shift))
}

fn set(side: &mut Vec<(i64, i64)>, key: i64, quantity: i64) {
    match (side.binary_search_by_key(&key, |level| level.0), quantity) {
        (Ok(at), 0) => drop(side.remove(at)),
        (Ok(at), _) => side[at].1 = quantity,
        (Err(_), 0) => {}
        (Err(at), _) => side.insert(at, (key, quantity)),
    }
}

impl Plain {
    /// After the snapshots.
    pub fn new(feed: &Feed) -> Self {
        let start = |start: &Start| {
            let side = |levels: &[Level], sign: i64| {
                let mut side: Vec<_> =
                    levels.iter().map(|l| (sign * l.price.0, l.quantity.0 as i64)).collect();
                side.sort_unstable();
                side
            };
            let sides = [side(&start.levels.bids, 1), side(&start.levels.asks, -1)];
            PlainSymbol { name: start.symbol.clone(), last_id: start.id, first: true, sides }
        };
        Self { kind: feed.kind, symbols: feed.starts.iter().map(start).collect() }
    }

    /// Every frame; the sum of all touches seen.
    pub fn run(&mut self, frames: &[Vec<u8>]) -> i64 {
        let mut seen = 0i64;
        for frame in frames {
            let Ok(Combined { data: diff }) = serde_json::from_slice::<Combined<'_>>(frame) else { continue };
            std::hint::black_box(diff.time);
            let Some(symbol) = self.symbols.iter_mut().find(|s| s.name == diff.symbol) else { continue };
            let follows = match (self.kind, symbol.first) {
                (Kind::Spot, _) => diff.first <= symbol.last_id + 1 && diff.last > symbol.last_id,
                (Kind::UsdM, true) => diff.first <= symbol.last_id && diff.last >= symbol.last_id,
                (Kind::UsdM, false) => diff.previous == Some(symbol.last_id),
            };
            if !follows {
                continue;
            }
            (symbol.last_id, symbol.first) = (diff.last, false);
            for (sign, levels, side) in [(1, &diff.bids, 0), (-1, &diff.asks, 1)] {
                for (price, quantity) in levels {
                    let (Some(price), Some(quantity)) = (scaled(price), scaled(quantity)) else { continue };
                    set(&mut symbol.sides[side], sign * price, quantity);
                }
            }
            let best = |side: usize| symbol.sides[side].last().map_or(0, |level| level.0.abs());
            seen = seen.wrapping_add(best(0).wrapping_add(best(1)));
        }
        seen
    }

    /// The levels of all books, best first.
    pub fn books(&self) -> Vec<[Vec<(i64, i64)>; 2]> {
        let side = |side: &Vec<(i64, i64)>| side.iter().rev().map(|(key, q)| (key.abs(), *q)).collect();
        self.symbols.iter().map(|s| [side(&s.sides[0]), side(&s.sides[1])]).collect()
    }
}

/// barter-data: its parser (which knows no envelope: the event alone is handed to it), and its book.
#[derive(Clone)]
pub struct Barter {
    kind: Kind,
    books: Vec<OrderBook>,
}

impl Barter {
    /// After the snapshots.
    pub fn new(feed: &Feed) -> Self {
        let side = |levels: &[Level]| -> Vec<BarterLevel> {
            let decimal = |value: i128| Decimal::from_i128_with_scale(value, 8);
            levels
                .iter()
                .map(|l| BarterLevel::new(decimal(l.price.0.into()), decimal(l.quantity.0)))
                .collect()
        };
        let start = |s: &Start| OrderBook::new(s.id, None, side(&s.levels.bids), side(&s.levels.asks));
        Self { kind: feed.kind, books: feed.starts.iter().map(start).collect() }
    }

    /// Events without their envelope, each with the number of its symbol, which is not part of what is timed.
    pub fn events(feed: &Feed) -> Vec<(usize, Vec<u8>)> {
        let mut levels = LevelBuffer::new();
        let event = |frame: &Vec<u8>| {
            let Ok(Message::Depth(diff)) = wire::parse(frame, &mut levels) else { return None };
            let symbol = feed.starts.iter().position(|s| s.symbol == diff.symbol)?;
            let at = frame.windows(8).position(|w| w == b"\"data\":{")? + 7;
            Some((symbol, frame.get(at..frame.len() - 1)?.to_vec()))
        };
        feed.frames.iter().filter_map(event).collect()
    }

    /// Every event; how many its parser accepted.
    pub fn run(&mut self, events: &[(usize, Vec<u8>)]) -> usize {
        let map = |levels: Vec<BinanceLevel>| levels.into_iter().map(BarterLevel::from).collect::<Vec<_>>();
        let mut accepted = 0;
        for (symbol, event) in events {
            let update = match self.kind {
                Kind::Spot => serde_json::from_slice::<BinanceSpotOrderBookL2Update>(event)
                    .map(|u| OrderBook::new(u.last_update_id, None, map(u.bids), map(u.asks))),
                Kind::UsdM => serde_json::from_slice::<BinanceFuturesOrderBookL2Update>(event)
                    .map(|u| OrderBook::new(u.last_update_id, None, map(u.bids), map(u.asks))),
            };
            let (Ok(update), Some(book)) = (update, self.books.get_mut(*symbol)) else { continue };
            accepted += 1;
            book.update(&OrderBookEvent::Update(update));
            std::hint::black_box((book.bids().best(), book.asks().best()));
        }
        accepted
    }
}
