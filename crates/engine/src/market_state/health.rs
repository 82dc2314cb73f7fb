//! Venue health and venue clocks (engine.md 4, 6).
//!
//! Health looks at frames (silence, rate), at changes of books (frozen) and at measured REST round trips (latency,
//! failures). Latency is one way: half the median of the last five round trips. Every figure stands beside its limit, so
//! that a guard's transition can be recomputed.

use crate::config::HealthLimits;
use market::Timestamp;
use std::collections::VecDeque;

/// The health of a venue. Later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Nothing found.
    Healthy,
    /// Slow, failing now and then, or quieter than usual.
    Degraded,
    /// Unusable.
    Down,
    /// Alive, and no book moves.
    Frozen,
}

impl Health {
    /// The name in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Frozen => "frozen",
        }
    }
}

/// One figure against its limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// What it means when it holds.
    pub health: Health,
    /// The figure.
    pub observed: f64,
    /// The limit.
    pub threshold: f64,
    /// True when the condition is "above", false when it is "below".
    pub above: bool,
}

impl Finding {
    /// True when the condition holds.
    pub fn holds(&self) -> bool {
        if self.above { self.observed > self.threshold } else { self.observed < self.threshold }
    }
}

const RTTS: usize = 5;
const BUCKET_SECONDS: u32 = 10;
const BUCKETS: usize = 30;
const MIN_BUCKETS: usize = 6;

/// What is known of a venue's connections and answers.
#[derive(Debug, Clone)]
pub struct VenueHealth {
    limits: HealthLimits,
    watched_since: Option<Timestamp>,
    books_since: Option<Timestamp>,
    last_frame: Option<Timestamp>,
    last_life: Option<Timestamp>,
    last_change: Option<Timestamp>,
    rtts: VecDeque<u32>,
    best_rtt: Option<u32>,
    answers: VecDeque<bool>,
    buckets: VecDeque<u32>,
    bucket: u32,
    bucket_seconds: u32,
    ups: VecDeque<Timestamp>,
    /// Messages so far.
    pub messages: u64,
    /// Connections opened after the first of each.
    pub reconnects: u64,
}

impl VenueHealth {
    /// Nothing known; nothing is judged before the first connection.
    pub fn new(limits: HealthLimits) -> Self {
        Self {
            limits,
            watched_since: None,
            books_since: None,
            last_frame: None,
            last_life: None,
            last_change: None,
            rtts: VecDeque::with_capacity(RTTS + 1),
            best_rtt: None,
            answers: VecDeque::new(),
            buckets: VecDeque::with_capacity(BUCKETS + 1),
            bucket: 0,
            bucket_seconds: 0,
            ups: VecDeque::new(),
            messages: 0,
            reconnects: 0,
        }
    }

    /// A connection is up. `again` when one with its number, or one that replaces a lost one, was up before.
    pub fn on_up(&mut self, now: Timestamp, again: bool) {
        self.watched_since.get_or_insert(now);
        if again {
            self.reconnects += 1;
            self.ups.push_back(now);
        }
    }

    /// Books are expected to change from here on, unless one has already: the members are known only now.
    pub fn watch_books_from(&mut self, now: Timestamp) {
        if self.last_change.is_none() {
            self.books_since = Some(now);
        }
    }

    /// Reconnects within the last 60 s.
    pub fn recent_reconnects(&mut self, now: Timestamp) -> u32 {
        while self.ups.front().is_some_and(|at| now.since(*at) > 60_000_000_000) {
            self.ups.pop_front();
        }
        self.ups.len() as u32
    }

    /// A frame came.
    pub fn on_frame(&mut self, now: Timestamp) {
        self.messages += 1;
        self.bucket += 1;
        self.last_frame = Some(now);
        self.last_life = Some(now);
    }

    /// A sign of life that is no frame.
    pub fn on_alive(&mut self, now: Timestamp) {
        self.last_life = Some(now);
    }

    /// A book of the venue changed.
    pub fn on_change(&mut self, now: Timestamp) {
        self.last_change = Some(now);
    }

    /// A REST request was answered or failed.
    pub fn on_answer(&mut self, rtt_us: u32, ok: bool) {
        if ok {
            if self.rtts.len() >= RTTS {
                self.rtts.pop_front();
            }
            self.rtts.push_back(rtt_us);
            self.best_rtt = Some(self.best_rtt.map_or(rtt_us, |best| best.min(rtt_us)));
        }
        if self.answers.len() >= self.limits.error_window as usize {
            self.answers.pop_front();
        }
        self.answers.push_back(ok);
    }

    /// Half the best round trip in nanoseconds: the least time that a message from the venue takes.
    pub fn best_one_way_ns(&self) -> Option<i64> {
        self.best_rtt.map(|rtt| i64::from(rtt) * 500)
    }

    /// Called once a second.
    pub fn on_second(&mut self) {
        self.bucket_seconds += 1;
        if self.bucket_seconds >= BUCKET_SECONDS {
            if self.buckets.len() > BUCKETS {
                self.buckets.pop_front();
            }
            self.buckets.push_back(self.bucket);
            (self.bucket, self.bucket_seconds) = (0, 0);
        }
    }

    /// Seconds without a frame, `None` before the first connection.
    fn silence_s(&self, now: Timestamp) -> Option<f64> {
        let since = self.last_frame.or(self.watched_since)?;
        Some(now.secs_since(since))
    }

    fn frozen_s(&self) -> f64 {
        match (self.last_life, self.last_change.or(self.books_since)) {
            (Some(life), Some(change)) => life.secs_since(change).max(0.0),
            _ => 0.0,
        }
    }

    fn latency_ms(&self) -> f64 {
        let mut sorted = [0u32; RTTS];
        let n = self.rtts.len();
        if n == 0 {
            return 0.0;
        }
        for (slot, rtt) in sorted.iter_mut().zip(&self.rtts) {
            *slot = *rtt;
        }
        sorted[..n].sort_unstable();
        f64::from(sorted[n / 2]) / 2_000.0
    }

    fn errors_pct(&self) -> f64 {
        if self.answers.len() < self.limits.error_min_samples as usize {
            return 0.0;
        }
        let failed = self.answers.iter().filter(|ok| !**ok).count();
        failed as f64 / self.answers.len() as f64 * 100.0
    }

    /// The rate of the last whole 10 s as a share of the mean of those before, in percent; 100 while it says nothing.
    fn rate_pct(&self) -> f64 {
        let Some(last) = self.buckets.back() else { return 100.0 };
        let earlier = self.buckets.len() - 1;
        let sum: u64 = self.buckets.iter().take(earlier).map(|n| u64::from(*n)).sum();
        if earlier < MIN_BUCKETS || sum < u64::from(self.limits.rate_min_messages) * earlier as u64 {
            return 100.0;
        }
        f64::from(*last) / (sum as f64 / earlier as f64) * 100.0
    }

    /// Every figure with its limit, worst rules first.
    pub fn findings(&self, now: Timestamp) -> [Finding; 7] {
        let l = &self.limits;
        let above =
            |rule, health, observed, threshold| Finding { rule, health, observed, threshold, above: true };
        let silence = self.silence_s(now).unwrap_or(0.0);
        let (latency, errors) = (self.latency_ms(), self.errors_pct());
        [
            above("health_frozen", Health::Frozen, self.frozen_s(), l.frozen_ms as f64 / 1e3),
            above("health_down_silent", Health::Down, silence, l.silent_ms as f64 / 1e3),
            above("health_down_latency", Health::Down, latency, l.down_latency_ms),
            above("health_down_errors", Health::Down, errors, l.down_errors_pct),
            above("health_degraded_latency", Health::Degraded, latency, l.degraded_latency_ms),
            above("health_degraded_errors", Health::Degraded, errors, l.degraded_errors_pct),
            Finding {
                rule: "health_degraded_rate",
                health: Health::Degraded,
                observed: self.rate_pct(),
                threshold: l.degraded_rate_pct,
                above: false,
            },
        ]
    }
}

/// The offset between a venue's clock and ours, from the fastest message seen: `min(arrival - venue time) - one way`.
///
/// The minimum is kept over the last one to two windows of five minutes, so that drift is followed. A venue time of the
/// future makes the corrected times too early, so that a fill is never earlier than it should be.
#[derive(Debug, Clone, Copy, Default)]
pub struct VenueClock {
    current: Option<i64>,
    previous: Option<i64>,
    since: Option<Timestamp>,
}

impl VenueClock {
    const WINDOW_NS: i64 = 300_000_000_000;

    /// Takes a message's times.
    pub fn observe(&mut self, arrived: Timestamp, venue_time: Timestamp) {
        let lag = arrived.since(venue_time);
        let since = *self.since.get_or_insert(arrived);
        if arrived.since(since) >= Self::WINDOW_NS {
            self.previous = self.current.take();
            self.since = Some(arrived);
        }
        self.current = Some(self.current.map_or(lag, |least| least.min(lag)));
    }

    /// A venue time on our clock, never later than `arrived`. `one_way_ns`: what the fastest message takes.
    pub fn corrected(&self, venue_time: Timestamp, one_way_ns: i64, arrived: Timestamp) -> Timestamp {
        let least = match (self.current, self.previous) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => return venue_time.min(arrived),
        };
        Timestamp(venue_time.0.saturating_add(least).saturating_sub(one_way_ns)).min(arrived)
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, VenueClock, VenueHealth};
    use crate::config::HealthLimits;
    use market::Timestamp;

    fn ms(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_venue_clock_that_runs_ahead_is_corrected() {
        let mut clock = VenueClock::default();
        // The venue's clock is 500 ms ahead and a message takes 10 to 40 ms.
        for (sent, takes) in [(0, 40), (100, 10), (200, 25)] {
            clock.observe(ms(sent + takes), ms(sent + 500));
        }
        let at = clock.corrected(ms(300 + 500), 10_000_000, ms(320));
        assert_eq!(at, ms(300));
        assert_eq!(clock.corrected(ms(10_000), 10_000_000, ms(320)), ms(320), "never later than its arrival");
    }

    #[test]
    fn a_venue_time_of_the_future_makes_fills_later_not_earlier() {
        let mut clock = VenueClock::default();
        clock.observe(ms(100), ms(90));
        clock.observe(ms(200), ms(60_000));
        assert!(clock.corrected(ms(290), 10_000_000, ms(300)) < ms(290));
    }

    fn worst(health: &VenueHealth, now: Timestamp) -> Health {
        let holding = health.findings(now).into_iter().filter(super::Finding::holds);
        holding.map(|finding| finding.health).max().unwrap_or(Health::Healthy)
    }

    #[test]
    fn nothing_is_judged_before_the_first_connection_and_silence_is_down_after_it() {
        let mut health = VenueHealth::new(HealthLimits::default());
        assert_eq!(worst(&health, ms(100_000)), Health::Healthy);
        health.on_up(ms(100_000), false);
        assert_eq!(worst(&health, ms(103_000)), Health::Healthy);
        assert_eq!(worst(&health, ms(103_001)), Health::Down);
        health.on_frame(ms(103_500));
        assert_eq!(worst(&health, ms(103_501)), Health::Healthy);
    }

    #[test]
    fn latency_is_half_the_median_round_trip_and_failures_need_a_sample() {
        let mut health = VenueHealth::new(HealthLimits::default());
        [210_000, 190_000, 900_000, 205_000, 100].into_iter().for_each(|rtt| health.on_answer(rtt, true));
        assert_eq!(worst(&health, ms(0)), Health::Degraded);
        (0..5).for_each(|_| health.on_answer(150_000, true));
        assert_eq!(worst(&health, ms(0)), Health::Healthy);
        health.on_answer(0, false);
        assert_eq!(worst(&health, ms(0)), Health::Healthy, "one of eleven says nothing yet");
        (0..9).for_each(|_| health.on_answer(150_000, true));
        assert_eq!(worst(&health, ms(0)), Health::Degraded, "one of twenty is 5 %");
        health.on_answer(0, false);
        assert_eq!(worst(&health, ms(0)), Health::Down);
    }

    #[test]
    fn a_rate_below_half_of_its_baseline_is_degraded() {
        let mut health = VenueHealth::new(HealthLimits::default());
        for second in 0..80 {
            for _ in 0..if second < 70 { 10 } else { 4 } {
                health.on_frame(ms(second * 1_000));
            }
            health.on_second();
        }
        assert_eq!(worst(&health, ms(79_500)), Health::Degraded);
    }
}
