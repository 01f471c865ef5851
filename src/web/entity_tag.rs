//! Entity tags (RFC 9110 section 8.8.3): what a reader has already need not be sent again.

use axum::http::header::{HeaderMap, IF_NONE_MATCH};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// The strong tag of these octets, with its quotes.
pub fn of(octets: &[u8]) -> String {
    format!("\"{}\"", HEXLOWER.encode(&Sha256::digest(octets)[..16]))
}

/// Does the asker have the representation with this tag, or any one (RFC 9110 section 13.1.2)? Tags are compared weakly.
pub fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    known.map(|known| known.trim().trim_start_matches("W/")).any(|known| known == "*" || known == tag)
}
