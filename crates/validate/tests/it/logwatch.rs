//! The log watch against real traces and real ordinary logs.

use std::path::PathBuf;
use validate::logwatch::{LevelRules, LogWatch, Stream, Suspect};
use validate::mapping::LogNames;

pub(super) fn logs() -> Option<PathBuf> {
    let root = std::env::var_os("ASSAY_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let logs = root.join("logs");
    if !logs.is_dir() {
        eprintln!("SKIPPED: no logs in {}", root.display());
        return None;
    }
    Some(logs)
}

fn watch(bytes: &[u8]) -> Vec<Suspect> {
    let mut watch = LogWatch::new();
    watch.feed(Stream::Err, bytes, 1.0);
    watch.finish(2.0);
    watch.take_suspects()
}

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let Some(logs) = logs() else { return Vec::new() };
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(logs.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|ext| ext == "log" || ext == "txt"))
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    found.sort();
    found
}

fn language(file: &str) -> &'static str {
    match file.split('_').next().unwrap_or_default() {
        "complex" | "java" => "jvm",
        "csharp" => "dotnet",
        "dart" => "dart",
        "go" => "go",
        "node" | "v8" => "node",
        "php" => "php",
        "rails" => "ruby",
        "python" => "python",
        "rust" => "rust",
        other => panic!("no language for {other}"),
    }
}

/// Traces without their ordinary log lines: what a block must hold.
fn trace_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let ordinary = |line: &&str| !line.starts_with("20") && !line.starts_with("[20") && *line != "main alive";
    text.lines().filter(ordinary).filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_published_trace_is_found_whole() {
    for (file, bytes) in files("fluent_detect_exceptions") {
        let suspects = watch(&bytes);
        if file == "arbitrary_text.txt" {
            assert_eq!(suspects, [], "{file}");
            continue;
        }
        assert_eq!(suspects.len(), 1, "{file}: {suspects:#?}");
        assert_eq!(suspects[0].language, language(&file), "{file}");
        let held: Vec<&str> = suspects[0].text.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(held, trace_lines(&bytes), "{file}");
    }
}

#[test]
fn every_generated_trace_is_found_as_labelled() {
    let Some(logs) = logs() else { return };
    let labels = std::fs::read_to_string(logs.join("runtime_generated/labels.csv")).unwrap();
    for (file, bytes) in files("runtime_generated") {
        let label = labels
            .lines()
            .find(|line| line.starts_with(&file))
            .and_then(|line| line.rsplit(',').next())
            .unwrap();
        let suspects = watch(&bytes);
        // An abort without a message: only the exit status tells.
        if label == "process_failed_no_trace" || file == "rust_abort_bt0.log" {
            assert_eq!(suspects, [], "{file}");
            continue;
        }
        assert!(!suspects.is_empty(), "{file}");
        assert!(suspects.iter().all(|suspect| suspect.language == language(&file)), "{file}: {suspects:#?}");
        assert_eq!(suspects.iter().any(|s| s.thread_died), label == "worker_died_process_alive", "{file}");
        let held: Vec<String> = suspects
            .iter()
            .flat_map(|suspect| suspect.text.lines())
            .filter(|line| !line.trim().is_empty())
            .map(str::to_owned)
            .collect();
        assert_eq!(held, trace_lines(&bytes), "{file}");
    }
}

#[test]
fn ordinary_logs_hold_no_suspect() {
    for (file, bytes) in files("loghub") {
        let mut watch = LogWatch::new();
        for chunk in bytes.chunks(4_093) {
            watch.feed(Stream::Out, chunk, 0.0);
        }
        watch.finish(1.0);
        assert_eq!(watch.take_suspects(), [], "{file}");
        let counters = watch.counters();
        assert!(counters.lines >= 1_999, "{file}");
        let expected = match file.as_str() {
            "Apache_2k.log" => Some(595),
            _ => None,
        };
        assert!(expected.is_none_or(|errors| counters.errors == errors), "{file}: {counters:?}");
    }
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    for folder in ["fluent_detect_exceptions", "runtime_generated"] {
        for (file, bytes) in files(folder) {
            let whole = {
                let mut watch = LogWatch::new();
                watch.feed(Stream::Err, &bytes, 1.0);
                watch.finish(1.0);
                (watch.take_suspects(), watch.counters(), watch.top_errors())
            };
            for at in (0..bytes.len()).step_by(if bytes.len() > 3_000 { 37 } else { 1 }) {
                let mut watch = LogWatch::new();
                watch.feed(Stream::Err, &bytes[..at], 1.0);
                watch.feed(Stream::Err, &bytes[at..], 1.0);
                watch.finish(1.0);
                assert_eq!(
                    (watch.take_suspects(), watch.counters(), watch.top_errors()),
                    whole,
                    "{file} at {at}"
                );
            }
        }
    }
}

#[test]
fn a_quoted_traceback_is_none() {
    for text in [
        "> Traceback (most recent call last):\n>   File \"x.py\", line 1, in f\n> KeyError: 'a'\n",
        "    Traceback (most recent call last):\n      File \"x.py\", line 1, in f\n    KeyError: 'a'\n",
        "2026-11-23 02:00:00 INFO doc: a Traceback (most recent call last): is printed\nnext\n",
        "Traceback (most recent call last):\nnothing follows\n",
        "2026-11-23 02:00:00 INFO saw thread 'main' panicked at src/a.rs:1:2:\nnext\n",
        "2026-11-23 02:00:00 ERROR panic: error exception Exception in thread fatal error\n",
        "panic: the market is in panic\nbut we go on\n",
        "we print\n    at the end of the day\n    at (12)\n",
        "Stack trace: none\nStack trace:\nnone\n",
        "2026-11-23 INFO Segmentation fault tolerance is on\n",
        "\"main\" #1 prio=5\n   java.lang.Thread.State: RUNNABLE\n\tat java.lang.Thread.run(Thread.java:1)\n",
    ] {
        assert_eq!(watch(text.as_bytes()), [], "{text}");
    }
}

#[test]
fn structures_of_every_kind() {
    let cases: [(&str, &str, bool); 18] = [
        (
            "thread 'main' panicked at 'boom', src/main.rs:2:5\nnote: run with `RUST_BACKTRACE=1`\n",
            "rust",
            false,
        ),
        ("thread 'main' panicked at 'a\nb', src/main.rs:2:5\n", "rust", false),
        ("thread 'tokio-runtime-worker' (9) panicked at src/a.rs:1:2:\nboom\n", "rust", true),
        ("thread '<unnamed>' panicked at src/a.rs:1:2:\n\n", "rust", true),
        ("memory allocation of 99999999 bytes failed\n", "rust", false),
        (
            "Exception in thread Thread-1 (feed):\nTraceback (most recent call last):\n  File \"a.py\", line 1, in feed\n    x\nKeyError: 1\n",
            "python",
            true,
        ),
        (
            "ERROR:asyncio:Task exception was never retrieved\nfuture: <Task finished name='Task-2'>\nTraceback (most recent call last):\n  File \"a.py\", line 1, in feed\nKeyError: 1\n",
            "python",
            true,
        ),
        (
            "2026-11-23 02:00:00,000 ERROR bot Traceback (most recent call last):\n  File \"a.py\", line 1, in feed\nKeyError: 1\n",
            "python",
            false,
        ),
        (
            "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n",
            "python",
            false,
        ),
        (
            "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/a.go:3 +0x1\n",
            "go",
            false,
        ),
        ("Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space\n", "jvm", false),
        (
            "Unhandled exception. System.Exception: x\n   at P.Main(String[] args) in /a.cs:line 3\n",
            "dotnet",
            false,
        ),
        (
            "PHP Fatal error:  Uncaught Exception: x in /a.php:3\nStack trace:\n#0 {main}\n  thrown in /a.php on line 3\n",
            "php",
            false,
        ),
        (
            "a.rb:3:in 'Integer#/': divided by 0 (ZeroDivisionError)\n\tfrom a.rb:3:in '<main>'\n",
            "ruby",
            false,
        ),
        (
            "#<Thread:0x00007f a.rb:1 run> terminated with exception (report_on_exception is true):\na.rb:1:in 'f': x (RuntimeError)\n",
            "ruby",
            true,
        ),
        ("Segmentation fault (core dumped)\n", "native", false),
        (
            "terminate called after throwing an instance of 'std::runtime_error'\n  what():  boom\nAborted (core dumped)\n",
            "native",
            false,
        ),
        (
            "==12==ERROR: AddressSanitizer: heap-use-after-free on address 0x6\nREAD of size 8\n    #0 0x4 in main a.c:3\n\n==12==ABORTING\n",
            "native",
            false,
        ),
    ];
    for (text, language, died) in cases {
        let suspects = watch(text.as_bytes());
        assert_eq!(suspects.len(), 1, "{text}: {suspects:#?}");
        assert_eq!((suspects[0].language, suspects[0].thread_died), (language, died), "{text}");
        let held: String = suspects[0].text.lines().filter(|line| !line.is_empty()).collect();
        let given: String = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(held, given, "{text}");
    }
}

#[test]
fn other_lines_between_do_not_hurt() {
    let mut watch = LogWatch::new();
    watch.feed(Stream::Out, b"2026-11-23T02:00:00Z  INFO one\nTraceb", 0.0);
    watch.feed(Stream::Err, b"thread 'main' panicked at a.rs:1:2:\r\nbo", 0.1);
    watch.feed(Stream::Out, b"ack no\n2026-11-23T02:00:00Z ERROR two \xff\xfe\n", 0.15);
    watch.feed(Stream::Err, b"om\nstack backtrace:\n   0: x\n", 0.2);
    watch.idle(0.4);
    assert_eq!(watch.take_suspects(), []);
    watch.idle(0.5);
    let suspects = watch.take_suspects();
    assert_eq!(suspects.len(), 1);
    assert_eq!(suspects[0].text, "thread 'main' panicked at a.rs:1:2:\nboom\nstack backtrace:\n   0: x");
    assert_eq!(suspects[0].before, ["2026-11-23T02:00:00Z  INFO one"]);
    // A late rest of the same block is not another one.
    watch.feed(Stream::Err, b"             at ./a.rs:1:2\n             at ./a.rs:1:3\n", 0.9);
    watch.finish(1.0);
    assert_eq!(watch.take_suspects(), []);
    assert_eq!(watch.counters().suspects, 1);
}

#[test]
fn counts() {
    let mut watch = LogWatch::new();
    watch.feed(Stream::Err, b"2026-11-23T02:00:00.000Z ERROR order 1 refused\n", 0.01);
    watch.feed(Stream::Err, b"2026-11-23T02:00:00.000Z ERROR order 2 refused\n", 0.09);
    watch.feed(Stream::Err, b"2026-11-23T02:00:00.000Z ERROR other\n", 0.11);
    watch.feed(
        Stream::Err,
        b"2026-11-23T02:00:00.000Z  WARN Position limit reached\n{\"level\":\"warn\"}\n",
        0.3,
    );
    watch.feed(Stream::Err, b"2026-11-23T02:00:00.000Z CRITICAL Emergency stop: error exception\n", 0.35);
    watch.feed(Stream::Err, b"2026-11-23T02:00:00.000Z  INFO alert 7 moved to DLQ\nsettled: DLQ 0", 0.4);
    watch.finish(0.5);
    let c = watch.counters();
    assert_eq!((c.lines, c.errors, c.warnings, c.criticals, c.dlq), (8, 3, 2, 1, 1));
    assert_eq!((c.error_slots, c.position_limit, c.emergency_stop, c.suspects), (3, 1, 1, 0));
    assert_eq!(watch.top_errors()[0], ("order # refused".to_owned(), 2));
}

#[test]
fn a_line_or_a_block_without_end_is_bounded_and_it_is_said() {
    let mut watch = LogWatch::new();
    watch.feed(
        Stream::Err,
        b"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nValueError: ",
        1.0,
    );
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        watch.feed(Stream::Err, &piece, 1.0);
    }
    watch.feed(Stream::Err, b"\n2026-11-23T02:00:00Z INFO next\n", 1.0);
    let frames = b"  File \"a.py\", line 1, in f\n".repeat(40_000);
    watch.feed(Stream::Err, b"Traceback (most recent call last):\n", 2.0);
    for _ in 0..100 {
        watch.feed(Stream::Err, &frames, 2.0);
    }
    watch.feed(Stream::Err, b"RecursionError: deep\n", 2.0);
    watch.finish(3.0);
    let suspects = watch.take_suspects();
    assert_eq!(suspects.len(), 2);
    assert!(suspects[0].text.contains("bytes of this line left out)"), "{}", suspects[0].text.len());
    assert!(suspects[1].text.ends_with("further lines left out)"));
    for suspect in &suspects {
        assert!(suspect.text.len() < 300_000);
        assert!(suspect.before.len() <= 50 && suspect.before.iter().all(|line| line.len() < 2_100));
    }
    let cut: u64 = suspects[0].text.rsplit(" (").next().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(cut + 16 * 1024, (100 << 20) + "ValueError: ".len() as u64);
}

#[test]
fn a_trace_written_with_pauses_is_one_block_with_its_last_line() {
    let mut watch = LogWatch::new();
    let mut found = Vec::new();
    for (piece, t) in [
        ("Traceback (most recent call last):\n", 1.0),
        ("  File \"a.py\", line 1, in f\n", 2.5),
        ("    x()\n", 4.0),
        ("KeyError: 1\n", 5.5),
    ] {
        watch.idle(t);
        found.extend(watch.take_suspects());
        watch.feed(Stream::Err, piece.as_bytes(), t);
    }
    assert_eq!(found, [], "not before its last line");
    watch.idle(5.9);
    found.extend(watch.take_suspects());
    assert_eq!(found.len(), 1);
    assert!(found[0].text.ends_with("KeyError: 1"));
}

#[test]
fn inner_lines_of_a_trace_count_no_level() {
    let mut watch = LogWatch::new();
    watch.feed(
        Stream::Err,
        b"2026-11-23 02:00:00,123 ERROR bot: refused\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n    ERROR: x\nValueError: first\nerror: second\n",
        1.0,
    );
    watch.feed(Stream::Err, b"2026-11-23 02:00:01,123 ERROR bot: other\n", 1.2);
    watch.finish(2.0);
    assert_eq!((watch.counters().errors, watch.counters().lines), (2, 7));
}

#[test]
fn error_lines_are_kept_until_they_are_taken() {
    let mut watch = LogWatch::new().keeping_error_lines();
    watch.feed(
        Stream::Out,
        b"2026-11-23T02:00:00Z ERROR one\n2026-11-23T02:00:00Z INFO no ERROR\nCRITI",
        1.0,
    );
    assert_eq!(watch.take_error_lines(), b"2026-11-23T02:00:00Z ERROR one\n");
    watch.feed(Stream::Out, b"CAL: two", 1.0);
    watch.finish(1.0);
    assert_eq!(watch.take_error_lines(), b"CRITICAL: two\n");
}

#[test]
fn a_runners_own_marks_count() {
    let names = LogNames {
        level: Some(r"^(?:[0-9:]+\|)?(?P<level>E|I|!!)".to_owned()),
        error: vec!["E".to_owned()],
        critical: vec!["!!".to_owned()],
        ..LogNames::default()
    };
    let mut watch = LogWatch::new().and_rules(LevelRules::new(&names).unwrap());
    watch.feed(
        Stream::Out,
        b"02:00:00|E|refused\n02:00:00|I|an ERROR: |E|\n!! out of money\n[WARN] usual\n",
        1.0,
    );
    watch.finish(1.0);
    let c = watch.counters();
    assert_eq!((c.errors, c.criticals, c.warnings), (1, 1, 1));
}
