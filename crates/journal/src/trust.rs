//! For what share of the time each symbol's books were trusted, and why not for the rest.

use market::{Asset, Timestamp, Venue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The condition of one book at an instant: trusted, or the one reason why not. It holds from the input that brought it to the
/// input that ended it, so the times are exact and a replay gives the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BookCondition {
    /// Live, on a venue that is neither down nor frozen.
    Trusted,
    /// Waiting for its first whole book.
    Syncing,
    /// A gap in its sequence, or a book that broke, is being repaired.
    Repairing,
    /// The connection is back, and the book is being fetched again.
    Resyncing,
    /// The connection behind it is gone.
    Disconnected,
    /// The connection behind it gives no sign of life.
    Silent,
    /// Its connection brings frames, and the venue's time in them stands still.
    TimeStopped,
    /// The best bid is at or above the best ask.
    Crossed,
    /// A side is empty.
    OneSided,
    /// Live, but no book of the venue moves.
    VenueFrozen,
    /// Live, but the venue is down.
    VenueDown,
    /// The venue halted the market, or lists it no more.
    Halted,
}

impl BookCondition {
    /// All, in the order of tables.
    pub const ALL: [Self; 12] = [
        Self::Trusted,
        Self::Syncing,
        Self::Repairing,
        Self::Resyncing,
        Self::Disconnected,
        Self::Silent,
        Self::TimeStopped,
        Self::Crossed,
        Self::OneSided,
        Self::VenueFrozen,
        Self::VenueDown,
        Self::Halted,
    ];

    /// The name in records, metrics and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Syncing => "syncing",
            Self::Repairing => "repairing",
            Self::Resyncing => "resyncing",
            Self::Disconnected => "disconnected",
            Self::Silent => "silent",
            Self::TimeStopped => "time_stopped",
            Self::Crossed => "crossed",
            Self::OneSided => "one_sided",
            Self::VenueFrozen => "venue_frozen",
            Self::VenueDown => "venue_down",
            Self::Halted => "halted",
        }
    }
}

/// Times of a symbol's books by condition, nanoseconds. Of each venue they add up to the time from `from` to the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TrustShares {
    /// Asset.
    pub asset: Asset,
    /// Where the times begin: at the symbol's last such record, when it joined, or when the process came back.
    pub from: Timestamp,
    /// Both books were trusted at once, nanoseconds.
    pub both_ns: i64,
    /// Upbit's book by condition, nanoseconds; conditions that did not occur are left out.
    pub upbit: BTreeMap<BookCondition, i64>,
    /// Binance's book by condition, nanoseconds.
    pub binance: BTreeMap<BookCondition, i64>,
}

impl TrustShares {
    /// The times of a venue's book.
    pub const fn of(&self, venue: Venue) -> &BTreeMap<BookCondition, i64> {
        match venue {
            Venue::Upbit => &self.upbit,
            Venue::Binance => &self.binance,
        }
    }
}
