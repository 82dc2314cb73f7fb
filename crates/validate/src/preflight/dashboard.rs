//! The dashboard that C6 asks: the console, which is ours, or a Grafana with both dashboards and a data source that answers.

use super::{Context, Finding};
use crate::grafana::{Client, rows};
use crate::profile::DashboardSource;
use crate::watch::scrape::Http;
use catalogue::{Dashboard, grafana::DATA_SOURCE};
use serde_json::json;
use std::time::Duration;

/// How long our console may take to answer.
const WITHIN: Duration = Duration::from_secs(5);

/// The console answers once it has been started; Grafana answers with both dashboards and their data source.
/// What the panels say is asked during the run, not here.
pub(super) fn check(context: &Context<'_>) -> Finding {
    let dashboard = &context.profile.dashboard;
    if dashboard.source == DashboardSource::Console {
        return match context.console {
            None => Finding::skipped("our console is C6's source; it starts with the run"),
            Some(address) => reach(&format!("http://{address}/api/status"), "our console"),
        };
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

/// Asks an address for any whole answer of success.
fn reach(url: &str, who: &str) -> Finding {
    // A runtime of its own on a thread of its own: the caller may be inside another one.
    let ask = || Http::new().map_err(|e| e.to_string()).and_then(|http| http.get(url, WITHIN));
    match std::thread::scope(|scope| scope.spawn(ask).join()) {
        Ok(Ok((200..=299, _, _))) => Finding::ok(format!("{who} answers at {url}")),
        Ok(Ok((status, _, _))) => {
            Finding::failed(format!("{who} answers {url} with HTTP status {status}"), "look at its log")
        }
        Ok(Err(why)) => Finding::failed(why, "see whether a proxy or a firewall stands before loopback"),
        Err(_) => Finding::failed("the check of the dashboard broke down", "report this as a defect"),
    }
}
