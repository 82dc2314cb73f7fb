//! From whole books to a book. Upbit has no sequence numbers.
//!
//! 1. Every orderbook message is a complete top-N book: it replaces what was there.
//! 2. The venue's time per code never goes backwards; an older frame is ignored. Equal times are taken: two changes can
//!    fall into one millisecond.
//! 3. A book that is crossed replaces the old one all the same, and is reported: showing the older one would hide it.
//! 4. Loss cannot be seen by sequence and heals itself with the next message, so there is nothing to ask for.

use crate::LevelBuffer;
use market::{Book, Timestamp};

/// What a frame did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The book was replaced (rule 1).
    Applied,
    /// Older than the book (rule 2).
    Ignored,
    /// The book was replaced and must not be traded on.
    Broken(Fault),
}

/// What is wrong with a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The best bid is at or above the best ask (rule 3).
    Crossed,
}

/// The state of one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sequencer {
    newest: Option<Timestamp>,
    ignored_in_a_row: u32,
}

impl Sequencer {
    /// Before the first frame.
    pub const fn new() -> Self {
        Self { newest: None, ignored_in_a_row: 0 }
    }

    /// Takes a frame's book.
    pub fn on_frame(&mut self, at: Timestamp, levels: &LevelBuffer, book: &mut Book) -> Outcome {
        if self.newest.is_some_and(|newest| at < newest) {
            self.ignored_in_a_row = self.ignored_in_a_row.saturating_add(1);
            return Outcome::Ignored;
        }
        self.newest = Some(at);
        self.ignored_in_a_row = 0;
        book.replace(levels.bids.iter().copied(), levels.asks.iter().copied());
        if book.is_crossed() { Outcome::Broken(Fault::Crossed) } else { Outcome::Applied }
    }

    /// The venue's time of the newest frame taken.
    pub const fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Frames ignored since the last one taken. A growing number means that one frame carried a time of the future:
    /// [`Self::reset`] is the way out.
    pub const fn ignored_in_a_row(&self) -> u32 {
        self.ignored_in_a_row
    }

    /// Back to the start, as after a reconnect. The book is the caller's to clear.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}
