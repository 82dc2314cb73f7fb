//! Throttle, routes, retries, fallback, dead letters, cursors.

use crate::bench::{Bench, RUN, START, fails};
use alerts::{Disposition, LocalLog, Notifier, Reason, SendError, Status};
use journal::file::Writer;
use journal::{AlertFields, Body, Entry};
use market::Timestamp;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

#[test]
fn an_alert_is_delivered_and_measured() {
    let mut b = Bench::new(&["first"]);
    b.raise("HEALTH-DOWN", "upbit");
    b.advance(Duration::from_millis(250));
    b.run(1);
    let d = &b.deliveries()[0];
    assert_eq!((d.status, d.attempt, d.latency_ms), (Status::Sent, 1, Some(250)));
    assert_eq!(b.metric("alert_raised_total{severity=\"P1\"}"), 1.0);
    assert_eq!(b.metric("alert_sent_total{notifier=\"first\"}"), 1.0);
    assert_eq!(b.metric("alert_delivery_latency_seconds_sum{notifier=\"first\"}"), 0.25);
    assert_eq!(b.metric("alert_by_rule_total{outcome=\"sent\",rule_id=\"HEALTH-DOWN\"}"), 1.0);
    assert_eq!(b.metric("notifier_available{notifier=\"first\"}"), 1.0);
}

#[test]
fn counters_exist_at_zero_from_the_start() {
    let mut b = Bench::new(&["first", "second"]);
    b.step();
    b.running.as_mut().unwrap().1.measure().unwrap();
    for severity in ["P0", "P1", "P2", "P3"] {
        assert_eq!(b.metric(&format!("alert_raised_total{{severity=\"{severity}\"}}")), 0.0);
    }
    for notifier in ["first", "second"] {
        for name in ["alert_sent_total", "alert_retry_total", "alert_dlq_total", "alert_fallback_total"] {
            assert_eq!(b.metric(&format!("{name}{{notifier=\"{notifier}\"}}")), 0.0);
        }
        for reason in Reason::ALL {
            let reason = reason.as_str();
            assert_eq!(
                b.metric(&format!("alert_failed_total{{notifier=\"{notifier}\",reason=\"{reason}\"}}")),
                0.0
            );
        }
    }
    for name in ["alert_throttled_total", "alert_queue_depth", "alert_oldest_pending_seconds"] {
        assert_eq!(b.metric(name), 0.0);
    }
}

#[test]
fn a_transient_failure_is_retried_with_growing_pauses() {
    let mut b = Bench::new(&["first"]);
    b.script("first").outcomes.extend([fails(Reason::Network), fails(Reason::Server)]);
    b.raise("LEG-ORPHANED", "");
    b.run(6);
    let d = &b.deliveries()[0];
    assert_eq!((d.status, d.attempt), (Status::Sent, 3));
    assert_eq!(d.last_error.as_deref(), Some("server: scripted"));
    let tries: Vec<i64> = b.script("first").tries.iter().map(|t| (t.1 - START) / 1_000_000).collect();
    // 1 s and 2 s, 20 % up and down, seen every 100 ms.
    assert!((800..=1300).contains(&(tries[1] - tries[0])), "{tries:?}");
    assert!((1600..=2500).contains(&(tries[2] - tries[1])), "{tries:?}");
    assert_eq!(b.metric("alert_retry_total{notifier=\"first\"}"), 2.0);
    assert_eq!(b.metric("alert_failed_total{notifier=\"first\",reason=\"network\"}"), 0.0);
}

#[test]
fn retry_after_is_honoured_within_bounds() {
    let mut b = Bench::new(&["first"]);
    let wait = |s| {
        Err(SendError {
            retry_after: Some(Duration::from_secs(s)),
            ..SendError::new(Reason::RateLimited, "429")
        })
    };
    b.script("first").outcomes.extend([wait(10), wait(100_000)]);
    b.raise("LEG-ORPHANED", "");
    b.run(80);
    let tries: Vec<i64> = b.script("first").tries.iter().map(|t| (t.1 - START) / 1_000_000_000).collect();
    assert_eq!(tries, [0, 10, 70]);
}

#[test]
fn a_permanent_failure_is_not_retried_and_falls_back() {
    let mut b = Bench::new(&["first", "second"]);
    b.script("first").outcomes.push_back(fails(Reason::Unauthorized));
    b.raise("HEALTH-DOWN", "upbit");
    b.run(1);
    let d = b.deliveries();
    assert_eq!((d[0].status, d[0].attempt, d[0].notifier.as_str()), (Status::Failed, 1, "first"));
    assert_eq!((d[1].status, d[1].notifier.as_str()), (Status::Sent, "second"));
    assert_eq!(d[1].fallback_of, Some(d[0].delivery_id));
    assert_eq!(b.metric("alert_fallback_total{notifier=\"first\"}"), 1.0);
    assert_eq!(b.metric("alert_failed_total{notifier=\"first\",reason=\"unauthorized\"}"), 1.0);
    assert_eq!(b.metric("alert_dlq_total{notifier=\"second\"}"), 0.0);
}

#[test]
fn a_spent_chain_ends_in_the_dead_letters() {
    let mut b = Bench::new(&["first", "second"]);
    b.script("first").outcomes.push_back(fails(Reason::Rejected));
    b.script("second").outcomes.extend((0..4).map(|_| fails(Reason::Timeout)));
    let id = b.raise("HEALTH-DOWN", "upbit");
    b.run(12);
    let dead = b.store().dead_letters(None).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].alert_id.as_str(), dead[0].notifier.as_str(), dead[0].attempt),
        (id.as_str(), "second", 4)
    );
    assert_eq!(b.metric("alert_dlq_total{notifier=\"second\"}"), 1.0);
    assert!(b.script("second").sent.is_empty());
    let c = b.store().conservation(RUN, None).unwrap();
    assert!(c.holds());
    assert_eq!((c.raised, c.dlq), (1, 1));
}

#[test]
fn throttled_and_stored_alerts_are_not_failures() {
    let mut b = Bench::new(&["first"]);
    b.raise("HEALTH-DOWN", "upbit");
    b.raise("HEALTH-DOWN", "binance");
    b.raise("HEALTH-DOWN", "upbit");
    b.raise("NOTIFIER-DEGRADED", "");
    b.run(1);
    b.advance(Duration::from_secs(300));
    b.raise("HEALTH-DOWN", "upbit");
    b.run(1);
    let dispositions: Vec<Disposition> =
        b.store().rows(RUN, None).unwrap().0.into_iter().map(|a| a.disposition).collect();
    use Disposition::{Deliver, StoreOnly, Throttled};
    assert_eq!(dispositions, [Deliver, Deliver, Throttled, StoreOnly, Deliver]);
    assert_eq!(b.metric("alert_throttled_total"), 1.0);
    let c = b.store().conservation(RUN, Some("main")).unwrap();
    assert_eq!((c.raised, c.delivered, c.throttled, c.store_only, c.dlq), (5, 3, 1, 1, 0));
    assert!(c.holds());
}

#[test]
fn drills_and_verdicts_reach_each_notifier_past_routing() {
    let mut b = Bench::new(&["first", "second", "third"]);
    b.script("second").outcomes.push_back(fails(Reason::Rejected));
    let now = b.at();
    let drill = b.spool().raise("DRILL", "drill", "drill", BTreeMap::new(), now).unwrap();
    let again = b.spool().raise("DRILL", "drill", "drill", BTreeMap::new(), now).unwrap();
    assert_eq!((drill.as_str(), again.as_str()), ("r1.main-s1", "r1.main-s2"));
    b.run(1);
    assert_eq!(b.script("first").sent, [drill.clone(), again.clone()]);
    assert_eq!(b.script("third").sent, [drill.clone(), again.clone()]);
    assert_eq!(b.script("second").sent, [again]);
    let dead = b.store().dead_letters(Some(RUN)).unwrap();
    assert_eq!((dead.len(), dead[0].notifier.as_str()), (1, "second"));
    assert_eq!(b.store().rows(RUN, None).unwrap().0[0].source, "shell");
}

#[test]
fn the_cursor_survives_a_restart_and_nothing_is_stored_twice() {
    let mut b = Bench::new(&["first"]);
    b.raise("LEG-ORPHANED", "a");
    b.take_in();
    b.raise("LEG-ORPHANED", "b");
    b.restart();
    b.run(1);
    b.restart();
    assert_eq!(b.take_in(), 0);
    // Even without its cursor: alerts are known by their ids.
    std::fs::copy(b.folder.path().join("journal.jsonl"), b.folder.path().join("copy.jsonl")).unwrap();
    b.config.sources[0] = b.folder.path().join("copy.jsonl");
    b.restart();
    b.run(1);
    assert_eq!(b.store().rows(RUN, None).unwrap().0.len(), 2);
    assert_eq!(b.script("first").sent.len(), 2);
}

#[test]
fn a_lost_lease_returns() {
    let mut b = Bench::new(&["first"]);
    b.raise("LEG-ORPHANED", "");
    b.take_in();
    // A worker that was killed between claim and record.
    let db = rusqlite::Connection::open(&b.config.database).unwrap();
    let until = b.at().plus(Duration::from_secs(15)).0;
    db.execute("UPDATE alert_deliveries SET status='SENDING', attempt=1, lease_until=?1", [until]).unwrap();
    b.restart();
    b.run(14);
    assert!(b.script("first").sent.is_empty());
    b.run(2);
    let d = &b.deliveries()[0];
    assert_eq!((d.status, d.attempt), (Status::Sent, 2));
}

#[test]
fn half_lines_wait_and_damaged_lines_are_told() {
    let mut b = Bench::new(&["first"]);
    b.raise("LEG-ORPHANED", "a");
    let path = b.config.sources[0].clone();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    assert_eq!(b.take_in(), 0);
    std::fs::File::options().append(true).open(&path).unwrap().write_all(&whole[whole.len() - 5..]).unwrap();
    assert_eq!(b.take_in(), 1);
    std::fs::File::options().append(true).open(&path).unwrap().write_all(b"00000000 {}\n").unwrap();
    assert_eq!(b.take_in(), 1);
    b.restart();
    assert_eq!(b.take_in(), 0);
    let alerts = b.store().rows(RUN, None).unwrap().0;
    assert_eq!((alerts[1].rule_id.as_str(), alerts[1].source.as_str()), ("STATE-SAVE-FAILED", "dispatcher"));
}

#[test]
fn a_torn_spool_is_continued() {
    let b = Bench::new(&["first"]);
    let now = Timestamp(START);
    b.spool().raise("DRILL", "t", "m", BTreeMap::new(), now).unwrap();
    let path = &b.config.sources[1];
    std::fs::File::options().append(true).open(path).unwrap().write_all(b"0011 {\"torn").unwrap();
    assert_eq!(b.spool().raise("DRILL", "t", "m", BTreeMap::new(), now).unwrap(), "r1.main-s2");
    assert_eq!(journal::file::Reader::open(path).unwrap().map(Result::unwrap).count(), 2);
}

#[test]
fn an_open_circuit_goes_to_the_next_and_closes_again() {
    let mut b = Bench::new(&["first", "second"]);
    b.script("first").outcomes.extend((0..5).map(|_| fails(Reason::Rejected)));
    for i in 0..7 {
        b.raise("LEG-ORPHANED", &i.to_string());
    }
    b.run(1);
    assert_eq!(b.metric("notifier_available{notifier=\"first\"}"), 0.0);
    assert_eq!(b.metric("alert_failed_total{notifier=\"first\",reason=\"circuit_open\"}"), 2.0);
    assert_eq!(b.script("second").sent.len(), 7);
    b.run(62);
    assert_eq!(b.metric("notifier_available{notifier=\"first\"}"), 1.0, "the probe closed it");
}

#[test]
fn the_store_and_logs_are_private() {
    let mut b = Bench::new(&["first"]);
    b.raise("LEG-ORPHANED", "");
    b.run(1);
    let _ = b.spool();
    let log = b.folder.path().join("log.jsonl");
    LocalLog::new(log.clone()).probe().unwrap();
    for file in [&b.config.database, &b.config.sources[1], &log] {
        assert_eq!(
            std::fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600,
            "{}",
            file.display()
        );
    }
    let wal = b.config.database.with_extension("db-wal");
    assert_eq!(std::fs::metadata(wal).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_newer_store_is_refused() {
    let b = Bench::new(&["first"]);
    rusqlite::Connection::open(&b.config.database).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let e = alerts::Store::open(&b.config.database).unwrap_err();
    assert!(e.to_string().contains("newer"), "{e}");
}

/// A restart of the runner would cut it, and its number would be another alert's.
#[test]
fn an_alert_of_an_unfinished_input_is_none_yet() {
    let mut b = Bench::new(&["first"]);
    let entry = |seq: u64, commit: bool| {
        let body = Body::from(AlertFields {
            alert_id: format!("{RUN}-{seq}"),
            rule_id: "HEALTH-DOWN".to_owned(),
            title: "title".to_owned(),
            message: "message".to_owned(),
            labels: BTreeMap::new(),
            key: seq.to_string(),
        });
        Entry { seq, input_seq: 7, at: Timestamp(START), commit, body }
    };
    let mut journal = Writer::append(&b.config.sources[0]).unwrap();
    journal.write_batch(&[entry(1, true), entry(2, false)]).unwrap();
    assert_eq!((b.take_in(), b.take_in()), (1, 0));
    journal.write_batch(&[entry(3, true)]).unwrap();
    assert_eq!(b.take_in(), 2);
}

#[test]
fn counters_go_on_after_a_restart() {
    let mut b = Bench::new(&["first"]);
    b.script("first").outcomes.push_back(fails(Reason::Server));
    for _ in 0..3 {
        b.raise("HEALTH-DOWN", "upbit");
    }
    b.raise("FX-STALE", "");
    b.advance(Duration::from_millis(250));
    b.run(60);
    let names = [
        "alert_raised_total{severity=\"P1\"}",
        "alert_throttled_total",
        "alert_sent_total{notifier=\"first\"}",
        "alert_retry_total{notifier=\"first\"}",
        "alert_failed_total{notifier=\"first\",reason=\"server\"}",
        "alert_delivery_latency_seconds_count{notifier=\"first\"}",
        "alert_by_rule_total{outcome=\"sent\",rule_id=\"HEALTH-DOWN\"}",
    ];
    let figures = |b: &Bench| names.map(|name| b.metric(name));
    let before = figures(&b);
    assert!(before[2] >= 2.0 && before[3] >= 1.0, "{before:?}");
    b.restart();
    b.running.as_mut().unwrap().0.come_back().unwrap();
    assert_eq!(figures(&b), before);
}
