//! Planted gaps with fees, latency and several levels: the trades and the results as worked out by hand, to the last unit.
//!
//! The rate is 1 400 KRW per USDT throughout; fees are 5 bps in KRW on Upbit and 10 bps in the received asset on Binance;
//! orders take 60 ms to Upbit and 90 ms to Binance, and the book that they meet is seen as long after. A leg is 20 coins (200 USD at a mid of 10.00). A purchase on Binance
//! loses 10 bps in coin, so that 20 coins are ordered as 20 / 0.999 = 20.02002..., up to the lot: 20.03; the fee is
//! 0.02003, and 0.00997 coins stay, which count at the last fill's price there.

use crate::exact::{
    BINANCE_ASKS, BINANCE_BIDS, Filled, Levels, Market, UPBIT, UPBIT_ASKS, UPBIT_BIDS, coin, usd,
};
use engine::Config;
use journal::record::{Direction, ExitReason, Purpose};
use market::{Money, Quantity, Side, Venue};
use recording::Input;

/// A fill without its instant.
#[expect(
    clippy::too_many_arguments,
    reason = "a fill has that many figures; a table of them reads best in one line each"
)]
fn fill(
    venue: Venue,
    purpose: Purpose,
    takes: Side,
    quantity: &str,
    notional: &str,
    fee: &str,
    levels: usize,
    at_ms: i64,
) -> Filled {
    let (quantity, notional, fee) = (coin(quantity), usd(notional), coin(fee));
    Filled { at_ms, venue, purpose, takes, quantity, notional, fee, levels }
}

/// Milliseconds since the start of the market.
fn now(m: &Market) -> i64 {
    m.at.as_millis() - crate::driver::START * 1_000
}

fn decided(m: &Market, direction: Direction, gross: &str) {
    let all = m.decided();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].0, all[0].1, all[0].2), (direction, coin("20"), usd(gross)));
}

/// Frames of the same books every 50 ms.
fn hold(m: &mut Market, ms: i64, upbit: [Levels<'_>; 2], binance: [Levels<'_>; 2]) {
    for _ in 0..ms / 50 {
        m.wait_ms(50);
        m.fx(1_400);
        m.binance(0, binance[0], binance[1]);
        m.upbit(0, upbit[0], upbit[1]);
    }
}

/// Buy on Binance, sell on Upbit; every fill is worse than decided, because the books move on the way.
///
/// Decided: buy 12 x 10.01 + 8 x 10.02 = 200.28; sell 5 x 14 280 + 15 x 14 266 = 285 390 KRW = 203.85; +3.57.
/// Filled: sell 8 x 14 266 + 12 x 14 252 = 285 152 KRW, fee 142.576: 285 009.424 KRW = 203.57816 USD.
///         buy 8 x 10.02 + 12.03 x 10.03 = 80.16 + 120.6609 = 200.8209, fee 0.02003 coins (0.2008209 USD).
/// Way out decided: buy 7 x 14 014 + 13 x 14 028 = 280 462 KRW = 200.33; sell 9 x 9.99 + 11 x 9.98 = 199.69; -0.64.
/// Filled: buy 280 462 KRW, fee 140.231: 280 602.231 KRW = 200.430165 USD; sell 20 x 9.98 = 199.60, fee 0.1996.
/// Left: 0.00997 coins at 9.98 = 0.0995006.
/// Net = 203.57816 - 200.8209 - 200.430165 + 199.60 - 0.1996 + 0.0995006 = 1.8269956
/// Fees = 0.10184 + 0.2008209 + 0.100165 + 0.1996 = 0.6024259; gross = 2.4294215
/// Slippage = 3.57 - 0.64 - 2.4294215 = 0.5005785
#[test]
fn buy_binance_over_several_levels_of_moving_books() {
    let mut m = Market::calm(&["AAA"], &Config::default());
    m.wait_ms(250);
    m.binance(0, BINANCE_BIDS, &[("10.01", "12"), ("10.02", "40000")]);
    m.upbit(0, &[("14280", "5"), ("14266", "30")], &[("14308", "5"), ("14322", "30")]);
    decided(&m, Direction::BuyBinance, "3.57");
    let t = now(&m);
    m.wait_ms(119);
    m.upbit(0, &[("14280", "5"), ("14266", "30")], &[("14308", "5"), ("14322", "30")]);
    assert_eq!(m.filled(), [], "a book of 1 ms before the arrival fills nothing");
    m.wait_ms(1);
    m.upbit(0, &[("14266", "8"), ("14252", "30")], &[("14308", "5"), ("14322", "30")]);
    let sold = fill(Venue::Upbit, Purpose::Entry, Side::Bid, "20", "285152", "142.576", 2, t + 120);
    assert_eq!(m.filled(), std::slice::from_ref(&sold));
    m.wait_ms(59);
    m.binance(0, BINANCE_BIDS, &[("10.01", "12"), ("10.02", "40000")]);
    assert_eq!(m.filled().len(), 1);
    m.wait_ms(1);
    m.binance(0, BINANCE_BIDS, &[("10.02", "8"), ("10.03", "40000")]);
    let bought = fill(Venue::Binance, Purpose::Entry, Side::Ask, "20.03", "200.8209", "0.02003", 2, t + 180);
    assert_eq!(m.filled(), [sold, bought]);
    let opened = m.find(|b| match b {
        journal::Body::Opened { quantity, notional_usd, .. } => Some((*quantity, *notional_usd)),
        _ => None,
    });
    // 200.8209 / 20.03 x 20, rounded down.
    assert_eq!(opened, [(coin("20"), usd("200.52011982"))]);

    m.wait_ms(5_000);
    m.fx(1_400);
    m.binance(0, &[("9.99", "9"), ("9.98", "40000")], BINANCE_ASKS);
    assert_eq!(m.find(|b| matches!(b, journal::Body::Exit { .. }).then_some(())), []);
    let calm: [Levels<'_>; 2] = [&[("13986", "7"), ("13972", "30")], &[("14014", "7"), ("14028", "30")]];
    m.upbit(0, calm[0], calm[1]);
    let t = now(&m);
    m.wait_ms(120);
    m.upbit(0, calm[0], calm[1]);
    m.wait_ms(60);
    m.binance(0, &[("9.98", "40000")], BINANCE_ASKS);
    let out = [
        fill(Venue::Upbit, Purpose::Exit, Side::Ask, "20", "280462", "140.231", 2, t + 120),
        fill(Venue::Binance, Purpose::Exit, Side::Bid, "20", "199.60", "0.1996", 1, t + 180),
    ];
    assert_eq!(m.filled()[2..], out);
    let result =
        (ExitReason::TakeProfit, usd("2.4294215"), usd("0.6024259"), usd("1.8269956"), usd("0.5005785"));
    assert_eq!(m.closed(), [result]);
    // KRW: 285 009.424 - 280 602.231; USDT: -200.8209 + 199.60 - 0.1996; coins: 20.03 - 0.02003 - 20.
    assert_eq!(m.change(Venue::Upbit, market::Asset::KRW), coin("4407.193"));
    assert_eq!(m.change(Venue::Binance, market::Asset::USDT), coin("-1.4205"));
    assert_eq!(m.change(Venue::Binance, m.members[0].asset), coin("0.00997"));
    assert_eq!(m.change(Venue::Upbit, m.members[0].asset), Quantity::ZERO);
    m.replays();
}

const CHEAP: [Levels<'static>; 2] =
    [&[("13692", "1000"), ("13678", "1000")], &[("13720", "8"), ("13734", "40")]];

/// The entry of the two tests below: buy 8 x 13 720 + 12 x 13 734 = 274 568 KRW on Upbit (196.12 USD), fee 137.284:
/// -196.21806 USD; of 20 coins Binance takes 5 at 9.99: +49.95, fee 0.04995. Decided: 20 x 9.99 - 196.12 = +3.68.
fn partly_sold() -> Market {
    let mut m = Market::calm(&["AAA"], &Config::default());
    m.wait_ms(250);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, CHEAP[0], CHEAP[1]);
    decided(&m, Direction::BuyUpbit, "3.68");
    let t = now(&m);
    m.wait_ms(120);
    m.upbit(0, CHEAP[0], CHEAP[1]);
    m.wait_ms(60);
    m.binance(0, &[("9.99", "5")], BINANCE_ASKS);
    let entry = [
        fill(Venue::Upbit, Purpose::Entry, Side::Ask, "20", "274568", "137.284", 2, t + 120),
        fill(Venue::Binance, Purpose::Entry, Side::Bid, "5", "49.95", "0.04995", 1, t + 180),
    ];
    assert_eq!(m.filled(), entry);
    assert_eq!(m.core.view().funnel.of(engine::funnel::Stage::PartlyFilled), 1);
    m
}

/// Buy on Upbit; Binance fills 5 of 20, the missing 15 are completed at 9.98: the 5 that are shown at 9.99 are ours.
///
/// Completed: 15 x 9.98 = 149.70, fee 0.1497. The gap closes: sell 20 x 13 986 = 279 720 KRW, fee 139.86: 199.7001 USD;
/// buy 20.03 x 10.01 = 200.5003, fee 0.02003 coins (0.2005003 USD); left 0.00997 x 10.01 = 0.0997997.
/// Net = -196.21806 + 49.95 - 0.04995 + 149.70 - 0.1497 + 199.7001 - 200.5003 + 0.0997997 = 2.5318897
/// Fees = 0.09806 + 0.04995 + 0.1497 + 0.0999 + 0.2005003 = 0.5981103; gross = 3.13, which is
/// (199.65 - 196.12) + (199.80 - 200.20). Slippage: 15 coins at 0.01 = 0.15.
#[test]
fn a_partial_fill_that_is_completed() {
    let mut m = partly_sold();
    let t = now(&m);
    m.wait_ms(180);
    m.binance(0, &[("9.99", "5"), ("9.98", "100")], BINANCE_ASKS);
    let done = fill(Venue::Binance, Purpose::Complete, Side::Bid, "15", "149.7", "0.1497", 1, t + 180);
    assert_eq!(m.filled()[2..], [done]);
    assert_eq!(m.core.view().entries, 1);
    m.wait_ms(2_000);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, UPBIT_BIDS, UPBIT_ASKS);
    hold(&mut m, 200, [UPBIT_BIDS, UPBIT_ASKS], [BINANCE_BIDS, BINANCE_ASKS]);
    let result = (ExitReason::TakeProfit, usd("3.13"), usd("0.5981103"), usd("2.5318897"), usd("0.15"));
    assert_eq!(m.closed(), [result]);
    assert_eq!(m.unwound(), []);
    m.replays();
}

/// The same entry, but Binance falls to 9.95, below the bound of 20 bps under 9.99: the missing 15 are not sold there.
/// After a second they are undone on Upbit: 15 x 13 692 = 205 380 KRW, fee 102.69: +146.62665 USD. A position of 5 is left.
/// It closes: sell 5 x 13 986 = 69 930 KRW, fee 34.965: 49.925025 USD; buy 5.01 x 10.01 = 50.1501 (5 / 0.999 up to the
/// lot), fee 0.00501 coins (0.0501501 USD); left 0.00499 x 10.01 = 0.0499499.
/// Net = -196.21806 + 49.95 - 0.04995 + 146.62665 + 49.925025 - 50.1501 + 0.0499499 = 0.1335149, 27 bps of 49.03.
/// Fees = 0.09806 + 0.04995 + 0.07335 + 0.024975 + 0.0501501 = 0.2964851; gross = 0.43, which is 5 x 9.99 - 196.12 +
/// 15 x 9.78 for the entry (0.53) and 5 x (9.99 - 10.01) for the way out (-0.10). Decided for 5 coins: 3.68 / 4 - 0.10;
/// the slippage of 0.39 is what undoing 15 coins cost: bought at 13 728.40 on average, sold at 13 692.
#[test]
fn a_partial_fill_whose_excess_is_undone() {
    let mut m = partly_sold();
    let t = now(&m);
    let fallen: Levels<'_> = &[("9.95", "1000")];
    hold(&mut m, 1_500, CHEAP, [fallen, BINANCE_ASKS]);
    let undone = &m.filled()[2..];
    assert_eq!(undone.len(), 1, "{undone:?}");
    let at_ms = undone[0].at_ms;
    assert!(at_ms >= t + 1_000 + 120, "completion is tried for a second first: {}", at_ms - t);
    assert_eq!(undone[0], fill(Venue::Upbit, Purpose::Unwind, Side::Bid, "15", "205380", "102.69", 1, at_ms));
    assert!(!m.refusals().is_empty() && m.refusals().iter().all(|r| *r == market::Refusal::NothingLeft));
    let opened = m.find(|b| match b {
        journal::Body::Opened { quantity, notional_usd, .. } => Some((*quantity, *notional_usd)),
        _ => None,
    });
    // 196.12 / 20 x 5 is 49.03; the average counts what was bought.
    assert_eq!(opened, [(coin("5"), usd("49.03"))]);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, UPBIT_BIDS, UPBIT_ASKS);
    hold(&mut m, 200, [UPBIT_BIDS, UPBIT_ASKS], [BINANCE_BIDS, BINANCE_ASKS]);
    let closed = m.closed();
    assert_eq!(closed.len(), 1);
    assert_eq!(
        closed[0],
        (ExitReason::TakeProfit, usd("0.43"), usd("0.2964851"), usd("0.1335149"), usd("0.39"))
    );
    assert_eq!(m.unwound(), [], "an entry that became a position is no unwind");
    m.replays();
}

/// Binance goes away before its leg arrives; the sale on Upbit is bought back once a second has passed.
/// Sold 5 x 14 280 + 15 x 14 266 = 285 390 KRW, fee 142.695: +203.748075 USD. Bought back 5 x 14 308 + 15 x 14 322
/// = 286 370 KRW, fee 143.185: -204.652275 USD. The orphan cost 0.9042 USD.
#[test]
fn an_orphan_on_upbit_is_bought_back_at_cost() {
    let mut m = Market::calm(&["AAA"], &Config::default());
    let books: [Levels<'_>; 2] = [&[("14280", "5"), ("14266", "30")], &[("14308", "5"), ("14322", "30")]];
    m.wait_ms(250);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, books[0], books[1]);
    decided(&m, Direction::BuyBinance, "3.65"); // 203.85 - 20 x 10.01
    m.input(Input::ConnDown { conn: 2, venue: Venue::Binance, reason: "test".to_owned() });
    for _ in 0..40 {
        m.wait_ms(50);
        m.upbit(0, books[0], books[1]);
    }
    assert_eq!(m.unwound(), [(true, usd("-0.9042"))]);
    assert_eq!((m.closed().len(), m.core.view().unwinds, m.core.view().entries), (0, 1, 0));
    let purposes: Vec<_> = m.filled().iter().map(|f| (f.purpose, f.takes)).collect();
    assert_eq!(purposes, [(Purpose::Entry, Side::Bid), (Purpose::Unwind, Side::Ask)]);
    assert_eq!(m.pnl(), usd("-0.9042"), "the cost stands in the result");
    assert_eq!(m.change(Venue::Upbit, m.members[0].asset), Quantity::ZERO);
    let mut kpis = engine::kpi::Kpis::new();
    m.entries.iter().for_each(|e| kpis.on(e));
    let fields = kpis.fields();
    assert_eq!((fields["orphans"].as_u64(), fields["unwind_net_usd"].as_f64()), (Some(1), Some(-0.9042)));
    assert_eq!((fields["entry_trades"].as_u64(), fields["net_pnl_usd"].as_f64()), (Some(0), Some(-0.9042)));
    m.replays();
}

/// The other way round: Upbit goes away, 20 coins are sold on Binance at 9.99 (199.80, fee 0.1998) and bought back:
/// 20.03 x 10.01 = 200.5003, fee 0.02003 coins; left 0.00997 x 10.01 = 0.0997997.
/// Net = 199.80 - 0.1998 - 200.5003 + 0.0997997 = -0.8003003.
#[test]
fn an_orphan_on_binance_is_bought_back_at_cost() {
    let mut m = Market::calm(&["AAA"], &Config::default());
    m.wait_ms(250);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, CHEAP[0], CHEAP[1]);
    decided(&m, Direction::BuyUpbit, "3.68");
    m.input(Input::ConnDown { conn: UPBIT, venue: Venue::Upbit, reason: "test".to_owned() });
    for _ in 0..50 {
        m.wait_ms(50);
        m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    }
    assert_eq!(m.unwound(), [(true, usd("-0.8003003"))]);
    assert_eq!(m.closed().len(), 0);
    // The 0.00997 coins stay and are marked at the mid of 10.00: 0.0997 instead of 0.0997997.
    assert_eq!(m.pnl(), Money(usd("-0.8003003").0 - usd("0.0000997").0));
    m.replays();
}
