//! The journal: what the engine decided and did, numbered and checksummed.
//!
//! [`record`] holds the records, [`figures`] what guards look at: pure values, read by the gate, the dispatcher and `assay kpi`. [`file`] writes and
//! reads them; an alert is put into words by the reader or the writer ([`Alert`]). Effects are published only once their record is written. Wall-clock measurements stay out: a replay of the
//! same inputs gives the same bytes.

mod alert;
pub mod figures;
pub mod file;
mod parts;
pub mod percentiles;
pub mod record;
pub mod trust;
pub mod universe;
mod withdrawal;

pub use alert::{Alert, AlertFields, Words};
pub use record::{Body, Entry};
