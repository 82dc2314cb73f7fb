//! Redis.

use crate::process::{Process, ServiceError, accepts, free_port, program};
use rustix::process::Signal;
use std::path::PathBuf;
use tempfile::TempDir;

/// A private Redis with its append-only file, so that it keeps its data over a restart.
#[derive(Debug)]
pub struct Redis {
    server: Option<Process>,
    port: u16,
    place: TempDir,
    program: PathBuf,
}

impl Redis {
    /// Starts one.
    ///
    /// # Errors
    /// The package `redis-server` is missing, or the server does not come up.
    pub fn start() -> Result<Self, ServiceError> {
        let program = program(&[PathBuf::from("/usr/bin/redis-server")], "redis-server")?;
        let place =
            TempDir::with_prefix("redis-").map_err(|e| ServiceError(format!("temporary directory: {e}")))?;
        let port = free_port().map_err(|e| ServiceError(format!("no free port: {e}")))?;
        let mut server = Self { server: None, port, place, program };
        server.start_again()?;
        Ok(server)
    }

    /// Starts it after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port with the same data.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_again(&mut self) -> Result<(), ServiceError> {
        let log = self.place.path().join("server.log");
        let settings = [
            ("--port", self.port.to_string()),
            ("--bind", "127.0.0.1".to_owned()),
            ("--dir", self.place.path().display().to_string()),
            ("--appendonly", "yes".to_owned()),
            ("--maxmemory-policy", "noeviction".to_owned()),
        ];
        let args: Vec<String> =
            settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        let mut server = Process::start(&self.program, &args, None, &log)?;
        let port = self.port;
        server.wait_for(&log, || accepts(port))?;
        self.server = Some(server);
        Ok(())
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.end(Signal::TERM);
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.end(Signal::KILL);
        }
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database (0 to 15) as a connection URL.
    pub fn url(&self, database: u8) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.port)
    }
}
