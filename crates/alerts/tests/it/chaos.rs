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
/// one fails, and all of them while its mood is `dead` or `slow`.
struct Ledger {
    name: &'static str,
    file: File,
    mood: PathBuf,
    tries: u64,
}

/// How long a notifier that is `slow` is waited for.
const TIMEOUT: Duration = Duration::from_millis(500);

impl Notifier for Ledger {
    fn name(&self) -> &str {
        self.name
    }
    fn probe(&mut self) -> Result<(), SendError> {
        Ok(())
    }
    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        self.tries += 1;
        match std::fs::read_to_string(&self.mood).unwrap_or_default().as_str() {
            "dead" => return Err(SendError::new(Reason::Network, "connection refused")),
            "slow" => {
                std::thread::sleep(TIMEOUT);
                return Err(SendError::new(Reason::Timeout, "no answer"));
            }
            _ => {}
        }
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
        retry: RetryPolicy { first: Duration::from_millis(100), timeout: TIMEOUT, ..RetryPolicy::default() },
        sources: vec![folder.join("journal.log")],
        own_spool: Some(folder.join("dispatcher.log")),
        ..crate::bench::config(&folder, RUN)
    };
    let notifiers = ["first", "second"].map(|name| {
        let file = OpenOptions::new().append(true).create(true).open(ledger(&folder, name)).unwrap();
        Box::new(Ledger { name, file, mood: folder.join(format!("{name}.mood")), tries: 0 })
            as Box<dyn Notifier>
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

    /// Waits until everything raised has ended, as long as anything moves: machines are slower than one another.
    fn settle(&self) -> Conservation {
        let (store, mut moved, mut before) = (self.store(), Instant::now(), Conservation::default());
        loop {
            if let Ok(c) = store.conservation(RUN, None) {
                assert!(c.holds(), "{c:?}");
                if c.raised >= self.raised && c.pending == 0 {
                    return c;
                }
                if c != before {
                    (before, moved) = (c, Instant::now());
                }
            }
            assert!(
                moved.elapsed() < Duration::from_secs(120),
                "nothing moves: {before:?} of {}",
                self.raised
            );
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

    fn mood(&self, notifier: &str, mood: &str) {
        std::fs::write(self.folder.path().join(format!("{notifier}.mood")), mood).unwrap();
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

/// A file system of its own, so small that it can be filled; gone when it is dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where nothing may be mounted: then the test is skipped, loudly.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=100m", "tmpfs"]).arg(folder.path());
        if !mount.output().is_ok_and(|done| done.status.success()) {
            eprintln!("SKIPPED: a disk that can be filled needs the right to mount a tmpfs");
            return None;
        }
        Some(Self { folder })
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }

    /// Not a byte is left.
    fn fill(&self) {
        let mut ballast = OpenOptions::new().append(true).create(true).open(self.ballast()).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.folder.path()).status());
    }
}

/// The database's disk is full, until somebody makes room; the server may go down with it.
#[test]
fn a_full_disk_of_the_database_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else { return };
    let mut server = services::Postgres::start_in(disk.folder.path()).unwrap();
    let mut scene = Scene::new(Some(server.url("postgres")));
    scene.raise(50);
    scene.start();
    assert_eq!(scene.settle().delivered, 50);
    disk.fill();
    scene.raise(2_000);
    scene.wait_for_spool("SYS-DB-LOST");
    // It cannot start on a full disk either.
    scene.kill();
    scene.start();
    std::thread::sleep(Duration::from_millis(500));
    disk.make_room();
    server.kill();
    server.start_again().unwrap();
    let c = scene.settle();
    assert!(c.delivered == c.raised && c.raised > scene.raised && scene.has("SYS-DB-LOST"), "{c:?}");
    assert!(scene.audit() <= 2, "at most what each of the two notifiers had in hand when it was killed");
}

/// Every fault of delivery in the same minutes: the process killed, the database killed, stopped and full, a notifier dead or slow.
#[test]
fn all_faults_mixed_lose_nothing() {
    let Some(disk) = SmallDisk::mount() else { return };
    let wanted: u64 = std::env::var("ASSAY_CHAOS_MIXED").map_or(600, |n| n.parse().unwrap());
    let seed = std::env::var("ASSAY_CHAOS_SEED").map_or(3, |n| n.parse().unwrap());
    let mut dice = rand::rngs::StdRng::seed_from_u64(seed);
    let mut server = services::Postgres::start_in(disk.folder.path()).unwrap();
    let mut scene = Scene::new(Some(server.url("postgres")));
    let (mut kills, mut seen) = (0u64, [0u32; 6]);
    scene.start();
    while scene.raised < wanted {
        scene.raise(50.min(wanted - scene.raised));
        std::thread::sleep(Duration::from_millis(dice.random_range(50..500)));
        let mut pause = || std::thread::sleep(Duration::from_millis(dice.random_range(0..900)));
        // Each in its turn, for how long is drawn.
        let act = (scene.raised / 50 % 6) as usize;
        seen[act] += 1;
        match act {
            0 => {
                scene.kill();
                kills += 1;
                scene.start();
            }
            1 => {
                server.kill();
                pause();
                server.start_again().unwrap();
            }
            2 => {
                disk.fill();
                pause();
                disk.make_room();
                // Whether it lives on depends on what it could not write.
                server.stop();
                server.start_again().unwrap();
            }
            3 => {
                scene.mood("first", "dead");
                scene.wait_for_spool("NOTIFIER-DEGRADED");
            }
            4 => scene.mood("first", "slow"),
            _ => {
                scene.mood("first", "well");
                server.stop();
                pause();
                server.start_again().unwrap();
            }
        }
    }
    scene.mood("first", "well");
    let c = scene.settle();
    let twice = scene.audit();
    println!("{wanted} alerts, seed {seed}: acts {seen:?}, {twice} duplicates, {c:?}");
    assert!(seen.iter().all(|times| *times > 0));
    // A notifier that dies again within five minutes is told of once.
    assert!(c.delivered + c.throttled == c.raised && c.delivered >= wanted, "{c:?}");
    assert!(scene.has("NOTIFIER-DEGRADED"), "told of itself through the other");
    assert!(twice <= 2 * kills, "{twice} duplicates of {kills} kills");
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
