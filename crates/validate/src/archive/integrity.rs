//! Whether what lies in a run folder can be what a run wrote: order, uniqueness, settings that follow from the profile, a smoke that
//! carries the main run. What cannot is said; nothing is repaired.

use super::{Metadata, PhaseRecord, RunDir, Tagged, attempts, names};
use crate::pipeline::smoke as passing;
use crate::profile::{self, Loaded};
use crate::watch::gap_limit_s;
use gate::evidence::{PhaseEvidence, RoundTripProof, RuleState, Sample, Settings};
use serde_json::Value;
use std::collections::BTreeSet;

/// What was read, as far as its order matters.
pub(super) struct Read<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) records: &'a [PhaseRecord],
    pub(super) samples: &'a [Tagged<Sample>],
    pub(super) problems: [&'a Option<String>; 4],
}

/// The first damage, `None` when there is none.
pub(super) fn damage(read: &Read<'_>) -> Option<String> {
    let started = read.records.iter().any(|record| matches!(record, PhaseRecord::Start(_)));
    // These files are opened with the first phase: once one has started, a missing one was lost.
    let problem = read.problems.into_iter().flatten().find(|problem| started || problem.contains(" line "));
    problem
        .cloned()
        .or_else(|| attempts::disorder(read.records, &read.metadata.run_id))
        .or_else(|| disorder(read.samples))
        .or_else(|| gaps(read))
        .or_else(|| settings(&read.metadata.profile, &read.metadata.settings))
}

/// A supervisor's monotonic clock goes forward.
fn disorder(samples: &[Tagged<Sample>]) -> Option<String> {
    let phases: BTreeSet<&str> = samples.iter().map(|line| line.phase.as_str()).collect();
    phases.into_iter().find_map(|phase| {
        let mut last = 0.0;
        samples.iter().filter(|line| line.phase == phase).find_map(|line| {
            let t = line.record.t;
            let follows = t.is_finite() && t > last;
            let text = format!("{}: {phase} has a sample of {t} s after one of {last} s", names::SAMPLES);
            last = t;
            (!follows).then_some(text)
        })
    })
}

/// Whoever stood still for long did not watch: a hole between two samples, or after the last one, is an interruption. A phase without
/// any sample is for the criteria to judge.
fn gaps(read: &Read<'_>) -> Option<String> {
    let watch = &read.metadata.profile.watch;
    let limit = gap_limit_s(watch.poll.secs(), watch.scrape_timeout.secs());
    let ends = read.records.iter().filter_map(|record| match record {
        PhaseRecord::End { phase, end, .. } if attempts::base(phase) != "planted" => Some((phase, end)),
        _ => None,
    });
    ends.filter(|(_, end)| end.interrupted.is_none()).find_map(|(phase, end)| {
        let of_phase = read.samples.iter().filter(|line| line.phase == *phase).map(|line| line.record.t);
        let mut of_phase = of_phase.peekable();
        let watched_until = of_phase.peek().is_some().then_some(end.ran_s);
        let mut last = 0.0;
        of_phase.chain(watched_until).find_map(|t| {
            let gap = t - last;
            let text = format!("{}: {phase} has no sample for {gap:.0} s after {last:.0} s", names::SAMPLES);
            last = t;
            (gap > limit).then_some(text)
        })
    })
}

/// The settings that were judged by must be those of the profile that stands beside them.
fn settings(profile: &profile::Profile, recorded: &Settings) -> Option<String> {
    let derived = profile::settings(&Loaded {
        profile: profile.clone(),
        base: String::new(),
        of_record: recorded.of_record,
        differences: recorded.custom_differences.clone(),
        hash: String::new(),
        source: String::new(),
    });
    let (Ok(Value::Object(derived)), Ok(Value::Object(found))) =
        (serde_json::to_value(&derived), serde_json::to_value(recorded))
    else {
        return Some(format!("{}: its settings cannot be compared", names::METADATA));
    };
    let same = |key: &str, a: &Value, b: &Value| match (a.as_f64(), b.as_f64()) {
        // Its floor is 3 600 s only in a profile of record with a full hour.
        (Some(_), Some(b)) if key == "main_min_s" => b == recorded.main_s || b == 3_600.0,
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs(),
        _ => a == b,
    };
    derived.iter().find_map(|(key, a)| {
        let b = found.get(key)?;
        (!same(key, a, b))
            .then(|| format!("{}: settings.{key} is {b}, the profile beside it gives {a}", names::METADATA))
    })
}

/// The proof as the artefacts bear it out: what was recorded is a claim.
pub(super) fn proof(
    dir: &RunDir,
    (records, attempt): (&[PhaseRecord], u32),
    settings: &Settings,
    smoke: Option<&PhaseEvidence>,
    claimed: RoundTripProof,
) -> RoundTripProof {
    let none = |why: String| RoundTripProof::None { why };
    match claimed {
        RoundTripProof::Market => {
            match smoke.and_then(|smoke| passing::orders_and_round_trips(smoke, settings)) {
                Some((orders, trips)) if orders > 0 && trips > 0 => RoundTripProof::Market,
                Some((orders, trips)) => none(format!(
                    "recorded as proven by the market, but the smoke shows {orders} orders and {trips} round trips"
                )),
                None => none(
                    "recorded as proven by the market, but the smoke's orders cannot be counted".to_owned(),
                ),
            }
        }
        RoundTripProof::Planted => {
            let planted = attempts::tag("planted", attempt);
            let ended =
                records.iter().any(|r| matches!(r, PhaseRecord::End { phase, .. } if *phase == planted));
            let journal = dir.journal_dir(&planted).join("journal.log");
            match passing::completed_by_market_exit(&journal) {
                _ if !ended => none("recorded as planted, but no planted phase is on record".to_owned()),
                Ok(0) => none("recorded as planted, but the planted journal closes nothing".to_owned()),
                Ok(_) => RoundTripProof::Planted,
                Err(why) => none(format!("recorded as planted, but {why}")),
            }
        }
        RoundTripProof::None { why } => none(why),
    }
}

/// Why an attempt that was killed had failed by then: a resumption must never turn that into anything better. `None` when nothing was
/// found out before the kill.
pub(crate) fn failed_before(
    dir: &RunDir,
    metadata: &Metadata,
    attempt: u32,
    records: &[PhaseRecord],
    smoke: &PhaseEvidence,
) -> Option<Vec<String>> {
    let fired = smoke
        .rule_events
        .iter()
        .filter(|event| event.state == RuleState::Fired && metadata.settings.aborts(&event.rule));
    let mut reasons: Vec<String> = fired.map(|event| format!("{}: {}", event.rule, event.text)).collect();
    if reasons.is_empty() && smoke.end.is_some() {
        reasons = passing::reasons(smoke, &metadata.settings);
    }
    let planted = attempts::tag("planted", attempt);
    let planted_ended =
        records.iter().any(|r| matches!(r, PhaseRecord::End { phase, .. } if *phase == planted));
    if planted_ended && metadata.profile.planted.is_some() && metadata.profile.runner.own_contract {
        match passing::completed_by_market_exit(&dir.journal_dir(&planted).join("journal.log")) {
            Ok(0) => reasons.push("the planted gap was not traded".to_owned()),
            Ok(_) => {}
            Err(why) => reasons.push(why),
        }
    }
    let text = |why: String| format!("attempt {attempt} had failed before it was killed: {why}");
    (!reasons.is_empty()).then(|| reasons.into_iter().map(text).collect())
}

/// Why the smoke cannot have passed although a main run followed; `None` when it can.
pub(super) fn smoke_contradicted(
    metadata: &Metadata,
    smoke: Option<&PhaseEvidence>,
    proof: &RoundTripProof,
) -> Option<Vec<String>> {
    let Some(smoke) = smoke else {
        return Some(vec!["a main run is on record, and no smoke before it".to_owned()]);
    };
    let mut reasons = passing::reasons(smoke, &metadata.settings);
    reasons.extend(passing::unproven(smoke, &metadata.settings, metadata.profile.runner.own_contract, proof));
    (!reasons.is_empty()).then_some(reasons)
}

#[cfg(test)]
mod tests {
    use super::{disorder, settings};
    use crate::archive::Tagged;
    use crate::profile;
    use gate::evidence::{Found, LogCounters, Sample, Scrape};
    use std::collections::BTreeMap;

    fn sample(t: f64) -> Tagged<Sample> {
        let record = Sample {
            t,
            wall_ms: 0,
            scrape: Found::Yes(Scrape::default()),
            os: Found::No("none".to_owned()),
            log: LogCounters::default(),
            kpi_rewrites: 0,
            kpi: BTreeMap::new(),
        };
        Tagged { phase: "main".to_owned(), record }
    }

    #[test]
    fn samples_go_forward() {
        assert_eq!(disorder(&[sample(1.0), sample(2.0)]), None);
        for bad in [[1.0, 1.0], [2.0, 1.0], [-1.0, 1.0], [1.0, f64::NAN]] {
            let found = disorder(&bad.map(sample));
            assert!(found.is_some_and(|text| text.contains("samples.jsonl: main")), "{bad:?}");
        }
    }

    #[test]
    fn settings_follow_from_the_profile() {
        for name in profile::builtin_names() {
            let loaded = profile::load(name).unwrap();
            let mut recorded = profile::settings(&loaded);
            assert_eq!(settings(&loaded.profile, &recorded), None, "{name}");
            recorded.start_grace_s += 30.0;
            assert!(settings(&loaded.profile, &recorded).unwrap().contains("settings.start_grace_s"));
        }
    }
}
