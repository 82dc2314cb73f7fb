//! A recording replays to the same journal, and a difference is named by its line.

use market::{NANOS_PER_SEC, Timestamp};
use recording::file::Writer;
use recording::{Input, Record};
use runner::{RunError, from_journal, replay_file};
use std::path::Path;

/// A session without a market: a universe of nobody, ticks, the end.
fn record(path: &Path) {
    let mut writer = Writer::create(path).unwrap();
    let config = serde_json::to_string(&engine::Config::default()).unwrap();
    let mut inputs = vec![
        Input::Session { run_id: "test.main".to_owned(), config },
        Input::Universe { asked: 10, members: Vec::new() },
    ];
    inputs.extend((0..20).map(|_| Input::Tick));
    inputs.extend([Input::Shutdown, Input::Tick, Input::Tick]);
    for (seq, input) in (1..).zip(inputs) {
        let at = Timestamp(1_790_000_000 * NANOS_PER_SEC + seq as i64 * NANOS_PER_SEC / 2);
        writer.push(&Record { seq, at, input }).unwrap();
    }
    writer.sync().unwrap();
}

#[test]
fn a_replay_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (log, journal) = (folder.path().join("input.rec"), folder.path().join("journal.log"));
    record(&log);
    let first = replay_file(&log, Some(&journal), None, |_| {}).unwrap();
    assert_eq!(first.inputs, 25);
    assert!(first.records > 10, "{first:?}");
    assert_eq!(first.torn_at, None);
    let again = replay_file(&log, None, Some(&journal), |_| {}).unwrap();
    assert_eq!(again.records, first.records);
    assert_eq!(from_journal(&journal).unwrap().round_trips(), 0);
}

#[test]
fn a_difference_is_named_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (log, journal) = (folder.path().join("input.rec"), folder.path().join("journal.log"));
    record(&log);
    replay_file(&log, Some(&journal), None, |_| {}).unwrap();
    let text = std::fs::read_to_string(&journal).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let cut = lines.len() - 1;
    std::fs::write(&journal, lines[..cut].join("\n") + "\n").unwrap();
    let error = replay_file(&log, None, Some(&journal), |_| {}).unwrap_err();
    assert!(matches!(&error, RunError::Differs { line, .. } if *line == cut as u64 + 1), "{error}");
    let changed = lines[2].replace(':', ";");
    lines[2] = &changed;
    std::fs::write(&journal, lines.join("\n") + "\n").unwrap();
    let error = replay_file(&log, None, Some(&journal), |_| {}).unwrap_err();
    assert!(matches!(&error, RunError::Differs { line: 3, .. }), "{error}");
    assert_eq!(error.exit_code(), 22);
}

#[test]
fn a_torn_recording_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("input.rec");
    record(&log);
    let bytes = std::fs::read(&log).unwrap();
    let mut more = bytes.clone();
    more.extend_from_slice(&bytes[12..40]);
    std::fs::write(&log, more).unwrap();
    let report = replay_file(&log, None, None, |_| {}).unwrap();
    assert_eq!(report.torn_at, Some(bytes.len() as u64));
}

#[test]
fn a_missing_recording_is_exit_66() {
    let error = replay_file(Path::new("/nowhere/input.rec"), None, None, |_| {}).unwrap_err();
    assert_eq!(error.exit_code(), 66);
}

/// Input that is no input is the caller's matter: exit 66, and never figures that look like those of a quiet session.
#[test]
fn what_is_no_journal_and_no_log_is_exit_66() {
    let folder = tempfile::tempdir().unwrap();
    let (log, journal) = (folder.path().join("input.rec"), folder.path().join("journal.log"));
    record(&log);
    replay_file(&log, Some(&journal), None, |_| {}).unwrap();
    let whole = std::fs::read(&journal).unwrap();
    let bad = folder.path().join("bad");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    let headless = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for (what, bytes) in [
        ("holds no whole record", &b""[..]),
        ("holds no whole record", b"12345"),
        ("damaged", &damaged),
        ("no start of a session", &whole[headless..]),
    ] {
        std::fs::write(&bad, bytes).unwrap();
        let error = from_journal(&bad).map(drop).unwrap_err();
        assert_eq!(error.exit_code(), 66, "{what}: {error}");
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
    let log = std::fs::read(&log).unwrap();
    for bytes in [&b""[..], b"12345", b"no log of ours at all", &log[..12], &whole] {
        std::fs::write(&bad, bytes).unwrap();
        let error = replay_file(&bad, None, None, |_| {}).unwrap_err();
        assert_eq!(error.exit_code(), 66, "{error}");
    }
    assert_eq!(from_journal(folder.path()).map(drop).unwrap_err().exit_code(), 66);
    // A folder is a recording where it holds one.
    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(replay_file(nothing.path(), None, None, |_| {}).unwrap_err().exit_code(), 66);
}
