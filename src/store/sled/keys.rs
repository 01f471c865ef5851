//! Keys of the rows: a byte for the kind, then numbers big-endian and texts, so that their order is the order of pages.

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::pages::Pages;
use crate::domain::group::GroupCode;
use crate::domain::id::{AccountId, PostId};
use crate::store::{BatchKey, record};

/// Accounts by key.
pub(super) const ACCOUNTS: Pages = Pages(b'A');
/// Account key by address.
pub(super) const ADDRESSES: Pages = Pages(b'B');
/// Last day of an account, with its key.
pub(super) const EXPIRY: Pages = Pages(b'C');
/// Subscriptions by group and account.
pub(super) const SUBSCRIPTIONS: Pages = Pages(b'D');
/// Groups of an account.
pub(super) const MEMBERSHIPS: Pages = Pages(b'E');

/// A number of the store itself.
pub(super) fn meta(name: &str) -> Vec<u8> {
    text(b'M', name)
}

/// A group.
pub(super) fn group(code: &GroupCode) -> Vec<u8> {
    text(b'G', code.as_str())
}

/// All groups.
pub(super) const GROUPS: &[u8] = b"G";

/// A post.
pub(super) fn post(id: PostId) -> Vec<u8> {
    number(b'P', id.0)
}

/// Posts of a Message-ID.
pub(super) fn posts_of_message(message_id: &str) -> Vec<u8> {
    named(b'I', message_id)
}

/// One of them.
pub(super) fn post_of_message(message_id: &str, id: PostId) -> Vec<u8> {
    with_number(posts_of_message(message_id), id.0)
}

/// Posts of a group.
pub(super) fn posts_of_group(code: &GroupCode) -> Vec<u8> {
    named(b'O', code.as_str())
}

/// One of them.
pub(super) fn post_of_group(code: &GroupCode, id: PostId) -> Vec<u8> {
    with_number(posts_of_group(code), id.0)
}

/// An accepted post that is to be planned.
pub(super) fn to_plan(not_before: DateTime<Utc>, id: PostId) -> Vec<u8> {
    with_number(number(b'Q', sortable(milliseconds(not_before))), id.0)
}

/// All of them.
pub(super) const TO_PLAN: &[u8] = b"Q";

/// A held post.
pub(super) fn held(id: PostId) -> Vec<u8> {
    number(b'H', id.0)
}

/// All of them.
pub(super) const HELD: &[u8] = b"H";

/// Which post came with a repetition key.
pub(super) fn repetition(key: &str) -> Vec<u8> {
    with_octets(vec![b'R'], &record::key(key))
}

/// The plan of a post.
pub(super) fn plan(id: PostId) -> Vec<u8> {
    number(b'c', id.0)
}

/// Batches of a post.
pub(super) fn batches(id: PostId) -> Vec<u8> {
    number(b'b', id.0)
}

/// One of them.
pub(super) fn batch(key: BatchKey) -> Vec<u8> {
    let mut row = batches(key.post);
    row.extend_from_slice(&key.number.to_be_bytes());
    row
}

/// The batch of a row that [`batch`] made.
pub(super) fn batch_of(row: &[u8]) -> Option<BatchKey> {
    let post = u64::from_be_bytes(row.get(1..9)?.try_into().ok()?);
    let number = u32::from_be_bytes(row.get(9..13)?.try_into().ok()?);
    (row[0] == b'b' && row.len() == 13).then_some(BatchKey { post: PostId(post), number })
}

/// A post with open batches.
pub(super) fn open(id: PostId) -> Vec<u8> {
    number(b'q', id.0)
}

/// All of them.
pub(super) const OPEN: &[u8] = b"q";

/// What became later of recipients of a finished batch.
pub(super) fn amendments(key: BatchKey) -> Vec<u8> {
    let mut row = number(b'x', key.post.0);
    row.extend_from_slice(&key.number.to_be_bytes());
    row
}

/// Of one of them.
pub(super) fn amendment(key: BatchKey, index: u16) -> Vec<u8> {
    let mut row = amendments(key);
    row.extend_from_slice(&index.to_be_bytes());
    row
}

/// Marks of a kind.
pub(super) fn marks(kind: &str) -> Vec<u8> {
    named(b'k', kind)
}

/// One of them.
pub(super) fn mark(kind: &str, key: &str) -> Vec<u8> {
    with_octets(marks(kind), &record::key(key))
}

/// Counters of a kind.
pub(super) fn counters(kind: &str) -> Vec<u8> {
    named(b'n', kind)
}

/// One of them.
pub(super) fn counter(kind: &str, key: &str) -> Vec<u8> {
    with_octets(counters(kind), &record::key(key))
}

/// A setting of the store.
pub(super) fn setting(name: &str) -> Vec<u8> {
    with_octets(vec![b's'], &record::key(name))
}

/// A request.
pub(super) fn request(id: u64) -> Vec<u8> {
    number(b'r', id)
}

/// All of them.
pub(super) const REQUESTS: &[u8] = b"r";

/// All entries of the audit trail.
pub(super) const AUDIT: &[u8] = b"a";

/// One of them; `place` tells those of one nanosecond apart.
pub(super) fn audit(at_nanoseconds: i64, place: u64) -> Vec<u8> {
    with_number(number(b'a', sortable(at_nanoseconds)), place)
}

/// Entries about a group.
pub(super) fn audit_of_group(code: &GroupCode) -> Vec<u8> {
    named(b'g', code.as_str())
}

/// Entries of a register.
pub(super) fn register(name: &str) -> Vec<u8> {
    named(b'e', name)
}

/// One of them.
pub(super) fn entry(name: &str, key: &str) -> Vec<u8> {
    with_text(register(name), key)
}

/// Record key of an account.
pub(super) fn account(id: AccountId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// Record key of an expiry day.
pub(super) fn expiry(day: NaiveDate, id: AccountId) -> Vec<u8> {
    let mut key = sortable(i64::from(day.num_days_from_ce())).to_be_bytes().to_vec();
    key.extend_from_slice(&account(id));
    key
}

/// Record keys of a group's subscriptions.
pub(super) fn subscriptions(group: &GroupCode) -> Vec<u8> {
    // A code holds no zero byte, so this ends it.
    let mut key = group.as_str().as_bytes().to_vec();
    key.push(0);
    key
}

/// Record key of one of them.
pub(super) fn subscription(group: &GroupCode, id: AccountId) -> Vec<u8> {
    with_number(subscriptions(group), id.0)
}

/// Record key of a membership.
pub(super) fn membership(id: AccountId, group: &GroupCode) -> Vec<u8> {
    with_text(account(id).to_vec(), group.as_str())
}

/// The number at the end of a key.
pub(super) fn last_number(key: &[u8]) -> u64 {
    key.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Milliseconds since 1970, rounded up, so that what is due then is due.
pub(super) fn milliseconds(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis().saturating_add(i64::from(!at.timestamp_subsec_nanos().is_multiple_of(1_000_000)))
}

/// Keeps the order of negative numbers as bytes.
fn sortable(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

fn number(kind: u8, number: u64) -> Vec<u8> {
    with_number(vec![kind], number)
}

fn with_number(mut key: Vec<u8>, number: u64) -> Vec<u8> {
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn text(kind: u8, text: &str) -> Vec<u8> {
    with_text(vec![kind], text)
}

fn with_text(mut key: Vec<u8>, text: &str) -> Vec<u8> {
    key.extend_from_slice(text.as_bytes());
    key
}

/// Appends octets.
pub(super) fn with_octets(mut key: Vec<u8>, octets: &[u8]) -> Vec<u8> {
    key.extend_from_slice(octets);
    key
}

/// The name in a key that [`named`] began, and what follows it.
pub(super) fn name_and_rest(row: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = row.get(1..)?.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// A kind, and a name with its length in front, so that no name is the beginning of another.
pub(super) fn named(kind: u8, name: &str) -> Vec<u8> {
    named_octets(kind, name.as_bytes())
}

/// The same for a name that is octets.
pub(super) fn named_octets(kind: u8, name: &[u8]) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes());
    with_octets(key, name)
}
