//! Exact decimal numbers at a fixed scale of 1e-8.
//!
//! A price fits an `i64` (up to 92 billion of the quote); a quantity or an amount of money needs an `i128`, because one
//! level of a coin at 0.0009 KRW overflows 64 bits and price times quantity does so at once. Nothing wraps: what does not
//! fit is an error where it is read, and `None` where it is calculated.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Units per one: 1e8.
pub const SCALE: i128 = 100_000_000;

/// Why a number's spelling was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// No digits, or a character that does not belong into a number.
    #[error("not a decimal number")]
    Syntax,
    /// More than eight decimal places that are not zero.
    #[error("more than 8 decimal places")]
    TooPrecise,
    /// It does not fit.
    #[error("too large")]
    TooLarge,
}

/// A failed calculation: the result does not fit, or a division by zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the result does not fit an exact number")]
pub struct NumberError;

/// The direction of rounding. Every use names it: there is no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Toward minus infinity.
    Floor,
    /// Toward plus infinity.
    Ceil,
}

/// Reads a JSON number's spelling (sign, digits, fraction, exponent) as an integer at 1e-8.
///
/// Accepts what venues send: `1.16539E8`, `7.9276E-4`, `61685.99000000`, `0`, `.5`. Never goes through a float.
///
/// # Errors
/// [`DecimalError`], also when the value needs more than eight decimal places.
pub fn parse_scaled(text: &[u8]) -> Result<i128, DecimalError> {
    let (negative, rest) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let mut mantissa: i128 = 0;
    let mut places: i32 = 0;
    let mut digits = 0usize;
    let mut point = false;
    let mut i = 0;
    while i < rest.len() {
        match rest[i] {
            b @ b'0'..=b'9' => {
                digits += 1;
                // Trailing zeros of any length are legal; 38 significant digits are not.
                mantissa = mantissa
                    .checked_mul(10)
                    .and_then(|m| m.checked_add(i128::from(b - b'0')))
                    .ok_or(DecimalError::TooLarge)?;
                places += i32::from(point);
            }
            b'.' if !point => point = true,
            b'e' | b'E' if digits > 0 => break,
            _ => return Err(DecimalError::Syntax),
        }
        i += 1;
    }
    if digits == 0 {
        return Err(DecimalError::Syntax);
    }
    if i < rest.len() {
        places = places.checked_sub(parse_exponent(&rest[i + 1..])?).ok_or(DecimalError::TooLarge)?;
    }
    if mantissa == 0 {
        return Ok(0);
    }
    let shift = 8 - places;
    let value = if shift >= 0 {
        let factor = 10i128.checked_pow(shift.unsigned_abs()).ok_or(DecimalError::TooLarge)?;
        mantissa.checked_mul(factor).ok_or(DecimalError::TooLarge)?
    } else {
        let divisor = 10i128.checked_pow(shift.unsigned_abs()).ok_or(DecimalError::TooPrecise)?;
        if mantissa % divisor != 0 {
            return Err(DecimalError::TooPrecise);
        }
        mantissa / divisor
    };
    Ok(if negative { -value } else { value })
}

fn parse_exponent(text: &[u8]) -> Result<i32, DecimalError> {
    let (negative, digits) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > 4 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(if digits.len() > 4 { DecimalError::TooLarge } else { DecimalError::Syntax });
    }
    let value = digits.iter().fold(0i32, |v, b| v * 10 + i32::from(b - b'0'));
    Ok(if negative { -value } else { value })
}

fn div_round(numerator: i128, denominator: i128, rounding: Rounding) -> Option<i128> {
    if denominator == 0 {
        return None;
    }
    let quotient = numerator.checked_div_euclid(denominator)?;
    let remainder = numerator.checked_rem_euclid(denominator)?;
    // `div_euclid` rounds so that the remainder is not negative: for a positive denominator that is the floor.
    let (floor, exact) = if denominator > 0 {
        (quotient, remainder == 0)
    } else {
        (if remainder == 0 { quotient } else { quotient.checked_sub(1)? }, remainder == 0)
    };
    match rounding {
        Rounding::Floor => Some(floor),
        Rounding::Ceil => {
            if exact {
                Some(floor)
            } else {
                floor.checked_add(1)
            }
        }
    }
}

fn format_scaled(value: i128, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let magnitude = value.unsigned_abs();
    let whole = magnitude / SCALE.unsigned_abs();
    let fraction = magnitude % SCALE.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    if fraction == 0 {
        return f.pad(&format!("{sign}{whole}"));
    }
    let digits = format!("{fraction:08}");
    f.pad(&format!("{sign}{whole}.{}", digits.trim_end_matches('0')))
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $repr:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $repr);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);

            /// Reads a decimal spelling.
            ///
            /// # Errors
            /// [`DecimalError`].
            pub fn parse(text: &str) -> Result<Self, DecimalError> {
                Self::parse_bytes(text.as_bytes())
            }

            /// Reads a decimal spelling from bytes.
            ///
            /// # Errors
            /// [`DecimalError`].
            pub fn parse_bytes(text: &[u8]) -> Result<Self, DecimalError> {
                <$repr>::try_from(parse_scaled(text)?).map(Self).map_err(|_| DecimalError::TooLarge)
            }

            /// From a whole number.
            pub const fn from_int(value: i32) -> Self {
                Self(value as $repr * SCALE as $repr)
            }

            /// As a float: statistics and screens only.
            pub fn to_f64(self) -> f64 {
                self.0 as f64 / SCALE as f64
            }

            /// Checked sum.
            pub fn checked_add(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }

            /// Checked difference.
            pub fn checked_sub(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }

            /// True below zero.
            pub const fn is_negative(self) -> bool {
                self.0 < 0
            }

            /// True at zero.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                format_scaled(self.0.into(), f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                format_scaled(self.0.into(), f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = DecimalError;

            fn from_str(text: &str) -> Result<Self, DecimalError> {
                Self::parse(text)
            }
        }

        /// Written as a string, because a JSON number would pass through a float somewhere.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

number!(
    /// Units of the quote currency for one unit of the asset, at 1e-8.
    Price,
    i64
);
number!(
    /// An amount of an asset, at 1e-8.
    Quantity,
    i128
);
number!(
    /// An amount of a quote currency (KRW, USDT or USD: the context says which), at 1e-8.
    Money,
    i128
);

impl Price {
    /// `self * quantity`, in the quote currency. `None` when it does not fit.
    pub fn notional(self, quantity: Quantity, rounding: Rounding) -> Option<Money> {
        div_round(i128::from(self.0).checked_mul(quantity.0)?, SCALE, rounding).map(Money)
    }

    /// Rounds to a multiple of `tick`. `None` for a tick of zero or less.
    pub fn to_tick(self, tick: Self, rounding: Rounding) -> Option<Self> {
        if tick.0 <= 0 {
            return None;
        }
        let ticks = div_round(self.0.into(), tick.0.into(), rounding)?;
        i64::try_from(ticks.checked_mul(tick.0.into())?).ok().map(Self)
    }

    /// The middle of two prices, rounded down.
    pub fn midpoint(self, other: Self) -> Self {
        Self(((i128::from(self.0) + i128::from(other.0)).div_euclid(2)) as i64)
    }
}

impl Quantity {
    /// Rounds to a multiple of `step`. `None` for a step of zero or less.
    pub fn to_step(self, step: Self, rounding: Rounding) -> Option<Self> {
        if step.0 <= 0 {
            return None;
        }
        div_round(self.0, step.0, rounding)?.checked_mul(step.0).map(Self)
    }

    /// `self * numerator / denominator`.
    pub fn ratio(self, numerator: i128, denominator: i128, rounding: Rounding) -> Option<Self> {
        div_round(self.0.checked_mul(numerator)?, denominator, rounding).map(Self)
    }
}

impl Money {
    /// `self * numerator / denominator`, for fees in basis points and shares.
    pub fn ratio(self, numerator: i128, denominator: i128, rounding: Rounding) -> Option<Self> {
        div_round(self.0.checked_mul(numerator)?, denominator, rounding).map(Self)
    }

    /// The quantity that this amount buys at `price`. `None` at a price of zero.
    pub fn quantity_at(self, price: Price, rounding: Rounding) -> Option<Quantity> {
        div_round(self.0.checked_mul(SCALE)?, price.0.into(), rounding).map(Quantity)
    }

    /// The average price of `quantity` for this amount.
    pub fn price_of(self, quantity: Quantity, rounding: Rounding) -> Option<Price> {
        let value = div_round(self.0.checked_mul(SCALE)?, quantity.0, rounding)?;
        i64::try_from(value).ok().map(Price)
    }
}
