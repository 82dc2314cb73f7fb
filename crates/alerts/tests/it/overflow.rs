//! More alerts of one kind than can be sent: they are counted, and one summary tells of them.

use crate::bench::{Bench, RUN, fails};
use alerts::{AlertRecord, Disposition, Reason, Routes, Status};
use std::time::Duration;

fn bench(limit: u32) -> Bench {
    let mut b = Bench::new(&["first", "second"]);
    b.config.routes = Routes::paper().with_overflow(limit);
    b.restart();
    b
}

fn summaries(b: &Bench) -> Vec<AlertRecord> {
    let (alerts, _) = b.store().rows(RUN, None).unwrap();
    alerts.into_iter().filter(|a| a.labels.contains_key("coalesced")).collect()
}

#[test]
fn the_first_are_sent_the_rest_is_counted_and_told_of_once() {
    let mut b = bench(3);
    // A P0 that is never throttled.
    for _ in 0..10 {
        b.raise("SYS-REDIS-LOST", "redis");
    }
    b.raise("SYS-REDIS-LOST", "another");
    b.take_in();
    let c = b.store().conservation(RUN, None).unwrap();
    assert!(c.holds());
    assert_eq!((c.raised, c.pending, c.aggregated), (11, 4, 7));
    assert!(summaries(&b).is_empty(), "as long as they wait there is nothing new to say");
    b.restart();
    b.running.as_mut().unwrap().0.come_back().unwrap();
    b.run(3);
    let told = summaries(&b);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].labels["coalesced"].as_str(), told[0].title.as_str()), ("7", "7 more: title"));
    assert_eq!((told[0].rule_id.as_str(), told[0].severity.as_str()), ("SYS-REDIS-LOST", "P0"));
    assert_eq!(b.script("first").sent.len(), 5, "four and the summary");
    assert_eq!(b.script("first").sent.last(), Some(&told[0].alert_id));
    // It is over: the next one is sent like any other.
    b.raise("SYS-REDIS-LOST", "redis");
    b.run(2);
    let c = b.store().conservation(RUN, None).unwrap();
    assert!(c.holds());
    assert_eq!((c.raised, c.delivered, c.aggregated, c.pending), (13, 6, 7, 0));
    assert_eq!(b.metric("alert_by_rule_total{outcome=\"aggregated\",rule_id=\"SYS-REDIS-LOST\"}"), 7.0);
    assert_eq!(b.metric("alert_raised_total{severity=\"P0\"}"), 13.0, "counted back at the restart");
}

#[test]
fn an_overflow_that_lasts_is_told_of_every_minute() {
    let mut b = bench(2);
    for name in ["first", "second"] {
        b.script(name).always = Some(Reason::RateLimited);
    }
    for _ in 0..100 {
        b.raise("SYS-REDIS-LOST", "redis");
        b.take_in();
        b.advance(Duration::from_millis(1_500));
    }
    let told: Vec<u64> = summaries(&b).iter().map(|a| a.labels["coalesced"].parse().unwrap()).collect();
    assert_eq!(told.len(), 2, "in two and a half minutes: {told:?}");
    assert!(told.iter().all(|n| *n >= 39), "{told:?}");
    // A kill changes nothing: what was counted is in the store.
    b.restart();
    for name in ["first", "second"] {
        b.script(name).always = None;
    }
    b.run(3);
    let told: u64 = summaries(&b).iter().map(|a| a.labels["coalesced"].parse::<u64>().unwrap()).sum();
    let c = b.store().conservation(RUN, None).unwrap();
    assert!(c.holds());
    assert_eq!((c.raised, c.aggregated, c.delivered, told), (103, 98, 5, 98));
}

#[test]
fn what_is_past_routing_and_what_is_stored_only_is_never_counted() {
    let mut b = bench(1);
    let now = b.at();
    for _ in 0..5 {
        b.spool().raise("DRILL", "t", "m", Default::default(), now).unwrap();
        b.raise("NOTIFIER-DEGRADED", "");
    }
    b.take_in();
    let (alerts, rows) = b.store().rows(RUN, None).unwrap();
    assert!(alerts.iter().all(|a| a.disposition != Disposition::Aggregated));
    assert_eq!(rows.len(), 10);
}

/// A dead letter does not wait: it makes room.
#[test]
fn what_died_does_not_count_as_waiting() {
    let mut b = bench(1);
    for name in ["first", "second"] {
        b.script(name).outcomes.push_back(fails(Reason::Rejected));
    }
    b.raise("SYS-REDIS-LOST", "redis");
    b.run(1);
    b.raise("SYS-REDIS-LOST", "redis");
    b.run(1);
    let statuses: Vec<Status> = b.deliveries().iter().map(|d| d.status).collect();
    assert_eq!(statuses, [Status::Failed, Status::Dlq, Status::Sent]);
}
