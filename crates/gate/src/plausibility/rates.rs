//! Rates beyond what the time allows: more trades, iterations, alerts, messages, CPU seconds or error slots than fit in.
//!
//! The limits are far above what an honest runner does and far below what a broken exporter shows: they catch wrong units, counters
//! that are gauges, and figures that were made up.

use super::{SCRAPED, Said, Sight, scrapes};
use crate::evidence::Origin;
use crate::kpis::file_value;
use crate::scrape::sum;
use crate::value::{Value, figure};

/// Counters of the scrape: most per second, and the KPIs behind them.
const COUNTERS: [(&str, f64, &str); 9] = [
    // A round trip needs four orders; venues allow some eight a second each.
    ("arb_topn_round_trips_total", 100.0, "round_trips_completed"),
    ("arb_topn_trades_total", 200.0, "total_trades, entry_trades, exit_trades"),
    // An iteration takes at least some 50 ns.
    ("arb_topn_loop_iterations_total", 2e7, "loop_latency_avg_ms, loop_latency_p95_ms, loop_latency_p99_ms"),
    ("arb_topn_guard_triggers_total", 1e5, "guard_triggers, guard_triggers_by_type"),
    ("venue_messages_total", 2e6, ""),
    ("venue_http_requests_total", 1e5, ""),
    ("alert_raised_total", 1e5, SCRAPED),
    ("alert_sent_total", 1e5, SCRAPED),
    ("alert_retry_total", 1e5, SCRAPED),
];

/// Counts of the KPI file: most per second.
const COUNTS: [(&str, f64); 6] = [
    ("total_trades", 200.0),
    ("entry_trades", 100.0),
    ("exit_trades", 100.0),
    ("round_trips_completed", 100.0),
    ("guard_triggers", 1e5),
    ("position_limit_hits", 1e6),
];

/// Mean or quantile spans that cannot be longer than the run, with what one unit is in seconds.
const SPANS: [(&str, f64); 4] = [
    ("guard_block_duration_avg_s", 1.0),
    ("loop_latency_avg_ms", 1e-3),
    ("loop_latency_p95_ms", 1e-3),
    ("loop_latency_p99_ms", 1e-3),
];

/// Readings of two clocks lie this far apart at most, seconds.
const SLACK_S: f64 = 2.0;

pub(super) fn rates(sight: &Sight<'_>) -> Said {
    let Some(lasted) = lasted(sight) else {
        return Said::Off("how long it ran is not on record".to_owned());
    };
    let mut wrong: Vec<(String, &str)> = Vec::new();
    slots(sight, lasted, &mut wrong);
    file(sight, lasted, &mut wrong);
    // Of artefacts from elsewhere the order is known, seldom the instants.
    if sight.evidence.origin == Origin::Supervised {
        counters(sight, &mut wrong);
    }
    processor(sight, lasted, &mut wrong);
    if wrong.is_empty() {
        return Said::Clean(format!("{} s", figure(lasted)));
    }
    let texts: Vec<&str> = wrong.iter().take(5).map(|(text, _)| text.as_str()).collect();
    let fields: Vec<&str> = wrong.iter().map(|(_, fields)| *fields).filter(|f| !f.is_empty()).collect();
    Said::Violated(texts.join("; "), fields.join(", "))
}

/// Seconds that it ran: by the supervisor, or, where there was none, as the artefacts tell.
fn lasted(sight: &Sight<'_>) -> Option<f64> {
    if let Some(end) = &sight.phase.end {
        return Some(end.ran_s);
    }
    let said = sight.phase.kpi_file.get().map(|file| file_value(file, "duration_s"));
    if let Some(Value::Measured(said)) = said {
        return Some(said);
    }
    None
}

fn slots(sight: &Sight<'_>, lasted: f64, wrong: &mut Vec<(String, &'static str)>) {
    let slots = (lasted * 10.0).ceil() + 10.0 * SLACK_S;
    let errors = sight.phase.log.get().map(|log| log.counters.error_slots as f64);
    if let Some(errors) = errors.filter(|errors| *errors > slots) {
        wrong.push((format!("{} error slots in {} slots", figure(errors), figure(slots)), "error_rate_pct"));
    }
}

fn file(sight: &Sight<'_>, lasted: f64, wrong: &mut Vec<(String, &'static str)>) {
    let Some(file) = sight.phase.kpi_file.get() else { return };
    for (field, most) in COUNTS {
        if let Value::Measured(n) = file_value(file, field)
            && n > most * (lasted + SLACK_S)
        {
            wrong.push((format!("{field} {} in {} s", figure(n), figure(lasted)), field));
        }
    }
    for (field, seconds) in SPANS {
        if let Value::Measured(span) = file_value(file, field)
            && span * seconds > lasted * 1.05 + SLACK_S
        {
            wrong.push((format!("{field} {} in a run of {} s", figure(span), figure(lasted)), field));
        }
    }
}

fn counters(sight: &Sight<'_>, wrong: &mut Vec<(String, &'static str)>) {
    let all = scrapes(sight.phase);
    for (metric, most, fields) in COUNTERS {
        let readings: Vec<(f64, f64)> =
            all.iter().filter_map(|(t, scrape)| Some((*t, sum(scrape, metric, &[])?))).collect();
        let fast = readings.windows(2).find(|w| {
            let span = w[1].0 - w[0].0;
            w[1].1 - w[0].1 > most * (span + SLACK_S)
        });
        if let Some(w) = fast {
            let text = format!(
                "{metric} rose by {} between {} s and {} s",
                figure(w[1].1 - w[0].1),
                figure(w[0].0),
                figure(w[1].0)
            );
            wrong.push((text, fields));
        }
    }
}

/// CPU seconds: no more than the machine's cores give, and no more than the threads of the group can use.
fn processor(sight: &Sight<'_>, lasted: f64, wrong: &mut Vec<(String, &'static str)>) {
    let threads = sight.phase.samples.iter().filter_map(|s| s.os.get()).map(|os| os.threads).max();
    let cores = sight.evidence.cores;
    let Some(at_once) = [threads, cores].into_iter().flatten().filter(|n| *n > 0).min() else { return };
    let most = |span: f64| (span + SLACK_S) * f64::from(at_once);
    let said = sight.phase.kpi_file.get().map(|file| file_value(file, "cpu_seconds"));
    if let Some(Value::Measured(seconds)) = said
        && seconds > most(lasted)
    {
        let text = format!("{} CPU seconds in {} s with {at_once} at once", figure(seconds), figure(lasted));
        wrong.push((text, "cpu_usage_pct"));
    }
    let readings: Vec<(f64, f64)> = scrapes(sight.phase)
        .into_iter()
        .filter_map(|(t, scrape)| Some((t, sum(scrape, "process_cpu_seconds_total", &[])?)))
        .collect();
    if let Some(w) = readings.windows(2).find(|w| w[1].1 - w[0].1 > most(w[1].0 - w[0].0)) {
        let text = format!(
            "process_cpu_seconds_total rose by {} between {} s and {} s with {at_once} at once",
            figure(w[1].1 - w[0].1),
            figure(w[0].0),
            figure(w[1].0)
        );
        wrong.push((text, "cpu_usage_pct"));
    }
}
