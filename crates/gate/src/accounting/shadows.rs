//! What the guards saved or cost: shadow positions of blocked intents beside the trades that were taken. Information, no
//! criterion. Results are the journal's; means and intervals are computed here.

use crate::stats::bootstrap_mean;
use journal::{Body, Entry};
use market::{SCALE, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Trades within that time of each other are one episode: they share their market.
const APART_NS: i64 = 60_000_000_000;

/// Results of trades: how many, their mean with its 95 % interval (resampled by episodes), their sum. USD.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Trades with a result.
    pub n: u64,
    /// Episodes that they form: overlapping or within 60 s.
    pub episodes: u64,
    /// Mean net; `None` without a trade.
    pub mean_usd: Option<f64>,
    /// Lower bound of the mean.
    pub low_usd: Option<f64>,
    /// Upper bound of the mean.
    pub high_usd: Option<f64>,
    /// Sum of the nets.
    pub sum_usd: f64,
}

/// Shadows against taken trades.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ShadowTable {
    /// Blocked intents that lived on.
    pub shadows: Results,
    /// Round trips closed, and entries undone at cost.
    pub taken: Results,
    /// Shadows by the rule that blocked them; one that several rules blocked stands under each.
    pub by_rule: BTreeMap<String, Results>,
    /// Shadows without a result: still under way at the end, or given up.
    pub unfinished: u64,
    /// Blocked intents that got no shadow, because as many as allowed were under way.
    pub left_out: u64,
}

#[derive(Debug, Clone, Copy)]
struct Trade {
    from: Timestamp,
    to: Timestamp,
    net: i128,
}

#[derive(Debug, Default)]
pub(super) struct Shadows {
    open: BTreeMap<u64, (Timestamp, Vec<String>)>,
    ended: Vec<(Trade, Vec<String>)>,
    decided: BTreeMap<u64, Timestamp>,
    taken: Vec<Trade>,
    lost: u64,
    left_out: u64,
    any: bool,
}

impl Shadows {
    pub(super) fn take(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.body {
            Body::ShadowOpened { shadow, rules, .. } => {
                self.any = true;
                // A shadow of a process that was killed has no end.
                self.lost += u64::from(self.open.insert(*shadow, (at, rules.clone())).is_some());
            }
            Body::ShadowClosed { shadow, net_usd, .. } => {
                if let Some((from, rules)) = self.open.remove(shadow) {
                    match net_usd {
                        Some(net) => self.ended.push((Trade { from, to: at, net: net.0 }, rules)),
                        None => self.lost += 1,
                    }
                }
            }
            Body::Decision { position, .. } => drop(self.decided.insert(*position, at)),
            Body::Closed { position, net_usd, .. } => self.result(*position, at, net_usd.0),
            // One that filled nothing cost nothing; a shadow that filled nothing counts alike.
            Body::Unwound { position, net_usd, .. } => self.result(*position, at, net_usd.0),
            Body::Figures { guards: Some(guards), .. } => self.left_out = guards.shadows_left_out,
            _ => {}
        }
    }

    fn result(&mut self, position: u64, at: Timestamp, net: i128) {
        let from = self.decided.remove(&position).unwrap_or(at);
        self.taken.push(Trade { from, to: at, net });
    }

    /// `None` for a journal without a blocked intent that lived on.
    pub(super) fn table(&self, seed: u64) -> Option<ShadowTable> {
        if !self.any && self.left_out == 0 {
            return None;
        }
        let mut rules: BTreeMap<&str, Vec<Trade>> = BTreeMap::new();
        for (trade, of) in &self.ended {
            for rule in of {
                rules.entry(rule).or_default().push(*trade);
            }
        }
        Some(ShadowTable {
            shadows: results(self.ended.iter().map(|(trade, _)| *trade).collect(), seed),
            taken: results(self.taken.clone(), seed),
            by_rule: rules.into_iter().map(|(rule, of)| (rule.to_owned(), results(of, seed))).collect(),
            unfinished: self.lost + self.open.len() as u64,
            left_out: self.left_out,
        })
    }
}

fn results(mut trades: Vec<Trade>, seed: u64) -> Results {
    trades.sort_by_key(|trade| (trade.from, trade.to));
    let mut groups: Vec<(f64, f64)> = Vec::new();
    let mut until: Option<Timestamp> = None;
    for trade in &trades {
        let net = trade.net as f64 / SCALE as f64;
        match groups.last_mut().filter(|_| until.is_some_and(|until| trade.from.since(until) <= APART_NS)) {
            Some((sum, n)) => {
                *sum += net;
                *n += 1.0;
            }
            None => groups.push((net, 1.0)),
        }
        until = Some(until.map_or(trade.to, |until| until.max(trade.to)));
    }
    let sum = trades.iter().fold(0i128, |sum, trade| sum.saturating_add(trade.net)) as f64 / SCALE as f64;
    let n = trades.len() as u64;
    // One episode alone says nothing about the next.
    let interval = if groups.len() > 1 { bootstrap_mean(&groups, seed) } else { None };
    Results {
        n,
        episodes: groups.len() as u64,
        mean_usd: (n > 0).then(|| sum / n as f64),
        low_usd: interval.map(|(low, _)| low),
        high_usd: interval.map(|(_, high)| high),
        sum_usd: sum,
    }
}
