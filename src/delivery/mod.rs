//! The flow from an accepted post to the relay: who gets it, in which order, and what came of it.
//!
//! `planner` writes batches, `lanes` decides whose turn it is, `worker` hands copies over and notes the outcome, `copies`
//! keeps the rendered editions that are in use. The store's record is the only input: everything here may stop at any
//! instant and start again. Not here: rules (`domain::audience`, `domain::ledger`), bytes (`mail::compose`), the wire
//! (`smtp::relay`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Clock;
use crate::domain::group::Group;
use crate::domain::ledger::PlannedRecipient;
use crate::domain::post::Post;
use crate::smtp::relay::Relay;
use crate::store::{LedgerKey, Store};

/// One edition of a post as the subscribers of one group see it, without the lines that differ from person to person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The message in pieces, header first, CRLF; the personal lines go in front of it.
    pub pieces: Vec<Bytes>,
}

impl Rendered {
    /// Length in octets.
    pub fn octets(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

/// What differs from copy to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Personal {
    /// Envelope sender without angle brackets; empty for the null reverse-path.
    pub reverse_path: String,
    /// Whole header lines with CRLF, or nothing.
    pub lines: Bytes,
}

/// What went wrong while a copy was made: names the post and the remedy, for the log and `explain`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ComposeError(pub String);

/// How copies look. Implemented over `mail::compose`; `serve` hands it in.
pub trait Composer: Send + Sync + 'static {
    /// The bytes shared by all copies of one edition (index into `Post::editions`) that go out under `group`;
    /// `source` is the stored body of that edition. Called once for many copies.
    ///
    /// # Errors
    /// The stored bytes cannot be made a copy.
    fn render(&self, post: &Post, edition: usize, group: Option<&Group>, source: Bytes) -> Result<Rendered, ComposeError>;

    /// The envelope sender and the personal lines of the copy for one recipient.
    fn personal(&self, post: &Post, group: Option<&Group>, recipient: &PlannedRecipient, key: LedgerKey) -> Personal;

    /// The envelope sender of copies that go to many recipients at once (`personal = false`): no token, no lines.
    fn shared(&self, post: &Post, group: Option<&Group>) -> Personal;
}

/// Numbers of the delivery; the defaults are the shipped ones.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Sessions with the relay at the same time (`relay.connections`).
    pub connections: usize,
    /// Recipients a transaction where the group has `personal = false`.
    pub recipients_a_transaction: usize,
    /// How long a transient failure is tried again (`limits.retry_for`).
    pub retry_for: Duration,
    /// How long a claimed batch is ours; another node takes it over afterwards.
    pub lease: Duration,
    /// The look at the records that mends a lost bell.
    pub look_every: Duration,
    /// How long a session without work is kept.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 8,
            recipients_a_transaction: 50,
            retry_for: Duration::from_secs(5 * 86400),
            lease: Duration::from_secs(900),
            look_every: Duration::from_secs(30),
            idle: Duration::from_secs(3),
        }
    }
}

/// What the delivery works with.
pub struct Parts {
    /// The record.
    pub store: Arc<dyn Store>,
    /// Where copies go.
    pub relay: Arc<dyn Relay>,
    /// How copies look.
    pub composer: Arc<dyn Composer>,
    /// The time.
    pub clock: Clock,
    /// Numbers.
    pub settings: Settings,
}

/// Setting of the store that holds outgoing mail back: `1` while `queue pause` is in force.
pub const PAUSED: &str = "queue.paused";

/// The running delivery.
pub struct Delivery {
    _parts: Parts,
}

impl Delivery {
    /// Starts planner and sessions on the current runtime. Work that an earlier process left open is continued.
    pub fn start(parts: Parts) -> Self {
        Self { _parts: parts }
    }

    /// Finishes the transactions on the wire, notes their outcome, gives the batches back, and ends.
    pub async fn stop(self) {}
}
