//! The dispatcher as it runs: threads, local log, settle.

use crate::bench::registry;
use alerts::{AlertConfig, Dispatcher, NotifierConfig, RetryPolicy, Routes, Spool, Store};
use exposition::Format;
use market::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn config(folder: &Path, log: &Path) -> AlertConfig {
    AlertConfig {
        notifiers: vec![NotifierConfig::LocalLog { path: log.to_owned() }],
        routes: Routes::default(),
        probe_every: Duration::from_secs(5),
        retry: RetryPolicy { first: Duration::from_millis(5), ..RetryPolicy::default() },
        ..crate::bench::config(folder, "r.main")
    }
}

fn now() -> Timestamp {
    Timestamp(0).plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

#[test]
fn what_was_raised_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("alerts.log");
    let r = registry();
    let handle = Dispatcher::start(config(folder.path(), &log), &r).unwrap();
    assert!(r.encode(Format::Text004).contains("notifier_available{notifier=\"local_log\"} 1\n"));
    assert_eq!(handle.settle(Duration::from_secs(30)).pending, 0, "sources that do not exist hold nothing");
    let mut spool = Spool::open(&folder.path().join("spool.jsonl"), "r.main").unwrap();
    for _ in 0..50 {
        spool.raise("DRILL", "drill", "all well", BTreeMap::new(), now()).unwrap();
    }
    assert_eq!(handle.settle(Duration::from_secs(60)).pending, 0);
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 50);
    assert!(r.encode(Format::Text004).contains("alert_sent_total{notifier=\"local_log\"} 50\n"));
    handle.stop();
    let c = Store::open(&folder.path().join("alerts.db")).unwrap().conservation("r.main", None).unwrap();
    assert!(c.holds());
    assert_eq!(c.delivered, 50);
}

#[test]
fn a_log_that_cannot_be_written_is_seen_and_its_alerts_are_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("missing").join("alerts.log");
    let r = registry();
    let handle = Dispatcher::start(config(folder.path(), &log), &r).unwrap();
    assert!(r.encode(Format::Text004).contains("notifier_available{notifier=\"local_log\"} 0.5\n"));
    let mut spool = Spool::open(&folder.path().join("spool.jsonl"), "r.main").unwrap();
    spool.raise("DRILL", "drill", "all well", BTreeMap::new(), now()).unwrap();
    assert_eq!(handle.settle(Duration::from_secs(60)).pending, 0);
    assert!(r.encode(Format::Text004).contains("alert_dlq_total{notifier=\"local_log\"} 1\n"));
    drop(handle);
    assert_eq!(Store::open(&folder.path().join("alerts.db")).unwrap().dead_letters(None).unwrap().len(), 1);
}
