//! The core driven by a small hand-made market.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "it/driver.rs"]
mod driver;
#[path = "it/guarding.rs"]
mod guarding;
#[path = "it/scenarios.rs"]
mod scenarios;
#[path = "it/sessions.rs"]
mod sessions;
#[path = "it/stress.rs"]
mod stress;
