//! A scanner over JSON of a known schema, without allocation, and the exact decimals that it reads on the way.
//!
//! It accepts a subset of JSON: ASCII strings without escapes, numbers by the JSON grammar, objects and arrays. Every
//! method answers `None` at anything else, and the caller falls back on serde_json; so whatever the scanner accepts,
//! serde_json accepts with the same meaning.
//!
//! Digits, and the bytes that end a string, are found eight at a time in a 64-bit word ("SWAR": Lamport, "Multiple byte
//! processing with full-word instructions", 1975; the conversion of eight digits is Lemire's, "Quickly parsing eight
//! digits", 2018). What does not live here: which fields a frame has (`wire` of each venue) and which numbers are
//! acceptable (`levels`).

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// 1e8: the scale of exact numbers in `market`, so that the eight digits behind a point are the units.
const SCALE: i64 = 100_000_000;
const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
/// Values that are skipped may be nested this deep; beyond it the complete reader decides.
const DEPTH: usize = 16;

/// Eight bytes from `at` on, zeros behind the end. The first is the lowest.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => last_word(bytes, at),
    }
}

#[cold]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut chunk = [0; 8];
    for (to, from) in chunk.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_le_bytes(chunk)
}

/// The high bit of each byte that is no digit; the bytes are already xor'ed with `'0'`. Exact for every byte.
#[inline(always)]
const fn not_digits(digits: u64) -> u64 {
    (((digits & !HIGHS) + 0x7676_7676_7676_7676) | digits) & HIGHS
}

/// How many bytes come before the first whose high bit is set.
#[inline(always)]
const fn before(marks: u64) -> usize {
    (marks.trailing_zeros() >> 3) as usize
}

/// Eight digits, the first in the lowest byte, as a number.
#[inline(always)]
const fn eight(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// Reads up to ten digits, then perhaps a point and up to eight digits, as an integer at 1e-8; and where it ends.
///
/// The byte at the end is the caller's to check: it may be a further digit. `None` leaves the spelling to
/// [`market::parse_scaled`], which gives the same value and knows every other spelling.
#[inline(always)]
pub(crate) fn decimal(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let digits = word(bytes, at) ^ ZEROS;
    let mut count = before(not_digits(digits));
    if count == 0 {
        return None;
    }
    let mut whole = eight(digits << (64 - 8 * count)) as i64;
    if count == 8 {
        while let Some(digit @ b'0'..=b'9') = bytes.get(at + count) {
            if count == 10 {
                return None;
            }
            whole = whole * 10 + i64::from(digit - b'0');
            count += 1;
        }
    }
    let end = at + count;
    if bytes.get(end) != Some(&b'.') {
        return Some((whole * SCALE, end));
    }
    let digits = word(bytes, end + 1) ^ ZEROS;
    let places = before(not_digits(digits));
    if places == 0 {
        return None;
    }
    // What lies behind the last place becomes zeros: the number is at 1e-8 without a further step.
    let fraction = eight(digits & (u64::MAX >> (64 - 8 * places))) as i64;
    Some((whole * SCALE + fraction, end + 1 + places))
}

/// A number by the JSON grammar in the spellings that Upbit uses (`127.0`, `1.16539E8`, `7.9276E-4`), as an integer at
/// 1e-8; and where it ends. As with [`decimal`], the byte at the end is the caller's to check.
#[inline(always)]
pub(crate) fn number(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let (value, end) = decimal(bytes, at)?;
    if bytes.get(at) == Some(&b'0') && matches!(bytes.get(at + 1), Some(b'0'..=b'9')) {
        return None;
    }
    match bytes.get(end) {
        Some(b'E' | b'e') => exponent(bytes, end + 1, value),
        _ => Some((value, end)),
    }
}

/// The exponent from `at` on, of one digit, applied to `value`.
fn exponent(bytes: &[u8], at: usize, value: i64) -> Option<(i64, usize)> {
    let (negative, at) = match bytes.get(at)? {
        b'-' => (true, at + 1),
        b'+' => (false, at + 1),
        _ => (false, at),
    };
    let digit = bytes.get(at)?.wrapping_sub(b'0');
    let factor = *POWERS.get(usize::from(digit))? as i64;
    let value = if !negative {
        value.checked_mul(factor)?
    } else if value % factor == 0 {
        value / factor
    } else {
        return None;
    };
    Some((value, at + 1))
}

/// A position in a frame.
#[derive(Clone)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The whole frame.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The position, for those who read numbers themselves.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Goes on from `at`.
    pub(crate) const fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    #[inline(always)]
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Consumes exactly these bytes.
    #[inline(always)]
    pub(crate) fn literal<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        (self.bytes.get(self.at..)?.first_chunk::<N>()? == text).then(|| self.at += N)
    }

    /// The next byte that is no space, not consumed.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.space();
        self.bytes.get(self.at).copied()
    }

    /// Consumes `byte`.
    #[inline(always)]
    pub(crate) fn open(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Consumes `close` if it is next: an empty list.
    pub(crate) fn is_empty(&mut self, close: u8) -> bool {
        self.open(close).is_some()
    }

    /// After an element: `true` at `close`, `false` at a comma.
    #[inline(always)]
    pub(crate) fn close(&mut self, close: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == close { Some(true) } else { (byte == b',').then_some(false) }
    }

    /// An object's key and its colon.
    #[inline(always)]
    pub(crate) fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.string()?;
        self.open(b':')?;
        Some(key)
    }

    /// An ASCII string without escapes.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        self.open(b'"')?;
        self.rest_of_string()
    }

    /// The same behind its opening quote.
    #[inline(always)]
    pub(crate) fn rest_of_string(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        loop {
            let w = word(self.bytes, self.at);
            let zero = |w: u64| w.wrapping_sub(ONES) & !w;
            let quote = zero(w ^ (ONES * b'"' as u64));
            let escape = zero(w ^ (ONES * b'\\' as u64));
            let control = w.wrapping_sub(ONES * 0x20) & !w;
            // A borrow can mark bytes above the first one that is marked rightly, never below it.
            let special = (quote | escape | control | w) & HIGHS;
            if special == 0 {
                self.at += 8;
                continue;
            }
            self.at += before(special);
            if *self.bytes.get(self.at)? != b'"' {
                return None;
            }
            let text = &self.bytes[start..self.at];
            self.at += 1;
            return Some(text);
        }
    }

    fn digits(&mut self) -> Option<usize> {
        let start = self.at;
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        let count = self.at - start;
        (count > 0).then_some(count)
    }

    /// A number by the JSON grammar.
    pub(crate) fn number(&mut self) -> Option<&'a [u8]> {
        self.space();
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let leading_zero = self.bytes.get(self.at) == Some(&b'0');
        if self.digits()? > 1 && leading_zero {
            return None;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(&self.bytes[start..self.at])
    }

    /// A whole number without a sign, of at most 16 digits: ids and times.
    #[inline(always)]
    pub(crate) fn integer(&mut self) -> Option<u64> {
        self.space();
        let digits = word(self.bytes, self.at) ^ ZEROS;
        let count = before(not_digits(digits));
        if count == 0 || (count > 1 && digits as u8 == 0) {
            return None;
        }
        let mut value = eight(digits << (64 - 8 * count));
        self.at += count;
        if count == 8 {
            let digits = word(self.bytes, self.at) ^ ZEROS;
            let more = before(not_digits(digits));
            if more > 0 {
                value = value * POWERS[more] + eight(digits << (64 - 8 * more));
                self.at += more;
            }
        }
        // A fraction, an exponent or a 17th digit: no such number.
        (!matches!(self.bytes.get(self.at), Some(b'0'..=b'9' | b'.' | b'e' | b'E'))).then_some(value)
    }

    /// Passes over a value that is not read.
    pub(crate) fn skip(&mut self) -> Option<()> {
        self.skip_below(DEPTH)
    }

    fn skip_below(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => {
                self.at += 1;
                if self.is_empty(b'}') {
                    return Some(());
                }
                loop {
                    self.key()?;
                    self.skip_below(depth)?;
                    if self.close(b'}')? {
                        return Some(());
                    }
                }
            }
            b'[' => {
                self.at += 1;
                if self.is_empty(b']') {
                    return Some(());
                }
                loop {
                    self.skip_below(depth)?;
                    if self.close(b']')? {
                        return Some(());
                    }
                }
            }
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number().map(drop),
        }
    }

    /// Nothing but space is left.
    #[inline(always)]
    pub(crate) fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_those_of_the_complete_reader(
            text in "[0-9]{0,12}(\\.[0-9]{0,10})?([eE][+-]?[0-9]{1,2})?[ ,\"}]?",
        ) {
            let bytes = text.as_bytes();
            if let Some((value, end)) = number(bytes, 0)
                && !matches!(bytes.get(end), Some(b'0'..=b'9' | b'.'))
            {
                prop_assert_eq!(market::parse_scaled(&bytes[..end]), Ok(i128::from(value)), "{}", text);
                let mut slow = Scanner::new(bytes);
                prop_assert_eq!(slow.number(), Some(&bytes[..end]));
            }
        }

        #[test]
        fn integers_are_those_of_the_standard_library(text in "[0-9]{1,20}[ ,}.e]?") {
            let plain = text.trim_end_matches([' ', ',', '}']);
            let valid = (!plain.starts_with('0') || plain == "0") && plain.len() <= 16;
            let expected = plain.parse::<u64>().ok().filter(|_| valid);
            prop_assert_eq!(Scanner::new(text.as_bytes()).integer(), expected);
        }

        #[test]
        fn strings_end_at_the_first_quote(text in "[ -~\u{7f}\u{80}\u{0}\n]{0,24}\"?.{0,9}") {
            let bytes = text.as_bytes();
            let end = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20 | 0x80..));
            let expected = end.filter(|end| bytes[*end] == b'"').map(|end| &bytes[..end]);
            prop_assert_eq!(Scanner::new(bytes).rest_of_string(), expected);
        }
    }

    #[test]
    fn not_digits_is_exact_for_every_byte() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut chunk = *b"01234567";
                chunk[place] = byte;
                let marks = not_digits(u64::from_le_bytes(chunk) ^ ZEROS);
                let expected = if byte.is_ascii_digit() { 0 } else { 0x80u64 << (8 * place) };
                assert_eq!(marks, expected, "{byte} at {place}");
            }
        }
        assert_eq!(eight(u64::from_le_bytes(*b"12345678") ^ ZEROS), 12_345_678);
    }
}
