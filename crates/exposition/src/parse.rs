//! The strict parser: a page to owned families. Everything legal in the format is read, everything else is an error with its
//! place; nothing is dropped. Reading lives in `scan`; this is what keeps what it hands on.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>. Names in quotes (the later UTF-8 extension) are read in both.

use crate::cursor::Label;
use crate::encode::Format;
use crate::page::{Exemplar, Exposition, Family, Kind, Sample};
use crate::scan::{Point, scan};

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

impl ParseError {
    /// An error at a byte of the page.
    pub(crate) fn at(page: &[u8], at: usize, what: String) -> Self {
        let before = &page[..at.min(page.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |i| i + 1);
        Self {
            line: memchr::memchr_iter(b'\n', before).count() as u64 + 1,
            column: (before.len() - line_start) as u64 + 1,
            what,
        }
    }
}

/// Reads a page whole.
///
/// # Errors
/// The first [`ParseError`]; a page that breaks off inside a line (and an OpenMetrics page without `# EOF`) is one.
pub fn parse(text: &[u8], format: Format) -> Result<Exposition, ParseError> {
    let mut samples: Vec<Vec<Sample>> = Vec::new();
    let mut repeated = Vec::new();
    let heads = scan(text, format, |point| {
        if point.is_repeated {
            repeated.push(owned(&point));
            return;
        }
        if samples.len() <= point.family {
            samples.resize_with(point.family + 1, Vec::new);
        }
        samples[point.family].push(owned(&point));
    })?;
    samples.resize_with(heads.len(), Vec::new);
    let families = heads
        .into_iter()
        .zip(samples)
        .map(|(head, samples)| Family {
            name: head.name.into_owned(),
            kind: head.kind.unwrap_or(Kind::Unknown),
            help: head.help.map(|h| h.into_owned()),
            unit: head.unit.map(|u| u.into_owned()),
            samples,
        })
        .collect();
    Ok(Exposition { families, repeated })
}

fn owned(point: &Point<'_, '_>) -> Sample {
    let labels = |list: &[Label<'_>]| {
        list.iter().map(|l| (l.name.as_ref().to_owned(), l.value.as_ref().to_owned())).collect()
    };
    Sample {
        name: point.name.to_owned(),
        labels: labels(point.labels),
        value: point.value,
        timestamp: point.timestamp,
        exemplar: point.exemplar.map(|e| Exemplar {
            labels: labels(&e.labels),
            value: e.value,
            timestamp: e.timestamp,
        }),
    }
}
