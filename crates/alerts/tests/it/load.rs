//! Many alerts, one in ten of whose sends fails, through notifiers that take 10 to 100 ms: none is lost and memory stays bounded. In
//! virtual time; 5 000 in CI, `cargo xtask campaign alerts-load` sends 200 000 (`ASSAY_ALERTS`).

use crate::bench::{RUN, START, registry};
use alerts::{Alert, AlertConfig, Clock, Intake, Notifier, Reason, SendError, Store, Worker};
use journal::file::Writer;
use journal::{AlertFields, Body, Entry};
use market::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

/// Raised between two turns of the dispatcher.
const BURST: u64 = 100;
/// What the process may grow by: caches of two connections, batches under way, and the test's own counters.
const ROOM_KIB: u64 = 64 * 1024;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// How often each alert arrived, at any notifier.
type Arrived = Arc<Mutex<Vec<u8>>>;

struct Erring {
    name: &'static str,
    dice: Dice,
    now: Arc<AtomicI64>,
    arrived: Arrived,
}

impl Notifier for Erring {
    fn name(&self) -> &str {
        self.name
    }
    fn probe(&mut self) -> Result<(), SendError> {
        Ok(())
    }
    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        let ms = 10 + self.dice.roll(91) as i64;
        self.now.fetch_add(ms * 1_000_000, Ordering::SeqCst);
        if self.dice.roll(10) == 0 {
            let reasons = [Reason::Network, Reason::Server, Reason::Timeout, Reason::Rejected];
            return Err(SendError::new(reasons[self.dice.roll(4) as usize], "scripted"));
        }
        let number: usize = alert.alert_id.rsplit('-').next().unwrap().parse().unwrap();
        self.arrived.lock().unwrap()[number] += 1;
        Ok(())
    }
}

fn resident_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn none_of_many_is_lost() {
    let wanted: u64 = std::env::var("ASSAY_ALERTS").map_or(5_000, |n| n.parse().unwrap());
    // What is counted is the dispatcher's work, not the disk's.
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let now = Arc::new(AtomicI64::new(START));
    let arrived: Arrived = Arc::new(Mutex::new(vec![0; wanted as usize + 1]));
    let names = ["first", "second", "local_log"];
    let notifiers = names.iter().zip(1..).map(|(name, seed)| {
        let (now, arrived) = (Arc::clone(&now), Arc::clone(&arrived));
        Box::new(Erring { name, dice: Dice(seed), now, arrived }) as Box<dyn Notifier>
    });
    let clock: Clock = Arc::new({
        let now = Arc::clone(&now);
        move || Timestamp(now.load(Ordering::SeqCst))
    });
    let config = AlertConfig {
        sources: vec![folder.path().join("journal.log")],
        ..crate::bench::config(folder.path(), RUN)
    };
    let registry = registry();
    let owned = names.map(str::to_owned);
    let mut intake = Intake::new(&config, &registry, &owned).unwrap();
    let mut worker = Worker::new(&config, &registry, notifiers.collect(), clock.clone()).unwrap();
    let mut journal = Writer::append(&config.sources[0]).unwrap();
    let (mut raised, mut start_kib, mut most_kib) = (0, 0, 0);
    while raised < wanted {
        let burst: Vec<Entry> =
            (raised + 1..=wanted.min(raised + BURST)).map(|n| entry(n, clock())).collect();
        raised += burst.len() as u64;
        journal.write_batch(&burst).unwrap();
        intake.poll(clock()).unwrap();
        while worker.step().unwrap() {}
        if raised == BURST * 10 {
            start_kib = resident_kib();
        }
        most_kib = most_kib.max(resident_kib());
    }
    // What is left are retries: at most a minute each.
    for _ in 0..600 {
        now.fetch_add(1_000_000_000, Ordering::SeqCst);
        while worker.step().unwrap() {}
        if worker.measure().unwrap() == 0 {
            break;
        }
    }
    let c = Store::open(&config.database).unwrap().conservation(RUN, None).unwrap();
    assert!(c.holds(), "{c:?}");
    assert_eq!((c.raised, c.pending, c.delivered + c.dlq), (wanted, 0, wanted), "{c:?}");
    let arrived = arrived.lock().unwrap();
    let reached = arrived[1..].iter().filter(|times| **times > 0).count() as u64;
    assert_eq!(
        reached, c.delivered,
        "what the table says was sent has arrived, and nothing that it says was lost"
    );
    assert!(arrived.iter().all(|times| *times <= 1), "nobody died, so nothing came twice");
    let grown = most_kib.saturating_sub(start_kib);
    let simulated = (now.load(Ordering::SeqCst) - START) / 1_000_000_000;
    println!("{wanted} alerts, {} dead, {simulated} s simulated, memory grew by {grown} KiB", c.dlq);
    // In CI other tests of this process grow beside it.
    assert!(grown < ROOM_KIB || std::env::var_os("ASSAY_ALERTS").is_none(), "memory grew by {grown} KiB");
}

fn entry(n: u64, at: Timestamp) -> Entry {
    let body = Body::from(AlertFields {
        alert_id: format!("{RUN}-{n}"),
        rule_id: "LEG-ORPHANED".to_owned(),
        title: "Leg orphaned".to_owned(),
        message: "a leg could be neither completed nor unwound in time".to_owned(),
        labels: BTreeMap::from([("position".to_owned(), n.to_string())]),
        key: n.to_string(),
    });
    Entry { seq: n, input_seq: n, at, commit: true, body }
}
