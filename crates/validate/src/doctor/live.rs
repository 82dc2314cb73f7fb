//! Asking the venues: every answer is fetched once, far below the budgets, and looked at afterwards by the table of
//! [`super::assumptions`]. Public market data only; nothing is signed and nothing is ordered.

use super::assumptions::{self, Assumption};
use super::{Check, Cost, State};
use futures_util::{SinkExt, StreamExt};
use reqwest::header::HeaderMap;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use venues::Proxies;

/// A request takes this long at most.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two requests to a venue: 4 a second, where Upbit allows 10 of each group.
const PAUSE: Duration = Duration::from_millis(250);
/// Answers larger than this are no market data, bytes.
const LARGEST: usize = 64 << 20;

/// Where the venues are: base addresses without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Upbit's REST.
    pub upbit_rest: String,
    /// Upbit's WebSocket.
    pub upbit_ws: String,
    /// Binance's REST.
    pub binance_rest: String,
    /// Binance's WebSocket.
    pub binance_ws: String,
}

impl Places {
    /// The real venues.
    pub fn real() -> Self {
        let venues::Endpoints { upbit_rest, upbit_ws, binance_rest, binance_ws, .. } =
            venues::Endpoints::real();
        Self { upbit_rest, upbit_ws, binance_rest, binance_ws }
    }

    /// One REST base address per venue; the WebSocket's is the same with `ws` for `http`.
    pub fn of(upbit: &str, binance: &str) -> Self {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        let ws = |url: &str| base(url).replacen("http", "ws", 1);
        Self {
            upbit_rest: base(upbit),
            upbit_ws: ws(upbit),
            binance_rest: base(binance),
            binance_ws: ws(binance),
        }
    }
}

/// A REST answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    pub(super) rtt: Duration,
    /// Our clock when it came, milliseconds since the epoch.
    pub(super) at_ms: i64,
}

impl Answer {
    pub(super) fn json(&self) -> Result<serde_json::Value, String> {
        if self.status != 200 {
            return Err(format!("status {}: {}", self.status, shown(&self.body)));
        }
        serde_json::from_slice(&self.body).map_err(|e| format!("no JSON ({e}): {}", shown(&self.body)))
    }
}

/// The beginning of an answer, for people.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(160).collect();
    text.replace(['\n', '\r'], " ")
}

/// One message of a socket.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    pub(super) after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Binary,
    Ping,
    /// What we said ourselves.
    Said,
    Close,
}

/// Everything that was heard, by the name of the question; `Err` says why there is no answer.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) rest: BTreeMap<&'static str, Result<Answer, String>>,
    pub(super) sockets: BTreeMap<&'static str, Result<Vec<Heard>, String>>,
    pub(super) cost: Cost,
}

impl Seen {
    /// An answer.
    pub(super) fn answer(&self, name: &str) -> Result<&Answer, String> {
        match self.rest.get(name) {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(why)) => Err(why.clone()),
            None => Err("it was not asked".to_owned()),
        }
    }

    /// The data messages of a socket as JSON, in order.
    pub(super) fn frames(&self, name: &str) -> Result<Vec<serde_json::Value>, String> {
        let heard = self.heard(name)?;
        Ok(heard
            .iter()
            .filter(|h| matches!(h.kind, Kind::Text | Kind::Binary))
            .filter_map(|h| serde_json::from_slice(&h.bytes).ok())
            .collect())
    }

    pub(super) fn heard(&self, name: &str) -> Result<&[Heard], String> {
        match self.sockets.get(name) {
            Some(Ok(heard)) => Ok(heard),
            Some(Err(why)) => Err(why.clone()),
            None => Err("it was not listened to".to_owned()),
        }
    }
}

/// Asks and judges every assumption. `listen`: how long one connection of Binance is listened to; its pings come every 20 s.
///
/// # Errors
/// What keeps the network from being used at all.
pub fn live(places: &Places, listen: Duration) -> Result<(Vec<Check>, Cost), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start the network runtime: {e}; free file descriptors"))?;
    let seen = runtime.block_on(gather(places, listen))?;
    Ok((assumptions::ALL.iter().map(|assumption| judge(assumption, &seen)).collect(), seen.cost))
}

fn judge(assumption: &Assumption, seen: &Seen) -> Check {
    let (state, found, next) = match (assumption.holds)(seen) {
        Ok(found) => (State::Ok, found, None),
        Err(assumptions::Not::Skipped(why)) => (State::Skip, why, None),
        Err(assumptions::Not::Otherwise(found)) => {
            let next = if assumption.weak {
                "note it; the client tolerates both"
            } else {
                "update Assay, or report this line if there is no newer version"
            };
            (if assumption.weak { State::Warn } else { State::Fail }, found, Some(next))
        }
        Err(assumptions::Not::Unreachable(why)) => {
            (State::Fail, why, Some("check network, proxy, firewall and country, then try again"))
        }
    };
    let mut check = Check::new(assumption.id, state, assumption.expects, found);
    check.section = Some(format!("venues.md, {}", assumption.section));
    check.next_step = next.map(str::to_owned);
    check
}

/// A question to Upbit.
const UPBIT: [(&str, &str); 8] = [
    ("upbit_markets", "/v1/market/all?is_details=true"),
    ("upbit_tickers", "/v1/ticker/all?quote_currencies=KRW"),
    ("upbit_ticker", "/v1/ticker?markets=KRW-BTC,KRW-USDT"),
    ("upbit_orderbook", "/v1/orderbook?markets=KRW-BTC,KRW-USDT&count=30"),
    ("upbit_orderbook_5", "/v1/orderbook?markets=KRW-BTC&count=5"),
    ("upbit_instruments", "/v1/orderbook/instruments?markets=KRW-BTC,KRW-USDT"),
    ("upbit_candles", "/v1/candles/minutes/1?market=KRW-BTC&count=3"),
    ("upbit_unknown", "/v1/orderbook?markets=KRW-NOSUCHCOIN"),
];

/// Questions to Binance with their documented weights.
const BINANCE: [(&str, &str, u32); 7] = [
    ("binance_time", "/api/v3/time", 1),
    ("binance_depth", "/api/v3/depth?symbol=BTCUSDT&limit=100", 5),
    ("binance_klines", "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=3", 2),
    ("binance_depth_500", "/api/v3/depth?symbol=BTCUSDT&limit=500", 25),
    ("binance_info", "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22ETHUSDT%22%5D", 20),
    ("binance_tickers", "/api/v3/ticker/24hr", 80),
    ("binance_unknown", "/api/v3/depth?symbol=NOSUCHUSDT&limit=5", 5),
];

/// The weight of a question to Binance.
pub(super) fn weight_of(name: &str) -> Option<u32> {
    BINANCE.iter().find(|(known, ..)| *known == name).map(|(.., weight)| *weight)
}

async fn gather(places: &Places, listen: Duration) -> Result<Seen, String> {
    venues::install_crypto();
    let mut builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("assay-doctor/", env!("CARGO_PKG_VERSION")));
    if places.upbit_rest.starts_with("http:") && places.binance_rest.starts_with("http:") {
        builder = builder.no_proxy().tls_certs_only([]);
    }
    let client = builder.build().map_err(|e| format!("cannot set up TLS: {e}; check the certificates"))?;
    let mut seen = Seen::default();
    for (name, path) in UPBIT {
        let answer = ask(&client, &format!("{}{path}", places.upbit_rest)).await;
        seen.rest.insert(name, answer);
        seen.cost.upbit_requests += 1;
        tokio::time::sleep(PAUSE).await;
    }
    for (name, path, weight) in BINANCE {
        let answer = ask(&client, &format!("{}{path}", places.binance_rest)).await;
        seen.rest.insert(name, answer);
        seen.cost.binance_weight += weight;
        tokio::time::sleep(PAUSE).await;
    }
    sockets(places, listen, &mut seen).await;
    Ok(seen)
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<Answer, String> {
    let started = Instant::now();
    let response = client.get(url).send().await.map_err(|e| chain(url, &e))?;
    let (rtt, status) = (started.elapsed(), response.status().as_u16());
    let at_ms = now_ms();
    let headers = lower(response.headers());
    let body = response.bytes().await.map_err(|e| chain(url, &e))?;
    if body.len() > LARGEST {
        return Err(format!("{url} answers {} bytes", body.len()));
    }
    Ok(Answer { status, headers, body: body.to_vec(), rtt, at_ms })
}

fn lower(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &reqwest::header::HeaderValue| value.to_str().ok().map(str::to_owned);
    headers.iter().filter_map(|(name, value)| Some((name.as_str().to_lowercase(), text(value)?))).collect()
}

fn chain(url: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("no answer from {url}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

pub(super) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What is said on a socket, and how long is listened after it.
type Script<'a> = &'a [(&'a str, Duration)];

/// A name, an address, and what is said there.
type Talk<'a> = (&'static str, &'a str, Vec<(&'a str, Duration)>);

async fn sockets(places: &Places, listen: Duration, seen: &mut Seen) {
    let second = Duration::from_secs(1);
    let upbit = format!("{}/websocket/v1", places.upbit_ws);
    let codes = |format: &str, codes: &[&str]| {
        serde_json::json!([
            { "ticket": "assay-doctor" },
            { "type": "orderbook", "codes": codes, "is_only_realtime": false },
            { "format": format },
        ])
        .to_string()
    };
    let (default, simple) =
        (codes("DEFAULT", &["KRW-BTC.5"]), codes("SIMPLE", &["KRW-BTC.1", "KRW-USDT.15"]));
    let (other, unknown) =
        (codes("DEFAULT", &["KRW-ETH.15"]), codes("DEFAULT", &["KRW-NOSUCHCOIN", "krw-btc"]));
    let list = r#"[{"method":"LIST_SUBSCRIPTIONS"},{"ticket":"assay-doctor"}]"#;
    let scripts: [(&'static str, Vec<(&str, Duration)>); 4] = [
        (
            "upbit_default",
            vec![(&default, second * 3), ("PING", second), (list, second), (&other, second * 3)],
        ),
        ("upbit_simple", vec![(&simple, second * 3)]),
        ("upbit_silent", vec![(&unknown, second * 2)]),
        ("upbit_wrong", vec![("this is no subscription", second * 2)]),
    ];
    let combined = format!(
        "{}/stream?streams=btcusdt@depth@100ms/btcusdt@depth20@100ms/btcusdt@bookTicker",
        places.binance_ws
    );
    let subscribe = r#"{"method":"SUBSCRIBE","params":["ethusdt@depth@100ms"],"id":7}"#;
    let raw = format!("{}/ws/btcusdt@depth@100ms", places.binance_ws);
    let mut talks: Vec<Talk<'_>> =
        scripts.into_iter().map(|(name, script)| (name, upbit.as_str(), script)).collect();
    talks.push(("binance_raw", &raw, vec![("", second * 2), (subscribe, second * 3)]));
    talks.push(("binance_combined", &combined, vec![("", listen)]));
    // Side by side, but not begun at once: 5 connects a second are allowed.
    let mut wait = Duration::ZERO;
    let proxies = &Proxies::from_env();
    let under_way = talks.into_iter().map(|(name, url, script)| {
        wait += PAUSE;
        let after = wait;
        async move {
            tokio::time::sleep(after).await;
            (name, talk(url, &script, proxies).await)
        }
    });
    for (name, heard) in futures_util::future::join_all(under_way).await {
        seen.sockets.insert(name, heard);
        seen.cost.connects += 1;
    }
}

/// Says each line of the script and listens after it. An empty line only listens. Pings are answered by the library.
async fn talk(url: &str, script: Script<'_>, proxies: &Proxies) -> Result<Vec<Heard>, String> {
    // By the way that a run takes: through the proxies of the environment.
    let connecting = venues::open_socket(url, proxies, TIMEOUT).await;
    let mut socket = connecting.map_err(|e| format!("no connection to {url}: {e}"))?;
    let started = Instant::now();
    let mut heard = Vec::new();
    for (line, listen) in script {
        if !line.is_empty() {
            let sent = socket.send(Message::text((*line).to_owned())).await;
            sent.map_err(|e| format!("cannot send to {url}: {e}"))?;
            // So that it is seen which answers came after which line.
            heard.push(Heard { kind: Kind::Said, bytes: line.as_bytes().to_vec(), after: started.elapsed() });
        }
        let until = tokio::time::Instant::now() + *listen;
        while let Ok(next) = tokio::time::timeout_at(until, socket.next()).await {
            let after = started.elapsed();
            let (kind, bytes) = match next {
                Some(Ok(Message::Text(text))) => (Kind::Text, text.as_bytes().to_vec()),
                Some(Ok(Message::Binary(bytes))) => (Kind::Binary, bytes.to_vec()),
                Some(Ok(Message::Ping(bytes))) => (Kind::Ping, bytes.to_vec()),
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    heard.push(Heard { kind: Kind::Close, bytes: Vec::new(), after });
                    return Ok(heard);
                }
            };
            heard.push(Heard { kind, bytes, after });
        }
    }
    // A farewell that is not heard harms nobody.
    let _ = socket.close(None).await;
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A proxy that answers as the venue itself once it was asked for the way there.
    async fn proxy(listener: tokio::net::TcpListener) -> String {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut venue = tokio_tungstenite::accept_async(socket).await.unwrap();
        let asked = venue.next().await.unwrap().unwrap();
        assert_eq!(asked, Message::text("PING"));
        venue.send(Message::text(r#"{"status":"UP"}"#)).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn sockets_go_through_the_proxy_of_the_environment() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let proxies = Proxies::from_vars(|name| (name == "HTTP_PROXY").then(|| address.clone()));
        let venue = tokio::spawn(proxy(listener));
        let script = [("PING", Duration::from_secs(20))];
        let heard = talk("ws://venue.test/websocket/v1", &script, &proxies).await.unwrap();
        assert!(venue.await.unwrap().starts_with("CONNECT venue.test:80 "));
        assert!(heard.iter().any(|h| h.kind == Kind::Text && h.bytes == br#"{"status":"UP"}"#), "{heard:?}");
    }
}
