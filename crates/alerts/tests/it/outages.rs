//! Conservation in virtual time while notifiers fail, the dispatcher is killed, and the store goes away in the middle of everything.

use crate::bench::{Bench, RUN, fails};
use crate::faulty::{Server, Weather};
use alerts::{AlertRecord, Disposition, Reason, Routes, Status};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone)]
enum Act {
    Raise(usize, u8),
    TakeIn,
    Step,
    Advance(u64),
    Kill,
    Fail(u8, u8),
    Away(u32),
    Deaf,
}

const RULES: [&str; 5] = ["LEG-ORPHANED", "HEALTH-DOWN", "MEMORY-HIGH", "DRILL", "NOT-IN-THE-CATALOGUE"];
const REASONS: [Reason; 4] = [Reason::Network, Reason::Rejected, Reason::RateLimited, Reason::Io];

fn acts() -> impl Strategy<Value = Vec<Act>> {
    proptest::collection::vec(
        prop_oneof![
            4 => (0..RULES.len(), 0u8..2).prop_map(|(r, k)| Act::Raise(r, k)),
            4 => Just(Act::TakeIn),
            6 => Just(Act::Step),
            2 => (1u64..40_000).prop_map(Act::Advance),
            1 => Just(Act::Kill),
            2 => (0u8..2, 0u8..4).prop_map(|(n, r)| Act::Fail(n, r)),
            2 => (1u32..4).prop_map(Act::Away),
            2 => Just(Act::Deaf),
        ],
        1..50,
    )
}

/// One schedule. `doubt` says that an attempt may have been made that the store does not know of; each such doubt that a kill or a long
/// time falls upon may become one duplicate, and nothing else may.
struct Schedule {
    bench: Bench,
    weather: Arc<Mutex<Weather>>,
    raised: u64,
    doubt: bool,
    allowed: usize,
}

impl Schedule {
    fn new() -> Self {
        let mut bench = Bench::new(&["first", "second"]);
        let weather = Arc::default();
        let server = Server { database: bench.config.database.clone(), weather: Arc::clone(&weather) };
        bench.config.server = Some(Arc::new(server));
        // Two of a rule and key wait, and the third is counted.
        bench.config.routes = Routes::paper().with_overflow(2);
        bench.restart();
        Self { bench, weather, raised: 0, doubt: false, allowed: 0 }
    }

    fn take_in(&mut self) {
        let now = self.bench.at();
        let taken = self.bench.running.as_mut().unwrap().0.poll(now);
        assert!(taken.as_ref().err().is_none_or(|e| e.is_store_lost()), "{taken:?}");
    }

    fn step(&mut self) -> bool {
        let worked = self.bench.running.as_mut().unwrap().1.step();
        assert!(worked.as_ref().err().is_none_or(|e| e.is_store_lost()), "{worked:?}");
        self.doubt = worked.is_err();
        worked.unwrap_or(false)
    }

    fn play(&mut self, act: &Act) {
        match act {
            Act::Raise(rule, key) => {
                self.bench.raise(RULES[*rule], &key.to_string());
                self.raised += 1;
            }
            Act::TakeIn => self.take_in(),
            Act::Step => drop(self.step()),
            Act::Advance(ms) => {
                self.bench.advance(Duration::from_millis(*ms));
                self.allowed += usize::from(self.doubt);
            }
            Act::Kill => {
                self.allowed += usize::from(std::mem::take(&mut self.doubt));
                self.bench.restart();
            }
            Act::Fail(notifier, reason) => {
                let name = ["first", "second"][usize::from(*notifier)];
                self.bench.script(name).outcomes.push_back(fails(REASONS[usize::from(*reason)]));
            }
            Act::Away(n) => self.weather.lock().unwrap().away += n,
            Act::Deaf => self.weather.lock().unwrap().deaf = true,
        }
    }

    /// Left alone long enough, everything ends.
    fn rest(&mut self) {
        *self.weather.lock().unwrap() = Weather::default();
        let store = self.bench.store();
        for _ in 0..40 {
            self.take_in();
            while self.step() {}
            let c = store.conservation(RUN, None).unwrap();
            let (alerts, _) = store.rows(RUN, None).unwrap();
            let untold = counted(&alerts) - summed_up(&alerts).1;
            if (c.raised - summed_up(&alerts).0, c.pending, untold) == (self.raised, 0, 0) {
                return;
            }
            self.bench.advance(Duration::from_secs(20));
        }
    }
}

/// How many alerts were counted instead of delivered.
fn counted(alerts: &[AlertRecord]) -> u64 {
    alerts.iter().filter(|a| a.disposition == Disposition::Aggregated).count() as u64
}

/// How many summaries there are, and of how many alerts they tell.
fn summed_up(alerts: &[AlertRecord]) -> (u64, u64) {
    let told: Vec<u64> =
        alerts.iter().filter_map(|a| a.labels.get("coalesced")).map(|n| n.parse().unwrap()).collect();
    (told.len() as u64, told.iter().sum())
}

fn cases() -> u32 {
    std::env::var("ASSAY_SCHEDULES").map_or(1_000, |n| n.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_whenever_the_store_goes_away(acts in acts()) {
        let mut schedule = Schedule::new();
        let store = schedule.bench.store();
        for act in &acts {
            schedule.play(act);
            if matches!(act, Act::Kill | Act::Deaf) {
                prop_assert!(store.conservation(RUN, None).unwrap().holds());
            }
        }
        schedule.rest();
        let c = store.conservation(RUN, None).unwrap();
        prop_assert!(c.holds(), "{:?}", c);
        let (alerts, deliveries) = store.rows(RUN, None).unwrap();
        let (summaries, told) = summed_up(&alerts);
        prop_assert_eq!((c.raised, c.pending), (schedule.raised + summaries, 0));
        prop_assert_eq!((c.aggregated, c.aggregated), (told, counted(&alerts)), "each is told of, and once");
        let mut twice = 0;
        for d in &deliveries {
            let sent = schedule.bench.script(&d.notifier).sent.iter().filter(|id| **id == d.alert_id).count();
            let due = usize::from(d.status == Status::Sent);
            prop_assert!(sent >= due, "reported as sent, and nobody got it: {:?}", d);
            twice += sent - due;
        }
        prop_assert!(twice <= schedule.allowed, "{} sent once too often, {} allowed", twice, schedule.allowed);
    }
}
