//! From the bytes of a frame to its decision nothing is allocated, once the session is warm.
//!
//! *Decision* here: all that the core does with a frame up to the point at which it has something to say. A frame whose
//! decision is "nothing to do" (no edge, an edge that a guard, the pacing or the inventory holds back, an open position that
//! stays) says nothing, and must allocate nothing at all. What is said (an entry, an exit, a fill, a transition of a guard,
//! the figures of each second) is a journal record with texts in it; such inputs are left out, the way to their decision being
//! the same code. *Warm*: every buffer has had its size once, here after 90 s of market.

use crate::virtual_market::Session;
use engine::funnel::Stage;
use engine::{Core, Effect};
use exchange::MarketKind;
use market::Venue;
use recording::Input;

/// Seconds of market before anything is counted, and seconds that count.
const WARM: u32 = 90;
const COUNTED: u32 = 60;

/// What was seen among the frames that said nothing.
#[derive(Debug, Default)]
struct Seen {
    /// By venue.
    frames: [u64; 2],
    /// Edge at or above the threshold, and no entry.
    held_back: u64,
    /// While a position was open.
    with_position: u64,
    allocations: Vec<(u64, u64)>,
}

#[test]
fn a_decision_allocates_nothing_once_warm() {
    let log = Session::inputs(MarketKind::Edge, 5, 50, WARM + COUNTED);
    let mut out: Vec<Effect> = Vec::with_capacity(1_024);
    let mut core = Core::start(log[0].seq, log[0].at, &log[0].input, &mut out).unwrap();
    let counts_from = log[0].at.plus(std::time::Duration::from_secs(WARM.into()));
    let mut seen = Seen::default();
    for record in &log[1..] {
        out.clear();
        let before = core.view().funnel.of(Stage::AboveThreshold);
        let open = core.view().open_positions > 0;
        let counted = allocation_counter::measure(|| {
            core.apply(record.seq, record.at, &record.input, &mut out);
        });
        let Input::Frame { conn, .. } = &record.input else { continue };
        if record.at < counts_from || !out.is_empty() {
            continue;
        }
        seen.frames[usize::from(*conn) % Venue::ALL.len()] += 1;
        seen.held_back += u64::from(core.view().funnel.of(Stage::AboveThreshold) > before);
        seen.with_position += u64::from(open);
        if counted.count_total > 0 {
            seen.allocations.push((record.seq, counted.count_total));
        }
    }
    println!(
        "frames that said nothing: {:?}, held back: {}, with a position: {}",
        seen.frames, seen.held_back, seen.with_position
    );
    assert!(seen.frames.iter().all(|n| *n > 5_000), "both venues: {seen:?}");
    assert!(seen.held_back > 50, "edges that were held back: {}", seen.held_back);
    assert!(seen.with_position > 1_000, "with an open position: {}", seen.with_position);
    assert!(
        seen.allocations.is_empty(),
        "{} frames allocated, first (input, times): {:?}",
        seen.allocations.len(),
        &seen.allocations[..seen.allocations.len().min(10)]
    );
}

/// The counter counts: a frame that opens a trade writes records, which allocate.
#[test]
fn a_record_does_allocate() {
    let text = allocation_counter::measure(|| {
        std::hint::black_box("a text of a record".to_owned());
    });
    assert_eq!(text.count_total, 1);
}
