//! Values as columns: identifiers that keep their order, names as octets, times, stored forms.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::de::DeserializeOwned;

use crate::domain::group::GroupCode;
pub(super) use crate::store::record::{digest, key};
use crate::store::{Result, record};

/// A 64-bit identifier without sign as a column that sorts alike.
pub(super) fn column(id: u64) -> i64 {
    (id ^ (1 << 63)).cast_signed()
}

/// The identifier of `column`.
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
    at.timestamp_millis().saturating_add(i64::from(!at.timestamp_subsec_nanos().is_multiple_of(1_000_000)))
}

/// A group's code as a column.
pub(super) fn code(code: &GroupCode) -> Vec<u8> {
    code.as_str().as_bytes().to_vec()
}

/// The code of [`code`].
pub(super) fn group_code(column: &[u8]) -> Result<GroupCode> {
    std::str::from_utf8(column).ok().and_then(|code| code.parse().ok()).ok_or_else(|| record::damaged("a group's code", "it is none"))
}

/// Stored forms of several rows.
pub(super) fn decode_all<T: DeserializeOwned>(what: &str, rows: &[Vec<u8>]) -> Result<Vec<T>> {
    rows.iter().map(|row| record::decode(what, row)).collect()
}

/// The same of values that have grown.
pub(super) fn decode_all_grown<T: record::Grown>(what: &str, rows: &[Vec<u8>]) -> Result<Vec<T>> {
    rows.iter().map(|row| record::decode_grown(what, row)).collect()
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
}
