//! What `cargo xtask test` does, step by step. A failing step ends it with its name and its exit code.
//!
//! Tests meet real servers from Debian's packages, which are installed first; the exchanges of the end-to-end tests are our own.

use crate::{Failure, cargo, licences, packages, root};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The steps that are one call of cargo each: name and arguments.
const CARGO_STEPS: [(&str, &[&str]); 4] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    ("tests", &["test", "--workspace", "--locked", "--lib", "--bins", "--test", "it"]),
    // They wait for processes most of the time, and seat themselves: more threads than cores. `--workspace` although
    // only one package has such a target: another selection of packages would compile the dependencies again.
    ("end-to-end tests", &["test", "--workspace", "--locked", "--test", "e2e", "--", "--test-threads", "24"]),
];

/// Runs every step.
///
/// # Errors
/// The first step that failed.
pub fn test() -> Result<(), Failure> {
    let begun = Instant::now();
    step("packages", "Debian packages of the servers that tests start", packages::install)?;
    for (name, args) in CARGO_STEPS {
        step(name, &format!("cargo {}", args.join(" ")), || run_cargo(name, args))?;
    }
    step("licences", "licences and duplicate versions of what we build", || {
        licences::check().map(|summary| println!("{summary}"))
    })?;
    println!("\n=== everything holds, {:.0} s", begun.elapsed().as_secs_f64());
    if let Some(warning) = skipped(&root(), std::env::var_os("ASSAY_TEST_DATA").map(PathBuf::from).as_deref())
    {
        println!("{warning}");
    }
    Ok(())
}

/// What `cargo xtask bench` runs in the workspace below `benches/`: name, package and its arguments.
const BENCHES: [(&str, &str, &[&str]); 4] = [
    ("exposition parser", "bench-exposition", &[]),
    ("judging a day", "bench-gate", &["rejudge"]),
    ("books of real captures", "bench-engine", &["replay-capture"]),
    ("frames to books", "bench-venues", &[]),
];

/// Runs the short benches.
///
/// # Errors
/// The first that failed or missed its bar.
pub fn bench() -> Result<(), Failure> {
    for (name, package, more) in BENCHES {
        let mut args = vec![
            "run",
            "--release",
            "--locked",
            "--manifest-path",
            "benches/Cargo.toml",
            "-p",
            package,
            "--",
        ];
        args.extend(more);
        step(name, &format!("cargo {}", args.join(" ")), || run_cargo(name, &args))?;
    }
    Ok(())
}

fn step(name: &str, what: &str, run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    println!("\n=== {name}: {what}");
    let begun = Instant::now();
    let result = run();
    let word = if result.is_ok() { "ok" } else { "FAILED" };
    println!("=== {name}: {word} after {:.0} s", begun.elapsed().as_secs_f64());
    result
}

fn run_cargo(name: &str, args: &[&str]) -> Result<(), Failure> {
    let status = Command::new(cargo()).args(args).current_dir(root()).status().map_err(|e| {
        Failure::new(format!("{name}: cannot start cargo ({e}); install a Rust toolchain from rustup.rs"))
    })?;
    if status.success() {
        return Ok(());
    }
    let hint = match name {
        "format" => "run `cargo fmt --all`; if cargo knows no `fmt`: `rustup component add rustfmt`",
        "lints" => "see the lints above; if cargo knows no `clippy`: `rustup component add clippy`",
        _ => "see the failures above",
    };
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1);
    Err(Failure { code, text: format!("step {name} failed ({status}); {hint}") })
}

/// What to say when the recorded data that some tests need is absent; `None` when it is there. `configured` is
/// `ASSAY_TEST_DATA`.
pub fn skipped(root: &Path, configured: Option<&Path>) -> Option<String> {
    let place = configured.map_or_else(|| root.join("../shared/data"), Path::to_owned);
    if place.is_dir() {
        return None;
    }
    let tests = data_tests(root);
    let mut text = format!(
        "\n!!! SKIPPED: {} test files compare with recorded data of the venues and others, and did nothing:\n",
        tests.len()
    );
    for test in tests {
        text.push_str(&format!("!!!   {}\n", test.display()));
    }
    text.push_str("!!! The data is not part of the repository; point ASSAY_TEST_DATA at it to run them.");
    Some(text)
}

/// The test sources that look for recorded data, relative to `root`.
fn data_tests(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = sources(&root.join("crates"))
        .into_iter()
        .filter_map(|path| Some(path.strip_prefix(root).ok()?.to_owned()))
        .filter(|path| {
            path.components().any(|part| part.as_os_str() == "tests") && !path.starts_with("crates/xtask")
        })
        .filter(|path| {
            std::fs::read_to_string(root.join(path)).is_ok_and(|text| text.contains("ASSAY_TEST_DATA"))
        })
        .collect();
    found.sort();
    found
}

/// Every Rust source below `folder`.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut next = vec![folder.to_owned()];
    while let Some(folder) = next.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.is_dir() {
                next.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
