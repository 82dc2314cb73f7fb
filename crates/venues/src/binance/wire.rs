//! Binance's frames, raw and in the combined envelope, snapshots and klines. Lists of symbols stand in
//! [`super::tables`].
//!
//! Two readers give the same result: a scanner that knows the schema of depth diffs and best quotes and gives up on
//! anything else, and serde_json, which takes over whenever the scanner gives up. What both hold to:
//!
//! * Fields may come in any order; unknown ones, of any form, are passed over.
//! * A field that is read and stands there twice is an error (serde's rule); unknown fields may repeat.
//! * Prices and quantities are strings or JSON numbers of any spelling that is exact at 1e-8. A minus is refused, before a
//!   zero too; what does not fit, or is finer than 1e-8, is an error.
//! * Names that are compared (`e`) may be spelled with escapes; those that are handed on (`s`, `stream`) may not: they are
//!   borrowed from the frame, and an escaped one is refused.

use crate::error::{FieldError, Problem, at};
use crate::levels::level;
use crate::scan::{Pair, Scanner, WINDOW, pair};
use crate::text::{decoded, instant, integer, millis, scalar, string, utf8};
use crate::{Candle, LevelBuffer, WireError};
use market::{Level, Price, Quantity, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A depth diff without its levels, which are in the [`LevelBuffer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthDiff<'a> {
    /// The symbol, upper case.
    pub symbol: &'a str,
    /// `U`: id of the first change in the diff.
    pub first_id: u64,
    /// `u`: id of the last change in the diff.
    pub last_id: u64,
    /// `pu`: `u` of the previous diff; USD-M futures only.
    pub prev_id: Option<u64>,
    /// `E`: the venue's time, in milliseconds.
    pub at: Timestamp,
}

/// A best quote. Spot sends neither type nor time with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookTicker<'a> {
    /// The symbol, upper case.
    pub symbol: &'a str,
    /// `u`: id of the change of the book that it belongs to.
    pub update_id: u64,
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
}

/// The top 5, 10 or 20 levels, without the levels, which are in the [`LevelBuffer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialDepth<'a> {
    /// The stream's name in the combined envelope (`btcusdt@depth20`): the message itself names no symbol.
    pub stream: Option<&'a str>,
    /// Id of the last change.
    pub last_update_id: u64,
}

/// A frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A depth diff.
    Depth(DepthDiff<'a>),
    /// A best quote.
    BookTicker(BookTicker<'a>),
    /// The top levels.
    PartialDepth(PartialDepth<'a>),
    /// The answer to a request sent on the connection.
    SubscribeAck {
        /// The request's id, when it was a number.
        id: Option<u64>,
        /// False when the venue refused.
        ok: bool,
    },
    /// The server goes away: reconnect at once.
    ServerShutdown,
    /// A message of another type.
    Other,
}

/// A REST snapshot without its levels, which are in the [`LevelBuffer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Id of the last change in the snapshot.
    pub last_update_id: u64,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Every field is optional and raw: other event types use the same letters for other things.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "e")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, rename = "E")]
    time: Option<&'a RawValue>,
    #[serde(borrow, rename = "s")]
    symbol: Option<&'a RawValue>,
    #[serde(borrow, rename = "U")]
    first_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "u")]
    last_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "pu")]
    prev_id: Option<&'a RawValue>,
    #[serde(borrow)]
    b: Option<&'a RawValue>,
    #[serde(borrow)]
    a: Option<&'a RawValue>,
    #[serde(borrow, rename = "B")]
    bid_size: Option<&'a RawValue>,
    #[serde(borrow, rename = "A")]
    ask_size: Option<&'a RawValue>,
    #[serde(borrow, rename = "lastUpdateId")]
    last_update_id: Option<&'a RawValue>,
    #[serde(borrow)]
    bids: Option<&'a RawValue>,
    #[serde(borrow)]
    asks: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

/// Reads a frame. `levels` holds the levels of a depth message and is empty after any other.
///
/// # Errors
/// [`WireError`]: no JSON, a field of a known message missing or of another form, a number that cannot be exact.
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
    let text = utf8(frame)?;
    let json = |e: serde_json::Error| WireError::json(&e, frame);
    if is_array(text) {
        // `!miniTicker@arr` and the like: valid, and nothing that is read here.
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(json)?;
        return Ok(Message::Other);
    }
    let envelope: Envelope<'a> = serde_json::from_str(text).map_err(json)?;
    let inner = envelope.data.map_or(text, RawValue::get);
    if is_array(inner) {
        return Ok(Message::Other);
    }
    let event: Event<'a> = serde_json::from_str(inner).map_err(json)?;
    let stream = match envelope.stream {
        Some(raw) => Some(string(raw).map_err(|e| WireError::new("stream", e, frame))?),
        None => None,
    };
    classify(&event, stream, levels).map_err(at(frame))
}

fn is_array(text: &str) -> bool {
    text.trim_start().starts_with('[')
}

fn classify<'a>(
    event: &Event<'a>,
    stream: Option<&'a str>,
    levels: &mut LevelBuffer,
) -> Result<Message<'a>, FieldError> {
    let kind = event.kind.map(|raw| decoded(raw).unwrap_or_default());
    match kind.as_deref() {
        Some("depthUpdate") => depth(event, levels).map(Message::Depth),
        Some("bookTicker") => book_ticker(event).map(Message::BookTicker),
        Some("serverShutdown") => Ok(Message::ServerShutdown),
        Some(_) => Ok(Message::Other),
        None if stream == Some("!serverShutdown") => Ok(Message::ServerShutdown),
        None if event.last_update_id.is_some() => {
            let last_update_id = whole(event, levels)?;
            Ok(Message::PartialDepth(PartialDepth { stream, last_update_id }))
        }
        None if event.last_id.is_some() && event.bid_size.is_some() && event.ask_size.is_some() => {
            book_ticker(event).map(Message::BookTicker)
        }
        None if event.error.is_some() || event.code.is_some() => {
            Ok(Message::SubscribeAck { id: event.id.and_then(|id| integer(id).ok()), ok: false })
        }
        None if event.id.is_some() => {
            Ok(Message::SubscribeAck { id: event.id.and_then(|id| integer(id).ok()), ok: true })
        }
        None => Ok(Message::Other),
    }
}

type Read<T> = fn(&RawValue) -> Result<T, Problem>;

fn need<'a, T: 'a>(
    field: &'static str,
    raw: Option<&'a RawValue>,
    read: impl Fn(&'a RawValue) -> Result<T, Problem>,
) -> Result<T, FieldError> {
    read(raw.ok_or((field, Problem::Missing))?).map_err(|e| (field, e))
}

fn depth<'a>(event: &Event<'a>, levels: &mut LevelBuffer) -> Result<DepthDiff<'a>, FieldError> {
    let prev_id = match event.prev_id {
        Some(raw) => Some(integer(raw).map_err(|e| ("pu", e))?),
        None => None,
    };
    let diff = DepthDiff {
        symbol: need("s", event.symbol, string)?,
        first_id: need("U", event.first_id, integer as Read<u64>)?,
        last_id: need("u", event.last_id, integer as Read<u64>)?,
        prev_id,
        at: need("E", event.time, millis as Read<Timestamp>)?,
    };
    check_ids(diff.first_id, diff.last_id)?;
    fill("b", event.b.ok_or(("b", Problem::Missing))?, &mut levels.bids)?;
    fill("a", event.a.ok_or(("a", Problem::Missing))?, &mut levels.asks)?;
    Ok(diff)
}

/// A diff that ends before it begins would pass every gap check.
fn check_ids(first: u64, last: u64) -> Result<(), FieldError> {
    if first > last { Err(("u", Problem::Shape)) } else { Ok(()) }
}

fn book_ticker<'a>(event: &Event<'a>) -> Result<BookTicker<'a>, FieldError> {
    let number = |field, raw| need(field, raw, scalar);
    let bid = (number("b", event.b)?, number("B", event.bid_size)?);
    let ask = (number("a", event.a)?, number("A", event.ask_size)?);
    Ok(BookTicker {
        symbol: need("s", event.symbol, string)?,
        update_id: need("u", event.last_id, integer as Read<u64>)?,
        // An empty side is quoted as zero.
        bid: level(("b", bid.0.as_bytes()), ("B", bid.1.as_bytes()), true)?,
        ask: level(("a", ask.0.as_bytes()), ("A", ask.1.as_bytes()), true)?,
    })
}

fn whole(event: &Event<'_>, levels: &mut LevelBuffer) -> Result<u64, FieldError> {
    fill("bids", event.bids.ok_or(("bids", Problem::Missing))?, &mut levels.bids)?;
    fill("asks", event.asks.ok_or(("asks", Problem::Missing))?, &mut levels.asks)?;
    need("lastUpdateId", event.last_update_id, integer as Read<u64>)
}

fn fill(field: &'static str, raw: &RawValue, out: &mut Vec<Level>) -> Result<(), FieldError> {
    let rows: Vec<Vec<&RawValue>> =
        serde_json::from_str(raw.get()).map_err(|e| (field, Problem::Json(e.to_string())))?;
    for row in rows {
        // Old servers add a third, empty element.
        let [price, quantity, ..] = row.as_slice() else {
            return Err((field, Problem::Shape));
        };
        let price = scalar(price).map_err(|e| (field, e))?;
        let quantity = scalar(quantity).map_err(|e| (field, e))?;
        out.push(level((field, price.as_bytes()), (field, quantity.as_bytes()), false)?);
    }
    Ok(())
}

/// The scanner: `None` for everything that is not exactly a known depth diff or best quote.
fn scan<'a>(frame: &'a [u8], levels: &mut LevelBuffer) -> Option<Message<'a>> {
    let mut s = Scanner::new(frame);
    if s.literal(br#"{"stream":""#).is_some() {
        s.rest_of_string()?;
        s.literal(br#","data":{"#)?;
        let message = scan_event(&mut s, levels)?;
        while !s.close(b'}')? {
            if matches!(s.key()?, b"stream" | b"data") {
                return None;
            }
            s.skip()?;
        }
        return s.end().map(|()| message);
    }
    s.open(b'{')?;
    let message = scan_event(&mut s, levels)?;
    s.end().map(|()| message)
}

#[derive(Default)]
struct Scanned<'a> {
    kind: Option<&'a [u8]>,
    time: Option<u64>,
    transaction: Option<u64>,
    symbol: Option<&'a [u8]>,
    first_id: Option<u64>,
    last_id: Option<u64>,
    prev_id: Option<u64>,
    best: [Option<&'a [u8]>; 4],
    sides: [bool; 2],
}

/// From behind the event's opening brace to behind its closing one.
fn scan_event<'a>(s: &mut Scanner<'a>, levels: &mut LevelBuffer) -> Option<Message<'a>> {
    let mut e = Scanned::default();
    let begin = s.at();
    // Either both sides have been read, and what follows is the rest of the fields, or nothing has been.
    if scan_diff(s, &mut e, levels).is_none() {
        (e, _) = (Scanned::default(), levels.clear());
        s.go_to(begin);
        scan_field(s, &mut e, levels)?;
    }
    while !s.close(b'}')? {
        scan_field(s, &mut e, levels)?;
    }
    let symbol = std::str::from_utf8(e.symbol?).ok()?;
    match (e.kind, e.sides, e.best) {
        (Some(b"depthUpdate"), [true, true], [None, None, None, None]) => {
            let (first_id, last_id) = (e.first_id?, e.last_id?);
            check_ids(first_id, last_id).ok()?;
            Some(Message::Depth(DepthDiff {
                symbol,
                first_id,
                last_id,
                prev_id: e.prev_id,
                at: instant(e.time?)?,
            }))
        }
        (None | Some(b"bookTicker"), [false, false], [Some(b), Some(bz), Some(a), Some(az)]) => {
            let bid = level(("b", b), ("B", bz), true).ok()?;
            let ask = level(("a", a), ("A", az), true).ok()?;
            Some(Message::BookTicker(BookTicker { symbol, update_id: e.last_id?, bid, ask }))
        }
        _ => None,
    }
}

/// A depth diff as the venue writes it today: these fields in this order without space between them, both sides last (USD-M
/// has more behind them). Any other frame is [`scan_field`]'s.
fn scan_diff<'a>(s: &mut Scanner<'a>, e: &mut Scanned<'a>, levels: &mut LevelBuffer) -> Option<()> {
    s.literal(br#""e":"depthUpdate","E":"#)?;
    e.kind = Some(b"depthUpdate");
    e.time = Some(s.integer()?);
    if s.literal(br#","T":"#).is_some() {
        e.transaction = Some(s.integer()?);
    }
    s.literal(br#","s":""#)?;
    e.symbol = Some(s.rest_of_string()?);
    s.literal(br#","U":"#)?;
    e.first_id = Some(s.integer()?);
    s.literal(br#","u":"#)?;
    e.last_id = Some(s.integer()?);
    if s.literal(br#","pu":"#).is_some() {
        e.prev_id = Some(s.integer()?);
    }
    s.literal(br#","b":"#)?;
    scan_levels(s, &mut levels.bids)?;
    s.literal(br#","a":"#)?;
    scan_levels(s, &mut levels.asks)?;
    e.sides = [true, true];
    Some(())
}

fn scan_field<'a>(s: &mut Scanner<'a>, e: &mut Scanned<'a>, levels: &mut LevelBuffer) -> Option<()> {
    match s.key()? {
        b"e" => once(&mut e.kind, s.string()?),
        b"E" => once(&mut e.time, s.integer()?),
        b"T" => once(&mut e.transaction, s.integer()?),
        b"s" => once(&mut e.symbol, s.string()?),
        b"U" => once(&mut e.first_id, s.integer()?),
        b"u" => once(&mut e.last_id, s.integer()?),
        b"pu" => once(&mut e.prev_id, s.integer()?),
        b"B" => once(&mut e.best[1], s.string()?),
        b"A" => once(&mut e.best[3], s.string()?),
        key @ (b"b" | b"a") if s.peek()? == b'"' => {
            once(&mut e.best[if key == b"b" { 0 } else { 2 }], s.string()?)
        }
        b"b" if !e.sides[0] => scan_levels(s, &mut levels.bids).map(|()| e.sides[0] = true),
        b"a" if !e.sides[1] => scan_levels(s, &mut levels.asks).map(|()| e.sides[1] = true),
        // Read by the complete reader, and not part of the messages that are known here.
        b"b" | b"a" | b"stream" | b"data" | b"lastUpdateId" | b"bids" | b"asks" | b"id" | b"error"
        | b"code" => None,
        _ => s.skip(),
    }
}

fn scan_levels(s: &mut Scanner<'_>, out: &mut Vec<Level>) -> Option<()> {
    s.open(b'[')?;
    if s.is_empty(b']') {
        return Some(());
    }
    loop {
        if short_levels(s, out) || scan_level(s, out)? {
            return Some(());
        }
    }
}

/// Elements in the most common spelling without space between them, up to the first of another one, or to the end of the side:
/// then `true`.
#[inline(never)]
fn short_levels(s: &mut Scanner<'_>, out: &mut Vec<Level>) -> bool {
    let mut rest = s.rest();
    let mut more = true;
    let mut take = |rest: &mut &[u8], read: Pair| {
        let (next, behind) = rest.get(read.length..)?.split_first()?;
        if read.price == 0 || !matches!(next, b',' | b']') {
            return None;
        }
        out.push(Level { price: Price(read.price), quantity: Quantity(read.quantity.into()) });
        *rest = behind;
        Some(*next == b',')
    };
    while more {
        let mut end = [0; WINDOW];
        let window = rest.first_chunk().unwrap_or_else(|| {
            end.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            &end
        });
        let Some((read, layout)) = pair(window) else { break };
        let Some(next) = take(&mut rest, read) else { break };
        more = next;
        if layout.is_usual() {
            while more
                && let Some(read) = rest.first_chunk().and_then(|window| layout.pair(window))
                && let Some(next) = take(&mut rest, read)
            {
                more = next;
            }
        }
    }
    s.go_on_with(rest);
    !more
}

/// One element in whatever spelling; `true` at the end of the side.
#[inline(never)]
fn scan_level(s: &mut Scanner<'_>, out: &mut Vec<Level>) -> Option<bool> {
    s.open(b'[')?;
    let price = s.string()?;
    s.open(b',')?;
    let quantity = s.string()?;
    s.open(b']')?;
    out.push(level(("b", price), ("B", quantity), false).ok()?);
    s.close(b']')
}

fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// Reads the answer of `/api/v3/depth`.
///
/// # Errors
/// [`WireError`].
pub fn parse_snapshot(bytes: &[u8], levels: &mut LevelBuffer) -> Result<Snapshot, WireError> {
    levels.clear();
    if let Some(snapshot) = scan_snapshot(bytes, levels) {
        return Ok(snapshot);
    }
    levels.clear();
    parse_snapshot_with_serde(bytes, levels).inspect_err(|_| levels.clear())
}

/// The complete reader of snapshots, as [`parse_with_serde`] is that of frames.
///
/// # Errors
/// As [`parse_snapshot`].
#[doc(hidden)]
pub fn parse_snapshot_with_serde(bytes: &[u8], levels: &mut LevelBuffer) -> Result<Snapshot, WireError> {
    levels.clear();
    let event: Event<'_> = serde_json::from_str(utf8(bytes)?).map_err(|e| WireError::json(&e, bytes))?;
    let last_update_id = whole(&event, levels).map_err(at(bytes))?;
    Ok(Snapshot { last_update_id })
}

fn scan_snapshot(bytes: &[u8], levels: &mut LevelBuffer) -> Option<Snapshot> {
    let mut s = Scanner::new(bytes);
    let (mut id, mut times, mut sides) = (None, [None; 2], [false; 2]);
    s.open(b'{')?;
    loop {
        match s.key()? {
            b"lastUpdateId" => once(&mut id, s.integer()?)?,
            b"E" => once(&mut times[0], s.integer()?)?,
            b"T" => once(&mut times[1], s.integer()?)?,
            b"bids" if !sides[0] => sides[0] = scan_levels(&mut s, &mut levels.bids).map(|()| true)?,
            b"asks" if !sides[1] => sides[1] = scan_levels(&mut s, &mut levels.asks).map(|()| true)?,
            // Read by the complete reader, or a repetition.
            b"bids" | b"asks" | b"e" | b"s" | b"U" | b"u" | b"pu" | b"b" | b"a" | b"B" | b"A" | b"id"
            | b"error" | b"code" => return None,
            _ => s.skip()?,
        }
        if s.close(b'}')? {
            break;
        }
    }
    s.end()?;
    (sides == [true, true]).then_some(Snapshot { last_update_id: id? })
}

/// Reads the answer of `/api/v3/klines`; oldest first.
///
/// # Errors
/// [`WireError`].
pub fn parse_klines(bytes: &[u8]) -> Result<Vec<Candle>, WireError> {
    let rows: Vec<Vec<&RawValue>> = serde_json::from_slice(bytes).map_err(|e| WireError::json(&e, bytes))?;
    let mut candles = Vec::with_capacity(rows.len());
    for row in rows {
        candles.push(kline(&row).map_err(at(bytes))?);
    }
    candles.sort_by_key(|candle| candle.at);
    Ok(candles)
}

fn kline(row: &[&RawValue]) -> Result<Candle, FieldError> {
    let [time, _open, _high, _low, close, ..] = row else {
        return Err(("kline", Problem::Shape));
    };
    let close = scalar(close).map_err(|e| ("close", e))?;
    let close = Price::parse(close).map_err(|e| ("close", e.into()))?;
    if close.0 <= 0 {
        return Err(("close", Problem::Sign));
    }
    Ok(Candle { at: millis(time).map_err(|e| ("openTime", e))?, close })
}
