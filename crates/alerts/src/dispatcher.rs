//! The dispatcher: a thread that takes alerts in, and one for each notifier that sends, so that a slow one holds up no other. What
//! they do lives in `intake` and `worker`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use exposition::Registry;
use market::Timestamp;

use crate::config::AlertConfig;
use crate::intake::Intake;
use crate::model::AlertError;
use crate::notifier::Notifier;
use crate::own::Own;
use crate::worker::Worker;

/// Tells the time: wall time at start plus monotonic time since.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How often the sources are looked at.
const POLL: Duration = Duration::from_millis(20);
/// How often an idle worker looks for retries that are due; new deliveries wake it.
const IDLE: Duration = Duration::from_millis(50);
/// How often the queue is measured.
const MEASURE: Duration = Duration::from_millis(500);
/// The pause after an error of the store: the cursor stands still meanwhile.
const AFTER_ERROR: Duration = Duration::from_millis(500);

/// The thread that takes in.
const INTAKE: &str = "alert-intake";

/// Starts dispatchers.
#[derive(Debug)]
pub struct Dispatcher;

/// How [`DispatcherHandle::settle`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Deliveries still open (and 1 more when the sources or the store could not be read): 0 means that everything raised
    /// before the call is delivered or in the dead letters.
    pub pending: u64,
}

impl Dispatcher {
    /// Starts with the notifiers of the configuration and a clock of its own. When it returns, all counters exist and the
    /// first probe has been made.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn start(config: AlertConfig, registry: &Registry) -> Result<DispatcherHandle, AlertError> {
        let notifiers = config.build_notifiers()?;
        Self::start_with(config, registry, notifiers, system_clock())
    }

    /// Starts with these notifiers and the clock that stamps the sources.
    ///
    /// # Errors
    /// [`AlertError`].
    pub fn start_with(
        config: AlertConfig,
        registry: &Registry,
        notifiers: Vec<Box<dyn Notifier>>,
        clock: Clock,
    ) -> Result<DispatcherHandle, AlertError> {
        let names: Vec<String> = notifiers.iter().map(|n| n.name().to_owned()).collect();
        if names.iter().enumerate().any(|(i, name)| names[..i].contains(name)) {
            return Err(AlertError::Config("two notifiers have the same name".to_owned()));
        }
        let own = Arc::new(Own::open(&config)?);
        let mut intake = Intake::new(&config, registry, &names)?;
        let mut workers = Vec::new();
        for notifier in notifiers {
            let of = (notifier, names.as_slice());
            let shared = (Arc::clone(&own), intake.queue());
            workers.push(Worker::lane(&config, registry, of, clock.clone(), shared)?);
        }
        // A server that is away, or a full disk, keeps nobody from starting: everything waits on disk. Nor does a source that cannot be
        // read: the others can.
        intake.begins(clock());
        match intake.come_back().and_then(|()| intake.look(clock(), false)) {
            Ok(looked) => own.unreadable(&looked.failed, clock()),
            Err(e @ (AlertError::StoreLost { .. } | AlertError::Store(_))) => {
                own.failing(INTAKE, &e, clock());
                intake.look_ahead(clock());
            }
            Err(e) => return Err(e),
        }
        let shared = Arc::new(Shared::default());
        shared.lock().prepared = intake.is_prepared();
        // When a thread cannot be had, dropping the handle ends the others.
        let mut handle = DispatcherHandle { shared: Arc::clone(&shared), workers: Vec::new(), intake: None };
        let (ready, probed) = mpsc::channel();
        for (mut worker, name) in workers.into_iter().zip(&names) {
            let (shared, own, clock) = (Arc::clone(&shared), Arc::clone(&own), clock.clone());
            let ready = ready.clone();
            let thread = format!("alert-{name}");
            handle.workers.push(spawn(&thread.clone(), move || {
                let first = worker.probe_when_due().and_then(|()| match worker.measure() {
                    Err(AlertError::StoreLost { .. } | AlertError::Store(_)) => Ok(0),
                    other => other,
                });
                let works = first.is_ok();
                if ready.send(first).is_ok() && works {
                    run_worker((&thread, &mut worker), &shared, &own, &clock);
                    worker.leave();
                }
            })?);
        }
        drop(ready);
        // All at once: the slowest probe is what the start waits for.
        for _ in &names {
            let gone = || AlertError::Config("an alert thread ended at once".to_owned());
            probed.recv().map_err(|_| gone())??;
        }
        handle.intake = Some(spawn(INTAKE, move || run_intake(&mut intake, &shared, &own, &clock))?);
        Ok(handle)
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, AlertError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|e| AlertError::Config(format!("cannot start the thread {name}: {e}")))
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("an alert thread panicked");
    }
}

/// Wall time at its making plus monotonic time since.
pub(crate) fn system_clock() -> Clock {
    let start = Instant::now();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Arc::new(move || Timestamp(0).plus(wall + start.elapsed()))
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The workers end, and, when they have, the intake.
    stopping: bool,
    ending: bool,
    /// What an earlier process left is counted: from now on deliveries may be sent.
    prepared: bool,
    /// Passes over all sources that were asked for, that were made, and that were made without an error.
    asked: u64,
    passed: u64,
    read: u64,
    /// The workers' generation of "nothing open", following `passed`.
    measured: u64,
    open: u64,
    /// The pass behind which waiting batches leave at once, and that for which they have.
    flush: u64,
    flushed: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain numbers, never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until the timeout or the next change; true when the thread should end.
    fn pause(&self, timeout: Duration, ends: fn(&State) -> bool) -> bool {
        let state = self.lock();
        if ends(&state) {
            return true;
        }
        let (state, _) = self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner);
        ends(&state)
    }
}

fn run_intake(intake: &mut Intake, shared: &Shared, own: &Own, clock: &Clock) {
    let mut failing = false;
    loop {
        let (asked, passed) = {
            let state = shared.lock();
            (state.asked, state.passed)
        };
        let pause = match intake.look(clock(), passed < asked) {
            Ok(looked) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("alerts are taken in again");
                }
                own.well(INTAKE);
                own.unreadable(&looked.failed, clock());
                let mut state = shared.lock();
                state.prepared = intake.is_prepared();
                if looked.taken > 0 || passed < asked || state.read < asked {
                    state.passed = asked;
                    // An unreadable source may hold what was asked for; the others' alerts leave all the same.
                    if looked.failed.is_empty() {
                        state.read = asked;
                    }
                    drop(state);
                    shared.changed.notify_all();
                }
                POLL
            }
            Err(e) => {
                if !failing {
                    tracing::error!("alerts cannot be taken in, trying again: {e}");
                }
                failing = true;
                own.failing(INTAKE, &e, clock());
                intake.look_ahead(clock());
                shared.lock().prepared = intake.is_prepared();
                AFTER_ERROR
            }
        };
        if shared.pause(pause, |state| state.ending) {
            break;
        }
    }
    // What the workers raised while they ended is stored with the rest.
    if let Err(e) = intake.look(clock(), true) {
        tracing::warn!("what was raised last waits on disk: {e}");
    }
}

fn run_worker((name, worker): (&str, &mut Worker), shared: &Shared, own: &Own, clock: &Clock) {
    let mut failing = false;
    let mut measure_at = Instant::now();
    loop {
        if !shared.lock().prepared {
            // Whether a notifier works is measured while the store is away, too.
            if let Err(e) = worker.probe_when_due() {
                own.failing(name, &e, clock());
            }
            if shared.pause(IDLE, |state| state.stopping) {
                return;
            }
            continue;
        }
        let result = turn(worker, shared, &mut measure_at);
        let pause = match result {
            Ok(true) => Duration::ZERO,
            Ok(false) => IDLE,
            Err(ref e) => {
                if !failing {
                    tracing::error!("alerts cannot be sent, trying again: {e}");
                }
                own.failing(name, e, clock());
                worker.age_queue();
                AFTER_ERROR
            }
        };
        failing = result.is_err();
        if !failing {
            own.well(name);
        }
        if shared.pause(pause, |state| state.stopping) {
            return;
        }
    }
}

/// One step of a worker, and what the others wait for: batches that leave before the end, fallbacks, the measured queue.
fn turn(worker: &mut Worker, shared: &Shared, measure_at: &mut Instant) -> Result<bool, AlertError> {
    let (passed, flush) = {
        let state = shared.lock();
        let is_wanted = state.flush > state.flushed && state.passed >= state.flush;
        (state.passed, is_wanted.then_some(state.flush))
    };
    if let Some(wanted) = flush {
        worker.flush_batches()?;
        let mut state = shared.lock();
        state.flushed = state.flushed.max(wanted);
        drop(state);
        shared.changed.notify_all();
    }
    let worked = worker.step()?;
    if worker.take_fell_back() {
        shared.changed.notify_all();
    }
    let waited_for = shared.lock().measured < passed;
    if Instant::now() >= *measure_at || (waited_for && !worked) {
        *measure_at = Instant::now() + MEASURE;
        let open = worker.measure()?;
        let mut state = shared.lock();
        // A slow answer to an earlier question says nothing of what was read since.
        if passed >= state.measured {
            (state.measured, state.open) = (passed, open);
        }
        drop(state);
        shared.changed.notify_all();
    }
    Ok(worked)
}

/// A running dispatcher. Dropping it ends the threads after their current step, like [`DispatcherHandle::stop`].
#[derive(Debug)]
pub struct DispatcherHandle {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    intake: Option<JoinHandle<()>>,
}

impl DispatcherHandle {
    /// Waits until everything that the sources held at the call is delivered or in the dead letters, at most for `timeout`.
    /// Batches leave at once; retries keep their pauses. The writers of the sources must have flushed before.
    pub fn settle(&self, timeout: Duration) -> Settled {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        // A pass that is under way may have missed the newest records: the next one counts.
        state.asked += 1;
        let wanted = state.asked;
        state.flush = wanted;
        self.shared.changed.notify_all();
        loop {
            let is_known = state.read >= wanted && state.flushed >= wanted && state.measured >= wanted;
            if is_known && state.open == 0 {
                return Settled { pending: 0 };
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Settled { pending: state.open + u64::from(!is_known) };
            }
            let wait = left.min(POLL);
            (state, _) =
                self.shared.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the threads after their current step. What is open stays in the store for the next dispatcher.
    pub fn stop(self) {
        drop(self);
    }

    fn end(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        self.workers.drain(..).for_each(join);
        self.shared.lock().ending = true;
        self.shared.changed.notify_all();
        self.intake.take().into_iter().for_each(join);
    }
}

impl Drop for DispatcherHandle {
    fn drop(&mut self) {
        self.end();
    }
}
