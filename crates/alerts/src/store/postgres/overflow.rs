//! The coalescing of an overflow, on PostgreSQL.

use std::borrow::Cow;
use std::collections::BTreeMap;

use market::Timestamp;

use super::link::{LONG, SHORT};
use super::{ALERT_WIDTH, Postgres, alert_row, clean, count, disposition};
use crate::model::{Alert, AlertError};
use crate::store::{Overflow, OverflowStore, Plan, Taken};

const OVERFLOWS: &str = concat!(
    "SELECT ",
    alert_columns!(),
    ", o.alerts, o.since, (SELECT COUNT(*) FROM (
      SELECT n.alert_id FROM alerts n WHERE n.run_id = o.run_id AND n.phase = o.phase AND n.rule_id = o.rule_id
        AND md5(n.aggregation_key) = md5(o.aggregation_key) AND n.disposition = 'deliver'
      ORDER BY n.raised_at DESC LIMIT $3) newest WHERE EXISTS(
        SELECT 1 FROM alert_deliveries d WHERE d.alert_id = newest.alert_id AND d.status IN ('PENDING','SENDING','RETRY')))
    FROM alert_overflow o JOIN alerts a ON a.alert_id = o.last_alert_id WHERE o.run_id = $1 AND o.phase = $2
    ORDER BY o.since, o.last_alert_id"
);

/// The overflow goes only as it was read, and the summary comes only when it goes.
const SUM_UP: &str = "
WITH known AS (SELECT disposition FROM alerts WHERE alert_id = $1),
gone AS (
  DELETE FROM alert_overflow WHERE run_id = $2 AND phase = $3 AND rule_id = $4 AND last_alert_id = $5 AND alerts = $6 AND since = $7
  RETURNING 1),
new AS (
  INSERT INTO alerts(alert_id, run_id, phase, rule_id, severity, source, title, message, labels, aggregation_key, raised_at, disposition)
  SELECT $1, $2, $3, $4, $8, $9, $10, $11, $12::text::jsonb, $13, $14,
    CASE WHEN cardinality($15::text[]) = 0 THEN 'store_only' ELSE 'deliver' END
  FROM gone WHERE NOT EXISTS(SELECT 1 FROM known)
  RETURNING disposition),
deliveries AS (
  INSERT INTO alert_deliveries(alert_id, run_id, phase, notifier, status, attempt, next_attempt_at, created_at)
  SELECT $1, $2, $3, n.notifier, 'PENDING', 0, $16, $17
  FROM new, unnest($15::text[]) WITH ORDINALITY AS n(notifier, place) ORDER BY n.place)
SELECT disposition, true FROM new UNION ALL SELECT disposition, false FROM known";

impl OverflowStore for Postgres {
    fn overflows(&self, run_id: &str, phase: &str, limit: u32) -> Result<Vec<Overflow>, AlertError> {
        let limit = i64::from(limit);
        let rows = self
            .link
            .with(LONG, async |session| session.query(OVERFLOWS, &[&run_id, &phase, &limit]).await)?;
        let overflow = |row: &tokio_postgres::Row| {
            Ok(Overflow {
                last: alert_row(row)?,
                alerts: count(row, ALERT_WIDTH),
                since: Timestamp(row.get(ALERT_WIDTH + 1)),
                open: count(row, ALERT_WIDTH + 2),
            })
        };
        rows.iter().map(overflow).collect()
    }

    fn sum_up(
        &self,
        overflow: &Overflow,
        summary: &Alert,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<Option<Taken>, AlertError> {
        let labels: BTreeMap<Cow<'_, str>, Cow<'_, str>> =
            summary.labels.iter().map(|(k, v)| (clean(k), clean(v))).collect();
        let labels = serde_json::to_string(&labels).map_err(|e| AlertError::BadRow(e.to_string()))?;
        let (alert_id, title) = (clean(&summary.alert_id), clean(&summary.title));
        let (message, key) = (clean(&summary.message), clean(&summary.key));
        let (alerts, due) = (overflow.alerts.cast_signed(), plan.due.max(now).0);
        let rows = self.link.with(SHORT, async |session| {
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 17] = [
                &alert_id,
                &summary.run_id,
                &summary.phase,
                &overflow.last.rule_id,
                &overflow.last.alert_id,
                &alerts,
                &overflow.since.0,
                &summary.severity.as_str(),
                &summary.source,
                &title,
                &message,
                &labels,
                &key,
                &summary.raised_at.0,
                &plan.notifiers,
                &due,
                &now.0,
            ];
            let done = session.query(SUM_UP, &parameters).await?;
            if !done.is_empty() {
                return Ok(done);
            }
            // A first attempt may have been committed while this one waited for the row.
            session.query(SUM_UP, &parameters).await
        })?;
        let Some(row) = rows.first() else { return Ok(None) };
        let disposition = disposition(row.get(0))?;
        Ok(Some(if row.get(1) { Taken::New(disposition) } else { Taken::Known(disposition) }))
    }
}
