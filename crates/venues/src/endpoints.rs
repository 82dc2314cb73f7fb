//! Where the venues are: base URLs, the only thing that differs between the real venues and a local exchange.

use std::net::SocketAddr;
use std::sync::Arc;

/// Base URLs without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Upbit's REST base.
    pub upbit_rest: String,
    /// Upbit's WebSocket base.
    pub upbit_ws: String,
    /// Binance's REST base.
    pub binance_rest: String,
    /// Binance's WebSocket base.
    pub binance_ws: String,
    /// Certificates of authorities, PEM, that alone are trusted, instead of the system's: those of a local exchange.
    pub ca_pem: Option<Arc<str>>,
}

const UPBIT_HOSTS: [&str; 1] = ["api.upbit.com"];
const BINANCE_REST_HOSTS: [&str; 2] = ["api.binance.com", "data-api.binance.vision"];
const BINANCE_WS_HOSTS: [&str; 2] = ["stream.binance.com", "data-stream.binance.vision"];

impl Endpoints {
    /// The real venues.
    pub fn real() -> Self {
        Self {
            upbit_rest: "https://api.upbit.com".to_owned(),
            upbit_ws: "wss://api.upbit.com".to_owned(),
            binance_rest: "https://api.binance.com".to_owned(),
            binance_ws: "wss://stream.binance.com:9443".to_owned(),
            ca_pem: None,
        }
    }

    /// An exchange on this machine, without TLS.
    pub fn local(upbit: SocketAddr, binance: SocketAddr) -> Self {
        Self {
            upbit_rest: format!("http://{upbit}"),
            upbit_ws: format!("ws://{upbit}"),
            binance_rest: format!("http://{binance}"),
            binance_ws: format!("ws://{binance}"),
            ca_pem: None,
        }
    }

    /// True when all four are hosts of the venues over TLS: what is measured there is the market.
    pub fn is_real(&self) -> bool {
        let [upbit_rest, upbit_ws, binance_rest, binance_ws] = self.real_each();
        // Whoever signs for himself can be anybody.
        self.ca_pem.is_none() && upbit_rest && upbit_ws && binance_rest && binance_ws
    }

    /// True when any of the four is a host of the venues over TLS.
    pub fn is_any_real(&self) -> bool {
        self.real_each().contains(&true)
    }

    fn real_each(&self) -> [bool; 4] {
        [
            is_host(&self.upbit_rest, "https://", &UPBIT_HOSTS),
            is_host(&self.upbit_ws, "wss://", &UPBIT_HOSTS),
            is_host(&self.binance_rest, "https://", &BINANCE_REST_HOSTS),
            is_host(&self.binance_ws, "wss://", &BINANCE_WS_HOSTS),
        ]
    }
}

/// Strict on purpose: anything unusual in the address (user, path, query, odd port) is not the real venue.
fn is_host(url: &str, scheme: &str, hosts: &[&str]) -> bool {
    let Some(rest) = url.strip_prefix(scheme) else { return false };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let host = rest.strip_suffix(":9443").or_else(|| rest.strip_suffix(":443")).unwrap_or(rest);
    hosts.contains(&host)
}

/// Chooses the process's cryptography (ring). Call before the first connection; later calls do nothing.
pub fn install_crypto() {
    // An error means that one is installed already, by an earlier call or by the program.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_venues_over_tls_are_real() {
        assert!(Endpoints::real().is_real());
        let local = Endpoints::local(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        assert!(!local.is_real() && !local.is_any_real());
        for bad in [
            "http://api.upbit.com",
            "https://api.upbit.com.example.org",
            "https://api.upbit.com@127.0.0.1",
            "https://api.upbit.com:8080",
            "https://127.0.0.1",
        ] {
            let endpoints = Endpoints { upbit_rest: bad.to_owned(), ..Endpoints::real() };
            assert!(!endpoints.is_real(), "{bad}");
            assert!(endpoints.is_any_real());
        }
        let data =
            Endpoints { binance_rest: "https://data-api.binance.vision".to_owned(), ..Endpoints::real() };
        assert!(data.is_real());
        let own = Endpoints { ca_pem: Some("".into()), ..Endpoints::real() };
        assert!(!own.is_real() && own.is_any_real(), "an authority of one's own can sign for anybody");
    }
}
