//! The embedded store: two small files in a folder, beside the journal by default. `state.json` is what the run says,
//! `kill_switch.json` what it is told.

use crate::{Saved, State, StateError, StateStore};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What the run says: a [`State`] as JSON.
pub const STATE_FILE: &str = "state.json";
/// What the run is told: its id and the reason, as JSON.
pub const KILL_FILE: &str = "kill_switch.json";

/// `kill_switch.json`, and the Redis key of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kill {
    pub(crate) run_id: String,
    pub(crate) reason: String,
}

/// The store in a folder.
#[derive(Debug)]
pub struct Embedded {
    folder: PathBuf,
    run_id: String,
    written: bool,
}

impl Embedded {
    /// In a folder that exists; nothing is written yet.
    pub fn new(folder: &Path, run_id: &str) -> Self {
        Self { folder: folder.to_owned(), run_id: run_id.to_owned(), written: false }
    }
}

impl StateStore for Embedded {
    fn place(&self) -> String {
        self.folder.join(STATE_FILE).display().to_string()
    }

    fn save(&mut self, state: &State) -> Result<Saved, StateError> {
        let path = self.folder.join(STATE_FILE);
        let content = |e: serde_json::Error| StateError::Content { place: self.place(), what: e.to_string() };
        let text = serde_json::to_vec_pretty(state).map_err(content)?;
        let vanished = self.written && !path.exists();
        write_atomic(&path, &text)?;
        self.written = true;
        Ok(if vanished { Saved::Vanished } else { Saved::AsExpected })
    }

    fn load(&mut self) -> Result<Option<State>, StateError> {
        Ok(read(&self.folder)?.filter(|state| state.run_id == self.run_id))
    }

    fn pull(&mut self, reason: &str) -> Result<(), StateError> {
        let kill = Kill { run_id: self.run_id.clone(), reason: reason.to_owned() };
        let path = self.folder.join(KILL_FILE);
        let content = |e: serde_json::Error| StateError::Content {
            place: path.display().to_string(),
            what: e.to_string(),
        };
        write_atomic(&path, &serde_json::to_vec(&kill).map_err(content)?)
    }

    fn pulled(&mut self) -> Result<Option<String>, StateError> {
        let path = self.folder.join(KILL_FILE);
        let kill: Option<Kill> = json(&path).map_err(|error| match error {
            // It is there, and says what nobody can read.
            StateError::File { source, .. } if path.symlink_metadata().is_ok() => {
                StateError::Content { place: path.display().to_string(), what: source.to_string() }
            }
            other => other,
        })?;
        Ok(kill.filter(|kill| kill.run_id == self.run_id).map(|kill| kill.reason))
    }
}

/// The state in a folder, whichever run's it is.
///
/// # Errors
/// [`StateError`]; no file is no error.
pub fn read(folder: &Path) -> Result<Option<State>, StateError> {
    json(&folder.join(STATE_FILE))
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::File { what: "read", path: path.to_owned(), source }),
    };
    let content =
        |e: serde_json::Error| StateError::Content { place: path.display().to_string(), what: e.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(content)
}

/// Old or new content for a reader, never half of it: a file beside it, synced, renamed. Mode 0600.
fn write_atomic(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp{}", std::process::id()));
    let aside = path.with_file_name(name);
    let options =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside);
    let written = options.and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let result = written.and_then(|()| std::fs::rename(&aside, path));
    if result.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    result.map_err(|source| StateError::File { what: "write", path: path.to_owned(), source })
}
