//! Whole judgements: a healthy run, and what each sabotage turns it into.

use crate::fixture::evidence;
use catalogue::{CriterionId, RuleId};
use gate::evidence::*;
use gate::judge::{HeadlineState, PlausibilityStatus};
use gate::rules::{Action, Comparison, Condition, RuleName, RuleSpec, Signal, Window};
use gate::{Analysis, CrossCheck, Decision, Outcome, Simple, Value, differences, judge};
use serde_json::json;

fn outcome(analysis: &Analysis, id: CriterionId) -> Simple {
    analysis.criteria.iter().find(|c| c.id == id).unwrap().outcome.simple()
}

fn value(analysis: &Analysis, id: CriterionId) -> String {
    analysis.criteria.iter().find(|c| c.id == id).unwrap().value.clone()
}

fn kpi<'a>(analysis: &'a Analysis, field: &str) -> &'a Value {
    &analysis.kpis.iter().find(|k| k.field == field).unwrap().value
}

/// Judges the healthy run after `change` to its main phase.
fn sabotaged(change: impl FnOnce(&mut PhaseEvidence)) -> Analysis {
    let mut evidence = evidence();
    change(evidence.main.as_mut().unwrap());
    judge(&evidence)
}

fn field(main: &mut PhaseEvidence, name: &str, value: serde_json::Value) {
    let Found::Yes(file) = &mut main.kpi_file else { panic!() };
    file.fields.insert(name.into(), value);
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
fn a_healthy_hour_is_a_complete_go() {
    let analysis = judge(&evidence());
    for criterion in &analysis.criteria {
        assert_eq!(criterion.outcome, Outcome::Pass, "{criterion:?}");
    }
    for kpi in &analysis.kpis {
        assert!(matches!(kpi.cross_check, CrossCheck::Agreed { .. }), "{kpi:?}");
    }
    assert_eq!((analysis.kpis.len(), analysis.criteria.len(), analysis.plausibility.len()), (32, 16, 13));
    assert!(
        analysis.plausibility.iter().all(|f| f.status != PlausibilityStatus::Violated),
        "{:?}",
        analysis.plausibility
    );
    assert_eq!(analysis.decision, Decision::CompleteGo);
    assert_eq!(analysis.headline(), "COMPLETE GO");
    assert_eq!(analysis.exit_code(), 0);
    assert!(analysis.capped.is_empty(), "{:?}", analysis.capped);
    assert_eq!((analysis.system.state, analysis.strategy.state), (HeadlineState::Ok, HeadlineState::Ok));
    assert_eq!(analysis.judged, "16 of 16 judged");
    assert_eq!(analysis.series.latency.len(), 6);
    let text = serde_json::to_string(&analysis).unwrap();
    let back: Analysis = serde_json::from_str(&text).unwrap();
    assert_eq!(differences(&back, &analysis), Vec::<String>::new());
    assert_eq!(
        (back.plausibility, back.reasons, back.diagnosis),
        (analysis.plausibility.clone(), analysis.reasons.clone(), analysis.diagnosis.clone())
    );
    assert_eq!(differences(&analysis, &judge(&evidence())), Vec::<String>::new());
}

#[test]
fn a_run_of_a_version_without_a_rule_is_capped() {
    let mut evidence = evidence();
    evidence.settings.rules.retain(|spec| spec.name != RuleId::A3 && spec.name != RuleId::B1);
    let analysis = judge(&evidence);
    assert_eq!(analysis.decision, Decision::ConditionalGo);
    assert_eq!(
        analysis.capped,
        ["A3 (Notifier down) is not built in this version", "B1 (Low win rate) is not built in this version"]
    );
}

#[test]
fn a_rule_of_the_users_caps_or_aborts_as_it_says() {
    let with = |action| {
        let mut evidence = evidence();
        let when = Condition { signal: Signal::CpuPct, comparison: Comparison::Above, threshold: 5.0 };
        evidence.settings.rules.push(RuleSpec {
            name: RuleName::new("busy"),
            when,
            and: None,
            window: Window::For(60.0),
            min_events: None,
            grace_s: None,
            action,
        });
        judge(&evidence)
    };
    let warned = with(Action::Warn);
    assert_eq!(warned.decision, Decision::ConditionalGo);
    assert_eq!(warned.capped, ["busy fired: cpu_pct > 5 % for 60 s"]);
    assert_eq!(with(Action::Abort).headline(), "NO-GO (aborted: busy)");
}

#[test]
fn a_rehearsal_says_so() {
    let mut evidence = evidence();
    evidence.class = EvidenceClass::Rehearsal { why: "local exchange".into() };
    let analysis = judge(&evidence);
    assert_eq!(analysis.headline(), "REHEARSAL: would be COMPLETE GO");
    assert_eq!(analysis.exit_code(), 12);
}

#[test]
fn an_absent_kpi_fails_c2() {
    let gone = sabotaged(|main| {
        let Found::Yes(file) = &mut main.kpi_file else { panic!() };
        file.fields.remove("max_drawdown_usd");
    });
    assert_eq!(outcome(&gone, CriterionId::C2), Simple::Fail);
    assert!(value(&gone, CriterionId::C2).contains("max_drawdown_usd"));
    assert_eq!(gone.exit_code(), 20);
    let text = sabotaged(|main| field(main, "win_rate_pct", json!("66.7")));
    assert_eq!(outcome(&text, CriterionId::C2), Simple::Fail);
    assert_eq!(outcome(&text, CriterionId::M1), Simple::Inconclusive);
    let unfinished = sabotaged(|main| {
        let Found::Yes(file) = &mut main.kpi_file else { panic!() };
        file.complete = Some(false);
    });
    assert_eq!(outcome(&unfinished, CriterionId::C2), Simple::Fail);
    let nothing = sabotaged(|main| main.kpi_file = Found::No("there is none".into()));
    assert_eq!(nothing.decision, Decision::NoGo);
}

#[test]
fn an_undefined_kpi_is_present() {
    let analysis = sabotaged(|main| field(main, "guard_false_positives", json!(null)));
    assert!(
        matches!(kpi(&analysis, "guard_false_positives"), Value::Absent { .. }),
        "null without a reason is absent"
    );
}

#[test]
fn figures_that_differ_from_the_journal_are_implausible() {
    for name in [
        "net_pnl_usd",
        "gross_pnl_usd",
        "total_pnl_usd",
        "win_rate_pct",
        "avg_loss_usd",
        "guard_false_positives",
    ] {
        let analysis = sabotaged(|main| field(main, name, json!(77.0)));
        assert!(matches!(kpi(&analysis, name), Value::Implausible { .. }), "{name}");
        assert_eq!(outcome(&analysis, CriterionId::C2), Simple::Fail, "{name}");
    }
}

#[test]
fn constants_for_cpu_and_memory_are_implausible() {
    let cpu = sabotaged(|main| field(main, "cpu_usage_pct", json!(35.0)));
    assert!(matches!(kpi(&cpu, "cpu_usage_pct"), Value::Implausible { .. }));
    let memory = sabotaged(|main| field(main, "peak_rss_bytes", json!(150_000_000)));
    assert!(matches!(kpi(&memory, "memory_usage_mb"), Value::Implausible { .. }));
    let flat = sabotaged(|main| {
        for (i, sample) in main.samples.iter_mut().enumerate() {
            if let Found::Yes(os) = &mut sample.os {
                os.rss_bytes += i as u64 * 100_000;
            }
        }
        each_scrape(main, |_, scrape| {
            scrape.series.insert("process_memory_usage_mb".into(), 150.0);
        });
    });
    assert!(matches!(kpi(&flat, "memory_usage_mb"), Value::Implausible { .. }));
}

#[test]
fn another_process_behind_the_port_fails_c5_and_is_named() {
    let socket = sabotaged(|main| {
        let Found::Yes(last) = &mut main.final_scrape else { panic!() };
        last.socket_in_group = Some(false);
        last.socket_owner = Some("pid 99 (node_exporter)".into());
    });
    assert_eq!(outcome(&socket, CriterionId::C5), Simple::Fail);
    assert!(value(&socket, CriterionId::C5).contains("pid 99 (node_exporter)"));
    let other = sabotaged(|main| {
        let Found::Yes(last) = &mut main.final_scrape else { panic!() };
        last.run_id = Some("other".into());
    });
    assert_eq!(outcome(&other, CriterionId::C5), Simple::Fail);
    let none = sabotaged(|main| main.final_scrape = Found::No("refused".into()));
    assert_eq!(outcome(&none, CriterionId::C5), Simple::Inconclusive);
    assert_eq!(outcome(&none, CriterionId::C2), Simple::Fail);
}

#[test]
fn missed_polls_fail_c5_only_beyond_the_allowance() {
    let miss = |n: usize| {
        sabotaged(move |main| {
            for i in 0..n {
                main.samples[100 + 7 * i].scrape = Found::No("timeout".into());
            }
        })
    };
    assert_eq!(outcome(&miss(3), CriterionId::C5), Simple::Pass);
    assert_eq!(outcome(&miss(4), CriterionId::C5), Simple::Fail);
    let dropped = sabotaged(|main| {
        main.samples.drain(100..110);
    });
    assert_eq!(outcome(&dropped, CriterionId::C5), Simple::Fail, "polls that left no sample are missed");
}

#[test]
fn books_that_were_not_live_fail_c1() {
    let half = sabotaged(|main| {
        each_scrape(main, |t, scrape| {
            if t > 1_800.0 {
                scrape.series.insert("venue_books{state=\"live\",venue=\"upbit\"}".into(), 0.0);
                scrape.series.insert("venue_books{state=\"syncing\",venue=\"upbit\"}".into(), 50.0);
            }
        });
    });
    assert_eq!(outcome(&half, CriterionId::C1), Simple::Fail);
    let gone = sabotaged(|main| {
        each_scrape(main, |_, scrape| scrape.series.retain(|name, _| !name.starts_with("venue_books")));
    });
    assert_eq!(outcome(&gone, CriterionId::C1), Simple::Inconclusive);
    assert_eq!(gone.headline(), "NO-GO (not proven)");
    let short = sabotaged(|main| main.end.as_mut().unwrap().ran_s = 3_500.0);
    assert_eq!(outcome(&short, CriterionId::C1), Simple::Fail);
}

#[test]
fn crashes_dead_letters_and_silence_are_no_go() {
    let crash = sabotaged(|main| {
        let Found::Yes(log) = &mut main.log else { panic!() };
        log.blocks.push(CrashBlock {
            at_s: 9.0,
            language: "rust".into(),
            kind: "worker_died".into(),
            text: "thread 'feed' panicked at src/feed.rs:1".into(),
            before: vec![],
        });
    });
    assert_eq!(outcome(&crash, CriterionId::C3), Simple::Fail);
    assert!(
        crash
            .diagnosis
            .iter()
            .any(|d| d.question.contains("crash") && d.evidence.iter().any(|l| l.contains("feed.rs")))
    );
    let handled = sabotaged(|main| {
        let Found::Yes(log) = &mut main.log else { panic!() };
        log.blocks.push(CrashBlock {
            at_s: 9.0,
            language: "python".into(),
            kind: "handled".into(),
            text: "Traceback".into(),
            before: vec![],
        });
    });
    assert_eq!(handled.decision, Decision::CompleteGo, "a handled exception convicts nobody");
    let dead = sabotaged(|main| {
        let Found::Yes(rows) = &mut main.alerts else { panic!() };
        rows.deliveries[0].status = "DLQ".into();
    });
    assert_eq!(outcome(&dead, CriterionId::C4), Simple::Fail);
    let silent = sabotaged(|main| {
        let Found::Yes(rows) = &mut main.alerts else { panic!() };
        rows.deliveries.clear();
    });
    assert_eq!(outcome(&silent, CriterionId::C4), Simple::Fail);
    let no_table = sabotaged(|main| main.alerts = Found::No("gone".into()));
    assert_eq!(outcome(&no_table, CriterionId::C4), Simple::Inconclusive);
    let no_end = sabotaged(|main| main.end = None);
    assert!(no_end.interrupted.is_some());
    assert_eq!((no_end.decision, no_end.exit_code()), (Decision::NoGo, 130));
}

#[test]
fn panels_must_answer_and_be_of_this_run() {
    let judged = |change: &dyn Fn(&mut Vec<PanelCheck>)| {
        let mut evidence = evidence();
        change(&mut evidence.panels);
        outcome(&judge(&evidence), CriterionId::C6)
    };
    assert_eq!(judged(&|p| p.clear()), Simple::Inconclusive);
    assert_eq!(judged(&|p| p.truncate(3)), Simple::Inconclusive);
    assert_eq!(judged(&|p| p[0].has_data = false), Simple::Fail);
    // Stored data is as old as it says.
    let older = |p: &mut Vec<PanelCheck>, age: Option<f64>| {
        p.iter_mut().for_each(|check| (check.anchor.as_mut().unwrap().1, check.age_s) = (280_000.0, age));
    };
    assert_eq!(judged(&|p| older(p, None)), Simple::Fail);
    assert_eq!(judged(&|p| older(p, Some(300.0))), Simple::Pass);
    // A dashboard that is away proves nothing, either way.
    let away = |p: &mut PanelCheck| (p.has_data, p.unanswered, p.anchor) = (false, true, None);
    assert_eq!(judged(&|p| p.iter_mut().for_each(away)), Simple::Inconclusive);
    let went_away = |p: &mut Vec<PanelCheck>, had_data: bool| {
        let mut later = p[0].clone();
        (later.t, p[0].has_data) = (later.t + 300.0, had_data);
        away(&mut later);
        p.push(later);
    };
    assert_eq!(judged(&|p| went_away(p, true)), Simple::Inconclusive);
    assert_eq!(judged(&|p| went_away(p, false)), Simple::Fail, "an empty panel stays one");
    assert_eq!(judged(&|p| p[0].run_id = Some("other".into())), Simple::Fail);
    assert_eq!(judged(&|p| p[0].run_id = None), Simple::Inconclusive);
    assert_eq!(judged(&|p| p[0].process_start = Some(1.0)), Simple::Fail);
    assert_eq!(judged(&|p| p[0].anchor.as_mut().unwrap().1 = 1.0), Simple::Fail);
}

#[test]
fn an_abort_stands_even_when_the_end_record_forgets_it() {
    let recorded = sabotaged(|main| {
        main.rule_events.push(RuleEvent {
            t: 9.0,
            rule: RuleId::A4.into(),
            state: RuleState::Fired,
            text: "slow".into(),
        });
    });
    assert_eq!((recorded.decision, recorded.exit_code()), (Decision::NoGo, 21));
    assert_eq!(recorded.headline(), "NO-GO (aborted: A4)");
    let replayed = sabotaged(|main| {
        each_scrape(main, |t, scrape| {
            if t > 1_000.0 {
                scrape.series.insert("arb_topn_loop_iterations_total".into(), 100_000.0);
            }
        });
    });
    assert_eq!(replayed.aborted.unwrap().cause, "A8", "the rules are run again over the samples");
}

#[test]
fn a_cached_result_and_broken_counters_are_found() {
    let mut cached = evidence();
    cached.smoke.as_mut().unwrap().kpi_file = cached.main.as_ref().unwrap().kpi_file.clone();
    let analysis = judge(&cached);
    assert!(matches!(kpi(&analysis, "net_pnl_usd"), Value::Implausible { .. }));
    let backwards = sabotaged(|main| {
        each_scrape(main, |t, scrape| {
            if t > 2_000.0 {
                scrape.series.insert("process_cpu_seconds_total".into(), t * 0.1);
            }
        });
    });
    assert_eq!(outcome(&backwards, CriterionId::C2), Simple::Fail);
    let parts = sabotaged(|main| field(main, "wins", json!(3)));
    assert_eq!(outcome(&parts, CriterionId::C2), Simple::Fail);
}

#[test]
fn a_calm_market_is_system_ok_and_strategy_not_proven() {
    let mut calm = evidence();
    for phase in [&mut calm.smoke, &mut calm.main] {
        let name = phase.as_ref().unwrap().phase.clone();
        *phase = Some(crate::fixture::phase(&name, phase.as_ref().unwrap().planned_s, 0));
    }
    // Nothing reached the threshold.
    let main = calm.main.as_mut().unwrap();
    let Found::Yes(entries) = &mut main.journal else { panic!() };
    for entry in entries {
        if let journal::Body::Funnel { counts, .. } = &mut entry.body {
            counts.insert("above_threshold".into(), 0);
        }
    }
    // Without a trade the journal still has its equity point each second.
    let equity = journal::Body::Equity {
        pnl_usd: market::Money::ZERO,
        net_usd: market::Money::ZERO,
        drawdown_usd: market::Money::ZERO,
        fx_effect_usd: Some(market::Money::ZERO),
        transfer_cost_usd: None,
        fx: journal::record::FxUsed {
            rate: market::FxRate(market::Price::from_int(1_400)),
            age_ms: 0,
            source: journal::record::FxSource::UpbitMid,
        },
        marks: vec![],
    };
    let Found::Yes(entries) = &mut calm.main.as_mut().unwrap().journal else { panic!() };
    let mut end = entries.pop().unwrap();
    entries.push(journal::Entry { body: equity, ..end.clone() });
    (end.seq, end.input_seq) = (end.seq + 1, end.input_seq + 1);
    entries.push(end);
    let analysis = judge(&calm);
    assert_eq!(analysis.system.state, HeadlineState::Ok, "{}", analysis.system.sentence);
    assert_eq!(analysis.strategy.state, HeadlineState::NotProven);
    assert!(analysis.strategy.sentence.starts_with("STRATEGY not proven"));
    assert_eq!(analysis.decision, Decision::ConditionalGo, "{:?}", analysis.reasons);
    assert!(
        analysis.diagnosis.iter().any(|d| d.finding.contains("no opportunity")),
        "{:?}",
        analysis.diagnosis
    );
    assert!(analysis.capped.iter().any(|c| c.contains("B2")), "{:?}", analysis.capped);
}

#[test]
fn a_failed_smoke_is_judged_on_what_it_showed() {
    let mut evidence = evidence();
    evidence.main = None;
    evidence.panels.clear();
    let analysis = judge(&evidence);
    assert_eq!(analysis.decision, Decision::NoGo);
    assert!(
        analysis.criteria.iter().all(|c| c.outcome == Outcome::Inconclusive { why: "no main run".into() })
    );
    evidence.smoke_failed =
        Some(vec!["books were Live for 40 %".into(), "no pair was ever evaluated".into()]);
    let analysis = judge(&evidence);
    assert_eq!((analysis.exit_code(), analysis.headline().as_str()), (31, "NO-GO (smoke failed)"));
    assert!(analysis.reasons[0].contains("books were Live for 40 %; no pair"), "{:?}", analysis.reasons);
    assert!(analysis.system.sentence.contains("the smoke failed"), "{}", analysis.system.sentence);
    assert!(analysis.is_consistent());
    evidence.smoke_failed = None;
    evidence.smoke.as_mut().unwrap().end.as_mut().unwrap().exit_code = Some(1);
    assert_eq!(outcome(&judge(&evidence), CriterionId::C3), Simple::Fail);
    evidence.smoke = None;
    assert_eq!(judge(&evidence).decision, Decision::NoGo);
}

#[test]
fn differences_name_what_differs() {
    let honest = judge(&evidence());
    let edited = sabotaged(|main| field(main, "net_pnl_usd", json!(5000.0)));
    let text = differences(&honest, &edited).join("\n");
    assert!(text.contains("net_pnl_usd") && text.contains("C2") && text.contains("decision"), "{text}");
}

#[test]
fn a_table_that_differs_is_called_different() {
    let honest = judge(&evidence());
    let mut edited = honest.clone();
    edited.series.memory_plain_pct = Some(77.0);
    let text = differences(&honest, &edited);
    assert_eq!(
        text,
        ["curves and tables: the recorded and the recomputed ones differ (in memory_plain_pct)"]
    );
}

#[test]
fn caps_are_listed() {
    let mut custom = evidence();
    custom.settings.custom_differences = vec!["main 60 s".into()];
    custom.round_trip_proof = RoundTripProof::None { why: "foreign".into() };
    custom.class = EvidenceClass::Declared { why: "foreign".into() };
    let analysis = judge(&custom);
    for what in ["custom profile: main 60 s", "declared", "no round trip was proven"] {
        assert!(analysis.capped.iter().any(|c| c.contains(what)), "{what}: {:?}", analysis.capped);
    }
}

#[test]
fn the_same_result_at_distinct_prices_is_no_market() {
    let analysis = sabotaged(|main| {
        let Found::Yes(entries) = &mut main.journal else { panic!() };
        for entry in entries {
            if let journal::Body::Closed { net_usd, .. } = &mut entry.body {
                *net_usd = market::Money::from_int(1);
            }
        }
    });
    let found = analysis.plausibility.iter().find(|f| f.rule == "identical outcomes").unwrap();
    assert_eq!(found.status, PlausibilityStatus::Violated, "{found:?}");
}

#[test]
fn high_limits_are_judged_by_their_thresholds() {
    let leak = sabotaged(|main| {
        for sample in &mut main.samples {
            if let Found::Yes(os) = &mut sample.os {
                os.pss_bytes += (sample.t * 20_000.0) as u64;
            }
        }
    });
    assert_eq!(outcome(&leak, CriterionId::H3), Simple::Fail, "{}", value(&leak, CriterionId::H3));
    assert_eq!(leak.headline(), "NO-GO (aborted: A6)", "A6 and H3 look at the one same figure");
    assert!(leak.diagnosis.iter().any(|d| d.question.contains("memory")));
    let waived = {
        let mut evidence = evidence();
        evidence.settings.not_applicable.insert("H5".into(), "no guards".into());
        judge(&evidence)
    };
    assert_eq!(outcome(&waived, CriterionId::H5), Simple::Inconclusive);
    assert_eq!(waived.decision, Decision::ConditionalGo, "one High may be open");
    assert_eq!(waived.judged, "15 of 16 judged");
}

#[test]
fn an_emergency_stop_is_an_abort_and_no_crash() {
    let analysis = sabotaged(|main| {
        let end = main.end.as_mut().unwrap();
        end.exit_code = Some(3);
        end.ran_s = 900.0;
        end.abort = Some(Abort { cause: "EMERGENCY-STOP".into(), at_s: 900.0, text: "-800 USD".into() });
    });
    assert_eq!(outcome(&analysis, CriterionId::C3), Simple::Pass);
    assert_eq!((analysis.headline().as_str(), analysis.exit_code()), ("NO-GO (aborted: EMERGENCY-STOP)", 21));
}

/// Without a journal the page is what there is: a total that is typed into the KPI file meets the one that was scraped.
#[test]
fn without_a_journal_the_file_is_held_against_the_page() {
    let judged = |trips: f64, pnl: f64, fall: f64, change: &[(&str, serde_json::Value)]| {
        let mut evidence = evidence();
        evidence.settings.has_journal = false;
        let main = evidence.main.as_mut().unwrap();
        main.journal = Found::No("the runner writes none".into());
        each_scrape(main, |t, scrape| {
            let n = (trips * t / 3_600.0).floor().min(trips);
            for (series, value) in [
                ("arb_topn_trades_total{trade_type=\"entry\"}", n),
                ("arb_topn_trades_total{trade_type=\"exit\"}", n),
                ("arb_topn_round_trips_total", n),
                ("arb_topn_active_positions", 0.0),
                ("arb_topn_pnl_usd", pnl),
                ("arb_topn_drawdown_usd", fall),
            ] {
                scrape.series.insert(series.into(), value);
            }
        });
        for (name, to) in change {
            field(main, name, to.clone());
        }
        judge(&evidence)
    };
    let trips =
        [("entry_trades", json!(40)), ("exit_trades", json!(40)), ("round_trips_completed", json!(40))];
    let file = |pnl: f64, fall: f64| {
        let mut all = trips.to_vec();
        all.extend([
            ("total_trades", json!(80)),
            ("total_pnl_usd", json!(pnl)),
            ("max_drawdown_usd", json!(fall)),
        ]);
        all
    };
    let honest = judged(40.0, 12.34, 3.0, &file(12.34, 5.0));
    for name in [
        "total_trades",
        "entry_trades",
        "exit_trades",
        "round_trips_completed",
        "total_pnl_usd",
        "max_drawdown_usd",
    ] {
        let kpi = honest.kpis.iter().find(|k| k.field == name).unwrap();
        assert!(matches!(kpi.cross_check, CrossCheck::Agreed { .. }), "{kpi:?}");
    }
    // Typed totals, an understated fall, a page that had counted further.
    let typed = judged(40.0, 12.34, 3.0, &file(500.0, 5.0));
    assert!(matches!(kpi(&typed, "total_pnl_usd"), Value::Implausible { .. }));
    let kinder = judged(40.0, 12.34, 3.0, &file(12.34, 1.0));
    assert!(matches!(kpi(&kinder, "max_drawdown_usd"), Value::Implausible { .. }));
    for page in [0.0, 60.0] {
        let typed = judged(page, 12.34, 3.0, &file(12.34, 5.0));
        assert!(matches!(kpi(&typed, "round_trips_completed"), Value::Implausible { .. }), "{page}");
        assert_eq!(outcome(&typed, CriterionId::C2), Simple::Fail);
    }
    // A trade after the last scrape explains itself, and then the result may differ too.
    let later = judged(39.0, 12.0, 3.0, &file(12.34, 5.0));
    for name in ["round_trips_completed", "total_pnl_usd"] {
        let kpi = later.kpis.iter().find(|k| k.field == name).unwrap();
        assert!(matches!(kpi.cross_check, CrossCheck::NotAvailable { .. }), "{kpi:?}");
    }
}
