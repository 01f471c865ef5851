//! Opening a session: TCP without Nagle's delay, greeting, EHLO, TLS, AUTH.
//!
//! lettre's connection sets no TCP_NODELAY and reads a reply line of any length, so the socket is ours; commands and
//! SASL answers are lettre's, TLS is rustls with the system's roots. Sources: RFC 5321 section 3.1, RFC 3207, 8314, 4954.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::{Auth, Ehlo, Starttls};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Category, Code, Detail, Response, Severity};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::courier::{Courier, Duplex, Timeouts};
use super::features::Features;
use super::reply::{Lost, Reply, ReplyReader};
use super::{Relay, RelayError, RelaySession};

/// Whether the session is encrypted; never "if the relay offers it", which an attacker would answer with no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayTls {
    /// Clear text: for a relay on the same machine or network.
    None,
    /// STARTTLS, or no session (RFC 3207).
    Starttls,
    /// TLS from the first octet (RFC 8314 section 3).
    Implicit,
}

/// Where the relay is and how to talk to it.
#[derive(Clone)]
pub struct RelayOptions {
    /// Host name or address; with TLS the certificate has to name it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Encryption.
    pub tls: RelayTls,
    /// A PEM file with certificates to trust instead of the system's.
    pub trusted_certificates: Option<PathBuf>,
    /// User name and password for AUTH.
    pub credentials: Option<(String, String)>,
    /// What EHLO says: a host name.
    pub hello: String,
    /// How long each step may take.
    pub timeouts: Timeouts,
}

impl RelayOptions {
    /// A relay in clear text without AUTH.
    pub fn plain(host: impl Into<String>, port: u16, hello: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            tls: RelayTls::None,
            trusted_certificates: None,
            credentials: None,
            hello: hello.into(),
            timeouts: Timeouts::default(),
        }
    }
}

/// A relay that speaks SMTP.
pub struct SmtpRelay {
    options: RelayOptions,
    tls: OnceCell<Arc<ClientConfig>>,
}

impl SmtpRelay {
    /// Connects to nothing yet.
    pub fn new(options: RelayOptions) -> Self {
        Self { options, tls: OnceCell::new() }
    }

    async fn connect(&self) -> Result<TcpStream, RelayError> {
        let wait = self.options.timeouts.connect;
        let connected = timeout(wait, TcpStream::connect((self.options.host.as_str(), self.options.port))).await;
        let unreachable = |cause: String| RelayError::Unreachable { relay: self.name(), cause };
        let stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable(format!("no connection within {} s", wait.as_secs()))),
        };
        // Without it the final dot of each message waits for the relay's delayed acknowledgement, 40 ms a message.
        stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        Ok(stream)
    }

    async fn encrypt(&self, stream: TcpStream) -> Result<Box<dyn Duplex>, RelayError> {
        let failed = |cause: String| RelayError::Tls { relay: self.name(), cause };
        let config = self.tls.get_or_try_init(|| client_config(&self.options)).await.map_err(failed)?;
        let name = ServerName::try_from(self.options.host.clone()).map_err(|error| failed(error.to_string()))?;
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        match timeout(self.options.timeouts.connect, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("no handshake in time".to_owned())),
        }
    }

    fn lost(&self, lost: &Lost) -> RelayError {
        RelayError::Unreachable { relay: self.name(), cause: lost.to_string() }
    }

    fn refused(&self, step: &'static str, reply: &Reply) -> RelayError {
        RelayError::Refused { relay: self.name(), step, reply: reply.line.clone() }
    }

    async fn exchange(&self, line: &Opening, stream: &mut dyn Duplex, reader: &mut ReplyReader) -> Result<Reply, RelayError> {
        let wait = self.options.timeouts.command;
        let write = async {
            stream.write_all(line.command.as_bytes()).await?;
            stream.flush().await
        };
        match timeout(wait, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(self.lost(&Lost::Broken { step: line.step, cause: error.to_string() })),
            Err(_) => return Err(self.lost(&Lost::Silent { step: line.step, seconds: wait.as_secs() })),
        }
        reader.read(stream, line.step, wait).await.map_err(|lost| self.lost(&lost))
    }

    /// EHLO, or HELO where that is not known (RFC 5321 section 3.2).
    async fn hello(&self, stream: &mut dyn Duplex, reader: &mut ReplyReader) -> Result<Features, RelayError> {
        let name = client_id(&self.options.hello);
        let ehlo = Opening { command: Ehlo::new(name.clone()).to_string(), step: "at EHLO" };
        let reply = self.exchange(&ehlo, stream, reader).await?;
        if reply.is_positive() {
            return Ok(Features::of(reply.texts()));
        }
        if !matches!(reply.code, 500 | 502 | 504 | 550) {
            return Err(self.refused("EHLO", &reply));
        }
        let helo = Opening { command: format!("HELO {name}\r\n"), step: "at HELO" };
        let reply = self.exchange(&helo, stream, reader).await?;
        if reply.is_positive() { Ok(Features::default()) } else { Err(self.refused("HELO", &reply)) }
    }

    async fn authenticate(&self, features: &Features, stream: &mut dyn Duplex, reader: &mut ReplyReader) -> Result<(), RelayError> {
        let Some((user, password)) = &self.options.credentials else { return Ok(()) };
        let refused = |reply: String| RelayError::Refused { relay: self.name(), step: "AUTH", reply };
        let near = self.options.host == "localhost" || self.options.host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if self.options.tls == RelayTls::None && !near {
            return Err(refused("a password is not sent in clear text; set relay.tls to \"starttls\" or \"implicit\"".to_owned()));
        }
        let Some(mechanism) = features.mechanism else {
            return Err(refused("it offers neither PLAIN nor LOGIN; take relay.username out or mend the relay".to_owned()));
        };
        let credentials = Credentials::new(user.clone(), password.clone());
        let unusable = |error: lettre::transport::smtp::Error| refused(error.to_string());
        let mut command = Auth::new(mechanism, credentials.clone(), None).map_err(unusable)?;
        // LOGIN asks for the name and for the password; more questions than that lead nowhere.
        for _ in 0..4 {
            let reply = self.exchange(&Opening { command: command.to_string(), step: "at AUTH" }, stream, reader).await?;
            match reply.code {
                334 => command = Auth::new_from_response(mechanism, credentials.clone(), &challenge(&reply)).map_err(unusable)?,
                _ if reply.is_positive() => return Ok(()),
                _ => return Err(refused(reply.line)),
            }
        }
        Err(refused(format!("it keeps asking in {}", mechanism_name(mechanism))))
    }
}

/// A command of the opening and its name in errors.
struct Opening {
    command: String,
    step: &'static str,
}

#[async_trait]
impl Relay for SmtpRelay {
    async fn open(&self) -> Result<Box<dyn RelaySession>, RelayError> {
        let mut reader = ReplyReader::default();
        let tcp = self.connect().await?;
        let (mut stream, features): (Box<dyn Duplex>, Features) = match self.options.tls {
            RelayTls::None | RelayTls::Implicit => {
                let mut stream: Box<dyn Duplex> =
                    if self.options.tls == RelayTls::Implicit { self.encrypt(tcp).await? } else { Box::new(tcp) };
                self.greeting(&mut *stream, &mut reader).await?;
                let features = self.hello(&mut *stream, &mut reader).await?;
                (stream, features)
            }
            RelayTls::Starttls => {
                let tcp = self.start_tls(tcp, &mut reader).await?;
                let mut stream = self.encrypt(tcp).await?;
                let features = self.hello(&mut *stream, &mut reader).await?;
                (stream, features)
            }
        };
        self.authenticate(&features, &mut *stream, &mut reader).await?;
        Ok(Box::new(Courier::new(stream, reader, features, self.options.timeouts)))
    }

    fn name(&self) -> String {
        format!("{}:{}", self.options.host, self.options.port)
    }
}

impl SmtpRelay {
    async fn greeting(&self, stream: &mut dyn Duplex, reader: &mut ReplyReader) -> Result<(), RelayError> {
        let reply = reader.read(stream, "at the greeting", self.options.timeouts.command).await.map_err(|lost| self.lost(&lost))?;
        if reply.code == 220 { Ok(()) } else { Err(self.refused("the session", &reply)) }
    }

    async fn start_tls(&self, mut tcp: TcpStream, reader: &mut ReplyReader) -> Result<TcpStream, RelayError> {
        self.greeting(&mut tcp, reader).await?;
        let features = self.hello(&mut tcp, reader).await?;
        let failed = |cause: &str| RelayError::Tls { relay: self.name(), cause: cause.to_owned() };
        if !features.starttls {
            return Err(failed("it does not offer STARTTLS"));
        }
        let reply = self.exchange(&Opening { command: Starttls.to_string(), step: "at STARTTLS" }, &mut tcp, reader).await?;
        if reply.code != 220 {
            return Err(failed(&reply.line));
        }
        // Clear text behind the 220 could pose as answers from inside the encrypted session (CVE-2011-0411).
        if reader.unasked().is_some() {
            return Err(failed("it sent more in clear text after STARTTLS"));
        }
        Ok(tcp)
    }
}

async fn client_config(options: &RelayOptions) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &options.trusted_certificates {
        let shown = path.display();
        let pem = tokio::fs::read(path).await.map_err(|error| format!("reading {shown}: {error}"))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| format!("{shown} is not a PEM file of certificates: {error}"))?;
            roots.add(certificate).map_err(|error| format!("{shown}: {error}"))?;
        }
    } else {
        for certificate in rustls_native_certs::load_native_certs().certs {
            // A root that rustls cannot read is one that it could not trust either.
            let _ = roots.add(certificate);
        }
    }
    if roots.is_empty() {
        return Err("no trusted certificates were found on this machine; install the package ca-certificates".to_owned());
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// An address literal is written as one (RFC 5321 section 4.1.3).
fn client_id(hello: &str) -> ClientId {
    match hello.parse() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(hello.to_owned()),
    }
}

fn challenge(reply: &Reply) -> Response {
    let code = Code::new(Severity::PositiveIntermediate, Category::Unspecified3, Detail::Four);
    Response::new(code, reply.texts().map(str::to_owned).collect())
}

fn mechanism_name(mechanism: Mechanism) -> String {
    mechanism.to_string()
}
