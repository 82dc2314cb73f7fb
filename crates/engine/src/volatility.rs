//! One-minute volatility of a book: the highest over the lowest mid of the last 60 s, less one, in percent.
//!
//! One sample of the Live mid a second; the mid of the instant counts too, so that a leap is seen before the second is over.
//! The extremes are kept in two monotonic queues: a sample costs a few comparisons, and nothing is allocated once warm.

use market::{Price, Timestamp};
use std::collections::VecDeque;

const WINDOW_NS: i64 = 60_000_000_000;
/// A minute of samples and both ends.
const CAPACITY: usize = 64;

/// The mids of the last minute.
#[derive(Debug, Clone)]
pub struct Range {
    /// Falling prices: the first is the highest.
    high: VecDeque<(Timestamp, Price)>,
    /// Rising prices: the first is the lowest.
    low: VecDeque<(Timestamp, Price)>,
}

impl Default for Range {
    fn default() -> Self {
        Self { high: VecDeque::with_capacity(CAPACITY), low: VecDeque::with_capacity(CAPACITY) }
    }
}

impl Range {
    /// Takes the mid of this second; `None` while the book is not Live.
    pub fn sample(&mut self, now: Timestamp, mid: Option<Price>) {
        for queue in [&mut self.high, &mut self.low] {
            while queue.front().is_some_and(|(at, _)| now.since(*at) >= WINDOW_NS) {
                queue.pop_front();
            }
        }
        let Some(mid) = mid else { return };
        while self.high.back().is_some_and(|(_, price)| *price <= mid) {
            self.high.pop_back();
        }
        while self.low.back().is_some_and(|(_, price)| *price >= mid) {
            self.low.pop_back();
        }
        self.high.push_back((now, mid));
        self.low.push_back((now, mid));
    }

    /// Lowest and highest mid, the one of this instant among them; `None` before the first.
    pub fn of(&self, mid: Option<Price>) -> Option<(Price, Price)> {
        let sampled = self.low.front().zip(self.high.front()).map(|((_, low), (_, high))| (*low, *high));
        match (sampled, mid) {
            (Some((low, high)), Some(mid)) => Some((low.min(mid), high.max(mid))),
            (Some(range), None) => Some(range),
            (None, mid) => mid.map(|mid| (mid, mid)),
        }
    }
}

/// The volatility of a range in percent; no finite number for a lowest price of zero, which is an error of the guard.
pub fn percent((low, high): (Price, Price)) -> f64 {
    (high.to_f64() / low.to_f64() - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::{Range, percent};
    use market::{Price, Timestamp};

    #[test]
    fn the_range_of_a_minute_follows_its_samples() {
        let mut range = Range::default();
        assert_eq!(range.of(None), None);
        let price = |i: i64| Price(100 + (i * 37) % 41);
        for second in 0..300 {
            range.sample(Timestamp::from_secs(second), (second % 7 != 0).then(|| price(second)));
            let window = (second - 59).max(0)..=second;
            let seen: Vec<Price> = window.filter(|s| s % 7 != 0).map(price).collect();
            let expected = seen.iter().min().copied().zip(seen.iter().max().copied());
            assert_eq!(range.of(None), expected, "second {second}");
        }
        let (low, high) = range.of(Some(Price(1_000))).unwrap();
        assert_eq!((low < high, high), (true, Price(1_000)));
    }

    #[test]
    fn a_tenth_up_is_ten_percent_and_a_price_of_zero_is_no_number() {
        assert!((percent((Price(1_000), Price(1_100))) - 10.0).abs() < 1e-9);
        assert!(!percent((Price(0), Price(0))).is_finite());
    }
}
