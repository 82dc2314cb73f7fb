//! `fake-runner`: plays a runner by the contract that any executable can keep (log on standard output, `/metrics`, a KPI file,
//! an orderly end), healthy or broken in one planned way. What it says about itself is true: CPU and memory come from `/proc`,
//! latencies are those of its own loop. Its trades are a script, drawn from the run id.
//!
//! Here: options, the loop, the end, the planned defects. Not here: the trades, the page, the KPI file.

mod deliveries;
mod kpi;
mod page;
mod process;
mod state;

use clap::{Parser, ValueEnum};
use state::State;
use std::cell::RefCell;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plan {
    /// Healthy.
    Plain,
    /// Healthy: prints a handled traceback and quoted ones.
    Handled,
    /// Healthy: metrics come up late, and are away for a moment later on.
    SlowStart,
    /// Healthy: ends on SIGINT only, and not by itself.
    Sigint,
    /// Panics.
    Crash,
    /// Exits with 0 long before its time.
    ExitEarly,
    /// Stops all progress, answers scrapes, ignores SIGTERM.
    Hang,
    /// Leaves a daemon behind that holds its pipes, at its end.
    Grandchild,
    /// The same, in the middle.
    GrandchildEarly,
    /// One alert ends in the dead letters.
    Dlq,
    /// Never listens.
    NoMetrics,
    /// Never writes its KPI file.
    NoKpi,
    /// Leaves half a KPI file at its end.
    HalfKpi,
    /// Claims a tenth of the CPU seconds that it used, and burns some.
    CpuLie,
}

/// Options. Those of Assay's own runner that mean nothing here are taken and ignored.
#[derive(Debug, Parser)]
#[command(name = "fake-runner", about = "Plays a runner, healthy or broken by plan.")]
pub struct Args {
    /// Only `run`.
    #[arg(value_parser = ["run"])]
    command: Option<String>,
    /// What it plays.
    #[arg(long, value_enum, default_value = "plain")]
    plan: Plan,
    /// The phase in which the plan's defect shows; in others it is healthy.
    #[arg(long, default_value = "main")]
    break_in: String,
    /// When the defect shows, seconds after the start.
    #[arg(long, default_value_t = 2.0)]
    break_after_seconds: f64,
    /// How long it runs.
    #[arg(long)]
    run_duration_seconds: f64,
    /// Multiplies the duration.
    #[arg(long, default_value_t = 1.0)]
    seconds_scale: f64,
    /// Its KPI file.
    #[arg(long)]
    kpi_output_path: PathBuf,
    /// How often that is rewritten.
    #[arg(long, default_value_t = 1_000)]
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
    /// How often it opens a position.
    #[arg(long, default_value_t = 2_000)]
    trade_every_ms: u64,
    /// How long `/metrics` is served after the end.
    #[arg(long, default_value_t = 600)]
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
}

impl Args {
    /// True when this plan's defect is due in this phase.
    fn breaks(&self, plan: Plan) -> bool {
        self.plan == plan && self.phase() == self.break_in
    }

    /// `main` of the run id `20260102-030405-abcd.main`; `smoke` of `20260102-030405-abcd.smoke.2`.
    fn phase(&self) -> &str {
        self.run_id.split('.').nth(1).unwrap_or_default()
    }
}

/// How long a daemon stays when nobody ends it.
const DAEMON_LIFE: Duration = Duration::from_secs(600);
/// The loop's beat.
const BEAT: Duration = Duration::from_millis(20);

/// Plays the plan on the command line.
pub fn main() -> ExitCode {
    let args = Args::parse();
    if args.daemon {
        std::thread::sleep(DAEMON_LIFE);
        return ExitCode::SUCCESS;
    }
    let outcome = if args.fork_daemon { fork_daemon() } else { run(args) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake-runner: {error}");
            ExitCode::from(70)
        }
    }
}

/// The second half of a daemonising double fork: a session of its own, a child, and gone.
fn fork_daemon() -> std::io::Result<()> {
    rustix::process::setsid()?;
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    Command::new(program).args(words).arg("--daemon").stdin(Stdio::null()).spawn().map(drop)
}

/// The first half. The daemon inherits standard output and error: it holds the pipes.
fn leave_daemon() -> std::io::Result<()> {
    let program = std::env::current_exe()?;
    Command::new(program).args(std::env::args_os().skip(1)).arg("--fork-daemon").status().map(drop)
}

fn run(args: Args) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut runner = Runner::start(args).await?;
        runner.work().await?;
        runner.end().await
    })
}

/// A line of the log.
fn say(level: &str, text: &str) {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    // A reader that has gone away is no reason to fall over.
    let _ = writeln!(std::io::stdout().lock(), "{now} {level} {text}");
}

struct Runner {
    args: Args,
    state: Rc<RefCell<State>>,
    began: Instant,
    terminate: Signal,
    interrupt: Signal,
    broken: bool,
}

impl Runner {
    async fn start(args: Args) -> std::io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let state = Rc::new(RefCell::new(State::new(&args.run_id, args.topn_size, args.trade_every_ms)));
        let began = Instant::now();
        say(
            "INFO",
            &format!("fake-runner {} plays {:?} as {}", env!("CARGO_PKG_VERSION"), args.plan, args.run_id),
        );
        if !args.breaks(Plan::NoMetrics) {
            let late = if args.plan == Plan::SlowStart { 1.0 } else { 0.0 };
            tokio::task::spawn_local(page::serve(
                args.metrics_addr,
                Rc::clone(&state),
                page::Moods {
                    began,
                    up_after: Duration::from_secs_f64(late),
                    // Shorter than a poll: no more than one is missed.
                    away: (args.plan == Plan::SlowStart)
                        .then(|| (Duration::from_millis(4_000), Duration::from_millis(4_200))),
                },
            ));
        }
        drill(&args, &state)?;
        Ok(Self { args, state, began, terminate, interrupt, broken: false })
    }

    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.args.run_duration_seconds * self.args.seconds_scale)
    }

    /// Iterations until the time is over or somebody asks to stop.
    async fn work(&mut self) -> std::io::Result<()> {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let every = Duration::from_millis(self.args.kpi_interval_ms);
        let mut next_kpi = Duration::ZERO;
        let mut next_log = Duration::ZERO;
        let deaf = self.args.plan == Plan::Sigint;
        let reason = loop {
            tokio::select! {
                _ = beat.tick() => {}
                _ = self.terminate.recv(), if !deaf => break "signal",
                _ = self.interrupt.recv() => break "signal",
            }
            let elapsed = self.began.elapsed();
            if elapsed >= self.duration() && !deaf {
                break "duration";
            }
            self.state.borrow_mut().iterate(elapsed, self.duration());
            if elapsed >= next_log {
                next_log = elapsed + Duration::from_secs(1);
                let (n, trips) = self.state.borrow().iterations_and_trips();
                say("INFO", &format!("Iteration [{n}] round trips {trips}"));
            }
            if elapsed >= next_kpi {
                next_kpi = elapsed + every;
                self.write_kpi(false)?;
            }
            if !self.broken && elapsed.as_secs_f64() >= self.args.break_after_seconds {
                self.broken = true;
                if self.break_now().await? {
                    std::process::exit(0);
                }
            }
            if self.args.breaks(Plan::CpuLie) {
                process::burn(BEAT / 2);
            }
        };
        say("INFO", &format!("ending: {reason}"));
        self.state.borrow_mut().stop(reason);
        Ok(())
    }

    /// The plan's defect, once. True to exit at once with 0.
    async fn break_now(&mut self) -> std::io::Result<bool> {
        if self.args.plan == Plan::Handled {
            handled();
        }
        if self.args.phase() != self.args.break_in {
            return Ok(false);
        }
        match self.args.plan {
            #[expect(clippy::panic, reason = "the defect that is played")]
            Plan::Crash => panic!("order book of KRW-XRP is crossed: bid 812.3 >= ask 812.2"),
            Plan::ExitEarly => return Ok(true),
            Plan::Hang => {
                // The page goes on being served, and SIGTERM is taken and not obeyed: only SIGABRT or SIGKILL ends this.
                say("INFO", "waiting for a lock that never comes");
                std::future::pending::<()>().await;
            }
            Plan::GrandchildEarly => leave_daemon()?,
            Plan::Dlq => {
                say("WARNING", "alert DRILL-7 moved to the DLQ after 4 attempts: connection refused");
                self.state.borrow_mut().dead_letter();
                deliveries::add(&self.args, deliveries::Row::DeadLetter)?;
            }
            _ => {}
        }
        Ok(false)
    }

    /// Final figures, then a while in which the last scrape can see them.
    async fn end(&mut self) -> std::io::Result<()> {
        drill(&self.args, &self.state)?;
        self.state.borrow_mut().freeze();
        self.write_kpi(true)?;
        tokio::time::sleep(Duration::from_millis(self.args.linger_ms)).await;
        if self.args.breaks(Plan::Grandchild) {
            leave_daemon()?;
        }
        say("INFO", "ended in order");
        Ok(())
    }

    fn write_kpi(&self, last: bool) -> std::io::Result<()> {
        if self.args.breaks(Plan::NoKpi) {
            return Ok(());
        }
        let mut state = self.state.borrow_mut();
        state.observe_process();
        let lie = if self.args.breaks(Plan::CpuLie) { 0.1 } else { 1.0 };
        let text = kpi::document(&state, self.began.elapsed(), last, lie);
        let cut = if last && self.args.breaks(Plan::HalfKpi) { text.len() / 2 } else { text.len() };
        kpi::write(&self.args.kpi_output_path, &text.as_bytes()[..cut])
    }
}

/// Delivers a test alert to the only notifier, the log itself, and measures that.
fn drill(args: &Args, state: &Rc<RefCell<State>>) -> std::io::Result<()> {
    let raised = Instant::now();
    say("INFO", "ALERT P3 DRILL: this is a test of the notifier local_log");
    let took = raised.elapsed();
    state.borrow_mut().delivered(took);
    deliveries::add(args, deliveries::Row::Sent(took))
}

/// What a healthy program prints when it deals with an exception, and when it quotes somebody else's.
fn handled() {
    for line in [
        "Traceback (most recent call last):",
        "  File \"/opt/bot/feed.py\", line 88, in poll",
        "    frame = self.queue.get_nowait()",
        "  File \"/usr/lib/python3.11/queue.py\", line 199, in get_nowait",
        "    return self.get(block=False)",
        "_queue.Empty",
    ] {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
    say("WARNING", "feed: empty queue, asked again (1 of 3)");
    say("INFO", "peer said: \"Traceback (most recent call last):\" in its status field");
    say("INFO", "documentation: > thread 'main' panicked at src/main.rs:1:1: is what a crash looks like");
}
