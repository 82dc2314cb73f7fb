//! Grafana as C6's source: what its HTTP API is asked, and what its answers are worth. The dashboards are read as Grafana serves
//! them, their own queries are asked of their own data source through `/api/ds/query`, and every answer is kept.
//!
//! Lives here: the client and its exchanges. `frames` reads data frames, `panels` turns answers into panel checks. When it is asked
//! is `watch::asker`'s and preflight's.

mod frames;
mod panels;

pub use frames::{Row, rows};
pub use panels::ask_panels;

use crate::watch::scrape::{Http, HttpError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The environment variable that holds the token of a Grafana service account.
pub const TOKEN: &str = "GRAFANA_TOKEN";
/// How long Grafana may take to say that it lives.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer with data may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One question to Grafana and its answer: one line of `grafana.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Seconds after the main phase's start at which it was asked.
    pub t: f64,
    /// Method and path, such as `POST /api/ds/query`. The token is never kept.
    pub request: String,
    /// What was sent, when something was.
    pub body: Option<Value>,
    /// HTTP status; absent when no answer came.
    pub status: Option<u16>,
    /// The answer as JSON; absent when there was none, or when it is the same as the last one to this request.
    pub answer: Option<Value>,
    /// True when the answer is the same as the last one to this request, which stands in an earlier line.
    pub as_before: bool,
    /// Why there is no answer.
    pub problem: Option<String>,
}

/// Why Grafana gave no answer that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrafanaError {
    /// It is not there, is not ready, or does not let us in: nothing is known of its dashboards.
    #[error("{0}")]
    Away(String),
    /// It answered, and what was asked for is not there.
    #[error("{0}")]
    Missing(String),
}

/// A client of one Grafana. Not for several threads: it has a runtime of its own.
#[derive(Debug)]
pub struct Client {
    http: Http,
    url: String,
    token: Option<String>,
    exchanges: Vec<Exchange>,
    last: BTreeMap<String, Value>,
}

impl Client {
    /// A client of the Grafana at `url`, with the token of the environment when there is one.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn from_env(url: &str) -> Result<Self, HttpError> {
        Self::new(url, std::env::var(TOKEN).ok().filter(|token| !token.is_empty()))
    }

    /// A client with this token, or without one.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(url: &str, token: Option<String>) -> Result<Self, HttpError> {
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { http: Http::new()?, url, token, exchanges: Vec::new(), last: BTreeMap::new() })
    }

    /// What was asked since the last call, for the run folder. The token is in none of it.
    pub fn take_exchanges(&mut self) -> Vec<Exchange> {
        std::mem::take(&mut self.exchanges)
    }

    /// Asks whether it lives and its database with it (`GET /api/health`); its version.
    ///
    /// # Errors
    /// [`GrafanaError::Away`].
    pub fn health(&mut self, t: f64) -> Result<String, GrafanaError> {
        let (status, answer) = self.ask(t, "/api/health", None, HEALTH_TIMEOUT)?;
        if status != 200 || answer.get("database").and_then(Value::as_str) != Some("ok") {
            return Err(self.away(status, "/api/health", &answer));
        }
        Ok(answer.get("version").and_then(Value::as_str).unwrap_or("of unknown version").to_owned())
    }

    /// A dashboard as it is served (`GET /api/dashboards/uid/UID`).
    ///
    /// # Errors
    /// [`GrafanaError`].
    pub fn dashboard(&mut self, t: f64, uid: &str) -> Result<Value, GrafanaError> {
        let path = format!("/api/dashboards/uid/{uid}");
        let (status, mut answer) = self.ask(t, &path, None, TIMEOUT)?;
        match status {
            200 if answer.get("dashboard").is_some_and(Value::is_object) => {
                Ok(answer.get_mut("dashboard").map(Value::take).unwrap_or_default())
            }
            404 => Err(GrafanaError::Missing(format!(
                "Grafana has no dashboard with the uid {uid}; provision deploy/grafana/dashboards"
            ))),
            _ => Err(self.away(status, &path, &answer)),
        }
    }

    /// Asks several queries at once (`POST /api/ds/query`): the results by `refId`. A query that failed has its error in there.
    ///
    /// # Errors
    /// [`GrafanaError::Away`].
    pub fn query(&mut self, t: f64, queries: &[Value]) -> Result<Value, GrafanaError> {
        let path = "/api/ds/query";
        // What Prometheus scraped within this second may not be whole yet.
        let body = json!({ "queries": queries, "from": "now-5m", "to": "now-1s" });
        let (status, mut answer) = self.ask(t, path, Some(body), TIMEOUT)?;
        // With a failed query among them the status is 400 or 207, and the results are there all the same.
        if answer.get("results").is_some_and(Value::is_object) {
            return Ok(answer.get_mut("results").map(Value::take).unwrap_or_default());
        }
        Err(self.away(status, path, &answer))
    }

    /// Writes an annotation (`POST /api/annotations`), which the dashboards show by its tags.
    ///
    /// # Errors
    /// [`GrafanaError::Away`]; a token that may only read is refused.
    pub fn annotate(&mut self, t: f64, at_ms: i64, tags: &[&str], text: &str) -> Result<(), GrafanaError> {
        let path = "/api/annotations";
        let body = json!({ "time": at_ms, "tags": tags, "text": text });
        let (status, answer) = self.ask(t, path, Some(body), TIMEOUT)?;
        if status == 200 { Ok(()) } else { Err(self.away(status, path, &answer)) }
    }

    fn ask(
        &mut self,
        t: f64,
        path: &str,
        body: Option<Value>,
        timeout: Duration,
    ) -> Result<(u16, Value), GrafanaError> {
        let url = format!("{}{path}", self.url);
        let method = if body.is_some() { "POST" } else { "GET" };
        let result = self.http.ask(&url, self.token.as_deref(), body.as_ref(), timeout);
        let mut exchange = Exchange {
            t,
            request: format!("{method} {path}"),
            body,
            status: None,
            answer: None,
            as_before: false,
            problem: None,
        };
        let answered = match result {
            Ok((status, bytes)) => {
                let answer = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
                    Value::String(String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)]).into_owned())
                });
                exchange.status = Some(status);
                // A dashboard is large and seldom changes.
                let seen = self.last.get(&exchange.request) == Some(&answer);
                if exchange.body.is_none() && seen {
                    exchange.as_before = true;
                } else {
                    exchange.answer = Some(answer.clone());
                    self.last.insert(exchange.request.clone(), answer.clone());
                }
                Ok((status, answer))
            }
            Err(why) => {
                exchange.problem = Some(why.clone());
                Err(GrafanaError::Away(format!("Grafana does not answer: {why}")))
            }
        };
        self.exchanges.push(exchange);
        answered
    }

    fn away(&self, status: u16, path: &str, answer: &Value) -> GrafanaError {
        let said = answer.get("message").and_then(Value::as_str).unwrap_or_default();
        GrafanaError::Away(match status {
            401 | 403 if self.token.is_none() => {
                format!(
                    "Grafana answers {path} to nobody without a token (HTTP {status}); set {TOKEN} to a service account's token"
                )
            }
            401 | 403 => format!(
                "Grafana refuses the token of {TOKEN} for {path} (HTTP {status}: {said}); make a new one for a service account that may read \
                 dashboards and query data sources"
            ),
            _ => format!("Grafana answers {path} with HTTP {status}: {said}"),
        })
    }
}
