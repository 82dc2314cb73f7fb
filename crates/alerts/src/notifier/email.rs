//! Email: SMTP with STARTTLS and a login, by `lettre`. The probe logs in and says NOOP.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::runtime::Runtime;

use super::http::runtime;
use super::{Notifier, Reason, SendError, text, with_causes};
use crate::config::EMAIL;
use crate::model::{Alert, AlertError};
use crate::secret::{Secret, scrub};

/// Where mail goes in and to whom.
#[derive(Debug, Clone)]
pub struct EmailConfig {
    /// The server.
    pub host: Secret,
    /// Its port; 587 is that of submission.
    pub port: u16,
    /// The account.
    pub user: Secret,
    /// Its password.
    pub password: Secret,
    /// From whom.
    pub from: Secret,
    /// To whom: addresses with commas between them.
    pub to: Secret,
    /// Certificates of authorities, PEM, that alone are trusted; the system's when left out.
    pub ca_file: Option<PathBuf>,
}

/// An account at a mail server.
pub struct Email {
    runtime: Runtime,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Mailboxes,
    timeout: Duration,
    config: EmailConfig,
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Email").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Email {
    /// An account. Nothing is asked before the first probe.
    ///
    /// # Errors
    /// [`AlertError::Config`], without the values.
    pub fn new(config: EmailConfig, timeout: Duration) -> Result<Self, AlertError> {
        let wrong = |what: &str| AlertError::Config(what.to_owned());
        let from = config
            .from
            .expose()
            .parse()
            .map_err(|_| wrong("EMAIL_FROM is no address; write such as assay@example.com"))?;
        let to: Mailboxes =
            config.to.expose().parse().map_err(|_| {
                wrong("EMAIL_TO holds no addresses; write such as a@example.com, b@example.com")
            })?;
        let runtime = runtime()?;
        let host = config.host.expose();
        let mut tls = TlsParameters::builder(host.to_owned());
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path).map_err(|e| {
                AlertError::Config(format!("smtp_ca_file {}: {e}; check the path", path.display()))
            })?;
            let no_pem = || wrong("smtp_ca_file must hold a certificate as PEM");
            tls = tls.certificate_store(CertificateStore::None);
            tls = tls.add_root_certificate(Certificate::from_pem(&pem).map_err(|_| no_pem())?);
        }
        let tls = tls.build_rustls().map_err(|e| {
            AlertError::Config(format!("no TLS for SMTP_HOST: {}", scrub(&e.to_string(), &[&config.host])))
        })?;
        // Without STARTTLS nothing is said: no login and no mail in the clear.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(config.port)
            .tls(Tls::Required(tls))
            .credentials(Credentials::new(
                config.user.expose().to_owned(),
                config.password.expose().to_owned(),
            ))
            .hello_name(ClientId::Domain("assay.invalid".to_owned()))
            .timeout(Some(timeout))
            .build();
        Ok(Self { runtime, transport, from, to, timeout, config })
    }

    fn within<T>(
        &self,
        talk: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
    ) -> Result<T, SendError> {
        let result = self.runtime.block_on(async { tokio::time::timeout(self.timeout, talk).await });
        let error = match result {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(e)) => failure(&e),
            Err(_) => {
                let ms = self.timeout.as_millis();
                SendError::new(Reason::Timeout, format!("the mail server was not done within {ms} ms"))
            }
        };
        let c = &self.config;
        let message = scrub(&error.message, &[&c.password, &c.user, &c.host, &c.from, &c.to]);
        Err(SendError { message, ..error })
    }

    fn message(&self, alert: &Alert) -> Result<Message, SendError> {
        let id: String =
            alert.alert_id.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        let key = format!("{id}/{EMAIL}");
        let mut builder: MessageBuilder = Message::builder()
            .from(self.from.clone())
            .subject(text::subject(alert))
            // The same for every attempt: mail programs show a duplicate once.
            .message_id(Some(format!("<{id}.{EMAIL}@assay.invalid>")))
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Idempotency-Key"), key));
        for mailbox in self.to.iter() {
            builder = builder.to(mailbox.clone());
        }
        builder
            .header(ContentType::TEXT_PLAIN)
            .body(text::body(alert))
            .map_err(|_| SendError::new(Reason::Rejected, "the alert cannot be written as a mail"))
    }
}

fn failure(error: &lettre::transport::smtp::Error) -> SendError {
    use std::error::Error as _;
    let reason = match error.status().map(u16::from) {
        // RFC 4954: the login failed, is needed, is too weak.
        Some(530 | 534 | 535 | 538) => Reason::Unauthorized,
        Some(500..=599) => Reason::Rejected,
        Some(_) => Reason::Server,
        None if error.is_timeout() => Reason::Timeout,
        // No STARTTLS, or no way to log in.
        None if error.is_client() => Reason::Rejected,
        None => Reason::Network,
    };
    let message = with_causes(error.to_string(), error.source());
    SendError::new(reason, message.chars().take(300).collect::<String>())
}

impl Notifier for Email {
    fn name(&self) -> &str {
        EMAIL
    }

    fn probe(&mut self) -> Result<(), SendError> {
        match self.within(self.transport.test_connection())? {
            true => Ok(()),
            false => Err(SendError::new(Reason::Server, "the mail server refuses NOOP")),
        }
    }

    fn send(&mut self, alert: &Alert) -> Result<(), SendError> {
        let message = self.message(alert)?;
        self.within(self.transport.send(message)).map(drop)
    }
}
