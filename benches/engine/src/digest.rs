//! A session's journal as one number: the same before and after a change that must not change a decision.

use crate::feed::{Live, Options, Watch};
use exchange::MarketKind;

struct Digest {
    bytes: Vec<u8>,
    fnv: u64,
    length: u64,
}

impl Watch for Digest {
    fn entry(&mut self, entry: &journal::Entry) {
        self.bytes.clear();
        journal::file::encode(entry, &mut self.bytes);
        self.length += self.bytes.len() as u64;
        for byte in &self.bytes {
            self.fnv = (self.fnv ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Prints a line per session.
pub fn run() {
    let markets = [
        (MarketKind::Edge, 50, 0, 60),
        (MarketKind::Calm, 30, 0, 60),
        (MarketKind::Edge, 10, 3, 120),
        (MarketKind::Edge, 100, 0, 700),
    ];
    for (kind, symbols, copies, seconds) in markets {
        for seed in 1..=if seconds > 500 { 1 } else { 4 } {
            let options = Options { kind, symbols, copies, seed, candles: 200, quotes: false };
            let mut digest = Digest { bytes: Vec::new(), fnv: 0xcbf2_9ce4_8422_2325, length: 0 };
            let mut live = Live::start(&options, &mut digest);
            live.run(seconds, &mut digest);
            println!(
                "{} {symbols} x {copies}, seed {seed}, {seconds} s: {} inputs, {} records, {} bytes, digest {:016x}",
                kind.name(),
                live.inputs,
                live.records,
                digest.length,
                digest.fnv
            );
        }
    }
}
