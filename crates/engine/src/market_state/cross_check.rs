//! Is a book that passed every sequence check the venue's book all the same? The venue's own best quotes (`bookTicker`), which
//! come beside the diffs, say so.
//!
//! A quote carries the id of the change that it belongs to. After a diff that ends at id `u` the book's touch is the newest
//! quote with an id up to `u`. Quotes overtake diffs, which are sent every 100 ms, so those with later ids wait; a late quote
//! makes a difference that is gone a moment later. So only a difference that lasts counts: over several comparisons without
//! one that fits, or quotes that go on while the diffs of their symbol have stopped.

use market::{Book, Level, Side, Timestamp};
use std::collections::VecDeque;
use venues::binance::wire::BookTicker;

/// Quotes that wait for their diff; beyond it there is no comparison until the diffs have caught up.
const WAITING: usize = 256;
/// Comparisons without one that fits, before a difference can count as lasting.
const COMPARISONS: u32 = 3;

#[derive(Debug, Clone, Copy)]
struct Quote {
    id: u64,
    touch: [Level; 2],
}

/// The comparison of one book with its quotes.
#[derive(Debug, Clone, Default)]
pub struct CrossCheck {
    waiting: VecDeque<Quote>,
    /// The newest quote that the book should show.
    current: Option<Quote>,
    newest: u64,
    /// Quotes were dropped: nothing is compared until the diffs have caught up.
    blind: bool,
    wrong_since: Option<Timestamp>,
    compared: u32,
    ahead_since: Option<Timestamp>,
}

impl CrossCheck {
    /// Takes a quote. `last_id`: that of the book, while it is live.
    pub fn on_quote(&mut self, quote: &BookTicker<'_>, last_id: Option<u64>, book: &Book, now: Timestamp) {
        if quote.update_id <= self.newest {
            return;
        }
        self.newest = quote.update_id;
        let quote = Quote { id: quote.update_id, touch: [quote.bid, quote.ask] };
        if last_id.is_some_and(|last| quote.id <= last) {
            self.current = Some(quote);
            self.compare(book, now);
            return;
        }
        if self.waiting.len() >= WAITING {
            self.waiting.clear();
            self.blind = true;
        }
        if last_id.is_some() {
            self.ahead_since.get_or_insert(now);
        }
        self.waiting.push_back(quote);
    }

    /// The book has come to `last_id`.
    pub fn on_book(&mut self, last_id: u64, book: &Book, now: Timestamp) {
        while let Some(quote) = self.waiting.front().copied().filter(|quote| quote.id <= last_id) {
            self.waiting.pop_front();
            self.current = Some(quote);
            self.blind = false;
        }
        self.ahead_since = if self.waiting.is_empty() { None } else { Some(now) };
        self.compare(book, now);
    }

    fn compare(&mut self, book: &Book, now: Timestamp) {
        let Some(quote) = self.current.filter(|_| !self.blind) else { return };
        let shown = [Side::Bid, Side::Ask].map(|side| book.best(side));
        // An empty side is quoted as zero.
        let fits = quote.touch.iter().zip(shown).all(|(quoted, shown)| match shown {
            Some(level) => level == *quoted,
            None => quoted.quantity.is_zero(),
        });
        if fits {
            (self.wrong_since, self.compared) = (None, 0);
        } else {
            self.wrong_since.get_or_insert(now);
            self.compared = self.compared.saturating_add(1);
        }
    }

    /// What is wrong with the book, when it has been wrong for `limit_ns`.
    pub fn lasting(&self, now: Timestamp, limit_ns: i64) -> Option<&'static str> {
        let over = |since: Option<Timestamp>| since.is_some_and(|since| now.since(since) >= limit_ns);
        if over(self.wrong_since) && self.compared >= COMPARISONS && !self.blind {
            Some("its touch differs from the venue's best quotes")
        } else if over(self.ahead_since) {
            Some("its diffs stopped while the venue's best quotes go on")
        } else {
            None
        }
    }

    /// The book starts over: what was compared is of no use any more. Quotes that wait for their diff stay.
    pub fn reset(&mut self) {
        self.current = None;
        (self.wrong_since, self.compared, self.ahead_since) = (None, 0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market::{Price, Quantity};

    const SECOND: i64 = 1_000_000_000;

    fn level(price: i64, quantity: i128) -> Level {
        Level { price: Price(price), quantity: Quantity(quantity) }
    }

    fn quote(id: u64, bid: i64, ask: i64) -> BookTicker<'static> {
        BookTicker { symbol: "AUSDT", update_id: id, bid: level(bid, 5), ask: level(ask, 5) }
    }

    fn book(bid: i64, ask: i64) -> Book {
        let mut book = Book::new();
        book.replace([level(bid, 5)], [level(ask, 5)]);
        book
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn quotes_that_overtake_their_diffs_are_no_difference() {
        let mut check = CrossCheck::default();
        let mut shown = book(10, 12);
        for step in 1..=100u64 {
            let (now, bid) = (at(step as i64 * 100), 10 + step as i64);
            // Two quotes come before the diff that holds both changes.
            check.on_quote(&quote(step * 2, bid + 50, bid + 52), Some(step * 2 - 1), &shown, now);
            check.on_quote(&quote(step * 2 + 1, bid, bid + 2), Some(step * 2 - 1), &shown, now);
            shown = book(bid, bid + 2);
            check.on_book(step * 2 + 1, &shown, now);
            assert_eq!(check.lasting(now, 0), None, "{step}");
        }
    }

    #[test]
    fn a_late_quote_is_a_difference_that_passes() {
        let mut check = CrossCheck::default();
        check.on_quote(&quote(1, 10, 12), Some(1), &book(10, 12), at(0));
        let shown = book(11, 12);
        (1..=5).for_each(|i| check.on_book(2 + i, &shown, at(i as i64)));
        assert!(check.lasting(at(5), 0).is_some());
        check.on_quote(&quote(2, 11, 12), Some(7), &shown, at(6));
        assert_eq!(check.lasting(at(9_000), 0), None);
        check.on_quote(&quote(1, 99, 100), Some(7), &shown, at(7));
        assert_eq!(check.lasting(at(9_000), 0), None, "an older quote says nothing");
    }

    #[test]
    fn a_difference_that_lasts_is_found_and_forgotten_with_the_book() {
        let mut check = CrossCheck::default();
        for i in 1..=40 {
            check.on_quote(&quote(i, 10, 12), Some(i - 1), &book(10, 13), at(i as i64 * 100));
            check.on_book(i, &book(10, 13), at(i as i64 * 100));
        }
        assert_eq!(check.lasting(at(3_000), 3 * SECOND), None);
        assert_eq!(
            check.lasting(at(3_100), 3 * SECOND),
            Some("its touch differs from the venue's best quotes")
        );
        check.reset();
        assert_eq!(check.lasting(at(60_000), 0), None);
    }

    #[test]
    fn diffs_that_stop_are_found_by_the_quotes() {
        let mut check = CrossCheck::default();
        check.on_book(1, &book(10, 12), at(0));
        for i in 2..=600 {
            check.on_quote(&quote(i, 10, 12), Some(1), &book(10, 12), at(i as i64 * 10));
        }
        assert_eq!(check.lasting(at(3_019), 3 * SECOND), None);
        assert!(check.lasting(at(3_020), 3 * SECOND).unwrap().contains("diffs stopped"));
        check.on_book(600, &book(10, 12), at(7_000));
        assert_eq!(check.lasting(at(60_000), 0), None);
    }
}
