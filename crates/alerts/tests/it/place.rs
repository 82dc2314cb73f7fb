//! Places for stores: an SQLite file, or a database of its own on a PostgreSQL that the tests of this binary share.

use alerts::{AlertError, PostgresConfig, Store, StoreServer};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

static SERVER: Mutex<Weak<services::Postgres>> = Mutex::new(Weak::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

pub struct Place {
    folder: tempfile::TempDir,
    server: Option<(Arc<services::Postgres>, String)>,
}

/// Runs a test on both stores.
pub fn both(test: impl Fn(&Place)) {
    test(&Place::sqlite());
    test(&postgres());
}

/// A new database on the shared server.
pub fn postgres() -> Place {
    let server = {
        let mut shared = SERVER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(services::Postgres::start().unwrap());
            *shared = Arc::downgrade(&server);
            server
        })
    };
    let name = format!("t{}", NEXT.fetch_add(1, Ordering::SeqCst));
    sql(&server.url("postgres"), &format!("CREATE DATABASE {name}"));
    let url = server.url(&name);
    Place { folder: tempfile::tempdir().unwrap(), server: Some((server, url)) }
}

impl Place {
    pub fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), server: None }
    }

    pub fn config(&self) -> Option<Arc<dyn StoreServer>> {
        let (_, url) = self.server.as_ref()?;
        Some(Arc::new(PostgresConfig::resolve(url, "", &|_| None).unwrap()))
    }

    /// The address of its database on PostgreSQL.
    pub fn url(&self) -> Option<&str> {
        self.server.as_ref().map(|(_, url)| url.as_str())
    }

    /// A connection of its own.
    pub fn try_store(&self) -> Result<Store, AlertError> {
        match self.config() {
            Some(server) => server.open(),
            None => Store::open(&self.folder.path().join("alerts.sqlite")),
        }
    }

    pub fn store(&self) -> Store {
        self.try_store().unwrap()
    }

    pub fn execute(&self, on_postgres: &str, on_sqlite: &str) {
        match &self.server {
            Some((_, url)) => drop(sql(url, on_postgres)),
            None => {
                let db = rusqlite::Connection::open(self.folder.path().join("alerts.sqlite")).unwrap();
                db.execute_batch(on_sqlite).unwrap();
            }
        }
    }

    /// A query's column names and rows, as text.
    pub fn table(&self, query: &str) -> Vec<Vec<String>> {
        if let Some((_, url)) = &self.server {
            return sql(url, query);
        }
        let db = rusqlite::Connection::open(self.folder.path().join("alerts.sqlite")).unwrap();
        let mut statement = db.prepare(query).unwrap();
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let width = names.len();
        let rows = statement.query_map([], |r| {
            (0..width)
                .map(|i| {
                    Ok(match r.get::<_, rusqlite::types::Value>(i)? {
                        rusqlite::types::Value::Null => "NULL".to_owned(),
                        rusqlite::types::Value::Integer(n) => n.to_string(),
                        rusqlite::types::Value::Text(text) => text,
                        other => format!("{other:?}"),
                    })
                })
                .collect()
        });
        std::iter::once(names).chain(rows.unwrap().map(Result::unwrap)).collect()
    }
}

/// Asks a PostgreSQL; the first row is that of the names.
pub fn sql(url: &str, text: &str) -> Vec<Vec<String>> {
    use tokio_postgres::SimpleQueryMessage as M;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let mut out = Vec::new();
        for message in client.simple_query(text).await.unwrap() {
            match message {
                M::RowDescription(columns) => out.push(columns.iter().map(|c| c.name().to_owned()).collect()),
                M::Row(row) => {
                    out.push((0..row.len()).map(|i| row.get(i).unwrap_or("NULL").to_owned()).collect())
                }
                _ => {}
            }
        }
        out
    })
}

/// Holds what a transaction locked until it is dropped; then the transaction is rolled back.
pub struct Holder {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Holder {
    pub fn lock(url: &str, table: &str) -> Self {
        Self::begin(url, &format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
    }

    pub fn begin(url: &str, statement: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(&format!("BEGIN; {statement}")).await.unwrap();
            client
        });
        Self { runtime, client }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.runtime.block_on(async { self.client.batch_execute("ROLLBACK").await }).unwrap();
    }
}
