//! What dispatchers share, on PostgreSQL.

use std::time::Duration;

use market::Timestamp;

use super::link::{LONG, SHORT};
use super::{ALERT_WIDTH, Postgres, alert_row, clean, count, delivery_row};
use crate::model::AlertError;
use crate::store::{Claim, SharedStore, orphaned};

const BEAT: &str = "INSERT INTO alert_dispatchers(run_id, phase, seen_at) VALUES($1, $2, $3)
  ON CONFLICT(run_id, phase) DO UPDATE SET seen_at = excluded.seen_at";

/// `$1` run, `$2` phase, `$3` the time of orphans, `$4` the lease's end, `$5` notifiers.
macro_rules! orphans {
    ($when:literal, $order:literal) => {
        concat!(
            "SELECT delivery_id FROM (SELECT o.delivery_id FROM alert_deliveries o WHERE ", $when,
            " AND o.notifier = ANY($5) AND NOT (o.run_id = $1 AND o.phase = $2) AND NOT EXISTS(
                SELECT 1 FROM alert_dispatchers s WHERE s.run_id = o.run_id AND s.phase = o.phase AND s.seen_at > $3) ORDER BY ",
            $order, ", o.delivery_id LIMIT 1 FOR UPDATE OF o SKIP LOCKED) one"
        )
    };
}

const ADOPT: &str = concat!(
    "WITH due AS (SELECT delivery_id FROM (",
    orphans!("o.status = 'SENDING' AND o.lease_until <= $3", "o.lease_until"),
    " UNION ALL ",
    orphans!("o.status IN ('PENDING','RETRY') AND o.next_attempt_at <= $3", "o.next_attempt_at"),
    ") parts LIMIT 1)
    UPDATE alert_deliveries d SET status = 'SENDING', attempt = d.attempt + 1, lease_until = $4
    FROM due, alerts a WHERE d.delivery_id = due.delivery_id AND a.alert_id = d.alert_id
    RETURNING ",
    alert_columns!(),
    ", ",
    delivery_columns!()
);

const PUT_BACK: &str =
    "UPDATE alert_deliveries SET status = CASE WHEN attempt > 1 THEN 'RETRY' ELSE 'PENDING' END,
    attempt = attempt - 1, lease_until = NULL, next_attempt_at = $4, last_error = COALESCE($5, last_error)
  WHERE delivery_id = $1 AND status = 'SENDING' AND attempt = $2 AND lease_until = $3";

const FORGET: &str = "
WITH living AS (SELECT run_id FROM alert_dispatchers WHERE seen_at >= $1 UNION ALL SELECT $2),
old AS (
  SELECT alert_id FROM alerts a WHERE a.raised_at < $1 AND a.run_id NOT IN (SELECT run_id FROM living) AND NOT EXISTS(
    SELECT 1 FROM alert_deliveries d WHERE d.alert_id = a.alert_id AND d.status NOT IN ('SENT','FAILED','CANCELLED'))
    AND NOT EXISTS(SELECT 1 FROM alert_overflow o WHERE o.last_alert_id = a.alert_id)),
deliveries AS (DELETE FROM alert_deliveries WHERE alert_id IN (SELECT alert_id FROM old)),
cursors AS (DELETE FROM alert_cursors WHERE moved_at < $1),
silent AS (DELETE FROM alert_dispatchers WHERE seen_at < $1 AND run_id <> $2),
gone AS (DELETE FROM alerts WHERE alert_id IN (SELECT alert_id FROM old) RETURNING 1)
SELECT COUNT(*) FROM gone";

impl SharedStore for Postgres {
    fn beat(&self, run_id: &str, phase: &str, now: Timestamp) -> Result<(), AlertError> {
        self.link.with(SHORT, async |session| session.query(BEAT, &[&run_id, &phase, &now.0]).await.map(drop))
    }

    fn adopt(
        &self,
        run_id: &str,
        phase: &str,
        now: Timestamp,
        lease: Duration,
        notifiers: &[String],
    ) -> Result<Option<Claim>, AlertError> {
        let (orphaned, until) = (orphaned(now), now.plus(lease).0);
        let rows = self.link.with(SHORT, async |session| {
            session.query(ADOPT, &[&run_id, &phase, &orphaned, &until, &notifiers]).await
        })?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Claim { alert: alert_row(row)?, delivery: delivery_row(row, ALERT_WIDTH)? }))
    }

    fn put_back(&self, claim: &Claim, error: Option<&str>, at: Timestamp) -> Result<(), AlertError> {
        let d = &claim.delivery;
        let (attempt, lease) = (i64::from(d.attempt), d.lease_until.map(|until| until.0));
        let error = error.map(clean);
        self.link.with(SHORT, async |session| {
            session.query(PUT_BACK, &[&d.delivery_id, &attempt, &lease, &at.0, &error]).await.map(drop)
        })
    }

    fn forget(&self, before: Timestamp, keep_run: &str) -> Result<u64, AlertError> {
        let rows =
            self.link.with(LONG, async |session| session.query(FORGET, &[&before.0, &keep_run]).await)?;
        Ok(rows.first().map_or(0, |row| count(row, 0)))
    }
}
