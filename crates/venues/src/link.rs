//! A connection while it is up: reading, keeping alive, noticing silence, changing what it follows within the limit on
//! messages, and handing over to a successor without a hole before the venue ends it.
//!
//! The hand-over: a second connection is made beside the first; its frames are kept back while the first one's go on; once
//! the first has delivered everything up to where the second begins ([`Overlap`]), the second takes its place and what was
//! kept back follows. Whoever listens sees one connection throughout; what came on both is ignored by the ids in it.

use crate::binance::rotation::Overlap;
use crate::cause::Cause;
use crate::dial::{DialError, Socket};
use crate::rest::wall_clock;
use crate::stream::{Command, Pace, Spec, Stamped, StreamEvent, backoff, mix, open, stamped};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// A peer that takes nothing for this long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Both connections run beside each other at least this long, so that quiet symbols have their chance to show a lag.
const OVERLAP_LEAST: Duration = Duration::from_secs(1);
/// After this long the successor takes over in any case: a symbol without diffs cannot show that it has caught up.
const OVERLAP_MOST: Duration = Duration::from_secs(10);
/// Frames kept back at most; then the successor takes over.
const KEPT_BACK: usize = 50_000;

/// Why a connection ended.
pub(crate) enum End {
    /// Nobody listens any more.
    Closed,
    /// Try again after the usual wait.
    Lost(String),
    /// The venue said goodbye: try again at once.
    Goodbye,
}

/// An open socket with what it follows and the messages that wait for their turn.
pub(crate) struct Live {
    socket: Socket,
    set: Vec<String>,
    outbox: VecDeque<String>,
    pace: Pace,
    /// When the next waiting message may go.
    send_at: Option<Instant>,
    born: Instant,
}

impl Live {
    /// Takes a socket and sends the first messages.
    pub(crate) async fn begin(
        spec: &Spec,
        socket: Socket,
        hello: Vec<String>,
        set: Vec<String>,
    ) -> Result<Box<Self>, DialError> {
        let pace = (spec.pace)();
        let mut live =
            Box::new(Self { socket, set, outbox: hello.into(), pace, send_at: None, born: Instant::now() });
        live.flush().await.map_err(|what| DialError::other(format!("cannot subscribe: {what}")))?;
        Ok(live)
    }

    /// Sends what waits, as far as the limit on messages allows.
    async fn flush(&mut self) -> Result<(), String> {
        self.send_at = None;
        while let Some(text) = self.outbox.front() {
            let now = wall_clock();
            if let Err(until) = (self.pace)(now) {
                let wait = Duration::from_nanos(u64::try_from(until.since(now)).unwrap_or(0));
                self.send_at = Some(Instant::now() + wait + Duration::from_millis(1));
                return Ok(());
            }
            let text = text.clone();
            self.outbox.pop_front();
            self.send(Message::text(text)).await?;
        }
        Ok(())
    }

    /// Sends a sign of life, unless messages that wait are one soon enough.
    async fn beat(&mut self, message: Message) -> Result<(), String> {
        if self.outbox.is_empty() && (self.pace)(wall_clock()).is_ok() {
            return self.send(message).await;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), String> {
        // A peer that takes nothing any more must not hold the loop.
        match timeout(SEND_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(lost(&error)),
            Err(_) => Err("the peer takes nothing".to_owned()),
        }
    }

    /// Follows `set` from now on.
    async fn follow(&mut self, spec: &Spec, set: &[String]) -> Result<(), String> {
        self.outbox.extend((spec.change)(&self.set, set));
        self.set = set.to_vec();
        self.flush().await
    }
}

/// What a library says of a lost connection, with the cause by its name.
fn lost(error: &WsError) -> String {
    match Cause::of(error) {
        Cause::Other(_) => error.to_string(),
        cause => cause.to_string(),
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<Box<Live>, DialError>> + Send>>;

/// The connection that comes after the present one.
enum Next {
    /// The venue lets connections live.
    Never,
    /// It is made then.
    At(Instant),
    /// It is being made.
    Opening(Opening),
    /// It is up, beside the present one.
    Beside(Box<Beside>),
}

struct Beside {
    live: Box<Live>,
    kept_back: Vec<Bytes>,
    overlap: Overlap,
    since: Instant,
}

/// What the successor did.
enum Step {
    Due,
    Opened(Result<Box<Live>, DialError>),
    Message(Option<Result<Message, WsError>>),
    TimeUp,
}

impl Next {
    async fn step(&mut self) -> Step {
        match self {
            Self::Never => pending().await,
            Self::At(at) => {
                sleep_until(*at).await;
                Step::Due
            }
            Self::Opening(opening) => Step::Opened(opening.await),
            Self::Beside(beside) => {
                let until = beside.since + OVERLAP_MOST;
                tokio::select! {
                    message = beside.live.socket.next() => Step::Message(message),
                    () = sleep_until(until) => Step::TimeUp,
                }
            }
        }
    }
}

enum Woke {
    Message(Option<Result<Message, WsError>>),
    KeepAlive,
    Quiet,
    Send,
    Command(Command),
    Next(Step),
}

/// A connection that is up.
pub(crate) struct Link<'a> {
    spec: &'a Arc<Spec>,
    conn: u16,
    live: Box<Live>,
    next: Next,
    set: &'a mut Vec<String>,
    tx: &'a Sender<Stamped>,
    commands: &'a mut UnboundedReceiver<Command>,
    keep_alive: Interval,
    heard: Instant,
    probed: bool,
}

impl<'a> Link<'a> {
    pub(crate) fn new(
        spec: &'a Arc<Spec>,
        conn: u16,
        live: Box<Live>,
        set: &'a mut Vec<String>,
        tx: &'a Sender<Stamped>,
        commands: &'a mut UnboundedReceiver<Command>,
    ) -> Self {
        let every = spec.keep_alive.map_or(Duration::from_secs(3_600), |(_, every)| every);
        let mut keep_alive = interval_at(Instant::now() + every, every);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let next = renewal(spec, conn, live.born);
        let heard = Instant::now();
        Self { spec, conn, live, next, set, tx, commands, keep_alive, heard, probed: false }
    }

    /// Serves until it ends.
    pub(crate) async fn serve(mut self) -> End {
        if self.tx.send(stamped(StreamEvent::Up { conn: self.conn })).await.is_err() {
            return End::Closed;
        }
        loop {
            let woke = self.wait().await;
            let done = match woke {
                Woke::Message(message) => self.on_message(message).await,
                Woke::KeepAlive => self.beat().await,
                Woke::Quiet => self.on_quiet().await,
                Woke::Send => self.live.flush().await.map_err(cannot_send),
                Woke::Command(command) => self.on_command(command).await,
                Woke::Next(step) => self.on_next(step).await,
            };
            if let Err(end) = done {
                match end {
                    // The successor is there already.
                    End::Lost(reason) if matches!(self.next, Next::Beside(_)) => {
                        if let Err(end) = self.hand_over(&reason).await {
                            return end;
                        }
                    }
                    end => return end,
                }
            }
        }
    }

    async fn wait(&mut self) -> Woke {
        let timing = self.spec.timing;
        let deadline = self.heard + if self.probed { timing.silence } else { timing.probe_after };
        let send_at = self.live.send_at;
        tokio::select! {
            message = self.live.socket.next() => Woke::Message(message),
            _ = self.keep_alive.tick(), if self.spec.keep_alive.is_some() => Woke::KeepAlive,
            () = sleep_until(deadline) => Woke::Quiet,
            () = sleep_until(send_at.unwrap_or(deadline)), if send_at.is_some() => Woke::Send,
            Some(command) = self.commands.recv() => Woke::Command(command),
            step = self.next.step() => Woke::Next(step),
        }
    }

    async fn on_message(&mut self, message: Option<Result<Message, WsError>>) -> Result<(), End> {
        let event = match message {
            Some(Ok(message)) => event(self.conn, message)?,
            Some(Err(error)) => return Err(End::Lost(format!("connection lost: {}", lost(&error)))),
            None => return Err(End::Lost("connection closed".to_owned())),
        };
        let event = stamped(event);
        let mut goodbye = false;
        if let StreamEvent::Frame { payload, .. } = &event.1 {
            goodbye = (self.spec.is_goodbye)(payload);
            if let Next::Beside(beside) = &mut self.next {
                beside.overlap.on_old(payload);
            }
        }
        self.tx.send(event).await.map_err(|_| End::Closed)?;
        if goodbye {
            // With a successor there already, nothing is lost at all.
            let beside = matches!(self.next, Next::Beside(_));
            return Err(if beside {
                End::Lost("the venue announced a shutdown".to_owned())
            } else {
                End::Goodbye
            });
        }
        // Taken after the hand-over to the listener, so that a slow one does not look like a silent venue.
        self.heard = Instant::now();
        self.probed = false;
        self.hand_over_when_complete().await
    }

    async fn beat(&mut self) -> Result<(), End> {
        let Some((text, _)) = self.spec.keep_alive else { return Ok(()) };
        self.live.beat(Message::text(text)).await.map_err(cannot_send)
    }

    async fn on_quiet(&mut self) -> Result<(), End> {
        if self.probed {
            return Err(End::Lost(format!("silent for {:?}", self.spec.timing.silence)));
        }
        self.probed = true;
        self.live.beat(Message::Ping(Bytes::from_static(b"assay"))).await.map_err(cannot_send)
    }

    async fn on_command(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Set(set) => *self.set = set,
            // Nothing is followed: what is asked for is all of it.
            Command::Again => self.live.set.clear(),
        }
        if let Next::Beside(beside) = &mut self.next
            && beside.live.follow(self.spec, self.set).await.is_err()
        {
            self.next = renewal(self.spec, self.conn, Instant::now());
        }
        self.live.follow(self.spec, self.set).await.map_err(cannot_send)
    }

    async fn on_next(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Due => {
                self.next = Next::Opening(Box::pin(open(Arc::clone(self.spec), self.set.clone())));
            }
            Step::Opened(Ok(mut live)) => {
                // What is followed may have changed while it was made.
                if live.set == *self.set || live.follow(self.spec, self.set).await.is_ok() {
                    let since = Instant::now();
                    self.next = Next::Beside(Box::new(Beside {
                        live,
                        kept_back: Vec::new(),
                        overlap: Overlap::new(),
                        since,
                    }));
                } else {
                    self.next = self.later();
                }
            }
            Step::Opened(Err(error)) => {
                tracing::warn!(conn = self.conn, venue = %self.spec.venue, %error, "no successor for a connection yet");
                self.next = self.later();
            }
            Step::Message(Some(Ok(Message::Text(text)))) => return self.keep_back(Bytes::from(text)).await,
            Step::Message(Some(Ok(Message::Binary(bytes)))) => return self.keep_back(bytes).await,
            Step::Message(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {}
            Step::Message(Some(Ok(Message::Close(_)) | Err(_)) | None) => {
                tracing::warn!(conn = self.conn, venue = %self.spec.venue, "the successor of a connection was lost");
                self.next = self.later();
            }
            Step::TimeUp => return self.hand_over("in time").await,
        }
        Ok(())
    }

    /// When a successor is tried again.
    fn later(&self) -> Next {
        Next::At(Instant::now() + backoff(self.spec.settings.seed, self.conn, 16))
    }

    async fn keep_back(&mut self, payload: Bytes) -> Result<(), End> {
        let Next::Beside(beside) = &mut self.next else { return Ok(()) };
        beside.overlap.on_new(&payload);
        beside.kept_back.push(payload);
        if beside.kept_back.len() >= KEPT_BACK {
            return self.hand_over("in time").await;
        }
        self.hand_over_when_complete().await
    }

    async fn hand_over_when_complete(&mut self) -> Result<(), End> {
        let ripe = match &self.next {
            Next::Beside(beside) => beside.since.elapsed() >= OVERLAP_LEAST && beside.overlap.is_complete(),
            _ => false,
        };
        if ripe { self.hand_over("in time").await } else { Ok(()) }
    }

    /// The successor takes the place of the present connection.
    async fn hand_over(&mut self, why: &str) -> Result<(), End> {
        let next = std::mem::replace(&mut self.next, Next::Never);
        let Next::Beside(beside) = next else {
            self.next = next;
            return Ok(());
        };
        let Beside { live, kept_back, overlap, since } = *beside;
        let age_s = self.live.born.elapsed().as_secs();
        let old = std::mem::replace(&mut self.live, live);
        self.next = renewal(self.spec, self.conn, self.live.born);
        tracing::info!(
            conn = self.conn,
            venue = %self.spec.venue,
            age_s,
            overlap_ms = since.elapsed().as_millis() as u64,
            symbols = overlap.symbols(),
            whole = overlap.is_complete(),
            why,
            "a connection was renewed"
        );
        tokio::spawn(async move {
            let mut socket = old.socket;
            // Out of courtesy: the venue notices by itself.
            let _ = timeout(SEND_TIMEOUT, socket.close(None)).await;
        });
        self.heard = Instant::now();
        self.probed = false;
        for payload in kept_back {
            let event = stamped(StreamEvent::Frame { conn: self.conn, payload });
            self.tx.send(event).await.map_err(|_| End::Closed)?;
        }
        Ok(())
    }
}

/// When the connection gets its successor: each at its own time.
fn renewal(spec: &Spec, conn: u16, born: Instant) -> Next {
    let Some(after) = spec.renew_after else { return Next::Never };
    let spread = mix(spec.settings.seed ^ u64::from(conn) << 16) % 1_024;
    Next::At(born + after - (after / 32).mul_f64(spread as f64 / 1_024.0))
}

fn cannot_send(what: String) -> End {
    End::Lost(format!("cannot send: {what}"))
}

/// Pongs to the venue's pings are queued by the library and written while reading goes on.
fn event(conn: u16, message: Message) -> Result<StreamEvent, End> {
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
