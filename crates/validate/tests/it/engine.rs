//! A server on a Unix socket that plays the Docker Engine: its paths, status codes, header fields and bodies are those of the
//! Engine API reference (v1.41). Starting a container here really starts something, or fails as a container would.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What a start does.
pub enum Start {
    /// A real Redis comes up on its port; healthy at the third look.
    Redis(services::Redis),
    /// A real PostgreSQL, as above.
    Postgres(services::Postgres),
    /// The process runs and its health check never passes.
    Unhealthy,
    /// The process ends at once.
    Ends(i64),
    /// The Engine refuses.
    Refused(&'static str),
    /// Runs, and nothing is behind it.
    Nothing,
}

pub struct Container {
    pub project: &'static str,
    pub service: &'static str,
    pub status: &'static str,
    pub start: Start,
    pub has_health_check: bool,
    pub published: Option<u16>,
    pub log: &'static [(u8, &'static str)],
    /// Looks since it was started.
    pub looks: u32,
}

impl Container {
    /// One that was stopped by hand.
    pub fn stopped(project: &'static str, service: &'static str, start: Start) -> Self {
        let published = match &start {
            Start::Redis(server) => Some(server.port()),
            Start::Postgres(server) => Some(server.port()),
            _ => None,
        };
        let log: &[_] = &[(1, "Ready to accept connections\n"), (2, "# Warning: no password is set\n")];
        Self { project, service, status: "exited", start, has_health_check: true, published, log, looks: 0 }
    }

    fn name(&self) -> String {
        format!("/{}-{}-1", self.project, self.service)
    }

    /// 64 hexadecimal digits.
    fn id(&self) -> String {
        let sum = self.name().bytes().fold(0_u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b)));
        format!("{sum:064x}")
    }

    /// The port inside the container.
    fn port(&self) -> &'static str {
        if matches!(self.start, Start::Postgres(_)) { "5432/tcp" } else { "6379/tcp" }
    }

    fn labels(&self) -> Value {
        json!({
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.project": self.project,
            "com.docker.compose.service": self.service,
            "com.docker.compose.version": "2.24.5",
        })
    }

    fn has(&self, label: &str) -> bool {
        let labels = self.labels();
        match label.split_once('=') {
            Some((name, value)) => labels[name] == value,
            None => labels.get(label).is_some(),
        }
    }

    fn health(&self) -> Option<(&'static str, Value)> {
        let ended = |code: i64, output: &str| json!([{"Start": "2026-01-05T09:00:01.1Z", "End": "2026-01-05T09:00:01.2Z", "ExitCode": code, "Output": output}]);
        self.has_health_check.then(|| match self.start {
            Start::Redis(_) | Start::Postgres(_) if self.looks >= 3 => ("healthy", ended(0, "PONG\n")),
            Start::Unhealthy => ("unhealthy", ended(1, "NOAUTH Authentication required.\n")),
            _ => ("starting", json!([])),
        })
    }

    fn inspected(&mut self) -> Value {
        self.looks += u32::from(self.status == "running");
        let exit_code =
            if let (Start::Ends(code), "exited") = (&self.start, self.status) { *code } else { 0 };
        let mut state = json!({
            "Status": self.status, "Running": self.status == "running", "Paused": self.status == "paused",
            "Restarting": false, "OOMKilled": false, "Dead": false, "Pid": 4711, "ExitCode": exit_code, "Error": "",
            "StartedAt": "2026-01-05T09:00:00.1Z", "FinishedAt": "2026-01-04T09:00:00.1Z",
        });
        if let Some((status, log)) = self.health() {
            state["Health"] = json!({"Status": status, "FailingStreak": 0, "Log": log});
        }
        let bindings = self.published.filter(|_| self.status == "running").map(|port| {
            json!([{"HostIp": "0.0.0.0", "HostPort": port.to_string()}, {"HostIp": "::", "HostPort": port.to_string()}])
        });
        json!({
            "Id": self.id(), "Created": "2026-01-04T08:00:00.1Z", "Name": self.name(), "State": state,
            "Config": {"Hostname": "8dfafdbc3a40", "Tty": false, "Labels": self.labels()},
            "NetworkSettings": {"Bridge": "", "Ports": {self.port(): bindings}},
        })
    }

    fn listed(&self) -> Value {
        json!({
            "Id": self.id(), "Names": [self.name()], "Image": "redis:7.2.4", "ImageID": "sha256:d74508fb6632",
            "Command": "docker-entrypoint.sh redis-server", "Created": 1_767_513_600, "Ports": [], "Labels": self.labels(),
            "State": self.status, "Status": "Exited (0) 2 hours ago", "HostConfig": {"NetworkMode": "default"}, "Mounts": [],
        })
    }

    fn start(&mut self) -> Answer {
        if self.status == "running" {
            return Answer::empty(304);
        }
        match &mut self.start {
            Start::Refused(why) => return Answer::message(500, why),
            Start::Redis(server) => server.start_again().unwrap(),
            Start::Postgres(server) => server.start_again().unwrap(),
            Start::Ends(_) => return Answer::empty(204),
            Start::Unhealthy | Start::Nothing => {}
        }
        self.status = "running";
        Answer::empty(204)
    }

    /// Standard output and error, each piece behind its header of 8 bytes.
    fn logs(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (stream, text) in self.log {
            out.extend([*stream, 0, 0, 0]);
            out.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            out.extend(text.as_bytes());
        }
        out
    }
}

struct Answer {
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
}

impl Answer {
    fn empty(status: u16) -> Self {
        Self { status, kind: "", body: Vec::new() }
    }

    fn json(value: &Value) -> Self {
        let body = format!("{value}\n").into_bytes();
        Self { status: 200, kind: "application/json", body }
    }

    fn message(status: u16, message: &str) -> Self {
        Self { status, ..Self::json(&json!({ "message": message })) }
    }
}

/// The Engine; it ends with its value.
pub struct Engine {
    place: tempfile::TempDir,
    containers: Arc<Mutex<Vec<Container>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Engine {
    pub fn play(containers: Vec<Container>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(place.path().join("docker.sock")).unwrap();
        let containers = Arc::new(Mutex::new(containers));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (world, log) = (Arc::clone(&containers), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (world, log) = (Arc::clone(&world), Arc::clone(&log));
                std::thread::spawn(move || serve(&stream, &world, &log));
            }
        });
        Self { place, containers, asked }
    }

    /// For `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.place.path().join("docker.sock")
    }

    pub fn status(&self, service: &str) -> &'static str {
        self.containers.lock().unwrap().iter().find(|c| c.service == service).unwrap().status
    }

    /// The requests that were made.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Requests of one connection, one after the other.
fn serve(stream: &UnixStream, world: &Mutex<Vec<Container>>, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut field = String::new();
            if reader.read_line(&mut field).unwrap_or(0) <= 2 {
                break;
            }
        }
        let words: Vec<&str> = first.split_whitespace().collect();
        log.lock().unwrap().push(format!("{} {}", words[0], words[1]));
        let answer = answer(words[0], words[1], &mut world.lock().unwrap());
        let head = "Api-Version: 1.41\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/20.10.24 (linux)";
        let reason = if answer.status < 400 { "OK" } else { "Error" };
        let mut out = format!("HTTP/1.1 {} {reason}\r\n{head}\r\n", answer.status).into_bytes();
        if answer.kind == "application/vnd.docker.raw-stream" {
            out.extend(
                format!("Content-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n", answer.kind).bytes(),
            );
            for chunk in answer.body.chunks(13) {
                out.extend(format!("{:x}\r\n", chunk.len()).bytes());
                out.extend(chunk);
                out.extend(b"\r\n");
            }
            out.extend(b"0\r\n\r\n");
        } else if answer.kind.is_empty() {
            out.extend(b"\r\n");
        } else {
            let length = answer.body.len();
            out.extend(format!("Content-Type: {}\r\nContent-Length: {length}\r\n\r\n", answer.kind).bytes());
            out.extend(&answer.body);
        }
        let mut stream = stream;
        if stream.write_all(&out).is_err() {
            return;
        }
    }
}

fn answer(method: &str, target: &str, world: &mut [Container]) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if (method, path) == ("GET", "/containers/json") {
        let labels: Vec<String> = query
            .split('&')
            .find_map(|part| part.strip_prefix("filters="))
            .map(|text| serde_json::from_str::<Value>(&decoded(text)).unwrap())
            .map_or_else(Vec::new, |filters| serde_json::from_value(filters["label"].clone()).unwrap());
        let all = query.split('&').any(|part| part == "all=true" || part == "all=1");
        let listed = world
            .iter()
            .filter(|c| (all || c.status == "running") && labels.iter().all(|label| c.has(label)))
            .map(Container::listed);
        return Answer::json(&listed.collect());
    }
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let ["containers", id, what] = parts[..] else { return Answer::message(404, "page not found") };
    let Some(container) = world.iter_mut().find(|c| c.id() == *id) else {
        return Answer::message(404, &format!("No such container: {id}"));
    };
    match (method, what) {
        ("GET", "json") => Answer::json(&container.inspected()),
        ("POST", "start") => container.start(),
        ("POST", "unpause") => {
            container.status = "running";
            Answer::empty(204)
        }
        ("GET", "logs") => {
            Answer { status: 200, kind: "application/vnd.docker.raw-stream", body: container.logs() }
        }
        _ => Answer::message(404, "page not found"),
    }
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap()
}
