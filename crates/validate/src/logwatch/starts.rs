//! Which lines begin a crash block: by themselves, behind a logger's prefix, or as a frame together with the lines above it.

use super::block::{At, Lang, Start};
use super::prefix::Prefix;
use super::shapes::{self as s, is_blank, is_log_line};
use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::LazyLock;

/// The line that begins a Python traceback.
pub(super) const TRACEBACK: &[u8] = b"Traceback (most recent call last):";
/// The line that begins a Python exception group.
pub(super) const GROUP: &[u8] = b"+ Exception Group Traceback (most recent call last):";
/// Lines above a frame that are looked at for the head of its block.
const LOOK_BACK: usize = 48;

/// A line that begins a block by itself.
pub(super) fn strong(line: &[u8]) -> Option<Start> {
    if !super::marks::is_structure(line) {
        return None;
    }
    let found = |lang, at, confirmed| Some(Start::new(lang, at, confirmed));
    match line.first()? {
        b't' if line.starts_with(b"thread ") => rust_panic(line),
        b' ' | b'\t' if line.trim_ascii_start() == GROUP => found(Lang::Python, At::Group, false),
        b' ' if s::PYTHON_SYNTAX_AT.is_match(line) => found(Lang::Python, At::Syntax, false),
        b' ' | b'\t' => None,
        b'T' if line == TRACEBACK => found(Lang::Python, At::Head, false),
        b'E' if line.starts_with(b"Exception in thread \"") => jvm_thread(line),
        b'E' if line.starts_with(b"Exception in thread ") && line.ends_with(b":") => {
            Some(Start { thread_died: true, ..Start::new(Lang::Python, At::BeforeTraceback, false) })
        }
        b'E' if line.starts_with(b"Exception: ")
            && s::contains(line, b"thrown from the UncaughtExceptionHandler in") =>
        {
            found(Lang::Jvm, At::Done, true)
        }
        b'T' | b'A' if s::JVM_OUT_OF_MEMORY.is_match(line) => found(Lang::Jvm, At::Done, true),
        b'F' if line.starts_with(b"Fatal Python error: ") => found(Lang::Python, At::Tail, true),
        b'p' if line.starts_with(b"panic: ") => found(Lang::Go, At::Head, false),
        b'f' if line.starts_with(b"fatal error: ") => found(Lang::Go, At::Head, false),
        b'#' if s::JVM_FATAL.is_match(line) => found(Lang::Jvm, At::Tail, true),
        b'#' if s::V8_FATAL.is_match(line) => found(Lang::Node, At::Head, true),
        b'#' if s::RUBY_THREAD.is_match(line) => {
            Some(Start { thread_died: true, ..Start::new(Lang::Ruby, At::Head, true) })
        }
        b'U' if line.starts_with(b"Unhandled exception. ") || line.starts_with(b"Unhandled Exception: ") => {
            found(Lang::Dotnet, At::Head, false)
        }
        b'U' if line == b"Unhandled exception:" => found(Lang::Dart, At::Head, false),
        b'U' if line == b"Unhandled Exception:" => found(Lang::Dotnet, At::Head, false),
        b'F' if s::V8_OUT_OF_MEMORY.is_match(line) => found(Lang::Node, At::Done, true),
        b'-' if line == b"----- Native stack trace -----" => found(Lang::Native, At::Frames, true),
        _ => strong_by_shape(line),
    }
}

/// Starts whose first letter says nothing.
fn strong_by_shape(line: &[u8]) -> Option<Start> {
    let found = |lang, at, confirmed| Some(Start::new(lang, at, confirmed));
    if s::RUST_ABORT.is_match(line) {
        found(Lang::Rust, At::Tail, true)
    } else if s::PHP_FATAL.is_match(line) {
        found(Lang::Php, At::Head, true)
    } else if s::PHP_UNCAUGHT.is_match(line) {
        found(Lang::Php, At::Head, false)
    } else if s::SANITIZER.is_match(line) {
        found(Lang::Native, At::Frames, true)
    } else if s::NATIVE.is_match(line) {
        found(Lang::Native, At::Done, true)
    } else if s::RUBY_HEAD.is_match(line) {
        found(Lang::Ruby, At::Head, true)
    } else {
        None
    }
}

/// Text that the heads of blocks begin with, to find them behind a prefix.
const HEADS: [&str; 17] = [
    "thread '",
    "panicked at ",
    "Traceback (most recent call last):",
    "+ Exception Group Traceback",
    "panic: ",
    "fatal error: ",
    "Exception in thread ",
    "Unhandled exception",
    "Unhandled Exception",
    "PHP Fatal error: ",
    "PHP Parse error: ",
    "Fatal error: ",
    "Fatal Python error: ",
    "terminate called ",
    "#<Thread:0x",
    "goroutine ",
    "  File \"",
];

static HEAD: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(HEADS).ok());

/// A start behind a prefix: a time and a logger's name in front of the line. Nothing is certain by that line alone, because a
/// message may quote it; what follows must confirm it. `is_error` says that the line is logged as an error.
pub(super) fn prefixed(line: &[u8], is_error: impl Fn() -> bool) -> Option<Start> {
    for found in HEAD.as_ref()?.find_iter(line).filter(|found| found.start() > 0) {
        let (front, rest) = line.split_at(found.start());
        // A progress bar has no line feed: the traceback follows on its line, and has no prefix of its own.
        let bar = rest == TRACEBACK && !front.ends_with(b" ");
        if bar && quote_free(front) {
            return Some(Start::new(Lang::Python, At::Head, false));
        }
        let Some(prefix) = Prefix::of(front).filter(|_| !is_indented(front)) else { continue };
        if found.pattern().as_usize() == 1 {
            // The text of a panic as a hook logs it, without its thread.
            if s::RUST_PLACE.is_match(rest.strip_prefix(b"panicked at ").unwrap_or_default()) && is_error() {
                return Some(Start { prefix: Some(prefix), ..Start::new(Lang::Rust, At::Head, true) });
            }
            continue;
        }
        let start = if s::GO_ROUTINE.is_match(rest) {
            Some(Start::new(Lang::Go, At::Frames, true))
        } else {
            strong(rest)
        };
        if let Some(start) = start {
            let confirmed = start.lang == Lang::Go && start.confirmed;
            return Some(Start { confirmed, prefix: Some(prefix), ..start });
        }
    }
    None
}

/// Two blanks and more before a head: it is indented text, unless a level is padded with them.
fn is_indented(front: &[u8]) -> bool {
    let trimmed = front.trim_ascii_end();
    let level = trimmed.rsplit(|b| *b == b' ').next().unwrap_or_default();
    let padded = level.len() >= 4 && level.iter().all(u8::is_ascii_uppercase);
    front.len() > trimmed.len() + 1 && !padded
}

fn quote_free(front: &[u8]) -> bool {
    !front.first().is_some_and(|b| matches!(b, b'>' | b'"' | b'\'' | b'{' | b'#' | b'*'))
        && !front.last().is_some_and(|b| matches!(b, b'"' | b'\'' | b'`'))
}

fn rust_panic(line: &[u8]) -> Option<Start> {
    if let Some(found) = s::RUST_OVERFLOW.captures(line) {
        let died = &found["name"] != b"main";
        return Some(Start { thread_died: died, ..Start::new(Lang::Rust, At::Tail, true) });
    }
    if s::RUST_ABORT.is_match(line) {
        return Some(Start::new(Lang::Rust, At::Tail, true));
    }
    let found = s::RUST_PANIC.captures(line)?;
    let (died, rest) = (&found["name"] != b"main", &found["rest"]);
    let start = if s::RUST_PLACE.is_match(rest) {
        Start::new(Lang::Rust, At::Head, true)
    } else if rest.starts_with(b"'") && s::RUST_OLD_END.is_match(rest) {
        Start::new(Lang::Rust, At::Tail, true)
    } else if rest.starts_with(b"'") {
        Start::new(Lang::Rust, At::OldMessage, false)
    } else {
        return None;
    };
    Some(Start { thread_died: died, ..start })
}

fn jvm_thread(line: &[u8]) -> Option<Start> {
    let found = s::JVM_THREAD.captures(line)?;
    let class = s::JVM_CLASS.is_match(&found["rest"]);
    let died = &found["name"] != b"main";
    Some(Start { thread_died: died, needs: 1, ..Start::new(Lang::Jvm, At::Head, class) })
}

/// Lines before a start that belong to it, and whether they say that a worker died.
pub(super) struct Extra {
    pub(super) lines: usize,
    pub(super) worker: bool,
}

/// What stands above a Python traceback: asyncio names the task, multiprocessing the process, a pool quotes its worker's.
pub(super) fn extra_head<'a>(start: &Start, previous: impl Iterator<Item = &'a [u8]>) -> Extra {
    let nothing = Extra { lines: 0, worker: false };
    if start.lang != Lang::Python || start.at != At::Head {
        return nothing;
    }
    let previous: Vec<&[u8]> = previous.take(6).collect();
    let details = previous.iter().take_while(|line| s::ASYNCIO_DETAIL.is_match(line)).count();
    let Some(head) = previous.get(details) else { return nothing };
    if s::contains(head, b"Task exception was never retrieved") {
        return Extra { lines: details + 1, worker: true };
    }
    if ["Exception in callback ", "Future exception was never retrieved", "Unhandled error in "]
        .iter()
        .any(|text| s::contains(head, text.as_bytes()))
    {
        return Extra { lines: details + 1, worker: false };
    }
    if details > 0 {
        return nothing;
    }
    if s::PYTHON_PROCESS.is_match(head) {
        return Extra { lines: 1, worker: true };
    }
    if head.starts_with(b"Exception ignored in") || head.starts_with(b"Error in ") {
        return Extra { lines: 1, worker: false };
    }
    if *head == b"\"\"\"" && previous.get(1).is_some_and(|line| s::contains(line, b"_RemoteTraceback:")) {
        return Extra { lines: 2, worker: false };
    }
    nothing
}

/// What kind of frame a line is.
fn frame(line: &[u8]) -> Option<Lang> {
    let trimmed = line.trim_ascii_start();
    let indented = trimmed.len() < line.len();
    if indented && (trimmed.starts_with(b"at ") || trimmed.starts_with(b"eval at ")) {
        return [(&s::NODE_FRAME, Lang::Node), (&s::JVM_FRAME, Lang::Jvm), (&s::NET_FRAME, Lang::Dotnet)]
            .into_iter()
            .find(|(shape, _)| shape.is_match(line))
            .map(|(_, lang)| lang);
    }
    let ruby = s::contains(line, b":in `") || s::contains(line, b":in '");
    (ruby && s::RUBY_FRAME.is_match(line)).then_some(Lang::Ruby)
}

/// True for lines that begin a block only together with what stands before them.
pub(super) fn is_frame(line: &[u8]) -> bool {
    match line.first() {
        Some(b'g') if line.starts_with(b"goroutine ") => s::GO_ROUTINE.is_match(line),
        Some(b'N') => line.starts_with(b"Node.js v"),
        Some(b'S') => line == b"Stack trace:",
        Some(b'[') => line == b"[stacktrace]",
        _ => frame(line).is_some(),
    }
}

/// A frame begins a block together with its head: the lines before it, nearest first.
pub(super) fn weak<'a>(line: &[u8], previous: impl Iterator<Item = &'a [u8]>) -> Option<Start> {
    let previous: Vec<&[u8]> = previous.take(LOOK_BACK).collect();
    let head = previous.first().copied().unwrap_or_default();
    let with_head = usize::from(!is_blank(head));
    match line.first()? {
        b'g' => return Some(Start { back: with_head, ..Start::new(Lang::Go, At::Frames, true) }),
        b'N' => {
            let back = source_place(&previous)
                .or_else(|| previous.iter().position(|line| is_log_line(line)))
                .unwrap_or(previous.len().min(16));
            return (back > 0).then(|| Start { back, ..Start::new(Lang::Node, At::Done, true) });
        }
        b'S' | b'[' => return Some(Start { back: with_head, ..Start::new(Lang::Php, At::Head, false) }),
        _ => {}
    }
    let lang = frame(line)?;
    // A dump of threads is no exception, nor are its later frames.
    if s::contains(head, b"Thread.State:") || frame(head).is_some() {
        return None;
    }
    let blanks = previous.iter().take_while(|line| is_blank(line)).count().min(2);
    let nearest = if lang == Lang::Ruby && blanks < previous.len() { blanks + 1 } else { with_head };
    let message = message_head(&previous);
    let place = if lang == Lang::Node { source_place(&previous) } else { None };
    let back = place.or(message).unwrap_or(nearest).max(nearest);
    let named = message.is_some()
        || place.is_some()
        || back
            .checked_sub(1)
            .and_then(|i| previous.get(i))
            .is_some_and(|head| s::ERROR_CLASS.is_match(head));
    Some(Start { back, frames: 1, ..Start::new(lang, At::Frames, named) })
}

/// How many lines above the first frame the message begins: at the line that names an exception, when nothing else is between.
fn message_head(previous: &[&[u8]]) -> Option<usize> {
    for (n, line) in previous.iter().enumerate().take(16) {
        let class = if n == 0 { s::ERROR_CLASS.is_match(line) } else { s::JVM_CLASS.is_match(line) };
        if class {
            return Some(n + 1);
        }
        if is_blank(line) || is_log_line(line) || frame(line).is_some() {
            return None;
        }
    }
    None
}

/// Node shows `file:line`, the source line and a caret above the exception's message: how many lines above the frame.
fn source_place(previous: &[&[u8]]) -> Option<usize> {
    for (n, line) in previous.iter().enumerate() {
        if s::CARET.is_match(line) && previous.get(n + 2).is_some_and(|place| s::FILE_LINE.is_match(place)) {
            return Some(n + 3);
        }
        if is_log_line(line) || frame(line).is_some() {
            return None;
        }
    }
    None
}

/// A frame behind a prefix, when the line before it has the same prefix: the prefix.
pub(super) fn prefixed_frame(line: &[u8]) -> Option<Prefix> {
    let at = ["\tat ", "   at "].iter().find_map(|mark| memchr::memmem::find(line, mark.as_bytes()))?;
    let front = line.get(..at)?.trim_ascii_end();
    if front.is_empty() {
        return None;
    }
    let prefix = Prefix::of(front)?;
    frame(prefix.strip(line)).is_some().then_some(prefix)
}
