//! A connection to a PostgreSQL that comes and goes: made when something is asked, dropped when it fails, made again after a pause
//! that grows. Each transaction has a deadline: a server that has stopped answering is away.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
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
/// Deadline of what reads or deletes a whole run.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// The migrations; the table `alert_schema` says how many have been applied. Never edit one that was released.
const MIGRATIONS: [&str; 2] = [
    include_str!("../../../migrations/postgres/0001_tables.sql"),
    include_str!("../../../migrations/postgres/0002_audit.sql"),
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
    /// Why the last one failed.
    why: String,
}

/// A connection that was migrated, and what has been prepared on it.
pub(super) struct Session {
    client: Client,
    prepared: BTreeMap<&'static str, Statement>,
}

/// Why something failed.
enum Failed {
    Postgres(tokio_postgres::Error),
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

    /// Does something on the connection, within a time. Whatever fails by the connection closes it: the server rolls back what
    /// was not committed.
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
                let lost = session.client.is_closed() || is_lost(&error);
                if !lost {
                    state.open = Some(session);
                }
                Err(self.failed(lost, said(&error)))
            }
            Err(_) => Err(self.failed(true, format!("no answer within {} s", within.as_secs()))),
        }
    }

    fn failed(&self, lost: bool, what: String) -> AlertError {
        let store = self.config.to_string();
        if lost { AlertError::StoreLost { store, what } } else { AlertError::StoreRefused { store, what } }
    }

    fn connect(&self, state: &mut State) -> Result<Session, AlertError> {
        if state.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(self.failed(true, state.why.clone()));
        }
        let made = self.runtime.block_on(async { tokio::time::timeout(2 * SHORT, self.open()).await });
        let failed = match made {
            Ok(Ok(session)) => {
                (state.retry_at, state.pause) = (None, Duration::ZERO);
                return Ok(session);
            }
            Ok(Err(Failed::Newer { found, known })) => return Err(AlertError::NewerSchema { found, known }),
            Ok(Err(Failed::Postgres(error))) => said(&error),
            Err(_) => "no answer when connecting".to_owned(),
        };
        state.pause = (2 * state.pause).clamp(PAUSE_FIRST, PAUSE_MAX);
        state.retry_at = Some(Instant::now() + state.pause);
        state.why = failed;
        Err(self.failed(true, state.why.clone()))
    }

    async fn open(&self) -> Result<Session, Failed> {
        let config = &self.config.config;
        let client = match &self.tls {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(connection);
                client
            }
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                tokio::spawn(connection);
                client
            }
        };
        let mut session = Session { client, prepared: BTreeMap::new() };
        migrate(&mut session).await?;
        Ok(session)
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

/// True when the server or the way to it is gone, or may be (PostgreSQL's appendix of error codes: class 08, and 57P01 to 57P05
/// when it shuts down, crashed, or is starting).
fn is_lost(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else { return true };
    code.code().starts_with("08") || code.code().starts_with("57P") || *code == SqlState::TOO_MANY_CONNECTIONS
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
