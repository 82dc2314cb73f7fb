//! Upbit's encodings: WebSocket frames and REST bodies, as text in the venue's own spelling of numbers.

use crate::model::Symbol;
use crate::model::history::Candle;
use crate::model::ladder::Rung;
use crate::model::listing::Kind;
use crate::spelling::{java_double, plain};
use std::fmt::Write as _;
use std::io::Write as _;

/// The spelling of a WebSocket frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Long field names.
    Default,
    /// Short field names.
    Simple,
    /// Long names, in a list.
    JsonList,
    /// Short names, in a list.
    SimpleList,
}

impl Format {
    fn is_short(self) -> bool {
        matches!(self, Self::Simple | Self::SimpleList)
    }

    fn is_list(self) -> bool {
        matches!(self, Self::JsonList | Self::SimpleList)
    }
}

/// Writes a number at 1e-8.
type Spell = fn(&mut Vec<u8>, i64);

fn total(side: &[Rung]) -> i64 {
    side.iter().map(|r| r.size).sum()
}

/// An order book frame of `depth` units. A side that is shorter is padded with price 0 and size 0, as the venue does.
/// `stream` is `SNAPSHOT` or `REALTIME`; `timestamp_ms` since 1970.
pub fn orderbook_frame(
    format: Format,
    code: &str,
    timestamp_ms: i64,
    bids: &[Rung],
    asks: &[Rung],
    depth: usize,
    stream: &str,
) -> Vec<u8> {
    let short = format.is_short();
    let mut out = Vec::with_capacity(200 + depth * 100);
    let name = |long: &'static str, brief: &'static str| if short { brief } else { long };
    if format.is_list() {
        out.push(b'[');
    }
    let _ = write!(
        out,
        r#"{{"{}":"orderbook","{}":"{code}","{}":{timestamp_ms},"{}":"#,
        name("type", "ty"),
        name("code", "cd"),
        name("timestamp", "tms"),
        name("total_ask_size", "tas"),
    );
    plain(&mut out, total(asks));
    let _ = write!(out, r#","{}":"#, name("total_bid_size", "tbs"));
    plain(&mut out, total(bids));
    let _ = write!(out, r#","{}":["#, name("orderbook_units", "obu"));
    let keys = if short {
        [r#"{"ap":"#, r#","bp":"#, r#","as":"#, r#","bs":"#]
    } else {
        [r#"{"ask_price":"#, r#","bid_price":"#, r#","ask_size":"#, r#","bid_size":"#]
    };
    let (price, size): (Spell, Spell) = if short { (plain, java_double) } else { (java_double, plain) };
    units(&mut out, bids, asks, depth, keys, price, size);
    let _ = write!(out, r#"],"{}":"{stream}","{}":0}}"#, name("stream_type", "st"), name("level", "lv"));
    if format.is_list() {
        out.push(b']');
    }
    out
}

fn units(
    out: &mut Vec<u8>,
    bids: &[Rung],
    asks: &[Rung],
    depth: usize,
    keys: [&str; 4],
    price: Spell,
    size: Spell,
) {
    const NONE: Rung = Rung { price: 0, size: 0 };
    for index in 0..depth.min(bids.len().max(asks.len())) {
        let (bid, ask) = (bids.get(index).unwrap_or(&NONE), asks.get(index).unwrap_or(&NONE));
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(keys[0].as_bytes());
        price(out, ask.price);
        out.extend_from_slice(keys[1].as_bytes());
        price(out, bid.price);
        out.extend_from_slice(keys[2].as_bytes());
        size(out, ask.size);
        out.extend_from_slice(keys[3].as_bytes());
        size(out, bid.size);
        out.push(b'}');
    }
}

/// One element of `/v1/orderbook`.
pub fn orderbook_rest(code: &str, timestamp_ms: i64, bids: &[Rung], asks: &[Rung], depth: usize) -> String {
    let mut out = Vec::with_capacity(4_000);
    let _ = write!(out, r#"{{"market":"{code}","timestamp":{timestamp_ms},"total_ask_size":"#);
    plain(&mut out, total(asks));
    out.extend_from_slice(br#","total_bid_size":"#);
    plain(&mut out, total(bids));
    out.extend_from_slice(br#","orderbook_units":["#);
    let keys = [r#"{"ask_price":"#, r#","bid_price":"#, r#","ask_size":"#, r#","bid_size":"#];
    units(&mut out, bids, asks, depth, keys, plain, plain);
    out.extend_from_slice(br#"],"level":0}"#);
    text(out)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

fn number(value: i64) -> String {
    let mut out = Vec::new();
    plain(&mut out, value);
    text(out)
}

/// `2026-10-01T10:16:00` of a time in ms since 1970.
fn date_time(ms: i64, pattern: &str) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|t| t.strftime(pattern).to_string()).unwrap_or_default()
}

const KST_MS: i64 = 9 * 3_600_000;

/// One element of `/v1/market/all?is_details=true`.
pub fn market(symbol: &Symbol, code: &str, details: bool) -> String {
    let name = symbol.listing.asset;
    let mut out = format!(r#"{{"market":"{code}","korean_name":"{name}","english_name":"{name}""#);
    if details {
        let warned = symbol.listing.kind == Kind::Warned;
        let _ = write!(
            out,
            r#","market_event":{{"warning":{warned},"caution":{{"PRICE_FLUCTUATIONS":false,"TRADING_VOLUME_SOARING":false,"DEPOSIT_AMOUNT_SOARING":false,"GLOBAL_PRICE_DIFFERENCES":false,"CONCENTRATION_OF_SMALL_ACCOUNTS":false}}}}"#
        );
    }
    out.push('}');
    out
}

/// One element of `/v1/orderbook/instruments`.
pub fn instrument(symbol: &Symbol, code: &str) -> String {
    let tick = symbol.upbit[0].rungs().first().map_or(0, |r| symbol.upbit_tick(r.price as f64 / 1e8));
    instrument_of(code, tick)
}

/// The same, of a tick at 1e-8.
pub fn instrument_of(code: &str, tick: i64) -> String {
    format!(
        r#"{{"market":"{code}","quote_currency":"KRW","tick_size":"{}","supported_levels":["0"]}}"#,
        number(tick)
    )
}

/// One element of `/v1/ticker`. `fx` is KRW per USDT.
pub fn ticker(symbol: &Symbol, code: &str, now_ms: i64, fx: f64, day: &[Candle]) -> String {
    let bid = symbol.upbit[0].rungs().first().map_or(0, |r| r.price);
    let last = day.first().map_or(bid, |c| c.close);
    let open = day.last().map_or(last, |c| c.open);
    let high = day.iter().map(|c| c.high).max().unwrap_or(last);
    let low = day.iter().map(|c| c.low).min().unwrap_or(last);
    let change = last - open;
    let word = match change.signum() {
        1 => "RISE",
        -1 => "FALL",
        _ => "EVEN",
    };
    let value = symbol.listing.turnover * 0.7 * fx;
    let volume = value / (last as f64 / 1e8);
    let rate = change as f64 / open.max(1) as f64;
    let mut out = format!(
        r#"{{"market":"{code}","trade_date":"{}","trade_time":"{}","trade_date_kst":"{}","trade_time_kst":"{}","trade_timestamp":{now_ms},"#,
        date_time(now_ms, "%Y%m%d"),
        date_time(now_ms, "%H%M%S"),
        date_time(now_ms + KST_MS, "%Y%m%d"),
        date_time(now_ms + KST_MS, "%H%M%S"),
    );
    let _ = write!(
        out,
        r#""opening_price":{},"high_price":{},"low_price":{},"trade_price":{},"prev_closing_price":{},"change":"{word}","change_price":{},"change_rate":{:.10},"signed_change_price":{},"signed_change_rate":{rate:.10},"#,
        number(open),
        number(high),
        number(low),
        number(last),
        number(open),
        number(change.abs()),
        rate.abs(),
        number(change),
    );
    let _ = write!(
        out,
        r#""trade_volume":0.01,"acc_trade_price":{:.4},"acc_trade_price_24h":{value:.4},"acc_trade_volume":{:.8},"acc_trade_volume_24h":{volume:.8},"timestamp":{now_ms}}}"#,
        value * 0.5,
        volume * 0.5,
    );
    out
}

/// One element of `/v1/candles/minutes/1`.
pub fn candle(symbol: &Symbol, code: &str, candle: &Candle, fx: f64) -> String {
    let ms = candle.minute * 60_000;
    let value = symbol.listing.turnover * 0.7 * fx / 1_440.0;
    format!(
        r#"{{"market":"{code}","candle_date_time_utc":"{}","candle_date_time_kst":"{}","opening_price":{},"high_price":{},"low_price":{},"trade_price":{},"timestamp":{},"candle_acc_trade_price":{value:.4},"candle_acc_trade_volume":{:.8},"unit":1}}"#,
        date_time(ms, "%Y-%m-%dT%H:%M:%S"),
        date_time(ms + KST_MS, "%Y-%m-%dT%H:%M:%S"),
        number(candle.open),
        number(candle.high),
        number(candle.low),
        number(candle.close),
        ms + 59_900,
        value / (candle.close.max(1) as f64 / 1e8),
    )
}
