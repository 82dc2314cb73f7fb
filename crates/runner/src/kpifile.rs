//! The KPI file: one flat JSON object, rewritten atomically. KPIs 1 to 17 come from the journal's accumulator, 18 to 20 from
//! the latency histogram, 22 and 23 from the process and its log, 25 to 32 from the dispatcher's metrics.
//!
//! `null` with a sibling `<field>_reason` says `undefined: ..` or `absent: ..`. Quantiles follow the rule of PromQL's
//! `histogram_quantile`: linear inside the bucket that holds the rank, the highest edge when the rank lies beyond it.

use crate::clock::{Clock, rfc3339};
use crate::config::Effective;
use crate::logs::{ErrorCount, error_count, slots_since};
use crate::metrics::Metrics;
use crate::recorder::RecorderStats;
use engine::kpi::Kpis;
use exposition::{Format, HistogramSnapshot};
use market::Timestamp;
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Version of the file's format.
pub const FORMAT: u32 = 1;

/// What a run knows about itself.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The effective configuration.
    pub effective: Effective,
    /// Its SHA-256.
    pub config_sha256: String,
    /// The clock that started with this process.
    pub clock: Clock,
    /// When the session began, where it was another process that began it: what the journal tells of lasts since then.
    pub began: Option<Timestamp>,
    /// ERROR lines before the run.
    pub errors_before: ErrorCount,
    /// Metrics.
    pub metrics: Metrics,
    /// The input log's counters, when one is written.
    pub recorder: Option<Arc<RecorderStats>>,
}

/// How a run stands, or ended.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// True only after an orderly end with everything settled.
    pub complete: bool,
    /// `duration`, `signal`, `emergency_stop`, `recording_end`, `error: ..`; `None` while running.
    pub stop_reason: Option<String>,
}

impl Ending {
    /// True when a recording was replayed to its end.
    pub fn is_whole_recording(&self) -> bool {
        self.complete && self.stop_reason.as_deref() == Some(crate::hot::Outcome::RecordingEnd.as_str())
    }
}

/// Samples of the notifiers' availability: how many, and how many at 1.
#[derive(Debug, Clone, Default)]
pub struct Availability(BTreeMap<String, (u64, u64)>);

impl Availability {
    /// Takes a sample of each notifier.
    pub fn sample(&mut self, metrics: &Metrics) {
        for (notifier, value) in page_values(metrics, "notifier_available", "notifier") {
            let (all, up) = self.0.entry(notifier).or_default();
            *all += 1;
            *up += u64::from(value >= 1.0);
        }
    }
}

/// The document.
pub fn document(
    facts: &Facts,
    kpis: &Kpis,
    availability: &Availability,
    ending: &Ending,
) -> Map<String, Value> {
    let mut out = Map::new();
    let effective = &facts.effective;
    out.insert("format".to_owned(), FORMAT.into());
    out.insert("run_id".to_owned(), effective.run_id.clone().into());
    out.insert("complete".to_owned(), ending.complete.into());
    out.insert("data_source".to_owned(), effective.data_source.into());
    out.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
    // A report says so rather than let it be assumed.
    out.insert("not_built".to_owned(), engine::NOT_BUILT.to_vec().into());
    let began = facts.began.unwrap_or_else(|| facts.clock.started());
    out.insert("started_at".to_owned(), rfc3339(began).into());
    out.insert("config_sha256".to_owned(), facts.config_sha256.clone().into());
    out.extend(kpis.fields());
    let mut fields = Fields(out);
    let process = facts.clock.elapsed().as_secs_f64();
    let duration = facts.began.map_or(process, |began| facts.clock.now().secs_since(began));
    fields.float("duration_s", Some(duration), "");
    match &ending.stop_reason {
        Some(reason) => fields.value("stop_reason", reason.clone().into()),
        None => fields.missing("stop_reason", "undefined: the run goes on"),
    }
    latency(&mut fields, &facts.metrics.latency.snapshot());
    errors(&mut fields, facts);
    usage(&mut fields, process);
    alerts(&mut fields, &facts.metrics, availability);
    recording(&mut fields, facts);
    fields.0
}

fn latency(fields: &mut Fields, histogram: &HistogramSnapshot) {
    let none = "undefined: no event was served";
    let ms = |seconds: Option<f64>| seconds.map(|s| s * 1e3);
    let mean = (histogram.count > 0).then(|| histogram.sum / histogram.count as f64);
    fields.value("loop_events", histogram.count.into());
    fields.float("loop_latency_avg_ms", ms(mean), none);
    fields.float("loop_latency_p95_ms", ms(histogram.quantile(0.95)), none);
    fields.float("loop_latency_p99_ms", ms(histogram.quantile(0.99)), none);
}

fn errors(fields: &mut Fields, facts: &Facts) {
    let (now, before) = (error_count(), facts.errors_before);
    let (lines, with_error) = (now.lines - before.lines, now.slots - before.slots);
    let slots = slots_since(&facts.clock);
    fields.value("error_lines", lines.into());
    fields.value("error_slots", with_error.into());
    fields.value("slots", slots.into());
    fields.float("error_rate_pct", Some(with_error as f64 * 100.0 / slots as f64), "");
}

fn usage(fields: &mut Fields, duration: f64) {
    let usage = crate::process::read();
    let absent = "absent: the system has no procfs";
    fields.float("cpu_seconds", usage.cpu_seconds, absent);
    // Of one core, over the life of this process.
    fields.float("cpu_usage_pct", usage.cpu_seconds.map(|s| s * 100.0 / duration.max(1e-3)), absent);
    match usage.peak_rss_bytes {
        Some(bytes) => fields.value("peak_rss_bytes", bytes.into()),
        None => fields.missing("peak_rss_bytes", absent),
    }
    fields.float("memory_usage_mb", usage.peak_rss_bytes.map(|b| b as f64 / 1e6), absent);
}

fn alerts(fields: &mut Fields, metrics: &Metrics, availability: &Availability) {
    let total = |name: &str| -> Option<f64> {
        let values = page_values(metrics, name, "notifier");
        (!values.is_empty()).then(|| values.iter().map(|(_, v)| v).sum())
    };
    let none = "absent: no notifier has reported";
    for name in [
        "alert_sent_total",
        "alert_failed_total",
        "alert_retry_total",
        "alert_dlq_total",
        "alert_fallback_total",
    ] {
        match total(name) {
            Some(value) => fields.value(name, (value as u64).into()),
            None => fields.missing(name, none),
        }
    }
    let (sent, failed) = (total("alert_sent_total"), total("alert_failed_total"));
    match (sent, failed) {
        (Some(sent), Some(failed)) => {
            let rate = (sent + failed > 0.0).then(|| sent * 100.0 / (sent + failed));
            fields.float("alert_success_rate_pct", rate, "undefined: no delivery has settled");
        }
        _ => fields.missing("alert_success_rate_pct", none),
    }
    if availability.0.is_empty() {
        fields.missing("notifier_availability_pct", none);
    } else {
        let shares = availability
            .0
            .iter()
            .map(|(name, (all, up))| (name.clone(), json(*up as f64 * 100.0 / *all as f64)));
        fields.value("notifier_availability_pct", Value::Object(shares.collect()));
    }
    let p95 = delivery_latency(metrics).and_then(|h| h.quantile(0.95));
    fields.float("alert_delivery_latency_p95_s", p95, "undefined: nothing was delivered");
}

/// The delivery latencies of all notifiers together: their edges are the same.
fn delivery_latency(metrics: &Metrics) -> Option<HistogramSnapshot> {
    let name = "alert_delivery_latency_seconds";
    let mut sum: Option<HistogramSnapshot> = None;
    for (notifier, _) in page_values(metrics, "alert_sent_total", "notifier") {
        let one = metrics.registry.histogram(name, &[("notifier", &notifier)]).ok()?.snapshot();
        sum = Some(match sum {
            None => one,
            Some(mut sum) => {
                for (total, add) in sum.cumulative.iter_mut().zip(&one.cumulative) {
                    *total += add;
                }
                sum.count += one.count;
                sum.sum += one.sum;
                sum
            }
        });
    }
    sum
}

/// The series of a metric as the endpoint would show them now: the value of one label, and the value.
fn page_values(metrics: &Metrics, name: &str, label: &str) -> Vec<(String, f64)> {
    let page = metrics.registry.encode(Format::Text004);
    let Ok(page) = exposition::parse(page.as_bytes(), Format::Text004) else { return Vec::new() };
    let Some(family) = page.family(name) else { return Vec::new() };
    family.samples.iter().map(|s| (s.label(label).unwrap_or_default().to_owned(), s.value)).collect()
}

fn recording(fields: &mut Fields, facts: &Facts) {
    if let Some(stats) = &facts.recorder {
        fields.value("recording_records", stats.records.load(Relaxed).into());
        fields.value("recording_dropped", stats.dropped.load(Relaxed).into());
        fields.value("recording_bytes", stats.bytes.load(Relaxed).into());
        fields.value("recording_waits", stats.waits.load(Relaxed).into());
    }
}

fn json(value: f64) -> Value {
    // Rounded to 8 decimals, as the accumulator does.
    Number::from_f64((value * 1e8).round() / 1e8).map_or(Value::Null, Value::Number)
}

struct Fields(Map<String, Value>);

impl Fields {
    fn value(&mut self, field: &str, value: Value) {
        self.0.insert(field.to_owned(), value);
    }

    fn float(&mut self, field: &str, value: Option<f64>, why: &str) {
        match value {
            Some(value) if value.is_finite() => self.value(field, json(value)),
            Some(_) => self.missing(field, "absent: not a finite number"),
            None => self.missing(field, why),
        }
    }

    fn missing(&mut self, field: &str, why: &str) {
        self.value(field, Value::Null);
        self.value(&format!("{field}_reason"), why.into());
    }
}

/// Writes the file.
///
/// # Errors
/// What the system says.
pub fn write(
    facts: &Facts,
    kpis: &Kpis,
    availability: &Availability,
    ending: &Ending,
) -> std::io::Result<()> {
    let document = Value::Object(document(facts, kpis, availability, ending));
    let mut text = serde_json::to_vec_pretty(&document).map_err(std::io::Error::other)?;
    text.push(b'\n');
    crate::process::write_atomic(&facts.effective.kpi_output_path, &text)
}
