//! Faults, limits, TLS and load over real sockets, seen by a client of nothing but sockets.

use crate::client::*;
use exchange::{ExchangeError, Fault, MarketKind, Options, Script, Server};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

async fn calm() -> Server {
    server(MarketKind::Calm, 3, vec![]).await
}

async fn begin(server: &Server, fault: Value) {
    let answer = post(server.control, "/fault", &fault.to_string()).await;
    assert_eq!(answer.status, 200, "{fault}: {}", answer.body);
}

const SUBSCRIBE: &str =
    r#"[{"ticket":"t"},{"type":"orderbook","codes":["KRW-BTC.15","KRW-ETH.15"]},{"format":"DEFAULT"}]"#;

/// A connection of each venue that has brought a book.
async fn both(server: &Server) -> [Socket; 2] {
    let mut upbit = open(server.upbit, "/websocket/v1").await;
    say(&mut upbit, SUBSCRIBE).await;
    let mut binance = open(server.binance, "/stream?streams=btcusdt@depth@100ms/ethusdt@depth@100ms").await;
    frame(&mut upbit).await;
    frame(&mut binance).await;
    [upbit, binance]
}

/// What ends the connection.
async fn end(socket: &mut Socket) -> Result<Option<(u16, String)>, Error> {
    let within = tokio::time::timeout(Duration::from_secs(15), async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => {
                    return Ok(frame.map(|f| (f.code.into(), f.reason.to_string())));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(None),
            }
        }
    });
    within.await.expect("the connection did not end")
}

#[tokio::test]
async fn sockets_are_closed_with_a_frame_or_reset() {
    let server = calm().await;
    let mut sockets = both(&server).await;
    begin(&server, json!({ "kind": "close" })).await;
    for socket in &mut sockets {
        assert_eq!(end(socket).await.unwrap(), Some((1000, String::new())));
    }
    let mut sockets = both(&server).await;
    begin(&server, json!({ "kind": "reset" })).await;
    for socket in &mut sockets {
        let Err(Error::Io(error)) = end(socket).await else { panic!("no reset") };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    let [mut upbit, mut binance] = both(&server).await;
    begin(&server, json!({ "kind": "day_close" })).await;
    assert_eq!(end(&mut binance).await.unwrap(), Some((1008, "24 hours".to_owned())));
    frame(&mut upbit).await;
    let status = get(server.control, "/status").await.json();
    assert_eq!(status["faults_met"], json!({ "close": 2, "reset": 2, "day_close": 1 }));
    server.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_is_announced_and_follows() {
    let server = calm().await;
    let [_, mut binance] = both(&server).await;
    begin(&server, json!({ "kind": "server_shutdown" })).await;
    loop {
        let event = frame(&mut binance).await;
        if event["stream"] == "!serverShutdown" {
            assert_eq!(event["data"]["e"], "serverShutdown");
            break;
        }
    }
    assert_eq!(end(&mut binance).await.unwrap(), Some((1001, "shutdown".to_owned())));
    server.shutdown().await;
}

#[tokio::test]
async fn a_dead_socket_says_nothing_and_a_deaf_one_does_not_answer() {
    let server = calm().await;
    let [mut upbit, mut binance] = both(&server).await;
    begin(&server, json!({ "kind": "half_open", "venue": "upbit" })).await;
    begin(&server, json!({ "kind": "ping_unanswered", "venue": "binance", "lasts_ms": 2000 })).await;
    // What was under way arrives; from then on there is nothing, and no end either.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for socket in [&mut upbit, &mut binance] {
        socket.send(Message::Ping("x".into())).await.unwrap();
    }
    let mut last = None;
    while let Ok(next) = tokio::time::timeout(Duration::from_millis(500), upbit.next()).await {
        last = Some(next.expect("closed").expect("ended"));
        assert!(!matches!(last, Some(Message::Pong(_))), "the dead answer");
    }
    assert!(!matches!(last, Some(Message::Close(_))));
    let (mut frames, mut pong) = (0, None);
    while pong.is_none() {
        let next = tokio::time::timeout(Duration::from_secs(5), binance.next()).await.unwrap();
        match next.unwrap().unwrap() {
            Message::Pong(_) => pong = Some(frames),
            _ => frames += 1,
        }
    }
    assert!(pong > Some(3), "data flows while pings stay unanswered: {pong:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn frames_are_spoilt_as_the_fault_says() {
    let server = calm().await;
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let url = format!("ws://{}/websocket/v1", server.upbit);
    let (mut socket, _) =
        tokio_tungstenite::connect_async_with_config(url, Some(config), true).await.unwrap();
    say(&mut socket, SUBSCRIBE).await;
    let mut seen = async |kind: &str, is_it: &dyn Fn(&str) -> bool| {
        begin(&server, json!({ "kind": kind, "venue": "upbit", "asset": "BTC", "count": 1 })).await;
        for _ in 0..200 {
            if is_it(&raw(&mut socket).await) {
                return;
            }
        }
        panic!("{kind} never came");
    };
    let is_json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
    seen("malformed", &|text| !is_json(text) && text.ends_with('}')).await;
    seen("truncated", &|text| !is_json(text) && !text.ends_with("]}") && text.starts_with('{')).await;
    seen("huge", &|text| text.len() > 16 << 20 && is_json(text)).await;
    seen("stray_frames", &|text| text.contains("KRW-ZZZZ")).await;
    seen("crossed", &|text| {
        let units = serde_json::from_str::<Value>(text).unwrap()["orderbook_units"].clone();
        units[0]["ask_price"] == units[0]["bid_price"]
    })
    .await;
    begin(&server, json!({ "kind": "zero_padding", "asset": "BTC", "lasts_ms": 60000 })).await;
    loop {
        let book = frame(&mut socket).await;
        let units = book["orderbook_units"].as_array().unwrap();
        if units[3]["ask_price"] == 0.0 {
            assert_eq!((units.len(), units[3]["ask_size"].as_f64()), (15, Some(0.0)));
            assert!(
                units[2]["ask_price"].as_f64() > Some(0.0) && units[14]["bid_price"].as_f64() > Some(0.0)
            );
            break;
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn rest_faults_look_like_the_venues() {
    let server = calm().await;
    let depth = async || get(server.binance, "/api/v3/depth?symbol=BTCUSDT&limit=5").await;
    let restore = async || post(server.control, "/restore", "").await;
    begin(&server, json!({ "kind": "snapshot_banned", "lasts_ms": 60000 })).await;
    let banned = depth().await;
    assert_eq!(banned.status, 418);
    assert!((58..=60).contains(&banned.headers["retry-after"].parse::<u64>().unwrap()));
    assert!(banned.json()["msg"].as_str().unwrap().contains("IP banned until 1"));
    assert_eq!(get(server.binance, "/api/v3/time").await.status, 200, "only snapshots");
    restore().await;
    begin(&server, json!({ "kind": "snapshot_refused", "asset": "ETH", "lasts_ms": 60000 })).await;
    assert_eq!(depth().await.status, 200, "another symbol's");
    let refused = get(server.binance, "/api/v3/depth?symbol=ETHUSDT").await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (429, "1"));
    restore().await;
    begin(&server, json!({ "kind": "rest_banned", "venue": "upbit", "lasts_ms": 30000 })).await;
    let banned = get(server.upbit, "/v1/market/all").await;
    assert_eq!(banned.status, 418);
    assert!(banned.body.contains("Blocked for ") && banned.body.contains(" seconds."), "{}", banned.body);
    begin(&server, json!({ "kind": "snapshot_slow", "ms": 300, "count": 1 })).await;
    let started = std::time::Instant::now();
    assert_eq!(depth().await.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(300));
    begin(&server, json!({ "kind": "old_snapshot", "lasts_ms": 60000 })).await;
    let first = depth().await.json();
    let mut socket = open(server.binance, "/ws/btcusdt@depth@100ms").await;
    for _ in 0..5 {
        frame(&mut socket).await;
    }
    assert_eq!(depth().await.json(), first, "the book of the fault's beginning");
    restore().await;
    assert_ne!(depth().await.json(), first);
    server.shutdown().await;
}

#[tokio::test]
async fn listings_change_in_mid_run() {
    let server = calm().await;
    begin(&server, json!({ "kind": "halt", "asset": "BTC", "lasts_ms": 60000 })).await;
    let info = get(server.binance, "/api/v3/exchangeInfo?symbol=BTCUSDT").await.json();
    assert_eq!(info["symbols"][0]["status"], "HALT");
    begin(&server, json!({ "kind": "delist", "asset": "ETH", "venue": "upbit", "lasts_ms": 60000 })).await;
    let markets = get(server.upbit, "/v1/market/all").await.body;
    assert!(!markets.contains("KRW-ETH") && markets.contains("KRW-BTC"));
    assert_eq!(get(server.upbit, "/v1/orderbook?markets=KRW-ETH").await.status, 404);
    let info = get(server.binance, "/api/v3/exchangeInfo").await.body;
    assert!(info.contains("ETHUSDT"), "only Upbit's market left");
    post(server.control, "/restore", "").await;
    assert!(get(server.upbit, "/v1/market/all").await.body.contains("KRW-ETH"));
    server.shutdown().await;
}

#[tokio::test]
async fn the_control_api_lists_faults_and_refuses_what_makes_no_sense() {
    let server = calm().await;
    let listed = get(server.control, "/faults").await.json();
    assert_eq!(listed.as_array().unwrap().len(), Fault::ALL.len());
    for (body, word) in [
        (r#"{"kind":"explode"}"#, "unknown variant"),
        (r#"{"kind":"halt"}"#, "needs a symbol"),
        (r#"{"kind":"silent","asset":"NOPE"}"#, "not traded here"),
        (r#"{"kind":"silent","last":1}"#, "unknown field"),
        (r#"["silent"]"#, "send an object"),
        ("{}", "name the fault's kind"),
    ] {
        let answer = post(server.control, "/fault", body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.json()["error"].as_str().unwrap().contains(word), "{body}: {}", answer.body);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_script_is_followed_and_checked_before_the_start() {
    let script = |text: &str| Script::parse("faults.toml", text).unwrap();
    let text = "[[fault]]\nat_ms = 400\nkind = \"cut\"\nvenue = \"upbit\"\nlasts_ms = 600000\n";
    let options = Options { script: script(text), ..Options::local(2, MarketKind::Calm, 7) };
    let server = exchange::start(options).await.unwrap();
    let status = get(server.control, "/status").await.json();
    assert_eq!(status["faults_to_come"], 1);
    let mut socket = open(server.upbit, "/websocket/v1").await;
    let _ = end(&mut socket).await;
    assert_eq!(get(server.upbit, "/v1/market/all").await.status, 503);
    assert_eq!(get(server.binance, "/api/v3/time").await.status, 200);
    server.shutdown().await;
    let text = "\n[[fault]]\nat_ms = 400\nkind = \"halt\"\nasset = \"NOPE\"\nlasts_ms = 1\n";
    let options = Options { script: script(text), ..Options::local(2, MarketKind::Calm, 7) };
    let error = exchange::start(options).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Script(_)));
    assert!(error.to_string().starts_with("faults.toml line 2: NOPE is not traded here"), "{error}");
}

async fn with_origin(addr: SocketAddr, path: &str) -> u16 {
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let text = format!("GET {path} HTTP/1.1\r\nhost: x\r\norigin: http://x\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn limits_have_the_venues_headers_and_end_in_bans() {
    let server = calm().await;
    assert_eq!(with_origin(server.upbit, "/v1/market/all").await, 200);
    assert_eq!(with_origin(server.upbit, "/v1/market/all").await, 429, "one in ten seconds from a browser");
    assert_eq!(get(server.upbit, "/v1/market/all").await.status, 200, "others do not pay for it");
    // Weight is counted up in the header, over both kinds of request.
    let used = async |path: &str| {
        get(server.binance, path).await.headers["x-mbx-used-weight-1m"].parse::<u32>().unwrap()
    };
    let before = used("/api/v3/time").await;
    assert_eq!(used("/api/v3/depth?symbol=BTCUSDT&limit=500").await, before + 25);
    assert_eq!(used("/api/v3/exchangeInfo").await, before + 45);
    // Who goes on after 429 is banned, and the ban is named in header and text.
    let mut statuses = Vec::new();
    for _ in 0..70 {
        let answer = get(server.binance, "/api/v3/depth?symbol=BTCUSDT&limit=5000").await;
        statuses.push(answer.status);
        if answer.status == 418 {
            assert!(answer.headers["retry-after"].parse::<u64>().unwrap() >= 119);
            assert!(answer.json()["msg"].as_str().unwrap().contains("banned until"));
            break;
        }
    }
    assert_eq!((statuses[0], statuses.contains(&429), statuses.last()), (200, true, Some(&418)));
    // Five connects a second at Upbit.
    let connects = (0..12).map(|_| async {
        let url = format!("ws://{}/websocket/v1", server.upbit);
        match tokio_tungstenite::connect_async(url).await {
            Ok(_) => 101,
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
    });
    let statuses = futures_util::future::join_all(connects).await;
    assert!(statuses.contains(&101) && statuses.contains(&429), "{statuses:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn six_messages_in_a_second_end_a_binance_connection() {
    let server = calm().await;
    let mut socket = open(server.binance, "/ws").await;
    for id in 0..6 {
        say(&mut socket, &json!({ "method": "LIST_SUBSCRIPTIONS", "id": id }).to_string()).await;
    }
    let _ = end(&mut socket).await;
    server.shutdown().await;
}

#[tokio::test]
async fn tls_is_trusted_by_whoever_knows_the_authority_and_by_nobody_else() {
    let options = Options { tls: true, ..Options::local(2, MarketKind::Calm, 7) };
    let server = exchange::start(options).await.unwrap();
    let pem = server.ca_pem.clone().unwrap();
    let connect = async |roots: rustls::RootCertStore, host: &str| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let url = format!("wss://{host}:{}/ws/btcusdt@depth@100ms", server.binance.port());
        let connector = Connector::Rustls(Arc::new(config));
        tokio_tungstenite::connect_async_tls_with_config(url, None, true, Some(connector)).await
    };
    let trusting = || {
        use rustls::pki_types::pem::PemObject as _;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        roots
    };
    for host in ["127.0.0.1", "localhost"] {
        let (mut socket, _) = connect(trusting(), host).await.unwrap();
        assert_eq!(frame(&mut socket).await["e"], "depthUpdate");
    }
    let refused = connect(rustls::RootCertStore::empty(), "127.0.0.1").await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    // The control API stays plain, and a reset goes through TLS as well.
    let (mut socket, _) = connect(trusting(), "127.0.0.1").await.unwrap();
    frame(&mut socket).await;
    begin(&server, json!({ "kind": "reset" })).await;
    assert!(end(&mut socket).await.is_err());
    server.shutdown().await;
}

#[tokio::test]
async fn a_load_is_reached() {
    let options = Options { load: 5_000.0, ..Options::local(2, MarketKind::Calm, 7) };
    let server = exchange::start(options).await.unwrap();
    let [mut upbit, mut binance] = both(&server).await;
    let sent = async || get(server.control, "/status").await.json()["frames_sent"].as_u64().unwrap();
    let (started, before) = (std::time::Instant::now(), sent().await);
    let mut last = 0;
    // 3 000 messages take six tenths of a second at that load, and minutes without it.
    for count in 0..3_000 {
        if count % 2 == 0 {
            frame(&mut upbit).await;
            continue;
        }
        let event = frame(&mut binance).await["data"].clone();
        if event["s"] == "BTCUSDT" {
            let first = event["U"].as_u64().unwrap();
            assert!(last == 0 || first == last + 1, "no hole under load");
            last = event["u"].as_u64().unwrap();
        }
    }
    assert!(sent().await - before >= 2_900);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    server.shutdown().await;
    let options = Options { load: f64::NAN, ..Options::local(2, MarketKind::Calm, 7) };
    assert!(matches!(exchange::start(options).await, Err(ExchangeError::Load(_))));
}
