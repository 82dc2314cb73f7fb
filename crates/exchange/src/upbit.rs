//! Upbit's server: REST and WebSocket.

use crate::Format;
use crate::faults::{Fault, Refusal};
use crate::hub::{Shared, Subscriptions, UpbitView, World};
use crate::limits::{Budget, Decision};
use crate::reply::Reply;
use crate::socket::{self, Closed, Dialogue};
use crate::transport::Peer;
use crate::upbit_wire as wire;
use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use axum::routing::{any, get};
use market::Venue;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What stands behind the question mark.
pub type Parameters = BTreeMap<String, String>;
type Body = fn(&World, &Shared, &Parameters) -> Result<String, (u16, &'static str)>;

/// Path, group and body of each request.
const ROUTES: [(&str, &str, Body); 6] = [
    ("/v1/market/all", "market", markets),
    ("/v1/ticker", "ticker", tickers),
    ("/v1/ticker/all", "ticker", all_tickers),
    ("/v1/orderbook", "orderbook", orderbooks),
    ("/v1/orderbook/instruments", "orderbook", instruments),
    ("/v1/candles/minutes/1", "candle", candles),
];

/// The routes.
pub fn router(shared: Arc<Shared>) -> Router {
    let rest = get(
        |State(s): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, Query(q): Query<Parameters>| async move {
            answer(&s, uri.path(), headers.contains_key(header::ORIGIN), &q).send().await
        },
    );
    let router = ROUTES.iter().fold(Router::new(), |router, (path, ..)| router.route(path, rest.clone()));
    router
        .route("/websocket/v1", any(connect))
        .fallback(|| error(404, "no Route matched with those values").send())
        .with_state(shared)
}

fn error(status: u16, message: &str) -> Reply {
    let body = serde_json::json!({ "error": { "name": status, "message": message } });
    Reply::json(status, body.to_string())
}

fn refused(decision: Decision) -> Option<Reply> {
    match decision {
        Decision::Served { .. } => None,
        Decision::TooMany { .. } => Some(Reply::text(429, "Too many API requests.")),
        Decision::Banned { retry } => {
            let body = serde_json::json!({ "error": {
                "name": "too_many_requests",
                "message": format!("Blocked for {} seconds.", retry.as_secs().max(1)),
            } });
            Some(Reply::json(418, body.to_string()))
        }
    }
}

fn failed(refusal: Refusal) -> Reply {
    let limited = |decision| refused(decision).unwrap_or_else(|| Reply::text(429, ""));
    match refusal {
        Refusal::Cut => Reply::text(503, "market data is cut off"),
        Refusal::Down => error(500, "internal error"),
        Refusal::TooMany(retry) => limited(Decision::TooMany { retry }).with("retry-after", retry.as_secs()),
        Refusal::Banned(retry) => limited(Decision::Banned { retry }),
    }
}

fn remaining(group: &str, budget: &Budget, decision: Decision) -> Option<String> {
    let left = match decision {
        Decision::Served { used } => budget.limit() - used,
        Decision::TooMany { .. } => 0,
        Decision::Banned { .. } => return None,
    };
    Some(format!("group={group}; min=600; sec={left}"))
}

/// Answers a GET request of `path`; `origin`: it has an `Origin` header, as a browser's has.
pub fn answer(shared: &Shared, path: &str, origin: bool, query: &Parameters) -> Reply {
    let Some((_, group, body)) = ROUTES.iter().find(|(of, ..)| *of == path) else {
        return error(404, "no Route matched with those values");
    };
    let mut world = shared.lock();
    let symbol = query.get("market").or(query.get("markets")).and_then(|code| world.upbit_symbol(code));
    let request = world.faults.request(Venue::Upbit, symbol, path == "/v1/orderbook", shared.uptime());
    if let Some(refusal) = request.refusal {
        return Reply { delay: request.delay, ..failed(refusal) };
    }
    let now = shared.now();
    if origin && let Some(reply) = refused(world.limits.upbit_origin.take(1, now)) {
        return reply;
    }
    let budget = world.limits.upbit(group);
    let decision = budget.take(1, now);
    let left = remaining(group, budget, decision);
    let reply = refused(decision).unwrap_or_else(|| match body(&world, shared, query) {
        Ok(text) => Reply::json(200, text),
        Err((status, message)) => error(status, message),
    });
    let reply = Reply { delay: request.delay, ..reply };
    match left {
        Some(left) => reply.with("remaining-req", left),
        None => reply,
    }
}

const MISSING: (u16, &str) = (400, "Missing request parameter. Check the required parameters!");
const UNKNOWN: (u16, &str) = (404, "Code not found");

/// The symbols of a comma-separated list, with their codes.
fn wanted<'q>(
    world: &World,
    query: &'q Parameters,
    key: &str,
) -> Result<Vec<(usize, &'q str)>, (u16, &'static str)> {
    let list = query.get(key).filter(|l| !l.is_empty()).ok_or(MISSING)?;
    list.split(',').map(|code| Ok((world.upbit_symbol(code).ok_or(UNKNOWN)?, code))).collect()
}

fn array(items: Vec<String>) -> String {
    format!("[{}]", items.join(","))
}

fn markets(world: &World, _: &Shared, query: &Parameters) -> Result<String, (u16, &'static str)> {
    let details = query.get("is_details").or_else(|| query.get("isDetails")).is_some_and(|v| v == "true");
    let listed = world.model.symbols().iter().filter(|s| !s.held().delisted[0]);
    let items = listed.filter_map(|s| s.listing.upbit.as_deref().map(|code| wire::market(s, code, details)));
    Ok(array(items.collect()))
}

fn one_ticker(world: &World, shared: &Shared, index: usize, code: &str) -> String {
    let day = world.upbit_candles(index, 240);
    wire::ticker(&world.model.symbols()[index], code, shared.now_ms(), world.fx_mid(), &day)
}

fn tickers(world: &World, shared: &Shared, query: &Parameters) -> Result<String, (u16, &'static str)> {
    let wanted = wanted(world, query, "markets")?;
    Ok(array(wanted.into_iter().map(|(index, code)| one_ticker(world, shared, index, code)).collect()))
}

fn all_tickers(world: &World, shared: &Shared, query: &Parameters) -> Result<String, (u16, &'static str)> {
    let quotes = query.get("quote_currencies").ok_or(MISSING)?;
    if !quotes.split(',').any(|q| q == "KRW") {
        return Ok("[]".to_owned());
    }
    let listed = world.model.symbols().iter().enumerate().filter(|(_, s)| !s.held().delisted[0]);
    let items =
        listed.filter_map(|(i, s)| s.listing.upbit.as_deref().map(|code| one_ticker(world, shared, i, code)));
    Ok(array(items.collect()))
}

fn orderbooks(world: &World, shared: &Shared, query: &Parameters) -> Result<String, (u16, &'static str)> {
    let wanted = wanted(world, query, "markets")?;
    let depth = match query.get("count") {
        None => 30,
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|n| (1..=30).contains(n))
            .ok_or((400, "count must be between 1 and 30"))?,
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

fn instruments(world: &World, _: &Shared, query: &Parameters) -> Result<String, (u16, &'static str)> {
    let wanted = wanted(world, query, "markets")?;
    if let Some(tape) = &world.tape {
        let known =
            wanted.into_iter().filter_map(|(i, code)| Some(wire::instrument_of(code, tape.upbit_tick(i)?)));
        return Ok(array(known.collect()));
    }
    let items = wanted.into_iter().map(|(index, code)| wire::instrument(&world.model.symbols()[index], code));
    Ok(array(items.collect()))
}

fn candles(world: &World, _: &Shared, query: &Parameters) -> Result<String, (u16, &'static str)> {
    let code = query.get("market").ok_or(MISSING)?;
    let index = world.upbit_symbol(code).ok_or(UNKNOWN)?;
    let count = match query.get("count") {
        None => 1,
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|n| (1..=200).contains(n))
            .ok_or((400, "count must be between 1 and 200"))?,
    };
    let to = match query.get("to").filter(|t| !t.is_empty()) {
        None => i64::MAX,
        Some(text) => moment(text).ok_or((400, "to is no date and time"))?,
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

/// Whether a connect is let in; `origin` as for requests.
///
/// # Errors
/// The answer to one that is refused.
pub fn admit(shared: &Shared, origin: bool) -> Result<Subscriptions, Reply> {
    let mut world = shared.lock();
    if world.faults.holds(Fault::Cut, Venue::Upbit, None, shared.uptime()) {
        return Err(failed(Refusal::Cut));
    }
    let now = shared.now();
    if origin && let Some(reply) = refused(world.limits.upbit_origin.take(1, now)) {
        return Err(reply);
    }
    refused(world.limits.upbit_connects.take(1, now)).map_or(Ok(Subscriptions::Upbit(Vec::new())), Err)
}

async fn connect(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let subscriptions = match admit(&shared, headers.contains_key(header::ORIGIN)) {
        Ok(subscriptions) => subscriptions,
        Err(reply) => return reply.send().await,
    };
    upgrade.on_upgrade(move |socket| async move {
        let connected = shared.lock().connect(subscriptions, shared.uptime());
        let Some(outbox) = connected else { return };
        let dialogue = Upbit::new(shared.clone(), outbox.id, shared.now());
        socket::serve(shared, socket, outbox, dialogue, peer).await;
    })
}

/// A socket without a sign of life of its client for so long is closed.
const IDLE: Duration = Duration::from_secs(120);

/// A connection's dialogue.
pub struct Upbit {
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

type Wrong = (&'static str, &'static str);
const WRONG_FORMAT: Wrong = ("WRONG_FORMAT", "Format이 맞지 않습니다.");
const NO_TICKET: Wrong = ("NO_TICKET", "티켓이 존재하지 않거나, 유효하지 않습니다.");
const NO_TYPE: Wrong = ("NO_TYPE", "타입 필드가 존재하지 않습니다.");
const NO_CODES: Wrong = ("NO_CODES", "코드 필드가 존재하지 않습니다.");
const INVALID_PARAM: Wrong = ("INVALID_PARAM", "요청 파라미터가 잘못되었습니다.");

impl Upbit {
    /// Of a new connection.
    pub fn new(shared: Arc<Shared>, id: u64, now: Instant) -> Self {
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
        self.shared.lock().send(self.id, Message::Binary(text.into_bytes().into()), self.shared.uptime());
    }

    fn request(&mut self, text: &str) -> Result<(), Wrong> {
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
            world.send_upbit_snapshot(self.id, index, view, self.shared.uptime(), now_ms);
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

fn read_request(world: &World, parts: &[Value]) -> Result<Asked, Wrong> {
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
        let answers = !self.shared.is_deaf(self.id);
        if answers && self.status.is_some_and(|t| now.duration_since(t) >= Duration::from_secs(10)) {
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
