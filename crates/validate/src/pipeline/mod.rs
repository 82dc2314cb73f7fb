//! `assay validate` and `assay rehearse`: phases 1 to 7, each one's result on disk before the next one starts.

mod drill;
mod junit;
mod launch;
mod market;
pub(crate) mod smoke;

use crate::archive::{self, Metadata, PhaseRecord, RunDir, WriteError, names};
use crate::preflight::{self, Step};
use crate::profile::{DataSource, Loaded, outlook};
use crate::report;
use crate::terminal::Screen;
use crate::watch::console::{Console, ConsoleError};
use crate::watch::phase::{self, PhaseError, Spec, abort_text, now_text};
use crate::watch::scrape::{Http, HttpError};
use crate::watch::status::Progress as _;
use catalogue::exit_codes;
use gate::Analysis;
use gate::evidence::{EvidenceClass, RoundTripProof};
use market::MarketError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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
}

impl ValidateError {
    /// The documented exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Lock(_) | Self::Write(_) | Self::Console(_) | Self::Market(_) => exit_codes::PREFLIGHT,
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
    interrupts: Arc<AtomicU32>,
    screen: Screen,
    log: archive::Appender,
}

/// Runs a validation to its end and returns the exit code.
///
/// # Errors
/// [`ValidateError`] when it could not be carried through; whatever was found by then is in the run folder, which without a
/// decision reads as NO-GO.
pub fn validate(options: &Options, interrupts: &Arc<AtomicU32>) -> Result<u8, ValidateError> {
    let profile = &options.loaded.profile;
    let run_id = new_run_id();
    let dir = RunDir::create(&options.logs, &profile.name, &run_id)?;
    let _lock = preflight::RunLock::take(&options.logs, &profile.runner.metrics_addr, &run_id)?;
    let mut screen = Screen::new(options.json);
    screen.opening(&run_id, profile, &dir.0);
    if let Some(sentence) = outlook(profile).sentence() {
        screen.note(&sentence);
    }

    // A rehearsal brings its own market; it is up before preflight asks for it.
    let exchange = market::start(profile, &options.program, &dir)?;
    let endpoints =
        exchange.as_ref().map_or_else(venues::Endpoints::real, |exchange| exchange.endpoints.clone());
    let metadata = metadata(options, &run_id, &endpoints);
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
        interrupts: Arc::clone(interrupts),
        screen,
        log,
        dir,
    };
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
        self.interrupts.load(Ordering::SeqCst) > 0
    }

    fn phases(&mut self) -> Result<u8, ValidateError> {
        if !self.preflight(1)? {
            return Ok(exit_codes::PREFLIGHT);
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
        if self.options.smoke_only {
            self.screen.smoke_only();
            self.collect()?;
            return Ok(0);
        }
        if !self.preflight(3)? {
            return Ok(exit_codes::PREFLIGHT);
        }
        self.main()?;
        if self.is_interrupted() {
            return self.interrupted();
        }
        self.judge()
    }

    fn preflight(&mut self, phase_no: u8) -> Result<bool, ValidateError> {
        self.screen.phase(phase_no, if phase_no == 1 { "preflight" } else { "preflight again" });
        let context = preflight::Context {
            profile: &self.options.loaded.profile,
            logs_root: &self.options.logs,
            run_dir: &self.dir.0,
            endpoints: self.asked_endpoints(),
            program: &self.options.program,
            run_id: &self.run_id,
            phase_no,
            console: Some(self.console.addr),
        };
        let steps = preflight::run(&context);
        let name = if phase_no == 1 { names::PREFLIGHT } else { "preflight_main.json" };
        self.dir.write_json(name, &steps)?;
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
        self.export_alerts()?;
        let (_, evidence) = archive::load_evidence(&self.dir)?;
        let Some(smoke) = &evidence.smoke else {
            return Ok(vec!["the smoke left no record".to_owned()]);
        };
        let mut reasons = smoke::reasons(smoke, &self.metadata.settings);
        if reasons.is_empty() && !self.is_interrupted() {
            let proof = self.round_trip_proof(smoke)?;
            if let RoundTripProof::None { why } = &proof
                && profile.runner.own_contract
            {
                reasons.push(format!("no round trip was completed: {why}"));
            }
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
        if !self.metadata.settings.has_journal && self.options.loaded.profile.planted.is_none() {
            return Ok(RoundTripProof::None { why: "the runner's market cannot be replaced".to_owned() });
        }
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
        let exchange = market::start_planted(planted, &self.options.program, &self.dir)?;
        let topn = profile.smoke.topn;
        let outcome =
            self.run_phase("planted", planted.duration.0, topn, &exchange.endpoints, DataSource::Local)?;
        let journal = self.dir.journal_dir("planted").join("journal.log");
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
        let label = archive::phase_label(phase_name, duration.as_secs());
        let runner_id = format!("{}.{phase_name}", self.run_id);
        let launch = launch::prepare(&launch::Request {
            profile,
            dir: &self.dir,
            program: &self.options.program,
            phase: phase_name,
            label: &label,
            runner_id: &runner_id,
            duration,
            topn,
            endpoints,
            data_source,
        })?;
        self.say(&format!("starting {runner_id}: {}", launch.command.join(" ")))?;
        let spec = Spec {
            profile,
            settings: &self.metadata.settings,
            dir: &self.dir,
            phase: phase_name,
            label: &label,
            runner_id: &runner_id,
            duration,
            command: launch.command,
            metrics_url: launch.metrics_url,
            guardian: &self.options.program,
            console: &self.console,
            http: &self.http,
            interrupts: &self.interrupts,
            judged: phase_name != "planted",
        };
        let outcome = phase::run(&spec, &mut self.screen)?;
        self.screen.phase_done();
        if !self.metadata.settings.has_alerts
            && let Err(error) = drill::deliver(&self.dir, &runner_id, phase_name)
        {
            self.say(&format!("the drill of {phase_name} failed: {error}"))?;
        }
        archive::tighten(&self.dir.0);
        Ok(outcome)
    }

    fn export_alerts(&self) -> Result<(), ValidateError> {
        launch::export_alerts(&self.dir, &self.run_id)?;
        Ok(())
    }

    /// Phase 5: what can only be had now.
    fn collect(&mut self) -> Result<(), ValidateError> {
        self.export_alerts()?;
        let summary = launch::monitor_summary(&self.dir)?;
        self.dir.write_json(names::MONITOR_SUMMARY, &summary)?;
        Ok(())
    }

    /// Phases 5 to 7.
    fn judge(&mut self) -> Result<u8, ValidateError> {
        self.screen.phase(5, "collect, analyse, decide");
        self.collect()?;
        let analysis = conclude(&self.dir)?;
        self.say(&format!("phase 7 decision: {}", analysis.headline()))?;
        let head = archive::write_manifest(&self.dir, &self.run_id)?;
        let code = exit_code(&analysis, self.options.rehearse);
        self.screen.verdict(&analysis, &self.dir.0, &head, code);
        Ok(code)
    }

    fn interrupted(&mut self) -> Result<u8, ValidateError> {
        self.record(&PhaseRecord::Interrupted { why: "stopped by a person (Ctrl-C or SIGTERM)".to_owned() })?;
        self.judge()?;
        Ok(exit_codes::INTERRUPTED)
    }
}

/// Phases 6 and 7 on what is on disk: analysis and reports.
///
/// # Errors
/// [`ValidateError`].
pub fn conclude(dir: &RunDir) -> Result<Analysis, ValidateError> {
    let (metadata, evidence) = archive::load_evidence(dir)?;
    let analysis = gate::judge(&evidence);
    dir.write_json(names::ANALYSIS, &analysis)?;
    let report =
        report::Report { metadata: &metadata, evidence: &evidence, analysis: &analysis, dir: &dir.0 };
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

fn new_run_id() -> String {
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
    } else if !endpoints.is_real() || loaded.profile.data_source == DataSource::Local {
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
        mode: if options.smoke_only { "smoke-only" } else { "full" }.to_owned(),
        profile: loaded.profile.clone(),
        profile_hash: loaded.hash.clone(),
        settings: crate::profile::settings(loaded),
        endpoints: urls.map(Clone::clone).to_vec(),
        class,
        machine: machine(),
    }
}

fn machine() -> archive::Machine {
    let uname = rustix::system::uname();
    let memory = std::fs::read_to_string(Path::new("/proc/meminfo")).ok().and_then(|text| {
        let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        kib.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    });
    archive::Machine {
        os: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        cores: std::thread::available_parallelism().map_or(0, |n| n.get() as u32),
        memory_bytes: memory.map(|kib| kib * 1024),
    }
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
    let exchange = market::start(profile, program, &dir)?;
    let endpoints =
        exchange.as_ref().map_or_else(venues::Endpoints::real, |exchange| exchange.endpoints.clone());
    let steps = preflight::run(&preflight::Context {
        profile,
        logs_root: logs,
        run_dir: &dir.0,
        endpoints: Some(endpoints),
        program,
        run_id: &run_id,
        phase_no: 1,
        console: None,
    });
    dir.write_json(names::PREFLIGHT, &steps)?;
    dir.append(names::ENV_CHECKER)?.line(&preflight::table(&steps))?;
    Ok(steps)
}
