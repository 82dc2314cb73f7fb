//! An answer to a REST request: made without a socket, so that virtual time asks the same code as the servers' clients do.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers beside the content type, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// How long the server takes.
    pub delay: Duration,
    /// Whether the body is JSON; plain text otherwise.
    pub json: bool,
}

impl Reply {
    /// JSON.
    pub const fn json(status: u16, body: String) -> Self {
        Self { status, headers: Vec::new(), body, delay: Duration::ZERO, json: true }
    }

    /// Plain text.
    pub fn text(status: u16, body: &str) -> Self {
        Self { json: false, ..Self::json(status, body.to_owned()) }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// Sends it, after its delay.
    pub async fn send(self) -> Response {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = if self.json { "application/json;charset=utf-8" } else { "text/plain; charset=utf-8" };
        let mut response = (status, [(header::CONTENT_TYPE, kind)], self.body).into_response();
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
