//! `memory_growth_pct_per_h`, the one figure of A6 and H3: the Theil-Sen slope through the windows' minima of PSS, the
//! settling time left out, over the first window's median. Streaming: a reading costs no more than one pass over the minima.

use crate::evidence::{PhaseEvidence, Settings};
use crate::stats::median;

/// Memory growth of a phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    /// Percent of the first window's median per hour.
    pub pct_per_h: f64,
    /// Bytes per hour.
    pub bytes_per_h: f64,
    /// The plain `(end - start) / start`, percent.
    pub plain_pct: f64,
}

/// The readings so far, reduced to what the figure needs.
#[derive(Debug, Clone)]
pub(crate) struct MemoryGrowth {
    skip_s: f64,
    width_s: f64,
    poll_s: f64,
    hour_s: f64,
    first: Option<(f64, f64)>,
    last: (f64, f64),
    /// Readings of the first window.
    opening: Vec<f64>,
    /// Minima of the windows that are over, and that of the one that is not.
    closed: Vec<(f64, f64)>,
    open: Option<(f64, f64)>,
    index: f64,
    /// Slopes of all pairs of closed windows, ascending.
    slopes: Vec<f64>,
}

impl MemoryGrowth {
    pub(crate) const fn new(settings: &Settings) -> Self {
        Self {
            skip_s: settings.memory_skip_s,
            width_s: settings.memory_window_s,
            poll_s: settings.poll_s,
            hour_s: settings.hour_s,
            first: None,
            last: (0.0, 0.0),
            opening: Vec::new(),
            closed: Vec::new(),
            open: None,
            index: 0.0,
            slopes: Vec::new(),
        }
    }

    /// A reading of PSS in bytes; 0 is no reading.
    pub(crate) fn push(&mut self, t: f64, pss: f64) {
        if t < self.skip_s || pss <= 0.0 {
            return;
        }
        let first = *self.first.get_or_insert((t, pss));
        self.last = (t, pss);
        let window = ((t - first.0) / self.width_s).floor();
        match &mut self.open {
            Some(open) if window == self.index => {
                if pss < open.1 {
                    *open = (t, pss);
                }
            }
            _ => {
                self.close();
                self.open = Some((t, pss));
            }
        }
        self.index = window;
        if t < first.0 + self.width_s {
            self.opening.push(pss);
        }
    }

    fn close(&mut self) {
        let Some(done) = self.open.take() else { return };
        let new = self.slopes_to(done);
        let mut merged = Vec::with_capacity(self.slopes.len() + new.len());
        let mut old = self.slopes.iter().copied().peekable();
        for slope in new {
            while let Some(smaller) = old.next_if(|known| *known <= slope) {
                merged.push(smaller);
            }
            merged.push(slope);
        }
        merged.extend(old);
        self.slopes = merged;
        self.closed.push(done);
    }

    /// Slopes from every closed window to `point`, ascending.
    fn slopes_to(&self, point: (f64, f64)) -> Vec<f64> {
        let mut slopes: Vec<f64> = self
            .closed
            .iter()
            .filter(|earlier| point.0 > earlier.0)
            .map(|earlier| (point.1 - earlier.1) / (point.0 - earlier.0))
            .collect();
        slopes.sort_by(f64::total_cmp);
        slopes
    }

    /// The figure, once there are `least_s` seconds of data.
    ///
    /// # Errors
    /// Why there is too little.
    pub(crate) fn figure(&self, least_s: f64) -> Result<Growth, String> {
        let (Some(first), Some(open)) = (self.first, self.open) else {
            return Err("no memory reading after the settling time".to_owned());
        };
        let covered = self.last.0 - first.0;
        // One poll less than asked for is what a span between polls can be.
        if covered + self.poll_s < least_s {
            return Err(format!("{covered:.0} s of memory readings, {least_s:.0} s needed"));
        }
        let latest = self.slopes_to(open);
        let (Some(slope), Some(base)) = (median_of_two(&self.slopes, &latest), median(&self.opening)) else {
            return Err("fewer than two windows of memory readings".to_owned());
        };
        let windows = self.closed.len() + 1;
        let expected = (covered / self.width_s.max(2.0 * self.poll_s)).floor() + 1.0;
        if (windows as f64) < expected / 2.0 {
            return Err(format!("memory readings in {windows} of {expected} windows"));
        }
        let bytes_per_h = slope * self.hour_s;
        Ok(Growth {
            pct_per_h: bytes_per_h / base * 100.0,
            bytes_per_h,
            plain_pct: (self.last.1 - first.1) / first.1 * 100.0,
        })
    }
}

/// The median of two ascending lists together. `None` when both are empty.
fn median_of_two(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() + b.len();
    match n {
        0 => None,
        _ if n % 2 == 1 => nth(a, b, n / 2),
        _ => Some((nth(a, b, n / 2 - 1)? + nth(a, b, n / 2)?) / 2.0),
    }
}

/// The `k`-th smallest (from 0) of two ascending lists: how many of the first are among the `k` smallest, by bisection.
fn nth(a: &[f64], b: &[f64], k: usize) -> Option<f64> {
    let (mut low, mut high) = (k.saturating_sub(b.len()), k.min(a.len()));
    while low < high {
        let of_a = low.midpoint(high);
        if a[of_a] < b[k - of_a - 1] {
            low = of_a + 1;
        } else {
            high = of_a;
        }
    }
    match (a.get(low), b.get(k - low)) {
        (Some(x), Some(y)) => Some(x.min(*y)),
        (x, y) => x.or(y).copied(),
    }
}

/// `memory_growth_pct_per_h` of a whole phase.
///
/// # Errors
/// Why there is too little data.
pub(crate) fn memory_growth(phase: &PhaseEvidence, settings: &Settings) -> Result<Growth, String> {
    let end = phase.end.as_ref().map_or(f64::INFINITY, |e| e.stop_sent_s.unwrap_or(e.ran_s));
    let mut growth = MemoryGrowth::new(settings);
    for sample in phase.samples.iter().filter(|s| s.t <= end) {
        if let Some(os) = sample.os.get() {
            growth.push(sample.t, os.pss_bytes as f64);
        }
    }
    growth.figure(settings.memory_min_s)
}

#[cfg(test)]
mod tests {
    use super::{median_of_two, nth};
    use crate::stats::median;

    #[test]
    fn the_median_of_two_lists_is_that_of_their_union() {
        let mut state = 1_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..500 {
            let mut list = || {
                let n = draw(9);
                let mut list: Vec<f64> = (0..n).map(|_| draw(6) as f64).collect();
                list.sort_by(f64::total_cmp);
                list
            };
            let (a, b) = (list(), list());
            let mut both = [a.clone(), b.clone()].concat();
            both.sort_by(f64::total_cmp);
            for (k, expected) in both.iter().enumerate() {
                assert_eq!(nth(&a, &b, k), Some(*expected), "{a:?} {b:?} {k}");
            }
            assert_eq!(median_of_two(&a, &b), median(&both));
        }
    }
}
