//! Prometheus.

use crate::process::{Process, ServiceError, free_port, program};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

/// A private Prometheus with its data in a temporary directory.
#[derive(Debug)]
pub struct Prometheus {
    _server: Process,
    port: u16,
    _place: TempDir,
}

impl Prometheus {
    /// Starts one on a configuration file (paths in it are relative to its folder).
    ///
    /// # Errors
    /// The package `prometheus` is missing, or the server does not come up.
    pub fn start(configuration: &Path) -> Result<Self, ServiceError> {
        let program = program(&[PathBuf::from("/usr/bin/prometheus")], "prometheus")?;
        let place = TempDir::with_prefix("prometheus-")
            .map_err(|e| ServiceError(format!("temporary directory: {e}")))?;
        let port = free_port().map_err(|e| ServiceError(format!("no free port: {e}")))?;
        let args = [
            format!("--config.file={}", configuration.display()),
            format!("--storage.tsdb.path={}", place.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let log = place.path().join("server.log");
        let mut server = Process::start(&program, &args, None, &log)?;
        server.wait_for(&log, || is_ready(port))?;
        Ok(Self { _server: server, port, _place: place })
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Runs `promtool` of the same package.
    ///
    /// # Errors
    /// The package `prometheus` is missing.
    pub fn promtool(args: &[&str], stdin: Option<std::fs::File>) -> Result<Output, ServiceError> {
        let program = program(&[PathBuf::from("/usr/bin/promtool")], "prometheus")?;
        let mut command = Command::new(&program);
        command.args(args);
        if let Some(file) = stdin {
            command.stdin(file);
        }
        command.output().map_err(|e| ServiceError(format!("cannot start {}: {e}", program.display())))
    }
}

/// Whether it answers as one that is ready: a port that is open may be somebody else's, or nobody reads from it yet.
fn is_ready(port: u16) -> bool {
    let attempt = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.") && answer.contains(" 200 ") && answer.contains("Prometheus"))
    };
    attempt().unwrap_or(false)
}
