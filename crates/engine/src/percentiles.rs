//! Percentiles of gap, level and edge per symbol (engine.md 9): a histogram of fixed edges per figure, so that an
//! evaluation costs a division and an addition and allocates nothing.
//!
//! Bins are 1 bp wide within +-128 bps, where trades are decided, and 8 bps wide out to +-1152; what lies beyond counts in
//! the outermost. The largest figure is kept as it is. One sample per evaluation: what is asked is how often the edge was
//! where, not for how long.

use journal::percentiles::{Percentiles, Spread};
use journal::record::Direction;

/// Fine bins on each side of zero, 1 bp each.
const FINE: i32 = 128;
/// Coarse bins on each side, beyond the fine ones.
const COARSE: i32 = 128;
/// Basis points per coarse bin.
const WIDE: i32 = 8;
const BINS: usize = 2 * (FINE + COARSE) as usize;

/// How often a figure lay in which bin.
#[derive(Debug, Clone)]
pub struct Histogram {
    bins: Box<[u32; BINS]>,
    n: u64,
    max: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: Box::new([0; BINS]), n: 0, max: f64::NEG_INFINITY }
    }
}

/// The bin of a figure in basis points.
fn bin(bps: f64) -> usize {
    // Saturating: what is far beyond the last edge is in the last bin.
    let whole = bps.floor() as i32;
    let bin = if (-FINE..FINE).contains(&whole) {
        whole
    } else if whole >= 0 {
        FINE + (whole - FINE) / WIDE
    } else {
        -FINE - 1 - (-(whole.saturating_add(1)) - FINE) / WIDE
    };
    (bin.clamp(-FINE - COARSE, FINE + COARSE - 1) + FINE + COARSE) as usize
}

/// The middle of a bin in basis points.
fn middle(bin: usize) -> f64 {
    let bin = bin as i32 - FINE - COARSE;
    let (from, to) = if bin >= FINE {
        (FINE + (bin - FINE) * WIDE, FINE + (bin - FINE + 1) * WIDE)
    } else if bin < -FINE {
        (-FINE + (bin + FINE) * WIDE, -FINE + (bin + FINE + 1) * WIDE)
    } else {
        (bin, bin + 1)
    };
    f64::from(from + to) / 2.0
}

fn to_hundredth(bps: f64) -> f64 {
    (bps * 100.0).round() / 100.0
}

impl Histogram {
    /// Takes a figure; what is no number is left out.
    pub fn add(&mut self, bps: f64) {
        if bps.is_nan() {
            return;
        }
        let bin = &mut self.bins[bin(bps)];
        *bin = bin.saturating_add(1);
        self.n += 1;
        if bps > self.max {
            self.max = bps;
        }
    }

    /// The percentiles, `None` without a figure. Nearest rank; a percentile is never above the largest figure.
    pub fn percentiles(&self) -> Option<Percentiles> {
        if self.n == 0 {
            return None;
        }
        let at = |percent: u64| {
            let rank = (self.n * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let found = self.bins.iter().position(|count| {
                seen += u64::from(*count);
                seen >= rank
            });
            to_hundredth(middle(found.unwrap_or(BINS - 1)).min(self.max))
        };
        Some(Percentiles { p10: at(10), p50: at(50), p90: at(90), max: to_hundredth(self.max) })
    }
}

/// Gap, level and edge of a direction.
#[derive(Debug, Clone, Default)]
struct Figures {
    gap: Histogram,
    level: Histogram,
    edge: Histogram,
}

impl Figures {
    fn spread(&self) -> Spread {
        Spread {
            evaluations: self.gap.n,
            gap_bps: self.gap.percentiles(),
            level_bps: self.level.percentiles(),
            edge_bps: self.edge.percentiles(),
        }
    }
}

/// A symbol's figures in both directions since the start.
#[derive(Debug, Clone, Default)]
pub struct Spreads {
    figures: [Figures; 2],
    /// Something was evaluated since the last record.
    moved: bool,
}

impl Spreads {
    /// An executable gap was found.
    pub fn gap(&mut self, direction: Direction, gap_bps: f64) {
        self.moved = true;
        self.figures[direction.index()].gap.add(gap_bps);
    }

    /// With the level that enters its edge, and the edge.
    pub fn edge(&mut self, direction: Direction, level_bps: f64, edge_bps: f64) {
        let figures = &mut self.figures[direction.index()];
        figures.level.add(level_bps);
        figures.edge.add(edge_bps);
    }

    /// All since the start; `None` when nothing was evaluated since the last call.
    pub fn since_start(&mut self) -> Option<[Spread; 2]> {
        std::mem::take(&mut self.moved).then(|| [self.figures[0].spread(), self.figures[1].spread()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bins_are_ordered_and_their_middles_lie_inside() {
        assert_eq!((bin(-128.0), bin(-128.001), bin(-136.0), bin(-136.001)), (128, 127, 127, 126));
        assert_eq!((bin(127.999), bin(128.0), bin(135.9), bin(136.0)), (383, 384, 384, 385));
        assert_eq!((bin(f64::NEG_INFINITY), bin(-1e9), bin(1e9), bin(f64::INFINITY)), (0, 0, 511, 511));
        for i in 0..BINS {
            assert_eq!(bin(middle(i)), i);
        }
    }

    #[test]
    fn a_symbol_is_summed_up_when_something_moved() {
        let mut spreads = Spreads::default();
        assert_eq!(spreads.since_start(), None);
        for bps in 0..100 {
            spreads.gap(Direction::BuyUpbit, f64::from(bps));
        }
        spreads.edge(Direction::BuyUpbit, -20.25, 3.2);
        let session = spreads.since_start().unwrap();
        let want = Percentiles { p10: 9.5, p50: 49.5, p90: 89.5, max: 99.0 };
        assert_eq!((session[0].evaluations, session[0].gap_bps), (100, Some(want)));
        // One figure: no percentile lies above it.
        assert_eq!(session[0].edge_bps, Some(Percentiles { p10: 3.2, p50: 3.2, p90: 3.2, max: 3.2 }));
        assert_eq!(session[1], Spread::default());
        assert_eq!(spreads.since_start(), None);
        spreads.gap(Direction::BuyBinance, 7.0);
        let session = spreads.since_start().unwrap();
        assert_eq!((session[0].evaluations, session[1].evaluations), (100, 1));
    }

    proptest! {
        #[test]
        fn percentiles_are_within_the_stated_error(mut values in prop::collection::vec(-1_100.0..1_100.0f64, 1..300)) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|v| histogram.add(*v));
            values.sort_unstable_by(f64::total_cmp);
            let found = histogram.percentiles().unwrap();
            for (percent, found) in [(10, found.p10), (50, found.p50), (90, found.p90)] {
                let exact = values[(values.len() * percent).div_ceil(100).max(1) - 1];
                let allowed = if exact.abs() < 127.0 { 0.51 } else { 4.01 };
                prop_assert!((found - exact).abs() <= allowed, "p{} is {} for {}", percent, found, exact);
            }
            prop_assert!((found.max - values[values.len() - 1]).abs() <= 0.006);
        }
    }
}
