//! Prometheus rules made from the catalogue: what the panels compute is recorded, the watch rules and the alert rules become
//! alerting rules. `assay catalogue --format prometheus` prints them; deploy/prometheus holds the file.
//!
//! Prometheus sees the metrics only, and through its own windows: where a watch rule needs more (exit codes, PSS, the paper
//! capital), the expression here is the nearest that the metrics allow, and its description says so. The verdict is the gate's.

use crate::{ALERT_RULES, AlertRule, Basis, Colours, PANELS, PanelQuery, RuleId, Severity, panel, rule};
use std::fmt::Write as _;

/// The scrape job of deploy/prometheus/prometheus.yml.
pub const JOB: &str = "assay";

/// The paper capital in USD as far as metrics show it: what the opening inventory would be worth now (total PnL is against holding
/// it). It differs from the configured capital by what the market did to that inventory.
pub const CAPITAL: &str = "(arb_topn_equity_usd - arb_topn_pnl_usd)";

/// One side of a condition: an expression that has data while a runner is scraped, and what it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// PromQL without the comparison.
    pub measure: String,
    /// Operator and threshold, such as `> 0.1`.
    pub comparison: String,
}

/// One alerting rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerting {
    /// Name of the alert.
    pub name: String,
    /// Id in the catalogue: `A4`, `DRILL`.
    pub id: &'static str,
    /// `abort`, `warn`, or the severity of an alert rule.
    pub severity: &'static str,
    /// The parts, all of which must hold for the same runner.
    pub parts: Vec<Part>,
    /// How long, in seconds; 0 fires at once.
    pub for_s: u64,
    /// Title.
    pub summary: String,
    /// Condition, and how it differs from the gate's own.
    pub description: String,
    /// Section of docs/runbook.md.
    pub runbook: &'static str,
}

impl Alerting {
    /// The whole expression.
    pub fn expr(&self) -> String {
        let parts: Vec<String> =
            self.parts.iter().map(|p| format!("({}) {}", p.measure, p.comparison)).collect();
        parts.join(" and on (job, instance) ")
    }
}

/// A recording rule: name and expression.
pub fn recording() -> Vec<(String, String)> {
    let computed = PANELS.iter().flat_map(|p| p.queries.iter().map(move |query| (p, query)));
    computed
        .filter_map(|(p, query)| Some((format!("assay:{}:{}", p.id, operation(query)?), query.promql())))
        .collect()
}

/// What a computed query does to which series; nothing for a query that only reads.
fn operation(query: &PanelQuery) -> Option<String> {
    let with = |word: &str, metric: &str, by: Option<&str>| {
        let by = by.map_or_else(String::new, |label| format!("_by_{label}"));
        format!("{}_{word}{by}", metric.trim_end_matches("_total"))
    };
    match *query {
        PanelQuery::Latest { .. } | PanelQuery::SumLatest { .. } => None,
        PanelQuery::SumBy { metric, label } => Some(with("sum", metric, Some(label))),
        PanelQuery::RatePerSecond { metric, by } => Some(with("rate1m", metric, by)),
        PanelQuery::RatePerMinute { metric, by } => Some(with("per_minute1m", metric, by)),
        PanelQuery::IncreasePerHour { metric, by } => Some(with("increase1h", metric, by)),
        PanelQuery::Quantile { metric, q } => Some(format!("{metric}_q{}_5m", (q * 100.0).round())),
        PanelQuery::Ratio { num, .. } => Some(format!("{}_ratio", num.trim_end_matches("_total"))),
    }
}

/// Where red begins on a panel, as a comparison.
fn red(id: &str) -> String {
    panel(id).and_then(|p| p.thresholds).map_or_else(String::new, |c: Colours| {
        let operator = match (c.higher_is_worse, c.red_inclusive) {
            (true, false) => ">",
            (true, true) => ">=",
            (false, false) => "<",
            (false, true) => "<=",
        };
        format!("{operator} {}", c.red_at)
    })
}

fn part(measure: &str, comparison: &str) -> Part {
    Part { measure: measure.to_owned(), comparison: comparison.to_owned() }
}

/// The watch rules that Prometheus can look at, with the windows of the profile of record.
pub fn watch() -> Vec<Alerting> {
    let age = |seconds: u64| part("time() - process_start_time_seconds", &format!(">= {seconds}"));
    let sent = "sum by (job, instance) (alert_sent_total)";
    let failed = "sum by (job, instance) (alert_failed_total)";
    let fall = format!("arb_topn_drawdown_usd / {CAPITAL} * 100");
    debug_assert!(
        panel("core_current_pnl")
            .and_then(|p| p.thresholds)
            .is_some_and(|c| c.basis == Basis::PercentOfPaperCapital)
    );
    let growth = "deriv(process_resident_memory_bytes[20m]) * 3600";
    let table: Vec<(RuleId, Vec<Part>, u64, String)> = vec![
        (
            RuleId::A2,
            vec![part("sum by (job, instance) (alert_dlq_total)", &red("alerting_dlq"))],
            0,
            String::new(),
        ),
        (
            RuleId::A3,
            vec![part("min by (job, instance, notifier) (notifier_available)", &red("alerting_notifiers"))],
            0,
            "Prometheus does not know which notifiers the profile requires: any one counts here.".to_owned(),
        ),
        (
            RuleId::A4,
            vec![part(
                "histogram_quantile(0.99, sum by (job, instance, le) (rate(loop_latency_seconds_bucket[1m])))",
                &red("core_loop_latency"),
            )],
            300,
            String::new(),
        ),
        (
            RuleId::A5,
            vec![part("rate(process_cpu_seconds_total[1m]) * 100", &red("core_cpu"))],
            600,
            "Of one core, whatever the profile's cpu_cores.".to_owned(),
        ),
        (
            RuleId::A6,
            vec![
                part(&format!("{growth} / min_over_time(process_resident_memory_bytes[20m]) * 100"), "> 10"),
                part(&format!("{growth} / 1048576"), "> 8"),
                age(1_800),
            ],
            0,
            "A straight line through resident memory, where the gate lays a Theil-Sen slope through minima of PSS.".to_owned(),
        ),
        (
            RuleId::A7,
            vec![part(&fall, &red("core_current_pnl"))],
            0,
            "The capital is what the opening inventory is worth now: metrics do not show the configured one.".to_owned(),
        ),
        (
            RuleId::A8,
            vec![part("increase(arb_topn_loop_iterations_total[1m])", "<= 0"), age(60)],
            0,
            "The iteration counter stands still.".to_owned(),
        ),
        (
            RuleId::A9,
            vec![part(&format!("max_over_time(up{{job=\"{JOB}\"}}[10m]) - up{{job=\"{JOB}\"}}"), "> 0")],
            60,
            "A runner that was scraped within 10 min no longer is. Prometheus cannot tell an orderly end from a crash (A1) or a dead endpoint; \
             Assay's own watch can."
                .to_owned(),
        ),
        (
            RuleId::B1,
            vec![
                part("arb_topn_win_rate", &red("core_win_rate")),
                part("sum by (job, instance) (arb_topn_round_trips_total)", ">= 20"),
            ],
            1_800,
            String::new(),
        ),
        (
            RuleId::B2,
            vec![part("increase(arb_topn_round_trips_total[30m])", "<= 0"), age(1_800)],
            0,
            String::new(),
        ),
        (
            RuleId::B3,
            vec![part(
                "sum by (job, instance) (increase(arb_topn_guard_triggers_total[1h]))",
                &red("core_guard_triggers"),
            )],
            0,
            String::new(),
        ),
        (
            RuleId::B4,
            vec![part(&format!("{sent} / ({sent} + {failed})"), &red("alerting_success_rate"))],
            1_800,
            String::new(),
        ),
    ];
    table
        .into_iter()
        .map(|(id, parts, for_s, note)| {
            let rule = rule(id);
            let space = if note.is_empty() { "" } else { " " };
            Alerting {
                name: format!("Assay{}", id.as_str()),
                id: id.as_str(),
                severity: if id.aborts() { "abort" } else { "warn" },
                parts,
                for_s,
                summary: rule.title.to_owned(),
                description: format!("{}.{space}{note}", rule.condition),
                runbook: rule.runbook,
            }
        })
        .collect()
}

/// An alerting rule for each alert rule whose alerts a runner counts: it fires for five minutes after one was raised.
pub fn alerts() -> Vec<Alerting> {
    ALERT_RULES.iter().map(alert).collect()
}

fn alert(rule: &'static AlertRule) -> Alerting {
    let series = format!("alert_by_rule_total{{rule_id=\"{}\"}}", rule.id);
    // A series begins with its first event, of which `increase` knows nothing: what is new counts whole. No event is 0, and no
    // alerting at all is no data.
    let measure = format!(
        "sum by (job, instance) ({series} unless {series} offset 5m) or sum by (job, instance) (increase({series}[5m])) or \
         0 * sum by (job, instance) (alert_raised_total)"
    );
    Alerting {
        name: rule
            .id
            .split('-')
            .fold("AssayAlert".to_owned(), |name, word| name + &word[..1] + &word[1..].to_lowercase()),
        id: rule.id,
        severity: rule.severity.as_str(),
        parts: vec![part(&measure, "> 0")],
        for_s: 0,
        summary: format!("{} ({})", rule.id, rule.severity),
        description: format!("{}.", rule.when),
        runbook: rule.runbook,
    }
}

/// The rule file.
pub fn rules() -> String {
    let mut out = String::from(
        "# Made from Assay's catalogue by `assay catalogue --format prometheus`; a test fails when it is out of date.\n\
         # Recording rules: what the dashboards' panels compute. Watch rules: the gate's A and B rules as far as metrics show them.\n\
         # Alerts: one per alert rule of the runner, for those who route with Alertmanager beside Assay's own delivery.\ngroups:\n",
    );
    group(&mut out, "assay_panels");
    for (record, expr) in recording() {
        let _ = writeln!(out, "      - record: {record}\n        expr: {}", quoted(&expr));
    }
    group(&mut out, "assay_watch");
    watch().iter().for_each(|rule| write_alerting(&mut out, rule));
    group(&mut out, "assay_alerts");
    alerts().iter().for_each(|rule| write_alerting(&mut out, rule));
    out
}

fn group(out: &mut String, name: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  - name: {name}\n    rules:");
}

fn write_alerting(out: &mut String, rule: &Alerting) {
    let _ = writeln!(out, "      - alert: {}\n        expr: {}", rule.name, quoted(&rule.expr()));
    if rule.for_s > 0 {
        let _ = writeln!(out, "        for: {}s", rule.for_s);
    }
    let _ = writeln!(
        out,
        "        labels:\n          rule: {}\n          severity: {}\n        annotations:\n          summary: {}\n          \
         description: {}\n          runbook: {}",
        quoted(rule.id),
        rule.severity,
        quoted(&rule.summary),
        quoted(&rule.description),
        quoted(&format!("docs/runbook.md#{}", rule.runbook)),
    );
}

/// A single-quoted YAML scalar.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Names of the severities that [`Alerting::severity`] takes.
pub fn severities() -> Vec<&'static str> {
    ["abort", "warn"].into_iter().chain(Severity::ALL.iter().map(|s| s.as_str())).collect()
}
