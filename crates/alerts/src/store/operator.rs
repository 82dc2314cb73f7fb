//! What an operator and the batches need of the embedded store: dead letters replayed and discarded with an audit row in the same
//! transaction, and waiting batches made due.

use market::Timestamp;
use rusqlite::params;

use super::{DELIVERY_COLUMNS, Store, collect, delivery_row};
use crate::dlq::{Act, AuditRecord};
use crate::model::{AlertError, AlertRecord, DeliveryRecord, Status};

/// The second migration: who did what to which dead letter, when and why. Rows are added, never changed.
pub(super) const AUDIT: &str = "
CREATE TABLE alert_audit(
  audit_id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,
  action TEXT NOT NULL CHECK(action IN ('replay','discard')), delivery_id INTEGER NOT NULL, alert_id TEXT NOT NULL,
  run_id TEXT NOT NULL, notifier TEXT NOT NULL, attempt INTEGER NOT NULL, last_error TEXT);
";

impl Store {
    /// One delivery with its alert.
    pub(crate) fn delivery(&self, id: i64) -> Result<Option<(DeliveryRecord, AlertRecord)>, AlertError> {
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE delivery_id = ?1");
        let Some(delivery) = collect(&self.db, &sql, params![id], delivery_row)?.pop() else {
            return Ok(None);
        };
        let (alerts, _) = self.rows(&delivery.run_id, Some(&delivery.phase))?;
        let alert = alerts.into_iter().find(|a| a.alert_id == delivery.alert_id);
        let alert = alert.ok_or_else(|| AlertError::BadRow(format!("delivery {id} has no alert")))?;
        Ok(Some((delivery, alert)))
    }

    /// Takes a dead letter out of the dead letters and says who did it: to be sent anew from its first attempt, or cancelled.
    /// False when it is none (any more): then nothing is written.
    pub(crate) fn settle_dead(
        &mut self,
        id: i64,
        act: Act,
        who: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<bool, AlertError> {
        let tx = self.begin()?;
        let audited = tx.execute(
            "INSERT INTO alert_audit(at, who, why, action, delivery_id, alert_id, run_id, notifier, attempt, last_error)
             SELECT ?2, ?3, ?4, ?5, delivery_id, alert_id, run_id, notifier, attempt, last_error
             FROM alert_deliveries WHERE delivery_id = ?1 AND status = 'DLQ'",
            params![id, now.0, who, why, act.as_str()],
        )?;
        if audited == 1 {
            let sql = match act {
                Act::Replay => {
                    "UPDATE alert_deliveries SET status = 'PENDING', attempt = 0, next_attempt_at = ?2, lease_until = NULL,
                       settled_at = NULL WHERE delivery_id = ?1"
                }
                Act::Discard => {
                    "UPDATE alert_deliveries SET status = 'CANCELLED', settled_at = ?2 WHERE delivery_id = ?1"
                }
            };
            tx.execute(sql, params![id, now.0])?;
        }
        tx.commit()?;
        Ok(audited == 1)
    }

    /// The audit, oldest first, of all runs or of one.
    pub(crate) fn audit(&self, run_id: Option<&str>) -> Result<Vec<AuditRecord>, AlertError> {
        let sql = "SELECT at, who, why, action, delivery_id, alert_id, run_id, notifier, attempt, last_error FROM alert_audit
                   WHERE ?1 IS NULL OR run_id = ?1 ORDER BY audit_id";
        collect(&self.db, sql, params![run_id], |r| {
            Ok(AuditRecord {
                at: Timestamp(r.get(0)?),
                who: r.get(1)?,
                why: r.get(2)?,
                action: r.get(3)?,
                delivery_id: r.get(4)?,
                alert_id: r.get(5)?,
                run_id: r.get(6)?,
                notifier: r.get(7)?,
                attempt: r.get(8)?,
                last_error: r.get(9)?,
            })
        })
    }

    /// Makes due what waits for its batch: rows that nobody has tried, later than now. How many there were.
    pub(crate) fn flush_waiting(
        &mut self,
        run_id: &str,
        phase: &str,
        now: Timestamp,
    ) -> Result<usize, AlertError> {
        let sql = "UPDATE alert_deliveries SET next_attempt_at = ?3
                   WHERE status = 'PENDING' AND run_id = ?1 AND phase = ?2 AND next_attempt_at > ?3";
        Ok(self.db.execute(sql, params![run_id, phase, now.0])?)
    }

    /// True when a delivery is settled, whatever became of it.
    pub(crate) fn status(&self, id: i64) -> Result<Option<Status>, AlertError> {
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE delivery_id = ?1");
        Ok(collect(&self.db, &sql, params![id], delivery_row)?.pop().map(|d| d.status))
    }

    /// How the last delivery of the chain behind one stands; `None` when nobody took over.
    pub(crate) fn successor(&self, id: i64) -> Result<Option<Status>, AlertError> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE alert_id =
               (SELECT alert_id FROM alert_deliveries WHERE delivery_id = ?1) AND fallback_of IS NOT NULL
             ORDER BY delivery_id DESC LIMIT 1"
        );
        Ok(collect(&self.db, &sql, params![id], delivery_row)?.pop().map(|d| d.status))
    }
}
