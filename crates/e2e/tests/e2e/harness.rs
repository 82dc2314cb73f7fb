//! Starting the binary, finding what it left on disk and in `/proc`, and taking turns on a small machine.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The binary under test.
pub const ASSAY: &str = env!("CARGO_BIN_EXE_assay-e2e");
/// The scriptable runner.
pub const FAKE: &str = env!("CARGO_BIN_EXE_fake-runner");

/// Seats in two pools, so that the long ones do not stand before the door of the short ones. A rehearsal with a real engine and
/// market takes three, a fake run one. Latencies are part of a rehearsal's verdict, so a crowded machine would change it; a fake's
/// are scripted, and it mostly waits.
const HEAVY_SEATS: u32 = 6;
/// More or fewer by `ASSAY_E2E_SEATS`, for a machine that is faster or busier than two free cores.
static LIGHT_SEATS: LazyLock<u32> =
    LazyLock::new(|| std::env::var("ASSAY_E2E_SEATS").ok().and_then(|n| n.parse().ok()).unwrap_or(10));

struct Pool {
    taken: u32,
    tickets: u64,
    served: u64,
}

static POOLS: [Mutex<Pool>; 2] = [const { Mutex::new(Pool { taken: 0, tickets: 0, served: 0 }) }; 2];
static FREED: [Condvar; 2] = [const { Condvar::new() }; 2];

/// Some seats, given back when dropped.
pub struct Seat(u32);

impl Seat {
    fn pool(weight: u32) -> (usize, u32) {
        if weight >= 3 { (1, HEAVY_SEATS) } else { (0, *LIGHT_SEATS) }
    }
}

/// Waits for seats, first come first served.
pub fn seat(weight: u32) -> Seat {
    let (pool, all) = Seat::pool(weight);
    let mut state = POOLS[pool].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let ticket = state.tickets;
    state.tickets += 1;
    while state.served != ticket || state.taken + weight > all {
        state = FREED[pool].wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
    state.taken += weight;
    state.served += 1;
    FREED[pool].notify_all();
    Seat(weight)
}

impl Drop for Seat {
    fn drop(&mut self) {
        let (pool, _) = Self::pool(self.0);
        POOLS[pool].lock().unwrap_or_else(std::sync::PoisonError::into_inner).taken -= self.0;
        FREED[pool].notify_all();
    }
}

/// For a test that computes instead of waiting: its thread, and what it starts, lets others go first. What watches a process by
/// the clock would otherwise see the machine's load as the runner's fault. On Linux niceness is a thread's.
pub fn gives_way() {
    let _ = rustix::process::nice(15);
}

/// A temporary folder that stays when the test fails, so that its evidence can be looked at.
pub struct Scratch(Option<TempDir>);

impl Scratch {
    pub fn new() -> Self {
        // Evidence is synced as it is written; dozens of runs at once would wait for the disk and not for their runners.
        let memory = Path::new("/dev/shm");
        let roomy = rustix::fs::statvfs(memory).is_ok_and(|fs| fs.f_bavail * fs.f_frsize > 4_000_000_000);
        let dir = if roomy { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self(Some(dir.unwrap()))
    }

    pub fn path(&self) -> &Path {
        self.0.as_ref().unwrap().path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(dir) = self.0.take()
            && std::thread::panicking()
        {
            eprintln!("the evidence is kept in {}", dir.keep().display());
        }
    }
}

/// What came out of a command.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Done {
    /// Asserts the exit code, showing everything when it differs.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that some word stands in the output.
    #[track_caller]
    pub fn says(&self, what: &str) -> &Self {
        let said = self.stdout.contains(what) || self.stderr.contains(what);
        assert!(said, "{what:?} is not in\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that an error is one paragraph for a person: no panic, no empty line in it, no more than a few lines.
    #[track_caller]
    pub fn is_one_paragraph(&self) -> &Self {
        let text = self.stderr.trim();
        assert!(!text.is_empty(), "nothing on standard error; stdout:\n{}", self.stdout);
        assert!(!text.contains("panicked"), "{text}");
        assert!(!text.contains("\n\n") && text.lines().count() <= 14, "more than a paragraph:\n{text}");
        self
    }
}

/// `assay` with these arguments, to its end.
pub fn assay<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Done {
    Command::new(ASSAY).args(args).stdin(Stdio::null()).output().unwrap().into()
}

/// `assay` with these arguments, in the background, output into files of `dir`.
pub fn start<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>, dir: &Path) -> Child {
    let file = |name: &str| std::fs::File::create(dir.join(name)).unwrap();
    Command::new(ASSAY)
        .args(args)
        .stdin(Stdio::null())
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .spawn()
        .unwrap()
}

/// Waits for a started one.
pub fn finish(mut child: Child, dir: &Path) -> Done {
    let status = child.wait().unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    Done { code: status.code(), stdout: read("stdout"), stderr: read("stderr") }
}

/// Looks again and again until something is there. Panics after `within`, naming what it waited for.
#[track_caller]
pub fn wait_for<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited {} s for {what}", within.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes on whose command line all of these words stand: pid and words. Zombies have no command line.
pub fn processes(wanted: &[&str]) -> Vec<(i32, Vec<String>)> {
    let own = std::process::id() as i32;
    procfs::process::all_processes()
        .unwrap()
        .flatten()
        .filter(|process| process.pid != own)
        .filter_map(|process| Some((process.pid, process.cmdline().ok()?)))
        .filter(|(_, words)| wanted.iter().all(|text| words.iter().any(|word| word.contains(text))))
        .collect()
}

/// Asserts that no process with this word on its command line is left.
#[track_caller]
pub fn nobody_left(tag: &str) {
    let left = processes(&[tag]);
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// SIGKILL.
pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// A word that no other process has on its command line.
pub fn unique(what: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static N: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}-", std::process::id(), N.fetch_add(1, Ordering::Relaxed))
}

/// A port that is free now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One HTTP request over a connection of its own: status and body.
pub fn http(method: &str, addr: SocketAddr, path: &str) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let bad = || std::io::Error::other("no HTTP answer");
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(bad)?;
    let head = String::from_utf8_lossy(&answer[..split]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(bad)?;
    let body = answer.split_off(split + 4);
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        return Ok((status, unchunk(&body)));
    }
    Ok((status, body))
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&rest[..end]).trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < end + 2 + size {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[(end + 4 + size).min(rest.len())..];
    }
    body
}

/// A run folder.
pub struct RunFolder(pub PathBuf);

impl RunFolder {
    /// The only run below a logs root.
    #[track_caller]
    pub fn only(root: &Path) -> Self {
        let runs = run_folders(root);
        assert_eq!(runs.len(), 1, "{runs:?}");
        Self(runs.into_iter().next().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    #[track_caller]
    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    /// A criterion of the analysis: `pass`, `fail` or `inconclusive`, and its whole record.
    #[track_caller]
    pub fn criterion(&self, id: &str) -> (String, Value) {
        let analysis = self.json("analysis_result.json");
        let criteria = analysis["criteria"].as_array().unwrap();
        let found = criteria
            .iter()
            .find(|c| c["id"] == id)
            .unwrap_or_else(|| panic!("no {id}: {criteria:?}"))
            .clone();
        let outcome = &found["outcome"];
        let word = outcome
            .as_str()
            .map(str::to_owned)
            .or_else(|| outcome.get("outcome").and_then(Value::as_str).map(str::to_owned))
            .or_else(|| outcome.as_object().and_then(|o| o.keys().next().cloned()))
            .unwrap();
        (word.to_lowercase(), found)
    }

    /// Asserts a criterion's outcome.
    #[track_caller]
    pub fn judged(&self, id: &str, outcome: &str) -> Value {
        let (word, record) = self.criterion(id);
        assert_eq!(word, outcome, "{record}");
        record
    }

    /// Cause of the abort of a phase, by the monitor's summary.
    #[track_caller]
    pub fn abort_cause(&self, phase: &str) -> Option<String> {
        let summary = self.json("monitor_summary.json");
        let phases = summary["phases"].as_array().unwrap();
        let found =
            phases.iter().find(|p| p["phase"] == phase).unwrap_or_else(|| panic!("no {phase}: {summary}"));
        found["abort_cause"].as_str().map(str::to_owned)
    }

    /// Asserts that nothing half-written lies about: what is written aside is renamed or removed.
    #[track_caller]
    pub fn is_tidy(&self) {
        no_leftover_files(&self.0);
    }
}

/// Folders `root/<profile>/<run_id>`.
pub fn run_folders(root: &Path) -> Vec<PathBuf> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.is_dir())
            .collect()
    };
    folders(root).iter().flat_map(|profile| folders(profile)).collect()
}

/// Asserts that no file that was written aside is left below a folder.
#[track_caller]
pub fn no_leftover_files(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            no_leftover_files(&path);
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.ends_with(".tmp") && !name.ends_with(".aside"), "half-written: {}", path.display());
    }
}

/// Copies a folder whole.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A validation of the fake runner: a temporary folder, a profile, a word on the command lines of all its processes.
pub struct Fake {
    pub dir: Scratch,
    pub tag: String,
    pub seed: u32,
    arguments: Vec<String>,
    changes: Vec<(String, String)>,
    alerts: bool,
    market: bool,
}

impl Fake {
    /// A plan with its defect, if it is one, in the main run.
    pub fn new(plan: &str) -> Self {
        let tag = unique(&format!("fake-{plan}"));
        // The local exchange has no word of ours on its command line but its seed.
        let seed = 1_000_000
            + tag.bytes().fold(std::process::id() % 4_000_000, |h, b| (h * 31 + u32::from(b)) % 100_000_007);
        let arguments = vec!["--plan".to_owned(), plan.to_owned()];
        Self { dir: Scratch::new(), tag, seed, arguments, changes: Vec::new(), alerts: true, market: true }
    }

    /// Another argument of the fake.
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// A runner without alerting, and a profile that says so.
    pub fn without_alerts(mut self) -> Self {
        self.alerts = false;
        self.set("runner.not_applicable.alerts", "'the bot has none'")
    }

    /// No local exchange, which the fake never asks, and phases as the rows want them.
    pub fn without_market(mut self) -> Self {
        self.market = false;
        self
    }

    /// Another value in the profile: `section.key`, in TOML.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.changes.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn logs(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    /// Writes the profile and gives its path.
    pub fn profile(&self) -> PathBuf {
        let words: Vec<String> = [FAKE, "run"]
            .into_iter()
            .map(str::to_owned)
            .chain(
                [
                    ("--run-duration-seconds", "{duration_s}"),
                    ("--topn-size", "{topn}"),
                    ("--data-source", "{data_source}"),
                    ("--kpi-output-path", "{kpi_path}"),
                    ("--metrics-addr", "{metrics_addr}"),
                    ("--run-id", "{runner_id}"),
                    ("--alert-db", "{phase_dir}/../../alerts.sqlite"),
                    ("--tag", &self.tag),
                ]
                .into_iter()
                .filter(|(name, _)| self.alerts || *name != "--alert-db")
                .flat_map(|(name, value)| [name.to_owned(), value.to_owned()]),
            )
            .chain(self.arguments.iter().cloned())
            .collect();
        let base = if self.market { PROFILE } else { ROW_PROFILE };
        let mut table: toml::Table = base.parse().unwrap();
        let mut set = |key: &str, value: toml::Value| {
            let mut at = &mut table;
            let mut parts: Vec<&str> = key.split('.').collect();
            let last = parts.pop().unwrap();
            for part in parts {
                at = at
                    .entry(part)
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                    .as_table_mut()
                    .unwrap();
            }
            at.insert(last.to_owned(), value);
        };
        set("runner.command", toml::Value::Array(words.into_iter().map(toml::Value::String).collect()));
        if self.market {
            set("exchange.seed", toml::Value::Integer(self.seed.into()));
        }
        for (key, value) in &self.changes {
            let parsed: toml::Table = format!("value = {value}").parse().unwrap();
            set(key, parsed["value"].clone());
        }
        let path = self.dir.path().join("fake.toml");
        std::fs::write(&path, table.to_string()).unwrap();
        path
    }

    fn arguments(&self) -> Vec<String> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        [
            "validate".to_owned(),
            "--profile".to_owned(),
            text(self.profile()),
            "--logs".to_owned(),
            text(self.logs()),
        ]
        .into()
    }

    /// Validates it to the end.
    pub fn validate(&self) -> Done {
        self.validate_with(1)
    }

    /// The same on so many seats.
    pub fn validate_with(&self, weight: u32) -> Done {
        let _seat = seat(weight);
        assay(self.arguments())
    }

    /// Processes of it that are left: itself, its exchange, and what they started.
    pub fn left(&self) -> Vec<(i32, Vec<String>)> {
        let mut left = processes(&[&self.tag]);
        if self.market {
            left.extend(processes(&[&self.seed.to_string()]));
        }
        left
    }

    /// Validates it in the background.
    pub fn start(&self) -> Child {
        start(self.arguments(), self.dir.path())
    }

    /// The run folder, when there is exactly one run.
    #[track_caller]
    pub fn run(&self) -> RunFolder {
        RunFolder::only(&self.logs())
    }

    /// Asserts that neither runner nor exchange nor anything that they started is left.
    #[track_caller]
    pub fn nobody_left(&self) {
        nobody_left(&self.tag);
        nobody_left(&self.seed.to_string());
    }
}

/// Everything as short as it can be without losing a phase, a poll or a rule.
const PROFILE: &str = r#"
extends = "rehearsal"
name = "fake"
about = "A scripted runner."
[runner]
own_contract = false
stop_grace = "2 s"
[runner.not_applicable]
journal = "the fake keeps none"
[runner.config]
recording_cap_mb = 1
[smoke]
duration = "3 s"
topn = 10
[main]
duration = "6 s"
topn = 10
[watch]
poll = "250 ms"
scrape_timeout = "120 ms"
start_grace = "2 s"
overrun_grace = "3 s"
handled_after = "1 s"
interim_every = "2 s"
[measure]
memory_skip = "1 s"
memory_min = "2 s"
memory_window = "500 ms"
[rules]
A4.for = "2 s"
A5.for = "2 s"
A6.over = "4 s"
A8.for = "2 s"
A9.for = "2 s"
B1.for = "3 s"
B2.over = "5 s"
B3.within = "5 s"
B4.for = "3 s"
[panels]
core_every = "1 s"
alerting_every = "1 s"
[limits]
min_free_bytes = 100000000
log_cap_bytes = 10000000
[exchange]
market = "calm"
symbols = 12
"#;

/// The rows' profile. The margins are those of a crowded machine: two polls may fail to come before the end and C1 still sees 90 % of
/// the books' time; an "hour" is short, so that the noise of a small process is far below 8 MiB of it.
const ROW_PROFILE: &str = r#"
extends = "d77-4"
name = "row"
about = "A scripted runner and no market."
data_source = "local"
hour = "10 s"
[runner]
metrics_addr = "127.0.0.1:0"
own_contract = false
stop_grace = "1 s"
[runner.not_applicable]
journal = "the fake keeps none"
[smoke]
duration = "4 s"
topn = 20
[main]
duration = "11 s"
topn = 50
[watch]
poll = "600 ms"
scrape_timeout = "300 ms"
start_grace = "1500 ms"
overrun_grace = "4 s"
handled_after = "1 s"
interim_every = "2 s"
[measure]
memory_skip = "2 s"
memory_min = "4 s"
memory_window = "1800 ms"
[rules]
A4.for = "2 s"
A5.for = "2 s"
A6.over = "4 s"
A8.for = "3 s"
A9.for = "3 s"
B1.for = "2 s"
B1.min_events = 6
B2.over = "4 s"
B3.within = "10 s"
B4.for = "2 s"
[panels]
core_every = "3 s"
alerting_every = "3500 ms"
[limits]
min_free_bytes = 100000000
log_cap_bytes = 50000000
[console]
addr = "127.0.0.1:0"
"#;
