//! Upbit's order book stream.

use crate::stream::{Protocol, Timing, mix, spawn as spawn_stream};
use crate::{Endpoints, Stamped, StreamHandle};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// The venue closes idle sockets after 60 to 120 s; it answers `{"status":"UP"}`.
const PING: (&str, Duration) = ("PING", Duration::from_secs(10));
/// Longer than the interval of [`PING`]: its answer counts even if the venue leaves ping frames unanswered.
const TIMING: Timing = Timing { probe_after: Duration::from_secs(5), silence: Duration::from_secs(15) };
/// Five connects per second are allowed.
const STAGGER: Duration = Duration::from_millis(250);

/// Starts a connection that follows the books of `codes` (`KRW-BTC`; 15 levels unless the code has a suffix of its
/// own). It reconnects for ever; dropping the handle ends it. Connections that start together carry numbers from 0 on:
/// the number spreads their starts.
///
/// Unknown codes are met with silence: compare what arrives with what was asked.
pub fn spawn(endpoints: &Endpoints, conn: u16, codes: Vec<String>, tx: Sender<Stamped>) -> StreamHandle {
    let protocol = Protocol {
        url: format!("{}/websocket/v1", endpoints.upbit_ws.trim_end_matches('/')),
        hello: vec![subscription(conn, &codes)],
        keep_alive: Some(PING),
        is_goodbye: |_| false,
        timing: TIMING,
        stagger: STAGGER * u32::from(conn),
    };
    spawn_stream(protocol, conn, tx)
}

/// The subscribe message. A new one replaces the whole set, so it names every code.
pub(super) fn subscription(conn: u16, codes: &[String]) -> String {
    let codes: Vec<String> =
        codes.iter().map(|c| if c.contains('.') { c.clone() } else { format!("{c}.15") }).collect();
    serde_json::json!([
        { "ticket": ticket(conn) },
        { "type": "orderbook", "codes": codes, "is_only_realtime": false },
        { "format": "DEFAULT" },
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
