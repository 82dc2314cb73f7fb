//! The search that comes before everything else: over whole buffers, for the few pieces of text without which a line is of no
//! interest. What a line really is, is decided behind it.

use super::levels::Levels;
use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::LazyLock;

/// Every line that begins a crash block, by itself or behind a prefix, holds one of these.
pub const STRUCTURE: [&str; 48] = [
    "Traceback (most recent call last):",
    "Fatal Python error: ",
    "  File \"",
    "panicked at ",
    " has overflowed its stack",
    "fatal runtime error: ",
    "non-unwinding panic",
    "while processing panic",
    "memory allocation of ",
    "panic: ",
    "fatal error",
    "goroutine ",
    "Exception in thread ",
    "Fatal error",
    "UncaughtExceptionHandler",
    "due to java.lang.OutOfMemoryError",
    "Node.js v",
    "FATAL ERROR: ",
    " stack trace -----",
    "Unhandled exception",
    "Unhandled Exception",
    "UNHANDLED EXCEPTION",
    "Stack trace:",
    "[stacktrace]",
    "Parse error: ",
    ":in `",
    ":in '",
    "(SyntaxError)",
    "terminated with exception",
    "Segmentation fault",
    "Bus error",
    "Illegal instruction",
    "Floating point exception",
    "(core dumped)",
    "Aborted  ",
    "Killed  ",
    "terminate called ",
    "pure virtual method called",
    "*** ",
    ": Assertion ",
    "Fatal glibc error: ",
    "Sanitizer:",
    "free(): ",
    "alloc(): ",
    "alloc_consolidate(): ",
    "munmap_chunk(): ",
    "double free or corruption",
    "corrupted ",
];

/// Frames that begin a block only together with the lines above them.
pub const FRAMES: [&str; 5] = ["\tat ", "   at ", "\n  at ", "\n at ", " eval at "];

/// Phrases that are counted.
pub const PHRASES: [&str; 3] = ["DLQ", "Position limit", "Emergency stop"];

/// Pieces of the words for warnings and errors, in the letters that loggers write them in, and the beginnings of the formats
/// that have a letter or a number instead.
pub const LEVELS: [&str; 30] = [
    "ERR", "EROR", "WARN", "WRN", "CRIT", "CRT", "FATA", "FTL", "SEVERE", "EMERG", "PANIC", "ALERT", "rror",
    "[err", "=err", "\"err", "\nerr", "arn", "crit", "Crit", "fatal", "Fatal", "severe", "fail:", "emerg",
    "[alert", "\":4", "\":5", "\":6", "\n<",
];

/// Beginnings of lines with a level letter, and terminal colours, which may stand inside any other mark.
pub const OTHERS: [&str; 9] = ["\nE0", "\nE1", "\nW0", "\nW1", "\nF0", "\nF1", "\n[E", "\n[W", "\x1b"];

fn build(patterns: impl IntoIterator<Item = String>) -> Option<AhoCorasick> {
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(patterns).ok()
}

static STARTS: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| build(STRUCTURE.iter().map(|mark| (*mark).to_owned())));

static COUNTED: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| build(PHRASES.iter().map(|mark| (*mark).to_owned())));

/// True when the line may begin a block by itself.
pub(super) fn is_structure(line: &[u8]) -> bool {
    STARTS.as_ref().is_none_or(|marks| marks.is_match(line))
}

/// True when the phrases' counters must look at the line.
pub(super) fn has_phrase(line: &[u8]) -> bool {
    COUNTED.as_ref().is_none_or(|marks| marks.is_match(line))
}

static USUAL: LazyLock<Marks> = LazyLock::new(|| Marks::build(&Levels::usual()));

/// The search for candidates.
#[derive(Debug, Clone)]
pub(super) struct Marks(Option<AhoCorasick>);

impl Marks {
    /// All marks, a runner's own among them.
    pub(super) fn new(levels: &Levels) -> Self {
        if levels.are_usual() {
            return USUAL.clone();
        }
        Self::build(levels)
    }

    fn build(levels: &Levels) -> Self {
        let usual = [&STRUCTURE[..], &FRAMES, &PHRASES, &LEVELS, &OTHERS].concat();
        let usual = usual.into_iter().map(str::to_owned);
        // A JSON level may be a word that only the runner's mapping knows.
        let own = levels.marks().map(str::to_owned);
        let keys = levels.keys().iter().map(|key| format!("\"{key}\""));
        Self(build(usual.chain(own).chain(keys)))
    }

    /// Where the next candidate is; the beginning, when the search itself could not be built.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        match &self.0 {
            Some(marks) => marks.find(bytes).map(|found| found.start()),
            None => (!bytes.is_empty()).then_some(0),
        }
    }
}
