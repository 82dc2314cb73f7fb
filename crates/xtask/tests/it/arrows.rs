//! Who may depend on whom, and what every manifest must say.

use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// Every crate in order, with the crates that it may depend on. ARCHITECTURE.md shows the same table.
const TABLE: [(&str, &[&str]); 17] = [
    ("market", &[]),
    ("catalogue", &[]),
    ("venues", &["market"]),
    ("recording", &["market"]),
    ("journal", &["market"]),
    ("engine", &["market", "catalogue", "venues", "recording", "journal"]),
    ("services", &[]),
    ("state", &[]),
    ("exposition", &["catalogue"]),
    ("alerts", &["market", "catalogue", "journal", "exposition"]),
    ("exchange", &["market", "recording"]),
    (
        "runner",
        &["market", "catalogue", "venues", "recording", "journal", "engine", "exposition", "alerts", "state"],
    ),
    ("gate", &["market", "catalogue", "journal"]),
    ("validate", &["market", "catalogue", "venues", "journal", "exposition", "alerts", "state", "gate"]),
    (
        "assay",
        &[
            "market",
            "catalogue",
            "venues",
            "recording",
            "journal",
            "engine",
            "exposition",
            "alerts",
            "state",
            "exchange",
            "runner",
            "gate",
            "validate",
        ],
    ),
    (
        "e2e",
        &[
            "market",
            "catalogue",
            "venues",
            "recording",
            "journal",
            "engine",
            "services",
            "state",
            "exposition",
            "alerts",
            "state",
            "exchange",
            "runner",
            "gate",
            "validate",
            "assay",
        ],
    ),
    ("xtask", &[]),
];

/// Crates of the core, which may have the pure part of `venues` only.
const WITHOUT_NET: [&str; 2] = ["engine", "gate"];

fn manifest(path: &str) -> Table {
    let text = std::fs::read_to_string(xtask::root().join(path)).unwrap();
    toml::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The manifests of all members by folder name.
fn manifests() -> BTreeMap<String, Table> {
    let folders = std::fs::read_dir(xtask::root().join("crates")).unwrap();
    folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| (name.clone(), manifest(&format!("crates/{name}/Cargo.toml"))))
        .collect()
}

/// The dependencies of a section, target-specific ones included.
fn section(manifest: &Table, name: &str) -> BTreeMap<String, Value> {
    let plain = manifest.get(name).and_then(Value::as_table);
    let targets = manifest.get("target").and_then(Value::as_table);
    let special = targets.into_iter().flat_map(|t| t.values()).filter_map(|t| t.get(name)?.as_table());
    plain.into_iter().chain(special).flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The workspace's own crates among the dependencies of a section.
fn own(manifest: &Table, name: &str) -> BTreeSet<String> {
    let ours: BTreeSet<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    section(manifest, name).into_keys().filter(|name| ours.contains(name.as_str())).collect()
}

#[test]
fn the_table_is_complete_and_points_upwards() {
    let listed: BTreeSet<String> = TABLE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(listed, manifests().into_keys().collect(), "the table and the folders below crates/ differ");
    for (place, (name, allowed)) in TABLE.iter().enumerate() {
        for other in *allowed {
            let above = TABLE[..place].iter().any(|(above, _)| above == other);
            assert!(above, "{name} may not depend on {other}, which is not above it in the table");
        }
    }
}

#[test]
fn a_crate_depends_on_what_the_table_allows() {
    let manifests = manifests();
    for (place, (name, allowed)) in TABLE.iter().enumerate() {
        let manifest = &manifests[*name];
        for kind in ["dependencies", "build-dependencies"] {
            for other in own(manifest, kind) {
                assert!(
                    allowed.contains(&other.as_str()),
                    "{name} may not depend on {other}; see ARCHITECTURE.md"
                );
            }
        }
        // Tests may use any crate above theirs: the runner is tested against the exchange.
        for other in own(manifest, "dev-dependencies") {
            let above = TABLE[..place].iter().any(|(above, _)| *above == other);
            assert!(above, "the tests of {name} may not use {other}, which is below it in the table");
        }
    }
}

#[test]
fn the_core_has_the_pure_part_of_the_venues() {
    let root = manifest("Cargo.toml");
    let venues = &root["workspace"]["dependencies"]["venues"];
    assert_eq!(
        venues.get("default-features"),
        Some(&Value::Boolean(false)),
        "venues must come without `net` by default"
    );
    for name in WITHOUT_NET {
        let manifest = &manifests()[name];
        if let Some(venues) = section(manifest, "dependencies").get("venues") {
            assert!(
                venues.get("features").is_none(),
                "{name} takes features of venues; it may have the pure part only"
            );
        }
    }
}

#[test]
fn every_crate_inherits_what_is_common() {
    for (name, manifest) in manifests() {
        let package = &manifest["package"];
        assert_eq!(package["name"].as_str(), Some(name.as_str()), "the folder's name is the crate's name");
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            let inherited = package.get(key).and_then(|value| value.get("workspace"));
            assert_eq!(inherited, Some(&Value::Boolean(true)), "{name}: package.{key} must be inherited");
        }
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(lints, Some(&Value::Boolean(true)), "{name} must inherit the workspace's lints");
        assert!(package.get("description").is_some(), "{name} has no description");
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (dependency, value) in section(&manifest, kind) {
                let inherited = value.get("workspace") == Some(&Value::Boolean(true));
                let ours = value.get("path").is_some();
                assert!(
                    inherited || ours,
                    "{name}: {dependency} must be taken from [workspace.dependencies]"
                );
            }
        }
    }
}

#[test]
fn the_lints_forbid_unsafe_and_warn_of_panics() {
    let root = manifest("Cargo.toml");
    let lints = &root["workspace"]["lints"];
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
    assert_eq!(lints["rust"]["missing_docs"].as_str(), Some("warn"));
    for lint in ["unwrap_used", "expect_used", "todo", "unimplemented", "dbg_macro"] {
        assert_eq!(lints["clippy"][lint].as_str(), Some("warn"), "clippy::{lint}; warnings are errors in CI");
    }
}

/// The names in the first column of the tables of docs/dependencies.md.
fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string(xtask::root().join("docs/dependencies.md")).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_foreign_dependency_is_used_and_has_its_reason() {
    let root = manifest("Cargo.toml");
    let all = root["workspace"]["dependencies"].as_table().unwrap();
    let foreign: BTreeSet<String> =
        all.iter().filter(|(_, value)| value.get("path").is_none()).map(|(name, _)| name.clone()).collect();
    let mut used = BTreeSet::new();
    for manifest in manifests().values() {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            used.extend(section(manifest, kind).into_keys());
        }
    }
    let unused: Vec<&String> = foreign.difference(&used).collect();
    assert!(unused.is_empty(), "no crate uses {unused:?}; remove them from [workspace.dependencies]");
    let documented = documented();
    let silent: Vec<&String> = foreign.difference(&documented).collect();
    assert!(silent.is_empty(), "docs/dependencies.md gives no reason for {silent:?}");
    let gone: Vec<&String> = documented.difference(&foreign).collect();
    assert!(gone.is_empty(), "docs/dependencies.md names {gone:?}, which nobody depends on");
}

#[test]
fn the_architecture_shows_this_table() {
    let text = std::fs::read_to_string(xtask::root().join("ARCHITECTURE.md")).unwrap();
    let shown: BTreeMap<String, BTreeSet<String>> = text
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
            let name = cells.next()?.trim_end_matches('`').to_owned();
            let last = cells.nth(1)?;
            Some((name, last.split(", ").filter(|cell| *cell != "nothing").map(str::to_owned).collect()))
        })
        .collect();
    for (name, allowed) in TABLE {
        let Some(shown) = shown.get(name) else { panic!("ARCHITECTURE.md has no line for {name}") };
        if shown.contains("all above") {
            continue;
        }
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(*shown, allowed, "ARCHITECTURE.md on {name} says something else than the test's table");
    }
}
