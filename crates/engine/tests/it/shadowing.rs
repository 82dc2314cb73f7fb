//! Shadow positions: blocked intents live on, beside everything that is real.

use crate::driver::Driver;
use crate::scenarios::{calm, cases};
use engine::Config;
use engine::replay;
use journal::record::ExitReason;
use journal::{Body, Entry};
use market::{Money, Timestamp, Venue};
use recording::Input;

/// Blocked by a budget guard that is turned into a block: a score that nothing reaches.
fn blocked() -> Config {
    Config { route_score_min: 101.0, ..Config::default() }
}

fn opened(d: &Driver) -> Vec<(u64, Vec<String>)> {
    d.find(|b| match b {
        Body::ShadowOpened { shadow, rules, .. } => Some((*shadow, rules.clone())),
        _ => None,
    })
}

type Closed = (u64, Option<ExitReason>, Option<Money>);

fn closed(d: &Driver) -> Vec<Closed> {
    d.find(|b| match b {
        Body::ShadowClosed { shadow, reason, net_usd, .. } => Some((*shadow, *reason, *net_usd)),
        _ => None,
    })
}

fn trade(d: &mut Driver) {
    d.premium = vec![60.0];
    calm(d, 2);
    d.premium = vec![0.0];
    calm(d, 3);
}

#[test]
fn a_shadow_makes_what_the_trade_would_have_made() {
    let mut taken = Driver::new(&["AAA"], &Config::default());
    trade(&mut taken);
    let mut shadow = Driver::new(&["AAA"], &blocked());
    trade(&mut shadow);
    assert_eq!((taken.decisions(), opened(&taken).len()), (1, 0));
    assert_eq!((shadow.decisions(), opened(&shadow)), (0, vec![(1, vec!["route_score".to_owned()])]));
    let real = taken.find(|b| match b {
        Body::Closed { reason, net_usd, gross_usd, .. } => Some((*reason, *gross_usd, *net_usd)),
        _ => None,
    });
    let ghost = shadow.find(|b| match b {
        Body::ShadowClosed { reason, net_usd, gross_usd, .. } => {
            Some((reason.unwrap(), gross_usd.unwrap(), net_usd.unwrap()))
        }
        _ => None,
    });
    assert_eq!((real.len(), &real), (1, &ghost));
    assert_eq!(real[0].0, ExitReason::TakeProfit);
    // It took the same way at the same instants.
    let at = |d: &Driver, pick: fn(&Body) -> bool| d.entries.iter().find(|e| pick(&e.body)).unwrap().at;
    assert_eq!(
        at(&taken, |b| matches!(b, Body::Closed { .. })),
        at(&shadow, |b| matches!(b, Body::ShadowClosed { .. }))
    );
}

#[test]
fn one_episode_is_one_shadow_and_the_next_intent_another() {
    let mut d = Driver::new(&["AAA"], &blocked());
    d.premium = vec![60.0];
    calm(&mut d, 5);
    assert_eq!(opened(&d).len(), 1, "while the edge stays and the block holds it is one");
    d.premium = vec![0.0];
    calm(&mut d, 2);
    d.premium = vec![60.0];
    calm(&mut d, 2);
    assert_eq!(opened(&d).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn shadows_leave_for_the_same_reasons() {
    let mut d = Driver::new(&["AAA"], &blocked());
    d.premium = vec![60.0];
    calm(&mut d, 2);
    d.premium = vec![95.0];
    calm(&mut d, 2);
    assert_eq!(closed(&d)[0].1, Some(ExitReason::StopLoss));
    assert!(closed(&d)[0].2.unwrap().is_negative());
    d.premium = vec![0.0];
    calm(&mut d, 1);
    d.premium = vec![60.0];
    calm(&mut d, 182);
    assert_eq!(closed(&d)[1].1, Some(ExitReason::TimeLimit));
    d.premium = vec![0.0];
    calm(&mut d, 1);
    d.premium = vec![60.0];
    calm(&mut d, 1);
    d.input(Input::Shutdown);
    let last = *closed(&d).last().unwrap();
    assert_eq!((last.1, last.2.is_some()), (Some(ExitReason::Shutdown), true), "valued by walking the books");
    assert_eq!(d.end(), Some(("shutdown".to_owned(), 0)), "nothing waits for a shadow");
    assert_eq!(opened(&d).len(), closed(&d).len());
}

#[test]
fn a_shadow_without_a_market_is_given_up() {
    let mut d = Driver::new(&["AAA"], &blocked());
    d.premium = vec![60.0];
    calm(&mut d, 1);
    d.input(Input::ConnDown { conn: 1, venue: Venue::Upbit, reason: "test".to_owned() });
    d.wait_ms(180_000 + 120_000);
    d.input(Input::Tick);
    assert_eq!(closed(&d), [(1, Some(ExitReason::TimeLimit), None)]);
}

#[test]
fn their_number_is_bounded_and_what_is_left_out_is_counted() {
    let config = Config { shadow_max: 1, topn: 3, ..blocked() };
    let mut d = Driver::new(&["AAA", "BBB", "CCC"], &config);
    d.premium = vec![60.0; 3];
    calm(&mut d, 3);
    assert_eq!(opened(&d).len(), 1);
    let left = d.find(|b| match b {
        Body::Figures { guards: Some(guards), .. } => Some(guards.shadows_left_out),
        _ => None,
    });
    assert_eq!(left.last(), Some(&2));
}

/// The journal without its shadows and their setting: what is real.
fn real(entries: &[Entry]) -> Vec<(Timestamp, Body)> {
    let plain = |body: &Body| {
        let mut body = body.clone();
        if let Body::Start { config, .. } = &mut body {
            config.clear();
        }
        body
    };
    let shadow = |e: &&Entry| matches!(e.body, Body::ShadowOpened { .. } | Body::ShadowClosed { .. });
    entries.iter().filter(|e| !shadow(e)).map(|e| (e.at, plain(&e.body))).collect()
}

#[test]
fn a_session_with_shadows_trades_as_one_without() {
    let mut shadows = 0;
    for case in cases() {
        let with = case.play();
        shadows += opened(&with).len();
        let mut records = with.records.clone();
        let Input::Session { config, .. } = &mut records[0].input else { panic!("no session") };
        let off = Config { shadow_max: 0, ..serde_json::from_str(config).unwrap() };
        *config = serde_json::to_string(&off).unwrap();
        let mut without = Vec::new();
        replay(records.into_iter(), |entry| without.push(entry)).unwrap();
        assert!(real(&with.entries) == real(&without), "{}", case.rule);
    }
    assert!(shadows > 10, "{shadows}");
}
