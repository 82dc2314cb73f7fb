//! The guardian process: `assay guardian [--hold LOCK]... -- PROGRAM ARGS`. Not for people; the supervisor starts it.
//!
//! Its standard input is a Unix socket to the supervisor: commands come in, [`Event`]s go out, one JSON object a line, and
//! its end means that the supervisor is gone. Standard output and error are the runner's: the guardian hands them on and keeps no copy,
//! so that the supervisor sees the end of the pipes when the runner's last holder is gone.

use super::group;
use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What the supervisor may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Send this signal number to the runner's process group.
    Signal(i32),
    /// End every descendant: SIGTERM, this many milliseconds, SIGKILL.
    End(u64),
}

/// What the guardian tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The runner runs.
    Started {
        /// Its pid, which is its process group as well.
        pid: i32,
    },
    /// It could not be started.
    Failed {
        /// Why.
        why: String,
    },
    /// It ended.
    Exited {
        /// Exit code.
        code: Option<i32>,
        /// Signal number.
        signal: Option<i32>,
        /// Descendants that were alive at that moment: `pid 12 (sleep)`.
        leftovers: Vec<String>,
    },
    /// No descendant is left.
    Empty {
        /// CPU seconds of everything that was reaped.
        cpu_seconds: f64,
    },
}

/// How long descendants that outlive the runner may take to end after SIGTERM.
const LEFTOVER_GRACE: Duration = Duration::from_millis(500);
/// How often what does not die is killed again: a process may be forked while the others are being killed.
const KILL_AGAIN: Duration = Duration::from_millis(50);

enum Heard {
    Order(Order),
    Reaped(Pid, WaitStatus),
    /// There is no child left, and therefore no descendant: orphans become our children.
    Empty,
    SupervisorGone,
}

/// Runs the guardian until no descendant is left: `[--hold LOCK]... -- PROGRAM ARGS`. Never returns an error to the shell: what
/// fails is told to the supervisor.
pub fn main(words: &[String]) {
    // Orphans of the runner become our children instead of init's.
    let subreaper = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let Ok(socket) = rustix::stdio::stdin().as_fd().try_clone_to_owned() else { return };
    let mut socket = UnixStream::from(socket);
    let Ok(listening) = socket.try_clone() else { return };
    let started =
        subreaper.map_err(|e| format!("cannot adopt orphans (prctl): {e}")).and_then(|()| start(words));
    // The run lock stays held until this process ends, that is until the group is empty.
    let (child, _held) = match started {
        Ok(started) => started,
        Err(why) => {
            tell(&mut socket, &Event::Failed { why });
            end_all(Duration::ZERO);
            return;
        }
    };
    let (tx, heard) = mpsc::channel();
    let reaper = tx.clone();
    std::thread::spawn(move || listen(listening, &tx));
    std::thread::spawn(move || reap(&reaper));
    drop_output();
    let pid = child.id() as i32;
    tell(&mut socket, &Event::Started { pid });
    watch(pid, &mut socket, &heard);
}

fn start(words: &[String]) -> Result<(Child, Vec<File>), String> {
    let split = words.iter().position(|word| word == "--").ok_or("no command after --")?;
    let mut held = Vec::new();
    for path in words[..split].iter().filter(|word| *word != "--hold") {
        held.push(hold(path).map_err(|e| format!("cannot share the run lock {path}: {e}"))?);
    }
    let (program, args) = words[split + 1..].split_first().ok_or("no command after --")?;
    let child = Command::new(program).args(args).stdin(Stdio::null()).process_group(0).spawn();
    child.map(|child| (child, held)).map_err(|e| format!("cannot start {program}: {e}"))
}

/// A share of a lock that the supervisor holds: as long as we live, nobody gets it for himself.
fn hold(path: &str) -> std::io::Result<File> {
    let file = File::open(path)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared)?;
    Ok(file)
}

/// Sleeps until a child ends, again and again.
fn reap(tx: &mpsc::Sender<Heard>) {
    loop {
        let heard = match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => Heard::Reaped(pid, status),
            Ok(None) | Err(rustix::io::Errno::INTR) => continue,
            Err(_) => Heard::Empty,
        };
        let last = matches!(heard, Heard::Empty);
        if tx.send(heard).is_err() || last {
            return;
        }
    }
}

/// Replaces our copies of the runner's output pipes with `/dev/null`.
fn drop_output() {
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}

fn listen(socket: UnixStream, tx: &mpsc::Sender<Heard>) {
    for line in BufReader::new(socket).lines() {
        let Ok(line) = line else { break };
        if let Ok(order) = serde_json::from_str(&line)
            && tx.send(Heard::Order(order)).is_err()
        {
            return;
        }
    }
    let _ = tx.send(Heard::SupervisorGone);
}

fn tell(socket: &mut UnixStream, event: &Event) {
    // A supervisor that cannot be told is gone, which the listener notices.
    if let Ok(mut line) = serde_json::to_vec(event) {
        line.push(b'\n');
        let _ = socket.write_all(&line);
    }
}

fn watch(pid: i32, socket: &mut UnixStream, heard: &mpsc::Receiver<Heard>) {
    let mut ended = false;
    let mut kill_at: Option<Instant> = None;
    loop {
        let next = match kill_at {
            Some(at) => heard.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => heard.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
        };
        match next {
            // Once it is reaped its number may be somebody else's.
            Ok(Heard::Order(Order::Signal(number))) if !ended => signal_group(pid, number),
            Ok(Heard::Order(Order::Signal(_))) => {}
            Ok(Heard::Order(Order::End(grace_ms))) => {
                signal_descendants(Signal::TERM);
                kill_at = Some(Instant::now() + Duration::from_millis(grace_ms));
            }
            Ok(Heard::Reaped(who, status)) if who.as_raw_nonzero().get() == pid => {
                ended = true;
                tell(socket, &exited(status, names()));
                signal_descendants(Signal::TERM);
                kill_at = Some(Instant::now() + LEFTOVER_GRACE);
            }
            Ok(Heard::Reaped(..)) => {}
            Ok(Heard::Empty) => {
                tell(socket, &Event::Empty { cpu_seconds: group::reaped_cpu_seconds() });
                return;
            }
            Ok(Heard::SupervisorGone) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                end_all(Duration::ZERO);
                return;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                signal_descendants(Signal::KILL);
                kill_at = Some(Instant::now() + KILL_AGAIN);
            }
        }
    }
}

fn exited(status: WaitStatus, leftovers: Vec<String>) -> Event {
    Event::Exited { code: status.exit_status(), signal: status.terminating_signal(), leftovers }
}

fn names() -> Vec<String> {
    group::descendants(std::process::id() as i32)
        .iter()
        .filter(|process| process.state != 'Z')
        .map(|process| format!("pid {} ({})", process.pid, process.name))
        .collect()
}

fn signal_group(pid: i32, number: i32) {
    if let (Some(group), Some(signal)) = (Pid::from_raw(pid), Signal::from_named_raw(number)) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

fn signal_descendants(signal: Signal) {
    for process in group::descendants(std::process::id() as i32) {
        if let Some(pid) = Pid::from_raw(process.pid) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// Ends every descendant of this process: SIGTERM when there is a grace, then SIGKILL until none is left.
pub fn end_all(grace: Duration) {
    let own = std::process::id() as i32;
    if !grace.is_zero() {
        signal_descendants(Signal::TERM);
    }
    let kill_at = Instant::now() + grace;
    // A process stuck in the kernel cannot be killed; waiting for it for ever would help nobody.
    let give_up = kill_at + Duration::from_secs(10);
    while Instant::now() < give_up {
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        if group::descendants(own).is_empty() {
            return;
        }
        if Instant::now() >= kill_at {
            signal_descendants(Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
