//! What a run of a profile can end as at best, said before its time is spent: from what the profile declares that the runner lacks.
//! The judge knows nothing of this; it finds the same at the end.

use super::Profile;
use catalogue::{CriterionId, PANELS};
use gate::{Decision, Simple, decide};

/// The best that can come out, and why nothing better.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// The best decision.
    pub best: Decision,
    /// The criteria that cannot pass, each with its reason.
    pub barred: Vec<(CriterionId, String)>,
    /// True when the profile declares something that caps the decision.
    pub capped: bool,
}

/// What each High or Medium criterion is judged on: any of these declared not applicable, and it cannot be.
const NEEDS: [(CriterionId, &[&str]); 8] = [
    (CriterionId::H1, &["loop_latency_p99_ms"]),
    (CriterionId::H4, &["alerts", "alert_success_rate_pct"]),
    (CriterionId::H5, &["guard_false_positives"]),
    (CriterionId::H6, &["round_trips_completed", "exit_reasons"]),
    (CriterionId::M1, &["win_rate_pct"]),
    (CriterionId::M2, &["journal", "net_pnl_usd"]),
    (CriterionId::M3, &["exit_reasons"]),
    (CriterionId::M4, &["alerts", "notifier_availability_pct"]),
];

/// What a run of this profile can end as at best.
pub fn outlook(profile: &Profile) -> Outlook {
    let declared = &profile.runner.not_applicable;
    let barred: Vec<(CriterionId, String)> =
        CriterionId::ALL.into_iter().filter_map(|id| Some((id, why_not(profile, id)?))).collect();
    let outcomes = CriterionId::ALL.map(|id| {
        if barred.iter().any(|(other, _)| *other == id) { Simple::Inconclusive } else { Simple::Pass }
    });
    let capped = !declared.is_empty() || !profile.runner.own_contract || profile.time_scale != 1.0;
    Outlook { best: decide(&outcomes, capped, false, false), barred, capped }
}

fn why_not(profile: &Profile, id: CriterionId) -> Option<String> {
    let declared = &profile.runner.not_applicable;
    let lacks = |name: &str| declared.contains_key(name);
    let because = |name: &str| declared.get(name).map(|why| format!("{name} is not applicable ({why})"));
    if let Some(why) = because(id.as_str()) {
        return Some(why);
    }
    let no_metrics = || lacks("metrics").then(|| "the runner offers no metrics".to_owned());
    match id {
        CriterionId::C1 if !lacks("venue_books") => {
            no_metrics().map(|why| format!("{why}, so nobody sees whether its books were live"))
        }
        CriterionId::C4 if !lacks("alerts") => no_metrics(),
        CriterionId::C5 => no_metrics(),
        CriterionId::C6 => no_metrics().or_else(|| {
            let left_out =
                |panel: &catalogue::Panel| panel.required_metrics.iter().any(|metric| lacks(metric));
            PANELS.iter().all(left_out).then(|| "every panel is declared not applicable".to_owned())
        }),
        CriterionId::M2 if !profile.runner.own_contract && !lacks("journal") => {
            Some("the runner keeps no journal of ours".to_owned())
        }
        _ => {
            let (_, needs) = NEEDS.iter().find(|(other, _)| *other == id)?;
            needs.iter().find_map(|name| because(name))
        }
    }
}

impl Outlook {
    /// One sentence when the profile itself keeps a run from the best decision.
    pub fn sentence(&self) -> Option<String> {
        if self.barred.is_empty() {
            return None;
        }
        let not_proven = if self.best == Decision::NoGo { " (not proven)" } else { "" };
        let critical: Vec<&(CriterionId, String)> =
            self.barred.iter().filter(|(id, _)| id.class() == catalogue::Class::Critical).collect();
        let shown = if critical.is_empty() { self.barred.iter().collect() } else { critical };
        let reasons: Vec<String> = shown.iter().map(|(id, why)| format!("{id} because {why}")).collect();
        Some(format!("this run cannot end better than {}{not_proven}: {}", self.best, reasons.join("; ")))
    }
}
