//! Grafana dashboards made from the catalogue: every panel with its queries, unit, description and thresholds, laid out on the
//! grid, with annotations of a run's start, end and abort. `assay catalogue --format grafana-core|grafana-alerting` prints them;
//! deploy/grafana holds the files. The addresses are those of [`Dashboard`]; Grafana makes the slug from the title.

use crate::{
    Basis, Colours,
    Dashboard::{self, Alerting, Core},
    PANELS, Panel, PanelQuery, Unit, metric,
    prometheus::CAPITAL,
};
use serde_json::{Value, json};

/// Uid of the data source that deploy/grafana provisions.
pub const DATA_SOURCE: &str = "assay-prometheus";
/// Tag of the annotations that Assay writes through Grafana's API (start, abort and end of a run).
pub const ANNOTATION_TAG: &str = "assay";
/// Version of Grafana's dashboard model that is written (that of Grafana 12.0).
const SCHEMA_VERSION: u32 = 41;
/// Columns of the grid.
const COLUMNS: u32 = 24;
/// A step above a threshold that belongs to the better colour: Grafana colours from the step on.
const BEYOND: f64 = 1e-9;

impl Dashboard {
    /// Title in Grafana, whose slug is [`Dashboard::slug`].
    pub const fn title(self) -> &'static str {
        match self {
            Core => "TopN Arbitrage Core",
            Alerting => "Alerting Overview",
        }
    }
}

/// A dashboard as pretty-printed JSON, ended by a newline.
///
/// # Errors
/// Only if the serialiser fails, which static data gives it no cause to do.
pub fn json(dashboard: Dashboard) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&model(dashboard)).map(|text| text + "\n")
}

/// A dashboard in Grafana's dashboard model.
pub fn model(dashboard: Dashboard) -> Value {
    let other = if dashboard == Core { Alerting } else { Core };
    json!({
        "uid": dashboard.uid(),
        "title": dashboard.title(),
        "description": "Made from Assay's catalogue; changes by hand are lost with the next version.",
        "tags": ["assay"],
        "timezone": "browser",
        "editable": false,
        "graphTooltip": 1,
        "time": { "from": "now-1h", "to": "now" },
        "refresh": "10s",
        "schemaVersion": SCHEMA_VERSION,
        "templating": { "list": [] },
        "links": [{
            "title": other.title(),
            "type": "link",
            "icon": "dashboard",
            "tooltip": other.title(),
            "url": format!("/d/{}/{}", other.uid(), other.slug()),
            "tags": [],
            "asDropdown": false,
            "targetBlank": false,
            "includeVars": false,
            "keepTime": true,
        }],
        "annotations": { "list": annotations() },
        "panels": panels(dashboard),
    })
}

/// Start and end of a run from the metrics, whoever runs it; what only Assay knows (an abort and its cause, the verdict's moment)
/// from the annotations that it writes when Grafana is its dashboard.
fn annotations() -> Value {
    let source = json!({ "type": "prometheus", "uid": DATA_SOURCE });
    let by_metrics = |name: &str, colour: &str, expr: &str, text: &str, at_value: bool| {
        json!({
            "name": name,
            "datasource": source,
            "enable": true,
            "iconColor": colour,
            "target": { "refId": "Anno", "expr": expr, "interval": "15s" },
            "expr": expr,
            "step": "15s",
            "titleFormat": name,
            "textFormat": text,
            "useValueForTime": at_value,
        })
    };
    json!([
        by_metrics(
            "Run start",
            "green",
            "(process_start_time_seconds * 1000) * on (job, instance) group_left (run_id, version) assay_run_info and on (job, instance) \
             (time() - process_start_time_seconds < 120)",
            "{{run_id}} ({{version}})",
            true,
        ),
        by_metrics(
            "Run end",
            "blue",
            "assay_run_info offset 1m unless on (run_id) assay_run_info",
            "{{run_id}}: last seen within the minute before",
            false,
        ),
        by_metrics(
            "Emergency stop",
            "red",
            "increase(arb_topn_emergency_stops_total[1m]) > 0",
            "the engine's own emergency stop",
            false,
        ),
        {
            "name": "Assay",
            "datasource": { "type": "grafana", "uid": "-- Grafana --" },
            "enable": true,
            "iconColor": "red",
            "target": { "refId": "Anno", "limit": 100, "matchAny": false, "tags": [ANNOTATION_TAG], "type": "tags" },
        },
    ])
}

fn panels(dashboard: Dashboard) -> Vec<Value> {
    let (mut x, mut y, mut row) = (0, 0, 0);
    let mut placed = Vec::new();
    for (i, panel) in PANELS.iter().filter(|p| p.dashboard == dashboard).enumerate() {
        let (w, h) = if panel.unit == Unit::Info { (COLUMNS, 6) } else { (8, 8) };
        if x + w > COLUMNS {
            (x, y, row) = (0, y + row, 0);
        }
        placed.push(panel_model(panel, i + 1, json!({ "x": x, "y": y, "w": w, "h": h })));
        (x, row) = (x + w, row.max(h));
    }
    placed
}

/// How a panel is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    TimeSeries,
    Stat,
    Table,
}

const fn kind(panel: &Panel) -> Kind {
    match (panel.unit, panel.queries) {
        (Unit::Info, _) => Kind::Table,
        (_, [PanelQuery::SumLatest { .. } | PanelQuery::Ratio { .. }]) => Kind::Stat,
        _ => Kind::TimeSeries,
    }
}

fn panel_model(panel: &Panel, id: usize, grid: Value) -> Value {
    let kind = kind(panel);
    let mut targets: Vec<Value> = panel
        .queries
        .iter()
        .enumerate()
        .map(|(i, query)| target(i, &query.promql(), &legend(query, panel), kind))
        .collect();
    let mut overrides = Vec::new();
    let mut steps = panel.thresholds.as_ref().map(steps);
    if panel.thresholds.is_some_and(|c| c.basis == Basis::PercentOfPaperCapital) {
        overrides.push(share(panel, steps.take(), &mut targets, kind));
    }
    let (name, options) = match kind {
        Kind::TimeSeries => ("timeseries", time_series_options()),
        Kind::Stat => ("stat", stat_options(steps.is_some())),
        Kind::Table => ("table", json!({ "frameIndex": 0, "showHeader": true, "cellHeight": "sm" })),
    };
    json!({
        "id": id,
        "type": name,
        "title": panel.title,
        "description": description(panel),
        "datasource": { "type": "prometheus", "uid": DATA_SOURCE },
        "gridPos": grid,
        "targets": targets,
        "options": options,
        "fieldConfig": { "defaults": defaults(panel, kind, steps), "overrides": overrides },
    })
}

/// The threshold's own figure where it is not that of the queries: drawn on the right axis, with the thresholds.
fn share(panel: &Panel, steps: Option<Value>, targets: &mut Vec<Value>, kind: Kind) -> Value {
    let coloured =
        panel.thresholds.and_then(|c| panel.queries.get(c.query)).map(PanelQuery::promql).unwrap_or_default();
    let i = targets.len();
    targets.push(target(i, &format!("{coloured} / {CAPITAL} * 100"), "share of paper capital", kind));
    json!({
        "matcher": { "id": "byFrameRefID", "options": ref_id(i) },
        "properties": [
            { "id": "unit", "value": unit(Unit::Percent) },
            { "id": "custom.axisPlacement", "value": "right" },
            { "id": "thresholds", "value": { "mode": "absolute", "steps": steps } },
            { "id": "custom.thresholdsStyle", "value": { "mode": "line+area" } },
        ],
    })
}

/// `A`, `B`, `C`: no panel has more than 26 queries.
fn ref_id(i: usize) -> String {
    char::from(b'A' + u8::try_from(i).unwrap_or(25).min(25)).to_string()
}

fn target(i: usize, expr: &str, legend: &str, kind: Kind) -> Value {
    let table = kind == Kind::Table;
    json!({
        "refId": ref_id(i),
        "datasource": { "type": "prometheus", "uid": DATA_SOURCE },
        "expr": expr,
        "legendFormat": legend,
        "editorMode": "code",
        "instant": table,
        "range": !table,
        "format": if table { "table" } else { "time_series" },
    })
}

/// What a series is called: the labels that tell it from its neighbours, or the metric.
fn legend(query: &PanelQuery, panel: &Panel) -> String {
    let named = |label: &str| format!("{{{{{label}}}}}");
    match *query {
        PanelQuery::Latest { metric: name, labels } => {
            let free = metric(name).map(|m| m.labels).unwrap_or_default().iter();
            let free = free.filter(|label| !labels.iter().any(|(fixed, _)| fixed == *label));
            let mut words: Vec<String> = free.map(|label| named(label)).collect();
            if words.is_empty() || panel.queries.len() > 1 {
                words.insert(0, name.to_owned());
            }
            words.join(" ")
        }
        PanelQuery::SumBy { label, .. } => named(label),
        PanelQuery::RatePerSecond { by: Some(label), .. }
        | PanelQuery::RatePerMinute { by: Some(label), .. }
        | PanelQuery::IncreasePerHour { by: Some(label), .. } => named(label),
        PanelQuery::RatePerSecond { metric, .. }
        | PanelQuery::RatePerMinute { metric, .. }
        | PanelQuery::IncreasePerHour { metric, .. }
        | PanelQuery::SumLatest { metric } => metric.trim_end_matches("_total").to_owned(),
        PanelQuery::Quantile { q, .. } => format!("p{}", (q * 100.0).round()),
        PanelQuery::Ratio { .. } => panel.title.to_owned(),
    }
}

/// What the metrics say of themselves, and the words of the colours.
fn description(panel: &Panel) -> String {
    let mut text: Vec<String> =
        panel.required_metrics.iter().filter_map(|name| metric(name)).map(|m| m.help.to_owned()).collect();
    if let Some(c) = panel.thresholds {
        let of = if c.basis == Basis::PercentOfPaperCapital { " (of the paper capital)" } else { "" };
        let yellow = if c.yellow.is_empty() { String::new() } else { format!("; yellow: {}", c.yellow) };
        text.push(format!("Green{of}: {}{yellow}; red: {}.", c.green, c.red));
    }
    if let Some(counter) = panel.counter_when_empty {
        text.push(format!("Empty as long as {counter} is 0."));
    }
    text.join(" ")
}

/// Colours from the catalogue as Grafana's steps: each from its value on, the first from minus infinity.
fn steps(c: &Colours) -> Value {
    let has_yellow = c.yellow_at != c.red_at;
    // A threshold belongs to the colour beyond it, or to the one before: then the step begins just behind it.
    let rising = |at: f64, inclusive: bool| if inclusive { at } else { at + BEYOND };
    let falling = |at: f64, inclusive: bool| if inclusive { at + BEYOND } else { at };
    let step = |colour: &str, value: Option<f64>| json!({ "color": colour, "value": value });
    let mut steps = Vec::new();
    if c.higher_is_worse {
        steps.push(step("green", None));
        if has_yellow {
            steps.push(step("yellow", Some(rising(c.yellow_at, c.yellow_inclusive))));
        }
        steps.push(step("red", Some(rising(c.red_at, c.red_inclusive))));
    } else {
        steps.push(step("red", None));
        if has_yellow {
            steps.push(step("yellow", Some(falling(c.red_at, c.red_inclusive))));
        }
        steps.push(step("green", Some(falling(c.yellow_at, c.yellow_inclusive))));
    }
    Value::Array(steps)
}

fn defaults(panel: &Panel, kind: Kind, steps: Option<Value>) -> Value {
    let coloured = steps.is_some();
    let steps = steps.unwrap_or_else(|| json!([{ "color": "blue", "value": null }]));
    let mut defaults = json!({
        "unit": unit(panel.unit),
        "thresholds": { "mode": "absolute", "steps": steps },
        "color": { "mode": if kind == Kind::Stat && coloured { "thresholds" } else { "palette-classic" } },
        "mappings": [],
    });
    if kind == Kind::TimeSeries {
        defaults["custom"] = json!({
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 5,
            "showPoints": "auto",
            "spanNulls": false,
            "thresholdsStyle": { "mode": if coloured { "line+area" } else { "off" } },
        });
    }
    defaults
}

fn time_series_options() -> Value {
    json!({
        "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
        "tooltip": { "mode": "multi", "sort": "desc" },
    })
}

fn stat_options(coloured: bool) -> Value {
    json!({
        "colorMode": if coloured { "background" } else { "value" },
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
        "showPercentChange": false,
        "textMode": "auto",
        "wideLayout": true,
    })
}

/// Grafana's id of a unit; it has none of its own for some, which are spelt as suffixes.
const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count | Unit::Map => "short",
        Unit::Percent => "percent",
        Unit::Usd => "currencyUSD",
        Unit::Seconds => "s",
        Unit::Milliseconds => "ms",
        Unit::Megabytes => "decmbytes",
        Unit::Bps => "suffix: bps",
        Unit::Ratio => "percentunit",
        Unit::Bytes => "bytes",
        Unit::PerSecond => "suffix:/s",
        Unit::PerMinute => "suffix:/min",
        Unit::PerHour => "suffix:/h",
        Unit::UnixSeconds => "suffix: s",
        Unit::Rate => "locale",
        Unit::Info => "none",
    }
}
