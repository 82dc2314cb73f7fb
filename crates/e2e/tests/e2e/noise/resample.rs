//! From a recorded series to whole runs of any length: a moving block bootstrap (Künsch 1989) whose blocks are matched at their
//! joints (Carlstein et al. 1998). Not here: what a runner's metrics show beside it (`runner`), and the rules (`noise`).
//!
//! - A run begins as the recording does, from the start of the process: warm-up belongs to every run, and comes once.
//! - After the opening, blocks of 2 to 5 minutes are drawn from the settled part of the recording.
//! - Cumulative figures (CPU) are joined by increments: each is one that was recorded between two readings one poll apart.
//! - Levels (memory) stay recorded levels. Joining their increments instead would make a random walk of a level that in truth
//!   returns, a garbage collector's saw-tooth above all. So that a joint is no step of its own, a block is drawn among those places
//!   whose reading before differs from where the run stands by no more than the recording itself does between two polls (its 95th
//!   percentile), one place per minute of the recording; where no place is that near, the nearest is taken.
//! - A second that could not be read stays a reading that is missing.

use gate::evidence::OsSample;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// What is left to warm-up, as the shipped profiles do (`memory_skip`).
const SETTLED_S: usize = 600;
/// Lengths of blocks, seconds.
const BLOCK_S: std::ops::RangeInclusive<usize> = 120..=300;
/// A run opens with the recording's own course for this long at least, and up to as much longer again.
const OPENING_S: usize = SETTLED_S;

/// A recorded series, one reading a second from the start of the process.
pub struct Recording {
    /// `python`, `node`, `jvm`, `postgres`.
    pub name: &'static str,
    rows: Vec<Option<OsSample>>,
}

impl Recording {
    /// Reads `noise/<name>.csv`.
    pub fn load(name: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("noise").join(format!("{name}.csv"));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut rows = Vec::new();
        for line in lines.skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!(cells.len(), 8, "{name}: {line}");
            let t_ms: usize = cells[0].parse().unwrap();
            // A reading that is a second late or more would be a gap.
            assert!(t_ms.abs_diff((rows.len() + 1) * 1_000) < 1_000, "{name}: a reading at {t_ms} ms");
            let kib = |cell: &str| cell.parse::<u64>().unwrap() * 1_024;
            rows.push((!cells[1].is_empty()).then(|| OsSample {
                cpu_seconds: cells[1].parse::<f64>().unwrap() / 1e3,
                rss_bytes: kib(cells[2]),
                peak_rss_bytes: kib(cells[3]),
                pss_bytes: kib(cells[4]),
                threads: cells[5].parse().unwrap(),
                fds: cells[6].parse().unwrap(),
                processes: cells[7].parse().unwrap(),
            }));
        }
        Self { name, rows }
    }

    /// Recorded seconds.
    pub fn seconds(&self) -> usize {
        self.rows.len()
    }

    /// The reading of a second, counted from 1.
    fn at(&self, second: usize) -> Option<&OsSample> {
        self.rows.get(second.checked_sub(1)?)?.as_ref()
    }

    /// The recording itself, sampled every `poll` seconds from the start of the process.
    pub fn as_recorded(&self, poll: usize) -> Vec<Option<OsSample>> {
        (1..=self.seconds() / poll).map(|k| self.at(k * poll).copied()).collect()
    }

    /// A process of the recording's last size whose memory does not move.
    pub fn flat(&self, polls: usize) -> Vec<Option<OsSample>> {
        let last = *self.rows.iter().flatten().last().unwrap();
        (1..=polls).map(|k| Some(OsSample { cpu_seconds: k as f64, ..last })).collect()
    }

    /// How much PSS differs between two readings one poll apart, 95th percentile of the settled part, bytes.
    fn usual_step(&self, poll: usize) -> u64 {
        let mut steps: Vec<u64> = (SETTLED_S..=self.seconds())
            .filter_map(|s| Some(self.at(s)?.pss_bytes.abs_diff(self.at(s - poll)?.pss_bytes)))
            .collect();
        steps.sort_unstable();
        steps[steps.len() * 95 / 100]
    }

    /// A run of `polls` readings, one every `poll` seconds.
    pub fn resample(&self, polls: usize, poll: usize, rng: &mut ChaCha8Rng) -> Vec<Option<OsSample>> {
        let tolerance = self.usual_step(poll);
        let mut out = Vec::with_capacity(polls);
        let opening =
            OPENING_S + rng.random_range(0..=OPENING_S.min(self.seconds().saturating_sub(2 * OPENING_S)));
        let (mut second, mut left) = (0, opening / poll);
        // The reading that the next one is compared with, and the run's own totals.
        let mut before: Option<OsSample> = None;
        let (mut cpu, mut peak, mut pss) = (0.0, 0, 0);
        for _ in 0..polls {
            if left == 0 || second + poll > self.seconds() {
                second = self.joint(pss, poll, tolerance, rng);
                before = self.at(second).copied();
                left = rng.random_range(BLOCK_S) / poll;
            }
            second += poll;
            left -= 1;
            out.push(self.at(second).map(|now| {
                cpu += now.cpu_seconds - before.map_or(0.0, |b| b.cpu_seconds);
                peak = peak.max(now.peak_rss_bytes);
                pss = now.pss_bytes;
                before = Some(*now);
                OsSample { cpu_seconds: cpu, peak_rss_bytes: peak, ..*now }
            }));
        }
        out
    }

    /// The second after which a block goes on from a level of `pss`.
    fn joint(&self, pss: u64, poll: usize, tolerance: u64, rng: &mut ChaCha8Rng) -> usize {
        let last = self.seconds() - BLOCK_S.start();
        // From a second of its own in each minute, so that no run's polls fall on the same seconds of it.
        let phase = rng.random_range(0..60);
        let mut near: Vec<(u64, usize)> = (SETTLED_S + phase..last + 60)
            .step_by(60)
            .filter_map(|minute| {
                (minute.saturating_sub(59)..=minute)
                    .filter(|s| (SETTLED_S..last).contains(s) && self.at(s + poll).is_some())
                    .filter_map(|s| Some((self.at(s)?.pss_bytes.abs_diff(pss), s)))
                    .min()
            })
            .collect();
        near.sort_unstable();
        let fits = near.partition_point(|(distance, _)| *distance <= tolerance).max(1);
        near[rng.random_range(0..fits)].1
    }
}
