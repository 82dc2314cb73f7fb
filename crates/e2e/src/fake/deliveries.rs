//! The fake's alert and delivery rows, in the tables that alerting's operators query.

use super::Args;
use rusqlite::{Connection, params};
use std::time::Duration;

/// What became of an alert.
pub(super) enum Row {
    /// Delivered at the first attempt, after this time.
    Sent(Duration),
    /// Lost after four.
    DeadLetter,
}

/// Writes an alert and its delivery; nothing when no store was asked for.
pub(super) fn add(args: &Args, row: Row) -> std::io::Result<()> {
    let Some(path) = &args.alert_db else { return Ok(()) };
    let failed = |e: &dyn std::fmt::Display| std::io::Error::other(format!("{}: {e}", path.display()));
    // Opening migrates.
    drop(alerts::Store::open(path).map_err(|e| failed(&e))?);
    let db = Connection::open(path).map_err(|e| failed(&e))?;
    insert(&db, args, &row).map_err(|e| failed(&e))
}

fn insert(db: &Connection, args: &Args, row: &Row) -> rusqlite::Result<()> {
    let now = jiff::Timestamp::now().as_nanosecond() as i64;
    let (rule, severity, status, attempt) = match row {
        Row::Sent(_) => ("DRILL", "P3", "SENT", 1),
        Row::DeadLetter => ("HEALTH-DOWN", "P1", "DLQ", 4),
    };
    let (latency, error) = match row {
        Row::Sent(took) => (Some(took.as_millis() as i64), None),
        Row::DeadLetter => (None, Some("connect: connection refused")),
    };
    let count: i64 =
        db.query_row("SELECT count(*) FROM alerts WHERE run_id = ?1", [&args.run_id], |r| r.get(0))?;
    let id = format!("{}-{count}", args.run_id);
    db.execute(
        "INSERT INTO alerts VALUES(?1, ?2, ?3, ?4, ?5, 'fake', ?4, 'of a fake runner', '{}', '', ?6, 'deliver')",
        params![id, args.run_id, args.phase(), rule, severity, now],
    )?;
    db.execute(
        "INSERT INTO alert_deliveries(alert_id, run_id, phase, notifier, status, attempt, next_attempt_at, last_error, \
         latency_ms, created_at, settled_at) VALUES(?1, ?2, ?3, 'local_log', ?4, ?5, ?6, ?7, ?8, ?6, ?6)",
        params![id, args.run_id, args.phase(), status, attempt, now, error, latency],
    )?;
    Ok(())
}
