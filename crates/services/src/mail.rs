//! A mail server: Exim, which speaks SMTP with STARTTLS and AUTH like those of providers, and puts what it takes into a file.

use crate::process;
use crate::process::{Process, ServiceError, accepts, free_port, program};
use std::path::PathBuf;
use tempfile::TempDir;

/// A private Exim with one account. It takes mail to `example.com` after a login over TLS, and nothing else.
#[derive(Debug)]
pub struct Mail {
    _server: Process,
    port: u16,
    place: TempDir,
}

impl Mail {
    /// Starts one with a certificate and key for `localhost` (PEM), and an account.
    ///
    /// # Errors
    /// The package `exim4-daemon-light` is missing, or the server does not come up.
    pub fn start(certificate: &str, key: &str, user: &str, password: &str) -> Result<Self, ServiceError> {
        let program = program(&[PathBuf::from("/usr/sbin/exim4")], "exim4-daemon-light")?;
        let place =
            TempDir::with_prefix("exim-").map_err(|e| ServiceError(format!("temporary directory: {e}")))?;
        let root = place.path();
        let failed = |e: std::io::Error| ServiceError(format!("{}: {e}", root.display()));
        let port = free_port().map_err(failed)?;
        let configuration = configuration(&root.display().to_string(), port, user, password);
        let files = [("exim.conf", configuration.as_str()), ("cert.pem", certificate), ("key.pem", key)];
        for (name, text) in files {
            std::fs::write(root.join(name), text).map_err(failed)?;
        }
        for folder in ["spool", "log"] {
            std::fs::create_dir(root.join(folder)).map_err(failed)?;
        }
        // Only its own user, or root, may run it as a daemon.
        let ids = process::user("Debian-exim");
        if let Some((uid, gid)) = ids {
            for path in ["", "exim.conf", "cert.pem", "key.pem", "spool", "log"] {
                std::os::unix::fs::chown(root.join(path), Some(uid), Some(gid)).map_err(failed)?;
            }
        }
        let log = root.join("server.log");
        let args = ["-C".to_owned(), root.join("exim.conf").display().to_string(), "-bdf".to_owned()];
        let mut server = Process::start(&program, &args, ids, &log)?;
        server.wait_for(&log, || accepts(port))?;
        Ok(Self { _server: server, port, place })
    }

    /// Its port on 127.0.0.1; it calls itself `localhost`.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Every mail that was delivered, one behind the other as a mailbox.
    pub fn delivered(&self) -> String {
        std::fs::read_to_string(self.place.path().join("mailbox")).unwrap_or_default()
    }

    /// What it says of itself: the logs of its start and of its work.
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.place.path().join(name)).unwrap_or_default();
        ["server.log", "log/main", "log/reject", "log/panic"].map(read).concat()
    }
}

/// Exim's specification, chapters 14 (main), 33 (authenticators), 42 (TLS) and 43 (access control lists).
fn configuration(root: &str, port: u16, user: &str, password: &str) -> String {
    format!(
        "keep_environment =
primary_hostname = localhost
spool_directory = {root}/spool
log_file_path = {root}/log/%s
pid_file_path = {root}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts = *
tls_certificate = {root}/cert.pem
tls_privatekey = {root}/key.pem
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
acl_smtp_rcpt = acl_rcpt
host_lookup =
rfc1413_query_timeout = 0s
deliver_drop_privilege = true
queue_run_in_order = true

begin acl
acl_rcpt:
  deny message = relay not permitted
       !authenticated = *
  accept domains = example.com
  deny message = relay not permitted

begin routers
all:
  driver = accept
  transport = mailbox

begin transports
mailbox:
  driver = appendfile
  file = {root}/mailbox
  delivery_date_add
  envelope_to_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
"
    )
}
