//! Binance's depth stream, in the combined envelope.

use crate::stream::{Protocol, Timing, spawn as spawn_stream};
use crate::{Endpoints, Stamped, StreamHandle};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// Streams that one connection should carry at most: the venue allows 1 024, the address grows with each.
pub const MAX_STREAMS: usize = 200;
/// 300 connects per five minutes are allowed.
const STAGGER: Duration = Duration::from_millis(250);

/// Starts a connection that follows the depth diffs of `symbols` at 100 ms. It reconnects for ever; dropping the
/// handle ends it. The caller splits beyond [`MAX_STREAMS`]; connections that start together carry numbers from 0 on.
pub fn spawn(endpoints: &Endpoints, conn: u16, symbols: Vec<String>, tx: Sender<Stamped>) -> StreamHandle {
    let streams: Vec<String> =
        symbols.iter().map(|s| format!("{}@depth@100ms", s.to_ascii_lowercase())).collect();
    let protocol = Protocol {
        url: format!("{}/stream?streams={}", endpoints.binance_ws.trim_end_matches('/'), streams.join("/")),
        hello: Vec::new(),
        keep_alive: None,
        is_goodbye,
        timing: Timing::LIVELY,
        stagger: STAGGER * u32::from(conn),
    };
    spawn_stream(protocol, conn, tx)
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
