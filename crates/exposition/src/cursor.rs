//! Reading at a place of a page: names, quoted texts, label sets, numbers. One pass over the bytes; what needs no unescaping is
//! borrowed. What lines mean lives in `text` and `open`.

use std::borrow::Cow;

use crate::encode::Format;
use crate::series::Hash;

/// A label of a sample that was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label<'a> {
    /// Name.
    pub name: Cow<'a, str>,
    /// Value, unescaped.
    pub value: Cow<'a, str>,
}

/// What is wrong, and the byte of the page where.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) what: String,
}

/// A fault at a byte of the page.
pub(crate) fn fault<T>(at: usize, what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { at, what: what.into() })
}

/// A point in time: as the samples show it, and exactly to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stamp {
    /// Seconds since the epoch.
    pub(crate) seconds: f64,
    /// Nanoseconds since the epoch, cut towards zero.
    pub(crate) nanos: i128,
}

const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const COLON: u8 = 4;
/// What a run of plain bytes inside quotes ends at.
const STOP: u8 = 8;

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => LETTER,
            b'0'..=b'9' => DIGIT,
            b':' => COLON,
            b'"' | b'\\' | b'\n' => STOP,
            _ => 0,
        };
        b += 1;
    }
    table
}

static CLASS: [u8; 256] = classes();

/// A place in a page whose every line ends with a line feed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    page: &'a str,
    pub(crate) at: usize,
    format: Format,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(page: &'a str, at: usize, format: Format) -> Self {
        Self { page, at, format }
    }

    fn is_text(&self) -> bool {
        self.format == Format::Text004
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.page.as_bytes().get(self.at).copied()
    }

    /// True behind the last byte of a line.
    #[inline]
    pub(crate) fn is_line_end(&self) -> bool {
        matches!(self.peek(), None | Some(b'\n'))
    }

    /// Takes a byte when it comes next.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        if next {
            self.at += 1;
        }
        next
    }

    /// Skips blanks and tabs; true when there were some.
    #[inline]
    pub(crate) fn blanks(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at > start
    }

    /// What separates the parts of a line: blanks and tabs in 0.0.4, exactly one blank in OpenMetrics.
    #[inline]
    pub(crate) fn separator(&mut self) -> bool {
        if self.is_text() { self.blanks() } else { self.take(b' ') }
    }

    /// Everything up to the next blank, tab or line end.
    pub(crate) fn word(&mut self) -> &'a str {
        let bytes = &self.page.as_bytes()[self.at..];
        let len = bytes.iter().position(|b| matches!(b, b' ' | b'\t' | b'\n')).unwrap_or(bytes.len());
        let word = &self.page[self.at..self.at + len];
        self.at += len;
        word
    }

    /// What is left of the line, without its line feed.
    pub(crate) fn rest(&self) -> &'a str {
        let bytes = &self.page.as_bytes()[self.at..];
        let len = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
        &self.page[self.at..self.at + len]
    }

    /// Takes `name` when it comes next whole: nothing that could belong to a name follows.
    #[inline]
    pub(crate) fn take_name(&mut self, name: &str) -> bool {
        let bytes = &self.page.as_bytes()[self.at..];
        let is_same = !name.is_empty()
            && bytes.starts_with(name.as_bytes())
            && bytes.get(name.len()).is_none_or(|b| CLASS[usize::from(*b)] & (LETTER | DIGIT | COLON) == 0);
        if is_same {
            self.at += name.len();
        }
        is_same
    }

    /// A name without quotes, metric names with colons.
    #[inline]
    pub(crate) fn plain_name(&mut self, colons: bool) -> Result<&'a str, Fault> {
        let allowed = LETTER | DIGIT | if colons { COLON } else { 0 };
        let bytes = self.page.as_bytes();
        let mut end = self.at;
        while bytes.get(end).is_some_and(|b| CLASS[usize::from(*b)] & allowed != 0) {
            end += 1;
        }
        if end == self.at || bytes[self.at].is_ascii_digit() {
            return fault(self.at, "a name must begin here with a letter or an underscore");
        }
        let name = &self.page[self.at..end];
        self.at = end;
        Ok(name)
    }

    /// A plain or quoted name.
    pub(crate) fn name(&mut self, colons: bool) -> Result<Cow<'a, str>, Fault> {
        if self.peek() != Some(b'"') {
            return self.plain_name(colons).map(Cow::Borrowed);
        }
        let start = self.at;
        let name = self.quoted()?;
        if name.is_empty() { fault(start, "a name is empty") } else { Ok(name) }
    }

    /// A text in double quotes. Escapes are `\\`, `\"` and `\n`; a backslash before anything else stands for itself: the
    /// grammar of OpenMetrics says so, and the official Python parser reads 0.0.4 in the same way.
    #[inline]
    pub(crate) fn quoted(&mut self) -> Result<Cow<'a, str>, Fault> {
        if !self.take(b'"') {
            return fault(self.at, "expected a double quote");
        }
        let bytes = self.page.as_bytes();
        let start = self.at;
        let mut end = start;
        while bytes.get(end).is_some_and(|b| CLASS[usize::from(*b)] & STOP == 0) {
            end += 1;
        }
        if bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Cow::Borrowed(&self.page[start..end]));
        }
        self.escaped(start).map(Cow::Owned)
    }

    /// A quoted text with escapes, from behind its opening quote.
    fn escaped(&mut self, start: usize) -> Result<String, Fault> {
        let bytes = self.page.as_bytes();
        let mut out = String::new();
        let (mut from, mut end) = (start, start);
        loop {
            match bytes.get(end) {
                None | Some(b'\n') => {
                    return fault(end, "the closing double quote is missing in this line");
                }
                Some(b'"') => {
                    out.push_str(&self.page[from..end]);
                    self.at = end + 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(&self.page[from..end]);
                    from = end + 2;
                    match bytes.get(end + 1) {
                        Some(b'\\') => out.push('\\'),
                        Some(b'"') => out.push('"'),
                        Some(b'n') => out.push('\n'),
                        _ => {
                            out.push('\\');
                            from = end + 1;
                            end += 1;
                            continue;
                        }
                    }
                    end += 2;
                }
                Some(_) => end += 1,
            }
        }
    }

    /// `{...}` into `labels`, sorted by name; the metric's name when it stands quoted inside. The brace comes next. `hash`
    /// takes up the labels in any order.
    pub(crate) fn labels(
        &mut self,
        labels: &mut Vec<Label<'a>>,
        hash: &mut Hash,
    ) -> Result<Option<Cow<'a, str>>, Fault> {
        let open = self.at;
        let (mut name, mut is_sorted) = (None, true);
        self.take(b'{');
        self.inner_blanks();
        // Text 0.0.4: `{,}` is an empty set with a trailing comma, read by the official Python parser.
        if self.is_text() && self.peek() == Some(b',') {
            let mut ahead = *self;
            ahead.take(b',');
            ahead.blanks();
            if ahead.peek() == Some(b'}') {
                self.at = ahead.at;
            }
        }
        if self.take(b'}') {
            return Ok(None);
        }
        loop {
            let is_name = self.one_label(labels, &mut is_sorted, &mut name, hash)?;
            debug_assert!(is_name || !labels.is_empty());
            self.inner_blanks();
            match self.peek() {
                Some(b'}') => self.at += 1,
                Some(b',') => {
                    self.at += 1;
                    if self.is_text() {
                        self.blanks();
                        if !self.take(b'}') {
                            continue;
                        }
                    } else {
                        // The grammar of OpenMetrics has no blank here; writers of quoted names put one.
                        self.take(b' ');
                        continue;
                    }
                }
                _ => return fault(self.at, "expected a comma or a closing brace"),
            }
            break;
        }
        if !is_sorted {
            labels.sort_unstable();
            if let Some(pair) = labels.windows(2).find(|pair| pair[0].name == pair[1].name) {
                return fault(open, format!("label `{}` stands twice", clip(&pair[0].name)));
            }
        }
        Ok(name)
    }

    #[inline]
    fn inner_blanks(&mut self) {
        if self.is_text() {
            self.blanks();
        }
    }

    /// One `name="value"`, or the metric's name in quotes: then true.
    #[inline]
    fn one_label(
        &mut self,
        labels: &mut Vec<Label<'a>>,
        is_sorted: &mut bool,
        metric: &mut Option<Cow<'a, str>>,
        hash: &mut Hash,
    ) -> Result<bool, Fault> {
        let start = self.at;
        let is_quoted = self.peek() == Some(b'"');
        let name = if is_quoted { self.name(false)? } else { Cow::Borrowed(self.plain_name(false)?) };
        self.inner_blanks();
        if is_quoted && self.peek() != Some(b'=') {
            if metric.is_some() {
                return fault(start, "a second metric name stands in the braces");
            }
            *metric = Some(name);
            return Ok(true);
        }
        if !self.take(b'=') {
            return fault(self.at, "expected `=` behind a label's name");
        }
        self.inner_blanks();
        let value = self.quoted()?;
        if name.starts_with("__") {
            return fault(
                start,
                format!("`{}`: label names with two leading underscores are reserved", clip(&name)),
            );
        }
        *is_sorted = *is_sorted && labels.last().is_none_or(|last| last.name < name);
        hash.label(&name, &value);
        labels.push(Label { name, value });
        Ok(false)
    }

    /// A sample's value: decimal, exponent, infinities and NaN in any case.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<f64, Fault> {
        let bytes = self.page.as_bytes();
        let (mut end, mut whole) = (self.at, 0u64);
        while let Some(digit) = bytes.get(end).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            whole = whole.wrapping_mul(10).wrapping_add(u64::from(digit));
            end += 1;
        }
        // Up to 15 digits a whole number is exact.
        if (1..=15).contains(&(end - self.at)) && matches!(bytes.get(end), Some(b'\n' | b' ')) {
            self.at = end;
            return Ok(whole as f64);
        }
        let start = self.at;
        let word = self.word();
        match number(word) {
            Some(value) => Ok(value),
            None => fault(start, format!("`{}` is not a value", clip(word))),
        }
    }

    /// A timestamp: whole milliseconds in 0.0.4, a finite decimal number of seconds in OpenMetrics.
    pub(crate) fn timestamp(&mut self) -> Result<Stamp, Fault> {
        let start = self.at;
        let word = self.word();
        let stamp = if self.is_text() {
            word.parse::<i64>()
                .ok()
                .map(|ms| Stamp { seconds: ms as f64 / 1000.0, nanos: i128::from(ms) * 1_000_000 })
        } else {
            number(word)
                .filter(|t| t.is_finite())
                .map(|seconds| Stamp { seconds, nanos: nanos(word).unwrap_or((seconds * 1e9) as i128) })
        };
        match stamp {
            Some(stamp) => Ok(stamp),
            None => fault(start, format!("`{}` is not a timestamp", clip(word))),
        }
    }
}

/// A number as both formats write it. The standard library reads the same decimals and nothing hexadecimal; a NaN has no sign.
pub(crate) fn number(word: &str) -> Option<f64> {
    let value: f64 = word.parse().ok()?;
    (!(value.is_nan() && word.starts_with(['+', '-']))).then_some(value)
}

/// Exact nanoseconds of a decimal without an exponent.
fn nanos(word: &str) -> Option<i128> {
    let digits = word.trim_start_matches(['+', '-']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    for i in 0..9 {
        let digit = fraction.as_bytes().get(i).copied().unwrap_or(b'0');
        value =
            value.checked_mul(10)?.checked_add(i128::from(digit.checked_sub(b'0').filter(|d| *d < 10)?))?;
    }
    if fraction.bytes().any(|b| !b.is_ascii_digit()) {
        return None;
    }
    Some(if word.starts_with('-') { -value } else { value })
}

/// Long damaged texts are cut in messages, which stay in one line.
pub(crate) fn clip(word: &str) -> String {
    let mut short: String = word.chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect();
    if short.len() < word.len() {
        short.push_str("...");
    }
    short
}
