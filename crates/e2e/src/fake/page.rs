//! The text of `/metrics` in the text format 0.0.4, written by hand: the fake shares no code with the exporter that it stands in
//! for. Then the ways in which it can be another text than it should be, or another that is as good.

use super::Args;
use super::plan::{Notifier, Plan};
use super::state::{CAPITAL_USD, Histogram, LEG_USD, State};
use std::fmt::Write;
use std::time::Duration;

/// How long a flapping notifier is away.
const FLAP: Duration = Duration::from_millis(700);

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

/// The page as this runner serves it now. `broken`: its defect is due.
pub(super) fn render(args: &Args, state: &State, elapsed: Duration, broken: bool) -> String {
    let due = Duration::from_secs_f64(args.break_after_seconds);
    let away = match args.notifier {
        Notifier::Up => false,
        Notifier::Down => elapsed >= due,
        Notifier::Flap => elapsed >= due && elapsed < due + FLAP,
    } && args.is_broken_phase();
    let live = if broken { args.books_live } else { 1.0 };
    let mut text = page(state, if away { 0.0 } else { 1.0 }, live);
    if args.has(Plan::PageLabels) {
        text = lines(&text, turn_labels);
    }
    if args.has(Plan::PageBig) {
        let _ = writeln!(text, "# HELP bot_symbol_price Of a symbol.\n# TYPE bot_symbol_price gauge");
        for n in 0..2_000 {
            let _ =
                writeln!(text, "bot_symbol_price{{symbol=\"S{n}\",side=\"bid\"}} {}", f64::from(n) * 1.5e-3);
        }
    }
    if args.is_broken_phase() {
        text = changed(text, args, broken);
    }
    if args.has(Plan::PageOpenMetrics) || args.has(Plan::PageExemplars) {
        text = open_metrics(&text, args.has(Plan::PageExemplars));
    }
    text
}

/// Each line, handed through a function; `None` drops it.
fn lines(text: &str, mut each: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    for line in text.lines().filter_map(&mut each) {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// What the command line asks to drop, set, scale and add. Drops hold for the whole phase, the rest once it is due.
fn changed(text: String, args: &Args, broken: bool) -> String {
    let is = |series: &str, wanted: &str| series.starts_with(wanted);
    let mut out = lines(&text, |line| {
        let series = line.strip_prefix("# HELP ").or(line.strip_prefix("# TYPE ")).unwrap_or(line);
        if args.page_drop.iter().any(|drop| is(series, drop)) {
            return None;
        }
        let Some((name, value)) = line.rsplit_once(' ').filter(|_| broken && !line.starts_with('#')) else {
            return Some(line.to_owned());
        };
        let mut value = value.to_owned();
        for (wanted, new) in args.page_set.iter().filter_map(|set| set.rsplit_once('=')) {
            if is(name, wanted) {
                new.clone_into(&mut value);
            }
        }
        for (wanted, factor) in args.page_scale.iter().filter_map(|set| set.rsplit_once('=')) {
            if is(name, wanted) {
                value = scaled(&value, factor);
            }
        }
        if args.has(Plan::PageReset) {
            let metric = name.split('{').next().unwrap_or(name);
            if ["_total", "_count", "_bucket", "_sum"].iter().any(|end| metric.ends_with(end)) {
                value = scaled(&value, "0.01");
            } else if metric == "process_start_time_seconds" {
                value = value.parse::<f64>().map_or(value, |v| (v + 60.0).to_string());
            }
        }
        Some(format!("{name} {value}"))
    });
    if broken {
        for line in &args.page_add {
            let _ = writeln!(out, "{}", String::from_utf8_lossy(&super::log::unescape(line)));
        }
    }
    out
}

/// Counters stay whole.
fn scaled(value: &str, factor: &str) -> String {
    match (value.parse::<f64>(), factor.parse::<f64>()) {
        (Ok(v), Ok(f)) => (v * f).floor().to_string(),
        _ => value.to_owned(),
    }
}

/// The same series with its labels in reverse order.
fn turn_labels(line: &str) -> Option<String> {
    let Some((name, (labels, value))) =
        line.split_once('{').and_then(|(name, rest)| Some((name, rest.rsplit_once('}')?)))
    else {
        return Some(line.to_owned());
    };
    if line.starts_with('#') {
        return Some(line.to_owned());
    }
    // No label of ours has a comma in its value.
    let turned: Vec<&str> = labels.split(',').rev().collect();
    Some(format!("{name}{{{}}}{value}", turned.join(",")))
}

/// The same page in OpenMetrics 1.0: counters are named without `_total` in their head, edges and ends as that format wants.
fn open_metrics(text: &str, exemplars: bool) -> String {
    let mut counters: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# TYPE ").and_then(|l| l.strip_suffix(" counter")) {
            counters.push(name.to_owned());
        }
    }
    let mut out = lines(text, |line| {
        let rest = line.strip_prefix("# HELP ").or(line.strip_prefix("# TYPE "));
        if let Some(rest) = rest {
            let name = rest.split(' ').next().unwrap_or(rest);
            if counters.iter().any(|counter| counter == name) {
                let short = name.strip_suffix("_total").unwrap_or(name);
                return Some(line.replacen(name, short, 1));
            }
            return Some(line.to_owned());
        }
        let exemplar = exemplars && line.starts_with("loop_latency_seconds_bucket{le=\"0.1\"}");
        Some(if exemplar { format!("{line} # {{trace_id=\"4bf92f35\"}} 0.0004") } else { line.to_owned() })
    });
    out.push_str("# EOF\n");
    out
}

fn page(state: &State, notifier: f64, live: f64) -> String {
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
    market(&mut p, state, live);
    alerting(&mut p, state, notifier);
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
    let of = |reason| state.reasons.get(reason).copied().unwrap_or(0) as f64;
    let series = catalogue::EXIT_REASONS.map(|reason| (format!("reason=\"{reason}\""), of(reason)));
    p.several("arb_topn_exit_reasons_total", "counter", series);
    let open = state.open_positions() as f64;
    p.one("arb_topn_active_positions", "gauge", "", open);
    p.one("arb_topn_exposure_usd", "gauge", "", open * LEG_USD * 2.0);
    let guards = ["exchange", "route", "symbol", "global", "cross_exchange"];
    let of = |guard| state.guards.get(guard).copied().unwrap_or(0) as f64;
    let series = guards.map(|guard| (format!("guard_type=\"{guard}\",reason=\"gap\""), of(guard)));
    p.several("arb_topn_guard_triggers_total", "counter", series);
    p.one("arb_topn_guard_blocked_seconds_total", "counter", "", state.blocked_s());
    p.one("arb_topn_position_limit_hits_total", "counter", "", 0.0);
    p.one("arb_topn_emergency_stops_total", "counter", "", 0.0);
    let stages = funnel(state).into_iter().map(|(stage, n)| (format!("stage=\"{stage}\""), n as f64));
    p.several("arb_topn_funnel_total", "counter", stages);
    p.one("arb_topn_alerts_total", "counter", "severity=\"P3\",source=\"fake\"", state.raised() as f64);
    p.one("arb_topn_loop_iterations_total", "counter", "", state.iterations as f64);
    p.one("arb_topn_loop_errors_total", "counter", "", 0.0);
}

fn market(p: &mut Page, state: &State, live: f64) {
    p.one("arb_topn_fx_rate", "gauge", "pair=\"KRW/USDT\"", 1_390.5);
    p.one("arb_topn_fx_age_seconds", "gauge", "pair=\"KRW/USDT\"", 0.5);
    let quantiles = |values: [f64; 3]| {
        ["0.1", "0.5", "0.9"].map(|q| format!("quantile=\"{q}\"")).into_iter().zip(values).collect::<Vec<_>>()
    };
    p.several("arb_topn_premium_bps", "gauge", quantiles([-12.0, 3.0, 21.0]));
    p.several("arb_topn_edge_bps", "gauge", quantiles([-40.0, -24.0, -6.0]));
    let books = ["upbit", "binance"].into_iter().flat_map(|venue| {
        ["live", "syncing", "stale"].map(|book| {
            let up = (f64::from(state.topn) * live).floor();
            let n = match book {
                "live" => up,
                "syncing" => f64::from(state.topn) - up,
                _ => 0.0,
            };
            (format!("venue=\"{venue}\",state=\"{book}\""), n)
        })
    });
    p.several("venue_books", "gauge", books);
    let messages = ["upbit", "binance"].map(|venue| {
        (format!("venue=\"{venue}\",kind=\"book\""), (state.iterations * u64::from(state.topn) / 2) as f64)
    });
    p.several("venue_messages_total", "counter", messages);
}

fn alerting(p: &mut Page, state: &State, notifier: f64) {
    let to = "notifier=\"local_log\"";
    p.one("alert_raised_total", "counter", "severity=\"P3\"", state.raised() as f64);
    p.one("alert_sent_total", "counter", to, state.sent as f64);
    p.one("alert_failed_total", "counter", &format!("{to},reason=\"connect\""), state.not_delivered() as f64);
    p.one("alert_retry_total", "counter", to, state.retries() as f64);
    p.one("alert_dlq_total", "counter", to, state.dlq as f64);
    p.one("alert_fallback_total", "counter", to, state.fallbacks as f64);
    p.one("alert_throttled_total", "counter", "", 0.0);
    let by_rule = [
        ("rule_id=\"DRILL\",outcome=\"sent\"", state.sent as f64),
        ("rule_id=\"DRILL\",outcome=\"dlq\"", state.dlq as f64),
        ("rule_id=\"HEALTH-DOWN\",outcome=\"failed\"", (state.failed + state.fallbacks) as f64),
    ];
    p.several("alert_by_rule_total", "counter", by_rule);
    p.histogram("alert_delivery_latency_seconds", to, &state.delivery);
    p.one("notifier_available", "gauge", to, notifier);
    p.one("alert_queue_depth", "gauge", "", 0.0);
    p.one("alert_oldest_pending_seconds", "gauge", "", 0.0);
}
