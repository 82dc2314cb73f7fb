//! What a venue refuses before it matches anything.
//!
//! Balance is not looked at here (`broker` asks the ledger), and what fills is not decided here (`liquidity`).

use crate::broker::Order;
use market::{Instrument, Refusal, Venue, Walk};

/// A venue's refusals. Open: random or measured rejections take this place.
pub trait RejectionModel {
    /// Why the venue refuses `order`, given what walking its displayed book yields for the whole quantity.
    ///
    /// # Errors
    /// The refusal.
    fn check(&self, order: &Order, instrument: &Instrument, displayed: &Walk) -> Result<(), Refusal>;
}

/// The venues' own rules: nothing displayed, Upbit's refusal of a market order (one without a limit) that is larger than
/// everything displayed, then quantity, lot and order value ([`Instrument::check`], at the displayed prices).
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
        instrument.check(order.quantity, displayed.notional)
    }
}
