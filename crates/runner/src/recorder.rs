//! The input log, written by a thread of its own: the hot thread hands records over and never waits for the disk, unless
//! the queue is full (counted).

use crate::error::RunError;
use crate::rolling::Rolling;
use recording::Record;
use recording::file::{FileError, Tail, Writer};
use recording::series::SeriesWriter;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Records that wait for the thread.
const QUEUE: usize = 65_536;
/// Size of a log without a record.
const HEAD_BYTES: u64 = recording::file::HEAD_BYTES;
/// A block is closed and synced this often; the journal's writer asks for one before each batch.
const FLUSH: Duration = Duration::from_secs(1);

/// What the thread is told.
#[derive(Debug)]
enum Item {
    Record(Record),
    /// Write everything so far, then answer.
    Flush(SyncSender<()>),
    End,
}

/// The journal's writer waits here until the inputs behind its records are in the log: an input log is never behind its
/// journal, so that a replay gives at least what the journal has.
#[derive(Debug, Clone)]
pub struct Barrier(SyncSender<Item>);

impl Barrier {
    /// Waits until everything that the hot thread has handed over is in the file (in the system's hands, not synced). At
    /// once when the log has ended, by its cap or by an error that was reported.
    pub fn wait(&self) {
        let (done, wait) = sync_channel(1);
        if self.0.send(Item::Flush(done)).is_ok() {
            // An error means that the thread has ended, and with it the log.
            let _ = wait.recv();
        }
    }
}

/// What the recorder did so far.
#[derive(Debug, Default)]
pub struct RecorderStats {
    /// Records in the file.
    pub records: AtomicU64,
    /// Records that are not in it: the cap removed them with the oldest file, or the disk failed.
    pub dropped: AtomicU64,
    /// Bytes in the file.
    pub bytes: AtomicU64,
    /// Times that the hot thread had to wait for the queue.
    pub waits: AtomicU64,
    /// Payload bytes in the queue.
    pub queued: AtomicU64,
    /// Of [`Self::dropped`], those that the cap removed.
    pub removed: AtomicU64,
    /// The disk failed: the log has ended.
    pub failed: AtomicBool,
}

/// The hot thread's end.
#[derive(Debug)]
pub struct Recorder {
    sender: SyncSender<Item>,
    thread: Option<JoinHandle<()>>,
    stats: Arc<RecorderStats>,
}

impl Recorder {
    /// Creates the log and starts the thread.
    ///
    /// # Errors
    /// [`RunError::Recording`] when the file cannot be created (it must not exist), [`RunError::Internal`] without a thread.
    pub fn start(path: &Path, cap_bytes: Option<u64>) -> Result<Self, RunError> {
        // A run that failed before its first record leaves a log of nothing but its head: that is no recording.
        if std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= HEAD_BYTES) {
            let _ = std::fs::remove_file(path);
        }
        if path.exists() {
            return Err(RunError::Config(format!(
                "{} exists already: an input log is never overwritten; choose another --recording or move it away",
                path.display()
            )));
        }
        match cap_bytes {
            None => Self::run(Sink::Whole(Writer::create(path)?)),
            Some(cap) => {
                let series = SeriesWriter::create_beside(path, crate::rolling::limits(cap))?;
                Self::run(Sink::Rolling(Box::new(Rolling::new(series))))
            }
        }
    }

    /// Writes a recorded market.
    ///
    /// # Errors
    /// [`RunError::Internal`] without a thread.
    pub fn rolling(rolling: Rolling) -> Result<Self, RunError> {
        Self::run(Sink::Rolling(Box::new(rolling)))
    }

    /// Goes on with the log of a killed run, or begins one when there is none.
    ///
    /// # Errors
    /// As [`Recorder::start`]; a log that is damaged before its tail is left as it is.
    pub fn go_on(path: &Path, cap_bytes: Option<u64>, run_id: &str) -> Result<(Self, Tail), RunError> {
        if !is_begun(path) {
            return Ok((Self::start(path, cap_bytes)?, Tail::default()));
        }
        let (sink, tail) = match cap_bytes {
            None => {
                let (writer, tail) = Writer::go_on(path, run_id)?;
                (Sink::Whole(writer), tail)
            }
            Some(cap) => {
                let (series, tail) = SeriesWriter::go_on(path, run_id, crate::rolling::limits(cap))?;
                (Sink::Rolling(Box::new(Rolling::new(series))), tail)
            }
        };
        if tail.cut_bytes > 0 {
            let bytes = tail.cut_bytes;
            tracing::warn!(bytes, path = %path.display(), "the input log's torn tail was cut");
        }
        Ok((Self::run(sink)?, tail))
    }

    fn run(sink: Sink) -> Result<Self, RunError> {
        let (sender, receiver) = sync_channel(QUEUE);
        let stats = Arc::new(RecorderStats::default());
        let theirs = Arc::clone(&stats);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || write(sink, &receiver, &theirs))
            .map_err(|e| RunError::Internal(format!("no thread for the input log: {e}")))?;
        Ok(Self { sender, thread: Some(thread), stats })
    }

    /// Counters.
    pub fn stats(&self) -> Arc<RecorderStats> {
        Arc::clone(&self.stats)
    }

    /// For the journal's writer.
    pub fn barrier(&self) -> Barrier {
        Barrier(self.sender.clone())
    }

    /// Hands a record over; before its effects are handed to the journal's writer, so that a [`Barrier`] covers it.
    pub fn push(&self, record: Record) {
        self.stats.queued.fetch_add(size(&record), Relaxed);
        match self.sender.try_send(Item::Record(record)) {
            Ok(()) => {}
            Err(TrySendError::Full(record)) => {
                self.stats.waits.fetch_add(1, Relaxed);
                if self.sender.send(record).is_err() {
                    self.stats.dropped.fetch_add(1, Relaxed);
                }
            }
            Err(TrySendError::Disconnected(_)) => {
                self.stats.dropped.fetch_add(1, Relaxed);
            }
        }
    }

    /// Writes what is queued, syncs, ends the thread; says so when the log lacks its end.
    pub fn finish(mut self) {
        self.close();
        let dropped = self.stats.dropped.load(Relaxed);
        if dropped > 0 {
            let records = self.stats.records.load(Relaxed);
            tracing::warn!(
                records,
                dropped,
                "the log is not whole: a journal is replayed from a whole one only"
            );
        }
    }

    fn close(&mut self) {
        if let Some(thread) = self.thread.take() {
            // The journal's writer may hold a sender for longer: the end is said, not seen.
            let _ = self.sender.send(Item::End);
            let _ = thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

/// What a record holds beyond its fixed part, bytes.
fn size(record: &Record) -> u64 {
    use recording::Input;
    let payload = match &record.input {
        Input::Frame { payload, .. } | Input::Snapshot { payload, .. } | Input::Candles { payload, .. } => {
            payload.len()
        }
        _ => 0,
    };
    (payload + size_of::<Record>()) as u64
}

/// Where the records go.
#[derive(Debug)]
enum Sink {
    /// One file, whole: the journal can be replayed from it.
    Whole(Writer),
    /// Several files below a cap, the oldest of which go.
    Rolling(Box<Rolling>),
}

impl Sink {
    fn push(&mut self, record: &Record) -> Result<(), FileError> {
        match self {
            Self::Whole(writer) => writer.push(record),
            Self::Rolling(rolling) => rolling.push(record),
        }
    }

    fn flush(&mut self) -> Result<(), FileError> {
        match self {
            Self::Whole(writer) => writer.flush(),
            Self::Rolling(rolling) => rolling.flush(),
        }
    }

    /// Bytes on the disk, and records that went with the oldest files.
    fn held(&self) -> (u64, u64) {
        match self {
            Self::Whole(writer) => (writer.written(), 0),
            Self::Rolling(rolling) => rolling.held(),
        }
    }

    fn sync(&mut self, stats: &RecorderStats) -> Result<(), FileError> {
        let result = match self {
            Self::Whole(writer) => writer.sync(),
            Self::Rolling(rolling) => rolling.sync(),
        };
        self.tell(stats);
        result
    }

    fn tell(&self, stats: &RecorderStats) {
        let (bytes, removed) = self.held();
        stats.bytes.store(bytes, Relaxed);
        let known = stats.removed.swap(removed, Relaxed);
        stats.dropped.fetch_add(removed.saturating_sub(known), Relaxed);
    }
}

/// Whether there is a log to go on with: a record, or a part behind a first one that the cap removed.
fn is_begun(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.len() > HEAD_BYTES)
        || recording::series::Series::open(path).is_ok_and(|series| series.files() > 0 && !path.exists())
}

fn write(mut sink: Sink, receiver: &Receiver<Item>, stats: &RecorderStats) {
    let mut open = true;
    let mut flushed = Instant::now();
    let failed = |error: FileError| {
        tracing::error!(%error, "the input log ends here");
        stats.failed.store(true, Relaxed);
        false
    };
    loop {
        match receiver.recv_timeout(FLUSH.saturating_sub(flushed.elapsed())) {
            Ok(Item::Record(record)) => {
                stats.queued.fetch_sub(size(&record), Relaxed);
                if !open {
                    stats.dropped.fetch_add(1, Relaxed);
                } else if let Err(error) = sink.push(&record) {
                    open = failed(error);
                    stats.dropped.fetch_add(1, Relaxed);
                } else {
                    stats.records.fetch_add(1, Relaxed);
                }
            }
            Ok(Item::Flush(done)) => {
                if open && let Err(error) = sink.flush() {
                    open = failed(error);
                }
                // Whoever asked may be gone.
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Item::End) | Err(RecvTimeoutError::Disconnected) => break,
        }
        if open && flushed.elapsed() >= FLUSH {
            open = sink.sync(stats).map_or_else(failed, |()| true);
            flushed = Instant::now();
        }
    }
    if open && let Err(error) = sink.sync(stats) {
        failed(error);
    }
    sink.tell(stats);
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::Timestamp;
    use recording::Input;
    use recording::file::Reader;

    fn record(seq: u64) -> Record {
        // Noise, which does not compress away.
        let mut bits = seq;
        let payload: Vec<u8> = (0..1_000)
            .map(|_| {
                bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (bits >> 56) as u8
            })
            .collect();
        Record { seq, at: Timestamp(seq as i64), input: Input::Frame { conn: 0, payload: payload.into() } }
    }

    #[test]
    fn at_the_cap_the_newest_is_kept_and_the_counters_say_what_went() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.rec");
        let recorder = Recorder::start(&path, Some(500_000)).unwrap();
        let stats = recorder.stats();
        for seq in 1..=2_000 {
            recorder.push(record(seq));
        }
        recorder.finish();
        let (records, dropped) = (stats.records.load(Relaxed), stats.dropped.load(Relaxed));
        assert!(dropped > 500 && records == 2_000, "{records} and {dropped}");
        assert_eq!(stats.queued.load(Relaxed), 0);
        assert!(!path.exists(), "the oldest file goes first");
        let on_disk: u64 =
            std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(on_disk <= 500_000, "{on_disk}");
        assert_eq!(stats.bytes.load(Relaxed), on_disk);
        // Named by the file that is gone, what is left reads in order to the end.
        let mut series = recording::series::Series::open(&path).unwrap();
        let read: Vec<u64> = series.by_ref().map(|r| r.unwrap().seq).collect();
        assert_eq!(read, (dropped + 1..=2_000).collect::<Vec<_>>());
        assert_eq!((series.removed(), series.problems().len()), (dropped, 0));
    }

    #[test]
    fn a_capped_log_of_a_killed_run_goes_on_in_its_last_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.rec");
        let recorder = Recorder::start(&path, Some(40_000_000)).unwrap();
        (1..=4_500).for_each(|seq| recorder.push(record(seq)));
        recorder.finish();
        assert!(Recorder::start(&path, Some(40_000_000)).is_err());
        let (recorder, tail) = Recorder::go_on(&path, Some(40_000_000), "any").unwrap();
        assert_eq!(tail.last, Some((4_500, Timestamp(4_500))));
        (4_501..=6_000).for_each(|seq| recorder.push(record(seq)));
        recorder.finish();
        let mut series = recording::series::Series::open(&path).unwrap();
        let read: Vec<u64> = series.by_ref().map(|r| r.unwrap().seq).collect();
        assert_eq!(read, (1..=6_000).collect::<Vec<_>>());
        assert!(series.files() > 1, "{} files", series.files());
    }

    #[test]
    fn what_a_barrier_covers_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.rec");
        let recorder = Recorder::start(&path, None).unwrap();
        let barrier = recorder.barrier();
        for seq in 1..=50 {
            recorder.push(record(seq));
            if seq % 10 == 0 {
                barrier.wait();
                assert_eq!(Reader::open(&path).unwrap().count() as u64, seq);
            }
        }
        recorder.finish();
        // Nobody waits for a log that has ended.
        barrier.wait();
    }

    #[test]
    fn a_log_without_records_is_replaced_and_one_with_records_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.rec");
        Recorder::start(&path, None).unwrap().finish();
        let recorder = Recorder::start(&path, None).unwrap();
        recorder.push(record(1));
        recorder.finish();
        let error = Recorder::start(&path, None).unwrap_err();
        assert_eq!(error.exit_code(), 64);
        assert_eq!(Reader::open(&path).unwrap().count(), 1);
    }
}
