//! The operator's part of the store on PostgreSQL.

use market::Timestamp;

use super::link::{LONG, SHORT};
use super::{ALERT_WIDTH, Postgres, alert_row, clean, delivery_row};
use crate::dlq::{Act, AuditRecord};
use crate::model::{AlertError, AlertRecord, DeliveryRecord, Status};
use crate::store::OperatorStore;

const DELIVERY: &str = concat!(
    "SELECT ",
    alert_columns!(),
    ", ",
    delivery_columns!(),
    " FROM alert_deliveries d JOIN alerts a USING (alert_id) WHERE d.delivery_id = $1"
);

/// `$6` is the status that the row gets.
const SETTLE_DEAD: &str = "
WITH dead AS (
  SELECT * FROM alert_deliveries WHERE delivery_id = $1 AND status = 'DLQ' FOR UPDATE),
audited AS (
  INSERT INTO alert_audit(at, who, why, action, delivery_id, alert_id, run_id, notifier, attempt, last_error)
  SELECT $2, $3, $4, $5, delivery_id, alert_id, run_id, notifier, attempt, last_error FROM dead)
UPDATE alert_deliveries d SET status = $6,
  attempt = CASE $6 WHEN 'PENDING' THEN 0 ELSE d.attempt END,
  next_attempt_at = CASE $6 WHEN 'PENDING' THEN $2 ELSE d.next_attempt_at END,
  settled_at = CASE $6 WHEN 'PENDING' THEN NULL ELSE $2 END, lease_until = NULL
FROM dead WHERE d.delivery_id = dead.delivery_id RETURNING d.delivery_id";

const AUDIT: &str = "SELECT at, who, why, action, delivery_id, alert_id, run_id, notifier, attempt, last_error FROM alert_audit
  WHERE $1::text IS NULL OR run_id = $1 ORDER BY audit_id";

const FLUSH: &str = "UPDATE alert_deliveries SET next_attempt_at = $3
  WHERE status = 'PENDING' AND run_id = $1 AND phase = $2 AND next_attempt_at > $3 RETURNING 1";

const SUCCESSOR: &str = "SELECT status FROM alert_deliveries WHERE fallback_of IS NOT NULL AND alert_id =
  (SELECT alert_id FROM alert_deliveries WHERE delivery_id = $1) ORDER BY delivery_id DESC LIMIT 1";

impl OperatorStore for Postgres {
    fn delivery(&self, id: i64) -> Result<Option<(DeliveryRecord, AlertRecord)>, AlertError> {
        let rows = self.link.with(SHORT, async |session| session.query(DELIVERY, &[&id]).await)?;
        rows.first().map(|row| Ok((delivery_row(row, ALERT_WIDTH)?, alert_row(row)?))).transpose()
    }

    fn settle_dead(
        &self,
        id: i64,
        act: Act,
        who: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<bool, AlertError> {
        let status = match act {
            Act::Replay => Status::Pending,
            Act::Discard => Status::Cancelled,
        };
        let (who, why) = (clean(who), clean(why));
        let rows = self.link.with(SHORT, async |session| {
            session.query(SETTLE_DEAD, &[&id, &now.0, &who, &why, &act.as_str(), &status.as_str()]).await
        })?;
        Ok(!rows.is_empty())
    }

    fn audit(&self, run_id: Option<&str>) -> Result<Vec<AuditRecord>, AlertError> {
        let rows = self.link.with(LONG, async |session| session.query(AUDIT, &[&run_id]).await)?;
        let record = |r: &tokio_postgres::Row| {
            Ok(AuditRecord {
                at: Timestamp(r.get(0)),
                who: r.get(1),
                why: r.get(2),
                action: r.get(3),
                delivery_id: r.get(4),
                alert_id: r.get(5),
                run_id: r.get(6),
                notifier: r.get(7),
                attempt: u32::try_from(r.get::<_, i64>(8))
                    .map_err(|_| AlertError::BadRow("attempts out of range".to_owned()))?,
                last_error: r.get(9),
            })
        };
        rows.iter().map(record).collect()
    }

    fn flush_waiting(&self, run_id: &str, phase: &str, now: Timestamp) -> Result<usize, AlertError> {
        let rows =
            self.link.with(SHORT, async |session| session.query(FLUSH, &[&run_id, &phase, &now.0]).await)?;
        Ok(rows.len())
    }

    fn status(&self, id: i64) -> Result<Option<Status>, AlertError> {
        Ok(self.delivery(id)?.map(|(delivery, _)| delivery.status))
    }

    fn successor(&self, id: i64) -> Result<Option<Status>, AlertError> {
        let rows = self.link.with(SHORT, async |session| session.query(SUCCESSOR, &[&id]).await)?;
        Ok(rows.first().and_then(|row| Status::parse(row.get(0))))
    }
}
