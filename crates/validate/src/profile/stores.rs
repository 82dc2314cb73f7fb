//! `[stores]`: where alerts and state are kept. What the kinds mean is told here; opening a store lives in `alerts` and the
//! runner, finding a container in preflight.

use super::{Loaded, Profile, ProfileError, load};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The two stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stores {
    /// Rows of alerts of earlier runs stay in a shared store for this many days; 0 keeps them for ever.
    #[serde(default = "retention")]
    pub alert_retention_days: u32,
    /// How long a container may take to come up, seconds. It is no part of the profile's pace.
    #[serde(default = "start_within")]
    pub start_within_s: u32,
    /// Preflight empties the state store's database as a whole, instead of removing the keys of this profile's ended runs: only when it is
    /// Assay's alone, otherwise preflight fails.
    #[serde(default)]
    pub flush_state: bool,
    /// Alert store: SQLite or PostgreSQL.
    pub alerts: StoreChoice,
    /// State store: files or Redis.
    pub state: StoreChoice,
}

const fn retention() -> u32 {
    30
}

const fn start_within() -> u32 {
    60
}

/// One store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreChoice {
    /// Which kind.
    pub kind: StoreKind,
    /// The server of `url`, and user and database of `docker`; never with a password.
    pub url: String,
    /// The environment variable whose URL goes before `url`; it may hold a password.
    pub url_env: String,
    /// The compose service of `docker`.
    pub service: String,
}

/// Kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// Files in the run folder.
    Embedded,
    /// A server that is there.
    Url,
    /// A service of the compose file, started when it does not run.
    Docker,
}

impl StoreKind {
    /// As in a profile and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Url => "url",
            Self::Docker => "docker",
        }
    }
}

impl StoreChoice {
    /// A store in files.
    pub const fn embedded() -> Self {
        Self { kind: StoreKind::Embedded, url: String::new(), url_env: String::new(), service: String::new() }
    }

    /// The PostgreSQL of the alert store, with its password; `None` when it is embedded. `address` is where a container's port was
    /// published.
    ///
    /// # Errors
    /// [`alerts::AlertError::Config`].
    pub fn postgres(
        &self,
        address: Option<&str>,
    ) -> Result<Option<alerts::PostgresConfig>, alerts::AlertError> {
        match self.kind {
            StoreKind::Embedded => Ok(None),
            StoreKind::Url | StoreKind::Docker => {
                alerts::PostgresConfig::found(&self.url, &self.url_env, address).map(Some)
            }
        }
    }

    /// One phrase for the report: the kind, and the server without a password.
    pub fn said(&self) -> String {
        match self.kind {
            StoreKind::Embedded => "embedded".to_owned(),
            StoreKind::Url => format!("url {}", self.url),
            StoreKind::Docker => format!("docker {}", self.service),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    kind: StoreKind,
    url: String,
    url_env: String,
    service: String,
}

/// A table; or the word `embedded` alone, which is how runs of versions without other stores recorded it.
impl<'de> Deserialize<'de> for StoreChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = StoreChoice;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table with kind, url, url_env and service")
            }
            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<StoreChoice, E> {
                if word == "embedded" {
                    Ok(StoreChoice::embedded())
                } else {
                    Err(E::custom(format!(
                        "the store {word:?} needs a table with kind, url, url_env and service"
                    )))
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StoreChoice, A::Error> {
                let f = Fields::deserialize(MapAccessDeserializer::new(map)).map_err(A::Error::custom)?;
                Ok(StoreChoice { kind: f.kind, url: f.url, url_env: f.url_env, service: f.service })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Profile {
    /// The PostgreSQL that holds the alerts of this profile's runs; `None` when a run keeps its own in its folder, as a runner that is
    /// not ours always does.
    ///
    /// # Errors
    /// [`alerts::AlertError::Config`].
    pub fn alert_server(
        &self,
        address: Option<&str>,
    ) -> Result<Option<alerts::PostgresConfig>, alerts::AlertError> {
        if self.runner.own_contract { self.stores.alerts.postgres(address) } else { Ok(None) }
    }
}

impl Loaded {
    /// `--stack`: both stores of one kind. The stores are free to choose: a profile of record stays one.
    ///
    /// # Errors
    /// [`ProfileError`] when the profile cannot be written down any more.
    pub fn with_stack(mut self, kind: StoreKind) -> Result<Self, ProfileError> {
        self.profile.stores.alerts.kind = kind;
        self.profile.stores.state.kind = kind;
        self.hash = load::hash(&self.profile)?;
        Ok(self)
    }
}

/// What is wrong with the section: the key, the sentence, what to do. A URL is not repeated: it may hold a password.
pub(super) fn wrong(stores: &Stores) -> Option<(String, String, &'static str)> {
    let each = [
        ("alerts", &stores.alerts, &["postgres://", "postgresql://"][..]),
        ("state", &stores.state, &["redis://", "rediss://"]),
    ];
    for (name, store, schemes) in each {
        let path = format!("stores.{name}.url");
        let Some(scheme) = schemes.iter().find(|scheme| store.url.starts_with(**scheme)) else {
            if store.kind == StoreKind::Embedded {
                continue;
            }
            let help = "write such as \"postgres://arbitrage@127.0.0.1:5432/arbitrage\" or \"redis://127.0.0.1:6379/0\"";
            return Some((path.clone(), format!("`{path}` does not begin with {}", schemes[0]), help));
        };
        let rest = &store.url[scheme.len()..];
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        // The last `@` ends the user's part; a password may hold one.
        let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
        if authority.is_empty() || user.contains(':') || rest.contains("password=") {
            let what = format!("`{path}` holds a password, or names no host");
            let help = "passwords belong into the environment: the URL of `url_env`, PGPASSWORD, or the file of PGPASSFILE";
            return Some((path, what, help));
        }
        if store.kind == StoreKind::Docker && store.service.is_empty() {
            let path = format!("stores.{name}.service");
            return Some((
                path.clone(),
                format!("`{path}` is empty"),
                "name the service of the compose file",
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_earlier_versions_recorded_is_read() {
        let old: Stores = serde_json::from_str(r#"{"alerts":"embedded","state":"embedded"}"#).unwrap();
        assert_eq!((old.alerts.kind, old.alert_retention_days), (StoreKind::Embedded, 30));
        let text = serde_json::to_string(&old).unwrap();
        assert_eq!(serde_json::from_str::<Stores>(&text).unwrap(), old);
        assert!(serde_json::from_str::<Stores>(r#"{"alerts":"docker","state":"embedded"}"#).is_err());
    }

    #[test]
    fn a_password_in_a_profile_is_refused_and_not_repeated() {
        for url in
            ["postgres://a:canary@h/d", "postgres://h/d?user=a&password=canary", "postgres://a:can@ary@h/d"]
        {
            let mut choice = StoreChoice::embedded();
            (choice.kind, choice.url) = (StoreKind::Url, url.to_owned());
            let stores = Stores {
                alert_retention_days: 1,
                start_within_s: 60,
                flush_state: false,
                alerts: choice,
                state: StoreChoice::embedded(),
            };
            let (path, what, help) = wrong(&stores).unwrap();
            assert_eq!(path, "stores.alerts.url");
            assert!(!format!("{what}{help}").contains("canary"));
        }
    }
}
