//! The window words over one rule's signals: at once, `for`, `within`, `over`. A missing sample freezes; the spans of `for`
//! and `over` are what was really watched.

use super::signal::{Reader, Reading, Value};
use super::spec::{Condition, RuleSpec, Window};
use crate::evidence::{Sample, Settings};
use crate::value::figure;
use std::collections::VecDeque;

/// Two samples further apart than this many polls have one missing between them.
pub(super) const GAP_POLLS: f64 = 2.0;

/// What a rule's window says at one sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Judged {
    /// No sample: why.
    Frozen(String),
    /// It does not hold.
    Clear(String),
    /// It holds, for so many seconds of so many.
    Pending(f64, f64, String),
    /// It has fired.
    Fired(String),
}

/// A condition that must hold in every sample of a span.
#[derive(Debug, Clone, Default)]
pub(super) struct Span {
    /// Time of the last sample that had a value, and whether the poll after it had one too.
    last_t: Option<f64>,
    contiguous: bool,
    /// Watched seconds that the condition has held; `None` when it does not hold.
    held: Option<f64>,
}

impl Span {
    /// A sample with a value. Returns the seconds held, `None` when the condition does not hold.
    pub(super) fn seen(&mut self, t: f64, violates: bool, counts_from: f64, gap_s: f64) -> Option<f64> {
        self.held = match (violates, self.held, self.last_t) {
            (false, _, _) => None,
            (true, Some(held), Some(last)) if self.contiguous && t - last <= gap_s => {
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
    pub(super) fn missed(&mut self) {
        self.contiguous = false;
    }

    /// The condition was interrupted by movement: the span begins anew.
    pub(super) fn moved(&mut self) {
        self.held = None;
    }
}

/// A point of a window's history.
#[derive(Debug, Clone)]
struct Mark {
    t: f64,
    watched: f64,
    totals: Vec<f64>,
}

/// A condition with its signal's memory.
#[derive(Debug, Clone)]
struct Arm {
    condition: Condition,
    reader: Reader,
    history: VecDeque<Mark>,
    /// Watched seconds at the last increase, for `over` conditions that nothing happens.
    moved: f64,
}

/// One side of a rule at one sample.
struct Held {
    violates: bool,
    /// Seconds of the span that are there.
    covered: f64,
    text: String,
}

/// A rule's window.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    window: Window,
    grace_s: f64,
    min_events: Option<f64>,
    arms: Vec<Arm>,
    span: Span,
    watched: f64,
    last_t: Option<f64>,
    contiguous: bool,
}

impl Watch {
    pub(super) fn new(spec: &RuleSpec, settings: &Settings) -> Self {
        let arm = |condition: &Condition| Arm {
            condition: *condition,
            reader: Reader::new(condition.signal, settings, spec.window.span_s()),
            history: VecDeque::new(),
            moved: 0.0,
        };
        Self {
            window: spec.window,
            grace_s: spec.grace_s.unwrap_or(0.0),
            min_events: spec.min_events,
            arms: spec.conditions().map(arm).collect(),
            span: Span::default(),
            watched: 0.0,
            last_t: None,
            contiguous: false,
        }
    }

    /// One sample.
    pub(super) fn look(&mut self, sample: &Sample, settings: &Settings) -> Judged {
        let t = sample.t;
        let gap_s = settings.poll_s * GAP_POLLS;
        let mut readings = Vec::with_capacity(self.arms.len());
        let mut missing = None;
        for arm in &mut self.arms {
            match arm.reader.read(sample, settings) {
                Ok(reading) => readings.push(reading),
                Err(why) => {
                    missing.get_or_insert(why);
                }
            }
        }
        if let Some(why) = missing {
            return self.freeze(why);
        }
        if let Some(last) = self.last_t
            && self.contiguous
            && t - last <= gap_s
        {
            self.watched += t - last;
        }
        self.last_t = Some(t);
        self.contiguous = true;
        if t < self.grace_s {
            return Judged::Clear("in its grace".to_owned());
        }
        let (window, min_events, watched) = (self.window, self.min_events, self.watched);
        let mut sides = Vec::with_capacity(self.arms.len());
        for (arm, reading) in self.arms.iter_mut().zip(&readings) {
            match arm.look(window, min_events, t, watched, reading, settings) {
                Ok(side) => sides.push(side),
                Err(why) => return self.freeze(why),
            }
        }
        let violates = sides.iter().all(|side| side.violates);
        let covered = sides.iter().map(|side| side.covered).fold(f64::INFINITY, f64::min);
        // The side that does not violate says why nothing is wrong.
        let side = sides.iter().find(|side| !side.violates).or(sides.first());
        let text = side.map_or_else(String::new, |side| side.text.clone());
        self.conclude(t, violates, covered, text, gap_s)
    }

    fn freeze(&mut self, why: String) -> Judged {
        self.span.missed();
        self.contiguous = false;
        Judged::Frozen(why)
    }

    fn conclude(&mut self, t: f64, violates: bool, covered: f64, text: String, gap_s: f64) -> Judged {
        match self.window {
            Window::AtOnce if violates => Judged::Fired(text),
            Window::For(span) => match self.span.seen(t, violates, self.grace_s, gap_s) {
                Some(held) if reached(held, span) => Judged::Fired(format!("{text} for {} s", figure(held))),
                Some(held) => Judged::Pending(held, span, text),
                None => Judged::Clear(text),
            },
            Window::Within(span) if violates => Judged::Fired(format!("{text} within {} s", figure(span))),
            Window::Over(span) if violates && reached(covered, span) => {
                Judged::Fired(format!("{text} for {} s", figure(covered)))
            }
            Window::Over(span) if violates => Judged::Pending(covered, span, text),
            Window::AtOnce | Window::Within(_) | Window::Over(_) => Judged::Clear(text),
        }
    }
}

/// True when so many watched seconds are a span: sums of polls are a hair below it at times.
pub(super) fn reached(seconds: f64, span: f64) -> bool {
    seconds >= span - 1e-6
}

impl Arm {
    fn look(
        &mut self,
        window: Window,
        min_events: Option<f64>,
        t: f64,
        watched: f64,
        reading: &Reading,
        settings: &Settings,
    ) -> Result<Held, String> {
        let slope = self.condition.signal.is_slope();
        let held = |violates, covered, text: String| Held { violates, covered, text };
        let (value, events, covered) = match window {
            Window::AtOnce => (reading.stands.clone(), reading.events, 0.0),
            // A slope knows its own span: the reader says no before it has it.
            Window::For(_) => (reading.step.clone(), reading.events, 0.0),
            Window::Over(span) if slope => (reading.stands.clone(), reading.events, span),
            Window::Within(span) => {
                if reading.reshaped {
                    self.history.clear();
                }
                self.remember(t, watched, reading);
                while self.history.front().is_some_and(|mark| mark.t < t - span - 1e-6) {
                    self.history.pop_front();
                }
                let Some(base) = self.history.front() else { return Err("no sample".to_owned()) };
                let events = self.reader.events(&base.totals, &reading.totals);
                let part = !reached(t - base.t, span - settings.poll_s);
                if part && min_events.is_some_and(|least| events < least) {
                    return Ok(held(false, t - base.t, format!("{} events so far", figure(events))));
                }
                let totals = self.over_whole(base.totals.clone(), reading, span);
                let value = self.reader.between(&totals, &reading.totals, settings);
                return self.compared(value, f64::INFINITY, None, t - base.t);
            }
            Window::Over(span) => {
                let before = self.history.back().map(|mark| mark.totals.clone());
                if reading.reset {
                    self.history.clear();
                }
                let increased = before.is_none_or(|b| self.reader.events(&b, &reading.totals) > 0.0);
                if reading.reset || increased {
                    self.moved = watched;
                }
                self.remember(t, watched, reading);
                while self.history.get(1).is_some_and(|mark| reached(watched - mark.watched, span)) {
                    self.history.pop_front();
                }
                if self.is_silence() {
                    let text = match &reading.stands {
                        Value::Is(_, text) => text.clone(),
                        _ => self.condition.signal.to_string(),
                    };
                    let moved = watched <= self.moved;
                    return Ok(held(!moved, watched - self.moved, text));
                }
                let Some(base) = self.history.front() else { return Err("no sample".to_owned()) };
                if self.history.len() < 2 {
                    return Ok(held(false, 0.0, "the first sample of its span".to_owned()));
                }
                let events = self.reader.events(&base.totals, &reading.totals);
                (self.reader.between(&base.totals, &reading.totals, settings), events, watched - base.watched)
            }
        };
        self.compared(value, events, min_events, covered)
    }

    /// A condition that something stays away: `at_most = 0` of a counter.
    fn is_silence(&self) -> bool {
        let Condition { signal, comparison, threshold } = self.condition;
        let counter = signal.unit() == super::spec::SignalUnit::Count && signal.has_events();
        counter && comparison == super::spec::Comparison::AtMost && threshold == 0.0
    }

    fn remember(&mut self, t: f64, watched: f64, reading: &Reading) {
        self.history.push_back(Mark { t, watched, totals: reading.totals.clone() });
    }

    /// A rate over a part of its span is counted over the whole of it: what was not watched is not extrapolated.
    fn over_whole(&self, mut base: Vec<f64>, reading: &Reading, span: f64) -> Vec<f64> {
        if self.condition.signal.is_rate() && reading.totals.len() == 2 {
            base[1] = base[1].min(reading.totals[1] - span);
        }
        base
    }

    fn compared(
        &self,
        value: Value,
        events: f64,
        min_events: Option<f64>,
        covered: f64,
    ) -> Result<Held, String> {
        let Condition { comparison, threshold, .. } = self.condition;
        match value {
            Value::Missing(why) => Err(why),
            Value::NoEvent(text) => Ok(Held { violates: false, covered, text }),
            Value::Is(value, _) if value.is_nan() => Err(format!("{} is no number", self.condition.signal)),
            Value::Is(value, text) => {
                let enough = min_events.is_none_or(|least| events >= least);
                Ok(Held { violates: enough && comparison.holds(value, threshold), covered, text })
            }
        }
    }
}
