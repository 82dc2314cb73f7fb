//! Ending who holds a run lock: a living supervisor on request (`assay stop`, `--take-over`), the guardian of a dead one always.
//!
//! A supervisor is known by its lock (boot id, pid, start time) and signalled through a descriptor of the process itself; a guardian by
//! the kernel's table of locks. Never by name.

use super::lock::{Holder, LockError};
use crate::supervise::{Target, group};
use rustix::process::{Pid, Signal};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// An interrupted supervisor ends its runner in order and judges what there is; after this it is asked again, which kills.
const ORDERLY: Duration = Duration::from_secs(60);
/// How long a second request, and then SIGKILL, may take.
const FORCED: Duration = Duration::from_secs(10);
/// A guardian whose supervisor died empties its group at once; only one that cannot is helped.
const BY_ITSELF: Duration = Duration::from_secs(1);
/// What an orphaned group is given after SIGTERM, before SIGKILL.
const ORPHAN_GRACE: Duration = Duration::from_secs(10);

/// How a supervisor was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// By its first interruption, in order.
    Interruption,
    /// By a second one, which kills its runner.
    SecondInterruption,
    /// By SIGKILL: it did not answer.
    Kill,
}

impl EndedBy {
    /// For a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Interruption => "ended in order",
            Self::SecondInterruption => "ended by a second interruption",
            Self::Kill => "did not answer and was killed",
        }
    }
}

/// Ends a living supervisor: an interruption, a second one, SIGKILL. `None` when it is gone already.
pub fn end(holder: &Holder) -> Option<EndedBy> {
    let target = Target::open(holder.pid).filter(|target| target.start_ticks == holder.start_ticks)?;
    // One that a signal has stopped could not hear the next.
    let ask = || target.signal(Signal::CONT) && target.signal(Signal::INT);
    if !holder.is_alive() || !ask() {
        return None;
    }
    if target.is_gone(ORDERLY) {
        return Some(EndedBy::Interruption);
    }
    ask();
    if target.is_gone(FORCED) {
        return Some(EndedBy::SecondInterruption);
    }
    target.signal(Signal::KILL);
    target.is_gone(FORCED);
    Some(EndedBy::Kill)
}

/// Ends the groups whose guardians still share a lock that a dead supervisor left: SIGTERM to the group, 10 s, SIGKILL. Returns one
/// phrase per guardian once its group is empty; nothing when they ended by themselves.
pub(super) fn end_orphans(lock: &Path) -> Result<Vec<String>, LockError> {
    let until = Instant::now() + BY_ITSELF;
    let mut guardians = sharers(lock);
    while !guardians.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
        guardians = sharers(lock);
    }
    guardians.into_iter().map(|pid| end_orphan(lock, pid)).collect()
}

fn end_orphan(lock: &Path, guardian: i32) -> Result<String, LockError> {
    let began = Instant::now();
    let count = group::descendants(guardian).len();
    signal_group(guardian, Signal::TERM);
    // A stopped guardian empties its group itself once it goes on.
    if let Some(target) = Target::open(guardian) {
        target.signal(Signal::CONT);
    }
    while sharers(lock).contains(&guardian) {
        if began.elapsed() > ORPHAN_GRACE {
            signal_group(guardian, Signal::KILL);
        }
        if began.elapsed() > ORPHAN_GRACE + FORCED {
            return Err(LockError::Orphan { path: lock.to_owned(), pid: guardian });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = began.elapsed().as_secs_f64();
    Ok(format!("its group of {count} processes under pid {guardian} was ended in {took:.1} s and is empty"))
}

fn signal_group(guardian: i32, signal: Signal) {
    for member in group::descendants(guardian) {
        if let Some(pid) = Pid::from_raw(member.pid) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// The processes that hold a lock on this file, by the kernel's table of locks, ourselves left out.
fn sharers(lock: &Path) -> Vec<i32> {
    let Ok(inode) = std::fs::metadata(lock).map(|meta| meta.ino()) else { return Vec::new() };
    let table = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let own = std::process::id() as i32;
    holders_in(&table, inode)
        .into_iter()
        // Inodes repeat across file systems: it must really have this file open.
        .filter(|pid| *pid != own && has_open(*pid, lock))
        .collect()
}

/// Pids of the `flock`s on an inode: `1: FLOCK  ADVISORY  READ 4711 fd:00:1234 0 EOF`.
fn holders_in(table: &str, inode: u64) -> Vec<i32> {
    table
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, "FLOCK", _, _, pid, file, ..] = words.as_slice() else { return None };
            (file.rsplit(':').next()?.parse() == Ok(inode)).then(|| pid.parse().ok()).flatten()
        })
        .filter(|pid| *pid > 0)
        .collect()
}

fn has_open(pid: i32, path: &Path) -> bool {
    let Ok(wanted) = std::fs::canonicalize(path) else { return false };
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == wanted))
}

#[cfg(test)]
mod tests {
    use super::holders_in;

    #[test]
    fn the_table_of_locks_is_read_by_inode() {
        let table = "1: FLOCK  ADVISORY  READ 4711 fd:00:1234 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 4712 fd:00:1234 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 4713 fd:00:1234 0 EOF\n\
                     3: POSIX  ADVISORY  WRITE 4714 fd:00:1234 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 4715 fd:00:12345 0 EOF\n";
        assert_eq!(
            holders_in(table, 1234),
            [4711, 4712],
            "neither who waits for it nor another kind of lock"
        );
    }
}
