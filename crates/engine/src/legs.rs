//! The two-leg state machine of a position (engine.md 6): what to do next, given what has been filled.
//!
//! ```text
//! Entering --both filled--> Open --exit decided--> Exiting --flat--> closed
//!    | one leg ahead: complete the other (within time and price), else unwind the excess
//!    | nothing filled, or everything undone --> unwound
//! ```
//! Quantities are net changes of coin per venue, so that a fee taken in coin is part of them. An amount that no venue would
//! take as an order (below a lot, below the smallest value) counts as filled. Orders themselves are the broker's.

use crate::config::Config;
use crate::ledger::PositionFlows;
use crate::strategy::orderable;
use journal::record::{Direction, ExitReason, Purpose};
use market::{Asset, FxRate, Member, Money, Price, Quantity, Rounding, Side, Timestamp, Venue};
use serde::{Deserialize, Serialize};

/// Where a position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Entry orders, completions or unwinds are on their way.
    Entering,
    /// Both legs are filled.
    Open,
    /// On the way out.
    Exiting,
}

/// The figures of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// Base quantity per leg.
    pub quantity: Quantity,
    /// Value of a leg, USD.
    pub notional_usd: Money,
    /// Average executable price per venue in its own currency: bounds of a completion are measured from here.
    pub prices: [Price; 2],
    /// What the entry should bring: sale minus purchase, USD.
    pub gross_usd: Money,
    /// Gap, basis points.
    pub gap_bps: f64,
    /// Edge, basis points.
    pub edge_bps: f64,
    /// Level of the direction.
    pub level_bps: f64,
}

/// A position, from the decision to enter on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Id, unique within the run.
    pub id: u64,
    /// Index of its symbol.
    pub symbol: usize,
    /// Asset.
    pub asset: Asset,
    /// Direction.
    pub direction: Direction,
    /// Where it is.
    pub phase: Phase,
    /// The decision.
    pub decided: Decided,
    /// Net change of coin per venue.
    pub held: [Quantity; 2],
    /// Net cash flow per venue in USD at the rates of the fills, fees included.
    pub cash_usd: [Money; 2],
    /// Gross, fees and net.
    pub flows: PositionFlows,
    /// Orders on their way.
    pub outstanding: u32,
    /// True once something was filled.
    pub touched: bool,
    /// Since when one leg is ahead of the other.
    pub uneven_since: Option<Timestamp>,
    /// Unwinds sent.
    pub unwinds: u32,
    /// No new order before this instant, after a refusal.
    pub retry_at: Option<Timestamp>,
    /// Both legs filled at.
    pub opened_at: Option<Timestamp>,
    /// Matched quantity.
    pub matched: Quantity,
    /// Value of the matched quantity, USD.
    pub notional_usd: Money,
    /// USD spent and received by entry orders, and the quantities.
    pub entry_buy: (Quantity, Money),
    /// As `entry_buy`, for the sale.
    pub entry_sell: (Quantity, Money),
    /// Touch gap of the way out at the fill instant.
    pub out_at_open_bps: Option<f64>,
    /// Why it leaves.
    pub exit: Option<ExitReason>,
    /// When the first exit order was sent.
    pub exit_since: Option<Timestamp>,
    /// What the exit should bring at its decision: sale minus purchase, USD.
    pub exit_gross_usd: Option<Money>,
    /// A leg could be neither completed nor unwound.
    pub orphaned: bool,
}

/// An order that a step asks for. The quantity is what the leg should change by, before grossing up for a fee in coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// What for.
    pub purpose: Purpose,
    /// Venue.
    pub venue: Venue,
    /// The side that it takes: `Ask` buys.
    pub takes: Side,
    /// Net coin wanted.
    pub quantity: Quantity,
    /// Worst price allowed.
    pub limit: Option<Price>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until an order comes back, a market moves or a timer fires.
    Wait,
    /// Send these.
    Send([Option<Wanted>; 2]),
    /// Both legs are filled with this quantity. `orphan`: an excess is left that could not be undone.
    Opened {
        /// Matched quantity.
        quantity: Quantity,
        /// An excess is left that could not be undone.
        orphan: bool,
    },
    /// The entry ended without a position.
    Unwound {
        /// A leg had filled.
        orphan: bool,
    },
    /// Everything is closed.
    Closed,
}

/// What a step needs to know of the markets.
#[derive(Debug, Clone, Copy)]
pub struct LegMarket<'a> {
    /// The instruments.
    pub member: &'a Member,
    /// Last Live mid per venue.
    pub mids: [Option<Price>; 2],
    /// Book Live per venue.
    pub live: [bool; 2],
}

impl LegMarket<'_> {
    /// The part of `quantity` that the venue would take as an order, `None` when it is too small.
    fn orderable(&self, venue: Venue, quantity: Quantity) -> Option<Quantity> {
        let instrument = self.member.instrument(venue);
        let quantity =
            if instrument.lot.0 > 0 { quantity.to_step(instrument.lot, Rounding::Floor)? } else { quantity };
        let price = self.mids[venue.index()]?;
        orderable(instrument, quantity, price).then_some(quantity)
    }
}

impl Position {
    /// A position whose entry orders are about to be sent.
    pub fn new(id: u64, symbol: usize, asset: Asset, direction: Direction, decided: Decided) -> Self {
        Self {
            id,
            symbol,
            asset,
            direction,
            phase: Phase::Entering,
            decided,
            held: [Quantity::ZERO; 2],
            cash_usd: [Money::ZERO; 2],
            flows: PositionFlows::new(),
            outstanding: 0,
            touched: false,
            uneven_since: None,
            unwinds: 0,
            retry_at: None,
            opened_at: None,
            matched: Quantity::ZERO,
            notional_usd: Money::ZERO,
            entry_buy: (Quantity::ZERO, Money::ZERO),
            entry_sell: (Quantity::ZERO, Money::ZERO),
            out_at_open_bps: None,
            exit: None,
            exit_since: None,
            exit_gross_usd: None,
            orphaned: false,
        }
    }

    /// Value for exposure: the matched quantity once open, the intended one before.
    pub const fn exposure_usd(&self) -> Money {
        match self.phase {
            Phase::Entering => self.decided.notional_usd,
            Phase::Open | Phase::Exiting => self.notional_usd,
        }
    }

    /// When something has to be looked at without a market moving.
    pub fn next_deadline(&self, config: &Config) -> Option<Timestamp> {
        let limit = match (self.phase, self.opened_at) {
            (Phase::Open, Some(at)) => {
                Some(Timestamp(at.0.saturating_add(config.time_limit_ms.saturating_mul(1_000_000))))
            }
            _ => None,
        };
        match (limit, self.retry_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// What to do now. Pure: the caller carries it out.
    pub fn step(&self, now: Timestamp, config: &Config, market: &LegMarket<'_>) -> Step {
        if self.outstanding > 0 || self.retry_at.is_some_and(|at| at > now) {
            return Step::Wait;
        }
        match self.phase {
            Phase::Entering => self.step_entry(now, config, market),
            Phase::Open => Step::Wait,
            Phase::Exiting => self.step_exit(market),
        }
    }

    fn step_entry(&self, now: Timestamp, config: &Config, market: &LegMarket<'_>) -> Step {
        let buys = self.direction.buys_on();
        let sells = buys.other();
        let (bought, sold) = (self.held[buys.index()], Quantity(-self.held[sells.index()].0));
        let excess = bought.0 - sold.0;
        let size = Quantity(excess.abs());
        let matched = self.matched_of(bought.min(sold), market);
        // The lagging leg trades the way its entry did; the excess of the other is undone on its own venue.
        let (lagging, takes, undo, undo_takes) = if excess > 0 {
            (sells, Side::Bid, buys, Side::Bid)
        } else {
            (buys, Side::Ask, sells, Side::Ask)
        };
        let in_time = self
            .uneven_since
            .is_none_or(|since| now.since(since) < config.complete_ms.saturating_mul(1_000_000));
        if excess != 0
            && self.unwinds == 0
            && in_time
            && matched_or_touched(bought, sold)
            && let Some(quantity) = market.orderable(lagging, size)
            && let Some(limit) = bound(self.decided.prices[lagging.index()], takes, config.complete_bps)
            && let Some(limit) = market.member.instrument(lagging).tick.within(takes, limit)
        {
            let limit = Some(limit);
            let wanted = Wanted { purpose: Purpose::Complete, venue: lagging, takes, quantity, limit };
            return Step::Send([Some(wanted), None]);
        }
        let too_much = if excess == 0 { None } else { market.orderable(undo, size) };
        let given_up = self.unwinds >= config.unwind_attempts;
        match (too_much, matched) {
            // What cannot be undone in time goes out with the rest of the position.
            (Some(_), Some(quantity)) if given_up => Step::Opened { quantity, orphan: true },
            // An orphan without a partner is tried again until it is gone: its result belongs to this position.
            (Some(quantity), _) => {
                let wanted = Wanted {
                    purpose: Purpose::Unwind,
                    venue: undo,
                    takes: undo_takes,
                    quantity,
                    limit: None,
                };
                Step::Send([Some(wanted), None])
            }
            (None, Some(quantity)) => Step::Opened { quantity, orphan: false },
            (None, None) => Step::Unwound { orphan: self.touched },
        }
    }

    /// The matched quantity that can be closed again, as a multiple of the larger lot.
    fn matched_of(&self, least: Quantity, market: &LegMarket<'_>) -> Option<Quantity> {
        let lot = market.member.binance.lot.max(market.member.upbit.lot);
        let quantity = if lot.0 > 0 { least.to_step(lot, Rounding::Floor)? } else { least };
        let both = Venue::ALL.iter().all(|venue| market.orderable(*venue, quantity).is_some());
        (quantity.0 > 0 && both).then_some(quantity)
    }

    fn step_exit(&self, market: &LegMarket<'_>) -> Step {
        let first = self.exit_since.is_none();
        if first && market.live != [true, true] {
            // One leg alone would be a new risk: wait for both books.
            return Step::Wait;
        }
        let purpose = if first { Purpose::Exit } else { Purpose::Complete };
        let wanted = Venue::ALL.map(|venue| {
            let held = self.held[venue.index()];
            let takes = if held.0 > 0 { Side::Bid } else { Side::Ask };
            let quantity = market.orderable(venue, Quantity(held.0.abs()))?;
            Some(Wanted { purpose, venue, takes, quantity, limit: None })
        });
        if wanted == [None, None] { Step::Closed } else { Step::Send(wanted) }
    }

    /// The gap of the entry fills as they were, basis points.
    pub fn realised_gap_bps(&self) -> Option<f64> {
        let price =
            |(quantity, usd): (Quantity, Money)| (quantity.0 > 0).then(|| usd.to_f64() / quantity.to_f64());
        let (buy, sell) = (price(self.entry_buy)?, price(self.entry_sell)?);
        (buy > 0.0).then(|| (sell / buy - 1.0) * 1e4)
    }

    /// Value of the matched quantity at the average entry price of the purchase, USD.
    pub fn value_of_matched(&self, quantity: Quantity) -> Option<Money> {
        let (bought, usd) = self.entry_buy;
        (bought.0 > 0).then(|| usd.ratio(quantity.0, bought.0, Rounding::Floor))?
    }

    /// Estimated net of the round trip in basis points of the leg's value, if the way out brought `out_usd` per venue
    /// (signed, fees included).
    pub fn net_bps(&self, out_usd: [Money; 2]) -> Option<f64> {
        let mut net = Money::ZERO;
        for part in self.cash_usd.iter().chain(&out_usd) {
            net = net.checked_add(*part)?;
        }
        (self.notional_usd.0 > 0).then(|| net.to_f64() / self.notional_usd.to_f64() * 1e4)
    }
}

fn matched_or_touched(bought: Quantity, sold: Quantity) -> bool {
    bought.0 > 0 || sold.0 > 0
}

/// The worst price of a completion, before the tick: `bps` beyond the decided one.
fn bound(price: Price, takes: Side, bps: u32) -> Option<Price> {
    let bps = i128::from(bps);
    let factor = match takes {
        Side::Ask => 10_000 + bps,
        Side::Bid => 10_000 - bps,
    };
    i64::try_from(i128::from(price.0).checked_mul(factor)? / 10_000).ok().filter(|p| *p > 0).map(Price)
}

/// The USD flow of taking `notional` on a venue: negative for a purchase.
pub fn cash_flow_usd(
    venue: Venue,
    takes: Side,
    notional: Money,
    quote_fee: Money,
    fx: FxRate,
) -> Option<Money> {
    let signed = match takes {
        Side::Ask => Money(notional.0.checked_neg()?),
        Side::Bid => notional,
    };
    crate::edge::to_usd(venue, signed.checked_sub(quote_fee)?, fx, Rounding::Floor)
}
