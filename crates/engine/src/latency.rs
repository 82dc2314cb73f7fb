//! How long an order travels to a venue.
//!
//! The model is asked once per order. A model that draws must be seeded from inputs, so that a replay draws the same.

use market::Venue;
use std::time::Duration;

/// The way from the decision to the venue's matching engine. Open: measured round trips take this place.
pub trait LatencyModel {
    /// The one-way latency of the next order to `venue`.
    fn one_way(&mut self, venue: Venue) -> Duration;
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
    fn one_way(&mut self, venue: Venue) -> Duration {
        self.0[venue.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_venue_has_its_own() {
        let mut latency = ConstantLatency::default();
        assert_eq!(latency.one_way(Venue::Upbit), Duration::from_millis(60));
        assert_eq!(latency.one_way(Venue::Binance), Duration::from_millis(90));
    }
}
