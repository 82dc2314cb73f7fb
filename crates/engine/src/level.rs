//! The usual gap of a symbol and direction: the time-weighted median of one sample a second over 30 min without the last
//! 30 s (engine.md 5).
//!
//! Samples live in a ring of fixed capacity; those that count are kept sorted as they come and go, so that a second costs
//! two binary searches and one scan instead of a sort. Candles seed it: one candle weighs its minute.

use market::Timestamp;
use std::collections::VecDeque;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    at: Timestamp,
    gap: f64,
    seconds: u32,
}

/// The level of one symbol and direction.
#[derive(Debug, Clone)]
pub struct Level {
    window_ns: i64,
    exclude_ns: i64,
    min_seconds: u64,
    /// In order of time. The first `counted` are in `sorted`.
    ring: VecDeque<Sample>,
    counted: usize,
    sorted: Vec<(f64, u32)>,
    seconds: u64,
    median: Option<f64>,
    capacity: usize,
}

impl Level {
    /// An empty level; windows in milliseconds.
    pub fn new(window_ms: i64, exclude_ms: i64, min_ms: i64) -> Self {
        let capacity = usize::try_from((window_ms + exclude_ms) / 1_000).unwrap_or(0) + 64;
        Self {
            window_ns: window_ms.saturating_mul(1_000_000),
            exclude_ns: exclude_ms.saturating_mul(1_000_000),
            min_seconds: u64::try_from(min_ms / 1_000).unwrap_or(0),
            ring: VecDeque::with_capacity(capacity),
            counted: 0,
            sorted: Vec::with_capacity(capacity),
            seconds: 0,
            median: None,
            capacity,
        }
    }

    /// Adds a gap in basis points that stood for `seconds` until `at`. Samples come in order of time; an older one, and a
    /// gap that is no number, is left out.
    pub fn push(&mut self, at: Timestamp, gap: f64, seconds: u32) {
        if !gap.is_finite() || self.ring.back().is_some_and(|last| last.at > at) {
            return;
        }
        if self.ring.len() >= self.capacity {
            self.drop_oldest();
        }
        self.ring.push_back(Sample { at, gap, seconds });
    }

    /// Adds another level's samples that are newer than the newest here.
    pub fn append(&mut self, other: &Self) {
        for sample in &other.ring {
            self.push(sample.at, sample.gap, sample.seconds);
        }
    }

    /// True before the first sample.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Recomputes the median; called once a second.
    pub fn refresh(&mut self, now: Timestamp) {
        let newest = now.0.saturating_sub(self.exclude_ns);
        let oldest = now.0.saturating_sub(self.window_ns);
        while self.ring.get(self.counted).is_some_and(|sample| sample.at.0 <= newest) {
            let sample = self.ring[self.counted];
            let i = self.sorted.partition_point(|(gap, _)| gap.total_cmp(&sample.gap).is_lt());
            self.sorted.insert(i, (sample.gap, sample.seconds));
            self.seconds += u64::from(sample.seconds);
            self.counted += 1;
        }
        while self.ring.front().is_some_and(|sample| sample.at.0 < oldest) {
            self.drop_oldest();
        }
        self.median = (self.seconds >= self.min_seconds && self.seconds > 0).then(|| self.scan());
    }

    /// The level in basis points, once there is enough data.
    pub const fn bps(&self) -> Option<f64> {
        self.median
    }

    /// Seconds of data that count.
    pub const fn seconds(&self) -> u64 {
        self.seconds
    }

    fn drop_oldest(&mut self) {
        let Some(sample) = self.ring.pop_front() else { return };
        if self.counted == 0 {
            return;
        }
        self.counted -= 1;
        self.seconds -= u64::from(sample.seconds);
        let from = self.sorted.partition_point(|(gap, _)| gap.total_cmp(&sample.gap).is_lt());
        let found = self.sorted[from..].iter().position(|(_, seconds)| *seconds == sample.seconds);
        if let Some(i) = found {
            self.sorted.remove(from + i);
        }
    }

    /// The gap at which half of the time lies at or below.
    fn scan(&self) -> f64 {
        let mut left = self.seconds.div_ceil(2);
        for (gap, seconds) in &self.sorted {
            let seconds = u64::from(*seconds);
            if seconds >= left {
                return *gap;
            }
            left -= seconds;
        }
        self.sorted.last().map_or(0.0, |(gap, _)| *gap)
    }
}

#[cfg(test)]
mod tests {
    use super::Level;
    use market::Timestamp;

    #[test]
    fn median_leaves_out_the_last_30_seconds_and_what_is_older_than_the_window() {
        let mut level = Level::new(100_000, 30_000, 50_000);
        for s in 0..80 {
            level.push(Timestamp::from_secs(s), 5.0, 1);
            level.refresh(Timestamp::from_secs(s));
        }
        assert_eq!(level.bps(), Some(5.0), "samples 0 to 49 count");
        for s in 80..110 {
            level.push(Timestamp::from_secs(s), 100.0, 1);
            level.refresh(Timestamp::from_secs(s));
        }
        assert_eq!(level.bps(), Some(5.0), "a new gap of 30 s does not count yet");
        for s in 110..230 {
            level.push(Timestamp::from_secs(s), 100.0, 1);
            level.refresh(Timestamp::from_secs(s));
        }
        assert_eq!(level.bps(), Some(100.0));
        assert_eq!(level.seconds(), 71);
    }

    #[test]
    fn the_ring_is_allocated_once() {
        let mut level = Level::new(1_800_000, 30_000, 600_000);
        let room = (level.ring.capacity(), level.sorted.capacity());
        for s in 0..10_000 {
            level.push(Timestamp::from_secs(s), (s % 97) as f64, 1);
            level.refresh(Timestamp::from_secs(s));
        }
        assert_eq!((level.ring.capacity(), level.sorted.capacity()), room);
        assert_eq!(level.seconds(), 1_771, "30 min without the newest 30 s, both ends included");
    }

    #[test]
    fn too_little_data_is_no_level() {
        let mut level = Level::new(1_800_000, 30_000, 600_000);
        level.push(Timestamp::from_secs(0), 1.0, 599);
        level.refresh(Timestamp::from_secs(60));
        assert_eq!(level.bps(), None);
        level.push(Timestamp::from_secs(1), 3.0, 1);
        level.refresh(Timestamp::from_secs(60));
        assert_eq!(level.bps(), Some(1.0), "weighted by time");
    }
}
