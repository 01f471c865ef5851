use std::net::SocketAddr;

use serde::Deserialize;

/// `[senders]`: how it is found out who really sent a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Senders {
    /// The server whose `Authentication-Results` count (RFC 8601 section 2.5), when they come from a trusted network.
    pub authserv_id: String,
    /// By what means.
    pub verify: Verify,
    /// The name server that is asked; `None`: those of the system.
    pub nameserver: Option<SocketAddr>,
    /// Domains of forwarders whose seals are believed (RFC 8617), such as a mail gateway that changes messages.
    pub arc_sealers: Vec<String>,
}

/// By what means a sender is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// By the `Authentication-Results` of the trusted relay.
    Headers,
    /// By our own look at DKIM, SPF, DMARC and ARC in the DNS.
    Own,
    /// Not at all: everybody is believed. For tests; refused with a public listener.
    None,
}

impl Default for Senders {
    fn default() -> Self {
        Self { authserv_id: "mx.example.org".into(), verify: Verify::Headers, nameserver: None, arc_sealers: Vec::new() }
    }
}
