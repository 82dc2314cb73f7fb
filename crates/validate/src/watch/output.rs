//! The runner's standard output and error, so that the runner never waits for us: a thread each reads them into a bounded queue, and
//! one thread takes from it, writes the console log (see [`super::rotate`]) and the error log, and feeds the log watch.
//!
//! When the runner writes faster than the disk takes it, the queue fills and the runner is slowed down to that pace. When nothing is
//! taken at all for five seconds, what finds no room is dropped and counted: a disk that hangs does not hang the runner.

use super::rotate::Rotating;
use crate::archive::names;
use crate::logwatch::{LevelRules, LogWatch, Stream, Suspect};
use crate::supervise::Wake;
use gate::evidence::{LogCounters, LogFacts};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// What a phase's output needs.
pub struct Setup<'a> {
    /// The run folder.
    pub folder: &'a Path,
    /// The phase's label in file names.
    pub label: &'a str,
    /// The largest size of the phase's logs together, in bytes.
    pub cap: u64,
    /// What the profile says of a runner's own log.
    pub rules: LevelRules,
    /// The phase's start.
    pub began: Instant,
}

/// Bytes that may wait for the disk.
const QUEUE: usize = 64 << 20;
/// How long a reader waits for room in a full queue from which nothing is taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits with every further chunk until there is room again.
const IMPATIENCE: Duration = Duration::from_millis(100);
/// Size that the pipes are given, and the largest read.
const PIPE: usize = 1 << 20;

struct Chunk {
    stream: Stream,
    bytes: Vec<u8>,
    t: f64,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
    /// Pipes that somebody may still write to.
    open_streams: u32,
    /// A chunk is out of the queue and not yet worked off.
    at_work: bool,
    /// A reader has waited in vain: what finds no room soon is dropped.
    impatient: bool,
    dropped: u64,
    /// Nothing more is taken: the phase is over, whoever still holds a pipe.
    ended: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something was put in, or the end came.
    filled: Condvar,
    /// Something was taken out.
    emptied: Condvar,
}

struct State {
    watch: LogWatch,
    console: Rotating,
    errors: ErrorLog,
    /// Told when the log holds something that may be a crash; once until the next look.
    waker: Option<mpsc::Sender<Wake>>,
    woken: bool,
}

/// The shared state of the readers.
#[derive(Clone)]
pub struct Output {
    shared: Arc<Shared>,
    state: Arc<Mutex<State>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Output {
    /// Creates the logs and starts the readers.
    ///
    /// # Errors
    /// A log cannot be created.
    pub fn start(
        stdout: Option<PipeReader>,
        stderr: Option<PipeReader>,
        setup: Setup<'_>,
    ) -> std::io::Result<Self> {
        let state = State {
            watch: LogWatch::new().and_rules(setup.rules).keeping_error_lines(),
            console: Rotating::create(setup.folder, setup.label, setup.cap)?,
            errors: ErrorLog::create(setup.folder, setup.label, setup.cap / 10)?,
            waker: None,
            woken: false,
        };
        let output = Self { shared: Arc::default(), state: Arc::new(Mutex::new(state)) };
        for (pipe, stream) in [(stdout, Stream::Out), (stderr, Stream::Err)] {
            let Some(pipe) = pipe else { continue };
            // A larger pipe lets the runner write on while we are not on a processor. Refused for some users: it stays as it is.
            let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE);
            lock(&output.shared.queue).open_streams += 1;
            let (output, began) = (output.clone(), setup.began);
            std::thread::Builder::new()
                .name("output-read".to_owned())
                .spawn(move || output.read(pipe, stream, began))?;
        }
        let worker = output.clone();
        std::thread::Builder::new().name("output-watch".to_owned()).spawn(move || worker.work())?;
        Ok(output)
    }

    fn read(&self, mut pipe: PipeReader, stream: Stream, began: Instant) {
        let mut bytes = Vec::new();
        loop {
            bytes.resize(PIPE, 0);
            match pipe.read(&mut bytes) {
                Ok(0) => break,
                Ok(n) => {
                    bytes.truncate(n);
                    let t = began.elapsed().as_secs_f64();
                    let Some(spare) = self.put(Chunk { stream, bytes, t }) else { break };
                    bytes = spare;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        lock(&self.shared.queue).open_streams -= 1;
        self.shared.filled.notify_all();
    }

    /// Puts a chunk into the queue, and gives a buffer back for the next one; `None` when the phase is over.
    fn put(&self, chunk: Chunk) -> Option<Vec<u8>> {
        let mut queue = lock(&self.shared.queue);
        if queue.bytes >= QUEUE {
            let patience = if queue.impatient { IMPATIENCE } else { PATIENCE };
            let full = |queue: &mut Queue| queue.bytes >= QUEUE && !queue.ended;
            let (waited, _) = self
                .shared
                .emptied
                .wait_timeout_while(queue, patience, full)
                .unwrap_or_else(PoisonError::into_inner);
            queue = waited;
        }
        if queue.ended {
            return None;
        }
        queue.impatient = queue.bytes >= QUEUE;
        if queue.impatient {
            queue.dropped += chunk.bytes.len() as u64;
            return Some(chunk.bytes);
        }
        queue.bytes += chunk.bytes.len();
        queue.chunks.push_back(chunk);
        self.shared.filled.notify_all();
        Some(queue.spare.pop().unwrap_or_default())
    }

    fn work(&self) {
        loop {
            let chunk = {
                let queue = lock(&self.shared.queue);
                let idle =
                    |queue: &mut Queue| queue.chunks.is_empty() && queue.open_streams > 0 && !queue.ended;
                let mut queue =
                    self.shared.filled.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
                let Some(chunk) = queue.chunks.pop_front() else { return };
                queue.bytes -= chunk.bytes.len();
                queue.at_work = true;
                chunk
            };
            self.shared.emptied.notify_all();
            lock(&self.state).take(&chunk);
            let mut queue = lock(&self.shared.queue);
            queue.at_work = false;
            if queue.spare.len() < 4 {
                queue.spare.push(chunk.bytes);
            }
        }
    }

    /// Takes bytes that did not come through a pipe: a log that is followed.
    pub fn feed(&self, stream: Stream, bytes: &[u8], t: f64) {
        lock(&self.state).take(&Chunk { stream, bytes: bytes.to_vec(), t });
    }

    /// From now on this channel is woken when the log holds something that may be a crash.
    pub fn wake(&self, waker: mpsc::Sender<Wake>) {
        lock(&self.state).waker = Some(waker);
    }

    /// True while a block is open or a suspect waits.
    pub fn is_busy(&self) -> bool {
        lock(&self.state).watch.is_busy()
    }

    /// True when every holder of the pipes has closed them and all that they wrote was looked at.
    pub fn is_closed(&self) -> bool {
        let queue = lock(&self.shared.queue);
        queue.open_streams == 0 && queue.chunks.is_empty() && !queue.at_work
    }

    /// The counters so far, and the crash blocks that were completed since the last call.
    pub fn look(&self, t: f64) -> (LogCounters, Vec<Suspect>) {
        let mut state = lock(&self.state);
        state.woken = false;
        state.watch.idle(t);
        (state.watch.counters(), state.watch.take_suspects())
    }

    /// Like [`Self::look`], when the process has ended: what it wrote last counts, a half line and an open block too.
    pub fn look_at_last(&self, t: f64) -> (LogCounters, Vec<Suspect>) {
        let mut state = lock(&self.state);
        state.watch.finish(t);
        state.keep_errors();
        (state.watch.counters(), state.watch.take_suspects())
    }

    /// Ends the watch: the last counters, the last blocks, the commonest errors, the bytes that were dropped. What a grandchild
    /// writes later into a pipe that it still holds is not taken any more.
    pub fn finish(&self, t: f64) -> (LogCounters, Vec<Suspect>, Vec<(String, u64)>, u64) {
        let dropped = {
            let mut queue = lock(&self.shared.queue);
            queue.ended = true;
            queue.dropped
        };
        self.shared.filled.notify_all();
        self.shared.emptied.notify_all();
        // The queue's rest: at most 64 MB, worked off here when the worker is not fast enough.
        loop {
            let next = lock(&self.shared.queue).chunks.pop_front();
            let Some(chunk) = next else { break };
            lock(&self.state).take(&chunk);
        }
        let mut state = lock(&self.state);
        state.watch.finish(t);
        state.keep_errors();
        state.console.sync();
        let dropped = dropped + state.console.dropped();
        (state.watch.counters(), state.watch.take_suspects(), state.watch.top_errors(), dropped)
    }

    /// Writes the crash blocks whole behind the lines of the error log, with what became of each, and ends it.
    ///
    /// # Errors
    /// The error log cannot be written.
    pub fn end_error_log(&self, log: &LogFacts) -> std::io::Result<()> {
        lock(&self.state).errors.end(log)
    }
}

impl State {
    fn take(&mut self, chunk: &Chunk) {
        self.console.append(&chunk.bytes);
        self.watch.feed(chunk.stream, &chunk.bytes, chunk.t);
        self.keep_errors();
        if !self.woken
            && self.watch.is_busy()
            && let Some(waker) = &self.waker
        {
            self.woken = waker.send(Wake::Log).is_ok();
        }
    }

    fn keep_errors(&mut self) {
        let lines = self.watch.take_error_lines();
        self.errors.lines(&lines);
    }
}

/// `_error.log`: the lines of level ERROR and above as they come, within a cap; at the end the crash blocks, beyond the cap.
struct ErrorLog {
    file: File,
    room: u64,
    left_out: u64,
}

impl ErrorLog {
    fn create(folder: &Path, label: &str, cap: u64) -> std::io::Result<Self> {
        let path = folder.join(names::error_log(label));
        let file = File::options().create(true).append(true).mode(0o600).open(path)?;
        Ok(Self { file, room: cap, left_out: 0 })
    }

    fn lines(&mut self, lines: &[u8]) {
        let bytes = lines.len() as u64;
        if bytes == 0 {
            return;
        }
        if bytes <= self.room && self.file.write_all(lines).is_ok() {
            self.room -= bytes;
        } else {
            self.room = 0;
            self.left_out += bytes;
        }
    }

    fn end(&mut self, log: &LogFacts) -> std::io::Result<()> {
        use std::fmt::Write as _;
        let mut text = String::new();
        if self.left_out > 0 {
            let _ = writeln!(
                text,
                "({} further bytes of ERROR lines left out: a tenth of limits.log_cap_bytes is full)",
                self.left_out
            );
        }
        for block in &log.blocks {
            let _ = writeln!(
                text,
                "\n--- {} ({}) at {:.1} s\n{}",
                block.kind, block.language, block.at_s, block.text
            );
        }
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()
    }
}
