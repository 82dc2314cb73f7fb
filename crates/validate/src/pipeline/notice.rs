//! The validator's own alerts: GATE-ABORT and GATE-VERDICT. They go to every notifier of the profile, past routing and throttle,
//! through a dispatcher like the runner's, over a spool in the run folder: raised means on disk. Their rows belong to the
//! validation's run id, phase `gate`: no KPI counts them.

use crate::archive::{RunDir, names};
use crate::profile::Profile;
use alerts::{AlertConfig, AlertError, Dispatcher, Spool};
use exposition::{Common, Registry};
use gate::Analysis;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the delivery may take, retries included: a verdict waits no longer for a dead notifier. What is open then stays in the
/// store.
const SETTLE: Duration = Duration::from_secs(20);
/// The phase of the rows.
const PHASE: &str = "gate";

/// A rule stopped the run.
pub(super) fn abort(
    dir: &RunDir,
    run_id: &str,
    profile: &Profile,
    phase: &str,
    cause: &str,
) -> Result<String, AlertError> {
    let title = format!("{}: the {phase} of {run_id} was aborted", profile.name);
    let message = format!("{cause}\nThe runner was stopped, its logs are in {}.", dir.0.display());
    deliver(dir, run_id, profile, ("GATE-ABORT", &title, &message))
}

/// The verdict, its three reasons, and the head of the manifest that anchors it.
pub(super) fn verdict(
    dir: &RunDir,
    run_id: &str,
    profile: &Profile,
    analysis: &Analysis,
    head: &str,
) -> Result<String, AlertError> {
    let title = format!("{}: {}", profile.name, analysis.headline());
    let mut message = String::new();
    for (n, reason) in analysis.reasons.iter().enumerate() {
        message.push_str(&format!("{}. {reason}\n", n + 1));
    }
    message.push_str(&format!("manifest head {head}\nreport: {}", dir.path(names::REPORT_MD).display()));
    deliver(dir, run_id, profile, ("GATE-VERDICT", &title, &message))
}

/// Raises one and waits for its deliveries; says how they ended.
fn deliver(
    dir: &RunDir,
    run_id: &str,
    profile: &Profile,
    (rule, title, message): (&str, &str, &str),
) -> Result<String, AlertError> {
    let source = dir.path(names::NOTICE_SPOOL);
    let mut spool = Spool::open(&source, run_id)?;
    let now = market::Timestamp(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX));
    let alert_id = spool.raise(rule, title, message, BTreeMap::new(), now)?;
    let env = profile.runner.config.get("env").and_then(toml::Value::as_str).unwrap_or("paper").to_owned();
    let registry = Registry::new(Common { env: env.clone(), universe: "topN".to_owned() });
    let settings = &profile.alerts;
    let database = dir.path(names::ALERT_DB);
    let config = AlertConfig {
        database: database.clone(),
        server: None,
        retention: None,
        run_id: run_id.to_owned(),
        phase: PHASE.to_owned(),
        notifiers: settings.notifiers(&settings.secrets()?, &dir.path(names::NOTICE))?,
        routes: settings.routes(&env),
        env,
        probe_every: Duration::from_secs(60),
        retry: settings.retry(),
        sources: vec![source],
        own_spool: None,
    };
    let dispatcher = Dispatcher::start(config, &registry)?;
    dispatcher.settle(SETTLE);
    dispatcher.stop();
    let (_, rows) = alerts::Store::open(&database)?.rows(run_id, Some(PHASE))?;
    let mine = rows.iter().filter(|row| row.alert_id == alert_id);
    let ends: Vec<String> = mine.map(|row| format!("{} {}", row.notifier, row.status.as_str())).collect();
    Ok(format!("{rule}: {}", ends.join(", ")))
}
