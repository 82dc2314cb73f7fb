//! Starting on a PostgreSQL that is there and does not take anything: what passes by itself keeps nobody from starting, what a person must
//! mend does.

use crate::bench::registry;
use crate::place::{postgres, sql};
use alerts::{
    AlertConfig, AlertError, Dispatcher, NotifierConfig, PostgresConfig, Spool, Store, StoreServer as _,
};
use market::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn config(folder: &Path, url: &str) -> AlertConfig {
    AlertConfig {
        notifiers: vec![NotifierConfig::LocalLog { path: folder.join("alerts.log") }],
        own_spool: Some(folder.join("own.jsonl")),
        server: Some(Arc::new(PostgresConfig::resolve(url, "", &|_| None).unwrap())),
        ..crate::bench::config(folder, "r.main")
    }
}

/// Read-only as a standby is, or full as a disk, with its tables or before they are made.
#[test]
fn a_server_that_takes_nothing_for_now_keeps_nobody_from_starting() {
    for has_tables in [true, false] {
        let place = postgres();
        let url = place.url().unwrap();
        if has_tables {
            place.store().ping().unwrap();
        }
        let name = url.rsplit('/').next().unwrap();
        let admin = url.replace(&format!("/{name}"), "/postgres");
        sql(&admin, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), url);
        let handle = Dispatcher::start(config.clone(), &registry()).unwrap();
        let mut spool = Spool::open(&config.sources[1], "r.main").unwrap();
        spool.raise("DRILL", "t", "m", BTreeMap::new(), Timestamp(1)).unwrap();
        assert!(handle.settle(Duration::from_millis(700)).pending > 0);
        sql(&admin, &format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
        // A session that had refused would refuse for ever.
        assert_eq!(handle.settle(Duration::from_secs(60)).pending, 0, "tables before: {has_tables}");
        handle.stop();
        let (alerts, _) = place.store().rows("r.main", None).unwrap();
        let mut rules: Vec<&str> = alerts.iter().map(|a| a.rule_id.as_str()).collect();
        rules.sort_unstable();
        assert_eq!(rules, ["DRILL", "SYS-DB-LOST"]);
    }
}

#[test]
fn a_session_that_failed_is_not_used_again() {
    let place = postgres();
    let store: Store = place.store();
    store.ping().unwrap();
    let url = place.url().unwrap();
    let name = url.rsplit('/').next().unwrap();
    let admin = url.replace(&format!("/{name}"), "/postgres");
    sql(&admin, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    // The session is older than the setting; its successor is not.
    store.beat("r", "main", Timestamp(1)).unwrap();
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    sql(&admin, &end);
    let refused = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        store.beat("r", "main", Timestamp(2)).err().filter(|e| e.to_string().contains("read-only"))
    });
    assert!(refused.unwrap().is_store_lost());
    sql(&admin, &format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
    store.beat("r", "main", Timestamp(3)).unwrap();
}

#[test]
fn what_a_person_must_mend_is_refused_at_the_start() {
    let place = postgres();
    let url = place.url().unwrap();
    let name = url.rsplit('/').next().unwrap();
    for (wrong, said) in [
        (url.replace(&format!("/{name}"), "/nowhere"), "\"nowhere\" does not exist"),
        (url.replace("postgres@", "stranger@"), "\"stranger\" does not exist"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let refused = Dispatcher::start(config(folder.path(), &wrong), &registry()).unwrap_err();
        assert!(matches!(refused, AlertError::StoreRefused { .. }), "{refused}");
        assert!(refused.to_string().contains(said), "{refused}");
    }
    // Not by a name that resolves to nothing, or a port where nobody is.
    let store = PostgresConfig::resolve("postgres://a@127.0.0.1:1/b", "", &|_| None).unwrap().open().unwrap();
    assert!(store.ping().unwrap_err().is_store_lost());
}
