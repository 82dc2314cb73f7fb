//! The 16 criteria. Each is judged alone; one that breaks down is inconclusive.

use crate::accounting::Accounts;
use crate::evidence::{Evidence, Found, PanelCheck, PhaseEvidence};
use crate::judge::{PlausibilityFinding, guarded};
use crate::kpis::{artefact, file_value, runner_deliveries};
use crate::rules::EXIT_TOLERANCE_S;
use crate::scrape::{sum, sum_by};
use crate::stats::{bootstrap_sum, memory_growth, seed};
use crate::value::{CriterionResult, KpiResult, Outcome, Value, figure};
use catalogue::{Class, CriterionId, PANELS, Panel};
use std::collections::BTreeMap;

/// Why a waived criterion is inconclusive.
pub(crate) const WAIVED: &str = "declared not applicable";
const NO_MAIN: &str = "no main run";

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
        match id {
            CriterionId::C1 => self.full_run(),
            CriterionId::C2 => self.complete(),
            CriterionId::C3 => self.no_crash(),
            CriterionId::C4 => self.no_alert_lost(),
            CriterionId::C5 => self.endpoint(),
            CriterionId::C6 => self.panels(),
            CriterionId::H1 => self.limit(20, "ms", |v| v <= 80.0),
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
        let bad: Vec<String> = self
            .kpis
            .iter()
            .filter(|k| !k.value.is_present())
            .map(|k| format!("{}: {}", k.field, k.value))
            .collect();
        let source = [artefact(self.phase, "kpi.json")];
        let unfinished = match &self.phase.kpi_file {
            Found::Yes(file) if file.complete == Some(false) => Some("the KPI file says complete: false"),
            Found::Yes(file) if file.complete.is_none() && self.evidence.settings.has_journal => {
                Some("the KPI file does not say whether it is complete")
            }
            _ => None,
        };
        // A violated rule fails C2 even when the KPI it touches is not present to be marked.
        let violated = self
            .plausibility
            .iter()
            .filter(|f| f.status == crate::judge::PlausibilityStatus::Violated)
            .map(|f| format!("{}: {}", f.rule, f.figures));
        let mut all = bad;
        all.extend(unfinished.map(str::to_owned));
        if all.is_empty() {
            all.extend(violated);
        }
        if all.is_empty() && self.kpis.len() == 32 {
            return said(Outcome::Pass, "32 of 32").from(&source);
        }
        let present = self.kpis.iter().filter(|k| k.value.is_present()).count();
        said(Outcome::Fail, format!("{present} of 32; {}", all.join("; "))).from(&source)
    }

    fn no_crash(&self) -> Finding {
        let mut finding = self.limit(24, "", |v| v == 0.0);
        finding.value = finding.value.trim().to_owned();
        if let Some(block) = self.phase.log.blocks.iter().find(|b| b.kind != "handled") {
            finding.note = Some(format!(
                "{} at {} s: {}",
                block.kind,
                figure(block.at_s),
                block.text.lines().next().unwrap_or("")
            ));
        }
        finding.evidence.push(artefact(self.phase, "error.log"));
        finding
    }

    fn no_alert_lost(&self) -> Finding {
        let sources = ["alerts.jsonl".to_owned(), artefact(self.phase, "metrics_final.prom")];
        let own = self.evidence.settings.has_alerts;
        let rows = self.phase.alerts.get();
        let table = rows.map(|rows| {
            let counted = if own { runner_deliveries(rows) } else { rows.deliveries.iter().collect() };
            let of = |status: &str| counted.iter().filter(|d| d.status == status).count();
            (of("SENT"), of("DLQ"))
        });
        let metric =
            if own { self.value(28) } else { Value::NotApplicable { declared: "no alerting".to_owned() } };
        let lost = table.map_or(0, |t| t.1);
        let text = |sent: String| format!("DLQ {metric}, {lost} in the table, {sent} delivered");
        if lost > 0 || metric.number().is_some_and(|dlq| dlq > 0.0) {
            return said(Outcome::Fail, text("?".to_owned())).from(&sources);
        }
        let Some((sent, _)) = table else {
            let why = format!("no delivery table: {}", why_not(&self.phase.alerts));
            return said(Outcome::inconclusive(why.clone()), why).from(&sources);
        };
        if own && metric.number().is_none() {
            return said(unmeasured(&metric), text(sent.to_string())).from(&sources);
        }
        let finding = said(passed(sent >= 1), text(sent.to_string())).from(&sources);
        if own { finding } else { finding.noted("judged on Assay's own dispatcher") }
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
        let text = format!("{missed} of {polls} polls missed");
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
                said(Outcome::Pass, format!("{text}; snapshot of {}", self.phase.runner_id)).from(&sources)
            }
        }
    }

    fn panels(&self) -> Finding {
        let na = &self.evidence.settings.not_applicable;
        let (left_out, required): (Vec<&Panel>, Vec<&Panel>) =
            PANELS.iter().partition(|p| p.required_metrics.iter().any(|m| na.contains_key(*m)));
        let checks = &self.evidence.panels;
        let source = ["panels.jsonl".to_owned()];
        if checks.is_empty() {
            return said(Outcome::inconclusive("no panel was ever asked"), "0 checks").from(&source);
        }
        let mut wrong = Vec::new();
        let mut open = Vec::new();
        for panel in &required {
            let last = checks.iter().filter(|c| c.panel == panel.id).max_by(|a, b| a.t.total_cmp(&b.t));
            match last {
                None => open.push(format!("{} was never asked", panel.id)),
                Some(check) if !check.has_data => {
                    wrong.push(format!("{}: {}", panel.id, check.problem.as_deref().unwrap_or("no data")));
                }
                Some(check) if check.run_id.is_none() || check.process_start.is_none() => {
                    open.push(format!("{} was answered without a run id or process start", panel.id));
                }
                Some(_) => {}
            }
        }
        for check in checks {
            wrong.extend(self.stranger(check));
        }
        if !checks.iter().any(|c| c.anchor.is_some()) {
            open.push("no answer carried a counter to compare with the samples".to_owned());
        }
        let left: Vec<&str> = left_out.iter().map(|p| p.id).collect();
        let outcome = match (wrong.is_empty(), open.is_empty()) {
            (false, _) => Outcome::Fail,
            (true, false) => Outcome::inconclusive(short(&open)),
            (true, true) => Outcome::Pass,
        };
        let faults = wrong.len() + open.len();
        wrong.extend(open);
        let text = if faults == 0 {
            format!("{} of {} panels", required.len(), required.len())
        } else {
            short(&wrong)
        };
        let finding = said(outcome, text).from(&source);
        if left.is_empty() { finding } else { finding.noted(format!("left out: {}", left.join(", "))) }
    }

    /// Why an answer is not of this run's runner, when it is not.
    fn stranger(&self, check: &PanelCheck) -> Option<String> {
        let at = format!("{} at {} s", check.panel, figure(check.t));
        if let Some(id) = &check.run_id
            && *id != self.phase.runner_id
            && *id != self.evidence.run_id
        {
            return Some(format!("{at} was answered by run {id}"));
        }
        let scraped = || self.phase.samples.iter().filter_map(|s| Some((s.t, s.scrape.get()?)));
        if let Some(start) = check.process_start
            && let Some(known) = scraped().find_map(|(_, s)| sum(s, "process_start_time_seconds", &[]))
            && (known - start).abs() > 0.5
        {
            return Some(format!(
                "{at} was answered by a process started at {start}, the runner started at {known}"
            ));
        }
        let (series, value) = check.anchor.as_ref()?;
        let own = || scraped().filter_map(|(t, s)| Some((t, *s.series.get(series)?)));
        // A dashboard may be one poll behind; a counter of another process is not.
        let slack = self.evidence.settings.poll_s * 2.0;
        let before = own().filter(|(t, _)| *t <= check.t - slack).map(|(_, v)| v).next_back();
        let after = own().find(|(t, _)| *t >= check.t + slack / 2.0).map(|(_, v)| v);
        if before.is_none() && after.is_none() && own().next().is_none() {
            return Some(format!("{at} showed {series}, which the runner never exposed"));
        }
        let low = before.is_some_and(|before| *value < before);
        let high = after.is_some_and(|after| *value > after);
        let text = |v: Option<f64>| v.map_or("?".to_owned(), figure);
        (low || high).then(|| {
            format!(
                "{at} showed {series} at {}, its neighbouring samples {} and {}",
                figure(*value),
                text(before),
                text(after)
            )
        })
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
                said(passed(growth.pct_per_h <= 10.0 || mib < 8.0), text).from(&source)
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
            _ => said(unmeasured(&wrong), format!("{wrong} of {triggers}")).from(&source),
        }
    }

    /// Closed round trips without those of the run's end, by reason; the journal's where there is one.
    fn closes(&self) -> Result<BTreeMap<String, f64>, String> {
        let mut reasons = match (self.accounts, &self.phase.kpi_file) {
            (Some(accounts), _) => accounts.exit_reasons(),
            (None, _) if self.evidence.settings.has_journal => {
                return Err(format!("the journal cannot be added up: {}", why_not(&self.phase.journal)));
            }
            (None, Found::No(why)) => return Err(why.clone()),
            (None, Found::Yes(file)) => match file_value(file, "exit_reasons") {
                Value::Map(map) => map,
                other => return Err(format!("exit_reasons: {other}")),
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
            Err(why) => said(Outcome::inconclusive(why.clone()), why).from(&source),
            Ok(reasons) => {
                let n: f64 = reasons.values().sum();
                said(passed(n >= 10.0), format!("{} round trips", figure(n))).from(&source)
            }
        }
    }

    fn net(&self) -> Finding {
        let source = ["journal/main".to_owned()];
        let net = self.value(8);
        let Some(accounts) = self.accounts else {
            let why = format!("no journal to form episodes from: {}", why_not(&self.phase.journal));
            return said(Outcome::inconclusive(why), net.to_string()).from(&source);
        };
        if net.number().is_none() {
            return said(unmeasured(&net), net.to_string()).from(&source);
        }
        let episodes = accounts.episodes();
        let text = format!("net {net} USD, {} episodes", episodes.len());
        if episodes.len() < 20 {
            let why = format!("{} episodes, 20 needed", episodes.len());
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
            Err(why) => said(Outcome::inconclusive(why.clone()), why).from(&source),
            Ok(reasons) => {
                let n: f64 = reasons.values().sum();
                let text = format!("{} closes: {}", figure(n), Value::Map(reasons.clone()));
                let missing: Vec<&str> = ["take_profit", "stop_loss", "time_limit", "spread_reversal"]
                    .into_iter()
                    .filter(|reason| reasons.get(*reason).is_none_or(|n| *n <= 0.0))
                    .collect();
                let outcome = if n < 10.0 {
                    Outcome::inconclusive(format!("{} closes, 10 needed", figure(n)))
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

fn short(texts: &[String]) -> String {
    let more = if texts.len() > 4 { format!("; and {} more", texts.len() - 4) } else { String::new() };
    texts.iter().take(4).cloned().collect::<Vec<_>>().join("; ") + &more
}

/// Percent of symbol-seconds that each venue's books were Live, between `from` and `to`. A sample stands for the time since
/// the sample before it.
pub(crate) fn live_shares(
    phase: &PhaseEvidence,
    from: f64,
    to: f64,
) -> Result<BTreeMap<String, f64>, String> {
    let mut shares: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut covered = 0.0;
    let mut last = from;
    // The universe as it was largest: a venue that drops its books does not get a smaller denominator.
    let members = phase
        .samples
        .iter()
        .filter_map(|s| s.scrape.get())
        .flat_map(|s| sum_by(s, "venue_books", "venue").into_values())
        .fold(0.0, f64::max);
    for sample in phase.samples.iter().filter(|s| s.t > from && s.t <= to) {
        let dt = sample.t - last;
        last = sample.t;
        let Some(scrape) = sample.scrape.get() else { continue };
        let totals = sum_by(scrape, "venue_books", "venue");
        if totals.is_empty() {
            continue;
        }
        covered += dt;
        for venue in totals.keys() {
            shares.entry(venue.clone()).or_insert((0.0, 0.0));
        }
        for (venue, share) in &mut shares {
            share.0 += sum(scrape, "venue_books", &[("venue", venue), ("state", "live")]).unwrap_or(0.0) * dt;
            share.1 += members * dt;
        }
    }
    if covered <= 0.0 {
        return Err("venue_books was never scraped after the start grace".to_owned());
    }
    if covered < 0.9 * (to - from) {
        return Err(format!("venue_books was seen for {covered:.0} s of {:.0} s", to - from));
    }
    Ok(shares
        .into_iter()
        .map(|(venue, (live, all))| (venue, if all > 0.0 { live / all * 100.0 } else { 0.0 }))
        .collect())
}

/// Missed polls and polls outside the graces. A poll that left no sample at all is missed too.
fn missed_polls(phase: &PhaseEvidence, grace: f64, poll: f64) -> (u64, u64) {
    let end =
        phase.end.as_ref().map_or(f64::INFINITY, |e| e.stop_sent_s.unwrap_or(e.ran_s)).min(phase.planned_s);
    let (mut missed, mut polls) = (0, 0);
    let mut last = grace;
    for sample in phase.samples.iter().filter(|s| s.t > grace && s.t <= end) {
        let skipped = if poll > 0.0 { ((sample.t - last) / poll - 0.75).floor().max(0.0) as u64 } else { 0 };
        last = sample.t;
        polls += 1 + skipped;
        missed += skipped + u64::from(sample.scrape.get().is_none());
    }
    if polls > 0 && end.is_finite() && poll > 0.0 {
        let skipped = ((end - last) / poll - 0.75).floor().max(0.0) as u64;
        polls += skipped;
        missed += skipped;
    }
    (missed, polls)
}
