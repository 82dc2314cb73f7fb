//! What stands in front of every line of a trace when a logger or a collector writes it line by line: a time, a host, a name.

/// Longest prefix that is looked at, bytes.
const LONGEST: usize = 160;

/// A prefix by its shape: digits may differ from line to line, everything else is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix(Vec<u8>);

fn folded(byte: u8) -> u8 {
    if byte.is_ascii_digit() { b'0' } else { byte }
}

impl Prefix {
    /// The prefix, unless it is white space alone, a quotation or the beginning of a JSON line: a quoted trace is none.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let trimmed = bytes.trim_ascii();
        let quotes = |b: Option<&u8>| b.is_none_or(|b| matches!(b, b'>' | b'"' | b'\'' | b'`' | b'*' | b'#'));
        if bytes.len() > LONGEST || quotes(trimmed.first()) || quotes(trimmed.last()) {
            return None;
        }
        let opens = matches!(trimmed.first(), Some(b'{' | b'|')) || bytes[0].is_ascii_whitespace();
        (!opens).then(|| Self(bytes.iter().copied().map(folded).collect()))
    }

    /// The line behind the prefix; the line itself when it does not begin with it.
    pub(super) fn strip<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        self.rest(line).unwrap_or(line)
    }

    fn rest<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        if let Some((head, rest)) = line.split_at_checked(self.0.len()) {
            let same = head.iter().zip(&self.0).all(|(a, b)| folded(*a) == *b);
            return same.then_some(rest);
        }
        // An empty line of the trace: collectors cut the blank at the end.
        let bare = self.0.trim_ascii_end();
        let same = line.len() >= bare.len() && line.iter().zip(&self.0).all(|(a, b)| folded(*a) == *b);
        same.then_some(&[])
    }

    /// True when the line begins with it.
    pub(super) fn is_on(&self, line: &[u8]) -> bool {
        self.rest(line).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_may_differ() {
        let prefix = Prefix::of(b"2026-11-23 05:43:02,355 CRITICAL bot: ").unwrap();
        assert_eq!(prefix.strip(b"2026-11-24 06:44:03,999 CRITICAL bot:   File"), b"  File");
        assert_eq!(prefix.strip(b"2026-11-24 06:44:03,999 CRITICAL bot:"), b"");
        assert_eq!(
            prefix.strip(b"2026-11-24 06:44:03,999 INFO bot: x"),
            b"2026-11-24 06:44:03,999 INFO bot: x"
        );
        assert!(prefix.is_on(b"2026-11-24 06:44:03,999 CRITICAL bot: x") && !prefix.is_on(b"x"));
    }

    #[test]
    fn quotations_are_no_prefix() {
        for quote in ["> ", "    ", "\t", "\"", "{\"a\":\"", "# ", "say '", " bot: "] {
            assert_eq!(Prefix::of(quote.as_bytes()), None, "{quote}");
        }
    }
}
