//! A day as a run folder, and how long judging it takes. The day is the healthy run that the tests of `gate` judge, made longer;
//! its scrapes get as many series as our runner's.

use crate::fixture;
use catalogue::{METRICS, MetricKind};
use gate::evidence::{EvidenceClass, Found, PhaseEvidence, RoundTripProof, Scrape};
use serde_json::Value;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;
use validate::archive::{
    self, AlertLine, Identity, Machine, Metadata, PhaseRecord, PhaseStart, RunDir, Tagged,
};

const DAY_S: f64 = 86_400.0;
const TRADES: u32 = 20_000;
const LIMIT_S: f64 = 5.0;

/// The profile of the day.
const PROFILE: &str = "extends = \"d77-4\"\nname = \"day\"\nabout = \"24 h\"\n[main]\nduration = \"24 h\"\n";

/// Writes the day and judges it.
pub fn run() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let dir = write(root.path())?;
    let size: u64 = files(&dir.0).iter().map(|(_, size)| size).sum();
    for (name, size) in files(&dir.0) {
        println!("  {name:<40}{:>12.1} MB", size as f64 / 1e6);
    }
    let mut best = f64::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        let judged = validate::review::rejudge(&dir)?;
        let seconds = begun.elapsed().as_secs_f64();
        best = best.min(seconds);
        println!(
            "rejudge: {seconds:.2} s, {} differences; {}",
            judged.differences.len(),
            judged.analysis.headline().lines().next().unwrap_or_default()
        );
        if !judged.differences.is_empty() {
            return Err(format!("judged differently from the same files: {:?}", judged.differences).into());
        }
    }
    println!("rejudge of 24 h ({:.0} MB): {best:.2} s of {LIMIT_S} s", size as f64 / 1e6);
    if best < LIMIT_S { Ok(()) } else { Err("too slow".into()) }
}

fn files(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(meta) = entry.metadata() {
            found.push((entry.file_name().to_string_lossy().into_owned(), meta.len()));
        }
    }
    found.sort();
    found
}

fn write(root: &Path) -> Result<RunDir, Box<dyn Error>> {
    let loaded = validate::profile::load_text("day.toml", PROFILE).map_err(|e| e.render())?;
    let settings = validate::profile::settings(&loaded);
    let dir = RunDir::create(root, "day", fixture::RUN)?;
    let metadata = Metadata {
        format: archive::FORMAT,
        run_id: fixture::RUN.to_owned(),
        started_at: "2027-01-15T08:00:00Z".to_owned(),
        version: "bench".to_owned(),
        mode: "full".to_owned(),
        profile: loaded.profile.clone(),
        profile_hash: loaded.hash.clone(),
        settings: settings.clone(),
        endpoints: Vec::new(),
        class: EvidenceClass::Rehearsal { why: "a bench".to_owned() },
        machine: Machine { os: "linux".to_owned(), cores: Some(2), memory_bytes: None },
        rerun: None,
    };
    dir.write_json(archive::names::METADATA, &metadata)?;
    let mut records = vec![];
    let (mut samples, mut alerts) = (Vec::new(), Vec::new());
    for (name, planned, trades) in [("smoke", settings.smoke_s, 1), ("main", DAY_S, TRADES)] {
        let phase = fixture::phase(name, planned, trades);
        write_phase(&dir, &phase, &mut records, &mut samples, &mut alerts)?;
    }
    records.insert(2, PhaseRecord::Proof(RoundTripProof::Market));
    let mut lines = Vec::new();
    for record in &records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    dir.write(archive::names::PHASES, &lines)?;
    dir.write(archive::names::SAMPLES, &samples)?;
    dir.write(archive::names::ALERTS, &alerts)?;
    dir.write(archive::names::RULES, b"")?;
    dir.write(archive::names::PANELS, b"")?;
    let (_, evidence) = archive::load_evidence(&dir)?;
    dir.write_json(archive::names::ANALYSIS, &gate::judge(&evidence))?;
    Ok(dir)
}

fn write_phase(
    dir: &RunDir,
    phase: &PhaseEvidence,
    records: &mut Vec<PhaseRecord>,
    samples: &mut Vec<u8>,
    alerts: &mut Vec<u8>,
) -> Result<(), Box<dyn Error>> {
    let label = archive::phase_label(&phase.phase, phase.planned_s as u64);
    records.push(PhaseRecord::Start(PhaseStart {
        phase: phase.phase.clone(),
        label: label.clone(),
        runner_id: phase.runner_id.clone(),
        planned_s: phase.planned_s,
        at: "2027-01-15T08:00:00Z".to_owned(),
    }));
    for sample in &phase.samples {
        let mut sample = sample.clone();
        if let Found::Yes(scrape) = &mut sample.scrape {
            widen(scrape, sample.t);
        }
        serde_json::to_writer(&mut *samples, &Tagged { phase: phase.phase.clone(), record: &sample })?;
        samples.push(b'\n');
    }
    if let Found::Yes(rows) = &phase.alerts {
        let lines = rows.alerts.iter().cloned().map(AlertLine::Alert);
        for line in lines.chain(rows.deliveries.iter().cloned().map(AlertLine::Delivery)) {
            serde_json::to_writer(&mut *alerts, &line)?;
            alerts.push(b'\n');
        }
    }
    if let Found::Yes(kpi) = &phase.kpi_file {
        let fields: serde_json::Map<String, Value> =
            kpi.fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        std::fs::write(dir.phase_path(&label, "kpi.json"), serde_json::to_vec(&fields)?)?;
    }
    if let Found::Yes(entries) = &phase.journal {
        let folder = dir.journal_dir(&phase.phase);
        std::fs::create_dir_all(&folder)?;
        let mut writer = journal::file::Writer::append(&folder.join("journal.log"))?;
        writer.write_batch(entries)?;
        writer.sync()?;
    }
    let mut identity = None;
    if let Found::Yes(last) = &phase.final_scrape {
        let mut page = String::new();
        for (series, value) in &last.scrape.series {
            writeln!(page, "{series} {value}")?;
        }
        if let Some(run_id) = &last.run_id {
            writeln!(page, "assay_run_info{{run_id=\"{run_id}\"}} 1")?;
        }
        std::fs::write(dir.phase_path(&label, "metrics_final.prom"), page)?;
        identity = Some(Identity {
            t: last.t,
            run_id: last.run_id.clone(),
            socket_in_group: last.socket_in_group,
            socket_owner: last.socket_owner.clone(),
        });
    }
    let (Some(end), Found::Yes(log)) = (phase.end.clone(), &phase.log) else {
        return Err("the fixture's phase did not end".into());
    };
    records.push(PhaseRecord::End {
        phase: phase.phase.clone(),
        end,
        log: log.clone(),
        remote: Vec::new(),
        identity,
    });
    Ok(())
}

/// Adds a series for each catalogue metric that the fixture leaves out, histograms with all their buckets.
pub fn widen(scrape: &mut Scrape, t: f64) {
    for metric in METRICS {
        let is_there = scrape.series.keys().any(|series| series.starts_with(metric.name));
        if is_there {
            continue;
        }
        let labels = metric.labels.iter().map(|l| format!("{l}=\"x\"")).collect::<Vec<_>>().join(",");
        let name = |suffix: &str, more: &str| match (labels.as_str(), more) {
            ("", "") => format!("{}{suffix}", metric.name),
            ("", one) | (one, "") => format!("{}{suffix}{{{one}}}", metric.name),
            (one, more) => format!("{}{suffix}{{{more},{one}}}", metric.name),
        };
        match metric.kind {
            MetricKind::Histogram => {
                for edge in metric.buckets {
                    scrape.series.insert(name("_bucket", &format!("le=\"{edge}\"")), t);
                }
                scrape.series.insert(name("_bucket", "le=\"+Inf\""), t);
                scrape.series.insert(name("_count", ""), t);
                scrape.series.insert(name("_sum", ""), t * 0.0123);
            }
            _ => {
                scrape.series.insert(name("", ""), 0.0);
            }
        }
    }
}
