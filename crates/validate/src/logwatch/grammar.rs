//! What each language's block goes on with. One function per language: true when the line belongs to the block.

use super::block::{At, Block, Lang};
use super::shapes::{self as s};
use super::starts::{GROUP, TRACEBACK, strong};

fn indented(line: &[u8]) -> bool {
    line.first().is_some_and(|b| matches!(b, b' ' | b'\t'))
}

fn is_at(line: &[u8]) -> bool {
    indented(line) && line.trim_ascii_start().starts_with(b"at ")
}

impl Block {
    pub(super) fn python(&mut self, line: &[u8], blank: bool) -> bool {
        match self.at {
            At::BeforeTraceback => line == TRACEBACK && self.to(At::Head),
            At::Head if line.starts_with(b"  File \"") => {
                self.confirmed = true;
                self.to(At::Frames)
            }
            At::Head if s::RUBY_FRAME.is_match(line) => {
                // Ruby's own traceback, newest call last.
                self.lang = Lang::Ruby;
                self.needs = 1;
                self.frame_seen()
            }
            At::Head => false,
            At::Syntax if s::PYTHON_SYNTAX.is_match(line) => {
                self.confirmed = true;
                self.to(At::Tail)
            }
            At::Syntax => {
                self.free += 1;
                self.free <= 4 && line.starts_with(b"    ")
            }
            At::Group => self.group(line, blank),
            At::Frames if line.starts_with(b"  ") => true,
            At::Frames => {
                !blank
                    && !s::is_log_line(line)
                    && (s::PYTHON_ERROR.is_match(line) || self.is_prefixed())
                    && self.to(At::Tail)
            }
            At::Tail if fault_handler(line) => self.to(At::Tail),
            At::Tail if blank => !self.after_blank,
            At::Tail if chained(line) => self.to(At::Chain),
            At::Tail => !self.after_blank && self.free_text(line),
            At::Chain if line == TRACEBACK => self.to(At::Head),
            At::Chain if line.trim_ascii_start() == GROUP => self.to(At::Group),
            At::Chain => blank,
            At::OldMessage | At::Done => false,
        }
    }

    /// An exception group: everything is behind bars, but for what two groups are chained by.
    fn group(&mut self, line: &[u8], blank: bool) -> bool {
        let trimmed = line.trim_ascii_start();
        self.confirmed |= s::contains(trimmed, b"File \"");
        if blank {
            return !self.after_blank;
        }
        if self.after_blank {
            return chained(line) && self.to(At::Chain);
        }
        indented(line) && trimmed.first().is_some_and(|b| matches!(b, b'|' | b'+'))
    }

    pub(super) fn rust(&mut self, line: &[u8], blank: bool) -> bool {
        let note = line.starts_with(b"note: run with `RUST_BACKTRACE") || line == b"stack backtrace:";
        // Behind a prefix the first line alone may be a quotation; this is not.
        self.confirmed |= note;
        if line.starts_with(b"note: ") && self.confirmed {
            return self.to(At::Tail);
        }
        if line == b"stack backtrace:" {
            return self.to(At::Frames);
        }
        if !self.after_blank && s::RUST_ABORT.is_match(line) {
            return self.to(At::Tail);
        }
        match self.at {
            At::Head if self.free == 0 => {
                self.free = 1;
                strong(line).is_none()
            }
            At::Head if blank => !self.after_blank,
            At::Head => self.free_text(line),
            At::OldMessage => {
                if s::RUST_OLD_END.is_match(line) {
                    self.confirmed = true;
                    return self.to(At::Tail);
                }
                self.free_text(line)
            }
            At::Frames => !blank && indented(line),
            _ => false,
        }
    }

    pub(super) fn go(&mut self, line: &[u8], blank: bool) -> bool {
        if s::GO_ROUTINE.is_match(line) || line == b"runtime stack:" {
            self.needs = 1;
            return self.frame_seen();
        }
        match self.at {
            At::Head if blank => !self.after_blank,
            At::Head if line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ") => true,
            At::Head => self.free_text(line),
            At::Frames if blank => !self.after_blank,
            At::Frames => line[0] == b'\t' || s::GO_FUNCTION.is_match(line),
            _ => false,
        }
    }

    pub(super) fn jvm(&mut self, line: &[u8], blank: bool) -> bool {
        match self.at {
            At::Tail => line.starts_with(b"#"),
            At::Done => false,
            _ if blank => false,
            _ if is_at(line) => self.frame_seen(),
            _ if s::JVM_CAUSE.is_match(line) => self.to(At::Head),
            _ if s::JVM_MORE.is_match(line) => true,
            At::Head => self.free_text(line),
            _ => false,
        }
    }

    pub(super) fn node(&mut self, line: &[u8], blank: bool) -> bool {
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
        if self.after_blank {
            return false;
        }
        if is_at(line) {
            return self.frame_seen();
        }
        line[0] == b'}'
            || indented(line)
            || line.starts_with(b"Emitted 'error' event ")
            || (self.at == At::Head && self.free_text(line))
    }

    pub(super) fn dotnet(&mut self, line: &[u8], blank: bool) -> bool {
        if blank {
            return false;
        }
        if is_at(line) {
            // The head says that nobody handled it: one frame is enough then.
            if self.at == At::Head {
                self.needs = 1;
            }
            return self.frame_seen();
        }
        if self.at == At::Head && s::DART_FRAME.is_match(line) {
            // Flutter writes the same head on one line.
            self.lang = Lang::Dart;
            self.needs = 1;
            return self.frame_seen();
        }
        if s::NET_MORE.is_match(line) {
            return true;
        }
        self.at == At::Head && self.free_text(line)
    }

    pub(super) fn php(&mut self, line: &[u8], blank: bool) -> bool {
        if blank {
            return false;
        }
        if matches!(line, b"Stack trace:" | b"PHP Stack trace:" | b"[stacktrace]") {
            return self.to(At::Frames);
        }
        if line.starts_with(b"  thrown in ")
            || line.starts_with(b"Next ")
            || line == b"\"} "
            || line == b"\"}"
        {
            return true;
        }
        if s::PHP_FRAME.is_match(line) {
            self.needs = 1;
            return self.frame_seen();
        }
        self.at == At::Head && self.free_text(line)
    }

    pub(super) fn ruby(&mut self, line: &[u8], blank: bool) -> bool {
        if blank {
            return self.at == At::Head && !self.after_blank;
        }
        if s::RUBY_HEAD.is_match(line) {
            // After frames of the newest-last order the head comes last; otherwise it is a cause.
            self.confirmed = true;
            return self.to(At::Frames);
        }
        if s::RUBY_FRAME.is_match(line) {
            return self.frame_seen();
        }
        let more = line.trim_ascii_start();
        if self.at == At::Frames && more.starts_with(b"... ") && more.ends_with(b" levels...") {
            return true;
        }
        // The message may have more lines.
        (self.at == At::Head || self.frames == 0) && (indented(line) || self.free_text(line))
    }

    pub(super) fn dart(&mut self, line: &[u8], blank: bool) -> bool {
        if s::DART_FRAME.is_match(line) {
            self.needs = 1;
            return self.frame_seen();
        }
        if line == b"<asynchronous suspension>" {
            return true;
        }
        self.at == At::Head && (blank || self.free_text(line))
    }

    pub(super) fn native(&mut self, line: &[u8], blank: bool) -> bool {
        if self.at == At::Frames {
            return if blank { !self.after_blank } else { s::SANITIZER_MORE.is_match(line) };
        }
        if blank {
            return false;
        }
        if line.starts_with(b"  what():  ") {
            self.confirmed = true;
            return self.to(At::Tail);
        }
        s::NATIVE.is_match(line)
            || s::NATIVE_MORE.is_match(line)
            // The rest of what() is free text.
            || (self.at == At::Tail && self.free_text(line))
    }
}

/// What follows `Fatal Python error`.
fn fault_handler(line: &[u8]) -> bool {
    line.ends_with(b" (most recent call first):")
        || line.starts_with(b"  File \"")
        || line.starts_with(b"  ...")
        || line.starts_with(b"  <no Python frame>")
        || line.starts_with(b"Extension modules: ")
}

fn chained(line: &[u8]) -> bool {
    line == b"The above exception was the direct cause of the following exception:"
        || line == b"During handling of the above exception, another exception occurred:"
}
