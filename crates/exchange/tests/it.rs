//! The exchange servers, seen from outside: the market as a pure model, the spellings, the protocols over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "it/client.rs"]
mod client;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/model.rs"]
mod model;
#[path = "it/prices.rs"]
mod prices;
#[path = "it/servers.rs"]
mod servers;
#[path = "it/wire.rs"]
mod wire;
