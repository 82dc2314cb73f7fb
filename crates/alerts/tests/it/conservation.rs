//! Conservation: whatever notifiers do and whenever the dispatcher is killed, each alert is accounted for.

use crate::bench::{Bench, RUN, fails};
use alerts::{Reason, Status};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Debug, Clone)]
enum Act {
    Raise(usize, u8),
    TakeIn,
    Step,
    Advance(u64),
    Kill,
    /// The lease of a worker that was killed inside a send.
    KillWhileSending,
    Fail(u8, u8),
}

const RULES: [&str; 6] =
    ["LEG-ORPHANED", "HEALTH-DOWN", "NOTIFIER-DEGRADED", "DRILL", "RATE-LOW", "NOT-IN-THE-CATALOGUE"];
const REASONS: [Reason; 4] = [Reason::Network, Reason::Rejected, Reason::RateLimited, Reason::Io];

fn acts() -> impl Strategy<Value = Vec<Act>> {
    proptest::collection::vec(
        prop_oneof![
            4 => (0..RULES.len(), 0u8..2).prop_map(|(r, k)| Act::Raise(r, k)),
            3 => Just(Act::TakeIn),
            4 => Just(Act::Step),
            2 => (1u64..90_000).prop_map(Act::Advance),
            1 => Just(Act::Kill),
            1 => Just(Act::KillWhileSending),
            3 => (0u8..2, 0u8..4).prop_map(|(n, r)| Act::Fail(n, r)),
        ],
        1..60,
    )
}

fn play(b: &mut Bench, act: &Act) -> bool {
    match act {
        Act::Raise(rule, key) => {
            b.raise(RULES[*rule], &key.to_string());
            return true;
        }
        Act::TakeIn => drop(b.take_in()),
        Act::Step => drop(b.step()),
        Act::Advance(ms) => b.advance(Duration::from_millis(*ms)),
        Act::Kill => b.restart(),
        Act::KillWhileSending => {
            let until = b.at().plus(Duration::from_secs(15)).0;
            let db = rusqlite::Connection::open(&b.config.database).unwrap();
            db.execute(
                "UPDATE alert_deliveries SET status='SENDING', attempt=attempt+1, lease_until=?1
                 WHERE delivery_id=(SELECT MIN(delivery_id) FROM alert_deliveries WHERE status IN ('PENDING','RETRY'))",
                [until],
            )
            .unwrap();
            b.restart();
        }
        Act::Fail(notifier, reason) => {
            let name = ["first", "second"][usize::from(*notifier)];
            b.script(name).outcomes.push_back(fails(REASONS[usize::from(*reason)]));
        }
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_alert_is_accounted_for(acts in acts()) {
        let mut b = Bench::new(&["first", "second"]);
        let mut raised = 0u64;
        for act in &acts {
            raised += u64::from(play(&mut b, act));
            let c = b.store().conservation(RUN, None).unwrap();
            prop_assert!(c.holds(), "{c:?}");
            prop_assert!(c.raised <= raised);
        }
        // Left alone long enough, everything ends.
        for _ in 0..40 {
            b.take_in();
            while b.step() {}
            b.advance(Duration::from_secs(20));
        }
        let c = b.store().conservation(RUN, None).unwrap();
        prop_assert!(c.holds());
        prop_assert_eq!((c.raised, c.pending), (raised, 0));
        let (alerts, deliveries) = b.store().rows(RUN, None).unwrap();
        let ids: BTreeSet<&str> = alerts.iter().map(|a| a.alert_id.as_str()).collect();
        prop_assert_eq!(ids.len(), alerts.len());
        for d in &deliveries {
            let sent = b.script(&d.notifier).sent.iter().filter(|id| **id == d.alert_id).count();
            // Sent at least once where the table says so, and never where it says that it was lost.
            prop_assert_eq!(sent, usize::from(d.status == Status::Sent), "{:?}", d);
        }
    }
}
