//! The timeline: faults with their instants, as a TOML file (docs/exchange.md describes it).

use super::{Extent, Fault, Injection};
use market::{Asset, Venue};
use serde::Deserialize;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// Why a script is not followed.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("the script {} cannot be read: {source}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("{name} line {line}: {what}")]
    Line {
        /// The script.
        name: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what to do.
        what: String,
    },
}

/// A fault of a timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Scripted {
    /// When it begins, after the start.
    pub at: Duration,
    /// What begins.
    pub injection: Injection,
    /// The line in the script, from 1.
    pub line: usize,
}

/// A timeline, earliest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// What is told when something in it is wrong: the file's name.
    pub name: String,
    /// The faults that are still to come.
    pub faults: VecDeque<Scripted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fault: Vec<Spanned<Row>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    at_ms: u64,
    kind: Fault,
    lasts_ms: Option<u64>,
    venue: Option<Venue>,
    asset: Option<Asset>,
    count: Option<u32>,
    ms: Option<i64>,
    bps: Option<f64>,
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ScriptError`].
    pub fn read(path: &Path) -> Result<Self, ScriptError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScriptError::Read { path: path.to_owned(), source })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a script's text; `name` is what messages call it.
    ///
    /// # Errors
    /// [`ScriptError::Line`].
    pub fn parse(name: &str, text: &str) -> Result<Self, ScriptError> {
        let wrong = |line, what| ScriptError::Line { name: name.to_owned(), line, what };
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_at(text, span.start));
            let what = error.message().trim().replace('\n', ", ");
            wrong(line, format!("{what}; docs/exchange.md shows the format"))
        })?;
        let mut faults = Vec::with_capacity(file.fault.len());
        for row in file.fault {
            let line = line_at(text, row.span().start);
            let Row { at_ms, kind, lasts_ms, venue, asset, count, ms, bps } = row.into_inner();
            let injection = Injection { kind, lasts_ms, venue, asset, count, ms, bps };
            injection.check().map_err(|what| wrong(line, what))?;
            if kind.extent() != Extent::Once && lasts_ms.is_none() && count.is_none() {
                let what = format!("how long {} lasts is not said; write lasts_ms", kind.name());
                return Err(wrong(line, what));
            }
            faults.push(Scripted { at: Duration::from_millis(at_ms), injection, line });
        }
        faults.sort_by_key(|fault| fault.at);
        Ok(Self { name: name.to_owned(), faults: faults.into() })
    }

    /// The next fault that is due by `now`.
    pub fn due(&mut self, now: Duration) -> Option<Scripted> {
        if self.faults.front()?.at > now {
            return None;
        }
        self.faults.pop_front()
    }

    /// The error of one of its lines.
    pub fn wrong(&self, scripted: &Scripted, what: String) -> ScriptError {
        ScriptError::Line { name: self.name.clone(), line: scripted.line, what }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_in_the_order_of_time() {
        let text = "[[fault]]\nat_ms = 9000\nkind = \"close\"\nvenue = \"upbit\"\n\n\
                    [[fault]]\nat_ms = 1500\nkind = \"drop_diffs\"\nasset = \"BTC\"\ncount = 1\n";
        let mut script = Script::parse("s", text).unwrap();
        assert_eq!(script.due(Duration::from_millis(1_499)), None);
        let first = script.due(Duration::from_millis(1_500)).unwrap();
        assert_eq!((first.injection.kind, first.injection.count, first.line), (Fault::DropDiffs, Some(1), 6));
        assert_eq!(script.due(Duration::from_secs(60)).unwrap().injection.venue, Some(Venue::Upbit));
        assert_eq!(script.due(Duration::from_secs(60)), None);
    }

    #[test]
    fn a_bad_script_is_named_with_its_line_and_what_to_do() {
        let error = |text: &str| Script::parse("s.toml", text).unwrap_err().to_string();
        let row = |rest: &str| format!("# faults\n\n[[fault]]\nat_ms = 1\n{rest}\n");
        for (text, line, word) in [
            (row("kind = \"explode\""), 5, "unknown variant `explode`"),
            (row("kind = \"silent\""), 3, "write lasts_ms"),
            (row("kind = \"close\"\nlasts_ms = 5"), 3, "leave out lasts_ms"),
            (row("kind = \"halt\"\nlasts_ms = 5"), 3, "write asset"),
            (row("kind = \"zero_padding\"\nlasts_ms = 5\nvenue = \"binance\""), 3, "happens at upbit only"),
            (row("kind = \"spike\"\nlasts_ms = 5\nbps = 9000"), 3, "between -5000 and 5000"),
            (row("kind = \"silent\"\nlasts_ms = 5\nms = 5"), 3, "takes no ms"),
            (row("kind = \"silent\"\nlasts_ms = 5\nsymbol = \"BTC\""), 7, "unknown field `symbol`"),
            (row("kind = "), 5, "docs/exchange.md"),
        ] {
            let said = error(&text);
            assert!(
                said.starts_with(&format!("s.toml line {line}: ")) && said.contains(word),
                "{text}\n{said}"
            );
        }
    }
}
