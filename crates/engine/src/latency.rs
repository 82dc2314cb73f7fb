//! How long an order travels to a venue.
//!
//! The model is asked once per order. A model that draws must draw the same in a replay, and in a session that comes back
//! after a kill: [`MeasuredLatency`] draws from round trips that are inputs of the log, by a generator whose stream is the
//! order's id, so that a draw depends on the seed, the order and the measurements and on nothing that was drawn before.

use market::Venue;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Duration;

/// The way from the decision to the venue's matching engine. Open: a user's own model takes this place.
pub trait LatencyModel: Debug + Send {
    /// The one-way latency of order `order` (1, 2, 3, ... within the run) to `venue`.
    fn one_way(&mut self, venue: Venue, order: u64) -> Duration;

    /// A request to `venue` was answered after this long. Models that do not measure leave it.
    fn on_round_trip(&mut self, _venue: Venue, _round_trip: Duration) {}
}

/// A constant per venue, in the order of [`Venue::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConstantLatency(pub [Duration; 2]);

/// Upbit 60 ms, Binance 90 ms one way.
impl Default for ConstantLatency {
    fn default() -> Self {
        Self([Duration::from_millis(60), Duration::from_millis(90)])
    }
}

impl LatencyModel for ConstantLatency {
    fn one_way(&mut self, venue: Venue, _order: u64) -> Duration {
        self.0[venue.index()]
    }
}

/// Measured round trips that are kept per venue: at one measurement every few seconds some ten minutes.
const KEPT: usize = 256;

/// Half of a round trip drawn, each alike, from the newest [`KEPT`] that were measured to the venue; the constant while
/// none was. What is measured is the way of public requests: an order's own way through a venue's gateway is not public.
#[derive(Debug, Clone)]
pub struct MeasuredLatency {
    seed: u64,
    until_measured: ConstantLatency,
    round_trips: [VecDeque<Duration>; 2],
}

impl MeasuredLatency {
    /// Nothing measured yet.
    pub fn new(seed: u64, until_measured: ConstantLatency) -> Self {
        Self { seed, until_measured, round_trips: [(); 2].map(|()| VecDeque::with_capacity(KEPT)) }
    }
}

impl LatencyModel for MeasuredLatency {
    fn one_way(&mut self, venue: Venue, order: u64) -> Duration {
        let measured = &self.round_trips[venue.index()];
        if measured.is_empty() {
            return self.until_measured.one_way(venue, order);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(order);
        measured[rng.random_range(0..measured.len())] / 2
    }

    fn on_round_trip(&mut self, venue: Venue, round_trip: Duration) {
        let measured = &mut self.round_trips[venue.index()];
        if measured.len() >= KEPT {
            measured.pop_front();
        }
        measured.push_back(round_trip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_venue_has_its_own() {
        let mut latency = ConstantLatency::default();
        assert_eq!(latency.one_way(Venue::Upbit, 1), Duration::from_millis(60));
        assert_eq!(latency.one_way(Venue::Binance, 2), Duration::from_millis(90));
    }

    #[test]
    fn draws_come_from_what_was_measured_and_depend_on_seed_and_order_alone() {
        let ms = Duration::from_millis;
        let of = |seed: u64| {
            let mut latency = MeasuredLatency::new(seed, ConstantLatency::default());
            assert_eq!(latency.one_way(Venue::Upbit, 1), ms(60), "nothing was measured");
            for round_trip in 0..300 {
                latency.on_round_trip(Venue::Upbit, ms(round_trip));
            }
            assert_eq!(latency.one_way(Venue::Binance, 1), ms(90), "nothing was measured there");
            latency
        };
        let mut a = of(7);
        let draws: Vec<Duration> = (1..=200).map(|order| a.one_way(Venue::Upbit, order)).collect();
        // The oldest 44 of the 300 are forgotten.
        assert!(draws.iter().all(|way| *way >= ms(22) && *way < ms(150)), "{draws:?}");
        let distinct: std::collections::BTreeSet<_> = draws.iter().collect();
        assert!(distinct.len() > 80, "{}", distinct.len());
        let mut again = of(7);
        let backwards: Vec<Duration> = (1..=200).rev().map(|o| again.one_way(Venue::Upbit, o)).collect();
        assert_eq!(draws, backwards.into_iter().rev().collect::<Vec<_>>(), "in any order of asking");
        let mut other = of(8);
        assert_ne!(draws, (1..=200).map(|o| other.one_way(Venue::Upbit, o)).collect::<Vec<_>>());
    }
}
