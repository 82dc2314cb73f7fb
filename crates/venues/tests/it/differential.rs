//! The scanner and the complete reader agree, on real frames, on synthetic ones, and on both after seeded mutations; what either
//! accepts has the value that an independent reading of the digits gives; and no parser panics on anything.
//!
//! CI draws some 10^5 cases. `ASSAY_FUZZ_SECONDS=N` (`cargo xtask campaign fuzz`) goes on for N seconds per parser. A failure
//! prints seed, case and bytes: the same seed gives the same cases again.

use super::data::{lines, read};
use super::mutate::{Mutator, Random};
use market::Level;
use std::time::{Duration, Instant};
use venues::LevelBuffer;
use venues::binance::{tables as binance_tables, wire as binance};
use venues::upbit::{tables as upbit_tables, wire as upbit};

/// What one parser makes of a frame: a description when it accepts.
type Check = fn(&[u8]) -> Option<String>;

/// Cases of each parser in CI.
const CASES: u64 = 25_000;

/// How long a case may take: frames of these sizes need microseconds, so that a second is a hang.
const HANG: Duration = Duration::from_secs(5);

fn binance_frame(frame: &[u8]) -> Option<String> {
    let (mut one, mut two) = (LevelBuffer::new(), LevelBuffer::new());
    let (a, b) = (binance::parse(frame, &mut one), binance::parse_with_serde(frame, &mut two));
    assert_eq!(a, b);
    settle(a.ok(), frame, &one, &two)
}

fn binance_snapshot(frame: &[u8]) -> Option<String> {
    let (mut one, mut two) = (LevelBuffer::new(), LevelBuffer::new());
    let a = binance::parse_snapshot(frame, &mut one);
    assert_eq!(a, binance::parse_snapshot_with_serde(frame, &mut two));
    settle(a.ok(), frame, &one, &two)
}

fn upbit_frame(frame: &[u8]) -> Option<String> {
    let (mut one, mut two) = (LevelBuffer::new(), LevelBuffer::new());
    let (a, b) = (upbit::parse(frame, &mut one), upbit::parse_with_serde(frame, &mut two));
    assert_eq!(a, b);
    let mut each = Vec::new();
    let listed = upbit::parse_each(frame, &mut two, |message, levels| each.push((message, levels.clone())));
    match &a {
        Ok(message) => assert_eq!((listed, each), (Ok(()), vec![(message.clone(), one.clone())])),
        // A list of several, or of none, is read by the one and not by the other.
        Err(_) => assert!(listed.is_err() || each.len() != 1),
    }
    two = one.clone();
    settle(a.ok(), frame, &one, &two)
}

/// What an accepted frame must be, beyond the two readers' agreement.
fn settle<M: std::fmt::Debug>(
    message: Option<M>,
    frame: &[u8],
    one: &LevelBuffer,
    two: &LevelBuffer,
) -> Option<String> {
    let Some(message) = message else {
        assert_eq!(one, &LevelBuffer::new(), "a refused frame leaves no levels");
        return None;
    };
    assert_eq!(one, two);
    let text = std::str::from_utf8(frame).expect("an accepted frame is text");
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "an accepted frame is JSON");
    for level in one.bids.iter().chain(&one.asks) {
        assert!(level.price.0 >= 0 && level.quantity.0 >= 0);
    }
    Some(format!("{message:?} {one:?}"))
}

/// Tables and candles have one reader: it accepts nothing but JSON, and says the same twice.
macro_rules! one_reader {
    ($name:ident, $parse:path) => {
        fn $name(frame: &[u8]) -> Option<String> {
            let a = $parse(frame);
            assert_eq!(a, $parse(frame));
            let rows = a.ok()?;
            let json = serde_json::from_slice::<serde::de::IgnoredAny>(frame);
            assert!(json.is_ok(), "an accepted answer is JSON");
            Some(format!("{rows:?}"))
        }
    };
}

one_reader!(klines, binance::parse_klines);
one_reader!(exchange_info, binance_tables::parse_exchange_info);
one_reader!(tickers_usdt, binance_tables::parse_tickers_usdt);
one_reader!(candles, upbit::parse_candles);
one_reader!(markets, upbit_tables::parse_markets);
one_reader!(tickers_krw, upbit_tables::parse_tickers_krw);
one_reader!(orderbooks, upbit_tables::parse_orderbooks);
one_reader!(instruments, upbit_tables::parse_instruments);

const BINANCE: &[&str] = &[
    r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50,"u":52,"b":[["61737.63000000","0.00000000"],["61730.17","1.5"]],"a":[["61737.64","12345.67890123"],["99999999.99999999","1"]]}}"#,
    r#"{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":50,"u":57,"pu":49,"b":[["58710.20","0.014"]],"a":[["58710.30","1"],["58710.40","0.000"]],"st":2,"ps":"BTCUSDT"}"#,
    r#"{"stream":"x@depth","data":{"a":[],"b":[["1E-8","92233720368.54775807"]],"u":18446744073709551615,"U":0,"s":"X","x":{"y":[1,{"z":null}],"w":"\u0041"},"E":0,"e":"depthUpdate"},"n":[true,false]}"#,
    r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#,
    r#"{"e":"bookTicker","u":400900217,"E":1568014460893,"T":1568014460891,"s":"BNBUSDT","b":"25.35","B":"0","a":"0.0","A":"40.66"}"#,
    r#"{"stream":"btcusdt@depth20","data":{"lastUpdateId":50,"bids":[["1.5","2"]],"asks":[["1.6","3"]]}}"#,
    r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#,
    r#"{"e":"serverShutdown","E":1770123456789}"#,
    r#"{"result":null,"id":1}"#,
    r#"{"error":{"code":2,"msg":"Invalid request: unknown variant"},"id":"a"}"#,
    r#"{"code":2,"msg":"Invalid request","id":7}"#,
    r#"[{"e":"24hrMiniTicker"}]"#,
];

const SNAPSHOTS: &[&str] = &[
    r#"{"lastUpdateId":50,"bids":[["1.5","2"],["1.40000000","0.00000001"]],"asks":[["1.6","3"]]}"#,
    r#"{"lastUpdateId":1027024,"E":1589436922972,"T":1589436922959,"symbol":"X","bids":[["4.00000000","431.00000000"]],"asks":[]}"#,
    r#"{ "asks" : [ [ "4.00000200" , "12.00000000" , [] ] ] , "bids" : [ [ 4 , 4.31e2 ] ] , "lastUpdateId" : 7 }"#,
    r#"{"code":-1121,"msg":"Invalid symbol."}"#,
];

const UPBIT: &[&str] = &[
    r#"{"type":"orderbook","code":"KRW-BTC","timestamp":1790134742106,"total_ask_size":2.5,"total_bid_size":1.6,"orderbook_units":[{"ask_price":1.16539E8,"bid_price":1.16538E8,"ask_size":0.02054761,"bid_size":7.9276E-4},{"ask_price":1.16542E8,"bid_price":0,"ask_size":0.00077720,"bid_size":0E-8}],"stream_type":"REALTIME","level":0}"#,
    r#"{"ty":"orderbook","cd":"KRW-BTC","tms":1790134773006,"tas":0.48,"tbs":2.2,"obu":[{"ap":116606000,"bp":116534000,"as":0.06288509,"bs":7.9276E-4},{"ap":127.0,"bp":0.00000001,"as":5796700.1587958,"bs":1.0}],"st":"SNAPSHOT","lv":0}"#,
    r#"[{"ty":"orderbook","cd":"KRW-X","tms":1,"obu":[{"bs":"1.5","as":1e0,"bp":2E+1,"ap":30,"new":{}}]}]"#,
    r#"{"new":["\u0022",{}],"obu":[],"type":"orderbook","cd":"KRW-X","timestamp":9223372036854}"#,
    r#"{"error":{"name":"NO_TICKET","message":"티켓이 존재하지 않거나, \"유효\"하지 않습니다."}}"#,
    r#"{"status":"UP"}"#,
    r#"{"method":"LIST_SUBSCRIPTIONS","result":[{"type":"orderbook","codes":["KRW-BTC"]}],"ticket":"t"}"#,
    r#"{"type":"trade","code":"KRW-BTC","sequential_id":17901347421060001}"#,
    r#"[{"type":"ticker"},{"status":"UP"}]"#,
];

const KLINES: &[&str] =
    &[r#"[[1700000000000,"1","2","0.5","1.5","10",1700000059999,"15",3,"5","7","0"],[1,"1","1","1",1e2]]"#];

const INFO: &[&str] = &[
    r#"{"timezone":"UTC","symbols":[{"symbol":"XUSDT","status":"HALT","baseAsset":"X","quoteAsset":"USDT","new":[1],"filters":[{"filterType":"PRICE_FILTER","minPrice":"0.1","tickSize":"0.00010000"},{"filterType":"LOT_SIZE","minQty":"0.1","maxQty":"900","stepSize":"0.1"},{"filterType":"MARKET_LOT_SIZE","minQty":"0.5","maxQty":"120.7","stepSize":"0.0"},{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true}]}]}"#,
];

const TICKERS: &[&str] = &[
    r#"[{"symbol":"BTCUSDT","lastPrice":"61000.5","quoteVolume":"123456789.123456789","x":1},{"symbol":"ETHBTC","lastPrice":"0.05","quoteVolume":"1"}]"#,
];

const CANDLES: &[&str] = &[
    r#"[{"market":"KRW-BTC","candle_date_time_utc":"2025-09-01T00:01:00","opening_price":1,"trade_price":2.0},{"candle_date_time_utc":"2025-09-01T00:00:00","trade_price":1.0E0}]"#,
];

const MARKETS: &[&str] = &[
    r#"[{"market":"KRW-ABC","korean_name":"\uac00","market_event":{"warning":true,"caution":{"PRICE_FLUCTUATIONS":false,"GLOBAL_PRICE_DIFFERENCES":true}}},{"market":"KRW-OLD","market_warning":"CAUTION"}]"#,
];

const TICKERS_KRW: &[&str] = &[
    r#"[{"market":"KRW-BTC","trade_price":1.486E8,"acc_trade_price_24h":178448329314.966860000001},{"market":"BTC-ETH","trade_price":0.02,"acc_trade_price_24h":1}]"#,
];

const ORDERBOOKS: &[&str] = &[
    r#"[{"market":"KRW-BTC","timestamp":1751327999000,"total_ask_size":1,"orderbook_units":[{"ask_price":148491000.0,"bid_price":148490000.0,"ask_size":0.1,"bid_size":2.0E-5},{"ask_price":0,"bid_price":1,"ask_size":0,"bid_size":1}],"level":0}]"#,
];

const INSTRUMENTS: &[&str] =
    &[r#"[{"market":"KRW-BTC","quote_currency":"KRW","tick_size":"1000","supported_levels":["0","10000"]}]"#];

/// Finds the frame in a line of a capture.
type Payload = fn(&str) -> Option<&str>;

/// Real bytes to mutate, as far as the test data is there.
fn real(prefixes: &[(&str, Payload)], every: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (file, frame) in prefixes {
        let Some(bytes) = read(file) else { continue };
        let found = lines(&bytes).filter_map(frame).step_by(every);
        frames.extend(found.filter(|f| f.len() < 20_000).map(|f| f.as_bytes().to_vec()));
    }
    frames
}

fn behind_space(line: &str) -> Option<&str> {
    line.split_once(' ').map(|(_, json)| json)
}

fn behind_raw(line: &str) -> Option<&str> {
    line.split_once("\"raw\":")?.1.strip_suffix('}')
}

fn real_binance(every: usize) -> Vec<Vec<u8>> {
    real(
        &[
            ("binance/hftbacktest/spot_btcusdt_20240808.gz", behind_space),
            ("binance/hftbacktest/usdm_btcusdt_20240808.gz", behind_space),
            ("binance/cryptofeed/spot_20211012_ws.txt", |l| l.split_once(": ").map(|(_, json)| json)),
            ("binance/cryptofeed/usdm_20210722_ws.txt", |l| l.split_once(": ").map(|(_, json)| json)),
        ],
        every,
    )
}

fn real_upbit() -> Vec<Vec<u8>> {
    real(
        &[
            ("upbit/upbit_ws_SIMPLE_20210417_part1.jsonl", behind_raw),
            ("upbit/golden_frames.jsonl", behind_raw),
        ],
        1,
    )
}

/// Runs one parser over mutations of its seeds: a number of cases, or for some time. Prints how many were accepted.
fn fuzz(name: &str, seed: u64, check: Check, synthetic: &[&str], real: Vec<Vec<u8>>) {
    let mut seeds: Vec<Vec<u8>> = synthetic.iter().map(|text| text.as_bytes().to_vec()).collect();
    for seed in &seeds {
        check(seed);
    }
    for frame in &real {
        assert!(check(frame).is_some(), "{}", String::from_utf8_lossy(frame));
    }
    seeds.extend(real);
    let seconds: Option<u64> = std::env::var("ASSAY_FUZZ_SECONDS").ok().map(|text| text.parse().unwrap());
    let seed = std::env::var("ASSAY_FUZZ_SEED").map_or(seed, |text| text.parse().unwrap());
    let mut mutator = Mutator::new(Random::new(seed), synthetic.len());
    let begun = Instant::now();
    let (mut cases, mut accepted) = (0u64, 0u64);
    loop {
        let more = match seconds {
            Some(seconds) => begun.elapsed() < Duration::from_secs(seconds),
            None => cases < CASES,
        };
        if !more {
            break;
        }
        let bytes = mutator.next(&seeds);
        let at = Instant::now();
        let outcome = std::panic::catch_unwind(|| check(&bytes).is_some());
        let took = at.elapsed();
        cases += 1;
        match outcome {
            Ok(ok) => accepted += u64::from(ok),
            Err(_) => panic!("{name}, seed {seed}, case {cases}: {}", String::from_utf8_lossy(&bytes)),
        }
        assert!(took < HANG, "{name}, seed {seed}, case {cases} took {took:?}");
    }
    println!("{name}: {cases} cases, {accepted} accepted, seed {seed}, {:?}", begun.elapsed());
    assert!(accepted > cases / 200, "{name}: hardly any case is accepted; the mutations are too wild");
    assert!(accepted < cases, "{name}: every case is accepted; the mutations do nothing");
}

#[test]
fn fuzz_binance_frames() {
    fuzz("binance frames", 1, binance_frame, BINANCE, real_binance(97));
}

#[test]
fn fuzz_binance_snapshots() {
    fuzz("binance snapshots", 2, binance_snapshot, SNAPSHOTS, Vec::new());
}

#[test]
fn fuzz_upbit_frames() {
    fuzz("upbit frames", 3, upbit_frame, UPBIT, real_upbit());
}

#[test]
fn fuzz_binance_klines() {
    fuzz("binance klines", 4, klines, KLINES, Vec::new());
}

#[test]
fn fuzz_binance_exchange_info() {
    fuzz("binance exchangeInfo", 5, exchange_info, INFO, Vec::new());
}

#[test]
fn fuzz_binance_tickers() {
    fuzz("binance tickers", 6, tickers_usdt, TICKERS, Vec::new());
}

#[test]
fn fuzz_upbit_candles() {
    fuzz("upbit candles", 7, candles, CANDLES, Vec::new());
}

#[test]
fn fuzz_upbit_markets() {
    fuzz("upbit markets", 8, markets, MARKETS, Vec::new());
}

#[test]
fn fuzz_upbit_tickers() {
    fuzz("upbit tickers", 9, tickers_krw, TICKERS_KRW, Vec::new());
}

#[test]
fn fuzz_upbit_orderbooks() {
    fuzz("upbit orderbooks", 10, orderbooks, ORDERBOOKS, Vec::new());
}

#[test]
fn fuzz_upbit_instruments() {
    fuzz("upbit instruments", 11, instruments, INSTRUMENTS, Vec::new());
}

/// The two readers on every real frame, not on a sample.
#[test]
fn both_readers_agree_on_every_frame_of_every_capture() {
    let binance = real_binance(1);
    assert!(binance.is_empty() || binance.len() > 130_000, "{}", binance.len());
    for frame in binance {
        assert!(binance_frame(&frame).is_some(), "{}", String::from_utf8_lossy(&frame));
    }
    for frame in real_upbit() {
        assert!(upbit_frame(&frame).is_some(), "{}", String::from_utf8_lossy(&frame));
    }
}

/// Any spelling of a number, read without the product's code: digits as text, the point moved.
fn independent(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = format!("{whole}{fraction}");
    // The value is `digits` times ten to this power, in units of 1e-8.
    let mut power = exponent + 8 - fraction.len() as i32;
    while power < 0 && digits.ends_with('0') {
        digits.pop();
        power += 1;
    }
    if digits.bytes().all(|b| b == b'0') {
        return Some(0);
    }
    (0..=40).contains(&power).then(|| format!("{digits}{}", "0".repeat(power as usize)))?.parse().ok()
}

/// A number as venues spell them, and as they might.
fn number(random: &mut Random) -> String {
    let digits = |random: &mut Random, most: u64| -> String {
        (0..=random.below(most)).map(|_| char::from(b'0' + random.below(10) as u8)).collect()
    };
    let whole = digits(random, 12);
    let whole = whole.trim_start_matches('0');
    let mut text = if whole.is_empty() { "0".to_owned() } else { whole.to_owned() };
    if random.below(4) > 0 {
        text.push('.');
        text.push_str(&digits(random, 10));
    }
    if random.below(3) == 0 {
        text.push(if random.below(2) == 0 { 'E' } else { 'e' });
        text.push_str(["", "-", "+"][random.below(3) as usize]);
        text.push_str(&random.below(13).to_string());
    }
    text
}

/// Numbers in frames of both venues have the value of an independent reading, or are refused where that has none.
#[test]
fn numbers_have_the_value_of_an_independent_reading() {
    let mut random = Random::new(12);
    let mut levels = LevelBuffer::new();
    let mut exact = 0;
    for _ in 0..60_000 {
        let texts: Vec<String> = (0..4).map(|_| number(&mut random)).collect();
        let values: Vec<Option<i128>> = texts.iter().map(|text| independent(text)).collect();
        let fits =
            |at: usize, price: bool| values[at].filter(|value| !price || i64::try_from(*value).is_ok());
        let [p, q, r, s] = [fits(0, true), fits(1, true), fits(2, false), fits(3, false)];
        let pair = |level: &Level| (i128::from(level.price.0), level.quantity.0);
        let upbit_text = format!(
            r#"{{"ty":"orderbook","cd":"KRW-X","tms":1,"obu":[{{"ap":{},"bp":{},"as":{},"bs":{}}}]}}"#,
            texts[0], texts[1], texts[2], texts[3]
        );
        let ok = upbit::parse(upbit_text.as_bytes(), &mut levels).is_ok();
        let all = (p, q, r, s);
        assert_eq!(ok, matches!(all, (Some(_), Some(_), Some(_), Some(_))), "{upbit_text}");
        if let (Some(p), Some(q), Some(r), Some(s)) = all {
            let side = |price: i128, size: i128| Some((price, size)).filter(|_| price != 0);
            assert_eq!(levels.asks.first().map(pair), side(p, r), "{upbit_text}");
            assert_eq!(levels.bids.first().map(pair), side(q, s), "{upbit_text}");
            exact += 1;
        }
        let binance_text = format!(
            r#"{{"e":"depthUpdate","E":1,"s":"X","U":1,"u":2,"b":[["{}","{}"]],"a":[["{}","{}"]]}}"#,
            texts[0], texts[2], texts[1], texts[3]
        );
        let ok = binance::parse(binance_text.as_bytes(), &mut levels).is_ok();
        let positive = |price: Option<i128>| price.is_some_and(|price| price > 0);
        assert_eq!(ok, positive(p) && positive(q) && r.is_some() && s.is_some(), "{binance_text}");
        if ok {
            assert_eq!(levels.bids.first().map(pair), p.zip(r), "{binance_text}");
            assert_eq!(levels.asks.first().map(pair), q.zip(s), "{binance_text}");
        }
    }
    assert!(exact > 5_000, "{exact}");
}
