//! What can end a runner, and with which exit code.

use catalogue::exit_codes;
use recording::file::FileError;
use std::path::PathBuf;

/// Why a runner, a replay or a recomputation ended in failure.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is wrong: nothing was started.
    #[error("configuration: {0}")]
    Config(String),
    /// The address of `/metrics` cannot be bound.
    #[error("cannot serve /metrics on {address}: {source}; choose another address with --metrics-addr")]
    MetricsAddress {
        /// The address asked for.
        address: std::net::SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// There is a journal already.
    #[error(
        "{} already holds records of a session that ended in order: a run id is used once; choose another --run-id or \
         journal_dir, or move the file away",
        .0.display()
    )]
    JournalExists(PathBuf),
    /// A file to read is not there.
    #[error("{} does not exist", .0.display())]
    NotFound(PathBuf),
    /// A file to read is there, and is not what it should be: empty, of another kind, damaged, a folder.
    #[error("{0}")]
    Unreadable(String),
    /// The operating system refused.
    #[error("cannot {what} {}: {source}; {}", path.display(), advice(source))]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A journal cannot be written or read.
    #[error("journal: {0}")]
    Journal(#[from] journal::file::FileError),
    /// A journal cannot be gone on with.
    #[error(
        "{} cannot be gone on with: {cause}; nothing was changed, keep the file and begin anew with another --run-id and \
         journal_dir",
        path.display()
    )]
    Recovery {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// An input log cannot be written or read.
    #[error("input log: {0}")]
    Recording(#[from] recording::file::FileError),
    /// A capture cannot be imported.
    #[error(transparent)]
    Import(#[from] crate::import::ImportError),
    /// A venue cannot be reached.
    #[error("{venue} cannot be used: {cause}; {next}")]
    Venue {
        /// The venue.
        venue: market::Venue,
        /// What happened, with the URL.
        cause: String,
        /// What to do.
        next: String,
    },
    /// No symbol passed the filters.
    #[error("no symbol passes the filters ({0}); lower them under [filters] or look at the venues' markets")]
    EmptyUniverse(String),
    /// The core refused an input.
    #[error("the core stopped at input {seq}: {cause}")]
    Core {
        /// Sequence number of the input.
        seq: u64,
        /// The cause.
        cause: String,
    },
    /// A replay did not give the journal that was expected.
    #[error("the replay differs from {} at line {line}: {what}", expected.display())]
    Differs {
        /// The journal to reproduce.
        expected: PathBuf,
        /// First differing line, from 1.
        line: u64,
        /// Both lines, shortened.
        what: String,
    },
    /// A part of the runner failed: a bug, or the machine.
    #[error("{0}")]
    Internal(String),
}

impl RunError {
    /// The exit code of a process that ends with this error.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::MetricsAddress { .. }
            | Self::JournalExists(_)
            | Self::Import(_)
            | Self::Recording(FileError::OtherRun { .. } | FileError::Occupied { .. }) => exit_codes::USAGE,
            Self::NotFound(_)
            | Self::Unreadable(_)
            | Self::Recovery { .. }
            | Self::Journal(journal::file::FileError::Damaged { .. })
            | Self::Recording(
                FileError::NotALog { .. } | FileError::Damaged { .. } | FileError::Empty { .. },
            ) => exit_codes::NOT_FOUND,
            Self::Differs { .. } => exit_codes::DISAGREES,
            _ => exit_codes::INTERNAL,
        }
    }

    /// Shorthand for [`RunError::Io`].
    pub(crate) fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// What to do about a file or folder that the system refuses.
fn advice(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "make room there, or choose another place with --kpi-output-path and journal_dir"
        }
        _ => "choose a place that can be written with --kpi-output-path, journal_dir and --recording",
    }
}
