//! The environment checker with real databases: brought up, waited for, cleaned with care.

use super::engine::{Container, Engine, Start};
use alerts::{PostgresConfig, StoreServer as _};
use services::{Postgres, Redis};
use state::{Access, State, StateStore};
use std::io::{Read as _, Write as _};
use std::path::Path;
use validate::preflight::{Context, Outcome, Place, Report, RunLock, Stack, Step, run};
use validate::profile::{Profile, StoreKind, load};

/// A rehearsal's profile with its state in Redis.
fn profile(kind: StoreKind, url: &str) -> Profile {
    let mut profile = load("rehearsal").unwrap().profile;
    profile.stores.state.kind = kind;
    profile.stores.state.url = url.to_owned();
    profile.stores.state.url_env = "ASSAY_TEST_NO_SUCH_VARIABLE".to_owned();
    profile.stores.state.service = "arbitrage-redis".to_owned();
    profile
}

struct Checked {
    steps: Vec<Step>,
    state: Option<Place>,
    report: Report,
}

impl Checked {
    fn step(&self, id: &str) -> &Step {
        self.steps.iter().find(|step| step.id == id).unwrap()
    }

    /// The state store's step failed, and says all of this.
    #[track_caller]
    fn fails(&self, parts: &[&str]) -> &Step {
        let step = self.step("state_store");
        assert!(step.is_fatal() && step.next_step.is_some(), "{step:?}");
        for part in parts {
            let text = format!("{} {}", step.found, step.next_step.as_deref().unwrap());
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        assert_eq!(self.step("state_reset").outcome, Outcome::Skipped);
        step
    }
}

fn check(profile: &Profile, docker_host: Option<String>) -> Checked {
    let dir = tempfile::tempdir().unwrap();
    check_in(dir.path(), profile, docker_host, Path::new("/nowhere/assay"))
}

fn check_in(dir: &Path, profile: &Profile, docker_host: Option<String>, program: &Path) -> Checked {
    let _lock = RunLock::take(dir, "127.0.0.1:0", "now").unwrap();
    let stack = Stack::default();
    let steps = run(&Context {
        profile,
        logs_root: dir,
        run_dir: &dir.join("run"),
        endpoints: None,
        program,
        run_id: "now",
        phase_no: 1,
        console: None,
        docker_host,
        stack: &stack,
    });
    let report = Report::new(profile, steps.clone(), &stack);
    Checked { steps, state: stack.state().cloned(), report }
}

fn ask(port: u16, text: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = [0; 4096];
    let n = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

/// A run that wrote its state and ended.
fn ended(server: &Redis, id: &str, profile: &str) {
    let mut store = state::Redis::new(Access::new(&server.url(0)).unwrap(), id);
    store.save(&State { ended: true, ..State::new(id, 1, Some(profile)) }).unwrap();
}

#[test]
fn a_stopped_container_is_started_and_waited_for() {
    let mut server = Redis::start().unwrap();
    ended(&server, "before.main", "rehearsal");
    ended(&server, "other.main", "d77-4");
    server.stop();
    let port = server.port();
    let engine = Engine::play(vec![
        Container::stopped("arbitrage", "arbitrage-postgres", Start::Nothing),
        Container::stopped("arbitrage", "arbitrage-redis", Start::Redis(server)),
    ]);
    // The profile's port is not where the container's was published.
    let profile = profile(StoreKind::Docker, "redis://127.0.0.1:1/0");
    let checked = check(&profile, Some(engine.host()));
    let step = checked.step("state_store");
    assert_eq!(step.outcome, Outcome::Ok, "{step:?}");
    let changed = step.changed.as_deref().unwrap();
    assert_eq!(changed, "started the container arbitrage-arbitrage-redis-1, which was exited");
    assert!(step.found.contains("Redis 7.") && step.found.contains("it answers"), "{step:?}");
    assert_eq!(checked.state.unwrap().address.unwrap(), format!("127.0.0.1:{port}"));
    assert_eq!(engine.status("arbitrage-postgres"), "exited", "nobody asked for it");
    let reset = checked.steps.iter().find(|step| step.id == "state_reset").unwrap();
    assert_eq!(reset.changed.as_deref(), Some("removed: 1 key of before.main"), "{reset:?}");
    assert!(reset.found.contains("keys of other runs stay: other.main"), "{reset:?}");
    let used = checked.report.stack.unwrap();
    assert!(used.state.starts_with("docker arbitrage-arbitrage-redis-1 (redis://127.0.0.1:"), "{used:?}");

    // It runs already: nothing is changed.
    let again = check(&profile, Some(engine.host()));
    let step = again.step("state_store");
    assert_eq!((step.outcome, &step.changed), (Outcome::Ok, &None), "{step:?}");
    let starts = engine.asked().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(starts, 1, "{:?}", engine.asked());
}

#[test]
fn a_container_that_does_not_come_up_is_a_clear_failure() {
    let mut profile = profile(StoreKind::Docker, "redis://127.0.0.1:1/0");
    profile.stores.start_within_s = 1;
    let played = |start: Start, change: fn(&mut Container)| {
        let mut container = Container::stopped("arbitrage", "arbitrage-redis", start);
        change(&mut container);
        let engine = Engine::play(vec![container]);
        check(&profile, Some(engine.host()))
    };
    let step = played(Start::Unhealthy, |_| {})
        .fails(&[
            "arbitrage-arbitrage-redis-1 did not come up in time: it is running and unhealthy",
            "its last health check ended with 1: \"NOAUTH Authentication required.\"",
            "its log ends: Ready to accept connections | # Warning: no password is set",
            "docker logs arbitrage-arbitrage-redis-1",
        ])
        .clone();
    assert!(step.changed.unwrap().starts_with("started"), "what was started is told though it failed");
    played(Start::Ends(137), |_| {}).fails(&["ended with exit code 137", "its log ends"]);
    let refused = "driver failed programming external connectivity on endpoint arbitrage-redis: Bind for \
                   127.0.0.1:6379 failed: port is already allocated";
    played(Start::Refused(refused), |_| {}).fails(&["Docker cannot start", "port is already allocated"]);
    // It runs without a health check, and nothing answers behind its port.
    played(Start::Nothing, |container| {
        container.has_health_check = false;
        container.published = Some(1);
    })
    .fails(&["runs, but redis://127.0.0.1:1/0", "its log ends"]);
    played(Start::Nothing, |container| container.has_health_check = false)
        .fails(&["publish its port on this machine"]);
}

#[test]
fn a_paused_container_goes_on() {
    let server = Redis::start().unwrap();
    let mut container = Container::stopped("arbitrage", "arbitrage-redis", Start::Redis(server));
    container.status = "paused";
    let engine = Engine::play(vec![container]);
    let checked = check(&profile(StoreKind::Docker, "redis://127.0.0.1:1/0"), Some(engine.host()));
    let step = checked.step("state_store");
    assert!(step.changed.as_deref().unwrap().contains("which was paused"), "{step:?}");
    assert_eq!(step.outcome, Outcome::Ok);
}

#[test]
fn a_wrong_service_name_says_which_there_are() {
    let container = |project, service| Container::stopped(project, service, Start::Nothing);
    let mut profile = profile(StoreKind::Docker, "redis://127.0.0.1:1/0");
    let engine = Engine::play(vec![
        container("arbitrage", "arbitrage-postgres"),
        container("arbitrage", "cache"),
        container("shop", "web"),
    ]);
    check(&profile, Some(engine.host())).fails(&[
        "no container of a compose service arbitrage-redis",
        "the project arbitrage has arbitrage-postgres, cache",
        "the project shop has web",
        "correct `stores.state.service`",
    ]);
    assert!(engine.asked().iter().all(|line| line.starts_with("GET")), "nothing was started");

    let engine = Engine::play(vec![container("arbitrage", "cache"), container("shop", "cache")]);
    profile.stores.state.service = "cache".to_owned();
    check(&profile, Some(engine.host())).fails(&[
        "several compose projects have a service cache: arbitrage/cache, shop/cache",
        "set `stores.state.service` to one of them",
    ]);
    profile.stores.start_within_s = 1;
    profile.stores.state.service = "shop/cache".to_owned();
    check(&profile, Some(engine.host())).fails(&["shop-cache-1"]);

    let nothing = Engine::play(Vec::new());
    check(&profile, Some(nothing.host())).fails(&["nor of any other", "docker compose up --no-start"]);
}

#[test]
fn an_engine_that_is_away_is_named() {
    let profile = profile(StoreKind::Docker, "redis://127.0.0.1:1/0");
    check(&profile, Some("unix:///nowhere/docker.sock".to_owned()))
        .fails(&["no Docker Engine at /nowhere/docker.sock", "--stack embedded"]);
    check(&profile, Some("tcp://10.0.0.1:2375".to_owned())).fails(&["only unix:// is spoken here"]);
}

#[test]
fn a_redis_of_others_is_used_and_never_flushed() {
    let mut server = Redis::start().unwrap();
    let port = server.port();
    ask(port, "SET orders:open 42\r\n");
    ended(&server, "before.main", "rehearsal");
    let mut profile = profile(StoreKind::Url, &server.url(0));
    let checked = check(&profile, None);
    assert_eq!(checked.step("state_store").outcome, Outcome::Ok);
    let reset = checked.step("state_reset");
    assert_eq!(reset.changed.as_deref(), Some("removed: 1 key of before.main"));
    assert!(reset.found.contains("other programs' keys are in it too, and stay"), "{reset:?}");

    profile.stores.flush_state = true;
    let checked = check(&profile, None);
    let reset = checked.step("state_reset");
    assert!(reset.is_fatal() && reset.found.contains("keys that are not Assay's: orders:open"), "{reset:?}");
    assert_eq!(ask(port, "GET orders:open\r\n"), "$2\r\n42\r\n");

    // Assay's alone: flushed as was demanded.
    ask(port, "DEL orders:open\r\n");
    ended(&server, "before.main", "rehearsal");
    let checked = check(&profile, None);
    let reset = checked.step("state_reset");
    assert!(reset.changed.as_deref().unwrap().starts_with("flushed the database"), "{reset:?}");
    assert_eq!(ask(port, "DBSIZE\r\n"), ":1\r\n", "the marker");

    server.stop();
    check(&profile, None).fails(&[&format!("redis://127.0.0.1:{port}/0"), "see whether Redis runs there"]);
}

#[test]
fn a_strangers_process_with_the_runners_command_line_survives() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("assay-stranger");
    std::fs::write(&program, "#!/bin/sh\nsleep 600 & wait\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let profile = load("rehearsal").unwrap().profile;
    let words: Vec<String> = profile.runner.command[1..]
        .iter()
        .map(|word| word.replace("{data_source}", "local").replace("{metrics_addr}", "127.0.0.1:9100"))
        .collect();
    // Nobody's child, as a stranger's would be.
    let out = std::process::Command::new("/bin/sh")
        .args(["-c", "setsid \"$0\" \"$@\" >/dev/null 2>&1 </dev/null & echo $!"])
        .arg(&program)
        .args(&words)
        .output()
        .unwrap();
    let pid: i32 = String::from_utf8(out.stdout).unwrap().trim().parse().unwrap();
    let alive = || {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|text| text.contains("assay-stranger"))
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !alive() && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let checked = check_in(dir.path(), &profile, None, &program);
    let survived = alive();
    let session = rustix::process::Pid::from_raw(pid).unwrap();
    let _ = rustix::process::kill_process_group(session, rustix::process::Signal::KILL);
    let step = checked.step("look_alikes");
    assert!(step.outcome == Outcome::Warning && !step.is_fatal(), "{step:?}");
    assert!(step.found.contains(&format!("pid {pid}")) && step.found.contains("not touched"), "{step:?}");
    assert!(survived, "it was ended");
}

#[test]
fn a_stopped_postgres_is_started_and_keeps_the_alerts_of_earlier_runs() {
    let mut server = Postgres::start().unwrap();
    let port = server.port();
    let address = PostgresConfig::resolve(&server.url("postgres"), "", &|_| None).unwrap();
    let now = market::Timestamp::from_millis(1_700_000_000_000);
    let alert = alerts::Alert {
        alert_id: "before.main-1".to_owned(),
        run_id: "before.main".to_owned(),
        phase: "main".to_owned(),
        env: "paper".to_owned(),
        rule_id: "DRILL".to_owned(),
        severity: catalogue::Severity::P3,
        source: "shell".to_owned(),
        title: "a drill of an earlier run".to_owned(),
        message: String::new(),
        labels: std::collections::BTreeMap::new(),
        key: String::new(),
        raised_at: now,
    };
    let plan = alerts::Plan {
        throttle: std::time::Duration::ZERO,
        notifiers: vec!["local_log".to_owned()],
        due: now,
        overflow: 0,
    };
    address.open().unwrap().take_in(&alert, &plan, ("journal", 1), now).unwrap();
    server.stop();
    let engine =
        Engine::play(vec![Container::stopped("arbitrage", "arbitrage-postgres", Start::Postgres(server))]);
    let mut profile = load("rehearsal").unwrap().profile;
    profile.stores.alerts.kind = StoreKind::Docker;
    profile.stores.alerts.url = "postgres://postgres@127.0.0.1:1/postgres".to_owned();
    profile.stores.alerts.url_env = "ASSAY_TEST_NO_SUCH_VARIABLE".to_owned();
    let checked = check(&profile, Some(engine.host()));
    let step = checked.step("alert_store");
    assert_eq!(step.outcome, Outcome::Ok, "{step:?}");
    assert!(step.changed.as_deref().unwrap().starts_with("started the container"), "{step:?}");
    assert!(step.found.contains(&port.to_string()) && step.found.contains("it answers"), "{step:?}");
    let (rows, deliveries) = address.open().unwrap().rows("before.main", None).unwrap();
    assert_eq!((rows.len(), deliveries.len()), (1, 1), "alerts of earlier runs stay");
}
