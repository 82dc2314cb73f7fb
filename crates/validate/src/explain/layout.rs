//! Tables, sections and the spelling of figures on a terminal: aligned, quiet.

use crate::terminal::{Ink, Paint};
use journal::record::{Direction, Purpose};
use market::{Money, Price, Quantity, Side, Timestamp, Venue};
use std::fmt::Write as _;

pub(super) const SCALE: u128 = 100_000_000;

/// Columns of text. The first is aligned to the left, the others to the right unless `left` names them.
pub(super) struct Table {
    pub(super) rows: Vec<Vec<String>>,
    pub(super) left: Vec<usize>,
    indent: usize,
}

impl Table {
    pub(super) fn new(indent: usize, left: &[usize]) -> Self {
        Self { rows: Vec::new(), left: left.to_vec(), indent }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    pub(super) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let wide = |c: usize| self.rows.iter().filter_map(|r| Some(r.get(c)?.chars().count())).max();
        let widths: Vec<usize> = (0..columns).map(|c| wide(c).unwrap_or(0)).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (c, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[c] - cell.chars().count());
                line += &if c == 0 || self.left.contains(&c) {
                    format!("{cell}{pad}")
                } else {
                    format!("{pad}{cell}")
                };
                line += "  ";
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

/// Labelled lines under a heading.
pub(super) struct Section<'a> {
    title: &'a str,
    note: String,
    pub(super) rows: Vec<(String, String)>,
}

impl<'a> Section<'a> {
    pub(super) fn new(title: &'a str, note: String) -> Self {
        Self { title, note, rows: Vec::new() }
    }

    pub(super) fn say(&mut self, label: &str, text: impl Into<String>) {
        self.rows.push((label.to_owned(), text.into()));
    }

    pub(super) fn heading(title: &str, note: &str, paint: Paint) -> String {
        let note = if note.is_empty() { String::new() } else { format!("  {}", paint.ink(Ink::Soft, note)) };
        format!("\n{}{note}\n", paint.ink(Ink::Bold, title))
    }

    pub(super) fn text(&self, paint: Paint) -> String {
        let width = self.rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let mut out = Self::heading(self.title, &self.note, paint);
        for (label, text) in &self.rows {
            let label = format!("{label:<width$}");
            let _ = writeln!(out, "  {}  {text}", paint.ink(Ink::Soft, &label));
        }
        out
    }
}

/// `1,234,567.8901` of a number at 1e-8, with at least and at most so many decimals (rounded half up).
pub(super) fn grouped(raw: i128, least: usize, most: usize) -> String {
    let step = 10u128.pow(8 - most.min(8) as u32);
    let rounded = (raw.unsigned_abs() + step / 2) / step * step;
    let whole = (rounded / SCALE).to_string();
    let mut out = if raw < 0 && rounded > 0 { "-".to_owned() } else { String::new() };
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let mut decimals = format!("{:08}", rounded % SCALE);
    decimals.truncate(most);
    while decimals.len() > least && decimals.ends_with('0') {
        decimals.pop();
    }
    if decimals.is_empty() { out } else { format!("{out}.{decimals}") }
}

pub(super) fn price(price: Price) -> String {
    grouped(price.0.into(), 0, 8)
}

/// An average: what rounding left behind its eighth digit is nobody's price.
pub(super) fn average(price: Price) -> String {
    let digits = price.0.unsigned_abs().to_string().len();
    grouped(price.0.into(), 0, 8 - digits.saturating_sub(8).min(8))
}

pub(super) fn quantity(quantity: Quantity) -> String {
    grouped(quantity.0, 0, 8)
}

pub(super) fn usd(money: Money) -> String {
    let sign = if money.0 > 0 { "+" } else { "" };
    format!("{sign}{}", grouped(money.0, 4, 4))
}

pub(super) fn bps(value: f64) -> String {
    // A value that rounds to nothing has no sign.
    let shown = format!("{value:+.1}");
    if matches!(shown.as_str(), "-0.0" | "+0.0") { "0.0".to_owned() } else { shown }
}

pub(super) fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), bps)
}

/// `+0 ms`, `+93.0 ms`, `+3.21 s`, `+4 min 10 s`.
pub(super) fn after(ms: f64) -> String {
    let (sign, size) = if ms < 0.0 { ("-", -ms) } else { ("+", ms) };
    format!("{sign}{}", span(size))
}

pub(super) fn span(ms: f64) -> String {
    match ms {
        m if m < 1_000.0 => {
            let text = format!("{m:.1}");
            format!("{} ms", text.strip_suffix(".0").unwrap_or(&text))
        }
        m if m < 60_000.0 => format!("{:.2} s", m / 1e3),
        m if m < 3_600_000.0 => format!("{} min {} s", (m / 60_000.0) as u64, (m % 60_000.0 / 1e3) as u64),
        m => format!("{} h {} min", (m / 3_600_000.0) as u64, (m % 3_600_000.0 / 60_000.0) as u64),
    }
}

pub(super) fn clock(at: Timestamp, pattern: &str) -> String {
    jiff::Timestamp::from_nanosecond(at.0.into())
        .map_or_else(|_| format!("{} ns after 1970", at.0), |t| t.strftime(pattern).to_string())
}

pub(super) fn moment(at: Timestamp) -> String {
    clock(at, "%Y-%m-%d %H:%M:%S.%3f UTC")
}

pub(super) fn venue(venue: Venue) -> &'static str {
    match venue {
        Venue::Upbit => "Upbit",
        Venue::Binance => "Binance",
    }
}

pub(super) fn route(direction: Direction) -> String {
    let buys = direction.buys_on();
    format!("buy on {}, sell on {}", venue(buys), venue(buys.other()))
}

pub(super) fn spoken(reason: &str) -> String {
    reason.replace('_', " ")
}

pub(super) fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Entry => "entry",
        Purpose::Exit => "exit",
        Purpose::Complete => "completion",
        Purpose::Unwind => "unwind",
    }
}

pub(super) fn side(takes: Side) -> &'static str {
    if takes == Side::Ask { "buy" } else { "sell" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_spans_are_short() {
        assert_eq!(grouped(150_703_000 * 100_000_000, 0, 8), "150,703,000");
        assert_eq!(grouped(-1_234_567_891_234, 2, 4), "-12,345.6789");
        assert_eq!(grouped(440_512_000_000, 0, 8), "4,405.12");
        assert_eq!(grouped(-1, 2, 2), "0.00", "what rounds to nothing has no sign");
        assert_eq!(usd(Money(63_120_000)), "+0.6312");
        assert_eq!([bps(-0.01), bps(12.34)], ["0.0", "+12.3"]);
        let spans = [0.0, 93.0, 93.4, 3_210.0, 250_000.0, 7_260_000.0].map(span);
        assert_eq!(spans, ["0 ms", "93 ms", "93.4 ms", "3.21 s", "4 min 10 s", "2 h 1 min"]);
    }

    #[test]
    fn tables_are_aligned() {
        let mut table = Table::new(2, &[2]);
        table.row(["a", "1", "left"].map(str::to_owned));
        table.row(["long", "1000", "x"].map(str::to_owned));
        assert_eq!(table.text(), "  a        1  left\n  long  1000  x\n");
    }
}
