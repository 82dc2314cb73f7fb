//! The loop over one phase: start the runner under its guardian, poll, feed the rules, write everything down as it happens. It sleeps
//! until something happens or the next thing is due. How a runner is stopped and what is collected at its end is in `ending`.

use super::asker::{Answered, Asker};
use super::clocks::{Clocks, gap_limit_s};
use super::collect::ask_panels;
use super::console::Console;
use super::due::Due;
use super::ending::{Exit, Stop};
use super::output::{Output, Setup};
use super::panels::{Scale, Window};
use super::sampler::{Poll, Root, Sampler, Seen};
use super::scrape::Http;
use super::status::{PhaseStatus, Progress};
use super::suspects::{self, Suspects};
use crate::archive::{Appender, PhaseRecord, PhaseStart, RunDir, Tagged, WriteError, names};
use crate::logwatch::LevelRules;
use crate::profile::{DashboardSource, Profile};
use crate::supervise::guardian::Event;
use crate::supervise::{ChildError, Guarded, Interrupts, Launch, Wake, group};
use catalogue::{Dashboard, RuleId};
use gate::evidence::{Abort, PhaseEnd, RuleState, Scrape, Settings};
use gate::{ProcessEvent, RuleEngine};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a phase needs.
pub struct Spec<'a> {
    /// The effective profile.
    pub profile: &'a Profile,
    /// What judging needs of it.
    pub settings: &'a Settings,
    /// The run folder.
    pub dir: &'a RunDir,
    /// `smoke`, `planted`, `main`; `smoke.2` of a second attempt.
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
    /// How often a person has asked us to stop (Ctrl-C, SIGTERM, `assay stop`).
    pub interrupts: &'a Interrupts,
    /// The run locks, which the guardian shares until its group is empty.
    pub locks: Vec<PathBuf>,
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

pub(super) struct Files {
    pub(super) phases: Appender,
    pub(super) samples: Appender,
    pub(super) rules: Appender,
    pub(super) panels: Appender,
    pub(super) monitor: Appender,
    /// What Grafana was asked; only when it is C6's source.
    pub(super) grafana: Option<Appender>,
}

pub(super) struct Watch<'a, 'p> {
    pub(super) spec: &'a Spec<'a>,
    pub(super) progress: &'p mut dyn Progress,
    pub(super) files: Files,
    pub(super) rules: RuleEngine,
    pub(super) child: Guarded,
    pub(super) output: Output,
    pub(super) suspects: Suspects,
    pub(super) began: Instant,
    pub(super) due: Due,
    pub(super) sampler: Sampler<'a>,
    pub(super) stop: Option<Stop>,
    pub(super) interrupted: Option<String>,
    pub(super) exited: Option<Exit>,
    pub(super) asker: Option<Asker>,
}

/// Runs a phase from its start to an empty process group.
///
/// # Errors
/// [`PhaseError`]; the runner is ended before it returns.
pub fn run(spec: &Spec<'_>, progress: &mut dyn Progress) -> Result<Outcome, PhaseError> {
    let dir = spec.dir;
    let asks_grafana =
        spec.judged && spec.phase == "main" && spec.profile.dashboard.source == DashboardSource::Grafana;
    let mut files = Files {
        grafana: asks_grafana.then(|| dir.append(names::GRAFANA)).transpose()?,
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
    spec.interrupts.listen(tx.clone());
    let launch = Launch {
        program: spec.command[0].clone(),
        args: spec.command[1..].to_vec(),
        env: Vec::new(),
        cwd: None,
        guardian: spec.guardian.to_owned(),
        hold: spec.locks.clone(),
    };
    let began = Instant::now();
    let heard = tx.clone();
    let mut child = Guarded::start(&launch, move |event| {
        let _ = heard.send(Wake::Child(event));
    })?;
    let setup = Setup {
        folder: &dir.0,
        label: spec.label,
        cap: spec.profile.limits.log_cap_bytes,
        rules: LevelRules::of_checked(&spec.profile.runner.mapping.log),
        began,
    };
    let output =
        Output::start(child.stdout.take(), child.stderr.take(), setup).map_err(PhaseError::Console)?;
    output.wake(tx);
    if spec.judged {
        spec.console.begin(Window::new(spec.settings.hour_s, spec.settings.cpu_cores));
    }
    let sampler = sampler(spec, child.guardian_pid());
    let mut watch = Watch {
        spec,
        progress,
        files,
        rules: RuleEngine::new(spec.settings, spec.duration.as_secs_f64()),
        child,
        output,
        suspects: Suspects::new(spec.profile.watch.handled_after.secs()),
        began,
        due: Due::new(began, &spec.profile.watch, &spec.profile.panels),
        sampler,
        stop: None,
        interrupted: None,
        exited: None,
        asker: asks_grafana.then(|| Asker::start(&spec.profile.dashboard.grafana_url, began)),
    };
    watch.mark("start", format!("{}: start", spec.runner_id));
    watch.run(&events)?;
    watch.collect()
}

fn sampler<'a>(spec: &Spec<'a>, guardian: i32) -> Sampler<'a> {
    let watch = &spec.profile.watch;
    let has_metrics = spec.settings.has_metrics;
    Sampler {
        http: spec.http,
        url: has_metrics
            .then(|| spec.metrics_url.clone())
            .ok_or_else(|| "the runner offers no metrics".to_owned()),
        timeout: watch.scrape_timeout.0,
        root: Root::Guardian(guardian),
        kpi_path: Some(spec.dir.phase_path(spec.label, "kpi.json")),
        mapping: &spec.profile.runner.mapping,
        clocks: Clocks::new(gap_limit_s(watch.poll.secs(), watch.scrape_timeout.secs())),
        seen: Seen::default(),
    }
}

impl Watch<'_, '_> {
    pub(super) fn t(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn run(&mut self, events: &mpsc::Receiver<Wake>) -> Result<(), PhaseError> {
        let initial = self.rules.initial();
        self.record(initial)?;
        loop {
            let until = self.next_due();
            match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Wake::Child(Some(event))) => {
                    if self.on_event(event)? {
                        return Ok(());
                    }
                }
                // The guardian is gone: `Guarded` ends what it left.
                Ok(Wake::Child(None)) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return self.on_guardian_gone();
                }
                Ok(Wake::Log) => self.due.log = Some(Instant::now()),
                Ok(Wake::Interrupt) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            self.look_at_log()?;
            self.look_at_interrupts()?;
            self.escalate()?;
            if self.exited.is_none() {
                self.do_what_is_due()?;
            }
        }
    }

    /// When the loop must look again though nothing happens.
    fn next_due(&self) -> Instant {
        let ending = [self.escalation_due(), self.exited.is_none().then(|| self.overrun_due()).flatten()];
        let watching = self.exited.is_none().then(|| self.due.next(self.checks_panels()));
        // There is always an escalation due once the runner has exited.
        ending.into_iter().flatten().chain(watching).min().unwrap_or_else(Instant::now)
    }

    fn checks_panels(&self) -> bool {
        self.spec.judged && self.spec.phase == "main" && self.stop.is_none()
    }

    fn do_what_is_due(&mut self) -> Result<(), PhaseError> {
        let now = Instant::now();
        if now >= self.due.poll {
            self.poll()?;
            self.due.polled(Instant::now());
        } else if now >= self.due.tick {
            let changes = self.rules.on_tick(self.t());
            self.record(changes)?;
            self.due.ticked(now);
        }
        self.look_at_rules()?;
        let answers = self.asker.as_mut().map(Asker::answers).unwrap_or_default();
        self.keep(answers)?;
        if self.checks_panels() {
            for dashboard in self.due.panels(now) {
                self.check_panels(dashboard)?;
            }
        }
        if self.due.interim(now) {
            let line = self.status().line();
            self.files.monitor.line(&format!("{} {line}", now_text()))?;
            self.progress.interim(&line);
        }
        self.look_at_overrun()
    }

    /// True when the group is empty: the phase is over.
    fn on_event(&mut self, event: Event) -> Result<bool, PhaseError> {
        match event {
            Event::Exited { code, signal, leftovers } => {
                let t = self.t();
                self.exited = Some(Exit { at: Instant::now(), at_s: t, code, signal, leftovers });
                let after_stop = self.stop.is_some();
                // What the process wrote last is in the pipes: read it before judging the exit.
                self.drain_output();
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

    fn look_at_log(&mut self) -> Result<(), PhaseError> {
        if self.exited.is_some() || self.due.log.is_none_or(|due| Instant::now() < due) {
            return Ok(());
        }
        let t = self.t();
        let (_, found) = self.output.look(t);
        self.suspects.add(found);
        let progress = progress_of(&self.rules);
        for event in self.suspects.on_time(t, progress) {
            let changes = self.rules.on_process(t, &event);
            self.record(changes)?;
        }
        self.due.looked_at_log(self.output.is_busy() || !self.suspects.is_empty());
        Ok(())
    }

    fn poll(&mut self) -> Result<(), PhaseError> {
        let (began, output, suspects) = (self.began, &self.output, &mut self.suspects);
        let polled = self.sampler.poll(&|| began.elapsed().as_secs_f64(), &mut |t| {
            let (log, found) = output.look(t);
            suspects.add(found);
            log
        });
        if !self.suspects.is_empty() || self.output.is_busy() {
            self.due.looked_at_log(true);
        }
        self.look_at_clocks_and_states(&polled)?;
        if self.spec.judged {
            if let Some(scrape) = polled.sample.scrape.get() {
                let capital = self.sampler.seen.kpi.get("paper_capital_usd").copied();
                self.spec.console.push(polled.sample.t, scrape, polled.run_id.as_deref(), capital);
            }
            let tagged = Tagged { phase: self.spec.phase.to_owned(), record: &polled.sample };
            self.files.samples.json(&tagged)?;
            let changes = self.rules.on_sample(&polled.sample);
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
        self.sampler.seen.last_scrape.as_ref().is_some_and(|scrape| {
            scrape.series.iter().any(|(name, value)| {
                name.starts_with("arb_topn_exit_reasons_total{")
                    && !name.contains("reason=\"shutdown\"")
                    && *value > 0.0
            })
        })
    }

    /// Sleep of the machine, and SIGSTOP of the runner, of its guardian or of ourselves: interruptions that the runner cannot be
    /// blamed for and a verdict cannot be built on. A jump of the wall clock is recorded and no more: nothing is timed by it.
    fn look_at_clocks_and_states(&mut self, polled: &Poll) -> Result<(), PhaseError> {
        if let Some(jump) = polled.reading.jump_s {
            self.note(&format!("the wall clock jumped by {jump:+.1} s"))?;
        }
        if let Some(slept) = polled.reading.slept_s {
            self.interrupt(format!("the machine slept for {slept:.0} s"))?;
        }
        if let Some(gap) = polled.reading.gap_s {
            self.interrupt(format!("no poll was made for {gap:.0} s: the supervisor stood still (SIGSTOP)"))?;
        }
        if let Some(member) = &polled.stopped {
            let what = format!("pid {} ({}) was stopped by a signal (SIGSTOP)", member.pid, member.name);
            self.interrupt(what)?;
        }
        if group::state_of(self.child.guardian_pid()) == Some('T') {
            self.child.continue_guardian();
            self.interrupt(
                "the guardian process was stopped by a signal (SIGSTOP) and was continued".to_owned(),
            )?;
        }
        Ok(())
    }

    /// The first interruption counts; a verdict cannot be better than NO-GO from here on.
    pub(super) fn interrupt(&mut self, why: String) -> Result<(), PhaseError> {
        if self.interrupted.is_none() {
            self.note(&format!("the run is interrupted: {why}"))?;
            self.interrupted = Some(why);
        }
        Ok(())
    }

    /// Marks a moment on Grafana's dashboards, when they are the ones that this run is seen on.
    pub(super) fn mark(&self, kind: &'static str, text: String) {
        let _ = self.asker.as_ref().map(|asker| asker.mark(kind, text));
    }

    /// Writes down what Grafana has answered.
    pub(super) fn keep(&mut self, answers: Vec<Answered>) -> Result<(), PhaseError> {
        for answered in answers {
            if let Some(file) = &mut self.files.grafana {
                answered.exchanges.iter().try_for_each(|exchange| file.json(exchange))?;
            }
            answered.checks.iter().try_for_each(|check| self.files.panels.json(check))?;
            if let Some(note) = answered.note {
                self.note(&note)?;
            }
        }
        Ok(())
    }

    fn check_panels(&mut self, dashboard: Dashboard) -> Result<(), PhaseError> {
        if let Some(asker) = &mut self.asker {
            let capital_usd = self.sampler.seen.kpi.get("paper_capital_usd").copied();
            asker.panels(dashboard, Scale { capital_usd, cpu_cores: self.spec.settings.cpu_cores });
            return Ok(());
        }
        for check in ask_panels(self.spec.http, self.spec.console.addr, dashboard, self.t()) {
            self.files.panels.json(&check)?;
        }
        Ok(())
    }

    pub(super) fn record(&mut self, events: Vec<gate::evidence::RuleEvent>) -> Result<(), PhaseError> {
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

    pub(super) fn note(&mut self, text: &str) -> Result<(), PhaseError> {
        self.files.monitor.line(&format!("{} {text}", now_text()))?;
        self.progress.note(text);
        Ok(())
    }

    fn status(&self) -> PhaseStatus {
        let seen = &self.sampler.seen;
        PhaseStatus::new(
            self.spec.phase,
            self.t(),
            self.spec.duration.as_secs_f64(),
            seen.last_scrape.as_ref(),
            self.rules.states(),
            (seen.polls, seen.missed),
        )
    }
}

/// What the hang rule says of the progress signal.
pub(super) fn progress_of(rules: &RuleEngine) -> suspects::Progress {
    let hang = rules.states().into_iter().find(|status| status.rule == RuleId::A8);
    match hang.map(|status| status.state) {
        Some(RuleState::Fired) => suspects::Progress::Lost,
        Some(RuleState::Pending | RuleState::Frozen) => suspects::Progress::Unsure,
        Some(RuleState::Clear | RuleState::Off) | None => suspects::Progress::Moving,
    }
}

/// The first abort of an ended phase, as a sentence.
pub fn abort_text(abort: &Abort) -> String {
    format!("{}: {} (after {:.1} s)", abort.cause, abort.text, abort.at_s)
}

/// Now, as text for logs.
pub fn now_text() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
