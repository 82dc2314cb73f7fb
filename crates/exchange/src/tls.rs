//! TLS with a certificate authority of its own, made at the start and thrown away at the end: for tests of clients, no secret.

use crate::ExchangeError;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::IpAddr;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// A certificate for the servers, and the authority that signed it.
pub struct Tls {
    /// What each listener accepts with.
    pub acceptor: TlsAcceptor,
    /// The authority's certificate, PEM: what a client has to trust.
    pub ca_pem: String,
}

/// Makes an authority and a certificate for `localhost` and `addresses`.
///
/// # Errors
/// [`ExchangeError::Tls`].
pub fn make(addresses: &[IpAddr]) -> Result<Tls, ExchangeError> {
    let failed = |error: &dyn std::fmt::Display| ExchangeError::Tls(error.to_string());
    let mut names = vec!["localhost".to_owned()];
    names.extend(addresses.iter().map(ToString::to_string));
    names.sort_unstable();
    names.dedup();
    let mut authority = CertificateParams::new(Vec::new()).map_err(|e| failed(&e))?;
    authority.distinguished_name.push(DnType::CommonName, "Assay local exchange, test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(|e| failed(&e))?;
    let authority = CertifiedIssuer::self_signed(authority, key).map_err(|e| failed(&e))?;
    let mut params = CertificateParams::new(names).map_err(|e| failed(&e))?;
    params.distinguished_name.push(DnType::CommonName, "Assay local exchange");
    let key = KeyPair::generate().map_err(|e| failed(&e))?;
    let certificate = params.signed_by(&key, &authority).map_err(|e| failed(&e))?;
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .map_err(|e| failed(&e))?;
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem: authority.pem() })
}
