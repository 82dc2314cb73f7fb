//! How the universe changed during a session.

use market::{Asset, HaltWhy, Venue};
use serde::{Deserialize, Serialize};

/// An asset with what is said of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Asset.
    pub asset: Asset,
    /// Why.
    pub why: String,
}

/// What a refresh changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UniverseRefresh {
    /// How many were asked for.
    pub asked: u32,
    /// Those that passed every filter, at most `asked`.
    pub passed: u32,
    /// Members that may change at most: the share of those asked for, rounded down.
    pub limit: u32,
    /// Who joined, best first.
    pub joined: Vec<Asset>,
    /// Who left.
    pub left: Vec<Reason>,
    /// Who stayed although the ranking says otherwise: it holds a position, or enough have changed.
    pub stayed: Vec<Reason>,
    /// Who would have joined, had more been allowed to change.
    pub waiting: Vec<Asset>,
}

/// A venue's word on a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HaltEvent {
    /// Venue.
    pub venue: Venue,
    /// Asset.
    pub asset: Asset,
    /// What it says now; `None`: it trades as usual again.
    pub why: Option<HaltWhy>,
    /// Positions of the symbol at that moment: they are closed where both books are Live, else frozen and marked.
    pub positions: u32,
}
