//! KRW per USDT from Upbit's KRW-USDT book: a time-weighted average, over 10 s, of the size-weighted mid
//! `(bid x ask size + ask x bid size) / (bid size + ask size)`. One tick of that market is some 4 bps and would move all
//! edges at once. For signals and valuation only.

use crate::config::FxLimits;
use journal::record::{FxSource, FxUsed};
use market::{Book, FxRate, Price, Side, Timestamp};
use recording::ConnId;
use std::collections::VecDeque;
use venues::LevelBuffer;
use venues::upbit::sequencer::{Outcome, Sequencer};

/// Length of the history behind the jump rule: a minute of one sample a second.
const HISTORY: usize = 60;
const MINUTE_NS: i64 = 60_000_000_000;

/// The figures of guard `fx`, each with its limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FxProblem {
    /// Age of the book in milliseconds against the longest allowed.
    pub age: (f64, f64),
    /// The rate against the lowest allowed, `None` while there is none.
    pub low: Option<(f64, f64)>,
    /// The rate against the highest allowed.
    pub high: Option<(f64, f64)>,
    /// Largest change within a minute in percent against the limit.
    pub jump: (f64, f64),
}

/// The FX market.
#[derive(Debug, Clone)]
pub struct Fx {
    limits: FxLimits,
    /// The connection that carries it.
    pub conn: Option<ConnId>,
    book: Book,
    sequencer: Sequencer,
    pieces: VecDeque<(Timestamp, Price)>,
    history: VecDeque<(Timestamp, Price)>,
    started: Timestamp,
    last_frame: Option<Timestamp>,
    rate: Option<FxRate>,
}

impl Fx {
    /// No rate yet.
    pub fn new(limits: FxLimits, now: Timestamp) -> Self {
        Self {
            limits,
            conn: None,
            book: Book::new(),
            sequencer: Sequencer::new(),
            pieces: VecDeque::with_capacity(256),
            history: VecDeque::with_capacity(HISTORY + 1),
            started: now,
            last_frame: None,
            rate: None,
        }
    }

    /// Takes a whole book; whether it was usable, and whether it differs from the one before.
    pub fn on_whole(&mut self, now: Timestamp, venue_time: Timestamp, levels: &LevelBuffer) -> (bool, bool) {
        let changed = !super::books::same_levels(&self.book, levels);
        if self.sequencer.on_frame(venue_time, levels, &mut self.book) != Outcome::Applied {
            if self.sequencer.ignored_in_a_row() >= 20 {
                self.sequencer.reset();
            }
            return (false, false);
        }
        let Some(mid) = weighted_mid(&self.book) else { return (false, changed) };
        self.last_frame = Some(now);
        self.pieces.push_back((now, mid));
        self.refresh(now);
        (true, changed)
    }

    /// Its connection is gone: the book ages from here on.
    pub fn disconnect(&mut self) {
        self.sequencer.reset();
        self.conn = None;
    }

    /// Recomputes the average; called with every frame and every second.
    pub fn refresh(&mut self, now: Timestamp) {
        let from = now.0.saturating_sub(self.limits.window_ms.saturating_mul(1_000_000));
        while self.pieces.len() > 1 && self.pieces[1].0.0 <= from {
            self.pieces.pop_front();
        }
        let Some((_, last)) = self.pieces.back().copied() else { return };
        let (mut weighted, mut span) = (0i128, 0i128);
        for (i, (at, price)) in self.pieces.iter().enumerate() {
            let end = self.pieces.get(i + 1).map_or(now, |next| next.0);
            let part = i128::from(end.0 - at.0.max(from)).max(0);
            // A price below 2^63 times 10 s of nanoseconds stays far below 2^127.
            weighted += i128::from(price.0) * part;
            span += part;
        }
        let average = if span > 0 { i64::try_from(weighted / span).ok().map(Price) } else { Some(last) };
        self.rate = average.filter(|price| price.0 > 0).map(FxRate);
    }

    /// Keeps one sample for the jump rule; called once a second.
    pub fn sample(&mut self, now: Timestamp) {
        if let Some(rate) = self.rate {
            if self.history.len() >= HISTORY {
                self.history.pop_front();
            }
            self.history.push_back((now, rate.0));
        }
    }

    /// The rate, once there is one.
    pub const fn rate(&self) -> Option<FxRate> {
        self.rate
    }

    /// Age of the book behind the rate in milliseconds; before the first book, since the start.
    pub fn age_ms(&self, now: Timestamp) -> i64 {
        now.since(self.last_frame.unwrap_or(self.started)) / 1_000_000
    }

    /// The rate as records carry it.
    pub fn used(&self, now: Timestamp) -> Option<FxUsed> {
        self.rate.map(|rate| FxUsed { rate, age_ms: self.age_ms(now), source: FxSource::UpbitMid })
    }

    /// The figures of guard `fx` with their limits.
    pub fn figures(&self, now: Timestamp) -> FxProblem {
        let rate = self.rate.map(|rate| rate.0.to_f64());
        let mut jump = 0.0f64;
        if let Some(rate) = rate {
            for (_, old) in self.history.iter().filter(|(at, _)| now.since(*at) <= MINUTE_NS) {
                let change = ((rate / old.to_f64() - 1.0) * 100.0).abs();
                if change > jump {
                    jump = change;
                }
            }
        }
        FxProblem {
            age: (self.age_ms(now) as f64, self.limits.max_age_ms as f64),
            low: rate.map(|rate| (rate, self.limits.low)),
            high: rate.map(|rate| (rate, self.limits.high)),
            jump: (jump, self.limits.jump_pct_per_min),
        }
    }
}

/// `None` for a book without a touch, and for a crossed one: neither says what the rate is.
fn weighted_mid(book: &Book) -> Option<Price> {
    if book.is_crossed() {
        return None;
    }
    let (bid, ask) = (book.best(Side::Bid)?, book.best(Side::Ask)?);
    let sizes = bid.quantity.0.checked_add(ask.quantity.0)?;
    let sum = i128::from(bid.price.0)
        .checked_mul(ask.quantity.0)?
        .checked_add(i128::from(ask.price.0).checked_mul(bid.quantity.0)?)?;
    i64::try_from(sum.checked_div(sizes)?).ok().map(Price)
}
