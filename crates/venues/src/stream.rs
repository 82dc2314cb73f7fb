//! A WebSocket connection that never gives up: connect, subscribe, keep alive, notice silence, reconnect. What the
//! venues do differently stands in each venue's `stream` as a [`Protocol`].

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// What a connection reports, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// Connected and subscribed.
    Up {
        /// The connection's number, as given to `spawn`.
        conn: u16,
    },
    /// A text or binary frame, as it came.
    Frame {
        /// The connection's number.
        conn: u16,
        /// The bytes.
        payload: Bytes,
    },
    /// A ping or a pong of the venue: it lives, whatever the books do.
    Alive {
        /// The connection's number.
        conn: u16,
    },
    /// The connection is gone, or could not be made; it will be tried again.
    Down {
        /// The connection's number.
        conn: u16,
        /// Why, for people.
        reason: String,
        /// Milliseconds until the next attempt.
        next_attempt_ms: u64,
    },
}

/// An event with the instant at which its reader had it in hand: whatever waits behind that is queueing.
pub type Stamped = (std::time::Instant, StreamEvent);

/// A running connection; dropping it ends the connection.
#[derive(Debug)]
pub struct StreamHandle(tokio::task::JoinHandle<()>);

impl StreamHandle {
    /// Ends the connection.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// True after [`Self::abort`], or when nobody listens any more.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a venue demands of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    /// The complete address.
    pub url: String,
    /// Sent after the connect.
    pub hello: Vec<String>,
    /// A text sent regularly.
    pub keep_alive: Option<(&'static str, Duration)>,
    /// True for a frame with which the venue announces that it goes away.
    pub is_goodbye: fn(&[u8]) -> bool,
    /// How long to wait for what.
    pub timing: Timing,
    /// First wait, so that several connections do not start at once.
    pub stagger: Duration,
}

/// Waits of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Without any frame, ping or pong for this long a ping is sent.
    pub probe_after: Duration,
    /// Without any frame, ping or pong for this long the connection is given up.
    pub silence: Duration,
}

impl Timing {
    /// For streams that bring something every second.
    pub(crate) const LIVELY: Self =
        Self { probe_after: Duration::from_secs(5), silence: Duration::from_secs(10) };
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Waits between attempts: doubling from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// A connection that lived this long starts the waits over.
const STABLE: Duration = Duration::from_secs(10);
/// Larger messages are no market data.
const MAX_MESSAGE: usize = 16 << 20;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended.
enum End {
    /// Nobody listens any more.
    Closed,
    /// Try again after the usual wait.
    Lost(String),
    /// The venue said goodbye: try again at once.
    Goodbye,
}

/// Starts a connection on the current runtime. A slow listener slows the reading down; nothing is dropped.
pub(crate) fn spawn(protocol: Protocol, conn: u16, tx: Sender<Stamped>) -> StreamHandle {
    crate::install_crypto();
    StreamHandle(tokio::spawn(run(protocol, conn, tx)))
}

async fn run(protocol: Protocol, conn: u16, tx: Sender<Stamped>) {
    sleep(protocol.stagger).await;
    let mut attempt: u32 = 0;
    loop {
        let started = Instant::now();
        let end = match connect(&protocol).await {
            Ok(socket) => serve(&protocol, conn, socket, &tx).await,
            Err(reason) => End::Lost(reason),
        };
        let lived = started.elapsed();
        if lived >= STABLE {
            attempt = 0;
        }
        let (reason, wait) = match end {
            End::Closed => return,
            // A server that says goodbye to everyone at once must not be hammered.
            End::Goodbye if lived >= Duration::from_secs(1) => {
                ("the venue announced a shutdown".to_owned(), Duration::ZERO)
            }
            End::Goodbye => ("the venue announced a shutdown".to_owned(), backoff(conn, attempt)),
            End::Lost(reason) => (reason, backoff(conn, attempt)),
        };
        attempt = attempt.saturating_add(1);
        tracing::debug!(conn, reason, ?wait, "stream down");
        let next_attempt_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        if tx.send(stamped(StreamEvent::Down { conn, reason, next_attempt_ms })).await.is_err() {
            return;
        }
        sleep(wait).await;
    }
}

async fn connect(protocol: &Protocol) -> Result<Socket, String> {
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let connecting = connect_async_with_config(protocol.url.as_str(), Some(config), true);
    let (mut socket, _) = timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))?
        .map_err(|e| connect_error(&e))?;
    for text in &protocol.hello {
        socket.send(Message::text(text.clone())).await.map_err(|e| format!("cannot subscribe: {e}"))?;
    }
    Ok(socket)
}

fn connect_error(error: &WsError) -> String {
    match error {
        WsError::Http(response) => match response.status().as_u16() {
            status @ (403 | 451) => format!("cannot connect: {status}, this address is refused"),
            status @ (418 | 429) => format!("cannot connect: {status}, too many connects"),
            status => format!("cannot connect: status {status}"),
        },
        other => format!("cannot connect: {other}"),
    }
}

async fn serve(protocol: &Protocol, conn: u16, mut socket: Socket, tx: &Sender<Stamped>) -> End {
    if tx.send(stamped(StreamEvent::Up { conn })).await.is_err() {
        return End::Closed;
    }
    let (text, every) = protocol.keep_alive.unwrap_or(("", Duration::from_secs(3_600)));
    let mut keep_alive = interval_at(Instant::now() + every, every);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let mut probed = false;
    loop {
        let deadline = heard + if probed { protocol.timing.silence } else { protocol.timing.probe_after };
        let message = tokio::select! {
            message = socket.next() => message,
            _ = keep_alive.tick(), if protocol.keep_alive.is_some() => {
                if let Err(end) = send(&mut socket, Message::text(text)).await {
                    return end;
                }
                continue;
            }
            () = tokio::time::sleep_until(deadline) => {
                if probed {
                    return End::Lost(format!("silent for {:?}", protocol.timing.silence));
                }
                probed = true;
                if let Err(end) = send(&mut socket, Message::Ping(Bytes::from_static(b"assay"))).await {
                    return end;
                }
                continue;
            }
        };
        let event = match message {
            Some(Ok(message)) => match take(conn, message) {
                Ok(event) => stamped(event),
                Err(end) => return end,
            },
            Some(Err(error)) => return End::Lost(format!("connection lost: {error}")),
            None => return End::Lost("connection closed".to_owned()),
        };
        let goodbye =
            matches!(&event.1, StreamEvent::Frame { payload, .. } if (protocol.is_goodbye)(payload));
        if tx.send(event).await.is_err() {
            return End::Closed;
        }
        if goodbye {
            return End::Goodbye;
        }
        // Taken after the hand-over, so that a slow listener does not look like a silent venue.
        heard = Instant::now();
        probed = false;
    }
}

fn stamped(event: StreamEvent) -> Stamped {
    (std::time::Instant::now(), event)
}

/// Pongs to the venue's pings are queued by the library and written while reading goes on.
fn take(conn: u16, message: Message) -> Result<StreamEvent, End> {
    let payload = match message {
        Message::Text(text) => Bytes::from(text),
        Message::Binary(bytes) => bytes,
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(StreamEvent::Alive { conn }),
        Message::Close(None) => return Err(End::Lost("closed by the venue".to_owned())),
        Message::Close(Some(frame)) => {
            return Err(End::Lost(format!("closed by the venue: {} {}", frame.code, frame.reason)));
        }
    };
    Ok(StreamEvent::Frame { conn, payload })
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), End> {
    // A peer that takes nothing any more must not hold the loop.
    match timeout(CONNECT_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Lost(format!("cannot send: {error}"))),
        Err(_) => Err(End::Lost("cannot send: the peer takes nothing".to_owned())),
    }
}

/// The wait before attempt `attempt + 1`: doubling, minus up to a quarter by the connection's number, so that
/// connections that fell together do not return together.
fn backoff(conn: u16, attempt: u32) -> Duration {
    let (first, last) = BACKOFF;
    let wait = first.saturating_mul(1 << attempt.min(16)).min(last);
    let spread = mix(u64::from(conn) << 32 | u64::from(attempt)) % 256;
    wait - wait.mul_f64(spread as f64 / 1_024.0)
}

/// SplitMix64 (Steele, Lea, Flood 2014): spreads neighbouring numbers.
pub(crate) const fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn waits_double_up_to_ten_seconds() {
        for conn in 0..20 {
            let waits: Vec<_> = (0..8).map(|attempt| backoff(conn, attempt)).collect();
            assert!(waits[0] > Duration::from_millis(187) && waits[0] <= Duration::from_millis(250));
            assert!(waits[7] > Duration::from_millis(7_500) && waits[7] <= Duration::from_secs(10));
            assert!(waits.windows(2).take(5).all(|w| w[1] > w[0]));
        }
    }

    /// A peer that accepts and then never reads nor writes is given up, and tried again.
    #[tokio::test]
    async fn a_half_open_connection_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                kept.push(tokio_tungstenite::accept_async(socket).await.unwrap());
            }
        });
        let timing = Timing { probe_after: Duration::from_millis(100), silence: Duration::from_millis(200) };
        let protocol = Protocol {
            url,
            hello: Vec::new(),
            keep_alive: None,
            is_goodbye: |_| false,
            timing,
            stagger: Duration::ZERO,
        };
        let (tx, mut rx) = tokio::sync::mpsc::channel(8);
        let _handle = spawn(protocol, 3, tx);
        let mut next = async || timeout(Duration::from_secs(20), rx.recv()).await.unwrap().unwrap().1;
        assert_eq!(next().await, StreamEvent::Up { conn: 3 });
        let StreamEvent::Down { reason, next_attempt_ms, .. } = next().await else { panic!("no Down") };
        assert!(reason.starts_with("silent for"), "{reason}");
        assert!(next_attempt_ms <= 250);
        assert_eq!(next().await, StreamEvent::Up { conn: 3 });
        server.abort();
    }
}
