//! Sources that cannot be read, and sources that are another run's than their name says.

use crate::bench::{Bench, RUN, registry};
use crate::faulty::{Server, Weather};
use alerts::{AlertConfig, Dispatcher, NotifierConfig, RetryPolicy, Spool, Store};
use exposition::{Format, Registry, parse};
use market::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn now() -> Timestamp {
    Timestamp(0).plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

fn config(folder: &Path) -> AlertConfig {
    AlertConfig {
        notifiers: vec![NotifierConfig::LocalLog { path: folder.join("alerts.log") }],
        retry: RetryPolicy { first: Duration::from_millis(5), ..RetryPolicy::default() },
        own_spool: Some(folder.join("own.jsonl")),
        ..crate::bench::config(folder, "r.main")
    }
}

fn metric(registry: &Registry, series: &str) -> f64 {
    let page = parse(registry.encode(Format::OpenMetrics).as_bytes(), Format::OpenMetrics).unwrap();
    page.series().find(|(name, _)| name == series).unwrap().1
}

fn until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn one_that_cannot_be_read_silences_none_behind_it() {
    let mut b = Bench::with_own_spool(&["first"]);
    std::fs::create_dir(&b.config.sources[0]).unwrap();
    let at = b.at();
    b.spool().raise("DRILL", "drill", "drill", BTreeMap::new(), at).unwrap();
    let error = b.running.as_mut().unwrap().0.poll(at).unwrap_err();
    assert!(error.to_string().contains("journal.jsonl") && !error.is_store(), "{error}");
    assert!(b.step(), "the spool's drill was taken in");
    std::fs::remove_dir(&b.config.sources[0]).unwrap();
    b.raise("LEG-ORPHANED", "a");
    assert_eq!(b.take_in(), 1, "and the journal once it is one");
}

/// As it runs: it starts, sends what it can read, tells once of what it cannot, and says at the end that something is open.
#[test]
fn a_dispatcher_lives_with_one_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    std::fs::create_dir(&config.sources[0]).unwrap();
    let r = registry();
    let handle = Dispatcher::start(config.clone(), &r).unwrap();
    Spool::open(&config.sources[1], "r.main")
        .unwrap()
        .raise("DRILL", "t", "m", BTreeMap::new(), now())
        .unwrap();
    // The drill and what the dispatcher tells of the journal.
    until(|| metric(&r, "alert_sent_total{notifier=\"local_log\"}") == 2.0);
    assert_eq!(handle.settle(Duration::from_millis(300)).pending, 1, "what the journal holds nobody knows");
    std::fs::remove_dir(&config.sources[0]).unwrap();
    assert_eq!(handle.settle(Duration::from_secs(30)).pending, 0);
    handle.stop();
    let (alerts, _) = Store::open(&config.database).unwrap().rows("r.main", None).unwrap();
    let told: Vec<_> = alerts.iter().filter(|a| a.rule_id == "STATE-SAVE-FAILED").collect();
    assert_eq!(told.len(), 1, "once, however often it was tried");
    assert_eq!((told[0].source.as_str(), alerts.len()), ("dispatcher", 2));
    assert!(told[0].message.contains("journal.jsonl"), "{}", told[0].message);
}

/// The newer journal is longer than the older one's cursor, and its first alerts have the same ids.
#[test]
fn a_run_that_is_begun_anew_under_its_name_loses_nothing() {
    let mut b = Bench::new(&["first"]);
    b.raise("LEG-ORPHANED", "a");
    b.raise("LEG-ORPHANED", "b");
    b.run(1);
    b.advance(Duration::from_secs(3_600));
    for anew in [true, false] {
        if anew {
            b.begin_anew();
            for key in ["a", "b", "c", "d", "e"] {
                b.raise("LEG-ORPHANED", key);
            }
        } else {
            b.restart();
        }
        b.run(1);
        let sent = b.script("first").sent.clone();
        assert_eq!(sent.len(), 7, "{sent:?}");
        let (old, new): (Vec<_>, Vec<_>) = sent[2..].iter().partition(|id| !id.contains('~'));
        assert_eq!((old.len(), new.len()), (3, 2), "{sent:?}");
        assert!(new[0].starts_with(&format!("{RUN}-1~")), "{new:?}");
        assert_eq!(b.store().rows(RUN, None).unwrap().0.len(), 7);
    }
}

/// What the store does not take is part of the queue, and what it held grows older.
#[test]
fn the_queue_is_seen_while_the_store_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let weather = Arc::new(Mutex::new(Weather { away: u32::MAX, ..Weather::default() }));
    let mut config = config(folder.path());
    config.server =
        Some(Arc::new(Server { database: config.database.clone(), weather: Arc::clone(&weather) }));
    let r = registry();
    let handle = Dispatcher::start(config.clone(), &r).unwrap();
    assert_eq!(metric(&r, "alert_queue_depth"), 1.0, "SYS-DB-LOST");
    let mut spool = Spool::open(&config.sources[1], "r.main").unwrap();
    for _ in 0..3 {
        spool.raise("DRILL", "t", "m", BTreeMap::new(), now()).unwrap();
    }
    until(|| metric(&r, "alert_queue_depth") == 4.0);
    let age = || metric(&r, "alert_oldest_pending_seconds");
    let before = age();
    until(|| age() > before);
    weather.lock().unwrap().away = 0;
    assert_eq!(handle.settle(Duration::from_secs(60)).pending, 0);
    until(|| metric(&r, "alert_queue_depth") == 0.0 && age() == 0.0);
}

#[test]
fn the_measured_queue_ages_while_the_store_is_away() {
    let mut b = Bench::new(&["first"]);
    let weather: Arc<Mutex<Weather>> = Arc::default();
    let server = Server { database: b.config.database.clone(), weather: Arc::clone(&weather) };
    b.config.server = Some(Arc::new(server));
    b.restart();
    b.raise("LEG-ORPHANED", "a");
    b.take_in();
    b.advance(Duration::from_secs(10));
    b.running.as_mut().unwrap().1.measure().unwrap();
    weather.lock().unwrap().away = 1;
    b.advance(Duration::from_secs(90));
    assert!(b.running.as_mut().unwrap().1.measure().is_err());
    assert_eq!(b.metric("alert_queue_depth"), 1.0);
    assert_eq!(b.metric("alert_oldest_pending_seconds"), 100.0);
}
