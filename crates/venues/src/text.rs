//! Spellings: JSON scalars without a float in between, and the dates that venues send.

use crate::error::{Problem, WireError};
use market::{Asset, DecimalError, Money, Timestamp};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;

/// A frame or an answer as text.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|e| WireError::new("frame", Problem::Json(e.to_string()), bytes))
}

/// The characters of a number or of a string without escapes.
pub(crate) fn scalar(raw: &RawValue) -> Result<&str, Problem> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => plain_string(text).ok_or(Problem::Shape),
        Some(b'-' | b'0'..=b'9') => Ok(text),
        _ => Err(Problem::Shape),
    }
}

/// The inside of a JSON string without escapes.
pub(crate) fn plain_string(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('\\')).then_some(inner)
}

/// The text of a JSON string, escapes resolved: for values that are compared, not handed on.
pub(crate) fn decoded(raw: &RawValue) -> Option<Cow<'_, str>> {
    match plain_string(raw.get()) {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::from_str(raw.get()).ok().map(Cow::Owned),
    }
}

/// The inside of a JSON string without escapes, from a raw value.
pub(crate) fn string(raw: &RawValue) -> Result<&str, Problem> {
    plain_string(raw.get()).ok_or(Problem::Shape)
}

/// A whole number. No sign, no fraction: ids and times.
pub(crate) fn integer(raw: &RawValue) -> Result<u64, Problem> {
    raw.get().parse().map_err(|_| Problem::Shape)
}

/// A time in milliseconds since the epoch.
pub(crate) fn millis(raw: &RawValue) -> Result<Timestamp, Problem> {
    instant(integer(raw)?).ok_or(Problem::Number(DecimalError::TooLarge))
}

/// Milliseconds since the epoch as a time. `None` beyond the year 2262, where nanoseconds no longer fit.
pub(crate) fn instant(ms: u64) -> Option<Timestamp> {
    let ms = i64::try_from(ms).ok()?;
    ms.checked_mul(1_000_000).map(|_| Timestamp::from_millis(ms))
}

/// An amount whose spelling may have more than eight places (turnovers do): rounded toward zero.
pub(crate) fn money_truncated(text: &str) -> Result<Money, DecimalError> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(i) => text.split_at(i),
        None => (text, ""),
    };
    let mut digits = mantissa.to_owned();
    loop {
        match Money::parse(&format!("{digits}{exponent}")) {
            Err(DecimalError::TooPrecise) if digits.contains('.') => {
                digits.pop();
            }
            other => return other,
        }
    }
}

/// An asset's ticker, `None` when it is none of ours (venues list names in other scripts too).
pub(crate) fn asset(text: &str) -> Option<Asset> {
    Asset::new(text).ok()
}

/// `2025-06-30T23:59:59`, UTC, with or without a final `Z`.
pub(crate) fn iso_utc(text: &str) -> Option<Timestamp> {
    let b = text.strip_suffix('Z').unwrap_or(text).as_bytes();
    if b.len() != 19 || b[4] != b'-' || b[7] != b'-' || b[10] != b'T' || b[13] != b':' || b[16] != b':' {
        return None;
    }
    let n = |from: usize, to: usize| digits(&b[from..to]);
    civil(n(0, 4)?, n(5, 7)?, n(8, 10)?, n(11, 13)?, n(14, 16)?, n(17, 19)?)
}

/// `Tue, 15 Nov 1994 08:12:31 GMT`, the `Date` header's form (RFC 9110, IMF-fixdate).
#[cfg_attr(not(feature = "net"), expect(dead_code, reason = "only the shell reads headers"))]
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let b = text.as_bytes();
    if b.len() != 29 || !text.is_ascii() || !text.ends_with(" GMT") {
        return None;
    }
    let month = MONTHS.iter().position(|m| *m == &text[8..11])? as i64 + 1;
    let n = |from: usize, to: usize| digits(&b[from..to]);
    civil(n(12, 16)?, month, n(5, 7)?, n(17, 19)?, n(20, 22)?, n(23, 25)?)
}

/// A wait that a refusal of Upbit names in its text, such as `blocked for 3 minutes`: the first number with its unit, seconds
/// when no unit is understood.
#[cfg_attr(not(feature = "net"), expect(dead_code, reason = "only the shell is refused"))]
pub(crate) fn wait_in(text: &str) -> Option<Duration> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let rest = &text[start..];
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let count: u64 = rest[..end].parse().ok()?;
    let unit = rest[end..].trim_start().to_ascii_lowercase();
    let seconds = match unit.as_str() {
        u if u.starts_with("ms") || u.starts_with("milli") => return Some(Duration::from_millis(count)),
        u if u.starts_with('m') || u.starts_with('분') => 60,
        u if u.starts_with('h') || u.starts_with("시간") => 3_600,
        u if u.starts_with("day") || u.starts_with('일') => 86_400,
        _ => 1,
    };
    Some(Duration::from_secs(count.checked_mul(seconds)?))
}

/// The end of a ban that Binance names in its text as milliseconds since the epoch: `IP banned until 1573488273452`.
#[cfg_attr(not(feature = "net"), expect(dead_code, reason = "only the shell is banned"))]
pub(crate) fn until_in(text: &str) -> Option<Timestamp> {
    let rest = &text[text.find("until ")? + 6..];
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    // Thirteen digits are milliseconds from 2001 to 2286; anything else is no time.
    (end == 13).then(|| rest[..end].parse().ok().map(Timestamp::from_millis)).flatten()
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0i64, |v, b| b.is_ascii_digit().then(|| v * 10 + i64::from(b - b'0')))
}

/// Days from the civil calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<Timestamp> {
    let sane = (1970..=2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !sane {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    let days = era * 146_097 + doe - 719_468;
    Some(Timestamp::from_secs(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(iso_utc("1970-01-01T00:00:00"), Some(Timestamp(0)));
        assert_eq!(iso_utc("2025-06-30T23:59:59"), Some(Timestamp::from_secs(1_751_327_999)));
        assert_eq!(iso_utc("2024-02-29T00:00:00Z"), Some(Timestamp::from_secs(1_709_164_800)));
        assert_eq!(iso_utc("2024-13-01T00:00:00"), None);
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp::from_secs(784_111_777)));
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn waits() {
        assert_eq!(wait_in("blocked for 3 minutes"), Some(Duration::from_secs(180)));
        assert_eq!(wait_in("retry in 45 seconds"), Some(Duration::from_secs(45)));
        assert_eq!(wait_in("2시간 동안 차단"), Some(Duration::from_secs(7_200)));
        assert_eq!(wait_in("no number"), None);
        let text =
            "Way too much request weight used; IP banned until 1573488273452. Please use the websocket";
        assert_eq!(until_in(text), Some(Timestamp::from_millis(1_573_488_273_452)));
        assert_eq!(until_in("current limit is 6000 requests per minute"), None);
    }

    #[test]
    fn turnovers_have_many_places() {
        let money = |text| money_truncated(text).map(|m| m.to_string());
        assert_eq!(money("85934950517.438245678912"), Ok("85934950517.43824567".to_owned()));
        assert_eq!(money("1.784483293149668612345E11"), Ok("178448329314.96686123".to_owned()));
        assert_eq!(money("12"), Ok("12".to_owned()));
        assert_eq!(money("x"), Err(DecimalError::Syntax));
    }
}
