//! Errors inside guards, put there by hand: no market brings them about.

use crate::config::Config;
use crate::driver::Driver;
use crate::guards::{Rule, rules};
use crate::scenarios::calm;
use journal::Body;
use market::{Asset, Money};

fn error_of(rule: &Rule) -> String {
    format!("{}_guard_error", rule.guard_type)
}

fn unknown(d: &Driver) -> Vec<String> {
    d.find(|b| match b {
        Body::Figures { guards: Some(guards), .. } => Some(guards.unknown.clone()),
        _ => None,
    })
    .pop()
    .unwrap()
}

#[test]
fn an_error_inside_any_guard_blocks_is_journalled_and_ends_with_it() {
    // Streaks and the emergency stop count whole numbers that cannot fail.
    let counted = [rules::ROUTE_STREAK, rules::CROSS_STREAK, rules::EMERGENCY];
    let judged = rules::ALL.iter().filter(|rule| !rule.name.ends_with("_error") && !counted.contains(rule));
    for rule in judged {
        let mut d = Driver::new(&["AAA"], &Config::default());
        d.input(recording::Input::Budget { venue: market::Venue::Upbit, left_bps: 9_000 });
        d.input(recording::Input::Budget { venue: market::Venue::Binance, left_bps: 9_000 });
        d.core.guards.poisoned = Some(rule.name);
        calm(&mut d, 1);
        d.premium = vec![80.0];
        calm(&mut d, 2);
        assert_eq!(d.decisions(), 0, "{}", rule.name);
        let error = error_of(rule);
        let (started, ended) = d.guard(&error);
        assert!(started >= 1 && ended == 0, "{}: {started} {ended}", rule.name);
        assert!(unknown(&d).iter().all(|text| text.starts_with(rule.name)) && !unknown(&d).is_empty());
        assert_eq!(d.core.view().guard_triggers, started as u64, "{}", rule.name);
        d.core.guards.poisoned = None;
        calm(&mut d, 2);
        assert_eq!(d.guard(&error), (started, started), "{}: it is back", rule.name);
        assert!(unknown(&d).is_empty(), "{}", rule.name);
        assert_eq!(d.decisions(), 1, "{}", rule.name);
        let counts = d.core.view().funnel.by_name();
        assert!(counts[&format!("blocked:{error}")] > 0, "{counts:?}");
    }
}

#[test]
fn an_exposure_that_does_not_fit_blocks_its_symbol_and_everything() {
    let config = Config { entry_pause_ms: 0, bias_min_open: 100, ..Config::default() };
    let mut d = Driver::new(&["AAA", "BBB"], &config);
    d.premium = vec![60.0, 0.0];
    calm(&mut d, 1);
    d.meddled = true;
    d.core.positions[0].notional_usd = Money(i128::MAX);
    let before = d.decisions();
    calm(&mut d, 2);
    assert_eq!((d.guard("symbol_guard_error"), d.guard("global_guard_error")), ((1, 0), (1, 0)));
    d.premium = vec![60.0, 60.0];
    calm(&mut d, 2);
    assert_eq!(d.decisions(), before, "not even the other symbol");
    d.core.positions[0].notional_usd = Money::from_int(200);
    calm(&mut d, 2);
    assert_eq!((d.guard("symbol_guard_error"), d.guard("global_guard_error")), ((1, 1), (1, 1)));
    assert!(d.decisions() > before);
}

#[test]
fn the_day_begins_anew_before_anything_of_its_first_instant_is_booked() {
    for (offset, hours) in [(crate::DayOffset::Utc, 22), (crate::DayOffset::Kst, 13)] {
        let config = Config { day_offset: offset, ..Config::default() };
        let mut d = Driver::new(&["AAA"], &config);
        d.meddled = true;
        d.core.results.daily_net = Money::from_int(-400);
        d.core.results.venue_daily = [Money::from_int(-250); 2];
        calm(&mut d, 2);
        let rules = ["daily_loss", "venue_daily_loss"];
        assert_eq!(rules.map(|rule| d.guard(rule)), [(1, 0), (2, 0)]);
        // One instant before the boundary, then the boundary itself.
        let boundary = market::Timestamp::from_secs(crate::driver::START + hours * 3_600);
        d.at = market::Timestamp(boundary.0 - 1);
        d.input(recording::Input::Tick);
        assert_eq!(d.core.results.daily_net, Money::from_int(-400));
        d.at = boundary;
        d.input(recording::Input::Tick);
        assert_eq!((d.core.results.daily_net, d.core.results.venue_daily), (Money::ZERO, [Money::ZERO; 2]));
        assert_eq!(rules.map(|rule| d.guard(rule)), [(1, 1), (2, 2)]);
    }
}

#[test]
fn a_loss_during_a_cooldown_counts_for_no_streak() {
    let config = Config { loss_streak_cross: 2, ..Config::default() };
    let mut d = Driver::new(&["AAA"], &config);
    let (asset, direction) = (Asset::new("AAA").unwrap(), journal::record::Direction::BuyUpbit);
    d.meddled = true;
    let lose = |d: &mut Driver| {
        d.core.judge_streaks(asset, direction, Money::from_int(-1));
        d.core.publish_guards();
        d.input(recording::Input::Tick);
    };
    (0..5).for_each(|_| lose(&mut d));
    // Two start the common cooldown, three the route's; the others fall into them.
    assert_eq!((d.guard("cross_loss_streak"), d.guard("route_loss_streak")), ((1, 0), (1, 0)));
    assert_eq!((d.core.results.loss_streak, d.core.results.route_streaks.len()), (0, 0));
    d.wait_ms(900_000);
    d.input(recording::Input::Tick);
    assert_eq!((d.guard("cross_loss_streak"), d.guard("route_loss_streak")), ((1, 1), (1, 1)));
    lose(&mut d);
    assert_eq!(d.guard("cross_loss_streak"), (1, 1), "the streak has started anew");
    lose(&mut d);
    assert_eq!(d.guard("cross_loss_streak"), (2, 1));
    let until = d.find(|b| match b {
        Body::Guard(g) if g.start && g.rule == "cross_loss_streak" => g.until,
        _ => None,
    });
    assert_eq!(until.last(), Some(&market::Timestamp(d.at.0 + 900_000_000_000)));
}
