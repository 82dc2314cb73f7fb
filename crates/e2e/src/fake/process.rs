//! What `/proc` says about this process.

use procfs::process::Process;
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

/// Reads them; `None` where the system does not say.
pub(super) fn read() -> Option<Usage> {
    let me = Process::myself().ok()?;
    let (stat, status) = (me.stat().ok()?, me.status().ok()?);
    let tick = procfs::ticks_per_second() as f64;
    Some(Usage {
        cpu_seconds: (stat.utime + stat.stime) as f64 / tick,
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
