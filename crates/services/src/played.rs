//! Servers of ours that play third parties which no test can have: Telegram's Bot API, Slack's incoming webhooks, a receiver of signed
//! webhooks. They answer on loopback with the bodies that the real ones answer with, go wrong when they are told to, and keep
//! every request for the test to look at.
//!
//! Sources of the bodies: Telegram, <https://core.telegram.org/bots/api#making-requests> and `#responseparameters`
//! (`{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 15","parameters":{"retry_after":15}}`); Slack,
//! <https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks> (one word as plain text with 400, 403, 404, 410,
//! 500) and <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks> (`no_text`, `no_service`, `invalid_token`;
//! 429 with `Retry-After`).

use crate::process::ServiceError;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A larger request is none of ours.
const MAX_BODY: usize = 1 << 20;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// Path with its query.
    pub path: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// `Retry-After`, seconds.
    pub retry_after: Option<u64>,
    /// Body.
    pub body: String,
}

impl Reply {
    /// An answer without `Retry-After`.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, retry_after: None, body: body.into() }
    }
}

/// What goes wrong with the next request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is answered with this.
    Says(Reply),
    /// It is answered in order, but only after this.
    Late(Duration),
    /// The connection ends without an answer.
    HangsUp,
}

type Behaviour = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

struct Shared {
    behaviour: Behaviour,
    seen: Mutex<Vec<Request>>,
    /// With what a request's path has to hold to meet it.
    faults: Mutex<VecDeque<(String, Fault)>>,
    dead: AtomicBool,
    ended: AtomicBool,
}

/// A playing server.
pub struct Played {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Played {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Played").field("address", &self.address).finish_non_exhaustive()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Played {
    /// A server that answers as `behaviour` says.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(
        behaviour: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Result<Self, ServiceError> {
        let failed = |e: std::io::Error| ServiceError(format!("a played server: {e}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared {
            behaviour: Arc::new(behaviour),
            seen: Mutex::default(),
            faults: Mutex::default(),
            dead: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming().flatten() {
                    if shared.ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || drop(serve(stream, &shared)));
                }
            }
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Telegram with one bot and one chat.
    ///
    /// # Errors
    /// No port is free.
    pub fn telegram(token: &str, chat: &str) -> Result<Self, ServiceError> {
        let (token, chat) = (token.to_owned(), chat.to_owned());
        Self::start(move |request| telegram(request, &token, &chat))
    }

    /// Slack with one webhook: its path, such as `/services/T000/B000/XXX`.
    ///
    /// # Errors
    /// No port is free.
    pub fn slack(path: &str) -> Result<Self, ServiceError> {
        let path = path.to_owned();
        Self::start(move |request| slack(request, &path))
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the next requests go wrong, one fault each.
    pub fn then(&self, faults: impl IntoIterator<Item = Fault>) {
        self.then_at("", faults);
    }

    /// Lets the next requests whose path holds this go wrong, one fault each.
    pub fn then_at(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.shared.faults).extend(faults.into_iter().map(|fault| (path.to_owned(), fault)));
    }

    /// Every request from here on ends without an answer, or is answered again.
    pub fn dead(&self, dead: bool) {
        self.shared.dead.store(dead, Ordering::SeqCst);
    }

    /// The requests so far whose path holds this.
    pub fn seen(&self, path: &str) -> Vec<Request> {
        lock(&self.shared.seen).iter().filter(|request| request.path.contains(path)).cloned().collect()
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    // An answer in several pieces would wait for the other side's delayed acknowledgement.
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some(request) = read(&mut reader)? {
        lock(&shared.seen).push(request.clone());
        let fault = {
            let mut faults = lock(&shared.faults);
            let met = faults.iter().position(|(path, _)| request.path.contains(path.as_str()));
            met.and_then(|at| faults.remove(at)).map(|(_, fault)| fault)
        };
        let reply = match fault {
            _ if shared.dead.load(Ordering::SeqCst) => return Ok(()),
            Some(Fault::HangsUp) => return Ok(()),
            Some(Fault::Says(reply)) => reply,
            Some(Fault::Late(by)) => {
                std::thread::sleep(by);
                (shared.behaviour)(&request)
            }
            None => (shared.behaviour)(&request),
        };
        let kind = if reply.body.starts_with('{') { "application/json" } else { "text/plain" };
        let wait = reply.retry_after.map(|s| format!("retry-after: {s}\r\n")).unwrap_or_default();
        write!(
            stream,
            "HTTP/1.1 {} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n{wait}\r\n{}",
            reply.status,
            reply.body.len(),
            reply.body
        )?;
        stream.flush()?;
    }
    Ok(())
}

/// One request of HTTP/1.1 with a length; `None` at the end of the connection.
fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    request.body = vec![0; length.min(MAX_BODY)];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// What Telegram answers to what it cannot do.
pub fn telegram_error(code: u16, description: &str, retry_after: Option<u64>) -> Reply {
    let mut body = json!({ "ok": false, "error_code": code, "description": description });
    if let Some(seconds) = retry_after {
        body["parameters"] = json!({ "retry_after": seconds });
    }
    Reply::new(code, body.to_string())
}

fn telegram(request: &Request, token: &str, chat: &str) -> Reply {
    let refuse = |code, what: &str| telegram_error(code, what, None);
    let Some((given, method)) = request.path.strip_prefix("/bot").and_then(|rest| rest.split_once('/'))
    else {
        return refuse(404, "Not Found");
    };
    if given != token {
        return refuse(401, "Unauthorized");
    }
    let body = request.json();
    let text = body["text"].as_str().unwrap_or_default();
    match method {
        "getMe" => {
            let me =
                json!({ "id": 110_201_543, "is_bot": true, "first_name": "Assay", "username": "assay_bot" });
            Reply::new(200, json!({ "ok": true, "result": me }).to_string())
        }
        "sendMessage" if body["chat_id"].as_str() != Some(chat) => refuse(400, "Bad Request: chat not found"),
        "sendMessage" if text.is_empty() => refuse(400, "Bad Request: message text is empty"),
        "sendMessage" if text.encode_utf16().count() > 4096 => {
            refuse(400, "Bad Request: message is too long")
        }
        "sendMessage" if body["parse_mode"] == "HTML" && !is_html(text) => {
            refuse(400, "Bad Request: can't parse entities: Unsupported start tag at byte offset 0")
        }
        "sendMessage" => {
            let message =
                json!({ "message_id": 1, "date": 1_700_000_000, "chat": { "id": 1 }, "text": text });
            Reply::new(200, json!({ "ok": true, "result": message }).to_string())
        }
        _ => refuse(404, "Not Found"),
    }
}

/// True when `<b>` and its end are the only tags and balanced, and each `&` begins a name.
fn is_html(text: &str) -> bool {
    let bare = text.replace("<b>", "").replace("</b>", "");
    let named = ["&amp;", "&lt;", "&gt;"];
    let loose = bare.match_indices('&').any(|(at, _)| !named.iter().any(|name| bare[at..].starts_with(name)));
    text.matches("<b>").count() == text.matches("</b>").count() && !bare.contains(['<', '>']) && !loose
}

fn slack(request: &Request, path: &str) -> Reply {
    if request.path != path {
        return Reply::new(404, "no_service");
    }
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return Reply::new(400, "invalid_payload");
    };
    match body["text"].as_str() {
        None | Some("") => Reply::new(400, "no_text"),
        Some(_) => Reply::new(200, "ok"),
    }
}
