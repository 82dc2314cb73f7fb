//! Fees: what a venue takes from a fill, in which asset, and how much to order so that enough is left.
//!
//! One written rounding rule for both venues and every fee: a fee is rounded up to 1e-8 of the asset that it is taken in,
//! once per filled order. Rates are in hundredths of a basis point (`centibps`: 500 = 5 bps = 0.05 %). What does not live
//! here: moving balances (`ledger`), USD values (`ledger::PositionFlows`).

use market::{Asset, Money, Quantity, Rounding, Side, Venue};
use std::fmt::Debug;

/// Hundredths of a basis point in one.
const CENTIBPS: i128 = 1_000_000;

/// What venues charge. Open: a user's own schedule takes this place.
pub trait FeeModel: Debug + Send {
    /// The fee of a fill and the asset that it is taken in. `notional` is in the venue's quote. `None` on overflow.
    fn fee(
        &self,
        venue: Venue,
        takes: Side,
        asset: Asset,
        quantity: Quantity,
        notional: Money,
    ) -> Option<(Quantity, Asset)>;

    /// The smallest multiple of `lot` whose rest after a fee in the coin is at least `wanted`; `wanted` itself where buys
    /// pay no fee in the coin. `None` on overflow, a lot of zero or a fee of everything.
    fn gross_up(&self, venue: Venue, wanted: Quantity, lot: Quantity) -> Option<Quantity>;

    /// The taker rate in basis points: for edges, which are statistics.
    fn bps(&self, venue: Venue) -> f64;
}

/// Flat taker fees: Upbit in KRW on both sides, Binance in the received asset (coin on a buy, USDT on a sell).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakerFees {
    /// Upbit's rate, hundredths of a basis point.
    pub upbit_centibps: u32,
    /// Binance's rate, hundredths of a basis point.
    pub binance_centibps: u32,
}

impl TakerFees {
    fn rate(&self, venue: Venue) -> i128 {
        match venue {
            Venue::Upbit => self.upbit_centibps.into(),
            Venue::Binance => self.binance_centibps.into(),
        }
    }
}

/// Upbit 5 bps, Binance 10 bps: both venues' published taker rates without discounts.
impl Default for TakerFees {
    fn default() -> Self {
        Self { upbit_centibps: 500, binance_centibps: 1_000 }
    }
}

impl FeeModel for TakerFees {
    fn fee(
        &self,
        venue: Venue,
        takes: Side,
        asset: Asset,
        quantity: Quantity,
        notional: Money,
    ) -> Option<(Quantity, Asset)> {
        let (base, fee_asset) = match (venue, takes) {
            (Venue::Binance, Side::Ask) => (quantity, asset),
            (Venue::Upbit, _) | (Venue::Binance, Side::Bid) => (Quantity(notional.0), venue.quote()),
        };
        Some((base.ratio(self.rate(venue), CENTIBPS, Rounding::Ceil)?, fee_asset))
    }

    /// `g - ceil(g r) = floor(g (1 - r))` reaches a whole `wanted` exactly when `g >= wanted / (1 - r)`.
    fn gross_up(&self, venue: Venue, wanted: Quantity, lot: Quantity) -> Option<Quantity> {
        match venue {
            Venue::Upbit => Some(wanted),
            Venue::Binance => {
                let kept = CENTIBPS - self.rate(venue);
                if kept <= 0 {
                    return None;
                }
                wanted.ratio(CENTIBPS, kept, Rounding::Ceil)?.to_step(lot, Rounding::Ceil)
            }
        }
    }

    fn bps(&self, venue: Venue) -> f64 {
        self.rate(venue) as f64 / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn asset_and_rounding_of_each_fee() {
        let fees = TakerFees::default();
        let btc = Asset::new("BTC").unwrap();
        let (q, n) = (Quantity::parse("0.12345678").unwrap(), Money::parse("100.00000001").unwrap());
        // 100.00000001 x 0.0005 = 0.050000000005, rounded up.
        let krw = Quantity::parse("0.05000001").unwrap();
        assert_eq!(fees.fee(Venue::Upbit, Side::Ask, btc, q, n), Some((krw, Asset::KRW)));
        assert_eq!(fees.fee(Venue::Upbit, Side::Bid, btc, q, n), Some((krw, Asset::KRW)));
        // 0.12345678 x 0.001 = 0.00012345678, rounded up.
        assert_eq!(
            fees.fee(Venue::Binance, Side::Ask, btc, q, n),
            Some((Quantity::parse("0.00012346").unwrap(), btc))
        );
        assert_eq!(
            fees.fee(Venue::Binance, Side::Bid, btc, q, n),
            Some((Quantity::parse("0.10000001").unwrap(), Asset::USDT))
        );
        assert_eq!((fees.bps(Venue::Upbit), fees.bps(Venue::Binance)), (5.0, 10.0));
        let greedy = TakerFees { upbit_centibps: 0, binance_centibps: 1_000_000 };
        assert_eq!(greedy.gross_up(Venue::Binance, q, Quantity(1)), None);
    }

    proptest! {
        #[test]
        fn gross_up_is_the_smallest_lot_multiple_that_nets_enough(
            wanted in 1i128..1_000_000_000_000_000_000_000,
            lot in prop::sample::select(vec![1i128, 1_000, 10_000, 100_000_000, 100_000_000_000]),
            rate in 0u32..20_000,
        ) {
            let fees = TakerFees { upbit_centibps: 500, binance_centibps: rate };
            let asset = Asset::new("X").unwrap();
            let net = |g: Quantity| {
                g.0 - fees.fee(Venue::Binance, Side::Ask, asset, g, Money::ZERO).unwrap().0.0
            };
            let g = fees.gross_up(Venue::Binance, Quantity(wanted), Quantity(lot)).unwrap();
            prop_assert_eq!(g.0 % lot, 0);
            prop_assert!(net(g) >= wanted);
            prop_assert!(g.0 == lot || net(Quantity(g.0 - lot)) < wanted);
            prop_assert_eq!(fees.gross_up(Venue::Upbit, Quantity(wanted), Quantity(lot)), Some(Quantity(wanted)));
        }
    }
}
