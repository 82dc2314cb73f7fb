//! Chores of the repository: the whole check in one command, licences and duplicate versions.
//!
//! What lives here: [`steps`] (what `cargo xtask test` does, in order), [`licences`] (what `cargo metadata` says about the
//! crates that we build) with its lists in [`allow`], [`packages`] (what Debian has to bring), [`campaign`] (long versions of tests). What does not: the tests themselves. The rules about who may depend
//! on whom and about pure crates are tests of this crate (`tests/it/`).

pub mod allow;
pub mod campaign;
pub mod licences;
pub mod packages;
pub mod steps;

use std::fmt;
use std::path::PathBuf;

/// A chore that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code to end with, never 0.
    pub code: u8,
    /// What failed, and what to do.
    pub text: String,
}

impl Failure {
    /// A failure without an exit code of its own: 1.
    pub fn new(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// The cargo that runs us, or the one on the path.
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
