//! What `/proc` says about a group of processes: who belongs to it, what it uses, who owns a socket.

use gate::evidence::OsSample;
use procfs::process::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// A process of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Pid.
    pub pid: i32,
    /// Its command's short name.
    pub name: String,
    /// State letter of `/proc/<pid>/stat`; `Z` is a zombie.
    pub state: char,
}

/// Every living or unreaped descendant of `root`, without `root` itself.
pub fn descendants(root: i32) -> Vec<Member> {
    let Ok(processes) = procfs::process::all_processes() else { return Vec::new() };
    let mut children: BTreeMap<i32, Vec<Member>> = BTreeMap::new();
    for stat in processes.flatten().filter_map(|process| process.stat().ok()) {
        let member = Member { pid: stat.pid, name: stat.comm, state: stat.state };
        children.entry(stat.ppid).or_default().push(member);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        for member in children.remove(&parent).unwrap_or_default() {
            next.push(member.pid);
            found.push(member);
        }
    }
    found
}

/// CPU seconds of this process's reaped children.
pub fn reaped_cpu_seconds() -> f64 {
    Process::myself().and_then(|me| me.stat()).map_or(0.0, |stat| ticks(stat.cutime + stat.cstime))
}

fn ticks(n: i64) -> f64 {
    n as f64 / procfs::ticks_per_second() as f64
}

/// Samples the group below `guardian` (its descendants; the guardian's own use is not the runner's).
///
/// CPU: what the living used, with the children that they reaped, and what the guardian reaped. `None` when nothing of the
/// group could be read, or a figure of a living member could not: a zero in its place would flatter the curve. A zombie
/// holds nothing but its CPU time.
pub fn sample(guardian: i32, peak_before: u64) -> Option<OsSample> {
    let mut total = OsSample {
        cpu_seconds: Process::new(guardian)
            .and_then(|p| p.stat())
            .map(|s| ticks(s.cutime + s.cstime))
            .ok()?,
        rss_bytes: 0,
        peak_rss_bytes: 0,
        pss_bytes: 0,
        threads: 0,
        fds: 0,
        processes: 0,
    };
    for member in descendants(guardian) {
        let Ok(process) = Process::new(member.pid) else { continue };
        // Gone since it was listed: what it used is with whoever reaped it.
        let Ok(stat) = process.stat() else { continue };
        total.cpu_seconds += (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        total.cpu_seconds += ticks(stat.cutime + stat.cstime);
        if stat.state == 'Z' {
            continue;
        }
        let status = process.status().ok()?;
        total.rss_bytes += status.vmrss? * 1024;
        total.peak_rss_bytes += status.vmhwm? * 1024;
        total.pss_bytes += pss(member.pid)?;
        total.threads += stat.num_threads as u32;
        total.fds += process.fd_count().ok()? as u32;
        total.processes += 1;
    }
    total.peak_rss_bytes = total.peak_rss_bytes.max(peak_before);
    (total.processes > 0).then_some(total)
}

fn pss(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Who listens on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOwner {
    /// Pid and name, `pid 12 (python3)`.
    pub who: String,
    /// True when it is a descendant of the guardian.
    pub in_group: bool,
}

/// Finds the owner of the listening TCP socket at `address`. `None` when nobody listens there or the owner cannot be seen.
pub fn listener(address: SocketAddr, guardian: i32) -> Option<SocketOwner> {
    let tables = [procfs::net::tcp().unwrap_or_default(), procfs::net::tcp6().unwrap_or_default()];
    let inodes: BTreeSet<u64> = tables
        .iter()
        .flatten()
        .filter(|entry| entry.state == procfs::net::TcpState::Listen)
        .filter(|entry| {
            let ip = entry.local_address.ip();
            entry.local_address.port() == address.port() && (ip == address.ip() || ip.is_unspecified())
        })
        .map(|entry| entry.inode)
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let group: BTreeSet<i32> = descendants(guardian).into_iter().map(|member| member.pid).collect();
    // The group first: several processes may hold one socket, and one of ours among them is enough.
    let everyone = procfs::process::all_processes().ok()?.flatten().map(|process| process.pid);
    let others: Vec<i32> = everyone.filter(|pid| !group.contains(pid)).collect();
    group.iter().copied().chain(others).find_map(|pid| {
        let process = Process::new(pid).ok()?;
        let holds = process.fd().ok()?.flatten().any(
            |fd| matches!(fd.target, procfs::process::FDTarget::Socket(inode) if inodes.contains(&inode)),
        );
        let name = process.stat().map(|stat| stat.comm).unwrap_or_default();
        holds.then(|| SocketOwner { who: format!("pid {pid} ({name})"), in_group: group.contains(&pid) })
    })
}

/// The addresses beyond loopback that sockets of the group are connected to: what the runner really talks to.
pub fn remote_peers(guardian: i32) -> BTreeSet<std::net::IpAddr> {
    let inodes: BTreeSet<u64> = descendants(guardian)
        .into_iter()
        .filter_map(|member| Process::new(member.pid).ok()?.fd().ok())
        .flat_map(|fds| fds.flatten().collect::<Vec<_>>())
        .filter_map(|fd| match fd.target {
            procfs::process::FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    [procfs::net::tcp().unwrap_or_default(), procfs::net::tcp6().unwrap_or_default()]
        .iter()
        .flatten()
        .filter(|entry| entry.state == procfs::net::TcpState::Established && inodes.contains(&entry.inode))
        .map(|entry| entry.remote_address.ip())
        .filter(|ip| !ip.is_loopback())
        .collect()
}
