//! Whether what lies in a run folder can be what a run wrote: order, uniqueness, settings that follow from the profile, a smoke that
//! carries the main run. What cannot is said; nothing is repaired.

use super::{Metadata, PhaseRecord, RunDir, Tagged, names};
use crate::pipeline::smoke as passing;
use crate::profile::{self, Loaded};
use gate::evidence::{PhaseEvidence, RoundTripProof, Sample, Settings};
use serde_json::Value;

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
        .or_else(|| twice(read.records))
        .or_else(|| disorder(read.samples))
        .or_else(|| settings(&read.metadata.profile, &read.metadata.settings))
}

/// A phase starts once and ends once: a new main run is a new run.
fn twice(records: &[PhaseRecord]) -> Option<String> {
    ["smoke", "planted", "main"].into_iter().find_map(|phase| {
        let starts =
            records.iter().filter(|r| matches!(r, PhaseRecord::Start(start) if start.phase == phase));
        let ends = records.iter().filter(|r| matches!(r, PhaseRecord::End { phase: p, .. } if p == phase));
        let (starts, ends) = (starts.count(), ends.count());
        if ends > starts {
            return Some(format!("{}: {phase} has an end record and no start record", names::PHASES));
        }
        [("start", starts), ("end", ends)]
            .into_iter()
            .find(|(_, n)| *n > 1)
            .map(|(what, n)| format!("{}: {n} {what} records of {phase}", names::PHASES))
    })
}

/// A supervisor's monotonic clock goes forward.
fn disorder(samples: &[Tagged<Sample>]) -> Option<String> {
    ["smoke", "main"].into_iter().find_map(|phase| {
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
    records: &[PhaseRecord],
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
            let ended =
                records.iter().any(|r| matches!(r, PhaseRecord::End { phase, .. } if phase == "planted"));
            let journal = dir.journal_dir("planted").join("journal.log");
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
    if let RoundTripProof::None { why } = proof
        && metadata.profile.runner.own_contract
    {
        reasons.push(format!("no round trip was completed: {why}"));
    }
    (!reasons.is_empty()).then_some(reasons)
}

#[cfg(test)]
mod tests {
    use super::{disorder, settings, twice};
    use crate::archive::{PhaseRecord, PhaseStart, Tagged};
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
    fn a_phase_starts_once() {
        let start = PhaseRecord::Start(PhaseStart {
            phase: "main".to_owned(),
            label: "full_60s".to_owned(),
            runner_id: "r.main".to_owned(),
            planned_s: 60.0,
            at: String::new(),
        });
        assert_eq!(twice(std::slice::from_ref(&start)), None);
        assert!(twice(&[start.clone(), start]).is_some_and(|text| text.contains("2 start records of main")));
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
