//! How a watched runner ends: asked to stop, pressed, killed, collected. The first cause wins; what comes after our own stop signal is
//! no crash. The last step writes the end record: a phase without one was interrupted.

use super::phase::{Outcome, PhaseError, Watch};
use super::suspects::Ending;
use crate::archive::{PhaseRecord, WriteError, names};
use gate::ProcessEvent;
use gate::evidence::{LogFacts, PhaseEnd};
use std::time::{Duration, Instant};

const SIGINT: i32 = 2;
const SIGABRT: i32 = 6;
const SIGTERM: i32 = 15;

/// How long a guardian may take to empty its group after it was told to, or after the runner has exited. Then it is killed, and
/// we end what it left.
const GUARDIAN_GRACE: Duration = Duration::from_secs(10);
/// How long what Grafana was asked last is waited for.
const GRAFANA_GRACE: Duration = Duration::from_secs(15);
/// What holds the pipes after the group is empty cannot delay the end by more than this.
const PIPES_GRACE: Duration = Duration::from_millis(500);

/// The stop that was asked for.
#[derive(Debug)]
pub(super) struct Stop {
    at: Instant,
    at_s: f64,
    signal: i32,
    /// When we gave up waiting and had it killed.
    killed: Option<Instant>,
}

/// The runner's exit.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) at: Instant,
    pub(super) at_s: f64,
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) leftovers: Vec<String>,
}

impl Watch<'_, '_> {
    pub(super) fn on_guardian_gone(&mut self) -> Result<(), PhaseError> {
        if self.exited.is_none() {
            let at_s = self.t();
            self.interrupt("the guardian process was killed".to_owned())?;
            self.exited =
                Some(Exit { at: Instant::now(), at_s, code: None, signal: None, leftovers: Vec::new() });
            self.note("the guardian is gone: everything that it guarded is ended")?;
        }
        Ok(())
    }

    /// Ctrl-C, SIGTERM, `assay stop`: once ends in order, twice kills.
    pub(super) fn look_at_interrupts(&mut self) -> Result<(), PhaseError> {
        let asked = self.spec.interrupts.asked();
        if asked == 0 || self.exited.is_some() {
            return Ok(());
        }
        if self.interrupted.is_none() {
            self.interrupted = Some("stopped by a person (Ctrl-C, SIGTERM or `assay stop`)".to_owned());
        }
        match &mut self.stop {
            None => {
                self.note("interrupted: the runner is asked to end in order; once more ends it by force")?;
                self.ask_to_stop(self.stop_signal())
            }
            Some(stop) if asked > 1 && stop.killed.is_none() => {
                stop.killed = Some(Instant::now());
                self.child.end(Duration::ZERO);
                self.note("interrupted a second time: the runner is killed")
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn look_at_rules(&mut self) -> Result<(), PhaseError> {
        if self.stop.is_some() || !self.spec.judged {
            return Ok(());
        }
        if let Some(abort) = self.rules.first_abort().cloned() {
            self.note(&format!("ABORT {}: {}", abort.cause, abort.text))?;
            self.mark("abort", format!("{}: abort {}: {}", self.spec.runner_id, abort.cause, abort.text));
            // A hung process gets SIGABRT first, so that it leaves a trace.
            let signal = if abort.cause == "A8" { SIGABRT } else { self.stop_signal() };
            self.ask_to_stop(signal)?;
        }
        Ok(())
    }

    /// When a runner that has not been asked to stop is overdue.
    pub(super) fn overrun_due(&self) -> Option<Instant> {
        let limit = self.spec.duration + self.spec.profile.watch.overrun_grace.0;
        self.stop.is_none().then(|| self.began + limit)
    }

    pub(super) fn look_at_overrun(&mut self) -> Result<(), PhaseError> {
        if self.overrun_due().is_some_and(|due| Instant::now() >= due) {
            let (asked, grace) = (self.spec.duration.as_secs_f64(), self.spec.profile.watch.overrun_grace);
            self.note(&format!("the runner is {grace} past its {asked:.0} s: asked to stop"))?;
            self.ask_to_stop(self.stop_signal())?;
        }
        Ok(())
    }

    pub(super) fn stop_signal(&self) -> i32 {
        if self.spec.profile.runner.stop_signal == "SIGINT" { SIGINT } else { SIGTERM }
    }

    pub(super) fn ask_to_stop(&mut self, signal: i32) -> Result<(), PhaseError> {
        let t = self.t();
        self.child.signal(signal);
        self.stop = Some(Stop { at: Instant::now(), at_s: t, signal, killed: None });
        self.suspects.on_stop(t);
        let changes = self.rules.on_process(t, &ProcessEvent::StopSent);
        self.record(changes)
    }

    /// How the process ended, for what its crash blocks are. A signal after our own stop signal is ours when it is the one that
    /// we sent, or when we had to kill.
    pub(super) fn ending(&self, code: Option<i32>, signal: Option<i32>) -> Ending {
        let ours =
            self.stop.as_ref().is_some_and(|stop| stop.killed.is_some() || signal == Some(stop.signal));
        Ending {
            clean: code == Some(0) || code == Some(gate::rules::EMERGENCY_EXIT),
            foreign_signal: signal.is_some() && !ours,
        }
    }

    /// When patience with an ending runner, or with its guardian, is over.
    pub(super) fn escalation_due(&self) -> Option<Instant> {
        if let Some(exit) = &self.exited {
            return Some(exit.at + GUARDIAN_GRACE);
        }
        self.stop.as_ref().map(|stop| match stop.killed {
            None => stop.at + self.spec.profile.runner.stop_grace.0,
            Some(at) => at + GUARDIAN_GRACE,
        })
    }

    /// A runner that ignores its stop signal is ended by force after the grace; a guardian that does not answer likewise.
    pub(super) fn escalate(&mut self) -> Result<(), PhaseError> {
        if self.escalation_due().is_none_or(|due| Instant::now() < due) {
            return Ok(());
        }
        match &mut self.stop {
            Some(stop) if self.exited.is_none() && stop.killed.is_none() => {
                stop.killed = Some(Instant::now());
                self.child.end(Duration::from_millis(500));
                let grace = self.spec.profile.runner.stop_grace.0.as_secs();
                self.note(&format!("the runner did not end within {grace} s of its stop signal: killed"))
            }
            _ => {
                self.note("the guardian does not answer: it is killed, and what it guarded with it")?;
                // Its end closes the socket, which wakes the loop.
                self.child.kill_everything();
                Ok(())
            }
        }
    }

    /// Waits for the ends of the pipes, a little: a process outside the group that holds one must not block the end.
    pub(super) fn drain_output(&self) {
        let until = Instant::now() + PIPES_GRACE;
        while !self.output.is_closed() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The end: everything that is only known now, onto the disk.
    pub(super) fn collect(mut self) -> Result<Outcome, PhaseError> {
        self.child.finish(Duration::from_secs(5));
        let t = self.t();
        self.drain_output();
        self.sampler.look_at_kpi_file();
        let (counters, found, top_errors, dropped_bytes) = self.output.finish(t);
        self.suspects.add(found);
        let exit = self.exited.take().unwrap_or(Exit {
            at: Instant::now(),
            at_s: t,
            code: None,
            signal: None,
            leftovers: Vec::new(),
        });
        let ending = self.ending(exit.code, exit.signal);
        let _ = self.suspects.on_exit(ending);
        self.mark("end", format!("{}: end after {:.0} s", self.spec.runner_id, exit.at_s));
        let answers = self.asker.as_mut().map(|asker| asker.finish(GRAFANA_GRACE)).unwrap_or_default();
        self.keep(answers)?;
        let log = LogFacts { counters, blocks: self.suspects.take(), top_errors, dropped_bytes };
        let end = PhaseEnd {
            ran_s: exit.at_s,
            exit_code: exit.code,
            signal: exit.signal,
            stop_sent_s: self.stop.as_ref().map(|stop| stop.at_s),
            abort: self.rules.first_abort().cloned(),
            later_causes: self.rules.later().to_vec(),
            interrupted: self.interrupted.clone(),
            killed_by_us: self.stop.as_ref().is_some_and(|stop| stop.killed.is_some()),
            leftovers: exit.leftovers,
        };
        let seen = self.sampler.seen;
        if let Some(page) = &seen.last_page {
            let path = self.spec.dir.phase_path(self.spec.label, "metrics_final.prom");
            crate::archive::write_atomic(&path, page)?;
        }
        let failed =
            |source| WriteError { path: self.spec.dir.path(&names::error_log(self.spec.label)), source };
        self.output.end_error_log(&log).map_err(failed)?;
        // What the end record speaks of is on the disk before it.
        let always = [&self.files.samples, &self.files.rules, &self.files.panels];
        for file in always.into_iter().chain(&self.files.grafana) {
            file.sync()?;
        }
        self.files.phases.json(&PhaseRecord::End {
            phase: self.spec.phase.to_owned(),
            end: end.clone(),
            log,
            remote: seen.remote.iter().map(ToString::to_string).collect(),
            identity: seen.identity.clone(),
        })?;
        self.files.phases.sync()?;
        Ok(Outcome { end, last_scrape: seen.last_scrape })
    }
}
