//! Going on after a kill. That a journal cut anywhere gives the core's state is checked by the driver after every input of
//! every session of these tests.

use crate::driver::Driver;
use engine::recover::{FoldError, Held, State};
use engine::{Config, Effect, replay};
use journal::record::{ExitReason, Terms};
use journal::{Body, Entry};
use market::{Money, Timestamp};
use recording::Input;

fn fills(d: &Driver) -> Vec<u64> {
    d.find(|b| if let Body::Fill { order, .. } = b { Some(*order) } else { None })
}

/// A decided entry whose orders are on their way.
fn under_way() -> Driver {
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    d.premium[0] = 80.0;
    d.wait_ms(250);
    d.fx();
    d.both(0);
    assert_eq!((d.decisions(), fills(&d).len()), (1, 0));
    d
}

#[test]
fn an_order_under_way_meets_the_first_live_book_after_the_restart() {
    let mut d = under_way();
    d.wait_ms(20_000);
    d.go_on(d.recovered.clone());
    let back = d.find(|b| match b {
        Body::Resumed { positions, orders, .. } => Some((*positions, *orders)),
        _ => None,
    });
    assert_eq!(back, [(1, 2)]);
    d.up();
    d.candles();
    // Neither a tick nor a second nor another symbol's book fills or refuses it.
    d.wait_ms(1_500);
    d.input(Input::Tick);
    d.fx();
    d.both(1);
    assert_eq!(fills(&d), [0u64; 0]);
    d.upbit(0);
    assert_eq!(fills(&d).len(), 1, "upbit's book is live");
    d.binance(0);
    d.idle(1);
    let mut filled = fills(&d);
    filled.sort_unstable();
    assert_eq!(filled, [1, 2], "each order once");
    assert_eq!(d.find(|b| matches!(b, Body::Rejected { .. }).then_some(())).len(), 0);
    d.premium[0] = 0.0;
    d.idle(1);
    let closed = d.closed();
    assert_eq!((closed.len(), closed[0].0), (1, ExitReason::TakeProfit));
    let ids = d.find(|b| if let Body::Order { order, .. } = b { Some(*order) } else { None });
    assert_eq!(ids, [1, 2, 3, 4], "the numbering goes on");
}

#[test]
fn a_position_keeps_its_age_its_money_and_its_stop_over_a_restart() {
    let config = Config::default();
    for (away_ms, premium, reason) in [
        (config.time_limit_ms, 80.0, ExitReason::TimeLimit),
        (5_000, 105.0, ExitReason::StopLoss),
        (5_000, 0.0, ExitReason::TakeProfit),
    ] {
        let mut d = Driver::new(&["AAA"], &config);
        d.premium[0] = 80.0;
        d.idle(1);
        assert_eq!(d.find(|b| matches!(b, Body::Opened { .. }).then_some(())).len(), 1);
        let before = d.core.ledger().clone();
        d.wait_ms(away_ms);
        d.go_on(d.recovered.clone());
        assert_eq!(*d.core.ledger(), before);
        d.up();
        d.candles();
        d.premium[0] = premium;
        d.idle(2);
        let closed = d.closed();
        assert_eq!((closed.len(), closed[0].0), (1, reason));
        assert_eq!(d.core.view().round_trips, 1);
        // No second starting inventory.
        let deposits = d.find(|b| matches!(b, Body::Deposit { .. }).then_some(())).len();
        assert_eq!(deposits, 4);
    }
}

#[test]
fn a_cooldown_ends_at_its_time_and_pacing_goes_on() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    let mut state = d.recovered.clone();
    let until = Timestamp(d.at.0 + 10_000_000_000);
    let held = Held {
        rule: "cross_loss_streak".to_owned(),
        scope: "*".to_owned(),
        threshold: 4.0,
        since: d.at,
        until: Some(until),
    };
    state.triggers = 7;
    state.guards.insert(7, held);
    state.symbols[0].last_entry = Some(Timestamp(d.at.0 - 1_000_000_000));
    d.go_on(state);
    d.up();
    d.candles();
    d.premium[0] = 80.0;
    d.idle(12);
    let ends: Vec<_> = d
        .entries
        .iter()
        .filter_map(|entry| match &entry.body {
            Body::Guard(guard) if guard.trigger == 7 && !guard.start => Some(entry.at),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [until]);
    assert_eq!(d.decisions(), 0, "the pause between entries has not ended");
    // Books that move, or the venue would be frozen.
    for _ in 0..50 {
        d.size[0] += 1.0;
        d.idle(1);
    }
    assert_eq!(d.decisions(), 1);
}

#[test]
fn an_emergency_stop_stays_latched() {
    let mut d = under_way();
    let mut state = d.recovered.clone();
    state.emergency = true;
    d.go_on(state);
    assert_eq!(d.end(), None, "an order is under way");
    d.up();
    d.candles();
    d.idle(2);
    assert_eq!(d.end(), Some(("emergency_stop".to_owned(), 0)));
    assert!(d.effects.iter().any(|effect| matches!(effect, Effect::EmergencyExit)));
    assert_eq!(d.closed()[0].0, ExitReason::Emergency);
}

#[test]
fn nothing_is_traded_before_a_book_of_the_position_is_known() {
    let mut d = under_way();
    d.idle(1);
    d.go_on(d.recovered.clone());
    let before = d.entries.len();
    d.input(Input::Shutdown);
    d.wait_ms(60_000);
    d.input(Input::Tick);
    let late = &d.entries[before..];
    assert!(!late.iter().any(|e| matches!(e.body, Body::Order { .. } | Body::Closed { .. })));
    assert_eq!(d.end(), Some(("shutdown".to_owned(), 1)), "it is reported as open");
}

#[test]
fn a_resume_replays_and_one_that_was_never_journalled_begins_anew() {
    let mut d = under_way();
    d.go_on(d.recovered.clone());
    d.up();
    d.candles();
    d.idle(3);
    let mut again = Vec::new();
    replay(d.records.iter().cloned(), |entry| again.push(entry)).unwrap();
    assert_eq!(again, d.entries);

    let Input::Session { run_id, config } = d.records[0].input.clone() else { panic!("no session") };
    let resume =
        Input::Resume { run_id, config, after_seq: 0, cut_records: 0, cut_bytes: 0, state: String::new() };
    let mut out = Vec::new();
    engine::Core::start(9, Timestamp::from_secs(1), &resume, &mut out).unwrap();
    assert!(matches!(&out[0], Effect::Record(Entry { seq: 1, body: Body::Start { .. }, .. })));
}

#[test]
fn a_state_that_is_not_the_journals_is_refused() {
    let d = under_way();
    let Input::Session { config, .. } = d.records[0].input.clone() else { panic!("no session") };
    let resume = |run_id: &str, after_seq: u64, state: &State| Input::Resume {
        run_id: run_id.to_owned(),
        config: config.clone(),
        after_seq,
        cut_records: 0,
        cut_bytes: 0,
        state: serde_json::to_string(state).unwrap(),
    };
    let seq = d.recovered.journal_seq;
    for (input, why) in [
        (resume("other", seq, &d.recovered), "another run"),
        (resume("t.main", seq - 1, &d.recovered), "another record"),
    ] {
        let error = engine::Core::start(9, d.at, &input, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("recovered state"), "{why}: {error}");
    }
}

#[test]
fn a_journal_with_a_hole_is_named_by_its_record() {
    let d = under_way();
    let fold = |entries: &[Entry]| {
        entries.iter().try_for_each({
            let mut state = State::new();
            move |entry| state.fold(entry)
        })
    };
    assert_eq!(fold(&d.entries), Ok(()));
    let mut short = d.entries.clone();
    short.remove(5);
    assert_eq!(fold(&short), Err(FoldError::Order { expected: 6, found: 7 }));
    let mut twice = d.entries.clone();
    twice[5].body = twice[0].body.clone();
    assert_eq!(fold(&twice), Err(FoldError::Start(6)));
    let mut unknown = d.entries.clone();
    unknown[5].body = Body::Rejected { order: 77, refusal: market::Refusal::NoBook };
    assert!(matches!(fold(&unknown), Err(FoldError::Unknown { seq: 6, .. })));
    // A journal of an earlier version says nothing of its configuration.
    let terms = Terms {
        capital_usd: Money::from_int(1),
        upbit_fee_centibps: 0,
        binance_fee_centibps: 0,
        take_profit_bps: 0,
        time_limit_ms: 0,
        day_offset_s: None,
        withdrawal: None,
        guards: None,
    };
    let (run_id, version) = ("r".to_owned(), "v".to_owned());
    let body = Body::Start { format: 2, run_id, version, terms, config: String::new() };
    let old = Entry { seq: 1, input_seq: 1, at: Timestamp(0), commit: true, body };
    assert!(matches!(State::new().fold(&old), Err(FoldError::Config { seq: 1, .. })));
}
