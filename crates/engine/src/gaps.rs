//! What a symbol's gaps and edges were within a minute: what explains that nothing was sent.
//!
//! Samples are taken once a second from two Live books; the best edge is that of every evaluation. Statistics only: nothing
//! decides by them.

use journal::record::Quantiles;
use market::Timestamp;

/// A minute has 60 seconds; a record that comes late keeps the first ones.
const MOST: usize = 64;

/// One direction of a symbol since the last record.
#[derive(Debug, Clone)]
pub struct Minute {
    gaps: Vec<f64>,
    edges: Vec<f64>,
    best: Option<(f64, Timestamp)>,
}

impl Default for Minute {
    fn default() -> Self {
        Self { gaps: Vec::with_capacity(MOST), edges: Vec::with_capacity(MOST), best: None }
    }
}

impl Minute {
    /// A second's executable gap and, where the level is known, its edge; both in basis points.
    pub fn sample(&mut self, gap: f64, edge: Option<f64>) {
        if self.gaps.len() < MOST && gap.is_finite() {
            self.gaps.push(gap);
            self.edges.extend(edge.filter(|edge| edge.is_finite()));
        }
    }

    /// An evaluation's edge in basis points.
    pub fn evaluated(&mut self, edge: f64, at: Timestamp) {
        if self.best.is_none_or(|(best, _)| edge > best) {
            self.best = Some((edge, at));
        }
    }

    /// How many seconds were sampled.
    pub fn samples(&self) -> u32 {
        self.gaps.len() as u32
    }

    /// The best edge of an evaluation, and when.
    pub const fn best(&self) -> Option<(f64, Timestamp)> {
        self.best
    }

    /// Nothing happened.
    pub fn is_empty(&self) -> bool {
        self.gaps.is_empty() && self.best.is_none()
    }

    /// Quantiles of gaps and of edges; the samples are gone then.
    pub fn take(&mut self) -> [Option<Quantiles>; 2] {
        self.best = None;
        [quantiles(&mut self.gaps), quantiles(&mut self.edges)]
    }
}

/// Nearest-rank quantiles; empties `of`.
fn quantiles(of: &mut Vec<f64>) -> Option<Quantiles> {
    of.sort_unstable_by(f64::total_cmp);
    let n = of.len();
    // The value at or below which the share lies: rank ceil(share x n), from 1.
    let at = |percent: usize| of.get((n * percent).div_ceil(100).saturating_sub(1)).copied();
    let found = (|| Some(Quantiles { p05: at(5)?, p50: at(50)?, p95: at(95)?, max: *of.last()? }))();
    of.clear();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_summed_up_and_forgotten() {
        let mut minute = Minute::default();
        for i in 0..60 {
            minute.sample(f64::from(i), (i >= 40).then_some(f64::from(i) - 33.0));
        }
        minute.evaluated(12.0, Timestamp(1));
        minute.evaluated(27.5, Timestamp(2));
        minute.evaluated(27.5, Timestamp(3));
        assert_eq!((minute.samples(), minute.best()), (60, Some((27.5, Timestamp(2)))));
        let [gap, edge] = minute.take();
        assert_eq!(gap, Some(Quantiles { p05: 2.0, p50: 29.0, p95: 56.0, max: 59.0 }));
        assert_eq!(edge, Some(Quantiles { p05: 7.0, p50: 16.0, p95: 25.0, max: 26.0 }));
        assert!(minute.is_empty());
        assert_eq!(minute.take(), [None, None]);
    }
}
