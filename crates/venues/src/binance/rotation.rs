//! When one connection may take another's place without a hole: pure, by the ids of the diffs that came on both.
//!
//! Both deliver every symbol's diffs in order. Once the old one has delivered, for each symbol that the new one has brought,
//! everything up to the new one's first diff, the new one's diffs go on where the old one's end; what both brought is
//! ignored the second time (rule 5 of [`super::sequencer`]).

use super::wire::{Message, parse};
use crate::LevelBuffer;
use std::collections::BTreeMap;

/// How far two connections have come.
#[derive(Debug, Default)]
pub struct Overlap {
    /// `u` of the last diff of each symbol on the old one, since the new one is up.
    old: BTreeMap<String, u64>,
    /// `U` of the first diff of each symbol on the new one.
    new: BTreeMap<String, u64>,
    levels: LevelBuffer,
}

impl Overlap {
    /// Nothing has come on the new one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame of the old connection.
    pub fn on_old(&mut self, frame: &[u8]) {
        if let Ok(Message::Depth(diff)) = parse(frame, &mut self.levels) {
            match self.old.get_mut(diff.symbol) {
                Some(last) => *last = diff.last_id.max(*last),
                None => {
                    self.old.insert(diff.symbol.to_owned(), diff.last_id);
                }
            }
        }
    }

    /// A frame of the new connection.
    pub fn on_new(&mut self, frame: &[u8]) {
        if let Ok(Message::Depth(diff)) = parse(frame, &mut self.levels)
            && !self.new.contains_key(diff.symbol)
        {
            self.new.insert(diff.symbol.to_owned(), diff.first_id);
        }
    }

    /// True when the new one goes on where the old one has come to, for every symbol that it has brought; false before it
    /// has brought any.
    pub fn is_complete(&self) -> bool {
        let reached = |(symbol, first): (&String, &u64)| {
            self.old.get(symbol).is_some_and(|last| last.saturating_add(1) >= *first)
        };
        !self.new.is_empty() && self.new.iter().all(reached)
    }

    /// Symbols that the new one has brought.
    pub fn symbols(&self) -> usize {
        self.new.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(symbol: &str, first: u64, last: u64) -> Vec<u8> {
        format!(r#"{{"e":"depthUpdate","E":1,"s":"{symbol}","U":{first},"u":{last},"b":[],"a":[]}}"#)
            .into_bytes()
    }

    #[test]
    fn the_old_one_must_reach_the_first_diff_of_the_new_one_for_every_symbol() {
        let mut overlap = Overlap::new();
        assert!(!overlap.is_complete(), "nothing has come");
        overlap.on_old(&diff("AUSDT", 1, 5));
        overlap.on_new(&diff("AUSDT", 8, 9));
        assert!(!overlap.is_complete(), "6 and 7 would be missing");
        overlap.on_new(&diff("AUSDT", 10, 12));
        overlap.on_old(&diff("AUSDT", 6, 7));
        assert!(overlap.is_complete(), "8 follows 7");
        overlap.on_new(&diff("BUSDT", 3, 3));
        assert!(!overlap.is_complete());
        overlap.on_old(&diff("BUSDT", 3, 3));
        overlap.on_old(b"{\"result\":null,\"id\":1}");
        assert!(overlap.is_complete());
        assert_eq!(overlap.symbols(), 2);
    }
}
