//! The gaps between `Iteration [N]` lines of a console log, by the lines' own time stamps: where the loop stood still.

use gate::evidence::{Found, IterationGap};
use std::io::BufRead;
use std::path::Path;

/// A larger log is not read for this: the diagnosis names the file instead.
const MAX_BYTES: u64 = 256 << 20;
/// Gaps that are kept.
const KEPT: usize = 5;

/// The longest gaps, longest first.
pub(crate) fn gaps(console: &Path) -> Found<Vec<IterationGap>> {
    let file = match std::fs::File::open(console) {
        Ok(file) => file,
        Err(e) => return Found::No(format!("the console log cannot be read: {e}")),
    };
    match file.metadata() {
        Ok(about) if about.len() > MAX_BYTES => {
            return Found::No(format!("the console log of {} bytes is not read for them", about.len()));
        }
        Ok(_) => {}
        Err(e) => return Found::No(format!("the console log cannot be read: {e}")),
    }
    of_lines(std::io::BufReader::new(file))
}

fn of_lines(mut lines: impl BufRead) -> Found<Vec<IterationGap>> {
    let finder = memchr::memmem::Finder::new(b"Iteration [");
    let mut last: Option<(String, f64, u64)> = None;
    let mut gaps: Vec<IterationGap> = Vec::new();
    let mut line = Vec::new();
    let mut seen = 0u64;
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) => return Found::No(format!("the console log cannot be read: {e}")),
        }
        let Some(at) = finder.find(&line) else { continue };
        seen += 1;
        let text = String::from_utf8_lossy(&line);
        let Some(n) = number(line.get(at + 11..).unwrap_or_default()) else { continue };
        let Some((stamp, t)) = stamp(&text) else { continue };
        if let Some((before, t0, from)) = &last
            && t >= *t0
        {
            gaps.push(IterationGap { at: before.clone(), seconds: t - t0, from: *from, to: n });
            if gaps.len() > 4 * KEPT {
                shorten(&mut gaps);
            }
        }
        last = Some((stamp, t, n));
    }
    if gaps.is_empty() {
        return Found::No(match seen {
            0 => "no Iteration line in the console log".to_owned(),
            _ => "fewer than two Iteration lines with a time stamp in the console log".to_owned(),
        });
    }
    shorten(&mut gaps);
    Found::Yes(gaps)
}

fn shorten(gaps: &mut Vec<IterationGap>) {
    gaps.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then_with(|| a.from.cmp(&b.from)));
    gaps.truncate(KEPT);
}

fn number(text: &[u8]) -> Option<u64> {
    let digits: String = text.iter().take_while(|b| b.is_ascii_digit()).map(|b| char::from(*b)).collect();
    digits.parse().ok()
}

/// The first time stamp of a line, as written and in seconds: `2026-01-02T03:04:05.678Z` or `2026-01-02 03:04:05,678`.
pub(crate) fn stamp(line: &str) -> Option<(String, f64)> {
    let starts = line.char_indices().take(40).filter(|(_, c)| c.is_ascii_digit()).map(|(i, _)| i);
    for start in starts {
        let rest = &line[start..];
        let end = rest.find(|c: char| !(c.is_ascii_digit() || "-:.,T Z+".contains(c))).unwrap_or(rest.len());
        let written = rest[..end].trim_end_matches([' ', '-', ':', ',', '.']);
        if let Some(t) = seconds(written) {
            return Some((written.to_owned(), t));
        }
    }
    None
}

/// Seconds since the epoch of a written instant; without a zone it is taken as UTC, which differences do not mind.
pub(crate) fn seconds(written: &str) -> Option<f64> {
    let plain = written.replace(',', ".");
    let of = |t: jiff::Timestamp| t.as_nanosecond() as f64 / 1e9;
    if let Ok(t) = plain.parse::<jiff::Timestamp>() {
        return Some(of(t));
    }
    let plain = plain.trim_end_matches('Z').trim();
    let civil: jiff::civil::DateTime = plain.parse().ok()?;
    // A date alone is no instant.
    (plain.len() > 10).then(|| civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| of(z.timestamp())))?
}

#[cfg(test)]
mod tests {
    use super::{Found, of_lines, stamp};

    #[test]
    fn the_longest_silence_is_found() {
        let log = "2026-01-02T03:00:00.000Z INFO Iteration [10] pnl 0\n\
                   2026-01-02T03:01:00.000Z INFO Iteration [20] pnl 0\n\
                   something else\n\
                   2026-01-02T03:05:30.500Z INFO Iteration [30] pnl 0\n";
        let Found::Yes(gaps) = of_lines(log.as_bytes()) else { panic!() };
        assert_eq!((gaps[0].seconds, gaps[0].from, gaps[0].to), (270.5, 20, 30));
        assert_eq!(gaps[0].at, "2026-01-02T03:01:00.000Z");
        assert!(matches!(of_lines(&b"nothing\n"[..]), Found::No(_)));
    }

    #[test]
    fn stamps_of_other_hands_are_read() {
        for line in
            ["[2026-01-02 03:04:05,500] x", "2026-01-02 03:04:05.500 - x", "INFO 2026-01-02T03:04:05.500Z x"]
        {
            assert_eq!(stamp(line).map(|(_, t)| t), Some(1_767_323_045.5), "{line}");
        }
        assert_eq!(stamp("Iteration [7]"), None);
    }
}
