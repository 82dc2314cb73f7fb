//! The venues: one folder per venue, all of the same shape.
//!
//! * `wire`: bytes to events, exact numbers, nothing through a float.
//! * `tables`: answers of REST endpoints that list many markets.
//! * `sequencer`: the numbered protocol rules that turn events into a book. Pure, tested without a socket.
//! * `limits`: what the venue allows, with time as an argument.
//! * `rest`, `stream` (feature `net`): the shell, the only part that touches a network or a clock; with `dial` (making a
//!   connection), `link` (a connection that is up) and `cause` (why there is none) behind them.
//!
//! What does not live here: whether a book is fresh enough to trade on (`engine`), and servers that speak these
//! protocols (`exchange`).

mod error;
mod levels;
mod limits;
mod scan;
mod text;

pub mod binance;
pub mod upbit;

#[cfg(feature = "net")]
mod cause;
#[cfg(feature = "net")]
mod dial;
#[cfg(feature = "net")]
mod endpoints;
#[cfg(feature = "net")]
mod link;
#[cfg(feature = "net")]
mod rest;
#[cfg(feature = "net")]
mod rest_error;
#[cfg(feature = "net")]
mod stream;

pub use binance::tables::BinanceSymbol;
pub use error::{Problem, WireError};
pub use levels::{Candle, LevelBuffer, Ticker};
pub use limits::{Budget, Group, Priority, Rule, Share};
pub use upbit::tables::{RestOrderbook, UpbitMarket};

#[cfg(feature = "net")]
pub use cause::Cause;
#[cfg(feature = "net")]
pub use dial::{Proxies, open_socket};
#[cfg(feature = "net")]
pub use endpoints::{Endpoints, install_crypto};
#[cfg(feature = "net")]
pub use rest::{Rest, Stats, VenueStats};
#[cfg(feature = "net")]
pub use rest_error::RestError;
#[cfg(feature = "net")]
pub use stream::{Stamped, StreamEvent, StreamHandle, StreamSettings};
