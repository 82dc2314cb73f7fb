//! Replays: an input log through the core at full speed. `assay replay` gives the journal and compares it; `assay run
//! --data-source replay` does the same with everything of a run around it. The journal is that of the recorded session,
//! byte for byte, its run id included.
//!
//! A log with restarts in it is looked through first: what its journal lost with a kill is left out of the replay's too. A
//! log that begins with a restart (recording was switched on then) gives the journal from there on.

use crate::args::ReplayArgs;
use crate::error::RunError;
use crate::hot::{Hot, Outcome};
use crate::live::Parts;
use crate::signals::Signals;
use engine::kpi::Kpis;
use engine::recover::Cuts;
use engine::{Core, Effect};
use journal::Entry;
use recording::Input;
use recording::file::FileError;
use recording::series::{Problem, Series};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Records between two looks at signals.
const STRIDE: u64 = 1_024;

/// What a replay did.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayReport {
    /// Inputs applied.
    pub inputs: u64,
    /// Journal records.
    pub records: u64,
    /// Wall time, seconds.
    pub seconds: f64,
    /// Where a torn tail of the log begins.
    pub torn_at: Option<u64>,
    /// Records before the first one that is there: a cap removed them.
    pub removed: u64,
    /// What is missing or damaged.
    pub problems: Vec<Problem>,
}

/// `assay replay`.
///
/// # Errors
/// [`RunError::NotFound`], [`RunError::Recording`], [`RunError::Core`], [`RunError::Differs`].
pub fn replay(args: ReplayArgs) -> Result<u8, RunError> {
    let mut kpis = Kpis::new();
    let report = replay_file(&args.input, args.journal.as_deref(), args.expect.as_deref(), |e| kpis.on(e))?;
    let rate = report.inputs as f64 / report.seconds.max(1e-9);
    println!(
        "{} inputs, {} journal records, {:.2} s, {rate:.0} inputs/s",
        report.inputs, report.records, report.seconds
    );
    if report.removed > 0 {
        println!("it begins behind record {}: older ones were removed at the cap", report.removed);
    }
    for problem in &report.problems {
        println!("{problem}");
    }
    if let Some(expected) = &args.expect {
        println!("the journal is {} byte for byte", expected.display());
    }
    if args.kpi {
        crate::kpi::print(&kpis)?;
    }
    Ok(0)
}

/// Replays a log; writes the journal to `journal` and compares it with `expect`, where given.
///
/// # Errors
/// As [`replay`].
pub fn replay_file(
    input: &Path,
    journal: Option<&Path>,
    expect: Option<&Path>,
    mut sink: impl FnMut(&Entry),
) -> Result<ReplayReport, RunError> {
    let mut reader = open(input)?;
    let mut output = Output::new(journal, expect)?;
    let started = Instant::now();
    output.cuts = cuts(input)?;
    let first = reader.next_record()?.ok_or_else(|| empty(input))?;
    if expect.is_some() && reader.removed() > 0 && matches!(first.input, Input::Session { .. }) {
        return Err(RunError::Config(format!(
            "{} begins behind record {}: a journal can be compared with a whole log only, and the cap removed the \
             beginning of this one; raise recording_cap_mb for the next run, and replay this one without --expect",
            input.display(),
            reader.removed()
        )));
    }
    if let Input::Resume { after_seq, .. } = &first.input {
        output.skip(*after_seq)?;
    }
    let mut effects = Vec::new();
    let mut core = Core::start(first.seq, first.at, &first.input, &mut effects)
        .map_err(|e| RunError::Unreadable(format!("{} cannot be replayed: {e}", input.display())))?;
    output.take(&mut effects, &mut sink)?;
    let mut inputs = 1;
    while let Some(record) = reader.next_record()? {
        core.apply(record.seq, record.at, &record.input, &mut effects);
        output.take(&mut effects, &mut sink)?;
        inputs += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    let records = output.finish()?;
    Ok(ReplayReport {
        inputs,
        records,
        seconds,
        torn_at: reader.torn_at(),
        removed: reader.removed(),
        problems: reader.problems().to_vec(),
    })
}

/// Opens a recording: a file with those that go on behind it, or a folder.
///
/// # Errors
/// [`RunError::NotFound`], [`RunError::Unreadable`], [`RunError::Recording`].
pub(crate) fn open(path: &Path) -> Result<Series, RunError> {
    Series::open(path).map_err(|error| match error {
        FileError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            RunError::NotFound(path.to_owned())
        }
        FileError::Io { source, .. } => unreadable(path, &source),
        other => other.into(),
    })
}

fn empty(path: &Path) -> RunError {
    RunError::Unreadable(format!("{} holds no record: nothing to replay", path.display()))
}

fn unreadable(path: &Path, source: &std::io::Error) -> RunError {
    RunError::Unreadable(format!("cannot read {}: {source}", path.display()))
}

/// Looks through a log for its restarts.
fn cuts(path: &Path) -> Result<Cuts, RunError> {
    let (mut reader, mut cuts) = (open(path)?, Cuts::none());
    while let Some(record) = reader.next_record()? {
        cuts.look(&record);
    }
    Ok(cuts)
}

/// Where replayed records go.
struct Output {
    journal: Option<(PathBuf, BufWriter<File>)>,
    expect: Option<(PathBuf, BufReader<File>)>,
    line: Vec<u8>,
    wanted: Vec<u8>,
    records: u64,
    /// Lines of the expected journal before the first replayed record.
    skipped: u64,
    cuts: Cuts,
}

impl Output {
    fn new(journal: Option<&Path>, expect: Option<&Path>) -> Result<Self, RunError> {
        let journal = match journal {
            Some(path) => {
                let file = File::options().write(true).create_new(true).open(path);
                Some((path.to_owned(), BufWriter::new(file.map_err(RunError::io("create", path))?)))
            }
            None => None,
        };
        let expect = match expect {
            Some(path) if !path.exists() => return Err(RunError::NotFound(path.to_owned())),
            Some(path) => {
                Some((path.to_owned(), BufReader::new(File::open(path).map_err(RunError::io("read", path))?)))
            }
            None => None,
        };
        Ok(Self {
            journal,
            expect,
            line: Vec::new(),
            wanted: Vec::new(),
            records: 0,
            skipped: 0,
            cuts: Cuts::none(),
        })
    }

    fn take(&mut self, effects: &mut Vec<Effect>, sink: &mut impl FnMut(&Entry)) -> Result<(), RunError> {
        for effect in effects.drain(..) {
            let Effect::Record(entry) = effect else { continue };
            if !self.cuts.keeps(&entry) {
                continue;
            }
            sink(&entry);
            self.records += 1;
            self.line.clear();
            journal::file::encode(&entry, &mut self.line);
            if let Some((path, file)) = &mut self.journal {
                file.write_all(&self.line).map_err(RunError::io("write", path))?;
            }
            self.compare()?;
        }
        Ok(())
    }

    /// Leaves out what the expected journal holds before the log begins.
    fn skip(&mut self, lines: u64) -> Result<(), RunError> {
        let Some((path, file)) = &mut self.expect else { return Ok(()) };
        self.skipped = lines;
        for _ in 0..lines {
            self.wanted.clear();
            file.read_until(b'\n', &mut self.wanted).map_err(RunError::io("read", path))?;
        }
        Ok(())
    }

    fn compare(&mut self) -> Result<(), RunError> {
        let Some((path, file)) = &mut self.expect else { return Ok(()) };
        self.wanted.clear();
        file.read_until(b'\n', &mut self.wanted).map_err(RunError::io("read", path))?;
        if self.wanted == self.line {
            return Ok(());
        }
        let what = if self.wanted.is_empty() {
            format!("it ends there, the replay goes on with {}", shorten(&self.line))
        } else {
            format!("expected {}, replayed {}", shorten(&self.wanted), shorten(&self.line))
        };
        Err(RunError::Differs { expected: path.clone(), line: self.skipped + self.records, what })
    }

    fn finish(mut self) -> Result<u64, RunError> {
        if let Some((path, file)) = &mut self.journal {
            file.flush().and_then(|()| file.get_ref().sync_data()).map_err(RunError::io("write", path))?;
        }
        if let Some((path, file)) = &mut self.expect {
            self.wanted.clear();
            file.read_until(b'\n', &mut self.wanted).map_err(RunError::io("read", path))?;
            if !self.wanted.is_empty() {
                let what = format!(
                    "the {} records of the replay agree, then the input log ends and the journal goes on with {} (the \
                     log of a killed or capped run is shorter than its journal)",
                    self.records,
                    shorten(&self.wanted)
                );
                return Err(RunError::Differs {
                    expected: path.clone(),
                    line: self.skipped + self.records + 1,
                    what,
                });
            }
        }
        Ok(self.records)
    }
}

fn shorten(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let short: String = text.trim_end().chars().take(300).collect();
    format!("`{short}`")
}

/// `--data-source replay`: feeds the recording at full speed.
///
/// # Errors
/// [`RunError`].
pub async fn feed(parts: Parts<'_>, signals: &mut Signals) -> Result<Outcome, RunError> {
    let Some(path) = &parts.effective.recording else {
        return Err(RunError::Config("--data-source replay needs --recording FILE".to_owned()));
    };
    let mut reader = open(path)?;
    let first = reader.next_record()?.ok_or_else(|| empty(path))?;
    if matches!(first.input, Input::Resume { after_seq: 1.., .. }) {
        return Err(RunError::Config(format!(
            "{} begins with a restart: the journal before it cannot be made from it; `assay replay` gives the rest",
            path.display()
        )));
    }
    let mut hot = Hot::replay(first, cuts(path)?, parts.writer, parts.metrics)?;
    parts.writer.alert(crate::writer::ShellAlert::drill("start"));
    let mut shown = Instant::now();
    let mut kill = parts.kill.clone();
    let mut outcome = Outcome::RecordingEnd;
    while let Some(record) = reader.next_record()? {
        let stride = record.seq % STRIDE == 0;
        hot.apply(record, Instant::now());
        // Whatever the core asks for, its answer stands in the recording.
        hot.requests.clear();
        if stride && shown.elapsed() >= Duration::from_millis(100) {
            shown = Instant::now();
            hot.show();
            if let Some(failure) = parts.writer.failure() {
                return Err(RunError::Internal(failure.to_owned()));
            }
            tokio::select! {
                biased;
                () = signals.wait() => {
                    outcome = Outcome::Signal;
                    break;
                }
                _ = crate::store::pulled(&mut kill) => {
                    outcome = Outcome::KillSwitch;
                    break;
                }
                () = tokio::task::yield_now() => {}
            }
        }
    }
    hot.show();
    for problem in reader.problems() {
        tracing::warn!("{problem}");
    }
    Ok(if hot.emergency { Outcome::Emergency } else { outcome })
}
