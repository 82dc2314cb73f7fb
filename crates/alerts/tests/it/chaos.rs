//! Chaos: a real dispatcher process over a real PostgreSQL (or an SQLite file); both are killed and restarted while alerts are raised. The
//! process is this test binary itself. Then the tables are held against the journal and against what arrived.

use crate::bench::registry;
use alerts::{
    Alert, AlertConfig, Conservation, Dispatcher, Notifier, PostgresConfig, Reason, RetryPolicy, SendError,
    Status, Store, StoreServer,
};
use journal::file::Writer;
use journal::{AlertFields, Body, Entry};
use market::Timestamp;
use rand::{Rng as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const RUN: &str = "chaos.main";

/// A notifier that writes what it got into a file, one `write(2)` each: acknowledged means that it is there. One of ten attempts of the first
/// one fails.
struct Ledger {
    name: &'static str,
    file: File,
    tries: u64,
}

impl Notifier for Ledger {
    fn name(&self) -> &str {
        self.name
    }
    fn probe(&mut self) -> Result<(), SendError> {
        Ok(())
    }
    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        self.tries += 1;
        if self.name == "first" && self.tries.is_multiple_of(10) {
            return Err(SendError::new(Reason::Network, "scripted"));
        }
        self.file
            .write_all(format!("{}\n", alert.alert_id).as_bytes())
            .map_err(|e| SendError::new(Reason::Io, e.to_string()))
    }
}

fn ledger(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.arrived"))
}

/// The dispatcher's process: runs until its standard input ends or it is killed.
#[test]
fn child() {
    let Ok(folder) = std::env::var("ASSAY_CHAOS_FOLDER") else { return };
    let folder = PathBuf::from(folder);
    let server = std::env::var("ASSAY_CHAOS_URL")
        .ok()
        .map(|url| Arc::new(PostgresConfig::resolve(&url, "", &|_| None).unwrap()) as Arc<dyn StoreServer>);
    let config = AlertConfig {
        database: folder.join("alerts.sqlite"),
        server,
        retry: RetryPolicy {
            first: Duration::from_millis(100),
            timeout: Duration::from_millis(500),
            ..RetryPolicy::default()
        },
        sources: vec![folder.join("journal.log")],
        own_spool: Some(folder.join("dispatcher.log")),
        ..crate::bench::config(&folder, RUN)
    };
    let notifiers = ["first", "second"].map(|name| {
        let file = OpenOptions::new().append(true).create(true).open(ledger(&folder, name)).unwrap();
        Box::new(Ledger { name, file, tries: 0 }) as Box<dyn Notifier>
    });
    let clock = Arc::new(now);
    let handle = Dispatcher::start_with(config, &registry(), notifiers.into(), clock).unwrap();
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
    handle.stop();
    std::process::exit(0);
}

fn now() -> Timestamp {
    Timestamp(0).plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

/// A folder, its journal, and the process that follows it.
struct Scene {
    folder: tempfile::TempDir,
    url: Option<String>,
    journal: Writer,
    raised: u64,
    process: Option<Child>,
    /// Largest file that the process may write, in blocks of 512 bytes.
    limit: Option<u32>,
}

impl Scene {
    fn new(url: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Writer::append(&folder.path().join("journal.log")).unwrap();
        Self { folder, url, journal, raised: 0, process: None, limit: None }
    }

    fn start(&mut self) {
        let program = std::env::current_exe().unwrap();
        let mut command = match self.limit {
            None => Command::new(&program),
            Some(blocks) => {
                let mut shell = Command::new("sh");
                // Beyond the limit a write fails, as on a full disk, when the signal is ignored.
                shell
                    .args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")])
                    .arg(&program);
                shell
            }
        };
        command.args(["chaos::child", "--exact", "--nocapture"]);
        command.env("ASSAY_CHAOS_FOLDER", self.folder.path()).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(url) = &self.url {
            command.env("ASSAY_CHAOS_URL", url);
        }
        self.process = Some(command.spawn().unwrap());
    }

    /// `kill -9`.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn raise(&mut self, count: u64) {
        let (first, at) = (self.raised + 1, now());
        self.raised += count;
        let entries: Vec<Entry> = (first..=self.raised)
            .map(|n| {
                let body = Body::from(AlertFields {
                    alert_id: format!("{RUN}-{n}"),
                    rule_id: "LEG-ORPHANED".to_owned(),
                    title: "Leg orphaned".to_owned(),
                    message: "a leg could be neither completed nor unwound in time".to_owned(),
                    labels: BTreeMap::from([("position".to_owned(), n.to_string())]),
                    key: n.to_string(),
                });
                Entry { seq: n, input_seq: n, at, commit: true, body }
            })
            .collect();
        self.journal.write_batch(&entries).unwrap();
    }

    fn store(&self) -> Store {
        match &self.url {
            Some(url) => PostgresConfig::resolve(url, "", &|_| None).unwrap().open().unwrap(),
            None => Store::open(&self.folder.path().join("alerts.sqlite")).unwrap(),
        }
    }

    /// Waits until everything raised has ended.
    fn settle(&self) -> Conservation {
        let (store, begun) = (self.store(), Instant::now());
        let within = Duration::from_secs(60 + self.raised / 50);
        loop {
            if let Ok(c) = store.conservation(RUN, None) {
                assert!(c.holds(), "{c:?}");
                if c.raised >= self.raised && c.pending == 0 {
                    return c;
                }
                assert!(begun.elapsed() < within, "not settled: {c:?} of {}", self.raised);
            }
            assert!(begun.elapsed() < 2 * within, "the store does not come back");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Holds the tables against the journal and what arrived. How many arrived more than once.
    fn audit(&self) -> u64 {
        let (alerts, deliveries) = self.store().rows(RUN, None).unwrap();
        let ours: Vec<&str> =
            alerts.iter().filter(|a| a.source == "engine").map(|a| a.alert_id.as_str()).collect();
        let wanted: std::collections::BTreeSet<String> =
            (1..=self.raised).map(|n| format!("{RUN}-{n}")).collect();
        assert_eq!(ours.len() as u64, self.raised, "each is stored once");
        assert!(ours.iter().all(|id| wanted.contains(*id)));
        let mut arrived: BTreeMap<(&str, String), u64> = BTreeMap::new();
        for name in ["first", "second"] {
            let text = std::fs::read_to_string(ledger(self.folder.path(), name)).unwrap_or_default();
            for id in text.lines() {
                *arrived.entry((name, id.to_owned())).or_default() += 1;
            }
        }
        let mut twice = 0;
        for d in &deliveries {
            let name = if d.notifier == "first" { "first" } else { "second" };
            let times = arrived.get(&(name, d.alert_id.clone())).copied().unwrap_or_default();
            let due = u64::from(d.status == Status::Sent);
            assert!(times >= due, "reported as sent, and it did not arrive: {d:?}");
            assert_ne!(d.status, Status::Dlq, "{d:?}");
            twice += times - due;
        }
        twice
    }

    fn has(&self, rule: &str) -> bool {
        self.store().rows(RUN, None).unwrap().0.iter().any(|a| a.rule_id == rule)
    }

    fn wait_for_spool(&self, rule: &str) {
        let begun = Instant::now();
        let path = self.folder.path().join("dispatcher.log");
        while !std::fs::read_to_string(&path).unwrap_or_default().contains(rule) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{rule} was not spooled");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_dispatcher_starts_without_its_database_and_survives_its_restarts() {
    let mut server = services::Postgres::start().unwrap();
    let mut scene = Scene::new(Some(server.url("postgres")));
    server.stop();
    scene.raise(50);
    scene.start();
    scene.wait_for_spool("SYS-DB-LOST");
    scene.raise(50);
    server.start_again().unwrap();
    let c = scene.settle();
    assert_eq!((c.raised, c.delivered), (101, 101), "SYS-DB-LOST among them");
    // Restarted while it works: told again, once for each outage.
    scene.raise(200);
    server.stop();
    std::thread::sleep(Duration::from_millis(200));
    server.start_again().unwrap();
    let c = scene.settle();
    assert_eq!(c.delivered, c.raised);
    assert!(scene.has("SYS-DB-LOST"));
    assert_eq!(scene.audit(), 0, "nobody was killed, so nothing came twice");
}

#[test]
fn a_full_disk_loses_nothing() {
    let mut scene = Scene::new(None);
    scene.limit = Some(1_000);
    scene.raise(100);
    scene.start();
    scene.raise(2_000);
    scene.wait_for_spool("SYS-DB-LOST");
    scene.kill();
    // There is room again.
    scene.limit = None;
    scene.start();
    let c = scene.settle();
    assert!(c.raised > scene.raised && scene.has("SYS-DB-LOST"));
    assert!(scene.audit() <= 2, "at most what each of the two notifiers had in hand");
}

/// Everything at once. A duplicate needs a kill of the process: at most what each of its two notifiers had in hand.
#[test]
fn none_is_lost_while_process_and_database_are_killed() {
    let wanted: u64 = std::env::var("ASSAY_CHAOS_ALERTS").map_or(2_000, |n| n.parse().unwrap());
    let seed = std::env::var("ASSAY_CHAOS_SEED").map_or(7, |n| n.parse().unwrap());
    let mut dice = rand::rngs::StdRng::seed_from_u64(seed);
    let mut server = services::Postgres::start().unwrap();
    let mut scene = Scene::new(Some(server.url("postgres")));
    let (mut kills, mut outages, batch) = (0u64, 0u64, (wanted / 20).clamp(50, 500));
    scene.start();
    while scene.raised < wanted {
        scene.raise(batch.min(wanted - scene.raised));
        std::thread::sleep(Duration::from_millis(dice.random_range(100..900)));
        let act = dice.random_range(0..6);
        if act <= 2 {
            scene.kill();
            kills += 1;
        }
        if act >= 2 {
            if act % 2 == 0 {
                server.kill()
            } else {
                server.stop()
            }
            outages += 1;
            if act >= 4 {
                scene.raise(dice.random_range(1..20).min(wanted - scene.raised));
                std::thread::sleep(Duration::from_millis(dice.random_range(0..1_500)));
            }
            server.start_again().unwrap();
        }
        if scene.process.is_none() {
            scene.start();
        }
    }
    let c = scene.settle();
    let twice = scene.audit();
    println!(
        "{wanted} alerts, seed {seed}: {kills} kills of the process, {outages} outages of the database, {twice} duplicates, {c:?}"
    );
    assert!(c.raised >= wanted && c.delivered == c.raised);
    assert!(twice <= 2 * kills, "{twice} duplicates of {kills} kills");
}
