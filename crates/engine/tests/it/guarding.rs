//! Guards: they trip, block and recover, and each transition can be recomputed.

use crate::driver::Driver;
use crate::scenarios::{calm, cases};
use engine::guards::Verdict;
use engine::{Config, Effect};
use journal::Body;
use market::{Money, Venue};
use recording::Input;

fn recomputable(d: &Driver) {
    for event in d.find(|b| if let Body::Guard(g) = b { Some(g.clone()) } else { None }) {
        let holds = if event.holds == "above" {
            event.observed > event.threshold
        } else {
            event.observed < event.threshold
        };
        assert_eq!(holds, event.start, "{event:?}");
    }
}

#[test]
fn a_silent_venue_blocks_and_recovers() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    for _ in 0..20 {
        d.wait_ms(250);
        d.fx();
        d.upbit(0);
    }
    assert_eq!(d.guard("health_down_silent"), (1, 0));
    d.premium[0] = 80.0;
    d.wait_ms(250);
    d.fx();
    d.upbit(0);
    assert_eq!(d.decisions(), 0);
    let alerts = d.alerts();
    assert!(alerts.contains(&"HEALTH-DOWN".to_owned()) && alerts.contains(&"RG-EXCHANGE-BLOCK".to_owned()));
    d.idle(3);
    assert_eq!(d.guard("health_down_silent"), (1, 1));
    assert_eq!(d.decisions(), 1);
    recomputable(&d);
}

#[test]
fn a_frozen_venue_blocks() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    // Upbit repeats the same book; only Binance moves.
    for _ in 0..60 {
        d.wait_ms(250);
        d.upbit(0);
        d.binance(0);
    }
    assert_eq!(d.guard("health_frozen").0, 1);
    assert!(d.alerts().contains(&"HEALTH-FROZEN".to_owned()));
    recomputable(&d);
}

#[test]
fn stale_fx_blocks_and_recovers() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    for _ in 0..62 * 4 {
        d.wait_ms(250);
        d.both(0);
    }
    assert_eq!(d.guard("fx_stale"), (1, 0));
    assert!(d.alerts().contains(&"FX-STALE".to_owned()));
    d.premium[0] = 80.0;
    d.wait_ms(250);
    d.both(0);
    assert_eq!(d.decisions(), 0);
    d.idle(3);
    assert_eq!(d.guard("fx_stale"), (1, 1));
    recomputable(&d);
}

#[test]
fn losses_in_a_row_cool_the_route_down() {
    let config = Config {
        entry_pause_ms: 0,
        cooldown_route_ms: 5_000,
        max_positions_per_symbol: 1,
        ..Config::default()
    };
    let mut d = Driver::new(&["AAA"], &config);
    // Each rise stops the position out, and the wider gap is entered again.
    for premium in [60.0, 85.0, 110.0, 135.0, 135.0] {
        d.premium[0] = premium;
        d.idle(1);
    }
    let losses = d.closed().iter().filter(|c| c.2 < 0.0).count();
    assert!(losses == 3, "{:?}", d.closed());
    assert_eq!((d.guard("route_loss_streak"), d.decisions()), ((1, 0), 3));
    d.idle(6);
    assert_eq!((d.guard("route_loss_streak"), d.decisions()), ((1, 1), 4));
    recomputable(&d);
}

#[test]
fn exposure_halves_then_blocks_a_symbol() {
    let config = Config {
        entry_pause_ms: 0,
        capital_usd: Money::from_int(2_500),
        max_positions_per_symbol: 10,
        bias_min_open: 100,
        ..Config::default()
    };
    let mut d = Driver::new(&["AAA"], &config);
    d.premium[0] = 60.0;
    d.idle(5);
    assert!(d.guard("exposure_degrade").0 >= 1);
    assert!(d.guard("exposure_block").0 >= 1);
    let sizes: Vec<f64> = d.find(|b| match b {
        Body::Decision { notional_usd, .. } => Some(notional_usd.to_f64()),
        _ => None,
    });
    assert!(sizes.iter().any(|s| *s > 150.0) && sizes.iter().any(|s| *s < 110.0), "{sizes:?}");
    assert!(sizes.iter().sum::<f64>() <= 500.0, "{sizes:?}");
    recomputable(&d);
}

#[test]
fn a_gap_beyond_500_bps_is_bad_data() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    d.premium[0] = 3_000.0;
    d.idle(1);
    assert_eq!(d.decisions(), 0);
    assert_eq!(d.guard("gross_gap"), (1, 0));
    d.premium[0] = 0.0;
    d.idle(1);
    assert_eq!(d.guard("gross_gap"), (1, 1));
    recomputable(&d);
}

#[test]
fn one_direction_only_is_blocked() {
    let config = Config { topn: 5, ..Config::default() };
    let mut d = Driver::new(&["AAA", "BBB", "CCC", "DDD", "EEE"], &config);
    d.premium = vec![60.0; 5];
    d.idle(3);
    assert_eq!(d.guard("directional_bias").0, 1);
    assert!(d.decisions() >= 3 && d.decisions() <= 5);
    recomputable(&d);
}

#[test]
fn the_emergency_stop_latches_closes_and_ends() {
    let config = Config {
        entry_pause_ms: 0,
        emergency_loss_usd: Money::from_int(1),
        loss_streak_route: 100,
        loss_streak_cross: 100,
        ..Config::default()
    };
    let mut d = Driver::new(&["AAA", "BBB"], &config);
    for _ in 0..10 {
        d.premium = vec![60.0, 60.0];
        d.idle(1);
        d.premium = vec![95.0, 60.0];
        d.idle(1);
    }
    assert_eq!(d.end(), Some(("emergency_stop".to_owned(), 0)));
    assert_eq!(d.effects, [Effect::EmergencyExit]);
    assert!(d.alerts().contains(&"RG-EMERGENCY-STOP".to_owned()));
    assert_eq!(d.find(|b| matches!(b, Body::EmergencyStop { .. }).then_some(())).len(), 1);
    recomputable(&d);
}

#[test]
fn the_position_limit_is_pacing_and_recorded_once() {
    let config = Config { max_positions: 1, ..Config::default() };
    let mut d = Driver::new(&["AAA", "BBB"], &config);
    d.premium = vec![60.0, 60.0];
    d.idle(3);
    assert_eq!(d.decisions(), 1);
    assert_eq!(d.find(|b| matches!(b, Body::PositionLimit { .. }).then_some(())).len(), 1);
    assert_eq!(d.core.view().guard_triggers, 0);
}

#[test]
fn a_reconnect_storm_and_an_empty_universe_raise_alerts() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    for _ in 0..6 {
        d.input(Input::ConnDown { conn: 1, venue: Venue::Upbit, reason: "test".to_owned() });
        d.input(Input::ConnUp { conn: 1, venue: Venue::Upbit });
    }
    let storms = d.alerts().iter().filter(|a| *a == "WS-RECONNECT-STORM").count();
    assert_eq!(storms, 1);
    d.wait_ms(1_000);
    d.input(Input::Tick);
    assert_eq!(d.core.view().venues[0].reconnects, 6);
    d.input(Input::Universe { asked: 10, members: Vec::new() });
    assert!(d.alerts().contains(&"UNIVERSE-EMPTY".to_owned()));
}

/// The verdict of the journal for a rule, and the USD of the decisions made while it holds in `hold`.
fn decided(d: &Driver) -> Vec<f64> {
    d.find(|b| if let Body::Decision { notional_usd, .. } = b { Some(notional_usd.to_f64()) } else { None })
}

fn blocked_by(d: &mut Driver, rule: &str) -> u64 {
    // The minute's funnel.
    calm(d, 61);
    let key = format!("blocked:{rule}");
    d.find(|b| match b {
        Body::Funnel { asset: None, counts } => Some(counts.get(&key).copied().unwrap_or(0)),
        _ => None,
    })
    .iter()
    .sum()
}

#[test]
fn every_rule_trips_once_blocks_or_halves_and_recovers() {
    let cases = cases();
    for rule in engine::guards::rules::ALL.iter().filter(|rule| !rule.name.ends_with("_guard_error")) {
        assert!(cases.iter().any(|case| case.rule == rule.name), "{} has no case", rule.name);
    }
    for case in cases {
        let rule = engine::guards::rule_of(case.rule).unwrap();
        let mut d = case.start();
        assert_eq!(d.guard(case.rule), (0, 0), "{}: before", case.rule);
        (case.trip)(&mut d);
        let events = d.find(|b| match b {
            Body::Guard(g) if g.rule == case.rule && g.scope == case.scope => Some(g.clone()),
            _ => None,
        });
        assert_eq!(events.len(), 1, "{}: {events:?}", case.rule);
        assert_eq!((events[0].start, events[0].verdict.as_str()), (true, rule.verdict.as_str()));
        assert_eq!((events[0].guard_type.as_str(), events[0].since), (rule.guard_type, None));
        assert_eq!(events[0].until.is_some(), rule.verdict == Verdict::Cooldown, "{}", case.rule);
        let before = decided(&d).len();
        (case.hold)(&mut d);
        let during = decided(&d)[before..].to_vec();
        match rule.verdict {
            Verdict::Degrade => assert!(
                !during.is_empty() && during.iter().all(|usd| (90.0..110.0).contains(usd)),
                "{}: {during:?}",
                case.rule
            ),
            _ => assert!(during.is_empty(), "{}: {during:?}", case.rule),
        }
        let of = |d: &Driver, start| {
            d.find(|b| match b {
                Body::Guard(g) if g.rule == case.rule && g.scope == case.scope && g.start == start => {
                    Some(g.since)
                }
                _ => None,
            })
        };
        assert_eq!((of(&d, true).len(), of(&d, false).len()), (1, 0), "{}: while it holds", case.rule);
        (case.recover)(&mut d);
        let started = d.entries.iter().find(
            |e| matches!(&e.body, Body::Guard(g) if g.rule == case.rule && g.scope == case.scope && g.start),
        );
        let ends = of(&d, false);
        if case.rule == "emergency_stop" {
            assert_eq!((ends.len(), d.end()), (0, Some(("emergency_stop".to_owned(), 0))));
        } else {
            assert_eq!(ends.first(), Some(&started.map(|e| e.at)), "{}: {:?}", case.rule, of(&d, true));
        }
        let triggers = d.find(|b| matches!(b, Body::Guard(g) if g.start).then_some(())).len();
        assert_eq!(d.core.view().guard_triggers, triggers as u64, "{}", case.rule);
        recomputable(&d);
        if rule.verdict >= Verdict::Cooldown && case.rule != "emergency_stop" {
            let n = blocked_by(&mut d, case.rule);
            assert!(n > 0 || case.rule == "health_frozen", "{}: blocked nothing", case.rule);
        }
    }
}

proptest::proptest! {
    /// Whatever is found, in whatever order it comes and goes: an entry gets the strongest verdict that covers it.
    #[test]
    fn the_strongest_verdict_is_never_hidden(steps in proptest::collection::vec((0usize..30, 0usize..7, 0u8..4), 1..60)) {
        use engine::guards::{Guards, Scope, Thresholds, rules::ALL};
        use journal::record::Direction::{BuyBinance, BuyUpbit};
        let [a, b] = ["AAA", "BBB"].map(|name| market::Asset::new(name).unwrap());
        let scopes = [
            Scope::All,
            Scope::Venue(Venue::Binance),
            Scope::Asset(a),
            Scope::Asset(b),
            Scope::Direction(BuyUpbit),
            Scope::Route(a, BuyUpbit),
            Scope::Route(b, BuyBinance),
        ];
        let mut guards = Guards::new(Thresholds::new(&Config::default()));
        let mut model: std::collections::BTreeMap<(usize, Scope), bool> = std::collections::BTreeMap::new();
        let now = market::Timestamp(0);
        let (mut started, mut ended) = (0, 0);
        for (i, s, what) in steps {
            let (rule, scope) = (ALL[i], scopes[s]);
            if rule.name.ends_with("_guard_error") {
                continue;
            }
            let beyond = if rule.above { 1e12 } else { -1e12 };
            // Beyond its threshold, within it, or none at all.
            match what {
                0 => { guards.judge(now, rule, scope, beyond); model.insert((i, scope), true); }
                1 => { guards.judge(now, rule, scope, -beyond); model.insert((i, scope), false); }
                2 => { guards.judge(now, rule, scope, f64::NAN); }
                _ => { guards.judge(now, rule, scope, None); }
            }
            let failing: Vec<(&str, Scope)> = guards.failing().collect();
            for (asset, direction) in [(a, BuyUpbit), (a, BuyBinance), (b, BuyUpbit), (b, BuyBinance)] {
                let held = model.iter().filter(|((_, scope), holds)| **holds && scope.covers(asset, direction));
                let mut expected = held.map(|((i, _), _)| ALL[*i].verdict).max().unwrap_or(Verdict::Allow);
                if failing.iter().any(|(_, scope)| scope.covers(asset, direction)) {
                    expected = Verdict::Block;
                }
                let mut named = Vec::new();
                let verdict = guards.verdict(asset, direction, |rule| named.push(rule));
                proptest::prop_assert_eq!(verdict, expected);
                proptest::prop_assert_eq!(!named.is_empty(), expected >= Verdict::Cooldown);
            }
            for (_, _, event) in guards.take_events() {
                *(if event.start { &mut started } else { &mut ended }) += 1;
            }
            proptest::prop_assert_eq!(guards.active(), started - ended);
        }
    }
}

#[test]
fn two_findings_halve_once_and_a_block_outweighs_them() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    d.input(Input::Budget { venue: Venue::Upbit, left_bps: 100 });
    (0..5).for_each(|_| d.input(Input::Health { venue: Venue::Binance, rtt_us: 300_000, ok: true }));
    calm(&mut d, 1);
    assert_eq!((d.guard("request_budget"), d.guard("health_degraded_latency")), ((1, 0), (1, 0)));
    d.premium[0] = 80.0;
    calm(&mut d, 1);
    let sizes = decided(&d);
    assert!(sizes.len() == 1 && (90.0..110.0).contains(&sizes[0]), "{sizes:?}");
    d.premium[0] = 0.0;
    calm(&mut d, 61);
    (0..5).for_each(|_| d.input(Input::Health { venue: Venue::Binance, rtt_us: 1_100_000, ok: true }));
    d.premium[0] = 80.0;
    calm(&mut d, 2);
    assert_eq!((d.guard("health_down_latency"), decided(&d).len()), ((1, 0), 1));
}

#[test]
fn pacing_is_no_trigger() {
    let config = Config { entry_pause_ms: 2_000, max_positions_per_symbol: 2, ..Config::default() };
    let mut d = Driver::new(&["AAA"], &config);
    d.premium[0] = 60.0;
    calm(&mut d, 8);
    assert_eq!((d.decisions(), d.core.view().guard_triggers), (2, 0));
    let counts = d.core.view().funnel.by_name();
    assert!(counts["suppressed:entry_pause"] > 0 && counts["suppressed:symbol_positions"] > 0, "{counts:?}");
    assert!(
        !counts.contains_key("blocked") && d.find(|b| matches!(b, Body::Guard(_)).then_some(())).is_empty()
    );
}
