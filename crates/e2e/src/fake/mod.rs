//! `fake-runner`: plays a runner by the contract that any executable can keep (log on standard output, `/metrics`, a KPI file,
//! an orderly end), healthy or broken as its command line says. What it says of its process is true unless it is asked to lie: CPU
//! and memory come from `/proc`. Trades, latencies, guards and alerts are a script, drawn from the run id.
//!
//! Here: the options. In [`runner`] the loop, the end and what happens when a defect is due. The words of the options are in [`plan`],
//! trades in [`state`], beside them the page and its server, the KPI file and the log.

mod deliveries;
mod kpi;
mod log;
mod page;
mod plan;
mod process;
mod runner;
mod server;
mod state;

use clap::Parser;
use plan::{LogStyle, Notifier, Plan, Script};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Options. Those of Assay's own runner that mean nothing here are taken and ignored.
#[derive(Debug, Parser)]
#[command(name = "fake-runner", about = "Plays a runner, healthy or broken by plan.")]
pub struct Args {
    /// Only `run`.
    #[arg(value_parser = ["run"])]
    command: Option<String>,
    /// What it plays.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "plain")]
    plan: Vec<Plan>,
    /// The phase in which defects show, or `any`; in others it is healthy.
    #[arg(long, default_value = "main")]
    break_in: String,
    /// When a defect shows that has a moment, seconds after the start.
    #[arg(long, default_value_t = 2.0)]
    break_after_seconds: f64,
    /// How long it runs.
    #[arg(long)]
    run_duration_seconds: f64,
    /// Multiplies the duration.
    #[arg(long, default_value_t = 1.0)]
    seconds_scale: f64,
    /// Added to the duration, in every phase.
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true)]
    end_shift_seconds: f64,
    /// Its KPI file.
    #[arg(long)]
    kpi_output_path: PathBuf,
    /// How often that is rewritten.
    #[arg(long, default_value_t = 500)]
    kpi_interval_ms: u64,
    /// Where it serves `/metrics`.
    #[arg(long)]
    metrics_addr: SocketAddr,
    /// Its run id.
    #[arg(long)]
    run_id: String,
    /// How many symbols it claims to watch.
    #[arg(long, default_value_t = 50)]
    topn_size: u32,
    /// What its trades come to.
    #[arg(long, value_enum, default_value = "mixed")]
    script: Script,
    /// How often it opens a position.
    #[arg(long, default_value_t = 350)]
    trade_every_ms: u64,
    /// Guard triggers per second once the defect is due.
    #[arg(long, default_value_t = 0.0)]
    guards_per_s: f64,
    /// Share of them that it calls false.
    #[arg(long, default_value_t = 0.0)]
    guard_false_share: f64,
    /// Loop latency once the defect is due, in milliseconds.
    #[arg(long, default_value_t = 0.4)]
    latency_ms: f64,
    /// Part of every 20 ms in which it burns the CPU, in milliseconds.
    #[arg(long, default_value_t = 0)]
    busy_ms: u64,
    /// What it says of its notifier.
    #[arg(long, value_enum, default_value = "up")]
    notifier: Notifier,
    /// More deliveries when the defect is due: delivered,
    #[arg(long, default_value_t = 0)]
    sent: u64,
    /// delivered at the second attempt,
    #[arg(long, default_value_t = 0)]
    retried: u64,
    /// delivered by another notifier than the first,
    #[arg(long, default_value_t = 0)]
    fallbacks: u64,
    /// given up.
    #[arg(long, default_value_t = 0)]
    failures: u64,
    /// Share of its books that are Live once the defect is due.
    #[arg(long, default_value_t = 1.0)]
    books_live: f64,
    /// How log lines look.
    #[arg(long, value_enum, default_value = "plain")]
    log_style: LogStyle,
    /// Printed to standard output when the defect is due; `\n`, `\t`, `\0`, `\xNN` are understood.
    #[arg(long)]
    print: Vec<String>,
    /// Printed to standard error.
    #[arg(long)]
    print_err: Vec<String>,
    /// Both are written in pieces of so many bytes; 0 is at once.
    #[arg(long, default_value_t = 0)]
    piece: usize,
    /// Megabytes of log, printed as fast as they are taken, when the defect is due.
    #[arg(long, default_value_t = 0)]
    flood_mb: u64,
    /// Its exit code at the end, or when it dies.
    #[arg(long, default_value_t = 0)]
    exit_code: u8,
    /// The signal of `kill-self`.
    #[arg(long, default_value_t = 9)]
    signal: i32,
    /// `field=JSON` of the KPI file.
    #[arg(long)]
    kpi_set: Vec<String>,
    /// `field=factor` of the KPI file.
    #[arg(long)]
    kpi_scale: Vec<String>,
    /// A field that the KPI file lacks.
    #[arg(long)]
    kpi_drop: Vec<String>,
    /// The whole KPI file.
    #[arg(long)]
    kpi_raw: Option<String>,
    /// Series on the page that begin with a text, and their value: `text=value`.
    #[arg(long)]
    page_set: Vec<String>,
    /// The same with a factor; comes out whole.
    #[arg(long)]
    page_scale: Vec<String>,
    /// Series that the page lacks.
    #[arg(long)]
    page_drop: Vec<String>,
    /// A line that the page has besides.
    #[arg(long)]
    page_add: Vec<String>,
    /// How long the page is served badly.
    #[arg(long, default_value_t = u64::MAX)]
    page_for_ms: u64,
    /// Status of a bad page.
    #[arg(long, default_value_t = 200)]
    page_status: u16,
    /// How long a bad page takes.
    #[arg(long, default_value_t = 0)]
    page_delay_ms: u64,
    /// When the server begins.
    #[arg(long, default_value_t = 0)]
    page_late_ms: u64,
    /// How long `/metrics` is served after the end.
    #[arg(long, default_value_t = 1_400)]
    linger_ms: u64,
    /// A store with Assay's alert tables, in which it keeps its deliveries.
    #[arg(long)]
    alert_db: Option<PathBuf>,
    /// A word by which a test finds its processes.
    #[arg(long, default_value = "")]
    tag: String,
    /// Taken and ignored.
    #[arg(long)]
    data_source: Option<String>,
    /// Taken and ignored.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Internal: becomes a daemon's parent and ends.
    #[arg(long, hide = true)]
    fork_daemon: bool,
    /// Internal: the daemon.
    #[arg(long, hide = true)]
    daemon: bool,
    /// Internal: a child that sleeps and ends.
    #[arg(long, hide = true)]
    nap_ms: Option<u64>,
}

impl Args {
    /// True when this is played, in whatever phase.
    fn has(&self, plan: Plan) -> bool {
        self.plan.contains(&plan)
    }

    /// True when this defect is to show in this phase.
    fn breaks(&self, plan: Plan) -> bool {
        self.has(plan) && self.is_broken_phase()
    }

    fn is_broken_phase(&self) -> bool {
        self.break_in == "any" || self.phase() == self.break_in
    }

    /// `main` of the run id `20260102-030405-abcd.main`; `smoke` of `20260102-030405-abcd.smoke.2`.
    fn phase(&self) -> &str {
        self.run_id.split('.').nth(1).unwrap_or_default()
    }
}

/// How long a daemon stays when nobody ends it.
const DAEMON_LIFE: Duration = Duration::from_secs(600);

/// Plays the plan on the command line.
pub fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(nap) = args.nap_ms.map(Duration::from_millis).or(args.daemon.then_some(DAEMON_LIFE)) {
        std::thread::sleep(nap);
        return ExitCode::SUCCESS;
    }
    let code = if args.is_broken_phase() && !args.fork_daemon { args.exit_code } else { 0 };
    let outcome = if args.fork_daemon { process::fork_daemon() } else { runner::run(args) };
    match outcome {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            eprintln!("fake-runner: {error}");
            ExitCode::from(70)
        }
    }
}
