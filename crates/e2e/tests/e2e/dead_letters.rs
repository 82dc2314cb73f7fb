//! `assay dlq` over a store with dead letters: looked at, sent anew, given up; who did it stands in the audit.

use crate::harness::{Done, Scratch, assay};
use alerts::{AlertConfig, Dispatcher, NotifierConfig, RetryPolicy, Routes, Spool};
use exposition::{Common, Registry};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Three alerts that reached nobody: the local log's folder was not there.
fn store(folder: &Path) -> String {
    let source = folder.join("spool.log");
    let mut spool = Spool::open(&source, "r1.main").unwrap();
    let now = market::Timestamp(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap());
    for n in 0..3 {
        let labels = BTreeMap::from([("position".to_owned(), n.to_string())]);
        spool.raise("LEG-ORPHANED", "Leg orphaned", "a leg is left", labels, now).unwrap();
    }
    let database = folder.join("alerts.sqlite");
    let config = AlertConfig {
        database: database.clone(),
        server: None,
        retention: None,
        run_id: "r1.main".to_owned(),
        phase: "main".to_owned(),
        env: "paper".to_owned(),
        notifiers: vec![NotifierConfig::LocalLog { path: folder.join("missing/alerts.log") }],
        routes: Routes::paper(),
        probe_every: Duration::from_secs(60),
        retry: RetryPolicy { first: Duration::from_millis(5), ..RetryPolicy::default() },
        sources: vec![source],
        own_spool: None,
    };
    let registry = Registry::new(Common { env: "paper".to_owned(), universe: "topN".to_owned() });
    let dispatcher = Dispatcher::start(config, &registry).unwrap();
    assert_eq!(dispatcher.settle(Duration::from_secs(60)).pending, 0);
    dispatcher.stop();
    database.to_string_lossy().into_owned()
}

fn dlq(words: &[&str], database: &str) -> Done {
    assay([&["dlq"], words, &["--database", database]].concat())
}

#[test]
fn dead_letters_are_listed_replayed_and_discarded() {
    let dir = Scratch::new();
    let database = store(dir.path());
    let listed = dlq(&["list", "--json"], &database).exits(0).stdout.clone();
    let rows: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let ids: Vec<String> =
        rows.as_array().unwrap().iter().map(|row| row["delivery_id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    dlq(&["list"], &database).exits(0).says("LEG-ORPHANED").says("io: ");
    dlq(&["show", &ids[0]], &database).exits(0).says("\"aggregation_key\": \"position=0\"");
    dlq(&["show", "999"], &database).exits(66).is_one_paragraph();

    // Without a reason nothing is done, and an id that is none stops all of it.
    dlq(&["discard", &ids[0]], &database).exits(64);
    dlq(&["discard", &ids[0], "999", "--why", "tests"], &database).exits(66).is_one_paragraph();
    dlq(&["discard", &ids[0], "--why", "a test of mine", "--who", "kim"], &database)
        .exits(0)
        .says("discarded");
    dlq(&["replay", "--all", "--why", "the folder is there", "--who", "lee"], &database)
        .exits(0)
        .says("arrived");
    dlq(&["list"], &database).exits(0).says("no dead letters");
    let log = std::fs::read_to_string(dir.path().join("alerts.log")).unwrap();
    assert_eq!(log.lines().count(), 2, "{log}");
    let audit = dlq(&["audit"], &database).exits(0).stdout.clone();
    assert_eq!(
        (audit.matches("kim  discard").count(), audit.matches("lee  replay").count()),
        (1, 2),
        "{audit}"
    );
    assert!(audit.contains("the folder is there"), "{audit}");
    let nowhere = dir.path().join("nothing.sqlite").to_string_lossy().into_owned();
    dlq(&["list"], &nowhere).exits(66).is_one_paragraph();
    assert!(!Path::new(&nowhere).exists(), "looking makes no store");
}
