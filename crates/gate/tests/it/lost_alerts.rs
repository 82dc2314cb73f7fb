//! C4: every alert that was raised is accounted for, by the journal and the spools against the tables of the alert store.

use crate::fixture::evidence;
use catalogue::CriterionId;
use gate::evidence::*;
use gate::{CriterionResult, Outcome, Simple, judge};
use journal::{AlertFields, Body, Entry};
use market::Timestamp;
use std::collections::BTreeMap;

fn entry(id: &str, commit: bool) -> Entry {
    let fields = AlertFields {
        alert_id: id.into(),
        rule_id: "BOOK-RESYNC".into(),
        title: "a gap".into(),
        message: "a gap".into(),
        labels: BTreeMap::new(),
        key: String::new(),
    };
    Entry { seq: 0, input_seq: 0, at: Timestamp(0), commit, body: fields.into() }
}

fn alert(id: &str, disposition: &str) -> AlertRow {
    AlertRow {
        alert_id: id.into(),
        phase: "main".into(),
        rule_id: "BOOK-RESYNC".into(),
        severity: "P2".into(),
        title: "a gap".into(),
        raised_at_ms: 0,
        disposition: disposition.into(),
    }
}

fn delivery(n: i64, id: &str, status: &str) -> DeliveryRow {
    DeliveryRow {
        delivery_id: n,
        alert_id: id.into(),
        phase: "main".into(),
        notifier: "telegram".into(),
        status: status.into(),
        attempt: 1,
        latency_ms: None,
        last_error: None,
        fallback_of: None,
    }
}

/// The main run after a change to it: C4, and the whole run's KPIs as they were.
#[track_caller]
fn c4(change: impl FnOnce(&mut Settings, &mut PhaseEvidence)) -> CriterionResult {
    let mut evidence = evidence();
    change(&mut evidence.settings, evidence.main.as_mut().unwrap());
    judge(&evidence).criteria.into_iter().find(|c| c.id == CriterionId::C4).unwrap()
}

fn journal(main: &mut PhaseEvidence) -> &mut Vec<Entry> {
    let Found::Yes(entries) = &mut main.journal else { panic!() };
    entries
}

fn rows(main: &mut PhaseEvidence) -> &mut AlertRows {
    let Found::Yes(rows) = &mut main.alerts else { panic!() };
    rows
}

#[track_caller]
fn inconclusive(found: &CriterionResult, words: &[&str]) {
    let Outcome::Inconclusive { why } = &found.outcome else { panic!("{found:?}") };
    assert!(words.iter().all(|word| why.contains(word)), "{why}");
}

#[test]
fn an_alert_of_the_journal_without_a_row_is_lost() {
    let known = c4(|_, main| {
        // Behind the end record nothing is read as unfinished: each entry ends its input.
        journal(main).insert(5, entry("run-1.main-1", true));
        rows(main).alerts.push(alert("run-1.main-1", "throttled"));
    });
    assert_eq!(known.outcome, Outcome::Pass, "{known:?}");
    assert!(known.value.contains("3 raised = 2 delivered + 0 dead + 1 throttled"), "{}", known.value);

    let lost = c4(|_, main| {
        for n in 1..=5 {
            journal(main).insert(5, entry(&format!("run-1.main-{n}"), true));
        }
        rows(main).alerts.push(alert("run-1.main-1", "store_only"));
    });
    assert_eq!(lost.outcome, Outcome::Fail, "{lost:?}");
    let said = "4 alerts raised and never stored (run-1.main-2, run-1.main-3, run-1.main-4, ...)";
    assert!(lost.value.starts_with(said), "{}", lost.value);
    assert!(lost.value.contains("+ 1 stored only + 0 open + 4 lost"), "{}", lost.value);
}

#[test]
fn an_alert_of_a_spool_counts_like_one_of_the_journal() {
    let lost = c4(|_, main| main.spooled = Found::Yes(vec![entry("run-1.main-s1", true)]));
    assert_eq!(lost.outcome, Outcome::Fail, "{lost:?}");
    assert!(lost.value.contains("1 alert raised and never stored (run-1.main-s1)"), "{}", lost.value);
}

/// A kill may leave half an input in the journal: no restart would raise what stands in it.
#[test]
fn what_no_whole_input_holds_was_not_raised() {
    let found = c4(|_, main| journal(main).push(entry("run-1.main-9", false)));
    assert_eq!(found.outcome, Outcome::Pass, "{found:?}");
}

#[test]
fn what_is_open_at_the_end_proves_nothing() {
    for status in ["PENDING", "SENDING", "RETRY", "something new"] {
        let open = c4(|_, main| {
            journal(main).insert(5, entry("run-1.main-1", true));
            rows(main).alerts.push(alert("run-1.main-1", "deliver"));
            rows(main).deliveries.push(delivery(7, "run-1.main-1", status));
        });
        inconclusive(&open, &["1 delivery still open at the end (telegram 1)", "neither delivered nor lost"]);
        assert!(open.value.contains("+ 1 open"), "{}", open.value);
    }
}

#[test]
fn an_alert_to_be_delivered_has_a_delivery() {
    let unsent = c4(|_, main| rows(main).alerts.push(alert("run-1.main-1", "deliver")));
    assert_eq!(unsent.outcome, Outcome::Fail, "{unsent:?}");
    assert!(unsent.value.contains("1 alert without any delivery (run-1.main-1)"), "{}", unsent.value);

    let dropped = |taken_over: bool| {
        c4(|_, main| {
            rows(main).alerts.push(alert("run-1.main-1", "deliver"));
            rows(main).deliveries.push(delivery(7, "run-1.main-1", "FAILED"));
            if taken_over {
                let mut next = delivery(8, "run-1.main-1", "SENT");
                (next.notifier, next.fallback_of) = ("slack".into(), Some(7));
                rows(main).deliveries.push(next);
            }
        })
    };
    assert_eq!(dropped(true).outcome, Outcome::Pass);
    let dropped = dropped(false);
    assert_eq!(dropped.outcome, Outcome::Fail, "{dropped:?}");
    assert!(dropped.value.contains("1 alert given up and not taken over"), "{}", dropped.value);
}

#[test]
fn what_an_operator_cancelled_is_said() {
    let found = c4(|_, main| {
        rows(main).alerts.push(alert("run-1.main-1", "deliver"));
        rows(main).deliveries.push(delivery(7, "run-1.main-1", "CANCELLED"));
    });
    assert_eq!(found.outcome, Outcome::Pass);
    assert_eq!(found.note.as_deref(), Some("1 delivery cancelled by an operator"));
    assert!(found.value.contains("+ 1 cancelled"), "{}", found.value);
}

#[test]
fn without_knowing_what_was_raised_nothing_is_proven() {
    let gone = c4(|_, main| main.journal = Found::No("journal.log: its last line is torn".into()));
    inconclusive(&gone, &["what was raised is not known", "torn"]);
    let spool = c4(|_, main| main.spooled = Found::No("spool.log: not found".into()));
    inconclusive(&spool, &["what was raised is not known", "spool.log"]);
    let strange = c4(|_, main| {
        let Body::Start { run_id, .. } = &mut journal(main)[0].body else { panic!() };
        *run_id = "run-7.main".into();
    });
    inconclusive(&strange, &["run-7.main"]);
    // What is shown to be lost stays so, whatever else is not known.
    let lost = c4(|_, main| {
        main.journal = Found::No("gone".into());
        rows(main).deliveries[0].status = "DLQ".into();
    });
    assert_eq!(lost.outcome.simple(), Simple::Fail);
}

/// A runner that keeps no journal: its tables and metrics are all there is.
#[test]
fn a_runner_without_a_journal_is_judged_by_its_table() {
    let found = c4(|settings, main| {
        settings.has_journal = false;
        settings.not_applicable.insert("journal".into(), "it keeps none".into());
        main.journal = Found::No("the runner keeps no journal".into());
        main.spooled = Found::Yes(vec![]);
    });
    assert_eq!(found.outcome, Outcome::Pass, "{found:?}");
    let open = c4(|settings, main| {
        settings.has_journal = false;
        rows(main).alerts.push(alert("x-1", "deliver"));
        rows(main).deliveries.push(delivery(7, "x-1", "RETRY"));
    });
    inconclusive(&open, &["telegram 1"]);
}

#[test]
fn an_alert_of_an_earlier_run_of_the_same_name_is_no_other_one() {
    let id = "run-1.main-1";
    let change = |main: &mut PhaseEvidence| {
        journal(main).insert(5, entry(id, true));
        rows(main).alerts.push(AlertRow { raised_at_ms: -60_000, ..alert(id, "throttled") });
    };
    let lost = c4(|_, main| change(main));
    assert_eq!(lost.outcome, Outcome::Fail, "{lost:?}");
    let stored = c4(|_, main| {
        change(main);
        rows(main).alerts.push(alert(&format!("{id}~0123456789abcdef"), "throttled"));
    });
    assert_eq!(stored.outcome, Outcome::Pass, "{stored:?}");
}
