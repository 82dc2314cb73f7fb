//! The inputs of the core.

use bytes::Bytes;
use market::{Asset, Halt, Member, Timestamp, Venue};
use serde::{Deserialize, Serialize};

/// The number of a connection within a session.
pub type ConnId = u16;

/// One input with its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 1, 2, 3, ... without a hole.
    pub seq: u64,
    /// When the shell stamped it. Never goes backwards in a log that the runner wrote.
    pub at: Timestamp,
    /// What happened.
    pub input: Input,
}

/// A member that is not among the first of a new ranking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Asset.
    pub asset: Asset,
    /// True when it passes every filter and others rank before it.
    pub fits: bool,
    /// Why.
    pub why: String,
}

/// Everything that can change a decision. Frames and REST answers stay raw: the core parses them, so that a replay
/// exercises the same parser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The first record: who runs, with what configuration (the engine's effective configuration as JSON text).
    Session {
        /// Runner id, such as `20261123-021500-ab12.main`.
        run_id: String,
        /// The engine's configuration, JSON.
        config: String,
    },
    /// The first input of a process that goes on with a killed one's session. It holds everything that comes back, so that
    /// the log needs no journal to be replayed. What the journal held beyond `after_seq` was lost with the kill: a replay
    /// drops those records.
    Resume {
        /// Runner id, that of the session.
        run_id: String,
        /// The engine's configuration, JSON, that of the session.
        config: String,
        /// The last journal record that was kept; 0 when nothing was, and the session begins anew.
        after_seq: u64,
        /// Whole journal records that were cut behind it.
        cut_records: u64,
        /// Journal bytes that were cut.
        cut_bytes: u64,
        /// What the journal says up to `after_seq`: the engine's recovered state, JSON.
        state: String,
    },
    /// The members to trade from now on, in rank order.
    Universe {
        /// How many were asked for; fewer members is reported, never padded.
        asked: u32,
        /// The members.
        members: Vec<Member>,
    },
    /// What a refresh of the universe found. Who joins and who leaves is the core's decision: it knows the positions.
    Refresh {
        /// How many were asked for.
        asked: u32,
        /// Those that pass every filter now, best first, at most as many as were asked for.
        ranked: Vec<Member>,
        /// Members of the time of the request that are not among them.
        out: Vec<LeftOut>,
    },
    /// Every market of a watched symbol that takes no entries by its venue's word; what is not named does.
    Halts {
        /// The markets, in the order of venue and asset.
        halted: Vec<Halt>,
    },
    /// A socket is open and subscribed.
    ConnUp {
        /// Connection.
        conn: ConnId,
        /// Its venue.
        venue: Venue,
    },
    /// A socket is gone.
    ConnDown {
        /// Connection.
        conn: ConnId,
        /// Its venue.
        venue: Venue,
        /// Why, for the log.
        reason: String,
    },
    /// One WebSocket message as it came.
    Frame {
        /// Connection.
        conn: ConnId,
        /// The payload.
        payload: Bytes,
    },
    /// The connection gave a sign of life that is no frame (a pong).
    Alive {
        /// Connection.
        conn: ConnId,
    },
    /// The answer to a snapshot request, raw.
    Snapshot {
        /// Venue.
        venue: Venue,
        /// Symbol.
        asset: Asset,
        /// The epoch of the request that it answers; the core ignores an answer of an older epoch. 0 in a recorded market,
        /// where no engine asked: the book that waits for a snapshot takes it.
        epoch: u32,
        /// REST body.
        payload: Bytes,
    },
    /// A snapshot request failed.
    SnapshotFailed {
        /// Venue.
        venue: Venue,
        /// Symbol.
        asset: Asset,
        /// Epoch of the request.
        epoch: u32,
        /// HTTP status, 0 when there was no answer.
        status: u16,
        /// How long to wait before asking again, in milliseconds.
        retry_after_ms: u32,
    },
    /// One-minute candles that seed the level, raw.
    Candles {
        /// Venue.
        venue: Venue,
        /// Symbol; USDT on Upbit is the FX market.
        asset: Asset,
        /// REST body.
        payload: Bytes,
    },
    /// A measured REST round trip, for venue health.
    Health {
        /// Venue.
        venue: Venue,
        /// Round trip in microseconds.
        rtt_us: u32,
        /// False when the request failed.
        ok: bool,
    },
    /// What is left of a venue's request budget, in basis points.
    Budget {
        /// Venue.
        venue: Venue,
        /// 10 000 = all of it.
        left_bps: u16,
    },
    /// The kill switch: close everything, take no entries.
    KillSwitch {
        /// Who or what pulled it.
        reason: String,
    },
    /// The orderly end: no entries from now on, close what is open (`shutdown`).
    Shutdown,
    /// Carries time when nothing else arrived.
    Tick,
}
