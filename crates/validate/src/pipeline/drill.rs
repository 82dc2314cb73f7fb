//! The drill for a runner without alerting: Assay's own dispatcher delivers one alert in the phase, so that C4 is judged on a
//! delivery that took place. The judge caps the decision for it.

use crate::archive::{RunDir, names};
use alerts::{AlertConfig, AlertError, Dispatcher, NotifierConfig, RetryPolicy, Routes, Spool};
use exposition::{Common, Registry};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the delivery may take, retries included.
const SETTLE: Duration = Duration::from_secs(10);

/// Raises one DRILL and waits until it is delivered or dead; the rows are in the run's alert store then.
///
/// # Errors
/// [`AlertError`]: then there is no row, and C4 says so.
pub fn deliver(dir: &RunDir, runner_id: &str, phase: &str, tag: &str) -> Result<(), AlertError> {
    let folder = dir.journal_dir(tag);
    let source = folder.join("drill.log");
    let mut spool = Spool::open(&source, runner_id)?;
    let now = market::Timestamp(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX));
    let text = "Assay's own drill: the runner declares no alerting";
    spool.raise("DRILL", "Drill", text, BTreeMap::new(), now)?;
    let registry = Registry::new(Common { env: "gate".to_owned(), universe: "topN".to_owned() });
    let config = AlertConfig {
        database: dir.path(names::ALERT_DB),
        server: None,
        retention: None,
        run_id: runner_id.to_owned(),
        phase: phase.to_owned(),
        env: "gate".to_owned(),
        notifiers: vec![NotifierConfig::LocalLog { path: folder.join("alerts.log") }],
        routes: Routes::paper(),
        probe_every: Duration::from_secs(60),
        retry: RetryPolicy::default(),
        sources: vec![source],
        own_spool: None,
    };
    let dispatcher = Dispatcher::start(config, &registry)?;
    dispatcher.settle(SETTLE);
    dispatcher.stop();
    Ok(())
}
