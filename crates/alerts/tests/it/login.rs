//! A real PostgreSQL that wants TLS and a password: what is let in, and what is said of what is not.

use crate::place::sql;
use alerts::{AlertError, PostgresConfig, StoreServer as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use services::Postgres;

const PASSWORD: &str = "can:ary/15";

/// An authority, and a certificate of it for 127.0.0.1 with its key.
fn authority() -> (String, String, String) {
    let mut of_authority = CertificateParams::new(Vec::new()).unwrap();
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(of_authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let server = server.signed_by(&key, &authority).unwrap();
    (authority.pem(), server.pem(), key.serialize_pem())
}

/// What a client with this password and these authorities is told.
fn asked(server: &Postgres, mode: &str, password: &str, roots: &str) -> Result<String, AlertError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority.pem");
    std::fs::write(&path, roots).unwrap();
    let env = |name: &str| match name {
        "PGPASSWORD" => Some(password.to_owned()),
        "PGSSLROOTCERT" => Some(path.display().to_string()),
        _ => None,
    };
    let config = PostgresConfig::resolve(&format!("{}?sslmode={mode}", server.url("assay")), "", &env)?;
    let version = config.version()?;
    config.open()?.ping()?;
    Ok(version)
}

#[test]
fn tls_and_a_password_let_in_and_nothing_less() {
    let mut server = Postgres::start().unwrap();
    sql(&server.url("postgres"), "CREATE DATABASE assay");
    sql(&server.url("postgres"), &format!("ALTER USER postgres PASSWORD '{PASSWORD}'"));
    let (authority_pem, certificate, key) = authority();
    server.secure(&certificate, &key).unwrap();

    let version = asked(&server, "require", PASSWORD, &authority_pem).unwrap();
    assert!(version.starts_with("PostgreSQL"), "{version}");

    let (stranger, ..) = authority();
    for (mode, password, roots, says) in [
        ("require", "canary of another", &authority_pem, "password"),
        ("require", PASSWORD, &stranger, "certificate"),
        ("disable", PASSWORD, &authority_pem, "no encryption"),
    ] {
        let told = asked(&server, mode, password, roots).unwrap_err().to_string();
        assert!(told.contains(says), "{says}: {told}");
        assert!(!told.contains("canary") && !told.contains(PASSWORD), "{told}");
    }
}
