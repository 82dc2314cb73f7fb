//! The generic webhook: a signed JSON `POST`. What a receiver checks is in docs/alerts.md.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac as _};
use serde::Serialize;
use sha2::Sha256;

use super::http::{Http, check_url};
use super::{Notifier, SendError, text};
use crate::config::WEBHOOK;
use crate::model::{Alert, AlertError};
use crate::secret::{Secret, scrub};

/// Header: seconds since 1970 UTC at sending. A receiver refuses what is older than five minutes.
pub const TIMESTAMP: &str = "x-assay-timestamp";
/// Header: `v1=` and the HMAC-SHA256 in lower-case hexadecimal over `<timestamp>.<body>`.
pub const SIGNATURE: &str = "x-assay-signature";
/// Header: `<alert id>/webhook`. The same for every attempt of an alert: a receiver that has seen it does nothing again.
pub const IDEMPOTENCY: &str = "idempotency-key";

/// A shorter key could be guessed.
const MIN_KEY: usize = 16;

/// A receiver of ours.
#[derive(Debug)]
pub struct Webhook {
    http: Http,
    url: Secret,
    key: Secret,
}

#[derive(Serialize)]
struct Body<'a> {
    /// `alert` or `probe`; nobody is to be told of a probe.
    kind: &'static str,
    raised_at: Option<String>,
    alert: Option<&'a Alert>,
}

/// The value of the header [`SIGNATURE`].
pub fn signature(key: &Secret, timestamp: u64, body: &[u8]) -> String {
    // HMAC takes keys of any length: this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else { return String::new() };
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("v1={hex}")
}

impl Webhook {
    /// A receiver and the key that it shares with us.
    ///
    /// # Errors
    /// [`AlertError::Config`].
    pub fn new(url: Secret, key: Secret, timeout: Duration) -> Result<Self, AlertError> {
        check_url("WEBHOOK_URL", url.expose())?;
        if key.expose().len() < MIN_KEY {
            let what = format!(
                "WEBHOOK_SECRET is shorter than {MIN_KEY} characters; make one: openssl rand -hex 32"
            );
            return Err(AlertError::Config(what));
        }
        Ok(Self { http: Http::new(url.expose(), timeout)?, url, key })
    }

    fn post(&self, body: &Body<'_>, id: &str) -> Result<(), SendError> {
        let bytes =
            serde_json::to_vec(body).map_err(|e| SendError::new(super::Reason::Rejected, e.to_string()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (timestamp, signature) = (now.to_string(), signature(&self.key, now, &bytes));
        let headers = [(TIMESTAMP, timestamp.as_str()), (SIGNATURE, signature.as_str()), (IDEMPOTENCY, id)];
        let result = self
            .http
            .ask(self.url.expose(), &headers, Some(bytes))
            .and_then(|answer| if answer.is_ok() { Ok(()) } else { Err(answer.error(&answer.body)) });
        result.map_err(|mut e| {
            e.message = scrub(&e.message, &[&self.url, &self.key]);
            e
        })
    }
}

impl Notifier for Webhook {
    fn name(&self) -> &str {
        WEBHOOK
    }

    /// A signed `{"kind":"probe"}`.
    fn probe(&mut self) -> Result<(), SendError> {
        self.post(&Body { kind: "probe", raised_at: None, alert: None }, "probe")
    }

    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        let body = Body { kind: "alert", raised_at: Some(text::utc(alert.raised_at)), alert: Some(alert) };
        // A header takes no line ends; ids of ours have none.
        let id: String =
            format!("{}/{WEBHOOK}", alert.alert_id).chars().filter(char::is_ascii_graphic).collect();
        self.post(&body, &id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: `printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef`.
    #[test]
    fn the_signature_is_what_openssl_computes() {
        let signed = signature(&Secret::new("0123456789abcdef"), 1_700_000_000, b"{}");
        assert_eq!(signed, "v1=e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e");
    }
}
