//! The run folder `logs/<profile>/<run_id>/`: where every artefact lies, how it is written, how it is read back as evidence.
//!
//! Append-only files get whole lines; every other file is written aside, synced and renamed. What was not written cannot be read:
//! a missing file is `Found::No` with the reason.

pub(crate) mod attempts;
pub(crate) mod attestations;
mod integrity;
pub(crate) mod iterations;
mod load;
mod manifest;
mod old;
pub mod prune;
mod records;
mod runs;
mod show;

pub use attestations::{Anchor, AttestationLine, anchors, keep_history};
pub(crate) use integrity::failed_before;
pub(crate) use load::alert_lines;
pub use load::{AlertLine, LoadError, alert_address, load_evidence, metadata, phase_records, read_kpi};
#[cfg(feature = "schema")]
pub(crate) use manifest::Manifest;
pub use manifest::{ManifestError, read_head, verify, write_manifest};
pub(crate) use manifest::{extend_manifest, hex};
pub use records::{FORMAT, Identity, Machine, Metadata, PhaseRecord, PhaseStart, PriceSource, Tagged};
pub use runs::{MONITORED, RunSummary, find_run, list_runs};
pub use show::{Difference, PhaseLine, RunView, differences, differences_text, view, view_text};

/// `mode` of the metadata of a process that was only watched: such a folder holds no verdict and never will.
pub const MONITOR_MODE: &str = "monitor";

use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Names of the artefacts that belong to no phase.
pub mod names {
    #![allow(missing_docs)]
    pub const METADATA: &str = "metadata.json";
    pub const PREFLIGHT: &str = "preflight.json";
    /// Preflight before the main run.
    pub const PREFLIGHT_MAIN: &str = "preflight_main.json";
    pub const ENV_CHECKER: &str = "env_checker.log";
    pub const ORCHESTRATOR: &str = "orchestrator.log";
    pub const MONITOR: &str = "monitor.log";
    pub const PHASES: &str = "phases.jsonl";
    pub const SAMPLES: &str = "samples.jsonl";
    pub const PANELS: &str = "panels.jsonl";
    pub const GRAFANA: &str = "grafana.jsonl";
    pub const RULES: &str = "rules.jsonl";
    pub const MONITOR_SUMMARY: &str = "monitor_summary.json";
    pub const ALERT_DB: &str = "alerts.sqlite";
    pub const ALERTS: &str = "alerts.jsonl";
    pub const ANALYSIS: &str = "analysis_result.json";
    pub const REPORT_MD: &str = "report.md";
    pub const REPORT_HTML: &str = "report.html";
    pub const JUNIT: &str = "junit.xml";
    pub const MANIFEST: &str = "manifest.json";
    pub const NOTICE: &str = "notice.log";
    /// GATE-ABORT and GATE-VERDICT as they were raised, in the journal's line format.
    pub const NOTICE_SPOOL: &str = "notice_spool.log";
    pub const ATTESTATIONS: &str = "attestations.jsonl";
    pub const ATTESTED_EVIDENCE: &str = "attestations";
    pub const HISTORY: &str = "history";

    /// A part of a phase's console log: `full_1h_console.log` is the beginning, `full_1h_console.7.log` the seventh part after it.
    pub fn console_part(label: &str, part: u64) -> String {
        if part == 0 { format!("{label}_console.log") } else { format!("{label}_console.{part}.log") }
    }

    /// A phase's ERROR lines and crash blocks.
    pub fn error_log(label: &str) -> String {
        format!("{label}_error.log")
    }
}

/// An artefact could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}; check that the folder is writable and the disk is not full, or choose another root with --logs DIR", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub source: std::io::Error,
}

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir(pub PathBuf);

impl RunDir {
    /// Creates `root/<profile>/<run_id>` with mode 0700. It must not exist.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn create(root: &Path, profile: &str, run_id: &str) -> Result<Self, WriteError> {
        let parent = root.join(profile);
        let path = parent.join(run_id);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WriteError { path, source }
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&parent).map_err(failed(&parent))?;
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed(&path))?;
        Ok(Self(path))
    }

    /// The path of an artefact.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path of a phase's artefact: `<label>_<what>`, such as `full_1h_kpi.json`.
    pub fn phase_path(&self, label: &str, what: &str) -> PathBuf {
        self.0.join(format!("{label}_{what}"))
    }

    /// The journal folder of a phase.
    pub fn journal_dir(&self, phase: &str) -> PathBuf {
        self.0.join("journal").join(phase)
    }

    /// Writes a file aside, syncs it, renames it into place. Mode 0600.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        write_atomic(&self.path(name), bytes)
    }

    /// [`RunDir::write`] of a value as indented JSON.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), WriteError> {
        let path = self.path(name);
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|e| WriteError { path: path.clone(), source: std::io::Error::other(e) })?;
        bytes.push(b'\n');
        write_atomic(&path, &bytes)
    }

    /// Opens a file for appending, mode 0600.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn append(&self, name: &str) -> Result<Appender, WriteError> {
        Appender::open(self.path(name))
    }
}

/// Writes a file aside, syncs it, renames it into place, syncs the folder. Mode 0600.
///
/// # Errors
/// [`WriteError`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let aside = path.with_extension(format!("{}.tmp", std::process::id()));
    let write = || {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| {
        let _ = std::fs::remove_file(&aside);
        WriteError { path: path.to_owned(), source }
    })
}

/// An append-only file of lines.
#[derive(Debug)]
pub struct Appender {
    file: File,
    path: PathBuf,
}

impl Appender {
    fn open(path: PathBuf) -> Result<Self, WriteError> {
        let file = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| WriteError { path: path.clone(), source })?;
        Ok(Self { file, path })
    }

    /// Appends a line with one `write`.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn line(&mut self, text: &str) -> Result<(), WriteError> {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(|source| WriteError { path: self.path.clone(), source })
    }

    /// Appends a value as one line of JSON.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), WriteError> {
        let line = serde_json::to_string(value)
            .map_err(|e| WriteError { path: self.path.clone(), source: std::io::Error::other(e) })?;
        self.line(&line)
    }

    /// Asks the system to put it on the disk.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn sync(&self) -> Result<(), WriteError> {
        self.file.sync_data().map_err(|source| WriteError { path: self.path.clone(), source })
    }
}

/// Gives files that others wrote into the folder (the runner) the mode of ours: 0600, folders 0700.
pub fn tighten(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700));
            tighten(&path);
        } else if kind.is_file() {
            let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
        }
    }
}

/// The label of a phase in file names: `smoke_60s`, `full_1h`, `smoke.2_60s` of a second attempt.
pub fn phase_label(phase: &str, seconds: u64) -> String {
    let name = if phase == "main" { "full" } else { phase };
    if seconds >= 3_600 && seconds.is_multiple_of(3_600) {
        format!("{name}_{}h", seconds / 3_600)
    } else {
        format!("{name}_{seconds}s")
    }
}
