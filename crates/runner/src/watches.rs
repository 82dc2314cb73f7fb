//! What the writer thread watches of the process itself: a slow loop, growing memory. Conditions of the market are the core's.

use exposition::HistogramSnapshot;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Watches the latency for `ENGINE-LATENCY`: raised once when p99 is above 100 ms in three windows of 10 s in a row, again
/// only after a window below.
#[derive(Debug)]
pub(crate) struct LatencyWatch {
    since: Instant,
    before: HistogramSnapshot,
    slow: u32,
}

impl LatencyWatch {
    const WINDOW: Duration = Duration::from_secs(10);
    const WINDOWS: u32 = 3;
    const LIMIT_S: f64 = 0.1;

    /// Begins to watch.
    pub(crate) const fn new(since: Instant, before: HistogramSnapshot) -> Self {
        Self { since, before, slow: 0 }
    }

    /// Takes a look; true when the alert is due.
    pub(crate) fn look(&mut self, now: HistogramSnapshot) -> bool {
        if self.since.elapsed() < Self::WINDOW {
            return false;
        }
        self.since = Instant::now();
        let p99 = now.since(&self.before).and_then(|window| window.quantile(0.99));
        self.before = now;
        self.slow = if p99.is_some_and(|p99| p99 > Self::LIMIT_S) { self.slow.saturating_add(1) } else { 0 };
        self.slow == Self::WINDOWS
    }
}

/// Growth of resident memory, as A6 sees it from outside: through the minima of two minutes, the first ten minutes left out, over
/// 20 minutes.
#[derive(Debug, Default)]
pub(crate) struct MemoryWatch {
    /// The minimum of the window under way.
    lowest: Option<u64>,
    /// Minima of whole windows, the newest last.
    minima: VecDeque<u64>,
    windows: u64,
    grows: bool,
}

impl MemoryWatch {
    const WINDOW_S: u64 = 120;
    const SKIPPED: u64 = 5;
    const KEPT: usize = 11;
    const LIMIT_PCT_H: f64 = 10.0;
    const LIMIT_MIB_H: f64 = 8.0;

    /// Takes a sample at a time since the start; what to tell, when growth begins to be too much.
    pub(crate) fn look(&mut self, since_start: Duration, bytes: Option<u64>) -> Option<String> {
        let bytes = bytes?;
        let window = since_start.as_secs() / Self::WINDOW_S;
        if window > self.windows {
            let over = self.lowest.replace(bytes);
            let counted = self.windows >= Self::SKIPPED;
            self.windows = window;
            self.minima.extend(over.filter(|_| counted));
            if self.minima.len() > Self::KEPT {
                self.minima.pop_front();
            }
            return self.judge();
        }
        self.lowest = Some(self.lowest.map_or(bytes, |lowest| lowest.min(bytes)));
        None
    }

    fn judge(&mut self) -> Option<String> {
        let (first, last) = (*self.minima.front()?, *self.minima.back()?);
        if self.minima.len() < Self::KEPT || first == 0 {
            return None;
        }
        let hours = ((Self::KEPT - 1) as u64 * Self::WINDOW_S) as f64 / 3_600.0;
        let grown = last as f64 - first as f64;
        let (pct, mib) = (grown / first as f64 * 100.0 / hours, grown / f64::from(1 << 20) / hours);
        let grows = pct > Self::LIMIT_PCT_H && mib > Self::LIMIT_MIB_H;
        let begins = grows && !std::mem::replace(&mut self.grows, grows);
        self.grows = grows;
        begins.then(|| {
            format!(
                "resident memory grew by {pct:.1} % and {mib:.1} MiB an hour over 20 min; see component_bytes"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut watch = MemoryWatch::default();
        let look = |s: &u64| watch.look(Duration::from_secs(*s), Some(bytes(*s))).is_some();
        (0..7_200).filter(look).collect()
    }

    #[test]
    fn steady_growth_is_told_once_and_settling_is_not() {
        let mib = 1u64 << 20;
        assert_eq!(told(|_| 100 * mib), [0; 0]);
        // 200 MiB an hour for the first nine minutes only.
        assert_eq!(told(|s| (100 + s.min(540) / 18) * mib), [0; 0]);
        // 36 MiB an hour on 100 MiB, with peaks that the minima leave out.
        let grown = told(|s| 100 * mib + s * mib / 100 + (s % 7) * mib);
        assert_eq!(grown.len(), 1, "{grown:?}");
        assert!(grown[0] >= 600 + 1_200, "{grown:?}");
        // Little of little.
        assert_eq!(told(|s| 10 * mib + s * 1_000), [0; 0]);
    }
}
