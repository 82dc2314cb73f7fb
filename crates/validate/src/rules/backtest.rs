//! `assay rules backtest RUN`: the rules of a profile over a recorded run's samples, beside what `rules.jsonl` recorded.

use crate::archive::{self, LoadError, RunDir};
use crate::profile::{self, Loaded};
use gate::evidence::{Evidence, PhaseEvidence, RuleEvent, RuleState, Settings};
use gate::{ProcessEvent, RuleEngine};

/// A rule that fires or fired.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// `smoke` or `main`.
    pub phase: String,
    /// The rule.
    pub rule: String,
    /// Seconds after the phase's start, as the rules say now; `None` when they do not fire.
    pub now_s: Option<f64>,
    /// As recorded; `None` when it was not.
    pub recorded_s: Option<f64>,
    /// The figures.
    pub text: String,
    /// What it does.
    pub aborts: bool,
}

impl Fired {
    /// True when both fire within `tolerance_s` of each other.
    pub fn agrees(&self, tolerance_s: f64) -> bool {
        self.now_s.zip(self.recorded_s).is_some_and(|(now, then)| (now - then).abs() <= tolerance_s)
    }
}

/// What a backtest found.
#[derive(Debug, Clone, PartialEq)]
pub struct Backtest {
    /// The profile whose rules were run.
    pub profile: String,
    /// Samples by phase.
    pub samples: Vec<(String, usize)>,
    /// What fires or fired, in order of time.
    pub fired: Vec<Fired>,
    /// How far two times may lie apart and be the same poll.
    pub tolerance_s: f64,
}

impl Backtest {
    /// True when the rules fire as recorded.
    pub fn agrees(&self) -> bool {
        self.fired.iter().all(|fired| fired.agrees(self.tolerance_s))
    }
}

/// Runs the rules again: those that the run was recorded with, or those of `other`.
///
/// # Errors
/// [`LoadError`] when it is no run folder.
pub fn backtest(dir: &RunDir, other: Option<&Loaded>) -> Result<Backtest, LoadError> {
    let (metadata, evidence) = archive::load_evidence(dir)?;
    let settings = other.map_or_else(|| evidence.settings.clone(), |loaded| with_rules(&evidence, loaded));
    let phases = [evidence.smoke.as_ref(), evidence.main.as_ref()];
    let mut found = Backtest {
        profile: other.map_or(metadata.profile.name, |loaded| loaded.profile.name.clone()),
        samples: Vec::new(),
        fired: Vec::new(),
        // A rule is looked at with every poll; blindness between polls as well.
        tolerance_s: settings.poll_s,
    };
    for phase in phases.into_iter().flatten() {
        found.samples.push((phase.phase.clone(), phase.samples.len()));
        found.fired.extend(beside(phase, &settings, &again(phase, &settings)));
    }
    Ok(found)
}

/// The recorded run's settings with another profile's rules, and what the rules measure by.
fn with_rules(evidence: &Evidence, loaded: &Loaded) -> Settings {
    let theirs = profile::settings(loaded);
    Settings {
        rules: theirs.rules,
        hour_s: theirs.hour_s,
        start_grace_s: theirs.start_grace_s,
        cpu_cores: theirs.cpu_cores,
        memory_skip_s: theirs.memory_skip_s,
        memory_min_s: theirs.memory_min_s,
        memory_window_s: theirs.memory_window_s,
        notifiers: theirs.notifiers,
        ..evidence.settings.clone()
    }
}

fn again(phase: &PhaseEvidence, settings: &Settings) -> Vec<RuleEvent> {
    let mut engine = RuleEngine::new(settings, phase.planned_s);
    let mut events = Vec::new();
    let stop = phase.end.as_ref().and_then(|end| end.stop_sent_s);
    let end = phase.end.as_ref().map_or(f64::INFINITY, |end| stop.unwrap_or(end.ran_s).min(end.ran_s));
    let mut blocks: Vec<_> = phase
        .log
        .get()
        .into_iter()
        .flat_map(|log| &log.blocks)
        .filter(|block| block.kind != "handled" && block.at_s <= end)
        .collect();
    blocks.sort_by(|a, b| b.at_s.total_cmp(&a.at_s));
    for sample in phase.samples.iter().filter(|sample| sample.t < end) {
        while let Some(block) = blocks.pop_if(|block| block.at_s <= sample.t) {
            events.extend(engine.on_process(block.at_s, &confirmed(block)));
        }
        events.extend(engine.on_sample(sample));
    }
    for block in blocks.into_iter().rev() {
        events.extend(engine.on_process(block.at_s, &confirmed(block)));
    }
    if end.is_finite() {
        events.extend(engine.on_tick(end));
    }
    if let Some(end) = &phase.end {
        let exited = ProcessEvent::Exited {
            code: end.exit_code,
            signal: end.signal,
            after_stop: end.stop_sent_s.is_some(),
        };
        events.extend(engine.on_process(end.ran_s, &exited));
    }
    events
}

fn confirmed(block: &gate::evidence::CrashBlock) -> ProcessEvent {
    if block.kind == "worker_died" {
        ProcessEvent::WorkerDied(block.clone())
    } else {
        ProcessEvent::Crash(block.clone())
    }
}

/// Every firing of either side; the n-th of a rule on one side is that on the other.
fn beside(phase: &PhaseEvidence, settings: &Settings, now: &[RuleEvent]) -> Vec<Fired> {
    let fired = |events: &[RuleEvent]| -> Vec<RuleEvent> {
        events.iter().filter(|event| event.state == RuleState::Fired).cloned().collect()
    };
    let (now, mut recorded) = (fired(now), fired(&phase.rule_events));
    let mut all: Vec<Fired> = Vec::new();
    for event in &now {
        let at = recorded.iter().position(|other| other.rule == event.rule);
        let other = at.map(|at| recorded.remove(at));
        all.push(Fired {
            phase: phase.phase.clone(),
            rule: event.rule.to_string(),
            now_s: Some(event.t),
            recorded_s: other.map(|other| other.t),
            text: event.text.clone(),
            aborts: settings.aborts(&event.rule),
        });
    }
    all.extend(recorded.into_iter().map(|event| Fired {
        phase: phase.phase.clone(),
        rule: event.rule.to_string(),
        now_s: None,
        recorded_s: Some(event.t),
        aborts: settings.aborts(&event.rule),
        text: event.text,
    }));
    let time = |fired: &Fired| fired.now_s.or(fired.recorded_s).unwrap_or(f64::INFINITY);
    all.sort_by(|a, b| time(a).total_cmp(&time(b)));
    all
}
