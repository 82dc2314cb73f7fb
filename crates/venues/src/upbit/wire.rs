//! Upbit's frames, DEFAULT and SIMPLE, and its candles. Lists of markets stand in [`super::tables`].
//!
//! Two readers give the same result: a scanner that knows the schema of an orderbook frame and gives up on anything
//! else, and serde_json, which takes over whenever the scanner gives up. What both hold to:
//!
//! * Fields may come in any order, under their long or their short names, mixed as well; unknown ones, of any form, are
//!   passed over.
//! * A field that is read and stands there twice (under both names too) is an error; unknown fields may repeat.
//! * Prices and sizes are JSON numbers, or strings, of any spelling that is exact at 1e-8 (`1.16539E8`, `7.9276E-4`). A minus
//!   is refused, before a zero too; what does not fit, or is finer than 1e-8, is an error.
//! * Names that are compared (`type`, `stream_type`) may be spelled with escapes; the code, which is handed on, may not: it is
//!   borrowed from the frame, and an escaped one is refused.
//! * The list formats wrap messages in an array: [`parse`] takes one message, [`parse_each`] any number.

use crate::error::{FieldError, Problem, at};
use crate::levels::level;
use crate::scan::Scanner;
use crate::text::{asset, decoded, instant, iso_utc, millis, scalar, string, utf8};
use crate::{Candle, LevelBuffer, WireError};
use market::{Asset, Level, Price, Quantity, Timestamp};
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

/// Reads a frame: one message, or a list of one. `levels` holds the levels of an orderbook message and is empty after any
/// other.
///
/// # Errors
/// [`WireError`]: no JSON object, a field of an orderbook missing or of another form, a number that cannot be exact, a list
/// of several messages ([`parse_each`] reads those).
pub fn parse<'a>(frame: &'a [u8], levels: &mut LevelBuffer) -> Result<Message<'a>, WireError> {
    levels.clear();
    if let Some(message) = scan(frame, levels) {
        return Ok(message);
    }
    levels.clear();
    parse_with_serde(frame, levels).inspect_err(|_| levels.clear())
}

/// Reads a frame of one message or a list of any number of them (`JSON_LIST`, `SIMPLE_LIST`), and hands each to `each` with
/// its levels.
///
/// # Errors
/// As [`parse`], at the first message that cannot be read; those before it have been handed over.
pub fn parse_each<'a>(
    frame: &'a [u8],
    levels: &mut LevelBuffer,
    mut each: impl FnMut(Message<'a>, &LevelBuffer),
) -> Result<(), WireError> {
    let text = utf8(frame)?;
    if !is_list(text) {
        each(parse(frame, levels)?, levels);
        return Ok(());
    }
    let items: Vec<&'a RawValue> = serde_json::from_str(text).map_err(|e| WireError::json(&e, frame))?;
    for item in items {
        each(parse(item.get().as_bytes(), levels)?, levels);
    }
    Ok(())
}

fn is_list(text: &str) -> bool {
    text.trim_start().starts_with('[')
}

/// The complete reader, which [`parse`] falls back on. Public so that tests can hold the two against each other.
///
/// # Errors
/// As [`parse`].
#[doc(hidden)]
pub fn parse_with_serde<'a>(frame: &'a [u8], levels: &mut LevelBuffer) -> Result<Message<'a>, WireError> {
    levels.clear();
    let json = |e: serde_json::Error| WireError::json(&e, frame);
    let mut text = utf8(frame)?;
    if is_list(text) {
        let items: Vec<&'a RawValue> = serde_json::from_str(text).map_err(json)?;
        let [item] = items.as_slice() else { return Err(WireError::new("frame", Problem::Shape, frame)) };
        text = item.get();
    }
    let parsed: Frame<'a> = serde_json::from_str(text).map_err(json)?;
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
    if decoded(kind).as_deref() != Some("orderbook") {
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
        Some(kind) => decoded(kind).ok_or(("stream_type", Problem::Shape))? == "SNAPSHOT",
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
    let list = s.open(b'[').is_some();
    s.open(b'{')?;
    loop {
        match s.key()? {
            b"type" | b"ty" => once(&mut kind, s.string()?)?,
            b"code" | b"cd" => once(&mut code, s.string()?)?,
            b"timestamp" | b"tms" => once(&mut time, s.integer()?)?,
            b"stream_type" | b"st" => once(&mut stream, s.string()?)?,
            b"orderbook_units" | b"obu" if !units => {
                scan_units(&mut s, levels)?;
                units = true;
            }
            // Read by the complete reader, or a repetition.
            b"orderbook_units" | b"obu" | b"status" | b"error" | b"method" => return None,
            _ => s.skip()?,
        }
        if s.close(b'}')? {
            break;
        }
    }
    if list && !s.close(b']')? {
        return None;
    }
    s.end()?;
    if kind? != b"orderbook" || !units {
        return None;
    }
    let code = std::str::from_utf8(code?).ok()?;
    let snapshot = stream.is_some_and(|s| s == b"SNAPSHOT");
    Some(Message::Orderbook(OrderbookFrame { code, at: instant(time?)?, snapshot }))
}

fn scan_units(s: &mut Scanner<'_>, levels: &mut LevelBuffer) -> Option<()> {
    s.open(b'[')?;
    if s.is_empty(b']') {
        return Some(());
    }
    // How long the prices of the unit before are: those of a book are nearly always as long as one another.
    let mut lengths = [0; 2];
    loop {
        if let Some([ap, bp, az, bz]) = tight_unit(s, &mut lengths) {
            if ap != 0 {
                levels.asks.push(Level { price: Price(ap), quantity: Quantity(az.into()) });
            }
            if bp != 0 {
                levels.bids.push(Level { price: Price(bp), quantity: Quantity(bz.into()) });
            }
        } else {
            scan_unit(s, levels)?;
        }
        if s.close(b']')? {
            return Some(());
        }
    }
}

/// A unit as the venue writes it today, without space: ask price, bid price, ask size, bid size. `None` moves nothing.
#[inline(always)]
fn tight_unit(s: &mut Scanner<'_>, lengths: &mut [usize; 2]) -> Option<[i64; 4]> {
    let begin = s.at();
    let unit = if s.literal(br#"{"ap":"#).is_some() {
        tight_fields(s, lengths, br#","bp":"#, br#","as":"#, br#","bs":"#)
    } else {
        s.literal(br#"{"ask_price":"#)?;
        tight_fields(s, lengths, br#","bid_price":"#, br#","ask_size":"#, br#","bid_size":"#)
    };
    if unit.is_none() {
        s.go_to(begin);
    }
    unit
}

#[inline(always)]
fn tight_fields<const P: usize, const A: usize, const B: usize>(
    s: &mut Scanner<'_>,
    lengths: &mut [usize; 2],
    bid_price: &[u8; P],
    ask_size: &[u8; A],
    bid_size: &[u8; B],
) -> Option<[i64; 4]> {
    let ap = s.number_like(&mut lengths[0], bid_price)?;
    let bp = s.number_like(&mut lengths[1], ask_size)?;
    let az = s.number_then(bid_size)?;
    let bz = s.number_then(b"}")?;
    Some([ap, bp, az, bz])
}

/// A unit of any order and spelling.
fn scan_unit(s: &mut Scanner<'_>, levels: &mut LevelBuffer) -> Option<()> {
    let (mut ap, mut az, mut bp, mut bz) = (None, None, None, None);
    s.open(b'{')?;
    loop {
        match s.key()? {
            b"ask_price" | b"ap" => once(&mut ap, s.number()?)?,
            b"bid_price" | b"bp" => once(&mut bp, s.number()?)?,
            b"ask_size" | b"as" => once(&mut az, s.number()?)?,
            b"bid_size" | b"bs" => once(&mut bz, s.number()?)?,
            _ => s.skip()?,
        }
        if s.close(b'}')? {
            break;
        }
    }
    push(ap?, az?, bp?, bz?, levels).ok()
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

/// What to do about an error frame, by its name.
pub fn next_step(name: &str) -> &'static str {
    match name {
        "NO_CODES" => "the subscription names no market: is the universe empty?",
        "WRONG_FORMAT" | "NO_TICKET" | "NO_TYPE" | "INVALID_PARAM" => {
            "the venue may have changed its interface: update Assay"
        }
        _ => "see the venue's documentation of its WebSocket errors",
    }
}
