//! Dead letters in an operator's hands: looked at, sent anew, discarded. Whoever acts leaves his name and a reason in the store, in
//! the same transaction. Sending anew is the dispatcher's own work: a worker over the same rows.

use std::path::Path;
use std::time::{Duration, Instant};

use exposition::{Common, Registry};
use market::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::AlertConfig;
use crate::dispatcher::{Clock, system_clock};
use crate::model::{AlertError, AlertRecord, DeliveryRecord, Status};
use crate::store::Store;
use crate::worker::Worker;

/// Between two looks for a retry that is due.
const PAUSE: Duration = Duration::from_millis(20);
/// A reason is a sentence, not a document.
const MAX_TEXT: usize = 500;

/// What an operator does to a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Send it anew.
    Replay,
    /// Give it up.
    Discard,
}

impl Act {
    /// As in the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

/// A row of `alert_audit`: who did what to which dead letter, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// The user's name.
    pub who: String,
    /// The reason that he gave.
    pub why: String,
    /// `replay` or `discard`.
    pub action: String,
    /// The delivery.
    pub delivery_id: i64,
    /// Its alert.
    pub alert_id: String,
    /// Its run.
    pub run_id: String,
    /// Its notifier.
    pub notifier: String,
    /// Attempts that it had had.
    pub attempt: u32,
    /// The error that it had died of.
    pub last_error: Option<String>,
}

/// How a replay ended, counted in deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Replayed {
    /// Arrived, at their notifier or at a later one of the chain.
    pub sent: Vec<i64>,
    /// In the dead letters again.
    pub dead: Vec<i64>,
    /// Still under way when the time was up: the next dispatcher or replay goes on.
    pub open: Vec<i64>,
}

/// The operator's desk over one store.
#[derive(Debug)]
pub struct Desk {
    store: Store,
}

impl Desk {
    /// Opens a store that is there.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn open(database: &Path) -> Result<Self, AlertError> {
        if !database.is_file() {
            let source = std::io::Error::new(std::io::ErrorKind::NotFound, "there is no alert store here");
            return Err(AlertError::Io { path: database.to_owned(), source });
        }
        Ok(Self { store: Store::open(database)? })
    }

    /// The desk over any store.
    pub const fn over(store: Store) -> Self {
        Self { store }
    }

    /// The dead letters of all runs or of one.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn list(&self, run_id: Option<&str>) -> Result<Vec<DeliveryRecord>, AlertError> {
        self.store.dead_letters(run_id)
    }

    /// A delivery with its alert; `None` when there is none of that number.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn show(&self, id: i64) -> Result<Option<(DeliveryRecord, AlertRecord)>, AlertError> {
        self.store.delivery(id)
    }

    /// Who did what, oldest first.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn audit(&self, run_id: Option<&str>) -> Result<Vec<AuditRecord>, AlertError> {
        self.store.audit(run_id)
    }

    /// Cancels a dead letter. False when it is none.
    ///
    /// # Errors
    /// [`AlertError`], also without a name or a reason.
    pub fn discard(&mut self, id: i64, who: &str, why: &str) -> Result<bool, AlertError> {
        signed(who, why)?;
        self.store.settle_dead(id, Act::Discard, who, why, system_clock()())
    }

    /// Makes a dead letter a new delivery with all its attempts. False when it is none.
    ///
    /// # Errors
    /// [`AlertError`], also without a name or a reason.
    pub fn release(&mut self, id: i64, who: &str, why: &str) -> Result<bool, AlertError> {
        signed(who, why)?;
        self.store.settle_dead(id, Act::Replay, who, why, system_clock()())
    }

    /// Sends released deliveries with the notifiers of a configuration, whose run and phase are theirs, until each has arrived or died
    /// again, at most for `within`. What else is due of that run leaves with them.
    ///
    /// # Errors
    /// [`AlertError`]; what was released stays so.
    pub fn send(&self, config: &AlertConfig, ids: &[i64], within: Duration) -> Result<Replayed, AlertError> {
        let registry = Registry::new(Common { env: config.env.clone(), universe: "topN".to_owned() });
        let clock: Clock = system_clock();
        let mut worker = Worker::new(config, &registry, config.build_notifiers()?, clock)?;
        let deadline = Instant::now() + within;
        loop {
            let worked = worker.step()?;
            let outcome = self.outcome(ids)?;
            if outcome.open.is_empty() || Instant::now() >= deadline {
                worker.leave();
                return Ok(outcome);
            }
            if !worked {
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn outcome(&self, ids: &[i64]) -> Result<Replayed, AlertError> {
        let mut out = Replayed::default();
        for id in ids {
            let Some(status) = self.store.status(*id)? else { continue };
            match status {
                Status::Sent => out.sent.push(*id),
                Status::Dlq | Status::Cancelled => out.dead.push(*id),
                // A later one of the chain has it: its own row tells the rest.
                Status::Failed => match self.store.successor(*id)? {
                    Some(Status::Sent) => out.sent.push(*id),
                    Some(Status::Dlq | Status::Cancelled | Status::Failed) => out.dead.push(*id),
                    _ => out.open.push(*id),
                },
                Status::Pending | Status::Sending | Status::Retry => out.open.push(*id),
            }
        }
        Ok(out)
    }
}

fn signed(who: &str, why: &str) -> Result<(), AlertError> {
    for (what, text) in [("who", who), ("why", why)] {
        if text.trim().is_empty() || text.len() > MAX_TEXT {
            let what =
                format!("`{what}` must say something, in at most {MAX_TEXT} bytes: it stands in the audit");
            return Err(AlertError::Config(what));
        }
    }
    Ok(())
}
