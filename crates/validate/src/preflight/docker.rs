//! A service of a compose file, through the Docker Engine API on its Unix socket: found by its compose labels, started when it
//! does not run, waited for until its health check is content.
//!
//! The endpoints and their answers are those of the Docker Engine API reference: `GET /containers/json`, `GET
//! /containers/{id}/json`, `POST /containers/{id}/start` and `/unpause`, `GET /containers/{id}/logs`. No version stands in the
//! paths: what is read here is the same in every version since 1.25. Nothing is created or removed: that is compose's business.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the Engine listens when `DOCKER_HOST` does not say.
const SOCKET: &str = "/var/run/docker.sock";
/// How long one answer may take; starting a container can wait for its network and volumes.
const ANSWER: Duration = Duration::from_secs(30);
/// No answer is larger.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Between two looks at a container that is coming up.
const LOOK: Duration = Duration::from_millis(250);
/// Lines of a container's log that a failure shows.
const LOG_LINES: usize = 5;
/// Characters of each.
const LINE: usize = 160;

const SERVICE: &str = "com.docker.compose.service";
const PROJECT: &str = "com.docker.compose.project";
const NUMBER: &str = "com.docker.compose.container-number";
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// Why a service is not up, and what to do.
#[derive(Debug)]
pub(super) struct Down {
    pub(super) found: String,
    pub(super) next: String,
    pub(super) changed: Option<String>,
}

impl Down {
    fn new(found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { found: found.into(), next: next.into(), changed: None }
    }
}

/// A service that runs, and is healthy when it has a health check.
#[derive(Debug)]
pub(super) struct Up {
    id: String,
    tty: bool,
    /// The container's name.
    pub(super) name: String,
    /// `host:port` where the port is published on this machine; `None` when it is not.
    pub(super) address: Option<String>,
    /// What was done.
    pub(super) changed: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Labels", default)]
    labels: BTreeMap<String, String>,
}

impl Listed {
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

#[derive(Deserialize)]
struct Inspected {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "State")]
    state: State,
    #[serde(rename = "Config", default)]
    config: Config,
    #[serde(rename = "NetworkSettings", default)]
    network: Network,
}

#[derive(Deserialize)]
struct State {
    #[serde(rename = "Status")]
    status: String,
    #[serde(rename = "ExitCode", default)]
    exit_code: i64,
    #[serde(rename = "OOMKilled", default)]
    oom_killed: bool,
    #[serde(rename = "Error", default)]
    error: String,
    #[serde(rename = "Health", default)]
    health: Option<Health>,
}

#[derive(Deserialize)]
struct Health {
    #[serde(rename = "Status")]
    status: String,
    #[serde(rename = "Log", default)]
    log: Option<Vec<Probe>>,
}

#[derive(Deserialize)]
struct Probe {
    #[serde(rename = "ExitCode", default)]
    exit_code: i64,
    #[serde(rename = "Output", default)]
    output: String,
}

#[derive(Deserialize, Default)]
struct Config {
    #[serde(rename = "Tty", default)]
    tty: bool,
}

#[derive(Deserialize, Default)]
struct Network {
    /// `"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "6379"}]`, or null when the port is exposed and not published.
    #[serde(rename = "Ports", default)]
    ports: Option<BTreeMap<String, Option<Vec<Published>>>>,
}

#[derive(Deserialize)]
struct Published {
    #[serde(rename = "HostIp", default)]
    ip: String,
    #[serde(rename = "HostPort", default)]
    port: String,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// A connection to the Engine.
pub(super) struct Engine {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    socket: PathBuf,
}

impl Engine {
    /// By the value of `DOCKER_HOST`; the usual socket when there is none.
    pub(super) fn open(host: Option<&str>) -> Result<Self, Down> {
        let socket = match host.filter(|host| !host.is_empty()) {
            None => PathBuf::from(SOCKET),
            Some(host) => host.strip_prefix("unix://").map(PathBuf::from).ok_or_else(|| {
                Down::new(
                    format!("DOCKER_HOST is {host}: only unix:// is spoken here"),
                    "set it to the Engine's socket, or use kind = \"url\" for a store on another machine",
                )
            })?,
        };
        UnixStream::connect(&socket).map_err(|e| unreachable(&socket, &e))?;
        venues::install_crypto();
        let failed =
            |e: String| Down::new(format!("cannot make an HTTP client: {e}"), "free file descriptors");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| failed(e.to_string()))?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .unix_socket(socket.clone())
            .build()
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self { runtime, client, socket })
    }

    fn call(&self, method: reqwest::Method, path: &str) -> Result<(u16, Vec<u8>), Down> {
        let request = self.client.request(method, format!("http://localhost{path}"));
        let fetch = async {
            let mut answer = request.send().await?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ANSWER {
                    break;
                }
            }
            Ok((answer.status().as_u16(), body))
        };
        let next = "see whether Docker is well: `docker ps`";
        let answer = self.runtime.block_on(async { tokio::time::timeout(ANSWER, fetch).await });
        answer
            .map_err(|_| Down::new(format!("{} did not answer in time", self.socket.display()), next))?
            .map_err(|e: reqwest::Error| {
                Down::new(format!("{}: {}", self.socket.display(), innermost(&e)), next)
            })
    }

    /// Does something that answers with no content; 304 says that it was done already.
    fn post(&self, path: &str, what: &str) -> Result<(), Down> {
        match self.call(reqwest::Method::POST, path)? {
            (204 | 304, _) => Ok(()),
            (status, body) => Err(Down::new(
                format!("Docker cannot {what}: {}", refusal(status, &body)),
                "repair what Docker names, then try again",
            )),
        }
    }

    fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Down> {
        let wrong = |what: String| {
            let found = format!("{} answered GET {path} with {what}", self.socket.display());
            Down::new(found, "see whether a Docker Engine listens there: `docker version`")
        };
        match self.call(reqwest::Method::GET, path)? {
            (200, body) => serde_json::from_slice(&body).map_err(|e| wrong(format!("no container: {e}"))),
            (status, body) => Err(wrong(refusal(status, &body))),
        }
    }

    /// All containers with the labels, running or not.
    fn list(&self, labels: &[String]) -> Result<Vec<Listed>, Down> {
        let filters = serde_json::json!({ "label": labels }).to_string();
        self.get(&format!("/containers/json?all=true&filters={}", encoded(&filters)))
    }

    fn inspect(&self, id: &str) -> Result<Inspected, Down> {
        self.get(&format!("/containers/{id}/json"))
    }

    /// Brings a service up: `service`, or `project/service` when several projects have one of that name. `key` is where the profile
    /// names it. `port` is the container's.
    pub(super) fn up(&self, service: &str, key: &str, port: u16, until: Instant) -> Result<Up, Down> {
        let id = self.find(service, key)?;
        let mut seen = self.inspect(&id)?;
        let name = seen.name.trim_start_matches('/').to_owned();
        let mut changed = None;
        match seen.state.status.as_str() {
            "running" | "restarting" => {}
            "paused" => {
                self.post(&format!("/containers/{id}/unpause"), &format!("continue {name}"))?;
                changed = Some(format!("continued the container {name}, which was paused"));
            }
            status => {
                self.post(&format!("/containers/{id}/start"), &format!("start {name}"))?;
                changed = Some(format!("started the container {name}, which was {status}"));
            }
        }
        loop {
            seen = self.inspect(&id)?;
            if let Some(why) = self.verdict(&seen, &name, Instant::now() >= until) {
                return match why {
                    Ok(()) => {
                        let (tty, address) = (seen.config.tty, published(&seen.network, port));
                        Ok(Up { id, tty, name, address, changed })
                    }
                    Err(found) => Err(Down {
                        found: format!("{found}{}", self.last_words(&id, seen.config.tty)),
                        next: format!("see `docker logs {name}`, repair it, then try again"),
                        changed,
                    }),
                };
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whether it is up, or will not come up; `None` while that is open.
    fn verdict(&self, seen: &Inspected, name: &str, late: bool) -> Option<Result<(), String>> {
        let state = &seen.state;
        match (state.status.as_str(), &state.health) {
            ("running", None) => return Some(Ok(())),
            ("running", Some(health)) if matches!(health.status.as_str(), "healthy" | "none" | "") => {
                return Some(Ok(()));
            }
            ("exited" | "dead", _) => {
                let mut found = format!("the container {name} ended with exit code {}", state.exit_code);
                if state.oom_killed {
                    found.push_str(", out of memory");
                }
                if !state.error.is_empty() {
                    found.push_str(&format!(" ({})", clipped(&state.error)));
                }
                return Some(Err(found));
            }
            _ if !late => return None,
            _ => {}
        }
        let mut found = format!("the container {name} did not come up in time: it is {}", state.status);
        if let Some(health) = &state.health {
            found.push_str(&format!(" and {}", health.status));
            if let Some(probe) = health.log.as_ref().and_then(|log| log.last()) {
                let output = clipped(probe.output.trim());
                found
                    .push_str(&format!("; its last health check ended with {}: {output:?}", probe.exit_code));
            }
        }
        Some(Err(found))
    }

    /// The id of the service's first container.
    fn find(&self, service: &str, key: &str) -> Result<String, Down> {
        let (project, name) = match service.split_once('/') {
            Some((project, name)) => (Some(project), name),
            None => (None, service),
        };
        let mut labels = vec![format!("{SERVICE}={name}")];
        labels.extend(project.map(|project| format!("{PROJECT}={project}")));
        let mut found = self.list(&labels)?;
        found.retain(|container| !container.label(ONE_OFF).eq_ignore_ascii_case("true"));
        let projects: BTreeSet<&str> = found.iter().map(|container| container.label(PROJECT)).collect();
        if projects.len() > 1 {
            let list =
                projects.iter().map(|project| format!("{project}/{name}")).collect::<Vec<_>>().join(", ");
            return Err(Down::new(
                format!("several compose projects have a service {name}: {list}"),
                format!("set `{key}` to one of them"),
            ));
        }
        found.sort_by_key(|container| container.label(NUMBER).parse::<u32>().unwrap_or(u32::MAX));
        match found.into_iter().next() {
            Some(container) => Ok(container.id),
            None => Err(self.unknown(service, key)?),
        }
    }

    /// There is no such service: which there are.
    fn unknown(&self, service: &str, key: &str) -> Result<Down, Down> {
        let mut by_project: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for container in self.list(&[SERVICE.to_owned()])? {
            let services = by_project.entry(container.label(PROJECT).to_owned()).or_default();
            services.insert(container.label(SERVICE).to_owned());
        }
        if by_project.is_empty() {
            return Ok(Down::new(
                format!("Docker has no container of a compose service {service}, nor of any other"),
                "create them first: `docker compose up --no-start` beside the compose file",
            ));
        }
        let projects = by_project.iter().take(10).map(|(project, services)| {
            let services: Vec<&str> = services.iter().take(20).map(String::as_str).collect();
            format!("{project} has {}", services.join(", "))
        });
        Ok(Down::new(
            format!(
                "Docker has no container of a compose service {service}; the project {}",
                projects.collect::<Vec<_>>().join("; the project ")
            ),
            format!(
                "correct `{key}`, or create it: `docker compose up --no-start {service}` beside the compose file"
            ),
        ))
    }

    /// What the log of a service ends with, for a message.
    pub(super) fn last_words_of(&self, up: &Up) -> String {
        self.last_words(&up.id, up.tty)
    }

    fn last_words(&self, id: &str, tty: bool) -> String {
        let path = format!("/containers/{id}/logs?stdout=true&stderr=true&tail={LOG_LINES}");
        let Ok((200, body)) = self.call(reqwest::Method::GET, &path) else { return String::new() };
        let text = String::from_utf8_lossy(&if tty { body } else { frames(&body) }).into_owned();
        let lines: Vec<String> = text.lines().map(clipped).filter(|line| !line.is_empty()).collect();
        let from = lines.len().saturating_sub(LOG_LINES);
        if lines.is_empty() {
            String::new()
        } else {
            format!("; its log ends: {}", lines[from..].join(" | "))
        }
    }
}

fn unreachable(socket: &Path, error: &std::io::Error) -> Down {
    let found = format!("no Docker Engine at {}: {error}", socket.display());
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            Down::new(found, "let this user use Docker (the group docker), or use --stack embedded")
        }
        _ => Down::new(found, "start Docker, set DOCKER_HOST to its socket, or use --stack embedded"),
    }
}

/// `{"message": "..."}`, the body of every refusal.
fn refusal(status: u16, body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => format!("{} (HTTP status {status})", clipped(&refusal.message)),
        Err(_) => format!("HTTP status {status}"),
    }
}

/// Standard output and error in one stream without a terminal: frames of 8 bytes of header, of which the last 4 are the
/// length, big endian.
fn frames(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((&[stream, 0, 0, 0, a, b, c, d], rest)) = bytes.split_first_chunk::<8>()
        && stream <= 2
    {
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX).min(rest.len());
        out.extend_from_slice(&rest[..length]);
        bytes = &rest[length..];
    }
    // What has no header came without frames.
    out.extend_from_slice(bytes);
    out
}

/// Where the port is published on this machine.
fn published(network: &Network, port: u16) -> Option<String> {
    let bindings = network.ports.as_ref()?.get(&format!("{port}/tcp"))?.as_ref()?;
    // A port published for everybody is listed for both families: the first is as good as the second.
    let binding = bindings.iter().find(|binding| !binding.port.is_empty())?;
    let host = match binding.ip.as_str() {
        "" | "0.0.0.0" | "::" => "127.0.0.1".to_owned(),
        ip if ip.contains(':') => format!("[{ip}]"),
        ip => ip.to_owned(),
    };
    Some(format!("{host}:{}", binding.port))
}

fn clipped(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LINE).collect();
    line.trim().to_owned()
}

/// For a query: everything but letters and digits in percent signs.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_log_are_taken_apart() {
        let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 3];
        bytes.extend(b"one");
        bytes.extend([2, 0, 0, 0, 0, 0, 0, 9]);
        bytes.extend(b"two");
        assert_eq!(frames(&bytes), b"onetwo", "a frame that was cut off is taken as far as it goes");
        assert_eq!(frames(b"plain text of a terminal"), b"plain text of a terminal");
    }

    #[test]
    fn a_published_port_is_found() {
        let network = |json: &str| serde_json::from_str::<Network>(json).unwrap();
        let of = |json: &str| published(&network(json), 6379);
        assert_eq!(
            of(
                r#"{"Ports":{"6379/tcp":[{"HostIp":"0.0.0.0","HostPort":"49153"},{"HostIp":"::","HostPort":"49153"}]}}"#
            ),
            Some("127.0.0.1:49153".to_owned())
        );
        assert_eq!(
            of(r#"{"Ports":{"6379/tcp":[{"HostIp":"::1","HostPort":"7"}]}}"#),
            Some("[::1]:7".to_owned())
        );
        for none in [r#"{"Ports":{"6379/tcp":null}}"#, r#"{"Ports":null}"#, r#"{"Ports":{"5432/tcp":[]}}"#] {
            assert_eq!(of(none), None);
        }
    }

    #[test]
    fn a_filter_is_encoded() {
        assert_eq!(encoded(r#"{"label":["a.b=c"]}"#), "%7B%22label%22%3A%5B%22a%2Eb%3Dc%22%5D%7D");
    }
}
