//! The journal file at its boundary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use journal::file::{FileError, Reader, Writer, decode, encode};
use journal::record::{Body, ExitReason, Terms};
use journal::{Entry, record::Direction};
use market::{Asset, Money, Quantity, Timestamp, Venue};

fn entries() -> Vec<Entry> {
    let bodies = vec![
        Body::Start {
            format: journal::record::FORMAT,
            run_id: "r.main".to_owned(),
            version: "0.1.0".to_owned(),
            terms: Terms {
                capital_usd: Money::from_int(10_000),
                upbit_fee_centibps: 500,
                binance_fee_centibps: 1_000,
                take_profit_bps: 25,
                time_limit_ms: 180_000,
                day_offset_s: None,
                withdrawal: None,
                guards: None,
            },
            config: String::new(),
        },
        Body::Deposit { venue: Venue::Upbit, asset: Asset::KRW, amount: Quantity::from_int(1) },
        Body::Closed {
            position: 1,
            asset: Asset::new("BTC").unwrap(),
            direction: Direction::BuyBinance,
            reason: ExitReason::TakeProfit,
            opened_at: Timestamp(5),
            gross_usd: Money::parse("0.5").unwrap(),
            fees_usd: Money::parse("0.6").unwrap(),
            net_usd: Money::parse("-0.1").unwrap(),
            slippage_usd: Money::ZERO,
            slippage_bps: 0.0,
            decided_edge_bps: 2.0,
            realised_edge_bps: 1.0,
        },
        Body::Note { level: "info".to_owned(), text: "한글, \"quotes\"\nand a line break".to_owned() },
        Body::End { reason: "duration".to_owned(), open_positions: 0 },
    ];
    bodies
        .into_iter()
        .enumerate()
        .map(|(i, body)| Entry {
            seq: i as u64 + 1,
            input_seq: 9,
            at: Timestamp(7),
            commit: i % 2 == 0,
            body,
        })
        .collect()
}

#[test]
fn what_is_written_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.log");
    let mut writer = Writer::append(&path).unwrap();
    let all = entries();
    writer.write_batch(&all[..2]).unwrap();
    writer.write_batch(&all[2..]).unwrap();
    writer.sync().unwrap();
    assert_eq!(Reader::open(&path).unwrap().map(Result::unwrap).collect::<Vec<_>>(), all);
}

#[test]
fn a_growing_journal_is_followed_and_half_a_line_waits() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.log");
    let all = entries();
    let mut lines = Vec::new();
    encode(&all[0], &mut lines);
    let first = lines.len();
    encode(&all[1], &mut lines);
    let mut file = std::fs::File::create(&path).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.next_entry().unwrap(), None);
    file.write_all(&lines[..first + 5]).unwrap();
    assert_eq!(reader.next_entry().unwrap().as_ref(), Some(&all[0]));
    assert_eq!(reader.next_entry().unwrap(), None);
    assert!(reader.has_partial_line());
    assert_eq!(reader.offset(), first as u64);
    file.write_all(&lines[first + 5..]).unwrap();
    assert_eq!(reader.next_entry().unwrap().as_ref(), Some(&all[1]));
}

#[test]
fn a_changed_byte_is_damage_with_its_line() {
    let mut line = Vec::new();
    encode(&entries()[2], &mut line);
    line.pop();
    for at in 0..line.len() {
        let mut bad = line.clone();
        bad[at] ^= 1;
        // The blank between checksum and record carries nothing.
        assert!(decode(&bad).is_err() || at == 8, "byte {at}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.log");
    std::fs::write(&path, b"00000000 {}\n").unwrap();
    assert!(matches!(Reader::open(&path).unwrap().next_entry(), Err(FileError::Damaged { line: 1, .. })));
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let mut line = Vec::new();
    encode(&entries()[0], &mut line);
    line.pop();
    assert!(decode(&line).is_ok());
    for at in 0..line.len() {
        for bit in 0..8 {
            line[at] ^= 1 << bit;
            assert!(decode(&line).is_err(), "byte {at}, bit {bit}");
            line[at] ^= 1 << bit;
        }
    }
}
