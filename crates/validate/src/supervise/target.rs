//! A process that is not ours to reap: the supervisor of another run, or what `assay monitor` watches. Held by a descriptor of the
//! process itself (pidfd), so that a pid that was given away again is never signalled and never watched.

use procfs::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A process, by pid and start time, held.
#[derive(Debug)]
pub struct Target {
    /// Its pid.
    pub pid: i32,
    /// When it started, clock ticks since the boot.
    pub start_ticks: u64,
    fd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal number.
    pub signal: Option<i32>,
}

impl Target {
    /// Holds the process that has this pid now. `None` when there is none, or it is not ours to look at.
    pub fn open(pid: i32) -> Option<Self> {
        let fd = rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        // Read after the descriptor was opened: if the process is the one that we hold, it is alive now.
        let stat = Process::new(pid).and_then(|process| process.stat()).ok()?;
        let target = Self { pid, start_ticks: stat.starttime, fd };
        (stat.state != 'Z' && !target.is_gone(Duration::ZERO)).then_some(target)
    }

    /// Sends it a signal. False when it is gone.
    pub fn signal(&self, signal: Signal) -> bool {
        rustix::process::pidfd_send_signal(&self.fd, signal).is_ok()
    }

    /// Waits until it has ended, at most this long. True when it has.
    pub fn is_gone(&self, within: Duration) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        let timeout = Timespec::try_from(within).ok();
        matches!(rustix::event::poll(&mut fds, timeout.as_ref()), Ok(n) if n > 0)
    }

    /// How it ended, as long as nobody has reaped it and we may read that; most often nobody but its parent knows.
    pub fn exit_status(&self) -> Option<Ended> {
        let process = Process::new(self.pid).ok()?;
        let stat = process.stat().ok()?;
        // Of somebody else's process the kernel shows 0 in place of the status.
        let readable = process.uid().is_ok_and(|uid| uid == rustix::process::geteuid().as_raw());
        if !readable || stat.state != 'Z' || stat.starttime != self.start_ticks {
            return None;
        }
        let status = stat.exit_code?;
        let signal = status & 0x7f;
        Some(if signal == 0 {
            Ended { code: Some((status >> 8) & 0xff), signal: None }
        } else {
            Ended { code: None, signal: Some(signal) }
        })
    }
}
