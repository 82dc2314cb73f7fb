//! The streams against WebSocket servers in the test.

use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use venues::{Endpoints, Stamped, StreamEvent, binance, upbit};

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
