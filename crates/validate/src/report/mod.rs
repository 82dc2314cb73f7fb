//! `report.md` and `report.html`: what the run showed, for a person, in English or Korean.
//!
//! `first` and `sections` say what is said, `markdown` and `html` how it looks, `charts` draws, `words` holds every label in
//! both languages, `said`, `findings` and `problems` the Korean of the judge's own sentences. Nothing is judged here and no figure is made here: all of them come from the analysis, the evidence and the
//! metadata. What is not there is said with its reason, never left blank.

mod charts;
mod facts;
mod figures;
mod findings;
mod first;
mod html;
mod markdown;
mod model;
mod money;
mod problems;
mod said;
mod sections;
mod setup;
mod shadows;
mod spreads;
mod trust;
mod words;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use first::{again, brief, no_opportunity, without_state};
pub(crate) use said::short_seconds;
pub use words::Lang;

use crate::archive::Metadata;
use gate::Analysis;
use gate::evidence::Evidence;
use model::Document;
use std::path::Path;

/// What a report is made of.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The run's metadata.
    pub metadata: &'a Metadata,
    /// Its evidence.
    pub evidence: &'a Evidence,
    /// Its judgement.
    pub analysis: &'a Analysis,
    /// The run folder; only looked into for which artefacts are there.
    pub dir: &'a Path,
}

/// `report.md` in English.
pub fn markdown(report: &Report<'_>) -> String {
    markdown_in(report, Lang::En)
}

/// `report.md`.
pub fn markdown_in(report: &Report<'_>, lang: Lang) -> String {
    markdown::render(&document(report, lang))
}

/// `report.html` in English: one file, no network, no script.
pub fn html(report: &Report<'_>) -> String {
    html_in(report, Lang::En)
}

/// `report.html`.
pub fn html_in(report: &Report<'_>, lang: Lang) -> String {
    html::render(&document(report, lang))
}

fn document(report: &Report<'_>, lang: Lang) -> Document {
    let words = lang.words();
    Document {
        words,
        lang: lang.tag(),
        first: first::screen(report, words),
        sections: sections::all(report, lang),
        footer: words::fill(words.printed_by, &[&report.metadata.version]),
    }
}
