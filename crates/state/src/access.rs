//! The way to a Redis database: its address, and the password apart from it.

use crate::StateError;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

/// Address and password of a Redis database. Neither its `Debug` nor [`Access::place`] shows the password.
#[derive(Clone)]
pub struct Access {
    info: ConnectionInfo,
    place: String,
}

impl Access {
    /// From an address such as `redis://127.0.0.1:6379/0`, `rediss://user@host/1` or `unix:///run/redis.sock?db=2`.
    ///
    /// # Errors
    /// [`StateError::Address`].
    pub fn new(address: &str) -> Result<Self, StateError> {
        let info =
            address.into_connection_info().map_err(|_| StateError::Address(without_password(address)))?;
        Ok(Self { place: shown(&info), info })
    }

    /// From an address that everybody may read, before which goes the one in the environment variable `env`, which may hold a
    /// password. `at` is a `host:port` that takes the place of theirs.
    ///
    /// # Errors
    /// [`StateError::Address`]; [`StateError::PasswordInAddress`] when `address` holds one.
    pub fn resolve(address: &str, env: Option<&str>, at: Option<&str>) -> Result<Self, StateError> {
        let shown = Self::new(address)?;
        if shown.has_password() {
            return Err(StateError::PasswordInAddress(shown.place));
        }
        let secret = env.filter(|name| !name.is_empty()).and_then(|name| std::env::var(name).ok());
        let access = match secret.filter(|text| !text.is_empty()) {
            Some(secret) => Self::new(&secret)?,
            None => shown,
        };
        match at {
            Some(at) => access.at(at),
            None => Ok(access),
        }
    }

    /// The same database of the server at another `host:port`.
    fn at(self, at: &str) -> Result<Self, StateError> {
        let wrong = || StateError::Address(at.to_owned());
        let (host, port) = at.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let addr = match self.info.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        let info = self.info.set_addr(addr);
        Ok(Self { place: shown(&info), info })
    }

    /// True when the address holds a password.
    pub fn has_password(&self) -> bool {
        self.info.redis_settings().password().is_some()
    }

    /// For messages: the address without user and password.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Access").field(&self.place).finish()
    }
}

fn shown(info: &ConnectionInfo) -> String {
    let db = info.redis_settings().db();
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => format!("redis://{host}:{port}/{db}"),
        ConnectionAddr::TcpTls { host, port, .. } => format!("rediss://{host}:{port}/{db}"),
        ConnectionAddr::Unix(path) => format!("unix://{}?db={db}", path.display()),
        _ => "redis".to_owned(),
    }
}

/// An address as typed, for a message: what stands before an `@` may be a password, and so may a query.
fn without_password(address: &str) -> String {
    let address = address.split_once('?').map_or(address, |(head, _)| head);
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let access = Access::new("redis://ops:hunter2@10.0.0.1:7000/3").unwrap();
        assert_eq!(access.place(), "redis://10.0.0.1:7000/3");
        assert!(access.has_password() && !format!("{access:?}").contains("hunter2"));
        let refused = Access::resolve("redis://:hunter2@10.0.0.1", None, None).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
        for address in ["http://ops:hunter2@host", "redis://ops:hunter2@host/x", "ops:hunter2@host"] {
            let refused = Access::new(address).unwrap_err();
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn another_place_keeps_the_database() {
        let access = Access::resolve("redis://127.0.0.1:6379/2", None, Some("[::1]:7001")).unwrap();
        assert_eq!(access.place(), "redis://::1:7001/2");
        assert!(Access::resolve("redis://127.0.0.1", Some("ASSAY_NO_SUCH_VARIABLE"), None).is_ok());
        assert!(Access::resolve("redis://127.0.0.1", None, Some("nowhere")).is_err());
    }
}
