//! From suspects to crashes. A crash block in the log is only a suspect: what it was depends on what the process does next.
//!
//! - `crash`: the process ended by a signal that we did not send, or with another code than 0 before our stop signal, or it
//!   made no progress any more.
//! - `worker_died`: the block says that a thread died, and the process lived on, or ended with 0 as if nothing had been.
//! - `handled`: the process lived and progressed long enough after it, or ended with 0, or the block came after our own stop
//!   signal, when nothing but a signal death is a crash.

use crate::logwatch::Suspect;
use gate::ProcessEvent;
use gate::evidence::CrashBlock;

/// How long a process may take to die after a worker's last words, before we say that it lives on.
const LIVES_ON_AFTER_S: f64 = 0.5;
/// Bytes of all blocks of a phase, with the lines before them, that are kept whole.
const WHOLE: usize = 32 << 20;
/// Bytes of a block beyond that.
const SHORT: usize = 4_096;
/// Handled blocks that are kept.
const HANDLED: usize = 500;

/// Whether the process does what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Its progress signal moves, or it has none.
    Moving,
    /// The signal rests, not yet for long, or could not be read.
    Unsure,
    /// It hangs.
    Lost,
}

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// It exited with 0, or with a code that its contract calls an orderly end.
    pub clean: bool,
    /// A signal ended it that is not one of ours.
    pub foreign_signal: bool,
}

/// The suspects of a phase.
#[derive(Debug)]
pub struct Suspects {
    handled_after_s: f64,
    open: Vec<Suspect>,
    settled: Vec<CrashBlock>,
    stopped_s: Option<f64>,
    kept: usize,
    handled: usize,
    left_out: u64,
}

impl Suspects {
    /// None yet. `handled_after_s`: how long a process must live and progress after a block.
    pub const fn new(handled_after_s: f64) -> Self {
        Self {
            handled_after_s,
            open: Vec::new(),
            settled: Vec::new(),
            stopped_s: None,
            kept: 0,
            handled: 0,
            left_out: 0,
        }
    }

    /// Adds what the log watch found. Blocks are kept whole up to 32 MB in all, shortened beyond that.
    pub fn add(&mut self, found: Vec<Suspect>) {
        for mut suspect in found {
            let size = |suspect: &Suspect| {
                suspect.text.len() + suspect.before.iter().map(String::len).sum::<usize>()
            };
            if self.kept + size(&suspect) > WHOLE {
                suspect.before = vec!["(left out: the crash blocks of this phase exceed 32 MB)".to_owned()];
                shorten(&mut suspect.text);
            }
            self.kept += size(&suspect);
            self.open.push(suspect);
        }
    }

    /// True when no block waits for what the process does next.
    pub const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// We sent our stop signal.
    pub fn on_stop(&mut self, t: f64) {
        self.stopped_s.get_or_insert(t);
    }

    fn settle(&mut self, suspect: Suspect, kind: &str) -> CrashBlock {
        let block = CrashBlock {
            at_s: suspect.at_s,
            language: suspect.language.to_string(),
            kind: kind.to_owned(),
            text: suspect.text,
            before: suspect.before,
        };
        if kind == "handled" {
            self.handled += 1;
            if self.handled > HANDLED {
                self.left_out += 1;
                return block;
            }
        }
        self.settled.push(block.clone());
        block
    }

    fn came_after_stop(&self, suspect: &Suspect) -> bool {
        self.stopped_s.is_some_and(|stop| suspect.at_s >= stop)
    }

    /// Time has passed and the process lives: a dead thread is WORKER_DIED, anything else is handled once the process has
    /// progressed long enough after it, and a crash when it hangs.
    pub fn on_time(&mut self, t: f64, progress: Progress) -> Vec<ProcessEvent> {
        let mut events = Vec::new();
        for suspect in std::mem::take(&mut self.open) {
            let age = t - suspect.at_s;
            if self.came_after_stop(&suspect) {
                self.open.push(suspect);
            } else if suspect.thread_died && age > LIVES_ON_AFTER_S {
                events.push(ProcessEvent::WorkerDied(self.settle(suspect, "worker_died")));
            } else if progress == Progress::Lost {
                events.push(ProcessEvent::Crash(self.settle(suspect, "crash")));
            } else if !suspect.thread_died && progress == Progress::Moving && age > self.handled_after_s {
                self.settle(suspect, "handled");
            } else {
                self.open.push(suspect);
            }
        }
        events
    }

    /// The process has ended: what is still open is settled by how.
    pub fn on_exit(&mut self, ending: Ending) -> Vec<ProcessEvent> {
        let mut events = Vec::new();
        for suspect in std::mem::take(&mut self.open) {
            let stopped = self.stopped_s.is_some();
            if ending.foreign_signal || (!ending.clean && !stopped) {
                events.push(ProcessEvent::Crash(self.settle(suspect, "crash")));
            } else if suspect.thread_died && !self.came_after_stop(&suspect) {
                events.push(ProcessEvent::WorkerDied(self.settle(suspect, "worker_died")));
            } else {
                self.settle(suspect, "handled");
            }
        }
        events
    }

    /// All blocks, in order of time. Handled ones beyond 500 are counted in the last one's text.
    pub fn take(&mut self) -> Vec<CrashBlock> {
        let mut blocks = std::mem::take(&mut self.settled);
        blocks.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        if self.left_out > 0
            && let Some(last) = blocks.iter_mut().rev().find(|block| block.kind == "handled")
        {
            last.text.push_str(&format!("\n({} further handled blocks are not kept)", self.left_out));
        }
        blocks
    }
}

fn shorten(text: &mut String) {
    let left_out = text.len().saturating_sub(SHORT);
    if left_out > 0 {
        let end = (0..=SHORT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push_str(&format!(
            "\n(some {left_out} bytes left out: the crash blocks of this phase exceed 32 MB)"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: Ending = Ending { clean: true, foreign_signal: false };
    const FAILED: Ending = Ending { clean: false, foreign_signal: false };
    const KILLED: Ending = Ending { clean: false, foreign_signal: true };

    fn suspect(at_s: f64, thread_died: bool) -> Suspect {
        Suspect { at_s, language: "rust", text: "panicked".to_owned(), before: Vec::new(), thread_died }
    }

    fn kinds(suspects: &mut Suspects) -> Vec<String> {
        suspects.take().into_iter().map(|block| block.kind).collect()
    }

    #[test]
    fn a_trace_is_handled_when_the_process_lives_and_progresses_long_enough() {
        let mut suspects = Suspects::new(10.0);
        suspects.add(vec![suspect(1.0, false)]);
        assert!(suspects.on_time(11.0, Progress::Moving).is_empty());
        assert!(suspects.on_time(11.5, Progress::Unsure).is_empty());
        assert!(kinds(&mut suspects).is_empty(), "not while it is unsure, nor without progress");
        assert!(suspects.on_time(11.5, Progress::Moving).is_empty());
        assert_eq!(kinds(&mut suspects), ["handled"]);
    }

    #[test]
    fn a_dead_thread_in_a_living_process_is_a_dead_worker() {
        let mut suspects = Suspects::new(10.0);
        suspects.add(vec![suspect(1.0, true)]);
        assert!(suspects.on_time(1.4, Progress::Moving).is_empty(), "the process may be about to die of it");
        assert!(matches!(suspects.on_time(1.6, Progress::Moving)[..], [ProcessEvent::WorkerDied(_)]));
        assert_eq!(kinds(&mut suspects), ["worker_died"]);
    }

    #[test]
    fn lost_progress_makes_a_crash() {
        let mut suspects = Suspects::new(10.0);
        suspects.add(vec![suspect(1.0, false)]);
        assert!(suspects.on_time(30.0, Progress::Unsure).is_empty());
        assert!(matches!(suspects.on_time(60.0, Progress::Lost)[..], [ProcessEvent::Crash(_)]));
    }

    #[test]
    fn the_exit_decides_what_is_still_open() {
        for (ending, died, kind) in [
            (CLEAN, false, "handled"),
            (CLEAN, true, "worker_died"),
            (FAILED, false, "crash"),
            (FAILED, true, "crash"),
            (KILLED, false, "crash"),
        ] {
            let mut suspects = Suspects::new(10.0);
            suspects.add(vec![suspect(1.0, died)]);
            assert_eq!(suspects.on_exit(ending).len(), usize::from(kind != "handled"));
            assert_eq!(kinds(&mut suspects), [kind], "{ending:?} {died}");
        }
    }

    #[test]
    fn after_our_stop_signal_only_a_signal_death_is_a_crash() {
        for (ending, at_s, died, kind) in [
            (FAILED, 6.0, false, "handled"),
            (FAILED, 6.0, true, "handled"),
            (CLEAN, 6.0, true, "handled"),
            (KILLED, 6.0, false, "crash"),
            (CLEAN, 4.9, true, "worker_died"),
            (FAILED, 4.9, false, "handled"),
        ] {
            let mut suspects = Suspects::new(10.0);
            suspects.on_stop(5.0);
            suspects.add(vec![suspect(at_s, died)]);
            if at_s > 5.0 {
                assert!(suspects.on_time(9.0, Progress::Moving).is_empty());
            }
            let _ = suspects.on_exit(ending);
            assert_eq!(kinds(&mut suspects), [kind], "{ending:?} {at_s} {died}");
        }
    }

    #[test]
    fn many_blocks_are_bounded_and_it_is_said() {
        let mut suspects = Suspects::new(1.0);
        for n in 0..700 {
            let text = "x".repeat(100_000);
            suspects.add(vec![Suspect { text, ..suspect(f64::from(n), false) }]);
            let _ = suspects.on_time(f64::from(n) + 2.0, Progress::Moving);
        }
        let blocks = suspects.take();
        assert_eq!(blocks.len(), 500);
        assert!(blocks.iter().map(|block| block.text.len()).sum::<usize>() < 36 << 20);
        assert!(blocks[499].text.contains("(200 further handled blocks are not kept)"));
        assert!(blocks[499].text.contains("bytes left out"));
    }
}
