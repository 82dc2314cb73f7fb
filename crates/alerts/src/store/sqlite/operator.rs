//! The operator's part of the embedded store.

use market::Timestamp;
use rusqlite::params;

use super::{DELIVERY_COLUMNS, Sqlite, collect, delivery_row};
use crate::dlq::{Act, AuditRecord};
use crate::model::{AlertError, AlertRecord, DeliveryRecord, Status};
use crate::store::{AlertStore as _, OperatorStore};

impl OperatorStore for Sqlite {
    fn delivery(&self, id: i64) -> Result<Option<(DeliveryRecord, AlertRecord)>, AlertError> {
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE delivery_id = ?1");
        let Some(delivery) = collect(&self.db, &sql, params![id], delivery_row)?.pop() else {
            return Ok(None);
        };
        let (alerts, _) = self.rows(&delivery.run_id, Some(&delivery.phase))?;
        let alert = alerts.into_iter().find(|a| a.alert_id == delivery.alert_id);
        let alert = alert.ok_or_else(|| AlertError::BadRow(format!("delivery {id} has no alert")))?;
        Ok(Some((delivery, alert)))
    }

    fn settle_dead(
        &self,
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

    fn audit(&self, run_id: Option<&str>) -> Result<Vec<AuditRecord>, AlertError> {
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

    fn flush_waiting(&self, run_id: &str, phase: &str, now: Timestamp) -> Result<usize, AlertError> {
        let sql = "UPDATE alert_deliveries SET next_attempt_at = ?3
                   WHERE status = 'PENDING' AND run_id = ?1 AND phase = ?2 AND next_attempt_at > ?3";
        Ok(self.db.execute(sql, params![run_id, phase, now.0])?)
    }

    fn status(&self, id: i64) -> Result<Option<Status>, AlertError> {
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE delivery_id = ?1");
        Ok(collect(&self.db, &sql, params![id], delivery_row)?.pop().map(|d| d.status))
    }

    fn successor(&self, id: i64) -> Result<Option<Status>, AlertError> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE alert_id =
               (SELECT alert_id FROM alert_deliveries WHERE delivery_id = ?1) AND fallback_of IS NOT NULL
             ORDER BY delivery_id DESC LIMIT 1"
        );
        Ok(collect(&self.db, &sql, params![id], delivery_row)?.pop().map(|d| d.status))
    }
}
