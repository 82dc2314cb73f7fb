//! The store on PostgreSQL. Every change is one statement, so one transaction and one round trip. The connection lives in `link`,
//! the address in `address`, TLS in `tls`.

mod address;
mod link;
mod tls;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use market::Timestamp;
use tokio_postgres::Row;

use super::{AlertStore, Claim, Lane, Open, Plan, Taken, nanos};
use crate::model::{Alert, AlertError, AlertRecord, Conservation, DeliveryRecord, Disposition, Status};
pub use address::PostgresConfig;
use link::{LONG, Link, SHORT};

/// The columns of an alert `a`, then those of a delivery `d`.
macro_rules! alert_columns {
    () => {
        "a.alert_id, a.run_id, a.phase, a.rule_id, a.severity, a.source, a.title, a.message, a.labels::text, \
         a.aggregation_key, a.raised_at, a.disposition"
    };
}
macro_rules! delivery_columns {
    () => {
        "d.delivery_id, d.alert_id, d.run_id, d.phase, d.notifier, d.status, d.attempt, d.next_attempt_at, d.lease_until, \
         d.last_error, d.latency_ms, d.created_at, d.settled_at, d.fallback_of"
    };
}
mod operator;
mod overflow;
mod shared;

/// How many columns of an alert stand before those of a delivery.
const ALERT_WIDTH: usize = 12;

/// What is due, the longest due first: `$1` run, `$2` phase, `$3` now, `$4` the lease's end, `$5` the only notifier, `$6` those left out.
/// Each part reads the first row of an index that nobody else has locked; the first part that has one ends the search.
macro_rules! due {
    ($when:literal, $order:literal) => {
        concat!(
            "SELECT delivery_id FROM (SELECT delivery_id FROM alert_deliveries WHERE ", $when,
            " AND ($5::text IS NULL OR notifier = $5) AND ($6::text[] IS NULL OR notifier <> ALL($6)) ORDER BY ", $order,
            ", delivery_id LIMIT 1 FOR UPDATE SKIP LOCKED) one"
        )
    };
}

const CLAIM: &str = concat!(
    "WITH due AS (SELECT delivery_id FROM (",
    due!("status = 'SENDING' AND lease_until <= $3 AND run_id = $1 AND phase = $2", "lease_until"),
    " UNION ALL ",
    due!(
        "status IN ('PENDING','RETRY') AND run_id = $1 AND phase = $2 AND next_attempt_at <= $3",
        "next_attempt_at"
    ),
    ") parts LIMIT 1)
    UPDATE alert_deliveries d SET status = 'SENDING', attempt = d.attempt + 1, lease_until = $4
    FROM due, alerts a WHERE d.delivery_id = due.delivery_id AND a.alert_id = d.alert_id
    RETURNING ",
    alert_columns!(),
    ", ",
    delivery_columns!()
);

/// One statement sees the tables as they were before it: `known` is what was there before. No row at all comes back when another
/// transaction stored the alert meanwhile; the statement, asked again, sees it.
const TAKE_IN: &str = "
WITH known AS (
  SELECT disposition, raised_at = $14::bigint AND rule_id = $7::text AND aggregation_key = $13::text AS same FROM alerts
  WHERE alert_id = $4),
new AS (
  INSERT INTO alerts(alert_id, run_id, phase, rule_id, severity, source, title, message, labels, aggregation_key, raised_at, disposition)
  SELECT $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb, $13, $14, CASE
    WHEN $15::bigint > 0 AND EXISTS(
      SELECT 1 FROM alerts WHERE run_id = $5 AND phase = $6 AND rule_id = $7 AND md5(aggregation_key) = md5($13)
        AND aggregation_key = $13 AND raised_at > $14 - $15 AND raised_at <= $14 AND disposition <> 'throttled') THEN 'throttled'
    WHEN cardinality($16::text[]) = 0 THEN 'store_only'
    WHEN $18::bigint > 0 AND $18 <= (SELECT COUNT(*) FROM (
      SELECT alert_id FROM alerts WHERE run_id = $5 AND phase = $6 AND rule_id = $7 AND md5(aggregation_key) = md5($13)
        AND disposition = 'deliver' ORDER BY raised_at DESC LIMIT $18) newest WHERE EXISTS(
          SELECT 1 FROM alert_deliveries d WHERE d.alert_id = newest.alert_id AND d.status IN ('PENDING','SENDING','RETRY')))
      THEN 'aggregated'
    ELSE 'deliver' END
  WHERE NOT EXISTS(SELECT 1 FROM known)
  ON CONFLICT(alert_id) DO NOTHING
  RETURNING disposition),
deliveries AS (
  INSERT INTO alert_deliveries(alert_id, run_id, phase, notifier, status, attempt, next_attempt_at, created_at)
  SELECT $4, $5, $6, n.notifier, 'PENDING', 0, $17, $3
  FROM new, unnest($16::text[]) WITH ORDINALITY AS n(notifier, place) WHERE new.disposition = 'deliver' ORDER BY n.place),
counted AS (
  INSERT INTO alert_overflow(run_id, phase, rule_id, aggregation_key, alerts, since, last_alert_id)
  SELECT $5, $6, $7, $13, 1, $3, $4 FROM new WHERE new.disposition = 'aggregated'
  ON CONFLICT(run_id, phase, rule_id, md5(aggregation_key))
  DO UPDATE SET alerts = alert_overflow.alerts + 1, last_alert_id = excluded.last_alert_id),
moved AS (
  INSERT INTO alert_cursors(source, position, moved_at) SELECT $1::text, $2::bigint, $3::bigint
  WHERE EXISTS(SELECT 1 FROM new) OR EXISTS(SELECT 1 FROM known WHERE same)
  ON CONFLICT(source) DO UPDATE SET position = excluded.position, moved_at = excluded.moved_at)
SELECT disposition, true, true FROM new UNION ALL SELECT disposition, false, same FROM known";

/// A claim is told by its attempt and the end of its lease: one that was put back leaves the number of its attempt to the next.
const SETTLE: &str = "
WITH done AS (
  UPDATE alert_deliveries SET status = $4, lease_until = NULL, last_error = COALESCE($5, last_error),
    latency_ms = COALESCE($6, latency_ms), next_attempt_at = COALESCE($7, next_attempt_at), settled_at = COALESCE($8, settled_at)
  WHERE delivery_id = $1 AND status = 'SENDING' AND attempt = $2 AND lease_until = $9
  RETURNING delivery_id, alert_id, run_id, phase),
next AS (
  INSERT INTO alert_deliveries(alert_id, run_id, phase, notifier, status, attempt, next_attempt_at, created_at, fallback_of)
  SELECT alert_id, run_id, phase, $3::text, 'PENDING', 0, $8, $8, delivery_id FROM done WHERE $3::text IS NOT NULL)
SELECT true FROM done";

/// A repetition finds the row as its first attempt left it. A statement of its own, so that it sees what was committed while the one
/// before it waited for the row.
const SETTLED: &str =
    "SELECT true FROM alert_deliveries WHERE delivery_id = $1 AND status = $2 AND attempt = $3";

/// The two tables in one statement: one snapshot.
const ROWS: &str = concat!(
    "SELECT a.*, d.* FROM (SELECT ",
    alert_columns!(),
    " FROM alerts a WHERE a.run_id = $1 AND ($2::text IS NULL OR a.phase = $2)) a
     FULL JOIN (SELECT ",
    delivery_columns!(),
    " FROM alert_deliveries d WHERE d.run_id = $1 AND ($2::text IS NULL OR d.phase = $2)) d ON false"
);

const DEAD: &str = concat!(
    "SELECT ",
    delivery_columns!(),
    " FROM alert_deliveries d WHERE d.status = 'DLQ' AND ($1::text IS NULL OR d.run_id = $1)
     ORDER BY d.delivery_id"
);

const CONSERVATION: &str = "
WITH own AS (
  SELECT a.disposition,
    EXISTS(SELECT 1 FROM alert_deliveries d WHERE d.alert_id = a.alert_id AND d.status IN ('PENDING','SENDING','RETRY')) AS is_open,
    EXISTS(SELECT 1 FROM alert_deliveries d WHERE d.alert_id = a.alert_id AND d.status = 'DLQ') AS is_dead,
    EXISTS(SELECT 1 FROM alert_deliveries d WHERE d.alert_id = a.alert_id AND d.status = 'SENT') AS is_sent
  FROM alerts a WHERE a.run_id = $1 AND ($2::text IS NULL OR a.phase = $2))
SELECT COUNT(*),
  COUNT(*) FILTER (WHERE disposition = 'deliver' AND NOT is_open AND NOT is_dead AND is_sent),
  COUNT(*) FILTER (WHERE disposition = 'deliver' AND NOT is_open AND is_dead),
  COUNT(*) FILTER (WHERE disposition = 'throttled'),
  COUNT(*) FILTER (WHERE disposition = 'aggregated'),
  COUNT(*) FILTER (WHERE disposition = 'store_only'),
  COUNT(*) FILTER (WHERE disposition = 'deliver' AND is_open)
FROM own";

/// The store on PostgreSQL.
#[derive(Debug)]
pub(super) struct Postgres {
    link: Link,
}

/// What becomes of a claimed row.
#[derive(Default)]
struct Outcome<'a> {
    next: Option<&'a str>,
    error: Option<&'a str>,
    latency_ms: Option<i64>,
    next_attempt_at: Option<i64>,
    settled_at: Option<i64>,
}

impl Postgres {
    pub(super) fn new(config: &PostgresConfig) -> Result<Self, AlertError> {
        Ok(Self { link: Link::new(config)? })
    }

    fn version(&self) -> Result<String, AlertError> {
        const SQL: &str = "SELECT current_setting('server_version')";
        let rows = self.link.with(SHORT, async |session| session.query(SQL, &[]).await)?;
        let version: &str = rows.first().map_or("", |row| row.get(0));
        // Debian adds its own number.
        Ok(format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default()))
    }

    fn settle(&self, claim: &Claim, status: Status, outcome: &Outcome<'_>) -> Result<bool, AlertError> {
        let (id, attempt) = (claim.delivery.delivery_id, i64::from(claim.delivery.attempt));
        let lease = claim.delivery.lease_until.map(|until| until.0);
        let error = outcome.error.map(clean);
        let found = self.link.with(SHORT, async |session| {
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 9] = [
                &id,
                &attempt,
                &outcome.next,
                &status.as_str(),
                &error,
                &outcome.latency_ms,
                &outcome.next_attempt_at,
                &outcome.settled_at,
                &lease,
            ];
            let done = session.query(SETTLE, &parameters).await?;
            if !done.is_empty() {
                return Ok(done);
            }
            session.query(SETTLED, &[&id, &status.as_str(), &attempt]).await
        })?;
        Ok(!found.is_empty())
    }
}

impl AlertStore for Postgres {
    fn ping(&self) -> Result<(), AlertError> {
        self.link.with(SHORT, async |session| session.query("SELECT 1", &[]).await.map(drop))
    }

    fn rows(
        &self,
        run_id: &str,
        phase: Option<&str>,
    ) -> Result<(Vec<AlertRecord>, Vec<DeliveryRecord>), AlertError> {
        let rows = self.link.with(LONG, async |session| session.query(ROWS, &[&run_id, &phase]).await)?;
        let (mut alerts, mut deliveries) = (Vec::new(), Vec::new());
        for row in &rows {
            if row.get::<_, Option<&str>>(0).is_some() {
                alerts.push(alert_row(row)?);
            } else {
                deliveries.push(delivery_row(row, ALERT_WIDTH)?);
            }
        }
        alerts.sort_by(|a, b| {
            let key = |r: &AlertRecord| (r.raised_at, r.alert_id.chars().count());
            key(a).cmp(&key(b)).then_with(|| a.alert_id.cmp(&b.alert_id))
        });
        deliveries.sort_by_key(|d| d.delivery_id);
        Ok((alerts, deliveries))
    }

    fn dead_letters(&self, run_id: Option<&str>) -> Result<Vec<DeliveryRecord>, AlertError> {
        let rows = self.link.with(LONG, async |session| session.query(DEAD, &[&run_id]).await)?;
        rows.iter().map(|row| delivery_row(row, 0)).collect()
    }

    fn conservation(&self, run_id: &str, phase: Option<&str>) -> Result<Conservation, AlertError> {
        let rows =
            self.link.with(LONG, async |session| session.query(CONSERVATION, &[&run_id, &phase]).await)?;
        let row = rows.first().ok_or_else(|| AlertError::BadRow("a count has no row".to_owned()))?;
        Ok(Conservation {
            raised: count(row, 0),
            delivered: count(row, 1),
            dlq: count(row, 2),
            throttled: count(row, 3),
            aggregated: count(row, 4),
            store_only: count(row, 5),
            pending: count(row, 6),
        })
    }

    fn cursor(&self, source: &str) -> Result<Option<u64>, AlertError> {
        const SQL: &str = "SELECT position FROM alert_cursors WHERE source = $1";
        let rows = self.link.with(SHORT, async |session| session.query(SQL, &[&source]).await)?;
        Ok(rows.first().map(|row| count(row, 0)))
    }

    fn set_cursor(&self, source: &str, position: u64, now: Timestamp) -> Result<(), AlertError> {
        const SQL: &str = "INSERT INTO alert_cursors(source, position, moved_at) VALUES($1, $2, $3)
            ON CONFLICT(source) DO UPDATE SET position = excluded.position, moved_at = excluded.moved_at";
        let position = position.cast_signed();
        self.link
            .with(SHORT, async |session| session.query(SQL, &[&source, &position, &now.0]).await.map(drop))
    }

    fn take_in(
        &self,
        alert: &Alert,
        plan: &Plan,
        cursor: (&str, u64),
        now: Timestamp,
    ) -> Result<Taken, AlertError> {
        let labels: BTreeMap<Cow<'_, str>, Cow<'_, str>> =
            alert.labels.iter().map(|(k, v)| (clean(k), clean(v))).collect();
        let labels = serde_json::to_string(&labels).map_err(|e| AlertError::BadRow(e.to_string()))?;
        let (source, position) = (clean(cursor.0), cursor.1.cast_signed());
        let (alert_id, rule, title) = (clean(&alert.alert_id), clean(&alert.rule_id), clean(&alert.title));
        let (message, key) = (clean(&alert.message), clean(&alert.key));
        let (throttle, due, overflow) = (nanos(plan.throttle), plan.due.max(now).0, i64::from(plan.overflow));
        let rows = self.link.with(SHORT, async |session| {
            let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 18] = [
                &source,
                &position,
                &now.0,
                &alert_id,
                &alert.run_id,
                &alert.phase,
                &rule,
                &alert.severity.as_str(),
                &alert.source,
                &title,
                &message,
                &labels,
                &key,
                &alert.raised_at.0,
                &throttle,
                &plan.notifiers,
                &due,
                &overflow,
            ];
            let taken = session.query(TAKE_IN, &parameters).await?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            session.query(TAKE_IN, &parameters).await
        })?;
        let row =
            rows.first().ok_or_else(|| AlertError::BadRow(format!("alert {alert_id} was not stored")))?;
        let disposition = disposition(row.get(0))?;
        Ok(match (row.get(1), row.get(2)) {
            (true, _) => Taken::New(disposition),
            (false, true) => Taken::Known(disposition),
            (false, false) => Taken::Another,
        })
    }

    fn claim(
        &self,
        run_id: &str,
        phase: &str,
        now: Timestamp,
        lease: Duration,
        lane: Lane<'_>,
    ) -> Result<Option<Claim>, AlertError> {
        let (only, but) = match lane {
            Lane::All => (None, None),
            Lane::Only(notifier) => (Some(notifier), None),
            Lane::AllBut(names) => (None, Some(names)),
        };
        let until = now.plus(lease).0;
        let rows = self.link.with(SHORT, async |session| {
            session.query(CLAIM, &[&run_id, &phase, &now.0, &until, &only, &but]).await
        })?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Claim { alert: alert_row(row)?, delivery: delivery_row(row, ALERT_WIDTH)? }))
    }

    fn sent(&self, claim: &Claim, latency_ms: i64, now: Timestamp) -> Result<bool, AlertError> {
        let outcome = Outcome { latency_ms: Some(latency_ms), settled_at: Some(now.0), ..Outcome::default() };
        self.settle(claim, Status::Sent, &outcome)
    }

    fn retry(&self, claim: &Claim, error: &str, at: Timestamp) -> Result<bool, AlertError> {
        let outcome = Outcome { error: Some(error), next_attempt_at: Some(at.0), ..Outcome::default() };
        self.settle(claim, Status::Retry, &outcome)
    }

    fn give_up(
        &self,
        claim: &Claim,
        error: &str,
        next: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, AlertError> {
        let status = if next.is_some() { Status::Failed } else { Status::Dlq };
        let outcome = Outcome { next, error: Some(error), settled_at: Some(now.0), ..Outcome::default() };
        self.settle(claim, status, &outcome)
    }

    fn has_delivery(&self, alert_id: &str, notifier: &str) -> Result<bool, AlertError> {
        const SQL: &str = "SELECT 1 FROM alert_deliveries WHERE alert_id = $1 AND notifier = $2";
        let rows =
            self.link.with(SHORT, async |session| session.query(SQL, &[&alert_id, &notifier]).await)?;
        Ok(!rows.is_empty())
    }

    fn open_deliveries(&self, run_id: &str, phase: &str) -> Result<Open, AlertError> {
        const SQL: &str =
            "SELECT COUNT(*), MIN(a.raised_at) FROM alert_deliveries d JOIN alerts a USING (alert_id)
            WHERE d.status IN ('PENDING','SENDING','RETRY') AND d.run_id = $1 AND d.phase = $2";
        let rows = self.link.with(SHORT, async |session| session.query(SQL, &[&run_id, &phase]).await)?;
        let row = rows.first().ok_or_else(|| AlertError::BadRow("a count has no row".to_owned()))?;
        Ok(Open { deliveries: count(row, 0), oldest: row.get::<_, Option<i64>>(1).map(Timestamp) })
    }
}

/// PostgreSQL's text cannot hold the character NUL: it becomes the replacement character.
fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// PostgreSQL's integers are signed; these never are.
fn count(row: &Row, index: usize) -> u64 {
    row.get::<_, i64>(index).cast_unsigned()
}

fn disposition(text: &str) -> Result<Disposition, AlertError> {
    Disposition::parse(text).ok_or_else(|| AlertError::BadRow(format!("unknown disposition `{text}`")))
}

fn alert_row(r: &Row) -> Result<AlertRecord, AlertError> {
    Ok(AlertRecord {
        alert_id: r.get(0),
        run_id: r.get(1),
        phase: r.get(2),
        rule_id: r.get(3),
        severity: r.get(4),
        source: r.get(5),
        title: r.get(6),
        message: r.get(7),
        labels: serde_json::from_str(r.get(8)).map_err(|e| AlertError::BadRow(format!("labels: {e}")))?,
        aggregation_key: r.get(9),
        raised_at: Timestamp(r.get(10)),
        disposition: disposition(r.get(11))?,
    })
}

/// A delivery whose columns begin at `i`.
fn delivery_row(r: &Row, i: usize) -> Result<DeliveryRecord, AlertError> {
    let status: &str = r.get(i + 5);
    Ok(DeliveryRecord {
        delivery_id: r.get(i),
        alert_id: r.get(i + 1),
        run_id: r.get(i + 2),
        phase: r.get(i + 3),
        notifier: r.get(i + 4),
        status: Status::parse(status)
            .ok_or_else(|| AlertError::BadRow(format!("unknown status `{status}`")))?,
        attempt: u32::try_from(r.get::<_, i64>(i + 6))
            .map_err(|_| AlertError::BadRow("attempts out of range".to_owned()))?,
        next_attempt_at: Timestamp(r.get(i + 7)),
        lease_until: r.get::<_, Option<i64>>(i + 8).map(Timestamp),
        last_error: r.get(i + 9),
        latency_ms: r.get(i + 10),
        created_at: Timestamp(r.get(i + 11)),
        settled_at: r.get::<_, Option<i64>>(i + 12).map(Timestamp),
        fallback_of: r.get(i + 13),
    })
}
