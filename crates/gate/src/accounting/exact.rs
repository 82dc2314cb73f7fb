//! Integer arithmetic of the accounting: divisions with a stated direction, and KRW in USD. Amounts in units of 1e-8. The gate
//! has its own, so that an error in the engine's cannot cancel itself; the rules stand in docs/money.md.

use market::{SCALE, Venue};

/// Rounded towards minus infinity. `None` unless `denominator` is positive.
pub(super) fn down(numerator: i128, denominator: i128) -> Option<i128> {
    (denominator > 0).then(|| numerator.div_euclid(denominator))
}

/// Rounded towards plus infinity. `None` unless `denominator` is positive.
pub(super) fn up(numerator: i128, denominator: i128) -> Option<i128> {
    down(numerator.checked_neg()?, denominator)?.checked_neg()
}

/// `amount * price`, rounded down.
pub(super) fn times_down(amount: i128, price: i128) -> Option<i128> {
    down(amount.checked_mul(price)?, SCALE)
}

/// `amount * price`, rounded up.
pub(super) fn times_up(amount: i128, price: i128) -> Option<i128> {
    up(amount.checked_mul(price)?, SCALE)
}

/// An amount of `venue`'s quote in USD, rounded down: KRW at `rate`, USDT one to one.
pub(super) fn dollars_down(venue: Venue, quote: i128, rate: i128) -> Option<i128> {
    match venue {
        Venue::Upbit => down(quote.checked_mul(SCALE)?, rate),
        Venue::Binance => Some(quote),
    }
}

/// As [`dollars_down`], rounded up.
pub(super) fn dollars_up(venue: Venue, quote: i128, rate: i128) -> Option<i128> {
    match venue {
        Venue::Upbit => up(quote.checked_mul(SCALE)?, rate),
        Venue::Binance => Some(quote),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_hold_on_both_sides_of_zero() {
        assert_eq!((down(7, 2), up(7, 2), down(-7, 2), up(-7, 2)), (Some(3), Some(4), Some(-4), Some(-3)));
        assert_eq!((down(8, 2), up(-8, 2), down(1, 0), up(1, -1)), (Some(4), Some(-4), None, None));
        let rate = 1_400 * SCALE;
        assert_eq!(dollars_down(Venue::Upbit, -1, rate), Some(-1));
        assert_eq!(dollars_up(Venue::Upbit, -1, rate), Some(0));
        assert_eq!(dollars_up(Venue::Binance, -1, 0), Some(-1));
        assert_eq!((times_down(3, SCALE / 2), times_up(3, SCALE / 2)), (Some(1), Some(2)));
    }
}
