//! One venue's book of one symbol: what it shows and what walking it costs. How a side is kept is `ladder`'s business.

use crate::ladder::Ladder;
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    bids: Ladder,
    asks: Ladder,
}

impl Default for Book {
    fn default() -> Self {
        Self::new()
    }
}

const fn level((price, quantity): (i64, i128)) -> Level {
    Level { price: Price(price), quantity: Quantity(quantity) }
}

impl Book {
    /// An empty book.
    pub const fn new() -> Self {
        Self { bids: Ladder::new(Side::Bid), asks: Ladder::new(Side::Ask) }
    }

    /// Removes every level, keeping the memory.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Sets the quantity at a price; zero removes the level, removing an unknown one is normal.
    pub fn set(&mut self, side: Side, price: Price, quantity: Quantity) {
        match side {
            Side::Bid => self.bids.set(price.0, quantity.0),
            Side::Ask => self.asks.set(price.0, quantity.0),
        }
    }

    /// Replaces the whole book. Levels may come in any order; those without quantity or price are left out (Upbit pads
    /// a thin side with zeros).
    pub fn replace(&mut self, bids: impl IntoIterator<Item = Level>, asks: impl IntoIterator<Item = Level>) {
        let real = |level: &Level| level.price.0 > 0 && level.quantity.0 > 0;
        let bids = bids.into_iter().filter(real);
        self.bids.replace(bids.map(|level| (level.price.0, level.quantity.0)));
        let asks = asks.into_iter().filter(real);
        self.asks.replace(asks.map(|level| (level.price.0, level.quantity.0)));
    }

    /// The best level of a side.
    pub fn best(&self, side: Side) -> Option<Level> {
        self.ladder(side).best().map(level)
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
        self.ladder(side).iter().map(level)
    }

    /// The quantity displayed at a price, zero when there is none.
    pub fn quantity_at(&self, side: Side, price: Price) -> Quantity {
        self.ladder(side).get(price.0).map_or(Quantity::ZERO, Quantity)
    }

    /// Number of levels of a side.
    pub const fn depth(&self, side: Side) -> usize {
        self.ladder(side).len()
    }

    /// Drops the levels beyond the best `keep` of each side.
    pub fn prune(&mut self, keep: usize) {
        self.bids.prune(keep);
        self.asks.prune(keep);
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

    const fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }
}
