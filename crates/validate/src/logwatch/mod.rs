//! The log watch: counts levels and phrases in a runner's output and finds crash blocks, as the bytes stream in.
//!
//! Pure: chunks and times are arguments. [`shapes`] knows what single lines look like, [`block`] is the state machine that
//! grows a block line by line, [`level`] reads the level of a log line. Whether a suspect is a crash, a dead worker or was
//! handled is decided elsewhere, by what the process does afterwards.

mod block;
mod foreign;
mod level;
mod shapes;

pub use foreign::LevelRules;

use block::{Block, Step};
use gate::evidence::LogCounters;
use level::Level;
use std::collections::{BTreeMap, VecDeque};

/// Where a chunk came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A crash block: a structure that some runtime prints when something broke.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// When its first line was complete, seconds since the phase's start.
    pub at_s: f64,
    /// `rust`, `python`, `go`, `jvm`, `node`, `dotnet`, `php`, `ruby`, `dart`, `native`.
    pub language: &'static str,
    /// The block whole, lines joined by `\n`.
    pub text: String,
    /// Up to 50 lines of either stream before it.
    pub before: Vec<String>,
    /// The block says that a thread other than the main one died, or a worker task.
    pub thread_died: bool,
}

/// Lines kept before a block.
const BEFORE: usize = 50;
/// Lines kept for looking back.
const RING: usize = 64;
/// A block without a continuation for this long is over, seconds.
const QUIET_S: f64 = 0.3;
/// Bytes of one line that are looked at.
const LINE_CAP: usize = 64 * 1024;
/// Length of an error slot, per second.
const SLOTS_PER_S: f64 = 10.0;
/// Distinct error lines that are told apart; later ones are not listed.
const DISTINCT_ERRORS: usize = 4_096;

/// A line that went by.
#[derive(Debug, Clone)]
struct Past {
    stream: Stream,
    bytes: Vec<u8>,
    t: f64,
    in_block: bool,
}

/// The unfinished state of one stream.
#[derive(Debug, Default)]
struct Half {
    line: Vec<u8>,
    block: Option<Block>,
}

/// Watches one phase's output.
#[derive(Debug, Default)]
pub struct LogWatch {
    out: Half,
    err: Half,
    ring: VecDeque<Past>,
    counters: LogCounters,
    last_slot: Option<i64>,
    errors: BTreeMap<String, u64>,
    suspects: Vec<Suspect>,
    rules: LevelRules,
}

impl LogWatch {
    /// A watch that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A watch that reads levels and phrases as a profile says.
    pub fn with_rules(rules: LevelRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Takes a chunk of bytes as it was read: half lines, any encoding. `t` is seconds since the phase's start.
    pub fn feed(&mut self, stream: Stream, chunk: &[u8], t: f64) {
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if self.half(stream).line.is_empty() {
                self.line(stream, &line[..line.len().min(LINE_CAP)], t);
            } else {
                self.keep(stream, line);
                let mut whole = std::mem::take(&mut self.half(stream).line);
                self.line(stream, &whole, t);
                whole.clear();
                self.half(stream).line = whole;
            }
        }
        self.keep(stream, rest);
    }

    /// Closes blocks that have had no continuation for 0.3 s.
    pub fn idle(&mut self, t: f64) {
        for stream in [Stream::Out, Stream::Err] {
            if self.half(stream).block.as_ref().is_some_and(|block| t - block.last_t >= QUIET_S) {
                self.close(stream);
            }
        }
    }

    /// The streams have ended: a last line without a line feed counts, open blocks are closed.
    pub fn finish(&mut self, t: f64) {
        for stream in [Stream::Out, Stream::Err] {
            let line = std::mem::take(&mut self.half(stream).line);
            if !line.is_empty() {
                self.line(stream, &line, t);
            }
            self.close(stream);
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> LogCounters {
        self.counters
    }

    /// The crash blocks that were completed since the last call.
    pub fn take_suspects(&mut self) -> Vec<Suspect> {
        std::mem::take(&mut self.suspects)
    }

    /// The five commonest error lines, without timestamp and level, digits as `#`, with their counts; the commonest first.
    pub fn top_errors(&self) -> Vec<(String, u64)> {
        let mut all: Vec<(String, u64)> = self.errors.iter().map(|(text, n)| (text.clone(), *n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(5);
        all
    }

    fn half(&mut self, stream: Stream) -> &mut Half {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    fn keep(&mut self, stream: Stream, bytes: &[u8]) {
        let line = &mut self.half(stream).line;
        let room = LINE_CAP.saturating_sub(line.len());
        line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn line(&mut self, stream: Stream, raw: &[u8], t: f64) {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let plain = shapes::without_colours(raw);
        let line: &[u8] = &plain;
        let marked = shapes::has_mark(line);
        self.count(line, marked, t);
        let in_block = self.advance(stream, line, marked, t);
        self.remember(stream, line, t, in_block);
    }

    fn count(&mut self, line: &[u8], marked: bool, t: f64) {
        let counters = &mut self.counters;
        counters.lines += 1;
        if marked {
            counters.dlq += u64::from(shapes::says_dlq(line));
            counters.position_limit += u64::from(shapes::contains(line, b"Position limit"));
            counters.emergency_stop += u64::from(shapes::contains(line, b"Emergency stop"));
        }
        self.counters.position_limit += u64::from(self.rules.position_limit(line));
        self.counters.emergency_stop += u64::from(self.rules.emergency_stop(line));
        let Some(found) = self.rules.level(line) else { return };
        let counters = &mut self.counters;
        match found.level {
            Level::Warning => counters.warnings += 1,
            Level::Error => counters.errors += 1,
            Level::Critical => counters.criticals += 1,
            Level::Lower => {}
        }
        if !matches!(found.level, Level::Error | Level::Critical) {
            return;
        }
        let slot = (t * SLOTS_PER_S).floor() as i64;
        if self.last_slot.is_none_or(|last| slot > last) {
            self.last_slot = Some(slot);
            counters.error_slots += 1;
        }
        let text = level::normalised(line, found.text_at);
        if self.errors.len() < DISTINCT_ERRORS || self.errors.contains_key(&text) {
            *self.errors.entry(text).or_insert(0) += 1;
        }
    }

    /// Gives the line to the open block, or sees whether it opens one. True when it belongs to a block.
    fn advance(&mut self, stream: Stream, line: &[u8], marked: bool, t: f64) -> bool {
        if let Some(block) = &mut self.half(stream).block {
            match block.step(line, marked) {
                Step::Take => {
                    block.push(line, t);
                    return true;
                }
                Step::Skip => return false,
                Step::End => self.close(stream),
            }
        }
        let Some(start) = self.starts(stream, line, marked) else { return false };
        let Some(start) = start else { return true };
        let block = self.open(stream, line, t, &start);
        self.half(stream).block = Some(block);
        true
    }

    /// `Some(None)`: a frame that continues a block which had already been closed.
    fn starts(&self, stream: Stream, line: &[u8], marked: bool) -> Option<Option<block::Start>> {
        if marked && let Some(start) = block::strong(line) {
            let back =
                block::extra_head(&start, &mut self.previous(stream).map(|past| past.bytes.as_slice()));
            return Some(Some(block::Start {
                back: back.lines,
                thread_died: start.thread_died || back.worker,
                ..start
            }));
        }
        if !marked && !line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
            return None;
        }
        if !block::is_frame(line) {
            return None;
        }
        let mut previous = self.previous(stream).peekable();
        if previous.peek().is_some_and(|past| past.in_block) {
            return Some(None);
        }
        block::weak(line, &mut previous.map(|past| past.bytes.as_slice())).map(Some)
    }

    fn previous(&self, stream: Stream) -> impl Iterator<Item = &Past> {
        self.ring.iter().rev().filter(move |past| past.stream == stream)
    }

    fn open(&self, stream: Stream, line: &[u8], t: f64, start: &block::Start) -> Block {
        let heads: Vec<usize> = (0..self.ring.len())
            .rev()
            .filter(|&i| self.ring.get(i).is_some_and(|past| past.stream == stream))
            .take(start.back)
            .collect();
        let before: Vec<&Past> =
            self.ring.iter().enumerate().filter(|(i, _)| !heads.contains(i)).map(|(_, past)| past).collect();
        let skip = before.len().saturating_sub(BEFORE);
        let before =
            before[skip..].iter().map(|past| String::from_utf8_lossy(&past.bytes).into_owned()).collect();
        let mut block = Block::new(start, before);
        for past in heads.iter().rev().filter_map(|&i| self.ring.get(i)) {
            block.push(&past.bytes, past.t);
        }
        block.push(line, t);
        block
    }

    fn close(&mut self, stream: Stream) {
        let Some(block) = self.half(stream).block.take() else { return };
        if let Some(suspect) = block.finish() {
            self.counters.suspects += 1;
            self.suspects.push(suspect);
        }
    }

    fn remember(&mut self, stream: Stream, line: &[u8], t: f64, in_block: bool) {
        // The oldest line's buffer is used again.
        let mut past = if self.ring.len() >= RING { self.ring.pop_front() } else { None }
            .unwrap_or_else(|| Past { stream, bytes: Vec::new(), t, in_block });
        past.bytes.clear();
        past.bytes.extend_from_slice(line);
        self.ring.push_back(Past { stream, t, in_block, ..past });
    }
}
