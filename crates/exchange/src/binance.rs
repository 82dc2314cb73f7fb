//! Binance spot's server: REST and WebSocket.

use crate::binance_wire as wire;
use crate::control::{gate, json};
use crate::hub::{BinanceView, Closed, Dialogue, Shared, Subscriptions, World, serve_socket};
use crate::limits::{Budget, Decision};
use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{any, get};
use market::Venue;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Parameters = BTreeMap<String, String>;
type Body = fn(&World, &Shared, &Parameters) -> Result<String, Refusal>;
type Refusal = (i32, &'static str);

const INVALID_SYMBOL: Refusal = (-1121, "Invalid symbol.");
const NO_SYMBOL: Refusal =
    (-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.");
const ILLEGAL: Refusal = (-1100, "Illegal characters found in a parameter.");
/// A recording has no snapshot yet that fits the symbol's diffs.
const UNKNOWN_BOOK: Refusal = (-1001, "Internal error; unable to process your request. Please try again.");
const INVALID_INTERVAL: Refusal = (-1120, "Invalid interval.");

/// The routes.
pub fn router(shared: Arc<Shared>) -> Router {
    let rest = |weight: fn(&Parameters) -> u32, body: Body| {
        get(move |State(s): State<Arc<Shared>>, Query(q): Query<Parameters>| async move {
            answer(&s, weight(&q), &q, body)
        })
    };
    Router::new()
        .route("/api/v3/ping", rest(|_| 1, |_, _, _| Ok("{}".to_owned())))
        .route("/api/v3/time", rest(|_| 1, |_, s, _| Ok(format!(r#"{{"serverTime":{}}}"#, s.now_ms()))))
        .route("/api/v3/exchangeInfo", rest(|_| 20, exchange_info))
        .route("/api/v3/ticker/24hr", rest(ticker_weight, day_tickers))
        .route("/api/v3/ticker/bookTicker", rest(|q| if q.contains_key("symbol") { 2 } else { 4 }, tops))
        .route("/api/v3/depth", rest(depth_weight, depth))
        .route("/fapi/v1/depth", rest(depth_weight, depth))
        .route("/api/v3/klines", rest(|_| 2, klines))
        .route("/ws", any(connect_bare))
        .route("/ws/{*streams}", any(connect_raw))
        .route("/stream", any(connect_combined))
        .layer(from_fn_with_state(shared.clone(), gate))
        .with_state(shared)
}

fn error(status: StatusCode, (code, message): Refusal) -> Response {
    json(status, serde_json::json!({ "code": code, "msg": message }).to_string())
}

const TOO_MUCH: Refusal = (
    -1003,
    "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. Please use WebSocket Streams for \
     live updates to avoid polling the API.",
);

fn refused(decision: Decision) -> Option<Response> {
    let (status, retry) = match decision {
        Decision::Served { .. } => return None,
        Decision::TooMany { retry } => (StatusCode::TOO_MANY_REQUESTS, retry),
        Decision::Banned { retry } => (StatusCode::IM_A_TEAPOT, retry),
    };
    let mut response = error(status, TOO_MUCH);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry.as_secs() + 1));
    Some(response)
}

fn answer(shared: &Shared, weight: u32, query: &Parameters, body: Body) -> Response {
    let mut world = shared.lock();
    let decision = world.limits.binance.take(weight, Instant::now());
    let used = match decision {
        Decision::Served { used } => used,
        _ => world.limits.binance.limit(),
    };
    let mut response = match refused(decision) {
        Some(response) => response,
        None => match body(&world, shared, query) {
            Ok(text) => json(StatusCode::OK, text),
            Err(refusal) if refusal == UNKNOWN_BOOK => error(StatusCode::SERVICE_UNAVAILABLE, refusal),
            Err(refusal) => error(StatusCode::BAD_REQUEST, refusal),
        },
    };
    response.headers_mut().insert("x-mbx-used-weight-1m", HeaderValue::from(used));
    response
}

/// `symbol=` or `symbols=["A","B"]`; `None` when neither is given.
fn asked(world: &World, query: &Parameters) -> Result<Option<Vec<usize>>, Refusal> {
    let find = |code: &str| world.binance_symbol(code).ok_or(INVALID_SYMBOL);
    if let Some(symbol) = query.get("symbol") {
        return Ok(Some(vec![find(symbol)?]));
    }
    let Some(list) = query.get("symbols") else { return Ok(None) };
    let names: Vec<String> = serde_json::from_str(list).map_err(|_| ILLEGAL)?;
    names.iter().map(|n| find(n)).collect::<Result<_, _>>().map(Some)
}

/// The same, all symbols when none is named.
fn asked_or_all(world: &World, query: &Parameters) -> Result<Vec<usize>, Refusal> {
    Ok(asked(world, query)?.unwrap_or_else(|| {
        let listed = world.model.symbols().iter().enumerate();
        listed.filter(|(_, s)| s.listing.binance.is_some()).map(|(i, _)| i).collect()
    }))
}

/// One object for `symbol=`, else a list.
fn objects(query: &Parameters, items: Vec<String>) -> String {
    if query.contains_key("symbol") { items.concat() } else { format!("[{}]", items.join(",")) }
}

fn exchange_info(world: &World, shared: &Shared, query: &Parameters) -> Result<String, Refusal> {
    let indices = asked_or_all(world, query)?;
    let items: Vec<String> =
        indices.into_iter().map(|i| wire::symbol_info(&world.model.symbols()[i])).collect();
    Ok(wire::exchange_info(shared.now_ms(), &items))
}

fn ticker_weight(query: &Parameters) -> u32 {
    match (query.get("symbol"), query.get("symbols")) {
        (Some(_), _) => 2,
        (None, Some(list)) => match list.matches(',').count() + 1 {
            0..=20 => 2,
            21..=100 => 40,
            _ => 80,
        },
        (None, None) => 80,
    }
}

fn day_tickers(world: &World, shared: &Shared, query: &Parameters) -> Result<String, Refusal> {
    let now = shared.now_ms();
    let indices = asked_or_all(world, query)?.into_iter();
    let items =
        indices.map(|i| wire::ticker_24h(&world.model.symbols()[i], now, &world.binance_candles(i, 240)));
    Ok(objects(query, items.collect()))
}

fn tops(world: &World, _: &Shared, query: &Parameters) -> Result<String, Refusal> {
    let indices = asked_or_all(world, query)?.into_iter();
    if let Some(tape) = &world.tape {
        let known = indices.filter_map(|i| {
            let code = world.model.symbols()[i].listing.binance.as_deref()?;
            let [b, bq, a, aq] = tape.top(i)?;
            Some(format!(
                r#"{{"symbol":"{code}","bidPrice":"{b}","bidQty":"{bq}","askPrice":"{a}","askQty":"{aq}"}}"#
            ))
        });
        return Ok(objects(query, known.collect()));
    }
    let items = indices.map(|i| wire::book_ticker(&world.model.symbols()[i], true));
    Ok(objects(query, items.collect()))
}

fn limit(query: &Parameters, usual: usize, most: usize) -> Option<usize> {
    match query.get("limit") {
        None => Some(usual),
        Some(text) => text.parse::<usize>().ok().filter(|n| *n > 0).map(|n| n.min(most)),
    }
}

fn depth_weight(query: &Parameters) -> u32 {
    match limit(query, 100, 5_000) {
        Some(101..=500) => 25,
        Some(501..=1_000) => 50,
        Some(1_001..) => 250,
        _ => 5,
    }
}

fn depth(world: &World, _: &Shared, query: &Parameters) -> Result<String, Refusal> {
    let code = query.get("symbol").ok_or(NO_SYMBOL)?;
    let index = world.binance_symbol(code).ok_or(INVALID_SYMBOL)?;
    let depth = limit(query, 100, 5_000).ok_or(ILLEGAL)?;
    if let Some(tape) = &world.tape {
        return tape.depth(index, depth).ok_or(UNKNOWN_BOOK);
    }
    Ok(wire::book(&world.model.symbols()[index], depth))
}

fn klines(world: &World, _: &Shared, query: &Parameters) -> Result<String, Refusal> {
    let code = query.get("symbol").ok_or(NO_SYMBOL)?;
    let index = world.binance_symbol(code).ok_or(INVALID_SYMBOL)?;
    if query.get("interval").map(String::as_str) != Some("1m") {
        return Err(INVALID_INTERVAL);
    }
    let count = limit(query, 500, 1_000).ok_or(ILLEGAL)?;
    let time = |key: &str, absent: i64| match query.get(key) {
        None => Ok(absent),
        Some(text) => text.parse::<i64>().map_err(|_| ILLEGAL),
    };
    let (from, to) = (time("startTime", i64::MIN)?, time("endTime", i64::MAX)?);
    let bounded = from != i64::MIN || to != i64::MAX;
    let candles = world.binance_candles(index, if bounded { 2_500 } else { count });
    let symbol = &world.model.symbols()[index];
    let mut candles = world.candle_rows(Venue::Binance, index, &candles, |c| wire::kline(symbol, c));
    candles.reverse();
    candles.retain(|(minute, _)| (from..=to).contains(&(minute * 60_000)));
    // With a start the oldest are meant, without one the newest.
    let skip = if from == i64::MIN { candles.len().saturating_sub(count) } else { 0 };
    let rows: Vec<String> = candles.into_iter().skip(skip).take(count).map(|(_, row)| row).collect();
    Ok(format!("[{}]", rows.join(",")))
}

async fn connect_bare(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    connect(shared, upgrade, "", false)
}

async fn connect_raw(
    State(shared): State<Arc<Shared>>,
    Path(streams): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    connect(shared, upgrade, &streams, false)
}

async fn connect_combined(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<Parameters>,
    upgrade: WebSocketUpgrade,
) -> Response {
    connect(shared, upgrade, query.get("streams").map_or("", String::as_str), true)
}

fn connect(shared: Arc<Shared>, upgrade: WebSocketUpgrade, streams: &str, combined: bool) -> Response {
    let outcome = {
        let mut world = shared.lock();
        let decision = world.limits.binance_connects.take(1, Instant::now());
        let streams = streams.split('/').filter_map(|name| stream(&world, name)).collect::<Vec<_>>();
        refused(decision).map_or(Ok(streams), Err)
    };
    let streams = match outcome {
        Ok(streams) => streams,
        Err(response) => return response,
    };
    upgrade.on_upgrade(move |socket| async move {
        let connected = shared.lock().connect(Subscriptions::Binance { streams, combined });
        let Some(outbox) = connected else { return };
        let dialogue = Binance::new(shared.clone(), outbox.id, Instant::now());
        serve_socket(shared, socket, outbox, dialogue).await;
    })
}

/// Reads `btcusdt@depth@100ms`. Names in upper case and unknown ones stay silent, as at the venue.
fn stream(world: &World, name: &str) -> Option<(usize, BinanceView)> {
    let (code, view) = name.split_once('@')?;
    if code.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    Some((world.binance_symbol(&code.to_ascii_uppercase())?, BinanceView::parse(view)?))
}

const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_WITHIN: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(24 * 3_600);
const MOST_STREAMS: usize = 1_024;

struct Binance {
    shared: Arc<Shared>,
    id: u64,
    opened: Instant,
    pinged: Instant,
    ponged: Instant,
    messages: Budget,
}

impl Binance {
    fn new(shared: Arc<Shared>, id: u64, now: Instant) -> Self {
        let second = Duration::from_secs(1);
        let messages = Budget::new(5, second, second);
        Self { shared, id, opened: now, pinged: now, ponged: now, messages }
    }

    fn request(&self, text: &str) -> Result<Value, Value> {
        let invalid = |id: &Value, message: &str| serde_json::json!({ "error": { "code": 2, "msg": format!("Invalid request: {message}") }, "id": id });
        let request: Value = serde_json::from_str(text)
            .map_err(|_| serde_json::json!({ "error": { "code": 3, "msg": "Invalid JSON" } }))?;
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        let method = request.get("method").and_then(Value::as_str);
        let names = || -> Result<Vec<&str>, Value> {
            let list = request.get("params").and_then(Value::as_array);
            list.and_then(|l| l.iter().map(Value::as_str).collect())
                .ok_or_else(|| invalid(&id, "params must be an array of strings"))
        };
        let mut world = self.shared.lock();
        let (mut streams, combined) = match world.subscriptions(self.id) {
            Some(Subscriptions::Binance { streams, combined }) => (streams.clone(), *combined),
            _ => return Err(invalid(&id, "the connection is closing")),
        };
        match method {
            Some("SUBSCRIBE") => {
                for entry in names()?.into_iter().filter_map(|n| stream(&world, n)) {
                    if !streams.contains(&entry) {
                        streams.push(entry);
                    }
                }
                if streams.len() > MOST_STREAMS {
                    return Err(invalid(&id, "too many streams"));
                }
            }
            Some("UNSUBSCRIBE") => {
                for entry in names()?.into_iter().filter_map(|n| stream(&world, n)) {
                    streams.retain(|s| *s != entry);
                }
            }
            Some("LIST_SUBSCRIPTIONS") => {
                let named = streams.iter().filter_map(|(index, view)| {
                    let code = world.model.symbols()[*index].listing.binance.as_deref()?;
                    Some(format!("{}@{}", code.to_ascii_lowercase(), view.name()))
                });
                return Ok(serde_json::json!({ "result": named.collect::<Vec<_>>(), "id": id }));
            }
            _ => return Err(invalid(&id, "unknown variant for method")),
        }
        world.subscribe(self.id, Subscriptions::Binance { streams, combined });
        Ok(serde_json::json!({ "result": null, "id": id }))
    }
}

impl Dialogue for Binance {
    fn text(&mut self, text: &str, now: Instant) -> Result<(), Closed> {
        if !matches!(self.messages.take(1, now), Decision::Served { .. }) {
            return Err(Closed);
        }
        let answer = self.request(text).unwrap_or_else(|error| error);
        self.shared.lock().send(self.id, Message::Text(answer.to_string().into()));
        Ok(())
    }

    fn alive(&mut self, pong: bool, now: Instant) {
        if pong {
            self.ponged = now;
        }
    }

    fn second(&mut self, now: Instant) -> Result<Option<Message>, Closed> {
        if now.duration_since(self.opened) >= LIFE
            || now.duration_since(self.ponged) >= PING_EVERY + PONG_WITHIN
        {
            return Err(Closed);
        }
        if now.duration_since(self.pinged) >= PING_EVERY {
            self.pinged = now;
            return Ok(Some(Message::Ping(self.shared.now_ms().to_string().into_bytes().into())));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MarketKind, Model};

    #[test]
    fn the_server_pings_and_closes_who_does_not_answer_and_who_is_a_day_old() {
        let shared = Shared::new(Model::new(1, MarketKind::Calm, 1, 0, &[]).unwrap(), 0);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut socket = Binance::new(shared, 1, start);
        assert!(matches!(socket.second(after(19)), Ok(None)));
        assert!(matches!(socket.second(after(20)), Ok(Some(Message::Ping(_)))));
        assert!(matches!(socket.second(after(21)), Ok(None)));
        assert!(socket.second(after(80)).is_err());
        socket.alive(true, after(70));
        assert!(socket.second(after(80)).is_ok());
        socket.alive(true, after(24 * 3_600 - 1));
        assert!(socket.second(after(24 * 3_600 - 1)).is_ok());
        assert!(socket.second(after(24 * 3_600)).is_err());
    }

    #[test]
    fn stream_names_are_lower_case() {
        let shared = Shared::new(Model::new(1, MarketKind::Calm, 1, 0, &[]).unwrap(), 0);
        let world = shared.lock();
        for (name, view) in [
            ("btcusdt@depth@100ms", Some(BinanceView::Diff)),
            ("btcusdt@bookTicker", Some(BinanceView::Top)),
            ("btcusdt@depth20", Some(BinanceView::Partial { depth: 20, slow: true })),
            ("btcusdt@depth5@100ms", Some(BinanceView::Partial { depth: 5, slow: false })),
            ("BTCUSDT@bookTicker", None),
            ("nopeusdt@bookTicker", None),
            ("btcusdt@depth7", None),
        ] {
            assert_eq!(stream(&world, name).map(|s| s.1), view, "{name}");
        }
    }
}
