//! Gap and edge of a symbol and direction (engine.md 5). Walks are exact; basis points are statistics.
//!
//! * `gap(d) = executable sell price / executable buy price - 1`, by walking both books for the intended size, in USD at
//!   the signal rate, before fees.
//! * `edge(d) = gap(d) + level(opposite d) - four taker fees - reserve`.

use crate::liquidity::LiquidityModel;
use journal::record::Direction;
use market::{Book, FxRate, Level, Money, Quantity, Rounding, Side, Venue};

/// Both sides of a trade as the books would give it now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quote {
    /// Base quantity per side.
    pub quantity: Quantity,
    /// What buying costs, USD.
    pub buy_usd: Money,
    /// What selling brings, USD.
    pub sell_usd: Money,
    /// The gap in basis points.
    pub gap_bps: f64,
}

/// An amount in a venue's quote currency in USD.
pub fn to_usd(venue: Venue, amount: Money, fx: FxRate, rounding: Rounding) -> Option<Money> {
    match venue {
        Venue::Upbit => fx.krw_to_usd(amount, rounding),
        Venue::Binance => Some(amount),
    }
}

/// The gap of two amounts in basis points.
pub fn gap_bps(sell_usd: Money, buy_usd: Money) -> Option<f64> {
    (buy_usd.0 > 0 && sell_usd.0 > 0).then(|| (sell_usd.to_f64() / buy_usd.to_f64() - 1.0) * 1e4)
}

/// The executable quote of `quantity` as displayed. `None` when a book does not hold that much.
pub fn displayed(direction: Direction, books: [&Book; 2], quantity: Quantity, fx: FxRate) -> Option<Quote> {
    quote(direction, quantity, fx, |venue, side| {
        let walk = books[venue.index()].walk(side, quantity)?;
        (walk.quantity == quantity).then_some(walk.notional)
    })
}

/// As [`displayed`], without what we took ourselves and what has not come back since.
pub fn executable(
    direction: Direction,
    books: [&Book; 2],
    memories: [&dyn LiquidityModel; 2],
    quantity: Quantity,
    fx: FxRate,
) -> Option<Quote> {
    quote(direction, quantity, fx, |venue, side| {
        walk_available(books[venue.index()], memories[venue.index()], side, quantity)
    })
}

fn quote(
    direction: Direction,
    quantity: Quantity,
    fx: FxRate,
    walk: impl Fn(Venue, Side) -> Option<Money>,
) -> Option<Quote> {
    if quantity.0 <= 0 {
        return None;
    }
    let (buys, sells) = (direction.buys_on(), direction.buys_on().other());
    let buy_usd = to_usd(buys, walk(buys, Side::Ask)?, fx, Rounding::Ceil)?;
    let sell_usd = to_usd(sells, walk(sells, Side::Bid)?, fx, Rounding::Floor)?;
    Some(Quote { quantity, buy_usd, sell_usd, gap_bps: gap_bps(sell_usd, buy_usd)? })
}

/// What taking `quantity` costs or brings in the quote currency, without what we took already. `None` when there is not
/// enough.
pub fn walk_available(
    book: &Book,
    memory: &dyn LiquidityModel,
    side: Side,
    quantity: Quantity,
) -> Option<Money> {
    walk_left(book, side, quantity, |level| memory.left(side, level.price, level.quantity))
}

/// What taking `quantity` costs or brings in the quote currency, where `available` says what is left of a level. `None` when
/// there is not enough.
pub fn walk_left(
    book: &Book,
    side: Side,
    quantity: Quantity,
    available: impl Fn(&Level) -> Quantity,
) -> Option<Money> {
    let rounding = match side {
        Side::Ask => Rounding::Ceil,
        Side::Bid => Rounding::Floor,
    };
    let (mut left, mut notional) = (quantity, Money::ZERO);
    for level in book.iter(side) {
        if left.0 <= 0 {
            break;
        }
        let take = left.min(available(&level));
        if take.0 > 0 {
            notional = notional.checked_add(level.price.notional(take, rounding)?)?;
            left = left.checked_sub(take)?;
        }
    }
    (left.0 <= 0).then_some(notional)
}

/// The gap of the displayed touch in basis points.
pub fn touch_gap_bps(direction: Direction, books: [&Book; 2], fx: FxRate) -> Option<f64> {
    let (buys, sells) = (direction.buys_on(), direction.buys_on().other());
    let usd = |venue: Venue, side: Side| {
        let price = books[venue.index()].best(side)?.price.to_f64();
        Some(if venue == Venue::Upbit { price / fx.0.to_f64() } else { price })
    };
    let (buy, sell) = (usd(buys, Side::Ask)?, usd(sells, Side::Bid)?);
    (buy > 0.0 && sell > 0.0).then(|| (sell / buy - 1.0) * 1e4)
}

/// The edge in basis points.
pub fn edge_bps(gap_bps: f64, opposite_level_bps: f64, fees_bps: f64, reserve_bps: f64) -> f64 {
    gap_bps + opposite_level_bps - fees_bps - reserve_bps
}

/// Gap by last prices (`upbit` in KRW, `binance` in USDT, `fx` KRW per USDT) less half of both spreads: a candle's sample.
pub fn candle_gap_bps(
    direction: Direction,
    upbit: f64,
    binance: f64,
    fx: f64,
    spreads_bps: f64,
) -> Option<f64> {
    let ratio = upbit / (binance * fx);
    if !ratio.is_finite() || ratio <= 0.0 {
        return None;
    }
    let ratio = match direction {
        Direction::BuyBinance => ratio,
        Direction::BuyUpbit => 1.0 / ratio,
    };
    Some((ratio - 1.0) * 1e4 - spreads_bps / 2.0)
}
