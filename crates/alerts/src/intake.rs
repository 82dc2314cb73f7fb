//! Intake: follows the sources with stored cursors, throttles, routes, and stores. Sending lives in the worker.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use catalogue::{Severity, alert_rule};
use exposition::Registry;
use journal::{Body, Entry};
use market::Timestamp;

use crate::config::AlertConfig;
use crate::metrics::Metrics;
use crate::model::{Alert, AlertError, Disposition};
use crate::routes::{OWN, Routes};
use crate::store::Store;

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
    /// Opens the store and finds the cursors.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn new(config: &AlertConfig, registry: &Registry, notifiers: &[String]) -> Result<Self, AlertError> {
        let store = Store::open(&config.database)?;
        let mut sources = Vec::new();
        for path in config.sources.iter().chain(&config.own_spool) {
            let key = path.to_string_lossy().into_owned();
            let position = store.cursor(&key)?.unwrap_or_default();
            sources.push(Source {
                path: path.clone(),
                key,
                position,
                stored: position,
                stored_at: Timestamp(0),
            });
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
        })
    }

    /// Counts what an earlier process of the run left.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn come_back(&mut self) -> Result<(), AlertError> {
        let (alerts, deliveries) = self.store.rows(&self.run_id, Some(&self.phase))?;
        Ok(self.metrics.come_back(&alerts, &deliveries)?)
    }

    /// Reads what the sources have gained since the last call; the number of new alerts. A source that does not exist yet has
    /// nothing. When the store is away the cursors stand still.
    ///
    /// # Errors
    /// [`AlertError`]; calling again continues where it stopped.
    pub fn poll(&mut self, now: Timestamp) -> Result<u64, AlertError> {
        let mut taken = 0;
        for index in 0..self.sources.len() {
            taken += self.poll_source(index, now)?;
        }
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
        let Body::Alert { alert_id, rule_id, title, message, labels, key } = entry.body else { return None };
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
        let labels = BTreeMap::from([
            ("source".to_owned(), source.key.clone()),
            ("position".to_owned(), source.position.to_string()),
        ]);
        Alert {
            alert_id: format!("{}-damaged-{}-{}", self.run_id, source.key, source.position),
            run_id: self.run_id.clone(),
            phase: self.phase.clone(),
            env: self.env.clone(),
            severity: alert_rule(&rule_id).map_or(UNKNOWN_RULE, |r| r.severity),
            rule_id,
            source: "dispatcher".to_owned(),
            title: "a record of the journal cannot be read".to_owned(),
            message: format!("{} at byte {}: {what}; it may have been an alert", source.key, source.position),
            key: format!("{}:{}", source.key, source.position),
            labels,
            raised_at: now,
        }
    }

    fn take_in(&mut self, alert: &Alert, cursor: (&str, u64), now: Timestamp) -> Result<bool, AlertError> {
        let plan = self.routes.plan(alert, &self.notifiers, now);
        let Some(disposition) = self.store.take_in(alert, &plan, cursor, now)? else { return Ok(false) };
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
            self.store.set_cursor(&source.key, source.position)?;
            source.stored = source.position;
            source.stored_at = now;
        }
        Ok(())
    }
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
