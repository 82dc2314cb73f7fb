//! A scanner over JSON of a known schema, without allocation.
//!
//! It accepts a subset of JSON: strings of printable ASCII without escapes, numbers by the JSON grammar, objects and
//! arrays. Every method answers `None` at anything else, and the caller falls back on serde_json; so whatever the
//! scanner accepts, serde_json accepts with the same meaning.

pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next byte that is no space, not consumed.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.space();
        self.bytes.get(self.at).copied()
    }

    /// Consumes `byte`.
    pub(crate) fn open(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Consumes `close` if it is next: an empty list.
    pub(crate) fn is_empty(&mut self, close: u8) -> bool {
        self.open(close).is_some()
    }

    /// After an element: `true` at `close`, `false` at a comma.
    pub(crate) fn close(&mut self, close: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == close { Some(true) } else { (byte == b',').then_some(false) }
    }

    /// An object's key and its colon.
    pub(crate) fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.string()?;
        self.open(b':')?;
        Some(key)
    }

    /// A string of printable ASCII without escapes.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        self.open(b'"')?;
        let start = self.at;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => break,
                b'\\' => return None,
                b' '..=b'~' => self.at += 1,
                _ => return None,
            }
        }
        let text = &self.bytes[start..self.at];
        self.at += 1;
        Some(text)
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

    /// A whole number without a sign.
    pub(crate) fn integer(&mut self) -> Option<u64> {
        let text = self.number()?;
        text.iter().try_fold(0u64, |value, b| {
            let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
            value.checked_mul(10)?.checked_add(digit)
        })
    }

    /// Nothing but space is left.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }
}
