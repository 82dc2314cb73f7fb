//! `assay monitor`: watching a process that runs already. Samples, scrapes, followed logs, the rules live; a folder that the archive
//! reads. It gives no verdict, never signals the process, and ends with it.

use super::clocks::{Clocks, gap_limit_s};
use super::due::Due;
use super::follow::Follow;
use super::output::{Output, Setup};
use super::phase::{now_text, progress_of};
use super::sampler::{Root, Sampler, Seen};
use super::scrape::{Http, HttpError};
use super::status::{PhaseStatus, Progress};
use super::suspects::{Ending, Suspects};
use crate::archive::{self, Appender, Metadata, PhaseRecord, PhaseStart, RunDir, Tagged, WriteError, names};
use crate::logwatch::LevelRules;
use crate::profile::{Loaded, Progress as Signal};
use crate::supervise::{Interrupts, Target, Wake, guardian::Event};
use gate::evidence::{Abort, EvidenceClass, LogCounters, LogFacts, OsSample, PhaseEnd, RuleEvent, RuleState};
use gate::rules::RuleName;
use gate::{ProcessEvent, RuleEngine};
use rustix::fs::FlockOperation;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How often the followed logs are looked at.
const LOGS: Duration = Duration::from_millis(200);
/// The phase in the monitor's records: what the rules of a main run say of it.
const PHASE: &str = "main";

/// What to watch.
#[derive(Debug, Clone)]
pub struct Options {
    /// The process; its descendants belong to it.
    pub pid: i32,
    /// What is scraped.
    pub metrics_url: Option<String>,
    /// Logs to follow.
    pub logs: Vec<PathBuf>,
    /// The KPI file.
    pub kpi: Option<PathBuf>,
    /// Polls and rules.
    pub loaded: Loaded,
    /// How long; until the process ends when `None`.
    pub duration: Option<Duration>,
    /// Root of the run folders.
    pub root: PathBuf,
}

/// Why nothing could be watched.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// There is no such process.
    #[error("there is no process {0} that could be watched; `ps -e` lists those there are")]
    NoProcess(i32),
    /// An address with a password.
    #[error(
        "the metrics URL has a user name or a password in it, which would stand in the run folder; give the address alone"
    )]
    Credentials,
    /// The folder.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A log's copy.
    #[error("cannot create the copy of a followed log: {0}")]
    Copy(std::io::Error),
    /// The HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The folder.
    pub dir: RunDir,
    /// Run id.
    pub run_id: String,
    /// Seconds watched.
    pub ran_s: f64,
    /// Why it ended.
    pub ended: String,
    /// What would have aborted a validation, the first one first.
    pub aborts: Vec<Abort>,
    /// The B rules that fired.
    pub warned: Vec<RuleName>,
}

struct Monitor<'a> {
    options: &'a Options,
    progress: &'a mut dyn Progress,
    began: Instant,
    sampler: Sampler<'a>,
    rules: RuleEngine,
    suspects: Suspects,
    followed: Vec<(Follow, Output)>,
    due: Due,
    cpu: Option<(f64, OsSample)>,
    cpu_pct: Option<f64>,
    samples: Appender,
    rule_file: Appender,
    log: Appender,
}

/// Watches until the process ends, the duration is over, or a person interrupts (who ends the watching, not the process).
///
/// # Errors
/// [`MonitorError`].
pub fn monitor(
    options: &Options,
    interrupts: &Interrupts,
    progress: &mut dyn Progress,
) -> Result<Watched, MonitorError> {
    let target = Target::open(options.pid).ok_or(MonitorError::NoProcess(options.pid))?;
    if options.metrics_url.as_deref().is_some_and(crate::profile::credentials::holds) {
        return Err(MonitorError::Credentials);
    }
    let loaded = adapted(options);
    let run_id = format!("{}-monitor", crate::pipeline::new_run_id());
    let dir = RunDir::create(&options.root, &loaded.profile.name, &run_id)?;
    let settings = crate::profile::settings(&loaded);
    dir.write_json(names::METADATA, &metadata(options, &loaded, &run_id))?;
    let mut phases = dir.append(names::PHASES)?;
    let label = "monitor".to_owned();
    let planned_s = options.duration.map_or(0.0, |d| d.as_secs_f64());
    let (phase, runner_id) = (PHASE.to_owned(), format!("{run_id}.{PHASE}"));
    phases.json(&PhaseRecord::Start(PhaseStart { phase, label, runner_id, planned_s, at: now_text() }))?;
    dir.append(names::PANELS)?;
    // Held while we watch, so that nobody prunes the folder meanwhile.
    let held = std::fs::File::open(dir.append(names::MONITOR).map(|_| dir.path(names::MONITOR))?)
        .map_err(MonitorError::Copy)?;
    let _ = rustix::fs::flock(&held, FlockOperation::NonBlockingLockShared);

    let http = Http::new()?;
    let (tx, wakes) = mpsc::channel();
    interrupts.listen(tx.clone());
    let began = Instant::now();
    let mut followed = Vec::new();
    for (i, path) in options.logs.iter().enumerate() {
        let cap = loaded.profile.limits.log_cap_bytes;
        let label = format!("monitor_{}", i + 1);
        let setup = Setup {
            folder: &dir.0,
            label: &label,
            cap,
            rules: LevelRules::of_checked(&loaded.profile.runner.mapping.log),
            began,
        };
        let output = Output::start(None, None, setup).map_err(MonitorError::Copy)?;
        followed.push((Follow::from_end(path), output));
    }
    std::thread::spawn(move || {
        while !target.is_gone(Duration::from_secs(3_600)) {}
        let status = target.exit_status();
        let (code, signal) = (status.and_then(|s| s.code), status.and_then(|s| s.signal));
        let _ = tx.send(Wake::Child(Some(Event::Exited { code, signal, leftovers: Vec::new() })));
    });
    let watch = &loaded.profile.watch;
    let mut monitor = Monitor {
        options,
        progress,
        began,
        sampler: Sampler {
            http: &http,
            url: options.metrics_url.clone().ok_or_else(|| "no metrics address was given".to_owned()),
            timeout: watch.scrape_timeout.0,
            root: Root::Attached(options.pid),
            kpi_path: options.kpi.clone(),
            mapping: &loaded.profile.runner.mapping,
            clocks: Clocks::new(gap_limit_s(watch.poll.secs(), watch.scrape_timeout.secs())),
            seen: Seen::default(),
        },
        // The process owes us no duration of its own: 0 makes no exit an early one.
        rules: RuleEngine::new(&settings, 0.0),
        suspects: Suspects::new(watch.handled_after.secs()),
        followed,
        due: Due::new(began, watch, &loaded.profile.panels),
        cpu: None,
        cpu_pct: None,
        samples: dir.append(names::SAMPLES)?,
        rule_file: dir.append(names::RULES)?,
        log: dir.append(names::MONITOR)?,
    };
    let (ended, exit) = monitor.run(&wakes, interrupts)?;
    let watched = monitor.finish(&dir, &run_id, ended, exit, &mut phases)?;
    drop(held);
    Ok(watched)
}

/// The profile for a process of which we know no more than was given: what was not given is not applicable.
fn adapted(options: &Options) -> Loaded {
    let mut loaded = options.loaded.clone();
    let runner = &mut loaded.profile.runner;
    runner.own_contract = false;
    let mut lacks = |name: &str, why: &str| {
        runner.not_applicable.entry(name.to_owned()).or_insert_with(|| why.to_owned());
    };
    lacks("journal", "a monitored process shows no journal");
    if options.metrics_url.is_none() {
        lacks("metrics", "no metrics address was given to the monitor");
        if options.kpi.is_some() {
            runner.progress = Signal::KpiFile;
        } else {
            runner.progress = Signal::Metric;
        }
    }
    loaded
}

fn metadata(options: &Options, loaded: &Loaded, run_id: &str) -> Metadata {
    Metadata {
        format: archive::FORMAT,
        run_id: run_id.to_owned(),
        started_at: now_text(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: archive::MONITOR_MODE.to_owned(),
        profile: loaded.profile.clone(),
        profile_hash: loaded.hash.clone(),
        settings: crate::profile::settings(loaded),
        endpoints: Vec::new(),
        class: EvidenceClass::Declared {
            why: format!("process {} was watched from outside, not started by Assay", options.pid),
        },
        machine: crate::pipeline::machine(),
        // Nothing here starts it again: the process was not ours to start.
        prices: None,
        rerun: None,
    }
}

/// The process's exit as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
struct Exit {
    code: Option<i32>,
    signal: Option<i32>,
}

impl Monitor<'_> {
    fn t(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn run(
        &mut self,
        wakes: &mpsc::Receiver<Wake>,
        interrupts: &Interrupts,
    ) -> Result<(String, Option<Exit>), MonitorError> {
        let initial = self.rules.initial();
        self.record(initial)?;
        let mut logs = self.began + LOGS;
        let until = self.options.duration.map(|duration| self.began + duration);
        loop {
            let mut next = self.due.next(false);
            for at in [(!self.followed.is_empty()).then_some(logs), until].into_iter().flatten() {
                next = next.min(at);
            }
            if let Ok(Wake::Child(Some(Event::Exited { code, signal, .. }))) =
                wakes.recv_timeout(next.saturating_duration_since(Instant::now()))
            {
                return self.on_exit(Exit { code, signal });
            }
            if interrupts.asked() > 0 {
                return Ok(("the monitor was interrupted; the process goes on".to_owned(), None));
            }
            let now = Instant::now();
            if until.is_some_and(|until| now >= until) {
                return Ok(("its time was over; the process goes on".to_owned(), None));
            }
            if now >= logs || self.due.log.is_some_and(|due| now >= due) {
                logs = now + LOGS;
                self.look_at_logs()?;
            }
            if now >= self.due.poll {
                self.poll()?;
                self.due.polled(Instant::now());
            } else if now >= self.due.tick {
                let changes = self.rules.on_tick(self.t());
                self.record(changes)?;
                self.due.ticked(now);
            }
            if self.due.interim(now) {
                let line = self.status().line();
                self.log.line(&format!("{} {line}", now_text()))?;
                self.progress.interim(&line);
            }
        }
    }

    fn on_exit(&mut self, exit: Exit) -> Result<(String, Option<Exit>), MonitorError> {
        self.read_logs()?;
        let t = self.t();
        let known = exit.code.is_some() || exit.signal.is_some();
        // Last words of a process that is gone: only a clean end, if it is known, makes them harmless.
        for event in self
            .suspects
            .on_exit(Ending { clean: exit.code == Some(0), foreign_signal: exit.signal.is_some() })
        {
            let changes = self.rules.on_process(t, &event);
            self.record(changes)?;
        }
        if known {
            let event = ProcessEvent::Exited { code: exit.code, signal: exit.signal, after_stop: false };
            let changes = self.rules.on_process(t, &event);
            self.record(changes)?;
        }
        let how = match (exit.code, exit.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "its exit status is known to its parent only".to_owned(),
        };
        Ok((format!("the process ended: {how}"), Some(exit)))
    }

    fn read_logs(&mut self) -> Result<(), MonitorError> {
        let t = self.t();
        let mut notes = Vec::new();
        for (follow, output) in &mut self.followed {
            notes.extend(follow.look(output, t));
            self.suspects.add(output.look(t).1);
        }
        notes.iter().try_for_each(|note| self.note(note))
    }

    fn look_at_logs(&mut self) -> Result<(), MonitorError> {
        self.read_logs()?;
        let t = self.t();
        let progress = progress_of(&self.rules);
        for event in self.suspects.on_time(t, progress) {
            let changes = self.rules.on_process(t, &event);
            self.record(changes)?;
        }
        self.due.looked_at_log(!self.suspects.is_empty());
        Ok(())
    }

    fn poll(&mut self) -> Result<(), MonitorError> {
        self.read_logs()?;
        let (began, followed, suspects) = (self.began, &self.followed, &mut self.suspects);
        let polled = self.sampler.poll(&|| began.elapsed().as_secs_f64(), &mut |t| {
            let mut sum = LogCounters::default();
            for (_, output) in followed {
                let (log, found) = output.look(t);
                suspects.add(found);
                add(&mut sum, &log);
            }
            sum
        });
        let sample = &polled.sample;
        if let Some(os) = sample.os.get() {
            self.cpu_pct = self.cpu.as_ref().and_then(|(before, last)| {
                let used = os.cpu_seconds - last.cpu_seconds;
                (sample.t > *before && used >= 0.0).then(|| used / (sample.t - before) * 100.0)
            });
            self.cpu = Some((sample.t, *os));
        }
        if let Some(jump) = polled.reading.jump_s {
            self.note(&format!("the wall clock jumped by {jump:+.1} s"))?;
        }
        if let Some(gap) = polled.reading.gap_s {
            self.note(&format!("no poll was made for {gap:.0} s"))?;
        }
        if let Some(member) = &polled.stopped {
            self.note(&format!("pid {} ({}) is stopped by a signal (SIGSTOP)", member.pid, member.name))?;
        }
        self.samples.json(&Tagged { phase: PHASE.to_owned(), record: &polled.sample })?;
        let changes = self.rules.on_sample(&polled.sample);
        self.record(changes)?;
        let status = self.status();
        self.progress.update(&status);
        Ok(())
    }

    fn record(&mut self, events: Vec<RuleEvent>) -> Result<(), MonitorError> {
        for event in events {
            let text = format!("{} {:?}: {}", event.rule, event.state, event.text);
            self.log.line(&format!("{} {text}", now_text()))?;
            self.rule_file.json(&Tagged { phase: PHASE.to_owned(), record: &event })?;
            if event.state != RuleState::Off {
                self.progress.note(&format!("{:.0} s  {text}", event.t));
            }
        }
        Ok(())
    }

    fn note(&mut self, text: &str) -> Result<(), MonitorError> {
        self.log.line(&format!("{} {text}", now_text()))?;
        self.progress.note(text);
        Ok(())
    }

    fn status(&self) -> PhaseStatus {
        let seen = &self.sampler.seen;
        let planned_s = self.options.duration.map_or(0.0, |d| d.as_secs_f64());
        let polls = (seen.polls, seen.missed);
        let scrape = seen.last_scrape.as_ref();
        let mut status = PhaseStatus::new("monitor", self.t(), planned_s, scrape, self.rules.states(), polls);
        // What the kernel says of the group, rather than what the process says of itself.
        status.cpu_pct = self.cpu_pct.or(status.cpu_pct);
        status
    }

    fn finish(
        mut self,
        dir: &RunDir,
        run_id: &str,
        ended: String,
        exit: Option<Exit>,
        phases: &mut Appender,
    ) -> Result<Watched, MonitorError> {
        let ran_s = self.t();
        let mut log = LogFacts::default();
        for (_, output) in &self.followed {
            let (counters, found, top_errors, dropped) = output.finish(ran_s);
            add(&mut log.counters, &counters);
            self.suspects.add(found);
            log.top_errors.extend(top_errors);
            log.dropped_bytes += dropped;
        }
        log.top_errors.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        log.top_errors.truncate(5);
        log.blocks = self.suspects.take();
        let aborts: Vec<Abort> =
            self.rules.first_abort().into_iter().chain(self.rules.later()).cloned().collect();
        phases.json(&PhaseRecord::End {
            phase: PHASE.to_owned(),
            end: PhaseEnd {
                ran_s,
                exit_code: exit.and_then(|exit| exit.code),
                signal: exit.and_then(|exit| exit.signal),
                stop_sent_s: None,
                abort: aborts.first().cloned(),
                later_causes: aborts.iter().skip(1).cloned().collect(),
                interrupted: None,
                killed_by_us: false,
                leftovers: Vec::new(),
            },
            log,
            remote: self.sampler.seen.remote.iter().map(ToString::to_string).collect(),
            identity: self.sampler.seen.identity.clone(),
        })?;
        self.log.line(&format!("{} {ended}", now_text()))?;
        for file in [&*phases, &self.samples, &self.rule_file, &self.log] {
            file.sync()?;
        }
        let (dir, run_id, warned) = (dir.clone(), run_id.to_owned(), self.rules.warned().to_vec());
        Ok(Watched { dir, run_id, ran_s, ended, aborts, warned })
    }
}

/// Sums the counters of several logs. A slot of 100 ms in which two of them have an ERROR line counts twice.
fn add(sum: &mut LogCounters, log: &LogCounters) {
    sum.lines += log.lines;
    sum.errors += log.errors;
    sum.warnings += log.warnings;
    sum.criticals += log.criticals;
    sum.dlq += log.dlq;
    sum.error_slots += log.error_slots;
    sum.position_limit += log.position_limit;
    sum.emergency_stop += log.emergency_stop;
    sum.suspects += log.suspects;
}
