//! The streams against WebSocket servers in the test.

use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use venues::{Endpoints, Proxies, Stamped, StreamEvent, StreamSettings, binance, upbit};

const LONG: Duration = Duration::from_secs(30);

async fn listen() -> (TcpListener, Endpoints) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, Endpoints::local(at, at))
}

#[expect(clippy::result_large_err, reason = "the signature is the library's")]
async fn accept(listener: &TcpListener) -> (WebSocketStream<TcpStream>, String) {
    let (socket, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
    let mut path = String::new();
    let note = |request: &Request, response: Response| {
        path = request.uri().to_string();
        Ok(response)
    };
    let socket = accept_hdr_async(socket, note).await.unwrap();
    (socket, path)
}

async fn next(rx: &mut Receiver<Stamped>) -> StreamEvent {
    timeout(LONG, rx.recv()).await.unwrap().unwrap().1
}

#[tokio::test]
async fn upbit_subscribes_and_comes_back() {
    let (listener, endpoints) = listen().await;
    let (tx, mut rx) = channel(16);
    let codes = vec!["KRW-BTC".to_owned(), "KRW-ETH.30".to_owned()];
    let handle = upbit::stream::spawn(&endpoints, 0, codes, tx);
    for round in 0..2 {
        let (mut socket, path) = accept(&listener).await;
        assert_eq!(path, "/websocket/v1");
        assert_eq!(next(&mut rx).await, StreamEvent::Up { conn: 0 });
        let hello = timeout(LONG, socket.next()).await.unwrap().unwrap().unwrap().into_text().unwrap();
        let hello: serde_json::Value = serde_json::from_str(&hello).unwrap();
        assert_eq!(hello[0]["ticket"].as_str().unwrap().len(), 36);
        assert_eq!(hello[1]["codes"], serde_json::json!(["KRW-BTC.15", "KRW-ETH.30"]));
        assert_eq!(hello[1]["is_only_realtime"], false);
        assert_eq!(hello[2]["format"], "DEFAULT");
        socket.send(Message::Binary(Bytes::from_static(b"{\"a\":1}"))).await.unwrap();
        socket.send(Message::text("text")).await.unwrap();
        let frame =
            |text: &'static str| StreamEvent::Frame { conn: 0, payload: Bytes::from_static(text.as_bytes()) };
        assert_eq!(next(&mut rx).await, frame("{\"a\":1}"));
        assert_eq!(next(&mut rx).await, frame("text"));
        if round == 0 {
            socket.close(None).await.unwrap();
            let StreamEvent::Down { reason, next_attempt_ms, .. } = next(&mut rx).await else {
                panic!("no Down")
            };
            assert!(reason.contains("closed by the venue") && next_attempt_ms <= 250, "{reason}");
        } else {
            drop(handle);
            // The end of the task closes the socket.
            let end = timeout(LONG, socket.next()).await.unwrap();
            assert!(!matches!(end, Some(Ok(Message::Text(_) | Message::Binary(_)))), "{end:?}");
            break;
        }
    }
    assert_eq!(timeout(LONG, rx.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn binance_names_its_streams_answers_pings_and_follows_a_shutdown() {
    let (listener, endpoints) = listen().await;
    let (tx, mut rx) = channel(16);
    let symbols = vec!["BTCUSDT".to_owned(), "ETHUSDT".to_owned()];
    let _handle = binance::stream::spawn(&endpoints, 0, symbols, tx);
    let (mut socket, path) = accept(&listener).await;
    assert_eq!(path, "/stream?streams=btcusdt@depth@100ms/ethusdt@depth@100ms");
    assert_eq!(next(&mut rx).await, StreamEvent::Up { conn: 0 });
    socket.send(Message::Ping(Bytes::from_static(b"1723"))).await.unwrap();
    let pong = timeout(LONG, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"1723")));
    assert_eq!(next(&mut rx).await, StreamEvent::Alive { conn: 0 });
    // A frame that only mentions the word is a frame.
    let tricky = r#"{"stream":"serverShutdown@depth","data":{"e":"trade"}}"#;
    socket.send(Message::text(tricky)).await.unwrap();
    assert!(matches!(next(&mut rx).await, StreamEvent::Frame { .. }));
    socket
        .send(Message::text(r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#))
        .await
        .unwrap();
    assert!(matches!(next(&mut rx).await, StreamEvent::Frame { .. }), "the announcement is passed on");
    let StreamEvent::Down { reason, .. } = next(&mut rx).await else { panic!("no Down") };
    assert!(reason.contains("shutdown"));
    let _again = accept(&listener).await;
    assert_eq!(next(&mut rx).await, StreamEvent::Up { conn: 0 });
}

#[tokio::test]
async fn a_reset_and_a_refused_connect_are_reported() {
    let (listener, endpoints) = listen().await;
    let (tx, mut rx) = channel(16);
    let _handle = binance::stream::spawn(&endpoints, 0, vec!["BTCUSDT".to_owned()], tx);
    let (socket, _) = accept(&listener).await;
    assert_eq!(next(&mut rx).await, StreamEvent::Up { conn: 0 });
    drop(socket);
    drop(listener);
    let StreamEvent::Down { next_attempt_ms: first, .. } = next(&mut rx).await else { panic!("no Down") };
    let StreamEvent::Down { reason, next_attempt_ms: second, .. } = next(&mut rx).await else {
        panic!("no Down")
    };
    assert!(reason.starts_with("cannot connect"), "{reason}");
    assert!(second > first);
}

async fn text_of(socket: &mut WebSocketStream<TcpStream>) -> serde_json::Value {
    loop {
        match timeout(LONG, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn diff(first: u64, last: u64) -> String {
    format!(
        r#"{{"stream":"a","data":{{"e":"depthUpdate","E":1,"s":"AUSDT","U":{first},"u":{last},"b":[],"a":[]}}}}"#
    )
}

/// `U` and `u` of what came, in order, until there are `n`.
async fn ids(rx: &mut Receiver<Stamped>, n: usize) -> Vec<(u64, u64)> {
    let mut ids = Vec::new();
    while ids.len() < n {
        match next(rx).await {
            StreamEvent::Frame { payload, .. } => {
                let mut levels = venues::LevelBuffer::new();
                let Ok(binance::wire::Message::Depth(diff)) = binance::wire::parse(&payload, &mut levels)
                else {
                    panic!("{payload:?}")
                };
                ids.push((diff.first_id, diff.last_id));
            }
            StreamEvent::Alive { .. } => {}
            other => panic!("a hole: {other:?}"),
        }
    }
    ids
}

/// Before the venue ends a connection its successor is up, and takes its place only when nothing lies between them.
#[tokio::test]
async fn a_connection_is_renewed_without_a_hole() {
    let (listener, endpoints) = listen().await;
    let (tx, mut rx) = channel(64);
    let settings = StreamSettings { renew_after: Duration::from_millis(300), ..StreamSettings::new(5) };
    let _handle = binance::stream::spawn_with(&endpoints, &settings, 0, vec!["AUSDT".to_owned()], tx);
    let (mut first, _) = accept(&listener).await;
    assert_eq!(next(&mut rx).await, StreamEvent::Up { conn: 0 });
    first.send(Message::text(diff(1, 2))).await.unwrap();
    assert_eq!(ids(&mut rx, 1).await, [(1, 2)]);
    let (mut second, _) = accept(&listener).await;
    // The new one is ahead: what lies between must still come from the old one.
    second.send(Message::text(diff(6, 7))).await.unwrap();
    for (from, to) in [(3, 3), (4, 5)] {
        first.send(Message::text(diff(from, to))).await.unwrap();
    }
    assert_eq!(ids(&mut rx, 2).await, [(3, 3), (4, 5)], "the new one's frames are kept back");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    first.send(Message::text(diff(6, 7))).await.unwrap();
    second.send(Message::text(diff(8, 8))).await.unwrap();
    second.send(Message::text(diff(9, 9))).await.unwrap();
    let mut local = 5;
    while local < 9 {
        let (from, to) = ids(&mut rx, 1).await[0];
        assert!(from <= local + 1, "a gap between {local} and {from}");
        local = local.max(to);
    }
    // The old one is told.
    loop {
        match timeout(LONG, first.next()).await.unwrap() {
            Some(Ok(Message::Close(_))) | None | Some(Err(_)) => break,
            Some(Ok(_)) => {}
        }
    }
}

/// The old connection dies while both are up: nobody notices.
#[tokio::test]
async fn a_successor_that_is_up_takes_the_place_of_a_lost_connection() {
    let (listener, endpoints) = listen().await;
    let (tx, mut rx) = channel(64);
    let settings = StreamSettings { renew_after: Duration::from_millis(200), ..StreamSettings::new(5) };
    let _handle = binance::stream::spawn_with(&endpoints, &settings, 0, vec!["AUSDT".to_owned()], tx);
    let (mut first, _) = accept(&listener).await;
    assert_eq!(next(&mut rx).await, StreamEvent::Up { conn: 0 });
    first.send(Message::text(diff(1, 2))).await.unwrap();
    let (mut second, _) = accept(&listener).await;
    second.send(Message::text(diff(3, 3))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(first);
    assert_eq!(ids(&mut rx, 2).await, [(1, 2), (3, 3)]);
    drop(listener);
    second.send(Message::text(diff(4, 4))).await.unwrap();
    assert_eq!(ids(&mut rx, 1).await, [(4, 4)]);
}

/// A new subscription replaces the whole set at Upbit, and names the difference at Binance; within the limit on messages, and
/// what was asked for last holds after a reconnect too.
#[tokio::test]
async fn what_is_followed_changes_on_the_open_connection() {
    let (listener, endpoints) = listen().await;
    let (tx, mut rx) = channel(64);
    let settings = StreamSettings {
        upbit: upbit::stream::Books { format: upbit::stream::Format::SimpleList, depth: 5 },
        book_ticker: true,
        ..StreamSettings::new(0)
    };
    let codes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let handle = upbit::stream::spawn_with(&endpoints, &settings, 0, codes(&["KRW-BTC"]), tx.clone());
    let (mut socket, _) = accept(&listener).await;
    let hello = text_of(&mut socket).await;
    assert_eq!(hello[1]["codes"], serde_json::json!(["KRW-BTC.5"]));
    assert_eq!(hello[2]["format"], "SIMPLE_LIST");
    handle.follow(codes(&["KRW-BTC", "KRW-ETH"]));
    assert_eq!(text_of(&mut socket).await[1]["codes"], serde_json::json!(["KRW-BTC.5", "KRW-ETH.5"]));
    handle.subscribe_again();
    assert_eq!(text_of(&mut socket).await[1]["codes"], serde_json::json!(["KRW-BTC.5", "KRW-ETH.5"]));
    drop(socket);
    let (mut socket, _) = accept(&listener).await;
    assert_eq!(text_of(&mut socket).await[1]["codes"], serde_json::json!(["KRW-BTC.5", "KRW-ETH.5"]));
    assert!(matches!(next(&mut rx).await, StreamEvent::Up { .. }));
    // Ten changes at once are more than the venue takes in a second.
    let began = std::time::Instant::now();
    for n in 0..10 {
        handle.follow(codes(&["KRW-BTC", &format!("KRW-A{n}")]));
    }
    let mut at = vec![began.elapsed()];
    loop {
        let message = text_of(&mut socket).await;
        at.push(began.elapsed());
        if message[1]["codes"] == serde_json::json!(["KRW-BTC.5", "KRW-A9.5"]) {
            break;
        }
    }
    let most =
        at.iter().map(|t| at.iter().filter(|u| **u >= *t && **u - *t < Duration::from_millis(990)).count());
    assert!(most.max().unwrap() <= 5, "{at:?}");
    drop(handle);

    let handle = binance::stream::spawn_with(&endpoints, &settings, 0, codes(&["AUSDT", "BUSDT"]), tx);
    let (mut socket, path) = accept(&listener).await;
    assert_eq!(path, "/stream?streams=ausdt@depth@100ms/ausdt@bookTicker/busdt@depth@100ms/busdt@bookTicker");
    handle.follow(codes(&["BUSDT", "CUSDT"]));
    let (gone, new) = (text_of(&mut socket).await, text_of(&mut socket).await);
    assert_eq!((&gone["method"], &gone["params"][0]), (&"UNSUBSCRIBE".into(), &"ausdt@depth@100ms".into()));
    assert_eq!(new["params"], serde_json::json!(["cusdt@depth@100ms", "cusdt@bookTicker"]));
}

/// A proxy that lets through what it is asked for, or refuses.
async fn proxy(answer: &'static str) -> (std::net::SocketAddr, tokio::sync::mpsc::Receiver<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (tx, rx) = channel(8);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(near.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let port = head.split([' ', ':']).nth(2).unwrap().to_owned();
            tx.send(head).await.unwrap();
            near.write_all(answer.as_bytes()).await.unwrap();
            if answer.contains(" 200 ") {
                let mut far = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        }
    });
    (at, rx)
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_way_and_named_when_it_refuses() {
    let (listener, mut endpoints) = listen().await;
    // The proxy knows a name that this machine does not.
    let port = listener.local_addr().unwrap().port();
    endpoints.binance_ws = format!("ws://venue.invalid:{port}");
    let (at, mut asked) = proxy("HTTP/1.1 200 Connection established\r\n\r\n").await;
    let vars = |name: &str| (name == "ALL_PROXY").then(|| format!("http://me:secret@{at}"));
    let settings = StreamSettings { proxies: Proxies::from_vars(vars), ..StreamSettings::new(0) };
    let (tx, mut rx) = channel(8);
    let _handle = binance::stream::spawn_with(&endpoints, &settings, 0, vec!["AUSDT".to_owned()], tx);
    let (mut socket, path) = accept(&listener).await;
    assert_eq!(path, "/stream?streams=ausdt@depth@100ms");
    let head = asked.recv().await.unwrap();
    assert!(head.starts_with(&format!("CONNECT venue.invalid:{port} HTTP/1.1\r\n")), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");
    assert_eq!(next(&mut rx).await, StreamEvent::Up { conn: 0 });
    socket.send(Message::text("through")).await.unwrap();
    assert!(matches!(next(&mut rx).await, StreamEvent::Frame { .. }));

    let (at, _asked) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let vars = |name: &str| (name == "ALL_PROXY").then(|| format!("http://{at}"));
    let settings = StreamSettings { proxies: Proxies::from_vars(vars), ..StreamSettings::new(0) };
    let (tx, mut rx) = channel(8);
    let _handle = binance::stream::spawn_with(&endpoints, &settings, 0, vec!["AUSDT".to_owned()], tx);
    let StreamEvent::Down { reason, .. } = next(&mut rx).await else { panic!("no Down") };
    assert!(reason.contains("407") && reason.contains("HTTPS_PROXY"), "{reason}");
}

/// Each refusal by its name, with the wait that it demands.
#[tokio::test]
async fn refused_connects_are_named() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let cases: [(&str, &str, u64); 5] = [
        ("451 Unavailable For Legal Reasons", "geo-block", 60_000),
        ("403 Forbidden", "a firewall refuses this address", 60_000),
        ("429 Too Many Requests\r\nretry-after: 7", "too many connects", 7_000),
        ("503 Service Unavailable", "under maintenance", 30_000),
        ("404 Not Found", "check the address", 0),
    ];
    for (status, named, wait_ms) in cases {
        let (listener, endpoints) = listen().await;
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4_096];
            let _ = socket.read(&mut buffer).await.unwrap();
            let body = "system maintenance";
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            socket.write_all(answer.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        let (tx, mut rx) = channel(8);
        let _handle = binance::stream::spawn(&endpoints, 0, vec!["AUSDT".to_owned()], tx);
        let StreamEvent::Down { reason, next_attempt_ms, .. } = next(&mut rx).await else {
            panic!("no Down")
        };
        assert!(reason.contains(named), "{status}: {reason}");
        assert!(next_attempt_ms >= wait_ms, "{status}: {next_attempt_ms}");
        server.abort();
    }
    let endpoints = Endpoints { binance_ws: "ws://nowhere.invalid".to_owned(), ..Endpoints::real() };
    let (tx, mut rx) = channel(8);
    let settings = StreamSettings { proxies: Proxies::default(), ..StreamSettings::new(0) };
    let _handle = binance::stream::spawn_with(&endpoints, &settings, 0, Vec::new(), tx);
    let StreamEvent::Down { reason, .. } = next(&mut rx).await else { panic!("no Down") };
    assert!(reason.contains("dns"), "{reason}");
}

/// A server behind `wss` whose certificate nobody vouches for; here, one that speaks no TLS at all.
#[tokio::test]
async fn a_failed_tls_handshake_is_named() {
    use tokio::io::AsyncWriteExt;
    let (listener, mut endpoints) = listen().await;
    endpoints.binance_ws = format!("wss://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    let (tx, mut rx) = channel(8);
    let _handle = binance::stream::spawn(&endpoints, 0, vec!["AUSDT".to_owned()], tx);
    let StreamEvent::Down { reason, .. } = next(&mut rx).await else { panic!("no Down") };
    assert!(reason.contains("tls") || reason.contains("certificates"), "{reason}");
}
