//! Tests of the dispatcher: in virtual time where delivery is concerned, with threads where they are.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "it/bench.rs"]
mod bench;
#[path = "it/chaos.rs"]
mod chaos;
#[path = "it/conservation.rs"]
mod conservation;
#[path = "it/delivery.rs"]
mod delivery;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/faulty.rs"]
mod faulty;
#[path = "it/injected.rs"]
mod injected;
#[path = "it/load.rs"]
mod load;
#[path = "it/login.rs"]
mod login;
#[path = "it/neighbours.rs"]
mod neighbours;
#[path = "it/outages.rs"]
mod outages;
#[path = "it/overflow.rs"]
mod overflow;
#[path = "it/place.rs"]
mod place;
#[path = "it/sources.rs"]
mod sources;
#[path = "it/start.rs"]
mod start;
#[path = "it/stores.rs"]
mod stores;
#[path = "it/third_parties.rs"]
mod third_parties;
#[path = "it/threads.rs"]
mod threads;
