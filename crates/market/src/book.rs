//! One venue's book of one symbol: sorted levels, best last, so that the touch changes cheaply.

use crate::{Money, Price, Quantity, Rounding};
use serde::{Deserialize, Serialize};

/// A side of a book, and of an order: a buy takes asks, a sell takes bids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Buyers.
    Bid,
    /// Sellers.
    Ask,
}

/// A price level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Level {
    /// Price.
    pub price: Price,
    /// Quantity displayed.
    pub quantity: Quantity,
}

/// The result of walking a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// How much was there, at most what was asked for.
    pub quantity: Quantity,
    /// What it costs or brings in the quote currency, rounded against the walker.
    pub notional: Money,
    /// The worst price touched, zero when nothing was there.
    pub worst: Price,
}

/// A book. Quantities are absolute; zero removes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    /// Ascending: the best bid is the last.
    bids: Vec<Level>,
    /// Descending: the best ask is the last.
    asks: Vec<Level>,
}

impl Book {
    /// An empty book.
    pub const fn new() -> Self {
        Self { bids: Vec::new(), asks: Vec::new() }
    }

    /// Removes every level, keeping the memory.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Sets the quantity at a price; zero removes the level, removing an unknown one is normal.
    pub fn set(&mut self, side: Side, price: Price, quantity: Quantity) {
        let levels = self.levels_mut(side);
        // Most changes are near the touch, which is at the end.
        let mut i = levels.len();
        let behind = |level: &Level| match side {
            Side::Bid => level.price < price,
            Side::Ask => level.price > price,
        };
        let near = levels.len().saturating_sub(16);
        if near > 0 && !behind(&levels[near]) {
            i = levels[..near].partition_point(behind);
        } else {
            while i > near && !behind(&levels[i - 1]) {
                i -= 1;
            }
        }
        let found = levels.get(i).is_some_and(|level| level.price == price);
        match (found, quantity.0 > 0) {
            (true, true) => levels[i].quantity = quantity,
            (true, false) => {
                levels.remove(i);
            }
            (false, true) => levels.insert(i, Level { price, quantity }),
            (false, false) => {}
        }
    }

    /// Replaces the whole book. Levels may come in any order; those without quantity or price are left out (Upbit pads
    /// a thin side with zeros).
    pub fn replace(&mut self, bids: impl IntoIterator<Item = Level>, asks: impl IntoIterator<Item = Level>) {
        let real = |level: &Level| level.price.0 > 0 && level.quantity.0 > 0;
        self.bids.clear();
        self.bids.extend(bids.into_iter().filter(real));
        self.bids.sort_unstable_by_key(|level| level.price);
        self.asks.clear();
        self.asks.extend(asks.into_iter().filter(real));
        self.asks.sort_unstable_by_key(|level| std::cmp::Reverse(level.price));
    }

    /// The best level of a side.
    pub fn best(&self, side: Side) -> Option<Level> {
        self.levels(side).last().copied()
    }

    /// The middle of the touch, when both sides have one.
    pub fn mid(&self) -> Option<Price> {
        Some(self.best(Side::Bid)?.price.midpoint(self.best(Side::Ask)?.price))
    }

    /// Spread over mid in basis points: statistics only.
    pub fn spread_bps(&self) -> Option<f64> {
        let (bid, ask) = (self.best(Side::Bid)?.price, self.best(Side::Ask)?.price);
        Some((ask.0 - bid.0) as f64 / bid.midpoint(ask).0 as f64 * 1e4)
    }

    /// True when the best bid is at or above the best ask.
    pub fn is_crossed(&self) -> bool {
        matches!((self.best(Side::Bid), self.best(Side::Ask)), (Some(bid), Some(ask)) if bid.price >= ask.price)
    }

    /// The levels of a side, best first.
    pub fn iter(&self, side: Side) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + '_ {
        self.levels(side).iter().rev().copied()
    }

    /// The quantity displayed at a price, zero when there is none.
    pub fn quantity_at(&self, side: Side, price: Price) -> Quantity {
        let levels = self.levels(side);
        let at = match side {
            Side::Bid => levels.binary_search_by(|level| level.price.cmp(&price)),
            Side::Ask => levels.binary_search_by(|level| price.cmp(&level.price)),
        };
        at.map_or(Quantity::ZERO, |i| levels[i].quantity)
    }

    /// Number of levels of a side.
    pub fn depth(&self, side: Side) -> usize {
        self.levels(side).len()
    }

    /// Drops the levels beyond the best `keep` of each side.
    pub fn prune(&mut self, keep: usize) {
        for levels in [&mut self.bids, &mut self.asks] {
            if levels.len() > keep {
                levels.drain(..levels.len() - keep);
            }
        }
    }

    /// What taking `quantity` from a side costs (asks) or brings (bids), as displayed. `None` on overflow.
    pub fn walk(&self, side: Side, quantity: Quantity) -> Option<Walk> {
        let rounding = match side {
            Side::Ask => Rounding::Ceil,
            Side::Bid => Rounding::Floor,
        };
        let mut left = quantity;
        let mut notional = Money::ZERO;
        let mut worst = Price::ZERO;
        for level in self.iter(side) {
            if left.0 <= 0 {
                break;
            }
            let take = left.min(level.quantity);
            notional = notional.checked_add(level.price.notional(take, rounding)?)?;
            worst = level.price;
            left = left.checked_sub(take)?;
        }
        Some(Walk { quantity: quantity.checked_sub(left)?, notional, worst })
    }

    fn levels(&self, side: Side) -> &Vec<Level> {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    fn levels_mut(&mut self, side: Side) -> &mut Vec<Level> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}
