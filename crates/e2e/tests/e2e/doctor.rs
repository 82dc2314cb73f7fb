//! `assay doctor`: on this machine, and against the local exchange, where every assumption that can be seen there holds.

use crate::harness::{Scratch, assay, start, wait_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// States by id of a part of the answer.
fn states(answer: &Value, part: &str) -> BTreeMap<String, (String, String)> {
    let checks = answer[part].as_array().unwrap();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    checks.iter().map(|c| (text(c, "id"), (text(c, "state"), text(c, "found")))).collect()
}

#[test]
fn the_local_exchange_speaks_as_the_client_expects() {
    let dir = Scratch::new();
    let mut child = start(["exchange", "--symbols", "12"], dir.path());
    let ready = wait_for("the exchange's addresses", Duration::from_secs(20), || {
        let text = std::fs::read_to_string(dir.path().join("stdout")).ok()?;
        serde_json::from_str::<Value>(text.lines().next()?).ok()
    });
    let url = |venue: &str| format!("http://{}", ready[venue].as_str().unwrap());
    let places = format!("{},{}", url("upbit"), url("binance"));
    let logs = dir.path().join("logs").to_string_lossy().into_owned();
    let base = ["doctor", "--profile", "rehearsal", "--logs", &logs, "--json", "--live", "--listen", "4"];
    let done = assay(base.into_iter().chain(["--endpoints", &places]));
    child.kill().unwrap();
    child.wait().unwrap();
    let answer: Value = serde_json::from_str(&done.stdout).unwrap();
    let venues = states(&answer, "venues");
    assert!(venues.len() >= 36, "{venues:#?}");
    // Its pings come every 20 s, and nobody waits for them here.
    let otherwise: Vec<_> =
        venues.iter().filter(|(id, (state, _))| state != "OK" && *id != "binance_ws_ping").collect();
    assert!(otherwise.is_empty(), "{otherwise:#?}");
    assert_eq!(venues["binance_ws_ping"].0, "SKIP");
    let cost = |field: &str| answer["cost"][field].as_u64().unwrap();
    assert!(cost("binance_weight") < 300 && cost("upbit_requests") < 20 && cost("connects") < 10);
}

#[test]
fn nobody_there_is_a_failure_of_the_venues_with_a_next_step() {
    let logs = tempfile::tempdir().unwrap();
    let folder = logs.path().to_string_lossy().into_owned();
    // A port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let places = format!("http://{free},http://{free}");
    let done =
        assay(["doctor", "--profile", "rehearsal", "--logs", &folder, "--live", "--endpoints", &places]);
    assert!(done.stdout.contains("FAIL upbit_market_all"), "{}", done.stdout);
    assert!(
        done.stdout.contains("next: check network") && done.stdout.contains("see: venues.md, Upbit"),
        "{}",
        done.stdout
    );
    assay(["doctor", "--endpoints", &places]).exits(64);
    assay(["doctor", "--live", "--endpoints", "nonsense"]).exits(64).says("--endpoints");
}

#[test]
fn an_unreadable_configuration_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_string_lossy().into_owned();
    let path = dir.path().join("run.toml");
    std::fs::write(&path, "[engine]\nuniverse_change_pct = 200\n").unwrap();
    let config = path.to_string_lossy().into_owned();
    let done = assay(["doctor", "--profile", "rehearsal", "--logs", &folder, "--config", &config]);
    done.exits(30);
    assert!(done.stdout.contains("universe_change_pct"), "{}", done.stdout);
}
