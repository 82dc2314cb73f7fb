//! One crash block as it grows: where in its structure it is, what it keeps, when it is over. Which lines begin a block is in
//! [`super::starts`], what each language's block goes on with in [`super::grammar`].

use super::Suspect;
use super::prefix::Prefix;
use super::shapes::{is_blank, is_log_line};
use super::starts::strong;

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
    /// Python: the place of a syntax error; source line, caret and the error must follow.
    Syntax,
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
    /// Frames seen so far.
    pub(super) frames: u32,
    /// Frames that confirm it.
    pub(super) needs: u32,
    /// What stands in front of every line of it.
    pub(super) prefix: Option<Prefix>,
}

impl Start {
    pub(super) const fn new(lang: Lang, at: At, confirmed: bool) -> Self {
        Self { lang, at, back: 0, confirmed, thread_died: false, frames: 0, needs: 2, prefix: None }
    }
}

/// What to do with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It belongs to the block.
    Take,
    /// Another thread's line between; the block goes on.
    Skip,
    /// The block ended before it.
    End,
}

/// A line as it is kept: its first bytes, and how many more it had.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) cut: u64,
}

/// Lines of free text (a message, notes) that a block may hold in a row.
const FREE: u32 = 40;
/// The same of a block whose lines are log records: what follows may be any record of the same logger.
const FREE_PREFIXED: u32 = 4;
/// Foreign lines in a row that may stand between two lines of a block.
const SKIPS: u32 = 32;
/// Bytes of a block that are kept.
const TEXT_CAP: usize = 256 * 1024;
/// Bytes of one line of a block that are kept.
const LINE_CAP: usize = 16 * 1024;

/// A block that is open.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) lang: Lang,
    pub(super) at: At,
    pub(super) confirmed: bool,
    pub(super) frames: u32,
    pub(super) needs: u32,
    pub(super) free: u32,
    pub(super) after_blank: bool,
    thread_died: bool,
    skips: u32,
    prefix: Option<Prefix>,
    text: String,
    left_out: u64,
    reported: bool,
    first_t: Option<f64>,
    last_t: f64,
    before: Vec<String>,
}

impl Block {
    pub(super) fn new(start: Start, before: Vec<String>) -> Self {
        Self {
            lang: start.lang,
            at: start.at,
            confirmed: start.confirmed,
            frames: start.frames,
            needs: start.needs,
            free: 0,
            after_blank: false,
            thread_died: start.thread_died,
            skips: 0,
            prefix: start.prefix,
            text: String::new(),
            left_out: 0,
            reported: false,
            first_t: None,
            last_t: 0.0,
            before,
        }
    }

    /// Adds a line, `t` seconds after the phase's start.
    pub(super) fn push(&mut self, line: Line<'_>, t: f64) {
        self.last_t = t;
        // What comes after a block was reported still belongs to it and is not another one.
        if self.reported {
            return;
        }
        if self.first_t.is_none() {
            self.first_t = Some(t);
        } else if self.text.len() < TEXT_CAP {
            self.text.push('\n');
        }
        if self.text.len() < TEXT_CAP {
            self.text.push_str(&shown(line, LINE_CAP));
        } else {
            self.left_out += 1;
        }
    }

    /// True when every line of it is a log record of its own.
    pub(super) fn is_prefixed(&self) -> bool {
        self.prefix.is_some()
    }

    /// True when nothing has come for so long that nothing more will: sooner when its structure is complete. A block that may
    /// still become one waits for its next line, and one that was reported is not over a second time.
    pub(super) fn is_over(&self, t: f64) -> bool {
        let quiet = t - self.last_t;
        let unfinished = matches!(self.at, At::Frames | At::Head) && self.lang == Lang::Python;
        self.confirmed && !self.reported && quiet >= if unfinished { QUIET_UNFINISHED_S } else { QUIET_S }
    }

    /// The suspect, once, when the block turned out to be a structure.
    pub(super) fn report(&mut self) -> Option<Suspect> {
        let at_s = self.first_t.filter(|_| self.confirmed && !self.reported)?;
        self.reported = true;
        let mut text = std::mem::take(&mut self.text);
        text.truncate(text.trim_end().len());
        if self.left_out > 0 {
            text.push_str(&format!("\n({} further lines left out)", self.left_out));
        }
        let before = std::mem::take(&mut self.before);
        Some(Suspect { at_s, language: self.lang.as_str(), text, before, thread_died: self.thread_died })
    }

    /// Decides about the next line. The caller pushes it when it is taken.
    pub(super) fn step(&mut self, raw: &[u8]) -> Step {
        let line = self.prefix.as_ref().map_or(raw, |prefix| prefix.strip(raw));
        let blank = is_blank(line);
        let taken = match self.lang {
            Lang::Python => self.python(line, blank),
            Lang::Rust => self.rust(line, blank),
            Lang::Go => self.go(line, blank),
            Lang::Jvm => self.jvm(line, blank),
            Lang::Node => self.node(line, blank),
            Lang::Dotnet => self.dotnet(line, blank),
            Lang::Php => self.php(line, blank),
            Lang::Ruby => self.ruby(line, blank),
            Lang::Dart => self.dart(line, blank),
            Lang::Native => self.native(line, blank),
        };
        if taken {
            self.after_blank = blank;
            self.skips = 0;
            return Step::Take;
        }
        if self.skips < SKIPS && self.may_skip(line) {
            self.skips += 1;
            return Step::Skip;
        }
        Step::End
    }

    /// Threads share a stream: a line of another one between two frames does not end a trace.
    fn may_skip(&self, line: &[u8]) -> bool {
        if self.after_blank {
            return false;
        }
        let waits = !self.confirmed && self.at == At::Head && matches!(self.lang, Lang::Python | Lang::Go);
        if (self.at == At::Frames || waits) && is_log_line(line) {
            return true;
        }
        // A Python traceback is not complete before its last line: prints of other threads may come before it.
        self.lang == Lang::Python && self.at == At::Frames && !is_blank(line) && strong(line).is_none()
    }

    pub(super) fn to(&mut self, at: At) -> bool {
        self.at = at;
        self.free = 0;
        true
    }

    pub(super) fn frame_seen(&mut self) -> bool {
        self.frames += 1;
        self.confirmed |= self.frames >= self.needs;
        self.to(At::Frames)
    }

    /// A line of a message or a note: nothing that is a log line or begins another block.
    pub(super) fn free_text(&mut self, line: &[u8]) -> bool {
        self.free += 1;
        let most = if self.is_prefixed() { FREE_PREFIXED } else { FREE };
        self.free <= most && !is_log_line(line) && strong(line).is_none()
    }
}

/// A block without a continuation for this long is over, seconds.
const QUIET_S: f64 = 0.3;
/// The same while its structure lacks its last line: a runtime that looks up source lines pauses between frames.
const QUIET_UNFINISHED_S: f64 = 2.0;

/// A line as text, at most `cap` bytes of it; what is left out is said.
pub(super) fn shown(line: Line<'_>, cap: usize) -> String {
    let kept = line.bytes.get(..cap).unwrap_or(line.bytes);
    let mut text = String::from_utf8_lossy(kept).into_owned();
    let cut = line.cut + (line.bytes.len() - kept.len()) as u64;
    if cut > 0 {
        text.push_str(&format!(" ... ({cut} bytes of this line left out)"));
    }
    text
}
