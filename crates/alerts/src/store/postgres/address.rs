//! Where a PostgreSQL is: from a URL, the environment and a password file, as libpq's documentation describes them. What is shown of
//! it never holds the password.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::model::AlertError;

/// How long one address may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// An address of a PostgreSQL, with its password. `Debug` and `Display` leave the password out.
#[derive(Clone)]
pub struct PostgresConfig {
    pub(super) config: Config,
    /// Certificates of authorities, PEM, that alone are trusted; the system's when there are none.
    pub(super) roots: Option<String>,
    shown: String,
}

impl std::fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PostgresConfig").field(&self.shown).finish()
    }
}

impl std::fmt::Display for PostgresConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl PostgresConfig {
    /// The URL in the environment variable `url_env` when that is set, else `url`; the password from there, from `PGPASSWORD`, or from
    /// the file of `PGPASSFILE`. `env` is the environment.
    ///
    /// Without `sslmode` a server on loopback is spoken to in clear and any other with TLS. TLS always checks the server's
    /// certificate: by the authorities in the file of `PGSSLROOTCERT`, or else by the system's.
    ///
    /// # Errors
    /// [`AlertError::Config`]: this is no such URL; it is not repeated.
    pub fn resolve(
        url: &str,
        url_env: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, AlertError> {
        let given = if url_env.is_empty() { None } else { env(url_env).filter(|text| !text.is_empty()) };
        let (text, of) = match &given {
            Some(text) => (text.as_str(), format!("the URL of {url_env}")),
            None => (url, "the URL of the alert store".to_owned()),
        };
        let wrong = |what: &str| {
            AlertError::Config(format!(
                "{of} {what}; write such as postgres://USER@HOST:5432/DATABASE, special characters of a password as %XX"
            ))
        };
        let scheme = ["postgres://", "postgresql://"].iter().find(|scheme| text.starts_with(**scheme));
        let scheme = scheme.ok_or_else(|| wrong("does not begin with postgres://"))?;
        // The reason of the parser may repeat a part of the text.
        let mut config: Config = text.parse().map_err(|_| wrong("cannot be read"))?;
        let odd = |host: &Host| matches!(host, Host::Tcp(name) if name.contains(['@', ':', ' ', '?']) && name.parse::<std::net::IpAddr>().is_err());
        if config.get_hosts().is_empty() || config.get_hosts().iter().any(odd) {
            return Err(wrong("names no host"));
        }
        if config.get_user().is_none() {
            return Err(wrong("names no user"));
        }
        if !text[scheme.len()..].contains("sslmode=") {
            let loopback = config.get_hosts().iter().all(is_local);
            config.ssl_mode(if loopback { SslMode::Disable } else { SslMode::Require });
        }
        config.connect_timeout(CONNECT).application_name("assay");
        let mut resolved = Self { shown: shown(&config), config, roots: None };
        if resolved.config.get_password().is_none()
            && let Some(password) = env("PGPASSWORD").or_else(|| resolved.password_of_file(env))
        {
            resolved.config.password(password);
        }
        if let Some(path) = env("PGSSLROOTCERT") {
            let pem = std::fs::read_to_string(&path)
                .map_err(|source| AlertError::Io { path: Path::new(&path).to_owned(), source })?;
            resolved.roots = Some(pem);
        }
        Ok(resolved)
    }

    /// [`Self::resolve`] in this process's environment, with `address` (`host:port`) in the place of the URL's. A password in `url` itself is
    /// refused: it stands in files that others read.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn found(url: &str, url_env: &str, address: Option<&str>) -> Result<Self, AlertError> {
        let has_password = url.parse::<Config>().is_ok_and(|config| config.get_password().is_some());
        if has_password {
            let what = "the URL of the alert store holds a password; passwords belong into the environment: the URL of `url_env`, \
                        PGPASSWORD, or the file of PGPASSFILE";
            return Err(AlertError::Config(what.to_owned()));
        }
        let found = Self::resolve(url, url_env, &|name| std::env::var(name).ok())?;
        let Some(address) = address else { return Ok(found) };
        let (host, port) = address
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse().ok()?)))
            .ok_or_else(|| AlertError::Config(format!("{address} is no host and port")))?;
        Ok(found.at(host.trim_start_matches('[').trim_end_matches(']'), port))
    }

    /// The same user, database and password on another host and port: a container's.
    #[must_use]
    pub fn at(&self, host: &str, port: u16) -> Self {
        let from = &self.config;
        let mut config = Config::new();
        config.host(host).port(port).ssl_mode(SslMode::Disable);
        config.connect_timeout(CONNECT).application_name("assay");
        if let Some(user) = from.get_user() {
            config.user(user);
        }
        if let Some(database) = from.get_dbname() {
            config.dbname(database);
        }
        if let Some(password) = from.get_password() {
            config.password(password);
        }
        Self { shown: shown(&config), config, roots: None }
    }

    /// Connects, brings the schema up to date, and asks for the server's name and version, such as `PostgreSQL 15.3`.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn version(&self) -> Result<String, AlertError> {
        super::Postgres::new(self)?.version()
    }

    /// The same with this password, when it has none.
    #[must_use]
    pub fn or_password(mut self, password: &str) -> Self {
        if self.config.get_password().is_none() {
            self.config.password(password);
        }
        self
    }

    /// The password of the first line that fits; a file that others may read is passed over, as libpq does.
    fn password_of_file(&self, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let path = env("PGPASSFILE")?;
        let mode = std::fs::metadata(&path).ok()?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!("{path} is passed over: others may read it; chmod 600 it");
            return None;
        }
        let text = std::fs::read_to_string(&path).ok()?;
        let host = match self.config.get_hosts().first()? {
            Host::Tcp(name) => name.clone(),
            Host::Unix(_) => "localhost".to_owned(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432).to_string();
        let user = self.config.get_user().unwrap_or_default();
        let wanted = [host.as_str(), &port, self.config.get_dbname().unwrap_or(user), user];
        text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let fields = fields(line);
            let fits = fields.len() == 5
                && wanted.iter().zip(&fields).all(|(want, have)| have == "*" || have == want);
            fits.then(|| fields[4].clone())
        })
    }
}

/// The fields of a line of a password file, `\` before a colon or itself taken away.
fn fields(line: &str) -> Vec<String> {
    let (mut out, mut escaped) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            ':' if !escaped => out.push(String::new()),
            c => {
                escaped = false;
                if let Some(last) = out.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    out
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

fn shown(config: &Config) -> String {
    let mut text = format!("postgres://{}@", config.get_user().unwrap_or_default());
    for (i, host) in config.get_hosts().iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let ports = config.get_ports();
        let port = ports.get(i).or(ports.first()).copied().unwrap_or(5432);
        // Writing to a String cannot fail.
        let _ = match host {
            Host::Tcp(name) => write!(text, "{comma}{name}:{port}"),
            Host::Unix(path) => write!(text, "{comma}{}:{port}", path.display()),
        };
    }
    text + "/" + config.get_dbname().or(config.get_user()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_password_is_taken_and_never_shown() {
        let env =
            |name: &str| (name == "STORE").then(|| "postgres://a:can%40ary@db.example:6000/d".to_owned());
        let c = PostgresConfig::resolve("postgres://b@127.0.0.1/x", "STORE", &env).unwrap();
        assert_eq!(c.config.get_password(), Some(&b"can@ary"[..]));
        assert_eq!(c.to_string(), "postgres://a@db.example:6000/d");
        assert!(!format!("{c:?}").contains("ary"));
        assert_eq!(c.config.get_ssl_mode(), SslMode::Require, "beyond loopback");
        let moved = c.at("127.0.0.1", 7000);
        assert_eq!(
            (moved.to_string().as_str(), moved.config.get_password()),
            ("postgres://a@127.0.0.1:7000/d", Some(&b"can@ary"[..]))
        );
        for text in [
            "mysql://a:canary@h/d",
            "postgres://a:can@ary@h/d",
            "postgres://a:canary@h:port/d",
            "postgres://a:canary@h/d?nonsense=canary",
            "postgres:///d?password=canary",
        ] {
            let e = PostgresConfig::resolve(text, "", &none).unwrap_err().to_string();
            assert!(!e.contains("canary") && !e.contains("ary@"), "{e}");
        }
    }

    #[test]
    fn passwords_come_from_the_environment_or_a_private_file() {
        let url = "postgres://user@127.0.0.1/base";
        let env = |name: &str| (name == "PGPASSWORD").then(|| "one".to_owned());
        let c = PostgresConfig::resolve(url, "", &env).unwrap();
        assert_eq!(c.config.get_password(), Some(&b"one"[..]));
        assert_eq!(c.config.get_ssl_mode(), SslMode::Disable, "loopback");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        std::fs::write(
            &path,
            "# a comment\nelsewhere:*:*:*:no\n127.0.0.1:5432:base:user:t\\:wo\\\\\n*:*:*:*:last\n",
        )
        .unwrap();
        let env = |name: &str| (name == "PGPASSFILE").then(|| path.display().to_string());
        for (mode, password) in [(0o644, None), (0o600, Some(&b"t:wo\\"[..]))] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(PostgresConfig::resolve(url, "", &env).unwrap().config.get_password(), password);
        }
    }
}
