//! A ladder is a sorted map, whatever prices come.

use super::Ladder;
use crate::Side;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Set(i64, i128),
    Prune(usize),
    Replace(Vec<(i64, i128)>),
    Clear,
}

fn quantity() -> impl Strategy<Value = i128> {
    let great = prop_oneof![Just(i128::from(i64::MAX)), Just(i128::from(i64::MAX) - 1), Just(i128::MAX)];
    prop_oneof![40 => 1..5i128, 20 => Just(0), 1 => great, 1 => Just(-1)]
}

/// Few prices, so that levels come and go; steps of ten and strays between; the far ends of what a price can be.
fn price() -> impl Strategy<Value = i64> {
    let ends = prop_oneof![Just(i64::MAX), Just(i64::MIN), Just(0), Just(-7), Just(1), Just(i64::MAX - 10)];
    prop_oneof![
        600 => (10_000..10_700i64).prop_map(|p| p * 10),
        100 => (10_000..10_020i64).prop_map(|p| p * 10),
        20 => (0..100_000i64).prop_map(|p| p * 1_000),
        6 => (0..4_000_000_000i64).prop_map(|p| p * 10),
        1 => 100_000..107_000i64,
        1 => ends,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let set = (price(), quantity()).prop_map(|(p, q)| Step::Set(p, q));
    let levels = prop::collection::btree_map(price(), 1..5i128, 0..99);
    let replace = (levels, 0..3u8).prop_map(|(levels, order)| {
        let mut levels: Vec<_> = levels.into_iter().collect();
        match order {
            0 => levels.reverse(),
            1 => levels.sort_by_key(|(price, _)| price.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed())),
            _ => {}
        }
        Step::Replace(levels)
    });
    prop_oneof![400 => set, 2 => (0..400usize).prop_map(Step::Prune), 1 => replace, 1 => Just(Step::Clear)]
}

/// The same with the side's order in the key.
struct Oracle {
    side: Side,
    levels: BTreeMap<i64, i128>,
}

impl Oracle {
    const fn key(&self, price: i64) -> i64 {
        match self.side {
            Side::Bid => price,
            Side::Ask => !price,
        }
    }

    fn best_first(&self) -> Vec<(i64, i128)> {
        self.levels.iter().rev().map(|(key, quantity)| (self.key(*key), *quantity)).collect()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Set(price, quantity) if *quantity > 0 => {
                self.levels.insert(self.key(*price), *quantity);
            }
            Step::Set(price, _) => {
                self.levels.remove(&self.key(*price));
            }
            Step::Prune(keep) => {
                while self.levels.len() > *keep {
                    self.levels.pop_first();
                }
            }
            Step::Replace(levels) => {
                self.levels = levels.iter().map(|(price, quantity)| (self.key(*price), *quantity)).collect();
            }
            Step::Clear => self.levels.clear(),
        }
    }
}

fn apply(ladder: &mut Ladder, step: &Step) {
    match step {
        Step::Set(price, quantity) => ladder.set(*price, *quantity),
        Step::Prune(keep) => ladder.prune(*keep),
        Step::Replace(levels) => ladder.replace(levels.iter().copied()),
        Step::Clear => ladder.clear(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_ladder_is_a_sorted_map(
        side in prop_oneof![Just(Side::Bid), Just(Side::Ask)],
        steps in prop::collection::vec(step(), 0..3_000),
    ) {
        let mut ladder = Ladder::new(side);
        let mut oracle = Oracle { side, levels: BTreeMap::new() };
        for (i, step) in steps.iter().enumerate() {
            apply(&mut ladder, step);
            oracle.apply(step);
            if let Step::Set(price, _) = step {
                prop_assert_eq!(ladder.get(*price), oracle.levels.get(&oracle.key(*price)).copied());
            }
            prop_assert_eq!(ladder.len(), oracle.levels.len());
            let best = oracle.levels.last_key_value().map(|(key, quantity)| (oracle.key(*key), *quantity));
            prop_assert_eq!(ladder.best(), best);
            if i % 500 == 0 {
                prop_assert_eq!(ladder.iter().collect::<Vec<_>>(), oracle.best_first());
            }
        }
        let all = oracle.best_first();
        prop_assert!(ladder.iter().eq(all.iter().copied()));
        prop_assert!(ladder.iter().rev().eq(all.iter().rev().copied()));
        let mut both = ladder.iter();
        let (mut n, mut front) = (both.len(), true);
        while (if front { both.next() } else { both.next_back() }).is_some() {
            (n, front) = (n - 1, !front);
            prop_assert_eq!(both.len(), n);
        }
        prop_assert_eq!(n, 0);
    }

    /// The touch wanders far, as in a crash or a long session: the table follows, and the order holds.
    #[test]
    fn the_touch_may_wander(side in prop_oneof![Just(Side::Bid), Just(Side::Ask)], up in any::<bool>(), stride in 1..9_000i64) {
        let mut ladder = Ladder::new(side);
        let mut oracle = Oracle { side, levels: BTreeMap::new() };
        let mut middle = 4_000_000_000_i64;
        for i in 0..4_000_i64 {
            middle += if up { stride } else { -stride } * 16;
            for step in [Step::Set(middle + i % 5, 1), Step::Set(middle - i % 7, 2), Step::Prune(60)] {
                apply(&mut ladder, &step);
                oracle.apply(&step);
            }
            prop_assert_eq!(ladder.best(), oracle.best_first().first().copied());
        }
        prop_assert_eq!(ladder.iter().collect::<Vec<_>>(), oracle.best_first());
    }
}
