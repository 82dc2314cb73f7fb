//! `kill -9` of a real runner, and its way back: nothing reported is lost or doubled, and live equals replay.
//!
//! The kills are short here; `ASSAY_KILLS=200` makes them as many as asked for. Every test prints its seed, and
//! `ASSAY_KILL_SEED` repeats one.

use crate::harness::{Done, Scratch, assay, finish, free_port, http, kill, seat, start, wait_for};
use assay::generate::{Plan, write_log};
use engine::Config;
use engine::kpi::Kpis;
use engine::recover::State;
use exchange::MarketKind;
use journal::Entry;
use journal::file::Reader;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A generator whose seed is printed.
fn seeded(test: &str) -> ChaCha8Rng {
    let seed = number("ASSAY_KILL_SEED", u64::from(std::process::id()));
    println!("{test}: ASSAY_KILL_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

/// A runner in a folder of its own.
struct Bench {
    scratch: Scratch,
    args: Vec<String>,
    metrics: SocketAddr,
}

impl Bench {
    fn new(config: &str, more: &[&str]) -> Self {
        let scratch = Scratch::new();
        let dir = scratch.path();
        let config_path = dir.join("assay.toml");
        std::fs::write(&config_path, config).unwrap();
        let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut args = vec!["run".to_owned(), "--run-id".to_owned(), "r.main".to_owned()];
        args.extend(["--config".to_owned(), text(&config_path)]);
        args.extend(["--kpi-output-path".to_owned(), text(&dir.join("kpi.json"))]);
        args.extend(["--metrics-addr".to_owned(), metrics.to_string()]);
        args.extend(more.iter().map(|word| (*word).to_owned()));
        Self { scratch, args, metrics }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn journal(&self) -> PathBuf {
        self.path("journal/journal.log")
    }

    fn run(&self) -> Done {
        finish(start(&self.args, self.scratch.path()), self.scratch.path())
    }

    /// Starts it and kills it when `when` says so, or lets it end before; what it had reported by then.
    fn killed(&self, when: impl FnOnce(&Self)) -> Reported {
        let mut child = start(&self.args, self.scratch.path());
        when(self);
        let page = http("GET", self.metrics, "/metrics")
            .map_or(String::new(), |(_, body)| String::from_utf8_lossy(&body).into_owned());
        kill(child.id() as i32);
        child.wait().unwrap();
        let kpi = std::fs::read(self.path("kpi.json")).unwrap_or_default();
        Reported { page, kpi: serde_json::from_slice(&kpi).unwrap_or(Value::Null) }
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        if let Ok(mut reader) = Reader::open(&self.journal()) {
            while let Some(entry) = reader.next_entry().unwrap() {
                entries.push(entry);
            }
        }
        let whole = entries.iter().rposition(|entry| entry.commit).map_or(0, |last| last + 1);
        entries.truncate(whole);
        entries
    }

    fn kpi(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("kpi.json")).unwrap()).unwrap()
    }

    /// `assay kpi --from-journal` says what the KPI file says.
    fn kpi_file_agrees_with_journal(&self) {
        let done = assay(["kpi", "--from-journal", &self.journal().to_string_lossy()]);
        let recomputed: Value = serde_json::from_str(&done.exits(0).stdout).unwrap();
        let kpi = self.kpi();
        for (field, value) in recomputed.as_object().unwrap() {
            assert_eq!(&kpi[field], value, "{field}");
        }
    }
}

/// What a process had shown when it was killed.
struct Reported {
    page: String,
    kpi: Value,
}

impl Reported {
    fn metric(&self, name: &str) -> u64 {
        let line = self
            .page
            .lines()
            .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map_or(0, |value| value as u64)
    }

    /// Everything that was shown is in the journal: its KPIs are those of a beginning of it, the page's are not beyond it.
    fn is_in(&self, entries: &[Entry]) {
        let mut kpis = Kpis::new();
        let is_kpi = |kpis: &Kpis| kpis.fields().iter().all(|(field, value)| self.kpi[field] == *value);
        let mut found = self.kpi.is_null() || is_kpi(&kpis);
        for entry in entries {
            kpis.on(entry);
            found |= entry.commit && is_kpi(&kpis);
        }
        assert!(found, "no beginning of the journal gives what the KPI file said: {:#}", self.kpi);
        assert!(self.metric("arb_topn_entry_trades_total") <= kpis.entries());
        assert!(self.metric("arb_topn_round_trips_total") <= kpis.round_trips());
    }
}

/// A session of the synthetic market as an input log.
fn record(path: &Path, seed: u64, seconds: u64) {
    let config = Config {
        topn: 40,
        time_limit_ms: 5_000,
        entry_pause_ms: 1_000,
        cooldown_route_ms: 5_000,
        cooldown_cross_ms: 15_000,
        ..Config::default()
    };
    let plan = Plan {
        prices: None,
        symbols: 40,
        kind: MarketKind::Edge,
        seed,
        planted: Vec::new(),
        lasts: Some(Duration::from_secs(seconds)),
        config,
    };
    write_log(&plan, path).unwrap();
}

const QUICK: &str =
    "linger_ms = 0\nkpi_interval_ms = 100\niteration_log_ms = 500\n[alerts]\nsettle_ms = 5000\n";

fn replaying(log: &Path) -> Bench {
    Bench::new(QUICK, &["--data-source", "replay", "--recording", &log.to_string_lossy()])
}

/// Ids of the engine's alerts that the store holds.
fn stored_alerts(bench: &Bench) -> Vec<String> {
    let store = alerts::Store::open(&bench.path("journal/alerts.sqlite")).unwrap();
    let (alerts, _) = store.rows("r.main", None).unwrap();
    alerts.into_iter().map(|row| row.alert_id).filter(|id| id.starts_with("generated-")).collect()
}

#[test]
fn after_kills_at_random_moments_a_replay_ends_as_if_nothing_had_happened() {
    let _seat = seat(2);
    let mut rng = seeded("kills of a replay");
    let folder = Scratch::new();
    let log = folder.path().join("input.rec");
    record(&log, 77, 60);
    let whole = replaying(&log);
    let begun = Instant::now();
    whole.run().exits(0);
    let takes = begun.elapsed().as_micros() as u64;
    let expected = std::fs::read(whole.journal()).unwrap();
    let uninterrupted = whole.entries();
    let trades = whole.kpi()["total_trades"].as_u64().unwrap();
    assert!(trades > 20, "{trades} trades only");
    let mut alerts = stored_alerts(&whole);
    alerts.sort();

    let (kills, mut done, mut inside) = (number("ASSAY_KILLS", 12), 0, 0);
    while done < kills {
        let bench = replaying(&log);
        for _ in 0..rng.random_range(1..=3) {
            let wait = Duration::from_micros(rng.random_range(0..takes * 11 / 10));
            let reported = bench.killed(|_| std::thread::sleep(wait));
            done += 1;
            let entries = bench.entries();
            reported.is_in(&entries);
            // Balances, positions and results are those of the uninterrupted run at the same input.
            assert!(uninterrupted.starts_with(&entries), "killed after {wait:?}");
            inside += u64::from(!entries.is_empty() && entries.len() < uninterrupted.len());
        }
        bench.run().exits(0);
        assert!(std::fs::read(bench.journal()).unwrap() == expected, "the journal is another one");
        let (kpi, before) = (bench.kpi(), whole.kpi());
        for field in Kpis::new().fields().keys() {
            assert_eq!(kpi[field], before[field], "{field}");
        }
        let mut again = stored_alerts(&bench);
        again.sort();
        assert_eq!(again, alerts, "alerts are neither lost nor doubled");
    }
    println!("{done} kills, {inside} of them inside the journal of {} records", uninterrupted.len());
    assert!(inside > 0, "no kill fell into the session");
}

/// A local exchange on a thread of its own.
pub(crate) struct Market {
    pub(crate) config: String,
    control: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Market {
    pub(crate) fn start(seed: u64) -> Self {
        let (ready, started) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let options = exchange::Options::local(30, MarketKind::Edge, seed);
                let server = exchange::start(options).await.unwrap();
                ready.send((server.upbit, server.binance, server.control)).unwrap();
                let _ = stopped.await;
                server.shutdown().await;
            });
        });
        let (upbit, binance, control) = started.recv_timeout(Duration::from_secs(20)).unwrap();
        let config = format!(
            "linger_ms = 0\nkpi_interval_ms = 200\nrecord_inputs = true\nprobe_every_ms = 1000\n\
             [alerts]\nsettle_ms = 5000\n\
             [engine]\ntime_limit_ms = 3000\nentry_pause_ms = 500\ncooldown_route_ms = 3000\ncooldown_cross_ms = 3000\n\
             [endpoints]\nupbit_rest = \"http://{upbit}\"\nupbit_ws = \"ws://{upbit}\"\n\
             binance_rest = \"http://{binance}\"\nbinance_ws = \"ws://{binance}\"\n"
        );
        Self { config, control, stop: Some(stop), thread: Some(thread) }
    }

    fn fault(&self, body: &str) {
        let mut stream = std::net::TcpStream::connect(self.control).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST /fault HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn live(market: &Market, seconds: &str) -> Bench {
    Bench::new(
        &market.config,
        &["--data-source", "local", "--topn-size", "30", "--run-duration-seconds", seconds],
    )
}

/// Waits until the journal tells of something.
fn until(bench: &Bench, what: &str) {
    wait_for(what, Duration::from_secs(30), || {
        let text = std::fs::read_to_string(bench.journal()).ok()?;
        text.contains(what).then_some(())
    });
}

#[test]
fn a_live_session_with_faults_and_kills_replays_to_its_journal() {
    let _seat = seat(3);
    let mut rng = seeded("kills of a live session");
    let market = Market::start(11);
    let bench = live(&market, "8");
    let faults = [r#"{"kind":"silent","lasts_ms":700}"#, r#"{"kind":"cut","lasts_ms":400}"#];
    let (kills, mut shown) = (number("ASSAY_KILLS", 2), 0);
    for fault in faults.into_iter().cycle().take(kills as usize) {
        let more = Duration::from_millis(rng.random_range(100..2_500));
        let reported = bench.killed(|bench| {
            until(bench, "\"opened\":");
            market.fault(fault);
            std::thread::sleep(more);
        });
        let entries = bench.entries();
        reported.is_in(&entries);
        let trades = reported.kpi["total_trades"].as_u64().unwrap_or(0);
        assert!(trades >= shown, "the counters went back from {shown} to {trades}");
        shown = trades;
    }
    bench.run().exits(0);
    let entries = bench.entries();
    let came_back: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.body {
            journal::Body::Resumed { positions, orders, cut_bytes, .. } => {
                Some((*positions, *orders, *cut_bytes))
            }
            _ => None,
        })
        .collect();
    println!("{} records; came back (positions, orders, bytes cut): {came_back:?}", entries.len());
    // A kill may meet a process that has not come back yet.
    assert!((1..=kills as usize).contains(&came_back.len()), "{came_back:?}");
    // The funnel knows of every entry and every close, whichever process made them.
    let kpi = bench.kpi();
    let is_closed = |entry: &&Entry| matches!(entry.body, journal::Body::Closed { .. });
    let closed = entries.iter().filter(is_closed).count() as u64;
    assert_eq!(kpi["funnel"]["exited"], closed, "{:#}", kpi["funnel"]);
    assert!(kpi["funnel"]["sent"].as_u64().unwrap() >= closed);
    let first = entries[0].at;
    assert!(
        kpi["duration_s"].as_f64().unwrap() >= entries[entries.len() - 1].at.secs_since(first),
        "{kpi:#}"
    );
    assert!(bench.kpi()["complete"] == true && bench.kpi()["total_trades"].as_u64().unwrap() >= shown);
    bench.kpi_file_agrees_with_journal();
    let accounts = gate::account(&entries).unwrap();
    assert!(accounts.problems.is_empty(), "{:?}", accounts.problems);
    // Everything that was opened was closed once, and ids are used once.
    let mut ids = BTreeSet::new();
    for entry in &entries {
        if let journal::Body::Closed { position, .. } | journal::Body::Unwound { position, .. } = entry.body {
            assert!(ids.insert(position), "position {position} ended twice");
        }
    }
    let (log, journal) = (bench.path("journal/input.rec"), bench.journal());
    let done = assay(["replay", &log.to_string_lossy(), "--expect", &journal.to_string_lossy()]);
    done.exits(0).says("byte for byte");

    // The same log as a run's data source, with the restarts in it.
    let again = replaying(&log);
    again.run().exits(0);
    assert!(std::fs::read(again.journal()).unwrap() == std::fs::read(&journal).unwrap());

    // It ended in order: its run id is used up.
    bench.run().exits(64).says("ended in order");
}

#[test]
fn a_journal_that_is_not_this_runs_is_left_as_it_is() {
    let _seat = seat(3);
    let market = Market::start(12);
    let mut bench = live(&market, "60");
    bench.killed(|bench| until(bench, "\"opened\":"));
    let journal = bench.journal();
    let kept = std::fs::read(&journal).unwrap();
    let kpi = std::fs::read(bench.path("kpi.json")).unwrap();
    let unchanged = |bench: &Bench, what: &str| {
        assert!(std::fs::read(bench.journal()).unwrap() == kept, "{what}: the journal was changed");
        assert!(std::fs::read(bench.path("kpi.json")).unwrap() == kpi, "{what}: the KPI file was changed");
    };

    // Another run id, another configuration.
    let id = bench.args.iter().position(|word| word == "r.main").unwrap();
    bench.args[id] = "r.other".to_owned();
    bench.run().exits(64).says("r.main").says("--run-id");
    unchanged(&bench, "another run id");
    bench.args[id] = "r.main".to_owned();
    let config = bench.path("assay.toml");
    std::fs::write(&config, market.config.replace("time_limit_ms = 3000", "time_limit_ms = 3001")).unwrap();
    bench.run().exits(64).says("another configuration").says("time_limit_ms was 3000, is 3001");
    unchanged(&bench, "another configuration");
    std::fs::write(&config, &market.config).unwrap();

    // A damaged line in the middle.
    let mut damaged = kept.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&journal, &damaged).unwrap();
    let line = kept[..middle].iter().filter(|byte| **byte == b'\n').count() + 1;
    let said = bench.run();
    said.exits(66).is_one_paragraph().says("journal.log").says(&format!("damaged in line {line}"));
    said.says("checksum").says("nothing was changed").says("begin anew with another --run-id");
    assert!(std::fs::read(&journal).unwrap() == damaged);
    // A whole input missing.
    let text = String::from_utf8(kept.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let short: Vec<&str> = lines[..8].iter().chain(&lines[9..]).copied().collect();
    std::fs::write(&journal, short.join("\n") + "\n").unwrap();
    bench.run().exits(66).says("missing or out of order");

    // A torn tail: half an input and half a line are cut and told.
    let last = lines.iter().rposition(|line| !line.contains("\"commit\":true")).unwrap();
    let torn = lines[..=last].join("\n") + "\n" + &lines[last + 1][..20];
    let whole = lines[..last].iter().rposition(|line| line.contains("\"commit\":true")).unwrap() + 1;
    std::fs::write(&journal, &torn).unwrap();
    let duration = bench.args.iter().position(|word| word == "60").unwrap();
    bench.args[duration] = "2".to_owned();
    bench.run().exits(0).says("were cut");
    let told = bench.entries().into_iter().find_map(|entry| match entry.body {
        journal::Body::Resumed { after_seq, cut_records, cut_bytes, .. } => {
            Some((after_seq, cut_records, cut_bytes))
        }
        _ => None,
    });
    let bytes = torn.len() - lines[..whole].iter().map(|line| line.len() + 1).sum::<usize>();
    assert_eq!(told, Some((whole as u64, (last + 1 - whole) as u64, bytes as u64)));
    bench.kpi_file_agrees_with_journal();
    let log = bench.path("journal/input.rec");
    let done = assay(["replay", &log.to_string_lossy(), "--expect", &journal.to_string_lossy()]);
    done.exits(0).says("byte for byte");
    // What the state of the end says is what the ledger's own balances say.
    let mut state = State::new();
    bench.entries().iter().for_each(|entry| state.fold(entry).unwrap());
    assert!(state.ended && state.positions.is_empty());
}

#[test]
fn the_kill_switch_is_seen_from_outside_and_a_lost_store_is_survived() {
    let _seat = seat(3);
    let market = Market::start(13);
    let bench = live(&market, "60");
    let child = start(&bench.args, bench.scratch.path());
    until(&bench, "\"opened\":");
    let folder = bench.path("journal");
    let folder = folder.to_string_lossy();
    assay(["stop", "r.other", "--journal-dir", &folder]).exits(64).says("r.main");
    assay(["stop", "r.main", "--journal-dir", &folder]).exits(0).says("saw its kill switch");
    finish(child, bench.scratch.path()).exits(0).says("kill switch was pulled");
    assert_eq!(bench.kpi()["stop_reason"], "kill_switch");
    let entries = bench.entries();
    let ended = entries.iter().any(
        |entry| matches!(&entry.body, journal::Body::End { reason, open_positions: 0 } if reason == "kill_switch"),
    );
    assert!(ended, "{:?}", entries.last());
    bench.kpi_file_agrees_with_journal();
    let state: Value =
        serde_json::from_slice(&std::fs::read(bench.path("journal/state.json")).unwrap()).unwrap();
    assert_eq!((&state["run_id"], &state["kill_switch"]), (&"r.main".into(), &"assay stop".into()));
    assert!(
        state["latest"]["fx"]["rate"].is_string() || state["latest"]["fx"]["rate"].is_number(),
        "{state:#}"
    );
    // Nobody is there any more.
    assay(["stop", "r.main", "--journal-dir", &bench.path("nowhere").to_string_lossy()]).exits(66);

    // A store that cannot be written: the run goes on and says so.
    let bench = live(&market, "3");
    std::fs::create_dir_all(bench.path("journal/state.json/taken")).unwrap();
    bench.run().exits(0).says("the state store is lost");
    let store = alerts::Store::open(&bench.path("journal/alerts.sqlite")).unwrap();
    let (rows, _) = store.rows("r.main", None).unwrap();
    assert_eq!(rows.iter().filter(|row| row.rule_id == "STATE-SAVE-FAILED").count(), 1);
}

/// The same input log through the binaries of other build profiles, named in `ASSAY_BUILDS` (such as `dev,release`): one
/// journal. `cargo xtask campaign builds` does it.
#[test]
fn other_builds_give_the_same_journal() {
    let Ok(profiles) = std::env::var("ASSAY_BUILDS") else {
        eprintln!("SKIPPED: ASSAY_BUILDS names no build profiles; `cargo xtask campaign builds` does");
        return;
    };
    let folder = Scratch::new();
    let log = folder.path().join("input.rec");
    record(&log, 78, 120);
    let journal = |binary: &Path, name: &str| {
        let out = folder.path().join(name);
        let words = [Path::new("replay"), &log, Path::new("--journal"), &out];
        let done: Done = std::process::Command::new(binary).args(words).output().unwrap().into();
        println!("{}: {}", binary.display(), done.exits(0).stdout.trim());
        std::fs::read(out).unwrap()
    };
    let ours = journal(Path::new(crate::harness::ASSAY), "ours.log");
    for profile in profiles.split(',') {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let built = std::process::Command::new(cargo)
            .args(["build", "--locked", "-p", "assay", "--profile", profile, "--message-format=json"])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let messages = String::from_utf8_lossy(&built.stdout).into_owned();
        let binary = messages.lines().rev().find_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            message["executable"].as_str().map(PathBuf::from)
        });
        let theirs = journal(&binary.unwrap(), &format!("{profile}.log"));
        assert!(theirs == ours, "{profile} gives another journal");
    }
    println!("{} bytes of journal, the same from every build", ours.len());
}
