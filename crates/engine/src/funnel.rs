//! Counts from market data to closed round trips, per symbol and in total (engine.md 9).
//!
//! `sent` counts entries (two orders each), `rejected` and `partly_filled` their orders, `filled` entries whose both legs
//! filled, `exited` round trips closed. `evaluated` and what follows count directions of Live/Live pairs. Beside the
//! catalogue's stages stand `blocked:<rule>`, `suppressed:<why>` and `exited:<reason>`.

use crate::guards::{rule_index, rules};
use journal::record::ExitReason;
use std::collections::BTreeMap;

/// A stage, in the order of `catalogue::FUNNEL_STAGES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Messages that concern the symbol.
    Updates,
    /// Directions evaluated with two Live books, a rate and a level.
    Evaluated,
    /// Gap plus the opposite level above zero.
    GrossPositive,
    /// Edge above zero.
    NetPositive,
    /// Edge at or above the threshold.
    AboveThreshold,
    /// Held back by a guard.
    Blocked,
    /// Entries sent.
    Sent,
    /// Entry orders refused.
    Rejected,
    /// Entry orders filled in part.
    PartlyFilled,
    /// Entries with both legs filled.
    Filled,
    /// Round trips closed.
    Exited,
}

/// Why an evaluation ended without an entry, other than by a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A book is syncing.
    Syncing,
    /// A book is stale.
    Stale,
    /// A book is broken.
    Broken,
    /// There is no rate yet.
    NoFx,
    /// The level has too little data.
    NoLevel,
    /// A book does not hold the intended size.
    NoDepth,
    /// Pacing: too soon after the last entry of the symbol.
    EntryPause,
    /// Pacing: enough positions of the symbol.
    SymbolPositions,
    /// Pacing: enough positions (`Position limit`).
    PositionLimit,
    /// The paper inventory does not cover it.
    Inventory,
    /// The size is below what a venue accepts.
    OrderSize,
    /// The session is closing.
    Stopping,
    /// The symbol is no member any more.
    NotMember,
    /// At its final size, and without what our own fills took, the edge is below the threshold.
    EdgeAtSize,
    /// A venue has halted its market, lists it no more or warns of it.
    Halted,
}

const WHYS: [&str; 15] = [
    "suppressed:syncing",
    "suppressed:stale",
    "suppressed:broken",
    "suppressed:no_fx",
    "suppressed:no_level",
    "suppressed:no_depth",
    "suppressed:entry_pause",
    "suppressed:symbol_positions",
    "suppressed:position_limit",
    "suppressed:inventory",
    "suppressed:order_size",
    "suppressed:stopping",
    "suppressed:not_member",
    "suppressed:edge_at_size",
    "suppressed:halted",
];

const STAGES: usize = catalogue::FUNNEL_STAGES.len();
const RULES: usize = rules::ALL.len();

/// Whether a count follows from records of decisions, refusals, positions: those need no record of the funnel.
fn told(name: &str) -> bool {
    let stages = [Stage::Sent, Stage::Rejected, Stage::PartlyFilled, Stage::Filled, Stage::Exited];
    stages.iter().any(|stage| catalogue::FUNNEL_STAGES[*stage as usize] == name)
        || name.starts_with("exited:")
}

/// The counts of a symbol, or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    stages: [u64; STAGES],
    blocked: [u64; RULES],
    suppressed: [u64; WHYS.len()],
    exited: [u64; ExitReason::ALL.len()],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            stages: [0; STAGES],
            blocked: [0; RULES],
            suppressed: [0; WHYS.len()],
            exited: [0; ExitReason::ALL.len()],
        }
    }
}

impl Counts {
    /// One more at a stage.
    pub fn stage(&mut self, stage: Stage) {
        self.stages[stage as usize] += 1;
    }

    /// One more without an entry.
    pub fn suppressed(&mut self, why: Why) {
        self.suppressed[why as usize] += 1;
    }

    /// One more held back by the rule. The sum `blocked` is counted by the caller, once per intent.
    pub fn blocked_by(&mut self, rule: &str) {
        if let Some(i) = rule_index(rule) {
            self.blocked[i] += 1;
        }
    }

    /// A round trip closed.
    pub fn exited(&mut self, reason: ExitReason) {
        self.stage(Stage::Exited);
        self.exited[reason as usize] += 1;
    }

    /// The count of a stage.
    pub const fn of(&self, stage: Stage) -> u64 {
        self.stages[stage as usize]
    }

    /// The counts that are not zero, by name.
    pub fn by_name(&self) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        let mut put = |name: String, n: u64| {
            if n > 0 {
                out.insert(name, n);
            }
        };
        for (name, n) in catalogue::FUNNEL_STAGES.iter().zip(self.stages) {
            put((*name).to_owned(), n);
        }
        for (rule, n) in rules::ALL.iter().zip(self.blocked) {
            put(format!("blocked:{}", rule.name), n);
        }
        for (name, n) in WHYS.iter().zip(self.suppressed) {
            put((*name).to_owned(), n);
        }
        for (reason, n) in ExitReason::ALL.iter().zip(self.exited) {
            put(format!("exited:{}", reason.as_str()), n);
        }
        out
    }

    /// Of these, what a journal's other records tell as well ([`told`]).
    pub fn told(&self) -> BTreeMap<String, u64> {
        let mut counts = self.by_name();
        counts.retain(|name, _| told(name));
        counts
    }

    /// Counts what records told of intents that were sent before a kill, and of what became of them. An intent that was sent
    /// passed every stage before; what was looked at and not sent since the last record of the funnel is gone.
    pub fn add_told(&mut self, counts: &BTreeMap<String, u64>) {
        self.add_named(counts);
        let sent = counts.get(catalogue::FUNNEL_STAGES[Stage::Sent as usize]).copied().unwrap_or(0);
        for stage in [Stage::Evaluated, Stage::GrossPositive, Stage::NetPositive, Stage::AboveThreshold] {
            self.stages[stage as usize] = self.stages[stage as usize].saturating_add(sent);
        }
    }

    /// Adds counts by name: those of a journal. A name that this version does not know is left out.
    pub fn add_named(&mut self, counts: &BTreeMap<String, u64>) {
        for (name, n) in counts {
            let index = |names: &[&str]| names.iter().position(|known| *known == name.as_str());
            let slot = if let Some(rule) = name.strip_prefix("blocked:") {
                rule_index(rule).and_then(|i| self.blocked.get_mut(i))
            } else if let Some(reason) = name.strip_prefix("exited:") {
                let i = ExitReason::ALL.iter().position(|known| known.as_str() == reason);
                i.and_then(|i| self.exited.get_mut(i))
            } else if let Some(i) = index(&WHYS) {
                self.suppressed.get_mut(i)
            } else {
                index(&catalogue::FUNNEL_STAGES).and_then(|i| self.stages.get_mut(i))
            };
            if let Some(slot) = slot {
                *slot = slot.saturating_add(*n);
            }
        }
    }

    /// What is left when another's counts, which are part of these, are taken away.
    #[must_use]
    pub fn less(&self, part: &Self) -> Self {
        let mut left = self.clone();
        let pairs = left.stages.iter_mut().zip(part.stages);
        let pairs = pairs.chain(left.blocked.iter_mut().zip(part.blocked));
        let pairs = pairs.chain(left.suppressed.iter_mut().zip(part.suppressed));
        for (mine, theirs) in pairs.chain(left.exited.iter_mut().zip(part.exited)) {
            *mine = mine.saturating_sub(theirs);
        }
        left
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        let pairs = self.stages.iter_mut().zip(other.stages);
        let pairs = pairs.chain(self.blocked.iter_mut().zip(other.blocked));
        let pairs = pairs.chain(self.suppressed.iter_mut().zip(other.suppressed));
        for (mine, theirs) in pairs.chain(self.exited.iter_mut().zip(other.exited)) {
            *mine += theirs;
        }
    }
}
