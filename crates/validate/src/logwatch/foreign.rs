//! Levels and phrases of a log that is not written as ours is: by a profile's `[runner.mapping.log]`. What the profile's rule does not
//! recognise is still read as any other log, so that a rule that misses a line hides nothing.

use super::level::{self, Found, Level};
use super::shapes;
use crate::mapping::{LogNames, lookup};
use regex::bytes::Regex;

/// How the level of a line is found, and the runner's words for the fixed phrases.
#[derive(Debug, Clone, Default)]
pub struct LevelRules {
    pattern: Option<Regex>,
    field: Option<String>,
    names: Vec<(String, Level)>,
    position_limit: Vec<String>,
    emergency_stop: Vec<String>,
}

impl LevelRules {
    /// The rules of a mapping.
    ///
    /// # Errors
    /// What is wrong with its regular expression.
    pub fn new(names: &LogNames) -> Result<Self, String> {
        let pattern = match &names.level {
            None => None,
            Some(text) => {
                let pattern = Regex::new(text).map_err(|e| e.to_string())?;
                if pattern.captures_len() < 2 {
                    return Err("it has no group: put the level into (?P<level>...)".to_owned());
                }
                Some(pattern)
            }
        };
        let of = |words: &[String], level: Level| {
            words.iter().map(|word| (word.clone(), level)).collect::<Vec<_>>()
        };
        Ok(Self {
            pattern,
            field: names.json_level.clone(),
            names: [
                of(&names.error, Level::Error),
                of(&names.warning, Level::Warning),
                of(&names.critical, Level::Critical),
            ]
            .concat(),
            position_limit: names.position_limit.clone(),
            emergency_stop: names.emergency_stop.clone(),
        })
    }

    /// The rules of a mapping in a loaded profile, whose pattern was compiled when the profile was checked.
    pub fn of_checked(names: &LogNames) -> Self {
        Self::new(names).unwrap_or_default()
    }

    /// True without anything of a profile's.
    pub(super) fn are_usual(&self) -> bool {
        self.pattern.is_none()
            && self.field.is_none()
            && self.position_limit.is_empty()
            && self.emergency_stop.is_empty()
    }

    /// The level of a line, when it has one.
    pub(super) fn level(&self, line: &[u8]) -> Option<Found> {
        self.by_pattern(line).or_else(|| self.by_field(line)).or_else(|| level::of(line))
    }

    /// True for a line that has a level at all.
    pub fn has_level(&self, line: &[u8]) -> bool {
        self.level(line).is_some()
    }

    /// True when the line holds one of the runner's words for `Position limit`, and not the words themselves, which always count.
    pub(super) fn position_limit(&self, line: &[u8]) -> bool {
        says(&self.position_limit, line) && !shapes::contains(line, b"Position limit")
    }

    /// True when the line holds one of the runner's words for `Emergency stop`.
    pub(super) fn emergency_stop(&self, line: &[u8]) -> bool {
        says(&self.emergency_stop, line) && !shapes::contains(line, b"Emergency stop")
    }

    fn by_pattern(&self, line: &[u8]) -> Option<Found> {
        let groups = self.pattern.as_ref()?.captures(line)?;
        let word = groups.name("level").or_else(|| groups.get(1))?;
        let level = self.named(&String::from_utf8_lossy(word.as_bytes()));
        Some(Found { level, text_at: groups.get(0).map_or(word.end(), |whole| whole.end()) })
    }

    fn by_field(&self, line: &[u8]) -> Option<Found> {
        let field = self.field.as_ref()?;
        if line.trim_ascii_start().first() != Some(&b'{') {
            return None;
        }
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
        let word = match lookup(&object, field)? {
            serde_json::Value::String(word) => word.clone(),
            other => other.to_string(),
        };
        Some(Found { level: self.named(&word), text_at: 0 })
    }

    /// The profile's names first, then the usual ones; any other word is a level below a warning.
    fn named(&self, word: &str) -> Level {
        let listed = self.names.iter().find(|(name, _)| name == word).map(|(_, level)| *level);
        listed.or_else(|| level::named(word.as_bytes())).unwrap_or(Level::Lower)
    }
}

fn says(phrases: &[String], line: &[u8]) -> bool {
    phrases.iter().any(|phrase| shapes::contains(line, phrase.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_pattern_finds_levels_that_no_usual_log_has() {
        let names = LogNames {
            level: Some(r"^\S+ (?P<level>[DIWEF])/".to_owned()),
            error: words(&["E"]),
            warning: words(&["W"]),
            critical: words(&["F"]),
            position_limit: words(&["book is full"]),
            ..LogNames::default()
        };
        let rules = LevelRules::new(&names).unwrap();
        let level = |line: &str| rules.level(line.as_bytes()).map(|found| found.level);
        assert_eq!(level("12:00:01 E/feed: gone"), Some(Level::Error));
        assert_eq!(level("12:00:01 F/risk: out"), Some(Level::Critical));
        assert_eq!(level("12:00:01 W/feed: slow"), Some(Level::Warning));
        assert_eq!(level("12:00:01 I/feed: E/ in a text"), Some(Level::Lower));
        assert_eq!(
            level("2026-11-23 02:00:00,123 ERROR library: boom"),
            Some(Level::Error),
            "nothing is hidden"
        );
        assert!(
            rules.position_limit(b"12:00:01 I/risk: book is full") && !rules.emergency_stop(b"book is full")
        );
    }

    #[test]
    fn a_json_field_may_be_nested_and_numeric() {
        let names =
            LogNames { json_level: Some("meta.sev".to_owned()), error: words(&["3"]), ..LogNames::default() };
        let rules = LevelRules::new(&names).unwrap();
        let level = |line: &str| rules.level(line.as_bytes()).map(|found| found.level);
        assert_eq!(level(r#"{"meta":{"sev":3},"text":"x"}"#), Some(Level::Error));
        assert_eq!(level(r#"{"meta":{"sev":"error"}}"#), Some(Level::Error));
        assert_eq!(level(r#"{"meta":{"sev":6}}"#), Some(Level::Lower));
    }

    #[test]
    fn a_pattern_needs_a_group() {
        for text in ["(", "no group"] {
            let names = LogNames { level: Some(text.to_owned()), ..LogNames::default() };
            assert!(LevelRules::new(&names).is_err());
        }
    }
}
