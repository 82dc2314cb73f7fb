//! Coming back after a kill: what the journal says, what of its end is cut, and whether this run may go on with it.
//!
//! The journal is read before anything is written. Behind its last commit stands at most a part of an input, which nobody
//! has seen: it is cut, and the cut is told (a record, a log line). A damaged journal, another run's, another
//! configuration's, or one that a living process writes, is left as it is. A replay starts from its beginning again instead and is
//! compared with what the journal holds already.

use crate::args::DataSource;
use crate::config::Effective;
use crate::error::RunError;
use engine::kpi::Kpis;
use engine::recover::{FoldError, State};
use journal::file::{FileError, Reader};
use journal::{Body, Entry};
use market::{Money, Timestamp};
use recording::{Input, Record};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// What was published before, for the writer to go on from.
#[derive(Debug, Default)]
pub struct Past {
    /// KPIs of everything that the journal holds.
    pub kpis: Kpis,
    /// When the session began.
    pub began: Option<Timestamp>,
    /// Paper capital, once there is a start record.
    pub capital_usd: Option<Money>,
    /// Highest result at marks so far, at least zero.
    pub peak_usd: Money,
    /// Alerts by rule.
    pub alerts: BTreeMap<String, u64>,
    /// A replay's: what the journal holds is compared, not written again.
    pub verify: Option<Verify>,
}

impl Past {
    fn on(&mut self, entry: &Entry) {
        self.kpis.on(entry);
        match &entry.body {
            Body::Start { terms, .. } => {
                self.began = Some(entry.at);
                self.capital_usd = Some(terms.capital_usd);
            }
            Body::Equity { pnl_usd, .. } => self.peak_usd = self.peak_usd.max(*pnl_usd),
            Body::Alert(alert) => *self.alerts.entry(alert.rule_id().to_owned()).or_default() += 1,
            _ => {}
        }
    }
}

/// What the journal of a killed process says.
#[derive(Debug)]
pub struct Restart {
    /// Where the session stands.
    pub state: State,
    /// Whole records behind the last commit.
    pub cut_records: u64,
    /// Bytes behind the last commit.
    pub cut_bytes: u64,
    /// Bytes up to the last commit.
    kept_bytes: u64,
}

/// A journal that is there, and may be gone on with.
#[derive(Debug)]
pub struct Found {
    /// What it says.
    pub restart: Restart,
    /// What was published of it.
    pub past: Past,
    /// Nobody else writes it while this lives.
    pub lock: File,
}

/// Reads the journal that this run would write. `None` when there is none, or an empty one.
///
/// # Errors
/// [`RunError::Journal`] and [`RunError::Recovery`] for a damaged one, [`RunError::JournalExists`] for one that ended,
/// [`RunError::Config`] for another run's or another configuration's. Nothing has been changed then.
pub fn look(effective: &Effective, source: DataSource) -> Result<Option<Found>, RunError> {
    let path = &effective.journal;
    let lock = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(RunError::io("read", path)(e)),
    };
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(RunError::Config(format!(
                "{} is being written by another process; wait for its end, or choose another --run-id and journal_dir",
                path.display()
            )));
        }
        Err(e) => return Err(RunError::io("lock", path)(e.into())),
    }
    let (restart, past) = read(path, source == DataSource::Replay)?;
    if source != DataSource::Replay && restart.state.journal_seq > 0 {
        same_run(effective, &restart.state)?;
    }
    Ok(Some(Found { restart, past, lock }))
}

fn read(path: &Path, replay: bool) -> Result<(Restart, Past), RunError> {
    let mut reader = Reader::open(path)?;
    let (mut state, mut past) = (State::new(), Past::default());
    let mut input = Vec::new();
    let mut kept_bytes = 0;
    let broken = |cause: FoldError| RunError::Recovery { path: path.to_owned(), cause: cause.to_string() };
    let mut records = 0u64;
    while let Some(entry) = reader.next_entry().map_err(|cause| damaged(cause, records, kept_bytes))? {
        records += 1;
        let commit = entry.commit;
        input.push(entry);
        if !commit {
            continue;
        }
        kept_bytes = reader.offset();
        for entry in input.drain(..) {
            // A replay does not go on from the state: what it writes is compared instead.
            if !replay {
                state.fold(&entry).map_err(broken)?;
            }
            past.on(&entry);
        }
    }
    let length = std::fs::metadata(path).map_err(RunError::io("read", path))?.len();
    let cut_bytes = length.saturating_sub(kept_bytes);
    if kept_bytes == 0 && input.is_empty() && !may_be_torn_start(path)? {
        let cause = "it does not begin as a journal does".to_owned();
        return Err(RunError::Recovery { path: path.to_owned(), cause });
    }
    let restart = Restart { state, cut_records: input.len() as u64, cut_bytes, kept_bytes };
    if replay && kept_bytes > 0 {
        past.verify = Some(Verify::open(path, kept_bytes)?);
    }
    Ok((restart, past))
}

/// What is damaged, and where; what stands before it is whole.
fn damaged(cause: FileError, records: u64, kept_bytes: u64) -> RunError {
    match cause {
        FileError::Damaged { path, line, what } => RunError::Recovery {
            path,
            cause: format!(
                "it is damaged in line {line} ({what}); the {records} records before are whole, up to byte {kept_bytes} for whole \
                 inputs"
            ),
        },
        cause @ FileError::Io { .. } => RunError::Journal(cause),
    }
}

/// Whether a file without a whole line is the torn beginning of a journal, and not somebody's file of that name.
fn may_be_torn_start(path: &Path) -> Result<bool, RunError> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(RunError::io("read", path))?;
    file.take(64).read_to_end(&mut head).map_err(RunError::io("read", path))?;
    let (crc, rest) = head.split_at(head.len().min(8));
    let begins = b" {\"seq\":1,";
    let known = rest.len().min(begins.len());
    Ok(crc.iter().all(u8::is_ascii_hexdigit) && rest[..known] == begins[..known])
}

/// Whether the journal is this run's, and its configuration the same.
fn same_run(effective: &Effective, state: &State) -> Result<(), RunError> {
    let path = effective.journal.display();
    if state.run_id != effective.run_id {
        return Err(RunError::Config(format!(
            "{path} is the journal of run {}, this is {}; give --run-id {} to go on with it, or choose another journal_dir",
            state.run_id, effective.run_id, state.run_id
        )));
    }
    if state.ended {
        return Err(RunError::JournalExists(effective.journal.clone()));
    }
    let before = other_source(effective);
    let keys = differing(&state.config, &effective.config.engine);
    let what = match (&before, keys.is_empty()) {
        (Some(source), _) => format!("--data-source {source}, not {}", effective.data_source),
        (None, false) => format!("another configuration: [engine] {}", keys.join(", ")),
        (None, true) => return Ok(()),
    };
    Err(RunError::Config(format!(
        "{path} was written with {what}; start with what it was written with, or choose another --run-id and journal_dir"
    )))
}

/// The data source of before, when the configuration written beside the KPI file names another one for this run.
fn other_source(effective: &Effective) -> Option<String> {
    let text = std::fs::read(effective.config_path()).ok()?;
    let document: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let before = &document["effective"];
    if before["run_id"] != effective.run_id.as_str() {
        return None;
    }
    before["data_source"].as_str().filter(|source| *source != effective.data_source).map(str::to_owned)
}

/// The keys whose values differ, with both.
fn differing(before: &engine::Config, now: &engine::Config) -> Vec<String> {
    let fields = |config| match serde_json::to_value(config) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, now) = (fields(before), fields(now));
    let changed = now.iter().filter(|(key, value)| before.get(*key) != Some(value));
    let name = |(key, value): (&String, &serde_json::Value)| {
        format!("{key} was {}, is {value}", before.get(key).unwrap_or(&serde_json::Value::Null))
    };
    changed.map(name).collect()
}

impl Restart {
    /// Cuts what was never published. Everything has been checked; from here on the journal is this process's.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn cut(&self, path: &Path) -> Result<(), RunError> {
        if self.cut_bytes == 0 {
            return Ok(());
        }
        tracing::warn!(
            records = self.cut_records,
            bytes = self.cut_bytes,
            path = %path.display(),
            "the journal's end was not committed and is cut: nobody has seen it"
        );
        let file = File::options().write(true).open(path).map_err(RunError::io("write", path))?;
        file.set_len(self.kept_bytes).and_then(|()| file.sync_data()).map_err(RunError::io("cut", path))
    }

    /// The first input of the process that goes on; `last` is the input log's last record.
    ///
    /// # Errors
    /// [`RunError::Internal`].
    pub fn first(
        &self,
        effective: &Effective,
        last: Option<(u64, Timestamp)>,
        now: Timestamp,
    ) -> Result<Record, RunError> {
        let text = |e: serde_json::Error| RunError::Internal(format!("the recovered state: {e}"));
        let (last_seq, last_at) = last.unwrap_or((0, Timestamp(i64::MIN)));
        let input = Input::Resume {
            run_id: effective.run_id.clone(),
            config: serde_json::to_string(&effective.config.engine).map_err(text)?,
            after_seq: self.state.journal_seq,
            cut_records: self.cut_records,
            cut_bytes: self.cut_bytes,
            state: serde_json::to_string(&self.state).map_err(text)?,
        };
        let seq = self.state.input_seq.max(last_seq) + 1;
        Ok(Record { seq, at: now.max(self.state.at).max(last_at), input })
    }

    /// Locks the journal of a run that begins.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn lock_new(path: &Path) -> Result<Option<File>, RunError> {
        let file =
            File::options().append(true).create(true).open(path).map_err(RunError::io("write", path))?;
        // Something that cannot be locked (a device) is nobody's journal either.
        Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
    }
}

/// Compares what a replay gives with what the journal holds already.
#[derive(Debug)]
pub struct Verify {
    path: PathBuf,
    file: BufReader<File>,
    left: u64,
    lines: u64,
    wanted: Vec<u8>,
    line: Vec<u8>,
}

impl Verify {
    fn open(path: &Path, bytes: u64) -> Result<Self, RunError> {
        let file = BufReader::new(File::open(path).map_err(RunError::io("read", path))?);
        Ok(Self { path: path.to_owned(), file, left: bytes, lines: 0, wanted: Vec::new(), line: Vec::new() })
    }

    /// True when the journal holds this record; false when the journal is over, and this record is the first new one.
    ///
    /// # Errors
    /// [`RunError::Recovery`] when they differ; [`RunError::Io`].
    pub fn agrees(&mut self, entry: &Entry) -> Result<bool, RunError> {
        if self.left == 0 {
            return Ok(false);
        }
        self.line.clear();
        journal::file::encode(entry, &mut self.line);
        self.wanted.clear();
        let read = self.file.read_until(b'\n', &mut self.wanted).map_err(RunError::io("read", &self.path))?;
        self.left = self.left.saturating_sub(read as u64);
        self.lines += 1;
        if self.wanted == self.line {
            return Ok(true);
        }
        let cause = format!("line {} is not what this recording gives; it was made from another", self.lines);
        Err(RunError::Recovery { path: self.path.clone(), cause })
    }

    /// The end of the replay.
    ///
    /// # Errors
    /// [`RunError::Recovery`] when the journal holds more.
    pub fn finish(&self) -> Result<(), RunError> {
        if self.left == 0 {
            return Ok(());
        }
        let cause =
            format!("the recording ends before its line {}: it was made from another", self.lines + 1);
        Err(RunError::Recovery { path: self.path.clone(), cause })
    }
}
