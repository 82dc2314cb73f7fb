//! Which of a bot's names mean which of Assay's: by the words in them, by kind and unit. A guess is only made when it is the best one by
//! far enough; what is doubtful is left to the person.

use crate::mapping::MetricSource;
use catalogue::{KPIS, Kpi, METRICS, Metric, MetricKind, Unit};
use exposition::{Exposition, Family, Kind};
use serde_json::Value;

/// Words that a name of Assay's goes by elsewhere. All of one list must stand in the bot's name; more words are a better sign.
const WORDS: [(&str, &[&[&str]]); 22] = [
    ("arb_topn_loop_iterations_total", &[&["ticks"], &["iterations"], &["loops"], &["cycles"]]),
    ("loop_latency_seconds", &[&["tick"], &["loop"], &["latency"], &["iteration"]]),
    ("arb_topn_pnl_usd", &[&["pnl"], &["profit"]]),
    ("arb_topn_drawdown_usd", &[&["drawdown"]]),
    ("arb_topn_win_rate", &[&["win", "rate"], &["winrate"], &["hit", "ratio"]]),
    ("arb_topn_round_trips_total", &[&["round", "trips"], &["closed"]]),
    ("arb_topn_trades_total", &[&["trades"], &["deals"], &["fills"]]),
    ("arb_topn_active_positions", &[&["positions"], &["open", "deals"], &["open", "trades"]]),
    ("venue_books", &[&["books"], &["feed", "up"]]),
    ("assay_run_info", &[&["info"]]),
    ("process_memory_usage_mb", &[&["memory"], &["rss"]]),
    ("process_cpu_usage_percent", &[&["cpu", "percent"], &["cpu", "usage"], &["cpu", "share"]]),
    ("process_start_time_seconds", &[&["start", "time"], &["started"]]),
    ("process_cpu_seconds_total", &[&["cpu", "seconds"]]),
    ("alert_sent_total", &[&["alerts", "sent"], &["notifications", "sent"]]),
    ("round_trips_completed", &[&["closed"], &["round", "trips"]]),
    ("net_pnl_usd", &[&["net"], &["net", "pnl"]]),
    ("gross_pnl_usd", &[&["gross"], &["gross", "pnl"]]),
    ("max_drawdown_usd", &[&["drawdown"], &["worst", "fall"]]),
    ("win_rate_pct", &[&["win", "rate"], &["hit", "ratio"], &["winrate"]]),
    ("entry_trades", &[&["opened"], &["entries"]]),
    ("exit_trades", &[&["exits"]]),
];

/// The words of a name, small.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    for c in name.chars() {
        match c {
            '_' | '.' | ':' | '-' | ' ' => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|word| word.extend(c.to_lowercase())),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// How well a bot's name fits one of Assay's: 0 not at all, 100 the very name.
fn score(ours: &str, theirs: &str) -> u32 {
    if ours == theirs {
        return 100;
    }
    let (own, other) = (words(ours), words(theirs));
    let last = theirs.rsplit('.').next().unwrap_or(theirs);
    if ours == last {
        return 90;
    }
    let has = |word: &str| other.iter().any(|theirs| theirs == word);
    let listed = WORDS.iter().find(|(name, _)| *name == ours).map(|(_, lists)| *lists).unwrap_or_default();
    let by_list = listed
        .iter()
        .filter(|list| list.iter().all(|word| has(word)))
        .map(|list| 30 + 10 * list.len() as u32);
    // Words that say something: units and suffixes stand in every other name.
    let plain = ["total", "usd", "seconds", "ms", "pct", "arb", "topn", "avg"];
    let telling: Vec<&String> = own.iter().filter(|word| !plain.contains(&word.as_str())).collect();
    let all = !telling.is_empty() && telling.iter().all(|word| has(word));
    by_list.max().unwrap_or(0).max(if all { 40 + 10 * telling.len().min(4) as u32 } else { 0 })
}

/// Recognised metrics, and the names of the others.
pub(super) fn metrics(page: &Exposition) -> (Vec<(&'static str, MetricSource)>, Vec<String>) {
    let mut taken: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for metric in METRICS {
        let fits = |family: &&Family| kinds_fit(metric.kind, family.kind);
        let best = page
            .families
            .iter()
            .filter(fits)
            .map(|family| (score(metric.name, sample_name(family, metric.kind)), family))
            .max_by_key(|(score, _)| *score)
            .filter(|(score, _)| *score >= 40);
        if let Some((_, family)) = best {
            let name = sample_name(family, metric.kind);
            if taken.contains(&name) && name != metric.name {
                continue;
            }
            taken.push(name);
            // What has Assay's own name needs no mapping.
            if name != metric.name {
                found.push((metric.name, source(metric, family, name)));
            }
        }
    }
    let others = page.families.iter().map(|family| family.name.clone()).filter(|name| {
        !taken.iter().any(|taken| taken == name || taken.strip_suffix("_total") == Some(name.as_str()))
    });
    (found, others.collect())
}

fn kinds_fit(ours: MetricKind, theirs: Kind) -> bool {
    match ours {
        MetricKind::Histogram => theirs == Kind::Histogram,
        MetricKind::Counter => matches!(theirs, Kind::Counter | Kind::Unknown),
        MetricKind::Gauge => matches!(theirs, Kind::Gauge | Kind::Unknown | Kind::Info),
    }
}

/// The name on the sample lines: OpenMetrics puts `_total` behind a counter's family name.
fn sample_name(family: &Family, kind: MetricKind) -> &str {
    if kind == MetricKind::Histogram {
        return &family.name;
    }
    family.samples.first().map_or(&family.name, |sample| &sample.name)
}

fn source(metric: &Metric, family: &Family, name: &str) -> MetricSource {
    let mut source = MetricSource { scale: unit_scale(metric.unit, name), ..MetricSource::plain(name) };
    // A label of the same name is the same label; a run's id goes by several.
    let theirs: Vec<&str> =
        family.samples.first().into_iter().flat_map(|s| &s.labels).map(|(label, _)| label.as_str()).collect();
    for label in metric.labels {
        let also: &[&str] = match *label {
            "run_id" => &["session", "session_id", "run"],
            "venue" => &["exchange", "feed"],
            _ => &[],
        };
        let found = theirs.iter().find(|their| *their == label || also.contains(*their));
        if let Some(their) = found {
            source.labels.insert((*label).to_owned(), (*their).to_owned());
        }
    }
    source
}

/// From the unit that a name ends in to Assay's.
fn unit_scale(ours: Unit, name: &str) -> f64 {
    let words = words(name);
    let has = |unit: &str| words.iter().any(|word| word == unit);
    match ours {
        Unit::Seconds if has("ms") || has("milliseconds") => 0.001,
        Unit::Seconds if has("us") || has("microseconds") => 0.000_001,
        Unit::Milliseconds if has("s") || has("seconds") => 1_000.0,
        Unit::Milliseconds if has("us") => 0.001,
        Unit::Usd if has("cents") => 0.01,
        Unit::Megabytes if has("bytes") => 0.000_001,
        Unit::Megabytes if has("kib") => 0.001_024,
        Unit::Percent if has("ratio") || has("share") => 100.0,
        _ => 1.0,
    }
}

/// Recognised KPI fields with path and scale, and the paths of the others.
pub(super) fn fields(json: &Value) -> (Vec<(&'static str, String, f64)>, Vec<String>) {
    let mut paths = Vec::new();
    flatten(json, "", &mut paths);
    let mut found: Vec<(&'static str, String, f64)> = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    // The best pair first, so that `net_cents` is the net result's before the total's.
    let mut pairs: Vec<(u32, &Kpi, &String)> = KPIS
        .iter()
        .filter(|kpi| kpi.number <= 22)
        .flat_map(|kpi| paths.iter().map(move |path| (score(kpi.field, path), kpi, path)))
        .filter(|(score, ..)| *score >= 40)
        .collect();
    pairs.sort_by_key(|(score, kpi, _)| (std::cmp::Reverse(*score), kpi.number));
    let mut settled: Vec<u8> = Vec::new();
    for (_, kpi, path) in pairs {
        if taken.contains(path) || settled.contains(&kpi.number) {
            continue;
        }
        taken.push(path.clone());
        settled.push(kpi.number);
        if path != kpi.field {
            found.push((kpi.field, path.clone(), unit_scale(kpi.unit, path)));
        }
    }
    found.sort_by_key(|(field, ..)| KPIS.iter().position(|kpi| kpi.field == *field));
    let others = paths.into_iter().filter(|path| !taken.contains(path) && !path.ends_with("_reason"));
    (found, others.collect())
}

/// Paths of the numbers.
fn flatten(json: &Value, above: &str, paths: &mut Vec<String>) {
    let Value::Object(map) = json else { return };
    for (key, value) in map {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        match value {
            Value::Object(_) => flatten(value, &path, paths),
            Value::Number(_) | Value::Null => paths.push(path),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paired_by_their_words_and_units() {
        let page = "# TYPE bot_tick_ms histogram\nbot_tick_ms_bucket{le=\"+Inf\"} 1\nbot_tick_ms_sum 1\nbot_tick_ms_count 1\n\
            # TYPE bot_ticks_total counter\nbot_ticks_total 5\n# TYPE bot_pnl_cents gauge\nbot_pnl_cents 7\n\
            # TYPE bot_colour gauge\nbot_colour 1\n# TYPE bot_info gauge\nbot_info{session=\"a\"} 1\n";
        let page = exposition::parse(page.as_bytes(), exposition::Format::Text004).unwrap();
        let (found, others) = metrics(&page);
        let of = |name: &str| found.iter().find(|(ours, _)| *ours == name).map(|(_, source)| source.clone());
        let latency = of("loop_latency_seconds").unwrap();
        assert_eq!((latency.name.as_str(), latency.scale), ("bot_tick_ms", 0.001));
        assert_eq!(of("arb_topn_loop_iterations_total").unwrap().name, "bot_ticks_total");
        assert_eq!(of("arb_topn_pnl_usd").unwrap().scale, 0.01);
        assert_eq!(of("assay_run_info").unwrap().labels["run_id"], "session");
        assert_eq!(others, ["bot_colour"]);
    }

    #[test]
    fn fields_are_found_in_nested_objects() {
        let json = serde_json::json!({
            "deals": {"opened": 3, "closed": 2, "hit_ratio": 0.5}, "pnl": {"net_cents": 4}, "colour": 1, "name": "x",
            "total_trades": 5,
        });
        let (found, others) = fields(&json);
        let of = |name: &str| {
            found.iter().find(|(ours, ..)| *ours == name).map(|(_, path, scale)| (path.as_str(), *scale))
        };
        assert_eq!(of("round_trips_completed"), Some(("deals.closed", 1.0)));
        assert_eq!(of("win_rate_pct"), Some(("deals.hit_ratio", 100.0)));
        assert_eq!(of("net_pnl_usd"), Some(("pnl.net_cents", 0.01)));
        assert_eq!(of("total_trades"), None, "it has Assay's name already");
        assert_eq!(others, ["colour"]);
    }
}
