//! What source files may contain: sizes, and no world in the pure crates.

use std::path::{Path, PathBuf};

/// A source of this many lines or more wants to be two.
const MAX_LINES: usize = 700;

/// Crates that do no I/O, read no clock, start no task and draw no unseeded random number.
const PURE: [&str; 7] = ["market", "catalogue", "engine", "gate", "venues", "recording", "journal"];

/// What they must not name, comments and doc comments aside. `Duration` is a value and may be named; a `HashMap` would bring
/// its random order into results.
const FORBIDDEN: [&str; 17] = [
    "HashMap",
    "HashSet",
    "Instant",
    "SystemTime",
    "std::net",
    "std::fs",
    "std::env::",
    "std::process",
    "std::thread",
    "tokio::",
    "reqwest",
    "Timestamp::now",
    "OsRng",
    "rand::rng",
    "from_os_rng",
    "println!",
    "rand::random",
];

/// The files of these crates that are the shell: file formats, and what `venues` has under its feature `net`.
fn is_shell(path: &Path) -> bool {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let venues = path.starts_with("crates/venues");
    path.ends_with("recording/src/file.rs")
        || path.ends_with("recording/src/series.rs")
        || path.ends_with("journal/src/file.rs")
        || (venues && matches!(file, "rest.rs" | "stream.rs" | "endpoints.rs" | "dial.rs" | "link.rs"))
}

/// Sources below `crates/<name>/src`, relative to the root, with their text.
fn sources(name: &str) -> Vec<(PathBuf, String)> {
    let root = xtask::root();
    xtask::steps::sources(&root.join("crates").join(name).join("src"))
        .into_iter()
        .map(|path| (path.strip_prefix(&root).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

fn crates() -> Vec<String> {
    let folders = std::fs::read_dir(xtask::root().join("crates")).unwrap();
    folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The lines that a pure source must not have: number and word.
fn impurities(text: &str) -> Vec<(usize, &'static str)> {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let hits = |(n, line): (usize, &str)| {
        let line = code(line);
        FORBIDDEN.into_iter().find(|word| line.contains(word)).map(|word| (n + 1, word))
    };
    text.lines().enumerate().filter_map(hits).collect()
}

#[test]
fn the_pure_crates_know_no_world() {
    for name in PURE {
        let files = sources(name);
        assert!(!files.is_empty(), "crates/{name} has no sources");
        for (path, text) in files.into_iter().filter(|(path, _)| !is_shell(path)) {
            let found = impurities(&text);
            assert!(found.is_empty(), "{} is part of the core and names {found:?}", path.display());
        }
    }
}

#[test]
fn the_scan_finds_what_it_looks_for() {
    assert_eq!(impurities("use std::time::Duration;\n// Instant::now() is elsewhere\n"), []);
    let clock = "fn f() {\n    let now = std::time::Instant::now();\n}\n";
    assert_eq!(impurities(clock), [(2, "Instant")]);
    assert_eq!(impurities("use std::collections::HashMap;"), [(1, "HashMap")]);
    assert_eq!(impurities("use std::fs::File; // and no more"), [(1, "std::fs")]);
}

#[test]
fn the_shell_of_the_venues_stands_behind_its_feature() {
    let (_, lib) = sources("venues").into_iter().find(|(path, _)| path.ends_with("src/lib.rs")).unwrap();
    let lines: Vec<&str> = lib.lines().collect();
    for module in ["cause", "dial", "endpoints", "link", "rest", "rest_error", "stream"] {
        let declared = lines
            .windows(2)
            .any(|two| two[0] == "#[cfg(feature = \"net\")]" && two[1] == format!("mod {module};"));
        assert!(declared, "venues: mod {module} must stand behind the feature `net`");
    }
}

#[test]
fn sources_stay_small_and_say_what_they_are() {
    for name in crates() {
        for (path, text) in sources(&name) {
            let lines = text.lines().count();
            assert!(lines < MAX_LINES, "{} has {lines} lines; split it", path.display());
            let test_module = path.file_name().is_some_and(|file| file == "tests.rs");
            assert!(
                test_module || text.starts_with("//!"),
                "{} does not begin with what it is (//!)",
                path.display()
            );
        }
    }
}
