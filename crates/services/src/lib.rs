//! For tests only: real servers from Debian's packages, each started privately on a free port of loopback with its files in
//! a temporary directory, and ended with the value that stands for it (or with the test process, whatever ends that).
//!
//! Third parties that nobody can start privately are played ([`played`]).
//!
//! Lives here: starting, stopping, killing and starting again. Does not live here: installing the packages (`cargo xtask
//! test`), and any client: a test speaks to them with the product's own. Nothing here is part of the product.

mod mail;
pub mod played;
mod postgres;
mod process;
mod prometheus;
mod redis;

pub use mail::Mail;
pub use postgres::Postgres;
pub use process::{ServiceError, free_port};
pub use prometheus::Prometheus;
pub use redis::Redis;
