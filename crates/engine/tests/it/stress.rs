//! Random markets with thin books and lost connections: the invariants that must hold whatever happens.

use crate::driver::Driver;
use engine::{Config, replay};
use journal::Body;
use market::Venue;
use rand::{Rng, SeedableRng};
use recording::{Input, Record};

fn run(seed: u64) -> Driver {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let config = Config {
        entry_pause_ms: 0,
        time_limit_ms: 5_000,
        cooldown_route_ms: 5_000,
        cooldown_cross_ms: 15_000,
        ..Config::default()
    };
    let mut d = Driver::new(&["AAA", "BBB", "CCC"], &config);
    for _ in 0..120 {
        for i in 0..3 {
            if rng.random_bool(0.3) {
                d.premium[i] = rng.random_range(-120.0..120.0);
            }
            d.size[i] = [3.0, 12.0, 25.0, 1_000.0][rng.random_range(0..4)];
        }
        if rng.random_bool(0.05) {
            let (conn, venue) = [(1, Venue::Upbit), (2, Venue::Binance)][rng.random_range(0..2)];
            d.input(Input::ConnDown { conn, venue, reason: "test".to_owned() });
            d.wait_ms(rng.random_range(10..1_500));
            d.input(Input::ConnUp { conn, venue });
        }
        d.idle(1);
    }
    d.size = vec![1_000.0; 3];
    d.premium = vec![0.0; 3];
    d.idle(3);
    d.input(Input::Shutdown);
    d.idle(6);
    d
}

#[test]
fn coin_comes_back_and_the_results_add_up() {
    let mut trips = 0;
    for seed in 0..12 {
        let d = run(seed);
        assert_eq!(d.end().map(|e| e.1), Some(0), "seed {seed}");
        trips += d.closed().len();
        for i in 0..3 {
            for off in d.coin_off(i) {
                // Less than the smallest order (5 USDT, half a coin) counts as filled.
                assert!(off.abs() <= 0.5, "seed {seed}: symbol {i} is off by {off}");
            }
        }
        let net: f64 = d
            .find(|b| match b {
                Body::Closed { net_usd, gross_usd, fees_usd, .. } => {
                    assert_eq!(gross_usd.0 - fees_usd.0, net_usd.0);
                    Some(net_usd.to_f64())
                }
                Body::Unwound { net_usd, .. } => Some(net_usd.to_f64()),
                _ => None,
            })
            .iter()
            .sum();
        let pnl = d.core.view().pnl_usd.map(|p| p.to_f64()).unwrap();
        assert!((pnl - net).abs() < 0.2, "seed {seed}: holdings made {pnl}, round trips {net}");
    }
    assert!(trips > 100, "the market gave {trips} round trips only");
}

#[test]
fn every_entry_ends_once_and_every_order_is_answered_once() {
    for seed in 0..6 {
        let d = run(seed);
        let mut decided =
            d.find(|b| if let Body::Decision { position, .. } = b { Some(*position) } else { None });
        let mut ended = d.find(|b| match b {
            Body::Closed { position, .. } | Body::Unwound { position, .. } => Some(*position),
            _ => None,
        });
        decided.sort_unstable();
        ended.sort_unstable();
        assert_eq!(decided, ended, "seed {seed}");
        let mut sent = d.find(|b| if let Body::Order { order, .. } = b { Some(*order) } else { None });
        let mut answered = d.find(|b| match b {
            Body::Fill { order, .. } | Body::Rejected { order, .. } => Some(*order),
            _ => None,
        });
        sent.sort_unstable();
        answered.sort_unstable();
        assert_eq!(sent, answered, "seed {seed}");
    }
}

#[test]
fn no_fill_comes_before_its_order_could_arrive() {
    let d = run(3);
    let arrives =
        d.find(|b| if let Body::Order { order, arrives, .. } = b { Some((*order, *arrives)) } else { None });
    for entry in &d.entries {
        if let Body::Fill { order, .. } = &entry.body {
            let at = arrives.iter().find(|(id, _)| id == order).map(|(_, at)| *at).unwrap();
            assert!(entry.at >= at, "order {order} filled {} ns early", at.since(entry.at));
        }
    }
}

#[test]
fn random_sessions_replay_to_the_same_journal() {
    for seed in 0..4 {
        let d = run(seed);
        let mut again = Vec::new();
        replay(d.records.clone().into_iter(), |entry| again.push(entry)).unwrap();
        assert!(d.entries == again, "seed {seed}");
    }
}

#[test]
fn a_frame_is_handled_in_microseconds() {
    let d = run(0);
    let n = d.records.len();
    let from = std::time::Instant::now();
    replay(d.records.into_iter(), |_| {}).unwrap();
    // Information for the reader of the test's output; machines differ too much for a bound.
    eprintln!("{n} inputs in {:?}: {:?} each", from.elapsed(), from.elapsed() / n as u32);
}

#[test]
fn the_kpis_of_a_journal_agree_with_the_core() {
    let mut triggers = 0;
    for seed in 0..12 {
        let d = run(seed);
        let mut kpis = engine::kpi::Kpis::new();
        d.entries.iter().for_each(|entry| kpis.on(entry));
        let fields = kpis.fields();
        let number = |name: &str| fields[name].as_f64().unwrap_or_else(|| panic!("{name}: {}", fields[name]));
        let view = d.core.view();
        assert_eq!(number("round_trips_completed"), view.round_trips as f64);
        assert_eq!(number("entry_trades"), view.entries as f64);
        assert_eq!(number("guard_triggers"), view.guard_triggers as f64);
        assert_eq!(number("guard_false_positives"), 0.0, "seed {seed}");
        assert_eq!(number("open_positions"), 0.0);
        triggers += view.guard_triggers;
    }
    assert!(triggers > 12, "{triggers}");
}

/// A session's log with damage: flipped and cut payloads, doubled, lost and swapped inputs, times that leap.
fn damaged(mut records: Vec<Record>, share: f64, rng: &mut impl Rng) -> Vec<Record> {
    let mut out: Vec<Record> = vec![records.remove(0)];
    for mut record in records {
        let payload = match &mut record.input {
            Input::Frame { payload, .. }
            | Input::Snapshot { payload, .. }
            | Input::Candles { payload, .. } => Some(payload),
            _ => None,
        };
        if let Some(payload) = payload.filter(|p| !p.is_empty() && rng.random_bool(share)) {
            let mut bytes = payload.to_vec();
            match rng.random_range(0..4) {
                0 => bytes.truncate(rng.random_range(0..bytes.len())),
                1 => {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] = rng.random();
                }
                // A digit more or less makes prices, sizes, times and ids of any magnitude.
                2 => {
                    let digits: Vec<usize> =
                        (0..bytes.len()).filter(|i| bytes[*i].is_ascii_digit()).collect();
                    if !digits.is_empty() {
                        let at = digits[rng.random_range(0..digits.len())];
                        let many = rng.random_range(1..30);
                        bytes.splice(at..at, std::iter::repeat_n(b'9', many));
                    }
                }
                _ => {
                    let at = rng.random_range(0..bytes.len());
                    bytes.insert(at, b'-');
                }
            }
            *payload = bytes.into();
        }
        match rng.random_range(0..(20.0 / share) as u32) {
            0 => continue,
            1 => out.push(record.clone()),
            2 => {
                record.at = market::Timestamp(record.at.0.saturating_sub(rng.random_range(0..5_000_000_000)))
            }
            3 => {
                record.at = market::Timestamp(record.at.0.saturating_add(rng.random_range(0..90_000_000_000)))
            }
            _ => {}
        }
        out.push(record);
        let n = out.len();
        if n > 3 && rng.random_bool(share / 10.0) {
            out.swap(n - 1, n - 2);
        }
    }
    for (i, record) in out.iter_mut().enumerate() {
        record.seq = i as u64 + 1;
    }
    out
}

#[test]
fn damaged_logs_neither_panic_nor_replay_to_something_else() {
    let clean: Vec<_> = (0..4).map(|seed| run(seed).records).collect();
    let mut trades = 0;
    for seed in 0..40 {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let share = [0.1, 0.01, 0.000_5][seed as usize % 3];
        let records = damaged(clean[seed as usize % clean.len()].clone(), share, &mut rng);
        let (mut once, mut again) = (Vec::new(), Vec::new());
        let core = replay(records.clone().into_iter(), |entry| once.push(entry)).unwrap();
        replay(records.into_iter(), |entry| again.push(entry)).unwrap();
        assert!(once == again, "seed {seed}");
        trades += core.view().round_trips;
        for (venue, asset, balance) in core.ledger().balances() {
            assert!(!balance.is_negative(), "seed {seed}: {venue} {asset} {balance}");
        }
        // Every record can be written and read back.
        for entry in &once {
            let mut line = Vec::new();
            journal::file::encode(entry, &mut line);
            assert_eq!(journal::file::decode(&line[..line.len() - 1]).as_ref(), Ok(entry), "seed {seed}");
        }
    }
    assert!(trades > 100, "{trades}");
}
