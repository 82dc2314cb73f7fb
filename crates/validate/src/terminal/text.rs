//! What the screen says, as pure text. Colour is an argument; nothing here knows a terminal.

use crate::preflight::Step;
use crate::report::{brief, no_opportunity, short_seconds, without_state};
use crate::watch::status::PhaseStatus;
use catalogue::{CRITERIA, Class, CriterionId, exit_codes};
use gate::evidence::{EvidenceClass, RuleState};
use gate::judge::{Headline, HeadlineState};
use gate::{Analysis, Decision, Outcome};
use std::fmt::Write as _;
use std::path::Path;

/// Columns of everything that is said: a terminal has 80, and so do a mail and a ticket.
const WIDTH: usize = 79;

/// How a piece of text is set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Bold,
    Good,
    Fair,
    Warn,
    Bad,
    Soft,
}

/// Paints, or leaves text as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn ink(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bold => "1",
            Ink::Good => "1;32",
            Ink::Fair => "1;36",
            Ink::Warn => "1;33",
            Ink::Bad => "1;31",
            Ink::Soft => "2",
        };
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Text of others without control characters: a log line must not steer the terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `0:09`, `47:57`, `1:00:00`.
pub(super) fn clock(seconds: f64) -> String {
    let s = if seconds.is_finite() { seconds.max(0.0) as u64 } else { 0 };
    if s >= 3_600 {
        format!("{}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

/// A bar of `width` cells.
pub(super) fn bar(share: f64, width: usize) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let full = (share * width as f64).floor() as usize;
    format!("[{}{}]", "#".repeat(full), "-".repeat(width - full))
}

/// `main  [####----]  12:03 of 60:00  47:57 left`.
pub(super) fn phase_line(phase: &str, elapsed_s: f64, planned_s: f64) -> String {
    if planned_s <= 0.0 {
        return format!("{phase}  {}  until it ends", clock(elapsed_s));
    }
    let left = planned_s - elapsed_s;
    let tail =
        if left > 0.0 { format!("{} left", clock(left)) } else { format!("ending, {} over", clock(-left)) };
    format!(
        "{phase}  {}  {} of {}  {tail}",
        bar(elapsed_s / planned_s, 28),
        clock(elapsed_s),
        clock(planned_s)
    )
}

fn shown(value: Option<f64>, digits: usize, unit: &str) -> String {
    match value {
        // No negative zero.
        Some(v) => {
            format!("{:.digits$}{unit}", if v.abs() < 0.5 * 10f64.powi(-(digits as i32)) { 0.0 } else { v })
        }
        None => "-".to_owned(),
    }
}

/// The KPIs so far, in two lines.
pub(super) fn figure_lines(status: &PhaseStatus) -> [String; 2] {
    let books = status.books.map_or_else(|| "-".to_owned(), |(live, all)| format!("{live:.0} of {all:.0}"));
    let (polls, missed) = status.polls;
    [
        format!(
            "round trips {}   PnL {}   win rate {}   open {}",
            shown(status.round_trips, 0, ""),
            shown(status.pnl_usd, 2, " USD"),
            shown(status.win_rate_pct, 0, " %"),
            shown(status.open_positions, 0, ""),
        ),
        format!(
            "books live {books}   CPU {}   alerts {}   polls {polls}, missed {missed}",
            shown(status.cpu_pct, 0, " %"),
            shown(status.alerts_sent, 0, ""),
        ),
    ]
}

/// What stays on the screen of a phase whose runner has ended.
pub(super) fn phase_end(status: &PhaseStatus) -> String {
    let (polls, missed) = status.polls;
    format!(
        "  {} over: {} round trips, PnL {}, win rate {}; {polls} polls, {missed} missed",
        status.phase,
        shown(status.round_trips, 0, ""),
        shown(status.pnl_usd, 2, " USD"),
        shown(status.win_rate_pct, 0, " %"),
    )
}

/// The rules that hold, have fired or have no data, with how long.
pub(super) fn rule_line(status: &PhaseStatus, paint: Paint) -> String {
    let held: Vec<String> = status
        .rules
        .iter()
        .filter_map(|rule| {
            let (word, ink) = match rule.state {
                RuleState::Pending => ("pending", Ink::Warn),
                RuleState::Fired => ("FIRED", Ink::Bad),
                RuleState::Frozen => ("no data", Ink::Soft),
                RuleState::Clear | RuleState::Off => return None,
            };
            let text = short_seconds(&harmless(&rule.text));
            // The rule's own text opens with its state and how long it has held.
            let said = if text.starts_with("pending") || text.starts_with("frozen") {
                format!("{} {text}", rule.rule)
            } else {
                format!(
                    "{} {word} for {} s: {text}",
                    rule.rule,
                    (status.elapsed_s - rule.since_s).max(0.0).round()
                )
            };
            Some(paint.ink(ink, &said))
        })
        .collect();
    if held.is_empty() {
        paint.ink(Ink::Soft, "rules: all clear")
    } else {
        format!("rules: {}", held.join("   "))
    }
}

/// The one line that stands for a preflight without a problem; `None` when there is one.
pub(super) fn preflight_line(steps: &[Step]) -> Option<String> {
    let failed = steps.iter().filter(|step| step.is_fatal()).count();
    (failed == 0).then(|| format!("{} checks, all required ones ok", steps.len()))
}

const fn decision_ink(decision: Decision) -> Ink {
    match decision {
        Decision::CompleteGo => Ink::Good,
        Decision::ConditionalGo => Ink::Fair,
        Decision::ConditionalGoWithConcerns => Ink::Warn,
        Decision::NoGo => Ink::Bad,
    }
}

const fn outcome_word(outcome: &Outcome) -> (&'static str, Ink) {
    match outcome {
        Outcome::Pass => ("PASS", Ink::Good),
        Outcome::Fail => ("FAIL", Ink::Bad),
        Outcome::Inconclusive { .. } => ("INCONCLUSIVE", Ink::Warn),
    }
}

/// What an exit code means.
pub(super) const fn exit_meaning(code: u8) -> &'static str {
    match code {
        exit_codes::COMPLETE_GO => "success",
        exit_codes::CONDITIONAL_GO => "conditional go",
        exit_codes::CONCERNS => "conditional go with concerns",
        exit_codes::REHEARSAL_GO => "a rehearsal that would be a go",
        exit_codes::NO_GO => "no-go",
        exit_codes::ABORTED => "aborted by a rule: no-go",
        exit_codes::PREFLIGHT => "preflight failed, no runner was started",
        exit_codes::SMOKE => "the smoke failed, no main run took place",
        exit_codes::INTERRUPTED | exit_codes::TERMINATED => "interrupted: no-go",
        exit_codes::USAGE => "usage or configuration",
        exit_codes::NOT_FOUND => "no such run or file",
        exit_codes::DISAGREES => "the recorded judgement does not hold",
        _ => "internal error",
    }
}

/// Breaks text at spaces; further lines stand under the first.
pub(super) fn wrap(first: &str, indent: usize, text: &str) -> String {
    let mut out = String::from(first);
    let mut column = indent;
    let mut fresh = true;
    for word in harmless(text).split_whitespace() {
        let width = word.chars().count();
        if !fresh && column + 1 + width > WIDTH {
            let _ = write!(out, "\n{}", " ".repeat(indent));
            column = indent;
            fresh = true;
        }
        if !fresh {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
        fresh = false;
    }
    out.push('\n');
    out
}

fn answer(headline: &Headline, name: &str, paint: Paint) -> String {
    let (word, ink) = match headline.state {
        HeadlineState::Ok => ("ok", Ink::Good),
        HeadlineState::Failed => ("FAILED", Ink::Bad),
        HeadlineState::NotProven => ("NOT PROVEN", Ink::Warn),
    };
    let mark = format!("  {}  ", paint.ink(ink, &format!("{name:<8} {word:<10}")));
    wrap(&mark, 23, &brief(without_state(&headline.sentence)))
}

/// The 16 criteria, one line for each class.
pub(super) fn criteria_lines(analysis: &Analysis, paint: Paint) -> String {
    let mut out = String::new();
    for (class, name) in [(Class::Critical, "critical"), (Class::High, "high"), (Class::Medium, "medium")] {
        let marks: Vec<String> = CriterionId::ALL
            .iter()
            .filter(|id| id.class() == class)
            .map(|id| {
                let found = analysis.criteria.iter().find(|c| c.id == *id);
                let (word, ink) = found.map_or(("MISSING", Ink::Bad), |c| outcome_word(&c.outcome));
                format!("{id} {}", paint.ink(ink, word))
            })
            .collect();
        let _ = writeln!(out, "  {name:<10}{}", marks.join("   "));
    }
    out
}

/// What failed or is open, one line each, critical first.
fn open_criteria(analysis: &Analysis, paint: Paint) -> String {
    let mut out = String::new();
    for definition in &CRITERIA {
        let Some(found) = analysis.criteria.iter().find(|c| c.id == definition.id) else { continue };
        let (word, ink) = outcome_word(&found.outcome);
        let text = match &found.outcome {
            Outcome::Pass => continue,
            Outcome::Fail => format!("{}: {}, needed {}", definition.title, found.value, found.threshold),
            Outcome::Inconclusive { why } => format!("{}: {why}", definition.title),
        };
        out +=
            &wrap(&format!("    {} {} ", definition.id, paint.ink(ink, word)), 8 + word.len(), &brief(&text));
    }
    out
}

/// What the screen shows of a finished run.
pub(super) struct Verdict<'a> {
    pub(super) analysis: &'a Analysis,
    pub(super) dir: &'a Path,
    pub(super) manifest_head: &'a str,
    pub(super) exit_code: u8,
    pub(super) next_stage: &'a str,
    /// The command that does the same once more.
    pub(super) again: &'a str,
}

impl Verdict<'_> {
    /// What to do next, one sentence each.
    pub(super) fn next(&self) -> Vec<String> {
        let analysis = self.analysis;
        if analysis.decision != Decision::NoGo {
            let mut steps = vec![self.next_stage.to_owned()];
            if no_opportunity(analysis) {
                steps.push(
                    "No opportunity: the market offered nothing worth trading. That is an answer about the market, no reason to lower a threshold."
                        .to_owned(),
                );
            }
            if let Some(first) = analysis.capped.first() {
                let more = match analysis.capped.len() {
                    1 => String::new(),
                    n => format!(", and {} more in the report", n - 1),
                };
                steps.push(format!("The decision is capped: {first}{more}."));
            }
            return steps;
        }
        let mut steps = Vec::new();
        if let Some(abort) = &analysis.aborted {
            steps.push(format!("Repair the cause of {}: {}.", abort.cause, abort.text));
        }
        if let Some(why) = &analysis.interrupted {
            steps.push(format!("The run was interrupted ({why}); an interrupted run is never completed."));
        }
        steps.push(format!("Read the diagnosis in the report, repair, then: {}", self.again));
        steps
    }

    /// The summary for people.
    pub(super) fn text(&self, paint: Paint) -> String {
        let analysis = self.analysis;
        let rule = "=".repeat(72);
        let ink = decision_ink(analysis.decision);
        let mut out = format!("\n{}\n", paint.ink(ink, &rule));
        let _ = writeln!(out, "  {}", paint.ink(ink, &analysis.headline()));
        match &analysis.class {
            EvidenceClass::Record => out.push_str("  evidence of record\n"),
            EvidenceClass::Rehearsal { why } => out += &wrap("  ", 2, &format!("rehearsal, because {why}")),
            EvidenceClass::Declared { why } => {
                out += &wrap("  ", 2, &format!("declared evidence, because {why}"))
            }
        }
        let _ = writeln!(out, "{}\n", paint.ink(ink, &rule));
        out += &answer(&analysis.system, "SYSTEM", paint);
        out += &answer(&analysis.strategy, "STRATEGY", paint);
        let _ = writeln!(out, "\n  {}", paint.ink(Ink::Bold, "What decided it"));
        if analysis.reasons.is_empty() {
            out.push_str("    no reason on record\n");
        }
        for (i, reason) in analysis.reasons.iter().enumerate() {
            out += &wrap(&format!("    {}. ", i + 1), 7, &brief(reason));
        }
        let _ = writeln!(out, "\n  {} ({})", paint.ink(Ink::Bold, "Criteria"), analysis.judged);
        out += &criteria_lines(analysis, paint);
        out += &open_criteria(analysis, paint);
        let _ = writeln!(out, "\n  {}", paint.ink(Ink::Bold, "What to do next"));
        for step in self.next() {
            out += &wrap("    - ", 6, &brief(&step));
        }
        let _ = writeln!(out, "\n  report     {}", self.dir.join(crate::archive::names::REPORT_MD).display());
        let _ = writeln!(out, "             {}", self.dir.join(crate::archive::names::REPORT_HTML).display());
        let _ = writeln!(out, "  manifest   {}", self.manifest_head);
        let _ = writeln!(out, "  exit code  {} ({})", self.exit_code, exit_meaning(self.exit_code));
        out
    }

    /// The same for machines.
    pub(super) fn json(&self) -> serde_json::Value {
        let analysis = self.analysis;
        let criteria: serde_json::Map<String, serde_json::Value> = analysis
            .criteria
            .iter()
            .map(|c| (c.id.to_string(), serde_json::json!(c.outcome.simple())))
            .collect();
        serde_json::json!({
            "event": "verdict",
            "run_id": analysis.run_id,
            "decision": analysis.decision,
            "headline": analysis.headline(),
            "evidence": analysis.class,
            "system": analysis.system,
            "strategy": analysis.strategy,
            "reasons": analysis.reasons,
            "criteria": criteria,
            "capped": analysis.capped,
            "next": self.next(),
            "report": self.dir.join(crate::archive::names::REPORT_MD),
            "report_html": self.dir.join(crate::archive::names::REPORT_HTML),
            "manifest_head": self.manifest_head,
            "exit_code": self.exit_code,
            "exit_meaning": exit_meaning(self.exit_code),
        })
    }
}
