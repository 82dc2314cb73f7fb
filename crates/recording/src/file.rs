//! The file format of the input log, versions 1 and 2 (docs/recording.md has the bytes).
//!
//! ```text
//! file   = "ASSAYREC" u16 version(2) u16 reserved, blocks
//! block  = u32 magic, u32 raw length, u32 stored length, u32 crc32, lz4 block
//! record = u32 length of what follows, u64 seq, i64 at (ns), u8 kind, body
//! ```
//! All integers little-endian. The checksum covers both lengths and the stored bytes (the stored bytes alone in version 1).
//! Magic `BLK1` holds records; `CHK1` holds a checkpoint: records, in the same encoding, that say how things stood where the
//! file begins (see [`crate::series`]). Kind 1 is a frame (`u16 conn`, payload); every other input is kind 0 with a JSON head:
//! `u32 head length, head, payload` (the payload bytes of REST answers stay raw beside the head). A log is readable to its
//! last whole block after a kill; a torn tail is reported, never guessed at. A length in a damaged head is never believed:
//! memory is taken as bytes arrive.

use crate::{Input, Record};
use bytes::Bytes;
use market::Timestamp;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

const FILE_MAGIC: &[u8; 8] = b"ASSAYREC";
/// Size of the head: a log of this size holds no record.
pub const HEAD_BYTES: u64 = 12;
const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"BLK1");
const CHECKPOINT_MAGIC: u32 = u32::from_le_bytes(*b"CHK1");
/// Version written by this code.
pub const VERSION: u16 = 2;
/// The first version: its checksums leave out the lengths. Still read.
const FIRST_VERSION: u16 = 1;
/// A block is closed when it holds this many raw bytes.
pub const BLOCK_BYTES: usize = 256 * 1024;
/// No block is larger than this; a length beyond it is damage.
const MAX_BLOCK: usize = 64 * 1024 * 1024;
/// No record is larger than this, so that a block that was open still has room for it.
pub const MAX_RECORD: usize = MAX_BLOCK - 2 * BLOCK_BYTES;
/// LZ4 gives at most 255 bytes for one (block format: runs of 255 in a length).
const MAX_RATIO: usize = 255;
const KIND_JSON: u8 = 0;
const KIND_FRAME: u8 = 1;

/// Why a log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Not an input log, or of a version that this build does not know.
    #[error("{} is not an input log of version {VERSION}: {what}", path.display())]
    NotALog {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// It is another run's log.
    #[error("{} is the log of run {run_id}: choose another file, or give that --run-id", path.display())]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        run_id: String,
    },
    /// A folder holds a recording already.
    #[error("{} holds a recording already, which is never overwritten: choose another folder, or move it away", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A folder without a recording.
    #[error("{} holds no recording (no file *.rec): name a recording's folder or one of its files", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A record does not fit into any block.
    #[error("{}: record {seq} has {bytes} bytes, and {MAX_RECORD} is the most; leave that input out", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The record.
        seq: u64,
        /// Its size.
        bytes: usize,
    },
    /// A whole block is damaged (not a torn tail).
    #[error("{}: damaged block at byte {offset}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the block starts.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}

/// Writes a log. Records are buffered into blocks; [`Writer::flush`] closes the current block.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    version: u16,
    raw: Vec<u8>,
    written: u64,
}

impl Writer {
    /// Creates the file; it must not exist.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let io = |source| FileError::Io { path: path.to_owned(), source };
        let mut file = File::options().write(true).create_new(true).open(path).map_err(io)?;
        let mut head = Vec::with_capacity(12);
        head.extend_from_slice(FILE_MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&0u16.to_le_bytes());
        file.write_all(&head).map_err(io)?;
        let raw = Vec::with_capacity(BLOCK_BYTES + 65_536);
        Ok(Self { file, path: path.to_owned(), version: VERSION, raw, written: HEAD_BYTES })
    }

    /// Goes on with a log whose writer was killed: what follows the last whole block is cut, and new records are appended.
    ///
    /// # Errors
    /// [`FileError`]; damage before the tail is one of them, another run's log too, and nothing is changed then.
    pub fn go_on(path: &Path, run: &str) -> Result<(Self, Tail), FileError> {
        let io = |source| FileError::Io { path: path.to_owned(), source };
        let mut reader = Reader::open(path)?;
        let mut tail = Tail::default();
        while let Some(record) = reader.next_record()? {
            if let Input::Session { run_id, .. } | Input::Resume { run_id, .. } = &record.input
                && run_id != run
            {
                return Err(FileError::OtherRun { path: path.to_owned(), run_id: run_id.clone() });
            }
            tail.records += 1;
            tail.last = Some((record.seq, record.at));
        }
        let file = File::options().append(true).open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let end = reader.torn_at().unwrap_or(length);
        tail.cut_bytes = length.saturating_sub(end);
        if tail.cut_bytes > 0 {
            file.set_len(end).map_err(io)?;
        }
        let raw = Vec::with_capacity(BLOCK_BYTES + 65_536);
        Ok((Self { file, path: path.to_owned(), version: reader.version, raw, written: end }, tail))
    }

    /// Writes how things stand where the file begins, as a block of its own: before the first [`Self::push`].
    ///
    /// # Errors
    /// [`FileError::Io`], [`FileError::TooLarge`].
    pub fn checkpoint(&mut self, records: &[Record]) -> Result<(), FileError> {
        self.flush()?;
        for record in records {
            self.append(record)?;
            if self.raw.len() >= BLOCK_BYTES {
                self.write_block(CHECKPOINT_MAGIC)?;
            }
        }
        self.write_block(CHECKPOINT_MAGIC)
    }

    fn append(&mut self, record: &Record) -> Result<(), FileError> {
        let before = self.raw.len();
        encode(record, &mut self.raw);
        let bytes = self.raw.len() - before;
        if bytes > MAX_RECORD {
            self.raw.truncate(before);
            return Err(FileError::TooLarge { path: self.path.clone(), seq: record.seq, bytes });
        }
        Ok(())
    }

    /// Appends a record; writes a block when one is full.
    ///
    /// # Errors
    /// [`FileError::Io`]; [`FileError::TooLarge`] leaves it out and changes nothing.
    pub fn push(&mut self, record: &Record) -> Result<(), FileError> {
        self.append(record)?;
        if self.raw.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Bytes in the file so far.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Writes what is buffered as a block.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn flush(&mut self) -> Result<(), FileError> {
        self.write_block(BLOCK_MAGIC)
    }

    fn write_block(&mut self, magic: u32) -> Result<(), FileError> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let stored = lz4_flex::block::compress(&self.raw);
        let lengths = [(self.raw.len() as u32).to_le_bytes(), (stored.len() as u32).to_le_bytes()].concat();
        let mut block = Vec::with_capacity(stored.len() + BLOCK_HEAD);
        block.extend_from_slice(&magic.to_le_bytes());
        block.extend_from_slice(&lengths);
        block.extend_from_slice(&checksum(self.version, &lengths, &stored).to_le_bytes());
        block.extend_from_slice(&stored);
        self.file.write_all(&block).map_err(|source| FileError::Io { path: self.path.clone(), source })?;
        self.written += block.len() as u64;
        self.raw.clear();
        Ok(())
    }

    /// Flushes and asks the system to put everything on the disk.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn sync(&mut self) -> Result<(), FileError> {
        self.flush()?;
        self.file.sync_data().map_err(|source| FileError::Io { path: self.path.clone(), source })
    }
}

/// What a log held when its writing went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// Whole records.
    pub records: u64,
    /// Number and instant of the last one.
    pub last: Option<(u64, Timestamp)>,
    /// Bytes of a torn last block that were cut.
    pub cut_bytes: u64,
}

/// Bytes before a block's stored ones.
const BLOCK_HEAD: usize = 16;

fn checksum(version: u16, lengths: &[u8], stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    if version > FIRST_VERSION {
        hasher.update(lengths);
    }
    hasher.update(stored);
    hasher.finalize()
}

fn encode(record: &Record, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&record.seq.to_le_bytes());
    out.extend_from_slice(&record.at.0.to_le_bytes());
    if let Input::Frame { conn, payload } = &record.input {
        out.push(KIND_FRAME);
        out.extend_from_slice(&conn.to_le_bytes());
        out.extend_from_slice(payload);
    } else {
        out.push(KIND_JSON);
        let (head, payload) = split_payload(&record.input);
        // An `Input` holds strings, numbers and tickers only: serialising it cannot fail.
        let head = serde_json::to_vec(&head).unwrap_or_default();
        out.extend_from_slice(&(head.len() as u32).to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&payload);
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Takes a REST body out of an input, so that it is stored raw beside the JSON head.
fn split_payload(input: &Input) -> (Input, Bytes) {
    let mut head = input.clone();
    let payload = match &mut head {
        Input::Snapshot { payload, .. } | Input::Candles { payload, .. } => std::mem::take(payload),
        _ => Bytes::new(),
    };
    (head, payload)
}

/// Reads a log from its beginning.
#[derive(Debug)]
pub struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    version: u16,
    block: Bytes,
    at: usize,
    /// Where the block in hand begins.
    block_offset: u64,
    is_checkpoint: bool,
    offset: u64,
    blocks: u64,
    torn: Option<u64>,
}

impl Reader {
    /// Opens a log.
    ///
    /// # Errors
    /// [`FileError::Io`], [`FileError::NotALog`].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let io = |source| FileError::Io { path: path.to_owned(), source };
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(io)?);
        let mut head = [0; 12];
        let n = read_full(&mut file, &mut head).map_err(io)?;
        let bad = |what: String| FileError::NotALog { path: path.to_owned(), what };
        if n < head.len() || &head[..8] != FILE_MAGIC {
            return Err(bad("it does not start with ASSAYREC".to_owned()));
        }
        let version = u16::from_le_bytes([head[8], head[9]]);
        if !(FIRST_VERSION..=VERSION).contains(&version) {
            return Err(bad(format!("its version is {version}")));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            version,
            block: Bytes::new(),
            at: 0,
            block_offset: HEAD_BYTES,
            is_checkpoint: false,
            offset: HEAD_BYTES,
            blocks: 0,
            torn: None,
        })
    }

    /// Where a torn tail begins, once the end has been reached: the writer was killed there.
    pub const fn torn_at(&self) -> Option<u64> {
        self.torn
    }

    /// Whether the record that came last belongs to the file's checkpoint.
    pub const fn in_checkpoint(&self) -> bool {
        self.is_checkpoint
    }

    /// Whole blocks read so far.
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Bytes read so far, to the end of the last whole block.
    pub const fn position(&self) -> u64 {
        self.offset
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next record, `None` at the end (or at a torn tail, see [`Reader::torn_at`]).
    ///
    /// # Errors
    /// [`FileError::Damaged`], [`FileError::Io`].
    pub fn next_record(&mut self) -> Result<Option<Record>, FileError> {
        while self.at >= self.block.len() {
            if !self.next_block()? {
                return Ok(None);
            }
        }
        let rest = self.block.slice(self.at..);
        let (record, used) =
            decode(&rest).ok_or_else(|| self.damaged(self.block_offset, "a record is malformed"))?;
        self.at += used;
        Ok(Some(record))
    }

    fn damaged(&self, offset: u64, what: &str) -> FileError {
        FileError::Damaged { path: self.path.clone(), offset, what: what.to_owned() }
    }

    fn next_block(&mut self) -> Result<bool, FileError> {
        let io = |path: &Path, source| FileError::Io { path: path.to_owned(), source };
        let mut head = [0; BLOCK_HEAD];
        let n = read_full(&mut self.file, &mut head).map_err(|e| io(&self.path, e))?;
        if n < BLOCK_HEAD {
            self.torn = (n > 0).then_some(self.offset);
            return Ok(false);
        }
        let word = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        let (magic, raw, stored, crc) = (word(0), word(4) as usize, word(8) as usize, word(12));
        let is_checkpoint = magic == CHECKPOINT_MAGIC && self.version > FIRST_VERSION;
        if !(magic == BLOCK_MAGIC || is_checkpoint) || raw > MAX_BLOCK || stored > MAX_BLOCK {
            return Err(self.damaged(self.offset, "its head is not a block's"));
        }
        // Grows as bytes arrive: a length in a damaged head takes no memory by itself.
        let mut body = Vec::new();
        let limit = stored as u64;
        (&mut self.file).take(limit).read_to_end(&mut body).map_err(|e| io(&self.path, e))?;
        if body.len() < stored {
            if holds_block(self.version, &body) {
                return Err(self.damaged(self.offset, "its length is wrong: whole blocks follow"));
            }
            self.torn = Some(self.offset);
            return Ok(false);
        }
        if checksum(self.version, &head[4..12], &body) != crc {
            return Err(self.damaged(self.offset, "its checksum does not match"));
        }
        if raw > stored.saturating_mul(MAX_RATIO).saturating_add(64) {
            return Err(self.damaged(self.offset, "it claims more than it can hold"));
        }
        let unpacked = lz4_flex::block::decompress(&body, raw)
            .map_err(|e| self.damaged(self.offset, &format!("it cannot be unpacked: {e}")))?;
        if unpacked.len() != raw {
            return Err(self.damaged(self.offset, "it is not as long as it says"));
        }
        self.block = Bytes::from(unpacked);
        self.at = 0;
        self.is_checkpoint = is_checkpoint;
        self.block_offset = self.offset;
        self.offset += (BLOCK_HEAD + stored) as u64;
        self.blocks += 1;
        Ok(true)
    }
}

/// Whether a whole block stands somewhere in `bytes`: then a length before it was damaged, and this is no torn tail.
fn holds_block(version: u16, bytes: &[u8]) -> bool {
    let magics = [BLOCK_MAGIC.to_le_bytes(), CHECKPOINT_MAGIC.to_le_bytes()];
    let at = |i: usize| -> Option<()> {
        let head = bytes.get(i..i + BLOCK_HEAD)?;
        let magic: [u8; 4] = head[..4].try_into().ok()?;
        let stored = u32::from_le_bytes(head[8..12].try_into().ok()?) as usize;
        let crc = u32::from_le_bytes(head[12..16].try_into().ok()?);
        let from = i + BLOCK_HEAD;
        let body = magics.contains(&magic).then(|| bytes.get(from..from.checked_add(stored)?))??;
        (checksum(version, &head[4..12], body) == crc).then_some(())
    };
    (0..bytes.len().saturating_sub(BLOCK_HEAD)).any(|i| at(i).is_some())
}

impl Iterator for Reader {
    type Item = Result<Record, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match file.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(k) => n += k,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

fn decode(bytes: &Bytes) -> Option<(Record, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let body = bytes.get(4..4usize.checked_add(length)?)?;
    let seq = u64::from_le_bytes(body.get(..8)?.try_into().ok()?);
    let at = i64::from_le_bytes(body.get(8..16)?.try_into().ok()?);
    let input = match *body.get(16)? {
        KIND_FRAME => {
            let conn = u16::from_le_bytes(body.get(17..19)?.try_into().ok()?);
            // Behind the body's own 19 bytes; `get` above has looked at the whole.
            Input::Frame { conn, payload: bytes.slice(23..4 + length) }
        }
        KIND_JSON => {
            let head = u32::from_le_bytes(body.get(17..21)?.try_into().ok()?) as usize;
            let mut input: Input = serde_json::from_slice(body.get(21..21usize.checked_add(head)?)?).ok()?;
            if let Input::Snapshot { payload, .. } | Input::Candles { payload, .. } = &mut input {
                *payload = bytes.slice(25 + head..4 + length);
            }
            input
        }
        _ => return None,
    };
    Some((Record { seq, at: Timestamp(at), input }, 4 + length))
}
