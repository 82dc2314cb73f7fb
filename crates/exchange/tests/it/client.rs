//! A client of nothing but sockets, so that the servers are not tested with their own code.

use exchange::{MarketKind, Options, PlantedGap, Server};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub async fn server(market: MarketKind, symbols: usize, planted: Vec<PlantedGap>) -> Server {
    let options = Options { planted, ..Options::local(symbols, market, 7) };
    exchange::start(options).await.unwrap()
}

pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

pub async fn request(addr: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers =
        lines.filter_map(|l| l.split_once(": ")).map(|(k, v)| (k.to_lowercase(), v.to_owned())).collect();
    Answer { status, headers, body: body.to_owned() }
}

pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    request(addr, "GET", path, "").await
}

pub async fn post(addr: SocketAddr, path: &str, body: &str) -> Answer {
    request(addr, "POST", path, body).await
}

pub async fn open(addr: SocketAddr, path: &str) -> Socket {
    tokio_tungstenite::connect_async(format!("ws://{addr}{path}")).await.unwrap().0
}

pub async fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

/// The next data frame, as it was spelled. Panics after 5 s.
pub async fn raw(socket: &mut Socket) -> String {
    loop {
        let next =
            tokio::time::timeout(Duration::from_secs(5), socket.next()).await.expect("no frame within 5 s");
        match next.unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Binary(bytes) => return String::from_utf8(bytes.to_vec()).unwrap(),
            _ => {}
        }
    }
}

pub async fn frame(socket: &mut Socket) -> Value {
    serde_json::from_str(&raw(socket).await).unwrap()
}
