use std::path::PathBuf;

use serde::Deserialize;

use super::{Secret, Span};

/// `[relay]`: where copies are handed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relay {
    /// To a mail server, or into a folder.
    pub transport: Transport,
    /// Name or address of the mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Encryption of the session.
    pub tls: RelayTls,
    /// Sessions at the same time; also the most copies that a crash can repeat (RFC 1047).
    pub connections: usize,
    /// Recipients a transaction where a group says `personal = false`.
    pub recipients: usize,
    /// For SMTP AUTH.
    pub username: Option<String>,
    /// For SMTP AUTH.
    pub password: Option<Secret>,
    /// A file that holds `password`.
    pub password_file: Option<PathBuf>,
    /// How long an answer of the server is waited for.
    pub timeout: Span,
}

/// How copies leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// One `.eml` a copy under `data_dir/outbox`: a first look without a mail server.
    Directory,
    /// To `host` and `port`.
    Smtp,
}

/// Encryption towards the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelayTls {
    /// None: for the same machine or a network of one's own.
    None,
    /// STARTTLS, refused if the server does not offer it (RFC 3207).
    Starttls,
    /// From the first octet.
    Implicit,
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            transport: Transport::Directory,
            host: "127.0.0.1".into(),
            port: 25,
            tls: RelayTls::None,
            connections: 8,
            recipients: 50,
            username: None,
            password: None,
            password_file: None,
            timeout: Span(std::time::Duration::from_mins(5)),
        }
    }
}
