//! The command lines of `assay run`, `assay replay` and `assay kpi`. What they mean lives in `session`, `replay`, `kpis`.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Where the market comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DataSource {
    /// The venues' public endpoints.
    Real,
    /// Servers named under `[endpoints]` of the configuration.
    Local,
    /// The input log given by `--recording`, at full speed.
    Replay,
}

impl DataSource {
    /// The name in metrics and artefacts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Local => "local",
            Self::Replay => "replay",
        }
    }

    /// The `evidence` label of `assay_run_info`: what the runner itself can say. Whether a run counts for the record is
    /// derived by the validator from what it observes, never from this label.
    pub const fn evidence(self) -> &'static str {
        match self {
            Self::Real => "live",
            Self::Local | Self::Replay => "rehearsal",
        }
    }
}

/// Spelling of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text per event.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

/// `assay run`: the paper runner.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// Where the market comes from.
    #[arg(long, value_enum, default_value = "real")]
    pub data_source: DataSource,
    /// How many symbols to trade (10, 20, 50, 100; any number from 1).
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub topn_size: u32,
    /// How long to run, seconds.
    #[arg(long, value_name = "S", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub run_duration_seconds: u64,
    /// The KPI file, rewritten atomically while running.
    #[arg(long, value_name = "FILE", default_value = "kpi.json")]
    pub kpi_output_path: PathBuf,
    /// Configuration (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where `/metrics` is served.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    pub metrics_addr: SocketAddr,
    /// The runner's id; made from the time and the process when absent.
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// The input log: written, or read with `--data-source replay`.
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// Seed of the engine's random numbers.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Spelling of log lines.
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// `assay record`: the market alone, in the format that `assay replay` reads.
#[derive(Debug, Clone, clap::Args)]
pub struct RecordArgs {
    /// The folder of the recording; it must not hold one yet.
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Where the market comes from: real or local.
    #[arg(long, value_enum, default_value = "real")]
    pub data_source: DataSource,
    /// How many symbols, chosen as a run chooses them.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub topn_size: u32,
    /// These symbols instead, such as BTC,ETH.
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "topn_size")]
    pub symbols: Vec<market::Asset>,
    /// How long to record, seconds; until SIGTERM or SIGINT when left out.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub duration_seconds: Option<u64>,
    /// Configuration (TOML): the [engine] that a replay takes, [filters], [endpoints].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A file is full at this size [default: 256, or a quarter of --cap-mb].
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub rotate_mb: Option<u64>,
    /// A file is full at this age.
    #[arg(long, value_name = "M", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=525_600))]
    pub rotate_minutes: u64,
    /// All files together stay below this: the oldest go, the newest are kept. Everything is kept when left out.
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(2..=100_000_000))]
    pub cap_mb: Option<u64>,
    /// Between two status lines, seconds.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub status_seconds: u64,
    /// Spelling of log lines.
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// `assay replay`: an input log through the core at full speed.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayArgs {
    /// The input log, or a recording: a file, or the folder of its files.
    #[arg(value_name = "INPUT_LOG|DIR")]
    pub input: PathBuf,
    /// Where to write the journal; it must not exist.
    #[arg(long, value_name = "OUT")]
    pub journal: Option<PathBuf>,
    /// A journal that the replay must reproduce byte for byte.
    #[arg(long, value_name = "JOURNAL")]
    pub expect: Option<PathBuf>,
    /// Print the KPIs that follow from the journal.
    #[arg(long)]
    pub kpi: bool,
}

/// `assay kpi`: KPIs recomputed from a journal.
#[derive(Debug, Clone, clap::Args)]
pub struct KpiArgs {
    /// The journal.
    #[arg(long, value_name = "JOURNAL")]
    pub from_journal: PathBuf,
}
