//! From suspects to crashes. A crash block in the log is only a suspect: what it was depends on what the process does next.

use crate::logwatch::Suspect;
use gate::ProcessEvent;
use gate::evidence::CrashBlock;

/// How long a process may take to die after a worker's last words, before we say that it lives on.
const LIVES_ON_AFTER_S: f64 = 0.5;

/// The suspects of a phase.
#[derive(Debug)]
pub struct Suspects {
    handled_after_s: f64,
    open: Vec<Suspect>,
    settled: Vec<CrashBlock>,
}

impl Suspects {
    /// None yet.
    pub fn new(handled_after_s: f64) -> Self {
        Self { handled_after_s, open: Vec::new(), settled: Vec::new() }
    }

    /// Adds what the log watch found.
    pub fn add(&mut self, found: Vec<Suspect>) {
        self.open.extend(found);
    }

    /// True while it is undecided what one of them was.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    fn settle(&mut self, suspect: Suspect, kind: &str) -> CrashBlock {
        let block = CrashBlock {
            at_s: suspect.at_s,
            language: suspect.language.to_string(),
            kind: kind.to_owned(),
            text: suspect.text,
            before: suspect.before,
        };
        self.settled.push(block.clone());
        block
    }

    /// Time has passed and the process lives: a dead thread is WORKER_DIED, anything else is handled once the process has
    /// progressed long enough after it.
    pub fn on_time(&mut self, t: f64, progressing: bool) -> Vec<ProcessEvent> {
        let mut events = Vec::new();
        for suspect in std::mem::take(&mut self.open) {
            let age = t - suspect.at_s;
            if suspect.thread_died && age > LIVES_ON_AFTER_S {
                events.push(ProcessEvent::WorkerDied(self.settle(suspect, "worker_died")));
            } else if !suspect.thread_died && progressing && age > self.handled_after_s {
                self.settle(suspect, "handled");
            } else {
                self.open.push(suspect);
            }
        }
        events
    }

    /// The process has ended. A clean end makes every open suspect handled, any other a crash.
    pub fn on_exit(&mut self, clean: bool) -> Vec<ProcessEvent> {
        let mut events = Vec::new();
        for suspect in std::mem::take(&mut self.open) {
            if clean {
                self.settle(suspect, "handled");
            } else {
                events.push(ProcessEvent::Crash(self.settle(suspect, "crash")));
            }
        }
        events
    }

    /// All blocks, in order of time.
    pub fn take(&mut self) -> Vec<CrashBlock> {
        let mut blocks = std::mem::take(&mut self.settled);
        blocks.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(suspects.on_time(11.0, true).is_empty() && suspects.on_time(11.5, false).is_empty());
        assert!(kinds(&mut suspects).is_empty(), "not while it is unsure, nor without progress");
        assert!(suspects.on_time(11.5, true).is_empty());
        assert_eq!(kinds(&mut suspects), ["handled"]);
    }

    #[test]
    fn a_dead_thread_in_a_living_process_is_a_dead_worker() {
        let mut suspects = Suspects::new(10.0);
        suspects.add(vec![suspect(1.0, true)]);
        assert!(suspects.on_time(1.4, true).is_empty(), "the process may be about to die of it");
        assert!(matches!(suspects.on_time(1.6, true)[..], [ProcessEvent::WorkerDied(_)]));
        assert_eq!(kinds(&mut suspects), ["worker_died"]);
    }

    #[test]
    fn the_exit_decides_what_is_still_open() {
        for (clean, kind) in [(true, "handled"), (false, "crash")] {
            let mut suspects = Suspects::new(10.0);
            suspects.add(vec![suspect(1.0, false)]);
            assert_eq!(suspects.on_exit(clean).len(), usize::from(!clean));
            assert_eq!(kinds(&mut suspects), [kind]);
        }
    }
}
