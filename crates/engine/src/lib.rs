//! The pure core of the paper engine.
//!
//! One ordered log of inputs goes in ([`recording::Input`]), effects come out ([`Effect`]): journal records, requests for
//! snapshots, the end. [`Core`] does no I/O, reads no clock and draws no random number, so that a replay of a log gives
//! the same journal byte for byte.
//!
//! What lives here: books, FX, venue health, level, edge, guards, broker, two-leg state machine, ledger, funnel. What does
//! not: sockets and files (`runner`), protocols (`venues`), judgement (`gate`).

mod asset_index;
pub mod broker;
pub mod config;
pub mod core;
pub mod edge;
pub mod fees;
pub mod funnel;
pub mod gaps;
pub mod guards;
mod inspect;
pub mod kpi;
pub mod latency;
pub mod ledger;
pub mod legs;
pub mod level;
pub mod liquidity;
pub mod market_state;
pub mod models;
pub mod percentiles;
pub mod probe;
pub mod recover;
pub mod rejection;
mod results;
pub mod score;
mod session;
pub mod shadow;
pub mod strategy;
pub mod transfers;
pub mod universe;
pub mod view;
pub mod volatility;

// The hand-made market of the tests in `tests/it`, for the tests that reach inside.
#[cfg(test)]
extern crate self as engine;
#[cfg(test)]
#[allow(dead_code, clippy::unwrap_used, reason = "the tests outside use the rest")]
#[path = "../tests/it/driver.rs"]
mod driver;
#[cfg(test)]
#[allow(dead_code, clippy::unwrap_used, reason = "the tests outside use the rest")]
#[path = "../tests/it/scenarios.rs"]
mod scenarios;

pub use self::core::{Core, Effect, ReplayError, StartError, replay, replay_with};
pub use config::{Config, ConfigError, DayOffset, FeedLimits, LatencySource, PerVenue, Rebalance};
pub use models::Models;
pub use session::AlertLimits;
pub use view::View;

/// Parts of the specification that this version does not hold: a report says so rather than let them be assumed.
pub const NOT_BUILT: &[&str] =
    &["rebalancing of cash (coin is moved, KRW and USDT are not)", "hedging by perpetuals"];
