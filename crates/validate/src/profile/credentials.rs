//! Credentials that stand in an address, `http://user:password@host`: a profile is copied into every run folder, its report and its
//! manifest, so none may stand there. What is found is never repeated.

use super::Profile;
use serde_json::Value;

/// The key that holds some, and what to do instead.
pub(super) fn found(profile: &Profile) -> Option<(String, &'static str)> {
    walk("", &serde_json::to_value(profile).ok()?)
}

fn walk(path: &str, value: &Value) -> Option<(String, &'static str)> {
    match value {
        Value::String(text) => holds(text).then(|| (path.to_owned(), instead(path))),
        Value::Array(items) => items.iter().find_map(|item| walk(path, item)),
        Value::Object(table) => {
            table.iter().find_map(|(key, value)| walk(&super::check::join(path, key), value))
        }
        _ => None,
    }
}

fn instead(path: &str) -> &'static str {
    match path {
        "dashboard.grafana_url" => {
            "write the address alone, and set GRAFANA_TOKEN to the token of a service account"
        }
        "runner.metrics_url" => {
            "write the address alone: metrics are scraped without a password, from this machine's loopback"
        }
        _ => {
            "write the address alone, and hand the credentials over in the environment, which the runner inherits"
        }
    }
}

/// True when an address in the text has a user's part: any at all where a person's name has no business (`http`, `ws`), one with a
/// password elsewhere (`postgres://user@host` names a role).
pub(crate) fn holds(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let before = &text[..at];
        let scheme =
            before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_lowercase();
        let rest = &text[at + 3..];
        let word =
            &rest[..rest.find(|c: char| c.is_whitespace() || "\"'`<>".contains(c)).unwrap_or(rest.len())];
        let authority = &word[..word.find(['/', '?', '#']).unwrap_or(word.len())];
        let user = match authority.rsplit_once('@') {
            Some((user, _)) => user,
            // A password may hold a slash: then what looks like a port is none.
            None => match (authority.rsplit_once(':'), word.contains('@')) {
                (Some((_, port)), true) if !is_port(port) => authority,
                _ => return false,
            },
        };
        matches!(scheme.as_str(), "http" | "https" | "ws" | "wss") || user.contains(':')
    })
}

fn is_port(text: &str) -> bool {
    text.ends_with(']') || text.starts_with('{') || text.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_part_is_found_and_an_address_without_one_is_none() {
        for text in [
            "http://admin:canary@127.0.0.1:3000",
            "https://canary@host/x",
            "wss://a:canary@host",
            "redis://:canary@host/0",
            "--url=postgres://a:canary@h/d",
            "see http://h/ and http://a:b@h/",
            "http://a:can/ary@host",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in [
            "http://127.0.0.1:3000/d/x?by=a@b",
            "http://{metrics_addr}/metrics",
            "http://[::1]:3000/@x",
            "http://127.0.0.1:9100/@x",
            "postgres://arbitrage@127.0.0.1:5432/arbitrage",
            "mail to a:b@example.org",
            "x://",
        ] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn the_help_names_the_variable_that_there_is() {
        assert!(instead("dashboard.grafana_url").contains(crate::grafana::TOKEN));
        assert!(instead("runner.command").contains("environment"));
    }
}
