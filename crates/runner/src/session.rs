//! `assay run`: everything around the hot thread, in the order of start and end.
//!
//! Start: configuration, folders, the journal of a killed process if there is one (`restart`), address of `/metrics`, dispatcher (its first probe comes before the first answer of
//! `/metrics`), journal and KPI file, input log, then the session. End: entries stop and positions close (by the session),
//! end drill, the dispatcher settles, KPI file `complete: true`, `/metrics` lingers (a further signal ends that), exit.

use crate::args::{DataSource, RunArgs};
use crate::clock::Clock;
use crate::config::{self, Effective};
use crate::error::RunError;
use crate::hot::Outcome;
use crate::kpifile::{Ending, Facts};
use crate::live::{self, Back, Parts};
use crate::metrics::{Metrics, RunInfo};
use crate::recorder::Recorder;
use crate::restart::{self, Found, Restart};
use crate::server;
use crate::signals::Signals;
use crate::store::Store;
use crate::writer::{Beside, Raise, ShellAlert, WriterHandle};
use alerts::{AlertConfig, AlertError, Dispatcher, DispatcherHandle, Spool};
use exposition::Common;
use recording::file::Tail;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use venues::Endpoints;

/// Runs the paper runner to its end and gives the exit code: 0 after its duration or an orderly stop, 3 after an emergency
/// stop.
///
/// # Errors
/// [`RunError`], whose exit code is 64 for the configuration and 70 for the rest. Once the KPI file exists, it says
/// `complete: false` and why.
pub fn run(args: RunArgs) -> Result<u8, RunError> {
    let clock = Clock::start();
    crate::logs::install(args.log_format);
    let result = start(&args, clock);
    if let Err(error) = &result {
        tracing::error!(%error, exit_code = error.exit_code(), "the run failed");
    }
    crate::logs::flush();
    result
}

fn start(args: &RunArgs, clock: Clock) -> Result<u8, RunError> {
    let effective = config::effective(args, config::load(args.config.as_deref())?, clock.started())?;
    let errors_before = crate::logs::error_count();
    prepare_folders(&effective)?;
    let found = restart::look(&effective, args.data_source)?;
    let clock = found.as_ref().map_or(clock, |found| clock.not_before(found.restart.state.at));
    let bound = server::bind(effective.metrics_addr)?;
    let config_sha256 = effective.write()?;
    tracing::info!(
        run_id = effective.run_id,
        data_source = effective.data_source,
        topn = effective.topn_size,
        duration_s = effective.run_duration_seconds,
        metrics = %bound.address(),
        config_sha256,
        "assay run"
    );
    let metrics = metrics(&effective, args.data_source)?;
    let (restart, past, lock) = match found {
        Some(Found { restart, past, lock }) => {
            restart.cut(&effective.journal)?;
            (Some(restart), Some(past), Some(lock))
        }
        None => (None, None, Restart::lock_new(&effective.journal)?),
    };
    let dispatcher = dispatcher(&effective, &metrics)?;
    let mut last = None;
    let recorder = match (&effective.recording, args.data_source) {
        (Some(path), DataSource::Real | DataSource::Local) => {
            let cap = effective.config.recording_cap_mb.map(|mb| mb.saturating_mul(1_000_000));
            let (recorder, tail) = match &restart {
                Some(_) => Recorder::go_on(path, cap, &effective.run_id)?,
                None => (Recorder::start(path, cap)?, Tail::default()),
            };
            last = tail.last;
            Some(recorder)
        }
        _ => None,
    };
    let facts = Facts {
        effective: effective.clone(),
        config_sha256,
        clock,
        began: past.as_ref().and_then(|past| past.began).filter(|_| args.data_source != DataSource::Replay),
        errors_before,
        metrics: metrics.clone(),
        recorder: recorder.as_ref().map(Recorder::stats),
    };
    let store = Store::start(
        effective.journal.parent().unwrap_or(Path::new(".")),
        &effective.run_id,
        effective.config.state.as_ref(),
    )?;
    let beside = Beside { barrier: recorder.as_ref().map(Recorder::barrier), store: Some(store.sink()) };
    let writer = WriterHandle::start(facts, raise(&effective, clock)?, past, beside)?;
    let server = bound.serve(metrics.registry.clone())?;
    // A replay begins at its beginning, and so does a session whose process died before it had one.
    let restart = restart.filter(|restart| {
        args.data_source != DataSource::Replay && (restart.state.journal_seq > 0 || last.is_some())
    });
    let back = restart.map(|restart| Back { restart, last });
    let shell = Shell { effective, clock, metrics, dispatcher, recorder, writer, store, back, _lock: lock };
    shell.run(args.data_source, server)
}

/// Everything that lives as long as the run.
struct Shell {
    effective: Effective,
    clock: Clock,
    metrics: Metrics,
    dispatcher: DispatcherHandle,
    recorder: Option<Recorder>,
    writer: WriterHandle,
    store: Store,
    back: Option<Back>,
    _lock: Option<File>,
}

impl Shell {
    fn run(self, source: DataSource, server: server::Server) -> Result<u8, RunError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| RunError::Internal(format!("no runtime: {e}")))?;
        let linger = Duration::from_millis(self.effective.config.linger_ms);
        runtime.block_on(async {
            let mut signals = Signals::listen()?;
            let outcome = self.session(source, &mut signals).await;
            let (code, dispatcher) = self.end(outcome)?;
            tracing::info!(linger_ms = linger.as_millis(), "the KPI file is complete; /metrics lingers");
            tokio::select! {
                () = tokio::time::sleep(linger) => {}
                () = signals.wait() => tracing::info!("the linger ends by signal"),
            }
            drop(server);
            dispatcher.stop();
            Ok(code)
        })
    }

    async fn session(&self, source: DataSource, signals: &mut Signals) -> Result<Outcome, RunError> {
        let parts = Parts {
            effective: &self.effective,
            clock: &self.clock,
            writer: &self.writer,
            recorder: self.recorder.as_ref(),
            metrics: &self.metrics,
            back: self.back.as_ref(),
            kill: &self.store.kill_switch(),
        };
        match source {
            DataSource::Replay => crate::replay::feed(parts, signals).await,
            DataSource::Real => live::run(parts, Endpoints::real(), signals).await,
            DataSource::Local => live::run(parts, endpoints(&self.effective.config)?, signals).await,
        }
    }

    /// The end in order, on error paths too.
    fn end(self, outcome: Result<Outcome, RunError>) -> Result<(u8, DispatcherHandle), RunError> {
        if let Some(recorder) = self.recorder {
            recorder.finish();
        }
        if let Err(RunError::EmptyUniverse(why)) = &outcome {
            self.writer.alert(ShellAlert {
                rule_id: "UNIVERSE-EMPTY",
                title: "No symbol passes the filters".to_owned(),
                message: why.clone(),
                label: ("part", "universe".to_owned()),
            });
        }
        self.writer.alert(ShellAlert::drill("end"));
        self.writer.flush();
        let settled = self.dispatcher.settle(Duration::from_millis(self.effective.config.alerts.settle_ms));
        if settled.pending > 0 {
            tracing::warn!(pending = settled.pending, "alerts are still under way: the store keeps them");
        }
        if self.writer.waits() > 0 {
            tracing::warn!(waits = self.writer.waits(), "the hot thread had to wait for the journal's queue");
        }
        let ending = match &outcome {
            Ok(outcome) => Ending { complete: true, stop_reason: Some(outcome.as_str().to_owned()) },
            Err(error) => Ending { complete: false, stop_reason: Some(format!("error: {error}")) },
        };
        let written = self.writer.finish(ending);
        // The dispatcher's probes go on while `/metrics` lingers; after an error there is nothing to linger for.
        let code = match outcome? {
            Outcome::Emergency => catalogue::exit_codes::RUNNER_EMERGENCY,
            Outcome::Duration | Outcome::Signal | Outcome::KillSwitch | Outcome::RecordingEnd => {
                catalogue::exit_codes::COMPLETE_GO
            }
        };
        written?;
        Ok((code, self.dispatcher))
    }
}

fn prepare_folders(effective: &Effective) -> Result<(), RunError> {
    let folders = [
        effective.journal.parent(),
        effective.kpi_output_path.parent(),
        effective.alert_database.parent(),
        effective.alert_log.parent(),
    ];
    for folder in folders.into_iter().flatten().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
    }
    Ok(())
}

fn metrics(effective: &Effective, source: DataSource) -> Result<Metrics, RunError> {
    let common =
        Common { env: effective.config.env.clone(), universe: effective.universe_label().to_owned() };
    let info = RunInfo {
        run_id: &effective.run_id,
        data_source: effective.data_source,
        evidence: source.evidence(),
    };
    Metrics::new(common, info).map_err(|e| RunError::Internal(format!("metrics: {e}")))
}

fn dispatcher(effective: &Effective, metrics: &Metrics) -> Result<DispatcherHandle, RunError> {
    let failed = |e: AlertError| match e {
        AlertError::Config(what) => RunError::Config(format!("alerts: {what}")),
        other => RunError::Internal(format!("alerts: {other}")),
    };
    let delivery = &effective.config.alerts.delivery;
    let secrets = delivery.secrets().map_err(failed)?;
    let config = AlertConfig {
        database: effective.alert_database.clone(),
        server: match &effective.config.alerts.server {
            Some(server) => Some(Arc::new(server.resolve().map_err(failed)?)),
            None => None,
        },
        retention: match effective.config.alerts.retention_days {
            0 => None,
            days => Some(Duration::from_secs(86_400 * u64::from(days))),
        },
        run_id: effective.run_id.clone(),
        phase: effective.config.phase.clone(),
        env: effective.config.env.clone(),
        notifiers: delivery.notifiers(&secrets, &effective.alert_log).map_err(failed)?,
        routes: delivery.routes(&effective.config.env),
        probe_every: Duration::from_millis(effective.config.probe_every_ms),
        retry: delivery.retry(),
        sources: vec![effective.journal.clone(), effective.spool.clone()],
        own_spool: Some(effective.spool.with_file_name("dispatcher.log")),
    };
    Dispatcher::start(config, &metrics.registry).map_err(failed)
}

/// The writer thread raises the shell's alerts: a spool's write must not happen on the hot thread.
fn raise(effective: &Effective, clock: Clock) -> Result<Raise, RunError> {
    let mut spool = Spool::open(&effective.spool, &effective.run_id)
        .map_err(|e| RunError::Internal(format!("alert spool: {e}")))?;
    Ok(Box::new(move |alert| {
        let labels = BTreeMap::from([(alert.label.0.to_owned(), alert.label.1.clone())]);
        spool
            .raise(alert.rule_id, &alert.title, &alert.message, labels, clock.now())
            .map(drop)
            .map_err(|e| e.to_string())
    }))
}

pub(crate) fn endpoints(config: &config::FileConfig) -> Result<Endpoints, RunError> {
    let Some(given) = config.endpoints.clone() else {
        return Err(RunError::Config("--data-source local needs [endpoints]".to_owned()));
    };
    let ca_pem = match &given.ca_file {
        None => None,
        Some(path) => Some(std::fs::read_to_string(path).map_err(|e| {
            RunError::Config(format!(
                "[endpoints] ca_file {} cannot be read: {e}; check the path",
                path.display()
            ))
        })?),
    };
    let endpoints = Endpoints {
        upbit_rest: given.upbit_rest,
        upbit_ws: given.upbit_ws,
        binance_rest: given.binance_rest,
        binance_ws: given.binance_ws,
        ca_pem: ca_pem.map(Into::into),
    };
    if endpoints.is_any_real() {
        return Err(RunError::Config(
            "[endpoints] names a real venue: use --data-source real for the real market".to_owned(),
        ));
    }
    Ok(endpoints)
}
