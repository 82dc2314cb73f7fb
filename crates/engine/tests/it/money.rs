//! Money of a session: later deposits, transfers between the venues, the FX effect, day boundaries.

use crate::driver::{Driver, START, member};
use engine::{Config, PerVenue, Rebalance};
use journal::Body;
use journal::record::ExitReason;
use market::{Asset, Money, Quantity, SCALE, Venue};
use recording::Input;

/// Midnight UTC and midnight in Seoul after `START`.
const MIDNIGHT: i64 = START - 7_200 + 86_400;
const MIDNIGHT_KST: i64 = START - 7_200 + 15 * 3_600;

fn asset(name: &str) -> Asset {
    Asset::new(name).unwrap()
}

fn calm() -> Config {
    Config { min_edge_bps: 1e6, gross_gap_max_bps: 1e6, ..Config::default() }
}

/// PnL, FX effect and transfers' cost of the last equity point, USD.
fn last_point(d: &Driver) -> (f64, f64, f64) {
    let points = d.find(|b| match b {
        Body::Equity { pnl_usd, fx_effect_usd, transfer_cost_usd, .. } => {
            Some((pnl_usd.to_f64(), fx_effect_usd.unwrap().to_f64(), transfer_cost_usd.unwrap().to_f64()))
        }
        _ => None,
    });
    *points.last().unwrap()
}

#[test]
fn a_symbol_that_joins_later_brings_a_journalled_deposit_and_no_profit() {
    let mut d = Driver::new(&["AAA", "BBB"], &calm());
    let before = d.find(|b| matches!(b, Body::Deposit { .. }).then_some(())).len();
    d.names.push("CCC");
    d.ids.push(100);
    d.touch.push(None);
    d.premium.push(0.0);
    d.size.push(1_000.0);
    let members = d.names.iter().map(|n| member(n)).collect();
    d.input(Input::Universe { asked: 3, members });
    d.idle(3);
    let brought = d.find(|b| match b {
        Body::Deposit { venue, asset, amount } => Some((*venue, *asset, *amount)),
        _ => None,
    });
    let ccc = asset("CCC");
    let brought: Vec<_> = brought[before..].iter().map(|(venue, asset, _)| (*venue, *asset)).collect();
    for expected in [
        (Venue::Binance, Asset::USDT),
        (Venue::Upbit, Asset::KRW),
        (Venue::Upbit, ccc),
        (Venue::Binance, ccc),
    ] {
        assert!(brought.contains(&expected), "{expected:?} is missing: {brought:?}");
    }
    assert_eq!(brought.len(), 4);
    assert_eq!(d.core.ledger().balance(Venue::Binance, ccc), Quantity::from_int(100));
    assert_eq!(d.core.view().pnl_usd, Some(Money::ZERO));
}

#[test]
fn coin_is_moved_with_its_fee_and_its_delay() {
    let config = Config {
        rebalance_at: 0.01,
        transfer_delay_ms: 5_000,
        withdrawal_fees: [(asset("AAA"), PerVenue { upbit: Quantity::ZERO, binance: Quantity(SCALE / 10) })]
            .into_iter()
            .collect(),
        ..calm()
    };
    // 3 % dearer on Upbit at the start: the same worth is 97.09 coins there and 100 on Binance, an imbalance of 1.5 %.
    let mut d = Driver::bare(&["AAA", "BBB"], &config);
    d.premium[0] = 300.0;
    d.up();
    d.both(0);
    d.both(1);
    d.fx();
    let coin = asset("AAA");
    let held = |d: &Driver| Venue::ALL.map(|venue| d.core.ledger().balance(venue, coin));
    let [upbit, binance] = held(&d);
    assert_eq!([upbit, binance], ["97.08", "100"].map(|q| Quantity::parse(q).unwrap()));
    d.idle(1);
    let sent = d.find(|b| match b {
        Body::Transfer { asset, from, amount, fee, fee_usd, .. } => {
            Some((*asset, *from, *amount, *fee, *fee_usd))
        }
        _ => None,
    });
    let [(moved, Venue::Binance, amount, fee, fee_usd)] = sent[..] else { panic!("{sent:?}") };
    assert_eq!((moved, fee), (coin, Quantity(SCALE / 10)));
    // Half of 2.92, in lots of 0.01.
    assert_eq!((amount, fee_usd), (Quantity::parse("1.46").unwrap(), Money::from_int(1)));
    assert_eq!(held(&d), [upbit, Quantity(binance.0 - amount.0)]);
    let (pnl, fx_effect, cost) = last_point(&d);
    assert_eq!((cost, fx_effect), (fee_usd.to_f64(), 0.0));
    assert!((pnl + cost).abs() < 1e-6, "the fee and nothing else: {pnl}");
    d.idle(3);
    assert_eq!(held(&d)[0], upbit, "it is still under way");
    d.idle(2);
    assert_eq!(held(&d)[0], Quantity(upbit.0 + amount.0 - fee.0));
    assert_eq!(d.find(|b| matches!(b, Body::TransferArrived { .. }).then_some(())).len(), 1);
    d.idle(10);
    assert_eq!(d.find(|b| matches!(b, Body::Transfer { .. }).then_some(())).len(), 1, "it is even now");
}

#[test]
fn a_transfer_that_its_fee_would_eat_is_not_made_and_said() {
    let config = Config { rebalance_at: 0.01, withdrawal_fee_usd: Money::from_int(50), ..calm() };
    let mut d = Driver::bare(&["AAA"], &config);
    d.premium[0] = 300.0;
    d.up();
    d.both(0);
    d.fx();
    d.idle(100);
    assert!(!d.alerts().contains(&"SYNC-REBALANCE-FAILED".to_owned()));
    d.idle(30);
    let failed = d.alerts().iter().filter(|id| *id == "SYNC-REBALANCE-FAILED").count();
    assert_eq!((failed, d.find(|b| matches!(b, Body::Transfer { .. }).then_some(())).len()), (1, 0));
}

#[test]
fn an_open_position_is_no_reason_to_move_coin() {
    for (rebalance, moved) in [(Rebalance::Transfer, 0), (Rebalance::Off, 0)] {
        let config = Config { rebalance, rebalance_at: 0.05, ..Config::default() };
        let mut d = Driver::new(&["AAA"], &config);
        d.premium[0] = 60.0;
        d.idle(4);
        // One leg of five has changed sides: 6 and 4 are 20 % off.
        let opened = d.find(|b| matches!(b, Body::Opened { .. }).then_some(())).len();
        assert_eq!(opened, 1);
        let transfers = d.find(|b| matches!(b, Body::Transfer { .. }).then_some(())).len();
        assert_eq!(transfers, moved, "{rebalance:?}");
    }
}

#[test]
fn the_rates_moves_stand_apart_from_trading() {
    let config =
        Config { stop_loss_bps: 1e6, reversal_bps: 1e6, take_profit_bps: 100_000, ..Config::default() };
    let mut d = Driver::new(&["AAA"], &config);
    d.premium[0] = 80.0;
    d.idle(2);
    assert_eq!(d.decisions(), 1);
    let (before, effect, _) = last_point(&d);
    assert!(effect.abs() < 0.01, "{effect}");
    // The won falls by 5 %; the coin's price in won follows, so that its premium stays.
    d.fx = 1_470.0;
    d.premium[0] = 80.0 + 500.0 * 1.008;
    d.idle(20);
    let (pnl, effect, _) = last_point(&d);
    // Some 201.5 USD of won from the sale lose 1 - 1400 / 1470.
    let sold: f64 = d
        .find(|b| match b {
            Body::Balance { asset, change, order: 1.., .. } if *asset == Asset::KRW => Some(change.to_f64()),
            _ => None,
        })
        .iter()
        .sum();
    let expected = sold / 1_470.0 - sold / 1_400.0;
    assert!(expected < -9.0 && (effect - expected).abs() < 0.05, "{effect} against {expected}");
    // The coin costs as many USD as before, so that trading made what it had made.
    assert!(((pnl - effect) - before).abs() < 0.01, "{pnl} {effect} {before}");
}

/// A losing trip just before and one just after a boundary.
fn over(start: i64, config: &Config) -> Vec<(i64, f64)> {
    let mut d = Driver::from(start, &["AAA"], config);
    for _ in 0..2 {
        d.premium[0] = 80.0;
        d.idle(1);
        // Far against the position: the stop loss takes it out.
        d.premium[0] = 140.0;
        d.idle(2);
        d.premium[0] = 0.0;
        d.idle(15);
    }
    assert!(d.closed().iter().all(|c| c.0 == ExitReason::StopLoss) && d.closed().len() == 2);
    let net: f64 = d.closed().iter().map(|c| c.2).sum();
    let daily = d
        .entries
        .iter()
        .filter_map(|e| match &e.body {
            Body::Figures { daily_net_usd, .. } => {
                Some((e.at.0.div_euclid(1_000_000_000), daily_net_usd.to_f64()))
            }
            _ => None,
        })
        .collect::<Vec<_>>();
    assert!((d.core.view().net_usd.to_f64() - net).abs() < 1e-9, "the result of the run knows no days");
    daily
}

#[test]
fn a_day_ends_at_midnight_in_its_own_place() {
    let fast = |day_offset| Config { entry_pause_ms: 10_000, day_offset, ..Config::default() };
    for (day_offset, midnight, elsewhere) in
        [(engine::DayOffset::Utc, MIDNIGHT, MIDNIGHT_KST), (engine::DayOffset::Kst, MIDNIGHT_KST, MIDNIGHT)]
    {
        let daily = over(midnight - 12, &fast(day_offset));
        let at = |second: i64| daily.iter().rev().find(|(s, _)| *s == second).unwrap().1;
        let first = at(midnight - 1);
        assert!(first < -0.3, "{first}");
        assert_eq!(at(midnight), 0.0, "{day_offset:?}: from its first instant on");
        let second = daily.last().unwrap().1;
        assert!(second < -0.3 && second > 2.0 * first, "{second}");
        // At the other place's midnight nothing begins anew.
        let daily = over(elsewhere - 12, &fast(day_offset));
        let (before, after) = (first, daily.last().unwrap().1);
        assert!(after < 1.5 * before, "{day_offset:?}: {before} and {after}");
    }
}
