//! The book alone, from parsed levels: `market::Book` beside hftbacktest's structures.

use crate::feed::Feed;
use crate::rounds::{Bars, Side as Timed, timed};
use hftbacktest::depth::{BTreeMarketDepth, HashMapMarketDepth, L2MarketDepth, ROIVectorMarketDepth};
use market::{Book, Level, Side};
use venues::LevelBuffer;
use venues::binance::wire;

type Row = (bool, f64, f64);

/// What is applied, in the form of each side.
struct Rows {
    frames: Vec<LevelBuffer>,
    theirs: Vec<Row>,
}

fn rows(feed: &Feed) -> Rows {
    let mut rows = Rows { frames: Vec::new(), theirs: Vec::new() };
    let mut levels = LevelBuffer::new();
    for frame in &feed.frames {
        if wire::parse(frame, &mut levels).is_ok() {
            rows.theirs.extend(theirs(&levels));
            rows.frames.push(levels.clone());
        }
    }
    rows
}

fn theirs(levels: &LevelBuffer) -> impl Iterator<Item = Row> + '_ {
    let row = |bid: bool| move |l: &Level| (bid, l.price.to_f64(), l.quantity.to_f64());
    levels.bids.iter().map(row(true)).chain(levels.asks.iter().map(row(false)))
}

fn ours(feed: &Feed, rows: &Rows) -> f64 {
    let mut book = Book::new();
    for start in &feed.starts {
        book.replace(start.levels.bids.iter().copied(), start.levels.asks.iter().copied());
    }
    let (took, ()) = timed(|| {
        for frame in &rows.frames {
            for level in &frame.bids {
                book.set(Side::Bid, level.price, level.quantity);
            }
            for level in &frame.asks {
                book.set(Side::Ask, level.price, level.quantity);
            }
        }
    });
    std::hint::black_box(book.mid());
    took
}

fn peer(mut depth: impl L2MarketDepth, feed: &Feed, rows: &Rows) -> f64 {
    for start in &feed.starts {
        theirs(&start.levels).for_each(|row| put(&mut depth, row));
    }
    let (took, ()) = timed(|| {
        for row in &rows.theirs {
            put(&mut depth, *row);
        }
    });
    took
}

#[inline(always)]
fn put(depth: &mut impl L2MarketDepth, (bid, price, quantity): Row) {
    if bid {
        std::hint::black_box(depth.update_bid_depth(price, quantity, 0).2);
    } else {
        std::hint::black_box(depth.update_ask_depth(price, quantity, 0).2);
    }
}

/// Measures one symbol's book, nanoseconds per level.
pub fn run(feed: &Feed, rounds: usize, bars: &mut Bars) {
    let rows = rows(feed);
    let count = rows.theirs.len() as f64;
    // The band that hftbacktest's vector is given: all that the snapshot and the diffs touch within 20 % of the middle.
    let prices = || theirs(&feed.starts[0].levels).map(|row| row.1);
    let bid = theirs(&feed.starts[0].levels).filter(|row| row.0).map(|row| row.1).fold(f64::MIN, f64::max);
    let (low, high) = (0.8 * bid, 1.2 * bid);
    let inside = prices().filter(|p| (low..=high).contains(p)).count() as f64 / prices().count() as f64;
    let mut mine = Timed::new("market::Book");
    let mut vector = Timed::new("hftbacktest, vector of a fixed band");
    let mut hash = Timed::new("hftbacktest, hash map");
    let mut tree = Timed::new("hftbacktest, B-tree");
    let tick = feed.tick;
    for _ in 0..rounds {
        mine.rounds.push(ours(feed, &rows) / count);
        let roi = ROIVectorMarketDepth::new(tick, 0.00001, low, high);
        vector.rounds.push(peer(roi, feed, &rows) / count);
        hash.rounds.push(peer(HashMapMarketDepth::new(tick, 0.00001), feed, &rows) / count);
        tree.rounds.push(peer(BTreeMarketDepth::new(tick, 0.00001), feed, &rows) / count);
    }
    println!(
        "{}, the book alone: {count} levels, {:.0} % of the snapshot in the band",
        feed.name,
        inside * 100.0
    );
    for side in [&mine, &vector, &hash, &tree] {
        println!(
            "  {:<44} {:8.1} ns a level, ours {:5.2} times as fast",
            side.name,
            side.median(),
            mine.gain_over(side)
        );
    }
    bars.at_most("ours over the fixed band's vector, per level", 1.0 / mine.gain_over(&vector), 1.3);
}
