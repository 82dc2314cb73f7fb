//! Why each candidate is in or out: the figures, the ranks and the reason, of every one.

use super::{Candidate, Filters, liquidity_usdt, passing, scored, select};
use market::{Asset, FxRate, Money, Venue};
use serde::Serialize;
use std::collections::BTreeMap;

/// A candidate, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// The asset.
    pub asset: Asset,
    /// Its place among the members, from 1; `None` when it is out.
    pub place: Option<usize>,
    /// Why it is in or out.
    pub why: String,
    /// 24 h turnover per venue in USDT, Upbit's first. The smaller one counts.
    pub turnover_usdt: [Money; 2],
    /// Value within 1 % of mid on its thinnest side, USDT; `None` when its books were not asked for or show nothing.
    pub liquidity_usdt: Option<Money>,
    /// The wider spread, basis points; as for the liquidity.
    pub spread_bps: Option<f64>,
    /// Ranks by turnover, liquidity and spread among those that pass every filter, from 1.
    pub ranks: Option<[u64; 3]>,
    /// `0.4 volume + 0.3 liquidity + 0.3 spread`; the lowest is the best.
    pub score: Option<f64>,
}

/// Explains every candidate: the members by place, then the others, the most traded first.
pub fn explain(candidates: &[Candidate], fx: FxRate, topn: u32, filters: &Filters) -> Vec<Explained> {
    let selection = select(candidates, fx, topn, filters);
    let (passed, _) = passing(candidates, fx, filters);
    let ranked: BTreeMap<Asset, (u64, [u64; 3])> =
        scored(&passed).into_iter().map(|one| (one.asset, (one.tenfold, one.ranks))).collect();
    let out: BTreeMap<Asset, &String> = selection.out.iter().map(|(asset, why)| (*asset, why)).collect();
    let mut all: Vec<Explained> = candidates
        .iter()
        .map(|candidate| {
            let asset = candidate.asset;
            let place = selection.members.iter().position(|member| member.asset == asset).map(|i| i + 1);
            let rank = ranked.get(&asset);
            let books = candidate.books.as_ref();
            let spreads = books.and_then(|books| {
                let [a, b] = Venue::ALL.map(|venue| books[venue.index()].spread_bps());
                Some(a?.max(b?))
            });
            Explained {
                asset,
                place,
                why: match out.get(&asset) {
                    Some(why) => (*why).clone(),
                    None => "passes every filter".to_owned(),
                },
                turnover_usdt: [candidate.upbit_turnover_usdt, candidate.binance_turnover_usdt],
                liquidity_usdt: books.and_then(|books| liquidity_usdt(books, fx)),
                spread_bps: spreads,
                ranks: rank.map(|(_, ranks)| *ranks),
                // Ten times the score is a whole number.
                score: rank.map(|(tenfold, _)| *tenfold as f64 / 10.0),
            }
        })
        .collect();
    let turnover = |one: &Explained| one.turnover_usdt[0].min(one.turnover_usdt[1]);
    all.sort_by(|a, b| {
        let places = (a.place.unwrap_or(usize::MAX), b.place.unwrap_or(usize::MAX));
        places.0.cmp(&places.1).then(turnover(b).cmp(&turnover(a))).then(a.asset.cmp(&b.asset))
    });
    all
}
