//! The hot thread's loop body: one input at a time into the core, its effects out. Where inputs come from lives in `live`
//! and `replay`.
//!
//! Every input gets its stamp (never backwards), its sequence number, goes through the core and then to the input log; its
//! effects go to the writer after that.
//! Nothing here touches a file or a lock; the queues to the writing threads are bounded, and a wait for them is counted.
//!
//! Service time: from the instant at which the reader had the frame in hand to the core's return, in
//! `loop_latency_seconds`. Of the stages, `receive` (queueing before the core) is measured here; the core says when it
//! parses, keeps a book, decides and fills, and a stopwatch of ours looks at the clock then (`stages`). The 1 s timer's lag
//! counts as one more event of pure queueing.

use crate::clock::Clock;
use crate::error::RunError;
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::screen::Screen;
use crate::stages::Stopwatch;
use crate::writer::WriterHandle;
use engine::recover::Cuts;
use engine::{Core, Effect};
use market::{Asset, Member, Timestamp, Venue};
use recording::{Input, Record};
use std::collections::VecDeque;
use std::time::Instant;

/// A snapshot that the core asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub asset: Asset,
    /// Epoch of the request.
    pub epoch: u32,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The duration is over.
    Duration,
    /// SIGTERM or SIGINT.
    Signal,
    /// The kill switch of the state store.
    KillSwitch,
    /// The emergency stop latched.
    Emergency,
    /// The recording that was replayed is over.
    RecordingEnd,
}

impl Outcome {
    /// `stop_reason` of the KPI file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Signal => "signal",
            Self::KillSwitch => "kill_switch",
            Self::Emergency => "emergency_stop",
            Self::RecordingEnd => "recording_end",
        }
    }
}

/// The core and its ways out.
pub struct Hot<'a> {
    core: Core,
    writer: &'a WriterHandle,
    recorder: Option<&'a Recorder>,
    metrics: &'a Metrics,
    seq: u64,
    last: Timestamp,
    out: Vec<Effect>,
    /// What a recording's restarts lost: not to be written again.
    cuts: Cuts,
    /// Snapshots to ask for.
    pub requests: VecDeque<SnapshotRequest>,
    /// Changes of the universe: who joined and who left.
    pub changes: VecDeque<(Vec<Member>, Vec<Member>)>,
    /// Venues to subscribe to once more.
    pub resubscribe: Vec<Venue>,
    /// Everything is closed, or reported as open.
    pub finished: bool,
    /// The emergency stop latched.
    pub emergency: bool,
}

impl<'a> Hot<'a> {
    /// Starts the core with its first record.
    ///
    /// # Errors
    /// [`RunError::Core`] when that is no session or its configuration is refused.
    pub fn start(
        first: Record,
        writer: &'a WriterHandle,
        recorder: Option<&'a Recorder>,
        metrics: &'a Metrics,
    ) -> Result<Self, RunError> {
        Self::begin(first, Cuts::none(), writer, recorder, metrics)
    }

    fn begin(
        first: Record,
        cuts: Cuts,
        writer: &'a WriterHandle,
        recorder: Option<&'a Recorder>,
        metrics: &'a Metrics,
    ) -> Result<Self, RunError> {
        let mut out = Vec::with_capacity(256);
        let mut core = Core::start(first.seq, first.at, &first.input, &mut out)
            .map_err(|e| RunError::Core { seq: first.seq, cause: e.to_string() })?;
        core.set_probe(Box::new(Stopwatch::new(metrics.stages.clone())));
        let mut hot = Self {
            core,
            writer,
            recorder,
            metrics,
            seq: first.seq,
            last: first.at,
            out,
            cuts,
            requests: VecDeque::new(),
            changes: VecDeque::new(),
            resubscribe: Vec::new(),
            finished: false,
            emergency: false,
        };
        hot.record(first);
        hot.effects();
        Ok(hot)
    }

    /// As [`Self::start`], for a recording with restarts in it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn replay(
        first: Record,
        cuts: Cuts,
        writer: &'a WriterHandle,
        metrics: &'a Metrics,
    ) -> Result<Self, RunError> {
        Self::begin(first, cuts, writer, None, metrics)
    }

    /// Hands in an input that arrived at `received`.
    pub fn feed(&mut self, input: Input, received: Instant, clock: &Clock) {
        let at = clock.at(received).max(self.last);
        let record = Record { seq: self.seq + 1, at, input };
        self.apply(record, received);
    }

    /// Hands in a record as it stands, from a recording.
    pub fn apply(&mut self, record: Record, received: Instant) {
        self.seq = record.seq;
        self.last = self.last.max(record.at);
        let begun = Instant::now();
        self.core.apply(record.seq, record.at, &record.input, &mut self.out);
        let done = Instant::now();
        self.metrics.latency.observe(done.saturating_duration_since(received).as_secs_f64());
        self.metrics.receive.observe(begun.saturating_duration_since(received).as_secs_f64());
        self.record(record);
        if !self.out.is_empty() {
            self.effects();
        }
    }

    fn effects(&mut self) {
        for effect in self.out.drain(..) {
            match effect {
                Effect::Record(entry) if !self.cuts.keeps(&entry) => {}
                Effect::Record(entry) => self.writer.record(entry),
                Effect::RequestSnapshot { venue, asset, epoch } => {
                    self.requests.push_back(SnapshotRequest { venue, asset, epoch });
                }
                Effect::Watch { joined, left } => self.changes.push_back((joined, left)),
                Effect::Resubscribe { venue } => self.resubscribe.push(venue),
                Effect::Finished => self.finished = true,
                Effect::EmergencyExit => {
                    self.finished = true;
                    self.emergency = true;
                }
            }
        }
    }

    fn record(&self, record: Record) {
        if let Some(recorder) = self.recorder {
            recorder.push(record);
        }
    }

    /// When the core wants to be woken.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.core.next_deadline()
    }

    /// Sends the core's figures to the metrics, through the writer so that they follow the journal.
    pub fn show(&self) {
        let view = self.core.view().clone();
        let book_ages = Venue::ALL.map(|venue| self.core.book_ages(venue).collect());
        self.writer.screen(Screen {
            view,
            book_ages,
            levels: self.core.levels_held(),
            latest: self.core.latest(),
        });
    }
}
