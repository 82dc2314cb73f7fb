//! Judging what is on disk: `rejudge`, `verify`, `report`, `runs`.

use crate::archive::{self, LoadError, ManifestError, RunDir, WriteError, names};
use crate::report::{self, Lang, Report};
use gate::Analysis;
use std::path::{Path, PathBuf};

/// Why a run could not be reviewed.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// There is none at all.
    #[error("there are no runs below {}; `assay rehearse` makes one, --logs DIR names another root", .0.display())]
    Empty(PathBuf),
    /// There is no such run.
    #[error("there is no run {wanted} below {}; `assay runs list --logs DIR` shows the runs there are", root.display())]
    NoRun {
        /// What was asked for.
        wanted: String,
        /// Where it was looked for.
        root: PathBuf,
    },
    /// The folder cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The run was never judged.
    #[error("{} has no analysis_result.json: the run was killed before its verdict, so it reads as NO-GO; start a new run", .0.display())]
    NoDecision(PathBuf),
    /// The recorded analysis is not readable.
    #[error("{}: {what}; the run reads as NO-GO, and `assay verify` names what was changed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A report could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Finds a run.
///
/// # Errors
/// [`ReviewError::NoRun`], [`ReviewError::Empty`].
pub fn find(root: &Path, wanted: &str) -> Result<RunDir, ReviewError> {
    archive::find_run(root, wanted).ok_or_else(|| match wanted {
        "latest" => ReviewError::Empty(root.to_owned()),
        _ => ReviewError::NoRun { wanted: wanted.to_owned(), root: root.to_owned() },
    })
}

/// The recorded analysis of a run.
///
/// # Errors
/// [`ReviewError`].
pub fn recorded(dir: &RunDir) -> Result<Analysis, ReviewError> {
    let path = dir.path(names::ANALYSIS);
    let bytes = std::fs::read(&path).map_err(|_| ReviewError::NoDecision(dir.0.clone()))?;
    let malformed = |what: String| ReviewError::Malformed { path: path.clone(), what };
    let analysis: Analysis = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
    if analysis.format > gate::judge::FORMAT {
        return Err(malformed(format!("it is of format {}, a newer version wrote it", analysis.format)));
    }
    Ok(analysis)
}

/// What a rejudge found.
#[derive(Debug, Clone)]
pub struct Rejudged {
    /// The new analysis.
    pub analysis: Analysis,
    /// Every field, criterion or decision that differs from the recorded ones.
    pub differences: Vec<String>,
}

/// Recomputes everything from the artefacts alone and compares.
///
/// # Errors
/// [`ReviewError`].
pub fn rejudge(dir: &RunDir) -> Result<Rejudged, ReviewError> {
    let recorded = recorded(dir)?;
    let (_, evidence) = archive::load_evidence(dir)?;
    let analysis = gate::judge(&evidence);
    let differences = gate::differences(&recorded, &analysis);
    Ok(Rejudged { analysis, differences })
}

/// The report of a run, from its recorded analysis.
///
/// # Errors
/// [`ReviewError`].
pub fn render(dir: &RunDir, lang: Lang, as_html: bool) -> Result<String, ReviewError> {
    let analysis = recorded(dir)?;
    if !analysis.is_consistent() {
        let what = "its decision does not follow from its own criteria".to_owned();
        return Err(ReviewError::Malformed { path: dir.path(names::ANALYSIS), what });
    }
    let (metadata, evidence) = archive::load_evidence(dir)?;
    let report = Report { metadata: &metadata, evidence: &evidence, analysis: &analysis, dir: &dir.0 };
    Ok(if as_html { report::html_in(&report, lang) } else { report::markdown_in(&report, lang) })
}
