//! A source of alerts: a file of records that grows. Which file it is, how far it has been read, and what lies behind that. What is made
//! of the records lives in the intake.

use std::fs::{File, Metadata};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use journal::Body;
use market::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::model::AlertError;

/// Bytes read at once.
const CHUNK: u64 = 256 * 1024;
/// Bytes looked at in one go to count what waits.
const LOOK: u64 = 4 * CHUNK;
/// A first line that is longer tells a file from others by its begin.
const FIRST_LINE: u64 = 1024 * 1024;

/// One source.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// Whose file: the begin of the cursor's key.
    owner: String,
    /// The file that is read, once it is known.
    file: Option<Identity>,
    /// The byte behind the last record that was taken in.
    pub(crate) position: u64,
    /// As the store has it.
    pub(crate) stored: u64,
    pub(crate) stored_at: Timestamp,
    ahead: Ahead,
    /// The file's length when the process began: what a power cut took before that may have been written anew since.
    seen: u64,
}

/// What tells a file from another that has its name: a run that is begun anew under an old id has another journal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// The key of its cursor: path, inode, birth (where the file system tells it), and a digest of the first line.
    cursor: String,
}

/// What was counted of the records behind the position.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ahead {
    until: u64,
    pub(crate) alerts: u64,
    pub(crate) oldest: Option<Timestamp>,
}

impl Source {
    /// `owner` is empty when the store has no other machine's cursors.
    pub(crate) fn new(path: &Path, owner: &str) -> Self {
        let owner = match owner {
            "" => path.to_string_lossy().into_owned(),
            owner => format!("{owner} {}", absolute(path)),
        };
        Self {
            path: path.to_owned(),
            owner,
            file: None,
            position: 0,
            stored: 0,
            stored_at: Timestamp(0),
            ahead: Ahead::default(),
            seen: std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
        }
    }

    fn io(&self, source: std::io::Error) -> AlertError {
        AlertError::Io { path: self.path.clone(), source }
    }

    fn open(&self) -> Result<Option<(File, Metadata)>, AlertError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.io(e)),
        };
        let metadata = file.metadata().map_err(|e| self.io(e))?;
        Ok(Some((file, metadata)))
    }

    /// The key of the cursor of the file that is read; `None` when none is read yet.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.file.as_ref().map(|file| file.cursor.as_str())
    }

    /// Looks whether the file is there and which one it is. True when it has to be found in the store how far it was read:
    /// [`Self::begin`] follows.
    ///
    /// # Errors
    /// [`AlertError::Io`].
    pub(crate) fn is_new(&mut self) -> Result<bool, AlertError> {
        let Some((file, metadata)) = self.open()? else { return Ok(false) };
        if let Some(known) = &self.file {
            let same = (known.device, known.inode) == (metadata.dev(), metadata.ino());
            if same && metadata.len() >= self.position {
                return Ok(false);
            }
            tracing::warn!(
                "{} is another file or became shorter, reading it from its begin; known alerts are not repeated",
                self.path.display()
            );
            self.file = None;
        }
        (self.position, self.stored, self.ahead) = (0, 0, Ahead::default());
        let mut first = Vec::new();
        BufReader::new(file.take(FIRST_LINE)).read_until(b'\n', &mut first).map_err(|e| self.io(e))?;
        if first.last() != Some(&b'\n') && (first.len() as u64) < FIRST_LINE {
            return Ok(false);
        }
        let born = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let born = born.map_or(0, |at| at.as_nanos());
        let digest: String = Sha256::digest(&first).iter().take(8).map(|b| format!("{b:02x}")).collect();
        let (device, inode) = (metadata.dev(), metadata.ino());
        self.file =
            Some(Identity { device, inode, cursor: format!("{} {inode:x}-{born:x}-{digest}", self.owner) });
        Ok(true)
    }

    /// The file was read so far by an earlier process, as the store has it.
    ///
    /// # Errors
    /// [`AlertError::Io`].
    pub(crate) fn begin(&mut self, stored: Option<u64>) -> Result<(), AlertError> {
        let length = self.open()?.map_or(0, |(_, metadata)| metadata.len()).min(self.seen);
        // What was cut off may have been written anew. Reading from the begin repeats nothing.
        self.position = stored.filter(|stored| *stored <= length).unwrap_or(0);
        self.stored = self.position;
        Ok(())
    }

    /// The store did not say how far it was read: to be asked again.
    pub(crate) fn unknown(&mut self) {
        self.file = None;
    }

    /// What lies behind the position, a chunk at most, longer when an input's records are. Empty when there is nothing (or no file, or another
    /// one than before).
    pub(crate) fn read(&mut self) -> Result<Vec<u8>, AlertError> {
        let Some((mut file, metadata)) = self.open()? else { return Ok(Vec::new()) };
        let known = self.file.as_ref().map(|file| (file.device, file.inode));
        if known != Some((metadata.dev(), metadata.ino())) || metadata.len() <= self.position {
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(self.position)).map_err(|e| self.io(e))?;
        let mut bytes = Vec::new();
        loop {
            let got = file.by_ref().take(CHUNK).read_to_end(&mut bytes).map_err(|e| self.io(e))?;
            if got == 0 || committed(&bytes).is_some() {
                return Ok(bytes);
            }
        }
    }

    /// Counts alerts behind the position without taking them in, a part at each call. Of a file whose cursor is not known only those that
    /// were raised `since`: the store has taken none of them.
    pub(crate) fn look_ahead(&mut self, since: Timestamp) -> Ahead {
        if let Ok(bytes) = self.peek() {
            let Some(end) = committed(&bytes) else { return self.ahead };
            for line in bytes[..end].split(|b| *b == b'\n') {
                let Ok(entry) = journal::file::decode(line) else { continue };
                if matches!(entry.body, Body::Alert { .. }) && (self.file.is_some() || entry.at >= since) {
                    self.ahead.alerts += 1;
                    self.ahead.oldest = self.ahead.oldest.into_iter().chain([entry.at]).min();
                }
            }
            self.ahead.until += end as u64 + 1;
        }
        self.ahead
    }

    fn peek(&mut self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        if self.ahead.until < self.position {
            self.ahead = Ahead { until: self.position, ..Ahead::default() };
        }
        file.seek(SeekFrom::Start(self.ahead.until))?;
        let mut bytes = Vec::new();
        file.take(LOOK).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Everything was taken in.
    pub(crate) fn caught_up(&mut self) {
        self.ahead = Ahead::default();
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// Where the last whole input ends: the newline of its last line. What follows was perhaps never finished, and a restart
/// would cut it: an alert in there is none yet. A line that cannot be read counts as finished, for it is told of.
pub(crate) fn committed(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.iter().rposition(|b| *b == b'\n')?;
    loop {
        let begin = bytes[..end].iter().rposition(|b| *b == b'\n').map_or(0, |before| before + 1);
        if journal::file::decode(&bytes[begin..end]).map_or(true, |entry| entry.commit) {
            return Some(end);
        }
        end = begin.checked_sub(1)?;
    }
}
