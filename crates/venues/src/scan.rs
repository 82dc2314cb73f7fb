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
    let pairs = (digits.wrapping_mul(2_561) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(6_553_601) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(42_949_672_960_001) >> 32
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

/// Eight bytes of a window as digits, xor'ed with `'0'`.
#[inline(always)]
fn load<const N: usize>(window: &[u8; N], at: usize) -> Option<u64> {
    window.get(at..)?.first_chunk::<8>().map(|chunk| u64::from_le_bytes(*chunk) ^ ZEROS)
}

/// A level in the most common spelling, `["61737.63","0.014"]`: of either number one to eight digits, and perhaps a point and
/// one to eight places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// The first number at 1e-8.
    pub(crate) price: i64,
    /// The second number at 1e-8.
    pub(crate) quantity: i64,
    /// Bytes from the opening to behind the closing bracket.
    pub(crate) length: usize,
}

/// How the numbers of a level are laid out. The levels of a symbol nearly always have the same layout (as many places as its steps
/// have), and to know beforehand where a number ends lets the processor begin with the next one before it has looked at this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Digits of the price before its point.
    whole: usize,
    /// And behind it.
    places: usize,
    /// Digits of the quantity behind its point; 0 when it has none.
    size_places: usize,
}

/// As much of a frame as [`pair`] and [`Layout::pair`] look at.
pub(crate) const WINDOW: usize = 2 + 17 + 3 + 17 + 2;

/// Reads a level and its layout. `None` leaves it to the slower ways.
#[inline(always)]
pub(crate) fn pair(window: &[u8; WINDOW]) -> Option<(Pair, Layout)> {
    let [b'[', b'"', ..] = window else { return None };
    let (price, whole, places) = parts(window, 2)?;
    let end = 2 + whole + usize::from(places > 0) + places;
    let b"\",\"" = window.get(end..)?.first_chunk::<3>()? else { return None };
    let (quantity, digits, size_places) = parts(window, end + 3)?;
    let end = end + 3 + digits + usize::from(size_places > 0) + size_places;
    let b"\"]" = window.get(end..)?.first_chunk::<2>()? else { return None };
    Some((Pair { price, quantity, length: end + 2 }, Layout { whole, places, size_places }))
}

/// A number at 1e-8 with its digits before and behind the point.
#[inline(always)]
fn parts<const N: usize>(window: &[u8; N], at: usize) -> Option<(i64, usize, usize)> {
    let digits = load(window, at)?;
    let count = before(not_digits(digits));
    if count == 0 {
        return None;
    }
    let whole = eight(digits << (64 - 8 * count)) as i64 * SCALE;
    if *window.get(at + count)? != b'.' {
        return Some((whole, count, 0));
    }
    let digits = load(window, at + count + 1)?;
    let places = before(not_digits(digits));
    if places == 0 {
        return None;
    }
    Some((whole + eight(digits & (u64::MAX >> (64 - 8 * places))) as i64, count, places))
}

impl Layout {
    /// Whether [`Self::pair`] can read levels of this layout; to be asked once before many.
    #[inline(always)]
    pub(crate) const fn is_usual(self) -> bool {
        self.whole >= 1 && self.whole <= 8 && self.places >= 1 && self.places <= 8 && self.size_places <= 8
    }

    /// Reads a level of exactly this layout, but for the quantity's digits before its point.
    #[inline(always)]
    pub(crate) fn pair(self, window: &[u8; WINDOW]) -> Option<Pair> {
        let [b'[', b'"', ..] = window else { return None };
        let whole = load(window, 2)? << (64 - 8 * self.whole);
        let point = 2 + self.whole;
        let fraction = load(window, point + 1)? & (u64::MAX >> (64 - 8 * self.places));
        let end = point + 1 + self.places;
        let (b'.', b"\",\"") = (*window.get(point)?, window.get(end..)?.first_chunk::<3>()?) else {
            return None;
        };
        let digits = load(window, end + 3)?;
        let count = before(not_digits(digits));
        let mut end = end + 3 + count;
        let mut size_fraction = 0;
        if self.size_places > 0 {
            let b'.' = *window.get(end)? else { return None };
            size_fraction = load(window, end + 1)? & (u64::MAX >> (64 - 8 * self.size_places));
            end += 1 + self.size_places;
        }
        let b"\"]" = window.get(end..)?.first_chunk::<2>()? else { return None };
        // Where the layout puts digits there must be digits; the fields behind them are zeros already.
        if count == 0 || not_all_digits(whole) | not_all_digits(fraction) | not_all_digits(size_fraction) != 0
        {
            return None;
        }
        let price = eight(whole) as i64 * SCALE + eight(fraction) as i64;
        let size = eight(digits << (64 - 8 * count)) as i64 * SCALE + eight(size_fraction) as i64;
        Some(Pair { price, quantity: size, length: end + 2 })
    }
}

/// Zero when every byte is a digit, already xor'ed with `'0'`.
#[inline(always)]
const fn not_all_digits(digits: u64) -> u64 {
    (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & HIGHS
}

/// As much of a frame as [`json_number`] and what follows it: a number of 22 bytes and a literal of 12.
const NUMBER: usize = 34;

/// Reads a number by the JSON grammar in the spellings that Upbit uses (`127.0`, `1.16539E8`, `7.9276E-4`), as an integer at 1e-8,
/// and where it ends. The byte there is the caller's to check.
#[inline(always)]
fn json_number(chunk: &[u8; NUMBER]) -> Option<(i64, usize)> {
    let digits = load(chunk, 0)?;
    let mut count = before(not_digits(digits));
    if count == 0 || (count > 1 && digits as u8 == 0) {
        return None;
    }
    let mut value = eight(digits << (64 - 8 * count)) as i64;
    if count == 8 {
        while chunk[count].is_ascii_digit() {
            if count == 10 {
                return None;
            }
            value = value * 10 + i64::from(chunk[count] - b'0');
            count += 1;
        }
    }
    value *= SCALE;
    let mut end = count;
    if chunk[end] == b'.' {
        let digits = load(chunk, end + 1)?;
        let places = before(not_digits(digits));
        if places == 0 {
            return None;
        }
        value += eight(digits & (u64::MAX >> (64 - 8 * places))) as i64;
        end += 1 + places;
    }
    if matches!(chunk.get(end)?, b'E' | b'e') {
        (value, end) = exponent(chunk, end + 1, value)?;
    }
    Some((value, end))
}

/// Whether `literal` stands at `at`.
#[inline(always)]
fn stands<const N: usize>(chunk: &[u8; NUMBER], at: usize, literal: &[u8; N]) -> bool {
    chunk.get(at..).and_then(|rest| rest.first_chunk::<N>()) == Some(literal)
}

/// Reads a number and exactly `literal` behind it, whose first byte stands in no number: the number, and the length of both.
///
/// A digit, a point and eight places come first: the most common size. Its end is known beforehand, so the processor begins
/// with what follows before it has looked at the digits.
#[inline(always)]
fn number_then<const N: usize>(chunk: &[u8; NUMBER], literal: &[u8; N]) -> Option<(i64, usize)> {
    if chunk[1] == b'.' && chunk[0].is_ascii_digit() && stands(chunk, 10, literal) {
        let places = load(chunk, 2)?;
        if not_digits(places) == 0 {
            return Some((i64::from(chunk[0] - b'0') * SCALE + eight(places) as i64, 10 + N));
        }
    }
    let (value, end) = json_number(chunk)?;
    stands(chunk, end, literal).then_some((value, end + N))
}

/// The same for a number that is probably as long as `length` says, which is set to how long it is: the prices of a book.
#[inline(always)]
fn number_like<const N: usize>(
    chunk: &[u8; NUMBER],
    length: &mut usize,
    literal: &[u8; N],
) -> Option<(i64, usize)> {
    let (value, end) = json_number(chunk)?;
    let guess = *length;
    if stands(chunk, guess, literal) {
        return (end == guess).then_some((value, guess + N));
    }
    *length = end;
    stands(chunk, end, literal).then_some((value, end + N))
}

/// The exponent from `at` on, of one digit, applied to `value`.
#[inline(always)]
fn exponent(bytes: &[u8; NUMBER], at: usize, value: i64) -> Option<(i64, usize)> {
    let (negative, at) = match bytes.get(at)? {
        b'-' => (true, at + 1),
        b'+' => (false, at + 1),
        _ => (false, at),
    };
    let digit = bytes.get(at)?.wrapping_sub(b'0');
    let factor = *POWERS.get(usize::from(digit))?;
    let value = if !negative {
        value.checked_mul(factor as i64)?
    } else if (value as u64).is_multiple_of(factor) {
        (value as u64 / factor) as i64
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

    /// The position, for those who read numbers themselves.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// A number of the usual spellings, without space, and exactly `literal` behind it.
    #[inline(always)]
    pub(crate) fn number_then<const N: usize>(&mut self, literal: &[u8; N]) -> Option<i64> {
        let mut end = [0; NUMBER];
        let (value, length) = number_then(self.chunk(&mut end), literal)?;
        self.at += length;
        Some(value)
    }

    /// The same for a number that is probably `length` bytes long, which is set to how long it is.
    #[inline(always)]
    pub(crate) fn number_like<const N: usize>(
        &mut self,
        length: &mut usize,
        literal: &[u8; N],
    ) -> Option<i64> {
        let mut end = [0; NUMBER];
        let (value, read) = number_like(self.chunk(&mut end), length, literal)?;
        self.at += read;
        Some(value)
    }

    /// What comes next; near the end of the frame a copy in `end`, zeros behind it.
    #[inline(always)]
    fn chunk<'b>(&self, end: &'b mut [u8; NUMBER]) -> &'b [u8; NUMBER]
    where
        'a: 'b,
    {
        let rest = self.rest();
        if let Some(chunk) = rest.first_chunk() {
            return chunk;
        }
        end.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        end
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Goes on where `rest`, an end of [`Self::rest`], begins.
    pub(crate) const fn go_on_with(&mut self, rest: &[u8]) {
        self.at = self.bytes.len() - rest.len();
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
            behind in "[ -~]{0,40}",
            guess in 0usize..30,
        ) {
            let frame = format!("{text},{behind}");
            let mut one = Scanner::new(frame.as_bytes());
            let mut other = one.clone();
            let (mut length, mut guess) = (0, guess);
            let values = [one.number_then(b","), other.number_like(&mut guess, b",")];
            for (value, s) in values.into_iter().zip([&one, &other]) {
                let Some(value) = value else { continue };
                length = s.at() - 1;
                let read = &frame[..length];
                prop_assert!(!read.contains(','));
                prop_assert_eq!(market::parse_scaled(read.as_bytes()), Ok(i128::from(value)), "{}", read);
                prop_assert_eq!(Scanner::new(frame.as_bytes()).number(), Some(read.as_bytes()));
            }
            prop_assert!(values[1].is_none() || guess == length);
        }

        #[test]
        fn levels_of_a_layout_are_those_read_one_by_one(
            texts in proptest::collection::vec("[0-9]{0,9}(\\.[0-9]{0,9})?[\",0-9.]?", 4),
            layout in (0usize..10, 0usize..10, 0usize..10),
            like in any::<bool>(),
        ) {
            let window = |price: &str, size: &str| {
                let text = format!("[\"{price}\",\"{size}\"],[\"1.5\",\"2.5\"],[\"1.5\",\"2.5\"],[\"1.5\",\"2.5\"]]");
                *text.as_bytes().first_chunk::<WINDOW>().unwrap()
            };
            let first = pair(&window(&texts[0], &texts[1]));
            if let Some((level, _)) = first {
                let is = |text: &str, value: i64| market::parse_scaled(text.as_bytes()) == Ok(value.into());
                prop_assert!(is(&texts[0], level.price) && is(&texts[1], level.quantity), "{:?}", texts);
            }
            let (whole, places, size_places) = layout;
            let drawn = Layout { whole, places, size_places };
            let layout = first.map(|(_, layout)| layout).filter(|_| like).unwrap_or(drawn);
            if layout.is_usual() {
                let second = window(&texts[2], &texts[3]);
                if let Some(level) = layout.pair(&second) {
                    prop_assert_eq!(pair(&second).map(|(level, _)| level), Some(level), "{:?}", texts);
                } else if let Some((_, found)) = pair(&second) {
                    prop_assert_ne!(found, layout, "{:?}", texts);
                }
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
