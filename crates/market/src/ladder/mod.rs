//! One side of a book: [`Leaf`] while it is short, [`Pages`] from then on.
//!
//! Deep books change far from the touch as often as near it (half of the changes of a real BTC book are more than a hundred
//! levels away), and half of the changes insert or remove: a sorted array would move levels with each of them. Pages are
//! found by arithmetic on the price and move nothing. Venues that show a few levels and send all of them each time are
//! quicker in an array.

mod leaf;
mod pages;
mod ticks;

use crate::Side;
use leaf::{LEAF, Leaf};
use pages::{Pages, Window};
use std::collections::btree_map;
use std::iter::{Chain, Rev};

/// A side: the best level first.
#[derive(Debug, Clone)]
pub(crate) struct Ladder {
    leaf: Leaf,
    pages: Pages,
    /// Whether the levels are in `pages`.
    paged: bool,
    mask: Mask,
}

/// Turns a price, or its number, into a key whose greatest is the best of its side, and back: asks are complemented.
#[derive(Debug, Clone, Copy)]
struct Mask(i64);

impl Mask {
    const fn of(side: Side) -> Self {
        match side {
            Side::Bid => Self(0),
            Side::Ask => Self(-1),
        }
    }

    #[inline(always)]
    const fn turn(self, number: i64) -> i64 {
        number ^ self.0
    }
}

impl Ladder {
    pub(crate) const fn new(side: Side) -> Self {
        let mask = Mask::of(side);
        Self { leaf: Leaf::EMPTY, pages: Pages::new(mask), paged: false, mask }
    }

    pub(crate) const fn len(&self) -> usize {
        if self.paged { self.pages.len() } else { self.leaf.len() }
    }

    /// Removes every level, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.leaf.clear();
        self.pages.clear();
        self.paged = false;
    }

    /// Price and quantity of the best level.
    pub(crate) fn best(&self) -> Option<(i64, i128)> {
        if self.paged {
            return self.pages.best();
        }
        self.leaf.len().checked_sub(1).map(|at| self.in_leaf(at))
    }

    pub(crate) fn get(&self, price: i64) -> Option<i128> {
        if self.paged {
            return self.pages.get(price);
        }
        self.leaf.find(self.mask.turn(price)).ok().map(|at| self.leaf.at(at).1)
    }

    /// Sets the quantity at a price; zero or less removes the level.
    #[inline]
    pub(crate) fn set(&mut self, price: i64, quantity: i128) {
        if self.paged {
            self.pages.set(price, quantity);
        } else if !self.leaf.set(self.mask.turn(price), quantity) {
            let levels: Vec<_> = self.iter().chain([(price, quantity)]).collect();
            self.page(&levels);
        }
    }

    fn page(&mut self, levels: &[(i64, i128)]) {
        self.pages.replace(levels);
        self.paged = true;
        self.leaf.clear();
    }

    /// Replaces everything. Levels may come in any order; a few of them, best first, are the quick case. Of several at one
    /// price the last counts.
    pub(crate) fn replace(&mut self, levels: impl Iterator<Item = (i64, i128)>) {
        let mask = self.mask;
        let mut keyed = levels.map(|(price, quantity)| (mask.turn(price), quantity));
        if self.paged {
            self.pages.clear();
            self.paged = false;
        }
        let Some(stranger) = self.leaf.fill(&mut keyed) else { return };
        let rest = [stranger].into_iter().chain(keyed).map(|(key, quantity)| (mask.turn(key), quantity));
        let all: Vec<_> = self.iter().chain(rest).collect();
        if all.len() > LEAF {
            self.page(&all);
        } else {
            self.leaf.clear();
            for (price, quantity) in all {
                self.leaf.set(mask.turn(price), quantity);
            }
        }
    }

    /// Drops the levels beyond the best `keep`.
    pub(crate) fn prune(&mut self, keep: usize) {
        let drop = self.len().saturating_sub(keep);
        if self.paged { self.pages.drop_worst(drop) } else { self.leaf.drop_worst(drop) }
    }

    /// Price and quantity, best first.
    pub(crate) fn iter(&self) -> Iter<'_> {
        if self.paged {
            Iter { leaf: None, leaf_range: (0, 0), pages: Some(self.pages.iter()), left: self.len() }
        } else {
            Iter { leaf: Some(self), leaf_range: (0, self.len()), pages: None, left: self.len() }
        }
    }

    const fn in_leaf(&self, at: usize) -> (i64, i128) {
        let (key, quantity) = self.leaf.at(at);
        (self.mask.turn(key), quantity)
    }
}

impl PartialEq for Ladder {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Ladder {}

type Strays<'a> = Rev<btree_map::Iter<'a, i64, i128>>;

/// All levels of [`Pages`], best first: above the window, in it, below it.
type All<'a> = Chain<Chain<Outside<'a>, Window<'a>>, Outside<'a>>;

/// Levels outside of the window, as price and quantity.
#[derive(Debug, Clone)]
struct Outside<'a> {
    strays: Strays<'a>,
    mask: Mask,
}

impl Iterator for Outside<'_> {
    type Item = (i64, i128);

    fn next(&mut self) -> Option<Self::Item> {
        self.strays.next().map(|(key, quantity)| (self.mask.turn(*key), *quantity))
    }
}

impl DoubleEndedIterator for Outside<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.strays.next_back().map(|(key, quantity)| (self.mask.turn(*key), *quantity))
    }
}

/// The levels of a side, best first, as price and quantity.
#[derive(Debug, Clone)]
pub(crate) struct Iter<'a> {
    leaf: Option<&'a Ladder>,
    /// Positions in the leaf that are left: from, to.
    leaf_range: (usize, usize),
    pages: Option<All<'a>>,
    left: usize,
}

impl Iterator for Iter<'_> {
    type Item = (i64, i128);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if let Some(pages) = &mut self.pages {
            return pages.next();
        }
        self.leaf_range.1 -= 1;
        self.leaf.map(|ladder| ladder.in_leaf(self.leaf_range.1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if let Some(pages) = &mut self.pages {
            return pages.next_back();
        }
        self.leaf_range.0 += 1;
        self.leaf.map(|ladder| ladder.in_leaf(self.leaf_range.0 - 1))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests;
