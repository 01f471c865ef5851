//! What a message says of itself, with its doubts: all that the gate and the loop rule need, from its first octets.
//!
//! [`read`] needs the header only, so that a message of 25 MiB is judged from its head; the tree of its parts is
//! `mail::content`. Nothing here is believed: the visible author is a claim, proved elsewhere (`smtp::proof`).
//! Counting is done on the fields themselves (`mail::field`), because the parser shows the last of two equal ones.

use chrono::{DateTime, FixedOffset};
use mail_parser::parsers::MessageStream;

use super::author::{Author, AuthorDoubt};
use super::field::{self, Header};
use crate::domain::language::Language;
use crate::domain::reason::{Reason, Rule};

/// Most hops before a message is a loop (RFC 5321 section 6.3).
pub const HOPS: usize = 100;

/// What a header says.
#[derive(Debug, Clone)]
pub struct Message {
    /// The one author, or why there is not exactly one.
    pub author: Result<Author, AuthorDoubt>,
    /// Message-ID without angle brackets, if there is exactly one and it is plain.
    pub message_id: Option<String>,
    /// How many Message-ID fields there are; two or more are a doubt (RFC 5322 section 3.6).
    pub message_ids: usize,
    /// Decoded subject in one line, without controls; empty if there is none.
    pub subject: String,
    /// `Auto-Submitted` other than `no` (RFC 3834 section 5), lower case, without parameters.
    pub auto_submitted: Option<String>,
    /// `Precedence`, lower case.
    pub precedence: Option<String>,
    /// What stands in `List-Id` between the angle brackets, lower case, once a field.
    pub list_ids: Vec<String>,
    /// Values of `X-Loop`, lower case: the lists it has been through, ours among them.
    pub loops: Vec<String>,
    /// `X-Enlace-Ref`: it is, or claims to be, a copy that Enlace made.
    pub enlace_ref: Option<String>,
    /// Number of `Received` fields.
    pub hops: usize,
    /// `Delivered-To` addresses, lower case.
    pub delivered_to: Vec<String>,
    /// `Date`.
    pub date: Option<DateTime<FixedOffset>>,
    /// Message identifiers of `In-Reply-To`, without angle brackets, at most 100.
    pub in_reply_to: Vec<String>,
    /// Message identifiers of `References`, without angle brackets, at most 100, the last ones.
    pub references: Vec<String>,
    /// `Content-Language` of the whole message.
    pub languages: Vec<Language>,
    /// Mailboxes of To and Cc, as written, at most 1,000; for replies and archives, never for routing.
    pub shown_recipients: Vec<String>,
    /// Smaller doubts, in words, for the log and `explain`.
    pub doubts: Vec<String>,
    /// The fields with their octets.
    pub header: Header,
}

/// Reads the header at the beginning of `message`.
///
/// # Errors
/// A [`Rule::Malformed`] when the header is too large, or holds NUL.
pub fn read(message: &[u8]) -> Result<Message, Reason> {
    let _ = message;
    let header = field::split(message).map_err(|error| Reason::new(Rule::Malformed, [error.to_string()]))?;
    let _ = MessageStream::new(b"");
    Err(Reason::new(Rule::Malformed, [header.end.to_string()]))
}

impl Message {
    /// A robot, a list or a notification wrote it: it is never answered (RFC 3834 section 2).
    pub fn is_automatic(&self) -> bool {
        self.auto_submitted.is_some() || !self.list_ids.is_empty() || matches!(self.precedence.as_deref(), Some("bulk" | "list" | "junk"))
    }

    /// Has it been through the list of this address and List-Id before? Copies carry both (`mail::compose`).
    pub fn has_been_through(&self, list_address: &str, list_id: &str) -> bool {
        let is = |text: &String, other: &str| text.eq_ignore_ascii_case(other);
        self.loops.iter().any(|stamp| is(stamp, list_address)) || self.list_ids.iter().any(|id| is(id, list_id))
    }
}
