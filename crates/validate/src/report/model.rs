//! The report as a neutral document: what is said, in which order, with which meaning. How it looks is the business of
//! `markdown` and `html`; what is said, of `first` and `sections`.

use super::charts::Chart;
use super::words::Words;

/// The meaning of a coloured mark. It never stands without words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Fair,
    Warn,
    Bad,
    Quiet,
}

/// The whole report.
pub(super) struct Document {
    pub(super) words: &'static Words,
    pub(super) lang: &'static str,
    pub(super) first: First,
    pub(super) sections: Vec<Section>,
    pub(super) footer: String,
}

/// The first screen.
pub(super) struct First {
    /// The very first line, when the evidence is not of record.
    pub(super) kicker: Option<String>,
    pub(super) headline: String,
    pub(super) gloss: &'static str,
    pub(super) tone: Tone,
    pub(super) class: &'static str,
    pub(super) lines: [HeadlineLine; 2],
    /// The 16 criteria: id, tone, outcome.
    pub(super) strip: Vec<(&'static str, Tone, &'static str)>,
    pub(super) reasons: Vec<String>,
    pub(super) next: Vec<String>,
    pub(super) notes: Vec<String>,
    /// Label and value: run, profile, start, how many criteria were judged.
    pub(super) facts: Vec<(&'static str, String)>,
}

/// SYSTEM or STRATEGY.
pub(super) struct HeadlineLine {
    pub(super) name: &'static str,
    pub(super) question: &'static str,
    pub(super) tone: Tone,
    pub(super) state: &'static str,
    pub(super) sentence: String,
}

/// A section with an anchor.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) blocks: Vec<Block>,
}

/// A part of a section.
pub(super) enum Block {
    Text(String),
    /// A sub-heading, with a mark when it has a state.
    Sub(String, Option<(Tone, String)>),
    List(Vec<String>),
    Table(Table),
    /// A table that is opened on demand, behind its summary.
    Folded(String, Table),
    /// Verbatim text of others: log lines, crash blocks.
    Verbatim {
        caption: String,
        text: String,
    },
    /// A command to run, with what it is for.
    Command {
        caption: &'static str,
        command: String,
    },
    Chart(Chart),
}

/// A table. Its caption is for those who cannot see it.
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// A cell.
pub(super) enum Cell {
    Text(String),
    /// A name as it stands in artefacts.
    Code(String),
    /// Aligned to the right.
    Number(String),
    /// A state, in words and colour.
    Badge(Tone, String),
    /// A name for people above the name in artefacts.
    Named(String, String),
    /// A number with its share of the largest one, 0 to 1.
    Bar(String, f64),
    /// Artefacts of the run folder, linked when they are there.
    Files(Vec<String>),
}

/// True for a name that may be linked: a plain relative path.
pub(super) fn is_linkable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['/', '.'])
        && !name.contains("..")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c))
        && name.contains(['.', '/'])
}

/// Characters that would change how the rest of the text is shown: controls (line feed and tab aside) and direction marks.
pub(super) const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
