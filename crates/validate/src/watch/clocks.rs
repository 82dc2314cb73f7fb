//! The supervisor's own clocks: a machine that slept, a supervisor that stood still, a wall clock that jumped. Pure: the readings are
//! arguments.

/// Boot time may run away from monotonic time by this much, seconds; more means that the machine slept.
const SLEPT_S: f64 = 5.0;
/// A gap between two polls below this many seconds is never held against a run: a busy machine stalls.
const GAP_FLOOR_S: f64 = 5.0;
/// The wall clock may differ from the monotonic one by this much between two polls, seconds; more is a jump.
const JUMP_S: f64 = 1.0;

/// The longest time between two samples that is no interruption: three polls, and what the scrapes of one may take.
pub(crate) fn gap_limit_s(poll_s: f64, scrape_timeout_s: f64) -> f64 {
    (3.0 * poll_s + 2.0 * scrape_timeout_s).max(GAP_FLOOR_S)
}

/// How far the wall clock moved beyond the monotonic one between two samples `(t, wall_ms)`; `None` when it did not jump.
pub(crate) fn wall_jump_s(before: (f64, i64), now: (f64, i64)) -> Option<f64> {
    let jump = (now.1 - before.1) as f64 / 1e3 - (now.0 - before.0);
    (jump.abs() > JUMP_S).then_some(jump)
}

/// What two readings say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Reading {
    /// The machine slept, seconds since the start.
    pub(super) slept_s: Option<f64>,
    /// No poll was made for this long, seconds.
    pub(super) gap_s: Option<f64>,
    /// The wall clock jumped, seconds.
    pub(super) jump_s: Option<f64>,
}

/// The clocks of a phase.
#[derive(Debug)]
pub(super) struct Clocks {
    limit_s: f64,
    boot_offset_s: Option<f64>,
    last: (f64, Option<i64>),
}

impl Clocks {
    /// From the phase's start; `limit_s` as from [`gap_limit_s`].
    pub(super) fn new(limit_s: f64) -> Self {
        Self { limit_s, boot_offset_s: None, last: (0.0, None) }
    }

    /// A sample at `t` seconds, `wall_ms` of the wall clock, boot time less monotonic time.
    pub(super) fn look(&mut self, t: f64, wall_ms: i64, boot_offset_s: f64) -> Reading {
        let slept = boot_offset_s - *self.boot_offset_s.get_or_insert(boot_offset_s);
        let gap = t - self.last.0;
        let jump = self.last.1.and_then(|wall| wall_jump_s((self.last.0, wall), (t, wall_ms)));
        self.last = (t, Some(wall_ms));
        Reading {
            slept_s: (slept > SLEPT_S).then_some(slept),
            gap_s: (gap > self.limit_s).then_some(gap),
            jump_s: jump,
        }
    }
}

/// Boot time less monotonic time, seconds: grows while the machine sleeps.
pub(super) fn boot_offset_s() -> f64 {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let mono = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (boot.tv_sec - mono.tv_sec) as f64 + (boot.tv_nsec - mono.tv_nsec) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_polls_and_two_scrapes_are_the_limit() {
        assert_eq!(gap_limit_s(10.0, 5.0), 40.0);
        assert_eq!(gap_limit_s(0.25, 0.12), GAP_FLOOR_S);
    }

    #[test]
    fn a_gap_a_sleep_and_a_jump_are_told_apart() {
        let mut clocks = Clocks::new(5.0);
        assert_eq!(clocks.look(1.0, 1_000_000, 3.0), Reading::default());
        // Stopped by a signal: both clocks went on.
        let gap = clocks.look(11.0, 1_010_000, 3.0);
        assert_eq!(gap, Reading { gap_s: Some(10.0), ..Reading::default() });
        // Slept: the monotonic clock stood, wall and boot time went on.
        let slept = clocks.look(12.0, 1_071_000, 63.0);
        assert_eq!((slept.slept_s, slept.gap_s, slept.jump_s), (Some(60.0), None, Some(60.0)));
        // Set back by a person or by NTP: nobody slept since the last look, but the sleep of before still counts.
        let back = clocks.look(13.0, 1_012_000, 63.0);
        assert_eq!((back.gap_s, back.jump_s), (None, Some(-60.0)));
    }

    #[test]
    fn a_first_poll_that_comes_late_is_a_gap() {
        assert_eq!(Clocks::new(5.0).look(9.0, 0, 0.0).gap_s, Some(9.0));
    }
}
