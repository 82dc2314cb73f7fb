//! The run lock: one run per folder of logs and per metrics port.
//!
//! A lock is a file that its holder keeps locked with `flock`, so that the kernel frees it whatever ends the holder. It is taken for
//! oneself alone and then shared with one's guardians, which keep it until their groups are empty: whoever gets it for himself
//! alone knows that nobody of the run before is left. What is written in it says who holds it: boot id, pid, start time, run id.
//! Nothing is ever known by a process's name. Ending a holder is in `holder`.

use super::{Context, Finding, holder};
use procfs::process::Process;
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine's boot; a pid means nothing after the next one.
    pub boot_id: String,
    /// The supervisor's pid.
    pub pid: i32,
    /// When it started, clock ticks since the boot: a pid that was given away again has another one.
    pub start_ticks: u64,
    /// Its run.
    pub run_id: String,
    /// The run whose lock was taken over, because its holder was dead.
    pub took_over: Option<String>,
}

impl Holder {
    fn me(run_id: &str) -> Result<Self, LockError> {
        let identity = |e: procfs::ProcError| LockError::Identity(e.to_string());
        let stat = Process::myself().and_then(|me| me.stat()).map_err(identity)?;
        Ok(Self {
            boot_id: boot_id()?,
            pid: stat.pid,
            start_ticks: stat.starttime,
            run_id: run_id.to_owned(),
            took_over: None,
        })
    }

    /// True when the very process that took the lock is alive.
    pub fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot_id)
            && Process::new(self.pid)
                .and_then(|process| process.stat())
                .is_ok_and(|stat| stat.starttime == self.start_ticks && stat.state != 'Z')
    }
}

fn boot_id() -> Result<String, LockError> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .map_err(|e| LockError::Identity(e.to_string()))
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run is alive.
    #[error("run {run_id} (pid {pid}) holds {}; wait for it, end it with `assay stop {run_id}` or --take-over, or use another --logs folder and metrics port", .path.display())]
    Held {
        /// The lock.
        path: PathBuf,
        /// Its run.
        run_id: String,
        /// Its supervisor.
        pid: i32,
    },
    /// Somebody holds it and does not say who.
    #[error("{} is held by a process that left no name in it; find it with `fuser {}` and end it", .path.display(), .path.display())]
    HeldByUnknown {
        /// The lock.
        path: PathBuf,
    },
    /// The group of a dead supervisor cannot be ended.
    #[error("{} is still shared by pid {pid}, the guardian of a dead run, and its group does not end even by SIGKILL; end it by hand", .path.display())]
    Orphan {
        /// The lock.
        path: PathBuf,
        /// The guardian.
        pid: i32,
    },
    /// The file cannot be used.
    #[error("cannot use the lock {}: {source}; check who owns it and its folder's permissions, or name another folder with --logs", .path.display())]
    File {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `/proc` cannot be read.
    #[error("cannot identify this process: {0}; /proc must be readable")]
    Identity(String),
}

/// One locked file.
#[derive(Debug)]
struct Held {
    path: PathBuf,
    /// Kept open: closing it frees the lock.
    _file: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Removed while still locked: whoever opened it in between sees that the path leads elsewhere and tries again.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The locks of a run. Dropping it frees them.
#[derive(Debug)]
pub struct RunLock {
    held: Vec<Held>,
}

impl RunLock {
    /// Locks `<logs>/assay.lock`, and the metrics port (unless it is 0) by a file in the system's temporary folder.
    ///
    /// # Errors
    /// [`LockError`], which names the holder.
    pub fn take(logs: &Path, metrics_addr: &str, run_id: &str) -> Result<Self, LockError> {
        // A name such as localhost counts too: it is the port that must not be shared.
        let mut lock = Self { held: Vec::new() };
        for path in lock_paths(logs, metrics_addr) {
            lock.add(path, run_id)?;
        }
        Ok(lock)
    }

    /// As [`RunLock::take`], but a living supervisor that holds one of the locks is ended first: for it, that is an interruption.
    /// Also says what was ended.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take_over(
        logs: &Path,
        metrics_addr: &str,
        run_id: &str,
    ) -> Result<(Self, Vec<String>), LockError> {
        let mut ended = Vec::new();
        for path in lock_paths(logs, metrics_addr) {
            if let Some(holder) = living_holder(&path)
                && let Some(how) = holder::end(&holder)
            {
                ended.push(format!("run {} (pid {}) {}", holder.run_id, holder.pid, how.words()));
            }
        }
        Self::take(logs, metrics_addr, run_id).map(|lock| (lock, ended))
    }

    fn add(&mut self, path: PathBuf, run_id: &str) -> Result<(), LockError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| LockError::File { path: path.clone(), source })?;
        }
        let (mut file, ended) = lock_file(&path)?;
        let mut holder = Holder::me(run_id)?;
        let before = read(&mut file).map_err(|source| LockError::File { path: path.clone(), source })?;
        holder.took_over = before.map(|text| match serde_json::from_str::<Holder>(&text) {
            Ok(dead) => {
                let gone = std::iter::once(format!("{} (pid {}, no longer alive)", dead.run_id, dead.pid));
                gone.chain(ended).collect::<Vec<_>>().join("; ")
            }
            Err(_) => "an unreadable lock".to_owned(),
        });
        write(&mut file, &holder).map_err(|source| LockError::File { path: path.clone(), source })?;
        // From here on the guardians can share it. Somebody may get it in the moment between the two: then it is his.
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_err() {
            return Err(refusal(&path, &mut file));
        }
        self.held.push(Held { path, _file: file });
        Ok(())
    }

    /// The files that are locked.
    pub fn paths(&self) -> Vec<&Path> {
        self.held.iter().map(|held| held.path.as_path()).collect()
    }
}

fn logs_lock(logs: &Path) -> PathBuf {
    logs.join("assay.lock")
}

fn lock_paths(logs: &Path, metrics_addr: &str) -> Vec<PathBuf> {
    // A name such as localhost counts too: it is the port that must not be shared.
    let port = metrics_addr.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let port = port.filter(|port| *port != 0);
    let by_port = port.map(|port| std::env::temp_dir().join(format!("assay-port-{port}.lock")));
    std::iter::once(logs_lock(logs)).chain(by_port).collect()
}

/// Opens and locks; when the holder of before removed the file in between, again. A dead holder's guardians are ended; says
/// which.
fn lock_file(path: &Path) -> Result<(File, Vec<String>), LockError> {
    let io = |source: std::io::Error| LockError::File { path: path.to_owned(), source };
    let mut ended = Vec::new();
    let mut tries = 0;
    loop {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|e| io(e.into()))?;
        let mut file = File::from(fd);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let dead = named(&mut file).is_some_and(|holder| !holder.is_alive());
                if !dead || tries > 0 {
                    return Err(refusal(path, &mut file));
                }
                tries += 1;
                drop(file);
                ended = holder::end_orphans(path)?;
                continue;
            }
            Err(e) => return Err(io(e.into())),
        }
        let mine = file.metadata().map_err(io)?;
        if std::fs::metadata(path).is_ok_and(|there| there.ino() == mine.ino() && there.dev() == mine.dev()) {
            return Ok((file, ended));
        }
    }
}

/// Who holds the lock of a logs root, if its supervisor is alive.
pub fn running(logs: &Path) -> Option<Holder> {
    living_holder(&logs_lock(logs))
}

fn living_holder(path: &Path) -> Option<Holder> {
    let mut file = File::open(path).ok()?;
    named(&mut file).filter(Holder::is_alive)
}

fn named(file: &mut File) -> Option<Holder> {
    read(file).ok().flatten().and_then(|text| serde_json::from_str(&text).ok())
}

fn refusal(path: &Path, file: &mut File) -> LockError {
    match named(file) {
        Some(holder) => LockError::Held { path: path.to_owned(), run_id: holder.run_id, pid: holder.pid },
        None => LockError::HeldByUnknown { path: path.to_owned() },
    }
}

fn read(file: &mut File) -> std::io::Result<Option<String>> {
    let mut text = String::new();
    file.rewind()?;
    file.take(64 * 1024).read_to_string(&mut text)?;
    Ok((!text.trim().is_empty()).then_some(text))
}

fn write(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    let text = serde_json::to_string(holder)?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// What the run lock says: it is ours, and whether it was an orphan's.
pub(super) fn previous(context: &Context<'_>) -> Finding {
    let path = logs_lock(context.logs_root);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) => {
            return Finding::failed(format!("{} cannot be read: {e}", path.display()), "start the run again");
        }
    };
    match serde_json::from_str::<Holder>(&text) {
        Ok(holder) if holder.run_id == context.run_id && holder.is_alive() => Finding {
            changed: holder.took_over.as_ref().map(|dead| format!("took over the lock of {dead}")),
            ..Finding::ok(match &holder.took_over {
                // Its guardian ended whatever it had started when it died.
                Some(dead) => format!("the lock of {dead} was left behind"),
                None => "none; the run lock is ours".to_owned(),
            })
        },
        Ok(holder) => Finding::failed(
            format!("{} belongs to run {} (pid {})", path.display(), holder.run_id, holder.pid),
            "wait for that run or end it with `assay stop`",
        ),
        Err(e) => Finding::failed(
            format!("{} is not a run lock: {e}", path.display()),
            "remove it when no run is alive",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_refuses_the_second_and_is_freed() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunLock::take(dir.path(), "127.0.0.1:0", "one").unwrap();
        let refused = RunLock::take(dir.path(), "127.0.0.1:0", "two").unwrap_err();
        assert!(refused.to_string().contains("run one"), "{refused}");
        assert_eq!(first.paths().len(), 1);
        drop(first);
        assert!(!dir.path().join("assay.lock").exists());
        RunLock::take(dir.path(), "127.0.0.1:0", "two").unwrap();
    }

    #[test]
    fn an_orphan_is_taken_over_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let dead = Holder { start_ticks: 1, run_id: "dead".to_owned(), ..Holder::me("x").unwrap() };
        assert!(!dead.is_alive() && Holder::me("x").unwrap().is_alive());
        std::fs::write(dir.path().join("assay.lock"), serde_json::to_string(&dead).unwrap()).unwrap();
        let _lock = RunLock::take(dir.path(), "127.0.0.1:0", "new").unwrap();
        let text = std::fs::read_to_string(dir.path().join("assay.lock")).unwrap();
        let holder: Holder = serde_json::from_str(&text).unwrap();
        assert_eq!(holder.run_id, "new");
        assert!(holder.took_over.unwrap().starts_with("dead (pid"));
    }
}
