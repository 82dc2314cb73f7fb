//! What a profile says of alert delivery: which notifiers, in which chains, in what batches. Its keys are those of `[alerts]` in a
//! profile and of `[alerts.delivery]` in the runner's configuration. Secrets are no part of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use catalogue::{Severity, alert_rule};
use serde::{Deserialize, Serialize};

use crate::config::{
    EMAIL, KNOWN_NOTIFIERS, LOCAL_LOG, NotifierConfig, RetryPolicy, SLACK, TELEGRAM, WEBHOOK,
};
use crate::model::AlertError;
use crate::notifier::EmailConfig;
use crate::routes::{Batch, Routes};
use crate::secret::{Secret, Secrets};

/// The value of `env` that chooses the default routes of production.
pub const PRODUCTION: &str = "production";
/// The port of mail submission (RFC 6409).
const SUBMISSION: u16 = 587;

/// Alert delivery, as a profile spells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelSettings {
    /// The notifiers in the order of preference: `telegram`, `slack`, `email`, `webhook`, `local_log`. Empty: the local log alone.
    pub notifiers: Vec<String>,
    /// The local log ends every chain.
    pub local_log: bool,
    /// The notifier that gets what has no chain, as one message at a time; empty: it is stored only.
    pub batch_to: String,
    /// How often, seconds.
    pub batch_every_s: u64,
    /// Attempts of a delivery in all, before the next notifier of the chain takes over.
    pub attempts: u32,
    /// Pause after the first failed attempt, milliseconds; it doubles each time.
    pub first_retry_ms: u64,
    /// A notifier that takes longer has failed, milliseconds.
    pub timeout_ms: u64,
    /// A file of lines `NAME=value` with mode 0600, for the secrets that are not in the environment; empty: none.
    pub secrets_file: String,
    /// Base address of Telegram's Bot API.
    pub telegram_url: String,
    /// Certificates (PEM) that alone are trusted for SMTP; empty: the system's.
    pub smtp_ca_file: String,
    /// Chains by severity (`P0` to `P3`) instead of the environment's default; an empty chain: stored only.
    pub routes: BTreeMap<String, Vec<String>>,
    /// Throttles by rule instead of the catalogue's, seconds; 0: never.
    pub throttle_s: BTreeMap<String, u32>,
    /// When so many alerts of one rule and aggregation key wait to be delivered, the next ones are counted, and one summary tells how many
    /// there were; 0: never.
    pub overflow: u32,
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self {
            notifiers: vec![LOCAL_LOG.to_owned()],
            local_log: true,
            batch_to: String::new(),
            batch_every_s: 300,
            attempts: 4,
            first_retry_ms: 1_000,
            timeout_ms: 5_000,
            secrets_file: String::new(),
            telegram_url: "https://api.telegram.org".to_owned(),
            smtp_ca_file: String::new(),
            routes: BTreeMap::new(),
            throttle_s: BTreeMap::new(),
            overflow: 100,
        }
    }
}

impl ChannelSettings {
    /// The first key whose value cannot work, and why; the key is relative to this section, such as `routes.P0`.
    ///
    /// # Errors
    /// Key and sentence.
    pub fn check(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, what: String| Err((key.to_owned(), what));
        let known = KNOWN_NOTIFIERS.join(", ");
        for (n, name) in self.notifiers.iter().enumerate() {
            if !KNOWN_NOTIFIERS.contains(&name.as_str()) {
                return wrong("notifiers", format!("{name:?} is no notifier; there are {known}"));
            }
            if self.notifiers[..n].contains(name) {
                return wrong("notifiers", format!("{name:?} is listed twice"));
            }
        }
        let configured = self.names();
        let here = configured.join(", ");
        if !self.batch_to.is_empty() && !configured.contains(&self.batch_to) {
            return wrong("batch_to", format!("{:?} is not configured; there are {here}", self.batch_to));
        }
        for (severity, chain) in &self.routes {
            let key = format!("routes.{severity}");
            if parse_severity(severity).is_none() {
                return wrong(&key, format!("{severity:?} is no severity; there are P0, P1, P2, P3"));
            }
            if let Some(name) = chain.iter().find(|name| !configured.contains(name)) {
                return wrong(&key, format!("{name:?} is not configured; there are {here}"));
            }
        }
        if let Some(rule) = self.throttle_s.keys().find(|rule| alert_rule(rule).is_none()) {
            return wrong(&format!("throttle_s.{rule}"), format!("{rule:?} is no rule; see assay catalogue"));
        }
        for (key, value, range) in [
            ("batch_every_s", self.batch_every_s, 1..=86_400),
            ("attempts", self.attempts.into(), 1..=20),
            ("first_retry_ms", self.first_retry_ms, 1..=60_000),
            ("timeout_ms", self.timeout_ms, 50..=60_000),
            ("overflow", self.overflow.into(), 0..=100_000),
        ] {
            if !range.contains(&value) {
                return wrong(key, format!("{value} is not between {} and {}", range.start(), range.end()));
            }
        }
        Ok(())
    }

    /// The notifiers that there are: those named, the local log behind them unless it is switched off, and it alone when none is named.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.notifiers.clone();
        if names.is_empty() || (self.local_log && !names.iter().any(|n| n == LOCAL_LOG)) {
            names.push(LOCAL_LOG.to_owned());
        }
        names
    }

    /// The routes in an environment (`production`, or anything else: paper).
    pub fn routes(&self, env: &str) -> Routes {
        let default = if env == PRODUCTION { Routes::production() } else { Routes::paper() };
        let chains = self.routes.iter().filter_map(|(s, chain)| Some((parse_severity(s)?, chain.clone())));
        let batch = (!self.batch_to.is_empty())
            .then(|| Batch { to: self.batch_to.clone(), every: Duration::from_secs(self.batch_every_s) });
        let routes =
            default.with_chains(chains.collect()).with_batch(batch).with_throttle(self.throttle_s.clone());
        routes.with_overflow(self.overflow)
    }

    /// How failed deliveries are tried again.
    pub fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            first: Duration::from_millis(self.first_retry_ms),
            attempts: self.attempts,
            timeout: Duration::from_millis(self.timeout_ms),
            ..RetryPolicy::default()
        }
    }

    /// The secrets of this process for these settings.
    ///
    /// # Errors
    /// [`AlertError::Config`], without any value.
    pub fn secrets(&self) -> Result<Secrets, AlertError> {
        let file = (!self.secrets_file.is_empty()).then(|| Path::new(&self.secrets_file));
        Secrets::from_environment(file)
    }

    /// The notifiers with their secrets.
    ///
    /// # Errors
    /// [`AlertError::Config`]: a secret is missing; it says which and where it may stand.
    pub fn notifiers(&self, secrets: &Secrets, local_log: &Path) -> Result<Vec<NotifierConfig>, AlertError> {
        self.names().iter().map(|name| self.notifier(name, secrets, local_log)).collect()
    }

    fn notifier(
        &self,
        name: &str,
        secrets: &Secrets,
        local_log: &Path,
    ) -> Result<NotifierConfig, AlertError> {
        let need = |secret: &str| secrets.need(name, secret);
        Ok(match name {
            TELEGRAM => NotifierConfig::Telegram {
                base: self.telegram_url.clone(),
                token: need("TELEGRAM_BOT_TOKEN")?,
                chat: need("TELEGRAM_CHAT_ID")?,
            },
            SLACK => NotifierConfig::Slack { url: need("SLACK_WEBHOOK_URL")? },
            WEBHOOK => NotifierConfig::Webhook { url: need("WEBHOOK_URL")?, key: need("WEBHOOK_SECRET")? },
            EMAIL => NotifierConfig::Email(EmailConfig {
                host: need("SMTP_HOST")?,
                port: secrets.get("SMTP_PORT").map_or(Ok(SUBMISSION), port)?,
                user: need("SMTP_USER")?,
                password: need("SMTP_PASSWORD")?,
                from: need("EMAIL_FROM")?,
                to: need("EMAIL_TO")?,
                ca_file: (!self.smtp_ca_file.is_empty()).then(|| PathBuf::from(&self.smtp_ca_file)),
            }),
            LOCAL_LOG => NotifierConfig::LocalLog { path: local_log.to_owned() },
            _ => {
                return Err(AlertError::Config(format!(
                    "{name:?} is no notifier; see assay profile show d77-4"
                )));
            }
        })
    }
}

fn port(given: &Secret) -> Result<u16, AlertError> {
    let parsed = given.expose().parse().ok().filter(|port| *port != 0);
    parsed.ok_or_else(|| AlertError::Config("SMTP_PORT is no port; 587 is usual".to_owned()))
}

fn parse_severity(text: &str) -> Option<Severity> {
    Severity::ALL.into_iter().find(|s| s.as_str() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_their_key() {
        let key = |change: &dyn Fn(&mut ChannelSettings)| {
            let mut settings = ChannelSettings::default();
            change(&mut settings);
            settings.check().unwrap_err().0
        };
        assert_eq!(key(&|s| s.notifiers.push("pager".to_owned())), "notifiers");
        assert_eq!(key(&|s| s.batch_to = "slack".to_owned()), "batch_to");
        assert_eq!(key(&|s| s.routes.extend([("P9".to_owned(), Vec::new())])), "routes.P9");
        assert_eq!(key(&|s| s.throttle_s.extend([("X".to_owned(), 1)])), "throttle_s.X");
        assert_eq!(key(&|s| s.timeout_ms = 0), "timeout_ms");
        assert_eq!(ChannelSettings::default().check(), Ok(()));
    }

    #[test]
    fn the_local_log_is_there_unless_switched_off() {
        let names = |list: &[&str], local_log| {
            let notifiers = list.iter().map(|n| (*n).to_owned()).collect();
            ChannelSettings { notifiers, local_log, ..ChannelSettings::default() }.names()
        };
        assert_eq!(names(&["slack"], true), ["slack", "local_log"]);
        assert_eq!(names(&["slack"], false), ["slack"]);
        assert_eq!(names(&[], false), ["local_log"], "somebody has to take them");
    }

    #[test]
    fn a_missing_secret_is_named() {
        let settings =
            ChannelSettings { notifiers: vec!["telegram".to_owned()], ..ChannelSettings::default() };
        let error = settings.notifiers(&Secrets::default(), Path::new("log")).unwrap_err().to_string();
        assert!(error.contains("telegram needs TELEGRAM_BOT_TOKEN"), "{error}");
    }
}
