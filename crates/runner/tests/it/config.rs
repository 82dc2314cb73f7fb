//! Configuration errors say where they are, and end with exit code 64.

use clap::Parser;
use runner::{RunArgs, RunError, parse_config, run, write_atomic};
use std::path::Path;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: RunArgs,
}

/// A command line with paths inside `folder` and a free port.
pub fn args(folder: &Path, more: &[&str]) -> RunArgs {
    let kpi = folder.join("kpi.json");
    let base = ["run", "--kpi-output-path", kpi.to_str().unwrap(), "--metrics-addr", "127.0.0.1:0"];
    Command::try_parse_from(base.iter().chain(more)).unwrap().args
}

#[test]
fn an_unknown_key_is_an_error_with_line_and_column() {
    let error = parse_config("env = \"paper\"\n\n[engine]\n  min_edge_bp = 5\n").unwrap_err();
    assert!(error.starts_with("line 4, column 3: "), "{error}");
    assert!(error.contains("min_edge_bp"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_is_an_error() {
    let error = parse_config("linger_ms = \"soon\"\n").unwrap_err();
    assert!(error.starts_with("line 1, column "), "{error}");
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = parse_config("").unwrap();
    assert_eq!((config.kpi_interval_ms, config.linger_ms), (10_000, 20_000));
    assert_eq!(config.engine, engine::Config::default());
}

#[test]
fn local_needs_endpoints() {
    let folder = tempfile::tempdir().unwrap();
    let error = run(args(folder.path(), &["--data-source", "local"])).unwrap_err();
    assert_eq!(error.exit_code(), 64);
    assert!(error.to_string().contains("[endpoints]"), "{error}");
    assert!(!folder.path().join("kpi.json").exists());
}

#[test]
fn a_missing_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = run(args(folder.path(), &["--config", "/nowhere/assay.toml"])).unwrap_err();
    assert_eq!(error.exit_code(), 64);
    assert!(error.to_string().contains("/nowhere/assay.toml"), "{error}");
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("journal")).unwrap();
    let path = folder.path().join("journal/journal.log");
    std::fs::write(&path, "x").unwrap();
    let error = run(args(folder.path(), &[])).unwrap_err();
    assert!(matches!(error, RunError::Recovery { .. }), "{error}");
    assert_eq!(error.exit_code(), 66);
    assert_eq!(std::fs::read(&path).unwrap(), b"x");
    assert!(!folder.path().join("kpi.json").exists());
}

#[test]
fn a_taken_port_is_named_with_its_switch() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut args = args(folder.path(), &[]);
    args.metrics_addr = address;
    let error = run(args).unwrap_err();
    assert_eq!(error.exit_code(), 64);
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("--metrics-addr"), "{text}");
}

#[test]
fn a_file_is_replaced_whole_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kpi.json");
    write_atomic(&path, b"old").unwrap();
    write_atomic(&path, b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
}
