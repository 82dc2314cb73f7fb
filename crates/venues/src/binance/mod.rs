//! Binance spot, USDT market, and the sequence rules of USD-M futures. Protocol facts from the venue's documentation
//! (github.com/binance/binance-spot-api-docs) and public clients.

pub mod limits;
pub mod rotation;
pub mod sequencer;
pub mod tables;
pub mod wire;

pub use tables::BinanceSymbol;

#[cfg(feature = "net")]
mod rest;
#[cfg(feature = "net")]
pub mod stream;
