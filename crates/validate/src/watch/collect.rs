//! Two things that a phase collects: the answers of the panels, and the error log.

use super::console::PanelsAnswer;
use super::scrape::Http;
use crate::archive::WriteError;
use crate::logwatch::LevelRules;
use catalogue::Dashboard;
use gate::evidence::{LogFacts, PanelCheck};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
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
            })
            .collect(),
        Err(why) => catalogue::PANELS
            .iter()
            .filter(|panel| panel.dashboard == dashboard)
            .map(|panel| PanelCheck {
                t,
                panel: panel.id.to_owned(),
                has_data: false,
                values: BTreeMap::new(),
                colour: None,
                run_id: None,
                process_start: None,
                anchor: None,
                problem: Some(why.clone()),
            })
            .collect(),
    }
}

/// `_error.log`: the ERROR and CRITICAL lines of the console log, then the crash blocks whole.
pub(super) fn write_error_log(
    console: &Path,
    path: &Path,
    log: &LogFacts,
    rules: &LevelRules,
) -> Result<(), WriteError> {
    use std::fmt::Write as _;
    use std::io::BufRead as _;
    let mut text = String::new();
    if let Ok(file) = std::fs::File::open(console) {
        for line in std::io::BufReader::new(file).split(b'\n').map_while(Result::ok) {
            if is_error_line(&line) || rules.is_error(&line) {
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
            }
        }
    }
    for block in &log.blocks {
        let _ = writeln!(
            text,
            "\n--- {} ({}) at {:.1} s\n{}",
            block.kind, block.language, block.at_s, block.text
        );
    }
    crate::archive::write_atomic(path, text.as_bytes())
}

fn is_error_line(line: &[u8]) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(line, word).is_some();
    has(b" ERROR") || has(b" CRITICAL") || has(b"\"ERROR\"") || has(b"\"CRITICAL\"") || has(b"\"error\"")
}
