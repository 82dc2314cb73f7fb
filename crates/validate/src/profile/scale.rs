//! `time_scale`: the same profile at another pace. Every duration, window, grace and cadence is divided by it, one "hour" of rates
//! with them. Sizes, counts and thresholds stay.

use super::Span;
use std::time::Duration;
use toml::{Table, Value};

/// Tables whose texts are no durations, whatever they look like.
const TEXTS: [&str; 4] = ["runner.not_applicable", "runner.mapping", "runner.config", "alerts"];

/// The durations of a rule.
const WINDOWS: [&str; 4] = ["for", "within", "over", "grace"];

/// Durations of our own runner's configuration that go with the profile's pace, in milliseconds. Not scaled: latencies, the level (which
/// needs its history), venue health, FX.
const CONFIG_MS: [&str; 9] = [
    "kpi_interval_ms",
    "linger_ms",
    "probe_every_ms",
    "iteration_log_ms",
    "alerts.settle_ms",
    "engine.time_limit_ms",
    "engine.entry_pause_ms",
    "engine.cooldown_route_ms",
    "engine.cooldown_cross_ms",
];

/// Durations that are handed to a runner in whole seconds: rounded up.
const WHOLE_SECONDS: [&str; 3] = ["smoke.duration", "main.duration", "planted.duration"];

/// Divides every duration of an effective profile. Nothing gets shorter than a millisecond.
pub(super) fn apply(profile: &mut Table, scale: f64) {
    if scale == 1.0 {
        return;
    }
    walk(profile, "", scale);
    let config = profile.get_mut("runner").and_then(|runner| runner.get_mut("config"));
    let Some(config) = config else { return };
    for path in CONFIG_MS {
        let slot = path.split('.').try_fold(&mut *config, |at, key| at.get_mut(key));
        if let Some(Value::Integer(ms)) = slot {
            *ms = ((*ms as f64 / scale).round() as i64).max(1);
        }
    }
}

fn walk(table: &mut Table, above: &str, scale: f64) {
    for (key, value) in table.iter_mut() {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        // A rule's threshold may look like a duration: it is none.
        let threshold = above.starts_with("rules.") && !WINDOWS.contains(&key.as_str());
        if TEXTS.contains(&path.as_str()) || (threshold && !value.is_table()) {
            continue;
        }
        match value {
            Value::Table(inner) => walk(inner, &path, scale),
            Value::String(text) => {
                if let Ok(span) = text.parse::<Span>() {
                    *text = divided(span, scale, WHOLE_SECONDS.contains(&path.as_str())).to_string();
                }
            }
            _ => {}
        }
    }
}

fn divided(span: Span, scale: f64, whole_seconds: bool) -> Span {
    let ms = span.0.as_millis() as f64 / scale;
    let ms = if whole_seconds { (ms / 1_000.0).ceil() * 1_000.0 } else { ms.round() };
    // A duration of nothing stays nothing; anything else stays something.
    let ms = if span.0.is_zero() { 0.0 } else { ms.max(1.0) };
    Span(Duration::from_millis(ms as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_divided_and_texts_are_not() {
        let mut table: Table = "hour = '1 h'\nabout = 'ten'\n[main]\nduration = '1000 s'\ntopn = 50\n[watch]\npoll = '10 s'\n\
            [rules.A4]\nabove = '100 ms'\nfor = '5 min'\n[runner.not_applicable]\njournal = '10 s'\n[runner.config]\nlinger_ms = 20000\n[runner.config.engine]\nlevel_window_ms = 9\ntime_limit_ms = 3\n"
            .parse()
            .unwrap();
        apply(&mut table, 60.0);
        assert_eq!(table["hour"].as_str(), Some("60 s"));
        assert_eq!(table["main"]["duration"].as_str(), Some("17 s"), "rounded up to a whole second");
        assert_eq!(table["watch"]["poll"].as_str(), Some("167 ms"));
        assert_eq!(table["rules"]["A4"]["above"].as_str(), Some("100 ms"), "a threshold");
        assert_eq!(table["rules"]["A4"]["for"].as_str(), Some("5 s"));
        assert_eq!(table["runner"]["not_applicable"]["journal"].as_str(), Some("10 s"));
        let config = &table["runner"]["config"];
        assert_eq!(config["linger_ms"].as_integer(), Some(333));
        assert_eq!(config["engine"]["level_window_ms"].as_integer(), Some(9));
        assert_eq!(config["engine"]["time_limit_ms"].as_integer(), Some(1));
    }
}
