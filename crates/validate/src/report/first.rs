//! The first screen: decision, evidence class, the two headline lines, the three reasons, what to do next.

use super::Report;
use super::model::{First, HeadlineLine, Tone};
use super::said::{of_profile, said};
use super::words::{Lang, Words, fill};
use crate::profile::{self, Profile};
use catalogue::{Class, CriterionId, RuleId};
use gate::evidence::EvidenceClass;
use gate::judge::{Headline, HeadlineState};
use gate::{Analysis, Decision, Outcome};

pub(super) fn screen(report: &Report<'_>, w: &'static Words) -> First {
    let analysis = report.analysis;
    let (tone, gloss) = match analysis.decision {
        Decision::CompleteGo => (Tone::Good, w.gloss_complete),
        Decision::ConditionalGo => (Tone::Fair, w.gloss_conditional),
        Decision::ConditionalGoWithConcerns => (Tone::Warn, w.gloss_concerns),
        Decision::NoGo => (Tone::Bad, w.gloss_no_go),
    };
    let (kicker, class) = match &analysis.class {
        EvidenceClass::Record => (None, w.class_record),
        EvidenceClass::Rehearsal { why } => (Some(format!("REHEARSAL: {}", said(why, w))), w.class_rehearsal),
        EvidenceClass::Declared { why } => {
            (Some(format!("DECLARED EVIDENCE: {}", said(why, w))), w.class_declared)
        }
    };
    let metadata = report.metadata;
    First {
        kicker,
        headline: analysis.headline(),
        gloss,
        tone,
        class,
        lines: [
            line(w.system, w.system_q, &analysis.system, w),
            line(w.strategy, w.strategy_q, &analysis.strategy, w),
        ],
        strip: strip(analysis, w),
        reasons: analysis.reasons.iter().map(|reason| brief(&said(reason, w))).collect(),
        next: next_steps(report, w),
        notes: notes(report, w),
        facts: vec![
            (w.run, analysis.run_id.clone()),
            (w.profile, metadata.profile.name.clone()),
            (w.started, moment(&metadata.started_at)),
            (w.judged, said(&analysis.judged, w)),
        ],
    }
}

fn line(name: &'static str, question: &'static str, headline: &Headline, w: &'static Words) -> HeadlineLine {
    let (tone, state) = match headline.state {
        HeadlineState::Ok => (Tone::Good, w.state_ok),
        HeadlineState::Failed => (Tone::Bad, w.state_failed),
        HeadlineState::NotProven => (Tone::Warn, w.state_not_proven),
    };
    HeadlineLine { name, question, tone, state, sentence: brief(&said(without_state(&headline.sentence), w)) }
}

fn strip(analysis: &Analysis, w: &'static Words) -> Vec<(&'static str, Tone, &'static str)> {
    // The Korean words carry the English one in brackets; a strip has no room for both.
    let short = |word: &'static str| word.split(" (").next().unwrap_or(word);
    CriterionId::ALL
        .into_iter()
        .map(|id| match analysis.criteria.iter().find(|c| c.id == id).map(|c| &c.outcome) {
            Some(Outcome::Pass) => (id.as_str(), Tone::Good, short(w.pass)),
            Some(Outcome::Fail) => (id.as_str(), Tone::Bad, short(w.fail)),
            Some(Outcome::Inconclusive { .. }) | None => (id.as_str(), Tone::Warn, short(w.inconclusive)),
        })
        .collect()
}

/// Characters of a sentence on a first screen; whole sentences stand in the sections.
const BRIEF: usize = 300;

/// The sentence, cut between words where it is too long for a first screen; the cut is shown.
pub(crate) fn brief(sentence: &str) -> String {
    let Some((limit, _)) = sentence.char_indices().nth(BRIEF) else { return sentence.to_owned() };
    let head = &sentence[..limit];
    let cut = head.rfind("; ").filter(|at| *at > limit / 2).or_else(|| head.rfind(' ')).unwrap_or(limit);
    format!("{} [...]", &sentence[..cut])
}

/// The sentence of a headline without its opening `SYSTEM ok: `, which stands beside it as a mark.
pub(crate) fn without_state(sentence: &str) -> &str {
    let tail = ["SYSTEM ", "STRATEGY "].iter().find_map(|line| sentence.strip_prefix(line));
    tail.and_then(|tail| {
        ["ok: ", "failed: ", "not proven: "].iter().find_map(|state| tail.strip_prefix(state))
    })
    .unwrap_or(sentence)
}

fn notes(report: &Report<'_>, w: &'static Words) -> Vec<String> {
    let mut notes = Vec::new();
    if !w.quoted_note.is_empty() {
        notes.push(w.quoted_note.to_owned());
    }
    if report.phase().is_none() {
        notes.push(w.nothing_ran.to_owned());
    } else if report.evidence.main.is_none() {
        notes.push(w.smoke_only_judged.to_owned());
    }
    if !report.evidence.settings.custom_differences.is_empty() {
        notes.push(format!(
            "{}: {}",
            w.set_differences,
            report
                .evidence
                .settings
                .custom_differences
                .iter()
                .map(|d| said(d, w))
                .collect::<Vec<_>>()
                .join("; ")
        ));
    }
    notes
}

/// `2026-11-23T03:17:31.689Z` as `2026-11-23 03:17:31 UTC`; anything else as it is.
fn moment(iso: &str) -> String {
    match iso.split_once('T').zip(iso.strip_suffix('Z')) {
        Some(((day, _), head)) if head.len() >= day.len() + 9 && iso.is_ascii() => {
            format!("{day} {} UTC", &head[day.len() + 1..day.len() + 9])
        }
        _ => iso.to_owned(),
    }
}

/// True when the engine looked at live data and the market never paid more than the costs.
pub(crate) fn no_opportunity(analysis: &gate::Analysis) -> bool {
    let at = |stage: &str| analysis.series.funnel.get(stage).copied().unwrap_or(0);
    at("evaluated") > 0 && at("above_threshold") == 0
}

/// The command that does the same once more.
pub(crate) fn again(profile: &Profile) -> String {
    let Some(exchange) = profile.exchange.as_ref().filter(|_| profile.name == "rehearsal") else {
        return format!("assay validate --profile {}", profile.name);
    };
    let mut command = "assay rehearse".to_owned();
    if let Some(dir) = &exchange.prices {
        command += &format!(" --prices '{}'", dir.display());
    }
    if let Some(from) = &exchange.from {
        command += &format!(" --from '{from}'");
    }
    for gap in &exchange.gaps {
        command += &format!(" --gap {gap}");
    }
    let usual = profile::load("rehearsal").ok().and_then(|loaded| loaded.profile.exchange);
    if let Some(usual) = usual {
        if usual.market != exchange.market {
            command += &format!(" --market {}", exchange.market);
        }
        if usual.seed != exchange.seed {
            command += &format!(" --seed {}", exchange.seed);
        }
    }
    command
}

/// On a GO the profile's next stage; otherwise what to repair, the worst first.
fn next_steps(report: &Report<'_>, w: &'static Words) -> Vec<String> {
    let analysis = report.analysis;
    let profile = &report.metadata.profile;
    if analysis.decision != Decision::NoGo {
        let stage = if matches!(analysis.class, EvidenceClass::Rehearsal { .. }) {
            w.next_rehearsal
        } else {
            w.next_go
        };
        let mut steps = vec![fill(stage, &[&of_profile(&profile.next_stage, w)])];
        if !analysis.capped.is_empty() {
            steps.push(w.next_capped.to_owned());
        }
        if no_opportunity(analysis) {
            steps.push(w.next_no_opportunity.to_owned());
        }
        steps.extend(repairs(report, w, &[Class::High]));
        return steps;
    }
    let mut steps = Vec::new();
    if let Some(abort) = &analysis.aborted {
        let title = abort.cause.parse::<RuleId>().map(|id| {
            let rule = id.definition();
            let title = if w.is_korean() { rule.title_ko } else { rule.title };
            format!("{id} ({title})")
        });
        steps.push(fill(w.next_aborted, &[title.as_deref().unwrap_or(&abort.cause), &said(&abort.text, w)]));
    }
    if analysis.interrupted.is_some() {
        steps.push(w.next_interrupted.to_owned());
    }
    let critical = repairs(report, w, &[Class::Critical]);
    if critical.is_empty() && steps.is_empty() {
        steps.extend(repairs(report, w, &[Class::High]));
    } else {
        steps.extend(critical);
    }
    if !analysis.diagnosis.is_empty() {
        steps.push(w.next_diagnosis.to_owned());
    }
    steps.push(fill(w.next_again, &[&again(profile)]));
    steps
}

/// One sentence for each criterion of these classes that did not pass.
fn repairs(report: &Report<'_>, w: &'static Words, classes: &[Class]) -> Vec<String> {
    // A market that offered nothing is no defect: nobody shall be told to repair it.
    let calm = no_opportunity(report.analysis);
    let open = |id: &CriterionId| {
        classes.contains(&id.class()) && !(calm && id.definition().line == catalogue::Headline::Strategy)
    };
    report
        .analysis
        .criteria
        .iter()
        .filter(|c| open(&c.id))
        .filter_map(|c| {
            let definition = c.id.definition();
            let title = if w.is_korean() { definition.title_ko } else { definition.title };
            match &c.outcome {
                Outcome::Pass => None,
                Outcome::Fail => Some(fill(
                    w.next_criterion,
                    &[c.id.as_str(), title, &brief(&said(&c.value, w)), &said(c.threshold.as_str(), w)],
                )),
                Outcome::Inconclusive { why } => {
                    Some(fill(w.next_prove, &[c.id.as_str(), title, &brief(&said(why, w))]))
                }
            }
        })
        .collect()
}

impl Words {
    /// True for the Korean words.
    pub(super) fn is_korean(&self) -> bool {
        std::ptr::eq(self, Lang::Ko.words())
    }
}
