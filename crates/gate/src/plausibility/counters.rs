//! Counters that go backwards without a restart, in the scrapes and in the versions of the KPI file.

use super::{SCRAPED, Said, Sight, scrapes};
use crate::evidence::Scrape;
use crate::scrape::{parse_series, sum};
use crate::value::{counted, figure};

/// How far the start of one process may seem to move: it is computed from the boot time, which a clock that is set moves.
const SAME_START_S: f64 = 1.5;

/// Counts of the KPI file that never fall within a run.
const FILE_COUNTS: [&str; 10] = [
    "total_trades",
    "entry_trades",
    "exit_trades",
    "round_trips_completed",
    "guard_triggers",
    "position_limit_hits",
    "emergency_stops",
    "max_drawdown_usd",
    "cpu_seconds",
    "duration_s",
];

/// A count of the KPI file that fell from one version to the next.
fn falling_file(sight: &Sight<'_>) -> Option<Said> {
    sight.phase.samples.windows(2).find_map(|pair| {
        FILE_COUNTS.iter().find_map(|field| {
            let (before, now) = (pair[0].kpi.get(*field)?, pair[1].kpi.get(*field)?);
            // Floating point noise of a sum is no fall.
            (*now < *before - 1e-9 * before.abs()).then(|| {
                let text = format!(
                    "at {} s: {field} of the KPI file fell from {} to {}",
                    figure(pair[1].t),
                    figure(*before),
                    figure(*now)
                );
                let touched = match *field {
                    "cpu_seconds" => "cpu_usage_pct",
                    "duration_s" => "error_rate_pct",
                    other => other,
                };
                Said::Violated(text, touched.to_owned())
            })
        })
    })
}

fn is_counter(series: &str) -> bool {
    let (name, _) = parse_series(series);
    ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end))
}

pub(super) fn backwards(sight: &Sight<'_>) -> Said {
    let all = scrapes(sight.phase);
    if let Some(said) = falling_file(sight) {
        return said;
    }
    if all.len() < 2 {
        return Said::Off("fewer than two scrapes".to_owned());
    }
    for pair in all.windows(2) {
        let start = |s: &Scrape| sum(s, "process_start_time_seconds", &[]);
        let (before, now) = (pair[0].1, pair[1].1);
        let text = |what: String| format!("at {} s: {what}", figure(pair[1].0));
        if let Some((a, b)) = start(before).zip(start(now))
            && (a - b).abs() > SAME_START_S
        {
            // A phase is one process: a restart inside it means that something else is being scraped.
            let what = format!("the process start moved from {} to {}", figure(a), figure(b));
            return Said::Violated(text(what), SCRAPED.to_owned());
        }
        for (series, value) in now.series.iter().filter(|(series, _)| is_counter(series)) {
            if let Some(earlier) = before.series.get(series)
                && value < earlier
            {
                let what = format!("{series} fell from {} to {}", figure(*earlier), figure(*value));
                return Said::Violated(text(what), touched(series));
            }
        }
    }
    Said::Clean(counted(all.len() as f64, "scrape", "scrapes"))
}

/// The KPIs behind a counter.
fn touched(series: &str) -> String {
    let (name, _) = parse_series(series);
    match name {
        _ if name.starts_with("alert_") => SCRAPED.to_owned(),
        _ if name.starts_with("venue_") => String::new(),
        _ if name.starts_with("loop_latency") => {
            "loop_latency_avg_ms, loop_latency_p95_ms, loop_latency_p99_ms".to_owned()
        }
        "process_cpu_seconds_total" => "cpu_usage_pct".to_owned(),
        "arb_topn_guard_triggers_total" => "guard_triggers, guard_triggers_by_type".to_owned(),
        "arb_topn_position_limit_hits_total" => "position_limit_hits".to_owned(),
        "arb_topn_emergency_stops_total" => "emergency_stops".to_owned(),
        _ => "total_trades, round_trips_completed".to_owned(),
    }
}
