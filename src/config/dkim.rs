use std::path::PathBuf;

use serde::Deserialize;

/// `[dkim]`: sign what is sent (RFC 6376), and seal what is passed on (RFC 8617).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dkim {
    /// The signing domain; the list domain if it is left out.
    pub domain: Option<String>,
    /// The selector: the key is published at `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
    /// PEM file with an RSA or Ed25519 key.
    pub key_file: PathBuf,
}
