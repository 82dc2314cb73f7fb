//! The end: shutdown, kill switch, emergency stop. No entries from then on; what is open is closed against the books within
//! a bounded time, the rest is reported as open.

use crate::core::{Core, Effect, Stop};
use crate::guards::{Scope, rules};
use crate::legs::Phase;
use journal::record::ExitReason;
use journal::{Body, Words};
use market::Timestamp;

impl Stop {
    /// The exit reason of positions that it closes.
    pub(crate) const fn reason(self) -> ExitReason {
        match self {
            Self::Shutdown => ExitReason::Shutdown,
            Self::Kill => ExitReason::KillSwitch,
            Self::Emergency => ExitReason::Emergency,
        }
    }

    const fn end(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Kill => "kill_switch",
            Self::Emergency => "emergency_stop",
        }
    }
}

impl Core {
    /// When closing is given up.
    pub(crate) fn stop_deadline(&self, since: Timestamp) -> Timestamp {
        Timestamp(since.0.saturating_add(self.config.close_within_ms.saturating_mul(1_000_000)))
    }

    /// Starts the end. A stronger stop takes over from a weaker one; the time to close runs from the first.
    pub(crate) fn begin_stop(&mut self, stop: Stop, why: &str) {
        if self.ended || self.stop.is_some_and(|(running, _)| running >= stop) {
            return;
        }
        let since = self.stop.map_or(self.now, |(_, since)| since);
        self.stop = Some((stop, since));
        self.note("info", format!("{}: closing what is open ({why})", stop.end()));
        for p in 0..self.positions.len() {
            if self.positions[p].phase == Phase::Open {
                self.begin_exit(p, stop.reason());
            }
        }
        self.advance_all();
        self.check_stop();
    }

    /// The daily result has reached the emergency loss: latched.
    pub(crate) fn check_emergency(&mut self) {
        let (net, limit) = (self.results.daily_net, -self.config.emergency_loss_usd.0);
        if self.emergency || net.0 > limit {
            return;
        }
        self.emergency = true;
        self.guards.latch(self.now, rules::EMERGENCY, Scope::All, net.to_f64());
        self.publish_guards();
        self.record(Body::EmergencyStop { daily_net_usd: net });
        self.alert("RG-EMERGENCY-STOP", "Emergency stop", move || {
            Words::new(format!(
                "Emergency stop: the daily result is {net} USD; everything is being closed and the runner ends"
            ))
        });
        self.begin_stop(Stop::Emergency, "the daily result reached the emergency loss");
    }

    /// Takes the next step of every position.
    pub(crate) fn advance_all(&mut self) {
        let mut p = 0;
        while p < self.positions.len() {
            let id = self.positions[p].id;
            self.advance(p);
            if self.positions.get(p).is_some_and(|position| position.id == id) {
                p += 1;
            }
        }
    }

    /// Ends the session once everything is closed, or when the time for it is over.
    pub(crate) fn check_stop(&mut self) {
        let Some((stop, since)) = self.stop else { return };
        if self.ended || (!self.positions.is_empty() && self.now < self.stop_deadline(since)) {
            return;
        }
        self.record_funnel();
        self.end_shadows();
        self.record_figures(None);
        self.record_equity();
        let open_positions = self.positions.len() as u32;
        self.record(Body::End { reason: stop.end().to_owned(), open_positions });
        self.publish_view();
        self.ended = true;
        self.out.push(if self.emergency { Effect::EmergencyExit } else { Effect::Finished });
    }
}
