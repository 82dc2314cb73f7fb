//! What the dispatcher itself raises: an open circuit, a store that is away. Through a spool like everybody's, so that it is on disk
//! before anything is tried and waits there as long as the store is away.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use market::Timestamp;

use crate::config::AlertConfig;
use crate::model::AlertError;
use crate::routes::{DEGRADED, OWN};
use crate::spool::Spool;

/// The dispatcher's own spool; shared by its threads.
#[derive(Debug, Default)]
pub(crate) struct Own {
    spool: Option<Mutex<Spool>>,
    /// The loss of the store was told and it is not back.
    lost: AtomicBool,
}

impl Own {
    pub(crate) fn open(config: &AlertConfig) -> Result<Self, AlertError> {
        let Some(path) = &config.own_spool else { return Ok(Self::default()) };
        let spool = Spool::open(path, &format!("{}{OWN}", config.run_id))?;
        Ok(Self { spool: Some(Mutex::new(spool)), lost: AtomicBool::new(false) })
    }

    fn raise(&self, rule_id: &str, title: &str, message: &str, label: (&str, &str), now: Timestamp) {
        let Some(spool) = &self.spool else { return };
        let labels = BTreeMap::from([(label.0.to_owned(), label.1.to_owned())]);
        // A spool is whole between its calls.
        let mut spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(e) = spool.raise(rule_id, title, message, labels, now) {
            tracing::error!("{rule_id} cannot be raised: {e}");
        }
    }

    /// A circuit opened.
    pub(crate) fn degraded(&self, notifier: &str, last: &str, now: Timestamp) {
        tracing::error!("notifier {notifier} failed 5 times in a row, its circuit is open: {last}");
        let message =
            format!("{notifier} failed 5 times in a row and is left alone for 60 s; the last error: {last}");
        self.raise("NOTIFIER-DEGRADED", "A notifier's circuit opened", &message, (DEGRADED, notifier), now);
    }

    /// The work failed; the loss of the store is told once.
    pub(crate) fn failing(&self, error: &AlertError, now: Timestamp) {
        if self.lost.swap(true, Ordering::Relaxed) {
            return;
        }
        if error.is_store() {
            let message = format!(
                "{error}; what is raised meanwhile waits in the journal and the spools, and is delivered when the store is back"
            );
            self.raise("SYS-DB-LOST", "The alert store is lost", &message, ("part", "alert_store"), now);
        } else {
            let message = format!("{error}; it is tried again, and nothing behind it is lost");
            self.raise(
                "STATE-SAVE-FAILED",
                "A source of alerts cannot be read",
                &message,
                ("part", "alert_source"),
                now,
            );
        }
    }

    /// True from the first failure on, until the store is back.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// The store takes alerts again.
    pub(crate) fn back(&self) {
        self.lost.store(false, Ordering::Relaxed);
    }
}
