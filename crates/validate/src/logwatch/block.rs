//! One crash block as it grows: which line begins it, which lines continue it, when it is confirmed as a structure.

use super::Suspect;
use super::shapes::{self as s, is_blank, is_log_line};

/// Whose structure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lang {
    Python,
    Rust,
    Go,
    Jvm,
    Node,
    Dotnet,
    Php,
    Ruby,
    Dart,
    Native,
}

impl Lang {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Jvm => "jvm",
            Self::Node => "node",
            Self::Dotnet => "dotnet",
            Self::Php => "php",
            Self::Ruby => "ruby",
            Self::Dart => "dart",
            Self::Native => "native",
        }
    }
}

/// Where in its grammar a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Lines before the first frame: the marker line or the message.
    Head,
    /// Python: `Exception in thread ..:`, the traceback must follow.
    BeforeTraceback,
    /// Python: an exception group.
    Group,
    /// Python: between two chained tracebacks.
    Chain,
    /// Rust: the old form's message runs over several lines.
    OldMessage,
    /// Frames.
    Frames,
    /// After the structure: notes and the rest of a message.
    Tail,
    /// Nothing more belongs to it.
    Done,
}

/// How a block begins.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) lang: Lang,
    pub(super) at: At,
    /// Lines before this one that belong to the block.
    pub(super) back: usize,
    pub(super) confirmed: bool,
    pub(super) thread_died: bool,
    /// True when two frames alone must confirm it.
    pub(super) frames: u32,
}

impl Start {
    const fn new(lang: Lang, at: At, confirmed: bool) -> Self {
        Self { lang, at, back: 0, confirmed, thread_died: false, frames: 0 }
    }
}

/// What to do with a line.
pub(super) enum Step {
    /// It belongs to the block.
    Take,
    /// Another thread's log line between; the block goes on.
    Skip,
    /// The block ended before it.
    End,
}

/// Lines of free text (a message, notes) that a block may hold in a row.
const FREE: u32 = 40;
/// Foreign log lines that may stand between frames.
const SKIPS: u32 = 8;
/// Bytes of a block that are kept.
const TEXT_CAP: usize = 256 * 1024;

/// A block that is open.
#[derive(Debug)]
pub(super) struct Block {
    lang: Lang,
    at: At,
    confirmed: bool,
    thread_died: bool,
    frames: u32,
    free: u32,
    skips: u32,
    after_blank: bool,
    text: String,
    left_out: u64,
    first_t: Option<f64>,
    pub(super) last_t: f64,
    before: Vec<String>,
}

/// A line that begins a block by itself.
pub(super) fn strong(line: &[u8]) -> Option<Start> {
    let found = |lang, at, confirmed| Some(Start::new(lang, at, confirmed));
    match line.first()? {
        b't' if line.starts_with(b"thread ") => rust_panic(line),
        b' ' | b'\t' => {
            let group = line.trim_ascii_start() == b"+ Exception Group Traceback (most recent call last):";
            group.then(|| Start::new(Lang::Python, At::Group, false))
        }
        _ if line.ends_with(TRACEBACK) && !matches!(line[0], b'>' | b'|' | b'#' | b'"' | b'\'' | b'*') => {
            found(Lang::Python, At::Head, false)
        }
        b'E' if line.starts_with(b"Exception in thread \"") => jvm_thread(line),
        b'E' if line.starts_with(b"Exception in thread ") && line.ends_with(b":") => {
            Some(Start { thread_died: true, ..Start::new(Lang::Python, At::BeforeTraceback, false) })
        }
        b'E' if line.starts_with(b"Exception: ")
            && s::contains(line, b"thrown from the UncaughtExceptionHandler in") =>
        {
            found(Lang::Jvm, At::Done, true)
        }
        b'F' if line.starts_with(b"Fatal Python error: ") => found(Lang::Python, At::Tail, true),
        b'p' if line.starts_with(b"panic: ") => found(Lang::Go, At::Head, false),
        b'f' if line.starts_with(b"fatal error: ") => found(Lang::Go, At::Head, false),
        b'#' if line.starts_with(b"# A fatal error has been detected by the Java Runtime") => {
            found(Lang::Jvm, At::Tail, true)
        }
        b'#' if s::RUBY_THREAD.is_match(line) => {
            Some(Start { thread_died: true, ..Start::new(Lang::Ruby, At::Head, true) })
        }
        b'U' if line.starts_with(b"Unhandled exception. ") || line.starts_with(b"Unhandled Exception: ") => {
            found(Lang::Dotnet, At::Head, false)
        }
        b'U' if line == b"Unhandled exception:" => found(Lang::Dart, At::Head, false),
        b'U' if line == b"Unhandled Exception:" => found(Lang::Dotnet, At::Head, false),
        _ if s::RUST_ABORT.is_match(line) => found(Lang::Rust, At::Tail, true),
        _ if s::PHP_FATAL.is_match(line) => found(Lang::Php, At::Head, true),
        _ if s::SANITIZER.is_match(line) => found(Lang::Native, At::Frames, true),
        _ if s::NATIVE.is_match(line) => found(Lang::Native, At::Tail, true),
        _ if s::RUBY_HEAD.is_match(line) => found(Lang::Ruby, At::Head, true),
        _ => None,
    }
}

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";

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
    Some(Start { thread_died: &found["name"] != b"main", ..Start::new(Lang::Jvm, At::Head, class) })
}

/// Lines before a start that belong to it, and whether they say that a worker died.
pub(super) struct Extra {
    pub(super) lines: usize,
    pub(super) worker: bool,
}

/// asyncio names the task before the traceback.
pub(super) fn extra_head(start: &Start, previous: &mut dyn Iterator<Item = &[u8]>) -> Extra {
    let nothing = Extra { lines: 0, worker: false };
    if start.lang != Lang::Python || start.at != At::Head {
        return nothing;
    }
    let Some(first) = previous.next() else { return nothing };
    if first.starts_with(b"future: <")
        && previous.next().is_some_and(|second| s::contains(second, b"Task exception was never retrieved"))
    {
        Extra { lines: 2, worker: true }
    } else if first.starts_with(b"Exception ignored in") || s::contains(first, b"Exception in callback ") {
        Extra { lines: 1, worker: false }
    } else {
        nothing
    }
}

/// What kind of frame a line is.
fn frame(line: &[u8]) -> Option<Lang> {
    let trimmed = line.trim_ascii_start();
    let indented = trimmed.len() < line.len();
    if indented && (trimmed.starts_with(b"at ") || trimmed.starts_with(b"eval at ")) {
        return [(&s::JVM_FRAME, Lang::Jvm), (&s::NODE_FRAME, Lang::Node), (&s::NET_FRAME, Lang::Dotnet)]
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
        _ => frame(line).is_some(),
    }
}

/// A frame begins a block together with its head: the lines before it, nearest first.
pub(super) fn weak(line: &[u8], previous: &mut dyn Iterator<Item = &[u8]>) -> Option<Start> {
    let previous: Vec<&[u8]> = previous.take(16).collect();
    let head = previous.first().copied().unwrap_or_default();
    let with_head = usize::from(!is_blank(head));
    match line.first()? {
        b'g' => return Some(Start { back: with_head, ..Start::new(Lang::Go, At::Frames, true) }),
        b'N' => {
            let back = previous.iter().take_while(|line| !is_log_line(line)).count();
            return (back > 0).then(|| Start { back, ..Start::new(Lang::Node, At::Done, true) });
        }
        b'S' => return Some(Start { back: with_head, ..Start::new(Lang::Php, At::Head, false) }),
        _ => {}
    }
    let lang = frame(line)?;
    // A dump of threads is no exception.
    if s::contains(head, b"Thread.State:") {
        return None;
    }
    let blanks = previous.iter().take_while(|line| is_blank(line)).count().min(2);
    let mut back = if lang == Lang::Ruby && blanks < previous.len() { blanks + 1 } else { with_head };
    let named =
        back.checked_sub(1).and_then(|i| previous.get(i)).is_some_and(|head| s::ERROR_CLASS.is_match(head));
    if lang == Lang::Node {
        back += source_lines(&previous, back);
    }
    Some(Start { back, frames: 1, ..Start::new(lang, At::Frames, named) })
}

/// Node shows `file:line`, the source line, a caret and a blank line above the exception.
fn source_lines(previous: &[&[u8]], head: usize) -> usize {
    let shown = match previous.get(head..) {
        Some([blank, caret, _, place, ..]) => {
            is_blank(blank) && s::CARET.is_match(caret) && s::FILE_LINE.is_match(place)
        }
        _ => false,
    };
    if shown { 4 } else { 0 }
}

impl Block {
    pub(super) fn new(start: &Start, before: Vec<String>) -> Self {
        Self {
            lang: start.lang,
            at: start.at,
            confirmed: start.confirmed,
            thread_died: start.thread_died,
            frames: start.frames,
            free: 0,
            skips: 0,
            after_blank: false,
            text: String::new(),
            left_out: 0,
            first_t: None,
            last_t: 0.0,
            before,
        }
    }

    /// Adds a line.
    pub(super) fn push(&mut self, line: &[u8], t: f64) {
        if self.first_t.is_none() {
            self.first_t = Some(t);
        } else if self.text.len() < TEXT_CAP {
            self.text.push('\n');
        }
        if self.text.len() < TEXT_CAP {
            self.text.push_str(&String::from_utf8_lossy(line));
        } else {
            self.left_out += 1;
        }
        self.last_t = t;
    }

    /// The suspect, when the block turned out to be a structure.
    pub(super) fn finish(self) -> Option<Suspect> {
        let at_s = self.first_t.filter(|_| self.confirmed)?;
        let mut text = self.text.trim_end().to_owned();
        if self.left_out > 0 {
            text.push_str(&format!("\n({} further lines left out)", self.left_out));
        }
        let thread_died = self.thread_died;
        Some(Suspect { at_s, language: self.lang.as_str(), text, before: self.before, thread_died })
    }

    /// Decides about the next line. The caller pushes it when it is taken.
    pub(super) fn step(&mut self, line: &[u8], marked: bool) -> Step {
        let blank = is_blank(line);
        let taken = match self.lang {
            Lang::Python => self.python(line, blank, marked),
            Lang::Rust => self.rust(line, blank, marked),
            Lang::Go => self.go(line, blank, marked),
            Lang::Jvm => self.jvm(line, blank, marked),
            Lang::Node => self.node(line, blank),
            Lang::Dotnet => self.dotnet(line, blank, marked),
            Lang::Php => self.php(line, blank),
            Lang::Ruby => self.ruby(line, blank),
            Lang::Dart => self.dart(line, blank, marked),
            Lang::Native => self.native(line, blank),
        };
        if taken {
            self.after_blank = blank;
            return Step::Take;
        }
        // Threads share a stream: a log line between two frames does not end a trace.
        if self.at == At::Frames && !self.after_blank && self.skips < SKIPS && is_log_line(line) {
            self.skips += 1;
            return Step::Skip;
        }
        Step::End
    }

    fn to(&mut self, at: At) -> bool {
        self.at = at;
        self.free = 0;
        true
    }

    fn frame_seen(&mut self, confirm_at: u32) -> bool {
        self.frames += 1;
        self.confirmed |= self.frames >= confirm_at;
        self.to(At::Frames)
    }

    /// A line of a message or a note: nothing that is a log line or begins another block.
    fn free_text(&mut self, line: &[u8], marked: bool) -> bool {
        self.free += 1;
        self.free <= FREE && !is_log_line(line) && !(marked && strong(line).is_some())
    }

    fn python(&mut self, line: &[u8], blank: bool, marked: bool) -> bool {
        match self.at {
            At::BeforeTraceback => line == TRACEBACK && self.to(At::Head),
            At::Head if line.starts_with(b"  File \"") => self.frame_seen(1),
            At::Head if s::RUBY_FRAME.is_match(line) => {
                // Ruby's own traceback, newest call last.
                self.lang = Lang::Ruby;
                self.frame_seen(1)
            }
            At::Head => false,
            At::Group => {
                let trimmed = line.trim_ascii_start();
                self.confirmed |= s::contains(trimmed, b"File \"");
                !blank
                    && trimmed.len() < line.len()
                    && trimmed.first().is_some_and(|b| matches!(b, b'|' | b'+'))
            }
            At::Frames if line.starts_with(b"  ") => true,
            At::Tail if fault_handler(line) => self.to(At::Tail),
            At::Frames => !blank && !is_log_line(line) && self.to(At::Tail),
            At::Tail if blank => !self.after_blank,
            At::Tail if chained(line) => self.to(At::Chain),
            At::Tail => !self.after_blank && self.free_text(line, marked),
            At::Chain if line == TRACEBACK => self.to(At::Head),
            At::Chain
                if line.trim_ascii_start() == b"+ Exception Group Traceback (most recent call last):" =>
            {
                self.to(At::Group)
            }
            At::Chain => blank,
            At::OldMessage | At::Done => false,
        }
    }

    fn rust(&mut self, line: &[u8], blank: bool, marked: bool) -> bool {
        if line.starts_with(b"note: ") && self.confirmed {
            return self.to(At::Tail);
        }
        if line == b"stack backtrace:" && self.confirmed {
            return self.to(At::Frames);
        }
        if !self.after_blank && s::RUST_ABORT.is_match(line) {
            return self.to(At::Tail);
        }
        match self.at {
            At::Head if self.free == 0 => {
                self.free = 1;
                !(marked && strong(line).is_some())
            }
            At::Head if blank => !self.after_blank,
            At::Head => self.free_text(line, marked),
            At::OldMessage => {
                if s::RUST_OLD_END.is_match(line) {
                    self.confirmed = true;
                    return self.to(At::Tail);
                }
                self.free_text(line, marked)
            }
            At::Frames => !blank && line[0].is_ascii_whitespace(),
            _ => false,
        }
    }

    fn go(&mut self, line: &[u8], blank: bool, marked: bool) -> bool {
        if s::GO_ROUTINE.is_match(line) {
            return self.frame_seen(1);
        }
        match self.at {
            At::Head if blank => !self.after_blank,
            At::Head if line.starts_with(b"panic: ") => true,
            At::Head => self.free_text(line, marked),
            At::Frames if blank => !self.after_blank,
            At::Frames => line[0] == b'\t' || s::GO_FUNCTION.is_match(line),
            _ => false,
        }
    }

    fn jvm(&mut self, line: &[u8], blank: bool, marked: bool) -> bool {
        let frame_line = line.trim_ascii_start().starts_with(b"at ") && line[0].is_ascii_whitespace();
        match self.at {
            At::Tail => line.starts_with(b"#"),
            At::Done => false,
            _ if blank => false,
            _ if frame_line => self.frame_seen(2),
            _ if s::JVM_CAUSE.is_match(line) => self.to(At::Head),
            _ if s::JVM_MORE.is_match(line) => true,
            At::Head => self.free_text(line, marked),
            _ => false,
        }
    }

    fn node(&mut self, line: &[u8], blank: bool) -> bool {
        if self.at == At::Done {
            return false;
        }
        if line.starts_with(b"Node.js v") {
            self.confirmed = true;
            return self.to(At::Done);
        }
        if blank {
            return !self.after_blank;
        }
        let trimmed = line.trim_ascii();
        if self.after_blank {
            return false;
        }
        if trimmed.starts_with(b"at ") && line[0].is_ascii_whitespace() {
            return self.frame_seen(2);
        }
        trimmed == b"}" || (line[0].is_ascii_whitespace() && !trimmed.is_empty())
    }

    fn dotnet(&mut self, line: &[u8], blank: bool, marked: bool) -> bool {
        let trimmed = line.trim_ascii_start();
        if blank {
            return false;
        }
        if trimmed.starts_with(b"at ") && line[0].is_ascii_whitespace() {
            // The head says that nobody handled it, or is an exception's: one frame is enough then.
            return self.frame_seen(if self.at == At::Head { 1 } else { 2 });
        }
        if s::NET_MORE.is_match(line) {
            return true;
        }
        self.at == At::Head && self.free_text(line, marked)
    }

    fn php(&mut self, line: &[u8], blank: bool) -> bool {
        if blank {
            return false;
        }
        if line == b"Stack trace:" || line.starts_with(b"  thrown in ") || line.starts_with(b"Next ") {
            return true;
        }
        line[0] == b'#' && s::PHP_FRAME.is_match(line) && self.frame_seen(1)
    }

    fn ruby(&mut self, line: &[u8], blank: bool) -> bool {
        if blank {
            return self.at == At::Head && !self.after_blank;
        }
        if s::RUBY_HEAD.is_match(line) {
            // After frames of the newest-last order the head comes last; otherwise it is a cause.
            self.confirmed = true;
            return self.to(At::Frames);
        }
        if s::RUBY_FRAME.is_match(line) {
            return self.frame_seen(2);
        }
        line[0].is_ascii_whitespace() && self.at == At::Head
    }

    fn dart(&mut self, line: &[u8], blank: bool, marked: bool) -> bool {
        if s::DART_FRAME.is_match(line) {
            return self.frame_seen(1);
        }
        if line == b"<asynchronous suspension>" {
            return true;
        }
        self.at == At::Head && (blank || self.free_text(line, marked))
    }

    fn native(&mut self, line: &[u8], blank: bool) -> bool {
        if self.at == At::Frames {
            return if blank { !self.after_blank } else { s::SANITIZER_MORE.is_match(line) };
        }
        line.starts_with(b"  what():  ") || (!blank && s::NATIVE.is_match(line))
    }
}

/// What follows `Fatal Python error`.
fn fault_handler(line: &[u8]) -> bool {
    line.ends_with(b" (most recent call first):")
        || line.starts_with(b"  File \"")
        || line.starts_with(b"Extension modules: ")
}

fn chained(line: &[u8]) -> bool {
    line == b"The above exception was the direct cause of the following exception:"
        || line == b"During handling of the above exception, another exception occurred:"
}
