//! Whether the smoke passed: the conditions of phase 2, each with its reason when it did not.

use catalogue::{KPIS, Source};
use gate::evidence::{Found, PhaseEvidence, RoundTripProof, Sample, Settings};
use journal::Body;
use journal::record::{ExitReason, Purpose};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Why the smoke did not pass; empty when it did.
pub fn reasons(smoke: &PhaseEvidence, settings: &Settings) -> Vec<String> {
    let mut reasons = Vec::new();
    let Some(end) = &smoke.end else {
        return vec!["the smoke has no end record: it was interrupted".to_owned()];
    };
    if let Some(abort) = &end.abort {
        reasons.push(format!("{}: {}", abort.cause, abort.text));
    }
    if let Some(why) = &end.interrupted {
        reasons.push(format!("interrupted: {why}"));
    }
    match (end.exit_code, end.signal) {
        (Some(0), None) => {}
        _ if end.abort.is_some() => {}
        (Some(code), _) => reasons.push(format!("the runner exited with code {code}")),
        (None, Some(signal)) => reasons.push(format!("the runner was ended by signal {signal}")),
        (None, None) => reasons.push("the runner ended, how is not known".to_owned()),
    }
    match &smoke.kpi_file {
        Found::No(why) => reasons.push(why.clone()),
        Found::Yes(file) if file.complete == Some(true) => {}
        Found::Yes(file) if file.complete.is_none() && !settings.has_journal => {}
        Found::Yes(_) => reasons.push("the KPI file does not say complete: true".to_owned()),
    }
    if let Found::Yes(file) = &smoke.kpi_file {
        reasons.extend(incomplete(&file.fields, settings));
    }
    let blocks = smoke.log.get().map(|log| log.blocks.as_slice()).unwrap_or_default();
    let crashes = blocks.iter().filter(|block| block.kind != "handled").count();
    if crashes > 0 && end.abort.is_none() {
        reasons.push(format!("{crashes} crash blocks in the log"));
    }
    if settings.has_metrics {
        market_data(smoke, settings, &mut reasons);
    }
    if settings.has_alerts
        && let Some(dlq) = last(smoke, "alert_dlq_total")
        && dlq > 0.0
        && end.abort.is_none()
    {
        reasons.push(format!("{dlq} alerts in the dead letters"));
    }
    reasons
}

/// The runner's own KPIs that its file neither has nor may lack.
fn incomplete(fields: &BTreeMap<String, Value>, settings: &Settings) -> Option<String> {
    let there = |field: &str| match fields.get(field) {
        None => false,
        // Our own runner says why; another one has it, or declares that it cannot.
        Some(Value::Null) => fields
            .get(&format!("{field}_reason"))
            .and_then(Value::as_str)
            .is_some_and(|why| settings.has_journal || why.to_lowercase().starts_with("undefined")),
        Some(value) => value.is_number() || value.is_object(),
    };
    let of_runner = || KPIS.iter().filter(|kpi| kpi.source == Source::Runner);
    let missing: Vec<&str> = of_runner()
        .map(|kpi| kpi.field)
        .filter(|field| !there(field) && !settings.not_applicable.contains_key(*field))
        .collect();
    let all = of_runner().count();
    (!missing.is_empty())
        .then(|| format!("the KPI file lacks {} of {all} fields: {}", missing.len(), missing.join(", ")))
}

/// Books Live and pairs evaluated. Books must be Live in 90 % of symbol-seconds of the smoke's last third: the start grace of C1 may
/// be as long as the smoke.
fn market_data(smoke: &PhaseEvidence, settings: &Settings, reasons: &mut Vec<String>) {
    let from = settings.start_grace_s.min(smoke.planned_s * 2.0 / 3.0);
    let in_run = |sample: &&Sample| sample.t >= from && sample.t <= smoke.planned_s;
    let scrapes: Vec<_> =
        smoke.samples.iter().filter(in_run).filter_map(|sample| sample.scrape.get()).collect();
    if scrapes.is_empty() {
        reasons.push(format!("/metrics never answered after {from:.0} s: {}", last_scrape_problem(smoke)));
        return;
    }
    if settings.not_applicable.contains_key("venue_books") {
        return;
    }
    let (mut live, mut all) = (0.0, 0.0);
    for scrape in &scrapes {
        for (name, value) in scrape.series.iter().filter(|(name, _)| name.starts_with("venue_books{")) {
            all += value;
            if name.contains("state=\"live\"") {
                live += value;
            }
        }
    }
    if all <= 0.0 {
        reasons.push("no market data: the runner reports no books (venue_books)".to_owned());
    } else if live / all < 0.9 {
        let share = live / all * 100.0;
        reasons.push(format!(
            "books were Live for {share:.0} % of symbol-seconds after {from:.0} s, 90 % are needed"
        ));
    }
    let evaluated = last(smoke, "arb_topn_funnel_total{").filter(|_| settings.has_journal);
    if settings.has_journal && evaluated.is_none_or(|n| n <= 0.0) {
        reasons.push("no pair was ever evaluated (arb_topn_funnel_total)".to_owned());
    }
}

fn last_scrape_problem(smoke: &PhaseEvidence) -> String {
    let problem = smoke.samples.iter().rev().find_map(|sample| match &sample.scrape {
        Found::No(why) => Some(why.clone()),
        Found::Yes(_) => None,
    });
    problem.unwrap_or_else(|| "no poll was made".to_owned())
}

/// Sum of a metric's series in the last scrape; for the funnel, of its `evaluated` stage.
fn last(smoke: &PhaseEvidence, metric: &str) -> Option<f64> {
    let scrape = smoke.samples.iter().rev().find_map(|sample| sample.scrape.get())?;
    let funnel = metric.starts_with("arb_topn_funnel_total");
    scrape
        .series
        .iter()
        .filter(|(name, _)| name.starts_with(metric) && (!funnel || name.contains("stage=\"evaluated\"")))
        .map(|(_, value)| *value)
        .reduce(|a, b| a + b)
}

/// Orders sent and round trips completed in the smoke: by the journal where the runner keeps one, else by its KPI file. `None`
/// when that does not say.
pub fn orders_and_round_trips(smoke: &PhaseEvidence, settings: &Settings) -> Option<(u64, u64)> {
    if settings.has_journal {
        let entries = smoke.journal.get()?;
        let is_entry = |body: &&Body| matches!(body, Body::Order { purpose: Purpose::Entry, .. });
        let orders = entries.iter().map(|entry| &entry.body).filter(is_entry).count();
        let closed = entries.iter().filter(|entry| matches!(entry.body, Body::Closed { .. })).count();
        return Some((orders as u64, closed as u64));
    }
    let number = |field: &str| smoke.kpi_file.get()?.fields.get(field)?.as_u64();
    Some((number("entry_trades")?, number("round_trips_completed")?))
}

/// Why a smoke fails whose round trip nothing proved; `None` when it need not. A foreign runner's market cannot be replaced: without an
/// order it proves nothing, which caps the decision. One that sent orders must have completed a round trip, whoever made it.
pub fn unproven(
    smoke: &PhaseEvidence,
    settings: &Settings,
    own_contract: bool,
    proof: &RoundTripProof,
) -> Option<String> {
    let RoundTripProof::None { why } = proof else { return None };
    let sent_orders = || orders_and_round_trips(smoke, settings).is_some_and(|(orders, _)| orders > 0);
    (own_contract || sent_orders()).then(|| format!("no round trip was completed: {why}"))
}

/// Round trips of a journal that another exit than `shutdown` completed.
///
/// # Errors
/// Why the journal cannot be read.
pub fn completed_by_market_exit(journal: &Path) -> Result<u64, String> {
    let reader = journal::file::Reader::open(journal).map_err(|e| e.to_string())?;
    let mut n = 0;
    for entry in reader {
        let entry = entry.map_err(|e| e.to_string())?;
        if matches!(entry.body, Body::Closed { reason, .. } if reason != ExitReason::Shutdown) {
            n += 1;
        }
    }
    Ok(n)
}
