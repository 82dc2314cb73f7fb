//! The alert store: the two tables of alerting.md, the cursors, and every transaction on them, behind one trait. SQLite lives in
//! `sqlite`, PostgreSQL in `postgres`, the schema's versions as files in `migrations/`. Decisions live in the machine, effects in
//! the worker.
//!
//! Both stores keep the same columns and statuses. Times are integers, nanoseconds since 1970-01-01 UTC; labels are JSON, as text
//! in SQLite and as JSONB in PostgreSQL.

mod operator;
mod overflow;
mod postgres;
mod shared;
mod sqlite;

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use market::Timestamp;

use crate::config::AlertConfig;
use crate::model::{Alert, AlertError, AlertRecord, Conservation, DeliveryRecord, Disposition};
pub use operator::OperatorStore;
pub use overflow::{Overflow, OverflowStore};
pub use postgres::PostgresConfig;
pub use shared::SharedStore;
pub(crate) use shared::{ADOPT_AFTER, BEAT_EVERY};

/// A delivery that a worker holds.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The row, as the claim left it.
    pub delivery: DeliveryRecord,
    /// Its alert.
    pub alert: AlertRecord,
}

/// What is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Deliveries.
    pub deliveries: u64,
    /// When the oldest of their alerts was raised.
    pub oldest: Option<Timestamp>,
}

/// Whose deliveries a claim takes.
#[derive(Debug, Clone, Copy)]
pub enum Lane<'a> {
    /// Everybody's.
    All,
    /// Those of one notifier.
    Only(&'a str),
    /// Those of everybody but these: notifiers that are configured no more, of dispatchers that are gone.
    AllBut(&'a [String]),
}

/// How an alert is taken in.
#[derive(Debug, Clone)]
pub struct Plan {
    /// 0 never throttles.
    pub throttle: Duration,
    /// A delivery for each. Empty: stored only.
    pub notifiers: Vec<String>,
    /// Not before: later than now for what waits for its batch.
    pub due: Timestamp,
    /// When so many alerts of the same rule and key wait to be delivered, the alert is counted instead. 0: never.
    pub overflow: u32,
}

/// How [`AlertStore::take_in`] found an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is stored now, with its deliveries.
    New(Disposition),
    /// It had been stored before: the cursor moved, nothing else happened.
    Known(Disposition),
    /// Another alert has its id. Nothing happened, and the cursor did not move.
    Another,
}

/// A store of alerts and their deliveries. Each method is one transaction: done whole, or not at all.
///
/// A connection may be lost between a commit and its answer; then the method fails although its work is done. So every
/// method may be called again with the same arguments, and says then what it would have said.
///
/// Each one fails with [`AlertError`]: when [`AlertError::is_store_lost`] it can be called again later.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
pub trait AlertStore: OperatorStore + OverflowStore + SharedStore + Send + std::fmt::Debug {
    /// Whether it answers.
    fn ping(&self) -> Result<(), AlertError>;

    /// The rows of a run, of all phases or of one: alerts by the time they were raised, deliveries in the order in which they were
    /// made. One snapshot for both tables.
    fn rows(
        &self,
        run_id: &str,
        phase: Option<&str>,
    ) -> Result<(Vec<AlertRecord>, Vec<DeliveryRecord>), AlertError>;

    /// The dead letters, of all runs or of one.
    fn dead_letters(&self, run_id: Option<&str>) -> Result<Vec<DeliveryRecord>, AlertError>;

    /// What became of a run's alerts. An alert with several deliveries counts once: as pending while one is open, else as
    /// dead when one is, else as delivered when one was sent.
    fn conservation(&self, run_id: &str, phase: Option<&str>) -> Result<Conservation, AlertError>;

    /// The stored cursor of a source: the byte behind the last record that was taken in.
    fn cursor(&self, source: &str) -> Result<Option<u64>, AlertError>;

    /// Moves a cursor without an alert.
    fn set_cursor(&self, source: &str, position: u64, now: Timestamp) -> Result<(), AlertError>;

    /// Stores an alert, its deliveries and the cursor behind it. An alert of the same id is the same one when rule, key and the time when
    /// it was raised are the same.
    fn take_in(
        &self,
        alert: &Alert,
        plan: &Plan,
        cursor: (&str, u64),
        now: Timestamp,
    ) -> Result<Taken, AlertError>;

    /// Takes the delivery of this run and phase that has been due longest, with a lease: one whose lease has ended, else one that waits. No
    /// two workers get the same one while its lease lasts. (A claim whose answer is lost comes back when its lease ends.)
    fn claim(
        &self,
        run_id: &str,
        phase: &str,
        now: Timestamp,
        lease: Duration,
        lane: Lane<'_>,
    ) -> Result<Option<Claim>, AlertError>;

    /// Records an acknowledgement. False when the lease had been lost meanwhile.
    fn sent(&self, claim: &Claim, latency_ms: i64, now: Timestamp) -> Result<bool, AlertError>;

    /// Records a failure that is tried again. False when the lease had been lost meanwhile.
    fn retry(&self, claim: &Claim, error: &str, at: Timestamp) -> Result<bool, AlertError>;

    /// Records that a notifier gave up: FAILED with a new row for the `next` of the chain, or DLQ when there is none. False
    /// when the lease had been lost meanwhile.
    fn give_up(
        &self,
        claim: &Claim,
        error: &str,
        next: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, AlertError>;

    /// True when an alert has a row for a notifier.
    fn has_delivery(&self, alert_id: &str, notifier: &str) -> Result<bool, AlertError>;

    /// What is open of a run's phase.
    fn open_deliveries(&self, run_id: &str, phase: &str) -> Result<Open, AlertError>;
}

/// A server that has an alert store.
pub trait StoreServer: Send + Sync + std::fmt::Debug {
    /// A store with a connection of its own.
    ///
    /// # Errors
    /// [`AlertError`]; never because the server is away, which each thing asked of the store says by itself.
    fn open(&self) -> Result<Store, AlertError>;
}

impl StoreServer for PostgresConfig {
    /// A store on PostgreSQL. It is connected to, and migrated where needed, when something is first asked of it; whenever the
    /// connection is lost that happens again, with growing pauses.
    fn open(&self) -> Result<Store, AlertError> {
        Ok(Store(Box::new(postgres::Postgres::new(self)?)))
    }
}

/// An alert store of any kind.
#[derive(Debug)]
pub struct Store(Box<dyn AlertStore>);

impl From<Box<dyn AlertStore>> for Store {
    fn from(store: Box<dyn AlertStore>) -> Self {
        Self(store)
    }
}

impl Store {
    /// Opens the embedded store, creating it (mode 0600) and migrating it where needed.
    ///
    /// # Errors
    /// [`AlertError::Io`], [`AlertError::Store`], [`AlertError::NewerSchema`].
    pub fn open(path: &Path) -> Result<Self, AlertError> {
        Ok(Self(Box::new(sqlite::Sqlite::open(path)?)))
    }

    /// The store of a dispatcher.
    ///
    /// # Errors
    /// As [`Self::open`] and [`StoreServer::open`].
    pub fn of(config: &AlertConfig) -> Result<Self, AlertError> {
        match &config.server {
            Some(server) => server.open(),
            None => Self::open(&config.database),
        }
    }
}

impl Deref for Store {
    type Target = dyn AlertStore;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

/// What was due, and who was heard of, before this is orphaned.
fn orphaned(now: Timestamp) -> i64 {
    now.0.saturating_sub(nanos(ADOPT_AFTER))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
