//! One scrape: over HTTP, strictly parsed, reduced to the catalogue's series.

use crate::mapping::Mapping;
use exposition::Format;
use gate::evidence::Scrape;
use std::time::Duration;

/// No page is larger than this; more is an error, not a reason to swallow memory.
const MAX_PAGE: usize = 64 * 1024 * 1024;

/// A parsed page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Catalogue series without a symbol label.
    pub scrape: Scrape,
    /// `run_id` label of `assay_run_info`.
    pub run_id: Option<String>,
}

/// Parses a page and gives its series Assay's names. The format follows from the content type; without one, a page that ends in `# EOF` is OpenMetrics.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(text: &[u8], content_type: Option<&str>, mapping: &Mapping) -> Result<Page, String> {
    let format = content_type.and_then(Format::from_content_type).unwrap_or_else(|| {
        let end = text.trim_ascii_end();
        if end.ends_with(b"# EOF") { Format::OpenMetrics } else { Format::Text004 }
    });
    let mut scrape = Scrape::default();
    let mut run_id = None;
    exposition::scan(text, format, |sample| {
        if sample.is_repeated {
            return;
        }
        for mapped in mapping.sample(sample.name, |label| sample.label(label), sample.value) {
            if mapped.name == "assay_run_info" {
                run_id = mapped.labels.iter().find(|(label, _)| label == "run_id").map(|(_, id)| id.clone());
            }
            let series = exposition::canonical_name(&mapped.name, &mapped.labels);
            *scrape.series.entry(series).or_insert(0.0) += mapped.value;
        }
        if mapping.replaces(sample.name) {
            return;
        }
        if sample.name == "assay_run_info" {
            run_id = sample.label("run_id").map(str::to_owned);
        }
        if in_catalogue(sample.name) && sample.label("symbol").is_none() {
            scrape.series.insert(sample.series(), sample.value);
        }
    })
    .map_err(|e| e.to_string())?;
    Ok(Page { scrape, run_id })
}

fn in_catalogue(name: &str) -> bool {
    catalogue::metric(name).is_some()
        || ["_bucket", "_sum", "_count"]
            .iter()
            .any(|suffix| name.strip_suffix(suffix).is_some_and(|base| catalogue::metric(base).is_some()))
}

/// An HTTP client with a runtime of its own, for a caller without one.
#[derive(Debug)]
pub struct Http {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client: {0}")]
pub struct HttpError(String);

impl Http {
    /// A client. Loopback addresses are asked directly, whatever the proxy variables say.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn new() -> Result<Self, HttpError> {
        venues::install_crypto();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| HttpError(e.to_string()))?;
        let client = reqwest::Client::builder().no_proxy().build().map_err(|e| HttpError(e.to_string()))?;
        Ok(Self { runtime, client })
    }

    /// GETs a page whole, within the deadline: status, content type, body.
    ///
    /// # Errors
    /// One sentence: what happened at which address.
    pub fn get(&self, url: &str, timeout: Duration) -> Result<(u16, Option<String>, Vec<u8>), String> {
        self.fetch(url, self.client.get(url), timeout)
    }

    fn fetch(
        &self,
        url: &str,
        request: reqwest::RequestBuilder,
        timeout: Duration,
    ) -> Result<(u16, Option<String>, Vec<u8>), String> {
        let fetch = async {
            let mut answer = request.send().await.map_err(|e| reason(&e))?;
            let status = answer.status().as_u16();
            let kind =
                answer.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|e| reason(&e))? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_PAGE {
                    return Err(format!("the page is larger than {MAX_PAGE} bytes"));
                }
            }
            Ok((status, kind, body))
        };
        self.runtime
            .block_on(async { tokio::time::timeout(timeout, fetch).await })
            .map_err(|_| format!("no whole answer within {} ms", timeout.as_millis()))
            .and_then(|result| result)
            .map_err(|why| format!("{url}: {why}"))
    }

    /// Asks an HTTP API: a GET, or a POST when there is a JSON body; status and body of the answer.
    ///
    /// # Errors
    /// One sentence: what happened at which address. The token is not in it.
    pub fn ask(
        &self,
        url: &str,
        token: Option<&str>,
        body: Option<&serde_json::Value>,
        timeout: Duration,
    ) -> Result<(u16, Vec<u8>), String> {
        let mut request = body.map_or_else(|| self.client.get(url), |body| self.client.post(url).json(body));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let (status, _, body) = self.fetch(url, request, timeout)?;
        Ok((status, body))
    }

    /// Scrapes a page; the bytes are the page as it was served.
    ///
    /// # Errors
    /// One sentence.
    pub fn scrape(&self, url: &str, timeout: Duration, mapping: &Mapping) -> Result<(Page, Vec<u8>), String> {
        let (status, kind, body) = self.get(url, timeout)?;
        if status != 200 {
            return Err(format!("{url}: HTTP status {status}"));
        }
        let page = parse(&body, kind.as_deref(), mapping).map_err(|e| format!("{url}: {e}"))?;
        Ok((page, body))
    }
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
