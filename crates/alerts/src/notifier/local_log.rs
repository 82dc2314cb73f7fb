//! The local log: one JSON line per alert in a file. The last of every chain, and measured like the rest: it can fail.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde::Serialize;

use super::{Notifier, Reason, SendError};
use crate::config::LOCAL_LOG;
use crate::model::Alert;

/// Appends one JSON line per alert to a file of mode 0600.
#[derive(Debug)]
pub struct LocalLog {
    path: PathBuf,
}

#[derive(Serialize)]
struct LogLine<'a> {
    raised_at: String,
    alert: &'a Alert,
}

impl LocalLog {
    /// A local log; nothing is touched before the first probe or send.
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Opened anew each time, so that a moved or deleted file is noticed.
    fn open(&self) -> Result<File, SendError> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)
            .map_err(|e| SendError::new(Reason::Io, format!("{}: {e}", self.path.display())))
    }
}

impl Notifier for LocalLog {
    fn name(&self) -> &str {
        LOCAL_LOG
    }

    fn probe(&mut self) -> Result<(), SendError> {
        self.open().map(|_| ())
    }

    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        let at = jiff::Timestamp::from_nanosecond(i128::from(alert.raised_at.0))
            .map_or_else(|_| alert.raised_at.0.to_string(), |t| t.to_string());
        let mut line = serde_json::to_vec(&LogLine { raised_at: at, alert })
            .map_err(|e| SendError::new(Reason::Rejected, e.to_string()))?;
        line.push(b'\n');
        // One write, so that lines of several processes do not mix.
        self.open()?
            .write_all(&line)
            .map_err(|e| SendError::new(Reason::Io, format!("{}: {e}", self.path.display())))
    }
}
