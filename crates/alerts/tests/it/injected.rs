//! Notifiers that fail for real, over HTTP, under a dispatcher as it runs; what is expected is read from the tables.

use crate::bench::registry;
use alerts::{
    AlertConfig, DeliveryRecord, Dispatcher, DispatcherHandle, NotifierConfig, RetryPolicy, Secret, Spool,
    Status, Store,
};
use market::Timestamp;
use services::played::{Fault, Played};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TOKEN: &str = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw";
const CHAT: &str = "-1001234567890";

/// Telegram, and a log behind it.
struct World {
    folder: tempfile::TempDir,
    telegram: Played,
    config: AlertConfig,
    spool: Spool,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let telegram = Played::telegram(TOKEN, CHAT).unwrap();
        let bot = NotifierConfig::Telegram {
            base: telegram.url(),
            token: Secret::new(TOKEN),
            chat: Secret::new(CHAT),
        };
        let log = NotifierConfig::LocalLog { path: folder.path().join("alerts.log") };
        let config = AlertConfig {
            notifiers: vec![bot, log],
            retry: RetryPolicy {
                first: Duration::from_millis(20),
                timeout: Duration::from_millis(400),
                ..RetryPolicy::default()
            },
            own_spool: Some(folder.path().join("own.jsonl")),
            ..crate::bench::config(folder.path(), "r.main")
        };
        let spool = Spool::open(&config.sources[1], "r.main").unwrap();
        Self { folder, telegram, config, spool }
    }

    fn start(&self) -> DispatcherHandle {
        Dispatcher::start(self.config.clone(), &registry()).unwrap()
    }

    fn raise(&mut self, rule: &str, n: u32) {
        let now = Timestamp(0).plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
        let labels = BTreeMap::from([("n".to_owned(), n.to_string())]);
        self.spool.raise(rule, "title", "message", labels, now).unwrap();
    }

    fn rows(&self) -> Vec<DeliveryRecord> {
        let store = Store::open(&self.config.database).unwrap();
        let c = store.conservation("r.main", None).unwrap();
        assert!(c.holds() && c.pending == 0 && c.dlq == 0, "{c:?}");
        store.rows("r.main", None).unwrap().1
    }
}

fn of<'a>(rows: &'a [DeliveryRecord], notifier: &str, status: Status) -> Vec<&'a DeliveryRecord> {
    rows.iter().filter(|d| d.notifier == notifier && d.status == status).collect()
}

#[test]
fn a_dead_one() {
    let mut world = World::new();
    let handle = world.start();
    world.telegram.dead(true);
    for n in 0..10 {
        world.raise("LEG-ORPHANED", n);
    }
    assert_eq!(handle.settle(Duration::from_secs(60)).pending, 0);
    let rows = world.rows();
    let (given_up, logged) = (of(&rows, "telegram", Status::Failed), of(&rows, "local_log", Status::Sent));
    // Ten, and NOTIFIER-DEGRADED.
    assert_eq!((given_up.len(), logged.len()), (10, 11));
    assert!(given_up.iter().all(|d| {
        let error = d.last_error.as_deref().unwrap();
        error.starts_with("network: ") || error.starts_with("circuit_open: ")
    }));
    assert!(given_up.iter().any(|d| d.last_error.as_deref().unwrap().starts_with("circuit_open: ")));
    let log = std::fs::read_to_string(world.folder.path().join("alerts.log")).unwrap();
    assert_eq!((log.lines().count(), log.matches("NOTIFIER-DEGRADED").count()), (11, 1));
}

#[test]
fn a_slow_one() {
    let mut world = World::new();
    let handle = world.start();
    // It answers, but nobody waits that long: three times for the first, then in time.
    world.telegram.then_at("sendMessage", (0..3).map(|_| Fault::Late(Duration::from_secs(2))));
    world.raise("LEG-ORPHANED", 0);
    world.raise("DRILL", 0);
    assert_eq!(handle.settle(Duration::from_secs(60)).pending, 0);
    let rows = world.rows();
    let sent = of(&rows, "telegram", Status::Sent);
    assert_eq!(sent.len(), 2);
    let attempts: u32 = sent.iter().map(|d| d.attempt).sum();
    assert_eq!(attempts, 5, "three of them timed out");
    assert!(sent.iter().any(|d| d.last_error.as_deref().is_some_and(|e| e.starts_with("timeout: "))));
    let logged = of(&rows, "local_log", Status::Sent);
    let slowest = sent.iter().filter_map(|d| d.latency_ms).max().unwrap();
    assert!(logged.len() == 1 && logged[0].attempt == 1);
    assert!(logged[0].latency_ms.unwrap() < slowest, "the slow one holds up no other");
}
