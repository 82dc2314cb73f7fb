//! Curves and tables of the report, from samples, journal and KPI file. They judge nothing.

use crate::accounting::Accounts;
use crate::evidence::{Evidence, PhaseEvidence};
use crate::judge::{LatencyWindow, MoneyTable, Series};
use crate::kpis::file_value;
use crate::memory::memory_growth;
use crate::scrape::{Histogram, sum_by};
use crate::value::Value;
use market::Money;
use std::collections::BTreeMap;

pub(crate) fn of(evidence: &Evidence, phase: &PhaseEvidence, accounts: Option<&Accounts>) -> Series {
    let growth = memory_growth(phase, &evidence.settings).ok();
    let map = |field: &str| match phase.kpi_file.get().map(|file| file_value(file, field)) {
        Some(Value::Map(map)) => map,
        _ => BTreeMap::new(),
    };
    let funnel = match accounts {
        Some(accounts) => accounts.funnel.clone(),
        None => {
            let mut funnel = map("funnel");
            if let Some(last) = phase.final_scrape.get().filter(|_| funnel.is_empty()) {
                funnel = sum_by(&last.scrape, "arb_topn_funnel_total", "stage");
            }
            funnel.into_iter().filter(|(_, n)| *n >= 0.0).map(|(stage, n)| (stage, n as u64)).collect()
        }
    };
    let (spreads, edges) = phase.journal.get().map(|entries| crate::spreads::of(entries)).unwrap_or_default();
    let (trust, universe) = phase.journal.get().map(|entries| crate::trust::of(entries)).unwrap_or_default();
    let mut alerts_by_rule = BTreeMap::new();
    for alert in phase.alerts.get().into_iter().flat_map(|rows| &rows.alerts) {
        *alerts_by_rule.entry(alert.rule_id.clone()).or_insert(0) += 1;
    }
    let cores = evidence.settings.cpu_cores;
    let os: Vec<_> = phase.samples.iter().filter_map(|s| s.os.get().map(|os| (s.t, os))).collect();
    Series {
        money: accounts.and_then(money),
        latency: latency(phase),
        memory_mb: os.iter().map(|(t, os)| (*t, os.pss_bytes as f64 / 1e6)).collect(),
        cpu_pct: os
            .windows(2)
            .map(|w| (w[1].0, (w[1].1.cpu_seconds - w[0].1.cpu_seconds) / (w[1].0 - w[0].0) / cores * 100.0))
            .filter(|(_, percent)| percent.is_finite() && *percent >= 0.0)
            .collect(),
        memory_growth_pct_per_h: growth.map(|g| g.pct_per_h).filter(|g| g.is_finite()),
        memory_plain_pct: growth.map(|g| g.plain_pct).filter(|g| g.is_finite()),
        funnel,
        spreads,
        edges,
        trust,
        universe,
        guards: map("guard_triggers_by_type"),
        exit_reasons: accounts.map_or_else(|| map("exit_reasons"), Accounts::exit_reasons),
        shadows: accounts.and_then(|accounts| accounts.shadows.clone()),
        alerts_by_rule,
        log: phase.log.get().map(|log| log.counters),
        top_errors: phase.log.get().map(|log| log.top_errors.clone()).unwrap_or_default(),
    }
}

/// `None` without an equity point, or when a sum does not fit.
fn money(accounts: &Accounts) -> Option<MoneyTable> {
    let (total, fx_effect) = (accounts.total?, accounts.fx_effect?);
    let gross = accounts.gross_closed.checked_add(accounts.gross_unwound)?;
    Some(MoneyTable {
        total: Money(total),
        fx_effect: Money(fx_effect),
        trading: Money(total.checked_sub(fx_effect)?),
        transfer_cost: Money(accounts.transfer_cost),
        gross: Money(gross),
        fees: Money(gross.checked_sub(accounts.net)?),
        net: Money(accounts.net),
        slippage: Money(accounts.slippage),
    })
}

/// Windows of 10 minutes, or sixths of a phase shorter than an hour. A window holds what came between the last samples
/// before its edges.
fn latency(phase: &PhaseEvidence) -> Vec<LatencyWindow> {
    let width = if phase.planned_s >= 3_600.0 { 600.0 } else { phase.planned_s / 6.0 };
    let readings: Vec<(f64, Histogram)> = phase
        .samples
        .iter()
        .filter_map(|s| Some((s.t, Histogram::read(s.scrape.get()?, "loop_latency_seconds")?)))
        .collect();
    let mut windows = Vec::new();
    if width <= 0.0 || !width.is_finite() {
        return windows;
    }
    let mut from = 0.0;
    while from < phase.planned_s && windows.len() < 1_000 {
        let to = from + width;
        let before = readings.iter().rev().find(|(t, _)| *t <= from).or_else(|| readings.first());
        let after = readings.iter().rev().find(|(t, _)| *t <= to);
        if let Some(increase) = after.zip(before).and_then(|(a, b)| a.1.since(&b.1)) {
            let ms = |q: f64| increase.quantile(q).map(|s| s * 1e3);
            windows.push(LatencyWindow {
                from_s: from,
                to_s: to,
                count: increase.count(),
                p50_ms: ms(0.5),
                p95_ms: ms(0.95),
                p99_ms: ms(0.99),
            });
        }
        from = to;
    }
    windows
}
