//! `/metrics` in the text format 0.0.4, written by hand: the fake shares no code with the exporter that it stands in for.

use super::state::{CAPITAL_USD, Histogram, LEG_USD, State};
use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::routing::get;
use std::cell::RefCell;
use std::fmt::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// When the page answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moods {
    pub(super) began: Instant,
    pub(super) up_after: Duration,
    /// From and to: 503.
    pub(super) away: Option<(Duration, Duration)>,
}

/// Serves the page until the process ends. A taken port is said in the log, as a runner would.
pub(super) async fn serve(addr: SocketAddr, state: Rc<RefCell<State>>, moods: Moods) {
    tokio::time::sleep(moods.up_after).await;
    let listener = match tokio::net::TcpListener::bind(addr).await {
        Ok(listener) => listener,
        Err(error) => return super::say("ERROR", &format!("cannot serve metrics on {addr}: {error}")),
    };
    // The state lives on this thread; the server's handlers must be `Send`, so they ask for the page.
    let (ask, mut asked) = mpsc::channel::<oneshot::Sender<String>>(8);
    tokio::task::spawn_local(async move {
        while let Some(reply) = asked.recv().await {
            let mut state = state.borrow_mut();
            if !state.is_frozen() {
                state.observe_process();
            }
            let _ = reply.send(page(&state));
        }
    });
    let router = Router::new().route(
        "/metrics",
        get(move || {
            let ask = ask.clone();
            async move { answer(&ask, moods).await }
        }),
    );
    if let Err(error) = axum::serve(listener, router).await {
        super::say("ERROR", &format!("metrics: {error}"));
    }
}

async fn answer(ask: &mpsc::Sender<oneshot::Sender<String>>, moods: Moods) -> Response<Body> {
    let elapsed = moods.began.elapsed();
    let away = moods.away.is_some_and(|(from, to)| (from..to).contains(&elapsed));
    let (reply, page) = oneshot::channel();
    let text = if away || ask.send(reply).await.is_err() { None } else { page.await.ok() };
    let status = if text.is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = Response::new(Body::from(text.unwrap_or_default()));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Passages of the funnel's stages, consistent with the trades.
pub(super) fn funnel(state: &State) -> Vec<(&'static str, u64)> {
    let symbols = u64::from(state.topn);
    vec![
        ("updates", state.iterations * symbols),
        ("evaluated", state.iterations * symbols),
        ("gross_positive", state.iterations),
        ("net_positive", state.entries * 3),
        ("above_threshold", state.entries),
        ("blocked", 0),
        ("sent", state.entries),
        ("rejected", 0),
        ("partly_filled", 0),
        ("filled", state.entries),
        ("exited", state.exits()),
    ]
}

struct Page {
    text: String,
    common: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str) {
        let _ = writeln!(self.text, "# HELP {name} Of a fake runner.\n# TYPE {name} {kind}");
    }

    fn series(&mut self, name: &str, labels: &str, value: f64) {
        let labels = match (name.starts_with("arb_topn_"), labels.is_empty()) {
            (true, true) => self.common.clone(),
            (true, false) => format!("{},{labels}", self.common),
            (false, _) => labels.to_owned(),
        };
        let _ = if labels.is_empty() {
            writeln!(self.text, "{name} {value}")
        } else {
            writeln!(self.text, "{name}{{{labels}}} {value}")
        };
    }

    fn one(&mut self, name: &str, kind: &str, labels: &str, value: f64) {
        self.family(name, kind);
        self.series(name, labels, value);
    }

    fn several<L: AsRef<str>>(&mut self, name: &str, kind: &str, series: impl IntoIterator<Item = (L, f64)>) {
        self.family(name, kind);
        for (labels, value) in series {
            self.series(name, labels.as_ref(), value);
        }
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        self.family(name, "histogram");
        let comma = if labels.is_empty() { "" } else { "," };
        for (edge, count) in histogram.edges.iter().zip(&histogram.cumulative) {
            self.series(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{edge}\""), *count as f64);
        }
        self.series(
            &format!("{name}_bucket"),
            &format!("{labels}{comma}le=\"+Inf\""),
            histogram.count as f64,
        );
        self.series(&format!("{name}_sum"), labels, histogram.sum);
        self.series(&format!("{name}_count"), labels, histogram.count as f64);
    }
}

fn page(state: &State) -> String {
    let universe = match state.topn {
        10 | 20 | 50 | 100 => format!("top{}", state.topn),
        _ => "topN".to_owned(),
    };
    let common = format!("env=\"paper\",universe=\"{universe}\",strategy=\"topn_arb\"");
    let mut p = Page { text: String::new(), common };
    let info =
        format!("run_id=\"{}\",version=\"fake\",data_source=\"local\",evidence=\"rehearsal\"", state.run_id);
    p.one("assay_run_info", "gauge", &info, 1.0);
    p.histogram("loop_latency_seconds", "", &state.latency);
    process(&mut p, state);
    trading(&mut p, state);
    market(&mut p, state);
    alerting(&mut p, state);
    p.text
}

fn process(p: &mut Page, state: &State) {
    if let Some(percent) = state.cpu_percent {
        p.one("process_cpu_usage_percent", "gauge", "", percent);
    }
    let Some(usage) = state.usage else { return };
    p.one("process_memory_usage_mb", "gauge", "", usage.rss_bytes as f64 / 1e6);
    p.one("process_cpu_seconds_total", "counter", "", usage.cpu_seconds);
    p.one("process_resident_memory_bytes", "gauge", "", usage.rss_bytes as f64);
    p.one("process_open_fds", "gauge", "", usage.fds as f64);
    p.one("process_threads", "gauge", "", usage.threads as f64);
    p.one("process_start_time_seconds", "gauge", "", usage.start_s);
}

fn trading(p: &mut Page, state: &State) {
    let exits = state.exits() as f64;
    p.one("arb_topn_pnl_usd", "gauge", "", state.net_usd());
    p.one("arb_topn_equity_usd", "gauge", "", CAPITAL_USD + state.net_usd());
    p.one("arb_topn_drawdown_usd", "gauge", "", state.fall_usd());
    if let Some(rate) = state.win_rate_pct() {
        p.one("arb_topn_win_rate", "gauge", "", rate);
    }
    let trades = [("trade_type=\"entry\"", state.entries as f64), ("trade_type=\"exit\"", exits)];
    p.several("arb_topn_trades_total", "counter", trades);
    p.one("arb_topn_round_trips_total", "counter", "", exits);
    let reasons =
        ["take_profit", "stop_loss", "time_limit", "spread_reversal", "emergency", "kill_switch", "shutdown"];
    let of = |reason| state.reasons.get(reason).copied().unwrap_or(0) as f64;
    let series = reasons.map(|reason| (format!("reason=\"{reason}\""), of(reason)));
    p.several("arb_topn_exit_reasons_total", "counter", series);
    let open = state.open_positions() as f64;
    p.one("arb_topn_active_positions", "gauge", "", open);
    p.one("arb_topn_exposure_usd", "gauge", "", open * LEG_USD * 2.0);
    let guards = ["exchange", "route", "symbol", "global", "cross_exchange"];
    let series = guards.map(|guard| (format!("guard_type=\"{guard}\",reason=\"none\""), 0.0));
    p.several("arb_topn_guard_triggers_total", "counter", series);
    p.one("arb_topn_guard_blocked_seconds_total", "counter", "", 0.0);
    p.one("arb_topn_position_limit_hits_total", "counter", "", 0.0);
    p.one("arb_topn_emergency_stops_total", "counter", "", 0.0);
    let stages = funnel(state).into_iter().map(|(stage, n)| (format!("stage=\"{stage}\""), n as f64));
    p.several("arb_topn_funnel_total", "counter", stages);
    p.one(
        "arb_topn_alerts_total",
        "counter",
        "severity=\"P3\",source=\"fake\"",
        (state.sent + state.dlq) as f64,
    );
    p.one("arb_topn_loop_iterations_total", "counter", "", state.iterations as f64);
    p.one("arb_topn_loop_errors_total", "counter", "", 0.0);
}

fn market(p: &mut Page, state: &State) {
    p.one("arb_topn_fx_rate", "gauge", "pair=\"KRW/USDT\"", 1_390.5);
    p.one("arb_topn_fx_age_seconds", "gauge", "pair=\"KRW/USDT\"", 0.5);
    let quantiles = |values: [f64; 3]| {
        ["0.1", "0.5", "0.9"].map(|q| format!("quantile=\"{q}\"")).into_iter().zip(values).collect::<Vec<_>>()
    };
    p.several("arb_topn_premium_bps", "gauge", quantiles([-12.0, 3.0, 21.0]));
    p.several("arb_topn_edge_bps", "gauge", quantiles([-40.0, -24.0, -6.0]));
    let books = ["upbit", "binance"].into_iter().flat_map(|venue| {
        ["live", "syncing", "stale"].map(|book| {
            let n = if book == "live" { f64::from(state.topn) } else { 0.0 };
            (format!("venue=\"{venue}\",state=\"{book}\""), n)
        })
    });
    p.several("venue_books", "gauge", books);
    let messages = ["upbit", "binance"].map(|venue| {
        (format!("venue=\"{venue}\",kind=\"book\""), (state.iterations * u64::from(state.topn) / 2) as f64)
    });
    p.several("venue_messages_total", "counter", messages);
}

fn alerting(p: &mut Page, state: &State) {
    let to = "notifier=\"local_log\"";
    p.one("alert_raised_total", "counter", "severity=\"P3\"", (state.sent + state.dlq) as f64);
    p.one("alert_sent_total", "counter", to, state.sent as f64);
    p.one("alert_failed_total", "counter", &format!("{to},reason=\"connect\""), state.dlq as f64);
    p.one("alert_retry_total", "counter", to, (state.dlq * 3) as f64);
    p.one("alert_dlq_total", "counter", to, state.dlq as f64);
    p.one("alert_fallback_total", "counter", to, 0.0);
    p.one("alert_throttled_total", "counter", "", 0.0);
    let by_rule = [
        ("rule_id=\"DRILL\",outcome=\"sent\"", state.sent as f64),
        ("rule_id=\"DRILL\",outcome=\"dlq\"", state.dlq as f64),
    ];
    p.several("alert_by_rule_total", "counter", by_rule);
    p.histogram("alert_delivery_latency_seconds", to, &state.delivery);
    p.one("notifier_available", "gauge", to, 1.0);
    p.one("alert_queue_depth", "gauge", "", 0.0);
    p.one("alert_oldest_pending_seconds", "gauge", "", 0.0);
}
