//! All faults at random from a seed: ten minutes of virtual time, a hundred symbols, and at the end every book is Live and equal
//! to the server's, level by level.
//!
//! `ASSAY_FAULT_SEEDS` says how many seeds (20 when it is not set), `ASSAY_FAULT_SEED` the first of them (0). Each is printed when
//! it fails.

use crate::harness;
use crate::market_client::Client;
use engine::Config;
use exchange::faults::Extent;
use exchange::{Fault, Injection, MarketKind};
use market::{Asset, Venue};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::Duration;

const SYMBOLS: usize = 100;
const DEPTH: usize = 15;
/// Faults begin for so long; then there are none for the rest. Snapshots of all symbols may have used up the venue's minute, and a ban
/// takes what it takes.
const FAULTY: Duration = Duration::from_secs(8 * 60);
const WHOLE: Duration = Duration::from_secs(10 * 60);

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().map_or(usual, |text| text.parse().unwrap())
}

/// A fault with a random target, size and duration.
fn draw(rng: &mut ChaCha8Rng, assets: &[Asset]) -> Injection {
    let kind = *Fault::ALL.choose(rng).unwrap();
    let mut injection = Injection::of(kind);
    if kind.only_at().is_none() && rng.random_bool(0.8) {
        injection = injection.at(*Venue::ALL.choose(rng).unwrap());
    }
    if kind.takes_asset() && (kind.needs_asset() || rng.random_bool(0.8)) {
        injection = injection.to(*assets.choose(rng).unwrap());
    }
    match kind.extent() {
        Extent::Once => return injection,
        // Without a duration a ban is one of two minutes.
        Extent::Messages if kind != Fault::SnapshotBanned && rng.random_bool(0.5) => {
            return injection.times(rng.random_range(1..=3));
        }
        Extent::Messages | Extent::Lasting => {}
    }
    // What meets every symbol, or brings the venue's ban, is short: the rest of the time belongs to the others.
    let most = if injection.asset.is_none() { 8_000 } else { 30_000 };
    // A frame of 17 MiB per message would be a test of memory.
    if kind == Fault::Huge {
        return injection.times(1);
    }
    injection.lasting(Duration::from_millis(rng.random_range(200..most)))
}

fn campaign(seed: u64, met: &mut BTreeMap<Fault, u64>) {
    let config = Config { topn: SYMBOLS as u32, ..Config::default() };
    let mut client = Client::start(SYMBOLS, MarketKind::Edge, seed, &[], DEPTH, &config);
    let assets = client.assets();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    client.come_up();
    while client.now() < FAULTY {
        let injection = draw(&mut rng, &assets);
        client.exchange.inject(injection).unwrap();
        client.run(Duration::from_millis(rng.random_range(50..5_000)));
        client.forget();
    }
    client.exchange.restore();
    client.run(WHOLE - client.now());
    let compared = client.compare();
    assert_eq!(
        compared,
        2 * SYMBOLS,
        "seed {seed}: not every book is Live after two minutes without faults: {:?}\n{}",
        Venue::ALL.map(|venue| (venue, client.live(venue))),
        client.last_notes()
    );
    client.exchange.faults(|faults| {
        for (fault, times) in faults.met() {
            *met.entry(*fault).or_default() += times;
        }
    });
}

#[test]
fn every_live_book_equals_the_servers() {
    harness::gives_way();
    let first = number("ASSAY_FAULT_SEED", 0);
    let seeds: Vec<u64> = (first..first + number("ASSAY_FAULT_SEEDS", 20)).collect();
    // Two threads: a seed needs one, and what is told of a failure is its panic's message.
    let halves = [0, 1].map(|half| seeds.iter().copied().filter(|s| s % 2 == half).collect::<Vec<_>>());
    let met = std::thread::scope(|scope| {
        let threads = halves.map(|seeds| {
            scope.spawn(move || {
                let mut met = BTreeMap::new();
                for seed in seeds {
                    println!("seed {seed}");
                    campaign(seed, &mut met);
                }
                met
            })
        });
        let mut all = BTreeMap::new();
        for thread in threads {
            for (fault, times) in thread.join().unwrap() {
                *all.entry(fault).or_insert(0) += times;
            }
        }
        all
    });
    println!("what the faults met: {met:?}");
    if seeds.len() >= 20 {
        // What only shapes the market meets no message.
        let shapes = [Fault::Freeze, Fault::Halt, Fault::UnknownSymbol, Fault::Spike, Fault::PingUnanswered];
        for fault in Fault::ALL.into_iter().filter(|fault| !shapes.contains(fault)) {
            assert!(met.get(&fault).copied().unwrap_or(0u64) > 0, "{fault:?} never met anything");
        }
    }
}
