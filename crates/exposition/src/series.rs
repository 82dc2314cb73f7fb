//! What a page has had already: series and names of families. A 64-bit hash finds candidates; those are compared exactly.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// Odd constants with well spread bits (digits of pi), as multiplicative hashes use them.
const SPREAD: [u64; 3] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1];

/// The high and low half of a 128-bit product, folded: every input bit reaches every output bit.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

#[inline]
fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(SPREAD[0]);
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_first_chunk::<16>() {
        let (a, b) = head.split_at(8);
        hash = fold(word(a) ^ hash, word(b) ^ SPREAD[1]);
        rest = tail;
    }
    let (a, b) = match rest.len() {
        0 => (0, 0),
        1..=3 => (u64::from(rest[0]) << 8 | u64::from(rest[rest.len() / 2]), u64::from(rest[rest.len() - 1])),
        4..=7 => (word(&rest[..4]), word(&rest[rest.len() - 4..])),
        len => (word(&rest[..8]), word(&rest[len - 8..])),
    };
    fold(a ^ hash, b ^ SPREAD[2])
}

/// Up to eight bytes as a number.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    if let Ok(eight) = bytes.try_into() {
        return u64::from_le_bytes(eight);
    }
    if let Ok(four) = bytes.try_into() {
        return u64::from(u32::from_le_bytes(four));
    }
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// The hash of a series while it is read; labels count in any order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hash {
    seed: u64,
    sum: u64,
}

impl Hash {
    #[inline]
    pub(crate) fn label(&mut self, name: &str, value: &str) {
        let name = hash_bytes(self.seed, name.as_bytes());
        self.sum = self.sum.wrapping_add(hash_bytes(name, value.as_bytes()));
    }

    #[inline]
    fn finish(self, name: u64, nanos: Option<i128>) -> u64 {
        let time = nanos.map_or(0, |n| (n as u64) ^ SPREAD[2]);
        fold(name ^ SPREAD[1], self.sum ^ SPREAD[0]) ^ fold(time ^ self.seed, SPREAD[1])
    }
}

/// Hands a hash through as its own hash.
#[derive(Debug, Default)]
pub(crate) struct Through(u64);

impl Hasher for Through {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash_bytes(self.0, bytes);
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// A hasher with a seed drawn per page, so that no page can be made to collide.
#[derive(Debug, Clone)]
pub(crate) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0u8))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Through;

    fn build_hasher(&self) -> Through {
        Through(self.0)
    }
}

/// The families of a page: name to index.
#[derive(Debug, Default)]
pub(crate) struct Names<'a>(HashMap<Cow<'a, str>, usize, Seeded>);

impl<'a> Names<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<usize> {
        self.0.get(name).copied()
    }

    /// The index of a name, `index` when it is new; and whether it is new.
    pub(crate) fn insert(&mut self, name: Cow<'a, str>, index: usize) -> (usize, bool) {
        match self.0.entry(name) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(free) => (*free.insert(index), true),
        }
    }
}

/// The series of a page with their timestamps.
#[derive(Debug)]
pub(crate) struct Seen {
    seed: u64,
    /// Hash to the byte where the sample's line begins.
    first: HashMap<u64, usize, BuildHasherDefault<Through>>,
    /// Different series of the same hash.
    others: Vec<(u64, usize)>,
    /// The last metric name and its hash.
    name: (String, u64),
}

impl Seen {
    /// For a page of so many bytes.
    pub(crate) fn new(page: usize) -> Self {
        let mut first = HashMap::default();
        // Lines of exporters have some 70 bytes.
        first.reserve((page / 64).min(1 << 20));
        Self { seed: Seeded::default().0, first, others: Vec::new(), name: Default::default() }
    }

    /// An empty label set.
    #[inline]
    pub(crate) fn hash(&self) -> Hash {
        Hash { seed: self.seed, sum: 0 }
    }

    /// Notes a series that stands at `at`; true when an earlier one is the same. `is_same` compares exactly with the one
    /// that stands at a byte.
    #[inline]
    pub(crate) fn is_repeated(
        &mut self,
        name: &str,
        hash: Hash,
        nanos: Option<i128>,
        at: usize,
        is_same: impl Fn(usize) -> bool,
    ) -> bool {
        if self.name.0 != name || self.name.1 == 0 {
            self.name.0.clear();
            self.name.0.push_str(name);
            self.name.1 = hash_bytes(self.seed, name.as_bytes());
        }
        let hash = hash.finish(self.name.1, nanos);
        match self.first.entry(hash) {
            Entry::Vacant(free) => {
                free.insert(at);
                false
            }
            Entry::Occupied(taken) => {
                if is_same(*taken.get())
                    || self.others.iter().any(|(other, at)| *other == hash && is_same(*at))
                {
                    return true;
                }
                self.others.push((hash, at));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hashes_are_compared_exactly() {
        let mut seen = Seen::new(0);
        let empty = seen.hash();
        assert!(!seen.is_repeated("a", empty, None, 1, |_| panic!("nothing to compare with")));
        assert!(!seen.is_repeated("a", empty, None, 2, |_| false));
        assert!(seen.is_repeated("a", empty, None, 3, |at| at == 2));
        assert!(!seen.is_repeated("a", empty, Some(0), 4, |_| true));
        assert!(!seen.is_repeated("b", empty, None, 5, |_| true));
    }

    #[test]
    fn labels_hash_alike_in_any_order() {
        let seen = Seen::new(0);
        let (mut a, mut b, mut c) = (seen.hash(), seen.hash(), seen.hash());
        a.label("x", "1");
        a.label("y", "2");
        b.label("y", "2");
        b.label("x", "1");
        c.label("x", "2");
        c.label("y", "1");
        assert_eq!(a.finish(7, None), b.finish(7, None));
        assert_ne!(a.finish(7, None), c.finish(7, None));
    }
}
