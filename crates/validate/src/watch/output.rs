//! The runner's standard output and error: drained by a thread each, so that the runner never waits for us, into the console log
//! (capped, what is dropped is counted) and through the log watch.

use crate::logwatch::{LevelRules, LogWatch, Stream, Suspect};
use gate::evidence::LogCounters;
use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

struct State {
    watch: LogWatch,
    console: File,
    written: u64,
    cap: u64,
    dropped: u64,
    open_streams: u32,
}

/// The shared state of the two readers.
#[derive(Clone)]
pub struct Output(Arc<Mutex<State>>);

impl Output {
    /// Starts the readers. `cap` is the largest size of the console log in bytes.
    ///
    /// # Errors
    /// The console log cannot be created.
    pub fn start(
        stdout: Option<PipeReader>,
        stderr: Option<PipeReader>,
        console: &Path,
        cap: u64,
        began: Instant,
        rules: LevelRules,
    ) -> std::io::Result<Self> {
        let console = File::options().create(true).append(true).mode(0o600).open(console)?;
        let state = State {
            watch: LogWatch::with_rules(rules),
            console,
            written: 0,
            cap,
            dropped: 0,
            open_streams: 0,
        };
        let output = Self(Arc::new(Mutex::new(state)));
        for (pipe, stream) in [(stdout, Stream::Out), (stderr, Stream::Err)] {
            let Some(pipe) = pipe else { continue };
            output.lock().open_streams += 1;
            let output = output.clone();
            std::thread::spawn(move || output.drain(pipe, stream, began));
        }
        Ok(output)
    }

    fn drain(&self, mut pipe: PipeReader, stream: Stream, began: Instant) {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => self.lock().take(&buffer[..n], stream, began.elapsed().as_secs_f64()),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.lock().open_streams -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when every holder of the pipes has closed them.
    pub fn is_closed(&self) -> bool {
        self.lock().open_streams == 0
    }

    /// The counters so far, and the crash blocks that were completed since the last call.
    pub fn look(&self, t: f64) -> (LogCounters, Vec<Suspect>) {
        let mut state = self.lock();
        state.watch.idle(t);
        (state.watch.counters(), state.watch.take_suspects())
    }

    /// Ends the watch: the last counters, the last blocks, the commonest errors, what the cap dropped.
    pub fn finish(&self, t: f64) -> (LogCounters, Vec<Suspect>, Vec<(String, u64)>, u64) {
        let mut state = self.lock();
        state.watch.finish(t);
        let _ = state.console.sync_data();
        (state.watch.counters(), state.watch.take_suspects(), state.watch.top_errors(), state.dropped)
    }
}

impl State {
    fn take(&mut self, chunk: &[u8], stream: Stream, t: f64) {
        let room = (self.cap.saturating_sub(self.written)).min(chunk.len() as u64) as usize;
        let written = if self.console.write_all(&chunk[..room]).is_ok() { room } else { 0 };
        self.written += written as u64;
        self.dropped += (chunk.len() - written) as u64;
        self.watch.feed(stream, chunk, t);
    }
}
