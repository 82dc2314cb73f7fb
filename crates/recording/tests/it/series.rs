//! Recordings in several files: order, rotation, cap, holes, kills at any byte.

use bytes::Bytes;
use market::{Timestamp, Venue};
use proptest::prelude::*;
use recording::file::FileError;
use recording::series::{Limits, Problem, Series, SeriesWriter, Totals};
use recording::{Input, Record};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes that do not compress away, different for every record.
fn noise(seq: u64, len: usize) -> Bytes {
    let mut bits = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (bits >> 56) as u8
        })
        .collect::<Vec<u8>>()
        .into()
}

fn record(seq: u64) -> Record {
    let input = match seq {
        1 => Input::Session { run_id: "r".to_owned(), config: "{}".to_owned() },
        2 => Input::ConnUp { conn: 0, venue: Venue::Upbit },
        _ => Input::Frame { conn: 0, payload: noise(seq, 20_000) },
    };
    Record { seq, at: Timestamp(seq as i64 * 1_000_000_000), input }
}

/// A checkpoint that says what is up and how far it was.
fn checkpoint(seq: u64) -> Vec<Record> {
    let at = record(seq).at;
    let inputs = [
        Input::Session { run_id: "r".to_owned(), config: "{}".to_owned() },
        Input::ConnUp { conn: 0, venue: Venue::Upbit },
        Input::Frame { conn: 0, payload: format!("state {seq}").into() },
    ];
    inputs.into_iter().map(|input| Record { seq, at, input }).collect()
}

/// Writes records 1 to `count`; a file holds so many seconds, which are records.
fn write(dir: &Path, count: u64, seconds: u64, cap_bytes: Option<u64>) -> Totals {
    let limits = Limits { rotate_bytes: 10_000_000, rotate_every: Duration::from_secs(seconds), cap_bytes };
    let mut writer = SeriesWriter::create(dir, limits).unwrap();
    for seq in 1..=count {
        if writer.is_due(record(seq).at) {
            writer.rotate(&checkpoint(seq - 1)).unwrap();
        }
        writer.push(&record(seq)).unwrap();
    }
    writer.sync().unwrap();
    writer.totals()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    files
}

fn read(path: &Path) -> (Vec<Record>, Series) {
    let mut series = Series::open(path).unwrap();
    let records = series.by_ref().map(Result::unwrap).collect();
    (records, series)
}

fn all(count: u64) -> Vec<Record> {
    (1..=count).map(record).collect()
}

#[test]
fn rotated_files_read_as_one_log() {
    let dir = tempfile::tempdir().unwrap();
    let totals = write(dir.path(), 100, 10, None);
    assert_eq!((totals.files, totals.records, totals.removed_files), (10, 100, 0));
    let (records, series) = read(dir.path());
    assert_eq!(records, all(100), "checkpoints are skipped where nothing is missing");
    assert!(series.problems().is_empty() && series.removed() == 0);
    assert!(matches!(
        SeriesWriter::create(
            dir.path(),
            Limits { rotate_bytes: 1, rotate_every: Duration::from_secs(1), cap_bytes: None }
        ),
        Err(FileError::Occupied { .. })
    ));
}

#[test]
fn size_rotates_too_and_a_checkpoint_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { rotate_bytes: 300_000, rotate_every: Duration::from_secs(9_999), cap_bytes: None };
    let mut writer = SeriesWriter::create(dir.path(), limits).unwrap();
    let large = [Record { input: Input::Frame { conn: 0, payload: noise(7, 900_000) }, ..record(5) }];
    for seq in 1..=200 {
        if writer.is_due(record(seq).at) {
            let at: Vec<Record> = large.iter().cloned().map(|r| Record { seq: seq - 1, ..r }).collect();
            writer.rotate(&at).unwrap();
        }
        writer.push(&record(seq)).unwrap();
    }
    writer.sync().unwrap();
    assert!((5..20).contains(&writer.totals().files), "{:?}", writer.totals());
    assert_eq!(read(dir.path()).0, all(200));
}

#[test]
fn at_the_cap_the_oldest_files_go_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let totals = write(dir.path(), 300, 10, Some(1_000_000));
    let held: u64 = files(dir.path()).iter().map(|f| f.metadata().unwrap().len()).sum();
    assert!(held <= 1_000_000 && totals.removed_files > 5, "{held}, {totals:?}");
    assert_eq!(totals.bytes, held + totals.removed_bytes);
    let (records, series) = read(dir.path());
    // What is left begins from its checkpoint.
    assert_eq!(series.removed(), totals.removed_records);
    assert_eq!(records[..3], checkpoint(totals.removed_records));
    assert_eq!(records[3..], all(300)[totals.removed_records as usize..]);
    assert!(series.problems().is_empty());
}

#[test]
fn a_missing_file_is_named_and_the_log_goes_on_from_the_next_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 100, 10, None);
    std::fs::remove_file(&files(dir.path())[4]).unwrap();
    let (records, series) = read(dir.path());
    let problems: Vec<String> = series.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["records 41 to 50 are missing before 000006.rec: 10 of them"]);
    let inputs: Vec<&Input> = records[40..43].iter().map(|r| &r.input).collect();
    assert!(
        matches!(inputs[..], [Input::ConnDown { .. }, Input::ConnUp { .. }, Input::Frame { .. }]),
        "{inputs:?}"
    );
    assert!(records.windows(2).all(|w| w[0].seq <= w[1].seq && w[0].at <= w[1].at));
    assert_eq!(records[43..], all(100)[50..]);
}

#[test]
fn damage_costs_the_rest_of_its_file_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 100, 40, None);
    let path = files(dir.path())[1].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (records, series) = read(dir.path());
    assert!(
        matches!(series.problems(), [Problem::Damaged { .. }, Problem::Missing { last: 80, .. }]),
        "{:?}",
        series.problems()
    );
    assert_eq!(records[..41], all(41));
    assert_eq!(records[records.len() - 20..], all(100)[80..]);
    // By itself it is an error, as any damaged log.
    let alone = Series::open(&path).unwrap().find_map(Result::err);
    assert!(matches!(alone, Some(FileError::Damaged { .. })), "{alone:?}");
}

#[test]
fn an_empty_folder_and_a_strange_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Series::open(dir.path()), Err(FileError::Empty { .. })));
    write(dir.path(), 20, 10, None);
    std::fs::write(dir.path().join("000000.rec"), b"something else").unwrap();
    let (records, series) = read(dir.path());
    assert_eq!(records, all(20));
    assert!(matches!(series.problems(), [Problem::Unreadable { .. }]));
}

#[test]
fn a_length_that_was_damaged_in_the_middle_is_no_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 60, 1_000, None);
    let path = files(dir.path())[0].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    // The third byte of the first block's stored length.
    bytes[12 + 10] ^= 0x80;
    std::fs::write(&path, &bytes).unwrap();
    let error = Series::open(&path).unwrap().find_map(Result::err);
    assert!(matches!(error, Some(FileError::Damaged { offset: 12, .. })), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// A kill leaves the newest file cut at any byte: what comes back is the whole blocks before, in order.
    #[test]
    fn killed_at_any_byte(count in 1u64..90, seconds in 5u64..40, share in 0.0f64..1.0) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), count, seconds, None);
        let last = files(dir.path()).pop().unwrap();
        let bytes = std::fs::read(&last).unwrap();
        let cut = (bytes.len() as f64 * share) as usize;
        std::fs::write(&last, &bytes[..cut]).unwrap();
        let Ok(mut series) = Series::open(dir.path()) else {
            return Err(TestCaseError::fail("a folder always opens"));
        };
        let records: Vec<Record> = series.by_ref().map(Result::unwrap).collect();
        prop_assert_eq!(&records[..], &all(count)[..records.len()]);
        let before = (count - 1) / seconds * seconds;
        prop_assert!(records.len() as u64 >= before, "{} of {before}", records.len());
        let torn = series.problems().iter().all(|p| matches!(p, Problem::Torn { .. }));
        prop_assert!(torn, "{:?}", series.problems());
    }
}
