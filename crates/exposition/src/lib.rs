//! Metrics as text: what Assay exposes and what it reads.
//!
//! Lives here: the [`Registry`] whose metrics are those of the catalogue and no others, its encoding in the Prometheus text
//! format 0.0.4 and in OpenMetrics 1.0, and a strict parser of both ([`parse`], and [`scan`]
//! without copies). Does not live here: the HTTP endpoint, the
//! scraper, and any judgement about values.
//!
//! Both formats are written by one encoder of our own: the usual client library writes OpenMetrics only, and two encoders
//! over the same values could disagree.

mod check;
mod cursor;
mod encode;
mod open;
mod page;
mod parse;
mod registry;
mod scan;
mod series;
mod text;

pub use cursor::Label;
pub use encode::Format;
pub use page::{Exemplar, Exposition, Family, Kind, Sample, canonical_name};
pub use parse::{ParseError, parse};
pub use registry::{Common, Counter, Gauge, Histogram, HistogramSnapshot, Registry, RegistryError};
pub use scan::{Head, Mark, Point, scan};
