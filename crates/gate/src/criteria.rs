//! The 16 criteria. Each is judged alone; one that breaks down is inconclusive.

mod alerts;
mod coverage;
mod panels;

use crate::accounting::Accounts;
use crate::evidence::{Evidence, Found, Origin, PhaseEnd, PhaseEvidence};
use crate::judge::{PlausibilityFinding, PlausibilityStatus, guarded};
use crate::kpis::{artefact, file_value};
use crate::memory::memory_growth;
use crate::rules::EXIT_TOLERANCE_S;
use crate::scrape::Histogram;
use crate::stats::{bootstrap_sum, seed};
use crate::value::{CriterionResult, KpiResult, Outcome, Value, counted, figure};
use catalogue::{Class, CriterionId};
use coverage::{live_shares, missed_polls};
use std::collections::BTreeMap;

/// Why a waived criterion is inconclusive.
pub(crate) const WAIVED: &str = "declared not applicable";
const NO_MAIN: &str = "no main run";
const UNWATCHED: &str = "nobody of ours watched it run";

/// A criterion without its identity.
struct Finding {
    outcome: Outcome,
    value: String,
    evidence: Vec<String>,
    note: Option<String>,
}

fn said(outcome: Outcome, value: impl Into<String>) -> Finding {
    Finding { outcome, value: value.into(), evidence: Vec::new(), note: None }
}

fn passed(holds: bool) -> Outcome {
    if holds { Outcome::Pass } else { Outcome::Fail }
}

impl Finding {
    fn from(mut self, artefacts: &[String]) -> Self {
        self.evidence = artefacts.to_vec();
        self
    }

    fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

struct Bench<'a> {
    evidence: &'a Evidence,
    phase: &'a PhaseEvidence,
    kpis: &'a [KpiResult],
    accounts: Option<&'a Accounts>,
    plausibility: &'a [PlausibilityFinding],
}

pub(crate) fn all(
    evidence: &Evidence,
    kpis: &[KpiResult],
    accounts: Option<&Accounts>,
    plausibility: &[PlausibilityFinding],
) -> Vec<CriterionResult> {
    let phase = evidence.main.as_ref().or(evidence.smoke.as_ref());
    CriterionId::ALL
        .into_iter()
        .map(|id| {
            let finding = match phase {
                None => said(Outcome::inconclusive(NO_MAIN), "no runner was started"),
                Some(phase) => {
                    let bench = Bench { evidence, phase, kpis, accounts, plausibility };
                    guarded(|| bench.judge(id))
                        .unwrap_or_else(|| said(Outcome::inconclusive("its checker broke down"), "no value"))
                }
            };
            result(id, finding, evidence.main.is_some())
        })
        .collect()
}

/// Without a main run, what the smoke showed can only count against it.
fn result(id: CriterionId, finding: Finding, main: bool) -> CriterionResult {
    let counts =
        matches!(id, CriterionId::C2 | CriterionId::C3 | CriterionId::C4) && finding.outcome == Outcome::Fail;
    let outcome = if main || counts { finding.outcome } else { Outcome::inconclusive(NO_MAIN) };
    let note = if main { finding.note } else { Some("judged on the smoke".to_owned()) };
    CriterionResult {
        id,
        outcome,
        value: finding.value,
        threshold: id.definition().threshold.to_owned(),
        evidence: finding.evidence,
        note,
        attested: None,
    }
}

impl Bench<'_> {
    fn judge(&self, id: CriterionId) -> Finding {
        let waived = self.evidence.settings.not_applicable.get(id.as_str());
        if let Some(reason) = waived.filter(|_| id.class() != Class::Critical) {
            return said(Outcome::inconclusive(WAIVED), reason.clone()).noted(format!("declared: {reason}"));
        }
        if self.evidence.origin == Origin::Elsewhere
            && let Some(finding) = self.unwatched(id)
        {
            return finding;
        }
        match id {
            CriterionId::C1 => self.full_run(),
            CriterionId::C2 => self.complete(),
            CriterionId::C3 => self.no_crash(),
            CriterionId::C4 => self.no_alert_lost(),
            CriterionId::C5 => self.endpoint(),
            CriterionId::C6 => self.panels(),
            CriterionId::H1 => self.latency(),
            CriterionId::H2 => self.limit(21, "%", |v| v <= 70.0),
            CriterionId::H3 => self.memory(),
            CriterionId::H4 => self.limit(29, "%", |v| v >= 95.0),
            CriterionId::H5 => self.false_positives(),
            CriterionId::H6 => self.round_trips(),
            CriterionId::M1 => self.limit(5, "%", |v| (50.0..=80.0).contains(&v)),
            CriterionId::M2 => self.net(),
            CriterionId::M3 => self.exit_reasons(),
            CriterionId::M4 => self.notifiers(),
        }
    }

    /// What only a supervisor can show: of artefacts that were made elsewhere it is not proven, unless they show that it does not hold.
    fn unwatched(&self, id: CriterionId) -> Option<Finding> {
        let open = |what: &str| said(Outcome::inconclusive(format!("{what}: {UNWATCHED}")), UNWATCHED);
        match id {
            CriterionId::C1 => Some(open("how long it ran, and on what market")),
            CriterionId::C3 => {
                let blocks = self.phase.log.get().map(|log| log.blocks.as_slice()).unwrap_or_default();
                let dead = blocks.iter().filter(|b| b.kind != "handled").count();
                if dead == 0 {
                    return Some(open("its exit status and what it did after the last line"));
                }
                let first = blocks.iter().find(|b| b.kind != "handled");
                let line = first.and_then(|b| b.text.lines().next()).unwrap_or_default();
                let text = format!("{} in the log", counted(dead as f64, "crash block", "crash blocks"));
                Some(said(Outcome::Fail, text).from(&["log".to_owned()]).noted(line.to_owned()))
            }
            CriterionId::C5 => {
                let stranger = self
                    .plausibility
                    .iter()
                    .find(|f| f.rule.starts_with("identity") && f.status == PlausibilityStatus::Violated);
                Some(match stranger {
                    Some(found) => said(Outcome::Fail, found.figures.clone()),
                    None => open("whether its metrics answered"),
                })
            }
            CriterionId::C6 => Some(open("what the dashboard showed")),
            _ => None,
        }
    }

    /// True when the profile declares that the runner cannot have it.
    fn lacks(&self, name: &str) -> bool {
        self.evidence.settings.not_applicable.contains_key(name)
    }

    fn kpi(&self, number: u8) -> Option<&KpiResult> {
        self.kpis.iter().find(|k| k.number == number)
    }

    fn value(&self, number: u8) -> Value {
        self.kpi(number).map_or_else(|| Value::absent("not collected"), |k| k.value.clone())
    }

    fn source(&self, number: u8) -> Vec<String> {
        self.kpi(number).map(|k| k.artefact.clone()).into_iter().collect()
    }

    /// A KPI against a limit. What is not measured is inconclusive.
    fn limit(&self, number: u8, unit: &str, holds: impl Fn(f64) -> bool) -> Finding {
        let value = self.value(number);
        let source = self.source(number);
        match value {
            Value::Measured(v) => said(passed(holds(v)), format!("{} {unit}", figure(v))).from(&source),
            other => said(unmeasured(&other), other.to_string()).from(&source),
        }
    }

    /// The runner's p99 and the scrape's agree when they lie in neighbouring buckets; the harder one decides. A bucket that holds the
    /// limit inside cannot say on which side of it the quantile lies: then the runner's figure stands alone.
    fn latency(&self) -> Finding {
        const LIMIT_MS: f64 = 80.0;
        let finding = self.limit(20, "ms", |v| v <= LIMIT_MS);
        let Value::Measured(own) = self.value(20) else { return finding };
        let histogram = self
            .phase
            .final_scrape
            .get()
            .and_then(|last| Histogram::read(&last.scrape, "loop_latency_seconds"));
        let Some((low, scraped, high)) = histogram.and_then(|h| h.quantile_bucket(0.99)) else {
            return finding;
        };
        let limit = LIMIT_MS / 1e3;
        let undecided = low < limit && high > limit;
        if undecided || scraped * 1e3 <= own {
            return finding;
        }
        let text = format!("{} ms by the scrape, {} ms by the runner", figure(scraped * 1e3), figure(own));
        said(passed(scraped <= limit), text).from(&self.source(20))
    }

    fn full_run(&self) -> Finding {
        let settings = &self.evidence.settings;
        let sources = ["samples.jsonl".to_owned(), "monitor_summary.json".to_owned()];
        if self.evidence.main.is_none() {
            return said(Outcome::inconclusive(NO_MAIN), NO_MAIN);
        }
        let Some(end) = &self.phase.end else {
            return said(Outcome::Fail, "interrupted: a start record and no end record").from(&sources);
        };
        let planned = self.phase.planned_s;
        let lived = end.stop_sent_s.map_or(end.ran_s, |stop| stop.min(end.ran_s));
        let ran = format!("{} s of {} s", figure(lived), figure(planned));
        let shortened = planned < settings.main_min_s || planned < settings.main_s;
        let cut = lived < planned - EXIT_TOLERANCE_S || end.abort.is_some();
        if cut || shortened || end.interrupted.is_some() {
            let why = end.interrupted.as_ref().map(|w| format!(", interrupted: {w}")).unwrap_or_default();
            let least = if shortened {
                format!(", at least {} s needed", figure(settings.main_min_s.max(settings.main_s)))
            } else {
                String::new()
            };
            return said(Outcome::Fail, format!("{ran}{why}{least}")).from(&sources);
        }
        if let Some(reason) = settings.not_applicable.get("venue_books") {
            return said(Outcome::Pass, format!("{ran}, books not observed"))
                .from(&sources)
                .noted(format!("books waived: {reason}"));
        }
        match live_shares(self.phase, settings.start_grace_s, planned.min(lived)) {
            Err(why) => said(Outcome::inconclusive(why.clone()), format!("{ran}, {why}")).from(&sources),
            Ok(shares) => {
                let text: Vec<String> = shares
                    .iter()
                    .map(|(venue, share)| format!("{venue} Live {} %", figure(*share)))
                    .collect();
                let holds = shares.len() >= 2 && shares.values().all(|share| *share >= 90.0);
                said(passed(holds), format!("{ran}, {}", text.join(", "))).from(&sources)
            }
        }
    }

    fn complete(&self) -> Finding {
        let source = [artefact(self.phase, "kpi.json")];
        let (mut absent, mut implausible) = (Vec::new(), Vec::new());
        for kpi in self.kpis {
            match &kpi.value {
                Value::Absent { why } => absent.push(format!("{}: {why}", kpi.field)),
                Value::Implausible { figures } => implausible.push(format!("{}: {figures}", kpi.field)),
                _ => {}
            }
        }
        let present = self.kpis.len() - absent.len() - implausible.len();
        // The table of KPIs keeps every reason; here stand how many and the first.
        let mut all: Vec<String> = [("absent", &absent), ("implausible", &implausible)]
            .into_iter()
            .filter_map(|(what, list)| Some(format!("{what}: {}, first: {}", list.len(), cut(list.first()?))))
            .collect();
        let unfinished = match &self.phase.kpi_file {
            Found::Yes(file) if file.complete == Some(false) => Some("the KPI file says complete: false"),
            Found::Yes(file) if file.complete.is_none() && self.evidence.settings.has_journal => {
                Some("the KPI file does not say whether it is complete")
            }
            _ => None,
        };
        all.extend(unfinished.map(str::to_owned));
        let rewrites = Rewrites::of(self.phase);
        if let (Some(_), Some(last), Some(end)) = (unfinished, rewrites.last_s, &self.phase.end) {
            all.push(format!("last rewritten at {} s of {} s", figure(last), figure(end.ran_s)));
        }
        // A violated rule fails C2 even when the KPI it touches is not present to be marked.
        let violated: Vec<&PlausibilityFinding> =
            self.plausibility.iter().filter(|f| f.status == PlausibilityStatus::Violated).collect();
        if all.is_empty() {
            all.extend(violated.iter().map(|f| cut(&format!("{}: {}", f.rule, f.figures))));
        } else if !violated.is_empty() {
            let names: Vec<&str> =
                violated.iter().map(|f| f.rule.split(':').next().unwrap_or(&f.rule)).collect();
            all.push(format!("cannot be true: {}", names.join(", ")));
        }
        if all.is_empty() && self.kpis.len() == 32 {
            let finding = said(Outcome::Pass, "32 of 32").from(&source);
            // Polls of ours that came late are not the runner's silence.
            let limit = KPI_FILE_EVERY_S + 4.0 * self.evidence.settings.poll_s;
            return match rewrites.longest_s {
                Some(longest) if longest > limit => {
                    finding.noted(format!("the KPI file was not rewritten for {} s", figure(longest)))
                }
                _ => finding,
            };
        }
        said(Outcome::Fail, format!("{present} of 32 present; {}", all.join("; "))).from(&source)
    }

    fn no_crash(&self) -> Finding {
        let mut finding = self.limit(24, "", |v| v == 0.0);
        finding.value = finding.value.trim().to_owned();
        let blocks = self.phase.log.get().map(|log| log.blocks.as_slice()).unwrap_or_default();
        if let Some(block) = blocks.iter().find(|b| b.kind != "handled") {
            finding.note = Some(format!(
                "{} at {} s: {}",
                block.kind,
                figure(block.at_s),
                block.text.lines().next().unwrap_or("")
            ));
        }
        if finding.note.is_none() && finding.outcome == Outcome::Fail {
            finding.note = self
                .phase
                .end
                .as_ref()
                .and_then(death)
                .map(|status| format!("it ended with {status} and left no crash block"));
        }
        let leftovers = self.phase.end.as_ref().map(|end| end.leftovers.join(", ")).unwrap_or_default();
        if finding.note.is_none() && !leftovers.is_empty() {
            finding.note = Some(format!("outlived the runner and were ended: {leftovers}"));
        }
        finding.evidence.push(artefact(self.phase, "error.log"));
        finding
    }

    fn endpoint(&self) -> Finding {
        let settings = &self.evidence.settings;
        let sources = ["samples.jsonl".to_owned(), artefact(self.phase, "metrics_final.prom")];
        if !settings.has_metrics {
            return said(Outcome::inconclusive("the runner offers no metrics"), "no metrics").from(&sources);
        }
        let (missed, polls) = missed_polls(self.phase, settings.start_grace_s, settings.poll_s);
        if polls == 0 {
            return said(Outcome::inconclusive("no poll outside the graces"), "0 polls").from(&sources);
        }
        let allowed = (polls as f64 * 0.01).max(1.0);
        let text = format!("{missed} of {} missed", counted(polls as f64, "poll", "polls"));
        let identity = match &self.phase.final_scrape {
            Found::No(why) => Err(Outcome::inconclusive(format!("no final snapshot: {why}"))),
            Found::Yes(last) => {
                let owner = last.socket_owner.as_deref().unwrap_or("an unknown process");
                match (&last.run_id, last.socket_in_group) {
                    (Some(id), _) if *id != self.phase.runner_id => {
                        return said(
                            Outcome::Fail,
                            format!("{text}; the final snapshot is of run {id}, answered by {owner}"),
                        )
                        .from(&sources);
                    }
                    (_, Some(false)) => {
                        return said(
                            Outcome::Fail,
                            format!("{text}; the socket belongs to {owner}, not to the runner"),
                        )
                        .from(&sources);
                    }
                    (None, None) => Err(Outcome::inconclusive(
                        "the snapshot names no run and the socket's owner is unknown",
                    )),
                    _ => Ok(()),
                }
            }
        };
        match identity {
            _ if missed as f64 > allowed => said(Outcome::Fail, text).from(&sources),
            Err(outcome) => said(outcome, text).from(&sources),
            Ok(()) => {
                let by_id = self.phase.final_scrape.get().is_some_and(|last| last.run_id.is_some());
                let how = if by_id { "" } else { ", by the owner of its socket" };
                said(Outcome::Pass, format!("{text}; snapshot of {}{how}", self.phase.runner_id))
                    .from(&sources)
            }
        }
    }

    fn memory(&self) -> Finding {
        let source = ["samples.jsonl".to_owned()];
        match memory_growth(self.phase, &self.evidence.settings) {
            Err(why) => said(Outcome::inconclusive(why.clone()), why).from(&source),
            Ok(growth) if !growth.pct_per_h.is_finite() => {
                said(Outcome::inconclusive("the slope is no number"), "no slope").from(&source)
            }
            Ok(growth) => {
                let mib = growth.bytes_per_h / 1_048_576.0;
                let text = format!(
                    "{} %/h, {} MiB/h; plain {} %",
                    figure(growth.pct_per_h),
                    figure(mib),
                    figure(growth.plain_pct)
                );
                let proven_mib = growth.proven_bytes_per_h / 1_048_576.0;
                let within = growth.pct_per_h <= 10.0 || mib < 8.0;
                if !within && (growth.proven_pct_per_h <= 10.0 || proven_mib < 8.0) {
                    let why = format!(
                        "the slope is beyond its limit, and no more than {} %/h of it is proven: the rest may be swings",
                        figure(growth.proven_pct_per_h)
                    );
                    return said(Outcome::inconclusive(why), text).from(&source);
                }
                said(passed(within), text).from(&source)
            }
        }
    }

    fn false_positives(&self) -> Finding {
        let source = self.source(14);
        let (wrong, triggers) = (self.value(14), self.value(12));
        if triggers == Value::Measured(0.0) && matches!(wrong, Value::Measured(0.0) | Value::Undefined { .. })
        {
            return said(Outcome::Pass, "no block at all").from(&source).noted("no block at all");
        }
        match (&wrong, &triggers) {
            (Value::Measured(wrong), Value::Measured(all)) if *all > 0.0 => {
                let percent = wrong / all * 100.0;
                let text = format!("{} of {} triggers, {} %", figure(*wrong), figure(*all), figure(percent));
                said(passed(percent <= 5.0), text).from(&source)
            }
            (Value::NotApplicable { .. }, _) => said(unmeasured(&wrong), wrong.to_string()).from(&source),
            _ => said(unmeasured(&wrong), format!("{wrong} of {triggers}")).from(&source),
        }
    }

    /// Closed round trips without those of the run's end, by reason; the journal's where there is one.
    fn closes(&self) -> Result<BTreeMap<String, f64>, Outcome> {
        let mut reasons = match (self.accounts, &self.phase.kpi_file) {
            (Some(accounts), _) => accounts.exit_reasons(),
            (None, _) if self.evidence.settings.has_journal => {
                let why = why_not(&self.phase.journal);
                return Err(Outcome::inconclusive(format!("the journal cannot be added up: {why}")));
            }
            (None, Found::No(why)) => return Err(Outcome::inconclusive(why.clone())),
            (None, Found::Yes(file)) => match file_value(file, "exit_reasons") {
                Value::Map(map) => map,
                _ if self.lacks("exit_reasons") => return Err(Outcome::inconclusive(WAIVED)),
                other => return Err(Outcome::inconclusive(format!("exit_reasons: {other}"))),
            },
        };
        reasons.remove("shutdown");
        Ok(reasons)
    }

    fn round_trips(&self) -> Finding {
        let source = self.source(4);
        let trips = self.value(4);
        if trips.number().is_none() {
            return said(unmeasured(&trips), trips.to_string()).from(&source);
        }
        match self.closes() {
            Err(outcome) => {
                let text = format!("{trips} round trips, which of them were shutdown closes is not known");
                said(outcome, text).from(&source)
            }
            Ok(reasons) => {
                let n: f64 = reasons.values().sum();
                said(passed(n >= 10.0), counted(n, "round trip", "round trips")).from(&source)
            }
        }
    }

    fn net(&self) -> Finding {
        let source = ["journal/main".to_owned()];
        let net = self.value(8);
        let Some(accounts) = self.accounts else {
            if self.lacks("journal") {
                return said(Outcome::inconclusive(WAIVED), format!("net {net} USD, no journal"))
                    .from(&source);
            }
            let why = format!("no journal to form episodes from: {}", why_not(&self.phase.journal));
            return said(Outcome::inconclusive(why), net.to_string()).from(&source);
        };
        if net.number().is_none() {
            return said(unmeasured(&net), net.to_string()).from(&source);
        }
        let episodes = accounts.episodes();
        let text = format!("net {net} USD, {}", counted(episodes.len() as f64, "episode", "episodes"));
        if episodes.len() < 20 {
            let why = format!("{}, 20 needed", counted(episodes.len() as f64, "episode", "episodes"));
            return said(Outcome::inconclusive(why), text).from(&source);
        }
        let Some((low, high)) = bootstrap_sum(&episodes, seed(&self.evidence.run_id)) else {
            return said(Outcome::inconclusive("no interval"), text).from(&source);
        };
        let text = format!("{text}, 95 % interval {} to {} USD", figure(low), figure(high));
        let outcome = if low > 0.0 {
            Outcome::Pass
        } else if high < 0.0 {
            Outcome::Fail
        } else {
            Outcome::inconclusive("the interval holds 0")
        };
        said(outcome, text).from(&source)
    }

    fn exit_reasons(&self) -> Finding {
        let source = self.source(4);
        match self.closes() {
            Err(outcome) => said(outcome, "the reasons of the exits are not known").from(&source),
            Ok(reasons) => {
                let n: f64 = reasons.values().sum();
                let text = format!("{}: {}", counted(n, "close", "closes"), Value::Map(reasons.clone()));
                let missing: Vec<&str> = ["take_profit", "stop_loss", "time_limit", "spread_reversal"]
                    .into_iter()
                    .filter(|reason| reasons.get(*reason).is_none_or(|n| *n <= 0.0))
                    .collect();
                let outcome = if n < 10.0 {
                    Outcome::inconclusive(format!("{}, 10 needed", counted(n, "close", "closes")))
                } else {
                    passed(missing.is_empty())
                };
                let finding = said(outcome, text).from(&source);
                if missing.is_empty() {
                    finding
                } else {
                    finding.noted(format!("never: {}", missing.join(", ")))
                }
            }
        }
    }

    fn notifiers(&self) -> Finding {
        let source = self.source(30);
        match self.value(30) {
            Value::Map(shares) if !shares.is_empty() => {
                let holds = shares.values().all(|share| *share >= 100.0);
                said(passed(holds), Value::Map(shares).to_string()).from(&source)
            }
            other => said(unmeasured(&other), other.to_string()).from(&source),
        }
    }
}

/// A runner rewrites its KPI file at least this often, seconds.
const KPI_FILE_EVERY_S: f64 = 10.0;

/// When the KPI file was rewritten, as the polls saw it: seconds after the phase's start.
#[derive(Default)]
struct Rewrites {
    last_s: Option<f64>,
    /// The longest time between two that did not bring a new one.
    longest_s: Option<f64>,
}

impl Rewrites {
    fn of(phase: &PhaseEvidence) -> Self {
        let mut found = Self::default();
        let mut count = 0;
        for sample in &phase.samples {
            if sample.kpi_rewrites != count {
                (count, found.last_s) = (sample.kpi_rewrites, Some(sample.t));
            } else if let Some(last) = found.last_s {
                found.longest_s = Some(found.longest_s.unwrap_or(0.0).max(sample.t - last));
            }
        }
        found
    }
}

/// How a runner died; nothing when it exited with code 0.
fn death(end: &PhaseEnd) -> Option<String> {
    match (end.exit_code, end.signal) {
        (_, Some(6)) => Some("signal 6 (SIGABRT)".to_owned()),
        (_, Some(signal)) => Some(format!("signal {signal}")),
        (Some(0), None) => None,
        (Some(code), None) => Some(format!("exit code {code}")),
        (None, None) => Some("an unknown status".to_owned()),
    }
}

fn unmeasured(value: &Value) -> Outcome {
    match value {
        Value::NotApplicable { .. } => Outcome::inconclusive(WAIVED),
        other => Outcome::inconclusive(other.to_string()),
    }
}

fn why_not<T>(found: &Found<T>) -> &str {
    match found {
        Found::Yes(_) => "it is damaged, or of another run",
        Found::No(why) => why,
    }
}

/// The first 200 characters of a reason.
fn cut(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{} [...]", &text[..end]),
        None => text.to_owned(),
    }
}

fn short(texts: &[String]) -> String {
    let more = if texts.len() > 4 { format!("; and {} more", texts.len() - 4) } else { String::new() };
    texts.iter().take(4).cloned().collect::<Vec<_>>().join("; ") + &more
}
