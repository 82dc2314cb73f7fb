//! C6 through Grafana's HTTP API, from a run to its verdict. Grafana is played by a server of ours that serves the dashboards of
//! `deploy/` and gives `/api/ds/query` the answers of a real Prometheus in Grafana's data frames, as Grafana 12 does; Prometheus scrapes
//! the runner under validation with the configuration of `deploy/`.

use crate::harness::{Done, Fake, Scratch, copy, finish, free_port, http, seat, wait_for};
use serde_json::{Value, json};
use services::Prometheus;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A service account's token, of which no trace may be left.
const TOKEN: &str = "glsa_cANARYcANARYcANARYcANARY_0badc0de";

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    /// A panel's queries find no series.
    EmptyPanel,
    /// It is gone once both dashboards were answered.
    GoesAway,
    /// Somebody has changed a panel's query by hand.
    OtherQuery,
}

struct Shared {
    defect: Defect,
    prometheus: SocketAddr,
    /// Dashboards that were answered with data.
    queries: AtomicU32,
    gone: AtomicBool,
    marks: Mutex<Vec<Value>>,
}

/// A server that plays Grafana.
struct Player {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Player {
    fn start(defect: Defect, prometheus: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            defect,
            prometheus,
            queries: AtomicU32::new(0),
            gone: AtomicBool::new(false),
            marks: Mutex::default(),
        });
        let state = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                // A request that breaks off is the client's affair.
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { address, shared }
    }
}

fn serve(stream: TcpStream, state: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length, mut authorised) = (String::new(), 0, false);
    reader.read_line(&mut line)?;
    let mut head = String::new();
    loop {
        head.clear();
        if reader.read_line(&mut head)? == 0 || head.trim().is_empty() {
            break;
        }
        let (name, value) = head.split_once(':').unwrap_or_default();
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => authorised = value.trim() == format!("Bearer {TOKEN}"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if state.gone.load(Ordering::SeqCst) {
        return Ok(());
    }
    let words: Vec<&str> = line.split(' ').collect();
    let (status, answer) = answer(state, words[0], words[1], authorised, &body);
    let text = answer.to_string();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}

fn answer(state: &Shared, method: &str, path: &str, authorised: bool, body: &[u8]) -> (u16, Value) {
    // Everybody may ask whether it lives.
    if path == "/api/health" {
        return (
            200,
            json!({ "commit": "5bda17e7c1cb313eb96266f2fdda73a6b35c3977", "database": "ok", "version": "12.0.2" }),
        );
    }
    if !authorised {
        return (
            401,
            json!({ "extra": null, "message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401, "traceID": "" }),
        );
    }
    match (method, path) {
        ("GET", _) if path.starts_with("/api/dashboards/uid/") => {
            dashboard(state, &path["/api/dashboards/uid/".len()..])
        }
        ("POST", "/api/ds/query") => {
            let asked: Value = serde_json::from_slice(body).unwrap();
            let results: serde_json::Map<String, Value> = asked["queries"]
                .as_array()
                .unwrap()
                .iter()
                .map(|query| {
                    (query["refId"].as_str().unwrap().to_owned(), result(state, query, &asked["to"]))
                })
                .collect();
            // Not before both dashboards had data: what was seen empty stays so.
            let fields = &results.get("run").map(|run| run["frames"][0]["schema"]["fields"].clone());
            let has_data = fields.as_ref().and_then(Value::as_array).is_some_and(|f| !f.is_empty());
            let with_data =
                state.queries.fetch_add(u32::from(has_data), Ordering::SeqCst) + u32::from(has_data);
            if state.defect == Defect::GoesAway && with_data >= 4 {
                state.gone.store(true, Ordering::SeqCst);
            }
            (200, json!({ "results": results }))
        }
        ("POST", "/api/annotations") => {
            let mut marks = state.marks.lock().unwrap();
            marks.push(serde_json::from_slice(body).unwrap());
            (200, json!({ "id": marks.len(), "message": "Annotation added" }))
        }
        _ => (404, json!({ "message": "Not found" })),
    }
}

fn dashboard(state: &Shared, uid: &str) -> (u16, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/grafana/dashboards");
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let mut all =
        files.map(|file| serde_json::from_slice::<Value>(&std::fs::read(file.path()).unwrap()).unwrap());
    let Some(mut model) = all.find(|model| model["uid"] == uid) else {
        return (404, json!({ "message": "Dashboard not found" }));
    };
    model["id"] = json!(7);
    model["version"] = json!(1);
    if state.defect == Defect::OtherQuery {
        model["panels"][0]["targets"][0]["expr"] = "vector(1)".into();
    }
    let meta = json!({ "type": "db", "canSave": false, "slug": "slug", "folderTitle": "Assay", "provisioned": true,
                       "provisionedExternalId": "x.json" });
    (200, json!({ "meta": meta, "dashboard": model }))
}

/// One result: what Prometheus answers, in Grafana's frames.
fn result(state: &Shared, query: &Value, to: &Value) -> Value {
    assert_eq!(query["datasource"]["uid"], "assay-prometheus", "{query}");
    assert_eq!(query["instant"], true, "{query}");
    let expr = query["expr"].as_str().unwrap();
    let empty = json!({ "status": 200, "frames": [{ "schema": { "refId": query["refId"],
        "meta": { "type": "numeric-multi", "typeVersion": [0, 1], "custom": { "resultType": "vector" } }, "fields": [] }, "data": { "values": [] } }] });
    if state.defect == Defect::EmptyPanel && expr == "venue_books" {
        return empty;
    }
    let encoded: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
    // An instant query is evaluated at the end of the asked range.
    assert_eq!(to, "now-1s");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let time = now.as_secs_f64() - 1.0;
    let answer = http("GET", state.prometheus, &format!("/api/v1/query?query={encoded}&time={time:.3}"));
    let Ok(answer) = answer.map(|(_, body)| serde_json::from_slice::<Value>(&body).unwrap()) else {
        return json!({ "error": "connect: connection refused", "errorSource": "downstream", "status": 500 });
    };
    assert_eq!(answer["status"], "success", "{expr}: {answer}");
    let found = answer["data"]["result"].as_array().unwrap();
    if found.is_empty() {
        return empty;
    }
    let frames: Vec<Value> = found.iter().map(|series| frame(query, series)).collect();
    json!({ "status": 200, "frames": frames })
}

fn frame(query: &Value, series: &Value) -> Value {
    let at = (series["value"][0].as_f64().unwrap() * 1_000.0) as i64;
    let text = series["value"][1].as_str().unwrap();
    let (value, entities) = match text {
        "NaN" => (Value::Null, json!([null, { "NaN": [0] }])),
        "+Inf" => (Value::Null, json!([null, { "Inf": [0] }])),
        "-Inf" => (Value::Null, json!([null, { "NegInf": [0] }])),
        _ => (json!(text.parse::<f64>().unwrap()), Value::Null),
    };
    let mut data = json!({ "values": [[at], [value]] });
    if !entities.is_null() {
        data["entities"] = entities;
    }
    json!({
        "schema": {
            "refId": query["refId"],
            "meta": { "type": "numeric-multi", "typeVersion": [0, 1], "custom": { "resultType": "vector" },
                      "executedQueryString": format!("Expr: {}\nStep: 15s", query["expr"].as_str().unwrap()) },
            "fields": [
                { "name": "Time", "type": "time", "typeInfo": { "frame": "time.Time" }, "config": {} },
                { "name": "Value", "type": "number", "typeInfo": { "frame": "float64" }, "labels": series["metric"],
                  "config": { "displayNameFromDS": "series" } },
            ],
        },
        "data": data,
    })
}

/// A validation of a healthy fake whose C6 asks a Grafana, which is or becomes as `defect` says.
struct Validation {
    done: Done,
    fake: Fake,
    player: Player,
}

fn prometheus(scratch: &Scratch, metrics: SocketAddr) -> Prometheus {
    let place = scratch.path().join("prometheus");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus"), &place);
    let file = place.join("prometheus.yml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace("_interval: 10s", "_interval: 250ms").replace("_timeout: 5s", "_timeout: 250ms"),
    )
    .unwrap();
    std::fs::remove_dir_all(place.join("targets")).unwrap();
    std::fs::create_dir(place.join("targets")).unwrap();
    std::fs::write(place.join("targets/test.yml"), format!("- targets: ['{metrics}']\n")).unwrap();
    let prometheus = Prometheus::start(&file).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], prometheus.port()));
    wait_for("Prometheus", Duration::from_secs(30), || {
        http("GET", address, "/-/ready").ok().filter(|(status, _)| *status == 200)
    });
    prometheus
}

impl Validation {
    fn of(defect: Defect) -> Self {
        Self::with_token(defect, TOKEN)
    }

    fn with_token(defect: Defect, token: &str) -> Self {
        let _seat = seat(2);
        let scratch = Scratch::new();
        let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let prometheus = prometheus(&scratch, metrics);
        let player = Player::start(defect, SocketAddr::from(([127, 0, 0, 1], prometheus.port())));
        let fake = Fake::new("plain")
            .set("runner.metrics_addr", &format!("'{metrics}'"))
            .set("dashboard.source", "'grafana'")
            .set("dashboard.grafana_url", &format!("'http://{}'", player.address));
        let file = |name: &str| std::fs::File::create(fake.dir.path().join(name)).unwrap();
        let child = Command::new(crate::harness::ASSAY)
            .args(["validate", "--profile"])
            .arg(fake.profile())
            .arg("--logs")
            .arg(fake.logs())
            .env("GRAFANA_TOKEN", token)
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        let done = finish(child, fake.dir.path());
        fake.nobody_left();
        Self { done, fake, player }
    }

    fn c6(&self, outcome: &str) -> String {
        self.fake.run().judged("C6", outcome).to_string()
    }
}

/// Asserts that a text is in no file below a folder.
fn nowhere(dir: &Path, text: &str) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            nowhere(&path, text);
        } else if let Ok(bytes) = std::fs::read(&path) {
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "{} holds it", path.display());
        }
    }
}

#[test]
fn every_panel_that_grafana_answers_is_c6() {
    let validation = Validation::of(Defect::None);
    let run = validation.fake.run();
    let c6 = validation.c6("pass");
    assert!(c6.contains("panels"), "{c6}");
    crate::schemas::folder_keeps_them(&run);
    let answers: Vec<Value> =
        run.text("grafana.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for request in [
        "GET /api/health",
        "GET /api/dashboards/uid/d77-topn-core",
        "GET /api/dashboards/uid/d77-alerting",
        "POST /api/ds/query",
    ] {
        assert!(answers.iter().any(|a| a["request"] == request && a["status"] == 200), "{request}");
    }
    // The dashboards are kept once.
    let kept = answers.iter().filter(|a| a["request"] == "GET /api/dashboards/uid/d77-topn-core");
    assert_eq!(kept.filter(|a| a["answer"].is_object()).count(), 1);
    let preflight = run.text("preflight.json");
    assert!(preflight.contains("Grafana 12.0.2 has both dashboards"), "{preflight}");
    // Start and end are marked on the dashboards.
    let marks = validation.player.shared.marks.lock().unwrap().clone();
    let kinds: Vec<&str> = marks.iter().map(|mark| mark["tags"][1].as_str().unwrap()).collect();
    assert_eq!(kinds, ["start", "end"], "{marks:?}");
    assert!(
        marks
            .iter()
            .all(|mark| mark["tags"][0] == "assay" && mark["time"].as_i64().unwrap() > 1_700_000_000_000)
    );
    nowhere(validation.fake.dir.path(), TOKEN);
    crate::harness::assay(["rejudge", &run.0.to_string_lossy()]).exits(0);
}

#[test]
fn an_empty_panel_fails_c6() {
    let validation = Validation::of(Defect::EmptyPanel);
    validation.done.exits(20);
    let c6 = validation.c6("fail");
    assert!(c6.contains("core_venue_books") && c6.contains("no series answered venue_books"), "{c6}");
}

#[test]
fn a_panel_that_asks_something_else_fails_c6() {
    let validation = Validation::of(Defect::OtherQuery);
    let c6 = validation.c6("fail");
    assert!(c6.contains("core_total_pnl") && c6.contains("does not ask"), "{c6}");
}

#[test]
fn a_grafana_that_goes_away_leaves_c6_open() {
    let validation = Validation::of(Defect::GoesAway);
    validation.done.exits(20).says("not proven");
    let c6 = validation.c6("inconclusive");
    assert!(c6.contains("was not answered"), "{c6}");
    assert!(validation.player.shared.queries.load(Ordering::SeqCst) >= 4);
}

#[test]
fn without_a_token_nothing_is_started() {
    let validation = Validation::with_token(Defect::None, "");
    validation.done.exits(30).says("GRAFANA_TOKEN");
    nowhere(validation.fake.dir.path(), TOKEN);
}
