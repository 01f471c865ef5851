//! Stored forms: a version byte, then postcard.
//!
//! Every row, plan slice and log entry that holds a value goes through here, so that a form can change in one place:
//! a new version gets a new byte and the old one is still read. Numbers are varints; times are nanoseconds since 1970.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{Result, StoreError};

/// The version that is written.
const VERSION: u8 = 1;

/// The stored form of `value`.
///
/// # Errors
/// `Unavailable` if the value has no stored form, which is a mistake in the program.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    postcard::to_extend(value, vec![VERSION]).map_err(|e| StoreError::Unavailable(format!("a value has no stored form: {e}")))
}

/// The value of a stored form; `what` names the record in the error.
///
/// # Errors
/// `Damaged` if the bytes are not such a form, or of a version this program does not know.
pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| damaged(what, &e.to_string())),
        Some((&version, _)) => Err(damaged(what, &format!("form {version} is newer than this program, which knows form {VERSION}"))),
        None => Err(damaged(what, "it is empty")),
    }
}

/// The error for a record that cannot be read.
pub fn damaged(what: &str, why: &str) -> StoreError {
    StoreError::Damaged(format!("{what} cannot be read: {why}; stop the service and restore the last backup (`enlace restore`)"))
}

/// Longest key that is stored as it is: PostgreSQL's index takes some 2,700 octets a row, and keys come from mails.
const KEY_OCTETS: usize = 512;

/// A key as it is stored, in every backend alike: a long one ends in its digest.
pub fn key(key: &str) -> Vec<u8> {
    let bytes = key.as_bytes();
    if bytes.len() <= KEY_OCTETS {
        return bytes.to_vec();
    }
    let mut short = bytes[..KEY_OCTETS].to_vec();
    short.extend_from_slice(&digest(bytes));
    short
}

/// SHA-256.
pub fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// Nanoseconds since 1970; instants outside of 1677 to 2262 become the nearest end.
pub fn nanoseconds(at: DateTime<Utc>) -> i64 {
    at.timestamp_nanos_opt().unwrap_or(if at.timestamp() < 0 { i64::MIN } else { i64::MAX })
}

/// The instant of [`nanoseconds`].
pub fn instant(nanoseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_come_back_and_foreign_ones_are_refused_in_words() {
        let value = ("SG12".to_owned(), 7_u64, Some(vec![1_u8, 2]));
        let stored = encode(&value).unwrap();
        assert_eq!(decode::<(String, u64, Option<Vec<u8>>)>("row", &stored).unwrap(), value);
        let mut newer = stored.clone();
        newer[0] = 9;
        for bytes in [&newer[..], &stored[..3], &[]] {
            let error = decode::<(String, u64, Option<Vec<u8>>)>("the row of X", bytes).unwrap_err().to_string();
            assert!(error.contains("the row of X") && error.contains("restore"), "{error}");
        }
    }

    #[test]
    fn long_keys_are_short_and_differ() {
        let (one, other) = ("x".repeat(5000), format!("{}y", "x".repeat(4999)));
        assert_ne!(key(&one), key(&other));
        assert!(key(&one).len() < 600);
        assert_eq!(key("a\0b"), b"a\0b");
    }

    #[test]
    fn instants_keep_their_nanoseconds() {
        let at = DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap();
        assert_eq!(instant(nanoseconds(at)), at);
    }
}
