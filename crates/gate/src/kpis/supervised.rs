//! The KPIs that the supervisor measures itself: CPU, memory, error rate, crashes.

use super::{Desk, agreed, file_value, missing, verdict};
use crate::evidence::{Found, PhaseEnd, RuleState};
use crate::rules::EMERGENCY_EXIT;
use crate::scrape;
use crate::value::{CrossCheck, Value, counted, figure};
use catalogue::RuleId;

impl Desk<'_> {
    pub(super) fn cpu(&self) -> (Value, CrossCheck) {
        let cores = self.evidence.settings.cpu_cores;
        let samples = &self.phase.samples;
        let Some((t, used)) = samples.iter().rev().find_map(|s| s.os.get().map(|os| (s.t, os.cpu_seconds)))
        else {
            return (Value::absent(self.unmeasured("cpu_usage_pct", "%")), missing("no value"));
        };
        if let Some(lived) = self.lived()
            && t < lived - (0.1 * lived).max(3.0 * self.evidence.settings.poll_s)
        {
            let why =
                format!("the last reading is of {} s, the runner lived for {} s", figure(t), figure(lived));
            return (Value::absent(why), missing("no value"));
        }
        let percent = used / t / cores * 100.0;
        if !percent.is_finite() || t <= 0.0 {
            return (Value::absent("a single reading at the start"), missing("no value"));
        }
        let value = Value::Measured(percent);
        let several = self.several();
        let pairs: Vec<(f64, f64, f64)> = samples
            .iter()
            .filter_map(|s| {
                let theirs = scrape::sum(s.scrape.get()?, "process_cpu_seconds_total", &[])?;
                Some((s.t, s.os.get()?.cpu_seconds, theirs))
            })
            .collect();
        let mut readings: Vec<Reading> = Vec::new();
        if let (Some(first), Some(last)) = (pairs.first(), pairs.last())
            && last.0 > first.0
        {
            let scale = 100.0 / (last.0 - first.0) / cores;
            readings.push(Reading {
                name: "runner's counter",
                ours: (last.1 - first.1) * scale,
                theirs: (last.2 - first.2) * scale,
                of_one: several,
            });
        }
        let of_file = |name, theirs| Reading { name, ours: percent, theirs, of_one: false };
        if let Ok(file) = &self.file {
            if let Value::Measured(seconds) = file_value(file, "cpu_seconds") {
                readings.push(of_file("KPI file cpu_seconds", seconds / t / cores * 100.0));
            }
            if let Value::Measured(theirs) = file_value(file, "cpu_usage_pct") {
                readings.push(of_file("KPI file cpu_usage_pct", theirs));
            }
        }
        let close = |ours: f64, theirs: f64| (ours - theirs).abs() <= 2.0f64.max(0.2 * ours.abs());
        (value.clone(), compare(&value, &readings, close, "%"))
    }

    /// Seconds until the runner ended or was asked to, when that is on record.
    fn lived(&self) -> Option<f64> {
        self.phase.end.as_ref().map(|end| end.stop_sent_s.map_or(end.ran_s, |stop| stop.min(end.ran_s)))
    }

    /// True when the group was ever more than one process: a standard `process_*` metric is of one.
    fn several(&self) -> bool {
        self.phase.samples.iter().filter_map(|s| s.os.get()).any(|os| os.processes > 1)
    }

    /// Why there is no figure, with what the runner claims: a claim that nobody measured is none.
    fn unmeasured(&self, field: &str, unit: &str) -> String {
        let why = "the operating system's figures were never read";
        match self.file.as_ref().map(|file| file_value(file, field)) {
            Ok(Value::Measured(claim)) => {
                format!("{why}; the KPI file claims {} {unit}, which nobody else measured", figure(claim))
            }
            _ => why.to_owned(),
        }
    }

    pub(super) fn memory(&self) -> (Value, CrossCheck) {
        let peak = self.phase.samples.iter().filter_map(|s| s.os.get().map(|os| os.peak_rss_bytes)).max();
        let Some(peak) = peak.filter(|p| *p > 0) else {
            return (Value::absent(self.unmeasured("memory_usage_mb", "MB")), missing("no value"));
        };
        let mb = peak as f64 / 1e6;
        let value = Value::Measured(mb);
        let mut readings = Vec::new();
        let of_file = |name, theirs| Reading { name, ours: mb, theirs, of_one: false };
        if let Ok(file) = &self.file {
            if let Value::Measured(bytes) = file_value(file, "peak_rss_bytes") {
                readings.push(of_file("KPI file peak_rss_bytes", bytes / 1e6));
            }
            if let Value::Measured(theirs) = file_value(file, "memory_usage_mb") {
                readings.push(of_file("KPI file memory_usage_mb", theirs));
            }
        }
        // Without a peak of its own, the largest resident size that both saw at the same instants is the same measure.
        if readings.is_empty() {
            let both: Vec<(f64, f64)> = self
                .phase
                .samples
                .iter()
                .filter_map(|s| {
                    let scrape = s.scrape.get()?;
                    let own = scrape::sum(scrape, "process_resident_memory_bytes", &[]).map(|b| b / 1e6);
                    let own = own.or_else(|| scrape::sum(scrape, "process_memory_usage_mb", &[]))?;
                    Some((s.os.get()?.rss_bytes as f64 / 1e6, own))
                })
                .collect();
            let largest = |of: fn(&(f64, f64)) -> f64| both.iter().map(of).max_by(f64::total_cmp);
            if let Some((ours, theirs)) = largest(|p| p.0).zip(largest(|p| p.1)) {
                readings.push(Reading {
                    name: "runner's resident size",
                    ours,
                    theirs,
                    of_one: self.several(),
                });
            }
        }
        let close = |ours: f64, theirs: f64| (ours - theirs).abs() <= 0.2 * ours.abs();
        (value.clone(), compare(&value, &readings, close, "MB"))
    }

    pub(super) fn error_rate(&self) -> (Value, CrossCheck) {
        let Some(end) = &self.phase.end else {
            return (Value::absent("the phase has no end record"), missing("no value"));
        };
        let slots = (end.ran_s * 10.0).ceil();
        if slots <= 0.0 || !slots.is_finite() {
            return (Value::undefined("the runner lived for 0 s"), missing("no value"));
        }
        let log = match &self.phase.log {
            Found::Yes(log) => log,
            Found::No(why) => return (Value::absent(why.clone()), missing("no value")),
        };
        let counters = &log.counters;
        let value = Value::Measured(counters.error_slots as f64 / slots * 100.0);
        if log.dropped_bytes > 0 {
            return (value, missing(format!("{} bytes of log were dropped by the cap", log.dropped_bytes)));
        }
        let check = match self.file.as_ref().map(|file| file_value(file, "error_lines")) {
            // Lines between the last rewrite and the end may be missing on the runner's side.
            Ok(Value::Measured(theirs)) => {
                let ours = counters.errors as f64;
                let agrees = (ours - theirs).abs() <= 1.0f64.max(0.02 * ours.max(theirs));
                let text =
                    format!("{} ERROR lines by the runner, {} in the log", figure(theirs), figure(ours));
                verdict(agrees, &value, text)
            }
            Ok(other) => missing(format!("error_lines of the KPI file: {other}")),
            Err(why) => missing(why.clone()),
        };
        (value, check)
    }

    pub(super) fn crashes(&self) -> (Value, CrossCheck) {
        let Some(end) = &self.phase.end else {
            return (
                Value::absent("the phase has no end record: its exit status is unknown"),
                missing("no value"),
            );
        };
        let log = match &self.phase.log {
            Found::Yes(log) => log,
            Found::No(why) => return (Value::absent(why.clone()), missing("no value")),
        };
        let blocks = log.blocks.iter().filter(|b| b.kind == "crash" || b.kind == "worker_died").count();
        let hangs = end.abort.iter().chain(&end.later_causes).filter(|a| a.cause == "A8").count();
        let emergency = self.evidence.settings.has_journal && end.exit_code == Some(EMERGENCY_EXIT);
        let stopped = end.stop_sent_s.is_some();
        let by_signal = end.signal.is_some_and(|signal| !(stopped && sent_by_us(end, signal)));
        let by_code = !stopped && !emergency && end.exit_code.is_some_and(|c| c != 0);
        let unknown = !stopped && end.exit_code.is_none() && end.signal.is_none();
        // A crash block explains the exit that followed it.
        let exits = usize::from((by_signal || by_code || unknown) && blocks == 0);
        let value = Value::Measured((blocks + hangs + exits) as f64);
        let status = match (end.exit_code, end.signal) {
            (_, Some(signal)) => format!("signal {signal}"),
            (Some(code), None) => format!("exit code {code}"),
            (None, None) => "exit status unknown".to_owned(),
        };
        let text = format!(
            "{status}, {} in the log, {}",
            counted(blocks as f64, "crash block", "crash blocks"),
            counted(hangs as f64, "hang", "hangs")
        );
        (value.clone(), self.crashes_elsewhere(&value, (blocks, hangs, exits), text))
    }

    /// The other readings: the rules as they fired while it ran, the counter of suspects in the samples, the journal's end.
    fn crashes_elsewhere(&self, value: &Value, ours: (usize, usize, usize), text: String) -> CrossCheck {
        let (blocks, hangs, exits) = ours;
        let (Some(end), Some(log)) = (&self.phase.end, self.phase.log.get()) else {
            return missing("no value");
        };
        if log.dropped_bytes > 0 {
            return missing(format!("{} bytes of log were dropped by the cap", log.dropped_bytes));
        }
        let fired = self.phase.rule_events.iter().filter(|e| e.state == RuleState::Fired);
        let hung = fired.filter(|e| e.rule == RuleId::A8).count();
        if hung > 0 && hangs == 0 {
            let theirs = format!("{text}; A8 fired while it ran");
            return CrossCheck::Disagreed { ours: value.to_string(), theirs };
        }
        let suspects = self.phase.samples.iter().map(|s| s.log.suspects).max();
        if suspects.is_some_and(|n| n > log.counters.suspects) {
            let theirs = format!("{text}; the log watch had counted more suspects while it ran");
            return CrossCheck::Disagreed { ours: value.to_string(), theirs };
        }
        // A journal without its end was cut off, and nothing here says by what.
        let by_itself = end.stop_sent_s.is_none() && end.exit_code == Some(0);
        if let Ok(accounts) = &self.ledger
            && accounts.end.is_none()
            && by_itself
            && blocks + hangs + exits == 0
        {
            let theirs = format!("{text}; the journal has no end record");
            return CrossCheck::Disagreed { ours: value.to_string(), theirs };
        }
        agreed(text)
    }
}

/// True for a signal that the supervisor sends itself: SIGINT and SIGTERM to stop, SIGABRT to what hangs, SIGKILL to what
/// ignored the first or when a person insisted.
fn sent_by_us(end: &PhaseEnd, signal: i32) -> bool {
    match signal {
        2 | 15 => true,
        6 => end.abort.iter().chain(&end.later_causes).any(|abort| abort.cause == "A8"),
        9 => end.killed_by_us || end.interrupted.is_some(),
        _ => false,
    }
}

/// A figure of the runner's beside ours.
struct Reading {
    name: &'static str,
    ours: f64,
    theirs: f64,
    /// It is of one process of several: it may be less than the group's, never more.
    of_one: bool,
}

fn compare(value: &Value, readings: &[Reading], close: impl Fn(f64, f64) -> bool, unit: &str) -> CrossCheck {
    if readings.is_empty() {
        return missing("the runner reports no such figure");
    }
    let told =
        |r: &Reading| format!("{} {} {unit} against {} {unit}", r.name, figure(r.theirs), figure(r.ours));
    let text: Vec<String> = readings.iter().map(told).collect();
    let partial = |r: &Reading| r.of_one && r.theirs < r.ours && !close(r.ours, r.theirs);
    if !readings.iter().all(|r| close(r.ours, r.theirs) || partial(r)) {
        return verdict(false, value, text.join("; "));
    }
    match readings.iter().find(|r| partial(r)) {
        Some(r) => missing(format!("{}: the runner's figure is of one process of several", told(r))),
        None => verdict(true, value, text.join("; ")),
    }
}
