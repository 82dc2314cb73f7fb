//! Orders and fills while a journal is read: each order is answered once, and a fill has the quantity, notional and fee that its
//! levels and the terms give.

use super::ProblemKind;
use super::book::Book;
use super::exact::{times_down, times_up, up};
use super::flows::Cause;
use super::results::Leg;
use journal::Body;
use journal::record::{Purpose, Taken};
use market::{Asset, Money, Quantity, SCALE, Side, Venue};

/// An order as sent, until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    position: u64,
    purpose: Purpose,
    venue: Venue,
    asset: Asset,
    takes: Side,
    quantity: i128,
}

impl Book {
    pub(super) fn fill(&mut self, seq: u64, body: &Body) -> Option<()> {
        let Body::Fill {
            order,
            position,
            purpose,
            venue,
            asset,
            takes,
            levels,
            quantity,
            notional,
            fee,
            fee_asset,
            fx,
        } = body
        else {
            return Some(());
        };
        let buys = *takes == Side::Ask;
        let sent = Sent {
            position: *position,
            purpose: *purpose,
            venue: *venue,
            asset: *asset,
            takes: *takes,
            quantity: quantity.0,
        };
        self.answered(seq, *order, sent);
        let fee_in_base = *venue == Venue::Binance && buys;
        let expected_asset = if fee_in_base { *asset } else { venue.quote() };
        if *fee_asset != expected_asset {
            let text = format!("order {order}: fee in {fee_asset}, {venue} takes it in {expected_asset}");
            self.problem(ProblemKind::Currency, seq, text);
        }
        let rate = i128::from(fx.rate.0.0);
        if !(500 * SCALE..=5_000 * SCALE).contains(&rate) {
            self.problem(ProblemKind::Currency, seq, format!("order {order}: {} KRW per USDT", fx.rate.0));
        }
        if quantity.0 <= 0 || notional.0 < 0 {
            let text = format!("order {order}: a fill of {quantity} for {notional}");
            self.problem(ProblemKind::Arithmetic, seq, text);
        }
        self.levels(seq, *order, buys, levels, (quantity.0, notional.0))?;
        if let Some(first) = levels.first() {
            self.equity.taken(*venue, *asset, buys, first.price.0.into());
        }
        let (centibps, base) = match venue {
            Venue::Upbit => (self.terms.upbit_fee_centibps, notional.0),
            Venue::Binance => (self.terms.binance_fee_centibps, if buys { quantity.0 } else { notional.0 }),
        };
        // A centibps is a millionth; a fee is rounded up once per fill.
        let owed = up(base.checked_mul(i128::from(centibps))?, 1_000_000)?;
        if fee.0 != owed {
            let text = format!("order {order}: fee {fee} {fee_asset}, the terms give {}", Quantity(owed));
            self.problem(ProblemKind::Arithmetic, seq, text);
        }
        let leg = Leg {
            purpose: *purpose,
            venue: *venue,
            buys,
            quantity: quantity.0,
            notional: notional.0,
            fee: fee.0,
            fee_in_base,
            rate,
        };
        let cause = Cause::Order(*order);
        self.flows.change(cause, (*venue, *asset), leg.coin()?)?;
        self.flows.change(cause, (*venue, venue.quote()), leg.quote()?)?;
        if *venue == Venue::Upbit && rate > 0 {
            self.equity.krw(leg.quote()?, rate)?;
        }
        let held = self.positions.entry(*position).or_default();
        held.legs.push(leg);
        if held.recorded.is_some() && !self.open_results.contains(position) {
            let text = format!("position {position}: a fill after its result");
            self.problem(ProblemKind::Result, seq, text);
        }
        Some(())
    }

    pub(super) fn order(&mut self, body: &Body) {
        let Body::Order { order, position, purpose, venue, asset, takes, quantity, .. } = body else {
            return;
        };
        self.accounts.orders += 1;
        let sent = Sent {
            position: *position,
            purpose: *purpose,
            venue: *venue,
            asset: *asset,
            takes: *takes,
            quantity: quantity.0,
        };
        self.orders.insert(*order, sent);
    }

    pub(super) fn refused(&mut self, seq: u64, order: u64) {
        if self.accounts.orders > 0 && self.orders.remove(&order).is_none() {
            let text = format!("order {order}: refused without being sent, or answered twice");
            self.problem(ProblemKind::Arithmetic, seq, text);
        }
    }

    /// An order has one fill, of what it asked for or less. A journal without any order record leaves nothing to compare.
    fn answered(&mut self, seq: u64, order: u64, fill: Sent) {
        if self.accounts.orders == 0 {
            return;
        }
        let text = match self.orders.remove(&order) {
            None => format!("order {order}: filled without being sent, or answered twice"),
            Some(sent) if fill.quantity > sent.quantity => {
                let (more, asked) = (Quantity(fill.quantity), Quantity(sent.quantity));
                format!("order {order}: {more} filled, {asked} asked for")
            }
            Some(sent) if (Sent { quantity: fill.quantity, ..sent }) != fill => {
                format!("order {order}: its fill is not what was sent")
            }
            Some(_) => return,
        };
        self.problem(ProblemKind::Arithmetic, seq, text);
    }

    /// Levels: they give the quantity and the notional, in the order of the book, never more than was displayed.
    fn levels(
        &mut self,
        seq: u64,
        order: u64,
        buys: bool,
        levels: &[Taken],
        said: (i128, i128),
    ) -> Option<()> {
        let (mut quantity, mut value) = (0i128, 0i128);
        for level in levels {
            quantity = quantity.checked_add(level.quantity.0)?;
            // Against the taker, level by level: up for a purchase, down for a sale.
            let price = i128::from(level.price.0);
            let paid =
                if buys { times_up(level.quantity.0, price)? } else { times_down(level.quantity.0, price)? };
            value = value.checked_add(paid)?;
            if level.quantity > level.displayed {
                let text = format!(
                    "order {order}: {} taken at {}, {} displayed",
                    level.quantity, level.price, level.displayed
                );
                self.problem(ProblemKind::Kinder, seq, text);
            }
        }
        let ordered =
            levels.windows(2).all(|w| if buys { w[0].price <= w[1].price } else { w[0].price >= w[1].price });
        if !ordered {
            self.problem(
                ProblemKind::Kinder,
                seq,
                format!("order {order}: its levels are not in the book's order"),
            );
        }
        if (quantity, value) != said {
            let text = format!(
                "order {order}: {} for {}, its levels give {} for {}",
                Quantity(said.0),
                Money(said.1),
                Quantity(quantity),
                Money(value)
            );
            self.problem(ProblemKind::Arithmetic, seq, text);
        }
        Some(())
    }
}
