//! Walking through a page once: each sample is handed on as it is read, borrowed from the page. What both formats share lives
//! here: samples, families by name, series that stand twice. Lines of text 0.0.4 live in `text`, of OpenMetrics in `open`.

use std::borrow::Cow;

use crate::cursor::{Cursor, Fault, Label, Stamp, clip, fault};
use crate::encode::Format;
use crate::open::OpenFamily;
use crate::page::{Kind, write_series};
use crate::parse::ParseError;
use crate::series::{Names, Seen};
use crate::text::Distributions;

/// What is said of a metric family, without its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Head<'a> {
    /// Name as in its `# TYPE` line.
    pub name: Cow<'a, str>,
    /// Type; `None` without a `# TYPE` line.
    pub kind: Option<Kind>,
    /// Help, unescaped; `None` without a `# HELP` line.
    pub help: Option<Cow<'a, str>>,
    /// Unit; `None` without a `# UNIT` line.
    pub unit: Option<Cow<'a, str>>,
    /// The byte of the page where its first line begins.
    pub(crate) at: usize,
    /// The byte of the page where its first sample begins.
    pub(crate) first_sample: Option<usize>,
}

/// A sample, borrowed from its page.
#[derive(Debug)]
pub struct Point<'p, 'a> {
    /// Index of its family among the [`Head`]s.
    pub family: usize,
    /// Full name with its suffix (`_bucket`, `_sum`, `_total`, ...).
    pub name: &'p str,
    /// Labels sorted by name, values unescaped.
    pub labels: &'p [Label<'a>],
    /// Value, NaN and infinities as they are.
    pub value: f64,
    /// Seconds since the epoch, when the line carries a timestamp.
    pub timestamp: Option<f64>,
    /// OpenMetrics exemplar.
    pub exemplar: Option<&'p Mark<'a>>,
    /// OpenMetrics: an earlier point of this series has the same nanosecond. The earlier one counts.
    pub is_repeated: bool,
}

/// An exemplar, borrowed from its page.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark<'a> {
    /// Labels sorted by name.
    pub labels: Vec<Label<'a>>,
    /// Value.
    pub value: f64,
    /// Seconds since the epoch.
    pub timestamp: Option<f64>,
}

impl Point<'_, '_> {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        label(self.labels, name)
    }

    /// `name{label="value",...}`, see [`canonical_name`](crate::canonical_name).
    pub fn series(&self) -> String {
        let mut out = String::with_capacity(64);
        write_series(&mut out, self.name, self.labels.iter().map(|l| (l.name.as_ref(), l.value.as_ref())));
        out
    }
}

/// The value of a label.
pub(crate) fn label<'p>(labels: &'p [Label<'_>], name: &str) -> Option<&'p str> {
    labels.iter().find(|l| l.name == name).map(|l| l.value.as_ref())
}

/// Reads a page in one pass and hands on each sample in order of appearance, without copying what needs no unescaping.
/// Strict like [`parse`](crate::parse): after an error everything handed on before is void.
///
/// # Errors
/// The first [`ParseError`]; a page that breaks off inside a line (and an OpenMetrics page without `# EOF`) is one.
pub fn scan<'a>(
    page: &'a [u8],
    format: Format,
    mut visit: impl FnMut(Point<'_, 'a>),
) -> Result<Vec<Head<'a>>, ParseError> {
    let text = match std::str::from_utf8(page) {
        Ok(text) => text,
        Err(e) => return Err(ParseError::at(page, e.valid_up_to(), "not UTF-8".to_owned())),
    };
    walk(text, format, &mut visit).map_err(|f| ParseError::at(page, f.at, f.what))
}

fn walk<'a>(
    text: &'a str,
    format: Format,
    visit: &mut impl FnMut(Point<'_, 'a>),
) -> Result<Vec<Head<'a>>, Fault> {
    // The last byte of a page is a line feed; everything behind the last one was cut.
    let end = memchr::memrchr(b'\n', text.as_bytes()).map_or(0, |i| i + 1);
    let (whole, tail) = text.split_at(end);
    let mut scanner = Scanner::new(whole, format);
    let mut cursor = Cursor::new(whole, 0, format);
    while cursor.at < whole.len() {
        let row = match format {
            Format::Text004 => scanner.text_line(&mut cursor)?,
            Format::OpenMetrics => scanner.open_line(&mut cursor)?,
        };
        if let Some(row) = row {
            visit(Point {
                family: row.family,
                name: &row.name,
                labels: &scanner.labels,
                value: row.value,
                timestamp: row.stamp.map(|s| s.seconds),
                exemplar: row.exemplar.as_deref(),
                is_repeated: row.is_repeated,
            });
        }
        if !cursor.take(b'\n') {
            return fault(cursor.at, "nothing more may stand in this line");
        }
    }
    match format {
        // Python's and Go's parsers accept a missing final line feed behind `# EOF`.
        Format::OpenMetrics if tail == "# EOF" && !scanner.ended => {
            scanner.close_last()?;
            scanner.ended = true;
        }
        _ if !tail.is_empty() && scanner.ended => return fault(end, "nothing may follow `# EOF`"),
        _ if !tail.is_empty() => return fault(text.len(), "the page breaks off inside a line"),
        _ => {}
    }
    scanner.finish(text.len())
}

/// A sample that was read; its labels are the scanner's.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) family: usize,
    pub(crate) name: Cow<'a, str>,
    pub(crate) value: f64,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) exemplar: Option<Box<Mark<'a>>>,
    pub(crate) is_repeated: bool,
    /// The byte of the page where its line begins.
    pub(crate) at: usize,
}

/// What is known of the part of a page that was read.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    page: &'a str,
    pub(crate) format: Format,
    pub(crate) heads: Vec<Head<'a>>,
    /// Index of the family of a name.
    pub(crate) by_name: Names<'a>,
    /// The labels of the last sample.
    pub(crate) labels: Vec<Label<'a>>,
    seen: Seen,
    /// Name and family of the last sample.
    pub(crate) last: (&'a str, usize),
    /// Text 0.0.4: buckets and quantiles.
    pub(crate) distributions: Distributions,
    /// OpenMetrics: the family that is being read.
    pub(crate) open: OpenFamily,
    pub(crate) ended: bool,
}

impl<'a> Scanner<'a> {
    fn new(page: &'a str, format: Format) -> Self {
        Self {
            page,
            format,
            heads: Vec::new(),
            by_name: Names::default(),
            labels: Vec::new(),
            seen: Seen::new(page.len()),
            last: ("", 0),
            distributions: Distributions::default(),
            open: OpenFamily::default(),
            ended: false,
        }
    }

    /// Reads a sample up to the end of its line. The family is not known yet.
    #[inline]
    pub(crate) fn sample(&mut self, c: &mut Cursor<'a>) -> Result<Row<'a>, Fault> {
        let at = c.at;
        self.labels.clear();
        let mut hash = self.seen.hash();
        let (name, is_separated) = read_series(c, self.format, self.last.0, &mut self.labels, &mut hash)?;
        if !is_separated {
            return fault(c.at, "expected a blank and a value");
        }
        let value = c.value()?;
        let (stamp, exemplar) = if c.is_line_end() { (None, None) } else { self.tail(c)? };
        let nanos = stamp.map(|s| s.nanos);
        let (page, format, labels) = (self.page, self.format, &self.labels);
        let is_repeated = self.seen.is_repeated(&name, hash, nanos, at, |earlier| {
            is_same(Cursor::new(page, earlier, format), format, hash, &name, labels, nanos)
        });
        // OpenMetrics lets points of the same timestamp repeat.
        if is_repeated && (stamp.is_none() || self.format == Format::Text004) {
            let mut series = String::new();
            write_series(&mut series, &name, labels.iter().map(|l| (l.name.as_ref(), l.value.as_ref())));
            return fault(at, format!("series `{}` stands twice", clip(&series)));
        }
        Ok(Row { family: 0, name, value, stamp, exemplar, is_repeated, at })
    }

    /// What may follow a value: a timestamp, and in OpenMetrics an exemplar.
    fn tail(&self, c: &mut Cursor<'a>) -> Result<(Option<Stamp>, Option<Box<Mark<'a>>>), Fault> {
        let (mut stamp, mut exemplar) = (None, None);
        let text = self.format == Format::Text004;
        if !c.separator() {
            return fault(c.at, "expected the end of the line, or a blank and a timestamp");
        }
        if text && c.is_line_end() {
            return Ok((None, None));
        }
        if text || c.peek() != Some(b'#') {
            stamp = Some(c.timestamp()?);
            if text {
                c.blanks();
            } else if c.take(b' ') && c.peek() != Some(b'#') {
                return fault(c.at, "only an exemplar may follow a timestamp");
            }
        }
        if !text && c.peek() == Some(b'#') {
            exemplar = Some(Box::new(self.exemplar(c)?));
        }
        if !c.is_line_end() {
            return fault(c.at, "nothing more may stand in this line");
        }
        Ok((stamp, exemplar))
    }

    fn exemplar(&self, c: &mut Cursor<'a>) -> Result<Mark<'a>, Fault> {
        let start = c.at;
        if !(c.take(b'#') && c.take(b' ') && c.peek() == Some(b'{')) {
            return fault(start, "expected `# {` of an exemplar");
        }
        let mut labels = Vec::new();
        if c.labels(&mut labels, &mut self.seen.hash())?.is_some() {
            return fault(start, "an exemplar has labels only");
        }
        // OpenMetrics 1.0, "Exemplars".
        if labels.iter().map(|l| l.name.chars().count() + l.value.chars().count()).sum::<usize>() > 128 {
            return fault(start, "an exemplar's labels may not exceed 128 characters");
        }
        if !c.take(b' ') {
            return fault(c.at, "expected a blank and the exemplar's value");
        }
        let value = c.value()?;
        let timestamp = if c.take(b' ') { Some(c.timestamp()?.seconds) } else { None };
        Ok(Mark { labels, value, timestamp })
    }

    /// The index of the family of a name, new when it is not there.
    pub(crate) fn family(&mut self, name: Cow<'a, str>, at: usize) -> usize {
        let (index, is_new) = self.by_name.insert(name.clone(), self.heads.len());
        if !is_new {
            return index;
        }
        self.heads.push(Head { name, kind: None, help: None, unit: None, at, first_sample: None });
        index
    }

    fn finish(self, end: usize) -> Result<Vec<Head<'a>>, Fault> {
        if self.format == Format::OpenMetrics && !self.ended {
            return fault(end, "`# EOF` is missing");
        }
        self.distributions.finish()?;
        Ok(self.heads)
    }
}

/// The name and labels of a sample, and whether a value may follow here. `guess` is a name that is likely to come.
#[inline]
fn read_series<'a>(
    c: &mut Cursor<'a>,
    format: Format,
    guess: &'a str,
    labels: &mut Vec<Label<'a>>,
    hash: &mut crate::series::Hash,
) -> Result<(Cow<'a, str>, bool), Fault> {
    let start = c.at;
    let mut name = None;
    match c.peek() {
        Some(b'{') => {}
        Some(b'"') => return fault(start, "a quoted name belongs inside the braces"),
        _ if c.take_name(guess) => name = Some(Cow::Borrowed(guess)),
        _ => name = Some(Cow::Borrowed(c.plain_name(true)?)),
    }
    let text = format == Format::Text004;
    let mut is_separated = text && c.blanks();
    if c.peek() == Some(b'{') {
        let quoted = c.labels(labels, hash)?;
        if quoted.is_some() && name.is_some() {
            return fault(start, "a second metric name stands in the braces");
        }
        name = name.or(quoted);
        // Text 0.0.4 needs no blank behind a closing brace.
        is_separated = text;
    }
    let Some(name) = name else { return fault(start, "the metric's name is missing") };
    is_separated |= c.separator();
    Ok((name, is_separated))
}

/// True when the sample that stands at the cursor is of this series and time.
fn is_same<'a>(
    mut c: Cursor<'a>,
    format: Format,
    mut hash: crate::series::Hash,
    name: &str,
    labels: &[Label<'a>],
    nanos: Option<i128>,
) -> bool {
    let mut other = Vec::new();
    let Ok((other_name, _)) = read_series(&mut c, format, "", &mut other, &mut hash) else { return false };
    let stamp = c.value().ok().filter(|_| c.separator()).and_then(|_| c.timestamp().ok());
    other_name == name && other == labels && stamp.map(|s| s.nanos) == nanos
}
