//! Binance's depth stream, in the combined envelope, with the best quotes as a cross-check beside it.

use super::limits::{Budget, Group};
use crate::stream::{Pace, Plan, Spec, StreamSettings, Timing, spawn as spawn_stream};
use crate::{Endpoints, Stamped, StreamHandle};
use market::Venue;
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// Streams that the address of a connection names at most: it grows with each. What is more is subscribed to after the
/// connect.
pub const MAX_STREAMS: usize = 200;
/// Streams that the venue allows on one connection.
pub const VENUE_STREAMS: usize = 1_024;
/// Streams in one `SUBSCRIBE`.
const PER_MESSAGE: usize = 200;
/// 300 connects per five minutes are allowed.
const STAGGER: Duration = Duration::from_millis(250);
/// Of the messages that one connection may send: pongs, which the library sends by itself, count too.
const MESSAGES: f64 = 0.8;

/// Starts a connection that follows the depth diffs of `symbols` at 100 ms. It reconnects for ever; dropping the
/// handle ends it. The caller splits so that no connection has more than [`VENUE_STREAMS`]; connections that start
/// together carry numbers from 0 on.
pub fn spawn(endpoints: &Endpoints, conn: u16, symbols: Vec<String>, tx: Sender<Stamped>) -> StreamHandle {
    spawn_with(endpoints, &StreamSettings::new(0), conn, symbols, tx)
}

/// As [`spawn`], with settings: [`StreamSettings::book_ticker`] adds the best quotes.
pub fn spawn_with(
    endpoints: &Endpoints,
    settings: &StreamSettings,
    conn: u16,
    symbols: Vec<String>,
    tx: Sender<Stamped>,
) -> StreamHandle {
    let base = endpoints.binance_ws.trim_end_matches('/').to_owned();
    let quotes = settings.book_ticker;
    let spec = Spec {
        ca_pem: endpoints.ca_pem.clone(),
        venue: Venue::Binance,
        plan: Box::new(move |symbols| plan(&base, symbols, quotes)),
        change: Box::new(move |from, to| change(from, to, quotes)),
        pace: messages,
        keep_alive: None,
        is_goodbye,
        timing: Timing::LIVELY,
        stagger: STAGGER * u32::from(conn),
        renew_after: Some(settings.renew_after),
        settings: settings.clone(),
    };
    spawn_stream(spec, conn, symbols, tx)
}

/// The streams of a symbol.
fn streams(symbol: &str, quotes: bool) -> impl Iterator<Item = String> {
    let symbol = symbol.to_ascii_lowercase();
    let kinds: &[&str] = if quotes { &["depth@100ms", "bookTicker"] } else { &["depth@100ms"] };
    kinds.iter().map(move |kind| format!("{symbol}@{kind}"))
}

/// How many connections `symbols` are best split over, and how many each carries.
pub const fn symbols_per_connection(quotes: bool) -> usize {
    // As many as fit into the address: a lost connection then costs these symbols and no more.
    if quotes { MAX_STREAMS / 2 } else { MAX_STREAMS }
}

fn plan(base: &str, symbols: &[String], quotes: bool) -> Plan {
    let all: Vec<String> = symbols.iter().flat_map(|symbol| streams(symbol, quotes)).collect();
    let (first, rest) = all.split_at(all.len().min(MAX_STREAMS));
    Plan { url: format!("{base}/stream?streams={}", first.join("/")), hello: requests("SUBSCRIBE", rest) }
}

fn change(from: &[String], to: &[String], quotes: bool) -> Vec<String> {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let these = these.iter().filter(|symbol| !those.contains(symbol));
        these.flat_map(|symbol| streams(symbol, quotes)).collect()
    };
    let mut messages = requests("UNSUBSCRIBE", &only(from, to));
    messages.extend(requests("SUBSCRIBE", &only(to, from)));
    messages
}

fn requests(method: &str, streams: &[String]) -> Vec<String> {
    let parts = streams.chunks(PER_MESSAGE).zip(1u32..);
    parts
        .map(|(part, id)| serde_json::json!({ "method": method, "params": part, "id": id }).to_string())
        .collect()
}

/// 5 messages per second on one connection.
fn messages() -> Pace {
    let mut budget = Budget::new();
    Box::new(move |now| budget.try_take(Group::Message, 1, now, MESSAGES))
}

/// `{"e":"serverShutdown","E":..}`, raw or in the envelope. Short, and looked at only if short.
fn is_goodbye(frame: &[u8]) -> bool {
    frame.len() < 256
        && frame.windows(14).any(|w| w == b"serverShutdown")
        && matches!(
            super::wire::parse(frame, &mut crate::LevelBuffer::new()),
            Ok(super::wire::Message::ServerShutdown)
        )
}

/// The address of USD-M futures' streams of `kind` (`Books` or `Marks`): the unrouted addresses ended in 2026-04. The frames
/// are read by [`super::wire`], their order by [`super::sequencer`] with `Kind::UsdM`.
pub fn usdm_url(base: &str, kind: UsdmRoute, streams: &[String]) -> String {
    let base = base.trim_end_matches('/');
    format!("{base}/{}/stream?streams={}", kind.as_str(), streams.join("/"))
}

/// The routes of USD-M futures' streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsdmRoute {
    /// Books and best quotes.
    Books,
    /// Marks and klines.
    Marks,
}

impl UsdmRoute {
    /// The part of the path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Books => "public",
            Self::Marks => "market",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("S{i}USDT")).collect()
    }

    #[test]
    fn what_the_address_does_not_hold_is_subscribed_to() {
        let small = plan("wss://x", &symbols(2), true);
        assert_eq!(
            small.url,
            "wss://x/stream?streams=s0usdt@depth@100ms/s0usdt@bookTicker/s1usdt@depth@100ms/s1usdt@bookTicker"
        );
        assert!(small.hello.is_empty());
        let large = plan("wss://x", &symbols(512), true);
        assert_eq!(large.url.matches('@').count() - 100, MAX_STREAMS, "100 of them have two");
        assert_eq!(large.hello.len(), (VENUE_STREAMS - MAX_STREAMS).div_ceil(PER_MESSAGE));
        let first: serde_json::Value = serde_json::from_str(&large.hello[0]).unwrap();
        assert_eq!((&first["method"], first["params"].as_array().unwrap().len()), (&"SUBSCRIBE".into(), 200));
        assert!(VENUE_STREAMS >= symbols_per_connection(true) * 2);
    }

    #[test]
    fn a_change_names_the_difference() {
        let messages = change(&symbols(3), &["S1USDT".to_owned(), "NEWUSDT".to_owned()], false);
        let parsed: Vec<serde_json::Value> =
            messages.iter().map(|m| serde_json::from_str(m).unwrap()).collect();
        assert_eq!(parsed[0]["method"], "UNSUBSCRIBE");
        assert_eq!(parsed[0]["params"], serde_json::json!(["s0usdt@depth@100ms", "s2usdt@depth@100ms"]));
        assert_eq!(parsed[1]["params"], serde_json::json!(["newusdt@depth@100ms"]));
        assert!(change(&symbols(3), &symbols(3), true).is_empty());
    }

    #[test]
    fn futures_have_routes() {
        let url =
            usdm_url("wss://fstream.binance.com/", UsdmRoute::Books, &["btcusdt@depth@100ms".to_owned()]);
        assert_eq!(url, "wss://fstream.binance.com/public/stream?streams=btcusdt@depth@100ms");
    }
}
