//! The strict parser: lines to families. Everything legal in the format is read, everything else is an error with its place;
//! nothing is dropped. The grammar inside a line lives in `line`, OpenMetrics' rules about whole families in `check`.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>. Names in quotes (the later UTF-8 extension) are read in both.

use std::collections::{BTreeMap, BTreeSet};

use crate::encode::Format;
use crate::line::{Line, clip};
use crate::page::{Exemplar, Exposition, Family, Kind, Sample};
use crate::{canonical_name, check};

/// Why a page cannot be trusted, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: u64,
    /// Byte of the line, from 1.
    pub column: u64,
    /// What is wrong.
    pub what: String,
}

/// Reads a page whole.
///
/// # Errors
/// The first [`ParseError`]; a page that breaks off inside a line (and an OpenMetrics page without `# EOF`) is one.
pub fn parse(text: &[u8], format: Format) -> Result<Exposition, ParseError> {
    let text = utf8(text)?;
    let mut reader = Reader { format, ..Reader::default() };
    let mut rest = text;
    while !rest.is_empty() {
        reader.number += 1;
        let Some((line, after)) = rest.split_once('\n') else {
            // Python's and Go's parsers accept a missing final line feed behind `# EOF`.
            if format == Format::OpenMetrics && rest == "# EOF" {
                reader.line(rest)?;
                break;
            }
            let what = "the page breaks off inside a line";
            return Err(ParseError {
                line: reader.number,
                column: rest.len() as u64 + 1,
                what: what.to_owned(),
            });
        };
        reader.line(line)?;
        rest = after;
    }
    reader.finish()
}

fn utf8(bytes: &[u8]) -> Result<&str, ParseError> {
    std::str::from_utf8(bytes).map_err(|e| {
        let before = &bytes[..e.valid_up_to()];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        ParseError {
            line: before.iter().filter(|b| **b == b'\n').count() as u64 + 1,
            column: (before.len() - line_start) as u64 + 1,
            what: "not UTF-8".to_owned(),
        }
    })
}

/// A family while it is read.
#[derive(Debug)]
struct Draft {
    name: String,
    kind: Option<Kind>,
    help: Option<String>,
    unit: Option<String>,
    samples: Vec<Sample>,
    /// The line of each sample.
    lines: Vec<u64>,
}

#[derive(Debug)]
struct Reader {
    format: Format,
    number: u64,
    families: Vec<Draft>,
    /// Index of the family of a name.
    by_name: BTreeMap<String, usize>,
    /// Series already read, with their timestamps' bits.
    seen: BTreeSet<(String, Option<u64>)>,
    /// OpenMetrics: names that families own with their suffixes.
    owned: BTreeSet<String>,
    ended: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            format: Format::Text004,
            number: 0,
            families: Vec::new(),
            by_name: BTreeMap::new(),
            seen: BTreeSet::new(),
            owned: BTreeSet::new(),
            ended: false,
        }
    }
}

impl Reader {
    fn line(&mut self, text: &str) -> Result<(), ParseError> {
        let mut line = Line::new(text, self.number, self.format);
        match self.format {
            Format::Text004 => {
                line.blanks();
                if line.is_at_end() {
                    return Ok(());
                }
                if line.take("#") { self.comment(line) } else { self.sample(line) }
            }
            Format::OpenMetrics => {
                if self.ended {
                    return Err(line.error("nothing may follow `# EOF`"));
                }
                if text == "# EOF" {
                    self.ended = true;
                    return self.close_last();
                }
                if line.take("#") { self.metadata(line) } else { self.sample(line) }
            }
        }
    }

    /// Text 0.0.4, behind `#`: `HELP` and `TYPE` mean something, anything else is a comment.
    fn comment(&mut self, mut line: Line<'_>) -> Result<(), ParseError> {
        line.blanks();
        let word = line.word();
        if word != "HELP" && word != "TYPE" {
            return Ok(());
        }
        line.blanks();
        if line.is_at_end() {
            return Ok(());
        }
        // "# HELP line for ..." is a HELP line for `line`, as in every parser.
        let name_at = line.clone();
        let name = line.name(true)?;
        if !line.blanks() && !line.is_at_end() {
            return Err(line.error("a metric's name ends here with a character that it may not have"));
        }
        let index = self.family(&name);
        let number = self.number;
        let draft = &mut self.families[index];
        if word == "HELP" {
            // Without a text it says nothing: Go's parser too lets such lines repeat.
            if line.is_at_end() {
                return Ok(());
            }
            if draft.help.is_some() {
                return Err(name_at.error(format!("a second HELP for `{name}`")));
            }
            draft.help = Some(unescape_help(line.rest(), Format::Text004));
            return Ok(());
        }
        let kind_at = line.clone();
        let kind = match line.word() {
            "counter" => Kind::Counter,
            "gauge" => Kind::Gauge,
            "histogram" => Kind::Histogram,
            "summary" => Kind::Summary,
            // `unknown` is what newer exporters write for `untyped`.
            "untyped" | "unknown" => Kind::Unknown,
            other => return Err(kind_at.error(format!("`{}` is not a type", clip(other)))),
        };
        line.blanks();
        if !line.is_at_end() {
            return Err(line.error("nothing may follow the type"));
        }
        if draft.kind.is_some() {
            return Err(name_at.error(format!("a second TYPE for `{name}`")));
        }
        if let Some(first) = draft.lines.first() {
            return Err(ParseError {
                line: number,
                column: 1,
                what: format!("TYPE for `{name}` behind its first sample in line {first}"),
            });
        }
        draft.kind = Some(kind);
        Ok(())
    }

    /// OpenMetrics, behind `#`: `TYPE`, `UNIT` or `HELP`, single blanks.
    fn metadata(&mut self, mut line: Line<'_>) -> Result<(), ParseError> {
        let word = if line.take(" ") { line.word() } else { "" };
        if !matches!(word, "TYPE" | "UNIT" | "HELP") {
            return Err(line.error("expected `# TYPE`, `# UNIT`, `# HELP` or `# EOF`"));
        }
        if !line.take(" ") {
            return Err(line.error("expected a blank and a metric's name"));
        }
        let name_at = line.clone();
        let name = line.name(true)?;
        if !line.take(" ") {
            return Err(line.error("expected one blank behind a metric's name"));
        }
        let format = self.format;
        let draft = self.current(&name, &name_at)?;
        if !draft.samples.is_empty() {
            return Err(name_at.error(format!("metadata of `{name}` behind its samples")));
        }
        let twice = name_at.error(format!("a second {word} for `{name}`"));
        match word {
            "HELP" if draft.help.is_none() => draft.help = Some(unescape_help(line.rest(), format)),
            "UNIT" if draft.unit.is_none() => draft.unit = Some(unit(&line, &name)?),
            "TYPE" if draft.kind.is_none() => draft.kind = Some(open_metrics_kind(&line)?),
            _ => return Err(twice),
        }
        Ok(())
    }

    fn sample(&mut self, mut line: Line<'_>) -> Result<(), ParseError> {
        let start = line.clone();
        let mut name = None;
        if line.peek() != Some('{') {
            if line.peek() == Some('"') {
                return Err(line.error("a quoted name belongs inside the braces"));
            }
            name = Some(line.name(true)?);
        }
        let mut labels = Vec::new();
        let blank = self.format == Format::Text004 && line.blanks();
        let braces = line.peek() == Some('{');
        if braces {
            let (quoted, found) = line.labels()?;
            if quoted.is_some() && name.is_some() {
                return Err(start.error("a second name stands inside the braces"));
            }
            name = name.or(quoted);
            labels = found;
        }
        let Some(name) = name else { return Err(start.error("the metric's name is missing")) };
        // Text 0.0.4 needs no blank behind a closing brace.
        let is_separated = line.separator() || blank || (braces && self.format == Format::Text004);
        if !is_separated {
            return Err(line.error("expected a blank and a value"));
        }
        let value = line.value()?;
        let (timestamp, exemplar) = self.tail(&mut line)?;
        let sample = Sample { name, labels, value, timestamp, exemplar };
        self.add(sample, &start)
    }

    /// What may follow a value: a timestamp, and in OpenMetrics an exemplar.
    fn tail(&self, line: &mut Line<'_>) -> Result<(Option<f64>, Option<Exemplar>), ParseError> {
        let (mut timestamp, mut exemplar) = (None, None);
        let text = self.format == Format::Text004;
        if line.separator() && !(text && line.is_at_end()) {
            if text || line.peek() != Some('#') {
                timestamp = Some(line.timestamp()?);
                if text {
                    line.blanks();
                } else if line.take(" ") && line.peek() != Some('#') {
                    return Err(line.error("only an exemplar may follow a timestamp"));
                }
            }
            if !text && line.peek() == Some('#') {
                exemplar = Some(read_exemplar(line)?);
            }
        }
        if !line.is_at_end() {
            return Err(line.error("nothing more may stand in this line"));
        }
        Ok((timestamp, exemplar))
    }

    /// Puts a sample into its family.
    fn add(&mut self, sample: Sample, at: &Line<'_>) -> Result<(), ParseError> {
        let key = (canonical_name(&sample.name, &sample.labels), sample.timestamp.map(f64::to_bits));
        // OpenMetrics lets points of the same timestamp repeat.
        let may_repeat = self.format == Format::OpenMetrics && sample.timestamp.is_some();
        if self.seen.contains(&key) && !may_repeat {
            return Err(at.error(format!("series `{}` stands twice", clip(&key.0))));
        }
        self.seen.insert(key);
        let number = self.number;
        let draft = match self.format {
            Format::Text004 => {
                let index = self.family_of_sample(&sample.name);
                &mut self.families[index]
            }
            Format::OpenMetrics => {
                let owner = self.families.last().filter(|d| owns(d, &sample.name)).map(|d| d.name.clone());
                self.current(&owner.unwrap_or_else(|| sample.name.clone()), at)?
            }
        };
        if sample.exemplar.is_some() && !allows_exemplar(draft.kind, &sample.name) {
            return Err(at.error("only buckets and counters may have exemplars"));
        }
        draft.samples.push(sample);
        draft.lines.push(number);
        Ok(())
    }

    /// Text 0.0.4: the family of a sample's name, where histograms and summaries own suffixed names.
    fn family_of_sample(&mut self, name: &str) -> usize {
        if !self.by_name.contains_key(name) {
            for suffix in ["_bucket", "_sum", "_count"] {
                let Some(index) = name.strip_suffix(suffix).and_then(|base| self.by_name.get(base)) else {
                    continue;
                };
                match self.families[*index].kind {
                    Some(Kind::Histogram) => return *index,
                    Some(Kind::Summary) if suffix != "_bucket" => return *index,
                    _ => {}
                }
            }
        }
        self.family(name)
    }

    /// The index of the family of a name, new when it is not there.
    fn family(&mut self, name: &str) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.families.len();
        self.by_name.insert(name.to_owned(), index);
        self.families.push(Draft {
            name: name.to_owned(),
            kind: None,
            help: None,
            unit: None,
            samples: Vec::new(),
            lines: Vec::new(),
        });
        index
    }

    /// OpenMetrics: the family that is being read when it has this name, else a new one. Families do not interleave.
    fn current(&mut self, name: &str, at: &Line<'_>) -> Result<&mut Draft, ParseError> {
        if self.families.last().is_none_or(|d| d.name != name) {
            self.close_last()?;
            if self.by_name.contains_key(name) || self.owned.contains(name) {
                return Err(
                    at.error(format!("`{name}` belongs to an earlier family; families may not interleave"))
                );
            }
            self.family(name);
        }
        let last = self.families.len().saturating_sub(1);
        Ok(&mut self.families[last])
    }

    /// OpenMetrics: rules about a family that is complete.
    fn close_last(&mut self) -> Result<(), ParseError> {
        let Some(draft) = self.families.last() else { return Ok(()) };
        let kind = draft.kind.unwrap_or(Kind::Unknown);
        let error = |line: u64, what: String| ParseError { line, column: 1, what };
        if matches!(kind, Kind::Info | Kind::StateSet) && draft.unit.as_ref().is_some_and(|u| !u.is_empty()) {
            return Err(error(
                self.number,
                format!("a unit is not allowed for the {} `{}`", kind.as_str(), draft.name),
            ));
        }
        for suffix in suffixes(kind).iter().chain(&[""]) {
            let owned = format!("{}{suffix}", draft.name);
            if self.owned.contains(&owned) || (!suffix.is_empty() && self.by_name.contains_key(&owned)) {
                return Err(error(self.number, format!("two families share the name `{owned}`")));
            }
        }
        self.owned.extend(suffixes(kind).iter().chain(&[""]).map(|suffix| format!("{}{suffix}", draft.name)));
        check::family(&draft.name, kind, &draft.samples)
            .map_err(|(index, what)| error(draft.lines.get(index).copied().unwrap_or(self.number), what))
    }

    fn finish(self) -> Result<Exposition, ParseError> {
        if self.format == Format::OpenMetrics && !self.ended {
            return Err(ParseError {
                line: self.number + 1,
                column: 1,
                what: "`# EOF` is missing".to_owned(),
            });
        }
        let families = self
            .families
            .into_iter()
            .map(|d| Family {
                name: d.name,
                kind: d.kind.unwrap_or(Kind::Unknown),
                help: d.help,
                unit: d.unit,
                samples: d.samples,
            })
            .collect();
        Ok(Exposition { families })
    }
}

fn unit(line: &Line<'_>, name: &str) -> Result<String, ParseError> {
    let unit = line.rest();
    if !unit.is_empty() && !name.strip_suffix(unit).is_some_and(|base| base.ends_with('_')) {
        return Err(line.error(format!("`{name}` does not end in its unit `_{}`", clip(unit))));
    }
    Ok(unit.to_owned())
}

fn open_metrics_kind(line: &Line<'_>) -> Result<Kind, ParseError> {
    Ok(match line.rest() {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        "gaugehistogram" => Kind::GaugeHistogram,
        "info" => Kind::Info,
        "stateset" => Kind::StateSet,
        "unknown" => Kind::Unknown,
        other => return Err(line.error(format!("`{}` is not a type", clip(other)))),
    })
}

fn read_exemplar(line: &mut Line<'_>) -> Result<Exemplar, ParseError> {
    let start = line.clone();
    if !line.take("# ") || line.peek() != Some('{') {
        return Err(line.error("expected `# {` of an exemplar"));
    }
    let (name, labels) = line.labels()?;
    if name.is_some() {
        return Err(start.error("an exemplar has labels only"));
    }
    // OpenMetrics 1.0, "Exemplars".
    if labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum::<usize>() > 128 {
        return Err(start.error("an exemplar's labels may not exceed 128 characters"));
    }
    if !line.take(" ") {
        return Err(line.error("expected a blank and the exemplar's value"));
    }
    let value = line.value()?;
    let timestamp = if line.take(" ") { Some(line.timestamp()?) } else { None };
    Ok(Exemplar { labels, value, timestamp })
}

/// The suffixes of the samples of a family (OpenMetrics).
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

fn owns(draft: &Draft, sample: &str) -> bool {
    let kind = draft.kind.unwrap_or(Kind::Unknown);
    sample.strip_prefix(draft.name.as_str()).is_some_and(|suffix| suffixes(kind).contains(&suffix))
}

fn allows_exemplar(kind: Option<Kind>, name: &str) -> bool {
    match kind {
        Some(Kind::Counter) => name.ends_with("_total"),
        Some(Kind::Histogram | Kind::GaugeHistogram) => name.ends_with("_bucket"),
        _ => false,
    }
}

/// Help texts escape the backslash and the line feed, in OpenMetrics the double quote too. Other backslashes stand for
/// themselves, as in the official Python parser.
fn unescape_help(text: &str, format: Format) -> String {
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
    out
}
