//! Orders and fills while a journal is read: each order is answered once, and a fill has the quantity, notional and fee that its
//! levels and the terms give. Whether it was kinder than the market is `kindness`.

use super::ProblemKind;
use super::book::Book;
use super::exact::{times_down, times_up, up};
use super::flows::Cause;
use super::kindness::{Filled, too_much};
use super::results::Leg;
use journal::record::{Purpose, Taken};
use journal::{Body, Entry};
use market::{Asset, Money, Price, Quantity, SCALE, Side, Timestamp, Venue};

/// An order as sent, until it is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    what: What,
    quantity: i128,
    arrives: Timestamp,
    limit: Option<Price>,
}

/// What an order and its fill both say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct What {
    position: u64,
    purpose: Purpose,
    venue: Venue,
    asset: Asset,
    takes: Side,
}

impl Book {
    pub(super) fn fill(&mut self, entry: &Entry) -> Option<()> {
        let seq = entry.seq;
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
        } = &entry.body
        else {
            return Some(());
        };
        let buys = *takes == Side::Ask;
        let what =
            What { position: *position, purpose: *purpose, venue: *venue, asset: *asset, takes: *takes };
        let filled = Filled { seq, at: entry.at, order: *order, venue: *venue, asset: *asset, buys, levels };
        self.answered(filled, what, quantity.0);
        self.out_of_the_book(filled)?;
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

    pub(super) fn order(&mut self, entry: &Entry) {
        let Body::Order { order, position, purpose, venue, asset, takes, quantity, arrives, limit } =
            &entry.body
        else {
            return;
        };
        self.accounts.orders += 1;
        if *arrives < entry.at {
            let early = entry.at.secs_since(*arrives);
            let text = format!("order {order}: it arrives {early} s before it was sent");
            self.problem(ProblemKind::Kinder, entry.seq, text);
        }
        let what =
            What { position: *position, purpose: *purpose, venue: *venue, asset: *asset, takes: *takes };
        let sent = Sent { what, quantity: quantity.0, arrives: *arrives, limit: *limit };
        if self.orders.insert(*order, sent).is_some() {
            let text = format!("order {order}: sent a second time");
            self.problem(ProblemKind::Arithmetic, entry.seq, text);
        }
    }

    pub(super) fn refused(&mut self, seq: u64, order: u64) {
        if self.accounts.orders > 0 && self.orders.remove(&order).is_none() {
            let text = format!("order {order}: refused without being sent, or answered twice");
            self.problem(ProblemKind::Arithmetic, seq, text);
        }
    }

    /// An order has one fill, of what it asked for or less, on its terms. A journal without any order record leaves nothing to
    /// compare.
    fn answered(&mut self, fill: Filled<'_>, what: What, quantity: i128) {
        if self.accounts.orders == 0 {
            return;
        }
        let (seq, order) = (fill.seq, fill.order);
        let Some(sent) = self.orders.remove(&order) else {
            let text = format!("order {order}: filled without being sent, or answered twice");
            self.problem(ProblemKind::Arithmetic, seq, text);
            return;
        };
        if let Some(text) = too_much(order, quantity, sent.quantity) {
            self.problem(ProblemKind::Arithmetic, seq, text);
        }
        if what != sent.what {
            let text = format!("order {order}: its fill is not what was sent");
            self.problem(ProblemKind::Arithmetic, seq, text);
        }
        self.on_its_terms(fill, sent.arrives, sent.limit);
    }

    /// Levels give the quantity and the notional.
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
