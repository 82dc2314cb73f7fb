//! What a watching loop has to do next, and when. Only instants: nothing here is done.

use crate::profile::{Panels, Watch};
use catalogue::Dashboard;
use std::time::{Duration, Instant};

/// While a block in the log is open or its cause undecided, it is looked at this often.
const LOG_LOOK: Duration = Duration::from_millis(100);
/// Rules that grow by time alone (blindness) are looked at this often between two polls.
const TICK: Duration = Duration::from_secs(1);

/// The next time of everything that recurs.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) poll: Instant,
    pub(super) tick: Instant,
    /// When the log must be looked at; `None` while nothing in it is open.
    pub(super) log: Option<Instant>,
    next_interim: Instant,
    core: Instant,
    alerting: Instant,
    poll_every: Duration,
    interim_every: Duration,
    core_every: Duration,
    alerting_every: Duration,
}

impl Due {
    /// Everything one interval after `began`.
    pub(super) fn new(began: Instant, watch: &Watch, panels: &Panels) -> Self {
        Self {
            poll: began + watch.poll.0,
            tick: began + TICK.min(watch.poll.0),
            log: None,
            next_interim: began + watch.interim_every.0,
            core: began + panels.core_every.0,
            alerting: began + panels.alerting_every.0,
            poll_every: watch.poll.0,
            interim_every: watch.interim_every.0,
            core_every: panels.core_every.0,
            alerting_every: panels.alerting_every.0,
        }
    }

    /// The next thing.
    pub(super) fn next(&self, with_panels: bool) -> Instant {
        let panels = with_panels.then_some(self.core.min(self.alerting));
        let always = self.poll.min(self.tick).min(self.next_interim);
        [panels, self.log].into_iter().flatten().fold(always, Instant::min)
    }

    /// A poll was made. One that took too long is not made up for: the next one is at the next multiple.
    pub(super) fn polled(&mut self, now: Instant) {
        self.poll = after(self.poll, self.poll_every, now);
        self.ticked(now);
    }

    /// The rules were told the time.
    pub(super) fn ticked(&mut self, now: Instant) {
        self.tick = now + TICK.min(self.poll_every);
    }

    /// The log was looked at; `open` when something in it is undecided.
    pub(super) fn looked_at_log(&mut self, open: bool) {
        self.log = open.then(|| Instant::now() + LOG_LOOK);
    }

    /// True when a line of interim figures is due; it counts as said.
    pub(super) fn interim(&mut self, now: Instant) -> bool {
        let due = now >= self.next_interim;
        if due {
            self.next_interim = after(self.next_interim, self.interim_every, now);
        }
        due
    }

    /// The dashboards whose panels are due; they count as checked.
    pub(super) fn panels(&mut self, now: Instant) -> Vec<Dashboard> {
        let mut due = Vec::new();
        if now >= self.core {
            self.core = after(self.core, self.core_every, now);
            due.push(Dashboard::Core);
        }
        if now >= self.alerting {
            self.alerting = after(self.alerting, self.alerting_every, now);
            due.push(Dashboard::Alerting);
        }
        due
    }
}

/// The first multiple of `every` after `due` that lies in the future.
fn after(due: Instant, every: Duration, now: Instant) -> Instant {
    let every = every.max(Duration::from_millis(1));
    let late = now.saturating_duration_since(due).as_nanos() / every.as_nanos();
    due + every * (u32::try_from(late).unwrap_or(u32::MAX).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let start = Instant::now();
        let s = Duration::from_secs;
        assert_eq!(after(start, s(10), start), start + s(10));
        assert_eq!(after(start, s(10), start + s(9)), start + s(10));
        assert_eq!(after(start, s(10), start + s(35)), start + s(40));
    }
}
