//! Lines of the Prometheus text format 0.0.4, <https://prometheus.io/docs/instrumenting/exposition_formats/>, and its rules
//! about histograms and summaries. Families may interleave: the official Go parser reads them so.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::cursor::{Cursor, Fault, Label, clip, fault, number};
use crate::open::unescape_help;
use crate::page::Kind;
use crate::scan::{Row, Scanner, label};

impl<'a> Scanner<'a> {
    /// Reads a line up to its line feed.
    #[inline]
    pub(crate) fn text_line(&mut self, c: &mut Cursor<'a>) -> Result<Option<Row<'a>>, Fault> {
        c.blanks();
        match c.peek() {
            None | Some(b'\n') => Ok(None),
            Some(b'#') => {
                c.take(b'#');
                self.comment(c)?;
                Ok(None)
            }
            _ => {
                let mut row = self.sample(c)?;
                self.place(&mut row)?;
                Ok(Some(row))
            }
        }
    }

    /// Behind `#`: `HELP` and `TYPE` mean something, anything else is a comment.
    fn comment(&mut self, c: &mut Cursor<'a>) -> Result<(), Fault> {
        let start = c.at;
        c.blanks();
        let word = c.word();
        if word != "HELP" && word != "TYPE" {
            c.at += c.rest().len();
            return Ok(());
        }
        c.blanks();
        if c.is_line_end() {
            // The Go parser lets an empty HELP pass, and its test cases hold some.
            return if word == "HELP" {
                Ok(())
            } else {
                fault(c.at, "TYPE needs a metric's name and a type")
            };
        }
        // "# HELP line for ..." is a HELP line for `line`, as in every parser.
        let name_at = c.at;
        let name = c.name(true)?;
        if !c.blanks() && !c.is_line_end() {
            return fault(c.at, "a metric's name ends here with a character that it may not have");
        }
        let index = self.family(name.clone(), start);
        // Its samples are likely to come next.
        self.last = match name {
            Cow::Borrowed(name) => (name, index),
            Cow::Owned(_) => ("", 0),
        };
        if word == "HELP" {
            // Without a text it says nothing: Go's parser too lets such lines repeat.
            let text = c.rest();
            if !text.is_empty() {
                let head = &mut self.heads[index];
                if head.help.is_some() {
                    return fault(name_at, format!("a second HELP for `{}`", clip(&name)));
                }
                head.help = Some(unescape_help(text, self.format));
            }
            c.at += text.len();
            return Ok(());
        }
        let kind = text_kind(c)?;
        self.set_kind(index, kind, name_at)
    }

    fn set_kind(&mut self, index: usize, kind: Kind, at: usize) -> Result<(), Fault> {
        let head = &self.heads[index];
        if head.kind.is_some() {
            return fault(at, format!("a second TYPE for `{}`", clip(&head.name)));
        }
        // Samples that this type would have owned count too, unless they have a type of their own.
        let suffixes: &[&str] = match kind {
            Kind::Histogram => &["_bucket", "_sum", "_count"],
            Kind::Summary => &["_sum", "_count"],
            _ => &[],
        };
        let is_late = head.first_sample.is_some()
            || suffixes.iter().any(|suffix| {
                let owned = self.by_name.get(&format!("{}{suffix}", head.name)).map(|i| &self.heads[i]);
                owned.is_some_and(|o| o.first_sample.is_some() && o.kind.is_none())
            });
        if is_late {
            return fault(at, format!("TYPE for `{}` behind its first sample", clip(&head.name)));
        }
        self.heads[index].kind = Some(kind);
        Ok(())
    }

    /// Finds the family of a sample.
    #[inline]
    fn place(&mut self, row: &mut Row<'a>) -> Result<(), Fault> {
        row.family = match &row.name {
            Cow::Borrowed(name) if *name == self.last.0 => self.last.1,
            name => {
                let index = self.family_of_sample(row);
                if let Cow::Borrowed(name) = name {
                    self.last = (name, index);
                }
                index
            }
        };
        let head = &mut self.heads[row.family];
        head.first_sample.get_or_insert(row.at);
        match head.kind {
            Some(kind @ (Kind::Histogram | Kind::Summary)) => {
                let suffix = &row.name[head.name.len().min(row.name.len())..];
                self.distributions.add(row, kind, suffix, &self.labels)
            }
            _ => Ok(()),
        }
    }

    /// The family of a sample's name, where histograms and summaries own suffixed names.
    fn family_of_sample(&mut self, row: &Row<'a>) -> usize {
        let name = row.name.as_ref();
        if let Some(index) = self.by_name.get(name) {
            return index;
        }
        for suffix in ["_bucket", "_sum", "_count"] {
            let Some(index) = name.strip_suffix(suffix).and_then(|base| self.by_name.get(base)) else {
                continue;
            };
            match self.heads[index].kind {
                Some(Kind::Histogram) => return index,
                Some(Kind::Summary) if suffix != "_bucket" => return index,
                _ => {}
            }
        }
        self.family(row.name.clone(), row.at)
    }
}

fn text_kind(c: &mut Cursor<'_>) -> Result<Kind, Fault> {
    let at = c.at;
    let kind = match c.word() {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        // `unknown` is what newer exporters write for `untyped`.
        "untyped" | "unknown" => Kind::Unknown,
        other => return fault(at, format!("`{}` is not a type", clip(other))),
    };
    c.blanks();
    if c.is_line_end() { Ok(kind) } else { fault(c.at, "nothing may follow the type") }
}

/// One histogram or summary at one time, while its lines come.
#[derive(Debug)]
struct Distribution {
    is_histogram: bool,
    /// The highest edge or quantile so far.
    last: Option<f64>,
    /// Value of the bucket `+Inf`.
    all: Option<f64>,
    count: Option<f64>,
    /// The byte of the page where its first sample begins.
    at: usize,
}

/// The histograms and summaries of a page, each a label set without `le` and `quantile`.
#[derive(Debug, Default)]
pub(crate) struct Distributions {
    list: Vec<Distribution>,
    by_key: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
    /// Key and index of the last sample's.
    last: (Vec<u8>, usize),
}

impl Distributions {
    fn add(&mut self, row: &Row<'_>, kind: Kind, suffix: &str, labels: &[Label<'_>]) -> Result<(), Fault> {
        let histogram = kind == Kind::Histogram;
        let special = match (histogram, suffix) {
            (true, "_bucket") => Some("le"),
            (false, "") => Some("quantile"),
            (true, "") => return fault(row.at, "a histogram has buckets, a sum and a count only"),
            _ => None,
        };
        write_key(&mut self.key, row, labels, special);
        let index = self.index(histogram, row.at);
        let one = &mut self.list[index];
        if let Some(special) = special {
            let Some(text) = label(labels, special) else {
                return fault(row.at, format!("`{}` needs the label `{special}`", clip(&row.name)));
            };
            let Some(edge) = number(text).filter(|e| !e.is_nan()) else {
                return fault(row.at, format!("`{}` is not a number for `{special}`", clip(text)));
            };
            // "must appear in increasing numerical order of their label values".
            if one.last.is_some_and(|last| edge <= last) {
                return fault(row.at, format!("the values of `{special}` must rise"));
            }
            one.last = Some(edge);
        }
        if histogram && suffix != "_sum" && (row.value.is_nan() || row.value < 0.0) {
            return fault(row.at, format!("`{}` may be neither negative nor NaN", clip(&row.name)));
        }
        match suffix {
            "_count" => one.count = Some(row.value),
            "_bucket" if one.last == Some(f64::INFINITY) => one.all = Some(row.value),
            _ => {}
        }
        Ok(())
    }

    fn index(&mut self, is_histogram: bool, at: usize) -> usize {
        if self.key == self.last.0 {
            return self.last.1;
        }
        let index = match self.by_key.get(&self.key) {
            Some(index) => *index,
            None => {
                self.list.push(Distribution { is_histogram, last: None, all: None, count: None, at });
                self.by_key.insert(self.key.clone(), self.list.len() - 1);
                self.list.len() - 1
            }
        };
        self.last.0.clone_from(&self.key);
        self.last.1 = index;
        index
    }

    /// "A histogram must have a bucket with {le="+Inf"}. Its value must be identical to the value of x_count."
    pub(crate) fn finish(&self) -> Result<(), Fault> {
        for one in self.list.iter().filter(|d| d.is_histogram) {
            let Some(all) = one.all else { return fault(one.at, "this histogram has no bucket `+Inf`") };
            if one.count.is_some_and(|count| count != all) {
                return fault(one.at, "this histogram's count differs from its bucket `+Inf`");
            }
        }
        Ok(())
    }
}

/// What tells distributions apart: family, labels, time.
fn write_key(key: &mut Vec<u8>, row: &Row<'_>, labels: &[Label<'_>], special: Option<&str>) {
    key.clear();
    key.extend_from_slice(&row.family.to_le_bytes());
    if let Some(stamp) = row.stamp {
        key.extend_from_slice(&stamp.nanos.to_le_bytes());
    }
    key.push(u8::from(row.stamp.is_some()));
    write_labels(key, labels, special);
}

/// Labels without a special one. Lengths keep texts from running into each other.
pub(crate) fn write_labels(key: &mut Vec<u8>, labels: &[Label<'_>], special: Option<&str>) {
    for label in labels.iter().filter(|l| special != Some(l.name.as_ref())) {
        for text in [&label.name, &label.value] {
            key.extend_from_slice(&text.len().to_le_bytes());
            key.extend_from_slice(text.as_bytes());
        }
    }
}
