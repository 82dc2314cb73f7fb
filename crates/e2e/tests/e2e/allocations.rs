//! From the bytes of a frame to its decision nothing is allocated, once the session is warm.
//!
//! *Decision* here: all that the core does with a frame up to the point at which it has something to say. A frame whose
//! decision is "nothing to do" (no edge, an edge that a guard, the pacing or the inventory holds back, an open position that
//! stays) says nothing, and must allocate nothing at all. What is said (an entry, an exit, a fill, a transition of a guard,
//! the figures of each second) is a journal record with texts in it; such inputs are left out, the way to their decision being
//! the same code. *Warm*: every buffer has had its size once, here after 90 s of market.

use assay::generate::{GenerateError, Sink, VirtualMarket, Wanted};
use engine::funnel::Stage;
use engine::{Config, Core, Effect};
use exchange::MarketKind;
use market::Timestamp;
use recording::{Input, Record};
use std::time::Duration;

/// Market before anything is counted, and market that counts.
const WARM: Duration = Duration::from_secs(90);
const COUNTED: Duration = Duration::from_secs(60);

/// Applies inputs to a core and counts; what it saw is of frames that said nothing, once warm.
#[derive(Debug, Default)]
struct Counting {
    core: Option<Core>,
    out: Vec<Effect>,
    counts_from: Option<Timestamp>,
    /// By connection, which is by venue.
    frames: [u64; 2],
    /// Edge at or above the threshold, and no entry.
    held_back: u64,
    /// While a position was open.
    with_position: u64,
    /// Input and how often it allocated.
    allocations: Vec<(u64, u64)>,
}

impl Counting {
    fn apply(&mut self, record: &Record) {
        let counts_from = *self.counts_from.get_or_insert_with(|| record.at.plus(WARM));
        let Some(core) = &mut self.core else {
            self.core = Some(Core::start(record.seq, record.at, &record.input, &mut self.out).unwrap());
            return;
        };
        let before = core.view().funnel.of(Stage::AboveThreshold);
        let open = core.view().open_positions > 0;
        let out = &mut self.out;
        let counted = allocation_counter::measure(|| core.apply(record.seq, record.at, &record.input, out));
        let Input::Frame { conn, .. } = &record.input else { return };
        if record.at < counts_from || !self.out.is_empty() {
            return;
        }
        self.frames[usize::from(*conn) % 2] += 1;
        self.held_back += u64::from(core.view().funnel.of(Stage::AboveThreshold) > before);
        self.with_position += u64::from(open);
        if counted.count_total > 0 {
            self.allocations.push((record.seq, counted.count_total));
        }
    }
}

impl Sink for Counting {
    fn take(&mut self, record: Record) -> Result<Vec<Wanted>, GenerateError> {
        self.out.reserve(1_024);
        self.apply(&record);
        let wanted = self.out.drain(..).filter_map(|effect| match effect {
            Effect::RequestSnapshot { asset, epoch, .. } => Some((asset, epoch)),
            _ => None,
        });
        Ok(wanted.collect())
    }
}

#[test]
fn a_decision_allocates_nothing_once_warm() {
    let config = Config { topn: 50, time_limit_ms: 5_000, entry_pause_ms: 1_000, ..Config::default() };
    let sink = Counting::default();
    let mut market =
        VirtualMarket::synthetic(50, MarketKind::Edge, 5, &[], "allocations", &config, sink).unwrap();
    market.run(WARM + COUNTED, |_| {}).unwrap();
    let seen = market.into_sink();
    println!(
        "frames that said nothing: {:?}, held back: {}, with a position: {}",
        seen.frames, seen.held_back, seen.with_position
    );
    assert!(seen.frames.iter().all(|n| *n > 5_000), "both venues: {:?}", seen.frames);
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
