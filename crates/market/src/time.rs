//! Instants. Time is always an argument: nothing in the pure crates reads a clock.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Nanoseconds in a second.
pub const NANOS_PER_SEC: i64 = 1_000_000_000;

/// An instant: nanoseconds since 1970-01-01T00:00:00Z, as the shell stamped it (wall time at start plus monotonic time
/// since, so it never jumps). Subtraction gives signed nanoseconds because venues' clocks run ahead as well as behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From milliseconds since the epoch (venues' unit). Saturates.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// From whole seconds since the epoch. Saturates.
    pub const fn from_secs(s: i64) -> Self {
        Self(s.saturating_mul(NANOS_PER_SEC))
    }

    /// Milliseconds since the epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Seconds since the epoch as a float: statistics and screens only.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// `self - earlier` in nanoseconds, negative when `earlier` is later. Saturates.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `self - earlier` in seconds: statistics and screens only.
    pub fn secs_since(self, earlier: Self) -> f64 {
        self.since(earlier) as f64 / 1e9
    }

    /// `self + duration`. Saturates.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }
}
