//! What several parts of the report read off the evidence: the judged phase, the final states of the watch rules, redaction.

use super::Report;
use catalogue::RuleId;
use gate::RuleName;
use gate::evidence::{PhaseEvidence, RuleState};
use gate::rules::Window;

impl<'a> Report<'a> {
    /// The phase that was judged: main, else the smoke.
    pub(super) fn phase(&self) -> Option<&'a PhaseEvidence> {
        self.evidence.main.as_ref().or(self.evidence.smoke.as_ref())
    }

    /// The last state of a rule in the judged phase; `None` when no runner was started.
    pub(super) fn rule(&self, name: &RuleName) -> Option<RuleEnd> {
        let phase = self.phase()?;
        // A run of a version that did not have the rule.
        if self.evidence.settings.rule(name).is_none() && *name != RuleId::A1 {
            return Some(RuleEnd::NotBuilt);
        }
        let last = phase.rule_events.iter().rev().find(|event| event.rule == *name);
        let abort = self.analysis.aborted.as_ref().filter(|abort| abort.cause == name.as_str());
        if let Some(abort) = abort {
            return Some(RuleEnd::State(RuleState::Fired, abort.at_s, abort.text.clone()));
        }
        if let Some(reason) = self.evidence.settings.not_applicable.get(name.as_str()) {
            return Some(RuleEnd::Declared(reason.clone()));
        }
        Some(last.map_or_else(
            || self.quiet(name, phase),
            |event| RuleEnd::State(event.state, event.t, event.text.clone()),
        ))
    }

    /// A rule that never moved: clear, unless what was watched is shorter than the span that it needs to fire at all.
    fn quiet(&self, name: &RuleName, phase: &PhaseEvidence) -> RuleEnd {
        let window = self.evidence.settings.rule(name).map(|spec| spec.window);
        let watched = phase.samples.last().map_or(0.0, |sample| sample.t);
        match window {
            Some(Window::For(span) | Window::Over(span)) if span > watched => {
                RuleEnd::TooShort(span, watched)
            }
            _ => RuleEnd::Quiet,
        }
    }
}

/// How a rule stood at the end.
pub(super) enum RuleEnd {
    NotBuilt,
    Declared(String),
    /// Its state never changed from clear.
    Quiet,
    /// It could not have fired: the span that it needs, and how long the phase was watched, seconds.
    TooShort(f64, f64),
    State(RuleState, f64, String),
}

/// What stands for a value that nobody may read.
const REDACTED: &str = "[redacted]";

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["token", "secret", "passw", "api_key", "api-key", "apikey", "credential", "webhook"]
        .iter()
        .any(|word| key.contains(word))
}

/// A setting's value, unless its name says that it is a secret.
pub(super) fn redacted(key: &str, value: String) -> String {
    if is_secret(key) { REDACTED.to_owned() } else { without_user(&value) }
}

/// A command line with the values of secret options replaced.
pub(super) fn redacted_command(command: &[String]) -> String {
    let mut hide = false;
    let words: Vec<String> = command
        .iter()
        .map(|word| {
            if std::mem::take(&mut hide) {
                return REDACTED.to_owned();
            }
            match word.split_once('=') {
                Some((key, _)) if is_secret(key) => format!("{key}={REDACTED}"),
                Some(_) => without_user(word),
                None => {
                    hide = word.starts_with('-') && is_secret(word);
                    without_user(word)
                }
            }
        })
        .collect();
    words.join(" ")
}

/// Takes `user:password@` out of an address.
fn without_user(text: &str) -> String {
    let Some(scheme) = text.find("://") else { return text.to_owned() };
    let host = scheme + 3;
    let end = text[host..].find(['/', '?', '#', ' ']).map_or(text.len(), |i| host + i);
    match text[host..end].rfind('@') {
        Some(at) => format!("{}{REDACTED}@{}", &text[..host], &text[host + at + 1..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_pass() {
        let command =
            ["bot", "--token", "s3cret", "--api-key=s3cret", "--url", "https://me:s3cret@host/x", "--n", "5"];
        let shown = redacted_command(&command.map(str::to_owned));
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(
            shown,
            "bot --token [redacted] --api-key=[redacted] --url https://[redacted]@host/x --n 5"
        );
        assert_eq!(redacted("telegram.bot_token", "s3cret".to_owned()), REDACTED);
        assert_eq!(redacted("seed", "7".to_owned()), "7");
    }
}
