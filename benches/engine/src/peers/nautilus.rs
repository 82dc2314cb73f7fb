//! NautilusTrader's backtest engine with an actor that reads the managed book at every frame.

use crate::capture::Capture;
use crate::rounds::timed;
use nautilus_backtest::config::{BacktestEngineConfig, SimulatedVenueConfig};
use nautilus_backtest::engine::BacktestEngine;
use nautilus_common::actor::{DataActor, DataActorConfig, DataActorCore};
use nautilus_common::logging::logger::LoggerConfig;
use nautilus_common::nautilus_actor;
use nautilus_core::UnixNanos;
use nautilus_model::data::{BookOrder, Data, OrderBookDelta, OrderBookDeltas, OrderBookDeltas_API};
use nautilus_model::enums::{AccountType, BookAction, BookType, OmsType, OrderSide, RecordFlag};
use nautilus_model::identifiers::{ActorId, InstrumentId, Symbol, Venue};
use nautilus_model::instruments::{CurrencyPair, InstrumentAny};
use nautilus_model::types::{Currency, Money, Price, Quantity};
use std::sync::atomic::{AtomicU64, Ordering};

const PRICE_DIGITS: u8 = 2;
const SIZE_DIGITS: u8 = 5;

#[derive(Debug)]
struct Reader {
    core: DataActorCore,
    instrument: InstrumentId,
}

/// Frames at which the actor found a book with two sides.
static SEEN: AtomicU64 = AtomicU64::new(0);

nautilus_actor!(Reader);

impl DataActor for Reader {
    fn on_start(&mut self) -> anyhow::Result<()> {
        let instrument = self.instrument;
        self.subscribe_book_deltas(instrument, BookType::L2_MBP, None, None, true, None);
        Ok(())
    }

    fn on_book_deltas(&mut self, deltas: &OrderBookDeltas) -> anyhow::Result<()> {
        let cache = self.core.cache();
        if let Some(book) = cache.order_book(&deltas.instrument_id) {
            if let (Some(_), Some(_)) = std::hint::black_box((book.best_bid_price(), book.best_ask_price())) {
                SEEN.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

fn instrument() -> CurrencyPair {
    let increment = Price::from("0.01");
    let lot = Quantity::from("0.00001");
    let time = UnixNanos::default();
    CurrencyPair::new(
        InstrumentId::from("BTCUSDT.BINANCE"),
        Symbol::from("BTCUSDT"),
        Currency::from("BTC"),
        Currency::from("USDT"),
        PRICE_DIGITS,
        SIZE_DIGITS,
        increment,
        lot,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        time,
        time,
    )
}

/// The capture as its frames.
pub fn data(capture: &Capture) -> Vec<OrderBookDeltas> {
    let id = InstrumentId::from("BTCUSDT.BINANCE");
    let frame = |levels: &venues::LevelBuffer, at: i64, sequence: u64| {
        let sides = levels.bids.iter().map(|l| (OrderSide::Buy, l));
        let sides: Vec<_> = sides.chain(levels.asks.iter().map(|l| (OrderSide::Sell, l))).collect();
        let time = UnixNanos::from(u64::try_from(at).unwrap_or(0));
        let deltas: Vec<OrderBookDelta> = sides
            .iter()
            .enumerate()
            .map(|(i, (side, level))| {
                let action = if level.quantity.0 > 0 { BookAction::Update } else { BookAction::Delete };
                let order = BookOrder::new(
                    *side,
                    Price::new(level.price.to_f64(), PRICE_DIGITS),
                    Quantity::new(level.quantity.to_f64(), SIZE_DIGITS),
                    0,
                );
                let last = if i + 1 == sides.len() { RecordFlag::F_LAST as u8 } else { 0 };
                OrderBookDelta::new(id, action, order, last | RecordFlag::F_MBP as u8, sequence, time, time)
            })
            .collect();
        (!deltas.is_empty()).then(|| OrderBookDeltas::new(id, deltas))
    };
    let first = capture.diffs.first().map_or(0, |diff| diff.at.0 - 1);
    let snapshot = frame(&capture.snapshot, first, capture.snapshot_id);
    let diffs = capture.diffs.iter().map(|d| frame(&d.levels, d.at.0, d.ids.1));
    std::iter::once(snapshot).chain(diffs).flatten().collect()
}

/// Seconds of `BacktestEngine::run` alone, and the level updates in it.
///
/// # Panics
/// When the library refuses its own configuration: a bench cannot go on then.
pub fn backtest(_capture: &Capture, frames: &[OrderBookDeltas]) -> (f64, u64) {
    let updates = frames.iter().map(|f| f.deltas.len() as u64).sum();
    let config = BacktestEngineConfig::builder()
        .logging(LoggerConfig::from_spec("stdout=Off;bypass_logging").unwrap_or_default())
        .bypass_logging(true)
        .run_analysis(false)
        .build();
    let mut engine = BacktestEngine::new(config).unwrap_or_else(|e| panic!("nautilus: {e}"));
    let venue = SimulatedVenueConfig::builder()
        .venue(Venue::from("BINANCE"))
        .oms_type(OmsType::Netting)
        .account_type(AccountType::Cash)
        .book_type(BookType::L2_MBP)
        .starting_balances(vec![Money::from("1_000_000 USDT")])
        .build();
    engine.add_venue(venue).unwrap_or_else(|e| panic!("nautilus: {e}"));
    let pair = InstrumentAny::CurrencyPair(instrument());
    engine.add_instrument(&pair).unwrap_or_else(|e| panic!("nautilus: {e}"));
    let config = DataActorConfig { actor_id: Some(ActorId::from("READER-001")), ..Default::default() };
    let reader =
        Reader { core: DataActorCore::new(config), instrument: InstrumentId::from("BTCUSDT.BINANCE") };
    engine.add_actor(reader).unwrap_or_else(|e| panic!("nautilus: {e}"));
    let data = frames.iter().map(|f| Data::Deltas(OrderBookDeltas_API::new(f.clone()))).collect();
    engine.add_data(data, None, false, true).unwrap_or_else(|e| panic!("nautilus: {e}"));
    SEEN.store(0, Ordering::Relaxed);
    let (seconds, result) = timed(|| engine.run(None, None, None, false));
    result.unwrap_or_else(|e| panic!("nautilus: {e}"));
    // At the first frame the actor may be called before the book exists.
    let seen = SEEN.load(Ordering::Relaxed) as usize;
    assert!(seen + 1 >= frames.len(), "the actor found the book at {seen} of {} frames", frames.len());
    engine.dispose();
    (seconds, updates)
}
