//! The dispatcher: two threads, one that takes alerts in and one that sends. What they do lives in `intake` and `worker`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use exposition::Registry;
use market::Timestamp;

use crate::config::AlertConfig;
use crate::intake::Intake;
use crate::model::AlertError;
use crate::notifier::Notifier;
use crate::worker::Worker;

/// Tells the time: wall time at start plus monotonic time since.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How often the sources are looked at.
const POLL: Duration = Duration::from_millis(20);
/// How often the queue is measured.
const MEASURE: Duration = Duration::from_millis(500);
/// The pause after an error of the store: the cursor stands still meanwhile.
const AFTER_ERROR: Duration = Duration::from_millis(500);

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
        let notifiers = config.build_notifiers();
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
        let mut names: Vec<String> = notifiers.iter().map(|n| n.name().to_owned()).collect();
        let mut intake = Intake::new(&config, registry, &names)?;
        let mut worker = Worker::new(&config, registry, notifiers, clock.clone())?;
        names.sort();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(AlertError::Config("two notifiers have the same name".to_owned()));
        }
        intake.come_back()?;
        intake.poll(clock())?;
        worker.step()?;
        worker.measure()?;
        let shared = Arc::new(Shared::default());
        let intake_thread = spawn("alert-intake", {
            let (shared, clock) = (Arc::clone(&shared), clock);
            move || run_intake(&mut intake, &shared, &clock)
        })?;
        let worker_thread = spawn("alert-worker", {
            let shared = Arc::clone(&shared);
            move || run_worker(&mut worker, &shared)
        });
        let mut handle = DispatcherHandle { shared, threads: vec![intake_thread] };
        // When the second thread cannot be had, dropping the handle ends the first.
        handle.threads.push(worker_thread?);
        Ok(handle)
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, AlertError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|e| AlertError::Config(format!("cannot start the thread {name}: {e}")))
}

/// Wall time at its making plus monotonic time since.
fn system_clock() -> Clock {
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
    stopping: bool,
    /// Passes over all sources begun and completed without an error.
    asked: u64,
    read: u64,
    /// The worker's generation of "nothing open", following `read`.
    measured: u64,
    open: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain numbers, never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until the timeout or the next change; true when the threads should end.
    fn pause(&self, timeout: Duration) -> bool {
        let state = self.lock();
        if state.stopping {
            return true;
        }
        let (state, _) = self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner);
        state.stopping
    }
}

fn run_intake(intake: &mut Intake, shared: &Shared, clock: &Clock) {
    let mut failing = false;
    loop {
        let asked = shared.lock().asked;
        let pause = match intake.poll(clock()) {
            Ok(taken) => {
                failing = false;
                let mut state = shared.lock();
                if taken > 0 || state.read < asked {
                    state.read = asked;
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
                AFTER_ERROR
            }
        };
        if shared.pause(pause) {
            return;
        }
    }
}

fn run_worker(worker: &mut Worker, shared: &Shared) {
    let mut failing = false;
    let mut measure_at = Instant::now();
    loop {
        let read = shared.lock().read;
        let result = worker.step().and_then(|worked| {
            let waited_for = shared.lock().measured < read;
            if Instant::now() >= measure_at || (waited_for && !worked) {
                measure_at = Instant::now() + MEASURE;
                let open = worker.measure()?;
                let mut state = shared.lock();
                (state.measured, state.open) = (read, open);
                drop(state);
                shared.changed.notify_all();
            }
            Ok(worked)
        });
        let pause = match result {
            Ok(true) => Duration::ZERO,
            Ok(false) => POLL,
            Err(ref e) => {
                if !failing {
                    tracing::error!("alerts cannot be sent, trying again: {e}");
                }
                AFTER_ERROR
            }
        };
        failing = result.is_err();
        if shared.pause(pause) {
            return;
        }
    }
}

/// A running dispatcher. Dropping it ends the threads after their current step, like [`DispatcherHandle::stop`].
#[derive(Debug)]
pub struct DispatcherHandle {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl DispatcherHandle {
    /// Waits until everything that the sources held at the call is delivered or in the dead letters, at most for `timeout`.
    /// Retries keep their pauses. The writers of the sources must have flushed before.
    pub fn settle(&self, timeout: Duration) -> Settled {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        // A pass that is under way may have missed the newest records: the next one counts.
        state.asked += 1;
        let wanted = state.asked;
        self.shared.changed.notify_all();
        loop {
            let is_known = state.read >= wanted && state.measured >= wanted;
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

    /// Ends both threads after their current step. What is open stays in the store for the next dispatcher.
    pub fn stop(self) {
        drop(self);
    }

    fn end(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("an alert thread panicked");
            }
        }
    }
}

impl Drop for DispatcherHandle {
    fn drop(&mut self) {
        self.end();
    }
}
