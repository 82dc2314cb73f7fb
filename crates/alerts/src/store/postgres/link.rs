//! A connection to a PostgreSQL that comes and goes: made when something is asked, dropped when it fails, made again after a pause
//! that grows. Each transaction has a deadline: a server that has stopped answering is away.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::address::PostgresConfig;
use super::tls::Tls;
use crate::model::AlertError;

/// Pause before a second attempt to connect; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Deadline of what a dispatcher asks: less than a lease.
pub(super) const SHORT: Duration = Duration::from_secs(5);
/// How long a server that has stopped answering is given to take a goodbye.
const CLOSE: Duration = Duration::from_millis(200);
/// Deadline of what reads or deletes a whole run.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// The migrations; the table `alert_schema` says how many have been applied. Never edit one that was released.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../../migrations/postgres/0001_tables.sql"),
    include_str!("../../../migrations/postgres/0002_audit.sql"),
    include_str!("../../../migrations/postgres/0003_dispatchers.sql"),
];
/// The lock under which one process migrates: "assay" in ASCII.
const MIGRATION_LOCK: i64 = 0x61_7373_6179;

/// A connection, when there is one.
pub(super) struct Link {
    config: PostgresConfig,
    tls: Option<Tls>,
    runtime: Runtime,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    open: Option<Session>,
    pause: Duration,
    /// No attempt to connect before.
    retry_at: Option<Instant>,
    /// Why the last one failed, and whether another may succeed without anybody's doing.
    why: String,
    lost: bool,
}

/// A connection that was migrated, and what has been prepared on it.
pub(super) struct Session {
    client: Client,
    prepared: BTreeMap<&'static str, Statement>,
    /// What moves its bytes; it ends when the client is gone and somebody waits for it.
    carrier: JoinHandle<()>,
}

/// Why something failed.
enum Failed {
    Postgres(tokio_postgres::Error),
    Late,
    Newer { found: i64, known: i64 },
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl Session {
    /// Asks one statement; it is one transaction.
    pub(super) async fn query(
        &mut self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = match self.prepared.get(sql) {
            Some(statement) => statement.clone(),
            None => {
                let statement = self.client.prepare(sql).await?;
                self.prepared.insert(sql, statement.clone());
                statement
            }
        };
        self.client.query(&statement, parameters).await
    }

    /// Sends statements without parameters.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute(sql).await
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Link").field(&self.config).finish()
    }
}

impl Link {
    pub(super) fn new(config: &PostgresConfig) -> Result<Self, AlertError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| AlertError::Config(format!("no runtime for the alert store: {e}")))?;
        let tls = match config.config.get_ssl_mode() {
            tokio_postgres::config::SslMode::Disable => None,
            _ => Some(Tls::new(config.roots.as_deref())?),
        };
        Ok(Self { config: config.clone(), tls, runtime, state: RefCell::default() })
    }

    /// Does something on the connection, within a time. Whatever fails closes it: the server rolls back what was not committed, and the
    /// next connection begins afresh, perhaps to a server that is well again.
    pub(super) fn with<T>(
        &self,
        within: Duration,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, AlertError> {
        let state = &mut *self.state.borrow_mut();
        let mut session = match state.open.take() {
            Some(session) if !session.client.is_closed() => session,
            _ => self.connect(state)?,
        };
        let done = self.runtime.block_on(async { tokio::time::timeout(within, work(&mut session)).await });
        match done {
            Ok(Ok(value)) => {
                state.open = Some(session);
                Ok(value)
            }
            Ok(Err(error)) => {
                let lost = session.client.is_closed() || error.code().is_none_or(|c| passes(c.code()));
                self.close(session);
                Err(self.failed(lost, said(&error)))
            }
            Err(_) => {
                self.close(session);
                Err(self.failed(true, format!("no answer within {} s", within.as_secs())))
            }
        }
    }

    fn failed(&self, lost: bool, what: String) -> AlertError {
        let store = self.config.to_string();
        if lost { AlertError::StoreLost { store, what } } else { AlertError::StoreRefused { store, what } }
    }

    fn connect(&self, state: &mut State) -> Result<Session, AlertError> {
        if state.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(self.failed(state.lost, state.why.clone()));
        }
        let failed = match self.made() {
            Ok(session) => {
                (state.retry_at, state.pause) = (None, Duration::ZERO);
                return Ok(session);
            }
            Err(Failed::Newer { found, known }) => return Err(AlertError::NewerSchema { found, known }),
            Err(Failed::Postgres(error)) => {
                (error.code().is_none_or(|c| !is_misconfigured(c.code())), said(&error))
            }
            Err(Failed::Late) => (true, "no answer when connecting".to_owned()),
        };
        state.pause = (2 * state.pause).clamp(PAUSE_FIRST, PAUSE_MAX);
        state.retry_at = Some(Instant::now() + state.pause);
        (state.lost, state.why) = failed;
        Err(self.failed(state.lost, state.why.clone()))
    }

    /// A new session with the schema up to date.
    fn made(&self) -> Result<Session, Failed> {
        let late = |_| Failed::Late;
        let made = self.runtime.block_on(async { tokio::time::timeout(SHORT, self.open()).await });
        let mut session = made.map_err(late)??;
        let migrated = async { tokio::time::timeout(LONG, migrate(&mut session)).await };
        match self.runtime.block_on(migrated).map_err(late).and_then(|done| done) {
            Ok(()) => Ok(session),
            Err(failed) => {
                self.close(session);
                Err(failed)
            }
        }
    }

    async fn open(&self) -> Result<Session, Failed> {
        let config = &self.config.config;
        // That it ended is seen at the client.
        let (client, carrier) = match &self.tls {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, tokio::spawn(async { drop(connection.await) }))
            }
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                (client, tokio::spawn(async { drop(connection.await) }))
            }
        };
        Ok(Session { client, prepared: BTreeMap::new(), carrier })
    }

    /// Ends a session, so that the server gives up what it holds: nothing moves its bytes when nothing is asked of this link.
    fn close(&self, session: Session) {
        let Session { client, prepared, mut carrier } = session;
        drop((prepared, client));
        self.runtime.block_on(async {
            if tokio::time::timeout(CLOSE, &mut carrier).await.is_err() {
                carrier.abort();
                drop(carrier.await);
            }
        });
    }
}

/// Brings the schema up to what this version knows. Several processes may come at once: one does it, the others find it done.
async fn migrate(session: &mut Session) -> Result<(), Failed> {
    let known = MIGRATIONS.len() as i64;
    let found = version(session).await?;
    if found == Some(known) {
        return Ok(());
    }
    // Before the transaction begins: what another process did meanwhile is seen from its begin on. A failure closes the
    // connection, and with it the lock.
    session.query("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    session.batch("BEGIN").await?;
    let found = version(session).await?.unwrap_or(0);
    if found > known {
        session.batch("ROLLBACK").await?;
        return Err(Failed::Newer { found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        session.batch(migration).await?;
    }
    session
        .batch(&format!(
            "CREATE TABLE IF NOT EXISTS alert_schema(version BIGINT NOT NULL); DELETE FROM alert_schema; \
             INSERT INTO alert_schema VALUES({known}); COMMIT"
        ))
        .await?;
    session.query("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
    Ok(())
}

/// The schema's version; `None` when there is none.
async fn version(session: &mut Session) -> Result<Option<i64>, tokio_postgres::Error> {
    let there = session.query("SELECT to_regclass('alert_schema') IS NOT NULL", &[]).await?;
    if !there.first().is_some_and(|row| row.get::<_, bool>(0)) {
        return Ok(None);
    }
    let rows = session.client.query("SELECT max(version) FROM alert_schema", &[]).await?;
    Ok(rows.first().and_then(|row| row.get(0)))
}

/// True for what a person has to mend before anything can be stored (PostgreSQL's appendix of error codes): a wrong password or user
/// (class 28), a database or schema that is not there, a user who may not use it. Whatever else keeps a connection from being made passes.
fn is_misconfigured(code: &str) -> bool {
    code.starts_with("28") || matches!(code, "3D000" | "3F000" | "42501")
}

/// True when a statement failed by the server's state and not by what was asked (PostgreSQL's appendix of error codes): the connection
/// (08), a read-only server (25006, a standby for example), a rollback (40), full disk or memory or too many connections (53), not
/// accepting connections or locked (55), cancelled or shut down or starting (57), the system below it (58), an internal error (XX).
fn passes(code: &str) -> bool {
    code == "25006" || ["08", "40", "53", "55", "57", "58", "XX"].iter().any(|class| code.starts_with(class))
}

/// The error with its causes; none of them holds the password.
fn said(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_from_what_a_person_must_mend() {
        for code in [
            "08006", "25006", "40001", "53100", "53200", "53300", "55000", "57014", "57P01", "57P03", "58030",
        ] {
            assert!(passes(code) && !is_misconfigured(code), "{code}");
        }
        for code in ["28P01", "28000", "3D000", "42501"] {
            assert!(is_misconfigured(code) && !passes(code), "{code}");
        }
        assert!(!passes("42P01") && !passes("22021"), "asked again it would fail again");
    }
}
