//! A few levels, sorted: all that Upbit shows, and books before they grow.

/// Levels that fit: what Upbit shows, with count and keys in four cache lines.
pub(super) const LEAF: usize = 31;

/// Levels by key, ascending: the best has the greatest. Keys and quantities stand apart, so that a search reads keys only.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Leaf {
    len: usize,
    keys: [i64; LEAF],
    quantities: [i128; LEAF],
}

impl Leaf {
    pub(super) const EMPTY: Self = Self { len: 0, keys: [0; LEAF], quantities: [0; LEAF] };

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn keys(&self) -> &[i64] {
        &self.keys[..self.len]
    }

    /// The level at a position.
    pub(super) const fn at(&self, at: usize) -> (i64, i128) {
        (self.keys[at], self.quantities[at])
    }

    /// The position of a key, or where it belongs.
    pub(super) fn find(&self, key: i64) -> Result<usize, usize> {
        let at = self.keys().partition_point(|known| *known < key);
        if self.keys().get(at) == Some(&key) { Ok(at) } else { Err(at) }
    }

    /// Sets the quantity of a key; zero or less removes it. False when there is no room for it.
    pub(super) fn set(&mut self, key: i64, quantity: i128) -> bool {
        match (self.find(key), quantity > 0) {
            (Ok(at), true) => self.quantities[at] = quantity,
            (Ok(at), false) => {
                self.keys.copy_within(at + 1..self.len, at);
                self.quantities.copy_within(at + 1..self.len, at);
                self.len -= 1;
            }
            (Err(_), true) if self.len == LEAF => return false,
            (Err(at), true) => {
                self.keys.copy_within(at..self.len, at + 1);
                self.quantities.copy_within(at..self.len, at + 1);
                (self.keys[at], self.quantities[at]) = (key, quantity);
                self.len += 1;
            }
            (Err(_), false) => {}
        }
        true
    }

    /// Takes levels, best first, as long as they come in order and fit; the first that does not is handed back.
    pub(super) fn fill(&mut self, levels: &mut impl Iterator<Item = (i64, i128)>) -> Option<(i64, i128)> {
        self.len = 0;
        let mut stranger = None;
        for (key, quantity) in levels {
            if self.len == LEAF || self.keys().last().is_some_and(|last| key >= *last) {
                stranger = Some((key, quantity));
                break;
            }
            (self.keys[self.len], self.quantities[self.len]) = (key, quantity);
            self.len += 1;
        }
        self.keys[..self.len].reverse();
        self.quantities[..self.len].reverse();
        stranger
    }

    /// Drops the `n` levels with the smallest keys.
    pub(super) fn drop_worst(&mut self, n: usize) {
        self.keys.copy_within(n..self.len, 0);
        self.quantities.copy_within(n..self.len, 0);
        self.len -= n;
    }
}
