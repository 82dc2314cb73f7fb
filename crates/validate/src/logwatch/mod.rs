//! The log watch: counts levels and phrases in a runner's output and finds crash blocks, as the bytes stream in.
//!
//! Pure: chunks and times are arguments. [`marks`] searches whole buffers for the few lines that matter, [`starts`] says which of them
//! begin a block, [`block`] and [`grammar`] grow it line by line, [`shapes`] knows what single lines look like, [`level`]
//! reads the level of a log line, [`foreign`] as a profile says. Whether a suspect is a crash, a dead worker or was handled is decided elsewhere, by what
//! the process does afterwards.

mod block;
mod foreign;
mod grammar;
mod level;
pub mod marks;
mod prefix;
mod shapes;
mod starts;

pub use foreign::LevelRules;

use block::{Block, Line, Start, Step, shown};
use gate::evidence::LogCounters;
use level::Level;
use marks::{Cursor, Marks};
use prefix::Prefix;
use std::borrow::Cow;
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
/// Bytes kept of each of them.
const BEFORE_LINE: usize = 2_000;
/// Lines kept for looking back.
const RING: usize = 64;
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
    cut: u64,
    t: f64,
}

/// The unfinished state of one stream.
#[derive(Debug, Default)]
struct Half {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Bytes of that line that were not kept.
    cut: u64,
    block: Option<Block>,
    /// The line before belonged to a block.
    was_in_block: bool,
}

/// Watches one phase's output.
#[derive(Debug)]
pub struct LogWatch {
    marks: Marks,
    out: Half,
    err: Half,
    ring: VecDeque<Past>,
    counters: LogCounters,
    last_slot: Option<i64>,
    errors: BTreeMap<String, u64>,
    suspects: Vec<Suspect>,
    rules: LevelRules,
    error_lines: Option<Vec<u8>>,
}

impl Default for LogWatch {
    fn default() -> Self {
        Self::new()
    }
}

impl LogWatch {
    /// A watch that has seen nothing and reads levels in the usual formats.
    pub fn new() -> Self {
        Self {
            marks: Marks::usual(),
            out: Half::default(),
            err: Half::default(),
            ring: VecDeque::new(),
            counters: LogCounters::default(),
            last_slot: None,
            errors: BTreeMap::new(),
            suspects: Vec::new(),
            rules: LevelRules::default(),
            error_lines: None,
        }
    }

    /// Also keeps the lines of level ERROR and above until [`Self::take_error_lines`] takes them.
    #[must_use]
    pub fn keeping_error_lines(mut self) -> Self {
        self.error_lines = Some(Vec::new());
        self
    }

    /// Reads levels and phrases as a profile says, too: then every line is looked at.
    #[must_use]
    pub fn and_rules(mut self, rules: LevelRules) -> Self {
        self.rules = rules;
        self
    }

    /// Takes a chunk of bytes as it was read: half lines, any encoding. `t` is seconds since the phase's start.
    pub fn feed(&mut self, stream: Stream, chunk: &[u8], t: f64) {
        let mut rest = chunk;
        let half = self.half(stream);
        if !half.line.is_empty() {
            let Some(end) = memchr::memchr(b'\n', rest) else {
                half.keep(rest);
                return;
            };
            half.keep(&rest[..end]);
            rest = &rest[end + 1..];
            let (mut line, cut) = (std::mem::take(&mut half.line), std::mem::take(&mut half.cut));
            self.line(stream, Line { bytes: &line, cut }, t);
            line.clear();
            self.half(stream).line = line;
        }
        if let Some(last) = memchr::memrchr(b'\n', rest) {
            let (whole, after) = rest.split_at(last + 1);
            self.lines(stream, whole, t);
            rest = after;
        }
        self.half(stream).keep(rest);
    }

    /// Whole lines: only those that the search finds are looked at, the others are counted.
    fn lines(&mut self, stream: Stream, body: &[u8], t: f64) {
        let mut at = 0;
        // Up to here the lines are in the ring.
        let mut known = 0;
        let mut cursor = Cursor::new();
        while at < body.len() {
            // The first line has no line feed before it, by which some marks are found.
            if at > 0 && self.rules.are_usual() && self.half(stream).block.is_none() {
                let next = self.marks.find(body, at - 1, &mut cursor).map_or(body.len(), |found| {
                    if body[found] == b'\n' { found + 1 } else { line_start(body, at, found) }
                });
                if next > at {
                    self.counters.lines += memchr::memchr_iter(b'\n', &body[at..next]).count() as u64;
                    self.half(stream).was_in_block = false;
                    at = next;
                }
                if at >= body.len() {
                    break;
                }
            }
            let end = memchr::memchr(b'\n', &body[at..]).map_or(body.len(), |i| at + i);
            let kept = end.min(at + LINE_CAP);
            let line = plain(Line { bytes: &body[at..kept], cut: (end - kept) as u64 });
            let begin = self.begins(&line.bytes);
            if begin.is_some() || self.half(stream).block.is_some() {
                self.remember_all(stream, &body[known..at], t);
                known = at;
            }
            self.look(stream, &line, begin, t);
            at = end + 1;
        }
        self.remember_all(stream, &body[known..], t);
    }

    /// One line that came in pieces.
    fn line(&mut self, stream: Stream, raw: Line<'_>, t: f64) {
        let line = plain(raw);
        let begin = self.begins(&line.bytes);
        self.look(stream, &line, begin, t);
        self.remember(stream, raw, t);
    }

    /// Reports blocks whose continuation has not come for 0.3 s, or for 2 s when their structure is unfinished.
    pub fn idle(&mut self, t: f64) {
        for stream in [Stream::Out, Stream::Err] {
            if let Some(block) = self.half(stream).block.as_mut().filter(|block| block.is_over(t)) {
                let suspect = block.report();
                self.found(suspect);
            }
        }
    }

    /// The streams have ended: a last line without a line feed counts, open blocks are closed.
    pub fn finish(&mut self, t: f64) {
        for stream in [Stream::Out, Stream::Err] {
            let half = self.half(stream);
            let (line, cut) = (std::mem::take(&mut half.line), std::mem::take(&mut half.cut));
            if !line.is_empty() {
                self.line(stream, Line { bytes: &line, cut }, t);
            }
            self.close(stream);
        }
    }

    /// True while a block is open, or a suspect waits to be taken.
    pub fn is_busy(&self) -> bool {
        self.out.block.is_some() || self.err.block.is_some() || !self.suspects.is_empty()
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

    /// The lines of level ERROR and above since the last call, when they are kept, each with its line feed.
    pub fn take_error_lines(&mut self) -> Vec<u8> {
        self.error_lines.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn half(&mut self, stream: Stream) -> &mut Half {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    /// Looks at a line: gives it to the open block or sees whether it opens one, and counts it.
    fn look(&mut self, stream: Stream, line: &Plain<'_>, begin: Option<Begin>, t: f64) {
        let taken = self.advance(stream, line.as_line(), begin, t);
        self.half(stream).was_in_block = taken != Taken::No;
        self.count(&line.bytes, taken, t);
    }

    fn count(&mut self, line: &[u8], taken: Taken, t: f64) {
        let counters = &mut self.counters;
        counters.lines += 1;
        if marks::has_phrase(line) {
            counters.dlq += u64::from(shapes::says_dlq(line));
            counters.position_limit += u64::from(shapes::contains(line, b"Position limit"));
            counters.emergency_stop += u64::from(shapes::contains(line, b"Emergency stop"));
        }
        counters.position_limit += u64::from(self.rules.position_limit(line));
        counters.emergency_stop += u64::from(self.rules.emergency_stop(line));
        // The inner lines of a trace are no log lines, whatever they say.
        if taken == Taken::Inside {
            return;
        }
        let Some(found) = self.rules.level(line) else { return };
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
        if let Some(kept) = &mut self.error_lines {
            kept.extend_from_slice(line);
            kept.push(b'\n');
        }
        let text = level::normalised(line, found.text_at);
        if let Some(n) = self.errors.get_mut(&text) {
            *n += 1;
        } else if self.errors.len() < DISTINCT_ERRORS {
            self.errors.insert(text, 1);
        }
    }

    /// How the line could begin a block, were none open.
    fn begins(&self, line: &[u8]) -> Option<Begin> {
        if line.first() == Some(&b'{') {
            return None;
        }
        if marks::is_structure(line) {
            let is_error =
                || level::of(line).is_some_and(|found| matches!(found.level, Level::Error | Level::Critical));
            if let Some(start) = starts::strong(line).or_else(|| starts::prefixed(line, is_error)) {
                return Some(Begin::Start(start));
            }
        }
        if starts::is_frame(line) {
            return Some(Begin::Frame);
        }
        starts::prefixed_frame(line).map(Begin::PrefixedFrame)
    }

    /// Gives the line to the open block, or lets it open one.
    fn advance(&mut self, stream: Stream, line: Line<'_>, begin: Option<Begin>, t: f64) -> Taken {
        if let Some(block) = &mut self.half(stream).block {
            match block.step(line.bytes) {
                Step::Take => {
                    block.push(line, t);
                    return if block.is_prefixed() { Taken::Record } else { Taken::Inside };
                }
                Step::Skip => return Taken::No,
                Step::End => self.close(stream),
            }
        }
        let Some(begin) = begin else { return Taken::No };
        let was_in_block = self.half(stream).was_in_block;
        let start = match begin {
            Begin::Start(start) => {
                let bare = |line| start.prefix.as_ref().map_or(line, |prefix| prefix.strip(line));
                let extra = starts::extra_head(&start, self.previous(stream).map(bare));
                Some(Start { back: extra.lines, thread_died: start.thread_died || extra.worker, ..start })
            }
            // A frame that continues a block which had already been closed.
            Begin::Frame if was_in_block => return Taken::Inside,
            Begin::PrefixedFrame(_) if was_in_block => return Taken::Record,
            Begin::Frame => starts::weak(line.bytes, self.previous(stream)),
            Begin::PrefixedFrame(prefix) => self.behind(stream, line.bytes, prefix),
        };
        let Some(start) = start else { return Taken::No };
        let block = self.open(stream, line, t, start);
        self.half(stream).block = Some(block);
        Taken::Record
    }

    /// A frame behind a prefix that the line before it has too.
    fn behind(&self, stream: Stream, line: &[u8], prefix: Prefix) -> Option<Start> {
        let alike =
            self.previous(stream).take_while(|past| prefix.is_on(past)).map(|past| prefix.strip(past));
        let start = starts::weak(prefix.strip(line), alike)?;
        (start.back > 0).then_some(Start { prefix: Some(prefix), ..start })
    }

    /// The lines of a stream before this one, the nearest first.
    fn previous(&self, stream: Stream) -> impl Iterator<Item = &[u8]> {
        self.ring.iter().rev().filter(move |past| past.stream == stream).map(|past| past.bytes.as_slice())
    }

    fn open(&self, stream: Stream, line: Line<'_>, t: f64, start: Start) -> Block {
        let heads: Vec<usize> = (0..self.ring.len())
            .rev()
            .filter(|&i| self.ring.get(i).is_some_and(|past| past.stream == stream))
            .take(start.back)
            .collect();
        let before: Vec<&Past> =
            self.ring.iter().enumerate().filter(|(i, _)| !heads.contains(i)).map(|(_, past)| past).collect();
        let skip = before.len().saturating_sub(BEFORE);
        let before = before[skip..].iter().map(|past| shown(past.as_line(), BEFORE_LINE)).collect();
        let mut block = Block::new(start, before);
        for past in heads.iter().rev().filter_map(|&i| self.ring.get(i)) {
            block.push(past.as_line(), past.t);
        }
        block.push(line, t);
        block
    }

    fn close(&mut self, stream: Stream) {
        let suspect = self.half(stream).block.take().and_then(|mut block| block.report());
        self.found(suspect);
    }

    fn found(&mut self, suspect: Option<Suspect>) {
        self.counters.suspects += u64::from(suspect.is_some());
        self.suspects.extend(suspect);
    }

    /// The last lines of a piece of whole lines.
    fn remember_all(&mut self, stream: Stream, body: &[u8], t: f64) {
        if body.is_empty() {
            return;
        }
        let mut from = body.len() - 1;
        for _ in 0..RING {
            match memchr::memrchr(b'\n', &body[..from]) {
                Some(feed) => from = feed,
                None => {
                    from = 0;
                    break;
                }
            }
        }
        let from = if body[from] == b'\n' && from > 0 { from + 1 } else { from };
        for line in body[from..body.len() - 1].split(|b| *b == b'\n') {
            let kept = line.len().min(LINE_CAP);
            self.remember(stream, Line { bytes: &line[..kept], cut: (line.len() - kept) as u64 }, t);
        }
    }

    fn remember(&mut self, stream: Stream, raw: Line<'_>, t: f64) {
        let line = plain(raw);
        // The oldest line's buffer is used again.
        let oldest = if self.ring.len() >= RING { self.ring.pop_front() } else { None };
        let mut bytes = oldest.map(|past| past.bytes).unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(&line.bytes);
        self.ring.push_back(Past { stream, bytes, cut: line.cut, t });
    }
}

/// How a line could begin a block.
#[derive(Debug)]
enum Begin {
    Start(Start),
    Frame,
    PrefixedFrame(Prefix),
}

/// What a block made of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It belongs to none.
    No,
    /// It is an inner line of a block.
    Inside,
    /// It belongs to one and is a log line of its own: a block's first line, or one behind a logger's prefix.
    Record,
}

impl Half {
    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_CAP.saturating_sub(self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..room]);
        self.cut += (bytes.len() - room) as u64;
    }
}

impl Past {
    fn as_line(&self) -> Line<'_> {
        Line { bytes: &self.bytes, cut: self.cut }
    }
}

/// A line without terminal colours and without carriage returns at its end.
struct Plain<'a> {
    bytes: Cow<'a, [u8]>,
    cut: u64,
}

impl Plain<'_> {
    fn as_line(&self) -> Line<'_> {
        Line { bytes: &self.bytes, cut: self.cut }
    }
}

fn plain(raw: Line<'_>) -> Plain<'_> {
    let mut bytes = shapes::without_colours(raw.bytes);
    while bytes.last() == Some(&b'\r') {
        match &mut bytes {
            Cow::Borrowed(bytes) => *bytes = &bytes[..bytes.len() - 1],
            Cow::Owned(bytes) => bytes.truncate(bytes.len() - 1),
        }
    }
    Plain { bytes, cut: raw.cut }
}

/// Where the line begins that holds a place, not before `from`.
fn line_start(body: &[u8], from: usize, place: usize) -> usize {
    memchr::memrchr(b'\n', &body[from..place]).map_or(from, |feed| from + feed + 1)
}
