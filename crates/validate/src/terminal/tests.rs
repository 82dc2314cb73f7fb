//! The words of the screen.

use super::text::{
    Paint, Verdict, bar, clock, exit_meaning, figure_lines, harmless, phase_end, phase_line, rule_line,
};
use crate::watch::status::PhaseStatus;
use catalogue::{CriterionId, RuleId};
use gate::evidence::RuleState;
use gate::{Decision, RuleStatus};
use std::path::Path;

const PLAIN: Paint = Paint(false);

fn status() -> PhaseStatus {
    let rule = |rule: RuleId, state, since_s, text: &str| RuleStatus {
        rule: rule.into(),
        state,
        since_s,
        text: text.to_owned(),
    };
    PhaseStatus::new(
        "main",
        723.0,
        3_600.0,
        None,
        vec![
            rule(RuleId::A4, RuleState::Pending, 700.0, "pending for 23 s of 300 s: loop latency p99 120 ms"),
            rule(RuleId::A2, RuleState::Clear, 0.0, "clear"),
            rule(RuleId::B2, RuleState::Fired, 600.0, "0 round trips for 1800 s"),
        ],
        (72, 1),
    )
}

#[test]
fn bars_and_clocks() {
    assert_eq!(bar(0.0, 4), "[----]");
    assert_eq!(bar(0.5, 4), "[##--]");
    assert_eq!(bar(1.7, 4), "[####]");
    assert_eq!(bar(f64::NAN, 4), "[----]");
    assert_eq!([clock(9.9), clock(723.0), clock(3_600.0), clock(-1.0)], ["0:09", "12:03", "1:00:00", "0:00"]);
}

#[test]
fn the_live_block_says_where_it_stands() {
    let line = phase_line("main", 723.0, 3_600.0);
    assert!(line.starts_with("main  [#####---") && line.ends_with("12:03 of 1:00:00  47:57 left"), "{line}");
    assert!(phase_line("main", 3_605.0, 3_600.0).ends_with("ending, 0:05 over"));
    let [first, second] = figure_lines(&status());
    assert!(first.contains("round trips -") && second.contains("polls 72, missed 1"), "{first} {second}");
    let rules = rule_line(&status(), PLAIN);
    assert_eq!(
        rules,
        "rules: A4 pending for 23 s of 300 s: loop latency p99 120 ms   B2 FIRED for 123 s: 0 round trips for 1800 s"
    );
    assert_eq!(phase_end(&status()), "  main over: - round trips, PnL -, win rate -; 72 polls, 1 missed");
    for line in [phase_line("main", 723.0, 3_600.0), first, second] {
        assert!(line.chars().count() <= 78, "{line}");
    }
}

fn verdict(analysis: &gate::Analysis) -> Verdict<'_> {
    Verdict {
        analysis,
        dir: Path::new("logs/rehearsal/r1"),
        manifest_head: "feedbeef",
        exit_code: 20,
        next_stage: "Run d77-4 on real market data.",
        again: "assay rehearse",
    }
}

#[test]
fn the_verdict_is_complete_and_plain_without_colour() {
    let mut run = crate::report::tests::run();
    run.analysis.reasons = vec!["first\u{1b}[2J reason ".repeat(20), "second".to_owned(), "third".to_owned()];
    let text = verdict(&run.analysis).text(PLAIN);
    assert!(text.contains("REHEARSAL: NO-GO") && !text.contains('\u{1b}'), "{text}");
    for said in
        ["SYSTEM", "STRATEGY", "2. second", "3. third", "report.md", "report.html", "feedbeef", "20 (no-go)"]
    {
        assert!(text.contains(said), "{said}\n{text}");
    }
    for id in CriterionId::ALL {
        assert!(text.contains(&format!("{id} ")), "{id}");
    }
    assert!(text.contains("assay rehearse"));
    let reason_lines = text.lines().filter(|line| line.contains("first"));
    assert!(
        reason_lines.clone().count() > 1 && reason_lines.into_iter().all(|line| line.chars().count() <= 80)
    );
    run.analysis.decision = Decision::ConditionalGo;
    let text = verdict(&run.analysis).text(Paint(true));
    assert!(
        text.contains("would be CONDITIONAL GO")
            && text.contains("Run d77-4")
            && text.contains("\u{1b}[1;36m")
    );
}

#[test]
fn the_json_verdict_has_what_scripts_need() {
    let run = crate::report::tests::run();
    let json = Verdict {
        analysis: &run.analysis,
        dir: Path::new("d"),
        manifest_head: "head",
        exit_code: 21,
        next_stage: "",
        again: "a",
    }
    .json();
    assert_eq!(json["decision"], "no_go");
    assert_eq!(json["exit_code"], 21);
    assert_eq!(json["report"], "d/report.md");
    assert_eq!(json["manifest_head"], "head");
    assert_eq!(json["criteria"].as_object().unwrap().len(), 16);
}

#[test]
fn every_documented_code_has_a_meaning() {
    for code in [0, 10, 11, 12, 20, 21, 22, 30, 31, 64, 66, 130, 143] {
        assert_ne!(exit_meaning(code), "internal error", "{code}");
    }
    assert_eq!(exit_meaning(70), "internal error");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    assert_eq!(harmless("a\u{1b}[31mb\r\nc"), "a [31mb  c");
}
