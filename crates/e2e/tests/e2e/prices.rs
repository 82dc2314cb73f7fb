//! Ten days of real prices through the engine: a generated input log, replayed, sees the premiums of the data, and what
//! it does about them adds up. The data's own figures are computed here, straight from the files.

use crate::harness;
use crate::harness::Scratch;
use assay::generate::{InMemory, Plan, VirtualMarket, write_log};
use engine::{Config, Core, Effect};
use exchange::{MarketKind, PlantedGap, Prices};
use flate2::read::GzDecoder;
use journal::record::Direction;
use journal::{Body, Entry};
use market::{Asset, Timestamp, Venue};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const SYMBOLS: [&str; 3] = ["BTC", "ETH", "XRP"];
const MINUTE_NS: i64 = 60_000_000_000;

/// The folder of candles, or a loud word that it is not there.
fn data() -> Option<PathBuf> {
    let root = std::env::var_os("ASSAY_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let prices = root.join("prices");
    if prices.is_dir() {
        return Some(prices);
    }
    eprintln!("SKIPPED: no {}; set ASSAY_TEST_DATA", prices.display());
    None
}

/// Opens by minute since 1970.
fn opens(folder: &Path, begins: &str) -> BTreeMap<i64, f64> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files.filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with(begins)).min().unwrap();
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            let mut cells = line.split(',');
            let at: jiff::Timestamp =
                format!("{}Z", cells.next().unwrap().replace(' ', "T")).parse().unwrap();
            (at.as_second() / 60, cells.next().unwrap().parse().unwrap())
        })
        .collect()
}

/// KRW per USDT by symbol, at each minute at which all symbols have candles of both venues.
fn ratios(prices: &Path) -> BTreeMap<i64, [f64; 3]> {
    let upbit = SYMBOLS.map(|s| opens(&prices.join("upbit_krw_1m"), &format!("{s}_KRW")));
    let binance = SYMBOLS.map(|s| opens(&prices.join("binance_spot_5m"), &format!("{s}USDT")));
    let instants = binance[0].keys().filter(|m| {
        upbit.iter().all(|known| known.contains_key(m)) && binance.iter().all(|known| known.contains_key(m))
    });
    instants.map(|m| (*m, std::array::from_fn(|i| upbit[i][m] / binance[i][m]))).collect()
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    let half = of.len() / 2;
    if of.len() % 2 == 1 { of[half] } else { f64::midpoint(of[half - 1], of[half]) }
}

/// What the data say of one symbol, in basis points.
#[derive(Debug)]
struct Figures {
    /// Standard deviation of the residual: the ratio over the median over the symbols.
    sd: f64,
    /// Its largest distance from zero.
    max: f64,
    /// Distance of the ratio from its median over the 30 min before: 99th percentile and maximum.
    distance: (f64, f64),
}

fn figures(ratios: &[[f64; 3]], rates: &[f64], symbol: usize) -> Figures {
    let residuals: Vec<f64> =
        ratios.iter().zip(rates).map(|(of, rate)| (of[symbol] / rate - 1.0) * 1e4).collect();
    let n = residuals.len() as f64;
    let mean = residuals.iter().sum::<f64>() / n;
    let sd = (residuals.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n).sqrt();
    let mut distances: Vec<f64> = (6..ratios.len())
        .map(|i| {
            let usual = median(ratios[i - 6..i].iter().map(|of| of[symbol]).collect());
            ((ratios[i][symbol] / usual - 1.0) * 1e4).abs()
        })
        .collect();
    distances.sort_by(f64::total_cmp);
    Figures {
        sd,
        max: residuals.iter().fold(0.0, |most, r| most.max(r.abs())),
        distance: (distances[distances.len() * 99 / 100], distances[distances.len() - 1]),
    }
}

fn plan(prices: &Path, lasts: Option<Duration>) -> Plan {
    let paths = Arc::new(exchange::read_prices(prices).unwrap());
    Plan {
        prices: Some(Prices { paths, from_ms: None }),
        symbols: 3,
        kind: MarketKind::Calm,
        seed: 1,
        planted: Vec::new(),
        lasts,
        config: Config { topn: 3, ..Config::default() },
    }
}

/// Minutes and, for each, what the books of a replay say: the ratio of the mids by symbol, and the rate.
struct Seen {
    instants: Vec<i64>,
    ratios: Vec<[f64; 3]>,
    rates: Vec<f64>,
    entries: Vec<Entry>,
    snapshots: usize,
}

/// Replays a log through a core, and looks at its books at the end of each of the instants.
fn replay(log: &Path, instants: impl Iterator<Item = i64>) -> Seen {
    let mut reader = recording::file::Reader::open(log).unwrap();
    let first = reader.next_record().unwrap().unwrap();
    let mut out = Vec::new();
    let mut core = Core::start(first.seq, first.at, &first.input, &mut out).unwrap();
    let mut instants = instants.skip_while(|m| m * MINUTE_NS <= first.at.0).peekable();
    let assets = SYMBOLS.map(|s| Asset::new(s).unwrap());
    let mut seen = Seen {
        instants: Vec::new(),
        ratios: Vec::new(),
        rates: Vec::new(),
        entries: Vec::new(),
        snapshots: 0,
    };
    while let Some(record) = reader.next_record().unwrap() {
        // What the venues sent at an instant is there 3 ms later; the first record after that ends it.
        if let Some(m) = instants.next_if(|m| record.at.0 > m * MINUTE_NS + 3_000_000) {
            let mid = |asset, venue| {
                let touch =
                    core.touch(asset, venue).unwrap_or_else(|| panic!("no Live book of {asset} at {m}"));
                f64::midpoint(touch.bid.to_f64(), touch.ask.to_f64())
            };
            seen.instants.push(m);
            seen.ratios.push(assets.map(|a| mid(a, Venue::Upbit) / mid(a, Venue::Binance)));
            seen.rates.push(core.signal_rate().unwrap().0.to_f64());
        }
        core.apply(record.seq, record.at, &record.input, &mut out);
        for effect in out.drain(..) {
            match effect {
                Effect::RequestSnapshot { .. } => seen.snapshots += 1,
                // Figures and equity of each second would fill the memory with nothing that is asked here.
                Effect::Record(entry) if matches!(entry.body, Body::Figures { .. } | Body::Equity { .. }) => {
                }
                Effect::Record(entry) => seen.entries.push(entry),
                Effect::Watch { .. }
                | Effect::Resubscribe { .. }
                | Effect::Finished
                | Effect::EmergencyExit => {}
            }
        }
    }
    assert_eq!(reader.torn_at(), None);
    seen
}

/// The sums of the funnel's records: the total's, and those of the symbols together.
fn funnels(entries: &[Entry]) -> [BTreeMap<String, u64>; 2] {
    let mut sums = [BTreeMap::new(), BTreeMap::new()];
    for entry in entries {
        if let Body::Funnel { asset, counts } = &entry.body {
            for (stage, n) in counts {
                *sums[usize::from(asset.is_some())].entry(stage.clone()).or_insert(0) += n;
            }
        }
    }
    sums
}

#[test]
fn ten_days_of_real_prices_are_seen_as_they_were_and_the_funnel_explains_the_outcome() {
    harness::gives_way();
    let Some(prices) = data() else { return };
    let own = ratios(&prices);
    assert!(own.len() > 2_800, "{} common instants in ten days", own.len());
    let dir = Scratch::new();
    let log = dir.path().join("prices.log");
    let plan = plan(&prices, None);
    let written = write_log(&plan, &log).unwrap();
    let seen = replay(&log, own.keys().copied());
    assert_eq!(seen.snapshots, SYMBOLS.len(), "a market without faults wants each book once");
    assert!(written.lasts > Duration::from_secs(9 * 86_400) && seen.instants.len() > 2_800);

    let all: Vec<[f64; 3]> = own.values().copied().collect();
    let all_rates: Vec<f64> = all.iter().map(|of| median(of.to_vec())).collect();
    let walked: Vec<[f64; 3]> = seen.instants.iter().map(|m| own[m]).collect();
    let walked_rates: Vec<f64> = walked.iter().map(|of| median(of.to_vec())).collect();
    for (i, symbol) in SYMBOLS.iter().enumerate() {
        // The data themselves, as the specification measured them.
        let whole = figures(&all, &all_rates, i);
        assert!((3.9..5.5).contains(&whole.sd) && whole.max < 24.5, "{symbol}: {whole:?}");
        assert!((18.0..21.5).contains(&whole.distance.0), "{symbol}: {whole:?}");
        assert!((42.0..63.5).contains(&whole.distance.1), "{symbol}: {whole:?}");
        // The engine's books show the same premium at each instant, up to the rounding of a tick.
        for (m, (of, data)) in seen.instants.iter().zip(seen.ratios.iter().zip(&walked)) {
            let off = (of[i] / data[i] - 1.0) * 1e4;
            assert!(off.abs() < 0.2, "{symbol} at minute {m}: {off} bps off the data");
        }
        // Its rate is a mean over 10 s of a rate that moves by up to 40 bps in 5 min: at most 1.3 bps late.
        for (m, (rate, data)) in seen.instants.iter().zip(seen.rates.iter().zip(&walked_rates)) {
            assert!((rate / data - 1.0).abs() * 1e4 < 1.5, "at minute {m}: {rate} for {data}");
        }
        let (data, engine) = (figures(&walked, &walked_rates, i), figures(&seen.ratios, &seen.rates, i));
        println!("{symbol}: data {data:?}, engine {engine:?}");
        assert!((data.sd - engine.sd).abs() < 0.05, "{symbol}: {data:?}, {engine:?}");
        assert!((data.max - engine.max).abs() < 1.0, "{symbol}: {data:?}, {engine:?}");
        assert!((data.distance.0 - engine.distance.0).abs() < 0.1, "{symbol}: {data:?}, {engine:?}");
        assert!((data.distance.1 - engine.distance.1).abs() < 0.3, "{symbol}: {data:?}, {engine:?}");
    }
    the_funnel_explains(&seen.entries, plan.config.min_edge_bps);
}

/// Whatever the outcome is, the stages add up, and what was not sent stopped at a stage that says why.
fn the_funnel_explains(entries: &[Entry], threshold: f64) {
    let [total, symbols] = funnels(entries);
    println!("funnel: {total:?}");
    let at = |stage: &str| total.get(stage).copied().unwrap_or(0);
    for (stage, n) in &symbols {
        assert_eq!(total.get(stage), Some(n), "{stage}: the symbols together are the total");
    }
    assert!(at("evaluated") > 1_000_000, "ten days were hardly looked at: {total:?}");
    let stages = ["evaluated", "gross_positive", "net_positive", "above_threshold"].map(at);
    assert!(stages.is_sorted_by(|a, b| a >= b), "{total:?}");
    let orders = entries.iter().filter(|e| matches!(e.body, Body::Decision { .. })).count() as u64;
    assert_eq!(at("sent"), orders);
    // Each intent is one evaluation of the better direction at or above the threshold, and all of them are told.
    let held = ["entry_pause", "symbol_positions", "position_limit", "inventory", "edge_at_size"];
    let held: u64 = held.iter().map(|why| at(&format!("suppressed:{why}"))).sum();
    let told = at("sent") + at("blocked") + held;
    // These two are met before an edge is known as well.
    let either = at("suppressed:order_size") + at("suppressed:no_depth");
    assert!((told..=told + either).contains(&at("above_threshold")), "{total:?}");
    if at("sent") == 0 {
        assert_eq!(
            at("above_threshold"),
            at("blocked"),
            "nothing was sent, and no edge reached {threshold} bps"
        );
    }
}

#[test]
fn a_gap_planted_on_real_prices_is_traded_in_its_direction() {
    harness::gives_way();
    let Some(prices) = data() else { return };
    let minutes = |m: u64| Duration::from_secs(m * 60);
    let asset = Asset::new("BTC").unwrap();
    let gap =
        |bps, at| PlantedGap { asset: Some(asset), bps, at: minutes(at), lasts: Duration::from_secs(20) };
    let planted = [gap(90.0, 40), gap(-90.0, 75)];
    let plan = plan(&prices, None);
    let market = Prices { paths: Arc::clone(&plan.prices.unwrap().paths), from_ms: None };
    let started = VirtualMarket::walking(&market, 1, &planted, "planted", &plan.config, InMemory::default());
    let mut session = started.unwrap();
    session.run(minutes(90), |_| {}).unwrap();
    session.end().unwrap();
    let start = Timestamp::from_millis(market.start_ms());
    let entries = session.into_sink().entries;
    let mut went = Vec::new();
    for entry in &entries {
        if let Body::Decision { asset: of, direction, .. } = &entry.body {
            assert_eq!(*of, asset, "the gap is BTC's");
            let since = entry.at.since(start) / MINUTE_NS;
            went.push((since, *direction));
        }
    }
    assert!(went.contains(&(40, Direction::BuyBinance)), "{went:?}");
    assert!(went.contains(&(75, Direction::BuyUpbit)), "{went:?}");
    assert!(went.iter().all(|(at, _)| matches!(at, 40 | 75)), "only what was planted is traded: {went:?}");
    let closed: Vec<_> = entries
        .iter()
        .filter_map(|e| match &e.body {
            Body::Closed { reason, net_usd, .. } => Some((*reason, *net_usd)),
            _ => None,
        })
        .collect();
    assert_eq!(closed.len(), went.len(), "every position was closed: {closed:?}");
    println!("closed: {closed:?}");
    let accounts = gate::account(&entries).unwrap();
    assert!(accounts.problems.is_empty(), "{:?}", accounts.problems);
}

#[test]
fn a_log_of_real_prices_is_one_that_replay_takes() {
    harness::gives_way();
    let Some(prices) = data() else { return };
    let dir = Scratch::new();
    let log = dir.path().join("hour.log");
    let prices = prices.display().to_string();
    let assay = |args: &[&str]| crate::harness::assay(args);
    let log_text = log.display().to_string();
    assay(&[
        "exchange",
        "--prices",
        &prices,
        "--write-log",
        &log_text,
        "--log-span",
        "1 h",
        "--gap",
        "90@600:20",
    ])
    .exits(0)
    .says("inputs");
    let (one, two) = (dir.path().join("one.log"), dir.path().join("two.log"));
    let (one, two) = (one.display().to_string(), two.display().to_string());
    assay(&["replay", &log_text, "--journal", &one]).exits(0);
    assay(&["replay", &log_text, "--journal", &two, "--expect", &one]).exits(0).says("byte for byte");
    assay(&["exchange", "--prices", &prices, "--write-log", &log_text]).exits(70).says("choose a file");
    assay(&["exchange", "--prices", &prices, "--from", "2024-01-01"])
        .exits(64)
        .says("they can from 2025-09-01");
}

#[test]
fn a_session_on_real_prices_is_explained_by_the_command() {
    harness::gives_way();
    let Some(prices) = data() else { return };
    let dir = Scratch::new();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (log, journal) = (path("input.log"), path("journal.log"));
    let prices = prices.display().to_string();
    let assay = |args: &[&str]| crate::harness::assay(args);
    let made =
        ["exchange", "--prices", &prices, "--write-log", &log, "--log-span", "20 min", "--gap", "90@600:20"];
    assay(&made).exits(0);
    assay(&["replay", &log, "--journal", &journal]).exits(0);
    let story = assay(&["explain", "--journal", &journal, "--trade", "1", "--json"]);
    let story: serde_json::Value = serde_json::from_str(&story.exits(0).stdout).unwrap();
    let usd = |value: &serde_json::Value| market::Money::parse(value.as_str().unwrap()).unwrap();
    let closed = &story["ended"]["closed"];
    let fees: i128 = story["legs"].as_array().unwrap().iter().map(|leg| usd(&leg["fee_usd"]).0).sum();
    assert_eq!(fees, usd(&closed["fees_usd"]).0, "the legs' fees are the trade's: {story}");
    assert_eq!(usd(&closed["gross_usd"]).0 - fees, usd(&closed["net_usd"]).0);
    assert_eq!(story["decided"]["reserve_bps"].as_f64().map(f64::round), Some(3.0));
    let asset = story["asset"].as_str().unwrap().to_owned();
    assay(&["explain", "--journal", &journal, "--trade", "1"]).exits(0).says("four fees").says("slippage");
    assay(&["explain", "--journal", &journal, "--symbol", &asset])
        .exits(0)
        .says("it traded")
        .says("By minute");
    let other = if asset == "XRP" { "BTC" } else { "XRP" };
    assay(&["explain", "--journal", &journal, "--symbol", other])
        .exits(0)
        .says("no edge reached the threshold: the best was");
    assay(&["explain", "--journal", &journal, "--trade", "77"])
        .exits(66)
        .says("there are 1 (")
        .is_one_paragraph();
    assay(&["explain", "--journal", &journal, "--symbol", "DOGE"])
        .exits(66)
        .says("the members are")
        .is_one_paragraph();
    assay(&["explain", "nowhere", "--trade", "1", "--logs", &path("logs")]).exits(66).is_one_paragraph();
}

#[test]
fn the_universe_of_a_local_exchange_is_explained() {
    harness::gives_way();
    let dir = Scratch::new();
    let mut child = crate::harness::start(["exchange", "--symbols", "12", "--market", "calm"], dir.path());
    let ready = crate::harness::wait_for("the exchange's addresses", Duration::from_secs(20), || {
        let text = std::fs::read_to_string(dir.path().join("stdout")).ok()?;
        serde_json::from_str::<serde_json::Value>(text.lines().next()?).ok()
    });
    let url = |venue: &str| format!("http://{}", ready[venue].as_str().unwrap());
    let (upbit, binance) = (url("upbit"), url("binance"));
    let ask = |more: &[&str]| {
        let base = ["universe", "--upbit-url", &upbit, "--binance-url", &binance, "--topn", "5"];
        crate::harness::assay(base.iter().chain(more))
    };
    let told = ask(&["--explain"]);
    told.exits(0).says("5 of 5 asked").says("passes every filter").says("under a venue's warning");
    told.says("on the list of excluded assets").says("not trading on both venues");
    let json: serde_json::Value = serde_json::from_str(&ask(&["--json"]).exits(0).stdout).unwrap();
    let members = json["candidates"].as_array().unwrap().iter().filter(|one| one["place"].is_u64()).count();
    assert_eq!(members, 5);
    child.kill().unwrap();
    child.wait().unwrap();
    crate::harness::assay(["universe", "--upbit-url", &upbit]).exits(64);
}
