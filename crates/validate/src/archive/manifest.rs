//! `manifest.json`: the SHA-256 of every artefact, chained, so that its head stands for all of them.

use super::{RunDir, WriteError, names};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Why a manifest could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// There is none.
    #[error("{} has no manifest: the run did not reach its verdict, so it reads as NO-GO; start a new run", .0.display())]
    Missing(PathBuf),
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not a manifest.
    #[error("{} is not a manifest: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Format version.
    format: u32,
    /// Run id.
    run_id: String,
    /// In order of path; `chain` = SHA-256 of (previous chain, path, sha256).
    files: Vec<Item>,
    /// The last chain value.
    head: String,
    /// The head of the manifest that this one follows: the chain goes on from there. Absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    /// Path in the run folder.
    path: String,
    /// Size.
    bytes: u64,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    sha256: String,
    /// The chain up to here.
    chain: String,
}

/// What is not covered: the manifest itself, what is written after it, and the alert database, whose rows stand in
/// `alerts.jsonl` (SQLite may still fold its write-ahead log into it).
fn covered(path: &str) -> bool {
    path != names::MANIFEST
        && path != names::NOTICE
        && path != names::NOTICE_SPOOL
        && !path.starts_with(names::ALERT_DB)
        && !path.ends_with(".tmp")
}

fn walk(root: &Path, folder: &Path, out: &mut BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(root, &path, out)?;
        } else if kind.is_file()
            && let Ok(relative) = path.strip_prefix(root)
        {
            let relative = relative.to_string_lossy().into_owned();
            if covered(&relative) {
                out.insert(relative, path);
            }
        }
    }
    Ok(())
}

fn hash_file(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((hex(&hash.finalize()), bytes));
        }
        hash.update(&buffer[..n]);
        bytes += n as u64;
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn link(previous: &str, path: &str, sha256: &str) -> String {
    let mut hash = Sha256::new();
    for part in [previous, "\n", path, "\n", sha256, "\n"] {
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize())
}

/// Writes the manifest over everything in the folder and returns its head.
///
/// # Errors
/// [`WriteError`].
pub fn write_manifest(dir: &RunDir, run_id: &str) -> Result<String, WriteError> {
    write(dir, run_id, None)
}

/// Writes a manifest that goes on from the head of the one it replaces.
///
/// # Errors
/// [`WriteError`].
pub(crate) fn extend_manifest(dir: &RunDir, run_id: &str, previous: &str) -> Result<String, WriteError> {
    write(dir, run_id, Some(previous.to_owned()))
}

fn write(dir: &RunDir, run_id: &str, previous: Option<String>) -> Result<String, WriteError> {
    let failed = |source| WriteError { path: dir.path(names::MANIFEST), source };
    let mut paths = BTreeMap::new();
    walk(&dir.0, &dir.0, &mut paths).map_err(failed)?;
    let mut head = link(previous.as_deref().unwrap_or(""), run_id, "");
    let mut files = Vec::new();
    for (path, full) in paths {
        let (sha256, bytes) = hash_file(&full).map_err(failed)?;
        head = link(&head, &path, &sha256);
        files.push(Item { path, bytes, sha256, chain: head.clone() });
    }
    dir.write_json(
        names::MANIFEST,
        &Manifest { format: super::FORMAT, run_id: run_id.to_owned(), files, head: head.clone(), previous },
    )?;
    Ok(head)
}

/// The head of a manifest file, when it is one.
pub(super) fn head_of(path: &Path) -> Option<String> {
    serde_json::from_slice::<Manifest>(&std::fs::read(path).ok()?).ok().map(|manifest| manifest.head)
}

/// What is wrong with a manifest that `next` replaced: its own chain, its successor, and the files that it covers, each of which now lies
/// where `now` says.
pub(super) fn superseded(dir: &RunDir, path: &str, next: &str, now: &dyn Fn(&str) -> String) -> Vec<String> {
    let parse = |path: &str| -> Result<Manifest, String> {
        let bytes = std::fs::read(dir.path(path)).map_err(|e| format!("{path}: {e}"))?;
        serde_json::from_slice(&bytes).map_err(|e| format!("{path}: {e}"))
    };
    let (old, new) = match (parse(path), parse(next)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(what), _) | (_, Err(what)) => return vec![what],
    };
    let mut problems = Vec::new();
    if new.previous.as_deref() != Some(old.head.as_str()) {
        problems.push(format!("{next}: it does not follow from {path}"));
    }
    let mut head = link(old.previous.as_deref().unwrap_or(""), &old.run_id, "");
    for item in &old.files {
        head = link(&head, &item.path, &item.sha256);
        let lies = now(&item.path);
        // An append-only file of attestations has grown since; its own chain of lines covers it.
        if item.path == names::ATTESTATIONS {
            continue;
        }
        match hash_file(&dir.path(&lies)) {
            Ok((sha256, _)) if sha256 == item.sha256 => {}
            Ok(_) => problems.push(format!("{lies}: not what {path} covers")),
            Err(e) => problems.push(format!("{lies}: {e}, covered by {path}")),
        }
    }
    if head != old.head {
        problems.push(format!("{path}: its chain is broken"));
    }
    problems
}

fn read(dir: &RunDir) -> Result<Manifest, ManifestError> {
    let path = dir.path(names::MANIFEST);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(ManifestError::Missing(dir.0.clone()));
        }
        Err(source) => return Err(ManifestError::Read { path, source }),
    };
    serde_json::from_slice(&bytes).map_err(|e| ManifestError::Malformed { path, what: e.to_string() })
}

/// The head of a run's manifest.
///
/// # Errors
/// [`ManifestError`].
pub fn read_head(dir: &RunDir) -> Result<String, ManifestError> {
    read(dir).map(|manifest| manifest.head)
}

/// Every change since the manifest was written, one sentence each; empty when there is none.
///
/// # Errors
/// [`ManifestError`].
pub fn verify(dir: &RunDir) -> Result<Vec<String>, ManifestError> {
    let manifest = read(dir)?;
    let mut found = BTreeMap::new();
    walk(&dir.0, &dir.0, &mut found).map_err(|source| ManifestError::Read { path: dir.0.clone(), source })?;
    let mut changes = Vec::new();
    let mut head = link(manifest.previous.as_deref().unwrap_or(""), &manifest.run_id, "");
    for item in &manifest.files {
        head = link(&head, &item.path, &item.sha256);
        if head != item.chain {
            changes.push(format!("{}: the manifest's chain is broken at {}", names::MANIFEST, item.path));
        }
        let Some(full) = found.remove(&item.path) else {
            changes.push(format!("{}: missing", item.path));
            continue;
        };
        match hash_file(&full) {
            Ok((sha256, _)) if sha256 == item.sha256 => {}
            Ok((_, bytes)) => {
                changes.push(format!("{}: changed ({} bytes then, {bytes} now)", item.path, item.bytes));
            }
            Err(e) => changes.push(format!("{}: cannot be read: {e}", item.path)),
        }
    }
    if head != manifest.head {
        changes.push(format!("{}: its head does not follow from its entries", names::MANIFEST));
    }
    changes.extend(found.keys().map(|path| format!("{path}: added since")));
    changes.extend(super::attestations::history_problems(dir));
    Ok(changes)
}
