//! What the process uses, from procfs.

use std::path::Path;

/// A reading. Absent figures are absent: a machine without procfs gives none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// User and system CPU time, seconds.
    pub cpu_seconds: Option<f64>,
    /// Resident memory, bytes.
    pub rss_bytes: Option<u64>,
    /// Peak resident memory (VmHWM), bytes.
    pub peak_rss_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Start of the process, seconds since the epoch.
    pub start_seconds: Option<f64>,
}

impl Usage {
    /// CPU use since the start of the process, percent of one core.
    pub fn percent_since_start(&self) -> Option<f64> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?.as_secs_f64();
        // The start is known to a hundredth of a second.
        Some(self.cpu_seconds? * 100.0 / (now - self.start_seconds?).max(0.01))
    }
}

/// Reads the figures of this process.
pub fn read() -> Usage {
    let Ok(me) = procfs::process::Process::myself() else { return Usage::default() };
    let (stat, status) = (me.stat().ok(), me.status().ok());
    let ticks = procfs::ticks_per_second() as f64;
    let boot = procfs::boot_time_secs().ok();
    Usage {
        cpu_seconds: stat.as_ref().map(|s| (s.utime + s.stime) as f64 / ticks),
        rss_bytes: status.as_ref().and_then(|s| s.vmrss).map(|kb| kb * 1024),
        peak_rss_bytes: status.as_ref().and_then(|s| s.vmhwm).map(|kb| kb * 1024),
        open_fds: me.fd_count().ok().map(|n| n as u64),
        threads: status.as_ref().map(|s| s.threads),
        start_seconds: stat.zip(boot).map(|(s, boot)| boot as f64 + s.starttime as f64 / ticks),
    }
}

/// Writes a file so that a reader sees the old or the new content, never half of it: a temporary file beside it, fsync,
/// rename. Mode 0600.
///
/// # Errors
/// What the system says.
pub fn write_atomic(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    drop(file);
    let result = written.and_then(|()| std::fs::rename(&temporary, path));
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}
