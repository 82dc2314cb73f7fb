//! Liquidity memory: what paper orders took from a displayed level stays taken.
//!
//! A paper fill does not move the real book, so the same size would be displayed, and could be taken, again and again.
//! One memory per (venue, asset) therefore remembers, for each level that something was taken from, how much, and what
//! was displayed there last. When the display goes from `old` to `new`: a rise adds only the increment to what is
//! available; a fall reduces the memory by the fall; a true removal clears it; leaving the visible window keeps it. So
//! over any history the fills at a price never exceed its first displayed size plus the sum of its increments.
//!
//! An absent level was truly removed when its price is no worse than the worst level still displayed on its side, or when
//! the window is known not to be full ([`LiquidityMemory::with_window`]). A side without any level says nothing (a book
//! that is being rebuilt looks like that), so the memory is kept: in doubt, paper is not kinder than the market.

use journal::record::Taken;
use market::{Book, Money, Price, Quantity, Rounding, Side};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// What is left of a displayed book after our own fills. Open: other models of impact take this place.
pub trait LiquidityModel: Debug + Send + Sync {
    /// A model of the same kind for another book, with nothing taken.
    fn fresh(&self) -> Box<dyn LiquidityModel>;

    /// Takes note of the book: called after every change.
    fn on_book(&mut self, book: &Book);

    /// What is left at a level that displays `displayed`.
    fn left(&self, side: Side, price: Price, displayed: Quantity) -> Quantity;

    /// What an order would take, best level first, without taking it; `limit` is the worst price it accepts. Writes the
    /// levels into `out` (cleared first). `None` on overflow.
    fn plan(
        &self,
        book: &Book,
        side: Side,
        quantity: Quantity,
        limit: Option<Price>,
        out: &mut Vec<Taken>,
    ) -> Option<(Quantity, Money)>;

    /// Takes what was planned against the same book.
    fn commit(&mut self, side: Side, taken: &[Taken]);
}

/// A level with something taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Touched {
    price: Price,
    /// Never zero, never more than `displayed`.
    taken: Quantity,
    /// What was displayed when it was last visible.
    displayed: Quantity,
}

impl Touched {
    /// What stays taken when `now` is displayed.
    fn taken_at(&self, now: Quantity) -> Quantity {
        let fall = (self.displayed.0.saturating_sub(now.0)).max(0);
        Quantity(self.taken.0.saturating_sub(fall).max(0))
    }
}

/// The default model, see the module. Levels that nothing was taken from cost nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LiquidityMemory {
    /// Bids, asks; each ascending by price.
    sides: [Vec<Touched>; 2],
    /// How many levels the venue shows per side, when that is known.
    window: Option<usize>,
}

const fn index(side: Side) -> usize {
    match side {
        Side::Bid => 0,
        Side::Ask => 1,
    }
}

/// True when `price` is worse for the taker than `than`.
fn worse(side: Side, price: Price, than: Price) -> bool {
    match side {
        Side::Ask => price > than,
        Side::Bid => price < than,
    }
}

impl LiquidityMemory {
    /// Nothing taken, window unknown: a level beyond the worst displayed one has always left the window.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing taken, for a venue that shows `levels` levels per side: a side with fewer shows everything there is.
    pub fn with_window(levels: usize) -> Self {
        Self { window: Some(levels), ..Self::default() }
    }

    /// What it remembers of a side, as one fill would have taken it. A memory that was built from a journal's fills alone has
    /// seen the book at the fills only, and a fall that it did not see frees nothing: never kinder than the one that saw it.
    pub fn taken(&self, side: Side) -> Vec<Taken> {
        let row =
            |level: &Touched| Taken { price: level.price, quantity: level.taken, displayed: level.displayed };
        self.sides[index(side)].iter().map(row).collect()
    }

    /// Takes note of the book: call after every change of it.
    pub fn on_book(&mut self, book: &Book) {
        for side in [Side::Bid, Side::Ask] {
            let touched = &mut self.sides[index(side)];
            if touched.is_empty() {
                continue;
            }
            let Some(worst) = book.iter(side).next_back() else { continue };
            let complete = self.window.is_some_and(|levels| book.depth(side) < levels);
            touched.retain_mut(|level| {
                let now = book.quantity_at(side, level.price);
                if now.0 > 0 {
                    level.taken = level.taken_at(now);
                    level.displayed = now;
                    level.taken.0 > 0
                } else {
                    !complete && worse(side, level.price, worst.price)
                }
            });
        }
    }

    /// What is left at a price: displayed less what stays taken.
    pub fn available(&self, book: &Book, side: Side, price: Price) -> Quantity {
        self.left(side, price, book.quantity_at(side, price))
    }

    /// Takes up to `quantity` from `side`, best level first, down to and including `limit`. Writes the levels into `out`
    /// (cleared first) and returns quantity and notional, rounded per level against the taker (up when taking asks, down
    /// for bids). `None` on overflow, and then nothing is taken.
    pub fn take(
        &mut self,
        book: &Book,
        side: Side,
        quantity: Quantity,
        limit: Option<Price>,
        out: &mut Vec<Taken>,
    ) -> Option<(Quantity, Money)> {
        let total = self.plan(book, side, quantity, limit, out)?;
        self.commit(side, out);
        Some(total)
    }

    /// Number of levels remembered: a figure for tests and metrics.
    pub fn levels(&self) -> usize {
        self.sides.iter().map(Vec::len).sum()
    }
}

impl LiquidityModel for LiquidityMemory {
    fn fresh(&self) -> Box<dyn LiquidityModel> {
        // With room for what orders of usual size take, so that a fill allocates nothing.
        let room = || Vec::with_capacity(16);
        Box::new(Self { sides: [room(), room()], window: self.window })
    }

    fn on_book(&mut self, book: &Book) {
        Self::on_book(self, book);
    }

    fn left(&self, side: Side, price: Price, displayed: Quantity) -> Quantity {
        let touched = &self.sides[index(side)];
        match touched.binary_search_by_key(&price, |level| level.price) {
            Ok(i) => Quantity((displayed.0 - touched[i].taken_at(displayed).0).max(0)),
            Err(_) => displayed,
        }
    }

    fn plan(
        &self,
        book: &Book,
        side: Side,
        quantity: Quantity,
        limit: Option<Price>,
        out: &mut Vec<Taken>,
    ) -> Option<(Quantity, Money)> {
        let rounding = match side {
            Side::Ask => Rounding::Ceil,
            Side::Bid => Rounding::Floor,
        };
        out.clear();
        let mut left = quantity;
        let mut notional = Money::ZERO;
        for level in book.iter(side) {
            if left.0 <= 0 || limit.is_some_and(|limit| worse(side, level.price, limit)) {
                break;
            }
            let take = left.min(self.left(side, level.price, level.quantity));
            if take.0 <= 0 {
                continue;
            }
            notional = notional.checked_add(level.price.notional(take, rounding)?)?;
            left = left.checked_sub(take)?;
            out.push(Taken { price: level.price, quantity: take, displayed: level.quantity });
        }
        Some((quantity.checked_sub(left)?, notional))
    }

    fn commit(&mut self, side: Side, taken: &[Taken]) {
        let touched = &mut self.sides[index(side)];
        for level in taken {
            match touched.binary_search_by_key(&level.price, |known| known.price) {
                Ok(i) => {
                    let known = &mut touched[i];
                    // Bounded by `displayed`, so this cannot overflow.
                    known.taken =
                        Quantity(known.taken_at(level.displayed).0.saturating_add(level.quantity.0));
                    known.displayed = level.displayed;
                }
                Err(i) => touched.insert(
                    i,
                    Touched { price: level.price, taken: level.quantity, displayed: level.displayed },
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::{Level, SCALE};
    use proptest::prelude::*;

    fn q(units: i32) -> Quantity {
        Quantity::from_int(units)
    }

    fn p(units: i32) -> Price {
        Price::from_int(units)
    }

    fn asks(levels: &[(i32, i32)]) -> Book {
        let mut book = Book::new();
        let levels =
            levels.iter().map(|(price, quantity)| Level { price: p(*price), quantity: q(*quantity) });
        book.replace([Level { price: p(1), quantity: q(1) }], levels);
        book
    }

    proptest! {
        #[test]
        fn a_memory_of_the_fills_alone_is_never_kinder(
            steps in prop::collection::vec((0i32..30, 0i32..20), 1..40),
        ) {
            let (mut all, mut fills) = (LiquidityMemory::new(), LiquidityMemory::new());
            let mut taken = Vec::new();
            for (displayed, wanted) in steps {
                let levels = if displayed == 0 { vec![(101, 5)] } else { vec![(100, displayed), (101, 5)] };
                let book = asks(&levels);
                all.on_book(&book);
                all.take(&book, Side::Ask, q(wanted), Some(p(100)), &mut taken).unwrap();
                fills.commit(Side::Ask, &taken);
                prop_assert!(
                    fills.available(&book, Side::Ask, p(100)) <= all.available(&book, Side::Ask, p(100))
                );
            }
        }
    }

    /// What an order for everything at 100 gets.
    fn drain(memory: &mut LiquidityMemory, book: &Book) -> i128 {
        let mut out = Vec::new();
        memory.take(book, Side::Ask, q(1_000_000), Some(p(100)), &mut out).unwrap().0.0 / SCALE
    }

    #[test]
    fn walks_best_first_within_the_limit_and_rounds_against_the_taker() {
        let mut book = asks(&[(101, 5), (100, 10), (102, 7)]);
        let mut memory = LiquidityMemory::new();
        let mut out = Vec::new();
        let (quantity, notional) = memory.take(&book, Side::Ask, q(30), Some(p(101)), &mut out).unwrap();
        assert_eq!((quantity, notional), (q(15), Money::from_int(1_505)));
        assert_eq!(out[1], Taken { price: p(101), quantity: q(5), displayed: q(5) });
        assert_eq!(
            (memory.available(&book, Side::Ask, p(100)), memory.available(&book, Side::Ask, p(102))),
            (q(0), q(7))
        );
        // 0.00000003 at 0.5: 1.5e-8, up for a buyer, down for a seller.
        let half = Level { price: Price(SCALE as i64 / 2), quantity: Quantity(3) };
        book.replace([half], []);
        assert_eq!(memory.take(&book, Side::Bid, q(1), None, &mut out), Some((Quantity(3), Money(1))));
        book.replace([], [half]);
        assert_eq!(memory.take(&book, Side::Ask, q(1), None, &mut out), Some((Quantity(3), Money(2))));
        assert_eq!(memory.take(&book, Side::Ask, q(1), None, &mut out), Some((Quantity(0), Money(0))));
        assert!(out.is_empty());
    }

    #[test]
    fn identical_orders_share_what_is_displayed_at_one_instant_and_over_a_minute() {
        let mut memory = LiquidityMemory::new();
        let mut book = asks(&[(100, 5), (110, 1)]);
        let mut out = Vec::new();
        let mut one = |memory: &mut LiquidityMemory, book: &Book| {
            memory.take(book, Side::Ask, q(1), Some(p(100)), &mut out).unwrap().0.0 / SCALE
        };
        let at_once: i128 = (0..20).map(|_| one(&mut memory, &book)).sum();
        assert_eq!(at_once, 5);
        // A frame every 100 ms for a minute that shows the same 5 again: they are the ones that we have taken.
        let over_a_minute: i128 = (0..600)
            .map(|_| {
                memory.on_book(&book);
                one(&mut memory, &book)
            })
            .sum();
        assert_eq!(over_a_minute, 0);
        book.set(Side::Ask, p(100), q(7));
        memory.on_book(&book);
        let after_a_rise: i128 = (0..20).map(|_| one(&mut memory, &book)).sum();
        assert_eq!(after_a_rise, 2);
    }

    #[test]
    fn a_rise_adds_the_increment_and_a_fall_reduces_the_memory() {
        let mut memory = LiquidityMemory::new();
        let mut book = asks(&[(100, 10), (110, 1)]);
        assert_eq!(drain(&mut memory, &book), 10);
        for (displayed, expected) in [(10, 0), (13, 3), (13, 0), (4, 0), (10, 6), (10, 0)] {
            book.set(Side::Ask, p(100), q(displayed));
            memory.on_book(&book);
            assert_eq!(drain(&mut memory, &book), expected, "at {displayed}");
        }
        // Taken 4 of 10, then a fall by 6: it is taken to have been ours first.
        let mut memory = LiquidityMemory::new();
        book.set(Side::Ask, p(100), q(10));
        memory.take(&book, Side::Ask, q(4), None, &mut Vec::new()).unwrap();
        book.set(Side::Ask, p(100), q(4));
        memory.on_book(&book);
        assert_eq!((memory.levels(), drain(&mut memory, &book)), (0, 4));
    }

    #[test]
    fn a_removal_clears_and_leaving_the_window_keeps() {
        let full = [(100, 10), (101, 1), (102, 1)];
        let mut memory = LiquidityMemory::new();
        assert_eq!(drain(&mut memory, &asks(&full)), 10);
        // Better levels push it out of the window; an empty side says nothing: both keep.
        for seen in [asks(&[(98, 1), (99, 1)]), asks(&[]), Book::new()] {
            memory.on_book(&seen);
            memory.on_book(&asks(&full));
            assert_eq!(drain(&mut memory, &asks(&full)), 0);
        }
        // Worse levels are there, it is not: truly removed.
        memory.on_book(&asks(&full[1..]));
        memory.on_book(&asks(&full));
        assert_eq!(drain(&mut memory, &asks(&full)), 10);
        // A venue known to show three levels shows two: there is nothing beyond them.
        let mut memory = LiquidityMemory::with_window(3);
        assert_eq!(drain(&mut memory, &asks(&full)), 10);
        memory.on_book(&asks(&[(97, 1), (98, 1), (99, 1)]));
        assert_eq!(memory.levels(), 1);
        memory.on_book(&asks(&[(98, 1), (99, 1)]));
        assert_eq!(memory.levels(), 0);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set { ask: bool, price: i64, quantity: i128 },
        Window(usize),
        Rebuild(Vec<(i64, i128)>),
        Take { ask: bool, quantity: i128, limit: Option<i64>, times: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        let price = 1i64..9;
        prop_oneof![
            4 => (any::<bool>(), price.clone(), 0i128..20)
                .prop_map(|(ask, price, quantity)| Step::Set { ask, price, quantity }),
            1 => (0usize..6).prop_map(Step::Window),
            1 => prop::collection::vec((price.clone(), 0i128..20), 0..8).prop_map(Step::Rebuild),
            4 => (any::<bool>(), 1i128..30, prop::option::of(price), 1usize..4)
                .prop_map(|(ask, quantity, limit, times)| Step::Take { ask, quantity, limit, times }),
        ]
    }

    /// An independent count of what each price may give at most.
    #[derive(Default)]
    struct Budget {
        last: [[i128; 9]; 2],
        allowed: [[i128; 9]; 2],
        filled: [[i128; 9]; 2],
    }

    impl Budget {
        fn on_book(&mut self, book: &Book) {
            for (s, side) in [Side::Bid, Side::Ask].into_iter().enumerate() {
                let prices: Vec<i64> = book.iter(side).map(|level| level.price.0).collect();
                for price in 1..9 {
                    let now = book.quantity_at(side, Price(price)).0;
                    let last = &mut self.last[s][price as usize];
                    let inside = prices
                        .last()
                        .is_some_and(|worst| if s == 1 { price <= *worst } else { price >= *worst });
                    if now > 0 || inside {
                        self.allowed[s][price as usize] += (now - *last).max(0);
                        *last = now;
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn fills_never_exceed_first_display_plus_increments(steps in prop::collection::vec(step(), 1..120)) {
            let (mut book, mut memory, mut budget) = (Book::new(), LiquidityMemory::new(), Budget::default());
            let side_of = |ask| if ask { Side::Ask } else { Side::Bid };
            for step in steps {
                match step {
                    Step::Set { ask, price, quantity } => book.set(side_of(ask), Price(price), Quantity(quantity)),
                    Step::Window(keep) => book.prune(keep),
                    Step::Rebuild(levels) => {
                        let mut seen = std::collections::BTreeMap::new();
                        seen.extend(levels);
                        let levels = seen.iter().map(|(p, q)| Level { price: Price(*p), quantity: Quantity(*q) });
                        book.replace(levels.clone(), levels);
                    }
                    Step::Take { ask, quantity, limit, times } => {
                        let side = side_of(ask);
                        let mut instant = [0i128; 9];
                        for _ in 0..times {
                            let mut out = Vec::new();
                            let (got, _) = memory
                                .take(&book, side, Quantity(quantity), limit.map(Price), &mut out)
                                .unwrap();
                            prop_assert_eq!(got.0, out.iter().map(|t| t.quantity.0).sum::<i128>());
                            prop_assert!(got.0 <= quantity);
                            for taken in out {
                                let price = taken.price.0 as usize;
                                instant[price] += taken.quantity.0;
                                budget.filled[ask as usize][price] += taken.quantity.0;
                                prop_assert!(instant[price] <= taken.displayed.0);
                                prop_assert!(budget.filled[ask as usize][price] <= budget.allowed[ask as usize][price]);
                            }
                        }
                        continue;
                    }
                }
                memory.on_book(&book);
                budget.on_book(&book);
            }
        }
    }
}
