//! Parts that do not add up: within the KPI file, and within the last scrape.

use super::{Said, Sight};
use crate::evidence::{KpiFile, Origin, Scrape};
use crate::kpis::file_value;
use crate::scrape::{parse_series, sum, sum_by};
use crate::value::{Value, counted, figure};
use std::collections::BTreeMap;

/// What was added up: how many sums, and those that are wrong with the KPIs they touch.
#[derive(Default)]
struct Sums {
    looked: usize,
    wrong: Vec<(String, &'static str)>,
}

impl Sums {
    /// Two figures of one thing; `also` may be missing from the first. What one side does not have is not looked at.
    fn equal(&mut self, name: &str, a: Option<f64>, b: Option<f64>, also: f64, fields: &'static str) {
        if let Some((a, b)) = a.zip(b) {
            self.looked += 1;
            if a != b && a != b - also {
                self.wrong.push((format!("{name}: {} against {}", figure(a), figure(b)), fields));
            }
        }
    }
}

pub(super) fn parts(sight: &Sight<'_>) -> Said {
    let mut sums = Sums::default();
    if let Some(file) = sight.phase.kpi_file.get() {
        in_file(file, &mut sums);
    }
    // Counters of one page may be a moment apart while the runner works; after an orderly end they stand still.
    let settled = match &sight.phase.end {
        Some(end) => end.exit_code == Some(0),
        None => sight.evidence.origin == Origin::Elsewhere,
    };
    if settled && let Some(last) = sight.phase.final_scrape.get() {
        in_scrape(&last.scrape, &mut sums);
    }
    if sums.looked == 0 {
        return Said::Off("neither the KPI file nor the last scrape has parts to add up".to_owned());
    }
    if sums.wrong.is_empty() {
        return Said::Clean(counted(sums.looked as f64, "sum", "sums"));
    }
    let (texts, fields): (Vec<String>, Vec<&str>) = sums.wrong.into_iter().unzip();
    Said::Violated(texts.join("; "), fields.join(", "))
}

fn in_file(file: &KpiFile, sums: &mut Sums) {
    let number = |field: &str| file_value(file, field).number();
    let map = |field: &str| match file_value(file, field) {
        Value::Map(map) => Some(map),
        _ => None,
    };
    let total = |field: &str| map(field).map(|map| map.values().sum::<f64>());
    let reasons = map("exit_reasons");
    // A reason that is not named did not occur.
    let shutdown = reasons.as_ref().and_then(|map| map.get("shutdown")).copied().unwrap_or(0.0);
    let (entries, exits, trips) =
        (number("entry_trades"), number("exit_trades"), number("round_trips_completed"));
    let opened = exits.zip(number("open_positions")).map(|(a, b)| a + b);
    sums.equal("entries = exits + open positions", entries, opened, 0.0, "entry_trades, exit_trades");
    let both = entries.zip(exits).map(|(a, b)| a + b);
    sums.equal("trades = entries + exits", number("total_trades"), both, 0.0, "total_trades");
    let decided = number("wins").zip(number("losses")).map(|(a, b)| a + b);
    // Win and loss counts may leave out the closes of the run's end, as the win rate does.
    sums.equal(
        "wins + losses = round trips",
        decided,
        trips,
        shutdown,
        "win_rate_pct, round_trips_completed",
    );
    // Without closes at the run's end in doubt, the rate is that of the counts; half a point is what rounding to whole percents takes.
    let certain =
        decided.filter(|n| *n > 0.0 && (shutdown == 0.0 || trips.map(|all| all - shutdown) == Some(*n)));
    if let Some((((wins, all), said), _)) =
        number("wins").zip(certain).zip(number("win_rate_pct")).zip(number("losses"))
    {
        sums.looked += 1;
        let ours = wins / all * 100.0;
        if (ours - said).abs() > 0.51 {
            sums.wrong
                .push((format!("win_rate_pct: {} against {}", figure(said), figure(ours)), "win_rate_pct"));
        }
    }
    sums.equal("exit reasons = round trips", total("exit_reasons"), trips, 0.0, "round_trips_completed");
    let triggers = number("guard_triggers");
    let by_type = total("guard_triggers_by_type");
    sums.equal(
        "guard types = guard triggers",
        by_type,
        triggers,
        0.0,
        "guard_triggers, guard_triggers_by_type",
    );
    let share = number("guard_false_positives").zip(triggers).filter(|(_, all)| *all > 0.0);
    if let Some((wrong, all)) = number("guard_false_positives").zip(triggers) {
        sums.looked += 1;
        if wrong > all {
            let text = format!("guard_false_positives {} of {} triggers", figure(wrong), figure(all));
            sums.wrong.push((text, "guard_false_positives, guard_triggers"));
        }
    }
    if let Some(((wrong, all), percent)) = share.zip(number("guard_false_positives_pct")) {
        sums.looked += 1;
        let ours = wrong / all * 100.0;
        if (ours - percent).abs() > 0.01 {
            let text = format!("guard_false_positives_pct: {} against {}", figure(percent), figure(ours));
            sums.wrong.push((text, "guard_false_positives"));
        }
    }
}

fn in_scrape(scrape: &Scrape, sums: &mut Sums) {
    let whole = |metric: &str| sum(scrape, metric, &[]);
    let trades = sum_by(scrape, "arb_topn_trades_total", "trade_type");
    let (entries, exits) = (trades.get("entry").copied(), trades.get("exit").copied());
    let trips = whole("arb_topn_round_trips_total");
    let opened = exits.zip(whole("arb_topn_active_positions")).map(|(a, b)| a + b);
    sums.equal(
        "metrics: entries = exits + active positions",
        entries,
        opened,
        0.0,
        "entry_trades, exit_trades",
    );
    sums.equal(
        "metrics: exit reasons = round trips",
        whole("arb_topn_exit_reasons_total"),
        trips,
        0.0,
        "round_trips_completed",
    );
    // The by-rule counter has no series before the first event.
    let outcomes = sum_by(scrape, "alert_by_rule_total", "outcome");
    if !outcomes.is_empty() {
        let of = |names: &[&str]| Some(names.iter().filter_map(|n| outcomes.get(*n)).sum::<f64>());
        let settled = [
            ("metrics: alerts sent by rule", of(&["sent"]), "alert_sent_total"),
            ("metrics: alerts in the dead letters by rule", of(&["dlq"]), "alert_dlq_total"),
            ("metrics: alerts failed by rule", of(&["failed", "dlq"]), "alert_failed_total"),
        ];
        for (name, by_rule, metric) in settled {
            sums.equal(name, by_rule, whole(metric), 0.0, metric);
        }
    }
    if let Some((dlq, failed)) = whole("alert_dlq_total").zip(whole("alert_failed_total")) {
        sums.looked += 1;
        if dlq > failed {
            let text =
                format!("metrics: {} dead letters of {} failed deliveries", figure(dlq), figure(failed));
            sums.wrong.push((text, "alert_dlq_total, alert_failed_total"));
        }
    }
    histograms(scrape, sums);
}

/// `_count` is what the last bucket holds, by the exposition format.
fn histograms(scrape: &Scrape, sums: &mut Sums) {
    let mut last: BTreeMap<&str, f64> = BTreeMap::new();
    for (series, value) in &scrape.series {
        let (name, labels) = parse_series(series);
        if let Some(base) = name.strip_suffix("_bucket")
            && labels.iter().any(|(label, edge)| label == "le" && edge == "+Inf")
            && value.is_finite()
        {
            *last.entry(base).or_insert(0.0) += value;
        }
    }
    for (base, whole) in last {
        let fields = match base {
            "loop_latency_seconds" => "loop_latency_avg_ms, loop_latency_p95_ms, loop_latency_p99_ms",
            "alert_delivery_latency_seconds" => "alert_delivery_latency_p95_s",
            _ => continue,
        };
        let count = sum(scrape, &format!("{base}_count"), &[]);
        sums.equal(&format!("metrics: {base}_count = its last bucket"), count, Some(whole), 0.0, fields);
    }
}
