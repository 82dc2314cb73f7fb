//! `/metrics` over HTTP, answered well or badly as planned. Written by hand: a good server would not let a page be cut short.

use super::plan::Plan;
use super::state::State;
use super::{Args, log, page};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a connection is held that gets no answer.
const SILENCE: Duration = Duration::from_secs(600);

/// Serves the page until the process ends. A taken port is said in the log, as a runner would.
pub(super) async fn serve(args: Rc<Args>, state: Rc<RefCell<State>>, began: Instant) {
    let late = if args.has(Plan::SlowStart) { 700 } else { args.page_late_ms };
    tokio::time::sleep(Duration::from_millis(late)).await;
    let listener = match TcpListener::bind(args.metrics_addr).await {
        Ok(listener) => listener,
        Err(error) => {
            return log::say("ERROR", &format!("cannot serve metrics on {}: {error}", args.metrics_addr));
        }
    };
    while let Ok((stream, _)) = listener.accept().await {
        let (args, state) = (Rc::clone(&args), Rc::clone(&state));
        tokio::task::spawn_local(async move {
            // A client that hangs up is no concern of the server's.
            let _ = answer(stream, &args, &state, began).await;
        });
    }
}

/// True while the page is served badly.
fn bad(args: &Args, began: Instant) -> bool {
    let at = began.elapsed().as_millis() as u64;
    if args.has(Plan::SlowStart) {
        return (4_000..4_200).contains(&at);
    }
    let from = (args.break_after_seconds * 1_000.0) as u64;
    args.is_broken_phase() && at >= from && at - from < args.page_for_ms
}

async fn answer(
    mut stream: TcpStream,
    args: &Args,
    state: &RefCell<State>,
    began: Instant,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut chunk = [0; 1_024];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = stream.read(&mut chunk).await?;
        if n == 0 || head.len() > 64_000 {
            return Ok(());
        }
        head.extend_from_slice(&chunk[..n]);
    }
    if !head.starts_with(b"GET /metrics") {
        return send(&mut stream, 404, TEXT, b"", 0).await;
    }
    let broken = bad(args, began);
    if broken {
        if args.has(Plan::PageSilent) {
            tokio::time::sleep(SILENCE).await;
        }
        tokio::time::sleep(Duration::from_millis(args.page_delay_ms)).await;
        let status = if args.has(Plan::SlowStart) { 503 } else { args.page_status };
        if status != 200 {
            return send(&mut stream, status, TEXT, b"not now\n", 0).await;
        }
        if args.has(Plan::PageHuge) {
            return huge(&mut stream).await;
        }
    }
    let text = {
        let mut state = state.borrow_mut();
        if !state.is_frozen() {
            state.observe_process();
        }
        page::render(args, &state, began.elapsed(), broken)
    };
    let open = args.has(Plan::PageOpenMetrics) || args.has(Plan::PageExemplars);
    let kind = if open { OPEN_METRICS } else { TEXT };
    let missing = if broken && args.has(Plan::PageTruncated) { 1_000 } else { 0 };
    let end = if broken && args.has(Plan::PageHalf) { text.len() * 2 / 3 } else { text.len() };
    send(&mut stream, 200, kind, &text.as_bytes()[..end], missing).await
}

/// `missing` bytes are promised and not sent.
async fn send(
    stream: &mut TcpStream,
    status: u16,
    kind: &str,
    body: &[u8],
    missing: usize,
) -> std::io::Result<()> {
    let length = body.len() + missing;
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.extend_from_slice(body);
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

async fn huge(stream: &mut TcpStream) -> std::io::Result<()> {
    let line = "arb_topn_alerts_total{severity=\"P3\",source=\"fake\"} 1\n";
    let block = line.repeat(65_536 / line.len());
    let blocks = 100_000_000 / block.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {TEXT}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        blocks * block.len()
    );
    stream.write_all(head.as_bytes()).await?;
    for _ in 0..blocks {
        stream.write_all(block.as_bytes()).await?;
    }
    stream.shutdown().await
}
