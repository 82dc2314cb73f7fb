//! Telegram: `sendMessage` of the Bot API in HTML, `getMe` as the probe. <https://core.telegram.org/bots/api>

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::http::{Answer, Http, check_url};
use super::{Notifier, Reason, SendError, text};
use crate::config::TELEGRAM;
use crate::model::{Alert, AlertError};
use crate::secret::{Secret, scrub};

/// "Text of the message to be sent, 1-4096 characters after entities parsing". Characters are counted as UTF-16, and the markup with
/// them: a little less than is allowed.
const MAX_TEXT: usize = 4096;
/// Alerts of several messages whose progress is remembered, so that a retry does not repeat the first ones.
const REMEMBERED: usize = 256;

/// A bot that writes into one chat.
#[derive(Debug)]
pub struct Telegram {
    http: Http,
    base: String,
    token: Secret,
    chat: Secret,
    /// Messages of an alert that arrived while a later one of it did not.
    progress: BTreeMap<String, usize>,
}

/// The answer of every method.
#[derive(Debug, Deserialize)]
struct Reply {
    ok: bool,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

impl Telegram {
    /// A bot at a base address (`https://api.telegram.org`).
    ///
    /// # Errors
    /// [`AlertError::Config`].
    pub fn new(base: &str, token: Secret, chat: Secret, timeout: Duration) -> Result<Self, AlertError> {
        check_url("telegram_url", base)?;
        let (id, key) = token.expose().split_once(':').unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if id.is_empty() || key.is_empty() || !id.chars().all(is_plain) || !key.chars().all(is_plain) {
            return Err(AlertError::Config(
                "TELEGRAM_BOT_TOKEN is no token; BotFather gives one such as 110201543:AAHd...".to_owned(),
            ));
        }
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { http: Http::new(&base, timeout)?, base, token, chat, progress: BTreeMap::new() })
    }

    fn call(&self, method: &str, body: Option<&serde_json::Value>) -> Result<(), SendError> {
        let url = format!("{}/bot{}/{method}", self.base, self.token.expose());
        let body = body.map(|body| body.to_string().into_bytes());
        let result = self.http.ask(&url, &[], body).and_then(|answer| judge(&answer));
        result.map_err(|mut e| {
            e.message = scrub(&e.message, &[&self.token, &self.chat]);
            e
        })
    }
}

fn judge(answer: &Answer) -> Result<(), SendError> {
    let reply: Option<Reply> = serde_json::from_str(&answer.body).ok();
    match reply {
        Some(reply) if reply.ok && answer.is_ok() => Ok(()),
        Some(reply) => {
            let mut error = answer.error(&reply.description);
            if let Some(seconds) = reply.parameters.retry_after {
                error.retry_after = Some(Duration::from_secs(seconds));
            }
            if reply.parameters.migrate_to_chat_id.is_some() {
                error.message.push_str("; set TELEGRAM_CHAT_ID to the supergroup's id");
            }
            // A token that was never one is answered 404 "Not Found".
            if answer.status == 404 {
                error.reason = Reason::Unauthorized;
            }
            Err(error)
        }
        // Behind a 200 without its JSON is somebody else: a proxy's page. It may be gone next time.
        None if answer.is_ok() => Err(SendError::new(
            Reason::Server,
            "the answer is not Telegram's; check telegram_url and the proxy",
        )),
        None => Err(answer.error(&answer.body)),
    }
}

/// The three characters that HTML mode wants escaped.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What a character costs when it is escaped, in UTF-16 units.
const fn cost(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        _ => c.len_utf16(),
    }
}

/// The alert as messages of at most [`MAX_TEXT`], each whole in its markup.
fn messages(alert: &Alert) -> Vec<String> {
    let room = MAX_TEXT - "<b></b>\n".len() - "(999/999)\n".len();
    let subject = text::subject(alert);
    let head = text::split(&subject, room / 2, cost).into_iter().next().unwrap_or_default();
    // What of a very long title does not fit goes on in the text.
    let body = format!("{}{}", &subject[head.len()..], text::body(alert));
    let used: usize = head.chars().map(cost).sum();
    let mut pieces = text::split(&body, room - used, cost);
    let n = pieces.len();
    for (i, piece) in pieces.iter_mut().enumerate() {
        let number = if n > 1 { format!("({}/{n})\n", i + 1) } else { String::new() };
        *piece = format!("<b>{}</b>\n{number}{}", escape(&head), escape(piece));
    }
    pieces
}

impl Notifier for Telegram {
    fn name(&self) -> &str {
        TELEGRAM
    }

    fn probe(&mut self) -> Result<(), SendError> {
        self.call("getMe", None)
    }

    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        let done = self.progress.get(&alert.alert_id).copied().unwrap_or_default();
        for (n, text) in messages(alert).into_iter().enumerate().skip(done) {
            let body = json!({
                "chat_id": self.chat.expose(),
                "text": text,
                "parse_mode": "HTML",
                "link_preview_options": { "is_disabled": true },
            });
            if let Err(e) = self.call("sendMessage", Some(&body)) {
                if n > 0 {
                    if self.progress.len() >= REMEMBERED {
                        self.progress.pop_first();
                    }
                    self.progress.insert(alert.alert_id.clone(), n);
                }
                return Err(e);
            }
        }
        self.progress.remove(&alert.alert_id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::alert;
    use super::*;

    #[test]
    fn markup_in_a_text_is_text() {
        let said = messages(&alert("edge < 5 bps & <b>not bold</b>"));
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with(
            "<b>[P1] Venue down (HEALTH-DOWN, paper)</b>\nedge &lt; 5 bps &amp; &lt;b&gt;not bold"
        ));
    }

    #[test]
    fn long_texts_are_split_within_the_limit() {
        for text in ["<&>".repeat(3_000), "가격 차이 😀\n".repeat(2_000), "x".repeat(10_000)] {
            let said = messages(&alert(&text));
            assert!(said.len() > 1);
            assert!(said.iter().all(|m| m.encode_utf16().count() <= MAX_TEXT));
            assert!(said.last().is_some_and(|m| m.contains("id r.main-7")), "the end is there");
        }
        let mut long = alert("m");
        long.title = "t".repeat(9_000);
        assert!(messages(&long).iter().all(|m| m.encode_utf16().count() <= MAX_TEXT));
    }
}
