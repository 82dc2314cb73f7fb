//! Entries, exits, replay, shutdown, resync.

use crate::driver::Driver;
use engine::{Config, Effect, replay};
use journal::Body;
use journal::record::{Direction, ExitReason};
use market::{Money, Venue};
use rand::{Rng, SeedableRng};
use recording::Input;

fn entered(premium: f64, config: &Config) -> Driver {
    let mut d = Driver::new(&["AAA", "BBB"], config);
    assert_eq!(d.decisions(), 0);
    d.premium[0] = premium;
    d.idle(1);
    let opened = d.find(|b| match b {
        Body::Opened { realised_edge_bps, decided_edge_bps, quantity, .. } => {
            Some((*realised_edge_bps, *decided_edge_bps, *quantity))
        }
        _ => None,
    });
    assert_eq!((d.decisions(), opened.len()), (1, 1), "{:?}", d.entries.last());
    assert!((opened[0].0 - opened[0].1).abs() < 1.0);
    d
}

#[test]
fn a_planted_gap_enters_and_takes_profit() {
    let mut d = entered(80.0, &Config::default());
    d.premium[0] = 0.0;
    d.idle(1);
    let closed = d.closed();
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].0, closed[0].1), (ExitReason::TakeProfit, Direction::BuyBinance));
    assert!(closed[0].2 > 0.5 && closed[0].2 < 1.2, "about 46 bps of 200 USD: {}", closed[0].2);
    for off in d.coin_off(0) {
        assert!(off.abs() <= 0.011, "coin is back within a lot: {off}");
    }
    // The trip's net and the holdings at marks agree: no other coin moved.
    let pnl = d.core.view().pnl_usd.unwrap().to_f64();
    assert!((pnl - closed[0].2).abs() < 0.05, "{pnl} against {}", closed[0].2);
}

#[test]
fn the_other_direction_works_too() {
    let mut d = entered(-80.0, &Config::default());
    d.premium[0] = 0.0;
    d.idle(1);
    let closed = d.closed();
    assert_eq!((closed[0].0, closed[0].1), (ExitReason::TakeProfit, Direction::BuyUpbit));
    for off in d.coin_off(0) {
        assert!(off.abs() <= 0.011, "{off}");
    }
}

#[test]
fn stop_loss_spread_reversal_and_time_limit_occur() {
    for (premium, reason) in [(105.0, ExitReason::StopLoss), (-20.0, ExitReason::SpreadReversal)] {
        let mut d = entered(80.0, &Config::default());
        d.premium[0] = premium;
        d.idle(1);
        let closed = d.closed();
        assert_eq!(closed.iter().map(|c| c.0).collect::<Vec<_>>(), [reason]);
    }
}

#[test]
fn an_unmoving_book_ends_in_the_time_limit() {
    let mut d = entered(60.0, &Config::default());
    d.idle(178);
    assert!(d.closed().is_empty());
    d.idle(4);
    assert_eq!(d.closed().iter().map(|c| c.0).collect::<Vec<_>>()[..1], [ExitReason::TimeLimit]);
}

#[test]
fn noise_without_edge_makes_no_trade() {
    for seed in 0..20 {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
        for _ in 0..60 {
            d.premium = (0..2).map(|_| rng.random_range(-30.0..30.0)).collect();
            d.idle(1);
        }
        assert_eq!(d.decisions(), 0, "seed {seed}");
    }
}

#[test]
fn without_a_level_nothing_is_traded() {
    let mut d = Driver::bare(&["AAA"], &Config::default());
    d.up();
    d.premium[0] = 200.0;
    d.idle(20);
    assert_eq!(d.decisions(), 0);
}

#[test]
fn our_own_takings_are_not_taken_again() {
    // 30 units are shown and each leg takes 20: a second position finds no room until the size rises again.
    let config = Config { entry_pause_ms: 0, ..Config::default() };
    let mut d = Driver::new(&["AAA"], &config);
    d.size[0] = 30.0;
    d.idle(1);
    d.premium[0] = 60.0;
    d.idle(5);
    let filled: f64 = d
        .find(|b| match b {
            Body::Fill { quantity, venue: Venue::Binance, .. } => Some(quantity.to_f64()),
            _ => None,
        })
        .iter()
        .sum();
    assert!(filled <= 30.0, "{filled}");
    assert!(filled >= 20.0, "{filled}");
}

#[test]
fn a_replay_gives_the_same_journal() {
    let mut d = entered(80.0, &Config::default());
    d.premium[0] = 0.0;
    d.idle(3);
    d.input(Input::Shutdown);
    let mut again = Vec::new();
    let core =
        replay(d.records.clone().into_iter(), |entry| again.push(serde_json::to_string(&entry).unwrap()))
            .unwrap();
    let first: Vec<String> = d.entries.iter().map(|e| serde_json::to_string(e).unwrap()).collect();
    assert_eq!(first, again);
    assert_eq!(core.view().iterations, d.core.view().iterations);
}

#[test]
fn shutdown_and_kill_switch_close_what_is_open() {
    let kill = Input::KillSwitch { reason: "test".to_owned() };
    for (input, reason, word) in
        [(Input::Shutdown, ExitReason::Shutdown, "shutdown"), (kill, ExitReason::KillSwitch, "kill_switch")]
    {
        let mut d = entered(60.0, &Config::default());
        d.input(input);
        assert_eq!(d.end(), None);
        d.idle(2);
        assert_eq!(d.closed().iter().map(|c| c.0).collect::<Vec<_>>(), [reason]);
        assert_eq!(d.end(), Some((word.to_owned(), 0)));
        assert_eq!(d.effects, [Effect::Finished]);
        let n = d.entries.len();
        d.idle(2); // Ignored.
        assert_eq!(d.entries.len(), n, "nothing follows the end");
    }
}

#[test]
fn a_shutdown_without_a_market_is_bounded() {
    let mut d = entered(60.0, &Config::default());
    d.input(Input::ConnDown { conn: 1, venue: Venue::Upbit, reason: "test".to_owned() });
    d.input(Input::Shutdown);
    d.wait_ms(5_001);
    d.input(Input::Tick);
    assert_eq!(d.end(), Some(("shutdown".to_owned(), 1)));
    assert_eq!(d.effects, [Effect::Finished]);
}

#[test]
fn a_gap_stops_one_symbol_and_not_the_other() {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    d.premium = vec![80.0, 80.0];
    d.touch[0] = None; // The next request of AAA stays unanswered.
    d.wait_ms(250);
    let ms = d.at.as_millis();
    let id = d.ids[0] + 5;
    d.ids[0] = id;
    d.frame(
        Venue::Binance,
        format!(
            r#"{{"e":"depthUpdate","E":{ms},"s":"AAAUSDT","U":{id},"u":{id},"b":[],"a":[["10.001","5"]]}}"#
        ),
    );
    assert!(d.alerts().contains(&"BOOK-RESYNC".to_owned()));
    assert_eq!(d.core.view().venues[1].resyncs, 1);
    for _ in 0..8 {
        d.wait_ms(250);
        d.fx();
        d.upbit(0);
        d.both(1);
    }
    let assets = d.find(|b| match b {
        Body::Decision { asset, .. } => Some(asset.to_string()),
        _ => None,
    });
    assert_eq!(assets, ["BBB"]);
}

#[test]
fn a_failed_snapshot_is_asked_for_again_and_a_late_answer_is_ignored() {
    let mut d = Driver::bare(&["AAA"], &Config::default());
    d.up();
    d.fx();
    let asset = market::Asset::new("AAA").unwrap();
    let frame = |id: u64| {
        format!(
            r#"{{"e":"depthUpdate","E":1,"s":"AAAUSDT","U":{id},"u":{id},"b":[["9.999","5"]],"a":[["10.001","5"]]}}"#
        )
    };
    let mut out = Vec::new();
    let mut apply = |d: &mut Driver, input: Input| {
        out.clear();
        d.core.apply(1_000, d.at, &input, &mut out);
        out.iter()
            .filter_map(|e| match e {
                Effect::RequestSnapshot { epoch, .. } => Some(*epoch),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let first = apply(&mut d, Input::Frame { conn: 2, payload: frame(101).into_bytes().into() });
    assert_eq!(first, [1]);
    let failed =
        Input::SnapshotFailed { venue: Venue::Binance, asset, epoch: 1, status: 429, retry_after_ms: 2_000 };
    assert!(apply(&mut d, failed).is_empty());
    d.wait_ms(1_999);
    assert!(apply(&mut d, Input::Tick).is_empty());
    d.wait_ms(1);
    assert_eq!(apply(&mut d, Input::Tick), [2]);
    let body = r#"{"lastUpdateId":101,"bids":[["9.999","5"]],"asks":[["10.001","5"]]}"#;
    let answer = |epoch| Input::Snapshot {
        venue: Venue::Binance,
        asset,
        epoch,
        payload: body.as_bytes().to_vec().into(),
    };
    apply(&mut d, answer(1));
    d.wait_ms(1_000);
    apply(&mut d, Input::Tick);
    assert_eq!(d.core.view().venues[1].books, [1, 0, 0, 0]);
    apply(&mut d, answer(2));
    d.wait_ms(1_000);
    apply(&mut d, Input::Tick);
    assert_eq!(d.core.view().venues[1].books, [0, 1, 0, 0]);
}

#[test]
fn time_that_goes_backwards_is_clamped_and_counted() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    d.wait_ms(-5_000);
    d.input(Input::Tick);
    assert_eq!(d.core.view().clamped, 1);
    let times: Vec<i64> = d.entries.iter().map(|e| e.at.0).collect();
    assert!(times.is_sorted());
}

#[test]
fn a_leg_that_finds_nothing_is_completed_or_unwound() {
    let config = Config::default();
    let mut d = Driver::new(&["AAA"], &config);
    d.premium[0] = 80.0;
    d.wait_ms(250);
    d.fx();
    d.upbit(0);
    assert_eq!(d.decisions(), 1);
    // Binance is gone before its leg arrives: the sale on Upbit fills alone and is undone.
    d.input(Input::ConnDown { conn: 2, venue: Venue::Binance, reason: "test".to_owned() });
    for _ in 0..20 {
        d.wait_ms(100);
        d.fx();
        d.upbit(0);
    }
    let unwound = d.find(|b| match b {
        Body::Unwound { orphan, net_usd, .. } => Some((*orphan, *net_usd)),
        _ => None,
    });
    assert_eq!(unwound.len(), 1, "{:#?}", &d.entries[d.entries.len() - 10..]);
    assert!(unwound[0].0 && unwound[0].1 < Money::ZERO);
    assert!(d.closed().is_empty());
    assert_eq!(d.coin_off(0), [0.0, 0.0]);
    assert!(!d.alerts().contains(&"LEG-ORPHANED".to_owned()));
}

#[test]
fn the_configuration_rejects_unknown_keys_and_locks_its_defaults() {
    assert!(serde_json::from_str::<Config>(r#"{"min_edge":1}"#).is_err());
    let text = serde_json::to_string(&Config::default()).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), Config::default());
    assert_eq!(Config::default().round_trip_fees_bps(), 30.0);
}

#[test]
fn a_leg_that_can_be_neither_completed_nor_unwound_is_an_orphan_until_it_is_undone() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    d.premium[0] = 80.0;
    d.wait_ms(250);
    d.fx();
    d.upbit(0);
    d.input(Input::ConnDown { conn: 2, venue: Venue::Binance, reason: "test".to_owned() });
    d.wait_ms(130);
    d.upbit(0);
    // The sale on Upbit has filled; then Upbit is gone too.
    d.input(Input::ConnDown { conn: 1, venue: Venue::Upbit, reason: "test".to_owned() });
    for _ in 0..100 {
        d.wait_ms(100);
        d.input(Input::Tick);
    }
    assert_eq!(d.alerts().iter().filter(|a| *a == "LEG-ORPHANED").count(), 1);
    assert_eq!(d.core.view().open_positions, 1);
    d.input(Input::ConnUp { conn: 1, venue: Venue::Upbit });
    d.input(Input::ConnUp { conn: 2, venue: Venue::Binance });
    d.premium[0] = 0.0;
    d.idle(4);
    assert_eq!(d.find(|b| matches!(b, Body::Unwound { orphan: true, .. }).then_some(())).len(), 1);
    assert_eq!(d.coin_off(0), [0.0, 0.0]);
}

#[test]
fn a_partly_filled_leg_is_completed() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    d.premium[0] = 80.0;
    d.wait_ms(250);
    d.fx();
    d.upbit(0);
    // Binance shows 5 of the 20 that are wanted when the order arrives, and more soon after.
    d.size[0] = 5.0;
    d.wait_ms(95);
    d.binance(0);
    d.wait_ms(90);
    d.input(Input::Alive { conn: 2 });
    d.size[0] = 1_000.0;
    d.idle(1);
    let purposes = d.find(|b| match b {
        Body::Fill { purpose, venue: Venue::Binance, quantity, .. } => Some((*purpose, quantity.to_f64())),
        _ => None,
    });
    assert_eq!(purposes.len(), 2, "{purposes:?}");
    assert_eq!(purposes[0], (journal::record::Purpose::Entry, 5.0));
    assert_eq!(purposes[1].0, journal::record::Purpose::Complete);
    assert_eq!(d.core.view().entries, 1);
    d.premium[0] = 0.0;
    d.idle(1);
    assert_eq!(d.closed().len(), 1);
    for off in d.coin_off(0) {
        assert!(off.abs() <= 0.011, "{off}");
    }
}

/// Fills of a venue so far.
fn fills(d: &Driver, on: Venue) -> usize {
    d.find(|b| matches!(b, Body::Fill { venue, .. } if *venue == on).then_some(())).len()
}

#[test]
fn a_stream_that_stalls_fills_nothing_at_its_old_prices() {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    d.premium[0] = 80.0;
    d.both(0);
    assert_eq!((d.decisions(), fills(&d, Venue::Binance)), (1, 0));
    // Binance's socket lives and brings nothing: its book is old, not quiet.
    for _ in 0..8 {
        d.wait_ms(250);
        d.fx();
        d.upbit(0);
    }
    assert_eq!((fills(&d, Venue::Upbit), fills(&d, Venue::Binance)), (1, 0));
    // The other symbol's frame shows that the stream has come past the arrival: the book was quiet after all.
    d.binance(1);
    assert_eq!(fills(&d, Venue::Binance), 1);
}

#[test]
fn a_pong_shows_how_far_a_silent_stream_has_come() {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    d.premium[0] = 80.0;
    d.both(0);
    // Sent at most one way ago (90 ms), which is when the order arrived.
    for (ms, filled) in [(179, 0), (1, 1)] {
        d.wait_ms(ms);
        d.input(Input::Alive { conn: 2 });
        assert_eq!(fills(&d, Venue::Binance), filled);
    }
}

#[test]
fn a_stalled_stream_that_breaks_refuses_what_waits_for_it() {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    d.premium[0] = 80.0;
    d.both(0);
    d.wait_ms(500);
    d.upbit(0);
    d.input(Input::ConnDown { conn: 2, venue: Venue::Binance, reason: "test".to_owned() });
    d.wait_ms(1);
    d.upbit(0);
    let refused = d.find(|b| matches!(b, Body::Rejected { .. }).then_some(())).len();
    assert_eq!((fills(&d, Venue::Binance), refused), (0, 1));
}
