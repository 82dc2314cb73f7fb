//! Interleaved rounds, medians, and bars. What is measured is CPU time of the thread: other programs share the machine.

use rustix::time::{ClockId, clock_gettime};

/// One side of a comparison: its name and the nanoseconds per unit of each round.
#[derive(Debug)]
pub struct Side {
    /// Who.
    pub name: &'static str,
    /// Nanoseconds per unit, round by round.
    pub rounds: Vec<f64>,
}

impl Side {
    /// Before the first round.
    pub const fn new(name: &'static str) -> Self {
        Self { name, rounds: Vec::new() }
    }

    /// The middle round.
    pub fn median(&self) -> f64 {
        median(self.rounds.clone())
    }

    /// How many times as long `other` takes: the middle of the ratios of rounds that ran one after the other, so that what else
    /// the machine does falls on both.
    pub fn gain_over(&self, other: &Self) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(ours, theirs)| theirs / ours).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds of CPU time of some work.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = cpu();
    let value = work();
    (cpu() - begun, value)
}

fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// What was asked for and whether it was met.
#[derive(Debug, Default)]
pub struct Bars {
    missed: usize,
}

impl Bars {
    /// Holds a figure against a bar that it must reach.
    pub fn at_least(&mut self, what: &str, figure: f64, bar: f64) {
        self.say(figure >= bar, format_args!("{what}: {figure:.2} (at least {bar})"));
    }

    /// Holds a figure against a bar that it must not pass.
    pub fn at_most(&mut self, what: &str, figure: f64, bar: f64) {
        self.say(figure <= bar, format_args!("{what}: {figure:.2} (at most {bar})"));
    }

    fn say(&mut self, met: bool, what: std::fmt::Arguments<'_>) {
        println!("  {} {what}", if met { "met   " } else { "MISSED" });
        self.missed += usize::from(!met);
    }

    /// How many were missed.
    pub const fn missed(&self) -> usize {
        self.missed
    }
}
