//! Certificate and key, and the handshake.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use super::TlsFiles;

/// What is needed for a handshake.
pub(super) struct Tls {
    /// From the first octet, without STARTTLS.
    pub(super) implicit: bool,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Reads both files.
    pub(super) fn read(files: &TlsFiles) -> io::Result<Self> {
        let certificates = CertificateDer::pem_file_iter(&files.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(&files.certificate, "certificate", &error))?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&files.key, "key", &error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&files.certificate, "certificate", &error))?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(|error| unusable(&files.certificate, "certificate", &error))?;
        Ok(Self { implicit: files.implicit, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Shakes hands; boxed, because a session without TLS is not to pay for its size.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Box<TlsStream<TcpStream>>> {
        Box::pin(self.acceptor.accept(stream)).await.map(Box::new)
    }
}

fn unusable(path: &Path, what: &str, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("could not use the {what} in {}: {error}", path.display()))
}
