//! A finished run is judged again from its artefacts alone, and every change to them is found.

use crate::harness::{Fake, assay, copy};
use std::path::Path;

/// Puts another number into a JSON file.
pub fn edit(path: &Path, field: &str, change: impl Fn(f64) -> f64) {
    let mut json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let value = change(json[field].as_f64().unwrap_or_else(|| panic!("no {field} in {}", path.display())));
    json[field] = value.into();
    std::fs::write(path, serde_json::to_string_pretty(&json).unwrap()).unwrap();
}

#[test]
fn rejudge_and_verify_agree_until_a_byte_changes() {
    let fake = Fake::new("plain");
    fake.validate().exits(12);
    let run = fake.run();
    crate::schemas::folder_keeps_them(&run);
    crate::schemas::what_people_do_keeps_them(&run, fake.dir.path());
    let logs = fake.logs().to_string_lossy().into_owned();
    let id = run.0.file_name().unwrap().to_string_lossy().into_owned();
    for name in [id.as_str(), "latest", &run.0.to_string_lossy()] {
        assay(["rejudge", name, "--logs", &logs]).exits(0).says("REHEARSAL");
        assay(["verify", name, "--logs", &logs]).exits(0);
    }
    assay(["runs", "list", "--logs", &logs]).exits(0).says(&id).says("CONDITIONAL GO");
    assay(["report", &id, "--logs", &logs]).exits(0).says("REHEARSAL");
    let html = assay(["report", &id, "--logs", &logs, "--format", "html", "--lang", "ko"]);
    html.exits(0).says("<html");
    assert!(html.stdout.chars().any(|c| ('가'..='힣').contains(&c)), "no Korean");

    let changed = fake.dir.path().join("changed");
    copy(&run.0, &changed);
    edit(&changed.join("full_6s_kpi.json"), "net_pnl_usd", |v| v + 1.0);
    let changed = changed.to_string_lossy().into_owned();
    assay(["rejudge", &changed]).exits(22).says("net_pnl_usd");
    assay(["verify", &changed]).exits(22).says("full_6s_kpi.json");

    let touched = fake.dir.path().join("touched");
    copy(&run.0, &touched);
    let log = touched.join("full_6s_console.log");
    let text = std::fs::read_to_string(&log).unwrap().replacen("INFO", "Info", 1);
    std::fs::write(&log, text).unwrap();
    assay(["verify", &touched.to_string_lossy()]).exits(22).says("full_6s_console.log");

    let forged = fake.dir.path().join("forged");
    copy(&run.0, &forged);
    let analysis = forged.join("analysis_result.json");
    let text = std::fs::read_to_string(&analysis).unwrap();
    std::fs::write(&analysis, text.replace("conditional_go", "complete_go")).unwrap();
    assay(["rejudge", &forged.to_string_lossy()]).exits(22);
    // What was there is untouched by all this.
    assay(["verify", &id, "--logs", &logs]).exits(0);
}
