//! A log in several files, with the books beside it: each file after the first begins with a checkpoint of them.
//!
//! `assay record` writes one, and so does a run whose input log has a cap. What lives here: when files change, what is said of
//! it. What does not: the files (`recording::series`), the thread (`recorder`).

use crate::books::{Books, Counts};
use market::Timestamp;
use recording::Record;
use recording::file::FileError;
use recording::series::{Limits, SeriesWriter, Totals};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// A capped log has so many files: what goes at the cap is one of them.
const FILES: u64 = 8;
/// A run's log changes its file by size only: a session fits into this.
const A_YEAR: Duration = Duration::from_secs(366 * 86_400);

/// The limits of a run's log below `cap` bytes.
pub const fn limits(cap: u64) -> Limits {
    Limits { rotate_bytes: cap / FILES, rotate_every: A_YEAR, cap_bytes: Some(cap) }
}

/// What a recording is at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// The market seen.
    pub counts: Counts,
    /// The files written.
    pub totals: Totals,
    /// Binance's books that follow their venue.
    pub live: usize,
}

/// Where progress is shown; the lock is held for a copy only.
pub type Shown = Arc<Mutex<Progress>>;

/// The log.
#[derive(Debug)]
pub struct Rolling {
    series: SeriesWriter,
    books: Books,
    last: (u64, Timestamp),
    wanted: Option<UnboundedSender<String>>,
    shown: Option<Shown>,
}

impl Rolling {
    /// Around a series.
    pub fn new(series: SeriesWriter) -> Self {
        Self { series, books: Books::new(), last: (0, Timestamp(0)), wanted: None, shown: None }
    }

    /// Tells which Binance symbols want a snapshot, and how far it is.
    pub fn telling(self, wanted: UnboundedSender<String>, shown: Shown) -> Self {
        Self { wanted: Some(wanted), shown: Some(shown), ..self }
    }

    /// Appends a record, in a new file when the old one is full.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn push(&mut self, record: &Record) -> Result<(), FileError> {
        if self.series.is_due(record.at) {
            let (seq, at) = self.last;
            let removed = self.series.rotate(&self.books.checkpoint(seq, at))?;
            self.say(&removed);
        }
        let removed = self.series.push(record)?;
        self.say(&removed);
        self.last = (record.seq, record.at);
        self.books.on(record);
        for symbol in self.books.take_wanted() {
            if let Some(wanted) = &self.wanted {
                // Nobody asks any more at the end.
                let _ = wanted.send(symbol);
            }
        }
        Ok(())
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn flush(&mut self) -> Result<(), FileError> {
        self.series.flush()
    }

    /// Writes what is buffered, to the disk.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn sync(&mut self) -> Result<(), FileError> {
        let removed = self.series.sync()?;
        self.say(&removed);
        if let Some(shown) = &self.shown {
            let live = self.books.binance_symbols().filter(|(_, live)| *live).count();
            let progress = Progress { counts: *self.books.counts(), totals: self.series.totals(), live };
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = progress;
        }
        Ok(())
    }

    /// Bytes on the disk, and records that went with the oldest files.
    pub fn held(&self) -> (u64, u64) {
        (self.series.held_bytes(), self.series.totals().removed_records)
    }

    fn say(&self, removed: &[PathBuf]) {
        for path in removed {
            let totals = self.series.totals();
            tracing::warn!(
                path = %path.display(),
                removed_files = totals.removed_files,
                removed_records = totals.removed_records,
                "the cap is reached: the oldest file is removed, the newest are kept"
            );
        }
    }
}
