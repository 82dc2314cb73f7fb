//! The market as a pure model.

use exchange::model::listing::Kind;
use exchange::model::{BINANCE_LEVELS, Changes, Model, Symbol};
use exchange::{MarketKind, PlantedGap};
use market::{Price, Side, upbit_krw_tick};
use std::time::Duration;

const START_MS: i64 = 1_790_000_000_000;

fn market(symbols: usize, kind: MarketKind, seed: u64, planted: &[PlantedGap]) -> Model {
    Model::new(symbols, kind, seed, START_MS, planted).unwrap()
}

/// Executable gaps over the level in bps, at the touch: sell on Upbit and buy on Binance, and the other way.
fn gaps(symbol: &Symbol, fx: f64) -> (f64, f64) {
    let touch = |book: &[exchange::model::ladder::Ladder; 2]| {
        (book[0].rungs()[0].price as f64, book[1].rungs()[0].price as f64)
    };
    let ((upbit_bid, upbit_ask), (binance_bid, binance_ask)) = (touch(&symbol.upbit), touch(&symbol.binance));
    let level = symbol.level_bps();
    let down = (upbit_bid / fx / binance_ask - 1.0) * 1e4 - level;
    let up = (binance_bid / (upbit_ask / fx) - 1.0) * 1e4 + level;
    (down, up)
}

fn members(model: &Model) -> impl Iterator<Item = &Symbol> {
    model.symbols().iter().filter(|s| s.listing.is_member())
}

fn fingerprint(seed: u64) -> Vec<(i64, i64, u64)> {
    let mut model = market(30, MarketKind::Edge, seed, &[]);
    let mut changes = Changes::default();
    for _ in 0..600 {
        model.step(&mut changes);
    }
    let top = |s: &Symbol| s.upbit[0].rungs().first().map_or((0, 0), |r| (r.price, r.size));
    model.symbols().iter().map(|s| (top(s).0, top(s).1, s.update_id)).collect()
}

#[test]
fn the_same_seed_makes_the_same_market() {
    assert_eq!(fingerprint(3), fingerprint(3));
    assert_ne!(fingerprint(3), fingerprint(4));
}

#[test]
fn a_calm_market_never_comes_near_the_costs() {
    let mut worst = 0.0f64;
    for seed in 0..20 {
        let mut model = market(20, MarketKind::Calm, seed, &[]);
        let mut changes = Changes::default();
        for _ in 0..3 * 60 * 20 {
            model.step(&mut changes);
            for symbol in members(&model) {
                let (down, up) = gaps(symbol, model.fx_mid());
                worst = worst.max(down).max(up);
                assert!(down < 15.0 && up < 15.0, "seed {seed}, {}: {down} {up}", symbol.listing.asset);
            }
        }
    }
    assert!(worst > 3.0, "a market that never moves proves nothing: {worst}");
}

#[test]
fn an_edge_market_has_episodes_that_open_and_close() {
    let mut model = market(50, MarketKind::Edge, 5, &[]);
    let mut changes = Changes::default();
    let (mut open, mut opened, mut closed) = (vec![false; 50], 0, 0);
    for _ in 0..60 * 20 {
        model.step(&mut changes);
        for (index, symbol) in members(&model).enumerate() {
            let (down, up) = gaps(symbol, model.fx_mid());
            let widest = down.max(up);
            if !open[index] && widest > 42.0 {
                open[index] = true;
                opened += 1;
            } else if open[index] && widest < 15.0 {
                open[index] = false;
                closed += 1;
            }
        }
    }
    let episodes: u64 = members(&model).map(Symbol::episodes).sum();
    assert!((30..=100).contains(&episodes), "{episodes} episodes");
    assert!(opened > 20 && closed > 15, "{opened} opened, {closed} closed");
}

#[test]
fn a_planted_gap_opens_within_a_tick_and_closes() {
    let gap =
        |bps| PlantedGap { asset: None, bps, at: Duration::from_secs(2), lasts: Duration::from_secs(1) };
    for bps in [80.0, -80.0] {
        let mut model = market(10, MarketKind::Calm, 9, &[gap(bps)]);
        let mut changes = Changes::default();
        let mut seen = Vec::new();
        for _ in 0..100 {
            model.step(&mut changes);
            let (down, up) = gaps(&model.symbols()[0], model.fx_mid());
            seen.push(if bps > 0.0 { down } else { up });
        }
        // Step 40 is at 2 s; the symbol's own step comes every 100 ms.
        assert!(seen[..39].iter().all(|g| *g < 15.0), "{bps}: early");
        assert!(seen[41..59].iter().all(|g| *g > 60.0), "{bps}: {:?}", &seen[38..60]);
        assert!(seen[62..].iter().all(|g| *g < 15.0), "{bps}: late");
    }
}

#[test]
fn books_are_sane_at_every_step() {
    let mut model = market(70, MarketKind::Edge, 11, &[]);
    let mut changes = Changes::default();
    for _ in 0..1_200 {
        model.step(&mut changes);
        for symbol in model.symbols() {
            for book in [&symbol.upbit, &symbol.binance] {
                let [bids, asks] = book;
                let (bids, asks) = (bids.rungs(), asks.rungs());
                if bids.is_empty() {
                    continue;
                }
                assert!(bids[0].price < asks[0].price, "{} crossed", symbol.listing.asset);
                assert!(bids.windows(2).all(|w| w[0].price > w[1].price));
                assert!(asks.windows(2).all(|w| w[0].price < w[1].price));
                assert!(bids.iter().chain(asks).all(|r| r.size > 0 && r.price > 0));
            }
        }
    }
    for symbol in members(&model) {
        check_quality(symbol, model.fx_mid());
    }
}

fn check_quality(symbol: &Symbol, fx: f64) {
    let name = symbol.listing.asset;
    for (book, rate) in [(&symbol.upbit, fx), (&symbol.binance, 1.0)] {
        let middle = (book[0].rungs()[0].price + book[1].rungs()[0].price) as f64 / 2.0;
        for side in book {
            let value = |r: &exchange::model::ladder::Rung| r.price as f64 * r.size as f64 / 1e16 / rate;
            let near = side.rungs().iter().filter(|r| (r.price as f64 / middle - 1.0).abs() <= 0.01);
            let depth: f64 = near.map(value).sum();
            assert!(depth > 50_000.0, "{name}: {depth} USD within 1 %");
            assert!(side.rungs().iter().take(3).map(value).sum::<f64>() > 200.0, "{name}: thin touch");
        }
        let spread = (book[1].rungs()[0].price - book[0].rungs()[0].price) as f64 / middle * 1e4;
        let cheap = matches!(name.as_str(), "DOGE" | "TRX");
        assert!(spread < if cheap { 80.0 } else { 12.0 }, "{name}: spread {spread} bps");
    }
    for rung in symbol.upbit.iter().flat_map(|s| s.rungs()) {
        assert_eq!(rung.price % upbit_krw_tick(Price(rung.price)).0, 0, "{name} off its tick");
    }
    for rung in symbol.binance.iter().flat_map(|s| s.rungs()) {
        assert_eq!(rung.price % symbol.listing.tick, 0);
        assert_eq!(rung.size % symbol.listing.lot, 0);
    }
    assert_eq!(symbol.binance[0].rungs().len(), BINANCE_LEVELS);
}

#[test]
fn pending_changes_name_every_level_that_differs() {
    let mut model = market(10, MarketKind::Edge, 2, &[]);
    let mut changes = Changes::default();
    let mut mirror: Vec<_> = model.symbols().iter().map(|s| s.binance.clone()).collect();
    for _ in 0..400 {
        model.step(&mut changes);
        for &index in &changes.binance.clone() {
            let symbol = model.symbol_mut(index);
            let was = &mirror[index];
            for (side, ladder) in [(Side::Bid, 0), (Side::Ask, 1)] {
                for rung in was[ladder].rungs().iter().chain(symbol.binance[ladder].rungs()) {
                    let differs =
                        was[ladder].size_at(rung.price) != symbol.binance[ladder].size_at(rung.price);
                    assert!(
                        !differs || symbol.pending.contains(&(side, rung.price)),
                        "a change was not noted"
                    );
                }
            }
            assert!(symbol.update_id > symbol.published_id);
            symbol.published_id = symbol.update_id;
            symbol.pending.clear();
            mirror[index] = symbol.binance.clone();
        }
    }
}

#[test]
fn candles_lead_to_the_level() {
    let model = market(20, MarketKind::Calm, 8, &[]);
    let fx = model.symbols().iter().position(|s| s.listing.kind == Kind::Fx).unwrap();
    let usdt = model.upbit_candles(fx, 60);
    for (index, symbol) in model.symbols().iter().enumerate().filter(|(_, s)| s.listing.is_member()) {
        let (upbit, binance) = (model.upbit_candles(index, 60), model.binance_candles(index, 60));
        assert_eq!((upbit.len(), binance.len()), (60, 60));
        assert!(upbit.windows(2).all(|w| w[0].minute == w[1].minute + 1), "newest first, none missing");
        assert!(upbit.iter().all(|c| c.low <= c.open.min(c.close) && c.high >= c.open.max(c.close)));
        let mut ratios: Vec<f64> = (1..60)
            .map(|i| {
                assert_eq!((upbit[i].minute, usdt[i].minute), (binance[i].minute, binance[i].minute));
                let fx = usdt[i].close as f64 / 1e8;
                (upbit[i].close as f64 / fx / binance[i].close as f64 - 1.0) * 1e4
            })
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let cheap = matches!(symbol.listing.asset.as_str(), "DOGE" | "TRX");
        let off = ratios[29] - symbol.level_bps();
        assert!(off.abs() < if cheap { 20.0 } else { 4.0 }, "{}: median {off} bps off", symbol.listing.asset);
    }
}

#[test]
fn the_list_has_what_a_universe_filter_must_keep_out() {
    let model = market(1_000, MarketKind::Calm, 1, &[]);
    assert_eq!(members(&model).count(), 1_000);
    let traded = members(&model).filter(|s| s.listing.turnover * 0.7 >= 1e6).count();
    assert!(traded >= 900, "{traded} symbols above 1 000 000 USDT");
    for kind in [Kind::Fx, Kind::Stable, Kind::Warned, Kind::Halted, Kind::UpbitOnly, Kind::BinanceOnly] {
        assert!(model.symbols().iter().any(|s| s.listing.kind == kind), "{kind:?}");
    }
    assert!(Model::new(0, MarketKind::Calm, 1, 0, &[]).is_err());
    assert!(Model::new(1_001, MarketKind::Calm, 1, 0, &[]).is_err());
}

/// A position of the crude trader below.
struct Position {
    down: bool,
    decided: u64,
    seen: f64,
    filled: Option<f64>,
    leaving: Option<(u64, &'static str)>,
}

/// Trades touch prices by the published rules: 30 bps of fees, 3 bps reserve, 5 bps edge, orders fill 100 ms after the
/// decision, stop loss 20 bps, reversal 10 bps, 5 s, take profit 25 bps net. Returns net bps by exit reason.
fn trade(model: &mut Model, seconds: u64) -> Vec<(&'static str, f64)> {
    let mut changes = Changes::default();
    let mut open: Vec<Option<Position>> = model.symbols().iter().map(|_| None).collect();
    let mut done = Vec::new();
    for step in 0..seconds * 20 {
        model.step(&mut changes);
        for (index, symbol) in members(model).enumerate() {
            let (down, up) = gaps(symbol, model.fx_mid());
            let spreads = -(down + up);
            match &mut open[index] {
                None => {
                    let edge = down.max(up) - spreads / 2.0 - 33.0;
                    if edge >= 5.0 {
                        let seen = down.max(up);
                        open[index] = Some(Position {
                            down: down > up,
                            decided: step,
                            seen,
                            filled: None,
                            leaving: None,
                        });
                    }
                }
                Some(p) => {
                    let (now, back) = if p.down { (down, up) } else { (up, down) };
                    let age = step - p.decided;
                    let Some(entry) = p.filled else {
                        p.filled = (age >= 2).then_some(now);
                        continue;
                    };
                    let net = entry + back - 30.0;
                    match p.leaving {
                        Some((at, reason)) if step >= at + 2 => {
                            done.push((reason, net));
                            open[index] = None;
                        }
                        Some(_) => {}
                        None if now - p.seen.max(entry) >= 20.0 => p.leaving = Some((step, "stop")),
                        None if now < -10.0 - spreads / 2.0 => p.leaving = Some((step, "reversal")),
                        None if age >= 100 => p.leaving = Some((step, "time")),
                        None if net >= 25.0 => p.leaving = Some((step, "profit")),
                        None => {}
                    }
                }
            }
        }
    }
    done
}

#[test]
fn a_crude_trader_earns_in_the_edge_market_and_leaves_for_every_reason() {
    let mut all = Vec::new();
    for seed in 0..5 {
        all.extend(trade(&mut market(50, MarketKind::Edge, seed, &[]), 60));
    }
    let count = |reason: &str| all.iter().filter(|(r, _)| *r == reason).count();
    let wins = all.iter().filter(|(_, net)| *net > 0.0).count();
    let sum: f64 = all.iter().map(|(_, net)| net).sum();
    eprintln!(
        "{} round trips in 5 x 60 s x 50 symbols: profit {}, time {}, stop {}, reversal {}; {wins} won; {sum:.0} bps",
        all.len(),
        count("profit"),
        count("time"),
        count("stop"),
        count("reversal")
    );
    assert!(all.len() > 150 && wins * 10 > all.len() * 6 && sum > 0.0);
    for reason in ["profit", "time", "stop", "reversal"] {
        assert!(count(reason) > 0, "never left by {reason}");
    }
}

#[test]
fn a_crude_trader_finds_nothing_in_a_calm_market_but_a_planted_gap() {
    for seed in 0..10 {
        assert!(trade(&mut market(50, MarketKind::Calm, seed, &[]), 60).is_empty(), "seed {seed}");
        for bps in [80.0, -80.0] {
            let (at, lasts) = (Duration::from_secs(10), Duration::from_secs(3));
            let done = trade(
                &mut market(50, MarketKind::Calm, seed, &[PlantedGap { asset: None, bps, at, lasts }]),
                30,
            );
            assert_eq!(done.len(), 1, "seed {seed}: {done:?}");
            assert!(done[0].1 > 20.0, "seed {seed}: {done:?}");
        }
    }
}
