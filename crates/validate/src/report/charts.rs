//! Curves with their thresholds: as inline SVG for HTML, as a small table for Markdown. No scaling is hidden: the value axis
//! starts at zero, a gap in the readings is a gap in the curve, thinning keeps every peak.

use super::html::Esc;
use super::model::{Cell, Table};
use super::words::{Words, fill};
use gate::value::figure;
use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 30.0;
/// Points drawn at most; beyond them each part of the run keeps its lowest and highest.
const MOST_POINTS: usize = 480;
/// Rows of the table that stands for the curve.
const ROWS: usize = 12;

/// A curve over the seconds of a phase.
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: String,
    /// What the value axis shows, unit included.
    pub(super) axis: String,
    pub(super) points: Vec<(f64, f64)>,
    /// Readings further apart than this many seconds are not joined.
    pub(super) gap_s: f64,
    pub(super) thresholds: Vec<Threshold>,
    pub(super) end_s: f64,
    /// True when a table of the same readings stands beside it.
    pub(super) tabled: bool,
}

/// A straight line to hold a curve against.
pub(super) struct Threshold {
    pub(super) label: &'static str,
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
    /// True for the line beyond which a run is stopped.
    pub(super) hard: bool,
}

impl Chart {
    fn bounds(&self) -> Option<(f64, f64)> {
        let finite = self.points.iter().map(|p| p.1).filter(|v| v.is_finite());
        finite.fold(None, |found: Option<(f64, f64)>, v| {
            Some(found.map_or((v, v), |(lo, hi)| (lo.min(v), hi.max(v))))
        })
    }

    /// One sentence for those who cannot see the curve.
    pub(super) fn description(&self, w: &Words) -> String {
        let (low, high) = self.bounds().map_or_else(
            || (w.not_stated.to_owned(), w.not_stated.to_owned()),
            |(lo, hi)| (figure(round(lo)), figure(round(hi))),
        );
        let mut text = fill(w.chart_desc, &[&self.points.len().to_string(), &clock(self.end_s), &low, &high]);
        for line in &self.thresholds {
            // A level names its value; a rising line says where it ends.
            let _ = if line.from.1 == line.to.1 {
                write!(text, " {}.", line.label)
            } else {
                write!(
                    text,
                    " {}: {} - {}.",
                    line.label,
                    figure(round(line.from.1)),
                    figure(round(line.to.1))
                )
            };
        }
        text
    }

    /// The curve as inline SVG.
    pub(super) fn svg(&self, w: &Words) -> String {
        let top = self.thresholds.iter().flat_map(|t| [t.from.1, t.to.1]).chain(self.bounds().map(|b| b.1));
        let (ceiling, step) = nice(top.filter(|v| v.is_finite()).fold(0.0, f64::max));
        let end = self.points.last().map_or(self.end_s, |p| self.end_s.max(p.0)).max(1.0);
        let x = |t: f64| LEFT + (WIDTH - LEFT - RIGHT) * (t / end).clamp(0.0, 1.0);
        let y = |v: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (v / ceiling).clamp(0.0, 1.0);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" class=\"chart\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            Esc(&self.title),
            Esc(&self.description(w)),
            id = self.id,
        );
        let mut value = 0.0;
        while value <= ceiling + step / 2.0 {
            let at = y(value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"tick\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                Esc(&figure(round(value))),
            );
            value += step;
        }
        for sixth in 0..=6_i32 {
            let t = end * f64::from(sixth) / 6.0;
            let anchor = match sixth {
                0 => "start",
                6 => "end",
                _ => "middle",
            };
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{}</text>",
                x(t),
                HEIGHT - 10.0,
                Esc(&clock(t)),
            );
        }
        let finite: Vec<_> =
            self.points.iter().copied().filter(|(t, v)| t.is_finite() && v.is_finite()).collect();
        for run in runs(&finite, self.gap_s) {
            let run = thin(&run, MOST_POINTS * run.len() / finite.len());
            if let [only] = run.as_slice() {
                let _ = write!(
                    svg,
                    "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"/>",
                    x(only.0),
                    y(only.1)
                );
                continue;
            }
            let path: Vec<String> = run.iter().map(|(t, v)| format!("{:.1},{:.1}", x(*t), y(*v))).collect();
            let _ = write!(svg, "<polyline class=\"curve\" points=\"{}\"/>", path.join(" "));
        }
        for line in &self.thresholds {
            let class = if line.hard { "limit hard" } else { "limit" };
            let _ = write!(
                svg,
                "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/><text class=\"limit-label\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                x(line.from.0),
                y(line.from.1),
                x(line.to.0),
                y(line.to.1),
                WIDTH - RIGHT - 4.0,
                y(line.to.1) - 5.0,
                Esc(line.label),
            );
        }
        svg.push_str("</svg>");
        svg
    }

    /// The curve as a table: lowest, mean and highest reading of each part of the run.
    pub(super) fn table(&self, w: &'static Words) -> Table {
        let count = ROWS.min(self.points.len()).max(1);
        let width = (self.end_s / count as f64).max(f64::MIN_POSITIVE);
        let rows = (0..count)
            .map(|i| {
                let (from, to) = (width * i as f64, width * (i + 1) as f64);
                let last = i + 1 == count;
                let inside: Vec<f64> = self
                    .points
                    .iter()
                    .filter(|(t, _)| *t >= from && (*t < to || last))
                    .map(|p| p.1)
                    .collect();
                let part = Cell::Text(format!("{} - {}", clock(from), clock(to)));
                if inside.is_empty() {
                    let missing = || Cell::Text(w.no_observation.to_owned());
                    return vec![part, missing(), missing(), missing()];
                }
                let low = inside.iter().copied().fold(f64::INFINITY, f64::min);
                let high = inside.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mean = inside.iter().sum::<f64>() / inside.len() as f64;
                let number = |v: f64| Cell::Number(figure(round(v)));
                vec![part, number(low), number(mean), number(high)]
            })
            .collect();
        Table {
            caption: format!("{} ({})", self.title, self.axis),
            head: vec![w.col_part, w.col_low, w.col_mean, w.col_high],
            rows,
        }
    }
}

/// `0:40`, `12:00`, `1:00:00`.
pub(super) fn clock(seconds: f64) -> String {
    let s = if seconds.is_finite() { seconds.max(0.0).round() as u64 } else { 0 };
    if s >= 3_600 {
        format!("{}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

/// Two decimals: a reading of a chart, not of a table.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// A round ceiling above `top` and the step of its grid: 1, 2, 2.5 or 5 times a power of ten.
fn nice(top: f64) -> (f64, f64) {
    if top <= 0.0 || !top.is_finite() {
        return (1.0, 0.25);
    }
    let rough = top * 1.08 / 4.0;
    let magnitude = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * magnitude).find(|s| *s >= rough).unwrap_or(rough);
    ((top * 1.08 / step).ceil() * step, step)
}

/// Keeps the lowest and the highest reading of each part.
fn thin(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most.max(2) {
        return points.to_vec();
    }
    let size = points.len().div_ceil((most / 2).max(1));
    let mut kept = Vec::with_capacity(most + 2);
    for part in points.chunks(size) {
        let by = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        if let (Some(low), Some(high)) = (part.iter().min_by(by), part.iter().max_by(by)) {
            let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
            kept.push(*first);
            if second.0 > first.0 {
                kept.push(*second);
            }
        }
    }
    kept
}

/// Splits where readings are missing.
fn runs(points: &[(f64, f64)], gap_s: f64) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
    for point in points {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| point.0 - last.0 <= gap_s) => run.push(*point),
            _ => runs.push(vec![*point]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_are_round_and_above() {
        for top in [0.3, 1.0, 79.9, 80.0, 100.0, 1234.5] {
            let (ceiling, step) = nice(top);
            assert!(ceiling >= top && ceiling <= top * 2.2, "{top}: {ceiling}");
            assert!((ceiling / step).fract().abs() < 1e-9);
        }
        assert_eq!(nice(0.0), (1.0, 0.25));
        assert_eq!(nice(100.0), (150.0, 50.0));
    }

    #[test]
    fn thinning_keeps_peaks_and_order() {
        let mut points: Vec<(f64, f64)> = (0..5_000).map(|i| (f64::from(i), 1.0)).collect();
        points[3_333].1 = 99.0;
        let kept = thin(&points, MOST_POINTS);
        assert!(kept.len() <= MOST_POINTS + 2);
        assert!(kept.iter().any(|p| p.1 == 99.0));
        assert!(kept.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn gaps_are_gaps() {
        let parts = runs(&[(0.0, 1.0), (1.0, 1.0), (9.0, 1.0)], 3.0);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn clocks() {
        assert_eq!(
            [clock(0.0), clock(59.6), clock(3_600.0), clock(f64::NAN)],
            ["0:00", "1:00", "1:00:00", "0:00"]
        );
    }
}
