//! When to enter and when to leave (engine.md 5): pure rules over figures; the session supplies them.

use crate::config::Config;
use journal::record::ExitReason;
use market::{Instrument, Member, Money, Price, Quantity, Rounding, Timestamp};

/// The base quantity of a leg of `leg_usd` at a Binance price: a multiple of both lots, rounded down. `None` when nothing
/// is left or a number does not fit.
pub fn size(member: &Member, leg_usd: Money, binance_mid: Price) -> Option<Quantity> {
    let lot = member.binance.lot.max(member.upbit.lot);
    let quantity = leg_usd.quantity_at(binance_mid, Rounding::Floor)?;
    let quantity = if lot.0 > 0 { quantity.to_step(lot, Rounding::Floor)? } else { quantity };
    (quantity.0 > 0).then_some(quantity)
}

/// True when a venue would take an order of `quantity` at about `price`.
pub fn orderable(instrument: &Instrument, quantity: Quantity, price: Price) -> bool {
    price
        .notional(quantity, Rounding::Floor)
        .is_some_and(|notional| instrument.check(quantity, notional).is_ok())
}

/// What an exit looks at. Figures that cannot be had now are `None` and trigger nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitFigures {
    /// Now.
    pub now: Timestamp,
    /// When both legs were filled.
    pub opened_at: Timestamp,
    /// Touch gap of the way out (the opposite direction) at the fill instant, basis points.
    pub out_at_open_bps: Option<f64>,
    /// The same now.
    pub out_now_bps: Option<f64>,
    /// Touch gap of the position's own direction now.
    pub in_now_bps: Option<f64>,
    /// The level of the position's own direction.
    pub level_bps: Option<f64>,
    /// Net of the whole round trip if it were closed now by walking the books, four fees included, in basis points of
    /// the leg's value.
    pub net_bps: Option<f64>,
}

/// The first reason to leave, in the specification's order. Emergency, kill switch and shutdown are the session's.
///
/// * Stop loss: leaving has become dearer. `out(t) = touch bid where we bought / touch ask where we sold - 1` is what the
///   way out brings; `out(fill instant) - out(now) >= stop_loss_bps`. Costs do not enter, our own takings neither.
/// * Spread reversal: the gap has crossed its level to the other side: `in(now) <= level - reversal_bps`, where
///   `in = touch bid where we sold / touch ask where we bought - 1`. An entry needs a gap far above its level, so a book
///   that does not move is never there.
/// * Time limit; then take profit: net of the round trip at or above the target.
pub fn exit_reason(config: &Config, figures: &ExitFigures) -> Option<ExitReason> {
    if let (Some(then), Some(now)) = (figures.out_at_open_bps, figures.out_now_bps)
        && then - now >= config.stop_loss_bps
    {
        return Some(ExitReason::StopLoss);
    }
    if let (Some(gap), Some(level)) = (figures.in_now_bps, figures.level_bps)
        && gap <= level - config.reversal_bps
    {
        return Some(ExitReason::SpreadReversal);
    }
    if figures.now.since(figures.opened_at) >= config.time_limit_ms.saturating_mul(1_000_000) {
        return Some(ExitReason::TimeLimit);
    }
    match figures.net_bps {
        Some(net) if net >= f64::from(config.take_profit_bps) => Some(ExitReason::TakeProfit),
        _ => None,
    }
}
