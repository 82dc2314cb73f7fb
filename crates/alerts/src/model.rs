//! Values that the parts of this crate exchange, and the rows of the two tables. Times in rows are integers: nanoseconds
//! since 1970-01-01 UTC.

use std::collections::BTreeMap;
use std::path::PathBuf;

use catalogue::Severity;
use market::Timestamp;
use serde::{Deserialize, Serialize};

/// An alert as a notifier gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Idempotency key, together with the notifier's name.
    pub alert_id: String,
    /// The run.
    pub run_id: String,
    /// The phase.
    pub phase: String,
    /// The environment.
    pub env: String,
    /// Rule of the catalogue.
    pub rule_id: String,
    /// Severity.
    pub severity: Severity,
    /// `engine`, `shell` or `dispatcher`.
    pub source: String,
    /// One line.
    pub title: String,
    /// What happened and what to look at.
    pub message: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Alerts with the same rule and key are throttled together.
    pub key: String,
    /// When it was raised.
    pub raised_at: Timestamp,
}

/// What becomes of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// It has delivery rows.
    Deliver,
    /// Repeated within its rule's throttle.
    Throttled,
    /// Counted into a summary: too many of its rule and key waited.
    Aggregated,
    /// Its severity has no chain.
    StoreOnly,
}

impl Disposition {
    /// As in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Throttled => "throttled",
            Self::Aggregated => "aggregated",
            Self::StoreOnly => "store_only",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Deliver, Self::Throttled, Self::Aggregated, Self::StoreOnly]
            .into_iter()
            .find(|d| d.as_str() == text)
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Not tried yet.
    Pending,
    /// A worker holds it until its lease ends.
    Sending,
    /// Failed, waits for its next attempt.
    Retry,
    /// Acknowledged.
    Sent,
    /// This notifier gave up and a later one took over.
    Failed,
    /// The chain is spent.
    Dlq,
    /// Discarded by an operator.
    Cancelled,
}

impl Status {
    /// As in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Sending => "SENDING",
            Self::Retry => "RETRY",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Dlq => "DLQ",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// True when nothing more will happen to the row by itself.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Sent | Self::Failed | Self::Dlq | Self::Cancelled)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Sending, Self::Retry, Self::Sent, Self::Failed, Self::Dlq, Self::Cancelled]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// A row of `alerts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRecord {
    /// Primary key.
    pub alert_id: String,
    /// The run.
    pub run_id: String,
    /// The phase.
    pub phase: String,
    /// Rule of the catalogue.
    pub rule_id: String,
    /// `P0` to `P3`.
    pub severity: String,
    /// Who raised it.
    pub source: String,
    /// One line.
    pub title: String,
    /// What happened.
    pub message: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Aggregation key.
    pub aggregation_key: String,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// What became of it.
    pub disposition: Disposition,
}

/// A row of `alert_deliveries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryRecord {
    /// Primary key.
    pub delivery_id: i64,
    /// The alert.
    pub alert_id: String,
    /// The run.
    pub run_id: String,
    /// The phase.
    pub phase: String,
    /// The notifier.
    pub notifier: String,
    /// Where it stands.
    pub status: Status,
    /// Attempts begun.
    pub attempt: u32,
    /// Not before.
    pub next_attempt_at: Timestamp,
    /// A worker holds it until then.
    pub lease_until: Option<Timestamp>,
    /// The last failure, `<reason>: <message>`.
    pub last_error: Option<String>,
    /// Raised to acknowledged, milliseconds.
    pub latency_ms: Option<i64>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// The delivery that this one took over from.
    pub fallback_of: Option<i64>,
}

/// Alerts of a run by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conservation {
    /// Alerts stored.
    pub raised: u64,
    /// All their deliveries reached a notifier.
    pub delivered: u64,
    /// At least one delivery ended in the dead letters.
    pub dlq: u64,
    /// Throttled.
    pub throttled: u64,
    /// Aggregated.
    pub aggregated: u64,
    /// Stored only.
    pub store_only: u64,
    /// At least one delivery is open.
    pub pending: u64,
}

impl Conservation {
    /// `raised = delivered + dlq + throttled + aggregated + store_only + pending`.
    pub const fn holds(&self) -> bool {
        self.raised
            == self.delivered + self.dlq + self.throttled + self.aggregated + self.store_only + self.pending
    }
}

/// Why alerting could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// The store refused.
    #[error("alert store: {0}")]
    Store(#[from] rusqlite::Error),
    /// The store's server cannot be reached, or went away in the middle. Nothing is lost by that: what was not stored is asked again.
    #[error(
        "alert store {store} cannot be reached: {what}; alerts wait in the journal and the spools until it is back"
    )]
    StoreLost {
        /// Its address, without a password.
        store: String,
        /// The cause.
        what: String,
    },
    /// The store's server refused.
    #[error("alert store {store} refused: {what}")]
    StoreRefused {
        /// Its address, without a password.
        store: String,
        /// The cause.
        what: String,
    },
    /// The store was written by a newer version.
    #[error("alert store has schema {found}, this version knows up to {known}; use a newer assay")]
    NewerSchema {
        /// In the file.
        found: i64,
        /// Known here.
        known: i64,
    },
    /// A row holds what no version writes.
    #[error("alert store: {0}; the database was changed by hand")]
    BadRow(String),
    /// A file could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A spool could not be written or read.
    #[error(transparent)]
    File(#[from] journal::file::FileError),
    /// A metric is not in the catalogue: a bug.
    #[error(transparent)]
    Metric(#[from] exposition::RegistryError),
    /// Configuration that cannot work.
    #[error("alert configuration: {0}")]
    Config(String),
}

impl AlertError {
    /// True when the store is away or refuses, false when something else is wrong.
    pub const fn is_store(&self) -> bool {
        matches!(
            self,
            Self::Store(_)
                | Self::StoreLost { .. }
                | Self::StoreRefused { .. }
                | Self::NewerSchema { .. }
                | Self::BadRow(_)
        )
    }

    /// True when the store may be back later: then the same is asked again.
    pub const fn is_store_lost(&self) -> bool {
        matches!(self, Self::StoreLost { .. })
    }
}
