//! Upbit's frames, DEFAULT and SIMPLE, and its candles. Lists of markets stand in [`super::tables`].
//!
//! Two readers give the same result: a scanner that knows the schema of an orderbook frame and gives up on anything
//! else, and serde_json, which takes over whenever the scanner gives up.

use crate::error::{FieldError, Problem, at};
use crate::levels::level;
use crate::scan::Scanner;
use crate::text::{asset, iso_utc, millis, scalar, string};
use crate::{Candle, LevelBuffer, WireError};
use market::{Asset, Price, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An orderbook message without its levels, which are in the [`LevelBuffer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderbookFrame<'a> {
    /// The market, as the venue spells it: `KRW-BTC`.
    pub code: &'a str,
    /// The venue's time, in milliseconds.
    pub at: Timestamp,
    /// True for the first message after a subscription, false for those that follow.
    pub snapshot: bool,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A complete book.
    Orderbook(OrderbookFrame<'a>),
    /// `{"status":"UP"}`, the answer to `PING`.
    Status,
    /// The venue refused a subscription.
    Error {
        /// `WRONG_FORMAT`, `NO_TICKET`, `NO_TYPE`, `NO_CODES`, `INVALID_PARAM`, or others to come.
        name: Cow<'a, str>,
        /// The venue's text.
        message: Cow<'a, str>,
    },
    /// A message of another type.
    Other,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type", alias = "ty")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, alias = "cd")]
    code: Option<&'a RawValue>,
    #[serde(borrow, alias = "tms")]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, alias = "st")]
    stream_type: Option<&'a RawValue>,
    #[serde(borrow, alias = "obu")]
    orderbook_units: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<Refusal<'a>>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Unit<'a> {
    #[serde(borrow, alias = "ap")]
    ask_price: &'a RawValue,
    #[serde(borrow, alias = "bp")]
    bid_price: &'a RawValue,
    #[serde(borrow, alias = "as")]
    ask_size: &'a RawValue,
    #[serde(borrow, alias = "bs")]
    bid_size: &'a RawValue,
}

/// Reads a frame. `levels` holds the levels of an orderbook message and is empty after any other.
///
/// # Errors
/// [`WireError`]: no JSON object, a field of an orderbook missing or of another form, a number that cannot be exact.
pub fn parse<'a>(frame: &'a [u8], levels: &mut LevelBuffer) -> Result<Message<'a>, WireError> {
    levels.clear();
    if let Some(message) = scan(frame, levels) {
        return Ok(message);
    }
    levels.clear();
    parse_with_serde(frame, levels).inspect_err(|_| levels.clear())
}

/// The complete reader, which [`parse`] falls back on. Public so that tests can hold the two against each other.
///
/// # Errors
/// As [`parse`].
#[doc(hidden)]
pub fn parse_with_serde<'a>(frame: &'a [u8], levels: &mut LevelBuffer) -> Result<Message<'a>, WireError> {
    levels.clear();
    let parsed: Frame<'a> = serde_json::from_slice(frame).map_err(|e| WireError::json(&e, frame))?;
    if let Some(error) = parsed.error {
        let message = error.message.map_or(Cow::Borrowed(""), |text| text.0);
        return Ok(Message::Error { name: error.name.0, message });
    }
    let Some(kind) = parsed.kind else {
        return match (parsed.status, parsed.method) {
            (Some(_), _) => Ok(Message::Status),
            // The answer to `LIST_SUBSCRIPTIONS`.
            (None, Some(_)) => Ok(Message::Other),
            (None, None) => Err(WireError::new("type", Problem::Missing, frame)),
        };
    };
    if string(kind) != Ok("orderbook") {
        return Ok(Message::Other);
    }
    orderbook(&parsed, levels).map(Message::Orderbook).map_err(at(frame))
}

fn orderbook<'a>(frame: &Frame<'a>, levels: &mut LevelBuffer) -> Result<OrderbookFrame<'a>, FieldError> {
    let code = frame.code.ok_or(("code", Problem::Missing))?;
    let time = frame.timestamp.ok_or(("timestamp", Problem::Missing))?;
    let units = frame.orderbook_units.ok_or(("orderbook_units", Problem::Missing))?;
    let units: Vec<Unit<'a>> =
        serde_json::from_str(units.get()).map_err(|e| ("orderbook_units", Problem::Json(e.to_string())))?;
    fill(&units, levels)?;
    let snapshot = match frame.stream_type {
        Some(kind) => string(kind).map_err(|e| ("stream_type", e))? == "SNAPSHOT",
        None => false,
    };
    Ok(OrderbookFrame {
        code: string(code).map_err(|e| ("code", e))?,
        at: millis(time).map_err(|e| ("timestamp", e))?,
        snapshot,
    })
}

pub(super) fn fill(units: &[Unit<'_>], levels: &mut LevelBuffer) -> Result<(), FieldError> {
    for unit in units {
        let ask_price = scalar(unit.ask_price).map_err(|e| ("ask_price", e))?;
        let ask_size = scalar(unit.ask_size).map_err(|e| ("ask_size", e))?;
        let bid_price = scalar(unit.bid_price).map_err(|e| ("bid_price", e))?;
        let bid_size = scalar(unit.bid_size).map_err(|e| ("bid_size", e))?;
        push(ask_price.as_bytes(), ask_size.as_bytes(), bid_price.as_bytes(), bid_size.as_bytes(), levels)?;
    }
    Ok(())
}

/// Adds a unit, leaving out a side that is padding (price 0).
fn push(ap: &[u8], az: &[u8], bp: &[u8], bz: &[u8], levels: &mut LevelBuffer) -> Result<(), FieldError> {
    let ask = level(("ask_price", ap), ("ask_size", az), true)?;
    let bid = level(("bid_price", bp), ("bid_size", bz), true)?;
    if !ask.price.is_zero() {
        levels.asks.push(ask);
    }
    if !bid.price.is_zero() {
        levels.bids.push(bid);
    }
    Ok(())
}

/// The scanner: `None` for everything that is not exactly a known orderbook frame.
fn scan<'a>(frame: &'a [u8], levels: &mut LevelBuffer) -> Option<Message<'a>> {
    let mut s = Scanner::new(frame);
    let (mut kind, mut code, mut time, mut stream, mut units) = (None, None, None, None, false);
    let (mut totals, mut level_seen) = ([false; 2], false);
    s.open(b'{')?;
    loop {
        match s.key()? {
            b"type" | b"ty" => once(&mut kind, s.string()?)?,
            b"code" | b"cd" => once(&mut code, s.string()?)?,
            b"timestamp" | b"tms" => once(&mut time, s.integer()?)?,
            b"stream_type" | b"st" => once(&mut stream, s.string()?)?,
            // Unread, but a repetition of them is for the complete reader to judge.
            b"total_ask_size" | b"tas" if !totals[0] => totals[0] = s.number().map(|_| true)?,
            b"total_bid_size" | b"tbs" if !totals[1] => totals[1] = s.number().map(|_| true)?,
            b"level" | b"lv" if !level_seen => level_seen = s.number().map(|_| true)?,
            b"orderbook_units" | b"obu" if !units => {
                scan_units(&mut s, levels)?;
                units = true;
            }
            _ => return None,
        }
        if s.close(b'}')? {
            break;
        }
    }
    s.end()?;
    if kind? != b"orderbook" || !units {
        return None;
    }
    let at = Timestamp::from_millis(i64::try_from(time?).ok()?);
    let code = std::str::from_utf8(code?).ok()?;
    let snapshot = stream.is_some_and(|s| s == b"SNAPSHOT");
    Some(Message::Orderbook(OrderbookFrame { code, at, snapshot }))
}

fn scan_units(s: &mut Scanner<'_>, levels: &mut LevelBuffer) -> Option<()> {
    s.open(b'[')?;
    if s.is_empty(b']') {
        return Some(());
    }
    loop {
        let (mut ap, mut az, mut bp, mut bz) = (None, None, None, None);
        s.open(b'{')?;
        loop {
            match s.key()? {
                b"ask_price" | b"ap" => once(&mut ap, s.number()?)?,
                b"bid_price" | b"bp" => once(&mut bp, s.number()?)?,
                b"ask_size" | b"as" => once(&mut az, s.number()?)?,
                b"bid_size" | b"bs" => once(&mut bz, s.number()?)?,
                _ => return None,
            }
            if s.close(b'}')? {
                break;
            }
        }
        push(ap?, az?, bp?, bz?, levels).ok()?;
        if s.close(b']')? {
            return Some(());
        }
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

#[derive(Deserialize)]
struct CandleRow<'a> {
    #[serde(borrow)]
    candle_date_time_utc: &'a RawValue,
    #[serde(borrow)]
    trade_price: &'a RawValue,
}

/// Reads the answer of `/v1/candles/minutes/..`; oldest first (the venue sends the newest first).
///
/// # Errors
/// [`WireError`].
pub fn parse_candles(bytes: &[u8]) -> Result<Vec<Candle>, WireError> {
    let rows: Vec<CandleRow<'_>> = serde_json::from_slice(bytes).map_err(|e| WireError::json(&e, bytes))?;
    let mut candles = Vec::with_capacity(rows.len());
    for row in rows {
        candles.push(candle(&row).map_err(at(bytes))?);
    }
    candles.sort_by_key(|candle| candle.at);
    Ok(candles)
}

fn candle(row: &CandleRow<'_>) -> Result<Candle, FieldError> {
    let time = string(row.candle_date_time_utc).ok().and_then(iso_utc);
    let close = scalar(row.trade_price).map_err(|e| ("trade_price", e))?;
    let close = Price::parse(close).map_err(|e| ("trade_price", e.into()))?;
    if close.0 <= 0 {
        return Err(("trade_price", Problem::Sign));
    }
    Ok(Candle { at: time.ok_or(("candle_date_time_utc", Problem::Shape))?, close })
}

/// The base asset of a code: `KRW-BTC` and `KRW-BTC.15` are BTC.
pub fn base_of(code: &str) -> Option<Asset> {
    let (quote, rest) = code.split_once('-')?;
    let base = rest.split_once('.').map_or(rest, |(base, _)| base);
    if quote.is_empty() { None } else { asset(base) }
}

/// The quote asset of a code: `KRW-BTC` is quoted in KRW.
pub fn quote_of(code: &str) -> Option<Asset> {
    asset(code.split_once('-')?.0)
}
