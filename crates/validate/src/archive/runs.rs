//! The archive of runs below a logs root.

use super::{Metadata, RunDir, names};
use std::path::Path;

/// One line of `assay runs list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Run id.
    pub run_id: String,
    /// Profile.
    pub profile: String,
    /// Start.
    pub started_at: String,
    /// The headline, or "NO-GO (no decision on record)": a folder without a decision never reads as anything better.
    pub headline: String,
    /// The folder.
    pub dir: RunDir,
}

/// What a folder of `assay monitor` reads as.
pub const MONITORED: &str = "MONITORED, NO VERDICT";

fn folders(path: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// A decision that does not follow from what stands beside it is none.
fn said(analysis: &gate::Analysis) -> String {
    if analysis.is_consistent() {
        analysis.headline()
    } else {
        "NO-GO (the recorded decision does not follow from the recorded criteria)".to_owned()
    }
}

/// The recorded analysis, when it can be read.
pub(super) fn analysis(dir: &RunDir) -> Option<gate::Analysis> {
    serde_json::from_slice(&std::fs::read(dir.path(names::ANALYSIS)).ok()?).ok()
}

/// A run's line in a list.
pub(super) fn summary(dir: &RunDir, metadata: &Metadata) -> RunSummary {
    let headline = match analysis(dir) {
        _ if metadata.mode == super::MONITOR_MODE => MONITORED.to_owned(),
        // The manifest is what seals a verdict; without it anything may have been written over.
        Some(_) if !dir.path(names::MANIFEST).is_file() => {
            "NO-GO (no manifest seals the decision)".to_owned()
        }
        Some(analysis) => said(&analysis),
        None => "NO-GO (no decision on record)".to_owned(),
    };
    RunSummary {
        run_id: metadata.run_id.clone(),
        profile: metadata.profile.name.clone(),
        started_at: metadata.started_at.clone(),
        headline,
        dir: dir.clone(),
    }
}

/// Every run below `root`, oldest first.
pub fn list_runs(root: &Path) -> Vec<RunSummary> {
    let mut runs: Vec<RunSummary> = folders(root)
        .iter()
        .flat_map(|profile| folders(profile))
        .filter_map(|path| {
            let text = std::fs::read(path.join(names::METADATA)).ok()?;
            let metadata: Metadata = serde_json::from_slice(&text).ok()?;
            Some(summary(&RunDir(path), &metadata))
        })
        .collect();
    runs.sort_by(|a, b| a.started_at.cmp(&b.started_at));
    runs
}

/// Finds a run by its id, by the path of its folder, or by `latest`.
pub fn find_run(root: &Path, wanted: &str) -> Option<RunDir> {
    let as_path = Path::new(wanted);
    if as_path.join(names::METADATA).is_file() {
        return Some(RunDir(as_path.to_owned()));
    }
    let runs = list_runs(root);
    if wanted == "latest" {
        return runs.into_iter().next_back().map(|run| run.dir);
    }
    runs.into_iter().find(|run| run.run_id == wanted).map(|run| run.dir)
}
