//! Tests of the venues: protocol rules, real captures, limits, and the shell against servers in the test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod it {
    pub mod captures;
    pub mod data;
    pub mod differential;
    pub mod folders;
    pub mod frames;
    pub mod limits;
    pub mod mutate;
    pub mod sequencer;
    pub mod tables;
    pub mod wire;

    #[cfg(feature = "net")]
    pub mod rest;
    #[cfg(feature = "net")]
    pub mod stream;
}
