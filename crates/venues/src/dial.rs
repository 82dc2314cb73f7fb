//! Making a WebSocket connection: name, TCP, an HTTP proxy (`CONNECT`), TLS by the system's certificates, the handshake.
//! Every failure is named as what it is. What happens on the connection stands in [`crate::stream`].
//!
//! Proxies are those of the environment, as for REST: `HTTPS_PROXY` for `wss`, `HTTP_PROXY` for `ws`, `ALL_PROXY` for both, the
//! small letters too; `NO_PROXY` names hosts and domains that are asked directly. This machine's own addresses always are.

use crate::cause::{Cause, is_maintenance, refused_address};
use rustls_platform_verifier::ConfigVerifierExt as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::http::{HeaderMap, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

/// An open connection.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Larger messages are no market data.
const MAX_MESSAGE: usize = 16 << 20;
/// Longer answers of a proxy to `CONNECT` are none.
const MAX_PROXY_ANSWER: usize = 8 << 10;
/// After a refused address or a maintenance nothing is gained by asking sooner.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
const MAINTENANCE_WAIT: Duration = Duration::from_secs(30);

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot connect: {what}")]
pub(crate) struct DialError {
    /// What happened, with the next step.
    what: String,
    /// How long to wait at least.
    pub wait: Option<Duration>,
    /// True when the venue says that there were too many connects.
    pub too_many: bool,
}

impl DialError {
    fn of(cause: &Cause) -> Self {
        Self { what: cause.to_string(), wait: None, too_many: false }
    }

    pub(crate) fn other(what: impl Into<String>) -> Self {
        Self { what: what.into(), wait: None, too_many: false }
    }

    fn timed_out(within: Duration) -> Self {
        Self::other(format!("no connection within {} s; check network, proxy and firewall", within.as_secs()))
    }
}

/// Connects within `limit`.
pub(crate) async fn dial(
    url: &str,
    proxies: &Proxies,
    ca_pem: Option<&str>,
    limit: Duration,
) -> Result<Socket, DialError> {
    tokio::time::timeout(limit, connect(url, proxies, ca_pem))
        .await
        .map_err(|_| DialError::timed_out(limit))?
}

/// Opens a socket as the streams do, for whoever wants to speak on it by himself: through the proxies, with the system's
/// certificates, within `limit`.
///
/// # Errors
/// What happened, with the next step.
pub async fn open_socket(
    url: &str,
    proxies: &Proxies,
    limit: Duration,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, String> {
    crate::install_crypto();
    dial(url, proxies, None, limit).await.map_err(|error| error.to_string())
}

async fn connect(url: &str, proxies: &Proxies, ca_pem: Option<&str>) -> Result<Socket, DialError> {
    let uri: Uri = url.parse().map_err(|e| DialError::other(format!("{e}; check the address")))?;
    let host = uri.host().ok_or_else(|| DialError::other("the address names no host; check it"))?;
    let tls = uri.scheme_str() == Some("wss");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = match proxies.of(host, tls)? {
        Some(proxy) => tunnel(&proxy, host, port).await?,
        None => tcp(host.trim_matches(['[', ']']), port).await.map_err(|cause| DialError::of(&cause))?,
    };
    let connector = match ca_pem {
        _ if !tls => Connector::Plain,
        None => Connector::Rustls(tls_config()?),
        Some(pem) => Connector::Rustls(trusting(pem)?),
    };
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let made = client_async_tls_with_config(url, stream, Some(config), Some(connector)).await;
    made.map(|(socket, _)| socket).map_err(|error| refusal(&error))
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, Cause> {
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|_| Cause::Dns)?;
    let mut last = Cause::Dns;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Small frames must not wait for each other; a socket that refuses the option still works.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = Cause::of(&error),
        }
    }
    Err(last)
}

/// The system's certificates, read once; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others. REST goes by the same.
fn tls_config() -> Result<Arc<rustls::ClientConfig>, DialError> {
    static CONFIG: OnceLock<Result<Arc<rustls::ClientConfig>, String>> = OnceLock::new();
    let made = CONFIG.get_or_init(|| {
        crate::install_crypto();
        rustls::ClientConfig::with_platform_verifier().map(Arc::new).map_err(|e| e.to_string())
    });
    made.clone().map_err(|e| {
        DialError::other(format!(
            "{e}; install the system's certificates (ca-certificates), or name a file in SSL_CERT_FILE"
        ))
    })
}

/// The given authorities and no other.
fn trusting(pem: &str) -> Result<Arc<rustls::ClientConfig>, DialError> {
    use rustls::pki_types::pem::PemObject as _;
    let wrong = |what: String| DialError::other(format!("{what}; ca_file must hold certificates as PEM"));
    crate::install_crypto();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls::pki_types::CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|e| wrong(e.to_string()))?).map_err(|e| wrong(e.to_string()))?;
    }
    let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
    Ok(Arc::new(builder.with_no_client_auth()))
}

fn refusal(error: &WsError) -> DialError {
    let WsError::Http(response) = error else { return DialError::of(&Cause::of(error)) };
    let status = response.status().as_u16();
    let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let named = retry_after(response.headers());
    let refused = |what: String, wait, too_many| DialError { what, wait, too_many };
    match status {
        403 | 407 | 451 => {
            refused(format!("{status}, {}", refused_address(status)), Some(REFUSED_WAIT), false)
        }
        418 | 429 => {
            let wait = named.unwrap_or(Duration::from_secs(if status == 418 { 120 } else { 10 }));
            let what = format!("{status}, too many connects: no further one for {} s", wait.as_secs());
            refused(what, Some(wait), true)
        }
        500.. if is_maintenance(&body) => refused(
            format!("{status}, the venue is under maintenance; wait until it has ended, see its notices"),
            Some(named.unwrap_or(MAINTENANCE_WAIT)),
            false,
        ),
        500.. => refused(format!("status {status}, an error inside the venue"), named, false),
        _ => refused(format!("status {status}; check the address"), named, false),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get("retry-after")?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The proxies of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<String>,
    http: Option<String>,
    direct: Vec<String>,
}

impl Proxies {
    /// Reads the environment.
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// Reads variables that `get` knows.
    pub fn from_vars(get: impl Fn(&str) -> Option<String>) -> Self {
        let one = |name: &str| {
            get(name).or_else(|| get(&name.to_lowercase())).filter(|value| !value.trim().is_empty())
        };
        let all = one("ALL_PROXY");
        let direct = one("NO_PROXY").unwrap_or_default();
        Self {
            https: one("HTTPS_PROXY").or_else(|| all.clone()),
            http: one("HTTP_PROXY").or(all),
            direct: direct
                .split(',')
                .map(|host| host.trim().to_lowercase())
                .filter(|h| !h.is_empty())
                .collect(),
        }
    }

    /// The proxy for `host`.
    fn of(&self, host: &str, tls: bool) -> Result<Option<Proxy>, DialError> {
        let named = if tls { &self.https } else { &self.http };
        match named {
            Some(address) if !self.is_direct(host) => Proxy::parse(address).map(Some),
            _ => Ok(None),
        }
    }

    fn is_direct(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']).to_lowercase();
        let own = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        own || self.direct.iter().any(|entry| {
            let domain = entry.trim_start_matches("*.").trim_start_matches('.');
            entry == "*" || host == domain || host.ends_with(&format!(".{domain}"))
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Proxy {
    host: String,
    port: u16,
    login: Option<String>,
}

impl Proxy {
    fn parse(address: &str) -> Result<Self, DialError> {
        let wrong = |what: &str| {
            DialError::of(&Cause::Proxy(format!("{what}: an address such as http://host:port is needed")))
        };
        let rest = match address.trim().split_once("://") {
            Some(("http", rest)) => rest,
            Some((scheme, _)) => return Err(wrong(&format!("a proxy of kind {scheme} cannot be used"))),
            None => address.trim(),
        };
        let rest = rest.trim_end_matches('/');
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(decoded(login)), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong("its port cannot be read"))?),
            None => (place, 80),
        };
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        Ok(Self { host: host.to_owned(), port, login })
    }
}

/// Asks the proxy for a way to `host:port`.
async fn tunnel(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, DialError> {
    let refused = |what: String| DialError::of(&Cause::Proxy(what));
    let mut stream = tcp(proxy.host.trim_matches(['[', ']']), proxy.port)
        .await
        .map_err(|cause| refused(format!("{}:{}: {cause}", proxy.host, proxy.port)))?;
    let login = proxy.login.as_ref().map_or_else(String::new, |login| {
        format!("Proxy-Authorization: Basic {}\r\n", base64(login.as_bytes()))
    });
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|e| refused(e.to_string()))?;
    let mut answer = Vec::with_capacity(512);
    // Byte by byte: what follows the answer belongs to the venue.
    while !answer.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.map_err(|e| refused(format!("it closed the connection: {e}")))?;
        answer.push(byte);
        if answer.len() > MAX_PROXY_ANSWER {
            return Err(refused("its answer has no end".to_owned()));
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let line = text.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some("200") => Ok(stream),
        _ => Err(refused(format!("it answers {line:?}"))),
    }
}

/// `%40` and the like in a login.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(byte) = bytes.get(i) {
        let hex = bytes.get(i + 1..i + 3).filter(|_| *byte == b'%');
        let value =
            hex.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(value.unwrap_or(*byte));
        i += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// RFC 4648, section 4: what `Basic` logins are written in.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut word = [0u8; 3];
        word[..group.len()].copy_from_slice(group);
        let word = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for place in 0..4 {
            let index = (word >> (18 - 6 * place)) & 63;
            out.push(if place > group.len() { '=' } else { char::from(ALPHABET[index as usize]) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(vars: &[(&str, &str)]) -> Proxies {
        Proxies::from_vars(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn the_environment_names_the_proxy() {
        let found = proxies(&[
            ("HTTPS_PROXY", "http://a:b%40c@proxy.test:3128/"),
            ("no_proxy", "data.test, .inner.test"),
        ]);
        let proxy = found.of("stream.venue.test", true).unwrap().unwrap();
        let expected = Proxy { host: "proxy.test".to_owned(), port: 3128, login: Some("a:b@c".to_owned()) };
        assert_eq!(proxy, expected);
        for direct in ["data.test", "x.inner.test", "127.0.0.1", "localhost", "[::1]"] {
            assert_eq!(found.of(direct, true).unwrap(), None, "{direct}");
        }
        assert_eq!(found.of("stream.venue.test", false).unwrap(), None, "https only");
        let found = proxies(&[("all_proxy", "proxy.test:8080")]);
        assert_eq!(found.of("venue.test", false).unwrap().unwrap().port, 8080);
        let found = proxies(&[("ALL_PROXY", "socks5://proxy.test:1080")]);
        let error = found.of("venue.test", true).unwrap_err().to_string();
        assert!(error.contains("socks5") && error.contains("ALL_PROXY"), "{error}");
    }

    #[test]
    fn logins_are_written_in_base64() {
        for (text, written) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("a:b@c", "YTpiQGM=")]
        {
            assert_eq!(base64(text.as_bytes()), written);
        }
    }
}
