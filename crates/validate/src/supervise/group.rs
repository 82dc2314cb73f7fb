//! What `/proc` says about a group of processes: who belongs to it, what it uses, who owns a socket.
//!
//! Listing all processes is the dear part, so a poll takes one [`Snapshot`] and asks it everything.

use gate::evidence::OsSample;
use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// A process of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Pid.
    pub pid: i32,
    /// Its command's short name.
    pub name: String,
    /// State letter of `/proc/<pid>/stat`; `Z` is a zombie, `T` is stopped by a signal.
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

/// The state letter of a process; `None` when it is gone.
pub fn state_of(pid: i32) -> Option<char> {
    Process::new(pid).and_then(|process| process.stat()).ok().map(|stat| stat.state)
}

/// Samples the group below `guardian`; see [`Snapshot::sample`].
pub fn sample(guardian: i32, peak_before: u64) -> Option<OsSample> {
    Snapshot::below(guardian).sample(peak_before)
}

/// The owner of the listening TCP socket at `address`, as seen from the group below `guardian`; 0 is everybody.
pub fn listener(address: SocketAddr, guardian: i32) -> Option<SocketOwner> {
    Snapshot::below(guardian).sockets().listener(address)
}

/// Who listens on an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOwner {
    /// Pid and name, `pid 12 (python3)`.
    pub who: String,
    /// True when it belongs to the group.
    pub in_group: bool,
}

/// A group of processes at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Its members.
    pub members: Vec<Member>,
    /// CPU seconds of what the guardian has reaped; 0 without a guardian, `None` when it could not be read.
    reaped: Option<f64>,
}

impl Snapshot {
    /// The descendants of a guardian; the guardian's own use is not the runner's, what it reaped is.
    pub fn below(guardian: i32) -> Self {
        let reaped = Process::new(guardian).and_then(|p| p.stat()).map(|s| ticks(s.cutime + s.cstime)).ok();
        Self { members: descendants(guardian), reaped }
    }

    /// A process that we did not start, and its descendants.
    pub fn with(root: i32) -> Self {
        let stat = Process::new(root).and_then(|process| process.stat()).ok();
        let own = stat.map(|stat| Member { pid: stat.pid, name: stat.comm, state: stat.state });
        let members = own.into_iter().chain(descendants(root)).collect();
        // What it has reaped is in its own figures.
        Self { members, reaped: Some(0.0) }
    }

    /// A member that a signal has stopped (SIGSTOP, SIGTSTP).
    pub fn stopped(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.state == 'T')
    }

    /// What the group uses. CPU: what the living used, with the children that they reaped, and what the guardian reaped. `None`
    /// when nothing of the group could be read, or a figure of a living member could not: a zero in its place would flatter
    /// the curve. A zombie holds nothing but its CPU time.
    pub fn sample(&self, peak_before: u64) -> Option<OsSample> {
        let mut total = OsSample {
            cpu_seconds: self.reaped?,
            rss_bytes: 0,
            peak_rss_bytes: 0,
            pss_bytes: 0,
            threads: 0,
            fds: 0,
            processes: 0,
        };
        for member in &self.members {
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

    /// The sockets of the group, with the machine's table of connections.
    pub fn sockets(&self) -> Sockets {
        let mut held = BTreeMap::new();
        for member in &self.members {
            for inode in sockets_of(member.pid) {
                held.entry(inode).or_insert_with(|| member.clone());
            }
        }
        let tables = [procfs::net::tcp().unwrap_or_default(), procfs::net::tcp6().unwrap_or_default()];
        Sockets { held, table: tables.into_iter().flatten().collect() }
    }
}

/// Sockets of a group.
#[derive(Debug)]
pub struct Sockets {
    held: BTreeMap<u64, Member>,
    table: Vec<TcpNetEntry>,
}

impl Sockets {
    /// The owner of the listening TCP socket at `address`. `None` when nobody listens there or the owner cannot be seen.
    pub fn listener(&self, address: SocketAddr) -> Option<SocketOwner> {
        let inodes: BTreeSet<u64> = self
            .table
            .iter()
            .filter(|entry| entry.state == TcpState::Listen)
            .filter(|entry| {
                let ip = entry.local_address.ip();
                entry.local_address.port() == address.port() && (ip == address.ip() || ip.is_unspecified())
            })
            .map(|entry| entry.inode)
            .collect();
        if inodes.is_empty() {
            return None;
        }
        // The group first: several processes may hold one socket, and one of ours among them is enough.
        if let Some(member) = inodes.iter().find_map(|inode| self.held.get(inode)) {
            let who = format!("pid {} ({})", member.pid, member.name);
            return Some(SocketOwner { who, in_group: true });
        }
        procfs::process::all_processes().ok()?.flatten().find_map(|process| {
            let holds = sockets_of(process.pid).iter().any(|inode| inodes.contains(inode));
            let name = process.stat().map(|stat| stat.comm).unwrap_or_default();
            holds.then(|| SocketOwner { who: format!("pid {} ({name})", process.pid), in_group: false })
        })
    }

    /// The addresses beyond loopback that sockets of the group are connected to: what the runner really talks to.
    pub fn remote_peers(&self) -> BTreeSet<IpAddr> {
        self.table
            .iter()
            .filter(|entry| entry.state == TcpState::Established && self.held.contains_key(&entry.inode))
            .map(|entry| entry.remote_address.ip())
            .filter(|ip| !ip.is_loopback())
            .collect()
    }
}

/// Inodes of the sockets that a process holds; none when it cannot be read.
fn sockets_of(pid: i32) -> Vec<u64> {
    let fds = Process::new(pid).and_then(|process| process.fd());
    fds.into_iter()
        .flat_map(|fds| fds.flatten().collect::<Vec<_>>())
        .filter_map(|fd| match fd.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect()
}

fn pss(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
