//! What preflight does with a Redis database before a run: the keys of this run and of ended runs of its profile go, everything
//! else stays. A database is emptied as a whole only on demand, and only when it is Assay's and nobody's alone.

use crate::redis_store::{MARKER, STEP, connect, failure, is_ours, mark, run_of};
use crate::{Access, State, StateError};
use redis::{Commands as _, Connection, RedisResult};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Foreign keys that are named.
const NAMED: usize = 10;
/// Keys removed by one command.
const BATCH: usize = 500;

/// What a reset found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reset {
    /// Keys removed.
    pub removed_keys: usize,
    /// The runs whose keys these were.
    pub removed_runs: Vec<String>,
    /// Other runs whose keys stay: those that are alive, and those of other profiles.
    pub kept_runs: Vec<String>,
    /// The whole database was emptied, but for the marker key.
    pub flushed: bool,
    /// The database carries Assay's marker key.
    pub marked: bool,
    /// Not every key could be looked at in time.
    pub partial: bool,
}

/// Everything of ours in a database.
#[derive(Default)]
struct Ours {
    /// Keys by run.
    runs: BTreeMap<String, BTreeSet<Vec<u8>>>,
    partial: bool,
}

/// Removes the keys of `run_id` (and of its phases, `<run id>.<phase>`) and of ended runs of `profile`. With `flush` the whole database is
/// emptied instead: only when it carries the marker, no foreign key, and no run of others that is alive.
///
/// # Errors
/// [`StateError::Redis`]; [`StateError::NotOurs`] when `flush` was refused, which names the keys found: nothing is changed then.
pub fn reset(
    access: &Access,
    run_id: &str,
    profile: &str,
    flush: bool,
    within: Duration,
) -> Result<Reset, StateError> {
    let until = Instant::now() + within;
    let wrong = |error| failure(access, &error);
    let mut connection = connect(access).map_err(wrong)?;
    if flush {
        return empty(access, &mut connection, run_id, until);
    }
    remove(&mut connection, run_id, profile, until).map_err(wrong)
}

fn remove(connection: &mut Connection, run_id: &str, profile: &str, until: Instant) -> RedisResult<Reset> {
    mark(connection)?;
    let ours = look(connection, until)?;
    let mut done = Reset { marked: connection.exists(MARKER)?, partial: ours.partial, ..Reset::default() };
    for (id, keys) in ours.runs {
        if is_of(&id, run_id) || has_ended(connection, &id, profile)? {
            done.removed_keys += delete(connection, keys)?;
            done.removed_runs.push(id);
        } else {
            done.kept_runs.push(id);
        }
    }
    Ok(done)
}

fn empty(
    access: &Access,
    connection: &mut Connection,
    run_id: &str,
    until: Instant,
) -> Result<Reset, StateError> {
    let wrong = |error| failure(access, &error);
    let marked: bool = connection.exists(MARKER).map_err(wrong)?;
    let (keys, partial) = foreign(connection, until).map_err(wrong)?;
    let ours = look(connection, until).map_err(wrong)?;
    let mut living = Vec::new();
    for id in ours.runs.keys().filter(|id| !is_of(id, run_id)) {
        if is_alive(connection, id).map_err(wrong)? {
            living.push(id.clone());
        }
    }
    if !marked || partial || ours.partial || !keys.is_empty() || !living.is_empty() {
        return Err(StateError::NotOurs { place: access.place().to_owned(), marked, keys, living });
    }
    // What was seen goes, key by key: `FLUSHDB` would take along what others have written since the look.
    let mut done = Reset { flushed: true, marked, ..Reset::default() };
    for (id, keys) in ours.runs {
        done.removed_keys += delete(connection, keys).map_err(wrong)?;
        done.removed_runs.push(id);
    }
    Ok(done)
}

fn delete(connection: &mut Connection, keys: BTreeSet<Vec<u8>>) -> RedisResult<usize> {
    let keys: Vec<Vec<u8>> = keys.into_iter().collect();
    let mut removed = 0;
    for batch in keys.chunks(BATCH) {
        removed += connection.del::<_, usize>(batch)?;
    }
    Ok(removed)
}

/// `<run id>`, or one of its phases.
fn is_of(id: &str, run_id: &str) -> bool {
    id.strip_prefix(run_id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn is_alive(connection: &mut Connection, id: &str) -> RedisResult<bool> {
    connection.exists(format!("assay:{id}:alive"))
}

/// A run of this profile that no longer gives a sign of life.
fn has_ended(connection: &mut Connection, id: &str, profile: &str) -> RedisResult<bool> {
    let head: Option<String> = connection.get(format!("assay:{id}:run"))?;
    let state = head.and_then(|text| serde_json::from_str::<State>(&text).ok());
    if state.and_then(|state| state.profile).as_deref() != Some(profile) {
        return Ok(false);
    }
    is_alive(connection, id).map(|alive| !alive)
}

/// Steps through the keys that match, until `see` has had enough. True when the time was up before the end.
fn scan(
    connection: &mut Connection,
    pattern: &str,
    until: Instant,
    mut see: impl FnMut(Vec<u8>) -> bool,
) -> RedisResult<bool> {
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(pattern)
            .arg("COUNT")
            .arg(STEP)
            .query(connection)?;
        for key in keys {
            if !see(key) {
                return Ok(false);
            }
        }
        if next == 0 {
            return Ok(false);
        }
        if Instant::now() > until {
            return Ok(true);
        }
        cursor = next;
    }
}

fn look(connection: &mut Connection, until: Instant) -> RedisResult<Ours> {
    let mut ours = Ours::default();
    ours.partial = scan(connection, "assay:*", until, |key| {
        if let Some(id) = run_of(&key) {
            // A set, because a scan may give a key twice.
            ours.runs.entry(id).or_default().insert(key);
        }
        true
    })?;
    Ok(ours)
}

/// The first keys that are not ours.
fn foreign(connection: &mut Connection, until: Instant) -> RedisResult<(Vec<String>, bool)> {
    let mut found = Vec::new();
    let partial = scan(connection, "*", until, |key| {
        if !is_ours(&key) {
            let name: String = String::from_utf8_lossy(&key).chars().take(80).collect();
            if !found.contains(&name) {
                found.push(name);
            }
        }
        found.len() < NAMED
    })?;
    Ok((found, partial))
}
