//! Profiles: what a validation does, in commented TOML. Every duration, window, cadence, grace and minimum lives here.

mod check;
pub(crate) mod credentials;
mod error;
mod foreign;
mod load;
mod outlook;
mod record;
mod rules;
mod scale;
mod schema;
mod settings;
mod span;
mod stores;

pub use error::ProfileError;
pub use load::{Loaded, builtin_names, load, load_text, source_of};
pub use outlook::{Outlook, outlook};
pub use schema::schema;
pub use settings::settings;
pub use span::Span;
pub use stores::{StoreChoice, StoreKind, Stores};

use crate::mapping::Mapping;
use catalogue::CriterionId;
use gate::RuleSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An effective profile: a built-in one, or a user's file on top of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name: `d77-4`, `soak-12h`, `rehearsal`, or the user's.
    pub name: String,
    /// One sentence for `profile list`.
    pub about: String,
    /// `real` or `local`; `local` starts a local exchange when `[exchange]` is there.
    pub data_source: DataSource,
    /// What one "hour" of rates and slopes is.
    pub hour: Span,
    /// How many times faster than the built-in durations everything runs; already applied to every duration of this value. Runs of
    /// versions that did not know it ran at the true pace.
    #[serde(default = "true_pace")]
    pub time_scale: f64,
    /// What to do after a GO.
    pub next_stage: String,
    /// The runner.
    pub runner: Runner,
    /// The smoke.
    pub smoke: Phase,
    /// The main run.
    pub main: Phase,
    /// Polls and graces.
    pub watch: Watch,
    /// The watch rules in the order of their names.
    pub rules: Vec<RuleSpec>,
    /// How CPU and memory are measured.
    pub measure: Measure,
    /// Cadence of the panel checks.
    pub panels: Panels,
    /// Disk and log limits.
    pub limits: Limits,
    /// The console.
    pub console: Console,
    /// What C6 asks; the console in runs of versions that could ask nothing else.
    #[serde(default)]
    pub dashboard: Dashboard,
    /// Alert stores and state.
    pub stores: Stores,
    /// Criteria beside C6 that a person may attest when they are inconclusive: `["M4"]`; never C1 to C5.
    #[serde(default)]
    pub attestable: Vec<CriterionId>,
    /// The notifiers whose availability is required; the word `configured` has been replaced by those that are.
    pub notifiers: Vec<String>,
    /// Where alerts go. Runs of versions that had the local log alone say nothing.
    #[serde(default)]
    pub alerts: alerts::ChannelSettings,
    /// A local exchange as a guarded child; rehearsals only.
    pub exchange: Option<Exchange>,
    /// The planted proof of the smoke's round trip; absent for a foreign runner whose market cannot be replaced.
    pub planted: Option<Planted>,
}

const fn true_pace() -> f64 {
    1.0
}

/// Where market data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataSource {
    /// The venues.
    Real,
    /// A local exchange.
    Local,
}

impl DataSource {
    /// As on the runner's command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Local => "local",
        }
    }
}

/// The runner's contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runner {
    /// The command line. Placeholders: `{assay}` (this executable), `{duration_s}`, `{topn}`, `{data_source}`, `{kpi_path}`,
    /// `{metrics_addr}`, `{runner_id}`, `{config_path}`, `{phase_dir}`, `{phase}`, `{profile_dir}`.
    pub command: Vec<String>,
    /// `host:port` that the runner serves metrics on; port 0 picks a free one.
    pub metrics_addr: String,
    /// What is scraped; `http://{metrics_addr}/metrics`.
    pub metrics_url: String,
    /// `SIGTERM` or `SIGINT`.
    pub stop_signal: String,
    /// How long an orderly end may take.
    pub stop_grace: Span,
    /// True for our own contract: journal, KPI file fields, metrics of the catalogue, alert store.
    pub own_contract: bool,
    /// `metric` (`arb_topn_loop_iterations_total`) or `kpi_file`.
    pub progress: Progress,
    /// What the runner cannot have, with the reason.
    pub not_applicable: BTreeMap<String, String>,
    /// What the runner calls things; empty in runs of versions that could not map.
    #[serde(default)]
    pub mapping: Mapping,
    /// Settings handed to the runner in its configuration file (TOML), beside paths and endpoints, which Assay fills in.
    pub config: toml::Table,
}

/// The signal that shows progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The iteration counter.
    Metric,
    /// Rewrites of the KPI file.
    KpiFile,
}

/// Length and size of a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// How long the runner is asked to run.
    pub duration: Span,
    /// The universe that it is asked for.
    pub topn: u32,
}

/// Polls and graces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Interval of scrapes and OS samples.
    pub poll: Span,
    /// Deadline of one scrape.
    pub scrape_timeout: Span,
    /// Until the first scrape must succeed.
    pub start_grace: Span,
    /// Past the duration, before the runner is asked to stop.
    pub overrun_grace: Span,
    /// A crash block is `handled` when the process lives and progresses this long after it.
    pub handled_after: Span,
    /// A line of interim KPIs this often.
    pub interim_every: Span,
}

/// How CPU and memory are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// A6 and H3: settling time left out.
    pub memory_skip: Span,
    /// A6 and H3: least data after that.
    pub memory_min: Span,
    /// A6 and H3: width of the minima.
    pub memory_window: Span,
    /// Cores that 100 % CPU means.
    pub cpu_cores: f64,
}

/// Cadence of the panel checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panels {
    /// The core dashboard.
    pub core_every: Span,
    /// The alerting dashboard.
    pub alerting_every: Span,
}

/// Disk and log limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Free disk that preflight demands, in bytes.
    pub min_free_bytes: u64,
    /// Cap of a phase's logs, all parts together, in bytes; what it drops is counted.
    pub log_cap_bytes: u64,
}

/// The console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// `host:port`; port 0 picks a free one.
    pub addr: String,
}

/// The dashboard that C6 asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Who is asked.
    pub source: DashboardSource,
    /// Where Grafana is, `http://HOST:PORT`. Its token is in the environment (`GRAFANA_TOKEN`).
    pub grafana_url: String,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self { source: DashboardSource::Console, grafana_url: "http://127.0.0.1:3000".to_owned() }
    }
}

/// Who shows the panels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DashboardSource {
    /// `/api/panels` on the console port.
    Console,
    /// Grafana's HTTP API.
    Grafana,
}

/// The rehearsal's market.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// `edge` or `calm`.
    pub market: String,
    /// Symbols listed.
    pub symbols: u32,
    /// Seed; the same seed gives the same market.
    pub seed: u64,
    /// Real price paths: a folder of candles instead of a synthetic market.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<PathBuf>,
    /// Where on the price paths to begin, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Gaps planted on top of the market: `BPS@SECONDS:LASTS`, seconds after the exchange's start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
}

/// The planted proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planted {
    /// How long the runner may run at most.
    pub duration: Span,
    /// When the gap opens, after the exchange's start.
    pub gap_at: Span,
    /// How long it stays.
    pub gap_lasts: Span,
    /// Its size in basis points.
    pub gap_bps: f64,
}
