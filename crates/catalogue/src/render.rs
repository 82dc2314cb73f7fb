//! `assay catalogue --format md|json`: the whole catalogue as one document.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    ALERT_RULES, AlertRule, CRITERIA, Criterion, EXIT_REASONS, FUNNEL_STAGES, GUARD_TYPES, KPIS, Kpi,
    METRICS, Metric, PANELS, Panel, RULES, Rule,
};

/// Version of the JSON document; raised when a field changes its meaning.
pub const FORMAT_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document {
    format_version: u32,
    kpis: &'static [Kpi],
    criteria: &'static [Criterion],
    rules: &'static [Rule],
    metrics: &'static [Metric],
    panels: Vec<PanelRow>,
    alert_rules: &'static [AlertRule],
    exit_reasons: &'static [&'static str],
    guard_types: &'static [&'static str],
    funnel_stages: &'static [&'static str],
}

#[derive(Serialize)]
struct PanelRow {
    panel: &'static Panel,
    promql: Vec<String>,
}

/// The catalogue as pretty-printed JSON, ended by a newline.
///
/// # Errors
/// Only if the serialiser fails, which static data gives it no cause to do.
pub fn json() -> Result<String, serde_json::Error> {
    let document = Document {
        format_version: FORMAT_VERSION,
        kpis: &KPIS,
        criteria: &CRITERIA,
        rules: &RULES,
        metrics: METRICS,
        panels: PANELS.iter().map(|panel| PanelRow { panel, promql: promql(panel) }).collect(),
        alert_rules: ALERT_RULES,
        exit_reasons: &EXIT_REASONS,
        guard_types: &GUARD_TYPES,
        funnel_stages: &FUNNEL_STAGES,
    };
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

fn promql(panel: &Panel) -> Vec<String> {
    panel.queries.iter().map(|q| q.promql()).collect()
}

/// The catalogue as Markdown tables.
pub fn markdown() -> String {
    let mut out = String::from("# Catalogue\n");
    table(
        &mut out,
        "KPIs",
        &["#", "field", "title", "제목", "unit", "how", "source", "cross-check", "aid"],
        KPIS.iter().map(|k| {
            vec![
                k.number.to_string(),
                code(k.field),
                k.title.into(),
                k.title_ko.into(),
                k.unit.name().into(),
                k.how.into(),
                k.source.as_str().into(),
                k.cross_check.into(),
                k.aid.unwrap_or("").into(),
            ]
        }),
    );
    table(
        &mut out,
        "Criteria",
        &["id", "title", "제목", "rule"],
        CRITERIA.iter().map(|c| vec![c.id.to_string(), c.title.into(), c.title_ko.into(), c.rule.into()]),
    );
    table(
        &mut out,
        "Watch rules",
        &["id", "priority", "title", "제목", "condition", "in this version"],
        RULES.iter().map(|r| {
            let built = if r.built { "built" } else { "not built yet, caps the decision" };
            vec![
                r.id.to_string(),
                r.priority.to_string(),
                r.title.into(),
                r.title_ko.into(),
                r.condition.into(),
                built.into(),
            ]
        }),
    );
    table(
        &mut out,
        "Metrics",
        &["name", "type", "unit", "labels", "help"],
        METRICS.iter().map(|m| {
            let common: &[&str] = if m.common_labels { &crate::COMMON_LABELS } else { &[] };
            let labels: Vec<&str> = common.iter().chain(m.labels).copied().collect();
            vec![code(m.name), m.kind.as_str().into(), m.unit.name().into(), labels.join(", "), m.help.into()]
        }),
    );
    table(
        &mut out,
        "Panels",
        &["id", "title", "제목", "unit", "green", "yellow", "red", "PromQL"],
        PANELS.iter().map(|p| {
            let [green, yellow, red] = p.thresholds.map_or([""; 3], |c| [c.green, c.yellow, c.red]);
            let queries: Vec<String> = promql(p).iter().map(|q| code(q)).collect();
            vec![
                code(p.id),
                p.title.into(),
                p.title_ko.into(),
                p.unit.name().into(),
                green.into(),
                yellow.into(),
                red.into(),
                queries.join("; "),
            ]
        }),
    );
    table(
        &mut out,
        "Alert rules",
        &["id", "severity", "when", "throttle s"],
        ALERT_RULES
            .iter()
            .map(|a| vec![a.id.into(), a.severity.to_string(), a.when.into(), a.throttle_s.to_string()]),
    );
    out
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn table(out: &mut String, heading: &str, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n## {heading}\n\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}
