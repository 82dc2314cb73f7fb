//! `assay attest`: a person settles an INCONCLUSIVE criterion, with evidence, in a run whose artefacts still stand as they were judged.
//!
//! The evidence is copied into the run folder, the statement is appended to `attestations.jsonl`, the run is judged again, and the manifest
//! goes on from the head of the one before, which is kept with the verdict that it covered. Who may attest what is in `gate::attested`.

use crate::archive::{self, LoadError, ManifestError, RunDir, WriteError, attestations, names};
use crate::pipeline;
use crate::review::{self, ReviewError};
use catalogue::CriterionId;
use gate::Analysis;
use gate::attested::Refusal;
use gate::evidence::Attested;
use std::path::{Path, PathBuf};

/// Evidence is a screenshot, a mail, a log excerpt; something larger was mistaken for it.
const MAX_EVIDENCE: u64 = 64 << 20;

/// Why an attestation was refused.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// The criterion cannot be settled by hand, or not any more.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The run cannot be read.
    #[error(transparent)]
    Review(#[from] ReviewError),
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Nothing could be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The artefacts are not those that were judged.
    #[error(
        "the run was changed since its verdict ({0}): an attestation would cover the change; `assay verify` names all of it"
    )]
    Changed(String),
    /// The recorded verdict does not follow from the artefacts.
    #[error(
        "the artefacts no longer give the recorded verdict ({0}); `assay rejudge` names every difference"
    )]
    Disagrees(String),
    /// There is nothing to judge by hand in a run without a main phase.
    #[error("the run has no main phase: there is nothing to attest; run again")]
    NoMain,
    /// Who attests must be named.
    #[error("--by is empty: name the person who attests")]
    Nobody,
    /// The evidence.
    #[error("the evidence {}: {what}", path.display())]
    Evidence {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// A new verdict.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The new analysis.
    pub analysis: Analysis,
    /// The verdict before it, as it was said.
    pub before: String,
    /// The head of the new manifest.
    pub head: String,
    /// The head that it goes on from.
    pub previous: String,
}

/// Attests that `id` passes, by `by`, with the file `evidence`.
///
/// # Errors
/// [`AttestError`]; nothing is changed then.
pub fn attest(dir: &RunDir, id: CriterionId, by: &str, evidence: &Path) -> Result<Settled, AttestError> {
    let by = by.trim();
    if by.is_empty() {
        return Err(AttestError::Nobody);
    }
    let recorded = review::recorded(dir)?;
    if let Some(change) = archive::verify(dir)?.into_iter().next() {
        return Err(AttestError::Changed(change));
    }
    let rejudged = review::rejudge(dir)?;
    if let Some(difference) = rejudged.differences.into_iter().next() {
        return Err(AttestError::Disagrees(difference));
    }
    let (_, before) = archive::load_evidence(dir)?;
    if before.main.is_none() {
        return Err(AttestError::NoMain);
    }
    // A person is asked about what the run itself does not settle.
    if let Some(criterion) = rejudged.analysis.criteria.iter().find(|c| c.id == id) {
        gate::attested::check(&before.settings, criterion)?;
    }
    let (name, bytes) = read_evidence(evidence)?;
    let previous = archive::read_head(dir)?;
    let known = attestations::read(dir);
    let n = known.lines.len() + 1;

    let (path, sha256) = attestations::copy_evidence(dir, n, &name, &bytes)?;
    attestations::keep_history(dir, n)?;
    let mut file = dir.append(names::ATTESTATIONS)?;
    file.json(&Attested {
        format: archive::FORMAT,
        criterion: id,
        by: by.to_owned(),
        at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        evidence: path,
        sha256,
        previous: known.last,
    })?;
    file.sync()?;
    let (metadata, evidence) = archive::load_evidence(dir)?;
    let analysis = pipeline::write_verdict(dir, &metadata, &evidence)?;
    let head = archive::extend_manifest(dir, &metadata.run_id, &previous)?;
    Ok(Settled { analysis, before: recorded.headline(), head, previous })
}

/// The evidence's bytes, and a name for the copy that is safe in any folder.
fn read_evidence(path: &Path) -> Result<(String, Vec<u8>), AttestError> {
    let wrong = |what: String| AttestError::Evidence { path: path.to_owned(), what };
    let about = std::fs::metadata(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    if !about.is_file() || about.len() == 0 {
        return Err(wrong(
            "is no file with anything in it; give the screenshot, mail or log that shows it".to_owned(),
        ));
    }
    if about.len() > MAX_EVIDENCE {
        return Err(wrong(format!("has {} bytes, {MAX_EVIDENCE} at most", about.len())));
    }
    let bytes = std::fs::read(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let name: String = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|| "evidence".to_owned())
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    Ok((name, bytes))
}
