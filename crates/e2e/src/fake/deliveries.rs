//! The fake's alert and delivery rows, in the tables that alerting's operators query.

use super::Args;
use rusqlite::{Connection, params};
use std::time::Duration;

/// What became of an alert.
#[derive(Clone, Copy)]
pub(super) enum Row {
    /// Delivered at the first attempt, after this time.
    Sent(Duration),
    /// Delivered at the second attempt.
    Retried(Duration),
    /// Given up, and not kept.
    Failed,
    /// Given up by one notifier and delivered by another in its place.
    FellBack(Duration),
    /// Lost after four.
    DeadLetter,
}

/// Writes alerts and their deliveries; nothing when no store was asked for.
pub(super) fn add(args: &Args, row: Row, times: u64) -> std::io::Result<()> {
    let Some(path) = args.alert_db.as_ref().filter(|_| times > 0) else { return Ok(()) };
    let failed = |e: &dyn std::fmt::Display| std::io::Error::other(format!("{}: {e}", path.display()));
    // Opening migrates.
    drop(alerts::Store::open(path).map_err(|e| failed(&e))?);
    let mut db = Connection::open(path).map_err(|e| failed(&e))?;
    db.busy_timeout(Duration::from_secs(5)).map_err(|e| failed(&e))?;
    let write = |db: &mut Connection| -> rusqlite::Result<()> {
        let tx = db.transaction()?;
        for _ in 0..times {
            insert(&tx, args, row)?;
        }
        tx.commit()
    };
    write(&mut db).map_err(|e| failed(&e))
}

fn insert(db: &Connection, args: &Args, row: Row) -> rusqlite::Result<()> {
    let now = jiff::Timestamp::now().as_nanosecond() as i64;
    let (rule, severity, status, attempt) = match row {
        Row::Sent(_) | Row::FellBack(_) => ("DRILL", "P3", "SENT", 1),
        Row::Retried(_) => ("DRILL", "P3", "SENT", 2),
        Row::Failed => ("HEALTH-DOWN", "P1", "FAILED", 1),
        Row::DeadLetter => ("HEALTH-DOWN", "P1", "DLQ", 4),
    };
    let (latency, error) = match row {
        Row::Sent(took) | Row::Retried(took) | Row::FellBack(took) => (Some(took.as_millis() as i64), None),
        Row::DeadLetter | Row::Failed => (None, Some("connect: connection refused")),
    };
    let count: i64 =
        db.query_row("SELECT count(*) FROM alerts WHERE run_id = ?1", [&args.run_id], |r| r.get(0))?;
    let id = format!("{}-{count}", args.run_id);
    db.execute(
        "INSERT INTO alerts VALUES(?1, ?2, ?3, ?4, ?5, 'fake', ?4, 'of a fake runner', '{}', '', ?6, 'deliver')",
        params![id, args.run_id, args.phase(), rule, severity, now],
    )?;
    let deliver = "INSERT INTO alert_deliveries(alert_id, run_id, phase, notifier, status, attempt, next_attempt_at, \
                   last_error, latency_ms, created_at, settled_at, fallback_of) \
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?7, ?7, ?10)";
    let first = if let Row::FellBack(_) = row {
        let why = Some("connect: connection refused");
        let none = None::<i64>;
        let (phase, to) = (args.phase(), "webhook");
        db.execute(deliver, params![id, args.run_id, phase, to, "FAILED", 1, now, why, none, none])?;
        Some(db.last_insert_rowid())
    } else {
        None
    };
    let to = "local_log";
    let phase = args.phase();
    db.execute(deliver, params![id, args.run_id, phase, to, status, attempt, now, error, latency, first])?;
    Ok(())
}
