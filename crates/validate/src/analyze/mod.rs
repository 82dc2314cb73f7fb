//! `assay analyze`: artefacts that were made elsewhere, judged by the same rules.
//!
//! Whatever there is is recognised by its content: versions of a KPI file, metrics snapshots, logs, trade logs, a journal, alert rows. What is
//! missing is absent with its reason, and nobody of ours watched it run: the evidence is declared, and the criteria that need a
//! supervisor stay not proven. Recognising is in `recognise`, trades in `trades`; here they become evidence.

mod recognise;
mod trades;

pub(crate) use trades::of_log as trades_of_log;

use crate::archive::{self, Metadata, RunDir, WriteError};
use crate::profile::{self, Loaded};
use gate::Analysis;
use gate::evidence::{
    Evidence, EvidenceClass, FinalScrape, Found, KpiFile, LogCounters, Origin, PhaseEvidence, RoundTripProof,
    Sample,
};
use gate::judge::PlausibilityStatus;
use recognise::{Finds, Snapshot, Version};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The folder with the artefacts, or one file.
    pub dir: PathBuf,
    /// The profile to judge by.
    pub loaded: Loaded,
    /// Files that are logs, wherever they lie.
    pub logs: Vec<PathBuf>,
    /// Where the report goes; beside the folder when not said.
    pub out: Option<PathBuf>,
    /// The command that was typed: what to run again.
    pub rerun: String,
}

/// Why nothing could be analysed.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// The folder cannot be read.
    #[error("cannot read {}: {source}; give the folder that the artefacts lie in", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is one of our run folders.
    #[error("{} is a run folder of Assay: `assay rejudge {}` judges it, supervision and all", .0.display(), .0.display())]
    RunFolder(PathBuf),
    /// Nothing was recognised.
    #[error("nothing in {} is an artefact that can be judged ({looked}); a KPI file, a metrics snapshot, a log (--log FILE) or a trade log is needed", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
        /// What was looked at.
        looked: String,
    },
    /// The report could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What was found and what it came to.
#[derive(Debug)]
pub struct Analyzed {
    /// The judgement.
    pub analysis: Analysis,
    /// What cannot be true, a sentence each.
    pub violated: Vec<String>,
    /// Where the report lies.
    pub out: PathBuf,
    /// Every file with what it was taken for.
    pub inputs: Vec<Input>,
}

/// `inputs.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inputs {
    /// Format version.
    pub format: u32,
    /// Every file that was found.
    pub inputs: Vec<Input>,
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Input {
    /// Path as it was found.
    pub path: String,
    /// What it was taken for: `kpi file`, `metrics snapshot`, `log`, `trade log`, `journal`, `alert rows`, `ignored: why`.
    pub kind: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: String,
}

/// Judges what lies in a folder and writes the report.
///
/// # Errors
/// [`AnalyzeError`].
pub fn analyze(request: &Request) -> Result<Analyzed, AnalyzeError> {
    if request.dir.join(archive::names::METADATA).is_file()
        && request.dir.join(archive::names::PHASES).is_file()
    {
        return Err(AnalyzeError::RunFolder(request.dir.clone()));
    }
    let finds = recognise::folder(&request.dir, &request.logs, &request.loaded.profile.runner.mapping)
        .map_err(|(path, source)| AnalyzeError::Read { path, source })?;
    if finds.is_empty() {
        let looked = match finds.inputs.len() {
            0 => "it is empty".to_owned(),
            _ => finds
                .inputs
                .iter()
                .take(5)
                .map(|i| format!("{}: {}", i.path, i.kind))
                .collect::<Vec<_>>()
                .join("; "),
        };
        return Err(AnalyzeError::Nothing { path: request.dir.clone(), looked });
    }
    let found = Inputs { format: archive::FORMAT, inputs: finds.inputs.clone() };
    let (metadata, evidence) = assemble(request, finds);
    let out = request.out.clone().unwrap_or_else(|| beside(&request.dir));
    make(&out)?;
    let dir = RunDir(out.clone());
    dir.write_json("inputs.json", &found)?;
    let analysis = crate::pipeline::write_verdict(&dir, &metadata, &evidence)?;
    let violated = analysis
        .plausibility
        .iter()
        .filter(|f| f.status == PlausibilityStatus::Violated)
        .map(|f| format!("{}: {}", f.rule, f.figures))
        .collect();
    Ok(Analyzed { analysis, violated, out, inputs: found.inputs })
}

/// `DIR-analysis`, beside the folder: what is judged stays as it is.
fn beside(dir: &Path) -> PathBuf {
    let whole = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let name =
        whole.file_name().map_or_else(|| "artefacts".into(), |name| name.to_string_lossy().into_owned());
    whole.with_file_name(format!("{name}-analysis"))
}

fn make(out: &Path) -> Result<(), WriteError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(out)
        .map_err(|source| WriteError { path: out.to_owned(), source })
}

const NOBODY: &str = "nobody of ours watched it run";

fn assemble(request: &Request, finds: Finds) -> (Metadata, Evidence) {
    let settings = profile::settings(&request.loaded);
    let class = EvidenceClass::Declared { why: format!("artefacts that were made elsewhere: {NOBODY}") };
    let phase = phase(&finds, &settings);
    let metadata = Metadata {
        format: archive::FORMAT,
        run_id: phase.runner_id.clone(),
        started_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: "analyze".to_owned(),
        profile: request.loaded.profile.clone(),
        profile_hash: request.loaded.hash.clone(),
        settings: settings.clone(),
        endpoints: Vec::new(),
        class: class.clone(),
        machine: archive::Machine { os: "not on record".to_owned(), cores: None, memory_bytes: None },
        prices: None,
        rerun: Some(request.rerun.clone()),
    };
    let evidence = Evidence {
        run_id: phase.runner_id.clone(),
        settings,
        class,
        smoke: None,
        main: Some(phase),
        round_trip_proof: RoundTripProof::None { why: NOBODY.to_owned() },
        smoke_failed: None,
        panels: Vec::new(),
        interrupted: None,
        origin: Origin::Elsewhere,
        cores: None,
        attestations: Vec::new(),
        rerun: request.rerun.clone(),
    };
    (metadata, evidence)
}

fn phase(finds: &Finds, settings: &gate::evidence::Settings) -> PhaseEvidence {
    let samples = samples(&finds.versions, &finds.snapshots, settings.poll_s);
    let last = finds.versions.last();
    let run_of = |fields: &BTreeMap<String, serde_json::Value>| {
        fields.get("run_id").and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    let own = last.and_then(|version| run_of(&version.fields));
    let of_journal = finds.journal.as_ref().and_then(|found| found.get()).and_then(|entries| {
        entries.iter().find_map(|entry| match &entry.body {
            journal::Body::Start { run_id, .. } => Some(run_id.clone()),
            _ => None,
        })
    });
    let of_page = finds.snapshots.last().and_then(|snapshot| snapshot.run_id.clone());
    let runner_id = own.clone().or(of_journal).or(of_page).unwrap_or_else(|| "unnamed".to_owned());
    PhaseEvidence {
        phase: "main".to_owned(),
        runner_id,
        planned_s: settings.main_s,
        end: None,
        kpi_file: match last {
            None => Found::No("there is no KPI file among the artefacts".to_owned()),
            Some(version) => Found::Yes(KpiFile {
                complete: version.fields.get("complete").and_then(serde_json::Value::as_bool),
                run_id: own,
                fields: version.fields.clone(),
            }),
        },
        final_scrape: final_scrape(finds, &samples),
        samples,
        journal: match &finds.journal {
            None => Found::No("there is no journal among the artefacts".to_owned()),
            Some(found) => found.clone(),
        },
        alerts: match &finds.alerts {
            None => Found::No("there are no alert rows among the artefacts".to_owned()),
            Some(rows) => Found::Yes(rows.clone()),
        },
        // Artefacts of another make have none: what was raised is what their journal and their rows say.
        spooled: Found::Yes(Vec::new()),
        log: match &finds.log {
            None => Found::No("there is no log among the artefacts".to_owned()),
            Some(log) => Found::Yes(log.clone()),
        },
        rule_events: Vec::new(),
        trades: match &finds.trades {
            rows if rows.is_empty() => Found::No("there is no trade log among the artefacts".to_owned()),
            rows => Found::Yes(rows.clone()),
        },
        iteration_gaps: match &finds.log_path {
            None => Found::No("there is no log among the artefacts".to_owned()),
            Some(path) => archive::iterations::gaps(path),
        },
    }
}

fn final_scrape(finds: &Finds, samples: &[Sample]) -> Found<FinalScrape> {
    let Some(last) = finds.snapshots.last() else {
        return Found::No("there is no metrics snapshot among the artefacts".to_owned());
    };
    // Which process answered is known when both name one.
    let claimed = finds.versions.last().and_then(|v| v.fields.get("pid")).and_then(serde_json::Value::as_u64);
    let owner = last.pid.map(|pid| format!("pid {pid}"));
    let same = claimed.zip(last.pid).map(|(a, b)| a == b);
    Found::Yes(FinalScrape {
        scrape: last.scrape.clone(),
        t: samples.iter().filter(|s| s.scrape.get().is_some()).map(|s| s.t).fold(0.0, f64::max),
        run_id: last.run_id.clone(),
        socket_in_group: same,
        socket_owner: match (same, claimed, owner) {
            (Some(false), Some(claimed), Some(owner)) => {
                Some(format!("{owner}; the KPI file is of pid {claimed}"))
            }
            (_, _, owner) => owner,
        },
    })
}

/// One sample for each version of the KPI file and each snapshot. Where they do not say when they were made, only their order is known:
/// the wall time stays 0, and nothing is computed per second.
fn samples(versions: &[Version], snapshots: &[Snapshot], poll_s: f64) -> Vec<Sample> {
    let timed = !versions.is_empty()
        && snapshots.iter().all(|s| s.t.is_some())
        && versions.iter().all(|v| v.t.is_some());
    let mut samples: Vec<Sample> = Vec::new();
    let empty = |t: f64, wall_ms: i64, rewrites: u64| Sample {
        t,
        wall_ms,
        scrape: Found::No("there is no snapshot of this instant".to_owned()),
        os: Found::No(NOBODY.to_owned()),
        log: LogCounters::default(),
        kpi_rewrites: rewrites,
        kpi: BTreeMap::new(),
    };
    let first =
        versions.iter().filter_map(|v| v.t).chain(snapshots.iter().filter_map(|s| s.t)).fold(None, least);
    let at = |i: usize, t: Option<f64>| match (timed, t, first) {
        (true, Some(t), Some(first)) => (t - first, (t * 1e3) as i64),
        _ => (i as f64 * poll_s, 0),
    };
    for (i, snapshot) in snapshots.iter().enumerate() {
        let (t, wall_ms) = at(i, snapshot.t);
        let mut sample = empty(t, wall_ms, 0);
        sample.scrape = Found::Yes(snapshot.scrape.clone());
        samples.push(sample);
    }
    for (i, version) in versions.iter().enumerate() {
        let (t, wall_ms) = at(i, version.t);
        let mut sample = empty(t, wall_ms, i as u64 + 1);
        sample.kpi = version.fields.iter().filter_map(|(k, v)| Some((k.clone(), v.as_f64()?))).collect();
        samples.push(sample);
    }
    samples.sort_by(|a, b| a.t.total_cmp(&b.t).then_with(|| a.kpi_rewrites.cmp(&b.kpi_rewrites)));
    // A snapshot between two versions carries the count of the version before it.
    let mut rewrites = 0;
    for sample in &mut samples {
        rewrites = rewrites.max(sample.kpi_rewrites);
        sample.kpi_rewrites = rewrites;
    }
    samples
}

fn least(a: Option<f64>, b: f64) -> Option<f64> {
    Some(a.map_or(b, |a| a.min(b)))
}
