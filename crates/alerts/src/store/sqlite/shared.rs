//! What dispatchers share, in the embedded store.

use std::time::Duration;

use market::Timestamp;
use rusqlite::params;

use super::{DELIVERY_COLUMNS, Sqlite, lease as lease_of};
use crate::model::AlertError;
use crate::store::{Claim, SharedStore, orphaned};

impl SharedStore for Sqlite {
    fn beat(&self, run_id: &str, phase: &str, now: Timestamp) -> Result<(), AlertError> {
        self.db.execute(
            "INSERT INTO alert_dispatchers(run_id, phase, seen_at) VALUES(?1, ?2, ?3)
             ON CONFLICT(run_id, phase) DO UPDATE SET seen_at = excluded.seen_at",
            params![run_id, phase, now.0],
        )?;
        Ok(())
    }

    fn adopt(
        &self,
        run_id: &str,
        phase: &str,
        now: Timestamp,
        lease: Duration,
        notifiers: &[String],
    ) -> Result<Option<Claim>, AlertError> {
        let part = |when: &str, order: &str| {
            format!(
                "SELECT * FROM (SELECT {DELIVERY_COLUMNS} FROM alert_deliveries o WHERE {when}
                   AND o.notifier IN (SELECT value FROM json_each(?4)) AND NOT (o.run_id = ?1 AND o.phase = ?2)
                   AND NOT EXISTS(SELECT 1 FROM alert_dispatchers s
                     WHERE s.run_id = o.run_id AND s.phase = o.phase AND s.seen_at > ?3)
                   ORDER BY {order}, delivery_id LIMIT 1)"
            )
        };
        let parts = [
            part("o.status = 'SENDING' AND o.lease_until <= ?3", "o.lease_until"),
            part("o.status IN ('PENDING','RETRY') AND o.next_attempt_at <= ?3", "o.next_attempt_at"),
        ];
        let sql = format!("{} LIMIT 1", parts.join(" UNION ALL "));
        let names = serde_json::to_string(notifiers).map_err(|e| AlertError::BadRow(e.to_string()))?;
        self.take(&sql, params![run_id, phase, orphaned(now), names], now.plus(lease))
    }

    fn put_back(&self, claim: &Claim, error: Option<&str>, at: Timestamp) -> Result<(), AlertError> {
        let d = &claim.delivery;
        self.db.execute(
            "UPDATE alert_deliveries SET status = CASE WHEN attempt > 1 THEN 'RETRY' ELSE 'PENDING' END, attempt = attempt - 1,
               lease_until = NULL, next_attempt_at = ?4, last_error = COALESCE(?5, last_error)
             WHERE delivery_id = ?1 AND status = 'SENDING' AND attempt = ?2 AND lease_until = ?3",
            params![d.delivery_id, d.attempt, lease_of(claim), at.0, error],
        )?;
        Ok(())
    }

    fn forget(&self, before: Timestamp, keep_run: &str) -> Result<u64, AlertError> {
        let tx = self.begin()?;
        tx.execute_batch(
            "CREATE TEMP TABLE IF NOT EXISTS old_alerts(alert_id TEXT PRIMARY KEY); DELETE FROM old_alerts;",
        )?;
        tx.execute(
            "INSERT INTO old_alerts SELECT alert_id FROM alerts a WHERE raised_at < ?1 AND run_id <> ?2
               AND run_id NOT IN (SELECT run_id FROM alert_dispatchers WHERE seen_at >= ?1)
               AND NOT EXISTS(
                 SELECT 1 FROM alert_deliveries d WHERE d.alert_id = a.alert_id AND status NOT IN ('SENT','FAILED','CANCELLED'))
               AND NOT EXISTS(SELECT 1 FROM alert_overflow o WHERE o.last_alert_id = a.alert_id)",
            params![before.0, keep_run],
        )?;
        tx.execute("DELETE FROM alert_deliveries WHERE alert_id IN (SELECT alert_id FROM old_alerts)", [])?;
        tx.execute("DELETE FROM alert_cursors WHERE moved_at < ?1", [before.0])?;
        tx.execute(
            "DELETE FROM alert_dispatchers WHERE seen_at < ?1 AND run_id <> ?2",
            params![before.0, keep_run],
        )?;
        let gone =
            tx.execute("DELETE FROM alerts WHERE alert_id IN (SELECT alert_id FROM old_alerts)", [])?;
        tx.commit()?;
        Ok(gone as u64)
    }
}
