//! Prices in whole steps of the greatest unit that divides all of them.

/// The unit in which a side's prices are counted, with what a quick exact division needs.
///
/// `price / unit` is `price * inverse` turned right by the unit's power of two, and the price is a multiple exactly when that
/// is not above the limit (Granlund and Montgomery, "Division by Invariant Integers using Multiplication", section 9).
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks {
    unit: i64,
    inverse: u64,
    shift: u32,
    limit: u64,
}

impl Ticks {
    /// Counts in `unit`, at least 1.
    pub(super) const fn new(unit: i64) -> Self {
        let unit = if unit < 1 { 1 } else { unit };
        let shift = unit.trailing_zeros();
        let odd = unit.cast_unsigned() >> shift;
        // Newton: each round doubles the number of right bits, of which the start has five.
        let mut inverse = odd.wrapping_mul(3) ^ 2;
        let mut bits = 5;
        while bits < 64 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
            bits *= 2;
        }
        Self { unit, inverse, shift, limit: i64::MAX.cast_unsigned() / unit.cast_unsigned() }
    }

    /// The number of a price, when it is a multiple of the unit and not below zero.
    #[inline(always)]
    pub(super) const fn quick(&self, price: i64) -> Option<i64> {
        let number = price.cast_unsigned().wrapping_mul(self.inverse).rotate_right(self.shift);
        if number <= self.limit { Some(number.cast_signed()) } else { None }
    }

    /// The number of any price, when it is a multiple of the unit.
    pub(super) const fn number(&self, price: i64) -> Option<i64> {
        if price % self.unit == 0 { Some(price / self.unit) } else { None }
    }

    /// The price of a number.
    pub(super) const fn price(&self, number: i64) -> i64 {
        number * self.unit
    }

    /// The greatest unit that divides this one and all these prices.
    pub(super) fn with(&self, prices: impl IntoIterator<Item = i64>) -> Self {
        Self::new(common(self.unit, prices))
    }

    /// The greatest unit that divides all these prices; 1 when there is none but zero.
    pub(super) fn of(prices: impl IntoIterator<Item = i64>) -> Self {
        Self::new(common(0, prices))
    }
}

/// The greatest common divisor of all; 0 stands for none yet.
fn common(start: i64, prices: impl IntoIterator<Item = i64>) -> i64 {
    let mut unit = start.unsigned_abs();
    for price in prices {
        let (mut a, mut b) = (unit, price.unsigned_abs());
        while a != 0 {
            (a, b) = (b % a, a);
        }
        unit = b;
    }
    // The divisor of i64::MIN alone is one too great for a unit; a half of it divides as well.
    i64::try_from(unit).unwrap_or(1 << 62)
}

#[cfg(test)]
mod tests {
    use super::Ticks;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_quick_division_is_the_division(unit in 1..i64::MAX, price in any::<i64>(), times in 0..1_000_000i64) {
            for unit in [unit, unit >> 20, unit >> 40, unit >> 55, 1, 10, 1 << 62].map(|unit| unit.max(1)) {
                let ticks = Ticks::new(unit);
                for price in [price, price.saturating_abs(), unit.saturating_mul(times), 0] {
                    let exact = (price >= 0 && price % unit == 0).then(|| price / unit);
                    prop_assert_eq!(ticks.quick(price), exact, "{} in {}", price, unit);
                    prop_assert_eq!(ticks.number(price).filter(|_| price >= 0), exact);
                    prop_assert!(ticks.number(price).is_none_or(|number| ticks.price(number) == price));
                }
            }
        }

        #[test]
        fn the_unit_divides_every_price(prices in prop::collection::vec(any::<i64>(), 0..9), scale in 1..1_000i64) {
            let scaled: Vec<i64> = prices.iter().map(|price| price / 1_000 * scale).collect();
            let ticks = Ticks::of(scaled.iter().copied());
            prop_assert!(scaled.iter().all(|price| ticks.number(*price).is_some()));
            prop_assert!(ticks.with(prices.iter().copied()).unit <= ticks.unit || scaled.iter().all(|p| *p == 0));
        }
    }
}
