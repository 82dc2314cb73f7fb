//! The dispatcher as it runs: threads, local log, settle.

use crate::bench::registry;
use crate::faulty::{Server, Weather};
use alerts::{
    AlertConfig, AlertError, Dispatcher, NotifierConfig, RetryPolicy, Routes, Spool, Store, StoreServer,
};
use exposition::Format;
use market::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
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

/// A server that lets the first client in, and the others as long as the weather is fair.
#[derive(Debug)]
struct FirstComer {
    others: Server,
    clients: AtomicU32,
}

impl StoreServer for FirstComer {
    fn open(&self) -> Result<Store, AlertError> {
        match self.clients.fetch_add(1, Ordering::SeqCst) {
            0 => Store::open(&self.others.database),
            _ => self.others.open(),
        }
    }
}

#[test]
fn a_store_that_only_the_senders_have_lost_is_told_of_once() {
    let folder = tempfile::tempdir().unwrap();
    let weather = Arc::new(Mutex::new(Weather::default()));
    let database = folder.path().join("alerts.db");
    let others = Server { database: database.clone(), weather: Arc::clone(&weather) };
    let config = AlertConfig {
        server: Some(Arc::new(FirstComer { others, clients: AtomicU32::new(0) })),
        own_spool: Some(folder.path().join("own.jsonl")),
        ..config(folder.path(), &folder.path().join("alerts.log"))
    };
    let handle = Dispatcher::start(config, &registry()).unwrap();
    weather.lock().unwrap().away = u32::MAX;
    let mut spool = Spool::open(&folder.path().join("spool.jsonl"), "r.main").unwrap();
    // Each of them is taken in, and wakes the sender, which fails.
    for _ in 0..20 {
        spool.raise("DRILL", "drill", "all well", BTreeMap::new(), now()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    weather.lock().unwrap().away = 0;
    assert_eq!(handle.settle(Duration::from_secs(60)).pending, 0);
    handle.stop();
    let (alerts, _) = Store::open(&database).unwrap().rows("r.main", None).unwrap();
    assert_eq!(alerts.iter().filter(|a| a.rule_id == "SYS-DB-LOST").count(), 1);
    assert_eq!(alerts.len(), 21);
}
