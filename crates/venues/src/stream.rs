//! A WebSocket connection that never gives up: connect, subscribe, reconnect. What happens while it is up stands in
//! [`crate::link`], how it is made in [`crate::dial`], and what the venues do differently in each venue's `stream` as a [`Spec`].

use crate::dial::{DialError, Proxies, dial};
use crate::link::{End, Link, Live};
use crate::{Rest, rest::wall_clock};
use bytes::Bytes;
use market::{Timestamp, Venue};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

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

/// What is asked of a running connection.
#[derive(Debug)]
pub(crate) enum Command {
    /// Follow these from now on, and no others.
    Set(Vec<String>),
    /// Subscribe to the same once more.
    Again,
}

/// A running connection; dropping it ends the connection.
#[derive(Debug)]
pub struct StreamHandle {
    task: tokio::task::JoinHandle<()>,
    commands: UnboundedSender<Command>,
}

impl StreamHandle {
    /// Follows exactly these codes (Upbit) or symbols (Binance) from now on, on the same connection where it is up, within the
    /// venue's limit on messages. Others on it go on without a pause.
    pub fn follow(&self, set: Vec<String>) {
        // After the end there is nobody to tell.
        let _ = self.commands.send(Command::Set(set));
    }

    /// Subscribes to the same once more: codes were silent.
    pub fn subscribe_again(&self) {
        let _ = self.commands.send(Command::Again);
    }

    /// Ends the connection.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// True after [`Self::abort`], or when nobody listens any more.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the connections of a process have in common.
#[derive(Clone)]
pub struct StreamSettings {
    /// Seed of the waits between attempts.
    pub seed: u64,
    /// How Upbit is asked to write its books.
    pub upbit: crate::upbit::stream::Books,
    /// Follow Binance's best quotes beside its diffs.
    pub book_ticker: bool,
    /// A Binance connection gets a successor at this age at the latest: the venue ends it after 24 h.
    pub renew_after: Duration,
    /// The way out of this network.
    pub proxies: Proxies,
    /// Whose budgets connects are taken from; `None`: nobody counts them.
    pub connects: Option<Rest>,
}

/// Binance ends a connection after 24 h; the successor is made up to 1/32 earlier, each connection at its own time.
const RENEW_AFTER: Duration = Duration::from_secs(23 * 3_600 + 1_800);

impl StreamSettings {
    /// The usual ones: proxies of the environment, no best quotes, connects counted by nobody.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            upbit: crate::upbit::stream::Books::default(),
            book_ticker: false,
            renew_after: RENEW_AFTER,
            proxies: Proxies::from_env(),
            connects: None,
        }
    }

    /// Takes connects from the budgets of `rest`: a venue counts them by address, and a venue that refuses one is asked
    /// nothing until it says.
    #[must_use]
    pub fn sharing(mut self, rest: &Rest) -> Self {
        self.connects = Some(rest.clone());
        self
    }
}

/// May a message be sent at this time, and if not, when? It counts what it allows.
pub(crate) type Pace = Box<dyn FnMut(Timestamp) -> Result<(), Timestamp> + Send>;

/// How a connection begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The complete address.
    pub url: String,
    /// Sent after the connect.
    pub hello: Vec<String>,
}

/// How a connection that follows a set begins.
pub(crate) type Begin = Box<dyn Fn(&[String]) -> Plan + Send + Sync>;
/// The messages that bring an open connection from one set to another.
pub(crate) type Change = Box<dyn Fn(&[String], &[String]) -> Vec<String> + Send + Sync>;

/// What a venue demands of a connection.
pub(crate) struct Spec {
    /// The venue.
    pub venue: Venue,
    /// How a connection that follows a set begins.
    pub plan: Begin,
    /// The messages that change the set (from, to) on an open connection.
    pub change: Change,
    /// The limit on messages of one connection.
    pub pace: fn() -> Pace,
    /// A text sent regularly.
    pub keep_alive: Option<(&'static str, Duration)>,
    /// True for a frame with which the venue announces that it goes away.
    pub is_goodbye: fn(&[u8]) -> bool,
    /// How long to wait for what.
    pub timing: Timing,
    /// First wait, so that several connections do not start at once.
    pub stagger: Duration,
    /// A successor is made after this long, before the venue ends the connection.
    pub renew_after: Option<Duration>,
    /// What all connections share.
    pub settings: StreamSettings,
    /// Authorities that alone are trusted, PEM.
    pub ca_pem: Option<Arc<str>>,
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

/// Starts a connection on the current runtime. A slow listener slows the reading down; nothing is dropped.
pub(crate) fn spawn(spec: Spec, conn: u16, set: Vec<String>, tx: Sender<Stamped>) -> StreamHandle {
    crate::install_crypto();
    let (commands, received) = unbounded_channel();
    StreamHandle { task: tokio::spawn(run(Arc::new(spec), conn, set, tx, received)), commands }
}

async fn run(
    spec: Arc<Spec>,
    conn: u16,
    mut set: Vec<String>,
    tx: Sender<Stamped>,
    mut commands: UnboundedReceiver<Command>,
) {
    sleep(spec.stagger).await;
    let mut attempt: u32 = 0;
    loop {
        while let Ok(command) = commands.try_recv() {
            if let Command::Set(new) = command {
                set = new;
            }
        }
        let started = Instant::now();
        let (end, at_least) = match open(Arc::clone(&spec), set.clone()).await {
            Ok(live) => (Link::new(&spec, conn, live, &mut set, &tx, &mut commands).serve().await, None),
            Err(error) => (End::Lost(error.to_string()), error.wait),
        };
        let lived = started.elapsed();
        if lived >= STABLE {
            attempt = 0;
        }
        let usual = backoff(spec.settings.seed, conn, attempt).max(at_least.unwrap_or_default());
        let (reason, wait) = match end {
            End::Closed => return,
            // A server that says goodbye to everyone at once must not be hammered.
            End::Goodbye if lived >= Duration::from_secs(1) => {
                ("the venue announced a shutdown".to_owned(), Duration::ZERO)
            }
            End::Goodbye => ("the venue announced a shutdown".to_owned(), usual),
            End::Lost(reason) => (reason, usual),
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

/// Connects within the venue's limit on connects, and subscribes.
pub(crate) async fn open(spec: Arc<Spec>, set: Vec<String>) -> Result<Box<Live>, DialError> {
    if let Some(rest) = &spec.settings.connects {
        while let Err(until) = rest.take_connect(spec.venue) {
            let wait = u64::try_from(until.since(wall_clock())).unwrap_or(0);
            sleep(Duration::from_nanos(wait) + Duration::from_millis(1)).await;
        }
    }
    let plan = (spec.plan)(&set);
    match dial(&plan.url, &spec.settings.proxies, spec.ca_pem.as_deref(), CONNECT_TIMEOUT).await {
        Ok(socket) => Live::begin(&spec, socket, plan.hello, set).await,
        Err(error) => {
            if let (Some(rest), Some(wait), true) = (&spec.settings.connects, error.wait, error.too_many) {
                rest.refused_connect(spec.venue, wall_clock().plus(wait));
            }
            Err(error)
        }
    }
}

pub(crate) fn stamped(event: StreamEvent) -> Stamped {
    (std::time::Instant::now(), event)
}

/// The wait before attempt `attempt + 1`: doubling, minus up to a quarter drawn from the seed, so that connections that
/// fell together do not return together.
pub(crate) fn backoff(seed: u64, conn: u16, attempt: u32) -> Duration {
    let (first, last) = BACKOFF;
    let wait = first.saturating_mul(1 << attempt.min(16)).min(last);
    let spread = mix(seed ^ (u64::from(conn) << 32 | u64::from(attempt))) % 256;
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
    use tokio::time::timeout;

    #[test]
    fn waits_double_up_to_ten_seconds() {
        for (seed, conn) in (0..20).map(|conn| (7 * u64::from(conn), conn)) {
            let waits: Vec<_> = (0..8).map(|attempt| backoff(seed, conn, attempt)).collect();
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
        let spec = Spec {
            venue: Venue::Binance,
            plan: Box::new(move |_| Plan { url: url.clone(), hello: Vec::new() }),
            change: Box::new(|_, _| Vec::new()),
            pace: || Box::new(|_| Ok(())),
            keep_alive: None,
            is_goodbye: |_| false,
            timing,
            stagger: Duration::ZERO,
            renew_after: None,
            settings: StreamSettings::new(1),
            ca_pem: None,
        };
        let (tx, mut rx) = tokio::sync::mpsc::channel(8);
        let _handle = spawn(spec, 3, Vec::new(), tx);
        let mut next = async || timeout(Duration::from_secs(20), rx.recv()).await.unwrap().unwrap().1;
        assert_eq!(next().await, StreamEvent::Up { conn: 3 });
        let StreamEvent::Down { reason, next_attempt_ms, .. } = next().await else { panic!("no Down") };
        assert!(reason.starts_with("silent for"), "{reason}");
        assert!(next_attempt_ms <= 250);
        assert_eq!(next().await, StreamEvent::Up { conn: 3 });
        server.abort();
    }
}
