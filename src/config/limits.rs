use std::time::Duration;

use serde::Deserialize;

use super::{Octets, Span};

/// `[limits]`: bounds on what comes from outside.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Of a message, told in EHLO (RFC 1870).
    pub message_size: Octets,
    /// Of the header of a message.
    pub header_size: Octets,
    /// Fields of a header.
    pub header_fields: usize,
    /// Nesting of parts.
    pub mime_depth: usize,
    /// Parts of a message.
    pub mime_parts: usize,
    /// `Received` fields of a message (RFC 5321 section 6.3).
    pub hops: usize,
    /// Recipients of an incoming transaction (RFC 5321 section 4.5.3.1.8 wants at least 100).
    pub recipients: usize,
    /// Refused commands of a session.
    pub session_errors: usize,
    /// Commands of a session.
    pub session_commands: usize,
    /// From the greeting to the first command.
    pub greeting_timeout: Span,
    /// From one answer to the next command.
    pub command_timeout: Span,
    /// From 354 to the dot.
    pub data_timeout: Span,
    /// Sessions of one listener.
    pub sessions: usize,
    /// Sessions of one trusted client network.
    pub sessions_trusted_network: usize,
    /// Sessions of any other client network.
    pub sessions_network: usize,
    /// Robot mails an address and day, over all groups (RFC 3834 section 2).
    pub robot_mail: u32,
    /// Posts and command mails of one sender an hour; 0: no limit.
    pub sender_mails: u32,
    /// Mails to one group an hour; 0: no limit.
    pub group_mails: u32,
    /// How long a transient failure of the relay is tried again (RFC 5321 section 4.5.4.1).
    pub retry_for: Span,
    /// Below this much free disk no mail is taken (452 4.3.1).
    pub free_disk: Octets,
    /// Files of an edition of a statement together; more go out as links.
    pub statement_files: Octets,
    /// Rows of an imported file.
    pub import_rows: usize,
    /// A digest goes out early when so much waits for it, and holds no more in one mail.
    pub digest_size: Octets,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Self {
            message_size: Octets(25 << 20),
            header_size: Octets(256 << 10),
            header_fields: 1_000,
            mime_depth: 50,
            mime_parts: 1_000,
            hops: 100,
            recipients: 100,
            session_errors: 20,
            session_commands: 1_000,
            greeting_timeout: seconds(30),
            command_timeout: seconds(60),
            data_timeout: seconds(600),
            sessions: 12_000,
            sessions_trusted_network: 10_000,
            sessions_network: 50,
            robot_mail: 10,
            sender_mails: 0,
            group_mails: 0,
            retry_for: seconds(5 * 86_400),
            free_disk: Octets(200 << 20),
            statement_files: Octets(10 << 20),
            import_rows: 2_000_000,
            digest_size: Octets(1 << 20),
        }
    }
}
