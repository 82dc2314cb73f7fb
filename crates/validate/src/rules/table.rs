//! `assay rules test FILE`: the tests of a TOML file. A test gives a profile, series of samples in promtool's notation, what
//! happens to the process, and the states that the rules must be in at given times.

use super::notation;
use crate::profile::{self, ProfileError, Span};
use gate::evidence::{CrashBlock, Found, LogCounters, OsSample, RuleState, Sample, Scrape, Settings};
use gate::scrape::parse_series;
use gate::{ProcessEvent, RuleEngine};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

/// Why a file of tests could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}; name a file of rule tests, such as those of profiles/rules")]
    Read {
        /// The path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It, or a profile that it names, is wrong.
    #[error(transparent)]
    Wrong(#[from] ProfileError),
}

/// An expectation that did not come true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The test.
    pub test: String,
    /// Line of the expectation, from 1.
    pub line: usize,
    /// What was expected and what came.
    pub what: String,
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// Names of the tests.
    pub tests: Vec<String>,
    /// What the expectations name: profile, rule, state.
    pub covered: BTreeSet<(String, String, String)>,
    /// Expectations looked at.
    pub expectations: usize,
    /// Those that failed.
    pub failed: Vec<Failed>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOf {
    profile: Spanned<String>,
    #[serde(default)]
    test: Vec<Test>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    /// Profile of this test, instead of the file's.
    profile: Option<Spanned<String>>,
    /// Between two samples; the first is one interval after the start.
    interval: Span,
    /// Planned length of the phase; the profile's main run when absent.
    duration: Option<Span>,
    #[serde(default)]
    series: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    event: Vec<Happening>,
    expect: Vec<Spanned<Expectation>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Happening {
    at: Span,
    what: What,
    code: Option<i32>,
    signal: Option<i32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Exit,
    Crash,
    WorkerDied,
    Stop,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    at: Span,
    rule: Option<String>,
    state: Option<RuleState>,
    /// Part of the rule's text.
    says: Option<String>,
    /// Cause of the first abort so far; `none` for none.
    abort: Option<String>,
}

/// Runs the tests of a file.
///
/// # Errors
/// [`RulesError`].
pub fn test_file(path: &Path) -> Result<Tested, RulesError> {
    let name = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|source| RulesError::Read { path: name.clone(), source })?;
    test_text(&name, &text)
}

/// Runs the tests of a text; `file` is its name in messages, and where relative profiles start from.
///
/// # Errors
/// [`RulesError::Wrong`] with file, line and column.
pub fn test_text(file: &str, text: &str) -> Result<Tested, RulesError> {
    let source = Source { file, text };
    let parsed: FileOf = toml::from_str(text).map_err(|e| {
        let help = "see profiles/rules for files of rule tests".to_owned();
        source.wrong(e.span().unwrap_or(0..0), e.message().to_owned(), help)
    })?;
    if parsed.test.is_empty() {
        return Err(source.wrong(0..0, "there is no [[test]] in it".to_owned(), "add one".to_owned()).into());
    }
    let mut tested =
        Tested { tests: Vec::new(), covered: BTreeSet::new(), expectations: 0, failed: Vec::new() };
    for test in &parsed.test {
        let named = test.profile.as_ref().unwrap_or(&parsed.profile);
        run(&source, test, named, &mut tested)?;
    }
    Ok(tested)
}

struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn wrong(&self, span: Range<usize>, what: String, help: String) -> ProfileError {
        ProfileError::at(self.file, self.text, span, what, "here", Some(help))
    }

    fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1
    }
}

fn load(source: &Source<'_>, named: &Spanned<String>) -> Result<profile::Loaded, ProfileError> {
    let name = named.get_ref();
    if profile::source_of(name).is_some() {
        return profile::load(name);
    }
    let path = Path::new(source.file).parent().unwrap_or(Path::new("")).join(name);
    if !path.is_file() {
        let help = format!("built in are {}", profile::builtin_names().join(", "));
        let what = format!("there is no profile {name:?}, neither built in nor beside this file");
        return Err(source.wrong(named.span(), what, help));
    }
    profile::load(&path.to_string_lossy())
}

/// Everything that happens, in order of time; at one instant samples come first.
enum Step<'a> {
    Sample(Box<Sample>),
    Tick,
    Event(&'a Happening),
    Expect(&'a Spanned<Expectation>),
}

fn run(
    source: &Source<'_>,
    test: &Test,
    named: &Spanned<String>,
    tested: &mut Tested,
) -> Result<(), ProfileError> {
    let loaded = load(source, named)?;
    let settings = profile::settings(&loaded);
    let planned = test.duration.map_or(settings.main_s, Span::secs);
    let mut engine = RuleEngine::new(&settings, planned);
    let mut steps: Vec<(f64, u8, Step<'_>)> = Vec::new();
    for (t, sample) in samples(source, test)? {
        let step = sample.map_or(Step::Tick, |sample| Step::Sample(Box::new(sample)));
        steps.push((t, 0, step));
    }
    steps.extend(test.event.iter().map(|event| (event.at.secs(), 1, Step::Event(event))));
    steps.extend(test.expect.iter().map(|e| (e.get_ref().at.secs(), 2, Step::Expect(e))));
    steps.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut sampled = f64::NEG_INFINITY;
    for (t, _, step) in steps {
        match step {
            Step::Sample(sample) => {
                sampled = t;
                engine.on_sample(&sample);
            }
            Step::Tick => {
                engine.on_tick(t);
            }
            Step::Event(event) => {
                engine.on_process(t, &happened(t, event));
            }
            Step::Expect(expected) => {
                if t > sampled {
                    engine.on_tick(t);
                }
                check(source, test, expected, &engine, &settings, tested)?;
            }
        }
    }
    tested.tests.push(test.name.clone());
    Ok(())
}

fn happened(t: f64, event: &Happening) -> ProcessEvent {
    let block = |kind: &str| CrashBlock {
        at_s: t,
        language: "rust".to_owned(),
        kind: kind.to_owned(),
        text: "thread 'main' panicked".to_owned(),
        before: Vec::new(),
    };
    match event.what {
        What::Exit => ProcessEvent::Exited { code: event.code, signal: event.signal, after_stop: false },
        What::Crash => ProcessEvent::Crash(block("crash")),
        What::WorkerDied => ProcessEvent::WorkerDied(block("worker_died")),
        What::Stop => ProcessEvent::StopSent,
    }
}

fn check(
    source: &Source<'_>,
    test: &Test,
    expected: &Spanned<Expectation>,
    engine: &RuleEngine,
    settings: &Settings,
    tested: &mut Tested,
) -> Result<(), ProfileError> {
    let (at, span) = (expected.get_ref(), expected.span());
    let line = source.line(span.start);
    let mut fail = |what: String| {
        tested.failed.push(Failed { test: test.name.clone(), line, what: format!("at {}: {what}", at.at) });
    };
    if let Some(rule) = &at.rule {
        let states = engine.states();
        let Some(found) = states.iter().find(|status| status.rule.as_str() == rule) else {
            let known: Vec<&str> = states.iter().map(|status| status.rule.as_str()).collect();
            let what = format!("profile {} has no rule {rule:?}", settings.profile);
            return Err(source.wrong(span, what, format!("it has {}", known.join(", "))));
        };
        if let Some(state) = at.state.filter(|state| *state != found.state) {
            fail(format!("{rule} is {:?}, expected {state:?} ({})", found.state, found.text));
        }
        if let Some(says) = at.says.as_ref().filter(|says| !found.text.contains(says.as_str())) {
            fail(format!("{rule} says {:?}, expected {says:?} in it", found.text));
        }
        if let Some(state) = at.state {
            let state = format!("{state:?}").to_lowercase();
            tested.covered.insert((settings.profile.clone(), rule.clone(), state));
        }
    } else if at.state.is_some() || at.says.is_some() || at.abort.is_none() {
        let help = "write rule = \"A4\" and state = \"fired\", or abort = \"A4\"".to_owned();
        return Err(source.wrong(span, "the expectation names no rule".to_owned(), help));
    }
    if let Some(abort) = &at.abort {
        let first = engine.first_abort().map_or("none", |abort| abort.cause.as_str());
        if first != abort {
            fail(format!("the first abort is {first}, expected {abort}"));
        }
    }
    tested.expectations += 1;
    Ok(())
}

/// The samples at their times; `None` where the poll itself is missing.
fn samples(source: &Source<'_>, test: &Test) -> Result<Vec<(f64, Option<Sample>)>, ProfileError> {
    let mut columns = Vec::new();
    for (name, text) in &test.series {
        let kind = Column::of(name).map_err(|(what, help)| source.wrong(text.span(), what, help))?;
        let values = notation::values(text.get_ref()).map_err(|wrong| {
            // The text begins behind its opening quote.
            let start = text.span().start + 1;
            let span = start + wrong.span.start..start + wrong.span.end;
            source.wrong(span, format!("{name}: {}", wrong.what), "this is promtool's notation".to_owned())
        })?;
        columns.push((kind, values));
    }
    let length = columns.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let interval = test.interval.secs();
    Ok((0..length)
        .map(|i| {
            let t = (i + 1) as f64 * interval;
            let row = columns.iter().map(|(kind, values)| (kind, values.get(i).copied().flatten()));
            (t, sample(t, row))
        })
        .collect())
}

/// What a series feeds.
enum Column {
    /// The poll itself: a missing value is a poll that was not made.
    Poll,
    /// Whether the scrape succeeded: 1, else it failed.
    Scrape,
    Metric(String),
    Os(OsColumn),
    Log(fn(&mut LogCounters, u64)),
    KpiRewrites,
    Kpi(String),
}

#[derive(Clone, Copy)]
enum OsColumn {
    CpuSeconds,
    PssBytes,
    OpenFiles,
    Threads,
}

/// Names of the series that are no metrics.
const OTHERS: &str = "beside metrics there are poll, scrape, kpi_rewrites, kpi.<field>, os.cpu_seconds, os.pss_bytes, \
                      os.open_files, os.threads, log.errors, log.warnings, log.criticals, log.error_slots";

impl Column {
    fn of(name: &str) -> Result<Self, (String, String)> {
        let other = match name {
            "poll" => Some(Self::Poll),
            "scrape" => Some(Self::Scrape),
            "kpi_rewrites" => Some(Self::KpiRewrites),
            "os.cpu_seconds" => Some(Self::Os(OsColumn::CpuSeconds)),
            "os.pss_bytes" => Some(Self::Os(OsColumn::PssBytes)),
            "os.open_files" => Some(Self::Os(OsColumn::OpenFiles)),
            "os.threads" => Some(Self::Os(OsColumn::Threads)),
            "log.errors" => Some(Self::Log(|log, n| log.errors = n)),
            "log.warnings" => Some(Self::Log(|log, n| log.warnings = n)),
            "log.criticals" => Some(Self::Log(|log, n| log.criticals = n)),
            "log.error_slots" => Some(Self::Log(|log, n| log.error_slots = n)),
            _ => name.strip_prefix("kpi.").map(|field| Self::Kpi(field.to_owned())),
        };
        if let Some(other) = other {
            return Ok(other);
        }
        let (metric, mut labels) = parse_series(name);
        let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end));
        if catalogue::metric(metric).or_else(|| catalogue::metric(stem?)).is_none() {
            let what = format!("{metric:?} is no metric of the catalogue");
            return Err((what, format!("`assay catalogue` lists them; {OTHERS}")));
        }
        labels.sort();
        let inner: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
        let name =
            if inner.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", inner.join(",")) };
        Ok(Self::Metric(name))
    }
}

fn sample<'a>(t: f64, row: impl Iterator<Item = (&'a Column, Option<f64>)>) -> Option<Sample> {
    let (mut polled, mut scraped) = (true, true);
    let mut scrape = Scrape::default();
    let mut os = None;
    let mut log = LogCounters::default();
    let mut kpi_rewrites = 0;
    let mut kpi = BTreeMap::new();
    for (kind, value) in row {
        match (kind, value) {
            (Column::Poll, value) => polled = value.is_some(),
            (Column::Scrape, value) => scraped = value == Some(1.0),
            (_, None) => {}
            (Column::Metric(name), Some(value)) => {
                scrape.series.insert(name.clone(), value);
            }
            (Column::Kpi(field), Some(value)) => {
                kpi.insert(field.clone(), value);
            }
            (Column::KpiRewrites, Some(value)) => kpi_rewrites = value as u64,
            (Column::Log(set), Some(value)) => set(&mut log, value as u64),
            (Column::Os(column), Some(value)) => {
                // A figure that the test does not give is no reading: 0 bytes, no number of seconds.
                let os = os.get_or_insert(OsSample {
                    cpu_seconds: f64::NAN,
                    rss_bytes: 0,
                    peak_rss_bytes: 0,
                    pss_bytes: 0,
                    threads: 0,
                    fds: 0,
                    processes: 1,
                });
                match column {
                    OsColumn::CpuSeconds => os.cpu_seconds = value,
                    OsColumn::PssBytes => os.pss_bytes = value as u64,
                    OsColumn::OpenFiles => os.fds = value as u32,
                    OsColumn::Threads => os.threads = value as u32,
                }
            }
        }
    }
    polled.then(|| Sample {
        t,
        wall_ms: (t * 1e3) as i64,
        scrape: if scraped { Found::Yes(scrape) } else { Found::No("the test says so".to_owned()) },
        os: os.map_or_else(|| Found::No("the test gives no figure".to_owned()), Found::Yes),
        log,
        kpi_rewrites,
        kpi,
    })
}
