//! One run, or two side by side, as a person and a program want to see them: `assay runs show`, `assay runs diff`. Only what is on
//! record; nothing is judged again.

use super::{Metadata, PhaseRecord, RunDir, RunSummary, phase_records, runs};
use crate::profile::Profile;
use gate::Analysis;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A phase of a run, by its records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseLine {
    /// `smoke`, `smoke.2`, `main`.
    pub phase: String,
    /// Wall time of its start.
    pub at: String,
    /// Planned seconds.
    pub planned_s: f64,
    /// How it ended; the reason when there is no end record.
    pub ended: String,
}

/// A run as it is on record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunView {
    /// Run id.
    pub run_id: String,
    /// Its folder.
    pub dir: String,
    /// Profile.
    pub profile: String,
    /// SHA-256 of the effective profile.
    pub profile_hash: String,
    /// `full`, `smoke-only`, `monitor`.
    pub mode: String,
    /// Start.
    pub started_at: String,
    /// Version of Assay.
    pub version: String,
    /// The verdict as it is said; without a decision it is NO-GO.
    pub headline: String,
    /// The three reasons that decided it.
    pub reasons: Vec<String>,
    /// Phases in order of their start.
    pub phases: Vec<PhaseLine>,
    /// Criterion to outcome and value.
    pub criteria: BTreeMap<String, String>,
    /// KPI field to value with its unit.
    pub kpis: BTreeMap<String, String>,
    /// What to do next.
    pub next: String,
    #[serde(skip)]
    settings: BTreeMap<String, String>,
}

/// Something that differs between two runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `run`, `decision`, `criterion`, `kpi`, `setting`.
    pub kind: &'static str,
    /// What.
    pub name: String,
    /// In the first run.
    pub a: String,
    /// In the second.
    pub b: String,
}

/// Reads a run.
///
/// # Errors
/// [`super::LoadError`] when it is no run folder.
pub fn view(dir: &RunDir) -> Result<RunView, super::LoadError> {
    let metadata = super::metadata(dir)?;
    let summary = runs::summary(dir, &metadata);
    let analysis = runs::analysis(dir).filter(|_| metadata.mode != super::MONITOR_MODE);
    let records = phase_records(dir);
    Ok(RunView {
        run_id: metadata.run_id.clone(),
        dir: dir.0.display().to_string(),
        profile: metadata.profile.name.clone(),
        profile_hash: metadata.profile_hash.clone(),
        mode: metadata.mode.clone(),
        started_at: metadata.started_at.clone(),
        version: metadata.version.clone(),
        headline: summary.headline.clone(),
        reasons: analysis.as_ref().map(|a| a.reasons.clone()).unwrap_or_default(),
        phases: phases(&records),
        criteria: analysis.iter().flat_map(criteria).collect(),
        kpis: analysis.iter().flat_map(kpis).collect(),
        next: next(&summary, &metadata, analysis.is_some()),
        settings: settings(&metadata.profile),
    })
}

fn phases(records: &[PhaseRecord]) -> Vec<PhaseLine> {
    let starts = records.iter().filter_map(|record| match record {
        PhaseRecord::Start(start) => Some(start),
        _ => None,
    });
    let ended = |wanted: &str| {
        records.iter().find_map(|record| match record {
            PhaseRecord::End { phase, end, .. } if phase == wanted => Some(end),
            _ => None,
        })
    };
    let line = |start: &super::PhaseStart| PhaseLine {
        phase: start.phase.clone(),
        at: start.at.clone(),
        planned_s: start.planned_s,
        ended: ended(&start.phase).map_or("no end record: interrupted".to_owned(), |end| {
            let how = match (end.exit_code, end.signal) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => "exit status unknown".to_owned(),
            };
            let abort = end.abort.as_ref().map(|a| format!(", {}: {}", a.cause, a.text)).unwrap_or_default();
            let cut = end.interrupted.as_ref().map(|why| format!(", interrupted: {why}")).unwrap_or_default();
            format!("after {:.1} s, {how}{abort}{cut}", end.ran_s)
        }),
    };
    starts.map(line).collect()
}

fn criteria(analysis: &Analysis) -> Vec<(String, String)> {
    let words = |c: &gate::CriterionResult| format!("{:?}: {}", c.outcome.simple(), c.value).to_lowercase();
    analysis.criteria.iter().map(|c| (c.id.to_string(), words(c))).collect()
}

fn kpis(analysis: &Analysis) -> Vec<(String, String)> {
    let words = |k: &gate::KpiResult| match &k.value {
        gate::Value::Measured(_) => format!("{} {}", k.value, k.unit.as_str()).trim_end().to_owned(),
        other => other.to_string(),
    };
    analysis.kpis.iter().map(|k| (k.field.clone(), words(k))).collect()
}

fn next(summary: &RunSummary, metadata: &Metadata, decided: bool) -> String {
    let id = &summary.run_id;
    if metadata.mode == super::MONITOR_MODE {
        format!("assay validate --profile {} judges such a runner", metadata.profile.name)
    } else if decided {
        format!("assay report {id}")
    } else {
        format!("assay validate --resume {id}")
    }
}

/// Every setting of a profile, one dotted key each.
fn settings(profile: &Profile) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    if let Ok(json) = serde_json::to_value(profile) {
        flatten("", &json, &mut flat);
    }
    flat
}

fn flatten(key: &str, value: &Json, flat: &mut BTreeMap<String, String>) {
    if let Json::Object(fields) = value {
        for (name, value) in fields {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            flatten(&key, value, flat);
        }
        return;
    }
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    flat.insert(key.to_owned(), text);
}

/// What differs between two runs, in the order of a report: decision, criteria, KPIs, settings.
pub fn differences(a: &RunView, b: &RunView) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differ = |kind, name: &str, a: &str, b: &str| {
        if a != b {
            found.push(Difference { kind, name: name.to_owned(), a: a.to_owned(), b: b.to_owned() });
        }
    };
    differ("decision", "decision", &a.headline, &b.headline);
    differ("run", "profile", &a.profile, &b.profile);
    differ("run", "mode", &a.mode, &b.mode);
    differ("run", "version", &a.version, &b.version);
    for (kind, a, b) in [
        ("criterion", &a.criteria, &b.criteria),
        ("kpi", &a.kpis, &b.kpis),
        ("setting", &a.settings, &b.settings),
    ] {
        let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for name in in_order(kind, names) {
            let of = |map: &BTreeMap<String, String>| map.get(&name).map_or("-".to_owned(), Clone::clone);
            differ(kind, &name, &of(a), &of(b));
        }
    }
    found
}

/// KPIs and criteria in the catalogue's order, settings by name.
fn in_order(kind: &str, names: std::collections::BTreeSet<&String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().cloned().collect();
    names.sort_by_key(|name| match kind {
        "kpi" => catalogue::KPIS.iter().position(|kpi| kpi.field == name),
        "criterion" => catalogue::CRITERIA.iter().position(|c| c.id.to_string() == *name),
        _ => None,
    });
    names
}

/// A run, for a terminal.
pub fn view_text(view: &RunView) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}", view.run_id, view.headline);
    let _ = writeln!(out, "  profile {}, {}, started {}", view.profile, view.mode, view.started_at);
    let _ = writeln!(out, "  folder {}", view.dir);
    for reason in &view.reasons {
        let _ = writeln!(out, "  - {reason}");
    }
    let _ = writeln!(out, "\nPhases");
    if view.phases.is_empty() {
        let _ = writeln!(out, "  none was started");
    }
    for phase in &view.phases {
        let _ =
            writeln!(out, "  {:<10} {}  of {:.0} s: {}", phase.phase, phase.at, phase.planned_s, phase.ended);
    }
    for (title, kind, map) in [("Criteria", "criterion", &view.criteria), ("KPIs", "kpi", &view.kpis)] {
        if map.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{title}");
        for name in in_order(kind, map.keys().collect()) {
            let _ = writeln!(out, "  {name:<28} {}", map.get(&name).map_or("-", String::as_str));
        }
    }
    let _ = writeln!(out, "\nnext: {}", view.next);
    out
}

/// Two runs side by side, for a terminal.
pub fn differences_text(a: &RunView, b: &RunView, found: &[Difference]) -> String {
    let mut out = format!("{:<30} {:<38} {}\n", "", a.run_id, b.run_id);
    if found.is_empty() {
        out.push_str("no difference in decision, criteria, KPIs or settings\n");
    }
    let mut kind = "";
    for difference in found {
        if difference.kind != kind {
            kind = difference.kind;
            let _ = writeln!(out, "{kind}");
        }
        let _ = writeln!(out, "  {:<28} {:<38} {}", difference.name, difference.a, difference.b);
    }
    out
}
