//! What a log and an exit status mean together: every recorded case is played through the log watch and the suspects, in virtual
//! time, as a run does it.
//!
//! The cases under `tests/data/logs` were made with real runtimes (CPython 3.8 to 3.13, Node 20, OpenJDK 17, rustc, GCC); each
//! text is what the process wrote, each status what it ended with.

use std::path::{Path, PathBuf};
use validate::logwatch::{LogWatch, Stream};
use validate::watch::suspects::{Ending, Progress, Suspects};

/// How a case is played.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// Everything at once, and the end at once after it.
    Burst,
    /// Pieces of so many bytes, some time apart, as a process writes that is slow to die.
    Pieces(usize, f64),
    /// The process lives on for this long before it ends.
    LivesOn(f64),
}

/// The outcome of a case: the label, and the language of every block.
pub(super) fn outcome(log: &[u8], exit_status: i32, pace: Pace) -> (&'static str, Vec<String>) {
    let mut watch = LogWatch::new();
    let mut suspects = Suspects::new(10.0);
    let mut t = 1.0;
    let (piece, step) = match pace {
        Pace::Pieces(piece, step) => (piece, step),
        Pace::Burst | Pace::LivesOn(_) => (log.len().max(1), 0.0),
    };
    for chunk in log.chunks(piece) {
        watch.feed(Stream::Err, chunk, t);
        t += step;
        watch.idle(t);
        suspects.add(watch.take_suspects());
        // A process that is about to fail does not work on while it writes its trace.
        let progress = if exit_status == 0 { Progress::Moving } else { Progress::Unsure };
        if exit_status == 0 {
            let _ = suspects.on_time(t, progress);
        }
    }
    if let Pace::LivesOn(seconds) = pace {
        t += seconds;
        watch.idle(t);
        suspects.add(watch.take_suspects());
        let _ = suspects.on_time(t, Progress::Moving);
    }
    watch.finish(t);
    suspects.add(watch.take_suspects());
    // A shell, and every supervisor below us, reports a signal as 128 and its number.
    let ending = Ending { clean: exit_status == 0, foreign_signal: exit_status > 128 };
    let _ = suspects.on_exit(ending);
    let blocks = suspects.take();
    let has = |kind: &str| blocks.iter().any(|block| block.kind == kind);
    let label = if has("worker_died") {
        "worker_died_process_alive"
    } else if has("crash") || exit_status > 128 {
        "process_crashed"
    } else if exit_status != 0 {
        "process_failed_no_trace"
    } else if has("handled") {
        "trace_but_handled"
    } else {
        "clean"
    };
    (label, blocks.into_iter().map(|block| block.language).collect())
}

/// `file,exit_status,label` and, in our own table, the languages of its blocks.
fn table(folder: &Path) -> Vec<(String, i32, String, Option<String>)> {
    let text = std::fs::read_to_string(folder.join("labels.csv")).unwrap();
    let rows: Vec<_> = text
        .lines()
        .skip(1)
        .map(|line| {
            let mut fields = line.split(',');
            let mut next = || fields.next().map(str::to_owned);
            (next().unwrap(), next().unwrap().parse().unwrap(), next().unwrap(), next())
        })
        .collect();
    assert!(rows.len() > 20);
    rows
}

fn check(folder: &Path) -> usize {
    let mut wrong = Vec::new();
    let rows = table(folder);
    for (file, status, label, languages) in &rows {
        let log = std::fs::read(folder.join(file)).unwrap();
        for pace in [Pace::Burst, Pace::Pieces(97, 0.02), Pace::Pieces(1_000, 0.4)] {
            let (found, blocks) = outcome(&log, *status, pace);
            let blocks = blocks.join(" ");
            // `*rust`: at least one block, and no other language.
            let fits = languages.as_ref().is_none_or(|expected| match expected.strip_prefix('*') {
                Some(one) => !blocks.is_empty() && blocks.split(' ').all(|language| language == one),
                None => blocks == *expected,
            });
            if found != label || !fits {
                wrong.push(format!("{file} {pace:?}: {found} [{blocks}], not {label} {languages:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    rows.len()
}

#[test]
fn every_recorded_case_has_its_true_outcome() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/logs");
    assert!(check(&folder) > 150);
}

#[test]
fn every_published_case_has_its_label() {
    let Some(logs) = super::logwatch::logs() else { return };
    assert!(check(&logs.join("runtime_generated")) >= 24);
}

/// The recorded cases: name, text, exit status, label.
pub(super) fn recorded() -> Vec<(String, Vec<u8>, i32, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/logs");
    table(&folder)
        .into_iter()
        .map(|(file, status, label, _)| {
            let log = std::fs::read(folder.join(&file)).unwrap();
            (file, log, status, label)
        })
        .collect()
}
