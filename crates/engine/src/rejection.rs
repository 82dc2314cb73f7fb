//! What a venue refuses before it matches anything.
//!
//! Balance is not looked at here (`broker` asks the ledger), and what fills is not decided here (`liquidity`).

use crate::broker::Order;
use market::{Instrument, Refusal, Venue, Walk};
use std::fmt::Debug;

/// A venue's refusals. Open: random or measured rejections take this place.
pub trait RejectionModel: Debug + Send {
    /// Why the venue refuses `order`, given what walking its displayed book yields for the whole quantity.
    ///
    /// # Errors
    /// The refusal.
    fn check(&self, order: &Order, instrument: &Instrument, displayed: &Walk) -> Result<(), Refusal>;
}

/// The venues' own rules: nothing displayed, Upbit's refusal of a market order (one without a limit) that is larger than
/// everything displayed, a limit off the tick, then quantity, lot and order value ([`Instrument::check`], at the displayed
/// prices).
///
/// Left out, because they cannot bind here: Binance's `PERCENT_PRICE` and `PERCENT_PRICE_BY_SIDE` look at a limit order's
/// price against the average of five minutes and allow some 20 % at least, while our limits stand within `complete_bps` of
/// a price that was just displayed; `maxNotional` and Upbit's `max_total` are millions. Rules of an account (open orders,
/// order rate) are not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VenueRules;

impl RejectionModel for VenueRules {
    fn check(&self, order: &Order, instrument: &Instrument, displayed: &Walk) -> Result<(), Refusal> {
        if displayed.quantity.is_zero() && order.quantity.0 > 0 {
            return Err(Refusal::NoBook);
        }
        if order.venue == Venue::Upbit && order.limit.is_none() && displayed.quantity < order.quantity {
            return Err(Refusal::BeyondBook);
        }
        if order.limit.is_some_and(|limit| !instrument.tick.holds(limit)) {
            return Err(Refusal::OffTick);
        }
        instrument.check(order.quantity, displayed.notional)
    }
}
