//! Zero latency, zero fees, deep books: results that can be written down without a computer, to the last unit of 1e-8.
//!
//! A leg is 200 USD at Binance's mid of 10.00: exactly 20 coins. With fees of zero the edge is
//! `gap + level(opposite) - reserve = gap - 20 - 3` bps.

use crate::exact::{BINANCE_ASKS, BINANCE_BIDS, Market, UPBIT_ASKS, UPBIT_BIDS, coin, usd};
use engine::{Config, PerVenue};
use journal::record::{Direction, ExitReason};
use market::{Asset, Money, Side, Venue};

fn ideal() -> Config {
    Config {
        fees_centibps: PerVenue { upbit: 0, binance: 0 },
        latency_us: PerVenue { upbit: 0, binance: 0 },
        ..Config::default()
    }
}

/// Upbit shows these; the entry is decided on that frame and fills at that instant, on the books as they stand.
fn entry(m: &mut Market, bid: &str, ask: &str) {
    m.wait_ms(250);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, &[(bid, "100000")], &[(ask, "100000")]);
    assert_eq!(m.filled().len(), 0, "decided on this frame, the fills are the next step");
    m.tick();
    assert_eq!(m.filled().len(), 2, "{:?}", m.refusals());
}

fn at_start_of(m: &Market, direction: Direction, gross: &str, edge: f64) {
    let decided = m.decided();
    assert_eq!(decided.len(), 1);
    assert_eq!((decided[0].0, decided[0].1, decided[0].2), (direction, coin("20"), usd(gross)));
    assert!((decided[0].3 - edge).abs() < 1e-9, "edge {}", decided[0].3);
    let opened = m.find(|b| match b {
        journal::Body::Opened { quantity, decided_edge_bps, realised_edge_bps, .. } => {
            Some((*quantity, *decided_edge_bps, *realised_edge_bps))
        }
        _ => None,
    });
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0].0, coin("20"));
    assert!((opened[0].1 - opened[0].2).abs() < 1e-6, "what was decided is what was filled: {opened:?}");
}

/// Buy on Upbit: 20 x 13 860 KRW = 277 200 KRW = 198.00 USD; sell on Binance: 20 x 9.99 = 199.80. The gap stands for
/// 30 s and closes: sell on Upbit 20 x 13 986 = 279 720 KRW = 199.80 USD; buy on Binance 20 x 10.01 = 200.20.
/// Net = 199.80 - 198.00 + 199.80 - 200.20 = 1.40 USD; 25 bps of 198 are 0.495, so that it is a take profit.
/// Gap = 9.99 / 9.90 - 1 = 1/110 = 90.909... bps.
#[test]
fn buy_upbit_a_constant_gap_that_closes() {
    let mut m = Market::calm(&["AAA"], &ideal());
    entry(&mut m, "13832", "13860");
    at_start_of(&m, Direction::BuyUpbit, "1.80", 1e4 / 110.0 - 23.0);
    for _ in 0..120 {
        m.wait_ms(250);
        m.fx(1_400);
        m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
        m.upbit(0, &[("13832", "100000")], &[("13860", "100000")]);
    }
    assert_eq!(m.reasons(), [], "a gap that stands is no exit");
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, UPBIT_BIDS, UPBIT_ASKS);
    m.tick();
    let won = (ExitReason::TakeProfit, usd("1.40"), Money::ZERO, usd("1.40"), Money::ZERO);
    assert_eq!(m.closed(), [won]);
    assert_eq!(m.pnl(), usd("1.40"), "the holdings say the same");
    // KRW: -277 200 + 279 720; USDT: +199.80 - 200.20; no coin anywhere.
    assert_eq!(m.change(Venue::Upbit, Asset::KRW), coin("2520"));
    assert_eq!(m.change(Venue::Binance, Asset::USDT), coin("-0.40"));
    for venue in Venue::ALL {
        assert_eq!(m.change(venue, m.members[0].asset), coin("0"));
    }
    m.replays();
}

/// Buy on Binance: 20 x 10.01 = 200.20; sell on Upbit: 20 x 14 140 KRW = 282 800 KRW = 202.00 USD. It closes: sell on
/// Binance 20 x 9.99 = 199.80, buy on Upbit 20 x 14 014 = 280 280 KRW = 200.20 USD.
/// Net = 202.00 - 200.20 + 199.80 - 200.20 = 1.40 USD. Gap = 10.10 / 10.01 - 1 = 9/1001.
#[test]
fn buy_binance_a_gap_that_closes() {
    let mut m = Market::calm(&["AAA"], &ideal());
    entry(&mut m, "14140", "14168");
    at_start_of(&m, Direction::BuyBinance, "1.80", 9e4 / 1001.0 - 23.0);
    m.wait_ms(250);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, UPBIT_BIDS, UPBIT_ASKS);
    m.tick();
    let won = (ExitReason::TakeProfit, usd("1.40"), Money::ZERO, usd("1.40"), Money::ZERO);
    assert_eq!(m.closed(), [won]);
    assert_eq!(m.pnl(), usd("1.40"));
    // KRW: +282 800 - 280 280; USDT: -200.20 + 199.80.
    assert_eq!(m.change(Venue::Upbit, Asset::KRW), coin("2520"));
    assert_eq!(m.change(Venue::Binance, Asset::USDT), coin("-0.40"));
    m.replays();
}

/// The first case, but the won rises from 1 400 to 1 375 per dollar while the position is open, and the coin's price in KRW
/// falls with it, so that its price in dollars is the same on both venues at the end: 9.99 x 1 375 = 13 736.25.
/// The trip at each fill's own rate: -198.00 + 199.80 + 20 x 13 736.25 / 1 375 - 200.20 = +1.40 USD, as before.
/// The holdings: KRW -277 200 + 274 725 = -2 475 KRW = -1.80 USD at 1 375, USDT -0.40: -2.20 USD. The difference of -3.60
/// is the rate's: 277 200 KRW were owed while they rose from 198.00 to 201.60 USD.
#[test]
fn an_fx_move_between_entry_and_exit_is_no_trading_result() {
    let mut config = Config { stop_loss_bps: 1_000.0, ..ideal() };
    // The rate follows the book at once; the won's move of 1.8 % is below the guard's 3 %.
    config.fx.window_ms = 1;
    let mut m = Market::calm(&["AAA"], &config);
    entry(&mut m, "13832", "13860");
    at_start_of(&m, Direction::BuyUpbit, "1.80", 1e4 / 110.0 - 23.0);
    m.wait_ms(250);
    m.fx(1_375);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, &[("13736.25", "100000")], &[("13763.75", "100000")]);
    assert_eq!(m.reasons(), [], "the old rate still holds at this instant");
    m.wait_ms(10);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.fx(1_375);
    m.tick();
    let won = (ExitReason::TakeProfit, usd("1.40"), Money::ZERO, usd("1.40"), Money::ZERO);
    assert_eq!(m.closed(), [won]);
    assert_eq!(m.change(Venue::Upbit, Asset::KRW), coin("-2475"));
    assert_eq!(m.change(Venue::Binance, Asset::USDT), coin("-0.40"));
    assert_eq!(m.pnl(), usd("-2.20"));
    let exit = m.filled().into_iter().find(|f| f.venue == Venue::Upbit && f.takes == Side::Bid).unwrap();
    assert_eq!(exit.notional, usd("274725"));
    m.replays();
}
