//! Lines of OpenMetrics 1.0 and its rules about families, <https://prometheus.io/docs/specs/om/open_metrics_spec/>: families do
//! not interleave, their names do not clash. Rules about the samples of a family live in `check`.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::check::Checks;
use crate::cursor::{Cursor, Fault, clip, fault};
use crate::encode::Format;
use crate::page::Kind;
use crate::scan::{Row, Scanner};

/// The family that is being read, and the names that the earlier ones own.
#[derive(Debug, Default)]
pub(crate) struct OpenFamily {
    checks: Checks,
    /// Names that families own with their suffixes.
    owned: HashSet<String>,
    /// Where the unit stands.
    unit_at: usize,
}

impl<'a> Scanner<'a> {
    /// Reads a line up to its line feed.
    pub(crate) fn open_line(&mut self, c: &mut Cursor<'a>) -> Result<Option<Row<'a>>, Fault> {
        if self.ended {
            return fault(c.at, "nothing may follow `# EOF`");
        }
        if c.peek() != Some(b'#') {
            let mut row = self.sample(c)?;
            self.place_open(&mut row)?;
            return Ok(Some(row));
        }
        if c.rest() == "# EOF" {
            self.close_last()?;
            self.ended = true;
            c.at += "# EOF".len();
            return Ok(None);
        }
        self.metadata(c)?;
        Ok(None)
    }

    /// `# TYPE`, `# UNIT` or `# HELP`, single blanks.
    fn metadata(&mut self, c: &mut Cursor<'a>) -> Result<(), Fault> {
        let start = c.at;
        let word = if c.take(b'#') && c.take(b' ') { c.word() } else { "" };
        if !matches!(word, "TYPE" | "UNIT" | "HELP") {
            return fault(start, "expected `# TYPE`, `# UNIT`, `# HELP` or `# EOF`");
        }
        if !c.take(b' ') {
            return fault(c.at, "expected a blank and a metric's name");
        }
        let name_at = c.at;
        let name = c.name(true)?;
        if !c.take(b' ') {
            return fault(c.at, "expected one blank behind a metric's name");
        }
        let index = self.current(name.clone(), start, name_at)?;
        let head = &mut self.heads[index];
        if head.first_sample.is_some() {
            return fault(name_at, format!("metadata of `{}` behind its samples", clip(&name)));
        }
        let text = c.rest();
        match word {
            "HELP" if head.help.is_none() => head.help = Some(unescape_help(text, Format::OpenMetrics)),
            "UNIT" if head.unit.is_none() => {
                self.open.unit_at = c.at;
                if !text.is_empty() && !name.strip_suffix(text).is_some_and(|base| base.ends_with('_')) {
                    let what = format!("`{}` does not end in its unit `_{}`", clip(&name), clip(text));
                    return fault(c.at, what);
                }
                head.unit = Some(Cow::Borrowed(text));
            }
            "TYPE" if head.kind.is_none() => head.kind = Some(open_kind(text, c.at)?),
            _ => return fault(name_at, format!("a second {word} for `{}`", clip(&name))),
        }
        c.at += text.len();
        Ok(())
    }

    fn place_open(&mut self, row: &mut Row<'a>) -> Result<(), Fault> {
        let is_owned = self.heads.last().is_some_and(|head| {
            let suffix = row.name.strip_prefix(head.name.as_ref());
            suffix.is_some_and(|s| suffixes(head.kind.unwrap_or(Kind::Unknown)).contains(&s))
        });
        row.family = if is_owned {
            self.heads.len() - 1
        } else {
            let name = row.name.clone();
            if let Some(head) = self.heads.last().filter(|head| head.name == name) {
                let kind = head.kind.unwrap_or(Kind::Unknown).as_str();
                return fault(row.at, format!("a {kind} has no sample without a suffix"));
            }
            self.current(name, row.at, row.at)?
        };
        let head = &mut self.heads[row.family];
        head.first_sample.get_or_insert(row.at);
        let kind = head.kind.unwrap_or(Kind::Unknown);
        let suffix = &row.name[head.name.len()..];
        if row.exemplar.is_some() && !allows_exemplar(kind, suffix) {
            return fault(row.at, "only buckets and counters may have exemplars");
        }
        self.open.checks.add(kind, &head.name, suffix, row, &self.labels)
    }

    /// The family that is being read when it has this name, else a new one.
    fn current(&mut self, name: Cow<'a, str>, at: usize, name_at: usize) -> Result<usize, Fault> {
        if self.heads.last().is_none_or(|head| head.name != name) {
            self.close_last()?;
            if self.by_name.get(&name).is_some() || self.open.owned.contains(name.as_ref()) {
                let what =
                    format!("`{}` belongs to an earlier family; families may not interleave", clip(&name));
                return fault(name_at, what);
            }
            self.family(name, at);
        }
        Ok(self.heads.len() - 1)
    }

    /// Rules about a family that is complete.
    pub(crate) fn close_last(&mut self) -> Result<(), Fault> {
        let Some(head) = self.heads.last() else { return Ok(()) };
        let kind = head.kind.unwrap_or(Kind::Unknown);
        if matches!(kind, Kind::Info | Kind::StateSet) && head.unit.as_ref().is_some_and(|u| !u.is_empty()) {
            let what = format!("a unit is not allowed for the {} `{}`", kind.as_str(), clip(&head.name));
            return fault(self.open.unit_at, what);
        }
        let mut names: Vec<String> = suffixes(kind).iter().map(|s| format!("{}{s}", head.name)).collect();
        names.push(head.name.clone().into_owned());
        for name in &names {
            let is_other = *name != head.name && self.by_name.get(name).is_some();
            if is_other || self.open.owned.contains(name) {
                return fault(head.at, format!("two families share the name `{}`", clip(name)));
            }
        }
        self.open.owned.extend(names);
        std::mem::take(&mut self.open.checks).finish()
    }
}

fn open_kind(text: &str, at: usize) -> Result<Kind, Fault> {
    Ok(match text {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        "gaugehistogram" => Kind::GaugeHistogram,
        "info" => Kind::Info,
        "stateset" => Kind::StateSet,
        "unknown" => Kind::Unknown,
        other => return fault(at, format!("`{}` is not a type", clip(other))),
    })
}

/// The suffixes of the samples of a family.
const fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter => &["_total", "_created"],
        Kind::Histogram => &["_bucket", "_count", "_sum", "_created"],
        Kind::Summary => &["", "_count", "_sum", "_created"],
        Kind::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
        Kind::Info => &["_info"],
        Kind::Gauge | Kind::StateSet | Kind::Unknown => &[""],
    }
}

fn allows_exemplar(kind: Kind, suffix: &str) -> bool {
    match kind {
        Kind::Counter => suffix == "_total",
        Kind::Histogram | Kind::GaugeHistogram => suffix == "_bucket",
        _ => false,
    }
}

/// Help texts escape the backslash and the line feed, in OpenMetrics the double quote too. Other backslashes stand for
/// themselves, as in the official Python parser.
pub(crate) fn unescape_help(text: &str, format: Format) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = match (c, chars.peek()) {
            ('\\', Some('\\')) => Some('\\'),
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('"')) if format == Format::OpenMetrics => Some('"'),
            _ => None,
        };
        if escaped.is_some() {
            chars.next();
        }
        out.push(escaped.unwrap_or(c));
    }
    Cow::Owned(out)
}
