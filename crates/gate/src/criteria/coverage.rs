//! How much of a phase was really seen: Live books by symbol-second (C1), missed polls (C5).

use crate::evidence::PhaseEvidence;
use crate::scrape::{sum, sum_by};
use std::collections::{BTreeMap, BTreeSet};

/// Percent of symbol-seconds that each venue's books were Live, between `from` and `to`. A sample stands for the time since
/// the sample before it.
pub(super) fn live_shares(
    phase: &PhaseEvidence,
    from: f64,
    to: f64,
) -> Result<BTreeMap<String, f64>, String> {
    // Every venue that is ever seen counts from the beginning: one that shows up late was not Live before.
    let venues: BTreeSet<String> = phase
        .samples
        .iter()
        .filter_map(|s| s.scrape.get())
        .flat_map(|s| sum_by(s, "venue_books", "venue").into_keys())
        .collect();
    let mut shares: BTreeMap<String, (f64, f64)> =
        venues.into_iter().map(|venue| (venue, (0.0, 0.0))).collect();
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
pub(super) fn missed_polls(phase: &PhaseEvidence, grace: f64, poll: f64) -> (u64, u64) {
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
