//! Small statistics: median, Theil-Sen slope, memory growth, bootstrap. All deterministic.

use crate::evidence::{PhaseEvidence, Settings};
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The median. `None` when empty.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(sorted[n / 2]),
        _ => Some((sorted[n / 2 - 1] + sorted[n / 2]) / 2.0),
    }
}

/// The Theil-Sen slope: the median of the slopes of all pairs. `None` below two points.
pub(crate) fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::new();
    for (i, a) in points.iter().enumerate() {
        for b in &points[i + 1..] {
            if b.0 > a.0 {
                slopes.push((b.1 - a.1) / (b.0 - a.0));
            }
        }
    }
    median(&slopes)
}

/// Memory growth of a phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    /// Percent of the first window's median per hour.
    pub pct_per_h: f64,
    /// Bytes per hour.
    pub bytes_per_h: f64,
    /// The plain `(end - start) / start`, percent.
    pub plain_pct: f64,
}

/// `memory_growth_pct_per_h`: Theil-Sen through the windows' minima of PSS, the settling time left out.
///
/// # Errors
/// Why there is too little data.
pub(crate) fn memory_growth(phase: &PhaseEvidence, settings: &Settings) -> Result<Growth, String> {
    let end = phase.end.as_ref().map_or(f64::INFINITY, |e| e.stop_sent_s.unwrap_or(e.ran_s));
    let points: Vec<(f64, f64)> = phase
        .samples
        .iter()
        .filter(|s| s.t >= settings.memory_skip_s && s.t <= end)
        .filter_map(|s| s.os.get().map(|os| (s.t, os.pss_bytes as f64)))
        .filter(|(_, pss)| *pss > 0.0)
        .collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Err("no memory reading after the settling time".to_owned());
    };
    let covered = last.0 - first.0;
    // One poll less than asked for is what a span between polls can be.
    if covered + settings.poll_s < settings.memory_min_s {
        return Err(format!("{covered:.0} s of memory readings, {:.0} s needed", settings.memory_min_s));
    }
    let width = settings.memory_window_s;
    let mut windows: Vec<(f64, f64)> = Vec::new();
    let mut index = -1.0;
    for (t, pss) in &points {
        let window = ((t - first.0) / width).floor();
        match windows.last_mut() {
            Some(current) if window == index => {
                if *pss < current.1 {
                    *current = (*t, *pss);
                }
            }
            _ => windows.push((*t, *pss)),
        }
        index = window;
    }
    let opening: Vec<f64> =
        points.iter().filter(|(t, _)| *t < first.0 + width).map(|(_, pss)| *pss).collect();
    let (Some(slope), Some(base)) = (theil_sen(&windows), median(&opening)) else {
        return Err("fewer than two windows of memory readings".to_owned());
    };
    let expected = (covered / width.max(2.0 * settings.poll_s)).floor() + 1.0;
    if (windows.len() as f64) < expected / 2.0 {
        return Err(format!("memory readings in {} of {expected} windows", windows.len()));
    }
    let bytes_per_h = slope * settings.hour_s;
    Ok(Growth {
        pct_per_h: bytes_per_h / base * 100.0,
        bytes_per_h,
        plain_pct: (last.1 - first.1) / first.1 * 100.0,
    })
}

/// FNV-1a, so that a seed follows from a run id.
pub(crate) fn seed(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The 95 % percentile interval of the sum, by resampling whole `groups`. `None` when empty.
pub(crate) fn bootstrap_sum(groups: &[f64], seed: u64) -> Option<(f64, f64)> {
    const ROUNDS: usize = 4_000;
    if groups.is_empty() {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sums: Vec<f64> = (0..ROUNDS)
        .map(|_| (0..groups.len()).map(|_| groups[rng.random_range(0..groups.len())]).sum())
        .collect();
    sums.sort_by(f64::total_cmp);
    Some((sums[ROUNDS * 25 / 1000], sums[ROUNDS * 975 / 1000 - 1]))
}
