//! Secrets: tokens, addresses and passwords of notifiers. From the environment or from files that only their owner reads, never
//! from a command line or a profile. Nothing here prints one: `Debug` and `Display` hide it, and [`scrub`] takes them out of
//! what libraries and other sides say.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::model::AlertError;

/// What stands where a secret stood.
const HIDDEN: &str = "***";
/// Shorter parts of an address are no secrets: `T0`, `bot`, `api`.
const SHORTEST_PART: usize = 6;
/// A larger file holds no secrets of ours.
const MAX_FILE: u64 = 64 * 1024;

/// The names that are read, each also as `NAME_FILE`: a file that holds the value alone.
pub const NAMES: [&str; 11] = [
    "TELEGRAM_BOT_TOKEN",
    "TELEGRAM_CHAT_ID",
    "SLACK_WEBHOOK_URL",
    "SMTP_HOST",
    "SMTP_PORT",
    "SMTP_USER",
    "SMTP_PASSWORD",
    "EMAIL_FROM",
    "EMAIL_TO",
    "WEBHOOK_URL",
    "WEBHOOK_SECRET",
];

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a value; white space around it goes.
    pub fn new(value: &str) -> Self {
        Self(value.trim().to_owned())
    }

    /// The value itself, for the one request that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// The text without these secrets: each whole, and the long parts of one that is an address or a list (`bot123:ABC`, the last
/// segments of a webhook's path).
pub(crate) fn scrub(text: &str, secrets: &[&Secret]) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for secret in secrets {
        parts.push(secret.expose());
        let path = secret.expose().split_once("://").map_or(secret.expose(), |(_, rest)| rest);
        // The host of an address is no secret, and helps; an account's name in a mail address is shown by nobody.
        parts.extend(
            path.split(['/', '?', '&', '=', ':', ',', ';', ' ', '<', '>', '\\'])
                .skip(usize::from(path != secret.expose())),
        );
    }
    parts.retain(|part| part.len() >= SHORTEST_PART);
    parts.extend(secrets.iter().map(|secret| secret.expose()).filter(|whole| !whole.is_empty()));
    // The longest first: no part of one is left beside the mark of another.
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.dedup();
    let mut out = text.to_owned();
    for part in parts {
        // A port or another short number would tear ordinary words apart.
        if part.len() >= 4 && out.contains(part) {
            out = out.replace(part, HIDDEN);
        }
    }
    out
}

/// The secrets that this process was given.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<&'static str, Secret>);

impl Secrets {
    /// From the environment, and for what is not there from a file of lines `NAME=value`.
    ///
    /// # Errors
    /// [`AlertError::Config`]: a file cannot be read, may be read by others, or names what is no secret of ours. The value is in no message.
    pub fn from_environment(file: Option<&Path>) -> Result<Self, AlertError> {
        Self::load(|name| std::env::var_os(name), file)
    }

    /// As [`Self::from_environment`], from any source of variables.
    ///
    /// # Errors
    /// As there.
    pub fn load(get: impl Fn(&str) -> Option<OsString>, file: Option<&Path>) -> Result<Self, AlertError> {
        let mut found = match file {
            Some(path) => parse(path, &private_text(path)?)?,
            None => BTreeMap::new(),
        };
        for name in NAMES {
            let named = format!("{name}_FILE");
            if let Some(path) = get(&named).filter(|path| !path.is_empty()) {
                found.insert(name, Secret::new(&private_text(Path::new(&path))?));
            }
            if let Some(value) = get(name).filter(|value| !value.is_empty()) {
                let text =
                    value.into_string().map_err(|_| AlertError::Config(format!("{name} is not UTF-8")))?;
                found.insert(name, Secret::new(&text));
            }
        }
        Ok(Self(found))
    }

    /// A secret, when it was given.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// A secret that a notifier cannot do without.
    ///
    /// # Errors
    /// [`AlertError::Config`] with what to set.
    pub(crate) fn need(&self, notifier: &str, name: &str) -> Result<Secret, AlertError> {
        self.get(name).cloned().ok_or_else(|| {
            AlertError::Config(format!(
                "the notifier {notifier} needs {name}; set it in the environment, or {name}_FILE, or the secrets file"
            ))
        })
    }
}

/// Reads a file that belongs to its owner alone.
fn private_text(path: &Path) -> Result<String, AlertError> {
    let wrong = |what: String| AlertError::Config(format!("{}: {what}", path.display()));
    let meta = std::fs::metadata(path).map_err(|e| wrong(format!("{e}; check the path of the secrets")))?;
    if meta.mode() & 0o077 != 0 {
        return Err(wrong(format!(
            "others may read this file of secrets (mode {:03o}); run chmod 600 on it",
            meta.mode() & 0o777
        )));
    }
    if meta.len() > MAX_FILE {
        return Err(wrong("the file is too long to hold secrets".to_owned()));
    }
    std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))
}

/// Lines `NAME=value`; empty lines and those that begin with `#` say nothing, quotes around a value go.
fn parse(path: &Path, text: &str) -> Result<BTreeMap<&'static str, Secret>, AlertError> {
    let mut found = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The line itself may be a secret that was typed wrongly: only its number is told.
        let wrong =
            |what: &str| AlertError::Config(format!("{}: line {}: {what}", path.display(), number + 1));
        let (name, value) = line.split_once('=').ok_or_else(|| wrong("is not NAME=value"))?;
        let name = name.trim().trim_start_matches("export ").trim();
        let known = NAMES.into_iter().find(|known| *known == name);
        let known =
            known.ok_or_else(|| wrong(&format!("names no secret; there are {}", NAMES.join(", "))))?;
        let value = value.trim();
        let bare = ['"', '\''].into_iter().find_map(|q| value.strip_prefix(q)?.strip_suffix(q));
        found.insert(known, Secret::new(bare.unwrap_or(value)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("123:AbC\n");
        assert_eq!(secret.expose(), "123:AbC");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
    }

    #[test]
    fn what_others_say_is_scrubbed_of_whole_secrets_and_their_parts() {
        let token = Secret::new("110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw");
        let text =
            "error for url (https://api.telegram.org/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/getMe)";
        assert_eq!(scrub(text, &[&token]), "error for url (https://api.telegram.org/bot***/getMe)");
        assert_eq!(scrub("token AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", &[&token]), "token ***");
        let hook =
            Secret::new("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX");
        assert_eq!(
            scrub("no XXXXXXXXXXXXXXXXXXXXXXXX at hooks.slack.com", &[&hook]),
            "no *** at hooks.slack.com"
        );
        assert_eq!(scrub("all well", &[&Secret::new("")]), "all well");
    }

    #[test]
    fn the_environment_comes_before_files_and_files_must_be_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        std::fs::write(&file, "# ours\nexport SMTP_HOST=mail.example\nSMTP_USER = \"u\"\n").unwrap();
        let chmod = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        chmod(0o640);
        let none = |_: &str| None;
        let error = Secrets::load(none, Some(&file)).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        chmod(0o600);
        let own = folder.path().join("password");
        std::fs::write(&own, "p\n").unwrap();
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o600)).unwrap();
        let get = |name: &str| match name {
            "SMTP_USER" => Some(OsString::from("other")),
            "SMTP_PASSWORD_FILE" => Some(own.clone().into_os_string()),
            _ => None,
        };
        let secrets = Secrets::load(get, Some(&file)).unwrap();
        let shown = |name| secrets.get(name).map(|s: &Secret| s.expose().to_owned());
        assert_eq!(shown("SMTP_HOST").as_deref(), Some("mail.example"));
        assert_eq!(shown("SMTP_USER").as_deref(), Some("other"));
        assert_eq!(shown("SMTP_PASSWORD").as_deref(), Some("p"));
        assert_eq!(shown("SLACK_WEBHOOK_URL"), None);
        std::fs::write(&file, "SMTP_HOST mail\n").unwrap();
        let error = Secrets::load(none, Some(&file)).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("mail\n"), "{error}");
    }
}
