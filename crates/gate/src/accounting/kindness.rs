//! Was paper kinder than the market? What the journal itself says about when an order could be filled, at what price, and out of how
//! much. Whether the amounts add up is `fills`.

use super::ProblemKind;
use super::book::Book;
use journal::record::Taken;
use market::{Asset, Price, Quantity, Timestamp, Venue};
use std::collections::BTreeMap;

/// What a price displayed, and what fills took of it, at one instant of one input.
#[derive(Debug, Clone, Copy)]
struct Level {
    displayed: i128,
    taken: i128,
}

/// The levels that fills of one instant took from.
#[derive(Debug, Default)]
pub(super) struct Shown {
    at: Option<Timestamp>,
    levels: BTreeMap<(Venue, Asset, bool, Price), Level>,
}

impl Shown {
    /// Books may have moved: the next input.
    pub(super) fn forget(&mut self) {
        self.levels.clear();
    }

    /// Takes `level` into the sum of its price. True when the instant's fills took more than was displayed there.
    fn take(&mut self, at: Timestamp, key: (Venue, Asset, bool, Price), level: &Taken) -> Option<bool> {
        if self.at != Some(at) {
            self.forget();
            self.at = Some(at);
        }
        let displayed = level.displayed.0;
        let known = self.levels.entry(key).or_insert(Level { displayed, taken: 0 });
        // A deadline meets the book before the message of the same instant does: a rise adds what came, a fall takes what was gone.
        let fall = known.displayed.checked_sub(displayed)?.max(0);
        let taken = known.taken.checked_sub(fall)?.max(0).checked_add(level.quantity.0)?;
        *known = Level { displayed, taken };
        Some(taken > displayed)
    }
}

/// A fill, as far as its kindness goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled<'a> {
    pub seq: u64,
    pub at: Timestamp,
    pub order: u64,
    pub venue: Venue,
    pub asset: Asset,
    pub buys: bool,
    pub levels: &'a [Taken],
}

impl Filled<'_> {
    /// True when `price` is worse for the taker than `than`.
    fn worse(&self, price: Price, than: Price) -> bool {
        if self.buys { price > than } else { price < than }
    }
}

impl Book {
    /// Neither before the order arrived nor beyond the worst price that it accepts.
    pub(super) fn on_its_terms(&mut self, fill: Filled<'_>, arrives: Timestamp, limit: Option<Price>) {
        let order = fill.order;
        if fill.at < arrives {
            let early = arrives.secs_since(fill.at);
            let text = format!("order {order}: filled {early} s before it arrived");
            self.problem(ProblemKind::Kinder, fill.seq, text);
        }
        let Some(limit) = limit else { return };
        if let Some(beyond) = fill.levels.iter().find(|level| fill.worse(level.price, limit)) {
            let text = format!("order {order}: filled at {}, beyond its limit of {limit}", beyond.price);
            self.problem(ProblemKind::Kinder, fill.seq, text);
        }
    }

    /// In the order of the book, each price once, never more than was displayed: not by one fill, and not by all fills of an instant
    /// together. `None` when an amount does not fit.
    pub(super) fn out_of_the_book(&mut self, fill: Filled<'_>) -> Option<()> {
        let order = fill.order;
        for level in fill.levels {
            let (taken, price, displayed) = (level.quantity, level.price, level.displayed);
            if taken.0 <= 0 || price.0 <= 0 {
                let text = format!("order {order}: a level of {taken} at {price}");
                self.problem(ProblemKind::Kinder, fill.seq, text);
            }
            let key = (fill.venue, fill.asset, fill.buys, price);
            if self.shown.take(fill.at, key, level)? {
                let text = format!(
                    "order {order}: {taken} taken at {price}, {displayed} displayed, what the same instant's fills took included"
                );
                self.problem(ProblemKind::Kinder, fill.seq, text);
            }
        }
        if fill.levels.windows(2).any(|pair| !fill.worse(pair[1].price, pair[0].price)) {
            let text = format!("order {order}: its levels are not in the book's order, each price once");
            self.problem(ProblemKind::Kinder, fill.seq, text);
        }
        Some(())
    }
}

/// `quantity` of a fill against what its order asked for.
pub(super) fn too_much(order: u64, filled: i128, asked: i128) -> Option<String> {
    let (filled, asked) = (Quantity(filled), Quantity(asked));
    (filled > asked).then(|| format!("order {order}: {filled} filled, {asked} asked for"))
}
