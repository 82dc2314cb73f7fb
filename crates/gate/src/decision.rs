//! The decision: a total function of 16 outcomes and three flags, and nothing else.

use catalogue::{Class, CriterionId};
use serde::{Deserialize, Serialize};

/// A criterion's outcome without its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Simple {
    /// Shown to hold.
    Pass,
    /// Shown not to hold.
    Fail,
    /// Neither could be shown.
    Inconclusive,
}

/// The decision, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// 6 critical, 6 high, at least 3 medium pass; nothing caps it.
    CompleteGo,
    /// 6 critical and at least 4 high pass.
    ConditionalGo,
    /// 6 critical and 2 or 3 high pass.
    ConditionalGoWithConcerns,
    /// Everything else.
    NoGo,
}

impl Decision {
    /// The words of the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CompleteGo => "COMPLETE GO",
            Self::ConditionalGo => "CONDITIONAL GO",
            Self::ConditionalGoWithConcerns => "CONDITIONAL GO WITH CONCERNS",
            Self::NoGo => "NO-GO",
        }
    }
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Decides. `outcomes` stand in the order of [`CriterionId::ALL`].
pub fn decide(outcomes: &[Simple; 16], capped: bool, aborted: bool, interrupted: bool) -> Decision {
    let mut passed = [0u8; 3];
    for (id, outcome) in CriterionId::ALL.iter().zip(outcomes) {
        if *outcome == Simple::Pass {
            passed[id.class() as usize] += 1;
        }
    }
    let [critical, high, medium] =
        [Class::Critical, Class::High, Class::Medium].map(|class| passed[class as usize]);
    if aborted || interrupted || critical < 6 {
        return Decision::NoGo;
    }
    match high {
        6 if medium >= 3 && !capped => Decision::CompleteGo,
        4..=6 => Decision::ConditionalGo,
        2..=3 => Decision::ConditionalGoWithConcerns,
        _ => Decision::NoGo,
    }
}
