//! `assay universe`: what a run would trade now, and why the others not. The same requests and the same selection as a start.

use crate::config;
use crate::error::RunError;
use crate::universe;
use engine::universe::{Explained, explain};
use market::{Money, Timestamp};
use serde::Serialize;
use std::path::Path;
use venues::{Endpoints, Rest};

/// The universe, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UniverseStory {
    /// When the venues were asked.
    pub at: Timestamp,
    /// Who was asked: Upbit, Binance.
    pub asked: [String; 2],
    /// Symbols asked for.
    pub topn: u32,
    /// KRW per USDT, with which Upbit's figures were converted.
    pub fx: f64,
    /// Every asset listed on both venues: the members by place, then the others, most traded first.
    pub candidates: Vec<Explained>,
}

/// Asks the venues and explains the choice. `urls`: REST addresses of Upbit and Binance, before those of the configuration's
/// `[endpoints]`, before the real ones.
///
/// # Errors
/// [`RunError::Config`], [`RunError::Venue`], [`RunError::Internal`].
pub fn explain_universe(
    config: Option<&Path>,
    urls: Option<(String, String)>,
    topn: u32,
) -> Result<UniverseStory, RunError> {
    let config = config::load(config)?;
    let mut endpoints = Endpoints::real();
    if let Some(given) = config.endpoints {
        (endpoints.upbit_rest, endpoints.binance_rest) = (given.upbit_rest, given.binance_rest);
    }
    if let Some(given) = urls {
        (endpoints.upbit_rest, endpoints.binance_rest) = given;
    }
    let asked = [endpoints.upbit_rest.clone(), endpoints.binance_rest.clone()];
    let rest = Rest::new(endpoints).map_err(|e| RunError::Internal(e.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| RunError::Internal(format!("no runtime: {e}")))?;
    let (candidates, fx, _) =
        runtime.block_on(universe::gather(&rest, topn, &config.filters, universe::START))?;
    let at = crate::clock::Clock::start().now();
    let candidates = explain(&candidates, fx, topn, &config.filters);
    Ok(UniverseStory { at, asked, topn, fx: fx.0.to_f64(), candidates })
}

impl UniverseStory {
    /// As a terminal shows it: the members, and with `everyone` all candidates.
    pub fn text(&self, everyone: bool) -> String {
        let members = self.candidates.iter().filter(|one| one.place.is_some()).count();
        let mut rows = vec![
            ["", "asset", "turnover", "liquidity", "spread", "ranks", "score", "why"].map(str::to_owned),
        ];
        rows.extend(self.candidates.iter().filter(|one| everyone || one.place.is_some()).map(row));
        let widths: [usize; 8] =
            std::array::from_fn(|c| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0));
        let mut out = format!(
            "{members} of {} asked, from {} candidates on {} and {}; 1 USDT = {:.2} KRW\n",
            self.topn,
            self.candidates.len(),
            self.asked[0],
            self.asked[1],
            self.fx
        );
        for row in &rows {
            let mut line = String::new();
            for (c, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[c] - cell.chars().count());
                // Names and reasons to the left, figures to the right.
                line += &if matches!(c, 1 | 7) { format!("{cell}{pad}  ") } else { format!("{pad}{cell}  ") };
            }
            out += &format!("  {}\n", line.trim_end());
        }
        if everyone {
            out += "turnover: the smaller of both in 24 h, USDT; liquidity: within 1 % of mid on the thinnest side, USDT; \
                    spread: the wider one, bps;\nranks by volume/liquidity/spread; score = 0.4 volume + 0.3 liquidity + \
                    0.3 spread, the lowest first\n";
        } else {
            out += "`--explain` shows everyone with the reason\n";
        }
        out
    }
}

fn row(one: &Explained) -> [String; 8] {
    let [a, b] = one.turnover_usdt;
    [
        one.place.map_or_else(|| "-".to_owned(), |place| place.to_string()),
        one.asset.to_string(),
        short(a.min(b)),
        one.liquidity_usdt.map_or_else(String::new, short),
        one.spread_bps.map_or_else(String::new, |bps| format!("{bps:.1}")),
        one.ranks.map_or_else(String::new, |[v, l, s]| format!("{v}/{l}/{s}")),
        one.score.map_or_else(String::new, |score| format!("{score:.1}")),
        one.why.clone(),
    ]
}

/// `1.2 B`, `340.5 M`, `12.0 k`.
fn short(amount: Money) -> String {
    match amount.to_f64() {
        v if v >= 1e9 => format!("{:.1} B", v / 1e9),
        v if v >= 1e6 => format!("{:.1} M", v / 1e6),
        v if v >= 1e3 => format!("{:.1} k", v / 1e3),
        v => format!("{v:.0}  "),
    }
}
