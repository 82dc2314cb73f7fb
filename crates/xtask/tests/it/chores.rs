//! The chores themselves.

use serde_json::json;
use xtask::allow::{DUPLICATES, LICENCES};
use xtask::licences::{self, Metadata, permitted};
use xtask::steps::skipped;

#[test]
fn licence_expressions_are_read_as_spdx_says() {
    let allowed = ["MIT", "Apache-2.0"];
    for good in [
        "MIT",
        "MIT OR GPL-3.0-only",
        "MIT/Apache-2.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
        "(GPL-2.0-only OR MIT) AND Apache-2.0",
        "GPL-2.0-only AND BSD-2-Clause OR MIT",
    ] {
        assert!(permitted(good, &allowed), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "(MIT OR GPL-3.0-only) AND ISC",
        "MIT OR",
        "OR MIT",
        "(MIT",
        "MIT)",
        "MIT Apache-2.0",
        "Apache-2.0 WITH",
        "no licence",
        "mit",
    ] {
        assert!(!permitted(bad, &allowed), "{bad}");
    }
}

/// What cargo would say about these packages: name, version, licence. All of them are built but `elsewhere`.
fn metadata(packages: &[(&str, &str, Option<&str>)]) -> Metadata {
    // What the list of duplicates promises, so that only the packages of the test can be wrong.
    let promised = DUPLICATES
        .iter()
        .flat_map(|(name, _)| [(*name, "1.0.0", Some("MIT")), (*name, "2.0.0", Some("MIT"))]);
    let all: Vec<_> = promised.chain(packages.iter().copied()).collect();
    let id = |name: &str, version: &str| format!("{name} {version}");
    let described: Vec<_> = all
        .iter()
        .map(|(name, version, licence)| {
            json!({ "id": id(name, version), "name": name, "version": version, "license": licence, "edition": "2024" })
        })
        .collect();
    let nodes: Vec<_> = all
        .iter()
        .filter(|p| p.0 != "elsewhere")
        .map(|p| json!({ "id": id(p.0, p.1), "features": [] }))
        .collect();
    serde_json::from_value(json!({ "packages": described, "resolve": { "nodes": nodes }, "version": 1 }))
        .unwrap()
}

#[test]
fn what_is_built_is_judged_and_nothing_else() {
    let summary =
        licences::judge(&metadata(&[("a", "1.0.0", Some("MIT")), ("elsewhere", "1.0.0", None)])).unwrap();
    assert!(summary.starts_with(&format!("{} crates", DUPLICATES.len() * 2 + 1)), "{summary}");
}

#[test]
fn a_foreign_licence_and_an_unknown_duplicate_are_named() {
    let packages = [
        ("a", "1.0.0", Some("AGPL-3.0-only")),
        ("b", "1.0.0", None),
        ("c", "1.0.0", Some("MIT")),
        ("c", "2.0.0", Some("MIT")),
    ];
    let failure = licences::judge(&metadata(&packages)).unwrap_err();
    for expected in [
        "a 1.0.0: AGPL-3.0-only",
        "b 1.0.0: no licence",
        "c is built in the versions 1.0.0, 2.0.0",
        "allow.rs",
    ] {
        assert!(failure.text.contains(expected), "{expected} is missing in {failure}");
    }
    assert_ne!(failure.code, 0);
}

#[test]
fn a_reason_without_a_duplicate_is_named() {
    let nothing: Metadata =
        serde_json::from_value(json!({ "packages": [], "resolve": { "nodes": [] } })).unwrap();
    let failure = licences::judge(&nothing).unwrap_err();
    for (name, _) in DUPLICATES {
        assert!(failure.text.contains(&format!("{name} is on the list of duplicates")), "{failure}");
    }
}

#[test]
fn every_entry_of_the_lists_has_a_reason() {
    for (name, reason) in LICENCES.iter().chain(&DUPLICATES) {
        assert!(reason.len() > 8, "{name}: {reason:?} is no reason");
    }
}

#[test]
fn absent_data_is_said_aloud() {
    let root = xtask::root();
    assert_eq!(skipped(&root, Some(&root)), None, "the data is there");
    let text = skipped(&root, Some(&root.join("no/such/folder"))).unwrap();
    assert!(text.contains("SKIPPED") && text.contains("ASSAY_TEST_DATA"), "{text}");
    assert!(text.contains("crates/venues/tests/it"), "{text}");
}
