//! The core driven by a small hand-made market.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "it/driver.rs"]
mod driver;
#[path = "it/guarding.rs"]
mod guarding;
#[path = "it/money.rs"]
mod money;
#[path = "it/sessions.rs"]
mod sessions;
#[path = "it/stress.rs"]
mod stress;
