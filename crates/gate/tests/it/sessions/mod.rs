//! The judge's accounting against the engine over random sessions: no finding, and every figure equal to the last unit; and over
//! broken ledgers: each is found.
//!
//! `ASSAY_SESSIONS=10000` plays that many; without it a few hundred. The seeds are 0, 1, 2, ...; a failure names its seed.

mod ledger;
mod lies;
mod market;

use self::ledger::{Break, rewritten};
use self::market::Session;
use ::market::{Asset, Money, Side, Venue};
use engine::kpi::Kpis;
use engine::recover::State;
use gate::account;
use gate::accounting::{Accounts, ProblemKind};
use journal::record::Purpose;
use journal::{Body, Entry};
use std::collections::BTreeMap;

const SHORT: u64 = 150;

fn wanted() -> u64 {
    std::env::var("ASSAY_SESSIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(SHORT)
}

/// The engine's KPIs of a journal, the way the runner adds them up.
fn kpis(entries: &[Entry]) -> Kpis {
    let mut kpis = Kpis::new();
    entries.iter().for_each(|entry| kpis.on(entry));
    kpis
}

fn equal(seed: u64, session: &Session, accounts: &Accounts) {
    let kpis = kpis(&session.entries);
    let money = |units: i128| Money(units);
    assert_eq!(money(accounts.net), kpis.net_usd(), "seed {seed}: net");
    assert_eq!(money(accounts.gross_closed + accounts.gross_unwound), kpis.gross_usd(), "seed {seed}: gross");
    assert_eq!(accounts.total.map(money), kpis.pnl_usd(), "seed {seed}: PnL");
    assert_eq!(accounts.fx_effect.map(money), kpis.fx_effect_usd(), "seed {seed}: FX effect");
    assert_eq!(
        accounts.total.map(|_| money(accounts.drawdown)),
        kpis.drawdown_usd(),
        "seed {seed}: drawdown"
    );
    assert_eq!(money(accounts.transfer_cost), kpis.transfer_cost_usd(), "seed {seed}: transfers");
    assert_eq!(money(accounts.slippage), kpis.slippage_usd(), "seed {seed}: slippage");
    let trips = accounts.closes.len() as u64;
    assert_eq!((accounts.entries, trips, accounts.unwinds), (kpis.entries(), kpis.exits(), kpis.unwinds()));
    let wins = accounts.closes.iter().filter(|close| close.net > 0).count() as u64;
    assert_eq!((wins, trips - wins), (kpis.wins(), kpis.losses()), "seed {seed}");
    assert_eq!(accounts.equity_skipped, 0, "seed {seed}");
}

/// The last recorded balance of every account is the ledger's, and none is below zero; per asset nothing is created: what was
/// deposited and exchanged is there, under way, or was a fee.
fn conserved(seed: u64, session: &Session) {
    let mut balances = BTreeMap::new();
    let mut flows: BTreeMap<(Venue, Asset), i128> = BTreeMap::new();
    let mut fees: BTreeMap<(Venue, Asset), i128> = BTreeMap::new();
    let mut under_way = 0i128;
    for entry in &session.entries {
        match &entry.body {
            Body::Balance { venue, asset, balance, .. } => {
                assert!(balance.0 >= 0, "seed {seed}: record {} is below zero", entry.seq);
                balances.insert((*venue, *asset), balance.0);
            }
            Body::Deposit { venue, asset, amount } => *flows.entry((*venue, *asset)).or_insert(0) += amount.0,
            Body::Fill { venue, asset, takes, quantity, notional, fee, fee_asset, .. } => {
                let sign = if *takes == Side::Ask { 1 } else { -1 };
                *flows.entry((*venue, *asset)).or_insert(0) += sign * quantity.0;
                *flows.entry((*venue, venue.quote())).or_insert(0) -= sign * notional.0;
                *fees.entry((*venue, *fee_asset)).or_insert(0) += fee.0;
            }
            Body::Transfer { asset, from, amount, fee, .. } => {
                under_way += amount.0 - fee.0;
                *flows.entry((*from, *asset)).or_insert(0) -= amount.0 - fee.0;
                *fees.entry((*from, *asset)).or_insert(0) += fee.0;
            }
            Body::TransferArrived { asset, to, amount, .. } => {
                under_way -= amount.0;
                *flows.entry((*to, *asset)).or_insert(0) += amount.0;
            }
            _ => {}
        }
    }
    let ledger = session.core.ledger();
    assert_eq!(under_way, ledger.under_way().iter().map(|t| t.amount.0).sum::<i128>(), "seed {seed}");
    let held: BTreeMap<_, _> = ledger.balances().map(|(venue, asset, b)| ((venue, asset), b.0)).collect();
    assert_eq!(held, balances, "seed {seed}");
    for (key, balance) in held {
        let fee = fees.get(&key).copied().unwrap_or(0);
        assert_eq!(balance, flows[&key] - fee, "seed {seed}: {key:?}");
        assert_eq!(fee, ledger.fees(key.0, key.1).0, "seed {seed}: {key:?}");
    }
}

/// What the journal says is where the session stands: balances, transfers under way, results, positions.
fn comes_back(seed: u64, session: &Session) {
    let (mut folded, mut kept) = (State::new(), session.core.state());
    for entry in &session.entries {
        folded.fold(entry).unwrap();
    }
    (kept.input_seq, kept.at) = (folded.input_seq, folded.at);
    folded.comparable(session.at);
    kept.comparable(session.at);
    // Part by part: a state as a whole is no text to read.
    let parts = |state: &State| serde_json::to_value(state).unwrap().as_object().unwrap().clone();
    let (folded, kept) = (parts(&folded), parts(&kept));
    for (part, value) in &kept {
        assert_eq!(folded.get(part), Some(value), "seed {seed}: {part}");
    }
}

/// A purchase on Binance pays its fee in coin: what it asks for leaves what was decided, and a lot less would not.
fn grossed_up(seed: u64, session: &Session) {
    let mut decided = BTreeMap::new();
    let rate = i128::from(session.config.fees_centibps.binance);
    for entry in &session.entries {
        match &entry.body {
            Body::Decision { position, quantity, .. } => {
                decided.insert(*position, quantity.0);
            }
            Body::Order {
                position,
                purpose: Purpose::Entry,
                venue,
                asset,
                takes: Side::Ask,
                quantity,
                ..
            } => {
                let wanted = decided[position];
                let rest = |asked: i128| asked - (asked * rate + 999_999).div_euclid(1_000_000);
                let lot = session.lot(*asset).0;
                match venue {
                    Venue::Upbit => assert_eq!(quantity.0, wanted, "seed {seed}: {}", entry.seq),
                    Venue::Binance => {
                        assert!(rest(quantity.0) >= wanted, "seed {seed}: record {}", entry.seq);
                        assert!(rest(quantity.0 - lot) < wanted, "seed {seed}: record {}", entry.seq);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What a position leaves behind, with what earlier ones left and its exit took along, is less than a venue would take as an order: a
/// residue counts as filled, and nothing else does.
fn residues_are_small(seed: u64, session: &Session) {
    let mut held: BTreeMap<u64, [i128; 2]> = BTreeMap::new();
    let mut left: BTreeMap<Asset, [i128; 2]> = BTreeMap::new();
    let mut prices: BTreeMap<(Venue, Asset), f64> = BTreeMap::new();
    let sum = |a: [i128; 2], b: [i128; 2]| [a[0] + b[0], a[1] + b[1]];
    for entry in &session.entries {
        match &entry.body {
            Body::Fill { position, venue, asset, takes, levels, quantity, fee, fee_asset, .. } => {
                let coin = if *takes == Side::Ask { quantity.0 } else { -quantity.0 };
                held.entry(*position).or_default()[venue.index()] +=
                    coin - if fee_asset == asset { fee.0 } else { 0 };
                prices.insert((*venue, *asset), levels[0].price.to_f64());
            }
            Body::Exit { position, asset, .. } => {
                let own = held.entry(*position).or_default();
                *own = sum(*own, std::mem::take(left.entry(*asset).or_default()));
            }
            Body::Closed { position, asset, .. } | Body::Unwound { position, asset, .. } => {
                let own = held.remove(position).unwrap_or_default();
                for venue in Venue::ALL {
                    let Some(price) = prices.get(&(venue, *asset)) else { continue };
                    let worth = own[venue.index()].abs() as f64 / ::market::SCALE as f64 * price;
                    // The dearer of both venues' smallest orders and the coarser of both lots: an unmatched rest, and a matched one
                    // that only one venue would take. Prices may have moved a little since the fill.
                    let least = if venue == Venue::Upbit { 8_000.0 } else { 5.0 };
                    let bound = 2.2 * (least + session.lot(*asset).to_f64() * price);
                    assert!(worth <= bound, "seed {seed}: {} left {worth}, {bound} allowed", entry.seq);
                }
                let rest = left.entry(*asset).or_default();
                *rest = sum(*rest, own);
            }
            _ => {}
        }
    }
}

/// What happened over all sessions: a campaign in which something never occurs says nothing about it.
fn tally(entries: &[Entry], seen: &mut BTreeMap<String, u64>) {
    let mut count = |what: &str| *seen.entry(what.to_owned()).or_insert(0) += 1;
    let (mut asked, mut orders, mut first_day) = (BTreeMap::new(), 0, None);
    let mut traded = false;
    for entry in entries {
        match &entry.body {
            Body::Start { terms, .. } => first_day = terms.day_offset_s,
            Body::Order { order, quantity, .. } => {
                orders += 1;
                asked.insert(*order, *quantity);
            }
            Body::Fill { order, quantity, .. } => {
                traded = true;
                count(if *quantity < asked[order] { "partial fill" } else { "whole fill" });
            }
            Body::Rejected { .. } => count("refusal"),
            Body::Opened { direction, .. } => count(&format!("{direction:?}")),
            Body::Closed { reason, .. } => count(reason.as_str()),
            Body::Unwound { orphan, .. } => count(if *orphan { "orphan" } else { "nothing filled" }),
            Body::Transfer { .. } => count("transfer"),
            Body::TransferArrived { .. } => count("arrival"),
            Body::Deposit { .. } if traded => count("later deposit"),
            Body::End { reason, open_positions } => {
                count(&format!("end: {reason}"));
                if *open_positions > 0 {
                    count("end with open positions");
                }
            }
            _ => {}
        }
    }
    let day = |entry: &Entry| (entry.at.0 / 1_000_000_000 + first_day.unwrap()).div_euclid(86_400);
    let ends: Vec<i64> = entries
        .iter()
        .filter(|e| matches!(e.body, Body::Closed { .. } | Body::Unwound { orphan: true, .. }))
        .map(day)
        .collect();
    if ends.first() != ends.last() {
        count("results on two days");
    }
    if orders == 0 {
        count("session without an order");
    }
}

#[test]
fn random_sessions_add_up_to_the_last_unit() {
    let mut seen = BTreeMap::new();
    let sessions = wanted();
    for seed in 0..sessions {
        let session = Session::play(seed);
        let accounts = account(&session.entries).unwrap();
        assert_eq!(accounts.problems, [], "seed {seed}");
        equal(seed, &session, &accounts);
        conserved(seed, &session);
        grossed_up(seed, &session);
        residues_are_small(seed, &session);
        comes_back(seed, &session);
        tally(&session.entries, &mut seen);
    }
    eprintln!("{sessions} sessions: {seen:?}");
    for what in [
        "whole fill",
        "partial fill",
        "refusal",
        "BuyUpbit",
        "BuyBinance",
        "orphan",
        "transfer",
        "arrival",
        "later deposit",
        "results on two days",
        "emergency",
        "kill_switch",
        "shutdown",
        "time_limit",
        "take_profit",
        "stop_loss",
        "spread_reversal",
        "end: emergency_stop",
        "end with open positions",
    ] {
        assert!(seen.contains_key(what), "no {what} in {sessions} sessions: {seen:?}");
    }
}

#[test]
fn an_honest_bookkeeper_gives_the_journal_back() {
    for seed in 0..40 {
        let session = Session::play(seed);
        let again = rewritten(&session.entries, Break::Nothing);
        for (own, theirs) in session.entries.iter().zip(&again) {
            assert_eq!(own, theirs, "seed {seed}");
        }
        assert_eq!(session.entries.len(), again.len(), "seed {seed}");
    }
}

/// Broken ledgers, and in how many of the sessions at least each must differ from the honest one for the test to say something.
const BROKEN: [(Break, u64); 53] = [
    (Break::FeeOnTheWrongSide, 20),
    (Break::FeeInTheWrongAsset, 20),
    (Break::ExitFeesForgotten, 20),
    (Break::MissingFxInResults, 20),
    (Break::MissingFxInEquity, 20),
    (Break::SwappedLegs, 20),
    (Break::SwappedSides, 20),
    (Break::LostDustInResults, 20),
    (Break::LostDustInBalances, 20),
    (Break::DoubleBookedFill, 20),
    (Break::DoubleBookedBalance, 20),
    (Break::PartialIsWhole, 10),
    (Break::NotionalRoundedForUs, 20),
    (Break::FeeRoundedDown, 20),
    (Break::DollarsRoundedUp, 20),
    (Break::DustRoundedUp, 20),
    (Break::DepositIsProfit, 10),
    (Break::PeakIsTheLastPoint, 20),
    (Break::DrawdownIsTheLastFall, 20),
    (Break::StaleMarks, 20),
    (Break::StaleMarksShown, 20),
    (Break::WrongDay, 5),
    (Break::NoDay, 5),
    (Break::TransferIsFree, 5),
    (Break::TransferCostNotShown, 5),
    (Break::TransitIsLost, 5),
    (Break::TransitCountsTwice, 5),
    (Break::FxEffectForgotten, 20),
    (Break::UnwindsForgotten, 10),
    (Break::OverdraftAllowed, 20),
    (Break::SlippageForgotten, 20),
    (Break::OpenedAtAnotherTime, 20),
    (Break::FilledBeforeArrival, 20),
    (Break::ArrivesBeforeItWasSent, 20),
    (Break::FilledBeyondItsLimit, 20),
    (Break::LevelListedTwice, 20),
    (Break::TwoOrdersTakeOneLevel, 20),
    (Break::LevelGivenBack, 20),
    (Break::LevelsOutOfOrder, 10),
    (Break::ClosedForAnotherReason, 20),
    (Break::DecidedGapMadeUp, 20),
    (Break::DecidedEdgeMadeUp, 20),
    (Break::OpenedWithLess, 20),
    (Break::LegOfAnotherSize, 20),
    (Break::FilledGapMadeUp, 20),
    (Break::PromiseLowered, 20),
    (Break::FilledEdgeMadeUp, 20),
    (Break::PromisedDollarsMadeUp, 20),
    (Break::FilledDollarsMadeUp, 20),
    (Break::TripPromiseLowered, 20),
    (Break::TripEdgeMadeUp, 20),
    (Break::SlippageBpsMadeUp, 20),
    (Break::EdgeIsNoNumber, 20),
];

/// Lies that make paper kinder than the market: they must be found as such, not by an amount that happens not to fit.
const KINDER: [Break; 7] = [
    Break::FilledBeforeArrival,
    Break::ArrivesBeforeItWasSent,
    Break::FilledBeyondItsLimit,
    Break::LevelListedTwice,
    Break::TwoOrdersTakeOneLevel,
    Break::LevelGivenBack,
    Break::LevelsOutOfOrder,
];

#[test]
fn every_broken_ledger_is_found_in_every_session_that_it_changes() {
    let mut changed: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for seed in 0..60 {
        let session = Session::play(seed);
        for (broken, _) in BROKEN {
            let journal = rewritten(&session.entries, broken);
            if journal == session.entries {
                continue;
            }
            let problems = account(&journal).unwrap().problems;
            let found = match KINDER.contains(&broken) {
                true => problems.iter().any(|problem| problem.kind == ProblemKind::Kinder),
                false => !problems.is_empty(),
            };
            let (differs, caught) = changed.entry(format!("{broken:?}")).or_default();
            *differs += 1;
            *caught += u64::from(found);
            let must = match broken {
                // Small deposits are no error, spending more is.
                Break::OverdraftAllowed => journal
                    .iter()
                    .any(|e| matches!(e.body, Body::Balance { balance, .. } if balance.is_negative())),
                // Old marks that are shown as new are held against the fills and touches that the journal has.
                Break::StaleMarksShown => found,
                _ => true,
            };
            assert_eq!(found, must, "seed {seed}: {broken:?}");
        }
    }
    eprintln!("(sessions changed, found): {changed:?}");
    for (broken, least) in BROKEN {
        let (differs, caught) = changed.get(&format!("{broken:?}")).copied().unwrap_or_default();
        assert!(differs >= least && caught >= least, "{broken:?} changed {differs}, {caught} found");
    }
}

/// M2 asks for episodes: a record that claims another opening must not make more of them.
#[test]
fn a_result_that_lies_about_its_opening_makes_no_episode() {
    let mut told = 0;
    for seed in 0..40 {
        let session = Session::play(seed);
        let honest = account(&session.entries).unwrap();
        let lied = account(&rewritten(&session.entries, Break::OpenedAtAnotherTime)).unwrap();
        assert_eq!(lied.episodes(), honest.episodes(), "seed {seed}");
        told += u64::from(honest.closes.len() > 1 && honest.episodes().len() < honest.closes.len());
    }
    assert!(told > 5, "{told} sessions with several trades in an episode");
}
