use std::time::Duration;

use serde::Deserialize;

use super::{Network, Span};

/// `[webhooks]`: programs that are told of events (`enlace webhook add`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Networks that are not public and may be called all the same; http without TLS is for loopback addresses among them.
    pub allowed_networks: Vec<Network>,
    /// How long a receiver may take to answer.
    pub timeout: Span,
    /// After failing for so long a webhook rests until somebody enables it; what it missed is kept.
    pub retry_for: Span,
    /// How long events can be replayed.
    pub keep: Span,
}

impl Default for Webhooks {
    fn default() -> Self {
        let days = |days: u64| Span(Duration::from_secs(days * 86_400));
        Self { allowed_networks: Vec::new(), timeout: Span(Duration::from_secs(10)), retry_for: days(3), keep: days(30) }
    }
}
