//! Top 100 from cold, and after an outage of all sockets: every book Live, and never more than 80 % of either venue's budget, as a
//! wire between runner and exchange counts it.
//!
//! `ASSAY_COLD_WITHIN=15` asserts that all books are Live within so many seconds; without it only the time is printed, for a
//! machine that builds something else meanwhile is slower.

use crate::harness::{Scratch, free_port, http, seat, start, wait_for};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What went to a venue: when, the path, the weight.
type Seen = Arc<Mutex<Vec<(Instant, String)>>>;

/// Passes on what comes to a port of its own, and notes each request.
fn wire(to: SocketAddr) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (Ok(near), Ok(far)) = (near, TcpStream::connect(to)) else { continue };
            for socket in [&near, &far] {
                socket.set_nodelay(true).unwrap();
            }
            let (back, forth) = ((far.try_clone().unwrap(), near.try_clone().unwrap()), (near, far));
            let log = Arc::clone(&log);
            std::thread::spawn(move || pass(back.0, back.1, None));
            std::thread::spawn(move || pass(forth.0, forth.1, Some(&log)));
        }
    });
    (at, seen)
}

fn pass(mut from: TcpStream, mut to: TcpStream, log: Option<&Seen>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 {
            break;
        }
        // A request of a client that waits for its answer begins a read.
        if let (Some(log), Some(rest)) = (log, buffer[..n].strip_prefix(b"GET ")) {
            let path = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
            log.lock().unwrap().push((Instant::now(), String::from_utf8_lossy(path).into_owned()));
        }
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    for socket in [&from, &to] {
        // The other direction ends too; it may have done so already.
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
}

/// What Binance counts for a request.
fn weight(path: &str) -> u32 {
    let limit = path.split("limit=").nth(1).and_then(|rest| rest.split('&').next()?.parse::<u32>().ok());
    match path.split('?').next().unwrap() {
        "/api/v3/depth" => match limit.unwrap_or(100) {
            0..=100 => 5,
            101..=500 => 25,
            501..=1_000 => 50,
            _ => 250,
        },
        "/api/v3/exchangeInfo" => 20,
        "/api/v3/ticker/24hr" => 80,
        "/api/v3/klines" => 2,
        "/stream" => 0,
        _ => 1,
    }
}

/// The group that Upbit counts a request in.
fn group(path: &str) -> &'static str {
    for (start, group) in [
        ("/v1/market", "market"),
        ("/v1/candles", "candle"),
        ("/v1/ticker", "ticker"),
        ("/v1/orderbook", "orderbook"),
        ("/websocket", "connect"),
    ] {
        if path.starts_with(start) {
            return group;
        }
    }
    "other"
}

/// The most that fell into any window: whatever the phase of the venue's own, it cannot be more.
fn most(events: &[(Instant, u32)], window: Duration) -> u32 {
    let within = |from: Instant| {
        let inside = events.iter().filter(|(at, _)| *at >= from && at.duration_since(from) < window);
        inside.map(|(_, weight)| weight).sum()
    };
    events.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
}

fn live(metrics: SocketAddr) -> Option<[u32; 2]> {
    let (_, page) = http("GET", metrics, "/metrics").ok()?;
    let page = String::from_utf8(page).ok()?;
    let of = |venue: &str| {
        let wanted = format!("venue_books{{venue=\"{venue}\",state=\"live\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&wanted)?.parse::<f64>().ok()).map(|n| n as u32)
    };
    Some([of("upbit")?, of("binance")?])
}

#[test]
fn top_100_is_live_from_cold_and_after_an_outage_below_80_percent_of_either_budget() {
    let _seat = seat(3);
    let scratch = Scratch::new();
    let (market, run) = (scratch.path().join("market"), scratch.path().join("run"));
    for dir in [&market, &run] {
        std::fs::create_dir(dir).unwrap();
    }
    let exchange = Ended(start(["exchange", "--symbols", "130", "--market", "calm", "--seed", "5"], &market));
    let ready = wait_for("the exchange", Duration::from_secs(30), || {
        let text = std::fs::read_to_string(market.join("stdout")).ok()?;
        serde_json::from_str::<serde_json::Value>(text.lines().next()?).ok()
    });
    let addr = |name: &str| ready[name].as_str().unwrap().parse::<SocketAddr>().unwrap();
    let ((upbit, to_upbit), (binance, to_binance)) = (wire(addr("upbit")), wire(addr("binance")));
    let config = format!(
        "linger_ms = 0\n[alerts]\nsettle_ms = 1000\n[endpoints]\nupbit_rest = \"http://{upbit}\"\nupbit_ws = \"ws://{upbit}\"\n\
         binance_rest = \"http://{binance}\"\nbinance_ws = \"ws://{binance}\"\n"
    );
    std::fs::write(run.join("assay.toml"), config).unwrap();
    let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let text = |name: &str| run.join(name).to_string_lossy().into_owned();
    let args = [
        "run",
        "--data-source",
        "local",
        "--topn-size",
        "100",
        "--run-duration-seconds",
        "600",
        "--run-id",
        "cold.main",
        "--config",
        &text("assay.toml"),
        "--kpi-output-path",
        &text("kpi.json"),
        "--metrics-addr",
        &metrics.to_string(),
    ];
    let begun = Instant::now();
    let mut runner = Ended(start(args, &run));
    let all = || live(metrics).filter(|live| *live == [100, 100]);
    wait_for("100 books of each venue from cold", Duration::from_secs(120), all);
    let cold = begun.elapsed();
    println!("cold: all books Live after {:.1} s", cold.as_secs_f64());

    // All sockets at once, the REST endpoints too, for two seconds.
    http("POST", addr("control"), "/cut").unwrap();
    wait_for("the outage to be noticed", Duration::from_secs(30), || {
        live(metrics).filter(|live| *live == [0, 0])
    });
    std::thread::sleep(Duration::from_secs(2));
    http("POST", addr("control"), "/restore").unwrap();
    let restored = Instant::now();
    wait_for("100 books of each venue after the outage", Duration::from_secs(150), all);
    let back = restored.elapsed();
    println!("outage: all books Live {:.1} s after its end", back.as_secs_f64());
    if let Some(within) = std::env::var("ASSAY_COLD_WITHIN").ok().and_then(|text| text.parse::<f64>().ok()) {
        assert!(cold.as_secs_f64() <= within, "{cold:?}");
    }
    kill_softly(runner.0.id() as i32);
    runner.0.wait().unwrap();
    let log = std::fs::read_to_string(run.join("stderr")).unwrap();
    drop(exchange);

    let schedules: Vec<&str> = log.lines().filter(|line| line.contains("rank order")).collect();
    assert!(schedules.len() >= 2, "the schedule of a start and of an outage: {log}");
    assert!(
        schedules.iter().all(|line| line.contains("weight=") && line.contains("books=")),
        "{schedules:?}"
    );
    for line in &schedules {
        println!("{line}");
    }
    let minute = Duration::from_secs(60);
    let seen = to_binance.lock().unwrap();
    let weights: Vec<(Instant, u32)> = seen.iter().map(|(at, path)| (*at, weight(path))).collect();
    let used = most(&weights, minute);
    println!("binance: {} requests, at most {used} of 6000 in any minute", seen.len());
    assert!(used <= 4_800, "{used}");
    let connects: Vec<(Instant, u32)> =
        seen.iter().filter(|(_, path)| path.starts_with("/stream")).map(|(at, _)| (*at, 1)).collect();
    assert!(most(&connects, minute * 5) <= 240);
    let seen = to_upbit.lock().unwrap();
    let mut groups: BTreeMap<&str, Vec<(Instant, u32)>> = BTreeMap::new();
    for (at, path) in seen.iter() {
        groups.entry(group(path)).or_default().push((*at, 1));
    }
    for (group, events) in groups {
        let used = most(&events, Duration::from_secs(1));
        println!("upbit {group}: {} requests, at most {used} in any second", events.len());
        assert!(used <= if group == "connect" { 4 } else { 8 }, "{group}: {used}");
    }
}

/// A process that ends with the test, whatever becomes of it.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An orderly stop.
fn kill_softly(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}
