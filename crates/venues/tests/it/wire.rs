//! Frames: exact numbers, tolerance, refusal of garbage, and agreement of the two readers.

use super::data::{lines, read};
use market::{DecimalError, Price, Quantity, Timestamp};
use proptest::prelude::*;
use venues::binance::wire as binance;
use venues::upbit::wire as upbit;
use venues::{LevelBuffer, Problem};

const UPBIT: &str = r#"{"type":"orderbook","code":"KRW-BTC","timestamp":1790134742106,"total_ask_size":2.5,"total_bid_size":1.6,"orderbook_units":[{"ask_price":1.16539E8,"bid_price":1.16538E8,"ask_size":0.02054761,"bid_size":7.9276E-4},{"ask_price":1.16542E8,"bid_price":0,"ask_size":0.00077720,"bid_size":0}],"stream_type":"REALTIME","level":0}"#;
const SIMPLE: &str = r#"{"ty":"orderbook","cd":"KRW-BTC","tms":1790134773006,"tas":0.48,"tbs":2.2,"obu":[{"ap":116606000,"bp":116534000,"as":0.06288509,"bs":7.9276E-4}],"st":"SNAPSHOT","lv":0}"#;
const DEPTH: &str = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50,"u":52,"b":[["61737.63000000","0.00000000"],["61730.17","1.5"]],"a":[]}}"#;
const FUTURES: &str = r#"{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":50,"u":57,"pu":49,"b":[["58710.20","0.014"]],"a":[["58710.30","1"]],"st":2,"ps":"BTCUSDT"}"#;
const TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#;
const SNAPSHOT: &str = r#"{"lastUpdateId":50,"bids":[["1.5","2"]],"asks":[["1.6","3"]]}"#;

fn both_upbit(frame: &[u8]) -> Option<String> {
    let (mut one, mut two) = (LevelBuffer::new(), LevelBuffer::new());
    let (a, b) = (upbit::parse(frame, &mut one), upbit::parse_with_serde(frame, &mut two));
    let text = a.as_ref().ok().map(|m| format!("{m:?} {one:?}"));
    assert_eq!(a, b, "{}", String::from_utf8_lossy(frame));
    if a.is_ok() {
        assert_eq!(one, two);
    } else {
        assert_eq!(one, LevelBuffer::new());
    }
    text
}

fn both_binance(frame: &[u8]) -> Option<String> {
    let (mut one, mut two) = (LevelBuffer::new(), LevelBuffer::new());
    let (a, b) = (binance::parse(frame, &mut one), binance::parse_with_serde(frame, &mut two));
    let text = a.as_ref().ok().map(|m| format!("{m:?} {one:?}"));
    assert_eq!(a, b, "{}", String::from_utf8_lossy(frame));
    if a.is_ok() {
        assert_eq!(one, two);
    } else {
        assert_eq!(one, LevelBuffer::new());
    }
    text
}

#[test]
fn upbit_numbers_are_exact_and_padding_is_left_out() {
    let mut levels = LevelBuffer::new();
    let upbit::Message::Orderbook(frame) = upbit::parse(UPBIT.as_bytes(), &mut levels).unwrap() else {
        panic!("no orderbook")
    };
    assert_eq!((frame.code, frame.snapshot), ("KRW-BTC", false));
    assert_eq!(frame.at, Timestamp::from_millis(1_790_134_742_106));
    assert_eq!((levels.asks.len(), levels.bids.len()), (2, 1));
    assert_eq!(levels.asks[0].price, Price::from_int(116_539_000));
    assert_eq!(levels.bids[0].quantity, Quantity::parse("0.00079276").unwrap());
    assert!(both_upbit(SIMPLE.as_bytes()).unwrap().contains("snapshot: true"));
}

#[test]
fn both_readers_agree_on_every_real_frame() {
    let mut seen = 0;
    for file in ["spot_btcusdt_20240808.gz", "usdm_btcusdt_20240808.gz"] {
        let Some(bytes) = read(&format!("binance/hftbacktest/{file}")) else { return };
        for line in lines(&bytes).take(8_000) {
            assert!(both_binance(line.split_once(' ').unwrap().1.as_bytes()).is_some());
            seen += 1;
        }
    }
    let Some(bytes) = read("upbit/upbit_ws_SIMPLE_20210417_part1.jsonl") else { return };
    for line in lines(&bytes) {
        let raw = &line[line.find("\"raw\":").unwrap() + 6..line.len() - 1];
        assert!(both_upbit(raw.as_bytes()).is_some());
    }
    assert_eq!(seen, 16_000);
}

#[test]
fn binance_messages() {
    let parse = |text: &str| both_binance(text.as_bytes()).unwrap();
    assert!(
        parse(DEPTH)
            .starts_with("Depth(DepthDiff { symbol: \"BTCUSDT\", first_id: 50, last_id: 52, prev_id: None")
    );
    assert!(parse(DEPTH).contains("61737.63"), "zero quantities stay");
    assert!(parse(FUTURES).contains("prev_id: Some(49)"));
    assert!(parse(TICKER).contains("update_id: 50093239212"));
    let partial = format!(r#"{{"stream":"btcusdt@depth20","data":{SNAPSHOT}}}"#);
    assert!(parse(&partial).starts_with("PartialDepth(PartialDepth { stream: Some(\"btcusdt@depth20\")"));
    for (text, message) in [
        (r#"{"result":null,"id":1}"#, binance::Message::SubscribeAck { id: Some(1), ok: true }),
        (
            r#"{"code":2,"msg":"Invalid request","id":7}"#,
            binance::Message::SubscribeAck { id: Some(7), ok: false },
        ),
        (r#"{"error":{"code":2,"msg":"x"}}"#, binance::Message::SubscribeAck { id: None, ok: false }),
        (r#"{"e":"serverShutdown","E":1}"#, binance::Message::ServerShutdown),
        (
            r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#,
            binance::Message::ServerShutdown,
        ),
        (r#"{"e":"trade","E":1,"b":5,"a":{}}"#, binance::Message::Other),
        (r#"{"stream":"!miniTicker@arr","data":[{"e":"x"}]}"#, binance::Message::Other),
        (r#"[{"e":"x"}]"#, binance::Message::Other),
        (r#"{}"#, binance::Message::Other),
    ] {
        assert_eq!(binance::parse(text.as_bytes(), &mut LevelBuffer::new()), Ok(message), "{text}");
    }
}

#[test]
fn errors_name_the_field_and_the_beginning() {
    let mut levels = LevelBuffer::new();
    for (from, to, field, problem) in [
        ("7.9276E-4", "7.92761E-4", "bid_size", Problem::Number(DecimalError::TooPrecise)),
        ("1.16539E8", "1.16539E28", "ask_price", Problem::Number(DecimalError::TooLarge)),
        ("1.16539E8", "-1.1E8", "ask_price", Problem::Sign),
        ("1.16539E8", "true", "ask_price", Problem::Shape),
        ("\"timestamp\"", "\"t\"", "timestamp", Problem::Missing),
        ("1790134742106", "1790134742106.5", "timestamp", Problem::Shape),
        ("\"KRW-BTC\"", "7", "code", Problem::Shape),
    ] {
        let error = upbit::parse(UPBIT.replace(from, to).as_bytes(), &mut levels).unwrap_err();
        assert_eq!((error.field, &error.problem), (field, &problem), "{error}");
        assert!(error.head.starts_with("{\"type\":\"orderbook\"") && error.head.len() == 80);
        assert_eq!(levels, LevelBuffer::new());
    }
    for (from, to, field) in [
        ("61730.17", "0", "b"),
        ("61730.17", "61730.170000001", "b"),
        ("\"u\":52", "\"u\":49", "u"),
        ("\"U\":50", "\"U\":-1", "U"),
        ("\"a\":[]", "\"a\":[[\"1\"]]", "a"),
        (",\"a\":[]", "", "a"),
    ] {
        let error = binance::parse(DEPTH.replace(from, to).as_bytes(), &mut levels).unwrap_err();
        assert_eq!(error.field, field, "{error}");
    }
}

#[test]
fn unknown_fields_and_other_spellings_are_tolerated() {
    for text in [
        DEPTH.replace("\"U\":50", "\"new\":{\"x\":[1,\"]\"]},\"U\":50"),
        DEPTH.replace("\"1.5\"", "1.5"),
        DEPTH.replace(',', " ,\n "),
        DEPTH.replace("\"1.5\"]", "\"1.5\",[]]"),
        DEPTH.replace("{\"stream\"", "{\"x\":1,\"stream\""),
    ] {
        assert_eq!(both_binance(text.as_bytes()), both_binance(DEPTH.as_bytes()), "{text}");
    }
    for text in [
        UPBIT.replace("\"level\":0", "\"level\":0,\"new\":\"\\u0041\""),
        UPBIT.replace("0.02054761", "\"0.02054761\""),
        UPBIT.replace(':', " : "),
        UPBIT.replace(",\"level\":0", ""),
    ] {
        assert_eq!(both_upbit(text.as_bytes()), both_upbit(UPBIT.as_bytes()), "{text}");
    }
}

#[test]
fn codes() {
    let name = |code| upbit::base_of(code).map(|a| a.to_string());
    assert_eq!(name("KRW-BTC"), Some("BTC".to_owned()));
    assert_eq!(name("KRW-BTC.15"), Some("BTC".to_owned()));
    for bad in ["BTC", "KRW-", "-BTC", "KRW-.15", ""] {
        assert_eq!(name(bad), None, "{bad}");
    }
}

#[test]
fn snapshots() {
    let mut levels = LevelBuffer::new();
    assert_eq!(binance::parse_snapshot(SNAPSHOT.as_bytes(), &mut levels).unwrap().last_update_id, 50);
    assert_eq!((levels.bids.len(), levels.asks.len()), (1, 1));
    let odd = SNAPSHOT.replace("{\"last", "{\"new\":1,\"last");
    assert_eq!(binance::parse_snapshot(odd.as_bytes(), &mut levels).unwrap().last_update_id, 50);
    let error =
        binance::parse_snapshot(br#"{"code":-1121,"msg":"Invalid symbol."}"#, &mut levels).unwrap_err();
    assert_eq!(error.field, "bids");
    assert!(levels.bids.is_empty());
}

/// A real-shaped frame with up to eight bytes changed, or cut short.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let frame =
        prop_oneof![Just(UPBIT), Just(SIMPLE), Just(DEPTH), Just(FUTURES), Just(TICKER), Just(SNAPSHOT)];
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:.-+eE0123456789\\ \n".to_vec())];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, byte), 0..8);
    (frame, edits, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(frame, edits, cut, do_cut)| {
        let mut bytes = frame.as_bytes().to_vec();
        for (at, kind, byte) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if bytes.len() > 1 => {
                    bytes.remove(at);
                }
                _ => {}
            }
        }
        if do_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn mutated_frames_never_panic_and_both_readers_agree(bytes in mutated()) {
        both_upbit(&bytes);
        both_binance(&bytes);
        let _ = binance::parse_snapshot(&bytes, &mut LevelBuffer::new());
        let _ = binance::parse_klines(&bytes);
        let _ = upbit::parse_candles(&bytes);
    }

    #[test]
    fn noise_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(both_upbit(&bytes).is_none());
    }
}

#[test]
fn truncated_frames_are_refused() {
    for frame in [UPBIT, SIMPLE] {
        for end in 0..frame.len() {
            assert!(both_upbit(&frame.as_bytes()[..end]).is_none(), "{}", &frame[..end]);
        }
    }
    for frame in [DEPTH, FUTURES, TICKER] {
        for end in 0..frame.len() {
            assert!(both_binance(&frame.as_bytes()[..end]).is_none(), "{}", &frame[..end]);
        }
    }
}
