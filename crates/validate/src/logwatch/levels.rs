//! Which level a runner's own words stand for: the mapping of log levels, given as plain values. How the level of a line is
//! found is in [`super::level`]; reading a mapping from a profile is not done here.

use aho_corasick::{AhoCorasick, MatchKind};

/// A level as the counters tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Anything below a warning: INFO, DEBUG, TRACE.
    Lower,
    /// WARN, WARNING.
    Warning,
    /// ERROR, SEVERE.
    Error,
    /// CRITICAL, FATAL, and syslog's emergencies and alerts.
    Critical,
}

impl Level {
    /// The level that one of Assay's own names stands for: `info`, `warning`, `error`, `critical`, in any letters; also `debug`,
    /// `trace`, `notice`, `warn` and `fatal`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "trace" | "debug" | "info" | "notice" => Some(Self::Lower),
            "warn" | "warning" => Some(Self::Warning),
            "error" => Some(Self::Error),
            "critical" | "fatal" => Some(Self::Critical),
            _ => None,
        }
    }
}

/// A mapping of levels cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelsError {
    /// A mark without a printable character, or one that spans lines.
    #[error(
        "the log level mark {0:?} cannot stand in a line: write the characters that the runner prints for the level"
    )]
    Unprintable(String),
    /// The same mark stands for two levels.
    #[error("the log level mark {0:?} stands for two levels: leave one of them out")]
    Twice(String),
    /// Too many marks, or marks that are too long, to search for.
    #[error("the log level marks cannot be searched for ({0}): use fewer and shorter ones")]
    TooMany(String),
}

/// How the levels of a runner's lines are read: the usual formats, and beside them the runner's own marks and JSON keys.
///
/// Without marks the common formats are known: tracing, Python's logging, log4j, logfmt, JSON, syslog, glog, bracketed words.
/// A mark is what the runner prints in the level's place, such as `!!`, `E` or `PANIC`. It is looked for in the head of a line
/// (its first 160 bytes) as a whole word, with the same letters; the leftmost mark of a line decides, and only a line without
/// any mark is read by the usual formats. Map all levels of such a runner, the harmless ones too, so that a text such as
/// `I got E` is an `I`. In a JSON line, the value of the level's key is compared with the marks.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    marks: Vec<(String, Level)>,
    keys: Vec<String>,
    search: Option<AhoCorasick>,
}

/// Bytes of a line in which a mark counts.
const HEAD: usize = 160;

impl Levels {
    /// The usual formats, no marks of a runner's own.
    pub fn usual() -> Self {
        Self::default()
    }

    /// The usual formats and these marks: what the runner prints, and the level that it means.
    ///
    /// # Errors
    /// [`LevelsError`].
    pub fn with_marks<S: Into<String>>(
        marks: impl IntoIterator<Item = (S, Level)>,
    ) -> Result<Self, LevelsError> {
        let mut all: Vec<(String, Level)> = Vec::new();
        for (mark, level) in marks {
            let mark = mark.into();
            if mark.trim().is_empty() || mark.chars().any(char::is_control) {
                return Err(LevelsError::Unprintable(mark));
            }
            match all.iter().find(|(known, _)| *known == mark) {
                Some((_, known)) if *known != level => return Err(LevelsError::Twice(mark)),
                Some(_) => {}
                None => all.push((mark, level)),
            }
        }
        if all.is_empty() {
            return Ok(Self::default());
        }
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(all.iter().map(|(mark, _)| mark.as_str()))
            .map_err(|e| LevelsError::TooMany(e.to_string()))?;
        Ok(Self { marks: all, keys: Vec::new(), search: Some(search) })
    }

    /// Also reads the level of a JSON line from these keys of its outermost object (`level`, `severity`, `levelname`, `lvl`,
    /// `log.level`, `@l` and some more are known).
    #[must_use]
    pub fn and_keys<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        self.keys.extend(keys.into_iter().map(Into::into));
        self
    }

    /// True without marks or keys of a runner's own.
    pub(super) const fn are_usual(&self) -> bool {
        self.marks.is_empty() && self.keys.is_empty()
    }

    /// The marks, for a search before any line is looked at.
    pub(super) fn marks(&self) -> impl Iterator<Item = &str> {
        self.marks.iter().map(|(mark, _)| mark.as_str())
    }

    /// The keys beside the usual ones.
    pub(super) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The leftmost mark in the head of a text line, the longest of those that begin there, and where it ends.
    pub(super) fn in_text(&self, line: &[u8]) -> Option<(Level, usize)> {
        let head = line.get(..HEAD).unwrap_or(line);
        let mut best: Option<(usize, usize, Level)> = None;
        for found in self.search.as_ref()?.find_overlapping_iter(head) {
            if !is_word(line, found.start(), found.end()) {
                continue;
            }
            let (_, level) = self.marks.get(found.pattern().as_usize())?;
            let better = best.is_none_or(|(start, end, _)| {
                found.start() < start || (found.start() == start && found.end() > end)
            });
            if better {
                best = Some((found.start(), found.end(), *level));
            }
        }
        best.map(|(_, end, level)| (level, end))
    }

    /// The level that a JSON value stands for.
    pub(super) fn of_value(&self, value: &[u8]) -> Option<Level> {
        self.marks.iter().find(|(mark, _)| mark.as_bytes() == value).map(|(_, level)| *level)
    }
}

/// A mark that ends in a letter or digit must not go on in the line, nor one that begins with one be part of a longer word.
fn is_word(line: &[u8], start: usize, end: usize) -> bool {
    let alnum = |i: usize| line.get(i).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let joined_before = start > 0 && alnum(start) && alnum(start - 1);
    let joined_after = alnum(end - 1) && alnum(end);
    !joined_before && !joined_after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftmost_mark_in_the_head_decides() {
        let levels =
            Levels::with_marks([("I", Level::Lower), ("E", Level::Error), ("!!", Level::Critical)]).unwrap();
        let level = |line: &str| levels.in_text(line.as_bytes()).map(|(level, _)| level);
        assert_eq!(level("02:00:00|E|order refused"), Some(Level::Error));
        assert_eq!(level("02:00:00|I|got E from the venue"), Some(Level::Lower));
        assert_eq!(level("!! out of money"), Some(Level::Critical));
        assert_eq!(level("Every Error Is Another"), None);
        assert_eq!(level(&format!("{} E", "x".repeat(200))), None, "behind the head");
        assert_eq!(levels.of_value(b"E"), Some(Level::Error));
    }

    #[test]
    fn a_mapping_that_means_nothing_is_refused() {
        assert_eq!(
            Levels::with_marks([(" ", Level::Error)]).unwrap_err(),
            LevelsError::Unprintable(" ".to_owned())
        );
        assert_eq!(
            Levels::with_marks([("E", Level::Error), ("E", Level::Warning)]).unwrap_err(),
            LevelsError::Twice("E".to_owned())
        );
        assert!(Levels::with_marks([("E", Level::Error), ("E", Level::Error)]).is_ok());
        assert!(Levels::with_marks(Vec::<(String, Level)>::new()).is_ok());
        assert_eq!(Level::from_name("Warn"), Some(Level::Warning));
        assert_eq!(Level::from_name("loud"), None);
    }
}
