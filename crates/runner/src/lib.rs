//! The paper runner: the hot thread and everything around it.
//!
//! What lives here: `assay run` (sockets, timers, signals, the writer of journal, KPI file, metrics and log, the input log,
//! `/metrics`), `assay replay` and `assay kpi`. What does not: decisions (`engine`), protocols (`venues`), delivery
//! (`alerts`), judgement (`gate`).
//!
//! Threads: the main thread carries sockets and core on one current-thread runtime; `writer` appends the journal and only
//! then publishes; `recorder` writes the input log; `metrics` answers scrapes; `universe` asks what the venues list; `log`
//! writes lines; each state store and the dispatcher have their own. The queues between them are bounded, and a wait of the hot thread is counted.

mod args;
pub mod books;
mod clock;
mod config;
mod error;
mod explain;
mod following;
mod hot;
pub mod import;
pub mod info;
mod keeper;
mod kpi;
mod kpifile;
mod lines;
mod live;
mod logs;
mod metrics;
mod process;
mod record;
mod recorder;
mod replay;
mod requests;
mod restart;
mod rolling;
mod screen;
mod server;
mod session;
mod signals;
mod snapshots;
mod stages;
mod store;
mod streams;
mod universe;
mod watches;
mod writer;

pub use args::{DataSource, KpiArgs, LogFormat, RecordArgs, ReplayArgs, RunArgs};
pub use config::{AlertSection, EndpointConfig, FileConfig, load as load_config, parse as parse_config};
pub use error::RunError;
pub use explain::{UniverseStory, explain_universe};
pub use following::{StreamSection, UpbitFormat};
pub use kpi::{from_journal, kpi};
pub use process::write_atomic;
pub use record::record;
pub use replay::{ReplayReport, replay, replay_file};
pub use session::run;
pub use store::{StateSection, pull_kill_switch, pull_kill_switch_in, run_in as store_of};
