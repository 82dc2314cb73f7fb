//! Tables of the funnel's section: where gap, level and edge of the symbols stood, and decided against realised edge.

use super::model::{Block, Cell, Table};
use super::words::{Words, fill};
use gate::judge::Series;
use gate::spreads::{Edges, SymbolSpread};
use journal::percentiles::Percentiles;

/// Stands where there is no figure.
const NOTHING: &str = "-";

pub(super) fn blocks(series: &Series, w: &'static Words) -> Vec<Block> {
    let mut blocks = vec![Block::Sub(w.spreads.to_owned(), None)];
    if series.spreads.is_empty() {
        blocks.push(Block::Text(w.spreads_none.to_owned()));
    } else {
        blocks.push(Block::Text(w.spreads_note.to_owned()));
        blocks.push(Block::Table(Table {
            caption: w.spreads.to_owned(),
            head: vec![
                w.col_symbol,
                w.col_direction,
                w.col_evaluations,
                w.col_passed,
                w.col_break_even,
                w.col_gap,
                w.col_level,
                w.col_edge,
            ],
            rows: series.spreads.iter().map(row).collect(),
        }));
    }
    if let Some(edges) = series.edges.filter(|edges| edges.entries > 0) {
        blocks.extend(decided_against_realised(edges, w));
    }
    blocks
}

fn row(spread: &SymbolSpread) -> Vec<Cell> {
    let one = |bps: Option<f64>| bps.map_or(NOTHING.to_owned(), |bps| format!("{bps:.1}"));
    let four = |p: Option<Percentiles>| {
        p.map_or(NOTHING.to_owned(), |p| format!("{:.1} / {:.1} / {:.1} / {:.1}", p.p10, p.p50, p.p90, p.max))
    };
    vec![
        Cell::Code(spread.symbol.clone()),
        Cell::Text(spread.direction.buys_on().to_string()),
        Cell::Number(spread.evaluations.to_string()),
        Cell::Number(format!("{} / {} / {}", spread.above_threshold, spread.blocked, spread.sent)),
        Cell::Number(one(spread.break_even_bps)),
        Cell::Number(four(spread.gap_bps)),
        Cell::Number(one(spread.level_bps.map(|p| p.p50))),
        Cell::Number(four(spread.edge_bps)),
    ]
}

fn decided_against_realised(edges: Edges, w: &'static Words) -> Vec<Block> {
    let bps = |bps: f64| Cell::Number(format!("{bps:.1}"));
    let usd = format!("{:.2} / {:.2}", edges.decided_usd, edges.realised_usd);
    let mut rows = vec![vec![
        Cell::Text(w.edges_entries.to_owned()),
        Cell::Number(edges.entries.to_string()),
        bps(edges.decided_bps),
        bps(edges.realised_bps),
        Cell::Number(usd),
    ]];
    if edges.trips > 0 {
        rows.push(vec![
            Cell::Text(w.edges_trips.to_owned()),
            Cell::Number(edges.trips.to_string()),
            bps(edges.trip_decided_bps),
            bps(edges.trip_realised_bps),
            Cell::Text(NOTHING.to_owned()),
        ]);
    }
    let mut blocks = vec![
        Block::Sub(w.edges.to_owned(), None),
        Block::Text(w.edges_note.to_owned()),
        Block::Table(Table {
            caption: w.edges.to_owned(),
            head: vec![w.col_what, w.col_count, w.col_decided, w.col_realised, w.col_both_usd],
            rows,
        }),
    ];
    if edges.trips > 0 {
        blocks.push(Block::Text(slippage(edges.slippage_usd, w)));
    }
    blocks
}

/// What lies between the decisions and the fills: a cost, now and then a gain.
fn slippage(usd: f64, w: &Words) -> String {
    let shown = format!("{:.2}", usd.abs());
    let sentence = match shown == "0.00" {
        true => w.edges_slippage_none,
        false if usd > 0.0 => w.edges_slippage,
        false => w.edges_slippage_won,
    };
    fill(sentence, &[&shown])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Lang;

    #[test]
    fn a_gain_is_no_negative_cost() {
        let w = Lang::En.words();
        assert_eq!(slippage(9.154, w), "Latency and depth cost 9.15 USD on the way in and out.");
        assert_eq!(slippage(-9.154, w), "Latency and depth brought 9.15 USD on the way in and out.");
        for nothing in [0.0, -0.0, 0.004, -0.004] {
            assert_eq!(
                slippage(nothing, w),
                "Latency and depth neither cost nor brought a cent on the way in and out."
            );
        }
        assert_eq!(
            slippage(-9.154, Lang::Ko.words()),
            "지연과 호가 깊이 덕분에 진입과 청산을 합쳐 9.15 USD를 더 벌었습니다."
        );
    }
}
