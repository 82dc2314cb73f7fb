//! The words of the domain: venues, assets, exact numbers, instrument rules, books, FX, time.
//!
//! What lives here is plain values. What does not: protocols (`venues`), decisions (`engine`), judgement (`gate`).
//! Money is exact: prices are `i64` and quantities and amounts `i128`, all at a scale of 1e-8, and every operation is
//! checked. `f64` comes out of this crate for statistics and screens only and never goes back in.

mod asset;
mod book;
mod decimal;
mod fx;
mod halt;
mod instrument;
mod ladder;
#[cfg(feature = "schema")]
mod schema;
mod time;
mod venue;

pub use asset::{Asset, AssetError};
pub use book::{Book, Level, Side, Walk};
pub use decimal::{DecimalError, Money, NumberError, Price, Quantity, Rounding, SCALE, parse_scaled};
pub use fx::FxRate;
pub use halt::{Halt, HaltWhy};
pub use instrument::{Instrument, KRW_TICKS, Member, Refusal, TickRule, upbit_krw_tick};
pub use time::{NANOS_PER_SEC, Timestamp};
pub use venue::Venue;
