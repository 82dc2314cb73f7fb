//! The level of a log line: text logs with a level word in its place, and JSON logs. The words alone never count.
//!
//! A text line has a head (time, host, logger, thread, brackets) and a message. A level counts when it stands in the head;
//! the first one decides. JSON lines are read at their outermost object.

use super::shapes;

/// A level and where the line's text begins after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) level: Level,
    pub(super) text_at: usize,
}

/// Words at the beginning of a line that are looked at for a level.
const WORDS: usize = 12;
/// Plain words that may stand between a time and a bare level: a logger's name. Two are a sentence.
const PLAIN: u32 = 1;
/// Longest normalised error line, characters.
const TEXT_CAP: usize = 200;
/// JSON keys of the level.
const KEYS: [&str; 9] =
    ["level", "severity", "levelname", "lvl", "log.level", "loglevel", "log_level", "severity_text", "@l"];

/// A level as the counters tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Level {
    /// Anything below a warning: INFO, DEBUG, TRACE.
    Lower,
    /// WARN, WARNING.
    Warning,
    /// ERROR, SEVERE.
    Error,
    /// CRITICAL, FATAL, and syslog's emergencies and alerts.
    Critical,
}

/// The level of a line, when it has one.
pub(super) fn of(line: &[u8]) -> Option<Found> {
    if line.first() == Some(&b'{') { json(line) } else { text(line) }
}

/// What the words of a head have said so far.
#[derive(Debug, Default)]
struct Head {
    timed: bool,
    plain: u32,
    /// The last word ended in a colon: a level must follow at once, or the message has begun.
    colon: bool,
    quoted: bool,
}

/// A level word counts at the line's beginning, after a word that holds a time of day, or between brackets.
fn text(line: &[u8]) -> Option<Found> {
    if let Some(found) = syslog(line).or_else(|| letter(line)) {
        return Some(found);
    }
    let indented = line.first() == Some(&b'\t') || line.starts_with(b"  ");
    let mut head = Head::default();
    let mut at = 0;
    for n in 0..WORDS {
        let (start, end) = next_word(line, at)?;
        let word = line.get(start..end)?;
        if !head.quoted {
            let tabbed = start > 0 && line.get(start - 1) == Some(&b'\t') && line.get(end) == Some(&b'\t');
            let place = Place { first: n == 0, tabbed };
            let open = if n == 0 { !indented } else { head.timed || word.first() == Some(&b'[') };
            let level = assigned(word).or_else(|| if open { word_level(word, place) } else { None });
            if let Some(level) = level {
                return Some(Found { level, text_at: end });
            }
        }
        head.read(word)?;
        at = end;
    }
    None
}

/// The next word: between blanks, tabs and columns of bars.
fn next_word(line: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = at + line.get(at..)?.iter().position(|b| !matches!(b, b' ' | b'\t'))?;
    let end = memchr::memchr2(b' ', b'\t', line.get(start..)?).map_or(line.len(), |i| start + i);
    Some((start, end))
}

impl Head {
    /// `None` when the message has begun.
    fn read(&mut self, word: &[u8]) -> Option<()> {
        let quotes = memchr::memchr_iter(b'"', word).count();
        if quotes % 2 == 1 {
            self.quoted = !self.quoted;
        }
        if self.quoted || quotes > 0 {
            return Some(());
        }
        let time = shapes::holds_time(word);
        self.timed |= time;
        if self.colon {
            return None;
        }
        // Dates end in no colon; `host app[12]:` and `logger:` do.
        self.colon = !time && word.len() > 1 && word.last() == Some(&b':');
        if time || matches!(word, b"-" | b"|") {
            self.plain = 0;
        } else if is_plain(word) {
            // A sentence begins with a capital; months and days stand before the time.
            if self.timed && word[0].is_ascii_uppercase() {
                return None;
            }
            self.plain += 1;
        }
        // Before a time there may be a date in words, a host and a name.
        let allowed = if self.timed { PLAIN } else { 3 };
        (self.plain <= allowed).then_some(())
    }
}

/// A word of prose, or a simple name: letters only, and no capitals inside it.
fn is_plain(word: &[u8]) -> bool {
    let word = word.strip_suffix(b",").unwrap_or(word);
    !word.is_empty()
        && word.iter().all(u8::is_ascii_alphabetic)
        && !word[1..].iter().any(u8::is_ascii_uppercase)
        && !matches!(word, b"AM" | b"PM" | b"UTC" | b"am" | b"pm")
}

/// Where a word stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    first: bool,
    /// Between two tabs.
    tabbed: bool,
}

/// `ERROR`, `[ERROR]`, `error:`, `ERROR:root:text` at the beginning, `app.ERROR:` of monolog, `|ERROR|`. Small letters only
/// between brackets, between tabs or before a colon.
fn word_level(word: &[u8], place: Place) -> Option<Level> {
    let start = word.iter().position(u8::is_ascii_alphabetic)?;
    if word[..start].iter().any(|b| !matches!(b, b'[' | b'<' | b'(' | b'|')) {
        return None;
    }
    let len = word[start..].iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(word.len() - start);
    let (name, rest) = (&word[start..start + len], &word[start + len..]);
    let upper = name.iter().all(u8::is_ascii_uppercase);
    let small = name.iter().all(u8::is_ascii_lowercase);
    let bracketed = start > 0;
    let closed = match rest {
        [] => false,
        [b':'] => true,
        [b':', next, ..] => place.first && *next != b':',
        // logrus and geth: `ERRO[0000]`, `ERROR[11-23|02:00:00]`.
        [b'[', next, ..] => place.first && upper && next.is_ascii_digit(),
        [b'|', ..] => true,
        [b']' | b'>' | b')', ..] => bracketed || (!place.first && upper),
        // monolog: `app.ERROR: text`.
        [b'.', own @ .., b':'] if own.iter().all(u8::is_ascii_uppercase) => return named(own),
        _ => false,
    };
    if !closed && !rest.is_empty() {
        return None;
    }
    if bracketed {
        return if closed || upper { named(name).or_else(|| named_in_brackets(name)) } else { None };
    }
    if closed {
        // At a line's beginning `Error: text` is somebody's message, not a level.
        return match (place.first, upper, small) {
            (true, false, false) => None,
            (true, _, true) => named(name).or_else(|| named_by_dotnet(name)),
            _ => named(name).or_else(|| if name == b"PANIC" { Some(Level::Critical) } else { None }),
        };
    }
    if upper || place.tabbed { named(name) } else { None }
}

/// `level=error` of logfmt, outside quotes.
fn assigned(word: &[u8]) -> Option<Level> {
    let split = memchr::memchr(b'=', word)?;
    let (key, value) = (word.get(..split)?, word.get(split + 1..)?);
    if ![&b"level"[..], b"lvl", b"severity", b"loglevel", b"log.level", b"log_level"].contains(&key) {
        return None;
    }
    let value = value.strip_suffix(b",").unwrap_or(value);
    named(value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value))
}

/// `<11>`: syslog's priority; its lowest three bits are the severity (RFC 5424, 6.2.1).
fn syslog(line: &[u8]) -> Option<Found> {
    let rest = line.strip_prefix(b"<")?;
    let end = memchr::memchr(b'>', rest.get(..4.min(rest.len()))?)?;
    let digits = rest.get(..end).filter(|d| !d.is_empty() && d.iter().all(u8::is_ascii_digit))?;
    let priority = digits.iter().fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
    if priority > 191 {
        return None;
    }
    let level = match priority & 7 {
        0..=2 => Level::Critical,
        3 => Level::Error,
        4 => Level::Warning,
        _ => Level::Lower,
    };
    Some(Found { level, text_at: end + 2 })
}

/// One letter: glog's `E1123 02:00:00.000001 12 file.cc:3] text`, tornado's `[E 261123 02:00:00 web:3] text`.
fn letter(line: &[u8]) -> Option<Found> {
    let glog = |line: &[u8]| {
        line.get(1..5).is_some_and(|day| day.iter().all(u8::is_ascii_digit))
            && line.get(5) == Some(&b' ')
            && line.get(6..14).is_some_and(shapes::holds_time)
            && memchr::memchr(b']', &line[..line.len().min(160)]).is_some()
    };
    let tornado = |line: &[u8]| {
        line.first() == Some(&b'[')
            && line.get(2) == Some(&b' ')
            && line.get(3..9).is_some_and(|day| day.iter().all(u8::is_ascii_digit))
            && line.get(10..18).is_some_and(shapes::holds_time)
    };
    let by = if line.first()?.is_ascii_uppercase() && glog(line) {
        line[0]
    } else if tornado(line) {
        *line.get(1)?
    } else {
        return None;
    };
    let level = match by {
        b'I' | b'D' | b'V' => Level::Lower,
        b'W' => Level::Warning,
        b'E' => Level::Error,
        b'F' | b'C' => Level::Critical,
        _ => return None,
    };
    let text_at = memchr::memchr(b']', line).map_or(line.len(), |i| i + 1);
    Some(Found { level, text_at })
}

/// The level of a word that stands in a level's place.
pub(super) fn named(name: &[u8]) -> Option<Level> {
    if name.len() < 3 || name.len() > 11 {
        return None;
    }
    let any = |words: &[&str]| words.iter().any(|word| name.eq_ignore_ascii_case(word.as_bytes()));
    if any(&["ERROR", "ERR", "SEVERE", "ERRO", "EROR"]) {
        Some(Level::Error)
    } else if any(&["WARN", "WARNING", "WRN"]) {
        Some(Level::Warning)
    } else if any(&["CRITICAL", "FATAL", "CRIT", "FTL", "FATA", "CRT", "DPANIC"]) {
        Some(Level::Critical)
    } else if any(&LOWER) {
        Some(Level::Lower)
    } else {
        None
    }
}

/// Levels below a warning: they end the search, so that a word of the message cannot count.
const LOWER: [&str; 18] = [
    "INFO",
    "DEBUG",
    "TRACE",
    "NOTICE",
    "FINE",
    "FINER",
    "FINEST",
    "CONFIG",
    "VERBOSE",
    "SUCCESS",
    "INFORMATION",
    "INF",
    "DBG",
    "TRC",
    "VRB",
    "DEBU",
    "TRAC",
    "INFORMATIONAL",
];

/// Words that are levels between brackets only: nginx, Apache, Erlang.
fn named_in_brackets(name: &[u8]) -> Option<Level> {
    ["EMERG", "ALERT", "EMERGENCY", "PANIC"]
        .iter()
        .any(|word| name.eq_ignore_ascii_case(word.as_bytes()))
        .then_some(Level::Critical)
}

/// .NET's console logger: `fail: Category[0]`.
fn named_by_dotnet(name: &[u8]) -> Option<Level> {
    match name {
        b"fail" => Some(Level::Error),
        b"dbug" | b"trce" => Some(Level::Lower),
        _ => None,
    }
}

fn json(line: &[u8]) -> Option<Found> {
    let value = KEYS.into_iter().find_map(|key| top_level(line, key))?;
    let bare = match value {
        [b'"', rest @ ..] => &rest[..memchr::memchr(b'"', rest)?],
        _ => &value[..value.iter().position(|b| !b.is_ascii_digit()).unwrap_or(value.len())],
    };
    let level = match bare {
        // pino and bunyan: 10 to 60.
        b"10" | b"20" | b"30" => Some(Level::Lower),
        b"40" => Some(Level::Warning),
        b"50" => Some(Level::Error),
        b"60" => Some(Level::Critical),
        word => named(word).or_else(|| named_in_brackets(word)),
    }?;
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
    fn common_formats() {
        for (line, expected) in [
            ("2026-11-23 02:00:00,123 - bot - ERROR - text", Some(Level::Error)),
            ("2026-11-23 02:00:00,123 bot ERROR text", Some(Level::Error)),
            ("[2026-11-23 02:00:00,123] ERROR in app: text", Some(Level::Error)),
            ("[2026-11-23 02:00:00 +0000] [123] [CRITICAL] text", Some(Level::Critical)),
            ("WARNING:root:slow", Some(Level::Warning)),
            ("ERROR:    Exception in ASGI application", Some(Level::Error)),
            ("[E 261123 02:00:00 web:123] text", Some(Level::Error)),
            ("E1123 02:00:00.123456 1234 file.cc:12] text", Some(Level::Error)),
            ("time=\"2026-11-23T02:00:00Z\" level=error msg=\"x\"", Some(Level::Error)),
            ("ts=2026-11-23T02:00:00Z lvl=warn msg=x", Some(Level::Warning)),
            ("level=info msg=\"level=error inside\"", Some(Level::Lower)),
            ("time=2026-11-23T02:00:00Z msg=\"a level=error inside\" n=1", None),
            ("<11>Nov 23 02:00:00 host app[1]: text", Some(Level::Error)),
            ("<14>1 2026-11-23T02:00:00Z host app - - - an ERROR", Some(Level::Lower)),
            ("Nov 23 02:00:00 host app[123]: ERROR: text", Some(Level::Error)),
            ("Nov 23 02:00:00 host app[123]: an ERROR: text", None),
            ("[ERROR] text", Some(Level::Error)),
            ("[error] text", Some(Level::Error)),
            ("2026/11/23 02:00:00 [emerg] 1#0: text", Some(Level::Critical)),
            ("2026-11-23 02:00:00,123 ERROR [main] c.f.Bar - text", Some(Level::Error)),
            ("02:00:00.123 [main] WARN  c.f.Bar -- text", Some(Level::Warning)),
            ("02:00:00.123 [pool-1 thread 2] ERROR c.f.Bar - text", Some(Level::Error)),
            ("SEVERE: text", Some(Level::Error)),
            ("2026-11-23 02:00:00.123 | ERROR    | mod:fn:12 - text", Some(Level::Error)),
            ("fail: Category[0]", Some(Level::Error)),
            ("[02:00:00 ERR] text", Some(Level::Error)),
            ("2:00AM WRN text", Some(Level::Warning)),
            ("E, [2026-11-23T02:00:00.123456 #123] ERROR -- : text", Some(Level::Error)),
            ("[2026-11-23T02:00:00.1+00:00] app.ERROR: text {}", Some(Level::Error)),
            ("[2026-11-23T02:00:00Z ERROR my_crate::mod] text", Some(Level::Error)),
            ("2026-11-23T02:00:00.123Z\terror\tcaller.go:1\ttext", Some(Level::Error)),
            ("ERRO[0000] text", Some(Level::Error)),
            ("ERROR[11-23|02:00:00.000] text", Some(Level::Error)),
            ("2026-11-23 02:00:00.123 UTC [123] ERROR:  text", Some(Level::Error)),
            ("2026-11-23T02:00:00.123456Z 0 [Warning] [MY-010] text", Some(Level::Warning)),
            ("{\"@l\":\"Error\",\"@m\":\"x\"}", Some(Level::Error)),
            ("{\"time\":\"x\",\"level\":40}", Some(Level::Warning)),
            (" WARN target: text", Some(Level::Warning)),
            ("bot-1  | 2026-11-23 02:00:00,123 ERROR text", Some(Level::Error)),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
    }

    #[test]
    fn words_alone_are_no_level() {
        for line in [
            "an error happened",
            "Got ERROR from venue",
            "error rate 0 %",
            "Error: somebody's message",
            "2026-11-23T02:00:00Z Got ERROR from venue",
            "2026-11-23T02:00:00Z we got ERROR from venue",
            "2026-11-23T02:00:00Z bot: no ERROR so far",
            "2026-11-23T02:00:00Z \"ERROR\" is a word",
            "    ERROR in a continuation",
            "errors=0 error_rate=0.0",
            "ERRORS 0",
            "src/main.rs: ERROR_CODE 7",
            "panic: at the market",
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
