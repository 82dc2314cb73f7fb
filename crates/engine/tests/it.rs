//! The core driven by a small hand-made market.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "it/by_hand.rs"]
mod by_hand;
#[path = "it/closed_forms.rs"]
mod closed_forms;
#[path = "it/driver.rs"]
mod driver;
#[path = "it/exact.rs"]
mod exact;
#[path = "it/exit_reasons.rs"]
mod exit_reasons;
#[path = "it/feeds.rs"]
mod feeds;
#[path = "it/fills.rs"]
mod fills;
#[path = "it/guarding.rs"]
mod guarding;
#[path = "it/money.rs"]
mod money;
#[path = "it/open_models.rs"]
mod open_models;
#[path = "it/recovery.rs"]
mod recovery;
#[path = "it/scenarios.rs"]
#[allow(dead_code, reason = "the judge's tests use the rest")]
mod scenarios;
#[path = "it/sessions.rs"]
mod sessions;
#[path = "it/shadowing.rs"]
mod shadowing;
#[path = "it/strategy.rs"]
mod strategy;
#[path = "it/stress.rs"]
mod stress;
#[path = "it/trusting.rs"]
mod trusting;
#[path = "it/universe.rs"]
mod universe;
#[path = "it/watching.rs"]
mod watching;
