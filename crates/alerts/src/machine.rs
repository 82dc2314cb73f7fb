//! The delivery's state machine: pure decisions on retries and circuits, time as an argument. Rows live in the store, effects
//! in the worker.

use std::time::Duration;

use market::Timestamp;

use crate::config::RetryPolicy;
use crate::notifier::SendError;

/// A wish of the other side to be left alone is honoured up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Failures in a row that open a circuit.
const OPENS_AFTER: u32 = 5;
/// An open circuit lets one attempt through after this.
const HALF_OPEN_AFTER: Duration = Duration::from_secs(60);

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Acknowledged.
    Sent,
    /// Try again then.
    Retry(Timestamp),
    /// This notifier has had its chance: the next of the chain, or the dead letters.
    GiveUp,
}

/// Decides on attempts.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    retry: RetryPolicy,
}

impl Machine {
    /// A machine with this policy.
    pub const fn new(retry: RetryPolicy) -> Self {
        Self { retry }
    }

    /// What follows the `attempt`-th attempt (from 1) of a delivery, which ended at `now`.
    pub fn after(
        &self,
        delivery_id: i64,
        attempt: u32,
        result: &Result<(), SendError>,
        now: Timestamp,
    ) -> Next {
        let Err(error) = result else { return Next::Sent };
        if error.reason.is_permanent() || attempt >= self.retry.attempts {
            return Next::GiveUp;
        }
        let pause = self.pause(delivery_id, attempt);
        let asked = error.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        Next::Retry(now.plus(pause.max(asked)))
    }

    /// The pause after the `attempt`-th attempt: exponential, with a jitter that is fixed by delivery and attempt, so that a
    /// test repeats and deliveries still spread.
    fn pause(&self, delivery_id: i64, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let spread = 1.0 + self.retry.jitter * (2.0 * unit(delivery_id, attempt) - 1.0);
        let seconds = self.retry.first.as_secs_f64() * self.retry.factor.powi(exponent) * spread;
        Duration::try_from_secs_f64(seconds).unwrap_or(RETRY_AFTER_MAX)
    }
}

/// A number from 0 to 1 fixed by its arguments (SplitMix64's finaliser, Steele et al. 2014).
fn unit(delivery_id: i64, attempt: u32) -> f64 {
    let mut z =
        delivery_id.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(attempt));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}

/// The circuit breaker of a notifier: opens after 5 failures in a row, half-open after 60 s.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circuit {
    failures: u32,
    opened_at: Option<Timestamp>,
}

impl Circuit {
    /// Takes note of a probe. One that works cannot close a circuit before it is half-open: what failed five times in a row was
    /// sending, and a bot's name is told by a bot that cannot write. True when this opened the circuit.
    pub fn note_probe(&mut self, worked: bool, now: Timestamp) -> bool {
        !(worked && self.is_open(now)) && self.note(worked, now)
    }

    /// Takes note of an attempt. True when this opened the circuit.
    pub fn note(&mut self, worked: bool, now: Timestamp) -> bool {
        if worked {
            *self = Self::default();
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < OPENS_AFTER {
            return false;
        }
        // A failed attempt while half-open opens it again.
        let first = self.opened_at.is_none();
        if first || self.is_half_open(now) {
            self.opened_at = Some(now);
        }
        first
    }

    /// True while attempts should go elsewhere.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.opened_at.is_some() && !self.is_half_open(now)
    }

    fn is_half_open(&self, now: Timestamp) -> bool {
        self.opened_at.is_some_and(|at| now >= at.plus(HALF_OPEN_AFTER))
    }

    /// `notifier_available`: 1 = the last probe or send worked, 0.5 = failing or half-open, 0 = open.
    pub fn availability(&self, now: Timestamp) -> f64 {
        if self.failures == 0 {
            1.0
        } else if self.is_open(now) {
            0.0
        } else {
            0.5
        }
    }
}
