//! What raising an alert costs the hot thread, against a bare push of a record that was ready before to the same queue: time of that
//! thread's own CPU clock, the sides in turns. `benches/README.md` says more.

use journal::{Alert, Body, Entry, Words};
use market::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Rounds, and alerts in each.
const ROUNDS: usize = 41;
const ALERTS: u64 = 4_000;
/// As long as the journal's queue of the runner: nobody waits in a round.
const QUEUE: usize = 65_536;
/// Raising may cost so many pushes.
const BAR: f64 = 3.0;

fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// What the core does where a guard blocks.
fn raised(n: u64, run_id: &Arc<str>) -> Entry {
    let (rule, scope, observed, threshold) = ("daily_loss", "all", n as f64 / 7.0, 300.0);
    let alert = Alert::raise((run_id, n), "RG-GLOBAL-BLOCK", "Global guard blocks", move || {
        Words::new(format!(
            "{rule} on {scope}: {observed:.3} against {threshold:.3}; no entries while it holds"
        ))
        .label("rule", rule)
        .label("scope", scope)
    });
    entry(n, Body::Alert(alert))
}

fn entry(n: u64, body: Body) -> Entry {
    Entry { seq: n, input_seq: n, at: Timestamp(1_700_000_000_000_000_000), commit: true, body }
}

fn per_alert(queue: &SyncSender<Entry>, entries: impl Iterator<Item = Entry>) -> f64 {
    let begun = cpu_ns();
    for entry in entries {
        if queue.send(entry).is_err() {
            return f64::INFINITY;
        }
    }
    (cpu_ns() - begun) / ALERTS as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::INFINITY)
}

fn main() -> ExitCode {
    let (queue, writer) = sync_channel::<Entry>(QUEUE);
    // The writer's end: what it does with a record is its own time.
    let reader = std::thread::spawn(move || writer.iter().map(|entry| entry.seq).fold(0, u64::wrapping_add));
    let (mut pushes, mut raises, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let run_id: Arc<str> = "r1.main".into();
    for _ in 0..ROUNDS {
        let ready: Vec<Entry> = (0..ALERTS).map(|n| raised(n, &run_id)).collect();
        let push = per_alert(&queue, ready.into_iter());
        let raise = per_alert(&queue, (0..ALERTS).map(|n| raised(n, &run_id)));
        pushes.push(push);
        raises.push(raise);
        ratios.push(raise / push);
    }
    drop(queue);
    if reader.join().is_err() {
        eprintln!("bench-alerts: the reader panicked");
        return ExitCode::from(2);
    }
    let (push, raise, ratio) = (median(&mut pushes), median(&mut raises), median(&mut ratios));
    println!(
        "push of a ready record {push:.0} ns, raise and push {raise:.0} ns: ratio {ratio:.2} (bar {BAR})"
    );
    println!("medians of {ROUNDS} rounds of {ALERTS}");
    if ratio <= BAR { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
