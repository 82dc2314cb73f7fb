//! The spool: alerts that do not come from the engine, in the journal's line format, written before anything is sent.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use journal::file::{Reader, Writer};
use journal::{AlertFields, Body, Entry};
use market::Timestamp;

use crate::model::AlertError;

/// Raises alerts of one writer; one spool file has one writer at a time.
#[derive(Debug)]
pub struct Spool {
    writer: Writer,
    /// The same file, to cut what a failed write left.
    file: File,
    path: PathBuf,
    /// The byte behind the last whole line.
    length: u64,
    /// Behind that byte may stand half a line.
    torn: bool,
    run_id: String,
    seq: u64,
}

impl Spool {
    /// Opens a spool (mode 0600), continuing one that is there. A torn last line is cut: its `raise` never returned.
    ///
    /// # Errors
    /// [`AlertError::Io`], and [`AlertError::File`] when an earlier line is damaged.
    pub fn open(path: &Path, run_id: &str) -> Result<Self, AlertError> {
        let io = |source| AlertError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(io)?;
        let mut reader = Reader::open(path)?;
        let mut seq = 0;
        while let Some(entry) = reader.next_entry()? {
            seq = entry.seq;
        }
        if reader.has_partial_line() {
            file.set_len(reader.offset()).map_err(io)?;
        }
        let (length, path) = (reader.offset(), path.to_owned());
        Ok(Self {
            writer: Writer::append(&path)?,
            file,
            path,
            length,
            torn: false,
            run_id: run_id.to_owned(),
            seq,
        })
    }

    /// Raises an alert; when this returns it is on disk. Its aggregation key is made of its labels. The id is
    /// `<run id>-s<n>`.
    ///
    /// # Errors
    /// [`AlertError::File`], [`AlertError::Io`]: whether the alert is on disk is not known; raise it again. A full disk leaves no half
    /// line behind.
    pub fn raise(
        &mut self,
        rule_id: &str,
        title: &str,
        message: &str,
        labels: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<String, AlertError> {
        let seq = self.seq + 1;
        let alert_id = format!("{}-s{seq}", self.run_id);
        let key = labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
        let body = Body::from(AlertFields {
            alert_id: alert_id.clone(),
            rule_id: rule_id.to_owned(),
            title: title.to_owned(),
            message: message.to_owned(),
            labels,
            key,
        });
        self.cut()?;
        self.torn = true;
        if let Err(e) = self.writer.write_batch([&Entry { seq, input_seq: 0, at: now, commit: true, body }]) {
            self.cut()?;
            return Err(e.into());
        }
        // A whole line may have been read already: its number is used, whatever becomes of the sync.
        self.length = self.file.metadata().map_err(|e| self.io(e))?.len();
        (self.seq, self.torn) = (seq, false);
        self.writer.sync()?;
        Ok(alert_id)
    }

    /// Cuts half a line, lest the next one begins in its middle.
    fn cut(&mut self) -> Result<(), AlertError> {
        if self.torn {
            self.file.set_len(self.length).map_err(|e| self.io(e))?;
            self.torn = false;
        }
        Ok(())
    }

    fn io(&self, source: std::io::Error) -> AlertError {
        AlertError::Io { path: self.path.clone(), source }
    }
}
