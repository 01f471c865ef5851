//! Values as columns: identifiers that keep their order, names as octets, times, stored forms.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::domain::group::GroupCode;
use crate::store::{Result, record};

/// Longest name or key that stands in an index as it is; PostgreSQL's limit is about 2,700 octets a row.
const KEY_OCTETS: usize = 512;

/// A 64-bit identifier without sign as a column that sorts alike.
pub(super) fn column(id: u64) -> i64 {
    (id ^ (1 << 63)).cast_signed()
}

/// The identifier of [`column`].
pub(super) fn identifier(column: i64) -> u64 {
    column.cast_unsigned() ^ (1 << 63)
}

/// A batch's number as a column.
pub(super) fn number(number: u32) -> i32 {
    number.cast_signed()
}

/// A day as a column.
pub(super) fn day(day: NaiveDate) -> i32 {
    day.num_days_from_ce()
}

/// Most rows asked for.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970, rounded up, so that what is due then is due.
pub(super) fn milliseconds(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis().saturating_add(i64::from(at.timestamp_subsec_nanos() % 1_000_000 != 0))
}

/// A group's code as a column.
pub(super) fn code(code: &GroupCode) -> Vec<u8> {
    code.as_str().as_bytes().to_vec()
}

/// The code of [`code`].
pub(super) fn group_code(column: &[u8]) -> Result<GroupCode> {
    std::str::from_utf8(column).ok().and_then(|code| code.parse().ok()).ok_or_else(|| record::damaged("a group's code", "it is none"))
}

/// A key as a column: a long one by its digest.
pub(super) fn key(key: &str) -> Vec<u8> {
    let bytes = key.as_bytes();
    if bytes.len() <= KEY_OCTETS {
        return bytes.to_vec();
    }
    let mut short = bytes[..KEY_OCTETS].to_vec();
    short.extend_from_slice(&digest(bytes));
    short
}

/// SHA-256 of octets.
pub(super) fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// Stored forms of several rows.
pub(super) fn decode_all<T: DeserializeOwned>(what: &str, rows: &[Vec<u8>]) -> Result<Vec<T>> {
    rows.iter().map(|row| record::decode(what, row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_their_order_as_columns() {
        let ids = [0, 1, 9, u64::from(u32::MAX), 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX];
        assert!(ids.windows(2).all(|two| column(two[0]) < column(two[1])));
        assert!(ids.iter().all(|id| identifier(column(*id)) == *id));
    }

    #[test]
    fn long_keys_are_short_and_differ() {
        let (one, other) = ("x".repeat(5000), format!("{}y", "x".repeat(4999)));
        assert_ne!(key(&one), key(&other));
        assert!(key(&one).len() < 600);
        assert_eq!(key("a\0b"), b"a\0b");
    }
}
