//! The embedded store: SQLite in WAL mode, mode 0600.

mod operator;
mod overflow;
mod shared;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use market::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use super::{AlertStore, Claim, Lane, Open, Plan, Taken, nanos};
use crate::model::{Alert, AlertError, AlertRecord, Conservation, DeliveryRecord, Disposition, Status};

/// The schema's version (`PRAGMA user_version`) is how many of these have been applied. Never edit one that was released.
const MIGRATIONS: [&str; 4] = [
    include_str!("../../../migrations/sqlite/0001_tables.sql"),
    include_str!("../../../migrations/sqlite/0002_audit.sql"),
    include_str!("../../../migrations/sqlite/0003_claims.sql"),
    include_str!("../../../migrations/sqlite/0004_dispatchers.sql"),
];

/// How long a statement waits for another writer.
const BUSY: Duration = Duration::from_secs(5);

const ALERT_COLUMNS: &str = "alert_id, run_id, phase, rule_id, severity, source, title, message, labels, aggregation_key, raised_at, disposition";
const DELIVERY_COLUMNS: &str = "delivery_id, alert_id, run_id, phase, notifier, status, attempt, next_attempt_at, \
                                lease_until, last_error, latency_ms, created_at, settled_at, fallback_of";

/// The embedded store.
#[derive(Debug)]
pub(super) struct Sqlite {
    db: Connection,
}

impl Sqlite {
    /// Opens the store, creating it (mode 0600) and migrating it where needed.
    ///
    /// # Errors
    /// [`AlertError::Io`], [`AlertError::Store`], [`AlertError::NewerSchema`].
    pub(super) fn open(path: &Path) -> Result<Self, AlertError> {
        // SQLite gives its side files the mode of the database.
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| AlertError::Io { path: path.to_owned(), source })?;
        let mut db = Connection::open(path)?;
        db.busy_timeout(BUSY)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // A loss of power may take the newest transactions back, whole and in order: cursors with their alerts, so that these
        // are read again. Nothing is lost by that.
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        migrate(&mut db)?;
        Ok(Self { db })
    }

    fn begin(&self) -> Result<Transaction<'_>, AlertError> {
        Ok(Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?)
    }

    /// Claims the first row of a query, whose parameters it does not change.
    fn take(
        &self,
        due: &str,
        parameters: &[&dyn rusqlite::ToSql],
        until: Timestamp,
    ) -> Result<Option<Claim>, AlertError> {
        // Mostly nothing is due: then no lock is taken.
        if collect(&self.db, due, parameters, delivery_row)?.is_empty() {
            return Ok(None);
        }
        let tx = self.begin()?;
        let Some(mut delivery) = collect(&tx, due, parameters, delivery_row)?.pop() else {
            return Ok(None);
        };
        delivery.attempt += 1;
        delivery.status = Status::Sending;
        delivery.lease_until = Some(until);
        tx.execute(
            "UPDATE alert_deliveries SET status = 'SENDING', attempt = ?2, lease_until = ?3 WHERE delivery_id = ?1",
            params![delivery.delivery_id, delivery.attempt, until.0],
        )?;
        let sql = format!("SELECT {ALERT_COLUMNS} FROM alerts WHERE alert_id = ?1");
        let alert = collect(&tx, &sql, params![delivery.alert_id], alert_row)?
            .pop()
            .ok_or_else(|| AlertError::BadRow(format!("delivery {} has no alert", delivery.delivery_id)))?;
        tx.commit()?;
        Ok(Some(Claim { delivery, alert }))
    }

    /// An UPDATE of a row that a claim holds. When it had been made already (the first answer was lost), the row stands as it
    /// would: true again. Otherwise the lease was lost: false.
    fn settle(
        &self,
        db: &Connection,
        claim: &Claim,
        status: Status,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Done, AlertError> {
        if db.execute(sql, parameters)? == 1 {
            return Ok(Done::Now);
        }
        let stands: Option<(String, u32)> = db
            .query_row(
                "SELECT status, attempt FROM alert_deliveries WHERE delivery_id = ?1",
                [claim.delivery.delivery_id],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .optional()?;
        let before =
            stands.is_some_and(|(s, attempt)| s == status.as_str() && attempt == claim.delivery.attempt);
        Ok(if before { Done::Before } else { Done::Lost })
    }
}

/// How a claim's outcome came into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Now,
    Before,
    Lost,
}

impl AlertStore for Sqlite {
    fn ping(&self) -> Result<(), AlertError> {
        Ok(self.db.query_row("SELECT 1", [], |_| Ok(()))?)
    }

    fn rows(
        &self,
        run_id: &str,
        phase: Option<&str>,
    ) -> Result<(Vec<AlertRecord>, Vec<DeliveryRecord>), AlertError> {
        let alerts = format!(
            "SELECT {ALERT_COLUMNS} FROM alerts WHERE run_id = ?1 AND (?2 IS NULL OR phase = ?2) ORDER BY raised_at, length(alert_id), alert_id"
        );
        let deliveries = format!(
            "SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE run_id = ?1 AND (?2 IS NULL OR phase = ?2) \
             ORDER BY delivery_id"
        );
        // One snapshot for both tables.
        let tx = self.db.unchecked_transaction()?;
        let alerts = collect(&tx, &alerts, params![run_id, phase], alert_row)?;
        let deliveries = collect(&tx, &deliveries, params![run_id, phase], delivery_row)?;
        Ok((alerts, deliveries))
    }

    fn dead_letters(&self, run_id: Option<&str>) -> Result<Vec<DeliveryRecord>, AlertError> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE status = 'DLQ' AND (?1 IS NULL OR run_id = ?1) \
             ORDER BY delivery_id"
        );
        collect(&self.db, &sql, params![run_id], delivery_row)
    }

    fn conservation(&self, run_id: &str, phase: Option<&str>) -> Result<Conservation, AlertError> {
        // The unary plus keeps the planner from the index by status, which holds most rows of a long run under one key.
        let sql = "
            WITH own AS (
              SELECT a.disposition,
                EXISTS(SELECT 1 FROM alert_deliveries d WHERE d.alert_id = a.alert_id
                       AND +d.status IN ('PENDING','SENDING','RETRY')) AS open,
                EXISTS(SELECT 1 FROM alert_deliveries d WHERE d.alert_id = a.alert_id AND +d.status = 'DLQ') AS dead,
                EXISTS(SELECT 1 FROM alert_deliveries d WHERE d.alert_id = a.alert_id AND +d.status = 'SENT') AS sent
              FROM alerts a WHERE a.run_id = ?1 AND (?2 IS NULL OR a.phase = ?2))
            SELECT COUNT(*),
              COUNT(*) FILTER (WHERE disposition = 'deliver' AND NOT open AND NOT dead AND sent),
              COUNT(*) FILTER (WHERE disposition = 'deliver' AND NOT open AND dead),
              COUNT(*) FILTER (WHERE disposition = 'throttled'),
              COUNT(*) FILTER (WHERE disposition = 'aggregated'),
              COUNT(*) FILTER (WHERE disposition = 'store_only'),
              COUNT(*) FILTER (WHERE disposition = 'deliver' AND open)
            FROM own";
        Ok(self.db.query_row(sql, params![run_id, phase], |r| {
            Ok(Conservation {
                raised: count(r, 0)?,
                delivered: count(r, 1)?,
                dlq: count(r, 2)?,
                throttled: count(r, 3)?,
                aggregated: count(r, 4)?,
                store_only: count(r, 5)?,
                pending: count(r, 6)?,
            })
        })?)
    }

    fn cursor(&self, source: &str) -> Result<Option<u64>, AlertError> {
        let sql = "SELECT position FROM alert_cursors WHERE source = ?1";
        Ok(self.db.query_row(sql, [source], |r| count(r, 0)).optional()?)
    }

    fn set_cursor(&self, source: &str, position: u64, now: Timestamp) -> Result<(), AlertError> {
        move_cursor(&self.db, source, position, now)
    }

    fn take_in(
        &self,
        alert: &Alert,
        plan: &Plan,
        cursor: (&str, u64),
        now: Timestamp,
    ) -> Result<Taken, AlertError> {
        let tx = self.begin()?;
        let known: Option<(String, bool)> = tx
            .query_row(
                "SELECT disposition, raised_at = ?2 AND rule_id = ?3 AND aggregation_key = ?4 FROM alerts WHERE alert_id = ?1",
                params![alert.alert_id, alert.raised_at.0, alert.rule_id, alert.key],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .optional()?;
        if matches!(known, Some((_, false))) {
            return Ok(Taken::Another);
        }
        move_cursor(&tx, cursor.0, cursor.1, now)?;
        if let Some((known, _)) = known {
            tx.commit()?;
            return Ok(Taken::Known(disposition(&known)?));
        }
        let disposition = if is_throttled(&tx, alert, plan.throttle)? {
            Disposition::Throttled
        } else if plan.notifiers.is_empty() {
            Disposition::StoreOnly
        } else if plan.overflow > 0 && overflow::waiting(&tx, alert, plan.overflow)? >= plan.overflow {
            overflow::count_in(&tx, alert, now)?;
            Disposition::Aggregated
        } else {
            Disposition::Deliver
        };
        insert_alert(&tx, alert, disposition)?;
        if disposition == Disposition::Deliver {
            for notifier in &plan.notifiers {
                let of = (alert.alert_id.as_str(), alert.run_id.as_str(), alert.phase.as_str());
                insert_delivery(&tx, of, notifier, None, (now, plan.due.max(now)))?;
            }
        }
        tx.commit()?;
        Ok(Taken::New(disposition))
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
            Lane::AllBut(names) => (None, serde_json::to_string(names).ok()),
        };
        let parameters = params![run_id, phase, now.0, only, but];
        let due = due();
        self.take(&due, parameters, now.plus(lease))
    }

    fn sent(&self, claim: &Claim, latency_ms: i64, now: Timestamp) -> Result<bool, AlertError> {
        let d = &claim.delivery;
        let done = self.settle(
            &self.db,
            claim,
            Status::Sent,
            "UPDATE alert_deliveries SET status = 'SENT', lease_until = NULL, latency_ms = ?4, settled_at = ?5
             WHERE delivery_id = ?1 AND status = 'SENDING' AND attempt = ?2 AND lease_until = ?3",
            params![d.delivery_id, d.attempt, lease(claim), latency_ms, now.0],
        )?;
        Ok(done != Done::Lost)
    }

    fn retry(&self, claim: &Claim, error: &str, at: Timestamp) -> Result<bool, AlertError> {
        let d = &claim.delivery;
        let done = self.settle(
            &self.db,
            claim,
            Status::Retry,
            "UPDATE alert_deliveries SET status = 'RETRY', lease_until = NULL, last_error = ?4, next_attempt_at = ?5
             WHERE delivery_id = ?1 AND status = 'SENDING' AND attempt = ?2 AND lease_until = ?3",
            params![d.delivery_id, d.attempt, lease(claim), error, at.0],
        )?;
        Ok(done != Done::Lost)
    }

    fn give_up(
        &self,
        claim: &Claim,
        error: &str,
        next: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, AlertError> {
        let d = &claim.delivery;
        let status = if next.is_some() { Status::Failed } else { Status::Dlq };
        let tx = self.begin()?;
        let done = self.settle(
            &tx,
            claim,
            status,
            "UPDATE alert_deliveries SET status = ?4, lease_until = NULL, last_error = ?5, settled_at = ?6
             WHERE delivery_id = ?1 AND status = 'SENDING' AND attempt = ?2 AND lease_until = ?3",
            params![d.delivery_id, d.attempt, lease(claim), status.as_str(), error, now.0],
        )?;
        if let Some(next) = next.filter(|_| done == Done::Now) {
            insert_delivery(&tx, (&d.alert_id, &d.run_id, &d.phase), next, Some(d.delivery_id), (now, now))?;
        }
        tx.commit()?;
        Ok(done != Done::Lost)
    }

    fn has_delivery(&self, alert_id: &str, notifier: &str) -> Result<bool, AlertError> {
        let sql = "SELECT EXISTS(SELECT 1 FROM alert_deliveries WHERE alert_id = ?1 AND notifier = ?2)";
        Ok(self.db.query_row(sql, [alert_id, notifier], |r| r.get(0))?)
    }

    fn open_deliveries(&self, run_id: &str, phase: &str) -> Result<Open, AlertError> {
        let sql = "SELECT COUNT(*), MIN(a.raised_at) FROM alert_deliveries d JOIN alerts a USING (alert_id)
                   WHERE d.status IN ('PENDING','SENDING','RETRY') AND d.run_id = ?1 AND d.phase = ?2";
        Ok(self.db.query_row(sql, [run_id, phase], |r| {
            Ok(Open { deliveries: count(r, 0)?, oldest: r.get::<_, Option<i64>>(1)?.map(Timestamp) })
        })?)
    }
}

/// The end of a claim's lease: with its attempt it tells the claim, since one that was put back leaves the number of its attempt to the
/// next.
fn lease(claim: &Claim) -> Option<i64> {
    claim.delivery.lease_until.map(|until| until.0)
}

/// What is due, the longest due first: `?1` run, `?2` phase, `?3` now, `?4` the only notifier, `?5` those left out. Each part reads the
/// first row of an index.
fn due() -> String {
    const LANE: &str =
        "(?4 IS NULL OR notifier = ?4) AND (?5 IS NULL OR notifier NOT IN (SELECT value FROM json_each(?5)))";
    let part = |when: &str, order: &str| {
        format!(
            "SELECT * FROM (SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE {when} AND {LANE} ORDER BY {order}, delivery_id LIMIT 1)"
        )
    };
    let parts = [
        part("status = 'SENDING' AND lease_until <= ?3 AND run_id = ?1 AND phase = ?2", "lease_until"),
        part(
            "status IN ('PENDING','RETRY') AND run_id = ?1 AND phase = ?2 AND next_attempt_at <= ?3",
            "next_attempt_at",
        ),
    ];
    format!("{} LIMIT 1", parts.join(" UNION ALL "))
}

fn migrate(db: &mut Connection) -> Result<(), AlertError> {
    let known = MIGRATIONS.len() as i64;
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = tx.query_row("PRAGMA user_version", [], |r| r.get(0))?;
    if found > known {
        return Err(AlertError::NewerSchema { found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "user_version", known)?;
    tx.commit()?;
    Ok(())
}

fn move_cursor(db: &Connection, source: &str, position: u64, now: Timestamp) -> Result<(), AlertError> {
    db.execute(
        "INSERT INTO alert_cursors(source, position, moved_at) VALUES(?1, ?2, ?3)
         ON CONFLICT(source) DO UPDATE SET position = excluded.position, moved_at = excluded.moved_at",
        params![source, position.cast_signed(), now.0],
    )?;
    Ok(())
}

/// True when an alert of the same rule and key, itself not throttled, was raised less than the throttle before this one.
fn is_throttled(tx: &Transaction<'_>, alert: &Alert, throttle: Duration) -> Result<bool, AlertError> {
    if throttle.is_zero() {
        return Ok(false);
    }
    let since = alert.raised_at.0.saturating_sub(nanos(throttle));
    Ok(tx.query_row(
        "SELECT EXISTS(SELECT 1 FROM alerts WHERE run_id = ?1 AND phase = ?2 AND rule_id = ?3 AND aggregation_key = ?4
           AND raised_at > ?5 AND raised_at <= ?6 AND disposition <> 'throttled')",
        params![alert.run_id, alert.phase, alert.rule_id, alert.key, since, alert.raised_at.0],
        |r| r.get(0),
    )?)
}

fn insert_alert(tx: &Transaction<'_>, alert: &Alert, disposition: Disposition) -> Result<(), AlertError> {
    let labels = serde_json::to_string(&alert.labels).map_err(|e| AlertError::BadRow(e.to_string()))?;
    tx.execute(
        &format!("INSERT INTO alerts({ALERT_COLUMNS}) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)"),
        params![
            alert.alert_id,
            alert.run_id,
            alert.phase,
            alert.rule_id,
            alert.severity.as_str(),
            alert.source,
            alert.title,
            alert.message,
            labels,
            alert.key,
            alert.raised_at.0,
            disposition.as_str()
        ],
    )?;
    Ok(())
}

fn insert_delivery(
    tx: &Transaction<'_>,
    (alert_id, run_id, phase): (&str, &str, &str),
    notifier: &str,
    fallback_of: Option<i64>,
    (now, due): (Timestamp, Timestamp),
) -> Result<(), AlertError> {
    tx.execute(
        "INSERT INTO alert_deliveries(alert_id, run_id, phase, notifier, status, attempt, next_attempt_at, created_at,
           fallback_of) VALUES(?1, ?2, ?3, ?4, 'PENDING', 0, ?7, ?5, ?6)",
        params![alert_id, run_id, phase, notifier, now.0, fallback_of, due.0],
    )?;
    Ok(())
}

/// SQLite's integers are signed; these never are.
fn count(r: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(r.get::<_, i64>(index)?.cast_unsigned())
}

fn collect<T>(
    db: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: fn(&Row<'_>) -> Result<T, AlertError>,
) -> Result<Vec<T>, AlertError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(read(row)?);
    }
    Ok(out)
}

fn disposition(text: &str) -> Result<Disposition, AlertError> {
    Disposition::parse(text).ok_or_else(|| AlertError::BadRow(format!("unknown disposition `{text}`")))
}

fn alert_row(r: &Row<'_>) -> Result<AlertRecord, AlertError> {
    let (labels, disposition): (String, String) = (r.get(8)?, r.get(11)?);
    Ok(AlertRecord {
        alert_id: r.get(0)?,
        run_id: r.get(1)?,
        phase: r.get(2)?,
        rule_id: r.get(3)?,
        severity: r.get(4)?,
        source: r.get(5)?,
        title: r.get(6)?,
        message: r.get(7)?,
        labels: serde_json::from_str(&labels).map_err(|e| AlertError::BadRow(format!("labels: {e}")))?,
        aggregation_key: r.get(9)?,
        raised_at: Timestamp(r.get(10)?),
        disposition: self::disposition(&disposition)?,
    })
}

fn delivery_row(r: &Row<'_>) -> Result<DeliveryRecord, AlertError> {
    let status: String = r.get(5)?;
    Ok(DeliveryRecord {
        delivery_id: r.get(0)?,
        alert_id: r.get(1)?,
        run_id: r.get(2)?,
        phase: r.get(3)?,
        notifier: r.get(4)?,
        status: Status::parse(&status)
            .ok_or_else(|| AlertError::BadRow(format!("unknown status `{status}`")))?,
        attempt: r.get(6)?,
        next_attempt_at: Timestamp(r.get(7)?),
        lease_until: r.get::<_, Option<i64>>(8)?.map(Timestamp),
        last_error: r.get(9)?,
        latency_ms: r.get(10)?,
        created_at: Timestamp(r.get(11)?),
        settled_at: r.get::<_, Option<i64>>(12)?.map(Timestamp),
        fallback_of: r.get(13)?,
    })
}
