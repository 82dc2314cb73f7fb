//! The attempts of a run. A run that was killed before its main run may be resumed: phases 1 to 3 are repeated under new names
//! (`smoke.2`, `planted.2`), and nothing of the killed attempt is recovered. There is one main run and never a second.
//!
//! What is said here of an order of records is what a supervisor can have written; anything else is damage.

use super::{PhaseRecord, names};
use std::collections::BTreeSet;

/// The name of a phase in an attempt: `smoke`, `smoke.2`. The main run has one attempt only.
pub(crate) fn tag(phase: &str, attempt: u32) -> String {
    if attempt <= 1 || phase == "main" { phase.to_owned() } else { format!("{phase}.{attempt}") }
}

/// A phase's name without its attempt.
pub(crate) fn base(tag: &str) -> &str {
    tag.split_once('.').map_or(tag, |(base, _)| base)
}

/// The attempts in order: the records before the first resumption, those after it, and so on. Never empty.
pub(crate) fn split(records: &[PhaseRecord]) -> Vec<&[PhaseRecord]> {
    records.split(|record| matches!(record, PhaseRecord::Resumed { .. })).collect()
}

/// The first record that no supervisor can have written at its place.
pub(super) fn disorder(records: &[PhaseRecord], run_id: &str) -> Option<String> {
    let mut attempt = 1;
    let mut settled: Option<&str> = None;
    let (mut started, mut ended) = (BTreeSet::new(), BTreeSet::new());
    records.iter().find_map(|record| match record {
        PhaseRecord::Resumed { attempt: next, .. } => {
            attempt += 1;
            match settled {
                Some(what) => Some(format!("{}: resumed after {what}", names::PHASES)),
                None if *next != attempt => {
                    Some(format!("{}: attempt {next} where {attempt} is due", names::PHASES))
                }
                None => None,
            }
        }
        PhaseRecord::Start(start) => {
            if base(&start.phase) == "main" {
                settled = Some("its main run had started");
            }
            starts(start, attempt, run_id, &mut started)
        }
        PhaseRecord::End { phase, .. } if !started.contains(phase) => {
            Some(format!("{}: {phase} has an end record and no start record", names::PHASES))
        }
        PhaseRecord::End { phase, .. } => {
            (!ended.insert(phase.clone())).then(|| format!("{}: 2 end records of {phase}", names::PHASES))
        }
        PhaseRecord::SmokeFailed { .. } => {
            settled = Some("its smoke had failed");
            None
        }
        PhaseRecord::Interrupted { .. } => {
            settled = Some("it had been interrupted");
            None
        }
        PhaseRecord::Proof(_) => None,
    })
}

fn starts(
    start: &super::PhaseStart,
    attempt: u32,
    run_id: &str,
    started: &mut BTreeSet<String>,
) -> Option<String> {
    let phase = &start.phase;
    if !["smoke", "planted", "main"].iter().any(|base| tag(base, attempt) == *phase) {
        return Some(format!("{}: {phase} started in attempt {attempt}", names::PHASES));
    }
    if start.runner_id != format!("{run_id}.{phase}") {
        return Some(format!("{}: {phase} has the runner id {}", names::PHASES, start.runner_id));
    }
    (!started.insert(phase.clone())).then(|| format!("{}: 2 start records of {phase}", names::PHASES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::PhaseStart;
    use gate::evidence::{LogCounters, LogFacts, PhaseEnd};

    fn start(phase: &str) -> PhaseRecord {
        PhaseRecord::Start(PhaseStart {
            phase: phase.to_owned(),
            label: format!("{phase}_60s"),
            runner_id: format!("r.{phase}"),
            planned_s: 60.0,
            at: String::new(),
        })
    }

    fn end(phase: &str) -> PhaseRecord {
        let counters = LogCounters::default();
        PhaseRecord::End {
            phase: phase.to_owned(),
            end: PhaseEnd {
                ran_s: 60.0,
                exit_code: Some(0),
                signal: None,
                stop_sent_s: None,
                abort: None,
                later_causes: Vec::new(),
                interrupted: None,
                killed_by_us: false,
                leftovers: Vec::new(),
            },
            log: LogFacts { counters, blocks: Vec::new(), top_errors: Vec::new(), dropped_bytes: 0 },
            remote: Vec::new(),
            identity: None,
        }
    }

    fn resumed(attempt: u32) -> PhaseRecord {
        PhaseRecord::Resumed { attempt, at: String::new() }
    }

    #[test]
    fn a_killed_smoke_may_be_repeated() {
        let records = [
            start("smoke"),
            resumed(2),
            // Killed in the second preflight: this attempt has no phase at all.
            resumed(3),
            start("smoke.3"),
            end("smoke.3"),
            start("planted.3"),
            end("planted.3"),
            start("main"),
            end("main"),
        ];
        assert_eq!(disorder(&records, "r"), None);
        assert_eq!(split(&records).len(), 3);
    }

    #[test]
    fn forged_attempts_are_damage() {
        let failed = PhaseRecord::SmokeFailed { reasons: vec!["A1".to_owned()] };
        let stopped = PhaseRecord::Interrupted { why: "a person".to_owned() };
        for (records, says) in [
            (vec![start("main"), start("main")], "2 start records of main"),
            (vec![start("smoke"), start("smoke")], "2 start records of smoke"),
            (vec![start("main"), end("main"), end("main")], "2 end records of main"),
            (vec![end("main")], "main has an end record and no start record"),
            (vec![start("smoke"), end("smoke"), start("smoke.2")], "smoke.2 started in attempt 1"),
            (vec![resumed(2), start("smoke")], "smoke started in attempt 2"),
            (vec![resumed(2), start("smoke.3")], "smoke.3 started in attempt 2"),
            (vec![resumed(3)], "attempt 3 where 2 is due"),
            (vec![start("main"), resumed(2)], "resumed after its main run had started"),
            (vec![start("smoke"), failed, resumed(2)], "resumed after its smoke had failed"),
            (vec![stopped, resumed(2)], "resumed after it had been interrupted"),
            (vec![start("main.2")], "main.2 started in attempt 1"),
        ] {
            assert!(disorder(&records, "r").is_some_and(|text| text.contains(says)), "{says}");
        }
        assert!(
            disorder(&[start("smoke")], "another").is_some_and(|text| text.contains("runner id r.smoke"))
        );
    }
}
