//! `--resume RUN`: what a killed run still needs. Nothing of a killed attempt is recovered, and nothing that was found out is
//! forgotten: the verdict is the one that the run would have had, or a worse one.
//!
//! Killed in phases 1 to 3: repeated under new runner ids. Killed in phase 4: collected and judged, NO-GO "interrupted". Killed in 5
//! to 7: repeated, same verdict.

use super::{Ended, Run, ValidateError, judge_folder};
use crate::archive::{self, Metadata, PhaseRecord, RunDir, attempts, names};
use crate::profile::Loaded;
use crate::watch::phase::now_text;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Why a run cannot be resumed.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It is over.
    #[error(
        "run {run_id} has its verdict: {verdict}; `assay rejudge {run_id}` judges it again, a new main run is a new run"
    )]
    Finished {
        /// The run.
        run_id: String,
        /// What it says.
        verdict: String,
    },
    /// It is over, and its judgement cannot be read.
    #[error(
        "run {run_id} is sealed by its manifest, and its judgement cannot be read: {what}; nothing of it is written again; `assay verify \
         {run_id}` names what was changed, `assay rejudge {run_id}` judges its evidence"
    )]
    Sealed {
        /// The run.
        run_id: String,
        /// Why not.
        what: String,
    },
    /// It never was a validation.
    #[error(
        "run {run_id} watched a process and judged nothing: there is nothing to resume; `assay validate` starts a run"
    )]
    Monitor {
        /// The run.
        run_id: String,
    },
}

/// The logs root and the metadata of a run that is to be resumed, and its profile as it was.
///
/// # Errors
/// [`archive::LoadError`].
pub fn recorded(dir: &RunDir) -> Result<(Metadata, Loaded), archive::LoadError> {
    let metadata = archive::metadata(dir)?;
    let loaded = Loaded {
        profile: metadata.profile.clone(),
        base: String::new(),
        of_record: metadata.settings.of_record,
        differences: metadata.settings.custom_differences.clone(),
        hash: metadata.profile_hash.clone(),
        source: String::new(),
    };
    Ok((metadata, loaded))
}

/// What is left to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Left {
    /// Phases 1 to 3, then all others, as this attempt.
    Repeat(u32),
    /// Phases 5 to 7.
    Judge,
    /// Phases 5 to 7, after this finding of a killed smoke is put on record.
    Failed(Vec<String>),
}

/// Looks at a folder.
///
/// # Errors
/// [`ResumeError`] when nothing is left, [`archive::LoadError`] when it is none.
pub(super) fn left(dir: &RunDir, metadata: &Metadata) -> Result<Left, ValidateError> {
    let run_id = metadata.run_id.clone();
    if metadata.mode == archive::MONITOR_MODE {
        return Err(ResumeError::Monitor { run_id }.into());
    }
    // What a manifest covers is evidence: nothing of it is replaced, whatever became of the rest.
    if dir.path(names::MANIFEST).exists() {
        return Err(match crate::review::recorded(dir) {
            Ok(analysis) => ResumeError::Finished { run_id, verdict: analysis.headline() },
            Err(error) => ResumeError::Sealed { run_id, what: error.to_string() },
        }
        .into());
    }
    let records = archive::phase_records(dir);
    let settled = records.iter().any(|record| match record {
        PhaseRecord::Start(start) => attempts::base(&start.phase) == "main",
        PhaseRecord::SmokeFailed { .. } | PhaseRecord::Interrupted { .. } => true,
        _ => false,
    });
    if settled {
        return Ok(Left::Judge);
    }
    let all = attempts::split(&records);
    let attempt = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let (_, evidence) = archive::load_evidence(dir)?;
    let failed = evidence.smoke_failed.clone().or_else(|| {
        let smoke = evidence.smoke.as_ref()?;
        archive::failed_before(dir, metadata, attempt, all.last()?, smoke)
    });
    Ok(failed.map_or(Left::Repeat(attempt.saturating_add(1)), Left::Failed))
}

/// Cuts the torn last lines that the kill left, so that what is appended begins on a line of its own, and removes what was being
/// written aside. Says what was cut.
pub(super) fn tidy(dir: &RunDir) -> Vec<String> {
    let mut cut = Vec::new();
    for name in
        [names::PHASES, names::SAMPLES, names::RULES, names::PANELS, names::MONITOR, names::ORCHESTRATOR]
    {
        if let Ok(bytes) = cut_torn_line(&dir.path(name))
            && bytes > 0
        {
            cut.push(format!("{name}: {bytes} bytes of a torn last line"));
        }
    }
    for entry in std::fs::read_dir(&dir.0).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_file() && path.extension().is_some_and(|kind| kind == "tmp") {
            let _ = std::fs::remove_file(&path);
            cut.push(format!("{}: half written", entry.file_name().to_string_lossy()));
        }
    }
    cut
}

fn cut_torn_line(path: &Path) -> std::io::Result<u64> {
    let mut file = std::fs::File::options().read(true).write(true).open(path)?;
    let text = std::fs::read(path)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        file.flush()?;
        file.sync_all()?;
    }
    Ok((text.len() - whole) as u64)
}

/// Puts the beginning of another attempt on record.
///
/// # Errors
/// [`ValidateError`].
pub(super) fn begin(run: &mut Run<'_>, attempt: u32) -> Result<(), ValidateError> {
    run.say(&format!("resumed: phases 1 to 3 are repeated as attempt {attempt}"))?;
    run.record(&PhaseRecord::Resumed { attempt, at: now_text() })?;
    run.attempt = attempt;
    Ok(())
}

/// Phases 5 to 7 of a killed run.
///
/// # Errors
/// [`ValidateError`].
pub(super) fn judge(
    dir: &RunDir,
    metadata: &Metadata,
    left: &Left,
    screen: &mut crate::terminal::Screen,
) -> Result<Ended, ValidateError> {
    let mut log = dir.append(names::ORCHESTRATOR)?;
    log.line(&format!("{} resumed: phases 5 to 7 are repeated", now_text()))?;
    // The decision may have been logged before the kill. Then the same artefacts must give it again: a folder that was changed
    // meanwhile gets no better verdict by losing the first one.
    let logged = std::fs::read_to_string(dir.path(names::ORCHESTRATOR)).ok().and_then(|text| {
        let line = text.lines().rev().find_map(|line| line.split_once(super::DECIDED))?;
        Some(line.1.to_owned())
    });
    if let Some(before) = logged {
        let (_, evidence) = archive::load_evidence(dir)?;
        let now = gate::judge(&evidence).headline();
        if now != before {
            let mut file = dir.append(names::PHASES)?;
            let why =
                format!("damaged evidence: the decision was {before}, and the artefacts now give {now}");
            file.json(&PhaseRecord::Interrupted { why })?;
            file.sync()?;
        }
    }
    if let Left::Failed(reasons) = left {
        let mut file = dir.append(names::PHASES)?;
        file.json(&PhaseRecord::SmokeFailed { reasons: reasons.clone() })?;
        file.sync()?;
        screen.smoke_failed(reasons);
    }
    judge_folder(dir, &metadata.run_id, screen, &mut log, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_run_is_left_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let dir = super::super::export::tests::run(root.path());
        let metadata = archive::metadata(&dir).unwrap();
        assert_eq!(left(&dir, &metadata).unwrap(), Left::Repeat(2));
        archive::write_manifest(&dir, "r1").unwrap();
        // Its judgement was removed or damaged since: the evidence that it was made on is not touched.
        for damage in [None, Some("{")] {
            if let Some(text) = damage {
                std::fs::write(dir.path(names::ANALYSIS), text).unwrap();
            }
            let error = left(&dir, &metadata).unwrap_err();
            assert!(
                matches!(&error, ValidateError::Resume(ResumeError::Sealed { run_id, .. }) if run_id == "r1"),
                "{error}"
            );
            assert!(error.to_string().contains("assay verify r1"), "{error}");
        }
    }

    #[test]
    fn a_torn_line_is_cut_and_a_whole_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        for (before, after) in [("{}\n{}\n", "{}\n{}\n"), ("{}\n{\"a\"", "{}\n"), ("{\"a\"", ""), ("", "")] {
            std::fs::write(&path, before).unwrap();
            assert_eq!(cut_torn_line(&path).unwrap() as usize, before.len() - after.len());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }
}
