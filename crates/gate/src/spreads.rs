//! Where gap, level and edge stood per symbol, what a round trip needed, and decided against realised edge: tables of the
//! report, from the journal's own figures. They judge nothing.

use journal::percentiles::{Percentiles, Spread};
use journal::record::Direction;
use journal::{Body, Entry};
use market::Asset;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Symbols that a report shows: the most evaluated ones.
const SHOWN: usize = 20;

/// A symbol in the direction whose edge came highest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SymbolSpread {
    /// The symbol.
    pub symbol: String,
    /// Where it would have been bought.
    pub direction: Direction,
    /// Evaluations of that direction.
    pub evaluations: u64,
    /// Of the symbol in both directions: evaluations above the threshold.
    pub above_threshold: u64,
    /// Those that a guard held back.
    pub blocked: u64,
    /// Entries sent.
    pub sent: u64,
    /// The gap from which a round trip pays, basis points, at the level of the start; `None` while there was none.
    pub break_even_bps: Option<f64>,
    /// Executable gap.
    pub gap_bps: Option<Percentiles>,
    /// The opposite direction's level.
    pub level_bps: Option<Percentiles>,
    /// Edge after costs.
    pub edge_bps: Option<Percentiles>,
}

/// What was decided and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Edges {
    /// Entries with both legs filled.
    pub entries: u64,
    /// Mean edge at the decision, basis points.
    pub decided_bps: f64,
    /// Mean edge of the fills.
    pub realised_bps: f64,
    /// Sum of the decided edges, USD.
    pub decided_usd: f64,
    /// Sum of the realised edges, USD.
    pub realised_usd: f64,
    /// Round trips.
    pub trips: u64,
    /// Their mean edge at the entry's decision, basis points.
    pub trip_decided_bps: f64,
    /// Their mean net, basis points of the leg's value.
    pub trip_realised_bps: f64,
    /// What latency and depth cost on the way in and out, USD.
    pub slippage_usd: f64,
}

/// Both tables. A journal without percentiles is one of an engine that wrote neither.
pub(crate) fn of(journal: &[Entry]) -> (Vec<SymbolSpread>, Option<Edges>) {
    let mut last: BTreeMap<Asset, &[Spread; 2]> = BTreeMap::new();
    let mut break_even: BTreeMap<Asset, [Option<f64>; 2]> = BTreeMap::new();
    let mut funnels: BTreeMap<Asset, [u64; 3]> = BTreeMap::new();
    let mut edges = Edges::default();
    for entry in journal {
        match &entry.body {
            Body::Percentiles { asset, session, .. } => {
                last.insert(*asset, session);
            }
            Body::Funnel { asset: Some(asset), counts } => {
                let sums = funnels.entry(*asset).or_default();
                for (sum, stage) in sums.iter_mut().zip(["above_threshold", "blocked", "sent"]) {
                    *sum = sum.saturating_add(counts.get(stage).copied().unwrap_or(0));
                }
            }
            Body::BreakEven { asset, gap_bps, .. } => {
                break_even.insert(*asset, *gap_bps);
            }
            Body::Opened {
                decided_edge_bps, realised_edge_bps, decided_edge_usd, realised_edge_usd, ..
            } => {
                edges.entries += 1;
                edges.decided_bps += decided_edge_bps;
                edges.realised_bps += realised_edge_bps;
                edges.decided_usd += decided_edge_usd;
                edges.realised_usd += realised_edge_usd;
            }
            Body::Closed { decided_edge_bps, realised_edge_bps, slippage_usd, .. } => {
                edges.trips += 1;
                edges.trip_decided_bps += decided_edge_bps;
                edges.trip_realised_bps += realised_edge_bps;
                edges.slippage_usd += slippage_usd.to_f64();
            }
            _ => {}
        }
    }
    let edges = (!last.is_empty()).then(|| edges.means());
    let mut spreads: Vec<SymbolSpread> = last
        .into_iter()
        .map(|(asset, session)| {
            let break_even = break_even.get(&asset).copied().unwrap_or_default();
            symbol(asset, session, break_even, funnels.get(&asset).copied().unwrap_or_default())
        })
        .collect();
    spreads.sort_by(|a, b| b.evaluations.cmp(&a.evaluations).then_with(|| a.symbol.cmp(&b.symbol)));
    spreads.truncate(SHOWN);
    (spreads, edges)
}

impl Edges {
    fn means(mut self) -> Self {
        let mean = |sum: &mut f64, n: u64| {
            if n > 0 {
                *sum /= n as f64;
            }
        };
        mean(&mut self.decided_bps, self.entries);
        mean(&mut self.realised_bps, self.entries);
        mean(&mut self.trip_decided_bps, self.trips);
        mean(&mut self.trip_realised_bps, self.trips);
        self
    }
}

fn symbol(
    asset: Asset,
    session: &[Spread; 2],
    break_even: [Option<f64>; 2],
    [above_threshold, blocked, sent]: [u64; 3],
) -> SymbolSpread {
    let highest = |d: Direction| session[d.index()].edge_bps.map_or(f64::NEG_INFINITY, |edge| edge.max);
    let [a, b] = Direction::ALL;
    let direction = if highest(b) > highest(a) { b } else { a };
    let spread = session[direction.index()];
    SymbolSpread {
        symbol: asset.to_string(),
        direction,
        evaluations: spread.evaluations,
        above_threshold,
        blocked,
        sent,
        break_even_bps: break_even[direction.index()],
        gap_bps: spread.gap_bps,
        level_bps: spread.level_bps,
        edge_bps: spread.edge_bps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::Timestamp;

    #[test]
    fn the_last_record_of_a_symbol_counts_in_its_better_direction() {
        let figures = |max: f64| Some(Percentiles { p10: 1.0, p50: 2.0, p90: 3.0, max });
        let spread = |evaluations: u64, max: f64| Spread {
            evaluations,
            gap_bps: figures(max),
            level_bps: figures(max),
            edge_bps: figures(max),
        };
        let asset = |name: &str| Asset::new(name).unwrap();
        let record = |name: &str, session: [Spread; 2]| Body::Percentiles {
            asset: asset(name),
            session: Box::new(session),
        };
        let funnel = |counts: &[(&str, u64)]| Body::Funnel {
            asset: Some(asset("AAA")),
            counts: counts.iter().map(|(stage, n)| ((*stage).to_owned(), *n)).collect(),
        };
        let bodies = [
            funnel(&[("above_threshold", 7), ("blocked", 2)]),
            funnel(&[("above_threshold", 1), ("sent", 1), ("blocked:bias", 9)]),
            Body::BreakEven {
                asset: asset("AAA"),
                seconds: 1_800,
                gap_bps: [Some(51.0), Some(49.0)],
                tick_bps: [None; 2],
            },
            record("AAA", [spread(5, 90.0), spread(5, 4.0)]),
            record("BBB", [spread(50, 9.0), Spread::default()]),
            record("AAA", [spread(9, 4.0), spread(8, 7.0)]),
        ];
        let entry = |body| Entry { seq: 1, input_seq: 1, at: Timestamp(0), commit: true, body };
        let journal: Vec<Entry> = bodies.map(entry).into();
        let (spreads, edges) = of(&journal);
        let found: Vec<_> = spreads
            .iter()
            .map(|s| (s.symbol.as_str(), s.direction, s.evaluations, s.break_even_bps))
            .collect();
        let want = [("BBB", Direction::BuyUpbit, 50, None), ("AAA", Direction::BuyBinance, 8, Some(49.0))];
        assert_eq!(found, want);
        assert_eq!((spreads[1].above_threshold, spreads[1].blocked, spreads[1].sent), (8, 2, 1));
        assert_eq!(edges, Some(Edges::default()), "nothing was traded");
        assert_eq!(of(&[]), (Vec::new(), None));
    }
}
