//! Trying rules out without a run: unit tests of rules in virtual time (`assay rules test`), and the rules of a profile over
//! a recorded run's samples (`assay rules backtest`). The engine is `gate::RuleEngine`, the same that watches a run.

mod backtest;
mod notation;
mod table;

pub use backtest::{Backtest, Fired, backtest};
pub use table::{Failed, RulesError, Tested, test_file, test_text};
