//! Values that both venues share: the reused level buffer, candles, tickers.

use crate::error::{FieldError, Problem};
use crate::scan::decimal;
use market::{Asset, Level, Money, Price, Quantity, Timestamp};

/// Where a parser puts levels; reused from frame to frame, so that the common path does not allocate.
///
/// The levels stand in the venue's order. Those of a diff keep zero quantities (zero removes); those of a whole book
/// of Upbit leave out the padding of a thin side (price 0).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LevelBuffer {
    /// Buyers' levels.
    pub bids: Vec<Level>,
    /// Sellers' levels.
    pub asks: Vec<Level>,
}

impl LevelBuffer {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self { bids: Vec::new(), asks: Vec::new() }
    }

    /// Removes every level, keeping the memory.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }
}

/// A candle, as far as anything here needs it. The newest one that a venue sends is usually still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candle {
    /// Open time.
    pub at: Timestamp,
    /// Closing price so far.
    pub close: Price,
}

/// One market's line of a venue's ticker list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticker {
    /// The base asset.
    pub asset: Asset,
    /// Price of the last trade.
    pub last: Price,
    /// Turnover of the last 24 hours in the quote currency, rounded down to 1e-8 (venues send more places).
    pub turnover_24h: Money,
}

/// A level of two spellings. `zero_price` says whether a price of zero is padding (Upbit) or an error (Binance).
///
/// A minus makes no sense with either, not even before a zero.
pub(crate) fn level(
    price: (&'static str, &[u8]),
    quantity: (&'static str, &[u8]),
    zero_price: bool,
) -> Result<Level, FieldError> {
    let value = match plain(price.1) {
        Some(value) => Price(value),
        None => Price::parse_bytes(price.1).map_err(|e| (price.0, e.into()))?,
    };
    if is_minus(price.1) || (value.is_zero() && !zero_price) {
        return Err((price.0, Problem::Sign));
    }
    let size = match plain(quantity.1) {
        Some(value) => Quantity(value.into()),
        None => Quantity::parse_bytes(quantity.1).map_err(|e| (quantity.0, e.into()))?,
    };
    if is_minus(quantity.1) {
        return Err((quantity.0, Problem::Sign));
    }
    Ok(Level { price: value, quantity: size })
}

fn is_minus(text: &[u8]) -> bool {
    text.first() == Some(&b'-')
}

/// The common spelling, in 64 bits; `None` leaves it to [`market::parse_scaled`].
fn plain(text: &[u8]) -> Option<i64> {
    decimal(text, 0).and_then(|(value, end)| (end == text.len()).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_short_way_gives_the_same_value(text in "[0-9]{0,12}(\\.[0-9]{0,10})?|[0-9.eE+-]{0,12}") {
            if let Some(value) = plain(text.as_bytes()) {
                proptest::prop_assert_eq!(market::parse_scaled(text.as_bytes()), Ok(i128::from(value)));
            }
        }
    }
}
