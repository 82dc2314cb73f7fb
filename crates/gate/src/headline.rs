//! The two headline lines, what caps the decision, and the three reasons that decided it.

use crate::decision::{Decision, Simple};
use crate::evidence::{Abort, Evidence, EvidenceClass, RoundTripProof};
use crate::judge::{Analysis, Headline, HeadlineState, PlausibilityFinding, PlausibilityStatus, Series};
use crate::plausibility::BROKE;
use crate::rules::{NOT_BUILT, RuleName};
use crate::value::{CriterionResult, CrossCheck, KpiResult, Outcome, Value};
use catalogue::{Class, CriterionId, RULES, RuleId};

/// Parts of critical criteria that a profile can waive.
const CRITICAL_PARTS: [&str; 9] = [
    "venue_books",
    "alerts",
    "alert_store",
    "journal",
    "metrics",
    "dashboard",
    "exit_reasons",
    "assay_run_info",
    "process_start_time_seconds",
];

/// Every reason why the decision cannot be a COMPLETE GO.
pub(crate) fn caps(
    evidence: &Evidence,
    kpis: &[KpiResult],
    criteria: &[CriterionResult],
    plausibility: &[PlausibilityFinding],
    warned: &[RuleName],
    blind: &[RuleName],
) -> Vec<String> {
    let settings = &evidence.settings;
    let mut caps = Vec::new();
    caps.extend(warned.iter().map(|rule| match (rule.shipped(), settings.rule(rule)) {
        (Some(id), _) => format!("{rule} fired: {}", id.definition().title),
        (None, Some(spec)) => format!("{rule} fired: {spec}"),
        (None, None) => format!("{rule} fired"),
    }));
    caps.extend(
        RULES
            .iter()
            .filter(|r| r.id != RuleId::A1 && settings.rule(&r.id.into()).is_none())
            .map(|r| format!("{} ({}) is {NOT_BUILT}", r.id, r.title)),
    );
    caps.extend(
        blind.iter().map(|rule| format!("{rule} was blind: its signal had no sample in the whole run")),
    );
    for kpi in kpis {
        match (&kpi.value, &kpi.cross_check) {
            (Value::NotApplicable { declared }, _) => {
                caps.push(format!("{} is not applicable: {declared}", kpi.field))
            }
            (_, CrossCheck::NotAvailable { why }) => {
                caps.push(format!("no cross-check of {}: {why}", kpi.field))
            }
            _ => {}
        }
    }
    for finding in plausibility {
        if finding.status == PlausibilityStatus::Off(BROKE.to_owned()) {
            caps.push(format!("plausibility rule \"{}\": {BROKE}", finding.rule));
        }
    }
    if let EvidenceClass::Declared { why } = &evidence.class {
        caps.push(format!("the evidence is declared, not observed: {why}"));
    }
    if !settings.custom_differences.is_empty() {
        caps.push(format!("custom profile: {}", settings.custom_differences.join(", ")));
    } else if evidence.class == EvidenceClass::Record && !settings.of_record {
        caps.push(format!("profile {} is not of record", settings.profile));
    }
    for part in CRITICAL_PARTS {
        if let Some(reason) = settings.not_applicable.get(part) {
            caps.push(format!("{part} is waived: {reason}"));
        }
    }
    for id in CriterionId::ALL.into_iter().filter(|id| id.class() == Class::Critical) {
        if let Some(reason) = settings.not_applicable.get(id.as_str()) {
            caps.push(format!("a part of {id} is waived: {reason}"));
        }
    }
    for rule in RULES.iter() {
        if let Some(reason) = settings.not_applicable.get(rule.id.as_str()) {
            caps.push(format!("{} is waived: {reason}", rule.id));
        }
    }
    if !settings.has_alerts {
        caps.push("C4 is judged on Assay's own dispatcher".to_owned());
    }
    // An attestation is a remark too, and no part that was left out.
    let c6 = criteria.iter().find(|c| c.id == CriterionId::C6).filter(|_| evidence.main.is_some());
    if let Some(left_out) =
        c6.and_then(|c| c.note.as_deref()?.split("; ").find(|n| n.starts_with("left out")))
    {
        caps.push(format!("panels {left_out}"));
    }
    if let RoundTripProof::None { why } = &evidence.round_trip_proof {
        caps.push(format!("no round trip was proven before the main run: {why}"));
    }
    caps
}

fn outcome(criteria: &[CriterionResult], id: CriterionId) -> Simple {
    criteria.iter().find(|c| c.id == id).map_or(Simple::Inconclusive, |c| c.outcome.simple())
}

fn named(criteria: &[CriterionResult], ids: &[CriterionId], wanted: Simple) -> Vec<String> {
    criteria
        .iter()
        .filter(|c| ids.contains(&c.id) && c.outcome.simple() == wanted)
        .map(|c| format!("{} ({})", c.id, c.value))
        .collect()
}

fn of_line(line: catalogue::Headline) -> Vec<CriterionId> {
    CriterionId::ALL.into_iter().filter(|id| id.definition().line == line).collect()
}

/// SYSTEM: did the software behave?
pub(crate) fn system_line(
    criteria: &[CriterionResult],
    abort: Option<&Abort>,
    interrupted: Option<&str>,
    smoke_failed: Option<&[String]>,
) -> Headline {
    let ids = of_line(catalogue::Headline::System);
    let (failed, open) = (named(criteria, &ids, Simple::Fail), named(criteria, &ids, Simple::Inconclusive));
    let (state, sentence) = if let Some(why) = smoke_failed {
        (HeadlineState::Failed, format!("SYSTEM failed: the smoke failed: {}", why.join("; ")))
    } else if let Some(abort) = abort {
        (HeadlineState::Failed, format!("SYSTEM failed: aborted by {}: {}", abort.cause, abort.text))
    } else if let Some(why) = interrupted {
        (HeadlineState::Failed, format!("SYSTEM failed: interrupted: {why}"))
    } else if !failed.is_empty() {
        (HeadlineState::Failed, format!("SYSTEM failed: {}", failed.join("; ")))
    } else if !open.is_empty() {
        (HeadlineState::NotProven, format!("SYSTEM not proven: {}", open.join("; ")))
    } else {
        (HeadlineState::Ok, "SYSTEM ok: C1 to C6, H1 to H5 and M4 pass".to_owned())
    };
    Headline { state, sentence }
}

/// STRATEGY: did the market pay?
pub(crate) fn strategy_line(criteria: &[CriterionResult], series: &Series) -> Headline {
    let ids = of_line(catalogue::Headline::Strategy);
    let paid = [CriterionId::M1, CriterionId::M2];
    let lost = named(criteria, &paid, Simple::Fail);
    let open: Vec<String> =
        [named(criteria, &ids, Simple::Fail), named(criteria, &ids, Simple::Inconclusive)].concat();
    let (state, sentence) = if !lost.is_empty() {
        (HeadlineState::Failed, format!("STRATEGY failed: {}", lost.join("; ")))
    } else if ids.iter().all(|id| outcome(criteria, *id) == Simple::Pass) {
        (HeadlineState::Ok, "STRATEGY ok: H6 and M1 to M3 pass".to_owned())
    } else {
        let funnel = ["evaluated", "gross_positive", "net_positive", "above_threshold", "filled"]
            .iter()
            .filter_map(|stage| series.funnel.get(*stage).map(|n| format!("{stage} {n}")))
            .collect::<Vec<_>>()
            .join(", ");
        let tail = if funnel.is_empty() { String::new() } else { format!(" [funnel: {funnel}]") };
        (HeadlineState::NotProven, format!("STRATEGY not proven: {}{tail}", open.join("; ")))
    };
    Headline { state, sentence }
}

/// The plausibility rules that had nothing to look at, in a sentence.
fn unchecked(plausibility: &[PlausibilityFinding]) -> Option<String> {
    let mut off = plausibility.iter().filter_map(|finding| match &finding.status {
        PlausibilityStatus::Off(why) => Some((&finding.rule, why)),
        _ => None,
    });
    let (rule, why) = off.next()?;
    let more = off.count();
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    Some(format!("plausibility not checked: {rule} [{why}]{more}"))
}

/// The three reasons that decided it, most weighty first.
pub(crate) fn reasons(analysis: &Analysis) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(why) = &analysis.smoke_failed {
        reasons.push(format!("the smoke failed: {}", why.join("; ")));
    } else if let Some(abort) = &analysis.aborted {
        reasons.push(format!("aborted by {} at {:.0} s: {}", abort.cause, abort.at_s, abort.text));
    }
    if let Some(why) = &analysis.interrupted {
        reasons.push(format!("interrupted: {why}"));
    }
    let mut weighted: Vec<&CriterionResult> =
        analysis.criteria.iter().filter(|c| c.outcome != Outcome::Pass).collect();
    weighted.sort_by_key(|c| (c.id.class(), c.outcome.simple() != Simple::Fail, c.id));
    reasons.extend(weighted.iter().map(|c| match &c.outcome {
        Outcome::Inconclusive { why } => format!("{} not proven: {why}", c.id),
        _ => format!("{} failed: {} (threshold {})", c.id, c.value, c.threshold),
    }));
    if analysis.decision != Decision::NoGo {
        let passed = analysis.criteria.iter().filter(|c| c.outcome == Outcome::Pass).count();
        reasons.insert(0, format!("{passed} of 16 criteria pass, all 6 critical ones among them"));
        if let Some(cap) = analysis.capped.first() {
            let more = analysis.capped.len() - 1;
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            reasons.insert(1, format!("capped: {cap}{more}"));
        }
        // Nothing that guards the truth is silently off when a GO is said.
        if let Some(off) = unchecked(&analysis.plausibility) {
            reasons.insert(reasons.len().min(2), off);
        }
    }
    reasons.truncate(3);
    reasons
}
