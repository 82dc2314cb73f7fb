//! A liar of another party's shape: 11 KPI fields, CPU 35 and memory 150 for ever, every trade the same, metrics of another process.
//! Whatever its profile waives, each lie is named, and it is no GO.

use crate::any_runner::has_python;
use crate::harness::{Done, RunFolder, Scratch, assay, nobody_left, seat, unique};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Instant;

/// A page that looks like a healthy runner's, served by this process.
fn page(seconds: f64) -> String {
    let n = (seconds * 10.0) as u64;
    let mut out = format!(
        "# TYPE arb_topn_loop_iterations_total counter\narb_topn_loop_iterations_total {n}\n\
         # TYPE arb_topn_round_trips_total counter\narb_topn_round_trips_total {n}\n\
         # TYPE arb_topn_pnl_usd gauge\narb_topn_pnl_usd {}\n\
         # TYPE arb_topn_drawdown_usd gauge\narb_topn_drawdown_usd 0\n\
         # TYPE arb_topn_win_rate gauge\narb_topn_win_rate 100\n\
         # TYPE arb_topn_active_positions gauge\narb_topn_active_positions 0\n\
         # TYPE process_cpu_usage_percent gauge\nprocess_cpu_usage_percent 35\n\
         # TYPE process_memory_usage_mb gauge\nprocess_memory_usage_mb 150\n\
         # TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1700000000\n\
         # TYPE venue_books gauge\nvenue_books{{venue=\"upbit\",state=\"live\"}} 20\n\
         venue_books{{venue=\"binance\",state=\"live\"}} 20\n\
         # TYPE arb_topn_trades_total counter\narb_topn_trades_total{{trade_type=\"entry\"}} {n}\n\
         arb_topn_trades_total{{trade_type=\"exit\"}} {n}\n\
         # TYPE loop_latency_seconds histogram\n",
        n as f64 * 12.5
    );
    for edge in ["0.01", "0.02", "0.05", "0.08", "0.1", "+Inf"] {
        let below = if edge == "0.01" { 0 } else { n };
        out.push_str(&format!("loop_latency_seconds_bucket{{le=\"{edge}\"}} {below}\n"));
    }
    out.push_str(&format!("loop_latency_seconds_sum {}\nloop_latency_seconds_count {n}\n", n as f64 * 0.012));
    out
}

/// Serves the page; a process that is not the runner.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    let began = Instant::now();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let body = page(began.elapsed().as_secs_f64());
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    own
}

/// The liar through `validate`, with these waivers.
fn validate(waivers: &str) -> (Done, RunFolder, Scratch) {
    let (dir, tag, addr) = (Scratch::new(), unique("liar"), serve());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/liar/liar.py");
    let text = format!(
        "extends = \"d77-4\"\nname = \"liar\"\ndata_source = \"local\"\ntime_scale = 10\nnotifiers = []\n\
         [runner]\ncommand = [\"python3\", {script:?}, \"{{duration_s}}\", \"{{kpi_path}}\", \"{tag}\"]\nown_contract = false\n\
         metrics_addr = \"127.0.0.1:0\"\nmetrics_url = \"http://{addr}/metrics\"\n\
         [runner.config]\nrecording_cap_mb = 1\n[runner.not_applicable]\njournal = \"none\"\n{waivers}\n\
         [measure]\nmemory_skip = \"20 s\"\nmemory_min = \"40 s\"\nmemory_window = \"20 s\"\n[smoke]\nduration = \"100 s\"\n[main]\nduration = \"120 s\"\n\
         [panels]\ncore_every = \"30 s\"\nalerting_every = \"30 s\"\n\
         [limits]\nmin_free_bytes = 100000000\nlog_cap_bytes = 10000000\n[console]\naddr = \"127.0.0.1:0\"\n"
    );
    let profile = dir.path().join("liar.toml");
    std::fs::write(&profile, text).unwrap();
    let logs = dir.path().join("logs");
    let seat = seat(3);
    let done = crate::any_runner::validate(&profile, &logs);
    drop(seat);
    nobody_left(&tag);
    let run = RunFolder::only(&logs);
    (done, run, dir)
}

/// Every lie stands in the report, with its figures.
fn each_lie_is_named(run: &RunFolder) {
    let report = run.text("report.md");
    let own = format!("pid {}", std::process::id());
    for lie in [
        "KPI file cpu_usage_pct 35 %",
        "KPI file memory_usage_mb 150 MB",
        "round trips made exactly 12.5 USD each",
        "the socket of the final snapshot belongs to",
        own.as_str(),
    ] {
        assert!(report.contains(lie), "{lie:?} is not in\n{report}");
    }
}

#[test]
fn a_liar_ends_in_the_smoke_and_each_lie_is_named() {
    if !has_python("a_liar") {
        return;
    }
    let (done, run, _dir) = validate("");
    done.exits(31).says("NO-GO").says("the KPI file lacks 11 of 20 fields");
    each_lie_is_named(&run);
    let c2 = run.judged("C2", "fail").to_string();
    assert!(c2.contains("implausible"), "{c2}");
    assay(["rejudge", &run.0.to_string_lossy()]).exits(0);
}

#[test]
fn a_liar_whose_profile_waives_what_it_lacks_is_no_go_all_the_same() {
    if !has_python("a_liar_that_waives") {
        return;
    }
    let lacking = [
        "gross_pnl_usd",
        "net_pnl_usd",
        "max_drawdown_usd",
        "avg_win_usd",
        "avg_loss_usd",
        "guard_triggers_by_type",
        "guard_false_positives",
        "guard_block_duration_avg_s",
        "position_limit_hits",
        "emergency_stops",
        "loop_latency_p95_ms",
        "alerts",
        "exit_reasons",
        "assay_run_info",
        "arb_topn_guard_triggers_total",
        "arb_topn_funnel_total",
        "arb_topn_premium_bps",
        "arb_topn_fx_rate",
        "arb_topn_fx_age_seconds",
        "arb_topn_exit_reasons_total",
    ];
    let waivers: Vec<String> = lacking.iter().map(|name| format!("{name} = \"we do not have it\"")).collect();
    let (done, run, _dir) = validate(&waivers.join("\n"));
    done.exits(20).says("NO-GO");
    each_lie_is_named(&run);
    run.judged("C2", "fail");
    run.judged("C5", "fail");
    assay(["rejudge", &run.0.to_string_lossy()]).exits(0);
}

#[test]
fn what_the_supervisor_measures_cannot_be_waived() {
    for name in ["cpu_usage_pct", "memory_usage_mb", "crash_hang_count", "C5", "C2", "A1"] {
        let dir = Scratch::new();
        let profile = dir.path().join("waiver.toml");
        std::fs::write(&profile, format!("extends = \"d77-4\"\n[runner.not_applicable]\n{name} = \"no\"\n"))
            .unwrap();
        assay(["profile", "check", &profile.to_string_lossy()])
            .exits(64)
            .says("never waived")
            .is_one_paragraph();
    }
}
