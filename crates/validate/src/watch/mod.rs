//! Watching a runner: scrapes ([`scrape`]), panels ([`panels`], served by [`console`]), the loop over one phase ([`phase`]).

mod collect;
pub mod console;
pub mod output;
pub mod panels;
pub mod phase;
mod rotate;
pub mod scrape;
pub mod status;
pub mod suspects;
