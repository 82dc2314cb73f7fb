//! The core driven by a small hand-made market.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "it/driver.rs"]
mod driver;
#[path = "it/guarding.rs"]
mod guarding;
#[path = "it/scenarios.rs"]
#[allow(dead_code, reason = "the judge's tests use the rest")]
mod scenarios;
#[path = "it/sessions.rs"]
mod sessions;
#[path = "it/shadowing.rs"]
mod shadowing;
#[path = "it/stress.rs"]
mod stress;
