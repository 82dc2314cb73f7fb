//! The pipeline around the pure judge: profiles, preflight, supervision, watching, collecting, the run archive, the report.
//!
//! [`pipeline`] runs the phases of a validation; [`review`] judges what is on disk again; everything else is a step of theirs.

pub mod analyze;
pub mod archive;
pub mod attest;
pub mod doctor;
pub mod explain;
pub mod grafana;
pub mod init;
pub mod logwatch;
pub mod mapping;
pub mod pipeline;
pub mod preflight;
pub mod profile;
pub mod report;
pub mod review;
pub mod rules;
#[cfg(feature = "schema")]
pub mod schemas;
pub mod supervise;
pub mod terminal;
pub mod watch;
