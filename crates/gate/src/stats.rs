//! Small statistics: median, seed, bootstrap. All deterministic. Memory growth is in `memory`.

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

/// FNV-1a, so that a seed follows from a run id.
pub(crate) fn seed(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The 95 % percentile interval of the mean, by resampling whole `groups` (sum and number). `None` when empty.
pub(crate) fn bootstrap_mean(groups: &[(f64, f64)], seed: u64) -> Option<(f64, f64)> {
    const ROUNDS: usize = 4_000;
    if groups.is_empty() {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let drawn = (0..groups.len()).map(|_| groups[rng.random_range(0..groups.len())]);
            let (sum, n) = drawn.fold((0.0, 0.0), |(sum, n), group| (sum + group.0, n + group.1));
            sum / n
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Some((means[ROUNDS * 25 / 1000], means[ROUNDS * 975 / 1000 - 1]))
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
