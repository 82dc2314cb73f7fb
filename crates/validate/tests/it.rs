//! Tests of the pipeline's parts: profiles, preflight, the log watch against real logs, panels.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod it {
    pub mod archive;
    pub mod by_hand;
    pub mod elsewhere;
    pub mod engine;
    pub mod group;
    pub mod log_cases;
    pub mod logwatch;
    pub mod outcomes;
    pub mod panels;
    pub mod preflight;
    pub mod profile;
    pub mod profile_mapping;
    pub mod profile_schema;
    pub mod rules;
    pub mod stack;
}
