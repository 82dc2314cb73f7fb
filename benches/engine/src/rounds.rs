//! Interleaved rounds, medians and the machine's noise.

use rustix::time::{ClockId, clock_gettime};

/// One side of a comparison: its name and what it needed in each round, in its own unit.
#[derive(Debug, Clone)]
pub struct Side {
    /// Who.
    pub name: String,
    /// Per round.
    pub rounds: Vec<f64>,
}

impl Side {
    /// Before the first round.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), rounds: Vec::new() }
    }

    /// The middle round.
    pub fn median(&self) -> f64 {
        median(&self.rounds)
    }

    /// Largest minus smallest round, in percent of the median: what this machine's noise was.
    pub fn spread_pct(&self) -> f64 {
        let max = self.rounds.iter().copied().fold(f64::MIN, f64::max);
        let min = self.rounds.iter().copied().fold(f64::MAX, f64::min);
        (max - min) / self.median() * 100.0
    }
}

/// The middle of some values, 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// The nearest-rank quantile of sorted values.
pub fn quantile(sorted: &[u64], q: f64) -> u64 {
    let i = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(i.saturating_sub(1)).copied().unwrap_or(0)
}

/// What something cost this process, seconds of CPU time: what else runs on the machine takes caches from it, and no time.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = cpu_seconds();
    let value = work();
    (cpu_seconds() - begun, value)
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Says whether a bar is met, and remembers.
#[derive(Debug, Default)]
pub struct Bars {
    missed: u32,
}

impl Bars {
    /// `figure` against `bar`; `at_least` says on which side it must be.
    pub fn hold(&mut self, what: &str, figure: f64, bar: f64, at_least: bool) {
        let met = if at_least { figure >= bar } else { figure <= bar };
        let (word, sign) = (if met { "met   " } else { "MISSED" }, if at_least { ">=" } else { "<=" });
        println!("  {word} {what}: {figure:.3} (bar {sign} {bar})");
        self.missed += u32::from(!met);
    }

    /// True when every bar was met.
    pub const fn all_met(&self) -> bool {
        self.missed == 0
    }
}
