//! End-to-end tests of the one binary: planted defects and healthy runners, kills, wrong input, the archive, and rehearsals.
//!
//! `cargo test -p e2e --test e2e -- --test-threads 24` is quickest: the tests wait most of the time, and `harness::seat` keeps too many
//! heavy ones from running side by side.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod allocations;
mod any_runner;
mod archive;
mod bad_input;
mod canaries;
mod cold;
mod dead_letters;
mod deploy;
mod doctor;
mod faults;
mod faults_at_random;
mod grafana;
mod harness;
mod kill;
mod liar;
mod market_client;
mod noise;
mod prices;
mod quotes;
mod recovery;
mod rehearsals;
mod restarts;
mod rows;
mod schemas;
mod state_store;
mod virtual_market;
