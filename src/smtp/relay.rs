//! The client towards the relay: hands over messages and tells, recipient by recipient, what the relay said.
//!
//! A [`Relay`] opens sessions, a [`RelaySession`] carries one transaction after the other. Three of them: SMTP
//! (`connect`, `courier`), a folder (`directory`), and one for tests (`scripted`). Sources: RFC 5321, 2920
//! (PIPELINING), 6152, 6531, 1870, 3207, 4954.
//! Not here: when to try again (`domain::ledger`), what a copy looks like (`mail::compose`).
//! The surprise: the final dot waits for a [`Clearance`], so that the outcome of the transaction before is on disk
//! while the envelope of this one is already on its way.

pub mod connect;
pub mod courier;
pub mod directory;
mod envelope;
mod features;
mod reply;
pub mod scripted;
mod wire;

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::connect::{RelayOptions, RelayTls, SmtpRelay};
pub use self::courier::Timeouts;
pub use self::directory::DirectoryRelay;
use crate::domain::ledger::RelayAnswer;

/// One message to hand over.
#[derive(Debug, Clone, Copy)]
pub struct Transaction<'a> {
    /// What MAIL says, without angle brackets; empty for the null reverse-path.
    pub reverse_path: &'a str,
    /// What RCPT says, without angle brackets; never empty.
    pub recipients: &'a [&'a str],
    /// The message in pieces, header first. CRLF line ends are expected; a bare CR or LF is made a CRLF, a NUL left out.
    pub message: &'a [Bytes],
}

impl Transaction<'_> {
    /// Length of the message in octets, before dot-stuffing.
    pub fn octets(&self) -> u64 {
        self.message.iter().map(|piece| piece.len() as u64).sum()
    }
}

/// Resolves when the final dot may be sent; `false` means that it must not (the store failed), and the
/// transaction is given up untaken.
pub type Clearance<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// Why no session could be opened. Nothing was handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// No connection.
    #[error("the relay {relay} cannot be reached: {cause}")]
    Unreachable {
        /// Host and port.
        relay: String,
        /// What the system said.
        cause: String,
    },
    /// It answered the greeting, EHLO or AUTH with a refusal.
    #[error("the relay {relay} refused {step}: {reply}")]
    Refused {
        /// Host and port.
        relay: String,
        /// At which step.
        step: &'static str,
        /// Its answer, one line.
        reply: String,
    },
    /// No encrypted session where one is demanded.
    #[error("no encrypted session with the relay {relay}: {cause}")]
    Tls {
        /// Host and port.
        relay: String,
        /// What went wrong.
        cause: String,
    },
    /// The folder of the directory transport cannot be written.
    #[error("the outbox {folder} cannot be written: {cause}")]
    Outbox {
        /// Its path.
        folder: String,
        /// What the system said.
        cause: String,
    },
}

/// Where copies go.
#[async_trait]
pub trait Relay: Send + Sync + 'static {
    /// Opens a session, ready for its first transaction.
    ///
    /// # Errors
    /// By cause, see [`RelayError`]; nothing was handed over then.
    async fn open(&self) -> Result<Box<dyn RelaySession>, RelayError>;

    /// Host and port, or the folder, for logs and `check`.
    fn name(&self) -> String;
}

/// One session with the relay.
#[async_trait]
pub trait RelaySession: Send {
    /// Hands one message over and returns one answer a recipient, in order.
    ///
    /// The final dot is sent when `clearance` allows it. After [`RelayAnswer::LostBefore`], [`RelayAnswer::LostAfter`]
    /// or a 421 the session is over ([`RelaySession::is_open`]); otherwise it is good for the next transaction.
    async fn send(&mut self, transaction: Transaction<'_>, clearance: Clearance<'_>) -> Vec<RelayAnswer>;

    /// Does [`RelaySession::announce`] do anything here?
    fn takes_announcements(&self) -> bool {
        false
    }

    /// The transaction that follows the next one, if it is known already: its envelope goes out right behind the final
    /// dot (RFC 2920 section 3.1). It must then be the next to be sent; for another one the session ends.
    fn announce(&mut self, _next: Transaction<'_>) {}

    /// Can it carry another transaction?
    fn is_open(&self) -> bool;

    /// Says good-bye, waiting a few seconds at most.
    async fn close(&mut self);
}
