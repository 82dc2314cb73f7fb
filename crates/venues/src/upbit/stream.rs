//! Upbit's order book stream.

use super::limits::{Budget, Group};
use crate::stream::{Pace, Plan, Spec, StreamSettings, Timing, mix, spawn as spawn_stream};
use crate::{Endpoints, Stamped, StreamHandle};
use market::Venue;
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// The venue closes idle sockets after 60 to 120 s; it answers `{"status":"UP"}`.
const PING: (&str, Duration) = ("PING", Duration::from_secs(10));
/// Longer than the interval of [`PING`]: its answer counts even if the venue leaves ping frames unanswered.
const TIMING: Timing = Timing { probe_after: Duration::from_secs(5), silence: Duration::from_secs(15) };
/// Five connects per second are allowed.
const STAGGER: Duration = Duration::from_millis(250);
/// Of the messages that one connection may send: the rest is for what the library sends by itself.
const MESSAGES: f64 = 0.8;

/// How the venue spells its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Long names.
    #[default]
    Default,
    /// Short names: half the bytes.
    Simple,
    /// Long names, in lists.
    JsonList,
    /// Short names, in lists.
    SimpleList,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Default, Self::Simple, Self::JsonList, Self::SimpleList];

    /// The venue's name of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::Simple => "SIMPLE",
            Self::JsonList => "JSON_LIST",
            Self::SimpleList => "SIMPLE_LIST",
        }
    }
}

/// How books are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    /// Spelling.
    pub format: Format,
    /// Levels a side: 1, 5, 15 or 30; the venue takes anything else for 30.
    pub depth: u8,
}

impl Default for Books {
    fn default() -> Self {
        Self { format: Format::Default, depth: 15 }
    }
}

/// Starts a connection that follows the books of `codes` (`KRW-BTC`; 15 levels unless the code has a suffix of its
/// own). It reconnects for ever; dropping the handle ends it. Connections that start together carry numbers from 0 on:
/// the number spreads their starts.
///
/// Unknown codes are met with silence: compare what arrives with what was asked.
pub fn spawn(endpoints: &Endpoints, conn: u16, codes: Vec<String>, tx: Sender<Stamped>) -> StreamHandle {
    spawn_with(endpoints, &StreamSettings::new(0), conn, codes, tx)
}

/// As [`spawn`], with settings: [`StreamSettings::upbit`] says how the books are written.
pub fn spawn_with(
    endpoints: &Endpoints,
    settings: &StreamSettings,
    conn: u16,
    codes: Vec<String>,
    tx: Sender<Stamped>,
) -> StreamHandle {
    let url = format!("{}/websocket/v1", endpoints.upbit_ws.trim_end_matches('/'));
    let books = settings.upbit;
    let spec = Spec {
        ca_pem: endpoints.ca_pem.clone(),
        venue: Venue::Upbit,
        plan: Box::new(move |codes| Plan { url: url.clone(), hello: subscriptions(conn, codes, books) }),
        // A new subscription replaces the whole set, so it names every code.
        change: Box::new(
            move |from, to| {
                if from == to { Vec::new() } else { subscriptions(conn, to, books) }
            },
        ),
        pace: messages,
        keep_alive: Some(PING),
        is_goodbye: |_| false,
        timing: TIMING,
        stagger: STAGGER * u32::from(conn),
        renew_after: None,
        settings: settings.clone(),
    };
    spawn_stream(spec, conn, codes, tx)
}

/// 5 messages per second and 100 per minute on one connection.
fn messages() -> Pace {
    let mut budget = Budget::new();
    Box::new(move |now| budget.try_take(Group::Message, 1, now, MESSAGES))
}

/// The message for a set; none for an empty one, which the venue refuses (`NO_CODES`).
fn subscriptions(conn: u16, codes: &[String], books: Books) -> Vec<String> {
    if codes.is_empty() { Vec::new() } else { vec![subscription(conn, codes, books)] }
}

/// The subscribe message. A new one replaces the whole set, so it names every code.
pub(super) fn subscription(conn: u16, codes: &[String], books: Books) -> String {
    let codes: Vec<String> = codes
        .iter()
        .map(|c| if c.contains('.') { c.clone() } else { format!("{c}.{}", books.depth) })
        .collect();
    serde_json::json!([
        { "ticket": ticket(conn) },
        { "type": "orderbook", "codes": codes, "is_only_realtime": false },
        { "format": books.format.as_str() },
    ])
    .to_string()
}

/// A ticket only has to be unlike that of another connection; the documents ask for the form of a UUID.
fn ticket(conn: u16) -> String {
    let now = crate::rest::wall_clock().0.unsigned_abs();
    let (a, b) = (mix(now ^ u64::from(conn)), mix(now.rotate_left(17) ^ u64::from(std::process::id())));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}
