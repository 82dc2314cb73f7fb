//! `alerts.jsonl`: this run's rows of the alert store, so that a rejudge needs no database. What has been exported once is evidence: a
//! later export adds the phases that are not there yet, and takes none away.

use crate::archive::{self, AlertLine, PhaseRecord, PhaseStart, RunDir, WriteError, attempts, names};
use gate::evidence::{AlertRow, DeliveryRow};
use std::time::{Duration, Instant};

/// How long the rows of a server are asked for, and the pause between two questions: a verdict waits no longer for a store that is away.
const EXPORT_WITHIN: Duration = Duration::from_secs(30);
const EXPORT_AGAIN: Duration = Duration::from_millis(500);

/// Adds the rows of the phases whose runner is gone. It says why when the store did not give them: then the file does not cover them, and the
/// judge says that there is no evidence.
///
/// # Errors
/// [`WriteError`].
pub(super) fn alerts(dir: &RunDir) -> Result<Option<String>, WriteError> {
    let path = dir.path(names::ALERT_DB);
    let failed = |what: String| WriteError { path: path.clone(), source: std::io::Error::other(what) };
    let kept = kept(dir);
    let wanted = wanted(dir, &kept);
    if wanted.is_empty() {
        return Ok(None);
    }
    let metadata = archive::metadata(dir).map_err(|e| failed(e.to_string()))?;
    let address = archive::alert_address(dir);
    let server = metadata.profile.alert_server(address.as_deref()).map_err(|e| failed(e.to_string()))?;
    let Some(server) = server else {
        if !path.exists() {
            return Ok(Some(format!(
                "the rows of the alert store are missing: there is no {}",
                names::ALERT_DB
            )));
        }
        let store = alerts::Store::open(&path).map_err(|e| failed(e.to_string()))?;
        let new = rows(&wanted, &store).map_err(|e| failed(e.to_string()))?;
        return write(dir, kept, new).map(|()| None);
    };
    let store = alerts::StoreServer::open(&server).map_err(|e| failed(e.to_string()))?;
    let until = Instant::now() + EXPORT_WITHIN;
    loop {
        match rows(&wanted, &store) {
            Ok(new) => return write(dir, kept, new).map(|()| None),
            Err(_) if Instant::now() < until => std::thread::sleep(EXPORT_AGAIN),
            Err(error) => return Ok(Some(format!("the rows of the alert store are missing: {error}"))),
        }
    }
}

/// The lines of the phases that an earlier export covers.
fn kept(dir: &RunDir) -> Vec<AlertLine> {
    let lines = archive::alert_lines(dir);
    let covered = covered(&lines);
    let keep = |line: &AlertLine| match line {
        AlertLine::Alert(row) => covered.contains(&row.phase),
        AlertLine::Delivery(row) => covered.contains(&row.phase),
        AlertLine::Covers { .. } => true,
    };
    lines.into_iter().filter(keep).collect()
}

fn covered(lines: &[AlertLine]) -> Vec<String> {
    let phase = |line: &AlertLine| match line {
        AlertLine::Covers { phase } => Some(phase.clone()),
        _ => None,
    };
    lines.iter().filter_map(phase).collect()
}

/// The phases that have run and that the file does not cover.
fn wanted(dir: &RunDir, kept: &[AlertLine]) -> Vec<PhaseStart> {
    let covered = covered(kept);
    let started = archive::phase_records(dir).into_iter().filter_map(|record| match record {
        PhaseRecord::Start(start) => Some(start),
        _ => None,
    });
    started.filter(|start| !covered.contains(&start.phase)).collect()
}

fn rows(wanted: &[PhaseStart], store: &alerts::Store) -> Result<Vec<AlertLine>, alerts::AlertError> {
    let mut lines = Vec::new();
    for start in wanted {
        // A runner knows its phase, not its attempt: the rows of a repeated smoke are told apart by its runner id.
        let tagged = |phase: String| {
            if attempts::base(&start.phase) == phase { start.phase.clone() } else { phase }
        };
        let (alerts, deliveries) = store.rows(&start.runner_id, None)?;
        lines.push(AlertLine::Covers { phase: start.phase.clone() });
        lines.extend(alerts.into_iter().map(|row| {
            AlertLine::Alert(AlertRow {
                alert_id: row.alert_id,
                phase: tagged(row.phase),
                rule_id: row.rule_id,
                severity: row.severity,
                title: row.title,
                raised_at_ms: row.raised_at.as_millis(),
                disposition: row.disposition.as_str().to_owned(),
            })
        }));
        lines.extend(deliveries.into_iter().map(|row| {
            AlertLine::Delivery(DeliveryRow {
                delivery_id: row.delivery_id,
                alert_id: row.alert_id,
                phase: tagged(row.phase),
                notifier: row.notifier,
                status: row.status.as_str().to_owned(),
                attempt: row.attempt,
                latency_ms: row.latency_ms,
                last_error: row.last_error,
                fallback_of: row.fallback_of,
            })
        }));
    }
    Ok(lines)
}

fn write(dir: &RunDir, kept: Vec<AlertLine>, new: Vec<AlertLine>) -> Result<(), WriteError> {
    let mut text = String::new();
    for line in kept.iter().chain(&new) {
        let failed = |e: serde_json::Error| WriteError { path: dir.path(names::ALERTS), source: e.into() };
        text.push_str(&serde_json::to_string(line).map_err(failed)?);
        text.push('\n');
    }
    dir.write(names::ALERTS, text.as_bytes())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::archive::{Machine, Metadata};
    use crate::pipeline::drill;
    use gate::evidence::{EvidenceClass, Found};

    /// A run folder whose smoke has run and delivered a drill.
    pub(in super::super) fn run(root: &std::path::Path) -> RunDir {
        let loaded = crate::profile::load("rehearsal").unwrap();
        let dir = RunDir::create(root, "rehearsal", "r1").unwrap();
        let metadata = Metadata {
            format: archive::FORMAT,
            run_id: "r1".to_owned(),
            started_at: "2026-01-02T03:04:05Z".to_owned(),
            version: "0.1.0".to_owned(),
            mode: "full".to_owned(),
            settings: crate::profile::settings(&loaded),
            profile_hash: loaded.hash,
            profile: loaded.profile,
            endpoints: vec!["http://127.0.0.1:1".to_owned(); 4],
            class: EvidenceClass::Rehearsal { why: "a local exchange".to_owned() },
            machine: Machine { os: "Linux".to_owned(), cores: Some(2), memory_bytes: None },
            prices: None,
            rerun: None,
        };
        dir.write_json(names::METADATA, &metadata).unwrap();
        begun(&dir, "smoke");
        dir
    }

    fn begun(dir: &RunDir, phase: &str) {
        let runner_id = format!("r1.{phase}");
        let start = PhaseStart {
            phase: phase.to_owned(),
            label: format!("{phase}_1s"),
            runner_id: runner_id.clone(),
            planned_s: 1.0,
            at: String::new(),
        };
        dir.append(names::PHASES).unwrap().json(&PhaseRecord::Start(start)).unwrap();
        std::fs::create_dir_all(dir.journal_dir(phase)).unwrap();
        drill::deliver(dir, &runner_id, phase, phase).unwrap();
    }

    fn without_store(dir: &RunDir) {
        for entry in std::fs::read_dir(&dir.0).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with(names::ALERT_DB) {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    #[test]
    fn what_was_exported_outlives_its_store() {
        let root = tempfile::tempdir().unwrap();
        let dir = run(root.path());
        assert_eq!(alerts(&dir).unwrap(), None);
        let first = std::fs::read_to_string(dir.path(names::ALERTS)).unwrap();
        assert!(first.contains("\"covers\":{\"phase\":\"smoke\"}") && first.contains("SENT"), "{first}");
        // Another program empties the store, or it is gone: what is on record stays.
        without_store(&dir);
        alerts::Store::open(&dir.path(names::ALERT_DB)).unwrap();
        alerts(&dir).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path(names::ALERTS)).unwrap(), first);
        begun(&dir, "main");
        assert_eq!(alerts(&dir).unwrap(), None);
        let both = std::fs::read_to_string(dir.path(names::ALERTS)).unwrap();
        assert!(both.starts_with(&first), "{both}");
        assert!(
            both[first.len()..].contains("r1.main-s1") && !both[first.len()..].contains("r1.smoke"),
            "{both}"
        );
        without_store(&dir);
        assert_eq!(alerts(&dir).unwrap(), None, "there is nothing to ask for");
        assert_eq!(std::fs::read_to_string(dir.path(names::ALERTS)).unwrap(), both);
    }

    #[test]
    fn a_phase_without_its_rows_has_none_on_record() {
        let root = tempfile::tempdir().unwrap();
        let dir = run(root.path());
        alerts(&dir).unwrap();
        let first = std::fs::read_to_string(dir.path(names::ALERTS)).unwrap();
        begun(&dir, "main");
        without_store(&dir);
        assert!(alerts(&dir).unwrap().unwrap().contains("missing"));
        assert_eq!(std::fs::read_to_string(dir.path(names::ALERTS)).unwrap(), first);
        let (_, evidence) = archive::load_evidence(&dir).unwrap();
        let rows = |found: Found<gate::evidence::AlertRows>| match found {
            Found::Yes(rows) => format!("{} rows", rows.deliveries.len()),
            Found::No(why) => why,
        };
        assert_eq!(rows(evidence.smoke.unwrap().alerts), "1 rows");
        assert!(rows(evidence.main.unwrap().alerts).contains("did not give the rows of main"));
    }
}
