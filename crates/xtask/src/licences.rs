//! Licences and duplicate versions of every crate that we build, from `cargo metadata`.
//!
//! Looked at is what Linux on x86-64 builds, tests and build scripts included; crates of other platforms stay in the lock
//! file and are never compiled. The lists of what is allowed stand in [`crate::allow`].

use crate::allow::{DUPLICATES, LICENCES};
use crate::{Failure, cargo, root};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

/// The platform whose dependencies are looked at.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// What we read of `cargo metadata --format-version 1`.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
}

/// Checks what is built; gives a line to show.
///
/// # Errors
/// Every licence that is not allowed, every duplicate without a reason, every reason without a duplicate; or cargo failed.
pub fn check() -> Result<String, Failure> {
    let output = Command::new(cargo())
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Failure::new(format!("licences: cannot start cargo ({e})")))?;
    if !output.status.success() {
        return Err(Failure::new(format!("licences: cargo metadata failed ({}); see above", output.status)));
    }
    let metadata = serde_json::from_slice(&output.stdout)
        .map_err(|e| Failure::new(format!("licences: cargo metadata is not as expected: {e}")))?;
    judge(&metadata)
}

/// Judges what cargo said.
///
/// # Errors
/// As [`check`], without cargo's part.
pub fn judge(metadata: &Metadata) -> Result<String, Failure> {
    let built: BTreeSet<&str> = metadata.resolve.nodes.iter().map(|node| node.id.as_str()).collect();
    let mut wrong = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let allowed: Vec<&str> = LICENCES.iter().map(|(licence, _)| *licence).collect();
    for package in metadata.packages.iter().filter(|package| built.contains(package.id.as_str())) {
        versions.entry(&package.name).or_default().insert(&package.version);
        let licence = package.license.as_deref().unwrap_or("no licence");
        if !permitted(licence, &allowed) {
            wrong.push(format!(
                "{} {}: {licence} is not on the list of licences",
                package.name, package.version
            ));
        }
    }
    let count: usize = versions.values().map(BTreeSet::len).sum();
    versions.retain(|_, versions| versions.len() > 1);
    for (name, versions) in &versions {
        if !DUPLICATES.iter().any(|(duplicate, _)| duplicate == name) {
            let versions: Vec<&str> = versions.iter().copied().collect();
            wrong.push(format!("{name} is built in the versions {}", versions.join(", ")));
        }
    }
    for (name, _) in DUPLICATES {
        if !versions.contains_key(name) {
            wrong.push(format!("{name} is on the list of duplicates and no duplicate any more"));
        }
    }
    if wrong.is_empty() {
        return Ok(format!(
            "{count} crates, every licence allowed, {} duplicates, each with a reason",
            versions.len()
        ));
    }
    let list: String = wrong.iter().map(|line| format!("\n  {line}")).collect();
    Err(Failure::new(format!(
        "licences:{list}\nchange the dependency, or crates/xtask/src/allow.rs with a reason"
    )))
}

/// True when an SPDX expression can be met by licences of the list alone. `/` is read as `OR`, as older crates write it;
/// `WITH` adds rights, so the licence before it decides. Anything unreadable is not permitted.
pub fn permitted(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let verdict = either(&mut words, allowed);
    verdict == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, allowed: &[&str]) -> Option<bool> {
    let mut verdict = both(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        verdict |= both(words, allowed)?;
    }
    Some(verdict)
}

fn both(words: &mut Words<'_>, allowed: &[&str]) -> Option<bool> {
    let mut verdict = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed)?;
    }
    Some(verdict)
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let verdict = either(words, allowed)?;
        return (words.next()? == ")").then_some(verdict);
    }
    if matches!(word, ")" | "OR" | "AND" | "WITH") {
        return None;
    }
    if words.next_if_eq(&"WITH").is_some() {
        words.next()?;
    }
    Some(allowed.contains(&word))
}
