//! The protocol rules, one table per rule.

use market::{Book, Level, Price, Quantity, Side, Timestamp};
use proptest::prelude::*;
use venues::LevelBuffer;
use venues::binance::sequencer::{BUFFER_LIMIT, Kind, Outcome, Sequencer, Why};
use venues::binance::wire::{DepthDiff, Snapshot};

fn diff(first_id: u64, last_id: u64, prev_id: Option<u64>) -> DepthDiff<'static> {
    DepthDiff { symbol: "BTCUSDT", first_id, last_id, prev_id, at: Timestamp(0) }
}

fn level(price: i32, quantity: i32) -> Level {
    Level { price: Price::from_int(price), quantity: Quantity::from_int(quantity) }
}

fn bid(price: i32, quantity: i32) -> LevelBuffer {
    LevelBuffer { bids: vec![level(price, quantity)], asks: vec![] }
}

struct Case {
    sequencer: Sequencer,
    book: Book,
}

impl Case {
    fn new(kind: Kind) -> Self {
        Self { sequencer: Sequencer::new(kind), book: Book::new() }
    }

    fn diff(&mut self, first: u64, last: u64) -> Outcome {
        self.diff_with(first, last, None, &bid(100, 1))
    }

    fn diff_with(&mut self, first: u64, last: u64, prev: Option<u64>, levels: &LevelBuffer) -> Outcome {
        self.sequencer.on_diff(&diff(first, last, prev), levels, &mut self.book)
    }

    fn snapshot(&mut self, last_update_id: u64) -> Outcome {
        let levels = LevelBuffer { bids: vec![level(90, 9)], asks: vec![level(110, 9)] };
        self.sequencer.on_snapshot(Snapshot { last_update_id }, &levels, &mut self.book)
    }
}

#[test]
fn rule_1_diffs_are_buffered_until_the_snapshot() {
    let mut case = Case::new(Kind::Spot);
    assert_eq!(case.diff(1, 5), Outcome::NeedSnapshot(Why::Start));
    assert_eq!(case.diff(6, 9), Outcome::Buffered);
    assert!(case.book == Book::new() && case.sequencer.buffered() == 2 && !case.sequencer.is_live());
    assert_eq!(case.snapshot(5), Outcome::Synced);
    assert_eq!((case.sequencer.last_id(), case.sequencer.buffered()), (Some(9), 0));
    assert_eq!(case.book.best(Side::Bid), Some(level(100, 1)));
    assert_eq!(case.book.best(Side::Ask), Some(level(110, 9)));
}

#[test]
fn rule_1_the_buffer_is_bounded() {
    let mut case = Case::new(Kind::Spot);
    let mut asked = 0;
    for id in 1..=(BUFFER_LIMIT as u64 * 3) {
        if case.diff(id, id) == Outcome::NeedSnapshot(Why::BufferFull) {
            asked += 1;
        }
        assert!(case.sequencer.buffered() <= BUFFER_LIMIT);
    }
    assert_eq!(asked, 4);
    assert_eq!(case.snapshot(BUFFER_LIMIT as u64), Outcome::NeedSnapshot(Why::SnapshotTooOld));
    assert_eq!(case.snapshot(BUFFER_LIMIT as u64 * 3), Outcome::Synced);
}

#[test]
fn rule_2_an_old_snapshot_is_refused_and_the_buffer_stays() {
    for kind in [Kind::Spot, Kind::UsdM] {
        let mut case = Case::new(kind);
        case.diff(100, 105);
        assert_eq!(case.snapshot(99), Outcome::NeedSnapshot(Why::SnapshotTooOld));
        assert_eq!(case.snapshot(50), Outcome::NeedSnapshot(Why::SnapshotTooOld));
        assert!(case.book == Book::new() && case.sequencer.buffered() == 1);
        assert_eq!(case.snapshot(100), Outcome::Synced);
        assert_eq!(case.sequencer.last_id(), Some(105));
    }
}

#[test]
fn rules_3_and_4_the_first_applied_diff_straddles_the_snapshot() {
    // (kind, diff, snapshot, is it applied)
    for (kind, first, last, snapshot, applied) in [
        (Kind::Spot, 1, 5, 5, false),
        (Kind::Spot, 1, 5, 4, true),
        (Kind::Spot, 5, 5, 5, false),
        (Kind::UsdM, 1, 5, 5, true),
        (Kind::UsdM, 1, 5, 6, false),
        (Kind::UsdM, 5, 9, 5, true),
    ] {
        let mut case = Case::new(kind);
        case.diff(first, last);
        assert_eq!(case.snapshot(snapshot), Outcome::Synced);
        let found = case.book.best(Side::Bid) == Some(level(100, 1));
        assert_eq!(found, applied, "{kind:?} {first}-{last} on {snapshot}");
    }
    // A snapshot that came before any diff: the next diff is the first.
    let mut case = Case::new(Kind::UsdM);
    assert_eq!(case.snapshot(10), Outcome::Synced);
    assert_eq!(case.diff_with(7, 9, Some(6), &bid(1, 1)), Outcome::Ignored);
    assert_eq!(case.diff_with(8, 12, Some(7), &bid(1, 1)), Outcome::Applied);
    assert_eq!(case.diff_with(13, 14, Some(12), &bid(1, 1)), Outcome::Applied);
    let mut case = Case::new(Kind::UsdM);
    assert_eq!(case.snapshot(10), Outcome::Synced);
    let gap = Why::Gap { expected: 10, got: 11 };
    assert_eq!(case.diff_with(11, 12, Some(10), &bid(1, 1)), Outcome::NeedSnapshot(gap));
}

#[test]
fn rule_5_repeated_and_late_diffs_are_ignored() {
    let mut case = Case::new(Kind::Spot);
    case.snapshot(10);
    assert_eq!(case.diff(11, 12), Outcome::Applied);
    let before = case.book.clone();
    assert_eq!(case.diff_with(11, 12, None, &bid(100, 7)), Outcome::Ignored);
    assert_eq!(case.diff_with(1, 9, None, &bid(100, 7)), Outcome::Ignored);
    assert!(case.book == before);
    // Overlapping, but with something new: applied.
    assert_eq!(case.diff_with(12, 13, None, &bid(100, 7)), Outcome::Applied);
    let mut case = Case::new(Kind::UsdM);
    case.snapshot(10);
    assert_eq!(case.diff_with(10, 12, Some(9), &bid(1, 1)), Outcome::Applied);
    assert_eq!(case.diff_with(10, 12, Some(9), &bid(1, 1)), Outcome::Ignored);
}

#[test]
fn rule_6_a_gap_starts_the_symbol_over() {
    let mut case = Case::new(Kind::Spot);
    case.snapshot(10);
    assert_eq!(case.diff(11, 12), Outcome::Applied);
    let gap = Why::Gap { expected: 13, got: 14 };
    assert_eq!(case.diff(14, 20), Outcome::NeedSnapshot(gap));
    assert!(case.book == Book::new() && !case.sequencer.is_live());
    assert_eq!(case.diff(21, 22), Outcome::Buffered);
    // The repair needs no further diff: what came behind the gap was kept.
    assert_eq!(case.snapshot(15), Outcome::Synced);
    assert_eq!(case.sequencer.last_id(), Some(22));

    let mut case = Case::new(Kind::UsdM);
    case.snapshot(10);
    assert_eq!(case.diff_with(9, 12, Some(8), &bid(1, 1)), Outcome::Applied);
    // Futures' ids jump; only `pu` counts.
    assert_eq!(case.diff_with(50, 60, Some(12), &bid(1, 1)), Outcome::Applied);
    let gap = Why::Gap { expected: 60, got: 65 };
    assert_eq!(case.diff_with(70, 80, Some(65), &bid(1, 1)), Outcome::NeedSnapshot(gap));
    // A diff without `pu` cannot be placed.
    case.snapshot(75);
    let gap = Why::Gap { expected: 80, got: 81 };
    assert_eq!(case.diff_with(81, 90, None, &bid(1, 1)), Outcome::NeedSnapshot(gap));
}

#[test]
fn rule_6_a_gap_inside_the_buffer_is_found() {
    let mut case = Case::new(Kind::Spot);
    case.diff(1, 5);
    case.diff(6, 9);
    case.diff(20, 25);
    case.diff(26, 27);
    let gap = Why::Gap { expected: 10, got: 20 };
    assert_eq!(case.snapshot(7), Outcome::NeedSnapshot(gap));
    assert!(case.book == Book::new() && case.sequencer.buffered() == 2);
    assert_eq!(case.snapshot(21), Outcome::Synced);
    assert_eq!(case.sequencer.last_id(), Some(27));
}

#[test]
fn rule_7_quantities_are_absolute() {
    let mut case = Case::new(Kind::Spot);
    case.snapshot(10);
    case.diff_with(11, 11, None, &bid(95, 3));
    case.diff_with(12, 12, None, &bid(95, 2));
    assert_eq!(case.book.best(Side::Bid), Some(level(95, 2)));
    case.diff_with(13, 13, None, &bid(95, 0));
    assert_eq!(case.book.best(Side::Bid), Some(level(90, 9)));
    assert_eq!(case.diff_with(14, 14, None, &bid(50, 0)), Outcome::Applied);
}

#[test]
fn rule_8_a_late_snapshot_is_ignored() {
    let mut case = Case::new(Kind::Spot);
    case.snapshot(10);
    case.diff(11, 12);
    let before = case.book.clone();
    assert_eq!(case.snapshot(11), Outcome::Ignored);
    assert!(case.book == before);
    case.sequencer.reset();
    assert!(!case.sequencer.is_live());
    assert_eq!(case.diff(30, 31), Outcome::NeedSnapshot(Why::Start));
}

#[test]
fn upbit_rules() {
    use venues::upbit::sequencer::{Fault, Outcome, Sequencer};
    let levels = |b: i32, a: i32| LevelBuffer { bids: vec![level(b, 1)], asks: vec![level(a, 1)] };
    let (mut sequencer, mut book) = (Sequencer::new(), Book::new());
    let mut frame = |ms, b, a| {
        let outcome = sequencer.on_frame(Timestamp::from_millis(ms), &levels(b, a), &mut book);
        (outcome, book.best(Side::Bid).map(|l| l.price), sequencer.ignored_in_a_row())
    };
    let price = |p| Some(Price::from_int(p));
    assert_eq!(frame(5, 10, 11), (Outcome::Applied, price(10), 0));
    assert_eq!(frame(5, 9, 11), (Outcome::Applied, price(9), 0));
    assert_eq!(frame(4, 8, 11), (Outcome::Ignored, price(9), 1));
    assert_eq!(frame(3, 8, 11), (Outcome::Ignored, price(9), 2));
    assert_eq!(frame(6, 12, 12), (Outcome::Broken(Fault::Crossed), price(12), 0));
    assert_eq!(frame(7, 10, 11), (Outcome::Applied, price(10), 0));
    sequencer.reset();
    assert_eq!(sequencer.newest(), None);
}

proptest! {
    /// Whatever is lost, repeated or reordered: a live book is the true book as of its last id.
    #[test]
    fn a_live_book_is_always_a_true_book(
        changes in proptest::collection::vec((1i32..20, 0i32..4), 1..60),
        faults in proptest::collection::vec(0u8..10, 60),
    ) {
        let truth = |upto: u64| {
            let mut book = Book::new();
            for (price, quantity) in changes.iter().take(upto as usize) {
                book.set(Side::Bid, Price::from_int(*price), Quantity::from_int(*quantity));
            }
            book
        };
        let whole = |upto: u64| {
            let book = truth(upto);
            LevelBuffer { bids: book.iter(Side::Bid).collect(), asks: vec![] }
        };
        let mut order: Vec<u64> = Vec::new();
        for id in 1..=changes.len() as u64 {
            match faults[id as usize - 1] {
                0 => {}
                1 => order.extend([id, id]),
                2 if !order.is_empty() => order.insert(order.len() - 1, id),
                _ => order.push(id),
            }
        }
        let mut case = Case::new(Kind::Spot);
        let mut highest = 0;
        for id in order {
            highest = highest.max(id);
            let (price, quantity) = changes[id as usize - 1];
            let outcome = case.diff_with(id, id, None, &bid(price, quantity));
            if let Outcome::NeedSnapshot(_) = outcome {
                let levels = whole(highest);
                case.sequencer.on_snapshot(Snapshot { last_update_id: highest }, &levels, &mut case.book);
            }
            if let Some(last) = case.sequencer.last_id() {
                prop_assert!(case.book == truth(last));
            }
        }
    }
}
