//! The watch rules as a run happens: streaming, pure, time is an argument. Not here: collecting samples, stopping runners,
//! classifying crash blocks (`validate`).
//!
//! `for`: every sample of the span violates; the span is what was really watched: an interval whose end has no sample does
//! not count and clears nothing. `over`: only when the whole span is there. Within a tick: A1, A8, A9, then the rest.

use crate::evidence::{Abort, CrashBlock, Found, RuleEvent, RuleState, Sample, Scrape, Settings};
use crate::scrape::{Histogram, count, sum};
use crate::value::figure;
use catalogue::{RULES, RuleId};

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

/// The state of a rule, for a screen.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleStatus {
    /// Rule.
    pub rule: RuleId,
    /// State.
    pub state: RuleState,
    /// Seconds after the phase's start at which the state began.
    pub since_s: f64,
    /// One line: `pending for 3 s of 5 s`.
    pub text: String,
}

/// A condition that must hold in every sample of a span.
#[derive(Debug, Clone, Default)]
struct Span {
    /// Time of the last sample that had a value, and whether the poll after it had one too.
    last_t: Option<f64>,
    contiguous: bool,
    /// Watched seconds that the condition has held; `None` when it does not hold.
    held: Option<f64>,
}

impl Span {
    /// A sample with a value. Returns the seconds held, `None` when the condition does not hold.
    fn seen(&mut self, t: f64, violates: bool, counts_from: f64) -> Option<f64> {
        self.held = match (violates, self.held, self.last_t) {
            (false, _, _) => None,
            (true, Some(held), Some(last)) if self.contiguous => {
                Some(held + (t - last.max(counts_from)).max(0.0))
            }
            (true, Some(held), _) => Some(held),
            (true, None, _) => Some(0.0),
        };
        self.last_t = Some(t);
        self.contiguous = true;
        self.held
    }

    /// A sample without one: neither satisfied nor cleared.
    fn missed(&mut self) {
        self.contiguous = false;
    }
}

/// The rules of one phase.
#[derive(Debug, Clone)]
pub struct RuleEngine {
    settings: Settings,
    planned_s: f64,
    status: Vec<RuleStatus>,
    aborts: Vec<Abort>,
    fired_b: Vec<RuleId>,
    stopped: bool,
    last_scrape_ok: Option<f64>,
    progress: Option<f64>,
    hang: Span,
    latency: Span,
    last_histogram: Option<Histogram>,
    cpu: Span,
    last_cpu: Option<(f64, f64)>,
    /// Value of the round-trip counter and the time since which it has stood.
    round_trips: Option<(f64, f64)>,
}

impl RuleEngine {
    /// Starts watching a phase that is planned to last `planned_s` seconds.
    pub fn new(settings: &Settings, planned_s: f64) -> Self {
        let status = RULES
            .iter()
            .map(|rule| {
                let off = Self::off_reason(settings, rule.id);
                RuleStatus {
                    rule: rule.id,
                    state: if off.is_some() { RuleState::Off } else { RuleState::Clear },
                    since_s: 0.0,
                    text: off.unwrap_or_else(|| "clear".to_owned()),
                }
            })
            .collect();
        Self {
            settings: settings.clone(),
            planned_s,
            status,
            aborts: Vec::new(),
            fired_b: Vec::new(),
            stopped: false,
            last_scrape_ok: None,
            progress: None,
            hang: Span::default(),
            latency: Span::default(),
            last_histogram: None,
            cpu: Span::default(),
            last_cpu: None,
            round_trips: None,
        }
    }

    fn off_reason(settings: &Settings, rule: RuleId) -> Option<String> {
        if !rule.definition().built {
            return Some("not built in this version".to_owned());
        }
        if let Some(reason) = settings.not_applicable.get(rule.as_str()) {
            return Some(format!("declared not applicable: {reason}"));
        }
        let no_metrics = !settings.has_metrics;
        let missing = match rule {
            RuleId::A2 if !settings.has_alerts => Some("the runner has no alerting"),
            RuleId::A2 | RuleId::A4 | RuleId::A9 | RuleId::B2 if no_metrics => {
                Some("the runner has no metrics")
            }
            RuleId::A8 if no_metrics && !settings.progress_by_kpi_file => {
                Some("the runner has no progress signal")
            }
            _ => None,
        };
        missing.map(str::to_owned)
    }

    /// The states at the start: every rule that is off, with its reason.
    pub fn initial(&mut self) -> Vec<RuleEvent> {
        self.status
            .iter()
            .filter(|s| s.state == RuleState::Off)
            .map(|s| RuleEvent { t: 0.0, rule: s.rule, state: RuleState::Off, text: s.text.clone() })
            .collect()
    }

    /// One poll.
    pub fn on_sample(&mut self, sample: &Sample) -> Vec<RuleEvent> {
        let mut events = Vec::new();
        if self.stopped {
            return events;
        }
        let scrape = sample.scrape.get();
        if scrape.is_some() {
            self.last_scrape_ok = Some(sample.t);
        }
        self.hang(sample, scrape, &mut events);
        self.blind(sample.t, &mut events);
        self.dead_letters(sample.t, scrape, &mut events);
        self.slow(sample.t, scrape, &mut events);
        self.cpu(sample, &mut events);
        self.idle(sample.t, scrape, &mut events);
        events
    }

    /// Time passing without a sample. Only blindness grows by it: a missing sample freezes every other rule.
    pub fn on_tick(&mut self, t: f64) -> Vec<RuleEvent> {
        let mut events = Vec::new();
        if !self.stopped {
            self.blind(t, &mut events);
        }
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

    /// The B rules that ever fired, in order.
    pub fn fired_b(&self) -> Vec<RuleId> {
        self.fired_b.clone()
    }

    fn crash(&mut self, t: f64, what: &str, block: &CrashBlock, events: &mut Vec<RuleEvent>) {
        if self.stopped {
            return;
        }
        let first = block.text.lines().next().unwrap_or("").chars().take(160).collect::<String>();
        self.set(RuleId::A1, t, RuleState::Fired, format!("{what}: {first}"), events);
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
        self.set(RuleId::A1, t, RuleState::Fired, text, events);
    }

    fn is_off(&self, rule: RuleId) -> bool {
        self.status.iter().any(|s| s.rule == rule && s.state == RuleState::Off)
    }

    /// Changes a state, records an abort or a warning, and reports the change.
    fn set(&mut self, rule: RuleId, t: f64, state: RuleState, text: String, events: &mut Vec<RuleEvent>) {
        let Some(status) = self.status.iter_mut().find(|s| s.rule == rule) else { return };
        // An aborting rule that fired stays fired: the run is over.
        if status.state == RuleState::Off || (status.state == RuleState::Fired && rule.aborts()) {
            return;
        }
        let changed = status.state != state;
        status.text.clone_from(&text);
        if !changed {
            return;
        }
        status.state = state;
        status.since_s = t;
        events.push(RuleEvent { t, rule, state, text: text.clone() });
        if state == RuleState::Fired {
            if rule.aborts() {
                self.aborts.push(Abort { cause: rule.as_str().to_owned(), at_s: t, text });
            } else if !self.fired_b.contains(&rule) {
                self.fired_b.push(rule);
            }
        }
    }

    fn frozen(&mut self, rule: RuleId, t: f64, why: &str, events: &mut Vec<RuleEvent>) {
        // A warning that has fired stays fired until a sample says otherwise.
        if self.status.iter().any(|s| s.rule == rule && s.state == RuleState::Fired) {
            return;
        }
        self.set(rule, t, RuleState::Frozen, format!("frozen: {why}"), events);
    }

    fn held(
        &mut self,
        rule: RuleId,
        t: f64,
        held: Option<f64>,
        span: f64,
        what: &str,
        events: &mut Vec<RuleEvent>,
    ) {
        match held {
            None => self.set(rule, t, RuleState::Clear, format!("clear: {what}"), events),
            Some(held) if held >= span => {
                self.set(rule, t, RuleState::Fired, format!("{what} for {} s", figure(held)), events);
            }
            Some(held) => {
                let text = format!("pending for {} s of {} s: {what}", figure(held), figure(span));
                self.set(rule, t, RuleState::Pending, text, events);
            }
        }
    }

    fn hang(&mut self, sample: &Sample, scrape: Option<&Scrape>, events: &mut Vec<RuleEvent>) {
        if self.is_off(RuleId::A8) {
            return;
        }
        let (value, what) = if self.settings.progress_by_kpi_file {
            (Some(sample.kpi_rewrites as f64), "KPI file rewrites")
        } else {
            (scrape.and_then(|s| sum(s, "arb_topn_loop_iterations_total", &[])), "loop iterations")
        };
        let Some(value) = value else {
            self.hang.missed();
            return self.frozen(RuleId::A8, sample.t, "the progress signal has no sample", events);
        };
        // A counter that went down was reset: the runner moves.
        let still = self.progress == Some(value);
        if !still {
            self.hang.held = None;
        }
        self.progress = Some(value);
        // The clock starts with the sample that last moved, and not before the start grace is over.
        let held = self.hang.seen(sample.t, true, self.settings.start_grace_s).filter(|_| still);
        let text = format!("{what} at {}", figure(value));
        self.held(RuleId::A8, sample.t, held, self.settings.a8_for_s, &text, events);
    }

    fn blind(&mut self, t: f64, events: &mut Vec<RuleEvent>) {
        if self.is_off(RuleId::A9) {
            return;
        }
        let grace = self.settings.start_grace_s;
        let since = self.last_scrape_ok.map_or(grace, |ok| ok.max(grace));
        let seen = self.last_scrape_ok == Some(t);
        // A poll that is merely on its way is no missing sample.
        let late = t - since > self.settings.poll_s * 1.5 || t - since >= self.settings.a9_for_s;
        let held = (!seen && late).then_some(t - since);
        let what = if seen { "scraped" } else { "no successful scrape" };
        self.held(RuleId::A9, t, held, self.settings.a9_for_s, what, events);
    }

    fn dead_letters(&mut self, t: f64, scrape: Option<&Scrape>, events: &mut Vec<RuleEvent>) {
        if self.is_off(RuleId::A2) {
            return;
        }
        match scrape.and_then(|s| count(s, "alert_dlq_total")) {
            None => self.frozen(RuleId::A2, t, "alert_dlq_total has no sample", events),
            Some(dlq) if dlq > 0.0 => {
                self.set(
                    RuleId::A2,
                    t,
                    RuleState::Fired,
                    format!("alert_dlq_total = {}", figure(dlq)),
                    events,
                );
            }
            Some(_) => {
                self.set(RuleId::A2, t, RuleState::Clear, "clear: alert_dlq_total = 0".to_owned(), events)
            }
        }
    }

    fn slow(&mut self, t: f64, scrape: Option<&Scrape>, events: &mut Vec<RuleEvent>) {
        if self.is_off(RuleId::A4) {
            return;
        }
        let now = scrape.and_then(|s| Histogram::read(s, "loop_latency_seconds"));
        let increase = now.as_ref().zip(self.last_histogram.as_ref()).and_then(|(now, last)| now.since(last));
        if now.is_some() {
            self.last_histogram = now;
        }
        let Some((above, p99)) = increase.and_then(|h| h.quantile_above(0.99, 0.1).zip(h.quantile(0.99)))
        else {
            self.latency.missed();
            return self.frozen(RuleId::A4, t, "no loop latency since the last sample", events);
        };
        let held = self.latency.seen(t, above, 0.0);
        let text = format!("loop latency p99 {} ms", figure(p99 * 1e3));
        self.held(RuleId::A4, t, held, self.settings.a4_for_s, &text, events);
    }

    fn cpu(&mut self, sample: &Sample, events: &mut Vec<RuleEvent>) {
        if self.is_off(RuleId::A5) {
            return;
        }
        let now = match &sample.os {
            Found::Yes(os) if os.cpu_seconds.is_finite() => Some((sample.t, os.cpu_seconds)),
            _ => None,
        };
        let used = now.zip(self.last_cpu).and_then(|((t, cpu), (last_t, last))| {
            (t > last_t && cpu >= last).then(|| (cpu - last) / (t - last_t) / self.settings.cpu_cores * 100.0)
        });
        if now.is_some() {
            self.last_cpu = now;
        }
        let Some(percent) = used.filter(|p| p.is_finite()) else {
            self.cpu.missed();
            return self.frozen(RuleId::A5, sample.t, "no CPU reading since the last sample", events);
        };
        let held = self.cpu.seen(sample.t, percent > 80.0, 0.0);
        self.held(
            RuleId::A5,
            sample.t,
            held,
            self.settings.a5_for_s,
            &format!("CPU {} %", figure(percent)),
            events,
        );
    }

    fn idle(&mut self, t: f64, scrape: Option<&Scrape>, events: &mut Vec<RuleEvent>) {
        if self.is_off(RuleId::B2) {
            return;
        }
        let Some(value) = scrape.and_then(|s| count(s, "arb_topn_round_trips_total")) else {
            return self.frozen(RuleId::B2, t, "arb_topn_round_trips_total has no sample", events);
        };
        let since = match self.round_trips {
            Some((last, since)) if last == value => since,
            // First seen, moved, or reset: the span begins anew.
            _ => t,
        };
        self.round_trips = Some((value, since));
        let moved = since == t;
        let span = self.settings.b2_over_s;
        let text = format!("{} round trips", figure(value));
        self.held(RuleId::B2, t, (!moved).then_some(t - since), span, &text, events);
    }
}
