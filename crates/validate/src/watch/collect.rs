//! What a phase asks its own console: the answers of the panels.

use super::console::PanelsAnswer;
use super::scrape::Http;
use catalogue::Dashboard;
use gate::evidence::PanelCheck;
use std::net::SocketAddr;
use std::time::Duration;

/// Asks `/api/panels` over HTTP, as a person's browser would: one check per panel, with the reason when there is no answer.
pub(super) fn ask_panels(http: &Http, addr: SocketAddr, dashboard: Dashboard, t: f64) -> Vec<PanelCheck> {
    let name = format!("{dashboard:?}").to_lowercase();
    let url = format!("http://{addr}/api/panels?dashboard={name}");
    let answer = http.get(&url, Duration::from_secs(2)).and_then(|(status, _, body)| {
        if status != 200 {
            return Err(format!("{url}: HTTP status {status}: {}", String::from_utf8_lossy(&body)));
        }
        serde_json::from_slice::<PanelsAnswer>(&body).map_err(|e| format!("{url}: {e}"))
    });
    match answer {
        Ok(answer) => answer
            .panels
            .into_iter()
            .map(|panel| PanelCheck {
                t,
                panel: panel.id,
                has_data: panel.has_data,
                values: panel.values,
                colour: panel.colour,
                run_id: answer.run_id.clone(),
                process_start: answer.process_start,
                anchor: answer.anchor.clone(),
                problem: panel.problem,
                unanswered: false,
                age_s: None,
            })
            .collect(),
        Err(why) => catalogue::PANELS
            .iter()
            .filter(|panel| panel.dashboard == dashboard)
            .map(|panel| PanelCheck::without_data(t, panel.id, why.clone()))
            .collect(),
    }
}
