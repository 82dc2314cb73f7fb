//! Everything that can go wrong on purpose: one list, for the script, the control API, the servers and virtual time alike.

use market::Venue;
use serde::{Deserialize, Serialize};

/// Something that goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Market data cut off: sockets closed, everything refused with 503.
    Cut,
    /// Sockets live, no book changes.
    Freeze,
    /// Sockets live and answer pings, no data frame is sent; the market moves on.
    Silent,
    /// Binance's diff events are lost: their ids are missing from the stream.
    DropDiffs,
    /// Binance's diff events arrive twice.
    DuplicateDiffs,
    /// Two neighbouring diff events of Binance change places.
    ReorderDiffs,
    /// REST answers 500; sockets live.
    RestDown,
    /// REST answers 429 with `Retry-After: 1`; sockets live.
    RestRefused,
    /// REST answers 418, naming the time to the fault's end.
    RestBanned,
    /// REST answers late.
    RestSlow,
    /// Binance's book snapshots are those of the fault's beginning.
    OldSnapshot,
    /// Book snapshots are refused with 429 and `Retry-After: 1`.
    SnapshotRefused,
    /// Book snapshots are refused with 418, naming the time to the fault's end.
    SnapshotBanned,
    /// Book snapshots fail with 500.
    SnapshotDown,
    /// Book snapshots come late.
    SnapshotSlow,
    /// Sockets are closed with a close frame.
    Close,
    /// Sockets are closed as those of a day's age are.
    DayClose,
    /// Sockets are reset: no close frame, RST.
    Reset,
    /// Sockets die without a word: nothing comes, nothing is read, nothing is closed.
    HalfOpen,
    /// Binance announces that it will shut down (`serverShutdown`), and closes 10 s later.
    ServerShutdown,
    /// Pings of the client stay unanswered; data flows on.
    PingUnanswered,
    /// The best bid stands at the best ask.
    Crossed,
    /// Upbit's ask side has three levels; the rest is padded with price 0.
    ZeroPadding,
    /// Frames are no JSON.
    Malformed,
    /// Frames end in the middle.
    Truncated,
    /// A frame of 17 MiB.
    Huge,
    /// Frames of a symbol that nobody asked for.
    StrayFrames,
    /// The venue does not know the symbol: subscriptions are met with silence, REST with its error.
    UnknownSymbol,
    /// Binance halts the symbol: the status says HALT and its book stands.
    Halt,
    /// Every second frame is dated back.
    TimeBackwards,
    /// The venue's clock is wrong.
    TimeSkew,
    /// Prices jump by 30 %, and back at the end.
    Spike,
    /// Messages and answers are late.
    Latency,
    /// A price jump, and just then messages are late.
    JumpLatency,
    /// The market leaves the venue's list: no data, no subscription, no answer.
    Delist,
}

/// What a fault takes beside its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Happens at once and has no duration.
    Once,
    /// Lasts.
    Lasting,
    /// Lasts, or holds for a number of messages.
    Messages,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 35] = [
        Self::Cut,
        Self::Freeze,
        Self::Silent,
        Self::DropDiffs,
        Self::DuplicateDiffs,
        Self::ReorderDiffs,
        Self::RestDown,
        Self::RestRefused,
        Self::RestBanned,
        Self::RestSlow,
        Self::OldSnapshot,
        Self::SnapshotRefused,
        Self::SnapshotBanned,
        Self::SnapshotDown,
        Self::SnapshotSlow,
        Self::Close,
        Self::DayClose,
        Self::Reset,
        Self::HalfOpen,
        Self::ServerShutdown,
        Self::PingUnanswered,
        Self::Crossed,
        Self::ZeroPadding,
        Self::Malformed,
        Self::Truncated,
        Self::Huge,
        Self::StrayFrames,
        Self::UnknownSymbol,
        Self::Halt,
        Self::TimeBackwards,
        Self::TimeSkew,
        Self::Spike,
        Self::Latency,
        Self::JumpLatency,
        Self::Delist,
    ];

    /// Its name in scripts and in the control API.
    pub fn name(self) -> String {
        // A variant without fields is a string in JSON.
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// How long it takes.
    pub const fn extent(self) -> Extent {
        match self {
            Self::Close | Self::DayClose | Self::Reset | Self::HalfOpen | Self::ServerShutdown => {
                Extent::Once
            }
            Self::DropDiffs
            | Self::DuplicateDiffs
            | Self::ReorderDiffs
            | Self::Crossed
            | Self::Malformed
            | Self::Truncated
            | Self::Huge
            | Self::StrayFrames
            | Self::TimeBackwards
            | Self::SnapshotRefused
            | Self::SnapshotBanned
            | Self::SnapshotDown
            | Self::SnapshotSlow => Extent::Messages,
            _ => Extent::Lasting,
        }
    }

    /// The only venue that it can happen to.
    pub const fn only_at(self) -> Option<Venue> {
        match self {
            Self::DropDiffs
            | Self::DuplicateDiffs
            | Self::ReorderDiffs
            | Self::OldSnapshot
            | Self::SnapshotRefused
            | Self::SnapshotBanned
            | Self::SnapshotDown
            | Self::SnapshotSlow
            | Self::DayClose
            | Self::ServerShutdown
            | Self::Halt => Some(Venue::Binance),
            Self::ZeroPadding => Some(Venue::Upbit),
            _ => None,
        }
    }

    /// True when it can be aimed at one symbol.
    pub const fn takes_asset(self) -> bool {
        !matches!(
            self,
            Self::Cut
                | Self::RestDown
                | Self::RestRefused
                | Self::RestBanned
                | Self::RestSlow
                | Self::Close
                | Self::DayClose
                | Self::Reset
                | Self::HalfOpen
                | Self::ServerShutdown
                | Self::PingUnanswered
        )
    }

    /// True when it cannot be meant for every symbol at once.
    pub const fn needs_asset(self) -> bool {
        matches!(self, Self::UnknownSymbol | Self::Halt | Self::Delist)
    }

    /// Its `ms` when none is given: what it means depends on the fault (`None`: it takes none).
    pub const fn usual_ms(self) -> Option<i64> {
        match self {
            Self::RestSlow | Self::SnapshotSlow => Some(4_000),
            Self::TimeBackwards => Some(5_000),
            Self::TimeSkew => Some(2_000),
            Self::Latency | Self::JumpLatency => Some(1_500),
            _ => None,
        }
    }

    /// Its `bps` when none is given (`None`: it takes none).
    pub const fn usual_bps(self) -> Option<f64> {
        match self {
            Self::Spike => Some(3_000.0),
            Self::JumpLatency => Some(100.0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_listed_once_and_read_back_from_its_name() {
        for (i, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, i);
            let name = serde_json::Value::String(fault.name());
            assert_eq!(serde_json::from_value::<Fault>(name).unwrap(), fault);
        }
        assert_eq!(Fault::ServerShutdown.name(), "server_shutdown");
    }
}
