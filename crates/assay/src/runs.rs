//! Commands about the archive: `assay runs list`, `show`, `diff`, `prune`.

use crate::cli::{Diff, Prune, RunsCommand, RunsList, Show};
use crate::commands::print;
use crate::fail::Failure;
use catalogue::exit_codes;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use validate::archive::{self, RunView, prune};
use validate::{profile, review};

pub(crate) fn runs(command: RunsCommand) -> Result<u8, Failure> {
    match command {
        RunsCommand::List(args) => list(&args),
        RunsCommand::Show(args) => show(&args),
        RunsCommand::Diff(args) => diff(&args),
        RunsCommand::Prune(args) => prune_runs(&args),
    }
}

pub(crate) fn json_text(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| format!("{text}\n"))
        .map_err(|e| Failure::new(exit_codes::INTERNAL, format!("cannot write the result as JSON: {e}")))
}

fn list(args: &RunsList) -> Result<u8, Failure> {
    let runs = archive::list_runs(&args.logs.logs);
    if args.json {
        let all: Vec<_> = runs
            .iter()
            .map(|run| {
                json!({"run_id": run.run_id, "profile": run.profile, "started_at": run.started_at,
                       "headline": run.headline, "dir": run.dir.0})
            })
            .collect();
        print(&json_text(&all)?);
        return Ok(0);
    }
    if runs.is_empty() {
        print(&format!("no runs below {}\n", args.logs.logs.display()));
    }
    for run in runs {
        print(&format!("{}  {:<12}  {}\n", run.run_id, run.profile, run.headline));
    }
    Ok(0)
}

fn view(logs: &Path, run: &str) -> Result<RunView, Failure> {
    let dir = review::find(logs, run)?;
    Ok(archive::view(&dir).map_err(review::ReviewError::from)?)
}

fn show(args: &Show) -> Result<u8, Failure> {
    let view = view(&args.logs.logs, &args.run)?;
    print(&if args.json { json_text(&view)? } else { archive::view_text(&view) });
    Ok(0)
}

fn diff(args: &Diff) -> Result<u8, Failure> {
    let (a, b) = (view(&args.logs.logs, &args.a)?, view(&args.logs.logs, &args.b)?);
    let found = archive::differences(&a, &b);
    print(&if args.json {
        json_text(&json!({"a": a.run_id, "b": b.run_id, "differences": found}))?
    } else {
        archive::differences_text(&a, &b, &found)
    });
    Ok(0)
}

fn prune_runs(args: &Prune) -> Result<u8, Failure> {
    let keep = match (args.keep, &args.older_than) {
        (Some(n), _) => prune::Keep::Newest(n),
        (None, Some(text)) => prune::Keep::YoungerThan(age(text)?),
        (None, None) => return Err(Failure::new(exit_codes::USAGE, "say --keep N or --older-than AGE")),
    };
    let logs = &args.logs.logs;
    let runs = archive::list_runs(logs);
    let alive = |run: &archive::RunSummary| prune::is_alive(logs, run);
    let choices = prune::choose(&runs, keep, now_ms()?, &alive);
    let mut failed = 0;
    let mut told = Vec::new();
    for choice in &choices {
        let what = match &choice.stays {
            Some(why) => format!("stays: {why}"),
            None if !args.yes => "would be removed".to_owned(),
            None => match prune::remove(&choice.run) {
                Ok(()) => "removed".to_owned(),
                Err(e) => {
                    failed += 1;
                    format!("NOT removed: {e}")
                }
            },
        };
        told.push((choice, what));
    }
    if args.json {
        let all: Vec<_> = told
            .iter()
            .map(|(c, what)| json!({"run_id": c.run.run_id, "dir": c.run.dir.0, "headline": c.run.headline, "what": what}))
            .collect();
        print(&json_text(&json!({"dry_run": !args.yes, "runs": all, "kept": runs.len() - choices.len()}))?);
    } else {
        for (choice, what) in &told {
            let run = &choice.run;
            print(&format!("{}  {:<12}  {}  {what}\n", run.run_id, run.profile, run.headline));
        }
        let hint = if args.yes || choices.is_empty() { "" } else { "; nothing was removed, --yes does it" };
        print(&format!("{} of {} runs chosen{hint}\n", choices.len(), runs.len()));
    }
    Ok(if failed > 0 { exit_codes::INTERNAL } else { 0 })
}

/// `30 d`, or a duration as in a profile.
pub(crate) fn age(text: &str) -> Result<Duration, Failure> {
    let days = text.trim().strip_suffix('d').and_then(|days| days.trim().parse::<u32>().ok());
    match days {
        Some(days) => Ok(Duration::from_secs(u64::from(days) * 86_400)),
        None => text.parse::<profile::Span>().map(|span| span.0).map_err(|_| {
            let text = format!("{text:?} is no age; write a number and d, h or min, such as \"30 d\"");
            Failure::new(exit_codes::USAGE, text)
        }),
    }
}

fn now_ms() -> Result<i64, Failure> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .ok_or_else(|| Failure::new(exit_codes::INTERNAL, "the wall clock is set before 1970; set it right"))
}
