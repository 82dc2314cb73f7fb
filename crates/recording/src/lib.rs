//! The ordered input log: everything that can change a decision, in one total order.
//!
//! [`Input`] and [`Record`] are plain values (used by the engine); [`mod@file`] writes and reads them, [`series`] in a folder of
//! rotated files. A session is one
//! log: its first record is [`Input::Session`], and replaying it through the core gives the same journal byte for byte.

pub mod file;
mod input;
pub mod series;

pub use input::{ConnId, Input, LeftOut, Record};
