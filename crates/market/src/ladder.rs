//! One side of a book: levels by key, ascending, in leaves of bounded size.
//!
//! Deep books change far from the touch as often as near it (half of the changes of a real BTC book are more than a hundred
//! levels away), and half of the changes insert or remove. In one sorted vector each of them moves everything between it and
//! the touch; here it moves at most a leaf. Keys and quantities stand apart, so that a search reads keys only; neighbouring
//! changes come together, so the leaf of the last change is tried first.

/// Levels per leaf: what Upbit shows fits into one, and count and keys fill four cache lines.
const LEAF: usize = 31;

/// The count and the first keys share a cache line; with a thousand books none of it is in the cache when it is needed.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
struct Leaf {
    len: usize,
    keys: [i64; LEAF],
    quantities: [i128; LEAF],
}

impl Leaf {
    const EMPTY: Self = Self { len: 0, keys: [0; LEAF], quantities: [0; LEAF] };

    fn keys(&self) -> &[i64] {
        &self.keys[..self.len]
    }

    /// The first position whose key is not below `key`.
    fn position(&self, key: i64) -> usize {
        self.keys().partition_point(|known| *known < key)
    }

    /// Whether a key goes below all that is here, and there is room.
    fn takes_below(&self, key: i64) -> bool {
        self.len < LEAF && self.keys().last().is_none_or(|last| key < *last)
    }

    fn insert(&mut self, at: usize, key: i64, quantity: i128) {
        self.keys.copy_within(at..self.len, at + 1);
        self.quantities.copy_within(at..self.len, at + 1);
        (self.keys[at], self.quantities[at]) = (key, quantity);
        self.len += 1;
    }

    fn remove(&mut self, at: usize) {
        self.keys.copy_within(at + 1..self.len, at);
        self.quantities.copy_within(at + 1..self.len, at);
        self.len -= 1;
    }

    /// Moves everything from `at` on into a new leaf.
    fn split_off(&mut self, at: usize) -> Self {
        let mut tail = Self::EMPTY;
        tail.extend(self, at);
        self.len = at;
        tail
    }

    /// Appends what `other` holds from `at` on.
    fn extend(&mut self, other: &Self, at: usize) {
        let n = other.len - at;
        self.keys[self.len..self.len + n].copy_from_slice(&other.keys[at..other.len]);
        self.quantities[self.len..self.len + n].copy_from_slice(&other.quantities[at..other.len]);
        self.len += n;
    }
}

/// A side: keys ascending, the best level has the greatest key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ladder {
    /// None is empty.
    leaves: Vec<Leaf>,
    /// The greatest key of each leaf.
    tops: Vec<i64>,
    len: usize,
    /// The leaf of the last change.
    hint: usize,
}

impl Ladder {
    pub(crate) const fn new() -> Self {
        Self { leaves: Vec::new(), tops: Vec::new(), len: 0, hint: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn clear(&mut self) {
        self.leaves.clear();
        self.tops.clear();
        (self.len, self.hint) = (0, 0);
    }

    /// The level with the greatest key.
    pub(crate) fn best(&self) -> Option<(i64, i128)> {
        let leaf = self.leaves.last()?;
        let i = leaf.len - 1;
        Some((leaf.keys[i], leaf.quantities[i]))
    }

    pub(crate) fn get(&self, key: i64) -> Option<i128> {
        let leaf = self.leaves.get(self.tops.partition_point(|top| *top < key))?;
        let at = leaf.position(key);
        (leaf.keys().get(at) == Some(&key)).then(|| leaf.quantities[at])
    }

    /// Sets the quantity of a key; zero or less removes it.
    pub(crate) fn set(&mut self, key: i64, quantity: i128) {
        let i = self.leaf_of(key);
        let Some(leaf) = self.leaves.get_mut(i) else {
            if quantity > 0 {
                self.push_leaf(key, quantity);
            }
            return;
        };
        self.hint = i;
        let at = leaf.position(key);
        let found = leaf.keys().get(at) == Some(&key);
        match (found, quantity > 0) {
            (true, true) => leaf.quantities[at] = quantity,
            (true, false) => {
                leaf.remove(at);
                self.len -= 1;
                self.shrunk(i);
            }
            (false, true) => {
                self.len += 1;
                if leaf.len < LEAF {
                    leaf.insert(at, key, quantity);
                    self.tops[i] = leaf.keys[leaf.len - 1];
                } else {
                    self.insert_split(i, at, key, quantity);
                }
            }
            (false, false) => {}
        }
    }

    /// The leaf that holds a key or would take it; one too many when there is none at all.
    fn leaf_of(&self, key: i64) -> usize {
        let (n, hint) = (self.tops.len(), self.hint);
        let here =
            hint < n && (key <= self.tops[hint] || hint + 1 == n) && (hint == 0 || key > self.tops[hint - 1]);
        if here {
            return hint;
        }
        self.tops.partition_point(|top| *top < key).min(n.saturating_sub(1))
    }

    fn push_leaf(&mut self, key: i64, quantity: i128) {
        let mut leaf = Leaf::EMPTY;
        leaf.insert(0, key, quantity);
        self.leaves.push(leaf);
        self.tops.push(key);
        self.len += 1;
    }

    /// A full leaf becomes two. At the upper end, where the touch wanders, the new one starts empty.
    fn insert_split(&mut self, i: usize, at: usize, key: i64, quantity: i128) {
        let from = if at == LEAF { LEAF } else { LEAF / 2 };
        let leaf = &mut self.leaves[i];
        let mut tail = leaf.split_off(from);
        if at < from {
            leaf.insert(at, key, quantity)
        } else {
            tail.insert(at - from, key, quantity)
        }
        self.tops[i] = leaf.keys[leaf.len - 1];
        self.tops.insert(i + 1, tail.keys[tail.len - 1]);
        self.leaves.insert(i + 1, tail);
    }

    /// After a removal: an empty leaf goes, a sparse one joins its neighbour.
    fn shrunk(&mut self, i: usize) {
        let len = self.leaves[i].len;
        if len == 0 {
            self.leaves.remove(i);
            self.tops.remove(i);
            return;
        }
        self.tops[i] = self.leaves[i].keys[len - 1];
        let lower = if i + 1 < self.leaves.len() { i } else { i.wrapping_sub(1) };
        if len < LEAF / 4
            && let Some([a, b]) = self.leaves.get_mut(lower..lower.saturating_add(2))
            && a.len + b.len <= LEAF / 2
        {
            a.extend(b, 0);
            self.tops[lower] = self.tops[lower + 1];
            self.leaves.remove(lower + 1);
            self.tops.remove(lower + 1);
        }
    }

    /// Replaces everything. Levels may come in any order; best first, up to a leaf, is the quick one.
    pub(crate) fn replace(&mut self, mut levels: impl Iterator<Item = (i64, i128)>) {
        self.leaves.truncate(1);
        self.tops.clear();
        (self.len, self.hint) = (0, 0);
        if self.leaves.is_empty() {
            self.leaves.push(Leaf::EMPTY);
        }
        let leaf = &mut self.leaves[0];
        leaf.len = 0;
        let mut next = levels.next();
        while let Some((key, quantity)) = next.filter(|(key, _)| leaf.takes_below(*key)) {
            (leaf.keys[leaf.len], leaf.quantities[leaf.len]) = (key, quantity);
            leaf.len += 1;
            next = levels.next();
        }
        let n = leaf.len;
        match next {
            None if n == 0 => self.leaves.clear(),
            None => {
                leaf.keys[..n].reverse();
                leaf.quantities[..n].reverse();
                self.tops.push(leaf.keys[n - 1]);
                self.len = n;
            }
            Some(other) => {
                let head = leaf.keys().iter().copied().zip(leaf.quantities);
                let mut all: Vec<(i64, i128)> = head.chain([other]).chain(levels).collect();
                all.sort_by_key(|(key, _)| *key);
                self.rebuild(&all);
            }
        }
    }

    /// From levels in the order of their keys.
    fn rebuild(&mut self, levels: &[(i64, i128)]) {
        self.clear();
        self.len = levels.len();
        // Half full, so that the first changes need no split.
        for part in levels.chunks(LEAF / 2) {
            let mut leaf = Leaf::EMPTY;
            for (i, (key, quantity)) in part.iter().enumerate() {
                (leaf.keys[i], leaf.quantities[i]) = (*key, *quantity);
            }
            leaf.len = part.len();
            self.tops.push(leaf.keys[leaf.len - 1]);
            self.leaves.push(leaf);
        }
    }

    /// Drops the levels with the smallest keys beyond `keep`.
    pub(crate) fn prune(&mut self, keep: usize) {
        let mut drop = self.len.saturating_sub(keep);
        if drop == 0 {
            return;
        }
        self.len -= drop;
        let mut whole = 0;
        while let Some(leaf) = self.leaves.get(whole).filter(|leaf| leaf.len <= drop) {
            drop -= leaf.len;
            whole += 1;
        }
        self.leaves.drain(..whole);
        self.tops.drain(..whole);
        self.hint = 0;
        if let Some(leaf) = self.leaves.first_mut().filter(|_| drop > 0) {
            leaf.keys.copy_within(drop..leaf.len, 0);
            leaf.quantities.copy_within(drop..leaf.len, 0);
            leaf.len -= drop;
        }
    }

    /// Best first.
    pub(crate) fn iter(&self) -> Iter<'_> {
        let best = self.leaves.len().wrapping_sub(1);
        let front = (best, self.leaves.last().map_or(0, |leaf| leaf.len));
        Iter { ladder: self, front, back: (0, 0), left: self.len }
    }
}

impl PartialEq for Ladder {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl Eq for Ladder {}

/// The levels of a side, best first, as key and quantity.
#[derive(Debug, Clone)]
pub(crate) struct Iter<'a> {
    ladder: &'a Ladder,
    /// Leaf, and one past the next position in it, counting down.
    front: (usize, usize),
    /// Leaf and next position, counting up.
    back: (usize, usize),
    left: usize,
}

impl Iterator for Iter<'_> {
    type Item = (i64, i128);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.front.1 == 0 {
            let leaf = self.front.0.checked_sub(1)?;
            self.front = (leaf, self.ladder.leaves.get(leaf)?.len);
        }
        self.front.1 -= 1;
        let leaf = self.ladder.leaves.get(self.front.0)?;
        Some((leaf.keys[self.front.1], leaf.quantities[self.front.1]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut leaf = self.ladder.leaves.get(self.back.0)?;
        if self.back.1 >= leaf.len {
            self.back = (self.back.0 + 1, 0);
            leaf = self.ladder.leaves.get(self.back.0)?;
        }
        let at = self.back.1;
        self.back.1 += 1;
        Some((leaf.keys[at], leaf.quantities[at]))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use super::{LEAF, Ladder};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone)]
    enum Step {
        Set(i64, i128),
        Prune(usize),
        Replace(Vec<(i64, i128)>),
    }

    /// Few keys, so that leaves fill, empty, split and join.
    fn step() -> impl Strategy<Value = Step> {
        let set = (0..700i64, prop_oneof![2 => 1..5i128, 1 => Just(0)]).prop_map(|(k, q)| Step::Set(k, q));
        let near = (0..20i64, 0..3i128).prop_map(|(k, q)| Step::Set(k, q));
        let levels = prop::collection::btree_map(0..700i64, 1..5i128, 0..3 * LEAF);
        let replace = (levels, any::<bool>()).prop_map(|(levels, best_first)| {
            let mut levels: Vec<_> = levels.into_iter().collect();
            if best_first {
                levels.reverse();
            }
            Step::Replace(levels)
        });
        prop_oneof![300 => set, 50 => near, 1 => (0..400usize).prop_map(Step::Prune), 1 => replace]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_ladder_is_a_sorted_map(steps in prop::collection::vec(step(), 0..3_000)) {
            let (mut ladder, mut oracle) = (Ladder::new(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Set(key, quantity) => {
                        ladder.set(key, quantity);
                        if quantity > 0 { oracle.insert(key, quantity); } else { oracle.remove(&key); }
                        prop_assert_eq!(ladder.get(key), oracle.get(&key).copied());
                    }
                    Step::Prune(keep) => {
                        ladder.prune(keep);
                        while oracle.len() > keep { oracle.pop_first(); }
                    }
                    Step::Replace(levels) => {
                        ladder.replace(levels.iter().copied());
                        oracle = levels.into_iter().collect();
                    }
                }
                prop_assert_eq!(ladder.len(), oracle.len());
                prop_assert_eq!(ladder.best(), oracle.last_key_value().map(|(k, q)| (*k, *q)));
            }
            let all: Vec<_> = oracle.into_iter().collect();
            prop_assert!(ladder.iter().eq(all.iter().rev().copied()));
            prop_assert!(ladder.iter().rev().eq(all.iter().copied()));
            let mut both = ladder.iter();
            let (mut n, mut up) = (both.len(), true);
            while (if up { both.next() } else { both.next_back() }).is_some() {
                (n, up) = (n - 1, !up);
                prop_assert_eq!(both.len(), n);
            }
            prop_assert_eq!(n, 0);
        }
    }
}
