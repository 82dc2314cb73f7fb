//! Where the money came from: the result in its parts, as the judge's accounting adds them up from the journal.

use super::Report;
use super::model::{Block, Cell, Table};
use super::words::{Lang, fill, name};

pub(super) fn money(report: &Report<'_>, lang: Lang) -> Vec<Block> {
    let w = lang.words();
    let Some(phase) = report.phase() else { return vec![Block::Text(w.nothing_ran.to_owned())] };
    let Some(parts) = report.analysis.series.money else {
        let why = super::figures::why_unknown(phase, w);
        return vec![Block::Text(fill(w.money_unknown, &[&why]))];
    };
    let rows = [
        ("total_pnl", parts.total),
        ("trading_pnl", parts.trading),
        ("fx_effect", parts.fx_effect),
        ("transfer_cost", parts.transfer_cost),
        ("gross_pnl", parts.gross),
        ("fees", parts.fees),
        ("net_pnl", parts.net),
        ("slippage", parts.slippage),
    ];
    let rows = rows
        .into_iter()
        .map(|(key, usd)| vec![Cell::Named(name(key, lang), key.to_owned()), Cell::Text(usd.to_string())])
        .collect();
    let head = vec![w.col_amount, w.col_usd];
    vec![
        Block::Text(w.money_note.to_owned()),
        Block::Table(Table { caption: w.money.to_owned(), head, rows }),
    ]
}
