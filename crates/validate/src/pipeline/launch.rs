//! A runner's command line and configuration, and the summary of what was seen of it. Its alert rows are collected in `export`.

use crate::archive::{self, PhaseRecord, RunDir, WriteError, names};
use crate::preflight::Stack;
use crate::profile::{DataSource, Profile, StoreKind};
use crate::watch::wall_jump_s;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// What is to be started.
pub struct Request<'a> {
    /// Profile.
    pub profile: &'a Profile,
    /// Run folder.
    pub dir: &'a RunDir,
    /// This executable.
    pub program: &'a Path,
    /// Phase: `smoke`, `planted`, `main`.
    pub phase: &'a str,
    /// The phase with its attempt, `smoke.2`: names its folder.
    pub tag: &'a str,
    /// File label.
    pub label: &'a str,
    /// Runner id.
    pub runner_id: &'a str,
    /// Asked duration.
    pub duration: Duration,
    /// Asked universe.
    pub topn: u32,
    /// Market.
    pub endpoints: &'a venues::Endpoints,
    /// Real or local.
    pub data_source: DataSource,
    /// Where preflight found the stores.
    pub stack: &'a Stack,
}

/// A command line, ready to start.
pub struct Prepared {
    /// Program and arguments.
    pub command: Vec<String>,
    /// What is scraped.
    pub metrics_url: String,
}

/// Fills in the placeholders and writes the runner's configuration file.
///
/// # Errors
/// [`WriteError`].
pub fn prepare(request: &Request<'_>) -> Result<Prepared, WriteError> {
    let journal = request.dir.journal_dir(request.tag);
    std::fs::create_dir_all(&journal).map_err(|source| WriteError { path: journal.clone(), source })?;
    let config_path = request.dir.phase_path(request.label, "config.toml");
    if request.profile.runner.own_contract {
        archive::write_atomic(&config_path, config(request, &journal).as_bytes())?;
    }
    let metrics_addr = concrete(&request.profile.runner.metrics_addr)
        .map_err(|source| WriteError { path: request.profile.runner.metrics_addr.clone().into(), source })?;
    let kpi_path = request.dir.phase_path(request.label, "kpi.json");
    let fill = |text: &str| {
        text.replace("{assay}", &request.program.to_string_lossy())
            .replace("{duration_s}", &request.duration.as_secs().to_string())
            .replace("{topn}", &request.topn.to_string())
            .replace("{data_source}", request.data_source.as_str())
            .replace("{kpi_path}", &absolute(&kpi_path))
            .replace("{metrics_addr}", &metrics_addr)
            .replace("{runner_id}", request.runner_id)
            .replace("{config_path}", &absolute(&config_path))
            .replace("{phase_dir}", &absolute(&journal))
            .replace("{phase}", request.phase)
    };
    Ok(Prepared {
        command: request.profile.runner.command.iter().map(|word| fill(word)).collect(),
        metrics_url: fill(&request.profile.runner.metrics_url),
    })
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// Port 0 means: any free one. The runner must be told a real one, so one is picked by binding it for a moment.
fn concrete(addr: &str) -> std::io::Result<String> {
    if !addr.ends_with(":0") {
        return Ok(addr.to_owned());
    }
    Ok(std::net::TcpListener::bind(addr)?.local_addr()?.to_string())
}

fn config(request: &Request<'_>, journal: &Path) -> String {
    let mut table = request.profile.runner.config.clone();
    let mut set = |key: &str, value: toml::Value| {
        table.insert(key.to_owned(), value);
    };
    set("phase", request.phase.into());
    set("journal_dir", absolute(journal).into());
    if request.data_source == DataSource::Local {
        let mut endpoints = toml::Table::new();
        for (key, url) in [
            ("upbit_rest", &request.endpoints.upbit_rest),
            ("upbit_ws", &request.endpoints.upbit_ws),
            ("binance_rest", &request.endpoints.binance_rest),
            ("binance_ws", &request.endpoints.binance_ws),
        ] {
            endpoints.insert(key.to_owned(), url.clone().into());
        }
        set("endpoints", endpoints.into());
    }
    if let Some(state) = state_section(request) {
        set("state", state.into());
    }
    let mut alerts = match table.remove("alerts") {
        Some(toml::Value::Table(alerts)) => alerts,
        _ => toml::Table::new(),
    };
    // The profile's `[alerts]`: names and numbers, no secrets. These the runner finds in its environment, as we did.
    let mut delivery = request.profile.alerts.clone();
    for path in [&mut delivery.secrets_file, &mut delivery.smtp_ca_file] {
        if !path.is_empty() {
            *path = absolute(Path::new(path.as_str()));
        }
    }
    if let Ok(delivery) = toml::Value::try_from(delivery) {
        alerts.insert("delivery".to_owned(), delivery);
    }
    if let Some(server) = alert_server(request) {
        alerts.insert("server".to_owned(), server.into());
        alerts.insert(
            "retention_days".to_owned(),
            i64::from(request.profile.stores.alert_retention_days).into(),
        );
    }
    alerts.insert("database".to_owned(), absolute(&request.dir.path(names::ALERT_DB)).into());
    alerts.insert("local_log".to_owned(), absolute(&journal.join("alerts.log")).into());
    table.insert("alerts".to_owned(), alerts.into());
    table.to_string()
}

/// `[alerts.server]` of the runner: the address without a password, and the name of the variable that may hold one.
fn alert_server(request: &Request<'_>) -> Option<toml::Table> {
    let choice = &request.profile.stores.alerts;
    if choice.kind == StoreKind::Embedded {
        return None;
    }
    let mut section = toml::Table::new();
    section.insert("url".to_owned(), choice.url.clone().into());
    section.insert("url_env".to_owned(), choice.url_env.clone().into());
    if let Some(address) = request.stack.alerts().and_then(|place| place.address.clone()) {
        section.insert("address".to_owned(), address.into());
    }
    Some(section)
}

/// `[state]` of the runner: the address without a password, and the name of the variable that may hold one.
fn state_section(request: &Request<'_>) -> Option<toml::Table> {
    let choice = &request.profile.stores.state;
    if choice.kind == StoreKind::Embedded {
        return None;
    }
    let mut section = toml::Table::new();
    let mut set = |key: &str, value: &str| {
        section.insert(key.to_owned(), value.to_owned().into());
    };
    set("url", &choice.url);
    if !choice.url_env.is_empty() {
        set("url_env", &choice.url_env);
    }
    if let Some(address) = request.stack.state().and_then(|place| place.address.as_deref()) {
        set("address", address);
    }
    set("profile", &request.profile.name);
    Some(section)
}

/// `monitor_summary.json`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MonitorSummary {
    format: u32,
    phases: Vec<PhaseSummary>,
    smoke_failed: Option<Vec<String>>,
    round_trip_proof: Option<gate::evidence::RoundTripProof>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct PhaseSummary {
    phase: String,
    polls: usize,
    scrapes_missed: usize,
    /// Jumps of the wall clock: seconds after the phase's start, and by how much, seconds.
    clock_jumps: Vec<(f64, f64)>,
    log: Option<gate::evidence::LogCounters>,
    crash_blocks: Option<usize>,
    end: Option<gate::evidence::PhaseEnd>,
    abort_cause: Option<String>,
    later_causes: Vec<String>,
}

/// Sums up what the monitor saw, from the files that it wrote.
///
/// # Errors
/// [`WriteError`] when the folder cannot be read back.
pub fn monitor_summary(dir: &RunDir) -> Result<MonitorSummary, WriteError> {
    let (_, evidence) = archive::load_evidence(dir)
        .map_err(|e| WriteError { path: dir.0.clone(), source: std::io::Error::other(e.to_string()) })?;
    let phases = [&evidence.smoke, &evidence.main].into_iter().flatten().map(|phase| PhaseSummary {
        phase: phase.phase.clone(),
        polls: phase.samples.len(),
        scrapes_missed: phase.samples.iter().filter(|sample| sample.scrape.get().is_none()).count(),
        clock_jumps: phase
            .samples
            .windows(2)
            .filter_map(|pair| {
                let at = |sample: &gate::evidence::Sample| (sample.t, sample.wall_ms);
                wall_jump_s(at(&pair[0]), at(&pair[1])).map(|jump| (pair[1].t, jump))
            })
            .collect(),
        log: phase.log.get().map(|log| log.counters),
        crash_blocks: phase.log.get().map(|log| log.blocks.len()),
        abort_cause: phase.end.as_ref().and_then(|end| end.abort.as_ref()).map(|abort| abort.cause.clone()),
        later_causes: phase
            .end
            .iter()
            .flat_map(|end| &end.later_causes)
            .map(|abort| abort.cause.clone())
            .collect(),
        end: phase.end.clone(),
    });
    let phases: Vec<PhaseSummary> = phases.collect();
    let warnings = [&evidence.smoke, &evidence.main]
        .into_iter()
        .flatten()
        .flat_map(|phase| &phase.rule_events)
        .filter(|event| {
            event.state == gate::evidence::RuleState::Fired && !evidence.settings.aborts(&event.rule)
        })
        .map(|event| format!("{} at {:.0} s: {}", event.rule, event.t, event.text))
        .collect();
    let records = archive::phase_records(dir);
    let smoke_failed = evidence.smoke_failed.clone();
    let proof = records.iter().find_map(|record| match record {
        PhaseRecord::Proof(proof) => Some(proof.clone()),
        _ => None,
    });
    Ok(MonitorSummary { format: archive::FORMAT, phases, smoke_failed, round_trip_proof: proof, warnings })
}
