//! The judgement of a whole run: everything that the report shows and that `rejudge` compares.

use crate::accounting::ShadowTable;
use crate::attested;
use crate::criteria;
use crate::decision::{Decision, Simple, decide};
use crate::diagnosis::diagnose;
use crate::evidence::{
    Abort, Evidence, EvidenceClass, LogCounters, Origin, PhaseEvidence, RuleEvent, RuleState,
};
use crate::headline::{caps, reasons, strategy_line, system_line};
use crate::kpis;
use crate::plausibility;
use crate::rules::{RuleEngine, RuleName};
use crate::series;
use crate::spreads::{Edges, SymbolSpread};
use crate::trust::{SymbolTrust, UniverseStory};
use crate::value::{CriterionResult, CrossCheck, KpiResult, Outcome, Value};
use catalogue::{CriterionId, KPIS, exit_codes};
use market::Money;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Version of the format of [`Analysis`].
pub const FORMAT: u32 = 1;

/// The state of a headline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HeadlineState {
    /// Shown to be right.
    Ok,
    /// Shown to be wrong.
    Failed,
    /// Neither.
    NotProven,
}

/// One of the two lines of the headline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Headline {
    /// State.
    pub state: HeadlineState,
    /// The whole line, `SYSTEM ok: ...`.
    pub sentence: String,
}

/// The status of a plausibility rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlausibilityStatus {
    /// What it needs is not there: why.
    Off(String),
    /// Looked at, nothing found.
    Clean,
    /// Something that cannot be true was found.
    Violated,
}

/// What a plausibility rule found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlausibilityFinding {
    /// The rule, in words.
    pub rule: String,
    /// Its status.
    pub status: PlausibilityStatus,
    /// The figures.
    pub figures: String,
    /// The KPI fields it touches, separated by `, `.
    pub kpi: Option<String>,
}

/// An answer to one of the operator's questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    /// The question.
    pub question: String,
    /// The answer, one sentence.
    pub finding: String,
    /// The lines behind it.
    pub evidence: Vec<String>,
    /// The command to run after the repair.
    pub command: String,
}

/// Loop latency over a part of the run, from histogram increases inside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LatencyWindow {
    /// From, seconds after the phase's start.
    pub from_s: f64,
    /// To.
    pub to_s: f64,
    /// Observations.
    pub count: f64,
    /// Median, ms; `None` without observations.
    pub p50_ms: Option<f64>,
    /// 95th percentile, ms.
    pub p95_ms: Option<f64>,
    /// 99th percentile, ms.
    pub p99_ms: Option<f64>,
}

/// The result in its parts, USD, as the accounting adds them up from the journal (docs/money.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MoneyTable {
    /// Holdings at marks less deposits at the same marks.
    pub total: Money,
    /// Of it, what the rate's moves made of the KRW that fills brought or took.
    pub fx_effect: Money,
    /// The rest of `total`: what trading made at the rates of the fills, transfers' fees taken off.
    pub trading: Money,
    /// Withdrawal fees of transfers between the venues, inside `trading`.
    pub transfer_cost: Money,
    /// Closed round trips and unwinds before fees.
    pub gross: Money,
    /// Their fees.
    pub fees: Money,
    /// `gross - fees`.
    pub net: Money,
    /// Decided against realised gross of round trips: what latency and depth cost, inside `gross`.
    pub slippage: Money,
}

/// Curves and tables of the report.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Where the money came from; `None` without a journal that has an equity point.
    #[serde(default)]
    pub money: Option<MoneyTable>,
    /// Latency per 10 minutes, or per sixth of a shorter run.
    pub latency: Vec<LatencyWindow>,
    /// `(seconds, MB)` of PSS.
    pub memory_mb: Vec<(f64, f64)>,
    /// `(seconds, percent of cpu_cores)`.
    pub cpu_pct: Vec<(f64, f64)>,
    /// Memory growth, percent per hour.
    pub memory_growth_pct_per_h: Option<f64>,
    /// Plain `(end - start) / start` of memory, percent.
    pub memory_plain_pct: Option<f64>,
    /// Funnel by stage.
    pub funnel: BTreeMap<String, u64>,
    /// Where gap, level and edge of the most evaluated symbols stood. Empty without a journal that says so.
    #[serde(default)]
    pub spreads: Vec<SymbolSpread>,
    /// Decided against realised edge; `None` without a journal that says so.
    #[serde(default)]
    pub edges: Option<Edges>,
    /// For what share of the run the books of each symbol were trusted, the worst first. Empty without a journal that says so.
    #[serde(default)]
    pub trust: Vec<SymbolTrust>,
    /// How the universe changed; `None` without a journal that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub universe: Option<UniverseStory>,
    /// Guard triggers by type.
    pub guards: BTreeMap<String, f64>,
    /// Closed round trips by exit reason.
    pub exit_reasons: BTreeMap<String, f64>,
    /// What became of blocked intents, beside the trades that were taken; `None` when the journal has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadows: Option<ShadowTable>,
    /// Alerts by rule.
    pub alerts_by_rule: BTreeMap<String, u64>,
    /// Log counters at the end; `None` when they were lost with the end record.
    pub log: Option<LogCounters>,
    /// The commonest error lines.
    pub top_errors: Vec<(String, u64)>,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// Format version.
    pub format: u32,
    /// Run id.
    pub run_id: String,
    /// Evidence class.
    pub class: EvidenceClass,
    /// The 32 KPIs in order.
    pub kpis: Vec<KpiResult>,
    /// The 16 criteria in order.
    pub criteria: Vec<CriterionResult>,
    /// Every plausibility rule.
    pub plausibility: Vec<PlausibilityFinding>,
    /// The decision.
    pub decision: Decision,
    /// Every reason that caps it.
    pub capped: Vec<String>,
    /// The abort, when a rule or an emergency stop ended a phase.
    pub aborted: Option<Abort>,
    /// Why the run was interrupted.
    pub interrupted: Option<String>,
    /// Why the smoke failed, when it did.
    pub smoke_failed: Option<Vec<String>>,
    /// SYSTEM.
    pub system: Headline,
    /// STRATEGY.
    pub strategy: Headline,
    /// The three reasons that decided it.
    pub reasons: Vec<String>,
    /// The operator's questions, answered.
    pub diagnosis: Vec<Diagnosis>,
    /// `16 of 16 judged`.
    pub judged: String,
    /// Curves and tables.
    pub series: Series,
}

/// Judges a run. Never panics: a checker that breaks down is inconclusive, a KPI that breaks down is absent.
pub fn judge(evidence: &Evidence) -> Analysis {
    let phase = evidence.main.as_ref().or(evidence.smoke.as_ref());
    let ledger = phase.map(kpis::accounts_of);
    let accounts = ledger.as_ref().and_then(|found| found.as_ref().ok());
    let mut kpis = match phase {
        Some(phase) => guarded(|| kpis::collect(evidence, phase, ledger.as_ref()))
            .unwrap_or_else(|| no_kpis("the collector broke down")),
        None => no_kpis("no runner was started"),
    };
    let plausibility = match phase {
        Some(phase) => plausibility::check(evidence, phase, accounts, &kpis),
        None => Vec::new(),
    };
    plausibility::convict(&mut kpis, &plausibility);
    let replays = [evidence.main.as_ref(), evidence.smoke.as_ref()]
        // Artefacts from elsewhere come at instants of their own: the rules cannot be run over them.
        .map(|phase| phase.filter(|_| evidence.origin == Origin::Supervised))
        .map(|phase| phase.and_then(|phase| guarded(|| replay(evidence, phase))));
    let aborted = abort_of(evidence, &replays);
    let interrupted = interruption_of(evidence);
    let mut criteria = criteria::all(evidence, &kpis, accounts, &plausibility);
    attested::settle(evidence, &mut criteria);
    let capped =
        caps(evidence, &kpis, &criteria, &plausibility, &warned(evidence, &replays[0]), &blind(&replays[0]));
    let smoke_failed = evidence.smoke_failed.clone();
    let outcomes = simple(&criteria);
    let stopped = interrupted.is_some() || smoke_failed.is_some();
    let decision = decide(&outcomes, !capped.is_empty(), aborted.is_some(), stopped);
    let series = phase.and_then(|p| guarded(|| series::of(evidence, p, accounts))).unwrap_or_default();
    let waived = criteria.iter().filter(|c| c.outcome == Outcome::inconclusive(criteria::WAIVED)).count();
    let judged = attested::judged(16 - waived, &criteria);
    let mut analysis = Analysis {
        format: FORMAT,
        run_id: evidence.run_id.clone(),
        class: evidence.class.clone(),
        system: system_line(&criteria, aborted.as_ref(), interrupted.as_deref(), smoke_failed.as_deref()),
        strategy: strategy_line(&criteria, &series),
        kpis,
        criteria,
        plausibility,
        decision,
        capped,
        aborted,
        interrupted,
        smoke_failed,
        reasons: Vec::new(),
        diagnosis: Vec::new(),
        judged,
        series,
    };
    analysis.reasons = reasons(&analysis);
    analysis.diagnosis = guarded(|| diagnose(evidence, &analysis)).unwrap_or_default();
    analysis
}

/// Runs a part of the judgement; `None` when it panicked.
pub(crate) fn guarded<T>(part: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(part)).ok()
}

fn no_kpis(why: &str) -> Vec<KpiResult> {
    KPIS.iter()
        .map(|kpi| KpiResult {
            number: kpi.number,
            field: kpi.field.to_owned(),
            unit: kpi.unit,
            value: Value::absent(why),
            provenance: kpi.source.as_str().to_owned(),
            artefact: String::new(),
            cross_check: CrossCheck::NotAvailable { why: why.to_owned() },
        })
        .collect()
}

/// A criterion that is missing from the list counts as inconclusive.
fn simple(criteria: &[CriterionResult]) -> [Simple; 16] {
    CriterionId::ALL
        .map(|id| criteria.iter().find(|c| c.id == id).map_or(Simple::Inconclusive, |c| c.outcome.simple()))
}

/// Runs the rules again over the recorded samples.
fn replay(evidence: &Evidence, phase: &PhaseEvidence) -> RuleEngine {
    let mut engine = RuleEngine::new(&evidence.settings, phase.planned_s);
    let end = phase.end.as_ref().map_or(f64::INFINITY, |e| e.stop_sent_s.unwrap_or(e.ran_s).min(e.ran_s));
    for sample in phase.samples.iter().filter(|s| s.t < end) {
        engine.on_sample(sample);
    }
    engine
}

/// `replays` of main and smoke.
fn abort_of(evidence: &Evidence, replays: &[Option<RuleEngine>; 2]) -> Option<Abort> {
    for (phase, replay) in [evidence.main.as_ref(), evidence.smoke.as_ref()].into_iter().zip(replays) {
        let Some(phase) = phase else { continue };
        if let Some(abort) = phase.end.as_ref().and_then(|end| end.abort.clone()) {
            return Some(abort);
        }
        // What the rules said stands, also when the end record does not repeat it.
        let fired = |e: &&RuleEvent| e.state == RuleState::Fired && evidence.settings.aborts(&e.rule);
        if let Some(event) = phase.rule_events.iter().find(fired) {
            return Some(Abort {
                cause: event.rule.as_str().to_owned(),
                at_s: event.t,
                text: event.text.clone(),
            });
        }
        if let Some(abort) = replay.as_ref().and_then(|engine| engine.first_abort().cloned()) {
            return Some(abort);
        }
    }
    None
}

/// Warning rules that fired in the main run, as recorded or when they are run again.
fn warned(evidence: &Evidence, replay: &Option<RuleEngine>) -> Vec<RuleName> {
    let Some(phase) = evidence.main.as_ref() else { return Vec::new() };
    let recorded = phase
        .rule_events
        .iter()
        .filter(|e| e.state == RuleState::Fired && !evidence.settings.aborts(&e.rule))
        .map(|e| e.rule.clone());
    let again = replay.as_ref().map(|engine| engine.warned().to_vec()).unwrap_or_default();
    let mut rules: Vec<RuleName> = recorded.chain(again).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// Rules that watched the main run without ever having a sample.
fn blind(replay: &Option<RuleEngine>) -> Vec<RuleName> {
    replay.as_ref().map(RuleEngine::blind).unwrap_or_default()
}

fn interruption_of(evidence: &Evidence) -> Option<String> {
    // Nobody of ours started it, so nobody can say that it was cut short: C1 says what is not proven.
    if evidence.origin == Origin::Elsewhere {
        return evidence.interrupted.clone();
    }
    evidence.interrupted.clone().or_else(|| {
        let Some(main) = evidence.main.as_ref() else {
            let killed = evidence.smoke.as_ref().is_some_and(|smoke| smoke.end.is_none());
            return killed.then(|| "the smoke has a start record and no end record".to_owned());
        };
        match &main.end {
            None => Some("the main run has a start record and no end record".to_owned()),
            Some(end) => end.interrupted.clone(),
        }
    })
}

impl Analysis {
    /// The decision as it is said: `REHEARSAL: would be CONDITIONAL GO`, `NO-GO (not proven)`.
    pub fn headline(&self) -> String {
        let go = self.decision != Decision::NoGo;
        let prefix = match (&self.class, go) {
            (EvidenceClass::Record, _) => "",
            (EvidenceClass::Rehearsal { .. }, true) => "REHEARSAL: would be ",
            (EvidenceClass::Rehearsal { .. }, false) => "REHEARSAL: ",
            (EvidenceClass::Declared { .. }, _) => "DECLARED EVIDENCE: ",
        };
        let outcomes = simple(&self.criteria);
        let critical = &outcomes[..6];
        let suffix = if go {
            String::new()
        } else if let Some(abort) = &self.aborted {
            let smoke = if self.smoke_failed.is_some() { "smoke failed, " } else { "" };
            format!(" ({smoke}aborted: {})", abort.cause)
        } else if self.interrupted.is_some() {
            " (interrupted)".to_owned()
        } else if self.smoke_failed.is_some() {
            " (smoke failed)".to_owned()
        } else if !critical.contains(&Simple::Fail) && critical.contains(&Simple::Inconclusive) {
            " (not proven)".to_owned()
        } else {
            String::new()
        };
        let attested = match self.criteria.iter().filter(|c| c.attested.is_some()).count() {
            0 => String::new(),
            _ => format!(" [attested: {}]", attested::ids(&self.criteria).join(", ")),
        };
        format!("{prefix}{}{suffix}{attested}", self.decision)
    }

    /// True when the recorded decision follows from the recorded outcomes and flags.
    pub fn is_consistent(&self) -> bool {
        let stopped = self.interrupted.is_some() || self.smoke_failed.is_some();
        let decided =
            decide(&simple(&self.criteria), !self.capped.is_empty(), self.aborted.is_some(), stopped);
        self.criteria.len() == 16 && self.kpis.len() == 32 && decided == self.decision
    }

    /// The exit code of `validate`.
    pub fn exit_code(&self) -> u8 {
        if self.interrupted.is_some() {
            return exit_codes::INTERRUPTED;
        }
        if self.smoke_failed.is_some() {
            return exit_codes::SMOKE;
        }
        match (self.decision, &self.class) {
            (Decision::NoGo, _) if self.aborted.is_some() => exit_codes::ABORTED,
            (Decision::NoGo, _) => exit_codes::NO_GO,
            (_, EvidenceClass::Rehearsal { .. }) => exit_codes::REHEARSAL_GO,
            (Decision::CompleteGo, _) => exit_codes::COMPLETE_GO,
            (Decision::ConditionalGo, _) => exit_codes::CONDITIONAL_GO,
            (Decision::ConditionalGoWithConcerns, _) => exit_codes::CONCERNS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_part_that_panics_is_no_result() {
        assert_eq!(guarded(|| -> u8 { panic!("a checker breaks down") }), None);
        assert_eq!(guarded(|| 1), Some(1));
    }
}
