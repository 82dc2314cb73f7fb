//! Alerts that are no guard's, and those of guards that block nothing: raised when their condition begins, once, and again after it
//! was over.

use crate::driver::Driver;
use engine::Config;
use market::Venue;
use recording::Input;

fn count(d: &Driver, rule: &str) -> usize {
    d.alerts().iter().filter(|raised| *raised == rule).count()
}

#[test]
fn a_rate_that_nothing_carries_is_told_once_and_again_after_it_was_back() {
    let mut d = Driver::new(&["AAA"], &Config::default());
    for round in 1..=2 {
        d.input(Input::ConnDown { conn: 1, venue: Venue::Upbit, reason: "test".to_owned() });
        d.wait_ms(29_000);
        d.input(Input::Tick);
        assert_eq!(count(&d, "FX-SOURCE-DOWN"), round - 1, "not before 30 s");
        d.wait_ms(40_000);
        d.input(Input::Tick);
        assert_eq!((count(&d, "FX-SOURCE-DOWN"), count(&d, "FX-ALL-DOWN")), (round, round));
        d.input(Input::ConnUp { conn: 1, venue: Venue::Upbit });
        d.idle(2);
    }
}

#[test]
fn a_rate_far_from_what_the_universe_implies_is_told() {
    let mut d = Driver::new(&["AAA", "BBB", "CCC"], &Config::default());
    d.idle(3);
    assert_eq!(count(&d, "FX-DEVIATION"), 0);
    // The members go on implying 1 400.
    d.fx = 1_400.0 * 1.06;
    d.idle(15);
    assert_eq!(count(&d, "FX-DEVIATION"), 1);
    // Two markets judge no rate.
    let mut d = Driver::new(&["AAA", "BBB"], &Config::default());
    d.fx = 1_400.0 * 1.06;
    d.idle(15);
    assert_eq!(count(&d, "FX-DEVIATION"), 0);
}

#[test]
fn silence_of_the_strategy_is_told_at_its_interval() {
    let mut config = Config::default();
    config.alerts.quiet_ms = 5_000;
    let mut d = Driver::new(&["AAA"], &config);
    d.idle(12);
    assert_eq!(count(&d, "LOW-ACTIVITY"), 2);
    config.alerts.quiet_ms = 0;
    let mut d = Driver::new(&["AAA"], &config);
    d.idle(12);
    assert_eq!(count(&d, "LOW-ACTIVITY"), 0);
}

#[test]
fn guards_that_only_halve_are_told_too_and_many_triggers_are_overactive() {
    let mut config = Config::default();
    config.alerts.guard_triggers_per_h = 3;
    let mut d = Driver::new(&["AAA"], &config);
    for _ in 0..4 {
        d.input(Input::Budget { venue: Venue::Upbit, left_bps: 1_000 });
        d.idle(1);
        d.input(Input::Budget { venue: Venue::Upbit, left_bps: 9_000 });
        d.idle(1);
    }
    assert_eq!(count(&d, "RATE-LOW"), 4, "the dispatcher throttles, not the engine");
    assert_eq!(count(&d, "RG-OVERACTIVE"), 1);
}
