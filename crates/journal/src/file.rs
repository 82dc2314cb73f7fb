//! The file format: one record per line, `<crc32 of the JSON, 8 hex digits> <JSON>\n`. Append-only; a torn last line is cut
//! and reported, damage before it is an error.

use crate::Entry;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Why a journal could not be written or read.
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
    /// A line is not what was written.
    #[error("{} line {line}: {what}; the journal was changed or damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
}

/// Encodes a record as its line.
pub fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(b"00000000 ");
    // Records hold numbers, texts and maps with text keys only: serialising cannot fail.
    let _ = serde_json::to_writer(&mut *out, entry);
    let crc = crc32fast::hash(&out[start + 9..]);
    out[start..start + 8].copy_from_slice(format!("{crc:08x}").as_bytes());
    out.push(b'\n');
}

/// Decodes a line without its newline.
///
/// # Errors
/// What is wrong with it.
pub fn decode(line: &[u8]) -> Result<Entry, String> {
    let (head, body) = (line.get(..8), line.get(9..));
    let (Some(head), Some(body)) = (head, body) else { return Err("too short".to_owned()) };
    let is_head = line[8] == b' ' && head.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_head {
        return Err("it does not begin with a checksum".to_owned());
    }
    let crc = std::str::from_utf8(head).ok().and_then(|h| u32::from_str_radix(h, 16).ok());
    if crc != Some(crc32fast::hash(body)) {
        return Err("its checksum does not match".to_owned());
    }
    serde_json::from_slice(body).map_err(|e| format!("not a record: {e}"))
}

/// Appends records in batches.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
}

impl Writer {
    /// Opens for appending, creating the file when it is not there.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn append(path: &Path) -> Result<Self, FileError> {
        let file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| FileError::Io { path: path.to_owned(), source })?;
        Ok(Self { file, path: path.to_owned(), buffer: Vec::new() })
    }

    /// Writes a batch with one `write(2)`.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn write_batch<'a>(&mut self, entries: impl IntoIterator<Item = &'a Entry>) -> Result<(), FileError> {
        self.buffer.clear();
        for entry in entries {
            encode(entry, &mut self.buffer);
        }
        self.file.write_all(&self.buffer).map_err(|source| FileError::Io { path: self.path.clone(), source })
    }

    /// fsync.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn sync(&mut self) -> Result<(), FileError> {
        self.file.sync_data().map_err(|source| FileError::Io { path: self.path.clone(), source })
    }
}

/// Reads a journal, following it while it grows.
#[derive(Debug)]
pub struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    line: Vec<u8>,
    number: u64,
    offset: u64,
}

impl Reader {
    /// Opens a journal from its beginning.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path).map_err(|source| FileError::Io { path: path.to_owned(), source })?;
        Ok(Self { file: BufReader::new(file), path: path.to_owned(), line: Vec::new(), number: 0, offset: 0 })
    }

    /// The byte after the last whole record: where a torn tail would begin.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// True when bytes of an unfinished last line have been read.
    pub fn has_partial_line(&self) -> bool {
        !self.line.is_empty()
    }

    /// The next whole record. `None` at the end, where it may be called again later; half a line stays buffered until
    /// its rest arrives.
    ///
    /// # Errors
    /// [`FileError::Damaged`], [`FileError::Io`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>, FileError> {
        self.file
            .read_until(b'\n', &mut self.line)
            .map_err(|source| FileError::Io { path: self.path.clone(), source })?;
        if self.line.last() != Some(&b'\n') {
            return Ok(None);
        }
        self.number += 1;
        let entry = decode(&self.line[..self.line.len() - 1]).map_err(|what| FileError::Damaged {
            path: self.path.clone(),
            line: self.number,
            what,
        })?;
        self.offset += self.line.len() as u64;
        self.line.clear();
        Ok(Some(entry))
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}
