//! What a position's fills brought, exactly: the rules of docs/money.md ("The result of a position"), without the engine.

use super::exact::{dollars_down, dollars_up, down, up};
use journal::record::Purpose;
use market::{SCALE, Venue};

/// A fill, amounts in units of 1e-8.
#[derive(Debug, Clone)]
pub(super) struct Leg {
    pub purpose: Purpose,
    pub venue: Venue,
    pub buys: bool,
    pub quantity: i128,
    pub notional: i128,
    pub fee: i128,
    pub fee_in_base: bool,
    pub rate: i128,
}

impl Leg {
    /// By how much it changes the coin.
    pub(super) fn coin(&self) -> Option<i128> {
        let coin = if self.buys { self.quantity } else { self.quantity.checked_neg()? };
        coin.checked_sub(if self.fee_in_base { self.fee } else { 0 })
    }

    /// By how much it changes the quote.
    pub(super) fn quote(&self) -> Option<i128> {
        let quote = if self.buys { self.notional.checked_neg()? } else { self.notional };
        quote.checked_sub(if self.fee_in_base { 0 } else { self.fee })
    }

    /// Its fee in the quote: a fee in coin at the fill's average price, rounded up.
    fn fee_in_quote(&self) -> Option<i128> {
        if !self.fee_in_base {
            return Some(self.fee);
        }
        up(self.notional.checked_mul(self.fee)?, self.quantity)
    }

    /// Average price.
    pub(super) fn price(&self) -> i128 {
        if self.quantity == 0 { 0 } else { self.notional.saturating_mul(SCALE) / self.quantity }
    }
}

/// USD, units of 1e-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    pub gross: i128,
    pub fees: i128,
    pub net: i128,
}

/// The result of fills in their order. `None` when a figure does not fit, or a quantity or a rate is not positive.
pub(super) fn outcome(legs: &[Leg]) -> Option<Outcome> {
    let (mut net, mut fees) = (0i128, 0i128);
    for leg in legs {
        net = net.checked_add(dollars_down(leg.venue, leg.quote()?, leg.rate)?)?;
        fees = fees.checked_add(dollars_up(leg.venue, leg.fee_in_quote()?, leg.rate)?)?;
    }
    for venue in Venue::ALL {
        let here = || legs.iter().filter(|leg| leg.venue == venue);
        let Some(last) = here().next_back() else { continue };
        let mut left = 0i128;
        for leg in here() {
            left = left.checked_add(leg.coin()?)?;
        }
        // What is left counts at the price of the venue's last fill.
        let worth = down(last.notional.checked_mul(left)?, last.quantity)?;
        net = net.checked_add(dollars_down(venue, worth, last.rate)?)?;
    }
    Some(Outcome { gross: net.checked_add(fees)?, fees, net })
}
