//! Intake: follows the sources with stored cursors, throttles, routes, and stores. Sending lives in the worker.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use catalogue::{Severity, alert_rule};
use exposition::Registry;
use journal::{AlertFields, Body, Entry};
use market::Timestamp;

use crate::config::AlertConfig;
use crate::metrics::Metrics;
use crate::model::{Alert, AlertError, Disposition};
use crate::routes::{OWN, Routes};
use crate::store::{Store, Taken};

/// A cursor that moved over records other than alerts is stored at this interval.
const STORE_CURSOR_EVERY: Duration = Duration::from_secs(1);
/// Bytes read at once.
const CHUNK: u64 = 256 * 1024;
/// Severity of an alert whose rule is not in the catalogue: loud, because somebody's catalogue is older than his engine.
const UNKNOWN_RULE: Severity = Severity::P1;

/// Takes alerts from journal and spools into the store. Driven by its owner, who says what time it is.
#[derive(Debug)]
pub struct Intake {
    store: Store,
    metrics: Metrics,
    run_id: String,
    phase: String,
    env: String,
    routes: Routes,
    notifiers: Vec<String>,
    sources: Vec<Source>,
    /// The cursors have been read.
    prepared: bool,
    /// What an earlier process left is still to be counted.
    count_back: bool,
    retention: Option<Duration>,
    /// The alert whose storing failed: whether it is there, only the next attempt tells.
    doubt: Option<String>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// The path as the key of the cursor.
    key: String,
    /// The byte behind the last whole line.
    position: u64,
    stored: u64,
    stored_at: Timestamp,
}

impl Intake {
    /// Opens the store. A server is not asked yet: it may be away, and the sources wait.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn new(config: &AlertConfig, registry: &Registry, notifiers: &[String]) -> Result<Self, AlertError> {
        let store = Store::of(config)?;
        let mut sources = Vec::new();
        for path in config.sources.iter().chain(&config.own_spool) {
            let path = path.clone();
            // A server's cursors are those of many machines: a path alone says too little.
            let key = match &config.server {
                Some(_) => format!("{} {}", config.run_id, absolute(&path)),
                None => path.to_string_lossy().into_owned(),
            };
            sources.push(Source { path, key, position: 0, stored: 0, stored_at: Timestamp(0) });
        }
        Ok(Self {
            store,
            metrics: Metrics::new(registry, notifiers)?,
            run_id: config.run_id.clone(),
            phase: config.phase.clone(),
            env: config.env.clone(),
            routes: config.routes.clone(),
            notifiers: notifiers.to_vec(),
            sources,
            prepared: false,
            count_back: false,
            retention: config.retention,
            doubt: None,
        })
    }

    /// Counts what an earlier process of the run left, now or, when the store is away, before anything is taken in. Nobody may send
    /// before [`Self::is_prepared`]: it would be counted twice.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn come_back(&mut self) -> Result<(), AlertError> {
        self.count_back = true;
        self.prepare()
    }

    /// True when the cursors have been read and what an earlier process left has been counted.
    pub const fn is_prepared(&self) -> bool {
        self.prepared && !self.count_back
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn ping(&self) -> Result<(), AlertError> {
        self.store.ping()
    }

    fn prepare(&mut self) -> Result<(), AlertError> {
        if !self.prepared {
            for source in &mut self.sources {
                source.position = self.store.cursor(&source.key)?.unwrap_or_default();
                source.stored = source.position;
            }
            self.prepared = true;
        }
        if self.count_back {
            let (alerts, deliveries) = self.store.rows(&self.run_id, Some(&self.phase))?;
            self.metrics.come_back(&alerts, &deliveries)?;
            self.count_back = false;
        }
        Ok(())
    }

    /// Deletes what is older than the retention time, once.
    fn forget_old(&mut self, now: Timestamp) -> Result<(), AlertError> {
        let Some(retention) = self.retention else { return Ok(()) };
        let nanos = i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX);
        let gone = self.store.forget(Timestamp(now.0.saturating_sub(nanos)), &self.run_id)?;
        if gone > 0 {
            tracing::info!(gone, "alerts of earlier runs were older than the retention time and are deleted");
        }
        self.retention = None;
        Ok(())
    }

    /// Reads what the sources have gained since the last call; the number of new alerts. A source that does not exist yet has
    /// nothing. When the store is away the cursors stand still.
    ///
    /// # Errors
    /// [`AlertError`]; calling again continues where it stopped.
    pub fn poll(&mut self, now: Timestamp) -> Result<u64, AlertError> {
        self.prepare()?;
        let mut taken = 0;
        for index in 0..self.sources.len() {
            taken += self.poll_source(index, now)?;
        }
        self.forget_old(now)?;
        Ok(taken)
    }

    fn poll_source(&mut self, index: usize, now: Timestamp) -> Result<u64, AlertError> {
        let mut taken = 0;
        loop {
            let Some(source) = self.sources.get_mut(index) else { return Ok(taken) };
            let bytes = source.read()?;
            let Some(end) = committed(&bytes) else {
                return self.store_cursor(index, now).map(|()| taken);
            };
            for line in bytes[..end].split(|b| *b == b'\n') {
                taken += u64::from(self.line(index, line, now)?);
            }
        }
    }

    /// Takes in one line; true when it was a new alert. The cursor moves behind it in any case.
    fn line(&mut self, index: usize, line: &[u8], now: Timestamp) -> Result<bool, AlertError> {
        let Some(source) = self.sources.get(index) else { return Ok(false) };
        let behind = source.position + line.len() as u64 + 1;
        let alert = match journal::file::decode(line) {
            Ok(entry) => self.alert(entry),
            Err(what) => Some(self.damaged(source, &what, now)),
        };
        let mut is_new = false;
        if let Some(alert) = alert {
            let key = source.key.clone();
            is_new = self.take_in(&alert, (&key, behind), now)?;
        }
        if let Some(source) = self.sources.get_mut(index) {
            source.position = behind;
            if is_new {
                source.stored = behind;
            }
        }
        Ok(is_new)
    }

    fn alert(&self, entry: Entry) -> Option<Alert> {
        let Body::Alert(alert) = entry.body else { return None };
        let AlertFields { alert_id, rule_id, title, message, labels, key } = alert.into();
        let severity = alert_rule(&rule_id).map_or(UNKNOWN_RULE, |r| r.severity);
        // Spools number their alerts s1, s2, ...; the engine's have a bare number.
        let (owner, number) = alert_id.rsplit_once('-').unwrap_or_default();
        let source = match number.starts_with('s') {
            true if owner.ends_with(OWN) => "dispatcher",
            true => "shell",
            false => "engine",
        }
        .to_owned();
        Some(Alert {
            run_id: self.run_id.clone(),
            phase: self.phase.clone(),
            env: self.env.clone(),
            severity,
            source,
            raised_at: entry.at,
            alert_id,
            rule_id,
            title,
            message,
            labels,
            key,
        })
    }

    /// A record that cannot be read may have been an alert: a person is told.
    fn damaged(&self, source: &Source, what: &str, now: Timestamp) -> Alert {
        let rule_id = "STATE-SAVE-FAILED".to_owned();
        let path = source.path.to_string_lossy();
        let labels = BTreeMap::from([
            ("source".to_owned(), path.clone().into_owned()),
            ("position".to_owned(), source.position.to_string()),
        ]);
        Alert {
            alert_id: format!("{}-damaged-{}-{}", self.run_id, path, source.position),
            run_id: self.run_id.clone(),
            phase: self.phase.clone(),
            env: self.env.clone(),
            severity: alert_rule(&rule_id).map_or(UNKNOWN_RULE, |r| r.severity),
            rule_id,
            source: "dispatcher".to_owned(),
            title: "a record of the journal cannot be read".to_owned(),
            message: format!("{} at byte {}: {what}; it may have been an alert", path, source.position),
            key: format!("{}:{}", path, source.position),
            labels,
            raised_at: now,
        }
    }

    fn take_in(&mut self, alert: &Alert, cursor: (&str, u64), now: Timestamp) -> Result<bool, AlertError> {
        let plan = self.routes.plan(alert, &self.notifiers, now);
        let taken = self.store.take_in(alert, &plan, cursor, now);
        // An answer may be lost behind a commit: the next attempt finds the alert there, and it is counted then.
        let doubtful = self.doubt.take().is_some_and(|id| id == alert.alert_id);
        let disposition = match taken {
            Ok(Taken::New(disposition)) => disposition,
            Ok(Taken::Known(disposition)) if doubtful => disposition,
            Ok(Taken::Known(_)) => return Ok(false),
            Err(e) => {
                self.doubt = Some(alert.alert_id.clone());
                return Err(e);
            }
        };
        self.metrics.raised(alert.severity);
        if disposition == Disposition::Throttled {
            self.metrics.throttled.inc();
        }
        self.metrics.by_rule(&alert.rule_id, disposition.as_str());
        Ok(true)
    }

    fn store_cursor(&mut self, index: usize, now: Timestamp) -> Result<(), AlertError> {
        let Some(source) = self.sources.get_mut(index) else { return Ok(()) };
        if source.position != source.stored && now >= source.stored_at.plus(STORE_CURSOR_EVERY) {
            self.store.set_cursor(&source.key, source.position, now)?;
            source.stored = source.position;
            source.stored_at = now;
        }
        Ok(())
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// Where the last whole input ends: the newline of its last line. What follows was perhaps never finished, and a restart
/// would cut it: an alert in there is none yet. A line that cannot be read counts as finished, for it is told of.
fn committed(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.iter().rposition(|b| *b == b'\n')?;
    loop {
        let begin = bytes[..end].iter().rposition(|b| *b == b'\n').map_or(0, |before| before + 1);
        if journal::file::decode(&bytes[begin..end]).map_or(true, |entry| entry.commit) {
            return Some(end);
        }
        end = begin.checked_sub(1)?;
    }
}

impl Source {
    /// What lies behind the position, a chunk at most, longer when an input's records are. Empty when there is nothing (or no file).
    fn read(&mut self) -> Result<Vec<u8>, AlertError> {
        let io = |source| AlertError::Io { path: self.path.clone(), source };
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io(e)),
        };
        let length = file.metadata().map_err(io)?.len();
        if length < self.position {
            tracing::warn!(
                "{} became shorter, reading it again; known alerts are not repeated",
                self.path.display()
            );
            self.position = 0;
        }
        if length == self.position {
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(self.position)).map_err(io)?;
        let mut bytes = Vec::new();
        loop {
            let got = file.by_ref().take(CHUNK).read_to_end(&mut bytes).map_err(io)?;
            if got == 0 || committed(&bytes).is_some() {
                return Ok(bytes);
            }
        }
    }
}
