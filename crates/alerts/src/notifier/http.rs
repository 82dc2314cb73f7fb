//! The HTTP client of the notifiers: one bounded request at a time with a deadline over all of it, no redirects, and errors that
//! carry no address (the paths of Telegram and Slack are their secrets).

use std::time::{Duration, SystemTime};

use super::{Reason, SendError, with_causes};
use crate::model::AlertError;

/// Longer answers are cut. Telegram gives a message back with every answer: 4096 characters, escaped to six bytes each, and then some.
const MAX_BODY: usize = 64 * 1024;
/// Said of an error's body.
const MAX_SAID: usize = 200;

/// A client with a small runtime of its own: notifiers are called from plain threads.
#[derive(Debug)]
pub(super) struct Http {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    timeout: Duration,
}

/// What the other side said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
}

/// `https`, or `http` to this machine: anything else would send a secret through the network in the clear.
///
/// # Errors
/// [`AlertError::Config`], without the address.
pub(super) fn check_url(what: &str, url: &str) -> Result<(), AlertError> {
    let wrong = |why: &str| Err(AlertError::Config(format!("{what} {why}")));
    let Ok(parsed) = reqwest::Url::parse(url) else { return wrong("is no address; it begins with https://") };
    let host = parsed.host_str().unwrap_or_default();
    let is_here = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
    match parsed.scheme() {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        _ => wrong("must begin with https:// (http is taken for this machine alone)"),
    }
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, AlertError> {
    // A second installation fails and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| AlertError::Config(format!("no runtime for a notifier: {e}")))
}

impl Http {
    /// A client for one address.
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, AlertError> {
        let runtime = runtime()?;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(1)
            .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")));
        if url.starts_with("http:") {
            // This machine: neither a proxy nor the system's certificates have a part in it.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let client = builder
            .build()
            .map_err(|e| AlertError::Config(format!("no HTTP client for a notifier: {}", e.without_url())))?;
        Ok(Self { runtime, client, timeout })
    }

    /// Posts JSON, or gets when there is no body. Whatever answers is an [`Answer`].
    pub(super) fn ask(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        json: Option<Vec<u8>>,
    ) -> Result<Answer, SendError> {
        let mut request = match json {
            Some(body) => self.client.post(url).header("content-type", "application/json").body(body),
            None => self.client.get(url),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let talk = async {
            let mut answer = request.send().await.map_err(|e| failure(&e))?;
            let status = answer.status().as_u16();
            let retry_after =
                answer.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(retry_after);
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|e| failure(&e))? {
                body.extend_from_slice(&chunk);
                if body.len() >= MAX_BODY {
                    body.truncate(MAX_BODY);
                    break;
                }
            }
            Ok(Answer { status, retry_after, body: String::from_utf8_lossy(&body).into_owned() })
        };
        self.runtime.block_on(async {
            match tokio::time::timeout(self.timeout, talk).await {
                Ok(result) => result,
                Err(_) => {
                    let ms = self.timeout.as_millis();
                    Err(SendError::new(Reason::Timeout, format!("no answer within {ms} ms")))
                }
            }
        })
    }
}

impl Answer {
    pub(super) const fn is_ok(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// The failure that a status stands for, with what the other side said.
    pub(super) fn error(&self, said: &str) -> SendError {
        let reason = match self.status {
            401 | 403 => Reason::Unauthorized,
            408 => Reason::Timeout,
            429 => Reason::RateLimited,
            500..=599 => Reason::Server,
            _ => Reason::Rejected,
        };
        let said: String =
            said.chars().take(MAX_SAID).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let message = if said.trim().is_empty() {
            format!("answered {}", self.status)
        } else {
            format!("answered {}: {}", self.status, said.trim())
        };
        SendError { reason, message, retry_after: self.retry_after }
    }
}

/// Seconds, or a date of RFC 9110, section 10.2.3.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let at = Duration::from_secs(u64::try_from(at.as_second()).ok()?);
    Some(at.saturating_sub(now))
}

/// A library's error, its causes included, without the address.
fn failure(error: &reqwest::Error) -> SendError {
    use std::error::Error as _;
    let reason = if error.is_timeout() { Reason::Timeout } else { Reason::Network };
    // The error's own text ends in the address; its causes have none.
    let message = match () {
        () if error.is_connect() => "cannot connect",
        () if error.is_body() || error.is_decode() => "the answer broke off",
        () => "the request failed",
    };
    SendError::new(reason, with_causes(message.to_owned(), error.source()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_reasons() {
        let reason = |status| Answer { status, retry_after: None, body: String::new() }.error("x").reason;
        assert_eq!(reason(400), Reason::Rejected);
        assert_eq!((reason(401), reason(403)), (Reason::Unauthorized, Reason::Unauthorized));
        assert_eq!(
            (reason(429), reason(500), reason(503)),
            (Reason::RateLimited, Reason::Server, Reason::Server)
        );
        assert_eq!((reason(302), reason(410)), (Reason::Rejected, Reason::Rejected));
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        assert_eq!(retry_after("30"), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn secrets_go_over_tls_only() {
        assert!(check_url("x", "https://hooks.slack.com/services/a").is_ok());
        assert!(check_url("x", "http://127.0.0.1:80/a").is_ok());
        for url in ["http://hooks.slack.com/secretpath", "secretpath", "ftp://secretpath"] {
            let error = check_url("SLACK_WEBHOOK_URL", url).unwrap_err().to_string();
            assert!(!error.contains("secretpath"), "{error}");
        }
    }
}
