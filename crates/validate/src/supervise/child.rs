//! The supervisor's side of a guarded process.

use super::guardian::{Event, Order};
use super::{group, guardian};
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The executable.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables to add to the environment.
    pub env: Vec<(String, String)>,
    /// Working folder; ours when `None`.
    pub cwd: Option<PathBuf>,
    /// The executable that is a guardian when called with `guardian -- PROGRAM ARGS`: normally our own.
    pub guardian: PathBuf,
    /// Run locks that the guardian shares until its group is empty.
    pub hold: Vec<PathBuf>,
}

/// Why a process could not be put under guard.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// A pipe, a socket or the guardian itself could not be made.
    #[error("cannot start a guarded process: {0}; check the limits on processes and open files (ulimit -a)")]
    Guardian(#[from] std::io::Error),
    /// The guardian could not start the program.
    #[error("{0}; check the runner's command in the profile")]
    Program(String),
}

/// A process under a guardian.
#[derive(Debug)]
pub struct Guarded {
    guardian: Child,
    control: UnixStream,
    /// The process itself (and its process group).
    pub pid: i32,
    /// Its standard output, taken once.
    pub stdout: Option<PipeReader>,
    /// Its standard error, taken once.
    pub stderr: Option<PipeReader>,
}

impl Guarded {
    /// Starts a program under a guardian. `on_event` is called on a thread of its own for every event after the start, and once
    /// with `None` when the guardian is gone.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn start(
        launch: &Launch,
        mut on_event: impl FnMut(Option<Event>) + Send + 'static,
    ) -> Result<Self, ChildError> {
        // If a guardian is killed, its descendants become ours, and `Drop` ends them.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        let (control, theirs) = UnixStream::pair()?;
        let (stdout, stdout_w) = std::io::pipe()?;
        let (stderr, stderr_w) = std::io::pipe()?;
        let mut command = Command::new(&launch.guardian);
        command
            .arg("guardian")
            .args(launch.hold.iter().flat_map(|path| ["--hold".as_ref(), path.as_os_str()]))
            .arg("--")
            .arg(&launch.program)
            .args(&launch.args)
            // Who is judged does not hold the key to the judge's evidence.
            .env_remove(crate::grafana::TOKEN)
            .envs(launch.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(stdout_w)
            .stderr(stderr_w)
            // A Ctrl-C in the terminal is for the supervisor, which ends things in order.
            .process_group(0);
        if let Some(cwd) = &launch.cwd {
            command.current_dir(cwd);
        }
        let guardian = command.spawn()?;
        drop(command);
        let mut lines = BufReader::new(control.try_clone()?).lines();
        let mut next =
            move || lines.next().and_then(Result::ok).and_then(|line| serde_json::from_str(&line).ok());
        match next() {
            Some(Event::Started { pid }) => {
                std::thread::spawn(move || {
                    while let Some(event) = next() {
                        on_event(Some(event));
                    }
                    on_event(None);
                });
                Ok(Self { guardian, control, pid, stdout: Some(stdout), stderr: Some(stderr) })
            }
            other => {
                let mut guardian = guardian;
                let _ = guardian.wait();
                let why = match other {
                    Some(Event::Failed { why }) => why,
                    _ => format!("the guardian of {} ended before it began", launch.program),
                };
                Err(ChildError::Program(why))
            }
        }
    }

    /// The guardian's pid: its descendants are the group.
    pub fn guardian_pid(&self) -> i32 {
        self.guardian.id() as i32
    }

    /// Lets a guardian that a signal has stopped go on: supervision depends on it.
    pub fn continue_guardian(&self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.guardian_pid()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::CONT);
        }
    }

    /// Sends a signal to the process's group.
    pub fn signal(&mut self, number: i32) {
        self.order(&Order::Signal(number));
    }

    /// Ends every descendant: SIGTERM, the grace, SIGKILL.
    pub fn end(&mut self, grace: Duration) {
        self.order(&Order::End(grace.as_millis() as u64));
    }

    fn order(&mut self, order: &Order) {
        // When the guardian is gone its event thread says so; there is nothing to tell it any more.
        if let Ok(mut line) = serde_json::to_vec(order) {
            line.push(b'\n');
            let _ = self.control.write_all(&line);
        }
    }

    /// Waits until the guardian has ended, that is until the group is empty; ends it by force after `timeout`, and ends
    /// whatever a killed guardian left behind.
    pub fn finish(&mut self, timeout: Duration) {
        let give_up = Instant::now() + timeout;
        while Instant::now() < give_up {
            if matches!(self.guardian.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill_everything();
    }

    /// Ends the guardian and everything below it by force: for a guardian that answers no more.
    pub fn kill_everything(&mut self) {
        let mut victims = group::descendants(self.guardian_pid());
        victims.push(group::Member { pid: self.pid, name: String::new(), state: 'S' });
        let _ = self.guardian.kill();
        let _ = self.guardian.wait();
        for victim in victims {
            // Adopted by us now (we are a subreaper), so the pid cannot have been given to a stranger before we reap it.
            if group::descendants(std::process::id() as i32).iter().any(|m| m.pid == victim.pid)
                && let Some(pid) = rustix::process::Pid::from_raw(victim.pid)
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            }
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if !matches!(self.guardian.try_wait(), Ok(Some(_))) {
            self.end(Duration::ZERO);
            self.finish(Duration::from_secs(2));
        }
        // A guardian that was killed from outside leaves its group to us.
        if group::descendants(std::process::id() as i32).iter().any(|m| m.pid == self.pid) {
            self.kill_everything();
        }
    }
}

/// Ends everything that this process has started or adopted. For the very end of a supervisor.
pub fn end_everything() {
    guardian::end_all(Duration::from_millis(200));
}
