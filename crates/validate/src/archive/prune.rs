//! Removing old runs: `assay runs prune`. What is chosen is pure and shown first; a run that is alive is never chosen.

use super::{RunSummary, names};
use rustix::fs::FlockOperation;
use std::path::Path;
use std::time::Duration;

/// Which runs to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The newest so many.
    Newest(usize),
    /// Those that started less than this ago.
    YoungerThan(Duration),
}

/// A run that is to be removed, or stays although it is old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The run.
    pub run: RunSummary,
    /// Why it stays although its age would have it removed; `None` when it goes.
    pub stays: Option<String>,
}

/// Chooses among runs that are sorted oldest first. `now_ms` is the wall clock; a start that cannot be read is no age, and such a run
/// stays.
pub fn choose(
    runs: &[RunSummary],
    keep: Keep,
    now_ms: i64,
    alive: &dyn Fn(&RunSummary) -> bool,
) -> Vec<Choice> {
    let old = runs.iter().enumerate().filter(|(i, run)| match keep {
        Keep::Newest(n) => runs.len() - i > n,
        Keep::YoungerThan(age) => match started_ms(run) {
            Some(started) => i128::from(now_ms) - i128::from(started) >= age.as_millis() as i128,
            None => true,
        },
    });
    let choice = |run: &RunSummary| Choice {
        stays: if alive(run) {
            Some("it is running".to_owned())
        } else if matches!(keep, Keep::YoungerThan(_)) && started_ms(run).is_none() {
            Some(format!("its start {:?} cannot be read", run.started_at))
        } else {
            None
        },
        run: run.clone(),
    };
    old.map(|(_, run)| choice(run)).collect()
}

fn started_ms(run: &RunSummary) -> Option<i64> {
    run.started_at.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond())
}

/// True when a supervisor or a monitor works in this folder now.
pub fn is_alive(logs: &Path, run: &RunSummary) -> bool {
    let supervised = crate::preflight::running(logs).is_some_and(|holder| holder.run_id == run.run_id);
    let monitored = std::fs::File::open(run.dir.path(names::MONITOR)).is_ok_and(|file| {
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .is_err_and(|e| e == rustix::io::Errno::WOULDBLOCK)
    });
    supervised || monitored
}

/// Removes a run's folder, its verdict first: half removed it reads as NO-GO.
///
/// # Errors
/// What the system said.
pub fn remove(run: &RunSummary) -> std::io::Result<()> {
    let dir = &run.dir.0;
    if std::fs::symlink_metadata(dir)?.is_symlink() {
        return Err(std::io::Error::other("it is a symbolic link; remove it by hand"));
    }
    for name in [names::ANALYSIS, names::MANIFEST] {
        match std::fs::remove_file(dir.join(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    std::fs::remove_dir_all(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::RunDir;

    fn run(id: &str, started_at: &str) -> RunSummary {
        RunSummary {
            run_id: id.to_owned(),
            profile: "p".to_owned(),
            started_at: started_at.to_owned(),
            headline: String::new(),
            dir: RunDir("x".into()),
        }
    }

    fn ids(choices: &[Choice], stays: bool) -> Vec<&str> {
        choices.iter().filter(|c| c.stays.is_some() == stays).map(|c| c.run.run_id.as_str()).collect()
    }

    #[test]
    fn the_newest_stay_and_a_living_one_always() {
        let runs = ["a", "b", "c"].map(|id| run(id, "2026-01-01T00:00:00Z"));
        assert_eq!(ids(&choose(&runs, Keep::Newest(1), 0, &|_| false), false), ["a", "b"]);
        assert!(choose(&runs, Keep::Newest(3), 0, &|_| false).is_empty());
        let choices = choose(&runs, Keep::Newest(0), 0, &|run| run.run_id == "a");
        assert_eq!((ids(&choices, false), ids(&choices, true)), (vec!["b", "c"], vec!["a"]));
    }

    #[test]
    fn age_counts_from_the_start_and_an_unknown_one_is_none() {
        let runs =
            [run("bad", "yesterday"), run("old", "2026-01-01T00:00:00Z"), run("new", "2026-01-09T00:00:01Z")];
        let now = "2026-01-10T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let day = Duration::from_secs(86_400);
        let choices = choose(&runs, Keep::YoungerThan(day), now, &|_| false);
        assert_eq!((ids(&choices, false), ids(&choices, true)), (vec!["old"], vec!["bad"]));
    }
}
