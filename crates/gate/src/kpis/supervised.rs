//! The KPIs that the supervisor measures itself: CPU, memory, error rate, crashes.

use super::{Desk, agreed, file_value, missing, verdict};
use crate::evidence::{Found, PhaseEnd};
use crate::rules::EMERGENCY_EXIT;
use crate::scrape;
use crate::value::{CrossCheck, Value, figure};

impl Desk<'_> {
    pub(super) fn cpu(&self) -> (Value, CrossCheck) {
        let cores = self.evidence.settings.cpu_cores;
        let samples = &self.phase.samples;
        let Some((t, used)) = samples.iter().rev().find_map(|s| s.os.get().map(|os| (s.t, os.cpu_seconds)))
        else {
            return (Value::absent("the operating system's figures were never read"), missing("no value"));
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
        let pairs: Vec<(f64, f64, f64)> = samples
            .iter()
            .filter_map(|s| {
                let theirs = scrape::sum(s.scrape.get()?, "process_cpu_seconds_total", &[])?;
                Some((s.t, s.os.get()?.cpu_seconds, theirs))
            })
            .collect();
        let mut readings: Vec<(String, f64, f64)> = Vec::new();
        if let (Some(first), Some(last)) = (pairs.first(), pairs.last())
            && last.0 > first.0
        {
            let scale = 100.0 / (last.0 - first.0) / cores;
            readings.push((
                "runner's counter".into(),
                (last.1 - first.1) * scale,
                (last.2 - first.2) * scale,
            ));
        }
        if let Ok(file) = &self.file {
            if let Value::Measured(seconds) = file_value(file, "cpu_seconds") {
                readings.push(("KPI file cpu_seconds".into(), percent, seconds / t / cores * 100.0));
            }
            if let Value::Measured(theirs) = file_value(file, "cpu_usage_pct") {
                readings.push(("KPI file cpu_usage_pct".into(), percent, theirs));
            }
        }
        let close = |ours: f64, theirs: f64| (ours - theirs).abs() <= 2.0f64.max(0.2 * ours.abs());
        (value.clone(), compare(&value, &readings, close, "%"))
    }

    /// Seconds until the runner ended or was asked to, when that is on record.
    fn lived(&self) -> Option<f64> {
        self.phase.end.as_ref().map(|end| end.stop_sent_s.map_or(end.ran_s, |stop| stop.min(end.ran_s)))
    }

    pub(super) fn memory(&self) -> (Value, CrossCheck) {
        let peak = self.phase.samples.iter().filter_map(|s| s.os.get().map(|os| os.peak_rss_bytes)).max();
        let Some(peak) = peak.filter(|p| *p > 0) else {
            return (Value::absent("the operating system's figures were never read"), missing("no value"));
        };
        let mb = peak as f64 / 1e6;
        let value = Value::Measured(mb);
        let mut readings = Vec::new();
        if let Ok(file) = &self.file {
            if let Value::Measured(bytes) = file_value(file, "peak_rss_bytes") {
                readings.push(("KPI file peak_rss_bytes".to_owned(), mb, bytes / 1e6));
            }
            if let Value::Measured(theirs) = file_value(file, "memory_usage_mb") {
                readings.push(("KPI file memory_usage_mb".to_owned(), mb, theirs));
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
        let text = format!("{status}, {blocks} crash blocks in the log, {hangs} hangs");
        (value, agreed(text))
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

fn compare(
    value: &Value,
    readings: &[(String, f64, f64)],
    close: impl Fn(f64, f64) -> bool,
    unit: &str,
) -> CrossCheck {
    if readings.is_empty() {
        return missing("the runner reports no such figure");
    }
    let text: Vec<String> = readings
        .iter()
        .map(|(name, ours, theirs)| {
            format!("{name} {} {unit} against {} {unit}", figure(*theirs), figure(*ours))
        })
        .collect();
    let agrees = readings.iter().all(|(_, ours, theirs)| close(*ours, *theirs));
    verdict(agrees, value, text.join("; "))
}
