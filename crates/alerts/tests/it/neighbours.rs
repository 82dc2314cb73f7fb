//! Several runs over one database: what each does with what another left, and what it leaves alone.

use crate::bench::{Bench, RUN, fails};
use crate::faulty::{Server, Weather};
use alerts::{Reason, Status};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Another run in the same database and the same time.
fn neighbour(of: &Bench, notifiers: &[&str]) -> Bench {
    let mut other = Bench::new(notifiers);
    other.config.database = of.config.database.clone();
    other.config.run_id = "r2.main".to_owned();
    other.now = Arc::clone(&of.now);
    other.restart();
    other
}

#[test]
fn a_living_dispatcher_that_is_held_up_keeps_its_deliveries() {
    let mut one = Bench::new(&["first", "second"]);
    // Its worker does nothing: its notifier hangs, say.
    one.raise("LEG-ORPHANED", "a");
    one.take_in();
    let mut two = neighbour(&one, &["first"]);
    for _ in 0..120 {
        one.take_in();
        two.take_in();
        assert!(!two.step());
        one.advance(Duration::from_secs(15));
    }
    assert!(two.script("first").tries.is_empty());
    let row = &one.deliveries()[0];
    assert_eq!((row.status, row.attempt), (Status::Pending, 0));
}

#[test]
fn what_a_dead_dispatcher_left_arrives_or_waits_and_is_given_up_by_nobody() {
    let mut one = Bench::new(&["first", "second"]);
    one.raise("LEG-ORPHANED", "a");
    one.raise("LEG-ORPHANED", "b");
    one.take_in();
    one.running = None;
    let mut two = neighbour(&one, &["third"]);
    one.advance(Duration::from_secs(700));
    for _ in 0..30 {
        two.take_in();
        assert!(!two.step());
        two.advance(Duration::from_secs(10));
    }
    assert!(one.deliveries().iter().all(|d| d.status == Status::Pending), "it has no such notifier");
    // One that has it, and whose notifier fails at first, and finally.
    two = neighbour(&one, &["first"]);
    two.script("first").outcomes.extend([fails(Reason::Unauthorized), fails(Reason::Network)]);
    two.run(59);
    assert!(two.script("first").tries.is_empty(), "the others have a minute to say that they live");
    for _ in 0..240 {
        two.take_in();
        while two.step() {}
        two.advance(Duration::from_secs(10));
    }
    let tries = two.script("first").tries.len();
    assert_eq!((tries, two.script("first").sent.len()), (4, 2));
    let rows = one.deliveries();
    assert!(rows.iter().all(|d| d.status == Status::Sent && d.attempt == 1), "{rows:?}");
    assert_eq!(one.store().conservation(RUN, None).unwrap().delivered, 2);
    assert_eq!(two.metric("alert_sent_total{notifier=\"first\"}"), 0.0, "another run's are not counted here");
}

/// The row keeps its four.
#[test]
fn a_claim_without_an_attempt_counts_for_nothing() {
    let mut b = Bench::new(&["first", "second"]);
    let weather: Arc<Mutex<Weather>> = Arc::default();
    b.config.server =
        Some(Arc::new(Server { database: b.config.database.clone(), weather: Arc::clone(&weather) }));
    b.restart();
    b.raise("LEG-ORPHANED", "a");
    b.take_in();
    for n in 0..5 {
        // The claim of before goes back, a new one is made, and the store is away when it is asked who comes next.
        *weather.lock().unwrap() = Weather { spared: 1 + n.min(1), away: 1, deaf: false };
        assert!(b.running.as_mut().unwrap().1.step().is_err());
        assert_eq!(b.deliveries()[0].status, Status::Sending);
        b.advance(Duration::from_secs(30));
    }
    b.run(1);
    let row = &b.deliveries()[0];
    assert_eq!((row.status, row.attempt), (Status::Sent, 1));
}
