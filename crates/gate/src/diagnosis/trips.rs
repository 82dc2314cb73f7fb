//! Why there are no round trips, by the funnel: where the opportunities ended.

use super::answer;
use crate::evidence::PhaseEvidence;
use crate::judge::{Analysis, Diagnosis};
use crate::value::{Outcome, counted};
use catalogue::CriterionId;
use journal::Body;
use std::collections::BTreeMap;

pub(super) fn no_round_trips(phase: &PhaseEvidence, analysis: &Analysis) -> Option<Diagnosis> {
    let number = |field: &str| analysis.kpis.iter().find(|k| k.field == field).and_then(|k| k.value.number());
    let h6 = analysis.criteria.iter().find(|c| c.id == CriterionId::H6)?;
    let trips = number("round_trips_completed");
    if h6.outcome == Outcome::Pass || (trips.is_none() && analysis.series.funnel.is_empty()) {
        return None;
    }
    let funnel = &analysis.series.funnel;
    let at = |stage: &str| funnel.get(stage).copied().unwrap_or(0);
    let blocked = funnel
        .iter()
        .filter(|(s, _)| *s == "blocked" || s.starts_with("blocked:"))
        .map(|(_, n)| n)
        .sum::<u64>();
    let blocker = funnel
        .iter()
        .filter_map(|(stage, n)| Some((stage.strip_prefix("blocked:")?, *n)))
        .filter(|(_, n)| *n > 0)
        .max_by_key(|(_, n)| *n);
    // An exit count that is absent is not a count of none.
    let never_exited = number("entry_trades").filter(|n| *n > 0.0 && number("exit_trades") == Some(0.0));
    let finding = if let Some(entries) = never_exited {
        format!("never exited: {} and no exit; look at the exit rules", counted(entries, "entry", "entries"))
    } else if let Some(trips) = trips.filter(|n| *n > 0.0) {
        format!("few: {}; {}", counted(trips, "round trip", "round trips"), narrowest(funnel))
    } else if funnel.is_empty() {
        "the runner reports no funnel: it cannot be said where the opportunities ended".to_owned()
    } else if members(phase) == Some(0) {
        "no universe: not one symbol is listed on both venues and passes the filters; see the universe's settings".to_owned()
    } else if at("updates") == 0 && at("evaluated") == 0 {
        "no data: no book update reached the engine; see venue health and connections".to_owned()
    } else if at("evaluated") == 0 {
        "no universe or no Live pair: books were updated and no pair was ever evaluated".to_owned()
    } else if at("above_threshold") == 0 {
        format!(
            "no opportunity: {} pairs were evaluated on live data, {} had a gross edge, {} a net edge, and none reached the \
             threshold; this is an answer about the market, no reason to lower the threshold",
            at("evaluated"),
            at("gross_positive"),
            at("net_positive")
        )
    } else if at("sent") == 0 {
        format!(
            "guards: {} above the threshold, {blocked} blocked{} and none was sent",
            counted(at("above_threshold") as f64, "opportunity", "opportunities"),
            blocker.map_or_else(String::new, |(rule, n)| format!(" (most by {rule}: {n})"))
        )
    } else if at("filled") == 0 {
        format!(
            "failed fills: {} sent, {} rejected, none filled",
            counted(at("sent") as f64, "order", "orders"),
            at("rejected")
        )
    } else {
        format!(
            "never exited: {} and no completed round trip; look at the exit rules",
            counted(at("filled") as f64, "fill", "fills")
        )
    };
    let lines = funnel.iter().map(|(stage, n)| format!("{stage}: {n}")).collect();
    answer("Why are there no round trips?", finding, lines)
}

/// The stage at which most of what came in was lost.
fn narrowest(funnel: &BTreeMap<String, u64>) -> String {
    let stages = ["evaluated", "gross_positive", "net_positive", "above_threshold", "sent", "filled"];
    let counted: Vec<(&str, u64)> = stages.iter().filter_map(|s| funnel.get(*s).map(|n| (*s, *n))).collect();
    counted
        .windows(2)
        .filter(|w| w[0].1 > 0)
        .min_by(|a, b| (a[1].1 as f64 / a[0].1 as f64).total_cmp(&(b[1].1 as f64 / b[0].1 as f64)))
        .map_or("the funnel is empty".to_owned(), |w| {
            format!("most were lost between {} ({}) and {} ({})", w[0].0, w[0].1, w[1].0, w[1].1)
        })
}

/// Members of the universe by the journal; `None` when it does not say.
fn members(phase: &PhaseEvidence) -> Option<usize> {
    phase.journal.get()?.iter().rev().find_map(|entry| match &entry.body {
        Body::Universe { members, .. } => Some(members.len()),
        _ => None,
    })
}
