//! The wire: SMTP and LMTP server sessions, the client towards the relay, and the proof of senders.
//!
//! `session` is a pure state machine, `listener` puts sockets around it and calls a [`Receiver`], which `ingest`
//! implements and `serve` hands in. Nothing here knows a group or an account.

pub mod relay;

pub mod listener;
pub mod proof;
pub mod session;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::address::{EmailAddress, ReversePath};

/// An SMTP answer: code, enhanced code, one line of text (RFC 5321 section 4.2, RFC 2034).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Basic code, 200 to 599.
    pub code: u16,
    /// Enhanced code.
    pub enhanced: (u8, u8, u8),
    /// Text without line ends; the writer replaces controls.
    pub text: String,
}

impl Answer {
    /// An answer.
    pub fn new(code: u16, enhanced: (u8, u8, u8), text: impl Into<String>) -> Self {
        Self { code, enhanced, text: text.into() }
    }

    /// 2xx?
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// What is known about the client of a session.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// `lmtp`, `smtp` or `submission`.
    pub protocol: &'static str,
    /// The address that was listened on.
    pub local: SocketAddr,
    /// The client.
    pub peer: SocketAddr,
    /// Whose message a trusted relay is passing on, as it said by XFORWARD; `None` if it did not.
    pub client: Option<IpAddr>,
    /// Its LHLO or EHLO name, or that of the relay's client.
    pub helo: String,
    /// Is the client in the listener's `trusted_networks`? Then its Authentication-Results may count.
    pub trusted: bool,
    /// Is the session encrypted?
    pub tls: bool,
    /// Who authenticated by SMTP AUTH.
    pub authenticated: Option<EmailAddress>,
    /// One identifier through all logs.
    pub trace: String,
}

/// What came of a log-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// It is the owner of this address.
    Welcome(EmailAddress),
    /// User or password is wrong, or tried too often.
    Wrong,
    /// It cannot be checked now.
    Later,
}

/// The bytes of a message as received: CRLF line ends, dot-unstuffed, no bare CR, LF or NUL.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// In a file of the receiver's `incoming` folder, complete but not synced; with its first octets, header included.
    Spooled {
        /// The file; removed by the listener unless the receiver renamed it.
        path: PathBuf,
        /// At least the whole header.
        head: Bytes,
        /// Length of the file in octets.
        octets: u64,
    },
}

impl Content {
    /// The header and at least the first part of the body.
    pub fn head(&self) -> &Bytes {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Spooled { head, .. } => head,
        }
    }

    /// Length in octets.
    pub fn octets(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spooled { octets, .. } => *octets,
        }
    }
}

/// A complete transaction, before its answer.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Whose session.
    pub session: Arc<SessionInfo>,
    /// What MAIL said.
    pub reverse_path: ReversePath,
    /// What RCPT said and [`Receiver::recipient`] accepted, in order, never empty.
    pub recipients: Vec<EmailAddress>,
    /// The message.
    pub content: Content,
}

/// Who takes the mail. Implemented by `ingest`.
#[async_trait]
pub trait Receiver: Send + Sync + 'static {
    /// Is MAIL welcome now? `None` is yes; an answer such as 452 refuses (disk floor, shutdown).
    async fn sender(&self, session: &SessionInfo, reverse_path: &ReversePath, declared_octets: Option<u64>) -> Option<Answer>;
    /// Does the address exist? 250 or 550 5.1.1; tells which lists exist, never who is subscribed.
    async fn recipient(&self, session: &SessionInfo, recipient: &EmailAddress) -> Answer;
    /// Judges and keeps the message; one answer a recipient, in order. A positive answer means that it is on disk.
    async fn message(&self, transaction: Transaction) -> Vec<Answer>;
    /// Checks SMTP AUTH credentials on a submission listener; takes the same time whether or not there is such a user.
    async fn authenticate(&self, session: &SessionInfo, user: &str, password: &str) -> Login;
    /// Where spooled messages are written (the store's `incoming` folder).
    fn incoming(&self) -> PathBuf;
}
