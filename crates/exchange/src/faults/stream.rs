//! What faults do to the messages of a stream: to their contents before they are encoded, to their text afterwards, and to
//! their order and time on each connection.

use super::Fault;
use std::time::Duration;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A change of a book, with ids.
    Diff,
    /// A whole book, or its beginning.
    Whole,
    /// The best prices.
    Top,
}

/// How a text is spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mangle {
    /// No JSON.
    Malformed,
    /// Cut in the middle.
    Truncated,
    /// 17 MiB long.
    Huge,
}

/// What happens to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Treatment {
    /// It is not sent.
    pub lost: bool,
    /// It is sent twice.
    pub twice: bool,
    /// It is sent behind the next one of its kind.
    pub held: bool,
    /// Its text is spoilt.
    pub mangle: Option<Mangle>,
    /// A frame of a symbol that nobody knows goes out behind it.
    pub stray: bool,
    /// Its time differs by so much, ms.
    pub shift_ms: i64,
    /// Its best bid stands at the best ask.
    pub crossed: bool,
    /// Its ask side is padded with price 0.
    pub padded: bool,
    /// It is late.
    pub delay: Duration,
}

/// The levels that an Upbit book keeps on its ask side when it is padded.
pub const PADDED_TO: usize = 3;
const HUGE: usize = 17 << 20;

impl Treatment {
    /// Adds a fault that meets the message; `met`: messages that it has met before. False when it does nothing to this class.
    pub(super) fn add(&mut self, kind: Fault, class: Class, delay: Duration, ms: i64, met: u32) -> bool {
        let book = class != Class::Top;
        match kind {
            Fault::Silent | Fault::Delist => self.lost = true,
            Fault::DropDiffs if class == Class::Diff => self.lost = true,
            Fault::DuplicateDiffs if class == Class::Diff => self.twice = true,
            Fault::ReorderDiffs if class == Class::Diff => self.held = true,
            Fault::Malformed if book => self.mangle = Some(Mangle::Malformed),
            Fault::Truncated if book => self.mangle = Some(Mangle::Truncated),
            Fault::Huge if book => self.mangle = Some(Mangle::Huge),
            Fault::StrayFrames if book => self.stray = true,
            Fault::Crossed if book => self.crossed = true,
            Fault::ZeroPadding if book => self.padded = true,
            Fault::TimeSkew if book => self.shift_ms += ms,
            // The first is dated back, the second is not.
            Fault::TimeBackwards if book => self.shift_ms -= if met.is_multiple_of(2) { ms } else { 0 },
            Fault::Latency | Fault::JumpLatency => self.delay = self.delay.max(delay),
            _ => return false,
        }
        true
    }

    /// True when nothing happens to it.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Spoils the text.
    pub fn spoil(&self, text: Vec<u8>) -> Vec<u8> {
        match self.mangle {
            None => text,
            Some(Mangle::Malformed) => {
                let mut text = text;
                if let Some(colon) = text.iter_mut().find(|byte| **byte == b':') {
                    *colon = b';';
                }
                text
            }
            Some(Mangle::Truncated) => {
                let mut text = text;
                text.truncate(text.len() / 2);
                text
            }
            Some(Mangle::Huge) => {
                let mut huge = br#"{"padding":""#.to_vec();
                huge.resize(HUGE, b'x');
                huge.extend_from_slice(br#"","#);
                huge.extend_from_slice(text.get(1..).unwrap_or_default());
                huge
            }
        }
    }
}

/// The messages of one connection that are not out yet. `K` names what follows each other: a symbol's stream.
#[derive(Debug)]
pub struct Line<K, M> {
    held: Vec<(K, M)>,
    late: Vec<(Duration, K, M)>,
}

impl<K, M> Default for Line<K, M> {
    fn default() -> Self {
        Self { held: Vec::new(), late: Vec::new() }
    }
}

impl<K: PartialEq + Copy, M: Clone> Line<K, M> {
    /// Takes a message; what goes out now is appended to `out`.
    pub fn push(&mut self, now: Duration, key: K, message: M, how: &Treatment, out: &mut Vec<M>) {
        if how.lost {
            return;
        }
        let before = self.held.iter().position(|(of, _)| *of == key).map(|i| self.held.remove(i).1);
        if how.held && before.is_none() {
            self.held.push((key, message));
            return;
        }
        if how.twice {
            self.send(now, key, message.clone(), how.delay, out);
        }
        self.send(now, key, message, how.delay, out);
        if let Some(before) = before {
            self.send(now, key, before, how.delay, out);
        }
    }

    fn send(&mut self, now: Duration, key: K, message: M, delay: Duration, out: &mut Vec<M>) {
        // Within a stream nothing overtakes.
        let behind = self.late.iter().filter(|(_, of, _)| *of == key).map(|(due, ..)| *due).max();
        let due = behind.unwrap_or_default().max(now + delay);
        if due <= now && behind.is_none() {
            out.push(message);
        } else {
            self.late.push((due, key, message));
        }
    }

    /// Takes a message that belongs to no stream, such as a ping: it goes out behind everything that waits, as on one TCP connection.
    pub fn behind(&mut self, now: Duration, key: K, message: M, delay: Duration, out: &mut Vec<M>) {
        let last = self.late.iter().map(|(due, ..)| *due).max();
        let due = last.unwrap_or_default().max(now + delay);
        if due <= now && last.is_none() {
            out.push(message);
        } else {
            self.late.push((due, key, message));
        }
    }

    /// What is due by now goes out.
    pub fn due(&mut self, now: Duration, out: &mut Vec<M>) {
        if self.late.iter().any(|(due, ..)| *due <= now) {
            for (due, key, message) in std::mem::take(&mut self.late) {
                if due <= now {
                    out.push(message);
                } else {
                    self.late.push((due, key, message));
                }
            }
        }
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.late.is_empty()
    }

    /// True when something is late.
    pub fn is_late(&self) -> bool {
        !self.late.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn messages_are_lost_doubled_and_swapped() {
        let mut line = Line::default();
        let mut out = Vec::new();
        let plain = Treatment::default();
        let held = Treatment { held: true, ..plain };
        line.push(ms(0), 1, "a", &Treatment { lost: true, ..plain }, &mut out);
        line.push(ms(0), 1, "b", &Treatment { twice: true, ..plain }, &mut out);
        line.push(ms(0), 1, "c", &held, &mut out);
        line.push(ms(0), 2, "x", &plain, &mut out);
        line.push(ms(0), 1, "d", &held, &mut out);
        line.push(ms(0), 1, "e", &plain, &mut out);
        assert_eq!(out, ["b", "b", "x", "d", "c", "e"]);
        assert!(line.is_empty());
    }

    #[test]
    fn a_late_stream_keeps_its_order_and_others_pass_it() {
        let mut line = Line::default();
        let mut out = Vec::new();
        let plain = Treatment::default();
        line.push(ms(0), 1, "late", &Treatment { delay: ms(100), ..plain }, &mut out);
        line.push(ms(50), 1, "behind", &plain, &mut out);
        line.push(ms(50), 2, "other", &plain, &mut out);
        line.behind(ms(60), 9, "ping", Duration::ZERO, &mut out);
        line.due(ms(99), &mut out);
        assert_eq!(out, ["other"]);
        line.due(ms(100), &mut out);
        assert_eq!(out, ["other", "late", "behind", "ping"]);
        assert!(line.is_empty());
    }

    #[test]
    fn spoilt_texts_are_no_json_and_huge_ones_are() {
        let text = br#"{"a":1,"b":[2]}"#;
        let spoilt = |mangle| Treatment { mangle: Some(mangle), ..Treatment::default() }.spoil(text.to_vec());
        assert!(serde_json::from_slice::<serde_json::Value>(&spoilt(Mangle::Malformed)).is_err());
        assert!(serde_json::from_slice::<serde_json::Value>(&spoilt(Mangle::Truncated)).is_err());
        let huge = spoilt(Mangle::Huge);
        assert!(huge.len() > 16 << 20);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&huge).unwrap()["b"][0], 2);
    }
}
