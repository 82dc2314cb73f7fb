//! One suite for every store: whatever the place, a reader sees the same.

use services::Redis as Server;
use state::{Access, Embedded, FORMAT, Redis, STATE_FILE, Saved, State, StateStore, ping};
use std::collections::BTreeMap;

fn access(server: &Server, database: u8) -> Access {
    Access::new(&server.url(database)).unwrap()
}

fn parts(of: &[(&str, &str)]) -> BTreeMap<String, Box<serde_json::value::RawValue>> {
    of.iter().map(|(name, json)| ((*name).to_owned(), serde_json::from_str(json).unwrap())).collect()
}

fn text(state: &State) -> String {
    serde_json::to_string(state).unwrap()
}

/// What every store must do. `open` gives a new store for a run, as another process would.
fn conforms(mut open: impl FnMut(&str) -> Box<dyn StateStore>) {
    let mut writer = open("r1.main");
    let mut reader = open("r1.main");
    assert!(reader.load().unwrap().is_none() && reader.pulled().unwrap().is_none(), "{writer:?}");

    let mut state = State::new("r1.main", 42, Some("d77-4"));
    assert_eq!(writer.save(&state).unwrap(), Saved::AsExpected);
    assert_eq!(text(&reader.load().unwrap().unwrap()), text(&state));

    // Numbers beyond 64 bits and decimals pass unchanged: they are text on the way.
    state.latest = Some(parts(&[
        ("positions", r#"[{"asset":"BTC","quantity":"170141183460469231731.68730371"}]"#),
        ("net_usd", "170141183460469231731687303715884105727"),
        ("fx", r#"{"rate":"1432.5"}"#),
    ]));
    assert_eq!(writer.save(&state).unwrap(), Saved::AsExpected);
    assert_eq!(text(&reader.load().unwrap().unwrap()), text(&state));

    // As a whole: a part that is gone is gone.
    state.latest = Some(parts(&[("positions", "[]"), ("guards", r#"{"3":"held"}"#)]));
    writer.save(&state).unwrap();
    let read = reader.load().unwrap().unwrap();
    assert_eq!(read.latest.unwrap().keys().collect::<Vec<_>>(), ["guards", "positions"]);

    // Seen by the run, and only by it.
    assert!(writer.pulled().unwrap().is_none());
    open("r1.main").pull("the operator says stop: \"now\"").unwrap();
    assert_eq!(writer.pulled().unwrap().unwrap(), "the operator says stop: \"now\"");
    assert!(open("r1.mai").pulled().unwrap().is_none() && open("r2.main").load().unwrap().is_none());
    state.kill_switch = writer.pulled().unwrap();
    state.ended = true;
    writer.save(&state).unwrap();
    assert_eq!(text(&reader.load().unwrap().unwrap()), text(&state));
    // A restart of the run finds what its process of before left, the switch included.
    let mut again = open("r1.main");
    assert_eq!(again.save(&State::new("r1.main", 43, None)).unwrap(), Saved::AsExpected);
    assert!(again.pulled().unwrap().is_some());
    assert_eq!(reader.load().unwrap().unwrap().format, FORMAT);
    assert!(!writer.place().is_empty());
}

#[test]
fn the_embedded_store_conforms() {
    let place = tempfile::tempdir().unwrap();
    conforms(|run| Box::new(Embedded::new(place.path(), run)));
    let names: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing is left aside: {names:?}");
}

#[test]
fn the_store_in_redis_conforms() {
    let server = Server::start().unwrap();
    let access = access(&server, 3);
    conforms(|run| Box::new(Redis::new(access.clone(), run)));
    assert!(ping(&access).unwrap().starts_with(|c: char| c.is_ascii_digit()));
    // Another database of the same server knows nothing of it.
    let other = Access::new(&server.url(4)).unwrap();
    assert!(Redis::new(other, "r1.main").load().unwrap().is_none());
}

#[test]
fn a_lost_embedded_store_is_told_and_comes_back() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let mut store = Embedded::new(&folder, "r");
    let state = State::new("r", 1, None);
    let error = store.save(&state).unwrap_err();
    assert!(error.to_string().contains(STATE_FILE), "{error}");
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(store.save(&state).unwrap(), Saved::AsExpected);
    std::fs::remove_file(folder.join(STATE_FILE)).unwrap();
    assert_eq!(store.save(&state).unwrap(), Saved::Vanished);
    assert_eq!(store.save(&state).unwrap(), Saved::AsExpected);
}

#[test]
fn a_lost_redis_is_told_and_comes_back_with_its_data() {
    let mut server = Server::start().unwrap();
    let access = access(&server, 0);
    let mut store = Redis::new(access.clone(), "r");
    let mut state = State::new("r", 1, None);
    store.save(&state).unwrap();
    server.kill();
    let error = store.save(&state).unwrap_err();
    assert!(error.to_string().contains(access.place()), "{error}");
    let refused = ping(&access).unwrap_err().to_string();
    assert!(refused.contains("see whether Redis runs there"), "{refused}");
    assert!(store.pulled().is_err() && store.load().is_err());
    server.start_again().unwrap();
    let saved = retry(|| store.save(&state));
    assert_eq!(saved, Saved::AsExpected, "its append-only file kept what was written");

    // Flushed by somebody while the run goes on: told, and written again with the marker.
    let mut raw = redis::Client::open(server.url(0)).unwrap().get_connection().unwrap();
    redis::cmd("FLUSHDB").query::<()>(&mut raw).unwrap();
    state.latest = Some(parts(&[("positions", "[]")]));
    assert_eq!(store.save(&state).unwrap(), Saved::Vanished);
    assert_eq!(store.save(&state).unwrap(), Saved::AsExpected);
    assert_eq!(text(&store.load().unwrap().unwrap()), text(&state));
    let marked: bool = redis::cmd("EXISTS").arg("assay:marker").query(&mut raw).unwrap();
    assert!(marked);
    let ttl: i64 = redis::cmd("TTL").arg("assay:r:alive").query(&mut raw).unwrap();
    assert!((1..=i64::try_from(state::ALIVE_S).unwrap()).contains(&ttl), "{ttl}");
}

/// A server that accepts and never answers does not hold anybody.
#[test]
fn a_silent_redis_is_told_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("redis://{}/1", listener.local_addr().unwrap());
    let access = Access::new(&address).unwrap();
    let error = Redis::new(access, "r").save(&State::new("r", 1, None)).unwrap_err();
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

/// Until it works: a store that failed to connect waits a moment before it tries again.
fn retry<T>(mut act: impl FnMut() -> Result<T, state::StateError>) -> T {
    for _ in 0..600 {
        if let Ok(done) = act() {
            return done;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    act().unwrap()
}

#[test]
fn a_kill_switch_that_cannot_be_read_is_no_absent_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(state::KILL_FILE), "{").unwrap();
    let found = Embedded::new(folder.path(), "r1.main").pulled();
    assert!(matches!(found, Err(state::StateError::Content { .. })), "{found:?}");

    let server = Server::start().unwrap();
    let mut raw = redis::Client::open(server.url(0)).unwrap().get_connection().unwrap();
    let mut store = Redis::new(access(&server, 0), "r1.main");
    for (command, value) in [("SET", &b"now!"[..]), ("SET", b"\xff\xfe"), ("LPUSH", b"now!")] {
        redis::cmd("DEL").arg("assay:r1.main:kill_switch").query::<()>(&mut raw).unwrap();
        redis::cmd(command).arg("assay:r1.main:kill_switch").arg(value).query::<()>(&mut raw).unwrap();
        let found = store.pulled();
        assert!(matches!(found, Err(state::StateError::Content { .. })), "{command} {value:?}: {found:?}");
    }
}
