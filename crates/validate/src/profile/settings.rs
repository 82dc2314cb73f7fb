//! What judging needs of a profile, in seconds.

use super::{Loaded, Progress};
use gate::evidence::Settings;

/// Shortest main run of a profile of record (C1), seconds.
const RECORD_MAIN_S: f64 = 3_600.0;

/// The settings that are written beside the evidence and judged by.
pub fn settings(loaded: &Loaded) -> Settings {
    let p = &loaded.profile;
    let has = |name: &str| !p.runner.not_applicable.contains_key(name);
    // A rehearsal's hour is short by design, and its class says that it proves nothing about the market.
    let full_hour = loaded.of_record && loaded.base != "rehearsal";
    Settings {
        profile: p.name.clone(),
        of_record: loaded.of_record,
        custom_differences: loaded.differences.clone(),
        smoke_s: p.smoke.duration.secs(),
        main_s: p.main.duration.secs(),
        main_min_s: if full_hour { RECORD_MAIN_S } else { p.main.duration.secs() },
        hour_s: p.hour.secs(),
        poll_s: p.watch.poll.secs(),
        start_grace_s: p.watch.start_grace.secs(),
        cpu_cores: p.measure.cpu_cores,
        rules: p.rules.clone(),
        memory_skip_s: p.measure.memory_skip.secs(),
        memory_min_s: p.measure.memory_min.secs(),
        memory_window_s: p.measure.memory_window.secs(),
        notifiers: p.notifiers.clone(),
        not_applicable: p.runner.not_applicable.clone(),
        has_journal: p.runner.own_contract && has("journal"),
        has_metrics: has("metrics"),
        // A foreign runner without alerts declares that.
        has_alerts: has("alerts"),
        attestable: p.attestable.clone(),
        progress_by_kpi_file: p.runner.progress == Progress::KpiFile,
    }
}
