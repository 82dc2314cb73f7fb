//! What a dispatcher is told: store, sources, notifiers, routes, retries. How a profile spells it lives in `channels`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::AlertError;
use crate::notifier::{Email, EmailConfig, LocalLog, Notifier, Slack, Telegram, Webhook};
use crate::routes::Routes;
use crate::secret::Secret;
use crate::store::StoreServer;

/// Configuration of a dispatcher.
#[derive(Debug, Clone)]
pub struct AlertConfig {
    /// The SQLite file; created with mode 0600, its folder must exist.
    pub database: PathBuf,
    /// A PostgreSQL instead of the SQLite file.
    pub server: Option<Arc<dyn StoreServer>>,
    /// Rows of other runs are deleted when their alerts were raised longer ago than this, dead letters and what is open excepted.
    /// `None` keeps them.
    pub retention: Option<Duration>,
    /// Validation run id or runner id: alert rows belong to it.
    pub run_id: String,
    /// `smoke`, `main`, ...: alert rows belong to it.
    pub phase: String,
    /// Environment, such as `paper`.
    pub env: String,
    /// Notifiers in order of preference. Empty means a local log `alerts.log` beside the database.
    pub notifiers: Vec<NotifierConfig>,
    /// Chains by severity.
    pub routes: Routes,
    /// Interval of availability probes: 60 s, in rehearsals 5 s.
    pub probe_every: Duration,
    /// Retries.
    pub retry: RetryPolicy,
    /// Files in the journal's line format: the journal and spools. They may not exist yet.
    pub sources: Vec<PathBuf>,
    /// The spool into which the dispatcher itself raises what it notices (an open circuit, a lost store); nobody else writes it.
    /// Without one these are log lines only.
    pub own_spool: Option<PathBuf>,
}

/// One notifier, with its secrets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NotifierConfig {
    /// A file with one JSON line per alert, mode 0600. Named `local_log`.
    LocalLog {
        /// The file; its folder must exist.
        path: PathBuf,
    },
    /// A bot of Telegram that writes into a chat. Named `telegram`.
    Telegram {
        /// `https://api.telegram.org`.
        base: String,
        /// The bot's token.
        token: Secret,
        /// The chat's id.
        chat: Secret,
    },
    /// An incoming webhook of Slack. Named `slack`.
    Slack {
        /// Its address, all of which is secret.
        url: Secret,
    },
    /// Mail. Named `email`.
    Email(EmailConfig),
    /// A signed request to a receiver of ours. Named `webhook`.
    Webhook {
        /// The receiver.
        url: Secret,
        /// The key of the signature.
        key: Secret,
    },
}

/// The name of [`NotifierConfig::LocalLog`].
pub const LOCAL_LOG: &str = "local_log";
pub(crate) const TELEGRAM: &str = "telegram";
pub(crate) const SLACK: &str = "slack";
pub(crate) const EMAIL: &str = "email";
pub(crate) const WEBHOOK: &str = "webhook";

/// Every notifier that can be configured.
pub const KNOWN_NOTIFIERS: [&str; 5] = [TELEGRAM, SLACK, EMAIL, WEBHOOK, LOCAL_LOG];

impl NotifierConfig {
    /// The name in metrics, routes and tables.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LocalLog { .. } => LOCAL_LOG,
            Self::Telegram { .. } => TELEGRAM,
            Self::Slack { .. } => SLACK,
            Self::Email(_) => EMAIL,
            Self::Webhook { .. } => WEBHOOK,
        }
    }

    /// The notifier. Nothing is asked before its first probe.
    ///
    /// # Errors
    /// [`AlertError::Config`]: a value cannot work; it is not shown.
    pub fn build(&self, timeout: Duration) -> Result<Box<dyn Notifier>, AlertError> {
        Ok(match self.clone() {
            Self::LocalLog { path } => Box::new(LocalLog::new(path)),
            Self::Telegram { base, token, chat } => Box::new(Telegram::new(&base, token, chat, timeout)?),
            Self::Slack { url } => Box::new(Slack::new(url, timeout)?),
            Self::Email(config) => Box::new(Email::new(config, timeout)?),
            Self::Webhook { url, key } => Box::new(Webhook::new(url, key, timeout)?),
        })
    }
}

impl AlertConfig {
    /// The notifiers of this configuration.
    pub(crate) fn build_notifiers(&self) -> Result<Vec<Box<dyn Notifier>>, AlertError> {
        if self.notifiers.is_empty() {
            return Ok(vec![Box::new(LocalLog::new(self.database.with_file_name("alerts.log")))]);
        }
        self.notifiers.iter().map(|n| n.build(self.retry.timeout)).collect()
    }
}

/// How a failed delivery is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Pause after the first failure.
    pub first: Duration,
    /// Each further pause is longer by this factor.
    pub factor: f64,
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Pauses vary by this share up and down, 0 to 1.
    pub jitter: f64,
    /// A notifier that takes longer than this has failed.
    pub timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            factor: 2.0,
            attempts: 4,
            jitter: 0.2,
            timeout: Duration::from_secs(5),
        }
    }
}
