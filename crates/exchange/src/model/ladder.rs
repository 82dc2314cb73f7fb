//! One side of a book: where its levels stand and how their sizes wander.
//!
//! A level stands at the best price and at every multiple of `tick * every` behind it, so that a moving best price makes
//! the adds, changes and removals of a real book.

use super::noise::Noise;
use market::Side;

/// A price level, both numbers at 1e-8. An `i64` is enough here: the synthetic prices stay above 0.01.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rung {
    /// Price in the quote currency.
    pub price: i64,
    /// Size in the asset.
    pub size: i64,
}

/// How a side is built.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The price step, at 1e-8.
    pub tick: i64,
    /// Ticks between two levels behind the best.
    pub every: i64,
    /// Number of levels.
    pub levels: usize,
    /// Average value of a level in the quote currency.
    pub value: f64,
    /// Least value of the best level in the quote currency.
    pub touch: f64,
    /// Size step, at 1e-8.
    pub lot: i64,
}

impl Shape {
    fn size(&self, price: i64, best: bool, noise: &mut Noise) -> i64 {
        let share = 0.5 + noise.uniform();
        let value = if best { (self.value * share * 0.7).max(self.touch) } else { self.value * share };
        self.round(value / (price as f64 / 1e8) * 1e8)
    }

    fn round(&self, size: f64) -> i64 {
        ((size as i64) / self.lot).max(1) * self.lot
    }
}

/// One side, best first.
#[derive(Clone, Debug)]
pub struct Ladder {
    side: Side,
    rungs: Vec<Rung>,
    spare: Vec<Rung>,
}

impl Ladder {
    /// An empty side.
    pub fn new(side: Side) -> Self {
        Self { side, rungs: Vec::new(), spare: Vec::new() }
    }

    /// The levels, best first.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// The size at `price`, 0 when there is no level.
    pub fn size_at(&self, price: i64) -> i64 {
        self.rungs.iter().find(|r| r.price == price).map_or(0, |r| r.size)
    }

    /// Moves the best price to `best`, naming every price whose size changed to `touched`.
    pub fn move_to(&mut self, best: i64, shape: &Shape, noise: &mut Noise, touched: &mut Vec<(Side, i64)>) {
        if self.rungs.first().is_some_and(|r| r.price == best) {
            return;
        }
        let step = shape.tick * shape.every;
        let mut old = std::mem::take(&mut self.rungs).into_iter().peekable();
        let mut next = std::mem::take(&mut self.spare);
        next.clear();
        let mut price = best;
        for index in 0..shape.levels {
            if price <= 0 {
                break;
            }
            while let Some(gone) = old.next_if(|r| self.better(r.price, price)) {
                touched.push((self.side, gone.price));
            }
            match old.next_if(|r| r.price == price) {
                Some(kept) => next.push(kept),
                None => {
                    next.push(Rung { price, size: shape.size(price, index == 0, noise) });
                    touched.push((self.side, price));
                }
            }
            price = match self.side {
                Side::Bid => (price - 1).div_euclid(step) * step,
                Side::Ask => (price.div_euclid(step) + 1) * step,
            };
        }
        for gone in old {
            touched.push((self.side, gone.price));
        }
        self.rungs = next;
    }

    /// Changes the sizes of about `count` levels, near the best more often than far from it.
    pub fn wander(&mut self, count: usize, shape: &Shape, noise: &mut Noise, touched: &mut Vec<(Side, i64)>) {
        for _ in 0..count {
            let u = noise.uniform();
            let index = (u * u * u * self.rungs.len() as f64) as usize;
            let redraw = noise.uniform() < 0.4;
            let factor = 0.8 + 0.4 * noise.uniform();
            let Some(rung) = self.rungs.get_mut(index) else { continue };
            let size = if redraw {
                shape.size(rung.price, index == 0, noise)
            } else {
                let least = if index == 0 { shape.touch } else { shape.value * 0.3 };
                let most = shape.value * 2.0;
                let unit = rung.price as f64 / 1e8 / 1e8;
                shape.round((rung.size as f64 * factor * unit).clamp(least, most.max(least)) / unit)
            };
            if size != rung.size {
                rung.size = size;
                touched.push((self.side, rung.price));
            }
        }
    }

    /// Gives the best level this size.
    pub fn resize_best(&mut self, size: i64, touched: &mut Vec<(Side, i64)>) {
        if let Some(best) = self.rungs.first_mut().filter(|best| best.size != size) {
            best.size = size;
            touched.push((self.side, best.price));
        }
    }

    fn better(&self, a: i64, b: i64) -> bool {
        match self.side {
            Side::Bid => a > b,
            Side::Ask => a < b,
        }
    }
}
