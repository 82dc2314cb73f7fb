//! What this version assumes of the venues, one line each: the expectation, where it stands in the protocol facts, and how an
//! answer is held against it. A client that finds one of these broken may read wrong books, so each is an exact question.

use super::binance::{
    binance_book_ticker, binance_combined, binance_depth, binance_diff, binance_fits, binance_header,
    binance_info, binance_klines, binance_partial, binance_ping, binance_sequence, binance_subscribe,
    binance_tickers, binance_time, binance_unknown, binance_weights,
};
use super::live::{Answer, Heard, Kind, Seen, shown};
use market::Asset;
use serde_json::Value;
use std::time::Duration;
use venues::LevelBuffer;

/// Why an assumption was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Not {
    /// It could not be seen this time.
    Skipped(String),
    /// The venue speaks otherwise.
    Otherwise(String),
    /// There was no answer.
    Unreachable(String),
}

pub(super) type Verdict = Result<String, Not>;

/// One assumption.
pub(super) struct Assumption {
    pub(super) id: &'static str,
    /// Section of the protocol facts.
    pub(super) section: &'static str,
    pub(super) expects: &'static str,
    /// The client works either way.
    pub(super) weak: bool,
    pub(super) holds: fn(&Seen) -> Verdict,
}

const fn a(
    id: &'static str,
    section: &'static str,
    expects: &'static str,
    holds: fn(&Seen) -> Verdict,
) -> Assumption {
    Assumption { id, section, expects, weak: false, holds }
}

const fn weak(assumption: Assumption) -> Assumption {
    Assumption { weak: true, ..assumption }
}

const UPBIT_REST: &str = "Upbit, REST";
const UPBIT_WS: &str = "Upbit, subscribe and frames";
const UPBIT_LIMITS: &str = "Upbit, limits per second and IP";
const UPBIT_TICKS: &str = "Upbit, KRW ticks";
const BINANCE_REST: &str = "Binance spot, REST";
const BINANCE_WS: &str = "Binance spot, streams";
const BINANCE_BOOK: &str = "Binance spot, local book";
const BINANCE_WEIGHT: &str = "Binance spot, weights and headers";

/// Every assumption.
pub(super) static ALL: &[Assumption] = &[
    a(
        "upbit_market_all",
        UPBIT_REST,
        "market is QUOTE-BASE, market_event.warning and cautions are booleans; KRW-USDT is listed",
        upbit_markets,
    ),
    a(
        "upbit_tickers_krw",
        UPBIT_REST,
        "an entry per KRW market with market and acc_trade_price_24h",
        upbit_tickers,
    ),
    a("upbit_ticker_two", UPBIT_REST, "markets=a,b gives both", upbit_ticker),
    a(
        "upbit_orderbook",
        UPBIT_REST,
        "orderbook_units of ask_price, bid_price, ask_size, bid_size; 30 of them, best first",
        upbit_orderbook,
    ),
    a("upbit_orderbook_count", UPBIT_REST, "count=5 gives 5 units", upbit_orderbook_count),
    a("upbit_instruments", UPBIT_REST, "tick_size and supported_levels per market", upbit_instruments),
    a("upbit_ticks", UPBIT_TICKS, "the tick of KRW-BTC at its price is the one of the table", upbit_ticks),
    a("upbit_candles", UPBIT_REST, "one-minute candles, newest first, that our parser reads", upbit_candles),
    weak(a(
        "upbit_unknown_market",
        UPBIT_REST,
        "an unknown market is refused with 404 or 400 and an error object",
        upbit_unknown,
    )),
    a(
        "upbit_remaining_req",
        UPBIT_LIMITS,
        "header Remaining-Req: group=..; min=..; sec=.., sec counts what is left",
        upbit_remaining,
    ),
    weak(a("upbit_date", UPBIT_REST, "header Date, within 2 s of our clock", upbit_date)),
    a(
        "upbit_ws_default",
        UPBIT_WS,
        "DEFAULT: type, code, timestamp, orderbook_units, stream_type, level; our parser reads it",
        upbit_default,
    ),
    weak(a("upbit_ws_binary", UPBIT_WS, "frames are binary", upbit_binary)),
    a("upbit_ws_depth", UPBIT_WS, "suffix .5 gives 5 units, .1 one, .15 fifteen", upbit_depth),
    a(
        "upbit_ws_simple",
        UPBIT_WS,
        "SIMPLE: ty, cd, tms, obu of ap, bp, as, bs, st, lv; our parser reads it",
        upbit_simple,
    ),
    a("upbit_ws_ping", UPBIT_WS, "the text PING is answered {\"status\":\"UP\"}", upbit_ping),
    weak(a(
        "upbit_ws_list",
        UPBIT_WS,
        "LIST_SUBSCRIPTIONS answers with the codes that were asked",
        upbit_list,
    )),
    a("upbit_ws_replaces", UPBIT_WS, "a new subscribe replaces the whole set", upbit_replaces),
    a("upbit_ws_silence", UPBIT_WS, "unknown and lower-case codes are met with silence", upbit_silence),
    a(
        "upbit_ws_error",
        UPBIT_WS,
        "nonsense is answered {\"error\":{\"name\":..,\"message\":..}}",
        upbit_error,
    ),
    a("binance_time", BINANCE_REST, "serverTime in milliseconds, within 1 s of our clock", binance_time),
    a(
        "binance_info",
        BINANCE_REST,
        "status TRADING, PRICE_FILTER, LOT_SIZE and NOTIONAL or MIN_NOTIONAL; our parser reads it",
        binance_info,
    ),
    a(
        "binance_tickers",
        BINANCE_REST,
        "symbol and quoteVolume of every symbol as text; our parser reads it",
        binance_tickers,
    ),
    a(
        "binance_depth",
        BINANCE_BOOK,
        "lastUpdateId, bids and asks as [price, quantity] texts, at most as many as asked",
        binance_depth,
    ),
    a(
        "binance_klines",
        BINANCE_REST,
        "arrays that begin with the open time; our parser reads them",
        binance_klines,
    ),
    weak(a(
        "binance_unknown_symbol",
        BINANCE_REST,
        "an unknown symbol is refused with 400 and code -1121",
        binance_unknown,
    )),
    a(
        "binance_weight_header",
        BINANCE_WEIGHT,
        "header X-MBX-USED-WEIGHT-1M, which never falls within a minute",
        binance_header,
    ),
    weak(a(
        "binance_weights",
        BINANCE_WEIGHT,
        "depth 100: 5, depth 500: 25, klines 2, exchangeInfo 20, all tickers 80",
        binance_weights,
    )),
    a(
        "binance_ws_diff",
        BINANCE_WS,
        "e depthUpdate, E, s, U, u, b and a as texts; our parser reads it",
        binance_diff,
    ),
    a("binance_ws_sequence", BINANCE_BOOK, "each diff's U is the last one's u + 1", binance_sequence),
    a(
        "binance_ws_snapshot_fits",
        BINANCE_BOOK,
        "diffs go on from ids like the snapshot's lastUpdateId",
        binance_fits,
    ),
    a(
        "binance_ws_combined",
        BINANCE_WS,
        "{\"stream\":..,\"data\":..} with the names that were asked",
        binance_combined,
    ),
    a(
        "binance_ws_partial",
        BINANCE_WS,
        "@depth20: lastUpdateId, bids and asks, 20 a side at most",
        binance_partial,
    ),
    a(
        "binance_ws_book_ticker",
        BINANCE_WS,
        "@bookTicker: u, s, b, B, a, A, and neither e nor a time",
        binance_book_ticker,
    ),
    a(
        "binance_ws_subscribe",
        BINANCE_WS,
        "SUBSCRIBE is answered {\"result\":null,\"id\":7} and its stream begins",
        binance_subscribe,
    ),
    a(
        "binance_ws_ping",
        BINANCE_WS,
        "a ping frame every 20 s, which a pong with its payload keeps alive",
        binance_ping,
    ),
];

pub(super) fn no(found: impl Into<String>) -> Not {
    Not::Otherwise(found.into())
}

pub(super) fn answer<'a>(seen: &'a Seen, name: &str) -> Result<&'a Answer, Not> {
    seen.answer(name).map_err(Not::Unreachable)
}

pub(super) fn json(seen: &Seen, name: &str) -> Result<Value, Not> {
    answer(seen, name)?.json().map_err(Not::Otherwise)
}

pub(super) fn rows(seen: &Seen, name: &str) -> Result<Vec<Value>, Not> {
    match json(seen, name)? {
        Value::Array(rows) if !rows.is_empty() => Ok(rows),
        other => Err(no(format!("no list with entries: {}", shown(other.to_string().as_bytes())))),
    }
}

pub(super) fn read<T, E: std::fmt::Display>(parsed: Result<T, E>) -> Result<T, Not> {
    parsed.map_err(|e| no(format!("our parser: {e}")))
}

/// The fields that are missing in an object.
pub(super) fn lacks(value: &Value, fields: &[&str]) -> Result<(), Not> {
    let missing: Vec<&str> = fields.iter().copied().filter(|field| value.get(field).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(no(format!("{} missing in {}", missing.join(", "), shown(value.to_string().as_bytes()))))
}

fn upbit_markets(seen: &Seen) -> Verdict {
    let rows = rows(seen, "upbit_markets")?;
    for row in &rows {
        lacks(row, &["market", "market_event"])?;
        let event = &row["market_event"];
        if !event["warning"].is_boolean() || !event["caution"].is_object() {
            return Err(no(format!("market_event is {}", shown(event.to_string().as_bytes()))));
        }
    }
    let markets = read(venues::upbit::tables::parse_markets(&answer(seen, "upbit_markets")?.body))?;
    let krw = markets.iter().filter(|m| m.quote == Asset::KRW).count();
    if !markets.iter().any(|m| m.code == "KRW-USDT") {
        return Err(no(format!("{} markets, {krw} in KRW, no KRW-USDT: there is no rate", rows.len())));
    }
    Ok(format!("{} markets, {krw} in KRW", rows.len()))
}

fn upbit_tickers(seen: &Seen) -> Verdict {
    let rows = rows(seen, "upbit_tickers")?;
    rows.iter().try_for_each(|row| lacks(row, &["market", "acc_trade_price_24h"]))?;
    let read = read(venues::upbit::tables::parse_tickers_krw(&answer(seen, "upbit_tickers")?.body))?;
    Ok(format!("{} tickers, {} of KRW markets read", rows.len(), read.len()))
}

fn upbit_ticker(seen: &Seen) -> Verdict {
    let rows = rows(seen, "upbit_ticker")?;
    let names: Vec<&str> = rows.iter().filter_map(|row| row["market"].as_str()).collect();
    if names.contains(&"KRW-BTC") && names.contains(&"KRW-USDT") {
        return Ok(names.join(", "));
    }
    Err(no(format!("{names:?}")))
}

fn upbit_orderbook(seen: &Seen) -> Verdict {
    let rows = rows(seen, "upbit_orderbook")?;
    let mut found = Vec::new();
    for row in &rows {
        lacks(row, &["market", "timestamp", "total_ask_size", "total_bid_size", "orderbook_units"])?;
        let units = row["orderbook_units"].as_array().cloned().unwrap_or_default();
        units.iter().try_for_each(|unit| lacks(unit, &["ask_price", "bid_price", "ask_size", "bid_size"]))?;
        let asks: Vec<f64> =
            units.iter().filter_map(|unit| unit["ask_price"].as_f64()).filter(|price| *price > 0.0).collect();
        if asks.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(no("asks are not in order, best first"));
        }
        if units.len() > 30 {
            return Err(no(format!("{} units", units.len())));
        }
        found.push(format!("{}: {} units", row["market"].as_str().unwrap_or("?"), units.len()));
    }
    read(venues::upbit::tables::parse_orderbooks(&answer(seen, "upbit_orderbook")?.body))?;
    Ok(found.join(", "))
}

fn upbit_orderbook_count(seen: &Seen) -> Verdict {
    let rows = rows(seen, "upbit_orderbook_5")?;
    match rows[0]["orderbook_units"].as_array().map(Vec::len) {
        Some(5) => Ok("5 units".to_owned()),
        other => Err(no(format!("{other:?} units"))),
    }
}

fn upbit_instruments(seen: &Seen) -> Verdict {
    let rows = rows(seen, "upbit_instruments")?;
    rows.iter().try_for_each(|row| lacks(row, &["market", "tick_size", "supported_levels"]))?;
    let ticks = read(venues::upbit::tables::parse_instruments(&answer(seen, "upbit_instruments")?.body))?;
    let text: Vec<String> = ticks.iter().map(|(asset, tick)| format!("{asset} {tick}")).collect();
    Ok(text.join(", "))
}

fn upbit_ticks(seen: &Seen) -> Verdict {
    let ticks = read(venues::upbit::tables::parse_instruments(&answer(seen, "upbit_instruments")?.body))?;
    let books = read(venues::upbit::tables::parse_orderbooks(&answer(seen, "upbit_orderbook")?.body))?;
    let tick = ticks.iter().find(|(asset, _)| asset.as_str() == "BTC").map(|(_, tick)| *tick);
    let mid = books.iter().find(|row| row.code == "KRW-BTC").and_then(|row| row.book.mid());
    let (Some(tick), Some(mid)) = (tick, mid) else {
        return Err(Not::Skipped("KRW-BTC has no book or no tick".to_owned()));
    };
    let table = market::upbit_krw_tick(mid);
    if table == tick {
        return Ok(format!("{tick} at {mid}"));
    }
    Err(no(format!("{tick} at {mid}, where the table says {table}")))
}

fn upbit_candles(seen: &Seen) -> Verdict {
    let rows = rows(seen, "upbit_candles")?;
    rows.iter().try_for_each(|row| lacks(row, &["candle_date_time_utc", "trade_price"]))?;
    let times: Vec<&str> = rows.iter().filter_map(|row| row["candle_date_time_utc"].as_str()).collect();
    if times.windows(2).any(|pair| pair[0] <= pair[1]) {
        return Err(no(format!("not newest first: {times:?}")));
    }
    let candles = read(venues::upbit::wire::parse_candles(&answer(seen, "upbit_candles")?.body))?;
    Ok(format!("{} candles, the newest of {}", candles.len(), times[0]))
}

fn upbit_unknown(seen: &Seen) -> Verdict {
    let answer = answer(seen, "upbit_unknown")?;
    let error = serde_json::from_slice::<Value>(&answer.body).ok().filter(|body| body.get("error").is_some());
    let found = format!("status {}: {}", answer.status, shown(&answer.body));
    if matches!(answer.status, 400 | 404) && error.is_some() { Ok(found) } else { Err(no(found)) }
}

fn upbit_remaining(seen: &Seen) -> Verdict {
    let answer = answer(seen, "upbit_markets")?;
    let Some(value) = answer.headers.get("remaining-req") else { return Err(no("there is no such header")) };
    match venues::upbit::limits::remaining_sec(value) {
        Some(left) if value.contains("group=") && left <= 10 => Ok(value.clone()),
        _ => Err(no(value.clone())),
    }
}

fn upbit_date(seen: &Seen) -> Verdict {
    let answer = answer(seen, "upbit_ticker")?;
    let Some(value) = answer.headers.get("date") else { return Err(no("there is no such header")) };
    let Ok(theirs) = jiff::fmt::rfc2822::parse(value) else {
        return Err(no(format!("it cannot be read: {value}")));
    };
    // A clock of whole seconds may be anything up to a second later than it says.
    let ahead = answer.at_ms - theirs.timestamp().as_millisecond();
    if (-2_000..=3_000).contains(&ahead) {
        Ok(value.clone())
    } else {
        Err(no(format!("{value}: ours is {ahead} ms ahead")))
    }
}

pub(super) fn frames(seen: &Seen, name: &str) -> Result<Vec<Value>, Not> {
    seen.frames(name).map_err(Not::Unreachable)
}

pub(super) fn heard<'a>(seen: &'a Seen, name: &str) -> Result<&'a [Heard], Not> {
    seen.heard(name).map_err(Not::Unreachable)
}

/// The first frame that fits, or what came instead.
pub(super) fn first<'a>(
    frames: &'a [Value],
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> Result<&'a Value, Not> {
    frames.iter().find(|frame| fits(frame)).ok_or_else(|| {
        let instead = frames.first().map_or("nothing came".to_owned(), |f| shown(f.to_string().as_bytes()));
        no(format!("no {what} within the time; {instead}"))
    })
}

fn upbit_default(seen: &Seen) -> Verdict {
    let frames = frames(seen, "upbit_default")?;
    let frame = first(&frames, "order book", |f| f["type"] == "orderbook")?;
    lacks(
        frame,
        &["type", "code", "timestamp", "total_ask_size", "total_bid_size", "orderbook_units", "stream_type"],
    )?;
    parse_upbit(seen, "upbit_default")?;
    Ok(shown(frame.to_string().as_bytes()))
}

/// Every frame of ours to read.
fn parse_upbit(seen: &Seen, name: &str) -> Result<(), Not> {
    let mut levels = LevelBuffer::new();
    for frame in heard(seen, name)?.iter().filter(|h| matches!(h.kind, Kind::Text | Kind::Binary)) {
        read(venues::upbit::wire::parse(&frame.bytes, &mut levels).map(drop))?;
    }
    Ok(())
}

fn upbit_binary(seen: &Seen) -> Verdict {
    let books = heard(seen, "upbit_default")?;
    let is_book = |h: &&Heard| h.bytes.windows(15).any(|w| w == b"orderbook_units");
    match books.iter().find(is_book).map(|h| h.kind) {
        Some(Kind::Binary) => Ok("binary".to_owned()),
        Some(_) => Err(no("text")),
        None => Err(Not::Skipped("no book came".to_owned())),
    }
}

fn upbit_depth(seen: &Seen) -> Verdict {
    let default = frames(seen, "upbit_default")?;
    let five = first(&default, "order book", |f| f["type"] == "orderbook" && f["code"] == "KRW-BTC")?;
    let simple = frames(seen, "upbit_simple")?;
    let one = first(&simple, "book of KRW-BTC.1", |f| f["cd"] == "KRW-BTC")?;
    let fifteen = first(&simple, "book of KRW-USDT.15", |f| f["cd"] == "KRW-USDT")?;
    let count = |frame: &Value, field: &str| frame[field].as_array().map_or(0, Vec::len);
    let found = [count(five, "orderbook_units"), count(one, "obu"), count(fifteen, "obu")];
    let text = format!("{} for .5, {} for .1, {} for .15", found[0], found[1], found[2]);
    if found == [5, 1, 15] { Ok(text) } else { Err(no(text)) }
}

fn upbit_simple(seen: &Seen) -> Verdict {
    let frames = frames(seen, "upbit_simple")?;
    let frame = first(&frames, "order book", |f| f["ty"] == "orderbook")?;
    lacks(frame, &["ty", "cd", "tms", "tas", "tbs", "obu", "st"])?;
    lacks(&frame["obu"][0], &["ap", "bp", "as", "bs"])?;
    parse_upbit(seen, "upbit_simple")?;
    Ok(shown(frame.to_string().as_bytes()))
}

fn upbit_ping(seen: &Seen) -> Verdict {
    let frames = frames(seen, "upbit_default")?;
    let frame = first(&frames, "status", |f| f.get("status").is_some())?;
    if frame["status"] == "UP" { Ok(frame.to_string()) } else { Err(no(frame.to_string())) }
}

fn upbit_list(seen: &Seen) -> Verdict {
    let frames = frames(seen, "upbit_default")?;
    let listed =
        |f: &Value| f["method"] == "LIST_SUBSCRIPTIONS" || f.to_string().contains("LIST_SUBSCRIPTIONS");
    let frame = first(&frames, "answer to LIST_SUBSCRIPTIONS", listed)?;
    if frame.to_string().contains("KRW-BTC") {
        Ok(shown(frame.to_string().as_bytes()))
    } else {
        Err(no(shown(frame.to_string().as_bytes())))
    }
}

fn upbit_replaces(seen: &Seen) -> Verdict {
    let heard = heard(seen, "upbit_default")?;
    let said = heard.iter().rposition(|h| h.kind == Kind::Said).unwrap_or(0);
    // What was under way may still come.
    let settled = heard[said].after + Duration::from_secs(1);
    let code = |h: &Heard| {
        let frame: Value = serde_json::from_slice(&h.bytes).ok()?;
        frame["code"].as_str().map(str::to_owned)
    };
    let after: Vec<(Duration, String)> =
        heard[said..].iter().filter_map(|h| Some((h.after, code(h)?))).collect();
    if !after.iter().any(|(_, code)| code == "KRW-ETH") {
        return Err(no("the second subscription brought no KRW-ETH"));
    }
    let old = after.iter().filter(|(at, code)| *at > settled && code == "KRW-BTC").count();
    if old > 0 {
        Err(no(format!("{old} frames of the first subscription still came")))
    } else {
        Ok("KRW-ETH only".to_owned())
    }
}

fn upbit_silence(seen: &Seen) -> Verdict {
    let frames = frames(seen, "upbit_silent")?;
    match frames.first() {
        None => Ok("silence".to_owned()),
        Some(frame) => Err(no(shown(frame.to_string().as_bytes()))),
    }
}

fn upbit_error(seen: &Seen) -> Verdict {
    let frames = frames(seen, "upbit_wrong")?;
    let frame = first(&frames, "error", |f| f.get("error").is_some())?;
    lacks(&frame["error"], &["name", "message"])?;
    Ok(frame.to_string())
}
