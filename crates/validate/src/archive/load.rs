//! Reads a run folder back as evidence. `validate` and `rejudge` both judge what this returns, so they judge the same.

use super::records::Identity;
use super::{FORMAT, Metadata, PhaseRecord, PhaseStart, RunDir, Tagged, names};
use super::{attempts, integrity};
use crate::mapping::Mapping;
use crate::profile::DataSource;
use crate::watch::scrape;
use gate::evidence::{
    AlertRow, AlertRows, DeliveryRow, Evidence, EvidenceClass, FinalScrape, Found, KpiFile, LogFacts, Origin,
    PanelCheck, PhaseEnd, PhaseEvidence, RoundTripProof, RuleEvent, Sample,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why a folder cannot be judged at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A newer version wrote it.
    #[error("{} was written in format {found}, this version reads up to {FORMAT}; use the version that wrote it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The metadata is missing or unreadable.
    #[error("{} is no run folder: {what}; `assay runs list` shows the runs there are", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// A line of `alerts.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertLine {
    /// A row of `alerts`.
    Alert(AlertRow),
    /// A row of `alert_deliveries`.
    Delivery(DeliveryRow),
    /// All rows of a phase are here: they were asked for when its runner was gone. Files of earlier versions have no such line, and all rows.
    Covers {
        /// The phase with its attempt, `smoke.2`.
        phase: String,
    },
}

/// What `alerts.jsonl` holds; nothing when it is not there or cannot be read.
pub(crate) fn alert_lines(dir: &RunDir) -> Vec<AlertLine> {
    let read = lines::<AlertLine>(&dir.path(names::ALERTS));
    if read.problem.is_some() { Vec::new() } else { read.items }
}

struct Lines<T> {
    items: Vec<T>,
    problem: Option<String>,
}

/// Reads lines of JSON. A torn last line is the mark of a kill and is left out; damage elsewhere is a problem.
fn lines<T: DeserializeOwned>(path: &Path) -> Lines<T> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) => return Lines { items: Vec::new(), problem: Some(format!("{}: {e}", file_name(path))) },
    };
    let mut items = Vec::new();
    let mut problem = None;
    let whole = text.ends_with(b"\n");
    let mut rest = text.split(|b| *b == b'\n').enumerate().peekable();
    while let Some((i, line)) = rest.next() {
        let last = rest.peek().is_none();
        if line.is_empty() || (last && !whole) {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(item) => items.push(item),
            Err(e) => {
                problem.get_or_insert(format!("{} line {}: {e}", file_name(path), i + 1));
            }
        }
    }
    Lines { items, problem }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Everything that one phase's end record holds.
struct Ended {
    end: PhaseEnd,
    log: LogFacts,
    remote: Vec<String>,
    identity: Option<Identity>,
}

/// Reads the metadata of a run.
///
/// # Errors
/// [`LoadError`].
pub fn metadata(dir: &RunDir) -> Result<Metadata, LoadError> {
    let no_run = |what: String| LoadError::NoRun { path: dir.0.clone(), what };
    let bytes =
        std::fs::read(dir.path(names::METADATA)).map_err(|e| no_run(format!("{}: {e}", names::METADATA)))?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| no_run(format!("{}: {e}", names::METADATA)))?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    if let Some(found) = format.and_then(|n| u32::try_from(n).ok()).filter(|found| *found > FORMAT) {
        return Err(LoadError::Newer { path: dir.path(names::METADATA), found });
    }
    let value = super::old::upgrade(value).map_err(|what| no_run(format!("{}: {what}", names::METADATA)))?;
    serde_json::from_value(value).map_err(|e| no_run(format!("{}: {e}", names::METADATA)))
}

/// Reads everything that is judged.
///
/// # Errors
/// Only when it is no run folder: whatever else is missing is evidence of its own.
pub fn load_evidence(dir: &RunDir) -> Result<(Metadata, Evidence), LoadError> {
    let metadata = metadata(dir)?;
    let records = lines::<PhaseRecord>(&dir.path(names::PHASES));
    let samples = lines::<Tagged<Sample>>(&dir.path(names::SAMPLES));
    let rules = lines::<Tagged<RuleEvent>>(&dir.path(names::RULES));
    let panels = lines::<PanelCheck>(&dir.path(names::PANELS));
    let alerts = lines::<AlertLine>(&dir.path(names::ALERTS));

    let mut proof = RoundTripProof::None { why: "there is no record of a proof".to_owned() };
    let mut interrupted = integrity::damage(&integrity::Read {
        metadata: &metadata,
        records: &records.items,
        samples: &samples.items,
        problems: [&records.problem, &samples.problem, &rules.problem, &panels.problem],
    })
    .map(|what| format!("damaged evidence: {what}"));
    let attempts = attempts::split(&records.items);
    let attempt = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
    let current = attempts.last().copied().unwrap_or_default();
    let mut smoke_failed = None;
    for record in &records.items {
        match record {
            PhaseRecord::Interrupted { why } => interrupted = Some(why.clone()),
            PhaseRecord::SmokeFailed { reasons } => smoke_failed = Some(reasons.clone()),
            _ => {}
        }
    }
    for record in current {
        if let PhaseRecord::Proof(found) = record {
            proof = found.clone();
        }
    }
    let mut sampled: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for line in samples.items {
        sampled.entry(line.phase).or_default().push(line.record);
    }
    let mut read = |phase: &str, records: &[PhaseRecord], attempt: u32| {
        let phase = attempts::tag(phase, attempt);
        let start = records.iter().find_map(|record| match record {
            PhaseRecord::Start(start) if start.phase == phase => Some(start.clone()),
            _ => None,
        })?;
        let ended = records.iter().find_map(|record| match record {
            PhaseRecord::End { phase: p, end, log, remote, identity } if *p == phase => Some(Ended {
                end: end.clone(),
                log: log.clone(),
                remote: remote.clone(),
                identity: identity.clone(),
            }),
            _ => None,
        });
        let of = |tag: &str| *tag == phase;
        let samples = sampled.remove(&phase).unwrap_or_default();
        let rule_events: Vec<RuleEvent> =
            rules.items.iter().filter(|line| of(&line.phase)).map(|line| line.record.clone()).collect();
        Some((phase_evidence(dir, &metadata, start, ended.as_ref(), samples, rule_events, &alerts), ended))
    };
    let main = read("main", current, attempt);
    let smoke = read("smoke", current, attempt);
    let remote = main.as_ref().and_then(|(_, ended)| ended.as_ref()).map(|ended| ended.remote.clone());
    let (smoke, main_ran) = (smoke.map(|(phase, _)| phase), main.is_some());
    let proof = integrity::proof(dir, (current, attempt), &metadata.settings, smoke.as_ref(), proof);
    if smoke_failed.is_none() {
        let earlier = (1..attempt).zip(&attempts);
        smoke_failed = earlier
            .filter_map(|(n, records)| Some((n, *records, read("smoke", records, n)?.0)))
            .find_map(|(n, records, smoke)| integrity::failed_before(dir, &metadata, n, records, &smoke));
    }
    if main_ran && smoke_failed.is_none() {
        smoke_failed = integrity::smoke_contradicted(&metadata, smoke.as_ref(), &proof);
    }
    let attested = super::attestations::read(dir);
    if let Some(problem) = attested.problem
        && interrupted.is_none()
    {
        interrupted = Some(format!("damaged evidence: {problem}"));
    }
    let evidence = Evidence {
        origin: Origin::Supervised,
        cores: metadata.machine.cores,
        attestations: attested.lines,
        rerun: metadata
            .rerun
            .clone()
            .unwrap_or_else(|| format!("assay validate --profile {}", metadata.settings.profile)),
        run_id: metadata.run_id.clone(),
        settings: metadata.settings.clone(),
        class: derive_class(&metadata, remote.as_deref(), main.as_ref().map(|(phase, _)| phase)),
        smoke,
        main: main.map(|(phase, _)| phase),
        round_trip_proof: proof,
        smoke_failed,
        panels: panels.items,
        interrupted,
    };
    Ok((metadata, evidence))
}

fn phase_evidence(
    dir: &RunDir,
    metadata: &Metadata,
    start: PhaseStart,
    ended: Option<&Ended>,
    samples: Vec<Sample>,
    rule_events: Vec<RuleEvent>,
    alerts: &Lines<AlertLine>,
) -> PhaseEvidence {
    let mapping = &metadata.profile.runner.mapping;
    let journal = if metadata.settings.has_journal {
        read_journal(&dir.journal_dir(&start.phase).join("journal.log"), ended)
    } else {
        Found::No("the runner keeps no journal".to_owned())
    };
    let spooled = read_spools(&dir.journal_dir(&start.phase), metadata);
    let console = dir.phase_path(&start.label, "console.log");
    PhaseEvidence {
        spooled,
        trades: if metadata.settings.has_journal {
            Found::No("the journal has every trade".to_owned())
        } else {
            crate::analyze::trades_of_log(&console)
        },
        iteration_gaps: super::iterations::gaps(&console),
        kpi_file: read_kpi(&dir.phase_path(&start.label, "kpi.json"), mapping),
        final_scrape: read_final(&dir.phase_path(&start.label, "metrics_final.prom"), ended, mapping),
        journal,
        alerts: alert_rows(alerts, &start.phase),
        log: ended.map_or_else(
            || Found::No("the phase has no end record: what its log said was not added up".to_owned()),
            |ended| Found::Yes(ended.log.clone()),
        ),
        end: ended.map(|ended| ended.end.clone()),
        phase: attempts::base(&start.phase).to_owned(),
        runner_id: start.runner_id,
        planned_s: start.planned_s,
        samples,
        rule_events,
    }
}

fn alert_rows(lines: &Lines<AlertLine>, phase: &str) -> Found<AlertRows> {
    if let Some(problem) = &lines.problem {
        return Found::No(problem.clone());
    }
    let covered = |line: &AlertLine| matches!(line, AlertLine::Covers { .. });
    let this = |line: &AlertLine| matches!(line, AlertLine::Covers { phase: of } if of == phase);
    if lines.items.iter().any(covered) && !lines.items.iter().any(this) {
        let base = attempts::base(phase);
        return Found::No(format!("{}: the alert store did not give the rows of {base}", names::ALERTS));
    }
    let mut rows = AlertRows::default();
    for line in &lines.items {
        match line {
            AlertLine::Alert(row) if row.phase == phase => rows.alerts.push(row.clone()),
            AlertLine::Delivery(row) if row.phase == phase => rows.deliveries.push(row.clone()),
            _ => {}
        }
    }
    Found::Yes(rows)
}

/// Reads a KPI file; its fields get Assay's names.
pub fn read_kpi(path: &Path, mapping: &Mapping) -> Found<KpiFile> {
    let name = file_name(path);
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Found::No(format!("{name}: the runner never wrote its KPI file"));
        }
        Err(e) => return Found::No(format!("{name}: {e}")),
    };
    match serde_json::from_slice::<serde_json::Value>(&bytes) {
        Ok(serde_json::Value::Object(fields)) => {
            let fields = mapping.kpi_fields(fields);
            Found::Yes(KpiFile {
                complete: fields.get("complete").and_then(serde_json::Value::as_bool),
                run_id: fields.get("run_id").and_then(serde_json::Value::as_str).map(str::to_owned),
                fields,
            })
        }
        Ok(_) => Found::No(format!("{name}: not a JSON object")),
        Err(e) => Found::No(format!("{name}: not whole JSON ({e})")),
    }
}

/// Reads a journal. A torn last line is the mark of a kill: of a runner that ended in order it is damage.
fn read_journal(path: &Path, ended: Option<&Ended>) -> Found<Vec<journal::Entry>> {
    let mut reader = match journal::file::Reader::open(path) {
        Ok(reader) => reader,
        Err(e) => return Found::No(e.to_string()),
    };
    let orderly = ended.is_some_and(|ended| ended.end.exit_code == Some(0));
    match reader.by_ref().collect::<Result<Vec<_>, _>>() {
        Ok(_) if orderly && reader.has_partial_line() => {
            Found::No(format!("{}: its last line is torn, though the runner ended in order", path.display()))
        }
        Ok(entries) => Found::Yes(entries),
        Err(e) => Found::No(e.to_string()),
    }
}

/// The spools beside the journal: the shell's, which our own runner always makes, and the dispatcher's, which runs of earlier versions did
/// not have. A torn last line was never raised.
fn read_spools(folder: &Path, metadata: &Metadata) -> Found<Vec<journal::Entry>> {
    let mut all = Vec::new();
    let always = metadata.profile.runner.own_contract && metadata.settings.has_journal;
    for (name, must) in [("spool.log", always), ("dispatcher.log", false)] {
        let path = folder.join(name);
        if !must && !path.exists() {
            continue;
        }
        match journal::file::Reader::open(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => all.extend(entries),
            Err(e) => return Found::No(e.to_string()),
        }
    }
    Found::Yes(all)
}

fn read_final(path: &Path, ended: Option<&Ended>, mapping: &Mapping) -> Found<FinalScrape> {
    let Some(identity) = ended.and_then(|ended| ended.identity.clone()) else {
        return Found::No("no scrape ever succeeded".to_owned());
    };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) => return Found::No(format!("{}: {e}", file_name(path))),
    };
    match scrape::parse(&text, None, mapping) {
        Ok(page) => Found::Yes(FinalScrape {
            scrape: page.scrape,
            t: identity.t,
            run_id: page.run_id,
            socket_in_group: identity.socket_in_group,
            socket_owner: identity.socket_owner,
        }),
        Err(e) => Found::No(format!("{}: {e}", file_name(path))),
    }
}

/// The evidence class is derived, never declared: from the effective URLs, the addresses that the runner's sockets were really
/// connected to, and the time it really took.
fn derive_class(
    metadata: &Metadata,
    remote: Option<&[String]>,
    main: Option<&PhaseEvidence>,
) -> EvidenceClass {
    // A rehearsal never becomes more; what was only monitored has no market of its own to look at.
    if matches!(metadata.class, EvidenceClass::Rehearsal { .. }) || metadata.mode == super::MONITOR_MODE {
        return metadata.class.clone();
    }
    if metadata.profile.time_scale != 1.0 {
        return EvidenceClass::Rehearsal { why: "time was scaled (time_scale)".to_owned() };
    }
    let real = matches!(metadata.endpoints.as_slice(), [upbit_rest, upbit_ws, binance_rest, binance_ws]
        if venues::Endpoints {
            upbit_rest: upbit_rest.clone(),
            upbit_ws: upbit_ws.clone(),
            binance_rest: binance_rest.clone(),
            binance_ws: binance_ws.clone(),
            ca_pem: None,
        }
        .is_real());
    if !real || metadata.profile.data_source == DataSource::Local {
        let why = format!("the market was {}, not the venues", metadata.endpoints.join(", "));
        return EvidenceClass::Rehearsal { why };
    }
    if !metadata.profile.runner.own_contract {
        let why = "which market a foreign runner traded cannot be observed".to_owned();
        return EvidenceClass::Declared { why };
    }
    if matches!(metadata.class, EvidenceClass::Declared { .. }) {
        return metadata.class.clone();
    }
    let why = match (remote, main) {
        (_, None) => Some("there was no main run".to_owned()),
        (None, _) => Some("the main run has no end record".to_owned()),
        (Some([]), _) => Some("the runner was never seen connected to anything but this machine".to_owned()),
        (Some(_), Some(main)) => match main.end.as_ref().map(|end| end.ran_s) {
            None => Some("the main run has no end record".to_owned()),
            Some(ran) => {
                let planned = metadata.settings.main_s;
                (ran < planned - 1.0).then(|| format!("the main run took {ran:.0} s of {planned:.0} s"))
            }
        },
    };
    why.map_or(EvidenceClass::Record, |why| EvidenceClass::Rehearsal { why })
}

/// The phase records of a run, in order.
pub fn phase_records(dir: &RunDir) -> Vec<PhaseRecord> {
    lines(&dir.path(names::PHASES)).items
}

/// Where preflight found the container of the alert store, the main run's before the first: its port may be another after a
/// restart. `None` when it is none.
pub fn alert_address(dir: &RunDir) -> Option<String> {
    let stack = |name: &str| {
        let text = std::fs::read(dir.path(name)).ok()?;
        serde_json::from_slice::<crate::preflight::Report>(&text).ok()?.stack
    };
    stack(names::PREFLIGHT_MAIN).or_else(|| stack(names::PREFLIGHT))?.alerts_address
}
