//! Sabotage of the gate itself (truth.md 4): whatever is taken away, frozen, doubled or exchanged, the decision is never better, and the
//! reason is said. Table-driven over all KPIs and criteria.

use crate::fixture::{evidence, phase};
use catalogue::{CriterionId, KPIS};
use gate::evidence::*;
use gate::judge::PlausibilityStatus;
use gate::{Analysis, Decision, Simple, Value, judge};
use serde_json::json;
use std::collections::BTreeMap;

fn outcome(analysis: &Analysis, id: CriterionId) -> Simple {
    analysis.criteria.iter().find(|c| c.id == id).unwrap().outcome.simple()
}

fn sabotaged(change: impl FnOnce(&mut PhaseEvidence)) -> Analysis {
    let mut evidence = evidence();
    change(evidence.main.as_mut().unwrap());
    judge(&evidence)
}

fn honest() -> Analysis {
    let honest = judge(&evidence());
    assert_eq!(honest.decision, Decision::CompleteGo);
    honest
}

/// Never better: neither the decision nor a single criterion.
fn never_better(what: &str, changed: &Analysis, honest: &Analysis) {
    assert!(changed.decision >= honest.decision, "{what}: {} is better", changed.decision);
    for criterion in &honest.criteria {
        let now = outcome(changed, criterion.id);
        assert!(
            criterion.outcome.simple() == Simple::Pass || now != Simple::Pass,
            "{what}: {} became PASS",
            criterion.id
        );
    }
}

/// Violated plausibility rules by the beginning of their names.
fn violated(analysis: &Analysis) -> Vec<String> {
    let of = analysis.plausibility.iter().filter(|f| f.status == PlausibilityStatus::Violated);
    of.map(|f| f.rule.clone()).collect()
}

fn each_scrape(main: &mut PhaseEvidence, mut change: impl FnMut(f64, &mut Scrape)) {
    for sample in &mut main.samples {
        if let Found::Yes(scrape) = &mut sample.scrape {
            change(sample.t, scrape);
        }
    }
    if let Found::Yes(last) = &mut main.final_scrape {
        change(last.t, &mut last.scrape);
    }
}

#[test]
fn every_field_of_the_kpi_file_can_be_broken_and_none_improves_it() {
    let honest = honest();
    let broken: [(&str, Option<serde_json::Value>); 9] = [
        ("taken away", None),
        ("null", Some(json!(null))),
        ("text", Some(json!("12"))),
        ("a truth", Some(json!(true))),
        ("a list", Some(json!([1]))),
        ("negative", Some(json!(-1.0e6))),
        ("huge", Some(json!(1.0e18))),
        ("a fraction", Some(json!(0.123_456))),
        ("a map with text", Some(json!({"route": "x"}))),
    ];
    // The fields that are read from the file in the first place.
    for kpi in KPIS.iter().filter(|k| k.number <= 20) {
        for (how, value) in &broken {
            // A fraction of a millisecond is a latency like any other; how far it may be off is the cross-check's test.
            if *how == "a fraction" && (18..=20).contains(&kpi.number) {
                continue;
            }
            let what = format!("{} {how}", kpi.field);
            let changed = sabotaged(|main| {
                let Found::Yes(file) = &mut main.kpi_file else { panic!() };
                match value {
                    Some(value) => file.fields.insert(kpi.field.into(), value.clone()),
                    None => file.fields.remove(kpi.field),
                };
                file.fields.remove(&format!("{}_reason", kpi.field));
            });
            never_better(&what, &changed, &honest);
            let found = changed.kpis.iter().find(|k| k.number == kpi.number).unwrap();
            assert!(!found.value.is_present(), "{what}: {:?}", found.value);
            assert_eq!(changed.decision, Decision::NoGo, "{what}");
            let c2 = changed.criteria.iter().find(|c| c.id == CriterionId::C2).unwrap();
            assert_eq!(c2.outcome.simple(), Simple::Fail, "{what}: {}", c2.value);
        }
    }
}

#[test]
fn a_figure_that_is_measured_elsewhere_must_agree_with_the_file() {
    let honest = honest();
    for (field, bad) in [
        ("cpu_usage_pct", json!(90.0)),
        ("memory_usage_mb", json!(15.0)),
        ("memory_usage_mb", json!(1e9)),
        ("error_rate_pct", json!(50.0)),
        ("error_rate_pct", json!(-3.0)),
        ("alert_sent_total", json!(1e9)),
        ("alert_failed_total", json!(-1)),
        ("alert_retry_total", json!(7)),
        ("alert_dlq_total", json!(1)),
        ("alert_success_rate_pct", json!(12.0)),
        ("alert_fallback_total", json!(3)),
        ("alert_delivery_latency_p95_s", json!(250.0)),
    ] {
        let changed = sabotaged(|main| {
            let Found::Yes(file) = &mut main.kpi_file else { panic!() };
            file.fields.insert(field.into(), bad.clone());
        });
        never_better(field, &changed, &honest);
        let found = changed.kpis.iter().find(|k| k.field == field).unwrap();
        assert!(matches!(found.value, Value::Implausible { .. }), "{field} {bad}: {:?}", found.value);
    }
}

#[test]
fn every_metric_that_something_needs_is_missed_when_it_is_dropped_or_no_number() {
    let honest = honest();
    // The metric, and what must no longer pass, or a KPI that must no longer be present.
    let table: [(&str, &[CriterionId], &str); 12] = [
        ("venue_books", &[CriterionId::C1], ""),
        ("alert_sent_total", &[CriterionId::C2, CriterionId::H4], "alert_sent_total"),
        ("alert_failed_total", &[CriterionId::C2, CriterionId::H4], "alert_failed_total"),
        ("alert_retry_total", &[CriterionId::C2], "alert_retry_total"),
        ("alert_dlq_total", &[CriterionId::C2, CriterionId::C4], "alert_dlq_total"),
        ("alert_fallback_total", &[CriterionId::C2], "alert_fallback_total"),
        ("alert_delivery_latency_seconds", &[CriterionId::C2], "alert_delivery_latency_p95_s"),
        ("notifier_available", &[CriterionId::C2, CriterionId::M4], "notifier_availability_pct"),
        ("process_start_time_seconds", &[CriterionId::C6], ""),
        ("arb_topn_loop_iterations_total", &[CriterionId::C6], ""),
        // A cross-check that goes missing caps; nothing passes that did not.
        ("loop_latency_seconds", &[], ""),
        ("arb_topn_guard_triggers_total", &[], ""),
    ];
    for (metric, hurt, kpi) in table {
        for nan in [false, true] {
            let what = format!("{metric} {}", if nan { "is NaN" } else { "is dropped" });
            let changed = sabotaged(|main| {
                each_scrape(main, |_, scrape| {
                    if nan {
                        for (name, value) in &mut scrape.series {
                            if name.starts_with(metric) {
                                *value = f64::NAN;
                            }
                        }
                    } else {
                        scrape.series.retain(|name, _| !name.starts_with(metric));
                    }
                });
            });
            never_better(&what, &changed, &honest);
            // A NaN is no count of Live books; it may also show as a share that is too small.
            for id in hurt {
                let skip = nan && *id == CriterionId::C6;
                assert!(skip || outcome(&changed, *id) != Simple::Pass, "{what}: {id} still passes");
            }
            if !kpi.is_empty() {
                let found = changed.kpis.iter().find(|k| k.field == kpi).unwrap();
                assert!(!found.value.is_present(), "{what}: {:?}", found.value);
            }
            if hurt.is_empty() {
                let more = changed.capped.len() > honest.capped.len() || changed.decision > honest.decision;
                assert!(more, "{what}: neither capped nor worse: {:?}", changed.capped);
            }
        }
    }
}

#[test]
fn a_source_that_always_passes_is_compared_with_another() {
    let honest = honest();
    type Lie = fn(&mut PhaseEvidence);
    let lies: [(&str, Lie, &str); 6] = [
        (
            "a CPU gauge that stands still",
            |main| {
                for sample in &mut main.samples {
                    if let Found::Yes(os) = &mut sample.os {
                        os.cpu_seconds += (sample.t / 40.0).sin() * 6.0 + 6.0;
                    }
                }
                each_scrape(main, |_, scrape| {
                    scrape.series.insert("process_cpu_usage_percent".into(), 21.0);
                });
            },
            "flat",
        ),
        (
            "a KPI file whose memory never moves",
            |main| {
                for sample in &mut main.samples {
                    if let Found::Yes(os) = &mut sample.os {
                        os.peak_rss_bytes = 100_000_000 + (sample.t * 10_000.0) as u64;
                    }
                    sample.kpi.insert("memory_usage_mb".into(), 120.0);
                }
            },
            "flat",
        ),
        (
            "a counter that falls in the KPI file",
            |main| {
                for sample in &mut main.samples {
                    let trades = if sample.t > 2_000.0 { 5.0 } else { 40.0 };
                    sample.kpi.insert("total_trades".into(), trades);
                }
            },
            "counters",
        ),
        (
            "more iterations than time",
            |main| {
                each_scrape(main, |t, scrape| {
                    scrape.series.insert("arb_topn_loop_iterations_total".into(), t * 1e12);
                });
            },
            "rates",
        ),
        (
            "exit reasons that are not the round trips",
            |main| {
                each_scrape(main, |_, scrape| {
                    scrape.series.insert("arb_topn_exit_reasons_total{reason=\"take_profit\"}".into(), 999.0);
                });
            },
            "parts",
        ),
        (
            "another process at the end",
            |main| {
                let Found::Yes(last) = &mut main.final_scrape else { panic!() };
                last.run_id = Some("somebody-else".into());
            },
            "identity",
        ),
    ];
    for (what, lie, rule) in lies {
        let changed = sabotaged(lie);
        never_better(what, &changed, &honest);
        let found = violated(&changed);
        assert!(found.iter().any(|name| name.starts_with(rule)), "{what}: {found:?}");
        assert_eq!(outcome(&changed, CriterionId::C2), Simple::Fail, "{what}");
        assert_eq!(changed.decision, Decision::NoGo, "{what}");
    }
}

#[test]
fn files_that_were_swapped_between_phases_are_noticed() {
    let honest = honest();
    type Swap = fn(&mut Evidence);
    let swaps: [(&str, Swap); 5] = [
        ("the KPI files", |e| {
            let (smoke, main) = (e.smoke.as_mut().unwrap(), e.main.as_mut().unwrap());
            std::mem::swap(&mut smoke.kpi_file, &mut main.kpi_file);
        }),
        ("the journals", |e| {
            let (smoke, main) = (e.smoke.as_mut().unwrap(), e.main.as_mut().unwrap());
            std::mem::swap(&mut smoke.journal, &mut main.journal);
        }),
        ("the snapshots", |e| {
            let (smoke, main) = (e.smoke.as_mut().unwrap(), e.main.as_mut().unwrap());
            std::mem::swap(&mut smoke.final_scrape, &mut main.final_scrape);
        }),
        ("the samples", |e| {
            let (smoke, main) = (e.smoke.as_mut().unwrap(), e.main.as_mut().unwrap());
            std::mem::swap(&mut smoke.samples, &mut main.samples);
        }),
        ("the main run of another run", |e| {
            let Found::Yes(file) = &mut e.main.as_mut().unwrap().kpi_file else { panic!() };
            file.run_id = Some("run-2.main".into());
        }),
    ];
    for (what, swap) in swaps {
        let mut swapped = evidence();
        swap(&mut swapped);
        let changed = judge(&swapped);
        never_better(what, &changed, &honest);
        assert_eq!(changed.decision, Decision::NoGo, "{what}");
    }
}

#[test]
fn records_taken_out_or_doubled_are_noticed() {
    let honest = honest();
    for from in [200.0, 1_000.0, 3_000.0] {
        let gap = sabotaged(|main| main.samples.retain(|s| s.t < from || s.t > from + 500.0));
        never_better("a span of samples", &gap, &honest);
        assert_eq!(gap.decision, Decision::NoGo, "samples from {from} s on");
    }
    let total = {
        let Found::Yes(entries) = &evidence().main.unwrap().journal else { panic!() };
        entries.len()
    };
    for at in (1..total).step_by(97) {
        let doubled = sabotaged(|main| {
            let Found::Yes(entries) = &mut main.journal else { panic!() };
            let again = entries[at].clone();
            entries.insert(at, again);
        });
        never_better("a doubled record", &doubled, &honest);
        assert_eq!(outcome(&doubled, CriterionId::C2), Simple::Fail, "record {at} twice");
        let lost = sabotaged(|main| {
            let Found::Yes(entries) = &mut main.journal else { panic!() };
            entries.remove(at);
        });
        assert_eq!(outcome(&lost, CriterionId::C2), Simple::Fail, "record {at} taken out");
    }
}

#[test]
fn undefined_needs_the_zero_that_proves_it() {
    for field in ["total_trades", "net_pnl_usd", "win_rate_pct", "avg_loss_usd", "loop_latency_p99_ms"] {
        let mut changed = evidence();
        // Without a journal there is nothing but the file's own word.
        changed.settings.has_journal = false;
        let main = changed.main.as_mut().unwrap();
        main.journal = Found::No("none".into());
        let Found::Yes(file) = &mut main.kpi_file else { panic!() };
        file.fields.insert(field.into(), json!(null));
        file.fields.insert(format!("{field}_reason"), json!("undefined: trust me"));
        let analysis = judge(&changed);
        let found = analysis.kpis.iter().find(|k| k.field == field).unwrap();
        assert!(!found.value.is_present(), "{field}: {:?}", found.value);
    }
}

#[test]
fn a_waiver_excuses_no_lie() {
    let mut waived = evidence();
    for field in ["cpu_usage_pct", "memory_usage_mb", "net_pnl_usd"] {
        waived.settings.not_applicable.insert(field.into(), "we do not have it".into());
    }
    let Found::Yes(file) = &mut waived.main.as_mut().unwrap().kpi_file else { panic!() };
    file.fields.insert("cpu_usage_pct".into(), json!(90.0));
    file.fields.insert("net_pnl_usd".into(), json!(9_000.0));
    let analysis = judge(&waived);
    for (field, implausible) in [("cpu_usage_pct", true), ("net_pnl_usd", true), ("memory_usage_mb", false)] {
        let found = &analysis.kpis.iter().find(|k| k.field == field).unwrap().value;
        assert_eq!(matches!(found, Value::Implausible { .. }), implausible, "{field}: {found:?}");
    }
    assert_eq!(analysis.decision, Decision::NoGo);
}

#[test]
fn the_harder_reading_of_the_latency_decides() {
    // 79 ms by the runner, some 85 ms by the scrape: neighbouring buckets, so they agree, and the limit is 80.
    let slow = |own: f64, edges: &[(&str, f64)]| {
        let edges: Vec<(String, f64)> = edges.iter().map(|(e, n)| ((*e).to_owned(), *n)).collect();
        sabotaged(|main| {
            let Found::Yes(file) = &mut main.kpi_file else { panic!() };
            for (field, value) in [("loop_latency_avg_ms", 30.0), ("loop_latency_p95_ms", 60.0)] {
                file.fields.insert(field.into(), json!(value));
            }
            file.fields.insert("loop_latency_p99_ms".into(), json!(own));
            let Found::Yes(last) = &mut main.final_scrape else { panic!() };
            last.scrape.series.retain(|name, _| !name.starts_with("loop_latency"));
            for (edge, n) in &edges {
                last.scrape.series.insert(format!("loop_latency_seconds_bucket{{le=\"{edge}\"}}"), *n);
            }
            last.scrape.series.insert("loop_latency_seconds_sum".into(), 30_000.0);
            last.scrape.series.insert("loop_latency_seconds_count".into(), 1e6);
        })
    };
    let fine = [("0.05", 9.4e5), ("0.08", 9.88e5), ("0.1", 9.96e5), ("+Inf", 1e6)];
    assert_eq!(outcome(&slow(79.0, &fine), CriterionId::H1), Simple::Fail);
    let coarse = [("0.05", 9.4e5), ("0.1", 9.96e5), ("+Inf", 1e6)];
    assert_eq!(
        outcome(&slow(79.0, &coarse), CriterionId::H1),
        Simple::Pass,
        "its bucket cannot tell 79 from 85"
    );
    assert_eq!(outcome(&slow(81.0, &fine), CriterionId::H1), Simple::Fail);
}

#[test]
fn healthy_runners_are_not_convicted() {
    type Health = fn(&mut PhaseEvidence);
    let healthy: [(&str, Health); 6] = [
        ("an engine that allocates nothing", |main| {
            for sample in &mut main.samples {
                if let Found::Yes(os) = &mut sample.os {
                    os.rss_bytes = 119_000_000;
                    os.pss_bytes = 118_000_000;
                }
            }
            each_scrape(main, |_, scrape| {
                scrape.series.insert("process_memory_usage_mb".into(), 119.0);
            });
        }),
        ("a saw-tooth of memory", |main| {
            for (i, sample) in main.samples.iter_mut().enumerate() {
                let mb = 90 + (i as u64 % 9) * 3;
                if let Found::Yes(os) = &mut sample.os {
                    os.rss_bytes = mb * 1_000_000;
                }
                if let Found::Yes(scrape) = &mut sample.scrape {
                    scrape.series.insert("process_memory_usage_mb".into(), mb as f64);
                }
            }
        }),
        ("a gauge in whole percent of a quiet process", |main| {
            each_scrape(main, |_, scrape| {
                scrape.series.insert("process_cpu_usage_percent".into(), 21.0);
            });
        }),
        ("one spike of CPU between two polls", |main| {
            for sample in main.samples.iter_mut().filter(|s| s.t >= 1_800.0) {
                if let Found::Yes(os) = &mut sample.os {
                    os.cpu_seconds += 3.0;
                }
            }
            each_scrape(main, |_, scrape| {
                scrape.series.insert("process_cpu_usage_percent".into(), 21.0);
            });
        }),
        ("a peak in the KPI file that stands while memory moves below it", |main| {
            for (i, sample) in main.samples.iter_mut().enumerate() {
                if let Found::Yes(os) = &mut sample.os {
                    os.rss_bytes = 90_000_000 + (i as u64 % 5) * 5_000_000;
                }
                sample.kpi.insert("memory_usage_mb".into(), 118.0);
                if let Found::Yes(scrape) = &mut sample.scrape {
                    scrape.series.remove("process_memory_usage_mb");
                }
            }
        }),
        ("a metric that appears late", |main| {
            each_scrape(main, |t, scrape| {
                if t > 1_000.0 {
                    scrape.series.insert("arb_topn_alerts_total{severity=\"P3\"}".into(), 1.0);
                }
            });
        }),
    ];
    for (what, change) in healthy {
        let analysis = sabotaged(change);
        assert_eq!(violated(&analysis), Vec::<String>::new(), "{what}");
        assert_eq!(analysis.decision, Decision::CompleteGo, "{what}: {:?}", analysis.reasons);
    }
    // A quiet hour: zeros everywhere, smoke and main alike.
    let mut quiet = evidence();
    quiet.smoke = Some(phase("smoke", 60.0, 0));
    quiet.main = Some(phase("main", 3_600.0, 0));
    assert_eq!(violated(&judge(&quiet)), Vec::<String>::new());
}

#[test]
fn three_equal_continuous_figures_of_smoke_and_main_are_a_cached_result() {
    let with = |figures: &[(&str, f64)]| {
        let mut cached = evidence();
        for run in [cached.smoke.as_mut().unwrap(), cached.main.as_mut().unwrap()] {
            let Found::Yes(file) = &mut run.kpi_file else { panic!() };
            for (field, value) in figures {
                file.fields.insert((*field).into(), json!(value));
            }
        }
        violated(&judge(&cached)).iter().any(|rule| rule.starts_with("the same vector"))
    };
    let names = ["loop_latency_avg_ms", "loop_latency_p95_ms", "loop_latency_p99_ms"];
    let of = |values: [f64; 3]| -> Vec<(&str, f64)> { names.into_iter().zip(values).collect() };
    assert!(with(&of([12.51, 45.2, 72.1])), "the other figures differ, and three are enough");
    assert!(!with(&of([1.0, 2.0, 5.0])), "whole milliseconds are what rounding gives");
}

#[test]
fn a_person_settles_what_is_open_and_nothing_else() {
    let line = |id: CriterionId| Attested {
        format: 1,
        criterion: id,
        by: "Kim".into(),
        at: "2026-01-02T03:04:05Z".into(),
        evidence: "attestations/1_shot.png".into(),
        sha256: "ab".into(),
        previous: String::new(),
    };
    let judged = |ids: &[CriterionId], change: &dyn Fn(&mut Evidence)| {
        let mut evidence = evidence();
        change(&mut evidence);
        evidence.attestations = ids.iter().map(|id| line(*id)).collect();
        judge(&evidence)
    };
    let open = judged(&[CriterionId::C6], &|e| e.panels.clear());
    assert_eq!(outcome(&open, CriterionId::C6), Simple::Pass);
    assert_eq!((open.headline().as_str(), open.exit_code()), ("COMPLETE GO [attested: C6]", 0));
    assert_eq!(open.judged, "16 of 16 judged, C6 attested by a person");
    assert!(open.is_consistent());
    let failed = judged(&[CriterionId::C6], &|e| e.panels[0].run_id = Some("other".into()));
    assert_eq!(outcome(&failed, CriterionId::C6), Simple::Fail, "a FAIL is out of reach");
    let m4 = |e: &mut Evidence| {
        each_scrape(e.main.as_mut().unwrap(), |_, scrape| {
            scrape.series.retain(|name, _| !name.starts_with("notifier_available"));
        });
    };
    assert_eq!(
        outcome(&judged(&[CriterionId::M4], &m4), CriterionId::M4),
        Simple::Inconclusive,
        "not listed"
    );
    let listed = judged(&[CriterionId::M4], &|e| {
        m4(e);
        e.settings.attestable = vec![CriterionId::M4];
    });
    assert_eq!(outcome(&listed, CriterionId::M4), Simple::Pass);
    for id in [CriterionId::C1, CriterionId::C3, CriterionId::C4, CriterionId::C5] {
        let never = judged(&[id], &|e| {
            e.settings.attestable = CriterionId::ALL.to_vec();
            let main = e.main.as_mut().unwrap();
            main.alerts = Found::No("gone".into());
            main.log = Found::No("gone".into());
            main.final_scrape = Found::No("gone".into());
            each_scrape(main, |_, scrape| scrape.series.retain(|name, _| !name.starts_with("venue_books")));
        });
        assert_ne!(outcome(&never, id), Simple::Pass, "{id}");
        assert!(never.criteria.iter().all(|c| c.attested.is_none()), "{id}");
    }
    assert_eq!(outcome(&judged(&[CriterionId::C6], &|_| {}), CriterionId::C6), Simple::Pass);
}

#[test]
fn fixed_profits_are_found_without_a_journal_and_honest_ones_are_not() {
    let with = |pnl: &dyn Fn(f64) -> f64| {
        let mut evidence = evidence();
        evidence.settings.has_journal = false;
        let main = evidence.main.as_mut().unwrap();
        main.journal = Found::No("it keeps none".into());
        each_scrape(main, |_, scrape| scrape.series.retain(|name, _| !name.starts_with("arb_topn_pnl_usd")));
        for (i, sample) in main.samples.iter_mut().enumerate() {
            let trips = i as f64;
            sample.kpi = BTreeMap::from([
                ("round_trips_completed".to_owned(), trips),
                ("net_pnl_usd".to_owned(), pnl(trips)),
            ]);
        }
        let analysis = judge(&evidence);
        let found = analysis.plausibility.iter().find(|f| f.rule == "identical outcomes").unwrap();
        (found.status == PlausibilityStatus::Violated).then(|| found.figures.clone())
    };
    assert!(with(&|trips| trips * 2.5).is_some());
    assert_eq!(with(&|trips| (trips * trips * 0.013).round() / 100.0), None, "cents, growing");
    let varied = |trips: f64| ((trips * 0.7).sin() * 300.0 + trips * 2.0).round() / 100.0;
    assert_eq!(with(&varied), None, "cents of varied results");
    assert_eq!(with(&|_| 0.0), None, "a quiet hour");
}
