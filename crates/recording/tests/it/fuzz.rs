//! The reader of recordings on mutated files: no panic, no hang, no memory beyond what the bytes can hold, and never a record
//! that was not written. Short in CI, where the cases are always the same; `ASSAY_FUZZ_SECONDS` makes it long, `ASSAY_FUZZ_SEED`
//! draws other cases.

use recording::file::{Reader, Writer};
use recording::series::Series;
use recording::{Input, Record};
use std::time::{Duration, Instant};

/// Cases in CI.
const CASES: u64 = 1_000;

/// xorshift64* (Vigna 2016).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n.max(1) as u64) as usize
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// A whole log with a checkpoint, in small blocks.
fn written(path: &std::path::Path) -> Vec<Record> {
    let inputs = super::inputs();
    let record =
        |seq: u64, input: &Input| Record { seq, at: market::Timestamp(seq as i64), input: input.clone() };
    let mut writer = Writer::create(path).unwrap();
    let mut records: Vec<Record> = inputs.iter().take(4).map(|input| record(10, input)).collect();
    writer.checkpoint(&records).unwrap();
    for (i, input) in inputs.iter().cycle().take(60).enumerate() {
        let next = record(11 + i as u64, input);
        writer.push(&next).unwrap();
        if i % 5 == 4 {
            writer.flush().unwrap();
        }
        records.push(next);
    }
    writer.sync().unwrap();
    records
}

fn mutate(random: &mut Random, whole: &[u8]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        if bytes.is_empty() {
            break;
        }
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 0xff, 0x7f, 0x80][random.below(4)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + random.below(200)).min(bytes.len()))),
            4 => {
                let from = random.below(whole.len());
                let piece = whole[from..(from + random.below(300)).min(whole.len())].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            5 => {
                // A length: four bytes anywhere.
                let value = [0u32, 1, 16, u32::MAX, 64 << 20, 1 << 31][random.below(6)];
                for (i, byte) in value.to_le_bytes().into_iter().enumerate() {
                    if let Some(place) = bytes.get_mut(at + i) {
                        *place = byte;
                    }
                }
            }
            _ => bytes.swap(at, random.below(whole.len()).min(at)),
        }
    }
    bytes
}

#[test]
fn mutated_recordings_give_written_records_or_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("000001.rec");
    let records = written(&path);
    let whole = std::fs::read(&path).unwrap();
    let seed = number("ASSAY_FUZZ_SEED").unwrap_or(1);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let until = number("ASSAY_FUZZ_SECONDS").map(|s| Instant::now() + Duration::from_secs(s));
    let (mut cases, mut damaged) = (0u64, 0u64);
    while until.map_or(cases < CASES, |until| Instant::now() < until) {
        cases += 1;
        let bytes = mutate(&mut random, &whole);
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(reader) = Reader::open(&path) {
            for record in reader.map_while(Result::ok) {
                assert!(records.contains(&record), "case {cases} of seed {seed}: {record:?}");
            }
        }
        // The file alone, and as a folder, which reads on over damage: a checkpoint first, or none, then records in order.
        for place in [path.as_path(), dir.path()] {
            let Ok(series) = Series::open(place) else { continue };
            let read: Vec<Record> = series.map_while(Result::ok).collect();
            let firsts = [0, 4]
                .map(|from| read.len() <= records.len() - from && read == records[from..][..read.len()]);
            assert!(firsts[0] || firsts[1] || in_order(&read), "case {cases} of seed {seed}: {read:#?}");
            damaged += u64::from(read.len() < records.len());
        }
    }
    println!("{cases} cases of seed {seed}, {damaged} readings that stopped early");
    assert!(damaged > cases / 2, "the mutations hit nothing");
}

/// Blocks cut out whole in front leave a log that begins later; nothing may be doubled or left out behind that.
fn in_order(read: &[Record]) -> bool {
    let body = read.iter().skip_while(|record| record.seq == 10);
    let seqs: Vec<u64> = body.map(|record| record.seq).collect();
    seqs.windows(2).all(|pair| pair[0] + 1 == pair[1])
}
