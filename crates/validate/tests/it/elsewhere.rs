//! `analyze`: the artefacts of a liar and of an honest runner, made elsewhere.

use gate::{Decision, Simple};
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use validate::analyze::{AnalyzeError, Analyzed, Request, analyze};
use validate::profile::{self, Loaded};

const START: u64 = 1_780_000_000;

/// Thirty versions of a KPI file with eleven fields, CPU 35 and memory 150 for ever; the metrics of another process; a log in which every
/// trade has the same prices and result.
fn liar(dir: &Path) {
    let mut log = String::new();
    for i in 1..=30u64 {
        let at = START + i * 10;
        let pnl = i as f64 * 5.0;
        let kpi = json!({
            "run_id": "liar-1", "timestamp": at, "total_trades": i * 4, "round_trips_completed": i * 2,
            "win_rate_pct": 100.0, "total_pnl_usd": pnl, "net_pnl_usd": pnl, "loop_latency_avg_ms": 12.5,
            "loop_latency_p99_ms": 20.0, "cpu_usage_pct": 35.0, "memory_usage_mb": 150.0,
        });
        assert_eq!(kpi.as_object().unwrap().len(), 11);
        std::fs::write(dir.join(format!("kpi_{i}.json")), kpi.to_string()).unwrap();
        let (cpu, rss) = (100.0 + (i * i) as f64 * 0.2, 60_000_000 + i * 4_000_000);
        let ms = at * 1_000;
        let page = format!(
            "# TYPE assay_run_info gauge\nassay_run_info{{run_id=\"other-7\"}} 1 {ms}\n\
             # TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {cpu} {ms}\n\
             # TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {rss} {ms}\n"
        );
        std::fs::write(dir.join(format!("metrics_{i}.prom")), page).unwrap();
        for n in [2 * i - 1, 2 * i] {
            let _ = writeln!(
                log,
                "2026-05-28 20:{:02}:{:02},000 INFO trade #{n} closed entry_price=100.00 exit_price=101.25 pnl=2.50",
                i / 6,
                i % 6 * 10
            );
        }
    }
    std::fs::write(dir.join("bot.log"), log).unwrap();
}

fn run(dir: &Path, out: &Path, loaded: Loaded) -> Result<Analyzed, AnalyzeError> {
    analyze(&Request {
        dir: dir.to_owned(),
        loaded,
        logs: Vec::new(),
        out: Some(out.to_owned()),
        rerun: "assay validate --profile d77-4".to_owned(),
    })
}

/// Each lie by words that must stand in the report.
const LIES: [&str; 5] = [
    "CPU in the KPI file: the runner's own figure stood at 35",
    "memory in the KPI file: the runner's own figure stood at 150",
    "60 trades at the very same prices with the same net 2.5 USD",
    "the final snapshot is of run other-7",
    "the KPI file has no entry_trades",
];

#[test]
fn each_lie_of_a_liar_is_named_and_it_is_no_go() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    liar(dir.path());
    let found = run(dir.path(), out.path(), profile::load("d77-4").unwrap()).unwrap();
    assert_eq!((found.analysis.decision, found.analysis.exit_code()), (Decision::NoGo, 20));
    assert!(
        found.analysis.headline().starts_with("DECLARED EVIDENCE: NO-GO"),
        "{}",
        found.analysis.headline()
    );
    let report = std::fs::read_to_string(out.path().join("report.md")).unwrap();
    for lie in LIES {
        assert!(report.contains(lie), "{lie}\n{:#?}", found.violated);
    }
}

#[test]
fn a_profile_that_waives_everything_waives_no_lie() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    liar(dir.path());
    let mut text = String::from(
        "extends = \"d77-4\"\nname = \"kind\"\n[runner]\nown_contract = false\ncommand = [\"./bot\"]\n[runner.not_applicable]\n",
    );
    // What the supervisor measures is never waived.
    let of_runner = catalogue::KPIS.iter().filter(|kpi| !(21..=24).contains(&kpi.number));
    let fields = of_runner.map(|kpi| kpi.field).chain([
        "journal",
        "alerts",
        "metrics",
        "venue_books",
        "H1",
        "H2",
        "H3",
        "H4",
        "H5",
        "H6",
        "M1",
        "M2",
        "M3",
        "M4",
    ]);
    for field in fields {
        let _ = writeln!(text, "{field} = \"we do not have it\"");
    }
    let path: PathBuf = out.path().join("kind.toml");
    std::fs::write(&path, &text).unwrap();
    let loaded = profile::load(&path.to_string_lossy()).unwrap();
    let found = run(dir.path(), out.path(), loaded).unwrap();
    assert_eq!((found.analysis.decision, found.analysis.exit_code()), (Decision::NoGo, 20));
    let report = std::fs::read_to_string(out.path().join("report.md")).unwrap();
    for lie in &LIES[..4] {
        assert!(report.contains(lie), "{lie}\n{:#?}", found.violated);
    }
}

#[test]
fn honest_artefacts_are_not_proven_and_accused_of_nothing() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for i in 1..=30u32 {
        let x = f64::from(i);
        let trips = i / 2;
        let pnl = (x * x * 0.37).round() / 100.0;
        let kpi = json!({
            "run_id": "bot-1", "timestamp": START + u64::from(i) * 10, "total_trades": trips * 2,
            "entry_trades": trips, "exit_trades": trips, "open_positions": 0, "round_trips_completed": trips,
            "net_pnl_usd": pnl, "total_pnl_usd": pnl, "cpu_usage_pct": 12.0 + (x * 0.7).sin().round(),
            "memory_usage_mb": 90.0 + x,
        });
        std::fs::write(dir.path().join(format!("kpi_{i}.json")), kpi.to_string()).unwrap();
        let page = format!(
            "# TYPE assay_run_info gauge\nassay_run_info{{run_id=\"bot-1\"}} 1\n\
             # TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {}\n",
            x * 1.2
        );
        std::fs::write(dir.path().join(format!("metrics_{i}.prom")), page).unwrap();
    }
    let found = run(dir.path(), out.path(), profile::load("d77-4").unwrap()).unwrap();
    assert_eq!(found.violated, Vec::<String>::new());
    assert_eq!(found.analysis.exit_code(), 20);
    for id in ["C1", "C3", "C5", "C6"] {
        let criterion = found.analysis.criteria.iter().find(|c| c.id.as_str() == id).unwrap();
        assert_eq!(criterion.outcome.simple(), Simple::Inconclusive, "{id}: {criterion:?}");
    }
}

#[test]
fn nothing_to_judge_is_said() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let loaded = || profile::load("d77-4").unwrap();
    assert!(matches!(run(dir.path(), out.path(), loaded()), Err(AnalyzeError::Nothing { .. })));
    std::fs::write(dir.path().join("notes.json"), "{\"a\": 1}").unwrap();
    let error = run(dir.path(), out.path(), loaded()).unwrap_err().to_string();
    assert!(error.contains("notes.json: ignored: JSON without a KPI field"), "{error}");
    assert!(matches!(run(&dir.path().join("gone"), out.path(), loaded()), Err(AnalyzeError::Read { .. })));
}
