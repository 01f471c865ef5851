use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

use super::Network;

/// `[web]`: pages and API. Put a web server with TLS in front for the public.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Address and port; port 0 takes any free one.
    pub address: SocketAddr,
    /// Web servers in front of us, whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Network>,
}

impl Default for Web {
    fn default() -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8025)), trusted_proxies: vec![Network::LOOPBACK] }
    }
}
