//! Intake: follows the sources with stored cursors, throttles, coalesces, routes, and stores. Reading the files lives in the source,
//! sending in the worker.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalogue::{Severity, alert_rule};
use exposition::Registry;
use journal::{AlertFields, Body, Entry};
use market::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::config::AlertConfig;
use crate::metrics::Metrics;
use crate::model::{Alert, AlertError, Disposition};
use crate::queue::Queue;
use crate::routes::{OWN, Routes};
use crate::source::{Source, committed};
use crate::store::{BEAT_EVERY, Overflow, Store, Taken};

/// A cursor that moved over records other than alerts is stored at this interval.
const STORE_CURSOR_EVERY: Duration = Duration::from_secs(1);
/// A cursor that did not move is stored at this interval: it is not that of a run that ended long ago.
const KEEP_CURSOR_EVERY: Duration = Duration::from_secs(3_600);
/// When what is old could not be deleted.
const FORGET_AGAIN: Duration = Duration::from_secs(3_600);
/// How often it is looked whether an overflow has ended.
const LOOK_AT_OVERFLOWS_EVERY: Duration = Duration::from_secs(1);
/// An overflow that lasts is told of at this interval.
const SUM_UP_EVERY: Duration = Duration::from_secs(60);
/// Severity of an alert whose rule is not in the catalogue: loud, because somebody's catalogue is older than his engine.
const UNKNOWN_RULE: Severity = Severity::P1;
/// The label of a summary: how many alerts it stands for.
const COALESCED: &str = "coalesced";

/// Takes alerts from journal and spools into the store. Driven by its owner, who says what time it is.
#[derive(Debug)]
pub struct Intake {
    store: Store,
    metrics: Metrics,
    queue: Arc<Queue>,
    run_id: String,
    phase: String,
    env: String,
    routes: Routes,
    notifiers: Vec<String>,
    sources: Vec<Source>,
    /// What an earlier process left is still to be counted.
    count_back: bool,
    retention: Option<Duration>,
    forget_at: Timestamp,
    /// The alert whose storing failed: whether it is there, only the next attempt tells.
    doubt: Option<String>,
    /// When the first look at the sources was, or the start before it.
    begun: Option<Timestamp>,
    beat_at: Timestamp,
    /// Something may have been counted that is not told of.
    overflowing: bool,
    look_at: Timestamp,
}

/// What a look at all sources brought.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// New alerts.
    pub(crate) taken: u64,
    /// The sources that could not be read; the others were.
    pub(crate) failed: Vec<(PathBuf, AlertError)>,
}

impl Intake {
    /// Opens the store. A server is not asked yet: it may be away, and the sources wait.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn new(config: &AlertConfig, registry: &Registry, notifiers: &[String]) -> Result<Self, AlertError> {
        let store = Store::of(config)?;
        // A server's cursors are those of many machines: a path alone says too little.
        let owner = if config.server.is_some() { config.run_id.as_str() } else { "" };
        let paths = config.sources.iter().chain(&config.own_spool);
        Ok(Self {
            store,
            metrics: Metrics::new(registry, notifiers)?,
            queue: Arc::new(Queue::new(registry)?),
            run_id: config.run_id.clone(),
            phase: config.phase.clone(),
            env: config.env.clone(),
            routes: config.routes.clone(),
            notifiers: notifiers.to_vec(),
            sources: paths.map(|path| Source::new(path, owner)).collect(),
            count_back: false,
            retention: config.retention,
            forget_at: Timestamp(i64::MIN),
            doubt: None,
            begun: None,
            beat_at: Timestamp(i64::MIN),
            overflowing: true,
            look_at: Timestamp(i64::MIN),
        })
    }

    /// The gauges that the dispatcher's threads share.
    pub(crate) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Whatever is raised from now on is not in the store before it is taken in here.
    pub(crate) fn begins(&mut self, now: Timestamp) {
        self.begun = Some(now);
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

    /// True when what an earlier process left has been counted.
    pub const fn is_prepared(&self) -> bool {
        !self.count_back
    }

    fn prepare(&mut self) -> Result<(), AlertError> {
        if self.count_back {
            let (alerts, deliveries) = self.store.rows(&self.run_id, Some(&self.phase))?;
            self.metrics.come_back(&alerts, &deliveries)?;
            self.count_back = false;
        }
        Ok(())
    }

    /// Deletes what is older than the retention time, once. That it cannot holds up nothing.
    fn forget_old(&mut self, now: Timestamp) {
        let Some(retention) = self.retention.filter(|_| now >= self.forget_at) else { return };
        let nanos = i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX);
        match self.store.forget(Timestamp(now.0.saturating_sub(nanos)), &self.run_id) {
            Ok(gone) => {
                if gone > 0 {
                    tracing::info!(
                        gone,
                        "alerts of earlier runs were older than the retention time and are deleted"
                    );
                }
                self.retention = None;
            }
            Err(e) => {
                tracing::warn!(
                    "alerts older than the retention time are not deleted, trying again in an hour: {e}"
                );
                self.forget_at = now.plus(FORGET_AGAIN);
            }
        }
    }

    /// Reads what the sources have gained since the last call; the number of new alerts. A source that does not exist yet has
    /// nothing. When the store is away the cursors stand still.
    ///
    /// # Errors
    /// [`AlertError`]; calling again continues where it stopped. A source that cannot be read keeps no other from being read: its error
    /// comes when all were.
    pub fn poll(&mut self, now: Timestamp) -> Result<u64, AlertError> {
        let looked = self.look(now, false)?;
        looked.failed.into_iter().next().map_or(Ok(looked.taken), |(_, error)| Err(error))
    }

    /// As [`Self::poll`]; `at_end` tells of overflows at once.
    ///
    /// # Errors
    /// [`AlertError`] of the store; those of sources are in the answer.
    pub(crate) fn look(&mut self, now: Timestamp, at_end: bool) -> Result<Looked, AlertError> {
        self.begun.get_or_insert(now);
        if now >= self.beat_at {
            self.store.beat(&self.run_id, &self.phase, now)?;
            self.beat_at = now.plus(BEAT_EVERY);
        }
        self.prepare()?;
        let mut looked = Looked::default();
        for index in 0..self.sources.len() {
            match self.poll_source(index, now) {
                Ok(taken) => looked.taken += taken,
                Err(e) if e.is_store() => return Err(e),
                Err(e) => {
                    let path = self.sources.get(index).map(|source| source.path.clone());
                    looked.failed.push((path.unwrap_or_default(), e));
                }
            }
        }
        looked.taken += self.sum_up(now, at_end)?;
        self.forget_old(now);
        self.queue_behind(now, false);
        Ok(looked)
    }

    /// While the store is away: what waits in the sources is part of the queue.
    pub(crate) fn look_ahead(&mut self, now: Timestamp) {
        self.queue_behind(now, true);
    }

    fn queue_behind(&mut self, now: Timestamp, is_away: bool) {
        let since = self.begun.unwrap_or(now);
        let (mut alerts, mut oldest) = (0, None);
        for source in &mut self.sources {
            if is_away {
                let ahead = source.look_ahead(since);
                alerts += ahead.alerts;
                oldest = oldest.into_iter().chain(ahead.oldest).min();
            } else {
                source.caught_up();
            }
        }
        self.queue.waiting(alerts, oldest, now);
        if is_away {
            self.queue.age(now);
        }
    }

    fn poll_source(&mut self, index: usize, now: Timestamp) -> Result<u64, AlertError> {
        let mut taken = 0;
        self.locate(index)?;
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

    /// Finds how far a file was read that is new here.
    fn locate(&mut self, index: usize) -> Result<(), AlertError> {
        let Some(source) = self.sources.get_mut(index) else { return Ok(()) };
        if !source.is_new()? {
            return Ok(());
        }
        let stored = source.cursor().map_or(Ok(None), |key| self.store.cursor(key));
        let begun = stored.and_then(|stored| source.begin(stored));
        if begun.is_err() {
            source.unknown();
        }
        begun
    }

    /// Takes in one line; true when it was a new alert. The cursor moves behind it in any case.
    fn line(&mut self, index: usize, line: &[u8], now: Timestamp) -> Result<bool, AlertError> {
        let Some(source) = self.sources.get(index) else { return Ok(false) };
        let Some(key) = source.cursor().map(str::to_owned) else { return Ok(false) };
        let behind = source.position + line.len() as u64 + 1;
        let alert = match journal::file::decode(line) {
            Ok(entry) => self.alert(entry),
            Err(what) => Some(self.damaged(source, &what, now)),
        };
        let mut is_new = false;
        if let Some(alert) = alert {
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

    /// A record that cannot be read may have been an alert: a person is told. Nobody knows when it was written: its time is that of the
    /// look that found it, and only file and place tell it from others.
    fn damaged(&self, source: &Source, what: &str, now: Timestamp) -> Alert {
        let rule_id = "STATE-SAVE-FAILED".to_owned();
        let path = source.path.to_string_lossy();
        let labels = BTreeMap::from([
            ("source".to_owned(), path.clone().into_owned()),
            ("position".to_owned(), source.position.to_string()),
        ]);
        let file = source.cursor().and_then(|key| key.rsplit(' ').next()).unwrap_or_default();
        Alert {
            alert_id: format!("{}-damaged-{}-{}-{file}", self.run_id, path, source.position),
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
        // An answer may be lost behind a commit: the next attempt finds the alert there, and it is counted then.
        let doubtful = self.doubts(&alert.alert_id);
        let mut taken = self.store.take_in(alert, &plan, cursor, now);
        // What is damaged was found before, at another time.
        let is_damage = alert.alert_id.starts_with(&format!("{}-damaged-", self.run_id));
        if matches!(taken, Ok(Taken::Another)) && !is_damage {
            // A run that was begun anew under an old id: both are to be told of.
            let named = distinguished(alert);
            if !doubtful {
                tracing::warn!(
                    "alert {}: the store has another one of that id, of an earlier run of the same name; stored as {}",
                    alert.alert_id,
                    named.alert_id
                );
            }
            taken = self.store.take_in(&named, &plan, cursor, now);
        }
        if taken.is_err() {
            self.doubt = Some(alert.alert_id.clone());
        }
        self.count(alert, taken?, doubtful)
    }

    /// True once for the alert whose storing was in doubt.
    fn doubts(&mut self, alert_id: &str) -> bool {
        self.doubt.take_if(|id| id == alert_id).is_some()
    }

    /// Counts an alert that the store took; true when it is new.
    fn count(&mut self, alert: &Alert, taken: Taken, doubtful: bool) -> Result<bool, AlertError> {
        let disposition = match taken {
            Taken::New(disposition) => disposition,
            Taken::Known(disposition) if doubtful => disposition,
            Taken::Known(_) | Taken::Another => return Ok(false),
        };
        self.metrics.raised(alert.severity);
        if disposition == Disposition::Throttled {
            self.metrics.throttled.inc();
        }
        self.overflowing |= disposition == Disposition::Aggregated;
        self.metrics.by_rule(&alert.rule_id, disposition.as_str());
        Ok(true)
    }

    /// Tells of what was counted instead of delivered, once for each rule and key: when the overflow has ended (less than half of what
    /// began it still waits), every minute while it lasts, and at the end. How many summaries.
    fn sum_up(&mut self, now: Timestamp, at_end: bool) -> Result<u64, AlertError> {
        if !self.overflowing || (now < self.look_at && !at_end) {
            return Ok(0);
        }
        let limit = self.routes.overflow();
        let overflows = self.store.overflows(&self.run_id, &self.phase, limit)?;
        let mut told = 0;
        for overflow in &overflows {
            let has_ended = 2 * overflow.open < u64::from(limit);
            if !has_ended && !at_end && now < overflow.since.plus(SUM_UP_EVERY) {
                continue;
            }
            let summary = self.summary(overflow, now);
            let plan = self.routes.summary_plan(&summary, &self.notifiers, now);
            let doubtful = self.doubts(&summary.alert_id);
            let taken = self.store.sum_up(overflow, &summary, &plan, now);
            if taken.is_err() {
                self.doubt = Some(summary.alert_id.clone());
            }
            let counted = taken?.map_or(Ok(false), |taken| self.count(&summary, taken, doubtful))?;
            told += u64::from(counted);
        }
        self.look_at = now.plus(LOOK_AT_OVERFLOWS_EVERY);
        self.overflowing = told < overflows.len() as u64;
        Ok(told)
    }

    fn summary(&self, overflow: &Overflow, now: Timestamp) -> Alert {
        let last = &overflow.last;
        let what = format!("{} {} {}", last.phase, last.rule_id, last.aggregation_key);
        let mut labels = last.labels.clone();
        labels.insert(COALESCED.to_owned(), overflow.alerts.to_string());
        Alert {
            alert_id: format!("{}{OWN}-o{}-{}", self.run_id, digest(&what), overflow.since.0),
            run_id: self.run_id.clone(),
            phase: self.phase.clone(),
            env: self.env.clone(),
            rule_id: last.rule_id.clone(),
            severity: alert_rule(&last.rule_id).map_or(UNKNOWN_RULE, |r| r.severity),
            source: "dispatcher".to_owned(),
            title: format!("{} more: {}", overflow.alerts, last.title),
            message: format!(
                "{} alerts of this kind were raised while the ones before them waited, and are not sent one by one; the last one: {}",
                overflow.alerts, last.message
            ),
            labels,
            // Of its own: it throttles nobody and is counted with nobody.
            key: format!("{COALESCED} {}", last.aggregation_key),
            raised_at: now,
        }
    }

    fn store_cursor(&mut self, index: usize, now: Timestamp) -> Result<(), AlertError> {
        let Some(source) = self.sources.get_mut(index) else { return Ok(()) };
        let Some(key) = source.cursor() else { return Ok(()) };
        let every = if source.position == source.stored { KEEP_CURSOR_EVERY } else { STORE_CURSOR_EVERY };
        if now >= source.stored_at.plus(every) {
            self.store.set_cursor(key, source.position, now)?;
            source.stored = source.position;
            source.stored_at = now;
        }
        Ok(())
    }
}

/// The same alert under an id that tells it from the one that has its own.
fn distinguished(alert: &Alert) -> Alert {
    let what = format!("{} {} {}", alert.raised_at.0, alert.rule_id, alert.key);
    Alert { alert_id: format!("{}~{}", alert.alert_id, digest(&what)), ..alert.clone() }
}

fn digest(what: &str) -> String {
    Sha256::digest(what.as_bytes()).iter().take(8).map(|b| format!("{b:02x}")).collect()
}
