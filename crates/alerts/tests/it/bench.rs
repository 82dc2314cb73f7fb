//! A bench in virtual time: journal, intake, worker and scripted notifiers over one folder.

use alerts::{
    Alert, AlertConfig, Clock, DeliveryRecord, Intake, Notifier, Reason, RetryPolicy, Routes, SendError,
    Spool, Store, Worker,
};
use exposition::{Common, Format, Registry, parse};
use journal::file::Writer;
use journal::{AlertFields, Body, Entry};
use market::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const RUN: &str = "r1.main";
pub const START: i64 = 1_700_000_000_000_000_000;

/// What a scripted notifier does and has seen. Survives restarts of the dispatcher.
#[derive(Debug, Default)]
pub struct Script {
    /// Outcomes of the next sends; when empty it works.
    pub outcomes: VecDeque<Result<(), SendError>>,
    /// What every send fails with when no outcome is scripted.
    pub always: Option<Reason>,
    /// How long a send takes.
    pub takes: Duration,
    pub sent: Vec<String>,
    pub tries: Vec<(String, i64)>,
}

pub struct Scripted {
    name: String,
    script: Arc<Mutex<Script>>,
    clock: Clock,
    now: Arc<AtomicI64>,
}

impl Notifier for Scripted {
    fn name(&self) -> &str {
        &self.name
    }
    fn probe(&mut self) -> Result<(), SendError> {
        Ok(())
    }
    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        let mut script = self.script.lock().unwrap();
        script.tries.push((alert.alert_id.clone(), (self.clock)().0));
        self.now.fetch_add(i64::try_from(script.takes.as_nanos()).unwrap(), Ordering::SeqCst);
        let usual = script.always.map_or(Ok(()), fails);
        let outcome = script.outcomes.pop_front().unwrap_or(usual);
        if outcome.is_ok() {
            script.sent.push(alert.alert_id.clone());
        }
        outcome
    }
}

pub fn fails(reason: Reason) -> Result<(), SendError> {
    Err(SendError::new(reason, "scripted"))
}

pub struct Bench {
    pub folder: tempfile::TempDir,
    pub config: AlertConfig,
    pub registry: Registry,
    pub scripts: BTreeMap<String, Arc<Mutex<Script>>>,
    pub now: Arc<AtomicI64>,
    pub running: Option<(Intake, Worker)>,
    names: Vec<String>,
    seq: u64,
}

/// A dispatcher with its files in one folder and no notifier of its own.
pub fn config(folder: &Path, run_id: &str) -> AlertConfig {
    AlertConfig {
        database: folder.join("alerts.db"),
        server: None,
        retention: None,
        run_id: run_id.to_owned(),
        phase: "main".to_owned(),
        env: "paper".to_owned(),
        notifiers: Vec::new(),
        routes: Routes::paper(),
        probe_every: Duration::from_secs(60),
        retry: RetryPolicy::default(),
        sources: vec![folder.join("journal.jsonl"), folder.join("spool.jsonl")],
        own_spool: None,
    }
}

impl Bench {
    pub fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), RUN);
        let mut bench = Self {
            folder,
            config,
            registry: registry(),
            scripts: names.iter().map(|n| ((*n).to_owned(), Arc::default())).collect(),
            now: Arc::new(AtomicI64::new(START)),
            running: None,
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            seq: 0,
        };
        bench.restart();
        bench
    }

    /// As [`Self::new`], with a spool for what the dispatcher itself raises.
    pub fn with_own_spool(names: &[&str]) -> Self {
        let mut bench = Self::new(names);
        bench.config.own_spool = Some(bench.folder.path().join("own.jsonl"));
        bench.restart();
        bench
    }

    /// Kills the dispatcher (nothing is closed in order) and starts another over the same files, in a new process.
    pub fn restart(&mut self) {
        self.running = None;
        self.registry = registry();
        let now = Arc::clone(&self.now);
        let clock: Clock = Arc::new(move || Timestamp(now.load(Ordering::SeqCst)));
        let notifiers: Vec<Box<dyn Notifier>> = self
            .names
            .iter()
            .map(|n| {
                let script = Arc::clone(&self.scripts[n]);
                Box::new(Scripted {
                    name: n.clone(),
                    script,
                    clock: clock.clone(),
                    now: Arc::clone(&self.now),
                }) as Box<dyn Notifier>
            })
            .collect();
        let intake = Intake::new(&self.config, &self.registry, &self.names).unwrap();
        let worker = Worker::new(&self.config, &self.registry, notifiers, clock).unwrap();
        self.running = Some((intake, worker));
    }

    pub fn at(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(i64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }

    /// Raises an alert through the journal; its id.
    pub fn raise(&mut self, rule: &str, key: &str) -> String {
        self.seq += 1;
        let alert_id = format!("{RUN}-{}", self.seq);
        let body = Body::from(AlertFields {
            alert_id: alert_id.clone(),
            rule_id: rule.to_owned(),
            title: "title".to_owned(),
            message: "message".to_owned(),
            labels: BTreeMap::from([("venue".to_owned(), key.to_owned())]),
            key: key.to_owned(),
        });
        let note = Body::Note { level: "info".to_owned(), text: "between".to_owned() };
        let at = self.at();
        let entry = |commit, body| Entry { seq: self.seq, input_seq: self.seq, at, commit, body };
        let batch = [entry(false, note), entry(true, body)];
        Writer::append(&self.config.sources[0]).unwrap().write_batch(&batch).unwrap();
        alert_id
    }

    /// Another run under the same name: its journal begins anew.
    pub fn begin_anew(&mut self) {
        std::fs::remove_file(&self.config.sources[0]).unwrap();
        self.seq = 0;
        self.restart();
    }

    pub fn spool(&self) -> Spool {
        Spool::open(&self.config.sources[1], RUN).unwrap()
    }

    pub fn take_in(&mut self) -> u64 {
        let now = self.at();
        self.running.as_mut().unwrap().0.poll(now).unwrap()
    }

    pub fn step(&mut self) -> bool {
        self.running.as_mut().unwrap().1.step().unwrap()
    }

    /// Takes in and works until nothing is due, for so many seconds of virtual time.
    pub fn run(&mut self, seconds: u64) {
        for _ in 0..=seconds * 10 {
            self.take_in();
            while self.step() {}
            self.advance(Duration::from_millis(100));
        }
    }

    pub fn script(&self, name: &str) -> std::sync::MutexGuard<'_, Script> {
        self.scripts[name].lock().unwrap()
    }

    pub fn store(&self) -> Store {
        Store::open(&self.config.database).unwrap()
    }

    pub fn deliveries(&self) -> Vec<DeliveryRecord> {
        self.store().rows(RUN, Some("main")).unwrap().1
    }

    /// The value of a series on the page.
    pub fn metric(&self, series: &str) -> f64 {
        let page = parse(self.registry.encode(Format::OpenMetrics).as_bytes(), Format::OpenMetrics).unwrap();
        let found = page.series().find(|(name, _)| name == series);
        found.unwrap_or_else(|| panic!("no series {series}")).1
    }
}

pub fn registry() -> Registry {
    Registry::new(Common { env: "paper".to_owned(), universe: "top20".to_owned() })
}
