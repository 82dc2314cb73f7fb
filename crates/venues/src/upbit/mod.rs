//! Upbit, KRW market. Protocol facts from the venue's documentation (docs.upbit.com) and public clients.

pub mod limits;
pub mod sequencer;
pub mod tables;
pub mod wire;

pub use tables::{RestOrderbook, UpbitMarket};

#[cfg(feature = "net")]
mod rest;
#[cfg(feature = "net")]
pub mod stream;
