//! Many levels, found by arithmetic: a page holds the quantities of sixteen neighbouring prices.
//!
//! A price is counted in the greatest unit that divides all prices of the side, and its number says page and place. A table
//! of slots leads from a page's number to the page; only pages with a level exist. The table covers what has levels, at most
//! [`SLOTS`] pages around the touch: prices beyond it, of which a real book has a few, stand in sorted maps. So no price is
//! refused, whatever a venue sends, and the memory follows the number of levels.

use super::ticks::Ticks;
use super::{All, Mask, Outside};
use std::collections::BTreeMap;

/// Prices of a page: a hundred-odd bytes, two cache lines.
const WIDTH: usize = 16;
/// The table covers at most so many pages: for a price of 60 000 in steps of 0.01 a sixth of it, a quarter megabyte.
const SLOTS: i64 = 1 << 16;
/// Of the table, the share above the touch when it is laid anew: where the touch may wander to.
const ABOVE: i64 = SLOTS / 4;
/// No page.
const NONE: u32 = u32::MAX;
/// Stands in a page for a quantity that is kept beside it, because it needs more than 64 bits.
const GREAT: i64 = i64::MAX;

/// The quantities of sixteen neighbouring prices.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Page([i64; WIDTH]);

#[derive(Debug, Clone)]
pub(super) struct Pages {
    ticks: Ticks,
    mask: Mask,
    /// Pages that the table may cover begin with this number.
    floor: i64,
    /// The number of the first slot's page.
    low: i64,
    /// Where each page is, [`NONE`] when it has no level.
    slots: Vec<u32>,
    /// A bit for each slot that has a page.
    filled: Vec<u64>,
    /// The best slot that has a page.
    top: Option<usize>,
    /// Which places of a page hold a level.
    levels: Vec<u16>,
    pages: Vec<Page>,
    /// Pages to use again.
    free: Vec<u32>,
    /// Quantities of more than 64 bits, by key.
    great: BTreeMap<i64, i128>,
    /// Levels that are better, and worse, than what the table may cover; by key.
    above: BTreeMap<i64, i128>,
    below: BTreeMap<i64, i128>,
    /// Changes outside of the table since it was laid.
    strayed: usize,
    len: usize,
}

/// Slot and place of a number.
const fn split(number: i64) -> (i64, usize) {
    (number >> WIDTH.trailing_zeros(), (number & (WIDTH as i64 - 1)) as usize)
}

impl Pages {
    pub(super) const fn new(mask: Mask) -> Self {
        Self {
            ticks: Ticks::new(1),
            mask,
            floor: 0,
            low: 0,
            slots: Vec::new(),
            filled: Vec::new(),
            top: None,
            levels: Vec::new(),
            pages: Vec::new(),
            free: Vec::new(),
            great: BTreeMap::new(),
            above: BTreeMap::new(),
            below: BTreeMap::new(),
            strayed: 0,
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.filled.clear();
        self.levels.clear();
        self.pages.clear();
        self.free.clear();
        self.great.clear();
        self.above.clear();
        self.below.clear();
        self.top = None;
        (self.strayed, self.len) = (0, 0);
    }

    /// Sets the quantity at a price; zero or less removes the level.
    #[inline]
    pub(super) fn set(&mut self, price: i64, quantity: i128) {
        if let Some(number) = self.ticks.quick(price) {
            let (page, place) = split(self.mask.turn(number));
            // Below the table it wraps, and is beyond it.
            let slot = page.wrapping_sub(self.low) as usize;
            if let Some(at) = self.slots.get(slot) {
                return match quantity > 0 {
                    true => self.put(slot, place, *at, quantity),
                    false if *at != NONE => self.take(slot, place, *at),
                    false => {}
                };
            }
        }
        self.set_outside(price, quantity);
    }

    #[inline]
    fn put(&mut self, slot: usize, place: usize, at: u32, quantity: i128) {
        let at = if at == NONE { self.add_page(slot) } else { at as usize };
        let small = if quantity < GREAT as i128 { quantity as i64 } else { GREAT };
        let old = std::mem::replace(&mut self.pages[at].0[place], small);
        let had = self.levels[at] >> place & 1;
        self.levels[at] |= 1 << place;
        self.len += usize::from(had ^ 1);
        if small == GREAT {
            self.great.insert(self.key(slot, place), quantity);
        } else if had == 1 && old == GREAT {
            self.great.remove(&self.key(slot, place));
        }
    }

    #[inline]
    fn take(&mut self, slot: usize, place: usize, at: u32) {
        let at_page = at as usize;
        if self.levels[at_page] >> place & 1 == 0 {
            return;
        }
        self.levels[at_page] &= !(1 << place);
        self.len -= 1;
        if self.pages[at_page].0[place] == GREAT {
            self.great.remove(&self.key(slot, place));
        }
        if self.levels[at_page] == 0 {
            self.remove_page(slot, at);
        }
    }

    fn add_page(&mut self, slot: usize) -> usize {
        let at = self.free.pop().unwrap_or_else(|| self.new_page());
        self.slots[slot] = at;
        self.filled[slot / 64] |= 1 << (slot % 64);
        self.top = self.top.max(Some(slot));
        at as usize
    }

    fn new_page(&mut self) -> u32 {
        self.pages.push(Page([0; WIDTH]));
        self.levels.push(0);
        (self.pages.len() - 1) as u32
    }

    fn remove_page(&mut self, slot: usize, at: u32) {
        self.slots[slot] = NONE;
        self.free.push(at);
        self.filled[slot / 64] &= !(1 << (slot % 64));
        if self.top == Some(slot) {
            self.top = self.next_worse(slot);
        }
    }

    /// The key of a place: a multiple of the unit, turned.
    fn key(&self, slot: usize, place: usize) -> i64 {
        self.mask.turn(self.price(slot, place))
    }

    fn price(&self, slot: usize, place: usize) -> i64 {
        let number = (self.low + slot as i64) * WIDTH as i64 + place as i64;
        self.ticks.price(self.mask.turn(number))
    }

    fn level(&self, slot: usize, place: usize) -> (i64, i128) {
        let price = self.price(slot, place);
        let small = self.pages[self.slots[slot] as usize].0[place];
        if small != GREAT {
            return (price, i128::from(small));
        }
        (price, self.great.get(&self.mask.turn(price)).copied().unwrap_or_default())
    }

    /// Which places of a slot's page hold a level.
    fn places(&self, slot: usize) -> u16 {
        self.levels.get(self.slots[slot] as usize).copied().unwrap_or_default()
    }

    /// The best slot with a page below this one.
    fn next_worse(&self, slot: usize) -> Option<usize> {
        let mut word = slot / 64;
        let mut bits = self.filled[word] & ((1 << (slot % 64)) - 1);
        while bits == 0 {
            word = word.checked_sub(1)?;
            bits = self.filled[word];
        }
        Some(word * 64 + 63 - bits.leading_zeros() as usize)
    }

    /// The worst slot with a page from this one on.
    fn from(&self, slot: usize) -> Option<usize> {
        let mut word = slot / 64;
        let mut bits = *self.filled.get(word)? & (u64::MAX << (slot % 64));
        while bits == 0 {
            word += 1;
            bits = *self.filled.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    pub(super) fn best(&self) -> Option<(i64, i128)> {
        let stray = |(key, quantity): (&i64, &i128)| (self.mask.turn(*key), *quantity);
        if let Some(best) = self.above.last_key_value() {
            return Some(stray(best));
        }
        match self.top {
            Some(slot) => Some(self.level(slot, 15 - self.places(slot).leading_zeros() as usize)),
            None => self.below.last_key_value().map(stray),
        }
    }

    pub(super) fn get(&self, price: i64) -> Option<i128> {
        let number = self.mask.turn(self.ticks.number(price)?);
        let (page, place) = split(number);
        let slot = page.wrapping_sub(self.low) as usize;
        if slot < self.slots.len() {
            return (self.places(slot) >> place & 1 == 1).then(|| self.level(slot, place).1);
        }
        let key = self.mask.turn(price);
        self.above.get(&key).or_else(|| self.below.get(&key)).copied()
    }

    /// A change where the table is not, or of a price between two units.
    #[cold]
    fn set_outside(&mut self, price: i64, quantity: i128) {
        let Some(number) = self.ticks.number(price) else {
            if quantity > 0 {
                let mut all: Vec<_> = self.iter().collect();
                all.push((price, quantity));
                self.lay(self.ticks.with([price]), &all);
            }
            return;
        };
        let (page, place) = split(self.mask.turn(number));
        if self.slots.get(page.wrapping_sub(self.low) as usize).is_none() && !self.reach(page) {
            return self.set_stray(page, self.mask.turn(price), quantity);
        }
        let slot = page.wrapping_sub(self.low) as usize;
        match (self.slots[slot], quantity > 0) {
            (at, true) => self.put(slot, place, at, quantity),
            (NONE, false) => {}
            (at, false) => self.take(slot, place, at),
        }
    }

    /// A change beyond what the table may cover. When there are many of them, and the touch is no longer where the table was
    /// laid for, it is laid anew: rarely enough that each change still costs the same on average.
    fn set_stray(&mut self, page: i64, key: i64, quantity: i128) {
        let strays = if page < self.floor { &mut self.below } else { &mut self.above };
        let had = if quantity > 0 { strays.insert(key, quantity) } else { strays.remove(&key) };
        self.len = self.len + usize::from(quantity > 0) - usize::from(had.is_some());
        self.strayed += 1;
        if self.strayed > 256 + self.len {
            self.strayed = 0;
            let best = self.best().and_then(|(price, _)| self.ticks.number(price));
            let wanted = best.map_or(self.floor, |best| floor(split(self.mask.turn(best)).0));
            if (wanted - self.floor).abs() > SLOTS / 8 {
                let all: Vec<_> = self.iter().collect();
                self.lay(self.ticks, &all);
            }
        }
    }

    /// Makes the table cover a page when it may.
    fn reach(&mut self, page: i64) -> bool {
        if !(self.floor..self.floor + SLOTS).contains(&page) {
            return false;
        }
        let end = self.low + self.slots.len() as i64 - 1;
        self.cover(self.low.min(page), end.max(page));
        true
    }

    /// Makes the table cover these pages and some more at both ends, so that it has to grow seldom.
    fn cover(&mut self, from: i64, to: i64) {
        let room = ((to - from) / 2).max(64);
        let (from, to) = ((from - room).max(self.floor), (to + room).min(self.floor + SLOTS - 1));
        let mut slots = vec![NONE; (to - from + 1) as usize];
        let shift = if self.slots.is_empty() { 0 } else { (self.low - from) as usize };
        slots[shift..shift + self.slots.len()].copy_from_slice(&self.slots);
        self.filled = vec![0; slots.len().div_ceil(64)];
        for (slot, _) in slots.iter().enumerate().filter(|(_, at)| **at != NONE) {
            self.filled[slot / 64] |= 1 << (slot % 64);
        }
        self.top = self.top.map(|top| top + shift);
        (self.slots, self.low) = (slots, from);
    }

    /// Replaces everything; of several levels at one price the last counts.
    pub(super) fn replace(&mut self, levels: &[(i64, i128)]) {
        self.lay(Ticks::of(levels.iter().map(|level| level.0)), levels);
    }

    /// Lays the table for these levels, and counts prices in this unit, which divides them.
    fn lay(&mut self, ticks: Ticks, levels: &[(i64, i128)]) {
        self.clear();
        self.ticks = ticks;
        let pages =
            levels.iter().filter_map(|(price, _)| ticks.number(*price)).map(|n| split(self.mask.turn(n)).0);
        let Some(best) = pages.clone().max() else { return };
        self.floor = floor(best);
        let worst = pages.filter(|page| *page >= self.floor).min().unwrap_or(best);
        self.cover(worst, best);
        for (price, quantity) in levels {
            self.set(*price, *quantity);
        }
        // Spare ones, so that the first changes ask for no memory.
        for _ in 0..self.pages.len() / 4 + 16 {
            let spare = self.new_page();
            self.free.push(spare);
        }
    }

    /// Drops the `n` worst levels, at most as many as there are.
    pub(super) fn drop_worst(&mut self, n: usize) {
        let mut left = n;
        while left > 0 && self.below.pop_first().is_some() {
            (left, self.len) = (left - 1, self.len - 1);
        }
        let mut next = self.from(0);
        while let (true, Some(slot)) = (left > 0, next) {
            let mut places = self.places(slot);
            while places != 0 && left > 0 {
                let place = places.trailing_zeros() as usize;
                places &= places - 1;
                self.take(slot, place, self.slots[slot]);
                left -= 1;
            }
            next = self.from(slot);
        }
        while left > 0 && self.above.pop_first().is_some() {
            (left, self.len) = (left - 1, self.len - 1);
        }
    }

    /// Price and quantity, best first.
    pub(super) fn iter(&self) -> All<'_> {
        let outside = |strays: &'_ BTreeMap<i64, i128>| strays.len();
        let window = Window {
            pages: self,
            left: self.len - outside(&self.above) - outside(&self.below),
            front: self.top.map_or((0, 0), |top| (top, self.places(top))),
            back: self.from(0).map_or((0, 0), |slot| (slot, self.places(slot))),
        };
        let above = Outside { strays: self.above.iter().rev(), mask: self.mask };
        let below = Outside { strays: self.below.iter().rev(), mask: self.mask };
        above.chain(window).chain(below)
    }
}

/// Where the table begins when the best level is on this page.
const fn floor(best: i64) -> i64 {
    best + ABOVE - SLOTS
}

/// The levels of the table, best first.
#[derive(Debug, Clone)]
pub(super) struct Window<'a> {
    pages: &'a Pages,
    left: usize,
    /// A slot, and its places that have not been told.
    front: (usize, u16),
    back: (usize, u16),
}

impl Iterator for Window<'_> {
    type Item = (i64, i128);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.front.1 == 0 {
            let slot = self.pages.next_worse(self.front.0)?;
            self.front = (slot, self.pages.places(slot));
        }
        let place = 15 - self.front.1.leading_zeros() as usize;
        self.front.1 ^= 1 << place;
        Some(self.pages.level(self.front.0, place))
    }
}

impl DoubleEndedIterator for Window<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.back.1 == 0 {
            let slot = self.pages.from(self.back.0 + 1)?;
            self.back = (slot, self.pages.places(slot));
        }
        let place = self.back.1.trailing_zeros() as usize;
        self.back.1 &= self.back.1 - 1;
        Some(self.pages.level(self.back.0, place))
    }
}
