//! The runner as others use it: configuration, replay, a whole run against the local exchange.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

#[path = "it/config.rs"]
mod config;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/imports.rs"]
mod imports;
#[path = "it/live.rs"]
mod live;
#[path = "it/recording.rs"]
mod recording_a_market;
#[path = "it/replays.rs"]
mod replays;
#[path = "it/served.rs"]
mod served;
