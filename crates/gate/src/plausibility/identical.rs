//! Identical outcomes: fixed profits and invented prices, in the journal, in a trade log, or in the series of samples.
//!
//! Equal results have honest explanations, and those convict nobody: the same trade repeated on a coarse grid, a result of one tick
//! with a fixed quantity and no fee, figures that are rounded to a few units.

use super::{RESULTS, Said, Sight};
use crate::accounting::Close;
use crate::evidence::{Sample, TradeRow};
use crate::scrape::sum;
use crate::value::figure;
use market::Venue;
use std::collections::{BTreeMap, BTreeSet};

/// Trades, or steps of the series, that must be the same.
const LEAST: usize = 20;

pub(super) fn identical(sight: &Sight<'_>) -> Said {
    if let Some(accounts) = sight.accounts {
        return journal(&accounts.closes);
    }
    let rows = sight.phase.trades.get().map(|rows| trade_log(rows));
    match (rows, increments(&sight.phase.samples)) {
        (Some(said @ Said::Violated(..)), _) | (_, said @ Said::Violated(..)) => said,
        (Some(said @ Said::Clean(_)), _) | (_, said) => said,
    }
}

fn journal(closes: &[Close]) -> Said {
    if closes.len() < LEAST {
        return Said::Off(format!("closed trades: {}, 20 needed", closes.len()));
    }
    if closes.windows(2).all(|w| w[0].prices == w[1].prices) {
        let text = format!("{} trades at the very same prices", closes.len());
        return Said::Violated(text, RESULTS.to_owned());
    }
    let mut by_net: BTreeMap<i128, Vec<&Close>> = BTreeMap::new();
    for close in closes {
        by_net.entry(close.net).or_default().push(close);
    }
    for (net, same) in &by_net {
        let prices: BTreeSet<&[(Venue, i128)]> = same.iter().map(|c| c.prices.as_slice()).collect();
        // Trades at one set of prices have one result: what counts are trades, less repetitions that the grid explains.
        let distinct = prices.len() >= LEAST || (same.len() >= LEAST && prices.len() * 2 > same.len());
        if distinct && !(one_tick(same) && same.len() < closes.len()) {
            let text =
                format!("{} trades at distinct prices with the same net {}", same.len(), market::Money(*net));
            return Said::Violated(text, RESULTS.to_owned());
        }
    }
    Said::Clean(format!("{} trades, {} distinct results", closes.len(), by_net.len()))
}

/// The same quantities over the same price differences without a fee: equal by arithmetic, wherever the price stands.
fn one_tick(same: &[&Close]) -> bool {
    let shape = |close: &Close| -> Vec<(Venue, i128)> {
        let first = |venue: Venue| {
            close.prices.iter().find(|(v, _)| *v == venue).map(|(_, price)| *price).unwrap_or_default()
        };
        close.prices.iter().map(|(venue, price)| (*venue, price - first(*venue))).collect()
    };
    same.iter().all(|c| c.fees == 0)
        && same.windows(2).all(|w| w[0].quantities == w[1].quantities && shape(w[0]) == shape(w[1]))
}

/// A trade log: results and prices as they are written there.
fn trade_log(rows: &[TradeRow]) -> Said {
    if rows.len() < LEAST {
        return Said::Off(format!("trades in the trade log: {}, 20 needed", rows.len()));
    }
    let priced: Vec<&TradeRow> = rows.iter().filter(|row| !row.prices.is_empty()).collect();
    let result = rows.iter().find_map(|row| row.net);
    // A line that is repeated while nothing happens has a result of zero.
    let same = rows.iter().all(|row| row.net == result) && result != Some(0.0);
    if same && priced.len() >= LEAST && priced.windows(2).all(|w| w[0].prices == w[1].prices) {
        let also = match result {
            Some(net) => format!(" with the same net {} USD", figure(net)),
            None => String::new(),
        };
        let text = format!("{} trades at the very same prices{also}", priced.len());
        return Said::Violated(text, RESULTS.to_owned());
    }
    let nets: Vec<f64> = rows.iter().filter_map(|row| row.net).collect();
    match repeated(&nets) {
        Some((net, n)) => Said::Violated(
            format!("{n} of {} trades in the trade log have the same net {} USD", nets.len(), figure(net)),
            RESULTS.to_owned(),
        ),
        None => Said::Clean(format!("{} trades in the trade log", rows.len())),
    }
}

/// Reads one figure of a sample.
type Reading = fn(&Sample) -> Option<f64>;

/// Round trips and PnL of one source: figures of two sources are never mixed in one series.
const SOURCES: [(Reading, Reading); 4] = [
    (|s| s.kpi.get("round_trips_completed").copied(), |s| s.kpi.get("net_pnl_usd").copied()),
    (|s| s.kpi.get("round_trips_completed").copied(), |s| s.kpi.get("total_pnl_usd").copied()),
    (
        |s| s.kpi.get("total_trades").copied().filter(|_| !s.kpi.contains_key("round_trips_completed")),
        |s| s.kpi.get("net_pnl_usd").or_else(|| s.kpi.get("total_pnl_usd")).copied(),
    ),
    (
        |s| sum(s.scrape.get()?, "arb_topn_round_trips_total", &[]),
        |s| sum(s.scrape.get()?, "arb_topn_pnl_usd", &[]),
    ),
];

/// Without a journal: equal increments of PnL per round trip in the series of KPI files or scrapes.
fn increments(samples: &[Sample]) -> Said {
    let mut most = 0;
    let mut clean = None;
    for (trips, pnl) in SOURCES {
        let steps = steps(samples, trips, pnl);
        most = most.max(steps.len());
        let means: Vec<f64> = steps.iter().map(|(mean, _)| *mean).collect();
        if let Some(text) = same_means(&steps) {
            return Said::Violated(text, RESULTS.to_owned());
        }
        if steps.len() < LEAST {
            continue;
        }
        if let Some((step, n)) = repeated(&means) {
            let text = format!(
                "{n} of {} steps of the PnL are exactly {} USD for each round trip",
                steps.len(),
                figure(step)
            );
            return Said::Violated(text, RESULTS.to_owned());
        }
        clean = Some(format!("{} steps of the PnL", steps.len()));
    }
    match clean {
        Some(text) => Said::Clean(text),
        None => Said::Off(format!(
            "no journal, and steps of PnL per round trip in the samples: {most}, 20 needed"
        )),
    }
}

/// Fewest steps of several round trips each that convict, when all of them have the very same mean.
const FEWEST_MEANS: usize = 5;

/// A step may hold many round trips: that the mean of every step is the same to the millionth of a USD, over 20 round trips and more, is no
/// weaker a sign than one by one.
fn same_means(steps: &[(f64, f64)]) -> Option<String> {
    let micros = |mean: f64| (mean * 1e6).round() as i64;
    let first = micros(steps.first()?.0);
    let trips: f64 = steps.iter().map(|(_, trips)| trips).sum();
    let several = steps.iter().filter(|(_, trips)| *trips > 1.0).count();
    let same = steps.iter().all(|(mean, _)| micros(*mean) == first);
    (same && first != 0 && several >= FEWEST_MEANS && trips >= LEAST as f64).then(|| {
        format!("{} round trips made exactly {} USD each", figure(trips), figure(first as f64 / 1e6))
    })
}

/// Mean result of each step of the series, and its round trips.
fn steps(samples: &[Sample], trips: Reading, pnl: Reading) -> Vec<(f64, f64)> {
    let mut last: Option<(f64, f64)> = None;
    let mut steps = Vec::new();
    for (trips, pnl) in samples.iter().filter_map(|s| Some((trips(s)?, pnl(s)?))) {
        match last {
            Some((before, pnl_before)) if trips > before => {
                steps.push(((pnl - pnl_before) / (trips - before), trips - before));
                last = Some((trips, pnl));
            }
            Some(_) => {}
            None => last = Some((trips, pnl)),
        }
    }
    steps
}

/// A value that is repeated more often than rounding can explain, and how often.
///
/// The unit is the finest step in which the figures are written. A value of a hundred units or more that makes up a tenth of all, or one of
/// ten units or more that makes up nine tenths, is no coincidence; below ten units it is what rounding gives.
fn repeated(values: &[f64]) -> Option<(f64, usize)> {
    // In millionths of a USD: floating point noise is no difference.
    let micros: Vec<i64> = values.iter().map(|v| (v * 1e6).round() as i64).collect();
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for step in &micros {
        *counts.entry(*step).or_insert(0) += 1;
    }
    let unit = micros.iter().map(|m| unit_of(*m)).min()?;
    counts
        .into_iter()
        .filter(|(step, n)| *step != 0 && *n >= LEAST)
        .find(|(step, n)| {
            let units = step.abs() / unit;
            (units >= 100 && n * 10 >= micros.len()) || (units >= 10 && n * 10 >= micros.len() * 9)
        })
        .map(|(step, n)| (step as f64 / 1e6, n))
}

/// The largest power of ten that divides a number of millionths, one cent at most: 2.5 USD is written in cents.
fn unit_of(micros: i64) -> i64 {
    let mut unit = 1;
    while unit < 10_000 && micros % (unit * 10) == 0 {
        unit *= 10;
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::repeated;

    #[test]
    fn rounding_explains_small_figures_and_not_large_ones() {
        // Cents of a few cents each: 0.03 is frequent, and nothing is wrong.
        let honest: Vec<f64> = (0..300).map(|i| f64::from(i % 7) / 100.0 - 0.02).collect();
        assert_eq!(repeated(&honest), None);
        assert_eq!(repeated(&[2.5; 25]), Some((2.5, 25)));
        assert_eq!(repeated(&[2.5; 19]), None);
        let mixed: Vec<f64> = (0..100).map(|i| if i % 4 == 0 { -1.25 } else { 2.5 }).collect();
        assert!(repeated(&mixed).is_some());
        let varied: Vec<f64> = (0..100).map(|i| 0.123_456 * f64::from(i)).collect();
        assert_eq!(repeated(&varied), None);
        // A quiet hour: zeros.
        assert_eq!(repeated(&[0.0; 50]), None);
    }
}
