//! What a dispatcher is told: store, sources, notifiers, routes, retries. Secrets are no part of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalogue::Severity;

use crate::notifier::{LocalLog, Notifier};
use crate::store::StoreServer;

/// Configuration of a dispatcher.
#[derive(Debug, Clone)]
pub struct AlertConfig {
    /// The SQLite file; created with mode 0600, its folder must exist.
    pub database: PathBuf,
    /// A PostgreSQL instead of the SQLite file.
    pub server: Option<Arc<dyn StoreServer>>,
    /// Rows of other runs are deleted when their alerts were raised longer ago than this, dead letters and what is open excepted.
    /// `None` keeps them.
    pub retention: Option<Duration>,
    /// Validation run id or runner id: alert rows belong to it.
    pub run_id: String,
    /// `smoke`, `main`, ...: alert rows belong to it.
    pub phase: String,
    /// Environment, such as `paper`.
    pub env: String,
    /// Notifiers in order of preference. Empty means a local log `alerts.log` beside the database.
    pub notifiers: Vec<NotifierConfig>,
    /// Chains by severity.
    pub routes: Routes,
    /// Interval of availability probes: 60 s, in rehearsals 5 s.
    pub probe_every: Duration,
    /// Retries.
    pub retry: RetryPolicy,
    /// Files in the journal's line format: the journal and spools. They may not exist yet.
    pub sources: Vec<PathBuf>,
}

/// One notifier.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifierConfig {
    /// A file with one JSON line per alert, mode 0600. Named `local_log`.
    LocalLog {
        /// The file; its folder must exist.
        path: PathBuf,
    },
}

/// The name of [`NotifierConfig::LocalLog`].
pub(crate) const LOCAL_LOG: &str = "local_log";

impl NotifierConfig {
    /// The name in metrics, routes and tables.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LocalLog { .. } => LOCAL_LOG,
        }
    }
}

impl AlertConfig {
    /// The notifiers of this configuration.
    pub(crate) fn build_notifiers(&self) -> Vec<Box<dyn Notifier>> {
        if self.notifiers.is_empty() {
            return vec![Box::new(LocalLog::new(self.database.with_file_name("alerts.log")))];
        }
        self.notifiers
            .iter()
            .map(|n| match n {
                NotifierConfig::LocalLog { path } => {
                    Box::new(LocalLog::new(path.clone())) as Box<dyn Notifier>
                }
            })
            .collect()
    }
}

/// Chains of notifier names by severity: the first is tried, each next one takes over when the one before gave up. A
/// severity without a chain is stored only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routes {
    /// Chains. `None` means the default of paper trading: P0 to P2 through all notifiers in their order, P3 stored.
    pub chains: Option<BTreeMap<Severity, Vec<String>>>,
}

impl Routes {
    /// The default of paper trading: P0 to P2 through all configured notifiers in their order, P3 stored.
    pub const fn paper() -> Self {
        Self { chains: None }
    }

    /// Explicit chains; `local_log` is added to the end of each chain that is not empty when it is configured.
    pub const fn chains(chains: BTreeMap<Severity, Vec<String>>) -> Self {
        Self { chains: Some(chains) }
    }

    /// The chain of a severity among the notifiers that exist, `local_log` last. Empty means stored only.
    pub fn chain(&self, severity: Severity, notifiers: &[String]) -> Vec<String> {
        let wanted: &[String] = match &self.chains {
            None if severity == Severity::P3 => &[],
            None => notifiers,
            Some(chains) => chains.get(&severity).map_or(&[], Vec::as_slice),
        };
        let is_log = |n: &String| n == LOCAL_LOG;
        let mut chain: Vec<String> =
            wanted.iter().filter(|n| !is_log(n) && notifiers.contains(n)).cloned().collect();
        if !wanted.is_empty() && notifiers.iter().any(is_log) {
            chain.push(LOCAL_LOG.to_owned());
        }
        chain
    }
}

/// How a failed delivery is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Pause after the first failure.
    pub first: Duration,
    /// Each further pause is longer by this factor.
    pub factor: f64,
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Pauses vary by this share up and down, 0 to 1.
    pub jitter: f64,
    /// A notifier that takes longer than this has failed.
    pub timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            factor: 2.0,
            attempts: 4,
            jitter: 0.2,
            timeout: Duration::from_secs(5),
        }
    }
}
