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

    /// The process has ended. A clean end makes every open suspect handled; but a thread that died in its last moments died.
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
