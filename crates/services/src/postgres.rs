//! PostgreSQL.

use crate::process::{Process, ServiceError, free_port, program, unprivileged};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long children of a server that was killed may hold its shared memory.
const ORPHANS: Duration = Duration::from_secs(30);
/// What a server says that finds them.
const STILL_IN_USE: &str = "pre-existing shared memory block";

/// A private PostgreSQL: user and database `postgres`, no password, TCP on loopback only.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Process>,
    port: u16,
    place: TempDir,
    binaries: PathBuf,
    tls: bool,
}

impl Postgres {
    /// Makes a new cluster and starts it. It syncs its log to disk like a real one.
    ///
    /// # Errors
    /// The package `postgresql` is missing, or the server does not come up.
    pub fn start() -> Result<Self, ServiceError> {
        Self::start_in(&std::env::temp_dir())
    }

    /// As [`start`](Self::start), with its files in a folder of its own below this one.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_in(folder: &Path) -> Result<Self, ServiceError> {
        let binaries = binaries()?;
        let place = TempDir::with_prefix_in("postgres-", folder)
            .map_err(|e| ServiceError(format!("temporary directory: {e}")))?;
        let data = place.path().join("data");
        let failed = |e: std::io::Error| ServiceError(format!("{}: {e}", data.display()));
        std::fs::create_dir(&data).map_err(failed)?;
        let mut initdb = Command::new(binaries.join("initdb"));
        initdb.args([
            "--username",
            "postgres",
            "--auth",
            "trust",
            "--no-sync",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
        ]);
        initdb.arg("--pgdata").arg(&data).current_dir(place.path());
        if let Some((uid, gid)) = unprivileged() {
            for path in [place.path(), &data] {
                std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(failed)?;
            }
            initdb.uid(uid).gid(gid);
        }
        let made = initdb.output().map_err(failed)?;
        if !made.status.success() {
            return Err(ServiceError(format!("initdb: {}", String::from_utf8_lossy(&made.stderr))));
        }
        let port = free_port().map_err(failed)?;
        let mut server = Self { server: None, port, place, binaries, tls: false };
        server.start_again()?;
        Ok(server)
    }

    /// Starts it after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port with the same data.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_again(&mut self) -> Result<(), ServiceError> {
        let log = self.place.path().join("server.log");
        let path = |path: &Path| path.display().to_string();
        let mut args = vec!["-D".to_owned(), path(&self.place.path().join("data"))];
        for setting in [
            "listen_addresses=127.0.0.1",
            &format!("port={}", self.port),
            &format!("unix_socket_directories={}", path(self.place.path())),
            // Two cores and small machines: many private servers may run at once.
            "shared_buffers=16MB",
            "max_connections=60",
            // Shared memory below the data folder goes with it, after a kill as well.
            "dynamic_shared_memory_type=mmap",
        ] {
            args.extend(["-c".to_owned(), setting.to_owned()]);
        }
        if self.tls {
            args.extend(["-c".to_owned(), "ssl=on".to_owned()]);
        }
        let port = self.port;
        let begun = Instant::now();
        let server = loop {
            let known = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
            let mut server = Process::start(&self.binaries.join("postgres"), &args, unprivileged(), &log)?;
            match server.wait_for(&log, || answers(port)) {
                Ok(()) => break server,
                // Its children notice a moment later that it was killed.
                Err(_) if begun.elapsed() < ORPHANS && said_since(&log, known).contains(STILL_IN_USE) => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(error),
            }
        };
        self.server = Some(server);
        Ok(())
    }

    /// Starts it anew with a certificate and its key (PEM): every database but `postgres` is reached over TLS alone, each one with a
    /// password (scram-sha-256), which a user must have been given before.
    ///
    /// # Errors
    /// A file cannot be written, or it does not come up.
    pub fn secure(&mut self, certificate: &str, key: &str) -> Result<(), ServiceError> {
        const RULES: &str = "hostssl all all 127.0.0.1/32 scram-sha-256\n\
                             hostnossl postgres all 127.0.0.1/32 scram-sha-256\n";
        self.stop();
        let data = self.place.path().join("data");
        for (name, text) in [("server.crt", certificate), ("server.key", key), ("pg_hba.conf", RULES)] {
            let path = data.join(name);
            let failed = |e: std::io::Error| ServiceError(format!("{}: {e}", path.display()));
            std::fs::write(&path, text).map_err(failed)?;
            // A key that others may read is refused.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
            if let Some((uid, gid)) = unprivileged() {
                std::os::unix::fs::chown(&path, Some(uid), Some(gid)).map_err(failed)?;
            }
        }
        self.tls = true;
        self.start_again()
    }

    /// Ends it in order: connections are closed, the log is written.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.end(Signal::INT);
        }
    }

    /// Kills it, as a failing machine would; it recovers from its log when started again.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.end(Signal::KILL);
        }
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database as a connection URL. `postgres` exists from the start.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

fn said_since(log: &Path, known: u64) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let known = usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len());
    String::from_utf8_lossy(&bytes[known..]).into_owned()
}

/// The newest version that Debian has installed.
fn binaries() -> Result<PathBuf, ServiceError> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort();
    let newest = found.pop().map_or_else(|| PathBuf::from("/usr/lib/postgresql/15/bin"), |(_, path)| path);
    program(&[newest.join("postgres")], "postgresql").map(|_| newest)
}

/// Whether it lets a client in: an accepted connection alone may be answered with "the database system is starting up".
fn answers(port: u16) -> bool {
    let attempt = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        // Startup message, protocol 3.0 (PostgreSQL's documentation, "Message Formats"); `R` asks for or grants authentication.
        let parameters = b"user\0postgres\0database\0postgres\0\0";
        let length = u32::try_from(parameters.len() + 8).unwrap_or_default();
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&196_608_u32.to_be_bytes())?;
        stream.write_all(parameters)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind == *b"R")
    };
    attempt().unwrap_or(false)
}
