//! The clocks of the trust report: moved whenever a book's state or a venue's health may have changed, recorded each minute.

use crate::core::Core;
use crate::market_state::{Trust, condition};
use journal::Body;
use journal::record::BookCondition;
use market::Venue;

impl Core {
    /// Looks at the condition of a book of a symbol.
    pub(crate) fn track(&mut self, i: usize, venue: Venue) {
        let symbol = &mut self.symbols[i];
        let Some(trust) = &mut symbol.trust else { return };
        let before = trust.condition(venue);
        let state = symbol.books[venue.index()].state;
        let now = condition(state, self.health_now[venue.index()], before);
        if now != before {
            let conditions = Venue::ALL.map(|venue| trust.condition(venue));
            let passed = trust.advance(self.now);
            trust.set(venue, now);
            self.count_time(conditions, passed);
        }
    }

    /// The same of every book, and lets all clocks run to this instant.
    pub(crate) fn track_all(&mut self) {
        for i in 0..self.symbols.len() {
            for venue in Venue::ALL {
                self.track(i, venue);
            }
            self.run_clocks(i);
        }
    }

    fn run_clocks(&mut self, i: usize) {
        let Some(trust) = &mut self.symbols[i].trust else { return };
        let conditions = Venue::ALL.map(|venue| trust.condition(venue));
        let passed = trust.advance(self.now);
        self.count_time(conditions, passed);
    }

    fn count_time(&mut self, conditions: [BookCondition; 2], passed: i64) {
        for (venue, condition) in self.view.venues.iter_mut().zip(conditions) {
            venue.book_ns[condition as usize] += passed;
        }
    }

    /// Begins to watch a symbol's books.
    pub(crate) fn watch_books(&mut self, i: usize) {
        let now = self.now;
        self.symbols[i].trust.get_or_insert_with(|| Trust::new(now));
    }

    /// Writes the times since the last record of each symbol.
    pub(crate) fn record_trust(&mut self) {
        self.track_all();
        for i in 0..self.symbols.len() {
            self.record_trust_of(i);
        }
    }

    pub(crate) fn record_trust_of(&mut self, i: usize) {
        self.run_clocks(i);
        let symbol = &mut self.symbols[i];
        let asset = symbol.member.asset;
        if let Some(shares) = symbol.trust.as_mut().and_then(|trust| trust.take(asset)) {
            self.record(Body::Trust(Box::new(shares)));
        }
    }
}
