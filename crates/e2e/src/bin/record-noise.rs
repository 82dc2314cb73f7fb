//! Records what a real process uses, once a second, as a CSV: the noise that the watch rules are tried on. How the series in
//! `noise/` were made stands in the README there. Not here: the workloads, and the tests that resample the series.

use clap::Parser;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use validate::supervise::group;

/// Starts a command and samples it and everything below it, once a second.
#[derive(Parser)]
struct Args {
    /// For how long.
    #[arg(long)]
    seconds: u64,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// What is recorded, for the header.
    #[arg(long)]
    what: String,
    /// Version of it, for the header.
    #[arg(long)]
    version: String,
    /// What it does, for the header.
    #[arg(long)]
    workload: String,
    /// The kind of machine, for the header. No host name.
    #[arg(long)]
    machine: String,
    /// The command.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    match record(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("record-noise: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The command is the only child of this process, so that its group is what `group::sample` finds below us.
fn record(args: &Args) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(&args.out)?);
    writeln!(file, "# {}; {}; {}", args.what, args.version, args.workload)?;
    writeln!(file, "# {}", args.machine)?;
    writeln!(
        file,
        "# the group as the supervisor samples it; cpu_ms is cumulative with reaped children; KiB"
    )?;
    writeln!(file, "t_ms,cpu_ms,rss_kib,peak_kib,pss_kib,threads,fds,processes")?;
    let (program, rest) = args.command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program).args(rest).spawn()?;
    let began = Instant::now();
    let us = rustix::process::getpid().as_raw_nonzero().get();
    let mut peak = 0;
    for second in 1..=args.seconds {
        std::thread::sleep((began + Duration::from_secs(second)).saturating_duration_since(Instant::now()));
        if child.try_wait()?.is_some() {
            break;
        }
        let t = began.elapsed().as_millis();
        match group::sample(us, peak) {
            Some(os) => {
                peak = os.peak_rss_bytes;
                let cpu = (os.cpu_seconds * 1e3).round();
                let [rss, high, pss] = [os.rss_bytes, os.peak_rss_bytes, os.pss_bytes].map(|b| b / 1024);
                writeln!(file, "{t},{cpu},{rss},{high},{pss},{},{},{}", os.threads, os.fds, os.processes)?;
            }
            // A member that ended while it was read: a sample that is missing, as it is for the supervisor.
            None => writeln!(file, "{t},,,,,,,")?,
        }
        file.flush()?;
    }
    // Ended in order: a server told to stop writes down what it holds.
    if child.try_wait()?.is_none() {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&child),
            rustix::process::Signal::INT,
        )?;
    }
    child.wait()?;
    file.flush()
}
