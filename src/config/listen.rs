use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use super::Network;

/// One `[[listen]]`: where mail comes in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Address and port; port 0 takes any free one.
    pub address: SocketAddr,
    /// Clients whose `Authentication-Results` count.
    #[serde(default = "loopback")]
    pub trusted_networks: Vec<Network>,
    /// Do these clients say by XFORWARD whose message they pass on? Only for a relay that does so itself.
    #[serde(default)]
    pub xforward: bool,
    /// Certificate and key; needed for `submission` on a public address.
    pub tls: Option<Tls>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 2033, from a mail server that delivers to us.
    Lmtp,
    /// RFC 5321.
    Smtp,
    /// RFC 6409, from people who authenticate.
    Submission,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// TLS from the first octet (RFC 8314 section 3.3) instead of STARTTLS.
    #[serde(default)]
    pub implicit: bool,
}

fn loopback() -> Vec<Network> {
    vec![Network::LOOPBACK]
}

impl Default for Listen {
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8024));
        Self { protocol: Protocol::Lmtp, address, trusted_networks: loopback(), xforward: false, tls: None }
    }
}
