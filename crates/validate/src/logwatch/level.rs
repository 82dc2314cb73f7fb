//! The level of a log line: text logs with a level word in its place, and JSON logs. The words alone never count.

use super::shapes;

/// A level as the counters tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Anything below a warning.
    Lower,
    /// WARN, WARNING.
    Warning,
    /// ERROR, SEVERE.
    Error,
    /// CRITICAL, FATAL.
    Critical,
}

/// A level and where the line's text begins after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) level: Level,
    pub(super) text_at: usize,
}

/// Words at the beginning of a line that are looked at for a level.
const WORDS: usize = 7;
/// Longest normalised error line, characters.
const TEXT_CAP: usize = 200;

/// The level of a line, when it has one.
pub(super) fn of(line: &[u8]) -> Option<Found> {
    if line.first() == Some(&b'{') { json(line) } else { text(line) }
}

/// A level word counts at the line's beginning, or after a word that holds a time of day.
fn text(line: &[u8]) -> Option<Found> {
    let mut timed = false;
    let mut at = 0;
    for n in 0..WORDS {
        while line.get(at) == Some(&b' ') {
            at += 1;
        }
        let end = memchr::memchr2(b' ', b'\t', line.get(at..)?).map_or(line.len(), |i| at + i);
        let word = line.get(at..end).filter(|word| !word.is_empty())?;
        if (n == 0 || timed)
            && let Some(found) = word_level(word, n == 0)
        {
            return Some(Found { level: found, text_at: end });
        }
        timed |= shapes::holds_time(word);
        at = end;
        if line.get(at) == Some(&b'\t') {
            at += 1;
        }
    }
    None
}

/// `ERROR`, `[ERROR]`, `error:`, `ERROR:root:text` at the beginning. Small letters only between brackets or before a colon.
fn word_level(word: &[u8], first: bool) -> Option<Level> {
    let start = word.iter().position(|b| b.is_ascii_alphabetic())?;
    if word[..start].iter().any(|b| !matches!(b, b'[' | b'<' | b'(' | b'|' | b'-' | b'*')) {
        return None;
    }
    let len = word[start..].iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(word.len() - start);
    let (name, rest) = (&word[start..start + len], &word[start + len..]);
    let closed = match rest {
        [] => start == 0,
        [b':', ..] => rest.len() == 1 || first,
        [b']' | b'>' | b')' | b'|', ..] => true,
        _ => return None,
    };
    let upper = name.iter().all(u8::is_ascii_uppercase);
    let marked = !rest.is_empty() || start > 0;
    if !closed && !marked {
        return None;
    }
    // A bare word at the beginning of a line without a time is prose unless punctuation says otherwise.
    if !upper && !marked {
        return None;
    }
    named(name, upper)
}

pub(super) fn named(name: &[u8], exact: bool) -> Option<Level> {
    if name.len() < 3 || name.len() > 9 {
        return None;
    }
    let is =
        |word: &str| if exact { name == word.as_bytes() } else { name.eq_ignore_ascii_case(word.as_bytes()) };
    let any = |words: &[&str]| words.iter().any(|word| is(word));
    if any(&["INFO", "DEBUG", "TRACE", "NOTICE", "FINE", "FINER", "FINEST", "CONFIG", "VERBOSE"]) {
        Some(Level::Lower)
    } else if any(&["WARN", "WARNING"]) {
        Some(Level::Warning)
    } else if any(&["ERROR", "ERR", "SEVERE"]) {
        Some(Level::Error)
    } else if any(&["CRITICAL", "FATAL", "CRIT"]) {
        Some(Level::Critical)
    } else {
        None
    }
}

fn json(line: &[u8]) -> Option<Found> {
    let value = ["level", "severity", "levelname", "lvl"].iter().find_map(|key| top_level(line, key))?;
    let level = match value {
        [b'"', rest @ ..] => {
            let end = memchr::memchr(b'"', rest)?;
            named(&rest[..end], false)?
        }
        // pino and bunyan: 10 to 60.
        [b'1'..=b'3', b'0', ..] => Level::Lower,
        [b'4', b'0', ..] => Level::Warning,
        [b'5', b'0', ..] => Level::Error,
        [b'6', b'0', ..] => Level::Critical,
        _ => return None,
    };
    Some(Found { level, text_at: 0 })
}

/// The bytes after `"key":` of the outermost object.
fn top_level<'a>(line: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let quoted = format!("\"{key}\"");
    memchr::memmem::find_iter(line, quoted.as_bytes()).find_map(|at| {
        let rest = line[at + quoted.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        (depth(&line[..at]) == Some(1)).then_some(rest)
    })
}

/// Nesting depth after a prefix of a JSON text; `None` inside a string.
fn depth(prefix: &[u8]) -> Option<i32> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for &b in prefix {
        if quoted {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else {
            match b {
                b'"' => quoted = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
        }
    }
    (!quoted).then_some(depth)
}

/// An error line without timestamp and level, digits as `#`, so that equal errors count as one.
pub(super) fn normalised(line: &[u8], text_at: usize) -> String {
    let message = if line.first() == Some(&b'{') { json_message(line) } else { None };
    let text =
        message.unwrap_or_else(|| String::from_utf8_lossy(line.get(text_at..).unwrap_or(line)).into_owned());
    let mut out = String::new();
    let mut digits = false;
    for c in text.trim().chars().take(TEXT_CAP) {
        if c.is_ascii_digit() {
            if !digits {
                out.push('#');
            }
        } else {
            out.push(c);
        }
        digits = c.is_ascii_digit();
    }
    out
}

fn json_message(line: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    ["message", "msg"]
        .iter()
        .find_map(|key| value.get(key).or_else(|| value.get("fields").and_then(|fields| fields.get(key))))
        .and_then(|text| text.as_str())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(line: &str) -> Option<Level> {
        of(line.as_bytes()).map(|found| found.level)
    }

    #[test]
    fn levels_in_their_place() {
        for line in [
            "2026-11-23T02:00:00.123Z ERROR runner: text",
            "2026-11-23T02:00:00.123456Z ERROR text",
            "2015-07-29 23:44:28,903 - ERROR [CommitProcessor:1:NIOServerCnxn@180] - Unexpected Exception: ",
            "[Sun Dec 04 04:47:44 2005] [error] mod_jk child workerEnv in error state 6",
            "ERROR:root:boom",
            "[2026-01-01T00:00:00.000Z] error: start",
            r#"{"timestamp":"x","level":"ERROR","message":"m"}"#,
            r#"{"fields":{"level":"info"}, "level" : "error"}"#,
            r#"{"level":50,"msg":"m"}"#,
        ] {
            assert_eq!(level(line), Some(Level::Error), "{line}");
        }
        assert_eq!(level("2026-11-23T02:00:00Z  WARN slow"), Some(Level::Warning));
        assert_eq!(level("2026-11-23 02:00:00,123 CRITICAL bot: out"), Some(Level::Critical));
        assert_eq!(level("2026-11-23T02:00:00Z  INFO the word ERROR in a text"), Some(Level::Lower));
    }

    #[test]
    fn words_alone_are_no_level() {
        for line in [
            "an error happened",
            "Got ERROR from venue",
            "error rate 0 %",
            r#"{"message":"\"level\":\"error\"","x":{"level":"error"}}"#,
            "",
            "  File \"x\", line 1",
        ] {
            assert_eq!(level(line), None, "{line}");
        }
    }

    #[test]
    fn errors_are_normalised() {
        let line = b"2026-11-23T02:00:00.123Z ERROR order 17 refused after 2.5 s";
        let found = of(line).unwrap();
        assert_eq!(normalised(line, found.text_at), "order # refused after #.# s");
    }
}
