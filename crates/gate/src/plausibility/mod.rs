//! The plausibility rules: what cannot be true. Each names what it needs and is off, shown as off, without it. None may convict a
//! healthy runner: equal figures that a coarse grid, a quiet hour or a flat engine explain are no finding.
//!
//! Here: the list and what a finding does to the KPIs. The rules are in the files beside this one, by what they look at.

mod cached;
mod counters;
mod flat;
mod identical;
mod origin;
mod parts;
mod rates;
mod twice;

use crate::accounting::Accounts;
use crate::evidence::{Evidence, PhaseEvidence, Scrape};
use crate::judge::{PlausibilityFinding, PlausibilityStatus, guarded};
use crate::value::{KpiResult, Value};

/// The status of a rule whose checker broke down. It caps the decision.
pub(crate) const BROKE: &str = "its checker broke down";
const TRADING: &str = "total_trades, entry_trades, exit_trades, round_trips_completed, win_rate_pct, total_pnl_usd, \
                       gross_pnl_usd, net_pnl_usd, max_drawdown_usd, avg_win_usd, avg_loss_usd";
const RESULTS: &str = "total_pnl_usd, gross_pnl_usd, net_pnl_usd";
const SCRAPED: &str = "alert_sent_total, alert_failed_total, alert_retry_total, alert_dlq_total, alert_success_rate_pct, \
                       alert_fallback_total, alert_delivery_latency_p95_s";

/// What a rule says: off with a reason, clean with what was looked at, or violated with the figures and the KPIs.
enum Said {
    Off(String),
    Clean(String),
    Violated(String, String),
}

struct Sight<'a> {
    evidence: &'a Evidence,
    phase: &'a PhaseEvidence,
    accounts: Option<&'a Accounts>,
    kpis: &'a [KpiResult],
}

type Check = fn(&Sight<'_>) -> Said;

const RULES: [(&str, Check); 13] = [
    ("measured twice: CPU, peak memory, duration by supervisor and runner", twice::measured_twice),
    ("recomputed: every trading KPI from the journal", twice::recomputed),
    ("flat against movement", flat::flat),
    ("identical outcomes", identical::identical),
    ("counters that go backwards without a restart", counters::backwards),
    ("rates beyond what the time allows", rates::rates),
    ("parts that do not add up", parts::parts),
    ("the same vector in smoke and main", cached::cached),
    ("currency: notional, result and price of a trade", origin::currency),
    ("both legs of a round trip on one venue", origin::one_venue),
    ("a leg filled better than the book displayed", origin::kinder),
    ("evidence class derived, not declared", origin::class),
    ("identity: the snapshot's run id, or the socket's owner", origin::identity),
];

pub(crate) fn check(
    evidence: &Evidence,
    phase: &PhaseEvidence,
    accounts: Option<&Accounts>,
    kpis: &[KpiResult],
) -> Vec<PlausibilityFinding> {
    let sight = Sight { evidence, phase, accounts, kpis };
    RULES
        .iter()
        .map(|(rule, check)| {
            let said = guarded(|| check(&sight)).unwrap_or_else(|| Said::Off(BROKE.to_owned()));
            let (status, figures, kpi) = match said {
                Said::Off(why) => (PlausibilityStatus::Off(why), String::new(), None),
                Said::Clean(figures) => (PlausibilityStatus::Clean, figures, None),
                Said::Violated(figures, kpi) => {
                    (PlausibilityStatus::Violated, figures, Some(kpi).filter(|k| !k.is_empty()))
                }
            };
            PlausibilityFinding { rule: (*rule).to_owned(), status, figures, kpi }
        })
        .collect()
}

/// Makes the KPIs that violated rules touch implausible.
pub(crate) fn convict(kpis: &mut [KpiResult], findings: &[PlausibilityFinding]) {
    for finding in findings.iter().filter(|f| f.status == PlausibilityStatus::Violated) {
        for field in finding.kpi.iter().flat_map(|fields| fields.split(", ")) {
            if let Some(kpi) = kpis.iter_mut().find(|k| k.field == field)
                && !matches!(
                    kpi.value,
                    Value::Absent { .. } | Value::NotApplicable { .. } | Value::Implausible { .. }
                )
            {
                kpi.value = Value::Implausible {
                    figures: format!("{} ({}: {})", kpi.value, finding.rule, finding.figures),
                };
            }
        }
    }
}

/// Every scrape of a phase in order, the last one included.
fn scrapes(phase: &PhaseEvidence) -> Vec<(f64, &Scrape)> {
    let last = phase.final_scrape.get().map(|f| (f.t, &f.scrape));
    let mut all: Vec<(f64, &Scrape)> =
        phase.samples.iter().filter_map(|s| Some((s.t, s.scrape.get()?))).chain(last).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}
