//! The dashboard that C6 asks: the console, which is ours, or a Grafana with both dashboards and a data source that answers.

use super::{Context, Finding};
use crate::grafana::{Client, rows};
use crate::profile::DashboardSource;
use catalogue::{Dashboard, grafana::DATA_SOURCE};
use serde_json::json;

/// Grafana answers with both dashboards and their data source; needed only when C6 asks it.
pub(super) fn check(context: &Context<'_>) -> Finding {
    let dashboard = &context.profile.dashboard;
    if dashboard.source == DashboardSource::Console {
        return Finding::ok("C6 asks the console; Grafana is not needed");
    }
    match look(&dashboard.grafana_url) {
        Ok(version) => {
            Finding::ok(format!("Grafana {version} has both dashboards, and their data source answers"))
        }
        Err(why) => Finding::failed(
            why,
            "start it (deploy/compose.yaml) and set GRAFANA_TOKEN, or let C6 ask the console: dashboard.source = \"console\"",
        ),
    }
}

fn look(url: &str) -> Result<String, String> {
    let mut client = Client::from_env(url).map_err(|e| e.to_string())?;
    let version = client.health(0.0).map_err(|e| e.to_string())?;
    for dashboard in Dashboard::ALL {
        client.dashboard(0.0, dashboard.uid()).map_err(|e| e.to_string())?;
    }
    let probe = json!({
        "refId": "A", "datasource": { "uid": DATA_SOURCE, "type": "prometheus" }, "expr": "vector(1)", "instant": true, "range": false,
        "intervalMs": 10_000, "maxDataPoints": 1,
    });
    let results = client.query(0.0, &[probe]).map_err(|e| e.to_string())?;
    match rows(results.get("A")) {
        Ok(found) if !found.is_empty() => Ok(version),
        Ok(_) => Err(format!("the data source {DATA_SOURCE} answers a constant with nothing")),
        Err(why) => Err(format!("the data source {DATA_SOURCE} does not answer: {why}")),
    }
}
