//! `attestations.jsonl` and what an attestation leaves behind: the evidence, the verdict before it, the manifest before it.
//!
//! Lines are chained by SHA-256, and a line whose evidence was changed counts for nothing. History is never rewritten: what the new verdict
//! replaces is kept below `history/<n>/`, with the manifest that covered it, so that the head that was printed with the first
//! verdict still stands for the first verdict.

use super::manifest::{self, hex};
use super::{RunDir, WriteError, names};
use gate::evidence::Attested;
use sha2::{Digest, Sha256};

pub use gate::evidence::Attested as AttestationLine;

/// What a new verdict replaces.
const REPLACED: [&str; 4] = [names::ANALYSIS, names::REPORT_MD, names::REPORT_HTML, names::JUNIT];

/// A manifest head and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// `the first verdict`, `after attestation 1`.
    pub of: String,
    /// The head.
    pub head: String,
}

/// The attestations that count, and why those after them do not.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) lines: Vec<Attested>,
    pub(crate) problem: Option<String>,
    /// SHA-256 of the last line that counts; empty without one.
    pub(crate) last: String,
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Reads the attestations of a run. No file: nobody attested anything.
pub(crate) fn read(dir: &RunDir) -> Read {
    let mut found = Read::default();
    let text = match std::fs::read(dir.path(names::ATTESTATIONS)) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return found,
        Err(e) => {
            found.problem = Some(format!("{}: {e}", names::ATTESTATIONS));
            return found;
        }
    };
    for (i, line) in text.split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        match check(dir, line, &found.last) {
            Ok(attested) => {
                found.last = sha256(line);
                found.lines.push(attested);
            }
            Err(what) => {
                found.problem = Some(format!("{} line {}: {what}", names::ATTESTATIONS, i + 1));
                return found;
            }
        }
    }
    found
}

fn check(dir: &RunDir, line: &[u8], last: &str) -> Result<Attested, String> {
    let attested: Attested = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    if attested.format > super::FORMAT {
        return Err(format!("it is of format {}, a newer version wrote it", attested.format));
    }
    if attested.previous != last {
        return Err("it does not follow from the line before it".to_owned());
    }
    let inside = format!("{}/", names::ATTESTED_EVIDENCE);
    if !attested.evidence.starts_with(&inside) || attested.evidence.contains("..") {
        return Err(format!("its evidence {} is not in the run folder", attested.evidence));
    }
    let bytes =
        std::fs::read(dir.path(&attested.evidence)).map_err(|e| format!("{}: {e}", attested.evidence))?;
    if sha256(&bytes) != attested.sha256 {
        return Err(format!("{} is not the file that was attested with", attested.evidence));
    }
    Ok(attested)
}

/// Copies the evidence of a new attestation into the folder: its path there and its SHA-256.
pub(crate) fn copy_evidence(
    dir: &RunDir,
    n: usize,
    name: &str,
    bytes: &[u8],
) -> Result<(String, String), WriteError> {
    make_folder(dir, names::ATTESTED_EVIDENCE)?;
    let path = format!("{}/{n}_{name}", names::ATTESTED_EVIDENCE);
    dir.write(&path, bytes)?;
    Ok((path, sha256(bytes)))
}

fn make_folder(dir: &RunDir, name: &str) -> Result<(), WriteError> {
    use std::os::unix::fs::DirBuilderExt;
    let path = dir.path(name);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)
        .map_err(|source| WriteError { path, source })
}

/// Keeps the verdict that is about to be replaced, and its manifest, as `history/<n>/`.
///
/// # Errors
/// [`WriteError`].
pub fn keep_history(dir: &RunDir, n: usize) -> Result<(), WriteError> {
    let folder = format!("{}/{n}", names::HISTORY);
    make_folder(dir, &folder)?;
    for name in REPLACED.into_iter().chain([names::MANIFEST]) {
        let path = dir.path(name);
        let bytes = std::fs::read(&path).map_err(|source| WriteError { path, source })?;
        dir.write(&format!("{folder}/{name}"), &bytes)?;
    }
    Ok(())
}

/// How often the verdict was replaced.
fn replaced(dir: &RunDir) -> usize {
    (1..).take_while(|n| dir.path(&format!("{}/{n}/{}", names::HISTORY, names::MANIFEST)).is_file()).count()
}

/// Every head of a run, the oldest first: each is still what was printed with its verdict.
pub fn anchors(dir: &RunDir) -> Vec<Anchor> {
    let of = |n: usize| match n {
        0 => "the first verdict".to_owned(),
        n => format!("the verdict after attestation {n}"),
    };
    let earlier =
        (1..=replaced(dir)).map(|n| dir.path(&format!("{}/{n}/{}", names::HISTORY, names::MANIFEST)));
    let all = earlier.chain([dir.path(names::MANIFEST)]);
    all.enumerate()
        .filter_map(|(n, path)| Some(Anchor { of: of(n), head: manifest::head_of(&path)? }))
        .collect()
}

/// What does not fit between the manifests of a run: each says which head came before it, and every file that an earlier one covers is
/// still there, in its place or in the history.
pub(super) fn history_problems(dir: &RunDir) -> Vec<String> {
    let mut problems = Vec::new();
    let n = replaced(dir);
    let attested = read(dir);
    if attested.lines.len() != n && attested.problem.is_none() {
        problems.push(format!(
            "{}: attestations: {}, verdicts that they replaced: {n}",
            names::ATTESTATIONS,
            attested.lines.len()
        ));
    }
    problems.extend(attested.problem);
    for i in 1..=n {
        let kept = format!("{}/{i}", names::HISTORY);
        let next = if i == n {
            names::MANIFEST.to_owned()
        } else {
            format!("{}/{}/{}", names::HISTORY, i + 1, names::MANIFEST)
        };
        problems.extend(manifest::superseded(dir, &format!("{kept}/{}", names::MANIFEST), &next, &|path| {
            if !REPLACED.contains(&path) {
                return path.to_owned();
            }
            format!("{kept}/{path}")
        }));
    }
    problems
}
