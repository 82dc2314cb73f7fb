//! How long the books of a symbol were trusted, and why not for the rest: a clock per condition.
//!
//! A condition holds from the input that brought it to the one that ended it. What a health rule finds late (a frozen venue
//! after ten seconds) is counted from the finding: before it the book was traded on.

use super::{BookState, BrokenWhy, Health, StaleWhy};
use journal::record::{BookCondition, TrustShares};
use market::{Asset, Timestamp, Venue};

/// Conditions.
pub const CONDITIONS: usize = BookCondition::ALL.len();

/// A book's condition from its state and its venue's health. A book that syncs for a second time is repaired, or fetched
/// again after its connection came back: `before` tells which.
pub fn condition(state: BookState, health: Health, before: BookCondition) -> BookCondition {
    use BookCondition as C;
    match state {
        BookState::Live => match health {
            Health::Frozen => C::VenueFrozen,
            Health::Down => C::VenueDown,
            Health::Healthy | Health::Degraded => C::Trusted,
        },
        BookState::Syncing => match before {
            C::Syncing => C::Syncing,
            C::Disconnected | C::Silent | C::Resyncing | C::Halted => C::Resyncing,
            _ => C::Repairing,
        },
        BookState::Stale(StaleWhy::Disconnected) => C::Disconnected,
        BookState::Stale(StaleWhy::Silent) => C::Silent,
        BookState::Stale(StaleWhy::TimeStopped) => C::TimeStopped,
        BookState::Stale(StaleWhy::Halted) => C::Halted,
        BookState::Broken(BrokenWhy::Crossed) => C::Crossed,
        BookState::Broken(BrokenWhy::OneSided) => C::OneSided,
    }
}

/// The clocks of one venue's book.
#[derive(Debug, Clone)]
struct Clock {
    now: BookCondition,
    ns: [i64; CONDITIONS],
}

/// The clocks of a symbol's books.
#[derive(Debug, Clone)]
pub struct Trust {
    from: Timestamp,
    since: Timestamp,
    both_ns: i64,
    venues: [Clock; 2],
    /// Before the last record.
    told_ns: i64,
    told_both_ns: i64,
}

impl Trust {
    /// From `at` on; both books wait for their first message.
    pub fn new(at: Timestamp) -> Self {
        let clock = Clock { now: BookCondition::Syncing, ns: [0; CONDITIONS] };
        Self { from: at, since: at, both_ns: 0, venues: [clock.clone(), clock], told_ns: 0, told_both_ns: 0 }
    }

    /// The condition of a venue's book.
    pub fn condition(&self, venue: Venue) -> BookCondition {
        self.venues[venue.index()].now
    }

    /// Lets the clocks run to `at`; gives the nanoseconds since they were looked at.
    pub fn advance(&mut self, at: Timestamp) -> i64 {
        let passed = at.since(self.since).max(0);
        if passed == 0 {
            return 0;
        }
        self.since = at;
        for clock in &mut self.venues {
            clock.ns[clock.now as usize] += passed;
        }
        if self.venues.iter().all(|clock| clock.now == BookCondition::Trusted) {
            self.both_ns += passed;
        }
        passed
    }

    /// From now on the venue's book is in this condition. The clocks must have run to this instant ([`Self::advance`]).
    pub fn set(&mut self, venue: Venue, condition: BookCondition) {
        self.venues[venue.index()].now = condition;
    }

    /// The times since the last call, as a record, with the clocks at the instant of the last [`Self::advance`]. `None` when no
    /// time has passed.
    pub fn take(&mut self, asset: Asset) -> Option<TrustShares> {
        let whole = self.since.since(self.from);
        if whole <= 0 {
            return None;
        }
        let [upbit, binance] = self.venues.each_mut().map(|clock| {
            let ns = std::mem::replace(&mut clock.ns, [0; CONDITIONS]);
            BookCondition::ALL.into_iter().zip(ns).filter(|(_, ns)| *ns > 0).collect()
        });
        let record = TrustShares { asset, from: self.from, both_ns: self.both_ns, upbit, binance };
        self.told_ns += whole;
        self.told_both_ns += self.both_ns;
        (self.from, self.both_ns) = (self.since, 0);
        Some(record)
    }

    /// The share of the time since the start for which both books were trusted, 0 to 1; `None` before any has passed.
    pub fn share(&self) -> Option<f64> {
        let whole = self.told_ns + self.since.since(self.from);
        (whole > 0).then(|| (self.told_both_ns + self.both_ns) as f64 / whole as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_venue_add_up_to_the_span() {
        let at = |s: i64| Timestamp::from_secs(1_000 + s);
        let mut trust = Trust::new(at(0));
        assert_eq!(trust.share(), None);
        for (s, venue, to) in [
            (2, Venue::Upbit, BookCondition::Trusted),
            (3, Venue::Binance, BookCondition::Trusted),
            (13, Venue::Upbit, BookCondition::Disconnected),
            (15, Venue::Upbit, BookCondition::Trusted),
        ] {
            trust.advance(at(s));
            trust.set(venue, to);
        }
        trust.advance(at(20));
        assert_eq!(trust.share(), Some(15.0 / 20.0));
        let record = trust.take(Asset::USDT).unwrap();
        assert_eq!((record.from, record.both_ns), (at(0), 15_000_000_000));
        for venue in Venue::ALL {
            assert_eq!(record.of(venue).values().sum::<i64>(), 20_000_000_000);
        }
        assert_eq!(record.upbit[&BookCondition::Disconnected], 2_000_000_000);
        assert_eq!(record.binance[&BookCondition::Syncing], 3_000_000_000);
        assert_eq!(trust.take(Asset::USDT), None);
        trust.advance(at(40));
        assert_eq!(trust.share(), Some(35.0 / 40.0));
    }

    #[test]
    fn a_book_that_syncs_again_says_why() {
        use BookCondition as C;
        let syncing = |before| condition(BookState::Syncing, Health::Healthy, before);
        assert_eq!(
            [C::Syncing, C::Trusted, C::Crossed, C::Disconnected, C::Resyncing].map(syncing),
            [C::Syncing, C::Repairing, C::Repairing, C::Resyncing, C::Resyncing]
        );
        assert_eq!(condition(BookState::Live, Health::Frozen, C::Trusted), C::VenueFrozen);
        assert_eq!(condition(BookState::Live, Health::Degraded, C::VenueDown), C::Trusted);
    }
}
