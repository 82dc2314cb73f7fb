//! One WebSocket connection of a venue, from the upgrade to its end, and how it ends.

use crate::hub::{Outbox, Shared};
use crate::transport::Peer;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What a venue does with a connection beside passing on books.
pub trait Dialogue: Send {
    /// A text arrived at `now`; `Err` closes the connection.
    fn text(&mut self, text: &str, now: Instant) -> Result<(), Closed>;
    /// A ping or pong arrived.
    fn alive(&mut self, pong: bool, now: Instant);
    /// Called once a second: what to send; `Err` closes the connection.
    fn second(&mut self, now: Instant) -> Result<Option<Message>, Closed>;
}

/// The server closes the connection.
#[derive(Clone, Copy, Debug)]
pub struct Closed;

/// How the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The TCP connection is closed.
    Drop,
    /// A close frame goes out first.
    Close {
        /// Its code.
        code: u16,
        /// Its reason.
        reason: &'static str,
    },
    /// The TCP connection is reset.
    Reset,
    /// Nothing is said and nothing is read any more.
    HalfOpen,
}

/// A dead connection is held for so long: longer than any client waits.
const GRAVE: Duration = Duration::from_secs(600);

/// Serves a connection until either side ends it.
pub async fn serve(
    shared: Arc<Shared>,
    mut socket: WebSocket,
    outbox: Outbox,
    dialogue: impl Dialogue,
    peer: Peer,
) {
    let Outbox { id, mut messages, mut closed } = outbox;
    let ending = tokio::select! {
        ending = &mut closed => ending.ok(),
        // The end of the outbox may be noticed before the word of how it is to end.
        () = converse(&shared, id, &mut socket, &mut messages, dialogue) => closed.try_recv().ok(),
    };
    let ending = ending.unwrap_or(Ending::Drop);
    shared.lock().disconnect(id);
    if matches!(ending, Ending::Drop | Ending::Close { .. }) {
        // What was sent before the end arrives before it.
        let _ = tokio::time::timeout(Duration::from_secs(1), flush(&mut socket, &mut messages)).await;
    }
    match ending {
        Ending::Drop => {}
        Ending::Close { code, reason } => {
            let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
            let _ = tokio::time::timeout(Duration::from_secs(1), socket.send(frame)).await;
        }
        Ending::Reset => peer.reset(),
        Ending::HalfOpen => tokio::time::sleep(GRAVE).await,
    }
}

/// Sends what waits.
async fn flush(socket: &mut WebSocket, messages: &mut mpsc::Receiver<Message>) {
    while let Ok(message) = messages.try_recv() {
        if socket.feed(message).await.is_err() {
            return;
        }
    }
    // The peer may be gone.
    let _ = socket.flush().await;
}

async fn converse(
    shared: &Shared,
    id: u64,
    socket: &mut WebSocket,
    messages: &mut mpsc::Receiver<Message>,
    mut dialogue: impl Dialogue,
) {
    let mut batch = Vec::with_capacity(256);
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        // Who does not read does not answer pings.
        let reads = !shared.is_deaf(id);
        tokio::select! {
            count = messages.recv_many(&mut batch, 256) => {
                if count == 0 {
                    return;
                }
                // One flush for all that is waiting: the system call is the cost.
                for message in batch.drain(..) {
                    if socket.feed(message).await.is_err() {
                        return;
                    }
                }
                if socket.flush().await.is_err() {
                    return;
                }
            }
            received = socket.recv(), if reads => {
                let verdict = match received {
                    Some(Ok(Message::Text(text))) => dialogue.text(&text, Instant::now()),
                    Some(Ok(Message::Binary(bytes))) => dialogue.text(&String::from_utf8_lossy(&bytes), Instant::now()),
                    Some(Ok(Message::Ping(_))) => { dialogue.alive(false, Instant::now()); Ok(()) }
                    Some(Ok(Message::Pong(_))) => { dialogue.alive(true, Instant::now()); Ok(()) }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Closed),
                };
                if verdict.is_err() {
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                }
            }
            _ = seconds.tick() => match dialogue.second(Instant::now()) {
                Ok(None) => {}
                Ok(Some(message)) => shared.lock().send(id, message, shared.uptime()),
                Err(Closed) => {
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                }
            }
        }
    }
}
