//! A server as a child process that cannot outlive the test.

use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A server could not be started; says what to do about it.
#[derive(Debug)]
pub struct ServiceError(pub String);

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServiceError {}

/// A port of loopback that was free a moment ago.
///
/// # Errors
/// None is left.
pub fn free_port() -> io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().map(|address| address.port())
}

/// The first of these programs that exists: absolute paths, so that nothing else of that name is started.
pub(crate) fn program(places: &[PathBuf], package: &str) -> Result<PathBuf, ServiceError> {
    places.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        ServiceError(format!(
            "{} not found; `cargo xtask test` installs it, or: apt-get install {package}",
            places.first().map_or_else(String::new, |path| path.display().to_string())
        ))
    })
}

/// The user that servers run as when the tests run as root: PostgreSQL refuses root.
pub(crate) fn unprivileged() -> Option<(u32, u32)> {
    user("postgres").or_else(|| user("nobody"))
}

/// The ids of a user, when the tests run as root and there is one of that name.
pub(crate) fn user(name: &str) -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Lives as long as the server: the kernel kills a child when the thread that started it ends.
    _starter: mpsc::Sender<()>,
}

impl Process {
    /// Starts a program with its output in a file. It is killed when this process ends, however that happens.
    pub(crate) fn start(
        program: &Path,
        args: &[String],
        user: Option<(u32, u32)>,
        log: &Path,
    ) -> Result<Self, ServiceError> {
        let out = std::fs::File::options().create(true).append(true).open(log);
        let out = out.map_err(|e| ServiceError(format!("{}: {e}", log.display())))?;
        let err = out.try_clone().map_err(|e| ServiceError(format!("{}: {e}", log.display())))?;
        // util-linux's `setpriv` asks for the signal after it has taken the other user's id.
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig").arg("KILL");
        if let Some((uid, gid)) = user {
            command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
        }
        command.arg(program).args(args).stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let (started, child) = mpsc::channel();
        let (starter, ended) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            let _ = started.send(command.spawn());
            let _ = ended.recv();
        });
        let child = child.recv().map_err(|e| ServiceError(e.to_string()))?;
        let child = child.map_err(|e| ServiceError(format!("cannot start {}: {e}", program.display())))?;
        Ok(Self { child, _starter: starter })
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end(&mut self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
        let _ = self.child.wait();
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits until `ready` says so, at most a minute: a busy machine starts servers slowly.
    pub(crate) fn wait_for(
        &mut self,
        log: &Path,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), ServiceError> {
        let begun = Instant::now();
        while !ready() {
            if self.has_ended() || begun.elapsed() > Duration::from_secs(60) {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                return Err(ServiceError(format!("the server did not come up; it said:\n{said}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

/// Whether somebody accepts connections there.
pub(crate) fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}
