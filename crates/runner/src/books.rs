//! The books that a recorded market shows, kept beside a recording: which snapshots are wanted, where the gaps are, and how
//! things stand (the checkpoint that a rotated file begins with).
//!
//! The same parsers and sequencers as the engine's, and none of its decisions: no health, no pruning, no clock. A capture of
//! USD-M futures is known by its diffs, which carry `pu`.

use bytes::Bytes;
use market::{Asset, Book, Side, Timestamp, Venue};
use recording::{ConnId, Input, Record};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use venues::LevelBuffer;
use venues::binance::sequencer::{Kind, Outcome, Sequencer, Why};
use venues::binance::wire::{self as binance, DepthDiff, Message};
use venues::upbit::sequencer as upbit_sequence;
use venues::upbit::wire as upbit;

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Frames.
    pub frames: u64,
    /// Bytes in them.
    pub frame_bytes: u64,
    /// Order book frames of Upbit.
    pub upbit_books: u64,
    /// Depth diffs of Binance that a book took, those that waited for its snapshot included.
    pub diffs_applied: u64,
    /// Best quotes of Binance.
    pub quotes: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Snapshots that did not fit their diffs: another one was wanted.
    pub snapshots_unfit: u64,
    /// Snapshot requests that failed.
    pub snapshots_failed: u64,
    /// Diffs whose ids leave a hole: the book starts over.
    pub gaps: u64,
    /// Books that crossed: they start over too (Binance), or stay as the venue shows them (Upbit).
    pub crossed: u64,
    /// Connections that went down.
    pub downs: u64,
    /// Frames and snapshots that cannot be read.
    pub unreadable: u64,
    /// Frames of a connection that is not up.
    pub astray: u64,
    /// Other frames: trades, tickers, answers to a subscription.
    pub other: u64,
}

/// One Binance symbol.
#[derive(Debug, Default)]
struct Followed {
    /// Known with the first diff.
    sequencer: Option<Sequencer>,
    book: Book,
    conn: Option<ConnId>,
    /// Diffs that wait for a snapshot, as they came.
    waiting: Vec<(ConnId, Bytes)>,
    /// A snapshot that came before the first diff.
    early: Option<Bytes>,
}

/// One Upbit code.
#[derive(Debug, Default)]
struct Whole {
    sequencer: upbit_sequence::Sequencer,
    book: Book,
    newest: Option<(ConnId, Bytes)>,
}

/// The books of a recording.
#[derive(Debug, Default)]
pub struct Books {
    conns: BTreeMap<ConnId, (Venue, bool)>,
    binance: BTreeMap<String, Followed>,
    upbit: BTreeMap<String, Whole>,
    /// Binance's symbols by the asset that snapshots are filed under.
    symbols: BTreeMap<Asset, String>,
    session: Option<Input>,
    universe: Option<Input>,
    levels: LevelBuffer,
    counts: Counts,
    wanted: Vec<String>,
    span: Option<(Timestamp, Timestamp)>,
}

/// The asset that snapshots of a Binance symbol are filed under: its base against USDT, else the symbol as a whole.
pub fn filed_under(symbol: &str) -> Option<Asset> {
    Asset::new(symbol.strip_suffix("USDT").filter(|base| !base.is_empty()).unwrap_or(symbol)).ok()
}

impl Books {
    /// Before the first record.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was seen so far.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// First and last stamp.
    pub const fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    /// Binance symbols whose snapshot is wanted since the last call.
    pub fn take_wanted(&mut self) -> Vec<String> {
        std::mem::take(&mut self.wanted)
    }

    /// Venues of the connections seen.
    pub fn connections(&self) -> impl Iterator<Item = (ConnId, Venue)> + '_ {
        self.conns.iter().map(|(conn, (venue, _))| (*conn, *venue))
    }

    /// The universe, as the recording has it last.
    pub fn members(&self) -> &[market::Member] {
        match &self.universe {
            Some(Input::Universe { members, .. }) => members,
            _ => &[],
        }
    }

    /// A Binance book that follows its venue, with the id of its last change.
    pub fn binance(&self, symbol: &str) -> Option<(&Book, u64)> {
        let followed = self.binance.get(symbol)?;
        Some((&followed.book, followed.sequencer.as_ref()?.last_id()?))
    }

    /// An Upbit book as it was shown last.
    pub fn upbit(&self, code: &str) -> Option<&Book> {
        self.upbit.get(code).map(|whole| &whole.book)
    }

    /// Binance's symbols, each with whether its book follows the venue.
    pub fn binance_symbols(&self) -> impl Iterator<Item = (&str, bool)> + '_ {
        self.binance.iter().map(|(symbol, followed)| {
            (symbol.as_str(), followed.sequencer.as_ref().is_some_and(Sequencer::is_live))
        })
    }

    /// Upbit's codes.
    pub fn upbit_codes(&self) -> impl Iterator<Item = &str> + '_ {
        self.upbit.keys().map(String::as_str)
    }

    /// Takes the next record.
    pub fn on(&mut self, record: &Record) {
        let (first, last) = self.span.get_or_insert((record.at, record.at));
        (*first, *last) = ((*first).min(record.at), (*last).max(record.at));
        match &record.input {
            // What an engine had recovered then is not how things stand now: whoever begins here begins a session.
            Input::Session { run_id, config } | Input::Resume { run_id, config, .. } => {
                self.session = Some(Input::Session { run_id: run_id.clone(), config: config.clone() });
            }
            Input::Universe { members, .. } => {
                self.symbols = members.iter().map(|m| (m.asset, m.binance.code.clone())).collect();
                self.universe = Some(record.input.clone());
            }
            Input::ConnUp { conn, venue } => {
                self.conns.insert(*conn, (*venue, true));
            }
            Input::ConnDown { conn, .. } => self.down(*conn),
            Input::Frame { conn, payload } => self.frame(*conn, payload),
            Input::Snapshot { venue: Venue::Binance, asset, payload, .. } => self.snapshot(*asset, payload),
            Input::SnapshotFailed { .. } => self.counts.snapshots_failed += 1,
            _ => {}
        }
    }

    fn down(&mut self, conn: ConnId) {
        if let Some((_, up)) = self.conns.get_mut(&conn) {
            self.counts.downs += u64::from(std::mem::replace(up, false));
        }
        for followed in self.binance.values_mut().filter(|f| f.conn == Some(conn)) {
            followed.restart();
            followed.conn = None;
        }
        for whole in self.upbit.values_mut().filter(|w| w.newest.as_ref().is_some_and(|(c, _)| *c == conn)) {
            *whole = Whole::default();
        }
    }

    fn frame(&mut self, conn: ConnId, payload: &Bytes) {
        self.counts.frames += 1;
        self.counts.frame_bytes += payload.len() as u64;
        let mut levels = std::mem::take(&mut self.levels);
        match self.conns.get(&conn) {
            Some((Venue::Upbit, true)) => self.on_upbit(conn, payload, &mut levels),
            Some((Venue::Binance, true)) => self.on_binance(conn, payload, &mut levels),
            _ => self.counts.astray += 1,
        }
        self.levels = levels;
    }

    fn on_upbit(&mut self, conn: ConnId, payload: &Bytes, levels: &mut LevelBuffer) {
        match upbit::parse(payload, levels) {
            Ok(upbit::Message::Orderbook(frame)) => {
                self.counts.upbit_books += 1;
                let whole = self.upbit.entry(frame.code.to_owned()).or_default();
                match whole.sequencer.on_frame(frame.at, levels, &mut whole.book) {
                    upbit_sequence::Outcome::Ignored => return,
                    upbit_sequence::Outcome::Broken(_) => self.counts.crossed += 1,
                    upbit_sequence::Outcome::Applied => {}
                }
                whole.newest = Some((conn, payload.clone()));
            }
            Ok(_) => self.counts.other += 1,
            Err(_) => self.counts.unreadable += 1,
        }
    }

    fn on_binance(&mut self, conn: ConnId, payload: &Bytes, levels: &mut LevelBuffer) {
        match binance::parse(payload, levels) {
            Ok(Message::Depth(diff)) => self.on_diff(conn, payload, &diff, levels),
            Ok(Message::BookTicker(_)) => self.counts.quotes += 1,
            Ok(_) => self.counts.other += 1,
            Err(_) => self.counts.unreadable += 1,
        }
    }

    fn on_diff(&mut self, conn: ConnId, payload: &Bytes, diff: &DepthDiff<'_>, levels: &LevelBuffer) {
        if !self.binance.contains_key(diff.symbol) {
            self.binance.insert(diff.symbol.to_owned(), Followed::default());
        }
        let Some(followed) = self.binance.get_mut(diff.symbol) else { return };
        followed.conn = Some(conn);
        let kind = if diff.prev_id.is_some() { Kind::UsdM } else { Kind::Spot };
        let is_first = followed.sequencer.is_none();
        let sequencer = followed.sequencer.get_or_insert_with(|| Sequencer::new(kind));
        match sequencer.on_diff(diff, levels, &mut followed.book) {
            Outcome::Applied => {
                self.counts.diffs_applied += 1;
                if followed.book.is_crossed() {
                    // Diffs cannot heal it.
                    self.counts.crossed += 1;
                    followed.restart();
                    self.wanted.push(diff.symbol.to_owned());
                }
            }
            Outcome::Buffered => followed.waiting.push((conn, payload.clone())),
            Outcome::NeedSnapshot(why) => {
                if !matches!(why, Why::Start) {
                    self.counts.gaps += 1;
                    followed.waiting.clear();
                }
                followed.waiting.push((conn, payload.clone()));
                self.wanted.push(diff.symbol.to_owned());
            }
            Outcome::Ignored | Outcome::Synced => {}
        }
        let early = followed.early.take().filter(|_| is_first);
        if let Some(early) = early {
            let symbol = diff.symbol.to_owned();
            self.fit(&symbol, &early);
        }
    }

    fn snapshot(&mut self, asset: Asset, payload: &Bytes) {
        self.counts.snapshots += 1;
        let symbol = match self.symbols.get(&asset) {
            Some(symbol) => symbol.clone(),
            // A capture's symbol that trades against something else is filed under its whole name.
            None if self.binance.contains_key(&format!("{asset}USDT")) => format!("{asset}USDT"),
            None => asset.to_string(),
        };
        let followed = self.binance.entry(symbol.clone()).or_default();
        if followed.sequencer.is_none() {
            followed.early = Some(payload.clone());
            return;
        }
        self.fit(&symbol, payload);
    }

    fn fit(&mut self, symbol: &str, payload: &Bytes) {
        let mut levels = std::mem::take(&mut self.levels);
        let parsed = binance::parse_snapshot(payload, &mut levels);
        if let (Ok(snapshot), Some(followed)) = (&parsed, self.binance.get_mut(symbol))
            && let Some(sequencer) = &mut followed.sequencer
        {
            match sequencer.on_snapshot(*snapshot, &levels, &mut followed.book) {
                Outcome::Synced => {
                    let taken = followed.waiting.drain(..);
                    self.counts.diffs_applied += behind(taken, snapshot.last_update_id, sequencer);
                }
                Outcome::NeedSnapshot(_) => {
                    self.counts.snapshots_unfit += 1;
                    self.wanted.push(symbol.to_owned());
                }
                _ => {}
            }
        }
        self.counts.unreadable += u64::from(parsed.is_err());
        self.levels = levels;
    }

    /// How things stand at `at`, behind record `seq`: session, universe, the connections that are up, and every book that
    /// follows its venue; of a book that waits for its snapshot, the diffs that wait with it.
    pub fn checkpoint(&self, seq: u64, at: Timestamp) -> Vec<Record> {
        let mut inputs: Vec<Input> = self.session.iter().chain(&self.universe).cloned().collect();
        let up = self.conns.iter().filter(|(_, (_, up))| *up);
        inputs.extend(up.map(|(conn, (venue, _))| Input::ConnUp { conn: *conn, venue: *venue }));
        for (conn, payload) in self.upbit.values().filter_map(|whole| whole.newest.as_ref()) {
            inputs.push(Input::Frame { conn: *conn, payload: payload.clone() });
        }
        for (symbol, followed) in &self.binance {
            let asset = self
                .symbols
                .iter()
                .find(|(_, s)| *s == symbol)
                .map(|(asset, _)| *asset)
                .or(filed_under(symbol));
            let live = followed.sequencer.as_ref().and_then(Sequencer::last_id);
            if let (Some(id), Some(asset)) = (live, asset) {
                let payload = as_rest(&followed.book, id);
                inputs.push(Input::Snapshot { venue: Venue::Binance, asset, epoch: 0, payload });
            }
            for (conn, payload) in &followed.waiting {
                inputs.push(Input::Frame { conn: *conn, payload: payload.clone() });
            }
        }
        inputs.into_iter().map(|input| Record { seq, at, input }).collect()
    }
}

impl Followed {
    fn restart(&mut self) {
        if let Some(sequencer) = &mut self.sequencer {
            sequencer.reset();
        }
        self.book.clear();
        self.waiting.clear();
    }
}

/// How many of the diffs that waited came into the book with its snapshot.
fn behind(taken: impl Iterator<Item = (ConnId, Bytes)>, id: u64, sequencer: &Sequencer) -> u64 {
    let mut levels = LevelBuffer::new();
    let mut count = 0;
    for (_, payload) in taken {
        if let Ok(Message::Depth(diff)) = binance::parse(&payload, &mut levels) {
            // USD-M takes the event whose last id is the snapshot's.
            let is_new = if diff.prev_id.is_some() { diff.last_id >= id } else { diff.last_id > id };
            count += u64::from(is_new && sequencer.last_id().is_some_and(|last| diff.last_id <= last));
        }
    }
    count
}

/// A book as the venue's REST answer spells it, exactly.
fn as_rest(book: &Book, id: u64) -> Bytes {
    let mut text = format!(r#"{{"lastUpdateId":{id}"#);
    for (name, side) in [("bids", Side::Bid), ("asks", Side::Ask)] {
        let _ = write!(text, r#","{name}":["#);
        for (i, level) in book.iter(side).enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let _ = write!(text, r#"{comma}["{}","{}"]"#, level.price, level.quantity);
        }
        text.push(']');
    }
    text.push('}');
    text.into()
}
