//! The REST client against an HTTP server in the test.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use venues::{Endpoints, Rest, RestError};

type Seen = Arc<Mutex<Vec<String>>>;

/// Answers every request with `answer(path)`: status line and headers, body.
async fn serve(answer: fn(&str) -> (&'static str, String)) -> (Endpoints, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut buffer = [0; 4_096];
                while let Ok(n) = socket.read(&mut buffer).await {
                    if n == 0 {
                        return;
                    }
                    request.extend_from_slice(&buffer[..n]);
                    if !request.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    let text = String::from_utf8_lossy(&request).into_owned();
                    request.clear();
                    assert!(!text.to_ascii_lowercase().contains("\r\norigin:"));
                    let path = text.split(' ').nth(1).unwrap().to_owned();
                    let (head, body) = answer(&path);
                    log.lock().unwrap().push(path);
                    let reply = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    if socket.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (Endpoints::local(at, at), seen)
}

#[tokio::test]
async fn requests_are_read_counted_and_budgeted() {
    let (endpoints, seen) = serve(|path| {
        let body = if path.starts_with("/api/v3/depth") {
            r#"{"lastUpdateId":7,"bids":[],"asks":[]}"#
        } else if path.starts_with("/api/v3/time") {
            r#"{"serverTime":1700000000123}"#
        } else if path.starts_with("/v1/ticker?") {
            "[]"
        } else if path.starts_with("/v1/orderbook?") {
            r#"[{"market":"KRW-BTC","timestamp":1,"orderbook_units":[{"ask_price":2,"bid_price":1,"ask_size":1,"bid_size":1}]}]"#
        } else if path.starts_with("/v1/candles") {
            r#"[{"candle_date_time_utc":"2025-09-01T00:01:00","trade_price":2.0}]"#
        } else {
            "[]"
        };
        ("200 OK\r\nx-mbx-used-weight-1m: 3000\r\nremaining-req: group=x; min=1; sec=9\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT", body.to_owned())
    })
    .await;
    let rest = Rest::new(endpoints).unwrap();
    let body = rest.binance_depth_raw("BTCUSDT", 1_000).await.unwrap();
    assert!(body.starts_with(b"{\"lastUpdateId\":7"));
    assert_eq!(rest.binance_time().await.unwrap().0.as_millis(), 1_700_000_000_123);
    assert_eq!(rest.upbit_time().await.unwrap().0.unwrap().as_millis(), 784_111_777_000);
    let codes: Vec<String> = (0..150).map(|i| format!("KRW-A{i}")).collect();
    assert_eq!(rest.upbit_orderbooks(&codes).await.unwrap().len(), 2);
    rest.upbit_candles_raw("KRW-BTC", 500).await.unwrap();
    let stats = rest.stats();
    assert_eq!((stats.binance.requests, stats.upbit.requests), (2, 4));
    assert!(stats.binance.errors.is_empty() && stats.binance.last_rtt.is_some());
    let weight = stats.binance.budget_left.iter().find(|(name, _)| *name == "weight").unwrap().1;
    assert!((weight - 0.5).abs() < 0.01, "{weight}");
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], "/api/v3/depth?symbol=BTCUSDT&limit=1000");
    assert_eq!(seen[5], "/v1/candles/minutes/1?market=KRW-BTC&count=200");
}

#[tokio::test]
async fn a_refusal_stops_further_requests() {
    let (endpoints, seen) = serve(|_| ("429 Too Many Requests\r\nretry-after: 30", String::new())).await;
    let rest = Rest::new(endpoints).unwrap();
    for _ in 0..3 {
        let error = rest.binance_klines_raw("BTCUSDT", 10).await.unwrap_err();
        let RestError::RateLimited { until } = &error else { panic!("{error}") };
        let wait = error.retry_after(until.plus(Duration::ZERO)).unwrap();
        assert!(wait.is_zero() && !error.is_terminal());
    }
    assert_eq!(seen.lock().unwrap().len(), 1, "the others were not sent");
    assert_eq!(rest.stats().binance.errors["rate_limited"], 3);
    assert!(rest.stats().binance.blocked_until.is_some());
    // The other venue is not concerned.
    assert!(rest.stats().upbit.blocked_until.is_none());
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let (endpoints, _) = serve(|path| match path {
        "/api/v3/exchangeInfo" => ("451 Unavailable", "{\"msg\":\"restricted location\"}".to_owned()),
        "/api/v3/ticker/24hr" => ("503 Busy\r\nretry-after: 3", "x".repeat(500)),
        "/api/v3/time" => ("200 OK", "<html>login</html>".to_owned()),
        "/v1/market/all?is_details=true" => ("400 Bad", "{\"error\":{\"message\":\"no\"}}".to_owned()),
        _ => ("200 OK", "{\"surprise\":true}".to_owned()),
    })
    .await;
    let rest = Rest::new(endpoints).unwrap();
    let error = rest.binance_exchange_info().await.unwrap_err();
    assert!(error.is_terminal() && error.to_string().contains("not available from this country"), "{error}");
    let error = rest.binance_tickers().await.unwrap_err();
    assert_eq!(error.retry_after(market::Timestamp(0)), Some(Duration::from_secs(3)));
    assert!(!error.is_terminal());
    let RestError::Status { body, .. } = &error else { panic!("{error}") };
    assert_eq!(body.len(), 200);
    let error = rest.binance_time().await.unwrap_err();
    assert!(matches!(error, RestError::Blocked { status: 200, .. }), "{error}");
    assert!(rest.upbit_markets().await.unwrap_err().is_terminal());
    let error = rest.upbit_tickers_krw().await.unwrap_err();
    assert_eq!(error.kind(), "parse");
    assert_eq!(rest.stats().upbit.errors.values().sum::<u64>(), 2);
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let rest = Rest::new(Endpoints::local(at, at)).unwrap();
    let error = rest.binance_time().await.unwrap_err();
    assert!(matches!(error, RestError::Unreachable { .. }) && !error.is_terminal(), "{error}");
}

#[tokio::test]
async fn the_client_for_the_real_venues_can_be_built() {
    let result = Rest::new(Endpoints::real());
    // Where a machine has no certificates the message has to say so.
    if let Err(error) = result {
        assert!(error.to_string().contains("certificates"), "{error}");
    }
}

/// Everything that stands between us and a venue has its name and its next step.
#[tokio::test]
async fn maintenance_blocks_and_dns_are_named() {
    let (endpoints, _) = serve(|path| match path {
        "/api/v3/time" => {
            ("503 Service Unavailable", "{\"msg\":\"System is under maintenance.\"}".to_owned())
        }
        "/api/v3/exchangeInfo" => ("403 Forbidden", "<html>waf</html>".to_owned()),
        "/v1/market/all?is_details=true" => ("200 OK", "<html>서버 점검 안내</html>".to_owned()),
        _ => ("407 Proxy Authentication Required", String::new()),
    })
    .await;
    let rest = Rest::new(endpoints.clone()).unwrap();
    let error = rest.binance_time().await.unwrap_err();
    assert!(matches!(error, RestError::Maintenance { status: 503, .. }) && !error.is_terminal(), "{error}");
    assert!(error.to_string().contains("under maintenance"), "{error}");
    assert!(error.retry_after(market::Timestamp(0)).unwrap() >= Duration::from_secs(30));
    let error = rest.upbit_markets().await.unwrap_err();
    assert_eq!((error.kind(), error.status()), ("maintenance", 200));
    let error = rest.binance_exchange_info().await.unwrap_err();
    assert!(error.to_string().contains("a firewall refuses this address"), "{error}");
    assert_eq!(error.retry_after(market::Timestamp(0)), Some(Duration::from_secs(60)));
    let error = rest.binance_tickers().await.unwrap_err();
    assert!(error.to_string().contains("a proxy demands a login"), "{error}");
    let nowhere = Endpoints { binance_rest: "http://nowhere.invalid".to_owned(), ..endpoints };
    let error = Rest::new(nowhere).unwrap().binance_time().await.unwrap_err();
    assert!(matches!(&error, RestError::Unreachable { cause: venues::Cause::Dns, .. }), "{error:?}");
    assert!(RestError::KINDS.contains(&error.kind()));
}

/// Where several wait for the same budget, the most urgent goes first.
#[tokio::test]
async fn the_most_urgent_request_goes_first() {
    use venues::Priority;
    let (endpoints, seen) = serve(|_| ("200 OK", "[]".to_owned())).await;
    let rest = Rest::new(endpoints).unwrap();
    for _ in 0..7 {
        rest.upbit_candles_raw("KRW-FIRST", 1).await.unwrap();
    }
    let (levels, books) = (rest.with_priority(Priority::Levels), rest.with_priority(Priority::Books));
    // The levels' share is used up: they wait; the books' is not quite.
    let waiting = tokio::spawn(async move { levels.upbit_candles_raw("KRW-LEVEL", 1).await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..2 {
        books.upbit_candles_raw("KRW-BOOK", 1).await.unwrap();
    }
    waiting.await.unwrap().unwrap();
    let seen = seen.lock().unwrap();
    let order: Vec<&str> = seen.iter().skip(7).map(|path| &path[path.len() - 13..]).collect();
    assert!(order[0].contains("BOOK") && order.len() == 3, "{order:?}");
    assert!(order.iter().any(|path| path.contains("LEVEL")), "{seen:?}");
}
