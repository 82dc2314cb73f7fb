//! For what share of the run the books were trusted, and how the universe changed.

use super::Report;
use super::figures::why_unknown;
use super::model::{Block, Cell, Table};
use super::said::said;
use super::words::{Lang, Words, fill, name};
use gate::trust::{SymbolTrust, UniverseStory, Untrusted};

/// Symbols that are shown without asking.
const SHOWN: usize = 10;
/// Changes of the universe that are shown.
const CHANGES: usize = 50;
/// Reasons of a symbol that are shown.
const REASONS: usize = 4;
/// Stands where a column has nothing to say.
const NOTHING: &str = "-";

pub(super) fn blocks(report: &Report<'_>, lang: Lang) -> Vec<Block> {
    let w = lang.words();
    let Some(phase) = report.phase() else { return vec![Block::Text(w.nothing_ran.to_owned())] };
    let series = &report.analysis.series;
    let mut blocks = match series.trust.first() {
        Some(worst) => trust(&series.trust, worst, lang),
        None => vec![Block::Text(fill(w.trust_none, &[&why_unknown(phase, w)]))],
    };
    if let Some(story) = &series.universe {
        blocks.push(Block::Sub(w.universe.to_owned(), None));
        blocks.extend(universe(story, lang));
    }
    blocks
}

/// Two decimals, cut off rather than rounded: 99.996 % is not all of the time.
fn pct(pct: f64) -> String {
    format!("{:.2}", (pct * 100.0).floor() / 100.0)
}

fn trust(symbols: &[SymbolTrust], worst: &SymbolTrust, lang: Lang) -> Vec<Block> {
    let w = lang.words();
    let mean = symbols.iter().map(|s| s.both_pct).sum::<f64>() / symbols.len() as f64;
    let figures = [pct(mean), symbols.len().to_string(), worst.symbol.clone(), pct(worst.both_pct)];
    let figures = figures.each_ref().map(String::as_str);
    let table = |symbols: &[SymbolTrust]| Table {
        caption: w.books.to_owned(),
        head: vec![
            w.col_symbol,
            w.col_followed,
            w.col_both,
            w.col_upbit_pct,
            w.col_binance_pct,
            w.col_why_not,
        ],
        rows: symbols.iter().map(|symbol| row(symbol, lang)).collect(),
    };
    let (shown, more) = symbols.split_at(symbols.len().min(SHOWN));
    let mut blocks = vec![
        Block::Text(fill(w.trust_mean, &figures)),
        Block::Text(w.trust_note.to_owned()),
        Block::Table(table(shown)),
    ];
    if let (Some(first), Some(last)) = (more.first(), more.last()) {
        let count = more.len().to_string();
        let summary = fill(w.trust_more, &[&count, &pct(first.both_pct), &pct(last.both_pct)]);
        blocks.push(Block::Folded(summary, table(more)));
    }
    blocks
}

fn row(symbol: &SymbolTrust, lang: Lang) -> Vec<Cell> {
    let reasons: Vec<String> = symbol.rest.iter().take(REASONS).map(|why| reason(why, lang)).collect();
    let whole = lang.words().trust_whole;
    vec![
        Cell::Code(symbol.symbol.clone()),
        Cell::Number(format!("{:.0}", symbol.followed_s)),
        Cell::Number(pct(symbol.both_pct)),
        Cell::Number(pct(symbol.venue_pct[0])),
        Cell::Number(pct(symbol.venue_pct[1])),
        Cell::Text(if reasons.is_empty() { whole.to_owned() } else { reasons.join("; ") }),
    ]
}

fn reason(why: &Untrusted, lang: Lang) -> String {
    let what = name(&why.why, lang);
    match why.venue {
        Some(venue) => format!("{venue}: {what} {:.2} % ({:.1} s)", why.pct, why.seconds),
        None => format!("{what} {:.2} % ({:.1} s)", why.pct, why.seconds),
    }
}

fn universe(story: &UniverseStory, lang: Lang) -> Vec<Block> {
    let w: &'static Words = lang.words();
    let figures = [story.asked.into(), story.first, story.last, story.refreshes].map(|n: u64| n.to_string());
    let mut blocks = vec![Block::Text(fill(w.universe_story, &figures.each_ref().map(String::as_str)))];
    if story.fewest_passed < u64::from(story.asked) {
        let figures = [story.fewest_passed.to_string(), story.asked.to_string()];
        blocks.push(Block::Text(fill(w.universe_fewer, &figures.each_ref().map(String::as_str))));
    }
    if story.changes.is_empty() {
        blocks.push(Block::Text(w.universe_steady.to_owned()));
        return blocks;
    }
    let rows = story.changes.iter().take(CHANGES).map(|change| {
        let what = name(&change.what, lang);
        let text = change.venue.map_or(what.clone(), |venue| format!("{venue}: {what}"));
        vec![
            Cell::Number(format!("{:.0}", change.t)),
            Cell::Code(change.symbol.clone()),
            Cell::Text(text),
            Cell::Text(change.why.as_ref().map_or(NOTHING.to_owned(), |why| said(why, w))),
        ]
    });
    blocks.push(Block::Table(Table {
        caption: w.universe.to_owned(),
        head: vec![w.col_time_s, w.col_symbol, w.col_change, w.col_reason],
        rows: rows.collect(),
    }));
    let more = story.changes.len().saturating_sub(CHANGES);
    if more > 0 {
        blocks.push(Block::Text(fill(w.universe_left_out, &[&more.to_string()])));
    }
    blocks
}
