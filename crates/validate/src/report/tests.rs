//! The report over hand-made evidence: complete in both languages, safe against hostile text, self-contained.

use super::charts::clock;
use super::words::ALL;
use super::*;
use crate::archive::{Machine, Metadata};
use crate::profile;
use catalogue::{CRITERIA, KPIS, RULES, RuleId};
use gate::evidence::{
    CrashBlock, EvidenceClass, Found, LogCounters, LogFacts, OsSample, PhaseEnd, PhaseEvidence,
    RoundTripProof, RuleEvent, RuleState, Sample, Scrape,
};
use gate::judge::{LatencyWindow, PlausibilityFinding, PlausibilityStatus};
use gate::{CrossCheck, Decision, Outcome, RuleName, RuleSpec, Value};
use std::collections::BTreeMap;

const HOSTILE: &str = "ERROR <script>alert('x')</script> | `rm -rf` \u{1b}[2J\u{202e}gpj.exe </pre><img src=https://evil.example/x.png>";

pub(crate) struct Run {
    pub(crate) metadata: Metadata,
    evidence: Evidence,
    pub(crate) analysis: Analysis,
    dir: tempfile::TempDir,
}

impl Run {
    fn report(&self) -> Report<'_> {
        Report {
            metadata: &self.metadata,
            evidence: &self.evidence,
            analysis: &self.analysis,
            dir: self.dir.path(),
        }
    }
}

fn sample(t: f64) -> Sample {
    let os = OsSample {
        cpu_seconds: t * 0.21,
        rss_bytes: 90_000_000,
        peak_rss_bytes: 95_000_000,
        pss_bytes: 80_000_000 + (t as u64) * 10_000,
        threads: 4,
        fds: 20,
        processes: 1,
    };
    Sample {
        t,
        wall_ms: 1_700_000_000_000 + (t as i64) * 1_000,
        scrape: Found::Yes(Scrape::default()),
        os: Found::Yes(os),
        log: LogCounters::default(),
        kpi_rewrites: t as u64,
        kpi: BTreeMap::new(),
    }
}

fn phase() -> PhaseEvidence {
    let block = CrashBlock {
        at_s: 12.5,
        language: "python".to_owned(),
        kind: "worker_died".to_owned(),
        text: format!(
            "Traceback (most recent call last):\n  File \"bot.py\", line 3\n{HOSTILE}\nlast line of the block"
        ),
        before: vec!["a line before".to_owned()],
    };
    PhaseEvidence {
        phase: "main".to_owned(),
        runner_id: "r1.main".to_owned(),
        planned_s: 60.0,
        end: Some(PhaseEnd {
            ran_s: 60.2,
            exit_code: Some(0),
            signal: None,
            stop_sent_s: None,
            abort: None,
            later_causes: Vec::new(),
            interrupted: None,
            killed_by_us: false,
            leftovers: Vec::new(),
        }),
        samples: (1..60).map(|t| sample(f64::from(t))).collect(),
        kpi_file: Found::No("full_60s_kpi.json: the runner never wrote its KPI file".to_owned()),
        final_scrape: Found::No("no scrape ever succeeded".to_owned()),
        journal: Found::No("journal.log: not found".to_owned()),
        alerts: Found::No("alerts.jsonl: not found".to_owned()),
        spooled: Found::No("spool.log: not found".to_owned()),
        log: Found::Yes(LogFacts {
            counters: LogCounters { lines: 10, errors: 3, ..LogCounters::default() },
            blocks: vec![block],
            top_errors: vec![(HOSTILE.to_owned(), 3)],
            dropped_bytes: 17,
        }),
        rule_events: vec![RuleEvent {
            t: 30.0,
            rule: RuleId::B2.into(),
            state: RuleState::Fired,
            text: "0 round trips for 30 s".to_owned(),
        }],
        trades: Found::No("there is no trade log".to_owned()),
        iteration_gaps: Found::No("no Iteration line".to_owned()),
    }
}

/// A run with every state of a value, a criterion, a rule.
pub(crate) fn run() -> Run {
    let loaded = profile::load("rehearsal").unwrap();
    let mut settings = profile::settings(&loaded);
    // Recorded by a version that did not have B4; and a rule of the profile's own.
    settings.rules.retain(|rule| rule.name != RuleId::B4);
    let own = settings.rules.iter().find(|rule| rule.name == RuleId::A5).cloned().unwrap();
    settings.rules.push(RuleSpec { name: RuleName::new("hot_loop"), ..own });
    let class = EvidenceClass::Rehearsal { why: "the market was a local exchange".to_owned() };
    let metadata = Metadata {
        format: crate::archive::FORMAT,
        run_id: "r1".to_owned(),
        started_at: "2026-01-02T03:04:05Z".to_owned(),
        version: "0.1.0".to_owned(),
        mode: "full".to_owned(),
        profile: loaded.profile.clone(),
        profile_hash: "ab12".to_owned(),
        settings: settings.clone(),
        endpoints: vec!["http://me:hunter2@127.0.0.1:1/".to_owned()],
        class: class.clone(),
        machine: Machine { os: "Linux 6".to_owned(), cores: Some(2), memory_bytes: None },
        prices: None,
        rerun: None,
    };
    let evidence = Evidence {
        run_id: "r1".to_owned(),
        settings,
        class,
        smoke: None,
        main: Some(phase()),
        round_trip_proof: RoundTripProof::None { why: "nothing was planted".to_owned() },
        smoke_failed: None,
        panels: Vec::new(),
        interrupted: None,
        origin: gate::evidence::Origin::Supervised,
        cores: Some(2),
        attestations: Vec::new(),
        rerun: "assay rehearse".to_owned(),
    };
    let mut analysis = gate::judge(&evidence);
    analysis.kpis[0].value = Value::Measured(42.0);
    analysis.kpis[0].cross_check = CrossCheck::Agreed { figure: "42 (journal)".to_owned() };
    analysis.kpis[1].value = Value::Undefined { why: "no entry was made".to_owned() };
    analysis.kpis[2].value = Value::NotApplicable { declared: "it has no exits".to_owned() };
    analysis.kpis[3].value = Value::Implausible { figures: "7, but 9 (journal)".to_owned() };
    analysis.kpis[3].cross_check =
        CrossCheck::Disagreed { ours: "7".to_owned(), theirs: "9 (journal)".to_owned() };
    analysis.kpis[12].value = Value::Map(BTreeMap::from([("symbol".to_owned(), 3.0)]));
    analysis.criteria[0].outcome = Outcome::Pass;
    analysis.criteria[1].outcome = Outcome::Fail;
    analysis.series.exit_reasons =
        BTreeMap::from([("take_profit".to_owned(), 3.0), ("shutdown".to_owned(), 1.0)]);
    analysis.series.funnel = BTreeMap::from([("updates".to_owned(), 900), ("blocked:symbol".to_owned(), 4)]);
    let figures =
        |max: f64| Some(journal::percentiles::Percentiles { p10: -41.5, p50: -20.5, p90: 3.5, max });
    analysis.series.spreads = vec![gate::spreads::SymbolSpread {
        symbol: "XRP".to_owned(),
        direction: journal::record::Direction::BuyBinance,
        evaluations: 4_711,
        above_threshold: 17,
        blocked: 5,
        sent: 4,
        break_even_bps: Some(53.25),
        gap_bps: figures(48.13),
        level_bps: figures(-19.5),
        edge_bps: figures(-4.87),
    }];
    analysis.series.trust = (0..12)
        .map(|i| gate::trust::SymbolTrust {
            symbol: format!("T{i}"),
            followed_s: 600.0,
            both_pct: 90.0 + f64::from(i) / 2.0,
            venue_pct: [100.0, 90.0 + f64::from(i) / 2.0],
            rest: vec![gate::trust::Untrusted {
                venue: Some(market::Venue::Binance),
                why: "repairing".to_owned(),
                seconds: 60.0 - f64::from(i) * 3.0,
                pct: 10.0 - f64::from(i) / 2.0,
            }],
        })
        .collect();
    analysis.series.universe = Some(gate::trust::UniverseStory {
        asked: 12,
        first: 12,
        last: 11,
        refreshes: 1,
        fewest_passed: 11,
        changes: vec![gate::trust::UniverseChange {
            t: 3_600.0,
            symbol: "T9".to_owned(),
            what: "left".to_owned(),
            venue: None,
            why: Some("under a venue's warning".to_owned()),
            positions: 0,
        }],
    });
    analysis.series.edges = Some(gate::spreads::Edges {
        entries: 4,
        decided_bps: 12.34,
        realised_bps: 9.87,
        decided_usd: 0.98,
        realised_usd: 0.79,
        trips: 3,
        trip_decided_bps: 12.0,
        trip_realised_bps: -3.21,
        slippage_usd: 1.256,
    });
    analysis.series.latency = vec![LatencyWindow {
        from_s: 0.0,
        to_s: 10.0,
        count: 5.0,
        p50_ms: Some(1.5),
        p95_ms: Some(3.0),
        p99_ms: None,
    }];
    analysis.plausibility = vec![
        PlausibilityFinding {
            rule: "sums agree".to_owned(),
            status: PlausibilityStatus::Off("no journal".to_owned()),
            figures: String::new(),
            kpi: None,
        },
        PlausibilityFinding {
            rule: "more exits than entries".to_owned(),
            status: PlausibilityStatus::Violated,
            figures: "9 exits, 7 entries".to_owned(),
            kpi: Some("exit_trades".to_owned()),
        },
    ];
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("samples.jsonl"), "{}\n").unwrap();
    std::fs::write(dir.path().join("full_60s_console.log"), "x\n").unwrap();
    Run { metadata, evidence, analysis, dir }
}

fn has_hangul(text: &str) -> bool {
    text.chars().any(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c))
}

#[test]
fn every_label_is_korean() {
    // Names of things that Korean engineers write the same way.
    let same = ["memory_axis"];
    for (name, en, ko) in ALL {
        assert!(!ko.is_empty(), "{name} is empty");
        assert!(same.contains(name) || has_hangul(ko), "{name} is not translated: {ko}");
        assert!(same.contains(name) || en != ko, "{name}");
        for place in ["{0}", "{1}", "{2}", "{3}"] {
            assert!(en.is_empty() || en.contains(place) == ko.contains(place), "{name}: {place}");
        }
    }
}

#[test]
fn all_kpis_criteria_and_rules_are_there() {
    let run = run();
    for lang in [Lang::En, Lang::Ko] {
        for text in [markdown_in(&run.report(), lang), html_in(&run.report(), lang)] {
            for kpi in &KPIS {
                assert!(text.contains(kpi.field), "{}", kpi.field);
                assert!(
                    text.contains(if lang == Lang::En { kpi.title } else { kpi.title_ko }),
                    "{}",
                    kpi.field
                );
            }
            for criterion in &CRITERIA {
                assert!(text.contains(if lang == Lang::En { criterion.title } else { criterion.title_ko }));
            }
            for rule in &RULES {
                assert!(
                    text.contains(if lang == Lang::En { rule.title } else { rule.title_ko }),
                    "{}",
                    rule.id
                );
            }
            let [agreed, differs, without] = match lang {
                Lang::En => ["42 (journal)", "7, but 9 (journal)", "no journal"],
                Lang::Ko => ["42 (저널)", "7, 비교값 9 (저널)", "저널 없음"],
            };
            for said in ["no entry was made", "it has no exits", differs, agreed, without] {
                assert!(text.contains(said), "{said}");
            }
        }
    }
    let md = markdown(&run.report());
    for said in [
        "UNDEFINED: ",
        "NOT APPLICABLE: ",
        "ABSENT: ",
        "IMPLAUSIBLE: ",
        "not built in this version",
        "FIRED",
        "hot_loop",
    ] {
        assert!(md.contains(said), "{said}\n{md}");
    }
}

#[test]
fn a_rehearsal_says_so_first() {
    let run = run();
    let md = markdown(&run.report());
    assert_eq!(md.lines().next(), Some("REHEARSAL: the market was a local exchange"));
    let html = html(&run.report());
    let body = html.split("<header>").nth(1).unwrap();
    assert!(body.trim_start().starts_with("<p class=\"kicker\">REHEARSAL: the market was a local exchange"));
    assert!(markdown_in(&run.report(), Lang::Ko).starts_with("REHEARSAL: "));
}

#[test]
fn go_names_the_next_stage_and_no_go_the_repairs() {
    let mut run = run();
    let md = markdown(&run.report());
    assert!(md.contains("assay rehearse"), "{md}");
    assert!(md.contains("Repair C2"), "{md}");
    run.analysis.decision = Decision::ConditionalGo;
    let md = markdown(&run.report());
    assert!(md.contains(&run.metadata.profile.next_stage));
    assert!(!md.contains("Repair C2"));
}

#[test]
fn hostile_lines_stay_text() {
    let run = run();
    for lang in [Lang::En, Lang::Ko] {
        let html = html_in(&run.report(), lang);
        assert!(!html.contains("<script") && !html.contains("<img"), "markup of a log line got through");
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"));
        assert!(!html.contains('\u{1b}') && !html.contains('\u{202e}'));
        let md = markdown_in(&run.report(), lang);
        assert!(!md.contains('\u{1b}') && !md.contains('\u{202e}'));
        assert!(html.contains("last line of the block") && md.contains("last line of the block"));
        assert!(!html.contains("hunter2") && !md.contains("hunter2"));
    }
}

#[test]
fn html_is_one_file_without_network_or_script() {
    let run = run();
    let html = html(&run.report());
    for (at, _) in html.match_indices("href=\"").chain(html.match_indices("src=\"")) {
        let target = html[at..].split('"').nth(1).unwrap();
        assert!(!target.contains(':') && !target.starts_with('/'), "{target}");
    }
    for word in ["<script", "<link", "@import", "url(", "<iframe", "onclick"] {
        assert!(!html.contains(word), "{word}");
    }
    for (tag, end) in
        [("<table", "</table>"), ("<section", "</section>"), ("<svg", "</svg>"), ("<tr>", "</tr>")]
    {
        assert_eq!(html.matches(tag).count(), html.matches(end).count(), "{tag}");
    }
    assert!(html.contains("<a href=\"samples.jsonl\">") && html.contains("full_60s_console.log"));
}

#[test]
fn tables_have_as_many_cells_as_columns() {
    let run = run();
    for lang in [Lang::En, Lang::Ko] {
        let document = document(&run.report(), lang);
        let mut tables = 0;
        for block in document.sections.iter().flat_map(|s| &s.blocks) {
            if let model::Block::Table(table) = block {
                tables += 1;
                for row in &table.rows {
                    assert_eq!(row.len(), table.head.len(), "{}", table.caption);
                    for cell in row {
                        let empty = match cell {
                            model::Cell::Text(t) | model::Cell::Code(t) | model::Cell::Number(t) => {
                                t.is_empty()
                            }
                            model::Cell::Badge(_, t) | model::Cell::Bar(t, _) => t.is_empty(),
                            model::Cell::Named(a, b) => a.is_empty() || b.is_empty(),
                            model::Cell::Files(f) => f.is_empty(),
                        };
                        assert!(!empty, "a blank cell in {}", table.caption);
                    }
                }
            }
        }
        assert!(tables > 12, "{tables}");
    }
}

#[test]
fn the_funnel_says_where_the_edges_stood_and_what_came_of_them() {
    let run = run();
    for (lang, said, paid) in [
        (Lang::En, "Where gap and edge stood", "Latency and depth cost 1.26 USD"),
        (Lang::Ko, "갭과 엣지의 분포", "비용은 진입과 청산을 합쳐 1.26 USD"),
    ] {
        let text = markdown_in(&run.report(), lang);
        for part in [
            said,
            paid,
            "| `XRP` |",
            "53.2",
            "-41.5 / -20.5 / 3.5 / -4.9",
            "17 / 5 / 4",
            "12.3",
            "9.9",
            "0.98 / 0.79",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}

#[test]
fn curves_carry_their_thresholds() {
    let run = run();
    let html = html(&run.report());
    for label in ["H2: mean 70 %", "A5: 80 %", "H3 limit"] {
        assert!(html.contains(label), "{label}");
    }
    assert!(html.matches("<polyline").count() >= 2);
    assert_eq!(clock(61.0), "1:01");
}

#[test]
fn a_run_without_a_runner_has_a_report_too() {
    let mut run = run();
    run.evidence.main = None;
    run.analysis = gate::judge(&run.evidence);
    let md = markdown(&run.report());
    assert!(md.contains("No runner was started"), "{md}");
    assert!(html_in(&run.report(), Lang::Ko).contains("러너가 시작되지 않아"));
}

/// Writes the fixture's reports where a person can look at them: `ASSAY_REPORT_SAMPLE=DIR`.
#[test]
fn sample_for_the_eye() {
    let Some(dir) = std::env::var_os("ASSAY_REPORT_SAMPLE") else { return };
    let run = run();
    for (lang, tag) in [(Lang::En, "en"), (Lang::Ko, "ko")] {
        let path = Path::new(&dir);
        std::fs::write(path.join(format!("report.{tag}.html")), html_in(&run.report(), lang)).unwrap();
        std::fs::write(path.join(format!("report.{tag}.md")), markdown_in(&run.report(), lang)).unwrap();
    }
}

#[test]
fn a_first_screen_stays_short() {
    let long = "C2 failed: ".to_owned() + &"total_trades: ABSENT; ".repeat(60);
    let cut = brief(&long);
    assert!(cut.chars().count() <= 310 && cut.ends_with("ABSENT [...]"), "{cut}");
    assert_eq!(brief("short"), "short");
    assert!(brief(&"가".repeat(1_000)).chars().count() < 310);
    assert_eq!(without_state("SYSTEM not proven: C4 (none)"), "C4 (none)");
    assert_eq!(without_state("something else"), "something else");
    let mut run = run();
    run.analysis.reasons = vec![long.clone(), long.clone(), long];
    let md = markdown(&run.report());
    let first = md.split("\n## ").next().unwrap();
    assert!(first.len() < 6_000, "{first}");
    assert!(first.contains("C1 PASS, C2 FAIL"), "{first}");
}

#[test]
fn what_was_not_collected_is_not_called_zero() {
    let mut run = run();
    let main = run.evidence.main.as_mut().unwrap();
    main.end = None;
    main.log = Found::No("the phase has no end record".to_owned());
    run.analysis = gate::judge(&run.evidence);
    let md = markdown(&run.report());
    assert!(
        md.contains("the log was not collected") && md.contains("crash blocks were not collected"),
        "{md}"
    );
    assert!(!md.contains("No ERROR line was written") && !md.contains("No crash block was found"));
    assert!(md.contains("Exit reasons are not on record: journal.log: not found"), "{md}");
    assert!(
        md.contains("Guard triggers by type are not on record") && md.contains("no end record: interrupted")
    );
    assert!(!md.contains("No round trip was closed"));
}

/// The reader is told what the counts of the funnel count, and what the runner's version does not hold.
#[test]
fn the_funnel_names_its_units_and_the_set_up_what_is_not_built() {
    let mut run = run();
    run.analysis.series.funnel = BTreeMap::from([("blocked".to_owned(), 852), ("sent".to_owned(), 103)]);
    let fields = BTreeMap::from([("not_built".to_owned(), serde_json::json!(["hedging by perpetuals"]))]);
    if let Some(main) = &mut run.evidence.main {
        main.kpi_file = Found::Yes(gate::evidence::KpiFile { fields, complete: Some(true), run_id: None });
    }
    let (en, ko) = (markdown_in(&run.report(), Lang::En), markdown_in(&run.report(), Lang::Ko));
    assert!(en.contains("the counts are evaluations") && ko.contains("평가 횟수이므로"), "{en}");
    assert!(en.contains("its version does not hold | hedging by perpetuals"), "{en}");
    assert!(ko.contains("무기한 선물을 이용한 헤지"), "{ko}");
    assert!(!ko.contains("at once") && !ko.contains("within "), "{ko}");
}
