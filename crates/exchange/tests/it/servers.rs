//! The protocols over real sockets.

use crate::client::*;
use exchange::{ExchangeError, MarketKind, Options};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

type Side = BTreeMap<String, String>;

fn apply(book: &mut (Side, Side), bids: &Value, asks: &Value) {
    for (side, levels) in [(&mut book.0, bids), (&mut book.1, asks)] {
        for level in levels.as_array().unwrap() {
            let (price, size) = (level[0].as_str().unwrap(), level[1].as_str().unwrap());
            if size == "0.00000000" {
                side.remove(price);
            } else {
                side.insert(price.to_owned(), size.to_owned());
            }
        }
    }
}

fn sides(depth: &Value) -> (Side, Side) {
    let mut book = (Side::new(), Side::new());
    apply(&mut book, &depth["bids"], &depth["asks"]);
    book
}

#[tokio::test]
async fn binance_diffs_over_a_snapshot_give_the_book() {
    let server = server(MarketKind::Edge, 5, vec![]).await;
    let mut socket = open(server.binance, "/stream?streams=ethusdt@depth@100ms").await;
    let first = frame(&mut socket).await;
    assert_eq!(first["stream"], "ethusdt@depth@100ms");
    let keys: Vec<_> = first["data"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["E", "U", "a", "b", "e", "s", "u"], "as many keys as the venue's event has");
    // Events flow before the snapshot is asked for, as a client has to do it.
    let snapshot = get(server.binance, "/api/v3/depth?symbol=ETHUSDT&limit=1000").await.json();
    assert!(snapshot["bids"].as_array().unwrap().len() >= 100);
    let mut last = snapshot["lastUpdateId"].as_u64().unwrap();
    let mut book = sides(&snapshot);
    let mut previous = first["data"]["u"].as_u64().unwrap();
    let mut applied = 0;
    while applied < 25 {
        let event = frame(&mut socket).await["data"].clone();
        let (from, to) = (event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap());
        assert_eq!(from, previous + 1, "the events of a symbol follow each other without a gap");
        previous = to;
        if to <= last {
            continue;
        }
        assert!(from <= last + 1, "a gap between the snapshot and the events");
        apply(&mut book, &event["b"], &event["a"]);
        last = to;
        applied += 1;
    }
    // With the market standing still and nothing under way the books must be equal. A freeze can fall between two events:
    // then the market moves on for a moment and is frozen again.
    for _ in 0..40 {
        assert_eq!(post(server.control, "/freeze", "").await.status, 200);
        while let Ok(Some(Ok(message))) =
            tokio::time::timeout(Duration::from_millis(250), socket.next()).await
        {
            let Message::Text(text) = message else { continue };
            let event: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(event["data"]["U"].as_u64().unwrap(), last + 1);
            apply(&mut book, &event["data"]["b"], &event["data"]["a"]);
            last = event["data"]["u"].as_u64().unwrap();
        }
        let after = get(server.binance, "/api/v3/depth?symbol=ETHUSDT&limit=1000").await.json();
        if after["lastUpdateId"].as_u64() == Some(last) {
            assert_eq!(book, sides(&after));
            return server.shutdown().await;
        }
        post(server.control, "/restore", "").await;
        let event = frame(&mut socket).await["data"].clone();
        assert_eq!(event["U"].as_u64().unwrap(), last + 1);
        apply(&mut book, &event["b"], &event["a"]);
        last = event["u"].as_u64().unwrap();
    }
    panic!("the market never froze right after an event");
}

#[tokio::test]
async fn binance_streams_are_subscribed_listed_and_ended() {
    let server = server(MarketKind::Edge, 5, vec![]).await;
    let mut socket = open(server.binance, "/ws/btcusdt@bookTicker").await;
    let top = frame(&mut socket).await;
    let keys: Vec<_> = top.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["A", "B", "a", "b", "s", "u"]);
    say(&mut socket, r#"{"method":"UNSUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}"#).await;
    while frame(&mut socket).await != json!({ "result": null, "id": 1 }) {}
    let subscribe =
        r#"{"method":"SUBSCRIBE","params":["ethusdt@depth20@100ms","nonsense@depth@100ms"],"id":2}"#;
    say(&mut socket, subscribe).await;
    assert_eq!(frame(&mut socket).await, json!({ "result": null, "id": 2 }));
    let partial = frame(&mut socket).await;
    assert_eq!(partial["bids"].as_array().unwrap().len(), 20);
    assert!(partial["lastUpdateId"].is_u64());
    say(&mut socket, r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#).await;
    loop {
        let answer = frame(&mut socket).await;
        if answer["id"] == 3 {
            assert_eq!(answer["result"], json!(["ethusdt@depth20@100ms"]));
            break;
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn binance_rest_answers_and_refuses_as_the_venue() {
    let server = server(MarketKind::Calm, 5, vec![]).await;
    let b = server.binance;
    let info = get(b, "/api/v3/exchangeInfo").await;
    assert_eq!(info.headers["x-mbx-used-weight-1m"], "20");
    let info = info.json();
    let symbol = |name: &str| {
        info["symbols"].as_array().unwrap().iter().find(|s| s["symbol"] == name).cloned().unwrap()
    };
    let filters: Vec<_> = symbol("BTCUSDT")["filters"].as_array().unwrap().clone();
    for wanted in ["PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "NOTIONAL", "PERCENT_PRICE_BY_SIDE"] {
        assert!(filters.iter().any(|f| f["filterType"] == wanted), "{wanted}");
    }
    assert_eq!(symbol("HIFIUSDT")["status"], "HALT");
    assert!(
        get(b, "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22ETHUSDT%22%5D")
            .await
            .body
            .contains("ETHUSDT")
    );
    let unknown = get(b, "/api/v3/depth?symbol=NOPE").await;
    assert_eq!((unknown.status, unknown.json()), (400, json!({ "code": -1121, "msg": "Invalid symbol." })));
    assert_eq!(get(b, "/api/v3/depth").await.json()["code"], -1102);
    assert_eq!(get(b, "/api/v3/klines?symbol=BTCUSDT&interval=1x").await.json()["code"], -1120);
    let klines = get(b, "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=200").await.json();
    assert_eq!(klines.as_array().unwrap().len(), 200);
    assert_eq!(klines[0].as_array().unwrap().len(), 12);
    assert!(klines[0][0].as_i64() < klines[1][0].as_i64(), "oldest first");
    let tickers = get(b, "/api/v3/ticker/24hr").await.json();
    assert!(tickers.as_array().unwrap().iter().any(|t| t["symbol"] == "BTCUSDT"));
    assert!(get(b, "/api/v3/time").await.json()["serverTime"].is_i64());
    assert_eq!(get(b, "/api/v3/ping").await.body, "{}");
    // 24 books of 5 000 levels weigh 6 000.
    let mut refused = None;
    for _ in 0..24 {
        let answer = get(b, "/api/v3/depth?symbol=BTCUSDT&limit=5000").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("the budget of 6 000 was never used up");
    assert_eq!(refused.json()["code"], -1003);
    assert!((1..=61).contains(&refused.headers["retry-after"].parse::<u64>().unwrap()));
    server.shutdown().await;
}

#[tokio::test]
async fn upbit_subscriptions_replace_and_unknown_codes_are_silent() {
    let server = server(MarketKind::Edge, 5, vec![]).await;
    let mut socket = open(server.upbit, "/websocket/v1").await;
    let subscribe = r#"[{"ticket":"t"},{"type":"orderbook","codes":["KRW-BTC.15","KRW-NOPE","krw-eth"]},{"format":"DEFAULT"}]"#;
    say(&mut socket, subscribe).await;
    let first = frame(&mut socket).await;
    assert_eq!((first["code"].as_str(), first["stream_type"].as_str()), (Some("KRW-BTC"), Some("SNAPSHOT")));
    assert_eq!(first["orderbook_units"].as_array().unwrap().len(), 15);
    let second = raw(&mut socket).await;
    assert!(second.contains(r#""stream_type":"REALTIME""#) && second.contains("E8,"), "{second}");
    say(&mut socket, r#"[{"ticket":"u"},{"method":"LIST_SUBSCRIPTIONS"}]"#).await;
    loop {
        let answer = frame(&mut socket).await;
        if answer["method"] == "LIST_SUBSCRIPTIONS" {
            assert_eq!(
                answer["result"],
                json!([{ "type": "orderbook", "codes": ["KRW-BTC.15"], "level": 0 }])
            );
            assert_eq!(answer["ticket"], "u");
            break;
        }
    }
    say(&mut socket, r#"[{"ticket":"t"},{"type":"orderbook","codes":["KRW-ETH.5"]},{"format":"SIMPLE"}]"#)
        .await;
    while frame(&mut socket).await["cd"] != "KRW-ETH" {}
    let mut last = 0;
    for _ in 0..5 {
        let next = frame(&mut socket).await;
        assert_eq!(next["cd"], "KRW-ETH", "the first set was replaced");
        assert_eq!(next["obu"].as_array().unwrap().len(), 5);
        let at = next["tms"].as_i64().unwrap();
        assert!(at >= last, "time went backwards");
        last = at;
    }
    server.shutdown().await;
}

#[tokio::test]
async fn upbit_answers_pings_and_names_errors() {
    let server = server(MarketKind::Calm, 2, vec![]).await;
    let mut socket = open(server.upbit, "/websocket/v1").await;
    say(&mut socket, "PING").await;
    assert_eq!(raw(&mut socket).await, r#"{"status":"UP"}"#);
    socket.send(Message::Ping("x".into())).await.unwrap();
    let pong = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(pong, Message::Pong("x".into()));
    let wrong = [
        ("{nonsense", "WRONG_FORMAT"),
        (r#"[{"type":"orderbook","codes":["KRW-BTC"]}]"#, "NO_TICKET"),
        (r#"[{"ticket":"t"},{"codes":["KRW-BTC"]}]"#, "NO_TYPE"),
    ];
    for (text, name) in wrong {
        say(&mut socket, text).await;
        assert_eq!(frame(&mut socket).await["error"]["name"], name);
    }
    let mut socket = open(server.upbit, "/websocket/v1").await;
    say(&mut socket, r#"[{"ticket":"t"},{"type":"orderbook"}]"#).await;
    assert_eq!(frame(&mut socket).await["error"]["name"], "NO_CODES");
    for _ in 0..6 {
        let _ = socket.send(Message::text("PING")).await;
    }
    let end = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            }
        }
    });
    end.await.expect("more than 5 messages a second must end the connection");
    server.shutdown().await;
}

#[tokio::test]
async fn upbit_rest_answers_and_counts_requests() {
    let server = server(MarketKind::Calm, 5, vec![]).await;
    let u = server.upbit;
    let markets = get(u, "/v1/market/all?is_details=true").await;
    assert_eq!(markets.headers["remaining-req"], "group=market; min=600; sec=9");
    let markets = markets.json();
    let market =
        |code: &str| markets.as_array().unwrap().iter().find(|m| m["market"] == code).cloned().unwrap();
    assert_eq!(market("KRW-GAS")["market_event"]["warning"], true);
    assert_eq!(market("KRW-USDT")["market_event"]["warning"], false);
    let tickers = get(u, "/v1/ticker/all?quote_currencies=KRW").await.json();
    assert!(tickers[0]["acc_trade_price_24h"].as_f64().unwrap() > 1e9);
    assert_eq!(get(u, "/v1/ticker?markets=KRW-BTC,KRW-ETH").await.json().as_array().unwrap().len(), 2);
    let books = get(u, "/v1/orderbook?markets=KRW-BTC,KRW-USDT&count=30").await.json();
    assert_eq!(books[1]["orderbook_units"].as_array().unwrap().len(), 30);
    assert_eq!(books[1]["orderbook_units"][0]["ask_price"], 1391);
    let candles = get(u, "/v1/candles/minutes/1?market=KRW-BTC&count=200").await.json();
    assert_eq!(candles.as_array().unwrap().len(), 200);
    let time = |i: usize| candles[i]["candle_date_time_utc"].as_str().unwrap().to_owned();
    assert!(time(0) > time(1), "newest first");
    let older = get(u, &format!("/v1/candles/minutes/1?market=KRW-BTC&count=3&to={}", time(5))).await.json();
    assert_eq!(older[0]["candle_date_time_utc"], time(6));
    let instruments = get(u, "/v1/orderbook/instruments?markets=KRW-BTC,KRW-USDT").await.json();
    assert_eq!(instruments[0]["tick_size"], "1000");
    assert_eq!(instruments[1]["tick_size"], "1");
    let unknown = get(u, "/v1/orderbook?markets=KRW-NOPE").await;
    assert_eq!((unknown.status, unknown.json()["error"]["message"].as_str()), (404, Some("Code not found")));
    let requests = (0..25).map(|_| async { get(u, "/v1/ticker?markets=KRW-BTC").await.status });
    let statuses = futures_util::future::join_all(requests).await;
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(get(u, "/v1/market/all").await.status, 200, "every group has its own budget");
    server.shutdown().await;
}

#[tokio::test]
async fn a_cut_ends_everything_until_it_is_restored() {
    let server = server(MarketKind::Calm, 3, vec![]).await;
    let mut upbit = open(server.upbit, "/websocket/v1").await;
    let mut binance = open(server.binance, "/ws/btcusdt@depth@100ms").await;
    frame(&mut binance).await;
    assert_eq!(post(server.control, "/cut", r#"{"lasts_ms":null}"#).await.status, 200);
    for socket in [&mut upbit, &mut binance] {
        let end = tokio::time::timeout(Duration::from_secs(5), async {
            while matches!(socket.next().await, Some(Ok(_))) {}
        });
        end.await.expect("the socket survived the cut");
    }
    assert_eq!(get(server.upbit, "/v1/market/all").await.status, 503);
    assert_eq!(get(server.binance, "/api/v3/time").await.status, 503);
    let refused = tokio_tungstenite::connect_async(format!("ws://{}/ws", server.binance)).await;
    assert!(refused.is_err());
    let status = get(server.control, "/status").await.json();
    assert_eq!((status["cut"].as_bool(), status["connections"].as_u64()), (Some(true), Some(0)));
    post(server.control, "/restore", "").await;
    let mut binance = open(server.binance, "/ws/btcusdt@depth@100ms").await;
    frame(&mut binance).await;
    assert_eq!(get(server.control, "/status").await.json()["cut"], false);
    assert_eq!(post(server.control, "/cut", r#"{"lasts_ms":1}"#).await.status, 200);
    while get(server.upbit, "/v1/market/all").await.status != 200 {}
    assert_eq!(post(server.control, "/cut", r#"{"last":1}"#).await.status, 400);
    server.shutdown().await;
}

#[tokio::test]
async fn a_gap_can_be_planted_while_it_runs() {
    let server = server(MarketKind::Calm, 3, vec![]).await;
    let price = async || {
        let book = get(server.upbit, "/v1/orderbook?markets=KRW-BTC&count=1").await.json();
        book[0]["orderbook_units"][0]["bid_price"].as_f64().unwrap()
    };
    let before = price().await;
    let gap = post(server.control, "/gap", r#"{"asset":null,"bps":300,"lasts_ms":60000}"#).await;
    assert_eq!((gap.status, gap.json()["asset"].as_str()), (200, Some("BTC")));
    let mut socket = open(server.upbit, "/websocket/v1").await;
    say(&mut socket, r#"[{"ticket":"t"},{"type":"orderbook","codes":["KRW-BTC.1"]}]"#).await;
    for _ in 0..4 {
        frame(&mut socket).await;
    }
    let after = price().await;
    assert!((after / before - 1.0) * 1e4 > 250.0, "{before} {after}");
    assert_eq!(post(server.control, "/gap", r#"{"asset":"NOPE","bps":80,"lasts_ms":1}"#).await.status, 400);
    server.shutdown().await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = server(MarketKind::Calm, 1, vec![]).await;
    let options = Options { binance: server.binance, ..Options::local(1, MarketKind::Calm, 1) };
    let error = exchange::start(options).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Bind { what: "Binance", .. }), "{error}");
    server.shutdown().await;
}

#[tokio::test]
async fn faults_of_streams_and_rest_are_seen_by_a_client() {
    let server = server(MarketKind::Edge, 2, vec![]).await;
    let (control, b) = (server.control, server.binance);
    let begin = async |kind: &str, lasts: u64| {
        let answer = post(control, "/fault", &json!({ "kind": kind, "lasts_ms": lasts }).to_string()).await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.body);
    };
    let ids = |event: &Value| (event["U"].as_u64().unwrap(), event["u"].as_u64().unwrap());
    let mut socket = open(b, "/ws/btcusdt@depth@100ms").await;
    let mut last = ids(&frame(&mut socket).await);
    begin("drop_diffs", 300).await;
    loop {
        let next = ids(&frame(&mut socket).await);
        if next.0 > last.1 + 1 {
            break;
        }
        last = next;
    }
    begin("duplicate_diffs", 60_000).await;
    loop {
        let next = ids(&frame(&mut socket).await);
        if next == last {
            break;
        }
        last = next;
    }
    begin("silent", 60_000).await;
    while tokio::time::timeout(Duration::from_millis(500), socket.next()).await.is_ok() {}
    assert_eq!(get(control, "/status").await.json()["faults"], json!(["silent", "duplicate_diffs"]));
    post(control, "/restore", "").await;
    frame(&mut socket).await;
    begin("rest_down", 60_000).await;
    assert_eq!(get(b, "/api/v3/time").await.status, 500);
    begin("rest_refused", 60_000).await;
    post(control, "/restore", "").await;
    begin("rest_refused", 60_000).await;
    let refused = get(server.upbit, "/v1/market/all").await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (429, "1"));
    begin("server_shutdown", 0).await;
    while frame(&mut socket).await["e"] != "serverShutdown" {}
    assert_eq!(post(control, "/fault", "{}").await.status, 400);
    server.shutdown().await;
}
