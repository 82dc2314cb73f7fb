//! Promtool's notation of an input series: `1 2 3`, `0+10x5` (0, 10, .. 50), `100-1x3`, `7x3` (7, 7, 7, 7), `_` and `_x3` for
//! missing samples, `stale`, `NaN`, `Inf`. A native histogram (`{{..}}`) is not part of it here.

use std::ops::Range;

/// What is wrong with a series, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What.
    pub what: String,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// Longest series: a year of polls at 10 s.
const MOST: usize = 3_200_000;

/// The values one after the other; `None` is a missing sample.
pub(super) fn values(text: &str) -> Result<Vec<Option<f64>>, Wrong> {
    let mut values = Vec::new();
    let mut at = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let trimmed = word.trim();
        let start = at + word.find(trimmed).unwrap_or(0);
        at += word.len();
        if trimmed.is_empty() {
            continue;
        }
        let span = start..start + trimmed.len();
        one(trimmed, &mut values).map_err(|what| Wrong { what, span: span.clone() })?;
        if values.len() > MOST {
            return Err(Wrong { what: format!("more than {MOST} values"), span });
        }
    }
    Ok(values)
}

fn one(word: &str, values: &mut Vec<Option<f64>>) -> Result<(), String> {
    if matches!(word, "_" | "stale") {
        values.push(None);
        return Ok(());
    }
    if let Some(times) = word.strip_prefix("_x") {
        let n = repeats(times)?;
        values.extend(std::iter::repeat_n(None, n));
        return Ok(());
    }
    if let Some(number) = number(word) {
        values.push(Some(number));
        return Ok(());
    }
    let (left, times) = word
        .rsplit_once('x')
        .ok_or_else(|| format!("{word:?} is no number; write 1, 0+10x5, 7x3, _, _x3, stale or NaN"))?;
    let n = repeats(times)?;
    let (start, step) = expansion(left).ok_or_else(|| {
        format!("{left:?} is neither a number nor a start with a step, such as 0+10 in 0+10x5")
    })?;
    values.extend((0..=n).map(|i| Some(start + step * i as f64)));
    Ok(())
}

fn repeats(text: &str) -> Result<usize, String> {
    let n: usize = text.parse().map_err(|_| format!("{text:?} is no number of repetitions"))?;
    if n > MOST { Err(format!("{n} repetitions are more than {MOST}")) } else { Ok(n) }
}

/// `a`, `a+b`, `a-b`: where it begins and its step. A sign behind an `e` is the exponent's.
fn expansion(text: &str) -> Option<(f64, f64)> {
    if let Some(constant) = number(text) {
        return Some((constant, 0.0));
    }
    let sign = text
        .char_indices()
        .skip(1)
        .find(|(i, c)| matches!(c, '+' | '-') && !text[..*i].ends_with(['e', 'E']))
        .map(|(i, _)| i)?;
    let start = number(&text[..sign])?;
    let step = number(&text[sign + 1..])?;
    Some((start, if text[sign..].starts_with('-') { -step } else { step }))
}

fn number(text: &str) -> Option<f64> {
    let known = text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c))
        || matches!(text.trim_start_matches(['+', '-']), "NaN" | "Inf");
    if known { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn promtools_examples() {
        let some = |list: &[f64]| list.iter().map(|x| Some(*x)).collect::<Vec<_>>();
        assert_eq!(values("-2+4x3").unwrap(), some(&[-2.0, 2.0, 6.0, 10.0]));
        assert_eq!(values(" 1-2x4").unwrap(), some(&[1.0, -1.0, -3.0, -5.0, -7.0]));
        assert_eq!(values("1x4").unwrap(), some(&[1.0; 5]));
        assert_eq!(values("1e-3+1e-1x1 5").unwrap(), some(&[0.001, 0.101, 5.0]));
        assert_eq!(values("4 _x3 stale 5").unwrap(), [Some(4.0), None, None, None, None, Some(5.0)]);
        assert!(values("NaN").unwrap()[0].unwrap().is_nan());
        assert_eq!(values("-Inf").unwrap(), [Some(f64::NEG_INFINITY)]);
        assert_eq!(values("").unwrap(), []);
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, part, at) in [
            ("1 2 many", "\"many\"", 4),
            ("0+1x", "repetitions", 0),
            ("1 +x3", "neither", 2),
            ("1 {{schema:1}}", "no number", 2),
            ("0x99999999", "more than", 0),
        ] {
            let wrong = values(text).unwrap_err();
            assert!(wrong.what.contains(part), "{text}: {}", wrong.what);
            assert_eq!(wrong.span.start, at, "{text}");
        }
    }
}
