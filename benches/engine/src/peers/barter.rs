//! barter-data: its L2 book and its sequencer of Binance's spot, from parsed updates, and its own parser from the frame's text.

use crate::capture::Capture;
use barter_data::books::{Level, OrderBook};
use barter_data::exchange::binance::book::BinanceLevel;
use barter_data::exchange::binance::spot::l2::BinanceSpotOrderBookL2Update;
use barter_data::subscription::book::OrderBookEvent;
use rust_decimal::Decimal;

fn decimal(value: i128) -> Decimal {
    Decimal::from_i128_with_scale(value, 8)
}

fn levels(levels: &[market::Level]) -> Vec<Level> {
    levels.iter().map(|l| Level::new(decimal(l.price.0.into()), decimal(l.quantity.0))).collect()
}

/// The capture as its events.
pub fn events(capture: &Capture) -> Vec<OrderBookEvent> {
    let book = |id, l: &venues::LevelBuffer| OrderBook::new(id, None, levels(&l.bids), levels(&l.asks));
    let snapshot = OrderBookEvent::Snapshot(book(capture.snapshot_id, &capture.snapshot));
    let diffs = capture.diffs.iter().map(|d| OrderBookEvent::Update(book(d.ids.1, &d.levels)));
    std::iter::once(snapshot).chain(diffs).collect()
}

/// Its book over the capture.
pub fn book(_capture: &Capture, events: &[OrderBookEvent]) -> Option<Decimal> {
    let mut book = OrderBook::default();
    let mut mid = None;
    for event in events {
        book.update(event);
        mid = std::hint::black_box(book.mid_price());
    }
    mid
}

/// A spot diff from its text (no envelope) into the book, as its transformer does it.
pub fn frame(text: &str, book: &mut OrderBook) -> bool {
    let Ok(update) = serde_json::from_str::<BinanceSpotOrderBookL2Update>(text) else { return false };
    let map = |levels: Vec<BinanceLevel>| levels.into_iter().map(Level::from).collect::<Vec<_>>();
    let event = OrderBookEvent::Update(OrderBook::new(
        update.last_update_id,
        None,
        map(update.bids),
        map(update.asks),
    ));
    book.update(&event);
    std::hint::black_box(book.mid_price()).is_some()
}
