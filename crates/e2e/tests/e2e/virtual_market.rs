//! The engine against the synthetic market in virtual time: the exchange's own frames through the engine's own parser, no
//! socket, no clock. What takes a minute live takes a fraction of a second here, so that seeds can be counted in dozens.

use crate::harness;
use assay::generate::{InMemory, VirtualMarket};
use engine::Config;
use exchange::{MarketKind, PlantedGap};
use journal::record::{Body, Direction, ExitReason};
use journal::{Entry, file};
use market::{Asset, Money};
use std::collections::BTreeSet;
use std::time::Duration;

/// Time in which the level is seeded and every book comes up.
const WARM_UP: Duration = Duration::from_secs(1);

/// The rehearsal's engine settings.
fn config(topn: usize) -> Config {
    Config {
        topn: topn as u32,
        time_limit_ms: 5_000,
        entry_pause_ms: 1_000,
        cooldown_route_ms: 5_000,
        cooldown_cross_ms: 15_000,
        ..Config::default()
    }
}

struct Session(VirtualMarket<InMemory>);

impl Session {
    fn start(kind: MarketKind, seed: u64, topn: usize, planted: &[PlantedGap]) -> Self {
        let run_id = format!("virtual-{seed}");
        let sink = InMemory::default();
        let started =
            VirtualMarket::synthetic(topn, kind, seed, planted, &run_id, &config(topn), sink).unwrap();
        Self(started)
    }

    /// Runs for so long and ends in order.
    fn run(mut self, seconds: u64) -> Vec<Entry> {
        self.0.run(WARM_UP + Duration::from_secs(seconds), |_| {}).unwrap();
        self.0.end().unwrap();
        self.0.into_sink().entries
    }
}

fn closes(entries: &[Entry]) -> Vec<(Asset, Direction, ExitReason, Money)> {
    entries
        .iter()
        .filter_map(|entry| match entry.body {
            Body::Closed { asset, direction, reason, net_usd, .. } => {
                Some((asset, direction, reason, net_usd))
            }
            _ => None,
        })
        .collect()
}

/// How often the engine looked, and how often it sent orders.
fn looked_and_sent(entries: &[Entry]) -> (u64, usize) {
    let looked = entries.iter().filter_map(|entry| match &entry.body {
        Body::Funnel { asset: None, counts } => counts.get("evaluated"),
        _ => None,
    });
    (looked.sum(), entries.iter().filter(|entry| matches!(entry.body, Body::Order { .. })).count())
}

#[test]
fn a_market_without_edge_never_trades() {
    harness::gives_way();
    for seed in 0..20 {
        let entries = Session::start(MarketKind::Calm, seed, 30, &[]).run(60);
        let (looked, sent) = looked_and_sent(&entries);
        assert!(
            looked > 10_000,
            "seed {seed}: only {looked} evaluations: the market never reached the engine"
        );
        assert_eq!(sent, 0, "seed {seed}: orders on a market that offers nothing");
    }
}

#[test]
fn a_planted_gap_is_traded_with_a_profit_in_both_directions() {
    harness::gives_way();
    for (bps, direction) in [(80.0, Direction::BuyBinance), (-80.0, Direction::BuyUpbit)] {
        let gap = PlantedGap { asset: None, bps, at: Duration::from_secs(6), lasts: Duration::from_secs(3) };
        let entries = Session::start(MarketKind::Calm, 3, 20, std::slice::from_ref(&gap)).run(20);
        let closed = closes(&entries);
        assert!(!closed.is_empty(), "{bps} bps: never traded");
        for (asset, went, reason, net) in closed {
            assert_eq!((went, reason), (direction, ExitReason::TakeProfit), "{asset} at {bps} bps");
            assert!(net > Money::ZERO, "{asset} at {bps} bps: {net} USD");
        }
    }
}

#[test]
fn an_edge_market_is_traded_and_every_kind_of_exit_occurs() {
    harness::gives_way();
    let mut reasons = BTreeSet::new();
    for seed in 0..5 {
        let entries = Session::start(MarketKind::Edge, seed, 50, &[]).run(60);
        let closed = closes(&entries);
        let by_market = closed.iter().filter(|close| close.2 != ExitReason::Shutdown).count();
        assert!(by_market >= 10, "seed {seed}: {by_market} round trips");
        reasons.extend(closed.into_iter().map(|close| close.2));
    }
    for reason in
        [ExitReason::TakeProfit, ExitReason::StopLoss, ExitReason::TimeLimit, ExitReason::SpreadReversal]
    {
        assert!(reasons.contains(&reason), "{reason:?} never occurred in {reasons:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_journal() {
    harness::gives_way();
    let journal = || {
        let mut bytes = Vec::new();
        for entry in Session::start(MarketKind::Edge, 11, 30, &[]).run(20) {
            file::encode(&entry, &mut bytes);
        }
        bytes
    };
    assert_eq!(journal(), journal());
}

/// The judge's own accounting over the engine's journals: the two share no code beyond the exact numbers.
#[test]
fn the_judge_adds_up_to_the_same() {
    harness::gives_way();
    for seed in 0..5 {
        let entries = Session::start(MarketKind::Edge, 100 + seed, 50, &[]).run(60);
        let accounts = gate::account(&entries).unwrap();
        assert!(accounts.problems.is_empty(), "seed {seed}: {:?}", accounts.problems);
    }
}
