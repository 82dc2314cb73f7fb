//! The sentences of engine.md 5 on gap, level, edge and entry, one by one; exits are in `exit_reasons`.

use crate::driver::member;
use crate::exact::{BINANCE_ASKS, BINANCE_BIDS, Market, UPBIT_ASKS, UPBIT_BIDS, usd};
use engine::funnel::Stage;
use engine::{Config, Core};
use journal::Body;
use journal::record::Direction;
use market::{Member, Price, TickRule, Venue};

fn bare(members: Vec<Member>, config: &Config) -> Market {
    Market::bare(members, config, |session, at, out| Core::start(1, at, session, out).unwrap())
}

/// A break-even record: gap per direction, tick per venue, seconds of candles.
type BreakEven = ([Option<f64>; 2], [Option<f64>; 2], u64);

fn break_even(m: &Market) -> Vec<BreakEven> {
    m.find(|b| match b {
        Body::BreakEven { gap_bps, tick_bps, seconds, .. } => Some((*gap_bps, *tick_bps, *seconds)),
        _ => None,
    })
}

fn close_to(found: Option<f64>, want: f64) {
    assert!((found.unwrap() - want).abs() < 1e-9, "{found:?} is not {want}");
}

/// Candles at 14 070 KRW, 10 USDT and 1 400: a ratio of 1.005. Both spreads are 20 bps, so that 20 are taken off.
/// level(buy_binance) = 50 - 20 = 30; level(buy_upbit) = 1 / 1.005 - 1 - 20 bps = -49.7512... - 20.
/// Break-even = four fees + reserve - level(opposite) = 33 - 30 and 33 + 69.7512...
#[test]
fn levels_are_seeded_from_candles_less_half_of_both_spreads() {
    let mut m = bare(vec![member("AAA")], &Config::default());
    m.candles(31, "14070");
    m.calm_for(2);
    let table = break_even(&m);
    assert_eq!(table.len(), 1, "once per symbol");
    assert_eq!(table[0].2, 1_740, "29 candles closed more than 30 s ago and within 30 min");
    close_to(table[0].0[Direction::BuyUpbit.index()], 33.0 - 30.0);
    close_to(table[0].0[Direction::BuyBinance.index()], 33.0 + 20.0 - (1.0 / 1.005 - 1.0) * 1e4);
    let notes = m.find(|b| if let Body::Note { text, .. } = b { Some(text.clone()) } else { None });
    let said =
        "AAA: level from 1740 s of candles, break-even at a gap of buy_upbit 3.0 bps, buy_binance 102.8 bps";
    assert!(notes.iter().any(|text| text == said), "{notes:?}");
}

#[test]
fn a_level_needs_ten_minutes_of_data() {
    let mut m = bare(vec![member("AAA")], &Config::default());
    // 9 candles are 540 s. Live seconds count once they are 30 s old: the 60th does 90 s after the start.
    m.candles(9, "14000");
    m.calm_for(80);
    m.upbit(0, &[("14280", "100000")], &[("14308", "100000")]);
    assert_eq!(m.decided().len(), 0, "a gap of 2 % without a level is no edge");
    assert!(m.core.view().funnel.by_name()["suppressed:no_level"] > 0);
    m.calm_for(15);
    m.upbit(0, &[("14280", "100000")], &[("14308", "100000")]);
    assert_eq!(m.decided().len(), 1);
}

/// The threshold is inclusive, and only it decides: gap + level(opposite) - 30 - 3.
#[test]
fn an_entry_needs_the_threshold_and_nothing_lowers_it() {
    let gap = (14_140.0 / 1_400.0 / 10.01 - 1.0) * 1e4;
    let edge = gap - 20.0 - 33.0;
    for (min_edge_bps, entries) in [(edge - 1e-6, 1), (edge + 1e-6, 0)] {
        let mut m = Market::calm(&["AAA"], &Config { min_edge_bps, ..Config::default() });
        for _ in 0..240 {
            m.wait_ms(250);
            m.fx(1_400);
            m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
            m.upbit(0, &[("14140", "100000")], &[("14168", "100000")]);
            if entries > 0 {
                break;
            }
        }
        assert_eq!(m.decided().len(), entries, "threshold {min_edge_bps}, edge {edge}");
    }
}

#[test]
fn an_event_of_a_symbol_evaluates_it_in_both_directions_and_no_other() {
    let mut m = Market::calm(&["AAA", "BBB"], &Config::default());
    let count =
        |m: &Market| (m.core.view().funnel.of(Stage::Updates), m.core.view().funnel.of(Stage::Evaluated));
    for (venue, i) in [(Venue::Upbit, 0), (Venue::Binance, 1), (Venue::Upbit, 1), (Venue::Binance, 0)] {
        let before = count(&m);
        m.wait_ms(1);
        match venue {
            Venue::Upbit => m.upbit(i, UPBIT_BIDS, UPBIT_ASKS),
            Venue::Binance => m.binance(i, BINANCE_BIDS, BINANCE_ASKS),
        }
        assert_eq!(count(&m), (before.0 + 1, before.1 + 2), "{venue} {i}");
    }
}

/// With a window of a millisecond the rate follows the book with the second frame.
#[test]
fn a_move_of_the_rate_re_evaluates_everything_from_one_basis_point_on() {
    let mut config = Config::default();
    config.fx.window_ms = 1;
    let mut m = Market::calm(&["AAA", "BBB"], &config);
    let evaluated = |m: &Market| m.core.view().funnel.of(Stage::Evaluated);
    let to = |m: &mut Market, bid: &str, ask: &str| {
        let before = evaluated(m);
        for _ in 0..2 {
            m.wait_ms(2);
            m.fx_book(bid, ask, m.sent_ms(Venue::Upbit));
        }
        evaluated(m) - before
    };
    assert_eq!(to(&mut m, "1399", "1401"), 0, "no move");
    assert_eq!(to(&mut m, "1399.07", "1401.07"), 0, "half a basis point");
    assert_eq!(
        to(&mut m, "1399.15", "1401.15"),
        4,
        "1.07 bps since the last evaluation: both symbols, both ways"
    );
    assert_eq!(to(&mut m, "1399.02", "1401.02"), 0, "0.93 back");
    assert_eq!(to(&mut m, "1398.9", "1400.9"), 4, "1.8 back");
}

#[test]
fn a_tick_larger_than_the_stop_loss_is_warned_of_at_the_start() {
    let mut members = vec![member("AAA"), member("BBB")];
    // 0.03 of 10.00 are 30 bps, the stop loss is 20.
    members[0].binance.tick = TickRule::Fixed(Price::parse("0.03").unwrap());
    members[1].upbit.tick = TickRule::KrwBands;
    let m = Market::of(members, &Config::default());
    let warned = m.find(|b| match b {
        Body::Note { level, text } if level == "warning" => Some(text.clone()),
        _ => None,
    });
    assert_eq!(warned, ["one tick of AAA on binance is 30.0 bps, more than the stop loss"]);
    let table = break_even(&m);
    close_to(table[0].1[1], 30.0);
    // Upbit's tick at 14 000 KRW is 10 KRW.
    close_to(table[1].1[0], 10.0 / 14_000.0 * 1e4);
    for gap in table.iter().flat_map(|row| row.0) {
        close_to(gap, 53.0);
    }
}

/// The percentiles of a session that can be counted by hand: a calm minute, then one at a premium, below the threshold.
/// Gap of a calm book: 9.99 / 10.01 - 1 = -19.98 bps; at the premium 10.05 / 10.01 - 1 = 39.96.
#[test]
fn the_percentiles_say_why_it_did_not_trade() {
    let mut m = Market::calm(&["AAA"], &Config::default());
    m.calm_for(58);
    for _ in 0..240 {
        m.wait_ms(250);
        m.fx(1_400);
        m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
        m.upbit(0, &[("14070", "100000")], &[("14098", "100000")]);
    }
    m.wait_ms(1);
    m.tick();
    let records = m.find(|b| match b {
        Body::Percentiles { session, .. } => Some(session[Direction::BuyBinance.index()]),
        _ => None,
    });
    assert_eq!(records.len(), 2, "with each minute");
    let (calm, session) = (records[0], records[1]);
    assert_eq!(calm.gap_bps.unwrap().max, -19.98);
    // -19.98 - 20 - 33, and the samples of the level move it to the calm gap.
    assert!((calm.edge_bps.unwrap().p50 + 73.0).abs() <= 1.0, "{calm:?}");
    let (gap, edge) = (session.gap_bps.unwrap(), session.edge_bps.unwrap());
    assert_eq!(gap.max, 39.96);
    assert!(gap.p10 < -19.0 && (gap.p90 - 39.96).abs() <= 0.5, "{session:?}");
    assert!((session.level_bps.unwrap().p50 + 20.0).abs() <= 0.5, "the opposite level is calm: {session:?}");
    assert!((edge.max + 13.04).abs() < 0.05, "39.96 - 20 - 33: {session:?}");
    assert!(session.evaluations >= calm.evaluations + 240 * 2, "{session:?}");
    assert_eq!(m.decided().len(), 0);
    let mut kpis = engine::kpi::Kpis::new();
    m.entries.iter().for_each(|e| kpis.on(e));
    let fields = kpis.fields();
    let shown = &fields["percentiles"]["AAA"]["buy_binance"];
    assert_eq!(shown["edge_bps"]["max"].as_f64(), Some(session.edge_bps.unwrap().max));
    assert_eq!(shown["evaluations"].as_u64(), Some(session.evaluations));
    m.replays();
}

/// Every trade says what was decided and what came of it, in basis points and in USD. The trip is that of
/// `by_hand::buy_binance_over_several_levels_of_moving_books` in one level: decided +1.80 on 200.20, filled at prices 14 KRW
/// worse: 20 x 14 126 KRW = 201.80.
#[test]
fn decided_against_realised_in_bps_and_usd() {
    let mut m = Market::calm(&["AAA"], &Config::default());
    m.wait_ms(250);
    m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    m.upbit(0, &[("14140", "100000")], &[("14168", "100000")]);
    for _ in 0..8 {
        m.wait_ms(50);
        m.upbit(0, &[("14126", "100000")], &[("14168", "100000")]);
        m.binance(0, BINANCE_BIDS, BINANCE_ASKS);
    }
    let opened = m.find(|b| match b {
        Body::Opened { decided_edge_bps, realised_edge_bps, decided_edge_usd, realised_edge_usd, .. } => {
            Some([*decided_edge_bps, *realised_edge_bps, *decided_edge_usd, *realised_edge_usd])
        }
        _ => None,
    });
    assert_eq!(opened.len(), 1);
    let [decided, realised, decided_usd, realised_usd] = opened[0];
    let edge = |sold: f64| (sold / 200.2 - 1.0) * 1e4 - 53.0;
    close_to(Some(decided), edge(202.0));
    close_to(Some(realised), edge(201.8));
    // Of 200.20 USD, whichever leg it is of: 20 coins at 10.01.
    assert!((decided_usd - decided / 1e4 * 200.2).abs() < 1e-7, "{decided_usd}");
    assert!((realised_usd - realised / 1e4 * 200.2).abs() < 1e-7, "{realised_usd}");
    for _ in 0..8 {
        m.wait_ms(50);
        m.calm_book(0);
    }
    let closed = m.find(|b| match b {
        Body::Closed { net_usd, slippage_usd, slippage_bps, decided_edge_bps, realised_edge_bps, .. } => {
            Some((*net_usd, *slippage_usd, *slippage_bps, *decided_edge_bps, *realised_edge_bps))
        }
        _ => None,
    });
    let (net, slippage, slippage_bps, decided_edge, realised_edge) = closed[0];
    // The 14 KRW on 20 coins; the way out filled as decided. The 0.00997 coins that the gross-up left were bought at 10.01
    // and count at 9.99: 0.0001994.
    assert_eq!(slippage, usd("0.2001994"));
    close_to(Some(slippage_bps), 0.200_199_4 / 200.2 * 1e4);
    close_to(Some(decided_edge), decided);
    close_to(Some(realised_edge), net.to_f64() / 200.2 * 1e4);
    let mut kpis = engine::kpi::Kpis::new();
    m.entries.iter().for_each(|e| kpis.on(e));
    let fields = kpis.fields();
    assert_eq!(fields["slippage_usd"].as_f64(), Some(0.200_199_4));
    let near =
        |field: &str, want: f64| assert!((fields[field].as_f64().unwrap() - want).abs() < 1e-7, "{field}");
    near("decided_edge_avg_bps", decided);
    near("realised_edge_avg_bps", realised);
    near("decided_edge_usd", decided_usd);
    near("realised_edge_usd", realised_usd);
    near("trip_decided_edge_avg_bps", decided);
    near("trip_realised_edge_avg_bps", realised_edge);
}
