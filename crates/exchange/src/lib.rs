//! The local exchange servers: Upbit (KRW) and Binance spot (USDT) on loopback, REST and WebSocket.
//!
//! What lives here: a seeded synthetic market and real price paths ([`model`], pure), the venues' encoders, routers and limits, faults by
//! script and control API ([`faults`], pure), all of it in virtual time ([`Virtual`]), and the `assay exchange` command. What does not: clients and parsers of the venues. The encoders here are written
//! independently of the parsers there, so that a mistake in one is not repeated by the other.

mod args;
mod binance;
pub mod binance_wire;
mod control;
pub mod faults;
mod frames;
mod hub;
mod limits;
pub mod model;
mod prices;
mod reply;
mod server;
mod socket;
pub mod spelling;
pub mod tape;
mod tls;
mod transport;
mod upbit;
pub mod upbit_wire;
mod virtual_time;

pub use args::{Args, GapArg, StartAt, main};
pub use faults::{Fault, Injection, Script, ScriptError};
pub use model::{MarketKind, PlantedGap};
pub use prices::{PricesError, read as read_prices};
pub use reply::Reply;
pub use server::{Options, Prices, Server, start};
pub use upbit_wire::{Format, orderbook_frame};
pub use virtual_time::{Heard, Virtual};

use std::net::SocketAddr;

/// Why the servers do not run.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// An address cannot be listened on.
    #[error(
        "the {what} address {addr} cannot be used: {source}; choose another one, or port 0 for a free port"
    )]
    Bind {
        /// Which server.
        what: &'static str,
        /// The address asked for.
        addr: SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The number of symbols is out of range.
    #[error("{0} symbols cannot be served; ask for 1 to 1000")]
    Symbols(usize),
    /// A planted gap names an asset that this market does not trade on both venues.
    #[error("no gap can be planted in {0}: it does not trade on both venues here")]
    UnknownAsset(market::Asset),
    /// A planted gap's size is out of range.
    #[error("a gap of {0} bps cannot be planted; its size must be between -5000 and 5000")]
    GapSize(f64),
    /// A folder of candles gives no price paths.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// A recording cannot be read.
    #[error("{0}; name a recording of `assay record` or `assay import`")]
    Recording(#[from] recording::file::FileError),
    /// A recording without a book.
    #[error("{} shows no book within its first minute: there is no market to serve", .0.display())]
    NoMarket(std::path::PathBuf),
    /// A recording cannot be played so fast.
    #[error("a recording cannot be played {0} times as fast; give a number above 0, up to 1000")]
    Speed(f64),
    /// The start asked for does not lie on the price paths.
    #[error("the price paths cannot begin at {asked}: they can from {first} to {last}")]
    From {
        /// What was asked for.
        asked: String,
        /// The first possible start, UTC.
        first: String,
        /// The last.
        last: String,
    },
    /// A script of faults cannot be followed.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// A load is out of range.
    #[error("a load of {0} messages per second is out of range; ask for 0 to 10000000")]
    Load(f64),
    /// No certificate could be made.
    #[error("no certificate can be made: {0}; look at the addresses to listen on")]
    Tls(String),
    /// The authority's certificate cannot be written.
    #[error("the certificate cannot be written to {}: {source}; choose a file in a folder that can be written to", path.display())]
    CaFile {
        /// The file.
        path: std::path::PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The runtime, the signals or the output failed.
    #[error("the exchange cannot run: {0}")]
    Io(#[from] std::io::Error),
}
