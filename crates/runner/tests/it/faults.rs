//! Faults of sockets against the real client: the whole runner on a local exchange that closes, resets, chokes, announces and dies,
//! by a script. Afterwards every book of the session equals the server's.

use crate::config::args;
use engine::{Core, Effect};
use exchange::{MarketKind, Options, Script};
use market::{Asset, Venue};
use recording::Input;
use recording::file::Reader;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

const SYMBOLS: usize = 4;

/// The last one dies without a word: ten seconds pass until a client may say so. From then on the market stands.
const SCRIPT: &str = r#"
[[fault]]
at_ms = 4000
kind = "close"

[[fault]]
at_ms = 7000
kind = "reset"

[[fault]]
at_ms = 10000
kind = "day_close"

[[fault]]
at_ms = 12000
kind = "huge"
venue = "upbit"
asset = "BTC"
count = 1

[[fault]]
at_ms = 13000
kind = "server_shutdown"

[[fault]]
at_ms = 17000
kind = "half_open"
venue = "binance"

[[fault]]
at_ms = 31000
kind = "freeze"
lasts_ms = 600000
"#;

fn get(addr: SocketAddr, path: &str) -> Value {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"))
}

/// The session again from its input log, up to its orderly end; and how often a connection of each venue was lost.
fn replay(log: &Path) -> (Core, [u32; 2]) {
    let mut reader = Reader::open(log).unwrap();
    let (mut core, mut downs, mut effects) = (None::<Core>, [0, 0], Vec::<Effect>::new());
    while let Some(record) = reader.next_record().unwrap() {
        match &record.input {
            Input::ConnDown { venue, .. } => downs[venue.index()] += 1,
            Input::Shutdown => break,
            _ => {}
        }
        effects.clear();
        match &mut core {
            None => core = Some(Core::start(record.seq, record.at, &record.input, &mut effects).unwrap()),
            Some(core) => core.apply(record.seq, record.at, &record.input, &mut effects),
        }
    }
    (core.unwrap(), downs)
}

/// Prices and sizes of a side, as numbers at 1e-8.
fn exact(levels: &Value) -> Vec<(i64, i128)> {
    let number = |text: &Value| text.as_str().unwrap().replace('.', "").parse::<i64>().unwrap();
    levels.as_array().unwrap().iter().map(|l| (number(&l[0]), number(&l[1]).into())).collect()
}

/// A local exchange on a thread of its own.
struct Exchange {
    upbit: SocketAddr,
    binance: SocketAddr,
    control: SocketAddr,
    ca_pem: Option<String>,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Exchange {
    fn start(options: Options) -> Self {
        let (ready, started) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = exchange::start(options).await.unwrap();
                let said = (server.upbit, server.binance, server.control, server.ca_pem.clone());
                ready.send(said).unwrap();
                let _ = stopped.await;
                server.shutdown().await;
            });
        });
        let (upbit, binance, control, ca_pem) = started.recv_timeout(Duration::from_secs(20)).unwrap();
        Self { upbit, binance, control, ca_pem, stop, thread }
    }

    fn end(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

#[test]
fn tls_with_an_authority_of_our_own() {
    let exchange = Exchange::start(Options { tls: true, ..Options::local(SYMBOLS, MarketKind::Calm, 7) });
    let (upbit, binance) = (exchange.upbit, exchange.binance);
    for trusts in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (config, ca) = (folder.path().join("assay.toml"), folder.path().join("ca.pem"));
        std::fs::write(&ca, exchange.ca_pem.as_ref().unwrap()).unwrap();
        let ca = if trusts { format!("ca_file = {ca:?}\n") } else { String::new() };
        let text = format!(
            "linger_ms = 0\nrecord_inputs = true\n[endpoints]\nupbit_rest = \"https://{upbit}\"\nupbit_ws = \"wss://{upbit}\"\n\
             binance_rest = \"https://{binance}\"\nbinance_ws = \"wss://{binance}\"\n{ca}"
        );
        std::fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap();
        let more = ["--data-source", "local", "--run-duration-seconds", "4", "--config", config];
        let ended = runner::run(args(folder.path(), &more));
        if trusts {
            assert_eq!(ended.unwrap(), 0);
            let (core, downs) = replay(&folder.path().join("journal/input.rec"));
            assert_eq!(downs, [0, 0]);
            for venue in Venue::ALL {
                assert!(core.touch(Asset::new("BTC").unwrap(), venue).is_some(), "{venue}");
            }
        } else {
            let error = ended.unwrap_err();
            assert_eq!(error.exit_code(), 70, "{error}");
        }
    }
    exchange.end();
}

#[test]
fn every_way_in_which_a_socket_ends_is_survived() {
    let script = Script::parse("sockets", SCRIPT).unwrap();
    let exchange = Exchange::start(Options { script, ..Options::local(SYMBOLS, MarketKind::Calm, 7) });
    let (upbit, binance, control) = (exchange.upbit, exchange.binance, exchange.control);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("assay.toml");
    let text = format!(
        "linger_ms = 0\nrecord_inputs = true\n[endpoints]\nupbit_rest = \"http://{upbit}\"\nupbit_ws = \"ws://{upbit}\"\n\
         binance_rest = \"http://{binance}\"\nbinance_ws = \"ws://{binance}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let more = [
        "--data-source",
        "local",
        "--run-duration-seconds",
        "34",
        "--config",
        config,
        "--run-id",
        "it.faults",
    ];
    assert_eq!(runner::run(args(folder.path(), &more)).unwrap(), 0);

    let met = get(control, "/status")["faults_met"].clone();
    for kind in ["close", "reset", "day_close", "huge", "server_shutdown", "half_open"] {
        assert!(met[kind].as_u64() >= Some(1), "{kind} met nothing: {met}");
    }
    let (core, downs) = replay(&folder.path().join("journal/input.rec"));
    assert!(downs[0] >= 3 && downs[1] >= 5, "lost connections at upbit and binance: {downs:?}");
    for name in ["BTC", "ETH", "XRP", "SOL"] {
        let asset = Asset::new(name).unwrap();
        let [bids, asks] = core.levels(asset, Venue::Binance).unwrap_or_else(|| panic!("{name} is not Live"));
        let truth = get(binance, &format!("/api/v3/depth?symbol={name}USDT&limit=1000"));
        let ours =
            [bids, asks].map(|side| side.iter().map(|l| (l.price.0, l.quantity.0)).collect::<Vec<_>>());
        assert_eq!(ours, [exact(&truth["bids"]), exact(&truth["asks"])], "{name} on binance");
        let touch = core.touch(asset, Venue::Upbit).unwrap_or_else(|| panic!("{name} is not Live"));
        let truth =
            get(upbit, &format!("/v1/orderbook?markets=KRW-{name}&count=1"))[0]["orderbook_units"][0].clone();
        let shown = |key: &str| truth[key].as_f64().unwrap();
        assert_eq!(
            (
                touch.bid.to_f64(),
                touch.ask.to_f64(),
                touch.bid_quantity.to_f64(),
                touch.ask_quantity.to_f64()
            ),
            (shown("bid_price"), shown("ask_price"), shown("bid_size"), shown("ask_size")),
            "{name} on upbit"
        );
    }
    exchange.end();
}
