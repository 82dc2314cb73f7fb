//! Finding, reading and merging profiles.

use super::check::{self, Document};
use super::{Profile, ProfileError, foreign, record, rules, scale};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The built-in profiles with their text.
const BUILTIN: [(&str, &str); 3] = [
    ("d77-4", include_str!("../../../../profiles/d77-4.toml")),
    ("soak-12h", include_str!("../../../../profiles/soak-12h.toml")),
    ("rehearsal", include_str!("../../../../profiles/rehearsal.toml")),
];

/// Among the required notifiers: all that are configured.
const CONFIGURED: &str = "configured";

/// Longest chain of `extends`.
const DEPTH: usize = 8;

/// An effective profile and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The effective profile.
    pub profile: Profile,
    /// The built-in profile that it is or rests on.
    pub base: String,
    /// True when it is built in, or changes only what is allowed.
    pub of_record: bool,
    /// Why it is `custom`: one sentence per difference. Empty when `of_record`.
    pub differences: Vec<String>,
    /// SHA-256 of the effective profile as JSON with sorted keys.
    pub hash: String,
    /// The profile's own text.
    pub source: String,
}

/// Names of the built-in profiles.
pub fn builtin_names() -> Vec<&'static str> {
    BUILTIN.iter().map(|(name, _)| *name).collect()
}

/// The commented text of a built-in profile.
pub fn source_of(name: &str) -> Option<&'static str> {
    BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Loads a built-in profile by its name, or a user's by its path, and checks it.
///
/// # Errors
/// [`ProfileError`] with file, line and column.
pub fn load(name_or_path: &str) -> Result<Loaded, ProfileError> {
    if let Some(text) = source_of(name_or_path) {
        return load_text(name_or_path, text);
    }
    let path = Path::new(name_or_path);
    if !path.exists() {
        let names = builtin_names().join(", ");
        let near = check::nearest(name_or_path, &builtin_names())
            .map(|near| format!("did you mean {near}? "))
            .unwrap_or_default();
        return Err(ProfileError::missing(
            format!("there is no profile {name_or_path:?}, neither built in nor a file"),
            format!("{near}built in are {names}; a file of your own is given by its path"),
        ));
    }
    load_text(name_or_path, &read(path)?)
}

fn read(path: &Path) -> Result<String, ProfileError> {
    std::fs::read_to_string(path).map_err(|e| {
        ProfileError::missing(
            format!("cannot read the profile {}: {e}", path.display()),
            "check the path and its permissions",
        )
    })
}

/// Loads a profile from its text; `file` is its name in messages, and where relative `extends` start from.
///
/// # Errors
/// As [`load`].
pub fn load_text(file: &str, text: &str) -> Result<Loaded, ProfileError> {
    let chain = chain(file, text)?;
    let builtin = |document: &Document| source_of(&document.file).is_some();
    let Some(root) = chain.iter().find(|document| builtin(document)) else {
        return Err(ProfileError::plain(
            format!("{file} does not rest on a built-in profile"),
            format!("begin it with extends = \"d77-4\" (or {})", builtin_names().join(", ")),
        ));
    };
    let base = root.file.clone();
    let mut merged = merge(&chain);
    for document in chain.iter().filter(|document| !builtin(document)) {
        check::keys(document, &schema()?, &merged)?;
    }
    let pace = merged.get("time_scale").and_then(toml::Value::as_float);
    // The rules are read as they were written, so that a message shows what stands in the file, and again at the profile's pace.
    rules::specs(&chain, &merged)?;
    let differences =
        if builtin(&chain[0]) { Vec::new() } else { record::differences(&base_profile(&base)?, &merged) };
    if let Some(pace) = pace.filter(|pace| pace.is_finite() && *pace >= 1.0) {
        scale::apply(&mut merged, pace);
    }
    let specs = rules::specs(&chain, &merged)?;
    let mut effective = merged.clone();
    let specs = toml::Value::try_from(specs).map_err(|e| {
        ProfileError::plain(
            format!("{file}: the rules cannot be written down: {e}"),
            "report this as a defect",
        )
    })?;
    effective.insert("rules".to_owned(), specs);
    let mut profile = Profile::deserialize(toml::Value::Table(effective)).map_err(|e| {
        ProfileError::plain(format!("{file}: {}", e.message()), "compare it with `assay profile show d77-4`")
    })?;
    let configured = profile.alerts.names();
    profile.notifiers = profile
        .notifiers
        .iter()
        .flat_map(|name| if name == CONFIGURED { configured.clone() } else { vec![name.clone()] })
        .collect();
    check::meaning(&chain, &profile)?;
    // The same profile in another folder is the same profile.
    let hash = hash(&profile)?;
    let sets_it = |document: &&Document| {
        document.table.get("runner").is_some_and(|runner| runner.get("command").is_some())
    };
    let folder = folder_of(chain.iter().find(sets_it).map_or(file, |document| document.file.as_str()));
    for word in &mut profile.runner.command {
        *word = word.replace("{profile_dir}", &folder);
    }
    Ok(Loaded {
        profile,
        base,
        of_record: differences.is_empty(),
        differences,
        hash,
        source: text.to_owned(),
    })
}

/// The folder that a profile's file lies in, absolute.
fn folder_of(file: &str) -> String {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).to_string_lossy().into_owned()
}

/// The document and what it extends, the document first.
fn chain(file: &str, text: &str) -> Result<Vec<Document>, ProfileError> {
    let mut chain = vec![Document::parse(file, text)?];
    while let Some(parent) = chain.last().and_then(|document| document.extends.clone()) {
        if chain.len() >= DEPTH {
            return Err(ProfileError::plain(
                format!("{file}: `extends` goes round in a circle, or over more than {DEPTH} files"),
                "let it end at a built-in profile",
            ));
        }
        let next = match source_of(&parent) {
            Some(text) => Document::parse(&parent, text)?,
            None => {
                let of = chain.last().map_or(file, |document| document.file.as_str());
                let path: PathBuf = Path::new(of).parent().unwrap_or(Path::new("")).join(&parent);
                if !path.is_file() {
                    return Err(check::no_parent(chain.last(), &parent, &builtin_names()));
                }
                Document::parse(&path.to_string_lossy(), &read(&path)?)?
            }
        };
        chain.push(next);
    }
    Ok(chain)
}

fn merge(chain: &[Document]) -> toml::Table {
    let mut merged = toml::Table::new();
    for document in chain.iter().rev() {
        let mut table = document.table.clone();
        foreign::expand(&mut table);
        overlay(&mut merged, &table);
    }
    merged.remove("extends");
    foreign::complete(&mut merged);
    merged
}

/// Puts `top` over `base`, table by table; anything else is replaced whole.
fn overlay(base: &mut toml::Table, top: &toml::Table) {
    for (key, value) in top {
        match (base.get_mut(key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => overlay(below, above),
            // A whole number where the base has a fraction.
            (Some(slot @ toml::Value::Float(_)), toml::Value::Integer(n)) => {
                *slot = toml::Value::Float(*n as f64)
            }
            (Some(slot), _) => *slot = value.clone(),
            (None, _) => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Every key that any built-in profile has.
pub(super) fn schema() -> Result<toml::Table, ProfileError> {
    let mut all = toml::Table::new();
    for (name, text) in BUILTIN {
        overlay(&mut all, &Document::parse(name, text)?.table);
    }
    all.remove("extends");
    Ok(all)
}

fn base_profile(name: &str) -> Result<toml::Table, ProfileError> {
    let text = source_of(name).unwrap_or_default();
    Ok(merge(&chain(name, text)?))
}

pub(super) fn hash(profile: &Profile) -> Result<String, ProfileError> {
    // `serde_json::Value` keeps its keys sorted.
    let canonical = serde_json::to_value(profile).map_err(|e| {
        ProfileError::plain(format!("the profile cannot be written as JSON: {e}"), "report this as a defect")
    })?;
    Ok(Sha256::digest(canonical.to_string().as_bytes()).iter().map(|b| format!("{b:02x}")).collect())
}
