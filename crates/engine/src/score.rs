//! The route score of an intent, 0 to 100: `40 x edge room + 30 x venue health + 20 x fee room + 10 x inventory`, each 0 to 1
//! (engine.md 8). Pure formulas; when a score is asked for is the session's business.
//!
//! * Edge room: `edge / full edge`. The full edge is configured; the default is twice the entry threshold, so that an intent
//!   at the threshold has half of it.
//! * Venue health: the worse of both venues; healthy 1, degraded 0.5, down or frozen 0.
//! * Fee room: `(gap + level(opposite) - fees) / fees`, with the four taker fees of the round trip: 1 when the usual round
//!   trip pays its fees twice. Without fees it is 1 for anything above zero.
//! * Inventory: `1 - max(0, x)`, `x` the imbalance in the direction that the entry would worsen: 1 while it evens out.
//!
//! Example: edge 8 bps at a full edge of 10 (0.8), one venue degraded (0.5), gap 26 and opposite level 15 bps against fees
//! of 30 bps (11 / 30 = 0.3667), seven coins on the venue that buys and three on the other (x = 0.4, 0.6):
//! `40 x 0.8 + 30 x 0.5 + 20 x 0.3667 + 10 x 0.6 = 32 + 15 + 7.33 + 6 = 60.33`, which passes the default of 50.

use crate::market_state::Health;
use journal::record::Direction;
use market::{Quantity, Venue};

/// The weights of the parts, in the order of [`Parts`].
pub const WEIGHTS: [f64; 4] = [40.0, 30.0, 20.0, 10.0];

/// What a score is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inputs {
    /// Edge of the intent, basis points.
    pub edge_bps: f64,
    /// The edge at which the edge room is full, basis points.
    pub full_edge_bps: f64,
    /// The health of both venues.
    pub health: [Health; 2],
    /// Gap of the direction plus the level of the opposite one: what the usual round trip brings before fees, basis points.
    pub gross_bps: f64,
    /// The four taker fees, basis points.
    pub fees_bps: f64,
    /// The imbalance in the direction that the entry would worsen, -1 to 1 ([`worsening`]).
    pub imbalance: f64,
}

/// Edge room, venue health, fee room, inventory: each 0 to 1.
pub type Parts = [f64; 4];

/// The parts of a score. `None` when one of them is no number.
pub fn parts(inputs: &Inputs) -> Option<Parts> {
    let edge = inputs.edge_bps / inputs.full_edge_bps;
    let health = inputs.health.map(health_of).into_iter().fold(1.0, f64::min);
    let over = inputs.gross_bps - inputs.fees_bps;
    let fee = if inputs.fees_bps > 0.0 { over / inputs.fees_bps } else { f64::from(u8::from(over > 0.0)) };
    let inventory = 1.0 - inputs.imbalance.max(0.0);
    let parts = [edge, health, fee, inventory];
    // A part that is no number must not become the bound that it is clamped to; `max` above would hide an imbalance.
    let whole = parts.iter().chain([&over, &inputs.imbalance]).all(|part| part.is_finite());
    whole.then(|| parts.map(|part| part.clamp(0.0, 1.0)))
}

/// The score of its parts, 0 to 100.
pub fn score(parts: &Parts) -> f64 {
    parts.iter().zip(WEIGHTS).map(|(part, weight)| part * weight).sum()
}

const fn health_of(health: Health) -> f64 {
    match health {
        Health::Healthy => 1.0,
        Health::Degraded => 0.5,
        Health::Down | Health::Frozen => 0.0,
    }
}

/// Inventory imbalance of a symbol: coin on Upbit less coin on Binance over their sum, -1 to 1. Both sides are valued at one
/// price in one currency, so the price cancels and coins can be counted. 0 when there is none; `None` when a sum does not fit.
pub fn imbalance(upbit: Quantity, binance: Quantity) -> Option<f64> {
    let sum = upbit.0.checked_add(binance.0)?;
    let difference = upbit.0.checked_sub(binance.0)?;
    Some(if sum > 0 { difference as f64 / sum as f64 } else { 0.0 })
}

/// The imbalance as an entry of `direction` would worsen it: it adds coin where it buys.
pub fn worsening(imbalance: f64, direction: Direction) -> f64 {
    match direction.buys_on() {
        Venue::Upbit => imbalance,
        Venue::Binance => -imbalance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Inputs = Inputs {
        edge_bps: 8.0,
        full_edge_bps: 10.0,
        health: [Health::Healthy, Health::Degraded],
        gross_bps: 41.0,
        fees_bps: 30.0,
        imbalance: 0.4,
    };

    #[test]
    fn the_worked_example() {
        let found = parts(&GOOD).unwrap();
        assert_eq!(found.map(|part| (part * 1e4).round() / 1e4), [0.8, 0.5, 0.3667, 0.6]);
        assert_eq!((score(&found) * 100.0).round() / 100.0, 60.33);
    }

    #[test]
    fn parts_end_at_their_bounds_and_what_is_no_number_is_no_score() {
        let best =
            Inputs { edge_bps: 99.0, health: [Health::Healthy; 2], gross_bps: 99.0, imbalance: -1.0, ..GOOD };
        assert_eq!(score(&parts(&best).unwrap()), 100.0);
        let worst = Inputs {
            edge_bps: -9.0,
            health: [Health::Healthy, Health::Frozen],
            gross_bps: 9.0,
            imbalance: 1.0,
            ..GOOD
        };
        assert_eq!(score(&parts(&worst).unwrap()), 0.0);
        assert_eq!(parts(&Inputs { fees_bps: 0.0, ..GOOD }).unwrap()[2], 1.0);
        for broken in [f64::NAN, f64::INFINITY] {
            assert_eq!(parts(&Inputs { edge_bps: broken, ..GOOD }), None);
            assert_eq!(parts(&Inputs { gross_bps: broken, ..GOOD }), None);
            assert_eq!(parts(&Inputs { imbalance: broken, ..GOOD }), None);
        }
    }

    #[test]
    fn the_side_that_adds_to_the_heavier_venue_worsens() {
        let q = Quantity::from_int;
        let found = imbalance(q(7), q(3)).unwrap();
        assert_eq!(
            (worsening(found, Direction::BuyUpbit), worsening(found, Direction::BuyBinance)),
            (0.4, -0.4)
        );
        assert_eq!(imbalance(q(0), q(0)), Some(0.0));
        assert_eq!(imbalance(Quantity(i128::MAX), q(1)), None);
    }
}
