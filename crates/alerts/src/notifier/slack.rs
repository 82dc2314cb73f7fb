//! Slack: an incoming webhook. Its errors are plain words with a status.
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>

use std::time::Duration;

use serde_json::json;

use super::http::{Http, check_url};
use super::{Notifier, Reason, SendError, text};
use crate::config::SLACK;
use crate::model::{Alert, AlertError};
use crate::secret::{Secret, scrub};

/// Slack cuts a message's text at 40 000 characters; longer ones are cut here, with a word about it.
const MAX_TEXT: usize = 38_000;

/// A webhook of one channel.
#[derive(Debug)]
pub struct Slack {
    http: Http,
    url: Secret,
}

impl Slack {
    /// A webhook. Its whole address is the secret.
    ///
    /// # Errors
    /// [`AlertError::Config`].
    pub fn new(url: Secret, timeout: Duration) -> Result<Self, AlertError> {
        check_url("SLACK_WEBHOOK_URL", url.expose())?;
        Ok(Self { http: Http::new(url.expose(), timeout)?, url })
    }

    fn post(&self, text: &str) -> Result<super::http::Answer, SendError> {
        let body = json!({ "text": text }).to_string().into_bytes();
        self.http.ask(self.url.expose(), &[], Some(body)).map_err(|e| self.hidden(e))
    }

    fn hidden(&self, mut error: SendError) -> SendError {
        error.message = scrub(&error.message, &[&self.url]);
        error
    }

    fn refusal(&self, answer: &super::http::Answer) -> SendError {
        let mut error = answer.error(&answer.body);
        // The webhook was revoked, or the channel is gone: nothing but a new address helps.
        if matches!(answer.status, 404 | 410) {
            error.reason = Reason::Unauthorized;
        }
        self.hidden(error)
    }
}

/// The three characters that Slack wants escaped.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Notifier for Slack {
    fn name(&self) -> &str {
        SLACK
    }

    /// Posts a message without a text: a webhook that lives answers 400 `no_text`, and nobody sees anything; one that does not
    /// answers `no_service`, `invalid_token`, `channel_not_found` and their like.
    fn probe(&mut self) -> Result<(), SendError> {
        let answer = self.post("")?;
        let alive = ["no_text", "missing_text_or_fallback_or_attachments", "invalid_payload"];
        if answer.status == 400 && alive.contains(&answer.body.trim()) {
            return Ok(());
        }
        if answer.is_ok() {
            let what = "an empty message was taken, Slack refuses it; check SLACK_WEBHOOK_URL";
            return Err(SendError::new(Reason::Rejected, what));
        }
        Err(self.refusal(&answer))
    }

    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        let body = text::body(alert);
        let mut pieces = text::split(&body, MAX_TEXT, |c| if "&<>".contains(c) { 5 } else { 1 });
        let mut shown = pieces.swap_remove(0);
        if shown.len() < body.len() {
            shown.push_str("\n(cut; the alert store has it whole)");
        }
        let answer = self.post(&format!("*{}*\n{}", escape(&text::subject(alert)), escape(&shown)))?;
        if !answer.is_ok() {
            return Err(self.refusal(&answer));
        }
        // A proxy's page is a success for HTTP, and nobody has seen the message.
        if answer.body.trim() != "ok" {
            return Err(SendError::new(
                Reason::Server,
                "the answer lacks Slack's own \"ok\"; is a proxy in between?",
            ));
        }
        Ok(())
    }
}
