//! Alert delivery: an alert that was raised is delivered, or it is in the dead letters.
//!
//! Lives here: the stores (SQLite embedded, PostgreSQL), the [`Spool`] for alerts that do not come from the engine, the [`Dispatcher`]
//! that follows the journal and spools with a stored cursor, throttles, routes, sends, retries and falls back, the notifiers
//! (Telegram, Slack, email, webhook, local log) with their secrets, and what an operator does with dead letters. Does not live here: the rules' conditions (they are raised elsewhere), their severities and throttles (the
//! catalogue), and the journal's writing.
//!
//! Delivery is at least once. A duplicate is possible when a process dies, or loses its lease, between a notifier's
//! acknowledgement and its record in the store, and when a loss of power takes that record back. Alerts carry their id, which
//! is the idempotency key together with the notifier's name.

mod channels;
mod config;
mod dispatcher;
mod dlq;
mod intake;
mod machine;
mod metrics;
mod model;
mod notifier;
mod own;
mod queue;
mod routes;
mod secret;
mod source;
mod spool;
mod store;
mod worker;

pub use channels::{ChannelSettings, PRODUCTION};
pub use config::{AlertConfig, KNOWN_NOTIFIERS, LOCAL_LOG, NotifierConfig, RetryPolicy};
pub use dispatcher::{Clock, Dispatcher, DispatcherHandle, Settled};
pub use dlq::{Act, AuditRecord, Desk, Replayed};
pub use intake::Intake;
pub use machine::{Circuit, Machine, Next};
pub use model::{Alert, AlertError, AlertRecord, Conservation, DeliveryRecord, Disposition, Status};
pub use notifier::{
    Email, EmailConfig, IDEMPOTENCY, LocalLog, Notifier, Reason, SIGNATURE, SendError, Slack, TIMESTAMP,
    Telegram, Webhook, digest, signature,
};
pub use routes::{Batch, Routes};
pub use secret::{NAMES as SECRET_NAMES, Secret, Secrets};
pub use spool::Spool;
pub use store::{
    AlertStore, Claim, Lane, Open, OperatorStore, Overflow, OverflowStore, Plan, PostgresConfig, SharedStore,
    Store, StoreServer, Taken,
};
pub use worker::Worker;
