//! The store in Redis. Of a run:
//!
//! - `assay:<run id>:run`: the [`State`] without its parts, JSON.
//! - `assay:<run id>:latest`: a hash, one field a part (`positions`, `guards`, `fx`, ...), each JSON.
//! - `assay:<run id>:kill_switch`: why it was pulled, JSON.
//! - `assay:<run id>:alive`: the process's id; the server lets it go [`ALIVE_S`] seconds after the run's last word.
//!
//! And of the database: `assay:marker`, written only into one that holds no key of anybody else. What the run says is one
//! transaction, so that a reader never sees half of it.

use crate::embedded::Kill;
use crate::{Access, Saved, State, StateError, StateStore};
use redis::{
    Client, Commands as _, Connection, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind,
};
use std::time::{Duration, Instant};

/// How long connecting, and each answer, may take.
pub const WAIT: Duration = Duration::from_millis(500);
/// After this without a word from it a run counts as ended.
pub const ALIVE_S: u64 = 30;
/// The key by which a database is known to be Assay's.
pub(crate) const MARKER: &str = "assay:marker";
/// Keys that one step of a scan looks at.
pub(crate) const STEP: usize = 1_000;
/// Steps of the scan before the marker is set: a larger database is hardly Assay's alone.
const MARKING_STEPS: u32 = 20;
/// Between two attempts to connect.
const AGAIN: Duration = Duration::from_millis(500);

/// A store in a Redis database.
pub struct Redis {
    access: Access,
    run_id: String,
    connection: Option<Connection>,
    /// The last failure to connect: no attempt before its time.
    failed: Option<(Instant, String)>,
    written: bool,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis")
            .field("access", &self.access)
            .field("run_id", &self.run_id)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// Nothing is connected yet: the first call does that.
    pub fn new(access: Access, run_id: &str) -> Self {
        Self { access, run_id: run_id.to_owned(), connection: None, failed: None, written: false }
    }

    fn key(&self, name: &str) -> String {
        format!("assay:{}:{name}", self.run_id)
    }

    /// Does something over the connection; over a new one when there is none. A connection that failed is not used again.
    fn with<T>(&mut self, act: impl FnOnce(&mut Connection) -> RedisResult<T>) -> Result<T, StateError> {
        if self.connection.is_none() {
            if let Some((at, what)) = &self.failed
                && at.elapsed() < AGAIN
            {
                return Err(broken(&self.access, what.clone()));
            }
            match connect(&self.access).and_then(|mut new| mark(&mut new).map(|()| new)) {
                Ok(new) => {
                    self.connection = Some(new);
                    self.failed = None;
                }
                Err(error) => {
                    let error = failure(&self.access, &error);
                    self.failed = Some((Instant::now(), plain(&error)));
                    return Err(error);
                }
            }
        }
        let Some(connection) = &mut self.connection else {
            return Err(broken(&self.access, "not connected".to_owned()));
        };
        act(connection).map_err(|error| {
            self.connection = None;
            failure(&self.access, &error)
        })
    }

    fn content(&self, name: &str) -> impl FnOnce(serde_json::Error) -> StateError {
        let place = format!("{} {}", self.access.place(), self.key(name));
        move |e| StateError::Content { place, what: e.to_string() }
    }
}

impl StateStore for Redis {
    fn place(&self) -> String {
        self.access.place().to_owned()
    }

    fn save(&mut self, state: &State) -> Result<Saved, StateError> {
        let head = State { latest: None, ..state.clone() };
        let head = serde_json::to_string(&head).map_err(self.content("run"))?;
        let (run, latest, alive) = (self.key("run"), self.key("latest"), self.key("alive"));
        let mut batch = Pipeline::new();
        batch.atomic().exists(&run).set(&run, head).ignore();
        if let Some(parts) = &state.latest {
            let fields: Vec<(&str, &str)> =
                parts.iter().map(|(name, json)| (name.as_str(), json.get())).collect();
            batch.del(&latest).ignore();
            if !fields.is_empty() {
                batch.hset_multiple(&latest, &fields).ignore();
            }
        }
        if state.ended {
            batch.del(&alive).ignore();
        } else {
            batch.set_ex(&alive, state.pid, ALIVE_S).ignore();
        }
        let (existed,): (bool,) = self.with(|connection| batch.query(connection))?;
        let vanished = std::mem::replace(&mut self.written, true) && !existed;
        if vanished {
            self.with(mark)?;
        }
        Ok(if vanished { Saved::Vanished } else { Saved::AsExpected })
    }

    fn load(&mut self) -> Result<Option<State>, StateError> {
        let (run, latest) = (self.key("run"), self.key("latest"));
        let mut batch = Pipeline::new();
        batch.atomic().get(&run).hgetall(&latest);
        let (head, parts): (Option<String>, Vec<(String, String)>) =
            self.with(|connection| batch.query(connection))?;
        let Some(head) = head else { return Ok(None) };
        let mut state: State = serde_json::from_str(&head).map_err(self.content("run"))?;
        let mut latest = std::collections::BTreeMap::new();
        for (name, json) in parts {
            let json = serde_json::value::RawValue::from_string(json).map_err(self.content("latest"))?;
            latest.insert(name, json);
        }
        state.latest = (!latest.is_empty()).then_some(latest);
        Ok(Some(state))
    }

    fn pull(&mut self, reason: &str) -> Result<(), StateError> {
        let kill = Kill { run_id: self.run_id.clone(), reason: reason.to_owned() };
        let text = serde_json::to_string(&kill).map_err(self.content("kill_switch"))?;
        let key = self.key("kill_switch");
        self.with(|connection| connection.set(&key, text))
    }

    fn pulled(&mut self) -> Result<Option<String>, StateError> {
        let key = self.key("kill_switch");
        let place = format!("{} {key}", self.access.place());
        // Somebody may have put a list or a hash there: an answer like any other, of a connection that works.
        let text = self.with(|connection| match connection.get::<_, Option<Vec<u8>>>(&key) {
            Err(e) if e.code() == Some("WRONGTYPE") => Ok(Err(e.to_string())),
            other => other.map(Ok),
        })?;
        let Some(text) = text.map_err(|what| StateError::Content { place, what })? else { return Ok(None) };
        let kill: Kill = serde_json::from_slice(&text).map_err(self.content("kill_switch"))?;
        Ok(Some(kill.reason))
    }
}

/// Asks the database for a sign of life; gives what its server says of its version.
///
/// # Errors
/// [`StateError::Redis`].
pub fn ping(access: &Access) -> Result<String, StateError> {
    let ask = || {
        let mut connection = connect(access)?;
        let answer: String = redis::cmd("PING").query(&mut connection)?;
        // A user may be allowed to ping and not to ask for more.
        let info: String = redis::cmd("INFO").arg("server").query(&mut connection).unwrap_or_default();
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        Ok((answer, version.map_or_else(|| "of unknown version".to_owned(), |v| v.trim().to_owned())))
    };
    match ask() {
        Ok((answer, version)) if answer == "PONG" => Ok(version),
        Ok((answer, _)) => Err(broken(access, format!("answered PING with {answer:?}"))),
        Err(error) => Err(failure(access, &error)),
    }
}

/// A connection whose every answer must come within [`WAIT`].
pub(crate) fn connect(access: &Access) -> RedisResult<Connection> {
    let connection = Client::open(access.info())?.get_connection_with_timeout(WAIT)?;
    connection.set_read_timeout(Some(WAIT))?;
    connection.set_write_timeout(Some(WAIT))?;
    Ok(connection)
}

/// The run of a key: `assay:<run id>:<name>`; a run id has no colon. `None` for a key of anybody else, and for the marker.
pub(crate) fn run_of(key: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(key);
    let (id, name) = text.strip_prefix("assay:")?.split_once(':')?;
    (!id.is_empty() && !name.is_empty()).then(|| id.to_owned())
}

pub(crate) fn is_ours(key: &[u8]) -> bool {
    key == MARKER.as_bytes() || run_of(key).is_some()
}

/// Marks a database as Assay's when no key of anybody else is in it.
pub(crate) fn mark(connection: &mut Connection) -> RedisResult<()> {
    if connection.exists(MARKER)? {
        return Ok(());
    }
    let mut cursor = 0_u64;
    for _ in 0..MARKING_STEPS {
        let (next, keys): (u64, Vec<Vec<u8>>) =
            redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(STEP).query(connection)?;
        if !keys.iter().all(|key| is_ours(key)) {
            return Ok(());
        }
        if next == 0 {
            return connection.set_nx(MARKER, format!("{{\"format\":{}}}", crate::FORMAT));
        }
        cursor = next;
    }
    Ok(())
}

pub(crate) fn failure(access: &Access, error: &RedisError) -> StateError {
    let next = match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            "check user and password, and what they may do"
        }
        ErrorKind::Io => "see whether Redis runs there and lets this machine in",
        ErrorKind::Server(ServerErrorKind::BusyLoading) => "wait until it has read its data",
        ErrorKind::Server(ServerErrorKind::ReadOnly) => "give the address of the primary, not of a replica",
        _ => "look at the log of Redis",
    };
    StateError::Redis { place: access.place().to_owned(), what: error.to_string(), next }
}

fn broken(access: &Access, what: String) -> StateError {
    StateError::Redis { place: access.place().to_owned(), what, next: "look at the log of Redis" }
}

/// The cause alone, for a message that names the place itself.
fn plain(error: &StateError) -> String {
    match error {
        StateError::Redis { what, .. } => what.clone(),
        other => other.to_string(),
    }
}
