//! One suite for both stores: what is asked here of SQLite is asked of a real PostgreSQL too.

use crate::place::{Place, both, postgres, sql};
use alerts::{
    Alert, AlertError, Disposition, Lane, Plan, PostgresConfig, Status, Store, StoreServer as _, Taken,
};
use catalogue::Severity;
use market::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);
const LEASE: Duration = Duration::from_secs(15);

fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn alert(run: &str, n: u64) -> Alert {
    Alert {
        alert_id: format!("{run}-{n}"),
        run_id: run.to_owned(),
        phase: "main".to_owned(),
        env: "paper".to_owned(),
        rule_id: "HEALTH-DOWN".to_owned(),
        severity: Severity::P1,
        source: "engine".to_owned(),
        title: "it's \"down\"".to_owned(),
        message: "가격 \\ ' % \n\t🙂".to_owned(),
        labels: BTreeMap::from([("venue".to_owned(), format!("v{n}'\"\\"))]),
        key: format!("k{n}"),
        raised_at: at(n),
    }
}

fn plan(notifiers: &[&str]) -> Plan {
    Plan {
        throttle: Duration::ZERO,
        notifiers: notifiers.iter().map(|n| (*n).to_owned()).collect(),
        due: NOW,
        overflow: 0,
    }
}

fn raise(store: &Store, n: u64, notifiers: &[&str]) -> Taken {
    store.take_in(&alert("r", n), &plan(notifiers), ("journal", n), at(n)).unwrap()
}

#[test]
fn an_alert_is_taken_in_once_and_its_cursor_with_it() {
    both(|place| {
        let store = place.store();
        assert_eq!(store.cursor("journal").unwrap(), None);
        assert_eq!(raise(&store, 1, &["a", "b"]), Taken::New(Disposition::Deliver));
        assert_eq!(raise(&store, 2, &[]), Taken::New(Disposition::StoreOnly));
        assert_eq!(store.cursor("journal").unwrap(), Some(2));
        let again = store.take_in(&alert("r", 1), &plan(&["c"]), ("journal", 9), at(9)).unwrap();
        assert_eq!(again, Taken::Known(Disposition::Deliver), "as it was, whatever is planned now");
        assert_eq!(store.cursor("journal").unwrap(), Some(9));
        let later = Alert { raised_at: at(500), ..alert("r", 1) };
        assert_eq!(store.take_in(&later, &plan(&["c"]), ("journal", 10), at(9)).unwrap(), Taken::Another);
        assert_eq!(store.cursor("journal").unwrap(), Some(9), "nobody has it, so nobody is past it");
        store.set_cursor("journal", 12, at(9)).unwrap();
        let other = place.store();
        assert_eq!(other.cursor("journal").unwrap(), Some(12), "for everybody");
        let (alerts, deliveries) = other.rows("r", Some("main")).unwrap();
        assert_eq!(alerts.len(), 2);
        assert_eq!(alerts[0].message, alert("r", 1).message);
        assert_eq!(alerts[0].labels, alert("r", 1).labels);
        let names: Vec<_> = deliveries.iter().map(|d| (d.notifier.as_str(), d.status, d.attempt)).collect();
        assert_eq!(names, [("a", Status::Pending, 0), ("b", Status::Pending, 0)]);
        assert_eq!(other.rows("r", Some("smoke")).unwrap(), (Vec::new(), Vec::new()));
        assert_eq!(other.rows("another", None).unwrap(), (Vec::new(), Vec::new()));
        assert_eq!(other.open_deliveries("r", "main").unwrap().oldest, Some(at(1)));
    });
}

#[test]
fn throttled_alerts_are_stored_and_not_delivered() {
    both(|place| {
        let store = place.store();
        let throttled = Plan { throttle: Duration::from_secs(60), ..plan(&["a"]) };
        let take = |n: u64, seconds: u64, key: &str| {
            let alert = Alert { key: key.to_owned(), raised_at: at(seconds), ..alert("r", n) };
            match store.take_in(&alert, &throttled, ("j", n), at(seconds)).unwrap() {
                Taken::New(d) => d,
                other => panic!("{n} was not there: {other:?}"),
            }
        };
        use Disposition::{Deliver, Throttled};
        assert_eq!(take(1, 0, "x"), Deliver);
        assert_eq!(take(2, 59, "x"), Throttled);
        assert_eq!(take(3, 59, "y"), Deliver, "another key");
        assert_eq!(take(4, 60, "x"), Deliver, "the throttled one does not lengthen it");
        let long = "k".repeat(5000);
        assert_eq!((take(5, 61, &long), take(6, 62, &long)), (Deliver, Throttled));
        let c = store.conservation("r", None).unwrap();
        assert!(c.holds());
        assert_eq!((c.raised, c.pending, c.throttled), (6, 4, 2));
    });
}

#[test]
fn a_lease_keeps_others_away_until_it_ends() {
    both(|place| {
        let (one, two) = (place.store(), place.store());
        raise(&one, 1, &["a"]);
        let claim = one.claim("r", "main", at(1), LEASE, Lane::All).unwrap().unwrap();
        assert_eq!((claim.delivery.status, claim.delivery.attempt), (Status::Sending, 1));
        assert_eq!(claim.delivery.lease_until, Some(at(16)));
        assert_eq!(claim.alert.title, "it's \"down\"");
        assert!(two.claim("r", "main", at(15), LEASE, Lane::All).unwrap().is_none());
        let later = two.claim("r", "main", at(16), LEASE, Lane::All).unwrap().unwrap();
        assert_eq!(later.delivery.attempt, 2);
        assert!(!one.sent(&claim, 5, at(17)).unwrap(), "the lease was lost");
        assert!(!one.retry(&claim, "late", at(17)).unwrap());
        assert!(!one.give_up(&claim, "late", Some("b"), at(17)).unwrap());
        assert!(two.sent(&later, 7, at(18)).unwrap());
        assert!(two.sent(&later, 7, at(18)).unwrap(), "asked again because the answer was lost");
        assert!(!two.retry(&later, "no", at(18)).unwrap(), "settled is settled");
        let row = &one.rows("r", None).unwrap().1[0];
        assert_eq!((row.status, row.latency_ms, row.settled_at), (Status::Sent, Some(7), Some(at(18))));
        assert_eq!((row.lease_until, row.last_error.clone()), (None, None));
    });
}

#[test]
fn a_failure_is_tried_again_then_falls_back_then_dies() {
    both(|place| {
        let store = place.store();
        raise(&store, 1, &["a"]);
        let claim = |seconds| store.claim("r", "main", at(seconds), LEASE, Lane::All).unwrap();
        let first = claim(1).unwrap();
        for _ in 0..2 {
            assert!(store.retry(&first, "network: \0gone", at(5)).unwrap());
        }
        assert!(claim(4).is_none());
        let second = claim(5).unwrap();
        for _ in 0..2 {
            assert!(store.give_up(&second, "rejected: no", Some("b"), at(6)).unwrap());
        }
        assert!(store.has_delivery("r-1", "b").unwrap() && !store.has_delivery("r-1", "c").unwrap());
        assert_eq!(store.conservation("r", None).unwrap().pending, 1);
        let third = claim(6).unwrap();
        assert_eq!(third.delivery.fallback_of, Some(second.delivery.delivery_id));
        assert!(store.give_up(&third, "io: full", None, at(7)).unwrap());
        assert!(claim(1000).is_none());
        let (_, rows) = store.rows("r", None).unwrap();
        let seen: Vec<_> = rows.iter().map(|d| (d.notifier.as_str(), d.status)).collect();
        assert_eq!(
            seen,
            [("a", Status::Failed), ("b", Status::Dlq)],
            "one row each, however often it was recorded"
        );
        assert_eq!(store.dead_letters(Some("r")).unwrap(), store.dead_letters(None).unwrap());
        assert_eq!(store.dead_letters(Some("r")).unwrap()[0].last_error.as_deref(), Some("io: full"));
        let c = store.conservation("r", Some("main")).unwrap();
        assert!(c.holds());
        assert_eq!((c.raised, c.dlq), (1, 1));
    });
}

#[test]
fn lanes_and_times_decide_what_is_claimed() {
    both(|place| {
        let store = place.store();
        raise(&store, 1, &["a", "b", "gone"]);
        let waits = Plan { due: at(300), ..plan(&["a"]) };
        store.take_in(&alert("r", 2), &waits, ("j", 2), at(2)).unwrap();
        let next = |lane: Lane<'_>, seconds| {
            let claim = store.claim("r", "main", at(seconds), LEASE, lane).unwrap()?;
            assert!(store.sent(&claim, 1, at(seconds)).unwrap());
            Some(format!("{} {}", claim.delivery.alert_id, claim.delivery.notifier))
        };
        assert_eq!(next(Lane::Only("b"), 3).as_deref(), Some("r-1 b"));
        assert_eq!(next(Lane::Only("b"), 3), None);
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(next(Lane::AllBut(&names), 3).as_deref(), Some("r-1 gone"));
        assert_eq!(next(Lane::All, 3).as_deref(), Some("r-1 a"));
        assert_eq!(next(Lane::All, 299), None, "not before its time");
        assert_eq!(next(Lane::Only("a"), 300).as_deref(), Some("r-2 a"));
    });
}

#[test]
fn rows_of_a_dispatcher_that_is_gone_are_adopted() {
    both(|place| {
        let store = place.store();
        for n in 1..=2 {
            raise(&store, n, &["a"]);
        }
        // One of them was being sent.
        store.claim("r", "main", at(2), LEASE, Lane::All).unwrap().unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        let adopt = |run: &str, phase: &str, seconds, names: &[String]| {
            store.adopt(run, phase, at(seconds), LEASE, names).unwrap()
        };
        assert!(adopt("other", "main", 599, &names).is_none());
        assert!(adopt("r", "smoke", 599, &names).is_none(), "nor another phase's");
        assert!(
            store.claim("other", "main", at(2_000), LEASE, Lane::All).unwrap().is_none(),
            "not as its own"
        );
        // Its dispatcher is held up, and lives.
        store.beat("r", "main", at(1_000)).unwrap();
        assert!(adopt("other", "main", 1_599, &names).is_none());
        assert!(adopt("r", "main", 1_700, &names).is_none(), "what is its own it claims");
        assert!(adopt("other", "main", 1_700, &names[1..]).is_none(), "of its own notifiers only");
        let claims: Vec<_> = (0..2).map(|_| adopt("other", "main", 1_700, &names).unwrap()).collect();
        let ids: BTreeSet<&str> = claims.iter().map(|c| c.delivery.alert_id.as_str()).collect();
        assert_eq!(ids.len(), 2);
        assert!(adopt("other", "main", 1_700, &names).is_none());
        // One arrives, the other goes back as it was.
        let (sent, back) = (&claims[0], &claims[1]);
        assert!(store.sent(sent, 5, at(1_701)).unwrap());
        store.put_back(back, Some("network: gone"), at(1_701)).unwrap();
        store.put_back(back, Some("network: gone"), at(1_701)).unwrap();
        let (row, _) = store.delivery(back.delivery.delivery_id).unwrap().unwrap();
        assert_eq!((row.attempt + 1, row.lease_until), (back.delivery.attempt, None));
        assert!(matches!(row.status, Status::Pending | Status::Retry));
        let own = store.claim("r", "main", at(1_702), LEASE, Lane::All).unwrap().unwrap();
        assert_eq!(own.delivery.delivery_id, row.delivery_id, "its own dispatcher has it at once");
        // It has the number of the attempt that went back; a late repetition does not take it.
        store.put_back(back, None, at(1_703)).unwrap();
        assert!(!store.sent(back, 1, at(1_703)).unwrap());
        assert!(store.sent(&own, 1, at(1_703)).unwrap());
    });
}

#[test]
fn no_two_workers_get_the_same_row() {
    both(|place| {
        let store = place.store();
        let (rows, workers) = (200, 4);
        for n in 1..=rows {
            raise(&store, n, &["a"]);
        }
        let start = Barrier::new(workers);
        let taken: Vec<i64> = std::thread::scope(|scope| {
            let work = || {
                let store = place.store();
                start.wait();
                let mut own = Vec::new();
                while let Some(claim) = store.claim("r", "main", at(500), LEASE, Lane::All).unwrap() {
                    own.push(claim.delivery.delivery_id);
                    assert!(store.sent(&claim, 1, at(500)).unwrap());
                }
                own
            };
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        let distinct: BTreeSet<i64> = taken.iter().copied().collect();
        assert_eq!((taken.len() as u64, distinct.len() as u64), (rows, rows));
        assert_eq!(store.conservation("r", None).unwrap().delivered, rows);
    });
}

#[test]
fn earlier_runs_stay_for_the_retention_time_and_dead_letters_longer() {
    both(|place| {
        let store = place.store();
        for (run, n) in [("old", 1), ("old", 2), ("old", 3), ("older.main", 4), ("now", 5), ("old", 900)] {
            store.take_in(&alert(run, n), &plan(if n == 4 { &[] } else { &["a"] }), (run, n), at(n)).unwrap();
        }
        // The first was sent through a fallback, the second died, the third is open.
        for (n, dies) in [(1, false), (2, true)] {
            let claim = store.claim("old", "main", at(n), LEASE, Lane::All).unwrap().unwrap();
            if dies {
                store.give_up(&claim, "x", None, at(n)).unwrap();
            } else {
                store.give_up(&claim, "x", Some("b"), at(n)).unwrap();
                let claim = store.claim("old", "main", at(n), LEASE, Lane::Only("b")).unwrap().unwrap();
                assert!(store.sent(&claim, 1, at(n)).unwrap());
            }
        }
        assert_eq!(store.forget(at(0), "now").unwrap(), 0, "nothing is that old");
        store.beat("old", "smoke", at(100)).unwrap();
        assert_eq!(store.forget(at(100), "now").unwrap(), 1, "not those of a run whose dispatcher lives");
        assert_eq!(store.forget(at(101), "now").unwrap(), 1);
        let left =
            |run: &str| store.rows(run, None).unwrap().0.into_iter().map(|a| a.alert_id).collect::<Vec<_>>();
        assert_eq!(left("old"), ["old-2", "old-3", "old-900"]);
        assert_eq!((left("older.main").len(), left("now").len()), (0, 1));
        assert_eq!(store.rows("old", None).unwrap().1.len(), 3);
    });
}

#[test]
fn what_overflows_is_counted_and_told_of_once() {
    both(|place| {
        let store = place.store();
        let few = Plan { overflow: 2, ..plan(&["a"]) };
        let take = |n: u64, key: &str| {
            let alert = Alert { key: key.to_owned(), ..alert("r", n) };
            store.take_in(&alert, &few, ("j", n), at(n)).unwrap()
        };
        use Disposition::{Aggregated, Deliver};
        let key = "k".repeat(5000);
        let taken: Vec<Taken> = (1..=4).map(|n| take(n, &key)).collect();
        assert_eq!(taken, [Deliver, Deliver, Aggregated, Aggregated].map(Taken::New));
        assert_eq!(take(4, &key), Taken::Known(Aggregated));
        assert_eq!(take(5, "another"), Taken::New(Deliver));
        let found = store.overflows("r", "main", 2).unwrap();
        assert_eq!(found.len(), 1);
        let overflow = &found[0];
        assert_eq!((overflow.alerts, overflow.since, overflow.open), (2, at(3), 2));
        assert_eq!(overflow.last.alert_id, "r-4");
        assert!(store.overflows("r", "smoke", 2).unwrap().is_empty());
        // One more comes before the summary: it is not lost between the two.
        assert_eq!(take(6, &key), Taken::New(Aggregated));
        let summary = Alert { key: "summary".to_owned(), ..alert("r", 100) };
        assert_eq!(store.sum_up(overflow, &summary, &plan(&["a"]), at(7)).unwrap(), None);
        let found = store.overflows("r", "main", 2).unwrap();
        assert_eq!(
            store.sum_up(&found[0], &summary, &plan(&["a"]), at(7)).unwrap(),
            Some(Taken::New(Deliver))
        );
        let again = store.sum_up(&found[0], &summary, &plan(&["a"]), at(7)).unwrap();
        assert_eq!(again, Some(Taken::Known(Deliver)), "its answer was lost");
        assert!(store.overflows("r", "main", 2).unwrap().is_empty());
        // One of the two arrives: there is room.
        let claim = store.claim("r", "main", at(8), LEASE, Lane::All).unwrap().unwrap();
        assert!(store.sent(&claim, 1, at(8)).unwrap());
        assert_eq!((take(7, &key), take(8, &key)), (Taken::New(Deliver), Taken::New(Aggregated)));
        let c = store.conservation("r", None).unwrap();
        assert!(c.holds());
        assert_eq!((c.raised, c.delivered, c.aggregated, c.pending), (9, 1, 4, 4));
    });
}

/// The first attempt of a statement may still wait in the server when the second one comes: it was committed then, in its name.
#[test]
fn a_repetition_behind_its_first_attempt_is_recognised() {
    let place = postgres();
    let store = place.store();
    raise(&store, 1, &["a"]);
    let claim = store.claim("r", "main", at(1), LEASE, Lane::All).unwrap().unwrap();
    let url = place.url().unwrap();
    let both = |work: &(dyn Fn(&Store) -> String + Sync), holder: crate::place::Holder| -> Vec<String> {
        std::thread::scope(|scope| {
            let attempt = || scope.spawn(|| work(&place.store()));
            let attempts = [attempt(), attempt()];
            // Both wait in the server.
            until(|| {
                let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
                sql(url, waiting)[1][0] == "2"
            });
            drop(holder);
            attempts.into_iter().map(|a| a.join().unwrap()).collect()
        })
    };
    let locked = crate::place::Holder::begin(url, "SELECT * FROM alert_deliveries FOR UPDATE");
    let settled = both(&|store| store.sent(&claim, 5, at(2)).unwrap().to_string(), locked);
    assert_eq!(settled, ["true", "true"]);
    let locked = crate::place::Holder::begin(
        url,
        "INSERT INTO alerts SELECT 'r-2', run_id, phase, rule_id, severity, source, title, message, labels, aggregation_key, raised_at,
           disposition FROM alerts",
    );
    let mut taken = both(
        &|store| format!("{:?}", store.take_in(&alert("r", 2), &plan(&["a"]), ("j", 2), at(2)).unwrap()),
        locked,
    );
    taken.sort();
    assert_eq!(taken, ["Known(Deliver)", "New(Deliver)"]);
}

#[test]
fn a_newer_schema_is_refused_by_name() {
    both(|place| {
        drop(place.store().ping());
        place.execute("UPDATE alert_schema SET version = 99", "PRAGMA user_version = 99");
        let opened = place.try_store().and_then(|store| store.ping());
        let error = opened.unwrap_err();
        assert!(matches!(error, AlertError::NewerSchema { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("use a newer assay"), "{error}");
    });
}

#[test]
fn many_may_open_a_new_store_at_once() {
    both(|place| {
        std::thread::scope(|scope| {
            let open =
                |n: u64| place.store().take_in(&alert("r", n), &plan(&["a"]), ("j", n), at(n)).unwrap();
            let threads: Vec<_> = (0..6).map(|n| scope.spawn(move || open(n))).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Taken::New(Disposition::Deliver));
            }
        });
        assert_eq!(place.store().conservation("r", None).unwrap().raised, 6);
    });
}

/// The operator's query gives the same columns with the same words.
#[test]
fn both_stores_hold_the_same() {
    let script = |place: &Place| {
        let store = place.store();
        raise(&store, 1, &["a", "b"]);
        raise(&store, 2, &["a"]);
        raise(&store, 3, &[]);
        for _ in 0..2 {
            let claim = store.claim("r", "main", at(4), LEASE, Lane::Only("a")).unwrap().unwrap();
            store.give_up(&claim, "timeout: 5 s", None, at(5)).unwrap();
        }
        let claim = store.claim("r", "main", at(5), LEASE, Lane::All).unwrap().unwrap();
        store.retry(&claim, "network: refused", at(9)).unwrap();
        (store.rows("r", None).unwrap(), place.table("SELECT * FROM alert_deliveries WHERE status='DLQ'"))
    };
    let (sqlite, postgres) = (script(&Place::sqlite()), script(&postgres()));
    assert_eq!(sqlite, postgres);
    assert_eq!(sqlite.1.len(), 3, "a line of names and two dead letters: {:?}", sqlite.1);
    assert_eq!(sqlite.1[0][..6], ["delivery_id", "alert_id", "run_id", "phase", "notifier", "status"]);
}

#[test]
fn text_that_postgresql_cannot_hold_does_not_stop_the_cursor() {
    let place = postgres();
    let mut odd = alert("r", 1);
    (odd.message, odd.labels) = ("a\0b".to_owned(), BTreeMap::from([("k\0".to_owned(), "\0".to_owned())]));
    assert_eq!(
        place.store().take_in(&odd, &plan(&["a"]), ("j", 1), NOW).unwrap(),
        Taken::New(Disposition::Deliver)
    );
    assert_eq!(place.store().rows("r", None).unwrap().0[0].message, "a\u{fffd}b");
}

/// The server is stopped, killed and frozen between and in the middle of things.
#[test]
fn a_store_that_goes_away_comes_back() {
    let mut server = services::Postgres::start().unwrap();
    let config = PostgresConfig::resolve(&server.url("postgres"), "", &|_| None).unwrap();
    let store = config.open().unwrap();
    raise(&store, 1, &["a"]);
    let claim = store.claim("r", "main", at(1), LEASE, Lane::All).unwrap().unwrap();
    for kill in [false, true] {
        if kill {
            server.kill();
        } else {
            server.stop();
        }
        // A killed server's children notice a moment later.
        until(|| store.ping().is_err());
        let lost = store.sent(&claim, 1, at(2)).unwrap_err();
        assert!(lost.is_store_lost(), "{lost}");
        assert!(store.ping().unwrap_err().is_store_lost(), "nor is it there a moment later");
        server.start_again().unwrap();
        until(|| store.ping().is_ok());
    }
    assert!(store.sent(&claim, 1, at(3)).unwrap(), "the claim outlived both");
    assert_eq!(store.conservation("r", None).unwrap().delivered, 1);
    // Somebody ends the session.
    sql(
        &server.url("postgres"),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'assay'",
    );
    until(|| store.ping().is_ok());
    // A table is locked: the deadline passes, and what was asked is not done.
    let holder = crate::place::Holder::lock(&server.url("postgres"), "alerts");
    let lost = store.take_in(&alert("r", 2), &plan(&["a"]), ("journal", 2), at(2)).unwrap_err();
    assert!(lost.is_store_lost(), "{lost}");
    drop(holder);
    until(|| store.ping().is_ok());
    assert_eq!(store.cursor("journal").unwrap(), Some(1));
    assert_eq!(raise(&store, 2, &["a"]), Taken::New(Disposition::Deliver));
}

fn until(mut done: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_error_shows_the_address_without_its_password() {
    let url = format!("postgres://user:canary@127.0.0.1:{}/base", services::free_port().unwrap());
    let config = PostgresConfig::resolve("", "URL", &|name| (name == "URL").then(|| url.clone())).unwrap();
    let store = config.open().unwrap();
    let error = store.ping().unwrap_err();
    let all = format!("{error} {error:?} {store:?} {config:?} {config}");
    assert!(all.contains("user@127.0.0.1:") && !all.contains("canary"), "{all}");
}
