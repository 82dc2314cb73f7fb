//! The KPI file: one flat JSON object under the names of Assay's contract, replaced whole.

use super::Args;
use super::state::{CAPITAL_USD, State};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.0.insert(field.to_owned(), value.into());
    }

    fn maybe(&mut self, field: &str, value: Option<f64>, why: &str) {
        match value {
            Some(value) => self.set(field, value),
            None => {
                self.set(field, Value::Null);
                self.set(&format!("{field}_reason"), why);
            }
        }
    }
}

/// The document. `lie` multiplies the CPU seconds.
pub(super) fn document(args: &Args, state: &State, elapsed: Duration, complete: bool, lie: f64) -> String {
    let mut f = Fields(Map::new());
    f.set("format", 1);
    f.set("run_id", state.run_id.clone());
    f.set("complete", complete);
    f.set("data_source", "local");
    f.set("duration_s", elapsed.as_secs_f64());
    match state.stop_reason {
        Some(reason) => f.set("stop_reason", reason),
        None => f.maybe("stop_reason", None, "undefined: the run goes on"),
    }
    trading(&mut f, state);
    risk(&mut f, args, state);
    performance(&mut f, state, elapsed, lie);
    alerting(&mut f, state);
    if args.is_broken_phase() {
        change(&mut f.0, args);
        if let Some(raw) = &args.kpi_raw {
            return text(raw);
        }
    }
    Value::Object(f.0).to_string()
}

fn text(escaped: &str) -> String {
    String::from_utf8_lossy(&super::log::unescape(escaped)).into_owned()
}

/// What the command line asks to drop, set and scale. A value that is no JSON is text.
fn change(fields: &mut Map<String, Value>, args: &Args) {
    for field in &args.kpi_drop {
        fields.remove(field);
    }
    for (field, value) in args.kpi_set.iter().filter_map(|set| set.split_once('=')) {
        let value = text(value);
        let value = serde_json::from_str(&value).unwrap_or_else(|_| Value::from(value));
        fields.insert(field.to_owned(), value);
    }
    for (field, factor) in args.kpi_scale.iter().filter_map(|set| set.split_once('=')) {
        let number = fields.get(field).and_then(Value::as_f64).zip(factor.parse::<f64>().ok());
        if let Some((number, factor)) = number {
            fields.insert(field.to_owned(), (number * factor).into());
        }
    }
}

fn trading(f: &mut Fields, state: &State) {
    let exits = state.exits();
    f.set("total_trades", state.entries + exits);
    f.set("entry_trades", state.entries);
    f.set("exit_trades", exits);
    f.set("round_trips_completed", exits);
    f.set("wins", state.wins);
    f.set("losses", state.losses);
    f.set("open_positions", state.open_positions());
    f.set("paper_capital_usd", CAPITAL_USD);
    f.maybe("win_rate_pct", state.win_rate_pct(), "undefined: no closed trades");
    f.set("total_pnl_usd", state.net_usd());
    f.set("gross_pnl_usd", state.net_usd() + state.fees_usd);
    f.set("net_pnl_usd", state.net_usd());
    f.set("max_drawdown_usd", state.drawdown_usd);
    let mean = |sum: f64, n: u64| (n > 0).then(|| sum / n as f64);
    f.maybe("avg_win_usd", mean(state.won_usd, state.wins), "undefined: no winning trades");
    f.maybe("avg_loss_usd", mean(state.lost_usd, state.losses), "undefined: no losing trades");
    f.set("exit_reasons", json!(state.reasons));
    let funnel: Map<String, Value> =
        super::page::funnel(state).into_iter().map(|(stage, n)| (stage.to_owned(), n.into())).collect();
    f.set("funnel", funnel);
}

fn risk(f: &mut Fields, args: &Args, state: &State) {
    let triggers = state.guard_triggers();
    f.set("guard_triggers", triggers);
    let of = |kind| state.guards.get(kind).copied().unwrap_or(0);
    f.set(
        "guard_triggers_by_type",
        json!({"exchange": 0, "route": of("route"), "symbol": of("symbol"), "global": 0, "cross_exchange": 0}),
    );
    let wrong = (triggers as f64 * args.guard_false_share).floor();
    f.set("guard_false_positives", wrong);
    let none = "undefined: no guard triggers";
    let share = (triggers > 0).then(|| wrong / triggers as f64 * 100.0);
    f.maybe("guard_false_positives_pct", share, none);
    f.maybe("guard_block_duration_avg_s", state.mean_block_s(), none);
    f.set("position_limit_hits", 0);
    f.set("emergency_stops", 0);
}

fn performance(f: &mut Fields, state: &State, elapsed: Duration, lie: f64) {
    let ms = |seconds: Option<f64>| seconds.map(|s| s * 1e3);
    let none = "undefined: no iteration";
    f.maybe("loop_latency_avg_ms", ms(state.latency.mean()), none);
    f.maybe("loop_latency_p95_ms", ms(state.latency.quantile(0.95)), none);
    f.maybe("loop_latency_p99_ms", ms(state.latency.quantile(0.99)), none);
    f.set("loop_events", state.latency.count);
    let absent = "absent: /proc could not be read";
    let cpu = state.usage.map(|u| u.cpu_seconds * lie);
    f.maybe("cpu_seconds", cpu, absent);
    f.maybe("cpu_usage_pct", cpu.map(|s| s * 100.0 / elapsed.as_secs_f64().max(1e-3)), absent);
    f.maybe("peak_rss_bytes", state.usage.map(|u| u.peak_rss_bytes as f64), absent);
    f.maybe("memory_usage_mb", state.usage.map(|u| u.peak_rss_bytes as f64 / 1e6), absent);
    f.set("error_lines", 0);
    f.set("error_rate_pct", 0.0);
}

fn alerting(f: &mut Fields, state: &State) {
    f.set("alert_sent_total", state.sent);
    f.set("alert_failed_total", state.not_delivered());
    f.set("alert_retry_total", state.retries());
    f.set("alert_dlq_total", state.dlq);
    f.set("alert_fallback_total", state.fallbacks);
    let settled = state.sent + state.not_delivered();
    let rate = (settled > 0).then(|| state.sent as f64 * 100.0 / settled as f64);
    f.maybe("alert_success_rate_pct", rate, "undefined: no delivery has settled");
    f.set("notifier_availability_pct", json!({"local_log": 100.0}));
    f.maybe(
        "alert_delivery_latency_p95_s",
        state.delivery.quantile(0.95),
        "undefined: nothing was delivered",
    );
}

/// Written aside and renamed.
pub(super) fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let aside = path.with_extension("json.aside");
    std::fs::write(&aside, text)?;
    std::fs::rename(&aside, path)
}
