//! The shell's clock: wall time at the start plus monotonic time since, so that stamps never jump.

use market::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Stamps instants. Copies agree with each other.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Timestamp,
    start: Instant,
}

impl Clock {
    /// Reads the wall clock once; from here on only the monotonic clock counts.
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall: Timestamp(i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX)), start: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// The stamp of a monotonic instant.
    pub fn at(&self, instant: Instant) -> Timestamp {
        self.wall.plus(instant.saturating_duration_since(self.start))
    }

    /// The stamp of the start.
    pub const fn started(&self) -> Timestamp {
        self.wall
    }

    /// The monotonic instant of the start.
    pub const fn start_instant(&self) -> Instant {
        self.start
    }

    /// Monotonic time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The monotonic instant of a stamp; the start for stamps before it.
    pub fn instant(&self, at: Timestamp) -> Instant {
        let nanos = u64::try_from(at.since(self.wall)).unwrap_or(0);
        self.start.checked_add(Duration::from_nanos(nanos)).unwrap_or(self.start)
    }
}

/// RFC 3339 in UTC with milliseconds; the raw number when it is out of the calendar's range.
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| at.0.to_string(), |t| format!("{t:.3}"))
}
