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

    /// The same clock, put forward where the wall clock of this start stands before `at`, which a journal reached already:
    /// otherwise the session's time would stand still until the wall clock gets there.
    #[must_use]
    pub fn not_before(self, at: Timestamp) -> Self {
        let behind_s = at.secs_since(self.wall);
        if behind_s <= 0.0 {
            return self;
        }
        tracing::warn!(
            behind_s,
            "the wall clock stands before the journal's last record: time goes on from there"
        );
        Self { wall: at, ..self }
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
