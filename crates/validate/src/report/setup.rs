//! What the run was set up with and left behind: phases, effective configuration, machine, files.

use super::Report;
use super::facts::{redacted, redacted_command};
use super::model::{Block, Cell, Table, Tone};
use super::said::{of_profile, said};
use super::words::{Words, fill};
use crate::archive::names;
use crate::profile::{DashboardSource, Profile, Progress};
use gate::evidence::{Found, PhaseEnd, PhaseEvidence, RoundTripProof};
use gate::value::figure;
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn phases(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let phases = [(w.phase_smoke, &report.evidence.smoke), (w.phase_main, &report.evidence.main)];
    let rows = phases.map(|(title, phase)| {
        let mut row = vec![Cell::Text(title.to_owned())];
        match phase {
            None => row.extend((0..4).map(|_| Cell::Text(w.not_started.to_owned()))),
            Some(phase) => row.extend(phase_cells(phase, w)),
        }
        row
    });
    let proof = match &report.evidence.round_trip_proof {
        RoundTripProof::Market => w.proof_market.to_owned(),
        RoundTripProof::Planted => w.proof_planted.to_owned(),
        RoundTripProof::None { why } => fill(w.proof_none, &[&said(why, w)]),
    };
    let head = vec![w.col_phase, w.col_planned, w.col_ran, w.col_end, w.col_scrapes];
    vec![
        Block::Table(Table { caption: w.phases.to_owned(), head, rows: rows.into() }),
        Block::Text(format!("{}: {proof}.", w.proof)),
    ]
}

fn phase_cells(phase: &PhaseEvidence, w: &'static Words) -> [Cell; 4] {
    let missed = phase.samples.iter().filter(|s| matches!(s.scrape, Found::No(_))).count();
    let seconds = |s: f64| Cell::Number(format!("{} s", figure((s * 10.0).round() / 10.0)));
    let (ran, end) = match &phase.end {
        Some(end) => (seconds(end.ran_s), Cell::Text(ending(end, w))),
        None => (Cell::Text(w.not_stated.to_owned()), Cell::Badge(Tone::Bad, w.no_end_record.to_owned())),
    };
    let polls = phase.samples.len().to_string();
    [seconds(phase.planned_s), ran, end, Cell::Text(fill(w.of, &[&missed.to_string(), &polls]))]
}

fn ending(end: &PhaseEnd, w: &'static Words) -> String {
    let mut parts = vec![match (end.exit_code, end.signal) {
        (_, Some(signal)) => fill(w.signal, &[&signal.to_string()]),
        (Some(code), None) => fill(w.exit_code, &[&code.to_string()]),
        (None, None) => w.exit_unknown.to_owned(),
    }];
    parts.extend(end.stop_sent_s.map(|t| fill(w.stop_sent, &[&figure((t * 10.0).round() / 10.0)])));
    if end.killed_by_us {
        parts.push(w.killed.to_owned());
    }
    if !end.leftovers.is_empty() {
        parts.push(fill(w.leftovers, &[&end.leftovers.join(", ")]));
    }
    parts.extend(
        end.later_causes.iter().map(|cause| fill(w.later_cause, &[&cause.cause, &said(&cause.text, w)])),
    );
    parts.join("; ")
}

/// What the prices of the local exchange were.
fn price_rows(prices: &crate::archive::PriceSource, w: &'static Words) -> Vec<(&'static str, String)> {
    let instants = prices.instants.to_string();
    let symbols = prices.symbols.join(", ");
    vec![
        (w.set_prices, fill(w.prices_are, &[&symbols, &prices.from, &instants, &prices.until])),
        (w.set_krw_usdt, fill(w.krw_usdt_is, &[&format!("{:.2}", prices.krw_usdt_at_start)])),
        (w.set_ecb, prices.ecb_usd_krw.map_or_else(|| w.none.to_owned(), |rate| format!("{rate:.2}"))),
    ]
}

pub(super) fn configuration(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let metadata = report.metadata;
    let (p, s) = (&metadata.profile, &metadata.settings);
    let yes_no = |yes: bool| if yes { w.yes } else { w.no }.to_owned();
    let list = |items: &[String]| if items.is_empty() { w.none.to_owned() } else { items.join(", ") };
    let declared: Vec<String> =
        p.runner.not_applicable.iter().map(|(k, why)| format!("{k}: {why}")).collect();
    let endpoints: Vec<String> = metadata.endpoints.iter().map(|url| redacted("", url.clone())).collect();
    let phase = |phase: &crate::profile::Phase| {
        fill(w.duration_top, &[&phase.duration.to_string(), &phase.topn.to_string()])
    };
    let progress = match p.runner.progress {
        Progress::Metric => "arb_topn_loop_iterations_total",
        Progress::KpiFile => "kpi.json",
    };
    let mut settings: Vec<(&'static str, String)> = vec![
        (w.profile, p.name.clone()),
        (w.set_about, of_profile(&p.about, w)),
        (w.set_hash, metadata.profile_hash.clone()),
        (w.set_mode, metadata.mode.clone()),
        (w.set_of_record, yes_no(s.of_record)),
        (w.set_differences, list(&s.custom_differences.iter().map(|d| said(d, w)).collect::<Vec<_>>())),
        (w.set_source, p.data_source.as_str().to_owned()),
        (w.set_endpoints, list(&endpoints)),
        (w.set_smoke, phase(&p.smoke)),
        (w.set_main, phase(&p.main)),
        (w.set_hour, p.hour.to_string()),
        (w.set_pace, figure(p.time_scale)),
        (w.set_command, redacted_command(&p.runner.command)),
        (w.set_contract, yes_no(p.runner.own_contract)),
        (
            w.set_metrics,
            format!("{} ({})", p.runner.metrics_addr, redacted("", p.runner.metrics_url.clone())),
        ),
        (w.set_stop, format!("{}, {}", p.runner.stop_signal, p.runner.stop_grace)),
        (w.set_progress, progress.to_owned()),
        (w.set_mapping, list(&p.runner.mapping.lines())),
        (w.set_not_applicable, list(&declared)),
        (w.set_poll, format!("{}, {}", p.watch.poll, p.watch.scrape_timeout)),
        (w.set_graces, format!("{}, {}", p.watch.start_grace, p.watch.overrun_grace)),
        (w.set_handled, p.watch.handled_after.to_string()),
        (w.set_interim, p.watch.interim_every.to_string()),
        (w.set_windows, windows(report, w)),
        (
            w.set_memory,
            format!("{}, {}, {}", p.measure.memory_skip, p.measure.memory_min, p.measure.memory_window),
        ),
        (w.set_cores, figure(p.measure.cpu_cores)),
        (w.set_panels, format!("{}, {}", p.panels.core_every, p.panels.alerting_every)),
        (
            w.set_limits,
            format!("{}, {}", gigabytes(p.limits.min_free_bytes), gigabytes(p.limits.log_cap_bytes)),
        ),
        (w.set_console, p.console.addr.clone()),
        (w.set_dashboard, dashboard(p)),
        (w.set_stores, stores_used(report)),
        (w.set_notifiers, list(&p.notifiers)),
        (w.set_alerts, list(&p.alerts.names())),
    ];
    if let Some(missing) = not_built(report) {
        let missing: Vec<String> = missing.iter().map(|part| said(part, w)).collect();
        settings.push((w.set_not_built, missing.join("; ")));
    }
    settings.push((
        w.set_exchange,
        p.exchange.as_ref().map_or_else(
            || w.none.to_owned(),
            |e| match &e.prices {
                None => fill(w.exchange_is, &[&e.market, &e.symbols.to_string(), &e.seed.to_string()]),
                Some(dir) => fill(w.exchange_walks, &[&dir.display().to_string(), &e.seed.to_string()]),
            },
        ),
    ));
    if let Some(gaps) = p.exchange.as_ref().map(|e| &e.gaps).filter(|gaps| !gaps.is_empty()) {
        settings.push((w.set_gaps, list(gaps)));
    }
    if let Some(prices) = &report.metadata.prices {
        settings.extend(price_rows(prices, w));
    }
    settings.push((
        w.set_planted,
        p.planted.as_ref().map_or_else(
            || w.none.to_owned(),
            |g| {
                let (at, lasts, run) =
                    (g.gap_at.to_string(), g.gap_lasts.to_string(), g.duration.to_string());
                fill(w.planted_is, &[&figure(g.gap_bps), &at, &lasts, &run])
            },
        ),
    ));
    let rows: Vec<Vec<Cell>> = settings
        .into_iter()
        .map(|(name, value)| vec![Cell::Text(name.to_owned()), Cell::Text(value)])
        .collect();
    let own = hidden("", &toml::Value::Table(p.runner.config.clone()));
    let own = toml::to_string(&own).unwrap_or_else(|_| own.to_string());
    let mut blocks = vec![
        Block::Text(w.configuration_note.to_owned()),
        Block::Table(Table {
            caption: w.configuration.to_owned(),
            head: vec![w.col_setting, w.col_effective],
            rows,
        }),
    ];
    if !own.trim().is_empty() {
        blocks.push(Block::Verbatim { caption: w.set_runner_config.to_owned(), text: own });
    }
    blocks
}

/// Bytes as MB or GB of powers of ten.
fn gigabytes(bytes: u64) -> String {
    if bytes >= 1_000_000_000 {
        format!("{} GB", figure(bytes as f64 / 1e9))
    } else {
        format!("{} MB", figure(bytes as f64 / 1e6))
    }
}

/// What the runner's KPI file says that its version does not hold; `None` for a runner that says nothing of it.
fn not_built(report: &Report<'_>) -> Option<Vec<String>> {
    let Found::Yes(file) = &report.phase()?.kpi_file else { return None };
    let parts = file.fields.get("not_built")?.as_array()?;
    Some(parts.iter().filter_map(|part| part.as_str().map(str::to_owned)).collect())
}

fn windows(report: &Report<'_>, w: &Words) -> String {
    let rules = &report.metadata.profile.rules;
    let words: Vec<String> =
        rules.iter().map(|rule| format!("{} {}", rule.name, said(&rule.window.to_string(), w))).collect();
    words.join(", ")
}

/// The runner's own settings without secrets.
fn hidden(prefix: &str, value: &toml::Value) -> toml::Value {
    match value {
        toml::Value::Table(table) => {
            let inner = |(key, value): (&String, &toml::Value)| {
                (key.clone(), hidden(&format!("{prefix}.{key}"), value))
            };
            toml::Value::Table(table.iter().map(inner).collect())
        }
        other => {
            let text = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            let shown = redacted(prefix, text.clone());
            if shown == text { other.clone() } else { toml::Value::String(shown) }
        }
    }
}

/// The stores as preflight found them up; as the profile names them when it left no word.
fn stores_used(report: &Report<'_>) -> String {
    let found = [names::PREFLIGHT_MAIN, names::PREFLIGHT].iter().find_map(|name| {
        let text = std::fs::read(report.dir.join(name)).ok()?;
        serde_json::from_slice::<crate::preflight::Report>(&text).ok()?.stack
    });
    let stores = &report.metadata.profile.stores;
    match found {
        Some(used) => format!("{}; {}", used.alerts, used.state),
        None => format!("{}; {}", stores.alerts.said(), stores.state.said()),
    }
}

pub(super) fn environment(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let machine = &report.metadata.machine;
    let memory = machine.memory_bytes.map_or_else(
        || w.env_unread.to_owned(),
        |bytes| format!("{} GB", figure((bytes as f64 / 1e8).round() / 10.0)),
    );
    let rows = [
        (w.env_version, report.metadata.version.clone()),
        (w.env_os, machine.os.clone()),
        (w.env_cores, machine.cores.map_or_else(|| w.env_unread.to_owned(), |n| n.to_string())),
        (w.env_memory, memory),
    ]
    .map(|(what, value)| vec![Cell::Text(what.to_owned()), Cell::Text(value)])
    .into();
    vec![Block::Table(Table {
        caption: w.environment.to_owned(),
        head: vec![w.col_what, w.col_effective],
        rows,
    })]
}

/// What C6 asked.
fn dashboard(profile: &Profile) -> String {
    match profile.dashboard.source {
        DashboardSource::Console => "console".to_owned(),
        DashboardSource::Grafana => {
            format!("Grafana, {}", redacted("", profile.dashboard.grafana_url.clone()))
        }
    }
}

pub(super) fn files(report: &Report<'_>, w: &'static Words) -> Vec<Block> {
    let known = [
        (names::ANALYSIS, w.f_analysis),
        (names::REPORT_MD, w.f_report_md),
        (names::REPORT_HTML, w.f_report_html),
        (names::JUNIT, w.f_junit),
        (names::MANIFEST, w.f_manifest),
        (names::METADATA, w.f_metadata),
        (names::PHASES, w.f_phases),
        (names::SAMPLES, w.f_samples),
        (names::PANELS, w.f_panels),
        (names::GRAFANA, w.f_grafana),
        (names::RULES, w.f_rules),
        (names::MONITOR_SUMMARY, w.f_summary),
        (names::ALERTS, w.f_alerts),
        (names::ALERT_DB, w.f_alert_db),
        (names::PREFLIGHT, w.f_preflight),
        (names::PREFLIGHT_MAIN, w.f_preflight_main),
        (names::ENV_CHECKER, w.f_env),
        (names::ORCHESTRATOR, w.f_orchestrator),
        (names::MONITOR, w.f_monitor),
        (names::NOTICE, w.f_notice),
        (names::NOTICE_SPOOL, w.f_notice_spool),
    ];
    // Written together with this report or after it.
    let own = [names::ANALYSIS, names::REPORT_MD, names::REPORT_HTML, names::MANIFEST];
    let there = listing(report.dir);
    let mut rows = Vec::new();
    for (name, purpose) in known {
        let purpose = Cell::Text(purpose.to_owned());
        if there.contains(name) || own.contains(&name) {
            rows.push(vec![Cell::Files(vec![name.to_owned()]), purpose]);
        } else if ![names::NOTICE, names::NOTICE_SPOOL, names::ALERT_DB, names::JUNIT, names::GRAFANA]
            .contains(&name)
        {
            rows.push(vec![Cell::Code(name.to_owned()), Cell::Badge(Tone::Quiet, w.file_missing.to_owned())]);
        }
    }
    for name in there.iter().filter(|name| known.iter().all(|(known, _)| known != name)) {
        rows.push(vec![Cell::Files(vec![name.clone()]), Cell::Text(purpose_of(name, w).to_owned())]);
    }
    vec![
        Block::Text(w.files_note.to_owned()),
        Block::Table(Table { caption: w.files.to_owned(), head: vec![w.col_file, w.col_purpose], rows }),
    ]
}

fn purpose_of(name: &str, w: &'static Words) -> &'static str {
    let ends = [
        ("_kpi.json", w.f_kpi),
        ("_console.log", w.f_console),
        ("_error.log", w.f_error),
        ("_metrics_final.prom", w.f_prom),
        ("journal.log", w.f_journal),
        ("_kpi_config.json", w.f_kpi_config),
        ("_config.toml", w.f_config),
        ("input.rec", w.f_input),
        ("alerts.log", w.f_local_alerts),
        ("spool.log", w.f_spool),
        ("dispatcher.log", w.f_spool),
    ];
    // Later parts of a console log: `full_1h_console.7.log`.
    if name.contains("_console.") && name.ends_with(".log") {
        return w.f_console;
    }
    ends.into_iter().find(|(end, _)| name.ends_with(end)).map_or(w.f_other, |(_, purpose)| purpose)
}

/// The files of the folder and of its `journal/<phase>` folders, by name. Files being written aside are left out.
fn listing(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut visit = vec![(dir.to_owned(), String::new(), 0)];
    while let Some((path, prefix, depth)) = visit.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < 2 => {
                    visit.push((entry.path(), format!("{name}/"), depth + 1))
                }
                Ok(kind) if kind.is_file() && !name.ends_with(".tmp") => {
                    found.insert(name);
                }
                _ => {}
            }
        }
    }
    found
}
