//! Notifiers: where alerts go. Retries, routing and records live elsewhere; a notifier only tries once and says how it went.
//! A file for each, and `text` (how an alert is written for a person), `http` (the one client). Secrets leave none of them: what
//! the other side or a library said is scrubbed before it becomes a [`SendError`].

mod email;
mod http;
mod local_log;
mod slack;
mod telegram;
mod text;
mod webhook;

use std::error::Error;
use std::time::Duration;

pub use email::{Email, EmailConfig};
pub use local_log::LocalLog;
pub use slack::Slack;
pub use telegram::Telegram;
pub use text::digest;
pub use webhook::{IDEMPOTENCY, SIGNATURE, TIMESTAMP, Webhook, signature};

use crate::model::Alert;

/// A message with the causes behind it, each said once.
fn with_causes(mut message: String, mut cause: Option<&(dyn Error + 'static)>) -> String {
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}

/// Something that takes alerts to a person.
pub trait Notifier: Send {
    /// The name in metrics, routes and tables: `[a-z_]+`, unique.
    fn name(&self) -> &str;

    /// Finds out whether it would work, without bothering anyone.
    ///
    /// # Errors
    /// Why it would not.
    fn probe(&mut self) -> Result<(), SendError>;

    /// Tries once. `Ok` means that the other side has acknowledged it. It gives up by itself at the timeout.
    ///
    /// # Errors
    /// Why not; its reason decides whether it is tried again.
    fn send(&mut self, alert: &Alert) -> Result<(), SendError>;
}

/// Why a delivery failed: the fixed set of `alert_failed_total{reason}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No connection, or it broke.
    Network,
    /// No answer in time.
    Timeout,
    /// The other side asked to slow down (429).
    RateLimited,
    /// The other side failed (5xx).
    Server,
    /// The other side refused the message (400). Permanent.
    Rejected,
    /// The credentials are wrong (401, 403). Permanent.
    Unauthorized,
    /// A local file could not be written.
    Io,
    /// Its circuit was open and another notifier took over.
    CircuitOpen,
    /// The notifier is not configured any more. Permanent.
    NotConfigured,
}

impl Reason {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::Network,
        Self::Timeout,
        Self::RateLimited,
        Self::Server,
        Self::Rejected,
        Self::Unauthorized,
        Self::Io,
        Self::CircuitOpen,
        Self::NotConfigured,
    ];

    /// As in the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::Server => "server",
            Self::Rejected => "rejected",
            Self::Unauthorized => "unauthorized",
            Self::Io => "io",
            Self::CircuitOpen => "circuit_open",
            Self::NotConfigured => "not_configured",
        }
    }

    /// True when another attempt cannot help.
    pub const fn is_permanent(self) -> bool {
        matches!(self, Self::Rejected | Self::Unauthorized | Self::CircuitOpen | Self::NotConfigured)
    }
}

/// A failed attempt or probe. The message must not hold secrets: it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", reason.as_str())]
pub struct SendError {
    /// The class of the failure.
    pub reason: Reason,
    /// What the other side said.
    pub message: String,
    /// Its wish to be left alone for so long (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl SendError {
    /// An error without a `Retry-After`.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }
}
