//! The state store in a real Redis: it shows a live run and takes its kill switch; killed and flushed in mid-run, it is told of and
//! the run goes on.

use crate::harness::{Done, Scratch, assay, finish, free_port, seat, start, wait_for};
use crate::restarts::Market;
use serde_json::Value;
use services::Redis;
use state::{Access, State, StateStore};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(30);

/// A runner whose state is in a Redis.
struct Bench {
    scratch: Scratch,
    url: String,
    child: Child,
}

impl Bench {
    fn start(market: &Market, server: &Redis) -> Self {
        let scratch = Scratch::new();
        let url = server.url(0);
        let config = scratch.path().join("assay.toml");
        std::fs::write(&config, format!("{}[state]\nurl = \"{url}\"\n", market.config)).unwrap();
        let kpi = scratch.path().join("kpi.json");
        let port = free_port();
        let words = format!(
            "run --run-id r.main --data-source local --topn-size 30 --run-duration-seconds 120 --metrics-addr 127.0.0.1:{port} \
             --config {} --kpi-output-path {}",
            config.display(),
            kpi.display()
        );
        let child = start(words.split(' '), scratch.path());
        Self { scratch, url, child }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn state(&self) -> Option<State> {
        state::Redis::new(Access::new(&self.url).unwrap(), "r.main").load().ok()?
    }

    /// What the files beside the journal say of the journal's length.
    fn journal_seq(&self) -> Option<u64> {
        let bytes = std::fs::read(self.path("journal/state.json")).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()?["latest"]["journal_seq"].as_u64()
    }

    fn says(&self, what: &str) {
        wait_for(what, WITHIN, || {
            std::fs::read_to_string(self.path("stderr")).ok()?.contains(what).then_some(())
        });
    }

    fn end(self) -> (Done, Value, Scratch) {
        let done = finish(self.child, self.scratch.path());
        let kpi =
            serde_json::from_slice(&std::fs::read(self.scratch.path().join("kpi.json")).unwrap()).unwrap();
        (done, kpi, self.scratch)
    }
}

fn command(server: &Redis, text: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    let mut answer = [0; 4096];
    let n = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

#[test]
fn redis_shows_a_run_and_takes_its_kill_switch() {
    let _seat = seat(3);
    let market = Market::start(13);
    let server = Redis::start().unwrap();
    let bench = Bench::start(&market, &server);
    let latest = wait_for("its state in Redis", WITHIN, || {
        bench.state()?.latest.filter(|parts| parts.get("fx").is_some_and(|fx| fx.get() != "null"))
    });
    for part in ["positions", "guards", "fx"] {
        assert!(latest.contains_key(part), "{latest:?}");
    }
    assay(["stop", "r.other", "--state-url", &bench.url]).exits(64).says("knows no run r.other");
    assay(["stop", "r.main", "--state-url", &bench.url]).exits(0).says("saw its kill switch");
    let url = bench.url.clone();
    let (done, kpi, _scratch) = bench.end();
    done.exits(0).says("kill switch was pulled");
    assert_eq!((&kpi["stop_reason"], &kpi["complete"]), (&"kill_switch".into(), &true.into()));
    let left = state::Redis::new(Access::new(&url).unwrap(), "r.main").load().unwrap().unwrap();
    assert!(left.ended && left.kill_switch.as_deref() == Some("assay stop"), "{left:?}");
    assay(["stop", "r.main", "--state-url", &url]).exits(64).says("that is alive");
    assert_eq!(command(&server, "EXISTS assay:marker"), ":1\r\n");
}

#[test]
fn a_redis_that_is_flushed_and_killed_in_mid_run_is_told_and_survived() {
    let _seat = seat(3);
    let market = Market::start(17);
    let mut server = Redis::start().unwrap();
    let bench = Bench::start(&market, &server);
    wait_for("its state in Redis", WITHIN, || bench.state()?.latest);

    assert_eq!(command(&server, "FLUSHDB"), "+OK\r\n");
    bench.says("the state store was emptied");
    wait_for("its state in Redis again", WITHIN, || bench.state()?.latest);

    server.kill();
    bench.says("the state store is lost");
    let before = bench.journal_seq().unwrap();
    wait_for("a run that goes on", WITHIN, || (bench.journal_seq()? > before).then_some(()));
    server.start_again().unwrap();
    bench.says("the state store is back");
    wait_for("its newest state in Redis", WITHIN, || {
        let seq: u64 = bench.state()?.latest?["journal_seq"].get().parse().ok()?;
        (seq > before).then_some(())
    });

    // Away again, at the end: neither the files' kill switch nor the end wait for it.
    server.stop();
    assay(["stop", "r.main", "--journal-dir", &bench.path("journal").to_string_lossy()]).exits(0);
    let (done, kpi, scratch) = bench.end();
    done.exits(0);
    assert_eq!((&kpi["stop_reason"], &kpi["complete"]), (&"kill_switch".into(), &true.into()));
    let store = alerts::Store::open(&scratch.path().join("journal/alerts.sqlite")).unwrap();
    let (rows, _) = store.rows("r.main", None).unwrap();
    let mut titles: Vec<&str> =
        rows.iter().filter(|row| row.rule_id == "SYS-REDIS-LOST").map(|row| row.title.as_str()).collect();
    titles.sort_unstable();
    titles.dedup();
    assert_eq!(titles, ["The state store is lost", "The state store was emptied"]);
    assert!(!rows.iter().any(|row| row.rule_id == "STATE-SAVE-FAILED"), "the files were never lost");
}
