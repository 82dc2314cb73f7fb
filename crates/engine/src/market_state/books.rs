//! One venue's book of one symbol with its state, its sequence rules and its liquidity memory.
//!
//! States: `Syncing` (no usable book yet), `Live`, `Stale` (the connection behind it is gone or silent), `Broken` (crossed).
//! Edges come from Live/Live pairs only. A quiet symbol stays Live: staleness is about its connection, and about a subscription
//! that was replaced (Upbit's whole set, with every change) until the new one is seen to hold the code.

use super::cross_check::CrossCheck;
use crate::liquidity::LiquidityModel;
use market::{Book, Price, Side, Timestamp, Venue};
use recording::ConnId;
use venues::LevelBuffer;
use venues::binance::sequencer::{Kind, Outcome as BinanceOutcome, Sequencer as BinanceSequencer, Why};
use venues::binance::wire::{BookTicker, DepthDiff, Snapshot};
use venues::upbit::sequencer::{Outcome as UpbitOutcome, Sequencer as UpbitSequencer};

/// Why a book is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleWhy {
    /// Its connection is gone.
    Disconnected,
    /// Its connection gives no sign of life, or its subscription was replaced and the new one has brought nothing of it.
    Silent,
    /// The venue does not trade it: what the book shows is no market.
    Halted,
    /// Its connection brings frames, and the venue's time in them stands still.
    TimeStopped,
}

/// Why a book is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenWhy {
    /// The best bid is at or above the best ask.
    Crossed,
    /// A side is empty.
    OneSided,
}

/// The state of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookState {
    /// Waiting for its first whole book, or for the snapshot after a gap.
    Syncing,
    /// Usable.
    Live,
    /// Was usable; the connection behind it failed.
    Stale(StaleWhy),
    /// Must not be traded on.
    Broken(BrokenWhy),
}

impl BookState {
    /// The name in metrics (`venue_books{state}`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syncing => "syncing",
            Self::Live => "live",
            Self::Stale(_) => "stale",
            Self::Broken(_) => "broken",
        }
    }
}

/// What a message did to a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The venue's levels differ from before (those here may still wait for a snapshot).
    pub changed: bool,
    /// A snapshot is needed, and why.
    pub need_snapshot: Option<&'static str>,
    /// True when `need_snapshot` is a loss in a book that was in use, or a snapshot that did not fit.
    pub resync: bool,
}

impl Change {
    const NONE: Self = Self { changed: false, need_snapshot: None, resync: false };
}

#[derive(Debug, Clone)]
enum Sequence {
    Upbit(UpbitSequencer),
    Binance(BinanceSequencer),
}

/// After this many older frames in a row the sequence of an Upbit code starts anew: one frame carried a time of the future.
const OLDER_IN_A_ROW: u32 = 20;

/// So long after a new subscription was asked for, messages of the one before may still come.
const OLD_UNDER_WAY_NS: i64 = 2_000_000_000;

/// One venue's book of one symbol.
#[derive(Debug)]
pub struct SymbolBook {
    /// The levels.
    pub book: Book,
    /// What we took.
    pub memory: Box<dyn LiquidityModel>,
    /// The state.
    pub state: BookState,
    /// The connection that carries it, once a frame said so.
    pub conn: Option<ConnId>,
    /// The venue's time of the newest message.
    pub venue_time: Option<Timestamp>,
    /// The mid when it was Live last.
    pub last_mid: Option<Price>,
    /// Epoch of the last snapshot request.
    pub epoch: u32,
    /// When to ask for a snapshot again.
    pub retry_at: Option<Timestamp>,
    halted: bool,
    /// Snapshots in a row that failed.
    pub attempts: u32,
    /// Its connection has brought something for it.
    pub heard: bool,
    /// It was asked for and stays silent.
    pub silent: bool,
    /// A new subscription has replaced the one that brought it, and nothing has shown yet that it holds this code.
    pub asked_again: Option<Timestamp>,
    check: CrossCheck,
    sequence: Sequence,
}

impl SymbolBook {
    /// An empty book of `venue`.
    pub fn new(venue: Venue, memory: Box<dyn LiquidityModel>) -> Self {
        let sequence = match venue {
            Venue::Upbit => Sequence::Upbit(UpbitSequencer::new()),
            Venue::Binance => Sequence::Binance(BinanceSequencer::new(Kind::Spot)),
        };
        Self {
            book: Book::new(),
            memory,
            state: BookState::Syncing,
            conn: None,
            venue_time: None,
            last_mid: None,
            epoch: 0,
            retry_at: None,
            halted: false,
            attempts: 0,
            heard: false,
            silent: false,
            asked_again: None,
            check: CrossCheck::default(),
            sequence,
        }
    }

    /// True when it may be traded on.
    pub fn is_live(&self) -> bool {
        self.state == BookState::Live
    }

    /// The book when it is Live.
    pub fn live(&self) -> Option<&Book> {
        self.is_live().then_some(&self.book)
    }

    /// Takes a whole book of Upbit.
    pub fn on_whole(&mut self, at: Timestamp, levels: &LevelBuffer) -> Change {
        self.heard = true;
        let Sequence::Upbit(sequencer) = &mut self.sequence else { return Change::NONE };
        let same = same_levels(&self.book, levels);
        if sequencer.on_frame(at, levels, &mut self.book) == UpbitOutcome::Ignored {
            if sequencer.ignored_in_a_row() >= OLDER_IN_A_ROW {
                sequencer.reset();
            }
            return Change::NONE;
        }
        self.venue_time = Some(at);
        self.settle();
        Change { changed: !same, ..Change::NONE }
    }

    /// Takes a diff of Binance.
    pub fn on_diff(&mut self, diff: &DepthDiff<'_>, levels: &LevelBuffer) -> Change {
        self.heard = true;
        let Sequence::Binance(sequencer) = &mut self.sequence else { return Change::NONE };
        let outcome = sequencer.on_diff(diff, levels, &mut self.book);
        self.after(outcome, Some(diff.at), !levels.bids.is_empty() || !levels.asks.is_empty())
    }

    /// Takes a snapshot of Binance.
    pub fn on_snapshot(&mut self, snapshot: Snapshot, levels: &LevelBuffer) -> Change {
        let Sequence::Binance(sequencer) = &mut self.sequence else { return Change::NONE };
        let outcome = sequencer.on_snapshot(snapshot, levels, &mut self.book);
        self.after(outcome, None, true)
    }

    fn after(&mut self, outcome: BinanceOutcome, at: Option<Timestamp>, touched: bool) -> Change {
        if let Some(at) = at {
            self.venue_time = Some(self.venue_time.map_or(at, |newest| newest.max(at)));
        }
        match outcome {
            BinanceOutcome::Ignored => Change::NONE,
            // The venue's book moves even while ours waits for its snapshot.
            BinanceOutcome::Buffered => Change { changed: touched, ..Change::NONE },
            BinanceOutcome::Applied => {
                self.settle();
                if self.state == BookState::Broken(BrokenWhy::Crossed) {
                    // Diffs cannot heal it: start this symbol over.
                    self.restart();
                    self.state = BookState::Broken(BrokenWhy::Crossed);
                    return Change { changed: true, need_snapshot: Some("crossed"), resync: true };
                }
                Change { changed: touched, ..Change::NONE }
            }
            BinanceOutcome::Synced => {
                self.retry_at = None;
                self.attempts = 0;
                self.settle();
                Change { changed: true, ..Change::NONE }
            }
            BinanceOutcome::NeedSnapshot(why) => {
                self.state = BookState::Syncing;
                let (why, resync) = match why {
                    Why::Start => ("start", false),
                    Why::SnapshotTooOld => ("snapshot older than the first diff", false),
                    Why::Gap { .. } => ("gap", true),
                    Why::BufferFull => ("no snapshot while the buffer filled", true),
                };
                Change { changed: touched && at.is_some(), need_snapshot: Some(why), resync }
            }
        }
    }

    /// Live, or broken when crossed or one-sided.
    fn settle(&mut self) {
        self.state = match self.book.mid() {
            None => BookState::Broken(BrokenWhy::OneSided),
            Some(_) if self.book.is_crossed() => BookState::Broken(BrokenWhy::Crossed),
            Some(mid) => {
                self.last_mid = Some(mid);
                if self.halted { BookState::Stale(StaleWhy::Halted) } else { BookState::Live }
            }
        };
        self.memory.on_book(&self.book);
    }

    /// Starts the sequence over, after a reconnect or a crossed book: the levels are gone, the memory stays.
    fn restart(&mut self) {
        match &mut self.sequence {
            Sequence::Upbit(sequencer) => sequencer.reset(),
            Sequence::Binance(sequencer) => sequencer.reset(),
        }
        self.book.clear();
        self.retry_at = None;
        self.check.reset();
    }

    /// Takes a best quote of Binance. Nothing of it gets into the book.
    pub fn on_quote(&mut self, quote: &BookTicker<'_>, now: Timestamp) {
        let Sequence::Binance(sequencer) = &self.sequence else { return };
        self.check.on_quote(quote, sequencer.last_id(), &self.book, now);
    }

    /// Compares the book, which has just changed, with the quotes that came for it.
    pub fn compare_quotes(&mut self, now: Timestamp) {
        let Sequence::Binance(sequencer) = &self.sequence else { return };
        if let Some(last_id) = sequencer.last_id() {
            self.check.on_book(last_id, &self.book, now);
        }
    }

    /// What is wrong with a Live book when it has differed from the venue's quotes for `limit_ns`.
    pub fn disagrees(&self, now: Timestamp, limit_ns: i64) -> Option<&'static str> {
        self.check.lasting(now, limit_ns).filter(|_| self.is_live())
    }

    /// Starts over: the next diff asks for a snapshot.
    pub fn start_over(&mut self) {
        self.restart();
        self.state = BookState::Syncing;
        // A snapshot that is still under way belongs to what was.
        self.epoch += 1;
    }

    /// The venue's time on its connection stands still: stale until it moves.
    pub fn time_stopped(&mut self) {
        if self.state == BookState::Live {
            self.state = BookState::Stale(StaleWhy::TimeStopped);
        }
    }

    /// The connection behind it is gone: stale until a frame (Upbit) or a snapshot (Binance) brings a whole book.
    pub fn disconnect(&mut self) {
        self.restart();
        self.state = BookState::Stale(StaleWhy::Disconnected);
        self.conn = None;
        (self.heard, self.silent, self.asked_again) = (false, false, None);
    }

    /// The connection behind it gives no sign of life: stale until the next message that fits.
    pub fn silence(&mut self) {
        if self.state == BookState::Live {
            self.state = BookState::Stale(StaleWhy::Silent);
        }
    }

    /// A new subscription replaces the one that brought it: stale until the venue shows that the new one holds the code. An unknown
    /// code is met with silence, and the last book would stand there as if nothing had moved.
    pub fn subscribed_again(&mut self, now: Timestamp) {
        if self.heard {
            self.asked_again = Some(now);
            self.heard = false;
            self.silence();
        }
    }

    /// Behind a whole book: a first one (`snapshot`) belongs to the new subscription; others may be of the old one for a while.
    pub fn confirm(&mut self, snapshot: bool, now: Timestamp) {
        let Some(asked) = self.asked_again else { return };
        if snapshot || now.since(asked) >= OLD_UNDER_WAY_NS {
            self.asked_again = None;
            if self.state == BookState::Stale(StaleWhy::Silent) {
                // The answer shows what was known already.
                self.settle();
            }
        } else {
            self.heard = false;
            self.silence();
        }
    }

    /// The venue stops trading it, or trades it again.
    pub fn halt(&mut self, halted: bool) {
        self.halted = halted;
        match self.state {
            BookState::Live if halted => self.state = BookState::Stale(StaleWhy::Halted),
            BookState::Stale(StaleWhy::Halted) if !halted => self.settle(),
            _ => {}
        }
    }

    /// Nobody looks at it any more: the levels are gone; the last mid stays for the accounts, and what we took stays taken.
    pub fn leave(&mut self) {
        self.restart();
        self.state = BookState::Syncing;
        self.conn = None;
        (self.heard, self.silent, self.asked_again) = (false, false, None);
        // A snapshot under way would bring back what nothing keeps up to date.
        self.epoch += 1;
    }

    /// Drops far levels, so that a book does not grow for hours.
    pub fn prune(&mut self, keep: usize) {
        if self.book.depth(Side::Bid) > keep * 2 || self.book.depth(Side::Ask) > keep * 2 {
            self.book.prune(keep);
        }
    }
}

/// True when a whole book shows what is known already.
pub(super) fn same_levels(book: &Book, levels: &LevelBuffer) -> bool {
    let side = |side: Side, new: &[market::Level]| {
        book.depth(side) == new.len() && book.iter(side).zip(new).all(|(a, b)| a == *b)
    };
    side(Side::Bid, &levels.bids) && side(Side::Ask, &levels.asks)
}
