//! From a ticker to its place among the symbols, in the same time for ten symbols as for a thousand: an open-addressed
//! table with a fixed hash. It is never iterated and never shrinks; `Core::by_asset` has the same content in order.

use market::Asset;
use std::hash::{Hash, Hasher};

/// The table.
#[derive(Debug, Clone, Default)]
pub(crate) struct AssetIndex {
    /// A power of two, at most half full.
    slots: Vec<Option<(Asset, usize)>>,
    used: usize,
}

/// Multiply and fold; tickers come from the venues' lists, nobody gains by making them collide.
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

impl AssetIndex {
    /// The place of a ticker.
    pub(crate) fn get(&self, asset: Asset) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut i = self.start(asset);
        loop {
            match self.slots[i] {
                Some((known, place)) if known == asset => return Some(place),
                Some(_) => i = (i + 1) & (self.slots.len() - 1),
                None => return None,
            }
        }
    }

    /// Adds a ticker that is not in it, or moves it.
    pub(crate) fn insert(&mut self, asset: Asset, place: usize) {
        if (self.used + 1) * 2 > self.slots.len() {
            let grown = (self.slots.len() * 2).max(64);
            let old = std::mem::replace(&mut self.slots, vec![None; grown]);
            self.used = 0;
            for (asset, place) in old.into_iter().flatten() {
                self.put(asset, place);
            }
        }
        self.put(asset, place);
    }

    fn put(&mut self, asset: Asset, place: usize) {
        let mut i = self.start(asset);
        while self.slots[i].is_some_and(|(known, _)| known != asset) {
            i = (i + 1) & (self.slots.len() - 1);
        }
        self.used += usize::from(self.slots[i].is_none());
        self.slots[i] = Some((asset, place));
    }

    fn start(&self, asset: Asset) -> usize {
        let mut mix = Mix(0);
        asset.hash(&mut mix);
        mix.finish() as usize & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::AssetIndex;
    use market::Asset;

    #[test]
    fn a_thousand_tickers_are_found_and_no_other() {
        let name = |i: usize| Asset::new(&format!("A{i}")).unwrap();
        let mut index = AssetIndex::default();
        assert_eq!(index.get(name(0)), None);
        for i in 0..1_000 {
            index.insert(name(i), i);
        }
        index.insert(name(7), 7_000);
        for i in 0..1_000 {
            assert_eq!(index.get(name(i)), Some(if i == 7 { 7_000 } else { i }));
        }
        assert_eq!(index.get(name(1_000)), None);
        assert_eq!(index.used, 1_000);
    }
}
