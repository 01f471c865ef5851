//! Our signatures on what is sent (RFC 6376, RFC 8463), and our seal on what is passed on (RFC 8617).
//!
//! The hash of the body and the canonical form of what all copies share are made once an edition ([`Prepared`]); a copy costs one
//! signature over these and its personal lines, because RFC 8058 section 4 wants `List-Unsubscribe` and
//! `List-Unsubscribe-Post` under a signature. Headers are relaxed, bodies simple: the bytes that were stored are the bytes that go out.
//! The surprise: every field that a reader sees is named once more in `h=` than it is there, so that nobody adds a second one on top.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use mail_auth::dkim::Canonicalization;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::field::{self, Header};
use crate::domain::proof::{ArcChain, SenderFindings};

/// Fields that are signed wherever they stand, in this order.
const SIGNED: [&str; 21] = [
    "from",
    "sender",
    "reply-to",
    "subject",
    "date",
    "to",
    "cc",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-language",
    "auto-submitted",
    "list-id",
    "list-post",
    "list-help",
    "list-owner",
    "list-subscribe",
    "list-archive",
];
/// Fields of which nobody may add another one.
const SEALED: [&str; 9] = ["from", "reply-to", "subject", "date", "to", "cc", "message-id", "content-type", "list-id"];
/// Personal fields that are signed.
const PERSONAL: [&str; 2] = ["list-unsubscribe", "list-unsubscribe-post"];
/// Where base64 is folded.
const FOLD: usize = 72;

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM, or another kind of key.
    #[error("it holds no private RSA (at least 2048 bits) or Ed25519 key in PEM form")]
    Form,
    /// A selector that cannot stand in a DNS name.
    #[error("\"{0}\" is no selector: letters, digits and hyphens are")]
    Selector(String),
    /// The library failed.
    #[error("no key could be made")]
    Making,
}

enum Secret {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// One key with its selector.
pub struct Key {
    selector: String,
    secret: Secret,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("selector", &self.selector).finish_non_exhaustive()
    }
}

impl Key {
    /// From a PEM text.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(selector: &str, pem: &str) -> Result<Self, KeyError> {
        let plain = !selector.is_empty()
            && selector.len() <= 63
            && selector.split('.').all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        if !plain {
            return Err(KeyError::Selector(selector.chars().filter(|c| !c.is_control()).take(80).collect()));
        }
        let secret = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::Form)? {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok().map(Secret::Rsa),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let rsa = RsaKeyPair::from_pkcs8(der).ok().map(Secret::Rsa);
                rsa.or_else(|| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Secret::Ed25519))
            }
            _ => None,
        };
        Ok(Self { selector: selector.to_owned(), secret: secret.ok_or(KeyError::Form)? })
    }

    /// Makes a private key, RSA of 2048 bits (RFC 8301 section 3.2) or Ed25519; the PEM text of PKCS #8.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate(ed25519: bool) -> Result<String, KeyError> {
        let der = if ed25519 {
            let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(|_| KeyError::Making)?;
            document.as_ref().to_vec()
        } else {
            let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Making)?;
            let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Making)?;
            der.as_ref().to_vec()
        };
        let text = BASE64.encode(&der);
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem)
    }

    /// The selector.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// What has to be published as TXT at `SELECTOR._domainkey.DOMAIN`.
    pub fn record(&self) -> String {
        match &self.secret {
            Secret::Rsa(pair) => {
                let der = pair.public_key().as_der().map(|der: aws_lc_rs::encoding::PublicKeyX509Der<'_>| der.as_ref().to_vec());
                format!("v=DKIM1; k=rsa; p={}", BASE64.encode(&der.unwrap_or_default()))
            }
            Secret::Ed25519(pair) => format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(pair.public_key().as_ref())),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self.secret {
            Secret::Rsa(_) => "rsa-sha256",
            Secret::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// Base64 of the signature over `canonical`; empty if the library fails, which verifies nowhere.
    fn sign(&self, canonical: &[u8]) -> String {
        match &self.secret {
            Secret::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                match pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), canonical, &mut signature) {
                    Ok(()) => BASE64.encode(&signature),
                    Err(_) => String::new(),
                }
            }
            // RFC 8463 section 3: over the hash.
            Secret::Ed25519(pair) => BASE64.encode(pair.sign(&Sha256::digest(canonical)).as_ref()),
        }
    }
}

/// Signs in the name of one domain with one or several keys.
#[derive(Debug)]
pub struct Signer {
    domain: String,
    keys: Vec<Key>,
    /// Is what others wrote sealed?
    arc: bool,
}

impl Signer {
    /// With the first key in front; at least one.
    pub fn new(domain: String, keys: Vec<Key>, arc: bool) -> Self {
        Self { domain, keys, arc }
    }

    /// The signing domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Its keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }
}

/// What all copies of an edition have in common for their signatures.
#[derive(Debug, Clone)]
pub struct Prepared {
    signer: Arc<Signer>,
    body_hash: String,
    /// Names of the shared fields, as `h=` has them.
    names: Vec<&'static str>,
    /// The shared fields in canonical form, in that order.
    canonical: Vec<u8>,
    time: i64,
}

/// Names and canonical form of those fields of `header` that are signed.
fn chosen(message: &[u8], header: &Header) -> (Vec<&'static str>, Vec<u8>) {
    let (mut names, mut canonical) = (Vec::new(), Vec::new());
    for name in SIGNED {
        // Of several the lowest comes first (RFC 6376 section 5.4.2).
        let fields: Vec<_> = header.named(name).collect();
        for found in fields.iter().rev() {
            names.push(name);
            relaxed(name, &message[found.value.start..found.whole.end], &mut canonical);
        }
        if SEALED.contains(&name) {
            names.push(name);
        }
    }
    (names, canonical)
}

/// `name:value` in the relaxed form with its line end.
fn relaxed(name: &str, value: &[u8], into: &mut Vec<u8>) {
    Canonicalization::Relaxed.canonicalize_headers(std::iter::once((name.as_bytes(), value)), into);
}

/// Base64 of the hash of `body` in the simple form (RFC 6376 section 3.4.3): one line end at the end.
fn body_hash(body: &[u8]) -> String {
    let mut end = body.len();
    while body[..end].ends_with(b"\r\n") {
        end -= 2;
    }
    let mut hash = Sha256::new();
    hash.update(&body[..end]);
    hash.update(b"\r\n");
    BASE64.encode(&hash.finalize())
}

/// `text` with a line end and a tab wherever a line would grow too long, cut at `after` or anywhere.
fn folded(text: &str, after: Option<char>) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    let mut column = 0;
    for c in text.chars() {
        if column >= FOLD && after.is_none() {
            out.push_str("\r\n\t");
            column = 0;
        }
        out.push(c);
        column += 1;
        if column >= FOLD - 24 && after == Some(c) {
            out.push_str("\r\n\t");
            column = 0;
        }
    }
    out
}

impl Prepared {
    /// For copies whose shared head (fields and empty line) and body these are.
    pub fn new(signer: Arc<Signer>, shared_head: &[u8], body: &[u8], now: DateTime<Utc>) -> Self {
        let (names, canonical) = match field::split(shared_head) {
            Ok(header) => chosen(shared_head, &header),
            Err(_) => (Vec::new(), Vec::new()),
        };
        Self { signer, body_hash: body_hash(body), names, canonical, time: now.timestamp() }
    }

    /// The signature fields for a copy with these personal lines: one for each key.
    pub fn fields(&self, personal_lines: &[u8]) -> Vec<u8> {
        let (mut names, mut canonical) = (Vec::new(), Vec::with_capacity(self.canonical.len() + 1_024));
        if let Ok(header) = field::split(personal_lines) {
            for name in PERSONAL {
                for found in header.named(name).take(1) {
                    names.push(name);
                    relaxed(name, &personal_lines[found.value.start..found.whole.end], &mut canonical);
                }
            }
        }
        names.extend(self.names.iter().copied());
        canonical.extend_from_slice(&self.canonical);
        let names = folded(&names.join(":"), Some(':'));
        let fields = self.signer.keys.iter().map(|key| {
            let tags = format!(
                " v=1; a={}; c=relaxed/simple; d={}; s={};\r\n\tt={}; bh={};\r\n\th={names};\r\n\tb=",
                key.algorithm(),
                self.signer.domain,
                key.selector,
                self.time,
                self.body_hash
            );
            signed_field("DKIM-Signature", &tags, key, &canonical)
        });
        fields.collect::<String>().into_bytes()
    }

    /// The three fields of our seal, the newest on top; `None` where nothing may be sealed: an earlier seal is broken, or nobody
    /// looked at it.
    pub fn seal(&self, shared_head: &[u8], found: &SenderFindings) -> Option<Vec<u8>> {
        let signer = &self.signer;
        let key = signer.keys.iter().find(|key| matches!(key.secret, Secret::Rsa(_))).or_else(|| signer.keys.first())?;
        let header = field::split(shared_head).ok()?;
        let earlier = header.count("arc-seal");
        let chain = match found.arc {
            ArcChain::None if earlier == 0 && header.count("arc-message-signature") == 0 => "none",
            ArcChain::Pass if earlier > 0 => "pass",
            _ => return None,
        };
        if !signer.arc {
            return None;
        }
        let mut sets = Vec::new();
        for instance in 1..=earlier {
            for name in ["arc-authentication-results", "arc-message-signature", "arc-seal"] {
                let of_set = header.named(name).find(|field| instance_of(&field::unfolded(shared_head, field)) == Some(instance))?;
                relaxed(name, &shared_head[of_set.value.start..of_set.whole.end], &mut sets);
            }
        }
        let instance = earlier + 1;
        let results = if found.results.is_empty() { "none" } else { found.results.as_str() };
        let results = format!(" i={instance}; {};\r\n\t{}\r\n", signer.domain, results.replace("; ", ";\r\n\t"));
        let (mut names, mut canonical) = (Vec::new(), Vec::new());
        for found in header.fields.iter().rev().filter(|field| field.name == "dkim-signature") {
            names.push("dkim-signature");
            relaxed("dkim-signature", &shared_head[found.value.start..found.whole.end], &mut canonical);
        }
        names.extend(self.names.iter().copied());
        canonical.extend_from_slice(&self.canonical);
        let tags = format!(
            " i={instance}; a={}; c=relaxed/simple; d={}; s={};\r\n\tt={}; bh={};\r\n\th={};\r\n\tb=",
            key.algorithm(),
            signer.domain,
            key.selector,
            self.time,
            self.body_hash,
            folded(&names.join(":"), Some(':'))
        );
        let signature = signed_field("ARC-Message-Signature", &tags, key, &canonical);
        relaxed("arc-authentication-results", results.as_bytes(), &mut sets);
        relaxed("arc-message-signature", signature.as_bytes().get("ARC-Message-Signature:".len()..)?, &mut sets);
        let tags =
            format!(" i={instance}; a={}; cv={chain}; d={}; s={}; t={};\r\n\tb=", key.algorithm(), signer.domain, key.selector, self.time);
        let mut fields = signed_field("ARC-Seal", &tags, key, &sets);
        fields.push_str(&signature);
        let _ = write!(fields, "ARC-Authentication-Results:{results}");
        Some(fields.into_bytes())
    }
}

/// The field with its signature: over `canonical`, then over itself with an empty `b=` and without a line end.
fn signed_field(name: &str, tags: &str, key: &Key, canonical: &[u8]) -> String {
    let mut whole = canonical.to_vec();
    let own = format!("{tags}\r\n");
    relaxed(&name.to_ascii_lowercase(), own.as_bytes(), &mut whole);
    if whole.ends_with(b"\r\n") {
        whole.truncate(whole.len() - 2);
    }
    format!("{name}:{tags}{}\r\n", folded(&key.sign(&whole), None))
}

/// The number of a set: the tag `i=`, which comes first in results and anywhere in the others.
fn instance_of(value: &str) -> Option<usize> {
    value.split(';').find_map(|tag| tag.trim().strip_prefix("i=")).and_then(|number| number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_read_and_published() {
        for (ed25519, kind) in [(false, "rsa"), (true, "ed25519")] {
            let key = Key::from_pem("enlace", &Key::generate(ed25519).unwrap()).unwrap();
            assert!(key.record().starts_with(&format!("v=DKIM1; k={kind}; p=")), "{}", key.record());
            assert!(!format!("{key:?}").contains("PRIVATE"));
        }
        assert_eq!(Key::from_pem("a", "no key").unwrap_err(), KeyError::Form);
        for selector in ["", "a b", "a\r\nX: y", ".", "a..b", "é"] {
            assert!(matches!(Key::from_pem(selector, "").unwrap_err(), KeyError::Selector(_)), "{selector:?}");
        }
    }

    #[test]
    fn the_body_hash_is_that_of_the_standard() {
        // RFC 6376 section 3.4.3: an empty body hashes as one line end.
        assert_eq!(body_hash(b""), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
        assert_eq!(body_hash(b"a\r\n\r\n\r\n"), body_hash(b"a\r\n"));
        assert_eq!(body_hash(b"a"), body_hash(b"a\r\n"));
    }

    #[test]
    fn what_was_sealed_by_an_unknown_chain_is_not_sealed_again() {
        let key = Key::from_pem("s", &Key::generate(true).unwrap()).unwrap();
        let signer = Arc::new(Signer::new("l.test".into(), vec![key], true));
        let plain = b"From: a@b.test\r\nSubject: x\r\n\r\n";
        let chained = b"ARC-Seal: i=1; cv=none; b=x\r\nARC-Message-Signature: i=1; b=x\r\nARC-Authentication-Results: i=1; x\r\nFrom: a@b.test\r\n\r\n";
        let of = |head: &[u8], arc| {
            let found = SenderFindings { arc, ..SenderFindings::default() };
            Prepared::new(Arc::clone(&signer), head, b"", DateTime::UNIX_EPOCH)
                .seal(head, &found)
                .map(|seal| String::from_utf8(seal).unwrap())
        };
        assert!(of(plain, ArcChain::None).unwrap().contains("i=1; a=ed25519-sha256; cv=none"));
        assert_eq!(of(plain, ArcChain::Fail), None);
        assert_eq!(of(chained, ArcChain::None), None, "nobody looked at it");
        assert_eq!(of(chained, ArcChain::Fail), None);
        assert!(of(chained, ArcChain::Pass).unwrap().contains("i=2; a=ed25519-sha256; cv=pass"));
    }
}
