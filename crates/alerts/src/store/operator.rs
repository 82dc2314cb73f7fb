//! What an operator and the batches need of a store: dead letters replayed and discarded with an audit row in the same transaction,
//! and waiting batches made due.

use market::Timestamp;

use crate::dlq::{Act, AuditRecord};
use crate::model::{AlertError, AlertRecord, DeliveryRecord, Status};

/// The part of an [`AlertStore`](super::AlertStore) that an operator works with. Each method is one transaction and fails with
/// [`AlertError`].
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
pub trait OperatorStore {
    /// One delivery with its alert.
    fn delivery(&self, id: i64) -> Result<Option<(DeliveryRecord, AlertRecord)>, AlertError>;

    /// Takes a dead letter out of the dead letters and says who did it: to be sent anew from its first attempt, or cancelled.
    /// False when it is none (any more): then nothing is written.
    fn settle_dead(
        &self,
        id: i64,
        act: Act,
        who: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<bool, AlertError>;

    /// The audit, oldest first, of all runs or of one.
    fn audit(&self, run_id: Option<&str>) -> Result<Vec<AuditRecord>, AlertError>;

    /// Makes due what waits for its batch: rows that nobody has tried, later than now. How many there were.
    fn flush_waiting(&self, run_id: &str, phase: &str, now: Timestamp) -> Result<usize, AlertError>;

    /// Where a delivery stands.
    fn status(&self, id: i64) -> Result<Option<Status>, AlertError>;

    /// How the last delivery of the chain behind one stands; `None` when nobody took over.
    fn successor(&self, id: i64) -> Result<Option<Status>, AlertError>;
}
