//! The writer thread: journal first, then everything that is published from it.
//!
//! Records come over a bounded queue, are written in batches within 10 ms with one `write(2)`, synced each second; only
//! then do KPIs, metrics and log lines learn of them. A batch never ends inside an input: what is not committed yet waits for
//! the next. While an input log is written, the inputs behind a batch are in it before the batch is in the journal. A killed process loses nothing that was reported, a power cut at most
//! the last second. A journal that cannot be written ends the run: nothing after the failure is published.

use crate::error::RunError;
use crate::kpifile::{self, Availability, Ending, Facts};
use crate::recorder::Barrier;
use crate::restart::{Past, Verify};
use crate::screen::Screen;
use crate::store::Sink;
use crate::watches::{LatencyWatch, MemoryWatch};
use engine::kpi::Kpis;
use engine::recover::Latest;
use exposition::RegistryError;
use journal::record::Body;
use journal::{Entry, file};
use market::{Money, Venue};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Items that wait for the thread.
const QUEUE: usize = 65_536;
/// How long the first record of a batch waits for company.
const GATHER: Duration = Duration::from_millis(5);
/// Items of a batch.
const BATCH: usize = 8_192;
/// How often the journal is synced, and process figures are read.
const SYNC: Duration = Duration::from_secs(1);

/// What the hot thread hands over.
#[derive(Debug)]
enum Item {
    Record(Box<Entry>),
    Screen(Box<Screen>),
    Alert(Box<ShellAlert>),
    Flush(SyncSender<()>),
    End(Ending),
}

/// An alert of the shell: what the core cannot know. It goes through a spool, not through the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellAlert {
    /// Rule of the catalogue.
    pub rule_id: &'static str,
    /// One line.
    pub title: String,
    /// What happened and what to look at.
    pub message: String,
    /// A label's name and value.
    pub label: (&'static str, String),
}

impl ShellAlert {
    /// The drill; `when` is `start` or `end`.
    pub fn drill(when: &str) -> Self {
        Self {
            rule_id: "DRILL",
            title: format!("Drill at the {when} of the run"),
            message:
                "Raised by the runner itself: it shows that alerts reach every notifier. Nothing is wrong."
                    .to_owned(),
            label: ("when", when.to_owned()),
        }
    }
}

/// Puts an alert into the spool; when it returns, the alert is on disk.
pub type Raise = Box<dyn FnMut(&ShellAlert) -> Result<(), String> + Send>;

/// What the writer waits for and hands on to.
#[derive(Debug, Default)]
pub struct Beside {
    /// The input log, when one is written.
    pub barrier: Option<Barrier>,
    /// The state store.
    pub store: Option<Sink>,
}

/// The hot thread's end.
#[derive(Debug)]
pub struct WriterHandle {
    sender: SyncSender<Item>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
    failure: Arc<OnceLock<String>>,
    waits: Arc<AtomicU64>,
    queued: Arc<AtomicU64>,
}

impl WriterHandle {
    /// Opens the journal and starts the thread. The KPI file is written at once, so that it exists from the start; after a
    /// restart it begins with what the journal says.
    ///
    /// # Errors
    /// [`RunError::Journal`], [`RunError::Io`] for the KPI file, [`RunError::Internal`] without a thread.
    pub fn start(facts: Facts, raise: Raise, past: Option<Past>, beside: Beside) -> Result<Self, RunError> {
        let journal = file::Writer::append(&facts.effective.journal)?;
        let (sender, receiver) = sync_channel(QUEUE);
        let (failure, queued) = (Arc::new(OnceLock::new()), Arc::new(AtomicU64::new(0)));
        let path = facts.effective.kpi_output_path.clone();
        let mut thread = Thread::new(facts, journal, raise, Arc::clone(&failure), Arc::clone(&queued));
        thread.beside = beside;
        if let Some(past) = past {
            thread.go_on(past);
        }
        thread.write_kpi(&Ending::default()).map_err(RunError::io("write", &path))?;
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || thread.run(&receiver))
            .map_err(|e| RunError::Internal(format!("no thread for the journal: {e}")))?;
        Ok(Self { sender, thread: Some(thread), failure, waits: Arc::default(), queued })
    }

    /// Hands a record over.
    pub fn record(&self, entry: Entry) {
        self.send(Item::Record(Box::new(entry)));
    }

    /// Hands a reading of the core over.
    pub fn screen(&self, screen: Screen) {
        self.send(Item::Screen(Box::new(screen)));
    }

    /// Raises an alert of the shell.
    pub fn alert(&self, alert: ShellAlert) {
        self.send(Item::Alert(Box::new(alert)));
    }

    fn send(&self, item: Item) {
        self.queued.fetch_add(1, Relaxed);
        if let Err(TrySendError::Full(item)) = self.sender.try_send(item) {
            self.waits.fetch_add(1, Relaxed);
            // An error means that the thread is gone; `failure` says why.
            let _ = self.sender.send(item);
        }
    }

    /// Times that the hot thread had to wait.
    pub fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// Why the journal can no longer be written, once that is so.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Waits until everything so far is written and published.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        self.send(Item::Flush(done));
        let _ = wait.recv_timeout(Duration::from_secs(10));
    }

    /// Writes what is queued and the last KPI file, ends the thread.
    ///
    /// # Errors
    /// What went wrong with journal or KPI file.
    pub fn finish(mut self, ending: Ending) -> Result<(), RunError> {
        self.send(Item::End(ending));
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(RunError::Internal("the writer thread panicked".to_owned())),
            None => Ok(()),
        }
    }
}

/// A hot thread that panics still leaves a KPI file that says so.
impl Drop for WriterHandle {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let stop_reason = Some("error: the run ended without its end".to_owned());
            self.send(Item::End(Ending { complete: false, stop_reason }));
            let _ = thread.join();
        }
    }
}

/// The thread.
struct Thread {
    facts: Facts,
    journal: file::Writer,
    raise: Raise,
    failure: Arc<OnceLock<String>>,
    queued: Arc<AtomicU64>,
    kpis: Kpis,
    availability: Availability,
    capital_usd: Option<f64>,
    peak_usd: f64,
    iterations: u64,
    logged: u64,
    synced: Instant,
    kpi_written: Instant,
    iteration_logged: Instant,
    cpu: Option<(Instant, f64)>,
    unsynced: bool,
    latency: LatencyWatch,
    memory: MemoryWatch,
    beside: Beside,
    /// While a replay goes through what the journal already holds.
    verify: Option<Verify>,
}

impl Thread {
    fn new(
        facts: Facts,
        journal: file::Writer,
        raise: Raise,
        failure: Arc<OnceLock<String>>,
        queued: Arc<AtomicU64>,
    ) -> Self {
        let now = Instant::now();
        let latency = LatencyWatch::new(now, facts.metrics.latency.snapshot());
        Self {
            facts,
            journal,
            raise,
            failure,
            queued,
            kpis: Kpis::new(),
            availability: Availability::default(),
            capital_usd: None,
            peak_usd: 0.0,
            iterations: 0,
            logged: 0,
            synced: now,
            kpi_written: now,
            iteration_logged: now,
            cpu: None,
            unsynced: false,
            latency,
            memory: MemoryWatch::default(),
            beside: Beside::default(),
            verify: None,
        }
    }

    /// Takes over what the journal of a killed process says, before anything is published.
    fn go_on(&mut self, past: Past) {
        let metrics = &self.facts.metrics;
        if let Some(capital) = past.capital_usd {
            self.capital_usd = Some(dollars(capital));
            metrics.capital(dollars(capital));
        }
        if let Some(pnl) = past.kpis.pnl_usd() {
            self.peak_usd = dollars(past.peak_usd);
            metrics.equity(dollars(pnl), self.peak_usd - dollars(pnl), self.capital_usd);
        }
        for (rule_id, count) in &past.alerts {
            (0..*count).for_each(|_| report(metrics.alert(rule_id, "engine")));
        }
        self.kpis = past.kpis;
        self.verify = past.verify;
        report(metrics.kpis(&self.kpis));
    }

    fn run(&mut self, receiver: &Receiver<Item>) -> Result<(), RunError> {
        let mut batch = Vec::new();
        loop {
            let held = batch.len();
            let ending = gather(receiver, &mut batch);
            let came = (batch.len() - held) as u64;
            self.queued.fetch_sub(came.min(self.queued.load(Relaxed)), Relaxed);
            let result = self.take(&mut batch);
            if let Err(error) = &result {
                let _ = self.failure.set(error.to_string());
                tracing::error!(%error, "the journal cannot be written: the run ends");
                let stop_reason = Some(format!("error: {error}"));
                // The journal is what failed; the KPI file still says so if it can.
                let _ = self.write_kpi(&Ending { complete: false, stop_reason });
                return result;
            }
            if let Some(ending) = ending {
                return self.end(&ending);
            }
            self.housekeeping()?;
        }
    }

    /// Writes a batch up to its last whole input, then publishes that.
    fn take(&mut self, batch: &mut Vec<Item>) -> Result<(), RunError> {
        // The hot thread hands the records of an input over in one go: nothing else stands between them.
        let whole = batch.iter().rposition(|item| !matches!(item, Item::Record(entry) if !entry.commit));
        let whole = whole.map_or(0, |last| last + 1);
        let mut known = 0;
        if let Some(verify) = &mut self.verify {
            for item in &batch[..whole] {
                let Item::Record(entry) = item else { continue };
                if !verify.agrees(entry)? {
                    self.verify = None;
                    break;
                }
                known += 1;
            }
        }
        let records = batch[..whole].iter().filter_map(|item| match item {
            Item::Record(entry) => Some(entry.as_ref()),
            _ => None,
        });
        let records = records.skip(known);
        if records.clone().next().is_some() {
            if let Some(barrier) = &self.beside.barrier {
                barrier.wait();
            }
            self.journal.write_batch(records)?;
            self.unsynced = true;
        }
        let mut changed = false;
        for item in batch.drain(..whole) {
            match item {
                Item::Record(_) if known > 0 => known -= 1,
                Item::Record(entry) => {
                    self.kpis.on(&entry);
                    self.publish(&entry);
                    changed = true;
                }
                Item::Screen(screen) => self.screen(*screen),
                Item::Alert(alert) => self.alert(&alert),
                Item::Flush(done) => {
                    self.mirror(&mut changed);
                    let _ = done.send(());
                }
                Item::End(_) => {}
            }
        }
        self.mirror(&mut changed);
        Ok(())
    }

    fn mirror(&self, changed: &mut bool) {
        if std::mem::take(changed) {
            report(self.facts.metrics.kpis(&self.kpis));
        }
    }

    fn publish(&mut self, entry: &Entry) {
        let metrics = &self.facts.metrics;
        match &entry.body {
            Body::Start { terms, .. } => {
                let capital = dollars(terms.capital_usd);
                self.capital_usd = Some(capital);
                metrics.capital(capital);
            }
            Body::Equity { pnl_usd, .. } => {
                let pnl = dollars(*pnl_usd);
                self.peak_usd = self.peak_usd.max(pnl);
                metrics.equity(pnl, self.peak_usd - pnl, self.capital_usd);
            }
            Body::Figures { fx, exposure_usd, .. } => {
                let fx = fx.as_ref().map(|fx| (fx.rate.0.to_f64(), fx.age_ms as f64 / 1e3));
                metrics.figures(dollars(*exposure_usd), fx);
            }
            Body::Alert(alert) => {
                report(metrics.alert(alert.rule_id(), "engine"));
                let alert = alert.fields();
                tracing::warn!("alert {}: {}: {}", alert.rule_id, alert.title, alert.message);
            }
            body => crate::lines::log(body),
        }
    }

    fn alert(&mut self, alert: &ShellAlert) {
        match (self.raise)(alert) {
            Ok(()) => report(self.facts.metrics.alert(alert.rule_id, "shell")),
            Err(error) => tracing::error!(error, rule = alert.rule_id, "an alert cannot be raised"),
        }
    }

    fn screen(&mut self, mut screen: Screen) {
        report(self.facts.metrics.screen(&screen));
        self.store(std::mem::take(&mut screen.latest));
        self.iterations = screen.view.iterations;
        let millions = self.iterations / 1_000_000 > self.logged / 1_000_000;
        // Screens come once a second: a twentieth less keeps an interval of whole seconds from being missed by a hair.
        let interval = u128::from(self.facts.effective.config.iteration_log_ms);
        let due = self.iteration_logged.elapsed().as_millis() >= interval - interval / 20;
        if millions || due {
            self.log_iteration(&screen);
        }
    }

    /// The state stores show what the journal holds. What they have to tell becomes alerts here: one spool, one writer.
    fn store(&mut self, latest: Latest) {
        let Some(sink) = &self.beside.store else { return };
        sink.put(latest);
        for alert in sink.news() {
            self.alert(&alert);
        }
    }

    fn log_iteration(&mut self, screen: &Screen) {
        self.logged = self.iterations;
        self.iteration_logged = Instant::now();
        let kpis = &self.kpis;
        let p99 = self
            .facts
            .metrics
            .latency
            .snapshot()
            .quantile(0.99)
            .map_or_else(|| "-".to_owned(), |s| format!("{:.3}", s * 1e3));
        tracing::info!(
            "{}{}] trades {} round trips {} net {} USD win rate {} open {} guard triggers {} books live {}/{} of {} latency p99 {p99} ms",
            catalogue::LOG_ITERATION,
            self.iterations,
            kpis.entries() + kpis.exits(),
            kpis.round_trips(),
            kpis.net_usd(),
            kpis.win_rate_pct().map_or_else(|| "-".to_owned(), |r| format!("{r:.1} %")),
            kpis.open_positions(),
            kpis.guard_triggers().values().sum::<u64>(),
            screen.live(Venue::Upbit),
            screen.live(Venue::Binance),
            screen.books(Venue::Binance),
        );
    }

    fn housekeeping(&mut self) -> Result<(), RunError> {
        if self.synced.elapsed() >= SYNC {
            self.synced = Instant::now();
            if std::mem::take(&mut self.unsynced) {
                self.journal.sync()?;
            }
            self.second();
        }
        let due = u128::from(self.facts.effective.config.kpi_interval_ms);
        if self.kpi_written.elapsed().as_millis() >= due
            && let Err(error) = self.write_kpi(&Ending::default())
        {
            // The next interval tries again; a reader sees that the file grows old.
            let path = self.facts.effective.kpi_output_path.display();
            tracing::error!(%error, %path, "the KPI file cannot be written");
        }
        Ok(())
    }

    /// Process figures and queue sizes, once a second.
    fn second(&mut self) {
        let usage = crate::process::read();
        let now = Instant::now();
        let percent = match (self.cpu, usage.cpu_seconds) {
            (Some((then, before)), Some(seconds)) => {
                Some((seconds - before).max(0.0) * 100.0 / now.duration_since(then).as_secs_f64().max(1e-3))
            }
            _ => None,
        };
        self.cpu = usage.cpu_seconds.map(|seconds| (now, seconds));
        self.facts.metrics.process(&usage, percent);
        self.availability.sample(&self.facts.metrics);
        if self.latency.look(self.facts.metrics.latency.snapshot()) {
            self.alert(&ShellAlert {
                rule_id: "ENGINE-LATENCY",
                title: "The engine is slow".to_owned(),
                message: "Loop latency p99 was above 100 ms for 30 s: look at the machine's load and at the queues.".to_owned(),
                label: ("part", "loop".to_owned()),
            });
        }
        if let Some(message) = self.memory.look(self.facts.clock.elapsed(), usage.rss_bytes) {
            let title = "Memory grows".to_owned();
            self.alert(&ShellAlert {
                rule_id: "MEMORY-HIGH",
                title,
                message,
                label: ("part", "process".to_owned()),
            });
        }
        let queue = self.queued.load(Relaxed) * size_of::<Entry>() as u64;
        report(self.facts.metrics.component("journal_queue", queue));
        if let Some(stats) = &self.facts.recorder {
            report(self.facts.metrics.component("recorder_queue", stats.queued.load(Relaxed)));
        }
    }

    fn end(&mut self, ending: &Ending) -> Result<(), RunError> {
        if let Some(verify) = self.verify.take().filter(|_| ending.is_whole_recording()) {
            verify.finish()?;
        }
        self.journal.sync()?;
        self.second();
        let path = self.facts.effective.kpi_output_path.clone();
        self.write_kpi(ending).map_err(RunError::io("write", &path))
    }

    fn write_kpi(&mut self, ending: &Ending) -> std::io::Result<()> {
        self.kpi_written = Instant::now();
        kpifile::write(&self.facts, &self.kpis, &self.availability, ending)
    }
}

/// Collects a batch: what comes within [`GATHER`] of the first record. Gives the ending, when that came.
fn gather(receiver: &Receiver<Item>, batch: &mut Vec<Item>) -> Option<Ending> {
    let held = batch.len();
    let started = Instant::now();
    let mut patience = Duration::from_millis(100);
    loop {
        match receiver.recv_timeout(patience) {
            Ok(Item::End(ending)) => return Some(ending),
            Ok(item @ (Item::Flush(_) | Item::Alert(_))) => {
                batch.push(item);
                return None;
            }
            Ok(item) => batch.push(item),
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => {
                let stop_reason = Some("error: the hot thread is gone".to_owned());
                return Some(Ending { complete: false, stop_reason });
            }
        }
        if batch.len() >= held + BATCH {
            return None;
        }
        patience = if batch.len() == held + 1 { GATHER } else { GATHER.saturating_sub(started.elapsed()) };
    }
}

fn dollars(money: Money) -> f64 {
    money.to_f64()
}

/// A registry error is a mistake against the catalogue, found by tests; in a run it is a line in the log.
fn report(result: Result<(), RegistryError>) {
    if let Err(error) = result {
        tracing::error!(%error, "a metric is not exposed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::metrics::{Metrics, RunInfo};
    use exposition::Common;
    use journal::record::{Direction, ExitReason};
    use market::{Asset, Timestamp};
    use std::path::Path;

    fn facts(folder: &Path, journal: &Path) -> Facts {
        let mut effective = crate::config::tests::effective(folder);
        effective.journal = journal.to_owned();
        let common = Common { env: "paper".to_owned(), universe: "top10".to_owned() };
        let info = RunInfo { run_id: "t", data_source: "local", evidence: "rehearsal" };
        Facts {
            effective,
            config_sha256: String::new(),
            clock: Clock::start(),
            began: None,
            errors_before: crate::logs::error_count(),
            metrics: Metrics::new(common, info).unwrap(),
            recorder: None,
        }
    }

    fn closed(seq: u64) -> Entry {
        let body = Body::Closed {
            position: seq,
            asset: Asset::new("BTC").unwrap(),
            direction: Direction::BuyUpbit,
            reason: ExitReason::TakeProfit,
            opened_at: Timestamp(1),
            gross_usd: Money::from_int(2),
            fees_usd: Money::from_int(1),
            net_usd: Money::from_int(1),
            slippage_usd: Money::ZERO,
            slippage_bps: 0.0,
            decided_edge_bps: 2.0,
            realised_edge_bps: 1.0,
        };
        Entry { seq, input_seq: seq, at: Timestamp(seq as i64), commit: true, body }
    }

    fn kpi(facts: &Facts) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(&facts.effective.kpi_output_path).unwrap()).unwrap()
    }

    fn round_trips(facts: &Facts) -> f64 {
        facts.metrics.registry.counter("arb_topn_round_trips_total", &[]).unwrap().get()
    }

    #[test]
    fn what_is_written_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let facts = facts(folder.path(), &folder.path().join("journal.log"));
        let writer =
            WriterHandle::start(facts.clone(), Box::new(|_| Ok(())), None, Beside::default()).unwrap();
        assert_eq!(kpi(&facts)["complete"], false);
        for seq in 1..=100 {
            writer.record(closed(seq));
        }
        writer.flush();
        assert_eq!(round_trips(&facts), 100.0);
        let journal = std::fs::read_to_string(&facts.effective.journal).unwrap();
        assert_eq!(journal.lines().count(), 100);
        writer.finish(Ending { complete: true, stop_reason: Some("duration".to_owned()) }).unwrap();
        let kpi = kpi(&facts);
        assert_eq!((&kpi["complete"], &kpi["round_trips_completed"]), (&true.into(), &100.into()));
        assert_eq!(kpi["loop_latency_p99_ms"], serde_json::Value::Null);
        assert!(kpi["loop_latency_p99_ms_reason"].as_str().unwrap().starts_with("undefined"));
    }

    /// What the hot thread had handed over of an input when it died was never finished.
    #[test]
    fn half_an_input_is_neither_written_nor_published() {
        let folder = tempfile::tempdir().unwrap();
        let facts = facts(folder.path(), &folder.path().join("journal.log"));
        let writer =
            WriterHandle::start(facts.clone(), Box::new(|_| Ok(())), None, Beside::default()).unwrap();
        writer.record(Entry { commit: false, ..closed(1) });
        writer.record(closed(2));
        writer.record(Entry { commit: false, ..closed(3) });
        writer.finish(Ending { complete: false, stop_reason: None }).unwrap();
        assert_eq!(std::fs::read_to_string(&facts.effective.journal).unwrap().lines().count(), 2);
        assert_eq!((round_trips(&facts), &kpi(&facts)["round_trips_completed"]), (2.0, &2.into()));
    }

    /// `/dev/full` takes no byte: nothing of what it refused may show.
    #[test]
    fn what_cannot_be_written_is_not_published() {
        let folder = tempfile::tempdir().unwrap();
        let facts = facts(folder.path(), Path::new("/dev/full"));
        let writer =
            WriterHandle::start(facts.clone(), Box::new(|_| Ok(())), None, Beside::default()).unwrap();
        writer.record(closed(1));
        let error = writer.finish(Ending { complete: true, stop_reason: None }).unwrap_err();
        assert_eq!(error.exit_code(), 70);
        assert_eq!(round_trips(&facts), 0.0);
        let kpi = kpi(&facts);
        assert_eq!((&kpi["complete"], &kpi["round_trips_completed"]), (&false.into(), &0.into()));
        assert!(kpi["stop_reason"].as_str().unwrap().starts_with("error: journal"), "{kpi:#}");
    }
}
