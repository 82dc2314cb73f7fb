//! From diffs and snapshots to a book.
//!
//! Source: "How to manage a local order book correctly", binance-spot-api-docs (web-socket-streams.md), and the same
//! chapter of the USD-M documentation.
//!
//! 1. Diffs are buffered until a snapshot arrives; the first one asks for it. The buffer is bounded: beyond
//!    [`BUFFER_LIMIT`] diffs the older half goes and a snapshot is asked for again.
//! 2. A snapshot whose `lastUpdateId` is below `U` of the first buffered diff is too old: another one is needed, the
//!    buffer stays.
//! 3. Buffered diffs that the snapshot contains are dropped: spot `u <= lastUpdateId`, USD-M `u < lastUpdateId`.
//! 4. The first applied diff straddles the snapshot: spot `U <= lastUpdateId + 1 <= u`, USD-M
//!    `U <= lastUpdateId <= u`.
//! 5. After that, an older diff (`u <= local`) is ignored: a repetition, or one out of order.
//! 6. A gap starts the symbol over: spot `U > local + 1`, USD-M `pu != local`. The book is emptied, the diff behind the
//!    gap is the first one buffered.
//! 7. Quantities are absolute; zero removes; removing an unknown level is normal.
//! 8. A snapshot for a book that is live is ignored: it answers a question that is no longer open.

use super::wire::{DepthDiff, Snapshot};
use crate::LevelBuffer;
use market::{Book, Level, Side};
use std::collections::VecDeque;

/// Diffs kept while waiting for a snapshot (200 s at ten per second).
pub const BUFFER_LIMIT: usize = 2_000;

/// Which rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Spot.
    Spot,
    /// USD-M futures.
    UsdM,
}

/// What a diff or a snapshot did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Kept until the snapshot arrives (rule 1).
    Buffered,
    /// The book changed (rules 4, 7).
    Applied,
    /// Older than the book, or a snapshot that nobody waits for (rules 5, 8).
    Ignored,
    /// A snapshot is needed; the book is not usable.
    NeedSnapshot(Why),
    /// The snapshot fitted; the book is live and contains what was buffered (rules 3, 4).
    Synced,
}

/// Why a snapshot is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The first diff after a start or a reset.
    Start,
    /// Rule 2.
    SnapshotTooOld,
    /// Rule 6: the id that should have come next and the one that came. Spot: `U`. USD-M: `pu`, or `U` where a diff
    /// has none.
    Gap {
        /// The id that should have come.
        expected: u64,
        /// The id that came.
        got: u64,
    },
    /// Rule 1: no snapshot came while the buffer filled.
    BufferFull,
}

#[derive(Debug, Clone)]
struct Buffered {
    ids: Ids,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

#[derive(Debug, Clone, Copy)]
struct Ids {
    first: u64,
    last: u64,
    prev: Option<u64>,
}

#[derive(Debug, Clone)]
enum State {
    AwaitingSnapshot {
        buffer: VecDeque<Buffered>,
        asked: bool,
    },
    /// `first`: the next applied diff is the first after the snapshot (rule 4).
    Live {
        last_id: u64,
        first: bool,
    },
}

/// What rules 3 to 6 say about a diff.
enum Verdict {
    Apply,
    Older,
    Gap(Why),
}

/// The state of one symbol.
#[derive(Debug, Clone)]
pub struct Sequencer {
    kind: Kind,
    state: State,
}

impl Sequencer {
    /// Before the first diff.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, state: State::AwaitingSnapshot { buffer: VecDeque::new(), asked: false } }
    }

    /// Takes a diff.
    pub fn on_diff(&mut self, diff: &DepthDiff<'_>, levels: &LevelBuffer, book: &mut Book) -> Outcome {
        let ids = Ids { first: diff.first_id, last: diff.last_id, prev: diff.prev_id };
        match &mut self.state {
            State::AwaitingSnapshot { buffer, asked } => {
                buffer.push_back(Buffered { ids, bids: levels.bids.clone(), asks: levels.asks.clone() });
                if !std::mem::replace(asked, true) {
                    return Outcome::NeedSnapshot(Why::Start);
                }
                if buffer.len() > BUFFER_LIMIT {
                    buffer.drain(..BUFFER_LIMIT / 2);
                    return Outcome::NeedSnapshot(Why::BufferFull);
                }
                Outcome::Buffered
            }
            State::Live { last_id, first } => match judge(self.kind, *last_id, *first, ids) {
                Verdict::Apply => {
                    apply(book, &levels.bids, &levels.asks);
                    self.state = State::Live { last_id: ids.last, first: false };
                    Outcome::Applied
                }
                Verdict::Older => Outcome::Ignored,
                Verdict::Gap(why) => {
                    book.clear();
                    let diff = Buffered { ids, bids: levels.bids.clone(), asks: levels.asks.clone() };
                    self.state = State::AwaitingSnapshot { buffer: VecDeque::from([diff]), asked: true };
                    Outcome::NeedSnapshot(why)
                }
            },
        }
    }

    /// Takes a snapshot.
    pub fn on_snapshot(&mut self, snapshot: Snapshot, levels: &LevelBuffer, book: &mut Book) -> Outcome {
        let State::AwaitingSnapshot { buffer, asked } = &mut self.state else {
            return Outcome::Ignored;
        };
        if buffer.front().is_some_and(|diff| snapshot.last_update_id < diff.ids.first) {
            *asked = true;
            return Outcome::NeedSnapshot(Why::SnapshotTooOld);
        }
        book.replace(levels.bids.iter().copied(), levels.asks.iter().copied());
        let (mut last_id, mut first) = (snapshot.last_update_id, true);
        while let Some(diff) = buffer.front() {
            match judge(self.kind, last_id, first, diff.ids) {
                Verdict::Apply => {
                    apply(book, &diff.bids, &diff.asks);
                    (last_id, first) = (diff.ids.last, false);
                }
                Verdict::Older => {}
                Verdict::Gap(why) => {
                    // What lies behind the gap is still good for the next snapshot.
                    book.clear();
                    *asked = true;
                    return Outcome::NeedSnapshot(why);
                }
            }
            buffer.pop_front();
        }
        self.state = State::Live { last_id, first };
        Outcome::Synced
    }

    /// Back to the start, as after a reconnect: buffered diffs are dropped. The book is the caller's to clear.
    pub fn reset(&mut self) {
        *self = Self::new(self.kind);
    }

    /// True while the book follows the venue.
    pub const fn is_live(&self) -> bool {
        matches!(self.state, State::Live { .. })
    }

    /// The id of the last change in the book, while it is live.
    pub const fn last_id(&self) -> Option<u64> {
        match self.state {
            State::Live { last_id, .. } => Some(last_id),
            State::AwaitingSnapshot { .. } => None,
        }
    }

    /// Diffs waiting for a snapshot.
    pub fn buffered(&self) -> usize {
        match &self.state {
            State::AwaitingSnapshot { buffer, .. } => buffer.len(),
            State::Live { .. } => 0,
        }
    }
}

fn judge(kind: Kind, local: u64, first: bool, ids: Ids) -> Verdict {
    let next = local.saturating_add(1);
    match (kind, first) {
        (Kind::Spot, _) if ids.last <= local => Verdict::Older,
        (Kind::Spot, _) if ids.first > next => Verdict::Gap(Why::Gap { expected: next, got: ids.first }),
        (Kind::Spot, _) => Verdict::Apply,
        (Kind::UsdM, true) if ids.last < local => Verdict::Older,
        (Kind::UsdM, true) if ids.first > local => Verdict::Gap(Why::Gap { expected: local, got: ids.first }),
        (Kind::UsdM, true) => Verdict::Apply,
        (Kind::UsdM, false) if ids.last <= local => Verdict::Older,
        (Kind::UsdM, false) if ids.prev == Some(local) => Verdict::Apply,
        (Kind::UsdM, false) => Verdict::Gap(Why::Gap { expected: local, got: ids.prev.unwrap_or(ids.first) }),
    }
}

fn apply(book: &mut Book, bids: &[Level], asks: &[Level]) {
    for level in bids {
        book.set(Side::Bid, level.price, level.quantity);
    }
    for level in asks {
        book.set(Side::Ask, level.price, level.quantity);
    }
}
