//! hftbacktest: its hash-map depth alone, and its replay (`Backtest`), in which local and exchange side each keep a depth.

use crate::capture::Capture;
use hftbacktest::backtest::assettype::LinearAsset;
use hftbacktest::backtest::data::{Data, DataSource};
use hftbacktest::backtest::models::{
    CommonFees, ConstantLatency, PowerProbQueueFunc3, ProbQueueModel, TradingValueFeeModel,
};
use hftbacktest::backtest::{Backtest, ExchangeKind, L2AssetBuilder};
use hftbacktest::depth::{HashMapMarketDepth, L2MarketDepth, MarketDepth};
use hftbacktest::types::{
    BUY_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, EXCH_EVENT, Event, LOCAL_EVENT, SELL_EVENT,
};

/// One row per level, as its converters write them.
pub fn rows(capture: &Capture) -> Vec<Event> {
    let row = |ev: u64, at: i64, level: &market::Level| Event {
        ev: ev | EXCH_EVENT | LOCAL_EVENT,
        exch_ts: at,
        local_ts: at + 1_000_000,
        px: level.price.to_f64(),
        qty: level.quantity.to_f64(),
        order_id: 0,
        ival: 0,
        fval: 0.0,
    };
    let mut rows = Vec::new();
    let first = capture.diffs.first().map_or(0, |diff| diff.at.0 - 1);
    let mut push = |ev: u64, at: i64, levels: &venues::LevelBuffer| {
        rows.extend(levels.bids.iter().map(|level| row(ev | BUY_EVENT, at, level)));
        rows.extend(levels.asks.iter().map(|level| row(ev | SELL_EVENT, at, level)));
    };
    push(DEPTH_SNAPSHOT_EVENT, first, &capture.snapshot);
    for diff in &capture.diffs {
        push(DEPTH_EVENT, diff.at.0, &diff.levels);
    }
    rows
}

/// The depth alone; the final touch.
pub fn depth(capture: &Capture, rows: &[Event]) -> [f64; 2] {
    let mut depth = HashMapMarketDepth::new(capture.tick, capture.lot);
    for row in rows {
        if row.ev & BUY_EVENT == BUY_EVENT {
            depth.update_bid_depth(row.px, row.qty, row.local_ts);
        } else {
            depth.update_ask_depth(row.px, row.qty, row.local_ts);
        }
    }
    [depth.best_bid(), depth.best_ask()]
}

/// A replay that is ready to run.
///
/// # Panics
/// When the library refuses its own builder.
pub fn replay(capture: &Capture, rows: &[Event]) -> Backtest<HashMapMarketDepth> {
    let (tick, lot) = (capture.tick, capture.lot);
    let asset = L2AssetBuilder::new()
        .data(vec![DataSource::Data(Data::from_data(rows))])
        .latency_model(ConstantLatency::new(50_000_000, 50_000_000))
        .asset_type(LinearAsset::new(1.0))
        .fee_model(TradingValueFeeModel::new(CommonFees::new(0.001, 0.001)))
        .exchange(ExchangeKind::NoPartialFillExchange)
        .queue_model(ProbQueueModel::new(PowerProbQueueFunc3::new(3.0)))
        .depth(move || HashMapMarketDepth::new(tick, lot))
        .build();
    let asset = asset.unwrap_or_else(|e| panic!("hftbacktest: {e:?}"));
    Backtest::builder().add_asset(asset).build().unwrap_or_else(|e| panic!("hftbacktest: {e:?}"))
}

/// To the end of the data.
pub fn run(backtest: &mut Backtest<HashMapMarketDepth>) {
    let _ = std::hint::black_box(backtest.goto_end());
}
