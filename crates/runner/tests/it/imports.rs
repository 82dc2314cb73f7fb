//! Captures of other programs as recordings: touches and final books equal the oracle, nothing is dropped in silence.

use market::{Price, Quantity, Side};
use runner::import::{CaptureFormat, import_files};
use runner::info;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};

pub fn data(relative: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("ASSAY_TEST_DATA") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: no test data at {} (set ASSAY_TEST_DATA)", path.display());
    None
}

fn oracle(name: &str) {
    let (Some(capture), Some(expected)) =
        (data(&format!("binance/hftbacktest/{name}.gz")), data("binance/hftbacktest/EXPECTED.json"))
    else {
        return;
    };
    let expected: Value = serde_json::from_slice(&std::fs::read(expected).unwrap()).unwrap();
    let expected = &expected[name];
    let number = |key: &str| expected[key].as_u64().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.rec");
    let done = import_files(CaptureFormat::Hftbacktest, &[capture], None, &out).unwrap();
    assert_eq!(done.lines, done.frames + done.snapshots, "{done:?}");
    assert_eq!((done.snapshots, done.blank, done.clamped, done.untimed), (1, 0, 0, 0));
    let info = info::read(&out).unwrap();
    assert!(info.problems.is_empty(), "{:?}", info.problems);
    let counts = info.books.counts();
    assert_eq!((counts.gaps, counts.unreadable, counts.astray), (number("sequence_breaks"), 0, 0));
    assert_eq!(counts.frames, done.frames);
    assert_eq!(counts.diffs_applied, number("depth_events_applied"));
    served(&out, expected);
    let (book, last) = info.books.binance("BTCUSDT").unwrap();
    assert_eq!(last, number("last_u"));
    for (side, touch, levels) in
        [(Side::Bid, "final_best_bid", "levels_bid"), (Side::Ask, "final_best_ask", "levels_ask")]
    {
        let best = book.best(side).unwrap();
        let text = |i: usize| expected[touch][i].as_str().unwrap();
        assert_eq!(best.price, Price::parse(text(0)).unwrap());
        assert_eq!(best.quantity, Quantity::parse(text(1)).unwrap());
        assert_eq!(book.depth(side) as u64, number(levels));
    }
}

/// What the local exchange serves at the capture's end, by a parser of its own.
fn served(recording: &Path, expected: &Value) {
    let playing = exchange::tape::Playing { path: recording.to_owned(), speed: 1.0, looped: false };
    let mut tape = exchange::tape::Tape::open(playing).unwrap();
    let listed = tape.listings();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].binance.as_deref(), Some("BTCUSDT"));
    while tape.advance(market::Timestamp(i64::MAX)).unwrap().is_some() {}
    let text = |touch: &str, i: usize| expected[touch][i].as_str().unwrap();
    let top = ["final_best_bid", "final_best_ask"].map(|touch| [text(touch, 0), text(touch, 1)]);
    assert_eq!(tape.top(0), Some([top[0][0], top[0][1], top[1][0], top[1][1]]));
    let body: Value = serde_json::from_str(&tape.depth(0, 10_000).unwrap()).unwrap();
    for (side, levels) in [("bids", "levels_bid"), ("asks", "levels_ask")] {
        assert_eq!(body[side].as_array().unwrap().len() as u64, expected[levels].as_u64().unwrap());
    }
    assert_eq!(body["lastUpdateId"], expected["last_u"]);
}

#[test]
fn an_imported_spot_capture_ends_with_the_expected_book() {
    oracle("spot_btcusdt_20240808");
}

#[test]
fn an_imported_usdm_capture_ends_with_the_expected_book() {
    oracle("usdm_btcusdt_20240808");
}

fn four_symbols(prefix: &str, exchange_info: Option<&str>) {
    let name = |part: &str| data(&format!("binance/cryptofeed/{prefix}_{part}.txt"));
    let (Some(stream), Some(rest)) = (name("ws"), name("depth_snapshots_rest")) else { return };
    let exchange_info = exchange_info.and_then(|name| data(&format!("binance/cryptofeed/{name}")));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.rec");
    let done =
        import_files(CaptureFormat::Cryptofeed, &[stream, rest], exchange_info.as_deref(), &out).unwrap();
    assert_eq!((done.snapshots, done.connects, done.symbols.len()), (4, 1, 4), "{done:?}");
    assert_eq!(done.lines, done.frames + done.snapshots + done.connects + done.blank, "{done:?}");
    let info = info::read(&out).unwrap();
    assert_eq!((info.books.counts().gaps, info.books.counts().unreadable), (0, 0));
    let symbols: Vec<(&str, bool)> = info.books.binance_symbols().collect();
    assert_eq!(symbols.len(), 4);
    assert!(symbols.iter().all(|(_, live)| *live), "{symbols:?}");
    // It replays: the engine takes it to its end.
    let report = runner::replay_file(&out, None, None, |_| {}).unwrap();
    assert_eq!((report.inputs, report.problems.len()), (done.records, 0));
}

#[test]
fn captures_of_four_symbols_sync_without_gaps() {
    four_symbols("spot_20211012", Some("exchangeInfo_spot_20211012.json.gz"));
    four_symbols("usdm_20210722", None);
}

#[test]
fn every_line_of_an_upbit_capture_comes_over() {
    let Some(path) = data("upbit/upbit_ws_SIMPLE_20210417_part1.jsonl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.rec");
    let done = import_files(CaptureFormat::UpbitWs, &[path], None, &out).unwrap();
    assert_eq!((done.frames, done.lines), (225, 225));
    let info = info::read(&out).unwrap();
    let counts = info.books.counts();
    assert_eq!((counts.unreadable, counts.frames), (0, 225));
    assert!(counts.upbit_books > 50 && counts.upbit_books + counts.other == 225, "{counts:?}");
}

const CAPTURE: &str = concat!(
    "1000000000 {\"stream\":\"abcusdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":1,\"s\":\"ABCUSDT\",\"U\":2,\"u\":3,\"b\":[[\"1.5\",\"2\"]],\"a\":[]}}\n",
    "1100000000 {\"lastUpdateId\":2,\"bids\":[[\"1.4\",\"1\"]],\"asks\":[[\"1.6\",\"3\"]]}\n",
    "1050000000 {\"stream\":\"abcusdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":2,\"s\":\"ABCUSDT\",\"U\":4,\"u\":5,\"b\":[[\"1.4\",\"0\"]],\"a\":[]}}\n",
    "\n",
);

fn put(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn an_import_shows_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, out) = (put(folder.path(), "a.txt", CAPTURE.as_bytes()), folder.path().join("out.rec"));
    let done = import_files(CaptureFormat::Hftbacktest, std::slice::from_ref(&capture), None, &out).unwrap();
    assert_eq!((done.lines, done.frames, done.snapshots, done.blank, done.clamped), (4, 2, 1, 1, 1));
    let text = info::render(&info::read(&out).unwrap(), true);
    let bytes = std::fs::metadata(&out).unwrap().len();
    let golden = format!(
        "session      import
span         1970-01-01T00:00:01.000Z to 1970-01-01T00:00:01.100Z, 0.100 s
files        1, 1 blocks, {bytes} bytes
records      6
frames       2, 232 bytes, 0 of them no books
connection   0 of binance: 2 frames
universe     1 members
binance      1 symbols, 1 books at the end, 2 diffs applied, 0 best quotes
snapshots    1, 0 did not fit their diffs, 0 requests failed
upbit        0 codes, 0 books
gaps         0 in the ids, 0 connections lost, 0 books crossed
unread       0 not understood, 0 of a connection that was not up
damage       none: every block is whole and in order
binance      ABCUSDT       1.5 x 2 | 1.6 x 3, 1 and 1 levels, last id 5
"
    );
    assert_eq!(text, golden);
    let again = import_files(CaptureFormat::Hftbacktest, &[capture], None, &out).unwrap_err();
    assert!(again.to_string().contains("exists already"), "{again}");

    // Its tail torn off, and a byte changed: both are said.
    let whole = std::fs::read(&out).unwrap();
    std::fs::write(&out, &whole[..whole.len() - 3]).unwrap();
    assert!(info::render(&info::read(&out).unwrap(), false).contains("out.rec has a torn tail at byte 12"));
    let mut bad = whole;
    bad[60] ^= 1;
    std::fs::write(&out, bad).unwrap();
    let text = info::render(&info::read(&out).unwrap(), false);
    assert!(text.contains("out.rec is damaged at byte 12: its checksum does not match"), "{text}");
}

#[test]
fn a_damaged_capture_is_an_error_with_its_line_and_byte_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.rec");
    let first = CAPTURE.lines().next().unwrap();
    let cases = [
        (format!("{first}\n12 {{\"stream\":"), 2, first.len() + 1),
        (format!("{first}\nnonsense\n"), 2, first.len() + 1),
        (format!("{first}\n\n7x {{}}\n"), 3, first.len() + 2),
        (
            format!("{first}\n9 {{\"lastUpdateId\":2,\"bids\":[[\"x\",\"1\"]],\"asks\":[]}}\n"),
            2,
            first.len() + 1,
        ),
    ];
    for (text, line, byte) in cases {
        let capture = put(folder.path(), "a.txt", text.as_bytes());
        let error = import_files(CaptureFormat::Hftbacktest, &[capture], None, &out).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(&format!("a.txt line {line} (byte {byte} of its text)")), "{said}");
        assert_eq!(error.exit_code(), 64);
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(CAPTURE.repeat(50).as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let capture = put(folder.path(), "a.gz", &packed[..packed.len() / 2]);
    let error = import_files(CaptureFormat::Hftbacktest, &[capture], None, &out).unwrap_err();
    assert!(error.to_string().contains("reading stopped behind line"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no half recording is left");
}
