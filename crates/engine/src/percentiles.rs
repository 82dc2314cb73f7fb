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
type Bins = [u32; BINS];

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

/// Percentiles of `bins` whose largest figure was `max`; `None` without a figure. Nearest rank; a percentile is never above the
/// largest figure.
fn percentiles(bins: &Bins, max: f64) -> Option<Percentiles> {
    let n = evaluations(bins);
    if n == 0 {
        return None;
    }
    let at = |percent: u64| {
        let rank = (n * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = bins.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        });
        to_hundredth(middle(found.unwrap_or(BINS - 1)).min(max))
    };
    Some(Percentiles { p10: at(10), p50: at(50), p90: at(90), max: to_hundredth(max) })
}

fn evaluations(bins: &Bins) -> u64 {
    bins.iter().map(|n| u64::from(*n)).sum()
}

/// Evaluations that wait for their bins.
const WAITING: usize = 4;
/// No figure: a gap without a level.
const NONE: u16 = u16::MAX;
const GAP: usize = 0;
const LEVEL: usize = 1;
const EDGE: usize = 2;

/// Gap, level and edge of a direction. What an evaluation touches is this one line of the cache; a few are counted at a time,
/// which mostly are neighbours in their histograms.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Figures {
    /// The largest ones.
    max: [f64; 3],
    bins: Box<[Bins; 3]>,
    waiting: [[u16; 3]; WAITING],
    waits: u8,
    /// Something was evaluated since the last record.
    moved: bool,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            max: [f64::NEG_INFINITY; 3],
            bins: Box::new([[0; BINS]; 3]),
            waiting: [[NONE; 3]; WAITING],
            waits: 0,
            moved: false,
        }
    }
}

impl Figures {
    /// The bin of a figure, whose maximum is kept; what is no number is left out.
    fn bin(&mut self, which: usize, bps: f64) -> u16 {
        if bps.is_nan() {
            return NONE;
        }
        if bps > self.max[which] {
            self.max[which] = bps;
        }
        bin(bps) as u16
    }

    fn gap(&mut self, gap_bps: f64) {
        if usize::from(self.waits) == WAITING {
            self.settle();
        }
        self.moved = true;
        self.waiting[usize::from(self.waits)] = [self.bin(GAP, gap_bps), NONE, NONE];
        self.waits += 1;
    }

    fn edge(&mut self, level_bps: f64, edge_bps: f64) {
        let (level, edge) = (self.bin(LEVEL, level_bps), self.bin(EDGE, edge_bps));
        if let Some(last) = self.waits.checked_sub(1) {
            let row = &mut self.waiting[usize::from(last)];
            (row[LEVEL], row[EDGE]) = (level, edge);
        }
    }

    /// Counts what waits.
    fn settle(&mut self) {
        for row in &self.waiting[..usize::from(self.waits)] {
            for (bins, bin) in self.bins.iter_mut().zip(row) {
                if let Some(count) = bins.get_mut(usize::from(*bin)) {
                    *count = count.saturating_add(1);
                }
            }
        }
        self.waits = 0;
    }

    fn spread(&mut self) -> Spread {
        self.settle();
        self.moved = false;
        let of = |which: usize| percentiles(&self.bins[which], self.max[which]);
        Spread {
            evaluations: evaluations(&self.bins[GAP]),
            gap_bps: of(GAP),
            level_bps: of(LEVEL),
            edge_bps: of(EDGE),
        }
    }
}

/// A symbol's figures in both directions since the start.
#[derive(Debug, Clone, Default)]
pub struct Spreads([Figures; 2]);

impl Spreads {
    /// An executable gap was found.
    pub fn gap(&mut self, direction: Direction, gap_bps: f64) {
        self.0[direction.index()].gap(gap_bps);
    }

    /// With the level that enters the edge of that gap, and the edge.
    pub fn edge(&mut self, direction: Direction, level_bps: f64, edge_bps: f64) {
        self.0[direction.index()].edge(level_bps, edge_bps);
    }

    /// All since the start; `None` when nothing was evaluated since the last call.
    pub fn since_start(&mut self) -> Option<[Spread; 2]> {
        let [a, b] = &mut self.0;
        (a.moved || b.moved).then(|| [a.spread(), b.spread()])
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
            let mut figures = Figures::default();
            values.iter().for_each(|v| figures.gap(*v));
            values.sort_unstable_by(f64::total_cmp);
            let found = figures.spread().gap_bps.unwrap();
            for (percent, found) in [(10, found.p10), (50, found.p50), (90, found.p90)] {
                let exact = values[(values.len() * percent).div_ceil(100).max(1) - 1];
                let allowed = if exact.abs() < 127.0 { 0.51 } else { 4.01 };
                prop_assert!((found - exact).abs() <= allowed, "p{} is {} for {}", percent, found, exact);
            }
            prop_assert!((found.max - values[values.len() - 1]).abs() <= 0.006);
        }
    }
}
