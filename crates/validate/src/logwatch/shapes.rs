//! What single lines look like: regular expressions for the structures, and small helpers.

use regex::bytes::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Substring search.
pub(super) fn contains(line: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(line, needle).is_some()
}

/// Compiles a pattern of this module. They are constants, and a test compiles them all.
#[expect(clippy::expect_used, reason = "the patterns are constants that a test compiles")]
pub(super) fn regex(pattern: &str) -> Regex {
    Regex::new(&format!("(?-u){pattern}")).expect("a constant pattern compiles")
}

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident = $pattern:expr;)+) => {
        $($(#[$doc])* pub(super) static $name: LazyLock<Regex> = LazyLock::new(|| regex($pattern));)+
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $pattern)),+];
    };
}

shapes! {
    /// Dead-letter queue, unless the line says that it is empty.
    DLQ = r"\bDLQ\b(?P<zero>\s*[=:]?\s*0\b)?";
    /// The beginning of an ordinary log line.
    LOG_LINE = r"^(?:\[?\d{4}[-/]\d\d[-/]\d\d|\[?\d\d:\d\d:\d\d|\{\x22|\[\w{3} \w{3} +\d+ \d\d:|(?:ERROR|WARN|WARNING|INFO|DEBUG|TRACE|CRITICAL|FATAL)\b[ :]|\[(?:ERROR|WARN|WARNING|INFO|DEBUG|TRACE|CRITICAL|FATAL)\]|(?:time|ts|level)=|<\d{1,3}>|[EWIF]\d{4} \d\d:)";
    /// `thread 'x' (id) panicked at `; the rest of the line tells the two forms apart.
    RUST_PANIC = r"^thread '(?P<name>.*?)'(?: \(\d+\))? panicked at (?P<rest>.*)$";
    /// The new form: only the place, the message follows.
    RUST_PLACE = r"^\S.*:\d+:\d+:$";
    /// The end of the old form.
    RUST_OLD_END = r"', .+:\d+(?::\d+)?$";
    /// A stack overflow.
    RUST_OVERFLOW = r"^thread '(?P<name>.*?)'(?: \(\d+\))? has overflowed its stack$";
    /// An abort of the runtime.
    RUST_ABORT = r"^(?:fatal runtime error: |thread caused non-unwinding panic\. aborting\.|thread panicked while processing panic\. aborting\.|memory allocation of \d+ bytes failed)";
    /// A frame of a Go routine dump.
    GO_ROUTINE = r"^goroutine \d+(?: gp=\S+)?(?: m=\S+)?(?: mp=\S+)? \[[^\]]+\]:$";
    /// A Go function line.
    GO_FUNCTION = r"^(?:created by |runtime stack:$|\.\.\.additional frames elided\.\.\.|exit status \d|[\w./*()\[\]{}<>$%@~-]+\(.*\)$|r\w\w? +0x|[a-z]{2}flags +0x|[cfg]s +0x)";
    /// A thread's end by an exception.
    JVM_THREAD = r"^Exception in thread \x22(?P<name>.*?)\x22 (?P<rest>.*)$";
    /// A JVM exception class.
    JVM_CLASS = r"^(?:[A-Za-z_$][\w$]*\.)+[\w$]*[A-Z][\w$]*(?::|$|\s)";
    /// A JVM frame.
    JVM_FRAME = r"^\s+at (?:[\w.$@-]*/)*[\w.$<>@/ -]+\((?:[\w$.-]+\.(?:java|kt|kts|scala|groovy|clj)(?::\d+)?|Native Method|Unknown Source|<generated>|[\w$-]+)\)(?:\s*~?\[.*\])?$";
    /// The rest of a JVM trace.
    JVM_MORE = r"^\s*(?:\.\.\. \d+ (?:more|common frames omitted)|\[CIRCULAR REFERENCE)";
    /// A cause.
    JVM_CAUSE = r"^\s*(?:Caused by: |Suppressed: |Wrapped by: )";
    /// A V8 frame.
    NODE_FRAME = r"^\s+(?:at|eval at) (?:.*(?:[^\d\s:]\w*:\d+:\d+\)*|\(native\)|\(unknown location\)|\(<anonymous>\)|\(index \d+\)))(?: \{)?,?$";
    /// A .NET frame.
    NET_FRAME = r"^\s+at [\w.<>`+\[\],|$@ &*=-]+ ?\(.*\)(?: \[0x[0-9a-f]+\])?(?: in .+:(?:line )?\d+)?\s*$";
    /// Separators of a .NET trace.
    NET_MORE = r"^\s*(?:--- End of |---> |--- )";
    /// A caret under a source line.
    CARET = r"^\s*[\^~]+\s*$";
    /// `file:line` above the source line.
    FILE_LINE = r"^\S.*:\d+$";
    /// A PHP error.
    PHP_FATAL = r"^(?:\[[^\]]*\] )?(?:PHP )?(?:Fatal|Parse|Compile|Recoverable fatal) error: +.* in .+(?: on line |:)\d+$";
    /// A PHP frame.
    PHP_FRAME = r"^(?:PHP +\d+\. |#\d+ )(?:\{main\}|.+)$";
    /// Ruby's first line.
    RUBY_HEAD = r"^(?:\S.*?:\d+:in [`'].+': .* \([A-Z][\w:]*\)$|\S+\.rb:\d+: .*\(SyntaxError\)$)";
    /// A Ruby frame.
    RUBY_FRAME = r"^\s*(?:\d+: )?(?:from )?(?:\S.*\.\w+|-e|\(\w+\)|<internal:[^>]+>):\d+:in [`'].+'$";
    /// A Ruby thread's end.
    RUBY_THREAD = r"^#<Thread:0x[0-9a-f]+ .*> terminated with exception \(report_on_exception is true\):$";
    /// A Dart frame.
    DART_FRAME = r"^#\d+ +\S.* \(.+\)$";
    /// What a Python exception prints as its last line.
    PYTHON_ERROR = r"^[A-Za-z_][\w.<>]*(?:: .*|:)?$";
    /// The place of a Python syntax error, which has no traceback when it is in the program itself.
    PYTHON_SYNTAX_AT = r"^  File \x22.+\x22, line \d+$";
    /// And its last line.
    PYTHON_SYNTAX = r"^(?:SyntaxError|IndentationError|TabError): ";
    /// A line above the traceback by asyncio.
    ASYNCIO_DETAIL = r"^(?:future|handle|task|protocol|transport|server|context|loop): ";
    /// multiprocessing: the traceback of a child follows.
    PYTHON_PROCESS = r"^Process \S.*:$";
    /// The JVM ends itself.
    JVM_OUT_OF_MEMORY = r"^(?:Terminating|Aborting) due to java\.lang\.OutOfMemoryError";
    /// The JVM's own crash.
    JVM_FATAL = r"^# A fatal error has been detected by the Java Runtime";
    /// V8's own crash.
    V8_FATAL = r"^# Fatal error in ";
    /// V8 ends itself.
    V8_OUT_OF_MEMORY = r"^FATAL ERROR: .*(?:heap|memory|Allocation failed)";
    /// An uncaught PHP exception whose message has more than one line.
    PHP_UNCAUGHT = r"^(?:\[[^\]]*\] )?(?:PHP )?Fatal error: +Uncaught ";
    /// Lines after a native abort.
    NATIVE_MORE = r"^(?:=+ (?:Backtrace|Memory map): =+|\S+\([^)]*\)\s?\[0x[0-9a-f]+\]|[0-9a-f]{6,}-[0-9a-f]{6,} |\[0x[0-9a-f]+\])";
    /// Native aborts, one line.
    NATIVE = r"^(?:(?:\S+: line \d+: +\d+ )(?:Segmentation fault|Bus error|Illegal instruction|Aborted|Floating point exception|Killed)\b.*$|(?:Segmentation fault|Bus error|Illegal instruction|Aborted|Floating point exception)(?:,? \(core dumped\)|: \d+)$|(?:Segmentation fault|Bus error)$|terminate called (?:after throwing an instance of '|without an active exception|recursively)|pure virtual method called$|\*\*\* [a-z%][^*]* detected \*\*\*|\*\*\* [^*]+ \*\*\*: terminated$|\*\*\* Error in `.+': .+ \*\*\*$|(?:\S+: )?\S+:\d+: .*: Assertion [`'].*' failed\.|Fatal glibc error: |(?:free|malloc|calloc|realloc|sysmalloc|munmap_chunk|malloc_consolidate|_int_malloc|_int_free)\(\): (?:invalid|corrupted|double free|unsorted|unaligned|mismatching|memory corruption|largebin|smallbin|too many|chunk)|double free or corruption |corrupted (?:size vs\. prev_size|double-linked list|unsorted chunks))";
    /// A sanitizer's report.
    SANITIZER = r"^(?:(?:=+\d+=+ ?)?ERROR: (?:Address|Memory|Leak|HWAddress)Sanitizer: |(?:Address|Memory|HWAddress)Sanitizer:DEADLYSIGNAL)";
    /// What follows in a sanitizer's report.
    SANITIZER_MORE = r"^(?:=+\d+=+|=+$|\s+#\d+ 0x|SUMMARY: |Shadow |\s|0x[0-9a-f]+ is located|previously allocated|freed by|(?:READ|WRITE) of|AddressSanitizer|(?:Indirect|Direct) leak of|-+ JavaScript stack trace -+|\d+: )";
    /// A class that sounds like an exception, in its place: at the end of a word, before a colon, a bracket or the end.
    ERROR_CLASS = r"(?:^|[\s.:(])[A-Za-z_$][\w$.:]*(?:Error|Exception|Throwable|Failure|Interrupt)\b(?:\s*[:(\[]|$|\s+\()";
}

/// True when a line says DLQ and does not say that there are none in it.
pub(super) fn says_dlq(line: &[u8]) -> bool {
    contains(line, b"DLQ") && DLQ.captures_iter(line).any(|found| found.name("zero").is_none())
}

/// True for the beginning of an ordinary log line.
pub(super) fn is_log_line(line: &[u8]) -> bool {
    line.first().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'[' | b'{' | b'<'))
        && LOG_LINE.is_match(line)
}

/// True when a word holds `hh:mm` or `h:mm`.
pub(super) fn holds_time(word: &[u8]) -> bool {
    memchr::memchr_iter(b':', word).any(|i| {
        i >= 1
            && word[i - 1].is_ascii_digit()
            && word.get(i + 1..i + 3).is_some_and(|after| after.iter().all(u8::is_ascii_digit))
    })
}

/// True when nothing but white space.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// A line without terminal colours.
pub(super) fn without_colours(line: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(0x1b, line).is_none() {
        return Cow::Borrowed(line);
    }
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr::memchr(0x1b, rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(body) = rest.strip_prefix(b"[") {
            let end = body.iter().position(|b| (0x40..=0x7e).contains(b)).map_or(body.len(), |i| i + 1);
            rest = &body[end..];
        }
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_pattern_compiles() {
        for (name, pattern) in super::ALL {
            assert!(regex::bytes::Regex::new(&format!("(?-u){pattern}")).is_ok(), "{name}");
        }
    }

    #[test]
    fn dlq_needs_something_in_it() {
        assert!(super::says_dlq(b"alert moved to DLQ after 5 attempts"));
        assert!(
            !super::says_dlq(b"DLQ 0") && !super::says_dlq(b"DLQ: 0, sent 3") && super::says_dlq(b"DLQ=10")
        );
    }
}
