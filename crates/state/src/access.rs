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
    /// [`StateError::Address`]; [`StateError::PasswordInAddress`] when both the address and `password` hold one, so that nobody
    /// wonders which is used.
    pub fn new(address: &str, password: Option<&str>) -> Result<Self, StateError> {
        let wrong = || StateError::Address(without_password(address));
        let mut info = address.into_connection_info().map_err(|_| wrong())?;
        let place = shown(&info);
        if let Some(password) = password {
            if info.redis_settings().password().is_some() {
                return Err(StateError::PasswordInAddress(place));
            }
            let settings = info.redis_settings().clone().set_password(password);
            info = info.set_redis_settings(settings);
        }
        Ok(Self { info, place })
    }

    /// True when a password came with the address or beside it.
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
        let access = Access::new("redis://ops:hunter2@10.0.0.1:7000/3", None).unwrap();
        assert_eq!(access.place(), "redis://10.0.0.1:7000/3");
        assert!(access.has_password() && !format!("{access:?}").contains("hunter2"));
        let refused = Access::new("redis://:hunter2@10.0.0.1", Some("other")).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
        for address in ["http://ops:hunter2@host", "redis://ops:hunter2@host/x", "ops:hunter2@host"] {
            let refused = Access::new(address, None).unwrap_err();
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
        assert!(Access::new("redis://127.0.0.1", Some("hunter2")).unwrap().has_password());
    }
}
