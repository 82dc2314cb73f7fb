//! The coalescing of an overflow, in the embedded store.

use market::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::{Sqlite, alert_row, collect, count, disposition, insert_alert, insert_delivery};
use crate::model::{Alert, AlertError, Disposition};
use crate::store::{Overflow, OverflowStore, Plan, Taken};

/// How many of the newest delivered alerts of a rule and key, up to a limit, still wait.
const WAITING: &str = "SELECT COUNT(*) FROM (
    SELECT alert_id FROM alerts WHERE run_id = ?1 AND phase = ?2 AND rule_id = ?3 AND aggregation_key = ?4
      AND disposition = 'deliver' ORDER BY raised_at DESC LIMIT ?5) newest
  WHERE EXISTS(SELECT 1 FROM alert_deliveries d WHERE d.alert_id = newest.alert_id AND +d.status IN ('PENDING','SENDING','RETRY'))";

pub(super) fn waiting(db: &Connection, alert: &Alert, limit: u32) -> Result<u32, AlertError> {
    let parameters = params![alert.run_id, alert.phase, alert.rule_id, alert.key, limit];
    Ok(db.prepare_cached(WAITING)?.query_row(parameters, |r| r.get(0))?)
}

/// Counts an alert instead of delivering it.
pub(super) fn count_in(tx: &Transaction<'_>, alert: &Alert, now: Timestamp) -> Result<(), AlertError> {
    tx.execute(
        "INSERT INTO alert_overflow(run_id, phase, rule_id, aggregation_key, alerts, since, last_alert_id) VALUES(?1,?2,?3,?4,1,?5,?6)
         ON CONFLICT(run_id, phase, rule_id, aggregation_key)
         DO UPDATE SET alerts = alerts + 1, last_alert_id = excluded.last_alert_id",
        params![alert.run_id, alert.phase, alert.rule_id, alert.key, now.0, alert.alert_id],
    )?;
    Ok(())
}

impl OverflowStore for Sqlite {
    fn overflows(&self, run_id: &str, phase: &str, limit: u32) -> Result<Vec<Overflow>, AlertError> {
        let sql = "SELECT a.alert_id, a.run_id, a.phase, a.rule_id, a.severity, a.source, a.title, a.message, a.labels,
                     a.aggregation_key, a.raised_at, a.disposition, o.alerts, o.since
                   FROM alert_overflow o JOIN alerts a ON a.alert_id = o.last_alert_id WHERE o.run_id = ?1 AND o.phase = ?2
                   ORDER BY o.since, o.last_alert_id";
        let read = |r: &Row<'_>| {
            Ok(Overflow { last: alert_row(r)?, alerts: count(r, 12)?, since: Timestamp(r.get(13)?), open: 0 })
        };
        let mut found = collect(&self.db, sql, params![run_id, phase], read)?;
        for overflow in &mut found {
            let key = &overflow.last.aggregation_key;
            let parameters = params![run_id, phase, overflow.last.rule_id, key, limit];
            overflow.open = self.db.prepare_cached(WAITING)?.query_row(parameters, |r| count(r, 0))?;
        }
        Ok(found)
    }

    fn sum_up(
        &self,
        overflow: &Overflow,
        summary: &Alert,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<Option<Taken>, AlertError> {
        let tx = self.begin()?;
        let known: Option<String> = tx
            .query_row("SELECT disposition FROM alerts WHERE alert_id = ?1", [&summary.alert_id], |r| {
                r.get(0)
            })
            .optional()?;
        if let Some(known) = known {
            return Ok(Some(Taken::Known(disposition(&known)?)));
        }
        let last = &overflow.last;
        let gone = tx.execute(
            "DELETE FROM alert_overflow WHERE run_id = ?1 AND phase = ?2 AND rule_id = ?3 AND aggregation_key = ?4
               AND last_alert_id = ?5 AND alerts = ?6 AND since = ?7",
            params![
                last.run_id,
                last.phase,
                last.rule_id,
                last.aggregation_key,
                last.alert_id,
                overflow.alerts.cast_signed(),
                overflow.since.0
            ],
        )?;
        if gone == 0 {
            return Ok(None);
        }
        let disposition =
            if plan.notifiers.is_empty() { Disposition::StoreOnly } else { Disposition::Deliver };
        insert_alert(&tx, summary, disposition)?;
        for notifier in &plan.notifiers {
            let of = (summary.alert_id.as_str(), summary.run_id.as_str(), summary.phase.as_str());
            insert_delivery(&tx, of, notifier, None, (now, plan.due.max(now)))?;
        }
        tx.commit()?;
        Ok(Some(Taken::New(disposition)))
    }
}
