//! The pure judge. It has no defaults: absence is a value. It knows no engine: any runner is judged by the contract.
//!
//! [`evidence`] says what it is given; [`rules`] watches a run as it happens; [`judge`] turns the evidence of a whole run into
//! 32 KPIs, 16 criteria, a decision and a diagnosis. No I/O, no clock: `validate` collects, this crate judges.

pub mod accounting;
pub mod attested;
pub mod decision;
pub mod evidence;
pub mod judge;
pub mod rules;
pub mod scrape;
pub mod spreads;
pub mod trust;
pub mod value;

mod criteria;
mod diagnosis;
mod differences;
mod headline;
mod kpis;
mod memory;
mod plausibility;
mod series;
mod stats;

pub use accounting::{Accounts, account};
pub use decision::{Decision, Simple, decide};
pub use differences::differences;
pub use judge::{Analysis, judge};
pub use rules::{ProcessEvent, RuleEngine, RuleName, RuleSpec, RuleStatus};
pub use value::{CriterionResult, CrossCheck, KpiResult, Outcome, Value};
