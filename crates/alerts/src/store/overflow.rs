//! What the coalescing of an overflow needs of a store: what was counted instead of delivered, and the summary that tells of it.

use market::Timestamp;

use super::{Plan, Taken};
use crate::model::{Alert, AlertError, AlertRecord};

/// Alerts of one rule and key that were counted instead of delivered, and of which nobody has been told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overflow {
    /// The last of them.
    pub last: AlertRecord,
    /// How many.
    pub alerts: u64,
    /// When the first of them was taken in.
    pub since: Timestamp,
    /// How many delivered ones of the rule and key still wait, counted up to the limit.
    pub open: u64,
}

/// The part of an [`AlertStore`](super::AlertStore) that coalesces. Each method is one transaction and fails with [`AlertError`].
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
pub trait OverflowStore {
    /// What of a run's phase was counted and not told.
    fn overflows(&self, run_id: &str, phase: &str, limit: u32) -> Result<Vec<Overflow>, AlertError>;

    /// Stores the summary of an overflow with its deliveries, and takes the overflow away. `None` when it is not (any more) as it was
    /// read: then nothing is written.
    fn sum_up(
        &self,
        overflow: &Overflow,
        summary: &Alert,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<Option<Taken>, AlertError>;
}
