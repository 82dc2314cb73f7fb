//! The gauges of the queue: what the store says is open, and what waits on disk while the store cannot be asked. While it cannot, the last
//! answer stands and grows older: an outage is when a person looks at these.

use std::sync::{Mutex, MutexGuard, PoisonError};

use exposition::{Gauge, Registry, RegistryError};
use market::Timestamp;

use crate::store::Open;

/// `alert_queue_depth` and `alert_oldest_pending_seconds`; shared by the threads of a dispatcher.
#[derive(Debug)]
pub(crate) struct Queue {
    depth: Gauge,
    oldest: Gauge,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The store's last answer.
    stored: Option<Open>,
    /// Alerts that are not taken in, and when the oldest of them was raised.
    waiting: (u64, Option<Timestamp>),
}

impl Queue {
    pub(crate) fn new(registry: &Registry) -> Result<Self, RegistryError> {
        Ok(Self {
            depth: registry.gauge("alert_queue_depth", &[])?,
            oldest: registry.gauge("alert_oldest_pending_seconds", &[])?,
            state: Mutex::default(),
        })
    }

    /// The store's answer.
    pub(crate) fn stored(&self, open: Open, now: Timestamp) {
        self.change(now, |state| state.stored = Some(open));
    }

    /// What the journal and the spools hold that the store has not taken.
    pub(crate) fn waiting(&self, alerts: u64, oldest: Option<Timestamp>, now: Timestamp) {
        let is_news = self.lock().waiting != (alerts, oldest);
        if is_news {
            self.change(now, |state| state.waiting = (alerts, oldest));
        }
    }

    /// The store did not answer: what is known grows older.
    pub(crate) fn age(&self, now: Timestamp) {
        self.change(now, |_| {});
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain values, never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, now: Timestamp, how: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        how(&mut state);
        let (waiting, raised) = state.waiting;
        self.depth.set((state.stored.map_or(0, |open| open.deliveries) + waiting) as f64);
        let oldest = state.stored.and_then(|open| open.oldest).into_iter().chain(raised).min();
        self.oldest.set(oldest.map_or(0.0, |raised| now.secs_since(raised).max(0.0)));
    }
}
