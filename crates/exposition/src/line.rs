//! Reading inside one line: names, labels, quoted texts, numbers. What lines mean lives in `parse`.

use crate::encode::Format;
use crate::page::is_plain;
use crate::parse::ParseError;

/// Labels in order of appearance.
pub(crate) type Labels = Vec<(String, String)>;

/// A place in a line.
#[derive(Debug, Clone)]
pub(crate) struct Line<'a> {
    text: &'a str,
    at: usize,
    number: u64,
    format: Format,
}

impl<'a> Line<'a> {
    pub(crate) fn new(text: &'a str, number: u64, format: Format) -> Self {
        Self { text, at: 0, number, format }
    }

    pub(crate) fn error(&self, what: impl Into<String>) -> ParseError {
        ParseError { line: self.number, column: self.at as u64 + 1, what: what.into() }
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes `text` when it comes next.
    pub(crate) fn take(&mut self, text: &str) -> bool {
        let next = self.rest().starts_with(text);
        if next {
            self.at += text.len();
        }
        next
    }

    /// Skips blanks and tabs; true when there were some.
    pub(crate) fn blanks(&mut self) -> bool {
        let start = self.at;
        while self.rest().starts_with([' ', '\t']) {
            self.at += 1;
        }
        self.at > start
    }

    /// What separates the parts of a line: blanks and tabs in 0.0.4, exactly one blank in OpenMetrics.
    pub(crate) fn separator(&mut self) -> bool {
        match self.format {
            Format::Text004 => self.blanks(),
            Format::OpenMetrics => self.take(" "),
        }
    }

    /// Everything up to the next blank or tab.
    pub(crate) fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let word = &rest[..rest.find([' ', '\t']).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// A plain or quoted name, metric names with colons.
    pub(crate) fn name(&mut self, colons: bool) -> Result<String, ParseError> {
        if self.peek() == Some('"') {
            let start = self.clone();
            let name = self.quoted()?;
            return if name.is_empty() { Err(start.error("a name is empty")) } else { Ok(name) };
        }
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':')))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        if !is_plain(name, colons) {
            return Err(self.error("a name must begin here with a letter or an underscore"));
        }
        self.at += end;
        Ok(name.to_owned())
    }

    /// A text in double quotes. Escapes are `\\`, `\"` and `\n`; another one is an error in 0.0.4 and stands for itself in
    /// OpenMetrics, whose grammar allows it.
    pub(crate) fn quoted(&mut self) -> Result<String, ParseError> {
        if !self.take("\"") {
            return Err(self.error("expected a double quote"));
        }
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else { return Err(self.error("the closing double quote is missing")) };
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(out);
                }
                '\\' => {
                    let escaped = self.rest().chars().nth(1);
                    match (escaped, self.format) {
                        (Some('\\'), _) => out.push('\\'),
                        (Some('"'), _) => out.push('"'),
                        (Some('n'), _) => out.push('\n'),
                        (Some(other), Format::OpenMetrics) => out.extend(['\\', other]),
                        _ => return Err(self.error("only \\\\, \\\" and \\n are escapes")),
                    }
                    self.at += 1 + escaped.map_or(0, char::len_utf8);
                }
                _ => {
                    out.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    /// `{...}` with the metric's name when it stands quoted inside. The brace comes next.
    pub(crate) fn labels(&mut self) -> Result<(Option<String>, Labels), ParseError> {
        let text = self.format == Format::Text004;
        let skip = |line: &mut Self| text && line.blanks();
        self.take("{");
        let (mut name, mut labels, mut first) = (None, Labels::new(), true);
        skip(self);
        while !self.take("}") {
            let start = self.clone();
            if !first {
                if !self.take(",") {
                    return Err(self.error("expected a comma or a closing brace"));
                }
                // Text 0.0.4 allows a trailing comma; OpenMetrics writers put a blank behind a comma.
                if skip(self) || text {
                    if self.take("}") {
                        break;
                    }
                } else {
                    self.take(" ");
                }
            }
            let is_quoted = self.peek() == Some('"');
            let label_start = self.clone();
            let label = self.name(false)?;
            skip(self);
            if is_quoted && first && self.peek() != Some('=') {
                name = Some(label);
            } else {
                if !self.take("=") {
                    return Err(self.error("expected `=` behind a label's name"));
                }
                skip(self);
                let value = self.quoted()?;
                if label == "__name__" {
                    return Err(label_start.error("the label `__name__` is reserved"));
                }
                if labels.iter().any(|(n, _)| *n == label) {
                    return Err(start.error(format!("label `{label}` stands twice")));
                }
                labels.push((label, value));
            }
            first = false;
            skip(self);
        }
        labels.sort();
        Ok((name, labels))
    }

    /// A sample's value: decimal, exponent, infinities and NaN in any case.
    pub(crate) fn value(&mut self) -> Result<f64, ParseError> {
        let start = self.clone();
        let word = self.word();
        number(word).ok_or_else(|| start.error(format!("`{}` is not a value", clip(word))))
    }

    /// A timestamp in seconds: whole milliseconds in 0.0.4, a finite decimal in OpenMetrics.
    pub(crate) fn timestamp(&mut self) -> Result<f64, ParseError> {
        let start = self.clone();
        let word = self.word();
        let seconds = match self.format {
            Format::Text004 => word.parse::<i64>().ok().map(|ms| ms as f64 / 1000.0),
            Format::OpenMetrics => number(word).filter(|t| t.is_finite()),
        };
        seconds.ok_or_else(|| start.error(format!("`{}` is not a timestamp", clip(word))))
    }
}

/// A number as both formats write it. The standard library reads the same decimals and nothing hexadecimal; a NaN has no sign.
pub(crate) fn number(word: &str) -> Option<f64> {
    let value: f64 = word.parse().ok()?;
    (!(value.is_nan() && word.starts_with(['+', '-']))).then_some(value)
}

/// Long damaged texts are cut in messages.
pub(crate) fn clip(word: &str) -> String {
    let mut short: String = word.chars().take(60).collect();
    if short.len() < word.len() {
        short.push_str("...");
    }
    short
}
