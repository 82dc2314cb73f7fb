//! The fake's loop, its end, and what happens when a defect is due.

use super::deliveries::{self, Row};
use super::log::{self, say};
use super::plan::Plan;
use super::state::State;
use super::{Args, kpi, process, server};
use std::cell::RefCell;
use std::process::Child;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The loop's beat.
const BEAT: Duration = Duration::from_millis(20);
/// How long a delivery takes.
const DELIVERY: Duration = Duration::from_millis(3);
/// How long something lasts that never ends by itself.
const FOR_EVER: Duration = Duration::from_secs(600);

pub(super) fn run(args: Args) -> std::io::Result<()> {
    log::set_style(args.log_style);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut runner = Runner::start(args).await?;
        runner.work().await?;
        runner.end().await
    })
}

struct Runner {
    args: Rc<Args>,
    state: Rc<RefCell<State>>,
    began: Instant,
    terminate: Signal,
    interrupt: Signal,
    broken: bool,
    hangs: bool,
    ballast: process::Ballast,
    children: Vec<Child>,
    files: Vec<std::fs::File>,
    first_kpi: Option<String>,
    written: u64,
}

impl Runner {
    async fn start(args: Args) -> std::io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let args = Rc::new(args);
        let state = Rc::new(RefCell::new(State::new(&args)));
        let began = Instant::now();
        say(
            "INFO",
            &format!("fake-runner {} plays {:?} as {}", env!("CARGO_PKG_VERSION"), args.plan, args.run_id),
        );
        if !args.breaks(Plan::NoMetrics) {
            tokio::task::spawn_local(server::serve(Rc::clone(&args), Rc::clone(&state), began));
        }
        let mut runner = Self {
            args,
            state,
            began,
            terminate,
            interrupt,
            broken: false,
            hangs: false,
            ballast: process::Ballast::default(),
            children: Vec::new(),
            files: Vec::new(),
            first_kpi: None,
            written: 0,
        };
        runner.deliver(Row::Sent(DELIVERY), 1)?;
        runner.habits()?;
        Ok(runner)
    }

    /// What it does from its start, being healthy.
    fn habits(&mut self) -> std::io::Result<()> {
        if self.args.has(Plan::CloseOutput) {
            let null = std::fs::File::options().write(true).open("/dev/null")?;
            rustix::stdio::dup2_stdout(&null)?;
        }
        if self.args.has(Plan::Threads) {
            for _ in 0..40 {
                std::thread::spawn(|| std::thread::sleep(FOR_EVER));
            }
        }
        if self.args.has(Plan::Files) {
            for _ in 0..200 {
                self.files.push(std::fs::File::open("/dev/null")?);
            }
        }
        Ok(())
    }

    fn duration(&self) -> Duration {
        let seconds = self.args.run_duration_seconds * self.args.seconds_scale + self.args.end_shift_seconds;
        Duration::from_secs_f64(seconds.max(0.0))
    }

    /// Iterations until the time is over or somebody asks to stop.
    async fn work(&mut self) -> std::io::Result<()> {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let every = Duration::from_millis(self.args.kpi_interval_ms);
        let late = if self.args.has(Plan::LateKpi) { Duration::from_millis(1_500) } else { Duration::ZERO };
        let (mut next_kpi, mut next_log) = (late, Duration::ZERO);
        let log_every = Duration::from_millis(if self.args.has(Plan::Chatter) { 20 } else { 1_000 });
        let (sigint, stubborn) = (self.args.has(Plan::Sigint), self.args.breaks(Plan::IgnoreSignals));
        let endless = sigint || stubborn || self.args.has(Plan::Overrun);
        let reason = loop {
            tokio::select! {
                _ = beat.tick() => {}
                _ = self.terminate.recv(), if !sigint && !stubborn && !self.hangs => break "signal",
                _ = self.interrupt.recv(), if !stubborn && !self.hangs => break "signal",
            }
            let elapsed = self.began.elapsed();
            if elapsed >= self.duration() && !endless && !self.hangs {
                break "duration";
            }
            if !self.hangs {
                self.state.borrow_mut().iterate(&self.args, elapsed, self.duration());
            }
            if elapsed >= next_log {
                next_log = elapsed + log_every;
                let (n, trips) = self.state.borrow().iterations_and_trips();
                let lines = if self.args.has(Plan::Chatter) { 40 } else { 1 };
                (0..lines).for_each(|_| say("INFO", &format!("Iteration [{n}] round trips {trips}")));
            }
            if elapsed >= next_kpi {
                next_kpi = elapsed + every;
                self.write_kpi(false)?;
            }
            if !self.broken && elapsed.as_secs_f64() >= self.args.break_after_seconds {
                self.broken = true;
                self.break_now().await?;
            }
            self.use_machine(elapsed)?;
        };
        say("INFO", &format!("ending: {reason}"));
        self.state.borrow_mut().stop(reason);
        Ok(())
    }

    /// Memory, CPU and children as planned, a beat's worth.
    fn use_machine(&mut self, elapsed: Duration) -> std::io::Result<()> {
        let seconds = elapsed.as_secs_f64();
        let megabytes = if self.args.breaks(Plan::MemoryRamp) {
            seconds * 8.0
        } else if self.args.has(Plan::WarmUp) {
            (seconds * 20.0).min(20.0)
        } else if self.args.has(Plan::SawTooth) {
            seconds.fract() * 8.0
        } else {
            0.0
        };
        self.ballast.hold(megabytes as usize);
        if self.args.breaks(Plan::CpuLie) {
            process::burn(BEAT / 2);
        }
        if self.args.busy_ms > 0 && self.args.is_broken_phase() {
            process::burn(Duration::from_millis(self.args.busy_ms));
        }
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let wanted = usize::from(self.args.has(Plan::Children) || self.args.has(Plan::Worker));
        if self.children.len() < wanted {
            let life = if self.args.has(Plan::Worker) { FOR_EVER } else { Duration::from_millis(300) };
            self.children.push(process::napper(life)?);
        }
        Ok(())
    }

    /// The defect, once.
    async fn break_now(&mut self) -> std::io::Result<()> {
        let args = Rc::clone(&self.args);
        if args.has(Plan::Handled) {
            log::handled();
        }
        if !args.is_broken_phase() {
            return Ok(());
        }
        for text in &args.print {
            log::print(&log::unescape(text), false, args.piece);
        }
        for text in &args.print_err {
            log::print(&log::unescape(text), true, args.piece);
        }
        if args.flood_mb > 0 {
            log::flood(args.flood_mb);
        }
        self.deliver(Row::Sent(DELIVERY), args.sent)?;
        self.deliver(Row::Retried(DELIVERY), args.retried)?;
        self.deliver(Row::FellBack(DELIVERY), args.fallbacks)?;
        self.deliver(Row::Failed, args.failures)?;
        for plan in &args.plan {
            self.play(*plan).await?;
        }
        Ok(())
    }

    async fn play(&mut self, plan: Plan) -> std::io::Result<()> {
        match plan {
            #[expect(clippy::panic, reason = "the defect that is played")]
            Plan::Crash => panic!("order book of KRW-XRP is crossed: bid 812.3 >= ask 812.2"),
            #[expect(clippy::panic, reason = "the defect that is played")]
            Plan::WorkerPanic => {
                let worker = std::thread::Builder::new().name("feed".to_owned());
                worker.spawn(|| panic!("feed of binance ended"))?;
            }
            Plan::Die => std::process::exit(self.args.exit_code.into()),
            Plan::ExitEarly => std::process::exit(0),
            Plan::KillSelf => process::signal_self(self.args.signal),
            Plan::Hang => {
                // The page goes on being served, and SIGTERM is taken and not obeyed: only SIGABRT or SIGKILL ends this.
                say("INFO", "waiting for a lock that never comes");
                std::future::pending::<()>().await;
            }
            Plan::HangBusy => self.hangs = true,
            Plan::Freeze => std::thread::sleep(FOR_EVER),
            Plan::GrandchildEarly => process::leave_daemon()?,
            Plan::Worker => {
                if let Some(child) = self.children.first_mut() {
                    say("WARNING", "worker 1 does not answer: started again");
                    child.kill()?;
                }
            }
            Plan::Dlq => {
                say("WARNING", "alert DRILL-7 moved to the DLQ after 4 attempts: connection refused");
                self.deliver(Row::DeadLetter, 1)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Final figures, then a while in which the last scrape can see them.
    async fn end(&mut self) -> std::io::Result<()> {
        // Without a store of its own the page counts what Assay's drill delivers, which is one alert a phase: whether the last
        // scrape still saw a second one would be chance.
        if self.args.alert_db.is_some() {
            self.deliver(Row::Sent(DELIVERY), 1)?;
        }
        self.state.borrow_mut().freeze();
        self.write_kpi(true)?;
        tokio::time::sleep(Duration::from_millis(self.args.linger_ms)).await;
        for child in &mut self.children {
            child.kill()?;
            child.wait()?;
        }
        if self.args.breaks(Plan::Grandchild) {
            process::leave_daemon()?;
        }
        say("INFO", "ended in order");
        Ok(())
    }

    fn write_kpi(&mut self, last: bool) -> std::io::Result<()> {
        let args = Rc::clone(&self.args);
        self.written += 1;
        if args.breaks(Plan::NoKpi) || (args.breaks(Plan::StaleKpi) && self.written > 1) {
            return Ok(());
        }
        let mut state = self.state.borrow_mut();
        state.observe_process();
        let lie = if args.breaks(Plan::CpuLie) { 0.1 } else { 1.0 };
        let mut text = kpi::document(&args, &state, self.began.elapsed(), last, lie);
        if args.breaks(Plan::ConstantKpi) && elapsed_enough(&state) {
            let first = self.first_kpi.get_or_insert(text);
            text =
                if last { first.replace("\"complete\":false", "\"complete\":true") } else { first.clone() };
        }
        let end = match () {
            () if last && args.breaks(Plan::HalfKpi) => text.len() / 2,
            () if last && args.breaks(Plan::EmptyKpi) => 0,
            () => text.len(),
        };
        kpi::write(&args.kpi_output_path, &text.as_bytes()[..end])
    }

    /// Delivers alerts by the book: counters, histogram, and rows of the table where there is one.
    fn deliver(&self, row: Row, times: u64) -> std::io::Result<()> {
        if times == 0 {
            return Ok(());
        }
        let mut state = self.state.borrow_mut();
        for _ in 0..times {
            say("INFO", "ALERT P3 DRILL: this is a test of the notifier local_log");
            match row {
                Row::Sent(took) => state.delivered(took),
                Row::Retried(took) => {
                    state.retried += 1;
                    state.delivered(took);
                }
                Row::FellBack(took) => {
                    state.fallbacks += 1;
                    state.delivered(took);
                }
                Row::Failed => state.failed += 1,
                Row::DeadLetter => state.dead_letter(),
            }
        }
        deliveries::add(&self.args, row, times)
    }
}

/// A mock's figures are those of a moment when something had happened already.
fn elapsed_enough(state: &State) -> bool {
    state.exits() >= 3
}
