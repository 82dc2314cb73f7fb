//! Where the evidence is from: the journal's own marks of another market, the evidence class, the identity of the last snapshot.

use super::twice::problems;
use super::{RESULTS, SCRAPED, Said, Sight};
use crate::accounting::ProblemKind;
use crate::evidence::{EvidenceClass, Origin};
use crate::kpis::file_value;
use crate::scrape::sum;
use crate::value::{counted, figure};

/// How far two statements of one process start may lie apart: both are rounded, and clocks are slewed.
const SAME_START_S: f64 = 2.0;

fn by_kind(sight: &Sight<'_>, kind: ProblemKind) -> Said {
    match sight.accounts {
        None => Said::Off("there is no journal to look into".to_owned()),
        Some(accounts) => match problems(accounts, &[kind]) {
            Some(text) => Said::Violated(text, RESULTS.to_owned()),
            None => Said::Clean(counted(accounts.entries as f64, "entry", "entries")),
        },
    }
}

pub(super) fn currency(sight: &Sight<'_>) -> Said {
    by_kind(sight, ProblemKind::Currency)
}

pub(super) fn one_venue(sight: &Sight<'_>) -> Said {
    by_kind(sight, ProblemKind::Venue)
}

pub(super) fn kinder(sight: &Sight<'_>) -> Said {
    by_kind(sight, ProblemKind::Kinder)
}

pub(super) fn class(sight: &Sight<'_>) -> Said {
    let settings = &sight.evidence.settings;
    if sight.evidence.origin == Origin::Elsewhere && sight.evidence.class == EvidenceClass::Record {
        return Said::Violated("called a record, but nobody supervised it".to_owned(), String::new());
    }
    if sight.evidence.class != EvidenceClass::Record {
        return Said::Clean("not sold as a record".to_owned());
    }
    // How long it really ran is C1's question.
    let planned = settings.main_s;
    if !settings.of_record || planned < settings.main_min_s || settings.hour_s != 3_600.0 {
        let text = format!(
            "called a record, but profile {} is {} and plans {} s with an hour of {} s",
            settings.profile,
            if settings.of_record { "of record" } else { "not of record" },
            figure(planned),
            figure(settings.hour_s)
        );
        return Said::Violated(text, String::new());
    }
    Said::Clean(format!("profile {}", settings.profile))
}

pub(super) fn identity(sight: &Sight<'_>) -> Said {
    let Some(last) = sight.phase.final_scrape.get() else {
        return Said::Off("there is no final snapshot".to_owned());
    };
    let owner = last.socket_owner.as_deref().unwrap_or("an unknown process");
    match (&last.run_id, last.socket_in_group) {
        (Some(id), _) if *id != sight.phase.runner_id => Said::Violated(
            format!("the final snapshot is of run {id}, answered by {owner}"),
            SCRAPED.to_owned(),
        ),
        (_, Some(false)) => {
            Said::Violated(format!("the socket of the final snapshot belongs to {owner}"), SCRAPED.to_owned())
        }
        (None, None) => match other_start(sight).or_else(|| too_old(sight)) {
            Some(text) => Said::Violated(text, SCRAPED.to_owned()),
            None => Said::Off("the snapshot names no run and the socket's owner is unknown".to_owned()),
        },
        (id, _) => {
            if let Some(text) = other_start(sight).or_else(|| too_old(sight)) {
                return Said::Violated(text, SCRAPED.to_owned());
            }
            // Where nobody watched the socket, a run id that the runner wrote itself is all there is.
            match id {
                Some(id) => Said::Clean(format!("run {id}")),
                None => Said::Clean(format!("run {}", sight.phase.runner_id)),
            }
        }
    }
}

/// A process that was there before the phase began is none that the supervisor started: its page was passed on by the runner.
fn too_old(sight: &Sight<'_>) -> Option<String> {
    if sight.evidence.origin != Origin::Supervised {
        return None;
    }
    let first = sight.phase.samples.first()?;
    let began = first.wall_ms as f64 / 1e3 - first.t;
    let last = sight.phase.final_scrape.get()?;
    let started = sum(&last.scrape, "process_start_time_seconds", &[])?;
    (started < began - SAME_START_S).then(|| {
        format!(
            "the final snapshot is of a process started {} s before the runner was",
            figure((began - started).round())
        )
    })
}

/// The KPI file and the snapshot each say when their process started: two instants are two processes.
fn other_start(sight: &Sight<'_>) -> Option<String> {
    let last = sight.phase.final_scrape.get()?;
    let file = sight.phase.kpi_file.get()?;
    let field = "process_start_time_seconds";
    let (scraped, said) = (sum(&last.scrape, field, &[])?, file_value(file, field).number()?);
    ((scraped - said).abs() > SAME_START_S).then(|| {
        format!(
            "the final snapshot is of a process started at {}, the KPI file's process started at {}",
            figure(scraped),
            figure(said)
        )
    })
}
