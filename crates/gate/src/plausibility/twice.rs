//! Measured twice, and added up twice: the supervisor against the runner, the journal against the KPI file.

use super::{Said, Sight, TRADING, scrapes};
use crate::accounting::{Accounts, ProblemKind};
use crate::evidence::Found;
use crate::kpis::file_value;
use crate::scrape::sum;
use crate::value::{CrossCheck, KpiResult, Value, counted, figure};

fn disagreeing(sight: &Sight<'_>, numbers: impl Fn(u8) -> bool) -> Option<Said> {
    let bad: Vec<&KpiResult> = sight
        .kpis
        .iter()
        .filter(|k| numbers(k.number) && matches!(k.cross_check, CrossCheck::Disagreed { .. }))
        .collect();
    let figures: Vec<String> = bad.iter().map(|k| format!("{}: {}", k.field, k.value)).collect();
    let fields: Vec<&str> = bad.iter().map(|k| k.field.as_str()).collect();
    (!bad.is_empty()).then(|| Said::Violated(figures.join("; "), fields.join(", ")))
}

/// Duration, CPU and memory: the supervisor's reading against the runner's own. Every figure that both have is compared.
pub(super) fn measured_twice(sight: &Sight<'_>) -> Said {
    let (mut wrong, mut fields, mut looked) = (Vec::new(), Vec::new(), Vec::new());
    let both = [21, 22];
    for kpi in sight.kpis.iter().filter(|k| both.contains(&k.number)) {
        match &kpi.cross_check {
            CrossCheck::Disagreed { ours, theirs } => {
                wrong.push(format!("{}: {ours}, but {theirs}", kpi.field));
                fields.push(kpi.field.as_str());
            }
            CrossCheck::Agreed { .. } => looked.push(format!("{} agrees", kpi.field)),
            CrossCheck::NotAvailable { .. } => {}
        }
    }
    match duration(sight) {
        Some((text, true)) => {
            wrong.push(text);
            fields.push("error_rate_pct");
        }
        Some((text, false)) => looked.push(text),
        None => {}
    }
    match below_seen(sight) {
        Some((text, true)) => {
            wrong.push(text);
            fields.push("memory_usage_mb");
        }
        Some((text, false)) => looked.push(text),
        None => {}
    }
    if !wrong.is_empty() {
        Said::Violated(wrong.join("; "), fields.join(", "))
    } else if looked.is_empty() {
        Said::Off("the runner reports no figure of its own that somebody else measured".to_owned())
    } else {
        Said::Clean(looked.join("; "))
    }
}

/// The text, and whether it cannot be true.
fn duration(sight: &Sight<'_>) -> Option<(String, bool)> {
    let file = sight.phase.kpi_file.get()?;
    let end = sight.phase.end.as_ref()?;
    let Value::Measured(theirs) = file_value(file, "duration_s") else { return None };
    // Only a final file can be held against the whole run.
    if file.complete == Some(false) || (file.complete.is_none() && sight.evidence.settings.has_journal) {
        return None;
    }
    // The runner may count from its first to its last event; start and end take their time.
    let settings = &sight.evidence.settings;
    let slack = (0.2 * end.ran_s).max(2.0 + 3.0 * settings.poll_s + settings.start_grace_s);
    let text =
        format!("duration {} s by the runner, {} s by the supervisor", figure(theirs), figure(end.ran_s));
    Some((text, (theirs - end.ran_s).abs() > slack))
}

/// Where no supervisor measured: a peak of memory in the KPI file cannot lie below what the metrics showed. The other way
/// round it can: a peak may have passed between two snapshots.
fn below_seen(sight: &Sight<'_>) -> Option<(String, bool)> {
    if sight.phase.samples.iter().any(|s| s.os.get().is_some()) {
        return None;
    }
    let file = sight.phase.kpi_file.get()?;
    let said = match (file_value(file, "memory_usage_mb"), file_value(file, "peak_rss_bytes")) {
        (Value::Measured(mb), _) => mb,
        (_, Value::Measured(bytes)) => bytes / 1e6,
        _ => return None,
    };
    let seen = scrapes(sight.phase)
        .into_iter()
        .filter_map(|(_, s)| {
            let bytes = sum(s, "process_resident_memory_bytes", &[]).map(|bytes| bytes / 1e6);
            bytes.or_else(|| sum(s, "process_memory_usage_mb", &[]))
        })
        .fold(None, |most: Option<f64>, mb| Some(most.map_or(mb, |most| most.max(mb))))?;
    let text = format!("memory {} MB by the KPI file, {} MB by the metrics", figure(said), figure(seen));
    Some((text, said < 0.8 * seen))
}

pub(super) fn recomputed(sight: &Sight<'_>) -> Said {
    if let Some(said) = disagreeing(sight, |n| matches!(n, 1..=11 | 14 | 15)) {
        return said;
    }
    let Some(accounts) = sight.accounts else {
        // The rule is off where a profile declares that there is no journal, not where the journal was lost or exchanged.
        let why = match &sight.phase.journal {
            Found::No(why) => why.as_str(),
            Found::Yes(_) => "it is damaged, or of another run",
        };
        return if sight.evidence.settings.has_journal && sight.phase.end.is_some() {
            Said::Violated(format!("the journal cannot be added up: {why}"), TRADING.to_owned())
        } else {
            Said::Off(format!("there is no journal to add up: {why}"))
        };
    };
    let complete = sight.phase.kpi_file.get().is_some_and(|file| file.complete == Some(true));
    if complete && accounts.end.is_none() {
        let text = "the KPI file says complete: true, and the journal has no end record";
        return Said::Violated(text.to_owned(), TRADING.to_owned());
    }
    let kinds = [
        ProblemKind::Sequence,
        ProblemKind::Arithmetic,
        ProblemKind::Balance,
        ProblemKind::Result,
        ProblemKind::Equity,
    ];
    match problems(accounts, &kinds) {
        Some(text) => Said::Violated(text, TRADING.to_owned()),
        None => Said::Clean(format!(
            "{}, {}, {}",
            counted(accounts.entries as f64, "entry", "entries"),
            counted(accounts.closes.len() as f64, "close", "closes"),
            counted(accounts.equity_points as f64, "equity point", "equity points")
        )),
    }
}

pub(super) fn problems(accounts: &Accounts, kinds: &[ProblemKind]) -> Option<String> {
    let found: Vec<&crate::accounting::Problem> =
        accounts.problems.iter().filter(|p| kinds.contains(&p.kind)).collect();
    let text: Vec<String> = found.iter().take(3).map(|p| p.text.clone()).collect();
    let more = if found.len() > 3 { format!("; and {} more", found.len() - 3) } else { String::new() };
    (!found.is_empty()).then(|| text.join("; ") + &more)
}
