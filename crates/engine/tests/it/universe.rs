//! The universe in mid-run: refreshes, halts, delistings, warnings.

use crate::driver::{Driver, member};
use engine::recover::State;
use engine::universe::{Found, turnover};
use engine::{Config, Effect, replay};
use journal::Body;
use journal::record::{ExitReason, UniverseRefresh};
use market::{Asset, Halt, HaltWhy, Member, Quantity, Venue};
use proptest::prelude::*;
use recording::{Input, LeftOut};
use std::collections::BTreeSet;

const NAMES: [&str; 10] = ["AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH", "III", "JJJ"];

fn asset(name: &str) -> Asset {
    Asset::new(name).unwrap()
}

fn refresh(d: &mut Driver, ranked: &[&str], out: &[(&str, bool)]) {
    let out = out
        .iter()
        .map(|(name, fits)| LeftOut { asset: asset(name), fits: *fits, why: format!("{name} is out") })
        .collect();
    d.input(Input::Refresh { asked: 10, ranked: ranked.iter().map(|name| member(name)).collect(), out });
}

fn halt(d: &mut Driver, halted: &[(Venue, &str, HaltWhy)]) {
    let halted =
        halted.iter().map(|(venue, name, why)| Halt { venue: *venue, asset: asset(name), why: *why });
    d.input(Input::Halts { halted: halted.collect() });
}

/// The driver shows books of one more symbol.
fn known(d: &mut Driver, name: &'static str) {
    d.names.push(name);
    d.ids.push(100);
    d.touch.push(None);
    d.premium.push(0.0);
    d.size.push(1_000.0);
}

fn refreshes(d: &Driver) -> Vec<UniverseRefresh> {
    d.find(|b| match b {
        Body::UniverseRefresh(refresh) => Some((**refresh).clone()),
        _ => None,
    })
}

fn members(d: &Driver) -> Vec<String> {
    let members = |b: &Body| match b {
        Body::Universe { members, .. } => Some(members.iter().map(|m| m.asset.to_string()).collect()),
        _ => None,
    };
    d.find(members).pop().unwrap()
}

fn deposits(d: &Driver, name: &str) -> usize {
    let of = |b: &Body| matches!(b, Body::Deposit { asset, .. } if asset.as_str() == name).then_some(());
    d.find(of).len()
}

#[test]
fn a_refresh_changes_one_of_ten_and_the_newcomer_begins_as_at_a_start() {
    let mut d = Driver::new(&NAMES, &Config { topn: 10, ..Config::default() });
    // Three are beyond, three are better: one seat may change, and the lowest makes place for the best.
    refresh(
        &mut d,
        &["NEW", "AAA", "BBB", "TWO", "CCC", "DDD", "EEE", "FFF", "GGG", "SIX"],
        &[("HHH", true), ("III", true), ("JJJ", true)],
    );
    let found = refreshes(&d).pop().unwrap();
    assert_eq!(
        (found.limit, found.joined, found.waiting),
        (1, vec![asset("NEW")], vec![asset("TWO"), asset("SIX")])
    );
    assert_eq!(found.left.iter().map(|r| r.asset.as_str()).collect::<Vec<_>>(), ["JJJ"]);
    assert_eq!(found.stayed.len(), 2);
    assert_eq!(members(&d), ["NEW", "AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH", "III"]);
    let watch = d.effects.iter().find_map(|e| match e {
        Effect::Watch { joined, left } => Some((joined[0].asset, left[0].asset)),
        _ => None,
    });
    assert_eq!(watch, Some((asset("NEW"), asset("JJJ"))));
    // Its inventory is a journalled deposit, its level is seeded, and it is traded.
    known(&mut d, "NEW");
    let cash = |d: &Driver| Venue::ALL.map(|v| d.core.ledger().deposited(v, v.quote()));
    let before = cash(&d);
    d.candles();
    d.idle(3);
    assert_eq!(deposits(&d, "NEW"), 2);
    assert_eq!(cash(&d)[1], before[1], "the cash was deposited with the refresh");
    let seeded =
        |b: &Body| matches!(b, Body::BreakEven { asset, .. } if asset.as_str() == "NEW").then_some(());
    assert_eq!(d.find(seeded).len(), 1);
    let i = d.names.iter().position(|n| *n == "NEW").unwrap();
    d.premium[i] = 100.0;
    d.idle(2);
    assert_eq!(d.decisions(), 1);
    // The last messages of the one that left move nothing, and ask for nothing.
    assert_eq!(d.core.touch(asset("JJJ"), Venue::Binance), None);
    assert_eq!(d.snapshots_open(), 0);
    // The log gives the same journal again.
    let mut again = Vec::new();
    replay(d.records.iter().cloned(), |entry| again.push(entry)).unwrap();
    assert_eq!(again, d.entries);
}

#[test]
fn a_member_with_a_position_stays_and_one_that_is_unfit_goes_first() {
    let mut d = Driver::new(&NAMES, &Config { topn: 10, time_limit_ms: 10_000_000, ..Config::default() });
    d.premium[9] = 100.0;
    d.idle(2);
    assert_eq!((d.decisions(), d.core.view().open_positions), (1, 1));
    let ranked = ["NEW", "AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG"];
    refresh(&mut d, &ranked, &[("HHH", true), ("III", false), ("JJJ", false)]);
    let found = refreshes(&d).pop().unwrap();
    assert_eq!(found.left.iter().map(|r| r.asset.as_str()).collect::<Vec<_>>(), ["III"]);
    let stayed: Vec<_> = found.stayed.iter().map(|r| (r.asset.as_str(), r.why.as_str())).collect();
    assert_eq!(
        stayed,
        [
            ("HHH", "HHH is out; it stays: enough have changed"),
            ("JJJ", "JJJ is out; it stays: it holds a position")
        ]
    );
    let fewer = d.find(|b| matches!(b, Body::Note { text, .. } if text.contains("8 of 10")).then_some(()));
    assert_eq!(fewer.len(), 1, "fewer than asked for is said");
    assert_eq!(members(&d).len(), 10);
    // The position lives on with its books, and closes as usual.
    d.premium[9] = -60.0;
    d.idle(3);
    assert_eq!(d.closed().len(), 1);
}

#[test]
fn a_refreshed_membership_comes_back_after_a_kill() {
    let mut d = Driver::new(&NAMES, &Config { topn: 10, ..Config::default() });
    refresh(
        &mut d,
        &["NEW", "AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH", "III"],
        &[("JJJ", true)],
    );
    halt(&mut d, &[(Venue::Binance, "CCC", HaltWhy::Halted), (Venue::Upbit, "DDD", HaltWhy::Warning)]);
    let mut state = State::new();
    d.entries.iter().for_each(|entry| state.fold(entry).unwrap());
    let kept: Vec<&str> = state.members.iter().map(|i| state.symbols[*i].member.asset.as_str()).collect();
    assert_eq!(kept, ["NEW", "AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH", "III"]);
    let back: Vec<Member> = state.members.iter().map(|i| state.symbols[*i].member.clone()).collect();
    known(&mut d, "NEW");
    d.go_on(state);
    d.input(Input::ConnUp { conn: 1, venue: Venue::Upbit });
    d.input(Input::ConnUp { conn: 2, venue: Venue::Binance });
    d.input(Input::Universe { asked: 10, members: back });
    d.candles();
    d.idle(3);
    assert_eq!(d.core.touch(asset("CCC"), Venue::Binance), None, "it is still halted");
    assert!(d.core.touch(asset("CCC"), Venue::Upbit).is_some());
    assert!(d.core.touch(asset("NEW"), Venue::Binance).is_some());
    assert_eq!(deposits(&d, "NEW"), 2);
    let i = d.names.iter().position(|n| *n == "DDD").unwrap();
    d.premium[i] = 100.0;
    d.idle(2);
    assert_eq!(d.decisions(), 0, "it is still under its warning");
}

#[test]
fn a_warning_takes_no_entries_and_closes_the_position() {
    let config = Config { entry_pause_ms: 2_000, ..Config::default() };
    let mut d = Driver::new(&["AAA", "BBB"], &config);
    d.premium[0] = 100.0;
    d.idle(1);
    assert_eq!((d.decisions(), d.core.view().open_positions), (1, 1));
    halt(&mut d, &[(Venue::Upbit, "AAA", HaltWhy::Warning)]);
    d.idle(2);
    assert_eq!(d.closed().iter().map(|(reason, ..)| *reason).collect::<Vec<_>>(), [ExitReason::Halt]);
    d.idle(2);
    assert_eq!(d.decisions(), 1, "no entry, however wide the gap");
    assert!(d.core.view().funnel.by_name().contains_key("suppressed:halted"));
    assert!(d.alerts().contains(&"SYMBOL-DEGRADED".to_owned()));
    halt(&mut d, &[]);
    d.idle(2);
    assert!(d.decisions() > 1, "the warning is over");
}

#[test]
fn a_halted_market_freezes_the_position_until_it_trades_again() {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    d.premium[0] = 100.0;
    d.idle(2);
    assert_eq!(d.core.view().open_positions, 1);
    for why in [HaltWhy::Halted, HaltWhy::Delisted] {
        halt(&mut d, &[(Venue::Binance, "AAA", why)]);
        // Its frames go on for a while: what they show is no market.
        let orders = d.find(|b| matches!(b, Body::Order { .. }).then_some(())).len();
        d.idle(200);
        assert_eq!(d.find(|b| matches!(b, Body::Order { .. }).then_some(())).len(), orders);
        assert_eq!((d.closed().len(), d.core.view().open_positions), (0, 1));
        assert!(d.core.touch(asset("BBB"), Venue::Binance).is_some(), "the others stream on");
    }
    assert!(d.core.view().pnl_usd.is_some(), "it is marked");
    halt(&mut d, &[]);
    d.idle(2);
    assert_eq!(d.closed().iter().map(|(reason, ..)| *reason).collect::<Vec<_>>(), [ExitReason::Halt]);
    let said: Vec<_> = d.find(|b| match b {
        Body::Halt(event) => Some((event.why, event.positions)),
        _ => None,
    });
    assert_eq!(said, [(Some(HaltWhy::Halted), 1), (Some(HaltWhy::Delisted), 1), (None, 1)]);
}

#[test]
fn a_position_that_stays_frozen_is_reported_open_at_the_end() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    d.premium[0] = 100.0;
    d.idle(2);
    halt(&mut d, &[(Venue::Upbit, "AAA", HaltWhy::Delisted)]);
    d.idle(2);
    d.input(Input::Shutdown);
    d.idle(8);
    assert_eq!(d.end(), Some(("shutdown".to_owned(), 1)));
}

#[test]
fn a_halted_member_is_replaced_first_and_then_nobody_asks_about_it() {
    let mut d = Driver::new(&NAMES, &Config { topn: 10, ..Config::default() });
    halt(&mut d, &[(Venue::Binance, "BBB", HaltWhy::Halted)]);
    d.idle(2);
    let nine = ["AAA", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH", "III", "JJJ", "NEW"];
    refresh(&mut d, &nine, &[("BBB", false)]);
    assert!(!members(&d).contains(&"BBB".to_owned()) && members(&d).contains(&"NEW".to_owned()));
    halt(&mut d, &[]);
    halt(&mut d, &[(Venue::Binance, "BBB", HaltWhy::Delisted)]);
    let said = d.find(|b| matches!(b, Body::Halt(_)).then_some(()));
    assert_eq!(said.len(), 1, "what a venue says of one that left is not of interest");
}

#[test]
fn who_leaves_and_comes_back_keeps_its_coin() {
    let mut d = Driver::new(&NAMES, &Config { topn: 10, ..Config::default() });
    let nine = ["AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH", "III"];
    let of = |d: &Driver| Venue::ALL.map(|v| d.core.ledger().balance(v, asset("JJJ")));
    let before = of(&d);
    refresh(&mut d, &nine, &[("JJJ", false)]);
    assert_eq!(members(&d).len(), 9, "never padded");
    d.idle(2);
    refresh(&mut d, &[&nine[..], &["JJJ"]].concat(), &[]);
    assert_eq!(members(&d).len(), 10);
    d.candles();
    d.idle(3);
    assert_eq!(of(&d), before);
    assert_eq!(deposits(&d, "JJJ"), 2, "no second deposit");
    assert!(before.iter().all(|q| *q > Quantity::ZERO));
    assert!(d.core.touch(asset("JJJ"), Venue::Binance).is_some());
}

fn pool(n: usize) -> Vec<Member> {
    (0..n).map(|i| member(&format!("X{i}"))).collect()
}

proptest! {
    #[test]
    fn a_turnover_keeps_its_bounds(
        asked in 1_u32..60,
        now in proptest::collection::btree_set(0_usize..80, 0..60),
        ranked in proptest::sample::subsequence((0..80).collect::<Vec<usize>>(), 0..60),
        held in proptest::collection::btree_set(0_usize..80, 0..20),
        fits in proptest::collection::vec(any::<bool>(), 80),
        change_pct in 0_u32..30,
    ) {
        let pool = pool(80);
        let current: Vec<Member> = now.iter().take(asked as usize).map(|i| pool[*i].clone()).collect();
        let ranked: Vec<Member> = ranked.iter().rev().take(asked as usize).map(|i| pool[*i].clone()).collect();
        let held: BTreeSet<Asset> = held.iter().map(|i| pool[*i].asset).collect();
        let out: Vec<LeftOut> = current
            .iter()
            .filter(|m| !ranked.contains(m))
            .zip(&fits)
            .map(|(m, fits)| LeftOut { asset: m.asset, fits: *fits, why: String::new() })
            .collect();
        let found = Found { asked, ranked: &ranked, out: &out, change_pct };
        let t = turnover(&current, &held, found);
        let limit = (asked * change_pct / 100) as usize;
        prop_assert!(t.joined.len() <= limit && t.left.len() <= limit, "{t:?}");
        prop_assert!(t.members.len() <= asked as usize);
        prop_assert!(t.left.iter().all(|(asset, _)| !held.contains(asset)));
        prop_assert!(t.joined.iter().all(|m| ranked.contains(m) && !current.contains(m)));
        prop_assert_eq!(t.members.len(), current.len() + t.joined.len() - t.left.len());
        let unique: BTreeSet<Asset> = t.members.iter().map(|m| m.asset).collect();
        prop_assert_eq!(unique.len(), t.members.len());
        // Nobody fit leaves without somebody better in their place.
        let fit_left = t.left.iter().filter(|(a, _)| out.iter().any(|o| o.asset == *a && o.fits)).count();
        prop_assert!(fit_left <= t.joined.len());
    }
}
