//! What can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Assay decides whether a trading engine may go on to the next stage.
///
/// It runs the engine on paper against the market as a supervised process, watches
/// it, stops it when a rule says so, measures 32 KPIs, judges 16 criteria, and says
/// COMPLETE GO, CONDITIONAL GO or NO-GO with the evidence. Public market data only:
/// no keys, no orders, ever.
#[derive(Debug, Parser)]
#[command(name = "assay", version, verbatim_doc_comment, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Start here:
  assay rehearse                        a verdict in a minute and a half, offline
  assay report latest --format html     the report of the last run
  assay validate --profile d77-4        the real thing: one hour on market data

Exit codes:
   0  COMPLETE GO, and success of commands that give no verdict
  10  CONDITIONAL GO              11  CONDITIONAL GO WITH CONCERNS
  12  a rehearsal that would be a GO (`assay rehearse` itself gives 0)
  20  NO-GO                       21  aborted by a rule: NO-GO
  22  rejudge or rules disagrees, or verify finds a change
  30  preflight failed            31  smoke failed
  64  usage or configuration      66  no such run, profile or file
  70  internal error              130, 143  interrupted";

/// Where the run folders are.
#[derive(Debug, Args)]
pub struct Logs {
    /// Root of the run folders.
    #[arg(long, value_name = "DIR", default_value = "logs")]
    pub logs: PathBuf,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try everything: a whole validation on a local market, in a minute and a half
    Rehearse(Rehearse),
    /// Validate a runner by a profile: preflight, smoke, main run, verdict
    Validate(Validate),
    /// End the running validation in order: for it, that is an interruption
    Stop(Stop),
    /// Watch a process that runs already; no verdict, and it is never signalled
    Monitor(Monitor),
    /// Check the environment only
    Preflight(Preflight),
    /// Is this machine fit for a run, and do the venues still speak as expected?
    Doctor(Doctor),
    /// Judge a finished run again from its artefacts alone
    Rejudge(OneRun),
    /// Find any byte of a run that has changed since its verdict
    Verify(OneRun),
    /// Judge artefacts that were made elsewhere: a KPI file, a log, metrics, whatever there is
    Analyze(Analyze),
    /// Settle by hand, with evidence, what a run could not show
    Attest(Attest),
    /// Print a run's report, in English or Korean, as Markdown or HTML
    Report(Report),
    /// The archive of runs
    Runs(Runs),
    /// The paper runner alone: the engine that a validation starts
    Run(runner::RunArgs),
    /// Record the market: all connections in one ordered log, in files that rotate
    Record(runner::RecordArgs),
    /// Look into a recording: what is in it, what is missing or damaged
    Recording(Recording),
    /// Make a recording of another program's raw capture
    Import(runner::import::ImportArgs),
    /// Play an input log or a recording through the engine again
    Replay(runner::ReplayArgs),
    /// Tell a trade's story, or why a symbol did not trade, from a run's journal
    Explain(Explain),
    /// Which symbols would be traded now, and why the others not
    Universe(Universe),
    /// Compute the trading KPIs of a journal
    Kpi(runner::KpiArgs),
    /// Local exchange servers that behave like Upbit and Binance
    Exchange(Exchange),
    /// Profiles: what a validation does
    Profile(Profiles),
    /// A first profile from a running bot: what it shows, under Assay's names
    Init(Init),
    /// Watch rules: unit tests, and rules over a recorded run
    Rules(crate::rules::Rules),
    /// Dead letters: alerts that reached nobody; look, send anew, give up
    Dlq(crate::dlq::Dlq),
    /// Every metric, KPI, criterion, rule and panel
    Catalogue(Catalogue),
}

/// `assay recording`.
#[derive(Debug, Args)]
pub struct Recording {
    /// What to do
    #[command(subcommand)]
    pub command: RecordingCommand,
}

/// The recordings' commands.
#[derive(Debug, Subcommand)]
pub enum RecordingCommand {
    /// Span, connections, symbols, frames, blocks, gaps, damage
    Info(runner::info::InfoArgs),
}

/// `assay explain`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("about").required(true), group = clap::ArgGroup::new("of").required(true))]
pub struct Explain {
    /// Run id, run folder, or `latest`
    #[arg(group = "of")]
    pub run: Option<String>,
    /// A journal instead of a run
    #[arg(long, value_name = "FILE", group = "of")]
    pub journal: Option<PathBuf>,
    /// The trade's id: its position in the journal
    #[arg(long, value_name = "ID", group = "about")]
    pub trade: Option<u64>,
    /// The symbol, such as BTC
    #[arg(long, value_name = "S", group = "about")]
    pub symbol: Option<String>,
    /// Which phase's journal: smoke, planted or main [default: main, or the last there is]
    #[arg(long, value_name = "PHASE", conflicts_with = "journal")]
    pub phase: Option<String>,
    /// Machine-readable
    #[arg(long)]
    pub json: bool,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// `assay universe`.
#[derive(Debug, Args)]
pub struct Universe {
    /// Every candidate with its figures, ranks and reason, not the members alone
    #[arg(long)]
    pub explain: bool,
    /// How many symbols to ask for
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub topn: u32,
    /// A runner's configuration (TOML): its [filters], and its [endpoints] where there are any
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Upbit's REST address instead of the real one, such as http://127.0.0.1:8101
    #[arg(long, value_name = "URL", requires = "binance_url")]
    pub upbit_url: Option<String>,
    /// Binance's REST address instead of the real one
    #[arg(long, value_name = "URL", requires = "upbit_url")]
    pub binance_url: Option<String>,
    /// Machine-readable
    #[arg(long)]
    pub json: bool,
}

/// `assay exchange`.
#[derive(Debug, Args)]
pub struct Exchange {
    /// The market and its addresses
    #[command(flatten)]
    pub args: exchange::Args,
    /// Serve nothing: write the market in virtual time as an input log, which `assay replay` takes
    #[arg(long, value_name = "FILE")]
    pub write_log: Option<PathBuf>,
    /// How much of the market goes into the log, such as "10 d"; all of the price paths, or 10 min of a synthetic market
    #[arg(long, value_name = "DURATION", requires = "write_log")]
    pub log_span: Option<String>,
    /// The engine's configuration in the log: a runner's configuration file (TOML), of which `[engine]` counts
    #[arg(long, value_name = "FILE", requires = "write_log")]
    pub config: Option<PathBuf>,
}

/// A synthetic market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Market {
    /// Gaps open that are worth trading
    Edge,
    /// No gap ever pays its costs
    Calm,
}

/// `assay rehearse`.
#[derive(Debug, Args)]
pub struct Rehearse {
    /// Which synthetic market
    #[arg(long, value_enum, default_value = "edge")]
    pub market: Market,
    /// Real price paths instead: a folder of candles (upbit_krw_1m/ and binance_spot_5m/)
    #[arg(long, value_name = "DIR", conflicts_with = "market")]
    pub prices: Option<PathBuf>,
    /// Where on the price paths to begin, UTC, such as "2025-09-03 12:00"
    #[arg(long, value_name = "TIME", requires = "prices")]
    pub from: Option<String>,
    /// A gap on top of the market: BPS@SECONDS[:LASTS], seconds after the exchange's start; may be repeated
    #[arg(long, value_name = "BPS@SECONDS[:LASTS]", allow_hyphen_values = true)]
    pub gap: Vec<exchange::GapArg>,
    /// Seed of the market: the same seed gives the same one
    #[arg(long)]
    pub seed: Option<u64>,
    /// Machine-readable progress and result
    #[arg(long)]
    pub json: bool,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// All phases
    Full,
    /// Preflight and smoke: no verdict
    SmokeOnly,
}

/// Which decisions give exit code 0, for CI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accept {
    /// COMPLETE GO only
    Go,
    /// CONDITIONAL GO too
    Conditional,
    /// CONDITIONAL GO WITH CONCERNS too
    Concerns,
}

/// `--stack`: the kind of both stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stack {
    /// Files in the run folder
    Embedded,
    /// The PostgreSQL and Redis of the profile's URLs
    Url,
    /// The services of the compose file, started when they do not run
    Docker,
}

impl Stack {
    /// The profile's word for it.
    pub const fn kind(self) -> validate::profile::StoreKind {
        match self {
            Self::Embedded => validate::profile::StoreKind::Embedded,
            Self::Url => validate::profile::StoreKind::Url,
            Self::Docker => validate::profile::StoreKind::Docker,
        }
    }
}

/// `assay validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// A built-in profile (d77-4, soak-12h, rehearsal) or the path of a file
    #[arg(long, value_name = "NAME|FILE", required_unless_present = "resume")]
    pub profile: Option<String>,
    /// Carry on a killed run: run id, run folder, or `latest`
    #[arg(long, value_name = "RUN", conflicts_with_all = ["profile", "mode"])]
    pub resume: Option<String>,
    /// End the living run that holds the run lock, and take its place
    #[arg(long)]
    pub take_over: bool,
    /// How far to go
    #[arg(long, value_enum, default_value = "full")]
    pub mode: Mode,
    /// Where alerts and state are kept, instead of what the profile's [stores] says
    #[arg(long, value_enum, conflicts_with = "resume")]
    pub stack: Option<Stack>,
    /// Which decisions give exit code 0, for CI; all others keep their own
    #[arg(long, value_enum)]
    pub accept: Option<Accept>,
    /// Machine-readable progress and result
    #[arg(long)]
    pub json: bool,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// `assay stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// Run id; whichever runs when left out
    pub run: Option<String>,
    /// Pull the kill switch of the plain `assay run` whose journal is in this folder, instead of ending a validation
    #[arg(long, value_name = "DIR", requires = "run")]
    pub journal_dir: Option<PathBuf>,
    /// Pull it in this Redis: a URL without a password, or env:NAME for the one in an environment variable
    #[arg(long, value_name = "URL", requires = "run", conflicts_with = "journal_dir")]
    pub state_url: Option<String>,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// `assay monitor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 no rule would have aborted, 21 one would have, 66 no such process, 130 and 143 the monitor was interrupted"
)]
pub struct Monitor {
    /// The process; its descendants belong to it
    #[arg(long)]
    pub pid: i32,
    /// What to scrape
    #[arg(long, value_name = "URL")]
    pub metrics_url: Option<String>,
    /// A log to follow from its end, through rotations; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub log: Vec<PathBuf>,
    /// The KPI file, whose rewrites are the progress signal when there are no metrics
    #[arg(long, value_name = "FILE")]
    pub kpi: Option<PathBuf>,
    /// Polls and rules: a built-in profile or the path of a file
    #[arg(long, value_name = "NAME|FILE", default_value = "d77-4")]
    pub profile: String,
    /// How long, such as "30 min"; until the process ends when left out
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<String>,
    /// Machine-readable progress and result
    #[arg(long)]
    pub json: bool,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// `assay preflight`.
#[derive(Debug, Args)]
pub struct Preflight {
    /// A built-in profile (d77-4, soak-12h, rehearsal) or the path of a file
    #[arg(long, value_name = "NAME|FILE", default_value = "d77-4")]
    pub profile: String,
    /// Where alerts and state are kept, instead of what the profile's [stores] says
    #[arg(long, value_enum)]
    pub stack: Option<Stack>,
    /// Machine-readable result
    #[arg(long)]
    pub json: bool,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// `assay doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing fails (WARN and SKIP are no failures), 30 this machine or its configuration fails, 22 a venue speaks otherwise than expected or cannot be reached, 64 usage"
)]
pub struct Doctor {
    /// A built-in profile (d77-4, soak-12h, rehearsal) or the path of a file
    #[arg(long, value_name = "NAME|FILE", default_value = "d77-4")]
    pub profile: String,
    /// A runner's configuration (TOML) to read
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask the venues too: each assumption about their protocols, by public market data only, far below every limit
    #[arg(long)]
    pub live: bool,
    /// A local exchange instead of the real venues: base addresses of Upbit and Binance, such as http://127.0.0.1:8101,http://127.0.0.1:8102
    #[arg(long, value_name = "UPBIT,BINANCE", requires = "live", value_delimiter = ',', num_args = 1)]
    pub endpoints: Vec<String>,
    /// How long one connection is listened to, seconds: the venue's pings come every 20
    #[arg(long, value_name = "SECONDS", requires = "live", default_value_t = 25, value_parser = clap::value_parser!(u64).range(2..=120))]
    pub listen: u64,
    /// Machine-readable
    #[arg(long)]
    pub json: bool,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// A command about one run.
#[derive(Debug, Args)]
pub struct OneRun {
    /// Run id, run folder, or `latest`
    pub run: String,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// `assay analyze`.
#[derive(Debug, Args)]
pub struct Analyze {
    /// The folder with the artefacts, or one file
    pub dir: PathBuf,
    /// A built-in profile (d77-4, soak-12h, rehearsal) or the path of a file
    #[arg(long, value_name = "NAME|FILE", default_value = "d77-4")]
    pub profile: String,
    /// A file that is a log, wherever it lies; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub log: Vec<PathBuf>,
    /// Where the report goes [default: DIR-analysis, beside the folder]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `assay attest`.
#[derive(Debug, Args)]
pub struct Attest {
    /// The run
    #[command(flatten)]
    pub run: OneRun,
    /// The criterion: C6, or one that the profile lists in `attestable`
    pub criterion: String,
    /// What is attested
    #[arg(value_enum)]
    pub outcome: AttestedOutcome,
    /// Who attests
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// What shows it: a screenshot, a mail, a log excerpt; it is copied into the run folder
    #[arg(long, value_name = "FILE")]
    pub evidence: PathBuf,
}

/// What can be attested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AttestedOutcome {
    /// The criterion holds
    Pass,
}

/// A report's language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English
    En,
    /// 한국어
    Ko,
}

/// A report's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Markdown
    Md,
    /// One self-contained page
    Html,
}

/// `assay report`.
#[derive(Debug, Args)]
pub struct Report {
    /// The run
    #[command(flatten)]
    pub run: OneRun,
    /// Language
    #[arg(long, value_enum, default_value = "en")]
    pub lang: Lang,
    /// Format
    #[arg(long, value_enum, default_value = "md")]
    pub format: Format,
}

/// `assay runs`.
#[derive(Debug, Args)]
pub struct Runs {
    /// What to do
    #[command(subcommand)]
    pub command: RunsCommand,
}

/// The archive's commands.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Every run with its verdict
    List(RunsList),
    /// One run: verdict, phases, criteria, KPIs
    Show(Show),
    /// Two runs side by side: decision, criteria, KPIs, settings
    Diff(Diff),
    /// Remove old runs; shows what it would remove unless --yes is given
    Prune(Prune),
}

/// `assay runs list`.
#[derive(Debug, Args)]
pub struct RunsList {
    /// Machine-readable
    #[arg(long)]
    pub json: bool,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// `assay runs show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Run id, run folder, or `latest`
    pub run: String,
    /// Machine-readable
    #[arg(long)]
    pub json: bool,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// `assay runs diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The first run
    pub a: String,
    /// The second
    pub b: String,
    /// Machine-readable
    #[arg(long)]
    pub json: bool,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// `assay runs prune`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct Prune {
    /// Keep the newest N, remove the others
    #[arg(long, value_name = "N", group = "which")]
    pub keep: Option<usize>,
    /// Remove what started longer ago than this, such as "30 d"
    #[arg(long, value_name = "AGE", group = "which")]
    pub older_than: Option<String>,
    /// Really remove
    #[arg(long)]
    pub yes: bool,
    /// Machine-readable
    #[arg(long)]
    pub json: bool,
    /// Where the run folders are
    #[command(flatten)]
    pub logs: Logs,
}

/// `assay profile`.
#[derive(Debug, Args)]
pub struct Profiles {
    /// What to do
    #[command(subcommand)]
    pub command: ProfilesCommand,
}

/// The profiles' commands.
#[derive(Debug, Subcommand)]
pub enum ProfilesCommand {
    /// The built-in profiles
    List,
    /// Print a built-in profile, comments and all
    Show {
        /// Its name
        name: String,
    },
    /// Print the JSON Schema of the profile language, for editors
    Schema,
    /// Check a profile without starting anything
    Check {
        /// A built-in profile or a file
        profile: String,
    },
}

/// `assay init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The command that starts the bot
    #[arg(long, value_name = "COMMAND")]
    pub command: Option<String>,
    /// The running bot, whose command line is taken when none is given
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Its metrics page, such as http://127.0.0.1:8000/metrics
    #[arg(long, value_name = "URL")]
    pub metrics_url: Option<String>,
    /// Its result file (JSON)
    #[arg(long, value_name = "FILE")]
    pub kpi: Option<PathBuf>,
    /// Some of its log
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Where to write the profile; it must not be there yet. Printed without this
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `assay catalogue`.
#[derive(Debug, Args)]
pub struct Catalogue {
    /// Format
    #[arg(long, value_enum, default_value = "md")]
    pub format: CatalogueFormat,
}

/// The catalogue's formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CatalogueFormat {
    /// Markdown
    Md,
    /// JSON
    Json,
    /// Rules for Prometheus (deploy/prometheus/assay.rules.yml)
    Prometheus,
    /// Grafana dashboard of trading, risk and performance
    GrafanaCore,
    /// Grafana dashboard of alerting
    GrafanaAlerting,
}
