//! Upbit's server: REST and WebSocket.

use crate::Format;
use crate::control::{gate, json};
use crate::hub::{Closed, Dialogue, Shared, Subscriptions, UpbitView, World, serve_socket};
use crate::limits::{Budget, Decision};
use crate::upbit_wire as wire;
use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use market::Venue;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Parameters = Query<BTreeMap<String, String>>;
type Body = fn(&World, &Shared, &BTreeMap<String, String>) -> Result<String, (StatusCode, &'static str)>;

/// The routes.
pub fn router(shared: Arc<Shared>) -> Router {
    let rest = |group: &'static str, body: Body| {
        get(move |State(s): State<Arc<Shared>>, headers: HeaderMap, Query(q): Parameters| async move {
            answer(&s, group, &headers, &q, body)
        })
    };
    Router::new()
        .route("/v1/market/all", rest("market", markets))
        .route("/v1/ticker", rest("ticker", tickers))
        .route("/v1/ticker/all", rest("ticker", all_tickers))
        .route("/v1/orderbook", rest("orderbook", orderbooks))
        .route("/v1/orderbook/instruments", rest("orderbook", instruments))
        .route("/v1/candles/minutes/1", rest("candle", candles))
        .route("/websocket/v1", any(connect))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "no Route matched with those values") })
        .layer(from_fn_with_state(shared.clone(), gate))
        .with_state(shared)
}

fn error(status: StatusCode, message: &str) -> Response {
    let body = serde_json::json!({ "error": { "name": status.as_u16(), "message": message } });
    json(status, body.to_string())
}

fn refused(decision: Decision) -> Option<Response> {
    match decision {
        Decision::Served { .. } => None,
        Decision::TooMany { .. } => {
            Some((StatusCode::TOO_MANY_REQUESTS, "Too many API requests.").into_response())
        }
        Decision::Banned { retry } => {
            let body = serde_json::json!({ "error": {
                "name": "too_many_requests",
                "message": format!("Blocked for {} seconds.", retry.as_secs().max(1)),
            } });
            Some(json(StatusCode::IM_A_TEAPOT, body.to_string()))
        }
    }
}

fn remaining(group: &str, budget: &Budget, decision: Decision) -> Option<HeaderValue> {
    let left = match decision {
        Decision::Served { used } => budget.limit() - used,
        Decision::TooMany { .. } => 0,
        Decision::Banned { .. } => return None,
    };
    HeaderValue::from_str(&format!("group={group}; min=600; sec={left}")).ok()
}

fn answer(
    shared: &Shared,
    group: &'static str,
    headers: &HeaderMap,
    query: &BTreeMap<String, String>,
    body: Body,
) -> Response {
    let mut world = shared.lock();
    let now = Instant::now();
    if headers.contains_key(header::ORIGIN)
        && let Some(response) = refused(world.limits.upbit_origin.take(1, now))
    {
        return response;
    }
    let budget = world.limits.upbit(group);
    let decision = budget.take(1, now);
    let left = remaining(group, budget, decision);
    let mut response = match refused(decision) {
        Some(response) => response,
        None => match body(&world, shared, query) {
            Ok(text) => json(StatusCode::OK, text),
            Err((status, message)) => error(status, message),
        },
    };
    if let Some(left) = left {
        response.headers_mut().insert("remaining-req", left);
    }
    response
}

const MISSING: (StatusCode, &str) =
    (StatusCode::BAD_REQUEST, "Missing request parameter. Check the required parameters!");
const UNKNOWN: (StatusCode, &str) = (StatusCode::NOT_FOUND, "Code not found");

/// The symbols of a comma-separated list, with their codes.
fn wanted<'q>(
    world: &World,
    query: &'q BTreeMap<String, String>,
    key: &str,
) -> Result<Vec<(usize, &'q str)>, (StatusCode, &'static str)> {
    let list = query.get(key).filter(|l| !l.is_empty()).ok_or(MISSING)?;
    list.split(',').map(|code| Ok((world.upbit_symbol(code).ok_or(UNKNOWN)?, code))).collect()
}

fn array(items: Vec<String>) -> String {
    format!("[{}]", items.join(","))
}

fn markets(
    world: &World,
    _: &Shared,
    query: &BTreeMap<String, String>,
) -> Result<String, (StatusCode, &'static str)> {
    let details = query.get("is_details").or_else(|| query.get("isDetails")).is_some_and(|v| v == "true");
    let listed = world.model.symbols().iter();
    let items = listed.filter_map(|s| s.listing.upbit.as_deref().map(|code| wire::market(s, code, details)));
    Ok(array(items.collect()))
}

fn one_ticker(world: &World, shared: &Shared, index: usize, code: &str) -> String {
    let day = world.upbit_candles(index, 240);
    wire::ticker(&world.model.symbols()[index], code, shared.now_ms(), world.fx_mid(), &day)
}

fn tickers(
    world: &World,
    shared: &Shared,
    query: &BTreeMap<String, String>,
) -> Result<String, (StatusCode, &'static str)> {
    let wanted = wanted(world, query, "markets")?;
    Ok(array(wanted.into_iter().map(|(index, code)| one_ticker(world, shared, index, code)).collect()))
}

fn all_tickers(
    world: &World,
    shared: &Shared,
    query: &BTreeMap<String, String>,
) -> Result<String, (StatusCode, &'static str)> {
    let quotes = query.get("quote_currencies").ok_or(MISSING)?;
    if !quotes.split(',').any(|q| q == "KRW") {
        return Ok("[]".to_owned());
    }
    let listed = world.model.symbols().iter().enumerate();
    let items =
        listed.filter_map(|(i, s)| s.listing.upbit.as_deref().map(|code| one_ticker(world, shared, i, code)));
    Ok(array(items.collect()))
}

fn orderbooks(
    world: &World,
    shared: &Shared,
    query: &BTreeMap<String, String>,
) -> Result<String, (StatusCode, &'static str)> {
    let wanted = wanted(world, query, "markets")?;
    let depth = match query.get("count") {
        None => 30,
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|n| (1..=30).contains(n))
            .ok_or((StatusCode::BAD_REQUEST, "count must be between 1 and 30"))?,
    };
    let now = shared.now_ms();
    if let Some(tape) = &world.tape {
        let known = wanted.into_iter().filter_map(|(index, code)| Some(tape.upbit(index)?.rest(code, depth)));
        return Ok(array(known.collect()));
    }
    let items = wanted.into_iter().map(|(index, code)| {
        let [bids, asks] = &world.model.symbols()[index].upbit;
        wire::orderbook_rest(code, now, bids.rungs(), asks.rungs(), depth)
    });
    Ok(array(items.collect()))
}

fn instruments(
    world: &World,
    _: &Shared,
    query: &BTreeMap<String, String>,
) -> Result<String, (StatusCode, &'static str)> {
    let wanted = wanted(world, query, "markets")?;
    if let Some(tape) = &world.tape {
        let known =
            wanted.into_iter().filter_map(|(i, code)| Some(wire::instrument_of(code, tape.upbit_tick(i)?)));
        return Ok(array(known.collect()));
    }
    let items = wanted.into_iter().map(|(index, code)| wire::instrument(&world.model.symbols()[index], code));
    Ok(array(items.collect()))
}

fn candles(
    world: &World,
    _: &Shared,
    query: &BTreeMap<String, String>,
) -> Result<String, (StatusCode, &'static str)> {
    let code = query.get("market").ok_or(MISSING)?;
    let index = world.upbit_symbol(code).ok_or(UNKNOWN)?;
    let count = match query.get("count") {
        None => 1,
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|n| (1..=200).contains(n))
            .ok_or((StatusCode::BAD_REQUEST, "count must be between 1 and 200"))?,
    };
    let to = match query.get("to").filter(|t| !t.is_empty()) {
        None => i64::MAX,
        Some(text) => moment(text).ok_or((StatusCode::BAD_REQUEST, "to is no date and time"))?,
    };
    let fetched = world.upbit_candles(index, if to == i64::MAX { count } else { 2_000 });
    let symbol = &world.model.symbols()[index];
    let fx = world.fx_mid();
    let rows = world.candle_rows(Venue::Upbit, index, &fetched, |c| wire::candle(symbol, code, c, fx));
    let kept = rows.into_iter().filter(|(minute, _)| *minute < to / 60_000 || to == i64::MAX).take(count);
    Ok(array(kept.map(|(_, row)| row).collect()))
}

/// `to` as the venue reads it: with an offset, or UTC without one.
fn moment(text: &str) -> Option<i64> {
    let text = text.replace(' ', "T");
    let parse = |t: &str| t.parse::<jiff::Timestamp>().ok().map(|t| t.as_millisecond());
    parse(&text).or_else(|| parse(&format!("{text}Z")))
}

async fn connect(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let decision = shared.lock().limits.upbit_connects.take(1, Instant::now());
    if let Some(response) = refused(decision) {
        return response;
    }
    upgrade.on_upgrade(move |socket| async move {
        let connected = shared.lock().connect(Subscriptions::Upbit(Vec::new()));
        let Some(outbox) = connected else { return };
        let dialogue = Upbit::new(shared.clone(), outbox.id, Instant::now());
        serve_socket(shared, socket, outbox, dialogue).await;
    })
}

/// A socket without a sign of life of its client for so long is closed.
const IDLE: Duration = Duration::from_secs(120);

struct Upbit {
    shared: Arc<Shared>,
    id: u64,
    heard: Instant,
    status: Option<Instant>,
    per_second: Budget,
    per_minute: Budget,
}

struct Asked {
    views: Vec<(usize, UpbitView)>,
    snapshots: Vec<(usize, UpbitView)>,
}

type Fault = (&'static str, &'static str);
const WRONG_FORMAT: Fault = ("WRONG_FORMAT", "Format이 맞지 않습니다.");
const NO_TICKET: Fault = ("NO_TICKET", "티켓이 존재하지 않거나, 유효하지 않습니다.");
const NO_TYPE: Fault = ("NO_TYPE", "타입 필드가 존재하지 않습니다.");
const NO_CODES: Fault = ("NO_CODES", "코드 필드가 존재하지 않습니다.");
const INVALID_PARAM: Fault = ("INVALID_PARAM", "요청 파라미터가 잘못되었습니다.");

impl Upbit {
    fn new(shared: Arc<Shared>, id: u64, now: Instant) -> Self {
        let second = Duration::from_secs(1);
        Self {
            shared,
            id,
            heard: now,
            status: None,
            per_second: Budget::new(5, second, second),
            per_minute: Budget::new(100, second * 60, second),
        }
    }

    fn send(&self, text: String) {
        self.shared.lock().send(self.id, Message::Binary(text.into_bytes().into()));
    }

    fn request(&mut self, text: &str) -> Result<(), Fault> {
        let parts: Vec<Value> = serde_json::from_str(text).map_err(|_| WRONG_FORMAT)?;
        if let Some(method) = parts.iter().find_map(|p| p.get("method")) {
            if method != "LIST_SUBSCRIPTIONS" {
                return Err(INVALID_PARAM);
            }
            let ticket = parts.iter().find_map(|p| p.get("ticket")?.as_str()).ok_or(NO_TICKET)?;
            self.send(self.list(ticket));
            return Ok(());
        }
        let now_ms = self.shared.now_ms();
        let mut world = self.shared.lock();
        let asked = read_request(&world, &parts)?;
        world.subscribe(self.id, Subscriptions::Upbit(asked.views));
        for (index, view) in asked.snapshots {
            world.send_upbit_snapshot(self.id, index, view, now_ms);
        }
        Ok(())
    }

    fn list(&self, ticket: &str) -> String {
        let world = self.shared.lock();
        let codes = match world.subscriptions(self.id) {
            Some(Subscriptions::Upbit(views)) => views
                .iter()
                .filter_map(|(index, view)| {
                    let code = world.model.symbols()[*index].listing.upbit.as_deref()?;
                    Some(format!("{code}.{}", view.depth))
                })
                .collect(),
            _ => Vec::new(),
        };
        let result = if codes.is_empty() {
            Vec::new()
        } else {
            vec![serde_json::json!({ "type": "orderbook", "codes": codes, "level": 0 })]
        };
        serde_json::json!({ "method": "LIST_SUBSCRIPTIONS", "result": result, "ticket": ticket }).to_string()
    }
}

fn read_request(world: &World, parts: &[Value]) -> Result<Asked, Fault> {
    parts.first().and_then(|p| p.get("ticket")?.as_str()).filter(|t| !t.is_empty()).ok_or(NO_TICKET)?;
    let format = match parts.iter().find_map(|p| p.get("format")).map(|f| f.as_str()) {
        None | Some(Some("DEFAULT")) => Format::Default,
        Some(Some("SIMPLE")) => Format::Simple,
        Some(Some("JSON_LIST")) => Format::JsonList,
        Some(Some("SIMPLE_LIST")) => Format::SimpleList,
        Some(_) => return Err(WRONG_FORMAT),
    };
    let mut asked = Asked { views: Vec::new(), snapshots: Vec::new() };
    let mut types = 0;
    for part in parts.iter().skip(1).filter(|p| p.get("format").is_none()) {
        let kind = part.get("type").and_then(Value::as_str).ok_or(NO_TYPE)?;
        // Only books are served here; the venue has tickers, trades and candles too.
        if kind != "orderbook" {
            return Err(INVALID_PARAM);
        }
        types += 1;
        let codes = part.get("codes").and_then(Value::as_array).filter(|c| !c.is_empty()).ok_or(NO_CODES)?;
        let flag = |name: &str| part.get(name).and_then(Value::as_bool) == Some(true);
        for code in codes.iter().filter_map(Value::as_str) {
            let (code, depth) = match code.split_once('.') {
                Some((code, "1")) => (code, 1),
                Some((code, "5")) => (code, 5),
                Some((code, "15")) => (code, 15),
                Some((code, _)) => (code, 30),
                None => (code, 30),
            };
            // Unknown codes are met with silence.
            let Some(index) = world.upbit_symbol(code) else { continue };
            let entry = (index, UpbitView { depth, format });
            if !flag("is_only_snapshot") && !asked.views.contains(&entry) {
                asked.views.push(entry);
            }
            if !flag("is_only_realtime") {
                asked.snapshots.push(entry);
            }
        }
    }
    if types == 0 {
        return Err(NO_TYPE);
    }
    Ok(asked)
}

const UP: &str = r#"{"status":"UP"}"#;

impl Dialogue for Upbit {
    fn text(&mut self, text: &str, now: Instant) -> Result<(), Closed> {
        self.heard = now;
        let served = |d| matches!(d, Decision::Served { .. });
        if !served(self.per_second.take(1, now)) || !served(self.per_minute.take(1, now)) {
            return Err(Closed);
        }
        if text.trim() == "PING" {
            self.status = Some(now);
            self.send(UP.to_owned());
            return Ok(());
        }
        if let Err((name, message)) = self.request(text) {
            self.send(serde_json::json!({ "error": { "name": name, "message": message } }).to_string());
        }
        Ok(())
    }

    fn alive(&mut self, _pong: bool, now: Instant) {
        self.heard = now;
    }

    fn second(&mut self, now: Instant) -> Result<Option<Message>, Closed> {
        if now.duration_since(self.heard) >= IDLE {
            return Err(Closed);
        }
        if self.status.is_some_and(|t| now.duration_since(t) >= Duration::from_secs(10)) {
            self.status = Some(now);
            return Ok(Some(Message::Binary(UP.into())));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MarketKind, Model};

    #[test]
    fn an_idle_socket_is_closed_and_a_ping_starts_the_status_frames() {
        let shared = Shared::new(Model::new(1, MarketKind::Calm, 1, 0, &[]).unwrap(), 0);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut socket = Upbit::new(shared, 1, start);
        assert!(matches!(socket.second(after(119)), Ok(None)), "no status before the first PING");
        assert!(socket.second(after(120)).is_err());
        socket.alive(false, after(100));
        assert!(matches!(socket.second(after(219)), Ok(None)));
        socket.text("PING", after(219)).unwrap();
        assert!(matches!(socket.second(after(228)), Ok(None)));
        assert!(matches!(socket.second(after(229)), Ok(Some(_))));
        assert!(matches!(socket.second(after(230)), Ok(None)));
        assert!(socket.second(after(339)).is_err());
    }
}
