//! What the guards saved or cost: blocked intents that lived on as shadow positions, beside the trades that were taken.
//! Information; no criterion looks at it.

use super::Report;
use super::model::{Block, Cell, Table};
use super::words::{Words, fill};
use gate::accounting::Results;
use gate::value::figure;

/// Four decimals: a tenth of a cent is below every fee.
fn usd(value: f64) -> String {
    figure((value * 1e4).round() / 1e4)
}

fn row(name: Cell, results: &Results, w: &Words) -> Vec<Cell> {
    let number = |value: Option<f64>| {
        value.map_or_else(|| Cell::Text(w.not_stated.to_owned()), |value| Cell::Number(usd(value)))
    };
    let interval = match (results.low_usd, results.high_usd) {
        (Some(low), Some(high)) => Cell::Number(fill(w.shadows_interval, &[&usd(low), &usd(high)])),
        _ => Cell::Text(w.not_stated.to_owned()),
    };
    vec![
        name,
        Cell::Number(results.n.to_string()),
        Cell::Number(results.episodes.to_string()),
        number(results.mean_usd),
        interval,
        Cell::Number(usd(results.sum_usd)),
    ]
}

/// What the shadows' interval says about the guards.
fn said(shadows: &Results, w: &Words) -> String {
    match (shadows.low_usd, shadows.high_usd) {
        (_, Some(high)) if high < 0.0 => fill(w.shadows_saved, &[&usd(-shadows.sum_usd)]),
        (Some(low), _) if low > 0.0 => fill(w.shadows_cost, &[&usd(shadows.sum_usd)]),
        (Some(_), Some(_)) => w.shadows_open.to_owned(),
        _ => w.shadows_few.to_owned(),
    }
}

pub(super) fn shadows(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    if report.phase().is_none() {
        return vec![Block::Text(w.nothing_ran.to_owned())];
    }
    let Some(table) = &report.analysis.series.shadows else {
        return vec![Block::Text(w.shadows_none.to_owned())];
    };
    let head =
        || vec![w.col_trades, w.col_count, w.col_episodes, w.col_mean_usd, w.col_interval, w.col_sum_usd];
    let rows = vec![
        row(Cell::Text(w.shadows_blocked.to_owned()), &table.shadows, w),
        row(Cell::Text(w.shadows_taken.to_owned()), &table.taken, w),
    ];
    let mut blocks = vec![
        Block::Text(w.shadows_note.to_owned()),
        Block::Table(Table { caption: w.shadows.to_owned(), head: head(), rows }),
        Block::Text(said(&table.shadows, w)),
    ];
    if table.unfinished > 0 || table.left_out > 0 {
        let counts = [table.unfinished.to_string(), table.left_out.to_string()];
        blocks.push(Block::Text(fill(w.shadows_without, &[&counts[0], &counts[1]])));
    }
    if !table.by_rule.is_empty() {
        let rows = table.by_rule.iter().map(|(rule, of)| row(Cell::Code(rule.clone()), of, w)).collect();
        blocks.push(Block::Table(Table { caption: w.shadows_by_rule.to_owned(), head: head(), rows }));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::super::words::Lang;
    use super::{Results, said};

    #[test]
    fn only_an_interval_on_one_side_of_zero_says_something() {
        let results =
            |low, high| Results { low_usd: low, high_usd: high, sum_usd: -3.0, ..Results::default() };
        let w = Lang::En.words();
        assert_eq!(
            said(&results(Some(-2.0), Some(-1.0)), w),
            "The blocked intents would have lost: the guards saved 3 USD."
        );
        let won = Results { sum_usd: 3.0, ..results(Some(1.0), Some(2.0)) };
        assert_eq!(said(&won, w), "The blocked intents would have won: the guards cost 3 USD.");
        assert_eq!(said(&results(Some(-1.0), Some(1.0)), w), w.shadows_open);
        assert_eq!(said(&results(None, None), w), w.shadows_few);
    }
}
