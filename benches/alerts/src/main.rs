//! What raising an alert costs the hot thread, against a bare push of the same sentence to the same queue: time of that thread's own CPU
//! clock, the sides in turns. A push of a record that was ready before is measured beside them. `benches/README.md` says more.

use journal::{Body, Entry};
use market::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::process::ExitCode;
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

/// What there is to say where a guard blocks.
fn sentence(n: u64) -> String {
    let (observed, threshold) = (n as f64 / 7.0, 300.0);
    format!("daily_loss on all: {observed:.3} against {threshold:.3}; no entries while it holds")
}

/// The sentence and nothing else.
fn said(n: u64) -> Entry {
    entry(n, Body::Note { level: "warn".to_owned(), text: sentence(n) })
}

/// What the core does: the sentence, labels, id and key, the record.
fn raised(n: u64) -> Entry {
    let message = sentence(n);
    let labels = [("rule", "daily_loss".to_owned()), ("scope", "all".to_owned())];
    let body = engine::alert_body(("r1.main", n), "RG-GLOBAL-BLOCK", "Global guard blocks", message, &labels);
    entry(n, body)
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
    let (mut ready_ns, mut pushes, mut raises, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let ready: Vec<Entry> = (0..ALERTS).map(raised).collect();
        ready_ns.push(per_alert(&queue, ready.into_iter()));
        let push = per_alert(&queue, (0..ALERTS).map(said));
        let raise = per_alert(&queue, (0..ALERTS).map(raised));
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
    let ready = median(&mut ready_ns);
    println!(
        "bare push {push:.0} ns, raise {raise:.0} ns: ratio {ratio:.2} (bar {BAR}); of a ready record {ready:.0} ns"
    );
    println!("medians of {ROUNDS} rounds of {ALERTS}");
    if ratio <= BAR { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
