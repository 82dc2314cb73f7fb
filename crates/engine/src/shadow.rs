//! Shadow positions: what blocked intents would have become (engine.md 8).
//!
//! A shadow takes the same way as a position: orders that reach the venues after their latency, the same two-leg state
//! machine, exits and fees. It has liquidity of its own: what real orders took stays taken for it, what it took itself stays
//! taken for it alone. It touches no balance, no guard, no pacing and no real liquidity, and is covered by no inventory: what
//! is asked is what the books would have given.
//!
//! What lives here: the collection and its liquidity. The steps are `session/shadows.rs`.

use crate::broker::{Broker, Order};
use crate::config::Config;
use crate::ledger::Ledger;
use crate::legs::Position;
use crate::liquidity::LiquidityModel;
use crate::models::Models;
use journal::record::Taken;
use market::{Asset, Book, Level, Money, Price, Quantity, Rounding, Side, Timestamp, Venue};

/// More than any order asks for, and far from where sums do not fit any more.
const PLENTY: Quantity = Quantity(i128::MAX / 1_000_000);
/// Beside the time limit, how long a shadow may take to enter and to leave before it is given up, milliseconds.
const PATIENCE_MS: i64 = 120_000;

/// A shadow position under way.
#[derive(Debug)]
pub(crate) struct Shadow {
    /// Its state; the id is a shadow's.
    pub position: Position,
    /// What it took, per venue.
    pub taken: [Box<dyn LiquidityModel>; 2],
    /// When it is given up.
    pub until: Timestamp,
}

/// The shadow positions of a session.
#[derive(Debug)]
pub struct Shadows {
    /// Its queue and its latency, of a model of its own, so that no draw of a real order changes. Fees and refusals are the
    /// session's.
    pub(crate) broker: Broker,
    /// Covers everything, and is never posted to.
    pub(crate) account: Ledger,
    pub(crate) open: Vec<Shadow>,
    pub(crate) due: Vec<Order>,
    /// Blocked intents that got none because too many were under way.
    pub left_out: u64,
    last_id: u64,
    max: usize,
    next: Option<Timestamp>,
}

impl Shadows {
    /// None yet, and at most as many at once as `config` says.
    pub fn new(config: &Config) -> Self {
        let max = config.shadow_max as usize;
        let Models { fees, latency, rejection, .. } = Models::of(config);
        Self {
            broker: Broker::with(fees, latency, rejection),
            account: Ledger::new(),
            open: Vec::with_capacity(max),
            due: Vec::with_capacity(4),
            left_out: 0,
            last_id: 0,
            max,
            next: None,
        }
    }

    /// No more fit.
    pub fn is_full(&self) -> bool {
        self.open.len() >= self.max
    }

    /// True when the session has none at all.
    pub const fn is_off(&self) -> bool {
        self.max == 0
    }

    /// Goes on after `id`: a restarted session continues the numbering of its journal. Never goes back.
    pub fn continue_after(&mut self, id: u64) {
        self.last_id = self.last_id.max(id);
    }

    /// The id of the last one.
    pub const fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The id of the next one.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The accounts that its orders look at hold enough.
    pub fn cover(&mut self, asset: Asset) {
        for venue in Venue::ALL {
            for asset in [asset, venue.quote()] {
                if self.account.balance(venue, asset).is_zero() {
                    // It was empty, so this fits.
                    let _ = self.account.deposit(venue, asset, PLENTY);
                }
            }
        }
    }

    /// When one that starts at `now` is given up.
    pub fn until(now: Timestamp, config: &Config) -> Timestamp {
        let ms = config.time_limit_ms.saturating_add(PATIENCE_MS);
        Timestamp(now.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// The next instant at which something happens without a market moving.
    pub const fn next_deadline(&self) -> Option<Timestamp> {
        self.next
    }

    /// Recomputes [`Self::next_deadline`]; call after every change.
    pub fn settle(&mut self, config: &Config) {
        let of_positions = self.open.iter().map(|shadow| {
            let next = shadow.position.next_deadline(config);
            next.map_or(shadow.until, |next| next.min(shadow.until))
        });
        self.next = of_positions.chain(self.broker.next_deadline()).min();
    }
}

/// What is left of a level for a shadow: neither what real orders took nor what it took itself.
pub(crate) fn left(
    real: &dyn LiquidityModel,
    own: &dyn LiquidityModel,
    side: Side,
    level: &Level,
) -> Quantity {
    let own_taken = level.quantity.0 - own.left(side, level.price, level.quantity).0;
    Quantity((real.left(side, level.price, level.quantity).0 - own_taken).max(0))
}

/// The liquidity that an order of a shadow meets.
#[derive(Debug)]
pub(crate) struct Overlay<'a> {
    pub real: &'a dyn LiquidityModel,
    pub own: &'a mut dyn LiquidityModel,
}

impl LiquidityModel for Overlay<'_> {
    fn fresh(&self) -> Box<dyn LiquidityModel> {
        self.own.fresh()
    }

    fn on_book(&mut self, book: &Book) {
        self.own.on_book(book);
    }

    fn left(&self, side: Side, price: Price, displayed: Quantity) -> Quantity {
        left(self.real, &*self.own, side, &Level { price, quantity: displayed })
    }

    fn plan(
        &self,
        book: &Book,
        side: Side,
        quantity: Quantity,
        limit: Option<Price>,
        out: &mut Vec<Taken>,
    ) -> Option<(Quantity, Money)> {
        let rounding = if side == Side::Ask { Rounding::Ceil } else { Rounding::Floor };
        out.clear();
        let (mut rest, mut notional) = (quantity, Money::ZERO);
        for level in book.iter(side) {
            let beyond = limit.is_some_and(|limit| match side {
                Side::Ask => level.price > limit,
                Side::Bid => level.price < limit,
            });
            if rest.0 <= 0 || beyond {
                break;
            }
            let take = rest.min(left(self.real, &*self.own, side, &level));
            if take.0 > 0 {
                notional = notional.checked_add(level.price.notional(take, rounding)?)?;
                rest = rest.checked_sub(take)?;
                out.push(Taken { price: level.price, quantity: take, displayed: level.quantity });
            }
        }
        Some((quantity.checked_sub(rest)?, notional))
    }

    fn commit(&mut self, side: Side, taken: &[Taken]) {
        self.own.commit(side, taken);
    }
}

#[cfg(test)]
mod tests {
    use super::{LiquidityModel, Overlay};
    use crate::liquidity::LiquidityMemory;
    use market::{Book, Level, Price, Quantity, Side};

    #[test]
    fn a_shadow_meets_what_neither_it_nor_real_orders_took() {
        let level = |price: i32, quantity: i32| Level {
            price: Price::from_int(price),
            quantity: Quantity::from_int(quantity),
        };
        let mut book = Book::new();
        book.replace([level(99, 5)], [level(100, 10), level(101, 10)]);
        let (mut real, mut own, mut out) = (LiquidityMemory::new(), LiquidityMemory::new(), Vec::new());
        real.take(&book, Side::Ask, Quantity::from_int(4), None, &mut out).unwrap();
        let before = real.clone();
        let mut overlay = Overlay { real: &real, own: &mut own };
        let mut take = |quantity: i32| {
            let found = overlay.plan(&book, Side::Ask, Quantity::from_int(quantity), None, &mut out).unwrap();
            overlay.commit(Side::Ask, &out);
            found.0
        };
        assert_eq!(take(5), Quantity::from_int(5));
        assert_eq!(take(20), Quantity::from_int(11), "one is left at 100 and ten at 101");
        assert_eq!(take(1), Quantity::ZERO);
        assert_eq!(real, before, "the real memory knows nothing of it");
    }
}
