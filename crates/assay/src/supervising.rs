//! Commands about something that runs: `validate`, `rehearse`, `stop`, `monitor`, and the signals that end them.

use crate::cli::{Accept, Market, Mode, Monitor, Rehearse, Stop, Validate};
use crate::commands::{own_path, print, stack_again, with_stack};
use crate::fail::Failure;
use crate::judging;
use catalogue::exit_codes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use validate::pipeline::Decision;
use validate::pipeline::{self, Ended, Options};
use validate::supervise::{Interrupts, child};
use validate::terminal::Screen;
use validate::watch::monitor::{self, Watched};
use validate::{archive, preflight, profile, review};

/// The third time nobody waits for anything any more.
const AT_ONCE: u32 = 3;

/// Counts Ctrl-C and SIGTERM: once ends in order, twice kills the runner, three times ends us too. Also tells whether one of them was
/// SIGTERM.
fn interrupts() -> Result<(Interrupts, Arc<AtomicBool>), Failure> {
    let failed =
        |e: std::io::Error| Failure::new(exit_codes::INTERNAL, format!("cannot watch for signals: {e}"));
    let interrupts = Interrupts::new();
    let terminated = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (asked, term) = (interrupts.clone(), Arc::clone(&terminated));
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut int), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            let _ = ready.send(());
            loop {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = terminate.recv() => term.store(true, Ordering::SeqCst),
                }
                if asked.ask() >= AT_ONCE {
                    child::end_everything();
                    std::process::exit(i32::from(interrupted_code(&term)));
                }
            }
        });
    });
    is_ready.recv().map_err(|_| {
        Failure::new(exit_codes::INTERNAL, "cannot watch for signals: the handlers were refused")
    })?;
    Ok((interrupts, terminated))
}

fn interrupted_code(terminated: &AtomicBool) -> u8 {
    if terminated.load(Ordering::SeqCst) { exit_codes::TERMINATED } else { exit_codes::INTERRUPTED }
}

fn start(options: &Options) -> Result<Ended, Failure> {
    let (interrupts, terminated) = interrupts()?;
    let ended = pipeline::validate(options, &interrupts)?;
    let code = if ended.code == exit_codes::INTERRUPTED { interrupted_code(&terminated) } else { ended.code };
    Ok(Ended { code, ..ended })
}

pub(crate) fn rehearse(args: &Rehearse) -> Result<u8, Failure> {
    let mut loaded = profile::load("rehearsal")?;
    walk_prices(args, &mut loaded.profile)?;
    if let Some(market) = &mut loaded.profile.exchange {
        market.market = if args.market == Market::Calm { "calm" } else { "edge" }.to_owned();
        market.seed = args.seed.unwrap_or(market.seed);
        market.gaps = args.gap.iter().map(ToString::to_string).collect();
    }
    let options = Options {
        loaded,
        smoke_only: false,
        logs: args.logs.logs.clone(),
        program: own_path()?,
        rehearse: true,
        json: args.json,
        take_over: false,
        resume: None,
        rerun: judging::rehearse_again(args),
    };
    Ok(start(&options)?.code)
}

/// Lets the rehearsal's market walk real price paths. The exchange is a child of its own: what is wrong with the folder is
/// better said before anything starts. The universe is as large as the folder.
fn walk_prices(args: &Rehearse, profile: &mut profile::Profile) -> Result<(), Failure> {
    let (Some(dir), Some(market)) = (&args.prices, &mut profile.exchange) else { return Ok(()) };
    let paths = Arc::new(exchange::read_prices(dir).map_err(exchange::ExchangeError::from)?);
    let symbols = u32::try_from(paths.paths().len()).unwrap_or(u32::MAX);
    let from_ms = match &args.from {
        Some(from) => {
            Some(from.parse::<exchange::StartAt>().map_err(|why| Failure::new(exit_codes::USAGE, why))?.0)
        }
        None => None,
    };
    exchange::Prices { paths, from_ms }.check()?;
    market.prices = Some(std::path::absolute(dir).unwrap_or_else(|_| dir.clone()));
    market.from.clone_from(&args.from);
    market.symbols = symbols;
    for phase in [&mut profile.smoke, &mut profile.main] {
        phase.topn = phase.topn.min(symbols);
    }
    Ok(())
}

pub(crate) fn validate(args: &Validate) -> Result<u8, Failure> {
    let (loaded, resume, rerun) = match (&args.profile, &args.resume) {
        (_, Some(run)) => {
            let dir = review::find(&args.logs.logs, run)?;
            let (metadata, loaded) = pipeline::recorded(&dir).map_err(review::ReviewError::from)?;
            let rerun = metadata.rerun.unwrap_or_else(|| validate_again(&loaded.profile.name));
            (loaded, Some(dir), rerun)
        }
        (Some(name), None) => {
            let loaded = with_stack(profile::load(name)?, args.stack)?;
            (loaded, None, validate_again(name) + &stack_again(args.stack))
        }
        (None, None) => {
            return Err(Failure::new(exit_codes::USAGE, "name a --profile, or a run to --resume"));
        }
    };
    let ended = start(&Options {
        loaded,
        smoke_only: args.mode == Mode::SmokeOnly,
        logs: args.logs.logs.clone(),
        program: own_path()?,
        rehearse: false,
        json: args.json,
        take_over: args.take_over,
        resume,
        rerun,
    })?;
    Ok(if accepted(args.accept, ended) { 0 } else { ended.code })
}

fn validate_again(profile: &str) -> String {
    format!("assay validate --profile {}", judging::quoted(profile))
}

/// True when the decision is one of those that `--accept` names. A rehearsal is accepted by the decision that it would be; an
/// interrupted run and a failed smoke have none.
fn accepted(accept: Option<Accept>, ended: Ended) -> bool {
    let Some(decision) = ended.decision else { return false };
    match accept {
        None => false,
        Some(Accept::Go) => decision == Decision::CompleteGo,
        Some(Accept::Conditional) => matches!(decision, Decision::CompleteGo | Decision::ConditionalGo),
        Some(Accept::Concerns) => decision != Decision::NoGo,
    }
}

/// Ends the running validation of a logs root, in order: for it, that is an interruption.
pub(crate) fn stop(args: &Stop) -> Result<u8, Failure> {
    if let Some(run) = &args.run
        && let Some(seen) = match (&args.journal_dir, &args.state_url) {
            (Some(folder), _) => Some(runner::pull_kill_switch(folder, run, "assay stop")?),
            (None, Some(url)) => Some(runner::pull_kill_switch_in(url, run, "assay stop")?),
            (None, None) => None,
        }
    {
        print(&format!(
            "{run} saw its kill switch after {} ms: it closes what is open and ends\n",
            seen.as_millis()
        ));
        return Ok(0);
    }
    let logs = &args.logs.logs;
    let nothing = || {
        let text =
            format!("no run is alive below {}; `assay runs list` shows the runs there are", logs.display());
        Failure::new(exit_codes::NOT_FOUND, text)
    };
    let holder = preflight::running(logs).ok_or_else(nothing)?;
    if let Some(wanted) = &args.run
        && *wanted != holder.run_id
        && wanted != "latest"
    {
        let text = format!("run {wanted} is not alive; {} (pid {}) is", holder.run_id, holder.pid);
        return Err(Failure::new(exit_codes::NOT_FOUND, text));
    }
    let how = preflight::holder::end(&holder).ok_or_else(nothing)?;
    let said = archive::list_runs(logs)
        .into_iter()
        .find(|run| run.run_id == holder.run_id)
        .map_or_else(|| "NO-GO (no decision on record)".to_owned(), |run| run.headline);
    print(&format!("{} (pid {}) {}: {said}\n", holder.run_id, holder.pid, how.words()));
    Ok(0)
}

pub(crate) fn monitor(args: &Monitor) -> Result<u8, Failure> {
    let duration = match &args.duration {
        None => None,
        Some(text) => {
            let span: profile::Span = text.parse().map_err(|why| Failure::new(exit_codes::USAGE, why))?;
            Some(span.0)
        }
    };
    let options = monitor::Options {
        pid: args.pid,
        metrics_url: args.metrics_url.clone(),
        logs: args.log.clone(),
        kpi: args.kpi.clone(),
        loaded: profile::load(&args.profile)?,
        duration,
        root: args.logs.logs.clone(),
    };
    let (interrupts, terminated) = interrupts()?;
    let mut screen = Screen::new(args.json);
    let watched = monitor::monitor(&options, &interrupts, &mut screen)?;
    screen.phase_done();
    print(&monitored(&watched, args.json));
    Ok(match (watched.aborts.is_empty(), interrupts.asked() > 0) {
        (false, _) => exit_codes::ABORTED,
        (true, true) => interrupted_code(&terminated),
        (true, false) => 0,
    })
}

fn monitored(watched: &Watched, json: bool) -> String {
    if json {
        let aborts: Vec<_> = watched
            .aborts
            .iter()
            .map(|abort| serde_json::json!({"cause": abort.cause, "at_s": abort.at_s, "text": abort.text}))
            .collect();
        let value = serde_json::json!({
            "event": "monitored", "text": archive::MONITORED, "run_id": watched.run_id, "dir": watched.dir.0,
            "ran_s": watched.ran_s, "ended": watched.ended, "would_abort": aborts,
            "warned": watched.warned.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        return format!("{value}\n");
    }
    let mut text = format!("{}: {:.0} s, {}\n", archive::MONITORED, watched.ran_s, watched.ended);
    for (i, abort) in watched.aborts.iter().enumerate() {
        let what = if i == 0 { "would have aborted a validation" } else { "and after that" };
        text += &format!("  {what}: {}\n", validate::watch::phase::abort_text(abort));
    }
    if watched.aborts.is_empty() {
        text += "  no rule would have aborted a validation\n";
    }
    for rule in &watched.warned {
        text += &format!("  warned: {rule}\n");
    }
    text += &format!("  evidence: {}\n", watched.dir.0.display());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_decision_can_be_accepted() {
        let ended = |code, decision| Ended { code, decision };
        let would_be = ended(exit_codes::REHEARSAL_GO, Some(Decision::ConditionalGo));
        assert!(!accepted(None, would_be) && !accepted(Some(Accept::Go), would_be));
        assert!(accepted(Some(Accept::Conditional), would_be) && accepted(Some(Accept::Concerns), would_be));
        for accept in [Accept::Go, Accept::Conditional, Accept::Concerns] {
            assert!(!accepted(Some(accept), ended(exit_codes::NO_GO, Some(Decision::NoGo))));
            assert!(!accepted(Some(accept), ended(exit_codes::PREFLIGHT, None)));
            assert!(accepted(Some(accept), ended(0, Some(Decision::CompleteGo))));
        }
    }
}
