//! Certificate and key, and the handshake; new files are taken without a restart.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

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
    files: TlsFiles,
    acceptor: RwLock<TlsAcceptor>,
    /// How the files looked when they were read.
    seen: Mutex<[Look; 2]>,
}

/// What changes when a file is replaced: time, size, inode.
type Look = Option<(SystemTime, u64, u64)>;

fn look(path: &Path) -> Look {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

fn looks(files: &TlsFiles) -> [Look; 2] {
    [look(&files.certificate), look(&files.key)]
}

impl Tls {
    /// Reads both files.
    pub(super) fn read(files: &TlsFiles) -> io::Result<Self> {
        let seen = Mutex::new(looks(files));
        Ok(Self { implicit: files.implicit, files: files.clone(), acceptor: RwLock::new(acceptor(files)?), seen })
    }

    /// Reads the files again if they look different; `true` if new ones are in use. A certificate that cannot be used leaves the
    /// old one in use, and is tried again when it looks different again: whoever renews writes two files, not one.
    pub(super) fn renew(&self) -> io::Result<bool> {
        let now = looks(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return Ok(false);
        }
        *seen = now;
        let renewed = acceptor(&self.files)?;
        *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(true)
    }

    /// Shakes hands; boxed, because a session without TLS is not to pay for its size.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Box<TlsStream<TcpStream>>> {
        let acceptor = self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(acceptor.accept(stream)).await.map(Box::new)
    }
}

fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
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
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unusable(path: &Path, what: &str, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("could not use the {what} in {}: {error}", path.display()))
}
