//! What a venue demands of an order: tick, lot, minimum.

use crate::{Asset, Money, Price, Quantity, Side, Venue};
use serde::{Deserialize, Serialize};

/// Upbit's KRW ticks since 2025-07-31, `(from this price on, tick)`, highest first. A fallback only: the venue's
/// `/v1/orderbook/instruments` names per-pair exceptions.
pub const KRW_TICKS: [(Price, Price); 16] = [
    (Price(1_000_000 * S), Price(1_000 * S)),
    (Price(500_000 * S), Price(500 * S)),
    (Price(100_000 * S), Price(100 * S)),
    (Price(50_000 * S), Price(50 * S)),
    (Price(10_000 * S), Price(10 * S)),
    (Price(5_000 * S), Price(5 * S)),
    (Price(1_000 * S), Price(S)),
    (Price(100 * S), Price(S)),
    (Price(10 * S), Price(S / 10)),
    (Price(S), Price(S / 100)),
    (Price(S / 10), Price(S / 1_000)),
    (Price(S / 100), Price(S / 10_000)),
    (Price(S / 1_000), Price(S / 100_000)),
    (Price(S / 10_000), Price(S / 1_000_000)),
    (Price(S / 100_000), Price(S / 10_000_000)),
    (Price(0), Price(1)),
];
const S: i64 = 100_000_000;

/// The tick of Upbit's KRW market at `price`.
pub fn upbit_krw_tick(price: Price) -> Price {
    KRW_TICKS.iter().find(|(from, _)| price >= *from).map_or(Price(1), |(_, tick)| *tick)
}

/// How prices are quantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TickRule {
    /// One tick at every price.
    Fixed(Price),
    /// Upbit's KRW bands (`KRW_TICKS`).
    KrwBands,
}

impl TickRule {
    /// The tick at `price`.
    pub fn at(self, price: Price) -> Price {
        match self {
            Self::Fixed(tick) => tick,
            Self::KrwBands => upbit_krw_tick(price),
        }
    }

    /// True when an order may name `price`. A tick of zero is no rule.
    pub fn holds(self, price: Price) -> bool {
        let tick = self.at(price);
        tick.0 <= 0 || price.0 % tick.0 == 0
    }

    /// The nearest price on the tick that is no worse than `price` for who takes `side`: down for a buyer, up for a seller.
    /// `None` where that is no price.
    pub fn within(self, side: Side, price: Price) -> Option<Price> {
        let tick = self.at(price);
        if tick.0 <= 0 {
            return Some(price);
        }
        let down = price.0.div_euclid(tick.0).checked_mul(tick.0)?;
        let rounded = match side {
            Side::Bid if down < price.0 => down.checked_add(tick.0)?,
            Side::Bid | Side::Ask => down,
        };
        (rounded > 0).then_some(Price(rounded))
    }
}

/// One market of one venue, with the rules an order must obey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Instrument {
    /// The venue.
    pub venue: Venue,
    /// The base asset.
    pub asset: Asset,
    /// The venue's own code: `KRW-BTC`, `BTCUSDT`.
    pub code: String,
    /// Price quantisation.
    pub tick: TickRule,
    /// Quantity step (Binance LOT_SIZE; 1e-8 on Upbit).
    pub lot: Quantity,
    /// Smallest quantity, 0 when there is none.
    pub min_quantity: Quantity,
    /// Largest quantity of a market order.
    pub max_quantity: Quantity,
    /// Smallest order value in the quote currency (5 000 KRW; NOTIONAL).
    pub min_notional: Money,
}

/// Why a venue would refuse an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Below the smallest quantity.
    #[error("below the smallest quantity")]
    BelowMinQuantity,
    /// Above the largest quantity.
    #[error("above the largest quantity")]
    AboveMaxQuantity,
    /// Not a multiple of the lot.
    #[error("not a multiple of the lot")]
    OffLot,
    /// A limit that is not a multiple of the tick.
    #[error("a limit off the tick")]
    OffTick,
    /// Worth less than the smallest order value.
    #[error("below the smallest order value")]
    BelowMinNotional,
    /// Larger than everything displayed (Upbit refuses such market orders outright).
    #[error("larger than the displayed book")]
    BeyondBook,
    /// The paper balance does not cover it.
    #[error("insufficient balance")]
    InsufficientBalance,
    /// There is no book to fill against.
    #[error("no live book")]
    NoBook,
    /// What the book shows within the order's limit was taken by our own fills before.
    #[error("nothing left within the limit, or our own fills took what the book shows")]
    NothingLeft,
}

impl Instrument {
    /// Checks a market order of `quantity` worth about `notional`.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, quantity: Quantity, notional: Money) -> Result<(), Refusal> {
        if quantity < self.min_quantity || quantity.0 <= 0 {
            return Err(Refusal::BelowMinQuantity);
        }
        if self.max_quantity.0 > 0 && quantity > self.max_quantity {
            return Err(Refusal::AboveMaxQuantity);
        }
        if self.lot.0 > 0 && quantity.0 % self.lot.0 != 0 {
            return Err(Refusal::OffLot);
        }
        if notional < self.min_notional {
            return Err(Refusal::BelowMinNotional);
        }
        Ok(())
    }
}

/// A member of the universe: one asset, tradable on both venues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The asset.
    pub asset: Asset,
    /// Its market on Upbit (KRW).
    pub upbit: Instrument,
    /// Its market on Binance (USDT).
    pub binance: Instrument,
    /// The smaller of the two 24 h turnovers, in USDT.
    pub turnover_usdt: Money,
}

impl Member {
    /// The instrument on `venue`.
    pub fn instrument(&self, venue: Venue) -> &Instrument {
        match venue {
            Venue::Upbit => &self.upbit,
            Venue::Binance => &self.binance,
        }
    }
}
