//! The other sides, each in its own words.

pub mod barter;
pub mod hft;
#[cfg(feature = "nautilus")]
pub mod nautilus;
