//! The loop over one phase: start the runner under its guardian, poll, feed the rules, stop it when one says so, write everything down
//! as it happens. What this returns is also on disk.

use super::collect::ask_panels;
use super::console::Console;
use super::output::{Output, Setup};
use super::panels::Window;
use super::scrape::Http;
use super::status::{PhaseStatus, Progress};
use super::suspects::{self, Ending, Suspects};
use crate::archive::{Appender, Identity, PhaseRecord, PhaseStart, RunDir, Tagged, WriteError, names};
use crate::logwatch::{LevelRules, Levels};
use crate::profile::Profile;
use crate::supervise::guardian::Event;
use crate::supervise::{ChildError, Guarded, Launch, group};
use catalogue::{Dashboard, RuleId};
use gate::evidence::{Abort, Found, LogFacts, OsSample, PhaseEnd, RuleState, Sample, Scrape, Settings};
use gate::{ProcessEvent, RuleEngine};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// What a phase needs.
pub struct Spec<'a> {
    /// The effective profile.
    pub profile: &'a Profile,
    /// What judging needs of it.
    pub settings: &'a Settings,
    /// The run folder.
    pub dir: &'a RunDir,
    /// `smoke`, `planted`, `main`.
    pub phase: &'a str,
    /// File label.
    pub label: &'a str,
    /// Runner id.
    pub runner_id: &'a str,
    /// Asked duration.
    pub duration: Duration,
    /// The command line, placeholders filled in.
    pub command: Vec<String>,
    /// Where metrics are scraped.
    pub metrics_url: String,
    /// The executable that is the guardian.
    pub guardian: &'a Path,
    /// The console.
    pub console: &'a Console,
    /// The HTTP client.
    pub http: &'a Http,
    /// How often the person has asked us to stop (Ctrl-C, SIGTERM).
    pub interrupts: &'a Arc<AtomicU32>,
    /// True to evaluate rules, write samples and panels (not for the planted proof).
    pub judged: bool,
}

/// Why a phase could not be run.
#[derive(Debug, thiserror::Error)]
pub enum PhaseError {
    /// The runner could not be started.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// Evidence could not be written: without evidence there is no verdict.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The console log could not be created.
    #[error("cannot create the runner's console log: {0}")]
    Console(std::io::Error),
}

/// How it went.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub end: PhaseEnd,
    /// The last scrape that succeeded.
    pub last_scrape: Option<Scrape>,
}

struct Files {
    phases: Appender,
    samples: Appender,
    rules: Appender,
    panels: Appender,
    monitor: Appender,
}

struct Watch<'a, 'p> {
    spec: &'a Spec<'a>,
    progress: &'p mut dyn Progress,
    files: Files,
    rules: RuleEngine,
    child: Guarded,
    output: Output,
    suspects: Suspects,
    began: Instant,
    peak: u64,
    kpi_version: Option<(u64, i64, i64)>,
    kpi_rewrites: u64,
    kpi: BTreeMap<String, f64>,
    last_scrape: Option<Scrape>,
    last_page: Option<Vec<u8>>,
    identity: Option<Identity>,
    remote: BTreeSet<IpAddr>,
    stop: Option<Stop>,
    interrupted: Option<String>,
    exited: Option<Exit>,
    boot_offset: Option<f64>,
    polls: u64,
    missed: u64,
}

struct Stop {
    at: Instant,
    at_s: f64,
    signal: i32,
    ended: bool,
}

struct Exit {
    at_s: f64,
    code: Option<i32>,
    signal: Option<i32>,
    leftovers: Vec<String>,
}

/// Between two looks at the events: bounds how late an exit is noticed.
const LOOK: Duration = Duration::from_millis(20);

/// Runs a phase from its start to an empty process group.
///
/// # Errors
/// [`PhaseError`]; the runner is ended before it returns.
pub fn run(spec: &Spec<'_>, progress: &mut dyn Progress) -> Result<Outcome, PhaseError> {
    let dir = spec.dir;
    let mut files = Files {
        phases: dir.append(names::PHASES)?,
        samples: dir.append(names::SAMPLES)?,
        rules: dir.append(names::RULES)?,
        panels: dir.append(names::PANELS)?,
        monitor: dir.append(names::MONITOR)?,
    };
    files.phases.json(&PhaseRecord::Start(PhaseStart {
        phase: spec.phase.to_owned(),
        label: spec.label.to_owned(),
        runner_id: spec.runner_id.to_owned(),
        planned_s: spec.duration.as_secs_f64(),
        at: now_text(),
    }))?;
    files.phases.sync()?;

    let (tx, events) = mpsc::channel();
    let launch = Launch {
        program: spec.command[0].clone(),
        args: spec.command[1..].to_vec(),
        env: Vec::new(),
        cwd: None,
        guardian: spec.guardian.to_owned(),
    };
    let began = Instant::now();
    let mut child = Guarded::start(&launch, move |event| {
        let _ = tx.send(event);
    })?;
    let setup = Setup {
        folder: &dir.0,
        label: spec.label,
        cap: spec.profile.limits.log_cap_bytes,
        levels: Levels::usual(),
        rules: level_rules(spec.profile),
        began,
    };
    let output =
        Output::start(child.stdout.take(), child.stderr.take(), setup).map_err(PhaseError::Console)?;
    if spec.judged {
        spec.console.begin(Window::new(spec.settings.hour_s, spec.settings.cpu_cores));
    }
    let mut watch = Watch {
        spec,
        progress,
        files,
        rules: RuleEngine::new(spec.settings, spec.duration.as_secs_f64()),
        child,
        output,
        suspects: Suspects::new(spec.profile.watch.handled_after.secs()),
        began,
        peak: 0,
        kpi_version: None,
        kpi_rewrites: 0,
        kpi: BTreeMap::new(),
        last_scrape: None,
        last_page: None,
        identity: None,
        remote: BTreeSet::new(),
        stop: None,
        interrupted: None,
        exited: None,
        boot_offset: None,
        polls: 0,
        missed: 0,
    };
    watch.run(&events)?;
    watch.collect()
}

impl Watch<'_, '_> {
    fn t(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn run(&mut self, events: &mpsc::Receiver<Option<Event>>) -> Result<(), PhaseError> {
        let poll = self.spec.profile.watch.poll.0;
        let initial = self.rules.initial();
        self.record(initial)?;
        let mut next_poll = self.began + poll;
        let mut next_core = self.began + self.spec.profile.panels.core_every.0;
        let mut next_alerting = self.began + self.spec.profile.panels.alerting_every.0;
        let mut next_interim = self.began + self.spec.profile.watch.interim_every.0;
        loop {
            let wait = next_poll.saturating_duration_since(Instant::now()).min(LOOK);
            match events.recv_timeout(wait) {
                Ok(Some(event)) => {
                    if self.on_event(event)? {
                        return Ok(());
                    }
                }
                // The guardian is gone: `Guarded` ends what it left.
                Ok(None) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                    self.on_guardian_gone()?;
                    return Ok(());
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            self.look_at_log()?;
            self.look_at_interrupts()?;
            self.escalate()?;
            if self.exited.is_some() {
                continue;
            }
            let now = Instant::now();
            if now >= next_poll {
                self.poll()?;
                // A poll that took too long is not made up for: the next one is at the next multiple.
                while next_poll <= Instant::now() {
                    next_poll += poll;
                }
            } else {
                let t = self.t();
                let changes = self.rules.on_tick(t);
                self.record(changes)?;
            }
            self.look_at_rules()?;
            if self.spec.judged && self.spec.phase == "main" && self.stop.is_none() {
                if now >= next_core {
                    self.check_panels(Dashboard::Core)?;
                    next_core += self.spec.profile.panels.core_every.0;
                }
                if now >= next_alerting {
                    self.check_panels(Dashboard::Alerting)?;
                    next_alerting += self.spec.profile.panels.alerting_every.0;
                }
            }
            if now >= next_interim {
                next_interim += self.spec.profile.watch.interim_every.0;
                let line = self.status().line();
                self.files.monitor.line(&format!("{} {line}", now_text()))?;
                self.progress.interim(&line);
            }
            let limit = self.spec.duration + self.spec.profile.watch.overrun_grace.0;
            if self.stop.is_none() && self.began.elapsed() > limit {
                let (asked, grace) =
                    (self.spec.duration.as_secs_f64(), self.spec.profile.watch.overrun_grace);
                self.note(&format!("the runner is {grace} past its {asked:.0} s: asked to stop"))?;
                self.ask_to_stop(self.stop_signal())?;
            }
        }
    }

    /// True when the group is empty: the phase is over.
    fn on_event(&mut self, event: Event) -> Result<bool, PhaseError> {
        let t = self.t();
        match event {
            Event::Exited { code, signal, leftovers } => {
                self.exited = Some(Exit { at_s: t, code, signal, leftovers });
                let after_stop = self.stop.is_some();
                // What the process wrote last is in the pipes: read it before judging the exit.
                let until = Instant::now() + Duration::from_millis(500);
                while !self.output.is_closed() && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(5));
                }
                let (_, found) = self.output.look_at_last(t);
                self.suspects.add(found);
                let ending = self.ending(code, signal);
                for event in self.suspects.on_exit(ending) {
                    let changes = self.rules.on_process(t, &event);
                    self.record(changes)?;
                }
                let changes = self.rules.on_process(t, &ProcessEvent::Exited { code, signal, after_stop });
                self.record(changes)?;
                Ok(false)
            }
            Event::Empty { .. } => Ok(true),
            Event::Started { .. } | Event::Failed { .. } => Ok(false),
        }
    }

    /// How the process ended, for what its crash blocks are. A signal after our own stop signal is ours when it is the one that
    /// we sent, or when we had to kill.
    fn ending(&self, code: Option<i32>, signal: Option<i32>) -> Ending {
        let ours = self.stop.as_ref().is_some_and(|stop| stop.ended || signal == Some(stop.signal));
        Ending {
            clean: code == Some(0) || code == Some(gate::rules::EMERGENCY_EXIT),
            foreign_signal: signal.is_some() && !ours,
        }
    }

    fn on_guardian_gone(&mut self) -> Result<(), PhaseError> {
        if self.exited.is_none() {
            let t = self.t();
            self.interrupted.get_or_insert_with(|| "the guardian process was killed".to_owned());
            self.exited = Some(Exit { at_s: t, code: None, signal: None, leftovers: Vec::new() });
            self.note("the guardian is gone: everything that it guarded is ended")?;
        }
        Ok(())
    }

    fn look_at_log(&mut self) -> Result<(), PhaseError> {
        let t = self.t();
        let (_, found) = self.output.look(t);
        self.suspects.add(found);
        if self.exited.is_some() {
            return Ok(());
        }
        if self.suspects.is_empty() {
            return Ok(());
        }
        let hang = self.rules.states().into_iter().find(|status| status.rule == RuleId::A8);
        let progress = match hang.map(|status| status.state) {
            Some(RuleState::Fired) => suspects::Progress::Lost,
            Some(RuleState::Pending | RuleState::Frozen) => suspects::Progress::Unsure,
            Some(RuleState::Clear | RuleState::Off) | None => suspects::Progress::Moving,
        };
        for event in self.suspects.on_time(t, progress) {
            let changes = self.rules.on_process(t, &event);
            self.record(changes)?;
        }
        Ok(())
    }

    fn look_at_interrupts(&mut self) -> Result<(), PhaseError> {
        let asked = self.spec.interrupts.load(Ordering::SeqCst);
        if asked == 0 || self.exited.is_some() {
            return Ok(());
        }
        if self.stop.is_none() {
            self.interrupted.get_or_insert_with(|| "stopped by a person (Ctrl-C or SIGTERM)".to_owned());
            self.note("interrupted: the runner is asked to end in order; once more ends it by force")?;
            self.ask_to_stop(self.stop_signal())?;
        } else if asked > 1 {
            self.child.end(Duration::ZERO);
        }
        Ok(())
    }

    fn look_at_rules(&mut self) -> Result<(), PhaseError> {
        if self.stop.is_some() || !self.spec.judged {
            return Ok(());
        }
        if let Some(abort) = self.rules.first_abort().cloned() {
            self.note(&format!("ABORT {}: {}", abort.cause, abort.text))?;
            // A hung process gets SIGABRT first, so that it leaves a trace.
            let signal = if abort.cause == "A8" { SIGABRT } else { self.stop_signal() };
            self.ask_to_stop(signal)?;
        }
        Ok(())
    }

    fn stop_signal(&self) -> i32 {
        if self.spec.profile.runner.stop_signal == "SIGINT" { SIGINT } else { SIGTERM }
    }

    fn ask_to_stop(&mut self, signal: i32) -> Result<(), PhaseError> {
        let t = self.t();
        self.child.signal(signal);
        self.stop = Some(Stop { at: Instant::now(), at_s: t, signal, ended: false });
        self.suspects.on_stop(t);
        let changes = self.rules.on_process(t, &ProcessEvent::StopSent);
        self.record(changes)
    }

    /// A runner that ignores its stop signal is ended by force after the grace.
    fn escalate(&mut self) -> Result<(), PhaseError> {
        let grace = self.spec.profile.runner.stop_grace.0;
        if let Some(stop) = &mut self.stop
            && !stop.ended
            && self.exited.is_none()
            && stop.at.elapsed() > grace
        {
            stop.ended = true;
            self.child.end(Duration::from_millis(500));
            self.note(&format!(
                "the runner did not end within {} s of its stop signal: killed",
                grace.as_secs()
            ))?;
        }
        Ok(())
    }

    fn poll(&mut self) -> Result<(), PhaseError> {
        let watch = &self.spec.profile.watch;
        let scrape = if self.spec.settings.has_metrics {
            let url = self.spec.metrics_url.as_str();
            let mapping = &self.spec.profile.runner.mapping;
            let scrape = || self.spec.http.scrape(url, watch.scrape_timeout.0, mapping);
            scrape().or_else(|_| scrape())
        } else {
            Err("the runner offers no metrics".to_owned())
        };
        let t = self.t();
        self.polls += 1;
        let scrape = match scrape {
            Ok((page, body)) => {
                let owner = self.socket_owner();
                self.identity = Some(Identity {
                    t,
                    run_id: page.run_id.clone(),
                    socket_in_group: owner.as_ref().map(|owner| owner.in_group),
                    socket_owner: owner.map(|owner| owner.who),
                });
                if self.spec.judged {
                    let capital = self.kpi.get("paper_capital_usd").copied();
                    self.spec.console.push(t, &page.scrape, page.run_id.as_deref(), capital);
                }
                self.last_page = Some(body);
                self.last_scrape = Some(page.scrape.clone());
                Found::Yes(page.scrape)
            }
            Err(why) => {
                self.missed += 1;
                Found::No(why)
            }
        };
        self.look_at_kpi_file();
        let (log, found) = self.output.look(t);
        self.suspects.add(found);
        let os = self.os_sample();
        self.look_at_clocks_and_states()?;
        let sample = Sample {
            t,
            wall_ms: jiff::Timestamp::now().as_millisecond(),
            scrape,
            os,
            log,
            kpi_rewrites: self.kpi_rewrites,
            kpi: self.kpi.clone(),
        };
        if self.spec.judged {
            let tagged = Tagged { phase: self.spec.phase.to_owned(), record: &sample };
            self.files.samples.json(&tagged)?;
            let changes = self.rules.on_sample(&sample);
            self.record(changes)?;
        }
        if !self.spec.judged && self.stop.is_none() && self.traded() {
            self.note("the planted gap was traded")?;
            self.ask_to_stop(self.stop_signal())?;
        }
        let status = self.status();
        self.spec.console.set_status(serde_json::to_value(&status).unwrap_or_default());
        self.progress.update(&status);
        Ok(())
    }

    /// True when a round trip was completed by another exit than `shutdown`: all that the planted proof waits for.
    fn traded(&self) -> bool {
        self.last_scrape.as_ref().is_some_and(|scrape| {
            scrape.series.iter().any(|(name, value)| {
                name.starts_with("arb_topn_exit_reasons_total{")
                    && !name.contains("reason=\"shutdown\"")
                    && *value > 0.0
            })
        })
    }

    fn os_sample(&mut self) -> Found<OsSample> {
        self.remote.extend(group::remote_peers(self.child.guardian_pid()));
        match group::sample(self.child.guardian_pid(), self.peak) {
            Some(sample) => {
                self.peak = sample.peak_rss_bytes;
                Found::Yes(sample)
            }
            None => Found::No("no process of the group could be read".to_owned()),
        }
    }

    fn socket_owner(&self) -> Option<group::SocketOwner> {
        let rest = self.spec.metrics_url.split_once("://")?.1;
        let addr: SocketAddr = rest.split('/').next()?.parse().ok()?;
        addr.ip().is_loopback().then(|| group::listener(addr, self.child.guardian_pid()))?
    }

    fn look_at_kpi_file(&mut self) {
        let path = self.spec.dir.phase_path(self.spec.label, "kpi.json");
        let Ok(meta) = std::fs::metadata(&path) else { return };
        let version = Some((meta.ino(), meta.mtime(), meta.mtime_nsec()));
        if version == self.kpi_version {
            return;
        }
        self.kpi_version = version;
        self.kpi_rewrites += 1;
        if let Found::Yes(file) = crate::archive::read_kpi(&path, &self.spec.profile.runner.mapping) {
            self.kpi = file.fields.iter().filter_map(|(k, v)| Some((k.clone(), v.as_f64()?))).collect();
        }
    }

    /// Sleep of the machine, and SIGSTOP: interruptions that the runner cannot be blamed for and a verdict cannot be built on.
    fn look_at_clocks_and_states(&mut self) -> Result<(), PhaseError> {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let mono = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let offset = (boot.tv_sec - mono.tv_sec) as f64 + (boot.tv_nsec - mono.tv_nsec) as f64 / 1e9;
        let slept = offset - *self.boot_offset.get_or_insert(offset);
        if slept > 5.0 && self.interrupted.is_none() {
            self.interrupted = Some(format!("the machine slept for {slept:.0} s"));
            self.note("the machine slept: the run is interrupted")?;
        }
        let stopped = group::descendants(self.child.guardian_pid()).into_iter().find(|m| m.state == 'T');
        if let Some(member) = stopped
            && self.interrupted.is_none()
        {
            let what = format!("pid {} ({}) was stopped by a signal (SIGSTOP)", member.pid, member.name);
            self.note(&what)?;
            self.interrupted = Some(what);
        }
        Ok(())
    }

    fn check_panels(&mut self, dashboard: Dashboard) -> Result<(), PhaseError> {
        for check in ask_panels(self.spec.http, self.spec.console.addr, dashboard, self.t()) {
            self.files.panels.json(&check)?;
        }
        Ok(())
    }

    fn record(&mut self, events: Vec<gate::evidence::RuleEvent>) -> Result<(), PhaseError> {
        if !self.spec.judged {
            return Ok(());
        }
        for event in events {
            let line = format!("{} {} {:?}: {}", now_text(), event.rule, event.state, event.text);
            self.files.monitor.line(&line)?;
            self.files.rules.json(&Tagged { phase: self.spec.phase.to_owned(), record: &event })?;
        }
        Ok(())
    }

    fn note(&mut self, text: &str) -> Result<(), PhaseError> {
        self.files.monitor.line(&format!("{} {text}", now_text()))?;
        self.progress.note(text);
        Ok(())
    }

    fn status(&self) -> PhaseStatus {
        PhaseStatus::new(
            self.spec.phase,
            self.t(),
            self.spec.duration.as_secs_f64(),
            self.last_scrape.as_ref(),
            self.rules.states(),
            (self.polls, self.missed),
        )
    }

    /// The end: everything that is only known now, onto the disk.
    fn collect(mut self) -> Result<Outcome, PhaseError> {
        self.child.finish(Duration::from_secs(5));
        let t = self.t();
        let until = Instant::now() + Duration::from_millis(500);
        while !self.output.is_closed() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.look_at_kpi_file();
        let (counters, found, top_errors, dropped_bytes) = self.output.finish(t);
        self.suspects.add(found);
        let exit =
            self.exited.take().unwrap_or(Exit { at_s: t, code: None, signal: None, leftovers: Vec::new() });
        let ending = self.ending(exit.code, exit.signal);
        let _ = self.suspects.on_exit(ending);
        let log = LogFacts { counters, blocks: self.suspects.take(), top_errors, dropped_bytes };
        let end = PhaseEnd {
            ran_s: exit.at_s,
            exit_code: exit.code,
            signal: exit.signal,
            stop_sent_s: self.stop.as_ref().map(|stop| stop.at_s),
            abort: self.rules.first_abort().cloned(),
            later_causes: self.rules.later().to_vec(),
            interrupted: self.interrupted.clone(),
            killed_by_us: self.stop.as_ref().is_some_and(|stop| stop.ended),
            leftovers: exit.leftovers,
        };
        if let Some(page) = &self.last_page {
            crate::archive::write_atomic(
                &self.spec.dir.phase_path(self.spec.label, "metrics_final.prom"),
                page,
            )?;
        }
        let failed =
            |source| WriteError { path: self.spec.dir.path(&names::error_log(self.spec.label)), source };
        self.output.end_error_log(&log).map_err(failed)?;
        self.files.phases.json(&PhaseRecord::End {
            phase: self.spec.phase.to_owned(),
            end: end.clone(),
            log,
            remote: self.remote.iter().map(ToString::to_string).collect(),
            identity: self.identity.clone(),
        })?;
        for file in [&self.files.phases, &self.files.samples, &self.files.rules, &self.files.panels] {
            file.sync()?;
        }
        Ok(Outcome { end, last_scrape: self.last_scrape })
    }
}

/// How levels are read. A profile's pattern was compiled when the profile was checked.
fn level_rules(profile: &Profile) -> LevelRules {
    LevelRules::new(&profile.runner.mapping.log).unwrap_or_default()
}

const SIGINT: i32 = 2;
const SIGABRT: i32 = 6;
const SIGTERM: i32 = 15;

/// The first abort of an ended phase, as a sentence.
pub fn abort_text(abort: &Abort) -> String {
    format!("{}: {} (after {:.1} s)", abort.cause, abort.text, abort.at_s)
}

/// Now, as text for logs.
pub fn now_text() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
