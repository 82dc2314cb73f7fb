//! Lists of markets and candles.

use super::data::read;
use market::{Asset, Money, Price, Quantity, Side, Timestamp};
use venues::binance::{tables as binance, wire as binance_wire};
use venues::upbit::{tables as upbit, wire as upbit_wire};

/// The body of a fixture: what follows the three lines of the request.
fn fixture(name: &str) -> Option<Vec<u8>> {
    let bytes = read(&format!("upbit/jkorf_fixtures/Endpoints__Spot__ExchangeData__{name}.txt"))?;
    let start = bytes.iter().position(|b| *b == b'[').unwrap();
    Some(bytes[start..].to_vec())
}

#[test]
fn complete_exchange_info_of_both_markets() {
    for (file, rows) in [("spot_20211012", 1_695), ("usdm_20210722", 122)] {
        let Some(bytes) = read(&format!("binance/cryptofeed/exchangeInfo_{file}.json.gz")) else { return };
        let symbols = binance::parse_exchange_info(&bytes).unwrap();
        assert_eq!(symbols.len(), rows, "{file}");
        let btc = symbols.iter().find(|s| s.symbol == "BTCUSDT").unwrap();
        assert!(btc.trading && btc.tick == Price::parse("0.01").unwrap());
        assert_eq!((btc.base.as_str(), btc.quote), ("BTC", Asset::USDT));
        assert!(symbols.iter().all(|s| s.tick.0 > 0 && s.lot.0 > 0 && s.max_market_qty >= s.min_qty));
    }
}

#[test]
fn exchange_info_rules_of_a_market_order() {
    let body = |status: &str, filters: &str| {
        format!(
            r#"{{"symbols":[{{"symbol":"XUSDT","status":"{status}","baseAsset":"X","quoteAsset":"USDT","new":[1],
            "filters":[{filters}]}},{{"symbol":"币安人生USDT","status":"TRADING","baseAsset":"币安人生",
            "quoteAsset":"USDT","filters":[]}}]}}"#
        )
    };
    let filters = r#"{"filterType":"PRICE_FILTER","minPrice":"0.1","maxPrice":"9","tickSize":"0.00010000"},
        {"filterType":"LOT_SIZE","minQty":"0.1","maxQty":"900","stepSize":"0.1"},
        {"filterType":"MARKET_LOT_SIZE","minQty":"0.5","maxQty":"120.7","stepSize":"0.0"},
        {"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000"}"#;
    let parsed = binance::parse_exchange_info(body("HALT", filters).as_bytes()).unwrap();
    let [symbol] = parsed.as_slice() else { panic!("{parsed:?}") };
    assert!(!symbol.trading);
    assert_eq!(symbol.min_qty, Quantity::parse("0.5").unwrap());
    assert_eq!(symbol.max_market_qty, Quantity::parse("120.7").unwrap());
    assert_eq!(symbol.lot, Quantity::parse("0.1").unwrap());
    assert_eq!(symbol.min_notional, Money::from_int(5));
    let unapplied = filters.replace("\"applyMinToMarket\":true", "\"applyMinToMarket\":false");
    let parsed = binance::parse_exchange_info(body("TRADING", &unapplied).as_bytes()).unwrap();
    assert!(parsed[0].trading && parsed[0].min_notional.is_zero());
    let error = binance::parse_exchange_info(body("X", &filters.replace("\"0.1\"", "\"z\"")).as_bytes());
    assert_eq!(error.unwrap_err().field, "stepSize");
}

#[test]
fn tickers() {
    let body = br#"[{"symbol":"BTCUSDT","lastPrice":"61000.5","quoteVolume":"123456789.123456789","x":1},
        {"symbol":"ETHBTC","lastPrice":"0.05","quoteVolume":"1"}]"#;
    let tickers = binance::parse_tickers_usdt(body).unwrap();
    assert_eq!(tickers.len(), 1);
    assert_eq!(tickers[0].asset.as_str(), "BTC");
    assert_eq!(tickers[0].turnover_24h.to_string(), "123456789.12345678");
    let Some(body) = fixture("GetTickers") else { return };
    let tickers = upbit::parse_tickers_krw(&body).unwrap();
    assert_eq!(tickers.len(), 2);
    assert_eq!(tickers[0].last, Price::from_int(148_601_000));
    assert_eq!(tickers[0].turnover_24h.to_string(), "178448329314.96686");
}

#[test]
fn upbit_markets() {
    if let Some(body) = read("upbit/rest_market_all_20210417.json") {
        let markets = upbit::parse_markets(&body).unwrap();
        assert_eq!(markets.len(), 294);
        assert!(markets.iter().all(|m| !m.warning && m.cautions.is_empty()));
        assert_eq!((markets[0].asset.as_str(), markets[0].quote), ("BTC", Asset::KRW));
    }
    let body = br#"[{"market":"KRW-ABC","market_event":{"warning":true,"caution":{"PRICE_FLUCTUATIONS":false,
        "GLOBAL_PRICE_DIFFERENCES":true}}},{"market":"KRW-OLD","market_warning":"CAUTION"}]"#;
    let markets = upbit::parse_markets(body).unwrap();
    assert!(markets[0].warning && markets[1].warning);
    assert_eq!(markets[0].cautions, ["GLOBAL_PRICE_DIFFERENCES"]);
}

#[test]
fn upbit_books_instruments_and_candles() {
    let (Some(books), Some(candles), Some(rules)) =
        (fixture("GetOrderBook"), fixture("GetKlines"), fixture("GetSymbolConfig"))
    else {
        return;
    };
    let books = upbit::parse_orderbooks(&books).unwrap();
    assert_eq!((books[0].code.as_str(), books[0].book.depth(Side::Ask)), ("KRW-BTC", 30));
    assert_eq!(books[0].book.best(Side::Bid).unwrap().price, Price::from_int(148_490_000));
    let candles = upbit_wire::parse_candles(&candles).unwrap();
    assert_eq!(candles[0].at, Timestamp::from_secs(1_751_327_999));
    assert_eq!(candles[0].close, Price::from_int(145_759_000));
    let rules = upbit::parse_instruments(&rules).unwrap();
    assert_eq!(rules[0].1, Price::from_int(1_000));
}

#[test]
fn candles_come_out_oldest_first() {
    let body = br#"[{"candle_date_time_utc":"2025-09-01T00:01:00","trade_price":2.0},
        {"candle_date_time_utc":"2025-09-01T00:00:00","trade_price":1.0E0}]"#;
    let candles = upbit_wire::parse_candles(body).unwrap();
    assert_eq!(candles[1].at.since(candles[0].at), 60_000_000_000);
    assert_eq!(candles[0].close, Price::from_int(1));
    let body = br#"[[1700000000000,"1","2","0.5","1.5","10",1700000059999,"15",3,"5","7","0"]]"#;
    let candles = binance_wire::parse_klines(body).unwrap();
    assert_eq!(candles[0].at, Timestamp::from_millis(1_700_000_000_000));
    assert_eq!(candles[0].close, Price::parse("1.5").unwrap());
    assert!(binance_wire::parse_klines(br#"[[1,"1","1","1","0"]]"#).is_err());
    assert!(binance_wire::parse_klines(br#"{"code":-1121,"msg":"Invalid symbol."}"#).is_err());
}
