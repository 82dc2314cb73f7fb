//! The input log at its boundary: what is written comes back, a torn tail is reported, damage is an error.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "it/fuzz.rs"]
mod fuzz;
#[path = "it/series.rs"]
mod series;

use bytes::Bytes;
use market::{Asset, Timestamp, Venue};
use proptest::prelude::*;
use recording::file::{FileError, Reader, Writer};
use recording::{Input, Record};

fn inputs() -> Vec<Input> {
    let btc = Asset::new("BTC").unwrap();
    vec![
        Input::Session { run_id: "r.main".to_owned(), config: "{\"a\":1}".to_owned() },
        Input::ConnUp { conn: 3, venue: Venue::Upbit },
        Input::Frame { conn: 3, payload: Bytes::from_static(b"{\"type\":\"orderbook\"}\xff\x00") },
        Input::Frame { conn: 3, payload: Bytes::new() },
        Input::Snapshot {
            venue: Venue::Binance,
            asset: btc,
            epoch: 7,
            payload: Bytes::from_static(b"{\"lastUpdateId\":1}"),
        },
        Input::SnapshotFailed {
            venue: Venue::Binance,
            asset: btc,
            epoch: 7,
            status: 429,
            retry_after_ms: 1000,
        },
        Input::Candles { venue: Venue::Upbit, asset: Asset::USDT, payload: Bytes::from_static(b"[]") },
        Input::Health { venue: Venue::Upbit, rtt_us: 1234, ok: true },
        Input::ConnDown { conn: 3, venue: Venue::Upbit, reason: "closed".to_owned() },
        Input::Shutdown,
        Input::Tick,
    ]
}

fn write(path: &std::path::Path, inputs: &[Input]) -> Vec<Record> {
    let mut writer = Writer::create(path).unwrap();
    let records: Vec<Record> = inputs
        .iter()
        .enumerate()
        .map(|(i, input)| Record { seq: i as u64 + 1, at: Timestamp(i as i64 * 5 - 3), input: input.clone() })
        .collect();
    for (i, record) in records.iter().enumerate() {
        writer.push(record).unwrap();
        if i % 4 == 3 {
            writer.flush().unwrap();
        }
    }
    writer.sync().unwrap();
    records
}

#[test]
fn every_kind_of_input_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input.rec");
    let records = write(&path, &inputs());
    let read: Vec<Record> = Reader::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, records);
    assert!(
        matches!(Writer::create(&path), Err(FileError::Io { .. })),
        "an existing log is never overwritten"
    );
}

#[test]
fn a_log_cut_anywhere_is_read_to_its_last_whole_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input.rec");
    let records = write(&path, &inputs());
    let whole = std::fs::read(&path).unwrap();
    for cut in 12..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let mut read = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            read.push(record);
        }
        assert_eq!(read, records[..read.len()]);
        assert_eq!(read.len() % 4, 0, "only whole blocks");
        assert!(
            reader.torn_at().is_some() || read.len() == 4 || read.len() == 8 || cut == 12,
            "cut at {cut} goes unreported"
        );
    }
}

#[test]
fn a_changed_byte_is_damage_and_never_a_different_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input.rec");
    let records = write(&path, &inputs());
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x40;
        std::fs::write(&path, &bad).unwrap();
        let Ok(reader) = Reader::open(&path) else { continue };
        let read: Vec<_> = reader.map_while(Result::ok).collect();
        assert_eq!(read, records[..read.len()], "byte {at}");
    }
}

#[test]
fn something_else_is_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    std::fs::write(&path, b"hello").unwrap();
    assert!(matches!(Reader::open(&path), Err(FileError::NotALog { .. })));
}

proptest! {
    #[test]
    fn any_frames_come_back(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..100)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("input.rec");
        let inputs: Vec<Input> = frames.into_iter().map(|f| Input::Frame { conn: 1, payload: f.into() }).collect();
        let records = write(&path, &inputs);
        let read: Vec<Record> = Reader::open(&path).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(read, records);
    }
}

#[test]
fn a_log_goes_on_behind_its_last_whole_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input.rec");
    let mut records = write(&path, &inputs());
    let whole = std::fs::metadata(&path).unwrap().len();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_within(12..40);
    std::fs::write(&path, &bytes).unwrap();

    let (mut writer, tail) = Writer::go_on(&path, "r.main").unwrap();
    let last = records.last().map(|record| (record.seq, record.at));
    assert_eq!((tail.records, tail.last, tail.cut_bytes), (records.len() as u64, last, 28));
    assert_eq!(writer.written(), whole);
    let next = Record { seq: 12, at: Timestamp(99), input: Input::Tick };
    writer.push(&next).unwrap();
    writer.sync().unwrap();
    records.push(next);
    let read: Vec<Record> = Reader::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, records);

    // Another run's log, and a damaged one, stay as they are.
    let before = std::fs::read(&path).unwrap();
    let error = Writer::go_on(&path, "r.other").unwrap_err();
    assert!(matches!(&error, FileError::OtherRun { run_id, .. } if run_id == "r.main"), "{error}");
    assert!(std::fs::read(&path).unwrap() == before);
    let mut damaged = before.clone();
    damaged[40] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert!(matches!(Writer::go_on(&path, "r.main"), Err(FileError::Damaged { .. })));
    assert!(std::fs::read(&path).unwrap() == damaged);
}
