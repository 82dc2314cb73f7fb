//! The embedded store: the two tables of alerting.md, the cursors, and every transaction on them. SQLite in WAL mode, mode
//! 0600. Decisions live in the machine, effects in the worker.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use market::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use crate::model::{Alert, AlertError, AlertRecord, Conservation, DeliveryRecord, Disposition, Status};

mod operator;

/// Migrations; the schema's version (`PRAGMA user_version`) is how many have been applied. Never edit one that was released.
const MIGRATIONS: [&str; 2] = ["
CREATE TABLE alerts(
  alert_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, phase TEXT NOT NULL, rule_id TEXT NOT NULL, severity TEXT NOT NULL,
  source TEXT NOT NULL, title TEXT NOT NULL, message TEXT NOT NULL, labels TEXT NOT NULL, aggregation_key TEXT NOT NULL,
  raised_at INTEGER NOT NULL,
  disposition TEXT NOT NULL CHECK(disposition IN ('deliver','throttled','aggregated','store_only')));
CREATE INDEX alerts_throttle ON alerts(run_id, phase, rule_id, aggregation_key, raised_at);
CREATE TABLE alert_deliveries(
  delivery_id INTEGER PRIMARY KEY AUTOINCREMENT, alert_id TEXT NOT NULL REFERENCES alerts(alert_id),
  run_id TEXT NOT NULL, phase TEXT NOT NULL, notifier TEXT NOT NULL,
  status TEXT NOT NULL CHECK(status IN ('PENDING','SENDING','RETRY','SENT','FAILED','DLQ','CANCELLED')),
  attempt INTEGER NOT NULL, next_attempt_at INTEGER NOT NULL, lease_until INTEGER, last_error TEXT, latency_ms INTEGER,
  created_at INTEGER NOT NULL, settled_at INTEGER, fallback_of INTEGER REFERENCES alert_deliveries(delivery_id),
  UNIQUE(alert_id, notifier));
CREATE INDEX alert_deliveries_open ON alert_deliveries(status, next_attempt_at);
CREATE TABLE alert_cursors(source TEXT PRIMARY KEY, position INTEGER NOT NULL);
", operator::AUDIT];

/// Rows that nobody has touched for so long belong to a dispatcher that is gone: any worker takes them over.
const ADOPT_AFTER: Duration = Duration::from_secs(600);
/// How long a statement waits for another writer.
const BUSY: Duration = Duration::from_secs(5);

const ALERT_COLUMNS: &str = "alert_id, run_id, phase, rule_id, severity, source, title, message, labels, aggregation_key, raised_at, disposition";
const DELIVERY_COLUMNS: &str = "delivery_id, alert_id, run_id, phase, notifier, status, attempt, next_attempt_at, \
                                lease_until, last_error, latency_ms, created_at, settled_at, fallback_of";

/// The alert tables.
#[derive(Debug)]
pub struct Store {
    db: Connection,
}

/// A delivery that a worker holds.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) delivery: DeliveryRecord,
    pub(crate) alert: AlertRecord,
}

/// What is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) deliveries: u64,
    /// When the oldest of their alerts was raised.
    pub(crate) oldest: Option<Timestamp>,
}

/// Whose deliveries a claim takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lane<'a> {
    /// Everybody's.
    All,
    /// Those of one notifier.
    Only(&'a str),
    /// Those of everybody but these: notifiers that are configured no more, of dispatchers that are gone.
    AllBut(&'a [String]),
}

/// How an alert is taken in.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// 0 never throttles.
    pub(crate) throttle: Duration,
    /// A delivery for each. Empty: stored only.
    pub(crate) notifiers: Vec<String>,
    /// Not before: later than now for what waits for its batch.
    pub(crate) due: Timestamp,
}

impl Store {
    /// Opens the store, creating it (mode 0600) and migrating it where needed.
    ///
    /// # Errors
    /// [`AlertError::Io`], [`AlertError::Store`], [`AlertError::NewerSchema`].
    pub fn open(path: &Path) -> Result<Self, AlertError> {
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

    fn begin(&mut self) -> Result<Transaction<'_>, AlertError> {
        Ok(self.db.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }

    /// The rows of a run, of all phases or of one, in the order in which they were made.
    ///
    /// # Errors
    /// [`AlertError::Store`], [`AlertError::BadRow`].
    pub fn rows(
        &self,
        run_id: &str,
        phase: Option<&str>,
    ) -> Result<(Vec<AlertRecord>, Vec<DeliveryRecord>), AlertError> {
        let alerts = format!(
            "SELECT {ALERT_COLUMNS} FROM alerts WHERE run_id = ?1 AND (?2 IS NULL OR phase = ?2) ORDER BY rowid"
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

    /// The dead letters, of all runs or of one.
    ///
    /// # Errors
    /// [`AlertError::Store`], [`AlertError::BadRow`].
    pub fn dead_letters(&self, run_id: Option<&str>) -> Result<Vec<DeliveryRecord>, AlertError> {
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE status = 'DLQ' AND (?1 IS NULL OR run_id = ?1) \
             ORDER BY delivery_id"
        );
        collect(&self.db, &sql, params![run_id], delivery_row)
    }

    /// What became of a run's alerts. An alert with several deliveries counts once: as pending while one is open, else as
    /// dead when one is, else as delivered when one was sent.
    ///
    /// # Errors
    /// [`AlertError::Store`].
    pub fn conservation(&self, run_id: &str, phase: Option<&str>) -> Result<Conservation, AlertError> {
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

    /// The stored cursor of a source: the byte behind the last record that was taken in.
    pub(crate) fn cursor(&self, source: &str) -> Result<Option<u64>, AlertError> {
        let sql = "SELECT position FROM alert_cursors WHERE source = ?1";
        Ok(self.db.query_row(sql, [source], |r| count(r, 0)).optional()?)
    }

    /// Moves a cursor without an alert.
    pub(crate) fn set_cursor(&self, source: &str, position: u64) -> Result<(), AlertError> {
        move_cursor(&self.db, source, position)
    }

    /// Stores an alert, its deliveries and the cursor behind it in one transaction. `None` when it was there already: the
    /// cursor moves, nothing else happens.
    pub(crate) fn take_in(
        &mut self,
        alert: &Alert,
        plan: &Plan,
        cursor: (&str, u64),
        now: Timestamp,
    ) -> Result<Option<Disposition>, AlertError> {
        let tx = self.begin()?;
        move_cursor(&tx, cursor.0, cursor.1)?;
        let known: bool = tx.query_row(
            "SELECT EXISTS(SELECT 1 FROM alerts WHERE alert_id = ?1)",
            [&alert.alert_id],
            |r| r.get(0),
        )?;
        if known {
            tx.commit()?;
            return Ok(None);
        }
        let disposition = if is_throttled(&tx, alert, plan.throttle)? {
            Disposition::Throttled
        } else if plan.notifiers.is_empty() {
            Disposition::StoreOnly
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
        Ok(Some(disposition))
    }

    /// Takes the delivery that has been due longest, with a lease. Rows of other runs and phases are taken when nobody has
    /// touched them for ten minutes.
    pub(crate) fn claim(
        &mut self,
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
        let orphaned = now.0.saturating_sub(i64::try_from(ADOPT_AFTER.as_nanos()).unwrap_or(i64::MAX));
        let due = format!(
            "SELECT {DELIVERY_COLUMNS} FROM alert_deliveries WHERE status IN ('PENDING','RETRY','SENDING')
               AND (CASE status WHEN 'SENDING' THEN lease_until ELSE next_attempt_at END)
                   <= (CASE WHEN run_id = ?1 AND phase = ?2 THEN ?3 ELSE ?4 END)
               AND (?5 IS NULL OR notifier = ?5)
               AND (?6 IS NULL OR notifier NOT IN (SELECT value FROM json_each(?6)))
             ORDER BY next_attempt_at, delivery_id LIMIT 1"
        );
        // Mostly nothing is due: then no lock is taken.
        if collect(&self.db, &due, params![run_id, phase, now.0, orphaned, only, but], delivery_row)?
            .is_empty()
        {
            return Ok(None);
        }
        let tx = self.begin()?;
        let Some(mut delivery) =
            collect(&tx, &due, params![run_id, phase, now.0, orphaned, only, but], delivery_row)?.pop()
        else {
            return Ok(None);
        };
        delivery.attempt += 1;
        delivery.status = Status::Sending;
        delivery.lease_until = Some(now.plus(lease));
        tx.execute(
            "UPDATE alert_deliveries SET status = 'SENDING', attempt = ?2, lease_until = ?3 WHERE delivery_id = ?1",
            params![delivery.delivery_id, delivery.attempt, now.plus(lease).0],
        )?;
        let sql = format!("SELECT {ALERT_COLUMNS} FROM alerts WHERE alert_id = ?1");
        let alert = collect(&tx, &sql, params![delivery.alert_id], alert_row)?
            .pop()
            .ok_or_else(|| AlertError::BadRow(format!("delivery {} has no alert", delivery.delivery_id)))?;
        tx.commit()?;
        Ok(Some(Claim { delivery, alert }))
    }

    /// Records an acknowledgement. False when the lease had been lost meanwhile.
    pub(crate) fn sent(
        &mut self,
        claim: &Claim,
        latency_ms: i64,
        now: Timestamp,
    ) -> Result<bool, AlertError> {
        let d = &claim.delivery;
        let changed = self.db.execute(
            "UPDATE alert_deliveries SET status = 'SENT', lease_until = NULL, latency_ms = ?3, settled_at = ?4
             WHERE delivery_id = ?1 AND status = 'SENDING' AND attempt = ?2",
            params![d.delivery_id, d.attempt, latency_ms, now.0],
        )?;
        Ok(changed == 1)
    }

    /// Records a failure that is tried again. False when the lease had been lost meanwhile.
    pub(crate) fn retry(&mut self, claim: &Claim, error: &str, at: Timestamp) -> Result<bool, AlertError> {
        let d = &claim.delivery;
        let changed = self.db.execute(
            "UPDATE alert_deliveries SET status = 'RETRY', lease_until = NULL, last_error = ?3, next_attempt_at = ?4
             WHERE delivery_id = ?1 AND status = 'SENDING' AND attempt = ?2",
            params![d.delivery_id, d.attempt, error, at.0],
        )?;
        Ok(changed == 1)
    }

    /// Records that a notifier gave up: FAILED with a new row for the `next` of the chain, or DLQ when there is none. False
    /// when the lease had been lost meanwhile.
    pub(crate) fn give_up(
        &mut self,
        claim: &Claim,
        error: &str,
        next: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, AlertError> {
        let d = &claim.delivery;
        let status = if next.is_some() { Status::Failed } else { Status::Dlq };
        let tx = self.begin()?;
        let changed = tx.execute(
            "UPDATE alert_deliveries SET status = ?3, lease_until = NULL, last_error = ?4, settled_at = ?5
             WHERE delivery_id = ?1 AND status = 'SENDING' AND attempt = ?2",
            params![d.delivery_id, d.attempt, status.as_str(), error, now.0],
        )?;
        if let Some(next) = next.filter(|_| changed == 1) {
            insert_delivery(&tx, (&d.alert_id, &d.run_id, &d.phase), next, Some(d.delivery_id), (now, now))?;
        }
        tx.commit()?;
        Ok(changed == 1)
    }

    /// True when an alert has a row for a notifier.
    pub(crate) fn has_delivery(&self, alert_id: &str, notifier: &str) -> Result<bool, AlertError> {
        let sql = "SELECT EXISTS(SELECT 1 FROM alert_deliveries WHERE alert_id = ?1 AND notifier = ?2)";
        Ok(self.db.query_row(sql, [alert_id, notifier], |r| r.get(0))?)
    }

    /// What is open of a run's phase.
    pub(crate) fn open_deliveries(&self, run_id: &str, phase: &str) -> Result<Open, AlertError> {
        let sql = "SELECT COUNT(*), MIN(a.raised_at) FROM alert_deliveries d JOIN alerts a USING (alert_id)
                   WHERE d.status IN ('PENDING','SENDING','RETRY') AND d.run_id = ?1 AND d.phase = ?2";
        Ok(self.db.query_row(sql, [run_id, phase], |r| {
            Ok(Open { deliveries: count(r, 0)?, oldest: r.get::<_, Option<i64>>(1)?.map(Timestamp) })
        })?)
    }
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

fn move_cursor(db: &Connection, source: &str, position: u64) -> Result<(), AlertError> {
    db.execute(
        "INSERT INTO alert_cursors(source, position) VALUES(?1, ?2)
         ON CONFLICT(source) DO UPDATE SET position = excluded.position",
        params![source, position.cast_signed()],
    )?;
    Ok(())
}

/// True when an alert of the same rule and key, itself not throttled, was raised less than the throttle before this one.
fn is_throttled(tx: &Transaction<'_>, alert: &Alert, throttle: Duration) -> Result<bool, AlertError> {
    if throttle.is_zero() {
        return Ok(false);
    }
    let since = alert.raised_at.0.saturating_sub(i64::try_from(throttle.as_nanos()).unwrap_or(i64::MAX));
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
        disposition: Disposition::parse(&disposition)
            .ok_or_else(|| AlertError::BadRow(format!("unknown disposition `{disposition}`")))?,
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
