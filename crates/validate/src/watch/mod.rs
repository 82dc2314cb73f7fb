//! Watching a runner: scrapes ([`scrape`]), panels ([`panels`], served by [`console`]), the loop over one phase ([`phase`]), the
//! watching of a process that runs already ([`monitor`]).

mod asker;
mod clocks;
mod collect;
pub mod console;
mod due;
mod ending;
mod follow;
pub mod monitor;
pub mod output;
pub mod panels;
pub mod phase;
mod rotate;
mod sampler;
pub mod scrape;
pub mod status;
pub mod suspects;

pub(crate) use clocks::{gap_limit_s, wall_jump_s};
