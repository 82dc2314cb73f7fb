//! What the dispatcher itself raises: an open circuit, a store that is away, a source that cannot be read. Through a spool like
//! everybody's, so that it is on disk before anything is tried and waits there as long as the store is away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use market::Timestamp;

use crate::config::AlertConfig;
use crate::model::AlertError;
use crate::routes::{DEGRADED, OWN};
use crate::spool::Spool;

/// The dispatcher's own spool; shared by its threads.
#[derive(Debug, Default)]
pub(crate) struct Own {
    spool: Option<Mutex<Spool>>,
    told: Mutex<Told>,
}

/// What was told and lasts. What could not be written is told again.
#[derive(Debug, Default)]
struct Told {
    /// The threads that have lost the store.
    store: BTreeSet<String>,
    /// The threads whose work fails by something else.
    work: BTreeSet<String>,
    /// These sources cannot be read.
    sources: BTreeSet<PathBuf>,
    /// The spool does not take it: said once.
    mute: bool,
}

impl Told {
    fn of(&mut self, error: &AlertError) -> &mut BTreeSet<String> {
        if error.is_store() { &mut self.store } else { &mut self.work }
    }
}

impl Own {
    pub(crate) fn open(config: &AlertConfig) -> Result<Self, AlertError> {
        let Some(path) = &config.own_spool else { return Ok(Self::default()) };
        let spool = Spool::open(path, &format!("{}{OWN}", config.run_id))?;
        Ok(Self { spool: Some(Mutex::new(spool)), told: Mutex::default() })
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Plain marks, never half changed.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when it is on disk, or nobody wants it there.
    fn raise(&self, rule_id: &str, title: &str, message: &str, label: (&str, &str), now: Timestamp) -> bool {
        let Some(spool) = &self.spool else { return true };
        let labels = BTreeMap::from([(label.0.to_owned(), label.1.to_owned())]);
        // A spool is whole between its calls.
        let mut spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
        let raised = spool.raise(rule_id, title, message, labels, now);
        drop(spool);
        let was_mute = std::mem::replace(&mut self.told().mute, raised.is_err());
        if let Err(e) = raised {
            if !was_mute {
                tracing::error!("{rule_id} cannot be raised, trying again: {e}");
            }
            return false;
        }
        true
    }

    /// A circuit opened.
    pub(crate) fn degraded(&self, notifier: &str, last: &str, now: Timestamp) {
        tracing::error!("notifier {notifier} failed 5 times in a row, its circuit is open: {last}");
        let message =
            format!("{notifier} failed 5 times in a row and is left alone for 60 s; the last error: {last}");
        self.raise("NOTIFIER-DEGRADED", "A notifier's circuit opened", &message, (DEGRADED, notifier), now);
    }

    /// The work of a thread failed. Told once, until it succeeds for everybody again: threads find out one by one that a store is back.
    pub(crate) fn failing(&self, who: &str, error: &AlertError, now: Timestamp) {
        {
            let mut told = self.told();
            let failing = told.of(error);
            let is_first = failing.is_empty();
            failing.insert(who.to_owned());
            if !is_first {
                return;
            }
        }
        let raised = if error.is_store() {
            let message = format!(
                "{error}; what is raised meanwhile waits in the journal and the spools, and is delivered when the store is back"
            );
            self.raise("SYS-DB-LOST", "The alert store is lost", &message, ("part", "alert_store"), now)
        } else {
            let message = format!("{error}; it is tried again, and nothing behind it is lost");
            self.raise(
                "STATE-SAVE-FAILED",
                "Alerts cannot be delivered",
                &message,
                ("part", "alert_delivery"),
                now,
            )
        };
        if !raised {
            self.told().of(error).clear();
        }
    }

    /// These sources cannot be read, the others can: told once for each, as long as it lasts.
    pub(crate) fn unreadable(&self, failed: &[(PathBuf, AlertError)], now: Timestamp) {
        let new: Vec<&(PathBuf, AlertError)> = {
            let mut told = self.told();
            told.sources.retain(|path| failed.iter().any(|(p, _)| p == path));
            failed.iter().filter(|(path, _)| !told.sources.contains(path)).collect()
        };
        for (path, error) in new {
            tracing::error!("a source of alerts cannot be read, trying again: {error}");
            let message = format!(
                "{error}; alerts that it holds wait until it can be read again, those of other sources are delivered"
            );
            let name = path.to_string_lossy();
            let title = "A source of alerts cannot be read";
            if self.raise("STATE-SAVE-FAILED", title, &message, ("alert_source", &name), now) {
                self.told().sources.insert(path.clone());
            }
        }
    }

    /// The work of a thread succeeds.
    pub(crate) fn well(&self, who: &str) {
        let mut told = self.told();
        told.store.remove(who);
        told.work.remove(who);
    }
}
