//! The configuration file: TOML, unknown keys are errors with line and column. The effective configuration (every
//! default spelled out) and its SHA-256 are written beside the KPI file.

use crate::args::{DataSource, RunArgs};
use crate::error::RunError;
use crate::following::StreamSection;
use crate::store::StateSection;
use engine::universe::Filters;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The configuration file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileConfig {
    /// Environment, a label and the alert routing's key.
    pub env: String,
    /// The phase that alert rows carry: `smoke`, `planted`, `main`, or `run` outside a validation.
    pub phase: String,
    /// Folder of journal, spool, alert store; `journal` beside the KPI file by default.
    pub journal_dir: Option<PathBuf>,
    /// How often the KPI file is rewritten, milliseconds.
    pub kpi_interval_ms: u64,
    /// How often `Iteration [N]` is logged, milliseconds.
    pub iteration_log_ms: u64,
    /// How long `/metrics` answers after the final KPI file, milliseconds.
    pub linger_ms: u64,
    /// How often notifiers are probed, milliseconds.
    pub probe_every_ms: u64,
    /// Write the input log.
    pub record_inputs: bool,
    /// Keep the input log below this size, MB of 10^6 bytes, in several files: the oldest go, the newest are kept. What went is
    /// counted and stated; a journal can be replayed from a whole log only.
    pub recording_cap_mb: Option<u64>,
    /// Venue addresses, for `--data-source local`.
    pub endpoints: Option<EndpointConfig>,
    /// How the venues' streams are followed.
    pub streams: StreamSection,
    /// Alert delivery.
    pub alerts: AlertSection,
    /// The engine.
    pub engine: engine::Config,
    /// The universe's filters.
    pub filters: Filters,
    /// The state store beside the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StateSection>,
    /// How often the universe is ranked anew, seconds; 0: never.
    pub universe_refresh_s: u64,
    /// How often the venues are asked whether they still trade the members' markets, seconds; 0: never.
    pub universe_markets_s: u64,
}

impl Default for FileConfig {
    fn default() -> Self {
        Self {
            env: "paper".to_owned(),
            phase: "run".to_owned(),
            journal_dir: None,
            kpi_interval_ms: 10_000,
            iteration_log_ms: 60_000,
            linger_ms: 20_000,
            probe_every_ms: 60_000,
            record_inputs: false,
            recording_cap_mb: None,
            endpoints: None,
            streams: StreamSection::default(),
            alerts: AlertSection::default(),
            engine: engine::Config::default(),
            filters: Filters::default(),
            state: None,
            universe_refresh_s: 3_600,
            universe_markets_s: 60,
        }
    }
}

/// Base URLs of the venues.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// Upbit REST, such as `http://127.0.0.1:8101`.
    pub upbit_rest: String,
    /// Upbit WebSocket, with its path.
    pub upbit_ws: String,
    /// Binance REST.
    pub binance_rest: String,
    /// Binance WebSocket, without a path.
    pub binance_ws: String,
    /// Certificates of authorities, PEM, that alone are trusted; the system's when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// Alert delivery.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSection {
    /// The embedded store; `alerts.sqlite` in `journal_dir` by default.
    pub database: Option<PathBuf>,
    /// A PostgreSQL instead of the embedded store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<AlertServerSection>,
    /// Rows of other runs go when their alerts were raised longer ago than this many days; 0 keeps them for ever.
    pub retention_days: u32,
    /// The file of the `local_log` notifier; `alerts.log` in `journal_dir` by default.
    pub local_log: Option<PathBuf>,
    /// How long the dispatcher may settle at the end, milliseconds.
    pub settle_ms: u64,
    /// Notifiers, chains, batches: `[alerts]` of a profile. Secrets come from the environment.
    pub delivery: alerts::ChannelSettings,
}

/// Where the PostgreSQL of the alert store is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AlertServerSection {
    /// Such as `postgres://arbitrage@127.0.0.1:5432/arbitrage`; never with a password, which comes from the URL of `url_env`, from
    /// `PGPASSWORD` or from the file of `PGPASSFILE`.
    pub url: String,
    /// The environment variable whose URL goes before `url`; it may hold a password.
    #[serde(default)]
    pub url_env: String,
    /// `host:port` in the place of the URL's: where a container's port was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl AlertServerSection {
    /// The server, with its password.
    ///
    /// # Errors
    /// [`alerts::AlertError::Config`].
    pub fn resolve(&self) -> Result<alerts::PostgresConfig, alerts::AlertError> {
        alerts::PostgresConfig::found(&self.url, &self.url_env, self.address.as_deref())
    }
}

impl Default for AlertSection {
    fn default() -> Self {
        let delivery = alerts::ChannelSettings::default();
        Self { database: None, server: None, retention_days: 0, local_log: None, settle_ms: 15_000, delivery }
    }
}

/// Everything a run goes by, paths resolved.
#[derive(Debug, Clone, Serialize)]
pub struct Effective {
    /// The runner's id.
    pub run_id: String,
    /// Where the market comes from.
    pub data_source: &'static str,
    /// Symbols asked for.
    pub topn_size: u32,
    /// Duration, seconds.
    pub run_duration_seconds: u64,
    /// The KPI file.
    pub kpi_output_path: PathBuf,
    /// Where `/metrics` is served.
    pub metrics_addr: std::net::SocketAddr,
    /// The input log that is written (or read, in a replay).
    pub recording: Option<PathBuf>,
    /// The journal.
    pub journal: PathBuf,
    /// The shell's alert spool.
    pub spool: PathBuf,
    /// The alert store.
    pub alert_database: PathBuf,
    /// The `local_log` notifier's file.
    pub alert_log: PathBuf,
    /// The file's keys, defaults spelled out.
    pub config: FileConfig,
}

/// Reads a configuration.
///
/// # Errors
/// [`RunError::Config`] with file, line and column; [`RunError::NotFound`].
pub fn load(path: Option<&Path>) -> Result<FileConfig, RunError> {
    let Some(path) = path else { return Ok(FileConfig::default()) };
    let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            RunError::Config(format!("{} does not exist (--config)", path.display()))
        }
        _ => RunError::Config(format!("cannot read {}: {source}", path.display())),
    })?;
    parse(&text).map_err(|what| RunError::Config(format!("{}: {what}", path.display())))
}

/// Parses a configuration.
///
/// # Errors
/// Line, column and cause.
pub fn parse(text: &str) -> Result<FileConfig, String> {
    toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: {}", e.message())
    })
}

/// Combines command line and file.
///
/// # Errors
/// [`RunError::Config`].
pub fn effective(
    args: &RunArgs,
    mut config: FileConfig,
    now: market::Timestamp,
) -> Result<Effective, RunError> {
    let wrong = |what: &str| Err(RunError::Config(what.to_owned()));
    if args.data_source == DataSource::Local && config.endpoints.is_none() {
        return wrong("--data-source local needs [endpoints] upbit_rest, upbit_ws, binance_rest, binance_ws");
    }
    if args.data_source == DataSource::Real && config.endpoints.is_some() {
        return wrong("[endpoints] is for --data-source local; the real venues' addresses are fixed");
    }
    if args.data_source == DataSource::Replay && args.recording.is_none() {
        return wrong("--data-source replay needs --recording FILE");
    }
    for (name, value) in [
        ("kpi_interval_ms", config.kpi_interval_ms),
        ("iteration_log_ms", config.iteration_log_ms),
        ("probe_every_ms", config.probe_every_ms),
    ] {
        if !(100..=86_400_000).contains(&value) {
            return wrong(&format!("{name} is {value}, it must be 100 to 86400000"));
        }
    }
    if let Err((key, what)) = config.alerts.delivery.check() {
        return wrong(&format!("[alerts.delivery] {key}: {what}"));
    }
    config.engine.topn = args.topn_size;
    config.engine.check().map_err(|e| RunError::Config(format!("[engine] {e}")))?;
    if let Some(seed) = args.seed {
        config.engine.seed = seed;
    }
    let run_id = match &args.run_id {
        Some(id) => id.clone(),
        None => {
            format!("{}-{:x}", crate::clock::rfc3339(now).replace([':', '-', '.'], ""), std::process::id())
        }
    };
    config.streams.check().map_err(RunError::Config)?;
    if run_id.is_empty() || !run_id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return wrong("--run-id takes letters, digits, `-`, `_` and `.`");
    }
    let folder = match args.kpi_output_path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let journal_dir = config.journal_dir.clone().unwrap_or_else(|| folder.join("journal"));
    let recording = match (&args.recording, config.record_inputs) {
        (Some(path), _) => Some(path.clone()),
        (None, true) => Some(journal_dir.join("input.rec")),
        (None, false) => None,
    };
    Ok(Effective {
        run_id,
        data_source: args.data_source.as_str(),
        topn_size: args.topn_size,
        run_duration_seconds: args.run_duration_seconds,
        kpi_output_path: args.kpi_output_path.clone(),
        metrics_addr: args.metrics_addr,
        recording,
        journal: journal_dir.join("journal.log"),
        spool: journal_dir.join("spool.log"),
        alert_database: config.alerts.database.clone().unwrap_or_else(|| journal_dir.join("alerts.sqlite")),
        alert_log: config.alerts.local_log.clone().unwrap_or_else(|| journal_dir.join("alerts.log")),
        config: FileConfig { journal_dir: Some(journal_dir), ..config },
    })
}

impl Effective {
    /// The label `universe`.
    pub fn universe_label(&self) -> &'static str {
        match self.topn_size {
            10 => "top10",
            20 => "top20",
            50 => "top50",
            100 => "top100",
            _ => "topN",
        }
    }

    /// `<kpi stem>_config.json` beside the KPI file.
    pub fn config_path(&self) -> PathBuf {
        let stem = self.kpi_output_path.file_stem().unwrap_or_default().to_string_lossy();
        self.kpi_output_path.with_file_name(format!("{stem}_config.json"))
    }

    /// Writes the effective configuration: `{"sha256": .., "effective": ..}`, the hash over the compact JSON of
    /// `effective`. Gives the hash.
    ///
    /// # Errors
    /// [`RunError::Io`], [`RunError::Internal`].
    pub fn write(&self) -> Result<String, RunError> {
        let compact = serde_json::to_string(self)
            .map_err(|e| RunError::Internal(format!("effective configuration: {e}")))?;
        let hash: String = Sha256::digest(compact.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        let document = serde_json::json!({ "sha256": hash, "effective": self });
        let mut text = serde_json::to_vec_pretty(&document)
            .map_err(|e| RunError::Internal(format!("effective configuration: {e}")))?;
        text.push(b'\n');
        let path = self.config_path();
        crate::process::write_atomic(&path, &text).map_err(RunError::io("write", &path))?;
        Ok(hash)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::args::LogFormat;

    fn args(folder: &Path) -> RunArgs {
        RunArgs {
            data_source: DataSource::Real,
            topn_size: 20,
            run_duration_seconds: 60,
            kpi_output_path: folder.join("kpi.json"),
            config: None,
            metrics_addr: ([127, 0, 0, 1], 0).into(),
            run_id: Some("t".to_owned()),
            recording: None,
            seed: Some(3),
            log_format: LogFormat::Text,
        }
    }

    /// A configuration for tests of other modules.
    pub(crate) fn effective(folder: &Path) -> Effective {
        super::effective(&args(folder), FileConfig::default(), market::Timestamp(0)).unwrap()
    }

    #[test]
    fn the_effective_configuration_is_written_with_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let effective = effective(folder.path());
        assert_eq!((effective.config.engine.topn, effective.config.engine.seed), (20, 3));
        assert_eq!(effective.universe_label(), "top20");
        assert_eq!(effective.journal, folder.path().join("journal/journal.log"));
        let hash = effective.write().unwrap();
        let text = std::fs::read(folder.path().join("kpi_config.json")).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(document["sha256"], hash);
        assert_eq!(document["effective"]["config"]["engine"]["seed"], 3);
        assert_eq!(hash.len(), 64);
    }

    #[test]
    fn a_run_id_is_a_plain_name() {
        let folder = tempfile::tempdir().unwrap();
        let args = RunArgs { run_id: Some("../x y".to_owned()), ..args(folder.path()) };
        assert!(super::effective(&args, FileConfig::default(), market::Timestamp(0)).is_err());
        let args = RunArgs { run_id: None, ..args };
        let made = super::effective(&args, FileConfig::default(), market::Timestamp(0)).unwrap();
        assert!(made.run_id.starts_with("19700101T"), "{}", made.run_id);
    }
}
