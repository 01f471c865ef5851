//! Sockets around the session: accepting, TLS, deadlines, spooling of large messages, shutdown.
//!
//! Calls the [`Receiver`] and writes its answers. Adds nothing to a message; mail addresses stay out of the logs.
//! The surprise: closing a socket with unread octets in it makes the kernel throw away the answer that is still on its
//! way, so a session that ends early reads on for a moment before it closes.

mod admission;
mod connection;
mod intake;
mod network;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

use self::admission::{Admission, Ticket};
use self::connection::Connection;
pub use self::network::Network;
use super::session::{Limits, Protocol, SessionConfig};
use super::{Receiver, SessionInfo};

/// Connections that the kernel holds for us while we are busy.
const BACKLOG: u32 = 4_096;
/// Pause after a failed accept: with no file descriptor left, an accept at once would fail at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

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
    /// May those clients say by XFORWARD whose message they pass on?
    pub xforward: bool,
    /// Certificate and key; needed for `submission`.
    pub tls: Option<TlsFiles>,
    /// Bounds on what a client may send.
    pub limits: Limits,
    /// Deadlines and numbers of sessions.
    pub patience: Patience,
}

/// A certificate chain and its key, PEM files, read when the listener is bound and whenever they change.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Leaf first.
    pub certificate: PathBuf,
    /// PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// TLS from the first octet (RFC 8314 section 3.3) instead of STARTTLS.
    pub implicit: bool,
}

/// How long a client is waited for, and how many are served at a time.
#[derive(Debug, Clone)]
pub struct Patience {
    /// A client of `trusted_networks` that speaks within this time after connecting spoke before the greeting. Default 2 ms.
    pub early_trusted: Duration,
    /// As `early_trusted`, for all others, who wait so long for the greeting. Default 100 ms.
    pub early: Duration,
    /// From the greeting to the end of the first command. Default 30 s.
    pub greeting: Duration,
    /// From one answer to the end of the next command, and for a client that does not read. Default 60 s.
    pub command: Duration,
    /// From 354 to the dot. Default 10 min.
    pub data: Duration,
    /// A message must have come at this rate on average, once `data_grace` is over. Default 1,000.
    pub data_octets_per_second: u64,
    /// Default 30 s.
    pub data_grace: Duration,
    /// Before the answer to a recipient or log-in that is refused, after the first few. Default 1 s.
    pub slowdown: Duration,
    /// Certificate and key are looked at so often; new ones are taken. Default 10 s.
    pub renewal: Duration,
    /// A message that is coming in when shutdown begins may come on for so long; then it gets 421. Default 3 s.
    pub unfinished: Duration,
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
            early_trusted: Duration::from_millis(2),
            early: Duration::from_millis(100),
            greeting: Duration::from_secs(30),
            command: Duration::from_mins(1),
            data: Duration::from_mins(10),
            data_octets_per_second: 1_000,
            data_grace: Duration::from_secs(30),
            slowdown: Duration::from_secs(1),
            renewal: Duration::from_secs(10),
            unfinished: Duration::from_secs(3),
            shutdown: Duration::from_secs(10),
            sessions: 12_000,
            sessions_trusted_network: 10_000,
            sessions_network: 50,
        }
    }
}

/// A bound listener, not yet accepting.
pub struct Listener {
    socket: TcpListener,
    shared: Arc<Shared>,
}

/// What the sessions of a listener have in common.
struct Shared {
    session: Arc<SessionConfig>,
    local: SocketAddr,
    trusted_networks: Vec<Network>,
    patience: Patience,
    tls: Option<Arc<tls::Tls>>,
    admission: Arc<Admission>,
}

/// Binds `config.address` and reads certificate and key.
///
/// # Errors
/// The address is taken or not ours, a PEM file cannot be read or used (the text names it), the host name is none, or
/// `submission` has no certificate.
#[expect(clippy::unused_async, reason = "it may only be called inside a runtime, which `await` says")]
pub async fn bind(config: ListenerConfig) -> io::Result<Listener> {
    let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
    if config.hostname.is_empty() || config.hostname.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(wrong(format!("\"{}\" is not a host name", config.hostname.escape_debug())));
    }
    if config.protocol == Protocol::Submission && config.tls.is_none() {
        return Err(wrong(format!("submission on {} needs a certificate: set tls = {{ certificate = …, key = … }}", config.address)));
    }
    let tls = config.tls.as_ref().map(tls::Tls::read).transpose()?.map(Arc::new);
    let socket = if config.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(config.address).map_err(|e| io::Error::new(e.kind(), format!("could not listen on {}: {e}", config.address)))?;
    let socket = socket.listen(BACKLOG)?;
    let session = Arc::new(SessionConfig {
        protocol: config.protocol,
        hostname: config.hostname,
        domain: config.domain,
        starttls: tls.as_ref().is_some_and(|tls| !tls.implicit),
        xforward: config.xforward,
        limits: config.limits,
    });
    let admission = Arc::new(Admission::new(&config.patience));
    let shared = Shared {
        session,
        local: socket.local_addr()?,
        trusted_networks: config.trusted_networks,
        patience: config.patience,
        tls,
        admission,
    };
    Ok(Listener { socket, shared: Arc::new(shared) })
}

impl Listener {
    /// The address in use, with the port that was free.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What is spoken.
    pub fn protocol(&self) -> Protocol {
        self.shared.session.protocol
    }

    /// Accepts until `shutdown`. Then sessions that have not reached the dot get 421 4.3.2, transactions past it finish;
    /// returns when all are done, or after `patience.shutdown`.
    pub async fn serve(self, receiver: Arc<dyn Receiver>, shutdown: CancellationToken) {
        let Self { socket, shared } = self;
        let mut sessions = JoinSet::new();
        let mut renewal = tokio::time::interval(shared.patience.renewal.max(Duration::from_millis(10)));
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = renewal.tick(), if shared.tls.is_some() => {
                    shared.renew();
                    continue;
                }
                Some(ended) = sessions.join_next() => {
                    report(ended);
                    continue;
                }
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if let Some((ticket, info)) = shared.admit(&stream, peer) {
                        let span = info_span!("session", trace = %info.trace, protocol = info.protocol);
                        let connection = Connection::new(Arc::clone(&shared), Arc::clone(&receiver), shutdown.clone());
                        sessions.spawn(connection.run(stream, info, ticket).instrument(span));
                    }
                }
                Err(error) => {
                    warn!(%error, "Could not accept a connection");
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
        drop(socket);
        let all_done = async {
            while let Some(ended) = sessions.join_next().await {
                report(ended);
            }
        };
        if tokio::time::timeout(shared.patience.shutdown, all_done).await.is_err() {
            warn!(sessions = sessions.len(), "Sessions that did not end in time are cut");
        }
        info!(address = %shared.local, "Stopped listening");
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "A session broke down");
    }
}

impl Shared {
    /// Looks at the certificate off this thread.
    fn renew(&self) {
        let Some(tls) = self.tls.clone() else { return };
        let address = self.local;
        tokio::task::spawn_blocking(move || match tls.renew() {
            Ok(false) => {}
            Ok(true) => info!(%address, "A new certificate is in use"),
            Err(error) => warn!(%address, %error, "The new certificate cannot be used; the old one stays"),
        });
    }

    /// Counts the client in, or tells it to come later.
    fn admit(&self, stream: &TcpStream, peer: SocketAddr) -> Option<(Ticket, SessionInfo)> {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let trusted = self.trusted_networks.iter().any(|network| network.contains(peer.ip()));
        let Some(ticket) = self.admission.admit(peer.ip(), trusted) else {
            debug!(%peer, "Too many sessions");
            // Whoever opens too many is not waited for: what the socket does not take at once is lost.
            let _ = stream.try_write(b"421 4.7.0 too many sessions, try again later\r\n");
            return None;
        };
        let info = SessionInfo {
            protocol: self.session.protocol.as_str(),
            local: self.local,
            peer,
            client: None,
            helo: String::new(),
            trusted,
            tls: false,
            authenticated: None,
            trace: trace(),
        };
        Some((ticket, info))
    }
}

/// An identifier of a session, for the logs; chance, so that two daemons do not give the same.
fn trace() -> String {
    static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = getrandom::u64().unwrap_or_else(|_| COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    format!("{number:016x}")
}
