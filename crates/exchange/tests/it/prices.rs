//! Real price paths: reading a folder, walking one path on both venues, serving it. The folder is made here; what the data
//! of the specification say is tested end to end.

use exchange::model::{Changes, Model, PlantedGap};
use exchange::{ExchangeError, MarketKind, Options, Prices, read_prices};
use market::Asset;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// 2025-09-01 00:00 UTC.
const START: i64 = 1_756_684_800;
const MINUTES: i64 = 180;

fn price(symbol: usize, minute: i64) -> f64 {
    let base = [110_000.0, 4_400.0, 2.8][symbol];
    base * (1.0 + 2e-4 * ((minute * (3 + symbol as i64)) % 17 - 8) as f64)
}

fn ratio(symbol: usize, minute: i64) -> f64 {
    1_390.0 + (minute / 5 % 7) as f64 + [0.2, -0.3, 0.6][symbol]
}

fn time(minute: i64) -> String {
    jiff::Timestamp::from_second(START + minute * 60).unwrap().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Three symbols over three hours; the second has a minute without a trade.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: String, text: String| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for (i, symbol) in ["BTC", "ETH", "XRP"].into_iter().enumerate() {
        let mut upbit = "timestamp,open,high,low,close,volume\n".to_owned();
        let mut binance = "Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume\n".to_owned();
        for m in 0..MINUTES {
            if m % 5 == 0 {
                let usdt = price(i, m);
                writeln!(binance, "{},{usdt},0,0,0,1,0,{}", time(m), 1e7 / (i + 1) as f64).unwrap();
            }
            if i != 1 || m != 100 {
                // Within five minutes Upbit goes its own way.
                let krw = price(i, m / 5 * 5) * ratio(i, m) * (1.0 + 3e-4 * (m % 5) as f64);
                writeln!(upbit, "{},{krw},0,0,0,1", time(m)).unwrap();
            }
        }
        write(format!("upbit_krw_1m/{symbol}_KRW_1m_x.csv"), upbit);
        write(format!("binance_spot_5m/{symbol}USDT_5m_x.csv"), binance);
    }
    write(
        "fx/ecb_usdkrw_daily.csv".to_owned(),
        "Date,USD,KRW,USDKRW\n2025-08-29,1,1,1380.5\n2025-09-02,1,1,1400\n".to_owned(),
    );
    dir
}

fn mid(book: &[exchange::model::ladder::Ladder; 2]) -> f64 {
    f64::midpoint(book[0].rungs()[0].price as f64, book[1].rungs()[0].price as f64) / 1e8
}

fn walking(dir: &Path, planted: &[PlantedGap]) -> Model {
    let paths = Arc::new(read_prices(dir).unwrap());
    Model::walking(paths, None, 1, (START + 1_800) * 1_000, planted).unwrap()
}

#[test]
fn both_venues_stand_where_the_candles_say_and_the_rate_is_their_median() {
    let dir = folder();
    let paths = read_prices(dir.path()).unwrap();
    let names: Vec<String> = paths.paths().iter().map(|path| path.asset.to_string()).collect();
    assert_eq!(names, ["BTC", "ETH", "XRP"], "most traded first");
    assert_eq!(paths.common().len(), 35, "36 instants, of which one has no trade of ETH on Upbit");
    let mut model = walking(dir.path(), &[]);
    let source = model.source().unwrap();
    assert_eq!((source.from.as_str(), source.ecb_usd_krw), ("2025-09-01 00:30 UTC", Some(1_380.5)));
    assert!(source.krw_usdt.starts_with("median over the symbols"));
    let mut changes = Changes::default();
    for step in 0..(MINUTES - 35) * 60 * 20 {
        model.step(&mut changes);
        let minute = 30 + (step + 1) / 1_200;
        if (step + 1) % 6_000 != 0 || minute == 100 {
            continue;
        }
        assert!((model.fx_mid() - (ratio(0, minute))).abs() < 1e-6, "the median of three is BTC's");
        for (i, symbol) in model.symbols().iter().take(3).enumerate() {
            let seen = mid(&symbol.upbit) / mid(&symbol.binance);
            // Books move by 1.5 bps at least, and XRP's tick is 2.6 bps.
            assert!((seen / ratio(i, minute) - 1.0).abs() < 4e-4, "{i} at minute {minute}: {seen}");
        }
    }
}

#[test]
fn the_krw_usdt_book_shows_the_rate_as_its_size_weighted_middle() {
    let dir = folder();
    let mut model = walking(dir.path(), &[]);
    let fx = model.symbols().iter().position(|s| s.listing.asset.as_str() == "USDT").unwrap();
    let mut changes = Changes::default();
    for second in 1..6_000 {
        model.leap(Duration::from_secs(second), &[fx], &mut changes);
        let [bid, ask] = [0, 1].map(|side| model.symbols()[fx].upbit[side].rungs()[0]);
        assert!(bid.price < ask.price && bid.price % 50_000_000 == 0 && ask.price % 50_000_000 == 0);
        let (b, a) = (bid.size as f64, ask.size as f64);
        let weighted = (bid.price as f64 * a + ask.price as f64 * b) / (a + b) / 1e8;
        assert!((weighted - model.fx_mid()).abs() < 1e-4, "{weighted} for {}", model.fx_mid());
        assert!(b.min(a) / (a + b) > 0.1, "neither best level is thin");
    }
}

#[test]
fn a_gap_stands_on_top_of_the_path_and_only_while_it_lasts() {
    let dir = folder();
    let asset = Some(Asset::new("ETH").unwrap());
    let gap = PlantedGap { asset, bps: 80.0, at: Duration::from_secs(600), lasts: Duration::from_secs(10) };
    let (mut plain, mut planted) = (walking(dir.path(), &[]), walking(dir.path(), &[gap]));
    let mut changes = Changes::default();
    for (second, bps) in [(599, 0.0), (600, 80.0), (605, 80.0), (610, 0.0)] {
        let of = |model: &mut Model, changes: &mut Changes| {
            model.leap(Duration::from_secs(second), &[0, 1, 2], changes);
            [0, 1, 2].map(|i| {
                let symbol = &model.symbols()[i];
                (mid(&symbol.upbit), mid(&symbol.binance))
            })
        };
        let (without, with) = (of(&mut plain, &mut changes), of(&mut planted, &mut changes));
        for i in 0..3 {
            let expected = if i == 1 { bps } else { 0.0 };
            let above = (with[i].0 / without[i].0 - 1.0) * 1e4;
            assert!((above - expected).abs() < 1.0, "{i} at {second} s: {above} bps");
            assert!((with[i].1 - without[i].1).abs() < 1e-9, "Binance stays on the path");
        }
    }
}

#[test]
fn candles_before_the_start_are_the_path_and_go_back_to_its_beginning() {
    let dir = folder();
    let model = walking(dir.path(), &[]);
    for index in 0..3 {
        let (upbit, binance) = (model.upbit_candles(index, 200), model.binance_candles(index, 200));
        // The minute of the start, and the half hour before it.
        assert_eq!((upbit.len(), binance.len()), (31, 31));
        for (a, b) in upbit.iter().zip(&binance).skip(1) {
            assert_eq!(a.minute, b.minute);
            let minute = a.minute - START / 60;
            let seen = a.open as f64 / b.open as f64;
            let between = (ratio(index, minute / 5 * 5), ratio(index, minute / 5 * 5 + 5));
            let expected = between.0 + (between.1 - between.0) * (minute % 5) as f64 / 5.0;
            assert!(
                (seen / expected - 1.0).abs() < 3e-4,
                "{index} at minute {minute}: {seen} for {expected}"
            );
            assert!(a.low <= a.open.min(a.close) && a.high >= a.open.max(a.close));
        }
    }
}

#[test]
fn what_is_no_folder_of_candles_is_refused_with_the_reason() {
    let dir = folder();
    let said = |dir: &Path| read_prices(dir).unwrap_err().to_string();
    let empty = tempfile::tempdir().unwrap();
    assert!(said(empty.path()).contains("upbit_krw_1m: No such file"), "{}", said(empty.path()));
    let file = dir.path().join("upbit_krw_1m/BTC_KRW_1m_x.csv");
    std::fs::write(&file, "timestamp,open\n2025-09-01 00:00:00,1\nnonsense\n").unwrap();
    assert!(said(dir.path()).contains("line 3: \"nonsense\" does not begin with a time and a price"));
    std::fs::write(&file, "timestamp,open\n2025-09-01 00:00:00,1\n").unwrap();
    assert!(said(dir.path()).contains("have 1 five-minute instants in common"), "{}", said(dir.path()));
    std::fs::remove_dir_all(dir.path().join("binance_spot_5m")).unwrap();
    assert!(said(dir.path()).contains("binance_spot_5m: No such file"));
    let dir = folder();
    let paths = Arc::new(read_prices(dir.path()).unwrap());
    let early = Model::walking(paths, Some(START * 1_000), 1, 0, &[]).unwrap_err();
    assert!(
        matches!(&early, ExchangeError::From { first, .. } if first == "2025-09-01 00:30 UTC"),
        "{early}"
    );
}

#[tokio::test]
async fn servers_say_what_their_prices_are() {
    let dir = folder();
    let prices = Some(Prices { paths: Arc::new(read_prices(dir.path()).unwrap()), from_ms: None });
    let options = Options { prices, ..Options::local(1, MarketKind::Calm, 1) };
    let server = exchange::start(options).await.unwrap();
    assert_eq!(server.source.as_ref().unwrap().symbols, ["BTC", "ETH", "XRP"]);
    server.shutdown().await;
}
