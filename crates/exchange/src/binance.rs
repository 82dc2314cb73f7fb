//! Binance spot's server: REST and WebSocket.

use crate::binance_wire as wire;
use crate::faults::{Fault, Refusal as Refused};
use crate::hub::{BinanceView, Shared, Subscriptions, World};
use crate::limits::{Budget, Decision};
use crate::reply::Reply;
use crate::socket::{self, Closed, Dialogue};
use crate::transport::Peer;
use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{any, get};
use market::Venue;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What stands behind the question mark.
pub type Parameters = BTreeMap<String, String>;
type Body = fn(&World, &Shared, &Parameters) -> Result<String, Refusal>;
type Refusal = (i32, &'static str);

const INVALID_SYMBOL: Refusal = (-1121, "Invalid symbol.");
const NO_SYMBOL: Refusal =
    (-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.");
const ILLEGAL: Refusal = (-1100, "Illegal characters found in a parameter.");
/// A recording has no snapshot yet that fits the symbol's diffs.
const UNKNOWN_BOOK: Refusal = (-1001, "Internal error; unable to process your request. Please try again.");
const INVALID_INTERVAL: Refusal = (-1120, "Invalid interval.");

type Weight = fn(&Parameters) -> u32;

/// Path, weight and body of each request.
const ROUTES: [(&str, Weight, Body); 8] = [
    ("/api/v3/ping", |_| 1, |_, _, _| Ok("{}".to_owned())),
    ("/api/v3/time", |_| 1, time),
    ("/api/v3/exchangeInfo", |_| 20, exchange_info),
    ("/api/v3/ticker/24hr", ticker_weight, day_tickers),
    ("/api/v3/ticker/bookTicker", |q| if q.contains_key("symbol") { 2 } else { 4 }, tops),
    ("/api/v3/depth", depth_weight, depth),
    ("/fapi/v1/depth", depth_weight, depth),
    ("/api/v3/klines", |_| 2, klines),
];

/// The routes.
pub fn router(shared: Arc<Shared>) -> Router {
    let rest = get(|State(s): State<Arc<Shared>>, uri: Uri, Query(q): Query<Parameters>| async move {
        answer(&s, uri.path(), &q).send().await
    });
    let router = ROUTES.iter().fold(Router::new(), |router, (path, ..)| router.route(path, rest.clone()));
    router
        .route("/ws", any(connect_bare))
        .route("/ws/{*streams}", any(connect_raw))
        .route("/stream", any(connect_combined))
        .with_state(shared)
}

fn error(status: u16, code: i32, message: &str) -> Reply {
    Reply::json(status, serde_json::json!({ "code": code, "msg": message }).to_string())
}

fn refused(decision: Decision, now_ms: i64) -> Option<Reply> {
    let streams = "Please use WebSocket Streams for live updates to avoid polling the API.";
    let (status, retry, message) = match decision {
        Decision::Served { .. } => return None,
        Decision::TooMany { retry } => {
            let limit = "current limit is 6000 request weight per 1 MINUTE";
            (429, retry, format!("Too much request weight used; {limit}. {streams}"))
        }
        Decision::Banned { retry } => {
            let until = now_ms + retry.as_millis() as i64;
            (418, retry, format!("Way too much request weight used; IP banned until {until}. {streams}"))
        }
    };
    Some(error(status, -1003, &message).with("retry-after", retry.as_secs() + 1))
}

fn failed(refusal: Refused, now_ms: i64) -> Reply {
    match refusal {
        Refused::Cut => Reply::text(503, "market data is cut off"),
        Refused::Down => error(500, -1000, "An unknown error occurred while processing the request."),
        Refused::TooMany(wait) | Refused::Banned(wait) => {
            let banned = matches!(refusal, Refused::Banned(_));
            let decision =
                if banned { Decision::Banned { retry: wait } } else { Decision::TooMany { retry: wait } };
            let reply = refused(decision, now_ms).unwrap_or_else(|| Reply::json(429, String::new()));
            // Whoever comes back after that must not be refused again.
            let wait = wait.as_millis().div_ceil(1_000).max(1).to_string();
            Reply { headers: vec![("retry-after", wait)], ..reply }
        }
    }
}

/// Answers a GET request of `path`.
pub fn answer(shared: &Shared, path: &str, query: &Parameters) -> Reply {
    let Some((_, weight, body)) = ROUTES.iter().find(|(of, ..)| *of == path) else {
        return Reply::json(404, String::new());
    };
    let mut world = shared.lock();
    let symbol = query.get("symbol").and_then(|code| world.binance_symbol(code));
    let request = world.faults.request(Venue::Binance, symbol, path == "/api/v3/depth", shared.uptime());
    let now_ms = shared.now_ms();
    let limit = world.limits.binance.limit();
    let (used, reply) = if let Some(refusal) = request.refusal {
        (limit, failed(refusal, now_ms))
    } else {
        let decision = world.limits.binance.take(weight(query), shared.now());
        let used = if let Decision::Served { used } = decision { used } else { limit };
        let reply = refused(decision, now_ms).unwrap_or_else(|| match body(&world, shared, query) {
            Ok(text) => Reply::json(200, text),
            Err(refusal) if refusal == UNKNOWN_BOOK => error(503, refusal.0, refusal.1),
            Err((code, message)) => error(400, code, message),
        });
        (used, reply)
    };
    Reply { delay: request.delay, ..reply.with("x-mbx-used-weight-1m", used) }
}

fn time(world: &World, shared: &Shared, _: &Parameters) -> Result<String, Refusal> {
    Ok(format!(r#"{{"serverTime":{}}}"#, shared.venue_ms(world, Venue::Binance)))
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
        listed.filter(|(_, s)| s.listing.binance.is_some() && !s.held().delisted[1]).map(|(i, _)| i).collect()
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

fn depth(world: &World, shared: &Shared, query: &Parameters) -> Result<String, Refusal> {
    let code = query.get("symbol").ok_or(NO_SYMBOL)?;
    let index = world.binance_symbol(code).ok_or(INVALID_SYMBOL)?;
    let depth = limit(query, 100, 5_000).ok_or(ILLEGAL)?;
    if let Some(tape) = &world.tape {
        return tape.depth(index, depth).ok_or(UNKNOWN_BOOK);
    }
    let old = world.faults.old(index, shared.uptime());
    Ok(wire::book(old.unwrap_or(&world.model.symbols()[index]), depth))
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

async fn connect_bare(
    shared: State<Arc<Shared>>,
    peer: ConnectInfo<Peer>,
    upgrade: WebSocketUpgrade,
) -> Response {
    connect(shared, peer, upgrade, "", false).await
}

async fn connect_raw(
    shared: State<Arc<Shared>>,
    peer: ConnectInfo<Peer>,
    Path(streams): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    connect(shared, peer, upgrade, &streams, false).await
}

async fn connect_combined(
    shared: State<Arc<Shared>>,
    peer: ConnectInfo<Peer>,
    Query(query): Query<Parameters>,
    upgrade: WebSocketUpgrade,
) -> Response {
    connect(shared, peer, upgrade, query.get("streams").map_or("", String::as_str), true).await
}

/// What a connection to `streams` listens to.
///
/// # Errors
/// The answer to a connect that is refused.
pub fn admit(shared: &Shared, streams: &str, combined: bool) -> Result<Subscriptions, Reply> {
    let mut world = shared.lock();
    if world.faults.holds(Fault::Cut, Venue::Binance, None, shared.uptime()) {
        return Err(failed(Refused::Cut, shared.now_ms()));
    }
    let decision = world.limits.binance_connects.take(1, shared.now());
    let streams = streams.split('/').filter_map(|name| stream(&world, name)).collect();
    refused(decision, shared.now_ms()).map_or(Ok(Subscriptions::Binance { streams, combined }), Err)
}

async fn connect(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    upgrade: WebSocketUpgrade,
    streams: &str,
    combined: bool,
) -> Response {
    let subscriptions = match admit(&shared, streams, combined) {
        Ok(subscriptions) => subscriptions,
        Err(reply) => return reply.send().await,
    };
    upgrade.on_upgrade(move |socket| async move {
        let connected = shared.lock().connect(subscriptions, shared.uptime());
        let Some(outbox) = connected else { return };
        let dialogue = Binance::new(shared.clone(), outbox.id, shared.now());
        socket::serve(shared, socket, outbox, dialogue, peer).await;
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

/// A connection's dialogue.
pub struct Binance {
    shared: Arc<Shared>,
    id: u64,
    opened: Instant,
    pinged: Instant,
    ponged: Instant,
    messages: Budget,
}

impl Binance {
    /// Of a new connection.
    pub fn new(shared: Arc<Shared>, id: u64, now: Instant) -> Self {
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
        self.shared.lock().send(self.id, Message::Text(answer.to_string().into()), self.shared.uptime());
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
