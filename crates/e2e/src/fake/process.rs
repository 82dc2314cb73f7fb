//! What `/proc` says about this process, and what it does to itself: burning, memory, children, signals, daemons.

use procfs::process::Process;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Figures of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) rss_bytes: u64,
    pub(super) peak_rss_bytes: u64,
    pub(super) threads: u64,
    pub(super) fds: u64,
    pub(super) start_s: f64,
}

/// Reads them; `None` where the system does not say. Children count with what they used once they are reaped.
pub(super) fn read() -> Option<Usage> {
    let me = Process::myself().ok()?;
    let (stat, status) = (me.stat().ok()?, me.status().ok()?);
    let tick = procfs::ticks_per_second() as f64;
    let reaped = (stat.cutime + stat.cstime).max(0) as f64;
    Some(Usage {
        cpu_seconds: ((stat.utime + stat.stime) as f64 + reaped) / tick,
        rss_bytes: status.vmrss? * 1024,
        peak_rss_bytes: status.vmhwm? * 1024,
        threads: u64::try_from(stat.num_threads).ok()?,
        fds: me.fd_count().ok()? as u64,
        start_s: procfs::boot_time_secs().ok()? as f64 + stat.starttime as f64 / tick,
    })
}

/// Uses the CPU for a while.
pub(super) fn burn(span: Duration) {
    let until = Instant::now() + span;
    let mut x = 1_u64;
    while Instant::now() < until {
        for _ in 0..1_000 {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// Memory that is really used.
#[derive(Debug, Default)]
pub(super) struct Ballast(Vec<Vec<u8>>);

const MEGABYTE: usize = 1_000_000;

impl Ballast {
    /// Takes or gives back whole megabytes until it holds so many.
    pub(super) fn hold(&mut self, megabytes: usize) {
        while self.0.len() < megabytes {
            self.0.push(vec![1; MEGABYTE]);
        }
        self.0.truncate(megabytes);
    }
}

/// Sends a signal to this process. What cannot be sent is told on standard error.
pub(super) fn signal_self(number: i32) {
    // Twice: the first of some is taken by Rust's own handler, which looks for a stack overflow and steps aside.
    for _ in 0..2 {
        let sent =
            rustix::process::Signal::from_named_raw(number).ok_or("no such signal".to_owned()).and_then(
                |s| rustix::process::kill_process(rustix::process::getpid(), s).map_err(|e| e.to_string()),
            );
        if let Err(why) = sent {
            eprintln!("fake-runner: signal {number}: {why}");
        }
    }
}

/// A child that sleeps so long.
pub(super) fn napper(span: Duration) -> std::io::Result<Child> {
    let program = std::env::current_exe()?;
    let nap = span.as_millis().to_string();
    Command::new(program)
        .args(std::env::args_os().skip(1))
        .args(["--nap-ms", &nap])
        .stdin(Stdio::null())
        .spawn()
}

/// The second half of a daemonising double fork: a session of its own, a child, and gone.
pub(super) fn fork_daemon() -> std::io::Result<()> {
    rustix::process::setsid()?;
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    Command::new(program).args(words).arg("--daemon").stdin(Stdio::null()).spawn().map(drop)
}

/// The first half. The daemon inherits standard output and error: it holds the pipes.
pub(super) fn leave_daemon() -> std::io::Result<()> {
    let program = std::env::current_exe()?;
    Command::new(program).args(std::env::args_os().skip(1)).arg("--fork-daemon").status().map(drop)
}
