//! What is missing is said, never read as a zero; what was edited is named.

use crate::fixture::evidence;
use catalogue::CriterionId;
use gate::evidence::*;
use gate::{Analysis, CrossCheck, Decision, Outcome, Simple, Value, differences, judge};
use serde_json::json;

fn sabotaged(change: impl FnOnce(&mut PhaseEvidence)) -> Analysis {
    let mut evidence = evidence();
    change(evidence.main.as_mut().unwrap());
    judge(&evidence)
}

fn outcome(analysis: &Analysis, id: CriterionId) -> Simple {
    analysis.criteria.iter().find(|c| c.id == id).unwrap().outcome.simple()
}

fn value(analysis: &Analysis, id: CriterionId) -> &str {
    &analysis.criteria.iter().find(|c| c.id == id).unwrap().value
}

fn kpi<'a>(analysis: &'a Analysis, field: &str) -> &'a gate::KpiResult {
    analysis.kpis.iter().find(|k| k.field == field).unwrap()
}

#[test]
fn c2_names_how_many_are_absent_and_the_first() {
    let gone = sabotaged(|main| main.kpi_file = Found::No("full_1h_kpi.json: never written".into()));
    let text = value(&gone, CriterionId::C2);
    assert!(
        text.contains("of 32 present; absent: ")
            && text.contains("first: total_trades: full_1h_kpi.json: never written"),
        "{text}"
    );
    assert!(text.len() < 300 && gone.system.sentence.len() < 1_000, "{}", gone.system.sentence);
    assert!(gone.kpis.iter().filter(|k| matches!(k.value, Value::Absent { .. })).count() > 10);
}

#[test]
fn a_lost_log_counts_nothing() {
    let lost = sabotaged(|main| main.log = Found::No("the phase has no end record".into()));
    for field in ["error_rate_pct", "crash_hang_count"] {
        assert!(matches!(kpi(&lost, field).value, Value::Absent { .. }), "{field}");
    }
    assert!(matches!(kpi(&lost, "position_limit_hits").cross_check, CrossCheck::NotAvailable { .. }));
    assert_eq!((lost.series.log, outcome(&lost, CriterionId::C3)), (None, Simple::Inconclusive));
}

#[test]
fn a_venue_that_shows_up_late_was_not_live_before() {
    let late = sabotaged(|main| {
        for sample in main.samples.iter_mut().filter(|s| s.t < 3_000.0) {
            let Found::Yes(scrape) = &mut sample.scrape else { continue };
            scrape.series.retain(|name, _| !name.contains("venue=\"upbit\""));
        }
    });
    assert_eq!(outcome(&late, CriterionId::C1), Simple::Fail, "{}", value(&late, CriterionId::C1));
}

#[test]
fn the_kpi_file_must_agree_on_alerts_and_errors() {
    for (field, good, bad) in [
        ("alert_sent_total", json!(2), json!(999)),
        ("alert_dlq_total", json!(0), json!(1)),
        ("alert_success_rate_pct", json!(100.0), json!(99.0)),
        ("error_rate_pct", json!(0.0), json!(7.0)),
    ] {
        let with = |value: serde_json::Value| {
            sabotaged(|main| {
                let Found::Yes(file) = &mut main.kpi_file else { panic!() };
                file.fields.insert(field.into(), value);
            })
        };
        let honest = with(good);
        assert_eq!(honest.decision, Decision::CompleteGo, "{field}: {:?}", honest.reasons);
        let edited = with(bad);
        assert!(matches!(kpi(&edited, field).value, Value::Implausible { .. }), "{field}");
        assert_eq!(edited.decision, Decision::NoGo, "{field}");
        let named = differences(&honest, &edited);
        assert!(named.iter().any(|line| line.starts_with(field)), "{field}: {named:?}");
    }
}

#[test]
fn a_finished_run_has_a_finished_journal() {
    let cut = sabotaged(|main| {
        let Found::Yes(entries) = &mut main.journal else { panic!() };
        entries.pop();
    });
    assert_eq!(outcome(&cut, CriterionId::C2), Simple::Fail);
    assert!(format!("{:?}", cut.plausibility).contains("no end record"));
    let lost = sabotaged(|main| main.journal = Found::No("journal.log: its last line is torn".into()));
    assert_eq!((outcome(&lost, CriterionId::C2), lost.decision), (Simple::Fail, Decision::NoGo));
    assert!(matches!(kpi(&lost, "net_pnl_usd").value, Value::Implausible { .. }));
}

#[test]
fn readings_that_stop_are_not_the_whole_run() {
    let stopped = sabotaged(|main| {
        for sample in main.samples.iter_mut().filter(|s| s.t > 1_000.0) {
            sample.os = Found::No("gone".into());
        }
    });
    assert_eq!(outcome(&stopped, CriterionId::H2), Simple::Inconclusive);
    assert_eq!(outcome(&stopped, CriterionId::C2), Simple::Fail);
    let two_ends = sabotaged(|main| {
        for sample in main.samples.iter_mut().filter(|s| s.t > 800.0 && s.t < 3_500.0) {
            sample.os = Found::No("gone".into());
        }
    });
    assert_eq!(outcome(&two_ends, CriterionId::H3), Simple::Inconclusive);
}

#[test]
fn panels_are_asked_to_the_end() {
    let mut asleep = evidence();
    for check in &mut asleep.panels {
        check.t = 300.0;
        check.anchor = Some(("arb_topn_loop_iterations_total".into(), 30_000.0));
    }
    let analysis = judge(&asleep);
    assert_eq!(outcome(&analysis, CriterionId::C6), Simple::Inconclusive);
    assert!(value(&analysis, CriterionId::C6).contains("last asked at 300 s"));
}

#[test]
fn a_rule_without_a_sample_was_blind() {
    let blind = sabotaged(|main| {
        for sample in &mut main.samples {
            let Found::Yes(scrape) = &mut sample.scrape else { continue };
            for (name, value) in &mut scrape.series {
                if name.starts_with("alert_dlq_total") {
                    *value = f64::NAN;
                }
            }
        }
    });
    assert!(blind.capped.iter().any(|cap| cap.starts_with("A2 was blind")), "{:?}", blind.capped);
}

#[test]
fn only_the_signals_that_were_sent_are_excused() {
    let ended = |signal: i32, killed_by_us: bool| {
        sabotaged(|main| {
            let end = main.end.as_mut().unwrap();
            (end.exit_code, end.signal) = (None, Some(signal));
            (end.stop_sent_s, end.killed_by_us) = (Some(3_600.2), killed_by_us);
        })
    };
    for (signal, killed, expected) in [
        (15, false, Simple::Pass),
        (9, true, Simple::Pass),
        (9, false, Simple::Fail),
        (6, false, Simple::Fail),
        (11, true, Simple::Fail),
    ] {
        assert_eq!(outcome(&ended(signal, killed), CriterionId::C3), expected, "signal {signal}");
    }
}

#[test]
fn no_main_run_redeems_a_failed_smoke() {
    let mut failed = evidence();
    failed.smoke_failed = Some(vec!["no round trip was completed".into()]);
    let analysis = judge(&failed);
    assert_eq!((analysis.decision, analysis.exit_code()), (Decision::NoGo, 31));
    assert_eq!(analysis.reasons[0], "the smoke failed: no round trip was completed");
    let text = differences(&judge(&evidence()), &analysis).join("\n");
    assert!(text.contains("smoke: recorded passed, recomputed no round trip"), "{text}");
    let mut killed = evidence();
    killed.main = None;
    killed.smoke.as_mut().unwrap().end = None;
    assert_eq!(judge(&killed).exit_code(), 130);
}

#[test]
fn every_sentence_of_the_record_is_compared() {
    let honest = judge(&evidence());
    type Edit = fn(&mut Analysis);
    let edits: [(&str, Edit); 8] = [
        ("SYSTEM", |a| a.system.sentence = "SYSTEM ok: trust me".into()),
        ("STRATEGY", |a| a.strategy.sentence.push('!')),
        ("reasons", |a| a.reasons.clear()),
        ("H1", |a| a.criteria[6].threshold = "p99 <= 8000 ms".into()),
        ("plausibility", |a| a.plausibility[3].figures.push('0')),
        ("number of plausibility rules", |a| a.plausibility.clear()),
        ("total_trades", |a| a.kpis[0].cross_check = CrossCheck::Agreed { figure: "9 (journal)".into() }),
        ("curves and tables", |a| {
            a.series.funnel.insert("evaluated".into(), 1);
        }),
    ];
    for (name, edit) in edits {
        let mut edited = honest.clone();
        edit(&mut edited);
        let found = differences(&edited, &honest);
        assert!(found.iter().any(|line| line.starts_with(name)), "{name}: {found:?}");
    }
    let mut custom = evidence();
    custom.settings.custom_differences = vec!["main.duration is \"10 min\" instead of \"1 h\"".into()];
    let honest = judge(&custom);
    let mut better = honest.clone();
    better.decision = Decision::CompleteGo;
    assert!(honest.is_consistent() && !better.is_consistent());
}

#[test]
fn a_kpi_file_that_stands_still_is_named() {
    let c2 = |complete: bool, until: f64| {
        let analysis = sabotaged(|main| {
            for sample in &mut main.samples {
                sample.kpi_rewrites = sample.kpi_rewrites.min(until as u64 / 10);
            }
            let Found::Yes(file) = &mut main.kpi_file else { panic!() };
            file.complete = Some(complete);
        });
        analysis.criteria.into_iter().find(|c| c.id == CriterionId::C2).unwrap()
    };
    let stale = c2(false, 1_000.0);
    assert_eq!(stale.outcome, Outcome::Fail);
    assert!(stale.value.contains("complete: false; last rewritten at 1000 s of 3600.4 s"), "{}", stale.value);
    // A final file after a long silence is whole, and the silence is said.
    let silent = c2(true, 1_000.0);
    assert_eq!(silent.outcome, Outcome::Pass);
    assert_eq!(silent.note.as_deref(), Some("the KPI file was not rewritten for 2600 s"));
    assert_eq!(c2(true, 1e9).note, None);
}

#[test]
fn a_death_without_a_trace_is_named() {
    for (signal, code, status) in
        [(Some(6), None, "signal 6 (SIGABRT)"), (Some(11), None, "signal 11"), (None, Some(7), "exit code 7")]
    {
        let analysis = sabotaged(|main| {
            let end = main.end.as_mut().unwrap();
            (end.signal, end.exit_code) = (signal, code);
        });
        let c3 = analysis.criteria.into_iter().find(|c| c.id == CriterionId::C3).unwrap();
        assert_eq!(c3.outcome, Outcome::Fail);
        assert_eq!(c3.note.unwrap(), format!("it ended with {status} and left no crash block"));
    }
}

#[test]
fn a_go_says_which_plausibility_rules_had_nothing_to_look_at() {
    let whole = judge(&evidence());
    assert!(!whole.reasons.join("; ").contains("plausibility"), "{:?}", whole.reasons);
    let mut few = evidence();
    few.main = Some(crate::fixture::phase("main", 3_600.0, 12));
    let analysis = judge(&few);
    assert_ne!(analysis.decision, Decision::NoGo, "{:?}", analysis.reasons);
    let said = "plausibility not checked: identical outcomes [closed trades: 12, 20 needed]";
    assert!(analysis.reasons.iter().any(|reason| reason.starts_with(said)), "{:?}", analysis.reasons);
}
