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
    /// Further keys with which every copy is signed too.
    #[serde(default)]
    pub also: Vec<DkimKey>,
    /// Are discussion posts sealed (RFC 8617)?
    #[serde(default = "yes")]
    pub arc: bool,
}

/// `[[dkim.also]]`: a further key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DkimKey {
    /// Its selector.
    pub selector: String,
    /// PEM file with an RSA or Ed25519 key.
    pub key_file: PathBuf,
}

fn yes() -> bool {
    true
}

impl Dkim {
    /// Every selector with its file, the first one first.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &PathBuf)> {
        std::iter::once((self.selector.as_str(), &self.key_file)).chain(self.also.iter().map(|key| (key.selector.as_str(), &key.key_file)))
    }
}
