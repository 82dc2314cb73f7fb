//! Alert delivery: an alert that was raised is delivered, or it is in the dead letters.
//!
//! Lives here: the embedded store (SQLite), the [`Spool`] for alerts that do not come from the engine, the [`Dispatcher`]
//! that follows the journal and spools with a stored cursor, throttles, routes, sends, retries and falls back, and the local
//! log notifier. Does not live here: the rules' conditions (they are raised elsewhere), their severities and throttles (the
//! catalogue), and the journal's writing.
//!
//! Delivery is at least once. A duplicate is possible when a process dies, or loses its lease, between a notifier's
//! acknowledgement and its record in the store, and when a loss of power takes that record back. Alerts carry their id, which
//! is the idempotency key together with the notifier's name.

mod config;
mod dispatcher;
mod intake;
mod machine;
mod metrics;
mod model;
mod notifier;
mod spool;
mod store;
mod worker;

pub use config::{AlertConfig, NotifierConfig, RetryPolicy, Routes};
pub use dispatcher::{Clock, Dispatcher, DispatcherHandle, Settled};
pub use intake::Intake;
pub use machine::{Circuit, Machine, Next};
pub use model::{Alert, AlertError, AlertRecord, Conservation, DeliveryRecord, Disposition, Status};
pub use notifier::{LocalLog, Notifier, Reason, SendError};
pub use spool::Spool;
pub use store::{AlertStore, Claim, Lane, Open, Plan, PostgresConfig, Store, StoreServer, Taken};
pub use worker::Worker;
