//! What this version assumes of the venues, one line each: the expectation, where it stands in the protocol facts, and how an
//! answer is held against it. A client that finds one of these broken may read wrong books, so each is an exact question.

use super::live::{Answer, Heard, Kind, Seen, shown, weight_of};
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

type Verdict = Result<String, Not>;

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

fn no(found: impl Into<String>) -> Not {
    Not::Otherwise(found.into())
}

fn answer<'a>(seen: &'a Seen, name: &str) -> Result<&'a Answer, Not> {
    seen.answer(name).map_err(Not::Unreachable)
}

fn json(seen: &Seen, name: &str) -> Result<Value, Not> {
    answer(seen, name)?.json().map_err(Not::Otherwise)
}

fn rows(seen: &Seen, name: &str) -> Result<Vec<Value>, Not> {
    match json(seen, name)? {
        Value::Array(rows) if !rows.is_empty() => Ok(rows),
        other => Err(no(format!("no list with entries: {}", shown(other.to_string().as_bytes())))),
    }
}

fn read<T, E: std::fmt::Display>(parsed: Result<T, E>) -> Result<T, Not> {
    parsed.map_err(|e| no(format!("our parser: {e}")))
}

/// The fields that are missing in an object.
fn lacks(value: &Value, fields: &[&str]) -> Result<(), Not> {
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

fn frames(seen: &Seen, name: &str) -> Result<Vec<Value>, Not> {
    seen.frames(name).map_err(Not::Unreachable)
}

fn heard<'a>(seen: &'a Seen, name: &str) -> Result<&'a [Heard], Not> {
    seen.heard(name).map_err(Not::Unreachable)
}

/// The first frame that fits, or what came instead.
fn first<'a>(frames: &'a [Value], what: &str, fits: impl Fn(&Value) -> bool) -> Result<&'a Value, Not> {
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

fn binance_time(seen: &Seen) -> Verdict {
    let body = json(seen, "binance_time")?;
    let Some(theirs) = body["serverTime"].as_i64() else { return Err(no(body.to_string())) };
    let answer = answer(seen, "binance_time")?;
    let half = i64::try_from(answer.rtt.as_millis() / 2).unwrap_or(i64::MAX);
    let skew = answer.at_ms - half - theirs;
    let found = format!("our clock is {skew:+} ms off, the answer took {} ms", answer.rtt.as_millis());
    if skew.abs() <= 1_000 { Ok(found) } else { Err(no(found)) }
}

fn binance_info(seen: &Seen) -> Verdict {
    let body = json(seen, "binance_info")?;
    let symbols = body["symbols"].as_array().cloned().unwrap_or_default();
    let Some(btc) = symbols.iter().find(|s| s["symbol"] == "BTCUSDT") else {
        return Err(no(format!("no BTCUSDT among {} symbols", symbols.len())));
    };
    lacks(btc, &["status", "baseAsset", "quoteAsset", "filters"])?;
    let filters: Vec<&str> =
        btc["filters"].as_array().into_iter().flatten().filter_map(|f| f["filterType"].as_str()).collect();
    let notional = filters.contains(&"NOTIONAL") || filters.contains(&"MIN_NOTIONAL");
    if !(filters.contains(&"PRICE_FILTER") && filters.contains(&"LOT_SIZE") && notional) {
        return Err(no(format!("filters {filters:?}")));
    }
    read(venues::binance::tables::parse_exchange_info(&answer(seen, "binance_info")?.body))?;
    Ok(format!("{} symbols, BTCUSDT is {}", symbols.len(), btc["status"].as_str().unwrap_or("?")))
}

fn binance_tickers(seen: &Seen) -> Verdict {
    let rows = rows(seen, "binance_tickers")?;
    lacks(&rows[0], &["symbol", "quoteVolume"])?;
    if !rows[0]["quoteVolume"].is_string() {
        return Err(no(format!("quoteVolume is {}", rows[0]["quoteVolume"])));
    }
    let usdt = read(venues::binance::tables::parse_tickers_usdt(&answer(seen, "binance_tickers")?.body))?;
    Ok(format!("{} tickers, {} in USDT", rows.len(), usdt.len()))
}

fn binance_depth(seen: &Seen) -> Verdict {
    let body = json(seen, "binance_depth")?;
    lacks(&body, &["lastUpdateId", "bids", "asks"])?;
    let side = |name: &str| body[name].as_array().map_or(0, Vec::len);
    let text = body["bids"][0][0].is_string() && body["bids"][0][1].is_string();
    let found = format!("{} bids, {} asks, id {}", side("bids"), side("asks"), body["lastUpdateId"]);
    if !text || side("bids") > 100 || side("asks") > 100 {
        return Err(no(found));
    }
    let mut levels = LevelBuffer::new();
    read(venues::binance::wire::parse_snapshot(&answer(seen, "binance_depth")?.body, &mut levels))?;
    Ok(found)
}

fn binance_klines(seen: &Seen) -> Verdict {
    let rows = rows(seen, "binance_klines")?;
    if rows[0].as_array().map_or(0, Vec::len) < 6 || !rows[0][0].is_i64() && !rows[0][0].is_u64() {
        return Err(no(shown(rows[0].to_string().as_bytes())));
    }
    let candles = read(venues::binance::wire::parse_klines(&answer(seen, "binance_klines")?.body))?;
    Ok(format!("{} klines", candles.len()))
}

fn binance_unknown(seen: &Seen) -> Verdict {
    let answer = answer(seen, "binance_unknown")?;
    let code = serde_json::from_slice::<Value>(&answer.body).ok().and_then(|body| body["code"].as_i64());
    let found = format!("status {}: {}", answer.status, shown(&answer.body));
    if answer.status == 400 && code == Some(-1_121) { Ok(found) } else { Err(no(found)) }
}

fn used(answer: &Answer) -> Option<u32> {
    answer.headers.get("x-mbx-used-weight-1m")?.trim().parse().ok()
}

fn binance_header(seen: &Seen) -> Verdict {
    let names = ["binance_time", "binance_depth", "binance_klines", "binance_depth_500"];
    let mut used_up = Vec::new();
    for name in names {
        let answer = answer(seen, name)?;
        let Some(weight) = used(answer) else { return Err(no(format!("{name} has no such header"))) };
        used_up.push(weight);
    }
    let text = format!("{used_up:?}");
    let falls = used_up.windows(2).filter(|pair| pair[1] < pair[0]).count();
    // A window that ends in between starts anew, once.
    if falls > 1 { Err(no(text)) } else { Ok(text) }
}

/// The growth of the used weight from one answer to the next is the weight of the second.
fn binance_weights(seen: &Seen) -> Verdict {
    let order = [
        "binance_time",
        "binance_depth",
        "binance_klines",
        "binance_depth_500",
        "binance_info",
        "binance_tickers",
    ];
    let (mut found, mut wrong) = (Vec::new(), false);
    for pair in order.windows(2) {
        let (Some(before), Some(after)) = (used(answer(seen, pair[0])?), used(answer(seen, pair[1])?)) else {
            return Err(Not::Skipped("there is no such header".to_owned()));
        };
        let Some(grown) = after.checked_sub(before) else { continue };
        wrong |= Some(grown) != weight_of(pair[1]);
        found.push(format!("{} {grown}", pair[1].trim_start_matches("binance_")));
    }
    let text = found.join(", ");
    if wrong { Err(no(format!("{text}; others on this address may have asked meanwhile"))) } else { Ok(text) }
}

fn diffs(seen: &Seen) -> Result<Vec<Value>, Not> {
    let frames = frames(seen, "binance_raw")?;
    Ok(frames.into_iter().filter(|f| f["e"] == "depthUpdate" && f["s"] == "BTCUSDT").collect())
}

fn binance_diff(seen: &Seen) -> Verdict {
    let frames = frames(seen, "binance_raw")?;
    let frame = first(&frames, "depthUpdate", |f| f["e"] == "depthUpdate")?;
    lacks(frame, &["E", "s", "U", "u", "b", "a"])?;
    let level = frame["b"].get(0).or_else(|| frame["a"].get(0));
    if level.is_some_and(|level| !level[0].is_string() || !level[1].is_string()) {
        return Err(no(shown(frame.to_string().as_bytes())));
    }
    let mut levels = LevelBuffer::new();
    for frame in heard(seen, "binance_raw")?.iter().filter(|h| h.kind == Kind::Text) {
        read(venues::binance::wire::parse(&frame.bytes, &mut levels).map(drop))?;
    }
    Ok(shown(frame.to_string().as_bytes()))
}

fn binance_sequence(seen: &Seen) -> Verdict {
    let diffs = diffs(seen)?;
    if diffs.len() < 2 {
        return Err(Not::Skipped(format!("{} diffs came", diffs.len())));
    }
    let ids: Vec<(u64, u64)> =
        diffs.iter().filter_map(|d| Some((d["U"].as_u64()?, d["u"].as_u64()?))).collect();
    match ids.windows(2).find(|pair| pair[1].0 != pair[0].1 + 1) {
        None => Ok(format!("{} diffs without a gap", ids.len())),
        Some(pair) => Err(no(format!("U {} after u {}", pair[1].0, pair[0].1))),
    }
}

fn binance_fits(seen: &Seen) -> Verdict {
    let snapshot = json(seen, "binance_depth")?["lastUpdateId"].as_u64();
    let diffs = diffs(seen)?;
    let (Some(snapshot), Some(first)) = (snapshot, diffs.first().and_then(|d| d["u"].as_u64())) else {
        return Err(Not::Skipped("no diff came".to_owned()));
    };
    // The snapshot was fetched before the socket was opened.
    if first >= snapshot {
        Ok(format!("snapshot {snapshot}, diff {first}"))
    } else {
        Err(no(format!("snapshot {snapshot}, a later diff {first}")))
    }
}

fn data(seen: &Seen, stream: &str) -> Result<Value, Not> {
    let frames = frames(seen, "binance_combined")?;
    Ok(first(&frames, stream, |f| f["stream"] == stream)?["data"].clone())
}

fn binance_combined(seen: &Seen) -> Verdict {
    let frames = frames(seen, "binance_combined")?;
    first(&frames, "message", |f| f.get("stream").is_some() && f.get("data").is_some())?;
    let mut names: Vec<&str> = frames.iter().filter_map(|f| f["stream"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names.join(", "))
}

fn binance_partial(seen: &Seen) -> Verdict {
    let data = data(seen, "btcusdt@depth20@100ms")?;
    lacks(&data, &["lastUpdateId", "bids", "asks"])?;
    let side = |name: &str| data[name].as_array().map_or(0, Vec::len);
    let found = format!("{} bids, {} asks", side("bids"), side("asks"));
    if side("bids").max(side("asks")) > 20 { Err(no(found)) } else { Ok(found) }
}

fn binance_book_ticker(seen: &Seen) -> Verdict {
    let data = data(seen, "btcusdt@bookTicker")?;
    lacks(&data, &["u", "s", "b", "B", "a", "A"])?;
    if data.get("e").is_some() || data.get("E").is_some() {
        return Err(no(format!("it has an event name or a time now: {data}")));
    }
    Ok(data.to_string())
}

fn binance_subscribe(seen: &Seen) -> Verdict {
    let frames = frames(seen, "binance_raw")?;
    let answer = first(&frames, "answer with the id", |f| f["id"] == 7)?;
    if !answer["result"].is_null() || answer.get("error").is_some() {
        return Err(no(answer.to_string()));
    }
    first(&frames, "diff of ETHUSDT", |f| f["s"] == "ETHUSDT")?;
    Ok(answer.to_string())
}

fn binance_ping(seen: &Seen) -> Verdict {
    let heard = heard(seen, "binance_combined")?;
    let closed = heard.iter().any(|h| h.kind == Kind::Close);
    let last = heard.last().map_or(Duration::ZERO, |h| h.after);
    match heard.iter().find(|h| h.kind == Kind::Ping) {
        Some(ping) if !closed => {
            Ok(format!("after {:.1} s, payload {:?}", ping.after.as_secs_f64(), shown(&ping.bytes)))
        }
        Some(_) => Err(no("the connection was closed after it")),
        None if last < Duration::from_secs(21) => Err(Not::Skipped(format!(
            "none within {:.0} s: listen longer with --listen 25",
            last.as_secs_f64()
        ))),
        None => Err(no(format!("none within {:.0} s", last.as_secs_f64()))),
    }
}
