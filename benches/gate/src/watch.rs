//! What watching costs: a whole `assay validate` with its guardian, over a runner that serves 2 000 series, measured by the
//! scheduler's own account of CPU time.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SERIES: usize = 2_000;
const POLL_S: u64 = 10;
/// Before measuring: start, preflight, first poll.
const SETTLE: Duration = Duration::from_secs(15);
const LIMIT_PCT: f64 = 1.0;

/// Measures.
pub fn run(options: &[&str]) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut assay, mut seconds) = (root.join("target/release/assay"), 60);
    for pair in options.chunks(2) {
        match pair {
            ["--assay", path] => assay = PathBuf::from(path),
            ["--seconds", n] => seconds = n.parse()?,
            _ => return Err("usage: bench-gate watch [--assay PATH] [--seconds N]".into()),
        }
    }
    if !assay.is_file() {
        let what = format!("no {}: `cargo build --release` makes it, --assay names another", assay.display());
        return Err(what.into());
    }
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("watch.toml");
    let length = SETTLE.as_secs() + seconds + 30;
    std::fs::write(&profile, text(&std::env::current_exe()?, length))?;
    let mut child = Command::new(&assay)
        .args(["validate", "--profile"])
        .arg(&profile)
        .arg("--logs")
        .arg(folder.path().join("logs"))
        .stdout(std::fs::File::create(folder.path().join("out"))?)
        .stderr(Stdio::inherit())
        .spawn()?;
    let result = measure(&mut child, seconds);
    // SIGTERM: it ends its runner in order.
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    child.wait()?;
    let polls = polls(&folder.path().join("logs"));
    match result {
        Ok(cpu) => report(&cpu, seconds, polls),
        Err(e) => {
            eprintln!("{}", std::fs::read_to_string(folder.path().join("out"))?);
            Err(e)
        }
    }
}

fn report(cpu: &[(String, f64)], seconds: u64, polls: usize) -> Result<(), Box<dyn Error>> {
    for (name, used) in cpu {
        println!("  {name:<60}{:>8.1} ms", used * 1e3);
    }
    let watching: f64 = cpu.iter().filter(|(name, _)| !is_watched(name)).map(|(_, used)| used).sum();
    let percent = 100.0 * watching / seconds as f64;
    println!(
        "watching {SERIES} series at a {POLL_S} s poll for {seconds} s ({polls} samples in the run): {:.1} ms of CPU, \
         {percent:.2} % of one core, {:.1} ms a poll",
        watching * 1e3,
        watching * 1e3 * POLL_S as f64 / seconds as f64
    );
    if polls == 0 {
        return Err("no poll succeeded".into());
    }
    if percent < LIMIT_PCT { Ok(()) } else { Err(format!("more than {LIMIT_PCT} %").into()) }
}

/// The runner and the local exchange are what is watched.
fn is_watched(command: &str) -> bool {
    command.contains("bench-gate") && !command.contains("guard") || command.contains("exchange")
}

fn measure(child: &mut Child, seconds: u64) -> Result<Vec<(String, f64)>, Box<dyn Error>> {
    std::thread::sleep(SETTLE);
    let before = tree(child.id());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_millis(500));
        if let Some(status) = child.try_wait()? {
            return Err(format!("assay ended too soon: {status}").into());
        }
    }
    let after = tree(child.id());
    let used = |pid: u32, now: f64| now - before.iter().find(|p| p.0 == pid).map_or(0.0, |p| p.2);
    Ok(after.into_iter().map(|(pid, name, now)| (name, used(pid, now))).collect())
}

/// A process and what descends from it: pid, command, seconds on a CPU.
fn tree(root: u32) -> Vec<(u32, String, f64)> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        for task in tasks(pid) {
            let text = std::fs::read_to_string(task.join("children")).unwrap_or_default();
            found.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    found
        .into_iter()
        .map(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let short: Vec<&str> =
                command.split(' ').map(|word| word.rsplit('/').next().unwrap_or(word)).take(6).collect();
            (pid, short.join(" "), tasks(pid).iter().filter_map(|task| on_cpu(task)).sum())
        })
        .collect()
}

fn tasks(pid: u32) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/task"));
    folder.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The first figure of `schedstat`: nanoseconds on a CPU.
fn on_cpu(task: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(task.join("schedstat")).ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

/// Samples in the run's folder.
fn polls(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            count += polls(&path);
        } else if path.ends_with("samples.jsonl") {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            count += text.lines().filter(|line| line.contains("loop_iterations")).count();
        }
    }
    count
}

fn text(exe: &Path, length: u64) -> String {
    format!(
        "extends = \"rehearsal\"\nname = \"watching\"\nabout = \"what watching costs\"\n\
         [runner]\ncommand = [\"{}\", \"serve\", \"{{metrics_addr}}\"]\nown_contract = false\n\
         [smoke]\nduration = \"{length} s\"\n\
         [watch]\npoll = \"{POLL_S} s\"\nscrape_timeout = \"2 s\"\nstart_grace = \"30 s\"\n\
         [measure]\nmemory_skip = \"10 min\"\nmemory_min = \"20 min\"\nmemory_window = \"2 min\"\n\
         [rules]\nA4.for = \"5 min\"\nA5.for = \"10 min\"\nA6.over = \"20 min\"\nA8.for = \"60 s\"\nA9.for = \"60 s\"\n\
         B1.for = \"30 min\"\nB2.over = \"30 min\"\nB3.within = \"1 h\"\nB4.for = \"30 min\"\n",
        exe.display()
    )
}

/// The runner: a page with catalogue series whose iterations rise, and as many others as make 2 000.
pub fn serve(addr: &str) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(addr)?;
    let begun = Instant::now();
    for stream in listener.incoming() {
        // A client that goes away is no reason to end.
        let _ = answer(stream?, begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn answer(mut stream: TcpStream, t: f64) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    let body = page(t);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn page(t: f64) -> String {
    let mut scrape = crate::fixture::scrape(t + 1.0, 0.0, 0.0);
    crate::day::widen(&mut scrape, t + 1.0);
    let mut page = String::new();
    for (series, value) in &scrape.series {
        page.push_str(&format!("{series} {value}\n"));
    }
    page.push_str("# HELP app_requests_total Requests.\n# TYPE app_requests_total counter\n");
    for i in scrape.series.len()..SERIES {
        let (path, code) = (i / 10, i % 10);
        page.push_str(&format!(
            "app_requests_total{{path=\"/api/v1/resource/{path}\",code=\"20{code}\"}} {}\n",
            t.floor()
        ));
    }
    page
}
