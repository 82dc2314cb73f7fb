//! What keeps a listed market from being traded, by the venue's own word.

use crate::{Asset, Venue};
use serde::{Deserialize, Serialize};

/// Why a venue's market takes no entries of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HaltWhy {
    /// The venue warns of it; it still trades.
    Warning,
    /// It is listed with another status than trading: no order would be taken.
    Halted,
    /// It is not listed any more.
    Delisted,
}

impl HaltWhy {
    /// The name in records and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Halted => "halted",
            Self::Delisted => "delisted",
        }
    }

    /// True when the venue would take no order: the last book that was seen is no market.
    pub const fn is_closed(self) -> bool {
        !matches!(self, Self::Warning)
    }
}

/// A market that takes no entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halt {
    /// The venue that says so.
    pub venue: Venue,
    /// The asset.
    pub asset: Asset,
    /// What it says.
    pub why: HaltWhy,
}
