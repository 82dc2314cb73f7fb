//! Why a trade went as it went, and why a symbol traded or did not: told from a journal alone.
//!
//! What lives here: finding a run's journals, [`trade`] and [`symbol`] (what is known, as data), `text` (how it looks on a
//! terminal). What does not: judging, and anything that the journal does not say. Works on the journal of a run that is
//! still going on, or was killed: a torn last line is left out.

mod layout;
mod symbol;
mod symbol_text;
mod text;
mod trade;

#[cfg(test)]
mod tests;

pub use symbol::{Best, Break, Held, Minute, SymbolStory, TradeLine};
pub use trade::{
    Decided, Ended, Exited, FillStory, GuardState, Leg, Opened, OrderStory, Outcome, Slippage, TradeStory,
};

use crate::archive::{self, RunDir, phase_records};
use journal::Entry;
use journal::file::{FileError, Reader};
use market::Asset;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The run has no journal.
    #[error("{} holds no journal; a runner of another make may keep none, and a smoke that failed at once wrote none", .0.display())]
    NoJournal(PathBuf),
    /// The phase has no journal.
    #[error("phase {wanted} of this run has no journal; there are those of {}", .have.join(", "))]
    NoPhase {
        /// What was asked for.
        wanted: String,
        /// The phases that have one.
        have: Vec<String>,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] FileError),
    /// The journal is empty.
    #[error("{} holds no record yet; wait until the session has begun", .0.display())]
    Empty(PathBuf),
    /// There is no such trade.
    #[error("there is no trade {wanted} in {}; {have}", path.display())]
    NoTrade {
        /// What was asked for.
        wanted: u64,
        /// The journal.
        path: PathBuf,
        /// Which trades there are.
        have: String,
    },
    /// There is no such symbol.
    #[error("{wanted} was never a member in {}; the members are {have}", path.display())]
    NoSymbol {
        /// What was asked for.
        wanted: Asset,
        /// The journal.
        path: PathBuf,
        /// The members.
        have: String,
    },
}

/// Where a journal lies, and of which phase it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The journal.
    pub path: PathBuf,
    /// `smoke`, `planted`, `main`; `None` for a journal that was named by its path.
    pub phase: Option<String>,
}

/// The journals of a run, in the order of its phases.
fn journals(dir: &RunDir) -> Vec<Source> {
    let mut found: Vec<Source> = Vec::new();
    let records = phase_records(dir);
    let begun = records.iter().filter_map(|record| match record {
        archive::PhaseRecord::Start(start) => Some(start.phase.clone()),
        _ => None,
    });
    for phase in begun {
        let path = dir.journal_dir(&phase).join("journal.log");
        if path.is_file() && found.iter().all(|known| known.path != path) {
            found.push(Source { path, phase: Some(phase) });
        }
    }
    found
}

/// The journal of a run that a question is about: the named phase's, or the main run's (its last attempt), or else the
/// last that there is.
///
/// # Errors
/// [`ExplainError::NoJournal`], [`ExplainError::NoPhase`].
pub fn source(dir: &RunDir, phase: Option<&str>) -> Result<Source, ExplainError> {
    let mut all = journals(dir);
    let names = |all: &[Source]| all.iter().filter_map(|s| s.phase.clone()).collect::<Vec<_>>();
    if all.is_empty() {
        return Err(ExplainError::NoJournal(dir.0.clone()));
    }
    let is = |source: &Source, wanted: &str| {
        let phase = source.phase.as_deref().unwrap_or_default();
        phase == wanted || phase.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
    };
    let found = match phase {
        Some(wanted) => match all.iter().rposition(|source| is(source, wanted)) {
            Some(i) => i,
            None => return Err(ExplainError::NoPhase { wanted: wanted.to_owned(), have: names(&all) }),
        },
        None => all.iter().rposition(|source| is(source, "main")).unwrap_or(all.len() - 1),
    };
    Ok(all.swap_remove(found))
}

/// Reads a journal from its beginning, record by record.
fn read(source: &Source, mut on: impl FnMut(Entry)) -> Result<(), ExplainError> {
    let mut reader = Reader::open(&source.path)?;
    let mut any = false;
    while let Some(entry) = reader.next_entry()? {
        any = true;
        on(entry);
    }
    if any { Ok(()) } else { Err(ExplainError::Empty(source.path.clone())) }
}

/// The story of a trade, by its position id.
///
/// # Errors
/// [`ExplainError`].
pub fn trade(source: &Source, wanted: u64) -> Result<TradeStory, ExplainError> {
    let mut teller = trade::Teller::new(wanted);
    let mut known = BTreeMap::new();
    read(source, |entry| {
        if let journal::Body::Decision { position, asset, .. } = &entry.body {
            known.insert(*position, *asset);
        }
        teller.on(&entry);
    })?;
    teller.finish(source.phase.clone()).ok_or_else(|| ExplainError::NoTrade {
        wanted,
        path: source.path.clone(),
        have: trades(&known),
    })
}

fn trades(known: &BTreeMap<u64, Asset>) -> String {
    const SHOWN: usize = 12;
    if known.is_empty() {
        return "no trade was decided there: `--symbol S` says why".to_owned();
    }
    let mut listed: Vec<String> =
        known.iter().take(SHOWN).map(|(id, asset)| format!("{id} ({asset})")).collect();
    if let (true, Some((last, asset))) = (known.len() > SHOWN, known.last_key_value()) {
        listed.push(format!("... to {last} ({asset})"));
    }
    format!("there are {}", listed.join(", "))
}

/// The story of a symbol.
///
/// # Errors
/// [`ExplainError`].
pub fn symbol(source: &Source, wanted: Asset) -> Result<SymbolStory, ExplainError> {
    let mut teller = symbol::Teller::new(wanted);
    read(source, |entry| teller.on(&entry))?;
    teller.finish(source.phase.clone()).map_err(|members| ExplainError::NoSymbol {
        wanted,
        path: source.path.clone(),
        have: match members.is_empty() {
            true => "not set yet".to_owned(),
            false => members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        },
    })
}

impl TradeStory {
    /// As a terminal shows it, with colour where standard output wants it.
    pub fn text(&self) -> String {
        text::trade(self, crate::terminal::stdout_paint())
    }
}

impl SymbolStory {
    /// As a terminal shows it, with colour where standard output wants it.
    pub fn text(&self) -> String {
        symbol_text::symbol(self, crate::terminal::stdout_paint())
    }
}

/// A journal that was named by its path.
pub fn journal_at(path: &Path) -> Source {
    Source { path: path.to_owned(), phase: None }
}
