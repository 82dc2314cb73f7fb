//! Numbers as the venues spell them, from exact integers at 1e-8. Nothing here passes through a float.

use std::io::Write as _;

const SCALE: u64 = 100_000_000;

/// Digits of a number, right-aligned: how the machinery of formatting is avoided, which costs more than the rest of a frame.
fn digits(mut v: u64, room: &mut [u8; 20]) -> usize {
    let mut at = room.len();
    loop {
        at -= 1;
        // Below ten, so that it fits.
        room[at] = b'0' + (v % 10) as u8;
        v /= 10;
        if v == 0 {
            return at;
        }
    }
}

fn whole(out: &mut Vec<u8>, v: u64) {
    let mut room = [b'0'; 20];
    let at = digits(v, &mut room);
    out.extend_from_slice(&room[at..]);
}

fn places8(v: u64) -> [u8; 8] {
    let mut room = [b'0'; 20];
    digits(v, &mut room);
    let mut places = [b'0'; 8];
    places.copy_from_slice(&room[12..]);
    places
}

/// Eight decimal places always, as Binance writes prices and quantities: `61685.99000000`.
pub fn fixed8(out: &mut Vec<u8>, value: i64) {
    let (sign, v) = split(value);
    out.extend_from_slice(sign.as_bytes());
    whole(out, v / SCALE);
    out.push(b'.');
    out.extend_from_slice(&places8(v % SCALE));
}

/// The shortest plain decimal: `116606000`, `0.06288509`.
pub fn plain(out: &mut Vec<u8>, value: i64) {
    let (sign, v) = split(value);
    out.extend_from_slice(sign.as_bytes());
    whole(out, v / SCALE);
    if !v.is_multiple_of(SCALE) {
        out.push(b'.');
        out.extend_from_slice(&places8(v % SCALE));
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// As Java's `Double.toString` spells it, which is what leaks into Upbit's frames: plain from 1e-3 to 1e7 with at least one
/// decimal (`2195.0`), else with an exponent (`1.16539E8`, `7.9276E-4`).
pub fn java_double(out: &mut Vec<u8>, value: i64) {
    let (sign, v) = split(value);
    if v == 0 {
        out.extend_from_slice(b"0.0");
        return;
    }
    if (SCALE / 1_000..SCALE * 10_000_000).contains(&v) {
        plain(out, value);
        if v % SCALE == 0 {
            out.extend_from_slice(b".0");
        }
        return;
    }
    let digits = v.to_string();
    let exponent = digits.len() as i32 - 9;
    let (first, rest) = digits.split_at(1);
    let rest = rest.trim_end_matches('0');
    let rest = if rest.is_empty() { "0" } else { rest };
    let _ = write!(out, "{sign}{first}.{rest}E{exponent}");
}

fn split(value: i64) -> (&'static str, u64) {
    (if value < 0 { "-" } else { "" }, value.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(f: fn(&mut Vec<u8>, i64), v: i64) -> String {
        let mut out = Vec::new();
        f(&mut out, v);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn spellings_of_the_recorded_frames() {
        assert_eq!(text(java_double, 116_539_000 * 100_000_000), "1.16539E8");
        assert_eq!(text(java_double, 49_120_000 * 100_000_000), "4.912E7");
        assert_eq!(text(java_double, 79_276), "7.9276E-4");
        assert_eq!(text(java_double, 50_000), "5.0E-4");
        assert_eq!(text(java_double, 6_288_509), "0.06288509");
        assert_eq!(text(java_double, 2_195 * 100_000_000), "2195.0");
        assert_eq!(text(java_double, 100_000), "0.001");
        assert_eq!(text(java_double, 1), "1.0E-8");
        assert_eq!(text(java_double, 10_000_000 * 100_000_000), "1.0E7");
        assert_eq!(text(plain, 116_606_000 * 100_000_000), "116606000");
        assert_eq!(text(plain, 4_050_000), "0.0405");
        assert_eq!(text(fixed8, 0), "0.00000000");
        assert_eq!(text(fixed8, 6_168_599_000_000), "61685.99000000");
    }
}
