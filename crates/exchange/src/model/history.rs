//! One-minute candles: those before the server's start are drawn backwards from the start price, later ones collected.
//!
//! Both venues walk ONE path, so that the ratio of their closes is the premium's level with little noise on it.

use super::noise::Noise;
use std::collections::VecDeque;

/// Live candles kept per market.
const KEPT: usize = 1_500;

/// A one-minute candle, prices at 1e-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candle {
    /// Minutes since 1970.
    pub minute: i64,
    /// First price.
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Last price.
    pub close: i64,
}

/// The candles since the start.
#[derive(Clone, Debug)]
pub struct Live {
    candles: VecDeque<Candle>,
    kept: usize,
}

impl Default for Live {
    fn default() -> Self {
        Self { candles: VecDeque::new(), kept: KEPT }
    }
}

impl Live {
    /// Keeps so many candles from now on, at least one.
    pub fn keep(&mut self, kept: usize) {
        self.kept = kept.max(1);
        while self.candles.len() > self.kept {
            self.candles.pop_front();
        }
    }

    /// Enters the price of an instant.
    pub fn record(&mut self, minute: i64, price: i64) {
        match self.candles.back_mut() {
            Some(c) if c.minute >= minute => {
                c.high = c.high.max(price);
                c.low = c.low.min(price);
                c.close = price;
            }
            last => {
                let open = last.map_or(price, |c| c.close);
                self.candles.push_back(Candle {
                    minute,
                    open,
                    high: open.max(price),
                    low: open.min(price),
                    close: price,
                });
                if self.candles.len() > self.kept {
                    self.candles.pop_front();
                }
            }
        }
    }

    /// The newest `count` candles, newest first, continued by `past`, the candles before `first_minute`.
    pub fn newest(&self, count: usize, first_minute: i64, past: &[Candle]) -> Vec<Candle> {
        let live = self.candles.iter().rev().copied();
        let truncated =
            self.candles.front().is_some_and(|c| c.minute > first_minute) && self.candles.len() >= self.kept;
        let before = past.iter().copied().filter(|_| !truncated);
        live.chain(before).take(count).collect()
    }
}

/// `count` candles before `first_minute` (since 1970), newest first, of a path that ends at `end`: as it is, or at a
/// `premium` in bps with some noise; rounded to `tick(price)`.
pub fn past(
    seed: u64,
    stream: u64,
    count: usize,
    first_minute: i64,
    end: f64,
    premium: Option<f64>,
    tick: impl Fn(f64) -> i64,
) -> Vec<Candle> {
    let mut noise = Noise::new(seed, stream);
    let mut close = end;
    let mut wobble = 0.0f64;
    let round = |price: f64| {
        let step = tick(price).max(1);
        ((price * 1e8 / step as f64).round() as i64).max(1) * step
    };
    (1..=count as i64)
        .map(|back| {
            // About 8 bps per minute; drawn alike for both venues, whose difference is the wobble alone.
            let open = close * (1.0 - 8e-4 * noise.bell());
            let (up, down) = (noise.uniform() * 4e-4, noise.uniform() * 4e-4);
            let shock = noise.bell();
            let before = wobble;
            wobble = (0.7 * wobble + 1.2 * shock).clamp(-6.0, 6.0);
            let factor = |w: f64| premium.map_or(1.0, |p| 1.0 + (p + w) * 1e-4);
            let (o, c) = (round(open * factor(wobble)), round(close * factor(before)));
            let high = round(open.max(close) * (1.0 + up) * factor(before)).max(o).max(c);
            let low = round(open.min(close) * (1.0 - down) * factor(before)).min(o).min(c);
            close = open;
            Candle { minute: first_minute - back, open: o, high, low, close: c }
        })
        .collect()
}
