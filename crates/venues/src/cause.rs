//! Why a venue could not be reached, named as what it is, with what to do next: from the chain of an error of the network
//! libraries, or from the status of an answer. What is asked and how often it is tried again stands with those who ask.

use std::error::Error;

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The host's name has no address.
    #[error(
        "its name cannot be resolved (dns); check the address for a typing error, and this machine's dns"
    )]
    Dns,
    /// Nothing listens there.
    #[error("the connection is refused; check address and port, and that the exchange is running")]
    Refused,
    /// There is no way to it.
    #[error("there is no route to it; check this machine's network")]
    NoRoute,
    /// It was cut off while it was made or used.
    #[error(
        "the connection was cut; a firewall may be in between, or the venue restarts: it will be tried again"
    )]
    Reset,
    /// Nothing came in time.
    #[error("no answer in time; check network, proxy and firewall")]
    TimedOut,
    /// The certificate comes from nobody that this machine trusts.
    #[error(
        "tls: its certificate is of an unknown issuer, as when a proxy reads along or the machine has no certificates; \
         install the issuer's certificate, or name it in SSL_CERT_FILE"
    )]
    UnknownIssuer,
    /// The certificate is expired, or not valid yet.
    #[error("tls: its certificate is not valid at this time; check this machine's clock")]
    CertificateTime,
    /// The certificate names another host.
    #[error(
        "tls: its certificate is another host's; check the address, and whether a login portal answers instead"
    )]
    OtherHost,
    /// Any other failure of the handshake.
    #[error("tls: {0}; check that nothing between here and the venue reads along")]
    Tls(String),
    /// The proxy does not let us through.
    #[error(
        "the proxy does not let it through ({0}); check HTTPS_PROXY and ALL_PROXY, the login in them and NO_PROXY"
    )]
    Proxy(String),
    /// Something else.
    #[error("{0}; check network, proxy and firewall")]
    Other(String),
}

impl Cause {
    /// Reads an error with everything behind it.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(link) = next {
            if let Some(found) = named(link) {
                return found;
            }
            next = link.source();
        }
        // The libraries do not give the types of these.
        let text = chain(error);
        let has = |what: &str| text.contains(what);
        if has("dns error") || has("failed to lookup address") {
            Self::Dns
        } else if has("tunnel") || has("proxy") {
            Self::Proxy(text)
        } else if has("timed out") || has("deadline has elapsed") {
            Self::TimedOut
        } else {
            Self::Other(text)
        }
    }

    /// A word for counters: `dns`, `tls`, `proxy`, `timeout`, or `unreachable` for the rest.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::UnknownIssuer | Self::CertificateTime | Self::OtherHost | Self::Tls(_) => "tls",
            Self::Proxy(_) => "proxy",
            Self::TimedOut => "timeout",
            Self::Refused | Self::NoRoute | Self::Reset | Self::Other(_) => "unreachable",
        }
    }

    /// True when only somebody who changes something can help.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::UnknownIssuer | Self::CertificateTime | Self::OtherHost | Self::Proxy(_))
    }
}

/// The name of one link of the chain, when it has one.
fn named(error: &(dyn Error + 'static)) -> Option<Cause> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_cause(tls));
    }
    let io = error.downcast_ref::<std::io::Error>()?;
    // An error that was put into an io error is not in its chain.
    if let Some(inner) = io.get_ref()
        && let Some(found) = within(inner)
    {
        return Some(found);
    }
    use std::io::ErrorKind as Kind;
    match io.kind() {
        Kind::ConnectionRefused => Some(Cause::Refused),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Some(Cause::NoRoute),
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
            Some(Cause::Reset)
        }
        Kind::TimedOut => Some(Cause::TimedOut),
        _ => None,
    }
}

fn within(inner: &(dyn Error + Send + Sync + 'static)) -> Option<Cause> {
    if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
        return Some(tls_cause(tls));
    }
    let io = inner.downcast_ref::<std::io::Error>()?;
    within(io.get_ref()?)
}

fn tls_cause(error: &rustls::Error) -> Cause {
    use rustls::CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(fault) => match fault {
            C::UnknownIssuer => Cause::UnknownIssuer,
            C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. } => {
                Cause::CertificateTime
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => Cause::OtherHost,
            other => Cause::Tls(format!("its certificate is not accepted: {other:?}")),
        },
        other => Cause::Tls(other.to_string()),
    }
}

/// An error with its causes: the library's own text often ends before the cause.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// What a venue's text says when it is shut for maintenance, in its languages.
pub fn is_maintenance(text: &str) -> bool {
    let text = text.to_lowercase();
    ["maintenance", "점검", "system upgrade", "under upgrade"].iter().any(|word| text.contains(word))
}

/// Why this address is refused, by the status of the answer.
pub(crate) fn refused_address(status: u16) -> &'static str {
    match status {
        451 => {
            "geo-block: not available from this country; run from a network and a country that the venue serves"
        }
        407 => "a proxy demands a login; put it into HTTPS_PROXY, such as http://name:password@host:port",
        403 => {
            "a firewall refuses this address, for its country or for too many requests; wait, or try another network"
        }
        _ => {
            "a page instead of data, as a proxy or a login portal sends; log in there, or try another network"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error as Io, ErrorKind};

    #[test]
    fn every_cause_has_its_name_and_its_next_step() {
        let tls = |fault| Io::new(ErrorKind::InvalidData, rustls::Error::InvalidCertificate(fault));
        use rustls::CertificateError as C;
        let cases = [
            (Io::from(ErrorKind::ConnectionRefused), Cause::Refused, "unreachable"),
            (Io::from(ErrorKind::ConnectionReset), Cause::Reset, "unreachable"),
            (Io::from(ErrorKind::NetworkUnreachable), Cause::NoRoute, "unreachable"),
            (Io::from(ErrorKind::TimedOut), Cause::TimedOut, "timeout"),
            (Io::other("failed to lookup address information: Name or service not known"), Cause::Dns, "dns"),
            (tls(C::UnknownIssuer), Cause::UnknownIssuer, "tls"),
            (tls(C::Expired), Cause::CertificateTime, "tls"),
            (tls(C::NotValidForName), Cause::OtherHost, "tls"),
            // As one library wraps another's.
            (Io::other(tls(C::UnknownIssuer)), Cause::UnknownIssuer, "tls"),
        ];
        for (error, cause, kind) in cases {
            let found = Cause::of(&error);
            assert_eq!((&found, found.kind()), (&cause, kind));
            assert!(found.to_string().contains("; ") || found == Cause::Reset, "{found}");
        }
        let other = Cause::of(&Io::other("broken"));
        assert_eq!(other.to_string(), "broken; check network, proxy and firewall");
    }

    #[test]
    fn maintenance_is_read_in_both_languages() {
        assert!(is_maintenance("System is under Maintenance."));
        assert!(is_maintenance("서버 점검 중입니다"));
        assert!(!is_maintenance("Internal error; unable to process your request."));
    }
}
