//! A recording in several files, of one numbered log, rotated by size and time, the oldest of them removed at a cap: in a folder
//! `000001.rec`, `000002.rec`, ..., or beside a run's journal `input.rec`, `input.000002.rec`, ...
//!
//! Every file but the first begins with a checkpoint: records that say how things stood there, all with the number of the last
//! record before the file. Whoever reads the files in order skips it; whoever begins at that file, or comes to it over a hole,
//! begins from it. So any one file can be read alone, and a hole costs what lay in it and nothing behind it.
//!
//! What lives here: [`SeriesWriter`] and [`Series`]. What does not: what a checkpoint must hold (the shell's knowledge of
//! books), and a single file's format ([`mod@crate::file`]).

use crate::file::{FileError, HEAD_BYTES, Reader, Tail, Writer};
use crate::{ConnId, Input, Record};
use market::{Timestamp, Venue};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ending of a recording's files.
pub const ENDING: &str = "rec";

/// When a file is full, and how much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A file is closed when so many bytes were written behind its checkpoint.
    pub rotate_bytes: u64,
    /// A file is closed when its first record is so old.
    pub rotate_every: Duration,
    /// All files together stay within this: the oldest finished ones go. None: everything is kept.
    pub cap_bytes: Option<u64>,
}

/// What a writer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Records written, checkpoints aside.
    pub records: u64,
    /// Bytes written, in files that were removed too.
    pub bytes: u64,
    /// Files that are there.
    pub files: u32,
    /// Files removed by the cap.
    pub removed_files: u32,
    /// Bytes in them.
    pub removed_bytes: u64,
    /// Records in them: those are no longer there.
    pub removed_records: u64,
}

#[derive(Debug)]
struct Finished {
    path: PathBuf,
    bytes: u64,
    records: u64,
}

/// Writes a series.
#[derive(Debug)]
pub struct SeriesWriter {
    /// A folder, or the first file.
    place: Place,
    limits: Limits,
    file: Writer,
    path: PathBuf,
    number: u32,
    opened: Option<Timestamp>,
    /// Bytes of the file's head and checkpoint, which do not count as its fill.
    base: u64,
    records: u64,
    finished: VecDeque<Finished>,
    finished_bytes: u64,
    totals: Totals,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { path, source }
}

/// Where a series is.
#[derive(Debug, Clone)]
enum Place {
    Folder(PathBuf),
    First(PathBuf),
}

impl Place {
    fn name(&self, number: u32) -> PathBuf {
        match self {
            Self::Folder(dir) => dir.join(format!("{number:06}.{ENDING}")),
            Self::First(first) if number == 1 => first.clone(),
            Self::First(first) => first.with_extension(format!("{number:06}.{ENDING}")),
        }
    }
}

impl SeriesWriter {
    /// Begins a series in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// [`FileError::Occupied`] when it holds a recording already.
    pub fn create(dir: &Path, limits: Limits) -> Result<Self, FileError> {
        std::fs::create_dir_all(dir).map_err(io(dir))?;
        // A start that failed before its first record leaves a file of nothing but its head: that is no recording.
        for path in files_of(dir)? {
            if std::fs::metadata(&path).map_err(io(&path))?.len() > HEAD_BYTES {
                return Err(FileError::Occupied { path: dir.to_owned() });
            }
            std::fs::remove_file(&path).map_err(io(&path))?;
        }
        Self::begin(Place::Folder(dir.to_owned()), limits)
    }

    /// Begins a series whose first file is `first`: the others stand beside it.
    ///
    /// # Errors
    /// [`FileError::Occupied`] when a file of that series is there.
    pub fn create_beside(first: &Path, limits: Limits) -> Result<Self, FileError> {
        if let Some(path) = parts_of(first)?.pop_front() {
            return Err(FileError::Occupied { path });
        }
        Self::begin(Place::First(first.to_owned()), limits)
    }

    fn begin(place: Place, limits: Limits) -> Result<Self, FileError> {
        let path = place.name(1);
        Ok(Self::with(place, limits, Writer::create(&path)?, path, 1))
    }

    fn with(place: Place, limits: Limits, file: Writer, path: PathBuf, number: u32) -> Self {
        Self {
            place,
            limits,
            base: file.written(),
            totals: Totals { bytes: file.written(), ..Totals::default() },
            file,
            path,
            number,
            opened: None,
            records: 0,
            finished: VecDeque::new(),
            finished_bytes: 0,
        }
    }

    /// Goes on with a series beside `first` whose writer was killed, as [`Writer::go_on`] does with a file. Records of the files
    /// before the last are not counted in what is told of them.
    ///
    /// # Errors
    /// As [`Writer::go_on`].
    pub fn go_on(first: &Path, run: &str, limits: Limits) -> Result<(Self, Tail), FileError> {
        let mut parts = parts_of(first)?;
        let mut last = parts.pop_back().ok_or_else(|| FileError::Empty { path: first.to_owned() })?;
        // A kill can come before a new file holds anything.
        if std::fs::metadata(&last).map_err(io(&last))?.len() <= HEAD_BYTES
            && let Some(before) = parts.pop_back()
        {
            std::fs::remove_file(&last).map_err(io(&last))?;
            last = before;
        }
        let (file, tail) = Writer::go_on(&last, run)?;
        let number = if last == first { 1 } else { number_of(first, &last).unwrap_or(1) };
        let mut series = Self::with(Place::First(first.to_owned()), limits, file, last, number);
        // What it holds already fills it, its checkpoint included.
        (series.base, series.totals.bytes) = (HEAD_BYTES, HEAD_BYTES);
        series.records = tail.records;
        series.opened = tail.last.map(|(_, at)| at);
        for path in parts {
            let bytes = std::fs::metadata(&path).map_err(io(&path))?.len();
            series.finished_bytes += bytes;
            series.finished.push_back(Finished { path, bytes, records: 0 });
        }
        Ok((series, tail))
    }

    /// Whether the file is full at `at`, so that [`Self::rotate`] comes before the next [`Self::push`].
    pub fn is_due(&self, at: Timestamp) -> bool {
        let aged = |opened: Timestamp| {
            u128::try_from(at.since(opened)).is_ok_and(|age| age >= self.limits.rotate_every.as_nanos())
        };
        self.records > 0
            && (self.file.written() - self.base >= self.limits.rotate_bytes || self.opened.is_some_and(aged))
    }

    /// Closes the file and begins the next one with a checkpoint. Gives the files that the cap removed.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn rotate(&mut self, checkpoint: &[Record]) -> Result<Vec<PathBuf>, FileError> {
        self.file.sync()?;
        let next_path = self.place.name(self.number + 1);
        let mut next = Writer::create(&next_path)?;
        next.checkpoint(checkpoint)?;
        self.number += 1;
        let bytes = self.file.written();
        self.totals.bytes += bytes - self.base + next.written();
        let path = std::mem::replace(&mut self.path, next_path);
        self.finished.push_back(Finished { path, bytes, records: self.records });
        self.finished_bytes += bytes;
        (self.base, self.records, self.opened, self.file) = (next.written(), 0, None, next);
        self.make_room()
    }

    /// Appends a record. Gives the files that the cap removed.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn push(&mut self, record: &Record) -> Result<Vec<PathBuf>, FileError> {
        let before = self.file.written();
        self.file.push(record)?;
        self.opened.get_or_insert(record.at);
        self.records += 1;
        self.totals.records += 1;
        if self.file.written() == before { Ok(Vec::new()) } else { self.make_room() }
    }

    /// Writes what is buffered and asks the system to put it on the disk.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn sync(&mut self) -> Result<Vec<PathBuf>, FileError> {
        self.file.sync()?;
        self.make_room()
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn flush(&mut self) -> Result<(), FileError> {
        self.file.flush()
    }

    /// What was done so far.
    pub fn totals(&self) -> Totals {
        let files = u32::try_from(self.finished.len() + 1).unwrap_or(u32::MAX);
        Totals { files, bytes: self.totals.bytes + self.file.written() - self.base, ..self.totals }
    }

    /// Bytes in the files that are there.
    pub fn held_bytes(&self) -> u64 {
        self.finished_bytes + self.file.written()
    }

    /// The file under way is never removed: the newest is what is kept.
    fn make_room(&mut self) -> Result<Vec<PathBuf>, FileError> {
        let mut removed = Vec::new();
        let Some(cap) = self.limits.cap_bytes else { return Ok(removed) };
        while self.held_bytes() > cap
            && let Some(oldest) = self.finished.pop_front()
        {
            std::fs::remove_file(&oldest.path).map_err(io(&oldest.path))?;
            self.finished_bytes -= oldest.bytes;
            self.totals.removed_files += 1;
            self.totals.removed_bytes += oldest.bytes;
            self.totals.removed_records += oldest.records;
            removed.push(oldest.path);
        }
        Ok(removed)
    }
}

/// What is wrong with a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A file ends in the middle of a block: its writer was killed there.
    Torn {
        /// The file.
        path: PathBuf,
        /// Where the last whole block ends.
        offset: u64,
    },
    /// A file is damaged: nothing behind that place in it was read.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A file is no recording of ours, or cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// Records are not there.
    Missing {
        /// The first of them.
        first: u64,
        /// The last.
        last: u64,
        /// The file that goes on behind them.
        before: PathBuf,
    },
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Torn { path, offset } => {
                write!(f, "{} has a torn tail at byte {offset}: its writer was killed there", shown(path))
            }
            Self::Damaged { path, offset, what } => {
                write!(
                    f,
                    "{} is damaged at byte {offset}: {what}; the rest of that file is left out",
                    shown(path)
                )
            }
            Self::Unreadable { path, what } => write!(f, "{} cannot be read: {what}", shown(path)),
            Self::Missing { first, last, before } => write!(
                f,
                "records {first} to {last} are missing before {}: {} of them",
                shown(before),
                last - first + 1
            ),
        }
    }
}

fn shown(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()
}

/// Reads a recording: a file, or a folder's files in order.
///
/// Of a folder, what can be read is read, and [`Series::problems`] names the rest: over a hole the connections go down, and what
/// follows begins from the next file's checkpoint. Damage in a single file is an error.
#[derive(Debug)]
pub struct Series {
    files: VecDeque<PathBuf>,
    count: usize,
    is_folder: bool,
    reader: Option<Reader>,
    /// The file in hand has given a record that is not its checkpoint's.
    begun: bool,
    checkpoint: Vec<Record>,
    ready: VecDeque<Record>,
    last: Option<u64>,
    conns: BTreeMap<ConnId, Venue>,
    problems: Vec<Problem>,
    blocks: u64,
    bytes: u64,
    removed: u64,
    torn_at: Option<u64>,
}

impl Series {
    /// Opens a recording: a folder with files `*.rec`, or a file, with those that go on behind it.
    ///
    /// # Errors
    /// [`FileError::Io`], [`FileError::NotALog`], [`FileError::Empty`] for a folder without such a file.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let mut files = if path.is_dir() { files_of(path)? } else { parts_of(path)? };
        if !path.is_dir() && files.is_empty() {
            // The system says best what is wrong with it.
            files.push_back(path.to_owned());
        }
        let is_folder = path.is_dir() || files.len() > 1;
        if files.is_empty() {
            return Err(FileError::Empty { path: path.to_owned() });
        }
        let mut series = Self {
            count: files.len(),
            files,
            is_folder,
            reader: None,
            begun: false,
            checkpoint: Vec::new(),
            ready: VecDeque::new(),
            last: None,
            conns: BTreeMap::new(),
            problems: Vec::new(),
            blocks: 0,
            bytes: 0,
            removed: 0,
            torn_at: None,
        };
        series.next_file()?;
        Ok(series)
    }

    /// What is wrong with it, as far as it was read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Files.
    pub const fn files(&self) -> usize {
        self.count
    }

    /// Whole blocks read.
    pub fn blocks(&self) -> u64 {
        self.blocks + self.reader.as_ref().map_or(0, Reader::blocks)
    }

    /// Bytes read, to the end of the last whole block of each file.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.reader.as_ref().map_or(0, Reader::position)
    }

    /// Records before the first one that is there: a cap removed them.
    pub const fn removed(&self) -> u64 {
        self.removed
    }

    /// Where the last file's torn tail begins, once the end has been reached.
    pub const fn torn_at(&self) -> Option<u64> {
        self.torn_at
    }

    /// The next record, `None` at the end. Over a hole, and at the beginning of what a cap has left, records of a checkpoint
    /// come first, all with the number of the record before them.
    ///
    /// # Errors
    /// [`FileError`] for a single file; of a folder, what cannot be read is in [`Self::problems`].
    pub fn next_record(&mut self) -> Result<Option<Record>, FileError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                self.note(&record);
                return Ok(Some(record));
            }
            let Some(reader) = &mut self.reader else {
                if self.next_file()? {
                    continue;
                }
                return Ok(None);
            };
            match reader.next_record() {
                Ok(Some(record)) if reader.in_checkpoint() && !self.begun => self.checkpoint.push(record),
                Ok(Some(record)) => self.take(record)?,
                Ok(None) => self.end_of_file(),
                Err(error) => self.give_up(error)?,
            }
        }
    }

    fn note(&mut self, record: &Record) {
        match &record.input {
            Input::ConnUp { conn, venue } => {
                self.conns.insert(*conn, *venue);
            }
            Input::ConnDown { conn, .. } => {
                self.conns.remove(conn);
            }
            _ => {}
        }
    }

    /// A record behind the checkpoint.
    fn take(&mut self, record: Record) -> Result<(), FileError> {
        let expected = self.last.map(|last| last.saturating_add(1));
        if !self.begun {
            self.begun = true;
            let checkpoint = std::mem::take(&mut self.checkpoint);
            match (expected, checkpoint.last().map(|last| last.seq)) {
                (Some(expected), _) if expected == record.seq => {}
                // A checkpoint says where it stands: what follows must be the next.
                (_, Some(base)) if base.saturating_add(1) != record.seq => {
                    return self.broken(format!("record {} follows a checkpoint of {base}", record.seq));
                }
                (None, None) => self.removed = record.seq.saturating_sub(1),
                (None, Some(base)) => {
                    self.removed = base;
                    self.ready.extend(checkpoint);
                }
                (Some(expected), Some(_)) if record.seq > expected => {
                    self.jump(expected, &record, checkpoint)
                }
                (Some(expected), _) => {
                    return self.broken(format!("record {} stands where {expected} belongs", record.seq));
                }
            }
        } else if expected != Some(record.seq) {
            return self.broken(format!("record {} follows {}", record.seq, self.last.unwrap_or_default()));
        }
        self.last = Some(record.seq);
        self.ready.push_back(record);
        Ok(())
    }

    /// Over a hole: every connection is down, and the checkpoint says how things stand behind it.
    fn jump(&mut self, expected: u64, record: &Record, checkpoint: Vec<Record>) {
        let before = self.reader.as_ref().map(|reader| reader.path().to_owned()).unwrap_or_default();
        let last = record.seq - 1;
        let reason = format!("records {expected} to {last} are missing in the recording");
        self.problems.push(Problem::Missing { first: expected, last, before });
        let at = checkpoint.first().map_or(record.at, |first| first.at);
        for (conn, venue) in std::mem::take(&mut self.conns) {
            let input = Input::ConnDown { conn, venue, reason: reason.clone() };
            self.ready.push_back(Record { seq: last, at, input });
        }
        // The session goes on: it has begun already.
        let is_session = |record: &Record| matches!(record.input, Input::Session { .. });
        self.ready.extend(checkpoint.into_iter().filter(|record| !is_session(record)));
    }

    fn broken(&mut self, what: String) -> Result<(), FileError> {
        let (path, offset) = self
            .reader
            .as_ref()
            .map(|reader| (reader.path().to_owned(), reader.position()))
            .unwrap_or_default();
        self.give_up(FileError::Damaged { path, offset, what })
    }

    fn give_up(&mut self, error: FileError) -> Result<(), FileError> {
        if !self.is_folder {
            self.close();
            return Err(error);
        }
        self.problems.push(match error {
            FileError::Damaged { path, offset, what } => Problem::Damaged { path, offset, what },
            FileError::NotALog { path, what } => Problem::Unreadable { path, what },
            error => {
                let path = self.reader.as_ref().map(|reader| reader.path().to_owned()).unwrap_or_default();
                Problem::Unreadable { path, what: error.to_string() }
            }
        });
        self.close();
        Ok(())
    }

    fn end_of_file(&mut self) {
        let torn = self.reader.as_ref().and_then(|r| Some((r.path().to_owned(), r.torn_at()?)));
        self.torn_at = torn.as_ref().map(|(_, offset)| *offset);
        self.problems.extend(torn.map(|(path, offset)| Problem::Torn { path, offset }));
        // A file with nothing behind its checkpoint: its writer ended right there.
        if self.last.is_none() && !self.checkpoint.is_empty() {
            let checkpoint = std::mem::take(&mut self.checkpoint);
            self.removed = checkpoint.last().map_or(0, |last| last.seq);
            self.last = Some(self.removed);
            self.ready.extend(checkpoint);
        }
        self.close();
    }

    fn close(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.blocks += reader.blocks();
            self.bytes += reader.position();
        }
        self.checkpoint.clear();
    }

    fn next_file(&mut self) -> Result<bool, FileError> {
        while let Some(path) = self.files.pop_front() {
            match Reader::open(&path) {
                Ok(reader) => {
                    self.reader = Some(reader);
                    self.begun = false;
                    return Ok(true);
                }
                Err(error) if !self.is_folder => return Err(error),
                // A kill can come before a new file's head is whole.
                Err(FileError::NotALog { .. })
                    if self.files.is_empty()
                        && std::fs::metadata(&path).is_ok_and(|meta| meta.len() < HEAD_BYTES) =>
                {
                    self.problems.push(Problem::Torn { path, offset: 0 });
                }
                Err(error) => self.problems.push(Problem::Unreadable { path, what: error.to_string() }),
            }
        }
        Ok(false)
    }
}

impl Iterator for Series {
    type Item = Result<Record, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

/// The recording's files in a folder, in order.
fn files_of(dir: &Path) -> Result<VecDeque<PathBuf>, FileError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io(dir))? {
        let path = entry.map_err(io(dir))?.path();
        if path.is_file() && path.extension().is_some_and(|ending| ending == ENDING) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files.into())
}

/// The files of a series whose first one is `first`, in order; of those a cap may have removed the first ones.
fn parts_of(first: &Path) -> Result<VecDeque<PathBuf>, FileError> {
    let dir = first.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut parts: Vec<(u32, PathBuf)> = Vec::new();
    if dir.is_dir() {
        for path in files_of(dir)? {
            parts.extend(number_of(first, &path).map(|number| (number, path)));
        }
    }
    if first.is_file() {
        parts.push((1, first.to_owned()));
    }
    parts.sort();
    Ok(parts.into_iter().map(|(_, path)| path).collect())
}

/// The number of a file behind `first`: `input.000002.rec` is 2.
fn number_of(first: &Path, path: &Path) -> Option<u32> {
    let stem = first.file_stem()?.to_str()?;
    let digits = path.file_stem()?.to_str()?.strip_prefix(stem)?.strip_prefix('.')?;
    let number =
        digits.parse().ok().filter(|_| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit()))?;
    (number > 1).then_some(number)
}
