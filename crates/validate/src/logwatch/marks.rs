//! The search that comes before everything else: over whole buffers, for the few pieces of text without which a line is of no
//! interest. What a line really is, is decided behind it.

use aho_corasick::{AhoCorasick, MatchKind, packed};
use std::sync::{Arc, LazyLock};

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

/// Beginnings of lines with a level letter.
pub const OTHERS: [&str; 8] = ["\nE0", "\nE1", "\nW0", "\nW1", "\nF0", "\nF1", "\n[E", "\n[W"];

/// Terminal colours begin with it; they may stand inside any mark.
const ESCAPE: u8 = 0x1b;

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

static USUAL: LazyLock<Marks> = LazyLock::new(Marks::build);

/// One search for some of the marks.
#[derive(Debug, Clone)]
enum Search {
    /// By vector instructions: several times faster, for up to 64 patterns.
    Packed(packed::Searcher),
    /// By an automaton: any number of patterns, on any machine.
    Automaton(AhoCorasick),
    /// The search could not be built: every line is a candidate.
    Everything,
}

impl Search {
    fn new(patterns: &[String]) -> Self {
        let mut builder = packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder();
        builder.extend(patterns);
        if patterns.len() <= 64
            && let Some(search) = builder.build()
        {
            return Self::Packed(search);
        }
        build(patterns.iter().cloned()).map_or(Self::Everything, Self::Automaton)
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Packed(search) => search.find(bytes).map(|found| found.start()),
            Self::Automaton(search) => search.find(bytes).map(|found| found.start()),
            Self::Everything => (!bytes.is_empty()).then_some(0),
        }
    }
}

/// The searches for candidates: long marks and short ones apart, because the shortest pattern of a search sets its pace.
#[derive(Debug, Clone)]
pub(super) struct Marks(Arc<[Search; SEARCHES]>);

/// Where each search has got to in a buffer. [`usize::MAX`]: nothing more in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    searches: [usize; SEARCHES],
    colours: usize,
}

/// Long marks, short marks.
const SEARCHES: usize = 2;

impl Cursor {
    pub(super) const fn new() -> Self {
        Self { searches: [0; SEARCHES], colours: 0 }
    }
}

impl Marks {
    /// All marks. They are built once.
    pub(super) fn usual() -> Self {
        USUAL.clone()
    }

    fn build() -> Self {
        let owned = |marks: &[&str]| -> Vec<String> { marks.iter().map(|mark| (*mark).to_owned()).collect() };
        let short = [&FRAMES[..], &PHRASES, &LEVELS, &OTHERS].concat();
        Self(Arc::new([Search::new(&owned(&STRUCTURE)), Search::new(&owned(&short))]))
    }

    /// Where the next candidate is in a buffer, at `from` or behind it. The cursor belongs to the buffer.
    pub(super) fn find(&self, buffer: &[u8], from: usize, cursor: &mut Cursor) -> Option<usize> {
        let rest = &buffer[from..];
        let Cursor { searches, colours } = cursor;
        // A place that was found behind `from` is still the next one.
        if *colours <= from && *colours != usize::MAX {
            *colours = memchr::memchr(ESCAPE, rest).map_or(usize::MAX, |found| from + found);
        }
        for (search, place) in self.0.iter().zip(searches.iter_mut()) {
            if *place <= from {
                *place = search.find(rest).map_or(usize::MAX, |found| from + found);
            }
        }
        searches.iter().chain([&*colours]).copied().min().filter(|place| *place != usize::MAX)
    }
}
