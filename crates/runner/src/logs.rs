//! Log lines: written to standard error by a thread of their own, so that a reader that stalls never stops the hot
//! thread; ERROR lines are counted (KPI 23), both as lines and as 100 ms slots that hold one.

use crate::args::LogFormat;
use crate::clock::Clock;
use std::io::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Length of a slot of the error rate, milliseconds.
pub const SLOT_MS: i64 = 100;
/// Lines that wait for the writing thread; what comes beyond is dropped and counted.
const QUEUE: usize = 8_192;

/// Counters of ERROR lines of this process.
#[derive(Debug)]
struct ErrorLog {
    start: Instant,
    lines: AtomicU64,
    slots: AtomicU64,
    last: AtomicI64,
}

static ERRORS: OnceLock<ErrorLog> = OnceLock::new();
static PIPE: OnceLock<Pipe> = OnceLock::new();

fn errors() -> &'static ErrorLog {
    ERRORS.get_or_init(|| ErrorLog {
        start: Instant::now(),
        lines: AtomicU64::new(0),
        slots: AtomicU64::new(0),
        last: AtomicI64::new(-1),
    })
}

/// Counts of ERROR lines so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErrorCount {
    /// ERROR lines.
    pub lines: u64,
    /// 100 ms slots with at least one.
    pub slots: u64,
}

/// Reads the counts. A run takes the difference to its beginning.
pub fn error_count() -> ErrorCount {
    let log = errors();
    ErrorCount { lines: log.lines.load(Relaxed), slots: log.slots.load(Relaxed) }
}

struct CountErrors;

impl<S: Subscriber> Layer<S> for CountErrors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let log = errors();
        log.lines.fetch_add(1, Relaxed);
        let slot = i64::try_from(log.start.elapsed().as_millis()).unwrap_or(i64::MAX) / SLOT_MS;
        if log.last.fetch_max(slot, Relaxed) < slot {
            log.slots.fetch_add(1, Relaxed);
        }
    }
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The way of a line to the writing thread.
#[derive(Debug)]
struct Pipe {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

struct LineWriter {
    line: Vec<u8>,
}

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        let Some(pipe) = PIPE.get() else { return };
        let line = std::mem::take(&mut self.line);
        if let Err(TrySendError::Full(_)) = pipe.sender.try_send(Message::Line(line)) {
            pipe.dropped.fetch_add(1, Relaxed);
        }
    }
}

fn write_lines(receiver: &Receiver<Message>, dropped: &AtomicU64) {
    let mut told = 0;
    loop {
        // Locked for each message only, so that other writers of the process get their turn.
        match receiver.recv_timeout(Duration::from_secs(1)) {
            Ok(Message::Line(line)) => {
                // Nothing can be done about a standard error that is gone; the run goes on.
                let _ = std::io::stderr().lock().write_all(&line);
            }
            Ok(Message::Flush(done)) => {
                let _ = std::io::stderr().lock().flush();
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = dropped.load(Relaxed);
        if now != told {
            let _ = writeln!(
                std::io::stderr().lock(),
                "{} log lines were dropped: standard error is too slow",
                now - told
            );
            told = now;
        }
    }
}

/// Installs the subscriber; a second call in one process keeps the first. The level comes from `ASSAY_LOG` (such as
/// `debug` or `runner=debug,info`), `info` by default.
pub fn install(format: LogFormat) {
    errors();
    let mut fresh = None;
    PIPE.get_or_init(|| {
        let (sender, receiver) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        fresh = Some((receiver, Arc::clone(&dropped)));
        Pipe { sender, dropped }
    });
    let Some((receiver, dropped)) = fresh else { return };
    let spawned =
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&receiver, &dropped));
    if spawned.is_err() {
        return;
    }
    let filter = tracing_subscriber::EnvFilter::try_from_env("ASSAY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let writer = || LineWriter { line: Vec::new() };
    let registry = tracing_subscriber::registry().with(CountErrors).with(filter);
    let result = match format {
        LogFormat::Text => {
            let layer =
                tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(writer);
            tracing::subscriber::set_global_default(registry.with(layer))
        }
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer);
            tracing::subscriber::set_global_default(registry.with(layer))
        }
    };
    // A subscriber that someone else installed stays; then ERROR lines are theirs to count.
    drop(result);
}

/// Waits, at most a second, until every line so far is written.
pub fn flush() {
    let Some(pipe) = PIPE.get() else { return };
    let (done, wait) = sync_channel(1);
    if pipe.sender.try_send(Message::Flush(done)).is_ok() {
        let _ = wait.recv_timeout(Duration::from_secs(1));
    }
}

/// Slots of the error rate since the start of a run, at least one.
pub fn slots_since(clock: &Clock) -> u64 {
    (u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)).div_ceil(SLOT_MS as u64).max(1)
}
