//! `assay validate` and `assay rehearse`: phases 1 to 7, each one's result on disk before the next one starts.

mod drill;
mod export;
mod junit;
mod launch;
mod market;
mod notice;
mod resume;
pub(crate) mod smoke;

pub use gate::Decision;
pub use resume::{ResumeError, recorded};

use crate::archive::{self, Metadata, PhaseRecord, RunDir, WriteError, attempts, names};
use crate::preflight::{self, Step};
use crate::profile::{DataSource, Loaded, outlook};
use crate::report;
use crate::supervise::Interrupts;
use crate::terminal::Screen;
use crate::watch::console::{Console, ConsoleError};
use crate::watch::phase::{self, PhaseError, Spec, abort_text, now_text};
use crate::watch::scrape::{Http, HttpError};
use crate::watch::status::Progress as _;
use catalogue::exit_codes;
use gate::Analysis;
use gate::evidence::{EvidenceClass, RoundTripProof};
#[cfg(feature = "schema")]
pub(crate) use launch::MonitorSummary;
use market::MarketError;
use std::path::{Path, PathBuf};

/// What stands between time and decision in the orchestrator's log.
const DECIDED: &str = " phase 7 decision: ";

/// What the person asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The profile, loaded and checked.
    pub loaded: Loaded,
    /// Stop after the smoke.
    pub smoke_only: bool,
    /// Root of the run folders.
    pub logs: PathBuf,
    /// This executable: guardian, exchange, and the runner of our own profiles.
    pub program: PathBuf,
    /// True for `assay rehearse`, whose exit code for a would-be GO is 0.
    pub rehearse: bool,
    /// Machine-readable progress and result on standard output.
    pub json: bool,
    /// The command that starts such a run again, as it was typed.
    pub rerun: String,
    /// Ends a living supervisor that holds the run lock.
    pub take_over: bool,
    /// A killed run that is to be carried on; `loaded` is its recorded profile then.
    pub resume: Option<RunDir>,
}

/// How a validation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The documented exit code.
    pub code: u8,
    /// The decision; `None` when none was made (preflight, `smoke-only`), or when the run was interrupted or its smoke failed.
    pub decision: Option<Decision>,
}

impl Ended {
    const fn without_decision(code: u8) -> Self {
        Self { code, decision: None }
    }
}

/// Why a validation could not be carried through.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// The run folder, or an artefact in it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The console port.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// The HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A phase could not be run.
    #[error(transparent)]
    Phase(#[from] PhaseError),
    /// The rehearsal's market.
    #[error(transparent)]
    Market(#[from] MarketError),
    /// The run lock.
    #[error(transparent)]
    Lock(#[from] preflight::LockError),
    /// The folder could not be read back.
    #[error(transparent)]
    Load(#[from] archive::LoadError),
    /// It cannot be resumed.
    #[error(transparent)]
    Resume(#[from] ResumeError),
}

impl ValidateError {
    /// The documented exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Lock(_) | Self::Write(_) | Self::Console(_) | Self::Market(_) => exit_codes::PREFLIGHT,
            Self::Resume(_) => exit_codes::USAGE,
            _ => exit_codes::INTERNAL,
        }
    }
}

struct Run<'a> {
    options: &'a Options,
    dir: RunDir,
    run_id: String,
    metadata: Metadata,
    endpoints: venues::Endpoints,
    console: Console,
    http: Http,
    interrupts: Interrupts,
    locks: Vec<PathBuf>,
    screen: Screen,
    log: archive::Appender,
    /// 1, or the attempt of a resumed run.
    attempt: u32,
    /// Where the last preflight found the stores.
    stack: preflight::Stack,
}

/// Runs a validation to its end, or carries a killed one on.
///
/// # Errors
/// [`ValidateError`] when it could not be carried through; whatever was found by then is in the run folder, which without a
/// decision reads as NO-GO.
pub fn validate(options: &Options, interrupts: &Interrupts) -> Result<Ended, ValidateError> {
    let profile = &options.loaded.profile;
    let before = match &options.resume {
        Some(dir) => Some((dir, recorded(dir)?.0)),
        None => None,
    };
    let run_id = before.as_ref().map_or_else(new_run_id, |(_, metadata)| metadata.run_id.clone());
    let (lock, ended) = if options.take_over {
        preflight::RunLock::take_over(&options.logs, &profile.runner.metrics_addr, &run_id)?
    } else {
        (preflight::RunLock::take(&options.logs, &profile.runner.metrics_addr, &run_id)?, Vec::new())
    };
    let locks: Vec<PathBuf> = lock.paths().into_iter().map(Path::to_owned).collect();
    let mut screen = Screen::new(options.json);
    // Looked at under the lock: by now nobody writes into it any more.
    let left = before.as_ref().map(|(dir, metadata)| resume::left(dir, metadata)).transpose()?;
    let dir = match &before {
        Some((dir, _)) => (*dir).clone(),
        None => RunDir::create(&options.logs, &profile.name, &run_id)?,
    };
    let cut = if before.is_some() { resume::tidy(&dir) } else { Vec::new() };
    screen.opening(&run_id, profile, &dir.0);
    for text in &ended {
        screen.note(&format!("taken over: {text}"));
    }
    if let (Some((_, metadata)), Some(left)) = (&before, &left)
        && !matches!(left, resume::Left::Repeat(_))
    {
        return resume::judge(&dir, metadata, left, &mut screen);
    }
    if let Some(sentence) = outlook(profile).sentence() {
        screen.note(&sentence);
    }

    // A rehearsal brings its own market; it is up before preflight asks for it.
    let exchange = market::start(profile, &options.program, &dir, &locks)?;
    let endpoints =
        exchange.as_ref().map_or_else(venues::Endpoints::real, |exchange| exchange.endpoints.clone());
    let mut metadata = metadata(options, &run_id, &endpoints);
    metadata.prices = exchange.as_ref().and_then(|exchange| exchange.prices.clone());
    if let Some((_, recorded)) = before {
        metadata.started_at = recorded.started_at;
        metadata.settings = recorded.settings;
        metadata.mode = recorded.mode;
    }
    dir.write_json(names::METADATA, &metadata)?;
    if let Some(exchange) = &exchange {
        screen.note(&format!("local exchange: control http://{}", exchange.control));
    }
    let console = Console::start(&profile.console.addr)?;
    screen.note(&format!("panels: http://{}/api/panels", console.addr));
    let log = dir.append(names::ORCHESTRATOR)?;
    let mut run = Run {
        options,
        run_id,
        metadata,
        endpoints,
        console,
        http: Http::new()?,
        interrupts: interrupts.clone(),
        locks,
        screen,
        log,
        dir,
        attempt: 1,
        stack: preflight::Stack::default(),
    };
    for text in ended.iter().map(|text| format!("taken over: {text}")).chain(cut) {
        run.say(&text)?;
    }
    if let Some(resume::Left::Repeat(attempt)) = left {
        resume::begin(&mut run, attempt)?;
    }
    let result = run.phases();
    if let Err(error) = &result {
        let _ = run.log.line(&format!("{} failed: {error}", now_text()));
    }
    drop(exchange);
    result
}

impl Run<'_> {
    fn say(&mut self, text: &str) -> Result<(), WriteError> {
        self.log.line(&format!("{} {text}", now_text()))
    }

    fn record(&self, record: &PhaseRecord) -> Result<(), WriteError> {
        let mut file = self.dir.append(names::PHASES)?;
        file.json(record)?;
        file.sync()
    }

    /// The venues that preflight asks: a profile whose market is local but not ours names none.
    fn asked_endpoints(&self) -> Option<venues::Endpoints> {
        let profile = &self.options.loaded.profile;
        (profile.data_source == DataSource::Real || profile.exchange.is_some())
            .then(|| self.endpoints.clone())
    }

    fn is_interrupted(&self) -> bool {
        self.interrupts.asked() > 0
    }

    fn phases(&mut self) -> Result<Ended, ValidateError> {
        if !self.preflight(1)? {
            return Ok(Ended::without_decision(exit_codes::PREFLIGHT));
        }
        if self.is_interrupted() {
            return self.interrupted();
        }
        let reasons = self.smoke()?;
        if self.is_interrupted() {
            return self.interrupted();
        }
        if !reasons.is_empty() {
            self.record(&PhaseRecord::SmokeFailed { reasons: reasons.clone() })?;
            self.say(&format!("phase 2 smoke: FAILED: {}", reasons.join("; ")))?;
            self.screen.smoke_failed(&reasons);
            return self.judge();
        }
        self.say("phase 2 smoke: passed")?;
        if self.metadata.mode == SMOKE_ONLY {
            self.screen.smoke_only();
            collect(&self.dir)?;
            return Ok(Ended::without_decision(0));
        }
        if !self.preflight(3)? {
            return Ok(Ended::without_decision(exit_codes::PREFLIGHT));
        }
        if self.is_interrupted() {
            return self.interrupted();
        }
        self.main()?;
        if self.is_interrupted() {
            return self.interrupted();
        }
        self.judge()
    }

    fn preflight(&mut self, phase_no: u8) -> Result<bool, ValidateError> {
        self.screen.phase(phase_no, if phase_no == 1 { "preflight" } else { "preflight again" });
        let stack = preflight::Stack::default();
        let context = preflight::Context {
            profile: &self.options.loaded.profile,
            logs_root: &self.options.logs,
            run_dir: &self.dir.0,
            endpoints: self.asked_endpoints(),
            program: &self.options.program,
            run_id: &self.run_id,
            phase_no,
            console: Some(self.console.addr),
            docker_host: docker_host(),
            stack: &stack,
        };
        let steps = preflight::run(&context);
        let name = if phase_no == 1 { names::PREFLIGHT } else { names::PREFLIGHT_MAIN };
        let report = preflight::Report::new(&self.options.loaded.profile, steps, &stack);
        self.dir.write_json(name, &report)?;
        self.stack = stack;
        let steps = report.steps;
        let mut log = self.dir.append(names::ENV_CHECKER)?;
        let table = preflight::table(&steps);
        log.line(&format!("{} phase {phase_no}\n{table}", now_text()))?;
        let failed: Vec<&Step> = steps.iter().filter(|step| step.is_fatal()).collect();
        self.say(&format!("phase {phase_no} preflight: {} checks, {} failed", steps.len(), failed.len()))?;
        self.screen.preflight(&steps, phase_no);
        Ok(failed.is_empty())
    }

    /// Runs the smoke and says why it did not pass; nothing when it did.
    fn smoke(&mut self) -> Result<Vec<String>, ValidateError> {
        let profile = &self.options.loaded.profile;
        self.screen.phase(2, "smoke");
        let (duration, topn) = (profile.smoke.duration, profile.smoke.topn);
        let endpoints = self.endpoints.clone();
        self.run_phase("smoke", duration.0, topn, &endpoints, profile.data_source)?;
        if let Some(why) = export::alerts(&self.dir)? {
            self.say(&why)?;
        }
        let (_, evidence) = archive::load_evidence(&self.dir)?;
        let Some(smoke) = &evidence.smoke else {
            return Ok(vec!["the smoke left no record".to_owned()]);
        };
        let mut reasons = smoke::reasons(smoke, &self.metadata.settings);
        if reasons.is_empty() && !self.is_interrupted() {
            let proof = self.round_trip_proof(smoke)?;
            let own = profile.runner.own_contract;
            reasons.extend(smoke::unproven(smoke, &self.metadata.settings, own, &proof));
            self.say(&format!("round trip proof: {proof:?}"))?;
            self.record(&PhaseRecord::Proof(proof))?;
        }
        Ok(reasons)
    }

    /// When the smoke sent orders, one round trip must have been completed by another exit than `shutdown`... or by any: the smoke's own
    /// market proves it. When it sent none, the same binary trades one planted gap on a local exchange.
    fn round_trip_proof(
        &mut self,
        smoke: &gate::evidence::PhaseEvidence,
    ) -> Result<RoundTripProof, ValidateError> {
        match smoke::orders_and_round_trips(smoke, &self.metadata.settings) {
            Some((orders, round_trips)) if orders > 0 => Ok(if round_trips > 0 {
                RoundTripProof::Market
            } else {
                RoundTripProof::None {
                    why: format!("the smoke sent {orders} orders and completed no round trip"),
                }
            }),
            Some(_) if self.options.loaded.profile.runner.own_contract => self.planted(),
            Some(_) => Ok(RoundTripProof::None {
                why: "the smoke sent no order, and a foreign runner's market cannot be replaced".to_owned(),
            }),
            None => Ok(RoundTripProof::None { why: "the smoke's orders could not be counted".to_owned() }),
        }
    }

    fn planted(&mut self) -> Result<RoundTripProof, ValidateError> {
        let profile = &self.options.loaded.profile;
        let Some(planted) = &profile.planted else {
            return Ok(RoundTripProof::None { why: "the profile plants no gap".to_owned() });
        };
        self.screen.phase(2, "planted round trip");
        let exchange = market::start_planted(planted, &self.options.program, &self.dir, &self.locks)?;
        let topn = profile.smoke.topn;
        let outcome =
            self.run_phase("planted", planted.duration.0, topn, &exchange.endpoints, DataSource::Local)?;
        let journal = self.dir.journal_dir(&attempts::tag("planted", self.attempt)).join("journal.log");
        Ok(match smoke::completed_by_market_exit(&journal) {
            Ok(0) => RoundTripProof::None {
                why: format!("the planted gap was not traded (runner exit {:?})", outcome.end.exit_code),
            },
            Ok(_) => RoundTripProof::Planted,
            Err(why) => RoundTripProof::None { why },
        })
    }

    fn main(&mut self) -> Result<(), ValidateError> {
        let profile = &self.options.loaded.profile;
        self.screen.phase(4, "main");
        let (duration, topn) = (profile.main.duration, profile.main.topn);
        let endpoints = self.endpoints.clone();
        let outcome = self.run_phase("main", duration.0, topn, &endpoints, profile.data_source)?;
        let how = outcome.end.abort.as_ref().map_or_else(|| "ran to its end".to_owned(), abort_text);
        self.say(&format!("phase 4 main: {how}"))?;
        Ok(())
    }

    fn run_phase(
        &mut self,
        phase_name: &str,
        duration: std::time::Duration,
        topn: u32,
        endpoints: &venues::Endpoints,
        data_source: DataSource,
    ) -> Result<phase::Outcome, ValidateError> {
        let profile = &self.options.loaded.profile;
        let tag = attempts::tag(phase_name, self.attempt);
        let label = archive::phase_label(&tag, duration.as_secs());
        let runner_id = format!("{}.{tag}", self.run_id);
        let launch = launch::prepare(&launch::Request {
            profile,
            dir: &self.dir,
            program: &self.options.program,
            phase: phase_name,
            tag: &tag,
            label: &label,
            runner_id: &runner_id,
            duration,
            topn,
            endpoints,
            data_source,
            stack: &self.stack,
        })?;
        self.say(&format!("starting {runner_id}: {}", launch.command.join(" ")))?;
        let spec = Spec {
            profile,
            settings: &self.metadata.settings,
            dir: &self.dir,
            phase: &tag,
            label: &label,
            runner_id: &runner_id,
            duration,
            command: launch.command,
            metrics_url: launch.metrics_url,
            guardian: &self.options.program,
            console: &self.console,
            http: &self.http,
            interrupts: &self.interrupts,
            locks: self.locks.clone(),
            judged: phase_name != "planted",
        };
        let outcome = phase::run(&spec, &mut self.screen)?;
        self.screen.phase_done();
        if !self.metadata.settings.has_alerts
            && let Err(error) = drill::deliver(&self.dir, &runner_id, phase_name, &tag)
        {
            self.say(&format!("the drill of {phase_name} failed: {error}"))?;
        }
        if let Some(abort) = &outcome.end.abort {
            let told = notice::abort(&self.dir, &self.run_id, profile, &tag, &abort_text(abort));
            self.say(&told.unwrap_or_else(|e| format!("GATE-ABORT was not delivered: {e}")))?;
        }
        archive::tighten(&self.dir.0);
        Ok(outcome)
    }

    /// Phases 5 to 7.
    fn judge(&mut self) -> Result<Ended, ValidateError> {
        judge_folder(&self.dir, &self.run_id, &mut self.screen, &mut self.log, self.options.rehearse)
    }

    fn interrupted(&mut self) -> Result<Ended, ValidateError> {
        let why = "stopped by a person (Ctrl-C, SIGTERM or `assay stop`)".to_owned();
        self.record(&PhaseRecord::Interrupted { why })?;
        self.judge()?;
        Ok(Ended::without_decision(exit_codes::INTERRUPTED))
    }
}

/// Phase 5: what can only be had now.
fn collect(dir: &RunDir) -> Result<Option<String>, ValidateError> {
    let missing = export::alerts(dir)?;
    let summary = launch::monitor_summary(dir)?;
    dir.write_json(names::MONITOR_SUMMARY, &summary)?;
    Ok(missing)
}

/// Phases 5 to 7, from the folder alone.
fn judge_folder(
    dir: &RunDir,
    run_id: &str,
    screen: &mut Screen,
    log: &mut archive::Appender,
    rehearse: bool,
) -> Result<Ended, ValidateError> {
    screen.phase(5, "collect, analyse, decide");
    if let Some(why) = collect(dir)? {
        log.line(&format!("{} {why}", now_text()))?;
    }
    archive::tighten(&dir.0);
    let analysis = conclude(dir)?;
    log.line(&format!("{}{DECIDED}{}", now_text(), analysis.headline()))?;
    let head = archive::write_manifest(dir, run_id)?;
    let code = exit_code(&analysis, rehearse);
    screen.verdict(&analysis, &dir.0, &head, code);
    // Nothing may be written into a covered file any more.
    let metadata = archive::metadata(dir)?;
    let told = notice::verdict(dir, run_id, &metadata.profile, &analysis, &head);
    screen.note(&told.unwrap_or_else(|e| format!("GATE-VERDICT was not delivered: {e}")));
    archive::tighten(&dir.0);
    let decided = analysis.interrupted.is_none() && analysis.smoke_failed.is_none();
    Ok(Ended { code, decision: decided.then_some(analysis.decision) })
}

/// Phases 6 and 7 on what is on disk: analysis and reports.
///
/// # Errors
/// [`ValidateError`].
pub fn conclude(dir: &RunDir) -> Result<Analysis, ValidateError> {
    let (metadata, evidence) = archive::load_evidence(dir)?;
    Ok(write_verdict(dir, &metadata, &evidence)?)
}

/// Judges, and writes analysis, reports and JUnit into `dir`.
///
/// # Errors
/// [`WriteError`].
pub(crate) fn write_verdict(
    dir: &RunDir,
    metadata: &Metadata,
    evidence: &gate::evidence::Evidence,
) -> Result<Analysis, WriteError> {
    let analysis = gate::judge(evidence);
    dir.write_json(names::ANALYSIS, &analysis)?;
    let report = report::Report { metadata, evidence, analysis: &analysis, dir: &dir.0 };
    dir.write(names::REPORT_MD, report::markdown(&report).as_bytes())?;
    dir.write(names::REPORT_HTML, report::html(&report).as_bytes())?;
    dir.write(names::JUNIT, junit::xml(&analysis).as_bytes())?;
    Ok(analysis)
}

/// The exit code of a verdict. `assay rehearse` itself gives 0 for a would-be GO.
pub fn exit_code(analysis: &Analysis, rehearse: bool) -> u8 {
    let code = analysis.exit_code();
    if rehearse && code == exit_codes::REHEARSAL_GO { 0 } else { code }
}

/// `mode` of the metadata when there is to be no main run.
const SMOKE_ONLY: &str = "smoke-only";

pub(crate) fn new_run_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let noise = std::process::id() ^ jiff::Timestamp::now().subsec_nanosecond().unsigned_abs();
    format!("{now}-{:04x}", noise & 0xffff)
}

fn metadata(options: &Options, run_id: &str, endpoints: &venues::Endpoints) -> Metadata {
    let loaded = &options.loaded;
    let urls = [&endpoints.upbit_rest, &endpoints.upbit_ws, &endpoints.binance_rest, &endpoints.binance_ws];
    let pace = loaded.profile.time_scale;
    let class = if pace != 1.0 {
        EvidenceClass::Rehearsal {
            why: format!("time was scaled: everything ran {pace} times as fast (time_scale)"),
        }
    } else if endpoints.is_real() && loaded.profile.data_source == DataSource::Local {
        EvidenceClass::Rehearsal {
            why: "the profile says that the market was not the venues (data_source = \"local\")".to_owned(),
        }
    } else if !endpoints.is_real() {
        EvidenceClass::Rehearsal {
            why: format!("the market was a local exchange ({}), not the venues", endpoints.upbit_rest),
        }
    } else if !loaded.profile.runner.own_contract {
        EvidenceClass::Declared { why: "which market a foreign runner traded cannot be observed".to_owned() }
    } else {
        EvidenceClass::Record
    };
    Metadata {
        format: archive::FORMAT,
        run_id: run_id.to_owned(),
        started_at: now_text(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: if options.smoke_only { SMOKE_ONLY } else { "full" }.to_owned(),
        profile: loaded.profile.clone(),
        profile_hash: loaded.hash.clone(),
        settings: crate::profile::settings(loaded),
        endpoints: urls.map(Clone::clone).to_vec(),
        class,
        machine: machine(),
        prices: None,
        rerun: Some(options.rerun.clone()),
    }
}

pub(crate) fn machine() -> archive::Machine {
    let uname = rustix::system::uname();
    let memory = std::fs::read_to_string(Path::new("/proc/meminfo")).ok().and_then(|text| {
        let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        kib.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    });
    archive::Machine {
        os: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        cores: std::thread::available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok()),
        memory_bytes: memory.map(|kib| kib * 1024),
    }
}

fn docker_host() -> Option<String> {
    std::env::var("DOCKER_HOST").ok()
}

/// `assay preflight`: the environment checker alone. A rehearsal's market is started for it, and ended.
///
/// # Errors
/// [`ValidateError`].
pub fn preflight_only(loaded: &Loaded, logs: &Path, program: &Path) -> Result<Vec<Step>, ValidateError> {
    let profile = &loaded.profile;
    let run_id = new_run_id();
    let dir = RunDir::create(&logs.join("preflight"), &profile.name, &run_id)?;
    let _lock = preflight::RunLock::take(logs, &profile.runner.metrics_addr, &run_id)?;
    let exchange = market::start(profile, program, &dir, &[])?;
    let endpoints =
        exchange.as_ref().map_or_else(venues::Endpoints::real, |exchange| exchange.endpoints.clone());
    let stack = preflight::Stack::default();
    let steps = preflight::run(&preflight::Context {
        profile,
        logs_root: logs,
        run_dir: &dir.0,
        endpoints: Some(endpoints),
        program,
        run_id: &run_id,
        phase_no: 1,
        console: None,
        docker_host: docker_host(),
        stack: &stack,
    });
    let report = preflight::Report::new(profile, steps, &stack);
    dir.write_json(names::PREFLIGHT, &report)?;
    let steps = report.steps;
    dir.append(names::ENV_CHECKER)?.line(&preflight::table(&steps))?;
    Ok(steps)
}
