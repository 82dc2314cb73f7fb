//! Why a REST request has no answer, with what to do next. The client stands in [`crate::rest`].

use crate::WireError;
use crate::cause::{Cause, refused_address};
use market::Timestamp;
use std::time::Duration;

/// Why a request has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RestError {
    /// The client could not be built.
    #[error("cannot set up the http client: {source_text}; check the system's certificates")]
    Setup {
        /// What the library said.
        source_text: String,
    },
    /// No answer: no name, no connection, a certificate that is not trusted, a proxy, a timeout.
    #[error("no answer from {url}: {cause}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why.
        cause: Cause,
    },
    /// The venue or something in between refuses this address.
    #[error("{url} answers {status}: {}", refused_address(*.status))]
    Blocked {
        /// What was asked.
        url: String,
        /// 403, 407 or 451, or 200 with a page instead of data.
        status: u16,
        /// How the body begins.
        body: String,
    },
    /// The venue is shut for maintenance.
    #[error(
        "{url} answers {status}: the venue is under maintenance ({body}); wait until it has ended, see the venue's notices"
    )]
    Maintenance {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// The first 200 characters of the body.
        body: String,
        /// The `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// Too many requests, by the venue's word or our own budget.
    #[error("the request budget is used up; try again after {} UTC", time_of_day(*.until))]
    RateLimited {
        /// When it may be tried again.
        until: Timestamp,
    },
    /// Any other status than 200.
    #[error("{url} answers {status}: {body}{}", unknown_state(*.status))]
    Status {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// The first 200 characters of the body.
        body: String,
        /// The `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// The answer is not what the venue documents.
    #[error("cannot read the answer of {url}: {source}; the venue may have changed its interface")]
    Parse {
        /// What was asked.
        url: String,
        /// What is wrong.
        source: WireError,
    },
}

/// A firewall that refuses is not asked again before this has passed: going on makes it worse.
const BLOCKED_WAIT: Duration = Duration::from_secs(60);
/// The same for a maintenance whose end is not named.
const MAINTENANCE_WAIT: Duration = Duration::from_secs(30);

fn unknown_state(status: u16) -> &'static str {
    if status >= 500 { "; an error inside the venue: it will be tried again" } else { "" }
}

fn time_of_day(at: Timestamp) -> String {
    let seconds = at.as_millis().div_euclid(1_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

impl RestError {
    /// Every word of [`RestError::kind`].
    pub const KINDS: [&str; 11] = [
        "setup",
        "dns",
        "tls",
        "proxy",
        "timeout",
        "unreachable",
        "blocked",
        "maintenance",
        "rate_limited",
        "status",
        "parse",
    ];

    /// True when trying again will not help: someone has to change something first.
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Setup { .. } | Self::Blocked { .. } | Self::Parse { .. } => true,
            Self::Status { status, .. } => *status < 500,
            Self::Unreachable { cause, .. } => cause.is_terminal(),
            Self::Maintenance { .. } | Self::RateLimited { .. } => false,
        }
    }

    /// How long to wait before trying again, as far as the venue said or its state demands.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::RateLimited { until } => {
                Some(Duration::from_nanos(u64::try_from(until.since(now)).unwrap_or(0)))
            }
            Self::Status { retry_after, .. } => *retry_after,
            Self::Maintenance { retry_after, .. } => Some(retry_after.unwrap_or(MAINTENANCE_WAIT)),
            Self::Blocked { .. } => Some(BLOCKED_WAIT),
            _ => None,
        }
    }

    /// The status of the answer: 0 without an answer, 429 for a used-up budget.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Status { status, .. } | Self::Blocked { status, .. } | Self::Maintenance { status, .. } => {
                *status
            }
            Self::RateLimited { .. } => 429,
            Self::Setup { .. } | Self::Unreachable { .. } | Self::Parse { .. } => 0,
        }
    }

    /// The kind in counters, one of [`RestError::KINDS`].
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Setup { .. } => "setup",
            Self::Unreachable { cause, .. } => cause.kind(),
            Self::Blocked { .. } => "blocked",
            Self::Maintenance { .. } => "maintenance",
            Self::RateLimited { .. } => "rate_limited",
            Self::Status { .. } => "status",
            Self::Parse { .. } => "parse",
        }
    }
}
