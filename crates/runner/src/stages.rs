//! The stopwatch that the core's probe is here: how long an input spent in each stage, into `loop_stage_seconds`. What comes
//! before the core (`receive`) is measured by `hot`.
//!
//! A stage that an input comes through several times counts once, with the sum; a stage that it does not come through counts
//! nothing. A look at the clock costs some tens of nanoseconds, and a frame needs four.

use engine::probe::{Probe, Stage};
use exposition::Histogram;
use std::time::{Duration, Instant};

/// Handles in the order of [`Stage::ALL`].
pub type StageHistograms = [Histogram; Stage::ALL.len()];

/// The stopwatch.
#[derive(Debug)]
pub struct Stopwatch {
    histograms: StageHistograms,
    running: Option<(Stage, Instant)>,
    spent: [Option<Duration>; Stage::ALL.len()],
}

impl Stopwatch {
    /// Stopped at zero.
    pub const fn new(histograms: StageHistograms) -> Self {
        Self { histograms, running: None, spent: [None; Stage::ALL.len()] }
    }

    fn lap(&mut self, next: Option<Stage>) {
        let now = Instant::now();
        let next = next.map(|stage| (stage, now));
        if let Some((stage, since)) = std::mem::replace(&mut self.running, next) {
            let spent = &mut self.spent[stage as usize];
            *spent = Some(spent.unwrap_or_default() + now.saturating_duration_since(since));
        }
    }
}

impl Probe for Stopwatch {
    fn enter(&mut self, stage: Stage) {
        self.lap(Some(stage));
    }

    fn done(&mut self) {
        if self.running.is_some() {
            self.lap(None);
        }
        for (spent, histogram) in self.spent.iter_mut().zip(&self.histograms) {
            if let Some(spent) = spent.take() {
                histogram.observe(spent.as_secs_f64());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::probe::Stage;

    #[test]
    fn the_stages_are_the_catalogues() {
        let core = Stage::ALL.map(Stage::as_str);
        assert_eq!([&["receive"], &core[..]].concat(), catalogue::LOOP_STAGES);
    }
}
