//! The state store of a run, for those outside its process: where it stands, and the kill switch. Nothing decides by what is
//! written here, and nothing comes back from it after a kill: that is the journal's business.
//!
//! What lives here: the trait [`StateStore`], its two stores ([`Embedded`]: files beside the journal; [`Redis`]: keys below
//! `assay:<run id>:`), and what preflight does with a Redis database ([`ping`], [`reset`]). What does not: the threads that use
//! a store and the alerts about its loss (`runner`), and any decision by what it says.
//!
//! Every call blocks: within [`WAIT`] for Redis, as long as the disk takes for files. It belongs on a thread of its own.

mod access;
mod embedded;
mod redis_store;
mod reset;

pub use access::Access;
pub use embedded::{Embedded, KILL_FILE, STATE_FILE, read as read_folder};
pub use redis_store::{ALIVE_S, Redis, WAIT, ping};
pub use reset::{Reset, reset};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of what is stored.
pub const FORMAT: u32 = 1;

/// What a store holds of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of the format.
    pub format: u32,
    /// The run.
    pub run_id: String,
    /// The process that writes it.
    pub pid: u32,
    /// The profile of the validation that the run belongs to: its keys go when a later run of the profile begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Why the kill switch was pulled, once the run has seen it.
    pub kill_switch: Option<String>,
    /// The run has ended, in whatever way it could still say so.
    #[serde(default)]
    pub ended: bool,
    /// Where the session stands, by part (`positions`, `guards`, `fx`, ...), each as JSON; `None` before its first second.
    pub latest: Option<BTreeMap<String, Box<RawValue>>>,
}

impl State {
    /// Of a run that begins.
    pub fn new(run_id: &str, pid: u32, profile: Option<&str>) -> Self {
        Self {
            format: FORMAT,
            run_id: run_id.to_owned(),
            pid,
            profile: profile.map(str::to_owned),
            kill_switch: None,
            ended: false,
            latest: None,
        }
    }
}

/// What the store held when it was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// Nothing yet, or what was written before.
    AsExpected,
    /// What was written before was gone: somebody removed the file, or flushed the database. It is written again.
    Vanished,
}

/// A place for the state of one run.
pub trait StateStore: Send + std::fmt::Debug {
    /// Where it is, for messages; without any secret.
    fn place(&self) -> String;

    /// Replaces what the store holds of the run, as a whole.
    ///
    /// # Errors
    /// [`StateError`]; the next call tries again, over a new connection if need be.
    fn save(&mut self, state: &State) -> Result<Saved, StateError>;

    /// What the store holds of the run.
    ///
    /// # Errors
    /// [`StateError`].
    fn load(&mut self) -> Result<Option<State>, StateError>;

    /// Pulls the run's kill switch. It stays pulled.
    ///
    /// # Errors
    /// [`StateError`].
    fn pull(&mut self, reason: &str) -> Result<(), StateError>;

    /// Why the kill switch was pulled.
    ///
    /// # Errors
    /// [`StateError`]; [`StateError::Content`] when there is one that cannot be read.
    fn pulled(&mut self) -> Result<Option<String>, StateError>;
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file.
    #[error("cannot {what} {}: {source}; look at the folder and the disk", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// An address that is none.
    #[error("{0:?} is no address of a Redis database; write such as redis://127.0.0.1:6379/0")]
    Address(String),
    /// A password where everybody can read it.
    #[error(
        "the address of {0} holds a password; put the password into an environment variable and name that instead"
    )]
    PasswordInAddress(String),
    /// Redis.
    #[error("{place}: {what}; {next}")]
    Redis {
        /// The database, without a password.
        place: String,
        /// What happened.
        what: String,
        /// What to do.
        next: &'static str,
    },
    /// What is stored cannot be read.
    #[error("{place} holds what is no state of this version: {what}; remove it, the run writes it again")]
    Content {
        /// File or key.
        place: String,
        /// The cause.
        what: String,
    },
    /// A database that may not be flushed.
    #[error("{place} is not flushed: {}; give Assay a database of its own", why(*marked, keys, living))]
    NotOurs {
        /// The database.
        place: String,
        /// It carries Assay's marker key.
        marked: bool,
        /// Keys that are not Assay's: the first that were found.
        keys: Vec<String>,
        /// Runs that are alive.
        living: Vec<String>,
    },
}

fn why(marked: bool, keys: &[String], living: &[String]) -> String {
    if !keys.is_empty() {
        format!("it holds keys that are not Assay's: {}", keys.join(", "))
    } else if !living.is_empty() {
        format!("the state of living runs is in it: {}", living.join(", "))
    } else if marked {
        "its keys could not be looked through in time".to_owned()
    } else {
        format!("it does not carry the key {}", redis_store::MARKER)
    }
}
