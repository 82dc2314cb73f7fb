//! What preflight removes from a Redis database, and what it never touches.

use redis::Commands as _;
use services::Redis as Server;
use state::{Access, Redis, State, StateError, StateStore, reset};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(20);

struct Bench {
    _server: Server,
    access: Access,
    raw: redis::Connection,
}

impl Bench {
    fn new() -> Self {
        let server = Server::start().unwrap();
        let access = Access::new(&server.url(0)).unwrap();
        let raw = redis::Client::open(server.url(0)).unwrap().get_connection().unwrap();
        Self { _server: server, access, raw }
    }

    /// A run that wrote its state; `alive` when it would still give a sign of life.
    fn run(&mut self, id: &str, profile: Option<&str>, alive: bool) {
        let state = State { ended: !alive, ..State::new(id, 1, profile) };
        let mut store = Redis::new(self.access.clone(), id);
        store.save(&state).unwrap();
        store.pull("stop").unwrap();
    }

    fn keys(&mut self, pattern: &str) -> usize {
        redis::cmd("KEYS").arg(pattern).query::<Vec<String>>(&mut self.raw).unwrap().len()
    }
}

#[test]
fn the_keys_of_this_run_and_of_ended_runs_of_the_profile_go() {
    let mut bench = Bench::new();
    let _: () = bench.raw.set("orders:open", "somebody's").unwrap();
    bench.run("now.smoke", Some("d77-4"), true);
    bench.run("now-2", Some("other"), false);
    bench.run("before.main", Some("d77-4"), false);
    bench.run("beside.main", Some("d77-4"), true);
    bench.run("plain", None, false);
    let done = reset(&bench.access, "now", "d77-4", false, WITHIN).unwrap();
    assert_eq!(done.removed_runs, ["before.main", "now.smoke"]);
    assert_eq!(done.kept_runs, ["beside.main", "now-2", "plain"]);
    // Head, kill switch, sign of life; head, kill switch.
    assert_eq!((done.removed_keys, done.partial, done.flushed), (5, false, false));
    assert!(!done.marked, "somebody else's keys are in it");
    assert_eq!((bench.keys("assay:now.*"), bench.keys("assay:before*")), (0, 0));
    assert_eq!(bench.keys("assay:beside.main:*"), 3);
    let kept: String = bench.raw.get("orders:open").unwrap();
    assert_eq!(kept, "somebody's");
}

#[test]
fn a_database_is_flushed_only_when_it_is_ours_alone() {
    let mut bench = Bench::new();
    bench.run("before.main", Some("d77-4"), false);
    bench.run("plain", None, false);
    let _: () = bench.raw.set("orders:open", "somebody's").unwrap();
    for n in 0..3_000 {
        let _: () = bench.raw.set(format!("assay:before.main:more{n}"), n).unwrap();
    }
    let before = bench.keys("*");
    let refused = reset(&bench.access, "now", "d77-4", true, WITHIN).unwrap_err();
    assert!(matches!(&refused, StateError::NotOurs { keys, .. } if keys == &["orders:open"]), "{refused}");
    assert!(refused.to_string().contains("orders:open"), "{refused}");
    assert_eq!(bench.keys("*"), before, "nothing was changed");

    let _: () = bench.raw.rename("orders:open", "assay:orders").unwrap();
    let refused = reset(&bench.access, "now", "d77-4", true, WITHIN).unwrap_err();
    assert!(refused.to_string().contains("not Assay's: assay:orders"), "no run's: {refused}");

    let _: () = bench.raw.del("assay:orders").unwrap();
    bench.run("beside.main", Some("other"), true);
    let refused = reset(&bench.access, "now", "d77-4", true, WITHIN).unwrap_err();
    assert!(refused.to_string().contains("living runs is in it: beside.main"), "{refused}");

    let _: () = bench.raw.del("assay:beside.main:alive").unwrap();
    let _: () = bench.raw.del("assay:marker").unwrap();
    let refused = reset(&bench.access, "now", "d77-4", true, WITHIN).unwrap_err();
    assert!(refused.to_string().contains("does not carry the key assay:marker"), "{refused}");

    let _: () = bench.raw.set("assay:marker", "{}").unwrap();
    let done = reset(&bench.access, "now", "d77-4", true, WITHIN).unwrap();
    assert!(done.flushed && done.removed_keys > 3_000, "{done:?}");
    assert_eq!((bench.keys("*"), bench.keys("assay:marker")), (1, 1));
}

#[test]
fn many_foreign_keys_are_named_by_a_few() {
    let mut bench = Bench::new();
    for n in 0..5_000 {
        let _: () = bench.raw.set(format!("cache:{n}"), n).unwrap();
    }
    bench.run("now.smoke", None, true);
    let Err(StateError::NotOurs { keys, marked, .. }) = reset(&bench.access, "now", "p", true, WITHIN) else {
        panic!("not refused");
    };
    assert_eq!((keys.len(), marked), (10, false));
    assert_eq!((bench.keys("cache:*"), bench.keys("assay:now.smoke:*")), (5_000, 3));
}
