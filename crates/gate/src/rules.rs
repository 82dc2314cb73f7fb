//! The watch rules as a run happens: streaming, pure, time is an argument. Not here: collecting samples, stopping runners,
//! classifying crash blocks (`validate`), and how a profile spells a rule (`validate::profile`).
//!
//! A1 is driven by what happens to the process; every other rule is a [`RuleSpec`]: `spec` is the language, `signal` reads a
//! signal from the samples, `window` evaluates a window word. Within a tick: A1, A8, A9, then the rest.

mod signal;
mod spec;
mod window;

pub use spec::{Action, Comparison, Condition, RuleName, RuleSpec, Signal, SignalUnit, Window};

use crate::evidence::{Abort, CrashBlock, RuleEvent, RuleState, Sample, Scrape, Settings};
use crate::scrape::sum;
use crate::value::figure;
use catalogue::{RULES, RuleId};
use window::{GAP_POLLS, Judged, Span, Watch, reached};

/// Cause of an abort by the runner's own emergency stop.
pub const EMERGENCY_STOP: &str = "EMERGENCY-STOP";
/// An exit up to this many seconds before the planned end is on time.
pub const EXIT_TOLERANCE_S: f64 = 1.0;
/// Exit code of our own runner's emergency stop.
pub const EMERGENCY_EXIT: i32 = catalogue::exit_codes::RUNNER_EMERGENCY as i32;

/// Something that happened to the runner's process.
#[derive(Debug, Clone, PartialEq)]
pub enum ProcessEvent {
    /// It ended.
    Exited {
        /// Exit code, when it exited.
        code: Option<i32>,
        /// Signal, when one killed it.
        signal: Option<i32>,
        /// True when the supervisor had asked it to stop before.
        after_stop: bool,
    },
    /// A crash block that was confirmed to be a crash.
    Crash(CrashBlock),
    /// A block that says that a thread died while the process lives on.
    WorkerDied(CrashBlock),
    /// The supervisor sent its stop signal: from now on nothing is a crash but a signal death.
    StopSent,
}

/// Why a shipped rule that a run's settings do not have is off: the run is of a version that did not have it.
pub const NOT_BUILT: &str = "not built in this version";

/// The state of a rule, for a screen.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleStatus {
    /// Rule.
    pub rule: RuleName,
    /// State.
    pub state: RuleState,
    /// Seconds after the phase's start at which the state began.
    pub since_s: f64,
    /// One line: `pending for 3 s of 5 s`.
    pub text: String,
}

/// How a rule is watched.
#[derive(Debug, Clone)]
enum Kind {
    /// Signs of life have a watch of their own: A8, A9 and rules like them.
    Progress(Span, Option<f64>),
    Scrapes,
    Window(Box<Watch>),
}

/// A rule that is on.
#[derive(Debug, Clone)]
struct Active {
    spec: RuleSpec,
    grace_s: f64,
    span_s: f64,
    /// Where its status stands.
    at: usize,
    kind: Kind,
}

/// The rules of one phase.
#[derive(Debug, Clone)]
pub struct RuleEngine {
    settings: Settings,
    planned_s: f64,
    status: Vec<RuleStatus>,
    /// Rules that had a sample at least once, in the order of `status`.
    seen: Vec<bool>,
    active: Vec<Active>,
    aborts: Vec<Abort>,
    warned: Vec<RuleName>,
    stopped: bool,
    samples: u64,
    last_scrape_ok: Option<f64>,
}

impl RuleEngine {
    /// Starts watching a phase that is planned to last `planned_s` seconds.
    pub fn new(settings: &Settings, planned_s: f64) -> Self {
        let mut status = Vec::new();
        let mut active = Vec::new();
        let clear = |name: RuleName, off: Option<String>| RuleStatus {
            rule: name,
            state: if off.is_some() { RuleState::Off } else { RuleState::Clear },
            since_s: 0.0,
            text: off.unwrap_or_else(|| "clear".to_owned()),
        };
        for rule in &RULES {
            let declared = settings.not_applicable.get(rule.id.as_str());
            let off = match (rule.id, settings.rule(&rule.id.into())) {
                (RuleId::A1, _) => declared.map(|reason| format!("declared not applicable: {reason}")),
                (_, None) => Some(NOT_BUILT.to_owned()),
                (_, Some(spec)) => Self::off_reason(settings, spec),
            };
            status.push(clear(rule.id.into(), off));
        }
        let own = settings.rules.iter().filter(|spec| spec.name.shipped().is_none());
        status.extend(own.map(|spec| clear(spec.name.clone(), Self::off_reason(settings, spec))));
        for (at, line) in status.iter().enumerate().filter(|(_, line)| line.state != RuleState::Off) {
            if let Some(spec) = settings.rule(&line.rule) {
                active.push(Active::new(spec, at, settings));
            }
        }
        active.sort_by_key(|rule| (order(&rule.spec.name), rule.at));
        Self {
            settings: settings.clone(),
            planned_s,
            seen: vec![false; status.len()],
            status,
            active,
            aborts: Vec::new(),
            warned: Vec::new(),
            stopped: false,
            samples: 0,
            last_scrape_ok: None,
        }
    }

    fn off_reason(settings: &Settings, spec: &RuleSpec) -> Option<String> {
        let declared = |name: &str| settings.not_applicable.get(name);
        let signals = || spec.conditions().map(|condition| condition.signal);
        let reason = declared(spec.name.as_str()).or_else(|| {
            signals().find_map(|signal| declared(signal.as_str()).or_else(|| declared(signal.metric()?)))
        });
        if let Some(reason) = reason {
            return Some(format!("declared not applicable: {reason}"));
        }
        let missing = signals().find_map(|signal| {
            if signal.needs_alerts() && !settings.has_alerts {
                return Some("the runner has no alerting");
            }
            match signal {
                Signal::Progress if !settings.has_metrics && !settings.progress_by_kpi_file => {
                    Some("the runner has no progress signal")
                }
                Signal::Progress => None,
                _ if settings.has_metrics => None,
                _ => (signal == Signal::Scrapes || signal.metric().is_some())
                    .then_some("the runner has no metrics"),
            }
        });
        missing.map(str::to_owned)
    }

    /// The states at the start: every rule that is off, with its reason.
    pub fn initial(&mut self) -> Vec<RuleEvent> {
        self.status
            .iter()
            .filter(|s| s.state == RuleState::Off)
            .map(|s| RuleEvent { t: 0.0, rule: s.rule.clone(), state: RuleState::Off, text: s.text.clone() })
            .collect()
    }

    /// One poll.
    pub fn on_sample(&mut self, sample: &Sample) -> Vec<RuleEvent> {
        let mut events = Vec::new();
        if self.stopped {
            return events;
        }
        self.samples += 1;
        if sample.scrape.get().is_some() {
            self.last_scrape_ok = Some(sample.t);
        }
        let mut active = std::mem::take(&mut self.active);
        for rule in &mut active {
            let judged = match &mut rule.kind {
                Kind::Progress(span, last) => {
                    progress(span, last, rule.span_s, rule.grace_s, sample, &self.settings)
                }
                Kind::Scrapes => self.blind_for(sample.t, rule.grace_s, rule.span_s),
                Kind::Window(watch) => watch.look(sample, &self.settings),
            };
            self.conclude(rule, sample.t, judged, &mut events);
        }
        self.active = active;
        events
    }

    /// Time passing without a sample. Only blindness grows by it: a missing sample freezes every other rule.
    pub fn on_tick(&mut self, t: f64) -> Vec<RuleEvent> {
        let mut events = Vec::new();
        if self.stopped {
            return events;
        }
        let active = std::mem::take(&mut self.active);
        for rule in active.iter().filter(|rule| matches!(rule.kind, Kind::Scrapes)) {
            let judged = self.blind_for(t, rule.grace_s, rule.span_s);
            self.conclude(rule, t, judged, &mut events);
        }
        self.active = active;
        events
    }

    /// Something happened to the process.
    pub fn on_process(&mut self, t: f64, event: &ProcessEvent) -> Vec<RuleEvent> {
        let mut events = Vec::new();
        match event {
            ProcessEvent::StopSent => self.stopped = true,
            ProcessEvent::Crash(block) => {
                self.crash(t, &format!("crash ({})", block.language), block, &mut events)
            }
            ProcessEvent::WorkerDied(block) => {
                self.crash(t, &format!("a worker died ({})", block.language), block, &mut events);
            }
            ProcessEvent::Exited { code, signal, after_stop } => {
                if !*after_stop && !self.stopped {
                    self.exited(t, *code, *signal, &mut events);
                }
                self.stopped = true;
            }
        }
        events
    }

    /// The states of all rules.
    pub fn states(&self) -> Vec<RuleStatus> {
        self.status.clone()
    }

    /// The first abort.
    pub fn first_abort(&self) -> Option<&Abort> {
        self.aborts.first()
    }

    /// Aborting causes after the first.
    pub fn later(&self) -> &[Abort] {
        self.aborts.get(1..).unwrap_or(&[])
    }

    /// The warning rules that ever fired, in order.
    pub fn warned(&self) -> &[RuleName] {
        &self.warned
    }

    /// Rules that should have watched and never had a sample to look at: not fired is not the same as clear.
    pub fn blind(&self) -> Vec<RuleName> {
        if self.samples == 0 {
            return Vec::new();
        }
        let never = |rule: &&Active| !self.seen.get(rule.at).copied().unwrap_or(false);
        let mut blind: Vec<usize> = self.active.iter().filter(never).map(|rule| rule.at).collect();
        blind.sort_unstable();
        blind.into_iter().filter_map(|at| self.status.get(at)).map(|line| line.rule.clone()).collect()
    }

    fn crash(&mut self, t: f64, what: &str, block: &CrashBlock, events: &mut Vec<RuleEvent>) {
        if self.stopped {
            return;
        }
        let first = block.text.lines().next().unwrap_or("").chars().take(160).collect::<String>();
        self.set(A1, true, t, RuleState::Fired, format!("{what}: {first}"), events);
    }

    fn exited(&mut self, t: f64, code: Option<i32>, signal: Option<i32>, events: &mut Vec<RuleEvent>) {
        let early = t < self.planned_s - EXIT_TOLERANCE_S;
        let text = match (code, signal) {
            (Some(code), None) if code == EMERGENCY_EXIT && self.settings.has_journal => {
                let text =
                    format!("the runner stopped itself at {} s: emergency stop (exit code 3)", figure(t));
                self.aborts.push(Abort { cause: EMERGENCY_STOP.to_owned(), at_s: t, text });
                return;
            }
            (_, Some(signal)) => format!("ended by signal {signal} at {} s", figure(t)),
            (Some(0), None) if early => {
                format!("exited with code 0 at {} s of {} s", figure(t), figure(self.planned_s))
            }
            (Some(0), None) => return,
            (Some(code), None) => format!("exit code {code} at {} s", figure(t)),
            (None, None) => format!("ended at {} s, exit status unknown", figure(t)),
        };
        self.set(A1, true, t, RuleState::Fired, text, events);
    }

    /// Changes a state, records an abort or a warning, and reports the change.
    fn set(
        &mut self,
        at: usize,
        aborts: bool,
        t: f64,
        state: RuleState,
        text: String,
        events: &mut Vec<RuleEvent>,
    ) {
        let Some(status) = self.status.get_mut(at) else { return };
        // An aborting rule that fired stays fired: the run is over.
        if status.state == RuleState::Off || (status.state == RuleState::Fired && aborts) {
            return;
        }
        // A warning that has fired stays fired until a sample says otherwise.
        if status.state == RuleState::Fired && state == RuleState::Frozen {
            return;
        }
        let changed = status.state != state;
        status.text.clone_from(&text);
        if !changed {
            return;
        }
        status.state = state;
        status.since_s = t;
        let rule = status.rule.clone();
        events.push(RuleEvent { t, rule: rule.clone(), state, text: text.clone() });
        if state == RuleState::Fired {
            if aborts {
                self.aborts.push(Abort { cause: rule.as_str().to_owned(), at_s: t, text });
            } else if !self.warned.contains(&rule) {
                self.warned.push(rule);
            }
        }
    }

    fn conclude(&mut self, rule: &Active, t: f64, judged: Judged, events: &mut Vec<RuleEvent>) {
        let (state, text) = match judged {
            Judged::Frozen(why) => (RuleState::Frozen, format!("frozen: {why}")),
            Judged::Clear(what) => (RuleState::Clear, format!("clear: {what}")),
            Judged::Pending(held, span, what) => {
                let text = format!("pending for {} s of {} s: {what}", figure(held), figure(span));
                (RuleState::Pending, text)
            }
            Judged::Fired(text) => (RuleState::Fired, text),
        };
        if state != RuleState::Frozen
            && let Some(seen) = self.seen.get_mut(rule.at)
        {
            *seen = true;
        }
        self.set(rule.at, rule.spec.aborts(), t, state, text, events);
    }

    /// Blindness: wall time since the last successful scrape, no shorter for a missing sample.
    fn blind_for(&self, t: f64, grace: f64, span: f64) -> Judged {
        if self.last_scrape_ok == Some(t) {
            return Judged::Clear("scraped".to_owned());
        }
        let since = self.last_scrape_ok.map_or(grace, |ok| ok.max(grace));
        let blind = t - since;
        let what = "no successful scrape".to_owned();
        // A poll that is merely on its way is no missing sample.
        if blind >= span {
            Judged::Fired(format!("{what} for {} s", figure(blind)))
        } else if blind > self.settings.poll_s * 1.5 {
            Judged::Pending(blind, span, what)
        } else {
            Judged::Clear(what)
        }
    }
}

/// Where A1's status stands: `RULES` begins with it.
const A1: usize = RuleId::A1 as usize;

/// The place of a rule within a tick; users' rules come after the shipped ones.
fn order(name: &RuleName) -> usize {
    let place = |id: RuleId| RuleId::TICK_ORDER.iter().position(|known| *known == id);
    name.shipped().and_then(place).unwrap_or(RuleId::TICK_ORDER.len())
}

impl Active {
    fn new(spec: &RuleSpec, at: usize, settings: &Settings) -> Self {
        let kind = match spec.when.signal {
            Signal::Progress => Kind::Progress(Span::default(), None),
            Signal::Scrapes => Kind::Scrapes,
            _ => Kind::Window(Box::new(Watch::new(spec, settings))),
        };
        let of_life = spec.when.signal.is_sign_of_life();
        let grace_s = spec.grace_s.unwrap_or(if of_life { settings.start_grace_s } else { 0.0 });
        Self { spec: spec.clone(), grace_s, span_s: spec.window.span_s().unwrap_or(0.0), at, kind }
    }
}

/// The declared progress signal: watched seconds since it last moved, none of them before the grace is over.
fn progress(
    span: &mut Span,
    last: &mut Option<f64>,
    span_s: f64,
    grace_s: f64,
    sample: &Sample,
    settings: &Settings,
) -> Judged {
    let (value, what) = if settings.progress_by_kpi_file {
        (Some(sample.kpi_rewrites as f64), "KPI file rewrites")
    } else {
        (sample.scrape.get().and_then(iterations), "loop iterations")
    };
    let Some(value) = value else {
        span.missed();
        return Judged::Frozen("the progress signal has no sample".to_owned());
    };
    // A counter that went down was reset: the runner moves.
    let still = *last == Some(value);
    if !still {
        span.moved();
    }
    *last = Some(value);
    // The clock starts with the sample that last moved.
    let held = span.seen(sample.t, true, grace_s, settings.poll_s * GAP_POLLS).filter(|_| still);
    let text = format!("{what} at {}", figure(value));
    match held {
        None => Judged::Clear(text),
        Some(held) if reached(held, span_s) => Judged::Fired(format!("{text} for {} s", figure(held))),
        Some(held) => Judged::Pending(held, span_s, text),
    }
}

fn iterations(scrape: &Scrape) -> Option<f64> {
    sum(scrape, "arb_topn_loop_iterations_total", &[])
}
