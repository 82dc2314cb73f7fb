//! Fault scenarios of delivery in virtual time; what is expected is read from the tables.

use crate::bench::{Bench, RUN, fails};
use alerts::{Batch, Desk, Disposition, Reason, Routes, SendError, Status};
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows by notifier and status.
fn tally(b: &Bench) -> BTreeMap<(String, &'static str), usize> {
    let mut out = BTreeMap::new();
    for row in b.deliveries() {
        *out.entry((row.notifier, row.status.as_str())).or_default() += 1;
    }
    out
}

fn of(tally: &BTreeMap<(String, &'static str), usize>, notifier: &str, status: &'static str) -> usize {
    tally.get(&(notifier.to_owned(), status)).copied().unwrap_or_default()
}

#[test]
fn a_dead_notifier_is_left_alone_and_everything_arrives_through_the_next() {
    let mut b = Bench::with_own_spool(&["first", "second"]);
    b.script("first").always = Some(Reason::Network);
    for n in 0..30 {
        b.raise("LEG-ORPHANED", &n.to_string());
        b.run(1);
    }
    b.run(20);
    let c = b.store().conservation(RUN, None).unwrap();
    // The thirty, and NOTIFIER-DEGRADED through the second.
    assert!(c.holds());
    assert_eq!((c.raised, c.delivered, c.dlq, c.pending), (31, 31, 0, 0));
    let tally = tally(&b);
    assert_eq!((of(&tally, "first", "FAILED"), of(&tally, "second", "SENT")), (30, 31));
    let (alerts, rows) = b.store().rows(RUN, None).unwrap();
    let told = alerts.iter().find(|a| a.rule_id == "NOTIFIER-DEGRADED").unwrap();
    assert_eq!((told.source.as_str(), told.labels["notifier"].as_str()), ("dispatcher", "first"));
    let by: Vec<&str> =
        rows.iter().filter(|d| d.alert_id == told.alert_id).map(|d| d.notifier.as_str()).collect();
    assert_eq!(by, ["second"], "the degraded one does not tell of itself");
    assert_eq!(b.metric("notifier_available{notifier=\"first\"}"), 0.0);
    let open = b.metric("alert_failed_total{notifier=\"first\",reason=\"circuit_open\"}");
    let network = b.metric("alert_failed_total{notifier=\"first\",reason=\"network\"}");
    assert_eq!(open + network, 30.0);
    // Five failures opened it; from then on an attempt a minute, when it is half-open.
    assert!(b.script("first").tries.len() < 10, "{}", b.script("first").tries.len());
    assert_eq!(b.metric("alert_fallback_total{notifier=\"first\"}"), 30.0);
}

#[test]
fn a_slow_notifier_times_out_and_is_retried() {
    let mut b = Bench::new(&["first", "second"]);
    b.script("first").takes = Duration::from_secs(5);
    b.script("first").always = Some(Reason::Timeout);
    b.raise("LEG-ORPHANED", "a");
    b.run(40);
    let rows = b.deliveries();
    assert_eq!((rows[0].status, rows[0].attempt), (Status::Failed, 4));
    assert_eq!(rows[0].last_error.as_deref(), Some("timeout: scripted"));
    assert_eq!((rows[1].status, rows[1].notifier.as_str()), (Status::Sent, "second"));
    // Four attempts of 5 s, and pauses of 1, 2 and 4 s, a fifth up and down.
    let ms = rows[1].latency_ms.unwrap();
    assert!((25_600..=29_500).contains(&ms), "{ms}");
}

#[test]
fn a_flapping_notifier_opens_and_closes_its_circuit() {
    let mut b = Bench::new(&["first", "second"]);
    let mut seen = Vec::new();
    for round in 0..3 {
        b.script("first").outcomes.extend((0..5).map(|_| fails(Reason::Rejected)));
        for n in 0..6 {
            b.raise("LEG-ORPHANED", &format!("{round}-{n}"));
        }
        b.run(1);
        seen.push(b.metric("notifier_available{notifier=\"first\"}"));
        // Half-open after a minute: one attempt closes it.
        b.advance(Duration::from_secs(61));
        b.raise("LEG-ORPHANED", &format!("{round}-after"));
        b.run(1);
        seen.push(b.metric("notifier_available{notifier=\"first\"}"));
    }
    assert_eq!(seen, [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    let tally = tally(&b);
    assert_eq!((of(&tally, "first", "FAILED"), of(&tally, "first", "SENT")), (18, 3));
    assert_eq!((of(&tally, "second", "SENT"), of(&tally, "second", "DLQ")), (18, 0));
}

#[test]
fn a_probe_that_works_does_not_close_a_circuit_before_its_time() {
    let mut b = Bench::new(&["first", "second"]);
    b.config.probe_every = Duration::from_secs(5);
    b.restart();
    b.script("first").always = Some(Reason::Unauthorized);
    for n in 0..5 {
        b.raise("LEG-ORPHANED", &n.to_string());
    }
    b.run(30);
    assert_eq!(b.metric("notifier_available{notifier=\"first\"}"), 0.0, "getMe works, sendMessage does not");
    b.run(40);
    assert_eq!(b.metric("notifier_available{notifier=\"first\"}"), 1.0, "half-open, and the probe works");
}

#[test]
fn what_is_stored_only_leaves_in_one_message_every_five_minutes() {
    let mut b = Bench::new(&["first", "second"]);
    let every = Duration::from_secs(300);
    b.config.routes = Routes::production().with_batch(Some(Batch { to: "second".to_owned(), every }));
    b.restart();
    for n in 0..20 {
        b.raise("RATE-LOW", &n.to_string());
    }
    b.raise("LEG-ORPHANED", "urgent");
    b.run(2);
    assert_eq!(b.script("first").sent.len(), 1, "a P1 waits for nothing");
    assert!(b.script("second").sent.is_empty());
    assert_eq!(b.store().conservation(RUN, None).unwrap().pending, 20);
    b.run(300);
    assert_eq!(b.script("second").sent.len(), 1, "one message");
    assert!(b.script("second").sent[0].starts_with("batch-") && b.script("second").sent[0].ends_with("-20"));
    assert_eq!(b.metric("alert_sent_total{notifier=\"second\"}"), 20.0, "counted by deliveries");
    // At the end there is no next interval.
    b.raise("RATE-LOW", "late");
    b.run(1);
    assert_eq!(b.running.as_mut().unwrap().1.flush_batches().unwrap(), 1);
    b.run(1);
    assert_eq!(b.script("second").sent.len(), 2);
    let c = b.store().conservation(RUN, None).unwrap();
    assert_eq!((c.delivered, c.pending, c.dlq), (22, 0, 0));
}

#[test]
fn a_batch_that_cannot_be_sent_falls_back_row_by_row() {
    let mut b = Bench::new(&["first", "local_log"]);
    let every = Duration::from_secs(300);
    b.config.routes = Routes::production().with_batch(Some(Batch { to: "first".to_owned(), every }));
    b.restart();
    b.script("first").outcomes.push_back(fails(Reason::Unauthorized));
    for n in 0..3 {
        b.raise("RATE-LOW", &n.to_string());
    }
    b.run(302);
    let tally = tally(&b);
    assert_eq!((of(&tally, "first", "FAILED"), of(&tally, "local_log", "SENT")), (3, 3));
}

#[test]
fn a_profile_may_throttle_a_rule_otherwise() {
    let mut b = Bench::new(&["first"]);
    b.config.routes = Routes::paper()
        .with_throttle(BTreeMap::from([("HEALTH-DOWN".to_owned(), 0), ("LEG-ORPHANED".to_owned(), 3_600)]));
    b.restart();
    for rule in ["HEALTH-DOWN", "HEALTH-DOWN", "LEG-ORPHANED", "LEG-ORPHANED"] {
        b.raise(rule, "same");
    }
    b.run(1);
    let dispositions: Vec<Disposition> =
        b.store().rows(RUN, None).unwrap().0.into_iter().map(|a| a.disposition).collect();
    use Disposition::{Deliver, Throttled};
    assert_eq!(dispositions, [Deliver, Deliver, Deliver, Throttled]);
}

#[test]
fn a_wait_that_was_asked_for_is_kept_and_a_refusal_is_final() {
    let mut b = Bench::new(&["first", "second"]);
    let busy =
        SendError { retry_after: Some(Duration::from_secs(7)), ..SendError::new(Reason::RateLimited, "429") };
    b.script("first").outcomes.extend([Err(busy), Ok(()), fails(Reason::Rejected)]);
    b.raise("LEG-ORPHANED", "a");
    b.run(10);
    b.raise("LEG-ORPHANED", "b");
    b.run(10);
    let first = b.script("first").tries.clone();
    assert_eq!(first.len(), 3, "two for the one, one for the other");
    let waited = first[1].1 - first[0].1;
    assert!((7_000_000_000..7_200_000_000).contains(&waited), "{waited}");
    assert_eq!(b.script("second").sent, [first[2].0.clone()]);
}

#[test]
fn dead_letters_are_replayed_and_discarded_with_a_name_and_a_reason() {
    let mut b = Bench::new(&["local_log"]);
    b.script("local_log").always = Some(Reason::Io);
    for n in 0..3 {
        b.raise("LEG-ORPHANED", &n.to_string());
    }
    b.run(20);
    let mut desk = Desk::open(&b.config.database).unwrap();
    let ids: Vec<i64> = desk.list(Some(RUN)).unwrap().iter().map(|row| row.delivery_id).collect();
    assert_eq!(ids.len(), 3);
    assert!(desk.discard(ids[0], "kim", " ").is_err(), "without a reason nothing is done");
    assert!(desk.discard(ids[0], "kim", "a drill of mine").unwrap());
    assert!(!desk.discard(ids[0], "kim", "again").unwrap(), "it is none any more");
    assert!(desk.release(ids[1], "kim", "the disk has room again").unwrap());
    // The one behind it is a real local log, which works.
    let mut config = b.config.clone();
    config.notifiers = vec![alerts::NotifierConfig::LocalLog { path: b.folder.path().join("log") }];
    let ended = desk.send(&config, &ids[1..2], Duration::from_secs(20)).unwrap();
    assert_eq!((ended.sent.as_slice(), ended.dead.len(), ended.open.len()), (&ids[1..2], 0, 0));
    let audit = desk.audit(Some(RUN)).unwrap();
    let told: Vec<(&str, i64, &str, &str)> =
        audit.iter().map(|r| (r.action.as_str(), r.delivery_id, r.who.as_str(), r.why.as_str())).collect();
    let expected =
        [("discard", ids[0], "kim", "a drill of mine"), ("replay", ids[1], "kim", "the disk has room again")];
    assert_eq!(told, expected);
    assert_eq!(audit[0].last_error.as_deref(), Some("io: scripted"));
    let statuses: Vec<Status> = ids.iter().map(|id| desk.show(*id).unwrap().unwrap().0.status).collect();
    assert_eq!(statuses, [Status::Cancelled, Status::Sent, Status::Dlq]);
    assert!(std::fs::read_to_string(b.folder.path().join("log")).unwrap().contains("LEG-ORPHANED"));
}
