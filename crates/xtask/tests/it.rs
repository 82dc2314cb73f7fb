//! Rules about this repository that no compiler holds, and the tests of the chores themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "it/arrows.rs"]
mod arrows;
#[path = "it/chores.rs"]
mod chores;
#[path = "it/runbook.rs"]
mod runbook;
#[path = "it/sources.rs"]
mod sources;
