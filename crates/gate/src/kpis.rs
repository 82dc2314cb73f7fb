//! The 32 KPIs of a phase: value, provenance and cross-check of each. What makes a value implausible for other reasons is
//! in `plausibility`. Here: the figures of the KPI file against journal, metrics and log.

mod alerting;
mod by_page;
mod supervised;

use crate::accounting::{Accounts, account, usd as dollars};
use crate::evidence::{AlertRows, DeliveryRow, Evidence, Found, KpiFile, PhaseEvidence, Scrape};
use crate::judge::guarded;
use crate::scrape::{self, Histogram, near};
use crate::value::{CrossCheck, KpiResult, Value, counted, figure};
use catalogue::{KPIS, Kpi, LATENCY_BUCKETS};
use std::collections::{BTreeMap, BTreeSet};

/// The journal added up, or why not.
pub(crate) type Ledger = Result<Accounts, String>;

pub(crate) fn accounts_of(phase: &PhaseEvidence) -> Ledger {
    match &phase.journal {
        Found::No(why) => Err(why.clone()),
        Found::Yes(entries) => match guarded(|| account(entries)) {
            None => Err("adding up the journal broke down".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(accounts)) if accounts.run_id != phase.runner_id => {
                Err(format!("the journal is of run {}, not {}", accounts.run_id, phase.runner_id))
            }
            Some(Ok(accounts)) => Ok(accounts),
        },
    }
}

/// What the collecting of one KPI sees.
struct Desk<'a> {
    evidence: &'a Evidence,
    phase: &'a PhaseEvidence,
    file: Result<&'a KpiFile, String>,
    ledger: Result<&'a Accounts, String>,
    scrape: Result<&'a Scrape, String>,
    rows: Result<Vec<&'a DeliveryRow>, String>,
}

pub(crate) fn collect(evidence: &Evidence, phase: &PhaseEvidence, ledger: Option<&Ledger>) -> Vec<KpiResult> {
    let file = match &phase.kpi_file {
        Found::No(why) => Err(why.clone()),
        Found::Yes(file) => match &file.run_id {
            Some(id) if *id != phase.runner_id => {
                Err(format!("the KPI file is of run {id}, not {}", phase.runner_id))
            }
            None if evidence.settings.has_journal => Err("the KPI file names no run id".to_owned()),
            _ => Ok(file),
        },
    };
    let rows = match &phase.alerts {
        Found::No(why) => Err(why.clone()),
        Found::Yes(rows) => Ok(runner_deliveries(rows)),
    };
    let desk = Desk {
        evidence,
        phase,
        file,
        ledger: match ledger {
            None => Err("no journal".to_owned()),
            Some(Ok(accounts)) => Ok(accounts),
            Some(Err(why)) => Err(why.clone()),
        },
        scrape: match &phase.final_scrape {
            Found::Yes(last) => Ok(&last.scrape),
            Found::No(why) => Err(why.clone()),
        },
        rows,
    };
    KPIS.iter().map(|kpi| desk.result(kpi)).collect()
}

/// The deliveries without those of the validator's own notices, which are not the runner's alerts.
pub(crate) fn runner_deliveries(rows: &AlertRows) -> Vec<&DeliveryRow> {
    let gate: BTreeSet<&str> =
        rows.alerts.iter().filter(|a| a.rule_id.starts_with("GATE-")).map(|a| a.alert_id.as_str()).collect();
    rows.deliveries.iter().filter(|d| !gate.contains(d.alert_id.as_str())).collect()
}

/// `smoke_60s_kpi.json`, `full_1h_metrics_final.prom`.
pub(crate) fn artefact(phase: &PhaseEvidence, what: &str) -> String {
    let name = if phase.phase == "smoke" { "smoke" } else { "full" };
    let s = phase.planned_s;
    let span = if s >= 3600.0 && s % 3600.0 == 0.0 { format!("{}h", s / 3600.0) } else { format!("{s}s") };
    format!("{name}_{span}_{what}")
}

fn agreed(figure: impl Into<String>) -> CrossCheck {
    CrossCheck::Agreed { figure: figure.into() }
}

fn missing(why: impl Into<String>) -> CrossCheck {
    CrossCheck::NotAvailable { why: why.into() }
}

fn verdict(agrees: bool, ours: &Value, theirs: String) -> CrossCheck {
    if agrees { agreed(theirs) } else { CrossCheck::Disagreed { ours: ours.to_string(), theirs } }
}

/// Compares with any of several readings of the same definition.
fn against(value: &Value, slack: f64, readings: &[Option<f64>], source: &str) -> CrossCheck {
    let text: Vec<String> = {
        let mut seen: Vec<String> =
            readings.iter().map(|r| r.map_or("undefined".to_owned(), figure)).collect();
        seen.dedup();
        seen
    };
    let text = format!("{} ({source})", text.join(" or "));
    let agrees = match value {
        Value::Measured(ours) => readings.iter().flatten().any(|theirs| (ours - theirs).abs() <= slack),
        Value::Undefined { .. } => readings.iter().any(Option::is_none),
        _ => return missing("there is no value to compare"),
    };
    verdict(agrees, value, text)
}

impl Desk<'_> {
    fn result(&self, kpi: &Kpi) -> KpiResult {
        let settings = &self.evidence.settings;
        let group = match kpi.number {
            25..=32 if !settings.has_alerts => settings.not_applicable.get("alerts"),
            _ => None,
        };
        // What the supervisor measures itself, and what the runner's file holds after all, is not lacking: a declaration hides nothing.
        let there = matches!(kpi.number, 21..=24) || self.holds(kpi.field);
        let declared = settings.not_applicable.get(kpi.field).filter(|_| !there).or(group);
        let (value, cross_check) = match declared {
            // A waiver excuses what is not there. A figure that is there and cannot be true stays one.
            Some(reason) => match guarded(|| self.measure(kpi)) {
                Some((value, check @ CrossCheck::Disagreed { .. })) => (value, check),
                _ => (Value::NotApplicable { declared: reason.clone() }, missing("declared not applicable")),
            },
            None => guarded(|| self.beside_file(kpi, self.measure(kpi))).unwrap_or_else(|| {
                (Value::absent("its collector broke down"), missing("its collector broke down"))
            }),
        };
        let (provenance, what) = match kpi.number {
            1..=20 => ("runner", artefact(self.phase, "kpi.json")),
            21 | 22 => ("supervisor", "samples.jsonl".to_owned()),
            23 | 24 => ("supervisor", artefact(self.phase, "console.log")),
            30 => ("scrape", "samples.jsonl".to_owned()),
            29 => ("derived", artefact(self.phase, "metrics_final.prom")),
            _ => ("scrape", artefact(self.phase, "metrics_final.prom")),
        };
        let value = outside_domain(kpi.number, &value).unwrap_or(value);
        // Two readings of one thing that differ: neither can be believed.
        let value = match &cross_check {
            CrossCheck::Disagreed { ours, theirs } => {
                Value::Implausible { figures: format!("{ours}, but {theirs}") }
            }
            _ => value,
        };
        KpiResult {
            number: kpi.number,
            field: kpi.field.to_owned(),
            unit: kpi.unit,
            value,
            provenance: provenance.to_owned(),
            artefact: what,
            cross_check,
        }
    }

    /// True when the runner's KPI file has a value of this name.
    fn holds(&self, field: &str) -> bool {
        self.file.as_ref().is_ok_and(|file| file.fields.get(field).is_some_and(|value| !value.is_null()))
    }

    fn measure(&self, kpi: &Kpi) -> (Value, CrossCheck) {
        match kpi.number {
            1..=11 | 14 | 15 => self.paired(kpi, |value| self.by_journal(kpi.number, value)),
            12 | 13 => self.paired(kpi, |value| self.by_guard_metrics(kpi.number, value)),
            16 => self.paired(kpi, |value| self.by_phrase(value, "arb_topn_position_limit_hits_total")),
            17 => self.paired(kpi, |value| self.by_phrase(value, "arb_topn_emergency_stops_total")),
            18..=20 => self.paired(kpi, |value| self.by_histogram(kpi.number, value)),
            21 => self.cpu(),
            22 => self.memory(),
            23 => self.error_rate(),
            24 => self.crashes(),
            25 => self.alert_count("alert_sent_total", |d| u64::from(d.status == "SENT")),
            26 => self
                .alert_count("alert_failed_total", |d| u64::from(d.status == "FAILED" || d.status == "DLQ")),
            27 => self.alert_count("alert_retry_total", |d| u64::from(d.attempt.saturating_sub(1))),
            28 => self.alert_count("alert_dlq_total", |d| u64::from(d.status == "DLQ")),
            31 => self.alert_count("alert_fallback_total", |d| u64::from(d.fallback_of.is_some())),
            29 => self.success_rate(),
            30 => self.availability(),
            32 => self.delivery_latency(),
            _ => (Value::absent("no such KPI"), missing("no such KPI")),
        }
    }

    /// A figure of the KPI file with its cross-check. A file that is not final cannot be held against final readings.
    fn paired(&self, kpi: &Kpi, check: impl Fn(&Value) -> CrossCheck) -> (Value, CrossCheck) {
        let file = match &self.file {
            Err(why) => return (Value::absent(why.clone()), missing("there is no value to compare")),
            Ok(file) => file,
        };
        let value = self.proven(kpi, file, file_value(file, kpi.field));
        let final_file =
            file.complete == Some(true) || (file.complete.is_none() && !self.evidence.settings.has_journal);
        let cross_check = match &value {
            Value::Absent { .. } => missing("there is no value to compare"),
            _ if !final_file => missing("the KPI file is not the final one"),
            _ => check(&value),
        };
        (value, cross_check)
    }

    /// `undefined` is a denominator that was measured to be zero: without the zero that proves it, it is an absence.
    fn proven(&self, kpi: &Kpi, file: &KpiFile, value: Value) -> Value {
        let Value::Undefined { why } = &value else { return value };
        let number = |field: &str| file_value(file, field).number();
        let reasons = file_value(file, "exit_reasons");
        let shutdown = match &reasons {
            Value::Map(map) => map.get("shutdown").copied(),
            _ => None,
        };
        let trips = number("round_trips_completed");
        let zero = match kpi.number {
            // `shutdown` closes are left out of it.
            5 => trips.map(|n| n - shutdown.unwrap_or(0.0)),
            10 => number("wins").or(trips.filter(|n| *n == 0.0)),
            11 => number("losses").or(trips.filter(|n| *n == 0.0)),
            14 => number("guard_triggers"),
            // A block that has not ended yet has no duration.
            15 => number("guard_triggers").map(|_| 0.0),
            18..=20 => {
                self.metrics().ok().and_then(|s| Some(Histogram::read(s, "loop_latency_seconds")?.count()))
            }
            _ => None,
        };
        match zero {
            Some(0.0) => value,
            Some(n) => Value::Implausible {
                figures: format!("undefined ({why}), but what it is divided by is {}", figure(n)),
            },
            // The journal or the metrics decide, where there are any.
            None if self.ledger.is_ok() => value,
            None => Value::absent(format!("said to be undefined ({why}), and no measured zero proves it")),
        }
    }

    fn by_journal(&self, number: u8, value: &Value) -> CrossCheck {
        let a = match &self.ledger {
            Ok(accounts) => *accounts,
            Err(why) if self.evidence.settings.has_journal => return missing(why.clone()),
            Err(why) => return self.by_page(number, value, why),
        };
        let (entries, exits) = (a.entries as f64, a.closes.len() as f64);
        // USD are written with cents or more.
        let usd = 0.01;
        match number {
            1 => against(value, 0.0, &[Some(entries + exits)], "journal"),
            2 => against(value, 0.0, &[Some(entries)], "journal"),
            3 | 4 => against(value, 0.0, &[Some(exits)], "journal"),
            5 => against(value, 0.01, &[win_rate(a)], "journal"),
            6 => match a.total {
                Some(total) => against(value, usd, &[Some(dollars(total))], "journal: holdings at marks"),
                None => missing("no equity point of the journal can be recomputed"),
            },
            7 => {
                let gross = dollars(a.gross_closed);
                let with_unwinds = gross + dollars(a.gross_unwound);
                against(value, usd, &[Some(with_unwinds), Some(gross).filter(|_| a.unwinds == 0)], "journal")
            }
            8 => against(value, usd, &[Some(dollars(a.net))], "journal"),
            9 if a.equity_skipped > 0 => missing(format!(
                "{} without a mark in the journal",
                counted(a.equity_skipped as f64, "equity point", "equity points")
            )),
            9 => match a.equity_points {
                0 => missing("no equity point of the journal can be recomputed"),
                _ => against(value, usd, &[Some(dollars(a.drawdown))], "journal: equity points"),
            },
            // Only win rate, M1, M3 and H6 leave out `shutdown` closes.
            10 | 11 => against(value, usd, &[Accounts::mean_net(a.closes.iter(), number == 10)], "journal"),
            14 => {
                let readings = [Some(a.false_positives() as f64), None];
                // Undefined is only right when there was no trigger.
                against(
                    value,
                    0.0,
                    &readings[..if a.triggers.is_empty() { 2 } else { 1 }],
                    "journal: conditions recomputed",
                )
            }
            _ => against(value, 0.01, &[mean_block(a)], "journal"),
        }
    }

    fn metrics(&self) -> Result<&Scrape, String> {
        if !self.evidence.settings.has_metrics {
            return Err("the runner has no metrics".to_owned());
        }
        self.scrape.clone()
    }

    fn by_guard_metrics(&self, number: u8, value: &Value) -> CrossCheck {
        let file = match &self.file {
            Ok(file) => *file,
            Err(why) => return missing(why.clone()),
        };
        let scrape = match self.metrics() {
            Ok(scrape) => scrape,
            Err(why) => return missing(why),
        };
        let metric = "arb_topn_guard_triggers_total";
        let Some(total) = scrape::count(scrape, metric) else {
            return missing(format!("{metric} is not in the scrape"));
        };
        if number == 12 {
            let parts = match file_value(file, "guard_triggers_by_type") {
                Value::Map(parts) => parts.values().sum::<f64>(),
                other => return missing(format!("guard_triggers_by_type: {other}")),
            };
            let agrees = value.number() == Some(total) && total == parts;
            return verdict(
                agrees,
                value,
                format!("{} (metrics), {} (sum by type)", figure(total), figure(parts)),
            );
        }
        let Value::Map(ours) = value else { return missing("it is no map") };
        let theirs = scrape::sum_by(scrape, metric, "guard_type");
        let kinds: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        // A type without an event may be left out on either side.
        let part = |map: &BTreeMap<String, f64>, kind: &String| map.get(kind).copied().unwrap_or(0.0);
        let agrees = kinds.into_iter().all(|kind| part(ours, kind) == part(&theirs, kind));
        verdict(agrees, value, format!("{} (metrics)", Value::Map(theirs)))
    }

    fn by_phrase(&self, value: &Value, metric: &str) -> CrossCheck {
        let log = match &self.phase.log {
            Found::Yes(log) => &log.counters,
            Found::No(why) => return missing(why.clone()),
        };
        let lines = if metric.contains("position_limit") { log.position_limit } else { log.emergency_stop };
        match self.metrics().map(|scrape| scrape::count(scrape, metric)) {
            Err(why) => missing(why),
            Ok(None) => missing(format!("{metric} is not in the scrape")),
            // A phrase may be written less often than the event happens, never when it did not, and never not at all.
            Ok(Some(said)) => {
                let agrees = value.number() == Some(said) && ((said > 0.0) == (lines > 0));
                verdict(
                    agrees,
                    value,
                    format!("{} (metrics), {}", figure(said), counted(lines as f64, "log line", "log lines")),
                )
            }
        }
    }

    fn by_histogram(&self, number: u8, value: &Value) -> CrossCheck {
        let scrape = match self.metrics() {
            Ok(scrape) => scrape,
            Err(why) => return missing(why),
        };
        let Some(histogram) = Histogram::read(scrape, "loop_latency_seconds") else {
            return missing("loop_latency_seconds is not in the scrape");
        };
        let theirs = match number {
            18 => histogram.mean(),
            19 => histogram.quantile(0.95),
            _ => histogram.quantile(0.99),
        };
        let own: Vec<f64> = histogram.buckets.iter().map(|b| b.0).filter(|e| e.is_finite()).collect();
        let edges = if own.is_empty() { LATENCY_BUCKETS.to_vec() } else { own };
        match (value, theirs) {
            // A mean is known on both sides and not just by its bucket: half or twice the other is no reading of the same loop.
            (Value::Measured(ours), Some(theirs)) => verdict(
                near(&edges, ours / 1e3, theirs)
                    && (number != 18 || (theirs / 2.0..=theirs * 2.0).contains(&(ours / 1e3))),
                value,
                format!("{} ms (scrape)", figure(theirs * 1e3)),
            ),
            (Value::Undefined { .. }, None) => agreed("no observation (scrape)"),
            (_, Some(theirs)) => verdict(false, value, format!("{} ms (scrape)", figure(theirs * 1e3))),
            (_, None) => verdict(false, value, "no observation (scrape)".to_owned()),
        }
    }
}

/// What no measurement can give: a fraction of a trade, a negative count, more than all. `None` when the value is possible.
fn outside_domain(number: u8, value: &Value) -> Option<Value> {
    let fits = |n: f64| match number {
        1..=4 | 12 | 14 | 16 | 17 | 24..=28 | 31 => n >= 0.0 && n.fract() == 0.0,
        5 | 23 | 29 => (0.0..=100.0).contains(&n),
        9 | 10 | 15 | 18..=22 | 32 => n >= 0.0,
        11 => n <= 0.0,
        13 => n >= 0.0 && n.fract() == 0.0,
        30 => (0.0..=100.0).contains(&n),
        _ => true,
    };
    let possible = match value {
        // The two that are maps, by guard type and by notifier, are no numbers, and the others are no maps.
        Value::Measured(n) => !matches!(number, 13 | 30) && fits(*n),
        Value::Map(map) => matches!(number, 13 | 30) && map.values().all(|n| fits(*n)),
        _ => true,
    };
    (!possible).then(|| Value::Implausible { figures: format!("{value} is no possible value") })
}

/// A field of the KPI file: a finite number, a map of them, or why not.
pub(crate) fn file_value(file: &KpiFile, field: &str) -> Value {
    use serde_json::Value as Json;
    let wrong =
        |what: &str| Value::absent(format!("the KPI file's {field} is {what}, a number belongs there"));
    match file.fields.get(field) {
        None => Value::absent(format!("the KPI file has no {field}")),
        Some(Json::Null) => match file.fields.get(&format!("{field}_reason")) {
            Some(Json::String(why)) if why.to_lowercase().starts_with("undefined") => {
                Value::undefined(why.clone())
            }
            Some(Json::String(why)) => Value::absent(why.clone()),
            _ => Value::absent(format!("the KPI file's {field} is null without a reason")),
        },
        Some(Json::Number(number)) => match number.as_f64().filter(|n| n.is_finite()) {
            Some(number) => Value::Measured(number),
            None => wrong("not finite"),
        },
        Some(Json::Object(map)) => {
            let parts: Option<BTreeMap<String, f64>> = map
                .iter()
                .map(|(k, v)| v.as_f64().filter(|n| n.is_finite()).map(|n| (k.clone(), n)))
                .collect();
            parts.map_or_else(|| wrong("a map with something else than numbers"), Value::Map)
        }
        Some(Json::String(_)) => wrong("text"),
        Some(Json::Bool(_)) => wrong("true or false"),
        Some(Json::Array(_)) => wrong("a list"),
    }
}

/// Win rate of the journal, `None` without closes.
fn win_rate(a: &Accounts) -> Option<f64> {
    let closes = a.without_shutdown().count();
    let wins = a.without_shutdown().filter(|c| c.net > 0).count();
    (closes > 0).then(|| wins as f64 / closes as f64 * 100.0)
}

/// The mean time from a trigger to its end, over the triggers that have ended: a trigger is the transition into a block, a
/// cooldown or a degrade, and its end gives the duration.
fn mean_block(a: &Accounts) -> Option<f64> {
    let spans: Vec<f64> = a.triggers.iter().filter_map(|t| Some(t.to?.secs_since(t.from))).collect();
    (!spans.is_empty()).then(|| spans.iter().sum::<f64>() / spans.len() as f64)
}
