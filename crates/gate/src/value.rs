//! The states of a KPI and of a criterion. Absence is one of them; there is no default.

use crate::decision::Simple;
use catalogue::{CriterionId, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of a KPI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A finite number in the KPI's unit.
    Measured(f64),
    /// A map from a name to a finite number.
    Map(BTreeMap<String, f64>),
    /// A denominator was measured to be zero: there is no loser, no block, no delivery.
    Undefined {
        /// The zero that proves it.
        why: String,
    },
    /// The profile declares that the runner cannot have it.
    NotApplicable {
        /// The declared reason.
        declared: String,
    },
    /// It is not there.
    Absent {
        /// Why.
        why: String,
    },
    /// It is there and cannot be true.
    Implausible {
        /// Both figures.
        figures: String,
    },
}

impl Value {
    /// The number, when one was measured.
    pub const fn number(&self) -> Option<f64> {
        match self {
            Self::Measured(value) => Some(*value),
            _ => None,
        }
    }

    /// True when the KPI counts as present for C2.
    pub const fn is_present(&self) -> bool {
        !matches!(self, Self::Absent { .. } | Self::Implausible { .. })
    }

    pub(crate) fn absent(why: impl Into<String>) -> Self {
        Self::Absent { why: why.into() }
    }

    pub(crate) fn undefined(why: impl Into<String>) -> Self {
        Self::Undefined { why: why.into() }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Measured(value) => f.write_str(&figure(*value)),
            Self::Map(map) if map.is_empty() => f.write_str("none"),
            Self::Map(map) => {
                let parts: Vec<String> = map.iter().map(|(k, v)| format!("{k} {}", figure(*v))).collect();
                f.write_str(&parts.join(", "))
            }
            Self::Undefined { why } => {
                // A runner's reason begins with the word itself.
                let why = why
                    .strip_prefix("undefined")
                    .map_or(why.as_str(), |rest| rest.trim_start_matches([':', ' ']));
                write!(f, "undefined ({why})")
            }
            Self::NotApplicable { declared } => write!(f, "not applicable ({declared})"),
            Self::Absent { why } => write!(f, "ABSENT ({why})"),
            Self::Implausible { figures } => write!(f, "IMPLAUSIBLE ({figures})"),
        }
    }
}

/// A number for a sentence: at most four decimals, none that say nothing.
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let text =
        if value != 0.0 && value.abs() < 0.001 { format!("{value:.3e}") } else { format!("{value:.4}") };
    if text.contains('.') && !text.contains('e') {
        let short = text.trim_end_matches('0').trim_end_matches('.');
        return if short == "-0" { "0".to_owned() } else { short.to_owned() };
    }
    text
}

/// A number of things: `1 episode`, `2 episodes`.
pub fn counted(n: f64, one: &str, many: &str) -> String {
    format!("{} {}", figure(n), if n == 1.0 { one } else { many })
}

/// What an independent reading of the same KPI said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CrossCheck {
    /// It agrees.
    Agreed {
        /// The independent figure and where it is from.
        figure: String,
    },
    /// It does not: the KPI is implausible.
    Disagreed {
        /// The KPI as judged.
        ours: String,
        /// The independent figure and where it is from.
        theirs: String,
    },
    /// There is none: the decision is capped.
    NotAvailable {
        /// Why.
        why: String,
    },
}

/// One of the 32 KPIs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KpiResult {
    /// 1 to 32.
    pub number: u8,
    /// Field name.
    pub field: String,
    /// Unit of the value.
    pub unit: Unit,
    /// The value, or why there is none.
    pub value: Value,
    /// `runner`, `supervisor`, `scrape`, `journal`, `store`, `derived`.
    pub provenance: String,
    /// The artefact that it came from.
    pub artefact: String,
    /// The cross-check.
    pub cross_check: CrossCheck,
}

/// The outcome of a criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Shown to hold.
    Pass,
    /// Shown not to hold.
    Fail,
    /// Neither could be shown.
    Inconclusive {
        /// Why.
        why: String,
    },
}

impl Outcome {
    /// Without its reason, for the decision.
    pub const fn simple(&self) -> Simple {
        match self {
            Self::Pass => Simple::Pass,
            Self::Fail => Simple::Fail,
            Self::Inconclusive { .. } => Simple::Inconclusive,
        }
    }

    pub(crate) fn inconclusive(why: impl Into<String>) -> Self {
        Self::Inconclusive { why: why.into() }
    }
}

/// Who settled an inconclusive criterion by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// The person.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// The evidence: its path inside the run folder.
    pub evidence: String,
    /// SHA-256 of the evidence.
    pub sha256: String,
}

/// One of the 16 criteria.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CriterionResult {
    /// Identity.
    pub id: CriterionId,
    /// The outcome.
    pub outcome: Outcome,
    /// What was found, with figures.
    pub value: String,
    /// What it was held against.
    pub threshold: String,
    /// Names of the artefacts behind it.
    pub evidence: Vec<String>,
    /// A remark, such as "no block at all" or what was waived.
    pub note: Option<String>,
    /// Set when a person settled it.
    pub attested: Option<Attestation>,
}
